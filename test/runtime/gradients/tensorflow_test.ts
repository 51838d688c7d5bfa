/** Gradients against TensorFlow's, on every backend that starts here. */

import type { Tensor, Tensor3D, Tensor4D, Tensor5D } from "@tensorflow/tfjs";
import { describe, expect, test } from "vitest";
import oracle from "../../oracles/fixtures/gradients.json" with { type: "json" };
import { loadImage } from "../../../lib/data/image.ts";
import { loadModel } from "../../../lib/model/load.ts";
import { inputGradient } from "../../../lib/probe/gradient.ts";
import { ensureBackend, type TF, useBackend } from "../../../lib/runtime/backend.ts";
import { testedBackends } from "../../backends.ts";

interface Case {
  kind: string;
  options: { stride: number; pad: "same" | "valid"; dilation: number; size: number };
  inputs: Record<string, { shape: number[]; value: number[] }>;
  dy: number[];
  gradients: Record<string, number[]>;
}

const available = await testedBackends();
const cases = oracle.cases as unknown as Case[];

/** On WebGPU tfjs's own padding of five axes is wrong, which the gradient of dilated convolutions in 3D needs. */
function impossible(backend: string, { kind, options, inputs }: Case): boolean {
  return backend === "webgpu" && kind === "convolution" && options.dilation > 1 && inputs.x.shape.length === 5;
}

/** The operation of a case, on its inputs in the fixture's order. */
function operation(tf: TF, { kind, options: { stride, pad, dilation, size } }: Case): (...inputs: Tensor[]) => Tensor {
  const deep = (x: Tensor): x is Tensor5D => x.rank === 5;
  switch (kind) {
    case "convolution":
      return (x, filter) =>
        deep(x)
          ? tf.conv3d(x, filter as Tensor5D, stride, pad, "NDHWC", dilation)
          : tf.conv2d(x as Tensor4D, filter as Tensor4D, stride, pad, "NHWC", dilation);
    case "depthwise":
      return (x, filter) => tf.depthwiseConv2d(x as Tensor4D, filter as Tensor4D, stride, pad, "NHWC", dilation);
    case "transposed":
      return (x, filter) => {
        const spatial = x.shape.slice(1, -1).map((n, i) =>
          pad === "same" ? n * stride : (n - 1) * stride + filter.shape[i]
        );
        const shape = [x.shape[0], ...spatial, filter.shape.at(-2)!] as never;
        return deep(x)
          ? tf.conv3dTranspose(x, filter as Tensor5D, shape, stride, pad)
          : tf.conv2dTranspose(x as Tensor4D, filter as Tensor4D, shape, stride, pad);
      };
    case "maxPool":
      return (x) => deep(x) ? tf.maxPool3d(x, size, stride, pad) : tf.maxPool(x as Tensor4D, size, stride, pad);
    case "averagePool":
      return (x) => deep(x) ? tf.avgPool3d(x, size, stride, pad) : tf.avgPool(x as Tensor4D, size, stride, pad);
    case "batchNormalization":
      return (x, mean, variance, scale, offset) =>
        tf.batchNorm(x as Tensor4D, mean as never, variance as never, offset as never, scale as never, 1e-3);
    case "enlarge":
      return (x) => {
        const [height, width] = x.shape.slice(1);
        return tf.image.resizeNearestNeighbor(x as Tensor3D, [height * size, width * size]);
      };
    default:
      throw new Error(`No operation for ${kind}`);
  }
}

function describeCase({ kind, options, inputs }: Case): string {
  const shapes = Object.values(inputs).map(({ shape }) => `[${shape}]`);
  return `${kind} ${shapes.join(" ")} ${Object.entries(options).map((pair) => pair.join(" ")).join(", ")}`;
}

/** The largest difference, relative to the largest wanted value. */
function deviation(found: ArrayLike<number>, wanted: ArrayLike<number>): number {
  expect(found).toHaveLength(wanted.length);
  let scale = 0;
  let worst = 0;
  for (let i = 0; i < wanted.length; i++) {
    scale = Math.max(scale, Math.abs(wanted[i]));
    worst = Math.max(worst, Math.abs(found[i] - wanted[i]));
  }
  return scale === 0 ? worst : worst / scale;
}

describe.each(available)("%s gives TensorFlow's gradients", (backend) => {
  for (const wanted of cases.filter((c) => !impossible(backend, c))) {
    test(describeCase(wanted), async () => {
      await useBackend(backend);
      const tf = await ensureBackend();
      const gradients = tf.tidy(() => {
        const inputs = Object.values(wanted.inputs).map(({ shape, value }) => tf.tensor(value, shape));
        const f = operation(tf, wanted);
        return tf.grads(f)(inputs, tf.tensor(wanted.dy, f(...inputs).shape));
      });
      for (const [i, [name, values]] of Object.entries(wanted.gradients).entries()) {
        expect(deviation(await gradients[i].data(), values), name).toBeLessThan(2e-6);
      }
      tf.dispose(gradients);
    });
  }
});

test("wasm: ResNet-50's gradient of a probability to its input", async () => {
  await useBackend("wasm");
  const tf = await ensureBackend();
  const { photo, class: target, probability, shape, norm, max, index, value } = {
    ...oracle.resnet50,
    shape: [1, 224, 224, 3],
  };
  const model = await loadModel("resnet50");
  const before = tf.memory().numTensors;
  const pixels = await loadImage(new URL(`../../oracles/fixtures/${photo}`, import.meta.url));
  const input = model.input(pixels);
  const x = tf.tensor(input.data, shape);
  const found = inputGradient(
    tf,
    (x) => tf.sum(tf.slice(model.network.apply(x) as Tensor, [0, target], [1, 1])),
    x,
  );
  const gradient = await found.gradient.data();
  expect((await found.value.data())[0]).toBeCloseTo(probability, 4);
  expect(Math.abs(Math.sqrt(Array.from(gradient).reduce((sum, v) => sum + v * v, 0)) / norm - 1)).toBeLessThan(1e-4);
  for (const [i, at] of index.entries()) expect(Math.abs(gradient[at] - value[i])).toBeLessThan(1e-4 * max);
  tf.dispose([x, found.value, found.gradient]);
  expect(tf.memory().numTensors).toBe(before);
  model.dispose();
});
