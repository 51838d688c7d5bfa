/**
 * What the weights look like: the first layer as little colour pictures, deeper ones as rows of kernels.
 *
 * The second picture of cs231n's "Visualizing what ConvNets learn"; the split into grey, fast filters and coloured,
 * slow ones is that of Krizhevsky, Sutskever and Hinton (2012), Fig. 3.
 *
 * @module
 */

import type { layers as tfLayers } from "npm:@tensorflow/tfjs@4.22.0";
import { type NdArray, sizeOf } from "../array.ts";
import { type DataFrame, toDataFrame } from "../data/table.ts";
import { checkOptions } from "../errors.ts";
import { colorize } from "../figure/color.ts";
import type { Block } from "../figure/blocks.ts";
import { brief } from "../format.ts";
import { Figure, Shown } from "../figure/figure.ts";
import { mosaic } from "../figure/mosaic.ts";
import { checkModel, type LayerInfo, type Model } from "../model/model.ts";
import { ensureBackend } from "../runtime/backend.ts";
import { diagnoseFilter, type FilterDiagnostics, FLAT_ENTROPY } from "../probe/filter_diagnostics.ts";

export interface FiltersOptions {
  /** A convolution or a dense layer. */
  layer: string;
  /**
   * Which filters to keep, by their output channel.
   * @default all
   */
  channels?: readonly number[];
}

/** One filter in numbers. */
export interface FilterRow extends FilterDiagnostics {
  /** The filter's output channel. */
  channel: number;
  /** The class, for the model's last layer; `null` for others. */
  label: string | null;
  /** Length of the filter as a vector. */
  norm: number;
  /**
   * Flagged as noise: `noise` falls short of 1 by less than twice what white noise of as many channels does (that is,
   * above .962 for three channels, .898 for one). Kernels below 5×5 or of more than three channels are never flagged:
   * by their spectrum alone they cannot be told from noise.
   */
  noisy: boolean;
}

/** What filters can be sorted by. */
export type FilterSort = "channel" | "norm" | keyof FilterDiagnostics;

export interface FiltersFigureOptions {
  /**
   * The order in which filters are drawn, the least value first.
   * @default "channel"
   */
  sort?: FilterSort;
  /**
   * Whether the greatest value comes first.
   * @default false
   */
  descending?: boolean;
  /**
   * Of deeper layers: how many filters are drawn; the caption says how many there are.
   * @default 16
   */
  filters?: number;
  /**
   * Of deeper layers: how many kernels of each filter are drawn.
   * @default 64
   */
  kernels?: number;
}

const LEAST_NOISY_SIDE = 5;
const MOST_NOISY_CHANNELS = 3;

/**
 * The `noise` above which a kernel is flagged; `null` where it never is.
 *
 * The power of white noise over `c` channels follows a gamma distribution of shape `c`, whose entropy falls short of a
 * flat spectrum's by ψ(c + 1) − ln c nats.
 */
export function noiseThreshold([height, width, channels]: readonly number[]): number | null {
  if (Math.min(height, width) < LEAST_NOISY_SIDE || channels > MOST_NOISY_CHANNELS) return null;
  let digamma = -0.5772156649015329;
  for (let k = 1; k <= channels; k++) digamma += 1 / k;
  return 1 - 2 * (digamma - Math.log(channels)) / FLAT_ENTROPY;
}

/** The filters of one layer; in a cell, a mosaic. */
export class Filters extends Shown {
  /** The layer's name. */
  readonly layer: string;
  /** `[kh, kw, cin, cout]` as the layer holds them; a dense layer's are laid out on the map that it reads. */
  readonly weights: NdArray;
  /** One row a filter, in the order of the last axis of `weights`. */
  readonly rows: readonly FilterRow[];
  readonly #model: { name: string; order: "rgb" | "bgr"; total: number };

  constructor(
    layer: string,
    weights: NdArray,
    rows: FilterRow[],
    model: { name: string; order: "rgb" | "bgr"; total: number },
  ) {
    super();
    this.layer = layer;
    this.weights = weights;
    this.rows = rows;
    this.#model = model;
  }

