/**
 * Whether images that were made to fool one model fool another one, too.
 *
 * Szegedy et al. 2013, "Intriguing properties of neural networks", §4.2, and Goodfellow et al. 2014, §8.
 *
 * @module
 */

import { checkDataset, type Dataset } from "../data/dataset.ts";
import { ndarray } from "../array.ts";
import { wilson } from "../embed/logistic.ts";
import { checkModel, checkReady, type Model } from "../model/model.ts";
import { positive, readOptions } from "../options.ts";
import { Attacker, type AttackMethod } from "../probe/attack/attack.ts";
import { ATTACK_NAMES } from "../results/robustness.ts";
import { Transferability, type TransferRow } from "../results/transferability.ts";
import { withProgress } from "../results/progress.ts";
import { answersOf, AttackedOptions, attackedViews, attackName, type Classed, readClassed } from "./shared/attacked.ts";
import { namesOf } from "./shared/model_names.ts";

/** The options of `transferability`. */
export class TransferabilityOptions extends AttackedOptions {
  /**
   * The attack, as of `robustness`.
   * @default "pgd"
   */
  @attackName()
  method: AttackMethod = "pgd";
  /**
   * By how much each value of an image may change, of 255.
   * @default 8
   */
  @positive()
  epsilon = 8;
}

/** What a model says of images that were made for another: each as it stands, brought to the model's own size. */
async function seenBy(model: Model, attacker: Attacker, images: readonly Classed[], signal?: AbortSignal) {
  const views = await Promise.all(images.map(({ view }) => model.view(ndarray(view.data, view.shape))));
  return (await answersOf(attacker, views, signal)).map(({ index }) => index);
}

/**
 * Attacks each model on images that both have right, and shows the changed images to the others: the table says how many
 * fool the model that they were made for, and how many fool one that they were not made for, with intervals of 95 %
 * (Wilson).
 *
 * The other model is given the changed image itself, brought to its own size. Random signs of the same size (`method:
 * "random"`) show how much of it is noise.
 *
 * @param models two or more that tell the same classes apart; nothing on them changes
 * @param dataset images with labels; all are held in memory
 * @returns rows `{ from, to, images, fooled, rate, low, high }`
 * @throws {RangeError} if there are fewer than two models, or a label is none of a model's
 * @throws {TypeError} if a model tells no classes apart, or an image has no label
 *
 * @example
 * ```ts
 * import { catsVsDogsConvnet, cifar10, train, transferability } from "@convlens/convlens";
 * const pets = await cifar10({ classes: ["cat", "dog"], limit: 400 });
 * const models = [await catsVsDogsConvnet({ seed: 1 }), await catsVsDogsConvnet({ seed: 2 })];
 * for (const model of models) await train(model, pets, { optimizer: "adam", epochs: 1, live: false });
 * await transferability(models, await cifar10({ classes: ["cat", "dog"], split: "test", limit: 50 }));
 * ```
 */
export async function transferability(
  models: readonly Model[],
  dataset: Dataset,
  options: Partial<TransferabilityOptions> = {},
): Promise<Transferability> {
  if (!Array.isArray(models) || models.length < 2) {
    throw new RangeError(
      `transferability wants an array of two models or more: received ${
        Array.isArray(models) ? `one of ${models.length}` : "no array"
      }.`,
    );
  }
  for (const model of models) checkModel("transferability", model);
  checkDataset("transferability", dataset);
  const all = readOptions("transferability", TransferabilityOptions, options);
  const { method, epsilon, steps, seed, batchSize, signal, onProgress } = all;
  const names = namesOf(models);
  const attackers: Attacker[] = [];
  const rows: TransferRow[] = [];
  const left: { skipped: Transferability["skipped"] } = { skipped: [] };
  try {
    for (const model of models) {
      await checkReady("transferability", model);
      attackers.push(await Attacker.of("transferability", model, batchSize));
    }
    const total = models.length * dataset.size;
    await withProgress(
      `Transfer of ${ATTACK_NAMES[method]} on ${dataset.name}`,
      total,
      async (update) => {
        for (const [from, model] of models.entries()) {
          const read = await readClassed("transferability", model, dataset, all);
          const { images } = read;
          left.skipped = read.skipped;
          const own = await Promise.all(models.map(async (other, to) => {
            // Classes by their names: the models may count them otherwise.
            const truth = (await readClassed("transferability", other, dataset, all)).images.map(({ own }) => own);
            const before = await seenBy(other, attackers[to], images, signal);
            return { truth, right: before.map((index, i) => index === truth[i]) };
          }));
          const attack = { method, epsilon, steps, seed };
          const options = { signal, update: (done: number) => update(from * dataset.size + done) };
          const views = await attackedViews(attackers[from], images, attack, options);
          const changed = images.map((image, i) => ({ ...image, view: views[i] }));
          for (const [to, other] of models.entries()) {
            const after = await seenBy(other, attackers[to], changed, signal);
            const counted = [...images.keys()].filter((i) => own[from].right[i] && own[to].right[i]);
            const fooled = counted.filter((i) => after[i] !== own[to].truth[i]).length;
            const [low, high] = counted.length ? wilson(fooled, counted.length) : [NaN, NaN];
            const rate = counted.length ? fooled / counted.length : NaN;
            rows.push({ from: names[from], to: names[to], images: counted.length, fooled, rate, low, high });
          }
        }
        update(total);
      },
      onProgress,
      left,
    );
  } finally {
    for (const attacker of attackers) attacker.dispose();
  }
  return new Transferability({ rows, dataset: dataset.name, attack: { method, epsilon, steps }, ...left });
}
