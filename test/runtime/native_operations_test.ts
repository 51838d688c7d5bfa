/** The operations that our addon adds to native TensorFlow, against their definitions; skipped where it is not there. */

import fc from "fast-check";
import type { Tensor, Tensor4D, TensorInfo } from "@tensorflow/tfjs";
import { describe, expect, test } from "vitest";
import { sizeOf } from "../../lib/array.ts";
import { doctor, ensureBackend, useBackend } from "../../lib/runtime/backend.ts";
import { poolingAxes } from "../../lib/runtime/gradients/axis.ts";
import { maxPoolGradient } from "../../lib/runtime/gradients/pooling.ts";
import {
  convolution3x3,
  maximaOfMaps,
  normalizationInOneStep,
  suits3x3,
  tryOperations,
  type Window3x3,
} from "../../lib/runtime/native/operations.ts";
import type { NativeBackend } from "../../lib/runtime/core/types.ts";
import { uniforms } from "../nets.ts";
import { skipFor } from "../long.ts";

const native = (await doctor()).rows.find(({ name }) => name === "tensorflow")!;
if (native.available) await useBackend("tensorflow");
const tf = await ensureBackend();
const backend = tf.findBackend("tensorflow") as unknown as NativeBackend;
const found = !native.available ? native.reason : backend.isUsingGpuDevice ? "on a GPU" : tryOperations(tf, backend);
if (found !== "work") {
  if (found === "on a GPU") console.log("Skipped: tests of native operations, which are the processor's");
  else skipFor(`tests of native operations: ${found}`);
}

test("a convolution suits by window, channels and the number of tiles", () => {
  const window: Window3x3 = { pad: 1, turned: false, rectify: false };
  expect(suits3x3([8, 14, 14, 256], [3, 3, 256, 256], window)).toBe(true);
  expect(suits3x3([8, 14, 14, 256], [1, 1, 256, 256], window)).toBe(false);
  expect(suits3x3([8, 14, 14, 24], [3, 3, 24, 64], window)).toBe(false);
  expect(suits3x3([8, 14, 14, 32], [3, 3, 32, 48], window)).toBe(false);
  expect(suits3x3([1, 14, 14, 256], [3, 3, 256, 256], window)).toBe(false);
  expect(suits3x3([8, 14, 14, 0], [3, 3, 0, 32], window)).toBe(false);
  expect(suits3x3([8, 14, 14, 16], [3, 3, 16, 0], window)).toBe(false);
  // Turned, the filter leads from its outputs to its inputs.
  expect(suits3x3([8, 14, 14, 64], [3, 3, 32, 64], { ...window, turned: true })).toBe(true);
  expect(suits3x3([8, 14, 14, 32], [3, 3, 32, 64], { ...window, turned: true })).toBe(false);
});

const cases = fc.record({
  batch: fc.integer({ min: 1, max: 3 }),
  height: fc.integer({ min: 3, max: 11 }),
  width: fc.integer({ min: 3, max: 11 }),
  inputs: fc.constantFrom(16, 32, 48),
  outputs: fc.constantFrom(32, 64),
  pad: fc.constantFrom(0 as const, 1 as const, 2 as const),
  turned: fc.boolean(),
  rectify: fc.boolean(),
  added: fc.integer({ min: 0, max: 2 }),
  seed: fc.nat(1e6),
});
type Case = typeof cases extends fc.Arbitrary<infer T> ? T : never;

const shapesOf = ({ batch, height, width, inputs, outputs, pad, turned, added }: Case) => {
  const output = [batch, height + 2 * pad - 2, width + 2 * pad - 2, outputs];
  const filter = [3, 3, ...turned ? [outputs, inputs] : [inputs, outputs]];
  return [[batch, height, width, inputs], filter, [outputs], output].slice(0, 2 + added);
};

/** The definition, in plain loops. */
function naive(c: Case, [x, filter, bias, side]: Float32Array[]): Float32Array {
  const [rows, columns] = [c.height + 2 * c.pad - 2, c.width + 2 * c.pad - 2];
  const output = new Float32Array(c.batch * rows * columns * c.outputs);
  for (let at = 0; at < output.length; at++) {
    const f = at % c.outputs;
    const cell = (at - f) / c.outputs;
    const [n, i, j] = [Math.floor(cell / (rows * columns)), Math.floor(cell / columns) % rows, cell % columns];
    let sum = (bias?.[f] ?? 0) + (side?.[at] ?? 0);
    for (let k = 0; k < 3; k++) {
      for (let l = 0; l < 3; l++) {
        const [row, column] = [i + k - c.pad, j + l - c.pad];
        if (row < 0 || row >= c.height || column < 0 || column >= c.width) continue;
        const tap = c.turned ? 8 - (3 * k + l) : 3 * k + l;
        for (let channel = 0; channel < c.inputs; channel++) {
          const weight = c.turned
            ? (tap * c.outputs + f) * c.inputs + channel
            : (tap * c.inputs + channel) * c.outputs + f;
          sum += x[((n * c.height + row) * c.width + column) * c.inputs + channel] * filter[weight];
        }
      }
    }
    output[at] = c.rectify ? Math.max(0, sum) : sum;
  }
  return output;
}

