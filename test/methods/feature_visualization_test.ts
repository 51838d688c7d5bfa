import { describe, expect, test } from "vitest";
import { contrast, dataset, featureVisualization, loadModel, type Model, NdArray, topPatches } from "../../mod.ts";
import { sameSpectrum } from "../../lib/probe/optimise/evidence.ts";
import { fourierImages } from "../../lib/probe/optimise/parametrization.ts";
import { regularize, REGULARIZERS } from "../../lib/probe/optimise/pixel_regularizers.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { uniforms } from "../nets.ts";

const tf = await ensureBackend();

/** A convolution of one pixel that adds red and takes blue away (channel 0), one of all colours (1), one that is shut (2). */
async function colors({ channels = 3, side = 12 } = {}): Promise<Model> {
  const network = tf.sequential({
    layers: [
      tf.layers.conv2d({
        inputShape: [side, side, channels],
        filters: 3,
        kernelSize: 1,
        activation: "relu",
        name: "conv",
      }),
      tf.layers.globalAveragePooling2d({ name: "mean" }),
      tf.layers.dense({ units: 2, activation: "softmax", name: "classes" }),
    ],
  });
  const filters = channels === 3 ? [1, 1, 1, 0, 1, 0, -1, 1, 0] : [1, -1, 0.5];
  network.setWeights([
    tf.tensor(filters, [1, 1, channels, 3]),
    tf.tensor([0, 0, -0.7]),
    tf.tensor([1, -1, 0, 0, 0, 0], [3, 2]),
    tf.tensor([0, 0]),
  ]);
  return await loadModel(network, { preprocess: "unit", labels: ["red", "blue"], name: "colours" });
}

const model = await colors();
const few = { steps: 24, seed: 3 };
/** The mean of each channel of an image. */
const means = ({ data, shape }: NdArray) =>
  Array.from(
    { length: shape[2] },
    (_, c) => data.reduce((sum, value, i) => i % shape[2] === c ? sum + value : sum, 0) * shape[2] / data.length,
  );

describe("on a network whose answer is known", () => {
  test("red rises and blue falls: the unit's own score is theirs, from 0 to 1", async () => {
    const before = tf.memory().numTensors;
    const { image, score, rows: [row] } = await featureVisualization(model, {
      ...few,
      target: { layer: "conv", channel: 0 },
      cells: "all",
      transformations: "none",
      learningRate: 0.5,
    });
    expect(tf.memory().numTensors).toBe(before);
    const [red, , blue] = means(image);
    // Where blue is above red the unit is shut, and nothing draws it.
    expect(red - blue).toBeGreaterThan(25);
    expect(score).toHaveLength(24);
    expect(score.at(-1)).toBeGreaterThan(20 * score[0]);
    // The measure is the strongest cell's, on paper.
    const best = Math.max(...Array.from({ length: 144 }, (_, i) => (image.data[3 * i] - image.data[3 * i + 2]) / 255));
    expect(row.activation).toBeCloseTo(best, 4);
    expect(row.activation).toBeLessThanOrEqual(1);
    expect(row.random).toBeLessThanOrEqual(row.randomLargest);
  });

  test("a class, a contrast, a direction and a function have their scores raised", async () => {
    const targets = [
      "red",
      contrast("red", "blue"),
      { layer: "conv", direction: [1, 0, 0], cell: [3, 4] },
      (outputs: { slice: (begin: number[], size: number[]) => never }) => outputs.slice([0, 0], [1, 1]),
    ] as never;
    const found = await featureVisualization(model, { ...few, target: targets, learningRate: 0.2 });
    expect(found).toHaveLength(4);
    for (const one of found) expect(one.score.at(-1)).toBeGreaterThan(one.score[0]);
    expect(found[1].target).toBe("red − blue");
    const at = (3 * 12 + 4) * 3;
    const { data } = found[2].image;
    expect(data[at] - data[at + 2]).toBeGreaterThan(150);
    expect(found.figure().title).toContain("feature visualization (4)");
  });

  test("a unit that is shut opens: its gradient is 0 everywhere at first", async () => {
    const found = await featureVisualization(model, { ...few, steps: 60, target: { layer: "conv", channel: 2 } });
    expect(found.score[0]).toBe(0);
    expect(found.score.at(-1)).toBeGreaterThan(0);
  });

  test("the same seed gives the same image, alone and among others; another seed another", async () => {
    const target = { layer: "conv", channel: 0 };
    const one = await featureVisualization(model, { ...few, target });
    const again = await featureVisualization(model, { ...few, target: [{ layer: "conv", channel: 1 }, target] });
    const other = await featureVisualization(model, { ...few, seed: 4, target });
    expect(Math.max(...one.image.data.map((value, i) => Math.abs(value - again[1].image.data[i])))).toBeLessThan(0.05);
    expect(one.image.data).not.toEqual(other.image.data);
  });

  test("an aborted run keeps what it has; one that was aborted before throws", async () => {
    const controller = new AbortController();
    const found = await featureVisualization(model, {
      ...few,
      target: 0,
      signal: controller.signal,
      onProgress: (done) => done === 5 && controller.abort(),
    });
    expect(found.score).toHaveLength(5);
    expect(found.stopped).toBe(true);
    expect(found.figure().caption).toContain("It was stopped; 24 steps were asked for.");
    await expect(featureVisualization(model, { signal: AbortSignal.abort(new Error("enough")) })).rejects.toThrow(
      "enough",
    );
  });
});

