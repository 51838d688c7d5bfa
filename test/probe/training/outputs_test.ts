/** Training and its validation by what the outputs are: right, or one clear sentence before the first step. */

import type { layers, LayersModel, SymbolicTensor, Tensor } from "@tensorflow/tfjs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Dataset } from "../../../lib/data/dataset.ts";
import { Image } from "../../../lib/data/image.ts";
import { loadModel, type LoadModelOptions } from "../../../lib/model/load.ts";
import type { TrainingOptions } from "../../../lib/probe/training/options.ts";
import { runTraining } from "../../../lib/probe/training/train.ts";
import { ensureBackend, useBackend } from "../../../lib/runtime/backend.ts";
import { datasetOf, stripes } from "./toys.ts";

const started = await useBackend();
const tf = await ensureBackend();
const L = tf.layers;
beforeAll(() => useBackend("cpu"));
afterAll(() => useBackend(started.name));

const init = (seed: number) => tf.initializers.glorotNormal({ seed });
const dense = (units: number, activation: "softmax" | "sigmoid" | "linear" | "tanh" = "linear", seed = 3) =>
  L.dense({ units, activation, kernelInitializer: init(seed), name: `d${seed}` });
const through = (x: SymbolicTensor, ...all: layers.Layer[]) =>
  all.reduce((y, layer) => layer.apply(y) as SymbolicTensor, x);

/** A network of a convolution, flattened, and what a test puts behind it. */
function net(head: (features: SymbolicTensor, maps: SymbolicTensor) => SymbolicTensor | SymbolicTensor[]): LayersModel {
  const x = tf.input({ shape: [8, 8, 3] });
  const maps = through(x, L.conv2d({ filters: 2, kernelSize: 3, activation: "tanh", kernelInitializer: init(1) }));
  return tf.model({ inputs: x, outputs: head(through(maps, L.flatten()), maps) });
}

const names = ["across", "down"];
const three = datasetOf(
  Array.from({ length: 12 }, (_, i) => ({
    pixels: Float32Array.from({ length: 192 }, (_, j) => (i * 41 + j * 7 * (i % 3 + 1)) % 256),
    shape: [8, 8, 3],
    label: "abc"[i % 3],
  })),
  ["a", "b", "c"],
);
const two = stripes(12);

const softmax = (row: number[]) => {
  const all = row.map(Math.exp);
  return all.map((value) => value / all.reduce((a, b) => a + b));
};
const sigmoid = (value: number) => 1 / (1 + Math.exp(-value));

/** What a network puts out for one image → the probability of each class. */
const readings: Record<string, (row: number[]) => number[]> = {
  "as they are": (row) => row,
  logits: softmax,
  "one probability": ([p]) => [1 - p, p],
  "one logit": ([score]) => [1 - sigmoid(score), sigmoid(score)],
};

interface Case {
  make: () => LayersModel;
  load?: Partial<LoadModelOptions>;
  reading: string;
  data?: Dataset;
  output?: number;
  /** Whether the loss is that of independent answers. */
  independent?: boolean;
}

