import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Image } from "../../lib/data/image.ts";
import { dataset, type ImageDataset } from "../../lib/data/dataset.ts";
import type { HistoryData } from "../../lib/data/history.ts";
import { deconvnet } from "../../lib/methods/deconvnet.ts";
import { featureEvolution } from "../../lib/methods/feature_evolution.ts";
import { topPatches } from "../../lib/methods/top_patches.ts";
import { train } from "../../lib/methods/train.ts";
import { descriptionOf, modelFrom, writeWeights } from "../../lib/model/copy.ts";
import { loadModel } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import { filterLikeness, settledAt, sharedImages } from "../../lib/probe/settling.ts";
import { randomStream } from "../../lib/random.ts";
import { History } from "../../lib/results/history.ts";
import { settledOf } from "../../lib/methods/shared/feature_growth.ts";
import { cutOut } from "../../lib/methods/shared/projections.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";

const SIDE = 8;

/** Noise, the left half bright on every second image. */
function halves(): ImageDataset {
  const random = randomStream(5);
  return dataset(
    Array.from({ length: 16 }, (_, i) => ({
      id: `i${String(i).padStart(2, "0")}`,
      label: i % 2 ? "left" : "right",
      image: {
        data: Float32Array.from(
          { length: SIDE * SIDE * 3 },
          (_, at) => 120 * random() + (Math.floor(at / 3) % SIDE < SIDE / 2 === (i % 2 === 1) ? 120 : 0),
        ),
        shape: [SIDE, SIDE, 3],
      },
    })),
    { name: "halves" },
  );
}

let model: Model;
let history: History;
beforeAll(async () => {
  const tf = await ensureBackend();
  const conv = (filters: number, name: string, seed: number) =>
    tf.layers.conv2d({
      filters,
      name,
      kernelSize: 3,
      activation: "relu",
      kernelInitializer: tf.initializers.heNormal({ seed }),
    });
  const input = tf.input({ shape: [SIDE, SIDE, 3] });
  const maps = conv(3, "late", 2).apply(conv(4, "early", 1).apply(input));
  const dense = tf.layers.dense({
    units: 2,
    activation: "softmax",
    kernelInitializer: tf.initializers.heNormal({ seed: 3 }),
  });
  const outputs = dense.apply(tf.layers.flatten({}).apply(maps)) as ReturnType<typeof tf.input>;
  model = await loadModel(tf.model({ inputs: input, outputs }), {
    name: "halves-net",
    labels: ["left", "right"],
    preprocess: "none",
  });
  history = await train(model, halves(), { epochs: 2, batchSize: 4, seed: 1, validation: 0, live: false });
});
afterAll(() => model.network.dispose());

describe("how far a layer is from its end", () => {
  test("filters are compared by the angles between them", () => {
    const kernel = { data: Float32Array.of(1, 0, 0, 2), shape: [2, 2] };
    const end = { data: Float32Array.of(3, 4, 0, 0), shape: [2, 2] };
    // The first filter is [1, 0] and [3, 0], the second [0, 2] and [4, 0].
    expect(filterLikeness(kernel, end)).toBe(0.5);
    expect(filterLikeness(end, end)).toBe(1);
  });

  test("images are compared as sets, units that nothing excites left out", () => {
    expect(sharedImages([["a", "b"], [], ["c"]], [["b", "d"], ["a"], ["c"]])).toBe(0.75);
    expect(sharedImages([[]], [["a"]])).toBe(null);
  });

  test("a layer has settled from the first epoch on after which it stays near its end", () => {
    const rows = [0.1, 0.95, 0.5, 0.9, 1].map((value, epoch) => ({ epoch, value }));
    expect(settledAt(rows, 0.9)).toBe(3);
    expect(settledAt([{ epoch: 0, value: null }], 0.9)).toBe(null);
  });
});

test("filters settle by how much of their way they have gone, near their end as they may start", () => {
  const row = (epoch: number, filters: number | null, images: number | null) => ({
    layer: "conv",
    epoch,
    filters,
    images,
  });
  const near = [row(0, 0.95, 0.1), row(1, 0.97, 0.6), row(2, 0.996, 0.4), row(4, 1, 1)];
  expect(settledOf(near)).toEqual([{ layer: "conv", filters: 2, images: 4 }]);
  expect(settledOf([row(0, 1, null), row(1, 1, null)])).toEqual([{ layer: "conv", filters: 0, images: null }]);
  expect(settledOf([row(0, null, 1), row(1, null, 1)])).toEqual([{ layer: "conv", filters: null, images: 0 }]);
});

