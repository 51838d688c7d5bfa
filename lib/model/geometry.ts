/**
 * Which cells of a layer a box of pixels reaches, and which pixels a box of cells sees: arithmetic on a network's graph.
 *
 * All layers whose cells have a place in the image are windows along each axis: cell `o` reads the cells from
 * `o · stride − before` on, `kernel` of them, of what comes in; where maps grow, what comes in is laid `up` cells apart
 * before. A layer that works cell by cell is a window of one cell,
 * padding and cropping are windows of one cell that are shifted. (Araujo, Norris and Sim, "Computing Receptive Fields of
 * Convolutional Neural Networks", Distill 2019, §2; Nakandala, Kumar and Papakonstantinou, "Incremental and approximate
 * inference for faster occlusion-based deep CNN explanations", SIGMOD 2019, §3.)
 *
 * @module
 */

import type { layers, LayersModel } from "npm:@tensorflow/tfjs@4.22.0";
import { pairs } from "../runtime/layers/added.ts";
import { operationName } from "../runtime/layers/operations.ts";
import { entryOf, type Shape, shapeList, trace, type Use, waysTo } from "./graph.ts";

/** What one cell reads along one axis. */
export interface Window {
  /** From the first cell read to the last, dilation counted in. */
  readonly kernel: number;
  readonly stride: number;
  /** How many cells the first window begins before the first cell; negative where cells are cut off. */
  readonly before: number;
  /** How far apart the cells within a window are that are read. @default 1 */
  readonly dilation?: number;
  /**
   * How far apart the cells of what comes in are laid, with nothing between them, before the window moves over them:
   * so transposed convolutions, up-sampling and resizing are windows, too. @default 1
   */
  readonly up?: number;
  /** Whether the window is only a bound, because its place depends on the size of the image. */
  readonly bound?: boolean;
}

/** Cells from `start` up to but not with `end`, along one axis. */
export type Interval = readonly [start: number, end: number];

/** A box of cells or pixels. */
export type Box = readonly [rows: Interval, columns: Interval];

/** Layers whose cells see just the cell below them. */
const POINTWISE = new Set([
  "Activation",
  "ActivityRegularization",
  "AlphaDropout",
  "BatchNormalization",
  "Dropout",
  "ELU",
  "GaussianDropout",
  "GaussianNoise",
  "LayerScale",
  "LeakyReLU",
  "LocalResponseNormalization",
  "Masking",
  "Normalization",
  "PReLU",
  "RandomBrightness",
  "RandomContrast",
  "RandomFlip",
  "RandomHeight",
  "RandomRotation",
  "RandomTranslation",
  "RandomWidth",
  "RandomZoom",
  "ReLU",
  "Rescaling",
  "SpatialDropout1D",
  "SpatialDropout2D",
  "SpatialDropout3D",
  "StochasticDepth",
  "ThresholdedReLU",
]);

/** Layers that join branches cell by cell. */
const MERGING = new Set([
  "Add",
  "Average",
  "Concatenate",
  "CustomScaleLayer",
  "Maximum",
  "Minimum",
  "Multiply",
  "Subtract",
]);

/** Layers that work along some axes: cell by cell where that is the channels'. */
const MIXES = new Set([
  "Concatenate",
  "Dense",
  "LayerNormalization",
  "RMSNormalization",
  "Softmax",
  "UnitNormalization",
]);

/** A layer's configuration. */
export type Config = Readonly<Record<string, unknown>>;

/** Operations that work number by number. */
const NUMBERWISE = new Set(
  ("abs add bias_add cast ceil clip cos divide elu erf exp expm1 floor floor_divide identity log log1p maximum minimum " +
    "mod multiply neg negative power reciprocal relu relu6 round rsqrt selu sigmoid sign silu sin softplus sqrt square " +
    "squared_difference subtract tanh").split(" "),
);

