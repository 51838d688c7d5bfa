/**
 * One answer everywhere: the same nets give the same outputs and the same gradients on every backend that is here, by
 * every rule for ReLUs, within 1e-4 of the largest value.
 */

import type { LayersModel, SymbolicTensor, Tensor } from "@tensorflow/tfjs";
import { afterAll, describe, expect, test } from "vitest";
import { ndarray, sizeOf } from "../../lib/array.ts";
import { loadModel } from "../../lib/model/load.ts";
import { forward } from "../../lib/probe/forward.ts";
import { inputGradient, type ReluRule } from "../../lib/probe/gradient.ts";
import { type BackendName, doctor, ensureBackend, useBackend } from "../../lib/runtime/backend.ts";
import { expectClose } from "../close.ts";
import { uniforms } from "../nets.ts";
import { skipFor } from "../long.ts";
import { testedBackends } from "../backends.ts";

// This suite goes through the backends itself.
Deno.env.delete("CONVLENS_BACKEND");
const { rows } = await doctor();
const backends = await testedBackends();
for (const { name, available, reason } of rows) {
  if (!available) skipFor(`the backend ${name}, which is compared with the others: ${reason}`);
}
await useBackend("cpu");
const tf = await ensureBackend();
afterAll(() => useBackend("cpu"));

const relu = (x: SymbolicTensor) => tf.layers.activation({ activation: "relu" }).apply(x) as SymbolicTensor;
const conv = (filters: number, x: SymbolicTensor, options = {}) =>
  tf.layers.conv2d({ filters, kernelSize: 3, padding: "same", ...options }).apply(x) as SymbolicTensor;
const head = (x: SymbolicTensor) =>
  tf.layers.dense({ units: 5 }).apply(
    tf.layers.globalAveragePooling2d({}).apply(x) as SymbolicTensor,
  ) as SymbolicTensor;

/** Small nets of every kind that differ in what they ask of a backend. */
const NETS: Record<string, (input: SymbolicTensor) => SymbolicTensor> = {
  plain(x) {
    x = conv(6, x, { activation: "relu" });
    x = tf.layers.maxPooling2d({ poolSize: 2 }).apply(x) as SymbolicTensor;
    x = conv(8, x, { activation: "relu", padding: "valid" });
    x = tf.layers.averagePooling2d({ poolSize: 2 }).apply(x) as SymbolicTensor;
    x = tf.layers.dense({ units: 10, activation: "relu" }).apply(
      tf.layers.flatten().apply(x) as SymbolicTensor,
    ) as SymbolicTensor;
    return tf.layers.dense({ units: 5, activation: "softmax" }).apply(x) as SymbolicTensor;
  },
  "overlapping pools"(x) {
    x = tf.layers.maxPooling2d({ poolSize: 3, strides: 2 }).apply(conv(6, x, { activation: "relu" })) as SymbolicTensor;
    x = tf.layers.maxPooling2d({ poolSize: 3, strides: 2, padding: "same" }).apply(relu(conv(6, x))) as SymbolicTensor;
    return head(x);
  },
  residual(x) {
    x = relu(tf.layers.batchNormalization().apply(conv(6, x, { strides: 2 })) as SymbolicTensor);
    for (let i = 0; i < 2; i++) {
      const branch = tf.layers.batchNormalization().apply(conv(6, relu(conv(6, x)))) as SymbolicTensor;
      x = relu(tf.layers.add().apply([x, branch]) as SymbolicTensor);
    }
    return head(x);
  },
  depthwise(x) {
    x = relu(
      tf.layers.depthwiseConv2d({ kernelSize: 3, depthMultiplier: 2, padding: "same" }).apply(x) as SymbolicTensor,
    );
    x = relu(tf.layers.depthwiseConv2d({ kernelSize: 3, strides: 2 }).apply(x) as SymbolicTensor);
    x = tf.layers.separableConv2d({ filters: 8, kernelSize: 3 }).apply(x) as SymbolicTensor;
    return head(tf.layers.reLU({ maxValue: 6 }).apply(x) as SymbolicTensor);
  },
  dilated(x) {
    return head(relu(conv(4, relu(conv(6, x, { dilationRate: 2 })), { dilationRate: 3, padding: "valid" })));
  },
  nested(x) {
    const inner = tf.sequential({
      layers: [
        tf.layers.conv2d({ inputShape: [12, 12, 3], filters: 3, kernelSize: 3, padding: "same", activation: "relu" }),
        tf.layers.conv2d({ filters: 3, kernelSize: 1, activation: "relu" }),
      ],
    });
    return head(inner.apply(x) as SymbolicTensor);
  },
  shared(x) {
    const layer = tf.layers.conv2d({ filters: 3, kernelSize: 3, padding: "same", activation: "relu" });
    return head(layer.apply(layer.apply(x) as SymbolicTensor) as SymbolicTensor);
  },
};

