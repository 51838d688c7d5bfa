/**
 * Plain numeric arrays: what every result of convlens holds.
 *
 * A result never keeps a tensor, so cells re-run safely and figures need no runtime.
 *
 * @module
 */

import { kindOf } from "./errors.ts";
import { extent } from "./extent.ts";
import { pathOf, replaceWhole, writeChunks } from "./files.ts";
import { brief } from "./format.ts";
import { encodeNpy } from "./npy.ts";

/** A tensor of TensorFlow.js: what a network puts out, before it is downloaded. */
export type Tensor = InstanceType<typeof import("npm:@tensorflow/tfjs@4.22.0")["Tensor"]>;

/** Numbers and their shape, also as a plain object: what will do wherever an array is asked for. */
export interface NdArrayLike {
  /** The values, in row-major order; its length is the product of `shape`. */
  readonly data: Float32Array;
  /** The length of each axis, outermost first. */
  readonly shape: readonly number[];
}

/** What is taken of an axis: one place; a range `[from, to]` or `[from, to, step]`; null for all. */
export type Slice = number | readonly [from: number, to: number, step?: number] | null;

/** Numbers in lists, all of a level equally long, as `[[1, 2], [3, 4]]`. */
export type NestedNumbers = number | readonly NestedNumbers[] | ArrayLike<number>;

let makeTensor: ((array: NdArrayLike) => Promise<Tensor>) | undefined;

/** Says what makes tensors: the runtime, since only that knows TensorFlow.js. @internal */
export function setTensorMaker(maker: (array: NdArrayLike) => Promise<Tensor>): void {
  makeTensor = maker;
}

/**
 * A dense, row-major (C-order) array of 32-bit floats: what results hold.
 *
 * It does what one needs to look into a result. For more, hand it on: to TensorFlow.js by {@linkcode toTensor}, to NumPy
 * by {@linkcode save}, to ml-matrix for linear algebra. Axes and places may be negative, from the end on; that, ties and
 * NaN are as in NumPy.
 *
 * @example
 * ```ts
 * import { activations, loadModel, photo } from "@convlens/convlens";
 * const model = await loadModel("cifar-convnet");
 * const { layers: [{ maps }] } = await activations(model, await photo("dog"), { layer: model.layers[1].name });
 * const strongest = maps.mean([0, 1]).argmax(); // The channel with the greatest mean.
 * console.log(maps.shape, strongest, maps.slice(null, null, strongest).max());
 * ```
 *
 * @example Linear algebra with ml-matrix
 * ```ts
 * import { NdArray } from "@convlens/convlens";
 * import { Matrix, SVD } from "npm:ml-matrix@6.15.1";
 * const { data, shape: [rows, columns] } = NdArray.from([[3, 0], [4, 5]]);
 * const { diagonal } = new SVD(Matrix.from1DArray(rows, columns, [...data]));
 * console.log(new NdArray(diagonal, [diagonal.length]));
 * ```
 */
export class NdArray implements NdArrayLike {
  /** The values, in row-major order; its length is the product of `shape`. */
  readonly data: Float32Array;
  /** The length of each axis, outermost first. */
  readonly shape: readonly number[];

  /**
   * Makes an array, checking that the data fills the shape.
   *
   * @param data the values in row-major order; copied to `Float32Array` only if they are not one already
   * @param shape the length of each axis
   * @throws {RangeError} if a length is not a whole number ≥ 0, or the data does not fill the shape
   */
  constructor(data: Float32Array | ArrayLike<number>, shape: readonly number[]) {
    for (const length of shape) {
      if (!Number.isInteger(length) || length < 0) {
        throw new RangeError(`An array's shape must hold whole numbers ≥ 0: received [${shape.join(", ")}].`);
      }
    }
    if (data.length !== sizeOf(shape)) {
      throw new RangeError(
        `An array of shape [${shape.join(", ")}] holds ${sizeOf(shape)} values: received ${data.length}.`,
      );
    }
    this.data = data instanceof Float32Array ? data : Float32Array.from(data);
    this.shape = [...shape];
  }

