/**
 * Principal components.
 *
 * @module
 */

import { ndarray, type NdArrayLike } from "../array.ts";
import { throwIfInterrupted } from "../interrupt.ts";
import { eigenSymmetric } from "./eigen.ts";
import { normalStream } from "../random.ts";
import { meanOf } from "./points.ts";

/** Points in the coordinates of their principal components. */
export interface Principal {
  /** `[n, components]`, around 0. */
  readonly points: NdArrayLike;
  /** The directions, of length 1, `[components, d]`. The number that is largest by size in each is positive. */
  readonly components: NdArrayLike;
  /** What was taken off each column first, `[d]`. */
  readonly mean: NdArrayLike;
  /** The same in 64 bits: far from 0, the digits that 32 bits lose are as large as the differences of points. */
  readonly centre: Float64Array;
  /** The variance along each component (with n − 1). */
  readonly explainedVariance: readonly number[];
  /** Its share of the whole variance; 0 where there is none. */
  readonly explainedVarianceRatio: readonly number[];
}

/** Up to this side a matrix's eigenvectors are computed in full: the second where more than a few are wanted. */
const EXACT = 512;
const EXACT_FOR_MANY = 1024;
const FEW = 16;
/** Directions beside those wanted, and rounds, of the randomised method. */
const SPARE = 10;
const ROUNDS = 4;

/**
 * Finds the directions in which points differ most.
 *
 * Exact (to rounding) where the points or their dimensions are at most 512, or 1024 if more than 16 components are
 * wanted; otherwise by the randomised method of Halko, Martinsson and Tropp 2011, "Finding structure with randomness",
 * with 4 power iterations.
 *
 * @param points `[n, d]`, 2 at least
 * @param options.components how many, from 1 to min(n, d) @default 2
 * @param options.seed of the randomised method, which large arrays take @default 0
 * @throws {RangeError} if there are fewer components
 */
export function principalComponents(
  points: NdArrayLike,
  { components = 2, seed = 0 }: { components?: number; seed?: number } = {},
): Principal {
  const [count, dimensions] = points.shape;
  const most = Math.min(count, dimensions);
  if (components > most) {
    throw new RangeError(
      `${count} points of ${dimensions} dimensions have 1 to ${most} components: received ${components}.`,
    );
  }
  const mean = meanOf(points);
  const centred = new Float64Array(count * dimensions);
  let total = 0;
  for (let i = 0, at = 0; i < count; i++) {
    for (let j = 0; j < dimensions; j++, at++) {
      centred[at] = points.data[at] - mean[j];
      total += centred[at] ** 2;
    }
  }
  const { values, vectors } = most <= (components > FEW ? EXACT_FOR_MANY : EXACT)
    ? dimensions <= count ? byColumns(centred, count, dimensions) : byRows(centred, count, dimensions, components)
    : randomised(centred, count, dimensions, components, seed);

  const directions = new Float32Array(components * dimensions);
  for (let c = 0; c < components; c++) {
    const vector = vectors.subarray(c * dimensions, (c + 1) * dimensions);
    const largest = vector.reduce((a, b) => Math.abs(b) > Math.abs(a) ? b : a, 0);
    for (let j = 0; j < dimensions; j++) directions[c * dimensions + j] = largest < 0 ? -vector[j] : vector[j];
  }
  const projected = new Float32Array(count * components);
  const point = pointsOf(centred, count, dimensions);
  for (let i = 0; i < count; i += 4) {
    const [p, q, r, s] = [point(i), point(i + 1), point(i + 2), point(i + 3)];
    for (let c = 0; c < components; c++) {
      let [sp, sq, sr, ss] = [0, 0, 0, 0];
      for (let j = 0, at = c * dimensions; j < dimensions; j++, at++) {
        const value = directions[at];
        sp += p[j] * value;
        sq += q[j] * value;
        sr += r[j] * value;
        ss += s[j] * value;
      }
      // What is beyond the last point is not kept.
      projected[i * components + c] = sp;
      projected[(i + 1) * components + c] = sq;
      projected[(i + 2) * components + c] = sr;
      projected[(i + 3) * components + c] = ss;
    }
  }
  const kept = Array.from(values.subarray(0, components), (value) => Math.max(0, value));
  return {
    points: ndarray(projected, [count, components]),
    components: ndarray(directions, [components, dimensions]),
    mean: ndarray(Float32Array.from(mean), [dimensions]),
    centre: mean,
    explainedVariance: kept.map((value) => value / (count - 1)),
    explainedVarianceRatio: kept.map((value) => total > 0 ? value / total : 0),
  };
}

