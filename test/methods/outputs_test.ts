/**
 * Every public method on every kind of output: the right numbers, or one clear sentence; NaN nowhere, and no number called a
 * class or a probability.
 */

import type { LayersModel, SymbolicTensor } from "@tensorflow/tfjs";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import {
  activations,
  alignImages,
  checkInputs,
  codes,
  compare,
  compareDirections,
  compareHumans,
  compareModels,
  correspondence,
  corruptionRobustness,
  type Dataset,
  dataset,
  deadFilters,
  deconvnet,
  directions,
  embeddingGrid,
  evaluate,
  faithfulness,
  featureHierarchy,
  featureVisualization,
  filters,
  fool,
  gradCam,
  guidedBackprop,
  humanTrial,
  inputXGradient,
  integratedGradients,
  invariance,
  invert,
  keypointProbes,
  linearExplanation,
  linearProbes,
  loadModel,
  matchAccuracy,
  type Model,
  neighbors,
  occlusion,
  type OutputWanted,
  partCorrespondence,
  pca,
  predict,
  report,
  robustness,
  saliency,
  sanityCheck,
  smoothGrad,
  strideDiagnosis,
  train,
  transferability,
  tsne,
  universalPerturbation,
} from "../../mod.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { ALL } from "../long.ts";
import { uniforms } from "../nets.ts";

const tf = await ensureBackend();
const L = tf.layers;
const SIDE = 12;

/** Weights that are always the same, more of them above 0 than below. */
const weights = (seed: number) => tf.initializers.randomUniform({ minval: -0.3, maxval: 0.7, seed });
const dense = (units: number, activation: "softmax" | "sigmoid" | "linear" | "tanh" | "relu", seed = 7) =>
  L.dense({ units, activation, kernelInitializer: weights(seed), biasInitializer: "ones", name: `head${seed}` });

/** A network of one convolution and what makes its outputs of its maps, `[5, 5, 4]`, and their means, `[4]`. */
function network(ends: (means: SymbolicTensor, maps: SymbolicTensor) => unknown): LayersModel {
  const input = tf.input({ shape: [SIDE, SIDE, 3] });
  const maps = L.conv2d({
    filters: 4,
    kernelSize: 3,
    strides: 2,
    activation: "relu",
    kernelInitializer: weights(1),
    name: "conv",
  }).apply(input) as SymbolicTensor;
  const means = L.globalAveragePooling2d({ name: "means" } as never).apply(maps) as SymbolicTensor;
  return tf.model({ inputs: input, outputs: ends(means, maps) as SymbolicTensor[] });
}

const apply = (layer: unknown, x: unknown) => (layer as ReturnType<typeof L.dense>).apply(x as SymbolicTensor);

/** A head of layers as a model of its own. */
function nested(...layers: unknown[]): unknown {
  const input = tf.input({ shape: [4] });
  return tf.model({ inputs: input, outputs: layers.reduce((x, layer) => apply(layer, x), input as unknown) as never });
}

interface Case {
  build: () => LayersModel;
  labels?: string[];
  output?: OutputWanted;
  /** `output.kind`, and what it comes from. */
  is: [kind: string, activation: string];
  /** Whether what is explained are logits. */
  logits: boolean;
}

