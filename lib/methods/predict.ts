/**
 * What the model says an image is.
 *
 * @module
 */

import { type ImageLike, toImage } from "../data/image.ts";
import { checkModel, type Model } from "../model/model.ts";
import { abortSignal, callback, readOptions, whole } from "../options.ts";
import { item } from "../probe/forward.ts";
import { forwardAll } from "../scan/forward_all.ts";
import { Prediction, type PredictRow } from "../results/prediction.ts";
import { withProgress } from "../results/progress.ts";
import { collect, type Collection } from "../results/result.ts";

/** What `predict` can be asked for. */
export class PredictOptions {
  /**
   * How many classes or labels to keep, the likeliest first; of numbers, how many of the outputs, from the first on.
   * @default 5; of numbers all
   */
  @whole(1)
  top?: number;
  /**
   * Of many images, how many run at once: what bounds memory.
   * @default 16
   */
  @whole(1)
  batchSize = 16;
  /** Stops between batches. */
  @abortSignal()
  signal?: AbortSignal;
  /** Called after each batch with how many images are done, and of how many. */
  @callback()
  onProgress?: (done: number, total: number) => void;
}

/**
 * Says what a model puts out for an image, or for many: the likeliest classes or labels, or the numbers of a regression.
 *
 * What the numbers are, `model.output` says: probabilities are taken as they are (one sigmoid unit makes two rows), logits
 * go through a softmax or a sigmoid, and the caption says so; numbers stay as they are.
 *
 * @param model what to ask
 * @param image an image, a path, or pixels `[h, w, 3]` of 0…255; or an array of these, which runs in batches (on WASM
 *   over all cores) under a progress bar
 * @returns rows `{ label, index, probability }`, the likeliest first, or `{ label, index, value }` where the outputs are no
 *   probabilities; for an array a {@linkcode Collection} with one
 *   {@linkcode Prediction} an image, which shows itself as one figure
 * @throws {RangeError} if `top` is not a whole number ≥ 1
 * @throws {TypeError} if the model puts out maps, or does not read images
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
  images: readonly ImageLike[],
  options?: Partial<PredictOptions>,
): Promise<Collection<Prediction>>;
export async function predict(
  model: Model,
  images: ImageLike | readonly ImageLike[],
  options: Partial<PredictOptions> = {},
): Promise<Prediction | Collection<Prediction>> {
  checkModel("predict", model);
  const { top, batchSize, signal, onProgress } = readOptions("predict", PredictOptions, options);
  const { output } = model;
  output.checkVector(`For maps use activations(model, image, { layer: ${JSON.stringify(output.layer)} }).`);
  const many = Array.isArray(images);
  const sources = await Promise.all((many ? images as readonly ImageLike[] : [images as ImageLike]).map(toImage));
  const views = await Promise.all(sources.map((source) => model.view(source)));
  const inputs = views.map((view) => model.input(view));
  const run = (onProgress?: (done: number) => void) =>
    forwardAll(model, inputs, [output.index], { batchSize, signal, onProgress });
  const [outputs] = many
    ? await withProgress(`Classifying with ${model.name}`, inputs.length, run, onProgress)
    : await run((done) => onProgress?.(done, 1));

  const isNumbers = output.kind === "numbers";
  const predictions = views.map((view, i) => {
    const rows = Array.from(output.values(item(outputs, i).data), (value, index): PredictRow => ({
      label: output.labels[index],
      index,
      ...isNumbers ? { value } : { probability: value },
    }));
    // The likeliest first; numbers stay in their order.
    if (!isNumbers) rows.sort((a, b) => b.probability! - a.probability! || a.index - b.index);
    return new Prediction(rows.slice(0, top ?? (isNumbers ? undefined : 5)), view, {
      kind: output.kind,
      activation: output.reading,
      which: output.which,
    }, { model: model.name, image: sources[i].name });
  });
  return many ? collect(predictions, `${model.name} · predictions`) : predictions[0];
}
