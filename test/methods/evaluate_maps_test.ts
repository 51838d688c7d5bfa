/**
 * Evaluation of maps: counts and errors of places, against loops written out.
 */

import type { SymbolicTensor } from "@tensorflow/tfjs";
import { expect, test } from "vitest";
import { dataset, evaluate, loadModel, type Model, predict } from "../../mod.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { uniforms } from "../nets.ts";

const tf = await ensureBackend();
const L = tf.layers;
const random = uniforms(4);
const [HEIGHT, WIDTH] = [8, 6];
const picture = (height = HEIGHT, width = WIDTH) => ({
  data: Float32Array.from({ length: height * width * 3 }, () => Math.round(255 * random())),
  shape: [height, width, 3],
});
const images = Array.from({ length: 5 }, () => picture());

async function mapsOf(filters: number, activation: "softmax" | "sigmoid" | "linear", options = {}): Promise<Model> {
  const input = tf.input({ shape: [HEIGHT, WIDTH, 3] });
  const kernelInitializer = tf.initializers.randomNormal({ stddev: 4, seed: 7 });
  const outputs = L.conv2d({ filters, kernelSize: 1, strides: 2, activation, kernelInitializer }).apply(input);
  const network = tf.model({ inputs: input, outputs: outputs as SymbolicTensor });
  return await loadModel(network, { name: "maps", preprocess: "unit", ...options });
}
const [ROWS, COLUMNS] = [HEIGHT / 2, WIDTH / 2];
const mask = (classes: number) => ({
  data: Float32Array.from({ length: ROWS * COLUMNS }, () => Math.floor(classes * random())),
  shape: [ROWS, COLUMNS],
});

test("places right, IoU, cross-entropy and the confusion of classes", async () => {
  const model = await mapsOf(3, "softmax", { labels: ["a", "b", "c"] });
  const masks = images.map(() => mask(3));
  masks[0].data[0] = NaN;
  masks[1].data[4] = 255;
  const result = await evaluate(model, dataset(images.map((image, i) => ({ image, mask: masks[i] }))), {
    batchSize: 2,
  });
  const counts = new Float64Array(9);
  let loss = 0;
  for (const [i, image] of images.entries()) {
    const { map, values } = await predict(model, image);
    masks[i].data.forEach((is, cell) => {
      if (!(is < 3)) return;
      counts[3 * is + map!.data[cell]]++;
      loss -= Math.log(Math.max(1e-7, values!.data[3 * cell + is]));
    });
  }
  const known = 5 * ROWS * COLUMNS - 2;
  expect([...result.confusion.data]).toEqual([...counts]);
  const row = (i: number) => counts[3 * i] + counts[3 * i + 1] + counts[3 * i + 2];
  const column = (i: number) => counts[i] + counts[3 + i] + counts[6 + i];
  const ious = [0, 1, 2].map((i) => counts[4 * i] / (row(i) + column(i) - counts[4 * i]));
  expect(result.classes.map(({ label, images, iou }) => [label, images, iou])).toEqual(
    ["a", "b", "c"].map((label, i) => [label, row(i), expect.closeTo(ious[i], 10)]),
  );
  expect(result.meanIoU).toBeCloseTo((ious[0] + ious[1] + ious[2]) / 3, 10);
  expect(result.measures[0]).toMatchObject({
    measure: "places right",
    value: expect.closeTo((counts[0] + counts[4] + counts[8]) / known, 10),
  });
  expect(result.loss).toBeCloseTo(loss / known, 4);
  expect(result.rows).toHaveLength(5);
  const { text, title } = result.figure();
  expect(title).toMatch(/places right \d/);
  expect(text).not.toMatch(/NaN|undefined/);
  expect(() => result.top1).toThrow("has no top1: its outputs are map");
  model.dispose();
});

test("a mask of another size is taken at the middles of the cells, after the cut of the image", async () => {
  const model = await mapsOf(1, "sigmoid");
  // Twice as wide as the model's image: a quarter of it is cut off on either side.
  const [height, width] = [HEIGHT, 2 * WIDTH];
  const wide = picture(height, width);
  const large = {
    data: Float32Array.from({ length: height * width }, () => 255 * Math.round(random())),
    shape: [height, width],
  };
  const { rows: [row] } = await evaluate(model, dataset([{ image: wide, mask: large }]));
  const small = Float32Array.from({ length: ROWS * COLUMNS }, (_, i) => {
    const [y, x] = [Math.floor(i / COLUMNS), i % COLUMNS];
    return Number(large.data[(2 * y + 1) * width + WIDTH / 2 + 2 * x + 1] > 0);
  });
  const own = await evaluate(model, dataset([{ image: wide, mask: { data: small, shape: [ROWS, COLUMNS] } }]));
  expect(own.rows[0]).toEqual(row);
  expect(new Set(small).size).toBe(2);
  model.dispose();
});

test("numbers have errors in their unit, labels are counted each for itself", async () => {
  const model = await mapsOf(1, "linear", { output: { unit: "m" } });
  const depths = images.map(() => ({
    data: Float32Array.from({ length: 12 }, () => random()),
    shape: [ROWS, COLUMNS, 1],
  }));
  depths[2].data[3] = NaN;
  const items = images.map((image, i) => ({ image, map: depths[i] }));
  const result = await evaluate(model, dataset(items));
  const errors: number[] = [];
  for (const [i, image] of images.entries()) {
    const { values } = await predict(model, image);
    depths[i].data.forEach((is, cell) => Number.isNaN(is) || errors.push(values!.data[cell] - is));
  }
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  expect(result.measures.map(({ measure, value }) => [measure, value])).toEqual([
    ["mean absolute error, m", expect.closeTo(mean(errors.map(Math.abs)), 5)],
    ["root mean square error, m", expect.closeTo(Math.sqrt(mean(errors.map((error) => error ** 2))), 5)],
    ["mean error (bias), m", expect.closeTo(mean(errors), 5)],
    ["variance explained (R²)", expect.any(Number)],
  ]);
  expect(result.figure().text).not.toMatch(/NaN|undefined|probability /);
  expect(() => result.loss).toThrow("has no loss");
  model.dispose();

  const labelled = await mapsOf(2, "sigmoid", { labels: ["x", "y"] });
  const both = images.map(() => ({
    data: Float32Array.from({ length: 24 }, () => Math.round(random())),
    shape: [ROWS, COLUMNS, 2],
  }));
  const found = await evaluate(labelled, dataset(images.map((image, i) => ({ image, mask: both[i] }))));
  expect(found.confusion.shape).toEqual([2, 2, 2]);
  expect(found.confusion.data.reduce((sum, count) => sum + count)).toBe(5 * 24);
  labelled.dispose();
});

test.each<[object, string]>([
  [{}, "has no mask, only id; wanted a map [h, w] of indices of classes, 0 to 2"],
  [{ mask: { data: new Float32Array(12).fill(7), shape: [4, 3] } }, "holds 7; wanted the index of a class, 0 to 2"],
  [{ mask: { data: new Float32Array(24), shape: [4, 3, 2] } }, "received an array of the shape [4, 3, 2]"],
  [{ mask: 3 }, "must be a map, { data, shape: [h, w] }, or a grey picture of indices or its path: received 3"],
  [{ mask: { data: images[0].data, shape: [HEIGHT, WIDTH, 3] } }, "received an array of the shape [8, 6, 3]"],
])("%j is refused", async (known, message) => {
  const model = await mapsOf(3, "softmax");
  await expect(evaluate(model, dataset([{ image: images[0], ...known }]))).rejects.toThrow(message);
  model.dispose();
});
