/**
 * Multinomial logistic regression.
 *
 * @module
 */

import type { NdArrayLike } from "../array.ts";
import { throwIfInterrupted } from "../interrupt.ts";

export interface LogisticOptions {
  /**
   * The weight of the data against the penalty on large weights, as scikit-learn's `C`.
   * @default 1
   */
  strength?: number;
  /**
   * Steps at most; most problems take fewer.
   * @default 200
   */
  steps?: number;
}

/** A linear classifier. */
export interface Logistic {
  /** `[classes, d]`, row by row. */
  readonly weights: Float64Array;
  readonly bias: Float64Array;
  /** What was minimised: `strength` · Σ −log p(class of the point) + ½ ‖weights‖². */
  readonly loss: number;
}

/** Pairs of steps from which the curvature is estimated. */
const MEMORY = 10;
/** Where the gradient's largest number is below this share of its first, the minimum is found. */
const TOLERANCE = 1e-6;

/**
 * Fits a linear classifier by L-BFGS (Liu and Nocedal 1989, "On the limited memory BFGS method for large scale
 * optimization"). The bias is not penalised. Columns of very different sizes take many steps: scale them first.
 *
 * @param points `[n, d]`
 * @param classes the class of each point, from 0
 * @param count how many classes there are
 * @throws {RangeError} if there are not as many classes as points, or one is not a whole number below `count`
 */
export function fitLogistic(
  points: NdArrayLike,
  classes: ArrayLike<number>,
  count: number,
  { strength = 1, steps = 200 }: LogisticOptions = {},
): Logistic {
  const [n, d] = points.shape;
  if (classes.length !== n) throw new RangeError(`There are ${n} points: received classes of ${classes.length}.`);
  for (let i = 0; i < n; i++) {
    if (!Number.isInteger(classes[i]) || classes[i] < 0 || classes[i] >= count) {
      throw new RangeError(`Classes are whole numbers from 0 to ${count - 1}: point ${i} has ${classes[i]}.`);
    }
  }
  // The weights of a class, then its bias.
  const width = d + 1;
  const size = count * width;
  const scores = new Float64Array(count);
  /** The loss there; its slope goes into `slope`. */
  const lossAt = (w: Float64Array, slope: Float64Array): number => {
    throwIfInterrupted();
    slope.fill(0);
    let loss = 0;
    for (let i = 0; i < n; i++) {
      const start = i * d;
      for (let k = 0; k < count; k++) {
        const at = k * width;
        let sum = w[at + d];
        for (let j = 0; j < d; j++) sum += w[at + j] * points.data[start + j];
        scores[k] = sum;
      }
      const most = scores.reduce((a, b) => Math.max(a, b));
      let total = 0;
      for (let k = 0; k < count; k++) total += Math.exp(scores[k] - most);
      loss += strength * (most + Math.log(total) - scores[classes[i]]);
      for (let k = 0; k < count; k++) {
        const error = strength * (Math.exp(scores[k] - most) / total - (k === classes[i] ? 1 : 0));
        const at = k * width;
        for (let j = 0; j < d; j++) slope[at + j] += error * points.data[start + j];
        slope[at + d] += error;
      }
    }
    for (let k = 0, at = 0; k < count; k++, at++) {
      for (let j = 0; j < d; j++, at++) {
        loss += w[at] ** 2 / 2;
        slope[at] += w[at];
      }
    }
    return loss;
  };
  const dot = (a: Float64Array, b: Float64Array) => {
    let sum = 0;
    for (let i = 0; i < size; i++) sum += a[i] * b[i];
    return sum;
  };
  const largest = (a: Float64Array) => a.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

  let w = new Float64Array(size);
  let slope = new Float64Array(size);
  let loss = lossAt(w, slope);
  const first = largest(slope);
  const history: { step: Float64Array; change: Float64Array; inverse: number }[] = [];
  for (let round = 0; round < steps && largest(slope) > TOLERANCE * first; round++) {
    // The two loops: the slope times the inverse of the curvature.
    const direction = slope.slice();
    const shares: number[] = [];
    for (let h = history.length - 1; h >= 0; h--) {
      const { step, change, inverse } = history[h];
      shares[h] = dot(step, direction) * inverse;
      for (let i = 0; i < size; i++) direction[i] -= shares[h] * change[i];
    }
    const last = history.at(-1);
    const scale = last
      ? 1 / (last.inverse * dot(last.change, last.change))
      : 1 / Math.max(1e-12, Math.sqrt(dot(slope, slope)));
    for (let i = 0; i < size; i++) direction[i] *= scale;
    history.forEach(({ step, change, inverse }, h) => {
      const share = shares[h] - dot(change, direction) * inverse;
      for (let i = 0; i < size; i++) direction[i] += share * step[i];
    });
    const fall = dot(slope, direction);
    const next = new Float64Array(size);
    const nextSlope = new Float64Array(size);
    let length = 1;
    let nextLoss = Infinity;
    // Half as far until the loss falls enough (Armijo).
    for (; length > 1e-10; length /= 2) {
      for (let i = 0; i < size; i++) next[i] = w[i] - length * direction[i];
      nextLoss = lossAt(next, nextSlope);
      if (nextLoss <= loss - 1e-4 * length * fall) break;
    }
    if (!(nextLoss < loss)) break;
    const step = next.map((value, i) => value - w[i]);
    const change = nextSlope.map((value, i) => value - slope[i]);
    const bend = dot(step, change);
    if (bend > 0) history.push({ step, change, inverse: 1 / bend });
    if (history.length > MEMORY) history.shift();
    [w, slope, loss] = [next, nextSlope, nextLoss];
  }
  const weights = new Float64Array(count * d);
  for (let k = 0; k < count; k++) weights.set(w.subarray(k * width, k * width + d), k * d);
  return { weights, bias: Float64Array.from({ length: count }, (_, k) => w[k * width + d]), loss };
}

/** The likeliest class of each point. */
export function classify({ weights, bias }: Logistic, points: NdArrayLike): Int32Array {
  const [n, d] = points.shape;
  return Int32Array.from({ length: n }, (_, i) => {
    let best = 0;
    let most = -Infinity;
    for (let k = 0; k < bias.length; k++) {
      let sum = bias[k];
      for (let j = 0; j < d; j++) sum += weights[k * d + j] * points.data[i * d + j];
      if (sum > most) [most, best] = [sum, k];
    }
    return best;
  });
}

/** Wilson's interval of 95 % for a share. */
export function wilson(right: number, count: number): [low: number, high: number] {
  const z = 1.959964;
  const share = right / count;
  const middle = (share + z * z / (2 * count)) / (1 + z * z / count);
  const half = z / (1 + z * z / count) * Math.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2);
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}
