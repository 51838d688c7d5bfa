/** What every public function says of options that it does not know, and of arguments that are something else. */

import { describe, expect, test } from "vitest";
import { toImage } from "../lib/data/image.ts";
import { Activations } from "../lib/results/activations.ts";
import { Comparison } from "../lib/results/comparison.ts";
import { DeconvnetResult } from "../lib/results/deconvnet.ts";
import { Evaluation } from "../lib/results/evaluation.ts";
import { Filters } from "../lib/results/filters.ts";
import { Predictions } from "../lib/results/predictions.ts";
import { NearestNeighbors } from "../lib/results/neighbors.ts";
import { Occlusion } from "../lib/results/occlusion.ts";
import { Model } from "../lib/model/model.ts";
import { preprocessing } from "../lib/model/preprocess.ts";
import { readOptimizer } from "../lib/probe/training/optimizer.ts";
import { startSchedule } from "../lib/probe/training/schedule.ts";
import { runTraining } from "../lib/probe/training/train.ts";
import { resolveTarget } from "../lib/probe/target.ts";
import { History } from "../lib/results/history.ts";
import { TopPatches } from "../lib/results/top_patches.ts";
import * as mod from "../mod.ts";

// Whoever starts a backend before it has looked at its arguments fails with another error.
Deno.env.set("CONVLENS_BACKEND", "none of them");

/** A model with nothing behind it: whoever looks into it before the options fails with another error. */
const model = Object.create(Model.prototype) as Model;
const image = { data: new Float32Array(12), shape: [2, 2, 3] };
const points = { data: new Float32Array(8), shape: [4, 2] };
const dataset = {
  name: "unread",
  size: 1,
  [Symbol.asyncIterator](): never {
    throw new Error("The data set was read.");
  },
};
const patches = Object.create(TopPatches.prototype) as TopPatches;
const evaluation = Object.create(Evaluation.prototype) as Evaluation;
const history = Object.create(History.prototype) as History;

/** Of each function what stands before its options. */
const BEFORE: Record<string, readonly unknown[]> = {
  activations: [model, image],
  alexnet: [],
  alignImages: [model, dataset],
  catsVsDogsConvnet: [],
  checkInputs: [model, image],
  cifar10: [],
  codes: [model, dataset],
  compare: [[]],
  correspondence: [model, image, image],
  corruptionRobustness: [model, dataset],
  dataset: [[{ image: "dog.jpg" }]],
  deadFilters: [model, dataset],
  compareHumans: [{ model, dataset, answers: "answers.jsonl" }],
  compareModels: [model, model, dataset],
  compareDirections: [model, dataset],
  directions: [model, dataset],
  deconvnet: [model, image],
  embeddingGrid: [points, points],
  evaluate: [model, dataset],
  humanTrial: [model, dataset],
  imageAttributes: [dataset],
  faithfulness: [model, image, { map: points }],
  fashionMnist: [],
  featureEvolution: [history, dataset],
  featureHierarchy: [model, dataset],
  featureVisualization: [model],
  filters: [model],
  fool: [model, image],
  googlenet: [],
  gradCam: [model, image],
  guidedBackprop: [model, image],
  imageFolder: ["photos"],
  imageManifest: ["photos.csv"],
  inputXGradient: [model, image],
  integratedGradients: [model, image],
  lenet5: [],
  invert: [model, image],
  linearExplanation: [model, image],
  invariance: [model, image],
  keypointProbes: [model, dataset],
  linearProbes: [model, dataset],
  loadArray: ["maps.npz"],
  loadImage: ["dog.jpg"],
  loadModel: ["resnet50"],
  matchAccuracy: [model, dataset],
  mnist: [],
  mobilenetV2: [],
  neighbors: [points],
  occlusion: [model, image],
  partCorrespondence: [model, dataset],
  pca: [points],
  performanceBy: [evaluation, "label"],
  petFaces: [],
  photo: ["dog"],
  plate: [model, patches],
  predict: [model, image],
  receptiveFieldFigure: [model, image],
  report: [model, image, [mod.saliency]],
  resnet50: [],
  robustness: [model, dataset],
  saliency: [model, image],
  sanityCheck: [model, image, mod.saliency],
  smallZfnet: [],
  smoothGrad: [model, image],
  softmaxRegression: [],
  squeezenet: [],
  strideDiagnosis: [[model], dataset],
  tinyVgg: [],
  topPatches: [model, dataset],
  train: [model, dataset],
  transferability: [[model, model], dataset],
  tsne: [points],
  universalPerturbation: [model, dataset],
  vgg16: [],
  vgg19: [],
  worstSlices: [evaluation, []],
  zfnet: [],
};
const WITHOUT_OPTIONS = ["contrast", "doctor", "help", "loadCodes", "useBackend"];

const isClass = (value: unknown) => /^class\b/.test(String(value));
const call = async (name: string, ...args: unknown[]) =>
  await (mod as unknown as Record<string, (...args: unknown[]) => unknown>)[name](...args);
/** What a call that fails says. */
async function told(name: string, ...args: unknown[]): Promise<string> {
  const error = await call(name, ...args).then(() => new Error("It did not fail."), (error) => error);
  expect(error).toBeInstanceOf(TypeError);
  return (error as Error).message;
}

const PROMISE = "a promise (did you forget await?)";
const all = Object.entries(BEFORE);

test("every public function stands here", () => {
  const functions = Object.entries(mod).filter(([, value]) => typeof value === "function" && !isClass(value));
  expect(functions.map(([name]) => name).sort()).toEqual([...Object.keys(BEFORE), ...WITHOUT_OPTIONS].sort());
});