const abc = ["ant", "bee", "cat"];
const cases: Record<string, Case> = {
  "classes": {
    build: () => network((x) => apply(dense(3, "softmax"), x)),
    labels: abc,
    is: ["classes", "softmax"],
    logits: true,
  },
  "logits": {
    build: () => network((x) => apply(dense(3, "linear"), x)),
    labels: abc,
    is: ["classes", "linear"],
    logits: true,
  },
  "binary": {
    build: () => network((x) => apply(dense(1, "sigmoid"), x)),
    labels: ["no", "yes"],
    is: ["binary", "sigmoid"],
    logits: true,
  },
  "labels": {
    build: () => network((x) => apply(dense(3, "sigmoid"), x)),
    labels: abc,
    is: ["labels", "sigmoid"],
    logits: true,
  },
  "one number": {
    build: () => network((x) => apply(dense(1, "linear"), x)),
    is: ["numbers", "linear"],
    logits: false,
  },
  "four numbers": {
    build: () => network((x) => apply(dense(4, "linear"), x)),
    is: ["numbers", "linear"],
    logits: false,
  },
  "tanh": { build: () => network((x) => apply(dense(1, "tanh"), x)), is: ["numbers", "tanh"], logits: false },
  "map": {
    build: () =>
      network((_, maps) =>
        apply(L.conv2d({ filters: 2, kernelSize: 1, activation: "sigmoid", kernelInitializer: weights(3) }), maps)
      ),
    is: ["map", "sigmoid"],
    logits: true,
  },
  "the second of two outputs": {
    build: () => network((x) => [apply(dense(3, "softmax"), x), apply(dense(2, "linear", 8), x)]),
    output: "head8",
    is: ["numbers", "linear"],
    logits: false,
  },
  "a nested head": {
    build: () => network((x) => apply(nested(dense(3, "softmax")), x)),
    labels: abc,
    is: ["classes", "softmax"],
    logits: true,
  },
  "a softmax, reshaped": {
    build: () => network((x) => apply(L.reshape({ targetShape: [3] }), apply(dense(3, "softmax"), x))),
    labels: abc,
    is: ["classes", "softmax"],
    logits: true,
  },
  "an average of softmaxes": {
    build: () => network((x) => apply(L.average(), [apply(dense(3, "softmax"), x), apply(dense(3, "softmax", 8), x)])),
    labels: abc,
    is: ["classes", "softmax"],
    logits: false,
  },
  // Only where all tests run.
  "the first of two outputs": {
    build: () => network((x) => [apply(dense(3, "softmax"), x), apply(dense(2, "linear", 8), x)]),
    labels: abc,
    is: ["classes", "softmax"],
    logits: true,
  },
  "a nested sigmoid, reshaped to one cell": {
    build: () => network((x) => apply(L.reshape({ targetShape: [1, 1, 1] }), apply(nested(dense(1, "sigmoid")), x))),
    is: ["binary", "sigmoid"],
    logits: true,
  },
  "an activation behind dropout": {
    build: () =>
      network((x) =>
        apply(L.dropout({ rate: 0.5 }), apply(L.activation({ activation: "softmax" }), apply(dense(3, "linear"), x)))
      ),
    labels: abc,
    is: ["classes", "softmax"],
    logits: true,
  },
  "sigmoids side by side": {
    build: () =>
      network((x) => apply(L.concatenate(), [apply(dense(1, "sigmoid"), x), apply(dense(2, "sigmoid", 8), x)])),
    labels: abc,
    is: ["labels", "sigmoid"],
    logits: true,
  },
  "softmaxes side by side": {
    build: () =>
      network((x) => apply(L.concatenate(), [apply(dense(2, "softmax"), x), apply(dense(2, "softmax", 8), x)])),
    is: ["numbers", "softmax"],
    logits: false,
  },
  "an average of sigmoids": {
    build: () => network((x) => apply(L.average(), [apply(dense(1, "sigmoid"), x), apply(dense(1, "sigmoid", 8), x)])),
    labels: ["dog"],
    is: ["binary", "sigmoid"],
    logits: false,
  },
  "means of maps of softmaxes": {
    build: () =>
      network((_, maps) =>
        apply(
          L.globalAveragePooling2d({} as never),
          apply(L.conv2d({ filters: 3, kernelSize: 1, activation: "softmax", kernelInitializer: weights(3) }), maps),
        )
      ),
    labels: abc,
    is: ["classes", "softmax"],
    logits: false,
  },
  "one cell of softmax": {
    build: () =>
      network((x) =>
        apply(
          L.softmax({ axis: -1 }),
          apply(L.permute({ dims: [2, 1] }), apply(L.reshape({ targetShape: [3, 1] }), apply(dense(3, "linear"), x))),
        )
      ),
    labels: abc,
    is: ["classes", "softmax"],
    logits: true,
  },
  "one rectified number": {
    build: () => network((x) => apply(L.reLU(), apply(dense(1, "linear"), x))),
    is: ["numbers", "relu"],
    logits: false,
  },
  "linear, called labels": {
    build: () => network((x) => apply(dense(3, "linear"), x)),
    output: "labels",
    is: ["labels", "linear"],
    logits: true,
  },
  "classes that are called numbers": {
    build: () => network((x) => apply(dense(3, "softmax"), x)),
    output: { kind: "numbers" },
    is: ["numbers", "softmax"],
    logits: false,
  },
};

