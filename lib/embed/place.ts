/**
 * New points on a map that is there.
 *
 * @module
 */

import { type NdArray, ndarray } from "../array.ts";
import { conditionalAffinities } from "./affinities.ts";
import { type CrewOptions, nearestNeighbors } from "./neighbors.ts";
import { checkPoints } from "./points.ts";

export interface PlaceOptions extends CrewOptions {
  /**
   * How many of the old points draw each new one, smoothly counted.
   * @default 5
   */
  perplexity?: number;
  /** Of the search among many points. @default 0 */
  seed?: number;
}

/**
 * Places new points on a map of others: each at the median of its nearest old points on the map, weighted by its
 * affinities to them, coordinate by coordinate. The map does not move, and new points do not push one another. That is
 * where openTSNE's `transform` starts from (Poličar, Stražar and Zupan 2023, "Embedding to reference t-SNE space").
 *
 * @param points the old points, `[n, d]`
 * @param map where they are, `[n, 2]`
 * @param added the new points, `[m, d]`
 * @returns where these go, `[m, 2]`
 * @throws {RangeError} if points and map are not equally many, the new points have other dimensions, or the perplexity
 *   is not a number from 1 to less than n
 */
export async function place(
  points: NdArray,
  map: NdArray,
  added: NdArray,
  { perplexity = 5, ...options }: PlaceOptions = {},
): Promise<NdArray> {
  const [count] = checkPoints(points, 2);
  const [mapped, coordinates] = checkPoints(map, 2);
  if (count !== mapped) throw new RangeError(`There are ${count} points: received a map of ${mapped}.`);
  if (!(perplexity >= 1 && perplexity < count)) {
    throw new RangeError(
      `Of ${count} points, 1 to less than ${count} can draw a new one: received the perplexity ${perplexity}.`,
    );
  }
  const k = Math.min(count, Math.ceil(3 * perplexity) + 1);
  const nearest = await nearestNeighbors(points, k, { ...options, queries: added });
  const weights = conditionalAffinities(nearest, perplexity);
  const placed = new Float32Array(nearest.count * coordinates);
  for (let i = 0; i < nearest.count; i++) {
    const drawing = Array.from({ length: k }, (_, j) => ({
      at: nearest.indices[i * k + j] * coordinates,
      weight: weights[i * k + j],
    }));
    for (let c = 0; c < coordinates; c++) {
      drawing.sort((a, b) => map.data[a.at + c] - map.data[b.at + c]);
      let sum = 0;
      const middle = drawing.find(({ weight }) => (sum += weight) >= 0.5) ?? drawing[k - 1];
      placed[i * coordinates + c] = map.data[middle.at + c];
    }
  }
  return ndarray(placed, [nearest.count, coordinates]);
}
