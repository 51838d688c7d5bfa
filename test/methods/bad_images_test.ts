/** Data sets in which some images cannot be read: every walk goes on without them, and names them. */

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Dataset, dataset, type SkippedImage } from "../../lib/data/dataset.ts";
import { Image } from "../../lib/data/image.ts";
import { imageFolder } from "../../lib/data/image_folder.ts";
import type { NdArray } from "../../lib/array.ts";
import { sha256Of } from "../../lib/checksum.ts";
import { ImageError } from "../../lib/codec.ts";
import { codes } from "../../lib/methods/codes.ts";
import { loadCodes } from "../../lib/methods/load_codes.ts";
import { deadFilters } from "../../lib/methods/dead_filters.ts";
import { linearProbes } from "../../lib/methods/linear_probes.ts";
import { predict } from "../../lib/methods/predict.ts";
import { robustness } from "../../lib/methods/robustness.ts";
import { strideDiagnosis } from "../../lib/methods/stride_diagnosis.ts";
import { train } from "../../lib/methods/train.ts";
import { transferability } from "../../lib/methods/transferability.ts";
import { universalPerturbation } from "../../lib/methods/universal_perturbation.ts";
import { InputReader } from "../../lib/model/inputs.ts";
import { loadModel } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { forwardAll } from "../../lib/scan/forward_all.ts";
import { png, RGB } from "../data/png.ts";
import { long, longTest } from "../long.ts";
import { uniforms } from "../nets.ts";

const COUNT = long(1000, 60);
const BAD = long(20, 3);
const SIDE = 8;

/** Ways for a file to be no image. */
const damages: ((bytes: Uint8Array) => Uint8Array)[] = [
  (bytes) => bytes.subarray(0, Math.floor(bytes.length / 2)),
  () => new Uint8Array(),
  (bytes) => Uint8Array.from(bytes, (byte, i) => i === bytes.length - 30 ? byte ^ 4 : byte),
  () => new TextEncoder().encode("<html>404</html>"),
];

let root: string;
let model: Model;
let wrong: string[];
let all: Dataset;
let good: Dataset;

async function network(): Promise<Model> {
  const tf = await ensureBackend();
  const random = uniforms(5);
  const net = tf.sequential({
    layers: [
      tf.layers.conv2d({ name: "conv1", inputShape: [SIDE, SIDE, 3], filters: 4, kernelSize: 3, activation: "relu" }),
      tf.layers.conv2d({ name: "conv2", filters: 4, kernelSize: 3, activation: "relu" }),
      tf.layers.flatten({ name: "flat" }),
      tf.layers.dense({ name: "out", units: 2, activation: "softmax" }),
    ],
  });
  tf.tidy(() =>
    net.setWeights(
      net.getWeights().map(({ shape, size }) =>
        tf.tensor(Float32Array.from({ length: size }, () => random() - 0.4), shape)
      ),
    )
  );
  return await loadModel(net, { labels: ["cat", "dog"], preprocess: "tf", name: "tiny" });
}

beforeAll(async () => {
  root = await Deno.makeTempDir();
  const random = uniforms(1);
  wrong = [];
  for (const label of ["cat", "dog"]) await Deno.mkdir(`${root}/${label}`);
  for (let i = 0; i < COUNT; i++) {
    const rows = Array.from({ length: SIDE }, () => Array.from({ length: 3 * SIDE }, () => Math.floor(255 * random())));
    const id = `${i % 2 ? "cat" : "dog"}/${String(i).padStart(4, "0")}.png`;
    const bytes = png({ width: SIDE, color: RGB, rows });
    const every = Math.floor(COUNT / BAD);
    const isBad = i % every === every - 1 && wrong.length < BAD;
    if (isBad) wrong.push(id);
    await Deno.writeFile(`${root}/${id}`, isBad ? damages[wrong.length % damages.length](bytes) : bytes);
  }
  wrong.sort();
  const folder = await imageFolder(root);
  all = folder;
  // Read once: what the others give is compared with what these give.
  const items = await Array.fromAsync(folder.filter(({ id }) => !wrong.includes(id)));
  good = dataset(items, { name: folder.name, labels: folder.labels });
  model = await network();
});
afterAll(async () => {
  model.dispose();
  await Deno.remove(root, { recursive: true });
});