/** The cases of a plain run. */
const SHORT = ["the second of two outputs", "map"];

const random = uniforms(5);
const picture = () => ({
  data: Float32Array.from({ length: SIDE * SIDE * 3 }, () => Math.round(255 * random())),
  shape: [SIDE, SIDE, 3],
});
const image = picture();
const images = (labels: readonly string[]): Dataset =>
  dataset(Array.from({ length: 24 }, (_, i) => ({ image: picture(), label: labels[i % labels.length] })), {
    name: "toys",
  });

/** A method, asked in its plainest way. */
type Ask = (model: Model, data: Dataset) => unknown;

const attributions = {
  saliency,
  inputXGradient,
  guidedBackprop,
  smoothGrad:
    ((model, image, options) =>
      smoothGrad(model, image as never, { samples: 3, ...options as object })) as typeof saliency,
  integratedGradients:
    ((model, image, options) =>
      integratedGradients(model, image as never, { steps: 8, ...options as object })) as typeof saliency,
  gradCam,
  deconvnet: deconvnet as unknown as typeof saliency,
} as Record<string, typeof saliency>;

const methods: Record<string, Ask> = {
  model: (model) => model,
  predict: (model) => predict(model, image),
  "predict of several": (model) => predict(model, [image, picture()]),
  "predict of a data set": (model, data) => predict(model, data),
  evaluate: (model, data) =>
    evaluate(model, data, {
      ...model.output.kind === "numbers" && { truth: ({ id }) => Array(model.output.count).fill(Number(id) % 5) },
      ...model.output.kind === "labels" && { truth: ({ id }) => [Number(id) % model.output.count] },
      ...model.output.kind === "map" && {
        truth: ({ id }) => ({ data: new Float32Array(50).fill(Number(id) % 2), shape: [5, 5, 2] }),
      },
    }),
  activations: (model) => activations(model, image, { layer: "conv" }),
  correspondence: (model) => correspondence(model, image, picture(), { layer: "conv", points: [[4, 5]] }),
  matchAccuracy: (model, data) => matchAccuracy(model, data, { layers: ["conv"], warps: ["rotation"] }),
  keypointProbes: (model) =>
    keypointProbes(
      model,
      dataset(
        [image, picture(), picture(), picture()].map((image) => ({ image, keypoints: { a: [4, 5], b: [7, 2] } })),
      ),
      { layers: ["conv"] },
    ),
  alignImages: (model, data) => alignImages(model, data, { layer: "conv" }),
  filters: (model) => filters(model, { layer: "conv" }),
  deadFilters: (model, data) => deadFilters(model, data),
  invariance: (model, data) =>
    invariance(model, data, { transform: ["rotation", "noise"], values: { rotation: [0, 40], noise: [20] } }),
  featureHierarchy: (model, data) => featureHierarchy(model, data, { units: 2 }),
  compareDirections: (model, data) =>
    compareDirections(model, data, { layer: "conv", kinds: ["units", "random"], count: 2, top: 2 }),
  directions: (model, data) => directions(model, data, { layer: "conv", kind: "principal", count: 2 }),
  checkInputs: (model, data) => checkInputs(model, data, { images: 2 }),
  partCorrespondence: (model) =>
    partCorrespondence(
      model,
      dataset([image, picture(), picture()].map((image) => ({ image, keypoints: { nose: [4, 5] } }))),
      { size: 3, random: 2 },
    ),
  codes: (model, data) => codes(model, data),
  "codes of the last layer": (model, data) => codes(model, data, { layer: model.layers.at(-1)!.name }),
  neighbors: async (model, data) => await neighbors(await codes(model, data), { k: 2 }),
  pca: async (model, data) => pca(await codes(model, data)),
  embeddingGrid: async (model, data) => {
    const found = await codes(model, data);
    return embeddingGrid(found, await tsne(found, { iterations: 20, perplexity: 3 }));
  },
  fool: (model) => fool(model, image, { steps: 2 }),
  "fool of an index": (model) => fool(model, image, { target: 0, method: "fgsm" }),
  linearExplanation: (model) => linearExplanation(model, image, { steps: 2, directions: 2 }),
  linearProbes: (model, data) => linearProbes(model, data, { embedding: "pca" }),
  strideDiagnosis: (model, data) => strideDiagnosis([model], data, { layers: ["conv", "conv"] as never }),
  ...Object.fromEntries(
    Object.entries(attributions).map(([name, method]): [string, Ask] => [name, (model) => method(model, image)]),
  ),
  "saliency of an index": (model) => saliency(model, image, { target: 0 }),
  "saliency of several": (model) => saliency(model, [image, picture()]),
  "gradCam++": (model) => gradCam(model, image, { variant: "gradcam++" }),
  layerCam: (model) => gradCam(model, image, { variant: "layercam" }),
  scoreCam: (model) => gradCam(model, image, { variant: "scorecam" }),
  occlusion: (model) => occlusion(model, image, { size: 6, stride: 3 }),
  "occlusion of several": (model) => occlusion(model, [image, picture()], { size: 6, stride: 6, target: 0 }),
  invert: (model) => invert(model, image, { layers: ["conv"], steps: 2, seeds: [0, 1] }),
  featureVisualization: (model) => featureVisualization(model, { steps: 2 }),
  "featureVisualization of a photo": (model) => featureVisualization(model, { steps: 2, image, target: "predicted" }),
  faithfulness: async (model) => faithfulness(model, image, await saliency(model, image), { steps: 4 }),
  sanityCheck: (model) => sanityCheck(model, image, saliency),
  report: (model) => report(model, image, [saliency, gradCam], { steps: 4 }),
  compare: async (model) => compare([await saliency(model, image), await gradCam(model, image)]),
  robustness: (model, data) => robustness(model, data, { epsilons: [0, 2], methods: ["pgd"], steps: 2 }),
  corruptionRobustness: (model, data) => corruptionRobustness(model, data, { corruptions: ["noise"], strengths: [20] }),
  compareModels: (model, data) => compareModels(model, model, data),
  compareHumans: async (model, data) => {
    const answer = { trial: "", person: "Ada", phase: "test", shown: "2026-11-30", seconds: 1 } as const;
    const items = await Array.fromAsync(data);
    return compareHumans({
      model,
      dataset: data,
      answers: items.slice(0, 6).map(({ id }) => ({ ...answer, image: id, labels: [model.output.labels[0]] })),
    });
  },
  humanTrial: (model, data) =>
    humanTrial(model, data, { training: 1, limit: 2, path: `${Deno.makeTempDirSync()}/answers.jsonl` }),
  transferability: (model, data) => transferability([model, model], data, { steps: 2 }),
  universalPerturbation: (model, data) => universalPerturbation(model, data, { passes: 1 }),
  train: (model, data) => train(model, data, { epochs: 1, live: false, validation: 0.25 }),
};