/** The largest difference, relative to the largest wanted value. */
function deviation(found: Float32Array, wanted: Float32Array): number {
  expect(found).toHaveLength(wanted.length);
  let [scale, worst] = [1e-30, 0];
  wanted.forEach((value, i) => {
    scale = Math.max(scale, Math.abs(value));
    worst = Math.max(worst, Math.abs(found[i] - value));
  });
  return worst / scale;
}

const run = (inputs: Tensor[], window: Window3x3) =>
  convolution3x3(backend, inputs as unknown as TensorInfo[], window) as unknown as Tensor;

describe.skipIf(found !== "work")("native operations", () => {
  test("a convolution is what its definition says, for every shape", async () => {
    await fc.assert(
      fc.asyncProperty(cases, async (c) => {
        const next = uniforms(c.seed);
        const values = shapesOf(c).map((shape) => Float32Array.from({ length: sizeOf(shape) }, () => 2 * next() - 1));
        const inputs = shapesOf(c).map((shape, i) => tf.tensor(values[i], shape));
        const output = run(inputs, c);
        expect(output.shape).toEqual([c.batch, c.height + 2 * c.pad - 2, c.width + 2 * c.pad - 2, c.outputs]);
        expect(deviation(await output.data<"float32">(), naive(c, values))).toBeLessThan(2e-6);
        tf.dispose([...inputs, output]);
      }),
      { numRuns: 60, seed: 1 },
    );
  });

  test("many tiles and channels, worked on in blocks by all threads, are as few are", async () => {
    const x = tf.randomUniform([3, 37, 41, 144], -1, 1, "float32", 1) as Tensor4D;
    const filter = tf.randomUniform([3, 3, 144, 96], -1, 1, "float32", 2) as Tensor4D;
    const whole = await run([x, filter], { pad: 1, turned: false, rectify: true }).data<"float32">();
    const size = whole.length / 3;
    for (let i = 0; i < 3; i++) {
      const one = await run([x.slice(i, 1), filter], { pad: 1, turned: false, rectify: true }).data<"float32">();
      expect(deviation(whole.slice(i * size, (i + 1) * size), one)).toBe(0);
    }
  });

  test("through tfjs: convolution and gradient to the input are those of the cpu backend", async () => {
    const [n, filters] = [32, 64];
    const x = Float32Array.from({ length: 2 * 17 * 16 * n }, uniforms(3));
    const filter = Float32Array.from({ length: 9 * n * filters }, uniforms(4)).map((value) => value - 0.5);
    for (const pad of ["same", "valid"] as const) {
      const results: Float32Array[][] = [];
      for (const name of ["cpu", "tensorflow"] as const) {
        await useBackend(name);
        const [image, weights] = [tf.tensor4d(x, [2, 17, 16, n]), tf.tensor4d(filter, [3, 3, n, filters])];
        const convolve = (x: Tensor) => tf.conv2d(x as Tensor4D, weights, 1, pad);
        const { value, grad } = tf.valueAndGrad((x) => tf.sum(tf.square(convolve(x))))(image);
        results.push([
          await convolve(image).data<"float32">(),
          await value.data<"float32">(),
          await grad.data<"float32">(),
        ]);
      }
      results[1].forEach((found, i) => expect(deviation(found, results[0][i])).toBeLessThan(5e-6));
    }
  });

  test("what does not fit is an error, and the next call works", () => {
    const ones = (...shape: number[]) => tf.ones(shape);
    const window: Window3x3 = { pad: 1, turned: false, rectify: false };
    const message = "the shapes of the inputs do not fit together";
    expect(() => run([ones(1, 4, 4, 16), ones(3, 3, 32, 32)], window)).toThrow(message);
    expect(() => run([ones(1, 4, 4, 20), ones(3, 3, 20, 32)], window)).toThrow(message);
    expect(() => run([ones(1, 4, 4, 16), ones(3, 3, 16, 32), ones(31)], window)).toThrow(message);
    expect(() => run([ones(1, 2, 2, 16), ones(3, 3, 16, 32)], { ...window, pad: 0 })).toThrow(message);
    // Zero channels: nothing is divided by them.
    expect(() => run([ones(1, 4, 4, 0), ones(3, 3, 0, 32)], window)).toThrow(message);
    expect(() => run([ones(1, 4, 4, 16), ones(3, 3, 16, 0)], window)).toThrow(message);
    expect(() => run([ones(4, 4, 16), ones(3, 3, 16, 32)], window)).toThrow("four dimensions");
    expect(run([ones(1, 3, 3, 16), ones(3, 3, 16, 32)], { ...window, pad: 0 }).shape).toEqual([1, 1, 1, 32]);
  });

  test("what normalisations and maxima do not take is an error", () => {
    const normalize = (...shapes: number[][]) => normalizationInOneStep(backend, shapes.map((s) => tf.ones(s)), false);
    const message = "the shapes of the inputs do not fit together";
    expect(() => normalize([1, 2, 2, 8], [7], [8])).toThrow(message);
    expect(() => normalize([1, 2, 2, 8], [8], [9])).toThrow(message);
    expect(() => normalize([1, 2, 2, 8], [8], [8], [1, 2, 1, 8])).toThrow(message);
    expect(normalize([0, 2, 2, 8], [8], [8]).shape).toEqual([0, 2, 2, 8]);
    expect(() => maximaOfMaps(backend, tf.ones([8]))).toThrow("two dimensions");
    expect(() => maximaOfMaps(backend, tf.ones([1, 0, 8]))).toThrow("cells");
    expect(maximaOfMaps(backend, tf.ones([3, 8])).shape).toEqual([2, 3, 8]);
  });

  test("windows of a max pooling that do not fit are an error", () => {
    const gradient = (x: number[], dy: number[], windows: Record<string, number[]>) =>
      backend.executeSingleOutput(
        "ConvlensMaxPoolGradient",
        Object.entries({ size: [2, 2], stride: [2, 2], before: [0, 0], ...windows }).map(([name, value]) => ({
          name,
          type: backend.binding.TF_ATTR_INT,
          value,
        })),
        [tf.ones(x), tf.ones(dy)],
      );
    const message = "the windows do not fit the shape of x";
    expect(() => gradient([1, 4, 4, 1], [1, 3, 2, 1], {})).toThrow(message);
    expect(() => gradient([1, 4, 4, 1], [1, 2, 2, 1], { before: [2, 0] })).toThrow(message);
    expect(() => gradient([1, 4, 4, 1], [1, 2, 2, 1], { before: [0, -1] })).toThrow(message);
    expect(() => gradient([1, 4, 4, 1], [1, 2, 2, 1], { stride: [-2, 2] })).toThrow(message);
    expect(() => gradient([1, 0, 4, 1], [1, 1, 2, 1], { before: [1, 0] })).toThrow(message);
    expect(() => gradient([1, 4, 4, 1], [2, 2, 2, 1], {})).toThrow("share the first and the last");
    expect(gradient([1, 0, 4, 1], [1, 0, 2, 1], {}).shape).toEqual([1, 0, 4, 1]);
  });

  test("infinite and undefined numbers go no further than the window of the sum reaches", async () => {
    const cells = new Float32Array(10 * 10 * 16).fill(1);
    cells[(4 * 10 + 5) * 16 + 3] = Infinity;
    cells[(8 * 10 + 1) * 16] = NaN;
    const found = await run([tf.tensor(cells, [1, 10, 10, 16]), tf.ones([3, 3, 16, 32])], {
      pad: 1,
      turned: false,
      rectify: true,
    }).data<"float32">();
    found.forEach((value, at) => {
      const [row, column] = [Math.floor(at / 320), Math.floor(at / 32) % 10];
      const reached = [[4, 5], [8, 1]].some(([i, j]) => Math.abs(row - i) < 2 && Math.abs(column - j) < 2);
      if (Number.isFinite(value) === reached) expect([row, column, value]).toBe(`finite: ${!reached}`);
    });
  });

  test("the gradient of max pooling keeps to the rule for ties, for every shape", async () => {
    const pools = fc.record({
      batch: fc.integer({ min: 1, max: 3 }),
      sides: fc.tuple(fc.integer({ min: 3, max: 12 }), fc.integer({ min: 3, max: 12 })),
      channels: fc.constantFrom(1, 3, 64, 70, 130),
      filterSize: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })),
      strides: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })),
      pad: fc.constantFrom("same" as const, "valid" as const),
      seed: fc.nat(1e6),
    });
    await fc.assert(
      fc.asyncProperty(pools, async ({ batch, sides, channels, seed, ...pool }) => {
        const shape: [number, number, number, number] = [batch, ...sides, channels];
        const next = uniforms(seed);
        // Of three values, so that most windows have ties.
        const x = Float32Array.from({ length: sizeOf(shape) }, () => Math.floor(3 * next()) - 1);
        const image = tf.tensor4d(x, shape);
        const pooled = tf.maxPool(image, pool.filterSize, pool.strides, pool.pad);
        const dy = Float32Array.from({ length: pooled.size }, () => Math.floor(9 * next()) - 4);
        const gradient = tf.grad((x) => tf.maxPool(x as Tensor4D, pool.filterSize, pool.strides, pool.pad))(
          image,
          tf.tensor4d(dy, pooled.shape),
        );
        const wanted = maxPoolGradient(x, dy, channels, poolingAxes(tf, shape, pool));
        expect(deviation(await gradient.data<"float32">(), wanted)).toBe(0);
        tf.dispose([image, pooled, gradient]);
      }),
      { numRuns: 60, seed: 2 },
    );
  });
});
