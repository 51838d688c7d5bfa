/**
 * What becomes of an image that is saved, sent on and read again.
 *
 * @module
 */

import type { NdArrayLike } from "../../array.ts";
import { encodePng } from "../../codec.ts";
import { decodedLike, jpegCompressed } from "../../data/corrupt.ts";
import { resize } from "../../resize/resize.ts";

/** An image that was saved and read again. */
export interface Reread {
  /** How, as `"JPEG 75"`. */
  readonly as: string;
  readonly pixels: NdArrayLike;
}

const QUALITIES = [95, 75, 50];

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
    { as: "PNG", pixels: await decodedLike(await encodePng(bytes, width, height, channels), shape) },
    ...await Promise.all(QUALITIES.map(async (quality) => ({
      as: `JPEG ${quality}`,
      pixels: await jpegCompressed({ data, shape }, quality),
    }))),
    { as: "half the size and back", pixels: { data: Float32Array.from(again.data, Math.round), shape } },
  ];
}
