/**
 * Does a network know that these are all noses? The same part is masked in several images, and counted is how alike the change
 * of each layer's code is from image to image.
 *
 * Zeiler and Fergus 2013, "Visualizing and understanding convolutional networks", §4.4 and Table 1: with
 * ε = f(x) − f(x masked), the mean Hamming distance of sign(ε) over all pairs of images; lower than for parts masked at random
 * means that the part changes the code in one way, whatever the image.
 *
 * @module
 */

import { type NdArrayLike, sizeOf } from "../array.ts";
import { checkDataset, type Dataset } from "../data/dataset.ts";
import { inPlaceOf, type InputArray } from "../data/given.ts";
import { tileOf } from "../data/sample.ts";
import { checkModel, checkReady, type Model } from "../model/model.ts";
import { arrayOf, readOptions, RunOptions, text, whole } from "../options.ts";
import { type Baseline, checkBaseline, makeBaseline } from "../probe/attribution/baseline.ts";
import { type MaskedExample, PartCorrespondence, RANDOM_PLACES } from "../results/part_correspondence.ts";
import { withProgress } from "../results/progress.ts";
import { forwardEach } from "../scan/forward_all.ts";
import { readKeypoints } from "./shared/keypoints.ts";
import { beforeLast, layersAsked, walkOf } from "./shared/layers.ts";
import { masked, partsOf, rowsOf, type Signs, signsOf, squaresOf } from "./shared/masked_parts.ts";
import { checkPictures } from "./shared/placed_features.ts";

/** The options of `partCorrespondence`. */
export class PartCorrespondenceOptions extends RunOptions {
  /** The layer whose codes change; or `layers`, for several. */
  @text()
  layer?: string;
  /**
   * Several layers, in the order wanted.
   * @default the last convolution, and what the classifier, the last layer with weights, reads: in the paper layers 5 and 7
   */
  @arrayOf("layers' names")
  layers?: readonly string[];
  /**
   * Which of the keypoints' names.
   * @default all that two images have
   */
  @arrayOf("keypoints' names")
  parts?: readonly string[];
  /**
   * The side of the square that is masked, in pixels of the image as the model sees it.
   * @default a quarter of the image's shorter side
   */
  @whole(1)
  size?: number;
  /**
   * What replaces the pixels of the square: `"grey"`, `"zero"`, `"mean"`, `"blurred"`, `"noise"`, a grey of 0…255, a colour or an
   * image.
   * @default "grey"
   */
  baseline: Baseline = "grey";
  /**
   * At how many random places a square is masked in each image, for comparison: the mean over them.
   * @default 10
   */
  @whole(1)
  random = 10;
  /**
   * Of the random places and of the intervals.
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

/** Pictures of so many images are kept. */
const EXAMPLES = 3;

/** The last convolution, and what the last layer with weights reads. */
function defaultLayers(model: Model): string[] {
  const last = walkOf(model, /Conv/, Infinity).at(-1);
  return [...new Set([...last === undefined ? [] : [last], beforeLast(model)])];
}

/**
 * Masks the same part in several images and measures how alike the change of each layer's code is: the mean Hamming distance of
 * its signs over pairs of images, beside that of squares at random places.
 *
 * @param model the model; nothing on it changes
 * @param dataset images with a column `keypoints`, as `petFaces()` has them: `{ nose: [y, x], … }` in pixels of the image
 * @returns rows `{ layer, part, distance, low, high, difference, … }`, the last of each layer that of random places; lower than
 *   that (`difference` below 0) means that the layer knows the part again
 * @throws {TypeError} if the model reads no pictures, or an image has no keypoints
 * @throws {RangeError} if a layer or a part does not exist, fewer than two images have a part, or the square does not fit
 *
 * @example
 * ```ts
 * import { loadModel, partCorrespondence, petFaces } from "@convlens/convlens";
 * const model = await loadModel("cifar-convnet");
 * const { rows } = await partCorrespondence(model, await petFaces());
 * console.log(rows.map(({ layer, part, distance }) => `${layer} ${part} ${distance.toFixed(3)}`));
 * ```
 */
export async function partCorrespondence(
  model: Model,
  dataset: Dataset,
  options: Partial<PartCorrespondenceOptions> = {},
): Promise<PartCorrespondence> {
  const asker = "partCorrespondence";
  checkModel(asker, model);
  const { parts: asked, size: given, baseline, random, seed, ...run } = readOptions(
    asker,
    PartCorrespondenceOptions,
    options,
  );
  const { batchSize, signal, onProgress } = run;
  checkDataset(asker, dataset);
  checkPictures(asker, model);
  checkBaseline(baseline, model);
  await checkReady(asker, model);
  const layers = layersAsked(asker, model, run, () => defaultLayers(model));
  const views = await readKeypoints(asker, model, dataset, signal);
  const parts = partsOf(views, asked);
  const [shape, other] = [...new Set(views.map(({ view }) => view.shape.join(" × ")))];
  if (other !== undefined) {
    throw new RangeError(
      `${asker} compares codes of one length: received images of ${shape} and of ${other}. Resize them.`,
    );
  }
  const [height, width] = views[0].view.shape;
  const size = given ?? Math.max(1, Math.round(Math.min(height, width) / 4));
  if (size > Math.min(height, width)) {
    throw new RangeError(`size must fit into the image of ${height} × ${width} pixels: received ${size}.`);
  }
  const squares = views.map((view, i) => squaresOf(view, parts, size, random, [seed, i]));
  const signs = layers.map((): Signs => new Map([...parts, RANDOM_PLACES].map((part) => [part, new Map()])));
  const examples: MaskedExample[] = [];
  const total = squares.reduce((sum, own) => sum + own.length + 1, 0);
  const inputs = {
    size: total,
    async *[Symbol.asyncIterator](): AsyncGenerator<InputArray, undefined> {
      for (const [i, { id, view }] of views.entries()) {
        const { image: base } = await makeBaseline(model, view, baseline, seed);
        yield model.input(view);
        for (const square of squares[i]) {
          const data = masked(view, base, size, square);
          if (i < EXAMPLES && square.draw === 0) {
            examples.push({ image: id, part: square.part, pixels: tileOf({ data, shape: view.shape }, 64) });
          }
          yield model.input(inPlaceOf(view, data));
        }
      }
    },
  };
  // Which image and which square each input is; of the image as it is none.
  const order = squares.flatMap((own, image) => [null, ...own].map((square) => ({ image, square })));
  let still: Float32Array[] = [];
  const receive = (outputs: readonly NdArrayLike[], start: number) => {
    for (let k = 0; k < outputs[0].shape[0]; k++) {
      const { image, square } = order[start + k];
      const codes = outputs.map(({ data, shape }) => {
        const each = sizeOf(shape.slice(1));
        return data.subarray(k * each, (k + 1) * each);
      });
      if (!square) still = codes.map((code) => code.slice());
      else {
        codes.forEach((code, l) => {
          const own = signs[l].get(square.part)!;
          own.set(image, [...own.get(image) ?? [], signsOf(still[l], code)]);
        });
      }
    }
  };
  await withProgress(
    `Parts of ${dataset.name} in ${model.name}`,
    total,
    (update) => forwardEach(model, inputs, layers, receive, { batchSize, signal, onProgress: update }),
    onProgress,
  );
  return new PartCorrespondence({
    rows: layers.flatMap((layer, l) => rowsOf(layer, parts, signs[l], seed)),
    examples,
    size,
    random,
    names: { model: model.name, dataset: dataset.name },
  });
}
