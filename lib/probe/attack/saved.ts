/**
 * Changed images as one can save them: of whole numbers from 0 to 255, and no further changed than before.
 *
 * @module
 */

import type { Norm } from "./attack.ts";

/** An image as it is saved: whole numbers, 0…255. */
export const asSaved = (pixels: ArrayLike<number>): Float32Array =>
  Float32Array.from(pixels, (value) => Math.min(255, Math.max(0, Math.round(value))));

const lengthOf = (values: ArrayLike<number>) => {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i] * values[i];
  return Math.sqrt(sum);
};

/** So many scales are tried until a rounded change is short enough. */
const TRIES = 64;

/**
 * The nearest image of whole numbers that is changed by no more than epsilon.
 *
 * @param image of whole numbers
 * @param changed within epsilon of it, up to rounding
 * @param epsilon each value's largest change, or the length of the whole; `Infinity` for any
 */
export function savedWithin(image: Float32Array, changed: Float32Array, epsilon: number, norm: Norm): Float32Array {
  const change = image.map((value, i) => changed[i] - value);
  if (norm === "linf") {
    const most = Math.floor(epsilon);
    return asSaved(image.map((value, i) => value + Math.max(-most, Math.min(most, Math.round(change[i])))));
  }
  for (let k = 0; k < TRIES; k++) {
    const saved = asSaved(image.map((value, i) => value + Math.round(change[i] * (1 - k / TRIES))));
    if (lengthOf(saved.map((value, i) => value - image[i])) <= epsilon) return saved;
  }
  return image.slice();
}
