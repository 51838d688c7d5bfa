/**
 * What a model saw, as a block of a figure: an image, the lines of a signal, slices of a volume.
 *
 * @module
 */

import type { NdArrayLike } from "../array.ts";
import type { Chart, Picture } from "../figure/blocks.ts";
import { pixelsOf } from "../figure/mosaic.ts";
import { enlargement } from "./panels.ts";
import { signalBlock } from "./signals.ts";
import { flatImage, numbered, slicesText, type SlicesView, slicesView } from "./volumes.ts";

/**
 * @param input `[h, w, c]`, `[length, c]`, `[d, h, w, c]` or `[n]`
 * @param shown a smaller image is enlarged by a whole factor, up to so many pixels
 * @param width of the lines of a signal
 * @param slices which slices of a volume are seen @default evenly spaced ones
 */
export function inputBlock(
  { data, shape }: { readonly data: ArrayLike<number>; readonly shape: readonly number[] },
  { shown, slices, width, ...words }: {
    shown: number;
    slices?: SlicesView;
    width?: number;
    heading?: string;
    alt: string;
  },
): Picture | Chart {
  const input: NdArrayLike = { data: Float32Array.from(data), shape };
  if (shape.length <= 2) return signalBlock(input, { ...words, width });
  if (shape.length === 3) return { kind: "picture", ...words, pixels: pixelsOf(input, enlargement(shape, shown)) };
  const view = slices ?? slicesView(shape.slice(0, 3));
  const pixels = numbered(view, pixelsOf(flatImage(view, input), view.factor));
  return { kind: "picture", ...words, note: slicesText(view), pixels };
}
