import type { SymbolicTensor, Tensor } from "@tensorflow/tfjs";
import { describe, expect, test, vi } from "vitest";
import { type NdArray, ndarray, sizeOf } from "../../lib/array.ts";
import type { Picture, Row } from "../../lib/figure/blocks.ts";
import { occlusion } from "../../lib/methods/occlusion.ts";
import { loadModel } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { landscape, redImage, tinyNet, uniforms, wavesNet } from "../nets.ts";

const tf = await ensureBackend();

interface Case {
  net: "plain" | "residual";
  size: number;
  stride: number;
  baseline: [number, number, number];
  target: number;
  shape: [number, number];
  unoccluded: number;
  probability: number[];
  logit: number[];
  map: number[];
}

const captum: { image: [number, number, number]; cases: Case[] } = JSON.parse(
  await Deno.readTextFile(new URL("../oracles/fixtures/captum_occlusion.json", import.meta.url)),
);

const worst = (found: ArrayLike<number>, wanted: ArrayLike<number>) => {
  expect(found.length).toBe(wanted.length);
  return Array.from(found).reduce((most, value, i) => Math.max(most, Math.abs(value - wanted[i])), 0);
};

/** The networks of captum_occlusion.py, with weights drawn in its order. */
async function oracleNet(name: Case["net"]): Promise<Model> {
  const input = tf.input({ shape: captum.image });
  let at = 0;
  const conv = (
    x: SymbolicTensor,
    filters: number,
    kernelSize: number,
    options: { strides?: number; padding?: "same" | "valid"; dilationRate?: number; activation?: "relu" | "tanh" } = {},
  ) =>
    tf.layers.conv2d({ name: `w${at++}`, filters, kernelSize, padding: "same", ...options }).apply(x) as SymbolicTensor;
  const dense = (x: SymbolicTensor, units: number, activation: "relu" | "softmax") =>
    tf.layers.dense({ name: `w${at++}`, units, activation }).apply(x) as SymbolicTensor;
  let x = input;
  if (name === "plain") {
    x = conv(x, 6, 3, { activation: "relu" });
    x = tf.layers.maxPooling2d({ poolSize: 2 }).apply(x) as SymbolicTensor;
    x = conv(x, 8, 3, { padding: "valid", activation: "relu" });
    x = tf.layers.maxPooling2d({ poolSize: 3, strides: 2, padding: "same" }).apply(x) as SymbolicTensor;
    x = conv(x, 8, 3, { dilationRate: 2, activation: "tanh" });
    x = dense(tf.layers.flatten().apply(x) as SymbolicTensor, 12, "relu");
  } else {
    x = conv(x, 8, 5, { strides: 2, activation: "relu" });
    for (const strides of [1, 2]) {
      let y = conv(x, 8, 1, { strides, padding: "valid", activation: "relu" });
      y = conv(y, 8, 3);
      const short = strides === 1 ? x : conv(x, 8, 1, { strides, padding: "valid" });
      x = tf.layers.reLU().apply(tf.layers.add().apply([y, short]) as SymbolicTensor) as SymbolicTensor;
    }
    x = tf.layers.averagePooling2d({ poolSize: 2 }).apply(x) as SymbolicTensor;
    x = tf.layers.globalAveragePooling2d({}).apply(x) as SymbolicTensor;
  }
  const network = tf.model({ inputs: input, outputs: dense(x, 5, "softmax") });
  const next = uniforms(name === "plain" ? 21 : 22);
  for (let i = 0; i < at; i++) {
    const layer = network.getLayer(`w${i}`);
    tf.tidy(() =>
      layer.setWeights(
        layer.getWeights().map(({ shape }) => {
          const scale = shape.length === 1 ? 1 : 5 / Math.sqrt(sizeOf(shape.slice(0, -1)));
          return tf.tensor(Array.from({ length: sizeOf(shape) }, () => scale * (next() - 0.5)), shape);
        }),
      )
    );
  }
  return await loadModel(network, { preprocess: "tf", name });
}

