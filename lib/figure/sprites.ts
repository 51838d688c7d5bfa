/**
 * Thumbnails in sheets that keep to a budget, for the pictures under the pointer.
 *
 * @module
 */

import { encodePng, encodeWebp } from "../codec.ts";
import type { Pixels } from "./mosaic.ts";

/** Small square pictures, all of one size. */
export interface Thumbnails {
  /** The side in pixels. */
  readonly side: number;
  /** RGB bytes, `[n, side, side, 3]`. */
  readonly data: Uint8Array;
}

/** Thumbnails, encoded. */
export interface Sprites {
  /** The side of a tile in pixels, at most that of the thumbnails. */
  tile: number;
  /** Tiles in a row of a sheet, and rows in a full sheet. */
  columns: number;
  /** Of every `step`-th thumbnail there is a tile, from the first one on. */
  step: number;
  /** The sheets as WebP, in base64. */
  sheets: string[];
  /** The size of all sheets, before base64. */
  bytes: number;
}

/** The most bytes that all sheets of a figure take. */
export const SPRITE_BUDGET = 6_000_000;

/** A sheet's side in pixels. */
const SHEET = 1024;
/** Smaller tiles show nothing: rather fewer of them. */
const SIZES = [48, 32, 24, 16, 12];
/** Larger ones are shrunk: nothing shows more of them. */
const LARGEST = 64;
const FEWER = 16;
/** Tiles from which the size of all is estimated. */
const SAMPLE = 1024;
const SOME = 24;
/** Pictures of at most so many pixels are kept exactly. */
const EXACT = 48 * 48;

/**
 * Shrinks a picture, a square or `[height, width]`, by the mean of what each new pixel covers.
 *
 * @param start where it begins in `from`
 */
export function shrink<Numbers extends Uint8Array | Float32Array>(
  from: Numbers,
  start: number,
  side: number | readonly [height: number, width: number],
  to: number | readonly [height: number, width: number],
  into: Numbers,
): void {
  const round = into instanceof Float32Array ? (value: number) => value : Math.round;
  const [height, width] = typeof side === "number" ? [side, side] : side;
  const [rows, columns] = typeof to === "number" ? [to, to] : to;
  if (height === rows && width === columns) {
    into.set(from.subarray(start, start + height * width * 3));
    return;
  }
  const [down, across] = [height / rows, width / columns];
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      const sums = [0, 0, 0];
      for (let v = Math.floor(y * down); v < (y + 1) * down; v++) {
        const high = Math.min(v + 1, (y + 1) * down) - Math.max(v, y * down);
        for (let u = Math.floor(x * across); u < (x + 1) * across; u++) {
          const area = high * (Math.min(u + 1, (x + 1) * across) - Math.max(u, x * across));
          const at = start + (Math.min(v, height - 1) * width + Math.min(u, width - 1)) * 3;
          for (let c = 0; c < 3; c++) sums[c] += area * from[at + c];
        }
      }
      for (let c = 0; c < 3; c++) into[(y * columns + x) * 3 + c] = round(sums[c] / (down * across));
    }
  }
}

/** The sides that pictures under the pointer are tried with, the largest first; smaller pictures stay as they are. */
const WHOLES = [256, 192, 144, 112, 80, 64, 48, 32];

/** Pictures that the pointer shows, RGB: as large as all together fit into a budget, those of few pixels exact. */
export async function encodeWholes(
  wholes: Iterable<Pixels>,
  { budget = SPRITE_BUDGET }: { budget?: number } = {},
): Promise<Map<Pixels, Uint8Array>> {
  const all = [...wholes];
  const encode = ({ data, width, height }: Pixels, side: number) => {
    const factor = Math.min(1, side / Math.max(width, height));
    const size = [height, width].map((length) => Math.max(1, Math.round(length * factor))) as [number, number];
    const small = new Uint8Array(size[0] * size[1] * 3);
    shrink(data, 0, [height, width], size, small);
    if (size[0] * size[1] <= EXACT) return encodePng(small, size[1], size[0], 3);
    return encodeWebp(small, size[1], size[0], { quality: 75 });
  };
  const some = every(Math.max(1, Math.floor(all.length / SOME)), all.length).map((i) => all[i]);
  for (const side of WHOLES) {
    const tried = await Promise.all(some.map((whole) => encode(whole, side)));
    const estimate = tried.reduce((sum, { length }) => sum + length, 0) / Math.max(1, some.length) * all.length;
    if (estimate > budget && side !== WHOLES.at(-1)) continue;
    return new Map(await Promise.all(all.map(async (whole) => [whole, await encode(whole, side)] as const)));
  }
  return new Map();
}

