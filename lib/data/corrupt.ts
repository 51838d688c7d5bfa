/**
 * Images blurred, brighter, paler, noisy, compressed or covered in part, at a strength (Hendrycks & Dietterich 2019 have such ones). All take arrays of
 * any number of axes, channels last.
 *
 * @module
 */

import { type NdArray, ndarray, type NdArrayLike } from "../array.ts";
import { decodeBytes, encodeJpeg } from "../codec.ts";
import { normalStream, randomStream } from "../random.ts";
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

/** Pixels of a file in as many channels as the image had before. */
export async function decodedLike(bytes: Uint8Array, shape: readonly number[]): Promise<NdArray> {
  const { data } = await decodeBytes(bytes, { name: "the changed image" });
  const channels = shape[2];
  const pixels = Float32Array.from(
    { length: data.length / 3 * channels },
    (_, i) => channels === 3 ? data[i] : data[3 * i],
  );
  return ndarray(pixels, shape);
}

/**
 * An image saved as a JPEG, its colours at half the resolution, and read again. What is no whole number from 0 to 255 is
 * rounded before.
 *
 * @param image `[h, w, 1]` or `[h, w, 3]`
 * @param quality from 1 to 100
 */
export async function jpegCompressed({ data, shape }: NdArrayLike, quality: number): Promise<NdArray> {
  const [height, width, channels] = shape;
  const bytes = Uint8Array.from(data, (value) => Math.min(255, Math.max(0, Math.round(value))));
  return await decodedLike(await encodeJpeg(bytes, width, height, channels as 1 | 3, quality), shape);
}

/**
 * Covers a square of an image at a random place.
 *
 * @param image `[h, w, c]`
 * @param share of the image's area that the square covers, as nearly as whole pixels can; a square that is larger than a
 *   side is cut to it
 * @param seed where the square is; a larger share of the same image is around about the same place
 * @param cover of the image's shape: what stands in the square
 */
export function covered(
  { data, shape }: NdArrayLike,
  share: number,
  seed: number | readonly number[],
  cover: NdArrayLike,
): NdArray {
  const [height, width, channels] = shape;
  const random = randomStream(...[seed].flat());
  const side = Math.sqrt(share * height * width);
  // A side that is reached leaves more for the other one.
  const rows = Math.min(height, Math.round(side > width ? share * height : side));
  const columns = Math.min(width, Math.round(side > height ? share * width : side));
  const top = Math.round(random() * (height - rows));
  const left = Math.round(random() * (width - columns));
  const out = data.slice();
  for (let y = top; y < top + rows; y++) {
    const from = (y * width + left) * channels;
    out.set(cover.data.subarray(from, from + columns * channels), from);
  }
  return ndarray(out, shape);
}
