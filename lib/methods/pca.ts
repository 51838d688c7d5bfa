/**
 * Principal components: the directions in which points differ most.
 *
 * Halko, Martinsson and Tropp 2011, "Finding structure with randomness" (Algorithms 4.4 and 5.3), for large arrays.
 *
 * @module
 */

import { principalComponents } from "../embed/pca.ts";
import { type PointsLike, readPoints } from "../embed/points.ts";
import { readOptions, whole } from "../options.ts";
import { PrincipalComponents } from "../results/principal_components.ts";

/** The options of `pca`. */
export class PcaOptions {
  /**
   * How many components.
   * @default 2
   */
  @whole(1)
  components = 2;
  /**
   * Of the randomised method, for large arrays: it starts from here.
   * @default 0
   */
  @whole()
  seed = 0;
}

/**
 * Finds the directions in which points differ most, and where the points lie along them.
 *
 * Exact (to rounding) where the points or their dimensions are at most 512, or 1024 if more than 16 components are
 * wanted; otherwise by the randomised method of Halko, Martinsson and Tropp 2011, "Finding structure with randomness",
 * with 4 power iterations.
 *
 * @param points `[n, d]`: what `codes` returned, any other result that has points, or any array
 * @returns `points` `[n, components]`, the `components` themselves `[components, d]`, and the variance along each
 * @throws {TypeError} if it is no array of shape [n, d]
 * @throws {RangeError} if there are fewer than 2 points, a number is not finite, or `components` is not a whole number
 *   from 1 to min(n, d)
 *
 * @example
 * ```ts
 * import { cifar10, codes, loadModel, pca, tsne } from "@convlens/convlens";
 * const images = await codes(await loadModel("cifar-convnet"), await cifar10({ split: "test", limit: 400 }));
 * const small = pca(images, { components: 50 });
 * await tsne(small);
 * ```
 */
export function pca(points: PointsLike, options: Partial<PcaOptions> = {}): PrincipalComponents {
  const all = readOptions("pca", PcaOptions, options);
  const from = readPoints(points, 2);
  return new PrincipalComponents(from, principalComponents(from, all));
}
