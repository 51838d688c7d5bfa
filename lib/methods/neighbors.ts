/**
 * What a model finds alike: the nearest images of each image, by their codes.
 *
 * @module
 */

import { nearestNeighbors, type NeighborsOptions as SearchOptions, type WorkerOptions } from "../embed/neighbors.ts";
import { checkPoints, type KnownPoints, sameAs } from "../embed/points.ts";
import { type DataFrame, toDataFrame } from "../data/table.ts";
import { checkOptions, unknownName } from "../errors.ts";
import { Figure, Shown } from "../figure/figure.ts";
import { mosaic } from "../figure/mosaic.ts";
import { withProgress } from "../results/progress.ts";

export interface NeighborsOptions extends Pick<SearchOptions, "exact" | "seed" | "onProgress">, WorkerOptions {
  /**
   * How many neighbours.
   * @default 9
   */
  k?: number;
}

/** One neighbour of one point: a row of the table. */
export interface NeighborRow {
  id: string;
  label: string | null;
  /** From 1, the nearest. */
  rank: number;
  neighbor: string;
  neighborLabel: string | null;
  distance: number;
}

export interface NeighborsFigureOptions {
  /**
   * The images whose neighbours are shown, by their ids or places.
   * @default ten, evenly spread
   */
  of?: readonly (string | number)[];
}

/** The nearest neighbours of each point; in a cell some images with theirs beside them. */
export class NearestNeighbors extends Shown {
  readonly k: number;
  /** The place of each neighbour, the nearest first, `[n, k]`. */
  readonly indices: Int32Array;
  /** The Euclidean distance of each, `[n, k]`. */
  readonly distances: Float32Array;
  readonly #points: KnownPoints;

  constructor(points: KnownPoints, k: number, indices: Int32Array, distances: Float32Array) {
    super();
    this.k = k;
    this.indices = indices;
    this.distances = distances;
    this.#points = sameAs(points);
  }

  #idOf = (i: number) => this.#points.ids?.[i] ?? String(i);

  get rows(): NeighborRow[] {
    const { labels } = this.#points;
    return Array.from(this.indices, (neighbor, e) => {
      const i = Math.floor(e / this.k);
      return {
        id: this.#idOf(i),
        label: labels?.[i] ?? null,
        rank: e % this.k + 1,
        neighbor: this.#idOf(neighbor),
        neighborLabel: labels?.[neighbor] ?? null,
        distance: this.distances[e],
      };
    });
  }

  /** The rows as a Polars DataFrame, made when asked for. */
  get table(): Promise<DataFrame> {
    return toDataFrame(this.rows);
  }

  /** How often a neighbour has the same label, of those whose labels are known; NaN where none are. */
  get sameLabel(): number {
    const { labels } = this.#points;
    let [same, known] = [0, 0];
    this.indices.forEach((neighbor, e) => {
      const [a, b] = [labels?.[Math.floor(e / this.k)], labels?.[neighbor]];
      if (a === undefined || b === undefined) return;
      known++;
      if (a === b) same++;
    });
    return known > 0 ? same / known : NaN;
  }

