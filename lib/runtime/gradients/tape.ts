/** What tfjs's tape keeps for the way back. @module */

import type { Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import { asMemoryError } from "../core/memory.ts";
import type { TF } from "../core/types.ts";

/** The part of tfjs's engine that records operations. */
interface Recorder {
  state: { gradientDepth: number; activeTape: { saved: Tensor[] }[] | null };
}

/**
 * Runs a synchronous `differentiate`. tfjs never disposes what its tape saved when the function to differentiate, or
 * its gradient, throws: here it is disposed. A lack of memory gives the same error as on every backend.
 */
export function withTape<T>(tf: TF, differentiate: () => T): T {
  const { state } = tf.engine() as unknown as Recorder;
  try {
    return differentiate();
  } catch (error) {
    // Inside another gradient the tape is still that one's.
    if (state.gradientDepth === 0) {
      for (const { saved } of state.activeTape ?? []) tf.dispose(saved);
      state.activeTape = null;
    }
    throw asMemoryError(tf, error) ?? error;
  }
}

/** As {@linkcode withTape}, on the way back of another gradient, whose tape is kept. */
export function withOwnTape<T>(tf: TF, differentiate: () => T): T {
  const { state } = tf.engine() as unknown as Recorder;
  const { activeTape } = state;
  try {
    return withTape(tf, differentiate);
  } finally {
    state.activeTape = activeTape;
  }
}
