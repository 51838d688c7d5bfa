/**
 * Integrated gradients: a class's score shared out among the pixels, along the straight path from a baseline to the image.
 *
 * Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks" (2017), §3 and §5.
 *
 * @module
 */

import type { NdArrayLike } from "../array.ts";
import { inPlaceOf } from "../data/given.ts";
import type { Model } from "../model/model.ts";
import { brief, briefPercent } from "../format.ts";
import { oneOf, whole } from "../options.ts";
import { eachScore } from "../probe/attribution/gradients.ts";
import type { AttributionInput } from "../probe/attribution/inputs.ts";
import { integrate, integrateAdaptively } from "../probe/attribution/path_integral.ts";
import { sumOfChannels, toPixels } from "../probe/attribution/pixels.ts";
import { type Quadrature, quadrature, QUADRATURES } from "../probe/attribution/quadrature.ts";
import { type Baseline, baselinesOf, makeBaseline } from "../probe/attribution/baseline.ts";
import { withProgress } from "../results/progress.ts";
import {
  type Attributed,
  type AttributionFunction,
  attributionMethod,
  AttributionOptions,
} from "./shared/attribution_method.ts";

/** How many gradients a fixed rule takes by default. */
const STEPS = 50;

/** Options of {@linkcode integratedGradients}. */
export class IntegratedGradientsOptions extends AttributionOptions {
  /**
   * Where the path starts: `"grey"`, `"zero"`, `"mean"`, `"blurred"`, `"noise"`, a number 0…255 (0 is black), a colour
   * `[r, g, b]` or an image; of several the results are averaged.
   * @default 0
   */
  baseline: Baseline | readonly Baseline[] = 0;
  /**
   * How many gradients are taken on the path from each baseline.
   * @default as many as bring the `convergenceDelta` below 1 % of the difference of the scores, if 256 do, and placed
   *   where the score changes; with a `rule`, 50
   */
  @whole(1)
  steps?: number;
  /**
   * Where on the path they are taken, and with which weights.
   * @default with `steps`, "gauss-legendre"
   */
  @oneOf(...QUADRATURES)
  rule?: Quadrature;
  /**
   * What the baseline `"noise"` is drawn from.
   * @default 0
   */
  @whole()
  seed = 0;
}

/** A baseline that was made: in words, and as what goes into the network. */
interface Start {
  name: string;
  input: NdArrayLike;
}

const listed = (names: readonly string[]) =>
  names.length === 1 ? names[0] : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;

/** The steps in words. */
function stepsText(taken: readonly number[], adaptive: boolean, rule: Quadrature = "gauss-legendre"): string {
  return `${[...new Set(taken)].join(" and ")} steps, ${adaptive ? "placed where the score changes," : `${rule},`}`;
}

/** The result, with how much the integration misses. */
async function resultFor(
  model: Model,
  of: AttributionInput,
  starts: readonly Start[],
  sum: Float64Array,
  how: string,
  { signal, batchSize }: IntegratedGradientsOptions,
): Promise<Attributed> {
  const ends = [of.input, ...starts.map(({ input }) => input)];
  const [score, ...from] = await eachScore(model, of.target, ends.length, (i) => ends[i], { signal, batchSize });
  const difference = score - from.reduce((total, value) => total + value, 0) / from.length;
  const convergenceDelta = sum.reduce((total, value) => total + value, 0) - difference;
  const by = difference === 0 ? brief(convergenceDelta, 4) : briefPercent(Math.abs(convergenceDelta / difference));
  return {
    method: "integrated gradients",
    of,
    ...toPixels(model, sum, of.input.shape, sumOfChannels),
    score,
    signed: true,
    paint: "map",
    convergenceDelta,
    whyZero: starts.every(({ input }) => input.data.every((value, i) => value === of.input.data[i]))
      ? "The baseline is the image itself."
      : "The score does not change on the way from the baseline to the image: its gradient is 0 there.",
    about:
      `Gradients at ${how} from ${listed(starts.map(({ name }) => name))} to the image, summed over the colours. ` +
      `All values together miss the difference of the scores, ${brief(difference, 4)}, by ${by}.`,
  };
}

/**
 * Integrates the gradient of a target's score along the straight path from a baseline to the image, and multiplies it by
 * the difference of the two. All values together are the score of the image minus that of the baseline, but for what the
 * integration misses: `convergenceDelta`.
 *
 * Gives `values`, `[h, w, 3]` in RGB order; `map`, `[h, w]`, the sum of each pixel's three colours, signed; and
 * `convergenceDelta`, the sum of all values minus the difference of scores. Throws a `RangeError` if a target, a baseline
 * or a rule does not exist, or a baseline has another shape; a `TypeError` if the network cannot be differentiated.
 *
 * @example
 * ```ts
 * import { integratedGradients, loadModel, photo } from "@convlens/convlens";
 * const model = await loadModel("cifar-convnet");
 * const map = await integratedGradients(model, await photo("dog"), { baseline: ["grey", "blurred"] });
 * console.log(map.convergenceDelta);
 * ```
 */
export const integratedGradients: AttributionFunction<IntegratedGradientsOptions> = attributionMethod({
  name: "integratedGradients",
  options: IntegratedGradientsOptions,
  async attribute({ model, inputs, options }) {
    const { baseline, steps, rule, seed, onProgress, ...run } = options;
    // A rule that cannot be had with so few steps is refused before anything is computed.
    quadrature(rule ?? "gauss-legendre", steps ?? STEPS);
    const baselines = baselinesOf(baseline, model);
    const all = await inputs();
    const startOf = async ({ view, input }: AttributionInput, baseline: Baseline): Promise<Start> => {
      const { name, image } = await makeBaseline(model, view, baseline, seed);
      return { name, input: inPlaceOf(input, model.input(image).data) };
    };
    const starts = await Promise.all(all.map((of) => Promise.all(baselines.map((from) => startOf(of, from)))));
    const adaptive = steps === undefined && rule === undefined;
    const paths = all.length * baselines.length;
    // How many steps it will take is not known beforehand where they are placed as needed: then each path counts as one.
    const total = adaptive ? paths : paths * (steps ?? STEPS);
    return await withProgress(`Integrated gradients of ${model.name}`, total, async (update) => {
      const made: Attributed[] = [];
      let done = 0;
      for (const [i, of] of all.entries()) {
        const { input: to, target } = of;
        const sum = new Float64Array(to.data.length);
        const taken: number[] = [];
        for (const { input: from } of starts[i]) {
          const path = { from, to, target };
          const before = done;
          const report = adaptive ? onProgress : (now: number) => {
            update(before + now);
            onProgress?.(before + now, total);
          };
          const found = adaptive
            ? await integrateAdaptively(model, path, { ...run, onProgress: report })
            : await integrate(model, path, rule ?? "gauss-legendre", steps ?? STEPS, { ...run, onProgress: report });
          for (let j = 0; j < sum.length; j++) {
            sum[j] += found.gradient[j] * (to.data[j] - from.data[j]) / baselines.length;
          }
          taken.push(found.steps);
          done += adaptive ? 1 : found.steps;
          update(done);
        }
        made.push(await resultFor(model, of, starts[i], sum, stepsText(taken, adaptive, rule), options));
      }
      return made;
    });
  },
});