test.each(all)("%s tells of an unknown option before it does anything", async (name, before) => {
  const nonsense = new RegExp(`^${name} has no option "nonsense"\\. The nearest: "\\w+"`);
  expect(await told(name, ...before, { nonsense: 1 })).toMatch(nonsense);
});

test.each(all)("%s tells of options that are no object", async (name, before) => {
  for (const [wrong, kind] of [["dog", '"dog"'], [null, "null"], [Math.max, "the function max"]]) {
    const message = await told(name, ...before, wrong);
    expect(message).toContain(`${name} takes its options as one object, as { `);
    expect(message).toContain(`received ${kind}.`);
  }
});

test.each(all.filter(([, before]) => before[0] === model))("%s tells of what is no model", async (name, before) => {
  const wrong = [
    [undefined, "undefined"],
    [Promise.resolve(model), PROMISE],
    [{ predict() {}, layers: [] }, "a tf.LayersModel, which loadModel makes one of"],
    ["resnet50", '"resnet50"'],
    [image, "{ data: Float32Array of 12, shape: [2, 2, 3] }"],
  ];
  for (const [value, kind] of wrong) {
    expect(await told(name, value, ...before.slice(1))).toBe(
      `${name} wants a model, as await loadModel("resnet50") gives one: received ${kind}.`,
    );
  }
});

test.each(all.filter(([, before]) => before.includes(dataset)))("%s tells of what is no data set", async (
  name,
  before,
) => {
  for (const [value, kind] of [[undefined, "undefined"], [Promise.resolve(dataset), PROMISE]] as const) {
    const message = await told(name, ...before.map((argument) => argument === dataset ? value : argument));
    expect(message).toContain(`${name} wants a data set, `);
    expect(message).toContain(`received ${kind}.`);
  }
});

test.each(all.filter(([, before]) => before[0] === points))("%s tells of what are no points", async (name, before) => {
  expect(await told(name, Promise.resolve(points), ...before.slice(1))).toContain(`received ${PROMISE}.`);
});

describe("nearest options", () => {
  test("the one that was meant comes first", async () => {
    expect(await told("saliency", model, image, { taget: "dog" })).toBe(
      'saliency has no option "taget". The nearest: "target", "input", "signed", "signal", "batchSize", "onProgress", "onBadImage".',
    );
  });

  test("an option that is undefined is known all the same", async () => {
    expect(await told("tinyVgg", { seed: undefined, sed: undefined })).toContain(
      'no option "sed". The nearest: "seed"',
    );
  });
});

describe("options within options", () => {
  const nonsense = { nonsense: 1 } as never;
  const checks: [string, () => unknown][] = [
    ["optimizer sgd", () => readOptimizer({ kind: "sgd", ...nonsense as object })],
    ["optimizer adam", () => readOptimizer({ kind: "adam", ...nonsense as object })],
    ...(["constant", "step", "cosine", "plateau"] as const).map((kind): [string, () => unknown] => [
      `schedule ${kind}`,
      () => startSchedule({ kind, ...nonsense as object }, { epochs: 4, stepsPerEpoch: 1 }),
    ]),
    ["preprocess", () => preprocessing(nonsense)],
    ["target", () => resolveTarget(model, { layer: "conv", channel: 1, ...nonsense as object })],
  ];
  test.each(checks)("%s", (name, check) => {
    expect(check).toThrow(TypeError);
    expect(check).toThrow(`${name} has no option "nonsense".`);
  });

  test("augment", async () => {
    await expect(runTraining(model, dataset, { augment: nonsense })).rejects.toThrow(
      'augment has no option "nonsense". The nearest: ',
    );
  });

  test("adversarialTraining", async () => {
    await expect(runTraining(model, dataset, { adversarialTraining: nonsense })).rejects.toThrow(
      'adversarialTraining has no option "nonsense". The nearest: ',
    );
  });
});

describe("figure options", () => {
  test("of a wrong kind", () => {
    const activations = Object.create(Activations.prototype) as Activations;
    expect(() => activations.figure({ scale: "layers" as never })).toThrow('scale must be "channel" or "layer"');
    const map = { data: new Float32Array(4), shape: [2, 2] };
    const attribution = new mod.Attribution({
      method: "none",
      model: "none",
      name: "none",
      image,
      values: map,
      map,
      target: { text: "none" },
      score: 0,
      signed: false,
      paint: "map",
      about: "",
    });
    expect(() => attribution.figure({ opacity: 80 })).toThrow("opacity is a share from 0 to 1: received 80.");
  });

  const results = [
    Activations,
    mod.Attribution,
    Comparison,
    DeconvnetResult,
    Evaluation,
    Filters,
    History,
    NearestNeighbors,
    Occlusion,
    Predictions,
  ];
  test.each(results)(
    "%o",
    (Result) => {
      const result = Object.create(Result.prototype) as { figure(options: unknown): unknown };
      expect(() => result.figure({ nonsense: 1 })).toThrow(/^figure has no option "nonsense"\. The nearest: /);
      expect(() => result.figure("logit")).toThrow("figure takes its options as one object");
    },
  );
});

describe("images", () => {
  test.each([
    [Promise.resolve(image), "a promise (did you forget await?)"],
    [model, "an object of type Model"],
    [7, "7"],
    [undefined, "undefined"],
    [[image], "an array"],
    [{ data: [1, 2, 3], shape: [1, 1, 3] }, "{ data: Array of 3, shape: [1, 1, 3] }"],
  ])("%o is none", async (wrong, kind) => {
    const message = await toImage(wrong as never).catch((error) => `${error}`);
    expect(message).toMatch(/^TypeError: An image is what loadImage or photo gives/);
    expect(message).toContain(`received ${kind}.`);
  });
});
