/**
 * What the model says an image is.
 *
 * @module
 */

import type { NdArrayLike } from "../array.ts";
import type { Dataset } from "../data/dataset.ts";
import { nameOfGiven, toGiven } from "../data/given.ts";
import type { ImageLike } from "../data/image.ts";
import { tileOf } from "../data/sample.ts";
import type { ImageView } from "../model/inputs.ts";
import { checkModel, checkReady, type Model } from "../model/model.ts";
import { warnOnce } from "../model/preflight.ts";
import type { ModelOutput } from "../model/output.ts";
import { readOptions, WalkOptions, whole } from "../options.ts";
import { item } from "../probe/forward.ts";
import { forwardAll, forwardEach } from "../scan/forward_all.ts";
import { type Kept, Prediction } from "../results/prediction.ts";
import { collectPredictions, type Predictions } from "../results/predictions.ts";
import { withProgress } from "../results/progress.ts";
import { type ImagesLike, readerOf } from "./shared/images.ts";
import { predictedOf } from "./shared/predicted.ts";

/** What `predict` can be asked for. */
export class PredictOptions extends WalkOptions {
  /**
   * How many classes or labels to keep, the likeliest first; of numbers, how many of the outputs, from the first on.
   * @default 5; of numbers all
   */
  @whole(1)
  top?: number;
  /**
   * Of many images, how many run at once, at most.
   * @default 16
   */
  override batchSize = 16;
}

/** Of a data set this is the longest side of the pictures that are kept; smaller ones of many images, so that all take about so many bytes. */
const LARGEST_KEPT = 104;
const LEAST_KEPT = 32;
const KEPT_BYTES = 64e6;

/**
 * Says what a model puts out for an image, or for many: the likeliest classes or labels, the numbers of a regression, or a
 * map, whose answers are drawn on the photo; of several outputs each.
 *
 * What the numbers are, `model.output` says: probabilities are taken as they are (one sigmoid unit makes two rows), logits
 * go through a softmax or a sigmoid, and the caption says so; numbers stay as they are.
 *
 * @param model what to ask
 * @param image an image, a path, or pixels `[h, w, 3]` of 0…255; or an array of these, or a data set, which run in
 *   batches (on WASM over all cores) under a progress bar
 * @returns rows `{ label, index, probability }`, the likeliest first, or `{ label, index, value }` where the outputs are no
 *   probabilities; of maps of classes also `share`, of how many places it takes, with the classes in `map`, `[h, w]`, and the
 *   probabilities or numbers in `values`, `[h, w, c]`; of several outputs those of `model.output`, and of all `outputs`; for an array or a data set {@linkcode Predictions}, an
 *   array with one {@linkcode Prediction} an image, which shows itself as one contact sheet; images of a data set that cannot be read are left
 *   out and are listed in its `skipped`
 * @throws {RangeError} if `top` is not a whole number ≥ 1, or the network puts out a number that is not finite
 * @throws {TypeError} if the model does not read images
 *
 * @example
 * ```ts
 * import { loadModel, photo, predict } from "@convlens/convlens";
 *
 * const model = await loadModel("resnet50");
 * const [dog, cat] = await predict(model, [await photo("dog"), await photo("cat")], { top: 3 });
 * console.log(dog.rows[0].label, cat.rows[0].probability);
 * ```
 */
export async function predict(model: Model, image: ImageLike, options?: Partial<PredictOptions>): Promise<Prediction>;
/** Classifies many images: an array of predictions that shows itself as one figure. */
export async function predict(
  model: Model,
  images: readonly ImageLike[] | Dataset,
  options?: Partial<PredictOptions>,
): Promise<Predictions>;
export async function predict(
  model: Model,
  images: ImagesLike,
  options: Partial<PredictOptions> = {},
): Promise<Prediction | Predictions> {
  checkModel("predict", model);
  const { top, ...run } = readOptions("predict", PredictOptions, options);
  await checkReady("predict", model);
  const { output, outputs } = model;
  const predicted = (
    made: readonly NdArrayLike[],
    { view, name, ...known }: Pick<ImageView, "view" | "name"> & Partial<ImageView>,
    kept: Kept,
    side?: number,
  ) => {
    const parts = outputs.map((one, i) =>
      predictedOf(one, made[i].data, { shape: made[i].shape, name, top, named: outputs.length > 1, side })
    );
    const shown = parts[output.index];
    const right = knowsLabel(output, known.label) ? shown.rows[0].label === known.label : undefined;
    return new Prediction(shown, kept, {
      model: model.name,
      image: name,
      seen: model.shown(view).shape,
      right,
      ...known,
    }, parts);
  };
  const all = outputs.map(({ index }) => index);
  const reader = readerOf("predict", model, images, run);
  if (!reader) {
    const source = await toGiven(images as ImageLike);
    const view = await model.view(source);
    await warnOnce(model, model.input(view));
    const onProgress = (done: number) => run.onProgress?.(done, 1);
    const made = await forwardAll(model, [model.input(view)], all, { ...run, onProgress });
    return predicted(made.map((array) => item(array, 0)), { view, name: nameOfGiven(source) }, model.shown(view));
  }
  const side = Math.min(LARGEST_KEPT, Math.max(LEAST_KEPT, Math.floor(Math.sqrt(KEPT_BYTES / (3 * reader.size)))));
  const waiting: ImageView[] = [];
  const predictions: Prediction[] = [];
  const receive = async (made: NdArrayLike[]) => {
    await warnOnce(model, model.input(waiting[0].view));
    waiting.splice(0, made[0].shape[0]).forEach((image, i) => {
      const { id, label, view } = image;
      const known = { name: reader.nameOf(image), ...reader.isSet && { id, label }, view };
      const [kept, most] = reader.isSet ? [small(model.shown(view), side), side] : [model.shown(view)];
      predictions.push(predicted(made.map((array) => item(array, i)), known, kept, most));
    });
  };
  await withProgress(
    `Classifying with ${model.name}`,
    reader.size,
    (onProgress) =>
      forwardEach(model, reader.inputs((image) => waiting.push(image)), all, receive, {
        ...run,
        onProgress,
      }),
    run.onProgress,
    reader,
  );
  return collectPredictions(predictions, `${model.name} · predictions`, reader.skipped);
}

/** Whether a label is one that the model can say of an image. */
function knowsLabel({ kind, labels }: ModelOutput, label?: string): boolean {
  return label !== undefined && (kind === "classes" || kind === "binary") && labels.includes(label);
}

/** A picture no larger than those that are kept of a data set, in bytes. */
function small(view: NdArrayLike, side: number): Kept {
  const { data, width, height } = tileOf(view, side);
  return { data: new Uint8ClampedArray(data.buffer), shape: [height, width, 3] };
}
