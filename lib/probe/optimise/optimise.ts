/**
 * The loop that changes numbers step by step, along a gradient: what {@link inversion.ts} runs in.
 *
 * The numbers are plain, and so is the arithmetic of a step: each tensor's operation costs more than a walk over the pixels
 * of an image does.
 *
 * @module
 */

import { letOthersRun } from "../../runtime/core/event_loop.ts";

/**
 * How a gradient becomes a step:
 * - `"momentum"`: `v ← momentum·v − rate·g`, `x ← x + v`;
 * - `"adam"`: Kingma and Ba 2014, algorithm 1.
 */
export type StepRule = "momentum" | "adam";

/** Where the numbers lead. */
export interface Slope {
  /** The value of each item, `[n]`. */
  readonly values: Float32Array;
  /** The gradient of their sum, one number for each. */
  readonly gradient: Float32Array;
}

/** What is known after a step. */
export interface Moment {
  /** Counted from 1. */
  readonly step: number;
  /** What each item scored before the step, `[n]`. */
  readonly values: Float32Array;
  /** What is optimised, as it is now: the next step changes it. */
  readonly numbers: Float32Array;
}

/** How the loop runs. */
export interface OptimiseOptions {
  readonly steps: number;
  /** @default "adam" */
  readonly rule?: StepRule;
  /** The length of a step, in the numbers' units: one for all, or one for each step, counted from 0. */
  readonly rate: number | ((step: number) => number);
  /** The share of the last step that is added to the next; Adam's β₁. @default 0.9 */
  readonly momentum?: number;
  /** Whether values are to grow. @default false */
  readonly ascend?: boolean;
  /** What each number may be. @default anything */
  readonly range?: readonly [low: number, high: number];
  /** Stops between two steps. What was reached is kept. */
  readonly signal?: AbortSignal;
  /** Called after each step. */
  readonly onStep?: (moment: Moment) => void | Promise<void>;
}

/** What was reached. */
export interface Optimised {
  readonly numbers: Float32Array;
  /** Of each step what each item scored before it, `[steps][n]`. */
  readonly values: Float32Array[];
  /** What the signal was aborted with, if that ended the loop. */
  readonly aborted?: unknown;
}

/** Adam's β₂ and ε. */
const [KEPT_SQUARES, EPSILON] = [0.999, 1e-8];

/** Half a wave down from 1 to 0 over all steps: how rates are annealed. */
export const annealed = (step: number, steps: number): number => (1 + Math.cos(Math.PI * step / steps)) / 2;

/** Makes steps: changes numbers along a gradient, and remembers what the rule does. */
function stepper(
  count: number,
  { rule = "adam", momentum = 0.9, range: [low, high] = [-Infinity, Infinity] }: OptimiseOptions,
): (numbers: Float32Array, gradient: Float32Array, step: number, rate: number) => void {
  const mean = new Float32Array(count);
  if (rule === "momentum") {
    return (numbers, gradient, _, rate) => {
      for (let i = 0; i < count; i++) {
        mean[i] = momentum * mean[i] + rate * gradient[i];
        const moved = numbers[i] + mean[i];
        numbers[i] = moved < low ? low : moved > high ? high : moved;
      }
    };
  }
  const square = new Float32Array(count);
  return (numbers, gradient, step, rate) => {
    const [first, second] = [1 - momentum ** (step + 1), Math.sqrt(1 - KEPT_SQUARES ** (step + 1))];
    const [length, least] = [rate * second / first, EPSILON * second];
    for (let i = 0; i < count; i++) {
      const slope = gradient[i];
      mean[i] = momentum * mean[i] + (1 - momentum) * slope;
      square[i] = KEPT_SQUARES * square[i] + (1 - KEPT_SQUARES) * slope * slope;
      const moved = numbers[i] + length * mean[i] / (Math.sqrt(square[i]) + least);
      numbers[i] = moved < low ? low : moved > high ? high : moved;
    }
  };
}

/**
 * Optimises numbers.
 *
 * @param start is left as it is
 * @param differentiate gives the values of all items and the gradient of their sum; what it gives is not kept
 * @throws what went wrong; what the signal was aborted with, if no step was made
 */
export async function optimise(
  start: Float32Array,
  differentiate: (numbers: Float32Array, step: number) => Slope | Promise<Slope>,
  options: OptimiseOptions,
): Promise<Optimised> {
  const { steps, rate, ascend = false, signal, onStep } = options;
  const values: Float32Array[] = [];
  const numbers = start.slice();
  const move = stepper(numbers.length, options);
  try {
    for (let step = 0; step < steps; step++) {
      if (signal?.aborted) {
        if (step === 0) throw signal.reason;
        return { numbers, values, aborted: signal.reason };
      }
      const slope = await differentiate(numbers, step);
      move(numbers, slope.gradient, step, (typeof rate === "number" ? rate : rate(step)) * (ascend ? 1 : -1));
      values.push(slope.values.slice());
      await onStep?.({ step: step + 1, values: values[step], numbers });
      await letOthersRun();
    }
    return { numbers, values };
  } catch (error) {
    // ■ is also heard inside a gradient.
    if (!signal?.aborted || values.length === 0) throw error;
    return { numbers, values, aborted: signal.reason };
  }
}
