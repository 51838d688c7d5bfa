/**
 * What `embeddingGrid` returns: images on a grid in the order of an embedding.
 *
 * @module
 */

import { type Assignment, OPTIMAL } from "../embed/assignment.ts";
import type { Points } from "../embed/points.ts";
import { Figure } from "../figure/figure.ts";
import { gridBlock } from "../figure/grid.ts";
import { idsOf } from "./points.ts";
import { Result } from "./result.ts";

/** One image of the grid: a row of the table. */
export interface GridRow {
  /** The name of the image, or its place. */
  id: string;
  /** What it is, where that is known. */
  label: string | null;
  /** From the top, from 0. */
  row: number;
  /** From the left, from 0. */
  column: number;
}

/** Images on a grid in the order of an embedding; in a cell one picture to zoom into. */
export class EmbeddingGrid extends Result<GridRow> {
  /** How many cells the grid has. */
  readonly shape: readonly [rows: number, columns: number];
  /** The place among the codes of the image in each cell, row by row; −1 where none is. */
  readonly cells: Int32Array;
  /** The mean square of the way from each image's point to its cell, in cells. */
  readonly cost: number;
  /** How the images are arranged. */
  readonly arrangement: "assigned" | "nearest";
  readonly #codes: Points;
  /** How many dimensions the embedding has. */
  readonly #dimensions: number;

  /** @internal */
  constructor(
    codes: Points,
    { rows, columns, cells, cost }: Assignment,
    arrangement: "assigned" | "nearest",
    dimensions: number,
  ) {
    super();
    this.shape = [rows, columns];
    this.cells = cells;
    this.cost = cost;
    this.arrangement = arrangement;
    this.#codes = codes;
    this.#dimensions = dimensions;
  }

  /** The images one by one. */
  get rows(): GridRow[] {
    const { labels } = this.#codes;
    const ids = idsOf(this.#codes);
    return Array.from(this.cells, (image, cell) => ({
      id: ids[image],
      label: labels?.[image] ?? null,
      row: Math.floor(cell / this.shape[1]),
      column: cell % this.shape[1],
    })).filter((_, cell) => this.cells[cell] >= 0);
  }

  /** The images on their grid. */
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
    });
  }
}
