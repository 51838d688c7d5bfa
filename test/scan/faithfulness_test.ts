import fc from "fast-check";
import type { LayersModel } from "@tensorflow/tfjs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import oracle from "../oracles/fixtures/faithfulness.json" with { type: "json" };
import { type NdArray, ndarray } from "../../lib/array.ts";
import { loadModel } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import { type Baseline, baselinesOf, makeBaseline } from "../../lib/probe/attribution/baseline.ts";
import { resolveTarget, resolveUnit } from "../../lib/probe/target.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { areaUnder, pixelOrder, walkCurves } from "../../lib/scan/faithfulness.ts";
import { baselineWarning, type Curve } from "../../lib/results/faithfulness.ts";
import { redImage } from "../nets.ts";

const tf = await ensureBackend();

const made = (model: Model, view: NdArray, ...baselines: Baseline[]) =>
  Promise.all(baselinesOf(baselines, model).map((baseline) => makeBaseline(model, view, baseline, 0)));

describe("as Xplique does", () => {
  const side = 8;
  let net: LayersModel;
  let model: Model;
  beforeAll(async () => {
    net = tf.sequential({
      layers: [
        tf.layers.conv2d({
          inputShape: [side, side, 3],
          filters: 4,
          kernelSize: 3,
          padding: "same",
          activation: "relu",
        }),
        tf.layers.maxPooling2d({ poolSize: 2 }),
        tf.layers.flatten(),
        tf.layers.dense({ units: 3, activation: "softmax" }),
      ],
    });
    tf.tidy(() => net.setWeights(oracle.weights.map(({ data, shape }) => tf.tensor(data, shape))));
    model = await loadModel(net, { preprocess: "unit" });
  });
  afterAll(() => net.dispose());

  const image = ndarray(oracle.image, [side, side, 3]);
  const map = ndarray(oracle.map, [side, side]);
  const baselines: Record<string, Baseline> = {
    black: [0, 0, 0],
    grey: "grey",
    custom: ndarray(oracle.other, [side, side, 3]),
  };

  test.each(oracle.curves)("$kind with $baseline in $steps steps", async ({ kind, baseline, steps, ...wanted }) => {
    const target = resolveTarget(model, oracle.target) as never;
    const options = { baselines: await made(model, image, baselines[baseline]), steps, seed: 0 };
    const curves = await walkCurves(model, image, [{ method: "a", map }], target, options);
    const found = curves.find((curve) => curve.kind === kind)!;
    expect(found.baseline).toBe(baseline);
    expect(found.share.map((share) => Math.round(share * side * side))).toEqual(wanted.pixels);
    found.score.forEach((score, i) => expect(score).toBeCloseTo(wanted.score[i], 5));
    expect(found.area).toBeCloseTo(wanted.area, 5);
  });
});

/** One unit that adds up the red of a 4×4 image. */
async function redSum(): Promise<Model> {
  const net = tf.sequential({
    layers: [tf.layers.conv2d({ name: "sum", inputShape: [4, 4, 3], filters: 1, kernelSize: 4, useBias: false })],
  });
  tf.tidy(() => {
    const kernel = tf.buffer([4, 4, 3, 1]);
    for (let i = 0; i < 16; i++) kernel.set(1, i >> 2, i & 3, 0, 0);
    net.setWeights([kernel.toTensor()]);
  });
  return await loadModel(net, { preprocess: "none" });
}

