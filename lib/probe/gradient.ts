/**
 * The gradient to an input: how each value put in moves what comes out.
 *
 * @module
 */

import type { Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import { throwIfInterrupted } from "../interrupt.ts";
import type { TF } from "../runtime/backend.ts";
import { withTape } from "../runtime/gradients/tape.ts";

/** A function's value and its gradient, which the caller disposes of. */
export interface ValueAndGradient {
  value: Tensor;
  /** Of the input's shape. Where the value has several elements, the gradient of their sum. */
  gradient: Tensor;
}

/**
 * What a ReLU passes back:
 * - `"plain"`: the gradient, where the ReLU's input was positive;
 * - `"deconvnet"`: the positive part of what comes back, whatever the input was (Zeiler & Fergus 2013, §2.1);
 * - `"guided"`: both at once (Springenberg et al. 2014, §3.4);
 * - `"redirected"`: the gradient; but for an image of which that is 0 everywhere, what would raise a ReLU that is shut, too.
 *   An image that no unit answers to would otherwise never change (Lucid's `redirected_relu_grad`).
 */
export type ReluRule = "plain" | "deconvnet" | "guided" | "redirected";

/** The kernels that rectify; each has a gradient of its own. */
const RECTIFIERS = ["Relu", "Relu6"];

/** Runs a synchronous function under a rule for ReLUs; the former gradients come back, also after a throw. */
function withReluRule<T>(tf: TF, rule: ReluRule, run: () => T): T {
  if (rule === "plain") return run();
  const former = RECTIFIERS.map((kernel) => tf.getGradient(kernel));
  try {
    for (const stock of former) {
      tf.registerGradient({
        ...stock,
        gradFunc: (dy, saved, attrs) => {
          if (rule === "redirected") {
            const { x } = stock.gradFunc(dy, saved, attrs) as { x: () => Tensor };
            return { x: () => redirected(tf, dy as Tensor, saved[0], x()) };
          }
          const positive = tf.relu(dy as Tensor);
          return rule === "deconvnet" ? { x: () => positive } : stock.gradFunc(positive, saved, attrs);
        },
      });
    }
    return run();
  } finally {
    former.forEach((stock) => tf.registerGradient(stock));
  }
}

/** What a ReLU passes back of each image: the gradient, or where that is 0 everywhere, what would raise its input. */
function redirected(tf: TF, dy: Tensor, x: Tensor, plain: Tensor): Tensor {
  const axes = x.shape.map((_, axis) => axis).slice(1);
  const alive = tf.greater(tf.max(tf.abs(plain), axes, true), 0);
  const raised = tf.where(tf.greater(x, 0), dy, tf.relu(dy));
  return tf.where(tf.broadcastTo(alive, x.shape), plain, raised);
}

/** The part of tfjs's engine that runs every operation. */
interface Engine {
  runKernelFunc?: (parameters: unknown) => unknown;
}

/** Runs a synchronous function, which ■ ends between two of its operations. */
function interruptibly<T>(tf: TF, run: () => T): T {
  const engine = tf.engine() as unknown as Engine;
  const former = Object.getOwnPropertyDescriptor(engine, "runKernelFunc");
  const runKernel = engine.runKernelFunc!;
  try {
    engine.runKernelFunc = (parameters) => {
      throwIfInterrupted();
      return runKernel.call(engine, parameters);
    };
    return run();
  } finally {
    delete engine.runKernelFunc;
    if (former) Object.defineProperty(engine, "runKernelFunc", former);
  }
}

export interface InputGradientOptions {
  /**
   * What ReLUs pass back.
   * @default "plain"
   */
  relu?: ReluRule;
}

/**
 * Differentiates a function to its one input, and to nothing else: no gradient of a filter, a matrix or a bias is
 * computed. No other tensor is left behind, also after a throw.
 *
 * @param tf what `ensureBackend` gave
 * @param f any function of tensors that leads from `x` to its value, as `(x) => model.network.apply(x)`
 * @param x input, of any shape
 * @throws {Interrupted} if ■ is pressed meanwhile
 * @throws {Error} tfjs's own, if the value does not depend on `x` or an operation on the way has no gradient
 *
 * @example
 * ```ts
 * import { inputGradient } from "./gradient.ts";
 * import { ensureBackend } from "../runtime/backend.ts";
 *
 * const tf = await ensureBackend();
 * const { value, gradient } = inputGradient(tf, (x) => tf.sum(tf.square(x)), tf.tensor1d([1, 2]));
 * console.log(await value.data(), await gradient.data()); // 5, and 2 and 4
 * ```
 */
export function inputGradient(
  tf: TF,
  f: (x: Tensor) => Tensor,
  x: Tensor,
  { relu = "plain" }: InputGradientOptions = {},
): ValueAndGradient {
  const differentiate = () =>
    tf.tidy(() => {
      const { value, grad } = tf.valueAndGrad(f)(x);
      return { value, gradient: grad };
    });
  return withReluRule(tf, relu, () => withTape(tf, () => interruptibly(tf, differentiate)));
}
