/** Zeiler and Fergus's statistic of parts: against a loop written here, on paper, and what it must find. */

import { afterAll, describe, expect, test } from "vitest";
import { loadModel, type Model, NdArray, partCorrespondence, type Tensor } from "../../mod.ts";
import { dataset } from "../../lib/data/dataset.ts";
import { pairMean } from "../../lib/embed/pairs.ts";
import { pointInView } from "../../lib/methods/shared/keypoints.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { uniforms, wavesNet } from "../nets.ts";

const tf = await ensureBackend();
const models: Model[] = [];
afterAll(() => models.forEach((model) => model.dispose()));
const waves = async () => {
  const model = await loadModel(await wavesNet(), { preprocess: "none", name: "waves" });
  models.push(model);
  return model;
};

const SIDE = 32;

/** A face: noise with a bright ring of an eye at a place and a dark nose at another. */
function faceAt(eye: [number, number], nose: [number, number], seed: number) {
  const random = uniforms(seed);
  const near = (y: number, x: number, [cy, cx]: [number, number]) => Math.hypot(y - cy, x - cx);
  const data = Float32Array.from({ length: SIDE * SIDE * 3 }, (_, i) => {
    const [y, x] = [Math.floor(i / SIDE / 3), Math.floor(i / 3) % SIDE];
    if (near(y, x, eye) < 4) return near(y, x, eye) < 2 ? 255 : 0;
    if (near(y, x, nose) < 3) return 10;
    return 110 + 40 * random();
  });
  return { image: new NdArray(data, [SIDE, SIDE, 3]), keypoints: { eye, nose } };
}

const faces = [
  faceAt([9, 9], [22, 16], 1),
  faceAt([10, 8], [21, 17], 2),
  faceAt([8, 10], [23, 15], 3),
  faceAt([9, 8], [22, 17], 4),
];

describe("equals a loop written in the test", () => {
  test("parts, layer by layer", async () => {
    const model = await waves();
    const size = 7;
    const { rows } = await partCorrespondence(model, dataset(faces), { layers: ["pool1", "flat"], size, random: 1 });
    for (const layer of ["pool1", "flat"]) {
      const net = tf.model({
        inputs: model.network.inputs,
        outputs: model.network.getLayer(layer).output as never,
      });
      const codeOf = async (data: Float32Array) => {
        const code = tf.tidy(() => net.predict(tf.tensor(data, [1, SIDE, SIDE, 3]))) as Tensor;
        const values = await code.data() as Float32Array;
        code.dispose();
        return values;
      };
      for (const part of ["eye", "nose"] as const) {
        const signs = await Promise.all(faces.map(async ({ image, keypoints: { [part]: [cy, cx] } }) => {
          const masked = image.data.slice();
          for (let y = cy - 3; y <= cy + 3; y++) {
            for (let x = cx - 3; x <= cx + 3; x++) {
              for (let c = 0; c < 3; c++) if (y < SIDE && x < SIDE) masked[(y * SIDE + x) * 3 + c] = 127.5;
            }
          }
          const [code, changed] = [await codeOf(image.data), await codeOf(masked)];
          const largest = Math.max(...code.map(Math.abs));
          return Array.from(code, (value, i) => {
            const change = value - changed[i];
            return Math.abs(change) < 1e-6 * largest ? 0 : change > 0 ? 1 : -1;
          });
        }));
        let [sum, pairs] = [0, 0];
        for (let a = 0; a < 4; a++) {
          for (let b = 0; b < 4; b++) {
            if (a === b) continue;
            sum += signs[a].filter((sign, i) => sign !== signs[b][i]).length / signs[a].length;
            pairs++;
          }
        }
        const row = rows.find((one) => one.layer === layer && one.part === part)!;
        expect(row.distance).toBeCloseTo(sum / pairs, 4);
        expect(row).toMatchObject({ images: 4, pairs: 6 });
        expect(row.low).toBeLessThanOrEqual(row.distance);
        expect(row.high).toBeGreaterThanOrEqual(row.distance);
      }
    }
  });
});