function oracleImage(): NdArray {
  const next = uniforms(7);
  return ndarray(Float32Array.from({ length: sizeOf(captum.image) }, () => 255 * next()), captum.image);
}

test.each(["plain", "residual"] as const)("equals Captum's Occlusion on the net %s", async (name) => {
  const model = await oracleNet(name);
  const image = oracleImage();
  const cases = captum.cases.filter(({ net }) => net === name);
  expect(cases).toHaveLength(5);
  for (const { size, stride, baseline, target, shape, unoccluded, probability, logit, map } of cases) {
    const replaced = baseline.every((value) => value === 0)
      ? "zero"
      : baseline.map((v) => v * 127.5 + 127.5) as [number, number, number];
    const result = await occlusion(model, image, { target, size, stride, baseline: replaced, batchSize: 7 });
    expect(result.probability.shape).toEqual(shape);
    expect(result.unoccluded).toBeCloseTo(unoccluded, 5);
    expect(worst(result.probability.data, probability)).toBeLessThan(1e-5);
    expect(worst(result.score.data, logit)).toBeLessThan(1e-4);
    expect(result.map.shape).toEqual(captum.image.slice(0, 2));
    expect(worst(result.map.data, map)).toBeLessThan(1e-5);
  }
  model.dispose();
});

const labels = ["meadow", "desert", "open sea", "sunflower field", "night sky"];
const waves = async () => loadModel(await wavesNet(), { name: "waves", labels });

/** One full pass of the network itself for each place. */
async function naive(model: Model, image: NdArray, fill: number, size: number, stride: number): Promise<number[][]> {
  const [height, width] = image.shape;
  const rows: number[][] = [];
  for (let top = 0; top < height - size + stride; top += stride) {
    for (let left = 0; left < width - size + stride; left += stride) {
      const data = image.data.map((value, i) => {
        const [y, x] = [Math.floor(i / (3 * width)), Math.floor(i / 3) % width];
        return y >= top && y < top + size && x >= left && x < left + size ? fill : value;
      });
      const input = model.input(ndarray(data, image.shape));
      const output = tf.tidy(() => model.network.predict(tf.tensor(input.data, [1, ...input.shape])) as Tensor);
      rows.push([...await output.data()]);
      output.dispose();
    }
  }
  return rows;
}

test("equals a naive loop, also in what is most probable, and leaves nothing behind", async () => {
  const model = await waves();
  const image = ndarray(landscape().data, landscape().shape);
  const before = tf.memory().numTensors;
  const result = await occlusion(model, image, { target: "open sea", size: 9, stride: 5 });
  expect(tf.memory().numTensors).toBe(before);
  const wanted = await naive(model, image, 127.5, 9, 5);
  expect(result.probability.shape).toEqual([6, 6]);
  expect(worst(result.probability.data, wanted.map((row) => row[2]))).toBeLessThan(1e-5);
  const best = wanted.map((row) => row.indexOf(Math.max(...row)));
  expect([...result.predicted.data]).toEqual(best);
  expect(result.rows.map((row) => row.predicted)).toEqual(best.map((index) => labels[index]));
  expect(worst(result.rows.map((row) => row.predictedProbability!), wanted.map((row) => Math.max(...row))))
    .toBeLessThan(
      1e-5,
    );
  for (const { top } of result.maps) {
    expect(top.every((guesses) => guesses.length === 3 && guesses[0].probability >= guesses[1].probability)).toBe(true);
  }
  expect(result.flops.done).toBeLessThan(result.flops.full);
  model.dispose();
});

