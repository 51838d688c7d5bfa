/**
 * t-SNE: a map of points on which neighbours stay together.
 *
 * van der Maaten and Hinton 2008, "Visualizing data using t-SNE". Affinities over the 3 · perplexity nearest
 * neighbours, found exactly; repulsion exact for few points, by a mesh for many (`mesh.ts`); the schedule is that of
 * openTSNE 1.0 (Poličar, Stražar and Zupan 2024; learning rate after Belkina et al. 2019, start from principal
 * components after Kobak and Berens 2019).
 *
 * @module
 */

import { type NdArray, ndarray } from "../array.ts";
import { type Affinities, affinitiesOf } from "./affinities.ts";
import { Crew, threadsFor } from "./crew.ts";
import { type DescentNews, layDescent } from "./descent.ts";
import { Layout } from "./layout.ts";
import { nearestIn, type Neighbors } from "./neighbors.ts";
import { principalComponents } from "./pca.ts";
import { checkPoints } from "./points.ts";
import { normals } from "./random.ts";

/** Where a descent stands. */
export type OnIteration = (iteration: number, klDivergence: number, points: NdArray) => void;

export interface EmbedOptions {
  /**
   * How many neighbours each point has, smoothly counted.
   * @default 30
   */
  perplexity?: number;
  /**
   * How many steps, the early ones counted in.
   * @default 750
   */
  iterations?: number;
  /**
   * Of the steps, how many first ones exaggerate the affinities, so that clusters form.
   * @default 250
   */
  earlyIterations?: number;
  /**
   * How much.
   * @default 12
   */
  exaggeration?: number;
  /**
   * The step's length after the early iterations; during them it is divided by the exaggeration.
   * @default the number of points
   */
  learningRate?: number;
  /**
   * How repulsion is computed: over all pairs, or by a mesh.
   * @default "exact" for fewer than 2500 points
   */
  repulsion?: "exact" | "mesh";
  /**
   * Of the small random shifts that tell points apart at the start.
   * @default 0
   */
  seed?: number;
  /** @default one a core */
  threads?: number;
  /** Ends it at once. */
  signal?: AbortSignal;
  /** Called every 50 iterations with the divergence and the map as it is, and at the end. */
  onProgress?: OnIteration;
}

/** A map of points. */
export interface Embedded {
  /** `[n, 2]`, around 0. */
  readonly points: NdArray;
  /** How far the map's neighbourhoods are from those of the points: Σ p ln(p/q), without exaggeration. */
  readonly klDivergence: number;
  readonly affinities: Affinities;
  readonly neighbors: Neighbors;
}

/** Below so many points all pairs are quicker than a mesh. */
const MESH_FROM = 2500;

const TELL_EVERY = 50;

/** Cells that the search looks into: affinities hardly change with the last half percent of the neighbours. */
const PROBES = 40;

/** The spread of the start along its first component. */
const START = 1e-4;

/** The first two principal components, small, with a shift of a hundredth that tells equal points apart. */
export function startOf(points: NdArray, seed: number): Float32Array {
  const [count, dimensions] = points.shape;
  const components = Math.min(2, count, dimensions);
  const { points: { data }, explainedVariance } = principalComponents(points, { components, seed });
  const scale = explainedVariance[0] > 0 ? START / Math.sqrt(explainedVariance[0]) : 0;
  const normal = normals(seed);
  return Float32Array.from({ length: 2 * count }, (_, i) => {
    const value = i % 2 < components ? data[(i >> 1) * components + i % 2] * scale : 0;
    return value + START / 100 * normal();
  });
}

/** A map around 0. */
function centred(map: Float32Array): NdArray {
  const count = map.length / 2;
  const mean = [0, 0];
  map.forEach((value, i) => mean[i % 2] += value / count);
  return ndarray(map.map((value, i) => value - mean[i % 2]), [count, 2]);
}

