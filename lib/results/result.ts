/**
 * What every result has: it shows itself, its rows make a table, and several of them make a collection.
 *
 * @module
 */

import type { SkippedImage } from "../data/dataset.ts";
import { type DataFrame, toDataFrame } from "../data/table.ts";
import { displaySymbol, type MimeBundle } from "../figure/cell.ts";
import { Figure, Shown } from "../figure/figure.ts";
import { skippedNote } from "./skipped.ts";

/** A result that is made of rows. */
export abstract class Result<Row extends object = object> extends Shown {
  /** The result as plain objects. */
  abstract readonly rows: readonly Row[];

  /** The rows as a Polars data frame. */
  table(): Promise<DataFrame> {
    return toDataFrame(this.rows);
  }
}

/**
 * The results for several images: an array of them that shows itself as one sheet, a row for each.
 *
 * Its own methods (`map`, `filter`, …) return plain arrays.
 */
export class Collection<Item extends Shown> extends Array<Item> {
  #title = "results";
  #skipped: readonly SkippedImage[] = [];

  /** The images of a data set that could not be read, with the reason. */
  get skipped(): readonly SkippedImage[] {
    return this.#skipped;
  }

  /** What its figure is called. */
  protected get title(): string {
    return this.#title;
  }

  /** @internal */
  static override get [Symbol.species](): ArrayConstructor {
    return Array;
  }

  /** A sheet: one row for each result, under its name; how to read them is said once below, where it is the same for all. */
  figure(): Figure {
    const rows = this.map((item) => item.sheetRow());
    const title = `${this.#title} (${this.length})`;
    const note = skippedNote(this.#skipped);
    const alike = new Set(rows.map(({ caption }) => caption)).size === 1;
    return new Figure({
      title,
      caption: [alike ? rows[0].caption : "", note].filter(Boolean).join(" "),
      blocks: rows.map(({ heading, note, caption, blocks }) => ({
        kind: "row",
        heading,
        note: [note, alike ? "" : caption].filter(Boolean).join(" · "),
        blocks: [...blocks],
      })),
      text: [title, ...this.map((item) => item.figure().text), ...(note ? [note] : [])].join("\n\n"),
    });
  }

  /**
   * The rows of all as a Polars data frame, each with the place of its result in a column `result`.
   *
   * @throws {TypeError} if the results have no rows
   */
  async table(): Promise<DataFrame> {
    const rows = this.flatMap((item, result) => {
      if (!(item instanceof Result)) {
        throw new TypeError(
          `Result ${result} of ${
            JSON.stringify(this.#title)
          } is a ${item.constructor.name}; its kind have no rows, so ` +
            `there is no table of them. Use their own properties.`,
        );
      }
      return item.rows.map((row) => ({ result, ...row }));
    });
    return await toDataFrame(rows);
  }

  /** Shows it here and now, also from the middle of a cell; prints text outside Jupyter. */
  show(): Promise<void> {
    return this.figure().show();
  }

  /** @internal What Jupyter asks the last expression of a cell for. */
  [displaySymbol](): Promise<MimeBundle> {
    return this.figure().bundle();
  }

  /** @internal What `console.log` prints. */
  [Symbol.for("Deno.customInspect")](): string {
    return this.figure().text;
  }

  /** @internal Makes a collection of items under a title. */
  static titled<Item extends Shown, Made extends Collection<Item>>(
    this: new () => Made,
    items: readonly Item[],
    title: string,
    skipped: readonly SkippedImage[],
  ): Made {
    const collection = new this();
    collection.#title = title;
    collection.#skipped = skipped;
    for (const item of items) collection.push(item);
    return collection;
  }
}

/**
 * Makes a collection of results, in the order of what was asked.
 *
 * @param title of the one figure, as `"resnet50 · predictions"`; how many there are is added to it
 * @param skipped images that could not be read
 */
export function collect<Item extends Shown>(
  items: readonly Item[],
  title = "results",
  skipped: readonly SkippedImage[] = [],
): Collection<Item> {
  return Collection.titled<Item, Collection<Item>>(items, title, skipped);
}
