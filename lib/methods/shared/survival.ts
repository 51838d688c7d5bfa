/**
 * What becomes of an image that is saved, sent on and read again.
 *
 * @module
 */

import type { NdArrayLike } from "../../array.ts";
import { decodeBytes, encodeJpeg, encodePng } from "../../codec.ts";
import { resize } from "../../resize/resize.ts";

/** An image that was saved and read again. */
export interface Reread {
  /** How, as `"JPEG 75"`. */
  readonly as: string;
  readonly pixels: NdArrayLike;
}

const QUALITIES = [95, 75, 50];

/** Decoded pixels in as many channels as the image has. */
async function decoded(bytes: Uint8Array, shape: readonly number[]): Promise<NdArrayLike> {
  const { data } = await decodeBytes(bytes, { name: "the changed image" });
  const channels = shape[2];
  return {
    data: Float32Array.from({ length: data.length / 3 * channels }, (_, i) => channels === 3 ? data[i] : data[3 * i]),
    shape,
  };
}

/**
 * An image as a PNG, as JPEGs, and made half as large and as large as before, each read again.
 *
 * @param image of whole numbers 0…255, `[h, w, 1]` or `[h, w, 3]`; of other channels there is none
 */
export async function reread({ data, shape }: NdArrayLike): Promise<Reread[]> {
  const [height, width, channels] = shape;
  if (channels !== 1 && channels !== 3) return [];
  const bytes = Uint8Array.from(data);
  const half = [Math.max(1, Math.round(height / 2)), Math.max(1, Math.round(width / 2))] as const;
  const small = resize({ data: bytes, shape }, half, { fit: "squash" });
  const again = resize({ data: Float32Array.from(small.data, Math.round), shape: small.shape }, [height, width], {
    fit: "squash",
  });
  return [
    { as: "PNG", pixels: await decoded(await encodePng(bytes, width, height, channels), shape) },
    ...await Promise.all(QUALITIES.map(async (quality) => ({
      as: `JPEG ${quality}`,
      pixels: await decoded(await encodeJpeg(bytes, width, height, channels, quality), shape),
    }))),
    { as: "half the size and back", pixels: { data: Float32Array.from(again.data, Math.round), shape } },
  ];
}
