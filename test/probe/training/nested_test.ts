/** Networks with layers inside of layers: every weight trains, and comes back from a checkpoint. */

import type { layers, LayersModel, Scalar, SymbolicTensor, Tensor, Variable } from "@tensorflow/tfjs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadModel } from "../../../lib/model/load.ts";
import type { TrainingOptions } from "../../../lib/probe/training/options.ts";
import { runTraining } from "../../../lib/probe/training/train.ts";
import { namedWeights } from "../../../lib/model/formats/named_weights.ts";
import { ensureBackend, useBackend } from "../../../lib/runtime/backend.ts";
import { datasetOf, maxDifference, stripes } from "./toys.ts";

const started = await useBackend();
const tf = await ensureBackend();
const L = tf.layers;
beforeAll(() => useBackend("cpu"));
afterAll(() => useBackend(started.name));

let seed = 0;
/** The same start whenever a network is built: the seeds count from 0. */
const built = (make: () => LayersModel) => {
  seed = 0;
  return make();
};
const init = () => tf.initializers.glorotNormal({ seed: ++seed });
const conv = (filters: number, more: Record<string, unknown> = {}) =>
  L.conv2d({ filters, kernelSize: 3, kernelInitializer: init(), activation: "tanh", ...more });
const dense = (units: number, more: Record<string, unknown> = {}) =>
  L.dense({ units, kernelInitializer: init(), ...more });
const head = () => dense(2, { activation: "softmax" });
const apply = (x: SymbolicTensor, ...all: layers.Layer[]) =>
  all.reduce((y, layer) => layer.apply(y) as SymbolicTensor, x);
const image = () => tf.input({ shape: [8, 8, 3] });
const rnn = { kernelInitializer: "glorotNormal", recurrentInitializer: "glorotNormal" } as const;

/** A layer whose two weights have one name. */
class Twice extends L.Layer {
  static className = "Twice";
  #own: ReturnType<layers.Layer["addWeight"]>[] = [];
  override build() {
    this.#own = [2, 3].map((value) =>
      this.addWeight(`${value}/scale`, [1], "float32", tf.initializers.constant({ value }), undefined, true)
    );
    this.built = true;
  }
  override computeOutputShape(shape: (number | null)[]) {
    return shape;
  }
  override call(inputs: Tensor | Tensor[]) {
    const [x] = [inputs].flat();
    return tf.tidy(() => this.#own.reduce((y: Tensor, scale) => tf.mul(y, scale.read()), x));
  }
}
tf.serialization.registerClass(Twice as never);

