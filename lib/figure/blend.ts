/**
 * A picture over a photo.
 *
 * @module
 */

import type { Blend } from "./blocks.ts";
import type { Pixels } from "./mosaic.ts";

export const DEFAULT_OPACITY = 0.6;

const composites = new WeakMap<Blend, Pixels>();

/** What a {@linkcode Blend} looks like at its own opacity: RGB, as large as the photo. */
export function composite(blend: Blend): Pixels {
  const known = composites.get(blend);
  if (known) return known;
  const { below, above, opacity = DEFAULT_OPACITY } = blend;
  const { width, height } = below;
  const belowDepth = below.data.length / (width * height);
  const aboveDepth = above.data.length / (above.width * above.height);
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    const aboveRow = Math.floor(((y + 0.5) * above.height) / height) * above.width;
    for (let x = 0; x < width; x++) {
      const from = (y * width + x) * belowDepth;
      const over = (aboveRow + Math.floor(((x + 0.5) * above.width) / width)) * aboveDepth;
      const share = aboveDepth === 4 ? (opacity * above.data[over + 3]) / 255 : opacity;
      for (let c = 0; c < 3; c++) {
        data[(y * width + x) * 3 + c] = Math.round(below.data[from + c] * (1 - share) + above.data[over + c] * share);
      }
    }
  }
  const made = { data, width, height };
  composites.set(blend, made);
  return made;
}
