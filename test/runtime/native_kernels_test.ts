/** The kernels that are replaced on native TensorFlow, where it is installed. */

import fc from "fast-check";
import type { Tensor4D } from "@tensorflow/tfjs";
import { describe, expect, test } from "vitest";
import { type BackendName, doctor, ensureBackend, useBackend } from "../../lib/runtime/backend.ts";
import { CONVOLUTION } from "../../lib/runtime/core/convolution.ts";
import { findAddon } from "../../lib/runtime/native/addon.ts";

const native = (await doctor()).rows.find(({ name }) => name === "tensorflow");
const onProcessor = native?.available === true && native.device.startsWith("CPU");

async function on(backend: BackendName) {
  await useBackend(backend);
  return await ensureBackend();
}

function worst(found: ArrayLike<number>, wanted: ArrayLike<number>): number {
  expect(found).toHaveLength(wanted.length);
  let most = 0;
  for (let i = 0; i < wanted.length; i++) most = Math.max(most, Math.abs(found[i] - wanted[i]));
  return most;
}

describe.skipIf(!onProcessor)("native TensorFlow on the processor", () => {
  test.skipIf(!findAddon()?.made?.libraries)("convolves in one step, with an addon that was built here", async () => {
    const tf = await on("tensorflow");
    expect(tf.getKernel(CONVOLUTION, "tensorflow")).toBeDefined();
    expect(tf.getKernel(CONVOLUTION, "cpu")).toBeUndefined();
  });

  test("a fused convolution equals the cpu backend's, whatever its bias and activation", async () => {
    const cases = fc.record({
      bias: fc.constantFrom("channels", "scalar", "map", "none"),
      activation: fc.constantFrom("linear" as const, "relu" as const, "relu6" as const, "elu" as const),
      pad: fc.constantFrom("same" as const, "valid" as const),
      stride: fc.integer({ min: 1, max: 2 }),
      seed: fc.nat(1e6),
    });
    await fc.assert(
      fc.asyncProperty(cases, async ({ bias, activation, pad, stride, seed }) => {
        const compute = async (backend: BackendName) => {
          const tf = await on(backend);
          const before = tf.memory().numTensors;
          const output = tf.tidy(() => {
            const x = tf.randomUniform([2, 7, 6, 3], -1, 1, "float32", seed) as Tensor4D;
            const filter = tf.randomUniform([3, 3, 3, 5], -1, 1, "float32", seed + 1) as Tensor4D;
            const shape = { channels: [5], scalar: [], map: [1, 1, 5], none: undefined }[bias];
            return tf.fused.conv2d({
              x,
              filter,
              strides: stride,
              pad,
              bias: shape && tf.randomUniform(shape, -1, 1, "float32", seed + 2) as never,
              activation,
            });
          });
          const values = await output.data();
          output.dispose();
          expect(tf.memory().numTensors).toBe(before);
          return values;
        };
        expect(worst(await compute("tensorflow"), await compute("cpu"))).toBeLessThan(5e-6);
      }),
      { numRuns: 40, seed: 21 },
    );
  });

  test("the gradient to images behind strided convolutions equals the cpu backend's", async () => {
    const cases = fc.record({
      channels: fc.integer({ min: 1, max: 6 }),
      taps: fc.integer({ min: 1, max: 5 }),
      stride: fc.integer({ min: 1, max: 3 }),
      pad: fc.constantFrom("same" as const, "valid" as const),
      side: fc.integer({ min: 5, max: 9 }),
      seed: fc.nat(1e6),
    });
    await fc.assert(
      fc.asyncProperty(cases, async ({ channels, taps, stride, pad, side, seed }) => {
        const compute = async (backend: BackendName) => {
          const tf = await on(backend);
          const gradient = tf.tidy(() => {
            const x = tf.randomUniform([2, side, side + 1, channels], -1, 1, "float32", seed) as Tensor4D;
            const filter = tf.randomUniform([taps, taps, channels, 4], -1, 1, "float32", seed + 1) as Tensor4D;
            return tf.grad((x) => tf.sum(tf.square(tf.conv2d(x as Tensor4D, filter, stride, pad))))(x);
          });
          const values = await gradient.data();
          gradient.dispose();
          return values;
        };
        expect(worst(await compute("tensorflow"), await compute("cpu"))).toBeLessThan(2e-4);
      }),
      { numRuns: 40, seed: 22 },
    );
  });
});
