/** checkInputs: what it finds, what it leaves open, and that it never takes a right preprocessing for a wrong one. */

import type { LayersModel } from "@tensorflow/tfjs";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { checkInputs, dataset, loadModel, type Model, photo, predict, type Preprocess } from "../../mod.ts";
import { type Candidate, candidatesFor, prepared } from "../../lib/model/candidates.ts";
import { type Evidence, judge, momentsToCheck, weighMoments } from "../../lib/model/preflight.ts";
import { storedMoments } from "../../lib/model/moments.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { long, longTest } from "../long.ts";
import { uniforms } from "../nets.ts";

const tf = await ensureBackend();
const L = tf.layers;
const SIDE = 12;

/** What is said in lines. */
const said = vi.spyOn(console, "log");
beforeEach(() => void said.mockReset());

/** Pictures with the colours of photographs: red before green before blue, patches before pixels. */
function pictures(count: number, channels = 3) {
  const next = uniforms(7);
  return Array.from({ length: count }, () => {
    const patch = Array.from({ length: 16 }, () => 255 * next());
    const data = Float32Array.from({ length: SIDE * SIDE * channels }, (_, i) => {
      const [cell, c] = [Math.floor(i / channels), i % channels];
      const lightness = patch[4 * Math.floor(cell / SIDE / 3) + Math.floor((cell % SIDE) / 3)];
      return Math.min(255, Math.max(0, 0.8 * lightness + 30 * next() + [20, 10, -15][c % 3]));
    });
    return { data, shape: [SIDE, SIDE, channels] };
  });
}

/** A convolution, a batch normalisation that has seen some images as a preprocessing makes them, and two classes. */
async function trained(how: Preprocess["mode"] | Partial<Preprocess>, channels = 3): Promise<LayersModel> {
  const network = tf.sequential({
    layers: [
      L.conv2d({
        inputShape: [SIDE, SIDE, channels],
        filters: 16,
        kernelSize: 3,
        kernelInitializer: tf.initializers.randomNormal({ seed: 3 }),
        name: "conv",
      }),
      L.batchNormalization({ name: "norm" }),
      L.reLU(),
      L.globalAveragePooling2d({} as never),
      L.dense({ units: 2, activation: "softmax", kernelInitializer: tf.initializers.randomNormal({ seed: 5 }) }),
    ],
  });
  const seen = await loadModel(network, { preprocess: how as never });
  const views = await Promise.all(pictures(6, channels).map((image) => seen.view(image)));
  tf.tidy(() => {
    const x = tf.stack(views.map((view) => tf.tensor(seen.input(view).data, view.shape as number[])));
    const { mean, variance } = tf.moments(network.layers[0].call(x, {}) as never, [0, 1, 2]);
    network.getLayer("norm").setWeights([tf.ones([16]), tf.zeros([16]), mean, variance]);
  });
  return network;
}

const wordsOf = (model: Model) => candidatesFor(model, 3)[0].words;

