/** Gradients of poolings: the rule for ties, and the borders of averages. @module */

import type { Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import type { TF } from "../core/types.ts";
import type { Axis } from "./axis.ts";
import { cellsOfTap, convolutionInputGradient, seenCells } from "./convolution.ts";

/**
 * The gradient of max pooling. The one rule for ties: the first of the equal cells in row-major order takes all, as in
 * TensorFlow. Windows of equal cells are common, as after a ReLU that let nothing through.
 *
 * @param x the pooling's input, `[n, in…, channels]`, row-major
 * @param dy gradient to its output, `[n, out…, channels]`
 * @param axes its two or three spatial axes
 * @returns `[n, in…, channels]`
 */
export function maxPoolGradient(x: Float32Array, dy: Float32Array, channels: number, axes: Axis[]): Float32Array {
  const flat: Axis = { input: 1, output: 1, taps: 1, stride: 1, dilation: 1, before: 0 };
  const [depth, height, width] = axes.length === 2 ? [flat, ...axes] : axes;
  const image = depth.input * height.input * width.input * channels;
  const dx = new Float32Array(x.length);
  const where = new Int32Array(channels);
  let out = 0;
  for (let start = 0; start < x.length; start += image) {
    for (let d = 0; d < depth.output; d++) {
      const [d0, d1] = insideOf(depth, d);
      for (let h = 0; h < height.output; h++) {
        const [h0, h1] = insideOf(height, h);
        for (let w = 0; w < width.output; w++, out += channels) {
          const [w0, w1] = insideOf(width, w);
          where.fill(-1);
          for (let i = d0; i < d1; i++) {
            for (let j = h0; j < h1; j++) {
              for (let k = w0; k < w1; k++) {
                const cell = start + ((i * height.input + j) * width.input + k) * channels;
                for (let c = 0; c < channels; c++) {
                  if (where[c] < 0 || x[cell + c] > x[where[c]]) where[c] = cell + c;
                }
              }
            }
          }
          for (let c = 0; c < channels; c++) dx[where[c]] += dy[out + c];
        }
      }
    }
  }
  return dx;
}

/**
 * The gradient of max pooling by the same rule, tap by tap on tensors, for backends whose numbers cannot be looked at
 * while they compute: in row-major order each tap that holds the maximum takes what is left.
 *
 * @param x the pooling's input, `[n, in…, c]`
 * @param y its output, `[n, out…, c]`
 * @param dy gradient to its output, `[n, out…, c]`
 * @returns `[n, in…, c]`
 */
export function maxPoolGradientByTaps(tf: TF, x: Tensor, y: Tensor, dy: Tensor, axes: Axis[]): Tensor {
  const [batch, channels] = [x.shape[0], x.shape.at(-1)!];
  const spatial = axes.map((_, i) => i + 1);
  const last = axes.length + 1;
  const apart = (images: Tensor) =>
    tf.reshape(tf.transpose(images, [0, last, ...spatial]), [batch * channels, ...images.shape.slice(1, -1), 1]);

  const seen = seenCells(tf, apart(x), axes, LOWEST);
  const maxima = apart(y);
  const taken: Tensor[] = [];
  let left = apart(dy);
  for (const at of tapsOf(axes)) {
    const own = tf.mul(left, tf.cast(tf.equal(cellsOfTap(tf, seen, axes, at), maxima), "float32"));
    taken.push(own);
    left = tf.sub(left, own);
  }
  // A filter with an output channel for each tap, which picks just that tap: its gradient puts each part in its place.
  const picks = tf.reshape(tf.eye(taken.length), [...axes.map((axis) => axis.taps), 1, taken.length]);
  const placed = convolutionInputGradient(tf, tf.concat(taken, -1), picks, axes);
  const together = tf.reshape(placed, [batch, channels, ...x.shape.slice(1, -1)]);
  return tf.transpose(together, [0, ...spatial.map((axis) => axis + 1), 1]);
}

/**
 * The gradient of a maximum over whole axes, as in global max pooling, by the rule of {@linkcode maxPoolGradient}.
 *
 * @param x what the maximum is taken of
 * @param dy gradient to the maxima, with or without the axes that went
 * @param axes over which the maximum is taken, each ≥ 0
 * @returns of the shape of `x`
 */
export function maximumGradient(tf: TF, x: Tensor, dy: Tensor, axes: readonly number[]): Tensor {
  const all = x.shape.map((_, axis) => axis);
  const order = [...all.filter((axis) => !axes.includes(axis)), ...all.filter((axis) => axes.includes(axis))];
  const turned = tf.transpose(x, order);
  const cells = axes.reduce((product, axis) => product * x.shape[axis], 1);
  const apart = tf.reshape(turned, [-1, cells]);
  // Not by argMax, which on WebGPU finds any of the equal cells.
  const places = tf.range(0, cells);
  const largest = tf.equal(apart, tf.max(apart, 1, true));
  const first = tf.min(tf.where(largest, tf.broadcastTo(places, apart.shape), cells), 1, true);
  const passed = tf.mul(tf.cast(tf.equal(places, first), "float32"), tf.reshape(dy, [-1, 1]));
  return tf.transpose(tf.reshape(passed, turned.shape), all.map((axis) => order.indexOf(axis)));
}

/** The lowest finite value in single precision. */
const LOWEST = -(2 - 2 ** -23) * 2 ** 127;

/** The positions in a window, in row-major order. */
function tapsOf(axes: Axis[]): number[][] {
  return axes.reduce<number[][]>(
    (positions, { taps }) => positions.flatMap((at) => Array.from({ length: taps }, (_, i) => [...at, i])),
    [[]],
  );
}

/**
 * What to multiply the gradient to an average pooling's output with, where windows reach over the border: their
 * averages are over the cells inside, but tfjs's kernels spread the gradient as if over the whole window.
 *
 * @returns `[1, out…, 1]`, or undefined if no window reaches over the border
 */
export function averageCorrection(tf: TF, axes: Axis[]): Tensor | undefined {
  const factors = axes.map((axis) =>
    Array.from({ length: axis.output }, (_, i) => {
      const [first, end] = insideOf(axis, i);
      return axis.taps / (end - first);
    })
  );
  if (factors.flat().every((factor) => factor === 1)) return undefined;
  return factors
    .map((factor, i) => tf.tensor(factor, [1, ...axes.map((axis, j) => i === j ? axis.output : 1), 1]))
    .reduce((product, factor) => tf.mul(product, factor));
}

/** The input cells of an output cell's window, first and one past the last, without the padding. */
function insideOf({ input, taps, stride, before }: Axis, output: number): [number, number] {
  const first = output * stride - before;
  return [Math.max(0, first), Math.min(input, first + taps)];
}
