import { describe, expect, test } from "vitest";
import {
  activations,
  codes,
  compareModels,
  correspondence,
  dataset,
  deadFilters,
  deconvnet,
  evaluate,
  faithfulness,
  featureVisualization,
  filters,
  fool,
  gradCam,
  guidedBackprop,
  humanTrial,
  type Image,
  type ImageLike,
  inputXGradient,
  integratedGradients,
  invariance,
  invert,
  linearExplanation,
  linearProbes,
  loadModel,
  type Model,
  NdArray,
  occlusion,
  predict,
  report,
  saliency,
  sanityCheck,
  smoothGrad,
  train,
  universalPerturbation,
} from "../../mod.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { longTest } from "../long.ts";
import { uniforms } from "../nets.ts";

const tf = await ensureBackend();
const labels = ["a", "b", "c"];

/** A convolution, a pooling, a convolution, and three classes; `angle` joins before these. */
function network(shape: (number | null)[], { angle = false } = {}) {
  const image = tf.input({ shape, name: "image" });
  const first = tf.layers.conv2d({ name: "conv1", filters: 4, kernelSize: 3, padding: "same", activation: "relu" });
  const pool = tf.layers.maxPooling2d({ name: "pool", poolSize: 2 });
  const second = tf.layers.conv2d({ name: "conv2", filters: 5, kernelSize: 3, activation: "relu" });
  const mean = tf.layers.globalAveragePooling2d({ name: "mean" });
  const out = tf.layers.dense({ name: "out", units: 3, activation: "softmax" });
  type Symbol = ReturnType<typeof tf.input>;
  const maps = mean.apply(second.apply(pool.apply(first.apply(image)))) as Symbol;
  if (!angle) return tf.model({ inputs: image, outputs: out.apply(maps) as Symbol });
  const other = tf.input({ shape: [2], name: "angle" });
  const side = tf.layers.dense({ name: "side", units: 3, activation: "relu" }).apply(other) as Symbol;
  const joined = tf.layers.concatenate({ name: "join" }).apply([maps, side]) as Symbol;
  return tf.model({ inputs: [other, image], outputs: out.apply(joined) as Symbol });
}

const pixels = (seed: number, ...shape: number[]) => {
  const random = uniforms(seed);
  return new NdArray(Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => 255 * random()), shape);
};
type Given = ImageLike;

/** Networks by what they read, and two things to ask them about. */
const cases: Record<string, [net: ReturnType<typeof network>, Given, Given]> = {
  "1 channel": [network([12, 10, 1]), pixels(1, 12, 10, 1), pixels(2, 12, 10)],
  "1 channel, of colour": [network([12, 10, 1]), pixels(1, 12, 10, 3), pixels(2, 30, 20, 3)],
  "2 channels": [network([12, 10, 2]), pixels(1, 12, 10, 2), pixels(2, 12, 10, 2)],
  "4 channels": [network([12, 10, 4]), pixels(1, 12, 10, 4), pixels(2, 24, 20, 4)],
  "12 channels": [network([12, 10, 12]), pixels(1, 12, 10, 12), pixels(2, 12, 10, 12)],
  "any size": [network([null, null, 3]), pixels(1, 12, 14, 3), pixels(2, 12, 14, 1)],
  "two inputs": [
    network([12, 10, 3], { angle: true }),
    { image: pixels(1, 12, 10, 3), angle: [0.5, -1] },
    { image: pixels(2, 20, 20, 3), angle: new NdArray([2, 1], [2]) },
  ],
};
const models = new Map<string, Model>();
for (const [name, [net]] of Object.entries(cases)) models.set(name, await loadModel(net, { name, labels }));

type Shown = { figure(): unknown };
const methods: Record<string, (model: Model, a: Given, b: Given) => Promise<Shown>> = {
  predict: (model, a) => predict(model, a),
  "predict of several": (model, a, b) => predict(model, [a, b]),
  activations: (model, a) => activations(model, a, { layer: "conv1" }),
  correspondence: (model, a, b) => correspondence(model, a, b, { layer: "conv1" }),
  filters: (model) => filters(model, { layer: "conv1" }),
  saliency: (model, a) => saliency(model, a),
  inputXGradient: (model, a) => inputXGradient(model, a),
  guidedBackprop: (model, a) => guidedBackprop(model, a),
  smoothGrad: (model, a) => smoothGrad(model, a, { samples: 2 }),
  integratedGradients: (model, a) => integratedGradients(model, a, { steps: 4, baseline: "mean" }),
  gradCam: (model, a) => gradCam(model, a),
  "Score-CAM": (model, a) => gradCam(model, a, { variant: "scorecam" }),
  deconvnet: (model, a) => deconvnet(model, a, { target: { layer: "conv2", channel: 0 } }),
  occlusion: (model, a) => occlusion(model, a, { size: 4, stride: 4, baseline: "noise" }),
  "occlusion of a unit": (model, a) =>
    occlusion(model, a, { size: 4, stride: 6, target: { layer: "conv2", channel: 1 } }),
  invert: (model, a) => invert(model, a, { layers: ["conv1", "mean"], steps: 2, seeds: [0, 1] }),
  featureVisualization: (model) => featureVisualization(model, { target: { layer: "conv2", channel: 1 }, steps: 2 }),
  faithfulness: async (model, a) =>
    await faithfulness(model, a, await saliency(model, a), { steps: 3, baseline: "zero" }),
  sanityCheck: (model, a) => sanityCheck(model, a, saliency, { layers: ["conv2"] }),
  fool: (model, a) => fool(model, a, { steps: 2 }),
  "fool by DeepFool": (model, a) => fool(model, a, { method: "deepfool", steps: 2 }),
  "fool by evolution": (model, a) => fool(model, a, { method: "evolution", target: 1, steps: 1 }),
  linearExplanation: (model, a) => linearExplanation(model, a, { steps: 2, directions: 2 }),
  report: (model, a) => report(model, a, [saliency], { steps: 2, layers: ["conv2"], baseline: "grey" }),
};
const items = (a: Given, b: Given, count: number) =>
  dataset(Array.from({ length: count }, (_, i) => ({ image: (i % 2 ? a : b) as Image, label: labels[i % 3] })));
