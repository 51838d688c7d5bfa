import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ndarray } from "../../lib/array.ts";
import { loadModel } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import type { Batch } from "../../lib/probe/batches.ts";
import { forward, item, type Made, runBatches } from "../../lib/probe/forward.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { tinyNet } from "../nets.ts";

let model: Model;
beforeAll(async () => {
  model = await loadModel(await tinyNet(), { preprocess: "none", name: "tiny" });
});
afterAll(() => model.dispose());

const input = (seed: number) => ndarray(Array.from({ length: 48 }, (_, i) => (i * seed) % 7), [4, 4, 3]);

describe("forward", () => {
  test("gives the same whatever the batch size", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 12 }), async (count, batchSize) => {
        const inputs = Array.from({ length: count }, (_, i) => input(i + 1));
        const [pool, out] = await forward(model, inputs, ["pool", "out"], { batchSize });
        expect(pool.shape).toEqual([count, 2, 2, 2]);
        expect(out.shape).toEqual([count, 2]);
        for (const [i, single] of inputs.entries()) {
          const [alone] = await forward(model, [single], ["out"]);
          // Native TensorFlow sums in another order when the batch is larger.
          alone.data.forEach((value, k) => expect(item(out, i).data[k]).toBeCloseTo(value, 5));
        }
      }),
      { numRuns: 20, seed: 7 },
    );
  });

  test("reports progress, stops between batches, and leaves no tensor behind", async () => {
    const tf = await ensureBackend();
    const before = tf.memory().numTensors;
    const seen: number[] = [];
    const stop = new AbortController();
    const inputs = [1, 2, 3, 4, 5].map(input);
    const run = forward(model, inputs, ["out"], {
      batchSize: 2,
      signal: stop.signal,
      onProgress: (done, total) => {
        expect(total).toBe(5);
        seen.push(done);
        if (done === 4) stop.abort();
      },
    });
    await expect(run).rejects.toThrow(/abort/i);
    expect(seen).toEqual([2, 4]);
    expect(tf.memory().numTensors).toBe(before);
  });

  test("lets timers run while it computes, so that a signal is heard", async () => {
    const tf = await ensureBackend();
    const layers = Array.from(
      { length: 40 },
      (_, i) =>
        tf.layers.conv2d({ name: `c${i}`, inputShape: [12, 12, 8], filters: 8, kernelSize: 5, padding: "same" }),
    );
    const deep = await loadModel(tf.sequential({ layers }), { preprocess: "none" });
    const inputs = Array.from({ length: 64 }, () => ndarray(new Float32Array(12 * 12 * 8), [12, 12, 8]));
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(new Error("enough")), 1);
    let done = 0;
    const run = forward(deep, inputs, ["c39"], { batchSize: 4, signal: stop.signal, onProgress: () => done++ });
    await expect(run).rejects.toThrow("enough");
    clearTimeout(timer);
    expect(done).toBeLessThan(16);
    deep.dispose();
  });

  test("puts dropout and batch normalisation into inference", async () => {
    const tf = await ensureBackend();
    const net = tf.sequential({
      layers: [
        tf.layers.batchNormalization({ inputShape: [1, 1, 3], epsilon: 0 }),
        tf.layers.dropout({ name: "last", rate: 0.9 }),
      ],
    });
    tf.tidy(() =>
      net.layers[0].setWeights([tf.ones([3]), tf.zeros([3]), tf.tensor1d([1, 2, 3]), tf.tensor1d([4, 4, 4])])
    );
    const normed = await loadModel(net, { preprocess: "none" });
    const [output] = await forward(normed, [ndarray([1, 4, 9], [1, 1, 3])], ["last"]);
    expect(Array.from(output.data)).toEqual([0, 1, 3]);
    normed.dispose();
  });

  test("gives each batch's memory back at once, but not what it hands over", async () => {
    const tf = await ensureBackend();
    const pixels = tf.input({ shape: [4], name: "pixels" });
    const out = tf.layers.dense({ units: 1, name: "out" }).apply(pixels) as typeof pixels;
    const network = tf.model({ inputs: pixels, outputs: out });
    const run = async (layers: string[]) => {
      const batches = [1, 2].map((i): Batch => ({ data: Float32Array.of(i, 2, 3, 4), shape: [1, 4] }));
      const made: Made[] = [];
      let at = 0;
      await runBatches(tf, network, { layers, fold: false }, async () => await batches[at++] ?? null, (one) => {
        made.push(one);
      });
      return batches.map(({ data }, i) => ({ data, outputs: made[i] as { data: Float32Array }[] }));
    };
    for (const { data, outputs: [{ data: found }] } of await run(["out"])) {
      expect([data.length, found.length]).toEqual([0, 1]);
    }
    // Where the input itself is handed over in its own memory, that stays.
    for (const [i, { data, outputs: [{ data: found }] }] of (await run(["pixels", "out"])).entries()) {
      expect(Array.from(found)).toEqual([i + 1, 2, 3, 4]);
      expect(data.length).toBe(data.buffer === found.buffer ? 4 : 0);
    }
    network.dispose();
  });

  test("takes nested models and layers that are used twice", async () => {
    const tf = await ensureBackend();
    const inner = tf.sequential({
      name: "inner",
      layers: [tf.layers.conv2d({ inputShape: [4, 4, 3], filters: 3, kernelSize: 1, kernelInitializer: "ones" })],
    });
    const a = tf.input({ shape: [4, 4, 3] });
    const once = inner.apply(a);
    const twice = inner.apply(once);
    const net = tf.model({ inputs: a, outputs: twice as typeof a });
    const nested = await loadModel(net, { preprocess: "none" });
    const [output] = await forward(nested, [ndarray(new Float32Array(48).fill(1), [4, 4, 3])], ["inner"]);
    // The output of its first use: three ones summed once.
    expect(new Set(output.data)).toEqual(new Set([3]));
    nested.dispose();
  });

  test("refuses what it cannot run", async () => {
    await expect(forward(model, [], ["out"])).rejects.toThrow("There is no input");
    await expect(forward(model, [input(1)], ["nope"])).rejects.toThrow('There is no layer "nope" in model "tiny"');
    await expect(forward(model, [input(1)], ["out"], { batchSize: 0 })).rejects.toThrow("batchSize must be");
    await expect(forward(model, [input(1), ndarray([1, 2, 3], [1, 1, 3])], ["out"])).rejects.toThrow("share one shape");
  });
});
