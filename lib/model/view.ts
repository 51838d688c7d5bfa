/**
 * What a network's inputs are, and how what the user gives is brought to their shapes.
 *
 * @module
 */

import { NdArray, ndarray, type NdArrayLike, sizeOf } from "../array.ts";
import { type Given, type GivenInputs, type GivenPart, isInputRecord, toGiven } from "../data/given.ts";
import { Image, type InputRecord } from "../data/image.ts";
import { LUMA } from "../data/pixels.ts";
import { unknownName } from "../errors.ts";
import { resize } from "../resize/resize.ts";
import type { LayersModel } from "../runtime/tensorflow_types.ts";
import { shapeList, shapeText } from "./graph.ts";
import type { Preprocess } from "./preprocess.ts";

/** One input of a network. */
export interface NetworkInput {
  /** Its layer's name. */
  readonly name: string;
  /** `[h, w, c]`, `[length, c]`, `[depth, h, w, c]` or `[n]`; null for a side that may have any length. */
  readonly shape: readonly (number | null)[];
}

/** The inputs of a network, in its order. */
export const inputsOf = ({ inputs, inputNames }: LayersModel): NetworkInput[] =>
  inputs.map(({ shape }, i) => ({ name: inputNames[i], shape: shape.slice(1) }));

/**
 * The place of the input that is asked about: that of a name, else `main`.
 *
 * @throws {RangeError} if there is no input of this name
 */
export function lookedAt(model: string, inputs: readonly NetworkInput[], main: number, wanted?: string): number {
  if (wanted === undefined) return main;
  const found = inputs.findIndex(({ name }) => name === wanted);
  if (found >= 0) return found;
  throw unknownName("input", String(wanted), inputs.map(({ name }) => name), `model ${JSON.stringify(model)}`);
}

/** The inputs in words, as `"image" (32×32×3) and "angle" (1)`. */
const inputsText = (inputs: readonly NetworkInput[]): string =>
  inputs.map(({ name, shape }) => `${JSON.stringify(name)} (${shapeText(shape)})`).join(" and ");

/** A record that would do, as `{ image: photo, angle: 0.5 }`. */
const recordText = (inputs: readonly NetworkInput[]): string =>
  `{ ${
    inputs.map(({ name, shape }) => {
      const key = /^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name);
      return `${key}: ${
        shape.length === 3 ? "image" : shape.length > 1 ? "array" : shape[0] === 1 ? "0.5" : "[0.5, …]"
      }`;
    }).join(", ")
  } }`;

/**
 * What is given to each input, in the network's order.
 *
 * @throws {TypeError} if an input is given nothing, or there is none of a name
 */
export function partsFor(model: string, inputs: readonly NetworkInput[], given: Given): GivenPart[] {
  const quoted = JSON.stringify(model);
  if (!isInputRecord(given)) {
    if (inputs.length === 1) return [given as GivenPart];
    throw new TypeError(
      `The model ${quoted} takes ${inputs.length} inputs, ${inputsText(inputs)}: received one thing only. Give each ` +
        `by its name, as ${recordText(inputs)}; items of a data set may have them as columns.`,
    );
  }
  const parts = given as GivenInputs;
  const unknown = Object.keys(parts).filter((name) => !inputs.some((input) => input.name === name));
  const missing = inputs.filter(({ name }) => !Object.hasOwn(parts, name));
  if (unknown.length === 0 && missing.length === 0) return inputs.map(({ name }) => parts[name]);
  const list = (names: readonly string[]) => names.map((name) => JSON.stringify(name)).join(", ");
  const wrong = [
    ...unknown.length ? [`it has none called ${list(unknown)}`] : [],
    ...missing.length ? [`nothing is given for ${list(missing.map(({ name }) => name))}`] : [],
  ];
  throw new TypeError(
    `The model ${quoted} takes ${inputsText(inputs)}: ${wrong.join(", and ")}. Give ${recordText(inputs)}.`,
  );
}

/** What is given to one input, with what the columns of its item hold for the others by their names. */
export async function withColumns(
  inputs: readonly NetworkInput[],
  main: number,
  given: Given,
  columns: object,
): Promise<Given> {
  if (isInputRecord(given)) return given;
  const others = inputs.map(({ name }) => name).filter((name, i) => i !== main && Object.hasOwn(columns, name));
  if (others.length === 0) return given;
  const values = Object.fromEntries(others.map((name) => [name, (columns as InputRecord)[name]]));
  return { [inputs[main].name]: given as GivenPart, ...await toGiven(values) as GivenInputs };
}

/** Pixels of three channels as grey ones, or grey ones as three equal channels. */
export function inChannels(image: NdArrayLike, wanted: number): NdArrayLike {
  const { data, shape: [height, width, channels] } = image;
  if (channels === wanted) return image;
  const out = new Float32Array(height * width * wanted);
  for (let i = 0; i < height * width; i++) {
    if (wanted === 3) out.fill(data[i], 3 * i, 3 * i + 3);
    else out[i] = LUMA[0] * data[i * 3] + LUMA[1] * data[i * 3 + 1] + LUMA[2] * data[i * 3 + 2];
  }
  return { data: out, shape: [height, width, wanted] };
}

