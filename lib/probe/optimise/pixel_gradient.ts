/**
 * The gradient of a score to an image's pixels, many times over: what methods are made of that change an image step by step.
 *
 * The plan through the network is made once and its weights are folded once, for all steps. The pixels are those of the
 * image, 0…255 in the image's own order of channels: the model's preprocessing is part of what is differentiated.
 *
 * @module
 */

import type { Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import { sizeOf } from "../../array.ts";
import type { InputArray } from "../../data/given.ts";
import type { Model } from "../../model/model.ts";
import { ensureBackend, type TF } from "../../runtime/backend.ts";
import { ScoreFunction } from "../attribution/score_function.ts";
import { pack } from "../batches.ts";
import { inputGradient, type ReluRule, type ValueAndGradient } from "../gradient.ts";
import { type Fed, makePlan } from "../plan.ts";
import { type ResolvedTarget, termsOf } from "../target.ts";
import { PixelPass } from "./pixel_pass.ts";

export { preprocessTensor } from "./pixel_pass.ts";

/** Which images of a batch a function is given. */
export interface Part {
  /** The place of the first one among all. */
  readonly start: number;
  readonly count: number;
}

/** What is wanted of the outputs of some layers. */
export interface LayersObjective {
  /** Their names. */
  readonly layers: readonly string[];
  /**
   * The score of each image. Runs inside a gradient: made of operations that have one, and it disposes of nothing.
   *
   * @param outputs one tensor a layer, `[n, …output shape]`
   * @param pixels `[n, h, w, c]`, 0…255
   * @param part which of the images these are, where memory does not hold all at once
   * @returns `[n]`
   */
  score(outputs: readonly Tensor[], pixels: Tensor, part: Part): Tensor;
  /**
   * Whether the score of an image depends on the others, so that all must run at once.
   * @default false
   */
  joint?: boolean;
  /**
   * Whether the score also depends on something else than what it is given, as on random numbers.
   * @default false
   */
  varies?: boolean;
}

/** How the gradients are computed. */
export interface PixelGradientOptions {
  /**
   * How many images run at once, at most: fewer where memory does not hold them.
   * @default 8
   */
  batchSize?: number;
  /** Of a network of several inputs what goes to the others: of one image for all, or of each. */
  inputs?: InputArray | readonly InputArray[];
  /** What ReLUs pass back. @default "plain" */
  relu?: ReluRule;
}

/** The way from pixels to what is wanted, kept for many steps. It must be disposed of. */
export class PixelGradient {
  readonly tf: TF;
  /** How many images run at once. */
  readonly batch: number;
  readonly #pass: PixelPass;
  readonly #score: (outputs: readonly Tensor[], pixels: Tensor, part: Part) => Tensor;
  readonly #joint: boolean;
  readonly #varies: boolean;
  readonly #relu: ReluRule;
  #others: Fed["others"];

  private constructor(
    tf: TF,
    model: Model,
    wanted: readonly ResolvedTarget[] | LayersObjective,
    { batchSize = 8, inputs, relu = "plain" }: PixelGradientOptions,
  ) {
    this.tf = tf;
    this.#relu = relu;
    if (isObjective(wanted)) {
      const uses = wanted.layers.map((name) => model.entry(name).use);
      this.#pass = new PixelPass(tf, model, makePlan(model.network, uses, { fold: true, sums: true }), batchSize);
      this.#score = (outputs, pixels, part) => wanted.score(outputs, pixels, part);
      this.#joint = wanted.joint ?? false;
      this.#varies = wanted.varies ?? false;
    } else {
      const read = new ScoreFunction(tf, model, wanted[0], true);
      this.#pass = new PixelPass(tf, model, read.plan, batchSize);
      this.#score = (outputs, _, part) => read.score(outputs, targetsOf(wanted, part));
      this.#joint = false;
      this.#varies = wanted.some(isFunction);
    }
    this.batch = this.#pass.batch;
    try {
      const given = inputs === undefined ? [] : "shape" in inputs ? [inputs] : inputs;
      if (given[0]?.others) {
        const fed = pack(tf, given);
        fed.x.dispose();
        this.#others = fed.others;
      }
    } catch (error) {
      this.dispose();
      throw error;
    }
  }

  /**
   * @param wanted targets that were looked up, one for all images or one for each, all read at one place of the network; or
   *   a function of the outputs of some layers
   * @throws {RangeError} if there is no such layer, or the targets are read at several places
   */
  static async of(
    model: Model,
    wanted: readonly ResolvedTarget[] | LayersObjective,
    options: PixelGradientOptions = {},
  ): Promise<PixelGradient> {
    if (!isObjective(wanted) && new Set(wanted.map((target) => ScoreFunction.key(target))).size !== 1) {
      throw new RangeError(
        `The targets of one run are read at one place of the network: received ${
          wanted.map(({ text }) => text).join("; ") || "none"
        }.`,
      );
    }
    return new PixelGradient(await ensureBackend(), model, wanted, options);
  }

  /**
   * The scores of some images and the gradient of their sum.
   *
   * @param pixels `[n, h, w, c]`, 0…255
   * @returns the scores `[n]`, and the gradient, of the pixels' shape; the caller disposes of both
   */
  valueAndGradient(pixels: Tensor): ValueAndGradient;
  /**
   * The same through a function that makes pixels of other numbers.
   *
   * @param variable what the pixels are made of, of any shape
   * @param make makes `[n, h, w, c]`, 0…255, of it; as {@linkcode LayersObjective.score} is
   * @returns the scores `[n]`, and the gradient, of the variable's shape
   */
  valueAndGradient(variable: Tensor, make: (variable: Tensor) => Tensor): ValueAndGradient;
  valueAndGradient(variable: Tensor, make?: (variable: Tensor) => Tensor): ValueAndGradient {
    const { tf } = this;
    return this.#explained(() => {
      if (!make) return this.#ofPixels(variable);
      const count = tf.tidy(() => make(variable).shape[0]);
      if (this.#joint || count <= this.batch) {
        return inputGradient(tf, (v) => this.#forward(make(v), { start: 0, count }), variable, { relu: this.#relu });
      }
      // Pixels first, then what they are made of: only the network has to run in parts.
      return tf.tidy(() => {
        const { value, gradient } = this.#ofPixels(make(variable));
        const back = inputGradient(tf, (v) => tf.sum(tf.mul(make(v), gradient)), variable);
        return { value, gradient: back.gradient };
      });
    });
  }

  /** The scores of some images alone, `[n]`; the caller disposes of them. */
  scores(pixels: Tensor): Tensor {
    return this.#explained(() =>
      this.tf.tidy(() => this.#joined(this.#parts(pixels).map((part) => this.#forward(this.#cut(pixels, part), part))))
    );
  }

  /** What the objective is made of: the outputs of its layers, `[n, …output shape]` each; the caller disposes of them. */
  outputs(pixels: Tensor): Tensor[] {
    return this.#explained(() =>
      this.tf.tidy(() => {
        const parts = this.#parts(pixels).map((part) => this.#run(this.#cut(pixels, part), part));
        return parts[0].map((_, i) => this.tf.clone(this.#joined(parts.map((outputs) => outputs[i]))));
      })
    );
  }

  /** Frees the folded weights and what goes to the other inputs. */
  dispose(): void {
    this.#pass.dispose();
    this.tf.dispose((this.#others ?? []).filter((other) => other !== null));
    this.#others = undefined;
  }

  #explained<T>(run: () => T): T {
    try {
      return run();
    } catch (error) {
      throw this.#pass.explained(error);
    }
  }

  #ofPixels(pixels: Tensor): ValueAndGradient {
    const { tf } = this;
    const parts = this.#parts(pixels);
    if (parts.length === 1) return this.#ofPart(pixels, parts[0]);
    return tf.tidy(() => {
      const all = parts.map((part) => this.#ofPart(this.#cut(pixels, part), part));
      return {
        value: this.#joined(all.map(({ value }) => value)),
        gradient: this.#joined(all.map(({ gradient }) => gradient)),
      };
    });
  }

  #ofPart(pixels: Tensor, part: Part): ValueAndGradient {
    const compute = ([pixels]: readonly Tensor[]) => {
      const { value, gradient } = inputGradient(this.tf, (x) => this.#forward(x, part), pixels, { relu: this.#relu });
      return [value, gradient];
    };
    const [value, gradient] = this.#varies
      ? compute([pixels])
      : this.#pass.repeat(`${part.start} ${part.count}`, [pixels], compute);
    return { value, gradient };
  }

  #parts({ shape: [count] }: Tensor): Part[] {
    const size = this.#joint ? count : this.batch;
    const starts = Array.from({ length: Math.ceil(count / size) }, (_, i) => i * size);
    return starts.map((start) => ({ start, count: Math.min(size, count - start) }));
  }

  #cut(pixels: Tensor, { start, count }: Part): Tensor {
    return count === pixels.shape[0] ? pixels : this.tf.slice(pixels, [start], [count]);
  }

  #joined(parts: Tensor[]): Tensor {
    return parts.length === 1 ? parts[0] : this.tf.concat(parts);
  }

  #run(pixels: Tensor, part: Part): Tensor[] {
    const { tf } = this;
    const others = this.#others?.map((other) => {
      if (!other) return null;
      if (other.shape[0] === 1) {
        return part.count === 1 ? other : tf.tile(other, [part.count, ...other.shape.slice(1).map(() => 1)]);
      }
      return this.#cut(other, part);
    });
    return this.#pass.outputs(pixels, others);
  }

  #forward(pixels: Tensor, part: Part): Tensor {
    const value = this.#score(this.#run(pixels, part), pixels, part);
    if (sizeOf(value.shape) === part.count) return value;
    throw new TypeError(
      `An objective returns one number an image, [${part.count}]: received a tensor of shape [${value.shape}].`,
    );
  }
}

const isObjective = (wanted: readonly ResolvedTarget[] | LayersObjective): wanted is LayersObjective =>
  "score" in wanted;

const targetsOf = (targets: readonly ResolvedTarget[], { start, count }: Part): readonly ResolvedTarget[] =>
  targets.length === 1 ? Array<ResolvedTarget>(count).fill(targets[0]) : targets.slice(start, start + count);

/** Whether something of a target is computed by a function of the user's, which may do anything. */
const isFunction = (target: ResolvedTarget) => termsOf(target).some(({ target }) => target.kind === "function");