const cases: Record<string, Case> = {
  "softmax": { make: () => net((x) => through(x, dense(3, "softmax"))), reading: "as they are", data: three },
  "Dense, then Softmax": {
    make: () => net((x) => through(x, dense(3), L.softmax({}))),
    reading: "as they are",
    data: three,
  },
  "softmax, then nothing": {
    make: () => net((x) => through(x, dense(3, "softmax"), L.activation({ activation: "linear" }))),
    reading: "as they are",
    data: three,
  },
  "softmax, then dropout of none": {
    make: () => net((x) => through(x, dense(3, "softmax"), L.dropout({ rate: 0 }))),
    reading: "as they are",
    data: three,
  },
  "logits, by the model's labels": {
    make: () => net((x) => through(x, dense(3))),
    load: { labels: ["c", "b", "a"] },
    reading: "logits",
    data: three,
  },
  "logits, by the data set's labels": { make: () => net((x) => through(x, dense(3))), reading: "logits", data: three },
  "logits, said to be": {
    make: () => net((x) => through(x, dense(2))),
    load: { output: "classes" },
    reading: "logits",
  },
  "log-softmax": {
    make: () => net((x) => through(x, dense(3), L.activation({ activation: "logSoftmax" as "softmax" }))),
    reading: "logits",
    data: three,
  },
  "one sigmoid": { make: () => net((x) => through(x, dense(1, "sigmoid"))), reading: "one probability" },
  "one sigmoid with labels": {
    make: () => net((x) => through(x, dense(1), L.activation({ activation: "sigmoid" }))),
    load: { labels: ["down", "across"] },
    reading: "one probability",
  },
  "one logit, said to be": {
    make: () => net((x) => through(x, dense(1))),
    load: { output: "binary" },
    reading: "one logit",
  },
  "sigmoids, said to be classes": {
    make: () => net((x) => through(x, dense(3, "sigmoid"))),
    load: { output: "classes" },
    reading: "as they are",
    data: three,
    independent: true,
  },
  "softmax, then Reshape": {
    make: () => net((x) => through(x, dense(3, "softmax"), L.reshape({ targetShape: [1, 1, 3] }))),
    reading: "as they are",
    data: three,
  },
  "a convolution with a softmax, then Flatten": {
    make: () =>
      net((_, maps) =>
        through(
          maps,
          L.conv2d({ filters: 3, kernelSize: 6, activation: "softmax", kernelInitializer: init(4) }),
          L.flatten(),
        )
      ),
    reading: "as they are",
    data: three,
  },
  "a nested head": {
    make: () =>
      net((x) => through(x, tf.sequential({ layers: [L.dense({ units: 4, inputShape: [72] }), dense(3, "softmax")] }))),
    reading: "as they are",
    data: three,
  },
  "a nested head, then Reshape": {
    make: () =>
      net((x) =>
        through(
          x,
          tf.sequential({ layers: [L.dense({ units: 3, inputShape: [72] }), L.softmax({})] }),
          L.reshape({ targetShape: [3, 1] }),
        )
      ),
    reading: "as they are",
    data: three,
  },
  "an average of softmaxes": {
    make: () =>
      net((x) => L.average().apply([2, 3].map((seed) => through(x, dense(3, "softmax", seed)))) as SymbolicTensor),
    reading: "as they are",
    data: three,
  },
  "an average of sigmoids": {
    make: () =>
      net((x) => L.average().apply([2, 3].map((seed) => through(x, dense(1, "sigmoid", seed)))) as SymbolicTensor),
    reading: "one probability",
  },
  "the second of two outputs": {
    make: () => net((x) => [through(x, dense(1, "linear", 2)), through(x, dense(3, "softmax", 3))]),
    load: { output: "d3" },
    reading: "as they are",
    data: three,
    output: 1,
  },
  "a last layer that is used twice": {
    make: () =>
      net((x) => {
        const shared = L.dense({ units: 72, activation: "softmax", kernelInitializer: init(5), name: "shared" });
        return through(x, shared, shared);
      }),
    reading: "as they are",
    data: { ...three, labels: Array.from({ length: 72 }, (_, i) => i < 3 ? "abc"[i] : `${i}`) },
  },
};

const options: TrainingOptions = { epochs: 2, batchSize: 12, learningRate: 0.05, snapshots: [] };

describe.each(Object.entries(cases))("%s", (_, { make, load, reading, data = two, output = 0, independent }) => {
  test("loss and accuracy are those of the outputs, and training lowers the loss", async () => {
    const network = make();
    const model = await loadModel(network, { preprocess: "unit", ...load });
    const before = tf.memory().numTensors;
    // Steps that change nothing: the loss of a step is then that of the validation.
    const still = await runTraining(model, data, { ...options, epochs: 1, learningRate: 1e-12, validation: data });
    expect(still.rows[0].loss).toBeCloseTo(still.rows[0].validationLoss, 4);
    expect(still.rows[0].accuracy).toBeCloseTo(still.rows[0].validationAccuracy, 6);

    const { rows, labels } = await runTraining(model, data, { ...options, epochs: 12, validation: data });
    expect(tf.memory().numTensors).toBe(before);
    const { validationLoss, validationAccuracy } = rows.at(-1)!;
    expect(validationLoss).toBeLessThan(still.rows[0].validationLoss);

    let [loss, right, count] = [0, 0, 0];
    for await (const { image, label } of data) {
      const x = tf.tensor4d(Float32Array.from(image.data, (value) => value / 255), [1, 8, 8, 3]);
      const all = [network.predict(x)].flat() as Tensor[];
      const p = readings[reading]([...await all[output].data()]);
      tf.dispose([x, all]);
      const index = labels.indexOf(label!);
      loss -= independent
        ? p.reduce((sum, value, i) => sum + Math.log(i === index ? value : 1 - value), 0) / p.length
        : Math.log(p[index]);
      right += Number(p.indexOf(Math.max(...p)) === index);
      count++;
    }
    expect(validationLoss).toBeCloseTo(loss / count, 4);
    expect(validationAccuracy).toBeCloseTo(right / count, 6);
    model.dispose();
  });
});

