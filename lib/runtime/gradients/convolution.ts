/**
 * Gradients of convolutions, written as forward convolutions: right on every backend, and as fast as it convolves.
 *
 * The tensors have their channels last. None is disposed here: call these inside `tf.tidy`.
 *
 * @module
 */

import type { Tensor, Tensor4D, Tensor5D } from "npm:@tensorflow/tfjs@4.22.0";
import { sizeOf } from "../../array.ts";
import type { TF } from "../core/types.ts";
import type { Axis } from "./axis.ts";

/**
 * The gradient to the input of a convolution.
 *
 * Without stride it is a convolution with the filter flipped in space and transposed in its channels. With a stride
 * `s` each input cell sees every `s`-th tap only: the taps are sorted into `s` phases an axis, one convolution computes
 * all phases side by side as channels, and these are then interleaved in space. No zero is ever multiplied for the
 * stride's sake, but for the filling up of the shorter phases.
 *
 * @param dy gradient to the output, `[n, out…, cout]`
 * @param filter `[taps…, cin, cout]`
 * @returns `[n, in…, cin]`
 */
export function convolutionInputGradient(tf: TF, dy: Tensor, filter: Tensor, axes: Axis[]): Tensor {
  const [channels, outChannels] = filter.shape.slice(-2);
  const phased = phasesOf(tf, filter, axes);
  const kernel = phased.shape.slice(0, axes.length);
  const phases = phased.shape.at(-1)! / outChannels;
  const swapped = tf.transpose(tf.reshape(phased, [sizeOf(kernel), channels, outChannels, phases]), [0, 2, 3, 1]);
  const backward = tf.reshape(swapped, [...kernel, outChannels, phases * channels]);
  const blocks = convolve(tf, reachOf(tf, dy, axes), backward, ones(axes), axes.map((axis) => axis.dilation));
  return interleave(tf, blocks, axes);
}

/**
 * The gradient to the filter of a convolution: the input's channels and the batch change places, and the gradient to
 * the output is the filter. Stride and dilation change places, too.
 *
 * @param x input, `[n, in…, cin]`
 * @param dy gradient to the output, `[n, out…, cout]`
 * @returns `[taps…, cin, cout]`
 */
export function convolutionFilterGradient(tf: TF, x: Tensor, dy: Tensor, axes: Axis[]): Tensor {
  if (axes.every(({ taps }) => taps === 1)) return pointFilterGradient(tf, x, dy, axes);
  const spatial = axes.map((_, i) => i + 1);
  const last = axes.length + 1;
  const seen = padOrCrop(tf, x, axes.map((axis) => seenBy(axis, spanOf(axis) + (axis.taps - 1) * axis.dilation)));
  const images = tf.transpose(seen, [last, ...spatial, 0]);
  const filters = tf.transpose(dy, [...spatial, 0, last]);
  const strides = axes.map((axis) => axis.dilation);
  const dilations = axes.map((axis) => axis.stride);
  return tf.transpose(convolve(tf, images, filters, strides, dilations), [...spatial, 0, last]);
}

/** Of a window of one cell: a single matrix product. */
function pointFilterGradient(tf: TF, x: Tensor, dy: Tensor, axes: Axis[]): Tensor {
  const [channels, outChannels] = [x.shape.at(-1)!, dy.shape.at(-1)!];
  const cells = tf.reshape(cellsOfTap(tf, seenCells(tf, x, axes), axes, ones(axes).fill(0)), [-1, channels]);
  const product = tf.matMul(cells, tf.reshape(dy, [-1, outChannels]), true);
  return tf.reshape(product, [...ones(axes), channels, outChannels]);
}

/**
 * The gradient to the input of a depthwise convolution, by the phases of {@linkcode convolutionInputGradient}.
 *
 * @param dy gradient to the output, `[n, h, w, c·multiplier]`
 * @param filter `[kh, kw, c, multiplier]`
 * @returns `[n, h, w, c]`
 */
export function depthwiseInputGradient(tf: TF, dy: Tensor, filter: Tensor, axes: Axis[]): Tensor {
  const [height, width, channels, multiplier] = filter.shape;
  const phased = phasesOf(tf, tf.reshape(filter, [height, width, channels * multiplier, 1]), axes) as Tensor4D;
  const phases = phased.shape[3];
  const dilations = axes.map((axis) => axis.dilation) as [number, number];
  const all = tf.depthwiseConv2d(reachOf(tf, dy, axes) as Tensor4D, phased, 1, "valid", "NHWC", dilations);
  const summed = tf.sum(tf.reshape(all, [-1, channels, multiplier, phases]), 2);
  const blocks = tf.reshape(tf.transpose(summed, [0, 2, 1]), [...all.shape.slice(0, 3), phases * channels]);
  return interleave(tf, blocks, axes);
}

