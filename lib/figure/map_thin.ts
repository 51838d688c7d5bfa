/**
 * Maps of more points than a page can hold.
 *
 * @module
 */

import { ndarray } from "../array.ts";
import type { MapData } from "./map_columns.ts";

/** A map shows so many points at most. */
const MOST_POINTS = 200_000;

/**
 * Every second, third … point of a map that has too many; the true neighbours are left out then. Other maps stay as they
 * are.
 *
 * @returns the points, and of how many one is shown
 */
export function thin(data: MapData, most = MOST_POINTS): { data: MapData; step: number } {
  const { points, ids, labels, columns, thumbnails, background = 0 } = data;
  const [count, width] = points.shape;
  const step = Math.ceil(count / most);
  if (!(step > 1)) return { data, step: 1 };
  const kept = Math.ceil(count / step);
  const some = <T>(from: ArrayLike<T>): T[] => Array.from({ length: kept }, (_, i) => from[i * step]);
  const rows = <A extends Float32Array | Uint8Array>(from: A, into: A, size: number): A => {
    for (let i = 0; i < kept; i++) into.set(from.subarray(i * step * size, (i * step + 1) * size), i * size);
    return into;
  };
  // What is not as long as the points stays so, and is told.
  const ofAll = <T>(from: ArrayLike<T> | undefined) => from?.length === count ? some(from) : from;
  const bytes = thumbnails && thumbnails.side ** 2 * 3;
  return {
    step,
    data: {
      ...data,
      points: ndarray(rows(points.data, new Float32Array(kept * width), width), [kept, width]),
      ids: ofAll(ids) as typeof ids,
      labels: ofAll(labels) as typeof labels,
      columns: columns &&
        Object.fromEntries(
          Object.entries(columns).map(([name, values]) => [name, ofAll<string | number>(values)]),
        ) as typeof columns,
      neighbors: undefined,
      thumbnails: thumbnails?.data.length === count * bytes!
        ? { ...thumbnails, data: rows(thumbnails.data, new Uint8Array(kept * bytes!), bytes!) }
        : thumbnails,
      background: Math.ceil(background / step),
    },
  };
}
