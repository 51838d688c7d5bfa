/**
 * What each layer makes of an image: a grid of feature maps for each layer.
 *
 * @module
 */

import { bandsNote, pixelRemark } from "../data/pixels.ts";
import { channelOf, extent, NdArray, type NdArrayLike, sizeOf } from "../array.ts";
import type { Block } from "../figure/blocks.ts";
import type { Palette } from "../figure/color.ts";
import { Figure, type SheetRow } from "../figure/figure.ts";
import { brief, briefPercent } from "../format.ts";
import { oneOf, readOptions, whole } from "../options.ts";
import { mapsNote, mapsPicture } from "./panels.ts";
import { Collection, Result } from "./result.ts";
import type { SkippedImage } from "../data/dataset.ts";

/** How activations are drawn. */
export class ActivationsFigureOptions {
  /**
   * What white stands for: each feature map's own largest value, or the whole layer's (always, where a map is one cell).
   * @default "channel"
   */
  @oneOf("channel", "layer")
  scale: "channel" | "layer" = "channel";
  /**
   * The palette of layers without negative values; the others take the diverging one.
   * @default "grey"
   */
  @oneOf("grey", "inferno")
  palette: "grey" | "inferno" = "grey";
  /**
   * How many feature maps of each layer are drawn where several layers are shown; the caption says how many there are.
   * @default 16
   */
  @whole(1)
  maps = 16;
}

/** One layer's feature maps and what they amount to. */
export interface LayerActivations {
  /** The layer's name. */
  readonly name: string;
  /**
   * The shape of the layer's whole output, `[h, w, c]`, also where only some channels were kept; of a 1-D network
   * `[length, c]`, of a 3-D one `[d, h, w, c]`.
   */
  readonly shape: readonly number[];
  /** The maps, `[h, w, kept channels]`; h and w are 1 for a layer whose output has no place in the image. */
  readonly maps: NdArray;
  /** The channel of each map. */
  readonly channels: readonly number[];
  /** Share of values that are exactly 0. */
  readonly sparsity: number;
  /** How many maps are 0 everywhere. */
  readonly dead: number;
  /**
   * How much of its area a living map uses, from 1/(h·w) (one cell) to 1 (evenly lit): the mean over living maps of
   * (Σ|a|)² / (h·w·Σa²), the measure of Treves and Rolls (1991).
   */
  readonly spread: number;
  /** Smallest and largest value of the layer. */
  readonly extent: readonly [number, number];
}

/** One channel in numbers: a row of the table. */
export interface ActivationRow {
  /** The layer's name. */
  layer: string;
  /** The channel's index in the layer's output. */
  channel: number;
  /** The smallest value. */
  min: number;
  /** The largest value. */
  max: number;
  /** The mean value. */
  mean: number;
  /** Share of values that are exactly 0. */
  sparsity: number;
  /** See {@linkcode LayerActivations.spread}; 0 for a dead map. */
  spread: number;
  /** Whether every value is 0. */
  dead: boolean;
}

/** How many cells each map has. */
const cellsOf = (shape: readonly number[]) => sizeOf(shape.slice(0, -1));

/** One channel in numbers. */
function summarize(layer: string, channel: number, maps: NdArrayLike, index: number): ActivationRow {
  const { data } = maps;
  const count = maps.shape.at(-1)!;
  const cells = data.length / count;
  let min = Infinity;
  let max = -Infinity;
  let sum = 0;
  let absolute = 0;
  let squares = 0;
  let zeros = 0;
  // The map is read where it lies. Zeros are counted without a branch, which their scatter would make slow.
  for (let i = index; i < data.length; i += count) {
    const value = data[i];
    if (value < min) min = value;
    if (value > max) max = value;
    sum += value;
    absolute += Math.abs(value);
    squares += value * value;
    zeros += Number(value === 0);
  }
  return {
    layer,
    channel,
    // Adding 0 turns −0, which a rectifier may put out, into 0.
    min: min > max ? 0 : min + 0,
    max: min > max ? 0 : max + 0,
    mean: sum / cells,
    sparsity: zeros / cells,
    spread: squares > 0 ? absolute ** 2 / (cells * squares) : 0,
    dead: zeros === cells,
  };
}

/** The feature maps of one layer or several, as plain numbers; in a cell, a grid for each layer. */
export class Activations extends Result<ActivationRow> {
  /** What was kept of each layer, in the order asked for. */
  readonly layers: readonly LayerActivations[];
  /** One row for each channel. */
  readonly rows: readonly ActivationRow[];
  /** The image as the model saw it, `[h, w, 3]`, RGB, 0…255. */
  readonly image: NdArray;
  readonly #names: { model: string; image: string };

  /** @internal */
  constructor(
    layers: (Pick<LayerActivations, "name" | "shape" | "channels"> & { readonly maps: NdArrayLike })[],
    image: NdArrayLike,
    names: { model: string; image: string },
  ) {
    super();
    const rows = layers.map(({ name, maps, channels }) =>
      channels.map((channel, i) => summarize(name, channel, maps, i))
    );
    this.layers = layers.map((layer, i) => {
      const alive = rows[i].filter(({ dead }) => !dead);
      return {
        ...layer,
        maps: NdArray.from(layer.maps),
        sparsity: rows[i].reduce((sum, row) => sum + row.sparsity, 0) / rows[i].length,
        dead: rows[i].length - alive.length,
        spread: alive.length ? alive.reduce((sum, row) => sum + row.spread, 0) / alive.length : 0,
        extent: extent(layer.maps.data),
      };
    });
    this.rows = rows.flat();
    this.image = NdArray.from(image);
    this.#names = names;
  }

