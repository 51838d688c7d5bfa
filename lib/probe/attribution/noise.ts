/**
 * Normally distributed numbers that depend on nothing but their key.
 *
 * @module
 */

import { randomStream } from "../training/random.ts";

/**
 * A stream of numbers of mean 0 and deviation 1 for a key of whole numbers, the same on every machine (Marsaglia's polar
 * method).
 */
export function normalStream(...key: number[]): () => number {
  const random = randomStream(...key);
  let spare: number | null = null;
  return () => {
    if (spare !== null) {
      const value = spare;
      spare = null;
      return value;
    }
    let x: number;
    let y: number;
    let square: number;
    do {
      x = 2 * random() - 1;
      y = 2 * random() - 1;
      square = x * x + y * y;
    } while (square >= 1 || square === 0);
    const length = Math.sqrt(-2 * Math.log(square) / square);
    spare = y * length;
    return x * length;
  };
}
