/**
 * Long arithmetic without a frozen notebook: WASM and native kernels hold the thread while they compute, and an `await`
 * of what is already there lets nothing else run.
 *
 * @module
 */

import { setImmediate } from "node:timers";

/** How long others may have to wait, in milliseconds. */
const PATIENCE = 8;

let last = 0;

/** To be awaited between two steps of long work: lets timers, messages and files have their turn, if one is due. */
export async function letOthersRun(): Promise<void> {
  if (performance.now() - last < PATIENCE) return;
  await new Promise<void>((done) => setImmediate(done));
  last = performance.now();
}
