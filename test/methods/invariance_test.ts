/** Codes of transformed images: against a loop written here, on paper, and by what must be so. */

import { afterAll, describe, expect, test } from "vitest";
import { invariance, loadModel, type Model, NdArray, photo } from "../../mod.ts";
import { dataset } from "../../lib/data/dataset.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { SLOW } from "../backends.ts";
import { longTest } from "../long.ts";
import { landscape, sigmoidNet, uniforms, wavesNet } from "../nets.ts";

const tf = await ensureBackend();
const models: Model[] = [];
afterAll(() => models.forEach((model) => model.dispose()));

const kept = (model: Model) => (models.push(model), model);
const waves = async () => kept(await loadModel(await wavesNet(), { preprocess: "none", name: "waves" }));

/** Numbers that look random, 0…255. */
function randomImage(shape: readonly number[], seed: number): NdArray {
  const random = uniforms(seed);
  return new NdArray(Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => 255 * random()), shape);
}

/** The pixel of an image at a place between pixels, its mean colour outside: written anew, place by place. */
function sampled({ data, shape: [h, w, c] }: NdArray, y: number, x: number, channel: number, mean: number): number {
  const at = (row: number, column: number) =>
    row < 0 || column < 0 || row >= h || column >= w ? mean : data[(row * w + column) * c + channel];
  const [top, left] = [Math.floor(y), Math.floor(x)];
  const [low, right] = [y - top, x - left];
  return (at(top, left) * (1 - right) + at(top, left + 1) * right) * (1 - low) +
    (at(top + 1, left) * (1 - right) + at(top + 1, left + 1) * right) * low;
}

const CAME: Record<string, (value: number, y: number, x: number) => [number, number]> = {
  "vertical translation": (value, y, x) => [y - value, x],
  "horizontal translation": (value, y, x) => [y, x - value],
  scale: (value, y, x) => [y / value, x / value],
  rotation: (value, y, x) => {
    const angle = value * Math.PI / 180;
    return [Math.cos(angle) * y + Math.sin(angle) * x, -Math.sin(angle) * y + Math.cos(angle) * x];
  },
};

/** The naive loop: distances and probability of one image. */
async function naive(model: Model, image: NdArray, transform: string, layer: string, value: number, index: number) {
  const view = NdArray.from(await model.view(image));
  const [h, w, c] = view.shape;
  const means = Array.from({ length: c }, (_, k) => {
    let sum = 0;
    for (let i = k; i < view.data.length; i += c) sum += view.data[i];
    return sum / (h * w);
  });
  const moved = new Float32Array(view.data.length);
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      const [fromY, fromX] = CAME[transform](value, y - (h - 1) / 2, x - (w - 1) / 2);
      for (let k = 0; k < c; k++) {
        moved[(y * w + x) * c + k] = sampled(view, fromY + (h - 1) / 2, fromX + (w - 1) / 2, k, means[k]);
      }
    }
  }
  const net = tf.model({
    inputs: model.network.inputs,
    outputs: [model.network.getLayer(layer).output as never, model.network.outputs[0]],
  });
  // WebGPU reads nothing back without waiting.
  const run = async (pixels: Float32Array) => {
    const { data, shape } = model.input(new NdArray(pixels, view.shape));
    const outputs = tf.tidy(() => net.predict(tf.tensor(data, [1, ...shape]))) as { data(): Promise<Float32Array> }[];
    const found = await Promise.all(outputs.map((output) => output.data()));
    tf.dispose(outputs as never);
    return found;
  };
  const [[still, answers], [code, changed]] = [await run(view.data), await run(moved)];
  let [far, long] = [0, 0];
  still.forEach((one, i) => {
    far += (code[i] - one) ** 2;
    long += one ** 2;
  });
  const target = index < 0 ? answers.indexOf(Math.max(...answers)) : index;
  return { euclidean: Math.sqrt(far), distance: Math.sqrt(far / long), probability: changed[target] };
}

