/**
 * How the classes come apart from layer to layer.
 *
 * Alain and Bengio 2016, "Understanding intermediate layers using linear classifier probes": a linear classifier is
 * trained on what each layer puts out, and tested on images that it has not seen.
 *
 * @module
 */

import { ndarray, type NdArrayLike, sizeOf } from "../array.ts";
import type { Dataset } from "../data/dataset.ts";
import { classify, fitLogistic, wilson } from "../embed/logistic.ts";
import { principalComponents } from "../embed/pca.ts";
import { embed } from "../embed/tsne/tsne.ts";
import { floatsFor } from "../memory.ts";
import { InputReader } from "../model/inputs.ts";
import { checkModel, checkReady, type Model } from "../model/model.ts";
import { arrayOf, oneOf, readOptions, WalkOptions, whole } from "../options.ts";
import { randomStream, shuffled } from "../random.ts";
import { firstOf } from "../probe/batches.ts";
import { LinearProbes, type ProbeRow } from "../results/linear_probes.ts";
import { withProgress } from "../results/progress.ts";
import { forwardEach } from "../scan/forward_all.ts";

/** The options of `linearProbes`. */
export class LinearProbesOptions extends WalkOptions {
  /**
   * The layers, in any order; the pixels that the model reads always come first.
   * @default five, evenly spread over those that compute something, the last one among them
   */
  @arrayOf("layers' names")
  layers?: readonly string[];
  /**
   * How each layer is embedded: by t-SNE, or by its two principal components, which is quicker.
   * @default "tsne"
   */
  @oneOf("tsne", "pca")
  embedding: "tsne" | "pca" = "tsne";
  /**
   * Of the random choice of the images that are held out.
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

/** What the pixels are called. */
const PIXELS = "pixels";
/** Feature maps are averaged over patches to at most this many numbers, then turned to principal components. */
const MOST = 4096;
const COMPONENTS = 64;
/** One image in this many is held out. */
const HELD_OUT = 4;
const DEFAULT_LAYERS = 5;
const NAMES = { tsne: "t-SNE", pca: "its two principal components" };

/** The means of `[h, w, c]` over patches of equal size, so many that `h · w · c` numbers become few enough. */
function coarse({ data, shape }: NdArrayLike, into: Float32Array): void {
  if (shape.length !== 3) {
    into.set(data);
    return;
  }
  const [height, width, channels] = shape;
  const [rows, columns] = coarseShape(shape);
  const counts = new Float64Array(rows * columns);
  into.fill(0);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const cell = Math.floor(y * rows / height) * columns + Math.floor(x * columns / width);
      counts[cell]++;
      for (let c = 0; c < channels; c++, at++) into[cell * channels + c] += data[at];
    }
  }
  for (let i = 0; i < into.length; i++) into[i] /= counts[Math.floor(i / channels)];
}

function coarseShape(shape: readonly number[]): number[] {
  if (shape.length !== 3) return [...shape];
  const [height, width, channels] = shape;
  const largest = Math.max(1, Math.floor(Math.sqrt(MOST / channels)));
  return [Math.min(height, largest), Math.min(width, largest), channels];
}

/** Kinds of layers that compute nothing worth a probe of its own. */
const PASSING = /Input|Dropout|Flatten|Reshape|Permute|Padding/i;

function defaultLayers(model: Model): string[] {
  const all = model.leaves.filter(({ kind }) => !PASSING.test(kind)).map(({ name }) => name);
  const count = Math.min(DEFAULT_LAYERS, all.length);
  return Array.from({ length: count }, (_, i) => all[Math.round((i + 1) * all.length / count) - 1]);
}

/** All columns around 0, and the whole of one size. */
function scaled(points: NdArrayLike): NdArrayLike {
  const squares = points.data.reduce((sum, value) => sum + value * value, 0);
  const size = Math.sqrt(squares / points.data.length) || 1;
  return ndarray(points.data.map((value) => value / size), points.shape);
}

/** The numbers of all images at each layer, the pixels first. */
type Stores = { data: Float32Array; each: number }[];

/** Runs the images and keeps what each layer puts out, coarse enough; and their labels. */
async function readLayers(
  model: Model,
  reader: InputReader,
  names: string[],
  { batchSize, signal, onProgress }: LinearProbesOptions,
): Promise<{ stores: Stores; labels: string[] }> {
  const { size } = reader;
  const labels: string[] = [];
  const stores: Stores = [];
  const keep = (store: number, array: NdArrayLike, at: number) => {
    const each = sizeOf(coarseShape(array.shape));
    stores[store] ??= { data: floatsFor(`What a layer makes of ${size} images`, size * each, "Take fewer."), each };
    coarse(array, stores[store].data.subarray(at * each, (at + 1) * each));
  };
  const inputs = reader.inputs(({ label, view, place }) => {
    keep(0, view, place);
    labels.push(label!);
  });
  const receive = (outputs: NdArrayLike[], start: number) =>
    outputs.forEach(({ data, shape: [count, ...shape] }, i) => {
      const length = sizeOf(shape);
      for (let n = 0; n < count; n++) {
        keep(i + 1, { data: data.subarray(n * length, (n + 1) * length), shape }, start + n);
      }
    });
  const run = (update: (done: number) => void) =>
    forwardEach(model, inputs, names, receive, { batchSize, signal, onProgress: update });
  await withProgress(`Activations of ${model.name}`, size, run, onProgress, reader);
  return { stores, labels };
}

