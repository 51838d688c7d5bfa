/**
 * The gradient of a class's score to the pixels: which of them matter most to it.
 *
 * Simonyan, Vedaldi and Zisserman, "Deep Inside Convolutional Networks" (2013), §3.
 *
 * @module
 */

import { flag } from "../options.ts";
import { mapGradients } from "../probe/attribution/gradients.ts";
import { largestMagnitude, largestSigned, toPixels } from "../probe/attribution/pixels.ts";
import { type AttributionFunction, attributionMethod, AttributionOptions } from "./shared/attribution_method.ts";

/** Options of {@linkcode saliency}. */
export class SaliencyOptions extends AttributionOptions {
  /**
   * Whether the map keeps the sign of the gradient: positive where a higher value would raise the score.
   * @default false
   */
  @flag()
  signed = false;
}

/**
 * Differentiates a target's score to the network's input, that is to pixels after the model's preprocessing.
 *
 * The score of a class is the number before the last softmax or sigmoid (§3; for the probability give a function as the
 * target). Gives `values`, the gradient, `[h, w, 3]` in RGB order, and `map`, `[h, w]`, of each pixel's three colours the
 * largest magnitude; with `signed` the one of the largest magnitude. Throws a `RangeError` if a target does not exist or
 * images and targets do not pair up, a `TypeError` if the network cannot be differentiated.
 *
 * @example
 * ```ts
 * import { loadModel, photo, saliency } from "@convlens/convlens";
 * const map = await saliency(await loadModel("resnet50"), await photo("dog"), { target: "French bulldog" });
 * ```
 */
export const saliency: AttributionFunction<SaliencyOptions> = attributionMethod({
  name: "saliency",
  options: SaliencyOptions,
  attribute: async ({ model, inputs, options: { signed, ...run } }) =>
    await mapGradients(model, await inputs(), run, (gradient, of, score) => {
      const pixels = toPixels(model, gradient, of.input.shape, signed ? largestSigned : largestMagnitude);
      const which = signed ? "colour" : "magnitude of the colour";
      const about = `Gradient of the score to the network's input, of each pixel the ${which} where it is greatest.`;
      return { method: "saliency", of, ...pixels, score, signed, paint: "map", about };
    }),
});
