/**
 * Pixels: how bright they are, and those that cannot be what was meant: of 0…1 or −1…1 where 0…255 is wanted, or all alike.
 *
 * @module
 */

import { extent, type NdArrayLike } from "../array.ts";
import { brief } from "../format.ts";
import type { RawPixels } from "../resize/resize.ts";

/** The shares of red, green and blue in luminance, what the eye takes for brightness (ITU-R BT.601), as OpenCV has them. */
export const LUMA: readonly number[] = [0.299, 0.587, 0.114];

/**
 * What is unusual about an image's pixels, in a sentence; empty where nothing is.
 *
 * @param image `[h, w, c]`
 * @param ranged whether they should be 0…255; else only pixels that are all alike are unusual
 */
export function oddPixels({ data, shape }: RawPixels, ranged: boolean): string {
  const channels = shape[2];
  if (data.length > channels && areAlike(data, channels)) {
    const color = [...new Set(data.subarray(0, channels))].map((value) => brief(value)).join(", ");
    return `All pixels of the image are alike (${color}).`;
  }
  // Most photos: bytes that are not all 0 and 1.
  if (data instanceof Uint8Array && data.some((value) => value > 1)) return "";
  const [least, most] = extent(data);
  if (!ranged || (least >= 0 && most <= 255 && most > 1)) return "";
  const remedy = most > 1
    ? ""
    : least >= 0
    ? ": multiply them by 255"
    : least >= -1
    ? ": take (pixel + 1) × 127.5"
    : "";
  return `The pixels of the image run from ${brief(least)} to ${brief(most)}, and 0 to 255 is expected${remedy}.`;
}

/** Whether all pixels are the same; most images show at once that they are not. */
function areAlike(data: RawPixels["data"], channels: number): boolean {
  for (let i = channels; i < data.length; i++) if (data[i] !== data[i - channels]) return false;
  return true;
}

const remarks = new WeakMap<NdArrayLike, string>();

/** Notes what is unusual about the image that was made into a view. */
export function setPixelRemark(view: NdArrayLike, remark: string): void {
  if (remark) remarks.set(view, remark);
}

/** What was noted about the image that was made into a view, for captions; empty if it was nothing. */
export const pixelRemark = (view: NdArrayLike): string => remarks.get(view) ?? "";

/** How the bands of an image `[h, w, c]` are drawn, for captions; empty for grey, RGB, and what is no image. */
export const bandsNote = (shape: readonly (number | null)[]): string =>
  shape.length === 3 && shape[2] !== 1 && shape[2] !== 3
    ? `Of the image's ${shape[2]} channels their mean is drawn, from its least (black) to its greatest (white).`
    : "";
