/**
 * Every method's result for every kind of output: right, or one clear sentence; no bad number, and nothing called a class
 * or a probability that is none, in rows, text and HTML.
 */

import type { layers, LayersModel, SymbolicTensor, Tensor } from "@tensorflow/tfjs";
import { beforeAll, describe, expect, test } from "vitest";
import { ndarray } from "../../lib/array.ts";
import { dataset } from "../../lib/data/dataset.ts";
import type { Shown } from "../../lib/figure/figure.ts";
import { compare } from "../../lib/methods/compare.ts";
import { deadFilters } from "../../lib/methods/dead_filters.ts";
import { deconvnet } from "../../lib/methods/deconvnet.ts";
import { faithfulness } from "../../lib/methods/faithfulness.ts";
import { gradCam } from "../../lib/methods/grad_cam.ts";
import { guidedBackprop } from "../../lib/methods/guided_backprop.ts";
import { inputXGradient } from "../../lib/methods/input_x_gradient.ts";
import { integratedGradients } from "../../lib/methods/integrated_gradients.ts";
import { occlusion } from "../../lib/methods/occlusion.ts";
import { report } from "../../lib/methods/report.ts";
import { saliency } from "../../lib/methods/saliency.ts";
import { sanityCheck } from "../../lib/methods/sanity_check.ts";
import { smoothGrad } from "../../lib/methods/smooth_grad.ts";
import { strideDiagnosis } from "../../lib/methods/stride_diagnosis.ts";
import { loadModel } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import type { Target } from "../../lib/probe/target.ts";
import { ensureBackend, type TF, useBackend } from "../../lib/runtime/backend.ts";
import { ALL } from "../long.ts";

const image = ndarray(Array.from({ length: 432 }, (_, i) => (i * 37) % 256), [12, 12, 3]);
const labels = ["ant", "bee", "cow"];

let tf: TF;
let seed = 1;
const init = () => tf.initializers.glorotUniform({ seed: seed++ });

type Made = SymbolicTensor;

/** A small ConvNet; `end` makes its outputs of the last maps and of their means. */
function net(end: (means: Made, maps: Made) => Made | Made[]): LayersModel {
  const input = tf.input({ shape: [12, 12, 3] });
  const conv = (strides: number, x: Made) =>
    tf.layers.conv2d({
      filters: 6,
      kernelSize: 3,
      strides,
      activation: "relu",
      padding: "same",
      kernelInitializer: init(),
    })
      .apply(x) as Made;
  const maps = conv(1, conv(2, input));
  return tf.model({ inputs: input, outputs: end(tf.layers.globalAveragePooling2d({}).apply(maps) as Made, maps) });
}

type Activation = Parameters<typeof tf.layers.dense>[0]["activation"];
const dense = (units: number, activation: Activation | undefined, x: Made, bias = 0.5, name?: string) =>
  tf.layers.dense({
    units,
    activation,
    kernelInitializer: init(),
    biasInitializer: tf.initializers.constant({ value: bias }),
    ...name && { name },
  }).apply(x) as Made;
const average = (a: Made, b: Made) => (tf.layers.average() as layers.Layer).apply([a, b]) as Made;
const two = () => net((x) => [dense(3, "softmax", x, 0.5, "animal"), dense(1, undefined, x, 0.5, "age")]);

