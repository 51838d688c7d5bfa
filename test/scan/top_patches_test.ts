/** Lists of the strongest cells against a full sort of all activations, however the images are cut and ordered. */

import type { LayersModel } from "@tensorflow/tfjs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { placeOf, sizeOf } from "../../lib/array.ts";
import { type Dataset, dataset, type ImageDataset } from "../../lib/data/dataset.ts";
import { InputReader } from "../../lib/model/inputs.ts";
import { loadModel } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import { topPatches, type TopPatchesOptions } from "../../lib/methods/top_patches.ts";
import type { PatchRow } from "../../lib/results/top_patches.ts";
import { forwardAll } from "../../lib/scan/forward_all.ts";
import type { TopLists } from "../../lib/scan/top_lists.ts";
import { listsFor, scanTop, type TopQuestion, type TopRun } from "../../lib/scan/top_patches.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { longTest } from "../long.ts";
import { uniforms } from "../nets.ts";

const tf = await ensureBackend();
/** Whether what an image gives does not depend on how many others run with it. */
const RUNS_ALIKE = ["wasm", "cpu"].includes(tf.getBackend());

/** Numbers of channels that suit the fast kernels and others, normalisation to fold, maps and vectors. */
function net(side: number | null = 12): LayersModel {
  const input = tf.input({ shape: [side, side, 3], name: "image" });
  const random = uniforms(3);
  const conv = (name: string, filters: number) =>
    tf.layers.conv2d({ name, filters, kernelSize: 3, padding: "same", useBias: false });
  let x = conv("conv1", 5).apply(input);
  x = tf.layers.batchNormalization({ name: "norm" }).apply(x);
  x = tf.layers.reLU({ name: "relu" }).apply(x);
  x = tf.layers.maxPooling2d({ name: "pool", poolSize: 2 }).apply(x);
  x = tf.layers.conv2d({ name: "conv2", filters: 8, kernelSize: 3, activation: "relu" }).apply(x);
  x = tf.layers.globalAveragePooling2d({ name: "mean" }).apply(x);
  x = tf.layers.dense({ name: "out", units: 3, activation: "softmax" }).apply(x);
  const network = tf.model({ inputs: input, outputs: x as never, name: "net" });
  for (const weight of network.weights) {
    const values = Float32Array.from({ length: sizeOf(weight.shape as number[]) }, () => random() - 0.4);
    const shift = weight.originalName.includes("variance") ? 1 : 0;
    weight.write(
      tf.tensor(values.map((value) => Math.abs(value) * shift + (1 - shift) * value), weight.shape as never),
    );
  }
  return network;
}

/** Images of noise, some of them alike: their cells tie. */
function noise(count: number, side = 12): ImageDataset {
  const random = uniforms(9);
  const kinds = Array.from(
    { length: Math.ceil(count * 0.7) },
    () => Float32Array.from({ length: side * side * 3 }, () => Math.floor(random() * 256)),
  );
  return dataset(
    Array.from({ length: count }, (_, i) => ({
      id: `n${(i * 7) % count}`,
      label: ["a", "b"][i % 2],
      image: { data: kinds[i % kinds.length], shape: [side, side, 3] },
    })),
    { name: "noise" },
  );
}

let model: Model;
const opened: Model[] = [];
beforeAll(async () => {
  model = await loadModel(net(), { preprocess: "unit", output: "classes" });
  opened.push(model);
});
afterAll(() => opened.forEach((each) => each.dispose()));

type Short = [layer: string, unit: number | string, rank: number, id: string, activation: number, cell: string];
const short = (rows: readonly PatchRow[]): Short[] =>
  rows.map(({ layer, unit, rank, imageId, activation, cell }) => [layer, unit, rank, imageId, activation, `${cell}`]);