  /** @throws {RangeError} if `of` names no point, or one that does not exist */
  override figure(options: NeighborsFigureOptions = {}): Figure {
    const { of } = checkOptions("figure", options, { of: true });
    const { shape: [count, dimensions], labels, thumbnails, about = "points" } = this.#points;
    if (of?.length === 0) throw new RangeError("of names the points to show, one at least: received none.");
    const shown = of?.map((name) => this.#placeOf(name)) ??
      Array.from({ length: Math.min(10, count) }, (_, i) => Math.floor(i * count / Math.min(10, count)));
    const title = `Nearest neighbours · ${about} · ${count} points of ${dimensions} dimensions`;
    const same = Number.isNaN(this.sameLabel)
      ? ""
      : ` ${(100 * this.sameLabel).toFixed(1)} % of all neighbours have the label of their point.`;
    const caption = `Left each image, then its ${this.k} nearest by Euclidean distance, the nearest first.${same}`;
    const tell = (i: number) => `${this.#idOf(i)}${labels?.[i] === undefined ? "" : ` · ${labels[i]}`}`;
    const places = shown.flatMap((i) => [i, ...this.indices.subarray(i * this.k, (i + 1) * this.k)]);
    const text = [
      title,
      ...shown.map((i) =>
        `  ${tell(i)}: ${Array.from(this.indices.subarray(i * this.k, (i + 1) * this.k), tell).join(", ")}`
      ),
    ].join("\n");
    const distanceOf = (tile: number) => {
      const rank = tile % (this.k + 1);
      if (rank === 0) return "";
      return `\nneighbour ${rank}, distance ${
        this.distances[shown[Math.floor(tile / (this.k + 1))] * this.k + rank - 1].toPrecision(4)
      }`;
    };
    if (!thumbnails) {
      const rows = shown.map((
        i,
      ) => [tell(i), Array.from(this.indices.subarray(i * this.k, (i + 1) * this.k), tell).join(", ")]);
      return new Figure({
        title,
        caption: caption.replace("image", "point"),
        blocks: [{ kind: "table", columns: [{ title: "point" }, { title: "nearest" }], rows }],
        text,
      });
    }
    const { data, side } = thumbnails;
    const { pixels, grid } = mosaic({
      width: side,
      height: side,
      count: places.length,
      columns: this.k + 1,
      paint: (tile) => data.subarray(places[tile] * side * side * 3, (places[tile] + 1) * side * side * 3),
      label: (tile) => `${tell(places[tile])}${distanceOf(tile)}`,
      outlined: (tile) => tile % (this.k + 1) === 0,
      maxHeight: 700,
    });
    return new Figure({
      title,
      caption: `${caption} Outlined: the images asked for.`,
      blocks: [{ kind: "picture", pixels, grid, alt: `${shown.length} images, each with its ${this.k} nearest` }],
      text,
    });
  }

  #placeOf(name: string | number): number {
    const { ids, shape: [count] } = this.#points;
    if (typeof name === "number") {
      if (Number.isInteger(name) && name >= 0 && name < count) return name;
      throw new RangeError(`There are the points 0 to ${count - 1}: asked for ${name}.`);
    }
    const place = ids?.indexOf(name) ?? -1;
    if (place < 0) throw unknownName("point", name, ids ?? [], this.#points.about ?? "these points");
    return place;
  }
}

/**
 * Finds the nearest neighbours of points, by Euclidean distance: for codes, the images that the model finds most alike.
 *
 * @param points `[n, d]`: what `codes` returned, or any array
 * @returns `indices` and `distances` `[n, k]`, the nearest first, and rows with a neighbour each
 * @throws {TypeError} if it is no array of shape [n, d]
 * @throws {RangeError} if k is not a whole number from 1 to n − 1, or a number is not finite
 * @throws {MemoryError} if it does not fit into memory
 *
 * @example
 * ```ts
 * const near = await neighbors(await codes(model, images), { k: 9 });
 * near.rows[0].neighbor;
 * ```
 */
export async function neighbors(
  points: KnownPoints,
  options: NeighborsOptions = {},
): Promise<NearestNeighbors> {
  const { k = 9, exact, seed, threads, signal, onProgress } = checkOptions("neighbors", options, {
    k: true,
    exact: true,
    seed: true,
    threads: true,
    signal: true,
    onProgress: true,
  });
  const [count] = checkPoints(points);
  return await withProgress("Nearest neighbours", count, async (update) => {
    const { indices, distances } = await nearestNeighbors(points, k, {
      exact,
      seed,
      threads,
      signal,
      onProgress: (done, total) => {
        update(done);
        onProgress?.(done, total);
      },
    });
    return new NearestNeighbors(points, k, indices, distances);
  });
}
