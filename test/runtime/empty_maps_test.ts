/** Convolutions of maps that are smaller than the window: nothing comes out, and nothing breaks. */

import type { Tensor, Tensor1D, Tensor4D } from "@tensorflow/tfjs";
import { expect, test } from "vitest";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { convolution } from "../../lib/runtime/core/convolution.ts";

const tf = await ensureBackend();

const ones = (...shape: [number, number, number, number]) => tf.ones(shape) as Tensor4D;

/** Each with windows of 3 × 3 on 32 channels. */
const ways: Record<string, (x: Tensor4D, pad: "same" | "valid") => Tensor> = {
  conv2d: (x, pad) => tf.conv2d(x, ones(3, 3, 32, 8), 1, pad),
  "fused.conv2d": (x, pad) =>
    tf.fused.conv2d({ x, filter: ones(3, 3, 32, 8), bias: tf.ones([8]), strides: 1, pad, activation: "relu" }),
  convolution: (x, pad) => {
    const inputs = { x, filter: ones(3, 3, 32, 8), bias: tf.ones([8]) as Tensor1D };
    return convolution(tf, inputs, { strides: [1, 1], dilations: [1, 1], pad, rectify: true });
  },
  depthwiseConv2d: (x, pad) => tf.depthwiseConv2d(x, ones(3, 3, 32, 1), 1, pad),
  "fused.depthwiseConv2d": (x, pad) =>
    tf.fused.depthwiseConv2d({
      x,
      filter: ones(3, 3, 32, 1),
      bias: tf.ones([32]),
      strides: 1,
      pad,
      activation: "relu",
    }),
};

for (const [name, convolve] of Object.entries(ways)) {
  const channels = name.includes("depthwise") ? 32 : 8;

  test(`${name} of a map smaller than its window is empty, and so is that of no image`, async () => {
    // More images than tfjs's own kernel on wasm survives.
    for (const [height, width] of [[1, 1], [1, 2], [2, 2], [2, 9]]) {
      const output = convolve(ones(70, height, width, 32), "valid");
      expect(output.shape).toEqual([70, 0, Math.max(0, width - 2), channels]);
      expect(await output.data()).toHaveLength(0);
    }
    for (const pad of ["same", "valid"] as const) {
      const output = convolve(ones(0, 5, 5, 32), pad);
      expect(output.shape).toEqual([0, pad === "same" ? 5 : 3, pad === "same" ? 5 : 3, channels]);
      expect(await output.data()).toHaveLength(0);
    }
    // The next one is right.
    const one = convolve(ones(1, 3, 3, 32), "valid");
    expect(one.shape).toEqual([1, 1, 1, channels]);
    const bias = name.includes("fused") || name === "convolution" ? 1 : 0;
    for (const value of await one.data()) expect(value).toBe((channels === 32 ? 9 : 9 * 32) + bias);
  });

  test(`${name} that puts out nothing has a gradient of zeros`, async () => {
    const gradient = tf.grad((x) => convolve(x as Tensor4D, "valid"))(ones(3, 2, 2, 32));
    expect(gradient.shape).toEqual([3, 2, 2, 32]);
    for (const value of await gradient.data()) expect(value).toBe(0);
  });
}

test("filters get a gradient of zeros", async () => {
  const gradient = tf.grad((filter) => tf.conv2d(ones(3, 2, 2, 32), filter as Tensor4D, 1, "valid"))(ones(3, 3, 32, 8));
  expect(gradient.shape).toEqual([3, 3, 32, 8]);
  for (const value of await gradient.data()) expect(value).toBe(0);
});

test("a network whose maps become too small leaves no tensor behind", () => {
  const model = tf.sequential({
    layers: [tf.layers.conv2d({ inputShape: [null, null, 3], kernelSize: 3, filters: 8, activation: "relu" })],
  });
  const before = tf.memory().numTensors;
  const output = tf.tidy(() => model.predict(ones(1, 2, 2, 3)) as Tensor);
  expect(output.shape).toEqual([1, 0, 0, 8]);
  output.dispose();
  expect(tf.memory().numTensors).toBe(before);
  model.dispose();
});