/** Whether an operation layer works number by number. */
export const isNumberwise = ({ operation }: Config): boolean => NUMBERWISE.has(operationName(String(operation)) ?? "");

/** What an operation layer is given: constants, and `{ input: i }` for what it reads. */
export const constantsOf = (
  { args, named }: Config,
): unknown[] => [...args as unknown[], ...Object.values(named ?? {})];

/** Whether a constant is the same for all cells of a map. */
function isForAllCells(value: unknown): boolean {
  let list = value;
  while (Array.isArray(list) && list.length === 1) [list] = list;
  return !Array.isArray(list) || !Array.isArray(list[0]);
}

export const CELL: Window = { kernel: 1, stride: 1, before: 0 };

/** Whether each cell reads only the one of its own place. */
export const isCellwise = ({ kernel, stride, before, up = 1 }: Window): boolean =>
  kernel === 1 && stride === 1 && before === 0 && up === 1;

/** One number a side, of what a configuration gives for all or for each. */
const each = (value: unknown, sides: number, otherwise = 1): number[] =>
  Array.isArray(value) ? value : Array(sides).fill(typeof value === "number" ? value : otherwise);

/** A window with `padding: "same"` (TensorFlow's rule: of an uneven number of cells the extra one goes behind). */
function samePadded(input: number | null, kernel: number, stride: number): Window {
  const before = (left: number) => Math.floor(Math.max(kernel - left, 0) / 2);
  if (input !== null) return { kernel, stride, before: before(input % stride || stride) };
  // The last window begins as many cells before the end as the input's length leaves.
  const [least, most] = [before(stride), before(1)];
  return least === most
    ? { kernel, stride, before: most }
    : { kernel: kernel + most - least, stride, before: most, bound: true };
}

/** The windows of a convolution or pooling. */
function sliding(config: Config, lengths: Shape): Window[] {
  const kernels = each(config["kernelSize"] ?? config["poolSize"], lengths.length);
  const strides = each(config["strides"], lengths.length);
  const dilations = each(config["dilationRate"], lengths.length);
  return lengths.map((length, axis) => {
    const [stride, dilation] = [strides[axis], dilations[axis]];
    const kernel = (kernels[axis] - 1) * dilation + 1;
    const spaced = dilation > 1 ? { dilation } : {};
    if (config["padding"] === "same") return { ...samePadded(length, kernel, stride), ...spaced };
    return { kernel, stride, before: config["padding"] === "causal" ? kernel - 1 : 0, ...spaced };
  });
}

/** The windows of a transposed convolution, which lays the cells a stride apart and convolves. */
function transposed(config: Config, lengths: Shape): Window[] {
  const kernels = each(config["kernelSize"], lengths.length);
  const strides = each(config["strides"], lengths.length);
  const dilations = each(config["dilationRate"], lengths.length);
  const added = config["outputPadding"] ?? null;
  return lengths.map((_, axis) => {
    const [up, dilation] = [strides[axis], dilations[axis]];
    const kernel = (kernels[axis] - 1) * dilation + 1;
    // What Keras cuts off before the first cell: see `deconv_output_length`.
    const surplus = added === null ? kernel - up : 2 * Math.floor(kernel / 2) - each(added, lengths.length)[axis];
    const cut = config["padding"] === "same" ? Math.floor(Math.max(0, surplus) / 2) : 0;
    return { kernel, stride: 1, before: kernel - 1 - cut, up, ...dilation > 1 ? { dilation } : {} };
  });
}

/**
 * The window of a resizing from `from` cells to `to`, which may be any numbers in that proportion where cells have their
 * centres at half pixels. (As `shares` of runtime/layers/resampling.ts has them.)
 */
