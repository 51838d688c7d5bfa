/**
 * Patches of maps: the part of a layer's output that differs from image to image, while the rest is that of one image.
 *
 * @module
 */

import type { Tensor, Tensor2D, Tensor4D } from "npm:@tensorflow/tfjs@4.22.0";
import type { Box, Interval } from "../../model/geometry.ts";
import type { TF } from "../../runtime/backend.ts";

/** Intervals of one length along one axis, one for each image of a batch. They may hang over the map's edges. */
export interface Spans {
  readonly starts: readonly number[];
  readonly length: number;
}

/** Where the patches of a batch lie. */
export interface Region {
  readonly rows: Spans;
  readonly columns: Spans;
}

/** The patches of a batch, `[n, rows, columns, channels]`. */
export interface Patches extends Region {
  readonly tensor: Tensor;
}

/** Spans that hold an interval each and stay within a map: the shorter intervals get neighbours. */
function spansAround(intervals: readonly Interval[], side: number): Spans {
  const length = Math.max(1, ...intervals.map(([start, end]) => end - start));
  return { starts: intervals.map(([start]) => Math.min(start, side - length)), length };
}

/** The smallest region of one shape that holds a box of each image. */
export function regionAround(boxes: readonly Box[], [height, width]: readonly [number, number]): Region {
  return {
    rows: spansAround(boxes.map(([rows]) => rows), height),
    columns: spansAround(boxes.map(([, columns]) => columns), width),
  };
}

/** The region of whole maps. */
export function wholeRegion(count: number, [height, width]: readonly [number, number]): Region {
  const starts = new Array<number>(count).fill(0);
  return { rows: { starts, length: height }, columns: { starts, length: width } };
}

const sameSpans = (a: Spans, b: Spans) => a.length === b.length && a.starts.every((start, i) => start === b.starts[i]);

/** Whether two places are one. */
export const sameRegion = (a: Region, b: Region) => sameSpans(a.rows, b.rows) && sameSpans(a.columns, b.columns);

const spanHolds = (outer: Spans, inner: Spans) =>
  outer.starts.every((start, i) => start <= inner.starts[i] && start + outer.length >= inner.starts[i] + inner.length);

/** Whether a region holds another one, image by image. */
export const holds = (outer: Region, inner: Region) =>
  spanHolds(outer.rows, inner.rows) && spanHolds(outer.columns, inner.columns);

/** How many cells a region has, for each image. */
export const cellsOf = ({ rows, columns }: Region) => rows.length * columns.length;

/** Below all that a map holds: what a max-pooling never takes. */
export const LOWEST = -3.4028234663852886e38;

export interface Assembly {
  /** The maps of the one image, `[1, h, w, channels]`. */
  base: Tensor4D;
  /** Its values, where they are at hand. */
  baseData?: () => Float32Array;
  patches: Patches;
  /** What is wanted. */
  region: Region;
  /** What fills the margin beyond the edges. */
  padding: number;
}

/**
 * Cuts a region out of maps that are `base` but for the patches.
 *
 * @returns `[n, rows, columns, channels]`
 */
export function assemble(tf: TF, assembly: Assembly): Tensor4D {
  // Where tensors live in this process, rows are copied here: the gather of wasm takes ten times as long.
  return assembly.baseData ? assembleHere(tf, assembly, assembly.baseData()) : assembleThere(tf, assembly);
}

/** By one gather from a table of all cells: those of the base, those of the patches, one of padding. */
function assembleThere(tf: TF, { base, patches, region: { rows, columns }, padding }: Assembly): Tensor4D {
  const [, height, width, channels] = base.shape;
  const count = rows.starts.length;
  const inner = { rows: patches.rows.length, columns: patches.columns.length };
  const indices = new Int32Array(count * rows.length * columns.length);
  const outside = height * width + count * inner.rows * inner.columns;
  let at = 0;
  let padded = false;
  for (let n = 0; n < count; n++) {
    const [top, left] = [patches.rows.starts[n], patches.columns.starts[n]];
    const first = height * width + n * inner.rows * inner.columns;
    for (let i = 0; i < rows.length; i++) {
      const y = rows.starts[n] + i;
      const inRows = y >= top && y < top + inner.rows;
      for (let j = 0; j < columns.length; j++) {
        const x = columns.starts[n] + j;
        if (y < 0 || y >= height || x < 0 || x >= width) {
          indices[at++] = outside;
          padded = true;
        } else if (inRows && x >= left && x < left + inner.columns) {
          indices[at++] = first + (y - top) * inner.columns + x - left;
        } else indices[at++] = y * width + x;
      }
    }
  }
  const table = tf.concat<Tensor2D>([
    tf.reshape(base, [height * width, channels]),
    tf.reshape(patches.tensor, [count * inner.rows * inner.columns, channels]),
    ...padded ? [tf.fill([1, channels], padding) as Tensor2D] : [],
  ]);
  const cells = tf.gather(table, tf.tensor1d(indices, "int32"));
  return tf.reshape(cells, [count, rows.length, columns.length, channels]);
}

/** Row by row, in this process. */
function assembleHere(
  tf: TF,
  { base, patches, region: { rows, columns }, padding }: Assembly,
  source: Float32Array,
): Tensor4D {
  const [, height, width, channels] = base.shape;
  const count = rows.starts.length;
  const inner = { rows: patches.rows.length, columns: patches.columns.length };
  const changed = patches.tensor.dataSync<"float32">();
  const out = new Float32Array(count * rows.length * columns.length * channels);
  if (padding !== 0) out.fill(padding);
  for (let n = 0; n < count; n++) {
    const [top, left, x0] = [patches.rows.starts[n], patches.columns.starts[n], columns.starts[n]];
    // What of a row comes from the base, and what of that is then replaced.
    const [from, to] = [Math.max(0, x0), Math.min(width, x0 + columns.length)];
    const [newFrom, newTo] = [Math.max(from, left), Math.min(to, left + inner.columns)];
    for (let i = 0; i < rows.length; i++) {
      const y = rows.starts[n] + i;
      if (y < 0 || y >= height) continue;
      const at = ((n * rows.length + i) * columns.length - x0) * channels;
      out.set(source.subarray((y * width + from) * channels, (y * width + to) * channels), at + from * channels);
      if (y < top || y >= top + inner.rows || newFrom >= newTo) continue;
      const row = ((n * inner.rows + y - top) * inner.columns - left) * channels;
      out.set(changed.subarray(row + newFrom * channels, row + newTo * channels), at + newFrom * channels);
    }
  }
  return tf.tensor4d(out, [count, rows.length, columns.length, channels]);
}
