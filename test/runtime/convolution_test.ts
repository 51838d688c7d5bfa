/** Convolutions in one step against their definition, and against the same in several steps. */

import fc from "fast-check";
import type { Tensor, Tensor4D } from "@tensorflow/tfjs";
import { expect, test } from "vitest";
import { sizeOf } from "../../lib/array.ts";
import { inputGradient } from "../../lib/probe/gradient.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { convolution, type ConvolutionAttributes, type ConvolutionInputs } from "../../lib/runtime/core/convolution.ts";
import { uniforms } from "../nets.ts";

const tf = await ensureBackend();

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

const cases = fc.record({
  batch: fc.integer({ min: 1, max: 3 }),
  height: fc.integer({ min: 3, max: 12 }),
  width: fc.integer({ min: 3, max: 12 }),
  // Kernels of our own take 8 channels and more, and filters by eights.
  channels: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.constantFrom(8, 12)),
  filters: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.constantFrom(8, 16)),
  taps: fc.integer({ min: 1, max: 3 }),
  stride: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 3 })),
  dilation: fc.integer({ min: 1, max: 2 }),
  pad: fc.constantFrom("same" as const, "valid" as const),
  rectify: fc.boolean(),
  withSide: fc.boolean(),
  seed: fc.nat(1e6),
}).filter(({ stride, dilation, taps, height, width }) =>
  // Of strides longer than the window tfjs's wasm kernel leaves some outputs out.
  stride <= taps && (stride === 1 || dilation === 1) && (taps - 1) * dilation < Math.min(height, width)
);
type Case = typeof cases extends fc.Arbitrary<infer T> ? T : never;

/** The tensors of a case: inputs, and a gradient to the output. */
function tensorsOf(c: Case) {
  const next = uniforms(c.seed);
  const some = (shape: number[]) => tf.tensor(Array.from({ length: sizeOf(shape) }, () => 2 * next() - 1), shape);
  const x = some([c.batch, c.height, c.width, c.channels]) as Tensor4D;
  const filter = some([c.taps, c.taps, c.channels, c.filters]) as Tensor4D;
  const attributes: ConvolutionAttributes = {
    strides: [c.stride, c.stride],
    pad: c.pad,
    dilations: [c.dilation, c.dilation],
    rectify: c.rectify,
  };
  const { outShape } = tf.backend_util.computeConv2DInfo(x.shape, filter.shape, c.stride, c.dilation, c.pad);
  const inputs = { x, filter, bias: some([c.filters]), ...c.withSide && { side: some(outShape) } } as ConvolutionInputs;
  return { inputs, attributes, dy: some(outShape) };
}

/** The definition, in plain loops. */
async function naive({ x, filter, bias, side }: ConvolutionInputs, attributes: ConvolutionAttributes) {
  const [image, weights, offsets, added] = await Promise.all(
    [x, filter, bias, side].map((tensor) => (tensor as Tensor | undefined)?.data<"float32">()),
  );
  const { strides: [stride], dilations: [dilation], pad, rectify } = attributes;
  const info = tf.backend_util.computeConv2DInfo(x.shape, filter.shape, stride, dilation, pad);
  const [height, width, channels] = x.shape.slice(1);
  const [taps, , , filters] = filter.shape;
  const output: number[] = [];
  for (let n = 0; n < x.shape[0]; n++) {
    for (let i = 0; i < info.outHeight; i++) {
      for (let j = 0; j < info.outWidth; j++) {
        for (let f = 0; f < filters; f++) {
          let sum = offsets![f] + (added?.[output.length] ?? 0);
          for (let k = 0; k < taps; k++) {
            for (let l = 0; l < taps; l++) {
              const row = i * stride + k * dilation - info.padInfo.top;
              const column = j * stride + l * dilation - info.padInfo.left;
              if (row < 0 || row >= height || column < 0 || column >= width) continue;
              for (let c = 0; c < channels; c++) {
                sum += image![((n * height + row) * width + column) * channels + c] *
                  weights![((k * taps + l) * channels + c) * filters + f];
              }
            }
          }
          output.push(rectify ? Math.max(0, sum) : sum);
        }
      }
    }
  }
  return output;
}

test("is what its definition says, for every shape", async () => {
  await fc.assert(
    fc.asyncProperty(cases, async (c) => {
      const { inputs, attributes, dy } = tensorsOf(c);
      const output = convolution(tf, inputs, attributes);
      expect(output.shape).toEqual(dy.shape);
      expect(deviation(await output.data(), await naive(inputs, attributes))).toBeLessThan(2e-6);
      tf.dispose([...Object.values(inputs), output, dy]);
    }),
    { numRuns: 100, seed: 3 },
  );
});

test("has the gradients that it has in several steps, to each input, and leaves no tensor", async () => {
  await fc.assert(
    fc.asyncProperty(cases, async (c) => {
      const before = tf.memory().numTensors;
      const { inputs, attributes, dy } = tensorsOf(c);
      const { rectify, ...window } = attributes;
      const severally = (x: Tensor, filter: Tensor, bias: Tensor, side?: Tensor) => {
        const { strides, pad, dilations } = window;
        const output = tf.add(tf.conv2d(x as Tensor4D, filter as Tensor4D, strides, pad, "NHWC", dilations), bias);
        const sum = side ? tf.add(output, side) : output;
        return rectify ? tf.relu(sum) : sum;
      };
      const once = (...[x, filter, bias, side]: Tensor[]) =>
        convolution(tf, { x, filter, bias, ...side && { side } } as ConvolutionInputs, attributes);
      const list = Object.values(inputs) as Tensor[];
      const [found, wanted] = [once, severally].map((f) => tf.grads(f as typeof once)(list, dy));
      for (const [i, gradient] of wanted.entries()) {
        expect(deviation(await found[i].data(), await gradient.data())).toBeLessThan(5e-6);
      }
      tf.dispose([list, dy, found, wanted]);
      expect(tf.memory().numTensors).toBe(before);
    }),
    { numRuns: 100, seed: 4 },
  );
});

test.each(["plain", "deconvnet", "guided"] as const)("heeds the rule %s for its ReLU", async (relu) => {
  const { inputs, attributes } = tensorsOf({
    ...{ batch: 2, height: 6, width: 5, channels: 3, filters: 4, taps: 3, stride: 1, dilation: 1, pad: "same" },
    ...{ rectify: true, withSide: true, seed: 5 },
  });
  const { x, ...rest } = inputs;
  const weights = tf.randomUniform([2, 6, 5, 4], -1, 1, "float32", 6);
  const once = (x: Tensor) => tf.sum(tf.mul(convolution(tf, { x: x as Tensor4D, ...rest }, attributes), weights));
  const severally = (x: Tensor) => {
    const output = tf.add(tf.add(tf.conv2d(x as Tensor4D, rest.filter, 1, "same"), rest.bias), rest.side!);
    return tf.sum(tf.mul(tf.relu(output), weights));
  };
  const [found, wanted] = [once, severally].map((f) => inputGradient(tf, f, x, { relu }));
  expect(deviation(await found.gradient.data(), await wanted.gradient.data())).toBeLessThan(5e-6);
  tf.dispose([found.value, found.gradient, wanted.value, wanted.gradient, weights, ...Object.values(inputs)]);
});