export function resized(from: number, to: number, linear: boolean, coordinates: string): Window {
  if (from === to) return CELL;
  const align = coordinates === "alignCorners";
  if (align && to === 1) return { kernel: 1, stride: 1, before: 0 };
  const [a, b] = align ? [from - 1, to - 1] : [from, to];
  // Cell `o` lies at `(stride · o + at) / up` of what comes in; the nearest one holds it, two linear ones are around it.
  const up = 2 * b;
  const at = coordinates === "halfPixel" ? a - (linear ? b : 0) : align && !linear ? b : 0;
  const [kernel, first] = linear ? [2 * up - 1, at - up + 1] : [up, at - up + 1];
  return { kernel, stride: 2 * a, before: -first, up };
}

/** Cells that are cut off before the first, and behind the last, one pair a side. */
const cuts = (value: unknown, sides: number): [number, number][] => pairs(value ?? 1, sides);

/** The windows of layers that enlarge, reduce, pad or cut maps; null if it is none of these. */
function reshaping(kind: string, config: Config, lengths: Shape): Window[] | null {
  const sides = lengths.length;
  if (kind.startsWith("ZeroPadding")) {
    return cuts(config["padding"], sides).map(([before]) => ({ ...CELL, before }));
  }
  if (kind.startsWith("Cropping")) {
    return cuts(config["cropping"], sides).map(([before]) => ({ ...CELL, before: -before }));
  }
  const linear = config["interpolation"] === "bilinear";
  if (kind.startsWith("UpSampling")) {
    return each(config["size"], sides, 2).map((size) => resized(1, size, linear, "halfPixel"));
  }
  if (kind !== "Resizing" && kind !== "CenterCrop") return null;
  const to = [Number(config["height"]), Number(config["width"])];
  if (lengths.includes(null)) return null;
  const from = lengths as number[];
  const cropsOnly = kind === "CenterCrop" && to.every((length, axis) => length <= from[axis]);
  const keeps = kind === "CenterCrop" || Boolean(config["cropToAspectRatio"]);
  const kept = cropsOnly
    ? to
    : keeps
    ? from.map((length, axis) => Math.min(length, Math.trunc(from[1 - axis] * to[axis] / to[1 - axis])))
    : from;
  return kept.map((length, axis) => {
    const cut = Math.floor((from[axis] - length) / 2);
    const window = cropsOnly
      ? CELL
      : resized(length, to[axis], linear || kind === "CenterCrop", String(config["coordinates"] ?? "halfPixel"));
    return { ...window, before: window.before - cut * (window.up ?? 1) };
  });
}

/**
 * The windows of a layer of convolutions' kind over maps: a window for each of their sides.
 *
 * @param lengths the sides of what comes in, without batch and channels
 * @returns null if it is no such layer, or cannot be told without the image's size
 */
export function sideWindows(kind: string, config: Config, lengths: Shape): Window[] | null {
  if (/^(Depthwise|Separable)?Conv\dD$|^(Max|Average)Pooling\dD$/.test(kind)) return sliding(config, lengths);
  if (/^Conv\dDTranspose$/.test(kind)) return transposed(config, lengths);
  return reshaping(kind, config, lengths);
}

/** The axes that a layer of some kinds mixes, counted from the batch's; empty where it works number by number. */
export function mixedAxes(kind: string, config: Config, rank: number): number[] | null {
  if (MIXES.has(kind)) {
    return (kind === "Dense" ? [-1] : [config["axis"] ?? -1].flat()).map((axis) => (Number(axis) + rank) % rank);
  }
  return POINTWISE.has(kind) || MERGING.has(kind) ? [] : null;
}

/** Whether maps have their channels before their sides. */
export const isChannelsFirst = (config: Config): boolean =>
  config["dataFormat"] === "channelsFirst" || config["data_format"] === "channels_first";

/**
 * The windows of a layer along each side of its maps, the same for each of its inputs.
 *
 * @param inputShape of the layer's (first) input, with the batch's axis: `[n, …sides, c]`
 * @returns null where a cell's place means nothing (dense layers, global pooling) or the layer is not known
 */
