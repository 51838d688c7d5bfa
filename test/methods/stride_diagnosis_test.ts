import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Dataset } from "../../lib/data/dataset.ts";
import { Image } from "../../lib/data/image.ts";
import { strideDiagnosis } from "../../lib/methods/stride_diagnosis.ts";
import { loadModel } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { wavesNet } from "../nets.ts";

/** Red waves of `k` half periods over 32 pixels: `k / 64` cycles a pixel. */
function waves(labelled: readonly [label: string, k: number][], labels: readonly string[] | undefined): Dataset {
  return {
    name: "waves",
    size: labelled.length,
    labels,
    async *[Symbol.asyncIterator]() {
      for (const [i, [label, k]] of labelled.entries()) {
        const data = new Float32Array(32 * 32 * 3);
        for (let at = 0; at < 32 * 32; at++) data[at * 3] = 128 + 100 * Math.cos(Math.PI * k * (at % 32 + 0.5) / 32);
        const image = new Image({ data, shape: [32, 32, 3] }, { name: label, source: "a formula" });
        yield await Promise.resolve({ id: String(i), image, label });
      }
    },
  };
}

/** Samples red with a stride, hands it on, and says "slow" whatever it sees. */
async function sampler(strides: number): Promise<Model> {
  const tf = await ensureBackend();
  const conv = (name: string, more: object) => tf.layers.conv2d({ name, filters: 1, kernelSize: 1, ...more });
  const net = tf.sequential({
    layers: [
      conv("first", { inputShape: [32, 32, 3], strides }),
      conv("second", { strides: 2 }),
      tf.layers.globalAveragePooling2d({ name: "mean" }),
      tf.layers.dense({ name: "out", units: 2, activation: "softmax" }),
    ],
  });
  tf.tidy(() => {
    net.getLayer("first").setWeights([tf.tensor4d([1, 0, 0], [1, 1, 3, 1]), tf.zeros([1])]);
    net.getLayer("second").setWeights([tf.ones([1, 1, 1, 1]), tf.zeros([1])]);
    net.getLayer("out").setWeights([tf.zeros([1, 2]), tf.tensor1d([1, 0])]);
  });
  return await loadModel(net, { preprocess: "none", name: `stride ${strides}`, labels: ["slow", "fast"] });
}

describe("samplers whose answers are known", () => {
  let models: Model[];
  beforeAll(async () => {
    models = [await sampler(2), await sampler(4)];
  });
  afterAll(() => models.forEach((model) => model.dispose()));

  test("alias what is finer than their strides, and are scored", async () => {
    // 10/64 cycles a pixel: below 1/4 (stride 2), above 1/8 (stride 4, and 2·2).
    const { rows, spectra } = await strideDiagnosis(
      models,
      waves([["slow", 10], ["fast", 10], ["slow", 10]], [
        "slow",
        "fast",
      ]),
    );
    const [two, four] = rows;
    expect(two).toMatchObject({ model: "stride 2", kernel: 1, stride: 2, stride2: 4 });
    expect(four).toMatchObject({ model: "stride 4", kernel: 1, stride: 4, stride2: 8 });
    expect(two.aliasing1).toBeCloseTo(0, 5);
    expect(four.aliasing1).toBeCloseTo(1, 5);
    expect(two.aliasing2).toBeCloseTo(1, 5);
    expect(four.aliasing2).toBeCloseTo(1, 5);
    expect(two.accuracy).toBeCloseTo(2 / 3, 10);
    // A filter of one cell passes everything alike.
    expect([two.low, two.mid, two.high].map((share) => share.toFixed(2))).toEqual(["0.09", "0.26", "0.65"]);
    expect(spectra[0].filterPower.shape).toEqual([64, 64]);
    expect(spectra[1].responsePower.shape).toEqual([64, 64]);
  });

  test("have no accuracy where the labels are others", async () => {
    const { rows } = await strideDiagnosis([models[0]], waves([["cat", 3]], ["cat"]));
    expect(rows[0].accuracy).toBeNull();
    const unlabelled = await strideDiagnosis([models[0]], waves([["slow", 3]], undefined));
    expect(unlabelled.rows[0].accuracy).toBeNull();
    expect(unlabelled.figure().text).toContain("–");
  });

  test("tells how far it is, stops at a signal, refuses what does not fit, and leaves no tensor", async () => {
    const tf = await ensureBackend();
    const before = tf.memory().numTensors;
    const some = waves([["slow", 3], ["fast", 20]], ["slow", "fast"]);
    const seen: number[] = [];
    await strideDiagnosis(models, some, {
      onProgress: (done, total) => {
        expect(total).toBe(2 * (2 + 2 + 2));
        seen.push(done);
      },
    });
    expect(seen.at(-1)).toBe(12);
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
    const stopped = strideDiagnosis(models, some, { signal: AbortSignal.abort() });
    await expect(stopped).rejects.toThrow(/abort/i);
    await expect(strideDiagnosis(models[0] as never, some)).rejects.toThrow("wanted an array, as [model]");
    await expect(strideDiagnosis([], some)).rejects.toThrow("There is no model to diagnose");
    await expect(strideDiagnosis(models, some, { images: 0 })).rejects.toThrow("images must be a whole number ≥ 1");
    await expect(strideDiagnosis(models, some, { layers: ["first", "secnd"] })).rejects.toThrow(
      'There is no layer "secnd"',
    );
    expect(tf.memory().numTensors).toBe(before);
  });
});

test("a trained-looking net has a middle band that noise has not", async () => {
  const model = await loadModel(await wavesNet(), { name: "waves" });
  const { rows: [row] } = await strideDiagnosis([model], waves([["slow", 3]], undefined), { images: 1 });
  // Its first filters are waves of 0.14 and 0.25 cycles a pixel.
  expect(row.mid).toBeGreaterThan(0.35);
  expect(row.low + row.mid + row.high).toBeCloseTo(1, 6);
  const deep = strideDiagnosis([model], waves([["slow", 3]], undefined), { layers: ["conv2", "conv1"] });
  await expect(deep).rejects.toThrow('Layer "conv2" of "waves" has weights [3, 3, 12, 20]; wanted filters');
  model.dispose();
});
