/**
 * Affinities: how much a point takes another for its neighbour.
 *
 * van der Maaten and Hinton 2008, "Visualizing data using t-SNE", §2 and §3.1; over nearest neighbours only, as in van
 * der Maaten 2014, "Accelerating t-SNE using tree-based algorithms", §4.1.
 *
 * @module
 */

import type { Neighbors } from "../neighbors.ts";

/** A symmetric sparse matrix of affinities whose sum is 1, row by row. */
export interface Affinities {
  readonly count: number;
  /** Row i stands from `starts[i]` to `starts[i + 1]`: a multiple of 4, filled up with neighbours of affinity 0. */
  readonly starts: Uint32Array;
  readonly neighbors: Uint32Array;
  readonly values: Float32Array;
  /** Σ p ln p, of the divergence the part that does not depend on the map. */
  readonly entropy: number;
}

/** So near the entropy must come to ln(perplexity). */
const TOLERANCE = 1e-8;
const ATTEMPTS = 200;

/**
 * For each point, exp(−β d²) over its neighbours, normed to a sum of 1, with the β that gives the perplexity: the
 * exponential of the entropy.
 *
 * Where more neighbours than the perplexity are equally near, there is no such β: these share alike.
 *
 * @returns the conditional affinities `[count, k]`
 */
export function conditionalAffinities({ count, k, distances }: Neighbors, perplexity: number): Float32Array {
  const wanted = Math.log(perplexity);
  const result = new Float32Array(count * k);
  const squares = new Float64Array(k);
  const raised = new Float64Array(k);
  for (let i = 0; i < count; i++) {
    // The least distance is taken off: that changes no affinity, and keeps one term at 1.
    const least = distances[i * k] ** 2;
    let mean = 0;
    let equal = 0;
    for (let j = 0; j < k; j++) {
      squares[j] = distances[i * k + j] ** 2 - least;
      mean += squares[j] / k;
      if (squares[j] === 0) equal++;
    }
    if (equal >= perplexity) {
      for (let j = 0; j < k; j++) result[i * k + j] = squares[j] === 0 ? 1 / equal : 0;
      continue;
    }
    // On ln β, Newton's steps inside a bracket.
    let [low, high] = [-Infinity, Infinity];
    let logBeta = -Math.log(mean || 1);
    let sum = 0;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const beta = Math.exp(logBeta);
      sum = 0;
      let first = 0;
      let second = 0;
      for (let j = 0; j < k; j++) {
        const square = beta * squares[j];
        const value = Math.exp(-square);
        raised[j] = value;
        sum += value;
        first += value * square;
        second += value * square * square;
      }
      first /= sum;
      const excess = Math.log(sum) + first - wanted;
      if (Math.abs(excess) < TOLERANCE) break;
      if (excess > 0) low = logBeta;
      else high = logBeta;
      // The entropy falls with ln β by the variance of β d².
      const step = excess / (second / sum - first * first);
      const next = logBeta + step;
      if (next > low && next < high && Math.abs(step) < 3) logBeta = next;
      else if (high === Infinity) logBeta += 2;
      else if (low === -Infinity) logBeta -= 2;
      else logBeta = (low + high) / 2;
      if (high - low < 1e-14) break;
    }
    for (let j = 0; j < k; j++) result[i * k + j] = raised[j] / sum;
  }
  return result;
}

/**
 * The affinities of t-SNE: (p(j|i) + p(i|j)) / 2n.
 *
 * @param perplexity how many neighbours a point has, smoothly counted; below k
 */
export function affinitiesOf(nearest: Neighbors, perplexity: number): Affinities {
  const { count, k, indices } = nearest;
  const conditional = conditionalAffinities(nearest, perplexity);

  // Who names a point, beside those that the point names itself.
  const named = new Uint32Array(count + 1);
  for (const index of indices) named[index + 1]++;
  for (let i = 0; i < count; i++) named[i + 1] += named[i];
  /** At which places of `indices` that is: a place tells the namer, and where its affinity stands. */
  const namings = new Uint32Array(count * k);
  const next = named.slice(0, count);
  for (let e = 0; e < indices.length; e++) namings[next[indices[e]]++] = e;
  const namerOf = (naming: number) => Math.floor(namings[naming] / k);

  const starts = new Uint32Array(count + 1);
  /** Where in the row of the moment a point stands. */
  const seen = new Int32Array(count).fill(-1);
  for (let i = 0; i < count; i++) {
    let length = k;
    for (let e = i * k; e < (i + 1) * k; e++) seen[indices[e]] = i;
    for (let e = named[i]; e < named[i + 1]; e++) if (seen[namerOf(e)] !== i) length++;
    starts[i + 1] = starts[i] + 4 * Math.ceil(length / 4);
  }
  const neighbors = new Uint32Array(starts[count]);
  const values = new Float32Array(starts[count]);
  const row = new Float64Array(count);
  let entropy = 0;
  for (let i = 0; i < count; i++) {
    let at = starts[i];
    for (let e = i * k; e < (i + 1) * k; e++) {
      neighbors[at++] = indices[e];
      row[indices[e]] = conditional[e];
      seen[indices[e]] = -2 - i;
    }
    for (let e = named[i]; e < named[i + 1]; e++) {
      const j = namerOf(e);
      const value = conditional[namings[e]];
      if (seen[j] === -2 - i) row[j] += value;
      else {
        neighbors[at++] = j;
        row[j] = value;
      }
    }
    for (let e = starts[i]; e < at; e++) {
      const p = row[neighbors[e]] / (2 * count);
      values[e] = p;
      if (p > 0) entropy += p * Math.log(p);
    }
    // Filled up with the point itself, at no distance and without affinity.
    neighbors.fill(i, at, starts[i + 1]);
  }
  return { count, starts, neighbors, values, entropy };
}