  /** The rows as a Polars DataFrame, made when asked for. */
  get table(): Promise<DataFrame> {
    return toDataFrame(this.rows);
  }

  /**
   * Draws the filters.
   *
   * @throws {RangeError} if `sort` is not a column of `rows`
   */
  override figure(options: FiltersFigureOptions = {}): Figure {
    const { sort = "channel", descending = false, filters = 16, kernels = 64 } = checkOptions("figure", options, {
      sort: true,
      descending: true,
      filters: true,
      kernels: true,
    });
    if (!SORTS.includes(sort)) {
      throw new RangeError(`Filters cannot be sorted by ${JSON.stringify(sort)}; wanted one of ${SORTS.join(", ")}.`);
    }
    const [height, width, cin] = this.weights.shape;
    const order = this.rows.map((_, i) => i).sort((a, b) => {
      // What has no value (the colourfulness of a kernel without colours) comes last either way.
      const [x, y] = [this.rows[a][sort], this.rows[b][sort]];
      if (x === null || y === null) return (x === null ? 1 : 0) - (y === null ? 1 : 0) || a - b;
      return (descending ? y - x : x - y) || a - b;
    });
    const noisy = this.rows.filter((row) => row.noisy).length;
    const shape = `${height}×${width}×${cin}`;
    const counted = this.rows.length === this.#model.total
      ? `${this.rows.length} filters`
      : `${this.rows.length} of ${this.#model.total} filters`;
    const title = `${this.#model.name} · ${this.layer} · ${counted} of ${shape}`;
    const sorted = sort === "channel" && !descending
      ? ""
      : `Sorted by ${sort}, ${descending ? "greatest" : "least"} first.`;
    const threshold = noiseThreshold(this.weights.shape);
    const flagged = threshold === null
      ? ""
      : `Outlined in orange: noisy (spectral entropy above ${threshold.toFixed(2)}), ${noisy} of ${this.rows.length}.`;
    const colored = cin === 3;
    const scale = colored
      ? "Each filter has one scale for its three colours; mid-grey is weight 0."
      : "Each filter has its own scale; black is weight 0, blue below, orange above.";
    const drawn = order.slice(0, colored ? undefined : filters);
    const some = colored
      ? ""
      : `Drawn: ${drawn.length} of ${this.rows.length} filters, ${Math.min(kernels, cin)} of ${cin} kernels each.`;
    const blocks = colored ? [this.#colored(order)] : drawn.map((index) => this.#kernels(index, kernels));
    const caption = [scale, sorted, some, flagged].filter(Boolean).join(" ");
    return new Figure({ title, caption, blocks, text: this.#text(title, order, caption) });
  }

  #text(title: string, order: number[], caption: string): string {
    const lines = order.slice(0, 16).map((i) => `  ${this.#name(i).padEnd(14)} ${this.#diagnosis(i)}`);
    if (order.length > lines.length) lines.push(`  … ${order.length - lines.length} more in rows`);
    return [title, ...lines, caption].join("\n");
  }

  #name(index: number): string {
    const { channel, label } = this.rows[index];
    return label === null ? `filter ${channel}` : `${channel} · ${label}`;
  }

  #diagnosis(index: number): string {
    const row = this.rows[index];
    const [height, width] = this.weights.shape;
    // A kernel of one cell has nothing to be smooth or striped about.
    const spatial = height * width === 1 ? [] : [
      `total variation ${brief(row.totalVariation)}`,
      `noise ${brief(row.noise)}`,
      `${brief(row.frequency)} cycles/pixel${row.orientation === null ? "" : ` at ${Math.round(row.orientation)}°`}`,
    ];
    return [
      `norm ${brief(row.norm)}`,
      ...spatial,
      ...(row.colorfulness === null ? [] : [`colourfulness ${brief(row.colorfulness)}`]),
      ...(row.noisy ? ["noisy"] : []),
    ].join(" · ");
  }