describe("a unit that adds pixels up", () => {
  let model: Model;
  beforeAll(async () => {
    model = await redSum();
  });
  afterAll(() => model.dispose());

  const image = redImage([[4, 0, 0, 0], [0, 3, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]]);
  const view = ndarray(image.data, image.shape);
  const walk = async (map: NdArray, baselines: Baseline[] = [[0, 0, 0]], steps = 16) =>
    walkCurves(
      model,
      view,
      [{ method: "a", map }],
      resolveUnit(model, { layer: "sum", channel: 0, cell: [0, 0] }),
      { baselines: await made(model, view, ...baselines), steps, seed: 3 },
    );
  const red = ndarray(image.data.filter((_, i) => i % 3 === 0), [4, 4]);

  test("rises and falls by hand", async () => {
    const [insertion, deletion] = await walk(red);
    const rising = [0, 0.4, 0.7, 0.9, ...new Array(13).fill(1)];
    expect(insertion.score).toHaveLength(17);
    insertion.score.forEach((score, i) => expect(score).toBeCloseTo(rising[i], 6));
    deletion.score.forEach((score, i) => expect(score).toBeCloseTo(1 - rising[i], 6));
    // Trapezoids of width 1/16: 0.2, 0.55, 0.8, 0.95 and twelve times 1.
    expect(insertion.area).toBeCloseTo(14.5 / 16, 6);
    expect(deletion.area).toBeCloseTo(1.5 / 16, 6);
  });

  test("in fewer steps passes the same places", async () => {
    const [insertion] = await walk(red, [[0, 0, 0]], 4);
    expect(insertion.share).toEqual([0, 0.25, 0.5, 0.75, 1]);
    insertion.score.forEach((score, i) => expect(score).toBeCloseTo(i ? 1 : 0, 6));
  });

  test("an image as the baseline is resized as the model resizes its input", async () => {
    const small = await walk(red, [ndarray(new Float32Array(3), [1, 1, 3])]);
    const [insertion] = await walk(red);
    expect(small[0]).toEqual({ ...insertion, baseline: "custom" });
  });

  test("no order beats the true one", async () => {
    const [best, least] = await walk(red);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: -9, max: 9 }), { minLength: 16, maxLength: 16 }), async (values) => {
        const [insertion, deletion] = await walk(ndarray(values, [4, 4]));
        expect(insertion.area).toBeLessThanOrEqual(best.area + 1e-6);
        expect(deletion.area).toBeGreaterThanOrEqual(least.area - 1e-6);
      }),
      { numRuns: 30, seed: 1 },
    );
  });

  test("a unit that is silent is scored in its own numbers", async () => {
    const dark = ndarray(new Float32Array(48), [4, 4, 3]);
    const unit = resolveUnit(model, { layer: "sum", channel: 0, cell: [0, 0] });
    const options = { baselines: await made(model, dark, "grey"), steps: 2, seed: 0 };
    const found = await walkCurves(model, dark, [{ method: "a", map: red }], unit, options);
    expect(found.map(({ kind, score, plain }) => ({ kind, score: [...score], plain }))).toEqual([
      { kind: "insertion", score: [2040, 1020, 0], plain: true },
      { kind: "deletion", score: [0, 1020, 2040], plain: true },
    ]);
  });

  test.each([
    ["a map of another size", () => walk(ndarray(new Float32Array(9), [3, 3])), "wanted [4, 4]"],
    ["a map with NaN", () => walk(ndarray(new Array(16).fill(NaN), [4, 4])), "NaN at row 0, column 0"],
    ["no baseline", () => walk(red, []), "baseline is empty"],
    ["an unknown baseline", () => walk(red, ["pink" as never]), '"pink"'],
    ["a colour out of range", () => walk(red, [[0, 0, 256]]), "each 0 to 255: received [0, 0, 256]"],
  ])("%s is refused, and no tensor is left", async (_, call, message) => {
    const before = tf.memory().numTensors;
    await expect(call()).rejects.toThrow(message);
    expect(tf.memory().numTensors).toBe(before);
  });
});

test("equal values stand in a random order that repeats with the seed", () => {
  const map = ndarray([1, 0, 0, 0, 0, 0, 0, 0, 0, -1], [2, 5]);
  const order = (seed: number) => Array.from(pixelOrder(map, seed));
  expect(order(1)).toEqual(order(1));
  expect(order(1)).not.toEqual(order(2));
  for (const seed of [1, 2]) {
    expect(order(seed)[0]).toBe(0);
    expect(order(seed).at(-1)).toBe(9);
    expect(order(seed).toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  }
});

test("the area by hand", () => expect(areaUnder([0, 0.5, 1], [0, 1, 0.5])).toBe(0.25 + 0.375));

test("a baseline that keeps more than half of the score is told of", () => {
  const curve = (baseline: string, first: number): Curve => ({
    method: "a",
    baseline,
    kind: "insertion",
    share: [0, 1],
    score: [first, 0.8],
    area: 0,
  });
  const warning = baselineWarning([curve("blurred", 0.5), curve("grey", 0.3)]);
  expect(warning).toContain("The baseline blurred alone still scores 0.50");
  expect(warning).not.toContain("grey");
  expect(baselineWarning([curve("grey", 0.4)])).toBe("");
});
