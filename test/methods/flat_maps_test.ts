/** Maps without a peak (0 everywhere, nowhere above 0, not finite) say so and why, in every method and figure. */

import type { LayersModel } from "@tensorflow/tfjs";
import { beforeAll, describe, expect, test } from "vitest";
import { ndarray } from "../../lib/array.ts";
import { compare } from "../../lib/methods/compare.ts";
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
import { loadModel } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import type { Attribution } from "../../lib/results/attribution.ts";
import { flatMapOf } from "../../lib/results/attribution.ts";
import { ensureBackend, useBackend } from "../../lib/runtime/backend.ts";

const image = ndarray(Array.from({ length: 192 }, (_, i) => (i * 37) % 256), [8, 8, 3]);

/** A convolution with ReLU, averages, two classes: the weights of the convolution are all 0.1. */
async function net({ bias = 0, weight = 1 }: { bias?: number; weight?: number }): Promise<LayersModel> {
  const tf = await ensureBackend();
  const constant = (value: number) => tf.initializers.constant({ value });
  return tf.sequential({
    layers: [
      tf.layers.conv2d({
        name: "conv",
        inputShape: [8, 8, 3],
        filters: 4,
        kernelSize: 3,
        activation: "relu",
        kernelInitializer: constant(0.1),
        biasInitializer: constant(bias),
      }),
      tf.layers.globalAveragePooling2d({}),
      tf.layers.dense({ units: 2, kernelInitializer: constant(weight), activation: "softmax" }),
    ],
  });
}

const cam = (variant: "gradcam++" | "layercam" | "scorecam") => (model: Model) =>
  gradCam(model, image, { target: 1, variant });
const METHODS: Record<string, (model: Model) => Promise<Attribution>> = {
  saliency: (model) => saliency(model, image, { target: 1 }),
  signedSaliency: (model) => saliency(model, image, { target: 1, signed: true }),
  inputXGradient: (model) => inputXGradient(model, image, { target: 1 }),
  smoothGrad: (model) => smoothGrad(model, image, { target: 1, samples: 3 }),
  integratedGradients: (model) => integratedGradients(model, image, { target: 1, steps: 4 }),
  guidedBackprop: (model) => guidedBackprop(model, image, { target: 1 }),
  gradCam: (model) => gradCam(model, image, { target: 1 }),
  "gradCam++": cam("gradcam++"),
  layerCam: cam("layercam"),
  scoreCam: cam("scorecam"),
  deconvnet: (model) => deconvnet(model, image, { target: 1 }),
};

/** No ReLU fires; the layer speaks against the target; all is well. */
const models: Record<"dead" | "against" | "well", Model> = {} as never;
beforeAll(async () => {
  await useBackend("cpu");
  models.dead = await loadModel(await net({ bias: -1e6 }), { preprocess: "unit", name: "dead" });
  models.against = await loadModel(await net({ weight: -1 }), { preprocess: "unit", name: "against" });
  models.well = await loadModel(await net({}), { preprocess: "unit", name: "well" });
});

/** That a flat map says so in its own words, in its caption and on a sheet, and names no greatest place. */
function expectRemark(map: Attribution, wanted: RegExp): void {
  expect(map.remark).toMatch(wanted);
  const { text, caption } = map.figure();
  expect(caption).toContain(map.remark);
  expect(text).not.toMatch(/greatest at row/);
  expect(map.sheetRow().note).toContain(map.remark);
}

