/** What all attribution methods have in common, and each of them on nets that can be worked out by hand. */

import type { layers as Layers, Tensor } from "@tensorflow/tfjs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { NdArrayLike } from "../../lib/array.ts";
import { blurred } from "../../lib/data/corrupt.ts";
import type { Attribution } from "../../lib/results/attribution.ts";
import { percentileOfMagnitudes } from "../../lib/results/attribution.ts";
import { compare } from "../../lib/methods/compare.ts";
import { gradCam } from "../../lib/methods/grad_cam.ts";
import { guidedBackprop } from "../../lib/methods/guided_backprop.ts";
import { inputXGradient } from "../../lib/methods/input_x_gradient.ts";
import { integratedGradients } from "../../lib/methods/integrated_gradients.ts";
import { saliency } from "../../lib/methods/saliency.ts";
import { smoothGrad } from "../../lib/methods/smooth_grad.ts";
import { loadModel } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import { contrast } from "../../lib/probe/target.ts";
import { enlarge } from "../../lib/probe/attribution/cam.ts";
import { type Baseline, makeBaseline } from "../../lib/probe/attribution/baseline.ts";
import { quadrature, QUADRATURES } from "../../lib/probe/attribution/quadrature.ts";
import { ensureBackend, useBackend } from "../../lib/runtime/backend.ts";
import { MemoryError } from "../../lib/memory.ts";
import { landscape, redImage, sigmoidNet, tinyNet, wavesNet } from "../nets.ts";
import { buildCaptumNet, captumNets, imageOf } from "./captum_nets.ts";

type Method = (model: Model, image: NdArrayLike, options?: Record<string, unknown>) => Promise<Attribution>;

const METHODS: Record<string, Method> = {
  saliency,
  inputXGradient,
  guidedBackprop,
  gradCam,
  smoothGrad: (model, image, options) => smoothGrad(model, image, { samples: 6, ...options }),
  integratedGradients: (model, image, options) => integratedGradients(model, image, { steps: 6, ...options }),
  scoreCam: (model, image, options) => gradCam(model, image, { variant: "scorecam", ...options }),
};

function expectNear(found: NdArrayLike, wanted: NdArrayLike | number[], digits = 6): void {
  const values = Array.isArray(wanted) ? wanted : wanted.data;
  expect(found.data.length).toBe(values.length);
  let worst = 0;
  found.data.forEach((value, i) => worst = Math.max(worst, Math.abs(value - values[i])));
  expect(worst).toBeLessThan(10 ** -digits);
}

/** Zeros, but for some red values by row and column, in a `[4, 4, 3]` picture. */
function reds(values: Record<string, number>): number[] {
  const picture = new Array<number>(48).fill(0);
  for (const [place, value] of Object.entries(values)) {
    const [y, x] = place.split(",").map(Number);
    picture[(y * 4 + x) * 3] = value;
  }
  return picture;
}

