/**
 * The gradient of a class's score to the pixels: which of them matter most to it.
 *
 * Simonyan, Vedaldi and Zisserman, "Deep Inside Convolutional Networks" (2013), §3.
 *
 * @module
 */

import type { ImageLike } from "../data/image.ts";
import { checkOptions } from "../errors.ts";
import { Attribution } from "../results/attribution.ts";
import { checkModel, type Model } from "../model/model.ts";
import {
  described,
  eachGradient,
  greatestMagnitude,
  greatestSigned,
  RUN_OPTIONS,
  type RunOptions,
  subjectsOf,
  toPixels,
} from "../probe/attribution/attribute.ts";
import type { Target } from "../probe/target.ts";

export interface SaliencyOptions extends RunOptions {
  /**
   * What is explained: a label, an index, `"predicted"`, a function of the outputs, a unit `{ layer, channel, cell }`; or
   * an array of these, one an image.
   * @default "predicted"
   */
  target?: Target | readonly Target[];
  /**
   * Whether the map keeps the sign of the gradient: positive where a higher value would raise the score.
   * @default false
   */
  signed?: boolean;
}

/**
 * Differentiates a target's score to the image.
 *
 * The score of a class is the number before the last softmax or sigmoid (§3 of the paper; for the probability give a
 * function as the target). The gradient is to the network's input, that is to pixels after the model's preprocessing.
 *
 * @param image an image, a path, or pixels `[h, w, 3]` of 0…255; or an array of these
 * @returns `values`, the gradient, `[h, w, 3]` in RGB order; `map` `[h, w]`, of each pixel's three colours the greatest
 *   magnitude, with `signed` the one of the greatest magnitude; for an array of images or of targets one result a pair
 * @throws {RangeError} if a target does not exist, or images and targets do not pair up
 * @throws {TypeError} if the network cannot be differentiated
 *
 * @example
 * ```ts
 * const map = await saliency(model, await photo("dog"), { target: "French bulldog" });
 * ```
 */
export async function saliency(
  model: Model,
  image: ImageLike,
  options?: SaliencyOptions & { target?: Target },
): Promise<Attribution>;
export async function saliency(
  model: Model,
  image: ImageLike | readonly ImageLike[],
  options?: SaliencyOptions,
): Promise<Attribution[]>;
export async function saliency(
  model: Model,
  image: ImageLike | readonly ImageLike[],
  options: SaliencyOptions = {},
): Promise<Attribution | Attribution[]> {
  checkModel("saliency", model);
  const { target, signed = false, ...run } = checkOptions("saliency", options, {
    target: true,
    signed: true,
    ...RUN_OPTIONS,
  });
  const { subjects, many } = await subjectsOf(model, image, target, run);
  const results: Attribution[] = [];
  await eachGradient(model, subjects.length, (i) => subjects[i], (i, gradient, score) => {
    const values = toPixels(model, gradient, subjects[i].input.shape);
    results[i] = new Attribution({
      method: "saliency",
      ...described(model, subjects[i]),
      values,
      map: signed ? greatestSigned(values) : greatestMagnitude(values),
      score,
      signed,
      paint: "map",
      about: `Gradient of the score to the network's input, of each pixel the ${
        signed ? "colour" : "magnitude of the colour"
      } where it is greatest.`,
    });
  }, run);
  return many ? results : results[0];
}
