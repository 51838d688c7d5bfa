import { decodeBytes } from "../lib/codec.ts";

/** Decodes as {@linkcode decodeBytes} does: floats, `[height, width, 3]`. */
export async function decode(bytes: Uint8Array, options: { name: string }) {
  const { data, width, height } = await decodeBytes(bytes, options);
  return { data: Float32Array.from(data), shape: [height, width, 3] };
}
