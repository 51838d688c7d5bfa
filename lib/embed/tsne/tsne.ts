/**
 * t-SNE: points in two or three dimensions, where neighbours stay together.
 *
 * van der Maaten and Hinton 2008, "Visualizing data using t-SNE". Affinities over the 3 · perplexity nearest
 * neighbours, found exactly; repulsion exact for few points, by a mesh for many (`mesh.ts`, `mesh_3d.ts`); the schedule is
 * that of openTSNE 1.0 (Poličar, Stražar and Zupan 2024; learning rate after Belkina et al. 2019, start from principal
 * components after Kobak and Berens 2019).
 *
 * @module
 */

import { ndarray, type NdArrayLike } from "../../array.ts";
import { kindOf } from "../../errors.ts";
import { callback, oneOf, positive, rule, whole, within } from "../../options.ts";
import { normalStream } from "../../random.ts";
import { affinitiesOf } from "./affinities.ts";
import { type Components, type DescentProgress, layDescent, strideOf } from "./descent.ts";
import { chooseEngine, type ChosenEngine, type Engine, type FindDevice } from "./engine.ts";
import { Layout } from "../../workers/layout.ts";
import { threadsFor } from "../../workers/group.ts";
import { startGroup } from "../kernels/kernels.ts";
import { checkMap } from "../memory.ts";
import { nearestIn, type Neighbors, WorkerOptions } from "../neighbors.ts";
import { principalComponents } from "../pca.ts";

/** Called during a descent with the points as they are then, `[n, components]`. */
export type OnIteration = (iteration: number, klDivergence: number, points: NdArrayLike) => void;

const twoOrThree = rule((name, value) => {
  if (value === 2 || value === 3) return;
  throw new RangeError(`${name} must be 2 or 3: received ${kindOf(value)}.`);
});

/** The options of t-SNE. */
export class TsneOptions extends WorkerOptions {
  /**
   * How many dimensions the embedding has. The nearness of its points is by Student's t with one degree of freedom less:
   * in two dimensions 1/(1 + d²), in three (1 + d²/2)^(−3/2), as in scikit-learn (van der Maaten 2009, "Learning a
   * parametric embedding by preserving local structure"). So divergences of 2 and of 3 dimensions must not be compared.
   * @default 2
   */
  @twoOrThree
  components: Components = 2;
  /**
   * How many neighbours each point has, smoothly counted.
   * @default 30
   */
  @within(1)
  perplexity = 30;
  /**
   * How many steps, the early ones counted in.
   * @default 750
   */
  @whole(0)
  iterations = 750;
  /**
   * Of the steps, how many first ones exaggerate the affinities, so that clusters form.
   * @default 250
   */
  @whole(0)
  earlyIterations = 250;
  /**
   * How much.
   * @default 12
   */
  @positive()
  exaggeration = 12;
  /**
   * The step's length after the early iterations; during them it is divided by the exaggeration.
   * @default the number of points
   */
  @positive()
  learningRate?: number;
  /**
   * How repulsion is computed: over all pairs, or by a mesh.
   * @default "exact" for fewer than 2500 points
   */
  @oneOf("exact", "mesh")
  repulsion?: "exact" | "mesh";
  /**
   * Of the small random shifts that separate equal points at the start.
   * @default 0
   */
  @whole()
  seed = 0;
  /**
   * What computes the descent: the processor (`"wasm"`), a graphics card over all pairs (`"webgpu"`), or by `"auto"` the
   * card where there is a real one, the points are 10,000 to 250,000, and it takes less than half the time of the
   * processor in a short trial. The result says which it was: to repeat an embedding, ask for that one.
   * @default "auto"
   */
  @oneOf("auto", "wasm", "webgpu")
  engine: "auto" | Engine = "auto";
  /** Called every 50 iterations with the divergence and the points as they are, and at the end. */
  @callback()
  onProgress?: OnIteration;
}

/** What t-SNE makes of points. */
export interface Embedded {
  /** `[n, components]`, around 0. */
  readonly points: NdArrayLike;
  /** How far its neighbourhoods are from those of the points: Σ p ln(p/q), without exaggeration. */
  readonly klDivergence: number;
  readonly neighbors: Neighbors;
  /** What computed the descent. */
  readonly engine: Engine;
  /** Why it did, as a sentence. */
  readonly engineReason: string;
}

/** Below this number of points all pairs are quicker than a mesh. */
const MESH_FROM = 2500;

const REPORT_EVERY = 50;

/** Cells that the search looks into: affinities hardly change with the last half percent of the neighbours. */
const PROBES = 40;

