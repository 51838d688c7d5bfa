/**
 * Refusing what memory cannot hold before the long work begins, not in its middle.
 *
 * @module
 */

import process from "node:process";
import { CONTROL_BYTES, Layout } from "../workers/layout.ts";

/** What is searched among, and for whom. */
interface Search {
  count: number;
  /** How many ask that are not among the points. */
  others?: number;
  dimensions: number;
  k: number;
}

/** @throws {RangeError} if this process can take less memory than that */
function checkFree(bytes: number, what: string): void {
  const free = process.availableMemory();
  if (bytes <= free) return;
  const gigabytes = (bytes: number) => (bytes / 1e9).toPrecision(2);
  throw new RangeError(
    `${what} takes about ${gigabytes(bytes)} GB of memory, and ${
      gigabytes(free)
    } GB are free: take fewer points, fewer ` +
      "dimensions (see pca), or a smaller perplexity or k.",
  );
}

/**
 * Checks that a search for neighbours has the memory it needs: that which its Workers share, and all in all.
 *
 * @throws {RangeError} if not
 */
export function checkSearch({ count, others = 0, dimensions, k }: Search): void {
  const asking = others || count;
  // Points as they come and in panels; for each query its numbers and its neighbours.
  const shared = new Layout();
  shared.take(4 * dimensions * (2 * count + others) + 8 * k * asking);
  shared.check();
  const own = 4 * dimensions * (count + others) + 8 * k * asking;
  checkFree(shared.bytes - CONTROL_BYTES + own, `A search for ${k} neighbours among ${count} points`);
}

/**
 * Checks that a map has the memory it needs. The most is held where affinities are made of neighbours: a million points
 * of 50 dimensions at a perplexity of 30 took 4.3 GB.
 *
 * @param k how many neighbours of each point count
 * @throws {RangeError} if not
 */
export function checkMap(count: number, dimensions: number, k: number): void {
  checkSearch({ count, dimensions, k });
  checkFree(count * (20 * dimensions + 40 * k), `A map of ${count} points of ${dimensions} dimensions`);
}