/**
 * The gradient to the filter of a depthwise convolution, tap by tap: the cells that the tap saw, times the gradient to
 * the output, summed over images and places.
 *
 * @param x input, `[n, h, w, c]`
 * @param dy gradient to the output, `[n, h, w, c·multiplier]`
 * @returns `[kh, kw, c, multiplier]`
 */
export function depthwiseFilterGradient(tf: TF, x: Tensor, dy: Tensor, axes: Axis[]): Tensor {
  const [batch, , , channels] = x.shape;
  const [rows, columns] = axes;
  const places = batch * rows.output * columns.output;
  const seen = seenCells(tf, x, axes);
  const output = tf.reshape(dy, [places, channels, -1]);
  const sums: Tensor[] = [];
  for (let i = 0; i < rows.taps; i++) {
    for (let j = 0; j < columns.taps; j++) {
      const cells = cellsOfTap(tf, seen, axes, [i, j]);
      const products = tf.mul(tf.reshape(cells, [places, channels, 1]), output);
      sums.push(sumOfRows(tf, tf.reshape(products, [places, -1])));
    }
  }
  return tf.reshape(tf.concat(sums), [rows.taps, columns.taps, channels, -1]);
}

/** A filter's taps sorted by phase and flipped: `[taps…, a, b]` → `[taps / stride…, a, b·phases]`, first axis slowest. */
function phasesOf(tf: TF, filter: Tensor, axes: Axis[]): Tensor {
  let sorted = filter;
  axes.forEach((axis, i) => {
    const { shape } = sorted;
    const phases = phaseCount(axis);
    const taps = tapsPerPhase(axis);
    const missing = taps * phases - axis.taps;
    if (missing > 0) sorted = tf.pad(sorted, shape.map((_, j): [number, number] => [0, j === i ? missing : 0]));
    if (phases > 1) {
      const apart = tf.reshape(sorted, [sizeOf(shape.slice(0, i)), taps, phases, sizeOf(shape.slice(i + 1))]);
      const ends = [...shape.slice(0, i), taps, ...shape.slice(i + 1, -1), shape.at(-1)! * phases];
      sorted = tf.reshape(tf.transpose(apart, [0, 1, 3, 2]), ends);
    }
  });
  // The channels as one axis: WebGPU reverses four axes at most.
  const taps = sorted.shape.slice(0, axes.length);
  return tf.reshape(tf.reverse(tf.reshape(sorted, [...taps, -1]), axes.map((_, i) => i)), sorted.shape);
}

/** The part of `dy`, zeros around it where needed, that a convolution with a phased filter must see to cover the input. */
function reachOf(tf: TF, dy: Tensor, axes: Axis[]): Tensor {
  return padOrCrop(
    tf,
    dy,
    axes.map((axis) => {
      const last = Math.floor((axis.before + axis.input - 1) / axis.stride);
      return [(tapsPerPhase(axis) - 1) * axis.dilation - firstBlock(axis), last - (axis.output - 1)];
    }),
  );
}

/** The phases back in their places: `[n, blocks…, phases…·c]` → `[n, in…, c]`. */
function interleave(tf: TF, blocks: Tensor, axes: Axis[]): Tensor {
  let joined = blocks;
  axes.forEach((axis, i) => {
    if (axis.stride === 1) return;
    const { shape } = joined;
    const phases = phaseCount(axis);
    const rest = shape.at(-1)! / phases;
    let rows = tf.reshape(joined, [sizeOf(shape.slice(0, i + 2)), sizeOf(shape.slice(i + 2, -1)), phases, rest]);
    // Cells that no tap reaches, where the stride is longer than the window.
    if (phases < axis.stride) rows = tf.pad(rows, [[0, 0], [0, 0], [0, axis.stride - phases], [0, 0]]);
    const full = [...shape.slice(0, i + 1), shape[i + 1] * axis.stride, ...shape.slice(i + 2, -1), rest];
    joined = tf.reshape(tf.transpose(rows, [0, 2, 1, 3]), full);
    const begin = full.map((_, j) => j === i + 1 ? axis.before - firstBlock(axis) * axis.stride : 0);
    joined = tf.slice(joined, begin, full.map((size, j) => j === i + 1 ? axis.input : size));
  });
  return joined;
}

