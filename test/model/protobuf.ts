/**
 * Protocol buffers, as ONNX files are made of.
 *
 * @module
 */

/** A whole number. */
export const number = (value: number): number[] =>
  value < 128 ? [value] : [value % 128 + 128, ...number(Math.floor(value / 128))];

/** A field that holds bytes, text or a message, by its number. */
export function field(id: number, ...parts: (string | Uint8Array | number[])[]): Uint8Array<ArrayBuffer> {
  const all = parts.map((part) => typeof part === "string" ? new TextEncoder().encode(part) : new Uint8Array(part));
  const length = all.reduce((sum, part) => sum + part.length, 0);
  const header = Uint8Array.from([...number(8 * id + 2), ...number(length)]);
  const made = new Uint8Array(header.length + length);
  let at = 0;
  for (const part of [header, ...all]) {
    made.set(part, at);
    at += part.length;
  }
  return made;
}
