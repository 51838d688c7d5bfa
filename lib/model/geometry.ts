/**
 * Which cells of a layer a box of pixels reaches, and which pixels a box of cells sees: arithmetic on a network's graph.
 *
 * All layers whose cells have a place in the image are windows along each axis: cell `o` reads the cells from
 * `o · stride − before` on, `kernel` of them, of what comes in. A layer that works cell by cell is a window of one cell,
 * padding and cropping are windows of one cell that are shifted. (Araujo, Norris and Sim, "Computing Receptive Fields of
 * Convolutional Neural Networks", Distill 2019, §2; Nakandala, Kumar and Papakonstantinou, "Incremental and approximate
 * inference for faster occlusion-based deep CNN explanations", SIGMOD 2019, §3.)
 *
 * @module
 */

import type { layers, SymbolicTensor } from "npm:@tensorflow/tfjs@4.22.0";
import { type Shape, shapeList, Trace, type Use } from "./graph.ts";

/** What one cell reads along one axis. */
export interface Window {
  /** From the first cell read to the last, dilation counted in. */
  readonly kernel: number;
  readonly stride: number;
  /** How many cells the first window begins before the first cell; negative where cells are cut off. */
  readonly before: number;
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
  "LayerNormalization",
  "LeakyReLU",
  "LocalResponseNormalization",
  "PReLU",
  "ReLU",
  "Rescaling",
  "Softmax",
  "SpatialDropout2D",
  "ThresholdedReLU",
]);

/** Layers that window over the image: convolutions and poolings. */
const WINDOWED = new Set(["Conv2D", "DepthwiseConv2D", "SeparableConv2D", "MaxPooling2D", "AveragePooling2D"]);

/** Layers that join branches cell by cell. */
const MERGING = new Set(["Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract"]);

/** Layers that work along an axis: cell by cell where that is the channels'. */
const MIXES = new Set(["Concatenate", "LayerNormalization", "Softmax"]);

/** Operations that work number by number. */
const NUMBERWISE = new Set(
  ("abs add ceil clip cos divide erf exp floor log maximum minimum multiply neg negative power reciprocal round rsqrt sign " +
    "silu sin sqrt square subtract").split(" "),
);

/** Whether a constant is the same for all cells of a map. */
function isForAllCells(value: unknown): boolean {
  let list = value;
  while (Array.isArray(list) && list.length === 1) [list] = list;
  return !Array.isArray(list) || !Array.isArray(list[0]);
}

const CELL: Window = { kernel: 1, stride: 1, before: 0 };

const pair = (value: unknown, otherwise: number): [number, number] =>
  Array.isArray(value) ? [value[0], value[1]] : typeof value === "number" ? [value, value] : [otherwise, otherwise];

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

/**
 * The windows of a layer along the rows and along the columns, the same for each of its inputs.
 *
 * @param inputShape of the layer's (first) input, with the batch's axis: `[n, h, w, c]`
 * @returns null where a cell's place means nothing (dense layers, global pooling) or the layer is not known
 */