describe("attributions", () => {
  // What DeconvNet throws back does not depend on whether the ReLUs fired.
  test.each(Object.keys(METHODS).filter((name) => name !== "deconvnet"))(
    "%s: where no ReLU fires, the map is 0 everywhere, and says why",
    async (name) => {
      const why = /cam/i.test(name)
        ? /All maps of the layer are 0/
        : name === "guidedBackprop"
        ? /Nothing positive came back/
        : /does not change|no copy changes/;
      expectRemark(await METHODS[name](models.dead), new RegExp(`^The map is 0 everywhere\\. .*${why.source}`));
    },
  );

  test.each([
    ["gradCam", /0 everywhere.*nowhere above 0.*against the target/],
    ["gradCam++", /0 everywhere.*No gradient.*is positive/],
    ["layerCam", /0 everywhere.*No gradient.*is positive/],
    ["guidedBackprop", /0 everywhere.*Nothing positive/],
    ["deconvnet", /0 everywhere.*rectification/],
    ["inputXGradient", /nowhere above 0.*speaks for the target/],
    ["integratedGradients", /nowhere above 0.*speaks for the target/],
    ["signedSaliency", /nowhere above 0.*speaks for the target/],
  ])("%s: where all speaks against the target, the map says so", async (name, wanted) => {
    expectRemark(await METHODS[name](models.against), wanted);
  });

  test.each(Object.keys(METHODS))("%s: a map with a peak has no remark", async (name) => {
    const map = await METHODS[name](models.well);
    expect(map.remark).toBe("");
    expect(map.figure().text).toMatch(/greatest at row \d/);
  });

  test("an input of zeros, and a baseline that is the image itself, are named as the reason", async () => {
    const black = ndarray(new Float32Array(192), [8, 8, 3]);
    const lit = await loadModel(await net({ bias: 1 }), { preprocess: "unit" });
    expect((await inputXGradient(lit, black, { target: 1 })).remark).toMatch(/the network's input is 0/);
    expect((await integratedGradients(lit, black, { target: 1, baseline: "zero", steps: 4 })).remark).toMatch(
      /baseline is the image itself/,
    );
  });

  test("side by side each flat map says so", async () => {
    const maps = [await METHODS.saliency(models.against), await METHODS.gradCam(models.against)];
    const html = await compare(maps).figure().html();
    expect(html).toContain("The map is 0 everywhere.");
    expect(compare(maps).figure().text).toMatch(/Grad-CAM: .*0 everywhere/);
  });
});

describe("tests of maps", () => {
  test("faithfulness and report say whose pixels are in a random order", async () => {
    const maps = [await METHODS.saliency(models.against), await METHODS.gradCam(models.against)];
    const caption = (await faithfulness(models.against, image, maps, { steps: 4 })).figure().caption;
    expect(caption).toMatch(/The map of Grad-CAM is 0 everywhere: its pixels are in a random order/);
    expect(caption).not.toMatch(/The map of saliency/);
    const both = await report(models.against, image, [saliency, gradCam], { target: 1, steps: 4 });
    expect(both.figure().caption).toMatch(/The map of Grad-CAM is 0 everywhere/);
    expect(both.rows.map(({ passed }) => passed)[1]).toBe(false);
  });

  test("a map that had nothing to lose passes no sanity check", async () => {
    const check = await sanityCheck(models.dead, image, saliency, { target: 1 });
    expect(check.passed).toBe(false);
    expect(check.figure().title).toMatch(/fails: the trained model's map is 0 everywhere/);
    expect(check.figure().caption).toMatch(/The score does not change/);
  });
});

describe("occlusion", () => {
  test.each([["probability", 1], ["score", { layer: "conv", channel: 0, cell: [0, 0] as [number, number] }]] as const)(
    "says that the %s does not depend on what the square covers, and frames no place",
    async (what, target) => {
      const found = await occlusion(models.dead, image, { target, size: 3 });
      const { text, caption } = found.figure();
      expect(text).toMatch(new RegExp(`${what} .*the same at all places`));
      expect(text).not.toMatch(/lowest at/);
      expect(caption).toMatch(/the same at all places/);
      expect(await found.figure().html()).not.toContain("framed");
      const both = await occlusion(models.dead, [image, image], { target, size: 3 });
      expect(await both.figure().html()).toContain("the same at all places");
    },
  );

  test("says that nothing under the square speaks for the target", async () => {
    const found = await occlusion(models.against, image, {
      target: { sum: [[-1, { layer: "conv", channel: 0, cell: [2, 2] }]] },
      size: 2,
      baseline: "zero",
    });
    expect(found.figure().text).toMatch(/nowhere lower than without the square/);
  });
});

test("a map without a peak is found by its numbers", () => {
  const of = (...values: number[]) => flatMapOf(ndarray(values, [1, values.length]))?.text ?? "";
  expect(of(0, 0, 0)).toBe("is 0 everywhere");
  expect(of(-0, 0)).toBe("is 0 everywhere");
  expect(of(2, 2)).toBe("is the same, 2, everywhere");
  expect(of(-1, 0)).toBe("is nowhere above 0");
  expect(of(-1, -3)).toBe("is nowhere above 0");
  expect(of(1, NaN, Infinity)).toBe("has 2 values of 3 that are not finite");
  expect(of(-1, 1)).toBe("");
});