  /**
   * Makes an array of a plain `{ data, shape }`, whose values it shares, or of numbers in lists.
   *
   * @throws {TypeError} if it is neither
   * @throws {RangeError} if the lists of a level are not equally long, or the data does not fill the shape
   *
   * @example
   * ```ts
   * import { NdArray } from "@convlens/convlens";
   * console.log(NdArray.from([[1, 2, 3], [4, 5, 6]]).mean(0).data); // Float32Array [2.5, 3.5, 4.5]
   * ```
   */
  static from(source: NdArrayLike | NestedNumbers): NdArray {
    if (source instanceof NdArray) return source;
    if (isNdArray(source)) return new NdArray(source.data, source.shape);
    const shape: number[] = [];
    for (let first: unknown = source; isList(first); first = first[0]) shape.push(first.length);
    const values: number[] = [];
    const add = (part: unknown, depth: number): void => {
      if (depth < shape.length) {
        if (isList(part) && part.length === shape[depth]) return Array.from(part).forEach((one) => add(one, depth + 1));
        const found = isList(part) ? `one of ${part.length}` : kindOf(part);
        throw new RangeError(`An array's lists must be equally long: beside one of ${shape[depth]} there is ${found}.`);
      }
      if (typeof part !== "number") {
        throw new TypeError(
          `NdArray.from takes { data: Float32Array, shape }, or numbers in lists: received ${kindOf(part)}.`,
        );
      }
      values.push(part);
    };
    add(source, 0);
    return new NdArray(values, shape);
  }

  /**
   * Downloads a tensor of TensorFlow.js; whole numbers and booleans become floats. The tensor stays as it is.
   *
   * @throws {TypeError} if it is no tensor of numbers
   */
  static async fromTensor(tensor: Pick<Tensor, "data" | "shape" | "dtype">): Promise<NdArray> {
    if (typeof tensor?.data !== "function" || !Array.isArray(tensor.shape)) {
      throw new TypeError(`fromTensor takes a tensor of TensorFlow.js: received ${kindOf(tensor)}.`);
    }
    if (!["float32", "int32", "bool"].includes(tensor.dtype)) {
      throw new TypeError(`fromTensor takes a tensor of float32, int32 or bool: received one of ${tensor.dtype}.`);
    }
    // A copy: on the cpu backend the tensor's own values come.
    return new NdArray(Float32Array.from(await tensor.data()), tensor.shape);
  }

  /** The number of values. */
  get size(): number {
    return this.data.length;
  }

  /**
   * One value, by its place on each axis.
   *
   * @throws {RangeError} if there are not as many places as axes, or one does not exist
   */
  at(...places: readonly number[]): number {
    const { shape } = this;
    if (places.length !== shape.length) {
      throw new RangeError(
        `at takes a place on each of the ${shape.length} axes of an array of shape [${shape.join(", ")}]: received ` +
          `${places.length}. slice(${places.join(", ")}) gives a part of an array.`,
      );
    }
    return this.data[places.reduce((index, place, axis) => index * shape[axis] + indexOf(place, axis, shape), 0)];
  }

  /**
   * A part of the array, as a copy. An axis of which one place is taken falls away; axes that are not named are whole.
   *
   * @param slices for each axis, the outermost first: a place; a range `[from, to]` or `[from, to, step]`, which ends
   *   before `to` and is cut to what there is; or null for all
   * @throws {TypeError} if a slice is none of these
   * @throws {RangeError} if a place does not exist, a step is below 1, or there are more slices than axes
   *
   * @example
   * ```ts
   * import { NdArray } from "@convlens/convlens";
   * const table = NdArray.from([[1, 2, 3], [4, 5, 6]]);
   * console.log(table.slice(0).data); // Float32Array [1, 2, 3]
   * console.log(table.slice(null, -1).data); // Float32Array [3, 6]
   * console.log(table.slice(null, [0, 2]).shape); // [2, 2]
   * ```
   */
  slice(...slices: readonly (Slice | undefined)[]): NdArray {
    const { data: from, shape } = this;
    if (slices.length > shape.length) {
      throw new RangeError(
        `slice takes one slice for each axis, at most ${shape.length} of an array of shape [${shape.join(", ")}]: ` +
          `received ${slices.length}.`,
      );
    }
    const taken = shape.map((_, axis) => placesOf(slices[axis] ?? null, axis, shape));
    const data = new Float32Array(sizeOf(taken.map(({ length }) => length)));
    let at = 0;
    const copy = (axis: number, start: number): void => {
      if (axis === shape.length) data[at++] = from[start];
      else for (const place of taken[axis]) copy(axis + 1, start * shape[axis] + place);
    };
    copy(0, 0);
    return new NdArray(data, taken.flatMap(({ length }, axis) => typeof slices[axis] === "number" ? [] : [length]));
  }

