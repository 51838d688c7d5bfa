/**
 * Where units are strongest: what a pass finds in the outputs of layers, without taking them out of the backend's memory.
 *
 * Of each image the largest value of each unit is computed where the outputs lie. Only of those that may enter a list the
 * cells are looked up. So little leaves a graphics card or a Worker, and less the more images have been seen.
 *
 * @module
 */

import type { Tensor, Tensor4D } from "npm:@tensorflow/tfjs@4.22.0";
import { type NdArrayLike, sizeOf } from "../array.ts";
import type { TF } from "../runtime/core/types.ts";
import { bytesInWasm } from "../runtime/wasm.ts";
import { poolCells } from "./plan.ts";

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

/** A unit's map in an image of a batch. */
interface UnitMap {
  readonly image: number;
  readonly channel: number;
  readonly list: number;
}

/** The numbers of maps, each from `start` on and one every `step`. */
interface MapNumbers {
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

/** From this share of its maps on, an output is taken whole. */
const WHOLE = 0.25;

/** The numbers of some maps of an output `[n, cells, c]`, taken out of the backend's memory if they lie elsewhere. */
async function numbersOf(tf: TF, output: Tensor, maps: readonly UnitMap[]): Promise<MapNumbers> {
  const [count, cells, channels] = output.shape;
  const inPlace = numbersInPlace(tf, output);
  const startOf = (which: number) => maps[which].image * cells * channels + maps[which].channel;
  if (inPlace) return { data: inPlace, start: startOf, step: channels };
  if (maps.length >= WHOLE * count * channels) {
    return { data: await output.data() as Float32Array, start: startOf, step: channels };
  }
  const places = new Int32Array(maps.length * cells);
  maps.forEach((_, which) => {
    const start = startOf(which);
    for (let cell = 0; cell < cells; cell++) places[which * cells + cell] = start + cell * channels;
  });
  const gathered = tf.tidy(() => tf.gather(tf.reshape(output, [-1]), tf.tensor1d(places, "int32")));
  try {
    return { data: await gathered.data() as Float32Array, start: (which) => which * cells, step: 1 };
  } finally {
    gathered.dispose();
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
  const values = tf.tidy(() => unitsOf(tf, output, wanted.units[layer].directions));
  try {
    return await strongestOf(tf, values, wanted, layer, images);
  } finally {
    values.dispose();
  }
}

/**
 * As {@linkcode strongestIn}, of any values of the units at the cells.
 *
 * @param values `[n, cells, units]`
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
  const largest = tf.tidy(() => poolCells(tf, values, "max"));
  try {
    const [, cells, units] = values.shape;
    const most = numbersInPlace(tf, largest)?.slice() ?? await largest.data() as Float32Array;
    const maps: UnitMap[] = [];
    const asked = channels?.length ?? units;
    for (let image = 0; image < images; image++) {
      for (let i = 0; i < asked; i++) {
        const channel = channels ? channels[i] : i;
        if (most[image * units + channel] >= floors[first + i]) maps.push({ image, channel, list: first + i });
      }
    }
    if (maps.length === 0) return columns(0, activations !== undefined);
    const numbers = await numbersOf(tf, values, maps);
    const found = which === "all"
      ? allCells(maps, numbers, cells, floors, top)
      : strongestCells(maps, numbers, cells, ({ image, channel }) => most[image * units + channel]);
    if (!activations) return found;
    const all = numbersInPlace(tf, activations) ?? await activations.data() as Float32Array;
    const at = (i: number) => {
      const unit = found.lists[i] - first;
      return (found.images[i] * cells + found.cells[i]) * units + (channels ? channels[unit] : unit);
    };
    return { ...found, activations: Float32Array.from(found.lists, (_, i) => all[at(i)]) };
  } finally {
    largest.dispose();
  }
}

/** Of each map the first cell that has the largest value. */
function strongestCells(
  maps: readonly UnitMap[],
  { data, start, step }: MapNumbers,
  cells: number,
  largest: (map: UnitMap) => number,
): Candidates {
  const found = columns(maps.length);
  maps.forEach((map, i) => {
    const value = largest(map);
    let at = start(i);
    let cell = 0;
    for (; cell < cells - 1 && data[at] !== value; cell++) at += step;
    found.lists[i] = map.list;
    found.values[i] = value;
    found.images[i] = map.image;
    found.cells[i] = cell;
  });
  return found;
}

/** Of each map the cells that may enter its list: no more than that has room for, the largest and first of them. */
function allCells(
  maps: readonly UnitMap[],
  { data, start, step }: MapNumbers,
  cells: number,
  floors: Float32Array,
  top: number,
): Candidates {
  const found: [list: number, value: number, image: number, cell: number][] = [];
  maps.forEach(({ list, image }, i) => {
    const floor = floors[list];
    const first = start(i);
    let own: [value: number, cell: number][] = [];
    for (let cell = 0; cell < cells; cell++) {
      const value = data[first + cell * step];
      if (value >= floor) own.push([value, cell]);
    }
    if (own.length > top) own = own.sort(([a, i], [b, j]) => b - a || i - j).slice(0, top);
    for (const [value, cell] of own) found.push([list, value, image, cell]);
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

const columns = (length: number, ranked = false): Candidates => ({
  lists: new Int32Array(length),
  values: new Float32Array(length),
  ...ranked && { activations: new Float32Array(length) },
  images: new Int32Array(length),
  cells: new Int32Array(length),
});
