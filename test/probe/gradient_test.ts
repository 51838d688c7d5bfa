import type { LayersModel, Tensor } from "@tensorflow/tfjs";
import { describe, expect, test } from "vitest";
import { inputGradient } from "../../lib/probe/gradient.ts";
import { ensureBackend, type TF, useBackend } from "../../lib/runtime/backend.ts";
import { testedBackends } from "../backends.ts";

const available = await testedBackends();

/** Fused convolutions, depthwise ones, batch normalisation and dense layers: all whose gradients tfjs bundles. */
function net(tf: TF): LayersModel {
  return tf.sequential({
    layers: [
      tf.layers.conv2d({ inputShape: [8, 8, 3], filters: 4, kernelSize: 3, padding: "same" }),
      tf.layers.batchNormalization(),
      tf.layers.activation({ activation: "relu" }),
      tf.layers.depthwiseConv2d({ kernelSize: 3, strides: 2 }),
      tf.layers.conv2d({ filters: 5, kernelSize: 2, dilationRate: 2, padding: "same" }),
      tf.layers.flatten(),
      tf.layers.dense({ units: 7 }),
      tf.layers.dense({ units: 3, activation: "softmax" }),
    ],
  });
}

describe.each(available)("on %s", (backend) => {
  test("only what leads to the input is computed: no gradient of a filter, a matrix or a statistic", async () => {
    await useBackend(backend);
    const tf = await ensureBackend();
    const network = net(tf);
    const x = tf.randomUniform([2, 8, 8, 3]);
    const f = (x: Tensor) => network.apply(x) as Tensor;
    const { kernels } = await tf.profile(() => {
      const { value, gradient } = inputGradient(tf, f, x);
      tf.dispose(value);
      return gradient;
    });
    const names = kernels.map(({ name }) => name);
    expect(names.filter((name) => /BackpropFilter/.test(name))).toEqual([]);
    const products = kernels.filter(({ name }) => name === "BatchMatMul").map(({ outputShapes }) => outputShapes[0]);
    expect(products.length).toBeGreaterThan(0);
    for (const matrix of network.weights.map(({ shape }) => shape).filter(({ length }) => length === 2)) {
      expect(products.map((shape) => shape.slice(-2))).not.toContainEqual(matrix);
    }
    expect(names).toContain("Conv2DBackpropInput");
    network.dispose();
  });

  test("the value and the gradient of y = Σ x³", async () => {
    await useBackend(backend);
    const tf = await ensureBackend();
    const x = tf.tensor1d([1, -2, 3]);
    const before = tf.memory().numTensors;
    const { value, gradient } = inputGradient(tf, (x) => tf.mul(x, tf.square(x)), x);
    expect([...await value.data()]).toEqual([1, -8, 27]);
    expect([...await gradient.data()]).toEqual([3, 12, 27]);
    tf.dispose([value, gradient]);
    expect(tf.memory().numTensors).toBe(before);
    x.dispose();
  });
});

describe("on wasm", () => {
  test("an image without a batch axis passes through a fused convolution", async () => {
    await useBackend("wasm");
    const tf = await ensureBackend();
    const before = tf.memory().numTensors;
    tf.tidy(() => {
      const [x, filter] = [tf.ones([4, 4, 1]), tf.ones([2, 2, 1, 1])];
      const convolve = (x: Tensor) =>
        tf.fused.conv2d({ x: x as never, filter: filter as never, strides: 1, pad: "valid", bias: tf.tensor1d([1]) });
      const { gradient } = inputGradient(tf, convolve, x);
      expect([...gradient.dataSync()]).toEqual([1, 2, 2, 1, 2, 4, 4, 2, 2, 4, 4, 2, 1, 2, 2, 1]);
    });
    expect(tf.memory().numTensors).toBe(before);
  });

  test("a filter that depends on the input counts, too", async () => {
    await useBackend("wasm");
    const tf = await ensureBackend();
    tf.tidy(() => {
      const x = tf.tensor4d([3], [1, 1, 1, 1]);
      const square = (x: Tensor) => tf.fused.conv2d({ x: x as never, filter: x as never, strides: 1, pad: "valid" });
      expect([...inputGradient(tf, square, x).gradient.dataSync()]).toEqual([6]);
    });
  });

  test.each([
    ["on the way there", (tf: TF) => (x: Tensor) => {
      tf.relu(tf.square(x));
      throw new Error("stop");
    }],
    ["on the way back", (tf: TF) => (x: Tensor) => {
      const bad = tf.customGrad((x) => ({
        value: tf.square(x as Tensor),
        gradFunc: () => {
          throw new Error("stop");
        },
      }));
      return tf.exp(bad(tf.square(x)));
    }],
  ])("nothing is left after a throw %s", async (_, failing) => {
    await useBackend("wasm");
    const tf = await ensureBackend();
    const x = tf.tensor1d([1, 2]);
    const before = tf.memory().numTensors;
    expect(() => inputGradient(tf, failing(tf) as (x: Tensor) => Tensor, x)).toThrow("stop");
    expect(tf.memory().numTensors).toBe(before);
    const { value, gradient } = inputGradient(tf, (x) => tf.square(x), x);
    expect([...gradient.dataSync()]).toEqual([2, 4]);
    tf.dispose([x, value, gradient]);
  });
});
