import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { cifar10, invert, loadModel, type Model, NdArray } from "../../mod.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { SLOW } from "../backends.ts";
import { longTest } from "../long.ts";
import { uniforms } from "../nets.ts";

const tf = await ensureBackend();
const L = tf.layers;
const random = uniforms(5);
const image = new NdArray(Float32Array.from({ length: 12 * 10 * 3 }, () => Math.floor(256 * random())), [12, 10, 3]);

let model: Model;
beforeAll(async () => {
  // The first layer hands colours on, in thirds: its code holds all of the image, and the sums after it do not.
  const network = tf.sequential({
    layers: [
      L.conv2d({ inputShape: [12, 10, 3], filters: 3, kernelSize: 1, useBias: false, name: "colours" }),
      L.averagePooling2d({ poolSize: 2, name: "means" }),
      L.conv2d({ filters: 4, kernelSize: 3, activation: "relu", name: "maps" }),
      L.flatten({ name: "flat" }),
      L.dense({ units: 3, activation: "softmax", name: "out" }),
    ],
  });
  const kernel = tf.tidy(() => tf.reshape(tf.div(tf.eye(3), 3), [1, 1, 3, 3]));
  network.getLayer("colours").setWeights([kernel]);
  kernel.dispose();
  model = await loadModel(network, { name: "thirds", preprocess: "unit", labels: ["ant", "bee", "cat"] });
});
afterAll(() => model.dispose());

describe("invert", () => {
  test("finds the image again where the code holds all of it, and its means where it holds these", async () => {
    const before = tf.memory().numTensors;
    const priors = { norm: 0, variation: 0 };
    const found = await invert(model, image, { layers: ["colours", "means"], priors, steps: 120, rate: 20, seed: 2 });
    expect(found.image.shape).toEqual([12, 10, 3]);
    found.image.data.forEach((value, i) => expect(Math.abs(value - image.data[i])).toBeLessThan(2));
    expect(found.loss).toHaveLength(121);
    expect(found.error).toBe(found.loss[120]);
    expect(found.error).toBeLessThan(1e-4);
    const [, { images: [means], errors }] = found.layers;
    expect(errors[0]).toBeLessThan(1e-4);
    const meanOf = ({ data }: NdArray, y: number, x: number) =>
      [0, 1].flatMap((dy) => [0, 1].map((dx) => data[((2 * y + dy) * 10 + 2 * x + dx) * 3])).reduce((a, b) => a + b) /
      4;
    expect(meanOf(means, 2, 1)).toBeCloseTo(meanOf(image, 2, 1), 0);
    expect(Math.abs(means.data[0] - image.data[0]) + Math.abs(means.data[3] - image.data[3])).toBeGreaterThan(5);
    expect(found.rows.map(({ layer, seed, steps }) => [layer, seed, steps])).toEqual([
      ["colours", 2, 120],
      ["means", 2, 120],
    ]);
    expect(found.rows[0]).toMatchObject({ same: true });
    expect(found.rows[0].probability).toBeGreaterThan(1 / 3);
    expect(tf.memory().numTensors).toBe(before);
  });

  test("seeds differ where the code does not tell: the map of spread", async () => {
    const priors = { norm: 0, variation: 0 };
    const found = await invert(model, image, {
      layer: "colours",
      region: [0, 0, 12, 5],
      channels: [0, 1, 2],
      seeds: [1, 2, 3],
      priors,
      steps: 80,
      rate: 20,
    });
    const { spread, images } = found.layers[0];
    expect(spread!.shape).toEqual([12, 10]);
    expect(images).toHaveLength(3);
    for (let i = 0; i < 120; i++) {
      if (i % 10 < 5) expect(spread!.data[i]).toBeLessThan(3);
    }
    expect(spread!.data[9]).toBeGreaterThan(3);
    const figure = found.figure();
    expect(figure.caption).toContain("cells [0, 0, 12, 5]");
    expect(await figure.html()).toContain("spread");
    const one = await invert(model, image, { layer: "maps", steps: 3, seed: 4 });
    const again = await invert(model, image, { layer: "maps", steps: 3, seed: 4 });
    expect(again.image.data).toEqual(one.image.data);
    expect(one.layers[0].spread).toBeNull();
  });

  test("all layers without one being named; a stop keeps those that are done", async () => {
    const stop = new AbortController();
    const told: [number, number][] = [];
    const found = await invert(model, image, {
      steps: 4,
      signal: stop.signal,
      onProgress(done, total) {
        told.push([done, total]);
        if (done === 6) stop.abort(new Error("enough"));
      },
    });
    expect(told.at(-1)).toEqual([6, 12]);
    expect(found.interrupted).toBe(true);
    expect(found.rows.map(({ layer, steps }) => [layer, steps])).toEqual([["colours", 4], ["means", 2]]);
    expect(found.figure().caption).toContain("ended before its last step");
  });

  test("says what is wrong, and what would do", async () => {
    const before = tf.memory().numTensors;
    const wrong: [Parameters<typeof invert>[2], string][] = [
      [{ layer: "colour" }, '"colours"'],
      [{ layer: "maps", layers: ["maps"] }, "either layer or layers"],
      [{ layer: "maps", channels: [4] }, "received the channel 4; wanted 0 to 3"],
      [{ layer: "maps", region: [0, 0, 9, 9] }, "wanted [y0, x0, y1, x1] in its cells, of which there are 4 × 3"],
      [{ layer: "flat", region: [0, 1] }, "a vector has no cells"],
      [{ layer: "maps", steps: 0 }, "steps must be a whole number ≥ 1"],
      [{ layer: "maps", seeds: [] }, "seeds must be an array of whole numbers"],
      [{ layer: "maps", priors: { tv: 1 } as never }, 'priors has no option "tv"'],
      [{ layer: "maps", start: new NdArray(new Float32Array(12), [2, 2, 3]), steps: 1 }, ""],
    ];
    for (const [options, message] of wrong) {
      const asked = invert(model, image, options);
      if (message) await expect(asked).rejects.toThrow(message);
      else expect((await asked).image.shape).toEqual([12, 10, 3]);
    }
    const black = new NdArray(new Float32Array(360), [12, 10, 3]);
    await expect(invert(model, black, { layer: "colours" })).rejects.toThrow("0 everywhere");
    expect(tf.memory().numTensors).toBe(before);
  });

  test("signals and vectors are refused in words", async () => {
    const signals = await loadModel(
      tf.sequential({
        layers: [L.conv1d({ inputShape: [8, 2], filters: 2, kernelSize: 3 }), L.flatten(), L.dense({ units: 2 })],
      }),
    );
    await expect(invert(signals, new NdArray(new Float32Array(16), [8, 2]))).rejects.toThrow("reads signals");
    const vectors = await loadModel(tf.sequential({ layers: [L.dense({ inputShape: [3], units: 2 })] }));
    await expect(invert(vectors, Float32Array.of(1, 2, 3))).rejects.toThrow("reads vectors");
    signals.dispose();
    vectors.dispose();
  });
});

// Minutes on slow backends.
if (!SLOW) {
  longTest(
    "images from its last maps are still classified as the original, and early ones are nearer",
    async () => {
      const net = await loadModel("cifar-convnet");
      let same = 0;
      const images = await cifar10({ split: "test", limit: 2 });
      for await (const { image } of images) {
        const found = await invert(net, image, { layers: ["conv1", "pool4"], steps: 30 });
        const [early, late] = found.layers.map(({ errors: [error] }) => error);
        expect(early).toBeLessThan(late);
        if (found.rows[1].same) same++;
      }
      expect(same).toBe(2);
      net.dispose();
    },
  );
}
