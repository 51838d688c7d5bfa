import { afterAll, beforeAll, describe, expect, test } from "vitest";
import oracle from "../oracles/fixtures/resnet50.json" with { type: "json" };
import { photo } from "../../lib/data/photo.ts";
import { predict } from "../../lib/methods/predict.ts";
import { loadModel } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import type { Prediction } from "../../lib/results/prediction.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { SLOW } from "../backends.ts";
import { redImage, sigmoidNet, tinyNet } from "../nets.ts";

const fixture = (file: string) => new URL(`../oracles/fixtures/${file}`, import.meta.url);

describe("ResNet-50 against Keras", () => {
  let model: Model;
  beforeAll(async () => {
    model = await loadModel("resnet50");
  });
  afterAll(() => model.dispose());

  const { dog, cat } = oracle.photos;
  function expectKeras({ rows }: Prediction, wanted: typeof dog) {
    expect(rows).toHaveLength(1000);
    for (const { index, probability } of rows) {
      expect(Math.abs(probability! - wanted.probabilities[index]), `class ${index}`).toBeLessThan(1e-3);
    }
    expect(rows.slice(0, 3).map(({ index }) => index)).toEqual(wanted.top.slice(0, 3).map(({ index }) => index));
  }

  test("gives the same 1000 probabilities to 1e-3, of many images at once, too", async () => {
    const photos = [dog, cat, dog];
    const predictions = await predict(model, photos.map(({ file }) => fixture(file)), { batchSize: 2, top: 1000 });
    expect(predictions).toHaveLength(3);
    predictions.forEach((prediction, i) => expectKeras(prediction, photos[i]));
    await expect(predict(model, [])).rejects.toThrow("no input");
  }, 300_000);

  // What is cut out of a photo, and how, does not depend on the backend.
  if (!SLOW) {
    test("takes the catalogue's dog for a French bulldog and the tabby for a tabby", async () => {
      const predictions = await predict(model, [await photo("dog"), await photo("tabby")]);
      expect(predictions.map(({ rows }) => rows[0].label)).toEqual(["French bulldog", "tabby"]);
    });
  }

  test("leaves no tensor behind, also after a throw", async () => {
    const tf = await ensureBackend();
    const before = tf.memory().numTensors;
    expectKeras(await predict(model, fixture(dog.file), { top: 1000 }), dog);
    expect(tf.memory().numTensors).toBe(before);
    await expect(predict(model, fixture("none.png"))).rejects.toThrow("none.png");
    await expect(predict(model, fixture("dog_224.png"), { signal: AbortSignal.abort() })).rejects.toThrow();
    expect(tf.memory().numTensors).toBe(before);
  });
});

describe("a net worked out on paper", () => {
  const image = redImage([[255, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]);

  test("gives the softmax of its logits, the likeliest first", async () => {
    const model = await loadModel(await tinyNet(), { preprocess: "none", labels: ["red", "other"] });
    const { rows, activation } = await predict(model, image);
    // Filter 0 sees 255 in one cell, pooled once: logits 0.255 and 1.
    const red = Math.exp(0.255) / (Math.exp(0.255) + Math.exp(1));
    expect(activation).toBe("softmax");
    expect(rows.map(({ label, index }) => [label, index])).toEqual([["other", 1], ["red", 0]]);
    expect(rows[1].probability).toBeCloseTo(red, 6);
    model.dispose();
  });

  test("puts logits through a softmax and says so", async () => {
    const tf = await ensureBackend();
    const net = tf.sequential({
      layers: [
        tf.layers.flatten({ inputShape: [1, 1, 3] }),
        tf.layers.dense({ units: 3, useBias: false, kernelInitializer: "identity" }),
      ],
    });
    const model = await loadModel(net, { preprocess: "none", output: "classes" });
    const prediction = await predict(model, { data: Float32Array.of(1, 2, 3), shape: [1, 1, 3] });
    expect(prediction.activation).toBe("softmax of logits");
    expect(prediction.figure().caption).toContain("softmax of logits");
    expect(prediction.rows.map(({ label }) => label)).toEqual(["class 2", "class 1", "class 0"]);
    expect(prediction.rows[0].probability).toBeCloseTo(Math.exp(2) / (1 + Math.E + Math.exp(2)), 6);
    model.dispose();
  });

  test("makes two rows of one sigmoid unit", async () => {
    const model = await loadModel(await sigmoidNet(), { preprocess: "none", labels: ["cat", "dog"] });
    const { rows } = await predict(model, { data: Float32Array.of(1, 0, 0), shape: [1, 1, 3] });
    expect(rows.map(({ label }) => label)).toEqual(["dog", "cat"]);
    expect(rows[0].probability).toBeCloseTo(1 / (1 + Math.exp(-1)), 6);
    expect(rows[0].probability! + rows[1].probability!).toBeCloseTo(1, 6);
    model.dispose();
  });

  test("has its rows as a table, and prints itself", async () => {
    const model = await loadModel(await tinyNet(), { preprocess: "none" });
    const prediction = await predict(model, image, { top: 1 });
    expect((await prediction.table()).columns).toEqual(["label", "index", "probability"]);
    expect(Deno.inspect(prediction)).toContain("class 1");
    model.dispose();
  });

  test("refuses what it cannot answer", async () => {
    const model = await loadModel(await tinyNet(), { preprocess: "none" });
    await expect(predict(model, image, { top: 0 })).rejects.toThrow("top must be a whole number ≥ 1: received 0");
    model.dispose();
    const tf = await ensureBackend();
    const noImage = await loadModel(tf.sequential({ layers: [tf.layers.dense({ inputShape: [7], units: 2 })] }));
    await expect(predict(noImage, image)).rejects.toThrow(/reads numbers of shape \[7\]: received an (image|array)/);
    noImage.dispose();
  });
});
