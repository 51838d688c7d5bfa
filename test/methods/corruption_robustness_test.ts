import { beforeAll, expect, test, vi } from "vitest";
import { ndarray } from "../../lib/array.ts";
import { blurred, covered, jpegCompressed, noisy } from "../../lib/data/corrupt.ts";
import { dataset } from "../../lib/data/dataset.ts";
import { rotation, warp } from "../../lib/data/warp.ts";
import { wilson } from "../../lib/embed/logistic.ts";
import { corruptionRobustness } from "../../lib/methods/corruption_robustness.ts";
import { performanceBy } from "../../lib/methods/performance_by.ts";
import { predict } from "../../lib/methods/predict.ts";
import { loadModel } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import { CorruptionRobustness } from "../../lib/results/corruption_robustness.ts";
import { landscape, uniforms, wavesNet } from "../nets.ts";
import { tidily } from "../tensors.ts";
import fixture from "../oracles/fixtures/jpeg.json" with { type: "json" };

vi.spyOn(console, "log").mockImplementation(() => {});

const labels = ["meadow", "desert", "open sea", "sunflower field", "night sky"];
const SIZE = 6;
/** Landscapes in other lights, of whole numbers. */
const images = Array.from({ length: SIZE }, (_, i) => {
  const { data, shape } = landscape();
  const random = uniforms(i);
  const light = Array.from({ length: 3 }, () => 0.4 + 0.6 * random());
  return ndarray(data.map((value, k) => Math.round(value * light[k % 3])), shape);
});
let model: Model;
/** The images with what the model predicts for them as labels, but for the last one. */
let data: ReturnType<typeof dataset>;
beforeAll(async () => {
  model = await loadModel(await wavesNet(), { name: "waves", labels });
  const found = await predict(model, images);
  const other = (label: string) => labels[(labels.indexOf(label) + 1) % labels.length];
  data = dataset(
    images.map((image, i) => {
      const { label } = found[i].rows[0];
      return { id: `${i}`, image, label: i === SIZE - 1 ? other(label) : label };
    }),
    { name: "lights" },
  );
});

test("equals a loop over the images; no strength is no change; it repeats", async () => {
  const strengths = { blur: [0, 1.5], rotation: [30], jpeg: [10], noise: [60], occlusion: [0.3] };
  const corruptions = ["blur", "rotation", "jpeg", "noise", "occlusion"] as const;
  const run = () => corruptionRobustness(model, data, { corruptions, strengths, seed: 5, batchSize: 4 });
  const found = await tidily(run);
  expect(found.clean).toEqual([{
    model: "waves",
    images: SIZE,
    right: SIZE - 1,
    accuracy: (SIZE - 1) / SIZE,
    low: wilson(SIZE - 1, SIZE)[0],
    high: wilson(SIZE - 1, SIZE)[1],
  }]);
  const mean = (image: typeof images[0]) => {
    const sums = [0, 1, 2].map((c) => image.data.reduce((sum, value, k) => k % 3 === c ? sum + value : sum, 0));
    return ndarray(image.data.map((_, k) => sums[k % 3] / (image.data.length / 3)), image.shape);
  };
  const made = [
    (image: typeof images[0]) => image,
    (image: typeof images[0]) => blurred(image, 1.5),
    (image: typeof images[0]) => warp(image, rotation(30)),
    (image: typeof images[0]) => jpegCompressed(image, 10),
    (image: typeof images[0], i: number) => noisy(image, 60, [5, i]),
    (image: typeof images[0], i: number) => covered(image, 0.3, [5, i], mean(image)),
  ];
  const own = (await Array.fromAsync(data)).map(({ label }) => label);
  for (const [k, make] of made.entries()) {
    const predictions = await predict(model, await Promise.all(images.map(async (image, i) => await make(image, i))));
    const right = predictions.filter(({ rows: [{ label }] }, i) => label === own[i]).length;
    expect(found.rows[k]).toMatchObject({ images: SIZE, right, accuracy: right / SIZE });
    expect([found.rows[k].low, found.rows[k].high]).toEqual(wilson(right, SIZE));
  }
  expect(found.rows[0].right).toBe(SIZE - 1);
  expect(found.rows.map(({ corruption, strength }) => `${corruption} ${strength}`)).toEqual(
    ["blur 0", "blur 1.5", "rotation 30", "jpeg 10", "noise 60", "occlusion 0.3"],
  );
  expect((await run()).rows).toEqual(found.rows);
  // Rows of images are attributes.
  const { rows } = performanceBy(await predict(model, data), "withstood", { attributes: found.each });
  expect(rows.reduce((sum, { n }) => sum + n, 0)).toBe(SIZE);
});

