/** Every layer of layers models on wasm: what it puts out, its input gradient and a step of training are as on cpu. */

import type { LayersModel, SymbolicTensor, Tensor } from "@tensorflow/tfjs";
import { describe, expect, test } from "vitest";
import { type BackendName, ensureBackend, useBackend } from "../../../lib/runtime/backend.ts";

await useBackend("cpu");
const tf = await ensureBackend();

// deno-lint-ignore no-explicit-any -- tfjs's layer functions share no type but this.
const layers = tf.layers as any;
type Build = (input: SymbolicTensor) => SymbolicTensor;

const IMAGE = [8, 8, 4];
const VECTOR = [6];
const SEQUENCE = [7, 5];
const VOLUME = [5, 5, 5, 2];
const FILM = [3, 6, 6, 2];
const INDICES = [5];

/** tfjs's names that make no layer, or one that is in the table under another name. */
const OTHERS = [
  ...["Layer", "input", "inputLayer", "RNN", "RNNCell", "rnn", "gruCell", "lstmCell", "simpleRNNCell"],
  ...["stackedRNNCells", "convLstm2dCell", "avgPool1d", "avgPool2d", "avgPool3d", "avgPooling1d", "avgPooling2d"],
  ...["avgPooling3d", "maxPool1d", "maxPool2d", "globalMaxPool1d", "globalMaxPool2d"],
];

/** These fail in tfjs on every backend, without a gradient, too. */
const BROKEN = ["resizing", "centerCrop", "randomWidth"];

const table: { name: string; shape: number[]; build: Build }[] = [];

function add(shape: number[], name: string, options: object = {}): void {
  const details = Object.entries(options).filter(([, value]) => typeof value !== "object");
  const title = [name, ...details.map(([key, value]) => `${key} ${value}`)].join(", ");
  table.push({ name: title, shape, build: (input) => layers[name](options).apply(input) });
}

/** A layer of several inputs: the image, and a convolution of it. */
function addMerging(name: string): void {
  const build = (input: SymbolicTensor) =>
    layers[name]().apply([input, layers.conv2d({ filters: 4, kernelSize: 1 }).apply(input)]);
  table.push({ name, shape: IMAGE, build });
}

for (const activation of ["linear", "relu"]) {
  for (const padding of ["same", "valid"]) {
    for (const strides of [1, 2]) {
      const window = { kernelSize: 3, strides, padding, activation };
      add(IMAGE, "conv2d", { filters: 5, ...window });
      add(IMAGE, "conv2dTranspose", { filters: 5, ...window });
      add(IMAGE, "depthwiseConv2d", { depthMultiplier: 2, ...window });
      add(IMAGE, "separableConv2d", { filters: 5, ...window });
      add(SEQUENCE, "conv1d", { filters: 5, ...window });
      add(VOLUME, "conv3d", { filters: 3, ...window });
      add(VOLUME, "conv3dTranspose", { filters: 3, ...window });
    }
    const dilated = { kernelSize: 2, dilationRate: 2, padding, activation };
    add(IMAGE, "conv2d", { filters: 5, ...dilated });
    add(IMAGE, "depthwiseConv2d", dilated);
    add(IMAGE, "separableConv2d", { filters: 3, ...dilated });
    add(SEQUENCE, "conv1d", { filters: 5, ...dilated });
    add(VOLUME, "conv3d", { filters: 3, ...dilated });
  }
}
add(IMAGE, "conv2d", { filters: 5, kernelSize: 3, dataFormat: "channelsFirst" });
for (const padding of ["same", "valid"]) {
  for (const strides of [1, 2]) {
    for (const kind of ["max", "average"]) {
      add(SEQUENCE, `${kind}Pooling1d`, { poolSize: 3, strides, padding });
      add(IMAGE, `${kind}Pooling2d`, { poolSize: 3, strides, padding });
      add(VOLUME, `${kind}Pooling3d`, { poolSize: 3, strides, padding });
    }
  }
}
for (const kind of ["Average", "Max"]) {
  add(SEQUENCE, `global${kind}Pooling1d`);
  add(IMAGE, `global${kind}Pooling2d`);
}
const ACTIVATIONS = ["elu", "hardSigmoid", "linear", "relu", "relu6", "selu", "sigmoid", "softmax", "softplus"];
for (const activation of [...ACTIVATIONS, "softsign", "tanh", "swish", "mish", "gelu", "gelu_new"]) {
  add(IMAGE, "activation", { activation });
  add(VECTOR, "dense", { units: 4, activation });
}
for (const name of ["reLU", "elu", "leakyReLU", "prelu", "thresholdedReLU"]) add(IMAGE, name);
add(VECTOR, "softmax");
add(IMAGE, "dense", { units: 4 });
add(IMAGE, "batchNormalization");
add(VECTOR, "batchNormalization");
add(IMAGE, "layerNormalization");
for (const name of ["dropout", "gaussianDropout", "alphaDropout"]) add(IMAGE, name, { rate: 0.5 });
add(SEQUENCE, "spatialDropout1d", { rate: 0.5 });
add(IMAGE, "gaussianNoise", { stddev: 0.5 });
add(IMAGE, "cropping2D", { cropping: [[1, 1], [2, 1]] });
add(IMAGE, "zeroPadding2d", { padding: 1 });
for (const interpolation of ["nearest", "bilinear"]) add(IMAGE, "upSampling2d", { size: [2, 2], interpolation });
add(IMAGE, "rescaling", { scale: 0.5, offset: 1 });
add(IMAGE, "flatten");
add(IMAGE, "reshape", { targetShape: [16, 16] });
add(IMAGE, "permute", { dims: [2, 1, 3] });
add(VECTOR, "repeatVector", { n: 3 });
add(SEQUENCE, "masking");
for (const name of ["simpleRNN", "gru", "lstm"]) {
  add(SEQUENCE, name, { units: 3 });
  add(SEQUENCE, name, { units: 3, returnSequences: true });
}
add(FILM, "convLstm2d", { filters: 3, kernelSize: 3, padding: "same" });
add(SEQUENCE, "bidirectional", { layer: layers.lstm({ units: 3 }), mergeMode: "concat" });
add(FILM, "timeDistributed", { layer: layers.conv2d({ filters: 3, kernelSize: 3 }) });
for (const name of ["add", "average", "maximum", "minimum", "multiply", "concatenate"]) addMerging(name);
table.push({
  name: "dot",
  shape: VECTOR,
  build: (input) => layers.dot({ axes: -1 }).apply([input, layers.dense({ units: 6 }).apply(input)]),
});
add(INDICES, "embedding", { inputDim: 10, outputDim: 4 });
add([10], "categoryEncoding", { numTokens: 10, outputMode: "multiHot" });

