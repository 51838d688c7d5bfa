/**
 * t-SNE: a map of points on which neighbours stay together.
 *
 * van der Maaten and Hinton 2008, "Visualizing data using t-SNE". Affinities over the 3 · perplexity nearest
 * neighbours, found exactly; repulsion exact for few points, by a mesh for many (`mesh.ts`, `mesh_3d.ts`); the schedule is
 * that of openTSNE 1.0 (Poličar, Stražar and Zupan 2024; learning rate after Belkina et al. 2019, start from principal
 * components after Kobak and Berens 2019).
 *
 * @module
 */

import { type NdArray, ndarray } from "../../array.ts";
import { unknownName } from "../../errors.ts";
import { type Affinities, affinitiesOf } from "./affinities.ts";
import { type Components, type DescentProgress, layDescent, strideOf } from "./descent.ts";
import { chooseEngine, type ChosenEngine, type Engine, ENGINES, type FindDevice } from "./engine.ts";
import { Layout } from "../../workers/layout.ts";
import { threadsFor } from "../../workers/group.ts";
import { startGroup } from "../kernels/kernels.ts";
import { checkMap } from "../memory.ts";
import { nearestIn, type Neighbors } from "../neighbors.ts";
import { principalComponents } from "../pca.ts";
import { checkPoints } from "../points.ts";
import { normals } from "../random.ts";

/** Where a descent stands. */
export type OnIteration = (iteration: number, klDivergence: number, points: NdArray) => void;

export interface EmbedOptions {
  /**
   * How many dimensions the map has. The nearness of its points is by Student's t with one degree of freedom less: on a
   * plane 1/(1 + d²), in space (1 + d²/2)^(−3/2), as in scikit-learn (van der Maaten 2009, "Learning a parametric
   * embedding by preserving local structure"). So divergences of 2 and of 3 dimensions must not be compared.
   * @default 2
   */
  components?: Components;
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
  /**
   * What computes the descent: the processor (`"wasm"`), a graphics card over all pairs (`"webgpu"`), or by `"auto"` the
   * card where there is a real one, the points are 10,000 to 250,000, and it takes less than half the time of the
   * processor in a short trial. The result says which it was: to repeat a map, ask for that one.
   * @default "auto"
   */
  engine?: "auto" | Engine;
  /** @default one a core */
  threads?: number;
  /** Ends it at once. */
  signal?: AbortSignal;
  /** Called every 50 iterations with the divergence and the map as it is, and at the end. */
  onProgress?: OnIteration;
}

/** A map of points. */
export interface Embedded {
  /** `[n, components]`, around 0. */
  readonly points: NdArray;
  /** How far the map's neighbourhoods are from those of the points: Σ p ln(p/q), without exaggeration. */
  readonly klDivergence: number;
  readonly affinities: Affinities;
  readonly neighbors: Neighbors;
  /** What computed the descent. */
  readonly engine: Engine;
  /** Why it did, as a sentence. */
  readonly engineReason: string;
}

/** Below so many points all pairs are quicker than a mesh. */
const MESH_FROM = 2500;

const REPORT_EVERY = 50;

/** Cells that the search looks into: affinities hardly change with the last half percent of the neighbours. */
const PROBES = 40;

/** The spread of the start along its first component. */
const START = 1e-4;

/** The first principal components, small, with a shift of a hundredth that tells equal points apart. */
export function startOf(points: NdArray, seed: number, columns: Components = 2): Float32Array {
  const [count, dimensions] = points.shape;
  const components = Math.min(columns, count, dimensions);
  const { points: { data }, explainedVariance } = principalComponents(points, { components, seed });
  const scale = explainedVariance[0] > 0 ? START / Math.sqrt(explainedVariance[0]) : 0;
  const normal = normals(seed);
  return Float32Array.from({ length: columns * count }, (_, i) => {
    const column = i % columns;
    const value = column < components ? data[(i - column) / columns * components + column] * scale : 0;
    return value + START / 100 * normal();
  });
}

/** The same points with {@linkcode strideOf} numbers each. */
function strided(points: Float32Array, components: Components): Float32Array {
  const stride = strideOf(components);
  const result = new Float32Array(points.length / components * stride);
  points.forEach((value, i) => result[Math.floor(i / components) * stride + i % components] = value);
  return result;
}

