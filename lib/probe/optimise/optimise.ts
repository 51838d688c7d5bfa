/**
 * The loop that changes numbers step by step, along a gradient: what {@link inversion.ts} and feature visualization run in.
 *
 * @module
 */

import type { Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import type { TF } from "../../runtime/backend.ts";
import { letOthersRun } from "../../runtime/core/event_loop.ts";
import type { ValueAndGradient } from "../gradient.ts";

/**
 * How a gradient becomes a step:
 * - `"momentum"`: `v ← momentum·v − rate·g`, `x ← x + v`;
 * - `"adam"`: Kingma and Ba 2014, algorithm 1.
 */
export type StepRule = "momentum" | "adam";

/** What is known after a step. */
export interface Moment {
  /** Counted from 1. */
  readonly step: number;
  /** What each item scored before the step, `[n]`. */
  readonly values: Float32Array;
  /** What is optimised, as it is now; valid until the function returns that is given it. */
  readonly variable: Tensor;
}

/** How the loop runs. */
export interface OptimiseOptions {
  readonly steps: number;
  /** @default "adam" */
  readonly rule?: StepRule;
  /** The length of a step, in the variable's units: one number, or one for each step, counted from 0. */
  readonly rate: number | ((step: number) => number);
  /** The share of the last step that is added to the next; Adam's β₁. @default 0.9 */
  readonly momentum?: number;
  /** Whether values are to grow. @default false */
  readonly ascend?: boolean;
  /** Stops between two steps. What was reached is kept. */
  readonly signal?: AbortSignal;
  /** Called after each step. */
  readonly onStep?: (moment: Moment) => void | Promise<void>;
  /** Brings the variable back to where it may be, after each step. In a tidy. */
  readonly project?: (variable: Tensor) => Tensor;
}

/** What was reached. */
export interface Optimised {
  /** The caller disposes of it. */
  readonly variable: Tensor;
  /** Of each step what each item scored before it, `[steps][n]`. */
  readonly values: Float32Array[];
  /** What the signal was aborted with, if that ended the loop. */
  readonly aborted?: unknown;
}

/** Adam's β₂ and ε. */
const [KEPT_SQUARES, EPSILON] = [0.999, 1e-8];

/** Half a wave down from 1 to 0 over all steps: how rates are annealed. */
export const annealed = (step: number, steps: number): number => (1 + Math.cos(Math.PI * step / steps)) / 2;

/**
 * Optimises numbers.
 *
 * @param start of any shape; it is left as it is
 * @param differentiate gives the values of all items, `[n]`, and the gradient of their sum, which are disposed of here
 * @throws what went wrong; what the signal was aborted with, if no step was made
 */
export async function optimise(
  tf: TF,
  start: Tensor,
  differentiate: (variable: Tensor, step: number) => ValueAndGradient,
  { steps, rule = "adam", rate, momentum = 0.9, ascend = false, signal, onStep, project }: OptimiseOptions,
): Promise<Optimised> {
  const values: Float32Array[] = [];
  /** The variable, and what the rule remembers of it. */
  let [variable, ...memory] = [start, start, start].map((tensor, i) =>
    i === 0 ? tf.clone(tensor) : tf.zerosLike(tensor)
  );
  if (rule === "momentum") memory.pop()!.dispose();
  let aborted: unknown;
  let done = false;
  const move = (gradient: Tensor, step: number): Tensor[] => {
    const now = (typeof rate === "number" ? rate : rate(step)) * (ascend ? 1 : -1);
    if (rule === "momentum") {
      const velocity = tf.add(tf.mul(memory[0], momentum), tf.mul(gradient, now));
      return [tf.add(variable, velocity), velocity];
    }
    const mean = tf.add(tf.mul(memory[0], momentum), tf.mul(gradient, 1 - momentum));
    const square = tf.add(tf.mul(memory[1], KEPT_SQUARES), tf.mul(tf.square(gradient), 1 - KEPT_SQUARES));
    const [first, second] = [1 - momentum ** (step + 1), Math.sqrt(1 - KEPT_SQUARES ** (step + 1))];
    const way = tf.div(tf.mul(mean, now * second / first), tf.add(tf.sqrt(square), EPSILON * second));
    return [tf.add(variable, way), mean, square];
  };
  try {
    for (let step = 0; step < steps; step++) {
      if (signal?.aborted) {
        aborted = signal.reason;
        if (step === 0) throw aborted;
        break;
      }
      const { value, gradient } = differentiate(variable, step);
      try {
        const next = tf.tidy(() => {
          const [moved, ...rest] = move(gradient, step);
          return [project ? project(moved) : moved, ...rest];
        });
        tf.dispose([variable, ...memory]);
        [variable, ...memory] = next;
        values.push(await value.data<"float32">() as Float32Array);
      } finally {
        tf.dispose([value, gradient]);
      }
      await onStep?.({ step: step + 1, values: values[step], variable });
      await letOthersRun();
    }
    done = true;
    return { variable, values, ...aborted !== undefined && { aborted } };
  } catch (error) {
    // ■ is also heard inside a gradient.
    if (!signal?.aborted || values.length === 0) throw error;
    done = true;
    return { variable, values, aborted: signal.reason };
  } finally {
    tf.dispose(memory);
    if (!done) variable.dispose();
  }
}