/** What asks a layer alone, whatever the head is; each is tried where the layers differ. */
const ABOUT_LAYERS =
  /^(linearProbes|neighbors|pca|embeddingGrid|strideDiagnosis|correspondence|matchAccuracy|keypointProbes|alignImages)$/;
const LAYERS_OF = ["classes", "binary", "map", "the second of two outputs", "a nested head"];

/** The words of a figure: its text and its page without markup, with what the hover and the alternative texts say. */
async function wordsOf(shown: { figure(): { text: string; title: string; caption: string; html(): Promise<string> } }) {
  const figure = shown.figure();
  const html = (await figure.html())
    .replace(/<(script|style)[\s\S]*?<\/\1>/g, " ")
    .replace(/data:[a-z/+]+;base64,[A-Za-z0-9+/=]+/g, " ")
    .replace(/\b(class|style|id|src|href|width|height)="[^"]*"/g, " ");
  return [figure.title, figure.caption, figure.text, html].join("\n");
}

/** What a result holds and shows. */
async function allOf(result: unknown): Promise<string> {
  const rows = (result as { rows?: object[] }).rows;
  const held = rows
    ? JSON.stringify(rows, (_, value) => typeof value === "number" && Number.isNaN(value) ? "NaN" : value)
    : "";
  return [held, await wordsOf(result as never)].join("\n");
}

