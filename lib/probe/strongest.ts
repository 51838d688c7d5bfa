/**
 * Where units are strongest: what a pass finds in the outputs of layers, without taking them out of the backend's memory.
 *
 * Of each image the largest value of each unit is computed where the outputs lie, and its cell with it where the backend
 * has a kernel for that. Elsewhere, and where all cells count, the cells are looked up only of those that may enter a list. So
 * little leaves a graphics card or a Worker, and less the more images have been seen.
 *
 * @module
 */

import type { Tensor, Tensor4D } from "npm:@tensorflow/tfjs@4.22.0";
import { type NdArrayLike, sizeOf } from "../array.ts";
import { maxima } from "../runtime/core/maxima.ts";
import type { TF } from "../runtime/core/types.ts";
import { bytesInWasm } from "../runtime/wasm.ts";

/** Some cells for lists, column by column. */
export interface Candidates {
  /** The list of each. */
  lists: Int32Array<ArrayBuffer>;
  values: Float32Array<ArrayBuffer>;
  /** Absent where the values are the activations. */
  activations?: Float32Array<ArrayBuffer>;
  /** The image of each, by its place in the batch. */
  images: Int32Array<ArrayBuffer>;
  /** The place of each among the cells of the layer's output, counted row by row. */
  cells: Int32Array<ArrayBuffer>;
}

/** The units of a layer that are looked at. */
export interface UnitsWanted {
  /** Channels. @default all */
  readonly channels?: readonly number[];
  /** Directions `[units, channels]` instead: a direction's value is its dot product with the channels at a cell. */
  readonly directions?: NdArrayLike;
  /** The list of the first unit; the others' follow. */
  readonly first: number;
}

/** What is looked for. */
export interface StrongestWanted {
  /** For each layer of the pass its units. */
  readonly units: readonly UnitsWanted[];
  /** All cells that may enter a list, or of each image the strongest one only. */
  readonly cells: "strongest" | "all";
  /** How many cells a list has at most. */
  readonly top: number;
  /**
   * The least value that may enter each list. It rises while batches run; lies in memory that Workers share. A value that is
   * too low costs time and changes nothing.
   */
  readonly floors: Float32Array;
  /** With how many rows each batch runs, filled up with zeros; see {@linkcode rowsFor}. @default as many as it has */
  readonly rows?: number;
}

/** As many rows have batches where results depend on that. */
const ROWS = 16;

/**
 * With how many rows batches must run so that no result depends on how images are cut into batches; undefined where none
 * does: on WASM and in plain JavaScript. Native TensorFlow chooses between algorithms by the number of rows, and its
 * results differ in the last digits. With the same number they are the same to the bit, whatever the others are.
 *
 * @param anySize whether images may differ in size, so that batches may be of single images
 */
export function rowsFor(tf: TF, batchSize: number, anySize: boolean): number | undefined {
  if (["wasm", "cpu"].includes(tf.getBackend())) return undefined;
  return anySize ? 1 : Math.min(batchSize, ROWS);
}

/** Columns of candidates, behind one another. */
export function joined(parts: readonly Candidates[]): Candidates {
  const all = <T extends Int32Array<ArrayBuffer> | Float32Array<ArrayBuffer>>(
    type: new (length: number) => T,
    column: (part: Candidates) => T,
  ): T => {
    const whole = new type(parts.reduce((sum, { lists }) => sum + lists.length, 0));
    let at = 0;
    for (const part of parts) {
      whole.set(column(part), at);
      at += part.lists.length;
    }
    return whole;
  };
  return {
    lists: all<Int32Array<ArrayBuffer>>(Int32Array, ({ lists }) => lists),
    values: all<Float32Array<ArrayBuffer>>(Float32Array, ({ values }) => values),
    ...parts[0]?.activations && {
      activations: all<Float32Array<ArrayBuffer>>(Float32Array, ({ activations }) => activations!),
    },
    images: all<Int32Array<ArrayBuffer>>(Int32Array, ({ images }) => images),
    cells: all<Int32Array<ArrayBuffer>>(Int32Array, ({ cells }) => cells),
  };
}

