/**
 * Codes: what a layer makes of each image of a data set, as one vector an image.
 *
 * The vectors behind the maps of Karpathy's "t-SNE visualization of CNN codes" and of cs231n's "Understanding and
 * visualizing convolutional neural networks".
 *
 * @module
 */

import type { LayersModel } from "npm:@tensorflow/tfjs@4.22.0";
import { type NdArray, sizeOf } from "../array.ts";
import { resize } from "../codec.ts";
import { checkReplaceable, type CodesPart, CodesWriter, readCodes } from "../data/codes_file.ts";
import type { Dataset } from "../data/dataset.ts";
import { type DataFrame, toDataFrame } from "../data/table.ts";
import type { KnownPoints } from "../embed/points.ts";
import { checkOptions, kindOf } from "../errors.ts";
import { codesFigure, CodesSample, zerosIn } from "../results/codes_figure.ts";
import { type Figure, Shown } from "../figure/figure.ts";
import { withProgress } from "../results/progress.ts";
import { InputReader } from "../model/inputs.ts";
import { checkModel, type Model } from "../model/model.ts";
import { forwardEach } from "../scan/forward_all.ts";

export interface CodesOptions {
  /**
   * The layer that puts the codes out; maps are laid out as one vector.
   * @default what the classifier, the last layer with weights, reads
   */
  layer?: string;
  /**
   * The side of the small pictures that are kept to show the images; 0 keeps none.
   * @default 32
   */
  thumbnail?: number;
  /**
   * A Parquet file to write the codes to, batch by batch, so that they may be more than memory holds: `"codes.parquet"`.
   * {@linkcode loadCodes} reads it, and so do pandas, Polars and DuckDB: columns `id`, `label`, `prediction`, `layer`,
   * `about`, `thumbnail` (the RGB bytes of the small picture) and `code` (a list of 32-bit floats). It appears when it is
   * complete. A file that is there already is replaced only if it holds as many codes of the same model, layer and data
   * set.
   * @default none: they are kept in memory
   */
  file?: string;
  /**
   * How many images run at once.
   * @default 16
   */
  batchSize?: number;
  /** Ends the pass. */
  signal?: AbortSignal;
  /** Called after each batch with the number of images done. */
  onProgress?: (done: number, total: number) => void;
}

/** One image: a row of the table. */
export interface CodeRow {
  id: string;
  label: string | null;
  /** Where predictions were kept. */
  prediction?: string;
}

/** Codes of images: points `[n, d]` that know their images. */
export class Codes extends Shown implements KnownPoints {
  /** Row by row, one an image. */
  readonly data: Float32Array;
  /** `[n, d]` */
  readonly shape: readonly [count: number, length: number];
  /** The id of each image. */
  readonly ids: readonly string[];
  /** The label of each image; undefined where it has none. */
  readonly labels: readonly (string | undefined)[];
  /**
   * What the model takes each image for, its likeliest class: kept where the codes are what the classifier reads, or
   * what it puts out.
   */
  readonly predictions?: readonly string[];
  /** The layer that put them out. */
  readonly layer: string;
  /** Small pictures, `[n, side, side, 3]`, one byte a value; absent where none were asked for. */
  readonly thumbnails?: { readonly data: Uint8Array; readonly side: number };
  /** What they are, in a few words. */
  readonly about: string;

  constructor(
    codes: NdArray,
    about: Pick<Codes, "ids" | "labels" | "predictions" | "layer" | "about" | "thumbnails">,
  ) {
    super();
    this.data = codes.data;
    this.shape = [codes.shape[0], codes.shape[1]];
    this.ids = about.ids;
    this.labels = about.labels;
    this.predictions = about.predictions;
    this.layer = about.layer;
    this.about = about.about;
    this.thumbnails = about.thumbnails;
  }

  /** Share of the numbers that are exactly 0. */
  get sparsity(): number {
    return zerosIn(this.data) / this.data.length;
  }

  /** The images, without their codes. */
  get rows(): CodeRow[] {
    return this.ids.map((id, i) => ({
      id,
      label: this.labels[i] ?? null,
      ...(this.predictions && { prediction: this.predictions[i] }),
    }));
  }