  /**
   * The sum of all values, or along an axis or several, which fall away; in 64 bits until it is stored.
   *
   * @throws {RangeError} if an axis does not exist, or is named twice
   */
  sum(): number;
  /** The sums along some axes. */
  sum(axis: number | readonly number[]): NdArray;
  sum(axis?: number | readonly number[]): number | NdArray {
    return reduced("sum", this, axis, 0, (sum, value) => sum + value);
  }

  /**
   * The mean of all values, or along an axis or several, which fall away; in 64 bits until it is stored. NaN of none.
   *
   * @throws {RangeError} if an axis does not exist, or is named twice
   */
  mean(): number;
  /** The means along some axes. */
  mean(axis: number | readonly number[]): NdArray;
  mean(axis?: number | readonly number[]): number | NdArray {
    return reduced("mean", this, axis, 0, (sum, value) => sum + value, (sum, count) => sum / count);
  }

  /**
   * The smallest of all values, or along an axis or several, which fall away; NaN where there is one.
   *
   * @throws {RangeError} if an axis does not exist, or is named twice, or there is no value
   */
  min(): number;
  /** The smallest values along some axes. */
  min(axis: number | readonly number[]): NdArray;
  min(axis?: number | readonly number[]): number | NdArray {
    return reduced("min", this, axis, Infinity, Math.min);
  }

  /**
   * The largest of all values, or along an axis or several, which fall away; NaN where there is one.
   *
   * @throws {RangeError} if an axis does not exist, or is named twice, or there is no value
   */
  max(): number;
  /** The largest values along some axes. */
  max(axis: number | readonly number[]): NdArray;
  max(axis?: number | readonly number[]): number | NdArray {
    return reduced("max", this, axis, -Infinity, Math.max);
  }

  /**
   * Where the largest value is: its place in `data`, or along an axis, which falls away. The first of equal ones; the
   * first NaN where there is one.
   *
   * @throws {RangeError} if the axis does not exist, or there is no value
   */
  argmax(): number;
  /** The places of the largest values along an axis. */
  argmax(axis: number): NdArray;
  argmax(axis?: number): number | NdArray {
    const { data, shape } = this;
    const whole = axis === undefined;
    const along = whole ? 0 : axisOf("argmax", axis, shape);
    const length = whole ? data.length : shape[along];
    const inner = whole ? 1 : sizeOf(shape.slice(along + 1));
    const kept = whole ? [] : shape.filter((_, i) => i !== along);
    if (length === 0) throw noValue("argmax", shape);
    const places = Float64Array.from({ length: sizeOf(kept) }, (_, i) => {
      const start = Math.floor(i / inner) * inner * length + i % inner;
      let best = 0;
      for (let place = 1; place < length && !Number.isNaN(data[start + best * inner]); place++) {
        // NaN is not at most anything.
        if (!(data[start + place * inner] <= data[start + best * inner])) best = place;
      }
      return best;
    });
    return whole ? places[0] : new NdArray(places, kept);
  }

  /**
   * Uploads the array as a tensor of TensorFlow.js, on the backend of convlens. It is yours: dispose of it.
   *
   * @example
   * ```ts
   * import { NdArray } from "@convlens/convlens";
   * const tensor = await NdArray.from([[1, 2], [3, 4]]).toTensor();
   * console.log((await NdArray.fromTensor(tensor.transpose())).data); // Float32Array [1, 3, 2, 4]
   * ```
   */
  toTensor(): Promise<Tensor> {
    if (!makeTensor) throw new Error("Tensors are made by the runtime: import NdArray from convlens's mod.ts.");
    return makeTensor(this);
  }

