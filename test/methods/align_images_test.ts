import { describe, expect, test } from "vitest";
import { ndarray } from "../../lib/array.ts";
import { dataset } from "../../lib/data/dataset.ts";
import { composed, moved, rotation, scaling, translation, warp } from "../../lib/data/warp.ts";
import { alignImages } from "../../lib/methods/align_images.ts";
import { keypointProbes } from "../../lib/methods/keypoint_probes.ts";
import { smallZfnet } from "../../lib/model/architectures/zfnet.ts";
import { loadModel } from "../../lib/model/load.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { uniforms } from "../nets.ts";

const tf = await ensureBackend();

/** A network whose first layer puts out the pixels, so many around each, in random mixtures. */
async function mixingNet(side: number, kernelSize: number) {
  const net = tf.sequential({ name: "mixing" });
  const random = uniforms(4);
  net.add(
    tf.layers.conv2d({
      name: "mix",
      inputShape: [side, side, 3],
      filters: 24,
      kernelSize,
      padding: "same",
      activation: "relu",
    }),
  );
  net.add(tf.layers.flatten());
  net.add(tf.layers.dense({ units: 2, activation: "softmax" }));
  const kernel = Float32Array.from({ length: kernelSize ** 2 * 3 * 24 }, () => random() - 0.5);
  net.getLayer("mix").setWeights([tf.tensor(kernel, [kernelSize, kernelSize, 3, 24]), tf.zeros([24])]);
  return await loadModel(net, { name: "mixing", preprocess: "none" });
}

/** Smooth blobs of colour. */
function blobs(side: number, seed: number) {
  const random = uniforms(seed);
  const all = Array.from({ length: 40 }, () => [side * random(), side * random(), 2 + 3 * random(), random() * 3 | 0]);
  return ndarray(
    Float32Array.from({ length: side * side * 3 }, (_, i) => {
      const [y, x, c] = [Math.floor(i / 3 / side), Math.floor(i / 3) % side, i % 3];
      const sum = all.reduce(
        (sum, [by, bx, size, channel]) =>
          sum + (channel === c ? 160 * Math.exp(-((y - by) ** 2 + (x - bx) ** 2) / (2 * size * size)) : 0),
        20,
      );
      return Math.min(255, sum);
    }),
    [side, side, 3],
  );
}

describe("alignImages", () => {
  test("takes warped copies of an image back onto it, and its mean is the image again", async () => {
    const model = await mixingNet(40, 7);
    const image = blobs(40, 2);
    const marks = { eye: [14, 15], nose: [24, 20] } as const;
    const maps = [
      translation(0, 0),
      translation(3, -2),
      rotation(10),
      composed(scaling(1.15), rotation(-6), translation(1, 2)),
    ];
    const items = maps.map((map, i) => ({
      id: `copy ${i}`,
      image: warp(image, map),
      keypoints: Object.fromEntries(Object.entries(marks).map(([name, at]) => [name, moved(map, image.shape, at)])),
    }));
    const found = await alignImages(model, dataset(items), { layer: "mix" });
    expect(found.rows.map(({ aligned }) => aligned)).toEqual([true, true, true, true]);
    for (const { image, before, after } of found.rows.slice(1)) {
      expect(before, image).toBeGreaterThan(0.9);
      expect(after, image).toBeLessThan(0.6);
    }
    // Inside, away from what the warps brought in from beyond the border.
    const off = (mean: typeof found.after) => {
      let sum = 0;
      for (let y = 10; y < 30; y++) {
        for (let x = 10; x < 30; x++) sum += Math.abs(mean.data[(y * 40 + x) * 3] - image.data[(y * 40 + x) * 3]);
      }
      return sum / 400;
    };
    expect(off(found.after)).toBeLessThan(off(found.before) / 4);
    expect(await found.figure().html()).toContain("Mean after");
    expect((await found.table()).columns).toEqual(["image", "aligned", "matches", "inliers", "before", "after"]);
  });

  test("leaves out what nothing agrees on, and says what is wrong", async () => {
    const model = await mixingNet(40, 7);
    const random = uniforms(3);
    const noise = ndarray(Float32Array.from({ length: 4800 }, () => 255 * random()), [40, 40, 3]);
    const image = blobs(40, 2);
    const found = await alignImages(model, [image, warp(image, translation(2, 2)), noise], { layer: "mix" });
    expect(found.rows.map(({ aligned }) => aligned)).toEqual([true, true, false]);
    expect(found.figure().caption).toContain("2 of 3 images");
    const before = tf.memory().numTensors;
    await expect(alignImages(model, [image])).rejects.toThrow("wants two images at least: received 1");
    await expect(alignImages(model, [image, image], { onto: 2 })).rejects.toThrow("0…1: received 2");
    await expect(alignImages(model, [image, image], { layer: "flatten" })).rejects.toThrow();
    expect(tf.memory().numTensors).toBe(before);
  });
});

