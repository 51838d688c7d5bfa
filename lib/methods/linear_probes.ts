/**
 * How the classes come apart from layer to layer.
 *
 * Alain and Bengio 2016, "Understanding intermediate layers using linear classifier probes": a linear classifier is
 * trained on what each layer puts out, and tested on images that it has not seen.
 *
 * @module
 */

import { type NdArray, ndarray, sizeOf } from "../array.ts";
import type { Dataset } from "../data/dataset.ts";
import { type DataFrame, toDataFrame } from "../data/table.ts";
import { classify, fitLogistic } from "../embed/logistic.ts";
import { principalComponents } from "../embed/pca.ts";
import { uniforms } from "../embed/random.ts";
import { embed } from "../embed/tsne/tsne.ts";
import { checkOptions, unknownName } from "../errors.ts";
import { Figure, Shown } from "../figure/figure.ts";
import { mapLegend, smallMap } from "../figure/map/map.ts";
import { withProgress } from "../results/progress.ts";
import { InputReader } from "../model/inputs.ts";
import { checkModel, type Model } from "../model/model.ts";
import { forwardEach } from "../scan/forward_all.ts";

export interface LinearProbesOptions {
  /**
   * The layers, in any order; the pixels that the model reads always come first.
   * @default five, evenly spread over those that compute something, the last one among them
   */
  layers?: readonly string[];
  /**
   * The map of each layer: by t-SNE, or by its two principal components, which is quicker.
   * @default "tsne"
   */
  map?: "tsne" | "pca";
  /**
   * Of what is drawn by lot: which images are held out.
   * @default 0
   */
  seed?: number;
  /**
   * How many images run at once.
   * @default 16
   */
  batchSize?: number;
  /** Ends the pass. */
  signal?: AbortSignal;
  /** Called with the number of images done, then with that of layers. */
  onProgress?: (done: number, total: number) => void;
}

/** One layer: a row of the table. */
export interface ProbeRow {
  layer: string;
  /** How many numbers an image has there, as the probe reads them. */
  dimensions: number;
  /** Share of the held-out images that the probe gets right, and its interval of 95 % (Wilson). */
  accuracy: number;
  low: number;
  high: number;
  /** The same share of the images that it was trained on. */
  trained: number;
}

/** What the pixels are called. */
const PIXELS = "pixels";
/** Maps are averaged over patches until so few numbers are left, and turned to so many principal components. */
const MOST = 4096;
const COMPONENTS = 64;
/** One image in so many is held out. */
const HELD_OUT = 4;
const DEFAULT_LAYERS = 5;
/** Of a map, so that three of them stand side by side in a cell of JupyterLab, its file browser open. */
const SIDE = 260;

/** Probes of layers, with a map of each. */
export class LinearProbes extends Shown {
  /** One for each layer, the pixels first. */
  readonly rows: readonly ProbeRow[];
  /** The map of each layer, `[n, 2]`. */
  readonly maps: readonly NdArray[];
  readonly labels: readonly string[];
  /** How many images the probes were trained on, and how many they were tested on. */
  readonly trained: number;
  readonly tested: number;
  readonly #names: { model: string; dataset: string; map: string };

  constructor(
    rows: ProbeRow[],
    maps: NdArray[],
    labels: string[],
    counts: { trained: number; tested: number },
    names: { model: string; dataset: string; map: string },
  ) {
    super();
    this.rows = rows;
    this.maps = maps;
    this.labels = labels;
    this.trained = counts.trained;
    this.tested = counts.tested;
    this.#names = names;
  }

  /** The rows as a Polars DataFrame, made when asked for. */
  get table(): Promise<DataFrame> {
    return toDataFrame(this.rows);
  }

