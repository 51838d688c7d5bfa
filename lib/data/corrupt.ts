/**
 * Images blurred, brighter, paler or noisy, at a strength (Hendrycks & Dietterich 2019 have such ones). All take arrays of
 * any number of axes, channels last.
 *
 * @module
 */

import { type NdArray, ndarray, type NdArrayLike } from "../array.ts";
import { normalStream } from "../random.ts";
import { channelMeans } from "./warp.ts";

/** The least and the greatest value that an image may have; what goes beyond is clipped. Null where all numbers will do. */
export type Range = readonly [low: number, high: number] | null;

/** What pixels may be. */
const PIXELS: Range = [0, 255];

function each({ data, shape }: NdArrayLike, change: (value: number, index: number) => number, range: Range): NdArray {
  const [low, high] = range ?? [-Infinity, Infinity];
  return ndarray(data.map((value, i) => Math.min(high, Math.max(low, change(value, i)))), shape);
}

/** Adds a number to all values. @param range @default [0, 255] */
export const brightened = (image: NdArrayLike, by: number, range: Range = PIXELS): NdArray =>
  each(image, (value) => value + by, range);

/**
 * Brings all values nearer to their channel's mean, or further from it.
 *
 * @param factor 1 leaves the image as it is, 0 leaves its mean colour
 * @param range @default [0, 255]
 */
export function contrasted(image: NdArrayLike, factor: number, range: Range = PIXELS): NdArray {
  const means = channelMeans(image);
  return each(image, (value, i) => factor * value + (1 - factor) * means[i % means.length], range);
}

/**
 * Adds numbers drawn from a normal distribution, to each value its own.
 *
 * @param deviation their standard deviation
 * @param seed one whole number, or several; at another deviation the same numbers are only longer or shorter
 * @param range @default [0, 255]
 */
export function noisy(
  image: NdArrayLike,
  deviation: number,
  seed: number | readonly number[],
  range: Range = PIXELS,
): NdArray {
  const normal = normalStream(...[seed].flat());
  return each(image, (value) => value + deviation * normal(), range);
}

/**
 * Blurs an image with a Gaussian that is cut off at three standard deviations. Beyond the border its last pixels repeat.
 *
 * @param image `[h, w, c]`, or with other sides before the channels
 * @param sigma the standard deviation in pixels; 0 leaves the image as it is
 */
export function blurred({ data, shape }: NdArrayLike, sigma: number): NdArray {
  if (sigma === 0) return ndarray(data.slice(), shape);
  const reach = Math.ceil(3 * sigma);
  const weights = Float64Array.from(
    { length: 2 * reach + 1 },
    (_, i) => Math.exp(-((i - reach) ** 2) / (2 * sigma ** 2)),
  );
  const sum = weights.reduce((a, b) => a + b, 0);
  /** One pass along an axis of `length` cells, `step` numbers apart. */
  const pass = (from: Float32Array, length: number, step: number) => {
    const to = new Float32Array(from.length);
    for (let i = 0; i < from.length; i++) {
      const at = Math.floor(i / step) % length;
      let total = 0;
      for (let k = -reach; k <= reach; k++) {
        const other = Math.min(length - 1, Math.max(0, at + k));
        total += weights[k + reach] * from[i + (other - at) * step];
      }
      to[i] = total / sum;
    }
    return to;
  };
  let result: Float32Array = data;
  for (let axis = shape.length - 2, step = shape.at(-1)!; axis >= 0; step *= shape[axis--]) {
    result = pass(result, shape[axis], step);
  }
  return ndarray(result, shape);
}
