import { afterAll, describe, expect, test } from "vitest";
import type { Dataset, DatasetItem } from "../../lib/data/dataset.ts";
import { Image } from "../../lib/data/image.ts";
import { activations } from "../../lib/methods/activations.ts";
import { ParquetFile, ParquetWriter } from "../../lib/data/parquet.ts";
import { codes } from "../../lib/methods/codes.ts";
import { loadCodes } from "../../lib/methods/load_codes.ts";
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

/** The largest difference of numbers at one place. */
const largestDifference = (a: Float32Array, b: Float32Array): number =>
  a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), a.length === b.length ? 0 : Infinity);

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
    expect(found.rows[1]).toEqual({ id: "image 1", label: null, prediction: found.predictions![1] });
    expect((await found.table()).shape).toEqual({ height: 7, width: 3 });
    expect((await codes(model, images, { thumbnail: 0 })).thumbnails).toBeUndefined();
    expect((await codes(model, images, { thumbnail: 8 })).thumbnails!.data.length).toBe(7 * 8 * 8 * 3);
    model.dispose();
  });

  test("keep what the model takes each image for, where that costs little", async () => {
    const model = await loadModel(await wavesNet(), { name: "waves" });
    const images = noisy(5);
    const { predictions, rows } = await codes(model, images);
    expect(rows[2]).toEqual({ id: "image 2", label: "even", prediction: predictions![2] });
    let i = 0;
    for await (const { image } of images) {
      expect(predictions![i++]).toBe((await predict(model, image)).rows[0].label);
    }
    const early = await codes(model, images, { layer: "conv1" });
    expect(early.predictions).toBeUndefined();
    expect(early.rows[0]).toEqual({ id: "image 0", label: "even" });
    const last = model.layers.at(-1)!.name;
    expect((await codes(model, images, { layer: last })).predictions).toEqual(predictions);
    model.dispose();
  });

  test("of several layers come in one pass, the same as one by one", async () => {
    const model = await loadModel(await wavesNet(), { name: "waves" });
    const images = noisy(7);
    const layers = ["pool2", "conv1", "pool2"];
    let walks = 0;
    const counted: Dataset = {
      ...images,
      async *[Symbol.asyncIterator]() {
        walks++;
        yield* images;
      },
    };
    const last = model.layers.at(-1)!.name;
    const many = await codes(model, counted, { layers: [...layers, last], batchSize: 3 });
    expect(walks).toBe(1);
    expect(many.map(({ layer }) => layer)).toEqual(["pool2", "conv1", last]);
    for (const found of many) {
      const { layer } = found;
      const alone = await codes(model, images, { layer, batchSize: 3 });
      const { data, shape, ids, labels, about, thumbnails } = found;
      expect({ shape, ids, labels, about, thumbnails }).toEqual({
        shape: alone.shape,
        ids: alone.ids,
        labels: alone.labels,
        about: alone.about,
        thumbnails: alone.thumbnails,
      });
      expect(largestDifference(data, alone.data)).toBeLessThan(1e-4);
      // They cost little here, where the last layer is asked for.
      expect(found.predictions).toHaveLength(7);
    }
    expect((await many.table()).shape).toEqual({ height: 21, width: 4 });
    expect(many.figure().text).toContain("waves · conv1 · some images");
    const one = await codes(model, images, { layers: ["conv1"] });
    expect(one.map(({ shape }) => shape[0])).toEqual([7]);
    await expect(codes(model, images, { layer: "conv1", layers: ["pool2"] } as never)).rejects.toThrow(
      "either layer or",
    );
    await expect(codes(model, images, { layers: [] })).rejects.toThrow("layers is empty");
    await expect(codes(model, images, { layers: ["conv1", "conv9"] })).rejects.toThrow('There is no layer "conv9"');
    model.dispose();
  });

  test("take the mean or the largest value of each feature map, and leave vectors as they are", async () => {
    const model = await loadModel(await wavesNet(), { name: "waves" });
    const images = noisy(6);
    const last = model.layers.at(-1)!.name;
    const layers = ["conv1", "pool2", last];
    const whole = await codes(model, images, { layers });
    for (const pool of ["mean", "max"] as const) {
      const pooled = await codes(model, images, { layers, pool, batchSize: 4 });
      expect(pooled[0].about).toBe(`waves · conv1 (${pool}) · some images`);
      pooled.slice(0, 2).forEach(({ data, shape: [count, channels], layer }, i) => {
        const [height, width, c] = model.layer(layer).outputShape as number[];
        expect([count, channels]).toEqual([6, c]);
        const wanted = Float32Array.from({ length: count * channels }, (_, e) => {
          const [image, channel] = [Math.floor(e / channels), e % channels];
          const map = Array.from(
            { length: height * width },
            (_, cell) => whole[i].data[(image * height * width + cell) * channels + channel],
          );
          return pool === "max" ? Math.max(...map) : map.reduce((sum, value) => sum + value, 0) / map.length;
        });
        expect(largestDifference(data, wanted)).toBeLessThan(1e-3);
      });
      expect(pooled[2].shape).toEqual(whole[2].shape);
      expect(largestDifference(pooled[2].data, whole[2].data)).toBeLessThan(1e-4);
    }
    await expect(codes(model, images, { pool: "median" as never })).rejects.toThrow('"none", "mean" or "max"');
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
    expect((await near.table()).shape).toEqual({ height: 36, width: 6 });
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

describe("codes in a file", async () => {
  const folder = await Deno.makeTempDir();
  afterAll(() => Deno.remove(folder, { recursive: true }));
  const names = async () => (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name).sort();
  const bitsOf = ({ buffer, byteOffset, length }: Float32Array) => new Uint32Array(buffer, byteOffset, length);

  test("come back equal to the bit, with all that belongs to them", async () => {
    const model = await loadModel(await wavesNet(), { name: "waves" });
    const images = noisy(11);
    const file = `${folder}/waves.parquet`;
    const wanted = await codes(model, images, { batchSize: 4 });
    const told: number[] = [];
    const written = await codes(model, images, { batchSize: 4, file, onProgress: (done) => told.push(done) });
    expect(told).toEqual([4, 8, 11]);
    const { path, shape, layer, about, sparsity } = written;
    expect({ path, shape, layer, about, sparsity }).toEqual({
      path: file,
      shape: wanted.shape,
      layer: wanted.layer,
      about: wanted.about,
      sparsity: wanted.sparsity,
    });
    expect(written.figure().blocks).toEqual(wanted.figure().blocks);
    expect(written.figure().caption).toContain(`In the file ${file}.`);
    const found = await loadCodes(file);
    expect(found.shape).toEqual(wanted.shape);
    expect(bitsOf(found.data).findIndex((bits, i) => bits !== bitsOf(wanted.data)[i])).toBe(-1);
    for (const key of ["ids", "labels", "predictions", "layer", "about"] as const) {
      expect(found[key]).toEqual(wanted[key]);
    }
    expect(found.thumbnails!.side).toBe(32);
    expect(found.thumbnails!.data.findIndex((byte, i) => byte !== wanted.thumbnails!.data[i])).toBe(-1);
    model.dispose();
  });

  test("of several layers come back all or some, equal to the bit", async () => {
    const model = await loadModel(await wavesNet(), { name: "waves" });
    const images = noisy(9);
    const file = `${folder}/layers.parquet`;
    const layers = ["pool2", "conv1"];
    const wanted = await codes(model, images, { layers, pool: "mean", batchSize: 4 });
    const written = await codes(model, images, { layers, pool: "mean", batchSize: 4, file });
    expect(written.map(({ path, shape, layer, sparsity }) => ({ path, shape, layer, sparsity }))).toEqual(
      wanted.map(({ shape, layer, sparsity }) => ({ path: file, shape, layer, sparsity })),
    );
    expect((await ParquetFile.open(file))!.columns).toEqual([
      "id",
      "label",
      "prediction",
      "about",
      "thumbnail",
      "code_pool2",
      "code_conv1",
    ]);
    const all = await loadCodes(file, { layers });
    for (const [i, found] of all.entries()) {
      expect(found.rows).toEqual(wanted[i].rows);
      expect([found.layer, found.about, found.shape]).toEqual([wanted[i].layer, wanted[i].about, wanted[i].shape]);
      expect(bitsOf(found.data)).toEqual(bitsOf(wanted[i].data));
    }
    const { layer, data } = await loadCodes(file, { layer: "conv1" });
    expect([layer, bitsOf(data)]).toEqual(["conv1", bitsOf(wanted[1].data)]);
    await expect(loadCodes(file)).rejects.toThrow(
      'codes of 2 layers: pool2, conv1. Name one, as loadCodes(path, { layer: "conv1" })',
    );
    await expect(loadCodes(file, { layer: "conv2" })).rejects.toThrow('There is no layer "conv2" in');
    // A cell that runs again; then other layers.
    await codes(model, images, { layers, pool: "mean", file });
    await expect(codes(model, images, { layers: ["conv1"], pool: "mean", file })).rejects.toThrow("exists already");
    await expect(codes(model, images, { layers, file })).rejects.toThrow("exists already");
    model.dispose();
  });

  test("may come without pictures, labels and predictions", async () => {
    const model = await loadModel(await wavesNet(), { name: "waves" });
    const file = `${folder}/bare.parquet`;
    await codes(model, noisy(3), { layer: "conv1", thumbnail: 0, file });
    expect((await ParquetFile.open(file))!.columns).toEqual(["id", "label", "layer", "about", "code"]);
    const found = await loadCodes(file);
    expect(found.predictions).toBeUndefined();
    expect(found.thumbnails).toBeUndefined();
    expect(found.labels).toEqual(["even", undefined, "even"]);
    expect(found.layer).toBe("conv1");
    model.dispose();
  });

  test("replace only a file of the same codes", async () => {
    const model = await loadModel(await wavesNet(), { name: "waves" });
    const file = `${folder}/again.parquet`;
    await codes(model, noisy(3), { file });
    await codes(model, noisy(3), { file });
    await expect(codes(model, noisy(4), { file })).rejects.toThrow("exists already, with 3 codes of");
    await expect(codes(model, noisy(3), { file, layer: "pool2" })).rejects.toThrow("Remove it, or name another file");
    expect((await loadCodes(file)).shape[0]).toBe(3);
    const text = `${folder}/diary.txt`;
    await Deno.writeTextFile(text, "dear diary");
    await expect(codes(model, noisy(3), { file: text })).rejects.toThrow("is no file of codes");
    expect(await Deno.readTextFile(text)).toBe("dear diary");
    await Deno.remove(text);
    await expect(codes(model, noisy(3), { file: `${folder}/no/where.parquet` })).rejects.toThrow("does not exist");
    await expect(codes(model, noisy(3), { file: 7 as never })).rejects.toThrow("received 7");
    model.dispose();
  });

  test("that are abandoned leave no file and no tensor, and the old file as it was", async () => {
    const model = await loadModel(await wavesNet(), { name: "waves" });
    const tf = await ensureBackend();
    const file = `${folder}/left.parquet`;
    const images = noisy(9);
    await codes(model, images, { file, batchSize: 3 });
    const [before, there, tensors] = [await Deno.readFile(file), await names(), tf.memory().numTensors];
    const stop = new AbortController();
    const options = { file, batchSize: 3, signal: stop.signal, onProgress: () => stop.abort(new Error("enough")) };
    await expect(codes(model, images, options)).rejects.toThrow("enough");
    const broken: Dataset = {
      ...images,
      async *[Symbol.asyncIterator]() {
        for await (const item of images) {
          if (item.id === "image 5") throw new Error("the disk is gone");
          yield item;
        }
      },
    };
    await expect(codes(model, broken, { file, batchSize: 2 })).rejects.toThrow("the disk is gone");
    expect(await names()).toEqual(there);
    expect(await Deno.readFile(file)).toEqual(before);
    expect(tf.memory().numTensors).toBe(tensors);
    model.dispose();
  });

  test("are refused where they are none, or do not belong together", async () => {
    await expect(loadCodes(`${folder}/missing.parquet`)).rejects.toThrow("There is no file");
    await expect(loadCodes(undefined as never)).rejects.toThrow("received undefined");
    const write = async (name: string, layers: string[]) => {
      const columns = ["id", "layer", "about"].map((name) => ({ name, kind: "text" as const }));
      const writer = await ParquetWriter.create(`${folder}/${name}`, [...columns, { name: "code", kind: "vectors" }]);
      const data = Float32Array.from({ length: 2 * layers.length }, (_, i) => i);
      await writer.write(layers.length, [layers, layers, layers.map((layer) => `of ${layer}`), { data, length: 2 }]);
      await writer.finish();
      return `${folder}/${name}`;
    };
    await expect(loadCodes(await write("two.parquet", ["conv1", "conv2"]))).rejects.toThrow("several layers");
    const found = await loadCodes(await write("least.parquet", ["conv1", "conv1"]));
    expect(found.about).toBe("of conv1");
    expect(found.labels).toEqual([undefined, undefined]);
    expect([...found.data]).toEqual([0, 1, 2, 3]);
    const other = await ParquetWriter.create(`${folder}/other.parquet`, [{ name: "id", kind: "text" }]);
    await other.write(1, [["x"]]);
    await other.finish();
    await expect(loadCodes(`${folder}/other.parquet`)).rejects.toThrow('no column "layer", "about", "code"');
    const texts = ["id", "layer", "about", "code"].map((name) => ({ name, kind: "text" as const }));
    const words = await ParquetWriter.create(`${folder}/words.parquet`, texts);
    await words.write(1, [["x"], ["conv1"], ["of conv1"], ["[1, 2]"]]);
    await words.finish();
    await expect(loadCodes(`${folder}/words.parquet`)).rejects.toThrow(
      'lists of numbers: row 0 holds "[1, 2]"',
    );
    const gaps = await ParquetWriter.create(`${folder}/gaps.parquet`, texts);
    await gaps.write(2, [["x", "y"], ["conv1", undefined], ["of conv1", "of conv1"], ["", ""]]);
    await gaps.finish();
    await expect(loadCodes(`${folder}/gaps.parquet`)).rejects.toThrow('gaps in its column "layer"');
  });
});