  /**
   * Writes the array as NumPy's `.npy`, which `np.load(path)` reads; `loadArray(path)` reads it back.
   *
   * @throws {RangeError} if the path has another ending
   */
  async save(path: string | URL): Promise<void> {
    if (!/\.npy$/i.test(String(path))) {
      throw new RangeError(
        `An array is saved as .npy: received the path ${JSON.stringify(String(path))}. End it in .npy, or save the ` +
          "result that holds the array as .npz.",
      );
    }
    const place = path instanceof URL ? pathOf(path) : path;
    await replaceWhole(place, (partial) => writeChunks(partial, [encodeNpy(this)]));
  }

  /** The shape, the range, the mean and the first values, on one line; a small table whole. */
  toString(): string {
    const { data, shape } = this;
    const head = `NdArray [${shape.join(", ")}]`;
    if (data.length === 0) return head;
    const [rows, columns] = shape.length === 2 ? shape : [1, data.length];
    const few = rows > 1 && rows <= MOST_SHOWN && columns <= MOST_SHOWN;
    const words = Array.from(
      data.subarray(0, few ? data.length : MOST_SHOWN),
      (value) => value ? brief(value) : `${value}`,
    );
    const unknown = data.reduce((count, value) => count + Number(Number.isNaN(value)), 0);
    const [low, high] = extent(data);
    const about = `${head} · ${brief(low)} … ${brief(high)}, ${
      unknown ? `${unknown} NaN` : `mean ${brief(this.mean())}`
    }`;
    if (!few) return `${about} · ${words.join(", ")}${data.length > words.length ? ", …" : ""}`;
    const width = Math.max(...words.map(({ length }) => length));
    const line = (row: number) => words.slice(row * columns, (row + 1) * columns).map((word) => word.padStart(width));
    return [about, ...Array.from({ length: rows }, (_, row) => line(row).join("  "))].join("\n");
  }

  /** What `console.log` prints and a cell shows. */
  [Symbol.for("Deno.customInspect")](): string {
    return this.toString();
  }
}

/** So many values of an array are printed, and no wider or higher table. */
const MOST_SHOWN = 8;

/** Lists of numbers or of lists. */
const isList = (value: unknown): value is ArrayLike<unknown> =>
  Array.isArray(value) || ArrayBuffer.isView(value) && !(value instanceof DataView);

/** A place on an axis, from 0; a negative one is counted from the end. */
function indexOf(place: number, axis: number, shape: readonly number[]): number {
  const length = shape[axis];
  if (!Number.isInteger(place) || place < -length || place >= length) {
    throw new RangeError(
      `Axis ${axis} of an array of shape [${shape.join(", ")}] has ` +
        `${length ? `the places 0 to ${length - 1} (or −${length} to −1)` : "no place"}: received ${kindOf(place)}.`,
    );
  }
  return place < 0 ? place + length : place;
}

/** The places that a slice takes of an axis. */
function placesOf(slice: Slice, axis: number, shape: readonly number[]): number[] {
  const length = shape[axis];
  if (typeof slice === "number") return [indexOf(slice, axis, shape)];
  const [from, to, step = 1] = slice ?? [0, length];
  if (slice && (!Array.isArray(slice) || slice.length < 2 || slice.length > 3)) {
    throw new TypeError(
      `A slice is a place, a range [from, to] or [from, to, step], or null for all: received ${
        Array.isArray(slice) ? `[${slice.join(", ")}]` : kindOf(slice)
      }.`,
    );
  }
  if (![from, to, step].every(Number.isInteger) || step < 1) {
    throw new RangeError(
      `A range holds whole numbers, its step is at least 1: received [${
        [from, to, ...slice?.[2] === undefined ? [] : [step]].join(", ")
      }].`,
    );
  }
  const [start, end] = [from, to].map((place) => Math.min(Math.max(place < 0 ? place + length : place, 0), length));
  return Array.from({ length: Math.max(0, Math.ceil((end - start) / step)) }, (_, i) => start + i * step);
}

/** An axis, from 0; a negative one is counted from the last. */
function axisOf(asker: string, axis: number, shape: readonly number[]): number {
  if (Number.isInteger(axis) && axis >= -shape.length && axis < shape.length) {
    return axis < 0 ? axis + shape.length : axis;
  }
  throw new RangeError(
    `${asker} goes along an axis of an array of shape [${shape.join(", ")}]: wanted ` +
      `${shape.length ? `0 to ${shape.length - 1}` : "none"}, received ${kindOf(axis)}.`,
  );
}

