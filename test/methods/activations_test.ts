import { afterAll, beforeAll, describe, expect, test } from "vitest";
import oracle from "../oracles/fixtures/resnet50.json" with { type: "json" };
import { extent } from "../../lib/array.ts";
import { activations } from "../../lib/methods/activations.ts";
import { loadModel } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { SLOW } from "../backends.ts";
import { redImage, tinyNet } from "../nets.ts";

const fixture = (file: string) => new URL(`../oracles/fixtures/${file}`, import.meta.url);

describe("ResNet-50 against Keras and against TensorFlow.js itself", () => {
  let model: Model;
  beforeAll(async () => {
    model = await loadModel("resnet50");
  });
  afterAll(() => model.dispose());

  for (const [name, { file, layers }] of Object.entries(oracle.photos).slice(0, SLOW ? 1 : 2)) {
    test(`has the ${name}'s activations to 1e-4 of each layer's maximum`, async () => {
      const names = Object.keys(layers) as (keyof typeof layers)[];
      const result = await activations(model, fixture(file), { layers: names });
      expect(result.layers.map((layer) => layer.name)).toEqual(names);
      for (const { name, maps, sparsity } of result.layers) {
        const wanted = layers[name as keyof typeof layers];
        expect(maps.shape).toEqual(wanted.shape.length === 1 ? [1, 1, ...wanted.shape] : wanted.shape);
        wanted.index.forEach((index, i) => {
          expect(Math.abs(maps.data[index] - wanted.value[i]), `${name}[${index}]`).toBeLessThan(1e-4 * wanted.max);
        });
        expect(sparsity).toBeCloseTo(wanted.zeroFraction, 4);
      }
    });
  }

  test("equals what a bare predict to the layer returns", async () => {
    const tf = await ensureBackend();
    const { layers: [{ maps }], image } = await activations(model, fixture("cat_224.png"), { layer: "max_pooling2d" });
    const output = tf.tidy(() => {
      const bare = tf.model({
        inputs: model.network.inputs,
        outputs: model.network.getLayer("max_pooling2d").output,
      });
      return bare.predict(tf.tensor(model.input(image).data, [1, 224, 224, 3])) as ReturnType<typeof tf.tensor>;
    });
    const data = await output.data();
    output.dispose();
    expect([1, ...maps.shape]).toEqual(output.shape);
    const [, max] = extent(data);
    const worst = maps.data.reduce((most, value, i) => Math.max(most, Math.abs(value - data[i])), 0);
    expect(worst).toBeLessThan(1e-4 * max);
  });

  test("walks the ends of the stages when no layer is named", async () => {
    const result = await activations(model, fixture("dog_224.png"), { channels: [0, 3] });
    expect(result.layers.map(({ name }) => name)).toEqual([
      "activation",
      "activation_9",
      "activation_21",
      "activation_39",
      "activation_48",
    ]);
    expect(result.rows).toHaveLength(10);
  });
});

describe("a net worked out on paper", () => {
  const image = redImage([[9, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 2], [0, 0, 0, 2]]);
  let model: Model;
  beforeAll(async () => {
    model = await loadModel(await tinyNet(), { preprocess: "none", name: "tiny" });
  });
  afterAll(() => model.dispose());

  test("gives the maps, their sparsity, their spread, and finds the dead one", async () => {
    const { layers: [conv, pool], rows } = await activations(model, image, { layers: ["conv", "pool"] });
    // oneDNN's rectifier may put out −0.
    const plain = (data: Float32Array) => Array.from(data, (value) => value + 0);
    expect(plain(conv.maps.data).filter((_, i) => i % 2 === 0)).toEqual([
      ...[9, 0, 0, 0],
      ...[0, 0, 2, 2],
      ...[0, 0, 4, 4],
      ...[0, 0, 2, 2],
    ]);
    expect(plain(pool.maps.data)).toEqual([9, 0, 2, 0, 0, 0, 4, 0]);
    expect(conv.dead).toBe(1);
    expect(conv.sparsity).toBeCloseTo((9 + 16) / 32, 12);
    // One living map: (9 + 2·4 + 4·2)² / (16 · (81 + 4·4 + 2·16))
    expect(conv.spread).toBeCloseTo(25 ** 2 / (16 * 129), 6);
    expect(conv.extent).toEqual([0, 9]);
    expect(rows).toHaveLength(4);
    expect(rows[1]).toMatchObject({ layer: "conv", channel: 1, max: 0, dead: true, spread: 0, sparsity: 1 });
    expect(rows[2]).toMatchObject({ layer: "pool", channel: 0, min: 0, max: 9, mean: 15 / 4, sparsity: 0.25 });
  });

  test("walks every convolution and pooling of a short net when no layer is named", async () => {
    const result = await activations(model, image);
    expect(result.layers.map(({ name }) => name)).toEqual(["conv", "pool"]);
  });

  test("keeps the channels asked for, in their order", async () => {
    const { layers: [{ maps, channels }] } = await activations(model, image, { layer: "conv", channels: [1, 0] });
    expect(channels).toEqual([1, 0]);
    expect(maps.shape).toEqual([4, 4, 2]);
    expect(maps.data[1]).toBe(9);
  });

  test("takes a vector for maps of one cell", async () => {
    const { layers: [{ maps }] } = await activations(model, image, { layer: "out" });
    expect(maps.shape).toEqual([1, 1, 2]);
    expect(maps.data[0] + maps.data[1]).toBeCloseTo(1, 6);
  });

  test("refuses unknown layers and channels by name, and leaves no tensor behind", async () => {
    const tf = await ensureBackend();
    const before = tf.memory().numTensors;
    await expect(activations(model, image, { layer: "cnv" })).rejects.toThrow(
      /There is no layer "cnv" in model "tiny"\. The nearest: "conv"/,
    );
    await expect(activations(model, image, { layer: "conv", channels: [2] })).rejects.toThrow(
      'Layer "conv" has channels 0 to 1: received 2.',
    );
    await expect(activations(model, image, { layer: "conv", layers: ["pool"] })).rejects.toThrow(TypeError);
    await expect(activations(model, image, { channels: 1 as never })).rejects.toThrow("channels must be an array");
    await expect(activations(model, image, { layers: [] })).rejects.toThrow("layers is empty");
    await activations(model, image, { layers: ["conv", "out"] });
    expect(tf.memory().numTensors).toBe(before);
  });

  test("shows names as text, whatever they hold", async () => {
    const evil = await loadModel(model.network, { preprocess: "none", name: "<script>alert(1)</script>" });
    const html = await (await activations(evil, image, { layer: "conv" })).figure().html();
    expect(html).not.toContain("<script>alert");
    expect(html).toContain("&lt;script&gt;alert(1)&lt;/script&gt;");
  });
});
