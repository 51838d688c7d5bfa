/**
 * Which spatial frequencies filters pass, and which of them a stride folds down: aliasing.
 *
 * Everything is computed in double precision; frequencies are in cycles a pixel of the network's input, 0.5 (Nyquist) at
 * most in each direction.
 *
 * @module
 */

import { type NdArray, ndarray, type NdArrayLike } from "../array.ts";
import type { InputArray } from "../data/given.ts";
import type { Model } from "../model/model.ts";
import { forward } from "./forward.ts";

/** The two-dimensional Fourier transform in place, by powers of two (Cooley and Tukey 1965). */
export function fft2(real: Float64Array, imaginary: Float64Array, side: number): void {
  if (!Number.isInteger(Math.log2(side)) || real.length !== side * side || imaginary.length !== side * side) {
    throw new RangeError(`A side of a power of two was wanted, and ${side}² values: received ${real.length}.`);
  }
  const half = side >> 1;
  const cosines = Float64Array.from({ length: half }, (_, i) => Math.cos((2 * Math.PI * i) / side));
  const sines = Float64Array.from({ length: half }, (_, i) => -Math.sin((2 * Math.PI * i) / side));
  const transform = (start: number, step: number) => {
    for (let i = 1, j = 0; i < side; i++) {
      let bit = half;
      for (; j & bit; bit >>= 1) j ^= bit;
      j ^= bit;
      if (i >= j) continue;
      const [a, b] = [start + i * step, start + j * step];
      [real[a], real[b]] = [real[b], real[a]];
      [imaginary[a], imaginary[b]] = [imaginary[b], imaginary[a]];
    }
    for (let length = 2; length <= side; length *= 2) {
      const stride = side / length;
      for (let first = 0; first < side; first += length) {
        for (let k = 0; k < length / 2; k++) {
          const a = start + (first + k) * step;
          const b = a + (length / 2) * step;
          const [cosine, sine] = [cosines[k * stride], sines[k * stride]];
          const re = real[b] * cosine - imaginary[b] * sine;
          const im = real[b] * sine + imaginary[b] * cosine;
          real[b] = real[a] - re;
          imaginary[b] = imaginary[a] - im;
          real[a] += re;
          imaginary[a] += im;
        }
      }
    }
  };
  for (let y = 0; y < side; y++) transform(y * side, 1);
  for (let x = 0; x < side; x++) transform(x, side);
}

/** The frequency of an index of a transform, in cycles a sample, −0.5 < f ≤ 0.5. */
export const frequencyOf = (index: number, side: number) => (index <= side / 2 ? index : index - side) / side;

/** Shares of the energy by radial frequency; together 1, or all 0 for filters without energy. */
export interface Bands {
  /** Below 1/6 of a cycle a pixel: waves longer than six pixels, and what is even. */
  low: number;
  /** From 1/6 to 1/3: waves of three to six pixels. */
  mid: number;
  /** Above 1/3: finer ones, up to the checkerboard's 0.71. */
  high: number;
}

/** Where the bands of {@linkcode Bands} meet: a third and two thirds of Nyquist. */
export const BAND_EDGES = [1 / 6, 1 / 3] as const;

/** The transform that filters are looked at with. */
const FILTER_SIDE = 64;

/** What a layer's filters pass. */
export interface FilterSpectrum {
  bands: Bands;
  /** `[64, 64]`: the mean over the filters of each one's power spectrum, scaled to a sum of 1; zero frequency first. */
  power: NdArray;
}

/**
 * The mean spectrum of a layer's filters. Each filter counts alike, however strong it is; its channels' powers are
 * added. Zero frequency is counted in: a blob of one colour is a filter of low frequency.
 *
 * @param kernels `[kh, kw, cin, cout]`, at most 64 cells a side
 */
export function filterSpectrum({ data, shape: [height, width, cin, cout] }: NdArrayLike): FilterSpectrum {
  if (Math.max(height, width) > FILTER_SIDE) {
    throw new RangeError(`The spectrum of filters of ${height}×${width} was asked for; wanted at most 64×64.`);
  }
  const mean = new Float64Array(FILTER_SIDE ** 2);
  let counted = 0;
  for (let filter = 0; filter < cout; filter++) {
    const power = new Float64Array(FILTER_SIDE ** 2);
    for (let channel = 0; channel < cin; channel++) {
      const real = new Float64Array(FILTER_SIDE ** 2);
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
          real[y * FILTER_SIDE + x] = data[((y * width + x) * cin + channel) * cout + filter];
        }
      }
      addPower(real, FILTER_SIDE, power);
    }
    const sum = power.reduce((a, b) => a + b, 0);
    if (sum === 0) continue;
    counted++;
    for (let i = 0; i < mean.length; i++) mean[i] += power[i] / sum;
  }
  const bands: Bands = { low: 0, mid: 0, high: 0 };
  for (let i = 0; i < mean.length; i++) {
    if (counted) mean[i] /= counted;
    const f = Math.hypot(
      frequencyOf(i % FILTER_SIDE, FILTER_SIDE),
      frequencyOf(Math.floor(i / FILTER_SIDE), FILTER_SIDE),
    );
    bands[f < BAND_EDGES[0] ? "low" : f <= BAND_EDGES[1] ? "mid" : "high"] += mean[i];
  }
  return { bands, power: ndarray(Float32Array.from(mean), [FILTER_SIDE, FILTER_SIDE]) };
}

/** Adds the power spectrum of a real plane; the plane is used up. */
function addPower(real: Float64Array, side: number, into: Float64Array): void {
  const imaginary = new Float64Array(side * side);
  fft2(real, imaginary, side);
  for (let i = 0; i < into.length; i++) into[i] += real[i] ** 2 + imaginary[i] ** 2;
}