async function expectNaive(
  model: Model,
  images: NdArray[],
  layers: string[],
  curves: Record<string, number[]>,
  digits = 4,
) {
  const transform = Object.keys(curves) as "rotation"[];
  const found = await invariance(model, images, { transform, layers, values: curves });
  expect(found.each).toHaveLength(images.length * layers.length * Object.values(curves).flat().length);
  for (const row of found.each) {
    const wanted = await naive(model, images[row.index], row.transform, row.layer, row.value, -1);
    expect(row.distance!).toBeCloseTo(wanted.distance, digits);
    expect(row.euclidean / (1 + wanted.euclidean)).toBeCloseTo(wanted.euclidean / (1 + wanted.euclidean), digits);
    expect(row.probability!).toBeCloseTo(wanted.probability, digits);
  }
  for (const row of found.rows) {
    const own = found.each.filter((one) =>
      one.transform === row.transform && one.layer === row.layer && one.value === row.value
    );
    const mean = own.reduce((sum, { distance }) => sum + distance!, 0) / own.length;
    expect(row.distance).toBeCloseTo(mean, 9);
    expect(row.images).toBe(images.length);
    if (images.length > 1) {
      expect(row.distanceLow).toBeLessThanOrEqual(mean + 1e-9);
      expect(row.distanceHigh).toBeGreaterThanOrEqual(mean - 1e-9);
    } else expect(row.distanceLow).toBeNull();
  }
}

describe("equals a loop written in the test", () => {
  const curves = {
    "vertical translation": [-3, 0, 2.5],
    "horizontal translation": [4],
    scale: [0.7, 1.6],
    rotation: [0, 33, 90],
  };

  test("on waves", async () => {
    const images = [randomImage([32, 32, 3], 1), NdArray.from(landscape())];
    await expectNaive(await waves(), images, ["conv1", "relu2", "flat"], curves);
  });

  test("on cifar-convnet", async () => {
    const model = kept(await loadModel("cifar-convnet"));
    const { rotation } = curves;
    await expectNaive(model, [(await photo("dog")).array], ["conv1", "flatten"], { rotation, scale: [1.3] });
  });

  // A minute on slow backends.
  if (!SLOW) {
    longTest("on ResNet-50", async () => {
      const model = kept(await loadModel("resnet50"));
      const layers = ["conv1", model.layers.at(-2)!.name];
      await expectNaive(model, [(await photo("dog")).array], layers, { rotation: [20] }, 3);
    });
  }
});