describe("by the moments of the first batch normalisation", () => {
  test.each(long(["caffe", "torch", "tf", "unit", "none"] as const, ["caffe"] as const))(
    "a network of %s is found out",
    async (mode) => {
      const network = await trained(mode);
      const images = pictures(7).slice(3);
      const right = await checkInputs(await loadModel(network, { preprocess: mode }), images);
      expect(right).toMatchObject({ verdict: "right", suggested: null, images: 4 });
      expect(right.rows[0]).toMatchObject({ current: true, fits: true });
      const other = mode === "unit" ? "none" : "unit";
      const wrong = await checkInputs(await loadModel(network, { preprocess: other }), images);
      expect(wrong.verdict).toBe("wrong");
      expect(wrong.suggested!.mode).toBe(mode);
      expect(wrong.rows[1].misfit!).toBeLessThan(0.1);
      expect(wrong.findings[0]).toMatchObject({ about: "preprocessing", sure: true });
      expect(wrong.findings[0].text).toContain(`preprocess: "${mode}"`);
      network.dispose();
    },
  );

  test("the suggested preprocessing is taken as it is, and fits then", async () => {
    const network = await trained({ mean: [127.5], deviation: [255] });
    const check = await checkInputs(await loadModel(network, { preprocess: "none" }), pictures(3));
    const better = await loadModel(network, { preprocess: check.suggested! });
    expect((await checkInputs(better, pictures(3))).verdict).toBe("right");
    network.dispose();
  });

  test("of twelve bands, and of grey pictures", async () => {
    for (const channels of [12, 1]) {
      const network = await trained("unit", channels);
      const check = await checkInputs(await loadModel(network, { preprocess: "none" }), pictures(4, channels));
      expect(check).toMatchObject({ verdict: "wrong", suggested: { mode: "unit" } });
      network.dispose();
    }
  });

  test("colours in the rarer order are no certain fault, and not called right", async () => {
    const network = await trained("caffe");
    const { order, mean } = { order: "rgb" as const, mean: [123.68, 116.779, 103.939] };
    const check = await checkInputs(await loadModel(network, { preprocess: { order, mean } }), pictures(3));
    expect(check.verdict).not.toBe("right");
    expect(check.suggested?.order).not.toBe("rgb");
    network.dispose();
  });

  test("a normalisation that was never trained says nothing", async () => {
    const network = await trained("tf");
    network.getLayer("norm").setWeights([tf.ones([16]), tf.zeros([16]), tf.zeros([16]), tf.ones([16])]);
    expect(await storedMoments(network)).toBeNull();
    const check = await checkInputs(await loadModel(network, { preprocess: "none" }), pictures(4));
    expect(check.rows.every(({ misfit }) => misfit === null)).toBe(true);
    expect(check.verdict).not.toBe("right");
    network.dispose();
  });

  test("an input made anew is what the other preprocessing makes", async () => {
    const network = await trained("tf");
    const from = await loadModel(network, { preprocess: "torch" });
    const view = await from.view(pictures(1)[0]);
    for (const { how } of candidatesFor(from, 3)) {
      const other = await loadModel(network, { preprocess: how });
      const made = prepared(from.input(view), from.preprocess, how);
      const wanted = other.input(view);
      made.data.forEach((value, i) => expect(Math.abs(value - wanted.data[i])).toBeLessThan(1e-3));
    }
    network.dispose();
  });
});

describe("one line", () => {
  test("of predict for grey pictures, of which loadModel knows nothing", async () => {
    const network = await trained("unit", 1);
    const model = await loadModel(network, { preprocess: "none" });
    expect(said).not.toHaveBeenCalled();
    await predict(model, pictures(1, 1)[0]);
    await predict(model, pictures(1, 1)[0]);
    expect(said.mock.calls).toEqual([[expect.stringContaining('Load it with preprocess: "unit"')]]);
    network.dispose();
  });

  test("of loadModel or predict, once a model, where it is sure; none where it fits", async () => {
    const network = await trained("tf");
    const [image] = pictures(6);
    const wrong = await loadModel(network, { preprocess: "none" });
    const lines = () => said.mock.calls.map(([line]) => String(line)).filter((line) => line.includes("does not fit"));
    // What loadModel has said, predict does not say again.
    expect(lines()).toEqual([expect.stringContaining('Load it with preprocess: "tf"')]);
    await predict(wrong, [image, image]);
    await predict(wrong, image);
    expect(lines()).toHaveLength(1);
    said.mockClear();
    await predict(await loadModel(network, { preprocess: "tf" }), image);
    expect(lines()).toEqual([]);
    network.dispose();
  });
});

/** Whether a picture is bright, by one threshold at 0.8: right only on pixels of 0 to 1. */
async function threshold(): Promise<Model> {
  const network = tf.sequential({
    layers: [
      L.averagePooling2d({ inputShape: [SIDE, SIDE, 3], poolSize: SIDE }),
      L.flatten(),
      L.dense({ units: 2, activation: "softmax", name: "classes" }),
    ],
  });
  network.getLayer("classes").setWeights([
    tf.tensor2d([[-4, 4], [-4, 4], [-4, 4]]),
    tf.tensor1d([9.6, -9.6]),
  ]);
  return await loadModel(network, { preprocess: "none", labels: ["dark", "bright"] });
}

test("by labels, where there is no batch normalisation", async () => {
  const next = uniforms(3);
  const items = Array.from({ length: 32 }, (_, i) => {
    const value = i % 2 ? 208 + 45 * next() : 120 + 70 * next();
    return {
      image: { data: new Float32Array(SIDE * SIDE * 3).fill(value).fill(value - 1, 9, 12), shape: [SIDE, SIDE, 3] },
      label: i % 2 ? "bright" : "dark",
    };
  });
  const model = await threshold();
  const check = await checkInputs(model, dataset(items, { name: "lights" }));
  expect(check).toMatchObject({ verdict: "wrong", suggested: { mode: "unit" } });
  expect(check.rows[0].accuracy).toBe(0.5);
  expect(check.rows[1].accuracy).toBe(1);
  const better = await loadModel(model, { preprocess: check.suggested! });
  expect(better).toMatchObject({ labels: model.labels, name: model.name, output: { kind: "classes" } });
  const unit = await checkInputs(better, dataset(items, { name: "lights" }));
  expect(unit.verdict).toBe("right");
});

