/** Methods that look at an image look at those of a data set, too: the same numbers, read some at a time. */

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { NdArrayLike } from "../../lib/array.ts";
import { type Dataset, dataset } from "../../lib/data/dataset.ts";
import { ImageError } from "../../lib/codec.ts";
import { activations } from "../../lib/methods/activations.ts";
import { deconvnet } from "../../lib/methods/deconvnet.ts";
import { gradCam } from "../../lib/methods/grad_cam.ts";
import { guidedBackprop } from "../../lib/methods/guided_backprop.ts";
import { inputXGradient } from "../../lib/methods/input_x_gradient.ts";
import { integratedGradients } from "../../lib/methods/integrated_gradients.ts";
import { loadCodes } from "../../lib/methods/load_codes.ts";
import { occlusion } from "../../lib/methods/occlusion.ts";
import { saliency } from "../../lib/methods/saliency.ts";
import { smoothGrad } from "../../lib/methods/smooth_grad.ts";
import { loadModel } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { long } from "../long.ts";
import { landscape, uniforms, wavesNet } from "../nets.ts";

const COUNT = 6;
const BAD = 2;
/** Four images at a time are read. */
const RUN = { batchSize: 1 };

let model: Model;
let images: NdArrayLike[];
/** All but one can be read. */
let set: Dataset;
beforeAll(async () => {
  model = await loadModel(await wavesNet(), { name: "waves" });
  const random = uniforms(7);
  images = Array.from({ length: COUNT }, () => {
    const { data, shape } = landscape();
    return { data: data.map((value) => Math.min(255, value * (0.5 + random()))), shape };
  });
  set = dataset(images.map((image, i) => ({ id: `photo ${i}`, image: i === BAD ? "missing.png" : image })), {
    name: "photos",
  });
});
afterAll(() => model.dispose());

const METHODS = {
  saliency,
  inputXGradient,
  guidedBackprop,
  gradCam,
  deconvnet,
  smoothGrad:
    ((model, images, options) => smoothGrad(model, images as never, { samples: 3, ...options })) as typeof saliency,
  integratedGradients:
    ((model, images, options) =>
      integratedGradients(model, images as never, { steps: 4, ...options })) as typeof saliency,
} as Record<string, typeof saliency>;

const readable = Array.from({ length: COUNT }, (_, i) => i).filter((i) => i !== BAD);
const names = readable.map((i) => `photo ${i}`);

function expectAlike(found: NdArrayLike, wanted: NdArrayLike): void {
  expect(found.shape).toEqual(wanted.shape);
  const scale = wanted.data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const worst = found.data.reduce((most, value, i) => Math.max(most, Math.abs(value - wanted.data[i])), 0);
  expect(worst).toBeLessThanOrEqual(1e-4 * scale);
}

describe.each(long(Object.entries(METHODS), [["saliency", saliency]]))("%s of a data set", (_, method) => {
  test("is that of each image, by its id, without those that cannot be read", async () => {
    const tf = await ensureBackend();
    const tensors = tf.memory().numTensors;
    const target = images.map((_, i) => i % 3);
    const told: number[] = [];
    const found = await method(model, set, { ...RUN, target, onProgress: (done, total) => told.push(done, total) });
    expect(tf.memory().numTensors).toBe(tensors);
    expect(found.map(({ name }) => name)).toEqual(names);
    expect(found.skipped).toEqual([{ id: `photo ${BAD}`, reason: expect.stringContaining("There is no file") }]);
    expect(told.slice(-2)).toEqual([COUNT, COUNT]);
    const wanted = await method(model, readable.map((i) => images[i]), {
      ...RUN,
      target: readable.map((i) => target[i]),
    });
    found.forEach(({ map, values, target }, i) => {
      expect(target.index).toBe(wanted[i].target.index);
      expectAlike(map, wanted[i].map);
      expectAlike(values, wanted[i].values);
    });
    expect(found.figure().caption).toContain("1 image could not be read");
  });
});

