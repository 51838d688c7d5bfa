/**
 * Guided backpropagation: the gradient, of which each ReLU lets back only what is positive and went through it.
 *
 * Springenberg et al., "Striving for Simplicity: The All Convolutional Net" (2014), §3.4.
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
  RUN_OPTIONS,
  type RunOptions,
  subjectsOf,
  toPixels,
} from "../probe/attribution/attribute.ts";
import { requireRelus } from "../probe/attribution/rectifiers.ts";
import { type Target, UNIT, type Unit } from "../probe/target.ts";

export interface GuidedBackpropOptions extends RunOptions, Partial<Unit> {
  /**
   * What is explained: a label, an index, `"predicted"`, a function of the outputs; or an array of these, one an image.
   * A unit is named by `layer`, `channel` and `cell`, or as a target.
   * @default "predicted"
   */
  target?: Target | readonly Target[];
}

/**
 * Differentiates a target's score, or a unit's activation, to the image by the rule of guided backpropagation. A pattern
 * that comes out is of the image as much as of the class: see `sanityCheck` before reading much into it.
 *
 * @param image an image, a path, or pixels `[h, w, 3]` of 0…255; or an array of these
 * @param options.layer with `channel`, and `cell` if it is not the strongest: the unit to explain, instead of a `target`
 * @returns `values` `[h, w, 3]` in RGB order, shown as colours; `map` `[h, w]`, the greatest magnitude of each pixel's
 *   three colours; for an array of images or of targets one result a pair
 * @throws {RangeError} if a target, a layer, a channel or a cell does not exist
 * @throws {TypeError} if an activation other than a ReLU is on the way, which is named; or if both a `target` and a
 *   `layer` are given
 *
 * @example
 * ```ts
 * await guidedBackprop(model, await photo("dog"));
 * await guidedBackprop(model, await photo("dog"), { layer: "activation_40", channel: 7 });
 * ```
 */
export async function guidedBackprop(
  model: Model,
  image: ImageLike,
  options?: GuidedBackpropOptions & { target?: Target },
): Promise<Attribution>;
export async function guidedBackprop(
  model: Model,
  image: ImageLike | readonly ImageLike[],
  options?: GuidedBackpropOptions,
): Promise<Attribution[]>;
export async function guidedBackprop(
  model: Model,
  image: ImageLike | readonly ImageLike[],
  options: GuidedBackpropOptions = {},
): Promise<Attribution | Attribution[]> {
  checkModel("guidedBackprop", model);
  const { target, layer, channel, cell, ...run } = checkOptions("guidedBackprop", options, {
    target: true,
    ...UNIT,
    ...RUN_OPTIONS,
  });
  if (layer !== undefined && target !== undefined) {
    throw new TypeError("guidedBackprop takes either a target or a layer with a channel: received both.");
  }
  if ((layer === undefined) !== (channel === undefined)) {
    throw new TypeError(
      `A unit has a layer and a channel: received only the ${layer === undefined ? "channel" : "layer"}.`,
    );
  }
  const wanted = layer === undefined ? target : { layer, channel: channel!, ...cell && { cell } };
  const { subjects, many } = await subjectsOf(model, image, wanted, run);
  for (const subject of subjects) requireRelus(model, subject.target, "Guided backpropagation");
  const results: Attribution[] = [];
  await eachGradient(model, subjects.length, (i) => subjects[i], (i, gradient, score) => {
    const values = toPixels(model, gradient, subjects[i].input.shape);
    results[i] = new Attribution({
      method: "guided backprop",
      ...described(model, subjects[i]),
      values,
      map: greatestMagnitude(values),
      score,
      signed: false,
      paint: "colors",
      about: "The gradient, of which each ReLU lets back only what is positive and went through it. " +
        "Over the photo: of each pixel the greatest magnitude of its colours.",
    });
  }, { ...run, relu: "guided" });
  return many ? results : results[0];
}
