/**
 * Means over pairs of things, with intervals that know that a thing stands in many pairs.
 *
 * @module
 */

import { throwIfInterrupted } from "../interrupt.ts";
import { randomStream } from "../random.ts";
import type { Interval } from "./agreement.ts";

/** How often things are drawn anew. */
const DRAWS = 1000;

/** A mean over pairs. */
export interface PairMean {
  readonly value: number;
  /** The standard deviation over pairs. */
  readonly deviation: number;
  /** Between what 95 % of the bootstrap's means lie: things are drawn, not pairs. Null of fewer than three things. */
  readonly low: number | null;
  readonly high: number | null;
}

/**
 * The mean of a distance over all pairs of things.
 *
 * @param count how many things, two at least
 * @param distance of two of them, by their places; symmetric
 */
export function pairMean(count: number, distance: (a: number, b: number) => number, ...key: number[]): PairMean {
  const all: number[] = [];
  const table = new Float64Array(count * count);
  for (let a = 0; a < count; a++) {
    for (let b = 0; b < a; b++) all.push(table[a * count + b] = table[b * count + a] = distance(a, b));
  }
  const value = all.reduce((sum, one) => sum + one, 0) / all.length;
  const deviation = Math.sqrt(all.reduce((sum, one) => sum + (one - value) ** 2, 0) / Math.max(1, all.length - 1));
  if (count < 3) return { value, deviation, low: null, high: null };
  throwIfInterrupted();
  const random = randomStream(...key);
  const means: number[] = [];
  while (means.length < DRAWS) {
    const drawn = Array.from({ length: count }, () => Math.floor(random() * count));
    let [sum, pairs] = [0, 0];
    for (let i = 0; i < count; i++) {
      for (let j = 0; j < i; j++) {
        // A thing drawn twice is no pair.
        if (drawn[i] === drawn[j]) continue;
        sum += table[drawn[i] * count + drawn[j]];
        pairs++;
      }
    }
    if (pairs > 0) means.push(sum / pairs);
  }
  means.sort((a, b) => a - b);
  const at = (share: number) => means[Math.round(share * (DRAWS - 1))];
  return { value, deviation, low: at(0.025), high: at(0.975) };
}

/** How much a mean over pairs differs from another one over the same things. */
export function pairDifference(
  count: number,
  a: (i: number, j: number) => number,
  b: (i: number, j: number) => number,
  ...key: number[]
): Interval | { readonly value: number; readonly low: null; readonly high: null } {
  const { value, low, high } = pairMean(count, (i, j) => a(i, j) - b(i, j), ...key);
  return low === null || high === null ? { value, low: null, high: null } : { value, low, high };
}
