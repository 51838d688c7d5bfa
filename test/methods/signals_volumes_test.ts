/** Networks of signals and of volumes, against Captum on PyTorch, and against what is computed place by place. */

import { afterAll, describe, expect, test } from "vitest";
import {
  activations,
  codes,
  dataset,
  deadFilters,
  deconvnet,
  evaluate,
  filters,
  gradCam,
  guidedBackprop,
  integratedGradients,
  loadModel,
  type Model,
  NdArray,
  occlusion,
  predict,
  saliency,
  smoothGrad,
  train,
} from "../../mod.ts";
import { sizeOf } from "../../lib/array.ts";
import { blurred } from "../../lib/data/corrupt.ts";
import { makeBaseline } from "../../lib/probe/attribution/baseline.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { longTest } from "../long.ts";
import fixture from "../oracles/fixtures/signals_volumes.json" with { type: "json" };

const tf = await ensureBackend();

/** The numbers of the fixture: sin(1.7 i + seed). */
const numbers = (shape: readonly number[], seed: number, scale = 1) =>
  new NdArray(Float32Array.from({ length: sizeOf(shape) }, (_, i) => scale * Math.sin(1.7 * i + seed)), shape);

/** The network of the fixture. */
async function netOf(name: "signal" | "volume"): Promise<Model> {
  const { shape } = fixture[name];
  const axes = shape.length - 1;
  const [conv, pool] = axes === 1
    ? [tf.layers.conv1d, tf.layers.maxPooling1d] as const
    : [tf.layers.conv3d, tf.layers.maxPooling3d] as const;
  const relu = { activation: "relu" as const };
  const first = { kernelSize: 3, padding: "same" as const, inputShape: shape, name: "conv1", ...relu };
  const net = tf.sequential({
    layers: [
      (conv as typeof tf.layers.conv1d)({ filters: 4, ...first }),
      (pool as typeof tf.layers.maxPooling1d)({ poolSize: 2, name: "pool" }),
      (conv as typeof tf.layers.conv1d)({ filters: 3, kernelSize: 2, name: "conv2", ...relu }),
      tf.layers.flatten(),
      tf.layers.dense({ units: 3, name: "dense", activation: "softmax" }),
    ],
  });
  const scales = [0.4, 0.1, 0.4, 0.1, 0.3, 0.1];
  net.getWeights().forEach(({ shape }, i) => {
    const { data } = numbers(shape, i + 1, scales[i]);
    const variable = net.weights[i];
    const value = tf.tensor(data, shape);
    variable.write(value);
    value.dispose();
  });
  return await loadModel(net, { preprocess: "none", name });
}

/** How far numbers are from the fixture's, as a share of the largest. */
function missed(found: NdArray, wanted: { shape: number[]; data: number[] }): number {
  expect(found.size).toBe(wanted.data.length);
  const largest = Math.max(...wanted.data.map(Math.abs));
  return wanted.data.reduce((most, value, i) => Math.max(most, Math.abs(value - found.data[i])), 0) / largest;
}

const names = ["signal", "volume"] as const;

