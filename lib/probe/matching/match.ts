/**
 * Where in one image a place of another is found again, by what is known of both.
 *
 * @module
 */

import { throwIfInterrupted } from "../../interrupt.ts";
import type { TF } from "../../runtime/backend.ts";
import { describe, type DescriptorMap, type Point } from "./descriptors.ts";

/** How a match is placed between cells. */
export type Refinement = "interpolate" | "parabola" | "none";

/** Where a point is found again. */
export interface Match {
  readonly match: Point;
  /** The cosine of the descriptors of the point and of the best cell. */
  readonly similarity: number;
}

/** So many points at once: what bounds memory. */
const AT_ONCE = 512;
/** Steps of the search between cells, as shares of a cell: the last is what a match is good to. */
const STEPS = [0.125, 0.0625, 0.03125, 0.015625, 0.0078125];

/** The cosine of each query to each cell, `[queries, cells]`. */
export async function similarities(tf: TF, queries: Float32Array, { data, length }: DescriptorMap) {
  const product = tf.tidy(() =>
    tf.matMul(
      tf.tensor2d(queries, [queries.length / length, length]),
      tf.tensor2d(data, [data.length / length, length]),
      false,
      true,
    )
  );
  try {
    return await product.data() as Float32Array;
  } finally {
    product.dispose();
  }
}

/** The position between places: `at` may lie between two. */
function positionAt(places: Float64Array, at: number): number {
  const first = Math.max(0, Math.min(places.length - 1, Math.floor(at)));
  const second = Math.min(places.length - 1, first + 1);
  return places[first] + (places[second] - places[first]) * (at - first);
}

/** The offset of a parabola's top through three heights, from the middle one, which is the largest. */
function topOf(before: number, middle: number, after: number): number {
  const bend = before - 2 * middle + after;
  return bend < 0 ? Math.max(-0.5, Math.min(0.5, (before - after) / (2 * bend))) : 0;
}

const dot = (a: Float32Array, b: Float32Array): number => {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
};

/**
 * The place in one of the squares between four cells whose interpolated vector is most like the query: from the corner
 * `cells[0]`, `[down, across]` in cells.
 *
 * @param likes the cosines of the query to the four
 * @param gram the dot products of the four with each other
 */
function bestWithin(likes: readonly number[], gram: readonly (readonly number[])[]): [at: Point, cosine: number] {
  const cosineAt = (u: number, v: number) => {
    const weights = [(1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v];
    let [top, size] = [0, 0];
    for (let i = 0; i < 4; i++) {
      top += weights[i] * likes[i];
      for (let j = 0; j < 4; j++) size += weights[i] * weights[j] * gram[i][j];
    }
    return size > 0 ? top / Math.sqrt(size) : 0;
  };
  let best: Point = [0, 0];
  let most = likes[0];
  const look = (u: number, v: number) => {
    if (u < 0 || v < 0 || u > 1 || v > 1) return;
    const cosine = cosineAt(u, v);
    // Rounding must not move a match that stands on its cell.
    if (cosine > most + 1e-7) [most, best] = [cosine, [u, v]];
  };
  for (let i = 0; i <= 4; i++) for (let j = 0; j <= 4; j++) look(i / 4, j / 4);
  for (const step of STEPS) {
    const [u, v] = best;
    for (const down of [-step, 0, step]) for (const across of [-step, 0, step]) look(u + down, v + across);
  }
  return [best, most];
}

/** The place near a cell, in cells, whose interpolated vector is most like the query. */
function interpolated(map: DescriptorMap, likes: Float32Array, cell: number): Point {
  const { data, length, ys, xs } = map;
  const [row, column] = [Math.floor(cell / xs.length), cell % xs.length];
  const vector = (y: number, x: number) => {
    const at = (y * xs.length + x) * length;
    return data.subarray(at, at + length);
  };
  let [best, most]: [Point, number] = [[row, column], -Infinity];
  for (const down of [-1, 1]) {
    for (const across of [-1, 1]) {
      // At the border a square is a line.
      const [y, x] = [row + down, column + across];
      const y1 = y < 0 || y >= ys.length ? row : y;
      const x1 = x < 0 || x >= xs.length ? column : x;
      const cells = [[row, column], [y1, column], [row, x1], [y1, x1]];
      const vectors = cells.map(([y, x]) => vector(y, x));
      const gram = vectors.map(() => new Array<number>(4));
      for (let i = 0; i < 4; i++) {
        for (let j = i; j < 4; j++) gram[i][j] = gram[j][i] = dot(vectors[i], vectors[j]);
      }
      const [[u, v], cosine] = bestWithin(cells.map(([y, x]) => likes[y * xs.length + x]), gram);
      if (cosine > most) [best, most] = [[row + u * (y1 - row), column + v * (x1 - column)], cosine];
    }
  }
  return best;
}

/** The same by a parabola through the cosines of the neighbours, along each side. */
function parabolic({ ys, xs }: DescriptorMap, likes: Float32Array, cell: number): Point {
  const [row, column] = [Math.floor(cell / xs.length), cell % xs.length];
  const at = (y: number, x: number) => likes[y * xs.length + x];
  const down = row > 0 && row < ys.length - 1 ? topOf(at(row - 1, column), at(row, column), at(row + 1, column)) : 0;
  const across = column > 0 && column < xs.length - 1
    ? topOf(at(row, column - 1), at(row, column), at(row, column + 1))
    : 0;
  return [row + down, column + across];
}

/**
 * Finds points of an image in another: the cell whose vector has the largest cosine with that of the point, the first of
 * equal ones, and by `refine` the place near it.
 *
 * @param from what is known of the points' own image; between its places vectors are interpolated
 * @param onLikes is given the cosines of each point to all cells of the other image
 */
export async function findPoints(
  tf: TF,
  from: DescriptorMap,
  to: DescriptorMap,
  points: readonly Point[],
  { refine, onLikes }: { refine: Refinement; onLikes?: (point: number, likes: Float32Array) => void },
): Promise<Match[]> {
  const cells = to.ys.length * to.xs.length;
  const found: Match[] = [];
  for (let start = 0; start < points.length; start += AT_ONCE) {
    throwIfInterrupted();
    const some = points.slice(start, start + AT_ONCE);
    const all = await similarities(tf, describe(from, some), to);
    some.forEach((_, i) => {
      const likes = all.subarray(i * cells, (i + 1) * cells);
      let best = 0;
      for (let cell = 1; cell < cells; cell++) if (likes[cell] > likes[best]) best = cell;
      const place: Point = refine === "interpolate"
        ? interpolated(to, likes, best)
        : refine === "parabola"
        ? parabolic(to, likes, best)
        : [Math.floor(best / to.xs.length), best % to.xs.length];
      found.push({ match: [positionAt(to.ys, place[0]), positionAt(to.xs, place[1])], similarity: likes[best] });
      onLikes?.(start + i, likes);
    });
  }
  return found;
}
