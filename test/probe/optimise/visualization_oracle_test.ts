import type { Tensor } from "@tensorflow/tfjs";
import { describe, expect, test } from "vitest";
import { loadModel } from "../../../mod.ts";
import type { Affine } from "../../../lib/data/warp.ts";
import { cellWindow } from "../../../lib/model/cell_window.ts";
import { ascend, type AscentOptions, likeness } from "../../../lib/probe/optimise/ascent.ts";
import { scoresOf } from "../../../lib/probe/optimise/evidence.ts";
import { fourierImages } from "../../../lib/probe/optimise/parametrization.ts";
import { REGULARIZERS } from "../../../lib/probe/optimise/pixel_regularizers.ts";
import {
  drawTransformation,
  standardTransformations,
  strengthAt,
  warped,
  warpedBack,
} from "../../../lib/probe/optimise/transformations.ts";
import { laidBack, laidOver } from "../../../lib/probe/optimise/transparency.ts";
import { resolveTarget, type UnitTarget } from "../../../lib/probe/target.ts";
import { ensureBackend } from "../../../lib/runtime/backend.ts";
import fixture from "../../oracles/fixtures/visualization.json" with { type: "json" };

const tf = await ensureBackend();

/** The largest difference, as a share of the largest number. */
function difference(found: ArrayLike<number>, wanted: readonly number[]): number {
  expect(found.length).toBe(wanted.length);
  const largest = wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return wanted.reduce((most, value, i) => Math.max(most, Math.abs(value - found[i])), 0) / largest;
}

/** The value of a function and its gradient for `dy`, as arrays. */
async function through(f: (x: Tensor) => Tensor, x: number[], shape: number[], dy: number[]) {
  const [value, gradient] = tf.tidy(() => {
    const input = tf.tensor(x, shape);
    const value = f(input);
    return [value, tf.grad((x) => tf.sum(tf.mul(f(x), tf.tensor(dy, value.shape))))(input)];
  });
  const found = await Promise.all([value.data(), gradient.data()]);
  tf.dispose([value, gradient]);
  return found;
}

describe(`as ${fixture.source} has it`, () => {
  test.each(fixture.fourier)("Fourier coefficients as pixels $shape, decay $decay, and their gradient", async (one) => {
    const { shape, decay, numbers, pixels, dy, gradient } = one;
    const before = tf.memory().numTensors;
    const images = fourierImages(tf, shape, { decay });
    const found = await through(images.pixels, numbers, [1, ...images.shape], dy);
    const back = tf.tidy(() => images.back(tf.tensor(pixels, [1, ...shape]), tf.tensor(dy, [1, ...shape])));
    images.dispose();
    expect(difference(found[0], pixels)).toBeLessThan(1e-5);
    expect(difference(found[1], gradient)).toBeLessThan(1e-4);
    expect(difference(await back.data(), gradient)).toBeLessThan(1e-4);
    back.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });

  test.each(fixture.warps)("images $shape warped, and the gradient", ({ shape, map, image, dy, ...wanted }) => {
    const sides = [1, ...shape];
    const moves = map as unknown as Affine;
    expect(difference(warped(Float32Array.from(image), sides, moves), wanted.warped)).toBeLessThan(1e-5);
    expect(difference(warpedBack(Float32Array.from(dy), sides, moves), wanted.gradient)).toBeLessThan(1e-4);
  });

  test("how alike images are by their Gram matrices", async () => {
    const { shape, maps, mean } = fixture.likeness;
    const found = tf.tidy(() => likeness(tf, tf.tensor(maps, shape)));
    expect(difference(await found.data(), mean)).toBeLessThan(1e-5);
    found.dispose();
  });

  test.each(fixture.networks)("twenty steps on a network of $channels channels", async (one) => {
    const { side, channels, target, weights, numbers, maps, scores, pixels } = one;
    const before = tf.memory().numTensors;
    const sides = [side, side, channels];
    const network = tf.sequential();
    for (const [i, filters] of [4, 5].entries()) {
      network.add(tf.layers.conv2d({
        filters,
        kernelSize: 3,
        padding: "same",
        activation: "relu",
        useBias: false,
        name: `conv${i + 1}`,
        ...i === 0 && { inputShape: sides },
      }));
    }
    network.setWeights(weights.map((values, i) => tf.tensor(values, [3, 3, i === 0 ? channels : 4, 4 + i])));
    const model = await loadModel(network, { preprocess: "unit", output: "map" });
    const unit = resolveTarget(model, { layer: "conv2", ...target }) as UnitTarget;
    const options: AscentOptions = {
      sides,
      steps: scores.length,
      seed: 0,
      parametrization: "fourier",
      fourier: {},
      regularizers: REGULARIZERS.none,
      transformations: standardTransformations(side),
      learningRate: 0.1,
      deviation: 0,
      diversity: null,
      alpha: false,
      batchSize: 8,
      given: { numbers: Float32Array.from(numbers), maps: maps as unknown as Affine[] },
    };
    const [made] = await ascend(model, [{ target: unit.cell ? unit : { ...unit, over: "mean" }, index: 0 }], options);
    expect(difference(made!.scores, scores)).toBeLessThan(1e-3);
    expect(difference(made!.image.data, pixels)).toBeLessThan(1e-3);
    network.dispose();
    expect(tf.memory().numTensors).toBeLessThanOrEqual(before + 4);
  });
});