const noValue = (asker: string, shape: readonly number[]) =>
  new RangeError(`There is no ${asker} of no value: the array has the shape [${shape.join(", ")}].`);

/** Folds all values of an array, or those along some axes, which fall away. */
function reduced(
  asker: string,
  { data, shape }: NdArrayLike,
  axis: number | readonly number[] | undefined,
  start: number,
  fold: (so: number, value: number) => number,
  end = (folded: number, _count: number) => folded,
): number | NdArray {
  const along = axis === undefined ? shape.map((_, i) => i) : [axis].flat().map((one) => axisOf(asker, one, shape));
  if (new Set(along).size < along.length) {
    throw new RangeError(`${asker} goes along each axis once: received [${[axis].flat().join(", ")}].`);
  }
  const kept = shape.filter((_, i) => !along.includes(i));
  const count = sizeOf(along.map((i) => shape[i]));
  if (count === 0 && !Number.isFinite(start)) throw noValue(asker, shape);
  // How far a step along each axis leads in what is kept.
  const steps = shape.map((_, i) =>
    along.includes(i) ? 0 : sizeOf(shape.filter((_, j) => j > i && !along.includes(j)))
  );
  const folded = new Float64Array(sizeOf(kept)).fill(start);
  let from = 0;
  const visit = (depth: number, to: number): void => {
    // Recursion down to each single value would take most of the time.
    if (depth < shape.length - 1) { for (let i = 0; i < shape[depth]; i++) visit(depth + 1, to + i * steps[depth]); }
    else {
      const step = steps[depth] ?? 0;
      for (let i = 0; i < (shape[depth] ?? 1); i++, to += step) folded[to] = fold(folded[to], data[from++]);
    }
  };
  visit(0, 0);
  const values = folded.map((value) => end(value, count));
  return axis === undefined ? values[0] : new NdArray(values, kept);
}

/** The number of values in an array of this shape. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, length) => product * length, 1);
}

/** The place on each axis of the value at an index of the data. */
export function placeOf(index: number, shape: readonly number[]): number[] {
  const place: number[] = [];
  for (let rest = index, axis = shape.length - 1; axis >= 0; rest = Math.floor(rest / shape[axis--])) {
    place.unshift(rest % shape[axis]);
  }
  return place;
}

/** Makes an {@linkcode NdArray}; see its constructor. */
export function ndarray(data: Float32Array | ArrayLike<number>, shape: readonly number[]): NdArray {
  return new NdArray(data, shape);
}

/** Whether a value is an array of ours, or a plain object like one. */
export function isNdArray(value: unknown): value is NdArrayLike {
  const candidate = value as NdArrayLike | null;
  return typeof candidate === "object" && candidate !== null &&
    candidate.data instanceof Float32Array && Array.isArray(candidate.shape);
}

/**
 * Takes one channel of an array `[…, c]`, as one plane `[h, w]` of `[h, w, c]`.
 *
 * @throws {RangeError} if the array has fewer than two axes or the channel does not exist
 */
export function channelOf({ data: all, shape }: NdArrayLike, channel: number): NdArray {
  const channels = shape.at(-1)!;
  if (shape.length < 2 || !Number.isInteger(channel) || channel < 0 || channel >= channels) {
    throw new RangeError(
      `Channel ${channel} was asked of an array of shape [${shape.join(", ")}]; ` +
        `wanted [height, width, channels] and a channel from 0 to ${(channels ?? 0) - 1}.`,
    );
  }
  const data = new Float32Array(all.length / channels);
  for (let i = 0; i < data.length; i++) data[i] = all[i * channels + channel];
  return new NdArray(data, shape.slice(0, -1));
}

export { extent };

/** Scores as shares that add up to 1: each score's exponential over the sum of all. */
export function softmax(scores: ArrayLike<number>): Float64Array {
  let largest = -Infinity;
  for (let i = 0; i < scores.length; i++) if (scores[i] > largest) largest = scores[i];
  const shares = Float64Array.from(scores as ArrayLike<number>, (score) => Math.exp(score - largest));
  const sum = shares.reduce((a, b) => a + b, 0);
  return shares.map((share) => share / sum);
}
