/** Functions that the pool's tests call in Workers. */

import { Moved, type Report, workerFunction } from "../../lib/workers/protocol.ts";

export const double = (x: number) => 2 * x;

/** What has begun in this Worker, in order. */
const begun: string[] = [];

/** Begins, waits, and returns what had begun in this Worker before. */
export async function wait({ name, ms }: { name: string; ms: number }): Promise<string[]> {
  const before = [...begun];
  begun.push(name);
  await new Promise((done) => setTimeout(done, ms));
  return before;
}

export function count(to: number, report: Report<Uint8Array<ArrayBuffer>>): Moved<Uint8Array<ArrayBuffer>> {
  for (let i = 1; i <= to; i++) {
    const bytes = Uint8Array.of(i);
    report(bytes, [bytes.buffer]);
    if (bytes.length > 0) throw new Error("The bytes were copied.");
  }
  const all = new Uint8Array(to);
  return new Moved(all, [all.buffer]);
}

export function fail(message: string): never {
  throw new RangeError(`${message}.`);
}

export async function failLater(): Promise<never> {
  await new Promise((done) => setTimeout(done, 10));
  // An error that no call is waiting for ends a Worker.
  setTimeout(() => {
    throw new Error("out of the blue");
  });
  return await new Promise<never>(() => {});
}

export const DOUBLE = workerFunction(import.meta.url, double);
export const WAIT = workerFunction(import.meta.url, wait);
export const COUNT = workerFunction(import.meta.url, count);
export const FAIL = workerFunction(import.meta.url, fail);
export const FAIL_LATER = workerFunction(import.meta.url, failLater);
