/**
 * Images moved, turned, scaled and sheared, and where each of their points goes.
 *
 * @module
 */

import { type NdArray, ndarray, type NdArrayLike } from "../array.ts";

/**
 * An affine map of an image onto itself, about its centre: the point `p = [y, x]` goes to
 * `matrix · (p − centre) + centre + shift`. Points are counted in pixels from the centre of the pixel in the first row and
 * column, so that the centre of an image of `h` rows and `w` columns is `[(h − 1) / 2, (w − 1) / 2]`.
 */
export interface Affine {
  /** Row by row, of `[y, x]`: `y′ = a y + b x`, `x′ = c y + d x`. */
  readonly matrix: readonly [a: number, b: number, c: number, d: number];
  /** In pixels, after the matrix. */
  readonly shift: readonly [down: number, right: number];
}

/**
 * What stands where no pixel of the image came to: one number, a number for each channel, the image's mean colour, the image
 * mirrored at its border (whose pixels are not repeated), or the border's pixels repeated. A number meets the image within one
 * pixel, as in SciPy's `grid-constant`.
 */
export type Fill = number | readonly number[] | "mean" | "reflect" | "edge";

/** Moves by so many pixels, also by parts of one. */
export const translation = (down: number, right: number): Affine => ({ matrix: [1, 0, 0, 1], shift: [down, right] });

/** Turns anticlockwise; a multiple of 90 degrees turns exactly. */
export function rotation(degrees: number): Affine {
  const turns = (degrees % 360 + 360) % 360 / 90;
  const angle = Math.PI / 2 * turns;
  const [cos, sin] = Number.isInteger(turns)
    ? [[1, 0, -1, 0][turns], [0, 1, 0, -1][turns]]
    : [Math.cos(angle), Math.sin(angle)];
  return { matrix: [cos, -sin, sin, cos], shift: [0, 0] };
}

/** Enlarges what is shown by a factor, or shrinks it by one below 1. */
export const scaling = (factor: number): Affine => ({ matrix: [factor, 0, 0, factor], shift: [0, 0] });

/** The maps one after the other, the first one first. */
export function composed(...maps: readonly Affine[]): Affine {
  return maps.reduce(({ matrix: [a, b, c, d], shift: [down, right] }, { matrix: [e, f, g, h], shift }) => ({
    matrix: [e * a + f * c, e * b + f * d, g * a + h * c, g * b + h * d],
    shift: [e * down + f * right + shift[0], g * down + h * right + shift[1]],
  }), translation(0, 0));
}

/**
 * The map that takes every point back.
 *
 * @throws {RangeError} if the map is flat: it takes the image to a line or a point
 */
export function inverse({ matrix: [a, b, c, d], shift: [down, right] }: Affine): Affine {
  const determinant = a * d - b * c;
  if (!(Math.abs(determinant) > 0)) {
    throw new RangeError(
      `An affine map [${a}, ${b}, ${c}, ${d}] takes the image to a line or a point; wanted one that can be undone.`,
    );
  }
  // Adding 0 turns −0 into 0.
  const [e, f, g, h] = [d, -b, -c, a].map((value) => value / determinant + 0);
  return { matrix: [e, f, g, h], shift: [-(e * down + f * right) + 0, -(g * down + h * right) + 0] };
}

/**
 * Where a point goes.
 *
 * @param shape of the image, `[h, w, …]`
 * @param point `[y, x]`, in pixels from the centre of the first
 */
export function moved(
  { matrix: [a, b, c, d], shift }: Affine,
  [height, width]: readonly number[],
  [y, x]: readonly [y: number, x: number],
): [y: number, x: number] {
  const [cy, cx] = [(height - 1) / 2, (width - 1) / 2];
  return [a * (y - cy) + b * (x - cx) + cy + shift[0], c * (y - cy) + d * (x - cx) + cx + shift[1]];
}

/** Where a position outside of 0…length − 1 lands when it is mirrored at the border, the border itself not repeated. */
export function mirrored(position: number, length: number): number {
  if (position >= 0 && position < length) return position;
  if (length === 1) return 0;
  const period = 2 * (length - 1);
  const inside = (position % period + period) % period;
  return inside < length ? inside : period - inside;
}

/** The place on an axis that a position reads; −1 where it reads what fills. */
const PLACES = {
  reflect: mirrored,
  edge: (position: number, length: number) => Math.min(length - 1, Math.max(0, position)),
  fill: (position: number, length: number) => position >= 0 && position < length ? position : -1,
};

/**
 * Warps an image by an affine map; each pixel is read from the four around the point that it came from (bilinear).
 *
 * @param image `[h, w, c]`
 * @param map where its points go
 * @param fill what stands where no pixel came to @default "mean"
 * @returns `[h, w, c]`
 * @throws {RangeError} if the map cannot be undone, or there are neither one nor as many numbers to fill with as channels
 */
export function warp(image: NdArrayLike, map: Affine, fill: Fill = "mean"): NdArray {
  const { data, shape } = image;
  const [height, width, channels] = shape;
  const color = fill === "mean" ? channelMeans(image) : typeof fill === "string" ? [0] : [fill].flat();
  if (color.length !== 1 && color.length !== channels) {
    throw new RangeError(`A warp fills ${channels} channels with one number or ${channels}: received ${color.length}.`);
  }
  const place = PLACES[fill === "reflect" || fill === "edge" ? fill : "fill"];
  const back = inverse(map);
  const out = new Float32Array(data.length);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [fromY, fromX] = moved(back, shape, [y, x]);
      const [top, left] = [Math.floor(fromY), Math.floor(fromX)];
      const [low, right] = [fromY - top, fromX - left];
      const rows = [place(top, height), place(top + 1, height)];
      const columns = [place(left, width), place(left + 1, width)];
      const weights = [(1 - low) * (1 - right), (1 - low) * right, low * (1 - right), low * right];
      for (let c = 0; c < channels; c++, at++) {
        const filler = color[c % color.length];
        let sum = 0;
        for (let k = 0; k < 4; k++) {
          const [row, column] = [rows[k >> 1], columns[k & 1]];
          if (weights[k] === 0) continue;
          sum += weights[k] * (row < 0 || column < 0 ? filler : data[(row * width + column) * channels + c]);
        }
        out[at] = sum;
      }
    }
  }
  return ndarray(out, shape);
}

/** The mean of each channel, the last axis. */
export function channelMeans({ data, shape }: NdArrayLike): number[] {
  const channels = shape.at(-1)!;
  const sums = new Array<number>(channels).fill(0);
  data.forEach((value, i) => sums[i % channels] += value);
  return sums.map((sum) => sum / (data.length / channels));
}