test("an attribution of a data set can be stopped, and stops at a bad image where it shall", async () => {
  const tf = await ensureBackend();
  const tensors = tf.memory().numTensors;
  const stop = new AbortController();
  const signal = { ...RUN, signal: stop.signal, onProgress: () => stop.abort(new Error("enough")) };
  await expect(saliency(model, set, signal)).rejects.toThrow("enough");
  await expect(saliency(model, set, { onBadImage: "stop" })).rejects.toThrow(ImageError);
  await expect(saliency(model, set, { target: [0, 1] })).rejects.toThrow("6 images and 2 targets cannot be paired");
  const skipping = await saliency(model, ["missing.png", images[0]], { onBadImage: "skip" });
  expect(skipping.map(({ name }) => name)).toEqual(["array"]);
  await expect(saliency(model, ["missing.png", images[0]])).rejects.toThrow("There is no file");
  expect(tf.memory().numTensors).toBe(tensors);
});

test("activations of a data set are those of each image, and of each layer one array", async () => {
  const layers = ["pool2", "conv1", model.layers.at(-1)!.name];
  const found = await activations(model, set, { layers, batchSize: 2 });
  expect(found.map((one) => one.rows.length)).toEqual(found.map(() => found[0].rows.length));
  expect([found.ids, found.skipped.map(({ id }) => id)]).toEqual([names, [`photo ${BAD}`]]);
  for (const [i, { name, shape, maps, channels }] of found.layers.entries()) {
    expect([name, maps.shape]).toEqual([layers[i], [COUNT - 1, ...shape]]);
    expect(channels).toHaveLength(shape[2]);
    for (const [n, place] of readable.entries()) {
      const wanted = (await activations(model, images[place], { layer: name })).layers[0];
      expectAlike(found[n].layers[i].maps, wanted.maps);
      expectAlike({ data: maps.slice(n).data, shape: wanted.maps.shape }, wanted.maps);
    }
  }
  expect(found.figure().caption).toContain("1 image could not be read");
  const some = await activations(model, [images[0], images[1]], { layer: "conv1", channels: [5, 0] });
  expect([some.layers[0].maps.shape.at(-1), some.layers[0].channels, some.ids]).toEqual([2, [5, 0], [
    "array",
    "array",
  ]]);
  expectAlike(
    some[1].layers[0].maps,
    (await activations(model, images[1], { layer: "conv1", channels: [5, 0] })).layers[0].maps,
  );
  await expect(activations(model, [])).rejects.toThrow("array of images is empty");
  await expect(activations(model, set, { layers: ["conv9"] })).rejects.toThrow('There is no layer "conv9"');
});

test("activations of a data set are written to a file, and come back equal to the bit", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const file = `${folder}/maps.parquet`;
    const layers = ["pool2", "conv1"];
    const options = { layers, channels: [3, 1], batchSize: 2 };
    const wanted = await activations(model, set, options);
    const written = await activations(model, set, { ...options, file });
    expect(written.map(({ shape, layer }) => [layer, shape[0]])).toEqual(layers.map((layer) => [layer, COUNT - 1]));
    const all = await loadCodes(file, { layers });
    for (const [i, { data, ids }] of all.entries()) {
      expect(ids).toEqual(names);
      expect(data).toEqual(wanted.layers[i].maps.data);
    }
    const failing = { ...options, file, onBadImage: "stop" } as const;
    await expect(activations(model, set, failing)).rejects.toThrow(ImageError);
    expect(await Array.fromAsync(Deno.readDir(folder), ({ name }) => name)).toEqual(["maps.parquet"]);
    await expect(activations(model, images[0], { ...options, file })).rejects.toThrow(
      "an array of images or a data set",
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

test("occlusion of a data set is that of each image", async () => {
  const few = dataset(
    [BAD, 0, 1].map((i) => ({ id: `photo ${i}`, image: i === BAD ? "missing.png" : images[i] })),
    { name: "photos" },
  );
  for (const target of ["predicted", { layer: "conv2", channel: 3, cell: [2, 2] }] as const) {
    const told: number[] = [];
    const options = { target, size: 16, stride: 8 };
    const found = await occlusion(model, few, { ...options, onProgress: (done, total) => told.push(done, total) });
    expect(found.map(({ name }) => name)).toEqual(["photo 0", "photo 1"]);
    expect(found.skipped.map(({ id }) => id)).toEqual([`photo ${BAD}`]);
    expect(found.figure().caption).toContain("1 image could not be read");
    expect(told.at(-2)).toBe(told.at(-1));
    for (const [i, { score }] of found.entries()) {
      expectAlike(score, (await occlusion(model, images[i], options)).score);
    }
  }
});
