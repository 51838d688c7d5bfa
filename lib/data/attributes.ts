/**
 * What can be measured of a picture without knowing what it shows: brightness, contrast, colours, sharpness, edges.
 *
 * @module
 */

import type { RawPixels } from "../resize/resize.ts";
import { LUMA } from "./pixels.ts";

/** What is measured of one picture. */
export interface MeasuredAttributes {
  /** The mean luminance, 0…255. */
  brightness: number;
  /** The standard deviation of the luminance, 0…127.5: the root mean square contrast. */
  contrast: number;
  /** How strong and how various the colours are, from 0, grey, to about 110, extremely colourful. */
  colorfulness: number;
  /** The variance of the Laplacian of the luminance: low where a picture is blurred. */
  sharpness: number;
  /** The share of the pixels that lie on an edge, 0…1. */
  edgeDensity: number;
  /** The entropy of the luminance's 256 levels in bits, 0…8. */
  entropy: number;
}

/** The names of what is measured, in their order. */
export const MEASURED = ["brightness", "contrast", "colorfulness", "sharpness", "edgeDensity", "entropy"] as const;

/** A gradient of more than so much of the whole range is an edge. */
const EDGE = 0.1;

/** The luminance of each pixel, 0…255; of bands that are no colours their mean. */
function luminanceOf({ data, shape: [height, width, channels = 1] }: RawPixels): Float64Array {
  const shares = channels === 3 ? LUMA : new Array<number>(channels).fill(1 / channels);
  const grey = new Float64Array(height * width);
  for (let i = 0, at = 0; i < grey.length; i++) {
    for (let c = 0; c < channels; c++, at++) grey[i] += shares[c] * data[at];
  }
  return grey;
}

/** The mean and the variance of some numbers. */
function moments(count: number, of: (index: number) => number): { mean: number; variance: number } {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += of(i);
  const mean = sum / count;
  let squares = 0;
  for (let i = 0; i < count; i++) squares += (of(i) - mean) ** 2;
  return { mean, variance: squares / count };
}

/** Hasler and Süsstrunk, "Measuring Colourfulness in Natural Images" (2003), §7: M⁽³⁾. */
function colorfulnessOf({ data, shape: [height, width, channels] }: RawPixels): number {
  if (channels !== 3) return 0;
  const pixels = height * width;
  const redGreen = moments(pixels, (i) => data[3 * i] - data[3 * i + 1]);
  const yellowBlue = moments(pixels, (i) => (data[3 * i] + data[3 * i + 1]) / 2 - data[3 * i + 2]);
  return Math.sqrt(redGreen.variance + yellowBlue.variance) + 0.3 * Math.hypot(redGreen.mean, yellowBlue.mean);
}

/** A line's neighbour beyond the border: its mirror image without the border itself. */
const mirrored = (at: number, length: number): number =>
  length === 1 ? 0 : at < 0 ? -at : at < length ? at : 2 * length - 2 - at;

/** A line's neighbour beyond the border: the border itself. */
const clamped = (at: number, length: number): number => Math.max(0, Math.min(length - 1, at));

/** Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy" (2000): the variance of the Laplacian. */
function sharpnessOf(grey: Float64Array, height: number, width: number): number {
  const laplacian = new Float64Array(grey.length);
  for (let y = 0, i = 0; y < height; y++) {
    const above = mirrored(y - 1, height) * width;
    const below = mirrored(y + 1, height) * width;
    for (let x = 0; x < width; x++, i++) {
      laplacian[i] = grey[above + x] + grey[below + x] + grey[y * width + mirrored(x - 1, width)] +
        grey[y * width + mirrored(x + 1, width)] - 4 * grey[i];
    }
  }
  return moments(grey.length, (i) => laplacian[i]).variance;
}

/** The share of pixels where Sobel's gradient is more than a tenth of the range, as scikit-image scales it. */
function edgeDensityOf(grey: Float64Array, height: number, width: number): number {
  let edges = 0;
  for (let y = 0; y < height; y++) {
    const [up, own, down] = [-1, 0, 1].map((step) => clamped(y + step, height) * width);
    for (let x = 0; x < width; x++) {
      const left = clamped(x - 1, width);
      const right = clamped(x + 1, width);
      const vertical = grey[down + left] + 2 * grey[down + x] + grey[down + right] -
        grey[up + left] - 2 * grey[up + x] - grey[up + right];
      const horizontal = grey[up + right] + 2 * grey[own + right] + grey[down + right] -
        grey[up + left] - 2 * grey[own + left] - grey[down + left];
      edges += Number(Math.hypot(vertical, horizontal) / (4 * Math.SQRT2 * 255) > EDGE);
    }
  }
  return edges / grey.length;
}

/** Shannon's entropy of the levels, in bits. */
function entropyOf(grey: Float64Array): number {
  const counts = new Float64Array(256);
  for (const value of grey) counts[Math.max(0, Math.min(255, Math.round(value)))]++;
  return counts.reduce((sum, count) => count ? sum - count / grey.length * Math.log2(count / grey.length) : sum, 0);
}

/**
 * Measures a picture.
 *
 * - Luminance is .299 red + .587 green + .114 blue; of one channel itself, of other bands their mean.
 * - `sharpness`: the 4-neighbour Laplacian, with the border mirrored.
 * - `edgeDensity`: Sobel's gradient √((gx² + gy²) / 2), of kernels with weights that sum to 1 on each side, above .1 of the
 *   range, with the border repeated.
 *
 * @param pixels `[height, width, channels]`, 0…255
 */
export function measureAttributes(pixels: RawPixels): MeasuredAttributes {
  const [height, width] = pixels.shape;
  const grey = luminanceOf(pixels);
  const { mean, variance } = moments(grey.length, (i) => grey[i]);
  return {
    brightness: mean,
    contrast: Math.sqrt(variance),
    colorfulness: colorfulnessOf(pixels),
    sharpness: sharpnessOf(grey, height, width),
    edgeDensity: edgeDensityOf(grey, height, width),
    entropy: entropyOf(grey),
  };
}
