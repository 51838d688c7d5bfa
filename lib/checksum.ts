/**
 * Checksums of what is written or read, so that a damaged file is noticed.
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

/**
 * The checksum of a file, as hexadecimal digits, and how many bytes it has. However large it is, one megabyte of it is in
 * memory at a time.
 */
export async function checksumOfFile(
  path: string,
  kind: "sha256" | "md5" = "sha256",
  signal?: AbortSignal,
): Promise<{ sum: string; bytes: number }> {
  const hash = createHash(kind);
  using file = await Deno.open(path);
  const chunk = new Uint8Array(2 ** 20);
  let bytes = 0;
  for (let read: number | null; (read = await file.read(chunk)) !== null; bytes += read) {
    signal?.throwIfAborted();
    hash.update(chunk.subarray(0, read));
  }
  return { sum: hash.digest("hex"), bytes };
}
