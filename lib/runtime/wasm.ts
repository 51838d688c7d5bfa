/** WebAssembly arithmetic: no drivers, no native code, works everywhere. @module */

import type { EventEmitter } from "node:events";
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import { BackendError, type Candidate } from "./candidate.ts";
import { allowEmptyMaps } from "./empty_maps.ts";
import { makeReady } from "./core/engine.ts";
import { completeWasmKernels } from "./gradients/wasm_kernels.ts";
import { CrashGuard, type Module } from "./crash.ts";
import { guardWasm } from "./core/memory.ts";
import { messageOf } from "../errors.ts";
import { selfCheck } from "./self_check.ts";
import type { TF } from "./core/types.ts";
import { useFastConvolutions } from "./wasm_convolution/kernels.ts";

const WASM = "npm:@tensorflow/tfjs-backend-wasm@4.22.0";

/** The wasm backend, with SIMD and one thread. */
export const wasm: Candidate = {
  name: "wasm",
  async start(tf) {
    const version = await startWasm(tf);
    const simd = await tf.env().getAsync("WASM_HAS_SIMD_SUPPORT");
    return { device: simd ? "CPU (SIMD)" : "CPU", version, threads: 1, selfCheck: await selfCheck(tf, "wasm") };
  },
  renew: () => guard?.renew(),
};

let guard: CrashGuard | undefined;

/**
 * Makes the wasm backend ready, unchecked: what Workers need, when the thread that starts them has checked it.
 *
 * @returns its version
 * @throws {BackendError} if it does not start here
 */
export async function startWasm(tf: TF): Promise<string> {
  try {
    const backend = await import(WASM) as typeof import("npm:@tensorflow/tfjs-backend-wasm@4.22.0");
    // The package holds the binaries; named by their path, they need neither a network nor a server.
    const binary = import.meta.resolve(`${WASM}/dist/tfjs-backend-wasm-simd.wasm`);
    backend.setWasmPaths(fileURLToPath(new URL(".", binary)));
    const factory = tf.findBackendFactory("wasm");
    await withoutNewListeners(() => makeReady(tf, "wasm"));
    if (guard) return backend.version_wasm;
    guardWasm(tf);
    completeWasmKernels(tf);
    const connect = await useFastConvolutions(tf);
    allowEmptyMaps(tf, "wasm");
    const makeModule = () => withoutNewListeners(async () => (await factory() as unknown as WasmBackend).wasm);
    guard = new CrashGuard(tf, makeModule, () => {
      guardWasm(tf);
      return connect();
    });
    guard.watchKernels();
    return backend.version_wasm;
  } catch (error) {
    const remedy = "Its package must be in Deno's cache: run once with a network, or use another backend.";
    throw new BackendError("wasm", messageOf(error), remedy, { cause: error });
  }
}

/** The part of tfjs's wasm backend that reaches its memory. */
interface WasmBackend {
  wasm: Module;
  dataIdMap: { get(id: object): { memoryOffset: number } };
}

/**
 * The bytes of a tensor as they lie in WASM's memory, nothing copied: good until the next operation or allocation. One
 * from another backend moves there first.
 *
 * @param tensor of numbers or truth values
 */
export function bytesInWasm(tf: TF, { dataId, size, dtype }: Tensor): Uint8Array {
  const { wasm, dataIdMap } = tf.findBackend("wasm") as unknown as WasmBackend;
  const { memoryOffset } = dataIdMap.get(dataId);
  return wasm.HEAPU8.subarray(memoryOffset, memoryOffset + size * tf.util.bytesPerElement(dtype));
}

/**
 * Emscripten's start-up code listens to the process's uncaught errors only to throw them again, which would end a
 * notebook's kernel on any rejection nobody awaited. Removes what it added.
 */
async function withoutNewListeners<T>(start: () => Promise<T>): Promise<T> {
  const emitter: EventEmitter = process;
  const events = ["uncaughtException", "unhandledRejection"];
  const before = events.map((event) => emitter.listeners(event));
  try {
    return await start();
  } finally {
    events.forEach((event, i) => {
      for (const listener of emitter.listeners(event)) {
        if (!before[i].includes(listener)) emitter.off(event, listener as () => void);
      }
    });
  }
}
