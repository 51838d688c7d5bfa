import { describe, expect, test } from "vitest";
import { ensureBackend } from "../../../lib/runtime/backend.ts";
import { loadModel } from "../../../lib/model/load.ts";
import { adversarial, type AdversarialTraining } from "../../../lib/probe/training/adversarial.ts";
import { runTraining } from "../../../lib/probe/training/train.ts";
import type { TrainingOptions } from "../../../lib/probe/training/options.ts";
import { uniforms } from "../../nets.ts";
import { datasetOf, maxDifference, stripes, stripesNet } from "./toys.ts";

const tf = await ensureBackend();
const base = { optimizer: "adam", learningRate: 0.02, epochs: 3, batchSize: 8, validation: 0.25 } as const;
const adversarialTraining = { epsilon: 20, alpha: 0.5 };

/** A linear classifier of 2×3 pixels in two classes. */
function linear() {
  const random = uniforms(4);
  const net = tf.sequential({
    layers: [
      tf.layers.flatten({ inputShape: [2, 3, 1] }),
      tf.layers.dense({ name: "out", units: 2, activation: "softmax" }),
    ],
  });
  const kernel = Float32Array.from({ length: 12 }, () => random() - 0.5);
  tf.tidy(() => net.getLayer("out").setWeights([tf.tensor(kernel, [6, 2]), tf.zeros([2])]));
  return { net, kernel };
}

describe("the step is that of Goodfellow's formula", () => {
  const random = uniforms(7);
  const images = Array.from({ length: 5 }, (_, i) => ({
    pixels: Float32Array.from({ length: 6 }, () => Math.floor(256 * random())),
    shape: [2, 3, 1] as [number, number, number],
    label: ["a", "b"][i % 2],
  }));

  test.each([0, 0.3, 1])("alpha %d: a linear classifier by loops over plain numbers", async (alpha) => {
    const { net, kernel } = linear();
    const [epsilon, rate, epochs] = [30, 0.4, 4];
    // Each weight moves against the mean of (p − y)·x, over the images as they are and as they are changed.
    const weights = Float64Array.from(kernel);
    const biases = new Float64Array(2);
    const errorsOf = (x: number[], y: number) => {
      const z = [0, 1].map((k) => x.reduce((sum, value, i) => sum + value * weights[2 * i + k], biases[k]));
      const p = 1 / (1 + Math.exp(z[0] - z[1]));
      return [1 - p - Number(y === 0), p - Number(y === 1)];
    };
    for (let epoch = 0; epoch < epochs; epoch++) {
      const toWeights = new Float64Array(12);
      const toBiases = new Float64Array(2);
      for (const { pixels, label } of images) {
        const y = label === "a" ? 0 : 1;
        const x = Array.from(pixels, (value) => value / 255);
        const plain = errorsOf(x, y);
        const moved = x.map((value, i) => {
          const slope = plain[0] * weights[2 * i] + plain[1] * weights[2 * i + 1];
          return Math.min(1, Math.max(0, value + epsilon / 255 * Math.sign(slope)));
        });
        for (const [share, at] of [[alpha, x], [1 - alpha, moved]] as const) {
          errorsOf(at, y).forEach((error, k) => {
            at.forEach((value, i) => toWeights[2 * i + k] += share * error * value / images.length);
            toBiases[k] += share * error / images.length;
          });
        }
      }
      weights.forEach((_, i) => weights[i] -= rate * toWeights[i]);
      biases.forEach((_, k) => biases[k] -= rate * toBiases[k]);
    }
    const model = await loadModel(net, { preprocess: "unit", labels: ["a", "b"] });
    await runTraining(model, datasetOf(images, ["a", "b"]), {
      adversarialTraining: { epsilon, alpha },
      optimizer: { kind: "sgd", momentum: 0 },
      learningRate: rate,
      epochs,
      batchSize: 5,
      validation: 0,
    });
    const [learned, bias] = net.getLayer("out").getWeights();
    expect(maxDifference(await learned.data(), weights)).toBeLessThan(1e-6);
    expect(maxDifference(await bias.data(), biases)).toBeLessThan(1e-6);
    model.dispose();
  });
});

