/**
 * SHA-256 of what is written, so that a file that was damaged later is noticed.
 *
 * @module
 */

import { createHash } from "node:crypto";

/** The SHA-256 of bytes and texts (as UTF-8) that come one after the other. */
export class Checksum {
  readonly #hash = createHash("sha256");

  /** Takes the next bytes. */
  add(part: Uint8Array | string): this {
    this.#hash.update(part);
    return this;
  }

  /** The 32 bytes of the checksum; nothing can be added after it. */
  bytes(): Uint8Array {
    return new Uint8Array(this.#hash.digest());
  }

  /** The checksum as 64 hexadecimal digits; nothing can be added after it. */
  hex(): string {
    return this.#hash.digest("hex");
  }
}

/** The SHA-256 of bytes or a text, as 64 hexadecimal digits. */
export function sha256Of(part: Uint8Array | string): string {
  return new Checksum().add(part).hex();
}