  override figure(): Figure {
    const { model, dataset, map } = this.#names;
    const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
    const title = `Linear probes · ${model} · ${dataset}`;
    const chance = Math.max(...Map.groupBy(this.labels, (label) => label).values().map((one) => one.length)) /
      this.labels.length;
    // From edge to edge of the chart.
    const places = [-0.5, ...this.rows.keys(), this.rows.length - 0.5];
    return new Figure({
      title,
      caption:
        `A linear classifier on each layer, trained on ${this.trained} images and tested on ${this.tested} others; ` +
        `bars of 95 %. Always the most frequent class would get ${
          percent(chance)
        }. Below, each layer's map by ${map}: ` +
        "near points are alike there.",
      blocks: [
        {
          kind: "row",
          blocks: [{
            kind: "chart",
            series: [{
              label: "accuracy on held-out images",
              x: this.rows.map((_, i) => i),
              y: this.rows.map(({ accuracy }) => accuracy),
              low: this.rows.map(({ low }) => low),
              high: this.rows.map(({ high }) => high),
              as: "bars",
            }, {
              label: "always the most frequent class",
              x: places,
              y: places.map(() => chance),
              dashed: true,
            }],
            x: { title: "" },
            y: { title: "accuracy", min: 0, max: 1 },
            names: this.rows.map(({ layer }) => layer),
            width: Math.min(600, Math.max(400, 110 * this.rows.length)),
            alt: `Accuracy of linear probes: ${
              this.rows.map(({ layer, accuracy }) => `${layer} ${percent(accuracy)}`).join(", ")
            }`,
          }, mapLegend(this.labels)],
        },
        ...chunks(this.rows.map((row, i) =>
          smallMap({ points: this.maps[i], labels: this.labels }, {
            heading: `${row.layer} · ${percent(row.accuracy)}`,
            side: SIDE,
          })
        )).map((blocks) => ({ kind: "row" as const, blocks })),
      ],
      text: [
        title,
        ...this.rows.map(({ layer, accuracy, low, high }) =>
          `  ${percent(accuracy).padStart(7)}  (${percent(low)} to ${percent(high)})  ${layer}`
        ),
      ].join("\n"),
    });
  }
}

/** Three maps a row. */
const chunks = <T>(all: T[]): T[][] =>
  Array.from({ length: Math.ceil(all.length / 3) }, (_, i) => all.slice(3 * i, 3 * i + 3));

/** Wilson's interval of 95 % for a share. */
function wilson(right: number, count: number): [low: number, high: number] {
  const z = 1.959964;
  const share = right / count;
  const middle = (share + z * z / (2 * count)) / (1 + z * z / count);
  const half = z / (1 + z * z / count) * Math.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2);
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}

/** The means of `[h, w, c]` over patches of equal size, so many that `h · w · c` numbers become few enough. */
function coarse({ data, shape }: NdArray, into: Float32Array): void {
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
  const most = Math.max(1, Math.floor(Math.sqrt(MOST / channels)));
  return [Math.min(height, most), Math.min(width, most), channels];
}

/** Kinds of layers that compute nothing worth a probe of its own. */
const PASSING = /Input|Dropout|Flatten|Reshape|Permute|Padding/i;

function defaultLayers(model: Model): string[] {
  const all = model.layers.filter(({ kind }) => !PASSING.test(kind)).map(({ name }) => name);
  const count = Math.min(DEFAULT_LAYERS, all.length);
  return Array.from({ length: count }, (_, i) => all[Math.round((i + 1) * all.length / count) - 1]);
}

/** All columns around 0, and the whole of one size. */
function scaled(points: NdArray): NdArray {
  const squares = points.data.reduce((sum, value) => sum + value * value, 0);
  const size = Math.sqrt(squares / points.data.length) || 1;
  return ndarray(points.data.map((value) => value / size), points.shape);
}

/**
 * Trains a linear classifier on what each layer makes of the images, tests it on others, and draws a map of each layer:
 * how the classes come apart from the pixels to the last layer.
 *
 * Feature maps are averaged over patches until an image has at most 4,096 numbers there, and turned to their first 64
 * principal components; the classifier is a multinomial logistic regression (penalty as scikit-learn's C = 1). One image
 * in four is held out.
 *
 * @param model the model; nothing on it changes
 * @param dataset images with labels
 * @returns rows `{ layer, dimensions, accuracy, low, high, trained }`, and the `maps`
 * @throws {RangeError} if a layer does not exist or none is named, there are fewer than 2 labels or fewer than 20 images
 * @throws {TypeError} if an image has no label
 *
 * @example
 * ```ts
 * await linearProbes(await loadModel("cifar-convnet"), await cifar10({ split: "test", limit: 1000 }));
 * ```
 */
