import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { dataset, type ImageDataset } from "../../lib/data/dataset.ts";
import { compareDirections } from "../../lib/methods/compare_directions.ts";
import { loadModel } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { uniforms } from "../nets.ts";

const failure = async (run: Promise<unknown>) => (await run.then(() => new Error("none"), (error) => error)) as Error;

describe("a net whose units are colours", () => {
  let model: Model;
  let images: ImageDataset;
  const COLOURS = ["red", "green", "blue"];
  const random = uniforms(2);
  /** An image whose one channel is bright, the others dark, with a little noise. */
  const items = Array.from({ length: 30 }, (_, i) => {
    const bright = 100 + 120 * random();
    const data = Float32Array.from(
      { length: 48 },
      (_, at) => at % 3 === i % 3 ? bright + 20 * random() : 30 * random(),
    );
    return { id: `image ${i}`, image: { data, shape: [4, 4, 3] }, label: COLOURS[i % 3] };
  });

  beforeAll(async () => {
    const tf = await ensureBackend();
    const network = tf.sequential({
      layers: [
        tf.layers.conv2d({ inputShape: [4, 4, 3], filters: 4, kernelSize: 2, name: "conv", activation: "relu" }),
        tf.layers.flatten(),
        tf.layers.dense({ units: 3, activation: "softmax", name: "classes" }),
      ],
    });
    // Unit i sums colour i over 2 × 2 pixels; the last one is never above 0.
    const kernel = tf.tidy(() => {
      const one = tf.tensor2d([[1, 0, 0, -1], [0, 1, 0, -1], [0, 0, 1, -1]]);
      return one.reshape([1, 1, 3, 4]).tile([2, 2, 1, 1]);
    });
    network.getLayer("conv").setWeights([kernel, tf.zeros([4])]);
    kernel.dispose();
    model = await loadModel(network, { preprocess: "none", name: "colours", labels: COLOURS });
    images = dataset(items, { name: "flat colours" });
  });
  afterAll(() => model.dispose());

  test("units and class means are pure and of one colour; what is dealt at random is as chance has it", async () => {
    const found = await compareDirections(model, images, { layer: "conv", top: 5, count: 8, seed: 3 });
    const row = (kind: string, measure: string) =>
      found.rows.find((row) => row.kind === kind && row.measure === measure)!;
    for (const kind of ["units", "classes"]) {
      for (const measure of ["purity", "class"]) {
        expect(row(kind, measure)).toMatchObject({ value: 1, agreement: 1, agreementLow: 1, agreementHigh: 1 });
      }
      expect(row(kind, "colour").agreement).toBeGreaterThan(0.7);
    }
    // Of 14 others 4 are of the same class.
    expect(row("units", "class").shuffled).toBeCloseTo(4 / 14, 1);
    expect(row("units", "purity")).toMatchObject({ directions: 3, silent: 1, images: 15, difference: null });
    expect(row("random", "class").agreement!).toBeLessThan(1);
    const { difference, differenceLow, differenceHigh } = row("random", "class");
    expect(difference).toBeCloseTo(row("random", "class").agreement! - 1, 12);
    expect(differenceLow!).toBeLessThanOrEqual(difference!);
    expect(differenceHigh!).toBeGreaterThanOrEqual(difference!);
    expect(
      found.directions.filter(({ kind }) => kind === "classes").map(({ unit, label, purity }) => [unit, label, purity]),
    )
      .toEqual([["blue", "blue", 1], ["green", "green", 1], ["red", "red", 1]]);
    expect(found.figure().text).toContain("conv · units · class purity: 1.000");
  });

  test("the measures are those of the patches, pair by pair", async () => {
    const found = await compareDirections(model, images, { layer: "conv", kinds: ["random"], top: 4, count: 5 });
    expect(new Set(found.rows.map(({ kind }) => kind))).toEqual(new Set(["random"]));
    const means = { class: [] as number[], colour: [] as number[] };
    for (const { unit } of found.directions) {
      const rows = found.patches.of({ layer: "conv", unit }).filter(({ activation }) => activation !== 0);
      const colours = rows.map(({ imageId, box: [y0, x0, y1, x1] }) => {
        const { data } = items.find(({ id }) => id === imageId)!.image;
        return [0, 1, 2].map((c) => {
          let sum = 0;
          for (let y = y0; y < y1; y++) for (let x = x0; x < x1; x++) sum += data[(y * 4 + x) * 3 + c] / 255;
          return sum / ((y1 - y0) * (x1 - x0));
        });
      });
      const pairs = rows.flatMap((_, i) => rows.slice(i + 1).map((_, j) => [i, i + 1 + j]));
      const mean = (of: (a: number, b: number) => number) =>
        pairs.reduce((sum, [a, b]) => sum + of(a, b), 0) / pairs.length;
      means.class.push(mean((a, b) => Number(rows[a].label === rows[b].label)));
      means.colour.push(mean((a, b) => Math.hypot(...[0, 1, 2].map((c) => colours[a][c] - colours[b][c]))));
    }
    for (const measure of ["class", "colour"] as const) {
      expect(found.directions.map((one) => one[measure])).toEqual(
        means[measure].map((value) => expect.closeTo(value, 5)),
      );
      const { value } = found.rows.find((row) => row.measure === measure)!;
      expect(value).toBeCloseTo(means[measure].reduce((a, b) => a + b) / means[measure].length, 5);
    }
  });

  test("several layers, one's own directions, images without labels, others to find directions in", async () => {
    const deep = await compareDirections(model, images, { layers: ["conv", "classes"], kinds: ["units"], top: 4 });
    expect(deep.rows.map(({ layer, measure }) => `${layer} ${measure}`)).toEqual(
      ["conv", "classes"].flatMap((layer) =>
        ["purity", "class", "colour", "texture"].map((name) => `${layer} ${name}`)
      ),
    );
    expect(deep.figure({ layer: "conv", directions: 2 }).bundle).toBeTypeOf("function");
    const plain = dataset(items.map(({ id, image }) => ({ id, image })));
    const own = await compareDirections(model, plain, {
      layer: "conv",
      kinds: ["units"],
      directions: { "unit 0": [0.5, 0.5, 0, 0] },
      top: 4,
    });
    expect(new Set(own.rows.map(({ kind, measure }) => `${kind} ${measure}`))).toEqual(
      new Set(["units colour", "units texture", "own colour", "own texture"]),
    );
    // It has another name where a unit has its name already.
    expect(own.directions.at(-1)).toMatchObject({ kind: "own", unit: "unit 0 (own)", label: null, purity: null });
    const other = await compareDirections(model, plain, { layer: "conv", kinds: ["classes"], from: images, top: 4 });
    expect(other.directions.map(({ unit }) => unit)).toEqual(["blue", "green", "red"]);
    expect(other.figure().text).toContain("found in flat colours");
  });

  test("says what is wrong, and leaves no tensor", async () => {
    const tf = await ensureBackend();
    const before = tf.memory().numTensors;
    const message = async (options: object, data = images) =>
      (await failure(compareDirections(model, data, options as never))).message;
    expect(await message({ layer: "conv", kinds: ["unit"] })).toMatch(/kinds are of "units", .*: received "unit"/);
    expect(await message({ layer: "conv", kinds: [] })).toMatch(/one at least: received none/);
    expect(await message({ layers: ["conv", "classes"], directions: { a: [1, 1, 1, 1] } })).toMatch(
      /those of one layer/,
    );
    expect(await message({ layer: "conv", directions: { a: [1, 1] } })).toMatch(/"a" must be 4 finite numbers/);
    expect(await message({ layer: "conv", kinds: ["classes"] }, dataset(items.map(({ image }) => ({ image })))))
      .toContain(
        "has no label",
      );
    expect(await message({ layer: "conv", from: 3 })).toContain("compareDirections's from wants a data set");
    const black = dataset([0, 1].map(() => ({ image: { data: new Float32Array(48), shape: [4, 4, 3] } })));
    expect(await message({ layer: "conv", kinds: ["units"] }, black)).toMatch(
      /No direction of colours · conv answers to two/,
    );
    const stopped = () => {
      throw new Error("enough");
    };
    expect(await message({ layer: "conv", onProgress: stopped })).toBe("enough");
    expect(tf.memory().numTensors).toBe(before);
  });
});
