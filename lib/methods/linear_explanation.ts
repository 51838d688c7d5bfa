/**
 * Why small changes fool networks: because they are so linear.
 *
 * Goodfellow, Shlens and Szegedy 2014, "Explaining and Harnessing Adversarial Examples", §3 and §4, and their Fig. 4: along
 * the signs of the gradient each pixel moves the score a little, all to the same side, and there are many pixels.
 *
 * @module
 */

import { ndarray } from "../array.ts";
import type { InputArray } from "../data/given.ts";
import type { ImageLike } from "../data/image.ts";
import { checkModel, checkReady, type Model } from "../model/model.ts";
import { positive, readOptions, RunOptions, whole } from "../options.ts";
import { norm1, readsOutput, scoresAt, slopeAt, targetScoresAt } from "../probe/attack/slope.ts";
import { pairsOf, resolveForImages } from "../probe/attribution/inputs.ts";
import { isOutput, type ResolvedTarget, sumTarget, type Target } from "../probe/target.ts";
import { randomStream, shuffled } from "../random.ts";
import { type GrowthRow, LinearExplanation, type LinearRow } from "../results/linear_explanation.ts";
import { withProgress } from "../results/progress.ts";

/** The options of `linearExplanation`. */
export class LinearExplanationOptions extends RunOptions {
  /**
   * What is to be lowered, as of every method; of classes it is lowered against the class that comes next.
   * @default "predicted"
   */
  target: Target = "predicted";
  /**
   * How far the scores are followed to both sides: the most by which each value of the image moves, of 255.
   * @default 16
   */
  @positive()
  epsilon = 16;
  /**
   * At how many places to each side the scores are computed.
   * @default 10
   */
  @whole(1)
  steps = 10;
  /**
   * How many random directions there are beside that of the gradient.
   * @default 5
   */
  @whole(2)
  directions = 5;
  /**
   * How many classes (labels, numbers) are drawn: the first by their scores.
   * @default 5
   */
  @whole(1)
  top = 5;
  /**
   * Of the random directions, and of the order in which pixels are moved.
   * @default 0
   */
  @whole()
  seed = 0;
}

