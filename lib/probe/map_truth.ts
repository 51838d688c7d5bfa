/**
 * What is true at each place of a map: masks of classes or labels, and maps of numbers, brought to the grid that the network
 * puts out.
 *
 * @module
 */

import { isNdArray, type NdArrayLike, sizeOf } from "../array.ts";
import { type ImageLike, toImage } from "../data/image.ts";
import { kindOf } from "../errors.ts";
import type { ModelOutput } from "../model/output.ts";

/** How a map lies over the image. */
export interface MapPlace {
  /** The cells of the map that the network puts out. */
  grid: readonly number[];
  /** The size of the image as the model saw it, in as many axes. */
  seen: readonly number[];
  /** How the image came to that size. */
  fit: "crop" | "squash";
}

/** In a mask of bytes, a place of which nothing is known, as in Pascal VOC. */
const UNKNOWN = 255;

/**
 * What is true at each cell: of classes the class's index, of independent labels 1 or 0 for each, of numbers the numbers.
 * NaN where nothing is known.
 *
 * A mask of another size than the map is taken at the middles of the map's cells, after the cut that the image had. Of bytes
 * 255 is a place of which nothing is known, unless there are so many classes; of two classes everything above 0 is the second.
 *
 * @param value `[h, w]` or `[h, w, c]`; or a grey picture or its path, whose pixels are the indices
 * @param at whose it is, for messages
 * @throws {TypeError} if it is no map
 * @throws {RangeError} if a class is none of the output's, or the channels are not as many
 */
export async function mapTruth(
  value: unknown,
  output: ModelOutput,
  place: MapPlace,
  at: string,
): Promise<Float32Array> {
  const { each, count } = output;
  const { data, shape } = await arrayOf(value, at);
  const axes = place.grid.length;
  const isClasses = each === "classes" || each === "binary";
  const channels = shape.length === axes ? 1 : shape.length === axes + 1 ? shape[axes] : 0;
  if (channels !== (isClasses ? 1 : count)) {
    throw new RangeError(
      `${at} must be a map [${["d", "h", "w"].slice(3 - axes).join(", ")}${
        isClasses || count === 1 ? "" : `, ${count}`
      }] of ${
        isClasses ? `classes' indices, 0 to ${output.labels.length - 1}` : each === "labels" ? "1 and 0" : "numbers"
      }: received an array of the shape [${shape.join(", ")}].`,
    );
  }
  const taken = fitted(data, shape.slice(0, axes), channels, place);
  if (each === "numbers") return taken;
  const most = isClasses ? output.labels.length - 1 : 1;
  return taken.map((value) => {
    if (Number.isNaN(value)) return value;
    if (each === "binary") return Number(value > 0);
    if (Number.isInteger(value) && value >= 0 && value <= most) return value;
    if (isClasses && value === UNKNOWN) return NaN;
    throw new RangeError(
      `${at} holds ${value}; wanted ${
        isClasses ? `the index of a class, 0 to ${most}` : "1 or 0"
      }, or NaN where nothing is known.`,
    );
  });
}

/** A map as an array: of a picture its grey values. */
async function arrayOf(value: unknown, at: string): Promise<NdArrayLike> {
  if (
    isNdArray(value) ||
    (ArrayBuffer.isView((value as NdArrayLike)?.data) && Array.isArray((value as NdArrayLike).shape))
  ) {
    const { data, shape } = value as NdArrayLike;
    if (data.length === sizeOf(shape)) return { data: Float32Array.from(data), shape };
  }
  if (typeof value === "string" || (typeof value === "object" && value !== null && "pixels" in value)) {
    const { data, shape: [height, width, channels] } = await toImage(value as ImageLike);
    const grey = Float32Array.from({ length: height * width }, (_, i) => data[i * channels]);
    if (channels === 1 || grey.every((one, i) => data[3 * i + 1] === one && data[3 * i + 2] === one)) {
      return { data: grey, shape: [height, width] };
    }
    throw new TypeError(
      `${at} is a picture in colours; wanted a grey one, whose pixels are the classes' indices. Make them of the colours by ` +
        `truth: (row) => ({ data, shape: [h, w] }).`,
    );
  }
  throw new TypeError(
    `${at} must be a map, { data, shape: [h, w] }, or a grey picture of indices or its path: received ${
      kindOf(value)
    }.`,
  );
}

/** The values at the middles of the map's cells. */
function fitted(
  data: ArrayLike<number>,
  from: readonly number[],
  channels: number,
  { grid, seen, fit }: MapPlace,
): Float32Array {
  const scale = fit === "crop" ? Math.min(...from.map((length, axis) => length / seen[axis])) : NaN;
  const places = grid.map((length, axis) => {
    const used = fit === "crop" ? seen[axis] * scale : from[axis];
    const start = (from[axis] - used) / 2;
    return Array.from({ length }, (_, i) => Math.min(from[axis] - 1, Math.floor(start + (i + 0.5) / length * used)));
  });
  const taken = new Float32Array(sizeOf(grid) * channels);
  for (let cell = 0; cell < taken.length / channels; cell++) {
    let [rest, place, step] = [cell, 0, 1];
    for (let axis = grid.length - 1; axis >= 0; axis--) {
      place += step * places[axis][rest % grid[axis]];
      rest = Math.floor(rest / grid[axis]);
      step *= from[axis];
    }
    for (let c = 0; c < channels; c++) taken[cell * channels + c] = data[place * channels + c];
  }
  return taken;
}
