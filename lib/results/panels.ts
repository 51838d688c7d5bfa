/**
 * The pictures that results are made of: numbers painted by a palette, each cell enlarged by a whole factor; grids of
 * feature maps and filters.
 *
 * @module
 */

import { extent, type NdArrayLike } from "../array.ts";
import type { Picture } from "../figure/blocks.ts";
import { colorize, type Palette } from "../figure/color.ts";
import { mosaic, type MosaicOptions, type Pixels, pixelsOf } from "../figure/mosaic.ts";

/** A cell's place in words, as `"row 3, column 7"`. */
export const placeText = (place: readonly number[]): string =>
  place.map((at, axis) => `${[["cell"], ["row", "column"], ["slice", "row", "column"]][place.length - 1][axis]} ${at}`)
    .join(", ");

/** By which whole factor a small picture is enlarged to be about `shown` pixels large. */
export const enlargement = ([height, width]: readonly number[], shown: number): number =>
  Math.max(1, Math.floor(shown / Math.max(height, width)));

/** Numbers `[h, w]` painted by a palette from `low` to `high`. */
export const painted = (
  { data, shape: [height, width] }: NdArrayLike,
  { low, high, palette, factor }: { low: number; high: number; palette: Palette; factor?: number | [number, number] },
): Pixels => pixelsOf({ data: colorize(data, low, high, palette), shape: [height, width, 3] }, factor);

/**
 * What is added to an image `[h, w, c]`, some times as strong about mid-grey; of neither 1 nor 3 channels their mean, on the
 * same scale.
 */
export function changed({ data, shape }: NdArrayLike, factor: number): NdArrayLike {
  const [height, width, channels = 1] = shape;
  const isDrawn = channels === 1 || channels === 3;
  const shades = new Float32Array(isDrawn ? data.length : height * width).fill(128);
  data.forEach((value, i) =>
    shades[isDrawn ? i : Math.floor(i / channels)] += factor * value / (isDrawn ? 1 : channels)
  );
  return { data: shades, shape: isDrawn ? shape : [height, width, 1] };
}

/** The largest magnitude. */
export function largestOf(values: ArrayLike<number>): number {
  const [low, high] = extent(values);
  return Math.max(-low, high);
}

/** What a grid of maps or filters is painted from. */
export interface Tiles extends Omit<MosaicOptions, "paint"> {
  /** The values of tile `index`, `[height, width]`, or `[height, width, 3]` for a colour picture with grey for 0. */
  values: (index: number) => Float32Array;
  /** The magnitude that takes the last colour. @default the tile's own largest */
  largest?: (index: number) => number;
  /** Maps without negative numbers go from 0; others from the negative to the positive largest. */
  palette: Palette;
  /** The order of the colours of a colour picture. @default "rgb" */
  order?: "rgb" | "bgr";
  /** After so many columns of a tile one is a gap, between slices. @default none is */
  gap?: number;
  alt: string;
}

/** A gap between slices: the gutter's colour between dark tiles. */
const GAP = [98, 108, 120];

/** A grid of maps or filters as one picture; black (in colour pictures grey) is 0. */
export function tilesPicture(
  { values: valuesOf, largest: largestOfTile, palette, order, gap, alt, ...grid }: Tiles,
): Picture {
  const paint = (index: number): Uint8Array => {
    const values = valuesOf(index);
    const largest = largestOfTile?.(index) ?? largestOf(values);
    if (values.length === grid.width * grid.height) {
      const colors = colorize(values, palette === "diverging" ? -largest : 0, largest, palette);
      for (let at = 0; gap !== undefined && at < values.length; at++) {
        if (at % grid.width % (gap + 1) === gap) colors.set(GAP, at * 3);
      }
      return colors;
    }
    return Uint8Array.from(values, (_, at) => {
      const color = at % 3;
      const value = values[order === "bgr" ? at - color + 2 - color : at];
      return Math.round(127.5 + 127.5 * value / (largest || 1));
    });
  };
  return { kind: "picture", ...mosaic({ ...grid, paint }), alt };
}

/** The width of a strip, whatever its length: strips of several layers show the same time at the same place. */
export const STRIP = 720;
/** The height that strips share, and those of one. */
const STRIPS_HEIGHT = 420;
const STRIP_HEIGHT = { least: 3, most: 14 };