describe("changed images", () => {
  const [lossOf, key] = [(x: unknown) => tf.mean(tf.square(x as never)), [1, 2]];
  const changedOf = async (steps: number, preprocess: Parameters<typeof loadModel>[1]) => {
    const model = await loadModel(stripesNet(tf), preprocess);
    const before = tf.memory().numTensors;
    const random = uniforms(steps);
    const pixels = Float32Array.from({ length: 2 * 8 * 8 * 3 }, () => Math.floor(256 * random()));
    const { mean, deviation } = model.preprocess;
    const at = (values: readonly number[], i: number) => values[values.length === 1 ? 0 : i % 3];
    const x = tf.tensor(pixels.map((value, i) => (value - at(mean, i)) / at(deviation, i)), [2, 8, 8, 3]);
    const made = adversarial(tf, lossOf as never, x, model, { epsilon: 12, alpha: 0.5, steps }, key);
    const values = (await made.data()).map((value, i) => value * at(deviation, i) + at(mean, i));
    tf.dispose([x, made]);
    expect(tf.memory().numTensors).toBe(before);
    model.dispose();
    return { pixels, values };
  };

  test.each([1, 4])("stay within epsilon and within 0…255, of each preprocessing: %d steps", async (steps) => {
    for (const preprocess of ["none", "unit", "tf", "torch", { mean: 255, deviation: -255 }] as const) {
      const { pixels, values } = await changedOf(steps, { preprocess });
      let most = 0;
      values.forEach((value, i) => {
        most = Math.max(most, Math.abs(value - pixels[i]));
        expect(value).toBeGreaterThan(-1e-3);
        expect(value).toBeLessThan(255.001);
      });
      expect(most).toBeLessThan(12.001);
      expect(most).toBeGreaterThan(11.9);
    }
  });

  test("nothing is left after an error", async () => {
    const model = await loadModel(stripesNet(tf), { preprocess: "unit" });
    const before = tf.memory().numTensors;
    const x = tf.zeros([1, 8, 8, 3]);
    const fails = () => {
      throw new Error("no loss");
    };
    expect(() => adversarial(tf, fails, x, model, { epsilon: 1, alpha: 1, steps: 1 }, key)).toThrow("no loss");
    x.dispose();
    expect(tf.memory().numTensors).toBe(before);
    model.dispose();
  });
});

describe("a run", () => {
  const run = async (options: TrainingOptions = {}) => {
    const model = await loadModel(stripesNet(tf), { preprocess: "unit", name: "net" });
    const before = tf.memory().numTensors;
    const history = await runTraining(model, stripes(24), { ...base, adversarialTraining, ...options });
    expect(tf.memory().numTensors).toBe(before);
    model.dispose();
    return history.snapshots.at(-1)!.weights;
  };
  const same = (a: Awaited<ReturnType<typeof run>>, b: typeof a) =>
    Object.keys(a).every((name) => maxDifference(a[name].data, b[name].data) === 0);

  test("repeats with its seed, and is another with other numbers", async () => {
    for (const steps of [1, 2]) {
      const own = { adversarialTraining: { ...adversarialTraining, steps }, epochs: 2 };
      const first = await run(own);
      expect(same(first, await run(own))).toBe(true);
      expect(same(first, await run({ ...own, adversarialTraining: { ...own.adversarialTraining, epsilon: 21 } }))).toBe(
        false,
      );
    }
  });

  test("is taken up again from its checkpoint, and by no other training", async () => {
    const folder = await Deno.makeTempDir();
    const checkpoint = `${folder}/run`;
    await run({ checkpoint, epochs: 1 });
    expect(same(await run({ checkpoint }), await run())).toBe(true);
    await expect(run({ checkpoint, adversarialTraining: { ...adversarialTraining, alpha: 0.4 } })).rejects.toThrow(
      /differs in adversarialTraining, alpha \(0.5 there, 0.4 here\)/,
    );
    await expect(run({ checkpoint, adversarialTraining: undefined })).rejects.toThrow(/adversarialTraining/);
    await Deno.remove(folder, { recursive: true });
  });

  test.each<[unknown, RegExp]>([
    [8, /adversarialTraining must be an object, as { epsilon: 8, alpha: 0.5 }: received 8/],
    [{ epsilon: 0 }, /epsilon must be a number above 0: received 0/],
    [{ alpha: 2 }, /alpha must be a number from 0 to 1: received 2/],
    [{ eps: 2 }, /adversarialTraining has no option "eps". .*epsilon/],
  ])("refuses %j", async (adversarialTraining, message) => {
    await expect(run({ adversarialTraining: adversarialTraining as AdversarialTraining })).rejects.toThrow(message);
  });

  test("refuses what is no image", async () => {
    const net = tf.sequential({ layers: [tf.layers.dense({ inputShape: [4], units: 2, activation: "softmax" })] });
    const model = await loadModel(net, { labels: ["a", "b"], preprocess: "none" });
    const set = {
      name: "vectors",
      size: 4,
      labels: ["a", "b"],
      async *[Symbol.asyncIterator]() {
        for (let i = 0; i < 4; i++) {
          yield { id: `${i}`, image: { data: Float32Array.of(1, 2, 3, i), shape: [4] }, label: "ab"[i % 2] };
        }
      },
    };
    await expect(runTraining(model, set as never, { adversarialTraining, epochs: 1 })).rejects.toThrow(
      /adversarialTraining changes pixels of 0…255, \[height, width, channels\]: the model .* input of shape \[4\]/,
    );
    model.dispose();
  });
});
