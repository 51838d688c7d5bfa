import { afterAll, beforeAll, describe, expect, test } from "vitest";
import fixture from "../oracles/fixtures/filters.json" with { type: "json" };
import oracle from "../oracles/fixtures/resnet50.json" with { type: "json" };
import { ndarray } from "../../lib/array.ts";
import { filters } from "../../lib/methods/filters.ts";
import { diagnoseFilter, noiseThreshold } from "../../lib/probe/filter_diagnostics.ts";
import { loadModel } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { tinyNet } from "../nets.ts";

describe("diagnostics against numpy", () => {
  for (const [name, wanted] of Object.entries(fixture.kernels)) {
    test(name, () => {
      const found = diagnoseFilter(ndarray(wanted.kernel, wanted.shape));
      expect(found.totalVariation).toBeCloseTo(wanted.totalVariation, 6);
      expect(found.frequency).toBeCloseTo(wanted.frequency, 6);
      if (wanted.orientation === null) expect(found.orientation).toBeNull();
      else expect(found.orientation).toBeCloseTo(wanted.orientation, 6);
      expect(found.highFrequency).toBeCloseTo(wanted.noiseScore, 6);
      expect(found.noise).toBeCloseTo(wanted.spectralEntropy, 6);
      if (wanted.colourfulness === null) expect(found.colorfulness).toBeNull();
      else expect(found.colorfulness).toBeCloseTo(wanted.colourfulness, 6);
    });
  }
});

/** Normal deviates from a small seeded generator (mulberry32 and Box-Muller). */
function* normals(seed: number): Generator<number> {
  const uniform = () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  while (true) yield Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}

describe("the rule for noise", () => {
  test.each([[5, 3], [7, 3], [11, 3], [7, 1], [11, 1]])("flags white noise of %i×%i channels", (side, channels) => {
    const source = normals(side * 10 + channels);
    const threshold = noiseThreshold([side, side, channels])!;
    let flagged = 0;
    for (let i = 0; i < 200; i++) {
      const kernel = Array.from({ length: side * side * channels }, () => source.next().value as number);
      if (diagnoseFilter(ndarray(kernel, [side, side, channels])).noise > threshold) flagged++;
    }
    expect(flagged).toBeGreaterThan(180);
  });

  test("flags no hand-made wave, blob or ramp, and nothing that is too small or too deep to tell", () => {
    for (const [name, { kernel, shape }] of Object.entries(fixture.kernels)) {
      const threshold = noiseThreshold(shape);
      const flagged = threshold !== null && diagnoseFilter(ndarray(kernel, shape)).noise > threshold;
      expect(flagged, name).toBe(name.startsWith("white noise") && shape[0] >= 5);
    }
    expect(noiseThreshold([3, 3, 3])).toBeNull();
    expect(noiseThreshold([7, 7, 64])).toBeNull();
  });
});

describe("ResNet-50", () => {
  let model: Model;
  beforeAll(async () => {
    model = await loadModel("resnet50");
  });
  afterAll(() => model.dispose());

  test("has the weights that Keras has", async () => {
    for (const [name, layer] of [["conv1/kernel", "conv1"], ["fc1000/kernel", "fc1000"]] as const) {
      const wanted = oracle.weights[name];
      const { weights } = await filters(model, { layer });
      expect(weights.shape).toEqual(layer === "conv1" ? wanted.shape : [1, 1, ...wanted.shape]);
      wanted.index.forEach((index, i) => expect(weights.data[index]).toBeCloseTo(wanted.value[i], 6));
    }
  });

  test("has colourful slow filters and grey fast ones in its first layer", async () => {
    const { rows } = await filters(model, { layer: "conv1" });
    const sorted = [...rows].sort((a, b) => a.colorfulness! - b.colorfulness!);
    const mean = (part: typeof rows) => part.reduce((sum, row) => sum + row.frequency, 0) / part.length;
    expect(mean(sorted.slice(0, 16))).toBeGreaterThan(2 * mean(sorted.slice(-16)));
    expect(rows.filter(({ noisy }) => noisy)).toHaveLength(0);
  });

  test("paints its filters in true colours though it reads BGR", async () => {
    const { weights, rows } = await filters(model, { layer: "conv1" });
    // The filter whose red weights outweigh its others most, by the layer's own order of blue, green, red.
    const excess = rows.map((_, f) => {
      let sum = 0;
      for (let i = 0; i < 49; i++) {
        const at = (c: number) => weights.data[(i * 3 + c) * 64 + f];
        sum += at(2) - Math.max(at(0), at(1));
      }
      return sum / rows[f].norm;
    });
    const reddest = excess.indexOf(Math.max(...excess));
    const [block] = (await filters(model, { layer: "conv1", channels: [reddest] })).figure().blocks;
    if (block.kind !== "picture") throw new Error("wanted a picture");
    const totals = [0, 0, 0];
    block.pixels.data.forEach((value, i) => totals[i % 3] += value);
    expect(totals[0]).toBeGreaterThan(totals[1]);
    expect(totals[0]).toBeGreaterThan(totals[2]);
  });

  test("labels the units of its last layer", async () => {
    const { rows } = await filters(model, { layer: "fc1000", channels: [245] });
    expect(rows[0]).toMatchObject({ channel: 245, label: "French bulldog" });
  });
});

