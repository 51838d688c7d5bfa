import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { dataset, type ImageDataset } from "../../lib/data/dataset.ts";
import type { Sheet } from "../../lib/figure/blocks.ts";
import { featureHierarchy } from "../../lib/methods/feature_hierarchy.ts";
import { loadModel } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import { turn } from "../../lib/probe/patch_look.ts";
import { randomStream } from "../../lib/random.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";

const SIDE = 16;

/** Images of lines at many angles, or of one colour each: those with lines falling to the right are called "falling". */
function shapes(): ImageDataset {
  const random = randomStream(8);
  const items = Array.from({ length: 48 }, (_, i) => {
    const angle = i % 8 * 22.5 - 67.5;
    const color = [random(), random(), random()];
    const shift = 4 * random() - 2;
    const data = Float32Array.from({ length: SIDE * SIDE * 3 }, (_, at) => {
      if (i >= 32) return 255 * color[at % 3] ** 3;
      const [y, x] = [Math.floor(at / 3 / SIDE) - 7.5, Math.floor(at / 3) % SIDE - 7.5];
      const line = angle * Math.PI / 180;
      return 127.5 + 127.5 * Math.tanh(x * Math.sin(line) + y * Math.cos(line) + shift);
    });
    return {
      id: `i${i}`,
      label: angle === -45 && i < 32 ? "falling" : "other",
      image: { data, shape: [SIDE, SIDE, 3] },
    };
  });
  return dataset(items, { name: "shapes" });
}

/** A 5×5 filter whose lines have an angle; one of the hue red; one that never fires. */
async function handSet(): Promise<Model> {
  const tf = await ensureBackend();
  const network = tf.sequential();
  network.add(
    tf.layers.conv2d({ inputShape: [SIDE, SIDE, 3], filters: 5, kernelSize: 5, activation: "relu", name: "conv" }),
  );
  network.add(tf.layers.conv2d({ filters: 1, kernelSize: 12, activation: "relu", name: "whole" }));
  const kernel = new Float32Array(5 * 5 * 3 * 5);
  const edge = (y: number, x: number, angle: number) =>
    (x - 2) * Math.sin(angle * Math.PI / 180) + (y - 2) * Math.cos(angle * Math.PI / 180);
  for (let i = 0; i < 75; i++) {
    const [y, x, color] = [Math.floor(i / 15), Math.floor(i / 3) % 5, i % 3];
    const weights = [edge(y, x, -45), edge(y, x, 45), [1, -0.6, -0.6][color], 1, (y * 7 + x * 3) % 5 - 2];
    weights.forEach((weight, filter) => kernel[i * 5 + filter] = weight);
  }
  const first = network.layers[0];
  const whole = new Float32Array(12 * 12 * 5).map((_, i) => i % 5 === 0 ? 1 : 0);
  first.setWeights([tf.tensor(kernel, [5, 5, 3, 5]), tf.tensor1d([0, 0, 0, -1e6, -1e6])]);
  network.layers[1].setWeights([tf.tensor(whole, [12, 12, 5, 1]), tf.zeros([1])]);
  return await loadModel(network, { preprocess: "none", name: "hand-set" });
}

let model: Model;
beforeAll(async () => {
  model = await handSet();
});
afterAll(() => model.dispose());

describe("the walk through the layers", () => {
  test("finds the edges and the colour that filters were set to, and checks them against the patches", async () => {
    const tf = await ensureBackend();
    const before = tf.memory().numTensors;
    const walk = await featureHierarchy(model, shapes(), { layers: ["conv"], top: 6, units: 3 });
    expect(tf.memory().numTensors).toBe(before);
    expect(walk.rows.map(({ name }) => name)).toEqual(["edge −45°", "edge +45°", "colour red", "unnamed", "unnamed"]);
    const [falling] = walk.rows;
    expect(turn(falling.angle, -45)).toBeLessThan(12);
    expect(turn(falling.filterAngle!, -45)).toBeLessThan(8);
    expect(walk.rows[3]).toMatchObject({ activation: 0, patches: 0, name: "unnamed" });
    expect(walk.of("edge").map(({ unit }) => unit)).toEqual([0, 1]);
    expect(walk.layers).toMatchObject([{ layer: "conv", units: 5, kinds: { edge: 0.4, colour: 0.2, unnamed: 0.4 } }]);
    expect(walk.layers[0].seen).toBeCloseTo(25 / 256);
    // Three units are drawn, each with its patches and what comes back: the filter itself, times 1.
    expect([...new Set(walk.patches.map(({ unit }) => unit))]).toEqual([0, 1, 2]);
    for (const { box: [y0, x0, y1, x1], response, imageId, unit, rank } of walk.patches) {
      expect([y1 - y0, x1 - x0]).toEqual([5, 5]);
      expect(walk.picture(imageId)!.shape).toEqual([SIDE, SIDE, 3]);
      const kernel = await model.network.layers[0].getWeights()[0].data();
      if (rank === 1) response.data.forEach((value, i) => expect(value).toBeCloseTo(kernel[i * 5 + unit], 4));
    }
    const { caption, text, blocks } = walk.figure();
    expect(text).toContain("conv: 5 units, 2 edges, 1 colour, 2 unnamed");
    expect(caption).toContain("mid-grey is 0");
    const sheet = blocks[0] as Sheet;
    expect(sheet.tiles.map(({ lines }) => lines[0])).toEqual(["0 · edge −45°", "1 · edge +45°", "2 · colour red"]);
    expect(sheet.tiles[0].spots).toHaveLength(6);
    expect(() => walk.figure({ layers: ["con"] })).toThrow(/no layer "con"; it has conv/);
  });

  test("calls what sees the whole image and fires for one label an object, and names no object without labels", async () => {
    // Of 48 images 4 are falling.
    const walk = await featureHierarchy(model, shapes(), { layers: ["whole"], top: 4 });
    expect(walk.layers[0].seen).toBe(1);
    expect(walk.rows[0]).toMatchObject({ kind: "object", name: "object of falling", label: "falling", purity: 1 });
    const bare = dataset(await Array.fromAsync(shapes(), ({ id, image }) => ({ id, image })));
    const [row] = (await featureHierarchy(model, bare, { layers: ["whole"], top: 4 })).rows;
    expect(row).toMatchObject({ kind: "unnamed", label: null, purity: null, chance: null });
  });

  test("does not depend on the order of the images", async () => {
    const [a, b] = await Promise.all([shapes(), shapes().shuffle(3)].map((images) => featureHierarchy(model, images)));
    expect(b.rows).toEqual(a.rows);
    expect(a.layers.map(({ layer }) => layer)).toEqual(["conv", "whole"]);
  });

  test("leaves no tensor when it is stopped, and refuses what it cannot walk", async () => {
    const tf = await ensureBackend();
    const before = tf.memory().numTensors;
    const stop = new AbortController();
    const run = featureHierarchy(model, shapes(), {
      batchSize: 4,
      signal: stop.signal,
      onProgress: () => stop.abort(new Error("enough")),
    });
    await expect(run).rejects.toThrow("enough");
    expect(tf.memory().numTensors).toBe(before);
    await expect(featureHierarchy(model, shapes(), { layers: ["cnv"] })).rejects.toThrow(/no layer "cnv"/i);
    const signals = tf.sequential({ layers: [tf.layers.conv1d({ inputShape: [9, 1], filters: 2, kernelSize: 3 })] });
    const line = await loadModel(signals, { preprocess: "none", name: "line" });
    await expect(featureHierarchy(line, shapes())).rejects.toThrow(/"line" reads signals\. topPatches/);
    line.dispose();
  });
});
