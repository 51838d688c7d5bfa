/**
 * Points in a space: one a row.
 *
 * @module
 */

import { isNdArray, type NdArray, ndarray, type NdArrayLike } from "../array.ts";
import { kindOf } from "../errors.ts";

/**
 * Points `[n, d]`, one a row, with what is known of each. Results that are made of points carry this on. Names that are
 * numbers, as data sets often number their classes, are taken as texts.
 */
export interface Points extends NdArrayLike {
  /** The name of each point. */
  readonly ids?: readonly string[];
  /** What each point is; undefined where that is not known. */
  readonly labels?: readonly (string | undefined)[];
  /** What a model takes each point for. */
  readonly predictions?: readonly string[];
  /** Small RGB pictures, `[n, side, side, 3]`, one byte a value. */
  readonly thumbnails?: { readonly data: Uint8Array; readonly side: number };
  /** What they are, in a few words, for titles. */
  readonly about?: string;
}

/** Points that a result holds: an {@linkcode NdArray}, with what is known of each point. */
export type PointArray = NdArray & Points;

/** What will do where points are asked for: an array `[n, d]`, codes, or a result that has points, as that of `pca`. */
export type PointsLike = Points | { readonly points: Points };

/**
 * Reads the points that a user hands over. This is where they are checked, and nowhere else: what computes on points
 * takes them as they are.
 *
 * @param source points, or a result that has some
 * @param least how many there must be
 * @returns the points, with what is known of them as texts
 * @throws {TypeError} if it is no array of shape [n, d]
 * @throws {RangeError} if there are too few, they have no dimension, a number is not finite, or ids, labels, predictions
 *   or thumbnails are not as many
 */
export function readPoints(source: PointsLike, least = 1): Points {
  const points = isNdArray(source) ? source : source?.points;
  if (!isNdArray(points) || points.shape.length !== 2) {
    const found = isNdArray(points) ? `an array of shape [${points.shape.join(", ")}]` : kindOf(source);
    throw new TypeError(
      "Points are an array of shape [n, d], { data: Float32Array, shape: [n, d] }, one point a row, or a result that has " +
        `points, as those of codes, pca and tsne: received ${found}.`,
    );
  }
  ndarray(points.data, points.shape);
  const [count, dimensions] = points.shape;
  if (count < least || dimensions < 1) {
    throw new RangeError(
      `Wanted at least ${least} point${least === 1 ? "" : "s"} of at least 1 dimension: received [${count}, ` +
        `${dimensions}].`,
    );
  }
  const invalid = points.data.findIndex((value) => !Number.isFinite(value));
  if (invalid >= 0) {
    throw new RangeError(
      `Points must be finite numbers: row ${Math.floor(invalid / dimensions)}, column ${invalid % dimensions} holds ` +
        `${points.data[invalid]}. Leave that row out, or find out why the layer puts it out.`,
    );
  }
  const { ids, labels, predictions, thumbnails } = points;
  for (const [name, values] of Object.entries({ ids, labels, predictions })) {
    if (values && values.length !== count) {
      throw new RangeError(`There are ${count} points: received ${values.length} ${name}.`);
    }
  }
  const bytes = thumbnails && 3 * thumbnails.side ** 2;
  if (bytes && thumbnails.data.length !== count * bytes) {
    throw new RangeError(
      `There are ${count} points: received thumbnails of ${thumbnails.data.length} bytes, and not of ${bytes} for each.`,
    );
  }
  return sameAs(points);
}

/** The mean of each column. */
export function meanOf({ data, shape: [count, dimensions] }: NdArrayLike): Float64Array {
  const mean = new Float64Array(dimensions);
  for (let i = 0, at = 0; i < count; i++) {
    for (let j = 0; j < dimensions; j++, at++) mean[j] += data[at];
  }
  return mean.map((sum) => sum / count);
}

/** The same points, or other coordinates of them, with what is known of them as texts. */
export function sameAs(points: Points, { data, shape }: NdArrayLike = points): PointArray {
  const { ids, labels, predictions, thumbnails, about } = points;
  return Object.assign(ndarray(data, shape), {
    ids: asTexts(ids) as readonly string[],
    labels: asTexts(labels),
    predictions: asTexts(predictions) as readonly string[],
    thumbnails,
    about,
  });
}

/** Cells are not type-checked: there, numbers come too, also in typed arrays. */
function asTexts(values: readonly unknown[] | undefined): readonly (string | undefined)[] | undefined {
  const isText = (value: unknown): value is string | undefined => typeof value === "string" || value === undefined;
  if (!values || Array.isArray(values) && values.every(isText)) return values;
  return Array.from(values, (value) => value === undefined || value === null ? undefined : String(value));
}
