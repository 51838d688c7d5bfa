import { expect, test } from "vitest";
import { ndarray } from "../../../lib/array.ts";
import { loadModel } from "../../../lib/model/load.ts";
import { noiseTo } from "../../../lib/probe/attack/noise.ts";
import { resolveOutput } from "../../../lib/probe/output_target.ts";
import { ensureBackend } from "../../../lib/runtime/backend.ts";
import { wavesNet } from "../../nets.ts";

const tf = await ensureBackend();
const like = ndarray(new Float32Array(32 * 32 * 3), [32, 32, 3]);

test.each(["unit", "caffe"] as const)(
  "noise becomes what the model is sure of, as it can be saved: %s",
  async (preprocess) => {
    const model = await loadModel(await wavesNet(), {
      preprocess: preprocess === "unit" ? { deviation: 60 } : preprocess,
    });
    const before = tf.memory().numTensors;
    const target = resolveOutput(model, 1);
    const { start, pixels, history } = await noiseTo(model, like, target, { seed: 2 });
    expect(tf.memory().numTensors).toBe(before);
    expect(history[0]).toBeLessThan(0.9);
    expect(history.at(-1)).toBeGreaterThan(0.99);
    for (const value of [...start, ...pixels]) expect(Number.isInteger(value) && value >= 0 && value <= 255).toBe(true);
    // Each step moves each value by the rate, or to an end.
    expect(Math.max(...pixels.map((value, i) => Math.abs(value - start[i])))).toBeLessThanOrEqual(
      2 * (history.length - 1),
    );
    expect(await noiseTo(model, like, target, { seed: 2 })).toEqual({ start, pixels, history });
    expect((await noiseTo(model, like, target, { seed: 3, steps: 1 })).start).not.toEqual(start);
    model.dispose();
  },
);

test("it ends at a signal, and nothing is left", async () => {
  const model = await loadModel(await wavesNet(), { preprocess: "unit" });
  const before = tf.memory().numTensors;
  const signal = AbortSignal.abort(new Error("enough"));
  await expect(noiseTo(model, like, resolveOutput(model, 0), { signal })).rejects.toThrow("enough");
  expect(tf.memory().numTensors).toBe(before);
  model.dispose();
});