/** Numbers along a line, drawn on so many pixels; of those on one pixel the one of the largest magnitude. */
export function stretched(values: Float32Array, width: number): Float32Array {
  const { length } = values;
  return Float32Array.from({ length: width }, (_, x) => {
    const start = Math.floor(x * length / width);
    const end = Math.max(start + 1, Math.floor((x + 1) * length / width));
    let found = values[start];
    for (let i = start + 1; i < end; i++) if (Math.abs(values[i]) > Math.abs(found)) found = values[i];
    return found;
  });
}

/** Beside one another slices take about so many cells, and are no more than that; of their side and of the gutter
 * between maps at least so many pixels. */
const SLICES = { cells: 260, least: 3, most: 8, side: 40, gutter: 9 };

/**
 * The slices of a volume that are drawn where not all are: evenly spaced, the first and the last among them.
 *
 * @param most how many are drawn at most
 */
export function slicesOf(depth: number, most: number): number[] {
  const count = Math.min(depth, Math.max(1, most));
  if (count === 1) return [Math.floor(depth / 2)];
  return Array.from({ length: count }, (_, i) => Math.round(i * (depth - 1) / (count - 1)));
}

/** Which slices of a map `[d, h, w]` a small picture of it holds. */
const tileSlices = ([depth, , width]: readonly number[]) =>
  slicesOf(depth, Math.min(SLICES.most, Math.max(SLICES.least, Math.floor(SLICES.cells / (width + 1)))));

/** How a picture of maps is read whose cells lie along a line or in a volume; empty for maps `[h, w]`. */
export function mapsNote(space: readonly number[]): string {
  if (space.length === 1) return `a row a map, cells 0 to ${space[0] - 1}`;
  if (space.length !== 3) return "";
  const slices = tileSlices(space);
  return `of each map ${slices.length === space[0] ? "all slices" : `the slices ${slices.join(", ")}`}, side by side`;
}

/**
 * A grid of maps as one picture, whatever their axes: maps `[h, w]` as tiles, maps `[length]` as strips one below the other,
 * of maps `[d, h, w]` some slices side by side.
 *
 * @param space the axes of each map, without channels
 */
export function mapsPicture(space: readonly number[], tiles: Omit<Tiles, "height" | "width">): Picture {
  const { values, count } = tiles;
  if (space.length === 1) {
    const { least, most } = STRIP_HEIGHT;
    const height = Math.max(least, Math.min(most, Math.floor(STRIPS_HEIGHT / count)));
    const strip = (i: number) => {
      const row = stretched(values(i), STRIP);
      return Float32Array.from({ length: height * STRIP }, (_, at) => row[at % STRIP]);
    };
    return tilesPicture({ ...tiles, height, width: STRIP, columns: 1, values: strip });
  }
  if (space.length === 2) return tilesPicture({ ...tiles, height: space[0], width: space[1] });
  const [, height, width] = space;
  const slices = tileSlices(space);
  const largest = tiles.largest ?? ((i: number) => largestOf(values(i)));
  return tilesPicture({
    ...tiles,
    height,
    width: slices.length * (width + 1) - 1,
    largest,
    values: (i) => sideBySide(values(i), space, slices),
    gap: width,
    gutter: (scale) => Math.max(SLICES.gutter, 2 * scale),
    leastTile: slices.length * SLICES.side,
  });
}

/** Slices of a volume `[d, h, w]` side by side, a column of zeros between two. */
export function sideBySide(
  volume: ArrayLike<number>,
  [, height, width]: readonly number[],
  slices: readonly number[],
): Float32Array {
  const across = slices.length * (width + 1) - 1;
  return Float32Array.from({ length: height * across }, (_, at) => {
    const x = at % across;
    const column = x % (width + 1);
    if (column === width) return 0;
    return volume[(slices[Math.floor(x / (width + 1))] * height + Math.floor(at / across)) * width + column];
  });
}

/** One filter of `[…sides, cin, cout]` as `[…sides, cin]`. */
export function filterOf({ data, shape }: NdArrayLike, index: number): NdArrayLike {
  const filters = shape.at(-1)!;
  const values = new Float32Array(data.length / filters);
  for (let i = 0; i < values.length; i++) values[i] = data[i * filters + index];
  return { data: values, shape: shape.slice(0, -1) };
}