/** A sheet with the given thumbnails, as many in a row as fit. */
async function encodeSheet(
  { side: size, data }: Thumbnails,
  chosen: readonly number[],
  tile: number,
): Promise<Uint8Array> {
  const columns = Math.floor(SHEET / tile);
  const width = Math.min(columns, chosen.length) * tile;
  const height = Math.ceil(chosen.length / columns) * tile;
  const pixels = new Uint8Array(width * height * 3).fill(255);
  const small = new Uint8Array(tile * tile * 3);
  chosen.forEach((index, place) => {
    shrink(data, index * size * size * 3, size, tile, small);
    const left = (place % columns) * tile;
    const top = Math.floor(place / columns) * tile;
    for (let y = 0; y < tile; y++) {
      pixels.set(small.subarray(y * tile * 3, (y + 1) * tile * 3), ((top + y) * width + left) * 3);
    }
  });
  return await encodeWebp(pixels, width, height, { quality: tile < 20 ? 60 : 75 });
}

/** Every `step`-th number below `count`. */
const every = (step: number, count: number) => Array.from({ length: Math.ceil(count / step) }, (_, i) => i * step);

async function encodeAll(
  thumbnails: Thumbnails,
  count: number,
  { tile, step, budget }: { tile: number; step: number; budget: number },
): Promise<Sprites | undefined> {
  const columns = Math.floor(SHEET / tile);
  const chosen = every(step, count);
  const sheets: string[] = [];
  let bytes = 0;
  for (let start = 0; start < chosen.length; start += columns ** 2) {
    const sheet = await encodeSheet(thumbnails, chosen.slice(start, start + columns ** 2), tile);
    bytes += sheet.length;
    if (bytes > budget) return undefined;
    sheets.push(sheet.toBase64());
  }
  return { tile, columns, step, sheets, bytes };
}

/**
 * Encodes thumbnails as sheets of at most `budget` bytes: at their own size (64 pixels at most), smaller where that
 * would be too much, and fewer where even 12 pixels would.
 *
 * @throws {RangeError} if there are not `count` thumbnails
 */
export async function encodeSprites(
  thumbnails: Thumbnails,
  count: number,
  { budget = SPRITE_BUDGET }: { budget?: number } = {},
): Promise<Sprites> {
  const { side: size, data } = thumbnails;
  if (data.length !== count * size * size * 3) {
    throw new RangeError(
      `${count} thumbnails of ${size} × ${size} pixels take ${count * size * size * 3} bytes: received ${data.length}.`,
    );
  }
  const largest = Math.min(size, LARGEST);
  const sizes = [largest, ...SIZES.filter((tile) => tile < largest)];
  const sample = every(Math.max(1, Math.floor(count / SAMPLE)), count).slice(0, SAMPLE);
  for (const tile of sizes) {
    const estimate = (await encodeSheet(thumbnails, sample.slice(0, Math.floor(SHEET / tile) ** 2), tile)).length /
      Math.min(sample.length, Math.floor(SHEET / tile) ** 2) * count;
    if (estimate > 1.1 * budget) continue;
    const sprites = await encodeAll(thumbnails, count, { tile, step: 1, budget });
    if (sprites) return sprites;
  }
  const tile = Math.min(size, FEWER);
  for (let step = 2;; step *= 2) {
    const sprites = await encodeAll(thumbnails, count, { tile, step, budget });
    if (sprites) return sprites;
  }
}