/** What no method may say, in a result or an error. */
const NEVER = /\bNaN\b|undefined|\[object|−?Infinity|is not a function|is not iterable|Cannot read/;

/** What is said of numbers never; the classes of a data set are another thing. */
const PROBABLE = /\bclass(es)?\b|(?<!no )probabilit|likel/i;
const ABOUT_DATA = /^(linearProbes|codes|neighbors|pca|embeddingGrid|compareDirections|directions|featureHierarchy)/;

/** Which methods refuse which outputs, and how. */
function refusalOf(method: string, name: string, kind: string): RegExp | null {
  if (kind === "map" && method === "deconvnet") {
    return /puts out \[5, 5, 2\], not one number a class or output\. [A-Z]/;
  }
  const attacks = /^(robustness|corruptionRobustness|transferability|universalPerturbation)$/;
  if (attacks.test(method) && kind !== "classes" && kind !== "binary") {
    return /counts images whose class changes: the model "net" puts out .*\. Give one that tells classes apart/;
  }
  if (method === "compareHumans" && kind !== "classes" && kind !== "binary") {
    return /compares which class is named: the model "net" puts out .*\. Give one that tells classes apart/;
  }
  if (method === "humanTrial" && kind !== "classes" && kind !== "binary") {
    return /wants a model that tells classes apart, for people to name one of them: "net" puts out /;
  }
  if (method === "train" && kind !== "classes" && kind !== "binary") {
    return /puts out .*; the data set "toys" names one class an image, and no (value|labels|mask)\. [A-Z]/;
  }
  // They are defined for what leads to the logits.
  if (method === "guidedBackprop" && /average|softmaxes side|means of maps/.test(name)) {
    return /ReLUs alone: the layer "[^"]+" of "net" has the activation (softmax|sigmoid)/;
  }
  if (method === "deconvnet" && /average|side by side|means of maps/.test(name)) {
    return /DeconvNet rectifies|a target is found in feature maps/;
  }
  return null;
}

const softmax = (values: number[]) => {
  const shares = values.map(Math.exp);
  return shares.map((share) => share / shares.reduce((a, b) => a + b));
};
const sigmoid = (value: number) => 1 / (1 + Math.exp(-value));

/** What the network's numbers mean, written out once more. */
function meaning(kind: string, activation: string, values: number[]): number[] {
  if (kind === "numbers") return values;
  if (kind === "classes") return activation === "softmax" ? values : softmax(values);
  const each = activation === "sigmoid" ? values : values.map(sigmoid);
  return kind === "binary" ? [1 - each[0], each[0]] : each;
}

const chosen = Object.entries(cases).filter(([name]) => ALL || SHORT.includes(name));

