/** The descent on a graphics card, or on Mesa's software Vulkan: that is slow, and as right. */

import { afterAll, describe, expect, test } from "vitest";
import type { Affinities } from "../../../lib/embed/tsne/affinities.ts";
import { type Components, type DescentProgress, type Schedule, strideOf } from "../../../lib/embed/tsne/descent.ts";
import { GpuDescent } from "../../../lib/embed/tsne/gpu_descent.ts";
import { normalStream } from "../../../lib/random.ts";
import { embed, type TsneOptions } from "../../../lib/embed/tsne/tsne.ts";
import { graphicsDevice } from "../../../lib/runtime/webgpu.ts";
import { digits, maxDifference } from "../digits.ts";
import { longTest, skipFor } from "../../long.ts";

const graphics = await graphicsDevice({ software: true }).catch((error) =>
  skipFor(`tests on a graphics device: ${error.message}`, error)
);
afterAll(() => graphics?.device.destroy());

/** The schedule of an `embed` of so many points. */
const scheduleOf = (count: number, iterations: number, rest: Partial<Schedule> = {}): Schedule => ({
  iterations,
  early: Math.min(250, iterations),
  exaggeration: 12,
  momentum: { early: 0.8, late: 0.8 },
  learningRate: { early: count / 12, late: count },
  ...rest,
});

/** Affinities as the kernels want them: rows of different lengths, filled up to a multiple of 4, some very long. */
function someAffinities(count: number, scale: number): Affinities {
  const starts = new Uint32Array(count + 1);
  for (let i = 0; i < count; i++) starts[i + 1] = starts[i] + (i % 97 === 5 ? 200 : 4 * (1 + i % 7));
  const edges = starts[count];
  const neighbors = Uint32Array.from({ length: edges }, (_, e) => (e * 7919 + 13) % count);
  const values = Float32Array.from({ length: edges }, (_, e) => e % 4 === 3 ? 0 : scale * (1 + e % 5) / edges);
  return { count, starts, neighbors, values, entropy: -3 };
}

/** A cloud of points, with the last number of three-dimensional ones 0. */
function cloud(count: number, components: Components, width: number): Float32Array {
  const normal = normalStream(7);
  const stride = strideOf(components);
  return Float32Array.from({ length: stride * count }, (_, i) => i % stride < components ? width * normal() : 0);
}

/** Z, Σ p ln(likeness) and the forces by their definitions, in double precision; likeness is Student's t. */
function byDefinition(map: Float32Array, components: Components, { count, starts, neighbors, values }: Affinities) {
  const stride = strideOf(components);
  const freedom = components - 1;
  const attraction = new Float64Array(map.length);
  const repulsion = new Float64Array(map.length);
  let z = 0;
  let logs = 0;
  const nearness = (i: number, j: number) => {
    let square = 0;
    for (let c = 0; c < components; c++) square += (map[stride * i + c] - map[stride * j + c]) ** 2;
    return 1 / (1 + square / freedom);
  };
  const likeness = (near: number) => near ** ((freedom + 1) / 2);
  const push = (forces: Float64Array, i: number, j: number, weight: number) => {
    for (let c = 0; c < components; c++) forces[stride * i + c] += weight * (map[stride * i + c] - map[stride * j + c]);
  };
  for (let i = 0; i < count; i++) {
    for (let j = 0; j < count; j++) {
      if (i === j) continue;
      const near = nearness(i, j);
      z += likeness(near);
      push(repulsion, i, j, likeness(near) * near);
    }
    for (let e = starts[i]; e < starts[i + 1]; e++) {
      const near = nearness(i, neighbors[e]);
      logs += values[e] * Math.log(likeness(near));
      push(attraction, i, neighbors[e], values[e] * near);
    }
  }
  return { z, logs, attraction, repulsion: repulsion.map((each) => each / z) };
}

/** The root of the mean square of a − b, relative to that of b. */
function relative(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [difference, size] = [0, 0];
  for (let i = 0; i < b.length; i++) {
    difference += (a[i] - b[i]) ** 2;
    size += b[i] ** 2;
  }
  return Math.sqrt(difference / size);
}

