/**
 * Input times gradient: what each pixel contributes to a class's score, to first order.
 *
 * Shrikumar et al., "Not Just a Black Box: Learning Important Features Through Propagating Activation Differences"
 * (2016), §3.3.
 *
 * @module
 */

import { mapGradients } from "../probe/attribution/gradients.ts";
import { sumOfChannels, toPixels } from "../probe/attribution/pixels.ts";
import { type AttributionFunction, attributionMethod, AttributionOptions } from "./shared/attribution_method.ts";

/** Options of {@linkcode inputXGradient}. */
export class InputXGradientOptions extends AttributionOptions {}

/**
 * Multiplies the network's input, which is the image after the model's preprocessing, by the gradient of the target's
 * score to it. Of a network without biases the sum of all values is the score.
 *
 * Gives `values`, `[h, w, 3]` in RGB order, and `map`, `[h, w]`, the sum of each pixel's three colours, signed. Throws a
 * `RangeError` if a target does not exist or images and targets do not pair up, a `TypeError` if the network cannot be
 * differentiated.
 *
 * @example
 * ```ts
 * import { inputXGradient, loadModel, photo } from "@convlens/convlens";
 * const map = await inputXGradient(await loadModel("resnet50"), await photo("dog"), { target: 245 });
 * ```
 */
export const inputXGradient: AttributionFunction<InputXGradientOptions> = attributionMethod({
  name: "inputXGradient",
  options: InputXGradientOptions,
  attribute: async ({ model, inputs, options }) =>
    await mapGradients(model, await inputs(), options, (gradient, of, score) => {
      const products = of.input.data.map((value, j) => value * gradient[j]);
      const about = "The network's input times the gradient of the score to it, summed over the colours.";
      return {
        method: "input × gradient",
        of,
        ...toPixels(model, products, of.input.shape, sumOfChannels),
        score,
        signed: true,
        paint: "map",
        about,
        ...gradient.some((value) => value !== 0) &&
          { whyZero: "Wherever the score changes, the network's input is 0." },
      };
    }),
});
