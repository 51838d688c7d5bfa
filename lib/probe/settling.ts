/**
 * How far a layer is from what it will be at the end of its training.
 *
 * @module
 */

import type { NdArrayLike } from "../array.ts";

/**
 * How much filters resemble others: the mean over the filters of the cosine of the angle between a filter and the other of
 * its channel. 1 for the same direction, about 0 for filters that have nothing to do with each other.
 *
 * @param kernel `[…, filters]`
 * @param end of the same shape
 */
export function filterLikeness(kernel: NdArrayLike, end: NdArrayLike): number {
  const count = kernel.shape.at(-1)!;
  const dots = new Float64Array(count);
  const squares = [new Float64Array(count), new Float64Array(count)];
  for (let i = 0; i < kernel.data.length; i++) {
    const [a, b] = [kernel.data[i], end.data[i]];
    dots[i % count] += a * b;
    squares[0][i % count] += a * a;
    squares[1][i % count] += b * b;
  }
  return dots.reduce((sum, dot, i) => {
    const norm = Math.sqrt(squares[0][i] * squares[1][i]);
    return sum + (norm > 0 ? dot / norm : 0);
  }, 0) / count;
}

/**
 * How many of the images that excite units most are the same: the mean over the units of the share of its list that stands
 * in its other list, too. Units of which either list is empty are left out; null if all are.
 *
 * @param lists of each unit the images' ids
 * @param end of each unit those at the end
 */
export function sharedImages(
  lists: readonly (readonly string[])[],
  end: readonly (readonly string[])[],
): number | null {
  const shares = lists.flatMap((own, unit) => {
    if (own.length === 0 || end[unit].length === 0) return [];
    const there = new Set(end[unit]);
    return own.filter((id) => there.has(id)).length / own.length;
  });
  return shares.length ? shares.reduce((sum, share) => sum + share, 0) / shares.length : null;
}

/** The first of some epochs from which on a measure stays at or above a threshold; null if it never does. */
export function settledAt(rows: readonly { epoch: number; value: number | null }[], threshold: number): number | null {
  const last = rows.findLastIndex(({ value }) => value === null || value < threshold);
  return rows[last + 1]?.epoch ?? null;
}