  /** The values of one filter, `[kh, kw, cin]`. */
  #values(index: number): Float32Array {
    return filterOf(this.weights, index).data;
  }

  #colored(order: number[]): Block {
    const [height, width] = this.weights.shape;
    const { pixels, grid } = mosaic({
      height,
      width,
      count: order.length,
      paint: (i) => {
        const values = this.#values(order[i]);
        const greatest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
        const tile = new Uint8Array(values.length);
        for (let at = 0; at < values.length; at++) {
          const channel = at % 3;
          const from = this.#model.order === "bgr" ? at - channel + 2 - channel : at;
          tile[at] = Math.round(127.5 + 127.5 * values[from] / greatest);
        }
        return tile;
      },
      label: (i) => `${this.#name(order[i])}\n${this.#diagnosis(order[i]).replaceAll(" · ", "\n")}`,
      outlined: (i) => this.rows[order[i]].noisy,
    });
    return {
      kind: "picture",
      pixels,
      grid,
      alt:
        `${order.length} filters of layer ${this.layer} of ${this.#model.name} as colour pictures of ${height}×${width}`,
    };
  }

  #kernels(index: number, most: number): Block {
    const [height, width, cin] = this.weights.shape;
    const values = this.#values(index);
    const greatest = values.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
    const { pixels, grid } = mosaic({
      height,
      width,
      count: Math.min(most, cin),
      paint: (channel) => {
        const kernel = new Float32Array(height * width);
        for (let i = 0; i < kernel.length; i++) kernel[i] = values[i * cin + channel];
        return colorize(kernel, -greatest, greatest, "diverging");
      },
      label: (channel) => `${this.#name(index)}, input channel ${channel}`,
      outlined: () => this.rows[index].noisy,
      maxHeight: 60,
    });
    return {
      kind: "picture",
      heading: this.#name(index),
      note: this.#diagnosis(index),
      pixels,
      grid,
      alt: `${grid.labels.length} kernels of filter ${
        this.rows[index].channel
      } of layer ${this.layer} of ${this.#model.name}`,
    };
  }
}

const SORTS: readonly FilterSort[] = [
  "channel",
  "norm",
  "totalVariation",
  "noise",
  "highFrequency",
  "frequency",
  "orientation",
  "colorfulness",
];

/** One filter of `[kh, kw, cin, cout]` as `[kh, kw, cin]`. */
function filterOf({ data, shape }: NdArray, index: number): NdArray {
  const filters = shape[3];
  const values = new Float32Array(data.length / filters);
  for (let i = 0; i < values.length; i++) values[i] = data[i * filters + index];
  return { data: values, shape: shape.slice(0, 3) };
}

/** A layer's input shape without the batch; empty where it is not known. */
const mapOf = (shape: unknown): (number | null)[] => Array.isArray(shape) ? shape.slice(1) : [];

/** The map that a dense layer reads: the input of the flattening before it, or its own input as 1×1. */
function readMap(layer: tfLayers.Layer): [number, number, number] {
  let below = layer.inboundNodes[0]?.inboundLayers[0];
  let shape = mapOf(layer.inboundNodes[0]?.inputShapes[0] ?? layer.batchInputShape);
  const through = new Set([
    "Flatten",
    "Dropout",
    "Activation",
    "ReLU",
    "AlphaDropout",
    "GaussianDropout",
    "GaussianNoise",
  ]);
  while (below && shape.length === 1 && through.has(below.getClassName())) {
    const node = below.inboundNodes[0];
    shape = mapOf(node?.inputShapes[0] ?? below.batchInputShape);
    below = node?.inboundLayers[0];
  }
  const length = layer.getWeights()[0].shape[0];
  if (shape.length === 3 && sizeOf(shape as number[]) === length) return shape as [number, number, number];
  if (shape.length === 2 && sizeOf(shape as number[]) === length) return [shape[0]!, shape[1]!, 1];
  return [1, 1, length];
}

