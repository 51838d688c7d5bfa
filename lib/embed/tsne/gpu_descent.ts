/**
 * Gradient descent of t-SNE on a graphics card, by WebGPU: the steps of `descent.ts`, with repulsion over all pairs.
 *
 * Many simple sums are what a graphics card is good at, so that it needs no mesh; and how long an iteration takes does
 * not depend on the shape of the map.
 *
 * @module
 */

import { MemoryError } from "../../memory.ts";
import type { Affinities } from "./affinities.ts";
import { type Components, type DescentProgress, type DescentRun, strideOf } from "./descent.ts";
import { type Dispatch, GpuWork } from "./gpu_work.ts";

/** As in `descent.wgsl`. */
const TILE = 128;
const ROWS = 16;
const WIDE = 256;

/** How many workgroups keep a large card busy: where tiles are fewer, the points that repel are cut into slices. */
const BUSY = 2048;

/** A slow card does 10¹⁰ pairs a second: so it is busy for less than half a second. */
const PORTION = 2 ** 31;
/** What a neighbour costs, in pairs. */
const EDGE = 8;

/** How far apart uniforms stand in their buffer. */
const SLOT = 256;

/** What a descent needs to know of the points. */
export interface GpuProblem {
  readonly components: Components;
  readonly affinities: Affinities;
  /** Ends a run. */
  readonly signal?: AbortSignal;
  /**
   * How many pairs are computed between two looks at the signal. A driver takes for hung what lasts for seconds.
   * @default 2³¹
   */
  readonly portion?: number;
}

/** Student's t, with one degree of freedom less than the map has dimensions (van der Maaten 2009, §3). */
const KERNEL = {
  2: "alias Place = vec2f; const FREEDOM = 1.0; fn likeness(near: f32) -> f32 { return near; }",
  3: "alias Place = vec4f; const FREEDOM = 2.0; fn likeness(near: f32) -> f32 { return near * sqrt(near); }",
};

let source: Promise<string> | undefined;

/** The kernels, read once a process. */
function kernels(): Promise<string> {
  source ??= fetch(new URL("./descent.wgsl", import.meta.url)).then((response) => response.text());
  return source;
}

/** How the pairs of `count` points are cut. */
function cut(count: number, portion = PORTION) {
  const tiles = Math.ceil(count / TILE);
  /** How many tiles of points one dispatch repels. */
  const chunk = Math.min(tiles, Math.max(1, Math.floor(portion / (TILE * count))));
  /** How many tiles of points repel them in one slice. */
  const slice = Math.ceil(tiles / Math.min(tiles, Math.ceil(BUSY / chunk)));
  return { tiles, chunk, slice, slices: Math.ceil(tiles / slice) };
}

/** What the kernels compute on. */
interface Places {
  uniforms: GPUBuffer;
  points: GPUBuffer;
  repulsion: GPUBuffer;
  zParts: GPUBuffer;
  starts: GPUBuffer;
  neighbors: GPUBuffer;
  affinities: GPUBuffer;
  attraction: GPUBuffer;
  logParts: GPUBuffer;
  totals: GPUBuffer;
  steps: GPUBuffer;
  gains: GPUBuffer;
  /** Where the processor reads the totals and the points. */
  told: GPUBuffer;
}

/** What an iteration does, in this order. */
interface Kernels {
  repel: Dispatch[];
  attract: Dispatch;
  total: Dispatch;
  advance: { early: Dispatch; late: Dispatch };
}

/** The descent of one problem on one device, which stays the caller's. It is given back with {@linkcode end}. */
export class GpuDescent {
  readonly #device: GPUDevice;
  readonly #problem: GpuProblem;
  readonly #places: Places;
  readonly #kernels: Kernels;

  private constructor(device: GPUDevice, problem: GpuProblem, places: Places, kernels: Kernels) {
    this.#device = device;
    this.#problem = problem;
    this.#places = places;
    this.#kernels = kernels;
  }

