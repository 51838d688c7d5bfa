/**
 * Attacks on a model, some images at a time: an image is changed by no more than epsilon, so that the cross-entropy of its
 * class grows, or what else is the goal.
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
import { PixelPass } from "../optimise/pixel_pass.ts";
import { resolveOutput } from "../output_target.ts";
import type { Fed } from "../plan.ts";
import { type ResolvedTarget, type SingleTarget, sumTarget, termsOf } from "../target.ts";

/** How images are attacked within epsilon. */
export type AttackMethod = "fgsm" | "iterative" | "pgd" | "random";
/** All of them. */
export const ATTACKS = ["fgsm", "iterative", "pgd", "random"] as const;

/** How the size of a change is measured: by its largest value, or by its Euclidean length. */
export type Norm = "linf" | "l2";

/** How strong an attack is. */
export interface Attack {
  method: AttackMethod;
  /** How large a change is at most, in the units of pixels, 0…255: each value of it, or its Euclidean length. */
  epsilon: number;
  /** @default "linf" */
  norm?: Norm;
  /** How many steps there are, of `"iterative"` and `"pgd"`. */
  steps: number;
  /** How far each goes. @default 2.5 epsilon over their number; of `"fgsm"` epsilon */
  stepSize?: number;
  /** Of the random start; an image's own depends on its place among all, too. */
  seed: number;
}

/**
 * What an attack is after: away from a class, by its index; towards another class; or the score of a target up (`sign` 1) or
 * down (−1). Those of one call are of one kind.
 */
export type Goal =
  | number
  | { readonly towards: number }
  | { readonly target: ResolvedTarget; readonly sign: 1 | -1 };

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

/** Goals as what is to grow. */
interface Gain {
  /** Names the function below; null where it may be another each time. */
  readonly key: string | null;
  /** What it is also given; the caller disposes of it. */
  readonly given: Tensor[];
  /** What is to grow, summed over the images. To be called in a gradient. */
  of(outputs: readonly Tensor[], given: readonly Tensor[]): Tensor;
}

/** A model under attack: its plan and its folded weights are kept for all steps. It must be disposed of. */
export class Attacker {
  /** How many images run at once. */
  readonly batch: number;
  readonly #tf: TF;
  readonly #model: Model;
  readonly #scores: ScoreFunction;
  readonly #pass: PixelPass;
  readonly #any;
  /** The targets that were goals, so that they have numbers. */
  readonly #targets: ResolvedTarget[] = [];

