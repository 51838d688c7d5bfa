/**
 * Attacks on a classifier, some images at a time: each value of an image is moved by no more than epsilon, so that the
 * cross-entropy of the true class grows.
 *
 * - `"fgsm"`: one step along the signs of the gradient (Goodfellow, Shlens and Szegedy 2014, §4);
 * - `"iterative"`: several smaller steps (Kurakin, Goodfellow and Bengio 2016, §2.2);
 * - `"pgd"`: the same from a random place within epsilon (Madry et al. 2017, §2.1);
 * - `"random"`: random signs, no attack: what the others are compared with.
 *
 * The loss is made of the scores before the softmax, so that it does not vanish where that saturates.
 *
 * @module
 */

import type { Tensor, Tensor2D } from "npm:@tensorflow/tfjs@4.22.0";
import { sizeOf } from "../../array.ts";
import type { InputArray } from "../../data/given.ts";
import type { Model } from "../../model/model.ts";
import { randomStream } from "../../random.ts";
import { ensureBackend, type TF } from "../../runtime/backend.ts";
import { ScoreFunction } from "../attribution/score_function.ts";
import { pack, tensorsOf } from "../batches.ts";
import { inputGradient } from "../gradient.ts";
import { explainMemory, fitting } from "../memory.ts";
import { preprocessTensor } from "../optimise/pixel_gradient.ts";
import { resolveOutput } from "../output_target.ts";
import type { Fed } from "../plan.ts";

/** How images are attacked within epsilon. */
export type AttackMethod = "fgsm" | "iterative" | "pgd" | "random";
/** All of them. */
export const ATTACKS = ["fgsm", "iterative", "pgd", "random"] as const;

/** How strong an attack is. */
export interface Attack {
  method: AttackMethod;
  /** The most by which a value changes, of 255. */
  epsilon: number;
  /** How many steps there are, of `"iterative"` and `"pgd"`. */
  steps: number;
  /** Of the random start; an image's own depends on its place among all, too. */
  seed: number;
}

/** What a model says of an image. */
export interface Answer {
  index: number;
  probability: number;
}

/** A step of an attack of several is so many times epsilon over their number. */
const REACH = 2.5;
/** The least probability in a loss of a model that has no logits. */
const LEAST = 1e-12;
/** What is taken off a score that is not to count. */
const FAR = 1e9;

/** A classifier under attack: its plan and its folded weights are kept for all steps. It must be disposed of. */
export class Attacker {
  /** How many images run at once. */
  readonly batch: number;
  readonly #tf: TF;
  readonly #model: Model;
  readonly #scores: ScoreFunction;
  readonly #any;

  private constructor(tf: TF, model: Model, batchSize: number) {
    this.#tf = tf;
    this.#model = model;
    this.#any = resolveOutput(model, 0, { output: model.output });
    this.#scores = new ScoreFunction(tf, model, this.#any, true);
    this.batch = fitting(tf, this.#scores.plan, batchSize, { gradient: true });
    this.#scores.fold();
  }

  /** @throws {TypeError} if the model tells no classes apart */
  static async of(asker: string, model: Model, batchSize: number): Promise<Attacker> {
    checkClassifier(asker, model);
    return new Attacker(await ensureBackend(), model, batchSize);
  }

  dispose(): void {
    this.#scores.dispose();
  }

  /** The scores of the output for pixels, `[n, count]`; to be called in a tidy. */
  #run(batch: Fed, pixels: Tensor): Tensor2D {
    const x = preprocessTensor(this.#tf, pixels, this.#model.reading);
    return this.#scores.outputScores(this.#scores.run({ ...batch, x }), this.#any) as Tensor2D;
  }

  /**
   * By how much the true class is behind the others, log Σ exp of their scores minus its own, summed over the images. The
   * gradient of the cross-entropy is this one's times 1 − p, which vanishes where a softmax saturates; the signs are the
   * same.
   */
  #loss(scores: Tensor2D, classes: readonly number[]): Tensor {
    const tf = this.#tf;
    const { each, logits } = this.#model.output;
    if (each === "binary") {
      return tf.sum(tf.mul(scores, tf.tensor2d(classes.map((own) => own ? -1 : 1), [classes.length, 1])));
    }
    const z = logits ? scores : tf.log(tf.add(scores, LEAST));
    const truth = tf.oneHot(tf.tensor1d([...classes], "int32"), scores.shape[1]);
    const others = tf.logSumExp(tf.sub(z, tf.mul(truth, FAR)), 1);
    return tf.sum(tf.sub(others, tf.sum(tf.mul(z, truth), 1)));
  }