test("transformations are whole up to a share of the steps, then fade to none", () => {
  const moves = { ...standardTransformations(224), until: 0.5 };
  const strengths = Array.from({ length: 100 }, (_, step) => strengthAt(moves, step, 100));
  expect(strengths.slice(0, 51).every((value) => value === 1)).toBe(true);
  expect(strengths[70]).toBeCloseTo(0.5, 9);
  expect(strengths.slice(90).every((value) => value < 1e-9)).toBe(true);
  expect(Array.from({ length: 100 }, (_, step) => strengthAt({ ...moves, until: 1 }, step, 100))).not.toContain(0);
  const [a, b, c, d] = drawTransformation(moves, 0.1, 4).matrix;
  expect(Math.abs(Math.hypot(a, c) - 1)).toBeLessThanOrEqual(0.005);
  expect(Math.abs(Math.atan2(c, d))).toBeLessThanOrEqual(0.5 * Math.PI / 180);
  expect(b).toBeCloseTo(-c, 12);
  expect(drawTransformation(moves, 0, 4)).toEqual({ matrix: [1, 0, 0, 1], shift: [0, 0] });
});

test("a part of an image that is made alone scores in the whole image, which repeats it, as it did alone", async () => {
  const model = await loadModel("cifar-convnet");
  const sides = [32, 32, 3];
  const options = {
    sides,
    seed: 3,
    parametrization: "fourier",
    fourier: {},
    regularizers: REGULARIZERS.none,
    transformations: null,
    learningRate: 0.1,
    deviation: 0.01,
    diversity: null,
    alpha: false,
    batchSize: 8,
  } as const;
  for (const cell of [[8, 8], [0, 15]] as const) {
    const target = resolveTarget(model, { layer: "conv2_1", channel: 7, cell: [...cell] });
    const window = cellWindow(model.network, "conv2_1", cell, sides, { margin: 1 })!;
    expect(window.sides[0] * window.sides[1]).toBeLessThan(200);
    const wanted = [{ target, window, index: 0 }];
    const [made] = await ascend(model, wanted, { ...options, steps: 8 });
    // What is scored before the ninth step is the image after eight.
    const [on] = await ascend(model, wanted, { ...options, steps: 9 });
    expect(made!.image.shape).toEqual(sides);
    const [score] = await scoresOf(model, target, [made!.image], {});
    expect(score).toBeGreaterThan(0);
    expect(Math.abs(score / on!.scores[8] - 1)).toBeLessThan(1e-3);
    const [top, left] = window.origin;
    const at = (y: number, x: number) => made!.image.data[(y * 32 + x) * 3];
    const again = top >= window.sides[0] ? -window.sides[0] : window.sides[0];
    expect(at(top + again, left)).toBe(at(top, left));
  }
});

describe("differences of scores", () => {
  const sides = [6, 7, 3];

  test("agree with the gradient back through transparency, turn and scale, sigmoid, colours and coefficients", async () => {
    const images = fourierImages(tf, [6, 7, 4]);
    const map: Affine = { matrix: [1.04, -0.08, 0.08, 1.04], shift: [0.7, -1] };
    const shape = [2, ...sides];
    const behind = images.draw([9], 60).slice(0, 6 * 7 * 3).map((value) => 120 + value);
    const weights = Float32Array.of(...images.draw([5], 1).slice(0, 126), ...images.draw([6], 1).slice(0, 126));
    const pixelsOf = async (numbers: Float32Array) => {
      const pixels = tf.tidy(() => images.pixels(tf.tensor(numbers, [2, ...images.shape])));
      const values = await pixels.data() as Float32Array;
      pixels.dispose();
      return values;
    };
    /** Of each image the weighted sum of what is seen, as far as it is not opaque. */
    const valuesOf = (pixels: Float32Array) => {
      const seen = warped(laidOver(pixels, behind, 3), shape, map);
      return [0, 1].map((i) => {
        const own = seen.subarray(i * 126, (i + 1) * 126);
        return own.reduce((sum, value, k) => sum + value * weights[i * 126 + k], 0);
      });
    };
    const costed = (pixels: Float32Array) =>
      valuesOf(pixels).reduce((sum, value, i) => {
        const opaque = pixels.subarray(i * 168, (i + 1) * 168).filter((_, k) => k % 4 === 3);
        return sum + value * (1 - opaque.reduce((sum, value) => sum + value, 0) / 255 / 42);
      }, 0);
    const x = new Float32Array([...images.draw([1], 0.2), ...images.draw([3], 0.2)]);
    const step = new Float32Array([...images.draw([2], 1), ...images.draw([4], 1)]);
    const pixels = await pixelsOf(x);
    const slope = {
      values: Float32Array.from(valuesOf(pixels)),
      gradient: warpedBack(weights, shape, map),
    };
    const back = tf.tidy(() =>
      images.back(tf.tensor(pixels, [2, 6, 7, 4]), tf.tensor(laidBack(pixels, behind, slope, 3), [2, 6, 7, 4]))
    );
    const along = (await back.data() as Float32Array).reduce((sum, value, i) => sum + value * step[i], 0);
    const at = async (by: number) => costed(await pixelsOf(x.map((value, i) => value + by * step[i])));
    const differences = (await at(2e-3) - await at(-2e-3)) / 4e-3;
    expect(Math.abs(differences - along) / Math.abs(along)).toBeLessThan(5e-3);
    images.dispose();
    back.dispose();
  });

  test("of an image's own coefficients give the image back, also of odd sides and one channel", async () => {
    for (const shape of [[6, 7, 3], [5, 4, 1], [8, 8, 2]]) {
      const images = fourierImages(tf, shape);
      const data = images.draw([3], 1).slice(0, shape.reduce((a, b) => a * b)).map((value) =>
        Math.min(240, Math.max(15, 128 + 60 * value))
      );
      const pixels = tf.tidy(() => images.pixels(tf.tensor(images.numbersOf({ data, shape }), [1, ...images.shape])));
      expect(difference(await pixels.data(), [...data])).toBeLessThan(1e-5);
      pixels.dispose();
      images.dispose();
    }
  });
});
