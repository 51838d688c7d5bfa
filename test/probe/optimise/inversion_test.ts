import type { LayersModel } from "@tensorflow/tfjs";
import { describe, expect, test } from "vitest";
import { type NdArrayLike, sizeOf } from "../../../lib/array.ts";
import { loadModel } from "../../../lib/model/load.ts";
import { type InversionOptions, invertCode, maskOf, rangeOf, shift } from "../../../lib/probe/optimise/inversion.ts";
import { optimise } from "../../../lib/probe/optimise/optimise.ts";
import { addAlphaNorm, addTotalVariation } from "../../../lib/probe/optimise/priors.ts";
import { ensureBackend } from "../../../lib/runtime/backend.ts";
import { uniforms } from "../../nets.ts";
import fixture from "../../oracles/fixtures/inversion.json" with { type: "json" };

const tf = await ensureBackend();
const L = tf.layers;
type Random = () => number;

const drawn = (random: Random, ...shape: number[]) =>
  tf.tensor(Float32Array.from({ length: sizeOf(shape) }, () => random() - 0.5), shape);
const whole = (random: Random, ...shape: number[]): NdArrayLike => ({
  data: Float32Array.from({ length: sizeOf(shape) }, () => Math.floor(Math.fround(256 * random()))),
  shape,
});

describe("priors", () => {
  const { data, shape } = whole(uniforms(1), 7, 6, 3);
  const names = { alpha: addAlphaNorm, beta: addTotalVariation };
  const cases = fixture.priors.map(({ alpha, beta, value, gradient }) => ({
    kind: alpha === undefined ? "beta" as const : "alpha" as const,
    power: (alpha ?? beta)!,
    value,
    gradient,
  }));

  test.each(cases)("$kind $power is PyTorch's, value and gradient", ({ kind, power, value, gradient }) => {
    const slopes = new Float32Array(data.length).fill(3);
    const found = names[kind]({ data, shape: [1, ...shape] }, power, slopes, 2);
    expect(found[0] / value).toBeCloseTo(1, 5);
    const most = Math.max(...gradient.map(Math.abs));
    // What was there before stays, and the weight counts.
    const plain = new Float32Array(data.length);
    names[kind]({ data, shape: [1, ...shape] }, power, plain);
    gradient.forEach((wanted, i) => {
      expect(Math.abs(plain[i] - wanted) / most).toBeLessThan(1e-5);
      expect(Math.abs(slopes[i] - 3 - 2 * plain[i])).toBeLessThan(1e-6);
    });
  });

  test.each([["alpha", 6], ["alpha", 1.5], ["beta", 2], ["beta", 1.5]] as const)(
    "%s %d: differences of values say the same, of each of two images of one channel",
    (kind, power) => {
      const random = uniforms(4);
      const values = Float32Array.from({ length: 2 * 5 * 4 }, () => 255 * random());
      const way = values.map(() => random() - 0.5);
      const at = (step: number) => {
        const gradient = new Float32Array(values.length);
        const moved = { data: values.map((value, i) => value + step * way[i]), shape: [2, 5, 4, 1] };
        return { value: names[kind](moved, power, gradient), gradient };
      };
      const [low, high, here] = [at(-2), at(2), at(0)];
      for (const image of [0, 1]) {
        let slope = 0;
        for (let i = image * 20; i < image * 20 + 20; i++) slope += here.gradient[i] * way[i];
        expect(Math.abs((high.value[image] - low.value[image]) / 4 / slope - 1)).toBeLessThan(2e-3);
      }
    },
  );
});

async function colour() {
  const random = uniforms(2);
  const network: LayersModel = tf.sequential({
    layers: [
      L.conv2d({ inputShape: [10, 9, 3], filters: 4, kernelSize: 3, padding: "same", activation: "relu" }),
      L.conv2d({ filters: 5, kernelSize: 3, strides: 2, activation: "tanh", name: "code" }),
    ],
  });
  const weights = [[3, 3, 3, 4], [4], [3, 3, 4, 5], [5]].map((shape) => drawn(random, ...shape));
  network.setWeights(weights);
  tf.dispose(weights);
  const [view, start] = [whole(random, 10, 9, 3), whole(random, 10, 9, 3)];
  const shifts = Array.from({ length: 20 }, () => [0, 1].map(() => Math.floor(3 * random()) - 1));
  const preprocess = { order: "bgr", mean: [100, 120, 130], deviation: [60, 50, 70] } as const;
  const model = await loadModel(network, { name: "colour", preprocess, output: { each: "numbers" } });
  const priors = { alpha: 6, beta: 2, norm: 0.05, variation: 0.02 };
  return { model, view, options: { rule: "adam", rate: 10, priors, jitter: 1, shifts, start } as const };
}

