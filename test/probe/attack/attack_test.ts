import { afterAll, describe, expect, test } from "vitest";
import { ndarray } from "../../../lib/array.ts";
import { loadModel } from "../../../lib/model/load.ts";
import { Attacker, ATTACKS } from "../../../lib/probe/attack/attack.ts";
import { deepFool } from "../../../lib/probe/attack/deep_fool.ts";
import { added, findUniversal, projected } from "../../../lib/probe/attack/universal.ts";
import { ensureBackend } from "../../../lib/runtime/backend.ts";
import { SLOW } from "../../backends.ts";
import { long } from "../../long.ts";
import { tinyNet, uniforms, wavesNet } from "../../nets.ts";

const tf = await ensureBackend();
const before = tf.memory().numTensors;
const sum = (values: ArrayLike<number>) => Array.from(values).reduce((a, b) => a + b, 0);

/** A linear classifier of 3×4×3 pixels with known weights, by pixels of 0…255. */
async function linear(units: number, activation: "softmax" | "sigmoid" | "linear", seed = 5) {
  const random = uniforms(seed);
  const kernel = Float32Array.from({ length: 36 * units }, () => random() - 0.5);
  const net = tf.sequential({
    layers: [tf.layers.flatten({ inputShape: [3, 4, 3] }), tf.layers.dense({ name: "out", units, activation })],
  });
  tf.tidy(() => net.getLayer("out").setWeights([tf.tensor(kernel, [36, units]), tf.zeros([units])]));
  const output = activation === "linear" ? (units === 1 ? "binary" : "classes") : undefined;
  const model = await loadModel(net, { preprocess: "unit", output });
  const view = ndarray(Float32Array.from({ length: 36 }, () => 100 + Math.floor(60 * random())), [3, 4, 3]);
  const weights = (a: number, b: number) =>
    Array.from(view.data, (_, i) => kernel[units * i + a] - kernel[units * i + b]);
  const score = (pixels: ArrayLike<number>, k: number) =>
    sum(view.data.map((_, i) => pixels[i] / 255 * kernel[units * i + k]));
  return { model, view, kernel, weights, score };
}

describe("of a linear classifier", () => {
  test.each(["softmax", "linear"] as const)(
    "FGSM lowers the lead by epsilon times ‖w‖₁, exactly: %s",
    async (activation) => {
      const { model, view, weights, score } = await linear(2, activation);
      const attacker = await Attacker.of("test", model, 4);
      for (const method of ["fgsm", "iterative", "pgd"] as const) {
        const attack = { method, epsilon: 12, steps: 8, seed: 1 };
        const [pixels] = await attacker.perturb([view], [0], attack);
        const w = weights(0, 1);
        const fall = score(view.data, 0) - score(view.data, 1) - score(pixels, 0) + score(pixels, 1);
        expect(fall).toBeCloseTo(12 / 255 * sum(w.map(Math.abs)), 5);
        pixels.forEach((value, i) => expect(value - view.data[i]).toBeCloseTo(-12 * Math.sign(w[i]), 4));
      }
      attacker.dispose();
      model.dispose();
    },
  );

  test("of one number for two classes: the signs of its weights", async () => {
    const { model, view, kernel } = await linear(1, "sigmoid");
    const attacker = await Attacker.of("test", model, 4);
    for (const own of [0, 1]) {
      const [pixels] = await attacker.perturb([view], [own], { method: "fgsm", epsilon: 3, steps: 1, seed: 0 });
      pixels.forEach((value, i) => expect(value - view.data[i]).toBeCloseTo((own ? -3 : 3) * Math.sign(kernel[i]), 4));
    }
    attacker.dispose();
    model.dispose();
  });

  test("a softmax that saturates is fooled all the same: the loss is made of the scores", async () => {
    const { model, view, kernel } = await linear(2, "softmax");
    tf.tidy(() => model.network.layers[1].setWeights([tf.mul(tf.tensor(kernel, [36, 2]), 2000), tf.zeros([2])]));
    const attacker = await Attacker.of("test", model, 4);
    const [{ index, probability }] = await attacker.answers([view]);
    expect(probability).toBe(1);
    const [pixels] = await attacker.perturb([view], [index], { method: "fgsm", epsilon: 60, steps: 1, seed: 0 });
    expect((await attacker.answers([{ ...view, data: pixels }]))[0].index).toBe(1 - index);
    attacker.dispose();
    model.dispose();
  });

  test("DeepFool goes straight to the nearest border: |f| / ‖w‖₂ far", async () => {
    const { model, view, weights, score } = await linear(4, "softmax");
    const attacker = await Attacker.of("test", model, 4);
    const [{ index }] = await attacker.answers([view]);
    const distances = [0, 1, 2, 3].filter((k) => k !== index).map((k) => {
      const w = weights(index, k).map((value) => value / 255);
      return (score(view.data, index) - score(view.data, k)) / Math.hypot(...w);
    });
    const change = (await deepFool(attacker, view, view.data as Float32Array))!;
    expect(Math.hypot(...change)).toBeGreaterThan(Math.min(...distances));
    expect(Math.hypot(...change) / Math.min(...distances)).toBeCloseTo(1.02, 1);
    const moved = { ...view, data: view.data.map((value, i) => value + change[i]) };
    expect((await attacker.answers([moved]))[0].index).not.toBe(index);
    attacker.dispose();
    model.dispose();
  });
});

