/**
 * What each layer makes of an image: one picture a channel.
 *
 * The first pictures of cs231n's "Visualizing what ConvNets learn" and of the chapter on intermediate activations in
 * Chollet's "Deep Learning with Python" (§5.4.1 of the first edition).
 *
 * @module
 */

import { channelOf, extent, type NdArray } from "../array.ts";
import { type ImageLike, toImage } from "../data/image.ts";
import { type DataFrame, toDataFrame } from "../data/table.ts";
import { checkOptions, kindOf } from "../errors.ts";
import { colorize, type Palette } from "../figure/color.ts";
import type { Block } from "../figure/blocks.ts";
import { Figure, Shown } from "../figure/figure.ts";
import { mosaic } from "../figure/mosaic.ts";
import { checkModel, type Model } from "../model/model.ts";
import { forward, item } from "../probe/forward.ts";

export interface ActivationsOptions {
  /** The layer to look into; or `layers`, for several. */
  layer?: string;
  /**
   * Several layers, in the order in which they are shown.
   * @default where `layer` is not given either: every convolution and pooling; in a model with more than 16 of them, the
   *   last layer of each resolution
   */
  layers?: readonly string[];
  /**
   * Which channels to keep.
   * @default all
   */
  channels?: readonly number[];
  /** Stops before the pass. */
  signal?: AbortSignal;
}

export interface ActivationsFigureOptions {
  /**
   * What white stands for: each map's own greatest value, or the whole layer's (always, where a map is one cell).
   * @default "channel"
   */
  scale?: "channel" | "layer";
  /**
   * The palette of layers without negative values; the others take the diverging one.
   * @default "grey"
   */
  palette?: Exclude<Palette, "diverging">;
  /**
   * How many maps of each layer are drawn where several layers are shown; the caption says how many there are.
   * @default 16
   */
  maps?: number;
}

/** One layer's maps and what they amount to. */
export interface LayerActivations {
  /** The layer's name. */
  readonly name: string;
  /** The shape of the layer's whole output, `[h, w, c]`, also where only some channels were kept. */
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
  /** Least and greatest value of the layer. */
  readonly extent: readonly [number, number];
}

/** One channel in numbers: a row of the table. */
export interface ActivationRow {
  layer: string;
  channel: number;
  min: number;
  max: number;
  mean: number;
  /** Share of values that are exactly 0. */
  sparsity: number;
  /** See {@linkcode LayerActivations.spread}; 0 for a dead map. */
  spread: number;
  /** Whether every value is 0. */
  dead: boolean;
}

function summarize(layer: string, channel: number, maps: NdArray, index: number): ActivationRow {
  const { data, shape: [height, width, count] } = maps;
  const cells = height * width;
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
    min: min > max ? 0 : min,
    max: min > max ? 0 : max,
    mean: sum / cells,
    sparsity: zeros / cells,
    spread: squares > 0 ? absolute ** 2 / (cells * squares) : 0,
    dead: zeros === cells,
  };
}

const percent = (share: number) => `${Number((100 * share).toPrecision(2))} %`;
const brief = (value: number) => Number(value.toPrecision(3)).toString();

/** The maps of one layer or several, as plain numbers; in a cell, a grid a layer. */
export class Activations extends Shown {
  readonly layers: readonly LayerActivations[];
  /** One row a channel. */
  readonly rows: readonly ActivationRow[];
  /** The image as the model saw it, `[h, w, 3]`, RGB, 0…255. */
  readonly image: NdArray;
  readonly #names: { model: string; image: string };

