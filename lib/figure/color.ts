/**
 * Palettes, and numbers turned into colours.
 *
 * Every palette is safe for colour blindness: sequential ones grow steadily in lightness, the
 * diverging one grows in lightness away from zero and its two arms differ in blue against yellow.
 *
 * @module
 */

import { rgbOf } from "../page/disc.ts";

/** The palettes that maps can be painted with. */
export type Palette = "grey" | "inferno" | "diverging";

/** Evenly spaced anchors, from the smallest value to the largest. */
const ANCHORS: Record<Palette, string[]> = {
  grey: ["#000000", "#ffffff"],
  // matplotlib's inferno, ten anchors; its first colour set to pure black, since black is zero here.
  inferno: [
    "#000000",
    "#1b0c41",
    "#4a0c6b",
    "#781c6d",
    "#a52c60",
    "#cf4446",
    "#ed6925",
    "#fb9b06",
    "#f7d13d",
    "#fcffa4",
  ],
  // Black is zero in the middle: below it blue, above it orange.
  diverging: ["#b3ecff", "#4fb0e8", "#1c6cb0", "#0d3560", "#000000", "#5e2a06", "#b0561a", "#ee9a44", "#ffe9b8"],
};

const STEPS = 256;
const tables = new Map<Palette, Uint8Array>();

/** A palette as 256 RGB triples in a row. */
export function paletteTable(palette: Palette): Uint8Array {
  const known = tables.get(palette);
  if (known) return known;
  const anchors = ANCHORS[palette]?.map(rgbOf);
  if (!anchors) {
    throw new RangeError(`There is no palette ${JSON.stringify(palette)}; wanted one of ${Object.keys(ANCHORS)}.`);
  }
  const table = new Uint8Array(STEPS * 3);
  for (let i = 0; i < STEPS; i++) {
    const at = (i / (STEPS - 1)) * (anchors.length - 1);
    const low = Math.min(Math.floor(at), anchors.length - 2);
    for (let c = 0; c < 3; c++) {
      table[i * 3 + c] = Math.round(anchors[low][c] + (at - low) * (anchors[low + 1][c] - anchors[low][c]));
    }
  }
  tables.set(palette, table);
  return table;
}

/**
 * Paints values as RGB bytes; what lies outside `[low, high]` is clipped, and NaN is painted magenta.
 *
 * @param values the numbers, in any shape
 * @param low the value of the palette's first colour
 * @param high the value of its last; when it equals `low`, everything takes the first colour
 *   (the middle one of the diverging palette)
 */
export function colorize(values: ArrayLike<number>, low: number, high: number, palette: Palette): Uint8Array {
  const table = paletteTable(palette);
  const flat = palette === "diverging" ? STEPS >> 1 : 0;
  const gain = high > low ? (STEPS - 1) / (high - low) : 0;
  const out = new Uint8Array(values.length * 3);
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (value !== value) {
      out[i * 3] = 255;
      out[i * 3 + 2] = 255;
      continue;
    }
    let step = gain === 0 ? flat : Math.round((value - low) * gain);
    if (step < 0) step = 0;
    else if (step >= STEPS) step = STEPS - 1;
    out[i * 3] = table[step * 3];
    out[i * 3 + 1] = table[step * 3 + 1];
    out[i * 3 + 2] = table[step * 3 + 2];
  }
  return out;
}

/** The colours of a palette from the first on the left to the last on the right: one row of a colour bar, as RGB. */
export function paletteRow(palette: Palette, width: number): Uint8Array {
  return colorize(Array.from({ length: width }, (_, x) => x), 0, Math.max(1, width - 1), palette);
}
