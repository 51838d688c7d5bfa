/**
 * What every result has: it shows itself, its rows make a table, and several of them make a collection.
 *
 * @module
 */

import { type DataFrame, toDataFrame } from "../data/table.ts";
import { displaySymbol, type MimeBundle } from "../figure/cell.ts";
import { Figure, Shown } from "../figure/figure.ts";

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
 * The results for several images: an array of them that shows itself as one figure.
 *
 * Its own methods (`map`, `filter`, …) return plain arrays.
 */
export class Collection<Item extends Shown> extends Array<Item> {
  /** @internal */
  static override get [Symbol.species](): ArrayConstructor {
    return Array;
  }

  /** All figures in one, each under its own title. */
  figure(): Figure {
    const figures = this.map((item) => item.figure());
    return new Figure({
      title: `${this.length} ${this.length === 1 ? "result" : "results"}`,
      blocks: figures.map(({ title, caption, blocks }) => ({
        kind: "row",
        heading: title,
        note: caption,
        blocks: [...blocks],
      })),
      text: figures.map(({ text }) => text).join("\n\n"),
    });
  }

  /** The rows of all, each with the place of its result in a column `result`; only where the results have rows. */
  table(): Promise<DataFrame> {
    const rows = this.flatMap((item, result) => {
      if (!(item instanceof Result)) throw new TypeError("These results have no rows, so there is no table of them.");
      return item.rows.map((row) => ({ result, ...row }));
    });
    return toDataFrame(rows);
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
}

/** Makes a collection of results, in the order of what was asked. */
export function collect<Item extends Shown>(items: readonly Item[]): Collection<Item> {
  const collection = new Collection<Item>();
  collection.push(...items);
  return collection;
}
