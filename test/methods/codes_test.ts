import { describe, expect, test } from "vitest";
import type { Dataset, DatasetItem } from "../../lib/data/dataset.ts";
import { Image } from "../../lib/data/image.ts";
import { activations } from "../../lib/methods/activations.ts";
import { codes } from "../../lib/methods/codes.ts";
import { neighbors } from "../../lib/methods/neighbors.ts";
import { predict } from "../../lib/methods/predict.ts";
import { loadModel } from "../../lib/model/load.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { landscape, redImage, tinyNet, uniforms, wavesNet } from "../nets.ts";

/** A data set of some images; every second one has a label. */
function dataset(images: { data: Float32Array; shape: number[] }[]): Dataset {
  const items = images.map((pixels, i): DatasetItem => ({
    id: `image ${i}`,
    image: new Image(pixels, { name: `image ${i}`, source: "a formula" }),
    ...(i % 2 ? {} : { label: "even" }),
  }));
  return {
    name: "some images",
    size: items.length,
    async *[Symbol.asyncIterator]() {
      yield* items;
    },
  };
}

function noisy(count: number): Dataset {
  const random = uniforms(3);
  return dataset(Array.from({ length: count }, () => {
    const { data, shape } = landscape();
    return { data: data.map((value) => Math.min(255, value * (0.5 + random()))), shape };
  }));
}

describe("codes", () => {
  test("are what the classifier reads, worked out on paper", async () => {
    const model = await loadModel(await tinyNet(), { preprocess: "none" });
    const red = [[2, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 7]];
    const found = await codes(model, dataset([redImage(red)]));
    expect(found.layer).toBe("flat");
    // Filter 0 sums 2×2 pixels of red, the pool takes the most of 2×2 sums; filter 1 is dead.
    expect([...found.data]).toEqual([2, 0, 0, 0, 0, 0, 7, 0]);
    expect(found.sparsity).toBe(0.75);
    model.dispose();
  });

  test("are the layer's activations, with the images' ids, labels and pictures", async () => {
    const model = await loadModel(await wavesNet(), { name: "waves" });
    const images = noisy(7);
    const told: number[] = [];
    const found = await codes(model, images, { layer: "pool2", batchSize: 3, onProgress: (done) => told.push(done) });
    expect(found.shape).toEqual([7, 8 * 8 * 20]);
    expect(found.ids).toEqual(Array.from({ length: 7 }, (_, i) => `image ${i}`));
    expect(found.labels).toEqual(["even", undefined, "even", undefined, "even", undefined, "even"]);
    expect(told).toEqual([3, 6, 7]);
    let i = 0;
    for await (const { image } of images) {
      const { maps } = (await activations(model, image, { layer: "pool2" })).layers[0];
      let most = 0;
      maps.data.forEach((value, j) => most = Math.max(most, Math.abs(value - found.data[1280 * i + j])));
      expect(most).toBeLessThan(1e-3);
      const picture = found.thumbnails!.data.subarray(3072 * i, 3072 * (i + 1));
      image.data.forEach((value, j) => most = Math.max(most, Math.abs(value - picture[j])));
      expect(most).toBeLessThanOrEqual(0.501);
      i++;
    }
    expect((await codes(model, images, { thumbnail: 0 })).thumbnails).toBeUndefined();
    expect((await codes(model, images, { thumbnail: 8 })).thumbnails!.data.length).toBe(7 * 8 * 8 * 3);
    model.dispose();
  });

  test("keep what the model takes each image for, where that costs little", async () => {
    const model = await loadModel(await wavesNet(), { name: "waves" });
    const images = noisy(5);
    const { predictions } = await codes(model, images);
    let i = 0;
    for await (const { image } of images) {
      expect(predictions![i++]).toBe((await predict(model, image)).rows[0].label);
    }
    expect((await codes(model, images, { layer: "conv1" })).predictions).toBeUndefined();
    const last = model.layers.at(-1)!.name;
    expect((await codes(model, images, { layer: last })).predictions).toEqual(predictions);
    model.dispose();
  });

  test("have neighbours, of which a copy is the nearest", async () => {
    const model = await loadModel(await wavesNet(), { name: "waves" });
    const items: DatasetItem[] = [];
    for await (const item of noisy(6)) items.push(item);
    const doubled: Dataset = {
      name: "doubles",
      size: 12,
      async *[Symbol.asyncIterator]() {
        yield* items;
        yield* items.map((item) => ({ ...item, id: `copy of ${item.id}` }));
      },
    };
    const near = await neighbors(await codes(model, doubled), { k: 3 });
    expect(near.rows).toHaveLength(36);
    expect(near.rows[0]).toMatchObject({ id: "image 0", rank: 1, neighbor: "copy of image 0", distance: 0 });
    expect([...near.indices].filter((_, e) => e % 3 === 0)).toEqual([6, 7, 8, 9, 10, 11, 0, 1, 2, 3, 4, 5]);
    expect((await near.table).shape).toEqual({ height: 36, width: 6 });
    const figure = near.figure({ of: ["image 3", 1] });
    expect(figure.text).toContain("image 3: copy of image 3");
    expect(figure.blocks[0].kind).toBe("picture");
    expect(() => near.figure({ of: ["imge 3"] })).toThrow('no point "imge 3"');
    expect(() => near.figure({ of: [12] })).toThrow("points 0 to 11: asked for 12");
    model.dispose();
  });

  test("leave no tensor behind, also after a throw", async () => {
    const model = await loadModel(await wavesNet(), { name: "waves" });
    const tf = await ensureBackend();
    const images = noisy(5);
    const before = tf.memory().numTensors;
    await codes(model, images);
    await expect(codes(model, images, { layer: "conv9" })).rejects.toThrow('"conv1"');
    await expect(codes(model, images, { thumbnail: 1.5 })).rejects.toThrow("thumbnail must be");
    await expect(codes(model, { ...images, size: 0 })).rejects.toThrow("holds no image");
    await expect(codes(model, images, { signal: AbortSignal.abort(new Error("enough")) })).rejects.toThrow("enough");
    const broken: Dataset = {
      ...images,
      // deno-lint-ignore require-yield
      async *[Symbol.asyncIterator]() {
        throw new Error("the disk is gone");
      },
    };
    await expect(codes(model, broken)).rejects.toThrow("the disk is gone");
    expect(tf.memory().numTensors).toBe(before);
    model.dispose();
  });
});
