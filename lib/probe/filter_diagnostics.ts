/**
 * What a filter looks like, in numbers: smooth or rough, striped or noisy, grey or coloured.
 *
 * Everything is computed in double precision on one kernel `[h, w, c]`; y runs downwards.
 *
 * @module
 */

import type { NdArrayLike } from "../array.ts";
import type { FilterDiagnostics } from "../data/records.ts";
import { throwIfInterrupted } from "../interrupt.ts";

/** The spectrum is that of the kernel in the corner of a square of zeros with this side, each channel less its mean. */
const SIZE = 64;
const HALF = SIZE / 2;

/** The entropy of a flat spectrum, in nats. */
const FLAT_ENTROPY = Math.log(SIZE * SIZE - 1);

/**
 * The power spectrum of a kernel summed over its channels, on the half plane of horizontal frequencies 0…32.
 *
 * It is the Fourier transform of the kernel's autocorrelation (Wiener-Khinchin), which is so small that a plain sum of
 * cosines beats an FFT a channel.
 *
 * @returns `power[v · 33 + u]`, v modulo 64; `null` for a kernel whose channels are all flat
 */
function powerSpectrum({ data, shape: [height, width, channels] }: NdArrayLike): Float64Array | null {
  const cells = height * width;
  const residual = new Float64Array(data.length);
  let energy = 0;
  let total = 0;
  for (let c = 0; c < channels; c++) {
    let mean = 0;
    for (let i = 0; i < cells; i++) mean += data[i * channels + c];
    mean /= cells;
    for (let i = 0; i < cells; i++) {
      const value = data[i * channels + c];
      residual[i * channels + c] = value - mean;
      energy += (value - mean) ** 2;
      total += value * value;
    }
  }
  if (energy <= 1e-12 * total) return null;

  // Half of the lags: the autocorrelation is even.
  const lags: { dy: number; dx: number; weight: number }[] = [];
  for (let dy = 0; dy < height; dy++) {
    for (let dx = dy === 0 ? 0 : 1 - width; dx < width; dx++) {
      let sum = 0;
      for (let y = 0; y + dy < height; y++) {
        for (let x = Math.max(0, -dx); x < width && x + dx < width; x++) {
          const a = (y * width + x) * channels;
          const b = ((y + dy) * width + x + dx) * channels;
          for (let c = 0; c < channels; c++) sum += residual[a + c] * residual[b + c];
        }
      }
      lags.push({ dy, dx, weight: dy === 0 && dx === 0 ? sum : 2 * sum });
    }
  }
  const power = new Float64Array(SIZE * (HALF + 1));
  for (const { dy, dx, weight } of lags) {
    for (let v = 0; v < SIZE; v++) {
      for (let u = 0; u <= HALF; u++) {
        power[v * (HALF + 1) + u] += weight * COSINES[(((u * dx + v * dy) % SIZE) + SIZE) % SIZE];
      }
    }
  }
  power[0] = 0;
  for (let i = 0; i < power.length; i++) if (power[i] < 0) power[i] = 0;
  return power;
}

const COSINES = Float64Array.from({ length: SIZE }, (_, i) => Math.cos((2 * Math.PI * i) / SIZE));

/**
 * The power spectrum of a kernel along a line, summed over its channels, on the frequencies 0…size/2.
 *
 * @returns null for a kernel whose channels are all flat
 */
function lineSpectrum({ data, shape: [length, channels] }: NdArrayLike, size: number): Float64Array | null {
  const power = new Float64Array(size / 2 + 1);
  const total = data.reduce((sum, value) => sum + value * value, 0);
  let energy = 0;
  for (let c = 0; c < channels; c++) {
    let mean = 0;
    for (let i = 0; i < length; i++) mean += data[i * channels + c] / length;
    for (let i = 0; i < length; i++) energy += (data[i * channels + c] - mean) ** 2;
    for (let u = 1; u < power.length; u++) {
      let [even, odd] = [0, 0];
      for (let i = 0; i < length; i++) {
        const angle = 2 * Math.PI * ((u * i) % size) / size;
        even += (data[i * channels + c] - mean) * Math.cos(angle);
        odd += (data[i * channels + c] - mean) * Math.sin(angle);
      }
      power[u] += even ** 2 + odd ** 2;
    }
  }
  return energy > 1e-12 * total ? power : null;
}

