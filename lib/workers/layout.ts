/**
 * Where arrays lie in a memory that Workers share.
 *
 * @module
 */

import { bytesText } from "../format.ts";
import { MemoryError } from "../memory.ts";

/** A place in the shared memory, in bytes. */
export type Address = number;

/** What one WebAssembly memory can hold: 4 GB, less one page. */
const LIMIT = 2 ** 32 - 2 ** 16;

/** Where the Workers meet: counters of the barrier, at the start of the memory. */
export const CONTROL_BYTES = 256;

/** Lays arrays one behind the other into a memory. The first 256 bytes hold the barrier's counters. */
export class Layout {
  bytes = CONTROL_BYTES;

  /** @throws {MemoryError} if it is more than a memory can hold */
  check(): void {
    if (this.bytes <= LIMIT) return;
    throw new MemoryError(
      `This takes ${bytesText(this.bytes)}, and one WebAssembly memory holds ${bytesText(LIMIT)}: take fewer points, ` +
        "fewer dimensions (see pca), or a smaller perplexity or k.",
    );
  }

  /** Takes bytes, at an address that SIMD is fast at. */
  take(bytes: number): Address {
    const at = this.bytes;
    this.bytes = Math.ceil((at + bytes) / 128) * 128;
    return at;
  }
}
