/**
 * Gradients and scores of many inputs in batches: what all attribution methods are made of.
 *
 * A score is differentiated to the network's input, after the model's own preprocessing.
 *
 * @module
 */

import type { Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import { sizeOf } from "../../array.ts";
import type { InputArray } from "../../data/given.ts";
import type { Model } from "../../model/model.ts";
import type { RunOptions } from "../../options.ts";
import { ensureBackend } from "../../runtime/backend.ts";
import { pack, shapesText, tensorsOf } from "../batches.ts";
import { FOLD_FROM } from "../forward.ts";
import { inputGradient, type ReluRule } from "../gradient.ts";
import { fitting } from "../memory.ts";
import { execute } from "../plan.ts";
import type { ResolvedTarget } from "../target.ts";
import { ScoreFunction } from "./score_function.ts";

/** One input to run, with the target whose score is wanted. */
export interface Sample {
  readonly input: InputArray;
  readonly target: ResolvedTarget;
}

/** All samples in their order, in batches that share a score function and a shape. */
function* batchesOf(
  count: number,
  sample: (index: number) => Sample,
  sizeFor: (target: ResolvedTarget) => number,
): Generator<{ start: number; samples: Sample[]; key: string; shape: readonly number[] }> {
  let next: Sample | null = null;
  for (let start = 0; start < count;) {
    const samples = [next ?? sample(start)];
    next = null;
    const { target, input } = samples[0];
    const shapes = shapesText(input);
    const key = ScoreFunction.key(target);
    const size = sizeFor(target);
    while (samples.length < size && start + samples.length < count) {
      next = sample(start + samples.length);
      if (ScoreFunction.key(next.target) !== key || shapesText(next.input) !== shapes) break;
      samples.push(next);
      next = null;
    }
    yield { start, samples, key, shape: input.shape };
    start += samples.length;
  }
}

/** An error of tfjs about gradients as a message that says what to do; others as they are. */
export function explained(error: unknown, model: Model): unknown {
  const message = error instanceof Error ? error.message : "";
  const missing = /gradient function not found for (\w+)/.exec(message)?.[1];
  if (missing) {
    return new TypeError(
      `${JSON.stringify(model.name)} cannot be differentiated: TensorFlow.js has no gradient for its operation ` +
        `${missing}. Choose a target behind which there is none of these.`,
      { cause: error },
    );
  }
  if (/encloses all operations that lead from x to y/.test(message)) {
    return new TypeError("The target does not depend on the image, so there is nothing to attribute.", {
      cause: error,
    });
  }
  return error;
}

/**
 * The gradient of each sample's score to the network's input.
 *
 * @param count how many samples there are
 * @param sample gives a sample when it is its turn; called once for each
 * @param receive takes a sample's gradient, in the order and of the shape of its input, and its score; the array is
 *   valid until it returns
 * @param options.relu what ReLUs pass back
 * @throws {MemoryError} if not even one sample fits
 */
export async function eachGradient(
  model: Model,
  count: number,
  sample: (index: number) => Sample,
  receive: (index: number, gradient: Float32Array, score: number) => void,
  { batchSize = 8, signal, onProgress, relu = "plain" }: Partial<RunOptions> & { relu?: ReluRule } = {},
): Promise<void> {
  const tf = await ensureBackend();
  const functions = new Map<string, ScoreFunction>();
  const functionFor = (target: ResolvedTarget) => {
    const key = ScoreFunction.key(target);
    const known = functions.get(key);
    if (known) return known;
    const scoreFunction = new ScoreFunction(tf, model, target, count >= FOLD_FROM);
    functions.set(key, scoreFunction);
    scoreFunction.fold();
    return scoreFunction;
  };
  const size = (target: ResolvedTarget) => fitting(tf, functionFor(target).plan, batchSize, { gradient: true });
  try {
    for (const { start, samples, shape } of batchesOf(count, sample, size)) {
      signal?.throwIfAborted();
      const scoreFunction = functionFor(samples[0].target);
      const targets = samples.map(({ target }) => target);
      const made: Tensor[] = [];
      try {
        const batch = pack(tf, samples.map(({ input }) => input));
        made.push(...tensorsOf(batch));
        const score = (x: Tensor) => scoreFunction.score(scoreFunction.run({ ...batch, x }), targets);
        const { value, gradient } = inputGradient(tf, score, batch.x, { relu });
        made.push(value, gradient);
        const [scores, gradients] = await Promise.all([value.data(), gradient.data()]) as Float32Array[];
        const each = sizeOf(shape);
        samples.forEach((_, i) => receive(start + i, gradients.subarray(i * each, (i + 1) * each), scores[i]));
      } finally {
        tf.dispose(made);
      }
      onProgress?.(start + samples.length, count);
    }
  } catch (error) {
    throw explained(error, model);
  } finally {
    functions.forEach((scoreFunction) => scoreFunction.dispose());
  }
}

/**
 * One gradient for each input, made into what a method gives for it.
 *
 * @param make is given the gradient, in the order and of the shape of the input, the input and its score; the gradient is
 *   valid until it returns
 */
export async function mapGradients<Input extends Sample, Made>(
  model: Model,
  inputs: readonly Input[],
  run: Parameters<typeof eachGradient>[4],
  make: (gradient: Float32Array, input: Input, score: number) => Made,
): Promise<Made[]> {
  const made: Made[] = [];
  await eachGradient(model, inputs.length, (i) => inputs[i], (i, gradient, score) => {
    made.push(make(gradient, inputs[i], score));
  }, run);
  return made;
}

/**
 * The score of one target for many inputs of one shape, without gradients.
 *
 * @param input gives an input, `[h, w, c]`, when it is its turn; called once for each
 */
export async function eachScore(
  model: Model,
  target: ResolvedTarget,
  count: number,
  input: (index: number) => InputArray,
  { batchSize = 8, signal, onProgress }: Partial<RunOptions> = {},
): Promise<Float32Array> {
  const tf = await ensureBackend();
  const scoreFunction = new ScoreFunction(tf, model, target, count >= FOLD_FROM);
  const size = fitting(tf, scoreFunction.plan, batchSize);
  const scores = new Float32Array(count);
  let done = 0;
  const batches = function* () {
    for (let start = 0; start < count; start += size) {
      signal?.throwIfAborted();
      const inputs = Array.from({ length: Math.min(size, count - start) }, (_, i) => input(start + i));
      yield () => pack(tf, inputs);
    }
  };
  await execute(tf, scoreFunction.plan, batches(), async (outputs) => {
    const [{ shape: [length] }] = outputs;
    const value = tf.tidy(() => scoreFunction.score(outputs, new Array(length).fill(target)));
    try {
      scores.set(await value.data() as Float32Array, done);
    } finally {
      value.dispose();
    }
    done += length;
    onProgress?.(done, count);
  }, signal);
  return scores;
}
