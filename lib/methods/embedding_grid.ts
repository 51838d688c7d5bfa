/**
 * The images of a map, side by side on a grid in the order of the map.
 *
 * @module
 */

import { isNdArray, type NdArray } from "../array.ts";
import { type Assignment, assignToGrid, nearestOnGrid, OPTIMAL } from "../embed/assignment.ts";
import { checkPoints, type KnownPoints, sameAs } from "../embed/points.ts";
import { type DataFrame, toDataFrame } from "../data/table.ts";
import { checkOptions, kindOf, unknownName } from "../errors.ts";
import { Figure, Shown } from "../figure/figure.ts";
import { gridBlock } from "../figure/grid.ts";

export interface EmbeddingGridOptions {
  /**
   * How many images stand side by side.
   * @default so many that the grid is square
   */
  columns?: number;
  /**
   * `"assigned"` gives every image a cell of its own, so that all together move as little as possible; `"nearest"` puts
   * into each cell the image nearest to its middle, and leaves out what shares a cell, so that the gaps of the map stay.
   * @default "assigned"
   */
  arrangement?: "assigned" | "nearest";
}

/** One image of the grid: a row of the table. */
export interface GridRow {
  id: string;
  label: string | null;
  /** From the top and from the left, from 0. */
  row: number;
  column: number;
}

/** Images on a grid in the order of a map; in a cell one picture to zoom into. */
export class EmbeddingGrid extends Shown {
  /** How many cells the grid has. */
  readonly shape: readonly [rows: number, columns: number];
  /** The place among the codes of the image in each cell, row by row; −1 where none is. */
  readonly cells: Int32Array;
  /** The mean square of the way from each image's point to its cell, in cells. */
  readonly cost: number;
  readonly arrangement: "assigned" | "nearest";
  readonly #codes: KnownPoints;
  /** How many dimensions the map has. */
  readonly #dimensions: number;

  constructor(
    codes: KnownPoints,
    { rows, columns, cells, cost }: Assignment,
    arrangement: "assigned" | "nearest",
    dimensions: number,
  ) {
    super();
    this.shape = [rows, columns];
    this.cells = cells;
    this.cost = cost;
    this.arrangement = arrangement;
    this.#codes = sameAs(codes);
    this.#dimensions = dimensions;
  }

  get rows(): GridRow[] {
    const { ids, labels } = this.#codes;
    return Array.from(this.cells, (image, cell) => ({
      id: image < 0 ? "" : ids?.[image] ?? String(image),
      label: labels?.[image] ?? null,
      row: Math.floor(cell / this.shape[1]),
      column: cell % this.shape[1],
    })).filter((_, cell) => this.cells[cell] >= 0);
  }

  /** The rows as a Polars DataFrame, made when asked for. */
  get table(): Promise<DataFrame> {
    return toDataFrame(this.rows);
  }

  override figure(): Figure {
    const { ids, labels, thumbnails, about = "images", shape: [count] } = this.#codes;
    const [rows, columns] = this.shape;
    const shown = this.cells.reduce((sum, image) => sum + (image < 0 ? 0 : 1), 0);
    const title = `Grid · ${about} · ${shown} images on ${rows}×${columns} cells`;
    const how = this.arrangement === "nearest"
      ? `Each cell shows the image nearest to its middle: ${shown} of ${count}; the others share a cell with one of them.`
      : `Each image has a cell of its own, as near to its place on the map as all together allow` +
        `${count > OPTIMAL ? ", nearly at best" : ", at best"}: ${
          Math.sqrt(this.cost).toFixed(2)
        } cells away (root mean square).`;
    const flat = this.#dimensions > 2 ? ` Of the map's ${this.#dimensions} dimensions the first two count.` : "";
    return new Figure({
      title,
      caption: `${how}${flat} Neighbours are alike.`,
      blocks: [gridBlock({
        rows,
        columns,
        cells: this.cells,
        thumbnails: thumbnails!,
        words: (i) => [ids?.[i] ?? String(i), labels?.[i] ?? ""].filter(Boolean).join("\n"),
        alt: `${shown} images on a grid of ${rows} rows and ${columns} columns`,
      })],
      text: `${title}\n  ${how}${flat}`,
    });
  }
}

/**
 * Puts the images of a map on a grid, one image a cell: the classic picture of a ConvNet's codes (Karpathy's "t-SNE
 * visualization of CNN codes").
 *
 * The map is stretched to the grid; then the images are assigned to cells with the least sum of squared ways, the best of
 * all assignments up to 2,500 images, and by sorting out overlapping windows of 16 × 16 cells above.
 *
 * @param codes what `codes` returned: its thumbnails are shown
 * @param embedding a map of the same images, as `tsne` returns it, or its points `[n, 2]`; of more dimensions the first
 *   two count, and the figure says so
 * @returns `cells`, `shape`, and rows `{ id, label, row, column }`
 * @throws {TypeError} if the codes hold no thumbnails, or the map is none
 * @throws {RangeError} if the map is not of as many points, or has one dimension only, or `columns` is not a whole
 *   number ≥ 1
 *
 * @example
 * ```ts
 * const images = await codes(model, await cifar10({ split: "test", limit: 2500 }));
 * embeddingGrid(images, await tsne(images), { columns: 50 });
 * ```
 */
export function embeddingGrid(
  codes: KnownPoints,
  embedding: NdArray | { readonly points: NdArray },
  options: EmbeddingGridOptions = {},
): EmbeddingGrid {
  const { columns, arrangement = "assigned" } = checkOptions("embeddingGrid", options, {
    columns: true,
    arrangement: true,
  });
  checkPoints(codes);
  const points = isNdArray(embedding) ? embedding : embedding?.points;
  if (!isNdArray(points)) {
    throw new TypeError(
      `embeddingGrid wants a map, as tsne returns it, or points [n, 2]: received ${kindOf(embedding)}.`,
    );
  }
  if (!codes.thumbnails) {
    throw new TypeError(
      "These codes hold no thumbnails to put on a grid. Ask codes for some: codes(model, dataset, { thumbnail: 32 }).",
    );
  }
  if (points.shape[0] !== codes.shape[0]) {
    throw new RangeError(`There are codes of ${codes.shape[0]} images: received a map of ${points.shape[0]} points.`);
  }
  if (arrangement !== "assigned" && arrangement !== "nearest") {
    throw unknownName("arrangement", arrangement, ["assigned", "nearest"], "embeddingGrid");
  }
  const assignment = arrangement === "nearest" ? nearestOnGrid(points, { columns }) : assignToGrid(points, { columns });
  return new EmbeddingGrid(codes, assignment, arrangement, points.shape[1]);
}