  constructor(
    layers: Pick<LayerActivations, "name" | "shape" | "maps" | "channels">[],
    image: NdArray,
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
        sparsity: rows[i].reduce((sum, row) => sum + row.sparsity, 0) / rows[i].length,
        dead: rows[i].length - alive.length,
        spread: alive.length ? alive.reduce((sum, row) => sum + row.spread, 0) / alive.length : 0,
        extent: extent(layer.maps.data),
      };
    });
    this.rows = rows.flat();
    this.image = image;
    this.#names = names;
  }

  /** The rows as a Polars DataFrame, made when asked for. */
  get table(): Promise<DataFrame> {
    return toDataFrame(this.rows);
  }

  override figure(options: ActivationsFigureOptions = {}): Figure {
    const { scale = "channel", palette = "grey", maps = 16 } = checkOptions("figure", options, {
      scale: true,
      palette: true,
      maps: true,
    });
    if (scale !== "channel" && scale !== "layer") {
      throw new RangeError(`scale must be "channel" or "layer": received ${kindOf(scale)}.`);
    }
    const { model, image } = this.#names;
    const single = this.layers.length === 1;
    const signed = this.layers.some(({ extent: [min] }) => min < 0);
    const caption = [
      scale === "channel" && this.layers.some(({ shape }) => shape[0] * shape[1] > 1)
        ? "Each map has its own scale; black is 0."
        : "One scale for each layer; black is 0.",
      signed ? "Where a layer has negative values, they are blue and positive ones orange." : "",
      this.layers.some(({ dead }) => dead > 0) ? "Outlined in orange: maps that are 0 everywhere." : "",
      single ? "" : `At most ${maps} maps of a layer are drawn.`,
      "Sparsity is the share of exact zeros; spread is the share of its area that a living map uses.",
    ].filter(Boolean).join(" ");
    const blocks = this.layers.map((layer): Block => ({
      ...this.#grid(layer, scale, palette, single ? Infinity : maps),
      ...(single ? {} : { heading: `${layer.name} · ${layer.shape.join("×")}` }),
      note: this.#note(layer),
    }));
    const title = single
      ? `${model} · ${this.layers[0].name} · ${this.layers[0].shape.join("×")} · ${image}`
      : `${model} · ${this.layers.length} layers · ${image}`;
    const text = this.layers.map((layer) =>
      `  ${layer.name.padEnd(24)} ${layer.shape.join("×").padEnd(12)} ${this.#note(layer)}`
    );
    return new Figure({ title, caption, blocks, text: [title, ...text].join("\n") });
  }

  #note({ shape, channels, sparsity, spread, dead, extent: [min, max] }: LayerActivations): string {
    const maps = channels.length === shape[2] ? `${channels.length} maps` : `${channels.length} of ${shape[2]} maps`;
    return `${maps}, ${dead} dead · sparsity ${percent(sparsity)} · spread ${percent(spread)} · ` +
      `values ${brief(min)} … ${brief(max)}`;
  }

  #grid(layer: LayerActivations, scale: "channel" | "layer", palette: Palette, most: number): Block {
    const { maps, channels, name } = layer;
    const rows = this.rows.filter((row) => row.layer === name);
    const signed = layer.extent[0] < 0;
    const range = ({ min, max }: { min: number; max: number }): [number, number] => {
      const greatest = Math.max(Math.abs(min), Math.abs(max));
      return [signed ? -greatest : 0, greatest];
    };
    const whole = range({ min: layer.extent[0], max: layer.extent[1] });
    const { pixels, grid } = mosaic({
      height: maps.shape[0],
      width: maps.shape[1],
      count: Math.min(most, channels.length),
      paint: (i) =>
        colorize(
          channelOf(maps, i).data,
          // A map of one cell has no scale of its own.
          ...(scale === "channel" && maps.shape[0] * maps.shape[1] > 1 ? range(rows[i]) : whole),
          signed ? "diverging" : palette,
        ),
      label: (i) => {
        const { channel, min, max, mean, sparsity, dead } = rows[i];
        return `channel ${channel}${dead ? " · dead" : ""}\nvalues ${brief(min)} … ${brief(max)}, mean ${brief(mean)}` +
          `\n${percent(sparsity)} zeros`;
      },
      outlined: (i) => rows[i].dead,
      maxHeight: this.layers.length === 1 ? 460 : 120,
    });
    return {
      kind: "picture",
      pixels,
      grid,
      alt: `${grid.labels.length} of ${channels.length} activation maps of layer ${name} of ${this.#names.model} ` +
        `for ${this.#names.image}, ${layer.dead} of them dead`,
    };
  }
}

