/**
 * The gradient to an input: how each value put in moves what comes out.
 *
 * @module
 */

import type { Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import type { TF } from "../runtime/backend.ts";
import { withTape } from "../runtime/gradients/tape.ts";

/** A function's value and its gradient, both to be disposed by whoever asked. */
export interface ValueAndGradient {
  value: Tensor;
  /** Of the input's shape. Where the value has several elements, the gradient of their sum. */
  gradient: Tensor;
}

/**
 * Differentiates a function to its one input, and to nothing else: no gradient of a filter, a matrix or a bias is
 * computed. No other tensor is left behind, also after a throw.
 *
 * @param tf what `ensureBackend` gave
 * @param f any function of tensors that leads from `x` to its value, as `(x) => model.network.apply(x)`
 * @param x input, of any shape
 * @throws {Error} tfjs's own, if the value does not depend on `x` or an operation on the way has no gradient
 *
 * @example
 * ```ts
 * const score = (x: Tensor) => tf.sum(tf.mul(network.apply(x) as Tensor, oneHot));
 * const { value, gradient } = inputGradient(tf, score, image);
 * ```
 */
export function inputGradient(tf: TF, f: (x: Tensor) => Tensor, x: Tensor): ValueAndGradient {
  return withTape(tf, () =>
    tf.tidy(() => {
      const { value, grad } = tf.valueAndGrad(f)(x);
      return { value, gradient: grad };
    }));
}
