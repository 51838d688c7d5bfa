/**
 * What predict says of maps and of several outputs, against the network's own numbers.
 */

import type { LayersModel, SymbolicTensor, Tensor } from "@tensorflow/tfjs";
import { expect, test } from "vitest";
import { dataset, loadModel, predict } from "../../mod.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { uniforms } from "../nets.ts";

const tf = await ensureBackend();
const L = tf.layers;
const [HEIGHT, WIDTH] = [6, 4];
const random = uniforms(8);
const image = {
  data: Float32Array.from({ length: HEIGHT * WIDTH * 3 }, () => Math.round(255 * random())),
  shape: [HEIGHT, WIDTH, 3],
};
type Activation = "softmax" | "sigmoid" | "linear";

function network(
  heads: [filters: number, activation: Activation, name: string][],
  side = [HEIGHT, WIDTH],
): LayersModel {
  const input = tf.input({ shape: [...side, 3] });
  const kernelInitializer = tf.initializers.randomNormal({ stddev: 3, seed: 5 });
  const outputs = heads.map(([filters, activation, name]) =>
    L.conv2d({ filters, kernelSize: 1, activation, name, kernelInitializer }).apply(input) as SymbolicTensor
  );
  return tf.model({ inputs: input, outputs });
}

const numbersOf = (model: LayersModel, at: number) =>
  tf.tidy(() =>
    [model.predict(tf.div(tf.tensor(image.data, [1, ...image.shape]), 255)) as Tensor].flat()[at].dataSync()
  );

test("a map of classes has the share of each, the answers and the probabilities", async () => {
  const model = await loadModel(network([[3, "softmax", "parts"]]), { labels: ["a", "b", "c"], preprocess: "unit" });
  const numbers = numbersOf(model.network, 0);
  const { map, values, rows, kind, figure } = await predict(model, image).then((one) => ({
    ...one,
    map: one.map!,
    values: one.values!,
    rows: one.rows,
    figure: one.figure(),
  }));
  expect(kind).toBe("map");
  expect([map.shape, values.shape]).toEqual([[HEIGHT, WIDTH], [HEIGHT, WIDTH, 3]]);
  values.data.forEach((value, i) => expect(value).toBeCloseTo(numbers[i], 6));
  map.data.forEach((answer, cell) => {
    const own = [...numbers.subarray(3 * cell, 3 * cell + 3)];
    expect(answer).toBe(own.indexOf(Math.max(...own)));
  });
  for (const { index, share, probability } of rows) {
    expect(share).toBeCloseTo(map.data.filter((answer) => answer === index).length / map.data.length, 6);
    const mean = values.data.reduce((sum, value, i) => sum + (i % 3 === index ? value : 0), 0) / map.data.length;
    expect(probability).toBeCloseTo(mean, 6);
  }
  expect(rows.map(({ share }) => share)).toEqual(rows.map(({ share }) => share).toSorted((a, b) => b! - a!));
  expect(figure.text).toContain("each place takes the likeliest of 3 classes");
  model.dispose();
});

test("each of several outputs has its part, with its unit", async () => {
  const model = await loadModel(network([[1, "sigmoid", "mask"], [1, "linear", "depth"], [3, "sigmoid", "parts"]]), {
    labels: ["ground", "animal"],
    output: ["mask", { layer: "depth", unit: "m" }, { layer: "parts", each: "labels" }],
    preprocess: "unit",
  });
  const prediction = await predict(model, image);
  const [mask, depth, parts] = prediction.outputs;
  expect(prediction.rows).toBe(mask.rows);
  expect([mask, depth, parts].map(({ name, each }) => [name, each])).toEqual([
    ["mask", "binary"],
    ["depth", "numbers"],
    ["parts", "labels"],
  ]);
  const numbers = numbersOf(model.network, 1);
  const mean = [...numbers].reduce((sum, value) => sum + value, 0) / numbers.length;
  expect(depth.rows).toEqual([{
    output: "depth",
    label: "output 0",
    index: 0,
    value: expect.closeTo(mean, 5),
    low: Math.min(...numbers),
    high: Math.max(...numbers),
    unit: "m",
  }]);
  expect(mask.values!.shape).toEqual([HEIGHT, WIDTH, 2]);
  expect(parts.map).toBeUndefined();
  const { title, text } = prediction.figure();
  expect(title).toMatch(
    /mask: (ground|animal), .* of the map; depth: .* m on average, .*; parts: label \d, .* of the map$/,
  );
  expect(text).not.toMatch(/NaN|undefined/);
  expect((await prediction.table()).columns).toContain("output");
  model.dispose();
});

test("three channels of numbers in the image's own grid are shown as colours", async () => {
  const model = await loadModel(network([[3, "sigmoid", "again"]]), { preprocess: "unit" });
  expect(model.output.each).toBe("numbers");
  expect(await (await predict(model, image)).figure().html()).toContain("as colours");
  model.dispose();
});

test("of a data set maps are kept on fewer places, and their numbers stay those of all", async () => {
  const model = await loadModel(network([[3, "softmax", "parts"]], [4, 300]), { preprocess: "unit" });
  const wide = {
    data: Float32Array.from({ length: 4 * 300 * 3 }, () => Math.round(255 * random())),
    shape: [4, 300, 3],
  };
  const whole = await predict(model, wide);
  const [one] = await predict(model, dataset([{ image: wide, id: "wide" }]));
  expect(one.map!.shape).toEqual([1, 104]);
  expect(one.values).toBeUndefined();
  expect(one.rows).toEqual(whole.rows);
  // Places are taken as they are, the middle of each.
  expect(one.map!.data[0]).toBe(whole.map!.data[2 * 300 + 1]);
  model.dispose();
});