describe("a net worked out on paper", () => {
  // Filter 0 sums the red of a pixel and of those right of, below and diagonally below it. Class 0 is a thousandth of the
  // sum of its four pools.
  const image = redImage([[255, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]);
  const quarter = { "0,0": 0.001, "0,1": 0.001, "1,0": 0.001, "1,1": 0.001 };
  let model: Model;
  beforeAll(async () => {
    model = await loadModel(await tinyNet(), { name: "tiny", preprocess: "none", labels: ["red", "other"] });
  });
  afterAll(() => model.dispose());

  test("saliency is the gradient of the score before the softmax", async () => {
    const result = await saliency(model, image, { target: "red" });
    expectNear(result.values, reds(quarter));
    expect(result.values.shape).toEqual([4, 4, 3]);
    expect(result.map.shape).toEqual([4, 4]);
    expect([...result.map.data].filter((value) => value > 0)).toHaveLength(4);
    expect(result.score).toBeCloseTo(0.255, 6);
    expect(result.target.probability).toBeCloseTo(Math.exp(0.255) / (Math.exp(0.255) + Math.E), 6);
    expect(result.target).toMatchObject({ index: 0, label: "red" });
    expect(result.image.data[0]).toBe(255);
  });

  test("input × gradient and integrated gradients give the one red pixel the score", async () => {
    expectNear((await inputXGradient(model, image, { target: 0 })).values, reds({ "0,0": 0.255 }));
    for (const options of [{}, { steps: 3 }, { rule: "middle" as const }]) {
      const { values, convergenceDelta } = await integratedGradients(model, image, { target: 0, ...options });
      expectNear(values, reds({ "0,0": 0.255 }));
      expect(convergenceDelta).toBeCloseTo(0, 6);
    }
  });

  test("Grad-CAM weights the map with the mean gradient, that of empty pools included", async () => {
    const { cam, layer, map } = await gradCam(model, image, { target: 0, layer: "conv" });
    // Each pool hands a thousandth to one of sixteen cells: a mean of 4/16 thousandths. The map is 255 in one cell.
    const wanted = new Array(16).fill(0);
    wanted[0] = 255 * 0.001 / 4;
    expectNear(cam!, wanted);
    expect(layer).toBe("conv");
    expect(map.shape).toEqual([4, 4]);
    const { cam: single } = await gradCam(model, image, { target: 0, layer: "conv", variant: "layercam" });
    expect(single!.data[0]).toBeCloseTo(0.255, 6);
  });

  test("a unit is explained by what it sees, the strongest of its map by default", async () => {
    const bright = redImage([[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 9, 8], [0, 0, 7, 6]]);
    const found = await saliency(model, bright, { target: { layer: "conv", channel: 0 } });
    expect(found.target.cell).toEqual([2, 2]);
    expect(found.score).toBe(30);
    expectNear(found.values, reds({ "2,2": 1, "2,3": 1, "3,2": 1, "3,3": 1 }));
    const named = await guidedBackprop(model, bright, { target: { layer: "conv", channel: 0, cell: [1, 1] } });
    expectNear(named.values, reds({ "1,1": 1, "1,2": 1, "2,1": 1, "2,2": 1 }));
    const dead = await saliency(model, bright, { target: { layer: "conv", channel: 1 } });
    expect(dead.map.data.every((value) => value === 0)).toBe(true);
    expect(dead.figure().caption).toContain("The map is 0 everywhere");
  });

  test("a function of the outputs is explained, as the probability", async () => {
    const { values, score } = await saliency(model, image, { target: (outputs) => outputs.slice([0, 0], [1, 1]) });
    const p = Math.exp(0.255) / (Math.exp(0.255) + Math.E);
    expect(score).toBeCloseTo(p, 6);
    expectNear(values, reds(quarter).map((value) => value * p * (1 - p)));
    const bad = (outputs: Tensor) => outputs;
    await expect(saliency(model, image, { target: bad })).rejects.toThrow("one of shape [1,2]");
    const tf = await ensureBackend();
    const constant = () => tf.scalar(3);
    await expect(saliency(model, image, { target: constant })).rejects.toThrow("does not depend on the image");
  });

  test("one sigmoid unit tells two classes apart, and their maps are opposite", async () => {
    const two = await loadModel(await sigmoidNet(), { preprocess: "none", labels: ["cat", "dog"] });
    const pixel = { data: Float32Array.of(1, 0, 0), shape: [1, 1, 3] };
    const [cat, dog, likely] = await saliency(two, pixel, { target: ["cat", "dog", "predicted"] });
    expect([...dog.values.data]).toEqual([1, 1, 1]);
    expect([...cat.values.data]).toEqual([-1, -1, -1]);
    expect(likely.target).toMatchObject({ label: "dog" });
    expect(likely.target.probability).toBeCloseTo(1 / (1 + Math.exp(-1)), 6);
    two.dispose();
  });

  test("a grey image has no colours", async () => {
    const tf = await ensureBackend();
    const net = tf.sequential({
      layers: [tf.layers.flatten({ inputShape: [2, 2, 1] }), tf.layers.dense({ units: 2 })],
    });
    const grey = await loadModel(net, { preprocess: "unit" });
    const { values, map } = await saliency(grey, { data: new Float32Array(12).fill(9), shape: [2, 2, 3] });
    expect(values.shape).toEqual([2, 2]);
    expect(map.shape).toEqual([2, 2]);
    grey.dispose();
  });
});

describe("every method", () => {
  const scene = landscape();
  const other = { ...scene, data: scene.data.map((value) => 255 - value) };
  let model: Model;
  beforeAll(async () => {
    model = await loadModel(await wavesNet(), { name: "waves", preprocess: "unit", labels: [..."abcde"] });
  });
  afterAll(() => model.dispose());

  test.each(Object.keys(METHODS))("%s: many images and many targets are each as one alone", async (name) => {
    const method = METHODS[name] as unknown as (...args: unknown[]) => Promise<Attribution[]>;
    const pairs = await method(model, [scene, other, scene], { target: ["a", 1, "predicted"], batchSize: 2 });
    expect(pairs.map(({ target }) => target.label).slice(0, 2)).toEqual(["a", "b"]);
    for (const [i, [image, target]] of ([[scene, "a"], [other, 1], [scene, "predicted"]] as const).entries()) {
      const alone = await METHODS[name](model, image, { target });
      expectNear(pairs[i].map, alone.map, 5);
      expect(pairs[i].score).toBeCloseTo(alone.score, 5);
    }
    expect(await method(model, [scene], {})).toHaveLength(1);
    expect(await method(model, scene, { target: ["a", "b"] })).toHaveLength(2);
    await expect(method(model, [scene, other], { target: ["a", "b", "c"] })).rejects.toThrow(
      "2 images and 3 targets cannot be paired",
    );
    await expect(method(model, [], {})).rejects.toThrow("There is no image");
  });

  test("units of many images are each the strongest of its own image", async () => {
    const target = { layer: "conv1", channel: 2 };
    const images = [scene, other, scene, other];
    const many = await saliency(model, images, { target: [target, target, "a", target], batchSize: 2 });
    for (const [i, { target: { cell, text }, score }] of many.entries()) {
      const alone = await saliency(model, images[i], { target: i === 2 ? "a" : target });
      expect({ cell, text }).toEqual({ cell: alone.target.cell, text: alone.target.text });
      expect(score).toBeCloseTo(alone.score, 5);
    }
    expect(many[0].target.cell).not.toEqual(many[1].target.cell);
  });

  test("images that fit into one batch, and targets of one image, run in as many steps as one alone", async () => {
    const tf = await ensureBackend();
    const steps = async (images: readonly NdArrayLike[]) =>
      (await tf.profile((() => saliency(model, images)) as never)).kernels.length;
    expect(await steps([scene, other, scene])).toBe(await steps([scene]));
  });

  test("Grad-CAM tells of each image that is done, and checks batchSize", async () => {
    const told: [number, number][] = [];
    await gradCam(model, [scene, other], { onProgress: (...of) => told.push(of) });
    expect(told).toEqual([[1, 2], [2, 2]]);
    await expect(gradCam(model, scene, { batchSize: 0 })).rejects.toThrow("batchSize must be a whole number");
  });

  test.each(Object.keys(METHODS))(
    "%s: after an abort the next gradient is right, and no tensor is left",
    async (name) => {
      const tf = await ensureBackend();
      const wanted = await saliency(model, scene, { target: "b" });
      const before = tf.memory().numTensors;
      const stop = new AbortController();
      const onProgress = () => stop.abort(new Error("enough"));
      const run = METHODS[name](model, scene, { target: "b", batchSize: 2, signal: stop.signal, onProgress });
      // What runs in one batch is done when it tells of it.
      if (["smoothGrad", "integratedGradients", "scoreCam"].includes(name)) await expect(run).rejects.toThrow("enough");
      else await run;
      await expect(METHODS[name](model, scene, { signal: AbortSignal.abort(new Error("before")) })).rejects.toThrow(
        "before",
      );
      expect(tf.memory().numTensors).toBe(before);
      expectNear((await saliency(model, scene, { target: "b" })).values, wanted.values, 9);
    },
  );

  test.each(["saliency", "guidedBackprop", "smoothGrad", "integratedGradients", "gradCam"])(
    "%s: after a throw on the way the next gradient is right, and no tensor is left",
    async (name) => {
      const tf = await ensureBackend();
      const wanted = await saliency(model, scene, { target: "b" });
      const before = tf.memory().numTensors;
      const target = (outputs: Tensor) => {
        tf.square(outputs);
        throw new Error("on the way");
      };
      await expect(METHODS[name](model, scene, { target })).rejects.toThrow("on the way");
      expect(tf.memory().numTensors).toBe(before);
      expectNear((await saliency(model, scene, { target: "b" })).values, wanted.values, 9);
    },
  );

  test("after a failed allocation the next gradient is right, and no tensor is left", async () => {
    const former = (await ensureBackend()).getBackend();
    await useBackend("wasm");
    const tf = await ensureBackend();
    const { wasm } = tf.findBackend("wasm") as unknown as { wasm: { _malloc: (bytes: number) => number } };
    const own = await loadModel(await wavesNet(), { preprocess: "unit" });
    const wanted = await saliency(own, scene, { target: 1 });
    const guided = await guidedBackprop(own, scene, { target: 1 });
    const before = tf.memory().numTensors;
    const malloc = wasm._malloc;
    // Each time somewhat later: on the way there, on the way back.
    for (const after of [3, 12, 20, 28]) {
      let calls = 0;
      wasm._malloc = (bytes) => {
        if (++calls > after) throw new MemoryError("no room");
        return malloc(bytes);
      };
      try {
        await expect(guidedBackprop(own, scene, { target: 1 })).rejects.toThrow(MemoryError);
      } finally {
        wasm._malloc = malloc;
      }
      expectNear((await saliency(own, scene, { target: 1 })).values, wanted.values, 9);
      expectNear((await guidedBackprop(own, scene, { target: 1 })).values, guided.values, 9);
      expect(tf.memory().numTensors).toBe(before);
    }
    own.dispose();
    await useBackend(former as "cpu");
  });

  test("more steps, samples or images take no more memory, and smaller batches take less", async () => {
    const tf = await ensureBackend();
    const peak = async (run: () => Promise<unknown>) => (await tf.profile(run as never)).peakBytes;
    const integrated = (steps: number, batchSize: number) =>
      peak(() => integratedGradients(model, scene, { target: 0, steps, batchSize }));
    const few = await integrated(8, 4);
    expect(await integrated(24, 4)).toBe(few);
    expect(await integrated(24, 8)).toBeGreaterThan(1.5 * few);
    const smooth = (samples: number) => peak(() => smoothGrad(model, scene, { target: 0, samples, batchSize: 4 }));
    expect(await smooth(16)).toBe(await smooth(8));
    const many = (images: number) => peak(() => saliency(model, new Array(images).fill(scene), { batchSize: 4 }));
    expect(await many(12)).toBe(await many(8));
  });

  test("figures tell the target, the scale and the percentile", async () => {
    const result = await saliency(model, scene, { target: "b" });
    const figure = result.figure();
    expect(figure.title).toMatch(/^waves · saliency · b \(\d+\.\d %\) · array$/);
    expect(figure.caption).toContain("99th percentile");
    expect(figure.caption).toContain("Unsigned: black is 0");
    expect(result.figure({ clip: 100 }).caption).toContain("the greatest magnitude");
    expect(() => result.figure({ clip: 0 })).toThrow("percentile above 0");
    expect((await saliency(model, scene, { signed: true })).figure().caption).toContain("blue against it");
    const { convergenceDelta } = await integratedGradients(model, scene, { steps: 4 });
    expect(convergenceDelta).toBeDefined();
    expect((await integratedGradients(model, scene, { steps: 4 })).figure().caption).toContain("Convergence delta");
    expect(Deno.inspect(result)).toContain("score");
  });

  test("the map of signed saliency has the magnitude of the unsigned one", async () => {
    const signed = await saliency(model, scene, { signed: true });
    const unsigned = await saliency(model, scene);
    expect(signed.map.data.some((value) => value < 0)).toBe(true);
    expectNear({ ...signed.map, data: signed.map.data.map(Math.abs) }, unsigned.map, 9);
  });

  test("SmoothGrad repeats with its seed, whatever the batch, and without noise it is saliency", async () => {
    const one = await smoothGrad(model, scene, { samples: 5, seed: 3, batchSize: 2 });
    expectNear((await smoothGrad(model, scene, { samples: 5, seed: 3, batchSize: 5 })).values, one.values);
    const another = await smoothGrad(model, scene, { samples: 5, seed: 4 });
    expect(Math.max(...another.values.data.map((value, i) => Math.abs(value - one.values.data[i])))).toBeGreaterThan(
      1e-4,
    );
    expectNear(
      (await smoothGrad(model, scene, { samples: 2, noise: 0 })).values,
      (await saliency(model, scene)).values,
    );
    await expect(smoothGrad(model, scene, { noise: -1 })).rejects.toThrow("noise must be");
    await expect(smoothGrad(model, scene, { samples: 0 })).rejects.toThrow("samples must be");
  });

  test("integrated gradients of several baselines are the mean of each", async () => {
    const options = { target: "b", steps: 7 };
    const own = { data: new Float32Array(scene.data.length).fill(80), shape: scene.shape };
    const all = await integratedGradients(model, scene, { ...options, baseline: ["grey", "noise", own], seed: 5 });
    const each: Attribution[] = [];
    for (const baseline of ["grey", "noise", own] as const) {
      each.push(await integratedGradients(model, scene, { ...options, baseline, seed: 5 }));
    }
    expectNear(all.values, [...all.values.data.keys()].map((i) => each.reduce((s, r) => s + r.values.data[i], 0) / 3));
    expect(all.convergenceDelta).toBeCloseTo(each.reduce((s, r) => s + r.convergenceDelta!, 0) / 3, 5);
    await expect(integratedGradients(model, scene, { baseline: "white" as never })).rejects.toThrow(
      'no baseline "white"; wanted one of "grey", "zero", "mean", "blurred", "noise"',
    );
    await expect(integratedGradients(model, scene, { rule: "simpson" as never })).rejects.toThrow(
      'rule must be "gauss-legendre", "left"',
    );
    await expect(integratedGradients(model, scene, { baseline: [] })).rejects.toThrow("baseline is empty");
  });

  test.each(["saliency", "inputXGradient", "integratedGradients"])("%s of a weighted sum is the sum", async (name) => {
    const terms = [[2, "a"], [-0.5, { layer: "conv1", channel: 2, cell: [1, 3] }], [
      3,
      (x: Tensor) => x.sum(),
    ]] as const;
    const direction = { layer: "dense", direction: [1, 0, -2, 0, 0.5] };
    const layer = model.layers.findLast(({ outputShape }) => outputShape.length === 1 && outputShape[0] === 5)!.name;
    const all = [...terms, [1, { ...direction, layer }]] as never[];
    const options = name === "saliency" ? { signed: true } : {};
    const whole = await METHODS[name](model, scene, { target: { sum: all }, ...options });
    const parts: Attribution[] = [];
    for (const [, target] of all as [number, unknown][]) {
      parts.push(await METHODS[name](model, scene, { target, ...options }));
    }
    const sum = (of: (part: Attribution) => number) =>
      parts.reduce((total, part, i) => total + (all[i] as [number])[0] * of(part), 0);
    expect(whole.score).toBeCloseTo(sum(({ score }) => score), 3);
    expectNear(whole.values, [...whole.values.data.keys()].map((i) => sum(({ values }) => values.data[i])), 4);
  });

  test("a contrast is the first minus the second, also for Grad-CAM, and says so", async () => {
    const target = contrast("a", "predicted");
    const found = await saliency(model, scene, { target, signed: true });
    const [a, predicted] = await saliency(model, scene, { target: ["a", "predicted"], signed: true });
    expect(found.score).toBeCloseTo(a.score - predicted.score, 4);
    expect(found.target.text).toBe(`a − ${predicted.target.label}`);
    expect(found.target.probability).toBeUndefined();
    const cam = await gradCam(model, scene, { target: contrast("a", "b") });
    expect(cam.score).toBeCloseTo(
      (await gradCam(model, scene, { target: "a" })).score - (await gradCam(model, scene, { target: "b" })).score,
      4,
    );
  });

  test("a direction is the sum of its channels, at the cell where that is largest", async () => {
    const { outputShape: [height, width, channels] } = model.layer("conv1");
    const direction = Array.from({ length: channels! }, (_, i) => i === 2 ? 1 : i === 0 ? -0.5 : 0);
    const found = await saliency(model, scene, { target: { layer: "conv1", direction }, signed: true });
    const cell = found.target.cell!;
    const units = {
      sum: [[1, { layer: "conv1", channel: 2, cell }], [-0.5, { layer: "conv1", channel: 0, cell }]],
    } as const;
    const same = await saliency(model, scene, { target: units, signed: true });
    expect(found.score).toBeCloseTo(same.score, 4);
    expectNear(found.values, same.values, 5);
    for (const other of [[0, 0], [height! - 1, width! - 1], [3, 5]] as const) {
      const there = await saliency(model, scene, { target: { layer: "conv1", direction, cell: other } });
      expect(there.score).toBeLessThanOrEqual(found.score);
    }
    await expect(saliency(model, scene, { target: { layer: "conv1", direction: [1] } })).rejects.toThrow(
      `Layer "conv1" has ${channels} channels: received a direction of 1 numbers.`,
    );
    await expect(saliency(model, scene, { target: { sum: [] } })).rejects.toThrow("at least one [weight, target]");
    await expect(saliency(model, scene, { target: { sum: [["a", 1]] as never } })).rejects.toThrow(
      "pairs [weight, target]",
    );
  });

  test("several images give a collection that shows itself as one figure", async () => {
    const maps = await saliency(model, [scene, scene]);
    expect(maps).toHaveLength(2);
    expect(Array.isArray(maps.map(({ score }) => score))).toBe(true);
    const { html } = { html: await maps.figure().html() };
    expect(html.match(/<img /g)!.length).toBeGreaterThanOrEqual(4);
  });

  test("a map cannot be made of a layer without maps, or one behind the target", async () => {
    await expect(gradCam(model, scene, { layer: "flat" })).rejects.toThrow("puts out [1280]");
    await expect(gradCam(model, scene, { layer: "pool2", target: { layer: "conv1", channel: 0 } })).rejects.toThrow(
      'does not depend on the layer "pool2"',
    );
    await expect(gradCam(model, scene, { variant: "cam" as never })).rejects.toThrow(
      'variant must be "gradcam", "gradcam++"',
    );
    expect((await gradCam(model, scene)).layer).toBe("relu2");
  });

  test("Score-CAM and Grad-CAM++ equal their papers' formulas, written out", async () => {
    const tf = await ensureBackend();
    const input = model.input(scene);
    const [maps, gradient] = await layerByHand(model, input);
    const channels = 20;
    const value = (data: Float32Array, y: number, x: number, c: number) => data[(y * 16 + x) * channels + c];
    // Grad-CAM++, equations 10 and 19, for Y = exp(S).
    const plus = new Array<number>(256).fill(0);
    for (let c = 0; c < channels; c++) {
      let total = 0;
      for (let cell = 0; cell < 256; cell++) total += maps[cell * channels + c];
      let weight = 0;
      for (let y = 0; y < 16; y++) {
        for (let x = 0; x < 16; x++) {
          const g = value(gradient, y, x, c);
          if (g > 0) weight += g * g ** 2 / (2 * g ** 2 + total * g ** 3);
        }
      }
      for (let cell = 0; cell < 256; cell++) plus[cell] += weight * maps[cell * channels + c];
    }
    expectNear((await gradCam(model, scene, { target: 1, variant: "gradcam++" })).cam!, plus, 4);

    // Score-CAM, algorithm 1; the score here is a probability.
    const scores: number[] = [];
    for (let c = 0; c < channels; c++) {
      const plane = Float32Array.from({ length: 256 }, (_, cell) => maps[cell * channels + c]);
      const [low, high] = [Math.min(...plane), Math.max(...plane)];
      const mask = enlarge({ data: plane.map((v) => (v - low) / (high - low)), shape: [16, 16] }, [32, 32]);
      const masked = input.data.map((v, i) => v * mask.data[Math.floor(i / 3)]);
      const x = tf.tensor(masked, [1, 32, 32, 3]);
      const y = model.network.predict(x) as Tensor;
      scores.push((await y.data())[1]);
      tf.dispose([x, y]);
    }
    const raised = scores.map(Math.exp);
    const sum = raised.reduce((a, b) => a + b);
    const wanted = Array.from(
      { length: 256 },
      (_, cell) => raised.reduce((s, weight, c) => s + weight / sum * maps[cell * channels + c], 0),
    );
    const target = (outputs: Tensor) => outputs.slice([0, 1], [1, 1]);
    expectNear((await gradCam(model, scene, { target, variant: "scorecam" })).cam!, wanted, 4);
  });

  test("several methods are compared on the scale of each", async () => {
    const results = [await saliency(model, scene), await gradCam(model, scene), await guidedBackprop(model, scene)];
    const figure = compare(results).figure();
    expect(figure.title).toMatch(/^waves · 3 attributions · \w \(/);
    const html = await figure.html();
    for (const { method } of results) expect(html).toContain(method);
    expect(html).toContain("99th percentile");
    expect(() => compare([])).toThrow("nothing to compare");
    expect(() => compare(results[0] as never)).toThrow("received an object of type Attribution.");
    expect(() => compare([undefined as never])).toThrow("received an array with undefined.");
    const promise = saliency(model, scene);
    expect(() => compare([promise as never])).toThrow("received an array with a promise (did you forget await?).");
    await promise;
    const elsewhere = await saliency(model, other);
    expect(() => compare([results[0], elsewhere])).toThrow("of one image");
  });
});

/** The maps of relu2 and the gradient of class 1's score to them, layer by layer. */
async function layerByHand(model: Model, input: NdArrayLike): Promise<[Float32Array, Float32Array]> {
  const tf = await ensureBackend();
  const layer = (name: string) => model.network.getLayer(name);
  const [kernel] = layer("classes").getWeights();
  const x = tf.tensor(input.data, [1, ...input.shape]);
  const maps = tf.tidy(() =>
    ["conv1", "pool1", "conv2", "relu2"].reduce((x, name) => layer(name).apply(x) as Tensor, x as Tensor)
  );
  const score = (maps: Tensor) =>
    tf.sum(
      tf.mul(
        tf.reshape(tf.maxPool(maps as never, 2, 2, "valid"), [-1]),
        tf.reshape(tf.slice(kernel, [0, 1], [-1, 1]), [-1]),
      ),
    );
  const gradient = tf.grad(score)(maps);
  const values = await Promise.all([maps.data(), gradient.data()]) as [Float32Array, Float32Array];
  tf.dispose([x, maps, gradient]);
  return values;
}

describe("any network", () => {
  const scene = landscape();

  async function twoOf(
    ends: (tf: Awaited<ReturnType<typeof ensureBackend>>) => Layers.Layer[],
  ): Promise<[Model, Model]> {
    const tf = await ensureBackend();
    const body = (first: boolean) => [
      tf.layers.conv2d({ filters: 4, kernelSize: 3, activation: "relu", ...first && { inputShape: [32, 32, 3] } }),
      tf.layers.maxPooling2d({ poolSize: 2 }),
      tf.layers.flatten(),
    ];
    const flat = tf.sequential({ layers: [...body(true), ...ends(tf)] });
    const tail = ends(tf);
    const inner = tf.sequential({ layers: body(true) });
    const head = tf.sequential();
    tail.forEach((layer) => head.add(layer));
    const input = tf.input({ shape: [32, 32, 3] });
    const features = inner.apply(input);
    const nested = tf.model({ inputs: input, outputs: head.apply(features) as never });
    nested.setWeights(flat.getWeights());
    const options = { preprocess: "unit", labels: ["a", "b", "c"] } as const;
    return [await loadModel(flat, options), await loadModel(nested, options)];
  }

  test.each<[string, Parameters<typeof twoOf>[0]]>([
    ["a dense layer with a softmax", (tf) => [tf.layers.dense({ units: 3, activation: "softmax", inputShape: [900] })]],
    ["a layer of softmax", (tf) => [tf.layers.dense({ units: 3, inputShape: [900] }), tf.layers.softmax()]],
    ["an activation", (tf) => [
      tf.layers.dense({ units: 3, inputShape: [900] }),
      tf.layers.activation({ activation: "softmax" }),
    ]],
    ["logits", (tf) => [tf.layers.dense({ units: 3, inputShape: [900] })]],
  ])("that ends in %s: nested as flat, the same before and behind the softmax", async (_, ends) => {
    const [flat, nested] = await twoOf(ends);
    const wanted = await saliency(flat, scene, { target: 2 });
    const found = await saliency(nested, scene, { target: 2 });
    expectNear(found.values, wanted.values);
    expect(found.score).toBeCloseTo(wanted.score, 5);
    expect(found.target.probability).toBeCloseTo(wanted.target.probability!, 6);
    expectNear(
      (await guidedBackprop(nested, scene, { target: 2 })).values,
      (await guidedBackprop(flat, scene, { target: 2 })).values,
    );
    flat.dispose();
    nested.dispose();
  });

  test("an activation without a rule is refused by name, nested too; plain gradients pass it", async () => {
    const tf = await ensureBackend();
    const inner = tf.sequential({
      name: "inner",
      layers: [
        tf.layers.conv2d({ inputShape: [32, 32, 3], filters: 2, kernelSize: 3, activation: "elu", name: "bent" }),
      ],
    });
    const input = tf.input({ shape: [32, 32, 3] });
    let x = inner.apply(input);
    x = tf.layers.reLU({ name: "straight" }).apply(x);
    x = tf.layers.dense({ units: 2 }).apply(tf.layers.flatten().apply(x));
    const model = await loadModel(tf.model({ inputs: input, outputs: x as never }), { name: "mixed" });
    await expect(guidedBackprop(model, scene)).rejects.toThrow(
      'the layer "inner/bent" of "mixed" has the activation elu',
    );
    await saliency(model, scene);
    model.dispose();
  });

  test("a layer beside which another way leads on: Grad-CAM sees the layer's own part", async () => {
    const net = captumNets.residual;
    const model = await buildCaptumNet(net, { softmax: true });
    const image = imageOf(net);
    // The second convolution of a block; the sum behind it also holds the block's input.
    for (const layer of ["layer5", "layer2"]) {
      const { cam, score } = await gradCam(model, image, { target: net.target, layer, variant: "layercam" });
      expect(score).toBeCloseTo(net.scores[net.target], 4);
      expect(cam!.data.some((value) => value > 0)).toBe(true);
    }
    model.dispose();
  });

  test.each(Object.keys(captumNets))("integrated gradients of %s miss less than 1 % by default", async (name) => {
    const model = await buildCaptumNet(captumNets[name], { softmax: true });
    const { values, convergenceDelta } = await integratedGradients(model, imageOf(captumNets[name]));
    const sum = values.data.reduce((a, b) => a + b, 0);
    expect(Math.abs(convergenceDelta!)).toBeLessThan(0.01 * Math.abs(sum - convergenceDelta!));
    model.dispose();
  });
});

describe("parts", () => {
  test("the rules of integration know polynomials", () => {
    for (const rule of QUADRATURES) {
      for (const count of [2, 5, 50]) {
        const { at, weights } = quadrature(rule, count);
        expect(weights.reduce((a, b) => a + b)).toBeCloseTo(1, 12);
        expect(at.every((x, i) => x >= 0 && x <= 1 && (i === 0 || x > at[i - 1]))).toBe(true);
      }
    }
    const { at, weights } = quadrature("gauss-legendre", 3);
    // Exact to the degree 2n − 1.
    expect(at.reduce((sum, x, i) => sum + weights[i] * x ** 5, 0)).toBeCloseTo(1 / 6, 14);
    expect(() => quadrature("trapezoid", 1)).toThrow("at least 2 steps");
  });

  test("a map is enlarged between the middles of its cells", () => {
    expect([...enlarge({ data: Float32Array.of(0, 1), shape: [1, 2] }, [2, 4]).data]).toEqual(
      [0, 0.25, 0.75, 1, 0, 0.25, 0.75, 1],
    );
    expect([...enlarge({ data: Float32Array.of(7), shape: [1, 1] }, [2, 2]).data]).toEqual([7, 7, 7, 7]);
  });

  test("baselines say nothing of the image, but for the blurred one, which keeps its mean", async () => {
    const view = landscape();
    const model = await loadModel(await wavesNet(), { name: "waves" });
    const baselineOf = async (baseline: Baseline, seed = 0) => (await makeBaseline(model, view, baseline, seed)).image;
    const mean = (image: NdArrayLike) => image.data.reduce((a, b) => a + b, 0) / image.data.length;
    expect(mean(await baselineOf(0))).toBe(0);
    expect(mean(await baselineOf([0, 30, 60]))).toBe(30);
    expect(mean(await baselineOf("mean"))).toBeCloseTo(mean(view), 3);
    expect(mean(await baselineOf("grey"))).toBe(127.5);
    expect(mean(await baselineOf("noise", 1))).toBeGreaterThan(120);
    expect(mean(await baselineOf("noise", 1))).toBeLessThan(135);
    expect([...(await baselineOf("noise", 1)).data]).not.toEqual([...(await baselineOf("noise", 2)).data]);
    expect(mean(await baselineOf("blurred"))).toBeCloseTo(mean(view), -1);
    model.dispose();
    const dot = { data: new Float32Array(11 * 11 * 3), shape: [11, 11, 3] };
    dot.data[(5 * 11 + 5) * 3] = 1;
    const soft = blurred(dot, 1);
    // A Gaussian cut off at three deviations, in two dimensions.
    const sum = [...Array(7).keys()].reduce((total, k) => total + Math.exp(-((k - 3) ** 2) / 2), 0);
    expect(soft.data[(5 * 11 + 5) * 3]).toBeCloseTo(1 / sum ** 2, 6);
    expect(soft.data[(4 * 11 + 6) * 3]).toBeCloseTo(Math.exp(-1) / sum ** 2, 6);
    expect(soft.data[(4 * 11 + 6) * 3 + 1]).toBe(0);
  });

  test("percentiles pass over zeros", () => {
    expect(percentileOfMagnitudes([0, 0, 0, -3, 1, 2, 0], 100)).toBe(3);
    expect(percentileOfMagnitudes([0, 0, 0, -3, 1, 2, 0], 34)).toBe(2);
    expect(percentileOfMagnitudes([0, 0], 99)).toBe(0);
  });
});
