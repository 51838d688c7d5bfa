/**
 * Bytes as text.
 *
 * @module
 */

/** Bytes as base64 text. */
export function base64(bytes: Uint8Array): string {
  return bytes.toBase64();
}