describe("keypointProbes", () => {
  /** Spots of two colours anywhere on a grey ground. */
  function spotted(seed: number) {
    const random = uniforms(seed);
    const data = new Float32Array(32 * 32 * 3).fill(60).map((value) => value + 8 * random());
    const at = () => [8 + Math.floor(16 * random()), 8 + Math.floor(16 * random())] as [number, number];
    const keypoints = { red: at(), blue: at() };
    Object.values(keypoints).forEach(([y, x], channel) => {
      for (let dy = -2; dy <= 2; dy++) {
        for (let dx = -2; dx <= 2; dx++) data[((y + dy) * 32 + x + dx) * 3 + 2 * channel] = 250;
      }
    });
    return { id: String(seed), image: ndarray(data, [32, 32, 3]), keypoints };
  }

  test("tells colours by features and pixels, and not by the place alone", async () => {
    const model = await smallZfnet();
    const images = dataset(Array.from({ length: 16 }, (_, i) => spotted(i + 1)));
    const found = await keypointProbes(model, images, { layers: [model.leaves[0].name], folds: 4 });
    const of = (name: string) => found.rows.find(({ descriptor }) => descriptor === name)!;
    expect(found.rows.map(({ descriptor }) => descriptor)).toEqual([
      model.leaves[0].name,
      "pixels",
      "gradients",
      "position",
    ]);
    expect(of(model.leaves[0].name).accuracy).toBeGreaterThan(0.85);
    expect(of("pixels").accuracy).toBeGreaterThan(0.85);
    expect(of("position").accuracy).toBeLessThan(0.8);
    expect(found.chance).toBe(0.5);
    for (const { low, accuracy, high, images, keypoints } of found.rows) {
      expect(low <= accuracy && accuracy <= high).toBe(true);
      expect([images, keypoints]).toEqual([16, 32]);
    }
    expect(await found.figure().html()).toContain("<img");
    // A label that says nothing of the image cannot be learnt: what is held out is not seen before.
    const mixed = dataset(Array.from({ length: 16 }, (_, i) => {
      const { keypoints: { red, blue }, ...item } = spotted(i + 1);
      return { ...item, keypoints: i % 2 ? { red: blue, blue: red } : { red, blue } };
    }));
    const none = await keypointProbes(model, mixed, { layers: [model.leaves[0].name], folds: 16 });
    expect(none.rows[0].accuracy).toBeLessThan(0.75);
    model.dispose();
  });

  test("says what is wrong", async () => {
    const model = await mixingNet(32, 3);
    const one = spotted(1);
    await expect(keypointProbes(model, dataset([one]))).rejects.toThrow("wants four images at least");
    await expect(keypointProbes(model, dataset([{ image: one.image }]))).rejects.toThrow("a column keypoints");
    await expect(keypointProbes(model, dataset([{ image: one.image, keypoints: { red: [1] } }]))).rejects.toThrow(
      'a keypoint "red" that is no point [y, x]',
    );
  });
});
