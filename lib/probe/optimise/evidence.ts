/**
 * What an optimised image is worth: its score beside those of natural images, of noise with the same spectrum, and of itself
 * after transformations that it was not optimised under.
 *
 * @module
 */

import { NdArray, type NdArrayLike } from "../../array.ts";
import { blurred, noisy } from "../../data/corrupt.ts";
import type { InputArray } from "../../data/given.ts";
import { composed, rotation, scaling, translation, warp } from "../../data/warp.ts";
import type { Model } from "../../model/model.ts";
import type { RunOptions } from "../../options.ts";
import { randomStream } from "../../random.ts";
import { ensureBackend } from "../../runtime/backend.ts";
import { pack } from "../batches.ts";
import { eachScore } from "../attribution/gradients.ts";
import { ScoreFunction } from "../attribution/score_function.ts";
import { fitting } from "../memory.ts";
import { execute } from "../plan.ts";
import { type ResolvedTarget, termsOf } from "../target.ts";
import { fourierImages } from "./parametrization.ts";

type Run = Partial<Pick<RunOptions, "batchSize" | "signal">>;

/**
 * What a target is compared by: of a unit or a direction alone the strongest cell, wherever it is, as `topPatches` has it; of
 * all others the score.
 */
export function measuredBy(target: ResolvedTarget): ResolvedTarget {
  if (target.kind !== "unit" && target.kind !== "direction") return target;
  const { cell: _, ...whole } = target;
  return { ...whole, over: "strongest" };
}

/** The scores of one target for images as the model sees them. */
export const scoresOf = (model: Model, target: ResolvedTarget, views: readonly NdArrayLike[], run: Run) =>
  eachScore(model, target, views.length, (i) => model.input(inputView(model, views[i])), run);

/** An image with the axes that the model wants: grey ones may come without channels. */
const inputView = (model: Model, { data, shape }: NdArrayLike): NdArrayLike =>
  model.inputShape.length === 2 ? { data, shape: shape.slice(0, 2) } : { data, shape };

/** The largest score that each target has for any of some inputs. Those that are read at one place run together. */
export async function largestScores(
  model: Model,
  targets: readonly ResolvedTarget[],
  inputs: readonly InputArray[],
  { batchSize = 16, signal }: Run,
): Promise<number[]> {
  const tf = await ensureBackend();
  const largest = targets.map(() => -Infinity);
  const places = targets.map((_, i) => i);
  for (const own of Map.groupBy(places, (i) => ScoreFunction.key(targets[i])).values()) {
    const scoreFunction = new ScoreFunction(tf, model, targets[own[0]], true);
    const size = fitting(tf, scoreFunction.plan, batchSize);
    const batches = function* () {
      for (let start = 0; start < inputs.length; start += size) {
        yield () => pack(tf, inputs.slice(start, start + size));
      }
    };
    await execute(tf, scoreFunction.plan, batches(), async (outputs) => {
      const n = outputs[0].shape[0];
      const scores = tf.tidy(() =>
        tf.stack(own.map((i) => tf.max(scoreFunction.score(outputs, new Array(n).fill(targets[i])))))
      );
      try {
        (await scores.data()).forEach((score, i) => largest[own[i]] = Math.max(largest[own[i]], score));
      } finally {
        scores.dispose();
      }
    }, signal);
  }
  return largest;
}

/**
 * Images with the spectrum of another, before the sigmoid: each wave as strong as there, at a random place; all channels of a
 * wave move together, so that its colours stay.
 *
 * @param image `[h, w, c]`, 0…255
 */
export async function sameSpectrum(image: NdArrayLike, count: number, ...key: number[]): Promise<NdArray[]> {
  const tf = await ensureBackend();
  const [height, width, channels] = image.shape;
  const fourier = fourierImages(tf, image.shape);
  const numbers = fourier.numbersOf(image);
  const half = Math.floor(width / 2) + 1;
  try {
    return await Promise.all(Array.from({ length: count }, async (_, i) => {
      const random = randomStream(...key, i);
      const turned = new Float32Array(numbers.length);
      for (let kx = 0; kx < half; kx++) {
        const isReal = kx === 0 || 2 * kx === width;
        const phases = Float64Array.from({ length: height }, () => 2 * Math.PI * random());
        for (let ky = 0; ky < height; ky++) {
          const mirror = (height - ky) % height;
          // Of the columns that are their own mirror images, one half is the other's conjugate.
          let phase = phases[ky];
          if (isReal && mirror < ky) phase = -phases[mirror];
          if (isReal && mirror === ky) phase = 0;
          const [cosine, sine] = [Math.cos(phase), Math.sin(phase)];
          for (let c = 0; c < channels; c++) {
            const re = (c * half + kx) * 2 * height + ky;
            const im = re + height;
            turned[re] = numbers[re] * cosine - numbers[im] * sine;
            turned[im] = numbers[re] * sine + numbers[im] * cosine;
          }
        }
      }
      const pixels = tf.tidy(() => fourier.pixels(tf.tensor(turned, [1, ...fourier.shape])));
      try {
        return new NdArray(await pixels.data() as Float32Array, image.shape);
      } finally {
        pixels.dispose();
      }
    }));
  } finally {
    fourier.dispose();
  }
}

/** Transformations that images are not optimised under, or further than they are. */
export const UNSEEN: Readonly<Record<string, (image: NdArrayLike) => NdArray>> = {
  "moved by a tenth": (image) => {
    const [down, right] = image.shape.map((side) => Math.max(1, Math.round(side / 10)));
    return warp(image, translation(down, -right), "reflect");
  },
  "turned by 20°": (image) => warp(image, rotation(20), "reflect"),
  "a quarter smaller": (image) => warp(image, scaling(0.75), "reflect"),
  mirrored: (image) => warp(image, composed({ matrix: [1, 0, 0, -1], shift: [0, 0] }), "reflect"),
  blurred: (image) => blurred(image, Math.max(0.7, Math.min(image.shape[0], image.shape[1]) / 150)),
  noisy: (image) => noisy(image, 15, [0, 7]),
};

/** Random images of the same spectrum, that many. */
const RANDOM = 16;

/** What an optimised image scores, and what it is compared with. */
export interface Evidence {
  /** Of the image: of a unit or a direction at its strongest cell, else the target's score. */
  readonly activation: number;
  /** The same of random images of its spectrum. */
  readonly random: readonly number[];
  /** The same of the image after each of {@linkcode UNSEEN}. */
  readonly unseen: readonly { readonly transformation: string; readonly activation: number }[];
}

/** Measures one image. */
export async function evidenceOf(
  model: Model,
  target: ResolvedTarget,
  image: NdArrayLike,
  key: readonly number[],
  run: Run,
): Promise<Evidence> {
  const noise = await sameSpectrum(image, RANDOM, ...key);
  const changed = Object.entries(UNSEEN).map(([transformation, change]) => ({ transformation, image: change(image) }));
  const all = [image, ...changed.map(({ image }) => image), ...noise];
  const scores = await scoresOf(model, measuredBy(target), all, run);
  return {
    activation: scores[0],
    unseen: changed.map(({ transformation }, i) => ({ transformation, activation: scores[1 + i] })),
    random: [...scores.slice(1 + changed.length)],
  };
}

/** Whether a target is one unit or direction of a layer. */
export const layerOf = (target: ResolvedTarget): string | undefined =>
  target.kind === "unit" || target.kind === "direction" ? target.layer : undefined;

/** The layers that a target is read in. */
export const layersOf = (target: ResolvedTarget): string[] =>
  termsOf(target).flatMap(({ target }) => layerOf(target) ?? []);
