/**
 * Guided backpropagation: the gradient, of which each ReLU lets back only what is positive and went through it.
 *
 * Springenberg et al., "Striving for Simplicity: The All Convolutional Net" (2014), §3.4.
 *
 * @module
 */

import { mapGradients } from "../probe/attribution/gradients.ts";
import { largestMagnitude, toPixels } from "../probe/attribution/pixels.ts";
import { requireRelus } from "../probe/attribution/rectifiers.ts";
import { type AttributionFunction, attributionMethod, AttributionOptions } from "./shared/attribution_method.ts";

/** Options of {@linkcode guidedBackprop}. */
export class GuidedBackpropOptions extends AttributionOptions {}

/**
 * Differentiates a target's score to the image by the rule of guided backpropagation. A pattern that comes out is of the
 * image as much as of the class: see `sanityCheck` before reading much into it.
 *
 * Gives `values`, `[h, w, 3]` in RGB order, shown as colours, and `map`, `[h, w]`, the largest magnitude of each pixel's
 * three colours. Throws a `RangeError` if a target does not exist, a `TypeError` if an activation other than a ReLU leads
 * to the target; the message names it.
 *
 * @example
 * ```ts
 * import { guidedBackprop, loadModel, photo } from "@convlens/convlens";
 * const model = await loadModel("resnet50");
 * await guidedBackprop(model, await photo("dog"));
 * await guidedBackprop(model, await photo("dog"), { target: { layer: "activation_40", channel: 7 } });
 * ```
 */
export const guidedBackprop: AttributionFunction<GuidedBackpropOptions> = attributionMethod({
  name: "guidedBackprop",
  options: GuidedBackpropOptions,
  async attribute({ model, inputs, options }) {
    const of = await inputs();
    for (const { target } of of) requireRelus(model, target, "Guided backpropagation");
    return await mapGradients(model, of, { ...options, relu: "guided" }, (gradient, of, score) => {
      return {
        method: "guided backprop",
        of,
        ...toPixels(model, gradient, of.input.shape, largestMagnitude),
        score,
        signed: false,
        paint: "colors",
        about: "The gradient, of which each ReLU lets back only what is positive and went through it. " +
          "Over the photo: of each pixel the greatest magnitude of its colours.",
        whyZero: "Nothing positive came back through the ReLUs.",
      };
    });
  },
});