  private constructor(tf: TF, model: Model, batchSize: number, target?: ResolvedTarget) {
    this.#tf = tf;
    this.#model = model;
    this.#any = resolveOutput(model, 0, { output: model.output });
    const read = target ? sumTarget([this.#any, ...termsOf(target).map((term) => term.target)].map(once)) : this.#any;
    this.#scores = new ScoreFunction(tf, model, read, true);
    this.#pass = new PixelPass(tf, model, this.#scores.plan, batchSize);
    this.batch = this.#pass.batch;
  }

  /**
   * @param target whose score is the goal, where that is no class
   * @throws {TypeError} if the model tells no classes apart, and there is no target
   */
  static async of(asker: string, model: Model, batchSize: number, target?: ResolvedTarget): Promise<Attacker> {
    if (!target) checkClassifier(asker, model);
    return new Attacker(await ensureBackend(), model, batchSize, target);
  }

  dispose(): void {
    this.#pass.dispose();
  }

  /** The scores of the output, `[n, count]`; to be called in a tidy. */
  #outputScores(outputs: readonly Tensor[]): Tensor2D {
    return this.#scores.outputScores(outputs, this.#any) as Tensor2D;
  }

  /** The scores of the output for some images; the caller disposes of them. */
  #run({ x, others }: Fed): Tensor2D {
    const [scores] = this.#pass.repeat("scores", [x, ...tensorsIn(others)], ([x, ...rest]) => [
      this.#tf.tidy(() => this.#outputScores(this.#pass.outputs(x, inPlaces(others, rest)))),
    ]);
    return scores as Tensor2D;
  }

  /**
   * What is to grow. Of a class that is to be left: by how much it is behind the others, log Σ exp of their scores minus its
   * own; of one that is to be reached, that with the other sign. The gradient of the cross-entropy is this one's times 1 − p,
   * which vanishes where a softmax saturates; the signs are the same.
   */
  #gain(goals: readonly Goal[]): Gain {
    const tf = this.#tf;
    const [first] = goals;
    if (typeof first === "object" && "target" in first) return this.#gainOfTargets(goals as readonly TargetGoal[]);
    const classes = goals.map((goal) => typeof goal === "number" ? goal : (goal as { towards: number }).towards);
    const signs = goals.map((goal) => typeof goal === "number" ? 1 : -1);
    const { each, logits, labels } = this.#model.output;
    if (each === "binary") {
      const down = classes.map((own, i) => own ? -signs[i] : signs[i]);
      return {
        key: "binary",
        given: [tf.tensor2d(down, [classes.length, 1])],
        of: (outputs, [down]) => tf.sum(tf.mul(this.#outputScores(outputs), down)),
      };
    }
    const own = new Float32Array(classes.length * labels.length);
    classes.forEach((index, i) => own[i * labels.length + index] = 1);
    return {
      key: "classes",
      given: [tf.tensor2d(own, [classes.length, labels.length]), tf.tensor1d(signs)],
      of: (outputs, [own, signs]) => {
        const scores = this.#outputScores(outputs);
        const z = logits ? scores : tf.log(tf.add(scores, LEAST));
        const others = tf.logSumExp(tf.sub(z, tf.mul(own, FAR)), 1);
        return tf.sum(tf.mul(tf.sub(others, tf.sum(tf.mul(z, own), 1)), signs));
      },
    };
  }

  /** The scores of targets, up or down. */
  #gainOfTargets(goals: readonly TargetGoal[]): Gain {
    const targets = goals.map(({ target }) => target);
    const isOurs = targets.every((target) => termsOf(target).every((term) => term.target.kind !== "function"));
    for (const target of targets) if (!this.#targets.includes(target)) this.#targets.push(target);
    return {
      key: isOurs ? `targets ${targets.map((target) => this.#targets.indexOf(target))}` : null,
      given: [this.#tf.tensor1d(goals.map(({ sign }) => sign))],
      of: (outputs, [signs]) => this.#tf.sum(this.#tf.mul(this.#scores.score(outputs, targets), signs)),
    };
  }

  /** Runs some images as tensors, which are freed afterwards, also after an error. */
  async #withBatch<T>(views: readonly InputArray[], run: (batch: Fed) => Promise<T>): Promise<T> {
    const batch = pack(this.#tf, views);
    try {
      return await run(batch);
    } catch (error) {
      throw this.#pass.explained(error, views.length);
    } finally {
      this.#tf.dispose(tensorsOf(batch));
    }
  }

  /**
   * What the model says of some images: its probabilities, or its numbers.
   *
   * @param views as the model sees them, of one shape, at most {@linkcode batch}
   */
  values(views: readonly InputArray[]): Promise<ArrayLike<number>[]> {
    const { output } = this.#model;
    return this.#withBatch(views, async (batch) => {
      const scores = this.#run(batch);
      try {
        const data = await scores.data() as Float32Array;
        const count = data.length / views.length;
        return views.map((_, i) => output.values(data.slice(i * count, (i + 1) * count), "scores"));
      } finally {
        scores.dispose();
      }
    });
  }

  /** The likeliest class of some images. */
  async answers(views: readonly InputArray[]): Promise<Answer[]> {
    return (await this.values(views)).map((values) => {
      const index = this.#model.output.predicted(values);
      return { index, probability: values[index] };
    });
  }

  /** The score of a target for some images. */
  scoresOf(views: readonly InputArray[], target: ResolvedTarget): Promise<ArrayLike<number>> {
    return this.#withBatch(views, async (batch) => {
      const targets = views.map(() => target);
      const scores = this.#tf.tidy(() => this.#scores.score(this.#pass.outputs(batch.x, batch.others), targets));
      try {
        return await scores.data() as Float32Array;
      } finally {
        scores.dispose();
      }
    });
  }

  /**
   * Attacks some images.
   *
   * @param views as the model sees them, of one shape, at most {@linkcode batch}
   * @param goals what is wanted of each; a number is the class that it is to leave
   * @param first the place of the first among all, which its random start depends on
   * @param starts where each begins instead, within epsilon
   * @returns the values of each, within epsilon of what they were and within 0…255
   */
  perturb(
    views: readonly InputArray[],
    goals: readonly Goal[],
    { method, epsilon, norm = "linf", steps, stepSize, seed }: Attack,
    first = 0,
    starts?: readonly Float32Array[],
  ): Promise<Float32Array[]> {
    const tf = this.#tf;
    const shape = [views.length, ...views[0].shape];
    const size = sizeOf(views[0].shape);
    const drawn = starts ??
      (method === "random" || method === "pgd"
        ? views.map((_, i) => randomStart(method === "random", size, { epsilon, norm }, randomStream(seed, first + i)))
        : null);
    return this.#withBatch(views, async (batch) => {
      const from = batch.x;
      const made: Tensor[] = [];
      try {
        const gain = this.#gain(goals);
        made.push(...gain.given);
        const count = method === "random" || epsilon === 0 ? 0 : method === "fgsm" ? 1 : steps;
        const length = stepSize ?? (method === "fgsm" ? epsilon : REACH * epsilon / count);
        const bounds = tf.tidy(() => boundsOf(tf, norm, from, epsilon));
        made.push(...bounds, tf.scalar(length));
        const fixed = [...bounds, made.at(-1)!, from, ...gain.given, ...tensorsIn(batch.others)];
        const step = ([pixels, low, high, farthest, length, from, ...rest]: readonly Tensor[]) => [
          tf.tidy(() => {
            const others = inPlaces(batch.others, rest.slice(gain.given.length));
            const { gradient } = inputGradient(tf, (x) => gain.of(this.#pass.outputs(x, others), rest), pixels);
            const way = norm === "l2" ? tf.div(gradient, lengths(tf, gradient)) : tf.sign(gradient);
            return within(tf, norm, tf.add(pixels, tf.mul(way, length)), from, [low, high, farthest]);
          }),
        ];
        let pixels = tf.tidy(() => {
          if (!drawn) return tf.clone(from);
          const values = new Float32Array(views.length * size);
          drawn.forEach((one, i) => values.set(one, i * size));
          return within(tf, norm, tf.add(from, tf.tensor(values, shape)), from, bounds);
        });
        made.push(pixels);
        for (let done = 0; done < count; done++) {
          const all = [pixels, ...fixed];
          const [next] = gain.key === null ? step(all) : this.#pass.repeat(`${norm} ${gain.key}`, all, step);
          pixels.dispose();
          made[made.length - 1] = pixels = next;
        }
        const data = await pixels.data() as Float32Array;
        return views.map((_, i) => data.slice(i * size, (i + 1) * size));
      } finally {
        tf.dispose(made);
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
    const labels = this.#model.output.labels.length;
    return this.#withBatch([view], async ({ others }) => {
      const scoresOf = (x: Tensor, others: Fed["others"]) => {
        const scores = this.#outputScores(this.#pass.outputs(x, others));
        return this.#model.output.each === "binary" ? tf.concat([tf.neg(scores), scores], 1) : scores;
      };
      const compute = ([own, chosen, ...rest]: readonly Tensor[]): Tensor[] =>
        tf.tidy(() => {
          const times = (x: Tensor) => tf.tile(x, [count, ...x.shape.slice(1).map(() => 1)]);
          const one = inPlaces(others, rest);
          const all = one?.map((other) => other && times(other));
          const { gradient } = inputGradient(tf, (x) => tf.sum(tf.mul(scoresOf(x, all), chosen)), times(own));
          return [scoresOf(own, one), gradient];
        });
      const given = tf.tidy(() => [
        tf.tensor(pixels, [1, ...view.shape]),
        tf.cast(tf.oneHot(tf.tensor1d([...classes], "int32"), labels), "float32"),
      ]);
      let made: Tensor[] = [];
      try {
        made = this.#pass.repeat(`slopes ${count}`, [...given, ...tensorsIn(others)], compute);
        const [scores, gradient] = await Promise.all(made.map((tensor) => tensor.data())) as Float32Array[];
        const size = pixels.length;
        return { scores, slopes: classes.map((_, k) => gradient.subarray(k * size, (k + 1) * size)) };
      } finally {
        tf.dispose([...given, ...made]);
      }
    });
  }
}

