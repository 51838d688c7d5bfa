/**
 * Refusing what memory cannot hold before the long work begins, not in its middle.
 *
 * @module
 */

import { checkMachineMemory } from "../memory.ts";
import { CONTROL_BYTES, Layout } from "../workers/layout.ts";

/** What is searched among, and for whom. */
interface Search {
  count: number;
  /** How many ask that are not among the points. */
  others?: number;
  dimensions: number;
  k: number;
}

const REMEDY = "Take fewer points, fewer dimensions (see pca), or a smaller perplexity or k.";

/**
 * Checks that a search for neighbours has the memory it needs: that which its Workers share, and all in all.
 *
 * @throws {MemoryError} if not
 */
export function checkSearch({ count, others = 0, dimensions, k }: Search): void {
  const asking = others || count;
  // Points as they come and in panels; for each query its numbers, its neighbours and some to spare.
  const shared = new Layout();
  shared.take(4 * dimensions * (2 * count + others) + 9 * k * asking);
  shared.check();
  const own = 8 * k * asking;
  const what = `A search for ${k} neighbours among ${count} points`;
  checkMachineMemory(what, shared.bytes - CONTROL_BYTES + own, REMEDY);
}

/**
 * Checks that a map has the memory it needs. The most is held where affinities are made of neighbours: a million points
 * of 50 dimensions at a perplexity of 30 took 4.3 GB.
 *
 * @param k how many neighbours of each point count
 * @throws {MemoryError} if not
 */
export function checkMap(count: number, dimensions: number, k: number): void {
  checkSearch({ count, dimensions, k });
  const what = `A map of ${count} points of ${dimensions} dimensions`;
  checkMachineMemory(what, count * (20 * dimensions + 40 * k), REMEDY);
}