/** Equality of arrays that are too large to be compared number by number. */
const sameBytes = (a: Float32Array | Uint8Array, b: Float32Array | Uint8Array) => sha256(a) === sha256(b);
const sha256 = ({ buffer, byteOffset, byteLength }: Float32Array | Uint8Array) =>
  sha256Of(new Uint8Array(buffer, byteOffset, byteLength));

const row = (data: Float32Array, n: number) => data.subarray(64 * n, 64 * (n + 1));

/** What every result must say. */
function expectNamed(
  result: { skipped: readonly SkippedImage[]; figure(): { caption: string; text: string } },
  ids = wrong,
): void {
  expect(result.skipped.map(({ id }) => id)).toEqual(ids);
  const { caption, text } = result.figure();
  for (const id of ids) {
    expect(caption).toContain(JSON.stringify(id));
    expect(text).toContain(JSON.stringify(id));
  }
  expect(caption).toContain(`${ids.length} images could not be read and were left out`);
  for (const { id, reason } of result.skipped) {
    expect(reason).toContain(id);
    expect(reason).toMatch(/cannot be decoded|is not an image/);
  }
}

describe(`${COUNT} images, ${BAD} of them damaged`, () => {
  test("codes: those of the others, equal to the bit, in memory and in a file", async () => {
    const [found, wanted] = [await codes(model, all, { layer: "flat" }), await codes(model, good, { layer: "flat" })];
    expectNamed(found);
    expect(found.shape).toEqual([COUNT - BAD, 64]);
    expect(found.ids).toEqual(wanted.ids);
    expect(sameBytes(found.data, wanted.data)).toBe(true);
    expect(found.labels).toEqual(wanted.labels);
    expect(found.predictions).toEqual(wanted.predictions);
    expect(sameBytes(found.thumbnails!.data, wanted.thumbnails!.data)).toBe(true);
    await codes(model, all, { layer: "flat", file: `${root}/codes.parquet` });
    // As when a cell is run again: what was left out does not make it another file.
    const file = await codes(model, all, { layer: "flat", file: `${root}/codes.parquet` });
    expectNamed(file);
    expect(file.shape).toEqual([COUNT - BAD, 64]);
    const read = await loadCodes(`${root}/codes.parquet`);
    expect(read.ids).toEqual(wanted.ids);
    expect(sameBytes(read.data, wanted.data)).toBe(true);
    // Drawn of the file are images evenly spread over what the data set said, as far as they came.
    const [{ values }] = file.figure().blocks as unknown as [{ values: NdArray }];
    const rows = Math.min(COUNT, 120);
    const drawn = Array.from({ length: rows }, (_, i) => Math.floor(i * COUNT / rows)).filter((n) => n < COUNT - BAD);
    expect(values.shape).toEqual([drawn.length, 64]);
    expect(sameBytes(values.data, Float32Array.from(drawn.flatMap((n) => [...row(found.data, n)])))).toBe(true);
  });

  test("predict: one prediction for each of the others, by id", async () => {
    const [found, wanted] = [await predict(model, all), await predict(model, good)];
    expect(found.skipped.map(({ id }) => id)).toEqual(wrong);
    expect(found.map(({ id, label, rows }) => ({ id, label, rows }))).toEqual(
      wanted.map(({ id, label, rows }) => ({ id, label, rows })),
    );
    expect(found).toHaveLength(COUNT - BAD);
    expectNamed(found);
  });

  test("train: on the others, to the same weights", async () => {
    const options = { epochs: 1, batchSize: 16, validation: 0.2, live: false };
    const nets = [await network(), await network()];
    const found = await train(nets[0], all, options);
    const wanted = await train(nets[1], good, options);
    expectNamed(found);
    expect(wanted.skipped).toEqual([]);
    expect(found.snapshots.at(-1)!.weights).toEqual(wanted.snapshots.at(-1)!.weights);
    expect(found.rows.map(({ loss }) => loss)).toEqual(wanted.rows.map(({ loss }) => loss));
    nets.forEach((net) => net.dispose());
  });

  test("deadFilters, linearProbes and strideDiagnosis: the same rows as of the others", async () => {
    const dead = await deadFilters(model, all);
    expectNamed(dead);
    expect(dead.images).toBe(COUNT - BAD);
    expect(dead.rows).toEqual((await deadFilters(model, good)).rows);
    const options = { embedding: "pca", layers: ["conv2"] } as const;
    const probes = await linearProbes(model, all, options);
    expectNamed(probes);
    expect(probes.trained + probes.tested).toBe(COUNT - BAD);
    expect(probes.rows).toEqual((await linearProbes(model, good, options)).rows);
    const diagnosis = await strideDiagnosis([model], all, { images: 2 });
    expectNamed(diagnosis);
    expect(diagnosis.rows).toEqual((await strideDiagnosis([model], good, { images: 2 })).rows);
  });

  longTest("robustness, transferability and universalPerturbation: the same rows as of the others", async () => {
    const runs = [
      (from: Dataset) => robustness(model, from, { epsilons: [0, 4], methods: ["fgsm"] }),
      (from: Dataset) => transferability([model, model], from, { steps: 1 }),
      (from: Dataset) => universalPerturbation(model, from, { passes: 1 }),
    ];
    for (const run of runs) {
      const found = await run(all);
      expectNamed(found);
      expect(found.rows).toEqual((await run(good)).rows);
    }
  });

  test("Workers get the others, too", async () => {
    const outputs = async (from: Dataset, workers: number) => {
      const reader = new InputReader("test", model, from);
      const [array] = await forwardAll(model, reader.inputs(), ["out"], { workers, batchSize: 7 });
      return { array, skipped: reader.skipped.map(({ id }) => id) };
    };
    const spread = await outputs(all, 2);
    expect(spread.skipped).toEqual(wrong);
    expect(spread.array.shape).toEqual([COUNT - BAD, 2]);
    expect(spread.array).toEqual((await outputs(good, 1)).array);
  });

  test("with onBadImage: stop the first one ends the run, by name, and leaves no tensor and no file", async () => {
    const tf = await ensureBackend();
    const before = tf.memory().numTensors;
    const stop = { onBadImage: "stop" } as const;
    const net = await network();
    const own = tf.memory().numTensors - before;
    for (
      const run of [
        () => codes(model, all, { layer: "flat", ...stop }),
        () => codes(model, all, { layer: "flat", file: `${root}/stopped.parquet`, ...stop }),
        () => predict(model, all, stop),
        () => train(net, all, { live: false, epochs: 1, ...stop }),
        () => deadFilters(model, all, stop),
        () => linearProbes(model, all, stop),
        () => strideDiagnosis([model], all, stop),
        () => robustness(model, all, stop),
        () => transferability([model, model], all, stop),
        () => universalPerturbation(model, all, stop),
      ]
    ) {
      const error = await run().then(() => undefined, (error) => error);
      expect(error).toBeInstanceOf(ImageError);
      expect(error.message).toContain(`The image ${JSON.stringify(wrong[0])} of`);
      expect(error.message).toContain('With onBadImage: "skip" the others are read without it.');
    }
    expect(tf.memory().numTensors).toBe(before + own);
    net.dispose();
    const left = (await Array.fromAsync(Deno.readDir(root))).map(({ name }) => name);
    expect(left.filter((name) => name.startsWith("stopped"))).toEqual([]);
  });
});