describe.each(names)("a network of a %s", async (name) => {
  const model = await netOf(name);
  afterAll(() => model.dispose());
  const { shape, ...wanted } = fixture[name];
  const sides = shape.slice(0, -1);
  const input = numbers(shape, 7);
  const target = 2;

  test("predicts and activates as PyTorch, without a tensor left", async () => {
    const before = tf.memory().numTensors;
    const { rows } = await predict(model, input);
    for (const { index, probability } of rows) expect(probability).toBeCloseTo(wanted.probabilities[index], 5);
    const { layers: [conv2] } = await activations(model, input, { layer: "conv2" });
    expect(conv2.maps.shape).toEqual(wanted.conv2.shape);
    expect(missed(conv2.maps, wanted.conv2)).toBeLessThan(1e-5);
    expect(tf.memory().numTensors).toBe(before);
  });

  test("is explained as by Captum", async () => {
    const before = tf.memory().numTensors;
    const gradient = await saliency(model, input, { target });
    expect(missed(gradient.values, wanted.saliency)).toBeLessThan(1e-4);
    expect(gradient.map.shape).toEqual(sides);
    const channels = shape.at(-1)!;
    const largest = Array.from(
      gradient.map.data,
      (_, i) => Math.max(...gradient.values.data.slice(i * channels, (i + 1) * channels).map(Math.abs)),
    );
    expect([...gradient.map.data]).toEqual(largest);
    const integrated = await integratedGradients(model, input, {
      target,
      baseline: "zero",
      steps: 20,
      rule: "gauss-legendre",
    });
    expect(missed(integrated.values, wanted.integratedGradients)).toBeLessThan(1e-4);
    const cam = await gradCam(model, input, { target });
    expect(cam.map.shape).toEqual(sides);
    expect(cam.cam!.shape).toEqual(wanted.conv2.shape.slice(0, -1));
    expect(missed(cam.map, wanted.gradCam)).toBeLessThan(1e-4);
    for (const method of [guidedBackprop, deconvnet, smoothGrad] as unknown as typeof saliency[]) {
      const { values, map } = await method(model, input, {
        target,
        ...(method as unknown) === smoothGrad && { samples: 3 },
      });
      expect(map.shape).toEqual(sides);
      expect(values.size).toBe(sizeOf(shape));
      expect(values.data.some((value) => value !== 0)).toBe(true);
    }
    expect(tf.memory().numTensors).toBe(before);
  });

  test("is occluded as by Captum, and as place by place", async () => {
    const { window: size, stride } = wanted;
    const result = await occlusion(model, input, { target, size, stride, baseline: "zero" });
    const [{ score, boxes }] = result.maps;
    expect(result.probability.shape).toEqual(score.shape);
    // Captum's falls are those of the score before the softmax.
    const [sums, counts] = [new Float32Array(sizeOf(sides)), new Float32Array(sizeOf(sides))];
    const holds = (box: readonly number[], cell: number) => {
      let rest = cell;
      return sides.toReversed().every((side, k) => {
        const [axis, at] = [sides.length - 1 - k, rest % side];
        rest = Math.floor(rest / side);
        return at >= box[axis] && at < box[sides.length + axis];
      });
    };
    boxes.forEach((box, i) => {
      for (let cell = 0; cell < sums.length; cell++) {
        if (!holds(box, cell)) continue;
        sums[cell] += result.unoccludedScore - score.data[i];
        counts[cell]++;
      }
    });
    expect(missed(new NdArray(sums.map((sum, i) => sum / (counts[i] || 1)), sides), wanted.occlusion)).toBeLessThan(
      1e-4,
    );
    // A place by hand, one that hangs over the edge.
    const box = boxes.at(-1)!;
    const channels = shape.at(-1)!;
    const covered = input.data.map((value, i) => holds(box, Math.floor(i / channels)) ? 0 : value);
    const { rows } = await predict(model, new NdArray(covered, shape));
    expect(result.rows.at(-1)!.probability).toBeCloseTo(rows.find(({ index }) => index === target)!.probability!, 5);
    expect(result.rows.at(-1)!.box).toEqual(box);
    const unit = await occlusion(model, input, { target: { layer: "conv2", channel: 1 }, size, stride: 2 * stride });
    const { layers: [{ maps }] } = await activations(model, input, { layer: "conv2", channels: [1] });
    expect(unit.unoccluded).toBeCloseTo(maps.max(), 5);
    await expect(occlusion(model, input, { size: 99 })).rejects.toThrow(
      name === "signal"
        ? /A window of 99 cells is larger than the signal/
        : /A cube of 99 cells is larger than the volume/,
    );
  });

  test("shows its kernels, units and codes", async () => {
    const { weights, rows } = await filters(model, { layer: "conv2" });
    expect(weights.shape).toEqual(model.network.getLayer("conv2").getWeights()[0].shape);
    expect([...weights.data]).toEqual([...await model.network.getLayer("conv2").getWeights()[0].data()]);
    expect(rows.map(({ channel }) => channel)).toEqual([0, 1, 2]);
    const images = dataset(
      Array.from({ length: 6 }, (_, i) => ({ image: numbers(shape, i), label: `class ${i % 3}` })),
    );
    const vectors = await codes(model, images, { layer: "conv2", pool: "mean" });
    expect(vectors.shape).toEqual([6, 3]);
    const { layers: [{ maps }] } = await activations(model, numbers(shape, 4), { layer: "conv2" });
    const means = [0, 1, 2].map((channel) => maps.slice(...sides.map(() => null), channel).mean());
    means.forEach((mean, i) => expect(vectors.data[4 * 3 + i]).toBeCloseTo(mean, 5));
    expect((await deadFilters(model, images)).rows).toHaveLength(7);
    expect((await evaluate(model, images)).rows.length).toBeGreaterThan(0);
    const cells = sides.map((_, axis) => axis + 1);
    await expect(saliency(model, input, { target: { layer: "conv2", channel: 0, cell: [...cells, 0] } })).rejects
      .toThrow(
        /has maps of .* cells/,
      );
    const { target } = await saliency(model, input, {
      target: { layer: "conv1", channel: 0, cell: sides.map(() => 1) },
    });
    expect(target.cell).toEqual(sides.map(() => 1));
  });

  longTest("draws itself on a page", async () => {
    const map = await gradCam(model, input, { target });
    const html = await map.figure().html();
    expect(html).toContain(name === "signal" ? "behind the signal" : "over the slices");
    expect(await (await activations(model, input)).figure().html()).toContain("<img");
    expect(await (await filters(model)).figure().html()).toContain("<img");
  });

  test("draws itself", async () => {
    const map = (await gradCam(model, input, { target })).figure();
    expect(map.blocks.map(({ kind }) => kind)).toEqual(
      name === "signal" ? ["chart", "picture", "picture"] : ["picture", "picture", "blend", "picture"],
    );
    const [chart] = map.blocks;
    if (chart.kind === "chart") {
      expect(chart.series.map(({ x }) => x.length)).toEqual([24, 24]);
      expect(Math.max(...chart.shade!.shares)).toBeCloseTo(1, 6);
    }
    const occluded = (await occlusion(model, input, { target, size: 3, stride: 3 })).figure();
    expect(occluded.text).toMatch(
      name === "signal" ? /3 window, .*lowest at cells \d+–\d+/ : /3×3×3 cube, .*slices \d/,
    );
    expect((await activations(model, input)).figure().blocks).toHaveLength(3);
  });
});