const nets: Record<string, () => LayersModel> = {
  "a Sequential first in a Sequential": () =>
    tf.sequential({
      layers: [tf.sequential({ layers: [conv(2, { inputShape: [8, 8, 3] }), L.flatten()] }), head()],
    }),
  "a Sequential in a Sequential": () =>
    tf.sequential({
      layers: [
        conv(2, { inputShape: [8, 8, 3] }),
        tf.sequential({ layers: [conv(3, { inputShape: [6, 6, 2] }), L.flatten(), dense(4, { activation: "tanh" })] }),
        head(),
      ],
    }),
  "a Sequential as head, with a Reshape behind its softmax": () =>
    tf.sequential({
      layers: [
        conv(2, { inputShape: [8, 8, 3] }),
        tf.sequential({
          layers: [L.flatten({ inputShape: [6, 6, 2] }), dense(2), L.softmax({}), L.reshape({ targetShape: [1, 2] })],
        }),
        L.flatten(),
      ],
    }),
  "a model in a model in a model, used twice": () => {
    const deep = tf.input({ shape: [6, 6, 4] });
    const innermost = tf.model({ inputs: deep, outputs: apply(deep, conv(4, { padding: "same" })) });
    const middle = tf.input({ shape: [6, 6, 4] });
    const inner = tf.model({ inputs: middle, outputs: apply(middle, innermost, conv(4, { padding: "same" })) });
    const x = image();
    return tf.model({ inputs: x, outputs: apply(x, conv(4), inner, inner, L.flatten(), head()) });
  },
  "a layer shared twice": () => {
    const x = image();
    const shared = conv(3, { padding: "same" });
    return tf.model({ inputs: x, outputs: apply(x, shared, shared, shared, L.flatten(), head()) });
  },
  "a layer shared with a model inside": () => {
    const shared = conv(3, { padding: "same" });
    const y = image();
    const inner = tf.model({ inputs: y, outputs: apply(y, shared, conv(3, { padding: "same" })) });
    const x = image();
    return tf.model({ inputs: x, outputs: apply(x, shared, inner, L.flatten(), head()) });
  },
  "layers of the same name in two models": () => {
    const part = (name: string) => {
      const y = image();
      return tf.model({ inputs: y, outputs: apply(y, conv(3, { padding: "same", name: "conv" })), name });
    };
    const x = image();
    return tf.model({ inputs: x, outputs: apply(x, part("a"), part("b"), L.flatten(), head()) });
  },
  "two weights of the same name in a layer": () => {
    const x = image();
    return tf.model({ inputs: x, outputs: apply(x, L.flatten(), dense(3), new Twice({}) as layers.Layer, head()) });
  },
  "TimeDistributed": () => {
    const x = image();
    const rows = L.timeDistributed({ layer: dense(4, { activation: "tanh" }) });
    return tf.model({ inputs: x, outputs: apply(x, rows, L.flatten(), head()) });
  },
  "TimeDistributed over a model": () => {
    const part = tf.sequential({ layers: [L.flatten({ inputShape: [8, 3] }), dense(4, { activation: "tanh" })] });
    const x = image();
    return tf.model({ inputs: x, outputs: apply(x, L.timeDistributed({ layer: part }), L.flatten(), head()) });
  },
  "Bidirectional": () => {
    const x = image();
    const both = L.bidirectional({ layer: L.lstm({ units: 3, ...rnn }) as layers.RNN, mergeMode: "concat" });
    return tf.model({ inputs: x, outputs: apply(x, L.reshape({ targetShape: [8, 24] }), both, head()) });
  },
  "stacked recurrent cells": () => {
    const x = image();
    const cells = [L.gruCell({ units: 3, ...rnn }), L.simpleRNNCell({ units: 3, ...rnn })];
    return tf.model({
      inputs: x,
      outputs: apply(x, L.reshape({ targetShape: [8, 24] }), L.rnn({ cell: cells }), head()),
    });
  },
  "an average of softmaxes": () => {
    const x = image();
    const flat = apply(x, L.flatten());
    const both = [head(), head()].map((layer) => layer.apply(flat) as SymbolicTensor);
    return tf.model({ inputs: x, outputs: L.average().apply(both) as SymbolicTensor });
  },
};

const options: TrainingOptions = {
  optimizer: { kind: "sgd", momentum: 0 },
  learningRate: 0.5,
  epochs: 1,
  batchSize: 16,
  validation: 0,
};

async function valuesOf(net: LayersModel): Promise<Record<string, Float32Array>> {
  const all = [...namedWeights(net)].map(async ([name, variable]) => [name, (await variable.data()).slice()] as const);
  return Object.fromEntries(await Promise.all(all)) as Record<string, Float32Array>;
}

/** Gives a network the weights of another one. */
const copyWeights = (from: LayersModel, to: LayersModel) => to.setWeights(from.getWeights());

const load = (net: LayersModel) => loadModel(net, { preprocess: "unit" });

describe.each(Object.keys(nets))("%s", (name) => {
  test("every weight moves, as in tfjs's own training", async () => {
    const net = built(nets[name]);
    const reference = built(nets[name]);
    copyWeights(net, reference);
    const start = await valuesOf(net);
    expect(Object.keys(start).length).toBe(new Set(net.weights.map((weight) => weight.read())).size);
    await runTraining(await load(net), stripes(16), options);
    const trained = await valuesOf(net);
    const still = Object.keys(start).filter((weight) => maxDifference(trained[weight], start[weight]) === 0);
    expect(still).toEqual([]);

    const pixels: number[] = [];
    const classes: number[] = [];
    for await (const { image, label } of stripes(16)) {
      pixels.push(...image.data);
      classes.push(label === "down" ? 1 : 0);
    }
    const xs = tf.tensor4d(pixels.map((value) => value / 255), [16, 8, 8, 3]);
    const ys = tf.oneHot(tf.tensor1d(classes, "int32"), 2);
    // Its own fit would step twice with a weight that is listed twice.
    const variables = [...new Set(reference.trainableWeights.map((weight) => weight.read() as Variable))];
    const { value, grads } = tf.variableGrads(() => {
      const output = reference.apply(xs, { training: true }) as Tensor;
      return tf.mean(tf.metrics.categoricalCrossentropy(ys, output)) as Scalar;
    }, variables);
    tf.tidy(() => variables.forEach((own) => own.assign(tf.sub(own, tf.mul(0.5, grads[own.name])))));
    const wanted = Object.values(await valuesOf(reference));
    Object.values(trained).forEach((values, i) => expect(maxDifference(values, wanted[i])).toBeLessThan(2e-5));
    tf.dispose([xs, ys, value, grads]);
  });

  test("a run is taken up again from its checkpoint, with all its weights", async () => {
    const folder = await Deno.makeTempDir();
    const run = async (more: TrainingOptions, start: LayersModel) => {
      const net = built(nets[name]);
      copyWeights(start, net);
      const history = await runTraining(await load(net), stripes(16), { ...options, batchSize: 8, ...more });
      return { history, weights: Object.values(await valuesOf(net)) };
    };
    const start = built(nets[name]);
    const whole = await run({ epochs: 3, optimizer: "adam" }, start);
    const checkpoint = `${folder}/run`;
    await run({ epochs: 1, optimizer: "adam", checkpoint }, start);
    // Another start, which the checkpoint overrules.
    const resumed = await run({ epochs: 3, optimizer: "adam", checkpoint }, built(nets[name]));
    whole.weights.forEach((values, i) => expect(maxDifference(values, resumed.weights[i])).toBe(0));
    const snapshots = ({ history }: typeof whole) => history.snapshots.map(({ weights }) => Object.values(weights));
    expect(snapshots(resumed)).toEqual(snapshots(whole));
    const names = resumed.history.snapshots.map(({ weights }) => Object.keys(weights).join());
    expect(new Set(names).size).toBe(1);
    await Deno.remove(folder, { recursive: true });
  });
});

