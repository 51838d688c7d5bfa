import type { LayersModel } from "@tensorflow/tfjs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadModel } from "../../../lib/model/load.ts";
import type { Model } from "../../../lib/model/model.ts";
import { copyOf } from "../../../lib/model/copy.ts";
import { reinitialize } from "../../../lib/probe/attribution/randomize.ts";
import { ensureBackend } from "../../../lib/runtime/backend.ts";

const tf = await ensureBackend();

/** Every kind of weight, and a model inside the model. */
function network(): LayersModel {
  const inner = tf.sequential({
    name: "inner",
    layers: [tf.layers.conv2d({ name: "inside", inputShape: [8, 8, 16], filters: 24, kernelSize: 3 })],
  });
  return tf.sequential({
    layers: [
      tf.layers.conv2d({ name: "conv", inputShape: [8, 8, 3], filters: 16, kernelSize: 5, padding: "same" }),
      tf.layers.batchNormalization({ name: "norm" }),
      inner,
      tf.layers.depthwiseConv2d({ name: "depthwise", kernelSize: 3, depthMultiplier: 2 }),
      tf.layers.flatten(),
      tf.layers.dense({ name: "dense", units: 10 }),
    ],
  });
}

async function weightsOf(net: { weights: LayersModel["weights"] }): Promise<number[][]> {
  return await Promise.all(net.weights.map(async (weight) => Array.from(await weight.read().data())));
}

let model: Model;
beforeAll(async () => {
  const net = network();
  tf.tidy(() => net.setWeights(net.getWeights().map((weight) => tf.add(tf.abs(weight), 0.1))));
  model = await loadModel(net, { name: "net", preprocess: "unit", labels: [..."abcdefghij"] });
});
afterAll(() => model.dispose());

test("a copy computes the same and shares nothing", async () => {
  const before = tf.memory().numTensors;
  const weights = await weightsOf(model.network);
  const copy = await copyOf(model);
  expect(await weightsOf(copy.model.network)).toEqual(weights);
  expect([copy.model.name, copy.model.labels, copy.model.preprocess]).toEqual([
    model.name,
    model.labels,
    model.preprocess,
  ]);
  copy.model.network.layers.forEach((layer) => reinitialize(tf, layer, 1));
  expect(await weightsOf(model.network)).toEqual(weights);
  copy.dispose();
  expect(tf.memory().numTensors).toBe(before);
});

describe("random weights", () => {
  test.each([["conv", 75], ["inner", 144], ["depthwise", 9], ["dense", 768]])(
    "of %s have a variance of 2 / %i and a mean of 0, biases are 0",
    async (name, fanIn) => {
      const copy = await copyOf(model);
      reinitialize(tf, copy.model.network.getLayer(name), 5, 2);
      const [kernel, bias] = await weightsOf(copy.model.network.getLayer(name));
      const mean = kernel.reduce((a, b) => a + b) / kernel.length;
      const variance = kernel.reduce((sum, value) => sum + (value - mean) ** 2, 0) / kernel.length;
      // Four standard errors of either.
      expect(Math.abs(mean)).toBeLessThan(4 * Math.sqrt(2 / fanIn / kernel.length));
      expect(Math.abs(variance * fanIn / 2 - 1)).toBeLessThan(4 * Math.sqrt(2 / kernel.length));
      expect(bias.every((value) => value === 0)).toBe(true);
      copy.dispose();
    },
  );

  test("of a batch normalisation do nothing", async () => {
    const copy = await copyOf(model);
    const norm = copy.model.network.getLayer("norm");
    reinitialize(tf, norm, 0);
    const start = Object.fromEntries(
      await Promise.all(norm.weights.map(async (w) => [w.originalName.split("/").at(-1), [...await w.read().data()]])),
    );
    for (const [name, values] of Object.entries(start)) {
      const wanted = name === "gamma" || name === "moving_variance" ? 1 : 0;
      expect((values as number[]).every((value) => value === wanted), name).toBe(true);
    }
    copy.dispose();
  });

  test("repeat with their key", async () => {
    const copy = await copyOf(model);
    const layer = copy.model.network.getLayer("conv");
    const draw = async (...key: number[]) => {
      reinitialize(tf, layer, ...key);
      return (await weightsOf(layer))[0];
    };
    const first = await draw(1, 2);
    expect(await draw(1, 3)).not.toEqual(first);
    expect(await draw(2, 2)).not.toEqual(first);
    expect(await draw(1, 2)).toEqual(first);
    copy.dispose();
  });
});

test("a layer of one's own that is not registered cannot be copied, and the error says so", async () => {
  class Unregistered extends tf.layers.Layer {
    static className = "Unregistered";
    override getClassName() {
      return "Unregistered";
    }
    // deno-lint-ignore no-explicit-any
    override call(x: any) {
      return Array.isArray(x) ? x[0] : x;
    }
  }
  const net = tf.sequential({
    layers: [tf.layers.dense({ inputShape: [2], units: 2 }), new Unregistered({}) as never],
  });
  const odd = await loadModel(net, { name: "odd" });
  const before = tf.memory().numTensors;
  await expect(copyOf(odd)).rejects.toThrow("registerClass");
  expect(tf.memory().numTensors).toBe(before);
  net.dispose();
});