/** Each kind: the network, how it is loaded, and whether its numbers are probabilities. */
const KINDS: Record<string, { make: () => LayersModel; load?: object; probable: boolean }> = {
  "a softmax": { make: () => net((x) => dense(3, "softmax", x)), load: { labels }, probable: true },
  logits: { make: () => net((x) => dense(3, undefined, x)), load: { labels }, probable: true },
  "one sigmoid": { make: () => net((x) => dense(1, "sigmoid", x)), load: { labels: ["cat", "dog"] }, probable: true },
  labels: { make: () => net((x) => dense(3, "sigmoid", x)), load: { labels }, probable: true },
  "one number": { make: () => net((x) => dense(1, undefined, x, 5)), probable: false },
  "a number below 0": { make: () => net((x) => dense(1, undefined, x, -5)), probable: false },
  "four numbers": { make: () => net((x) => dense(4, undefined, x, 5)), probable: false },
  tanh: { make: () => net((x) => dense(2, "tanh", x)), probable: false },
  "the first of two outputs": { make: two, load: { labels }, probable: true },
  "the second of two outputs": { make: two, load: { output: "age" }, probable: false },
  "a nested head": {
    make: () =>
      net((x) =>
        tf.sequential({ layers: [tf.layers.dense({ inputShape: [6], units: 3, activation: "softmax" })] }).apply(
          x,
        ) as Made
      ),
    load: { labels },
    probable: true,
  },
  "a reshaped softmax": {
    make: () => net((x) => tf.layers.reshape({ targetShape: [3] }).apply(dense(3, "softmax", x)) as Made),
    load: { labels },
    probable: true,
  },
  "a mean of softmaxes": {
    make: () => net((x) => average(dense(3, "softmax", x), dense(3, "softmax", x))),
    load: { labels },
    probable: true,
  },
  maps: {
    make: () => net((_, maps) => tf.layers.conv2d({ filters: 2, kernelSize: 1 }).apply(maps) as Made),
    probable: false,
  },
};

/** What each method makes of a model, asked about a target. */
const METHODS: Record<string, (model: Model, target: Target) => Promise<Shown>> = {
  saliency: (model, target) => saliency(model, image, { target }),
  inputXGradient: (model, target) => inputXGradient(model, image, { target }),
  guidedBackprop: (model, target) => guidedBackprop(model, image, { target }),
  smoothGrad: (model, target) => smoothGrad(model, image, { target, samples: 2 }),
  integratedGradients: (model, target) => integratedGradients(model, image, { target, steps: 4 }),
  gradCam: (model, target) => gradCam(model, image, { target }),
  scoreCam: (model, target) => gradCam(model, image, { target, variant: "scorecam" }),
  deconvnet: (model, target) => deconvnet(model, image, { target }),
  occlusion: (model, target) => occlusion(model, image, { target, size: 4, stride: 4 }),
  compare: async (model, target) =>
    compare([await saliency(model, image, { target }), await gradCam(model, image, { target })]),
  faithfulness: async (model, target) =>
    faithfulness(model, image, await saliency(model, image, { target }), { target, steps: 3 }),
  report: (model, target) => report(model, image, [saliency, gradCam], { target, steps: 3 }),
  sanityCheck: (model, target) => sanityCheck(model, image, saliency, { target }),
  deadFilters: (model) => deadFilters(model, dataset([{ image, label: "ant" }])),
  strideDiagnosis: (model) => strideDiagnosis([model], dataset([{ image, label: "ant" }])),
};

/** Words that a person reads of a figure, without pictures and scripts. */
async function wordsOf(shown: Shown): Promise<string> {
  const figure = shown.figure();
  const html = (await figure.html()).replace(/<script[\s\S]*?<\/script>/g, "").replace(/base64,[\w+/=]+/g, "")
    .replace(/"halves":"[^"]*"/g, "").replace(/ (class|style)="[^"]*"/g, "");
  return `${figure.text}\n${html}`;
}

async function expectRight(shown: Shown, probable: boolean): Promise<void> {
  const words = await wordsOf(shown);
  expect(words).not.toMatch(/NaN|undefined|Infinity|\bnull\b/);
  const rows = "rows" in shown ? shown.rows as Record<string, unknown>[] : [];
  for (const row of rows) {
    for (const value of Object.values(row)) if (typeof value === "number") expect(value).toBeFinite();
    if (!probable) expect(Object.keys(row).join()).not.toMatch(/probabilit|predicted/i);
  }
  if (!probable) expect(words).not.toMatch(/\bclass(es)?\b|(?<!no )probabilit/i);
}

expect.extend({
  toBeFinite: (value: unknown) => ({
    pass: Number.isFinite(value),
    message: () => `expected a finite number: received ${value}`,
  }),
});
declare module "vitest" {
  interface Assertion {
    toBeFinite(): void;
  }
}

const kinds = Object.entries(KINDS).filter(([name]) => ALL || /^(one number|labels|maps)$/.test(name));

beforeAll(async () => {
  await useBackend("cpu");
  tf = await ensureBackend();
});

