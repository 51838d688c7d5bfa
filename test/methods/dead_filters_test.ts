import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Dataset } from "../../lib/data/dataset.ts";
import { Image } from "../../lib/data/image.ts";
import { activations } from "../../lib/methods/activations.ts";
import { deadFilters } from "../../lib/methods/dead_filters.ts";
import { loadModel } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { landscape, redImage, tinyNet, uniforms, wavesNet } from "../nets.ts";

/** Images as a data set. */
function datasetOf(images: { data: Float32Array; shape: number[] }[], name = "samples"): Dataset {
  return {
    name,
    size: images.length,
    async *[Symbol.asyncIterator]() {
      for (const [i, pixels] of images.entries()) {
        yield await Promise.resolve({ id: String(i), image: new Image(pixels, { name: String(i), source: "a test" }) });
      }
    },
  };
}

const black = () => redImage(Array.from({ length: 4 }, () => [0, 0, 0, 0]));
const corner = (red: number) => redImage([[red, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]);

describe("a net worked out on paper", () => {
  let model: Model;
  beforeAll(async () => {
    model = await loadModel(await tinyNet(), { preprocess: "none", name: "tiny" });
  });
  afterAll(() => model.dispose());

  test("counts images and cells, and finds the filter that cannot fire", async () => {
    // Filter 0 sums red over 2×2 cells to the lower right; filter 1 is minus that.
    const { rows, layers, images } = await deadFilters(model, datasetOf([black(), corner(8), corner(4), black()]));
    expect(images).toBe(4);
    expect(rows).toEqual([
      {
        layer: "conv",
        channel: 0,
        max: 8,
        mean: 12 / 64,
        activeFraction: 0.5,
        activeCells: 2 / 64,
        dead: false,
        hardly: false,
      },
      {
        layer: "conv",
        channel: 1,
        max: 0,
        mean: 0,
        activeFraction: 0,
        activeCells: 0,
        dead: true,
        hardly: false,
      },
    ]);
    expect(layers).toEqual([{ layer: "conv", channels: 2, dead: 1, hardly: 0 }]);
  });

  test("tells what hardly fires from what never does", async () => {
    const many = datasetOf([corner(1), ...Array.from({ length: 9 }, black)]);
    const hardly = async (share: number) =>
      (await deadFilters(model, many, { hardly: share })).rows.map((row) => row.hardly);
    expect(await hardly(0.2)).toEqual([true, false]);
    expect(await hardly(0.1)).toEqual([false, false]);
  });

  test("says in its caption what silence on so many images proves", async () => {
    const figure = (await deadFilters(model, datasetOf(Array.from({ length: 100 }, black)))).figure();
    // 1 − 0.05^(1/100) = 2.95 %
    expect(figure.caption).toContain("fires on less than 3 % of such images (95 % confidence)");
    expect(figure.title).toBe("tiny · 2 of 2 filters dead on 100 images of samples");
  });

  test("refuses what it cannot watch, is stopped by a signal, and leaves no tensor", async () => {
    const tf = await ensureBackend();
    const before = tf.memory().numTensors;
    const one = datasetOf([black()]);
    await expect(deadFilters(model, one, { layers: ["cnv"] })).rejects.toThrow('There is no layer "cnv"');
    await expect(deadFilters(model, one, { layers: "pool" as never })).rejects.toThrow(
      'layers must be an array of layers\' names: received "pool".',
    );
    await expect(deadFilters(model, one, { layers: [] })).rejects.toThrow("layers is empty");
    await expect(deadFilters(model, one, { hardly: 2 })).rejects.toThrow(
      "hardly must be a number from 0 to 1: received 2.",
    );
    await expect(deadFilters(model, datasetOf([]))).rejects.toThrow('The data set "samples" holds no image');
    await expect(deadFilters(model, one, { signal: AbortSignal.abort() })).rejects.toThrow(/abort/i);
    const broken = { ...one, size: 2 };
    await expect(deadFilters(model, broken)).rejects.toThrow("says that it holds 2 images, and gave 1");
    await deadFilters(model, one, { layers: ["pool", "out"] });
    expect(tf.memory().numTensors).toBe(before);
  });

  test("asks for layers where no ReLU is", async () => {
    const tf = await ensureBackend();
    const linear = await loadModel(
      tf.sequential({
        name: "linear",
        layers: [tf.layers.conv2d({ inputShape: [4, 4, 3], filters: 1, kernelSize: 3, activation: "tanh" })],
      }),
    );
    await expect(deadFilters(linear, datasetOf([black()]))).rejects.toThrow('No layer of "linear" ends in a ReLU');
    linear.dispose();
  });
});

describe("a deeper net", () => {
  test("agrees with activations image by image, whatever the batch", async () => {
    const model = await loadModel(await wavesNet(), { name: "waves" });
    const random = uniforms(2);
    const { data, shape } = landscape();
    const images = [
      // Without noise, filters sum to exactly 0 in its flat areas: there the order of summation decides what fires.
      { data: data.map((value) => value + random()), shape },
      ...Array.from({ length: 4 }, (_, i) => ({
        data: Float32Array.from({ length: 32 * 32 * 3 }, () => 255 * random() ** (i + 1)),
        shape: [32, 32, 3],
      })),
    ];
    const whole = await deadFilters(model, datasetOf(images));
    const singly = await deadFilters(model, datasetOf(images), { batchSize: 2 });
    // The convolution without an activation is not watched, its ReLU is.
    expect(whole.layers.map(({ layer }) => layer)).toEqual(["conv1", "relu2"]);
    const each = await Promise.all(images.map((image) => activations(model, image, { layers: ["conv1", "relu2"] })));
    whole.rows.forEach((row, i) => {
      const alone = each.map(({ rows }) => rows[i]);
      expect([row.layer, row.channel]).toEqual([alone[0].layer, alone[0].channel]);
      expect(row.activeFraction).toBeCloseTo(alone.filter(({ max }) => max > 0).length / images.length, 10);
      expect(row.max).toBeCloseTo(Math.max(...alone.map(({ max }) => max)), 4);
      expect(row.mean).toBeCloseTo(alone.reduce((sum, { mean }) => sum + mean, 0) / images.length, 4);
      expect(row.activeCells).toBeCloseTo(alone.reduce((sum, a) => sum + 1 - a.sparsity, 0) / images.length, 3);
      expect(row.activeFraction).toBe(singly.rows[i].activeFraction);
      expect(row.max).toBeCloseTo(singly.rows[i].max, 4);
    });
    // Filter 11 of conv1 has a bias of −1000.
    expect(whole.rows.filter(({ layer, dead }) => layer === "conv1" && dead).map(({ channel }) => channel)).toEqual([
      11,
    ]);
    const { height, columns } = await whole.table();
    expect([height, columns.length]).toEqual([32, 8]);
    model.dispose();
  });
});
