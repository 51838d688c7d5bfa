/**
 * Taps of layers inside nested, shared, residual and time-distributed models against what TensorFlow.js itself computes
 * in them, and the pass replayed from each of them.
 */

import type { layers as tfLayers, LayersModel, SymbolicTensor, Tensor } from "@tensorflow/tfjs";
import { describe, expect, test } from "vitest";
import { loadModel } from "../../mod.ts";
import { sizeOf } from "../../lib/array.ts";
import { traceAnySize } from "../../lib/model/graph.ts";
import { forward } from "../../lib/probe/forward.ts";
import { inputGradient } from "../../lib/probe/gradient.ts";
import { makePlan, withPlan } from "../../lib/probe/plan.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { uniforms } from "../nets.ts";
import { expectReplays, recordCalls } from "./replay.ts";

const tf = await ensureBackend();
const { layers: L } = tf;
const apply = (layer: tfLayers.Layer, x: SymbolicTensor | SymbolicTensor[]) => layer.apply(x) as SymbolicTensor;
const chain = (x: SymbolicTensor, ...all: tfLayers.Layer[]) => all.reduce((x, layer) => apply(layer, x), x);
const conv = (name: string, filters: number) =>
  L.conv2d({ name, filters, kernelSize: 3, padding: "same", activation: "relu" });

/** Convolution, batch normalisation, ReLU, with a way past all of them. */
function residual(name: string, channels: number): LayersModel {
  const input = tf.input({ shape: [8, 8, channels], name: `${name}_in` });
  const bent = chain(
    input,
    L.conv2d({ name: "conv", filters: channels, kernelSize: 3, padding: "same", useBias: false }),
    L.batchNormalization({ name: "norm" }),
    L.activation({ name: "relu", activation: "relu" }),
  );
  return tf.model({ inputs: input, outputs: apply(L.add({ name: "sum" }), [bent, input]), name });
}

/** As Teachable Machine builds them: models in a Sequential in a Sequential. */
function teachable(): LayersModel {
  const base = tf.sequential({ name: "base" });
  base.add(L.conv2d({ name: "first", inputShape: [8, 8, 3], filters: 2, kernelSize: 3, activation: "relu" }));
  base.add(L.depthwiseConv2d({ name: "second", kernelSize: 3, useBias: false }));
  base.add(L.batchNormalization({ name: "norm" }));
  base.add(L.reLU({ name: "relu", maxValue: 6 }));
  const features = tf.sequential({ name: "features" });
  features.add(base);
  features.add(L.globalAveragePooling2d({ name: "mean", dataFormat: "channelsLast" }));
  const head = tf.sequential({ name: "head" });
  head.add(L.dense({ name: "hidden", inputShape: [2], units: 4, activation: "relu" }));
  head.add(L.dense({ name: "classes", units: 3, activation: "softmax" }));
  const all = tf.sequential({ name: "teachable" });
  all.add(features);
  all.add(head);
  return all;
}

/** A tower that is used twice, on the image and on what a layer makes of it; a convolution that is used three times. */
function siamese(): LayersModel {
  const image = tf.input({ shape: [8, 8, 3], name: "image" });
  const tower = residual("tower", 3);
  const shared = conv("shared", 3);
  const one = apply(tower, image);
  const other = apply(tower, apply(shared, image));
  const both = chain(apply(L.add({ name: "both" }), [one, other]), shared, shared);
  const outputs = chain(both, L.flatten({ name: "flat" }), L.dense({ name: "numbers", units: 2 }));
  return tf.model({ inputs: image, outputs, name: "siamese" });
}

/** A nested model with two inputs and two outputs, of which the second is read. */
function crossed(): LayersModel {
  const a = tf.input({ shape: [8, 8, 3], name: "a" });
  const b = tf.input({ shape: [8, 8, 2], name: "b" });
  const joined = apply(L.concatenate({ name: "join" }), [b, a]);
  const inner = tf.model({
    inputs: [a, b],
    outputs: [apply(conv("left", 2), a), apply(conv("right", 3), joined)],
    name: "inner",
  });
  const image = tf.input({ shape: [8, 8, 3], name: "image" });
  const [, right] = inner.apply([image, apply(conv("side", 2), image)]) as SymbolicTensor[];
  const outputs = chain(right, L.globalMaxPooling2d({ name: "max" }), L.dense({ name: "number", units: 1 }));
  return tf.model({ inputs: image, outputs, name: "crossed" });
}

/** A Sequential whose first layer is a model, used twice; and a layer that is named as one inside of it is. */
function stacked(): LayersModel {
  const image = tf.input({ shape: [8, 8, 3], name: "image" });
  const twice = tf.sequential({ name: "twice" });
  twice.add(residual("base", 3));
  twice.add(conv("last", 3));
  const same = L.conv2d({ name: "twice/last", filters: 3, kernelSize: 1 });
  const outputs = chain(image, same, twice, twice, L.flatten({ name: "flat" }), L.dense({ name: "numbers", units: 2 }));
  return tf.model({ inputs: image, outputs, name: "stacked" });
}

/** A model for each frame of a film, a convolution for each, and what is made of all frames. */
function film(): LayersModel {
  const frames = tf.input({ shape: [3, 8, 8, 3], name: "frames" });
  const outputs = chain(
    frames,
    L.timeDistributed({ name: "each", layer: residual("tower", 3) }),
    L.timeDistributed({ name: "more", layer: conv("wide", 4) }),
    L.timeDistributed({ name: "means", layer: L.globalAveragePooling2d({ name: "mean" }) }),
    L.flatten({ name: "flat" }),
    L.dense({ name: "numbers", units: 2 }),
  );
  return tf.model({ inputs: frames, outputs, name: "film" });
}