describe("what must be so", () => {
  test("on paper: four pixels, one channel", async () => {
    // The code is the image itself; the square of one pixel becomes 100.
    const net = tf.sequential({
      layers: [
        tf.layers.conv2d({ name: "same", inputShape: [2, 2, 1], filters: 1, kernelSize: 1, useBias: false }),
        tf.layers.flatten({ name: "flat" }),
        tf.layers.dense({ units: 2, activation: "softmax" }),
      ],
    });
    net.getLayer("same").setWeights([tf.ones([1, 1, 1, 1])]);
    const model = await loadModel(net, { preprocess: "none", name: "paper" });
    models.push(model);
    const items = [[150, 0, 0, 0], [200, 0, 0, 0], [50, 0, 0, 0]].map((values) => ({
      image: new NdArray(values, [2, 2, 1]),
      keypoints: { dot: [0, 0], corner: [1, 1] },
    }));
    const { rows } = await partCorrespondence(model, dataset(items), {
      layer: "same",
      size: 1,
      baseline: 100,
      random: 3,
    });
    // Signs at the dot: +, +, −; nothing else changes. One of four numbers differs in two of three pairs.
    expect(rows[0]).toMatchObject({ part: "dot", layer: "same", pairs: 3 });
    expect(rows[0].distance).toBeCloseTo(2 / 12, 9);
    // All corners change alike.
    expect(rows[1]).toMatchObject({ part: "corner", distance: 0, low: 0, high: 0 });
    expect(rows[2].part).toBe("random");
    expect(rows[1].difference).toBeCloseTo(-rows[2].distance, 9);
  });

  test("a part that is alike in all images changes codes more alike than places at random", async () => {
    const { rows } = await partCorrespondence(await waves(), dataset(faces), { layers: ["conv1"], random: 6 });
    const eye = rows.find(({ part }) => part === "eye")!;
    expect(eye.differenceHigh).toBeLessThan(0);
  });

  test("repeats with its seed; the figure stands beside the paper's table where the parts are the paper's", async () => {
    const model = await waves();
    const named = dataset(faces.map(({ image, keypoints: { eye, nose } }) => ({
      image,
      keypoints: { "right eye": eye, nose },
    })));
    const run = (seed: number) => partCorrespondence(model, named, { layer: "pool2", random: 2, seed });
    const [a, again, b] = [await run(1), await run(1), await run(2)];
    expect(again.rows).toEqual(a.rows);
    expect(b.rows[2].distance).not.toBe(a.rows[2].distance);
    const html = await a.figure().html();
    expect(html).toContain("Zeiler &amp; Fergus 2013, Table 1");
    expect(html).toContain("0.107");
    const { rows: [row] } = await partCorrespondence(model, named, { layer: "pool2", parts: ["nose"], random: 1 });
    expect(row.part).toBe("nose");
  });

  test("keypoints follow the image into the model's size", () => {
    expect(pointInView([9.5, 19.5], [20, 40], [10, 20], "squash")).toEqual([4.5, 9.5]);
    expect(pointInView([0, 0], [32, 32], [32, 32], "crop")).toEqual([0, 0]);
  });

  test("an interval of pairs draws things, not pairs", () => {
    // One thing of six stands apart: it is in five pairs of fifteen.
    const { value, deviation, low, high } = pairMean(6, (a, b) => Number(a === 5 || b === 5), 0);
    expect(value).toBeCloseTo(1 / 3, 9);
    expect(deviation).toBeCloseTo(Math.sqrt((5 * (2 / 3) ** 2 + 10 * (1 / 3) ** 2) / 14), 9);
    // Without that thing nothing is apart; drawn several times, much is.
    expect(low).toBe(0);
    expect(high).toBeGreaterThan(0.5);
    expect(pairMean(2, () => 0.5, 0)).toMatchObject({ value: 0.5, low: null, high: null });
  });
});

describe("what is wrong is said", () => {
  test.each([
    [{ parts: ["tail"] }, 'The part "tail" is marked in two images as the model sees them'],
    [{ size: 33 }, "size must fit into the image of 32 × 32 pixels: received 33."],
    [{ layers: ["conv9"] }, 'no layer "conv9"'],
    [{ random: 0 }, "random must be a whole number ≥ 1: received 0."],
  ])("%o", async (options, message) => {
    const model = await waves();
    const before = tf.memory().numTensors;
    const failed = await partCorrespondence(model, dataset(faces), options).then(() => null, (error: Error) => error);
    expect(failed?.message).toContain(message);
    expect(tf.memory().numTensors).toBe(before);
  });

  test("images without keypoints, and models that read no pictures", async () => {
    const plain = dataset([{ image: faces[0].image }]);
    await expect(partCorrespondence(await waves(), plain)).rejects.toThrow("wants images with a column keypoints");
    const net = tf.sequential({
      layers: [
        tf.layers.conv1d({ inputShape: [12, 2], filters: 3, kernelSize: 3 }),
        tf.layers.flatten(),
        tf.layers.dense({ units: 2, activation: "softmax" }),
      ],
    });
    const signal = await loadModel(net, { preprocess: "none", name: "signal" });
    models.push(signal);
    await expect(partCorrespondence(signal, plain)).rejects.toThrow(
      "partCorrespondence finds places in pictures [h, w, c]",
    );
  });
});