describe("one clear sentence, before the first step, for", () => {
  const fail = async (
    make: () => LayersModel,
    message: RegExp,
    data: Dataset = two,
    load: Partial<LoadModelOptions> = {},
  ) => {
    const model = await loadModel(make(), { preprocess: "unit", name: "net", ...load });
    const before = model.network.getWeights().map((weight) => weight.dataSync().slice());
    const failing = runTraining(model, data, options);
    await expect(failing).rejects.toThrow(message);
    await expect(failing).rejects.not.toThrow(/undefined|\[object/);
    expect(model.network.getWeights().map((weight) => weight.dataSync())).toEqual(before);
    model.dispose();
  };

  test.each<[string, (x: SymbolicTensor, maps: SymbolicTensor) => SymbolicTensor, RegExp]>([
    [
      "independent labels",
      (x) => through(x, dense(3, "sigmoid")),
      /^The model "net" puts out 3 independent labels \(sigmoid\); the data set "[^"]+" names one class an image, and no labels\. Give each image its labels; or, if no other is right than the one, load the model with output: "classes"\.$/,
    ],
    [
      "one number",
      (x) => through(x, dense(1)),
      /puts out 1 number \(linear\), no probability; the data set "[^"]+" names one class an image, and no value\. Give each image its value; or, if they are logits, load the model with output: "binary"\.$/,
    ],
    [
      "four numbers",
      (x) => through(x, dense(4)),
      /puts out 4 numbers \(linear\), no probabilities; .* if they are logits, .* output: "classes"\.$/,
    ],
    [
      "tanh",
      (x) => through(x, dense(2, "tanh")),
      /puts out 2 numbers \(tanh\), no probabilities; .* let the network end in a softmax/,
    ],
    ["rectified numbers", (x) => through(x, dense(2), L.reLU({})), /puts out 2 numbers \(relu\), no probabilities/],
    [
      "maps",
      (_, maps) => through(maps, L.conv2d({ filters: 2, kernelSize: 1 })),
      /puts out maps of 2 channels \(linear\); .* or put a pooling and a dense layer/,
    ],
    ["maps of softmaxes", (_, maps) => through(maps, L.softmax({})), /puts out maps of 2 channels \(softmax\)/],
  ])("%s", (_, head, message) => fail(() => net(head), message));

  test("outputs that are not as many as the labels", async () => {
    await fail(
      () => net((x) => through(x, dense(3, "softmax"))),
      /tells 3 classes apart; the data set "stripes" has 2/,
    );
    await fail(
      () => net((x) => through(x, dense(1, "sigmoid"))),
      /tells 2 classes apart; the data set "toy" has 3/,
      three,
    );
  });

  test("labels that the model does not know, or knows twice", async () => {
    const make = () => net((x) => through(x, dense(3, "softmax")));
    await fail(make, /There is no class "across" in the model "net"/, two, { labels: ["x", "y", "z"] });
    await fail(make, /The label "a" of the image "toy-0" names the classes 0 and 2 of "net"/, three, {
      labels: ["a", "b", "a"],
    });
  });

  const image = new Image({ data: new Float32Array(192), shape: [8, 8, 3] }, { name: "x", source: "x" });
  const faulty = (size: number, fault: object = {}): Dataset => ({
    name: "faulty",
    size,
    labels: names,
    async *[Symbol.asyncIterator]() {
      for (let i = 0; i < 8; i++) yield { id: `img-${i}`, image, label: names[i % 2], ...(i === 5 && fault) };
    },
  });
  test.each<[string, Dataset, RegExp]>([
    ["a size of NaN", faulty(NaN), /The size of the data set "faulty".*: received NaN/],
    ["a size of 0", faulty(0), /must be a whole number ≥ 1: received 0|holds no image/],
    ["a size that is too small", faulty(7), /says that it holds 7 images, and gave more/],
    ["a size that is too large", faulty(9), /says that it holds 9 images, and gave 8/],
    ["an image that is missing", faulty(8, { image: null }), /img-5.* has no image/],
    ["an image that is none", faulty(8, { image: 7 }), /img-5/],
    ["a label that is null", faulty(8, { label: null }), /img-5.*must be a string: received null/],
    ["a label that is a number", faulty(8, { label: 7 }), /img-5.*must be a string: received 7/],
    ["no label", faulty(8, { label: undefined }), /The image "img-5" of "faulty" has no label/],
    ["a label that is not listed", faulty(8, { label: "up" }), /There is no class "up"/],
    ["no labels", { ...faulty(8), labels: [] }, /has no labels to train on/],
  ])("a data set with %s", async (_, data, message) => {
    const make = () => net((x) => through(x, dense(2, "softmax")));
    await fail(make, message, data);
    // The same of a validation set.
    const model = await loadModel(make(), { preprocess: "unit" });
    if (data.labels!.length > 0) {
      await expect(runTraining(model, two, { ...options, validation: data })).rejects.toThrow(message);
    }
    model.dispose();
  });
});