test("the toy net, by hand", async () => {
  // The class hangs on the red of the pixels: logit 0 is 0.001 times the sum of the pooled 2×2 sums, logit 1 is 1.
  const model = await loadModel(await tinyNet(), { preprocess: "none" });
  const red = redImage([[10, 0, 0, 0], [0, 0, 0, 0], [0, 0, 100, 0], [0, 0, 0, 200]]);
  const result = await occlusion(model, ndarray(red.data, red.shape), {
    target: 0,
    size: 2,
    stride: 2,
    baseline: [0, 0, 0],
  });
  // Pooled sums: 10 in the upper left; the pixel of 100 counts in all four corners' windows; 200 stands at the border.
  const pooled = (values: number[][]) => {
    const at = (y: number, x: number) => values[y]?.[x] ?? 0;
    const sum = (y: number, x: number) => at(y, x) + at(y, x + 1) + at(y + 1, x) + at(y + 1, x + 1);
    const pool = (y: number, x: number) => Math.max(sum(y, x), sum(y, x + 1), sum(y + 1, x), sum(y + 1, x + 1));
    return pool(0, 0) + pool(0, 2) + pool(2, 0) + pool(2, 2);
  };
  const whole = [[10, 0, 0, 0], [0, 0, 0, 0], [0, 0, 100, 0], [0, 0, 0, 200]];
  const without = (y: number, x: number) => whole.map((row) => [...row]).with(y, whole[y].with(x, 0));
  expect(pooled(whole)).toBe(100 + 100 + 100 + 300);
  const logits = [pooled(without(0, 0)), pooled(whole), pooled(whole), 10].map((sum) => 0.001 * sum);
  expect(worst(result.score.data, logits)).toBeLessThan(1e-6);
  expect(worst(result.probability.data, logits.map((z) => 1 / (1 + Math.exp(1 - z))))).toBeLessThan(1e-6);
  expect(result.unoccludedScore).toBeCloseTo(0.6, 6);
  expect(result.layer).toEqual({ name: "conv", channel: 0 });
  // The sums over the map of channel 0: each pixel counts in up to four windows.
  expect(result.unoccludedActivity).toBeCloseTo(10 + 4 * 100 + 4 * 200, 3);
  expect([...result.activity.data].map(Math.round)).toEqual([1200, 1210, 1210, 10]);
  model.dispose();
});

describe("one sigmoid unit", () => {
  test("tells two classes apart", async () => {
    const input = tf.input({ shape: [6, 6, 3] });
    const mean = tf.layers.globalAveragePooling2d({}).apply(
      tf.layers.conv2d({ filters: 2, kernelSize: 3, activation: "relu" }).apply(input),
    );
    const unit = tf.layers.dense({ units: 1, activation: "sigmoid" }).apply(mean as SymbolicTensor);
    const model = await loadModel(tf.model({ inputs: input, outputs: unit as SymbolicTensor }), {
      preprocess: "unit",
      labels: ["cat", "dog"],
    });
    const image = ndarray(Float32Array.from({ length: 108 }, (_, i) => (37 * i) % 256), [6, 6, 3]);
    const [cat, dog] = [
      await occlusion(model, image, { target: "cat", size: 2, stride: 2 }),
      await occlusion(model, image, { target: "dog", size: 2, stride: 2 }),
    ];
    expect(worst(cat.probability.data, dog.probability.data.map((p) => 1 - p))).toBeLessThan(1e-6);
    expect(worst(cat.score.data, dog.score.data.map((z) => -z))).toBeLessThan(1e-6);
    model.dispose();
  });
});

test("neither batches nor what is in them change the result; the baselines differ", async () => {
  const model = await waves();
  const image = ndarray(landscape().data, landscape().shape);
  const options = { target: 1, size: 8, stride: 3 };
  const first = await occlusion(model, image, { ...options, batchSize: 1 });
  const second = await occlusion(model, image, { ...options, batchSize: 50 });
  expect(worst(first.probability.data, second.probability.data)).toBeLessThan(1e-6);
  const maps = [];
  for (const baseline of ["grey", "zero", "mean", "blurred", "noise", [255, 0, 0]] as const) {
    maps.push((await occlusion(model, image, { ...options, baseline })).probability.data);
  }
  for (const [i, a] of maps.entries()) for (const b of maps.slice(0, i)) expect(worst(a, b)).toBeGreaterThan(1e-4);
  const again = await occlusion(model, image, { ...options, baseline: "noise" });
  expect([...again.probability.data]).toEqual([...maps[4]]);
  const other = await occlusion(model, image, { ...options, baseline: "noise", seed: 1 });
  expect(worst(other.probability.data, maps[4])).toBeGreaterThan(1e-4);
  // One number is a grey.
  const number = await occlusion(model, image, { ...options, baseline: 127.5 });
  expect([...number.probability.data]).toEqual([...maps[0]]);
  // An image stands in for itself: nothing changes.
  const same = await occlusion(model, image, { ...options, baseline: image });
  expect(worst(same.probability.data, same.probability.data.map(() => same.unoccluded))).toBeLessThan(1e-6);
  // A square of the image's own colour changes nothing either.
  const flat = ndarray(new Float32Array(32 * 32 * 3).fill(90), [32, 32, 3]);
  const none = await occlusion(model, flat, { ...options, baseline: "mean" });
  expect(worst(none.probability.data, none.probability.data.map(() => none.unoccluded))).toBeLessThan(1e-6);
  model.dispose();
});