/** Trains a classifier on some rows of points and tests it on the others. */
function probe(
  points: NdArrayLike,
  classes: readonly number[],
  count: number,
  { training, testing }: { training: Uint32Array; testing: Uint32Array },
): Omit<ProbeRow, "layer" | "dimensions"> {
  const columns = points.shape[1];
  const part = (chosen: Uint32Array) => {
    const data = new Float32Array(chosen.length * columns);
    chosen.forEach((n, i) => data.set(points.data.subarray(n * columns, (n + 1) * columns), i * columns));
    return { points: ndarray(data, [chosen.length, columns]), classes: Array.from(chosen, (n) => classes[n]) };
  };
  const learnt = part(training);
  const fit = fitLogistic(learnt.points, learnt.classes, count);
  const right = (of: typeof learnt) =>
    classify(fit, of.points).reduce((sum, guess, n) => sum + (guess === of.classes[n] ? 1 : 0), 0);
  const hits = right(part(testing));
  const [low, high] = wilson(hits, testing.length);
  return { accuracy: hits / testing.length, low, high, trained: right(learnt) / training.length };
}

/** The first two columns; a missing one is 0. */
function flat({ data, shape: [count, columns] }: NdArrayLike): NdArrayLike {
  return ndarray(
    Float32Array.from({ length: 2 * count }, (_, e) => e % 2 < columns ? data[(e >> 1) * columns + e % 2] : 0),
    [count, 2],
  );
}

/** @throws {RangeError} if there are too few images */
function checkCount(size: number): void {
  if (size >= 20) return;
  throw new RangeError(`Probes want at least 20 images to learn from and to be tested on: received ${size}.`);
}

/**
 * Trains a linear classifier on what each layer makes of the images, tests it on others, and embeds each layer: how the classes come apart from the pixels to the last layer.
 *
 * Feature maps are averaged over patches until an image has at most 4,096 numbers there, and turned to their first 64
 * principal components; the classifier is a multinomial logistic regression (penalty as scikit-learn's C = 1). One image
 * in four is held out.
 *
 * @param model the model; nothing on it changes
 * @param dataset images with labels
 * @returns rows `{ layer, dimensions, accuracy, low, high, trained }`, and the `embeddings`
 * @throws {RangeError} if a layer does not exist or none is named, there are fewer than 2 labels or fewer than 20 images
 * @throws {TypeError} if an image has no label
 *
 * @example
 * ```ts
 * import { cifar10, linearProbes, loadModel } from "@convlens/convlens";
 * await linearProbes(await loadModel("cifar-convnet"), await cifar10({ split: "test", limit: 300 }));
 * ```
 */
export async function linearProbes(
  model: Model,
  dataset: Dataset,
  options: Partial<LinearProbesOptions> = {},
): Promise<LinearProbes> {
  checkModel("linearProbes", model);
  const all = readOptions("linearProbes", LinearProbesOptions, options);
  const reader = new InputReader("linearProbes", model, dataset, { labelled: true, ...all });
  await checkReady("linearProbes", model);
  const { layers = defaultLayers(model), embedding, seed, signal, onProgress } = all;
  const place = new Map(layers.map((name) => [name, model.layers.indexOf(model.layer(name))]));
  if (layers.length === 0) {
    throw new RangeError("layers names the layers to look at, one at least: received none. The pixels always come.");
  }
  const names = [...new Set(layers)].sort((a, b) => place.get(a)! - place.get(b)!);
  checkCount(reader.size);
  const { stores, labels } = await readLayers(model, reader, names, all);
  const size = labels.length;
  checkCount(size);
  const kinds = [...new Set(labels)];
  if (kinds.length < 2) {
    throw new RangeError(`Probes tell labels apart, of which there must be 2: ${dataset.name} holds ${kinds.length}.`);
  }
  const classes = labels.map((label) => kinds.indexOf(label));
  const mixed = shuffled(size, randomStream(seed));
  const tested = Math.ceil(size / HELD_OUT);
  const parts = { testing: mixed.slice(0, tested), training: mixed.slice(tested) };
  const rows: ProbeRow[] = [];
  const embeddings: NdArrayLike[] = [];
  await withProgress("Probes and maps", stores.length, async (update) => {
    for (const [i, { data, each }] of stores.entries()) {
      signal?.throwIfAborted();
      const components = Math.min(COMPONENTS, each, size);
      const { points } = principalComponents(firstOf({ data, shape: [reader.size, each] }, size), { components, seed });
      const even = scaled(points);
      const layer = i === 0 ? PIXELS : names[i - 1];
      rows.push({ layer, dimensions: each, ...probe(even, classes, kinds.length, parts) });
      embeddings.push(
        embedding === "tsne" && components > 2
          ? (await embed(even, { perplexity: Math.min(30, Math.floor((size - 1) / 3)), seed, signal })).points
          : flat(points),
      );
      update(i + 1);
    }
  }, onProgress);
  return new LinearProbes({
    rows,
    embeddings,
    labels,
    trained: size - tested,
    tested,
    skipped: reader.skipped,
    names: { model: model.name, dataset: dataset.name, embedding: NAMES[embedding] },
  });
}
