/**
 * What is known of the places of an image, as vectors of one length: a layer's features, patches of pixels, or histograms of
 * gradients. Each vector has a place, the centre of what it was made from.
 *
 * @module
 */

import type { NdArrayLike } from "../../array.ts";
import type { SeenByCells } from "../../data/records.ts";
import { mirrored } from "../../data/warp.ts";

/** Vectors on a grid of places. */
export interface DescriptorMap {
  /** `[rows · columns, length]`, each vector of length 1; one that was all 0 stays 0. */
  readonly data: Float32Array;
  readonly length: number;
  /** The places of rows and columns: pixels from the centre of the first one, rising. */
  readonly ys: Float64Array;
  readonly xs: Float64Array;
}

/** A point, in pixels from the centre of the first one. */
export type Point = readonly [y: number, x: number];

/** Makes each vector of length 1, in place. */
function normalized(data: Float32Array, length: number): Float32Array {
  for (let at = 0; at < data.length; at += length) {
    let sum = 0;
    for (let i = at; i < at + length; i++) sum += data[i] * data[i];
    const scale = sum > 0 ? 1 / Math.sqrt(sum) : 0;
    for (let i = at; i < at + length; i++) data[i] *= scale;
  }
  return data;
}

/**
 * A layer's features at each of its cells, placed at the centre of the cell's receptive field.
 *
 * @param output `[h, w, c]`
 * @param seen what the cells see of the image
 */
export function layerDescriptors({ data, shape }: NdArrayLike, seen: SeenByCells): DescriptorMap {
  const [rows, columns, length] = shape;
  const centre = (side: number) => (i: number) => {
    const ranges = seen.at(side === 0 ? [i, 0] : [0, i])!;
    const [start, end] = ranges[side];
    return (start + end - 1) / 2;
  };
  const each = (count: number, side: number) => Float64Array.from({ length: count }, (_, i) => centre(side)(i));
  return { data: normalized(Float32Array.from(data), length), length, ys: each(rows, 0), xs: each(columns, 1) };
}

/** How patches lie on an image. */
export interface PatchGrid {
  /** The side of a patch in pixels; a multiple of 4. */
  readonly patch: number;
}

/** Reads an image mirrored at its border so far that a patch around each grid place is whole, a grid place a quarter patch. */
function padded({ data, shape: [height, width, channels] }: NdArrayLike, before: number, after: number): NdArrayLike {
  const [rows, columns] = [height + before + after, width + before + after];
  const made = new Float32Array(rows * columns * channels);
  for (let y = 0, at = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++, at += channels) {
      const from = (mirrored(y - before, height) * width + mirrored(x - before, width)) * channels;
      for (let c = 0; c < channels; c++) made[at + c] = data[from + c];
    }
  }
  return { data: made, shape: [rows, columns, channels] };
}

/** The places of a grid of patches along one side. */
const placesAlong = (length: number, { patch }: PatchGrid): Float64Array =>
  Float64Array.from(
    { length: Math.max(1, Math.floor((length - 1) / (patch / 4)) + 1) },
    (_, i) => i * patch / 4 + (patch / 4 - 1) / 2,
  );

/**
 * The pixels of the patch around each place, less their mean: a quarter of a patch from place to place, the image mirrored at
 * its border.
 *
 * @param image `[h, w, c]`
 */
export function pixelDescriptors(image: NdArrayLike, grid: PatchGrid): DescriptorMap {
  const { patch } = grid;
  const [height, width, channels] = image.shape;
  const [ys, xs] = [placesAlong(height, grid), placesAlong(width, grid)];
  // The first patch begins so far before the image that its centre is the grid's first place.
  const before = patch / 2 - patch / 8;
  const { data, shape: [, stride] } = padded(image, before, patch);
  const length = patch * patch * channels;
  const made = new Float32Array(ys.length * xs.length * length);
  for (let row = 0, at = 0; row < ys.length; row++) {
    for (let column = 0; column < xs.length; column++, at += length) {
      for (let y = 0; y < patch; y++) {
        const from = ((row * patch / 4 + y) * stride + column * patch / 4) * channels;
        made.set(data.subarray(from, from + patch * channels), at + y * patch * channels);
      }
      const part = made.subarray(at, at + length);
      const mean = part.reduce((sum, value) => sum + value, 0) / length;
      for (let i = 0; i < length; i++) part[i] -= mean;
    }
  }
  return { data: normalized(made, length), length, ys, xs };
}

/** Dalal and Triggs's nine orientations, over half a turn. */
const ORIENTATIONS = 9;
/** A block is so many cells wide and high. */
const BLOCK = 4;
const CLIP = 0.2;
const EPSILON = 1e-5;