/** The weights of a layer as `[kh, kw, cin, cout]`. */
async function weightsOf(model: Model, info: LayerInfo): Promise<NdArray> {
  await ensureBackend();
  const layer = model.network.getLayer(info.name);
  const kernel = layer.getWeights()[0];
  switch (info.kind) {
    case "Conv2D":
      return { data: new Float32Array(await kernel.data()), shape: kernel.shape };
    case "DepthwiseConv2D":
    case "SeparableConv2D": {
      // [kh, kw, cin, multiplier]: each output reads one input only.
      const [height, width, cin, multiplier] = kernel.shape;
      return { data: new Float32Array(await kernel.data()), shape: [height, width, 1, cin * multiplier] };
    }
    case "Conv2DTranspose": {
      const [height, width, cout, cin] = kernel.shape;
      const data = await kernel.data();
      const turned = new Float32Array(data.length);
      for (let i = 0; i < height * width; i++) {
        for (let o = 0; o < cout; o++) {
          for (let c = 0; c < cin; c++) turned[(i * cin + c) * cout + o] = data[(i * cout + o) * cin + c];
        }
      }
      return { data: turned, shape: [height, width, cin, cout] };
    }
    case "Dense":
      return { data: new Float32Array(await kernel.data()), shape: [...readMap(layer), kernel.shape[1]!] };
    default: {
      const others = model.layers.filter(({ kind }) => /^(Separable|Depthwise)?Conv2D(Transpose)?$|^Dense$/.test(kind));
      throw new TypeError(
        `Layer ${
          JSON.stringify(info.name)
        } is a ${info.kind} and has no filters; wanted a convolution or a dense layer` +
          (others.length ? `, as ${others.slice(0, 5).map(({ name }) => JSON.stringify(name)).join(", ")}.` : "."),
      );
    }
  }
}

/**
 * The filters of a layer, with their diagnostics.
 *
 * A dense layer's weights are laid out on the feature map that it reads, so that each unit is a stack of pictures.
 * Of a separable convolution the depthwise part is shown.
 *
 * @param model the model; nothing on it changes
 * @returns `weights` `[kh, kw, cin, cout]` and `rows`, one a filter
 * @throws {RangeError} if the layer or a channel does not exist
 * @throws {TypeError} if the layer has no filters
 *
 * @example
 * ```ts
 * const first = await filters(model, { layer: "conv1_conv" });
 * first.figure({ sort: "colorfulness" });
 * ```
 */
export async function filters(model: Model, options: FiltersOptions): Promise<Filters> {
  checkModel("filters", model);
  const { layer, channels } = checkOptions("filters", options, { layer: true, channels: true });
  const info = model.layer(layer);
  const all = await weightsOf(model, info);
  const total = all.shape[3];
  const odd = channels?.find((channel) => !Number.isInteger(channel) || channel < 0 || channel >= total);
  if (odd !== undefined) {
    throw new RangeError(`Layer ${JSON.stringify(layer)} has filters 0 to ${total - 1}: received ${odd}.`);
  }
  if (channels?.length === 0) throw new RangeError("channels is empty; wanted at least one channel.");
  const kept = channels ?? Array.from({ length: total }, (_, i) => i);
  const kernels = kept.map((channel) => filterOf(all, channel));
  const [height, width, cin] = all.shape;
  const data = new Float32Array(height * width * cin * kept.length);
  kernels.forEach((kernel, k) => kernel.data.forEach((value, i) => data[i * kept.length + k] = value));
  const labels = layer === model.layers.at(-1)!.name && model.labels?.length === total ? model.labels : null;
  const threshold = noiseThreshold(all.shape);
  const rows = kernels.map((kernel, k): FilterRow => {
    const diagnosis = diagnoseFilter(kernel);
    return {
      channel: kept[k],
      label: labels?.[kept[k]] ?? null,
      norm: Math.hypot(...kernel.data),
      noisy: threshold !== null && diagnosis.noise > threshold,
      ...diagnosis,
    };
  });
  const weights = channels ? { data, shape: [height, width, cin, kept.length] } : all;
  return new Filters(layer, weights, rows, { name: model.name, order: model.preprocess.order, total });
}
