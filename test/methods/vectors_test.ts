/** Networks that read vectors: of a table's numbers, and decoders, which make a picture of some. */

import { afterAll, describe, expect, test } from "vitest";
import {
  activations,
  codes,
  dataset,
  deadFilters,
  evaluate,
  filters,
  gradCam,
  inputXGradient,
  integratedGradients,
  loadModel,
  NdArray,
  occlusion,
  predict,
  saliency,
  train,
} from "../../mod.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";

const tf = await ensureBackend();

/** Three numbers to two: max(0, 2a − b) and max(0, c); then their sum, and their difference. */
const network = tf.sequential({
  layers: [
    tf.layers.dense({ inputShape: [3], units: 2, activation: "relu", name: "hidden" }),
    tf.layers.dense({ units: 2, name: "answers" }),
  ],
});
tf.tidy(() =>
  network.setWeights([
    tf.tensor([[2, 0], [-1, 0], [0, 1]]),
    tf.zeros([2]),
    tf.tensor([[1, 1], [1, -1]]),
    tf.zeros([2]),
  ])
);
const model = await loadModel(network, { name: "sums", output: { kind: "numbers", labels: ["sum", "difference"] } });
afterAll(() => model.dispose());

const numbers = Float32Array.of(3, 1, 0.5);

describe("a network of numbers", () => {
  test("is given them as they are", async () => {
    expect((await predict(model, numbers)).rows.map(({ label, value }) => [label, value])).toEqual(
      expect.arrayContaining([["sum", 5.5], ["difference", 4.5]]),
    );
    const [byName, byShape] = await Promise.all([
      predict(model, { hidden_input: [3, 1, 0.5] }),
      predict(model, { data: numbers, shape: [3] }),
    ]);
    expect(byName.rows).toEqual(byShape.rows);
    const { layers: [hidden] } = await activations(model, numbers, { layer: "hidden" });
    expect([...hidden.maps.data]).toEqual([5, 0.5]);
    expect((await filters(model, { layer: "hidden" })).rows).toHaveLength(2);
    expect(model.figure().caption).toMatch(/^Input: 3 numbers as they are\. Output: 2 numbers/);
  });

  test("is explained number by number", async () => {
    const target = "sum";
    const all = await Promise.all([
      saliency(model, numbers, { target }),
      inputXGradient(model, numbers, { target }),
      integratedGradients(model, numbers, { target }),
    ]);
    expect(all.map(({ map }) => [...map.data].map((value) => Number(value.toFixed(4))))).toEqual([
      [2, 1, 1],
      [6, -1, 0.5],
      [6, -1, 0.5],
    ]);
    for (const { map, values } of all) expect([map.shape, values.shape]).toEqual([[3], [3]]);
    const figure = all[1].figure();
    expect(figure.blocks[0]).toMatchObject({ kind: "chart", heading: "behind the numbers", series: [{ as: "bars" }] });
  });

  test("takes data sets", async () => {
    const items = Array.from({ length: 8 }, (_, i) => ({
      id: String(i),
      label: i % 2 ? "b" : "a",
      image: Float32Array.of(i % 2, 1 - i % 2, i / 8),
    }));
    const set = dataset(items);
    const found = await codes(model, set, { layer: "hidden" });
    expect([...found.data].slice(0, 4)).toEqual([0, 0, 2, 0.125]);
    expect((await predict(model, set)).map(({ rows }) => rows.find(({ label }) => label === "sum")!.value)).toEqual(
      items.map(({ image: [a, b, c] }) => Math.max(0, 2 * a - b) + c),
    );
    expect((await deadFilters(model, set)).rows).toHaveLength(2);
    const learner = await loadModel(
      tf.sequential({ layers: [tf.layers.dense({ inputShape: [3], units: 2, activation: "softmax" })] }),
      { labels: ["a", "b"] },
    );
    await train(learner, set, { epochs: 12, learningRate: 0.5, validation: 0, batchSize: 4 });
    expect((await evaluate(learner, set)).top1).toBe(1);
    learner.dispose();
  });

  test("says what is no vector, and what vectors have not", async () => {
    const picture = new NdArray(new Float32Array(12), [2, 2, 3]);
    await expect(predict(model, picture)).rejects.toThrow(
      /reads numbers of shape \[3\]: received an array of shape \[2, 2, 3\]/,
    );
    await expect(predict(model, [3, 1, 0.5] as never)).rejects.toThrow(/Float32Array\.of\(0\.5/);
    await expect(occlusion(model, numbers)).rejects.toThrow(/vectors of shape \[3\], whose numbers have no neighbours/);
    await expect(gradCam(model, numbers)).rejects.toThrow(/no layer that puts out maps/);
  });
});

test("a decoder puts out a picture", async () => {
  const decoder = await loadModel(
    tf.sequential({
      layers: [
        tf.layers.dense({ inputShape: [2], units: 4 }),
        tf.layers.reshape({ targetShape: [2, 2, 1] }),
        tf.layers.upSampling2d({ size: [2, 2] }),
        tf.layers.conv2d({ filters: 1, kernelSize: 1, activation: "sigmoid", name: "picture" }),
      ],
    }),
  );
  expect(decoder.output).toMatchObject({ kind: "map", each: "numbers", cells: [4, 4] });
  const made = await predict(decoder, Float32Array.of(0.5, -1));
  expect(made.values!.shape).toEqual([4, 4, 1]);
  const [{ blocks: [seen, drawn] }] = made.figure().blocks as unknown as {
    blocks: { note?: string; kind: string }[];
  }[];
  expect([seen.kind, seen.note, drawn.kind]).toEqual(["chart", "2 numbers", "row"]);
  const { map } = await saliency(decoder, Float32Array.of(0.5, -1), { target: { index: 0, cell: [1, 1] } as never });
  expect(map.shape).toEqual([2]);
  decoder.dispose();
});