/**
 * Histograms of oriented gradients (Dalal and Triggs 2005): of each cell of the image how strong its gradients are in each of
 * nine orientations, of each block of 4 × 4 cells these together, normalised, clipped at 0.2 and normalised again. It is a
 * relative of SIFT's descriptor (Lowe 2004), and equal to scikit-image's `hog` with `block_norm="L2-Hys"`.
 *
 * @param image `[h, w, c]`; of several channels the one counts at each pixel whose gradient is largest
 * @param cell the side of a cell in pixels
 * @returns `[blocks down, blocks across, 144]`
 */
export function orientedGradients({ data, shape: [height, width, channels] }: NdArrayLike, cell: number): NdArrayLike {
  const [rows, columns] = [Math.floor(height / cell), Math.floor(width / cell)];
  const cells = new Float64Array(rows * columns * ORIENTATIONS);
  for (let y = 0; y < rows * cell; y++) {
    for (let x = 0; x < columns * cell; x++) {
      let most = -1;
      let [down, across] = [0, 0];
      for (let c = 0; c < channels; c++) {
        const at = (y * width + x) * channels + c;
        const dy = y > 0 && y < height - 1 ? data[at + width * channels] - data[at - width * channels] : 0;
        const dx = x > 0 && x < width - 1 ? data[at + channels] - data[at - channels] : 0;
        const size = dy * dy + dx * dx;
        if (size > most) [most, down, across] = [size, dy, dx];
      }
      const angle = (Math.atan2(down, across) * 180 / Math.PI + 180) % 180;
      const bin = Math.min(ORIENTATIONS - 1, Math.floor(angle / (180 / ORIENTATIONS)));
      const at = (Math.floor(y / cell) * columns + Math.floor(x / cell)) * ORIENTATIONS + bin;
      cells[at] += Math.sqrt(most) / (cell * cell);
    }
  }
  const [down, across] = [Math.max(0, rows - BLOCK + 1), Math.max(0, columns - BLOCK + 1)];
  const length = BLOCK * BLOCK * ORIENTATIONS;
  const blocks = new Float32Array(down * across * length);
  const block = new Float64Array(length);
  for (let y = 0; y < down; y++) {
    for (let x = 0; x < across; x++) {
      for (let i = 0; i < BLOCK; i++) {
        const from = ((y + i) * columns + x) * ORIENTATIONS;
        block.set(cells.subarray(from, from + BLOCK * ORIENTATIONS), i * BLOCK * ORIENTATIONS);
      }
      for (const most of [CLIP, Infinity]) {
        const norm = Math.sqrt(block.reduce((sum, value) => sum + value * value, 0) + EPSILON * EPSILON);
        block.forEach((value, i) => block[i] = Math.min(value / norm, most));
      }
      blocks.set(block, (y * across + x) * length);
    }
  }
  return { data: blocks, shape: [down, across, length] };
}

/** {@linkcode orientedGradients} of the patch around each place, on the grid of {@linkcode pixelDescriptors}. */
export function gradientDescriptors(image: NdArrayLike, grid: PatchGrid): DescriptorMap {
  const { patch } = grid;
  const [height, width] = image.shape;
  const [ys, xs] = [placesAlong(height, grid), placesAlong(width, grid)];
  const { data, shape: [rows, columns, length] } = orientedGradients(
    padded(image, patch / 2 - patch / 8, patch),
    patch / 4,
  );
  if (rows < ys.length || columns < xs.length) throw new Error("A block is missing at the border of the image.");
  const made = new Float32Array(ys.length * xs.length * length);
  for (let y = 0; y < ys.length; y++) {
    const from = y * columns * length;
    made.set(data.subarray(from, from + xs.length * length), y * xs.length * length);
  }
  return { data: normalized(made, length), length, ys, xs };
}

/** Between which two places of a rising list a position lies, and how far towards the second; beyond the ends at them. */
export function between(places: Float64Array, position: number): [first: number, second: number, share: number] {
  let first = 0;
  while (first < places.length - 2 && places[first + 1] <= position) first++;
  const second = Math.min(first + 1, places.length - 1);
  const gap = places[second] - places[first];
  const share = gap > 0 ? (position - places[first]) / gap : 0;
  return [first, second, Math.min(1, Math.max(0, share))];
}

/**
 * What a map says of points that lie between its places: the four around each, by how near they are (bilinear).
 *
 * @returns `[points, length]`, each of length 1
 */
export function describe({ data, length, ys, xs }: DescriptorMap, points: readonly Point[]): Float32Array {
  const made = new Float32Array(points.length * length);
  points.forEach(([y, x], n) => {
    const [top, bottom, down] = between(ys, y);
    const [left, right, across] = between(xs, x);
    const corners = [[top, left, (1 - down) * (1 - across)], [top, right, (1 - down) * across], [
      bottom,
      left,
      down * (1 - across),
    ], [bottom, right, down * across]];
    for (const [row, column, weight] of corners) {
      if (weight === 0) continue;
      const from = (row * xs.length + column) * length;
      for (let i = 0; i < length; i++) made[n * length + i] += weight * data[from + i];
    }
  });
  return normalized(made, length);
}
