/**
 * What models withstand that happens to images: their accuracy by the strength of blur, noise, compression and the like.
 *
 * Hendrycks and Dietterich 2019, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations", §3 and
 * §4.1: the error under corruptions at several strengths, its mean, and the mean corruption error (mCE) against a baseline.
 *
 * @module
 */

import { checkDataset, type Dataset } from "../data/dataset.ts";
import { checkModel, checkReady, type Model } from "../model/model.ts";
import { readOptions, rule, WalkOptions, whole } from "../options.ts";
import { type Baseline, checkBaseline } from "../probe/attribution/baseline.ts";
import { checkCorruption, type CorruptionFunction, type CorruptionName, corruptionsOf } from "../probe/corruptions.ts";
import { type TruthOf, truthOf } from "../probe/truth.ts";
import { CorruptionRobustness } from "../results/corruption_robustness.ts";
import { withProgress } from "../results/progress.ts";
import { walkCorruptions } from "./shared/corruption_walk.ts";
import { checkClassifier } from "../probe/attack/attack.ts";
import { namesOf } from "./shared/model_names.ts";

/** The options of `corruptionRobustness`. */
export class CorruptionRobustnessOptions extends WalkOptions {
  /**
   * What is done to the images, in the pixels that the model sees: `"blur"` (Gaussian), `"noise"` (Gaussian), `"jpeg"`,
   * `"contrast"`, `"brightness"`, `"scale"`, `"rotation"`, `"occlusion"` (a square at a random place), or functions
   * `(image, strength) => image`.
   * @default ["blur", "noise", "jpeg", "contrast", "scale", "rotation", "occlusion"]; where inputs are no pictures "noise"
   */
  @rule(() => {})
  corruptions?: readonly (CorruptionName | CorruptionFunction)[];
  /**
   * How strong, from weak to strong; of several corruptions by their names, as `{ blur: [1, 2], jpeg: [50, 10] }`: standard
   * deviations in pixels (blur) or of 255 (noise), quality (jpeg), factors (contrast, scale), degrees (rotation), the share
   * that is covered (occlusion), what is added (brightness).
   * @default five of each
   */
  @rule(() => {})
  strengths?: readonly number[] | Readonly<Record<string, readonly number[]>>;
  /**
   * What stands where an image was scaled or turned away, or is covered, as for `occlusion`.
   * @default "mean"
   */
  baseline: Baseline = "mean";
  /**
   * Where it stands what an image shows, as for `evaluate`.
   * @default the column `label`
   */
  @truthOf
  truth?: TruthOf;
  /**
   * Of noise, of the covered places, and of the intervals of mean errors. All models see the same.
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

const USUAL: readonly CorruptionName[] = ["blur", "noise", "jpeg", "contrast", "scale", "rotation", "occlusion"];

/** What can be done to all inputs of a model. */
const usualOf = ({ dimensions, inputShape }: Model): readonly CorruptionName[] =>
  dimensions !== 2 ? ["noise"] : [1, 3].includes(inputShape.at(-1)!) ? USUAL : USUAL.filter((name) => name !== "jpeg");

/**
 * Corrupts the images of a data set ever more strongly and says how many each model still has right: one figure for several
 * corruptions and models, with intervals of 95 % (Wilson).
 *
 * `errors` has the mean error over the strengths of each corruption, and of several models the corruption error of Hendrycks
 * and Dietterich: that mean over the first model's; `means` their means over the corruptions (mCE). `each` has one row an image
 * with the share of its corrupted versions that are right, to be joined with other attributes.
 *
 * @param models one, or several; nothing on them changes
 * @param dataset images with labels that were not trained on; they are read one batch at a time, once for each model
 * @returns `rows` `{ model, corruption, strength, images, right, accuracy, low, high }`, `clean`, `errors`, `means`, `each`
 * @throws {TypeError} if a model tells no classes apart, an image has no label, or inputs are no images and are to be turned
 * @throws {RangeError} if a label is none of a model's, there is no such corruption, or a strength does not fit
 *
 * @example
 * ```ts
 * import { cifar10, corruptionRobustness, loadModel } from "@convlens/convlens";
 * const images = await cifar10({ split: "test", limit: 50 });
 * const found = await corruptionRobustness(await loadModel("cifar-convnet"), images, {
 *   corruptions: ["blur", "jpeg"],
 *   strengths: { blur: [0.5, 1], jpeg: [50, 10] },
 * });
 * console.log(found.rows, found.means);
 * ```
 */
export async function corruptionRobustness(
  models: Model | readonly Model[],
  dataset: Dataset,
  options: Partial<CorruptionRobustnessOptions> = {},
): Promise<CorruptionRobustness> {
  const asker = "corruptionRobustness";
  const several = (Array.isArray(models) ? models : [models]) as readonly Model[];
  if (several.length === 0) throw new RangeError(`${asker} wants at least one model: received an empty array.`);
  for (const model of several) checkModel(asker, model);
  checkDataset(asker, dataset);
  const all = readOptions(asker, CorruptionRobustnessOptions, options);
  const { corruptions: asked, strengths, baseline, seed, onProgress } = all;
  const corruptions = corruptionsOf(asked ?? usualOf(several[0]), strengths);
  for (const model of several) {
    checkClassifier(asker, model);
    checkBaseline(baseline, model);
    const channels = model.inputShape.at(-1)!;
    for (const one of corruptions) checkCorruption(one, { dimensions: model.dimensions, channels });
    await checkReady(asker, model);
  }
  const names = namesOf(several);
  const found = await withProgress(
    `Corruptions of ${dataset.name}`,
    several.length * dataset.size,
    async (update) => {
      const walks = [];
      for (const [m, model] of several.entries()) {
        const walk = await walkCorruptions(
          asker,
          model,
          dataset,
          { ...all, corruptions },
          (done) => update(m * dataset.size + done),
        );
        walks.push({ model: names[m], sides: model.inputShape.slice(0, -1).join("×"), ...walk });
      }
      return walks;
    },
    onProgress,
  );
  return new CorruptionRobustness({
    walks: found,
    corruptions: corruptions.map(({ name, unit, none }) => ({ name, unit, none })),
    dataset: dataset.name,
    seed,
  });
}
