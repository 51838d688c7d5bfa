/**
 * Several attribution methods beside one photo.
 *
 * @module
 */

import { kindOf } from "../errors.ts";
import { Attribution, AttributionFigureOptions } from "../results/attribution.ts";
import { readOptions } from "../options.ts";
import { Comparison } from "../results/comparison.ts";

/**
 * Puts the results of several methods beside the photo, each with its own scale above it.
 *
 * @param results of one image, in the order in which they are shown
 * @param options how the maps are painted, one for all: `clip`, `palette`, `opacity`
 * @throws {TypeError} if it is not an array of attributions
 * @throws {RangeError} if there is no result, or they are of different images
 *
 * @example
 * ```ts
 * import { compare, gradCam, inputXGradient, loadModel, photo, saliency } from "@convlens/convlens";
 *
 * const model = await loadModel("resnet50");
 * const dog = await photo("dog");
 * compare([await saliency(model, dog), await inputXGradient(model, dog), await gradCam(model, dog)]);
 * ```
 */
export function compare(results: readonly Attribution[], options: Partial<AttributionFigureOptions> = {}): Comparison {
  const painting = readOptions("compare", AttributionFigureOptions, options);
  const given: unknown = results;
  if (!Array.isArray(given) || given.some((one) => !(one instanceof Attribution))) {
    const invalid = Array.isArray(given) ? given.find((one) => !(one instanceof Attribution)) : given;
    throw new TypeError(
      `compare takes an array of attributions, as [await saliency(model, dog)]: received ${
        Array.isArray(given) ? "an array with " : ""
      }${kindOf(invalid)}.`,
    );
  }
  if (results.length === 0) throw new RangeError("There is nothing to compare; wanted at least one attribution.");
  const [{ image, name }] = results;
  const other = results.find((result) =>
    result.image.shape.join() !== image.shape.join() || result.image.data.some((value, i) => value !== image.data[i])
  );
  if (other) {
    throw new RangeError(
      `Only attributions of one image are compared: received ${JSON.stringify(name)}, ${image.shape.join("×")}, and ` +
        `${JSON.stringify(other.name)}, ${other.image.shape.join("×")}.`,
    );
  }
  return new Comparison(results, painting);
}
