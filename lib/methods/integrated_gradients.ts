/**
 * Integrated gradients: a class's score shared out among the pixels, along the straight way from a baseline to the image.
 *
 * Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks" (2017), §3 and §5.
 *
 * @module
 */

import type { NdArray } from "../array.ts";
import type { ImageLike } from "../data/image.ts";
import { checkOptions } from "../errors.ts";
import { Attribution } from "../results/attribution.ts";
import { withProgress } from "../results/progress.ts";
import { checkModel, type Model } from "../model/model.ts";
import {
  described,
  eachScore,
  RUN_OPTIONS,
  type RunOptions,
  type Subject,
  subjectsOf,
  sumOfColors,
  toPixels,
} from "../probe/attribution/attribute.ts";
import { type Baseline, baselinesOf, makeBaseline } from "../probe/attribution/baseline.ts";
import { integrate, integrateAdaptively } from "../probe/attribution/path_integral.ts";
import { type Quadrature, quadrature } from "../probe/attribution/quadrature.ts";
import type { Target } from "../probe/target.ts";

export interface IntegratedGradientsOptions extends RunOptions {
  /**
   * What is explained: a label, an index, `"predicted"`, a function of the outputs, a unit `{ layer, channel, cell }`; or
   * an array of these, one an image.
   * @default "predicted"
   */
  target?: Target | readonly Target[];
  /**
   * Where the way starts: `"grey"` (127.5), `"zero"` (what the network reads as zeros), `"mean"` (the image's mean
   * colour), `"blurred"` (the image itself), `"noise"`, a grey of 0…255, a colour `[r, g, b]` or an image; of several the
   * results are averaged.
   * @default 0, which is black
   */
  baseline?: Baseline | readonly Baseline[];
  /**
   * How many gradients are taken on the way from each baseline.
   * @default as many as bring the `convergenceDelta` below 1 % of the difference of the scores, if 256 do, and placed
   *   where the score changes; with a `rule`, 50
   */
  steps?: number;
  /**
   * Where on the way they are taken, and with which weights.
   * @default with `steps`, "gauss-legendre"
   */
  rule?: Quadrature;
  /**
   * What the baseline `"noise"` is drawn from.
   * @default 0
   */
  seed?: number;
}

/** A baseline that was made: in words, and as what goes into the network. */
interface Start {
  name: string;
  input: NdArray;
}

async function startOf(model: Model, subject: Subject, baseline: Baseline, seed: number): Promise<Start> {
  const { name, image } = await makeBaseline(model, subject.view, baseline, seed);
  return { name: name === "custom" ? "an image of its own" : name, input: model.input(image) };
}

/** How many gradients a fixed rule takes by default. */
const STEPS = 50;

const brief = (value: number) => Number(value.toPrecision(4));

const listed = (names: readonly string[]) =>
  names.length === 1 ? names[0] : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;

/**
 * Integrates the gradient of a target's score along the straight way from a baseline to the image, and multiplies it by
 * what lies between them. All values together are the score of the image minus that of the baseline, but for what the
 * integration misses: `convergenceDelta`.
 *
 * @param image an image, a path, or pixels `[h, w, 3]` of 0…255; or an array of these
 * @returns `values` `[h, w, 3]` in RGB order; `map` `[h, w]`, the sum of each pixel's three colours, signed;
 *   `convergenceDelta`, the sum of all values minus the difference of scores; for an array of images or of targets one
 *   result a pair
 * @throws {RangeError} if a target, a baseline or a rule does not exist, or a baseline has another shape
 * @throws {TypeError} if the network cannot be differentiated
 *
 * @example
 * ```ts
 * const map = await integratedGradients(model, await photo("dog"), { baseline: ["zero", "blurred"] });
 * map.convergenceDelta;
 * ```
 */