/** An image with all that is moved about it. */
interface Start {
  view: InputArray;
  /** What is drawn, and what is lowered. */
  target: ResolvedTarget;
  lowered: ResolvedTarget;
  slope: Float32Array;
  /** The signs of each direction; the first are those that lower the score. */
  directions: readonly Int8Array[];
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** The scores along each direction. */
async function alongDirections(
  model: Model,
  { view, target, directions }: Start,
  labels: readonly { index: number; label: string }[],
  { epsilon, steps, ...run }: LinearExplanationOptions,
): Promise<LinearRow[]> {
  const places = Array.from({ length: 2 * steps + 1 }, (_, i) => epsilon * (i - steps) / steps);
  const count = places.length * directions.length;
  const scores = await scoresAt(model, { like: view, target, count }, (index) => {
    const signs = directions[Math.floor(index / places.length)];
    const by = places[index % places.length];
    return view.data.map((value, i) => value + by * signs[i]);
  }, run);
  return labels.flatMap(({ index, label }) =>
    places.flatMap((epsilon, at): LinearRow[] => {
      const [score, ...others] = directions.map((_, d) => scores[d * places.length + at][index]);
      return [
        { direction: "gradient", epsilon, label, score, low: score, high: score },
        {
          direction: "random",
          epsilon,
          label,
          score: mean(others),
          low: Math.min(...others),
          high: Math.max(...others),
        },
      ];
    })
  );
}

/** How much the lowered score falls when ever more pixels are moved by one small step. */
async function growthOf(
  model: Model,
  { view, lowered, slope, directions }: Start,
  { epsilon, steps, seed, ...run }: LinearExplanationOptions,
): Promise<GrowthRow[]> {
  const by = epsilon / steps;
  const channels = model.dimensions < view.shape.length ? view.shape.at(-1)! : 1;
  const pixels = view.data.length / channels;
  const order = shuffled(pixels, randomStream(seed, 2));
  const counts = [...new Set(Array.from({ length: 40 }, (_, i) => Math.round(2 ** (i / 1.5))))].filter((n) =>
    n < pixels
  );
  counts.push(pixels);
  const moved = (index: number) => {
    const signs = directions[index % directions.length];
    const values = Float32Array.from(view.data);
    for (const pixel of order.subarray(0, counts[Math.floor(index / directions.length)])) {
      for (let i = pixel * channels; i < (pixel + 1) * channels; i++) values[i] += by * signs[i];
    }
    return values;
  };
  const count = counts.length * directions.length;
  const asked = { like: view, target: lowered, count: count + 1 };
  const scores = await targetScoresAt(model, asked, (index) => index < count ? moved(index) : view.data, run);
  const fall = (index: number) => scores[count] - scores[index];
  return counts.map((pixels, i) => {
    const at = i * directions.length;
    let predicted = 0;
    for (const pixel of order.subarray(0, pixels)) {
      predicted += by * norm1(slope.subarray(pixel * channels, (pixel + 1) * channels));
    }
    const random = directions.slice(1).map((_, d) => fall(at + d + 1) ** 2);
    return { pixels, gradient: fall(at), predicted, random: Math.sqrt(mean(random)) };
  });
}

/** What is lowered of a target for an image: of classes its lead over the one that comes next. */
function loweredOf(model: Model, target: ResolvedTarget, scores: ArrayLike<number>): ResolvedTarget {
  if (!isOutput(target) || target.kind !== "class" || !readsOutput(model, target)) return target;
  let next = target.index === 0 ? 1 : 0;
  for (let i = 0; i < scores.length; i++) if (i !== target.index && scores[i] > scores[next]) next = i;
  const label = model.output.labels[next];
  const other = { ...target, index: next, label, text: label };
  return sumTarget([{ weight: 1, target }, { weight: -1, target: other }]);
}

/**
 * Draws why small changes fool a network: the scores of the classes along the signs of the gradient, straight lines that
 * soon cross, beside the scores along random signs of the same size, which hardly move; the slope itself, which of a linear
 * classifier is its weights, beside the signs that are added to the image; and how the effect grows with the number of
 * pixels that are moved: in proportion along the gradient, as its root at random.
 *
 * The score that is lowered is the one before the softmax. Values may leave 0…255 on the way: the lines ask about the
 * network, and not about what can be saved.
 *
 * @param model the model; nothing on it changes
 * @param image what to look at
 * @returns rows `{ direction, epsilon, label, score, low, high }`; `growth`, `slope` `[h, w, c]`, and `effect` beside
 *   `predicted`, the fall of the score after one step, measured and by the slope: of a linear model the same number
 * @throws {RangeError} if the target does not exist or an option does not fit
 * @throws {TypeError} if the network cannot be differentiated
 *
 * @example
 * ```ts
 * import { linearExplanation, loadModel, photo } from "@convlens/convlens";
 * const found = await linearExplanation(await loadModel("cifar-convnet"), await photo("dog"));
 * console.log(found.effect, found.predicted);
 * ```
 */
export async function linearExplanation(
  model: Model,
  image: ImageLike,
  options: Partial<LinearExplanationOptions> = {},
): Promise<LinearExplanation> {
  checkModel("linearExplanation", model);
  const all = readOptions("linearExplanation", LinearExplanationOptions, options);
  await checkReady("linearExplanation", model);
  const { pairs } = await pairsOf(model, image, all.target);
  const [{ name, view, target }] = await resolveForImages(model, pairs, all);
  const [scores] = await scoresAt(model, { like: view, target, count: 1 }, () => view.data, all);
  const lowered = loweredOf(model, target, scores);
  const { slope } = await slopeAt(model, view, lowered, all);
  const directions = Array.from({ length: all.directions + 1 }, (_, d) => {
    const random = randomStream(all.seed, 1, d);
    return Int8Array.from(slope, (value) => d === 0 ? -Math.sign(value) : random() < 0.5 ? -1 : 1);
  });
  const start = { view, target, lowered, slope, directions };
  const { output } = model;
  const seen = readsOutput(model, target);
  const labels = seen
    ? Array.from(scores, (score, index) => ({ index, label: output.labels[index], score }))
      .sort((a, b) =>
        Number(isOutput(target) && b.index === target.index) -
          Number(isOutput(target) && a.index === target.index) || b.score - a.score
      )
      .slice(0, all.top)
    : [{ index: 0, label: target.text }];
  const passes = 2;
  const { rows, growth } = await withProgress(`Linear explanation of ${model.name}`, passes, async (update) => {
    const run = { ...all, onProgress: undefined };
    const rows = await alongDirections(model, start, labels, run);
    update(1);
    return { rows, growth: await growthOf(model, start, run) };
  }, all.onProgress);
  return new LinearExplanation({
    rows,
    growth,
    slope: ndarray(slope, view.shape),
    image: ndarray(Float32Array.from(view.data), view.shape),
    step: all.epsilon / all.steps,
    directions: all.directions,
    names: { model: model.name, image: name, lowered: lowered.text, score: output.logits ? "score" : "output" },
  });
}
