/**
 * Targets of maps and of several outputs: each is what a function of the network's logits, written out, is.
 */

import type { LayersModel, SymbolicTensor, Tensor } from "@tensorflow/tfjs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { faithfulness, gradCam, loadModel, type Model, occlusion, saliency, type Target } from "../../mod.ts";
import { placeWeights, resolveOutput } from "../../lib/probe/output_target.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { uniforms } from "../nets.ts";

const tf = await ensureBackend();
const L = tf.layers;
const random = uniforms(3);
const [HEIGHT, WIDTH] = [6, 4];
const image = {
  data: Float32Array.from({ length: HEIGHT * WIDTH * 3 }, () => Math.round(255 * random())),
  shape: [HEIGHT, WIDTH, 3],
};
const kernel = (seed: number) => tf.initializers.randomUniform({ minval: -1, maxval: 1, seed });

/** A segmentation, its logits, a mask of one channel, a depth, and two numbers. */
function network(side: (number | null)[] = [HEIGHT, WIDTH]): LayersModel {
  const input = tf.input({ shape: [...side, 3] });
  const conv = (
    x: SymbolicTensor,
    filters: number,
    name: string,
    activation: "relu" | "softmax" | "sigmoid" | "linear",
  ) =>
    L.conv2d({
      filters,
      kernelSize: 3,
      padding: "same",
      activation,
      name,
      kernelInitializer: kernel(name.length),
      biasInitializer: "ones",
    }).apply(x) as SymbolicTensor;
  const maps = conv(input, 4, "maps", "relu");
  const numbers = L.dense({ units: 2, name: "numbers", kernelInitializer: kernel(9) })
    .apply(L.globalAveragePooling2d({} as never).apply(maps) as SymbolicTensor) as SymbolicTensor;
  const logits = conv(maps, 3, "logits", "linear");
  const outputs = [
    L.softmax({ name: "classes", axis: -1 }).apply(logits) as SymbolicTensor,
    conv(maps, 1, "mask", "sigmoid"),
    conv(maps, 1, "depth", "linear"),
    numbers,
    logits,
  ];
  return tf.model({ inputs: input, outputs });
}

const labels = ["road", "car", "sky"];
let model: Model;
beforeAll(async () => {
  model = await loadModel(network(), { labels, preprocess: "unit" });
});
afterAll(() => model.dispose());

const mask = {
  data: Float32Array.from({ length: HEIGHT * WIDTH }, (_, i) => Number(i % 5 === 0)),
  shape: [HEIGHT, WIDTH],
};

/** The logits of one channel where a mask is above 0, their mean. */
const meanOf = (channel: number, where: (y: number, x: number) => boolean): Target => ({
  output: "logits",
  target: (maps: Tensor) => {
    const places = Float32Array.from(
      { length: HEIGHT * WIDTH },
      (_, i) => Number(where(Math.floor(i / WIDTH), i % WIDTH)),
    );
    const count = places.reduce((sum, one) => sum + one, 0);
    const own = tf.slice(maps, [0, 0, 0, channel], [1, HEIGHT, WIDTH, 1]);
    return tf.div(tf.sum(tf.mul(tf.reshape(own, [-1]), tf.tensor1d(places))), count);
  },
});

describe("a class of a map is its mean logit over the places", () => {
  test.each<[string, Target, Target, string]>([
    ["a cell", { label: "car", cell: [3, 1] }, meanOf(1, (y, x) => y === 3 && x === 1), "car at row 3, column 1"],
    [
      "a box",
      { index: 2, box: [1, 0, 4, 2] },
      meanOf(2, (y, x) => y >= 1 && y < 4 && x < 2),
      "sky in rows 1–3, columns 0–1",
    ],
    ["a mask", { label: "road", mask }, meanOf(0, (y, x) => (y * WIDTH + x) % 5 === 0), "road in a mask of 5 cells"],
    ["the map", "car", meanOf(1, () => true), "car, mean over the map"],
  ])("%s", async (_, target, wanted, text) => {
    const [own, other] = await saliency(model, image, { target: [target, wanted] });
    expect(own.target.text).toBe(`${text}, of the output "classes"`);
    expect(own.score).toBeCloseTo(other.score, 5);
    own.values.data.forEach((value, i) => expect(value).toBeCloseTo(other.values.data[i], 5));
    const [cam, otherCam] = await gradCam(model, image, { target: [target, wanted], layer: "maps" });
    cam.map.data.forEach((value, i) => expect(value).toBeCloseTo(otherCam.map.data[i], 4));
    const options = { size: 2, stride: 2 };
    const occluded = await occlusion(model, image, { target, ...options });
    const naive = await occlusion(model, image, { target: wanted, ...options });
    occluded.score.data.forEach((value, i) => expect(value).toBeCloseTo(naive.score.data[i], 4));
    expect(occluded.predicted.shape).toEqual([3, 2]);
    const { insertion } = await faithfulness(model, image, own, { steps: 2, baseline: "grey" });
    expect(insertion.score.at(-1)).toBeCloseTo(own.target.probability!, 4);
  });
});

