/**
 * What `neighbors` returns: the nearest neighbours of each point.
 *
 * @module
 */

import type { Neighbors } from "../embed/neighbors.ts";
import type { Points } from "../embed/points.ts";
import { unknownName } from "../errors.ts";
import type { Block } from "../figure/blocks.ts";
import { Figure } from "../figure/figure.ts";
import { mosaic } from "../figure/mosaic.ts";
import { percent } from "../format.ts";
import { arrayOf, readOptions } from "../options.ts";
import { Result } from "./result.ts";

/** One neighbour of one point: a row of the table. */
export interface NeighborRow {
  /** The point's id, or its place. */
  id: string;
  /** What the point is, where that is known. */
  label: string | null;
  /** From 1, the nearest. */
  rank: number;
  /** The neighbour's id, or its place. */
  neighbor: string;
  /** What the neighbour is, where that is known. */
  neighborLabel: string | null;
  /** The Euclidean distance between the two. */
  distance: number;
}

/** The options of the figure of neighbours. */
export class NeighborsFigureOptions {
  /**
   * The images whose neighbours are shown, by their ids or places.
   * @default ten, evenly spread
   */
  @arrayOf("points' ids or places")
  of?: readonly (string | number)[];
}

/** The nearest neighbours of each point; in a cell some images with theirs beside them. */
export class NearestNeighbors extends Result<NeighborRow> {
  /** How many neighbours each point has here. */
  readonly k: number;
  /** The place of each neighbour, the nearest first, `[n, k]`. */
  readonly indices: Int32Array;
  /** The Euclidean distance of each, `[n, k]`. */
  readonly distances: Float32Array;
  readonly #points: Points;

  /** @internal */
  constructor(points: Points, { k, indices, distances }: Neighbors) {
    super();
    this.k = k;
    this.indices = indices;
    this.distances = distances;
    this.#points = points;
  }

  #idOf = (i: number) => this.#points.ids?.[i] ?? String(i);

  /** The name and the label of a point. */
  #describe = (i: number) => [this.#idOf(i), this.#points.labels?.[i]].filter((part) => part !== undefined).join(" · ");

  /** The places of a point's neighbours. */
  #near = (i: number) => this.indices.subarray(i * this.k, (i + 1) * this.k);

  /** The neighbours one by one. */
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

  /**
   * Some points, each with its neighbours beside it: as pictures where there are some, else as a table.
   *
   * @throws {RangeError} if `of` names no point, or one that does not exist
   */
  override figure(options: Partial<NeighborsFigureOptions> = {}): Figure {
    const { of } = readOptions("figure", NeighborsFigureOptions, options);
    const { shape: [count, dimensions], thumbnails, about = "points" } = this.#points;
    if (of?.length === 0) throw new RangeError("of names the points to show, one at least: received none.");
    const shown = of?.map((name) => this.#placeOf(name)) ??
      Array.from({ length: Math.min(10, count) }, (_, i) => Math.floor(i * count / Math.min(10, count)));
    const title = `Nearest neighbours · ${about} · ${count} points of ${dimensions} dimensions`;
    const same = Number.isNaN(this.sameLabel)
      ? ""
      : ` ${percent(this.sameLabel)} of all neighbours have the label of their point.`;
    const caption = `Left each image, then its ${this.k} nearest by Euclidean distance, the nearest first.${same}`;
    const rows = shown.map((i) => [this.#describe(i), Array.from(this.#near(i), this.#describe).join(", ")]);
    if (!thumbnails) {
      return new Figure({
        title,
        caption: caption.replace("image", "point"),
        blocks: [{ kind: "table", columns: [{ title: "point" }, { title: "nearest" }], rows }],
      });
    }
    return new Figure({
      title,
      caption: `${caption} Outlined: the images asked for.`,
      blocks: [this.#pictures(shown, thumbnails)],
      lines: rows.map(([point, near]) => `${point}: ${near}`),
    });
  }

  /** Each image, outlined, and its neighbours to the right of it. */
  #pictures(shown: readonly number[], { data, side }: NonNullable<Points["thumbnails"]>): Block {
    const places = shown.flatMap((i) => [i, ...this.#near(i)]);
    const across = this.k + 1;
    const distanceOf = (tile: number) => {
      const rank = tile % across;
      if (rank === 0) return "";
      const distance = this.distances[shown[Math.floor(tile / across)] * this.k + rank - 1];
      return `\nneighbour ${rank}, distance ${distance.toPrecision(4)}`;
    };
    const { pixels, grid } = mosaic({
      width: side,
      height: side,
      count: places.length,
      columns: across,
      paint: (tile) => data.subarray(places[tile] * side * side * 3, (places[tile] + 1) * side * side * 3),
      label: (tile) => `${this.#describe(places[tile])}${distanceOf(tile)}`,
      outlined: (tile) => tile % across === 0,
      maxHeight: 700,
    });
    return { kind: "picture", pixels, grid, alt: `${shown.length} images, each with its ${this.k} nearest` };
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
