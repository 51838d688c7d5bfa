import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { dataset, type ImageDataset } from "../../lib/data/dataset.ts";
import { directions } from "../../lib/methods/directions.ts";
import { topPatches } from "../../lib/methods/top_patches.ts";
import { loadModel } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { tinyNet, uniforms } from "../nets.ts";
import { activations } from "../../lib/methods/activations.ts";

const dot = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a).reduce((sum, value, i) => sum + value * b[i], 0);
const messageOf = async (run: Promise<unknown>) =>
  ((await run.then(() => undefined, (error) => error)) as Error).message;

describe("a net with random filters", () => {
  let model: Model;
  let images: ImageDataset;
  /** What the layer puts out at each cell of each image, and the image's label. */
  const vectors: { values: number[]; label: string }[] = [];

  beforeAll(async () => {
    const tf = await ensureBackend();
    const network = tf.sequential({
      layers: [
        tf.layers.conv2d({
          inputShape: [5, 5, 3],
          filters: 4,
          kernelSize: 2,
          activation: "relu",
          name: "conv",
          kernelInitializer: tf.initializers.randomNormal({ seed: 3 }),
        }),
        tf.layers.flatten(),
        tf.layers.dense({ units: 3, name: "dense", kernelInitializer: tf.initializers.randomNormal({ seed: 4 }) }),
      ],
    });
    model = await loadModel(network, { preprocess: "none", name: "small" });
    const random = uniforms(1);
    const items = Array.from({ length: 6 }, (_, i) => ({
      image: { data: Float32Array.from({ length: 75 }, () => 255 * random()), shape: [5, 5, 3] },
      label: ["dog", "cat", "cow"][i % 3],
    }));
    images = dataset(items);
    for (const { image, label } of items) {
      const { layers: [{ maps }] } = await activations(model, image, { layer: "conv" });
      for (let at = 0; at < maps.data.length; at += 4) {
        vectors.push({ values: [...maps.data.slice(at, at + 4)], label });
      }
    }
  });
  afterAll(() => model.dispose());

  test("random ones are of length 1, differ, and repeat by their seed; no image is needed", async () => {
    const a = await directions(model, undefined, { layer: "conv", kind: "random", count: 50 });
    expect(Object.keys(a.vectors)).toEqual(Array.from({ length: 50 }, (_, i) => `random ${i}`));
    const all = Object.values(a.vectors);
    for (const vector of all) expect(dot(vector, vector)).toBeCloseTo(1, 6);
    // Of independent ones the mean square of the products is one over the number of channels.
    const products = all.flatMap((one, i) => all.slice(i + 1).map((other) => dot(one, other)));
    expect(dot(products, products) / products.length).toBeCloseTo(1 / 4, 1);
    expect(a.vectors).toEqual(
      (await directions(model, undefined, { layer: "conv", kind: "random", count: 50 })).vectors,
    );
    expect(a.vectors["random 0"]).not.toEqual(
      (await directions(model, undefined, { layer: "conv", kind: "random", seed: 1 })).vectors["random 0"],
    );
  });

  test("units are single channels, each once", async () => {
    const all = await directions(model, undefined, { layer: "conv", kind: "units" });
    expect(all.rows.map(({ name, channel, weight, spread }) => [name, channel, weight, spread])).toEqual(
      [0, 1, 2, 3].map((c) => [`unit ${c}`, c, 1, 1]),
    );
    expect(all.array.shape).toEqual([4, 4]);
    const two = await directions(model, undefined, { layer: "dense", kind: "units", count: 2, seed: 5 });
    expect(two.rows.length).toBe(2);
    expect(two.rows[0].channel).toBeLessThan(two.rows[1].channel);
  });

  test("classes: the mean of a label's cells less that of the others, by hand", async () => {
    const mean = (of: (label: string) => boolean) =>
      [0, 1, 2, 3].map((c) => {
        const own = vectors.filter(({ label }) => of(label));
        return own.reduce((sum, { values }) => sum + values[c], 0) / own.length;
      });
    const check = (found: Float32Array, plus: number[], minus: number[]) => {
      const wanted = plus.map((value, c) => value - minus[c]);
      const length = Math.sqrt(dot(wanted, wanted));
      wanted.forEach((value, c) => expect(found[c]).toBeCloseTo(value / length, 5));
    };
    const all = await directions(model, images, { layer: "conv", kind: "classes", batchSize: 4 });
    expect(all.rows.map(({ name, images }) => [name, images])).toEqual([["cat", 2], ["cow", 2], ["dog", 2]]);
    for (const [name, vector] of Object.entries(all.vectors)) {
      check(vector, mean((label) => label === name), mean((label) => label !== name));
    }
    const one = await directions(model, images, { layer: "conv", kind: "classes", classes: ["dog"], against: "cow" });
    expect(one.rows.map(({ name }) => name)).toEqual(["dog − cow"]);
    check(one.vectors["dog − cow"], mean((label) => label === "dog"), mean((label) => label === "cow"));
  });

  test("principal: the directions of most variance, by power iteration on all cells", async () => {
    const found = await directions(model, images, { layer: "conv", kind: "principal" });
    const count = vectors.length;
    const means = [0, 1, 2, 3].map((c) => vectors.reduce((sum, { values }) => sum + values[c], 0) / count);
    const covariance = [0, 1, 2, 3].map((a) =>
      [0, 1, 2, 3].map((b) =>
        vectors.reduce((sum, { values }) => sum + (values[a] - means[a]) * (values[b] - means[b]), 0) / count
      )
    );
    let vector = [1, 1, 1, 1];
    for (let round = 0; round < 200; round++) {
      vector = covariance.map((row) => dot(row, vector));
      const length = Math.sqrt(dot(vector, vector));
      vector = vector.map((value) => value / length);
    }
    expect(Math.abs(dot(vector, found.vectors["component 1"]))).toBeCloseTo(1, 4);
    const share = dot(vector, covariance.map((row) => dot(row, vector))) /
      covariance.reduce((sum, row, i) => sum + row[i], 0);
    expect(found.rows[0].share).toBeCloseTo(share, 4);
    expect(found.rows.reduce((sum, row) => sum + row.share!, 0)).toBeCloseTo(1, 4);
  });

  test("topPatches takes them as they are, with their layer, and as vectors by names", async () => {
    const asked = await directions(model, images, { layer: "conv", kind: "classes" });
    const found = await topPatches(model, images, { directions: asked, top: 2 });
    expect(found.layers).toEqual(["conv"]);
    expect(found.units("conv")).toEqual(["cat", "cow", "dog"]);
    const strongest = Math.max(...vectors.map(({ values }) => dot(values, asked.vectors.dog)));
    expect(found.of({ unit: "dog", rank: 1 } as object)[0].activation).toBeCloseTo(strongest, 4);
    const own = await topPatches(model, images, {
      layer: "conv",
      directions: { mine: [...asked.vectors.dog] },
      top: 2,
    });
    expect(own.rows).toEqual(found.of({ unit: "dog" }).map((row) => ({ ...row, unit: "mine" })));
    expect(await messageOf(topPatches(model, images, { directions: asked, layer: "dense" }))).toMatch(
      /those of layer "conv": received "dense"/,
    );
  });

  test("says what is wrong", async () => {
    const ask = (options: object, data: unknown = images) =>
      messageOf(directions(model, data as ImageDataset, options as never));
    expect(await ask({})).toMatch(/directions wants the layer/);
    expect(await ask({ layer: "cnov" })).toContain('"conv"');
    expect(await ask({ layer: "conv", kind: "units", count: 5 })).toMatch(
      /4 channels, and no more units: received the count 5/,
    );
    expect(await ask({ layer: "conv", kind: "principal" }, null)).toMatch(/directions wants a data set/);
    expect(await ask({ layer: "conv", classes: ["dog"] })).toMatch(/go with kind: "classes"/);
    expect(await ask({ layer: "conv", kind: "classes", against: "dgo" })).toMatch(/no label "dgo".*"dog"/);
    expect(await ask({ layer: "conv", kind: "classes" }, images.filter(({ label }) => label === "dog"))).toMatch(
      /want images of 2 labels at least: found 1/,
    );
  });

  test("an error leaves no tensor", async () => {
    const tf = await ensureBackend();
    const before = tf.memory().numTensors;
    const fails = directions(model, images, {
      layer: "conv",
      kind: "principal",
      batchSize: 2,
      onProgress: () => {
        throw new Error("enough");
      },
    });
    expect(await messageOf(fails)).toBe("enough");
    expect(tf.memory().numTensors).toBe(before);
  });
});

test("classes that a layer does not tell apart have no direction between them", async () => {
  const model = await loadModel(await tinyNet(), { preprocess: "none", name: "tiny" });
  const black = { data: new Float32Array(48), shape: [4, 4, 3] };
  const same = dataset([{ image: black, label: "a" }, { image: black, label: "b" }]);
  expect(await messageOf(directions(model, same, { layer: "conv", kind: "classes" }))).toMatch(
    /There is no direction of a in conv: it has no length/,
  );
  model.dispose();
});