/** Cells behind one another in a unit's map, in an image of a batch. */
interface Span {
  readonly list: number;
  readonly image: number;
  readonly channel: number;
  /** The first of them. */
  readonly cell: number;
  /** The largest of their numbers. */
  readonly most: number;
}

/** The numbers of spans, each from `start` on and one every `step`. */
interface SpanNumbers {
  readonly data: Float32Array;
  readonly start: (which: number) => number;
  readonly step: number;
}

/** A tensor's numbers where they lie, on a backend that computes in this process's memory; null on others. */
function numbersInPlace(tf: TF, tensor: Tensor): Float32Array | null {
  const backend = tf.getBackend();
  if (backend === "cpu") return tensor.dataSync() as Float32Array;
  if (backend !== "wasm") return null;
  const { buffer, byteOffset } = bytesInWasm(tf, tensor);
  return new Float32Array(buffer, byteOffset, tensor.size);
}

/** From this share of its numbers on, an output is taken whole: native TensorFlow gathers one while it copies twelve. */
const WHOLE = 0.08;

/** Outputs of so many numbers are taken whole at once: that costs less than the operations that would spare it. */
const SMALL = 2 ** 17;

/** A layer's outputs for a batch. */
interface Maps {
  /** `[n, …cells, c]` or `[n, c]`. */
  readonly output: Tensor;
  /** How many cells, and channels. */
  readonly cells: number;
  readonly channels: number;
  /** How many cells a span has. */
  readonly length: number;
  /** The largest number of each span, `[n, spans, c]`. */
  readonly spans: Float32Array;
  /** The largest number of each map, `[n, c]`. */
  readonly largest: Float32Array;
  /** All numbers, if they are here. */
  readonly data: Float32Array | null;
}

/** The numbers of some spans, taken out of the backend's memory if they lie elsewhere. */
async function numbersOf(tf: TF, spans: readonly Span[], maps: Maps): Promise<SpanNumbers> {
  const { output, cells, channels, length } = maps;
  // Where they lie in place, memory may have grown since.
  const data = maps.data && (numbersInPlace(tf, output) ?? maps.data);
  const startOf = (which: number) => {
    const { image, channel, cell } = spans[which];
    return (image * cells + cell) * channels + channel;
  };
  if (data || spans.length * length >= WHOLE * output.size) {
    return { data: data ?? await output.data() as Float32Array, start: startOf, step: channels };
  }
  const places = new Int32Array(spans.length * length);
  for (let which = 0, at = 0; which < spans.length; which++) {
    for (let cell = 0, place = startOf(which); cell < length; cell++, place += channels) places[at++] = place;
  }
  const gathered = tf.tidy(() => tf.gather(tf.reshape(output, [-1]), tf.tensor1d(places, "int32")));
  try {
    return { data: await gathered.data() as Float32Array, start: (which) => which * length, step: 1 };
  } finally {
    gathered.dispose();
  }
}

/** Of the maps of `[n, cells, c]` the largest number each, `[n, c]`; what is no number counts only where there is none. */
function largestOf(data: Float32Array, count: number, cells: number, channels: number): Float32Array {
  const largest = new Float32Array(count * channels);
  for (let image = 0, at = 0; image < count; image++) {
    const own = largest.subarray(image * channels, (image + 1) * channels);
    own.set(data.subarray(at, at += channels));
    for (let cell = 1; cell < cells; cell++) {
      for (let channel = 0; channel < channels; channel++, at++) {
        if (data[at] > own[channel] || own[channel] !== own[channel]) own[channel] = data[at];
      }
    }
  }
  return largest;
}

/**
 * Looks for the largest numbers of a layer's outputs. Maps that lie elsewhere are cut into spans, about as long as they are
 * many: the largest of each comes here, and only those that count are taken out.
 */
