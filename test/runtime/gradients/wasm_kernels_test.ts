/** The kernels added to wasm, over shapes, strides, dilations and paddings that nobody thought of, against cpu. */

import type { NamedAttrMap, Tensor, Tensor4D, Tensor5D } from "@tensorflow/tfjs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { sizeOf } from "../../../lib/array.ts";
import { doctor, ensureBackend, useBackend } from "../../../lib/runtime/backend.ts";
import { visiting } from "../../../lib/runtime/core/engine.ts";

await doctor();
await useBackend("wasm");
const tf = await ensureBackend();

/** Relative to the largest value of each result, or to the inputs' largest, which is 1, where terms cancel. */
const TOLERANCE = 1e-5;

type Values = { data: Float32Array; shape: number[] };

function on(backend: string, compute: () => Tensor | Tensor[]): Values[] {
  return visiting(
    tf,
    backend,
    () =>
      tf.tidy(() => [compute()].flat().map((tensor) => ({ data: tensor.dataSync<"float32">(), shape: tensor.shape }))),
  );
}

/** Computes on wasm and on cpu; the results must agree, and no tensor may be left. */
function expectSame(compute: () => Tensor | Tensor[]): void {
  const before = tf.memory().numTensors;
  const wanted = on("cpu", compute);
  const found = on("wasm", compute);
  expect(tf.memory().numTensors).toBe(before);
  for (const [i, { data, shape }] of wanted.entries()) {
    expect(found[i].shape).toEqual(shape);
    expectClose(found[i].data, data);
  }
}

function expectClose(found: ArrayLike<number>, wanted: ArrayLike<number>): void {
  const scale = Math.max(1, ...Array.from(wanted, Math.abs));
  const worst = Array.from(wanted, (value, i) => Math.abs(found[i] - value)).reduce((a, b) => a > b ? a : b, 0);
  expect(worst).toBeLessThanOrEqual(TOLERANCE * scale);
}

/** Repeatable values from -1 to 1. */
function noise(shape: number[], seed: number): Tensor {
  return tf.tensor(Float32Array.from({ length: sizeOf(shape) }, (_, i) => Math.sin(i * 12.9898 + seed * 7.1)), shape);
}

const upTo = (max: number) => fc.integer({ min: 1, max });
const pair = (max: number) => fc.tuple(upTo(max), upTo(max));

/** A window on its input. Numbers as padding are for square ones: for others tfjs takes them wrong, and wasm crashes. */
const window2d = fc.record({
  batch: upTo(3),
  size: fc.tuple(fc.integer({ min: 5, max: 10 }), fc.integer({ min: 5, max: 10 })),
  channels: pair(5),
  taps: pair(4),
  strides: pair(4),
  padding: fc.oneof(
    fc.constantFrom("same" as const, "valid" as const),
    fc.integer({ min: 0, max: 3 }),
    fc.tuple(...[0, 1, 2, 3].map(() => fc.integer({ min: 0, max: 4 }))),
  ),
}).map((window) => {
  const square = ([n]: [number, number]): [number, number] => [n, n];
  if (typeof window.padding !== "number") return window;
  return { ...window, taps: square(window.taps), strides: square(window.strides) };
});

type Padding = "same" | "valid" | number | number[];

function padOf(padding: Padding) {
  if (!Array.isArray(padding)) return padding;
  const [top, bottom, left, right] = padding;
  return [[0, 0], [top, bottom], [left, right], [0, 0]] as [
    [number, number],
    [number, number],
    [number, number],
    [number, number],
  ];
}

