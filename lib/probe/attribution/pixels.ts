/**
 * Values at a network's input as values of the image's pixels.
 *
 * @module
 */

import { ndarray, type NdArrayLike } from "../../array.ts";
import type { Model } from "../../model/model.ts";

/**
 * Values at a network's input as values of the image: colours in RGB order.
 *
 * @param values `h · w · c`, channels in the network's order
 * @returns `[h, w, 3]`; `[h, w]` for a network of grey images
 */
export function toPixels(
  model: Model,
  values: ArrayLike<number>,
  [height, width, channels]: readonly number[],
): NdArrayLike {
  const data = Float32Array.from(values);
  if (channels === 1) return ndarray(data, [height, width]);
  if (model.preprocess.order === "bgr") {
    for (let i = 0; i < data.length; i += 3) [data[i], data[i + 2]] = [data[i + 2], data[i]];
  }
  return ndarray(data, [height, width, 3]);
}

/** `[h, w, 3]` (or `[h, w]`) as `[h, w]`: `reduce` makes one number of the three colours. */
function overColors({ data, shape }: NdArrayLike, reduce: (r: number, g: number, b: number) => number): NdArrayLike {
  const [height, width, channels = 1] = shape;
  const map = new Float32Array(height * width);
  for (let i = 0; i < map.length; i++) {
    map[i] = channels === 1 ? reduce(data[i], 0, 0) : reduce(data[i * 3], data[i * 3 + 1], data[i * 3 + 2]);
  }
  return ndarray(map, [height, width]);
}

/** The largest magnitude of the three colours. */
export const largestMagnitude = (values: NdArrayLike): NdArrayLike =>
  overColors(values, (r, g, b) => Math.max(Math.abs(r), Math.abs(g), Math.abs(b)));

/** The colour of the largest magnitude, with its sign. */
export const largestSigned = (values: NdArrayLike): NdArrayLike =>
  overColors(values, (r, g, b) => {
    const first = Math.abs(r) >= Math.abs(g) ? r : g;
    return Math.abs(first) >= Math.abs(b) ? first : b;
  });

/** The sum of the three colours. */
export const sumOfColors = (values: NdArrayLike): NdArrayLike => overColors(values, (r, g, b) => r + g + b);