/** The goal of a target's score. */
type TargetGoal = Exclude<Goal, number | { towards: number }>;

/** The tensors of the other inputs, in their order. */
const tensorsIn = (others: Fed["others"]): Tensor[] => (others ?? []).filter((other) => other !== null);

/** Other tensors in the places of the other inputs. */
function inPlaces(others: Fed["others"], tensors: readonly Tensor[]): Fed["others"] {
  let at = 0;
  return others?.map((other) => other && tensors[at++]);
}

/** What pixels may be at least and at most, and how far they may go. To be called in a tidy. */
function boundsOf(tf: TF, norm: Norm, from: Tensor, epsilon: number): [low: Tensor, high: Tensor, farthest: Tensor] {
  const [low, high] = [tf.minimum(from, 0), tf.maximum(from, 255)];
  if (norm === "l2") return [low, high, tf.scalar(epsilon)];
  const near = [tf.maximum(low, tf.sub(from, epsilon)), tf.minimum(high, tf.add(from, epsilon))];
  return [near[0], near[1], tf.scalar(epsilon)];
}

/** Pixels brought back to where they may be. To be called in a tidy. */
function within(
  tf: TF,
  norm: Norm,
  pixels: Tensor,
  from: Tensor,
  [low, high, farthest]: readonly [Tensor, Tensor, Tensor],
): Tensor {
  const near = norm === "l2" ? tf.add(from, shortened(tf, tf.sub(pixels, from), farthest)) : pixels;
  return tf.minimum(tf.maximum(near, low), high);
}