/**
 * Where other points of the same space lie along principal components.
 *
 * @param points `[m, d]`
 * @returns `[m, components]`
 * @throws {RangeError} if the points have other dimensions
 */
export function projectOn(
  { components, centre }: Pick<Principal, "components" | "centre">,
  points: NdArrayLike,
): NdArrayLike {
  const [kept, wanted] = components.shape;
  const [count, dimensions] = points.shape;
  if (dimensions !== wanted) {
    throw new RangeError(
      `The principal components are those of points of ${wanted} dimensions: received points of ${dimensions}.`,
    );
  }
  const projected = new Float32Array(count * kept);
  const centred = new Float64Array(dimensions);
  for (let i = 0; i < count; i++) {
    for (let j = 0; j < dimensions; j++) centred[j] = points.data[i * dimensions + j] - centre[j];
    for (let c = 0, at = 0; c < kept; c++) {
      let sum = 0;
      for (let j = 0; j < dimensions; j++, at++) sum += centred[j] * components.data[at];
      projected[i * kept + c] = sum;
    }
  }
  return ndarray(projected, [count, kept]);
}

interface Directions {
  /** The sum of squares along each direction. */
  values: Float64Array;
  /** Directions as rows. */
  vectors: Float64Array;
}

/** From the products of all columns with one another. */
function byColumns(x: Float64Array, count: number, dimensions: number): Directions {
  const products = new Float64Array(dimensions * dimensions);
  const point = pointsOf(x, count, dimensions);
  for (let i = 0; i < count; i += 4) {
    throwIfInterrupted();
    const [p, q, r, s] = [point(i), point(i + 1), point(i + 2), point(i + 3)];
    for (let a = 0; a < dimensions; a++) {
      const [pa, qa, ra, sa] = [p[a], q[a], r[a], s[a]];
      const row = products.subarray(a * dimensions, (a + 1) * dimensions);
      for (let b = a; b < dimensions; b++) row[b] += pa * p[b] + qa * q[b] + ra * r[b] + sa * s[b];
    }
  }
  mirror(products, dimensions);
  return eigenSymmetric(products, dimensions);
}

/** From the products of all rows with one another: cheaper where there are more columns. */
function byRows(x: Float64Array, count: number, dimensions: number, components: number): Directions {
  const products = new Float64Array(count * count);
  for (let a = 0; a < count; a++) {
    throwIfInterrupted();
    for (let b = a; b < count; b++) {
      let sum = 0;
      for (let j = 0; j < dimensions; j++) sum += x[a * dimensions + j] * x[b * dimensions + j];
      products[a * count + b] = sum;
    }
  }
  mirror(products, count);
  const { values, vectors } = eigenSymmetric(products, count);
  const directions = new Float64Array(components * dimensions);
  for (let c = 0; c < components; c++) {
    for (let i = 0; i < count; i++) {
      const weight = vectors[c * count + i];
      for (let j = 0; j < dimensions; j++) directions[c * dimensions + j] += weight * x[i * dimensions + j];
    }
  }
  // Directions without variance come out of rounding alone, and are replaced by what is orthogonal to the others.
  orthonormalise(directions, components, dimensions);
  return { values, vectors: directions };
}

function mirror(matrix: Float64Array, n: number): void {
  for (let a = 0; a < n; a++) {
    for (let b = 0; b < a; b++) matrix[a * n + b] = matrix[b * n + a];
  }
}

/**
 * Makes rows orthogonal and of length 1, in order (Gram and Schmidt, twice over for the sake of rounding). A row that
 * depends on those before it is replaced by the first axis that does not.
 */