async function mapsOf(tf: TF, output: Tensor): Promise<Maps> {
  const [count] = output.shape;
  const channels = output.shape.at(-1)!;
  const cells = sizeOf(output.shape.slice(1, -1));
  const maps = { output, cells, channels };
  const inPlace = numbersInPlace(tf, output);
  if (!inPlace && output.size <= SMALL) {
    const data = await output.data() as Float32Array;
    const largest = largestOf(data, count, cells, channels);
    return { ...maps, data, length: cells, spans: largest, largest };
  }
  let length = cells;
  if (!inPlace) {
    length = output.shape.length > 3 ? output.shape.at(-2)! : Math.max(1, Math.ceil(Math.sqrt(cells)));
    while (cells % length > 0) length++;
  }
  const pooled = tf.tidy(() => {
    const rows = output.rank === 4 && !inPlace ? output : tf.reshape(output, [count, cells / length, length, channels]);
    return tf.maxPool(rows as Tensor4D, [1, length], 1, "valid");
  });
  try {
    const spans = numbersInPlace(tf, pooled)?.slice() ?? await pooled.data() as Float32Array;
    const largest = length === cells ? spans : largestOf(spans, count, cells / length, channels);
    return { ...maps, data: inPlace, length, spans, largest };
  } finally {
    pooled.dispose();
  }
}

/** The values of an output's units at all cells, `[n, cells, units]`. */
export function unitsOf(tf: TF, output: Tensor, directions: NdArrayLike | undefined): Tensor {
  const [count] = output.shape;
  const channels = output.shape.at(-1)!;
  const cells = sizeOf(output.shape.slice(1, -1));
  const flat = tf.cast(output, "float32");
  if (!directions) return tf.reshape(flat, [count, cells, channels]);
  const [units] = directions.shape;
  const filters = tf.reshape(tf.transpose(tf.tensor2d(directions.data, [units, channels])), [1, 1, channels, units]);
  // Native TensorFlow rounds the rows of a product of matrices differently, by their places; those of a convolution alike.
  const values = tf.conv2d(tf.reshape(flat, [count, cells, 1, channels]) as Tensor4D, filters as Tensor4D, 1, "valid");
  return tf.reshape(values, [count, cells, units]);
}

/**
 * The cells of a layer's output that may enter lists.
 *
 * @param output `[n, …cells, c]` or `[n, c]`
 * @param layer the place of the layer among those that are wanted
 * @param images how many of the `n` count: what is behind them only fills the batch
 */
export async function strongestIn(
  tf: TF,
  output: Tensor,
  wanted: StrongestWanted,
  layer: number,
  images: number,
): Promise<Candidates> {
  const { directions } = wanted.units[layer];
  if (!directions && output.dtype === "float32") return await strongestOf(tf, output, wanted, layer, images);
  const values = tf.tidy(() => unitsOf(tf, output, directions));
  try {
    return await strongestOf(tf, values, wanted, layer, images);
  } finally {
    values.dispose();
  }
}

/**
 * As {@linkcode strongestIn}, of any values of the units at the cells.
 *
 * @param values `[n, …cells, units]` or `[n, units]`
 * @param activations of the same shape, where the values are others
 */
export async function strongestOf(
  tf: TF,
  values: Tensor,
  { units: wanted, cells: which, top, floors }: StrongestWanted,
  layer: number,
  images: number,
  activations?: Tensor,
): Promise<Candidates> {
  const { channels, first } = wanted[layer];
  const known = which === "strongest" ? await knownMaxima(tf, values, wanted[layer], floors, images) : null;
  if (known) return await withActivations(tf, known, wanted[layer], activations);
  const maps = await mapsOf(tf, values);
  const { cells, channels: units, length, largest } = maps;
  const spans: Span[] = [];
  const asked = channels?.length ?? units;
  for (let image = 0; image < images; image++) {
    for (let i = 0; i < asked; i++) {
      const channel = channels ? channels[i] : i;
      const list = first + i;
      const most = largest[image * units + channel];
      if (!(most >= floors[list])) continue;
      const least = which === "all" ? floors[list] : most;
      let at = image * cells / length * units + channel;
      for (let cell = 0; cell < cells; cell += length, at += units) {
        if (!(maps.spans[at] >= least)) continue;
        spans.push({ list, image, channel, cell, most: maps.spans[at] });
        // Of equal ones the first.
        if (which === "strongest") break;
      }
    }
  }
  if (spans.length === 0) return await withActivations(tf, columns(0), wanted[layer], activations);
  const numbers = await numbersOf(tf, spans, maps);
  const found = which === "all"
    ? allCells(spans, numbers, length, floors, top)
    : strongestCells(spans, numbers, length);
  return await withActivations(tf, found, wanted[layer], activations);
}