describe("what must be so", () => {
  test("no change leaves every code where it is, exactly", async () => {
    const still = {
      "vertical translation": [0],
      "horizontal translation": [0],
      scale: [1],
      rotation: [0, 360, -720],
      blur: [0],
      brightness: [0],
      contrast: [1],
      noise: [0],
    };
    const transform = Object.keys(still) as (keyof typeof still)[];
    const { rows } = await invariance(await waves(), [landscape(), randomImage([32, 32, 3], 4)], {
      transform,
      values: still,
      layers: ["conv1", "pool2", "classes"],
    });
    expect(rows).toHaveLength(30);
    for (const { distance, euclidean, moved } of rows) expect([distance, euclidean, moved ?? 0]).toEqual([0, 0, 0]);
  });

  test("a map of stride 2 moves along at even translations only", async () => {
    const net = tf.sequential({
      layers: [
        tf.layers.conv2d({
          name: "conv",
          inputShape: [24, 24, 3],
          filters: 4,
          kernelSize: 4,
          strides: 2,
          activation: "relu",
        }),
        tf.layers.maxPooling2d({ name: "pool", poolSize: 2 }),
        tf.layers.globalAveragePooling2d({ name: "mean" }),
        tf.layers.dense({ units: 2, activation: "softmax" }),
      ],
    });
    const model = kept(await loadModel(net, { preprocess: "none", name: "strided" }));
    const values = [-8, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 8];
    const transform = ["vertical translation", "horizontal translation"] as const;
    const { rows } = await invariance(model, randomImage([24, 24, 3], 2), {
      transform,
      values: { [transform[0]]: values, [transform[1]]: values },
      layers: ["conv", "pool", "mean"],
    });
    for (const { layer, value, moved, distance } of rows) {
      if (layer === "mean") {
        expect(moved).toBeNull();
        continue;
      }
      const stride = layer === "conv" ? 2 : 4;
      if (value % stride === 0) expect(moved).toBeLessThan(1e-6);
      else expect(moved).toBeGreaterThan(0.02);
      if (value !== 0) expect(distance).toBeGreaterThan(0.02);
    }
  });

  test("what looks the same after a quarter turn has peaks there", async () => {
    // A cross: four arms alike.
    const cross = new NdArray(
      Float32Array.from({ length: 32 * 32 * 3 }, (_, i) => {
        const [y, x] = [Math.floor(i / 96), Math.floor(i / 3) % 32];
        const inArm = (a: number, b: number) => Math.abs(a - 15.5) < 3 && Math.abs(b - 15.5) < 12;
        return inArm(y, x) || inArm(x, y) ? 220 : 30;
      }),
      [32, 32, 3],
    );
    const { rows } = await invariance(await waves(), cross, { transform: "rotation", layers: ["conv1", "classes"] });
    const curve = rows.filter(({ layer }) => layer === "conv1");
    expect(curve).toHaveLength(25);
    for (const { value, distance } of curve) {
      if (value % 90 === 0) expect(distance).toBeLessThan(1e-6);
      else expect(distance).toBeGreaterThan(0.1);
    }
  });

  test("on paper: one weight, pixels moved by one", async () => {
    const net = tf.sequential({
      layers: [
        tf.layers.conv2d({ name: "same", inputShape: [2, 2, 1], filters: 1, kernelSize: 1, useBias: false }),
        tf.layers.flatten({ name: "flat" }),
        tf.layers.dense({ name: "out", units: 1 }),
      ],
    });
    net.getLayer("same").setWeights([tf.ones([1, 1, 1, 1])]);
    net.getLayer("out").setWeights([tf.tensor2d([[1], [0], [0], [2]]), tf.tensor1d([5])]);
    const model = kept(await loadModel(net, { preprocess: "none", output: "numbers", name: "paper" }));
    // 3 4 above 0 0, down by one: black above 3 4.
    const { rows, between } = await invariance(model, new NdArray([3, 4, 0, 0], [2, 2, 1]), {
      transform: "vertical translation",
      values: [1, 2],
      layer: "same",
      baseline: 0,
    });
    expect(rows).toHaveLength(2);
    expect("probability" in rows[0]).toBe(false);
    expect(rows[0]).toMatchObject({ layer: "same", value: 1, score: 13, moved: 0, images: 1 });
    expect(rows[0].euclidean).toBeCloseTo(Math.sqrt(50), 6);
    expect(rows[0].distance).toBeCloseTo(Math.SQRT2, 6);
    // Nothing is left to move along.
    expect(rows[1]).toMatchObject({ euclidean: 5, distance: 1, moved: null, score: 5 });
    expect(between).toEqual({ same: null });
  });

  test("images with a label are followed by their own class, others by what is predicted", async () => {
    const model = kept(
      await loadModel(await wavesNet(), { preprocess: "none", name: "named", labels: ["a", "b", "c", "d", "e"] }),
    );
    const image = landscape();
    const data = dataset([{ image, label: "d" }, { image, label: "elsewhere" }]);
    const found = await invariance(model, data, { transform: "blur", values: [0, 2], layer: "conv1" });
    const { each } = found;
    const [own, predicted] = [0, 1].map((index) => each.filter((row) => row.index === index && row.value === 0)[0]);
    const fixed = await invariance(model, data, { transform: "blur", values: [0, 2], layer: "conv1", target: "d" });
    expect(fixed.each[0].probability).toBe(own.probability);
    expect(fixed.each.find(({ index }) => index === 1)!.probability).toBe(own.probability);
    expect(predicted.probability).toBeGreaterThanOrEqual(own.probability!);
    expect(found.figure().text).toContain("blur · conv1: at most");
    expect(found.between.conv1).toBe(0);
  });

  test("noise repeats with its seed and differs from image to image", async () => {
    const model = await waves();
    const run = (seed: number) =>
      invariance(model, [landscape(), landscape()], { transform: "noise", values: [40], layer: "conv1", seed });
    const [a, again, b] = [await run(1), await run(1), await run(2)];
    expect(again.each).toEqual(a.each);
    expect(b.each[0].distance).not.toBe(a.each[0].distance);
    expect(a.each[1].distance).not.toBe(a.each[0].distance);
  });

  test("a function of one's own, on signals too", async () => {
    const net = tf.sequential({
      layers: [
        tf.layers.conv1d({ name: "conv", inputShape: [12, 2], filters: 3, kernelSize: 3 }),
        tf.layers.flatten(),
        tf.layers.dense({ units: 2, activation: "softmax" }),
      ],
    });
    const model = kept(await loadModel(net, { preprocess: "none", name: "signal" }));
    const signal = randomImage([12, 2], 3);
    const louder = (image: NdArray, value: number) => new NdArray(image.data.map((one) => value * one), image.shape);
    const { rows } = await invariance(model, signal, {
      transform: [louder, "blur"],
      values: { louder: [1, 3], blur: [0, 1] },
    });
    expect(rows.map(({ transform, value }) => `${transform} ${value}`)).toContain("louder 3");
    expect(rows[0].distance).toBe(0);
    // Without biases a code is as much louder.
    expect(rows[1].distance).toBeCloseTo(2, 4);
    await expect(invariance(model, signal, { transform: "rotation" })).rejects.toThrow(
      'The transform "rotation" is one of images [h, w, c], and the model reads none: take "blur"',
    );
  });

  test("images of any size, and grey ones without channels", async () => {
    const free = tf.sequential({
      layers: [
        tf.layers.conv2d({ name: "conv", inputShape: [null as never, null as never, 1], filters: 2, kernelSize: 3 }),
        tf.layers.globalAveragePooling2d({ name: "mean" }),
        tf.layers.dense({ units: 2, activation: "softmax" }),
      ],
    });
    const model = kept(await loadModel(free, { preprocess: "none", name: "free" }));
    const images = [randomImage([9, 12, 1], 1), randomImage([11, 7, 1], 2)];
    const { each, between } = await invariance(model, images, {
      transform: "rotation",
      values: [0, 90],
      layers: ["conv", "mean"],
    });
    expect(each).toHaveLength(8);
    expect(between.conv).toBeNull();
    expect(between.mean).toBeGreaterThan(0);
    const flat = tf.sequential({
      layers: [
        tf.layers.flatten({ name: "flat", inputShape: [8, 8] }),
        tf.layers.dense({ units: 3, activation: "softmax" }),
      ],
    });
    const grey = kept(await loadModel(flat, { preprocess: "none", name: "grey" }));
    const { rows } = await invariance(grey, randomImage([8, 8], 2), { transform: "rotation", values: [0, 90, 180] });
    expect(rows.map(({ layer }) => layer)).toEqual(["flat", "flat", "flat"]);
    expect(rows[0].distance).toBe(0);
    expect(rows[2].distance).toBeGreaterThan(0.1);
  });

  test("two classes by one number have probabilities", async () => {
    const model = kept(await loadModel(await sigmoidNet(), { preprocess: "none", name: "sigmoid" }));
    const { rows } = await invariance(model, new NdArray([1, 0, 0.5], [1, 1, 3]), {
      transform: "brightness",
      values: [0, 2],
      layer: model.layers[0].name,
    });
    expect(rows[0].probability).toBeCloseTo(1 / (1 + Math.exp(-1.5)), 5);
    expect(rows[1].probability).toBeCloseTo(1 / (1 + Math.exp(-7.5)), 5);
  });
});