/** Layers whose inputs are indices, to which nothing can be differentiated. */
const DISCRETE = /^(embedding|categoryEncoding)/;

function wave(length: number, step: number, scale: number, offset: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => Math.sin(i * step) * scale + offset);
}

/** What the network does on one backend: its outputs, its input gradient, and its weights after a step of training. */
async function behaviour(backend: BackendName, network: LayersModel, shape: number[], discrete: boolean) {
  await useBackend(backend);
  network.setWeights(network.getWeights().map((w, i) => tf.tensor(wave(w.size, 7.7 + i, 0.3, 0.35), w.shape)));
  const size = 2 * tf.util.sizeFromShape(shape);
  const values = discrete ? Float32Array.from({ length: size }, (_, i) => i % 9) : wave(size, 12.9898, 1.3, 0.01);
  const x = tf.tensor(values, [2, ...shape]);
  const output = network.predict(x) as Tensor;
  const found: Record<string, ArrayLike<number>> = { output: output.dataSync() };
  if (!discrete) {
    const weights = tf.tensor(wave(output.size, 1.7, 1, 0), output.shape);
    found.gradient = tf.grad((x) => tf.sum(tf.mul(network.apply(x) as Tensor, weights)))(x).dataSync();
  }
  if (network.trainableWeights.length > 0) {
    network.compile({ optimizer: tf.train.sgd(0.05), loss: "meanSquaredError" });
    await network.trainOnBatch(x, tf.fill(output.shape, 0.3));
    found.weights = network.getWeights().flatMap((weight) => [...weight.dataSync()]);
  }
  return found;
}

function expectClose(found: ArrayLike<number>, wanted: ArrayLike<number>, what: string): void {
  expect(found.length, what).toBe(wanted.length);
  const scale = Math.max(...Array.from(wanted, Math.abs));
  for (let i = 0; i < wanted.length; i++) {
    // Not toBeLessThan: that would let NaN be told less clearly.
    if (!(Math.abs(found[i] - wanted[i]) <= 5e-5 * scale)) {
      expect.fail(`${what}[${i}]: ${found[i]}, on cpu ${wanted[i]}, where the largest is ${scale}`);
    }
  }
}

describe("on wasm as on cpu", () => {
  test.each(table)("$name", async ({ name, shape, build }) => {
    tf.engine().startScope();
    const input = tf.input({ shape });
    const network = tf.model({ inputs: input, outputs: build(input) });
    const wanted = await behaviour("cpu", network, shape, DISCRETE.test(name));
    const found = await behaviour("wasm", network, shape, DISCRETE.test(name));
    expect(Object.keys(found)).toEqual(Object.keys(wanted));
    for (const [what, values] of Object.entries(wanted)) expectClose(found[what], values, what);
    tf.engine().endScope();
  });

  test("no layer of tfjs is left out", () => {
    const covered = new Set(table.map(({ name }) => name.split(",")[0]));
    expect(Object.keys(layers).filter((name) => !covered.has(name)).sort()).toEqual([...OTHERS, ...BROKEN].sort());
  });
});
