/**
 * How much models withstand: their accuracy on images that are changed against them, by how much they are changed.
 *
 * Carlini et al. 2019, "On Evaluating Adversarial Robustness", §4.4: curves over epsilon, several attacks, and random
 * noise of the same size beside them.
 *
 * @module
 */

import { checkDataset, type Dataset } from "../data/dataset.ts";
import { wilson } from "../embed/logistic.ts";
import { kindOf } from "../errors.ts";
import { checkModel, checkReady, type Model } from "../model/model.ts";
import { readOptions, rule } from "../options.ts";
import { Attacker, type AttackMethod, ATTACKS } from "../probe/attack/attack.ts";
import { Robustness, type RobustnessRow } from "../results/robustness.ts";
import { withProgress } from "../results/progress.ts";
import { answersOf, AttackedOptions, attackedViews, readClassed } from "./shared/attacked.ts";
import { namesOf } from "./shared/model_names.ts";

const methodNames = rule((name, value) => {
  const known = Array.isArray(value) && value.length > 0 && value.every((one) => ATTACKS.includes(one));
  if (known) return;
  const found = Array.isArray(value) ? `[${value.map(kindOf).join(", ")}]` : kindOf(value);
  throw new RangeError(
    `${name} must be an array of ${ATTACKS.map((one) => `"${one}"`).join(", ")}: received ${found}.`,
  );
});

const sizes = rule((name, value) => {
  const fits = Array.isArray(value) && value.length > 0 && value.every((one) => one >= 0 && one <= 255);
  if (fits) return;
  const found = Array.isArray(value) ? `[${value.map(kindOf).join(", ")}]` : kindOf(value);
  throw new RangeError(`${name} must be an array of numbers from 0 to 255: received ${found}.`);
});

/** The options of `robustness`. */
export class RobustnessOptions extends AttackedOptions {
  /**
   * The attacks: `"fgsm"`, one step along the signs of the gradient; `"iterative"`, several; `"pgd"`, several from a random
   * start; and `"random"`, random signs, which are no attack.
   * @default ["random", "fgsm", "pgd"]
   */
  @methodNames
  methods: readonly AttackMethod[] = ["random", "fgsm", "pgd"];
  /**
   * By how much each value of an image may change, of 255.
   * @default [0, 1, 2, 4, 8, 16]
   */
  @sizes
  epsilons: readonly number[] = [0, 1, 2, 4, 8, 16];
}

/**
 * Attacks the images of a data set with growing strength, and says how many each model still has right: one figure for
 * several models and attacks, with intervals of 95 % (Wilson).
 *
 * Each value moves by no more than epsilon and stays within 0…255; the changed images are not rounded to whole numbers.
 * A model that withstands `"fgsm"` alone has hidden its gradient rather than become robust: compare `"pgd"`.
 *
 * @param models one, or several; nothing on them changes
 * @param dataset images with labels that were not trained on; all are held in memory
 * @returns rows `{ model, method, epsilon, images, right, accuracy, low, high, confidence }`
 * @throws {TypeError} if a model tells no classes apart, or an image has no label
 * @throws {RangeError} if a label is none of a model's, or an option does not fit
 *
 * @example
 * ```ts
 * import { cifar10, loadModel, robustness } from "@convlens/convlens";
 * const images = await cifar10({ split: "test", limit: 50 });
 * const curves = await robustness(await loadModel("cifar-convnet"), images, { epsilons: [0, 1, 2], steps: 5 });
 * console.log(curves.rows.at(-1)!.accuracy);
 * ```
 */
export async function robustness(
  models: Model | readonly Model[],
  dataset: Dataset,
  options: Partial<RobustnessOptions> = {},
): Promise<Robustness> {
  const several = (Array.isArray(models) ? models : [models]) as readonly Model[];
  if (several.length === 0) throw new RangeError("robustness wants at least one model: received an empty array.");
  for (const model of several) checkModel("robustness", model);
  checkDataset("robustness", dataset);
  const all = readOptions("robustness", RobustnessOptions, options);
  const { methods, steps, seed, batchSize, signal, onProgress } = all;
  const epsilons = [...new Set(all.epsilons)].sort((a, b) => a - b);
  const rows: RobustnessRow[] = [];
  const names = namesOf(several);
  const total = several.length * methods.length * epsilons.length * dataset.size;
  const left: { skipped: Robustness["skipped"] } = { skipped: [] };
  await withProgress(
    `Robustness on ${dataset.name}`,
    total,
    async (update) => {
      let done = 0;
      for (const [m, model] of several.entries()) {
        await checkReady("robustness", model);
        const attacker = await Attacker.of("robustness", model, batchSize);
        try {
          const read = await readClassed("robustness", model, dataset, all);
          const { images } = read;
          left.skipped = read.skipped;
          for (const method of methods) {
            for (const epsilon of epsilons) {
              const attack = { method, epsilon, steps, seed };
              const views = await attackedViews(attacker, images, attack, {
                signal,
                update: (now) => update(done + now),
              });
              const answers = await answersOf(attacker, views, signal);
              const right = answers.filter(({ index }, i) => index === images[i].own).length;
              const [low, high] = wilson(right, images.length);
              const accuracy = right / images.length;
              const wrong = answers.filter(({ index }, i) => index !== images[i].own);
              const confidence = wrong.length
                ? wrong.reduce((sum, { probability }) => sum + probability, 0) / wrong.length
                : null;
              rows.push({
                model: names[m],
                method,
                epsilon,
                images: images.length,
                right,
                accuracy,
                low,
                high,
                confidence,
              });
              done += dataset.size;
            }
          }
        } finally {
          attacker.dispose();
        }
      }
      update(total);
    },
    onProgress,
    left,
  );
  return new Robustness({ rows, dataset: dataset.name, steps, ...left });
}
