/** Arrays that are not what is wanted: each border says what it found and what it wants. */

import { expect, test } from "vitest";
import * as convlens from "../../mod.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { redImage, tinyNet } from "../nets.ts";

const tf = await ensureBackend();
const model = await convlens.loadModel(await tinyNet(), { preprocess: "unit" });
const image = redImage([[0, 10, 20, 30], [40, 50, 60, 70], [80, 90, 100, 110], [120, 130, 140, 255]]);

const wide = (shape: number[]) => ({ data: new Float64Array(shape.reduce((a, b) => a * b)), shape }) as never;
const short = (shape: number[]) => ({ data: new Float32Array(7), shape }) as never;
const { faithfulness, neighbors, occlusion, pca, predict, saliency, tsne } = convlens;

const errorOf = (run: Promise<unknown>): Promise<Error> =>
  run.then(() => new Error("there is no error"), (error) => error as Error);

const borders: Record<string, [shape: number[], use: (array: never) => Promise<unknown>]> = {
  "an image": [[4, 4, 3], (array) => predict(model, array)],
  "an image to explain": [[4, 4, 3], (array) => saliency(model, array)],
  "points of tsne": [[20, 5], (array) => tsne(array)],
  "points of pca": [[20, 5], async (array) => await pca(array)],
  "points of neighbors": [[20, 5], (array) => neighbors(array)],
  "a direction": [[2], (direction) => saliency(model, image, { target: { layer: "conv", direction } })],
  "a baseline": [[4, 4, 3], (baseline) => occlusion(model, image, { size: 2, baseline })],
  "a map": [[4, 4], (map) => faithfulness(model, image, { map } as never)],
};

for (const [name, [shape, use]] of Object.entries(borders)) {
  test(name, async () => {
    const size = shape.reduce((a, b) => a * b);
    const found = await errorOf(use(wide(shape)));
    expect(found.message).toContain(`{ data: Float64Array of ${size}, shape: [${shape.join(", ")}] }`);
    expect(["TypeError", "RangeError"]).toContain(found.constructor.name);
    await expect(use(short(shape))).rejects.toThrow(/received (7|a direction of 7 numbers)/);
    const tensor = tf.zeros(shape);
    await expect(use(tensor as never)).rejects.toThrow(`a tensor of shape [${shape.join(", ")}]`);
    tensor.dispose();
    for (const nothing of [null, 7n, {}, new Map()]) {
      const error = await errorOf(use(nothing as never));
      expect(error, String(nothing)).toBeInstanceOf(Error);
      expect(error.message, String(nothing)).not.toMatch(
        /there is no error|undefined|is not a function|Cannot read|not iterable/,
      );
    }
  });
}

test("images with other channels or axes", async () => {
  const of = (...shape: number[]) => ({ data: new Float32Array(shape.reduce((a, b) => a * b)).fill(9), shape });
  await expect(predict(model, of(4, 4, 4))).rejects.toThrow("has 4 channels. Drop the fourth channel, as");
  expect((await predict(model, of(4, 4))).rows).toEqual((await predict(model, of(4, 4, 3))).rows);
  await expect(predict(model, of(1, 4, 4, 3))).rejects.toThrow("received an array of shape [1, 4, 4, 3]");
  await expect(predict(model, of(0, 4, 3))).rejects.toThrow("received an array of shape [0, 4, 3]");
  await expect(predict(model, of(4, 4, 2))).rejects.toThrow(
    'reads 3 channels (RGB) a pixel; the image "array" has 2 channels.',
  );
});
