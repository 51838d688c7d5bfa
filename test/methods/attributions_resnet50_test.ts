/** ResNet-50's dog: what a reader of the papers expects of each map. */

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import oracle from "../oracles/fixtures/gradients.json" with { type: "json" };
import type { NdArrayLike } from "../../lib/array.ts";
import { loadImage } from "../../lib/data/image.ts";
import { gradCam } from "../../lib/methods/grad_cam.ts";
import { guidedBackprop } from "../../lib/methods/guided_backprop.ts";
import { integratedGradients } from "../../lib/methods/integrated_gradients.ts";
import { saliency } from "../../lib/methods/saliency.ts";
import { loadModel } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import { doctor, useBackend } from "../../lib/runtime/backend.ts";
import { longTest } from "../long.ts";

const BULLDOG = 245;

/** Where the dog's head is in `dog_224.png`: rows and columns, the last not counted. */
const HEAD = { top: 15, bottom: 110, left: 30, right: 150 };

/** The share of a map that lies on the head, over the share of the picture that the head is. */
function concentration({ data, shape: [height, width] }: NdArrayLike): number {
  const { top, bottom, left, right } = HEAD;
  let inside = 0;
  let all = 0;
  data.forEach((value, i) => {
    const [y, x] = [Math.floor(i / width), i % width];
    all += value;
    if (y >= top && y < bottom && x >= left && x < right) inside += value;
  });
  return inside / all / ((bottom - top) * (right - left) / (height * width));
}

describe("ResNet-50's dog", () => {
  let model: Model;
  let dog: NdArrayLike;
  beforeAll(async () => {
    // Dozens of gradients: where TensorFlow itself is installed they take seconds.
    const { rows } = await doctor();
    if (rows.some(({ name, available }) => name === "tensorflow" && available)) await useBackend("tensorflow");
    model = await loadModel("resnet50");
    dog = await loadImage(new URL("../oracles/fixtures/dog_224.png", import.meta.url));
  }, 60_000);
  afterAll(() => model.dispose());

  test("the gradient of the probability is TensorFlow's, its colours turned to RGB", async () => {
    const { index, value, max } = oracle.resnet50;
    const { values } = await saliency(model, dog, { target: (outputs) => outputs.slice([0, BULLDOG], [1, 1]) });
    index.forEach((bgr, i) => {
      const rgb = bgr - bgr % 3 + 2 - bgr % 3;
      expect(Math.abs(values.data[rgb] - value[i])).toBeLessThan(1e-3 * max);
    });
  }, 60_000);

  longTest("the maps gather on the dog's head", async () => {
    const target = "French bulldog";
    const plain = await saliency(model, dog, { target });
    expect(plain.target.index).toBe(BULLDOG);
    expect(concentration(plain.map)).toBeGreaterThan(1.5);
    expect(concentration((await guidedBackprop(model, dog, { target })).map)).toBeGreaterThan(2);
    const cam = await gradCam(model, dog, { target });
    expect(cam.layer).toBe("activation_48");
    expect(cam.cam!.shape).toEqual([7, 7]);
    expect(concentration(cam.map)).toBeGreaterThan(1.5);
  }, 120_000);

  longTest(
    "integrated gradients miss the difference of the scores by less than 1 %, and the caption says so",
    async () => {
      const result = await integratedGradients(model, dog, { target: BULLDOG });
      const sum = result.values.data.reduce((a, b) => a + b, 0);
      const difference = sum - result.convergenceDelta!;
      expect(difference).toBeGreaterThan(15);
      expect(Math.abs(result.convergenceDelta!)).toBeLessThan(0.01 * difference);
      expect(result.figure().caption).toMatch(
        /miss the difference of the scores, 18\.\d+, by 0\.\d+ %\..* delta −?0\.\d+/,
      );
    },
    400_000,
  );
});
