/**
 * How alike two maps are: by the order of their values, and by their structure.
 *
 * @module
 */

import type { NdArrayLike } from "../../array.ts";

/** The rank of each value, from 1; equal values share the mean of their ranks. */
function ranks(values: ArrayLike<number>): Float64Array {
  const order = Uint32Array.from({ length: values.length }, (_, i) => i).sort((a, b) => values[a] - values[b]);
  const result = new Float64Array(values.length);
  for (let start = 0; start < order.length;) {
    let end = start + 1;
    while (end < order.length && values[order[end]] === values[order[start]]) end++;
    for (let i = start; i < end; i++) result[order[i]] = (start + end + 1) / 2;
    start = end;
  }
  return result;
}

/**
 * Spearman's rank correlation: −1 … 1, that is Pearson's correlation of the ranks, where equal values share the mean of
 * their ranks. Values that are all equal have no order, and the correlation with them is 0.
 *
 * @throws {RangeError} if there are not as many values in both
 */
export function spearman(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) {
    throw new RangeError(
      `A rank correlation takes as many values on both sides: received ${a.length} and ${b.length}.`,
    );
  }
  const [x, y] = [ranks(a), ranks(b)];
  const mean = (a.length + 1) / 2;
  let xy = 0;
  let xx = 0;
  let yy = 0;
  for (let i = 0; i < x.length; i++) {
    xy += (x[i] - mean) * (y[i] - mean);
    xx += (x[i] - mean) ** 2;
    yy += (y[i] - mean) ** 2;
  }
  return xx > 0 && yy > 0 ? xy / Math.sqrt(xx * yy) : 0;
}

/** Of the Gaussian window, as in Wang et al.: 11 by 11 cells, a deviation of 1.5. */
const WINDOW = 11;
const DEVIATION = 1.5;

/** A Gaussian of `taps` numbers that sum to 1. */
function gaussian(taps: number, deviation: number): Float64Array {
  const weights = Float64Array.from(
    { length: taps },
    (_, i) => Math.exp(-((i - (taps - 1) / 2) ** 2) / (2 * deviation ** 2)),
  );
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / sum);
}

/** Weighted means over all windows that lie inside, along one axis after the other, the last one first. */
function windowed(values: Float64Array, sides: readonly number[], weights: Float64Array): Float64Array {
  let means = values;
  for (let axis = sides.length - 1, step = 1; axis >= 0; axis--) {
    const left = sides[axis] - weights.length + 1;
    const last = means;
    means = new Float64Array(last.length / sides[axis] * left);
    for (let i = 0; i < means.length; i++) {
      const [block, at, inner] = [Math.floor(i / (left * step)), Math.floor(i / step) % left, i % step];
      const start = (block * sides[axis] + at) * step + inner;
      for (let k = 0; k < weights.length; k++) means[i] += weights[k] * last[start + k * step];
    }
    step *= left;
  }
  return means;
}

/**
 * The structural similarity of two maps (Wang, Bovik, Sheikh and Simoncelli 2004, equation 13): the mean over all places
 * of a Gaussian window of 11 by 11 cells with a deviation of 1.5, K₁ = 0.01 and K₂ = 0.03. In a map of fewer cells the
 * window is the largest odd one that fits.
 *
 * @param a `[h, w]`; of a signal `[length]`, of a volume `[d, h, w]`, whose windows have as many axes
 * @param b of the same shape
 * @param range the span of the values, as 1 for values of 0…1
 * @throws {RangeError} if the shapes differ or have more than three axes
 */
export function ssim(a: NdArrayLike, b: NdArrayLike, range: number): number {
  const { shape } = a;
  if (shape.length < 1 || shape.length > 3 || shape.join() !== b.shape.join()) {
    throw new RangeError(
      `Structural similarity takes two maps of one shape [h, w]: received [${a.shape}] and [${b.shape}].`,
    );
  }
  const side = Math.min(WINDOW, ...shape);
  const weights = gaussian(side % 2 === 0 ? side - 1 : side, DEVIATION);
  const mean = (of: (i: number) => number) =>
    windowed(Float64Array.from({ length: a.data.length }, (_, i) => of(i)), shape, weights);
  const meanA = mean((i) => a.data[i]);
  const meanB = mean((i) => b.data[i]);
  const squareA = mean((i) => a.data[i] ** 2);
  const squareB = mean((i) => b.data[i] ** 2);
  const product = mean((i) => a.data[i] * b.data[i]);
  const c1 = (0.01 * range) ** 2;
  const c2 = (0.03 * range) ** 2;
  let sum = 0;
  for (let i = 0; i < meanA.length; i++) {
    const both = meanA[i] * meanB[i];
    const squares = meanA[i] ** 2 + meanB[i] ** 2;
    const spread = squareA[i] + squareB[i] - squares;
    sum += ((2 * both + c1) * (2 * (product[i] - both) + c2)) / ((squares + c1) * (spread + c2));
  }
  return sum / meanA.length;
}
