import { expect, test } from "vitest";
import { patternOf } from "../../lib/methods/shared/patterns.ts";
import { predict } from "../../lib/methods/predict.ts";
import { loadModel } from "../../lib/model/load.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { landscape, wavesNet } from "../nets.ts";

const tf = await ensureBackend();
const asked = { encoding: "cppn", steps: 40, seed: 1, batchSize: 16 } as const;

test.each(["noise", "evolution"] as const)(
  "%s: more than .99 for a picture of nothing, of whole numbers",
  async (method) => {
    const model = await loadModel(await wavesNet(), { preprocess: { deviation: 30 } });
    const before = tf.memory().numTensors;
    const view = await model.view(landscape());
    const { pixels } = await patternOf(model, view, { ...asked, method, index: 1 });
    expect(tf.memory().numTensors).toBe(before);
    const [{ index, probability }] = (await predict(model, { data: pixels, shape: [32, 32, 3] })).rows;
    expect([index, probability! > 0.99]).toEqual([1, true]);
    expect(pixels.every((value) => Number.isInteger(value) && value >= 0 && value <= 255)).toBe(true);
    expect((await patternOf(model, view, { ...asked, method, index: 1 })).pixels).toEqual(pixels);
    model.dispose();
  },
);

test("numbers are refused in clear words", async () => {
  const net = tf.sequential({ layers: [tf.layers.flatten({ inputShape: [2, 2, 1] }), tf.layers.dense({ units: 1 })] });
  const model = await loadModel(net, { name: "ages", preprocess: "unit" });
  const view = { data: new Float32Array(4), shape: [2, 2, 1] };
  await expect(patternOf(model, view, { ...asked, method: "noise" })).rejects.toThrow(
    /"noise" makes what a model is sure of: "ages" puts out 1 number/,
  );
  model.dispose();
});
