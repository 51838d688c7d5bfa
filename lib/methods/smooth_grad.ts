/**
 * SmoothGrad: the gradient averaged over noisy copies of the image.
 *
 * Smilkov et al., "SmoothGrad: removing noise by adding noise" (2017), §3.
 *
 * @module
 */

import { extent } from "../array.ts";
import { flag, whole, within } from "../options.ts";
import { inPlaceOf } from "../data/given.ts";
import { eachGradient, eachScore } from "../probe/attribution/gradients.ts";
import { largestMagnitude, largestSigned, toPixels } from "../probe/attribution/pixels.ts";
import { normalStream } from "../random.ts";
import { withProgress } from "../results/progress.ts";
import {
  type Attributed,
  type AttributionFunction,
  attributionMethod,
  AttributionOptions,
} from "./shared/attribution_method.ts";

/** Options of {@linkcode smoothGrad}. The target `"predicted"` is what the image without noise is taken for. */
export class SmoothGradOptions extends AttributionOptions {
  /**
   * How many noisy copies.
   * @default 50
   */
  @whole(1)
  samples = 50;
  /**
   * The noise's standard deviation as a share of the range of the input's values (their maximum minus their minimum).
   * @default 0.15
   */
  @within(0)
  noise = 0.15;
  /**
   * What the noise is drawn from.
   * @default 0
   */
  @whole()
  seed = 0;
  /**
   * Whether the map keeps the sign of the averaged gradient.
   * @default false
   */
  @flag()
  signed = false;
}

/**
 * Averages the gradient of a target's score over copies of the image with Gaussian noise added. The noise is added to the
 * network's input, as its authors' code does.
 *
 * Gives `values`, the averaged gradient, `[h, w, 3]` in RGB order, and `map`, `[h, w]`, of each pixel's three colours the
 * largest magnitude; with `signed` the one of the largest magnitude. Throws a `RangeError` if a target does not exist or
 * an option does not fit, a `TypeError` if the network cannot be differentiated.
 *
 * @example
 * ```ts
 * import { loadModel, photo, smoothGrad } from "@convlens/convlens";
 * const map = await smoothGrad(await loadModel("resnet50"), await photo("dog"), { samples: 50, noise: 0.15, seed: 1 });
 * ```
 */
export const smoothGrad: AttributionFunction<SmoothGradOptions> = attributionMethod({
  name: "smoothGrad",
  options: SmoothGradOptions,
  async attribute({ model, inputs, options: { samples, noise, seed, signed, onProgress, ...run } }) {
    const all = await inputs();
    const sums = all.map(({ input }) => new Float64Array(input.data.length));
    const deviations = all.map(({ input }) => {
      const [min, max] = extent(input.data);
      return noise * (max - min);
    });
    const noisy = (i: number) => {
      const of = Math.floor(i / samples);
      const { input, target } = all[of];
      // Each copy has a stream of its own: what it is depends neither on the batches nor on the other images.
      const normal = normalStream(seed, i % samples);
      return { input: inPlaceOf(input, input.data.map((value) => value + deviations[of] * normal())), target };
    };
    const add = (i: number, gradient: Float32Array) => {
      const sum = sums[Math.floor(i / samples)];
      for (let j = 0; j < sum.length; j++) sum[j] += gradient[j];
    };
    const total = all.length * samples;
    const work = (update: (done: number) => void) =>
      eachGradient(model, total, noisy, add, { ...run, onProgress: update });
    await withProgress(`SmoothGrad of ${model.name}`, total, work, onProgress);
    const made: Attributed[] = [];
    for (const [i, of] of all.entries()) {
      const mean = sums[i].map((sum) => sum / samples);
      const [score] = await eachScore(model, of.target, 1, () => of.input, { signal: run.signal });
      made.push({
        method: "SmoothGrad",
        of,
        ...toPixels(model, mean, of.input.shape, signed ? largestSigned : largestMagnitude),
        score,
        signed,
        paint: "map",
        whyZero: "The score of no copy changes with any pixel: the gradients are 0, as behind ReLUs that do not fire.",
        about: `Gradient of the score, averaged over ${samples} copies with Gaussian noise of ` +
          `${Number((100 * noise).toPrecision(3))} % of the input's range (seed ${seed}); of each pixel the ${
            signed ? "colour" : "magnitude of the colour"
          } where it is greatest.`,
      });
    }
    return made;
  },
});
