/**
 * Optimisers, with all that they remember in tensors that can be saved.
 *
 * @module
 */

import type { Tensor, Variable } from "npm:@tensorflow/tfjs@4.22.0";
import { belowOne, flag, positive, readKind } from "../../options.ts";
import type { TF } from "../../runtime/backend.ts";

/** Options of `"sgd"`. */
export class SgdOptions {
  /** Which optimiser it is. */
  readonly kind = "sgd";
  /** The share of the last step that is added to the next. @default 0.9 */
  @belowOne()
  momentum = 0.9;
  /** Nesterov's momentum: the gradient at the place where the last step leads. @default false */
  @flag()
  nesterov = false;
}

/** Options of `"adam"`. */
export class AdamOptions {
  /** Which optimiser it is. */
  readonly kind = "adam";
  /** How much of the mean gradient is kept each step. @default 0.9 */
  @belowOne()
  beta1 = 0.9;
  /** How much of the mean squared gradient is kept each step. @default 0.999 */
  @belowOne()
  beta2 = 0.999;
  /** Added to the root of the mean square, so that no step is divided by 0. @default 1e-7 */
  @positive()
  epsilon = 1e-7;
}

/**
 * How gradients become steps, as Keras does it:
 * - `"sgd"`: `v ← momentum·v − rate·g`, `w ← w + v`; with `nesterov`, `w ← w + momentum·v − rate·g`;
 * - `"adam"`: Kingma and Ba 2014, algorithm 1, in the form of the end of their §2.
 */
export type Optimizer =
  | (Pick<SgdOptions, "kind"> & Partial<SgdOptions>)
  | (Pick<AdamOptions, "kind"> & Partial<AdamOptions>);

/** A weight that is trained. */
export interface Trained {
  /** As `"conv1/kernel"`. */
  name: string;
  variable: Variable;
  /** Whether weight decay applies: to kernels, not to biases and not to what normalises. */
  decays: boolean;
  /** What the layer asks of its weight after each step, as to be nowhere negative. */
  constraint?: { apply(weight: Tensor): Tensor } | null;
}

/** A running optimiser. */
export interface RunningOptimizer {
  /** By slot and weight, as `"momentum/conv1/kernel"`; each of its weight's shape. */
  readonly slots: ReadonlyMap<string, Variable>;
  /**
   * Makes one step.
   *
   * @param gradients by the name of each weight's variable
   * @param rate the learning rate
   * @param step counted from 0 over the whole run
   */
  apply(gradients: Record<string, Tensor>, rate: number, step: number): void;
  dispose(): void;
}

/**
 * Fills in an optimiser's defaults.
 *
 * @throws {RangeError} if the kind is unknown or a number does not fit
 * @throws {TypeError} if it has an unknown option
 */
export function readOptimizer(wanted: Optimizer | Optimizer["kind"]): SgdOptions | AdamOptions {
  return readKind("optimizer", { sgd: SgdOptions, adam: AdamOptions }, wanted);
}

/**
 * Starts an optimiser; its slots begin at 0.
 *
 * @param weightDecay with `"sgd"`, added to the gradient as `weightDecay·w` (L2, Krizhevsky et al. 2012, §5); with
 *   `"adam"`, taken off the weight itself as `rate·weightDecay·w` (Loshchilov and Hutter 2017)
 */
export function startOptimizer(
  tf: TF,
  how: SgdOptions | AdamOptions,
  weights: readonly Trained[],
  weightDecay: number,
): RunningOptimizer {
  const slots = new Map<string, Variable>();
  const names = how.kind === "adam" ? ["mean", "square"] : how.momentum > 0 ? ["momentum"] : [];
  for (const slot of names) {
    for (const { name, variable } of weights) {
      slots.set(`${slot}/${name}`, tf.tidy(() => tf.variable(tf.zeros(variable.shape), false)));
    }
  }

  function stepSgd({ name, variable, decays }: Trained, gradient: Tensor, rate: Tensor): void {
    if (how.kind !== "sgd") return;
    const decayed = decays && weightDecay > 0 ? tf.add(gradient, tf.mul(variable, weightDecay)) : gradient;
    const move = tf.mul(decayed, rate);
    const momentum = slots.get(`momentum/${name}`);
    if (!momentum) return variable.assign(tf.sub(variable, move));
    momentum.assign(tf.sub(tf.mul(momentum, how.momentum), move));
    variable.assign(tf.add(variable, how.nesterov ? tf.sub(tf.mul(momentum, how.momentum), move) : momentum));
  }

  function stepAdam({ name, variable, decays }: Trained, gradient: Tensor, rate: Tensor, corrected: Tensor): void {
    if (how.kind !== "adam") return;
    const mean = slots.get(`mean/${name}`)!;
    const square = slots.get(`square/${name}`)!;
    mean.assign(tf.add(mean, tf.mul(tf.sub(gradient, mean), 1 - how.beta1)));
    square.assign(tf.add(square, tf.mul(tf.sub(tf.square(gradient), square), 1 - how.beta2)));
    const move = tf.div(tf.mul(mean, corrected), tf.add(tf.sqrt(square), how.epsilon));
    const all = decays && weightDecay > 0 ? tf.add(move, tf.mul(variable, tf.mul(rate, weightDecay))) : move;
    variable.assign(tf.sub(variable, all));
  }

  return {
    slots,
    apply(gradients, rate, step) {
      tf.tidy(() => {
        const full = tf.scalar(rate);
        const corrected = how.kind === "adam"
          ? tf.scalar(rate * Math.sqrt(1 - how.beta2 ** (step + 1)) / (1 - how.beta1 ** (step + 1)))
          : full;
        for (const weight of weights) {
          const gradient = gradients[weight.variable.name];
          // A weight that the loss does not depend on.
          if (!gradient) continue;
          if (how.kind === "sgd") stepSgd(weight, gradient, full);
          else stepAdam(weight, gradient, full, corrected);
        }
      });
    },
    dispose() {
      slots.forEach((slot) => slot.dispose());
    },
  };
}