test("a weight that no gradient reaches is told before the first step, unless its layer is frozen", async () => {
  class Idle extends Twice {
    static override className = "Idle";
    override call(inputs: Tensor | Tensor[]) {
      return [inputs].flat()[0].clone();
    }
  }
  tf.serialization.registerClass(Idle as never);
  for (const trainable of [true, false]) {
    const x = image();
    const idle = new Idle({ name: "idle" }) as layers.Layer;
    const net = tf.model({ inputs: x, outputs: apply(x, L.flatten(), idle, head()) });
    idle.trainable = trainable;
    const before = { count: tf.memory().numTensors, weights: await valuesOf(net) };
    const run = runTraining(await load(net), stripes(16), options);
    if (trainable) {
      await expect(run).rejects.toThrow(/The weights "idle\/scale" of "\w+" would not train: no gradient reaches them/);
      expect(await valuesOf(net)).toEqual(before.weights);
    } else await run;
    expect(tf.memory().numTensors).toBe(before.count);
  }
});

test("what is watched: nested models too, but neither what is linear nor what makes the output", async () => {
  const watched = async (name: string) => {
    const net = built(nets[name]);
    const { layers, snapshots } = await runTraining(await load(net), stripes(16), options);
    const kinds = layers.map(({ layer }) => net.getLayer(layer).getClassName());
    expect(Object.keys(snapshots[0].activations)).toEqual([...new Set(layers.map(({ layer }) => layer))]);
    return kinds.slice(0, kinds.length / 2);
  };
  expect(await watched("a Sequential in a Sequential")).toEqual(["Conv2D", "Sequential"]);
  expect(await watched("a Sequential first in a Sequential")).toEqual(["Sequential"]);
  expect(await watched("a Sequential as head, with a Reshape behind its softmax")).toEqual(["Conv2D"]);
  expect(await watched("a layer shared twice")).toEqual(["Conv2D"]);
  expect(await watched("an average of softmaxes")).toEqual([]);
});

test("what is frozen inside of a model or a wrapper stays, normalisations too", async () => {
  const inner = tf.sequential({
    name: "inner",
    layers: [conv(3, { inputShape: [8, 8, 3], name: "conv" }), L.batchNormalization({ name: "norm" })],
  });
  const rows = L.timeDistributed({ layer: dense(4), name: "rows" });
  const both = L.bidirectional({ layer: L.lstm({ units: 2, ...rnn }) as layers.RNN, mergeMode: "sum", name: "both" });
  const x = image();
  const net = tf.model({
    inputs: x,
    outputs: apply(x, inner, rows, L.reshape({ targetShape: [6, 24] }), both, dense(2, { name: "out" }), L.softmax({})),
  });
  inner.trainable = false;
  rows.trainable = false;
  both.trainable = false;
  const start = await valuesOf(net);
  expect(Object.keys(start)).toContain("inner/norm/moving_mean");
  await runTraining(await load(net), stripes(16), options);
  const trained = await valuesOf(net);
  const moved = Object.keys(start).filter((name) => maxDifference(trained[name], start[name]) > 0);
  expect(moved).toEqual(["out/kernel", "out/bias"]);
});

