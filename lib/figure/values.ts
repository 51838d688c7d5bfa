/**
 * The numbers behind a picture, packed for the page: two bytes each, with three significant digits left.
 *
 * @module
 */

import type { NdArrayLike } from "../array.ts";
import type { PackedValues } from "../page/data.ts";

/** Half floats end at 65504; numbers are scaled to stay below. */
const MOST = 32_768;

/**
 * Packs the numbers behind a picture.
 *
 * @param values `[h, w]` or `[h, w, c]`
 * @throws {RangeError} if the array has other axes, or one is empty
 */
export function packValues({ data, shape }: NdArrayLike): PackedValues {
  if (shape.length < 2 || shape.length > 3 || data.length === 0) {
    throw new RangeError(
      `The numbers behind a picture are [height, width] or [height, width, channels]: received [${shape.join(", ")}].`,
    );
  }
  let most = 0;
  for (const value of data) if (Number.isFinite(value)) most = Math.max(most, Math.abs(value));
  // A power of two, so that scaling costs no digit.
  const scale = most > 0 ? 2 ** Math.max(-1000, Math.min(1000, Math.floor(Math.log2(MOST / most)))) : 1;
  const view = new DataView(new ArrayBuffer(data.length * 2));
  data.forEach((value, i) => view.setFloat16(i * 2, value * scale, true));
  const [rows, columns, channels = 1] = shape;
  return { rows, columns, channels, scale, halves: new Uint8Array(view.buffer).toBase64() };
}