/** What the channels of an image are, in words. */
const channelsText = (count: number): string =>
  count === 1 ? "1 channel (grey)" : count === 3 ? "3 channels (RGB)" : `${count} channels`;

/** @throws {TypeError} if an image's channels cannot be made those of an input; says what would do */
function checkChannels(model: string, { name, shape: [, , wanted] }: NetworkInput, image: Image): void {
  const [first, , found] = image.shape;
  const converts = (count: number) => count === 1 || count === 3;
  if (found === wanted || (converts(found) && converts(wanted ?? 0))) return;
  const remedy = first === wanted
    ? " Its first axis is as long as that: give it as [height, width, channels], not [channels, height, width]."
    : found === 4 && wanted === 3
    ? " Drop the fourth channel, as new NdArray(data, shape).slice(null, null, [0, 3])."
    : found === 2 && wanted === 1
    ? " Drop the second channel."
    : " Grey and RGB are made into each other; of other channels nothing says what they mean: give an array [height, " +
      `width, ${wanted}].`;
  throw new TypeError(
    `The input ${JSON.stringify(name)} of ${JSON.stringify(model)} reads ${channelsText(wanted ?? 0)} a pixel; the ` +
      `image ${JSON.stringify(image.name)} has ${channelsText(found)}.${remedy}`,
  );
}

/**
 * A picture at the size and with the channels of an input.
 *
 * @param image as `pictureOf` gives it
 * @throws {TypeError} if its channels cannot be made those of the input
 */
export function viewOfPicture(model: string, input: NetworkInput, image: Image, fit: Preprocess["fit"]): NdArrayLike {
  checkChannels(model, input, image);
  const { shape, pixels } = image;
  const [height, width, channels] = input.shape;
  const size: [number, number] = [height ?? shape[0], width ?? shape[1]];
  const isSize = size[0] === shape[0] && size[1] === shape[1];
  return inChannels(isSize ? image : resize(pixels, size, { fit }), channels!);
}

/**
 * Of a network that read `[c, h, w]` in its file, and reads `[h, w, c]` here: an array of just that shape with its channels
 * behind; anything else as it is.
 */
export function channelsBehind({ shape }: NetworkInput, part: GivenPart): GivenPart {
  const first = [shape.at(-1), ...shape.slice(0, -1)];
  const isFirst = !(part instanceof Image) && part.shape.length === shape.length &&
    first.every((length, i) => length === part.shape[i]) && part.shape.some((length, i) => length !== shape[i]);
  if (!isFirst) return part;
  const [channels, ...sides] = part.shape;
  const cells = sizeOf(sides);
  const data = new Float32Array(part.data.length);
  for (let c = 0; c < channels; c++) {
    for (let cell = 0; cell < cells; cell++) data[cell * channels + c] = part.data[c * cells + cell];
  }
  return ndarray(data, [...sides, channels]);
}

/** What inputs of these ranks are called. */
const KINDS = ["", "numbers", "signals", "images", "volumes"];

/**
 * Numbers of the shape of an input that reads no pictures; the axis of one channel may be left out.
 *
 * @throws {TypeError} if they are a picture, or of another shape
 */
export function viewOfArray(model: string, { name, shape }: NetworkInput, part: GivenPart): NdArrayLike {
  const found = part.shape;
  const isNumber = shape.length === 1 && shape[0] === 1 && sizeOf(found) === 1;
  const whole = found.length === shape.length - 1 && shape.at(-1) === 1 ? [...found, 1] : found;
  const fits = whole.length === shape.length && shape.every((length, i) => length === null || length === whole[i]);
  if ((fits || isNumber) && !(part instanceof Image)) return ndarray(part.data, isNumber ? [1] : whole);
  const what = part instanceof Image ? `an image, [${shapeList(found)}]` : `an array of shape [${shapeList(found)}]`;
  throw new TypeError(
    `The input ${JSON.stringify(name)} of ${JSON.stringify(model)} reads ${KINDS[shape.length] ?? "arrays"} of shape ` +
      `[${shapeList(shape)}]: received ${what}. Give { data: Float32Array, shape: [${shapeList(shape)}] }` +
      (shape.length > 1
        ? "."
        : part instanceof Image
        ? ". If they are the pixels of images, put a layer before it that flattens them, tf.sequential({ layers: " +
          "[tf.layers.flatten({ inputShape: [height, width, channels] }), network] }), with height · width · channels = " +
          `${shape[0] ?? "n"}.`
        : ` or { ${JSON.stringify(name)}: [0.5, …] }.`),
  );
}

/** A view with what goes to the other inputs. */
export class ModelView extends NdArray {
  /** See {@linkcode InputArray.others}. */
  declare readonly others?: readonly (NdArrayLike | null)[];

  /** @internal */
  constructor({ data, shape }: NdArrayLike, others?: readonly (NdArrayLike | null)[]) {
    super(data, shape);
    if (others) this.others = others;
  }
}