export function windowsOf(layer: layers.Layer, inputShape: Shape): readonly Window[] | null {
  const kind = layer.getClassName();
  const config = layer.getConfig();
  const rank = inputShape.length;
  if (rank < 3 || isChannelsFirst(config)) return null;
  const lengths = inputShape.slice(1, -1);
  const cells = lengths.map(() => CELL);
  // Along other axes than the channels' it mixes cells.
  const mixed = mixedAxes(kind, config, rank);
  if (mixed) return mixed.every((axis) => axis === rank - 1) ? cells : null;
  if (kind === "Operation" && isNumberwise(config)) {
    return constantsOf(config).every(isForAllCells) ? cells : null;
  }
  return sideWindows(kind, config, lengths);
}

/** The windows of a layer along the rows and along the columns of maps `[n, h, w, c]`; null as in {@linkcode windowsOf}. */
export function mapWindows(layer: layers.Layer, inputShape: Shape): readonly [rows: Window, columns: Window] | null {
  const windows = windowsOf(layer, inputShape);
  return windows?.length === 2 ? [windows[0], windows[1]] : null;
}

/** The smallest interval that holds some others. */
export function hull(intervals: readonly Interval[]): Interval {
  return [Math.min(...intervals.map(([start]) => start)), Math.max(...intervals.map(([, end]) => end))];
}

/**
 * The cells whose windows touch an interval of what comes in.
 *
 * @param length how many cells there are
 * @returns empty, `[a, a]`, where no window touches it
 */
export function reached({ kernel, stride, before, up = 1 }: Window, [start, end]: Interval, length: number): Interval {
  const first = Math.max(0, Math.ceil((start * up + before - kernel + 1) / stride));
  const behind = Math.min(length, Math.floor(((end - 1) * up + before) / stride) + 1);
  return start < end && first < behind ? [first, behind] : [Math.min(first, length), Math.min(first, length)];
}

/** What the windows of an interval of cells read of what comes in; it may hang over the edges, into the padding. */
export function seen({ kernel, stride, before, up = 1 }: Window, [start, end]: Interval): Interval {
  return [
    Math.ceil((start * stride - before) / up),
    Math.floor(((end - 1) * stride - before + kernel - 1) / up) + 1,
  ];
}

const clip = ([start, end]: Interval, length: number): Interval => [
  Math.min(Math.max(start, 0), length),
  Math.max(Math.min(end, length), 0),
];

const empty = ([start, end]: Interval) => start >= end;

/** Rows and columns of maps `[n, h, w, c]`; null where they are not known. */
export function sidesOf({ shape }: { shape: Shape }): [height: number, width: number] | null {
  const [, height, width] = shape;
  return shape.length === 4 && height !== null && width !== null ? [height, width] : null;
}

/** The windows through which a use of a layer sees what it reads; null where places mean nothing, and for an input. */
export function windowsOfUse({ layer, inputs, shape, steps }: Use): readonly [rows: Window, columns: Window] | null {
  // Maps that are stretched over others (one number a channel, as attention has it) lose their places.
  const alike = new Set(inputs.map((input) => input.shape.slice(1, 3).join())).size === 1;
  return alike && steps === 0 && shape.length === 4 ? mapWindows(layer, inputs[0].shape) : null;
}

/**
 * The cells of a layer that a box of pixels can change.
 *
 * @param layer the layer's name, as `"features/conv1"`
 * @param box pixels of the network's input
 * @param inputShape `[h, w, c]` of the image, for a network that takes any size; @default what the network says
 * @returns the smallest box that holds them, by the geometry alone (weights of 0 count as others); null if it changes none,
 *   and the whole map where places mean nothing on the way
 * @throws {RangeError} if the layer puts out no map of a known size
 *
 * @example
 * ```ts
 * import { tinyVgg } from "@convlens/convlens";
 * import { reachedCells } from "./geometry.ts";
 *
 * const model = await tinyVgg();
 * reachedCells(model.network, "pool1", [[0, 32], [0, 32]]);
 * ```
 */
