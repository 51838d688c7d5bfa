import { expect, test } from "vitest";
import { patternOf } from "../../lib/methods/shared/patterns.ts";
import { fool } from "../../lib/methods/fool.ts";
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

test("fool gives it in the place of the image, with what is said of where it began", async () => {
  const model = await loadModel(await wavesNet(), { preprocess: { deviation: 30 } });
  const before = tf.memory().numTensors;
  const found = await fool(model, landscape(), { method: "noise", target: 1, seed: 1 });
  expect(tf.memory().numTensors).toBe(before);
  expect(found.after).toMatchObject({ label: "class 1" });
  expect(found.after.probability).toBeGreaterThan(0.99);
  expect(found.before.label).not.toBe("class 1");
  expect(found.rows[0]).toMatchObject({ as: "8 bits", fooled: true });
  expect(found.figure().title).toContain("noise: ");
  expect(found.figure().caption).toContain("From noise by the gradient, towards class 1, to 99 %.");
  const bred = await fool(model, landscape(), { method: "evolution", encoding: "direct", target: 1, steps: 1 });
  expect(bred.figure().caption).toContain("Evolution of pixels, towards class 1, to 99 %.");
  const target = { layer: "conv1", channel: 0, cell: [1, 1] };
  await expect(fool(model, landscape(), { method: "evolution", target })).rejects.toThrow(
    /"evolution" makes what a model is sure of, a class or a label: received the target conv1, channel 0/,
  );
  expect(tf.memory().numTensors).toBe(before);
  model.dispose();
});

test("numbers are refused in clear words", async () => {
  const net = tf.sequential({ layers: [tf.layers.flatten({ inputShape: [2, 2, 1] }), tf.layers.dense({ units: 1 })] });
  const model = await loadModel(net, { name: "ages", preprocess: "unit" });
  const view = { data: new Float32Array(4), shape: [2, 2, 1] };
  await expect(patternOf(model, view, { ...asked, method: "noise" })).rejects.toThrow(
    /"noise" makes what a model is sure of: "ages" puts out 1 number/,
  );
  model.dispose();
});