test("several sizes and several images", async () => {
  const model = await waves();
  const image = ndarray(landscape().data, landscape().shape);
  const seen: [number, number][] = [];
  const all = await occlusion(model, image, {
    size: [8, 12],
    stride: 6,
    onProgress: (done, total) => seen.push([done, total]),
  });
  expect(all.maps.map(({ size, score }) => [size, ...score.shape])).toEqual([[8, 5, 5], [12, 5, 5]]);
  expect(all.probability).toBe(all.maps[0].probability);
  expect(all.rows).toHaveLength(50);
  expect(seen.at(-1)).toEqual([50, 50]);
  expect(seen.every(([done], i) => i === 0 || done > seen[i - 1][0])).toBe(true);
  const alone = await occlusion(model, image, { size: 12, stride: 6 });
  expect(worst(alone.probability.data, all.maps[1].probability!.data)).toBeLessThan(1e-6);
  const dark = ndarray(image.data.map((value) => value / 3), image.shape);
  const results = await occlusion(model, [image, dark], { size: 12, stride: 6 });
  expect(worst(results[0].probability.data, alone.probability.data)).toBe(0);
  expect(worst(results[1].probability.data, alone.probability.data)).toBeGreaterThan(0);
  expect(results[1].target.label).toBe(labels[results[1].target.index!]);
  const four = await occlusion(model, [image, dark], { size: [8, 12], stride: 12 });
  expect(Array.isArray(four)).toBe(true);
  const rows = await four.table();
  expect(rows.height).toBe(2 * (9 + 9));
  expect(rows.columns).toEqual(expect.arrayContaining(["image", "size", "y0", "x1"]));
  // A slider for each image, and every map's pointer marks the photo that stands beside it.
  for (const block of four.figure().blocks) {
    if (block.kind !== "slides") throw new Error(`a block of the kind ${block.kind}`);
    expect(block.frames.map(({ label }) => label)).toEqual(["8 pixels", "12 pixels"]);
    for (const { block: row } of block.frames) {
      const [photo, map] = (row as Row).blocks as Picture[];
      expect(map.marks!.on).toBe(photo);
    }
  }
  const table = await alone.table();
  expect(table.height).toBe(25);
  model.dispose();
});

