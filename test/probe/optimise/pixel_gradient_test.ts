import type { LayersModel, SymbolicTensor } from "@tensorflow/tfjs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type ImageLike,
  loadModel,
  type Model,
  NdArray,
  type OutputWanted,
  saliency,
  type Target,
} from "../../../mod.ts";
import { attributionInputs } from "../../../lib/probe/attribution/inputs.ts";
import { PixelGradient } from "../../../lib/probe/optimise/pixel_gradient.ts";
import type { PreprocessWanted } from "../../../lib/model/preprocess.ts";
import { resolveTarget } from "../../../lib/probe/target.ts";
import { ensureBackend } from "../../../lib/runtime/backend.ts";
import { uniforms } from "../../nets.ts";

const tf = await ensureBackend();
const L = tf.layers;
const [HEIGHT, WIDTH] = [9, 8];

const some = (seed: number, ...shape: number[]) => {
  const random = uniforms(seed);
  return new NdArray(Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => 255 * random()), shape);
};
const weights = (seed: number, most = 0.5) =>
  tf.initializers.randomUniform({ minval: -0.8 * most, maxval: most, seed });
const apply = (layer: unknown, x: unknown) => (layer as ReturnType<typeof L.dense>).apply(x as SymbolicTensor);

/** A smooth network, so that differences of its scores tell its gradient: convolution, normalisation, what ends it. */
function network(
  ends: (maps: SymbolicTensor, angle: SymbolicTensor | null) => unknown,
  { channels = 3, free = false, scaled = false, angle = false, weight = 0.5 } = {},
): LayersModel {
  const input = tf.input({ shape: free ? [null, null, channels] : [HEIGHT, WIDTH, channels], name: "image" });
  const shifted = scaled ? apply(L.rescaling({ scale: 1 / 127.5, offset: -1 }), input) : input;
  const first = L.conv2d({ filters: 4, kernelSize: 3, kernelInitializer: weights(1, weight), name: "conv" });
  const normed = L.batchNormalization({
    movingMeanInitializer: weights(2),
    movingVarianceInitializer: tf.initializers.randomUniform({ minval: 0.5, maxval: 2, seed: 3 }),
    name: "norm",
  });
  const soft = L.activation({ activation: "tanh", name: "soft" });
  const maps = [first, normed, soft].reduce((x, layer) => apply(layer, x), shifted as unknown) as SymbolicTensor;
  const other = angle ? tf.input({ shape: [2], name: "angle" }) : null;
  return tf.model({ inputs: other ? [other, input] : input, outputs: ends(maps, other) as SymbolicTensor[] });
}

const means = (maps: unknown) => apply(L.globalAveragePooling2d({ name: "means" } as never), maps);
const dense = (x: unknown, units: number, activation: "softmax" | "sigmoid" | "linear") =>
  apply(L.dense({ units, activation, kernelInitializer: weights(5) }), x);
const classes = (maps: unknown) => dense(means(maps), 3, "softmax");
const joined = (maps: unknown, angle: unknown) =>
  dense(apply(L.concatenate(), [means(maps), dense(angle, 3, "sigmoid")]), 3, "softmax");

