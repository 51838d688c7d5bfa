/**
 * What a model may be asked about: an image, numbers of another shape, or one of these for each of several inputs.
 *
 * @module
 */

import { isNdArray, NdArray, ndarray, type NdArrayLike } from "../array.ts";
import { kindOf } from "../errors.ts";
import { Image, type ImageLike, type InputRecord, toImage } from "./image.ts";

/** What is given to one input, read: a picture, or numbers whose shape only the model understands. */
export type GivenPart = Image | NdArray;

/** What is given to a network of several inputs, read: each by its input's name. */
export type GivenInputs = Readonly<Record<string, GivenPart>>;

/** What a model is asked about, read. */
export type Given = GivenPart | GivenInputs;

/** What is given to an input that reads pictures. */
export function pictureOf(part: GivenPart): Image {
  return part instanceof Image ? part : new Image(part, { name: "array", source: "an array" });
}

/** Of what is given to several inputs the picture, else the first. */
export function mainPart(given: Given): GivenPart {
  if (!isInputRecord(given)) return given as GivenPart;
  const parts = Object.values(given as GivenInputs);
  return parts.find((part) => part instanceof Image) ?? parts[0];
}

/** Whether something is a record by the names of inputs, and not an image in any form. */
export function isInputRecord(value: unknown): value is InputRecord {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype &&
    !("data" in value && "shape" in value) && Object.keys(value).length > 0;
}

/** @throws {TypeError} if it is no picture, number or numbers */
async function readPart(name: string, value: InputRecord[string]): Promise<GivenPart> {
  if (typeof value === "number") return ndarray([value], [1]);
  if (Array.isArray(value)) return NdArray.from(value);
  if (value !== undefined && value !== null && !isInputRecord(value)) {
    return await toGiven(value as ImageLike) as GivenPart;
  }
  throw new TypeError(
    `The input ${JSON.stringify(name)} is given ${kindOf(value)}; wanted an image, a path, a number, or an array of ` +
      `numbers.`,
  );
}

/**
 * Reads what a model is asked about: pictures are decoded, arrays stay what they are.
 *
 * @throws {TypeError} if it is nothing of the kind
 * @throws as `loadImage` and {@linkcode Image} do
 */
export async function toGiven(input: ImageLike): Promise<Given> {
  if (input instanceof Image || input instanceof NdArray) return input;
  if (input instanceof Float32Array) return ndarray(input, [input.length]);
  if (isNdArray(input)) return ndarray(input.data, input.shape);
  if (!isInputRecord(input)) return await toImage(input);
  const read = Object.entries(input).map(async ([name, value]) => [name, await readPart(name, value)] as const);
  return Object.fromEntries(await Promise.all(read));
}

/** What captions call it. */
export function nameOfGiven(given: Given): string {
  const main = mainPart(given);
  return main instanceof Image ? main.name : "array";
}

/** How many bytes it takes. */
export function bytesOfGiven(given: Given): number {
  const parts = isInputRecord(given) ? Object.values(given as GivenInputs) : [given as GivenPart];
  return parts.reduce((sum, part) => sum + (part instanceof Image ? part.pixels : part).data.byteLength, 0);
}

/** A view or an input of a network with several inputs: with what goes to the others. */
export interface InputArray extends NdArrayLike {
  /**
   * What the network reads at each of its inputs, in its order; null at the place of the array itself. Absent for a
   * network of one input.
   */
  readonly others?: readonly (NdArrayLike | null)[];
}

/** Numbers in the place of those of a view or an input, all else as it is. */
export const inPlaceOf = ({ shape, others }: InputArray, data: Float32Array): InputArray =>
  others ? { data, shape, others } : { data, shape };