export function windowsOf(
  layer: layers.Layer,
  inputShape: Shape,
): readonly [rows: Window, columns: Window] | null {
  const kind = layer.getClassName();
  const config = layer.getConfig();
  if (inputShape.length !== 4) return null;
  if (config["dataFormat"] === "channelsFirst" || config["data_format"] === "channels_first") return null;
  // Along other axes these mix cells.
  const axes = [config["axis"] ?? -1].flat().map(Number);
  if (MIXES.has(kind) && axes.some((axis) => axis !== -1 && axis !== 3)) return null;
  if (POINTWISE.has(kind) || MERGING.has(kind)) return [CELL, CELL];
  if (kind === "Operation" && NUMBERWISE.has(String(config["operation"]))) {
    return (config["args"] as unknown[]).every(isForAllCells) ? [CELL, CELL] : null;
  }
  const both = (window: (axis: 0 | 1) => Window) => [window(0), window(1)] as const;
  if (WINDOWED.has(kind)) {
    const pooling = kind.endsWith("Pooling2D");
    const kernels = pair(pooling ? config["poolSize"] : config["kernelSize"], 1);
    const dilations = pooling ? [1, 1] : pair(config["dilationRate"], 1);
    const strides = pair(config["strides"], 1);
    return both((axis) => {
      const kernel = (kernels[axis] - 1) * dilations[axis] + 1;
      return config["padding"] === "same"
        ? samePadded(inputShape[1 + axis], kernel, strides[axis])
        : { kernel, stride: strides[axis], before: 0 };
    });
  }
  if (kind === "ZeroPadding2D") {
    const padding = config["padding"] as number | [number, number] | [[number, number], [number, number]];
    const before = pair(Array.isArray(padding) ? padding.map((p) => Array.isArray(p) ? p[0] : p) : padding, 1);
    return both((axis) => ({ ...CELL, before: before[axis] }));
  }
  if (kind === "Cropping2D") {
    const cropping = config["cropping"] as [[number, number], [number, number]];
    return both((axis) => ({ ...CELL, before: -cropping[axis][0] }));
  }
  return null;
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
export function reached({ kernel, stride, before }: Window, [start, end]: Interval, length: number): Interval {
  const first = Math.max(0, Math.ceil((start + before - kernel + 1) / stride));
  const behind = Math.min(length, Math.floor((end - 1 + before) / stride) + 1);
  return start < end && first < behind ? [first, behind] : [Math.min(first, length), Math.min(first, length)];
}

/** What the windows of an interval of cells read of what comes in; it may hang over the edges, into the padding. */
export function seen({ kernel, stride, before }: Window, [start, end]: Interval): Interval {
  return [start * stride - before, (end - 1) * stride - before + kernel];
}

const clip = ([start, end]: Interval, length: number): Interval => [
  Math.min(Math.max(start, 0), length),
  Math.max(Math.min(end, length), 0),
];

const empty = ([start, end]: Interval) => start >= end;

/** Rows and columns of maps `[n, h, w, c]`; null where they are not known. */
function sidesOf({ shape }: { shape: Shape }): [height: number, width: number] | null {
  const [, height, width] = shape;
  return shape.length === 4 && height !== null && width !== null ? [height, width] : null;
}

/** The windows through which a use of a layer sees what it reads; null where places mean nothing, and for an input. */
export function windowsOfUse({ layer, inputs, shape }: Use): readonly [rows: Window, columns: Window] | null {
  // Maps that are stretched over others (one number a channel, as attention has it) lose their places.
  const alike = new Set(inputs.map((input) => input.shape.slice(1, 3).join())).size === 1;
  return alike && shape.length === 4 ? windowsOf(layer, inputs[0].shape) : null;
}

/**
 * The cells of a layer that a box of pixels can change.
 *
 * @param output the layer's output, as `outputOf` gives it
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
 * import { outputOf } from "./model.ts";
 *
 * const model = await tinyVgg();
 * reachedCells(outputOf(model.network, model.network.getLayer("pool1")), [[0, 32], [0, 32]]);
 * ```
 */
export function reachedCells(output: SymbolicTensor, box: Box, inputShape?: Shape): Box | null {
  const trace = new Trace(inputShape);
  const last = trace.to(output);
  const boxes = new Map<Use, Box | null>();
  for (const use of trace.uses) {
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
 * @param output the layer's output, as `outputOf` gives it
 * @param cells the box; one cell is asked for as `[[y, y + 1], [x, x + 1]]`
 * @param inputShape `[h, w, c]` of the image, for a network that takes any size; @default what the network says
 * @returns the smallest box of pixels that holds them, by the geometry alone; null if there are none, and the whole image
 *   where places mean nothing on the way
 * @throws {RangeError} if the layer puts out no map of a known size
 */
export function seenPixels(output: SymbolicTensor, cells: Box, inputShape?: Shape): Box | null {
  const trace = new Trace(inputShape);
  const last = trace.to(output);
  const wanted = new Map<Use, Box[]>([[last, [clipBox(cells, mapOf(last))].filter((box) => box !== null)]]);
  let pixels: Box | null = null;
  for (const use of trace.uses.toReversed()) {
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