describe("what is wrong is said", () => {
  test.each([
    [{ transform: "rotate" }, 'transform is of "vertical translation", "horizontal translation", "scale"'],
    [{ transform: ["blur", "blur"] }, "each once: received one of them twice"],
    [{ transform: [] }, "received none"],
    [{ transform: "scale", values: [0] }, "values of scale must be a factor of at least 0.01: received 0."],
    [{ transform: "blur", values: [-1] }, "values of blur must be a number from 0"],
    [{ transform: "blur", values: [] }, "values is empty; wanted at least one number."],
    [
      { transform: ["blur", "scale"], values: [1] },
      'values of several transforms are given by their names, as { "blur": [0, 1] }',
    ],
    [
      { transform: "blur", values: { scale: [1] } },
      'values names "scale", which is not among the transforms asked for',
    ],
    [{ transform: (image: NdArray) => image }, "Only you know the values of the function"],
    [{ transform: () => 3, values: [1] }, "returns an array { data: Float32Array, shape: [32,32,3] }: received 3."],
    [{ layers: ["conv9"] }, 'no layer "conv9"'],
    [{ target: { layer: "conv1", channel: 0 } }, "follows a class, a label or a number of the output"],
    [{ layer: "conv1", layers: ["conv1"] }, "invariance takes either layer or layers: received both."],
  ])("%o", async (options, message) => {
    const model = await waves();
    const before = tf.memory().numTensors;
    const failed = await invariance(model, landscape(), options as never).then(() => null, (error: Error) => error);
    expect(failed?.message).toContain(message);
    expect(tf.memory().numTensors).toBe(before);
  });

  test("an image that cannot be read is left out of a data set", async () => {
    const data = dataset([{ image: landscape() }, { image: "nowhere.png" }, { image: landscape() }]);
    const found = await invariance(await waves(), data, { transform: "blur", values: [0, 3], layer: "conv1" });
    expect(found.skipped).toHaveLength(1);
    expect(found.rows[0].images).toBe(2);
  });
});
