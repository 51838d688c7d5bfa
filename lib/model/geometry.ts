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

/** What one cell reads along one axis. */
export interface Window {
  /** From the first cell read to the last, dilation counted in. */
  readonly kernel: number;
  readonly stride: number;
  /** How many cells the first window begins before the first cell; negative where cells are cut off. */
  readonly before: number;
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

const CELL: Window = { kernel: 1, stride: 1, before: 0 };

const pair = (value: unknown, otherwise: number): [number, number] =>
  Array.isArray(value) ? [value[0], value[1]] : typeof value === "number" ? [value, value] : [otherwise, otherwise];

/** How many cells `padding: "same"` adds before the first (TensorFlow's rule: of an uneven number the extra one goes behind). */
function samePadding(input: number | null, kernel: number, stride: number): number {
  if (input === null) return Math.floor(Math.max(kernel - stride, 0) / 2);
  return Math.floor(Math.max((Math.ceil(input / stride) - 1) * stride + kernel - input, 0) / 2);
}

/**
 * The windows of a layer along the rows and along the columns, the same for each of its inputs.
 *
 * @param inputShape of the layer's (first) input, with the batch's axis: `[n, h, w, c]`
 * @returns null where a cell's place means nothing (dense layers, global pooling) or the layer is not known
 */
export function windowsOf(
  layer: layers.Layer,
  inputShape: readonly (number | null)[],
): readonly [rows: Window, columns: Window] | null {
  const kind = layer.getClassName();
  const config = layer.getConfig();
  if (inputShape.length !== 4) return null;
  if (config["dataFormat"] === "channelsFirst" || config["data_format"] === "channels_first") return null;
  if (kind === "Concatenate" && ![-1, 3].includes(Number(config["axis"]))) return null;
  if (POINTWISE.has(kind) || MERGING.has(kind)) return [CELL, CELL];
  const both = (window: (axis: 0 | 1) => Window) => [window(0), window(1)] as const;
  if (WINDOWED.has(kind)) {
    const pooling = kind.endsWith("Pooling2D");
    const kernels = pair(pooling ? config["poolSize"] : config["kernelSize"], 1);
    const dilations = pooling ? [1, 1] : pair(config["dilationRate"], 1);
    const strides = pair(config["strides"], 1);
    return both((axis) => {
      const kernel = (kernels[axis] - 1) * dilations[axis] + 1;
      const before = config["padding"] === "same" ? samePadding(inputShape[1 + axis], kernel, strides[axis]) : 0;
      return { kernel, stride: strides[axis], before };
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

/** Rows and columns of a symbolic tensor `[n, h, w, c]`; null where they are not known. */
function sidesOf({ shape }: SymbolicTensor): [height: number, width: number] | null {
  const [, height, width] = shape;
  return shape.length === 4 && height !== null && width !== null ? [height, width] : null;
}

/** What a tensor is computed from, and its layer's windows; none for the network's own input. */
function madeBy(tensor: SymbolicTensor) {
  const node = tensor.sourceLayer.inboundNodes[tensor.nodeIndex];
  // An input layer names its own output as its input.
  const inputTensors = node.inputTensors.filter(({ id }) => id !== tensor.id);
  if (inputTensors.length === 0) return { inputTensors, windows: null };
  // Maps that are stretched over others (one number a channel, as attention has it) lose their places.
  const alike = new Set(inputTensors.map((input) => String(sidesOf(input)))).size === 1;
  return { inputTensors, windows: alike ? windowsOf(tensor.sourceLayer, inputTensors[0].shape) : null };
}

/** A tensor and all that it is computed from, each before what is computed from it. */
function ancestors(tensor: SymbolicTensor, found = new Map<number, SymbolicTensor>()): Map<number, SymbolicTensor> {
  if (found.has(tensor.id)) return found;
  for (const input of madeBy(tensor).inputTensors) ancestors(input, found);
  return found.set(tensor.id, tensor);
}

/**
 * The cells of a layer that a box of pixels can change.
 *
 * @param output the layer's output, as `outputOf` gives it
 * @param box pixels of the network's input
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
export function reachedCells(output: SymbolicTensor, box: Box): Box | null {
  const boxes = new Map<number, Box | null>();
  for (const tensor of ancestors(output).values()) {
    const sides = sidesOf(tensor);
    const { inputTensors, windows } = madeBy(tensor);
    const whole: Box | null = sides && [[0, sides[0]], [0, sides[1]]];
    const all = inputTensors.map(({ id }) => boxes.get(id)!).filter((box) => box !== null);
    if (inputTensors.length === 0) boxes.set(tensor.id, sides && clipBox(box, sides));
    else if (all.length === 0 && inputTensors.every((input) => sidesOf(input))) boxes.set(tensor.id, null);
    else if (!windows || !sides) boxes.set(tensor.id, whole);
    else {
      const axis = (i: 0 | 1) => reached(windows[i], hull(all.map((box) => box[i])), sides[i]);
      boxes.set(tensor.id, solid([axis(0), axis(1)]));
    }
  }
  mapOf(output);
  return boxes.get(output.id)!;
}

/**
 * The pixels that can change a box of a layer's cells.
 *
 * @param output the layer's output, as `outputOf` gives it
 * @param cells the box; without it, one cell is asked for as `[[y, y + 1], [x, x + 1]]`
 * @returns the smallest box of pixels that holds them, by the geometry alone; null if there are none, and the whole image
 *   where places mean nothing on the way
 * @throws {RangeError} if the layer puts out no map of a known size
 */
export function seenPixels(output: SymbolicTensor, cells: Box): Box | null {
  const all = [...ancestors(output).values()];
  const wanted = new Map<number, Box[]>([[output.id, [clipBox(cells, mapOf(output))].filter((box) => box !== null)]]);
  for (const tensor of all.reverse()) {
    const boxes = wanted.get(tensor.id) ?? [];
    const { inputTensors, windows } = madeBy(tensor);
    if (inputTensors.length === 0) return boxes.length ? hullOf(boxes) : null;
    if (boxes.length === 0) continue;
    for (const input of inputTensors) {
      const sides = sidesOf(input);
      const whole: Box | null = sides && [[0, sides[0]], [0, sides[1]]];
      const box = hullOf(boxes);
      const read = windows && sides ? clipBox([seen(windows[0], box[0]), seen(windows[1], box[1])], sides) : whole;
      // A vector has no boxes, but whoever reads it sees all that it was made from.
      const next = read ?? (sides ? null : [[0, 1], [0, 1]] as const);
      if (next) wanted.set(input.id, [...wanted.get(input.id) ?? [], next]);
    }
  }
  return null;
}

const solid = (box: Box): Box | null => box.some(empty) ? null : box;

const hullOf = (boxes: readonly Box[]): Box => [hull(boxes.map(([rows]) => rows)), hull(boxes.map(([, cols]) => cols))];

const clipBox = ([rows, columns]: Box, [height, width]: [number, number]): Box | null =>
  solid([clip(rows, height), clip(columns, width)]);

function mapOf(output: SymbolicTensor): [number, number] {
  const sides = sidesOf(output);
  if (sides) return sides;
  throw new RangeError(
    `Layer ${JSON.stringify(output.sourceLayer.name)} puts out [${output.shape.slice(1).map((n) => n ?? "?")}]; ` +
      "wanted maps of a known size, [h, w, c].",
  );
}
