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

/** By which whole factor a small picture is enlarged to be about `shown` pixels large. */
export const enlargement = ([height, width]: readonly number[], shown: number): number =>
  Math.max(1, Math.floor(shown / Math.max(height, width)));

/** Numbers `[h, w]` painted by a palette from `low` to `high`. */
export const painted = (
  { data, shape: [height, width] }: NdArrayLike,
  { low, high, palette, factor }: { low: number; high: number; palette: Palette; factor?: number | [number, number] },
): Pixels => pixelsOf({ data: colorize(data, low, high, palette), shape: [height, width, 3] }, factor);

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
  alt: string;
}

/** A grid of maps or filters as one picture; black (in colour pictures grey) is 0. */
export function tilesPicture(
  { values: valuesOf, largest: largestOfTile, palette, order, alt, ...grid }: Tiles,
): Picture {
  const paint = (index: number): Uint8Array => {
    const values = valuesOf(index);
    const largest = largestOfTile?.(index) ?? largestOf(values);
    if (values.length === grid.width * grid.height) {
      return colorize(values, palette === "diverging" ? -largest : 0, largest, palette);
    }
    return Uint8Array.from(values, (_, at) => {
      const color = at % 3;
      const value = values[order === "bgr" ? at - color + 2 - color : at];
      return Math.round(127.5 + 127.5 * value / (largest || 1));
    });
  };
  return { kind: "picture", ...mosaic({ ...grid, paint }), alt };
}

/** One filter of `[kh, kw, cin, cout]` as `[kh, kw, cin]`. */
export function filterOf({ data, shape }: NdArrayLike, index: number): NdArrayLike {
  const filters = shape[3];
  const values = new Float32Array(data.length / filters);
  for (let i = 0; i < values.length; i++) values[i] = data[i * filters + index];
  return { data: values, shape: shape.slice(0, 3) };
}