const networks: Record<string, { make: () => LayersModel; names: string[]; shape?: number[] }> = {
  "a residual model in a Sequential": {
    make: () => {
      const net = tf.sequential({ name: "transfer" });
      net.add(residual("base", 3));
      net.add(L.flatten({ name: "flat" }));
      net.add(L.dense({ name: "classes", units: 2, activation: "softmax" }));
      return net;
    },
    names: ["base", "base/base_in", "base/conv", "base/norm", "base/relu", "base/sum", "flat", "classes"],
  },
  "models in a Sequential in a Sequential": {
    make: teachable,
    names: [
      ...["features", "features/base", "features/base/first", "features/base/second", "features/base/norm"],
      ...["features/base/relu", "features/mean", "head", "head/hidden", "head/classes"],
    ],
  },
  "shared models and layers": {
    make: siamese,
    names: [
      ...["image", "shared", "tower", "tower/tower_in", "tower/conv", "tower/norm", "tower/relu", "tower/sum"],
      ...["tower:2", "tower:2/tower_in", "tower:2/conv", "tower:2/norm", "tower:2/relu", "tower:2/sum"],
      ...["both", "shared:2", "shared:3", "flat", "numbers"],
    ],
  },
  "a Sequential that begins with a model, twice": {
    make: stacked,
    names: [
      ...["image", "twice/last", "twice", "twice/base", "twice/base/base_in", "twice/base/conv", "twice/base/norm"],
      ...["twice/base/relu", "twice/base/sum", "twice/last (2)", "twice:2", "twice:2/base", "twice:2/base/base_in"],
      ...["twice:2/base/conv", "twice:2/base/norm", "twice:2/base/relu", "twice:2/base/sum", "twice:2/last"],
      ...["flat", "numbers"],
    ],
  },
  "a model for each frame": {
    make: film,
    shape: [3, 8, 8, 3],
    names: [
      ...["frames", "each", "each/tower", "each/tower/tower_in", "each/tower/conv", "each/tower/norm"],
      ...["each/tower/relu", "each/tower/sum", "more", "more/wide", "means", "means/mean", "flat", "numbers"],
    ],
  },
  "two inputs and two outputs": {
    make: crossed,
    names: [
      ...["image", "side", "inner", "inner/a", "inner/b", "inner/join", "inner/left", "inner/right", "max", "number"],
    ],
  },
};

const image = (shape = [8, 8, 3]) => {
  const next = uniforms(7);
  return { data: Float32Array.from({ length: sizeOf(shape) }, () => 2 * next() - 1), shape };
};

/** Weights at random, so that normalisations do something. */
function randomize(network: LayersModel) {
  const next = uniforms(11);
  const weights = network.getWeights().map(({ shape }) => {
    const values = Float32Array.from(
      { length: sizeOf(shape) },
      () => shape.length > 1 ? (next() - 0.4) / 2 : 0.5 + next(),
    );
    return tf.tensor(values, shape);
  });
  network.setWeights(weights);
  tf.dispose(weights);
}

describe.each(Object.entries(networks))("%s", (_, { make, names, shape: of }) => {
  test("each layer is listed, found, and equal to what TensorFlow.js computes; the pass goes on from it", async () => {
    const network = make();
    randomize(network);
    const model = await loadModel(network, { preprocess: "none" });
    const before = tf.memory().numTensors;
    expect(model.layers.map(({ name }) => name).toSorted()).toEqual(names.toSorted());
    expect(model.params).toBe(network.countParams());
    const input = image(of);
    const calls = recordCalls(network, tf.tensor(input.data, [1, ...input.shape]));
    for (const { name, kind, isModel } of model.layers) {
      const [{ data, shape }] = await forward(model, [input], [name]);
      expect(shape.slice(1)).toEqual(model.shapeOf(name, input.shape));
      const { layer, use: { steps } } = model.entry(name);
      if (!isModel && kind !== "InputLayer") expect(calls.closest(layer, data, steps ? 3 : 1), name).toBeLessThan(1e-5);
      await expectReplays(network, name, input);
    }
    expect(model.layers.filter(({ kind, isModel }) => !isModel && kind !== "InputLayer")).toHaveLength(
      calls.count(of ? 3 : 1),
    );
    // Four images at once: normalisations are folded, sums are taken over.
    const many = await forward(model, [input, input, input, input], names);
    const one = await forward(model, [input], names);
    many.forEach(({ data }, i) =>
      one[i].data.forEach((value, k) => expect(Math.abs(data[k] - value)).toBeLessThan(1e-4 * (1 + Math.abs(value))))
    );
    expect(tf.memory().numTensors).toBe(before);
    model.dispose();
  });

  test("the gradient to the image is that of TensorFlow.js", async () => {
    const network = make();
    randomize(network);
    const model = await loadModel(network, { preprocess: "none" });
    const { data, shape } = image(of);
    const x = tf.tensor(data, [1, ...shape]);
    const plan = makePlan(network, traceAnySize(network).outputs, { fold: true, sums: true });
    const first = (y: Tensor) => tf.sum(tf.slice(y, [0, 0], [1, 1]));
    const ours = withPlan(tf, plan, (f) => inputGradient(tf, (x) => first(f(x)[0]), x));
    const theirs = inputGradient(tf, (x) => first(network.apply(x) as Tensor), x);
    const [a, b] = await Promise.all([ours.gradient.data(), theirs.gradient.data()]);
    const largest = Math.max(...b.map(Math.abs));
    expect(largest).toBeGreaterThan(0);
    a.forEach((value, i) => expect(Math.abs(value - b[i])).toBeLessThan(1e-4 * largest));
    tf.dispose([x, ...Object.values(ours), ...Object.values(theirs)]);
    model.dispose();
  });
});
