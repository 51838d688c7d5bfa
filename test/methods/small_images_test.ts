/** Images too small for a network, and cells beyond its maps: each method says so, before anything is computed. */

import type { SymbolicTensor } from "@tensorflow/tfjs";
import { describe, expect, test } from "vitest";
import * as convlens from "../../mod.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { uniforms } from "../nets.ts";

const tf = await ensureBackend();
const { loadModel } = convlens;
const L = tf.layers;

/** Pixels drawn at random. */
function picture(height: number, width: number) {
  const random = uniforms(height * 100 + width);
  return {
    data: Float32Array.from({ length: height * width * 3 }, () => Math.floor(random() * 256)),
    shape: [height, width, 3],
  };
}

/** A network for images of any size, made of some layers and a head. */
async function anySize(layers: ((x: SymbolicTensor) => SymbolicTensor)[]) {
  const input = tf.input({ shape: [null, null, 3] });
  const maps = layers.reduce((x, apply) => apply(x), input);
  const mean = L.globalAveragePooling2d({} as never).apply(maps) as SymbolicTensor;
  const classes = L.dense({ units: 3, activation: "softmax" }).apply(mean) as SymbolicTensor;
  return await loadModel(tf.model({ inputs: input, outputs: classes, name: "net" }), { preprocess: "unit" });
}

const conv = (name: string, kernelSize: number, more = {}) => (x: SymbolicTensor) =>
  L.conv2d({ name, filters: 2, kernelSize, ...more }).apply(x) as SymbolicTensor;
const pool = (name: string, poolSize: number) => (x: SymbolicTensor) =>
  L.maxPooling2d({ name, poolSize }).apply(x) as SymbolicTensor;

describe("images smaller than a window", () => {
  const nested = () => {
    const inner = tf.sequential({ name: "inner" });
    inner.add(L.inputLayer({ inputShape: [null as never, null as never, 2] }));
    inner.add(L.averagePooling2d({ name: "mean", poolSize: [1, 3] }));
    return (x: SymbolicTensor) => inner.apply(x) as SymbolicTensor;
  };
  const cut = (x: SymbolicTensor) =>
    L.cropping2D({ name: "cut", cropping: [[2, 2], [0, 0]] } as never).apply(x) as SymbolicTensor;
  /** Halves and doubles its maps, and joins them with what they were: only even sides will do. */
  const joined = (x: SymbolicTensor) => {
    const half = pool("half", 2)(x);
    const whole = L.upSampling2d({ size: [2, 2] }).apply(half) as SymbolicTensor;
    return L.concatenate({ name: "join" }).apply([x, whole]) as SymbolicTensor;
  };
  const cases: [Parameters<typeof anySize>[0], size: [number, number], says: string, least: [number, number]][] = [
    [[conv("c", 3)], [1, 1], '"c" (Conv2D with windows of 3×3) is given 1×1×3: that is too small', [3, 3]],
    [[conv("a", 1), pool("p", 4)], [1, 1], '"p" (MaxPooling2D with windows of 4×4) is given 1×1×2', [4, 4]],
    [[conv("d", 3, { dilationRate: 4 })], [20, 8], '"d" (Conv2D with windows of 3×3, dilated by 4×4) is given', [
      20,
      9,
    ]],
    [[conv("a", 3), pool("p", 2), conv("b", 5)], [11, 40], '"b" (Conv2D with windows of 5×5) is given 4×19×2', [
      12,
      40,
    ]],
    [[conv("a", 1), cut], [4, 9], '"cut" (Cropping2D) is given 4×9×2', [5, 9]],
    [[conv("a", 1), nested()], [9, 2], '"inner/mean" (AveragePooling2D with windows of 1×3) is given 9×2×2', [9, 3]],
    [[joined], [7, 6], '"join" (Concatenate) is given 7×6×3 and 6×6×3: maps that differ in size', [8, 6]],
  ];
  for (const [layers, size, says, least] of cases) {
    test(`${says}, of an image of ${size.join("×")}`, async () => {
      const model = await anySize(layers);
      const error = await convlens.predict(model, picture(...size)).catch((error) => error);
      expect(error).toBeInstanceOf(RangeError);
      expect(error.message).toContain(`cannot take an image of ${size.join("×")}: its layer ${says}`);
      expect(error.message).toContain(`The least size that works, from this one on, is ${least.join("×")}.`);
      expect((await convlens.predict(model, picture(...least))).rows.every(({ probability }) => probability! > 0)).toBe(
        true,
      );
      model.dispose();
    });
  }

  test("in every method, and nothing is left behind", async () => {
    const model = await anySize([conv("c", 3), pool("p", 4)]);
    const image = picture(5, 30);
    const tensors = tf.memory().numTensors;
    const { saliency, gradCam, deconvnet, occlusion, activations, smoothGrad, integratedGradients, predict } = convlens;
    const { fool, robustness, transferability, universalPerturbation } = convlens;
    const labels = model.output.labels;
    const data = convlens.dataset([picture(20, 20), image].map((image, i) => ({ image, label: labels[i] })));
    const calls: Record<string, () => Promise<unknown>> = {
      saliency: () => saliency(model, image),
      smoothGrad: () => smoothGrad(model, image, { samples: 2 } as never),
      integratedGradients: () => integratedGradients(model, image),
      gradCam: () => gradCam(model, image),
      deconvnet: () => deconvnet(model, image),
      occlusion: () => occlusion(model, image, { size: 2 } as never),
      activations: () => activations(model, image, { layer: "c" }),
      fool: () => fool(model, image, { steps: 2 }),
      robustness: () => robustness(model, data, { onBadImage: "stop" }),
      transferability: () => transferability([model, model], data, { onBadImage: "stop" }),
      universalPerturbation: () => universalPerturbation(model, data, { onBadImage: "stop" }),
      predict: () => predict(model, [picture(20, 20), image]),
    };
    for (const [name, call] of Object.entries(calls)) {
      await expect(call(), name).rejects.toThrow('its layer "p" (MaxPooling2D with windows of 4×4) is given 3×28×2');
    }
    expect(tf.memory().numTensors).toBe(tensors);
    model.dispose();
  });
});

