/**
 * Maps from points to points of which some pairs are known: an affine one that most pairs agree on, and a smooth one.
 *
 * @module
 */

import { randomStream } from "../random.ts";

/** A point, `[y, x]`. */
export type PlanePoint = readonly [y: number, x: number];

/** Where a map takes a point. */
export type PointMap = (point: PlanePoint) => [y: number, x: number];

/** Solves `matrix · x = right` for several right sides by elimination with pivots; null where there is no one solution. */
function solve(matrix: Float64Array[], right: Float64Array[]): Float64Array[] | null {
  const n = matrix.length;
  const rows = matrix.map((row, i) => Float64Array.from([...row, ...right[i]]));
  const width = n + right[0].length;
  for (let i = 0; i < n; i++) {
    let pivot = i;
    for (let k = i + 1; k < n; k++) if (Math.abs(rows[k][i]) > Math.abs(rows[pivot][i])) pivot = k;
    if (!(Math.abs(rows[pivot][i]) > 1e-10)) return null;
    [rows[i], rows[pivot]] = [rows[pivot], rows[i]];
    for (let k = i + 1; k < n; k++) {
      const share = rows[k][i] / rows[i][i];
      for (let j = i; j < width; j++) rows[k][j] -= share * rows[i][j];
    }
  }
  for (let i = n - 1; i >= 0; i--) {
    for (let j = n; j < width; j++) {
      for (let k = i + 1; k < n; k++) rows[i][j] -= rows[i][k] * rows[k][j];
      rows[i][j] /= rows[i][i];
    }
  }
  return rows.map((row) => row.slice(n));
}

/** The affine map of least squares through pairs; null where the points lie on a line. */
export function affineThrough(from: readonly PlanePoint[], to: readonly PlanePoint[]): PointMap | null {
  const normal = [0, 1, 2].map(() => new Float64Array(3));
  const right = [0, 1, 2].map(() => new Float64Array(2));
  // About the mean, so that large coordinates cost no digits.
  const mean = [0, 1].map((k) => from.reduce((sum, point) => sum + point[k], 0) / from.length);
  from.forEach(([y, x], i) => {
    const row = [y - mean[0], x - mean[1], 1];
    for (let a = 0; a < 3; a++) {
      for (let b = 0; b < 3; b++) normal[a][b] += row[a] * row[b];
      for (let k = 0; k < 2; k++) right[a][k] += row[a] * to[i][k];
    }
  });
  const found = solve(normal, right);
  if (!found) return null;
  const [a, b, c] = found;
  return ([y, x]) => [0, 1].map((k) => a[k] * (y - mean[0]) + b[k] * (x - mean[1]) + c[k]) as [number, number];
}

const distance = (a: PlanePoint, b: PlanePoint) => Math.hypot(a[0] - b[0], a[1] - b[1]);

/** How many triples of pairs are tried. */
const TRIALS = 500;

/**
 * The affine map that most pairs agree on (RANSAC, Fischler and Bolles 1981): of maps through three pairs drawn at random the
 * one that takes most points to within `tolerance` of where they belong, fitted to all of these.
 *
 * @returns the map and the places of the pairs that agree; null where no map takes four points there
 */
export function robustAffine(
  from: readonly PlanePoint[],
  to: readonly PlanePoint[],
  { tolerance, seed }: { tolerance: number; seed: number },
): { map: PointMap; inliers: number[] } | null {
  if (from.length < 4) return null;
  const random = randomStream(seed);
  const all = from.map((_, i) => i);
  const agreeing = (map: PointMap) => all.filter((i) => distance(map(from[i]), to[i]) <= tolerance);
  const through = (places: readonly number[]) => affineThrough(places.map((i) => from[i]), places.map((i) => to[i]));
  let best: number[] = [];
  for (let trial = 0; trial < TRIALS; trial++) {
    const three = new Set<number>();
    while (three.size < 3) three.add(Math.floor(random() * from.length));
    const map = through([...three]);
    const inliers = map && isSane(map) ? agreeing(map) : [];
    if (inliers.length > best.length) best = inliers;
  }
  for (let round = 0; round < 3 && best.length >= 4; round++) {
    const map = through(best);
    const inliers = map ? agreeing(map) : [];
    if (inliers.length < best.length) break;
    best = inliers;
  }
  const map = best.length >= 4 ? through(best) : null;
  return map && isSane(map) ? { map, inliers: best } : null;
}

/** How much a map may enlarge or shrink along any direction: one that does more has collapsed onto a few matches. */
const MOST_SCALE = 2;
/** The cosine of the most that it may turn by, 45 degrees. */
const LEAST_COSINE = Math.SQRT1_2;

/** Whether a map is no mirror, turns little, and neither enlarges nor shrinks beyond all measure. */
function isSane(map: PointMap): boolean {
  const [origin, down, across] = [map([0, 0]), map([1, 0]), map([0, 1])];
  const [a, c] = [down[0] - origin[0], down[1] - origin[1]];
  const [b, d] = [across[0] - origin[0], across[1] - origin[1]];
  const determinant = a * d - b * c;
  if (!(determinant > 0)) return false;
  // The turn nearest to the map is that of [a + d, c − b].
  if (a + d < LEAST_COSINE * Math.hypot(a + d, c - b)) return false;
  // The singular values of [a b; c d].
  const sum = (a * a + b * b + c * c + d * d) / 2;
  const rest = Math.sqrt(Math.max(0, sum * sum - determinant * determinant));
  const [largest, smallest] = [Math.sqrt(sum + rest), Math.sqrt(Math.max(0, sum - rest))];
  return largest <= MOST_SCALE && smallest >= 1 / MOST_SCALE;
}

const kernel = (r: number) => r > 0 ? r * r * Math.log(r) : 0;

/**
 * A thin-plate spline (Bookstein 1989): of all maps that take points to within a smoothed distance of where they belong the
 * one that bends least.
 *
 * @param smoothing 0 goes through every pair; more lets it bend less
 * @returns null where the points lie on a line, or two are the same and `smoothing` is 0
 */
export function thinPlate(
  from: readonly PlanePoint[],
  to: readonly PlanePoint[],
  smoothing: number,
): PointMap | null {
  const n = from.length;
  const matrix = Array.from({ length: n + 3 }, () => new Float64Array(n + 3));
  const right = Array.from({ length: n + 3 }, (_, i) => Float64Array.from(i < n ? to[i] : [0, 0]));
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) matrix[i][j] = kernel(distance(from[i], from[j])) + (i === j ? smoothing : 0);
    [1, from[i][0], from[i][1]].forEach((value, k) => matrix[i][n + k] = matrix[n + k][i] = value);
  }
  const found = solve(matrix, right);
  if (!found) return null;
  return (point) => {
    const weights = from.map((other) => kernel(distance(point, other)));
    return [0, 1].map((k) =>
      found[n][k] + found[n + 1][k] * point[0] + found[n + 2][k] * point[1] +
      weights.reduce((sum, weight, i) => sum + weight * found[i][k], 0)
    ) as [number, number];
  };
}