/** All cells of all images, sorted. */
async function sorted(
  model: Model,
  data: Dataset,
  layers: readonly string[],
  { top = 9, cells = "strongest", channels }: Partial<TopPatchesOptions>,
): Promise<Short[]> {
  const ids: string[] = [];
  const all = new InputReader("a test", model, data).inputs(({ id }) => ids.push(id));
  // All in batches of 16.
  const outputs = await forwardAll(model, all, layers);
  return layers.flatMap((layer, l) => {
    const { data, shape: [count, ...map] } = outputs[l];
    const size = map.at(-1)!;
    const area = sizeOf(map) / size;
    const names = channels ?? Array.from({ length: size }, (_, i) => i);
    return names.flatMap((unit) => {
      const found = Array.from({ length: count }, (_, image) => {
        const each = Array.from({ length: area }, (_, cell) => {
          const value = data[(image * area + cell) * size + unit];
          return { id: ids[image], value, cell };
        }).sort((a, b) => b.value - a.value || a.cell - b.cell);
        return cells === "all" ? each : each.slice(0, 1);
      }).flat();
      found.sort((a, b) => b.value - a.value || (a.id < b.id ? -1 : a.id > b.id ? 1 : a.cell - b.cell));
      return found.slice(0, top).map(({ id, value, cell }, i): Short => [
        layer,
        unit,
        i + 1,
        id,
        value,
        `${placeOf(cell, map.slice(0, -1))}`,
      ]);
    });
  });
}

const LAYERS = ["conv2", "conv1", "relu", "mean", "out"];

const ASKED: Partial<TopPatchesOptions>[] = [
  {},
  { cells: "all", top: 20 },
  { channels: [0, 2], top: 3 },
  { top: 60 },
];

test.each(ASKED)("equal to a full sort, to the bit, in any order and batches: %o", async (asked) => {
  const images = noise(48);
  const wanted = await sorted(model, images, LAYERS, asked);
  // On native TensorFlow fewer rows are other algorithms.
  const few = RUNS_ALIKE ? 7 : 16;
  const runs = [[images, 16], [images.shuffle(1), 40], [images.shuffle(2), few]] as const;
  for (const [data, batchSize] of runs) {
    const found = await topPatches(model, data, { layers: LAYERS, ...asked, batchSize });
    expect(short(found.rows)).toEqual(wanted);
  }
});

/** Lists as plain numbers. */
const plain = (lists: TopLists) =>
  Array.from(
    { length: lists.count },
    (_, list) => lists.entries(list).map(({ value, activation, image, cell }) => [value, activation, image.id, cell]),
  );

test("equal over Workers and over shards of any size", async () => {
  const images = noise(48);
  for (const cells of ["strongest", "all"] as const) {
    const question: TopQuestion = {
      layers: [5, 8].map((count, i) => ({ layer: ["conv1", "conv2"][i], units: [...Array(count).keys()] })),
      top: 9,
      cells,
    };
    const scan = async (places: number[], run: TopRun) => {
      const lists = listsFor(question);
      const reader = new InputReader("a test", model, images, { places });
      const walked: number[] = [];
      await scanTop(model, reader, question, lists, { ...run, onPart: (part) => void walked.push(part.walked) });
      expect(walked.at(-1)).toBe(places.at(-1)! + 1);
      return lists;
    };
    const all = [...Array(48).keys()];
    const whole = plain(await scan(all, {}));
    expect(plain(await scan(all, { workers: 3 }))).toEqual(whole);
    for (const shards of [2, 5]) {
      const merged = listsFor(question);
      for (let shard = shards - 1; shard >= 0; shard--) {
        merged.merge(await scan(all.filter((place) => place % shards === shard), {}));
      }
      expect(plain(merged)).toEqual(whole);
    }
  }
});

test("ranked by relevance: activation times gradient, worked out from the last layer's weights", async () => {
  const images = noise(20);
  const weights = await model.entry("out").layer.getWeights()[0].data();
  const asked = { layers: ["mean", "conv2", "relu"], rank: "relevance", top: 30 } as const;
  const patches = await topPatches(model, images, { ...asked, target: 1 });
  expect(patches.of({ layer: "mean" })).toHaveLength(8 * 20);
  for (const { layer, unit, activation, relevance, cell } of patches.rows) {
    if (layer === "relu") continue;
    // A vector's number, or one of 4 × 4 cells whose mean it is.
    expect(cell).toHaveLength(layer === "mean" ? 0 : 2);
    const gradient = weights[(unit as number) * 3 + 1] / (layer === "mean" ? 1 : 16);
    expect(relevance).toBeCloseTo(activation * gradient, 4);
  }
  const [first, second] = patches.of({ layer: "conv2", unit: 0 });
  expect(first.relevance).toBeGreaterThanOrEqual(second.relevance!);
  const again = await topPatches(model, images.shuffle(4), { ...asked, target: 1 });
  expect(again.rows).toEqual(patches.rows);
  const predicted = await topPatches(model, images, { layer: "mean", rank: "relevance", top: 30 });
  expect(predicted.rows).toHaveLength(8 * 20);
  await expect(topPatches(model, images, { layer: "mean", target: 1 })).rejects.toThrow(/rank: "relevance"/);
});

