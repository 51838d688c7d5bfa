/**
 * Maps of more points than a page can hold.
 *
 * @module
 */

import { ndarray } from "../../array.ts";
import type { MapData } from "./columns.ts";

/** The most points that a map shows. */
const MOST_POINTS = 200_000;

/** One of the whole numbers below `most`, the same for the same `i`, with no order in them. */
function drawn(i: number, most: number): number {
  let mixed = Math.imul(i + 1, 0x9e3779b1);
  mixed = Math.imul(mixed ^ mixed >>> 16, 0x85ebca6b);
  return ((mixed ^ mixed >>> 13) >>> 0) % most;
}

/**
 * One of each two, three … points of a map that has too many; the true neighbours are left out then. Other maps stay as
 * they are. Which one of each is without order, so that images of classes in turns do not lose some of these.
 *
 * @returns the points, and of how many one is shown
 */
export function thin(data: MapData, most = MOST_POINTS): { data: MapData; step: number } {
  const { points, ids, labels, columns, thumbnails, background = 0 } = data;
  const [count, width] = points.shape;
  const step = Math.ceil(count / most);
  if (!(step > 1)) return { data, step: 1 };
  const kept = Math.ceil(count / step);
  const places = Uint32Array.from({ length: kept }, (_, i) => Math.min(count - 1, i * step + drawn(i, step)));
  const some = <T>(from: ArrayLike<T>): T[] => Array.from(places, (place) => from[place]);
  const rows = <A extends Float32Array | Uint8Array>(from: A, into: A, size: number): A => {
    places.forEach((place, i) => into.set(from.subarray(place * size, (place + 1) * size), i * size));
    return into;
  };
  // What is not as long as the points is left as it is, for the checks that follow to report.
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
      background: places.filter((place) => place < background).length,
    },
  };
}
