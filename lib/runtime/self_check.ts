/**
 * A numerical self-check: does a backend compute what it should?
 *
 * @module
 */

import type { Tensor, Tensor4D } from "npm:@tensorflow/tfjs@4.22.0";
import { BackendError } from "./candidate.ts";
import { visiting } from "./core/engine.ts";
import { messageOf } from "../errors.ts";
import type { TF } from "./core/types.ts";

/**
 * The largest deviation from the cpu backend that passes, relative to the largest value of each output.
 *
 * The inputs are multiples of 1/8 up to 1, so that their products and sums are exact even where a GPU rounds the
 * factors to TF32 or half precision: what is left is the rounding of exp in softmax and of fast convolution
 * algorithms. Wrong arithmetic (zeros, swapped axes, an edge missed) is off by a tenth and more.
 */
export const TOLERANCE = 1e-3;

/**
 * Compares a backend that is ready with the cpu backend, on convolutions, poolings and a dense layer, and on the
 * gradients through them, to the input and to the weights.
 * The active backend stays as it is, and no tensor is left behind.
 *
 * @returns the largest deviation, relative to the largest value of each output
 * @throws {BackendError} if it is above {@linkcode TOLERANCE}, not a number, or the backend throws
 */
export async function selfCheck(tf: TF, name: string): Promise<number> {
  const remedy = "Its results could not be trusted: update the graphics driver or Deno, or use another backend.";
  let wanted: Float32Array[];
  let found: Float32Array[];
  try {
    wanted = await outputsOn(tf, "cpu");
    found = await outputsOn(tf, name);
  } catch (error) {
    throw new BackendError(name, `its self-check failed: ${messageOf(error)}`, remedy, { cause: error });
  }
  const deviation = Math.max(...wanted.map((values, i) => relativeDeviation(found[i], values)));
  if (!(deviation <= TOLERANCE)) {
    const reason =
      `its self-check failed: convolution, pooling, dense or their gradients are off by ${deviation.toPrecision(2)} ` +
      `(at most ${TOLERANCE} is allowed)`;
    throw new BackendError(name, reason, remedy);
  }
  return deviation;
}

async function outputsOn(tf: TF, name: string): Promise<Float32Array[]> {
  const outputs = visiting(tf, name, () => tf.tidy(() => smallNet(tf)));
  try {
    return await Promise.all(outputs.map((tensor) => tensor.data<"float32">()));
  } finally {
    tf.dispose(outputs);
  }
}

/** Operations with sizes that are no multiples of 4, strides and paddings, three channels in as of a photograph and four as of a layer. */
function smallNet(tf: TF) {
  const image = tf.tensor4d(eighths(2 * 11 * 9 * 3, 1), [2, 11, 9, 3]);
  const hidden = tf.tensor4d(eighths(2 * 8 * 8 * 4, 2), [2, 8, 8, 4]);
  const strided = tf.conv2d(image, tf.tensor4d(eighths(5 * 5 * 3 * 8, 3), [5, 5, 3, 8]), 2, "valid");
  const same = tf.relu(tf.conv2d(hidden, tf.tensor4d(eighths(3 * 3 * 4 * 16, 4), [3, 3, 4, 16]), 1, "same"));
  const pooled = tf.maxPool(same, 3, 2, "same") as typeof same;
  const averaged = tf.avgPool(same, 2, 2, "valid") as typeof same;
  const codes = tf.tensor2d(eighths(2 * 50, 5), [2, 50]);
  const dense = tf.add(tf.matMul(codes, tf.tensor2d(eighths(50 * 10, 6), [50, 10])), eighths(10, 7));
  return [strided, same, pooled, averaged, dense, tf.softmax(dense), ...gradients(tf, hidden)];
}

/** The gradients to maps, to a filter and to a matrix, back through each kind of operation. */
function gradients(tf: TF, maps: Tensor): Tensor[] {
  const score = (x: Tensor, filter: Tensor, matrix: Tensor) => {
    const rectified = tf.relu(tf.conv2d(x as Tensor4D, filter as Tensor4D, 1, "same"));
    const pooled = tf.avgPool(tf.maxPool(rectified, 2, 2, "valid"), 2, 2, "valid");
    const out = tf.matMul(tf.reshape(pooled, [2, 24]), matrix);
    return tf.sum(tf.mul(out, tf.tensor(eighths(2 * 5, 8), [2, 5])));
  };
  const filter = tf.tensor(eighths(3 * 3 * 4 * 6, 9), [3, 3, 4, 6]);
  return tf.grads(score)([maps, filter, tf.tensor(eighths(24 * 5, 10), [24, 5])]);
}

/** Repeatable multiples of 1/8 from -1 to 1. */
function eighths(length: number, seed: number): Float32Array {
  let state = seed;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return ((state >>> 16) % 17 - 8) / 8;
  });
}

function relativeDeviation(found: Float32Array, wanted: Float32Array): number {
  if (found.length !== wanted.length) return NaN;
  let scale = 0;
  let worst = 0;
  for (let i = 0; i < wanted.length; i++) {
    scale = Math.max(scale, Math.abs(wanted[i]));
    // Math.max keeps NaN.
    worst = Math.max(worst, Math.abs(found[i] - wanted[i]));
  }
  return worst / scale;
}
