/**
 * Where the arithmetic runs: native TensorFlow, WebGPU, WebAssembly or plain JavaScript.
 *
 * @module
 */

import { setTensorMaker } from "../array.ts";
import type { BackendName, Candidate } from "./candidate.ts";
import { allowEmptyMaps } from "./empty_maps.ts";
import { type BackendInfo, type DoctorReport, Runtime, VARIABLE } from "./runtime.ts";
import { tensorflow } from "./tensorflow.ts";
import { tf } from "./tfjs.ts";
import type { TF } from "./core/types.ts";
import { wasm } from "./wasm.ts";
import { webgpu } from "./webgpu.ts";

export { BackendError, type BackendName } from "./candidate.ts";
export type { BackendInfo, BackendReport, DoctorReport } from "./runtime.ts";
export type { TF } from "./core/types.ts";

/** Plain JavaScript arithmetic, everywhere and slow: the reference that the others are checked against. */
const cpu: Candidate = {
  name: "cpu",
  onlyByName: () => Promise.resolve("slow, only by name: it is the reference for the others"),
  start(tf) {
    allowEmptyMaps(tf, "cpu");
    return Promise.resolve({
      device: "CPU (plain JavaScript)",
      version: tf.version["tfjs-backend-cpu"],
      threads: 1,
      selfCheck: null,
    });
  },
};

setTensorMaker(async ({ data, shape }) => (await ensureBackend()).tensor(data, [...shape]));

const runtime = new Runtime({
  candidates: [tensorflow, webgpu, wasm, cpu],
  tf,
  preferred: () => Deno.env.get(VARIABLE),
  say: (line) => console.log(line),
});

/**
 * Chooses where the arithmetic runs, from now on and for every model.
 *
 * `auto` takes native TensorFlow if its library is installed, else WebGPU on a real graphics card, else WebAssembly,
 * and says once which it took. The environment variable `CONVLENS_BACKEND` names another for `auto` to take. A
 * backend that is asked for by name is taken or is an error: there is no silent fallback. Every backend but cpu has
 * to compute a small net as the cpu backend does before it is used.
 *
 * Models may be loaded before or after: tensors move to the new backend when they are next used. From WebGPU only the
 * weights of layers models, and tensors whose `data()` was awaited, can move.
 *
 * @param name @default "auto"
 * @throws {RangeError} if there is no backend of that name
 * @throws {BackendError} if it does not start here: says why, and what to do
 */
export function useBackend(name?: BackendName | "auto"): Promise<BackendInfo> {
  return runtime.useBackend(name);
}

/**
 * TensorFlow.js, ready to compute: takes what `auto` takes if no backend was chosen yet.
 * Calls at the same time share one start.
 *
 * @throws {BackendError} if no backend starts here
 */
export function ensureBackend(): Promise<TF> {
  return runtime.ensureBackend();
}

/**
 * Tries every backend: reports which ones work here, which one `auto` takes, and why not the others.
 * The active backend stays as it is.
 */
export function doctor(): Promise<DoctorReport> {
  return runtime.doctor();
}
