/**
 * Values at a network's input as values of the image's pixels (of a signal's cells, of a volume's voxels).
 *
 * @module
 */

import { ndarray, type NdArrayLike } from "../../array.ts";
import type { Model } from "../../model/model.ts";

/** Makes one number of those of a pixel, which begin at a place. */
type Reduce = (data: Float32Array, start: number, channels: number) => number;

/** The largest magnitude of a pixel's channels. */
export const largestMagnitude: Reduce = (data, start, channels) => Math.abs(largestSigned(data, start, channels));

/** The channel of the largest magnitude, with its sign. */
export const largestSigned: Reduce = (data, start, channels) => {
  let found = data[start];
  for (let i = start + 1; i < start + channels; i++) if (Math.abs(data[i]) > Math.abs(found)) found = data[i];
  return found;
};

/** The sum of a pixel's channels. */
export const sumOfChannels: Reduce = (data, start, channels) => {
  let sum = data[start];
  for (let i = start + 1; i < start + channels; i++) sum += data[i];
  return sum;
};

/**
 * Values at a network's input as values of the image, colours in RGB order, and one number of each pixel.
 *
 * @param values in the network's order
 * @param shape of the network's input, `[…sides, channels]`
 * @returns `values` of that shape, without the channels' axis where there is one channel; and `map`, `[…sides]`
 */
export function toPixels(
  model: Model,
  values: ArrayLike<number>,
  shape: readonly number[],
  reduce: Reduce,
): { values: NdArrayLike; map: NdArrayLike } {
  const data = Float32Array.from(values);
  const sides = shape.slice(0, model.dimensions);
  const channels = shape[model.dimensions] ?? 1;
  if (channels === 3 && model.preprocess.order === "bgr") {
    for (let i = 0; i < data.length; i += 3) [data[i], data[i + 2]] = [data[i + 2], data[i]];
  }
  const map = new Float32Array(data.length / channels);
  for (let i = 0; i < map.length; i++) map[i] = reduce(data, i * channels, channels);
  return { values: ndarray(data, channels === 1 ? sides : shape), map: ndarray(map, sides) };
}