test("mean errors, CE and mCE on paper", async () => {
  const steps = [["blur", 1], ["blur", 2], ["noise", 9]].map(([name, strength]) => ({
    corruption: { name: name as string },
    strength: strength as number,
  }));
  const walk = (name: string, told: readonly string[]) => ({
    model: name,
    sides: "4×4",
    steps,
    examples: [],
    skipped: [],
    images: told.map((digits, i) => ({
      known: { id: `${i}`, label: "a" },
      label: "a",
      right: digits[0] === "1",
      steps: [...digits.slice(1)].map((digit) => digit === "1"),
    })),
  });
  // Of each image: as it is, blurred a little, blurred much, noisy.
  const found = new CorruptionRobustness({
    walks: [walk("first", ["1100", "1101", "1000", "0000"]), walk("second", ["1111", "1101", "1000", "1100"])],
    corruptions: [{ name: "blur", unit: "pixels", none: 0 }, { name: "noise", unit: "", none: 0 }],
    dataset: "toys",
    seed: 0,
  });
  expect(found.clean.map(({ accuracy }) => accuracy)).toEqual([3 / 4, 1]);
  // Blur: 6 of 8 and 4 of 8 are wrong; noise: 3 of 4 and 2 of 4.
  expect(found.errors.map(({ error }) => error)).toEqual([6 / 8, 3 / 4, 4 / 8, 2 / 4]);
  expect(found.errors.map(({ corruptionError }) => corruptionError)).toEqual([1, 1, 4 / 6, 2 / 3]);
  // Over the clean errors, 1/4 and 0: 1/2 and 1/2 of the first, 1/2 and 1/2 of the second.
  expect(found.errors.map(({ relativeCorruptionError }) => relativeCorruptionError)).toEqual([1, 1, 1, 1]);
  expect(found.means.map(({ error, corruptionError }) => [error, corruptionError])).toEqual([
    [3 / 4, 1],
    [1 / 2, 2 / 3],
  ]);
  expect(found.each[0]).toEqual({
    id: "0",
    label: "a",
    model: "first",
    right: true,
    withstood: 1 / 3,
    blur: 1 / 2,
    noise: 0,
  });
  for (const { error, low, high } of [...found.errors, ...found.means]) {
    expect(low).toBeLessThanOrEqual(error);
    expect(high).toBeGreaterThanOrEqual(error);
  }
  expect(await found.figure().html()).toContain("relative CE");
  expect((await found.table()).height).toBe(6);
});

test("a function corrupts, too; several models see the same; the figure tells them apart", async () => {
  const darker = (image: { data: Float32Array; shape: readonly number[] }, strength: number) =>
    ndarray(image.data.map((value) => value * (1 - strength)), image.shape);
  const found = await corruptionRobustness([model, model], data.take(3), {
    corruptions: [darker, "noise"],
    strengths: { darker: [0, 0.9], noise: [30] },
  });
  expect(found.rows.map(({ model, corruption }) => `${model} ${corruption}`)).toEqual(
    [1, 2].flatMap((i) => ["darker", "darker", "noise"].map((name) => `waves (${i}) ${name}`)),
  );
  const accuracies = found.rows.map(({ accuracy }) => accuracy);
  expect(accuracies.slice(3)).toEqual(accuracies.slice(0, 3));
  expect(accuracies[0]).toBe(found.clean[0].accuracy);
  expect(found.figure().title).toBe("Corruption robustness · waves (1), waves (2) · lights");
});

test("JPEG differs from Pillow's by little", async () => {
  for (const { quality, shape, pixels, compressed } of fixture) {
    const { data } = await jpegCompressed(ndarray(Float32Array.from(pixels), shape), quality);
    const off = data.map((value, i) => Math.abs(value - compressed[i]));
    expect(Math.max(...off)).toBeLessThanOrEqual(3);
    expect(off.reduce((a, b) => a + b) / off.length).toBeLessThan(0.3);
  }
});

test("a square covers its share, at one place, and nothing else changes", () => {
  const image = ndarray(new Float32Array(20 * 30 * 3).fill(1), [20, 30, 3]);
  const cover = ndarray(new Float32Array(20 * 30 * 3), [20, 30, 3]);
  for (const share of [0, 0.1, 0.25, 0.9, 1]) {
    const gone = covered(image, share, [3, 4], cover).data.filter((value) => value === 0).length / 3 / 600;
    expect(Math.abs(gone - share)).toBeLessThan(0.04);
  }
  expect(covered(image, 0.1, 1, cover).data).toEqual(covered(image, 0.1, 1, cover).data);
  expect(covered(image, 0.1, 1, cover).data).not.toEqual(covered(image, 0.1, 2, cover).data);
});

test.each<[object, RegExp]>([
  [{ corruptions: ["blurr"] }, /corruptions are of "blur", "noise".*received "blurr"/],
  [{ corruptions: ["blur", "blur"] }, /received "blur" twice/],
  [{ corruptions: [] }, /received none/],
  [{ corruptions: ["jpeg"], strengths: [0] }, /strengths of jpeg/],
  [{ corruptions: ["blur", "jpeg"], strengths: [1] }, /given by their names, as \{ "blur": \[1, 2\] \}/],
  [{ corruptions: ["blur"], strengths: { noise: [1] } }, /"noise", which is not among/],
  [{ corruptions: [(image: unknown) => image] }, /Only you know the strengths/],
])("refuses %j", async (options, message) => {
  await expect(tidily(() => corruptionRobustness(model, data, options))).rejects.toThrow(message);
});

test("stops at a signal, and leaves nothing", async () => {
  const control = new AbortController();
  const onProgress = () => control.abort(new Error("enough"));
  const run = () => corruptionRobustness(model, data, { signal: control.signal, onProgress, batchSize: 2 });
  await expect(tidily(run)).rejects.toThrow("enough");
});
