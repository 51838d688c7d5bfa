import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ndarray } from "../../lib/array.ts";
import { deconvnet } from "../../lib/methods/deconvnet.ts";
import { faithfulness } from "../../lib/methods/faithfulness.ts";
import { saliency } from "../../lib/methods/saliency.ts";
import { loadModel } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import type { Target } from "../../lib/probe/target.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { landscape, uniforms, wavesNet } from "../nets.ts";

let model: Model;
beforeAll(async () => {
  model = await loadModel(await wavesNet(), { name: "waves", labels: ["a", "b", "c", "d", "e"] });
});
afterAll(() => model.dispose());

const steps = 8;

test("gives each map and the random order its areas on each baseline", async () => {
  const tf = await ensureBackend();
  const map = await saliency(model, landscape());
  const before = tf.memory().numTensors;
  const found = await faithfulness(model, landscape(), map, { steps, baseline: ["blurred", "grey", "noise"] });
  expect(tf.memory().numTensors).toBe(before);
  expect(found.rows.map(({ method, baseline }) => `${method}, ${baseline}`)).toEqual([
    "saliency, blurred",
    "saliency, grey",
    "saliency, noise",
    "random order, blurred",
    "random order, grey",
    "random order, noise",
  ]);
  expect(found.target).toMatchObject({ index: map.target.index });
  // Insertion ends where deletion starts: at the image.
  expect(found.insertion.baseline).toBe("blurred");
  expect(found.deletion.baseline).toBe("grey");
  expect(found.insertion.score.at(-1)).toBeCloseTo(map.target.probability!, 5);
  expect(found.deletion.score[0]).toBeCloseTo(map.target.probability!, 5);
  const blurred = found.curves.filter(({ baseline }) => baseline === "blurred");
  expect(blurred[0].score[0]).toBeCloseTo(blurred[1].score.at(-1)!, 5);
  const areas = found.rows.flatMap(({ insertion, deletion }) => [insertion, deletion]);
  for (const area of areas) expect(area).toBeGreaterThan(0);
  expect((await found.table()).height).toBe(6);
});

test("repeats with its seed", async () => {
  const map = await saliency(model, landscape());
  const run = async (seed: number) => (await faithfulness(model, landscape(), map, { steps, seed })).rows;
  const [first, again, other] = [await run(1), await run(1), await run(2)];
  expect(again).toEqual(first);
  expect(other).not.toEqual(first);
});

test("a map of what the class sees is better than a random one", async () => {
  // A net whose class 0 is the red of the sun's place, by a map that knows it and by one that does not.
  const tf = await ensureBackend();
  const net = tf.sequential({
    layers: [tf.layers.flatten({ inputShape: [8, 8, 3] }), tf.layers.dense({ units: 2, activation: "softmax" })],
  });
  const place = (i: number) => (i >> 3) >= 2 && (i >> 3) < 5 && (i & 7) >= 3 && (i & 7) < 6;
  const weights = Array.from({ length: 192 * 2 }, (_, i) => i % 6 === 0 && place(Math.floor(i / 6)) ? 1 : 0);
  tf.tidy(() => net.setWeights([tf.tensor(weights, [192, 2]), tf.tensor1d([-3, 0])]));
  const patch = await loadModel(net, { preprocess: "unit" });
  const image = ndarray(Float32Array.from({ length: 192 }, (_, i) => place(Math.floor(i / 3)) ? 250 : 40), [8, 8, 3]);
  const next = uniforms(4);
  const maps = [
    { method: "true", map: ndarray(Float32Array.from({ length: 64 }, (_, i) => Number(place(i))), [8, 8]) },
    { method: "random", map: ndarray(Float32Array.from({ length: 64 }, next), [8, 8]) },
  ];
  const { rows } = await faithfulness(patch, image, maps, { target: 0, baseline: 0, steps: 64 });
  const [right, random, control] = rows;
  for (const other of [random, control]) {
    expect(right.insertion).toBeGreaterThan(other.insertion + 0.2);
    expect(right.deletion).toBeLessThan(other.deletion - 0.2);
  }
  net.dispose();
});

test("a unit's map is scored by the unit", async () => {
  const map = await deconvnet(model, landscape(), { target: { layer: "relu2", channel: 5 } });
  const found = await faithfulness(model, landscape(), map, { steps });
  expect(found.target).toMatchObject({ layer: "relu2", channel: 5, cell: map.target.cell });
  expect(found.insertion.score.at(-1)).toBeCloseTo(1, 5);
  // What lies outside its receptive field does not matter to it: it is whole long before the image is.
  expect(found.insertion.score[4]).toBeCloseTo(1, 5);
});

describe("figure", () => {
  test("has both curves on each baseline, and the areas", async () => {
    const map = await saliency(model, landscape());
    const html = await (await faithfulness(model, landscape(), map, { steps })).figure().html();
    for (const words of ["Insertion, from blurred", "Deletion, to grey", "random order", "insertion ↑"]) {
      expect(html).toContain(words);
    }
  });
});

describe("refused", () => {
  test("maps of different targets", async () => {
    const maps = [
      await saliency(model, landscape(), { target: "a" }),
      await saliency(model, landscape(), { target: 1 }),
    ];
    await expect(faithfulness(model, landscape(), maps, { steps })).rejects.toThrow("one target");
  });

  test("maps of a function of the outputs, unless a target is given", async () => {
    const first: Target = (outputs) => outputs.slice([0, 0], [1, 1]);
    const map = await saliency(model, landscape(), { target: first });
    await expect(faithfulness(model, landscape(), map, { steps })).rejects.toThrow("Give a target to score");
    const options = { steps, target: first as never };
    const scored = await faithfulness(model, landscape(), map, options);
    expect(scored.insertion.score.at(-1)).toBeCloseTo(1, 6);
    expect(scored.figure().caption).toContain("Score, as a share of that for the whole image, of");
    expect((await faithfulness(model, landscape(), map, { steps, target: 0 })).target.index).toBe(0);
    await expect(faithfulness(model, landscape(), map, { steps: 0 })).rejects.toThrow(
      "steps must be a whole number ≥ 1",
    );
  });

  test("a map of another image", async () => {
    const negative = { ...landscape(), data: landscape().data.map((value) => 255 - value) };
    const map = await saliency(model, negative, { target: 0 });
    await expect(faithfulness(model, landscape(), map, { steps })).rejects.toThrow("made of another image");
  });

  test("what is no map", async () => {
    await expect(faithfulness(model, landscape(), [], { steps })).rejects.toThrow("no map");
    await expect(faithfulness(model, landscape(), {} as never, { steps })).rejects.toThrow(TypeError);
  });

  test("an abort leaves no tensor", async () => {
    const tf = await ensureBackend();
    const map = await saliency(model, landscape());
    const before = tf.memory().numTensors;
    const abort = new AbortController();
    const run = faithfulness(model, landscape(), map, {
      steps,
      batchSize: 2,
      signal: abort.signal,
      onProgress: () => abort.abort(new Error("enough")),
    });
    await expect(run).rejects.toThrow("enough");
    expect(tf.memory().numTensors).toBe(before);
  });
});
