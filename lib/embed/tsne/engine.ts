/**
 * What computes the descent of t-SNE: the processor, or a graphics card where there is one and it is faster.
 *
 * @module
 */

import type { Affinities } from "./affinities.ts";
import type { KernelGroup } from "../kernels/kernels.ts";
import { type Components, type DescentProgress, type DescentRun, strideOf } from "./descent.ts";
import { GpuDescent } from "./gpu_descent.ts";
import { randomStream } from "../../random.ts";
import { WasmDescent } from "./wasm_descent.ts";

/** What computes a descent: the processor, or a graphics card. */
export type Engine = "wasm" | "webgpu";

/** The engines that there are, and who chooses one. */
export const ENGINES: readonly ("auto" | Engine)[] = ["auto", "wasm", "webgpu"];

/**
 * Finds a graphics device, which whoever asks destroys. `software` says whether one that only imitates a graphics card on
 * the processor will do. Throws where there is none, and says why.
 */
export type FindDevice = (options: { software: boolean }) => Promise<{ device: GPUDevice; name: string }>;

/** What can run a descent. */
export interface Descent {
  run(run: DescentRun, onProgress: (progress: DescentProgress) => void): Promise<void>;
}

/** A descent that is ready to run, and what computes it. */
export interface ChosenEngine {
  readonly descent: Descent;
  readonly engine: Engine;
  /** Why this one, as a sentence. */
  readonly reason: string;
  /** Gives a graphics device back. */
  end(): void;
}

/** What is to be computed, and what was asked for. */
export interface EngineChoice {
  components: Components;
  affinities: Affinities;
  /** How the processor repels. */
  repulsion: "exact" | "mesh";
  engine: "auto" | Engine;
  findDevice: FindDevice;
  signal?: AbortSignal;
}

/** For fewer points, finding a device and trying it takes as long as it saves. */
const GPU_FROM = 10_000;
/** All pairs of more points take longer on any card than a mesh on the processor. */
const GPU_UP_TO = 250_000;

/** How many times faster a card must be: what is about equal is to be decided the same each time, not by chance. */
const FASTER = 2;

/** How many iterations are timed. */
const TRIAL = 4;

/** How far the steps on a card may be from those on the processor, whose mesh is off by up to a percent itself. */
const ALIKE = 0.05;

/**
 * Chooses what computes a descent. A card must compute some steps as the processor does before it is used; by `auto` it
 * is used only if it is faster, too.
 *
 * @throws {MemoryError} if it does not fit into memory
 * @throws {Error} if `"webgpu"` was asked for and there is no device, or it does not compute right
 */
export async function chooseEngine(group: KernelGroup, choice: EngineChoice): Promise<ChosenEngine> {
  const { components, affinities, repulsion, engine, findDevice, signal } = choice;
  const { count } = affinities;
  const wasm = await WasmDescent.create(group, { components, affinities, exact: repulsion === "exact" });
  const onWasm = (reason: string): ChosenEngine => ({ descent: wasm, engine: "wasm", reason, end: () => {} });
  if (engine === "wasm") return onWasm("It was asked for.");
  if (engine === "auto" && count < GPU_FROM) return onWasm(`Fewer than ${GPU_FROM} points are quick on the processor.`);
  if (engine === "auto" && count > GPU_UP_TO) {
    return onWasm(`A graphics card would compute all pairs: of more than ${GPU_UP_TO} points they are too many.`);
  }
  let device: GPUDevice | undefined;
  try {
    const found = await findDevice({ software: engine === "webgpu" });
    device = found.device;
    const gpu = await GpuDescent.create(device, { components, affinities, signal });
    const start = spread(count, components);
    const trial = (iterations: number) => trialRun(start, count, iterations);
    const difference = relative(await moved(gpu, trial), await moved(wasm, trial), start);
    if (!(difference < ALIKE)) {
      throw new Error(
        `${found.name} computes other steps than the processor: they differ by ${(100 * difference).toFixed(1)} %. ` +
          "Update the graphics driver.",
      );
    }
    const onGpu = (reason: string): ChosenEngine => ({
      descent: gpu,
      engine: "webgpu",
      reason,
      end: () => found.device.destroy(),
    });
    if (engine === "webgpu") return onGpu("It was asked for.");
    const { card, processor, faster } = await race(gpu, wasm, trial);
    const times = `An iteration took ${card.toFixed(2)} ms on ${found.name}, and ${processor.toFixed(2)} ms on the ` +
      "processor.";
    if (faster) return onGpu(times);
    device.destroy();
    return onWasm(times);
  } catch (error) {
    device?.destroy();
    signal?.throwIfAborted();
    if (engine === "webgpu") throw error;
    return onWasm(error instanceof Error ? error.message : String(error));
  }
}

/** Points about as dense as those of a finished map. How long a mesh takes depends on that. */
function spread(count: number, components: Components): Float32Array {
  const stride = strideOf(components);
  const random = randomStream(0);
  const side = (count / 2) ** (1 / components);
  return Float32Array.from({ length: stride * count }, (_, i) => i % stride < components ? side * random() : 0);
}

/** A run of a few iterations that reports at its end only. */
function trialRun(start: Float32Array, rate: number, iterations: number): DescentRun {
  return {
    start,
    schedule: {
      iterations,
      early: 0,
      exaggeration: 1,
      momentum: { early: 0.8, late: 0.8 },
      learningRate: { early: rate, late: rate },
    },
    reportEvery: Infinity,
  };
}

/** The points after a trial. */
async function moved(descent: Descent, trial: (iterations: number) => DescentRun): Promise<Float32Array> {
  let points: Float32Array | undefined;
  await descent.run(trial(TRIAL), (progress) => points = progress.points);
  return points!;
}

/**
 * Times both, in milliseconds an iteration, without what a beginning and an end take.
 *
 * @returns with it whether the card is so much faster that it is to be used
 */
export async function race(
  gpu: Descent,
  wasm: Descent,
  trial: (iterations: number) => DescentRun,
): Promise<{ card: number; processor: number; faster: boolean }> {
  const took = async (descent: Descent, iterations: number) => {
    const before = performance.now();
    await descent.run(trial(iterations), () => {});
    return performance.now() - before;
  };
  const each = async (descent: Descent) => {
    const once = await took(descent, 1);
    return Math.max(0, await took(descent, 1 + TRIAL) - once) / TRIAL;
  };
  const card = await each(gpu);
  const processor = await each(wasm);
  return { card, processor, faster: FASTER * card < processor };
}

/** The root of the mean square of what two runs differ by, relative to how far the second one moved. */
function relative(a: Float32Array, b: Float32Array, start: Float32Array): number {
  let [difference, length] = [0, 0];
  for (let i = 0; i < start.length; i++) {
    difference += (a[i] - b[i]) ** 2;
    length += (b[i] - start[i]) ** 2;
  }
  return Math.sqrt(difference / length);
}
