/**
 * What a backend does when memory runs out: an error that says how to go on, and never wrong numbers.
 *
 * Left alone, TensorFlow.js 4.22 goes on where it has to stop. On wasm a failed allocation gives the address 0, to which
 * kernels then write, and a tensor of more than 4 GB gets the room of its size modulo 4 GB. On WebGPU a buffer over the
 * device's limit computes nothing, and what is read back is an older buffer's content.
 *
 * @module
 */

import { bytesText } from "../../format.ts";
import { machineMemoryLeft, MemoryError } from "../../memory.ts";
import type { TF } from "./types.ts";

/** What the wasm backend's memory can grow to: 4 GB, less one page of 64 kB. */
const HEAP_LIMIT = 2 ** 32 - 2 ** 16;

/** Room that is left to the convolutions' own tables, which no tensor's size includes. */
const HEAP_SPARE = 2 ** 27;

/** The part of tfjs's wasm backend that allocates. */
interface WasmBackend {
  wasm: { HEAPU8: Uint8Array; _malloc(bytes: number): number; _free(offset: number): void };
}

/** The part of tfjs's webgpu backend that allocates and reads. */
interface WebgpuBackend {
  device: GPUDevice;
  bufferManager: { acquireBuffer(size: number, ...rest: unknown[]): GPUBuffer };
}

/** Makes the wasm backend throw a {@linkcode MemoryError} when its memory is full. Everything that fitted stays. */
export function guardWasm(tf: TF): void {
  const { wasm } = tf.findBackend("wasm") as unknown as WasmBackend;
  // The first call replaces a placeholder by the real function.
  wasm._free(wasm._malloc(1));
  const malloc = wasm._malloc;
  /** The address; 0 if there is no room. */
  const allocate = (bytes: number) => bytes < HEAP_LIMIT ? malloc(bytes) : 0;
  wasm._malloc = (bytes) => {
    const offset = allocate(bytes);
    if (offset !== 0 && wasm.HEAPU8.length + HEAP_SPARE < HEAP_LIMIT) return offset;
    const spare = offset && allocate(HEAP_SPARE);
    if (spare) {
      wasm._free(spare);
      return offset;
    }
    if (offset) wasm._free(offset);
    throw new MemoryError(
      `The backend "wasm" has no room for another ${bytesText(bytes)}: tensors take ` +
        `${bytesText(tf.memory().numBytes)} of its ${bytesText(HEAP_LIMIT)}. Use a smaller batchSize or smaller ` +
        `inputs, dispose of models that you no longer need, or compute natively (useBackend("tensorflow")).`,
    );
  };
}

/** Makes the webgpu backend throw a {@linkcode MemoryError} for a tensor that the device cannot hold. */
export function guardWebgpu(tf: TF): void {
  const { device, bufferManager } = tf.findBackend("webgpu") as unknown as WebgpuBackend;
  const limit = Math.min(device.limits.maxBufferSize, device.limits.maxStorageBufferBindingSize);
  const acquire = bufferManager.acquireBuffer.bind(bufferManager);
  bufferManager.acquireBuffer = (size, ...rest) => {
    if (size <= limit) return acquire(size, ...rest);
    throw new MemoryError(
      `The backend "webgpu" cannot hold a tensor of ${bytesText(size)}: this device takes up to ${bytesText(limit)}. ` +
        "Use a smaller batchSize or smaller inputs, or another backend.",
    );
  };
}

/** What other libraries say when memory runs out: TensorFlow, and JavaScript's typed arrays. */
const OUT_OF_MEMORY =
  /OOM when allocating|RESOURCE_EXHAUSTED|out of memory|Array buffer allocation failed|Invalid typed array length: \d{9}/i;

/** An error as a {@linkcode MemoryError}, if it says that memory ran out; else undefined. */
export function asMemoryError(tf: TF, error: unknown): MemoryError | undefined {
  if (error instanceof MemoryError) return error;
  const message = error instanceof Error ? error.message : "";
  if (!OUT_OF_MEMORY.test(message)) return undefined;
  return new MemoryError(
    `The backend "${tf.getBackend()}" ran out of memory (${message.trim()}). Use a smaller batchSize or smaller inputs.`,
    { cause: error },
  );
}

/**
 * Bytes that the active backend can still hold; undefined where that is unknown: a graphics card does not say how much is
 * free. Natively and on cpu it is what the machine has free.
 */
export function memoryLeft(tf: TF): number | undefined {
  const backend = tf.backend() as Partial<WasmBackend> & { isUsingGpuDevice?: boolean };
  if (tf.getBackend() === "webgpu" || backend.isUsingGpuDevice) return undefined;
  const free = machineMemoryLeft();
  if (!backend.wasm) return free;
  const used = tf.memory().numBytes;
  // What the heap has grown to is the process's already.
  // As much again is lost in gaps between tensors.
  return Math.min(HEAP_LIMIT - 2 * HEAP_SPARE - used, free + backend.wasm.HEAPU8.length - used);
}
