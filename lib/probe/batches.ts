/**
 * Many inputs as batches: cut, packed one behind the other, and their outputs put together again.
 *
 * @module
 */

import type { Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import { type NdArrayLike, sizeOf } from "../array.ts";
import type { InputArray } from "../data/given.ts";
import type { StreamedInputs } from "../model/inputs.ts";
import type { Model } from "../model/model.ts";
import { checkWhole } from "../options.ts";
import type { TF } from "../runtime/core/types.ts";
import type { Fed } from "./plan.ts";

/**
 * Inputs of one shape, as `model.input` returns them: an array, or an iterable that knows its size; one of images that
 * are still to be read counts those that are `missing`.
 */
export type Inputs =
  | readonly InputArray[]
  | StreamedInputs
  | (Iterable<InputArray> & { readonly size: number });

/** How many inputs there are at most. */
export const sizeOfAll = (inputs: Inputs): number => "length" in inputs ? inputs.length : inputs.size;

/** Some arrays of one shape, one behind the other. */
interface Packed {
  data: Float32Array<ArrayBuffer>;
  /** `[n, …input shape]` */
  shape: number[];
}

/** Some inputs, one behind the other, with as many of the network's other inputs. */
export interface Batch extends Packed {
  others?: (Packed | null)[];
}

function packedOf(arrays: readonly NdArrayLike[]): Packed {
  const [{ shape }] = arrays;
  const each = sizeOf(shape);
  const data = new Float32Array(arrays.length * each);
  arrays.forEach((array, i) => data.set(array.data, i * each));
  return { data, shape: [arrays.length, ...shape] };
}

/** What goes to the other inputs of some. */
export const othersOf = (inputs: readonly InputArray[]): Batch["others"] =>
  inputs[0].others?.map((other, i) => other && packedOf(inputs.map(({ others }) => others![i]!)));

/** A batch as tensors. @param rows with how many, filled up with zeros; @default as many as it has */
export const fed = (tf: TF, { others, ...batch }: Batch, rows?: number): Fed => ({
  x: tensorOf(tf, batch, rows),
  ...others && { others: others.map((other) => other && tensorOf(tf, other, rows)) },
});

function tensorOf(tf: TF, { data, shape: [count, ...shape] }: Packed, rows = count): Tensor {
  if (rows === count) return tf.tensor(data, [count, ...shape]);
  const filled = new Float32Array(data.length / count * rows);
  filled.set(data);
  return tf.tensor(filled, [rows, ...shape]);
}

/** Inputs of one shape as tensors, `[n, …shape]`. */
export const pack = (tf: TF, inputs: readonly InputArray[]): Fed =>
  fed(tf, { ...packedOf(inputs), others: othersOf(inputs) });

/** The tensors of a batch. */
export const tensorsOf = ({ x, others = [] }: Fed): Tensor[] => [x, ...others.filter((other) => other !== null)];

/** A batch and its place among all batches. */
export interface PlacedBatch extends Batch {
  /** Its place among all batches. */
  index: number;
  /** The place of its first input among all inputs. */
  start: number;
}

/**
 * Checks what can be checked before the inputs are read.
 *
 * @returns how many inputs there are
 * @throws {RangeError} if a layer does not exist, a count is not a whole number ≥ 1, there is no input, or the inputs of
 *   an array differ in shape
 */
export function checkInputs(
  model: Model,
  inputs: Inputs,
  layers: readonly (string | number | { readonly layer: string })[],
  counts: Record<string, number>,
): number {
  for (const wanted of layers) {
    if (typeof wanted !== "number") model.layer(typeof wanted === "string" ? wanted : wanted.layer);
  }
  for (const [name, value] of Object.entries(counts)) {
    checkWhole(name, value, 1);
  }
  const size = sizeOfAll(inputs);
  if (size === 0) throw new RangeError("There is no input to run through the model; wanted at least one.");
  if ("length" in inputs) inputs.forEach((input) => checkShape(input, shapesText(inputs[0])));
  return size;
}

/** The shapes of an input and of what goes to the others. */
export const shapesText = ({ shape, others = [] }: InputArray): string =>
  [`[${shape}]`, ...others.flatMap((other) => other ? [`[${other.shape}]`] : [])].join(" with ");

function checkShape(input: InputArray, wanted: string): void {
  const found = shapesText(input);
  if (found !== wanted) throw new RangeError(`Inputs must share one shape: received ${wanted} and ${found}.`);
}

/**
 * Packs inputs into batches. Several may ask for the next one at the same time.
 *
 * @param size how many inputs there are
 * @param cut gives the largest size of the next batch from the number of inputs that are left
 * @param options.anyShape whether inputs may differ in shape: a batch ends where the next has another; @default false
 * @throws {RangeError} if the inputs differ in shape, or their number, with those that are missing, is not `size`
 */
export async function* batchesOf(
  inputs: Inputs,
  size: number,
  cut: (left: number) => number,
  { anyShape = false } = {},
): AsyncGenerator<PlacedBatch, undefined> {
  let wanted: string | undefined;
  let index = 0;
  let start = 0;
  let length = 0;
  let waiting: InputArray[] = [];
  const cutOff = (): PlacedBatch => {
    const batch = { index: index++, start, ...packedOf(waiting), others: othersOf(waiting) };
    start += waiting.length;
    waiting = [];
    return batch;
  };
  for await (const input of inputs) {
    if (anyShape && wanted !== undefined && shapesText(input) !== wanted) {
      if (waiting.length > 0) yield cutOff();
      wanted = undefined;
    }
    wanted ??= shapesText(input);
    checkShape(input, wanted);
    if (start + waiting.length === size) throw new RangeError(`The inputs said that they are ${size}: there are more.`);
    if (waiting.length === 0) length = Math.min(cut(size - start), size - start);
    if (waiting.push(input) === length) yield cutOff();
  }
  if (waiting.length > 0) yield cutOff();
  const found = start + missingOf(inputs);
  if (found < size) throw new RangeError(`The inputs said that they are ${size}: there are only ${found}.`);
}

/** What gives one batch after the other, null after the last. */
export function reading(batches: AsyncGenerator<PlacedBatch, undefined>, signal?: AbortSignal) {
  return async (): Promise<PlacedBatch | null> => {
    signal?.throwIfAborted();
    return (await batches.next()).value ?? null;
  };
}

/** How many inputs have been left out so far. */
export const missingOf = (inputs: Inputs): number => "missing" in inputs ? inputs.missing ?? 0 : 0;

/** The first rows of an array: itself where it has no more. */
export function firstOf(array: NdArrayLike, count: number): NdArrayLike {
  const [all, ...shape] = array.shape;
  return count === all ? array : { data: array.data.slice(0, count * sizeOf(shape)), shape: [count, ...shape] };
}

/** Puts the outputs of batches together. */
export class Gathered {
  readonly #arrays: NdArrayLike[] = [];
  #count = 0;

  /** @param size how many inputs there are at most */
  constructor(readonly size: number) {}

  /** @param start the place of the batch's first input among all */
  add(outputs: readonly NdArrayLike[], start: number): void {
    for (const [i, { data, shape: [count, ...shape] }] of outputs.entries()) {
      const each = data.length / count;
      this.#arrays[i] ??= { data: new Float32Array(each * this.size), shape: [this.size, ...shape] };
      this.#arrays[i].data.set(data, start * each);
      this.#count = Math.max(this.#count, start + count);
    }
  }

  /** For each layer one array, `[n, …output shape]`, of the inputs that came. */
  get arrays(): NdArrayLike[] {
    return this.#arrays.map((array) => firstOf(array, this.#count));
  }
}