test("what is predicted at a place, and what is predicted at most places", async () => {
  const probabilities = tf.tidy(() =>
    (model.network.predict(tf.div(tf.tensor(image.data, [1, ...image.shape]), 255)) as Tensor[])[0].dataSync()
  );
  const best = (cell: number) => {
    const own = [...probabilities.subarray(3 * cell, 3 * cell + 3)];
    return own.indexOf(Math.max(...own));
  };
  const there = (await saliency(model, image, { target: { cell: [5, 3] } })).target;
  expect(there).toMatchObject({ index: best(5 * WIDTH + 3), cell: [5, 3] });
  expect(there.probability).toBeCloseTo(probabilities[3 * (5 * WIDTH + 3) + there.index!], 5);
  const counts = labels.map((_, index) =>
    Array.from({ length: 24 }, (_, i) => best(i)).filter((one) => one === index).length
  );
  expect((await saliency(model, image)).target.index).toBe(counts.indexOf(Math.max(...counts)));
});

test("each output can be asked about, whichever is looked at", async () => {
  expect(model.outputs.map(({ name, kind, each }) => [name, kind, each])).toEqual([
    ["classes", "map", "classes"],
    ["mask", "map", "binary"],
    ["depth", "map", "numbers"],
    ["numbers", "numbers", "numbers"],
    ["logits", "map", "numbers"],
  ]);
  const [number, depth, no, sum] = await saliency(model, image, {
    target: [
      { output: "numbers", target: 1 },
      { output: 2, target: { cell: [0, 0] } },
      { output: "mask", target: { index: 0, cell: [2, 2] } },
      { output: "numbers", target: { sum: [[2, 1], [-1, 0]] } },
    ],
  });
  expect(number.target).toMatchObject({ kind: "number", index: 1, output: "numbers" });
  expect(number.target.probability).toBeUndefined();
  expect(depth.target.text).toBe('output 0 at row 0, column 0, of the output "depth"');
  const yes = await saliency(model, image, { target: { output: "mask", target: { index: 1, cell: [2, 2] } } });
  expect(no.score).toBeCloseTo(-yes.score, 5);
  expect(no.target.probability! + yes.target.probability!).toBeCloseTo(1, 5);
  const other = await saliency(model, image, { target: { output: "numbers", target: 0 } });
  expect(sum.score).toBeCloseTo(2 * number.score - other.score, 4);
  // Grad-CAM looks for a layer on the way to the output that is asked about.
  expect((await gradCam(model, image, { target: { output: "numbers", target: 0 } })).layer).toBe("maps");
});

test("of any size of image the map has its own number of cells", async () => {
  const free = await loadModel(network([null, null]), { labels, preprocess: "unit" });
  expect(resolveOutput(free, { index: 1, cell: [5, 3] }, { inputShape: [6, 4, 3] }).grid).toEqual([6, 4]);
  await expect(saliency(free, image, { target: { index: 1, cell: [6, 3] } })).rejects.toThrow("maps of 6×4 cells");
  free.dispose();
});

test("weights of places add up to 1", () => {
  const about = { kind: "class", index: 0, label: "", text: "" } as const;
  expect(placeWeights({ ...about, grid: [2, 2, 2], box: [0, 0, 1, 2, 2, 2] })).toEqual(
    Float32Array.of(0, 0.25, 0, 0.25, 0, 0.25, 0, 0.25),
  );
  expect(placeWeights({ ...about, grid: [4], cell: [2] })).toEqual(Float32Array.of(0, 0, 1, 0));
  expect(placeWeights(about)).toBeNull();
});

test.each<[Target, string]>([
  [{ index: 0, cell: [6, 0] }, "maps of 6×4 cells: received the cell [6, 0]; wanted [y, x]"],
  [{ index: 0, box: [0, 0, 0, 4] }, "received the box [0, 0, 0, 4]; wanted [y0, x0, y1, x1]"],
  [{ index: 0, mask: image }, "received a mask of the shape [6, 4, 3]"],
  [{ index: 0, mask: { data: new Float32Array(24), shape: [6, 4] } }, "A mask holds numbers of at least 0"],
  [{ index: 0, label: "car" }, "a label or an index: received both"],
  [{ cell: [0, 0], box: [0, 0, 1, 1] }, "one place: received cell and box"],
  [{ index: 0, celll: [0, 0] } as never, 'no option "celll". The nearest: "cell"'],
  [{ label: "cat", cell: [0, 0] }, 'no label "cat"'],
  [{ output: "depht" }, 'There is no output "depht"'],
  [{ output: "numbers", target: { index: 0, cell: [0, 0] } }, "a vector, which has no places: received cell"],
  [
    { output: "numbers", target: { layer: "maps", channel: 0 } as never },
    "a function of it, or a sum of these: received",
  ],
])("%j is refused", async (target, message) => {
  await expect(saliency(model, image, { target })).rejects.toThrow(message);
});
