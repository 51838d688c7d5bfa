/**
 * SmoothGrad: the gradient averaged over noisy copies of the image.
 *
 * Smilkov et al., "SmoothGrad: removing noise by adding noise" (2017), §3.
 *
 * @module
 */

import { extent } from "../array.ts";
import type { ImageLike } from "../data/image.ts";
import { checkOptions, checkWhole } from "../errors.ts";
import { Attribution } from "../results/attribution.ts";
import { withProgress } from "../results/progress.ts";
import { checkModel, type Model } from "../model/model.ts";
import {
  described,
  eachGradient,
  eachScore,
  greatestMagnitude,
  greatestSigned,
  RUN_OPTIONS,
  type RunOptions,
  subjectsOf,
  toPixels,
} from "../probe/attribution/attribute.ts";
import { normalStream } from "../random.ts";
import type { Target } from "../probe/target.ts";

export interface SmoothGradOptions extends RunOptions {
  /**
   * What is explained: a label, an index, `"predicted"`, a function of the outputs, a unit `{ layer, channel, cell }`; or
   * an array of these, one an image. `"predicted"` is what the image without noise is taken for.
   * @default "predicted"
   */
  target?: Target | readonly Target[];
  /**
   * How many noisy copies.
   * @default 50
   */
  samples?: number;
  /**
   * The noise's standard deviation as a share of the range of the input's values (their maximum minus their minimum).
   * @default 0.15
   */
  noise?: number;
  /**
   * What the noise is drawn from.
   * @default 0
   */
  seed?: number;
  /**
   * Whether the map keeps the sign of the averaged gradient.
   * @default false
   */
  signed?: boolean;
}

/**
 * Averages the gradient of a target's score over copies of the image with Gaussian noise added. The noise is added to the
 * network's input, as its authors' code does.
 *
 * @param image an image, a path, or pixels `[h, w, 3]` of 0…255; or an array of these
 * @returns `values`, the averaged gradient, `[h, w, 3]` in RGB order; `map` `[h, w]`, of each pixel's three colours the
 *   greatest magnitude, with `signed` the one of the greatest magnitude; for an array of images or of targets one result
 *   a pair
 * @throws {RangeError} if a target does not exist, or `samples` or `noise` is no such number
 * @throws {TypeError} if the network cannot be differentiated
 *
 * @example
 * ```ts
 * const map = await smoothGrad(model, await photo("dog"), { samples: 50, noise: 0.15, seed: 1 });
 * ```
 */
export async function smoothGrad(
  model: Model,
  image: ImageLike,
  options?: SmoothGradOptions & { target?: Target },
): Promise<Attribution>;
export async function smoothGrad(
  model: Model,
  image: ImageLike | readonly ImageLike[],
  options?: SmoothGradOptions,
): Promise<Attribution[]>;
export async function smoothGrad(
  model: Model,
  image: ImageLike | readonly ImageLike[],
  options: SmoothGradOptions = {},
): Promise<Attribution | Attribution[]> {
  checkModel("smoothGrad", model);
  const { target, samples = 50, noise = 0.15, seed = 0, signed = false, ...run } = checkOptions("smoothGrad", options, {
    target: true,
    samples: true,
    noise: true,
    seed: true,
    signed: true,
    ...RUN_OPTIONS,
  });
  checkWhole("samples", samples, 1);
  if (!(noise >= 0 && Number.isFinite(noise))) {
    throw new RangeError(`noise must be a share of the input's range, 0 or more: received ${noise}.`);
  }
  const { subjects, many } = await subjectsOf(model, image, target, run);
  const sums = subjects.map(({ input }) => new Float64Array(input.data.length));
  const deviations = subjects.map(({ input }) => {
    const [min, max] = extent(input.data);
    return noise * (max - min);
  });
  const total = subjects.length * samples;
  await withProgress(`SmoothGrad of ${model.name}`, total, (update) =>
    eachGradient(
      model,
      total,
      (i) => {
        const which = Math.floor(i / samples);
        const { input, target } = subjects[which];
        // Each copy has a stream of its own: what it is depends neither on the batches nor on the other images.
        const normal = normalStream(seed, i % samples);
        return {
          input: { data: input.data.map((value) => value + deviations[which] * normal()), shape: input.shape },
          target,
        };
      },
      (i, gradient) => {
        const sum = sums[Math.floor(i / samples)];
        for (let j = 0; j < sum.length; j++) sum[j] += gradient[j];
      },
      {
        ...run,
        onProgress: (done, count) => {
          update(done);
          run.onProgress?.(done, count);
        },
      },
    ));
  const results: Attribution[] = [];
  for (const [i, subject] of subjects.entries()) {
    const { input } = subject;
    const values = toPixels(model, sums[i].map((sum) => sum / samples), input.shape);
    const [score] = await eachScore(model, subject.target, 1, () => input, { signal: run.signal });
    results.push(
      new Attribution({
        method: "SmoothGrad",
        ...described(model, subject),
        values,
        map: signed ? greatestSigned(values) : greatestMagnitude(values),
        score,
        signed,
        paint: "map",
        about: `Gradient of the score, averaged over ${samples} copies with Gaussian noise of ` +
          `${Number((100 * noise).toPrecision(3))} % of the input's range (seed ${seed}); of each pixel the ${
            signed ? "colour" : "magnitude of the colour"
          } where it is greatest.`,
      }),
    );
  }
  return many ? results : results[0];
}
