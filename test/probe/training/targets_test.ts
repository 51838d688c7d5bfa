/**
 * Training of labels, numbers and maps: one step by hand, what is not known, and that it learns.
 */

import type { LayersModel, Scalar, SymbolicTensor, Tensor } from "@tensorflow/tfjs";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { type Dataset, dataset, evaluate, loadModel, train } from "../../../mod.ts";
import { ensureBackend } from "../../../lib/runtime/backend.ts";
import { targetsOf } from "../../../lib/probe/training/targets.ts";
import { uniforms } from "../../nets.ts";

const tf = await ensureBackend();
const L = tf.layers;
const SIDE = 4;
type Activation = "softmax" | "sigmoid" | "linear";

/** A network of one layer: on the pixels of each place, or on all. */
function network(activation: Activation, count: number, isMap: boolean): LayersModel {
  const kernelInitializer = tf.initializers.randomNormal({ stddev: 0.5, seed: 3 });
  const input = tf.input({ shape: [SIDE, SIDE, 3] });
  const layer = isMap
    ? L.conv2d({ filters: count, kernelSize: 1, activation, kernelInitializer })
    : L.dense({ units: count, activation, kernelInitializer });
  const from = isMap ? input : L.flatten().apply(input) as SymbolicTensor;
  return tf.model({ inputs: input, outputs: layer.apply(from) as SymbolicTensor });
}

const random = uniforms(6);
const images = Array.from({ length: 6 }, () => ({
  data: Float32Array.from({ length: SIDE * SIDE * 3 }, () => Math.round(255 * random())),
  shape: [SIDE, SIDE, 3],
}));
const numbers = (size: number, make: () => number) => Float32Array.from({ length: size }, make);

interface Case {
  activation: Activation;
  count: number;
  isMap: boolean;
  column: "labels" | "values" | "mask" | "map";
  shape: number[];
  value: () => number;
  /** The mean loss of a batch, written out. */
  loss: (made: Tensor, wanted: Tensor) => Tensor;
}
const clipped = (p: Tensor) => tf.clipByValue(p, 1e-7, 1);
const binary = (p: Tensor, y: Tensor) =>
  tf.neg(tf.mean(tf.add(tf.mul(y, tf.log(clipped(p))), tf.mul(tf.sub(1, y), tf.log(clipped(tf.sub(1, p)))))));
const squares = (made: Tensor, wanted: Tensor) => tf.mean(tf.square(tf.sub(made, wanted)));
const cases: Record<string, Case> = {
  "several labels": {
    activation: "sigmoid",
    count: 2,
    isMap: false,
    column: "labels",
    shape: [2],
    value: () => Math.round(random()),
    loss: binary,
  },
  "numbers": {
    activation: "linear",
    count: 2,
    isMap: false,
    column: "values",
    shape: [2],
    value: random,
    loss: squares,
  },
  "maps of classes": {
    activation: "softmax",
    count: 3,
    isMap: true,
    column: "mask",
    shape: [SIDE, SIDE],
    value: () => Math.floor(3 * random()),
    loss: (p, y) => tf.neg(tf.mean(tf.log(clipped(tf.sum(tf.mul(p, tf.oneHot(tf.cast(y, "int32"), 3)), -1))))),
  },
  "maps of one number for two classes": {
    activation: "sigmoid",
    count: 1,
    isMap: true,
    column: "mask",
    shape: [SIDE, SIDE],
    value: () => Math.round(random()),
    loss: (p, y) => binary(tf.squeeze(p, [3]), y),
  },
  "maps of numbers": {
    activation: "linear",
    count: 1,
    isMap: true,
    column: "map",
    shape: [SIDE, SIDE],
    value: random,
    loss: (made, y) => squares(tf.squeeze(made, [3]), y),
  },
};

beforeAll(() => void vi.spyOn(console, "log").mockImplementation(() => {}));
afterAll(() => void vi.restoreAllMocks());