test("signals are learned as they are, in floats", async () => {
  const kernelInitializer = tf.initializers.glorotUniform({ seed: 3 });
  const net = tf.sequential({
    layers: [
      tf.layers.conv1d({ filters: 4, kernelSize: 3, inputShape: [12, 1], kernelInitializer }),
      tf.layers.flatten(),
      tf.layers.dense({ units: 2, activation: "softmax", kernelInitializer }),
    ],
  });
  const model = await loadModel(net, { preprocess: "none", labels: ["up", "down"] });
  // A step of 0.4 up or down: bytes would not tell the two apart.
  const step = (i: number) => Float32Array.from({ length: 12 }, (_, t) => (t < 3 + i % 5 ? 0 : 0.4) * (i % 2 ? -1 : 1));
  const items = Array.from(
    { length: 40 },
    (_, i) => ({ image: new NdArray(step(i), [12, 1]), label: i % 2 ? "down" : "up" }),
  );
  const history = await train(model, dataset(items, { labels: ["up", "down"] }), {
    epochs: 4,
    learningRate: 0.2,
    seed: 1,
  });
  expect(history.rows.at(-1)!.accuracy).toBe(1);
  await expect(train(model, dataset(items, { labels: ["up", "down"] }), { augment: { flip: true } })).rejects.toThrow(
    /augment mirrors and shifts images/,
  );
  model.dispose();
});

test("baselines of a signal are its own channels'", async () => {
  const model = await netOf("signal");
  const view = numbers([24, 2], 7);
  const { image } = await makeBaseline(model, view, "mean", 0);
  expect(image.data[0]).toBeCloseTo(view.slice(null, 0).mean(), 6);
  expect(image.data[1]).toBeCloseTo(view.slice(null, 1).mean(), 6);
  const noise = (await makeBaseline(model, view, "noise", 0)).image;
  expect(Math.max(...noise.data.map(Math.abs))).toBeLessThanOrEqual(1);
  const dot = new NdArray(Float32Array.from({ length: 15 }, (_, i) => Number(i === 7)), [15, 1]);
  expect(blurred(dot, 1).sum()).toBeCloseTo(1, 6);
  model.dispose();
});

test("a grey network without an axis for channels reads pictures", async () => {
  const kernelInitializer = tf.initializers.glorotUniform({ seed: 3 });
  const layers = () => [
    tf.layers.conv2d({ filters: 2, kernelSize: 3, activation: "relu", kernelInitializer, name: "conv" }),
    tf.layers.flatten(),
    tf.layers.dense({ units: 2, activation: "softmax", kernelInitializer, name: "dense" }),
  ];
  const flat = await loadModel(tf.sequential({
    layers: [tf.layers.reshape({ targetShape: [8, 8, 1], inputShape: [8, 8] }), ...layers()],
  }));
  const grey = await loadModel(
    tf.sequential({ layers: [tf.layers.inputLayer({ inputShape: [8, 8, 1] }), ...layers()] }),
  );
  const image = new NdArray(Float32Array.from({ length: 64 }, (_, i) => 127 + 127 * Math.sin(i * i)), [8, 8, 1]);
  for (const given of [image, new NdArray(image.data, [8, 8])]) {
    const one = await saliency(flat, given, { target: 0 });
    expect(one.image.shape).toEqual([8, 8, 1]);
    expect(one.map.shape).toEqual([8, 8]);
    const other = await saliency(grey, image, { target: 0 });
    other.map.data.forEach((value, i) => expect(one.map.data[i]).toBeCloseTo(value, 6));
  }
  const [a, b] = [
    await occlusion(flat, image, { target: 0, size: 3 }),
    await occlusion(grey, image, { target: 0, size: 3 }),
  ];
  expect(a.probability.shape).toEqual(b.probability.shape);
  a.probability.data.forEach((value, i) => expect(value).toBeCloseTo(b.probability.data[i], 5));
  expect((await gradCam(flat, image)).map.shape).toEqual([8, 8]);
  const color = new NdArray(Float32Array.from({ length: 192 }, (_, i) => image.data[Math.floor(i / 3)]), [8, 8, 3]);
  const [{ probability }] = (await predict(flat, color)).rows;
  expect(probability).toBeCloseTo((await predict(grey, image)).rows[0].probability!, 5);
  [flat, grey].forEach((model) => model.dispose());
});
