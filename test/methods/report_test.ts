import { afterAll, beforeAll, expect, test } from "vitest";
import { faithfulness } from "../../lib/methods/faithfulness.ts";
import { guidedBackprop } from "../../lib/methods/guided_backprop.ts";
import { integratedGradients } from "../../lib/methods/integrated_gradients.ts";
import { report } from "../../lib/methods/report.ts";
import { saliency } from "../../lib/methods/saliency.ts";
import { sanityCheck } from "../../lib/methods/sanity_check.ts";
import { loadModel } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { landscape, wavesNet } from "../nets.ts";

let model: Model;
beforeAll(async () => {
  model = await loadModel(await wavesNet(), { name: "waves", labels: ["a", "b", "c", "d", "e"] });
});
afterAll(() => model.dispose());

const steps = 8;

test("a row a method, and one for the random order, with the numbers of the single tests", async () => {
  const tf = await ensureBackend();
  const before = tf.memory().numTensors;
  const found = await report(model, landscape(), [saliency, integratedGradients, guidedBackprop], { steps });
  expect(tf.memory().numTensors).toBe(before);
  expect(found.rows.map(({ method }) => method)).toEqual([
    ...found.attributions.map(({ method }) => method),
    "random order",
  ]);
  const map = await saliency(model, landscape());
  const [blurred, grey] = (await faithfulness(model, landscape(), map, { steps })).rows;
  expect(found.rows[0].insertion).toBeCloseTo((blurred.insertion + grey.insertion) / 2, 5);
  expect(found.rows[0].deletion).toBeCloseTo((blurred.deletion + grey.deletion) / 2, 5);
  const check = await sanityCheck(model, landscape(), saliency);
  expect(found.rows[0].left).toBeCloseTo(check.score, 5);
  expect(found.rows[0].passed).toBe(check.passed);
  expect(found.rows.map(({ missed }) => missed === null)).toEqual([true, false, true, true]);
  expect(found.rows[1].missed).toBeLessThan(0.05);
  expect(found.rows[3]).toMatchObject({ left: null, passed: null });
  expect((await found.table()).height).toBe(4);
  const html = await found.figure().html();
  for (const words of ["guided backprop", "random order", "insertion ↑", "missed", "passes"]) {
    expect(html).toContain(words);
  }
});

test("methods may be named, and one may come twice", async () => {
  const methods = {
    "the gradient": saliency,
    "the signed gradient": (of: Model, image: never, options: object) =>
      saliency(of, image, { ...options, signed: true }),
  };
  const { rows } = await report(model, landscape(), methods as never, { steps, layers: ["classes"], target: "b" });
  expect(rows.map(({ method }) => method)).toEqual(["the gradient", "the signed gradient", "random order"]);
  await expect(report(model, landscape(), [saliency, saliency], { steps, layers: ["classes"] })).rejects.toThrow(
    'named "saliency"',
  );
});

test.each([
  [[], {}, "no method"],
  [["saliency"], {}, 'received "saliency"'],
  [[saliency], { layers: ["pool1"] }, "no weights"],
  [[saliency], { target: 9 }, "classes 0 to 4"],
  [[saliency], { baseline: ["blured"] }, 'There is no baseline "blured"'],
  [[saliency], { baseline: [] }, "baseline is empty"],
  [[saliency], { target: { layer: "conv9", channel: 1 } }, 'There is no layer "conv9"'],
  [[saliency], { steps: 0 }, "steps must be a whole number ≥ 1: received 0"],
  [saliency, {}, "wants attribution methods, as [saliency, gradCam]: received the function saliency"],
])("refuses methods %j with %j", async (methods, options, message) => {
  await expect(report(model, landscape(), methods as never, options as never)).rejects.toThrow(message);
});

test("a unit is a target, too: scores are shares, and only layers that lead to it are randomised", async () => {
  const result = await report(model, landscape(), [saliency], { steps, target: { layer: "conv1", channel: 1 } });
  expect(result.attributions[0].target).toMatchObject({ layer: "conv1", channel: 1 });
  expect(result.curves[0].score.at(-1)).toBeCloseTo(1, 6);
  expect(result.figure().caption).toContain("down to conv1 are randomised");
  expect(result.figure().caption).toContain("areas under the score");
});

test("an abort leaves no tensor", async () => {
  const tf = await ensureBackend();
  const before = tf.memory().numTensors;
  const abort = new AbortController();
  const { signal } = abort;
  const onProgress = (done: number) => done === 3 && abort.abort(new Error("enough"));
  await expect(report(model, landscape(), [saliency], { steps, signal, onProgress })).rejects.toThrow("enough");
  expect(tf.memory().numTensors).toBe(before);
});