describe("targets that are no class", () => {
  test("a unit's score is its activation with the square at each place", async () => {
    const model = await loadModel(await tinyNet(), { preprocess: "none" });
    const red = redImage([[10, 0, 0, 0], [0, 0, 0, 0], [0, 0, 100, 0], [0, 0, 0, 200]]);
    const seen: [number, number][] = [];
    const before = tf.memory().numTensors;
    const result = await occlusion(model, ndarray(red.data, red.shape), {
      target: { layer: "conv", channel: 0, cell: [2, 2] },
      size: 2,
      stride: 2,
      baseline: 0,
      onProgress: (done, total) => seen.push([done, total]),
    });
    expect(tf.memory().numTensors).toBe(before);
    // The unit adds up the red of the window with its corner at row 2, column 2: 100 + 200.
    expect(result.unoccluded).toBeCloseTo(300, 3);
    expect([...result.score.data].map(Math.round)).toEqual([300, 300, 300, 0]);
    expect([...result.map.data].map(Math.round).slice(-2)).toEqual([300, 300]);
    expect(result.target).toMatchObject({ layer: "conv", channel: 0, cell: [2, 2] });
    expect(result.rows.map(({ probability }) => probability)).toEqual([null, null, null, null]);
    expect(result.predicted.shape).toEqual([2, 2]);
    expect(seen.at(-1)).toEqual([8, 8]);
    expect(seen.every(([done], i) => i === 0 || done >= seen[i - 1][0])).toBe(true);
    const figure = result.figure();
    expect(figure.title).toMatch(/occlusion · conv, channel 0, row 2, column 2 \(300\)/);
    expect(figure.caption).toMatch(/Score: that of conv, channel 0, row 2, column 2, 300 without the square/);
    expect((await result.table()).height).toBe(4);
    model.dispose();
  });

  test("a function of the outputs equals the class that it picks", async () => {
    const model = await waves();
    const image = ndarray(landscape().data, landscape().shape);
    const options = { size: 10, stride: 6 };
    const open = await occlusion(model, image, { ...options, target: "open sea" });
    const picked = await occlusion(model, image, { ...options, target: (outputs) => outputs.slice([0, 2], [1, 1]) });
    expect(worst(picked.score.data, open.probability.data)).toBeLessThan(1e-5);
    expect(worst(picked.activity.data, open.activity.data)).toBeLessThan(1e-4);
    const two = await occlusion(model, [image, image], { ...options, target: (outputs) => outputs.max() });
    expect(two.figure().caption).toMatch(/the score without the square/);
    model.dispose();
  });
});

test("the map of pixels is the mean fall under the squares that cover each", async () => {
  const model = await waves();
  const result = await occlusion(model, ndarray(landscape().data, landscape().shape), { size: 10, stride: 10 });
  // Squares side by side: each pixel is covered once.
  const fall = (row: number, column: number) => result.unoccluded - result.probability.data[row * 4 + column];
  expect(result.probability.shape).toEqual([4, 4]);
  expect(result.map.data[0]).toBeCloseTo(fall(0, 0), 6);
  expect(result.map.data[15 * 32 + 31]).toBeCloseTo(fall(1, 3), 6);
  model.dispose();
});

