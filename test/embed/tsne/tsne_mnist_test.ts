import { expect } from "vitest";
import { principalComponents } from "../../../lib/embed/pca.ts";
import { nearestAccuracy, trustworthiness } from "../../../lib/embed/quality.ts";
import { embed } from "../../../lib/embed/tsne/tsne.ts";
import { mnist } from "../../mnist.ts";
import { oracle } from "../digits.ts";
import { longTest } from "../../long.ts";

longTest("a map of 10,000 images of MNIST is as good as openTSNE's", async () => {
  const wanted = (await oracle()).mnist;
  const { points: pixels, labels } = await mnist(10_000);
  const { points, explainedVariance } = principalComponents(pixels, { components: 50 });
  // The points are those of the oracle.
  expect(explainedVariance.length).toBe(wanted.explainedVariance.length);
  explainedVariance.forEach((value, c) => {
    expect(Math.abs(value / wanted.explainedVariance[c] - 1), `component ${c}`).toBeLessThan(1e-6);
  });
  const { points: map, klDivergence } = await embed(points);
  expect(klDivergence).toBeLessThan(1.01 * wanted.klDivergence);
  expect(trustworthiness(points, map, { sample: 10_000 })).toBeGreaterThan(wanted.trustworthiness - 0.002);
  expect(await nearestAccuracy(map, labels)).toBeGreaterThan(wanted.accuracy - 0.003);
});
