/**
 * Whether a pass fits into memory, known before it starts: the one estimate of all probes.
 *
 * @module
 */

import { checkMachineMemory, MemoryError } from "../memory.ts";
import { asMemoryError, memoryLeft } from "../runtime/core/memory.ts";
import { bytesText } from "../format.ts";
import type { TF } from "../runtime/backend.ts";
import type { Plan } from "./plan.ts";

const BYTES_PER_FLOAT = 4;

/** The most bytes that the tensors of a plan take at one time, an input. What its layers allocate inside is not counted. */
function peakBytes(plan: Plan): number {
  const bytes = (id: number) => BYTES_PER_FLOAT * plan.floats.get(id)!;
  let live = plan.inputs.reduce((sum, id) => sum + (plan.floats.has(id) ? bytes(id) : 0), 0);
  let peak = live;
  for (const { output, spent } of plan.steps) {
    live += bytes(output);
    peak = Math.max(peak, live);
    for (const id of spent) live -= bytes(id);
  }
  return peak;
}

/** Half of what is left is taken, since layers allocate some inside. */
const ROOM = 2;
/** On the way back as much again is held as was on the way there, and half of it for what operations take inside. */
const GRADIENT_ROOM = 1.5;

/**
 * How many inputs of a plan fit into memory at once, at most `batchSize`; at least one is tried.
 *
 * @param gradient whether the pass goes back too: it holds all tensors till then
 */
export function fitting(tf: TF, plan: Plan, batchSize: number, { gradient = false } = {}): number {
  const left = memoryLeft(tf);
  if (left === undefined) return batchSize;
  const all = () => BYTES_PER_FLOAT * plan.floats.values().reduce((sum, floats) => sum + floats, 0);
  const one = gradient ? GRADIENT_ROOM * all() : ROOM * peakBytes(plan);
  return Math.max(1, Math.min(batchSize, Math.floor(left / Math.max(1, one))));
}

/** An error as one that says what did not fit, if memory ran out; others as they are. */
export function explainMemory(tf: TF, error: unknown, what: string): unknown {
  const full = asMemoryError(tf, error);
  return full ? new MemoryError(`${what} did not fit. ${full.message}`, { cause: error }) : error;
}

/** A pass that is about to start. */
export interface Pass {
  /** The model's name. */
  model: string;
  /** The steps of the pass. */
  plan: Plan;
  /** How many inputs there are. */
  count: number;
  /** How many inputs run at once. */
  batchSize: number;
}

/**
 * Refuses a pass that cannot fit. A pass that is not refused may still run out of memory: what layers allocate inside is
 * not counted.
 *
 * @throws {MemoryError} says what does not fit, and a batchSize that probably does
 */
export function checkMemory(tf: TF, { model, plan, count, batchSize }: Pass): void {
  const results = BYTES_PER_FLOAT * count * plan.taps.reduce((sum, id) => sum + plan.floats.get(id)!, 0);
  checkMachineMemory(
    `What the layers asked for of ${JSON.stringify(model)} put out for ${count} inputs`,
    results,
    "Ask for fewer inputs at a time, or for fewer or later layers.",
  );
  const left = memoryLeft(tf);
  const one = peakBytes(plan);
  const batch = Math.min(batchSize, count);
  if (left === undefined || one * batch <= left) return;
  throw new MemoryError(
    `A batch of ${batch} inputs of ${JSON.stringify(model)} needs at least ${bytesText(one * batch)}, ` +
      `${bytesText(one)} an input; the backend "${tf.getBackend()}" has ${bytesText(left)} left. ` +
      (one <= left
        ? `Use a smaller batchSize, such as ${fitting(tf, plan, batch)}.`
        : "Use smaller inputs, dispose of models that you no longer need, or use another backend."),
  );
}
