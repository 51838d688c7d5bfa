import { expect, test } from "vitest";
import { oddPixels } from "../../lib/data/pixels.ts";
import { activations, dataset, Image, loadModel, predict, saliency } from "../../mod.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { uniforms } from "../nets.ts";

const tf = await ensureBackend();

/** An image whose pixels are spread evenly from one number to another. */
function between(least: number, most: number, channels = 3) {
  const random = uniforms(7);
  const data = Float32Array.from({ length: 64 * channels }, () => least + (most - least) * random());
  data.set([least, most]);
  return { data, shape: [8, 8, channels] };
}

test("what is odd about pixels, in a sentence", () => {
  const cases: [least: number, most: number, says: string][] = [
    [0, 1, "run from 0 to 1, and 0 to 255 is expected: multiply them by 255."],
    [-1, 1, "run from −1 to 1, and 0 to 255 is expected: take (pixel + 1) × 127.5."],
    [-123, 151, "run from −123 to 151, and 0 to 255 is expected."],
    [0, 65535, "run from 0 to 65500, and 0 to 255 is expected."],
    [3, 3, "All pixels of the image are alike (3)."],
  ];
  for (const [least, most, says] of cases) {
    for (const channels of [1, 3]) expect(oddPixels(between(least, most, channels), true)).toContain(says);
  }
  for (const [least, most] of [[0, 255], [10, 20], [0, 2], [254, 255]]) {
    expect(oddPixels(between(least, most), true)).toBe("");
  }
  expect(oddPixels(between(-1, 1), false), "a network that is given pixels as they are").toBe("");
  const red = { data: Float32Array.from({ length: 192 }, (_, i) => i % 3 ? 0 : 255), shape: [8, 8, 3] };
  expect(oddPixels(red, false)).toContain("alike (255, 0)");
});

test("figures say it once, errors only where no image is meant", async () => {
  const network = tf.sequential({
    layers: [
      tf.layers.conv2d({ inputShape: [8, 8, 3], filters: 2, kernelSize: 3, name: "c" }),
      tf.layers.flatten(),
      tf.layers.dense({ units: 2, activation: "softmax" }),
    ],
  });
  const model = await loadModel(network);
  const wrong = between(0, 1);
  const says = "The pixels of the image run from 0 to 1, and 0 to 255 is expected";
  for (
    const result of [
      await predict(model, wrong),
      await saliency(model, wrong),
      await activations(model, wrong, { layer: "c" }),
    ]
  ) {
    expect(result.figure().text.split(says).length - 1, result.constructor.name).toBe(1);
  }
  expect((await predict(model, between(0, 255))).figure().text).not.toContain("expected");
  // Brought to the model's size: what counts is what was given.
  const large = { data: Float32Array.from({ length: 300 }, (_, i) => i / 299), shape: [10, 10, 3] };
  expect((await predict(model, large)).figure().text).toContain(says);

  const lines: unknown[] = [];
  const { log } = console;
  console.log = (line) => lines.push(line);
  try {
    const images = [between(0, 255), wrong, between(0, 1)];
    await predict(
      model,
      dataset(images.map((image, i) => ({ id: `i${i}`, image: new Image(image, { name: "x", source: "x" }) }))),
    );
  } finally {
    console.log = log;
  }
  expect(lines).toHaveLength(1);
  expect(lines[0]).toContain(`2 of 3 images of`);
  expect(lines[0]).toContain(`as "i1". ${says}`);

  for (const value of [1e6, -1e6, NaN, Infinity]) {
    await expect(predict(model, between(0, value)), String(value)).rejects.toThrow(RangeError);
  }
  model.dispose();
});