  /** The rows as a Polars DataFrame, made when asked for. */
  get table(): Promise<DataFrame> {
    return toDataFrame(this.rows);
  }

  override figure(): Figure {
    const sample = new CodesSample(this.shape[0]);
    sample.add(this, 0);
    return codesFigure(this, sample, { sparsity: this.sparsity });
  }
}

/** Codes that stand in a file; in a cell some of them. {@linkcode loadCodes} takes them into memory. */
export class CodesFile extends Shown {
  readonly path: string;
  /** `[n, d]` */
  readonly shape: readonly [count: number, length: number];
  /** The layer that put them out. */
  readonly layer: string;
  /** What they are, in a few words. */
  readonly about: string;
  /** Share of the numbers that are exactly 0. */
  readonly sparsity: number;
  readonly #sample: CodesSample;

  constructor(
    path: string,
    shape: readonly [number, number],
    { layer, about, sparsity }: Pick<CodesFile, "layer" | "about" | "sparsity">,
    sample: CodesSample,
  ) {
    super();
    this.path = path;
    this.shape = shape;
    this.layer = layer;
    this.about = about;
    this.sparsity = sparsity;
    this.#sample = sample;
  }

  override figure(): Figure {
    return codesFigure(this, this.#sample, { sparsity: this.sparsity, file: this.path });
  }
}

/** The last layer, where it tells several classes apart at little more cost than the codes of `layer`. */
function classesAfter(model: Model, layer: string): string | undefined {
  const last = model.layers.at(-1)!;
  const [classes, ...rest] = last.outputShape;
  if (rest.length > 0 || (classes ?? 0) < 2) return undefined;
  const place = model.layers.findIndex(({ name }) => name === layer);
  const weighty = model.layers.slice(place + 1).filter(({ params }) => params > 0);
  return weighty.length <= 1 ? last.name : undefined;
}

/** The layer that the classifier reads: the last layer with weights of its own. */
function beforeClassifier(model: Model): string {
  const classifier = model.layers.findLast(({ params }) => params > 0);
  const layer = classifier && model.network.getLayer(classifier.name);
  const before = layer?.inboundNodes[0]?.inboundLayers[0];
  const names = (model.network as LayersModel).layers.map(({ name }) => name);
  if (!before || !names.includes(before.name)) {
    throw new RangeError(`${model.name} has no layer before its classifier: name the layer that puts the codes out.`);
  }
  return before.name;
}

/** Takes codes part by part, in their order, and makes a result of them. */
interface Keeper<Result> {
  add(part: CodesPart, start: number): void | Promise<void>;
  finish(): Result | Promise<Result>;
  /** Whatever happened: nothing half done is left. */
  abandon?(): Promise<void>;
}

/** Keeps codes in memory. */
function inMemory(size: number, { layer, about }: { layer: string; about: string }): Keeper<Codes> {
  let data = new Float32Array();
  let pictures = new Uint8Array();
  let length = 0;
  const ids: string[] = [];
  const labels: (string | undefined)[] = [];
  const predictions: string[] = [];
  return {
    add({ codes, ids: names, pictures: some, ...part }, start) {
      if (start === 0) {
        length = codes.shape[1];
        data = new Float32Array(size * length);
        pictures = new Uint8Array(some ? some.length / names.length * size : 0);
      }
      data.set(codes.data, start * length);
      if (some) pictures.set(some, start * (some.length / names.length));
      ids.push(...names);
      labels.push(...part.labels);
      predictions.push(...part.predictions ?? []);
    },
    finish: () =>
      new Codes({ data, shape: [size, length] }, {
        ids,
        labels,
        ...(predictions.length > 0 && { predictions }),
        layer,
        about,
        ...(pictures.length > 0 && { thumbnails: { data: pictures, side: Math.sqrt(pictures.length / size / 3) } }),
      }),
  };
}

/** Keeps codes in a file. */
async function inFile(
  path: string,
  size: number,
  about: { layer: string; about: string },
  has: { predictions: boolean; pictures: boolean },
): Promise<Keeper<CodesFile>> {
  await checkReplaceable(path, about.about, size);
  const writer = await CodesWriter.create(path, about, has);
  const sample = new CodesSample(size);
  let length = 0;
  let zeros = 0;
  return {
    async add(part, start) {
      length = part.codes.shape[1];
      zeros += zerosIn(part.codes.data);
      sample.add(part.codes, start);
      await writer.add(part);
    },
    async finish() {
      await writer.finish();
      return new CodesFile(path, [size, length], { ...about, sparsity: zeros / (size * length) }, sample);
    },
    abandon: () => writer.abandon(),
  };
}

/**
 * Runs all images of a data set through a model and keeps what one layer puts out, as one vector an image. Images are
 * read and run in batches: in memory stand the codes and the small pictures; with `file` only some batches of them.
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
 * const images = await codes(model, await cifar10({ split: "test", limit: 2000 }));
 * await tsne(pca(images, { components: 50 }).points);
 * ```
 *
 * @example More than fits into memory
 * ```ts
 * await codes(model, await imageFolder("photos"), { file: "photos.parquet" });
 * const photos = await loadCodes("photos.parquet");
 * ```
 */
export function codes(model: Model, dataset: Dataset, options: CodesOptions & { file: string }): Promise<CodesFile>;
export function codes(
  model: Model,
  dataset: Dataset,
  options?: CodesOptions & { file?: undefined },
): Promise<Codes>;
export async function codes(
  model: Model,
  dataset: Dataset,
  options: CodesOptions = {},
): Promise<Codes | CodesFile> {
  checkModel("codes", model);
  const reader = new InputReader("codes", model, dataset);
  checkOptions("codes", options, {
    layer: true,
    thumbnail: true,
    file: true,
    batchSize: true,
    signal: true,
    onProgress: true,
  });
  const { layer = beforeClassifier(model), thumbnail = 32, file, batchSize, signal, onProgress } = options;
  model.layer(layer);
  const { size } = reader;
  if (!Number.isInteger(thumbnail) || thumbnail < 0) {
    throw new RangeError(`thumbnail must be a whole number ≥ 0: received ${thumbnail}.`);
  }
  if (file !== undefined && typeof file !== "string") {
    throw new TypeError(`file is the path of a Parquet file to write: received ${kindOf(file)}.`);
  }
  const classes = classesAfter(model, layer);
  const about = { layer, about: `${model.name} · ${layer} · ${dataset.name}` };
  const keeper: Keeper<Codes | CodesFile> = file === undefined
    ? inMemory(size, about)
    : await inFile(file, size, about, { predictions: classes !== undefined, pictures: thumbnail > 0 });
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
      ...(classes !== undefined && { predictions: likeliest(scores, model) }),
      ...(thumbnail > 0 && { pictures: joined(images.map(({ picture }) => picture)) }),
    };
    await keeper.add(part, start);
  };
  try {
    return await withProgress(`Codes of ${model.name} · ${layer}`, size, async (update) => {
      await forwardEach(model, inputs, classes ? [layer, classes] : [layer], receive, {
        batchSize,
        signal,
        onProgress: (done, total) => {
          update(done);
          onProgress?.(done, total);
        },
      });
      return await keeper.finish();
    });
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
function likeliest({ data, shape: [count, classes] }: NdArray, model: Model): string[] {
  return Array.from({ length: count }, (_, i) => {
    const row = data.subarray(i * classes, (i + 1) * classes);
    const best = row.indexOf(row.reduce((a, b) => Math.max(a, b), -Infinity));
    return model.labels?.[best] ?? `class ${best}`;
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
 * const photos = await loadCodes("photos.parquet");
 * await tsne(pca(photos, { components: 50 }).points);
 * ```
 */
export async function loadCodes(path: string): Promise<Codes> {
  if (typeof path !== "string") throw new TypeError(`loadCodes wants a path: received ${kindOf(path)}.`);
  const found = await readCodes(path);
  return new Codes(found, found);
}