test("a softmax twice, and pixels that are scaled twice", async () => {
  const network = tf.sequential({
    layers: [
      L.rescaling({ inputShape: [SIDE, SIDE, 3], scale: 1 / 255, name: "rescaling" }),
      L.flatten(),
      L.dense({ units: 4, activation: "softmax", name: "first" }),
      L.activation({ activation: "softmax", name: "second" }),
    ],
  });
  const check = await checkInputs(await loadModel(network, { preprocess: "unit" }), pictures(2));
  const about = (what: string) => check.findings.find((one) => one.about === what);
  expect(about("softmax")).toMatchObject({ sure: true, text: expect.stringContaining('"first" and "second"') });
  expect(about("scaling")).toMatchObject({ sure: true, text: expect.stringContaining('"rescaling"') });
  const fine = await checkInputs(await loadModel(network, { preprocess: "none" }), pictures(2));
  expect(fine.findings.map((one) => one.about)).toEqual(["softmax"]);
});

test("pixels of 0 to 1 where 0 to 255 are read are named", async () => {
  const network = await trained("tf");
  const small = pictures(2).map(({ data, shape }) => ({ data: data.map((value) => value / 255), shape }));
  const check = await checkInputs(await loadModel(network, { preprocess: "tf" }), small);
  expect(check.findings.find(({ about }) => about === "pixels")).toMatchObject({ sure: true });
  network.dispose();
});

/** Which candidate is suggested to a network in place of each; null where it is left open. */
async function suggestions(model: Model, names: readonly string[]): Promise<Map<Candidate, Candidate | null>> {
  const stored = (await momentsToCheck(model))!;
  const views = await Promise.all(names.map(async (name) => await model.view(await photo(name as "dog"))));
  const inputs = views.map((view) => model.input(view));
  const found: Evidence[] = [];
  for (const candidate of candidatesFor(model, model.inputShape[2]!)) {
    found.push({ candidate, ...await weighMoments(model, stored, inputs, candidate), right: null, gap: null });
  }
  return new Map(found.map((current) => {
    const { verdict, fits } = judge([current, ...found.filter((one) => one !== current)], stored.layer, true);
    return [current.candidate, verdict === "wrong" ? fits[0] : null];
  }));
}

describe("each wrong preprocessing of real networks", () => {
  longTest("ResNet-50: found, but for the order of colours", async () => {
    const model = await loadModel("resnet50");
    for (const photos of [["dog"], ["boats"], ["dog", "tabby", "beach", "biplane"]]) {
      const found = await suggestions(model, photos);
      const silent = [...found].filter(([, better]) => better === null).map(([{ name }]) => name);
      expect(silent.filter((name) => !name.startsWith("none"))).toEqual(["caffe", "caffe, RGB"]);
      for (const better of found.values()) expect([undefined, "caffe"]).toContain(better?.name);
    }
    expect(wordsOf(model)).toBe("BGR minus the ImageNet means");
    model.dispose();
  });
});

test("silent and saturated units, also inside of nested models", async () => {
  const inner = () => [
    L.conv2d({ inputShape: [SIDE, SIDE, 3], filters: 4, kernelSize: 3, activation: "relu", name: "silent" }),
    L.conv2d({ filters: 2, kernelSize: 1, activation: "sigmoid", name: "full" }),
  ];
  const head = () => [L.flatten(), L.dense({ units: 2, activation: "softmax" })];
  const flat = tf.sequential({ layers: [...inner(), ...head()] });
  const nested = tf.sequential({ layers: [tf.sequential({ layers: inner(), name: "body" }), ...head()] });
  for (
    const [network, body, prefix] of [[flat, flat, ""], [nested, nested.layers[0] as typeof flat, "body/"]] as const
  ) {
    body.getLayer("silent").setWeights([tf.zeros([3, 3, 3, 4]), tf.fill([4], -1)]);
    body.getLayer("full").setWeights([tf.zeros([1, 1, 4, 2]), tf.fill([2], 9)]);
    const model = await loadModel(network, { preprocess: "unit" });
    const { findings } = await checkInputs(model, pictures(4));
    expect(findings.filter(({ about }) => about === "units").map(({ text }) => text)).toEqual([
      `More than half of the channels put out nothing in 1 of 2 layers: ${prefix}silent (100 %), on all 4 images.`,
      "More than half of the numbers are at an end of their range, where nothing can be learned, in 1 of 2 layers: " +
      `${prefix}full (100 %), on all 4 images.`,
    ]);
    model.dispose();
  }
});