async function grey() {
  const random = uniforms(3);
  const network: LayersModel = tf.sequential({
    layers: [
      L.conv2d({ inputShape: [8, 8, 1], filters: 3, kernelSize: 3, activation: "relu" }),
      L.flatten(),
      L.dense({ units: 6, name: "code" }),
    ],
  });
  const weights = [[3, 3, 1, 3], [3], [108, 6], [6]].map((shape) => drawn(random, ...shape));
  network.setWeights(weights);
  tf.dispose(weights);
  const [view, start] = [whole(random, 8, 8, 1), whole(random, 8, 8, 1)];
  const model = await loadModel(network, { name: "grey", preprocess: "unit", output: "numbers" });
  const priors = { alpha: 3, beta: 1.5, norm: 0.1, variation: 0.1 };
  return {
    model,
    view,
    options: { rule: "momentum", rate: 6, priors, jitter: 0, channels: [0, 2, 5], start } as const,
  };
}

const all = { layer: "code", steps: 20, momentum: 0.9, batchSize: 8, seeds: [0] };

describe("twenty steps from the same start", () => {
  test.each([["colour", colour], ["grey", grey]] as const)("%s: as on PyTorch", async (name, build) => {
    const { model, view, options } = await build();
    const before = tf.memory().numTensors;
    const { images: [image], losses: [losses], errors: [error] } = await invertCode(model, view, {
      ...all,
      ...options,
    });
    expect(tf.memory().numTensors).toBe(before);
    const wanted = fixture.runs[name];
    losses.forEach((loss, i) => expect(Math.abs(loss - wanted.losses[i]) / wanted.losses[0]).toBeLessThan(1e-3));
    expect(losses.length).toBe(21);
    expect(error).toBe(losses[20]);
    image.forEach((value, i) => expect(Math.abs(value - wanted.image[i]) / 255).toBeLessThan(1e-3));
    model.dispose();
  });
});

describe("inverting", () => {
  test("each seed has a picture of its own, the same in parts and again; the norm alone makes grey", async () => {
    const { model, view, options } = await grey();
    const run = { ...all, ...options, start: undefined, jitter: 1 } satisfies InversionOptions;
    const [one, two] = [
      await invertCode(model, view, { ...run, seeds: [3, 4, 5] }),
      await invertCode(model, view, { ...run, seeds: [3, 4, 5], batchSize: 2 }),
    ];
    expect(one.images[0]).not.toEqual(one.images[1]);
    one.images.forEach((image, i) =>
      image.forEach((value, k) => expect(Math.abs(value - two.images[i][k])).toBeLessThan(0.05))
    );
    const priors = { alpha: 2, beta: 2, norm: 1e5, variation: 0 };
    const flat = await invertCode(model, view, { ...run, priors, rule: "adam", rate: 20, steps: 60 });
    flat.images[0].forEach((value) => expect(Math.abs(value - 127.5)).toBeLessThan(3));
    model.dispose();
  });

  test("a code of zeros is refused, and nothing is left; a stop keeps what there is", async () => {
    const { model, view, options } = await grey();
    const before = tf.memory().numTensors;
    const black = { data: new Float32Array(64), shape: [8, 8, 1] };
    const dense = model.network.getLayer("code");
    const kept = dense.getWeights().map((weight) => tf.clone(weight));
    const zeros = kept.map((weight) => tf.zerosLike(weight));
    dense.setWeights(zeros);
    await expect(invertCode(model, black, { ...all, ...options })).rejects.toThrow("0 everywhere");
    dense.setWeights(kept);
    tf.dispose([...kept, ...zeros]);
    expect(tf.memory().numTensors).toBe(before);
    const stop = new AbortController();
    const run = { ...all, ...options, signal: stop.signal };
    const onStep = ({ step }: { step: number }) => step === 3 && stop.abort(new Error("enough"));
    const { losses, aborted } = await invertCode(model, view, { ...run, onStep: (moment) => void onStep(moment) });
    expect(losses[0].length).toBe(4);
    expect((aborted as Error).message).toBe("enough");
    await expect(invertCode(model, view, run)).rejects.toThrow("enough");
    const failing = () => Promise.reject(new Error("no paint"));
    await expect(invertCode(model, view, { ...all, ...options, onStep: failing })).rejects.toThrow("no paint");
    expect(tf.memory().numTensors).toBe(before);
    model.dispose();
  });

  test("which part of a code counts", () => {
    expect(maskOf([2, 2, 2], {})).toBeNull();
    expect([...maskOf([2, 2, 2], { channels: [1] })!]).toEqual([0, 1, 0, 1, 0, 1, 0, 1]);
    expect([...maskOf([2, 2, 2], { channels: [0], region: [0, 1, 2, 2] })!]).toEqual([0, 0, 1, 0, 0, 0, 1, 0]);
    expect([...maskOf([3], { channels: [0, 2] })!]).toEqual([1, 0, 1]);
  });

  test("pictures go from 0 to 255, other channels a little beyond their own ends", () => {
    expect(rangeOf({ data: new Float32Array([3, 200, 10]), shape: [1, 1, 3] })).toEqual([0, 255]);
    expect(rangeOf({ data: new Float32Array([0, 100]), shape: [1, 1, 2] })).toEqual([-10, 110]);
    expect(rangeOf({ data: new Float32Array([-1, 1, 0]), shape: [1, 1, 3] })[0]).toBeCloseTo(-1.2);
  });
});