  /** Runs some images as tensors, which are freed afterwards, also after an error. */
  async #withBatch<T>(views: readonly InputArray[], run: (batch: Fed) => Promise<T>): Promise<T> {
    const batch = pack(this.#tf, views);
    try {
      return await run(batch);
    } catch (error) {
      const what = `A step of ${views.length} images through ${JSON.stringify(this.#model.name)} and back`;
      throw explainMemory(this.#tf, error, what);
    } finally {
      this.#tf.dispose(tensorsOf(batch));
    }
  }

  /**
   * What the model says of some images.
   *
   * @param views as the model sees them, of one shape, at most {@linkcode batch}
   */
  answers(views: readonly InputArray[]): Promise<Answer[]> {
    const { output } = this.#model;
    return this.#withBatch(views, async (batch) => {
      const scores = this.#tf.tidy(() => this.#run(batch, batch.x));
      try {
        const data = await scores.data() as Float32Array;
        return views.map((_, i) => {
          const values = output.values(data.subarray(i * output.count, (i + 1) * output.count), "scores");
          const index = output.predicted(values);
          return { index, probability: values[index] };
        });
      } finally {
        scores.dispose();
      }
    });
  }

  /**
   * Attacks some images.
   *
   * @param views as the model sees them, of one shape, at most {@linkcode batch}
   * @param classes the true class of each
   * @param first the place of the first among all, which its random start depends on
   * @returns the values of each, within epsilon of what they were and within 0…255
   */
  perturb(
    views: readonly InputArray[],
    classes: readonly number[],
    { method, epsilon, steps, seed }: Attack,
    first = 0,
  ): Promise<Float32Array[]> {
    const tf = this.#tf;
    const size = sizeOf(views[0].shape);
    const noise = (signs: boolean) => {
      const values = new Float32Array(views.length * size);
      for (let i = 0; i < views.length; i++) {
        const random = randomStream(seed, first + i);
        for (let at = i * size; at < (i + 1) * size; at++) {
          const value = 2 * random() - 1;
          values[at] = epsilon * (signs ? Math.sign(value) || 1 : value);
        }
      }
      return tf.tensor(values, [views.length, ...views[0].shape]);
    };
    return this.#withBatch(views, async (batch) => {
      const [low, high] = tf.tidy(() => [
        tf.maximum(tf.minimum(batch.x, 0), tf.sub(batch.x, epsilon)),
        tf.minimum(tf.maximum(batch.x, 255), tf.add(batch.x, epsilon)),
      ]);
      const within = (pixels: Tensor) => tf.minimum(tf.maximum(pixels, low), high);
      const isRandom = method === "random" || method === "pgd";
      let pixels = tf.tidy(() => isRandom ? within(tf.add(batch.x, noise(method === "random"))) : tf.clone(batch.x));
      try {
        const count = method === "random" || epsilon === 0 ? 0 : method === "fgsm" ? 1 : steps;
        const length = count === 1 ? epsilon : REACH * epsilon / count;
        for (let step = 0; step < count; step++) {
          const from = pixels;
          pixels = tf.tidy(() => {
            const { gradient } = inputGradient(tf, (x) => this.#loss(this.#run(batch, x), classes), from);
            return within(tf.add(from, tf.mul(tf.sign(gradient), length)));
          });
          from.dispose();
        }
        const data = await pixels.data() as Float32Array;
        return views.map((_, i) => data.slice(i * size, (i + 1) * size));
      } finally {
        tf.dispose([low, high, pixels]);
      }
    });
  }

  /**
   * For one image the scores of some classes and their slopes.
   *
   * @returns the scores of all classes, and of each class asked for the gradient to the pixels
   */
  slopes(view: InputArray, pixels: Float32Array, classes: readonly number[]) {
    const tf = this.#tf;
    const count = classes.length;
    return this.#withBatch([view], async (batch) => {
      const made = tf.tidy(() => {
        const own = tf.tensor(pixels, [1, ...view.shape]);
        const x = tf.tile(own, [count, ...view.shape.map(() => 1)]);
        const others = batch.others?.map((other) =>
          other && tf.tile(other, [count, ...other.shape.slice(1).map(() => 1)])
        );
        const fed = { ...batch, ...others && { others } };
        const scoresOf = (x: Tensor) => {
          const scores = this.#run(fed, x);
          return this.#model.output.each === "binary" ? tf.concat([tf.neg(scores), scores], 1) : scores;
        };
        const labels = this.#model.output.labels.length;
        const chosen = tf.oneHot(tf.tensor1d([...classes], "int32"), labels);
        const { gradient } = inputGradient(tf, (x) => tf.sum(tf.mul(scoresOf(x), chosen)), x);
        return { scores: scoresOf(own), gradient };
      });
      try {
        const [scores, gradient] = await Promise.all([made.scores.data(), made.gradient.data()]) as Float32Array[];
        const size = pixels.length;
        return { scores, slopes: classes.map((_, k) => gradient.subarray(k * size, (k + 1) * size)) };
      } finally {
        tf.dispose([made.scores, made.gradient]);
      }
    });
  }
}

/** @throws {TypeError} if the model tells no classes apart */
export function checkClassifier(asker: string, { name, output }: Model): void {
  if (output.kind === "classes" || output.kind === "binary") return;
  throw new TypeError(
    `${asker} counts images whose class changes: the model ${JSON.stringify(name)} puts out ${output.text}. Give one ` +
      `that tells classes apart; linearExplanation asks about every kind of output.`,
  );
}