describe("featureEvolution", () => {
  test("finds at each snapshot what topPatches and deconvnet find with its weights", async () => {
    const images = halves();
    const { memory } = await ensureBackend();
    const before = memory().numTensors;
    const found = await featureEvolution(history, images, { layer: "late", channels: [0, 2] });
    expect(memory().numTensors).toBe(before);
    expect(found.epochs).toEqual([0, 1, 2]);
    expect(found.rows.map(({ channel, epoch }) => [channel, epoch])).toEqual(
      [0, 2].flatMap((channel) => [0, 1, 2].map((epoch) => [channel, epoch])),
    );
    const copy = await modelFrom(descriptionOf(model));
    const all = new Map<string, Image>();
    for await (const { id, image } of images) all.set(id, image as Image);
    for (const { epoch, weights } of history.snapshots) {
      await writeWeights(copy.model, weights);
      const patches = await topPatches(copy.model, images, { layer: "late", top: 1 });
      for (const row of found.rows.filter((row) => row.epoch === epoch)) {
        const [{ imageId, activation, cell, box }] = patches.of({ unit: row.channel });
        expect(row).toMatchObject({ imageId, activation, cell, box });
        const target = { layer: "late", channel: row.channel, cell };
        const { values } = await deconvnet(copy.model, all.get(imageId)!, { target });
        const wanted = cutOut(values, box);
        found.projection(row)!.data.forEach((value, i) => expect(value).toBeCloseTo(wanted.data[i], 5));
      }
    }
    copy.dispose();
    for (const [i, row] of found.rows.entries()) {
      expect(row.jump).toBe(row.epoch > 0 && row.imageId !== found.rows[i - 1].imageId);
    }
  });

  test("follows all layers, each being itself at the end, and draws what is asked for", async () => {
    const found = await featureEvolution(history, halves(), { top: 3 });
    expect(found.layers).toEqual(["early", "late"]);
    const ends = found.settling.filter(({ epoch }) => epoch === 2);
    expect(ends.map(({ layer }) => layer)).toEqual(["early", "late"]);
    for (const { filters, images } of ends) {
      expect(filters).toBeCloseTo(1, 6);
      expect([1, null]).toContain(images);
    }
    const { early, late } = Object.fromEntries(found.settled.map((each) => [each.layer, each]));
    expect(early.filters).toBeLessThanOrEqual(2);
    expect(late.filters).toBeLessThanOrEqual(2);
    expect(found.figure().text).toContain("early");
    expect(() => found.figure({ layer: "erly" })).toThrow(/"early"/);
    expect(() => found.figure({ layer: "early", channels: [9] })).toThrow(/no channel 9 of "early"/);
  });

  test("the model keeps its weights, and bad input is named", async () => {
    const images = halves();
    const old = await Promise.all(model.network.getWeights().map(async (weight) => [...await weight.data()]));
    await expect(featureEvolution(history, images, { layer: "lat" })).rejects.toThrow(/no layer "lat"/i);
    await expect(featureEvolution(history, images, { layer: "late", channels: [3] })).rejects.toThrow(
      'Layer "late" has channels 0 to 2: received 3.',
    );
    await expect(featureEvolution({} as History, images)).rejects.toThrow(
      /takes what train returned.*received an object/,
    );
    const { snapshots } = history;
    const short = new History({ ...history, snapshots: snapshots.slice(-1) } as unknown as HistoryData, {
      order: "rgb",
      network: descriptionOf(model),
    });
    await expect(featureEvolution(short, images)).rejects.toThrow(/has 1 snapshot of its weights; wanted two at least/);
    const stop = new AbortController();
    const stopped = featureEvolution(history, images, { signal: stop.signal, onProgress: () => stop.abort() });
    await expect(stopped).rejects.toThrow(/abort/i);
    const now = await Promise.all(model.network.getWeights().map(async (weight) => [...await weight.data()]));
    expect(now).toEqual(old);
  });
});
