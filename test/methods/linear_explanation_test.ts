import { describe, expect, test } from "vitest";
import { ndarray } from "../../lib/array.ts";
import { linearExplanation, type LinearExplanationOptions } from "../../lib/methods/linear_explanation.ts";
import { loadModel } from "../../lib/model/load.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { landscape, uniforms, wavesNet } from "../nets.ts";

const tf = await ensureBackend();

/** A linear model of 4×5 pixels with known weights. */
async function linear({ units = 3, channels = 2, ...options }: {
  units?: number;
  channels?: number;
  preprocess?: object | "unit" | "tf" | "caffe";
  activation?: "softmax" | "sigmoid" | "linear";
} = {}) {
  const random = uniforms(11);
  const size = 20 * channels;
  const kernel = Float32Array.from({ length: size * units }, () => random() - 0.5);
  const net = tf.sequential({
    layers: [
      tf.layers.flatten({ inputShape: [4, 5, channels] }),
      tf.layers.dense({ name: "out", units, activation: options.activation ?? "softmax" }),
    ],
  });
  tf.tidy(() => net.getLayer("out").setWeights([tf.tensor(kernel, [size, units]), tf.zeros([units])]));
  const model = await loadModel(net, { name: "linear", preprocess: (options.preprocess ?? "unit") as "unit" });
  const image = ndarray(Float32Array.from({ length: size }, () => Math.floor(255 * random())), [4, 5, channels]);
  return { model, image, kernel, units, size };
}

describe("of a linear model", () => {
  test("the effect of a step is epsilon times the sum of its weights' magnitudes, exactly", async () => {
    const { model, image, kernel } = await linear();
    const found = await linearExplanation(model, image, { epsilon: 20, steps: 4, target: 1 });
    // The class that comes next, by the scores on paper.
    const scores = [0, 1, 2].map((k) => image.data.reduce((sum, value, i) => sum + value / 255 * kernel[3 * i + k], 0));
    const next = scores[0] > scores[2] ? 0 : 2;
    const weights = Array.from(image.data, (_, i) => kernel[3 * i + 1] - kernel[3 * i + next]);
    const norm = weights.reduce((sum, weight) => sum + Math.abs(weight), 0) / 255;
    expect(found.step).toBe(5);
    expect(found.effect).toBeCloseTo(5 * norm, 4);
    expect(found.predicted).toBeCloseTo(5 * norm, 5);
    found.slope.data.forEach((value, i) => expect(value).toBeCloseTo(weights[i] / 255, 6));
    for (const { gradient, predicted } of found.growth) expect(gradient).toBeCloseTo(predicted, 4);
    // All scores are straight lines, along both directions.
    for (const rows of Map.groupBy(found.rows, ({ direction, label }) => direction + label).values()) {
      const [first, last] = [rows[0].score, rows.at(-1)!.score];
      rows.forEach(({ score }, i) => expect(score).toBeCloseTo(first + (last - first) * i / (rows.length - 1), 4));
    }
    expect(found.rows).toHaveLength(2 * 3 * 9);
    model.dispose();
  });

  test("random signs move it by the root of the sum of squares", async () => {
    const { model, image } = await linear({ channels: 3 });
    const found = await linearExplanation(model, image, { directions: 200, epsilon: 10, steps: 1 });
    const norm2 = Math.hypot(...found.slope.data);
    const { random, gradient } = found.growth.at(-1)!;
    expect(random / (10 * norm2)).toBeGreaterThan(0.85);
    expect(random / (10 * norm2)).toBeLessThan(1.15);
    expect(gradient / random).toBeGreaterThan(4);
    model.dispose();
  });

  test.each(["tf", "caffe", { mean: 10, deviation: [-4, 2, 8], order: "bgr" }] as const)(
    "each preprocessing: %j",
    async (preprocess) => {
      const { model, image } = await linear({ channels: 3, preprocess });
      const { effect, predicted } = await linearExplanation(model, image, { epsilon: 1, steps: 1 });
      expect(effect / predicted).toBeCloseTo(1, 3);
      expect(effect).toBeGreaterThan(0);
      model.dispose();
    },
  );

  test.each(
    [
      ["binary", 1, "sigmoid"],
      ["labels", 4, "sigmoid"],
      ["numbers", 2, "linear"],
    ] as const,
  )("of the kind %s", async (kind, units, activation) => {
    const { model, image } = await linear({ units, activation });
    expect(model.output.kind).toBe(kind);
    const found = await linearExplanation(model, image, { epsilon: 1, steps: 2 });
    expect(found.effect).toBeCloseTo(found.predicted, 4);
    expect(new Set(found.rows.map(({ label }) => label)).size).toBe(kind === "binary" ? 2 : units);
    model.dispose();
  });
});

describe("of a network", () => {
  const options: Partial<LinearExplanationOptions> = { epsilon: 0.3, steps: 3, directions: 2 };

  test("rows, growth, figure and table; it repeats, and nothing is left", async () => {
    const model = await loadModel(await wavesNet(), { name: "waves", preprocess: "unit" });
    const before = tf.memory().numTensors;
    const found = await linearExplanation(model, landscape(), options);
    expect(tf.memory().numTensors).toBe(before);
    expect(await linearExplanation(model, landscape(), options)).toEqual(found);
    expect(found.rows).toHaveLength(2 * 5 * 7);
    expect(found.growth.at(-1)!.pixels).toBe(1024);
    // A small step is linear; of a few pixels it is lost in the rounding of the scores.
    const some = found.growth.find(({ pixels }) => pixels >= 100)!;
    expect(some.gradient / some.predicted).toBeGreaterThan(0.8);
    expect(some.gradient / some.predicted).toBeLessThan(1.2);
    expect(found.effect).toBeGreaterThan(3 * found.growth.at(-1)!.random);
    expect((await found.table()).height).toBe(70);
    expect(found.figure().title).toMatch(/^waves · array · linear explanation of class \d − class \d$/);
    expect(await found.figure().html()).toContain("by the number of pixels");
    model.dispose();
  });

  test("a unit of a layer is followed alone", async () => {
    const model = await loadModel(await wavesNet(), { name: "waves", preprocess: "unit" });
    const target = { layer: "conv2", channel: 3, cell: [4, 4] };
    const { rows } = await linearExplanation(model, landscape(), { ...options, target });
    expect(rows).toHaveLength(2 * 7);
    expect(rows[0].label).toContain("conv2, channel 3");
    model.dispose();
  });

  test.each<[object, RegExp]>([
    [{ epsilon: 0 }, /epsilon must be a number above 0: received 0/],
    [{ directions: 1 }, /directions must be a whole number ≥ 2: received 1/],
    [{ target: 77 }, /has classes 0 to 4: received the target 77/],
    [{ eps: 1 }, /linearExplanation has no option "eps"/],
  ])("refuses %j, and leaves nothing", async (wrong, message) => {
    const model = await loadModel(await wavesNet(), { name: "waves", preprocess: "unit" });
    const before = tf.memory().numTensors;
    await expect(linearExplanation(model, landscape(), wrong)).rejects.toThrow(message);
    expect(tf.memory().numTensors).toBe(before);
    model.dispose();
  });
});