const onSets: typeof methods = {
  codes: (model, a, b) => codes(model, items(a, b, 4), { layer: "mean" }),
  deadFilters: (model, a, b) => deadFilters(model, items(a, b, 4)),
  invariance: (model, a, b) => invariance(model, items(a, b, 2), { transform: "noise", values: [0, 9] }),
  compareModels: (model, a, b) => compareModels(model, model, items(a, b, 8), { layers: ["mean"] }),
  humanTrial: async (model, a, b) => {
    const path = `${Deno.makeTempDirSync()}/answers.jsonl`;
    const trial = await humanTrial(model, items(a, b, 4), { training: 1, limit: 2, path });
    return { figure: () => trial.figure(), page: trial.pageData() };
  },
  linearProbes: (model, a, b) => linearProbes(model, items(a, b, 20), { layers: ["mean"] }),
  evaluate: (model, a, b) => evaluate(model, items(a, b, 6)),
  universalPerturbation: (model, a, b) => universalPerturbation(model, items(a, b, 6), { passes: 1 }),
  train: (model, a, b) => train(model, items(a, b, 6), { epochs: 1, batchSize: 3, validation: 0 }),
};

describe.each(Object.entries(cases))("%s", (name, [, a, b]) => {
  const model = models.get(name)!;

  longTest.each(Object.entries(methods))("%s", async (what, method) => {
    if (what === "featureVisualization" && model.inputs.length > 1) {
      return await expect(method(model, a, b)).rejects.toThrow('makes one image; "two inputs" reads 2 inputs');
    }
    const result = await method(model, a, b);
    const { text } = await result.figure() as { text: string };
    expect(text ?? JSON.stringify(result)).not.toMatch(/NaN|undefined/);
  });

  longTest.each(Object.entries(onSets))("%s of a data set", async (what, method) => {
    if (what === "train" && model.inputShape.includes(null)) {
      return await expect(method(model, a, b)).rejects.toThrow("train wants images of one size");
    }
    expect(JSON.stringify(await method(model, a, b))).not.toContain("NaN");
  });

  test("the gradient is that of the numbers put in", async () => {
    const view = await model.view(a);
    const { values, target } = await saliency(model, a, { target: 1 });
    expect(values.shape).toEqual(view.shape.at(-1) === 1 ? view.shape.slice(0, 2) : view.shape);
    expect(target.index).toBe(1);
    // Each way of giving it is the same network's own answer.
    const { rows } = await predict(model, a);
    const { data, shape, others = [null] } = model.input(view);
    const own = tf.tidy(() => {
      const x = others.map((other) => tf.tensor((other ?? { data }).data, [1, ...(other ?? { shape }).shape]));
      return (model.network.predict(x) as ReturnType<typeof tf.tensor>).dataSync();
    });
    for (const { index, probability } of rows) expect(probability).toBeCloseTo(own[index], 5);
  });
});

test("columns of a data set go to the inputs of their names", async () => {
  const model = models.get("two inputs")!;
  const [, given] = cases["two inputs"];
  const { image, angle } = given as unknown as { image: NdArray; angle: number[] };
  const [asRecord, asColumns] = await Promise.all(
    [{ image: given }, { image, angle }].map(async (item) => (await predict(model, dataset([item])))[0].rows),
  );
  expect(asColumns).toEqual(asRecord);
  expect((await predict(model, dataset([{ image, angle: [-0.5, 1] }])))[0].rows).not.toEqual(asRecord);
  await expect(predict(model, dataset([{ image }]))).rejects.toThrow(
    /received one thing only\. Give each .*; items of a data set may have them as columns/,
  );
  await expect(predict(model, dataset([{ image, angle: null }]))).rejects.toThrow(/"angle" is given null/);
});