  /**
   * Takes memory on the device and brings the affinities there.
   *
   * @throws {RangeError} if the points are more than the device can count
   * @throws {MemoryError} if they do not fit into its memory
   * @throws {Error} with the driver's words, if it does not compile the kernels
   */
  static async create(device: GPUDevice, problem: GpuProblem): Promise<GpuDescent> {
    const code = `${KERNEL[problem.components]}\n${await kernels()}`;
    check(device, problem);
    device.pushErrorScope("validation");
    device.pushErrorScope("out-of-memory");
    const places = take(device, problem);
    const full = await device.popErrorScope();
    const made = compile(device, problem, places, code);
    const invalid = await device.popErrorScope();
    if (!full && !invalid) return new GpuDescent(device, problem, places, made);
    destroy(places);
    const { count } = problem.affinities;
    throw full
      ? new MemoryError(`The memory of the graphics card does not hold t-SNE of ${count} points: ${full.message}`)
      : new Error(`The graphics driver does not take the kernels of t-SNE: ${invalid!.message}`);
  }

  /**
   * Goes down from a start; the same start gives the same map to the last bit on one device.
   *
   * @throws {Error} if the device is lost on the way, or what the signal says when it ends the work
   */
  async run(
    { start, schedule, reportEvery }: DescentRun,
    onProgress: (progress: DescentProgress) => void,
  ): Promise<void> {
    const { components, affinities: { count, entropy }, signal, portion = PORTION } = this.#problem;
    const stride = strideOf(components);
    const { uniforms, points, steps, gains, totals, told } = this.#places;
    const { repel, attract, total, advance } = this.#kernels;
    const { queue } = this.#device;
    const work = new GpuWork(this.#device, portion);
    const { exaggeration, learningRate, momentum } = schedule;
    queue.writeBuffer(uniforms, SLOT, new Float32Array([exaggeration, learningRate.early, momentum.early]));
    queue.writeBuffer(uniforms, 2 * SLOT, new Float32Array([1, learningRate.late, momentum.late]));
    queue.writeBuffer(points, 0, start as Float32Array<ArrayBuffer>);
    queue.writeBuffer(steps, 0, new Float32Array(stride * count));
    queue.writeBuffer(gains, 0, new Float32Array(stride * count).fill(1));
    for (let iteration = 0; iteration <= schedule.iterations; iteration++) {
      signal?.throwIfAborted();
      const last = iteration === schedule.iterations;
      for (const each of repel) await work.dispatch(each);
      await work.dispatch(attract);
      await work.dispatch(total);
      if (last || (iteration > 0 && iteration % reportEvery === 0)) {
        const read = await work.read([
          { from: totals, bytes: 8 },
          { from: points, bytes: 4 * stride * count },
        ], told);
        signal?.throwIfAborted();
        const [z, logs] = new Float32Array(read, 0, 2);
        onProgress({
          iteration,
          // ln q = (freedom + 1) / 2 · ln(nearness) − ln Z
          klDivergence: entropy - components / 2 * logs + Math.log(z),
          points: new Float32Array(read, 8),
        });
      }
      if (!last) await work.dispatch(iteration < schedule.early ? advance.early : advance.late);
    }
  }

  /** Gives the memory on the device back. */
  end(): void {
    destroy(this.#places);
  }
}

function destroy(places: Places): void {
  for (const buffer of Object.values(places)) buffer.destroy();
}

/** Checks that the device takes this number of points. */
function check({ limits }: GPUDevice, { components, affinities: { count, values }, portion }: GpuProblem): void {
  const most = ROWS * limits.maxComputeWorkgroupsPerDimension;
  if (count > most) {
    throw new RangeError(`This graphics card takes ${most} points at the most: received ${count}.`);
  }
  const bytes = Math.max(4 * values.length, 4 * strideOf(components) * count * cut(count, portion).slices);
  const room = Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize);
  if (bytes > room) {
    const [wanted, there] = [bytes, room].map((each) => Number((each / 1e6).toPrecision(3)));
    throw new MemoryError(
      `${count} points take arrays of ${wanted} MB, and this graphics card holds arrays of ${there} MB: take fewer ` +
        "points or a smaller perplexity.",
    );
  }
}

/** Takes the memory, and fills what no run changes. */
function take(device: GPUDevice, { components, affinities, portion }: GpuProblem): Places {
  const { count, starts, neighbors, values } = affinities;
  const { tiles, chunk, slice, slices } = cut(count, portion);
  const { STORAGE, UNIFORM, COPY_DST, COPY_SRC, MAP_READ } = GPUBufferUsage;
  const make = (size: number, usage = STORAGE | COPY_DST | COPY_SRC) => device.createBuffer({ size, usage });
  const hold = (array: Uint32Array | Float32Array, usage = STORAGE | COPY_DST) => {
    const buffer = make(array.byteLength, usage);
    device.queue.writeBuffer(buffer, 0, array as Uint32Array<ArrayBuffer>);
    return buffer;
  };
  const chunks = Math.ceil(tiles / chunk);
  const uniforms = new Uint32Array((3 + chunks) * SLOT / 4);
  uniforms.set([count, slice, slices]);
  for (let c = 0; c < chunks; c++) uniforms[(3 + c) * SLOT / 4] = c * chunk;
  const each = 4 * strideOf(components) * count;
  return {
    uniforms: hold(uniforms, UNIFORM | COPY_DST),
    points: make(each),
    repulsion: make(each * slices),
    zParts: make(4 * tiles * slices),
    starts: hold(starts),
    neighbors: hold(neighbors),
    affinities: hold(values),
    attraction: make(each),
    logParts: make(4 * Math.ceil(count / ROWS)),
    totals: make(8),
    steps: make(each),
    gains: make(each),
    told: make(8 + each, MAP_READ | COPY_DST),
  };
}

/** Makes the kernels ready to be dispatched on the places. */
function compile(
  device: GPUDevice,
  { affinities: { count, values }, portion }: GpuProblem,
  places: Places,
  code: string,
): Kernels {
  const module = device.createShaderModule({ code });
  const { tiles, chunk, slices } = cut(count, portion);
  const buffers = [
    ...[0, 1, 2].map(() => places.uniforms),
    places.points,
    places.repulsion,
    places.zParts,
    places.starts,
    places.neighbors,
    places.affinities,
    places.attraction,
    places.logParts,
    places.totals,
    places.steps,
    places.gains,
  ];
  /** A kernel; `bound` are the bindings that it names, and `slot` is where its own uniform stands. */
  const kernel = (entryPoint: string, bound: readonly number[]) => {
    const pipeline = device.createComputePipeline({ layout: "auto", compute: { module, entryPoint } });
    return (groups: Dispatch["groups"], cost: number, slot = 0): Dispatch => ({
      pipeline,
      bindings: device.createBindGroup({
        layout: pipeline.getBindGroupLayout(0),
        entries: bound.map((binding) => ({
          binding,
          resource: binding > 2
            ? { buffer: buffers[binding] }
            : { buffer: buffers[binding], offset: binding && slot * SLOT, size: 16 },
        })),
      }),
      groups,
      cost,
    });
  };
  const repel = kernel("repel", [0, 1, 3, 4, 5]);
  const advance = kernel("advance", [0, 2, 3, 4, 9, 11, 12, 13]);
  const wide = Math.ceil(count / WIDE);
  return {
    repel: Array.from({ length: Math.ceil(tiles / chunk) }, (_, c) => {
      const many = Math.min(chunk, tiles - c * chunk);
      return repel([many, slices], many * TILE * count, 3 + c);
    }),
    attract: kernel("attract", [0, 3, 6, 7, 8, 9, 10])([Math.ceil(count / ROWS)], EDGE * values.length),
    total: kernel("total", [5, 10, 11])([1], 0),
    advance: { early: advance([wide], count, 1), late: advance([wide], count, 2) },
  };
}