function orthonormalise(rows: Float64Array, count: number, length: number): void {
  for (let r = 0, axis = 0; r < count; r++) {
    throwIfInterrupted();
    const row = rows.subarray(r * length, (r + 1) * length);
    while (!takeOff(row, rows, r)) {
      row.fill(0);
      row[axis++] = 1;
    }
  }
}

/** Makes a row orthogonal to the first `count` rows. False if nothing is left of it. */
function takeOff(row: Float64Array, rows: Float64Array, count: number): boolean {
  for (let round = 0; round < 2; round++) {
    const before = lengthOf(row);
    for (let s = 0; s < count; s++) {
      const other = rows.subarray(s * row.length, (s + 1) * row.length);
      let dot = 0;
      for (let j = 0; j < row.length; j++) dot += row[j] * other[j];
      for (let j = 0; j < row.length; j++) row[j] -= dot * other[j];
    }
    const size = lengthOf(row);
    if (size <= 1e-8 * before || size === 0) return false;
    for (let j = 0; j < row.length; j++) row[j] /= size;
  }
  return true;
}

/** The length of a vector. */
function lengthOf(vector: Float64Array): number {
  let sum = 0;
  for (const value of vector) sum += value * value;
  return Math.sqrt(sum);
}

function randomised(x: Float64Array, count: number, dimensions: number, components: number, seed: number): Directions {
  const width = Math.min(components + SPARE, count, dimensions);
  const normal = normalStream(seed);
  const directions = Float64Array.from({ length: width * dimensions }, normal);
  orthonormalise(directions, width, dimensions);
  for (let round = 0; round < ROUNDS; round++) {
    applySquare(x, count, dimensions, directions, width);
    orthonormalise(directions, width, dimensions);
  }
  // Inside the space that was found, the problem is small.
  const image = directions.slice();
  applySquare(x, count, dimensions, image, width);
  const small = new Float64Array(width * width);
  for (let a = 0; a < width; a++) {
    for (let b = 0; b < width; b++) {
      for (let j = 0; j < dimensions; j++) {
        small[a * width + b] += directions[a * dimensions + j] * image[b * dimensions + j];
      }
    }
  }
  const { values, vectors } = eigenSymmetric(small, width);
  const turned = new Float64Array(width * dimensions);
  for (let a = 0; a < width; a++) {
    for (let b = 0; b < width; b++) {
      const weight = vectors[a * width + b];
      for (let j = 0; j < dimensions; j++) turned[a * dimensions + j] += weight * directions[b * dimensions + j];
    }
  }
  return { values, vectors: turned };
}

/** Row by row, and zeros behind the last, so that four rows may always be taken together. */
function pointsOf(x: Float64Array, count: number, dimensions: number): (i: number) => Float64Array {
  const zeros = new Float64Array(dimensions);
  return (i) => i < count ? x.subarray(i * dimensions, (i + 1) * dimensions) : zeros;
}

/** Multiplies rows by xᵀx, four points at once: one sum after the other would wait for itself. */
function applySquare(x: Float64Array, count: number, dimensions: number, rows: Float64Array, width: number): void {
  const result = new Float64Array(rows.length);
  const point = pointsOf(x, count, dimensions);
  for (let i = 0; i < count; i += 4) {
    throwIfInterrupted();
    const [a, b, c, d] = [point(i), point(i + 1), point(i + 2), point(i + 3)];
    for (let r = 0; r < width; r++) {
      const row = rows.subarray(r * dimensions, (r + 1) * dimensions);
      let [p, q, s, t] = [0, 0, 0, 0];
      for (let j = 0; j < dimensions; j++) {
        const value = row[j];
        p += a[j] * value;
        q += b[j] * value;
        s += c[j] * value;
        t += d[j] * value;
      }
      const out = result.subarray(r * dimensions, (r + 1) * dimensions);
      for (let j = 0; j < dimensions; j++) out[j] += p * a[j] + q * b[j] + s * c[j] + t * d[j];
    }
  }
  rows.set(result);
}