const once = (target: SingleTarget) => ({ weight: 1, target });

/** The Euclidean length of each image, to divide by. To be called in a tidy. */
function lengths(tf: TF, images: Tensor): Tensor {
  const axes = images.shape.map((_, axis) => axis).slice(1);
  return tf.maximum(tf.sqrt(tf.sum(tf.square(images), axes, true)), LEAST);
}

/** Changes no longer than epsilon. */
const shortened = (tf: TF, changes: Tensor, epsilon: Tensor): Tensor =>
  tf.mul(changes, tf.minimum(1, tf.div(epsilon, lengths(tf, changes))));

/** Where an attack begins: anywhere within epsilon; `signs` at its farthest, by signs alone. */
function randomStart(
  signs: boolean,
  size: number,
  { epsilon, norm }: { epsilon: number; norm: Norm },
  random: () => number,
): Float32Array {
  const drawn = Float32Array.from({ length: size }, () => 2 * random() - 1);
  if (signs) {
    const each = norm === "l2" ? epsilon / Math.sqrt(size) : epsilon;
    return drawn.map((value) => value < 0 ? -each : each);
  }
  if (norm === "linf") return drawn.map((value) => epsilon * value);
  const length = Math.sqrt(drawn.reduce((sum, value) => sum + value * value, 0)) || 1;
  const reach = epsilon * random() / length;
  return drawn.map((value) => value * reach);
}

/** @throws {TypeError} if the model tells no classes apart */
export function checkClassifier(asker: string, { name, output }: Model): void {
  if (output.kind === "classes" || output.kind === "binary") return;
  throw new TypeError(
    `${asker} counts images whose class changes: the model ${JSON.stringify(name)} puts out ${output.text}. Give one ` +
      `that tells classes apart; linearExplanation asks about every kind of output.`,
  );
}