export async function linearProbes(
  model: Model,
  dataset: Dataset,
  options: LinearProbesOptions = {},
): Promise<LinearProbes> {
  checkModel("linearProbes", model);
  const reader = new InputReader("linearProbes", model, dataset, { labelled: true });
  const { layers = defaultLayers(model), map = "tsne", seed = 0, batchSize, signal, onProgress } = checkOptions(
    "linearProbes",
    options,
    { layers: true, map: true, seed: true, batchSize: true, signal: true, onProgress: true },
  );
  const order = model.layers.map(({ name }) => name);
  layers.forEach((name) => model.layer(name));
  if (layers.length === 0) {
    throw new RangeError(
      "layers names the layers to look at, one at least: received none. The pixels come by themselves.",
    );
  }
  const names = [...new Set(layers)].sort((a, b) => order.indexOf(a) - order.indexOf(b));
  if (map !== "tsne" && map !== "pca") throw unknownName("map", map, ["tsne", "pca"], "linearProbes");
  const { size } = reader;
  if (size < 20) {
    throw new RangeError(`Probes want at least 20 images to learn from and to be tested on: received ${size}.`);
  }
  const labels: string[] = [];
  const stores: { data: Float32Array; each: number }[] = [];
  const keep = (store: number, array: NdArray, at: number) => {
    const each = sizeOf(coarseShape(array.shape));
    stores[store] ??= { data: new Float32Array(size * each), each };
    coarse(array, stores[store].data.subarray(at * each, (at + 1) * each));
  };
  const inputs = reader.inputs(({ label, view, place }) => {
    keep(0, view, place);
    labels.push(label!);
  });
  await withProgress(
    `Activations of ${model.name}`,
    size,
    (update) =>
      forwardEach(model, inputs, names, (outputs, start) => {
        outputs.forEach(({ data, shape: [count, ...shape] }, i) => {
          const length = sizeOf(shape);
          for (let n = 0; n < count; n++) {
            keep(i + 1, { data: data.subarray(n * length, (n + 1) * length), shape }, start + n);
          }
        });
      }, {
        batchSize,
        signal,
        onProgress: (done, total) => {
          update(done);
          onProgress?.(done, total);
        },
      }),
  );

  const kinds = [...new Set(labels)];
  if (kinds.length < 2) {
    throw new RangeError(`Probes tell labels apart, of which there must be 2: ${dataset.name} holds ${kinds.length}.`);
  }
  const classes = labels.map((label) => kinds.indexOf(label));
  const held = shuffled(size, seed);
  const tested = held.splice(0, Math.ceil(size / HELD_OUT));
  const rows: ProbeRow[] = [];
  const maps: NdArray[] = [];
  await withProgress("Probes and maps", stores.length, async (update) => {
    for (const [i, { data, each }] of stores.entries()) {
      signal?.throwIfAborted();
      const components = Math.min(COMPONENTS, each, size);
      const { points } = principalComponents(ndarray(data, [size, each]), { components, seed });
      const even = scaled(points);
      const part = (chosen: readonly number[]) => ({
        points: ndarray(
          Float32Array.from(
            { length: chosen.length * components },
            (_, e) => even.data[chosen[Math.floor(e / components)] * components + e % components],
          ),
          [chosen.length, components],
        ),
        classes: chosen.map((n) => classes[n]),
      });
      const [training, testing] = [part(held), part(tested)];
      const probe = fitLogistic(training.points, training.classes, kinds.length);
      const right = (of: typeof training) =>
        classify(probe, of.points).reduce((sum, guess, n) => sum + (guess === of.classes[n] ? 1 : 0), 0);
      const hits = right(testing);
      const [low, high] = wilson(hits, tested.length);
      rows.push({
        layer: i === 0 ? PIXELS : names[i - 1],
        dimensions: each,
        accuracy: hits / tested.length,
        low,
        high,
        trained: right(training) / held.length,
      });
      maps.push(
        map === "tsne" && components > 2
          ? (await embed(even, { perplexity: Math.min(30, Math.floor((size - 1) / 3)), seed, signal })).points
          : flat(points),
      );
      update(i + 1);
      onProgress?.(i + 1, stores.length);
    }
  });
  const counts = { trained: held.length, tested: tested.length };
  return new LinearProbes(rows, maps, labels, counts, {
    model: model.name,
    dataset: dataset.name,
    map: map === "tsne" ? "t-SNE" : "its two principal components",
  });
}

/** The first two columns; a missing one is 0. */
function flat({ data, shape: [count, columns] }: NdArray): NdArray {
  return ndarray(
    Float32Array.from({ length: 2 * count }, (_, e) => e % 2 < columns ? data[(e >> 1) * columns + e % 2] : 0),
    [count, 2],
  );
}

/** The numbers below `count` in an order drawn by lot. */
function shuffled(count: number, seed: number): number[] {
  const uniform = uniforms(seed);
  const order = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const other = Math.floor(uniform() * (i + 1));
    [order[i], order[other]] = [order[other], order[i]];
  }
  return order;
}