describe.each(chosen)("%s", (name, { build, labels, output, is: [kind, activation], logits }) => {
  let model: Model;
  let data: Dataset;
  beforeAll(async () => {
    vi.spyOn(console, "log").mockImplementation(() => {});
    model = await loadModel(build(), { name: "net", labels, output, preprocess: "unit" });
    data = images(kind === "classes" || kind === "binary" ? model.output.labels : abc);
  });
  afterAll(() => {
    model.dispose();
    vi.restoreAllMocks();
  });

  test("is told from the graph", () => {
    expect(model.output).toMatchObject({ kind, activation, logits });
    expect(model.figure().caption).toContain(`Output: ${model.output.text}`);
  });

  // Maps are not predicted.
  if (kind !== "map") {
    test("predict, targets and scores agree with the network", async () => {
      const made = tf.tidy(() => model.network.predict(tf.div(tf.tensor(image.data, [1, SIDE, SIDE, 3]), 255)));
      const all = [made].flat();
      const truth = Array.from(await all[model.output.index].data());
      tf.dispose(all);
      const wanted = meaning(kind, activation, truth);
      const { rows } = await predict(model, image, { top: 9 });
      expect(rows).toHaveLength(wanted.length);
      for (const { index, label, probability, value } of rows) {
        expect(label).toBe(model.output.labels[index]);
        expect(kind === "numbers" ? value : probability).toBeCloseTo(wanted[index], 5);
        expect(kind === "numbers" ? probability : value).toBeUndefined();
      }
      const best = wanted.indexOf(Math.max(...wanted));
      const explained = await saliency(model, image);
      expect(explained.target.index).toBe(best);
      if (kind !== "numbers") {
        expect(rows[0].index).toBe(best);
        expect(explained.target.probability).toBeCloseTo(wanted[best], 5);
      } else expect(explained.target.probability).toBeUndefined();
      if (!logits) {
        // The score is the output itself, so its gradient is that of the output.
        expect(explained.score).toBeCloseTo(wanted[best], 5);
        const sign = kind === "binary" && best === 0 ? -1 : 1;
        const itself = await saliency(model, image, {
          target: (y) => tf.mul(sign, tf.slice(tf.reshape(y, [-1]), [kind === "binary" ? 0 : best], [1])),
        });
        itself.values.data.forEach((value, i) => expect(explained.values.data[i]).toBeCloseTo(value, 6));
      }
    });
  }

  const asked = Object.entries(methods).filter(([method]) => !ABOUT_LAYERS.test(method) || LAYERS_OF.includes(name));
  test.each(asked)("%s", async (method, ask) => {
    const refused = refusalOf(method, name, kind);
    const result = await Promise.resolve().then(() => ask(model, data)).catch((error) => error);
    if (refused) {
      expect(result).toBeInstanceOf(TypeError);
      const { message } = result as Error;
      expect(message).toMatch(refused);
      return expect(message).not.toMatch(NEVER);
    }
    if (result instanceof Error) throw result;
    const words = await allOf(result);
    expect(words).not.toMatch(NEVER);
    const says = /^predict/.test(method) ? model.outputs : [model.output];
    if (says.every((one) => one.kind === "numbers") && !ABOUT_DATA.test(method)) expect(words).not.toMatch(PROBABLE);
    if (
      model.network.outputs.length > 1 &&
      (method in attributions || /^(model|predict|evaluate|occlusion$|report)/.test(method))
    ) {
      expect(words).toContain(`of the output "${model.output.layer}"`);
    }
    if (kind !== "numbers" && !logits && method in attributions) {
      expect(words).toContain("The score is the probability itself");
    }
  });
});

test.runIf(ALL)(
  "whatever stands behind a softmax, its logits are explained as those of the plain network",
  async () => {
    const load = (name: string) => loadModel(cases[name].build(), { labels: cases[name].labels, preprocess: "unit" });
    for (
      const [plain, ...others] of [
        [
          "classes",
          "a nested head",
          "a softmax, reshaped",
          "an activation behind dropout",
          "one cell of softmax",
          "logits",
        ],
        ["binary", "a nested sigmoid, reshaped to one cell"],
      ]
    ) {
      const wanted = await saliency(await load(plain), image, { target: 0 });
      for (const other of others) {
        const found = await saliency(await load(other), image, { target: 0 });
        expect(found.score, other).toBeCloseTo(wanted.score, 5);
        expect(found.target.probability, other).toBeCloseTo(wanted.target.probability!, 5);
        found.values.data.forEach((value, i) => expect(value, other).toBeCloseTo(wanted.values.data[i], 5));
      }
    }
  },
);
