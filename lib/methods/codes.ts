/**
 * Codes: what a layer makes of each image of a data set, as one vector an image.
 *
 * The vectors behind the maps of Karpathy's "t-SNE visualization of CNN codes" and of cs231n's "Understanding and
 * visualizing convolutional neural networks".
 *
 * @module
 */

import { type NdArrayLike, sizeOf } from "../array.ts";
import { type CodesPart, layersText } from "../data/codes_file.ts";
import type { Dataset } from "../data/dataset.ts";
import { portraitOf } from "../data/sample.ts";
import { InputReader } from "../model/inputs.ts";
import { checkModel, checkReady, type Model } from "../model/model.ts";
import { arrayOf, oneOf, readOptions, text, WalkOptions, whole } from "../options.ts";
import type { LayerWanted } from "../probe/forward.ts";
import type { Codes, CodesFile } from "../results/codes.ts";
import { type CodesKeeper, keepInFile, keepInMemory } from "../results/codes_keeper.ts";
import { withProgress } from "../results/progress.ts";
import { collect, type Collection } from "../results/result.ts";
import { resize } from "../resize/resize.ts";
import { forwardEach } from "../scan/forward_all.ts";
import { beforeLast, layersAsked } from "./shared/layers.ts";

/** The options of `codes`. */
export class CodesOptions extends WalkOptions {
  /**
   * The layer that puts the codes out; or `layers`, for several.
   * @default what the classifier, the last layer with weights, reads
   */
  @text()
  layer?: string;
  /** Several layers, in the order wanted: the images run once for all of them, and codes of each come back. */
  @arrayOf("layers' names")
  layers?: readonly string[];
  /**
   * What becomes of feature maps `[h, w, c]`: `"none"` lays them out as one vector of h · w · c numbers; `"mean"` and
   * `"max"` take the mean or the largest value of each map, c numbers. Vectors stay as they are.
   * @default "none"
   */
  @oneOf("none", "mean", "max")
  pool: "none" | "mean" | "max" = "none";
  /**
   * The side of the small pictures that are kept to show the images; 0 keeps none.
   * @default 32
   */
  @whole(0)
  thumbnail = 32;
  /**
   * A Parquet file to write the codes to, batch by batch, so that they may be more than memory holds: `"codes.parquet"`.
   * {@linkcode loadCodes} reads it, and so do pandas, Polars and DuckDB: columns `id`, `label`, `prediction`, `layer`,
   * `about`, `thumbnail` (the RGB bytes of the small picture) and `code` (a list of 32-bit floats); with `layers` a column
   * `code_NAME` for each of them, in the place of `layer` and `code`. It appears when it is complete. A file that is there
   * already is replaced only if it holds as many codes of the same model, layers and data set.
   * @default none: they are kept in memory
   */
  @text()
  file?: string;
  /**
   * How many images run at once, at most.
   * @default 16
   */
  override batchSize = 16;
}

/** Whether the model tells classes apart, at little more cost than the codes of `layer`. */
function isClassifierBehind(model: Model, layer: string): boolean {
  const { output, layers } = model;
  if (output.kind !== "classes" && output.kind !== "binary") return false;
  const behind = layers.slice(layers.indexOf(model.layer(layer)) + 1);
  return behind.filter(({ isModel, params }) => !isModel && params > 0).length <= 1;
}

/**
 * Runs all images of a data set through a model and keeps what one layer puts out, or several, as one vector an image.
 * Images are read and run in batches, once for all layers: memory holds the codes and the small pictures; with `file` only
 * some batches of them.
 *
 * @param model the model; nothing on it changes
 * @param dataset the images
 * @returns `data` and `shape` `[n, d]`, `ids`, `labels`: an array that `pca`, `tsne` and `neighbors` take; with `layers` a
 *   collection of these, one a layer; with `file` what is in the file, without the codes
 * @throws {TypeError} if the model or the data set is none, or both `layer` and `layers` are given
 * @throws {RangeError} if a layer does not exist, there is no image, or the file exists and holds something else
 * @throws {MemoryError} if memory does not hold the codes: use `pool`, `file` or fewer images
 *
 * @example
 * ```ts
 * import { cifar10, codes, loadModel, pca, tsne } from "@convlens/convlens";
 * const images = await codes(await loadModel("cifar-convnet"), await cifar10({ split: "test", limit: 500 }));
 * await tsne(pca(images, { components: 50 }));
 * ```
 *
 * @example Several layers in one pass, the mean of each feature map
 * ```ts
 * import { cifar10, codes, loadModel } from "@convlens/convlens";
 * const model = await loadModel("cifar-convnet");
 * const images = await cifar10({ split: "test", limit: 200 });
 * const [early, late] = await codes(model, images, { layers: ["conv1", "conv4"], pool: "mean" });
 * console.log(early.shape, late.shape);
 * ```
 *
 * @example More than fits into memory
 * ```ts
 * import { codes, imageFolder, loadCodes, loadModel } from "@convlens/convlens";
 * await codes(await loadModel("resnet50"), await imageFolder("photos"), { file: "photos.parquet" });
 * const photos = await loadCodes("photos.parquet");
 * ```
 */