test("dropout and normalisation inside of a model and of TimeDistributed", async () => {
  const make = () => {
    const part = tf.sequential({
      layers: [dense(4, { inputShape: [8, 3] }), L.batchNormalization({ name: "norm" }), L.dropout({ rate: 0.5 })],
    });
    const x = image();
    return tf.model({ inputs: x, outputs: apply(x, L.timeDistributed({ layer: part }), L.flatten(), head()) });
  };
  const results: Record<string, Float32Array>[] = [];
  for (const seed of [1, 1, 2]) {
    const net = built(make);
    const start = await valuesOf(net);
    const before = tf.memory().numTensors;
    await runTraining(await load(net), stripes(16), { ...options, seed });
    expect(tf.memory().numTensors).toBe(before);
    const trained = await valuesOf(net);
    expect(Object.keys(start).filter((name) => maxDifference(trained[name], start[name]) === 0)).toEqual([]);
    results.push(trained);
  }
  const [a, b, c] = results.map((values) => Object.values(values));
  a.forEach((values, i) => expect(maxDifference(values, b[i])).toBe(0));
  expect(a.some((values, i) => maxDifference(values, c[i]) > 1e-4)).toBe(true);
});

test("regularizers of inner layers count once each", async () => {
  const penalized = (l2: number) => () => {
    const more = { kernelRegularizer: l2 ? tf.regularizers.l2({ l2 }) : undefined };
    const shared = dense(3, { inputShape: [3], ...more });
    const inner = tf.sequential({ layers: [shared] });
    const x = image();
    return tf.model({ inputs: x, outputs: apply(x, inner, shared, L.flatten(), dense(2, more), L.softmax({})) });
  };
  const run = async (make: () => LayersModel, more: TrainingOptions) => {
    const net = built(make);
    await runTraining(await load(net), stripes(16), { ...options, ...more });
    return Object.values(await valuesOf(net));
  };
  const own = await run(penalized(0.05), {});
  const decayed = await run(penalized(0), { weightDecay: 0.1 });
  own.forEach((values, i) => expect(maxDifference(values, decayed[i])).toBeLessThan(1e-6));
});

test("what would not repeat is told", async () => {
  const fail = async (message: RegExp, ...all: layers.Layer[]) => {
    const x = image();
    const net = tf.model({ inputs: x, outputs: apply(x, L.reshape({ targetShape: [8, 24] }), ...all, head()) });
    await expect(runTraining(await load(net), stripes(16), options)).rejects.toThrow(message);
  };
  await fail(/is a LSTM with dropout of its own, which draws/, L.lstm({ units: 2, dropout: 0.5, name: "l" }));
  const x = tf.input({ batchShape: [16, 8, 8, 3] });
  const stateful = [L.reshape({ targetShape: [8, 24] }), L.lstm({ units: 2, stateful: true, name: "l" }), head()];
  const net = tf.model({ inputs: x, outputs: apply(x, ...stateful) });
  await expect(runTraining(await load(net), stripes(16), options)).rejects.toThrow(
    /"l" of .* keeps its state from batch/,
  );
  const inner = L.gru({ units: 2, recurrentDropout: 0.2 }) as layers.RNN;
  await fail(/dropout of its own/, L.bidirectional({ layer: inner, mergeMode: "sum" }));
  const noise = tf.sequential({ layers: [L.gaussianNoise({ stddev: 1, inputShape: [24] })] });
  await fail(/GaussianNoise, which draws random numbers/, L.timeDistributed({ layer: noise }), L.flatten());
});

test("an image set's name and a layer's do not make another run", async () => {
  const folder = await Deno.makeTempDir();
  const pixels = new Float32Array(192).fill(9);
  const data = (name: string) =>
    datasetOf([0, 1].map((i) => ({ pixels, shape: [8, 8, 3], label: "ab"[i] })), ["a", "b"], name);
  const net = () => tf.sequential({ layers: [L.flatten({ inputShape: [8, 8, 3] }), head()] });
  const checkpoint = `${folder}/run`;
  await runTraining(await load(net()), data("x"), { ...options, checkpoint });
  await expect(runTraining(await load(net()), data("y"), { ...options, checkpoint })).rejects.toThrow(
    /differs in training images, ids \("sha256 \w{16}" there, "sha256 \w{16}" here\)\. /,
  );
  const { rows } = await runTraining(await load(net()), data("x"), { ...options, epochs: 3, checkpoint });
  expect(rows.map(({ epoch }) => epoch)).toEqual([1, 2, 3]);
  await Deno.remove(folder, { recursive: true });
});
