/**
 * Loads a model and prints how many bytes the process then took at most beyond what it had before, over those of the
 * model's weights. It runs in a process of its own, and needs Linux.
 *
 * @module
 */

import { sizeOf } from "../../lib/array.ts";
import { loadModel } from "../../lib/model/load.ts";

const [first, file] = Deno.args;

/** A number of this process's status, in bytes. */
function status(field: string): number {
  const text = Deno.readTextFileSync("/proc/self/status");
  return 1024 * Number(new RegExp(`${field}:\\s+(\\d+)`).exec(text)![1]);
}

// What is loaded once, the backend and its kernels, is there before.
(await loadModel(first)).dispose();
// The peak begins anew.
Deno.writeTextFileSync("/proc/self/clear_refs", "5");
const before = status("VmRSS");
const { network } = await loadModel(file);
const bytes = network.weights.reduce((sum, { shape }) => sum + 4 * sizeOf(shape as number[]), 0);
console.log(JSON.stringify({ bytes, ratio: (status("VmHWM") - before) / bytes }));
Deno.exit();
