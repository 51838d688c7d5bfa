/**
 * Small random transformations before each step: what excites a unit only as long as no pixel moves is not kept.
 *
 * Mordvintsev, Olah and Tyka, "Inceptionism" (2015) moved the image; Olah et al. (2017), "Transformation robustness", turn and
 * scale it, too. A bilinear resampling is linear, and its gradient the transposed one: here both are written as gathers, which
 * every backend has.
 *
 * @module
 */

import type { Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import { type Affine, composed, inverse, rotation, scaling, translation } from "../../data/warp.ts";
import { randomStream } from "../../random.ts";
import type { TF } from "../../runtime/core/types.ts";

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

/** A linear map of pixels: each is a sum of some others, `taps` of them at most. */
interface Gathers {
  readonly taps: number;
  /** `[taps, h·w]` */
  readonly places: Int32Array;
  readonly weights: Float32Array;
}

/** What each pixel of a warped image reads: the four around the point that it came from. */
function readsOf(map: Affine, [height, width]: readonly number[]): Gathers {
  const { matrix: [a, b, c, d], shift } = inverse(map);
  const count = height * width;
  const places = new Int32Array(4 * count);
  const weights = new Float32Array(4 * count);
  const used = [false, false, false, false];
  const [cy, cx] = [(height - 1) / 2, (width - 1) / 2];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const py = a * (y - cy) + b * (x - cx) + shift[0] + cy;
      const px = c * (y - cy) + d * (x - cx) + shift[1] + cx;
      const [top, left] = [Math.floor(py), Math.floor(px)];
      for (let tap = 0; tap < 4; tap++) {
        const [row, column] = [top + (tap >> 1), left + (tap & 1)];
        const weight = (1 - Math.abs(py - row)) * (1 - Math.abs(px - column));
        if (row < 0 || row >= height || column < 0 || column >= width || !(weight > 1e-7)) continue;
        places[tap * count + y * width + x] = row * width + column;
        weights[tap * count + y * width + x] = weight;
        used[tap] = true;
      }
    }
  }
  // A move by whole pixels has one tap, the first.
  const taps = used.lastIndexOf(true) + 1;
  return { taps, places: places.subarray(0, taps * count), weights: weights.subarray(0, taps * count) };
}

/** The transposed map. */
function transposed({ taps, places, weights }: Gathers): Gathers {
  const count = places.length / (taps || 1);
  const filled = new Int32Array(count);
  for (let i = 0; i < places.length; i++) if (weights[i] !== 0) filled[places[i]]++;
  const most = filled.reduce((a, b) => Math.max(a, b), 0);
  const back = { taps: most, places: new Int32Array(most * count), weights: new Float32Array(most * count) };
  filled.fill(0);
  for (let i = 0; i < places.length; i++) {
    if (weights[i] === 0) continue;
    const at = filled[places[i]]++ * count + places[i];
    back.places[at] = i % count;
    back.weights[at] = weights[i];
  }
  return back;
}

/** Applies a linear map of pixels to `[n, h·w, c]`. */
function gather(tf: TF, x: Tensor, { taps, places, weights }: Gathers): Tensor {
  const [n, count, c] = x.shape;
  let sum: Tensor | undefined;
  for (let tap = 0; tap < taps; tap++) {
    const from = tap * count, to = from + count;
    const weight = tf.tensor3d(weights.slice(from, to), [1, count, 1]);
    const read = tf.mul(
      tf.reshape(
        tf.gather(
          n === 1 ? tf.reshape(x, [count, c]) : x,
          tf.tensor1d(places.slice(from, to), "int32"),
          n === 1 ? 0 : 1,
        ),
        [n, count, c],
      ),
      weight,
    );
    sum = sum ? tf.add(sum, read) : read;
  }
  return sum ?? tf.zerosLike(x);
}

/**
 * Warps images by an affine map, bilinearly, with a gradient.
 *
 * @param images `[n, h, w, c]`
 * @param map where their points go
 * @param fill what stands where no pixel came to; it meets the image within one pixel
 * @returns `[n, h, w, c]`
 */
export function warped(tf: TF, images: Tensor, map: Affine, fill = 127.5): Tensor {
  const [n, height, width, channels] = images.shape;
  const reads = readsOf(map, [height, width]);
  const linear = tf.customGrad((x) => {
    const image = x as Tensor;
    return {
      value: gather(tf, image, reads),
      gradFunc: (dy: Tensor) => gather(tf, dy, transposed(reads)),
    };
  });
  const flat = tf.reshape(tf.sub(images, fill), [n, height * width, channels]);
  return tf.add(tf.reshape(linear(flat), images.shape), fill);
}