interface Case {
  build: () => LayersModel;
  preprocess?: PreprocessWanted | "caffe" | "tf" | "torch" | "unit" | "none";
  labels?: string[];
  output?: OutputWanted;
  target?: Target;
  image?: ImageLike;
}
const abc = ["ant", "bee", "cat"];
const unit = "unit" as const;
const cases: Record<string, Case> = {
  "classes, caffe": { build: () => network(classes, { weight: 0.005 }), preprocess: "caffe", labels: abc },
  "classes, tf": { build: () => network(classes), preprocess: "tf", labels: abc },
  "classes, torch": { build: () => network(classes), preprocess: "torch", labels: abc },
  "logits, own mean, bgr": {
    build: () => network((maps) => dense(means(maps), 3, "linear")),
    preprocess: { order: "bgr", mean: [10, 120, 90], deviation: [80, -40, 60] },
    labels: abc,
    output: "classes",
  },
  "scaled by itself": { build: () => network(classes, { scaled: true }), labels: abc },
  "one channel": { build: () => network(classes, { channels: 1 }), preprocess: unit, labels: abc },
  "five channels": { build: () => network(classes, { channels: 5 }), preprocess: unit, labels: abc },
  "any size": {
    build: () => network(classes, { free: true }),
    preprocess: unit,
    labels: abc,
    image: some(3, 11, 7, 3),
  },
  "binary": {
    build: () => network((maps) => dense(means(maps), 1, "sigmoid")),
    preprocess: unit,
    labels: ["no", "yes"],
  },
  "labels": { build: () => network((maps) => dense(means(maps), 3, "sigmoid")), preprocess: unit, labels: abc },
  "numbers": { build: () => network((maps) => dense(means(maps), 2, "linear")), preprocess: unit, target: 1 },
  "a map": {
    build: () =>
      network((maps) =>
        apply(L.conv2d({ filters: 2, kernelSize: 1, activation: "softmax", kernelInitializer: weights(6) }), maps)
      ),
    preprocess: unit,
    target: { index: 1, cell: [2, 3] },
  },
  "a unit": { build: () => network(classes), preprocess: "tf", target: { layer: "norm", channel: 2, cell: [1, 4] } },
  "a direction": {
    build: () => network(classes),
    preprocess: "tf",
    target: { layer: "soft", direction: [1, -2, 0, 3], cell: [1, 4] },
  },
  "a sum": {
    build: () => network(classes),
    preprocess: "tf",
    target: { sum: [[0.5, 0], [-2, { layer: "soft", channel: 1, cell: [0, 0] }]] },
  },
  "a function": { build: () => network(classes), preprocess: "tf", target: (outputs) => tf.sum(tf.square(outputs)) },
  "two inputs": {
    build: () => network(joined, { angle: true }),
    preprocess: "torch",
    labels: abc,
    image: { image: some(3, HEIGHT, WIDTH, 3), angle: [0.5, -1] },
  },
};
const models = new Map<string, Model>();
beforeAll(async () => {
  for (const [name, { build, preprocess, labels, output }] of Object.entries(cases)) {
    models.set(name, await loadModel(build(), { name, preprocess, labels, output }));
  }
});
afterAll(() => models.forEach((model) => model.dispose()));

describe.each(Object.entries(cases))("%s", (name, { target = 0, image }) => {
  const given = (model: Model) => image ?? some(7, HEIGHT, WIDTH, model.inputShape.at(-1)!);

  test("the gradient to the pixels is that behind preprocessing, over the deviations", async () => {
    const model = models.get(name)!;
    const [input] = await attributionInputs(model, given(model), target);
    const map = await saliency(model, given(model), { target, signed: true });
    const gradients = await PixelGradient.of(model, [input.target], { inputs: input.input });
    const x = tf.tensor(input.view.data, [1, ...input.view.shape]);
    const before = tf.memory().numTensors;
    const { value, gradient } = gradients.valueAndGradient(x);
    const found = await gradient.data<"float32">();
    const { order, deviation } = model.preprocess;
    const channels = input.view.shape[2];
    const over = (c: number) =>
      deviation.length === channels ? deviation[order === "bgr" && channels === 3 ? 2 - c : c] : deviation[0];
    const wanted = Float32Array.from(map.values.data, (value, i) => value / over(i % channels));
    const most = Math.max(...wanted.map(Math.abs));
    expect(most).toBeGreaterThan(0);
    expect(Math.max(...wanted.map((value, i) => Math.abs(value - found[i]))) / most).toBeLessThan(2e-5);
    expect(Math.abs((await value.data())[0] - map.score)).toBeLessThan(1e-4 * (1 + Math.abs(map.score)));
    const scores = gradients.scores(x);
    expect(Math.abs((await scores.data())[0] - (await value.data())[0])).toBeLessThan(1e-5);
    tf.dispose([value, gradient, scores]);
    expect(tf.memory().numTensors).toBe(before);
    gradients.dispose();
    x.dispose();
  });

  test("… and what differences of the scores say", async () => {
    const model = models.get(name)!;
    const [input] = await attributionInputs(model, given(model), target);
    const gradients = await PixelGradient.of(model, [input.target], { inputs: input.input });
    const { data, shape } = input.view;
    const random = uniforms(11);
    const way = data.map(() => random() - 0.5);
    const at = (step: number) => tf.tensor(data.map((value, i) => value + step * way[i]), [1, ...shape]);
    const [below, above, here] = [at(-4), at(4), at(0)];
    const both = tf.concat([below, above]);
    const scores = gradients.scores(both);
    const { value, gradient } = gradients.valueAndGradient(here);
    const [low, high] = await scores.data();
    const slope = (await gradient.data<"float32">()).reduce((sum, value, i) => sum + value * way[i], 0);
    expect(Math.abs((high - low) / 8 - slope)).toBeLessThan(0.02 * Math.abs(slope) + 2e-5);
    tf.dispose([below, above, here, both, scores, value, gradient]);
    gradients.dispose();
  });
});