describe("convolutions", () => {
  test("two dimensions: both gradients", () => {
    fc.assert(
      fc.property(window2d, ({ batch, size, channels: [cin, cout], taps, strides, padding }) => {
        expectSame(() => {
          const convolve = (x: Tensor, filter: Tensor) =>
            tf.conv2d(x as Tensor4D, filter as Tensor4D, strides, padOf(padding));
          const inputs = [noise([batch, ...size, cin], 1), noise([...taps, cin, cout], 2)];
          return tf.grads(convolve)(inputs, noise(convolve(inputs[0], inputs[1]).shape, 3));
        });
      }),
      { seed: 1 },
    );
  });

  test("depthwise: both gradients", () => {
    fc.assert(
      fc.property(window2d, ({ batch, size, channels: [c, multiplier], taps, strides, padding }) => {
        expectSame(() => {
          const convolve = (x: Tensor, filter: Tensor) =>
            tf.depthwiseConv2d(x as Tensor4D, filter as Tensor4D, strides, padOf(padding));
          const inputs = [noise([batch, ...size, c], 1), noise([...taps, c, multiplier], 2)];
          return tf.grads(convolve)(inputs, noise(convolve(inputs[0], inputs[1]).shape, 3));
        });
      }),
      { seed: 2 },
    );
  });

  test("three dimensions: both gradients", () => {
    const sizes = fc.tuple(...[0, 1, 2].map(() => fc.integer({ min: 3, max: 6 })));
    const small = fc.tuple(upTo(3), upTo(3), upTo(3));
    const arbitrary = fc.record({
      size: sizes,
      channels: pair(3),
      taps: small,
      strides: small,
      padding: fc.constantFrom("same" as const, "valid" as const),
    });
    fc.assert(
      fc.property(arbitrary, ({ size, channels: [cin, cout], taps, strides, padding }) => {
        expectSame(() => {
          const convolve = (x: Tensor, filter: Tensor) =>
            tf.conv3d(x as Tensor5D, filter as Tensor5D, strides, padding);
          const inputs = [noise([2, ...size, cin], 1), noise([...taps, cin, cout], 2)];
          return tf.grads(convolve)(inputs, noise(convolve(inputs[0], inputs[1]).shape, 3));
        });
      }),
      { seed: 3 },
    );
  });

  /** `⟨conv(v, w), dy⟩ = ⟨v, dx⟩ = ⟨w, dw⟩` for every v and w: what a gradient of a bilinear function is. */
  test.each(["plain", "depthwise"])("dilated, %s: both gradients fit the forward convolution on cpu", (kind) => {
    const arbitrary = fc.record({ window: window2d, dilations: pair(3), seed: upTo(100) });
    fc.assert(
      fc.property(arbitrary, ({ window, dilations, seed }) => {
        const { batch, channels: [cin, cout], taps } = window;
        const padding = typeof window.padding === "number" ? Array(4).fill(window.padding) : window.padding;
        const size = window.size.map((n, i) => n + (taps[i] - 1) * (dilations[i] - 1));
        const convolve = (x: Tensor, filter: Tensor) =>
          (kind === "plain" ? tf.conv2d : tf.depthwiseConv2d)(
            x as Tensor4D,
            filter as Tensor4D,
            1,
            padOf(padding),
            "NHWC",
            dilations,
          );
        const shapes = [[batch, ...size, cin], [...taps, cin, cout]];
        const probes = shapes.map((shape) => on("cpu", () => noise(shape, seed))[0].data);
        const [[x], [w]] = [0, 1].map((i) =>
          on("cpu", () => {
            const inputs = shapes.map((shape, j) => noise(shape, i === j ? seed : 2));
            const output = convolve(inputs[0], inputs[1]);
            return tf.sum(tf.mul(output, noise(output.shape, 3)));
          })
        );
        const gradients = on("wasm", () => {
          const inputs = shapes.map((shape) => noise(shape, 2));
          return tf.grads(convolve)(inputs, noise(convolve(inputs[0], inputs[1]).shape, 3));
        });
        const products = gradients.map(({ data }, i) => data.reduce((sum, v, at) => sum + v * probes[i][at], 0));
        const sizes = gradients.map(({ data }, i) =>
          data.reduce((sum, v, at) => sum + Math.abs(v * probes[i][at]), 1e-3)
        );
        expect(Math.abs(products[0] - x.data[0])).toBeLessThanOrEqual(1e-4 * sizes[0]);
        expect(Math.abs(products[1] - w.data[0])).toBeLessThanOrEqual(1e-4 * sizes[1]);
      }),
      { seed: 4 },
    );
  });

  test("channels first, as tfjs's kernels may be asked", () => {
    const [x, filter, dy] = [[2, 3, 7, 6], [3, 2, 3, 4], [2, 4, 4, 3]];
    const attrs = { strides: [2, 2], pad: "same", dataFormat: "NCHW", dimRoundingMode: undefined } as const;
    const run = (kernel: string, inputs: Record<string, Tensor>, more: object) =>
      tf.engine().runKernel(kernel, inputs, { ...attrs, ...more } as unknown as NamedAttrMap) as Tensor;
    expectSame(() => [
      run("Conv2DBackpropInput", { dy: noise(dy, 1), filter: noise(filter, 2) }, { inputShape: x }),
      run("Conv2DBackpropFilter", { dy: noise(dy, 1), x: noise(x, 2) }, { filterShape: filter }),
    ]);
  });
});

describe("poolings", () => {
  /** Few different values, so that ties are the rule. */
  const coarse = (shape: number[]) => tf.round(tf.mul(noise(shape, 4), 2));

  test("max pooling gives ties to the first cell, in two and three dimensions", () => {
    fc.assert(
      fc.property(window2d, ({ batch, size, channels: [c], taps, strides, padding }) => {
        const pad = Array.isArray(padding) ? "same" : typeof padding === "number" ? Math.min(...taps) >> 1 : padding;
        expectSame(() => {
          const pool = (x: Tensor) => tf.maxPool(x as Tensor4D, taps, strides, pad);
          const x = coarse([batch, ...size, c]);
          return tf.grad(pool)(x, noise(pool(x).shape, 3));
        });
        if (typeof pad === "number") return;
        expectSame(() => {
          const pool = (x: Tensor) => tf.maxPool3d(x as Tensor5D, [2, ...taps], [1, ...strides], pad);
          const x = coarse([batch, 3, ...size, c]);
          return tf.grad(pool)(x, noise(pool(x).shape, 3));
        });
      }),
      { seed: 5 },
    );
  });

  test("average pooling shares out all of the gradient, at the border, too", () => {
    fc.assert(
      fc.property(window2d, ({ batch, size, channels: [c], taps, strides }) => {
        const [{ data }, { data: outputs }] = on("wasm", () => {
          const pool = (x: Tensor) => tf.avgPool(x as Tensor4D, taps, strides, "same");
          const x = noise([batch, ...size, c], 1);
          return [tf.grad(pool)(x), tf.onesLike(pool(x))];
        });
        const sum = data.reduce((a, b) => a + b, 0);
        expect(Math.abs(sum - outputs.length)).toBeLessThanOrEqual(TOLERANCE * outputs.length);
      }),
      { seed: 6 },
    );
  });
});

