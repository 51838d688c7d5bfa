/**
 * What is done to an image to see what a network makes of it: moved, turned, scaled, blurred, brighter, paler, noisy; and how
 * a feature map would move along.
 *
 * @module
 */

import { isNdArray, NdArray, ndarray, type NdArrayLike } from "../array.ts";
import { blurred, brightened, contrasted, noisy, type Range } from "../data/corrupt.ts";
import type { AxisField, ReceptiveField } from "../data/records.ts";
import { type Affine, moved, rotation, scaling, translation, warp } from "../data/warp.ts";
import { kindOf } from "../errors.ts";

/** The name of what is done to an image. */
export type TransformName =
  | "vertical translation"
  | "horizontal translation"
  | "scale"
  | "rotation"
  | "blur"
  | "brightness"
  | "contrast"
  | "noise";

/** All of them. */
export const TRANSFORMS: readonly TransformName[] = [
  "vertical translation",
  "horizontal translation",
  "scale",
  "rotation",
  "blur",
  "brightness",
  "contrast",
  "noise",
];

/** What is done to an image `[h, w, c]` (of a signal or a volume `[…, c]`), as strong as a value says. */
export type TransformFunction = (image: NdArray, value: number) => NdArrayLike;

/** What is done to images. */
export interface Transform {
  /** Its name; of a function that one's. */
  readonly name: string;
  /** What its values are, for axes. */
  readonly unit: string;
  /** Where each point goes, if it moves them. */
  readonly map?: (value: number) => Affine;
  /** What a function of the user's does. */
  readonly apply?: TransformFunction;
}

const MAPS: Partial<Record<TransformName, (value: number) => Affine>> = {
  "vertical translation": (value) => translation(value, 0),
  "horizontal translation": (value) => translation(0, value),
  scale: scaling,
  rotation,
};

const UNITS: Readonly<Record<TransformName, string>> = {
  "vertical translation": "pixels down",
  "horizontal translation": "pixels to the right",
  scale: "factor",
  rotation: "degrees anticlockwise",
  blur: "standard deviation in pixels",
  brightness: "added to each value",
  contrast: "factor",
  noise: "standard deviation",
};

/** A transform by its name, or of a function. */
export function transformOf(asked: TransformName | TransformFunction): Transform {
  if (typeof asked === "function") {
    return { name: asked.name || "a function", unit: "value", apply: asked };
  }
  return { name: asked, unit: UNITS[asked], map: MAPS[asked] };
}

/**
 * @param dimensions of what the model looks at: 2 of images
 * @throws {TypeError} if signals, volumes or vectors are to be moved, turned or scaled
 */
export function checkTransform({ name, map }: Transform, dimensions: number): void {
  if (!map || dimensions === 2) return;
  throw new TypeError(
    `The transform ${
      JSON.stringify(name)
    } is one of images [h, w, c], and the model reads none: take "blur", "contrast", ` +
      `"noise" or a function of the numbers and a value.`,
  );
}

/** Numbers evenly spaced, both ends among them, without the dust of binary fractions. */
const spaced = (from: number, to: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) => Number((from + (to - from) * i / (count - 1)).toPrecision(12)));

/** Most translations of a curve: at each pixel where there are no more. */
const MOST_STEPS = 33;

/**
 * The values of a curve: translations up to a quarter of the side, scales of 0.6 to 1.8, a whole turn, a blur up to that of
 * the baseline "blurred", brightness by up to 100, contrast from none to double, noise up to 80.
 *
 * @param sides of the image, `[h, w]`
 * @returns null of a function, for which only its author knows
 */
export function valuesFor({ name, apply }: Transform, sides: readonly number[]): number[] | null {
  if (apply) return null;
  switch (name as TransformName) {
    case "vertical translation":
    case "horizontal translation": {
      const most = Math.max(1, Math.floor(sides[name === "vertical translation" ? 0 : 1] / 4));
      const step = Math.ceil(2 * most / (MOST_STEPS - 1));
      const reach = Math.floor(most / step);
      return spaced(-reach * step, reach * step, 2 * reach + 1);
    }
    case "scale":
      return spaced(0.6, 1.8, 13);
    case "rotation":
      return spaced(0, 360, 25);
    case "blur":
      return spaced(0, Number((Math.max(...sides) / 22).toPrecision(2)), 9);
    case "brightness":
      return spaced(-100, 100, 11);
    case "contrast":
      return spaced(0, 2, 11);
    case "noise":
      return spaced(0, 80, 9);
  }
}

/** How an image is transformed. */
export interface TransformRun {
  /** What stands where no pixel of the image came to, of its shape. */
  readonly baseline: NdArrayLike;
  /** Of noise: of each image another one. */
  readonly seed: readonly number[];
  /** What pixels may be; null where all numbers will do. */
  readonly range: Range;
}