test("no value changes by more than epsilon or leaves 0…255: over nets, attacks and sizes", async () => {
  const random = uniforms(2);
  for (const [net, side] of [[await tinyNet(), 4], [await wavesNet(), 32]] as const) {
    for (
      const preprocess of long(SLOW ? ["caffe"] as const : ["unit", "caffe", "torch"] as const, ["caffe"] as const)
    ) {
      const model = await loadModel(net, { preprocess });
      const attacker = await Attacker.of("test", model, 3);
      const views = Array.from(
        { length: 3 },
        () =>
          ndarray(Float32Array.from({ length: side * side * 3 }, () => Math.floor(256 * random())), [side, side, 3]),
      );
      for (const method of ATTACKS) {
        for (const epsilon of [0, 0.5, 7, 300]) {
          const attack = { method, epsilon, steps: 3, seed: 4 };
          const made = await attacker.perturb(views, [0, 1, 0], attack);
          let [most, low, high] = [0, 0, 255];
          made.forEach((pixels, n) =>
            pixels.forEach((value, i) => {
              most = Math.max(most, Math.abs(value - views[n].data[i]));
              [low, high] = [Math.min(low, value), Math.max(high, value)];
            })
          );
          expect(most).toBeLessThanOrEqual(epsilon + 1e-4);
          expect([low, high]).toEqual([0, 255]);
          expect(await attacker.perturb(views, [0, 1, 0], attack)).toEqual(made);
        }
      }
      // An image's random start depends on its place alone, and not on its lot.
      const attack = { method: "pgd", epsilon: 9, steps: 1, seed: 4 } as const;
      const [, , third] = await attacker.perturb(views, [0, 1, 0], attack);
      const [alone] = await attacker.perturb([views[2]], [0], attack, 2);
      alone.forEach((value, i) => expect(Math.abs(value - third[i])).toBeLessThanOrEqual(18));
      expect(alone.filter((value, i) => Math.abs(value - third[i]) < 1e-3).length / alone.length).toBeGreaterThan(0.99);
      attacker.dispose();
    }
    net.dispose();
  }
});

describe("a universal change", () => {
  const random = uniforms(9);
  const images = Array.from({ length: 7 }, () => Float32Array.from({ length: 5 }, () => Math.floor(256 * random())));
  const weights = Float32Array.from({ length: 5 }, () => random() - 0.5);
  const score = (pixels: ArrayLike<number>) => sum(weights.map((weight, i) => weight * (pixels[i] - 128)));
  const answers = images.map((image) => score(image) > 0);
  const smallest = (values: Float32Array) => {
    const step = -1.02 * score(values) / sum(weights.map((weight) => weight * weight));
    return weights.map((weight) => step * weight);
  };

  test.each(["linf", "l2"] as const)("is that of the paper's algorithm, written out once more: %s", async (norm) => {
    const options = { norm, epsilon: 40, passes: 3, enough: 0.95 };
    const found = await findUniversal(
      images,
      (change) => Promise.resolve(images.map((image, i) => (score(added(image, change)) > 0) !== answers[i])),
      (i, values) => Promise.resolve((score(values) > 0) === answers[i]),
      (_, values) => Promise.resolve(smallest(values)),
      options,
    );
    const v = new Array(5).fill(0);
    const history: number[] = [];
    const clip = (x: number) => Math.fround(Math.max(0, Math.min(255, x)));
    for (let pass = 0; pass < 3; pass++) {
      for (let i = 0; i < 7; i++) {
        const x = Array.from(images[i], (value, at) => clip(value + v[at]));
        if ((score(x) > 0) !== answers[i]) continue;
        const more = smallest(Float32Array.from(x));
        for (let at = 0; at < 5; at++) v[at] = Math.fround(v[at] + more[at]);
        const size = Math.hypot(...v);
        for (let at = 0; at < 5; at++) {
          v[at] = norm === "linf"
            ? Math.max(-40, Math.min(40, v[at]))
            : size > 40
            ? Math.fround(v[at] * 40 / size)
            : v[at];
        }
      }
      const fooled = images.filter((image, i) =>
        (score(image.map((value, at) => clip(value + v[at]))) > 0) !== answers[i]
      );
      history.push(fooled.length / 7);
      if (history[pass] >= 0.95) break;
    }
    expect(found.history).toEqual(history);
    found.change.forEach((value, at) => expect(value).toBeCloseTo(v[at], 3));
  });

  test("is brought into its bounds", () => {
    expect([...projected(Float32Array.of(-50, 3, 7), "linf", 5)]).toEqual([-5, 3, 5]);
    expect([...projected(Float32Array.of(30, 40), "l2", 5)]).toEqual([3, 4]);
    expect([...projected(Float32Array.of(3, 4), "l2", 6)]).toEqual([3, 4]);
  });
});

test("what is no classifier is refused in clear words", async () => {
  const net = tf.sequential({ layers: [tf.layers.flatten({ inputShape: [2, 2, 1] }), tf.layers.dense({ units: 1 })] });
  const model = await loadModel(net, { name: "ages", preprocess: "unit" });
  await expect(Attacker.of("robustness", model, 4)).rejects.toThrow(
    /^robustness counts images whose class changes: the model "ages" puts out 1 number/,
  );
  model.dispose();
});

afterAll(() => expect(tf.memory().numTensors).toBe(before));
