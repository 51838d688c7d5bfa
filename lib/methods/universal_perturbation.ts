/**
 * One change that, added to any image, makes a model answer otherwise.
 *
 * Moosavi-Dezfooli, Fawzi, Fawzi and Frossard 2017, "Universal adversarial perturbations".
 *
 * @module
 */

import { ndarray } from "../array.ts";
import type { Dataset } from "../data/dataset.ts";
import { inPlaceOf } from "../data/given.ts";
import { wilson } from "../embed/logistic.ts";
import { InputReader } from "../model/inputs.ts";
import { checkModel, checkReady, type Model } from "../model/model.ts";
import { oneOf, positive, readOptions, WalkOptions, whole, within } from "../options.ts";
import { Attacker, type Norm } from "../probe/attack/attack.ts";
import { deepFool } from "../probe/attack/deep_fool.ts";
import { added, findUniversal, projected } from "../probe/attack/universal.ts";
import { shapesText } from "../probe/batches.ts";
import { randomStream, shuffled } from "../random.ts";
import { withProgress } from "../results/progress.ts";
import { UniversalPerturbation, type UniversalRow } from "../results/universal_perturbation.ts";
import { answersOf } from "./shared/attacked.ts";
import type { ImageView } from "../model/inputs.ts";

/** The options of `universalPerturbation`. */
export class UniversalPerturbationOptions extends WalkOptions {
  /**
   * The largest size of the change, of values of 255: of each value (`norm: "linf"`), or of all together (`"l2"`).
   * @default 10 of each value; 2000 of all together, as in the paper
   */
  @positive()
  epsilon?: number;
  /**
   * In which norm the change is bounded.
   * @default "linf"
   */
  @oneOf("linf", "l2")
  norm: Norm = "linf";
  /**
   * How often the images are walked at most.
   * @default 5
   */
  @whole(1)
  passes = 5;
  /**
   * The share of the images after which the search ends.
   * @default 0.8
   */
  @within(0, 1)
  enough = 0.8;
  /**
   * The share of the images that the change is not made from, and tested on.
   * @default 0.5
   */
  @within(0.05, 0.95)
  heldOut = 0.5;
  /**
   * Of the choice of the images that are held out, and of the random change beside.
   * @default 0
   */
  @whole()
  seed = 0;
  /**
   * How many images run at once, at most.
   * @default 16
   */
  override batchSize = 16;
}

/** The default sizes of the change (Moosavi-Dezfooli et al. 2017, §3). */
const SIZES = { linf: 10, l2: 2000 };

/**
 * Looks for one change that fools a model on most images: it walks some images, and adds the smallest change (DeepFool) for
 * each that is not yet fooled. How many it fools is counted on images that it was not made from, with an interval of 95 %
 * (Wilson), beside a random change of the same size.
 *
 * An image is fooled if the model's answer is another with the change than without, right or wrong; no labels are needed.
 *
 * @param model one that tells classes apart; nothing on it changes
 * @param dataset images of one size for the model, all held in memory
 * @returns `perturbation` `[h, w, c]`; `rate`, `low` and `high` on the held-out images; rows `{ id, before, after, fooled }`
 *   of these; `random`, what a random change does; `history`, the rate on its own images after each pass
 * @throws {TypeError} if the model tells no classes apart
 * @throws {RangeError} if there are fewer than 4 images, they differ in size, or an option does not fit
 *
 * @example
 * ```ts
 * import { cifar10, loadModel, universalPerturbation } from "@convlens/convlens";
 * const images = await cifar10({ split: "test", limit: 60 });
 * const found = await universalPerturbation(await loadModel("cifar-convnet"), images, { passes: 1 });
 * console.log(found.rate, found.random.rate);
 * ```
 */
export async function universalPerturbation(
  model: Model,
  dataset: Dataset,
  options: Partial<UniversalPerturbationOptions> = {},
): Promise<UniversalPerturbation> {
  checkModel("universalPerturbation", model);
  const all = readOptions("universalPerturbation", UniversalPerturbationOptions, options);
  const { norm, passes, enough, heldOut, seed, batchSize, onBadImage, signal, onProgress } = all;
  const epsilon = all.epsilon ?? SIZES[norm];
  const reader = new InputReader("universalPerturbation", model, dataset, { onBadImage, signal });
  await checkReady("universalPerturbation", model);
  const attacker = await Attacker.of("universalPerturbation", model, batchSize);
  try {
    const images: ImageView[] = [];
    for await (const image of reader) images.push(image);
    const shapes = [...new Set(images.map(({ view }) => shapesText(view)))];
    if (images.length < 4 || shapes.length > 1) {
      throw new RangeError(
        `universalPerturbation wants at least 4 images of one size: received ${images.length}${
          shapes.length > 1 ? ` of ${shapes.join(" and ")}` : ""
        }.`,
      );
    }
    const order = shuffled(images.length, randomStream(seed));
    const tested = Math.min(images.length - 2, Math.max(2, Math.round(heldOut * images.length)));
    const pick = (places: Uint32Array) => Array.from(places, (i) => images[i]);
    const [testing, making] = [pick(order.slice(0, tested)), pick(order.slice(tested))];
    const answers = async (some: readonly ImageView[], change?: Float32Array) =>
      await answersOf(
        attacker,
        some.map(({ view }) => change ? inPlaceOf(view, added(view.data, change)) : view),
        signal,
      );
    const before = await answers(making);
    const same = async (i: number, values: Float32Array) =>
      (await attacker.answers([inPlaceOf(making[i].view, values)]))[0].index === before[i].index;
    const { change, history } = await withProgress(
      `Universal perturbation of ${model.name}`,
      passes * making.length,
      (update) =>
        findUniversal(
          making.map(({ view }) => view.data as Float32Array),
          async (change) => (await answers(making, change)).map(({ index }, i) => index !== before[i].index),
          same,
          (i, values) => deepFool(attacker, making[i].view, values),
          { norm, epsilon, passes, enough, signal, onProgress: update },
        ),
      onProgress,
      reader,
    );
    const alone = await answers(testing);
    const name = (index: number) => model.output.labels[index];
    const under = async (change: Float32Array) => {
      const found = await answers(testing, change);
      return testing.map(({ id }, i): UniversalRow => ({
        id,
        before: name(alone[i].index),
        after: name(found[i].index),
        fooled: found[i].index !== alone[i].index,
      }));
    };
    const rows = await under(change);
    const random = randomStream(seed, 1);
    const size = Math.sqrt(change.reduce((sum, value) => sum + value * value, 0) / change.length);
    const noise = projected(change.map(() => random() < 0.5 ? -size : size), norm, epsilon);
    const rateOf = (rows: readonly UniversalRow[]) => {
      const fooled = rows.filter((row) => row.fooled).length;
      const [low, high] = wilson(fooled, rows.length);
      return { rate: fooled / rows.length, low, high };
    };
    const shown = testing.slice(0, 6).map(({ id, view }, i) => ({
      id,
      before: rows[i].before,
      after: rows[i].after,
      image: ndarray(added(view.data as Float32Array, change), view.shape),
    }));
    return new UniversalPerturbation({
      rows,
      perturbation: ndarray(change, making[0].view.shape),
      ...rateOf(rows),
      random: rateOf(await under(noise)),
      history,
      made: making.length,
      shown,
      size: { norm, epsilon },
      names: { model: model.name, dataset: dataset.name },
      skipped: reader.skipped,
    });
  } finally {
    attacker.dispose();
  }
}
