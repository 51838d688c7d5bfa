/**
 * The one door to TensorFlow.js: loaded when first asked for, once a process.
 *
 * @module
 */

import { completeGradients } from "./gradients/gradients.ts";
import { completeLayers } from "./layers/layers.ts";
import { messageOf } from "../errors.ts";
import type { TF } from "./core/types.ts";

const TFJS = "npm:@tensorflow/tfjs@4.22.0";

let loading: Promise<TF> | undefined;

/**
 * Loads TensorFlow.js. No backend is chosen yet: whoever computes asks `ensureBackend` instead.
 *
 * Every later call gives the same namespace. A load that failed (no network, say) is tried again by the next call.
 */
export function tf(): Promise<TF> {
  loading ??= load().catch((error) => {
    loading = undefined;
    throw error;
  });
  return loading;
}

async function load(): Promise<TF> {
  let tf: TF;
  try {
    tf = await import(TFJS);
  } catch (error) {
    throw new Error(
      `TensorFlow.js (${TFJS}) could not be loaded: ${messageOf(error)}. Its first use needs a network; from then on ` +
        "it is in Deno's cache.",
      { cause: error },
    );
  }
  // The cpu backend greets its first use under Node with an advertisement; marked as used, it stays silent, and
  // tfjs's real warnings still show.
  Object.assign(tf.findBackend("cpu"), { firstUse: false });
  completeGradients(tf);
  completeLayers(tf);
  return tf;
}
