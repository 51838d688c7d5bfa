/**
 * Noise that a model is sure of, made by its gradient.
 *
 * Nguyen, Yosinski and Clune 2015, "Deep Neural Networks are Easily Fooled: High Confidence Predictions for Unrecognizable
 * Images", §2.4: gradient ascent of a class's score, here from noise.
 *
 * @module
 */

import { sizeOf } from "../../array.ts";
import { inPlaceOf, type InputArray } from "../../data/given.ts";
import type { Model } from "../../model/model.ts";
import { randomStream } from "../../random.ts";
import { forward } from "../forward.ts";
import { PixelGradient } from "../optimise/pixel_gradient.ts";
import type { OutputTarget } from "../output_target.ts";

/** How noise is turned into what a model is sure of. */
export interface NoiseOptions {
  /** At which probability it is sure enough. @default 0.99 */
  enough?: number;
  /** How many steps at most. @default 200 */
  steps?: number;
  /** By how much each value moves in a step, of 255. @default 2 */
  rate?: number;
  /** Of the noise. @default 0 */
  seed?: number;
  signal?: AbortSignal;
  /** Called after each step. */
  onProgress?: (done: number, total: number) => void;
}

/** What came of it. */
export interface FromNoise {
  /** The noise, and what became of it: whole numbers 0…255. */
  start: Float32Array;
  pixels: Float32Array;
  /** How sure the model is of the target, before the first step and after each. */
  history: number[];
}

/** Noise: each value drawn evenly from 0…255. */
export function noiseOf(shape: readonly number[], seed: number): Float32Array {
  const random = randomStream(seed, 3);
  return Float32Array.from({ length: sizeOf(shape) }, () => Math.floor(256 * random()));
}

/**
 * Moves noise along the signs of the gradient of a target's score until the model gives the target a probability. Each step
 * ends at whole numbers of 0…255: what is found is what can be saved.
 *
 * @param like an image as the model sees it, of which the values are replaced
 */
export async function noiseTo(
  model: Model,
  like: InputArray,
  target: OutputTarget,
  { enough = 0.99, steps = 200, rate = 2, seed = 0, signal, onProgress }: NoiseOptions = {},
): Promise<FromNoise> {
  const start = noiseOf(like.shape, seed);
  const gradients = await PixelGradient.of(model, [target], { batchSize: 1, inputs: like });
  const { tf } = gradients;
  const sureOf = async (pixels: Float32Array) => {
    const [{ data }] = await forward(model, [model.input(inPlaceOf(like, pixels))], [model.output.index], { signal });
    return model.output.values(data)[target.index];
  };
  try {
    let pixels = start;
    const history = [await sureOf(pixels)];
    for (let step = 0; step < steps && history[step] < enough; step++) {
      signal?.throwIfAborted();
      const x = tf.tensor(pixels, [1, ...like.shape]);
      let made: ReturnType<PixelGradient["valueAndGradient"]> | undefined;
      try {
        made = gradients.valueAndGradient(x);
        const slope = await made.gradient.data();
        pixels = pixels.map((value, i) => Math.min(255, Math.max(0, Math.round(value + rate * Math.sign(slope[i])))));
      } finally {
        tf.dispose([x, ...made ? [made.value, made.gradient] : []]);
      }
      history.push(await sureOf(pixels));
      onProgress?.(step + 1, steps);
    }
    return { start, pixels, history };
  } finally {
    gradients.dispose();
  }
}
