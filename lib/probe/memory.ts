/**
 * Whether a pass fits into memory, known before it starts.
 *
 * @module
 */

import { checkMachineMemory, MemoryError } from "../memory.ts";
import { memoryLeft } from "../runtime/core/memory.ts";
import { bytesText } from "../format.ts";
import type { TF } from "../runtime/backend.ts";
import type { Plan } from "./plan.ts";

const BYTES_PER_FLOAT = 4;

/** The most bytes that the tensors of a plan take at one time, an input. What its layers allocate inside is not counted. */
function peakBytes(plan: Plan): number {
  const bytes = (id: number) => BYTES_PER_FLOAT * plan.floats.get(id)!;
  let live = bytes(plan.input);
  let peak = live;
  for (const { output, spent } of plan.steps) {
    live += bytes(output);
    peak = Math.max(peak, live);
    for (const id of spent) live -= bytes(id);
  }
  return peak;
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
  // Half of what is left, since layers allocate some inside.
  const fitting = Math.max(1, Math.floor(left / one / 2));
  throw new MemoryError(
    `A batch of ${batch} inputs of ${JSON.stringify(model)} needs at least ${bytesText(one * batch)}, ` +
      `${bytesText(one)} an input; the backend "${tf.getBackend()}" has ${bytesText(left)} left. ` +
      (one <= left
        ? `Use a smaller batchSize, such as ${fitting}.`
        : "Use smaller inputs, dispose of models that you no longer need, or use another backend."),
  );
}