describe("a cell beyond the map", () => {
  test("is a RangeError, also where the map's size is known only with the image", async () => {
    const { saliency, gradCam, deconvnet, inputXGradient, guidedBackprop, integratedGradients, smoothGrad } = convlens;
    const model = await anySize([conv("c", 3), conv("e", 2, { strides: 2, padding: "same" })]);
    const image = picture(12, 10);
    const methods = { saliency, inputXGradient, guidedBackprop, integratedGradients, smoothGrad, deconvnet };
    for (const [name, method] of Object.entries(methods)) {
      const run = (layer: string, cell: [number, number]) =>
        (method as typeof saliency)(model, image, { target: { layer, channel: 1, cell } });
      for (const cell of [[0, 8], [10, 0], [2, 30], [-1, 0], [0.5, 0]] as [number, number][]) {
        await expect(run("c", cell), name).rejects.toThrow(RangeError);
        await expect(run("c", cell), name).rejects.toThrow(`has maps of 10×8 cells`);
      }
      await expect(run("e", [5, 3]), name).rejects.toThrow('Layer "e" has maps of 5×4 cells for this image');
      expect(Number.isFinite((await run("e", [4, 3])).score), name).toBe(true);
    }
    const direction = { layer: "e", direction: [1, 2], cell: [5, 0] as const };
    await expect(saliency(model, image, { target: direction })).rejects.toThrow("maps of 5×4 cells");
    await expect(saliency(model, image, { target: convlens.contrast({ layer: "e", channel: 0, cell: [0, 4] }, 1) }))
      .rejects.toThrow("maps of 5×4 cells");
    await expect(gradCam(model, image, { layer: "c", target: { layer: "e", channel: 0, cell: [9, 9] } }))
      .rejects.toThrow("maps of 5×4 cells");
    // Each image has maps of its own size.
    const targets = { target: { layer: "e", channel: 0, cell: [5, 0] as const } };
    await expect(saliency(model, [picture(14, 10), image], targets)).rejects.toThrow("maps of 5×4 cells");
    expect(await saliency(model, [picture(14, 10), picture(20, 20)], targets)).toHaveLength(2);
    model.dispose();
  });

  test("also after a resize: what counts is the size that the model sees", async () => {
    const input = tf.input({ shape: [8, 8, 3] });
    const maps = conv("c", 3)(input);
    const classes = L.dense({ units: 2 }).apply(L.flatten().apply(maps) as SymbolicTensor) as SymbolicTensor;
    const model = await loadModel(tf.model({ inputs: input, outputs: classes }), { preprocess: "unit" });
    const at = (cell: [number, number]) =>
      convlens.saliency(model, picture(40, 60), { target: { layer: "c", channel: 0, cell } });
    await expect(at([5, 6])).rejects.toThrow("maps of 6×6 cells");
    expect((await at([5, 5])).map.shape).toEqual([8, 8]);
    model.dispose();
  });
});
