/**
 * How far an embedding can be trusted.
 *
 * @module
 */

import type { NdArrayLike } from "../array.ts";
import { throwIfInterrupted } from "../interrupt.ts";
import { randomStream } from "../random.ts";
import { nearestNeighbors, type Neighbors, type WorkerOptions } from "./neighbors.ts";

export interface TrustOptions {
  /** How many neighbours are looked at, fewer than half of the points. @default 5 */
  k?: number;
  /** Of more points than this, a random sample of this size is measured. @default 2000 */
  sample?: number;
  /** Of that choice. @default 0 */
  seed?: number;
}

/** The squared distances from four points to all points: one sum after the other would wait for itself. */
function squaresFrom(
  { data, shape: [count, dimensions] }: NdArrayLike,
  four: readonly number[],
  into: readonly Float64Array[],
): void {
  const [a, b, c, d] = four.map((i) => i * dimensions);
  const [p, q, r, s] = into;
  for (let j = 0, at = 0; j < count; j++) {
    let sa = 0;
    let sb = 0;
    let sc = 0;
    let sd = 0;
    for (let x = 0; x < dimensions; x++, at++) {
      const value = data[at];
      sa += (data[a + x] - value) ** 2;
      sb += (data[b + x] - value) ** 2;
      sc += (data[c + x] - value) ** 2;
      sd += (data[d + x] - value) ** 2;
    }
    p[j] = sa;
    q[j] = sb;
    r[j] = sc;
    s[j] = sd;
  }
}

/** The places of the k smallest numbers, but that of `own`. */
function smallestOf(values: Float64Array, k: number, own: number): number[] {
  const kept: number[] = [];
  for (let j = 0; j < values.length; j++) {
    if (j === own || (kept.length === k && values[j] >= values[kept[k - 1]])) continue;
    let place = Math.min(kept.length, k - 1);
    for (; place > 0 && values[kept[place - 1]] > values[j]; place--) kept[place] = kept[place - 1];
    kept[place] = j;
  }
  return kept;
}

/** How many are at most as far as `neighbor`, itself counted and `own` not; of equal ones those before it. */
function rankOf(squares: Float64Array, neighbor: number, own: number): number {
  const square = squares[neighbor];
  let rank = squares[own] < square || (squares[own] === square && own < neighbor) ? 0 : 1;
  // Without branches, which nobody could foresee.
  for (let j = 0; j < neighbor; j++) rank += Number(squares[j] <= square);
  for (let j = neighbor + 1; j < squares.length; j++) rank += Number(squares[j] < square);
  return rank;
}

/**
 * Trustworthiness: whether neighbours in the embedding are neighbours in truth (Venna and Kaski 2001, "Neighborhood
 * preservation in nonlinear projection methods"; as scikit-learn has it). 1 is best; a random embedding gets about 0.5.
 * With the two arrays exchanged it is continuity: whether true neighbours are neighbours in the embedding.
 *
 * @param points `[n, d]`
 * @param embedding `[n, c]`
 */
export function trustworthiness(
  points: NdArrayLike,
  embedding: NdArrayLike,
  { k = 5, sample = 2000, seed = 0 }: TrustOptions = {},
): number {
  const [count] = points.shape;
  const drawn = Array.from({ length: count }, (_, i) => i);
  if (count > sample) {
    const random = randomStream(seed);
    for (let i = 0; i < sample; i++) {
      const other = i + Math.floor(random() * (count - i));
      [drawn[i], drawn[other]] = [drawn[other], drawn[i]];
    }
    drawn.length = sample;
  }
  const fourRows = () => Array.from({ length: 4 }, () => new Float64Array(count));
  const [far, near] = [fourRows(), fourRows()];
  let penalty = 0;
  for (let first = 0; first < drawn.length; first += 4) {
    throwIfInterrupted();
    // The last ones stand in for those that are missing.
    const four = [0, 1, 2, 3].map((t) => drawn[Math.min(first + t, drawn.length - 1)]);
    squaresFrom(points, four, far);
    squaresFrom(embedding, four, near);
    for (let t = 0; t < 4 && first + t < drawn.length; t++) {
      for (const neighbor of smallestOf(near[t], k, four[t])) {
        penalty += Math.max(0, rankOf(far[t], neighbor, four[t]) - k);
      }
    }
  }
  return 1 - penalty * 2 / (drawn.length * k * (2 * count - 3 * k - 1));
}

/** Continuity: {@linkcode trustworthiness} with the points and the embedding exchanged. */
export function continuity(points: NdArrayLike, embedding: NdArrayLike, options: TrustOptions = {}): number {
  return trustworthiness(embedding, points, options);
}

/**
 * For each point, which share of its neighbours are neighbours in the embedding too.
 *
 * @param neighbors those of the points
 * @param embedded those in the embedding; at least as many
 * @returns `[n]`, from 0 to 1
 */
export function preservation(neighbors: Neighbors, embedded: Neighbors): Float32Array {
  const k = Math.min(neighbors.k, embedded.k);
  return Float32Array.from({ length: neighbors.count }, (_, i) => {
    const those = new Set(neighbors.indices.subarray(i * neighbors.k, i * neighbors.k + k));
    let kept = 0;
    for (let j = 0; j < k; j++) if (those.has(embedded.indices[i * embedded.k + j])) kept++;
    return kept / k;
  });
}

/** How often the nearest other point has the same label: at random one class gets its share, a perfect embedding 1. */
export async function nearestAccuracy(
  points: NdArrayLike,
  labels: readonly unknown[],
  options: WorkerOptions = {},
): Promise<number> {
  const { count, indices } = await nearestNeighbors(points, 1, options);
  return indices.reduce((right, other, i) => right + (labels[other] === labels[i] ? 1 : 0), 0) / count;
}