describe("what images are made of", () => {
  test("pixels, from a photo, of several starts, kept apart, transparent; of one channel and without one", async () => {
    const before = tf.memory().numTensors;
    const target = { layer: "conv", channel: 0 };
    const random = uniforms(1);
    const photo = new NdArray(Float32Array.from({ length: 432 }, () => 60 + 120 * random()), [12, 12, 3]);
    for (
      const options of [
        { parametrization: "pixels", regularizers: "simonyan" },
        { parametrization: "pixels", regularizers: { blur: 1, smallContributions: 20 } },
        { image: photo },
        { images: 3, diversity: 0.5, cells: "all" },
        { alpha: true, transformations: { jitter: 1 } },
      ] as const
    ) {
      const { images, score, alpha, rows } = await featureVisualization(model, { ...few, target, ...options });
      expect(score.at(-1)).toBeGreaterThan(score[0]);
      expect(images[0].data.every((value) => value >= 0 && value <= 255)).toBe(true);
      expect(rows).toHaveLength("images" in options ? 3 : 1);
      expect(alpha?.shape).toEqual("alpha" in options ? [12, 12] : undefined);
    }
    expect(tf.memory().numTensors).toBe(before);
    const grey = await featureVisualization(await colors({ channels: 1 }), { ...few, target, cells: "all" });
    expect(grey.image.shape).toEqual([12, 12, 1]);
    expect(means(grey.image)[0]).toBeGreaterThan(165);
  });

  test("the regularisers do to pixels what they say", () => {
    const numbers = Float32Array.of(0.1, 0.2, 0.3, -0.9, 2);
    regularize(numbers, new Float32Array(5).fill(1), 0, [1, 5, 1], {
      ...REGULARIZERS.none,
      decay: 0.5,
      smallNorms: 40,
    });
    expect([...numbers].map((value) => Number(value.toFixed(3)))).toEqual([0, 0, 0.15, -0.45, 1]);
    const gains = Float32Array.of(0.5, 0.5, 0.5, 0.5, 0.5);
    regularize(gains, Float32Array.of(1, 5, 0.1, 3, 4), 0, [1, 5, 1], { ...REGULARIZERS.none, smallContributions: 20 });
    expect([...gains]).toEqual([0.5, 0.5, 0, 0.5, 0.5]);
  });

  test("random images of the same spectrum have the same waves, at other places", async () => {
    for (const shape of [[8, 6, 3], [5, 7, 1]]) {
      const images = fourierImages(tf, shape);
      const data = images.draw([2], 40).slice(0, shape.reduce((a, b) => a * b)).map((value) =>
        Math.min(230, Math.max(25, 128 + value))
      );
      const [made] = await sameSpectrum({ data, shape }, 1, 9);
      const strengths = (pixels: Float32Array) => {
        const numbers = images.numbersOf({ data: pixels, shape });
        const height = shape[0];
        return [...numbers].flatMap((value, i) =>
          Math.floor(i / height) % 2 ? [] : Math.hypot(value, numbers[i + height])
        );
      };
      const [wanted, found] = [strengths(data), strengths(made.data)];
      wanted.forEach((value, i) => expect(found[i]).toBeCloseTo(value, 2));
      expect(Math.max(...made.data.map((value, i) => Math.abs(value - data[i])))).toBeGreaterThan(20);
      images.dispose();
    }
  });
});

test("a layer's units stand beside their patches, and are compared with the best of them", async () => {
  const random = uniforms(5);
  const items = Array.from({ length: 6 }, () => ({
    image: new NdArray(Float32Array.from({ length: 432 }, () => 80 + 90 * random()), [12, 12, 3]),
  }));
  const patches = await topPatches(model, dataset(items), { layer: "conv", top: 4 });
  const sheet = await featureVisualization(model, { ...few, steps: 40, patches, channels: [0, 1] });
  expect(sheet).toHaveLength(2);
  sheet.forEach(({ rows: [row] }, channel) => {
    expect(row.natural).toBe(patches.of({ unit: channel })[0].activation);
    expect(row.ratio).toBeCloseTo(row.activation / row.natural!, 6);
  });
  const walked = await featureVisualization(model, {
    ...few,
    target: { layer: "conv", channel: 0 },
    dataset: dataset(items),
  });
  expect(walked.rows[0].natural).toBeCloseTo(sheet[0].rows[0].natural!, 5);
  expect(sheet.figure().caption).toContain("right: its top patches");
  expect((await walked.table()).height).toBe(1);
});

test("what cannot be is told, with a remedy", async () => {
  const ask = (options: object, of = model) => expect(featureVisualization(of, { steps: 1, ...options })).rejects;
  await ask({ target: "predicted" }).toThrow("Name a class or a unit as the target, or give an image");
  await ask({ target: 0, layer: "conv" }).toThrow("takes either target or layer");
  await ask({ channels: [1] }).toThrow("channels are those of a layer");
  await ask({ target: [] }).toThrow("has no target; wanted at least one");
  await ask({ size: 20 }).toThrow("takes images of 12×12 pixels only: received size 20");
  await ask({ target: { layer: "conv", channel: 9 } }).toThrow("has channels 0 to 2: received 9");
  await ask({ transformations: { jitter: -1 } }).toThrow("jitter");
  await ask({ transformations: "wild" }).toThrow('"standard", "none" or an object');
  await ask({ patches: {} }).toThrow("what topPatches returned");
  const network = tf.sequential({ layers: [tf.layers.dense({ inputShape: [4], units: 2 })] });
  await ask({}, await loadModel(network)).toThrow("makes images");
});