export async function integratedGradients(
  model: Model,
  image: ImageLike,
  options?: IntegratedGradientsOptions & { target?: Target },
): Promise<Attribution>;
export async function integratedGradients(
  model: Model,
  image: ImageLike | readonly ImageLike[],
  options?: IntegratedGradientsOptions,
): Promise<Attribution[]>;
export async function integratedGradients(
  model: Model,
  image: ImageLike | readonly ImageLike[],
  options: IntegratedGradientsOptions = {},
): Promise<Attribution | Attribution[]> {
  checkModel("integratedGradients", model);
  const { target, baseline = 0, steps, rule, seed = 0, ...run } = checkOptions("integratedGradients", options, {
    target: true,
    baseline: true,
    steps: true,
    rule: true,
    seed: true,
    ...RUN_OPTIONS,
  });
  // An unknown rule is told before anything is computed.
  quadrature(rule ?? "gauss-legendre", steps ?? STEPS);
  const baselines = baselinesOf(baseline);
  const { subjects, many } = await subjectsOf(model, image, target, run);
  const starts = await Promise.all(
    subjects.map((subject) => Promise.all(baselines.map((baseline) => startOf(model, subject, baseline, seed)))),
  );
  const adaptive = steps === undefined && rule === undefined;
  const results: Attribution[] = [];
  const ways = subjects.length * baselines.length;
  // How many steps it will take is not known beforehand where they are placed as needed: then each way counts as one.
  const total = adaptive ? ways : ways * (steps ?? STEPS);
  await withProgress(`Integrated gradients of ${model.name}`, total, async (update) => {
    let done = 0;
    for (const [i, subject] of subjects.entries()) {
      const { input, target } = subject;
      const sum = new Float64Array(input.data.length);
      const taken: number[] = [];
      for (const { input: from } of starts[i]) {
        const way = { from, to: input, target };
        const before = done;
        const onProgress = adaptive ? run.onProgress : (now: number) => {
          update(before + now);
          run.onProgress?.(before + now, total);
        };
        const found = adaptive
          ? await integrateAdaptively(model, way, { ...run, onProgress })
          : await integrate(model, way, rule ?? "gauss-legendre", steps ?? STEPS, { ...run, onProgress });
        for (let j = 0; j < sum.length; j++) {
          sum[j] += found.gradient[j] * (input.data[j] - from.data[j]) / baselines.length;
        }
        taken.push(found.steps);
        done += adaptive ? 1 : found.steps;
        update(done);
      }
      results.push(await resultOf(model, subject, starts[i], sum, howOf(taken, adaptive, rule), run));
    }
  });
  return many ? results : results[0];
}

/** The steps in words. */
function howOf(taken: readonly number[], adaptive: boolean, rule: Quadrature = "gauss-legendre"): string {
  const counts = [...new Set(taken)].join(" and ");
  return `${counts} steps, ${adaptive ? "placed where the score changes," : `${rule},`}`;
}

async function resultOf(
  model: Model,
  subject: Subject,
  starts: readonly Start[],
  sum: Float64Array,
  how: string,
  { signal, batchSize }: RunOptions,
): Promise<Attribution> {
  const ends = [subject.input, ...starts.map(({ input }) => input)];
  const [score, ...from] = await eachScore(model, subject.target, ends.length, (i) => ends[i], { signal, batchSize });
  const difference = score - from.reduce((total, value) => total + value, 0) / from.length;
  const convergenceDelta = sum.reduce((total, value) => total + value, 0) - difference;
  const values = toPixels(model, sum, subject.input.shape);
  const share = Number((100 * Math.abs(convergenceDelta / difference)).toPrecision(2));
  const by = difference === 0 ? brief(convergenceDelta) : `${share} %`;
  return new Attribution({
    method: "integrated gradients",
    ...described(model, subject),
    values,
    map: sumOfColors(values),
    score,
    signed: true,
    paint: "map",
    convergenceDelta,
    about: `Gradients at ${how} from ${
      listed(starts.map(({ name }) => name))
    } to the image, summed over the colours. ` +
      `All values together miss the difference of the scores, ${brief(difference)}, by ${by}.`,
  });
}
