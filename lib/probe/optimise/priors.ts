/**
 * What pictures are like, as numbers to keep small: values near the middle grey, and neighbours that are alike.
 *
 * Mahendran and Vedaldi 2015, "Understanding Deep Image Representations by Inverting Them", §3.1; their scales from the
 * longer version of 2016, "Visualizing Deep Convolutional Neural Networks Using Natural Pre-Images", §4.3, so that neither
 * depends on the size of the image. Gradients are written out, on plain numbers: one walk over the pixels each.
 *
 * @module
 */

import { type NdArrayLike, sizeOf } from "../../array.ts";

/** The middle of the pixels' range. */
export const MIDDLE = 127.5;
/** How far pixels of photographs are from the middle, about. */
export const SPREAD = 80;
/** How far neighbours of photographs are apart, about. */
export const STEP = SPREAD / 6.5;

/**
 * The α-norm of each image about the middle grey: the mean of `|(x − 127.5) / 80|^α`.
 *
 * @param pixels `[n, …sides, c]`, 0…255
 * @param gradient gets `weight` times the gradient of the norms' sum added, one number for each of the pixels
 * @returns the norms, `[n]`, without the weight
 */
export function addAlphaNorm(
  { data, shape }: NdArrayLike,
  alpha: number,
  gradient: Float32Array,
  weight = 1,
): number[] {
  const [count, ...rest] = shape;
  const each = sizeOf(rest);
  const scale = weight * alpha / (SPREAD * each);
  return Array.from({ length: count }, (_, image) => {
    let sum = 0;
    for (let i = image * each; i < (image + 1) * each; i++) {
      const x = (data[i] - MIDDLE) / SPREAD;
      const square = x * x;
      // A power takes far longer.
      const power = alpha === 6
        ? square * square
        : alpha === 2
        ? 1
        : square === 0
        ? 0
        : Math.pow(alpha < 2 ? square + 1e-12 : square, alpha / 2 - 1);
      sum += power * square;
      gradient[i] += scale * power * x;
    }
    return sum / each;
  });
}

/** Of an axis: how many of its lines there are, its cells, and how far apart these lie. */
const linesOf = (shape: readonly number[], axis: number) => ({
  outer: sizeOf(shape.slice(0, axis)),
  cells: shape[axis],
  stride: sizeOf(shape.slice(axis + 1)),
});

/** Walks over all pairs of neighbours along an axis, by their places. */
function eachPair(shape: readonly number[], axis: number, visit: (here: number, next: number) => void): void {
  const { outer, cells, stride } = linesOf(shape, axis);
  for (let line = 0; line < outer; line++) {
    const start = line * cells * stride;
    for (let here = start; here < start + (cells - 1) * stride; here++) visit(here, here + stride);
  }
}

/**
 * The total variation of each image: the mean of `((Σ over the axes of (next − here)²)^(β/2)) / 12.3^β`; there is no
 * difference behind the last.
 *
 * @param pixels `[n, …sides, c]`, 0…255
 * @param gradient gets `weight` times the gradient of the variations' sum added, one number for each of the pixels
 * @returns the variations, `[n]`, without the weight
 */
export function addTotalVariation(
  { data, shape }: NdArrayLike,
  beta: number,
  gradient: Float32Array,
  weight = 1,
): number[] {
  const each = sizeOf(shape.slice(1));
  const axes = shape.map((_, axis) => axis).slice(1, -1);
  const scale = STEP ** -beta / each;
  const sums = new Array<number>(shape[0]).fill(0);
  if (beta === 2) {
    const factor = 2 * weight * scale;
    for (const axis of axes) {
      const { outer, cells, stride } = linesOf(shape, axis);
      for (let line = 0; line < outer; line++) {
        const start = line * cells * stride;
        let sum = 0;
        for (let here = start; here < start + (cells - 1) * stride; here++) {
          const apart = data[here + stride] - data[here];
          sum += apart * apart;
          gradient[here + stride] += factor * apart;
          gradient[here] -= factor * apart;
        }
        sums[Math.floor(start / each)] += sum;
      }
    }
    return sums.map((sum) => scale * sum);
  }
  const squares = new Float64Array(data.length);
  for (const axis of axes) eachPair(shape, axis, (here, next) => squares[here] += (data[next] - data[here]) ** 2);
  // Where all is flat, a power below 1 has no slope.
  const powers = squares.map((square) => Math.pow(square + 1e-6, beta / 2 - 1));
  powers.forEach((power, i) => sums[Math.floor(i / each)] += power * (squares[i] + 1e-6));
  for (const axis of axes) {
    eachPair(shape, axis, (here, next) => {
      const slope = beta * weight * scale * powers[here] * (data[next] - data[here]);
      gradient[next] += slope;
      gradient[here] -= slope;
    });
  }
  return sums.map((sum) => scale * sum);
}