describe("shifts", () => {
  test.each([[[2, 4, 3, 2], [1, -2]], [[1, 3, 5, 1], [-1, 0]], [[2, 6, 3], [4]], [[1, 2, 3, 4, 2], [1, -1, 2]]])(
    "of %j by %j: what is inside moves, and back again stands where it stood",
    (shape, by) => {
      const from = Float32Array.from({ length: sizeOf(shape) }, (_, i) => i + 1);
      const into = new Float32Array(from.length).fill(-1);
      shift(from, shape, by, into);
      const cell = (at: number) => shape.map((side, axis) => Math.floor(at / sizeOf(shape.slice(axis + 1))) % side);
      const wanted = Array.from(into, (_, at) => {
        const source = cell(at).map((place, axis) => place - (by[axis - 1] ?? 0));
        if (source.some((place, axis) => place < 0 || place >= shape[axis])) return -1;
        return from[source.reduce((sum, place, axis) => sum * shape[axis] + place, 0)];
      });
      expect([...into]).toEqual(wanted);
      // The way back is the transpose: <shift a, b> = <a, back b>.
      const random = uniforms(3);
      const [a, b] = [0, 1].map(() => Float32Array.from(from, () => random()));
      const [there, back] = [0, 1].map(() => new Float32Array(from.length));
      shift(a, shape, by, there);
      shift(b, shape, by.map((one) => -one), back);
      const product = (x: Float32Array, y: Float32Array) => x.reduce((sum, value, i) => sum + value * y[i], 0);
      expect(product(there, b)).toBeCloseTo(product(a, back), 4);
    },
  );
});

describe("the loop", () => {
  test("goes down a bowl and up a hill, and stays where it may", async () => {
    const start = Float32Array.of(4, -3, 1, 1);
    const bowl = (x: Float32Array) => ({
      values: Float32Array.of(x[0] ** 2 + x[1] ** 2, x[2] ** 2 + x[3] ** 2),
      gradient: x.map((value) => 2 * value),
    });
    for (const rule of ["adam", "momentum"] as const) {
      const run = { steps: 120, rule, rate: rule === "adam" ? 0.2 : 0.02 };
      const down = await optimise(start, bowl, run);
      expect(Math.max(...down.numbers.map(Math.abs))).toBeLessThan(0.05);
      expect([...down.values[0]]).toEqual([25, 2]);
      const up = await optimise(start, bowl, { ...run, ascend: true, range: [-5, 5] });
      expect([...up.numbers]).toEqual([5, -5, 5, 5]);
      expect(up.values.length).toBe(120);
    }
    expect([...start]).toEqual([4, -3, 1, 1]);
  });
});