export function codes(
  model: Model,
  dataset: Dataset,
  options: Partial<CodesOptions> & { file: string; layers: readonly string[] },
): Promise<Collection<CodesFile>>;
/** As above, but the codes of several layers are kept in memory. */
export function codes(
  model: Model,
  dataset: Dataset,
  options: Partial<CodesOptions> & { file?: undefined; layers: readonly string[] },
): Promise<Collection<Codes>>;
/** As above, but of one layer in a file. */
export function codes(
  model: Model,
  dataset: Dataset,
  options: Partial<CodesOptions> & { file: string; layers?: undefined },
): Promise<CodesFile>;
/** As above, but of one layer in memory. */
export function codes(
  model: Model,
  dataset: Dataset,
  options?: Partial<CodesOptions> & { file?: undefined; layers?: undefined },
): Promise<Codes>;
export async function codes(
  model: Model,
  dataset: Dataset,
  options: Partial<CodesOptions> = {},
): Promise<Codes | CodesFile | Collection<Codes> | Collection<CodesFile>> {
  checkModel("codes", model);
  const { thumbnail, file, pool, ...run } = readOptions("codes", CodesOptions, options);
  const { batchSize, signal, onProgress } = run;
  const reader = new InputReader("codes", model, dataset, run);
  await checkReady("codes", model);
  const layers = layersAsked("codes", model, run, () => [beforeLast(model)]);
  const { size } = reader;
  const isClassifier = layers.some((layer) => isClassifierBehind(model, layer));
  const aboutText = (text: string) => `${model.name} · ${text}${pool === "none" ? "" : ` (${pool})`} · ${dataset.name}`;
  const each = layers.map((layer) => ({ layer, about: aboutText(layer) }));
  const keeper: CodesKeeper<Codes | CodesFile> = file === undefined
    ? keepInMemory(size, each)
    : await keepInFile(file, each, {
      layers: run.layers ? layers : layers[0],
      about: aboutText(layersText(layers)),
      size,
      predictions: isClassifier,
      pictures: thumbnail > 0,
    });
  /** Images that are on their way through the model, in their order. */
  const waiting: { id: string; label?: string; picture: Float32Array }[] = [];
  const inputs = reader.inputs(({ id, label, view }) => {
    waiting.push({ id, label, picture: pictureOf(model.shown(view), thumbnail) });
  });
  const receive = async (outputs: NdArrayLike[], start: number) => {
    const [{ shape: [count] }] = outputs;
    const images = waiting.splice(0, count);
    const part: CodesPart = {
      ids: images.map(({ id }) => id),
      labels: images.map(({ label }) => label),
      codes: layers.map((_, i) => ({ data: outputs[i].data, shape: [count, sizeOf(outputs[i].shape.slice(1))] })),
      ...(isClassifier && { predictions: likeliest(outputs.at(-1)!, model) }),
      ...(thumbnail > 0 && { pictures: joined(images.map(({ picture }) => picture)) }),
    };
    await keeper.add(part, start);
  };
  try {
    const wanted: LayerWanted[] = layers.map((layer) => pool === "none" ? layer : { layer, pool });
    if (isClassifier) wanted.push(model.output.index);
    const results = await withProgress(
      `Codes of ${model.name} · ${layers.length > 3 ? `${layers.length} layers` : layersText(layers)}`,
      size,
      async (update) => {
        await forwardEach(model, inputs, wanted, receive, { batchSize, signal, onProgress: update });
        return await keeper.finish(reader.skipped);
      },
      onProgress,
      reader,
    );
    return run.layers ? collect(results, aboutText("codes")) as Collection<Codes> : results[0];
  } catch (error) {
    await keeper.abandon?.();
    throw error;
  }
}

/** A picture as small as is wanted; nothing where none is. */
function pictureOf(view: NdArrayLike, side: number): Float32Array {
  if (side === 0) return new Float32Array();
  const image = portraitOf(view, side);
  const [height, width, channels] = image.shape;
  const { data } = height === side && width === side ? image : resize(image, [side, side]);
  // The pictures are kept in colour.
  return Float32Array.from({ length: 3 * side * side }, (_, i) => data[channels === 3 ? i : Math.floor(i / 3)]);
}

/** Pictures one behind the other, rounded to bytes. */
function joined(pictures: readonly Float32Array[]): Uint8Array {
  const bytes = new Uint8ClampedArray(pictures.length * pictures[0].length);
  pictures.forEach((picture, i) => bytes.set(picture, i * picture.length));
  return new Uint8Array(bytes.buffer);
}

/** The name of the likeliest class of each image. */
function likeliest({ data, shape: [count] }: NdArrayLike, { output }: Model): string[] {
  const each = data.length / count;
  return Array.from({ length: count }, (_, i) => {
    const values = output.values(data.subarray(i * each, (i + 1) * each));
    return output.labels[output.predicted(values)];
  });
}