/** The spread of the start along its first component. */
const START = 1e-4;

/** The first principal components, small, with a shift of a hundredth that separates equal points. */
export function startOf(points: NdArrayLike, seed: number, columns: Components = 2): Float32Array {
  const [count, dimensions] = points.shape;
  const components = Math.min(columns, count, dimensions);
  const { points: { data }, explainedVariance } = principalComponents(points, { components, seed });
  const scale = explainedVariance[0] > 0 ? START / Math.sqrt(explainedVariance[0]) : 0;
  const normal = normalStream(seed);
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

/** Points around 0, from points that take {@linkcode strideOf} numbers each. */
function centred(points: Float32Array, components: Components): NdArrayLike {
  const stride = strideOf(components);
  const count = points.length / stride;
  const mean = new Array<number>(stride).fill(0);
  points.forEach((value, i) => mean[i % stride] += value / count);
  const data = Float32Array.from({ length: count * components }, (_, i) => {
    const column = i % components;
    return points[(i - column) / components * stride + column] - mean[column];
  });
  return ndarray(data, [count, components]);
}

const noDevice = () => Promise.reject(new Error("No way to find a graphics device was given."));

/** Checks what the options of a class alone do not say: that they go with one another and with the number of points. */
function check(count: number, { perplexity, engine, repulsion }: TsneOptions): void {
  if (count < 4) {
    throw new RangeError(
      `t-SNE needs at least 4 points, so that there are neighbours to tell apart: received ${count}.`,
    );
  }
  if (!(perplexity < count - 1)) {
    throw new RangeError(
      `Of ${count} points each has ${count - 1} neighbours, so that a perplexity of 1 to less than ${count - 1} is ` +
        `possible: received ${perplexity}. About ${Math.max(1, Math.floor((count - 1) / 3))} is a good choice.`,
    );
  }
  if (engine === "webgpu" && repulsion === "mesh") {
    throw new RangeError(
      'A graphics card computes all pairs: with engine "webgpu", repulsion must be "exact" or left out: received "mesh".',
    );
  }
}

/**
 * Embeds points.
 *
 * The same points, options and number of threads give the same embedding to the last bit on one machine and engine.
 *
 * @param points `[n, d]`; for more than about 50 dimensions take `pca` first
 * @param findDevice finds a graphics device, which is given back at the end
 * @throws {RangeError} if there are fewer than 4 points, the perplexity does not go with their number, or the steps were so
 *   long that the points flew apart
 * @throws {MemoryError} if it does not fit into memory
 * @throws {Error} if a graphics card was asked for and there is none, or it does not compute right; or if it fails on
 *   the way
 */
export async function embed(
  points: NdArrayLike,
  options: Partial<TsneOptions> = {},
  findDevice: FindDevice = noDevice,
): Promise<Embedded> {
  const [count, dimensions] = points.shape;
  const all = { ...new TsneOptions(), ...options };
  check(count, all);
  const { components, perplexity, iterations, earlyIterations, exaggeration, seed, signal, onProgress } = all;
  const { learningRate = count, repulsion = count < MESH_FROM ? "exact" : "mesh" } = all;
  const threads = threadsFor(all.threads);
  const k = Math.min(count - 1, Math.max(Math.floor(3 * perplexity), 3));
  checkMap(count, dimensions, k);
  // Each neighbour counts once, at least.
  const least = new Layout();
  layDescent(least, { count, components, edges: count * k, threads, exact: true });
  least.check();
  const group = startGroup(threads, signal);
  let chosen: ChosenEngine | undefined;
  try {
    const start = startOf(points, seed, components);
    const neighbors = await nearestIn(group, points, k, { seed, probes: PROBES });
    // A mesh that is asked for by name is one of the processor.
    const engine = all.repulsion === "mesh" ? "wasm" : all.engine;
    // The affinities are a gigabyte for a million points: whoever descends has them, and nobody here.
    const choice = { components, repulsion, engine, findDevice, signal };
    chosen = await chooseEngine(group, { ...choice, affinities: affinitiesOf(neighbors, perplexity) });
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
    if (!Number.isFinite(klDivergence)) {
      throw new RangeError(
        `With the learning rate ${learningRate} the points flew apart: take a smaller one, as ${count}, or leave it out.`,
      );
    }
    const { points: map } = last!;
    return {
      points: centred(map, components),
      klDivergence,
      neighbors,
      engine: chosen.engine,
      engineReason: chosen.reason,
    };
  } finally {
    chosen?.end();
    group.end();
  }
}