describe("few images", () => {
  const pixels = { data: new Float32Array(SIDE * SIDE * 3).fill(9), shape: [SIDE, SIDE, 3] };

  test("none that can be read is an error with the first reason", async () => {
    const none = dataset([{ id: "a", image: `${root}/none.png` }, { id: "b", image: new Uint8Array([1, 0]) }]);
    for (const run of [() => codes(model, none), () => predict(model, none), () => deadFilters(model, none)]) {
      await expect(run()).rejects.toThrow(
        /None of the 2 images of "images" can be read\. The first, "a": There is no file/,
      );
    }
  });

  test("images given one by one stop at a bad one, unless they are to be skipped", async () => {
    const images = [pixels, `${root}/none.png`, pixels];
    await expect(predict(model, images)).rejects.toThrow(
      /The image "1" of "the array" cannot be read: There is no file/,
    );
    await expect(predict(model, `${root}/none.png`)).rejects.toThrow(/^There is no file/);
    const two = await predict(model, images, { onBadImage: "skip" });
    expect([two.length, two.skipped.map(({ id }) => id)]).toEqual([2, ["1"]]);
    expect(two.figure().caption).toContain('1 image could not be read and was left out: "1" (There is no file');
  });

  test("pixels that are no numbers, a file that is gone, an address that does not answer are bad images", async () => {
    const gone = `${root}/gone.png`;
    await Deno.writeFile(gone, png({ width: 1, color: RGB, rows: [[1, 2, 3]] }));
    const some = dataset([
      { id: "good", image: pixels },
      { id: "NaN", image: { ...pixels, data: pixels.data.map((value, i) => i ? value : NaN) } },
      { id: "gone", image: gone },
      { id: "address", image: "http://127.0.0.1:1/x.png" },
      { id: "folder", image: root },
    ]);
    await Deno.remove(gone);
    const { skipped, ids } = await codes(model, some);
    expect(ids).toEqual(["good"]);
    expect(skipped.map(({ id }) => id)).toEqual(["NaN", "gone", "address", "folder"]);
    const reasons = [/holds NaN/, /There is no file/, /could not be fetched/, /is a folder/];
    skipped.forEach(({ reason }, i) => expect(reason).toMatch(reasons[i]));
  });

  test("a signal is no bad image, and what is no image at all stops with its id", async () => {
    const stopped = new AbortController();
    const some: Dataset = {
      name: "some",
      size: 3,
      async *[Symbol.asyncIterator]() {
        yield { id: "a", image: pixels as never };
        stopped.abort(new Error("enough"));
        yield { id: "b", image: `${root}/none.png` as never };
      },
    };
    await expect(codes(model, some, { signal: stopped.signal })).rejects.toThrow("enough");
    for (const image of [7, {}, Promise.resolve(pixels)]) {
      const wrong = dataset([{ id: "first", image: pixels }, { id: "second", image: image as never }]);
      await expect(codes(model, wrong)).rejects.toThrow(
        /The image "second" of "images" cannot be read: An image is what loadImage/,
      );
    }
  });

  test("a size that memory cannot hold is told before, and one that is too large or too small after", async () => {
    const told = (size: number): Dataset => ({
      name: "told",
      size,
      async *[Symbol.asyncIterator]() {
        for (let i = 0; i < 40; i++) {
          yield { id: `${i}`, image: new Image(pixels, { name: "x", source: "x" }), label: "ab"[i % 2] };
        }
      },
    });
    const huge = told(1e12);
    await expect(codes(model, huge, { layer: "flat" })).rejects.toThrow(
      /An array of 1e\+?12 codes|1000000000000 codes.*free/,
    );
    await expect(linearProbes(model, huge, { embedding: "pca" })).rejects.toThrow(
      /of 1000000000000 images takes.*free/,
    );
    for (const size of [39, 41]) {
      const message = size === 39
        ? "says that it holds 39 images, and gave more"
        : "says that it holds 41 images, and gave 40";
      await expect(codes(model, told(size))).rejects.toThrow(message);
      await expect(predict(model, told(size))).rejects.toThrow(message);
      await expect(deadFilters(model, told(size))).rejects.toThrow(message);
      await expect(linearProbes(model, told(size), { embedding: "pca" })).rejects.toThrow(message);
    }
  });

  test("onBadImage is one of two words", async () => {
    const one = dataset([{ image: pixels }]);
    const options = { onBadImage: "ignore" as never };
    for (const run of [() => codes(model, one, options), () => predict(model, one, options)]) {
      await expect(run()).rejects.toThrow('onBadImage must be "skip" or "stop": received "ignore".');
    }
  });
});
