/** Weights of a whole network that go into another one in their order. */

import type { layers, LayersModel, SymbolicTensor, Tensor } from "@tensorflow/tfjs";
import { afterAll, describe, expect, test } from "vitest";
import { alexnet } from "../../lib/model/architectures/builders.ts";
import { googlenet, resnet50, squeezenet } from "../../lib/model/architectures/branched.ts";
import { copyWeights } from "../../lib/model/by_order.ts";
import { loadModel } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { longTest } from "../long.ts";
import { entriesOf } from "../packed.ts";

const tf = await ensureBackend();
const folder = await Deno.makeTempDir();
afterAll(() => Deno.remove(folder, { recursive: true }));

/** Gives a network other weights, a sine's; those of its normalizations near what they begin with. */
function redraw(network: LayersModel): void {
  for (const [i, weight] of network.weights.entries()) {
    const value = weight.read() as Tensor;
    const isKernel = /kernel/.test(weight.originalName);
    const spread = isKernel ? Math.sqrt(2 / Math.max(1, value.size / value.shape.at(-1)!)) : 0.1;
    const around = /variance|gamma/.test(weight.originalName) ? 1 : 0;
    tf.tidy(() => {
      const waves = tf.sin(tf.mul(tf.range(1, 1 + value.size), 12.9898 + i));
      weight.write(tf.reshape(tf.add(around, tf.mul(waves, spread)), value.shape));
    });
  }
}

/** The largest difference of what two networks put out for the same image, in parts of the largest output. */
function difference(a: LayersModel, b: LayersModel): number {
  return tf.tidy(() => {
    const image = tf.randomUniform([1, ...b.inputs[0].shape.slice(1) as number[]], -1, 1, "float32", 7);
    const [one, other] = [a, b].map((network) => tf.reshape(network.predict(image) as Tensor, [-1]));
    return tf.div(tf.max(tf.abs(tf.sub(one, other))), tf.max(tf.abs(one))).dataSync()[0];
  });
}

/** A residual block: what is added comes in either order, the ending is a dense layer or a convolution of 1×1. */
function residual({ swapped = false, dense = true, epsilon = 1e-3, padding = "same" as "same" | "valid" } = {}) {
  const apply = (layer: layers.Layer, ...x: SymbolicTensor[]) => layer.apply(x.length > 1 ? x : x[0]) as SymbolicTensor;
  const image = tf.input({ shape: [8, 8, 3] });
  const conv = (x: SymbolicTensor, filters: number, kernelSize: number, more: object = {}) =>
    apply(tf.layers.conv2d({ filters, kernelSize, padding: "same", useBias: dense, ...more }), x);
  const start = conv(image, 4, 3, { padding });
  const beside = conv(start, 4, 3);
  const normalized = apply(tf.layers.batchNormalization({ epsilon }), conv(start, 4, 3));
  const long = conv(apply(tf.layers.reLU(), normalized), 4, 3);
  const sum = apply(tf.layers.add(), ...swapped ? [beside, long] : [long, beside]);
  const mean = apply(tf.layers.globalAveragePooling2d({}), sum);
  if (dense) return tf.model({ inputs: image, outputs: apply(tf.layers.dense({ units: 5 }), mean) });
  const cell = apply(tf.layers.reshape({ targetShape: [1, 1, 4] }), mean);
  return tf.model({ inputs: image, outputs: conv(cell, 5, 1) });
}

describe("weights in order", () => {
  test("find their layers however branches come, and bring what belongs to them", () => {
    const from = residual({ dense: false, epsilon: 0.1 });
    const to = residual({ swapped: true });
    redraw(from);
    copyWeights(tf, from, to);
    expect(difference(from, to)).toBeLessThan(1e-6);
    from.dispose();
    to.dispose();
  });

  test("that do not fit change nothing, and the error says which layer differs", () => {
    const [from, other] = [residual(), residual({ padding: "valid" })];
    const before = other.weights.map((weight) => (weight.read() as Tensor).dataSync().join());
    expect(() => copyWeights(tf, from, other)).toThrow(
      /sees 3 pixels, 1 apart, from -1 on.*paddings or strides differ/,
    );
    const small = tf.sequential({ layers: [tf.layers.dense({ units: 2, inputShape: [4], name: "small" })] });
    expect(() => copyWeights(tf, small, other)).toThrow(/it has 1 \(from "small" on\) layers.*the network has 6/);
    const large = tf.sequential({ layers: [tf.layers.dense({ units: 3, inputShape: [4], name: "large" })] });
    expect(() => copyWeights(tf, small, large)).toThrow('the kernel of its layer "small" has the shape [4,2]');
    expect(other.weights.map((weight) => (weight.read() as Tensor).dataSync().join())).toEqual(before);
    for (const network of [from, other, small, large]) network.dispose();
  });
});

/** Published graphs of the classics, with few numbers for weights: `test/oracles/light_classics.py`. */
const CLASSICS: [file: string, builder: () => Promise<Model>][] = [
  ["squeezenet", squeezenet],
  ["bvlc_alexnet", () => alexnet({ groups: 2 })],
  ["inception_v1", googlenet],
  ["resnet50", () => resnet50({ variant: "torchvision" })],
];

longTest.each(CLASSICS)("%s as published fits into its builder, and computes the same there", async (name, builder) => {
  const files = await entriesOf("light_classics.zip");
  await Deno.writeFile(`${folder}/${name}.onnx`, await files.get(`${name}.onnx`)!.read());
  const published = await loadModel(`${folder}/${name}.onnx`);
  redraw(published.network);
  const built = await builder();
  copyWeights(tf, published.network, built.network);
  expect(difference(published.network, built.network)).toBeLessThan(1e-4);
  published.dispose();
  built.dispose();
});

longTest("the file goes into the builder by loadModel; another variant's is refused", async () => {
  const files = await entriesOf("light_classics.zip");
  for (const name of ["squeezenet", "resnet50"]) {
    await Deno.writeFile(`${folder}/${name}.onnx`, await files.get(`${name}.onnx`)!.read());
  }
  const published = await loadModel(`${folder}/squeezenet.onnx`);
  const built = await squeezenet();
  const filled = await loadModel(built, { weights: `${folder}/squeezenet.onnx` });
  expect(difference(published.network, filled.network)).toBeLessThan(1e-6);
  const other = await resnet50();
  await expect(loadModel(other, { weights: `${folder}/resnet50.onnx` })).rejects.toThrow(
    /The weights of .*resnet50\.onnx do not fit into the network "resnet50": .*paddings or strides differ/,
  );
  for (const model of [published, built, other]) model.dispose();
});