describe("clear errors", () => {
  test("and nothing is left behind", async () => {
    const model = await waves();
    const image = ndarray(landscape().data, landscape().shape);
    const before = tf.memory().numTensors;
    const wrong: [Parameters<typeof occlusion>[2], RegExp][] = [
      [{ size: 33 }, /A square of 33 pixels is larger than the image as the model sees it, which has a side of 32/],
      [{ stride: 0 }, /stride must be a whole number of pixels ≥ 1: received 0/],
      [{ size: 2.5 }, /size must be a whole number of pixels ≥ 1: received 2.5/],
      [{ size: [] }, /size holds no number/],
      [{ target: "moonlit sea" }, /There is no label "moonlit sea" in model "waves". The nearest: "open sea"/],
      [{ target: 5 }, /classes 0 to 4: received the target 5/],
      [{ layer: "conv9" }, /There is no layer "conv9"/],
      [{ layer: "classes" }, /Layer "classes" puts out \[5\]; wanted a layer with maps/],
      [{ baseline: "gray" as "grey" }, /There is no baseline "gray"; wanted one of "grey"/],
      [{ baseline: [300, 0, 0] }, /A baseline colour is \[r, g, b\] or one number for a grey, each 0 to 255/],
      [{ baseline: 256 }, /each 0 to 255: received \[256\]/],
      [{ baseline: null as unknown as "grey" }, /There is no baseline null; wanted one of "grey"/],
      [{ batchSize: 0 }, /batchSize must be a whole number ≥ 1: received 0/],
    ];
    for (const [options, message] of wrong) {
      const error = await occlusion(model, image, options).catch((error) => error);
      expect(error).toBeInstanceOf(RangeError);
      expect(error.message).toMatch(message);
    }
    const controller = new AbortController();
    const aborted = occlusion(model, image, {
      size: 8,
      stride: 2,
      signal: controller.signal,
      onProgress: () => controller.abort(new Error("enough")),
    });
    await expect(aborted).rejects.toThrow("enough");
    expect(tf.memory().numTensors).toBe(before);
    const after = await occlusion(model, image, { size: 16, stride: 16 });
    expect(after.probability.shape).toEqual([2, 2]);
    model.dispose();
  });

  test("for what is no target, and for the probability of a target that is no class", async () => {
    const model = await waves();
    const image = ndarray(landscape().data, landscape().shape);
    const wrong = await occlusion(model, image, { target: null as unknown as string }).catch((error) => error);
    expect(wrong).toBeInstanceOf(TypeError);
    expect(wrong.message).toMatch(/A target is a label, an index, "predicted", .*received null/);
    const missing = await occlusion(model, image, { target: { layer: "conv9", channel: 1 } }).catch((error) => error);
    expect(missing.message).toMatch(/There is no layer "conv9"/);
    const result = await occlusion(model, image, { target: { layer: "conv1", channel: 1 }, size: 16, stride: 16 });
    expect(() => result.probability).toThrow(
      /The target conv1, channel 1, row .* is no class, so it has no probability/,
    );
    expect(() => result.figure({ show: "probability" })).toThrow(/is no class/);
    model.dispose();
  });

  test("for a model without maps", async () => {
    const net = tf.sequential({
      layers: [
        tf.layers.flatten({ inputShape: [8, 8, 3] }),
        tf.layers.dense({ units: 2, activation: "softmax" }),
      ],
    });
    const model = await loadModel(net, { preprocess: "none" });
    const error = await occlusion(model, ndarray(landscape().data, landscape().shape)).catch((error) => error);
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toMatch(/has no layer with maps, \[h, w, c\]; wanted a ConvNet/);
    model.dispose();
  });

  test("for models that read no images", async () => {
    const net = tf.sequential({ layers: [tf.layers.dense({ inputShape: [4], units: 2, activation: "softmax" })] });
    const model = await loadModel(net, { preprocess: "none" });
    const image = ndarray(landscape().data, landscape().shape);
    const error = await occlusion(model, image).catch((error) => error);
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toMatch(/reads numbers of shape \[4\]: received an array/);
    model.dispose();
  });
});

test("in a terminal a result prints what there is to know", async () => {
  const model = await waves();
  const result = await occlusion(model, ndarray(landscape().data, landscape().shape), { size: 8, stride: 4 });
  const text = Deno.inspect(result);
  expect(text).toMatch(/^waves · occlusion · .+ \(\d+\.\d %\) · array\n {2}8×8 square, 7×7 places: probability/);
  expect(result.figure().blocks).toHaveLength(2);
  expect(() => result.figure({ show: "logit" as "score" })).toThrow(
    /show must be "probability" or "score": received "logit"/,
  );
  model.dispose();
});

test("an aborted run leaves its map in the cell, as far as it was", async () => {
  const shown: string[] = [];
  const display = (bundle: Record<string, string>) => {
    shown.push(bundle["text/html"]);
    return Promise.resolve();
  };
  // The clock leaps at each batch, so that the map is painted.
  const now = performance.now.bind(performance);
  let leap = 0;
  vi.spyOn(performance, "now").mockImplementation(() => now() + leap);
  vi.stubGlobal("Deno", Object.create(Deno, { jupyter: { value: { display, broadcast: () => Promise.resolve() } } }));
  const model = await waves();
  try {
    const stop = new AbortController();
    const run = occlusion(model, ndarray(landscape().data, landscape().shape), {
      size: 8,
      stride: 2,
      batchSize: 1,
      signal: stop.signal,
      onProgress(done) {
        leap += 1100;
        if (done === 60) stop.abort(new Error("enough"));
      },
    });
    await expect(run).rejects.toThrow("enough");
  } finally {
    vi.unstubAllGlobals();
    vi.restoreAllMocks();
    model.dispose();
  }
  expect(shown.at(-1)).toMatch(/Occluding with waves · stopped after 60 of 169/);
  expect(shown.at(-1)).toMatch(/\d+ of 169 places, from coarse to fine/);
});
