/**
 * Codes: what a layer makes of each image of a data set, as one vector an image.
 *
 * The vectors behind the maps of Karpathy's "t-SNE visualization of CNN codes" and of cs231n's "Understanding and
 * visualizing convolutional neural networks".
 *
 * @module
 */

import type { SymbolicTensor } from "npm:@tensorflow/tfjs@4.22.0";
import { type NdArray, sizeOf } from "../array.ts";
import { resize } from "../codec.ts";
import { type CodesPart, readCodes } from "../data/codes_file.ts";
import type { Dataset } from "../data/dataset.ts";
import { kindOf } from "../errors.ts";
import { InputReader } from "../model/inputs.ts";
import { checkModel, checkReady, type Model } from "../model/model.ts";
import { readOptions, text, WalkOptions, whole } from "../options.ts";
import { Codes, type CodesFile } from "../results/codes.ts";
import { type CodesKeeper, keepInFile, keepInMemory } from "../results/codes_keeper.ts";
import { withProgress } from "../results/progress.ts";
import { forwardEach } from "../scan/forward_all.ts";

/** The options of `codes`. */
export class CodesOptions extends WalkOptions {
  /**
   * The layer that puts the codes out; feature maps are laid out as one vector.
   * @default what the classifier, the last layer with weights, reads
   */
  @text()
  layer?: string;
  /**
   * The side of the small pictures that are kept to show the images; 0 keeps none.
   * @default 32
   */
  @whole(0)
  thumbnail = 32;
  /**
   * A Parquet file to write the codes to, batch by batch, so that they may be more than memory holds: `"codes.parquet"`.
   * {@linkcode loadCodes} reads it, and so do pandas, Polars and DuckDB: columns `id`, `label`, `prediction`, `layer`,
   * `about`, `thumbnail` (the RGB bytes of the small picture) and `code` (a list of 32-bit floats). It appears when it is
   * complete. A file that is there already is replaced only if it holds as many codes of the same model, layer and data
   * set.
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
function isClassifierBehind({ layers, output }: Model, layer: string): boolean {
  if (output.kind !== "classes" && output.kind !== "binary") return false;
  const place = layers.findIndex(({ name }) => name === layer);
  return layers.slice(place + 1).filter(({ params }) => params > 0).length <= 1;
}

/** The layer that the last layer with weights reads, on the way to the output. */
function beforeLast({ network, output, name, layers }: Model): string {
  const inputsOf = ({ sourceLayer, nodeIndex }: SymbolicTensor) => sourceLayer.inboundNodes[nodeIndex].inputTensors;
  let tensor: SymbolicTensor | undefined = network.outputs[output.index];
  while (tensor && tensor.sourceLayer.countParams() === 0) tensor = inputsOf(tensor)[0];
  const before = tensor && inputsOf(tensor)[0]?.sourceLayer.name;
  if (before && layers.some((layer) => layer.name === before)) return before;
  throw new RangeError(
    `${JSON.stringify(name)} has no layer before its last one with weights: name the layer that puts the codes out.`,
  );
}

/**
 * Runs all images of a data set through a model and keeps what one layer puts out, as one vector an image. Images are
 * read and run in batches: memory holds the codes and the small pictures; with `file` only some batches of them.
 *
 * @param model the model; nothing on it changes
 * @param dataset the images
 * @returns `data` and `shape` `[n, d]`, `ids`, `labels`: an array that `pca`, `tsne` and `neighbors` take; with `file`
 *   what is in the file, without the codes
 * @throws {TypeError} if the model or the data set is none
 * @throws {RangeError} if the layer does not exist, there is no image, or the file exists and holds something else
 *
 * @example
 * ```ts
 * import { cifar10, codes, loadModel, pca, tsne } from "@convlens/convlens";
 * const images = await codes(await loadModel("cifar-convnet"), await cifar10({ split: "test", limit: 2000 }));
 * await tsne(pca(images, { components: 50 }));
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
  options: Partial<CodesOptions> & { file: string },
): Promise<CodesFile>;
/** As above, but the codes are kept in memory. */
export function codes(
  model: Model,
  dataset: Dataset,
  options?: Partial<CodesOptions> & { file?: undefined },
): Promise<Codes>;
export async function codes(
  model: Model,
  dataset: Dataset,
  options: Partial<CodesOptions> = {},
): Promise<Codes | CodesFile> {
  checkModel("codes", model);
  const { thumbnail, file, ...run } = readOptions("codes", CodesOptions, options);
  const { batchSize, signal, onProgress } = run;
  const reader = new InputReader("codes", model, dataset, run);
  await checkReady("codes", model);
  const { layer = beforeLast(model) } = run;
  model.layer(layer);
  const { size } = reader;
  const isClassifier = isClassifierBehind(model, layer);
  const about = { layer, about: `${model.name} · ${layer} · ${dataset.name}` };
  const keeper: CodesKeeper<Codes | CodesFile> = file === undefined
    ? keepInMemory(size, about)
    : await keepInFile(file, size, about, { predictions: isClassifier, pictures: thumbnail > 0 });
  /** Images that are on their way through the model, in their order. */
  const waiting: { id: string; label?: string; picture: Float32Array }[] = [];
  const inputs = reader.inputs(({ id, label, view }) => {
    waiting.push({ id, label, picture: pictureOf(view, thumbnail) });
  });
  const receive = async ([output, scores = output]: NdArray[], start: number) => {
    const count = output.shape[0];
    const images = waiting.splice(0, count);
    const part: CodesPart = {
      ids: images.map(({ id }) => id),
      labels: images.map(({ label }) => label),
      codes: { data: output.data, shape: [count, sizeOf(output.shape.slice(1))] },
      ...(isClassifier && { predictions: likeliest(scores, model) }),
      ...(thumbnail > 0 && { pictures: joined(images.map(({ picture }) => picture)) }),
    };
    await keeper.add(part, start);
  };
  try {
    const layers = isClassifier ? [layer, model.output.index] : [layer];
    return await withProgress(
      `Codes of ${model.name} · ${layer}`,
      size,
      async (update) => {
        await forwardEach(model, inputs, layers, receive, { batchSize, signal, onProgress: update });
        return await keeper.finish(reader.skipped);
      },
      onProgress,
      reader,
    );
  } catch (error) {
    await keeper.abandon?.();
    throw error;
  }
}

/** A picture as small as is wanted; nothing where none is. */
function pictureOf(view: NdArray, side: number): Float32Array {
  const [height, width] = view.shape;
  if (side === 0) return new Float32Array();
  return height === side && width === side ? view.data : resize(view, [side, side]).data;
}

/** Pictures one behind the other, rounded to bytes. */
function joined(pictures: readonly Float32Array[]): Uint8Array {
  const bytes = new Uint8ClampedArray(pictures.length * pictures[0].length);
  pictures.forEach((picture, i) => bytes.set(picture, i * picture.length));
  return new Uint8Array(bytes.buffer);
}

/** The name of the likeliest class of each image. */
function likeliest({ data, shape: [count] }: NdArray, { output }: Model): string[] {
  const each = data.length / count;
  return Array.from({ length: count }, (_, i) => {
    const values = output.values(data.subarray(i * each, (i + 1) * each));
    return output.labels[output.predicted(values)];
  });
}

/**
 * Reads codes from a Parquet file that `codes` wrote, or another program that kept its columns `id`, `layer`, `about` and
 * `code` (and `label`, `prediction`, `thumbnail`, if they are there), as when rows have been picked with DuckDB.
 *
 * @param path the file
 * @returns the codes, equal to the bit
 * @throws {RangeError} if there is no such file, it holds no codes, or codes of several layers or lengths
 *
 * @example
 * ```ts
 * import { loadCodes, pca, tsne } from "@convlens/convlens";
 * const photos = await loadCodes("photos.parquet");
 * await tsne(pca(photos, { components: 50 }));
 * ```
 */
export async function loadCodes(path: string): Promise<Codes> {
  if (typeof path !== "string") throw new TypeError(`loadCodes wants a path: received ${kindOf(path)}.`);
  const found = await readCodes(path);
  return new Codes(found, found);
}
