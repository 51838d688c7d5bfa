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

/** Weighted means over all windows that lie inside, first along the rows, then along the columns. */
function windowed(values: Float64Array, height: number, width: number, weights: Float64Array): Float64Array {
  const [rows, columns] = [height - weights.length + 1, width - weights.length + 1];
  const across = new Float64Array(height * columns);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < columns; x++) {
      let sum = 0;
      for (let i = 0; i < weights.length; i++) sum += weights[i] * values[y * width + x + i];
      across[y * columns + x] = sum;
    }
  }
  const down = new Float64Array(rows * columns);
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      let sum = 0;
      for (let i = 0; i < weights.length; i++) sum += weights[i] * across[(y + i) * columns + x];
      down[y * columns + x] = sum;
    }
  }
  return down;
}

/**
 * The structural similarity of two maps (Wang, Bovik, Sheikh and Simoncelli 2004, equation 13): the mean over all places
 * of a Gaussian window of 11 by 11 cells with a deviation of 1.5, K₁ = 0.01 and K₂ = 0.03. In a map of fewer cells the
 * window is the largest odd one that fits.
 *
 * @param a `[h, w]`
 * @param b `[h, w]`
 * @param range the span of the values, as 1 for values of 0…1
 * @throws {RangeError} if the shapes differ or are not `[h, w]`
 */
export function ssim(a: NdArrayLike, b: NdArrayLike, range: number): number {
  const [height, width] = a.shape;
  if (a.shape.length !== 2 || a.shape.join() !== b.shape.join()) {
    throw new RangeError(
      `Structural similarity takes two maps of one shape [h, w]: received [${a.shape}] and [${b.shape}].`,
    );
  }
  const side = Math.min(WINDOW, height, width);
  const weights = gaussian(side % 2 === 0 ? side - 1 : side, DEVIATION);
  const mean = (of: (i: number) => number) =>
    windowed(Float64Array.from({ length: a.data.length }, (_, i) => of(i)), height, width, weights);
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