/** The input cells that {@linkcode cellsOfTap} picks from, `value` for the padding: `[n, in…, c]` → `[n, seen…, c]`. */
export function seenCells(tf: TF, x: Tensor, axes: Axis[], value = 0): Tensor {
  const runs = axes.map(({ output, taps, dilation, stride }) => output + Math.floor((taps - 1) * dilation / stride));
  return padOrCrop(tf, x, axes.map((axis, i) => seenBy(axis, runs[i] * axis.stride)), value);
}

/** What to add before and after an axis of the input for its windows to see that many cells. */
function seenBy({ before, input }: Axis, cells: number): [number, number] {
  return [before, cells - before - input];
}

/** Of the cells that are seen those that one tap sees, `[n, out…, c]`; `at` is the tap's position in the window. */
export function cellsOfTap(tf: TF, seen: Tensor, axes: Axis[], at: number[]): Tensor {
  let cells = seen;
  axes.forEach(({ output, stride, dilation }, i) => {
    const { shape } = cells;
    const offset = at[i] * dilation;
    const outer = sizeOf(shape.slice(0, i + 1));
    // Cut into runs of a stride, each of which holds one cell of the tap: slicing copies whole rows, striding does not.
    const runs = tf.reshape(cells, [outer, shape[i + 1] / stride, stride, sizeOf(shape.slice(i + 2))]);
    const picked = tf.slice(runs, [0, Math.floor(offset / stride), offset % stride, 0], [outer, output, 1, -1]);
    cells = tf.reshape(picked, [...shape.slice(0, i + 1), output, ...shape.slice(i + 2)]);
  });
  return cells;
}

/** The sum over the first axis of a matrix, half onto half: faster than by the row, and more exact. */
function sumOfRows(tf: TF, matrix: Tensor): Tensor {
  let rows = matrix;
  while (rows.shape[0] > 1) {
    const half = rows.shape[0] >> 1;
    const odd = rows.shape[0] % 2;
    const sum = tf.add(tf.slice(rows, half + odd, half), tf.slice(rows, 0, half));
    rows = odd ? tf.concat([sum, tf.slice(rows, half, 1)]) : sum;
  }
  return rows;
}

/** Cells from the first to the last place of one tap. */
function spanOf(axis: Axis): number {
  return (axis.output - 1) * axis.stride + 1;
}

/** In which run of `stride` padded cells the input begins: below zero where tfjs skips cells instead of padding. */
function firstBlock({ before, stride }: Axis): number {
  return Math.floor(before / stride);
}

function phaseCount({ stride, taps }: Axis): number {
  return Math.min(stride, taps);
}

function tapsPerPhase({ stride, taps }: Axis): number {
  return Math.ceil(taps / stride);
}

/** Adds cells before and after each spatial axis, or removes them where their number is negative. */
function padOrCrop(tf: TF, x: Tensor, amounts: [number, number][], value = 0): Tensor {
  const all = [[0, 0], ...amounts, [0, 0]];
  let fitted = x;
  if (all.some(([before, after]) => before < 0 || after < 0)) {
    const begin = all.map(([before]) => Math.max(0, -before));
    fitted = tf.slice(x, begin, x.shape.map((size, i) => size - begin[i] - Math.max(0, -all[i][1])));
  }
  if (all.some(([before, after]) => before > 0 || after > 0)) {
    const added = all.map(([before, after]): [number, number] => [Math.max(0, before), Math.max(0, after)]);
    fitted = tf.pad(fitted, added, value);
  }
  return fitted;
}

/** A convolution without padding in two or three dimensions. */
function convolve(tf: TF, x: Tensor, filter: Tensor, strides: number[], dilations: number[]): Tensor {
  type Pair = [number, number];
  type Triple = [number, number, number];
  return strides.length === 2
    ? tf.conv2d(x as Tensor4D, filter as Tensor4D, strides as Pair, "valid", "NHWC", dilations as Pair)
    : tf.conv3d(x as Tensor5D, filter as Tensor5D, strides as Triple, "valid", "NDHWC", dilations as Triple);
}

function ones(axes: Axis[]): number[] {
  return axes.map(() => 1);
}
