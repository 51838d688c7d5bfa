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
import type { Dataset } from "../data/dataset.ts";
import type { KnownPoints } from "../embed/points.ts";
import { colorize } from "../figure/color.ts";
import { Figure, Shown } from "../figure/figure.ts";
import { withProgress } from "../figure/progress.ts";
import type { Model } from "../model/model.ts";
import { forwardEach } from "../scan/pool.ts";

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
   * How many images run at once.
   * @default 16
   */
  batchSize?: number;
  /** Ends the pass. */
  signal?: AbortSignal;
  /** Called after each batch with the number of images done. */
  onProgress?: (done: number, total: number) => void;
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
    return this.data.reduce((zeros, value) => zeros + (value === 0 ? 1 : 0), 0) / this.data.length;
  }

  override figure(): Figure {
    const [count, length] = this.shape;
    const [rows, columns] = [Math.min(count, MOST_ROWS), Math.min(length, MOST_COLUMNS)];
    // Evenly spread, so that all classes of a sorted data set are seen.
    const chosen = Array.from({ length: rows }, (_, i) => Math.floor(i * count / rows));
    const values = new Float32Array(rows * columns);
    chosen.forEach((image, y) => values.set(this.data.subarray(image * length, image * length + columns), y * columns));
    const greatest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const signed = values.some((value) => value < 0);
    const factor = Math.max(1, Math.floor(900 / columns));
    const tall = Math.max(1, Math.min(factor, 8), Math.floor(240 / rows));
    const small = colorize(values, signed ? -greatest : 0, greatest, signed ? "diverging" : "grey");
    const data = new Uint8Array(columns * factor * rows * tall * 3);
    for (let y = 0, at = 0; y < rows * tall; y++) {
      for (let x = 0; x < columns * factor; x++) {
        const from = (Math.floor(y / tall) * columns + Math.floor(x / factor)) * 3;
        for (let c = 0; c < 3; c++) data[at++] = small[from + c];
      }
    }
    const title = `${this.about} · codes ${count}×${length}`;
    const told = `${count} codes of ${length} numbers, ${(100 * this.sparsity).toFixed(1)} % of them exactly 0`;
    const part = [
      rows < count ? `${rows} of the ${count} images` : "",
      columns < length ? `the first ${columns} of the ${length} units` : "",
    ].filter(Boolean).join(" and ");
    return new Figure({
      title,
      caption:
        `One row an image, one column a unit; black is 0${
          signed ? ", negative numbers blue, positive ones orange" : ", white the greatest"
        }. ` +
        `${told}.${part ? ` Drawn: ${part}.` : ""}`,
      blocks: [{
        kind: "picture",
        pixels: { data, width: columns * factor, height: rows * tall },
        values: { data: values, shape: [rows, columns] },
        alt: `${told}, as rows of light and dark cells`,
      }],
      text: `${title}\n  ${told}`,
    });
  }
}

/** What the figure draws at most. */
const MOST_ROWS = 120;
const MOST_COLUMNS = 900;

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

/**
 * Runs all images of a data set through a model and keeps what one layer puts out, as one vector an image. Images are
 * read and run in batches: in memory stand the codes and the small pictures.
 *
 * @param model the model; nothing on it changes
 * @param dataset the images
 * @returns `data` and `shape` `[n, d]`, `ids`, `labels`: an array that `pca`, `tsne` and `neighbors` take
 * @throws {RangeError} if the layer does not exist, or there is no image
 *
 * @example
 * ```ts
 * const images = await codes(model, await cifar10({ split: "test", limit: 2000 }));
 * await tsne(pca(images, { components: 50 }).points);
 * ```
 */
export async function codes(
  model: Model,
  dataset: Dataset,
  { layer = beforeClassifier(model), thumbnail = 32, batchSize, signal, onProgress }: CodesOptions = {},
): Promise<Codes> {
  model.layer(layer);
  const { size } = dataset;
  if (size === 0) throw new RangeError(`The data set ${JSON.stringify(dataset.name)} holds no image.`);
  if (!Number.isInteger(thumbnail) || thumbnail < 0) {
    throw new RangeError(`thumbnail must be a whole number ≥ 0: received ${thumbnail}.`);
  }
  const ids: string[] = [];
  const labels: (string | undefined)[] = [];
  const predictions: string[] = [];
  const classes = classesAfter(model, layer);
  const bytes = 3 * thumbnail * thumbnail;
  const pictures = new Uint8ClampedArray(bytes * size);
  const inputs = {
    size,
    async *[Symbol.asyncIterator]() {
      for await (const { id, image, label } of dataset) {
        const view = await model.view(image);
        if (thumbnail > 0 && ids.length < size) {
          const [height, width] = view.shape;
          const small = height === thumbnail && width === thumbnail ? view : resize(view, [thumbnail, thumbnail]);
          pictures.set(small.data, ids.length * bytes);
        }
        ids.push(id);
        labels.push(label);
        yield model.input(view);
      }
    },
  };
  let data = new Float32Array();
  let length = 0;
  await withProgress(`Codes of ${model.name} · ${layer}`, size, async (update) => {
    await forwardEach(model, inputs, classes ? [layer, classes] : [layer], ([output, scores = output], start) => {
      if (start === 0) {
        length = sizeOf(output.shape.slice(1));
        data = new Float32Array(size * length);
      }
      data.set(output.data, start * length);
      for (let i = 0; classes && i < output.shape[0]; i++) {
        const row = scores.data.subarray(i * scores.shape[1], (i + 1) * scores.shape[1]);
        const best = row.indexOf(row.reduce((a, b) => Math.max(a, b), -Infinity));
        predictions.push(model.labels?.[best] ?? `class ${best}`);
      }
    }, {
      batchSize,
      signal,
      onProgress: (done, total) => {
        update(done);
        onProgress?.(done, total);
      },
    });
  });
  return new Codes({ data, shape: [size, length] }, {
    ids,
    labels,
    ...(classes && { predictions }),
    layer,
    about: `${model.name} · ${layer} · ${dataset.name}`,
    ...(thumbnail > 0 ? { thumbnails: { data: new Uint8Array(pictures.buffer), side: thumbnail } } : {}),
  });
}