/**
 * An image transformed.
 *
 * @param image `[h, w, c]`; `[length, c]` or `[d, h, w, c]` for what moves nothing
 * @throws {TypeError} if a function returns no array
 * @throws {RangeError} if a function returns an array of another shape, or a scale is 0
 */
export function transformed(image: NdArrayLike, { name, map, apply }: Transform, value: number, run: TransformRun) {
  if (apply) return checkMade(name, apply(NdArray.from(image), value), image);
  if (map) return moveOver(image, map(value), run.baseline);
  if (name === "blur") return blurred(image, value);
  if (name === "brightness") return brightened(image, value, run.range);
  if (name === "contrast") return contrasted(image, value, run.range);
  return noisy(image, value, run.seed, run.range);
}

function checkMade(name: string, made: unknown, { shape }: NdArrayLike): NdArray {
  if (!isNdArray(made)) {
    throw new TypeError(
      `The transform ${name} returns an array { data: Float32Array, shape: [${shape}] }: received ${kindOf(made)}.`,
    );
  }
  if (made.shape.join() !== shape.join()) {
    throw new RangeError(`The transform ${name} keeps the shape [${shape}]: received [${made.shape}].`);
  }
  return ndarray(made.data, made.shape);
}

/** An image warped onto a baseline. */
function moveOver(image: NdArrayLike, map: Affine, baseline: NdArrayLike): NdArray {
  const { data, shape } = warp(image, map, 0);
  const covered = coverOf(map, shape);
  const channels = shape[2];
  return ndarray(data.map((value, i) => value + (1 - covered[Math.floor(i / channels)]) * baseline.data[i]), shape);
}

/** How much of each place what is warped comes to: 1 inside, 0 where nothing came to. */
export function coverOf(map: Affine, [height, width]: readonly number[]): Float32Array {
  return warp(ndarray(new Float32Array(height * width).fill(1), [height, width, 1]), map, 0).data;
}

/**
 * Where the cells of a feature map go when the image is warped, if the map moves along: the same map of points, seen from
 * the cells' middles. Null where a cell's place has no meaning, or all see the same.
 *
 * @param sides of the image, `[h, w]`
 * @param cells of the feature map, `[rows, columns]`
 */
export function mapOfCells(
  map: Affine,
  field: ReceptiveField | null,
  sides: readonly number[],
  cells: readonly number[],
): Affine | null {
  if (!field || field.axes && field.axes.length !== 2) return null;
  const [down, right] = field.axes ?? [field, field];
  const middle = ({ offset, size }: AxisField) => offset + (size - 1) / 2;
  const [first, strides] = [[middle(down), middle(right)], [down.stride, right.stride]];
  if (![...first, ...strides].every(Number.isFinite) || strides.some((stride) => stride <= 0)) return null;
  const { matrix: [a, b, c, d] } = map;
  const ratio = strides[1] / strides[0];
  const matrix = [a, b * ratio, c / ratio, d] as const;
  // Where the middle of the feature map goes.
  const centre = cells.slice(0, 2).map((count) => (count - 1) / 2);
  const seen = centre.map((at, i) => first[i] + strides[i] * at) as [number, number];
  const gone = moved(map, sides, seen);
  const to = gone.map((at, i) => (at - first[i]) / strides[i]);
  return { matrix, shift: [to[0] - centre[0], to[1] - centre[1]] };
}

/** How far a code is from another. */
export interface CodeDistance {
  /** The Euclidean distance, as in the paper. */
  readonly euclidean: number;
  /** The same over the length of the first; null if that is 0 and the other's is not. */
  readonly distance: number | null;
}

/** The distance of `b` from `a`, at all places or at those that are in. */
export function codeDistance(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  isIn?: (index: number) => boolean,
): CodeDistance {
  let [difference, length] = [0, 0];
  for (let i = 0; i < a.length; i++) {
    if (isIn && !isIn(i)) continue;
    difference += (a[i] - b[i]) ** 2;
    length += a[i] ** 2;
  }
  const euclidean = Math.sqrt(difference);
  return { euclidean, distance: difference === 0 ? 0 : length === 0 ? null : euclidean / Math.sqrt(length) };
}

/**
 * How far the map of the transformed image is from the moved map of the untransformed one, over the latter's length, at the
 * cells that it wholly covers. Null where there is no such cell, or the moved map is 0 there.
 *
 * @param still the untransformed image's map, `[rows, columns, c]`
 * @param found the transformed image's
 */
export function distanceAlong(still: NdArrayLike, found: NdArrayLike, map: Affine): number | null {
  const channels = still.shape[2];
  const covered = coverOf(map, still.shape);
  if (!covered.some((share) => share > 1 - 1e-6)) return null;
  const along = warp(still, map, 0);
  return codeDistance(along.data, found.data, (i) => covered[Math.floor(i / channels)] > 1 - 1e-6).distance;
}
