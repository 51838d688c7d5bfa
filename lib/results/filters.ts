/**
 * What the weights look like: the first layer as little colour pictures, deeper ones as rows of kernels.
 *
 * @module
 */

import { channelOf, NdArray, type NdArrayLike } from "../array.ts";
import type { FilterDiagnostics } from "../data/records.ts";
import type { Block } from "../figure/blocks.ts";
import { Figure } from "../figure/figure.ts";
import { brief, fixed } from "../format.ts";
import { flag, oneOf, readOptions, whole } from "../options.ts";
import { filterOf, largestOf, mapsNote, mapsPicture, tilesPicture } from "./panels.ts";
import { Result } from "./result.ts";

/** One filter in numbers: a row of the table. */
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
export type FilterSort = Exclude<keyof FilterRow, "label" | "noisy">;

/** How filters are drawn. */
export class FiltersFigureOptions {
  /**
   * The order in which filters are drawn, the smallest value first.
   * @default "channel"
   */
  @oneOf(
    "channel",
    "norm",
    "totalVariation",
    "noise",
    "highFrequency",
    "frequency",
    "orientation",
    "colorfulness",
  )
  sort: FilterSort = "channel";
  /**
   * Whether the largest value comes first.
   * @default false
   */
  @flag()
  descending = false;
  /**
   * Of deeper layers: how many filters are drawn; the caption says how many there are.
   * @default 16
   */
  @whole(1)
  filters = 16;
  /**
   * Of deeper layers: how many kernels of each filter are drawn.
   * @default 64
   */
  @whole(1)
  kernels = 64;
}

/** What a figure says of the model, the order of its colours, and how flat a noisy filter's spectrum is. */
interface FiltersModel {
  name: string;
  order: "rgb" | "bgr";
  /** How many filters the layer has. */
  total: number;
  /** The `noise` above which a filter is flagged; `null` where none is. */
  threshold: number | null;
}

/** The filters of one layer; in a cell, a mosaic. */
export class Filters extends Result<FilterRow> {
  /** The layer's name. */
  readonly layer: string;
  /**
   * `[kh, kw, cin, cout]` as the layer holds them (`[k, cin, cout]` of a 1-D convolution, `[kd, kh, kw, cin, cout]` of a 3-D
   * one); a dense layer's are laid out on the map that it reads.
   */
  readonly weights: NdArray;
  /** One row for each filter, in the order of the last axis of `weights`. */
  readonly rows: readonly FilterRow[];
  readonly #model: FiltersModel;

  /** @internal */
  constructor(
    layer: string,
    weights: NdArrayLike,
    rows: FilterRow[],
    model: FiltersModel,
  ) {
    super();
    this.layer = layer;
    this.weights = NdArray.from(weights);
    this.rows = rows;
    this.#model = model;
  }

  /**
   * Draws the filters.
   *
   * @throws {RangeError} if `sort` is not a column of `rows`, or `filters` or `kernels` is not a whole number ≥ 1
   */
  override figure(options: Partial<FiltersFigureOptions> = {}): Figure {
    const { sort, descending, filters, kernels } = readOptions("figure", FiltersFigureOptions, options);
    const space = this.#space;
    const cin = this.weights.shape.at(-2)!;
    const order = this.rows.map((_, i) => i).sort((a, b) => {
      // What has no value (the colourfulness of a kernel without colours) comes last either way.
      const [x, y] = [this.rows[a][sort], this.rows[b][sort]];
      if (x === null || y === null) return (x === null ? 1 : 0) - (y === null ? 1 : 0) || a - b;
      return (descending ? y - x : x - y) || a - b;
    });
    const noisy = this.rows.filter((row) => row.noisy).length;
    const shape = [...space, cin].join("×");
    const counted = this.rows.length === this.#model.total
      ? `${this.rows.length} filters`
      : `${this.rows.length} of ${this.#model.total} filters`;
    const title = `${this.#model.name} · ${this.layer} · ${counted} of ${shape}`;
    const sorted = sort === "channel" && !descending
      ? ""
      : `Sorted by ${sort}, ${descending ? "greatest" : "least"} first.`;
    const { threshold } = this.#model;
    const flagged = threshold === null
      ? ""
      : `Outlined in orange: noisy (spectral entropy above ${fixed(threshold, 2)}), ${noisy} of ${this.rows.length}.`;
    const colored = cin === 3 && space.length === 2;
    const whole = colored || (space.length !== 2 && cin === 1) || (space.length === 1 && cin <= 3);
    const scale = colored
      ? "Each filter has one scale for its three colours; mid-grey is weight 0."
      : "Each filter has its own scale; black is weight 0, blue below, orange above.";
    const axes = space.length === 1
      ? (cin === 1
        ? "Of each filter the weights from left to right, as bars."
        : "Of each filter a row an input channel.")
      : space.length === 3
      ? `Of each kernel${mapsNote(space).replace("of each map", "")}.`
      : "";
    const drawn = order.slice(0, whole ? undefined : filters);
    const some = whole
      ? ""
      : `Drawn: ${drawn.length} of ${this.rows.length} filters, ${Math.min(kernels, cin)} of ${cin} kernels each.`;
    const blocks = colored
      ? [this.#colored(order)]
      : space.length === 1
      ? [this.#lines(drawn, kernels)]
      : whole
      ? [this.#stacks(drawn)]
      : drawn.map((index) => this.#kernels(index, kernels));
    const caption = [scale, axes, sorted, some, flagged].filter(Boolean).join(" ");
    const lines = order.slice(0, 16).map((i) => `${this.#name(i).padEnd(14)} ${this.#diagnosis(i)}`);
    if (order.length > lines.length) lines.push(`… ${order.length - lines.length} more in rows`);
    return new Figure({ title, caption, blocks, lines });
  }

  /** The sides of a kernel, without channels. */
  get #space(): readonly number[] {
    return this.weights.shape.slice(0, -2);
  }

  #name(index: number): string {
    const { channel, label } = this.rows[index];
    return label === null ? `filter ${channel}` : `${channel} · ${label}`;
  }

  #diagnosis(index: number): string {
    const row = this.rows[index];
    const space = this.#space;
    // A kernel of one cell has nothing to be smooth or striped about.
    const spatial = space.every((side) => side === 1) ? [] : [
      `total variation ${brief(row.totalVariation)}`,
      `noise ${brief(row.noise)}`,
      `${brief(row.frequency)} cycles/${space.length === 1 ? "cell" : "pixel"}${
        row.orientation === null ? "" : ` at ${Math.round(row.orientation)}°`
      }`,
    ];
    return [
      `norm ${brief(row.norm)}`,
      ...spatial,
      ...(row.colorfulness === null ? [] : [`colourfulness ${brief(row.colorfulness)}`]),
      ...(row.noisy ? ["noisy"] : []),
    ].join(" · ");
  }

  #colored(order: number[]): Block {
    const [height, width] = this.weights.shape;
    return tilesPicture({
      height,
      width,
      count: order.length,
      values: (i) => filterOf(this.weights, order[i]).data,
      palette: "grey",
      order: this.#model.order,
      label: (i) => this.#words(order[i]),
      outlined: (i) => this.rows[order[i]].noisy,
      alt:
        `${order.length} filters of layer ${this.layer} of ${this.#model.name} as colour pictures of ${height}×${width}`,
    });
  }