describe.skipIf(!graphics)("t-SNE on a graphics device", () => {
  // This runs where there is no device too, to collect the tests that are left out.
  const device = graphics?.device as GPUDevice;

  /** Runs a descent of its own, and gives what it told. */
  async function run(
    affinities: Affinities,
    components: Components,
    start: Float32Array,
    schedule: Schedule,
    { reportEvery = 50, signal, portion, tell }: {
      reportEvery?: number;
      signal?: AbortSignal;
      portion?: number;
      tell?: (news: DescentProgress) => void;
    } = {},
  ): Promise<DescentProgress[]> {
    const descent = await GpuDescent.create(device, { components, affinities, signal, portion });
    const told: DescentProgress[] = [];
    try {
      await descent.run({ start, schedule, reportEvery }, (news) => {
        told.push(news);
        tell?.(news);
      });
    } finally {
      descent.end();
    }
    return told;
  }

  describe.each([2, 3] as const)("in %i dimensions", (components) => {
    // A map at the start, one that opens, one of the middle and a finished one; tiles that are full and that are not.
    test.each([[1e-4, 500], [1, 640], [8, 500], [30, 2000]])("forces on a map of width %d", async (width, count) => {
      const start = cloud(count, components, width);
      for (const scale of [0, 1]) {
        const affinities = someAffinities(count, scale);
        const { z, logs, attraction, repulsion } = byDefinition(start, components, affinities);
        const gradient = attraction.map((each, i) => each - repulsion[i]);
        // From gains of 1 and no momentum the first step is −rate · 1.2 · gradient, if it is not too long.
        const rate = 1 / Math.max(...gradient.map(Math.abs));
        const schedule = scheduleOf(count, 1, { early: 0, learningRate: { early: 1, late: rate } });
        const [before] = await run(affinities, components, start, { ...schedule, iterations: 0 });
        expect(maxDifference(before.points, start)).toBe(0);
        expect(Math.abs(before.klDivergence - (-3 - logs + Math.log(z)))).toBeLessThan(1e-5);
        const [after] = await run(affinities, components, start, schedule);
        const steps = after.points.map((value, i) => (value - start[i]) / (-1.2 * rate));
        expect(relative(steps, gradient)).toBeLessThan(1e-5);
      }
    });
  });

  longTest("the same bytes each time, also in other portions", async () => {
    const affinities = someAffinities(700, 1);
    const start = cloud(700, 2, 1e-4);
    const maps: DescentProgress[][] = [];
    // A portion of one tile is less than a submission ever holds.
    for (const portion of [undefined, undefined, 128 * 700]) {
      maps.push(await run(affinities, 2, start, scheduleOf(700, 40, { early: 20 }), { reportEvery: 20, portion }));
    }
    for (const told of maps) {
      expect(told.map(({ iteration }) => iteration)).toEqual([20, 40]);
      told.forEach(({ points, klDivergence }, i) => {
        expect(maxDifference(points, maps[0][i].points)).toBe(0);
        expect(klDivergence).toBe(maps[0][i].klDivergence);
      });
    }
    expect(relative(maps[0][1].points, maps[0][0].points)).toBeGreaterThan(0.1);
  });

  test("ends when it is told to, before and while it runs, and the next one works", async () => {
    const affinities = someAffinities(200, 1);
    const start = cloud(200, 2, 1);
    const stop = new AbortController();
    const told: number[] = [];
    const tell = ({ iteration }: DescentProgress) => {
      told.push(iteration);
      if (iteration === 10) stop.abort(new Error("enough"));
    };
    const schedule = scheduleOf(200, 1e6);
    const { signal } = stop;
    await expect(run(affinities, 2, start, schedule, { reportEvery: 5, signal, tell })).rejects.toThrow("enough");
    expect(told).toEqual([5, 10]);
    await expect(run(affinities, 2, start, schedule, { signal })).rejects.toThrow("enough");
    const broken = () => {
      throw new Error("the listener failed");
    };
    await expect(run(affinities, 2, start, schedule, { tell: broken })).rejects.toThrow("the listener failed");
    expect(await run(affinities, 2, start, scheduleOf(200, 3))).toHaveLength(1);
  });

  test("a device that is lost on the way is told, and what to do", async () => {
    const { device } = await graphicsDevice({ software: true });
    const affinities = someAffinities(200, 1);
    const descent = await GpuDescent.create(device, { components: 2, affinities });
    const way = { start: cloud(200, 2, 1), schedule: scheduleOf(200, 1e6), reportEvery: 5 };
    const running = descent.run(way, ({ iteration }) => {
      if (iteration === 10) device.destroy();
    });
    await expect(running).rejects.toThrow(/The graphics card failed on the way \(.+\).+ engine: "wasm"/);
    descent.end();
  });

  test("refuses what the card does not hold", async () => {
    const few = { maxComputeWorkgroupsPerDimension: 20, maxStorageBufferBindingSize: 1e6, maxBufferSize: 1e6 };
    const small = { limits: few } as unknown as GPUDevice;
    const affinities = someAffinities(500, 1);
    await expect(GpuDescent.create(small, { components: 2, affinities })).rejects.toThrow(
      "takes 320 points at the most: received 500",
    );
    few.maxComputeWorkgroupsPerDimension = 65535;
    few.maxStorageBufferBindingSize = 1e4;
    await expect(GpuDescent.create(small, { components: 2, affinities })).rejects.toThrow(
      /500 points take arrays of 0\.\d+ MB, and this graphics card holds arrays of 0\.01 MB/,
    );
  });

  test("the device is given back, also after a failure", async () => {
    const { points } = await digits();
    const some = { data: points.data.slice(0, 64 * 60), shape: [60, 64] };
    const failures: Record<string, (device: GPUDevice) => Partial<Partial<TsneOptions>>> = {
      none: () => ({}),
      listener: () => ({
        onProgress: () => {
          throw new Error("the listener failed");
        },
      }),
      kernels: (device) => {
        device.createShaderModule = () => {
          throw new Error("the kernels failed");
        };
        return {};
      },
    };
    for (const [name, make] of Object.entries(failures)) {
      const { device } = await graphicsDevice({ software: true });
      const options: Partial<TsneOptions> = { engine: "webgpu", perplexity: 5, iterations: 50, ...make(device) };
      const done = embed(some, options, () => Promise.resolve({ device, name: "a card" }));
      if (name === "none") expect((await done).engine).toBe("webgpu");
      else await expect(done).rejects.toThrow(`the ${name} failed`);
      expect((await device.lost).reason).toBe("destroyed");
    }
  });

  longTest.each<Components>([2, 3])(
    "maps digits in %i dimensions as the processor does",
    async (components) => {
      const { points } = await digits();
      const count = 300;
      const some = { data: points.data.slice(0, 64 * count), shape: [count, 64] };
      const settled: number[] = [];
      // Single maps differ by 2 %: where a cluster goes after the exaggeration hangs on the last bit.
      const seeds = [0, 1, 2];
      const mean = { webgpu: 0, wasm: 0 };
      for (const seed of seeds) {
        for (const engine of ["webgpu", "wasm"] as const) {
          const told: number[] = [];
          const map = await embed(some, {
            components,
            seed,
            engine,
            iterations: 450,
            onProgress: (iteration, divergence, { shape }) => {
              told.push(iteration);
              expect(shape).toEqual([count, components]);
              if (iteration === 250) settled.push(divergence);
            },
          }, graphicsDevice);
          expect(map.engine).toBe(engine);
          expect(map.engineReason).toBe("It was asked for.");
          expect(map.points.shape).toEqual([count, components]);
          expect(told).toEqual([50, 100, 150, 200, 250, 300, 350, 400, 450]);
          for (let c = 0; c < components; c++) {
            let middle = 0;
            for (let i = c; i < map.points.data.length; i += components) middle += map.points.data[i] / count;
            expect(Math.abs(middle)).toBeLessThan(1e-4);
          }
          mean[engine] += map.klDivergence / seeds.length;
        }
      }
      for (const divergence of settled) expect(Math.abs(divergence / settled[0] - 1)).toBeLessThan(1e-3);
      expect(Math.abs(mean.webgpu / mean.wasm - 1)).toBeLessThan(0.05);
    },
  );
});
