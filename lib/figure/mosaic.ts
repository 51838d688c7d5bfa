/**
 * Many small pictures of one size as one large picture: the grid behind activations and filters.
 *
 * @module
 */

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
  /** Tiles are enlarged by a whole factor while the mosaic stays below this many pixels in height. @default 460 */
  maxHeight?: number;
}

/** One tile is not narrower than this many pixels, unless the mosaic would be taller than {@linkcode TALLEST}. */
const LEAST_TILE = 24;
/** A mosaic that would be taller than this many pixels has smaller tiles; where even these are too many, it has fewer. */
const TALLEST = 10_000;
/** One tile is not enlarged beyond this many pixels, and one cell of a tile not beyond that many. */
const LARGEST_TILE = 240;
const LARGEST_CELL = 40;
const GUTTER = 1;
/** The gutter between tiles of a mean below {@linkcode LIGHT}, and between lighter ones. */
const GUTTER_COLORS = { dark: [98, 108, 120], light: [24, 26, 30] };
const LIGHT = 96;
const OUTLINE_COLOR = [255, 138, 0];

/** How tiles are arranged at one enlargement. */
interface Layout {
  scale: number;
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
function layOut({ width, height, count, columns: fixed, maxWidth = 930, maxHeight = 460 }: MosaicOptions): Layout {
  const at = (scale: number): Layout & { fits: boolean } => {
    const most = Math.max(1, Math.floor((maxWidth - GUTTER) / (width * scale + GUTTER)));
    const columns = fixed ?? evenColumns(count, most);
    const rows = Math.ceil(count / columns);
    const fits = columns * (width * scale + GUTTER) + GUTTER <= maxWidth &&
      rows * (height * scale + GUTTER) + GUTTER <= maxHeight &&
      Math.max(width, height) * scale <= LARGEST_TILE;
    return { scale, columns, rows, fits };
  };
  const least = Math.max(1, Math.ceil(LEAST_TILE / width));
  const fitting = [];
  for (let scale = least; scale * width <= LARGEST_TILE && scale <= LARGEST_CELL; scale++) {
    if (at(scale).fits) fitting.push(at(scale));
  }
  let largest = fitting.at(-1) ?? at(least);
  while (largest.scale > 1 && largest.rows * (height * largest.scale + GUTTER) > TALLEST) {
    largest = at(largest.scale - 1);
  }
  const full = fitting.findLast(({ columns, rows, scale }) =>
    columns * rows === count && scale >= largest.scale * 0.7 && (rows > 1 || largest.rows === 1)
  );
  return full ?? largest;
}

/**
 * Lays tiles out in a grid with one gutter of one pixel (light between dark tiles, dark between light ones), enlarging
 * each cell by a whole factor, so that nothing is blurred and no tile is narrower than 24 pixels, unless there are too
 * many. Of more tiles than a picture can hold the first are drawn, and the grid says how many are left out.
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
  const { scale, columns, rows: allRows } = layOut(options);
  const rows = Math.min(allRows, Math.max(1, Math.floor(TALLEST / (height * scale + GUTTER))));
  const count = Math.min(options.count, rows * columns);
  const tileWidth = width * scale;
  const tileHeight = height * scale;
  const fullWidth = columns * (tileWidth + GUTTER) + GUTTER;
  const fullHeight = rows * (tileHeight + GUTTER) + GUTTER;
  const data = new Uint8Array(fullWidth * fullHeight * 3);
  const tiles = Array.from({ length: count }, (_, index) => paint(index));
  const gutter = GUTTER_COLORS[meanOf(tiles) < LIGHT ? "dark" : "light"];
  for (let i = 0; i < data.length; i++) data[i] = gutter[i % 3];

  tiles.forEach((tile, index) => {
    const left = GUTTER + (index % columns) * (tileWidth + GUTTER);
    const top = GUTTER + Math.floor(index / columns) * (tileHeight + GUTTER);
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
  for (let index = 0; index < count; index++) {
    if (!options.outlined?.(index)) continue;
    const left = (index % columns) * (tileWidth + GUTTER);
    const top = Math.floor(index / columns) * (tileHeight + GUTTER);
    const dot = (x: number, y: number) => data.set(OUTLINE_COLOR, (y * fullWidth + x) * 3);
    for (let x = left; x <= left + tileWidth + GUTTER; x++) {
      dot(x, top);
      dot(x, top + tileHeight + GUTTER);
    }
    for (let y = top; y <= top + tileHeight + GUTTER; y++) {
      dot(left, y);
      dot(left + tileWidth + GUTTER, y);
    }
  }
  const empty = columns * rows - count;
  return {
    pixels: {
      data: empty === 0
        ? data
        : cutCorner(data, fullWidth, fullHeight, empty * (tileWidth + GUTTER), tileHeight + GUTTER),
      width: fullWidth,
      height: fullHeight,
    },
    grid: {
      columns,
      tile: [tileWidth, tileHeight],
      labels: Array.from({ length: count }, (_, i) => label(i)),
      ...(count < options.count && { left: options.count - count }),
    },
  };
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
 * An image as pixels, each repeated by a whole factor in both directions (or one down and one across), so that nothing
 * is blurred.
 *
 * @param image `[h, w, 3]`, RGB, 0…255; rounded, and clipped to that range
 */
export function pixelsOf(
  { data, shape: [rows, columns] }: { data: ArrayLike<number>; shape: readonly number[] },
  factor: number | readonly [down: number, across: number] = 1,
): Pixels {
  const [down, across] = typeof factor === "number" ? [factor, factor] : factor;
  const width = columns * across;
  const height = rows * down;
  const bytes = new Uint8ClampedArray(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = (Math.floor(y / down) * columns + Math.floor(x / across)) * 3;
      for (let c = 0; c < 3; c++) bytes[(y * width + x) * 3 + c] = data[from + c];
    }
  }
  return { data: new Uint8Array(bytes.buffer), width, height };
}
