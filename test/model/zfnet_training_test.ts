import { describe, expect, test } from "vitest";
import type { Dataset } from "../../lib/data/dataset.ts";
import { Image } from "../../lib/data/image.ts";
import { smallZfnet, zfnet, zfnetRecipe } from "../../lib/model/architectures/zfnet.ts";
import type { TrainingOptions } from "../../lib/probe/training/options.ts";
import { runTraining } from "../../lib/probe/training/train.ts";
import { namedWeights } from "../../lib/model/formats/named_weights.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { uniforms } from "../nets.ts";
import { longTest } from "../long.ts";

const labels = ["red", "blue"];

/** Noise with a cast of red or blue. */
function casts(count: number, side: number): Dataset {
  return {
    name: "colour casts",
    size: count,
    labels,
    async *[Symbol.asyncIterator]() {
      const random = uniforms(6);
      for (let i = 0; i < count; i++) {
        const data = new Float32Array(side * side * 3);
        for (let at = 0; at < data.length; at++) data[at] = 150 * random() + (at % 3 === 2 * (i % 2) ? 100 : 0);
        const image = new Image({ data, shape: [side, side, 3] }, { name: String(i), source: "a test" });
        yield await Promise.resolve({ id: String(i), image, label: labels[i % 2] });
      }
    },
  };
}

const recipe: TrainingOptions = zfnetRecipe;

describe("ZFNet learns", () => {
  longTest("at full size: one real step on a batch of 224×224 moves every layer", async () => {
    const tf = await ensureBackend();
    const before = tf.memory().numTensors;
    const model = await zfnet({ labels });
    const weights = namedWeights(model.network);
    const some = async () => {
      const all: Record<string, Float32Array> = {};
      for (const [name, variable] of weights) {
        const part = tf.tidy(() => tf.slice(tf.reshape(variable, [-1]), 0, Math.min(2000, variable.size)));
        all[name] = (await part.data() as Float32Array).slice();
        part.dispose();
      }
      return all;
    };
    const start = await some();
    const { rows } = await runTraining(model, casts(2, 224), {
      ...recipe,
      batchSize: 2,
      epochs: 1,
      validation: 0,
      schedule: "constant",
      snapshots: [],
    });
    const end = await some();
    // Two classes, and an untrained network that prefers none.
    expect(rows[0].loss).toBeCloseTo(Math.LN2, 1);
    for (const name of weights.keys()) {
      const change = end[name].reduce((most, value, i) => Math.max(most, Math.abs(value - start[name][i])), 0);
      expect(change, name).toBeGreaterThan(0);
      expect(change, name).toBeLessThan(1);
    }
    model.dispose();
    expect(tf.memory().numTensors).toBe(before);
  }, 300_000);

  test("scaled down: tells two colours apart after a few steps", async () => {
    const model = await smallZfnet({ labels, weights: "he", seed: 1 });
    const { rows } = await runTraining(model, casts(96, 32), {
      ...recipe,
      batchSize: 16,
      epochs: 8,
      validation: casts(20, 32),
      seed: 1,
      snapshots: [],
    });
    expect(rows.at(-1)!.validationAccuracy).toBe(1);
    model.dispose();
  });
});
