import { describe, expect, test } from "vitest";
import type { NdArrayLike } from "../../lib/array.ts";
import { affinitiesOf } from "../../lib/embed/tsne/affinities.ts";
import { BINARY, type Kernels } from "../../lib/embed/kernels/kernels.ts";
import { WorkerGroup } from "../../lib/workers/group.ts";
import type { Layout } from "../../lib/workers/layout.ts";
import { nearestIn } from "../../lib/embed/neighbors.ts";
import { startOf } from "../../lib/embed/tsne/tsne.ts";
import { WasmDescent } from "../../lib/embed/tsne/wasm_descent.ts";
import { uniforms } from "../nets.ts";

function cloud(count: number, dimensions: number): NdArrayLike {
  const uniform = uniforms(1);
  return { data: Float32Array.from({ length: count * dimensions }, uniform), shape: [count, dimensions] };
}

/** A group whose memory can be watched. */
class Watched extends WorkerGroup<Kernels> {
  #buffer?: SharedArrayBuffer;

  override async memory(layout: Layout): Promise<SharedArrayBuffer> {
    return this.#buffer = await super.memory(layout);
  }

  /** Whether anybody writes to the memory during some milliseconds. */
  async changes(ms: number): Promise<boolean> {
    const now = new Uint32Array(this.#buffer!);
    const before = now.slice();
    await new Promise((done) => setTimeout(done, ms));
    return now.some((value, i) => value !== before[i]);
  }

  /** Whether somebody writes before long. On a busy machine the Workers may not have their turn for a while. */
  async stirs(): Promise<boolean> {
    for (let tries = 0; tries < 200; tries++) if (await this.changes(50)) return true;
    return false;
  }

  /** Whether all is still before long. */
  async rests(): Promise<boolean> {
    for (let tries = 0; tries < 200; tries++) if (!await this.changes(150)) return true;
    return false;
  }
}

/** A descent that lasts for days. */
const endless = (points: NdArrayLike) => ({
  start: startOf(points, 0),
  schedule: {
    iterations: 1e9,
    early: 0,
    exaggeration: 1,
    momentum: { early: 0.8, late: 0.8 },
    learningRate: { early: 100, late: 100 },
  },
  reportEvery: 5,
});

describe("Workers", () => {
  for (const threads of [1, 2, 3]) {
    test(`${threads} of them compute no more once a descent is ended, by all pairs or by a mesh`, async () => {
      for (const [count, exact] of [[200, true], [600, false]] as const) {
        const points = cloud(count, 3);
        const stop = new AbortController();
        const group = new Watched({ binary: BINARY, threads, signal: stop.signal });
        const affinities = affinitiesOf(await nearestIn(group, points, 30, {}), 10);
        const descent = await WasmDescent.create(group, { components: 2, affinities, exact });
        const running = descent.run(endless(points), ({ iteration }) => {
          if (iteration === 20) stop.abort(new Error("enough"));
        });
        await expect(running).rejects.toThrow("enough");
        // Nobody has ended the Workers so far.
        expect(await group.stirs()).toBe(true);
        group.end();
        expect(await group.rests()).toBe(true);
      }
    });
  }

  test("search no more once a search is ended", async () => {
    const points = cloud(20_000, 256);
    const stop = new AbortController();
    const group = new Watched({ binary: BINARY, threads: 2, signal: stop.signal });
    const searching = nearestIn(group, points, 10, { exact: true, onProgress: () => stop.abort(new Error("enough")) });
    await expect(searching).rejects.toThrow("enough");
    expect(await group.stirs()).toBe(true);
    group.end();
    expect(await group.rests()).toBe(true);
  });
});
