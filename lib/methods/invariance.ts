/**
 * How much of where and how a thing is seen is left in each layer: the codes of images that are moved, turned, scaled,
 * blurred, brighter, paler or noisy, beside those of the images as they are.
 *
 * Zeiler and Fergus 2013, "Visualizing and understanding convolutional networks", §4.1 and Fig. 5: "small transformations
 * have a dramatic effect in the first layer of the model, but a lesser impact at the top feature layer". Whether a map moves
 * along instead (equivariance) is told from whether it stays (invariance) as in Lenc and Vedaldi 2015.
 *
 * @module
 */

import { type Dataset, isDataset } from "../data/dataset.ts";
import type { ImageLike } from "../data/image.ts";
import { checkModel, checkReady, type Model } from "../model/model.ts";
import { arrayOf, readOptions, rule, text, WalkOptions, whole } from "../options.ts";
import { type Baseline, checkBaseline } from "../probe/attribution/baseline.ts";
import type { Target } from "../probe/target.ts";
import { checkTransform, type TransformFunction, type TransformName, transformOf } from "../probe/transforms.ts";
import { Invariance } from "../results/invariance.ts";
import { withProgress } from "../results/progress.ts";
import { ImagesReader } from "./shared/images.ts";
import { InvarianceWalk } from "./shared/invariance_walk.ts";
import { OutputAsked } from "./shared/output_asked.ts";
import { checkTransforms, curvesOf } from "./shared/transform_options.ts";
import { beforeLast, layersAsked, walkOf } from "./shared/layers.ts";

/** The options of `invariance`. */
export class InvarianceOptions extends WalkOptions {
  /**
   * What is done to the images: `"vertical translation"`, `"horizontal translation"`, `"scale"`, `"rotation"`, `"blur"`,
   * `"brightness"`, `"contrast"`, `"noise"`, or a function of an image and a value that returns another image of its shape;
   * or several of these.
   * @default ["vertical translation", "scale", "rotation"], as in the paper; where images are no pictures "noise"
   */
  @rule(checkTransforms)
  transform?: TransformName | TransformFunction | readonly (TransformName | TransformFunction)[];
  /**
   * How strong, in the order of the curve: pixels (down, to the right), a factor (scale, contrast), degrees anticlockwise, a
   * standard deviation in pixels (blur) or of values (noise), what is added to each value (brightness). With several
   * transforms by their names, as `{ rotation: [0, 90], scale: [1, 2] }`.
   * @default translations by up to a quarter of the side, scales of 0.6 to 1.8, a whole turn in steps of 15 degrees, …
   */
  values?: readonly number[] | Readonly<Record<string, readonly number[]>>;
  /** The layer whose codes are compared; or `layers`, for several. */
  @text()
  layer?: string;
  /**
   * Several layers, in the order wanted.
   * @default the first convolution, and what the classifier, the last layer with weights, reads
   */
  @arrayOf("layers' names")
  layers?: readonly string[];
  /**
   * Which class, label or number of the output is followed.
   * @default the image's own label where it is one of the model's, else what is predicted for the image as it is
   */
  target?: Target;
  /**
   * What stands where no pixel of the image came to: `"grey"`, `"zero"`, `"mean"`, `"blurred"`, `"noise"`, a grey of 0…255, a
   * colour or an image.
   * @default "mean"
   */
  baseline: Baseline = "mean";
  /**
   * Of noise, and of the intervals.
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

/** The first convolution, and what the last layer with weights reads. */
function defaultLayers(model: Model): string[] {
  const [first] = walkOf(model, /Conv/, Infinity);
  const last = beforeLast(model);
  return first === undefined || first === last ? [last] : [first, last];
}

/**
 * Transforms images ever more strongly and compares each layer's code with that of the image as it is: how far it is
 * (invariance), how far it is from the moved map of the image as it is (equivariance), and what becomes of the class.
 *
 * The images are transformed as the model sees them, in its pixels.
 *
 * @param model the model; nothing on it changes
 * @param images an image, several, or a data set
 * @returns `rows` `{ transform, layer, value, distance, probability, … }`: means over the images with intervals of 95 %; `each`
 *   image by itself; `between`, how far the codes of different images are from each other
 * @throws {RangeError} if a layer or a transform does not exist, `values` are empty, or a scale is not above 0
 * @throws {TypeError} if images that are no pictures are to be moved, turned or scaled, or the target is none of the output's
 *
 * @example
 * ```ts
 * import { invariance, loadModel, photo } from "@convlens/convlens";
 * const model = await loadModel("cifar-convnet");
 * const { rows } = await invariance(model, [await photo("dog"), await photo("tabby")], {
 *   transform: "rotation",
 *   values: [0, 45, 90],
 *   layers: ["conv1", "conv4"],
 * });
 * console.log(rows.map(({ layer, value, distance, probability }) => ({ layer, value, distance, probability })));
 * ```
 */
export async function invariance(
  model: Model,
  images: ImageLike | readonly ImageLike[] | Dataset,
  options: Partial<InvarianceOptions> = {},
): Promise<Invariance> {
  const asker = "invariance";
  checkModel(asker, model);
  const { transform, values, target, baseline, seed, ...run } = readOptions(asker, InvarianceOptions, options);
  const { batchSize, signal, onProgress } = run;
  checkBaseline(baseline, model);
  const asked = transform ?? (model.dimensions === 2 ? ["vertical translation", "scale", "rotation"] : "noise");
  const transforms = [asked].flat().map((one) => transformOf(one as TransformName));
  transforms.forEach((one) => checkTransform(one, model.dimensions));
  const output = new OutputAsked(asker, model, target);
  const several = isDataset(images) || Array.isArray(images) ? images as readonly ImageLike[] | Dataset : [images];
  const reader = new ImagesReader(asker, model, several as readonly ImageLike[] | Dataset, run);
  await checkReady(asker, model);
  const layers = layersAsked(asker, model, run, () => defaultLayers(model));
  const curves = curvesOf(transforms, values);
  const walk = new InvarianceWalk(model, reader, { transforms, curves, layers, output, baseline, seed });
  await withProgress(
    `Invariance of ${model.name}`,
    reader.size,
    (onProgress) => walk.run({ batchSize, signal, onProgress }),
    onProgress,
    reader,
  );
  return new Invariance({
    ...walk.found,
    transforms: transforms.map(({ name, unit }) => ({ name, unit })),
    layers: layers.map((layer) => ({ layer, stride: model.layer(layer).receptiveField?.stride ?? null })),
    output: output.description,
    seed,
    skipped: reader.skipped,
    names: { model: model.name, images: reader.isSet ? reader.name : "" },
  });
}
