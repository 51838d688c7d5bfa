/**
 * Maps with one cell for each position of a square on a photo, and the photo with the square.
 *
 * @module
 */

import type { NdArrayLike } from "../array.ts";
import type { Marks, Picture, Row } from "../figure/blocks.ts";
import { colorize, type Palette, paletteRow } from "../figure/color.ts";
import { type Pixels, pixelsOf } from "../figure/mosaic.ts";
import { enlargement } from "./panels.ts";

/** A smaller photo is shown enlarged by a whole factor, up to this size. */
const SHOWN = 208;
const BAR_HEIGHT = 10;
const BAR_GAP = 5;
const FRAME = [255, 138, 0];
/** Cells of which nothing is known yet. */
const UNKNOWN = [128, 128, 128];

/** How many screen pixels a pixel of the photo takes. */
export const photoFactor = (shape: readonly number[]) => enlargement(shape, SHOWN);

/**
 * A photo with a framed square in it.
 *
 * @param image `[h, w, 3]`
 * @param baseline what replaces the pixels in the square, `[h, w, 3]`
 * @param box `[y0, x0, y1, x1]` of the square; it may hang over the edges
 */
export function photoWithSquare(
  image: NdArrayLike,
  baseline: NdArrayLike,
  box: readonly [number, number, number, number],
): Pixels {
  const [height, width] = image.shape;
  const [y0, x0, y1, x1] = box;
  const data = image.data.map((value, i) => {
    const [y, x] = [Math.floor(i / (3 * width)), Math.floor(i / 3) % width];
    return y >= y0 && y < y1 && x >= x0 && x < x1 ? baseline.data[i] : value;
  });
  const factor = photoFactor(image.shape);
  const pixels = pixelsOf({ data, shape: image.shape }, factor);
  const [top, left] = [y0 * factor, x0 * factor];
  const [bottom, right] = [Math.min(y1, height) * factor - 1, Math.min(x1, width) * factor - 1];
  for (let y = top; y <= bottom; y++) {
    for (let x = left; x <= right; x++) {
      const edge = y - top < 2 || bottom - y < 2 || x - left < 2 || right - x < 2;
      if (edge) pixels.data.set(FRAME, (y * pixels.width + x) * 3);
    }
  }
  return pixels;
}

/** What a map of positions is painted from. */
export interface PositionMap {
  heading: string;
  note?: string;
  alt: string;
  rows: number;
  columns: number;
  /** How large the map is, in pixels of its longer side, at most. */
  shown: number;
  /** RGB of each cell, row by row. */
  colors: Uint8Array;
  /** What the hover shows of each cell. */
  labels?: readonly string[];
  /** What the hover marks on the photo. */
  marks?: Marks;
  /** The palette of the colour bar under the map. @default no bar */
  bar?: Palette;
}

/** Paints one cell a position, with a colour bar under the map. */
export function positionPicture(map: PositionMap): Picture {
  const { heading, note, alt, rows, columns, shown, colors, labels, marks, bar } = map;
  const tile = Math.max(1, Math.floor(shown / Math.max(rows, columns)));
  let pixels = pixelsOf({ data: colors, shape: [rows, columns, 3] }, tile);
  if (bar) {
    const { data, width, height } = pixels;
    const under = height + BAR_GAP;
    const row = paletteRow(bar, width);
    const all = new Uint8Array(width * (under + BAR_HEIGHT) * 4);
    for (let i = 0; i < all.length / 4; i++) {
      const y = Math.floor(i / width);
      if (y >= height && y < under) continue;
      const [from, at] = y < height ? [data, i] : [row, i % width];
      all.set(from.subarray(3 * at, 3 * at + 3), 4 * i);
      all[4 * i + 3] = 255;
    }
    pixels = { data: all, width, height: under + BAR_HEIGHT };
  }
  return {
    kind: "picture",
    heading,
    ...note !== undefined && { note },
    alt,
    pixels,
    ...labels && { grid: { columns, tile: [tile, tile], gutter: 0, labels } },
    ...marks && { marks },
  };
}

/** The colours of some values; those that are not known yet are grey. */
export function positionColors(values: Float32Array, low: number, high: number, palette: Palette): Uint8Array {
  const colors = colorize(values, low, high, palette);
  values.forEach((value, i) => {
    if (Number.isNaN(value)) colors.set(UNKNOWN, i * 3);
  });
  return colors;
}

/**
 * A map that is filled from coarse to fine, with what is not known yet taken from the next coarser position that is.
 *
 * @param values `[rows, columns]`, NaN where nothing is known
 */
export function filledCoarsely({ data, shape: [, columns] }: NdArrayLike): Float32Array {
  return data.map((value, i) => {
    const [row, column] = [Math.floor(i / columns), i % columns];
    const known = [1, 2, 4].map((step) => data[(row - row % step) * columns + column - column % step]);
    return known.find((one) => !Number.isNaN(one)) ?? value;
  });
}

/** Classes are distinguished by Okabe and Ito's colours; those beyond are grey. */
const CLASS_COLORS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00"].map((hex) => {
  const value = parseInt(hex.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
});
const OTHER = [150, 150, 150];

/** How many classes have a colour of their own. */
export const MOST_COLORS = CLASS_COLORS.length;

/** The colour of each cell of a map of classes; `order` lists the classes that have one. */
export function classColors(classes: Float32Array, order: readonly number[]): Uint8Array {
  const colors = new Uint8Array(classes.length * 3);
  classes.forEach((index, i) => {
    colors.set(Number.isNaN(index) ? UNKNOWN : CLASS_COLORS[order.indexOf(index)] ?? OTHER, i * 3);
  });
  return colors;
}

/** A legend: the colour of each class under its name. */
export function classLegend(names: readonly string[], others?: string): Row {
  const swatch = (name: string, color: readonly number[]): Picture => {
    const pixels = pixelsOf({ data: color, shape: [1, 1, 3] }, [10, 64]);
    return { kind: "picture", note: name, alt: `The colour of ${name}`, pixels };
  };
  return {
    kind: "row",
    blocks: [...names.map((name, i) => swatch(name, CLASS_COLORS[i])), ...others ? [swatch(others, OTHER)] : []],
  };
}