/** A map around 0, from points that take {@linkcode strideOf} numbers each. */
function centred(map: Float32Array, components: Components): NdArray {
  const stride = strideOf(components);
  const count = map.length / stride;
  const mean = new Array<number>(stride).fill(0);
  map.forEach((value, i) => mean[i % stride] += value / count);
  const data = Float32Array.from({ length: count * components }, (_, i) => {
    const column = i % components;
    return map[(i - column) / components * stride + column] - mean[column];
  });
  return ndarray(data, [count, components]);
}

const noDevice = () => Promise.reject(new Error("No way to find a graphics device was given."));

/** Checks the options. */
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
  if (rest.components !== undefined && rest.components !== 2 && rest.components !== 3) {
    throw new RangeError(`A map has 2 or 3 components: received ${rest.components}.`);
  }
  if (rest.repulsion !== undefined && rest.repulsion !== "exact" && rest.repulsion !== "mesh") {
    throw new RangeError(`repulsion is "exact" or "mesh": received ${JSON.stringify(rest.repulsion)}.`);
  }
  if (rest.engine !== undefined && !ENGINES.includes(rest.engine)) {
    throw unknownName("engine", String(rest.engine), ENGINES, "t-SNE");
  }
  if (rest.engine === "webgpu" && rest.repulsion !== undefined && rest.repulsion !== "exact") {
    throw new RangeError(
      `A graphics card computes all pairs: with engine "webgpu", repulsion must be "exact" or left out: received ` +
        `${JSON.stringify(rest.repulsion)}.`,
    );
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
 * The same points, options and number of threads give the same map to the last bit on one machine and engine.
 *
 * @param points `[n, d]`; for more than about 50 dimensions take `pca` first
 * @param findDevice finds a graphics device, which is given back at the end
 * @throws {RangeError} if there are fewer than 4 points, the perplexity does not go with their number, or a number is
 *   not finite
 * @throws {MemoryError} if it does not fit into memory
 * @throws {Error} if a graphics card was asked for and there is none, or it does not compute right; or if it fails on
 *   the way
 */
export async function embed(
  points: NdArray,
  options: EmbedOptions = {},
  findDevice: FindDevice = noDevice,
): Promise<Embedded> {
  const [count, dimensions] = checkPoints(points);
  check(count, options);
  const { perplexity = 30, iterations = 750, earlyIterations = 250, exaggeration = 12, seed = 0, signal } = options;
  const { components = 2, learningRate = count, repulsion = count < MESH_FROM ? "exact" : "mesh", onProgress } =
    options;
  const threads = threadsFor(options.threads);
  const k = Math.min(count - 1, Math.max(Math.floor(3 * perplexity), 3));
  checkMap(count, dimensions, k);
  // Each neighbour counts at least once.
  const least = new Layout();
  layDescent(least, { count, components, edges: count * k, threads, exact: true });
  least.check();
  const group = startGroup(threads, signal);
  let chosen: ChosenEngine | undefined;
  try {
    const start = startOf(points, seed, components);
    const neighbors = await nearestIn(group, points, k, { seed, probes: PROBES });
    const affinities = affinitiesOf(neighbors, perplexity);
    // A mesh that is asked for by name is one of the processor.
    const asked = options.repulsion === "mesh" ? "wasm" : options.engine ?? "auto";
    chosen = await chooseEngine(group, { components, affinities, repulsion, engine: asked, findDevice, signal });
    const schedule = {
      iterations,
      early: Math.min(earlyIterations, iterations),
      exaggeration,
      momentum: { early: 0.8, late: 0.8 },
      learningRate: { early: learningRate / exaggeration, late: learningRate },
    };
    let last: DescentProgress | undefined;
    await chosen.descent.run({ start: strided(start, components), schedule, reportEvery: REPORT_EVERY }, (progress) => {
      last = progress;
      onProgress?.(progress.iteration, progress.klDivergence, centred(progress.points, components));
    });
    // There always is one: the end is reported too.
    const { klDivergence } = last!;
    const { engine, reason: engineReason } = chosen;
    return { points: centred(last!.points, components), klDivergence, affinities, neighbors, engine, engineReason };
  } finally {
    chosen?.end();
    group.end();
  }
}
