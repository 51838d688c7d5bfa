/** What errors propose as targets of other outputs works in every method that takes it; occlusion of numbers and labels. */

import type { LayersModel, SymbolicTensor, Tensor } from "@tensorflow/tfjs";
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
const dense = (units: number, activation: Activation | undefined, x: Made, bias = 0.5) =>
  tf.layers.dense({
    units,
    activation,
    kernelInitializer: init(),
    biasInitializer: tf.initializers.constant({ value: bias }),
  }).apply(x) as Made;

const NETS = {
  maps: () =>
    net((_, maps) =>
      tf.layers.conv2d({
        filters: 2,
        kernelSize: 1,
        kernelInitializer: init(),
        biasInitializer: tf.initializers.constant({ value: 5 }),
      }).apply(maps) as Made
    ),
  negative: () => net((x) => dense(1, undefined, x, -5)),
  labels: () => net((x) => dense(3, "sigmoid", x)),
  numbers: () => net((x) => dense(4, undefined, x, 5)),
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

/** That no number is a bad one, and nothing is called a class or a probability. */
async function expectRight(shown: Shown): Promise<void> {
  const words = await wordsOf(shown);
  expect(words).not.toMatch(/NaN|undefined|Infinity|\bnull\b/);
  const rows = "rows" in shown ? shown.rows as Record<string, unknown>[] : [];
  for (const row of rows) {
    for (const value of Object.values(row)) if (typeof value === "number") expect(value).toBeFinite();
    expect(Object.keys(row).join()).not.toMatch(/probabilit|predicted/i);
  }
  expect(words).not.toMatch(/\bclass(es)?\b|(?<!no )probabilit/i);
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

beforeAll(async () => {
  await useBackend("cpu");
  tf = await ensureBackend();
});

describe("what errors propose works", () => {
  test("maps: a unit and a function of the outputs are targets of all methods that take them", async () => {
    const model = await loadModel(NETS.maps(), { preprocess: "unit" });
    const unit = { layer: model.output.layer, channel: 1, cell: [2, 3] as [number, number] };
    for (const [method, run] of Object.entries(METHODS)) {
      await expectRight(await run(model, unit)).catch(fail(method));
    }
    const mean = (outputs: Tensor) => tf.add(tf.mean(outputs), 5);
    for (const method of ["saliency", "gradCam", "occlusion", "faithfulness", "report", "sanityCheck"]) {
      await expectRight(await METHODS[method](model, mean)).catch(fail(method));
    }
    const watched = await occlusion(model, image, { target: mean, size: 4, stride: 4 });
    expect(watched.rows).toHaveLength(9);
    expect(() => watched.predicted).toThrow(/puts out maps/);
    await expect(deconvnet(model, image)).rejects.toThrow(
      /Give a class at one cell, .* or a unit \{ layer, channel, cell \} as the target\.$/,
    );
  });

  test("a number below 0 turned around can be put to the tests", async () => {
    const model = await loadModel(NETS.negative(), { preprocess: "unit" });
    await expectRight(await METHODS.faithfulness(model, { sum: [[-1, 0]] }));
    await expectRight(await METHODS.report(model, { sum: [[-1, "predicted"]] }));
  });

  test("a number below 0 is put to the tests in its own unit", async () => {
    const model = await loadModel(NETS.negative(), { preprocess: "unit" });
    const map = await saliency(model, image);
    const found = await faithfulness(model, image, map, { steps: 2, baseline: "grey" });
    expect(found.curves[0].score.at(-1)).toBeCloseTo(map.score, 5);
    expect(found.curves[0].plain).toBe(true);
    expect(found.figure().caption).toMatch(/^Score itself of output 0 .* not above 0, so that no share/);
    await expectRight(found);
    await expectRight(await METHODS.report(model, 0));
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
    const model = await loadModel(NETS.numbers(), { preprocess: "unit", name: "net" });
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
    const model = await loadModel(NETS.labels(), { preprocess: "unit", labels });
    const found = await occlusion(model, image, { target: "bee", size: 4, stride: 4 });
    const words = await wordsOf(found);
    expect(words).toContain("most probable label");
    expect(words).not.toMatch(/\bclass(es)?\b/);
    expect(found.rows[0].predicted).toMatch(/ant|bee|cow/);
  });
});