describe.each(Object.entries(cases))("%s", (_, { activation, count, isMap, column, shape, value, loss }) => {
  const size = shape.reduce((product, length) => product * length, 1);
  const truth = images.map(() => numbers(size, value));
  const told = (data: Float32Array): unknown =>
    column === "labels" ? [...data].map(Boolean) : column === "values" ? [...data] : { data, shape };
  const set: Dataset = dataset(images.map((image, i) => ({ image, [column]: told(truth[i]) })));
  const run = {
    live: false,
    validation: 0,
    batchSize: 6,
    optimizer: { kind: "sgd", momentum: 0 },
    learningRate: 0.1,
  } as const;

  test("a step is that of the loss, written out", async () => {
    const model = await loadModel(network(activation, count, isMap), { preprocess: "unit" });
    const [kernel] = model.network.getWeights();
    const wanted = tf.tidy(() => {
      const x = tf.div(tf.stack(images.map(({ data, shape }) => tf.tensor(data, shape))), 255);
      const y = tf.stack(truth.map((data) => tf.tensor(data, shape)));
      const forward = (weight: Tensor) => {
        const logits = isMap
          ? tf.conv2d(x as never, weight as never, 1, "same") as Tensor
          : tf.matMul(tf.reshape(x, [6, -1]), weight as never);
        const made = activation === "softmax"
          ? tf.softmax(logits)
          : activation === "sigmoid"
          ? tf.sigmoid(logits)
          : logits;
        return loss(made, y) as Scalar;
      };
      const { value, grad } = tf.valueAndGrad(forward)(kernel);
      return { loss: value.dataSync()[0], kernel: tf.sub(kernel, tf.mul(0.1, grad)).dataSync() };
    });
    const { rows } = await train(model, set, { ...run, epochs: 1 });
    expect(rows[0].loss).toBeCloseTo(wanted.loss, 5);
    const [now] = model.network.getWeights();
    (await now.data()).forEach((weight, i) => expect(weight).toBeCloseTo(wanted.kernel[i], 5));
    model.dispose();
  });

  test("it learns, says so without a bad number, and evaluate agrees", async () => {
    const model = await loadModel(network(activation, count, isMap), { preprocess: "unit" });
    const history = await train(model, set, { ...run, validation: set, epochs: 4, learningRate: 0.03 });
    const [first, last] = [history.rows[0], history.rows.at(-1)!];
    expect(last.loss).toBeLessThan(first.loss);
    const text = `${history.figure().text}\n${JSON.stringify(history.rows, (_, v) => Number.isNaN(v) ? "NaN" : v)}`;
    expect(text).not.toMatch(/NaN|undefined|null/);
    const isNumbers = model.output.each === "numbers";
    const found = await evaluate(model, set);
    const [{ value }] = found.measures.filter(({ measure }) =>
      isNumbers ? /^mean absolute error/.test(measure) : /single labels right|places right/.test(measure)
    );
    if (!isNumbers || count === 1) expect(last.validationError ?? last.validationAccuracy).toBeCloseTo(value, 5);
    if (!isNumbers) expect(last.validationLoss).toBeCloseTo(found.loss, 4);
    else expect(text).toContain("mean error");
    model.dispose();
  });
});

test("places of which nothing is known train nothing", async () => {
  const { activation, count, shape } = cases["maps of classes"];
  const both = await Promise.all([NaN, 255].map(async (nothing) => {
    const model = await loadModel(network(activation, count, true), { preprocess: "unit" });
    const masks = images.map((_, i) => ({ data: new Float32Array(16).fill(nothing).fill(i % 3, 0, 4), shape }));
    const { rows } = await train(model, dataset(images.map((image, i) => ({ image, mask: masks[i] }))), {
      live: false,
      validation: 0,
      epochs: 2,
    });
    model.dispose();
    return rows.map(({ loss, accuracy }) => [loss, accuracy]);
  }));
  expect(both[0]).toEqual(both[1]);
  expect(both[0].flat().every(Number.isFinite)).toBe(true);
});

test("maps are mirrored and shifted as their images", () => {
  const [rows, columns] = [3, 4];
  const own = Float32Array.from({ length: 12 }, (_, i) => i);
  const samples = {
    classes: new Int32Array(),
    targets: { values: [own], grid: [rows, columns], channels: 1 },
  } as never;
  const [mirrored] = [1, 2, 3, 4, 5].map((seed) =>
    targetsOf(samples, [0], { flip: true, crop: 0, pad: "black" }, [seed])
  ).filter((made) => made[0] === 3);
  expect([...mirrored]).toEqual([3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8]);
  const shifted = targetsOf(samples, [0], { flip: false, crop: 2, pad: "black" }, [1]);
  const known = [...shifted.entries()].filter(([, value]) => !Number.isNaN(value));
  const offsets = new Set(
    known.map(([at, value]) => `${Math.floor(value / 4) - Math.floor(at / 4)},${value % 4 - at % 4}`),
  );
  expect(offsets.size).toBe(1);
});