describe("many images", () => {
  const model = () => models.get("classes, torch")!;
  const targets = () => [0, 1, 2, 1, 0].map((index) => resolveTarget(model(), index));

  test("in parts each has the gradient that it has alone, also through what makes the pixels", async () => {
    const before = tf.memory().numTensors;
    const pixels = tf.tensor(some(5, 5, HEIGHT, WIDTH, 3).data, [5, HEIGHT, WIDTH, 3]);
    const whole = await PixelGradient.of(model(), targets());
    const parts = await PixelGradient.of(model(), targets(), { batchSize: 2 });
    expect(parts.batch).toBe(2);
    const a = whole.valueAndGradient(pixels);
    const b = parts.valueAndGradient(pixels);
    expect([...await b.value.data()]).toEqual([...await a.value.data()].map((value) => expect.closeTo(value, 5)));
    const near = (a: ArrayLike<number>, b: ArrayLike<number>) => {
      const most = Math.max(...Array.from(a, (value) => Math.abs(value)));
      expect(Math.max(...Array.from(a, (value, i) => Math.abs(value - b[i])))).toBeLessThan(1e-5 * most);
    };
    near(await a.gradient.data(), await b.gradient.data());
    // One shift of all images: its gradient is the sum of theirs.
    const shift = tf.zeros([HEIGHT, WIDTH, 3]);
    const c = parts.valueAndGradient(shift, (shift) => tf.add(pixels, tf.mul(2, shift)));
    const d = whole.valueAndGradient(shift, (shift) => tf.add(pixels, tf.mul(2, shift)));
    expect(c.gradient.shape).toEqual([HEIGHT, WIDTH, 3]);
    const sum = tf.tidy(() => tf.mul(2, tf.sum(a.gradient, 0)));
    near(await sum.data(), await c.gradient.data());
    near(await sum.data(), await d.gradient.data());
    tf.dispose([a, b, c, d].flatMap(({ value, gradient }) => [value, gradient]));
    tf.dispose([pixels, shift, sum]);
    whole.dispose();
    parts.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });

  test("a function of layers' outputs, which reads the pixels, too", async () => {
    const before = tf.memory().numTensors;
    const pixels = tf.tensor(some(5, 3, HEIGHT, WIDTH, 3).data, [3, HEIGHT, WIDTH, 3]);
    const parts: unknown[] = [];
    const gradients = await PixelGradient.of(model(), {
      layers: ["soft", "conv"],
      score(outputs, pixels, part) {
        parts.push([part.start, part.count]);
        expect(outputs.map(({ shape }) => shape[0])).toEqual([part.count, part.count]);
        return tf.add(tf.mean(tf.mul(outputs[0], outputs[1]), [1, 2, 3]), tf.mean(tf.square(pixels), [1, 2, 3]));
      },
    }, { batchSize: 2 });
    const { value, gradient } = gradients.valueAndGradient(pixels);
    expect(parts).toEqual([[0, 2], [2, 1]]);
    expect([value.shape, gradient.shape]).toEqual([[3], [3, HEIGHT, WIDTH, 3]]);
    const outputs = gradients.outputs(pixels);
    const wanted = tf.tidy(() =>
      tf.add(tf.mean(tf.mul(outputs[0], outputs[1]), [1, 2, 3]), tf.mean(tf.square(pixels), [1, 2, 3]))
    );
    const found = await value.data();
    [...await wanted.data()].forEach((value, i) => expect(found[i] / value).toBeCloseTo(1, 5));
    tf.dispose([value, gradient, pixels, wanted, ...outputs]);
    gradients.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });

  test("an objective that throws, or gives one number for all, leaves nothing", async () => {
    const before = tf.memory().numTensors;
    const pixels = tf.zeros([2, HEIGHT, WIDTH, 3]);
    for (
      const [score, message] of [
        [(outputs: readonly unknown[]) => tf.sum(outputs[0] as never), "one number an image, [2]"],
        [() => {
          throw new Error("no score");
        }, "no score"],
      ] as const
    ) {
      const gradients = await PixelGradient.of(model(), { layers: ["soft"], score });
      expect(() => gradients.valueAndGradient(pixels)).toThrow(message);
      expect(() => gradients.scores(pixels)).toThrow(message);
      gradients.dispose();
    }
    pixels.dispose();
    expect(tf.memory().numTensors).toBe(before);
    await expect(
      PixelGradient.of(model(), [
        resolveTarget(model(), 0),
        resolveTarget(model(), { layer: "soft", channel: 0, cell: [0, 0] }),
      ]),
    )
      .rejects.toThrow("read at one place");
  });
});
