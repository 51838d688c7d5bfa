/**
 * Input times gradient: what each pixel contributes to a class's score, to first order.
 *
 * Shrikumar et al., "Not Just a Black Box: Learning Important Features Through Propagating Activation Differences"
 * (2016), §3.3.
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
  RUN_OPTIONS,
  type RunOptions,
  subjectsOf,
  sumOfColors,
  toPixels,
} from "../probe/attribution/attribute.ts";
import type { Target } from "../probe/target.ts";

export interface InputXGradientOptions extends RunOptions {
  /**
   * What is explained: a label, an index, `"predicted"`, a function of the outputs, a unit `{ layer, channel, cell }`; or
   * an array of these, one an image.
   * @default "predicted"
   */
  target?: Target | readonly Target[];
}

/**
 * Multiplies the network's input, which is the image after the model's preprocessing, by the gradient of the target's
 * score to it. Of a network without biases the sum of all values is the score.
 *
 * @param image an image, a path, or pixels `[h, w, 3]` of 0…255; or an array of these
 * @returns `values` `[h, w, 3]` in RGB order; `map` `[h, w]`, the sum of each pixel's three colours, signed; for an array
 *   of images or of targets one result a pair
 * @throws {RangeError} if a target does not exist, or images and targets do not pair up
 * @throws {TypeError} if the network cannot be differentiated
 *
 * @example
 * ```ts
 * const map = await inputXGradient(model, await photo("dog"), { target: 245 });
 * ```
 */
export async function inputXGradient(
  model: Model,
  image: ImageLike,
  options?: InputXGradientOptions & { target?: Target },
): Promise<Attribution>;
export async function inputXGradient(
  model: Model,
  image: ImageLike | readonly ImageLike[],
  options?: InputXGradientOptions,
): Promise<Attribution[]>;
export async function inputXGradient(
  model: Model,
  image: ImageLike | readonly ImageLike[],
  options: InputXGradientOptions = {},
): Promise<Attribution | Attribution[]> {
  checkModel("inputXGradient", model);
  const { target, ...run } = checkOptions("inputXGradient", options, { target: true, ...RUN_OPTIONS });
  const { subjects, many } = await subjectsOf(model, image, target, run);
  const results: Attribution[] = [];
  await eachGradient(model, subjects.length, (i) => subjects[i], (i, gradient, score) => {
    const { input } = subjects[i];
    const values = toPixels(model, input.data.map((value, j) => value * gradient[j]), input.shape);
    results[i] = new Attribution({
      method: "input × gradient",
      ...described(model, subjects[i]),
      values,
      map: sumOfColors(values),
      score,
      signed: true,
      paint: "map",
      about: "The network's input times the gradient of the score to it, summed over the colours.",
    });
  }, run);
  return many ? results : results[0];
}
