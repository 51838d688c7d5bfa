/**
 * What a backend must say and do to be chosen: the contract between the backends and the runtime that picks one.
 *
 * @module
 */

import type { TF } from "./core/types.ts";

/** The name of a backend, the same as in TensorFlow.js. */
export type BackendName = "tensorflow" | "webgpu" | "wasm" | "cpu";

/** What a backend says of itself once it is ready to compute. */
export interface Started {
  /** What it computes on, as `CPU (SIMD)` or the name of a graphics card. */
  device: string;
  /** The version of the library that does the arithmetic. */
  version: string;
  /** How many threads it computes on, where that is known. */
  threads?: number;
  /** Its largest deviation from the cpu backend, relative; null for the cpu backend itself. */
  selfCheck: number | null;
  /** Why it computes slower than it could, and what to type; undefined where it does not. */
  advice?: string;
}

/** A backend that may be started. */
export interface Candidate {
  name: BackendName;
  /** Why `auto` must pass it over, found out without starting it; undefined if `auto` may take it. */
  onlyByName?(): Promise<string | undefined>;
  /**
   * Makes the backend ready, so that `tf.setBackend(name)` takes effect at once. Leaves the active backend as it was.
   *
   * @throws {BackendError} if it cannot be started here
   */
  start(tf: TF): Promise<Started>;
  /**
   * Called before each use. A backend that has crashed is made anew here, with the tensors that it held.
   *
   * @throws {BackendError} if that cannot be done, or not without loss
   */
  renew?(): Promise<void> | undefined;
}

/** A backend that was asked for cannot be used here. */
export class BackendError extends Error {
  /** `"BackendError"`. */
  override name = "BackendError";

  /**
   * Words the error.
   *
   * @param backend which one
   * @param reason why not, in a few words: it is shown in `doctor`'s table
   * @param remedy what to do about it, as a sentence
   */
  constructor(readonly backend: string, readonly reason: string, readonly remedy: string, options?: ErrorOptions) {
    super(`The backend "${backend}" cannot be used: ${reason}. ${remedy}`, options);
  }
}
