/**
 * Maps with one cell for each position of a square on a photo, and the photo with the square.
 *
 * @module
 */

import type { NdArray } from "../array.ts";
import type { Marks, Picture, Row } from "../figure/blocks.ts";
import { colorize, type Palette, paletteRow } from "../figure/color.ts";
import { type Pixels, pixelsOf } from "../figure/mosaic.ts";

/** A smaller photo is shown enlarged by a whole factor, up to this size. */
const SHOWN = 208;
const BAR_HEIGHT = 10;
const BAR_GAP = 5;
const FRAME = [255, 138, 0];
/** Cells of which nothing is known yet. */
const UNKNOWN = [128, 128, 128];

/** How many screen pixels a pixel of the photo takes. */
export const photoFactor = ([height, width]: readonly number[]) =>
  Math.max(1, Math.floor(SHOWN / Math.max(height, width)));

/**
 * A photo with a framed square in it.
 *
 * @param image `[h, w, 3]`
 * @param baseline what replaces the pixels in the square, `[h, w, 3]`
 * @param box `[y0, x0, y1, x1]` of the square; it may hang over the edges
 */
export function photoWithSquare(
  image: NdArray,
  baseline: NdArray,
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
  const [width, mapHeight] = [columns * tile, rows * tile];
  const height = mapHeight + (bar ? BAR_GAP + BAR_HEIGHT : 0);
  const data = new Uint8Array(width * height * 4);
  const barRow = bar && paletteRow(bar, width);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = (y * width + x) * 4;
      if (y < mapHeight) {
        const cell = Math.floor(y / tile) * columns + Math.floor(x / tile);
        data.set(colors.subarray(cell * 3, cell * 3 + 3), at);
      } else if (y < mapHeight + BAR_GAP) continue;
      else data.set(barRow!.subarray(x * 3, x * 3 + 3), at);
      data[at + 3] = 255;
    }
  }
  return {
    kind: "picture",
    heading,
    ...note !== undefined && { note },
    alt,
    pixels: { data, width, height },
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
export function filledCoarsely({ data, shape: [, columns] }: NdArray): Float32Array {
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
    const [width, height] = [64, 10];
    const data = new Uint8Array(width * height * 3);
    for (let i = 0; i < data.length; i++) data[i] = color[i % 3];
    return { kind: "picture", note: name, alt: `The colour of ${name}`, pixels: { data, width, height } };
  };
  return {
    kind: "row",
    blocks: [...names.map((name, i) => swatch(name, CLASS_COLORS[i])), ...others ? [swatch(others, OTHER)] : []],
  };
}