/** Beyond so many convolutions and poolings a walk stops only at the end of each stage. */
const LONGEST_WALK = 16;

/** The layers that a walk through the network stops at. */
function walk(model: Model): string[] {
  const maps = model.layers.filter(({ outputShape }) => outputShape.length === 3);
  const stops = maps.filter(({ kind }) => /Conv|Pooling/.test(kind));
  if (stops.length <= LONGEST_WALK) return stops.map(({ name }) => name);
  // The last layer of each resolution; padding and the like make resolutions of their own.
  const made = maps.filter(({ kind }) => !/^(InputLayer|ZeroPadding2D|Cropping2D)$/.test(kind));
  return made.filter((layer, i) => made[i + 1]?.outputShape[0] !== layer.outputShape[0]).map(({ name }) => name);
}

/**
 * Runs an image through a model and keeps the outputs of one layer or several, one 2-D map a channel.
 *
 * @param model the model; nothing on it changes
 * @param image an image, a path, or pixels `[h, w, 3]` of 0…255
 * @returns for each layer `maps` `[h, w, c]`, `channels`, `sparsity`, `dead`, `spread`; and `rows`, one a channel
 * @throws {RangeError} if a layer or a channel does not exist
 * @throws {TypeError} if both `layer` and `layers` are given, or a layer's output is neither maps nor a vector
 *
 * @example
 * ```ts
 * const maps = await activations(model, await photo("dog"), { layer: "conv1_relu" });
 * maps.layers[0].sparsity;
 * ```
 */
export async function activations(
  model: Model,
  image: ImageLike,
  options: ActivationsOptions = {},
): Promise<Activations> {
  checkModel("activations", model);
  const { layer, layers, channels, signal } = checkOptions("activations", options, {
    layer: true,
    layers: true,
    channels: true,
    signal: true,
  });
  if (layer !== undefined && layers !== undefined) {
    throw new TypeError("activations takes either layer or layers: received both.");
  }
  const names = layer !== undefined ? [layer] : [...new Set(layers ?? walk(model))];
  if (names.length === 0) {
    throw new RangeError(
      layers ? "layers is empty; wanted at least one layer's name." : `${model.name} has no convolution or pooling.`,
    );
  }
  for (const name of names) {
    const { outputShape } = model.layer(name);
    if (outputShape.length !== 3 && outputShape.length !== 1) {
      throw new TypeError(
        `Layer ${JSON.stringify(name)} puts out [${outputShape.join(", ")}]; wanted maps [h, w, c] or a vector [n].`,
      );
    }
    const count = outputShape.at(-1)!;
    const odd = channels?.find((channel) => !Number.isInteger(channel) || channel < 0 || channel >= count);
    if (odd !== undefined) {
      throw new RangeError(`Layer ${JSON.stringify(name)} has channels 0 to ${count - 1}: received ${odd}.`);
    }
  }
  if (channels?.length === 0) throw new RangeError("channels is empty; wanted at least one channel.");

  const source = await toImage(image);
  const view = await model.view(source);
  const outputs = await forward(model, [model.input(view)], names, { signal });
  const kept = outputs.map((output, i) => {
    const whole = item(output, 0);
    const maps = whole.shape.length === 1 ? { data: whole.data, shape: [1, 1, whole.shape[0]] } : whole;
    const all = Array.from({ length: maps.shape[2] }, (_, channel) => channel);
    const kept = channels ? { maps: pick(maps, channels), channels: [...channels] } : { maps, channels: all };
    return { name: names[i], shape: maps.shape, ...kept };
  });
  return new Activations(kept, view, { model: model.name, image: source.name });
}

/** Some channels of `[h, w, c]`, in the order asked for. */
function pick(maps: NdArray, channels: readonly number[]): NdArray {
  const [height, width, count] = maps.shape;
  const data = new Float32Array(height * width * channels.length);
  for (let cell = 0; cell < height * width; cell++) {
    channels.forEach((channel, i) => data[cell * channels.length + i] = maps.data[cell * count + channel]);
  }
  return { data, shape: [height, width, channels.length] };
}