/** @param size of the square of zeros; of a kernel along a line its only row is the first */
function spectral(
  power: Float64Array | null,
  { size = SIZE, rows = size }: { size?: number; rows?: number } = {},
): Omit<FilterDiagnostics, "totalVariation" | "colorfulness"> {
  if (!power) return { noise: 0, highFrequency: 0, frequency: 0, orientation: null };
  const half = size / 2;
  // Columns 1…half − 1 count for their mirror images too.
  const copies = (u: number) => u === 0 || u === half ? 1 : 2;
  const signed = (index: number) => index <= half ? index : index - size;
  let sum = 0;
  let high = 0;
  let largest = 0;
  for (let v = 0; v < rows; v++) {
    for (let u = 0; u <= half; u++) {
      const value = power[v * (half + 1) + u];
      sum += copies(u) * value;
      if (u * u + signed(v) ** 2 > (half / 2) ** 2) high += copies(u) * value;
      largest = Math.max(largest, value);
    }
  }
  let entropy = 0;
  let best: [squared: number, orientation: number] = [Infinity, Infinity];
  for (let v = 0; v < rows; v++) {
    for (let u = 0; u <= half; u++) {
      const value = power[v * (half + 1) + u];
      const share = value / sum;
      if (share > 0) entropy -= copies(u) * share * Math.log(share);
      const y = signed(v);
      if (value < largest * (1 - 1e-9) || ((u === 0 || u === half) && y < 0)) continue;
      // Among equal waves the slowest wins, then the one with the smallest angle.
      const orientation = ((Math.atan2(y, u) * 180) / Math.PI + 180) % 180;
      const squared = u * u + y * y;
      if (squared < best[0] || (squared === best[0] && orientation < best[1])) best = [squared, orientation];
    }
  }
  return {
    noise: entropy / Math.log(rows * size - 1),
    highFrequency: high / sum,
    frequency: Math.sqrt(best[0]) / size,
    orientation: rows === 1 ? null : best[1],
  };
}

function totalVariation({ data, shape: [height, width, channels] }: NdArrayLike): number {
  let min = Infinity;
  let max = -Infinity;
  for (const value of data) {
    min = Math.min(min, value);
    max = Math.max(max, value);
  }
  const steps = height * (width - 1) * channels + (height - 1) * width * channels;
  if (min === max || steps === 0) return 0;
  let sum = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < channels; c++) {
        const here = data[(y * width + x) * channels + c];
        if (x + 1 < width) sum += Math.abs(data[(y * width + x + 1) * channels + c] - here);
        if (y + 1 < height) sum += Math.abs(data[((y + 1) * width + x) * channels + c] - here);
      }
    }
  }
  return sum / (max - min) / steps;
}

function deviation(values: ArrayLike<number>, start = 0, count = values.length): number {
  let mean = 0;
  for (let i = start; i < start + count; i++) mean += values[i] / count;
  let squares = 0;
  for (let i = start; i < start + count; i++) squares += (values[i] - mean) ** 2;
  return Math.sqrt(squares / count);
}

function colorfulness({ data, shape: [height, width, channels] }: NdArrayLike): number | null {
  if (channels !== 3) return null;
  if (data.every((value) => value === data[0])) return 0;
  let sum = 0;
  for (let i = 0; i < height * width; i++) sum += deviation(data, i * 3, 3);
  return sum / (height * width) / deviation(data);
}

/** A kernel in space as `[h, w, d · c]`: what is said of it is said of its slices. */
function slicesAsChannels({ data, shape: [depth, height, width, channels] }: NdArrayLike): NdArrayLike {
  const each = height * width;
  const turned = data.map((_, i) => {
    const [channel, slice, cell] = [i % channels, Math.floor(i / channels) % depth, Math.floor(i / (channels * depth))];
    return data[(slice * each + cell) * channels + channel];
  });
  return { data: turned, shape: [height, width, depth * channels] };
}

/**
 * Diagnoses one filter.
 *
 * @param kernel `[h, w, c]`, at most 64 cells a side; `[length, c]` of a 1-D convolution; `[d, h, w, c]` of a 3-D one, whose
 *   slices are diagnosed together
 * @throws {RangeError} if a side is longer than 64
 */
export function diagnoseFilter(kernel: NdArrayLike): FilterDiagnostics {
  throwIfInterrupted();
  if (kernel.shape.length === 2) {
    const size = 2 ** Math.ceil(Math.log2(Math.max(SIZE, kernel.shape[0])));
    return {
      totalVariation: totalVariation({ data: kernel.data, shape: [1, ...kernel.shape] }),
      ...spectral(lineSpectrum(kernel, size), { size, rows: 1 }),
      colorfulness: null,
    };
  }
  const isVolume = kernel.shape.length === 4;
  const flat = isVolume ? slicesAsChannels(kernel) : kernel;
  const [height, width] = flat.shape;
  if (height > SIZE || width > SIZE) {
    throw new RangeError(`A filter of ${height}×${width} was to be diagnosed; wanted at most ${SIZE}×${SIZE}.`);
  }
  return {
    totalVariation: totalVariation(flat),
    ...spectral(powerSpectrum(flat)),
    colorfulness: isVolume ? null : colorfulness(flat),
  };
}

/** Kernels with a shorter side cannot be told from noise by their spectrum alone. */
const LEAST_NOISY_SIDE = 5;
/** Nor can those of more channels. */
const MOST_NOISY_CHANNELS = 3;

/**
 * The `noise` above which a kernel is flagged; `null` where it never is.
 *
 * The power of white noise over `c` channels follows a gamma distribution of shape `c`, whose entropy falls short of a
 * flat spectrum's by ψ(c + 1) − ln c nats.
 */
export function noiseThreshold([height, width, channels]: readonly number[]): number | null {
  if (Math.min(height, width) < LEAST_NOISY_SIDE || channels > MOST_NOISY_CHANNELS) return null;
  let digamma = -0.5772156649015329;
  for (let k = 1; k <= channels; k++) digamma += 1 / k;
  return 1 - 2 * (digamma - Math.log(channels)) / FLAT_ENTROPY;
}
