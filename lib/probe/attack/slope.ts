/**
 * How a score changes when pixels are moved: its slope at an image, and the scores along directions from it.
 *
 * @module
 */

import { inPlaceOf, type InputArray } from "../../data/given.ts";
import type { Model } from "../../model/model.ts";
import { preprocess } from "../../model/preprocess.ts";
import type { RunOptions } from "../../options.ts";
import { ensureBackend } from "../../runtime/backend.ts";
import { eachGradient, eachScore } from "../attribution/gradients.ts";
import { ScoreFunction } from "../attribution/score_function.ts";
import { pack } from "../batches.ts";
import { FOLD_FROM } from "../forward.ts";
import { fitting } from "../memory.ts";
import { resolveOutput } from "../output_target.ts";
import { execute } from "../plan.ts";
import { isOutput, type ResolvedTarget } from "../target.ts";

type Run = Partial<Pick<RunOptions, "batchSize" | "signal" | "onProgress">>;

/**
 * The slope of a target's score: by how much it rises when a value of the image is moved by 1 of 255.
 *
 * @param view the image as the model sees it, `[h, w, c]`, 0…255
 * @returns in the order of the image's values, with its score
 */
export async function slopeAt(
  model: Model,
  view: InputArray,
  target: ResolvedTarget,
  { signal }: Run = {},
): Promise<{ slope: Float32Array; score: number }> {
  const slope = new Float32Array(view.data.length);
  const { order } = model.preprocess;
  const channels = view.shape.at(-1)!;
  // What one step of a pixel is before the first layer.
  const [zero, one] = [0, 1].map((value) =>
    preprocess({ data: new Float32Array(channels).fill(value), shape: [channels] }, model.preprocess)
  );
  const swapped = channels === 3 && order === "bgr";
  let score = NaN;
  await eachGradient(model, 1, () => ({ input: model.input(view), target }), (_, gradient, value) => {
    score = value;
    for (let i = 0; i < slope.length; i++) {
      const channel = i % channels;
      const at = swapped ? 2 - channel : channel;
      slope[i] = gradient[i - channel + at] * (one[at] - zero[at]);
    }
  }, { signal });
  return { slope, score };
}

/** The images whose scores are asked for: how many, what they are like, and the target. */
export interface Asked {
  /** An image of the same shape, of which the values are replaced. */
  like: InputArray;
  target: ResolvedTarget;
  count: number;
}

/** The score of a target for many images of one shape; as {@linkcode scoresAt} otherwise. */
export const targetScoresAt = (
  model: Model,
  { like, target, count }: Asked,
  view: (index: number) => Float32Array,
  { batchSize, signal, onProgress }: Run = {},
): Promise<Float32Array> =>
  eachScore(model, target, count, (index) => model.input(inPlaceOf(like, view(index))), {
    batchSize,
    signal,
    onProgress,
  });

/**
 * The scores of all classes (labels, numbers) for many images of one shape; of maps the score of the target alone.
 *
 * @param view gives the values of an image, 0…255, when it is its turn
 * @returns one list an image
 */
export async function scoresAt(
  model: Model,
  { like, target, count }: Asked,
  view: (index: number) => Float32Array,
  run: Run = {},
): Promise<ArrayLike<number>[]> {
  const inputOf = (index: number) => model.input(inPlaceOf(like, view(index)));
  const { output } = model;
  if (!readsOutput(model, target)) {
    return Array.from(await targetScoresAt(model, { like, target, count }, view, run), (score) => [score]);
  }
  const { batchSize = 8, signal, onProgress } = run;
  const tf = await ensureBackend();
  const any = resolveOutput(model, 0, { output, inputShape: like.shape });
  const scoreFunction = new ScoreFunction(tf, model, any, count >= FOLD_FROM);
  const size = fitting(tf, scoreFunction.plan, batchSize);
  const found: ArrayLike<number>[] = [];
  const batches = function* () {
    for (let start = 0; start < count; start += size) {
      signal?.throwIfAborted();
      const inputs = Array.from({ length: Math.min(size, count - start) }, (_, i) => inputOf(start + i));
      yield () => pack(tf, inputs);
    }
  };
  await execute(tf, scoreFunction.plan, batches(), async (outputs) => {
    const scores = tf.tidy(() => scoreFunction.outputScores(outputs, any));
    try {
      const data = await scores.data() as Float32Array;
      for (let at = 0; at < data.length; at += output.count) {
        found.push(output.scores(data.slice(at, at + output.count)));
      }
    } finally {
      scores.dispose();
    }
    onProgress?.(found.length, count);
  }, signal);
  return found;
}

/** Whether a target is of the vector that the model puts out, so that it is seen among all classes. */
export const readsOutput = ({ output }: Model, target: ResolvedTarget): boolean =>
  output.kind !== "map" && isOutput(target) && (target.output ?? output.name) === output.name;

/** The sum of the magnitudes: what a step of 1 along the signs of the slope changes of a linear score. */
export const norm1 = (values: ArrayLike<number>): number => {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += Math.abs(values[i]);
  return sum;
};