function make(name: string): LayersModel {
  const input = tf.input({ shape: [12, 12, 3] });
  const net = tf.model({ inputs: input, outputs: NETS[name](input) });
  const next = uniforms(name.length);
  tf.tidy(() =>
    net.setWeights(net.weights.map(({ shape, originalName }) => {
      const size = sizeOf(shape as number[]);
      // Averages stay near 0, variances and scales near 1, and kernels of about the size that keeps signals alive.
      const norm = /variance|gamma/.test(originalName) ? 1 : 0;
      const spread = shape.length > 1 ? 3 / Math.sqrt(size / shape.at(-1)!) : 0.2;
      return tf.tensor(Array.from({ length: size }, () => norm + spread * (next() - 0.45)), shape as number[]);
    }))
  );
  return net;
}

interface Answers {
  output: ArrayLike<number>;
  gradients: Record<ReluRule, ArrayLike<number>>;
}

async function answers(net: LayersModel, backend: BackendName, pixels: Float32Array): Promise<Answers> {
  await useBackend(backend);
  const model = await loadModel(net, { preprocess: "none" });
  const inputs = Array.from({ length: 4 }, () => ndarray(pixels, [12, 12, 3]));
  const [{ data: output }] = await forward(model, inputs, [model.layers.at(-1)!.name]);
  const gradients = {} as Answers["gradients"];
  for (const rule of ["plain", "deconvnet", "guided"] as const) {
    const x = tf.tensor(pixels, [1, 12, 12, 3]);
    const unit = tf.oneHot([2], 5);
    const { value, gradient } = inputGradient(
      tf,
      (x) => tf.sum(tf.mul(net.apply(x) as Tensor, tf.cast(unit, "float32"))),
      x,
      { relu: rule },
    );
    gradients[rule] = await gradient.data();
    tf.dispose([x, unit, value, gradient]);
  }
  return { output, gradients };
}

const next = uniforms(5);
const pixels = Float32Array.from({ length: 12 * 12 * 3 }, () => next() - 0.3);

describe.each(Object.keys(NETS))("%s", (name) => {
  test(`is one net on ${backends.join(", ")}`, async () => {
    await useBackend("cpu");
    const net = make(name);
    const wanted = await answers(net, "cpu", pixels);
    for (const backend of backends) {
      if (backend === "cpu") continue;
      const found = await answers(net, backend, pixels);
      expectClose(found.output, wanted.output, `${backend}: output`);
      for (const rule of ["plain", "deconvnet", "guided"] as const) {
        expectClose(found.gradients[rule], wanted.gradients[rule], `${backend}: ${rule} gradient`);
      }
    }
    // The rules must differ where there are ReLUs, or nothing was compared.
    const { plain, deconvnet, guided } = wanted.gradients;
    expect(Array.from(deconvnet)).not.toEqual(Array.from(plain));
    expect(Array.from(guided)).not.toEqual(Array.from(plain));
    net.dispose();
  });
});

test.each(backends)(
  "equal cells of a max-pooling: on %s the first in reading order takes the gradient",
  async (backend) => {
    await useBackend(backend);
    const x = tf.tensor([5, 5, 0, 0, 5, 5, 0, 0, 1, 2, 3, 3, 2, 2, 3, 3], [1, 4, 4, 1]);
    const { value, gradient } = inputGradient(tf, (x) => tf.sum(tf.maxPool(x as never, 2, 2, "valid")), x);
    expect(Array.from(await gradient.data())).toEqual([1, 0, 1, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]);
    tf.dispose([x, value, gradient]);
  },
);
