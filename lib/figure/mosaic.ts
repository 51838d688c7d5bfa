/**
 * Many small pictures of one size as one large picture: the grid behind activations and filters.
 *
 * @module
 */

import { extent } from "../array.ts";

/** An RGB or RGBA picture, 8 bits a channel, row by row. */
export interface Pixels {
  /** `height · width · 3` bytes, or `· 4` where places are transparent. */
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** Where the tiles of a mosaic are, in its own pixels: what a hover needs. */
export interface TileGrid {
  /** Columns of tiles. */
  readonly columns: number;
  /** Width and height of one tile, gutter not counted. */
  readonly tile: readonly [width: number, height: number];
  /** Pixels between tiles, and around them. @default 1 */
  readonly gutter?: number;
  /** What the hover says of each tile, row by row. */
  readonly labels: readonly string[];
  /** How many more tiles there are than are drawn. @default 0 */
  readonly left?: number;
}

export interface Mosaic {
  readonly pixels: Pixels;
  readonly grid: TileGrid;
  /** The same tiles in so many columns, or laid out for a page of another width, in pixels. */
  readonly lay: (page: { columns?: number; width?: number }) => Mosaic;
}

export interface MosaicOptions {
  /** Width of one tile in its own cells. */
  width: number;
  /** Height of one tile in its own cells. */
  height: number;
  /** How many tiles. */
  count: number;
  /** The RGB bytes of tile `index`, `height · width · 3` of them. */
  paint: (index: number) => Uint8Array;
  /** What the hover says of tile `index`. */
  label: (index: number) => string;
  /** Whether tile `index` is outlined (a dead map, a noisy filter). @default none is */
  outlined?: (index: number) => boolean;
  /** How many tiles are in a row. @default chosen so that the mosaic fits `maxWidth` without a ragged last row */
  columns?: number;
  /** The mosaic is wrapped to at most this many pixels, unless one tile is wider. @default 930 */
  maxWidth?: number;
  /** No tile is narrower than this many pixels, unless there are too many. @default 24 */
  leastTile?: number;
  /** Pixels between tiles, and around them, where a cell takes so many. @default 1, or more where cells are large */
  gutter?: (scale: number) => number;
  /** Tiles are enlarged by a whole factor while the mosaic stays below this many pixels in height. @default 460 */
  maxHeight?: number;
}

/** The width of the page that figures are made for, and the height of a grid on it. */
const PAGE = { width: 930, height: 460 };

/** One tile is not narrower than this many pixels, unless the mosaic would be taller than {@linkcode TALLEST}. */
const LEAST_TILE = 24;
/** A mosaic that would be taller than this many pixels has smaller tiles; where even these are too many, it has fewer. */
const TALLEST = 10_000;
/** One tile is not enlarged beyond this many pixels, and one cell of a tile not beyond that many. */
const LARGEST_TILE = 240;
const LARGEST_CELL = 40;
/** Between tiles of large cells the gutter is this share of a cell, for it to be seen: from 1 pixel to so many. */
const GUTTER_SHARE = 0.25;
const WIDEST_GUTTER = 6;
/** The gutter between tiles of a mean below {@linkcode LIGHT}, and between lighter ones. */
const GUTTER_COLORS = { dark: [98, 108, 120], light: [24, 26, 30] };
const LIGHT = 96;
const OUTLINE_COLOR = [255, 138, 0];

const gutterOf = (scale: number) => Math.max(1, Math.min(WIDEST_GUTTER, Math.round(scale * GUTTER_SHARE)));

/** How tiles are arranged at one enlargement. */
interface Layout {
  scale: number;
  gutter: number;
  columns: number;
  rows: number;
}

/** The number of columns, at most `most`, that leaves the fewest empty places in the last row. */
function evenColumns(count: number, most: number): number {
  if (count <= most) return count;
  let best = most;
  let bestEmpty = Infinity;
  for (let columns = most; columns >= Math.max(1, Math.ceil(most * 0.6)); columns--) {
    const empty = Math.ceil(count / columns) * columns - count;
    if (empty < bestEmpty) {
      best = columns;
      bestEmpty = empty;
    }
  }
  return best;
}

/** The largest enlargement that fits; a somewhat smaller one where that fills every place of the grid. */
function layOut(
  options: MosaicOptions,
): Layout {
  const { width, height, count, columns: fixed } = options;
  const { maxWidth = PAGE.width, maxHeight = PAGE.height, leastTile = LEAST_TILE } = options;
  const at = (scale: number): Layout & { fits: boolean } => {
    const gutter = (options.gutter ?? gutterOf)(scale);
    const most = Math.max(1, Math.floor((maxWidth - gutter) / (width * scale + gutter)));
    const columns = fixed === undefined ? evenColumns(count, most) : Math.min(fixed, count);
    const rows = Math.ceil(count / columns);
    const fits = columns * (width * scale + gutter) + gutter <= maxWidth &&
      rows * (height * scale + gutter) + gutter <= maxHeight &&
      Math.max(width, height) * scale <= LARGEST_TILE;
    return { scale, gutter, columns, rows, fits };
  };
  const least = Math.max(1, Math.ceil(leastTile / width));
  const fitting = [];
  for (let scale = least; scale * width <= LARGEST_TILE && scale <= LARGEST_CELL; scale++) {
    if (at(scale).fits) fitting.push(at(scale));
  }
  let largest = fitting.at(-1) ?? at(least);
  while (largest.scale > 1 && largest.rows * (height * largest.scale + largest.gutter) + largest.gutter - 1 > TALLEST) {
    largest = at(largest.scale - 1);
  }
  const full = fitting.findLast(({ columns, rows, scale }) =>
    columns * rows === count && scale >= largest.scale * 0.7 && (rows > 1 || largest.rows === 1)
  );
  return full ?? largest;
}

/**
 * Lays tiles out in a grid with one gutter (of a pixel, more where cells are large; light between dark tiles, dark
 * between light ones), enlarging each cell by a whole factor, so that nothing is blurred and no tile is narrower than 24
 * pixels, unless there are too many. Of more tiles than a picture can hold the first are drawn, and the grid says how
 * many are left out.
 *
 * @throws {RangeError} if there is no tile, or a tile has no cell
 */
export function mosaic(options: MosaicOptions): Mosaic {
  const { width, height, paint, label } = options;
  if (!(options.count >= 1 && width >= 1 && height >= 1)) {
    throw new RangeError(
      `A mosaic needs at least one tile with at least one cell: received ${options.count} of ${height}×${width}.`,
    );
  }
  const { scale, gutter, columns, rows: allRows } = layOut(options);
  const rows = Math.min(allRows, Math.max(1, Math.floor((TALLEST - gutter + 1) / (height * scale + gutter))));
  const count = Math.min(options.count, rows * columns);
  const tileWidth = width * scale;
  const tileHeight = height * scale;
  const fullWidth = columns * (tileWidth + gutter) + gutter;
  const fullHeight = rows * (tileHeight + gutter) + gutter;
  const tiles = Array.from({ length: count }, (_, index) => paint(index));
  const data = flatPixels(fullWidth * fullHeight, GUTTER_COLORS[meanOf(tiles) < LIGHT ? "dark" : "light"]);

  tiles.forEach((tile, index) => {
    const left = gutter + (index % columns) * (tileWidth + gutter);
    const top = gutter + Math.floor(index / columns) * (tileHeight + gutter);
    if (tile.length !== width * height * 3) {
      throw new RangeError(`Tile ${index} has ${tile.length} bytes; wanted ${height}×${width}×3.`);
    }
    for (let y = 0; y < height; y++) {
      const start = ((top + y * scale) * fullWidth + left) * 3;
      let at = start;
      for (let x = 0; x < width; x++) {
        const from = (y * width + x) * 3;
        for (let repeat = 0; repeat < scale; repeat++) {
          data[at++] = tile[from];
          data[at++] = tile[from + 1];
          data[at++] = tile[from + 2];
        }
      }
      const row = data.subarray(start, at);
      for (let repeat = 1; repeat < scale; repeat++) data.set(row, start + repeat * fullWidth * 3);
    }
  });
  // Outlines last, in the gutter around a tile, so that they cover no cell.
  const wide = Math.ceil(gutter / 2);
  const fill = (left: number, top: number, width: number, height: number) => {
    for (let y = top; y < top + height; y++) {
      for (let x = left; x < left + width; x++) data.set(OUTLINE_COLOR, (y * fullWidth + x) * 3);
    }
  };
  for (let index = 0; index < count; index++) {
    if (!options.outlined?.(index)) continue;
    const left = gutter + (index % columns) * (tileWidth + gutter) - wide;
    const top = gutter + Math.floor(index / columns) * (tileHeight + gutter) - wide;
    const [across, down] = [tileWidth + 2 * wide, tileHeight + 2 * wide];
    fill(left, top, across, wide);
    fill(left, top + down - wide, across, wide);
    fill(left, top, wide, down);
    fill(left + across - wide, top, wide, down);
  }
  const empty = columns * rows - count;
  return {
    pixels: {
      data: empty === 0
        ? data
        : cutCorner(data, fullWidth, fullHeight, empty * (tileWidth + gutter), tileHeight + gutter),
      width: fullWidth,
      height: fullHeight,
    },
    grid: {
      columns,
      tile: [tileWidth, tileHeight],
      ...(gutter !== 1 && { gutter }),
      labels: Array.from({ length: count }, (_, i) => label(i)),
      ...(count < options.count && { left: options.count - count }),
    },
    lay({ columns = options.columns, width: page = PAGE.width }) {
      const { maxWidth = PAGE.width, maxHeight = PAGE.height } = options;
      const wider = Math.max(1, page / PAGE.width);
      return mosaic({
        ...options,
        columns,
        maxWidth: Math.min(page, maxWidth * wider),
        maxHeight: maxHeight * wider,
      });
    },
  };
}

/** So many pixels of one colour, as RGB. */
export function flatPixels(count: number, color: readonly number[]): Uint8Array<ArrayBuffer> {
  const data = new Uint8Array(count * 3);
  for (let i = 0; i < data.length; i += 3) {
    data[i] = color[0];
    data[i + 1] = color[1];
    data[i + 2] = color[2];
  }
  return data;
}

function meanOf(tiles: readonly Uint8Array[]): number {
  let sum = 0;
  let count = 0;
  for (const tile of tiles) {
    for (let i = 0; i < tile.length; i++) sum += tile[i];
    count += tile.length;
  }
  return sum / count;
}

/** RGB as RGBA with the lower right corner transparent: where the last row has no tiles. */
function cutCorner(rgb: Uint8Array, width: number, height: number, cutWidth: number, cutHeight: number): Uint8Array {
  const rgba = new Uint8Array(width * height * 4);
  for (let i = 0; i < width * height; i++) {
    const cut = i % width >= width - cutWidth && i >= (height - cutHeight) * width;
    if (cut) continue;
    rgba[i * 4] = rgb[i * 3];
    rgba[i * 4 + 1] = rgb[i * 3 + 1];
    rgba[i * 4 + 2] = rgb[i * 3 + 2];
    rgba[i * 4 + 3] = 255;
  }
  return rgba;
}

/**
 * An image of any number of bands as it is drawn: RGB and grey as they are; of others the mean of all bands, from its least
 * (black) to its greatest value (white).
 *
 * @returns `[h, w, 3]` or `[h, w, 1]`, 0…255
 */
export function drawable(image: { data: ArrayLike<number>; shape: readonly number[] }): typeof image {
  const { data, shape: [height, width, channels = 1] } = image;
  if (channels === 1 || channels === 3) return image;
  const means = new Float32Array(height * width);
  for (let i = 0; i < data.length; i++) means[Math.floor(i / channels)] += data[i] / channels;
  const [low, high] = extent(means);
  return { data: means.map((mean) => 255 * (mean - low) / (high - low || 1)), shape: [height, width, 1] };
}

/**
 * An image as pixels, each repeated by a whole factor in both directions (or one down and one across), so that nothing
 * is blurred.
 *
 * @param image `[h, w, 3]`, RGB, or `[h, w, 1]`, grey, 0…255; rounded, and clipped to that range; others as
 *   {@linkcode drawable} has them
 */
export function pixelsOf(
  image: { data: ArrayLike<number>; shape: readonly number[] },
  factor: number | readonly [down: number, across: number] = 1,
): Pixels {
  const { data, shape: [rows, columns, channels = 1] } = drawable(image);
  const [down, across] = typeof factor === "number" ? [factor, factor] : factor;
  const width = columns * across;
  const height = rows * down;
  const bytes = new Uint8ClampedArray(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = (Math.floor(y / down) * columns + Math.floor(x / across)) * channels;
      for (let c = 0; c < 3; c++) bytes[(y * width + x) * 3 + c] = data[from + (channels === 3 ? c : 0)];
    }
  }
  return { data: new Uint8Array(bytes.buffer), width, height };
}