describe.each(kinds)("of %s", (name, { make, load, probable }) => {
  let model: Model;
  beforeAll(async () => {
    model = await loadModel(make(), { preprocess: "unit", name: "net", ...load });
  });

  test.each(Object.keys(METHODS))("%s is right, or says in one sentence what it takes", async (method) => {
    let shown: Shown;
    try {
      shown = await METHODS[method](model, "predicted");
    } catch (error) {
      const refused = name === "maps"
        ? /puts out \[6, 6, 2\].*Give a unit/
        : /mean|reshaped/.test(name)
        ? /(ReLUs|DeconvNet).*activation "?softmax/
        : name === "a number below 0"
        ? /has the value −\d.*above 0.*sum: \[\[-1/
        : null;
      if (!refused) throw error;
      expect((error as Error).message).toMatch(refused);
      return;
    }
    await expectRight(shown, probable);
  });
});

describe("what errors propose works", () => {
  test("maps: a unit and a function of the outputs are targets of all methods that take them", async () => {
    const model = await loadModel(KINDS.maps.make(), { preprocess: "unit" });
    const unit = { layer: model.output.layer, channel: 1, cell: [2, 3] as [number, number] };
    for (const [method, run] of Object.entries(METHODS)) {
      await expectRight(await run(model, unit), false).catch(fail(method));
    }
    const mean = (outputs: Tensor) => tf.add(tf.mean(outputs), 5);
    for (const method of ["saliency", "gradCam", "occlusion", "faithfulness", "report", "sanityCheck"]) {
      await expectRight(await METHODS[method](model, mean), false).catch(fail(method));
    }
    const watched = await occlusion(model, image, { target: mean, size: 4, stride: 4 });
    expect(watched.rows).toHaveLength(9);
    expect(() => watched.predicted).toThrow(/puts out maps/);
    await expect(deconvnet(model, image)).rejects.toThrow(/Give a unit \{ layer, channel, cell \} as the target\.$/);
  });

  test("a number below 0 turned around can be put to the tests", async () => {
    const model = await loadModel(KINDS["a number below 0"].make(), { preprocess: "unit" });
    await expectRight(await METHODS.faithfulness(model, { sum: [[-1, 0]] }), false);
    await expectRight(await METHODS.report(model, { sum: [[-1, "predicted"]] }), false);
  });

  /** Says which method it was. */
  function fail(method: string) {
    return (error: Error) => {
      throw new Error(`${method}: ${error.message}`, { cause: error });
    };
  }
});

describe("occlusion of numbers", () => {
  test("watches what the output does, by its index or as the largest", async () => {
    const model = await loadModel(net((x) => dense(4, undefined, x, 5)), { preprocess: "unit", name: "net" });
    const chosen = await occlusion(model, image, { target: 2, size: 4, stride: 4 });
    const full = await occlusion(model, image, {
      target: (outputs: Tensor) => tf.squeeze(tf.slice(outputs, [0, 2], [1, 1])),
      size: 4,
      stride: 4,
    });
    expect(chosen.target).toMatchObject({ kind: "number", index: 2, text: "output 2" });
    chosen.score.data.forEach((value, i) => expect(value).toBeCloseTo(full.score.data[i], 5));
    expect(chosen.unoccluded).toBeCloseTo(full.unoccluded, 5);
    expect(() => chosen.probability).toThrow(/output 2 is no probability; read its score/);
    // Two panels beside the photo: the activity and the score.
    const [row] = chosen.figure().blocks;
    expect(row.kind === "row" && row.blocks.length).toBe(3);
    const largest = await occlusion(model, image, { size: 4, stride: 4 });
    expect(largest.target.text).toMatch(/^output \d \(the largest of 4\)$/);
    const several = await occlusion(model, [image, image], { size: 4, stride: 4 });
    expect(several.figure().caption).toMatch(/score is lowest/);
  });

  test("labels are called labels", async () => {
    const model = await loadModel(net((x) => dense(3, "sigmoid", x)), { preprocess: "unit", labels });
    const found = await occlusion(model, image, { target: "bee", size: 4, stride: 4 });
    const words = await wordsOf(found);
    expect(words).toContain("most probable label");
    expect(words).not.toMatch(/\bclass(es)?\b/);
    expect(found.rows[0].predicted).toMatch(/ant|bee|cow/);
  });
});