export function reachedCells(network: LayersModel, layer: string, box: Box, inputShape?: Shape): Box | null {
  const { uses, last } = waysThrough(network, layer, inputShape);
  const boxes = new Map<Use, Box | null>();
  for (const use of uses) {
    const sides = sidesOf(use);
    const windows = windowsOfUse(use);
    const whole: Box | null = sides && [[0, sides[0]], [0, sides[1]]];
    const all = use.inputs.map((input) => boxes.get(input)!).filter((box) => box !== null);
    if (use.inputs.length === 0) boxes.set(use, sides && clipBox(box, sides));
    else if (all.length === 0 && use.inputs.every(sidesOf)) boxes.set(use, null);
    else if (!windows || !sides) boxes.set(use, whole);
    else {
      const axis = (i: 0 | 1) => reached(windows[i], hull(all.map((box) => box[i])), sides[i]);
      boxes.set(use, solid([axis(0), axis(1)]));
    }
  }
  mapOf(last);
  return boxes.get(last)!;
}

/**
 * The pixels that can change a box of a layer's cells.
 *
 * @param layer the layer's name, as `"features/conv1"`
 * @param cells the box; one cell is asked for as `[[y, y + 1], [x, x + 1]]`
 * @param inputShape `[h, w, c]` of the image, for a network that takes any size; @default what the network says
 * @returns the smallest box of pixels that holds them, by the geometry alone; null if there are none, and the whole image
 *   where places mean nothing on the way
 * @throws {RangeError} if the layer puts out no map of a known size
 */
export function seenPixels(network: LayersModel, layer: string, cells: Box, inputShape?: Shape): Box | null {
  const { uses, last } = waysThrough(network, layer, inputShape);
  const wanted = new Map<Use, Box[]>([[last, [clipBox(cells, mapOf(last))].filter((box) => box !== null)]]);
  let pixels: Box | null = null;
  for (const use of uses.toReversed()) {
    const boxes = wanted.get(use) ?? [];
    if (boxes.length === 0) continue;
    const box = hullOf(boxes);
    if (use.inputs.length === 0) pixels = box;
    const windows = windowsOfUse(use);
    for (const input of use.inputs) {
      const sides = sidesOf(input);
      const whole: Box | null = sides && [[0, sides[0]], [0, sides[1]]];
      const read = windows && sides ? clipBox([seen(windows[0], box[0]), seen(windows[1], box[1])], sides) : whole;
      // A vector has no boxes, but whoever reads it sees all that it was made from.
      const next = read ?? (sides ? null : [[0, 1], [0, 1]] as const);
      if (next) wanted.set(input, [...wanted.get(input) ?? [], next]);
    }
  }
  return pixels;
}

/** The uses on the ways to a layer, for an image of a size. */
export function waysThrough(network: LayersModel, layer: string, inputShape?: Shape) {
  const { uses } = trace(network, inputShape);
  const last = uses[entryOf(network, layer).use.id];
  const ways = waysTo([last]);
  return { last, uses: uses.filter((use) => ways.has(use)) };
}

const solid = (box: Box): Box | null => box.some(empty) ? null : box;

const hullOf = (boxes: readonly Box[]): Box => [hull(boxes.map(([rows]) => rows)), hull(boxes.map(([, cols]) => cols))];

const clipBox = ([rows, columns]: Box, [height, width]: [number, number]): Box | null =>
  solid([clip(rows, height), clip(columns, width)]);

function mapOf(use: Use): [number, number] {
  const sides = sidesOf(use);
  if (sides) return sides;
  throw new RangeError(
    `Layer ${JSON.stringify(use.name)} puts out [${shapeList(use.shape.slice(1))}]; ` +
      "wanted maps of a known size, [h, w, c].",
  );
}