/** Checks the options that are numbers. */
function check(count: number, { perplexity = 30, iterations = 750, earlyIterations = 250, ...rest }: EmbedOptions) {
  if (count < 4) {
    throw new RangeError(
      `A map needs at least 4 points, so that there are neighbours to tell apart: received ${count}.`,
    );
  }
  if (!(perplexity >= 1 && perplexity < count - 1)) {
    throw new RangeError(
      `Of ${count} points each has ${count - 1} neighbours, so that a perplexity of 1 to less than ${count - 1} is ` +
        `possible: received ${perplexity}. About ${Math.max(1, Math.floor((count - 1) / 3))} is a good choice.`,
    );
  }
  for (const [name, value] of Object.entries({ iterations, earlyIterations })) {
    if (!Number.isInteger(value) || value < 0) {
      throw new RangeError(`${name} must be a whole number ≥ 0: received ${value}.`);
    }
  }
  if (rest.repulsion !== undefined && rest.repulsion !== "exact" && rest.repulsion !== "mesh") {
    throw new RangeError(`repulsion is "exact" or "mesh": received ${JSON.stringify(rest.repulsion)}.`);
  }
  for (const name of ["exaggeration", "learningRate"] as const) {
    const value = rest[name];
    if (value !== undefined && !(value > 0 && Number.isFinite(value))) {
      throw new RangeError(`${name} must be a number > 0: received ${value}.`);
    }
  }
}

/**
 * Makes a map of points.
 *
 * The same points, options and number of threads give the same map to the last bit on one machine.
 *
 * @param points `[n, d]`; for more than about 50 dimensions take `pca` first
 * @throws {RangeError} if there are fewer than 4 points, the perplexity does not go with their number, a number is not
 *   finite, or it does not fit into memory
 */
export async function embed(points: NdArray, options: EmbedOptions = {}): Promise<Embedded> {
  const [count] = checkPoints(points);
  check(count, options);
  const { perplexity = 30, iterations = 750, earlyIterations = 250, exaggeration = 12, seed = 0, signal } = options;
  const { learningRate = count, repulsion = count < MESH_FROM ? "exact" : "mesh", onProgress } = options;
  const threads = threadsFor(options.threads);
  const k = Math.min(count - 1, Math.max(Math.floor(3 * perplexity), 3));
  // At the least, before the long work: each neighbour counts once.
  const least = new Layout();
  layDescent(least, { count, edges: count * k, threads, exact: true });
  least.check();
  const crew = new Crew(threads, signal);
  try {
    const start = startOf(points, seed);
    const neighbors = await nearestIn(crew, points, k, { seed, probes: PROBES });
    const affinities = affinitiesOf(neighbors, perplexity);
    const layout = new Layout();
    const edges = affinities.values.length;
    const places = layDescent(layout, { count, edges, threads, exact: repulsion === "exact" });
    const buffer = await crew.memory(layout);
    const map = new Float32Array(buffer, places.points, 2 * count);
    map.set(start);
    new Float32Array(buffer, places.gains, 2 * count).fill(1);
    new Uint32Array(buffer, places.starts, count + 1).set(affinities.starts);
    new Uint32Array(buffer, places.neighbors, edges).set(affinities.neighbors);
    new Float32Array(buffer, places.affinities, edges).set(affinities.values);
    const extent = [Infinity, Infinity, -Infinity, -Infinity];
    start.forEach((value, i) => {
      extent[i % 2] = Math.min(extent[i % 2], value);
      extent[2 + i % 2] = Math.max(extent[2 + i % 2], value);
    });
    for (let t = 0; t < threads; t++) new Float32Array(buffer, places.parts + 64 * t + 32, 4).set(extent);
    let last: DescentNews | undefined;
    await crew.run({
      kind: "descend",
      places,
      entropy: affinities.entropy,
      tellEvery: TELL_EVERY,
      schedule: {
        iterations,
        early: Math.min(earlyIterations, iterations),
        exaggeration,
        momentum: { early: 0.8, late: 0.8 },
        learningRate: { early: learningRate / exaggeration, late: learningRate },
      },
    }, (news) => {
      if (news.kind !== "iteration") return;
      last = news;
      onProgress?.(news.iteration, news.klDivergence, centred(news.points));
    });
    // There always is one: the end is told too.
    return { points: centred(last!.points), klDivergence: last!.klDivergence, affinities, neighbors };
  } finally {
    crew.end();
  }
}
