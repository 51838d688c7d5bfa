/**
 * Many images on a grid, as one picture to zoom into.
 *
 * @module
 */

import { encodePng, encodeWebp, LONGEST_WEBP } from "../codec.ts";
import type { Live } from "./blocks.ts";
import { scriptJson } from "../format.ts";
import scripts from "../page/bundle.json" with { type: "json" };
import type { GridData as PageGrid } from "../page/data.ts";
import { flatPixels, type Pixels } from "./mosaic.ts";
import { rgbOf } from "../page/disc.ts";
import type { Typesetter } from "./text.ts";
import { type Theme, THEMES } from "./theme.ts";
import { shrink, SPRITE_BUDGET, type Thumbnails } from "./sprites.ts";

/** Images on a grid. */
export interface GridData {
  rows: number;
  columns: number;
  /** The image in each cell, row by row, or −1. */
  cells: ArrayLike<number>;
  thumbnails: Thumbnails;
  /** What the hover says of each image. */
  words: (index: number) => string;
  alt: string;
}

/** The still picture's width in pixels, and the least and the largest cell. */
const WIDTH = 930;
const LEAST = 6;
const LARGEST = 48;
/** The sizes of cells that the page's picture is tried with, the largest first, and its quality as a WebP. */
const SIZES = [64, 48, 32, 24, 16, 12, 8];
const QUALITY = 70;

/** The images side by side, each of the same width in pixels; empty cells have the colour of the ground. */
function lay({ rows, columns, cells, thumbnails: { side, data } }: GridData, tile: number, { ground }: Theme): Pixels {
  const width = columns * tile;
  const pixels = flatPixels(width * rows * tile, rgbOf(ground));
  const small = new Uint8Array(tile * tile * 3);
  for (let cell = 0; cell < rows * columns; cell++) {
    if (cells[cell] < 0) continue;
    shrink(data, cells[cell] * side * side * 3, side, tile, small);
    const left = (cell % columns) * tile;
    const top = Math.floor(cell / columns) * tile;
    for (let y = 0; y < tile; y++) {
      pixels.set(small.subarray(y * tile * 3, (y + 1) * tile * 3), ((top + y) * width + left) * 3);
    }
  }
  return { data: pixels, width, height: rows * tile };
}

/** The picture for the page, which one can zoom into: as fine as the thumbnails, as far as the budget reaches. */
async function finePicture(grid: GridData): Promise<Uint8Array> {
  const { rows, columns, thumbnails: { side } } = grid;
  const sizes = [...new Set([Math.min(side, SIZES[0]), ...SIZES.filter((tile) => tile < side)])];
  for (const tile of sizes) {
    if (Math.max(rows, columns) * tile > LONGEST_WEBP) continue;
    const { data, width, height } = lay(grid, tile, THEMES.light);
    const picture = await encodeWebp(data, width, height, { quality: QUALITY });
    if (picture.length <= SPRITE_BUDGET) return picture;
  }
  throw new RangeError(
    `A grid of ${rows} × ${columns} images is too large for one picture of at most ${LONGEST_WEBP} pixels a side and ` +
      `${SPRITE_BUDGET / 1e6} MB. Show fewer images.`,
  );
}

/** A grid of images as a block of a figure: a still picture, and where scripts run one to zoom into. */
export function gridBlock(grid: GridData): Live {
  const { rows, columns, cells, words, alt } = grid;
  const tile = Math.min(LARGEST, Math.max(LEAST, Math.floor(WIDTH / columns)));
  const still = async (_: Typesetter, theme: Theme) => {
    const { data, width, height } = lay(grid, tile, theme);
    const png = await encodePng(data, width, height, 3, { level: 6 });
    return {
      width,
      height,
      svg: `<image width="${width}" height="${height}" href="data:image/png;base64,${png.toBase64()}"/>`,
    };
  };
  return {
    kind: "live",
    className: "convlens-grid",
    alt,
    still,
    picture: () => finePicture(grid),
    html() {
      const page: PageGrid = {
        rows,
        columns,
        words: Array.from(cells, (index) => index < 0 ? "" : words(index)),
      };
      const hint =
        `<div style="font-size:85%;opacity:.8">Scroll to zoom in, drag to move, double click for the whole.</div>`;
      return Promise.resolve(
        `<script type="application/json">${scriptJson(page)}</script>${hint}<script>${scripts.grid}</script>`,
      );
    },
  };
}