test("ranked by relevance in a folder: taken up again where it was stopped, with the same result", async () => {
  const images = noise(40);
  const folder = await Deno.makeTempDir();
  const asked = { layers: ["relu", "mean"], rank: "relevance", target: 1, top: 5, batchSize: 8 } as const;
  const wanted = await topPatches(model, images, asked);
  const stop = new AbortController();
  const onProgress = (done: number) => done > 20 && stop.abort();
  await expect(topPatches(model, images, { ...asked, folder, signal: stop.signal, onProgress })).rejects.toThrow();
  await expect(topPatches(model, images, { ...asked, target: 0, folder })).rejects.toThrow(/target/);
  const first: number[] = [];
  const resumed = await topPatches(model, images, { ...asked, folder, onProgress: (done) => first.push(done) });
  expect(first[0]).toBeGreaterThan(20);
  expect(resumed.rows).toEqual(wanted.rows);
  const asFunction = topPatches(model, images, { ...asked, target: (out) => tf.sum(out as never) as never, folder });
  await expect(asFunction).rejects.toThrow(/cannot keep a target that is a function/);
  await Deno.remove(folder, { recursive: true });
});

test("a patch holds all pixels that the cell answers to, and no row or column more", async () => {
  const random = uniforms(6);
  const input = tf.input({ shape: [23, 19, 3] });
  const positive = () => tf.initializers.randomUniform({ minval: 0.5, maxval: 1, seed: 7 });
  const conv = (name: string, options: object) =>
    tf.layers.conv2d({ name, filters: 2, kernelSize: 3, kernelInitializer: positive(), ...options });
  const strided = conv("strided", { strides: 2, padding: "same" }).apply(input);
  const dilated = conv("dilated", { dilationRate: 2, padding: "same" }).apply(strided);
  const wide = conv("wide", { kernelSize: [1, 5], padding: "same" }).apply(strided);
  const joined = tf.layers.concatenate({ name: "joined" }).apply([dilated, wide] as never);
  const pooled = tf.layers.averagePooling2d({ name: "pooled", poolSize: 3, strides: 2 }).apply(joined);
  const padded = tf.layers.zeroPadding2d({ name: "padded", padding: [[0, 2], [1, 0]] as never }).apply(pooled);
  const last = conv("last", {}).apply(padded);
  const mean = tf.layers.globalAveragePooling2d({ name: "mean" }).apply(last);
  const network = tf.model({ inputs: input, outputs: mean as never });
  const layers = ["strided", "dilated", "wide", "pooled", "last", "mean"];
  const taps = tf.model({ inputs: input, outputs: layers.map((name) => network.getLayer(name).output as never) });
  const own = await loadModel(network, { preprocess: "none", output: "numbers" });
  opened.push(own);
  const images = dataset(
    Array.from({ length: 12 }, (_, i) => ({
      id: `i${i}`,
      image: { data: new Float32Array(23 * 19 * 3).map(() => 255 * random()), shape: [23, 19, 3] },
    })),
  );
  const patches = await topPatches(own, images, { layers, top: 12 });
  const clipped = new Set<boolean>();
  for (const { layer, unit, imageId, cell, box } of patches.rows.filter(({ unit }) => unit === 0)) {
    const [rows, columns] = tf.tidy(() => {
      const at = (x: unknown) => {
        const output = (taps.apply(x as never) as ReturnType<typeof tf.tensor>[])[layers.indexOf(layer)];
        return tf.slice(output, [0, ...cell, unit as number], [1, ...cell.map(() => 1), 1]).asScalar();
      };
      const picture = patches.picture(imageId)!;
      const gradient = tf.grad(at)(tf.tensor(picture.data, [1, ...picture.shape]));
      return [gradient.abs().sum([0, 2, 3]), gradient.abs().sum([0, 1, 3])];
    });
    const ends = async (sums: ReturnType<typeof tf.tensor>) => {
      const hit = Array.from(await sums.data(), (sum, i) => sum > 0 ? i : -1).filter((i) => i >= 0);
      return [hit[0], hit.at(-1)! + 1];
    };
    const [[top, bottom], [left, right]] = [await ends(rows), await ends(columns)];
    const support = [top, left, bottom, right];
    tf.dispose([rows, columns]);
    expect(box, `${layer} ${cell}`).toEqual(support);
    clipped.add(box[0] === 0 || box[1] === 0 || box[2] === 23 || box[3] === 19);
  }
  expect(clipped).toEqual(new Set([true, false]));
  taps.dispose();
});

