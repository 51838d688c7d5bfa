/**
 * New points in an embedding that is there.
 *
 * @module
 */

import { ndarray, type NdArrayLike } from "../../array.ts";
import { callback, whole, within } from "../../options.ts";
import { conditionalAffinities } from "./affinities.ts";
import { Layout } from "../../workers/layout.ts";
import { startGroup } from "../kernels/kernels.ts";
import { type Components, strideOf } from "./descent.ts";
import { nearestIn, type Neighbors, WorkerOptions } from "../neighbors.ts";
import { REFINE, type RefineJob } from "./refine.ts";

/** The options of placing new points in an embedding. */
export class PlaceOptions extends WorkerOptions {
  /**
   * How many of the old points attract each new one, smoothly counted.
   * @default 5
   */
  @within(1)
  perplexity = 5;
  /**
   * Of the search among many points.
   * @default 0
   */
  @whole()
  seed = 0;
  /** Called with the number of points that are placed. */
  @callback()
  onProgress?: (done: number, total: number) => void;
}

/** New points in an embedding. */
export interface Placed {
  /** Where they are, `[m, 2]` or `[m, 3]`. */
  readonly points: NdArrayLike;
  /** For each how far its neighbourhood in the embedding is from its true one, among the old points: Σ p ln(p/q). */
  readonly klDivergence: Float32Array;
  /** The nearest old points of each new one in truth. */
  readonly neighbors: Neighbors;
}

/** Where new points start: at the median of their nearest, weighted by affinities, coordinate by coordinate. */
function startsOf(embedding: NdArrayLike, { count, k, indices }: Neighbors, affinities: Float32Array): Float32Array {
  const [, components] = embedding.shape;
  const starts = new Float32Array(count * components);
  for (let i = 0; i < count; i++) {
    const attracting = Array.from({ length: k }, (_, j) => ({
      at: indices[i * k + j] * components,
      weight: affinities[i * k + j],
    }));
    for (let c = 0; c < components; c++) {
      attracting.sort((a, b) => embedding.data[a.at + c] - embedding.data[b.at + c]);
      let sum = 0;
      const middle = attracting.find(({ weight }) => (sum += weight) >= 0.5) ?? attracting[k - 1];
      starts[i * components + c] = embedding.data[middle.at + c];
    }
  }
  return starts;
}

/**
 * Places new points in an embedding of others: each where its own divergence from its affinities to the old points is
 * least, downhill from the median of its nearest. The old points do not move, and new points neither attract nor repel one
 * another, so that each is placed as if it were alone.
 *
 * That is the aim of openTSNE's `transform` (Poličar, Stražar and Zupan 2023, "Embedding to reference t-SNE space
 * addresses batch effects in single-cell classification"), here without exaggeration, and down to the bottom of the
 * valley.
 *
 * @param points the old points, `[n, d]`
 * @param embedding where they are, `[n, 2]` or `[n, 3]`
 * @param added the new points, `[m, d]`
 * @throws {RangeError} if the perplexity is not less than n
 * @throws {MemoryError} if it does not fit into memory
 */
export async function place(
  points: NdArrayLike,
  embedding: NdArrayLike,
  added: NdArrayLike,
  { perplexity = 5, seed = 0, signal, onProgress, threads }: Partial<PlaceOptions> = {},
): Promise<Placed> {
  const [count] = points.shape;
  const components = embedding.shape[1] as Components;
  if (!(perplexity < count)) {
    throw new RangeError(
      `Of ${count} points, 1 to less than ${count} can attract a new one: received the perplexity ${perplexity}.`,
    );
  }
  const k = Math.min(count, Math.ceil(3 * perplexity) + 1);
  const group = startGroup(threads, signal);
  try {
    const neighbors = await nearestIn(group, points, k, { seed, queries: added });
    const affinities = conditionalAffinities(neighbors, perplexity);
    const starts = startsOf(embedding, neighbors, affinities);
    const stride = strideOf(components);
    const layout = new Layout();
    const job: RefineJob = {
      count,
      added: neighbors.count,
      components,
      points: layout.take(4 * stride * (count + neighbors.count)),
      k,
      neighbors: layout.take(4 * k * neighbors.count),
      affinities: layout.take(4 * k * neighbors.count),
      divergences: layout.take(4 * neighbors.count),
      room: layout.take(128 * group.threads),
    };
    const buffer = await group.memory(layout);
    const all = new Float32Array(buffer, job.points, stride * (count + neighbors.count));
    spread(embedding.data, all, components);
    spread(starts, all.subarray(stride * count), components);
    new Int32Array(buffer, job.neighbors).set(neighbors.indices);
    new Float32Array(buffer, job.affinities).set(affinities);
    let done = 0;
    await group.run(REFINE, job, (count) => onProgress?.(done += count, neighbors.count));
    const placed = new Float32Array(neighbors.count * components);
    for (let i = 0; i < neighbors.count; i++) {
      for (let c = 0; c < components; c++) placed[i * components + c] = all[stride * (count + i) + c];
    }
    return {
      points: ndarray(placed, [neighbors.count, components]),
      klDivergence: new Float32Array(buffer, job.divergences, neighbors.count).slice(),
      neighbors,
    };
  } finally {
    group.end();
  }
}

/** Lays points out with the stride that the kernels want. */
function spread(data: Float32Array, into: Float32Array, components: Components): void {
  const stride = strideOf(components);
  for (let i = 0, at = 0; at < data.length; i++) {
    for (let c = 0; c < components; c++, at++) into[stride * i + c] = data[at];
  }
}
