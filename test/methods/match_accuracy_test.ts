import { describe, expect, test } from "vitest";
import { ndarray } from "../../lib/array.ts";
import { dataset } from "../../lib/data/dataset.ts";
import { correspondence } from "../../lib/methods/correspondence.ts";
import { matchAccuracy } from "../../lib/methods/match_accuracy.ts";
import { loadModel } from "../../lib/model/load.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { uniforms, wavesNet } from "../nets.ts";

const tf = await ensureBackend();

/** A network whose first layer puts out the pixels themselves. */
async function identityNet() {
  const net = tf.sequential({ name: "identity" });
  net.add(tf.layers.conv2d({ name: "same", inputShape: [24, 24, 3], filters: 3, kernelSize: 1, useBias: false }));
  net.add(tf.layers.flatten());
  net.add(tf.layers.dense({ units: 2, activation: "softmax" }));
  net.getLayer("same").setWeights([tf.tensor([1, 0, 0, 0, 1, 0, 0, 0, 1], [1, 1, 3, 3])]);
  return await loadModel(net, { name: "identity", preprocess: "none" });
}

const noise = (seed: number, side: number) => {
  const random = uniforms(seed);
  return ndarray(Float32Array.from({ length: side * side * 3 }, () => 255 * random()), [side, side, 3]);
};

describe("matchAccuracy", () => {
  test("of pixels as features finds every place of a moved image, and what nothing is looked for is by paper", async () => {
    const model = await identityNet();
    const found = await matchAccuracy(model, [noise(1, 24), noise(2, 24)], {
      layers: ["same"],
      warps: ["translation"],
      thresholds: [0.1, 1],
      refine: "none",
    });
    const at = (descriptor: string, threshold: number) =>
      found.rows.find((row) => row.descriptor === descriptor && row.threshold === threshold)!;
    // The grid's points lie between pixels: what is between four random colours is found near one of them, or not.
    expect(at("same", 1).accuracy).toBeGreaterThan(0.9);
    expect(at("pixels", 0.1).accuracy).toBeGreaterThan(0.5);
    expect(at("pixels", 1).points).toBe(at("same", 1).points);
    expect(found.rows.map(({ descriptor }) => descriptor)).toEqual(
      ["same", "pixels", "gradients", "same place"].flatMap((name) => [name, name]),
    );
    expect(found.rows.every(({ accuracy, low, high }) => low <= accuracy && accuracy <= high)).toBe(true);
    // The same seed draws the same warps.
    const again = await matchAccuracy(model, [noise(1, 24), noise(2, 24)], {
      layers: ["same"],
      warps: ["translation"],
      thresholds: [0.1, 1],
      refine: "none",
    });
    expect(again.rows).toEqual(found.rows);
    expect((await found.figure().html()).match(/<img/g)!.length).toBe(2);
  });

  test("of keypoints equals what correspondence finds, pair by pair", async () => {
    const model = await loadModel(await wavesNet(), { name: "waves" });
    const layer = model.leaves.find(({ kind }) => /Conv/.test(kind))!.name;
    const marks = [[[5, 6], [20, 21]], [[9, 11], [25, 4]], [[14, 3], [8, 28]]];
    const items = marks.map(([eye, nose], i) => ({
      id: `face ${i}`,
      image: noise(10 + i, 32),
      // One image does not show the nose.
      keypoints: { eye, ...i < 2 && { nose } },
    }));
    const thresholds = [0.05, 0.3];
    const found = await matchAccuracy(model, dataset(items), { truth: "keypoints", layers: [layer], thresholds });
    for (const threshold of thresholds) {
      const shares: number[] = [];
      for (const [a, from] of items.entries()) {
        const right: boolean[] = [];
        for (const [b, to] of items.entries()) {
          if (a === b) continue;
          const names = ["eye", "nose"].filter((name) => name in from.keypoints && name in to.keypoints);
          const points = names.map((name) => from.keypoints[name as "eye"]) as [number, number][];
          const { rows } = await correspondence(model, from.image, to.image, { layer, points });
          rows.forEach(({ match }, i) => {
            const [y, x] = to.keypoints[names[i] as "eye"];
            right.push(Math.hypot(match[0] - y, match[1] - x) <= threshold * 32);
          });
        }
        shares.push(right.filter(Boolean).length / right.length);
      }
      const row = found.rows.find((one) => one.descriptor === layer && one.threshold === threshold)!;
      expect(row.accuracy).toBeCloseTo(shares.reduce((sum, share) => sum + share, 0) / 3, 6);
      expect(row).toMatchObject({ images: 3, points: 8, warp: "keypoints" });
    }
  });

  test("says what is wrong, and leaves no tensor", async () => {
    const model = await identityNet();
    const before = tf.memory().numTensors;
    const images = dataset([{ image: noise(1, 24) }, { image: noise(2, 24) }]);
    await expect(matchAccuracy(model, images, { truth: "keypoints" })).rejects.toThrow(
      /wants images with a column keypoints, .* the image "0" has none/,
    );
    await expect(matchAccuracy(model, images, { patch: 10 })).rejects.toThrow("a multiple of 8: received 10");
    await expect(matchAccuracy(model, images, { warps: ["twist" as never] })).rejects.toThrow('some of "translation"');
    await expect(matchAccuracy(model, images, { thresholds: [2] })).rejects.toThrow("at most 1");
    await expect(matchAccuracy(model, images, { layers: ["same", "nose"] })).rejects.toThrow(/"nose"/);
    expect(tf.memory().numTensors).toBe(before);
  });
});