describe("matrices and segments", () => {
  test("products of transposed matrices, single, batched and broadcast", () => {
    const arbitrary = fc.record({
      sizes: fc.tuple(upTo(9), upTo(9), upTo(9)),
      turned: fc.tuple(fc.boolean(), fc.boolean()),
      batches: fc.constantFrom([[], []], [[1], []], [[1, 1], [1]], [[3], [3]], [[3], [1]]),
    });
    fc.assert(
      fc.property(arbitrary, ({ sizes: [m, k, n], turned: [a, b], batches }) => {
        expectSame(() => {
          const left = noise([...batches[0], ...(a ? [k, m] : [m, k])], 1);
          const right = noise([...batches[1], ...(b ? [n, k] : [k, n])], 2);
          return tf.matMul(left, right, a, b);
        });
      }),
      { seed: 7 },
    );
  });

  test("reversal of any axes", () => {
    const arbitrary = fc.record({
      shape: fc.array(upTo(5), { minLength: 1, maxLength: 4 }),
      axes: fc.subarray([0, 1, 2, 3]),
      wide: fc.boolean(),
    });
    fc.assert(
      fc.property(arbitrary, ({ shape, axes, wide }) => {
        const whole = wide ? [...shape, 40] : shape;
        expectSame(() => tf.reverse(noise(whole, 1), axes.filter((axis) => axis < shape.length)));
      }),
      { seed: 8 },
    );
    expectSame(() => tf.reverse(tf.tensor1d([1, 2, 3], "int32")));
  });

  test("sums of segments; ids outside are left out", () => {
    const arbitrary = fc.record({
      ids: fc.array(fc.integer({ min: -3, max: 8 }), { minLength: 1, maxLength: 9 }),
      rest: fc.array(upTo(4), { maxLength: 2 }),
      segments: upTo(6),
      dtype: fc.constantFrom("float32" as const, "int32" as const),
    });
    fc.assert(
      fc.property(arbitrary, ({ ids, rest, segments, dtype }) => {
        expectSame(() => {
          const x = tf.cast(tf.mul(noise([ids.length, ...rest], 1), 100), dtype);
          return tf.unsortedSegmentSum(x, tf.tensor1d(ids, "int32"), segments);
        });
      }),
      { seed: 9 },
    );
  });

  test("gathering differentiates, with an index that comes twice", () => {
    expectSame(() => {
      const gather = (x: Tensor) => tf.gather(x, tf.tensor1d([2, 0, 2], "int32"), 1);
      return tf.grad(gather)(noise([2, 3, 4], 1), noise([2, 3, 4], 2));
    });
  });
});

describe("memory", () => {
  test("a clone shares its numbers, and outlives what it was cloned from", () => {
    visiting(tf, "wasm", () => {
      const before = tf.memory().numDataBuffers;
      const original = tf.tensor1d([1, 2, 3]);
      const clone = tf.clone(original);
      expect(tf.memory().numDataBuffers).toBe(before + 1);
      original.dispose();
      expect([...clone.dataSync()]).toEqual([1, 2, 3]);
      clone.dispose();
      expect(tf.memory().numDataBuffers).toBe(before);
    });
  });

  test.each(["Conv2DBackpropInput", "Conv2DBackpropFilter"])(
    "%s leaves nothing when a kernel inside throws",
    (name) => {
      const transpose = tf.getKernel("Transpose", "wasm");
      visiting(tf, "wasm", () => {
        const inputs = { x: noise([1, 5, 5, 2], 1), dy: noise([1, 5, 5, 3], 2), filter: noise([3, 3, 2, 3], 3) };
        const attrs = {
          strides: 1,
          pad: "same",
          dataFormat: "NHWC",
          inputShape: [1, 5, 5, 2],
          filterShape: [3, 3, 2, 3],
        };
        const before = tf.memory();
        tf.unregisterKernel("Transpose", "wasm");
        tf.registerKernel({
          ...transpose,
          kernelFunc: () => {
            throw new Error("no memory left");
          },
        });
        try {
          expect(() => tf.engine().runKernel(name, inputs, attrs as NamedAttrMap)).toThrow("no memory left");
        } finally {
          tf.unregisterKernel("Transpose", "wasm");
          tf.registerKernel(transpose);
        }
        expect(tf.memory()).toMatchObject({ numTensors: before.numTensors, numDataBuffers: before.numDataBuffers });
        tf.dispose(inputs);
      });
    },
  );
});