/** What may enter lists of each image's strongest cells, by the backend's own kernel; null where it has none. */
async function knownMaxima(
  tf: TF,
  values: Tensor,
  { channels, first }: UnitsWanted,
  floors: Float32Array,
  images: number,
): Promise<Candidates | null> {
  const found = maxima(tf, values);
  if (!found) return null;
  try {
    const [, count, units] = found.shape;
    const data = numbersInPlace(tf, found) ?? await found.data() as Float32Array;
    const places: number[] = [];
    const asked = channels?.length ?? units;
    const last = first + asked;
    for (let image = 0; image < images; image++) {
      const start = image * units;
      for (let list = first; list < last; list++) {
        const at = start + (channels ? channels[list - first] : list - first);
        if (data[at] >= floors[list]) places.push(at, list);
      }
    }
    const all = columns(places.length / 2);
    for (let i = 0; i < all.lists.length; i++) {
      const at = places[2 * i];
      all.lists[i] = places[2 * i + 1];
      all.values[i] = data[at];
      all.images[i] = Math.floor(at / units);
      all.cells[i] = data[count * units + at];
    }
    return all;
  } finally {
    found.dispose();
  }
}

/** What was found by other values, with the activations there. */
async function withActivations(
  tf: TF,
  found: Candidates,
  { channels, first }: UnitsWanted,
  activations: Tensor | undefined,
): Promise<Candidates> {
  if (!activations) return found;
  const units = activations.shape.at(-1)!;
  const cells = sizeOf(activations.shape.slice(1, -1));
  const all = numbersInPlace(tf, activations) ?? await activations.data() as Float32Array;
  const at = (i: number) => {
    const unit = found.lists[i] - first;
    return (found.images[i] * cells + found.cells[i]) * units + (channels ? channels[unit] : unit);
  };
  return { ...found, activations: Float32Array.from(found.lists, (_, i) => all[at(i)]) };
}

/** Of each span the first cell that has the largest value. */
function strongestCells(spans: readonly Span[], { data, start, step }: SpanNumbers, length: number): Candidates {
  const found = columns(spans.length);
  spans.forEach(({ list, image, cell, most }, i) => {
    let at = start(i);
    let within = 0;
    for (; within < length - 1 && data[at] !== most; within++) at += step;
    found.lists[i] = list;
    found.values[i] = most;
    found.images[i] = image;
    found.cells[i] = cell + within;
  });
  return found;
}

/** Of each map the cells that may enter its list: no more than that has room for, the largest and first of them. */
function allCells(
  spans: readonly Span[],
  { data, start, step }: SpanNumbers,
  length: number,
  floors: Float32Array,
  top: number,
): Candidates {
  const found: [list: number, value: number, image: number, cell: number][] = [];
  let own: [value: number, cell: number][] = [];
  spans.forEach(({ list, image, cell }, i) => {
    const floor = floors[list];
    const first = start(i);
    for (let within = 0; within < length; within++) {
      const value = data[first + within * step];
      if (value >= floor) own.push([value, cell + within]);
    }
    const next = spans[i + 1];
    if (next?.image === image && next.list === list) return;
    if (own.length > top) own = own.sort(([a, i], [b, j]) => b - a || i - j).slice(0, top);
    for (const [value, cell] of own) found.push([list, value, image, cell]);
    own = [];
  });
  const all = columns(found.length);
  found.forEach(([list, value, image, cell], i) => {
    all.lists[i] = list;
    all.values[i] = value;
    all.images[i] = image;
    all.cells[i] = cell;
  });
  return all;
}

const columns = (length: number): Candidates => ({
  lists: new Int32Array(length),
  values: new Float32Array(length),
  images: new Int32Array(length),
  cells: new Int32Array(length),
});