  /**
   * Draws the feature maps, a grid for each layer.
   *
   * @throws {RangeError} if `scale` or `palette` is none that is known, or `maps` is not a whole number ≥ 1
   */
  override figure(options: Partial<ActivationsFigureOptions> = {}): Figure {
    const given = readOptions("figure", ActivationsFigureOptions, options);
    return this.#drawn(given, Infinity);
  }

  /**
   * Some maps of each layer, under the image's name.
   *
   * @internal
   */
  override sheetRow(): SheetRow {
    const options = new ActivationsFigureOptions();
    const { caption, blocks } = this.#drawn(options, options.maps);
    return { heading: this.#names.image, caption, blocks };
  }

  /** @param most how many maps are drawn where there is one layer */
  #drawn({ scale, palette, maps }: ActivationsFigureOptions, most: number): Figure {
    const { model, image } = this.#names;
    const single = this.layers.length === 1;
    const signed = this.layers.some(({ extent: [min] }) => min < 0);
    const caption = [
      pixelRemark(this.image),
      bandsNote(this.image.shape),
      scale === "channel" && this.layers.some(({ shape }) => cellsOf(shape) > 1)
        ? "Each map has its own scale; black is 0."
        : "One scale for each layer; black is 0.",
      signed ? "Where a layer has negative values, they are blue and positive ones orange." : "",
      this.layers.some(({ dead }) => dead > 0) ? "Outlined in orange: maps that are 0 everywhere." : "",
      single && most === Infinity ? "" : `At most ${maps} maps of a layer are drawn.`,
      "Sparsity is the share of exact zeros; spread is the share of its area that a living map uses.",
    ].filter(Boolean).join(" ");
    const blocks = this.layers.map((layer): Block => ({
      ...this.#grid(layer, scale, palette, single ? most : maps),
      ...(single ? {} : { heading: `${layer.name} · ${layer.shape.join("×")}` }),
      note: this.#note(layer),
    }));
    const title = single
      ? `${model} · ${this.layers[0].name} · ${this.layers[0].shape.join("×")} · ${image}`
      : `${model} · ${this.layers.length} layers · ${image}`;
    return new Figure({ title, caption, blocks });
  }

  #note({ shape, channels, sparsity, spread, dead, extent: [min, max] }: LayerActivations): string {
    const all = shape.at(-1)!;
    const maps = channels.length === all ? `${all} maps` : `${channels.length} of ${all} maps`;
    const read = mapsNote(shape.slice(0, -1));
    return `${maps}, ${dead} dead · sparsity ${briefPercent(sparsity)} · spread ${briefPercent(spread)} · ` +
      `values ${brief(min)} … ${brief(max)}${read && ` · ${read}`}`;
  }

  #grid(layer: LayerActivations, scale: "channel" | "layer", palette: Palette, limit: number): Block {
    const { maps, channels, name } = layer;
    const rows = this.rows.filter((row) => row.layer === name);
    const signed = layer.extent[0] < 0;
    // A map of one cell has no scale of its own.
    const own = scale === "channel" && cellsOf(maps.shape) > 1;
    const count = Math.min(limit, channels.length);
    return mapsPicture(maps.shape.slice(0, -1), {
      count,
      values: (i) => channelOf(maps, i).data,
      ...!own && { largest: () => Math.max(...layer.extent.map(Math.abs)) },
      palette: signed ? "diverging" : palette,
      label: (i) => {
        const { channel, min, max, mean, sparsity, dead } = rows[i];
        return `channel ${channel}${dead ? " · dead" : ""}\nvalues ${brief(min)} … ${brief(max)}, mean ${brief(mean)}` +
          `\n${briefPercent(sparsity)} zeros`;
      },
      outlined: (i) => rows[i].dead,
      maxHeight: this.layers.length === 1 ? 460 : 120,
      alt: `${count} of ${channels.length} activation maps of layer ${name} of ${this.#names.model} for ` +
        `${this.#names.image}, ${layer.dead} of them dead`,
    });
  }
}

/** The feature maps of one layer for several images. */
export interface LayerOfImages extends Pick<LayerActivations, "name" | "shape" | "channels"> {
  /** `[n, h, w, kept channels]`, in the order of the images. */
  readonly maps: NdArray;
}

/** The feature maps of several images: an array of their activations, and of each layer the maps of all in one array. */
export class ActivationsOfImages extends Collection<Activations> {
  /** What was kept of each layer, in the order asked for. */
  layers: readonly LayerOfImages[] = [];
  /** The id of each image; of one that is in no data set its name. */
  ids: readonly string[] = [];
  /** The label of each image; undefined where it has none. */
  labels: readonly (string | undefined)[] = [];

  /**
   * The maps of each layer by its name, with the ids and labels.
   *
   * @internal
   */
  override arrays(): object {
    return {
      ids: this.ids,
      labels: this.labels,
      ...Object.fromEntries(this.layers.map(({ name, maps }) => [name, maps])),
    };
  }

  /** @internal The maps of each layer lie one behind the other in `stores`, and those of each image in them. */
  static together(
    each: readonly Activations[],
    { title, skipped, stores, ids, labels }: {
      title: string;
      skipped: readonly SkippedImage[];
      stores: readonly Float32Array[];
      ids: readonly string[];
      labels: readonly (string | undefined)[];
    },
  ): ActivationsOfImages {
    const all = ActivationsOfImages.titled<Activations, ActivationsOfImages>(each, title, skipped);
    all.ids = ids;
    all.labels = labels;
    all.layers = each[0].layers.map(({ name, shape, channels, maps }, i) => {
      const data = stores[i].subarray(0, each.length * maps.data.length);
      return { name, shape, channels, maps: NdArray.from({ data, shape: [each.length, ...maps.shape] }) };
    });
    return all;
  }
}
