/**
 * What the model says an image is.
 *
 * @module
 */

import { softmax } from "../array.ts";
import { type ImageLike, toImage } from "../data/image.ts";
import { checkModel, type Model } from "../model/model.ts";
import { abortSignal, callback, readOptions, whole } from "../options.ts";
import { item } from "../probe/forward.ts";
import { forwardAll } from "../scan/forward_all.ts";
import { Prediction } from "../results/prediction.ts";
import { withProgress } from "../results/progress.ts";
import { collect, type Collection } from "../results/result.ts";

/** What `predict` can be asked for. */
export class PredictOptions {
  /**
   * How many classes to keep, the likeliest first.
   * @default 5
   */
  @whole(1)
  top = 5;
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
 * Classifies an image, or many.
 *
 * The model's last layer must put out one number a class. Where its activation is softmax, or sigmoid, the numbers are
 * taken as they are (one sigmoid unit makes two rows); otherwise they are taken for logits and go through a softmax,
 * and the caption says so.
 *
 * @param model what to ask
 * @param image an image, a path, or pixels `[h, w, 3]` of 0…255; or an array of these, which runs in batches (on WASM
 *   over all cores) under a progress bar
 * @returns rows `{ label, index, probability }`, the likeliest first; for an array a {@linkcode Collection} with one
 *   {@linkcode Prediction} an image, which shows itself as one figure
 * @throws {RangeError} if `top` is not a whole number ≥ 1
 * @throws {TypeError} if the model does not put out one number a class, or does not read images
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
  const last = model.layers.at(-1)!;
  if (last.outputShape.length !== 1) {
    throw new TypeError(
      `The last layer of ${JSON.stringify(model.name)}, ${JSON.stringify(last.name)}, puts out ` +
        `[${last.outputShape.join(", ")}]; predict wants one number a class.`,
    );
  }
  const many = Array.isArray(images);
  const sources = await Promise.all((many ? images as readonly ImageLike[] : [images as ImageLike]).map(toImage));
  const views = await Promise.all(sources.map((source) => model.view(source)));
  const inputs = views.map((view) => model.input(view));
  const run = (onProgress?: (done: number) => void) =>
    forwardAll(model, inputs, [last.name], { batchSize, signal, onProgress });
  const [output] = many
    ? await withProgress(`Classifying with ${model.name}`, inputs.length, run, onProgress)
    : await run((done) => onProgress?.(done, 1));

  const config = model.network.getLayer(last.name).getConfig();
  const named = last.kind === "Softmax" ? "softmax" : String(config["activation"] ?? "linear");
  const activation = named === "softmax" || named === "sigmoid" ? named : "softmax of logits";
  const predictions = views.map((view, i) => {
    const values = item(output, i).data;
    const probabilities = Array.from(activation === "softmax of logits" ? softmax(values) : values);
    if (probabilities.length === 1 && activation === "sigmoid") probabilities.unshift(1 - probabilities[0]);
    const rows = probabilities
      .map((probability, index) => ({ label: model.labels?.[index] ?? `class ${index}`, index, probability }))
      .sort((a, b) => b.probability - a.probability || a.index - b.index)
      .slice(0, top);
    return new Prediction(rows, view, activation, { model: model.name, image: sources[i].name });
  });
  return many ? collect(predictions, `${model.name} · predictions`) : predictions[0];
}