  /** What the hover says of a filter. */
  #words = (index: number): string => `${this.#name(index)}\n${this.#diagnosis(index).replaceAll(" · ", "\n")}`;

  /** Filters along a line: a tile each, of one channel its weights as bars, of more a row a channel. */
  #lines(order: number[], limit: number): Block {
    const [length, cin] = this.weights.shape;
    const count = Math.min(limit, cin);
    const half = Math.max(4, Math.min(10, Math.round(length * 0.6)));
    return tilesPicture({
      height: cin === 1 ? 2 * half + 1 : count,
      width: length,
      count: order.length,
      values: (i) => {
        const { data } = filterOf(this.weights, order[i]);
        if (cin === 1) return barsOf(data, half);
        return Float32Array.from(
          { length: count * length },
          (_, at) => data[at % length * cin + Math.floor(at / length)],
        );
      },
      palette: "diverging",
      label: (i) => this.#words(order[i]),
      alt: `${order.length} filters of layer ${this.layer} of ${this.#model.name}, ${length} weights long`,
    });
  }

  /** Filters of one channel in a volume: the slices of each side by side. */
  #stacks(order: number[]): Block {
    return mapsPicture(this.#space, {
      count: order.length,
      values: (i) => filterOf(this.weights, order[i]).data,
      palette: "diverging",
      label: (i) => this.#words(order[i]),
      alt: `${order.length} filters of layer ${this.layer} of ${this.#model.name}, ${this.#space.join("×")}`,
    });
  }

  #kernels(index: number, limit: number): Block {
    const cin = this.weights.shape.at(-2)!;
    const filter = filterOf(this.weights, index);
    const largest = largestOf(filter.data);
    const count = Math.min(limit, cin);
    return {
      ...mapsPicture(this.#space, {
        count,
        values: (channel) => channelOf(filter, channel).data,
        largest: () => largest,
        palette: "diverging",
        label: (channel) => `${this.#name(index)}, input channel ${channel}`,
        outlined: () => this.rows[index].noisy,
        maxHeight: 60,
        alt: `${count} kernels of filter ${this.rows[index].channel} of layer ${this.layer} of ${this.#model.name}`,
      }),
      heading: this.#name(index),
      note: this.#diagnosis(index),
    };
  }
}

/** Weights along a line as bars from a middle row, upwards where they are positive. */
function barsOf(weights: Float32Array, half: number): Float32Array {
  const largest = largestOf(weights);
  const { length } = weights;
  return Float32Array.from({ length: (2 * half + 1) * length }, (_, at) => {
    const weight = weights[at % length];
    const up = half - Math.floor(at / length);
    const tall = largest > 0 ? Math.round(half * weight / largest) : 0;
    return up !== 0 && up * tall > 0 && Math.abs(up) <= Math.abs(tall) ? weight : 0;
  });
}