test("directions: the dot product with the channels at a cell, the same in any order", async () => {
  const images = noise(20);
  const unit = [0, 1, 0, 0, 0, 0, 0, 0];
  const mixed = [1, -1, 0.5, 0, 0, 2, 0, 0.25];
  const found = await topPatches(model, images, { layer: "conv2", directions: { unit, mixed } });
  const channel = await topPatches(model, images, { layer: "conv2", channels: [1] });
  expect(found.of({ unit: "unit" }).map(({ unit: _, ...row }) => row))
    .toEqual(channel.rows.map(({ unit: _, ...row }) => row));
  const [maps] = await forwardAll(model, new InputReader("a test", model, images).inputs(), ["conv2"]);
  const products = Array.from(
    { length: maps.data.length / 8 },
    (_, cell) => mixed.reduce((sum, weight, i) => sum + weight * maps.data[cell * 8 + i], 0),
  );
  expect(found.of({ unit: "mixed" })[0].activation).toBeCloseTo(Math.max(...products), 4);
  const again = await topPatches(model, images.shuffle(3), { layer: "conv2", directions: { unit, mixed } });
  expect(again.rows).toEqual(found.rows);
});

test("images of several sizes, in any order", async () => {
  const free = await loadModel(net(null), { preprocess: "unit", output: "classes" });
  opened.push(free);
  const pixels = (side: number) => ({
    data: new Float32Array(side * side * 3).map((_, i) => (i * 37) % 251),
    shape: [side, side, 3],
  });
  const images = dataset([12, 9, 12, 15, 9, 12].map((side, i) => ({ id: `i${i}`, image: pixels(side) })));
  const found = await topPatches(free, images, { layers: ["conv1", "conv2"], top: 6 });
  expect((await topPatches(free, images.shuffle(1), { layers: ["conv1", "conv2"], top: 6 })).rows).toEqual(found.rows);
  expect(new Set(found.of({ layer: "conv2", unit: 1 }).map(({ imageId }) => imageId)).size).toBe(6);
  expect(found.picture("i3")!.shape).toEqual([15, 15, 3]);
});

test("leaves no tensor behind, also where reading fails", async () => {
  const before = tf.memory().numTensors;
  const bad = dataset([...Array(20).keys()].map((i) => ({ image: i < 18 ? new Uint8Array([1, 2]) : noisy })));
  for (const rank of ["activation", "relevance"] as const) {
    await topPatches(model, noise(6), { layer: "conv2", rank });
    await topPatches(model, bad, { layer: "conv2", rank });
    await expect(topPatches(model, bad, { layer: "conv2", rank, onBadImage: "stop" })).rejects.toThrow();
    const stopped = topPatches(model, noise(40), {
      layer: "conv2",
      rank,
      onProgress: () => {
        throw new Error("Enough.");
      },
    });
    await expect(stopped).rejects.toThrow("Enough.");
  }
  await expect(topPatches(model, noise(6), { layer: "out", rank: "relevance", target: { layer: "mean", channel: 0 } }))
    .rejects.toThrow(/does not depend on layer "out"/);
  expect(tf.memory().numTensors).toBe(before);
});

const noisy = { data: new Float32Array(432).fill(7), shape: [12, 12, 3] };

/** So many as the other backends, cpu and a graphics driver in software, walk in seconds. */
const MANY = ["wasm", "tensorflow"].includes(tf.getBackend()) ? 10_000 : 500;

longTest(`equal to a full sort of ${MANY} images, in any order`, async () => {
  const images = noise(MANY);
  const layers = ["conv1", "conv2", "mean"];
  const wanted = await sorted(model, images, layers, {});
  for (const data of [images, images.shuffle(5)]) {
    expect(short((await topPatches(model, data, { layers })).rows)).toEqual(wanted);
  }
}, 120_000);