/** What of a layer's response its stride cannot hold. */
export interface Aliasing {
  /** The layer's total stride in pixels. */
  stride: number;
  /**
   * Share of the response's energy (its mean left out) above half a cycle a stride, 0…1: what folds down to wrong
   * frequencies. Each channel counts alike. White noise has 1 − 1/stride².
   */
  share: number;
  /** `[p, p]`: the mean over the channels of the response's power, each scaled to a sum of 1; zero frequency first. */
  power: NdArray;
}

export interface AliasingOptions {
  /** Stops between images. */
  signal?: AbortSignal;
  /** Called after each image. */
  onProgress?: (done: number, total: number) => void;
}

/** The middle of an image that is used: at most this many pixels a side. */
const LARGEST_SIDE = 64;

/** The largest power of two that is not above a number. */
const powerOfTwo = (most: number) => 2 ** Math.floor(Math.log2(most));

/**
 * Measures aliasing: a map of a layer with stride s is every s-th sample of the response that one would see at every
 * pixel. That full response is computed by moving the image pixel by pixel, and its spectrum is looked at: what lies above
 * half a cycle a stride looks like lower frequencies in the feature map (Shannon's sampling theorem).
 *
 * So that there are no borders, the middle of the image, a power of two wide, is mirrored and repeated, and cells that
 * see the network's padding are left out.
 *
 * @param model the model; nothing on it changes
 * @param layer a layer whose cells form a grid on the image
 * @param views images as `model.view` returned them, `[h, w, c]`
 * @throws {TypeError} if the layer's cells form no grid
 * @throws {RangeError} if its stride does not divide the mirrored image, or there is no image
 */
export async function measureAliasing(
  model: Model,
  layer: string,
  views: readonly InputArray[],
  { signal, onProgress }: AliasingOptions = {},
): Promise<Aliasing> {
  const { receptiveField: field, outputShape } = model.layer(layer);
  if (!field?.exact || outputShape.length !== 3) {
    throw new TypeError(
      `The cells of layer ${JSON.stringify(layer)} form no grid on the image; wanted maps [h, w, c].`,
    );
  }
  if (views.length === 0) throw new RangeError("There is no image to measure aliasing on; wanted at least one.");
  const { size, stride, offset } = field;
  const [height, width] = views[0].shape;
  const period = 2 * powerOfTwo(Math.min(height, width, LARGEST_SIDE));
  if (period % stride !== 0 || period / stride < 4) {
    throw new RangeError(
      `Layer ${JSON.stringify(layer)} has a stride of ${stride} pixels; wanted a power of two up to ${period / 4} on ` +
        `images of ${height}×${width}.`,
    );
  }
  // The first cell that sees no padding, and how far the image must reach so that a whole period of cells does not.
  // Sides differ from the model's own by whole strides, so that padding before the first cell stays as it is.
  const first = Math.max(0, Math.ceil(-offset / stride));
  const cells = period / stride;
  const needed = offset + stride * (first + cells - 1) + size;
  const side = height + stride * Math.max(0, Math.ceil((needed - height) / stride));
  const channels = outputShape[2]!;
  const power = Array.from({ length: channels }, () => new Float64Array(period * period));
  for (const [done, view] of views.entries()) {
    signal?.throwIfAborted();
    const inputs: InputArray[] = [];
    for (let dy = 0; dy < stride; dy++) {
      for (let dx = 0; dx < stride; dx++) inputs.push(model.input(mirrored(view, period / 2, side, dy, dx)));
    }
    const [maps] = await forward(model, inputs, [layer], { signal });
    const [, rows, columns] = maps.shape;
    for (let channel = 0; channel < channels; channel++) {
      const plane = new Float64Array(period * period);
      let mean = 0;
      for (let y = 0; y < period; y++) {
        for (let x = 0; x < period; x++) {
          const shift = (y % stride) * stride + x % stride;
          const row = first + Math.floor(y / stride);
          const column = first + Math.floor(x / stride);
          const value = maps.data[((shift * rows + row) * columns + column) * channels + channel];
          plane[y * period + x] = value;
          mean += value / plane.length;
        }
      }
      for (let i = 0; i < plane.length; i++) plane[i] -= mean;
      addPower(plane, period, power[channel]);
    }
    onProgress?.(done + 1, views.length);
  }
  const total = new Float64Array(period * period);
  let counted = 0;
  for (const own of power) {
    const sum = own.reduce((a, b) => a + b, 0);
    if (sum === 0) continue;
    counted++;
    for (let i = 0; i < total.length; i++) total[i] += own[i] / sum;
  }
  let share = 0;
  for (let i = 0; i < total.length; i++) {
    if (counted) total[i] /= counted;
    const f = Math.max(
      Math.abs(frequencyOf(i % period, period)),
      Math.abs(frequencyOf(Math.floor(i / period), period)),
    );
    if (f > 0.5 / stride) share += total[i];
  }
  return { stride, share, power: ndarray(Float32Array.from(total), [period, period]) };
}

/** The middle `half`×`half` pixels of an image mirrored and repeated over `side`×`side`, moved by some pixels. */
function mirrored(view: InputArray, half: number, side: number, dy: number, dx: number): InputArray {
  const { data, shape: [height, width, channels], others } = view;
  const [top, left] = [(height - half) >> 1, (width - half) >> 1];
  const fold = (at: number) => {
    const place = at % (2 * half);
    return place < half ? place : 2 * half - 1 - place;
  };
  const out = new Float32Array(side * side * channels);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const from = ((top + fold(y + dy)) * width + left + fold(x + dx)) * channels;
      for (let c = 0; c < channels; c++) out[(y * side + x) * channels + c] = data[from + c];
    }
  }
  return { data: out, shape: [side, side, channels], others };
}
