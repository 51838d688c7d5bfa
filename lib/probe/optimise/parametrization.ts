/**
 * What an image is made of while it is optimised: waves of decorrelated colours, or pixels.
 *
 * Olah, Mordvintsev and Schubert, "Feature Visualization" (Distill 2017), "Preconditioning and parameterization": gradient
 * ascent on pixels makes high frequencies; on Fourier coefficients that are scaled by 1/frequency, in colours that are
 * uncorrelated in photos, every step is as natural as photos are. The constants are those of Lucid's `optvis/param`.
 *
 * @module
 */

import type { Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import type { NdArrayLike } from "../../array.ts";
import { normalStream } from "../../random.ts";
import type { TF } from "../../runtime/core/types.ts";

/** A way to write images as numbers that are optimised. */
export interface Parametrization {
  /** Of the numbers of one image. */
  readonly shape: readonly number[];
  /** The numbers that an image of noise has, the same for the same key. */
  draw(key: readonly number[], deviation: number): Float32Array;
  /** The numbers of an image `[h, w, c]`, 0…255; colours at the ends of the range come out a little paler. */
  numbersOf(image: NdArrayLike): Float32Array;
  /** The images of numbers `[n, …shape]`: `[n, h, w, c]`, 0…255. It has a gradient on every backend. */
  pixels(numbers: Tensor): Tensor;
  /** The gradient to the numbers of some pixels, of which `dy` is that to these; both `[n, h, w, c]`. */
  back(pixels: Tensor, dy: Tensor): Tensor;
  /** Frees its constants. */
  dispose(): void;
}

/**
 * How strong uncorrelated colours are in photos: the square root of the covariance of ImageNet's pixels by its singular
 * values, over its largest column (Lucid's `color_correlation_svd_sqrt`). Rows are red, green and blue.
 */
export const COLORS: readonly (readonly number[])[] = (() => {
  const root = [[0.26, 0.09, 0.02], [0.27, 0, -0.05], [0.27, -0.09, 0.03]];
  const norms = [0, 1, 2].map((column) => Math.hypot(...root.map((row) => row[column])));
  return root.map((row) => row.map((value) => value / Math.max(...norms)));
})();

/** The inverse of a 3×3 matrix. */
function inverse3(m: readonly (readonly number[])[]): number[][] {
  const minor = (r: number, c: number) => {
    const [a, b] = [0, 1, 2].filter((i) => i !== r);
    const [d, e] = [0, 1, 2].filter((i) => i !== c);
    return (m[a][d] * m[b][e] - m[a][e] * m[b][d]) * ((r + c) % 2 ? -1 : 1);
  };
  const determinant = [0, 1, 2].reduce((sum, c) => sum + m[0][c] * minor(0, c), 0);
  return [0, 1, 2].map((r) => [0, 1, 2].map((c) => minor(c, r) / determinant));
}

/** A logit keeps so far from 0 and 255. */
const EDGE = 2 / 255;

/** The cosine and the sine of 2π·at·index/count, exact where they are 0 or ±1: what must have no effect has none. */
function wave(at: number, index: number, count: number): [cosine: number, sine: number] {
  const turn = (at * index) % count / count;
  if (turn * 4 % 1 === 0) return [[1, 0], [0, 1], [-1, 0], [0, -1]][turn * 4] as [number, number];
  return [Math.cos(2 * Math.PI * turn), Math.sin(2 * Math.PI * turn)];
}

/** How Fourier coefficients are scaled and coloured. */
export interface FourierOptions {
  /** The power of the frequency by which coefficients are divided: 1 as in photos; 0 is as pixels are. @default 1 */
  decay?: number;
  /** Whether three channels are written in the colours that are uncorrelated in photos. @default true */
  decorrelate?: boolean;
}

/**
 * Images as Fourier coefficients of uncorrelated colours, then a sigmoid to 0…255.
 *
 * The numbers of an image are `[c, ⌊w/2⌋ + 1, 2, h]`: of each channel, horizontal frequency, real and imaginary part the
 * vertical frequencies. The inverse transform is two products with matrices of cosines and sines: exact, of any size, with
 * a gradient on every backend; for 224×224×3 it takes 0.3 GFLOP.
 *
 * @param sides `[h, w, c]`
 */
export function fourierImages(
  tf: TF,
  [height, width, channels]: readonly number[],
  { decay = 1, decorrelate = true }: FourierOptions = {},
): Parametrization {
  const half = Math.floor(width / 2) + 1;
  const shape = [channels, half, 2, height];
  const colored = decorrelate && channels === 3;
  const scales = fourierScales(height, width, decay);
  const constants = tf.tidy(() => ({
    scales: tf.tensor(scales, [1, 1, half, 1, height]),
    rows: tf.tensor2d(rowWaves(height), [2 * height, 2 * height]),
    columns: tf.tensor2d(columnWaves(width), [2 * half, width]),
    colors: tf.tensor2d(COLORS[0].map((_, from) => COLORS.map((row) => row[from]))),
  }));
  const logits = (numbers: Tensor): Tensor => {
    const { rows, columns, colors } = constants;
    const n = numbers.shape[0];
    const scaled = tf.reshape(tf.mul(numbers, constants.scales), [n * channels * half, 2 * height]);
    const along = tf.reshape(tf.matMul(scaled as never, rows), [n * channels, half, 2, height]);
    const turned = tf.reshape(tf.transpose(along, [0, 3, 2, 1]), [n * channels * height, 2 * half]);
    const planes = tf.reshape(tf.matMul(turned as never, columns), [n, channels, height, width]);
    const last = tf.transpose(planes, [0, 2, 3, 1]);
    if (!colored) return last;
    return tf.reshape(tf.matMul(tf.reshape(last, [n * height * width, 3]) as never, colors), last.shape);
  };
  return {
    shape,
    draw(key, deviation) {
      const normal = normalStream(...key);
      return Float32Array.from({ length: channels * half * 2 * height }, () => deviation * normal());
    },
    numbersOf: (image) => fourierNumbers(image, scales, colored),
    pixels: (numbers) => tf.mul(tf.sigmoid(logits(numbers)), 255),
    back(pixels, dy) {
      const share = tf.div(pixels, 255);
      const slopes = tf.mul(dy, tf.mul(tf.mul(share, tf.sub(1, share)), 255));
      // A linear map has the same gradient everywhere.
      return tf.grad((numbers) => tf.sum(tf.mul(logits(numbers), slopes)))(tf.zeros([pixels.shape[0], ...shape]));
    },
    dispose: () => tf.dispose(constants),
  };
}

/** What coefficients are multiplied by, `[w/2 + 1, h]`: √(h·w)/4 over the frequency, and not more than of the lowest wave. */
function fourierScales(height: number, width: number, decay: number): Float32Array {
  const half = Math.floor(width / 2) + 1;
  const lowest = 1 / Math.max(height, width);
  return Float32Array.from({ length: half * height }, (_, i) => {
    const across = Math.floor(i / height) / width;
    const index = i % height;
    const down = (index < height / 2 ? index : index - height) / height;
    return Math.sqrt(height * width) / 4 / Math.max(Math.hypot(across, down), lowest) ** decay;
  });
}

/** From real and imaginary parts of vertical frequencies to those of rows, `[2h, 2h]`. */
function rowWaves(height: number): Float32Array {
  const waves = new Float32Array(4 * height * height);
  for (let k = 0; k < height; k++) {
    for (let y = 0; y < height; y++) {
      const [cosine, sine] = wave(k, y, height).map((value) => value / height);
      const at = (imaginary: number, out: number) => (imaginary * height + k) * 2 * height + out * height + y;
      waves[at(0, 0)] = waves[at(1, 1)] = cosine;
      waves[at(1, 0)] = -sine;
      waves[at(0, 1)] = sine;
    }
  }
  return waves;
}

/** From real and imaginary parts of horizontal frequencies to columns, `[2(w/2 + 1), w]`. */
function columnWaves(width: number): Float32Array {
  const half = Math.floor(width / 2) + 1;
  const waves = new Float32Array(2 * half * width);
  for (let k = 0; k < half; k++) {
    // Waves other than the first and, of even sides, the last stand for two, each the mirror of the other.
    const share = (k === 0 || 2 * k === width ? 1 : 2) / width;
    for (let x = 0; x < width; x++) {
      const [cosine, sine] = wave(k, x, width);
      waves[k * width + x] = share * cosine;
      waves[(half + k) * width + x] = -share * sine;
    }
  }
  return waves;
}

/** The coefficients of an image: the way back of {@linkcode fourierImages}. */
function fourierNumbers(
  { data, shape: [height, width, channels] }: NdArrayLike,
  scales: Float32Array,
  colored: boolean,
): Float32Array {
  const half = Math.floor(width / 2) + 1;
  const logits = Float64Array.from(data, (value) => {
    const share = Math.min(1 - EDGE, Math.max(EDGE, value / 255));
    return Math.log(share / (1 - share));
  });
  const back = inverse3(COLORS);
  const numbers = new Float32Array(channels * half * 2 * height);
  const [cosines, sines] = [0, 1].map((part) =>
    [height, width].map((side) => Float64Array.from({ length: side }, (_, i) => wave(1, i, side)[part]))
  );
  for (let c = 0; c < channels; c++) {
    const valueAt = (at: number) =>
      colored
        ? back[c].reduce((sum, value, from) => sum + value * logits[at * 3 + from], 0)
        : logits[at * channels + c];
    const plane = Float64Array.from({ length: height * width }, (_, at) => valueAt(at));
    for (let kx = 0; kx < half; kx++) {
      const re = new Float64Array(height);
      const im = new Float64Array(height);
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
          const turn = (kx * x) % width;
          re[y] += plane[y * width + x] * cosines[1][turn];
          im[y] -= plane[y * width + x] * sines[1][turn];
        }
      }
      for (let ky = 0; ky < height; ky++) {
        let [real, imaginary] = [0, 0];
        for (let y = 0; y < height; y++) {
          const turn = (ky * y) % height;
          real += re[y] * cosines[0][turn] + im[y] * sines[0][turn];
          imaginary += im[y] * cosines[0][turn] - re[y] * sines[0][turn];
        }
        const scale = scales[kx * height + ky];
        const start = (c * half + kx) * 2 * height;
        numbers[start + ky] = real / scale;
        numbers[start + height + ky] = imaginary / scale;
      }
    }
  }
  return numbers;
}

/**
 * Images as their pixels: `[h, w, c]`, 0 for grey, −1 for 0 and 1 for 255. Where numbers leave that range, so do the
 * pixels: {@linkcode regularized} brings them back.
 *
 * @param sides `[h, w, c]`
 */
export function pixelImages(tf: TF, sides: readonly number[]): Parametrization {
  return {
    shape: [...sides],
    draw(key, deviation) {
      const normal = normalStream(...key);
      return Float32Array.from({ length: sides.reduce((a, b) => a * b) }, () => deviation * normal());
    },
    numbersOf: ({ data }) => Float32Array.from(data, (value) => value / 127.5 - 1),
    pixels: (numbers) => tf.add(tf.mul(numbers, 127.5), 127.5),
    back: (_, dy) => tf.mul(dy, 127.5),
    dispose() {},
  };
}