describe("layouts", () => {
  test("a dense layer's weights stand on the map that it reads", async () => {
    const model = await loadModel(await tinyNet(), { preprocess: "none" });
    const { weights } = await filters(model, { layer: "out" });
    expect(weights.shape).toEqual([2, 2, 2, 2]);
    // Unit 0 reads channel 0 of every cell with .001, and nothing else.
    expect(Array.from(weights.data, (v) => Math.round(v * 1000))).toEqual(
      [0, 1, 2, 3].flatMap(() => [1, 0, 0, 0]),
    );
    model.dispose();
  });

  test("a depthwise convolution has one kernel a filter, a transposed one is turned round", async () => {
    const tf = await ensureBackend();
    const net = tf.sequential({
      layers: [
        tf.layers.depthwiseConv2d({ name: "deep", inputShape: [8, 8, 3], kernelSize: 3, depthMultiplier: 2 }),
        tf.layers.conv2dTranspose({ name: "up", filters: 5, kernelSize: 2 }),
      ],
    });
    const model = await loadModel(net);
    const deep = await filters(model, { layer: "deep" });
    expect(deep.weights.shape).toEqual([3, 3, 1, 6]);
    expect(deep.weights.data).toEqual(await net.getLayer("deep").getWeights()[0].data());
    const up = await filters(model, { layer: "up" });
    expect(up.weights.shape).toEqual([2, 2, 6, 5]);
    const turned = net.getLayer("up").getWeights()[0].transpose([0, 1, 3, 2]);
    expect(up.weights.data).toEqual(await turned.data());
    turned.dispose();
    model.dispose();
  });

  test("takes the first convolution, or says where one is", async () => {
    const tf = await ensureBackend();
    const L = tf.layers;
    const model = await loadModel(await tinyNet());
    expect((await filters(model)).layer).toBe("conv");
    expect((await filters(model, { channels: [1] })).rows.map(({ channel }) => channel)).toEqual([1]);
    const dense = tf.sequential({
      layers: [L.flatten({ inputShape: [2, 2, 3] }), L.dense({ name: "only", units: 2, activation: "softmax" })],
    });
    await expect(loadModel(dense, { name: "flat" }).then((model) => filters(model))).rejects.toThrow(
      '"flat" has no convolution; wanted the name of a dense layer as { layer }, as "only".',
    );
    const inner = tf.sequential({
      name: "features",
      layers: [L.conv2d({ name: "deep", inputShape: [4, 4, 3], filters: 2, kernelSize: 2 })],
    });
    const outer = await loadModel(tf.sequential({ layers: [inner, L.flatten(), L.dense({ units: 2 })] }), {
      name: "two",
    });
    expect((await filters(outer)).layer).toBe("features/deep");
  });

  test("refuses layers without filters, unknown channels and unknown sorts", async () => {
    const model = await loadModel(await tinyNet(), { preprocess: "none", name: "tiny" });
    await expect(filters(model, { layer: "pool" })).rejects.toThrow(
      'Layer "pool" is a MaxPooling2D and has no filters; wanted a convolution or a dense layer, as "conv", "out".',
    );
    await expect(filters(model, { layer: "conv", channels: [2] })).rejects.toThrow("has filters 0 to 1: received 2");
    const result = await filters(model, { layer: "conv" });
    expect(() => result.figure({ sort: "beauty" as never })).toThrow(
      /sort must be "channel", "norm", .*received "beauty"/,
    );
    model.dispose();
  });

  test("sorts by any diagnosis, both ways, what has no value last", async () => {
    const model = await loadModel("resnet50");
    const result = await filters(model, { layer: "conv1" });
    const drawn = (options: object) => {
      const [block] = result.figure(options).blocks;
      if (block.kind !== "picture") throw new Error("wanted a picture");
      return block.grid!.labels.map((label) => Number(label.match(/^filter (\d+)/)![1]));
    };
    for (const sort of ["norm", "totalVariation", "noise", "highFrequency", "frequency", "colorfulness"] as const) {
      const values = drawn({ sort }).map((channel) => result.rows[channel][sort]!);
      expect(values, sort).toEqual([...values].sort((a, b) => a - b));
      const turned = drawn({ sort, descending: true }).map((channel) => result.rows[channel][sort]!);
      expect(turned, sort).toEqual([...values].sort((a, b) => b - a));
    }
    model.dispose();
  });
});
