/**
 * Volumes in a picture: some slices side by side, each under its number.
 *
 * @module
 */

import { extent, type NdArrayLike } from "../array.ts";
import { flatPixels, type Pixels } from "../figure/mosaic.ts";
import { sideBySide, slicesOf } from "./panels.ts";

/** Slices side by side are about so wide in pixels, and so many. */
const SHOWN = { width: 720, least: 3, most: 8 };
/** Between slices, and behind their numbers. */
const GUTTER = [98, 108, 120];
const INK = [255, 255, 255];
/** The digits in cells of 3 × 5, row by row, each cell of so many pixels. */
const DIGITS = [
  "111101101101111",
  "010110010010111",
  "111001111100111",
  "111001111001111",
  "101101111001001",
  "111100111001111",
  "111100111101111",
  "111001010010010",
  "111101111101111",
  "111101111001111",
];
const DIGIT = 2;
const BAND = 7 * DIGIT;

/** How a volume is laid out: which slices are seen, and how much each cell is enlarged. */
export interface SlicesView {
  readonly shape: readonly number[];
  readonly slices: readonly number[];
  readonly factor: number;
}

/**
 * How a volume `[d, h, w]` is shown: evenly spaced slices, and one that must be among them.
 *
 * @param peak the place of a cell in the volume whose slice is shown
 */
export function slicesView(shape: readonly number[], peak?: number): SlicesView {
  const [depth, height, width] = shape;
  const most = Math.max(SHOWN.least, Math.min(SHOWN.most, Math.floor(SHOWN.width / width)));
  const slices = slicesOf(depth, most);
  const slice = peak === undefined ? slices[0] : Math.floor(peak / (height * width));
  const nearest = slices.reduce((best, one, i) => Math.abs(one - slice) < Math.abs(slices[best] - slice) ? i : best, 0);
  slices[nearest] = slice;
  return { shape, slices, factor: Math.max(1, Math.floor(SHOWN.width / (slices.length * (width + 1)))) };
}

/** The slices in words, as `"slices 0, 3, 6 of 12"`. */
export const slicesText = ({ slices, shape: [depth] }: SlicesView): string =>
  slices.length === depth ? `all ${depth} slices` : `slices ${slices.join(", ")} of ${depth}`;

/** A map `[d, h, w]` with its slices side by side, `[h, w']`. */
export function flat(view: SlicesView, { data }: Pick<NdArrayLike, "data">): NdArrayLike {
  const [, height, width] = view.shape;
  const across = view.slices.length * (width + 1) - 1;
  return { data: sideBySide(data, view.shape, view.slices), shape: [height, across] };
}

/** A volume `[d, h, w, c]` as a picture, `[h, w', 3]`: three channels as colours, others as their mean, from black to white. */
export function flatImage(view: SlicesView, { data, shape }: NdArrayLike): NdArrayLike {
  const channels = shape[3];
  const cells = data.length / channels;
  const channel = (c: number) =>
    flat(view, { data: Float32Array.from({ length: cells }, (_, i) => data[i * channels + c]) });
  const mean = () => {
    const means = Float32Array.from({ length: cells }, (_, i) => {
      let sum = 0;
      for (let c = 0; c < channels; c++) sum += data[i * channels + c];
      return sum / channels;
    });
    const [low, high] = extent(means);
    return flat(view, { data: means.map((value) => 255 * (value - low) / (high - low || 1)) });
  };
  const planes = channels === 3 ? [0, 1, 2].map(channel) : new Array<NdArrayLike>(3).fill(mean());
  const [{ shape: [height, width] }] = planes;
  const colors = Float32Array.from({ length: 3 * height * width }, (_, i) => planes[i % 3].data[Math.floor(i / 3)]);
  return { data: colors, shape: [height, width, 3] };
}

/** A picture of slices with the gaps between them, and above each its number. */
export function numbered(view: SlicesView, { data, width, height }: Pixels): Pixels {
  const { slices, factor, shape: [, , columns] } = view;
  const depth = data.length / (width * height);
  const full = new Uint8Array(width * (height + BAND) * depth);
  const flatBand = flatPixels(width * BAND, GUTTER);
  const put = (x: number, y: number, color: ArrayLike<number>) => {
    const at = (y * width + x) * depth;
    for (let c = 0; c < 3; c++) full[at + c] = color[c];
    // What lies over a picture is transparent where there is none.
    if (depth === 4) full[at + 3] = 0;
  };
  for (let i = 0; i < width * BAND; i++) put(i % width, Math.floor(i / width), flatBand.subarray(3 * i, 3 * i + 3));
  full.set(data, width * BAND * depth);
  slices.forEach((slice, i) => {
    const left = i * (columns + 1) * factor;
    for (let y = BAND; y < height + BAND && i > 0; y++) {
      for (let x = left - factor; x < left; x++) put(x, y, GUTTER);
    }
    [...String(slice)].forEach((digit, place) => {
      [...DIGITS[Number(digit)]].forEach((on, cell) => {
        if (on === "0") return;
        const x0 = left + (1 + place * 4 + cell % 3) * DIGIT;
        const y0 = (1 + Math.floor(cell / 3)) * DIGIT;
        for (let k = 0; k < DIGIT * DIGIT; k++) {
          const x = x0 + k % DIGIT;
          if (x < left + columns * factor) put(x, y0 + Math.floor(k / DIGIT), INK);
        }
      });
    });
  });
  return { data: full, width, height: height + BAND };
}
