/** Networks that had their channels first in their files read `[h, w, c]` here, and compute what they computed. */

import type { LayersModel, Scalar, SymbolicTensor, Tensor } from "@tensorflow/tfjs";
import { expect, test } from "vitest";
import { ndarray } from "../../lib/array.ts";
import { activations } from "../../lib/methods/activations.ts";
import { inputXGradient } from "../../lib/methods/input_x_gradient.ts";
import { occlusion } from "../../lib/methods/occlusion.ts";
import { predict } from "../../lib/methods/predict.ts";
import { loadModel } from "../../lib/model/load.ts";
import { contrast } from "../../lib/probe/target.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { uniforms } from "../nets.ts";

const tf = await ensureBackend();
const L = tf.layers;
const first = { dataFormat: "channelsFirst" as const };

/** Layers of every kind that a network with channels first is made of, on inputs [2, 8, 6]. */
const networks: Record<string, () => LayersModel> = {
  "a stack whose dense layer takes channels first": () =>
    tf.sequential({
      layers: [
        L.conv2d({ ...first, inputShape: [2, 8, 6], filters: 4, kernelSize: 3, padding: "same", activation: "relu" }),
        L.batchNormalization({ axis: 1 }),
        L.maxPooling2d({ ...first, poolSize: 2 }),
        L.dropout({ rate: 0.5 }),
        L.flatten(),
        L.dense({ units: 3, activation: "softmax" }),
      ],
    }),
  "a stack that is flattened as Keras 2 does, with channels behind": () =>
    tf.sequential({
      layers: [
        L.zeroPadding2d({ ...first, inputShape: [2, 8, 6], padding: 1 }),
        L.depthwiseConv2d({ ...first, kernelSize: 3, depthMultiplier: 2 }),
        L.averagePooling2d({ ...first, poolSize: 2 }),
        L.flatten({ ...first }),
        L.dense({ units: 3, activation: "softmax" }),
      ],
    }),
  "branches": () => {
    const input = tf.input({ shape: [2, 8, 6] });
    const conv = (filters: number, kernelSize: number, x: SymbolicTensor) =>
      L.conv2d({ ...first, filters, kernelSize, padding: "same" }).apply(x) as SymbolicTensor;
    const a = L.concatenate({ axis: 1 }).apply([conv(3, 3, input), conv(2, 1, input)]) as SymbolicTensor;
    const b = L.add().apply([a, conv(5, 3, a)]) as SymbolicTensor;
    const c = L.activation({ activation: "relu" }).apply(L.upSampling2d({ ...first, size: [2, 2] }).apply(b));
    const flat = L.flatten().apply(c) as SymbolicTensor;
    const means = L.globalAveragePooling2d({ ...first }).apply(c) as SymbolicTensor;
    const both = L.concatenate().apply([flat, means]);
    const output = L.dense({ units: 3, activation: "softmax" }).apply(both) as SymbolicTensor;
    return tf.model({ inputs: input, outputs: output });
  },
};

test.each(Object.keys(networks))("%s", async (name) => {
  const network = networks[name]();
  const random = uniforms(4);
  network.setWeights(
    network.getWeights().map((w) => tf.tensor(Array.from({ length: w.size }, () => 0.3 * random()), w.shape)),
  );
  const folder = await Deno.makeTempDir();
  await (await loadModel(network, { preprocess: "none" })).save(`${folder}/net`);
  const model = await loadModel(`${folder}/net`, { preprocess: "none" });
  expect(model.inputShape).toEqual([8, 6, 2]);
  const given = ndarray(Float32Array.from({ length: 96 }, random), [2, 8, 6]);
  const x = tf.tensor(given.data, [1, 2, 8, 6]);
  const behind = (x: Tensor) => [...tf.transpose(x, [0, 2, 3, 1]).dataSync()];
  const image = ndarray(behind(x), [8, 6, 2]);
  const wanted = (network.predict(x) as Tensor).dataSync();
  // As the file says, and as everything here does.
  for (const input of [given, image]) {
    const { rows } = await predict(model, input);
    for (const { index, probability } of rows) expect(probability).toBeCloseTo(wanted[index], 5);
  }
  // The difference of two scores is that of the logarithms of their probabilities.
  const logit = await inputXGradient(model, image, { target: contrast(1, 0) });
  const odds = (x: Tensor) => {
    const logs = tf.log(network.apply(x) as Tensor);
    return tf.sub(tf.slice(logs, [0, 1], [1, 1]), tf.slice(logs, [0, 0], [1, 1])).asScalar() as Scalar;
  };
  const gradient = behind(tf.mul(tf.grad(odds)(x), x));
  const largest = Math.max(...gradient.map(Math.abs));
  for (const [i, value] of gradient.entries()) {
    expect(Math.abs(logit.values.data[i] - value)).toBeLessThan(1e-4 * largest);
  }
  const maps = model.layers.find(({ kind }) => /Conv/.test(kind))!;
  expect((await activations(model, image, { layer: maps.name })).layers[0].maps.shape).toEqual(maps.outputShape);
  expect((await occlusion(model, image, { size: 3, stride: 3 })).probability.shape).toEqual([3, 2]);
  model.dispose();
  await Deno.remove(folder, { recursive: true });
});

test("what makes maps in an order of its own is left as it is", async () => {
  const network = tf.sequential({
    layers: [
      L.dense({ units: 24, inputShape: [2] }),
      L.reshape({ targetShape: [2, 4, 3] }),
      L.conv2d({ ...first, filters: 2, kernelSize: 3, padding: "same" }),
    ],
  });
  const folder = await Deno.makeTempDir();
  await (await loadModel(network)).save(`${folder}/net`);
  const again = await loadModel(`${folder}/net`);
  expect(again.layers.at(-1)!.outputShape).toEqual([2, 4, 3]);
  await Deno.remove(folder, { recursive: true });
});
