/**
 * What does not fit into memory: the one error for it, and the memory that the machine has left.
 *
 * @module
 */

import process from "node:process";
import { bytesText } from "./format.ts";

/** What a computation needs does not fit into memory. What was computed before it is kept. */
export class MemoryError extends Error {
  /** `"MemoryError"`. */
  override name = "MemoryError";
}

/** Bytes that this process can still take, within the limits of its container. */
export function machineMemoryLeft(): number {
  return process.availableMemory();
}

/**
 * Refuses what the machine's memory cannot hold before the long work begins.
 *
 * @param what the subject of the error's sentence, as `"A search among 500 points"`
 * @param remedy what to do about it, as a sentence
 * @throws {MemoryError} if this process can take less than that
 */
export function checkMachineMemory(what: string, bytes: number, remedy: string): void {
  const left = machineMemoryLeft();
  if (bytes <= left) return;
  throw new MemoryError(`${what} takes ${bytesText(bytes)}; this machine has ${bytesText(left)} free. ${remedy}`);
}

/** Numbers of 32 bits, all 0, if the machine's memory holds them; arguments and errors as {@linkcode checkMachineMemory}. */
export function floatsFor(what: string, count: number, remedy: string): Float32Array<ArrayBuffer> {
  checkMachineMemory(what, 4 * count, remedy);
  return new Float32Array(count);
}
