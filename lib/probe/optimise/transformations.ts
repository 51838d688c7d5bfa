/**
 * Small random transformations before each step: what excites a unit only as long as no pixel moves is not kept.
 *
 * Mordvintsev, Olah and Tyka, "Inceptionism" (2015) moved the image; Olah et al. (2017), "Transformation robustness", turn and
 * scale it, too. A bilinear resampling is linear, and its gradient the transposed one.
 *
 * @module
 */

import { type Affine, composed, inverse, rotation, scaling, translation } from "../../data/warp.ts";
import { randomStream } from "../../random.ts";

/** How far an image is transformed. */
export interface Transformations {
  /** Pixels that it is moved by at most, up or down and to either side. */
  readonly jitter: number;
  /** The share that it is enlarged or made smaller by at most. */
  readonly scale: number;
  /** The degrees that it is turned by at most, either way. */
  readonly rotate: number;
  /**
   * The share of the steps after which all of this fades away: what bears transformations is found first, then sharpened. 1
   * keeps them to the end.
   */
  readonly until: number;
}

/**
 * Moves, scales and turns that a picture bears: a jitter of a 28th of what is seen, as in Lucid, 5 % and 5°. (Lucid goes to 10 %
 * and 10°, on images of 224 pixels; networks of 32 pixels lose much by that.) They fade over the second half of the steps:
 * pictures look the same then, and excite units of small networks by a third more, as much as without any.
 *
 * @param side of what the target sees, in pixels
 */
export const standardTransformations = (side: number): Transformations => ({
  jitter: Math.round(side / 28),
  scale: 0.05,
  rotate: 5,
  until: 0.5,
});

/** How much of the transformations is left at a step, 0…1: all at first, none over the last fifth of those after `until`. */
export function strengthAt({ until }: Transformations, step: number, steps: number): number {
  const over = step / steps - until;
  return over <= 0 ? 1 : Math.max(0, 1 - over / (0.8 * (1 - until)));
}

/**
 * A transformation as it is drawn at random: the same for the same key.
 *
 * @param strength how much of the most it may be, 0…1
 */
export function drawTransformation(most: Transformations, strength: number, ...key: number[]): Affine {
  const random = randomStream(...key);
  const between = (most: number) => (2 * random() - 1) * most;
  const [jitter, scale, rotate] = [most.jitter, most.scale, most.rotate].map((value) => value * strength);
  const moves = () => Math.round(between(Math.round(jitter) + 0.499));
  const [down, right, factor, degrees] = [moves(), moves(), 1 + between(scale), between(rotate)];
  return composed(translation(down, right), scaling(factor), rotation(degrees));
}

/** Visits each pixel that a warped image reads, of the four around the point that its own pixel came from. */
function eachTap(
  map: Affine,
  [height, width]: readonly number[],
  visit: (pixel: number, from: number, weight: number) => void,
): void {
  const { matrix: [a, b, c, d], shift } = inverse(map);
  const [cy, cx] = [(height - 1) / 2, (width - 1) / 2];
  for (let y = 0, pixel = 0; y < height; y++) {
    for (let x = 0; x < width; x++, pixel++) {
      const py = a * (y - cy) + b * (x - cx) + shift[0] + cy;
      const px = c * (y - cy) + d * (x - cx) + shift[1] + cx;
      const [top, left] = [Math.floor(py), Math.floor(px)];
      for (let tap = 0; tap < 4; tap++) {
        const [row, column] = [top + (tap >> 1), left + (tap & 1)];
        const weight = (1 - Math.abs(py - row)) * (1 - Math.abs(px - column));
        if (row < 0 || row >= height || column < 0 || column >= width || !(weight > 1e-7)) continue;
        visit(pixel, row * width + column, weight);
      }
    }
  }
}

/**
 * Warps images by an affine map, bilinearly.
 *
 * @param shape `[n, h, w, c]`
 * @param map where their points go
 * @param fill what stands where no pixel came to; it meets the image within one pixel
 */
export function warped(
  images: Float32Array,
  [n, height, width, channels]: readonly number[],
  map: Affine,
  fill = 127.5,
): Float32Array {
  const out = new Float32Array(images.length).fill(fill);
  const each = height * width * channels;
  eachTap(map, [height, width], (pixel, from, weight) => {
    for (let i = 0; i < n; i++) {
      const [to, at] = [i * each + pixel * channels, i * each + from * channels];
      for (let c = 0; c < channels; c++) out[to + c] += weight * (images[at + c] - fill);
    }
  });
  return out;
}

/** The gradient to images of which that to the warped ones is given: the transposed map. */
export function warpedBack(
  gradient: Float32Array,
  [n, height, width, channels]: readonly number[],
  map: Affine,
): Float32Array {
  const out = new Float32Array(gradient.length);
  const each = height * width * channels;
  eachTap(map, [height, width], (pixel, from, weight) => {
    for (let i = 0; i < n; i++) {
      const [at, to] = [i * each + pixel * channels, i * each + from * channels];
      for (let c = 0; c < channels; c++) out[to + c] += weight * gradient[at + c];
    }
  });
  return out;
}
