/** The convolutions of the wasm backend that are ours. */

import fc from "fast-check";
import type { Tensor4D } from "@tensorflow/tfjs";
import { beforeEach, expect, test } from "vitest";
import { ensureBackend, useBackend } from "../../lib/runtime/backend.ts";
import { CONVOLUTION } from "../../lib/runtime/core/convolution.ts";
import { MemoryError } from "../../lib/memory.ts";

const tf = await ensureBackend();
beforeEach(async () => void await useBackend("wasm"));

/** The largest difference, relative to the largest wanted value. */
function deviation(found: ArrayLike<number>, wanted: ArrayLike<number>): number {
  expect(found).toHaveLength(wanted.length);
  let [scale, worst] = [0, 0];
  for (let i = 0; i < wanted.length; i++) {
    scale = Math.max(scale, Math.abs(wanted[i]));
    worst = Math.max(worst, Math.abs(found[i] - wanted[i]));
  }
  return scale === 0 ? worst : worst / scale;
}

test("are in use", () => {
  expect(tf.getKernel(CONVOLUTION, "wasm")).toBeDefined();
});

test("equal the cpu backend's, whatever the shape, window and padding", async () => {
  const cases = fc.record({
    batch: fc.integer({ min: 1, max: 5 }),
    height: fc.integer({ min: 1, max: 14 }),
    width: fc.integer({ min: 1, max: 14 }),
    channels: fc.integer({ min: 3, max: 21 }),
    eights: fc.integer({ min: 1, max: 4 }),
    rows: fc.integer({ min: 1, max: 4 }),
    columns: fc.integer({ min: 1, max: 4 }),
    stride: fc.integer({ min: 1, max: 3 }),
    dilation: fc.integer({ min: 1, max: 3 }),
    pad: fc.constantFrom<"same" | "valid" | number>("same", "valid", 1, 2),
    activation: fc.constantFrom("linear" as const, "relu" as const),
    seed: fc.nat(1e6),
  }).filter(({ stride, dilation, rows, columns, height, width }) =>
    (stride === 1 || dilation === 1) && (rows - 1) * dilation < height && (columns - 1) * dilation < width
  );
  // Winograd's algorithm takes 3×3 windows without a stride only: it is asked for more often than chance would.
  const windows = fc.oneof(cases, cases.map((c) => ({ ...c, rows: 3, columns: 3, stride: 1, dilation: 1 })))
    .filter(({ rows, columns, height, width }) => rows <= height && columns <= width);
  await fc.assert(
    fc.asyncProperty(windows, async (c) => {
      const compute = async (backend: "wasm" | "cpu") => {
        await useBackend(backend);
        const before = tf.memory().numTensors;
        const output = tf.tidy(() => {
          const x = tf.randomUniform([c.batch, c.height, c.width, c.channels], -1, 1, "float32", c.seed) as Tensor4D;
          const shape: [number, number, number, number] = [c.rows, c.columns, c.channels, 8 * c.eights];
          const filter = tf.randomUniform(shape, -1, 1, "float32", c.seed + 1) as Tensor4D;
          return tf.fused.conv2d({
            x,
            filter,
            strides: c.stride,
            dilations: c.dilation,
            pad: c.pad,
            bias: tf.randomUniform([8 * c.eights], -1, 1, "float32", c.seed + 2) as never,
            activation: c.activation,
            ...typeof c.pad === "number" && { dimRoundingMode: "floor" as const },
          });
        });
        const values = await output.data();
        output.dispose();
        expect(tf.memory().numTensors).toBe(before);
        return values;
      };
      const [found, wanted] = [await compute("wasm"), await compute("cpu")];
      expect(deviation(found, wanted)).toBeLessThan(5e-6);
    }),
    { numRuns: 150, seed: 31 },
  );
});

test("give the same numbers to an image whatever batch it is in, and free what they took", () => {
  const memory = () => (tf.backend() as unknown as { wasm: { HEAPU8: Uint8Array } }).wasm.HEAPU8.length;
  const run = (count: number, side: number) =>
    tf.tidy(() => {
      const images = tf.randomUniform([16, side, side, 16], -1, 1, "float32", 1) as Tensor4D;
      const filter = tf.randomUniform([3, 3, 16, 24], -1, 1, "float32", 2) as Tensor4D;
      return tf.slice(tf.conv2d(tf.slice(images, 0, count), filter, 1, "same"), 0, 1).dataSync();
    });
  for (const side of [1, 2, 3, 5, 7, 8, 14, 20]) {
    const [one, all] = [run(1, side), run(16, side)];
    expect(one.every((value, i) => value === all[i]), `maps of ${side}×${side}`).toBe(true);
  }
  const before = memory();
  for (let i = 0; i < 50; i++) run(16, 20);
  expect(memory()).toBe(before);
});

test("keep no filter that has gone: neither a changed one, nor one of another shape, nor one that was elsewhere", async () => {
  const images = tf.randomUniform([1, 9, 9, 32], -1, 1, "float32", 1) as Tensor4D;
  const convolve = (kernel: Tensor4D) =>
    tf.tidy(() => tf.conv2d(tf.slice(images, 0, [1, 9, 9, kernel.shape[2]]), kernel, 1, "same"));
  const filter = tf.variable(tf.randomUniform([3, 3, 16, 16], -1, 1, "float32", 2) as Tensor4D);
  const wanted = async (kernel: Tensor4D) => {
    const copy = tf.tensor(await kernel.data(), kernel.shape) as Tensor4D;
    const output = convolve(copy);
    const values = await output.data();
    tf.dispose([copy, output]);
    return values;
  };
  const expectRight = async (kernel: Tensor4D) => {
    for (let use = 0; use < 3; use++) {
      const output = convolve(kernel);
      expect(deviation(await output.data(), await wanted(kernel))).toBe(0);
      output.dispose();
    }
  };
  await expectRight(filter);
  const shapes: [number, number, number, number][] = [[1, 9, 16, 16], [3, 3, 8, 32], [9, 1, 32, 8]];
  const reshaped = shapes.map((shape) => tf.reshape(filter, shape) as Tensor4D);
  for (const kernel of reshaped) await expectRight(kernel);
  const next = tf.mul(filter, 2) as Tensor4D;
  filter.assign(next);
  await expectRight(filter as Tensor4D);
  await useBackend("cpu");
  tf.dispose(tf.add(filter, 1));
  await useBackend("wasm");
  await expectRight(filter as Tensor4D);
  tf.dispose([images, filter, ...reshaped, next]);
});

test("that find no room tell so by name, and the next one works", async () => {
  const image = tf.zeros([1, 1000, 1000, 8]) as Tensor4D;
  const many = tf.zeros([1, 1, 8, 1200]) as Tensor4D;
  const before = tf.memory().numTensors;
  // 4.8 GB, more than WASM can address.
  expect(() => tf.conv2d(image, many, 1, "same")).toThrow(MemoryError);
  expect(tf.memory().numTensors).toBe(before);
  const output = tf.conv2d(tf.ones([1, 2, 2, 8]) as Tensor4D, tf.ones([1, 1, 8, 8]) as Tensor4D, 1, "same");
  expect((await output.data()).every((value) => value === 8)).toBe(true);
  tf.dispose([image, many, output]);
});
