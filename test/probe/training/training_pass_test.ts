/** One pass in training: dropout's share and scale, its stream, and the loss against a naive one. */

import type { Tensor, Tensor2D } from "@tensorflow/tfjs";
import { describe, expect, test } from "vitest";
import { loadModel } from "../../../lib/model/load.ts";
import { crossEntropy, rightOnes, trainingPass } from "../../../lib/probe/training/training_pass.ts";
import { ensureBackend } from "../../../lib/runtime/backend.ts";
import { uniforms } from "../../nets.ts";
import { maxDifference } from "./toys.ts";

const tf = await ensureBackend();

/** Dropout over ones, seen through a last layer that hands on: a softmax without weights. */
async function dropped(rate: number, key: number[], noiseShape?: number[]): Promise<Float32Array> {
  const net = tf.sequential({
    layers: [tf.layers.dropout({ inputShape: [500], rate, noiseShape }), tf.layers.softmax({})],
  });
  const x = tf.ones([20, 500]);
  const model = await loadModel(net);
  const y = tf.tidy(() => trainingPass(tf, model, model.output).run([x], key, []));
  const values = await y.data() as Float32Array;
  tf.dispose([x, y]);
  return values;
}

describe("dropout", () => {
  test.each([0.1, 0.5, 0.9])("of %d drops that share, and keeps the mean", async (rate) => {
    const values = await dropped(rate, [1, 2]);
    const kept = values.filter((value) => value !== 0);
    expect(kept.every((value) => value === Math.fround(1 / (1 - rate)))).toBe(true);
    // Within four standard deviations of 10,000 draws.
    expect(Math.abs(kept.length / values.length - (1 - rate))).toBeLessThan(4 * Math.sqrt(rate * (1 - rate) / 1e4));
  });

  test("depends on its key alone", async () => {
    const [a, b, c] = [await dropped(0.5, [1, 2]), await dropped(0.5, [1, 2]), await dropped(0.5, [1, 3])];
    expect(maxDifference(a, b)).toBe(0);
    const equal = a.filter((value, i) => value === c[i]).length / a.length;
    expect(Math.abs(equal - 0.5)).toBeLessThan(0.03);
  });

  test("drops whole columns where its noiseShape says so", async () => {
    const values = await dropped(0.5, [1], [1, 500]);
    for (let row = 1; row < 20; row++) {
      expect(maxDifference(values.subarray(row * 500, (row + 1) * 500), values.subarray(0, 500))).toBe(0);
    }
  });

  test("of 0 hands its input on", async () => {
    expect((await dropped(0, [1])).every((value) => value === 1)).toBe(true);
  });
});

describe("the loss", () => {
  const random = uniforms(2);
  const logits = Array.from({ length: 12 }, () => 8 * random() - 4);
  const classes = Int32Array.of(2, 0, 1, 1);
  const value = async (tensor: Tensor) => {
    const [number] = await tensor.data();
    tensor.dispose();
    return number;
  };
  const softmax = (row: number[]) => {
    const sum = row.reduce((a, b) => a + Math.exp(b), 0);
    return row.map((b) => Math.exp(b) / sum);
  };

  test.each([0, 0.2])("of several classes with smoothing %d", async (smoothing) => {
    let wanted = 0;
    classes.forEach((right, i) => {
      softmax(logits.slice(3 * i, 3 * i + 3)).forEach((p, c) => {
        wanted -= ((c === right ? 1 - smoothing : 0) + smoothing / 3) * Math.log(p) / 4;
      });
    });
    const given = tf.tensor2d(logits, [4, 3]);
    expect(await value(tf.tidy(() => crossEntropy(tf, "softmax", given, classes, smoothing)))).toBeCloseTo(
      wanted,
      5,
    );
    given.dispose();
  });

  test.each([0, 0.2])("of one unit with smoothing %d", async (smoothing) => {
    const two = Int32Array.of(1, 0, 1, 0);
    let wanted = 0;
    two.forEach((right, i) => {
      const p = 1 / (1 + Math.exp(-logits[i]));
      const target = right * (1 - smoothing) + smoothing / 2;
      wanted -= (target * Math.log(p) + (1 - target) * Math.log(1 - p)) / 4;
    });
    const given = tf.tensor2d(logits.slice(0, 4), [4, 1]);
    expect(await value(tf.tidy(() => crossEntropy(tf, "sigmoid", given, two, smoothing)))).toBeCloseTo(
      wanted,
      5,
    );
    given.dispose();
  });

  test("stays finite where the probability of the right class rounds to 0", async () => {
    const far = tf.tensor2d([200, -200, 0], [1, 3]);
    const loss = tf.tidy(() => crossEntropy(tf, "softmax", far, Int32Array.of(1)));
    expect(await value(loss)).toBeCloseTo(400, 2);
    far.dispose();
  });

  test("right ones are counted", async () => {
    const given = tf.tensor2d([1, 5, 2, 9, 0, 1, 0, 0, 3, 4, 1, 2], [4, 3]);
    expect(await value(tf.tidy(() => rightOnes(tf, given, Int32Array.of(1, 0, 2, 1))))).toBe(3);
    const one = tf.tensor2d([2, -1, 3, -4], [4, 1]) as Tensor2D;
    expect(await value(tf.tidy(() => rightOnes(tf, one, Int32Array.of(1, 1, 1, 0))))).toBe(3);
    tf.dispose([given, one]);
  });
});
