/** Attributions equal Captum's on networks of every kind, on every backend that is here. */

import { afterAll, describe, expect, test } from "vitest";
import { gradCam } from "../../lib/methods/grad_cam.ts";
import { guidedBackprop } from "../../lib/methods/guided_backprop.ts";
import { inputXGradient } from "../../lib/methods/input_x_gradient.ts";
import { integratedGradients } from "../../lib/methods/integrated_gradients.ts";
import { saliency } from "../../lib/methods/saliency.ts";
import { smoothGrad } from "../../lib/methods/smooth_grad.ts";
import { ensureBackend, useBackend } from "../../lib/runtime/backend.ts";
import type { Baseline } from "../../lib/probe/attribution/baseline.ts";
import type { Quadrature } from "../../lib/probe/attribution/quadrature.ts";
import { expectClose } from "../close.ts";
import { buildCaptumNet, captumNets, imageOf, inRgb, layerName } from "./captum_nets.ts";
import { testedBackends } from "../backends.ts";

// This suite goes through the backends itself.
const chosen = Deno.env.get("CONVLENS_BACKEND");
Deno.env.delete("CONVLENS_BACKEND");
afterAll(() => {
  if (chosen) Deno.env.set("CONVLENS_BACKEND", chosen);
});
const available = await testedBackends();

describe.each(available)("on %s", (backend) => {
  test.each(Object.keys(captumNets))("%s", async (name) => {
    await useBackend(backend);
    const tf = await ensureBackend();
    const net = captumNets[name];
    const image = imageOf(net);
    const { target } = net;
    const model = await buildCaptumNet(net, { softmax: true });
    const before = tf.memory().numTensors;

    const gradient = await saliency(model, image);
    expect(gradient.target.index).toBe(target);
    expect(gradient.score).toBeCloseTo(net.scores[target], 4);
    const sum = net.scores.reduce((sum, score) => sum + Math.exp(score), 0);
    expect(gradient.target.probability).toBeCloseTo(Math.exp(net.scores[target]) / sum, 5);
    expectClose(gradient.values.data, inRgb(net, net.saliency), "saliency");
    const product = await inputXGradient(model, image, { target });
    expectClose(product.values.data, inRgb(net, net.inputXGradient), "input × gradient");
    const guided = await guidedBackprop(model, image, { target });
    expectClose(guided.values.data, inRgb(net, net.guidedBackprop), "guided backprop");

    const { steps, ...integrals } = net.integratedGradients;
    for (const [how, wanted] of Object.entries(integrals)) {
      const [rule, name] = how.split(", ") as [Quadrature, string];
      const baseline = name === "black" ? 0 : name as Baseline;
      const { values } = await integratedGradients(model, image, { target, baseline, rule, steps, batchSize: 20 });
      expectClose(values.data, inRgb(net, wanted), `integrated gradients, ${how}`);
    }
    if (net.camLayer !== undefined) {
      const layer = layerName(net.camLayer);
      const { cam } = await gradCam(model, image, { target, layer });
      expectClose(cam!.data, net.gradCam!, "Grad-CAM");
      const layerCam = await gradCam(model, image, { target, layer, variant: "layercam" });
      expectClose(layerCam.cam!.data, net.layerCam!, "LayerCAM");
    }
    expect(tf.memory().numTensors).toBe(before);
    model.dispose();
  });
});

test.each(Object.keys(captumNets))("SmoothGrad of %s lies within the error of sampling", async (name) => {
  await useBackend(available.includes("tensorflow") ? "tensorflow" : "wasm");
  const net = captumNets[name];
  // Captum's network ends without a softmax.
  const model = await buildCaptumNet(net, { softmax: false });
  const samples = 200;
  const { values } = await smoothGrad(model, imageOf(net), {
    target: net.target,
    noise: net.smoothGrad.share,
    samples,
    batchSize: 100,
  });
  const mean = inRgb(net, net.smoothGrad.mean);
  const deviation = inRgb(net, net.smoothGrad.deviation);
  const floor = 1e-3 * Math.max(...mean.map(Math.abs));
  let squares = 0;
  mean.forEach((wanted, i) => {
    const error = Math.sqrt(deviation[i] ** 2 * (1 / samples + 1 / net.smoothGrad.samples) + floor ** 2);
    const distance = (values.data[i] - wanted) / error;
    squares += distance ** 2;
    expect(Math.abs(distance), `value ${i}`).toBeLessThan(5);
  });
  // All of them together neither too far nor, as from one stream of noise, too near.
  expect(squares / mean.length).toBeGreaterThan(0.2);
  expect(squares / mean.length).toBeLessThan(2);
  model.dispose();
});
