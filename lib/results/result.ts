/**
 * What every result has: it shows itself, its rows make a table, and several of them make a collection.
 *
 * @module
 */

import type { SkippedImage } from "../data/dataset.ts";
import { saveArrays } from "../data/array_file.ts";
import { type DataFrame, saveTable, toDataFrame } from "../data/table.ts";
import { displaySymbol, type MimeBundle } from "../figure/cell.ts";
import { Figure, Shown } from "../figure/figure.ts";
import type { FigureSaveOptions } from "../figure/save.ts";
import { readOptions, whole } from "../options.ts";
import { skippedNote } from "./skipped.ts";

/** What a result's `save` writes by itself; other endings are those of its figure. */
const TABLES = /\.(csv|parquet)$/i;

/** Writes a result to a file, in the form that the path ends in. */
async function save(
  result: { table?(): Promise<DataFrame>; figure(): Figure; arrays(): object },
  kind: string,
  path: string | URL,
  options: Partial<FigureSaveOptions> | undefined,
): Promise<void> {
  const ending = String(path).match(/\.\w+$/)?.[0].toLowerCase() ?? "";
  const isTable = TABLES.test(ending);
  if (!isTable && ending !== ".npz") {
    if (PICTURES.includes(ending)) return await result.figure().save(path, options);
    throw new RangeError(
      `A result is saved as .npz (its arrays), .csv or .parquet (its table), or ${
        PICTURES.join(", ")
      } (its figure): received the path ${JSON.stringify(String(path))}. End it in one of these.`,
    );
  }
  if (options && Object.keys(options).length > 0) {
    throw new TypeError(`save takes options for pictures only: received some for ${JSON.stringify(String(path))}.`);
  }
  if (!isTable) return await saveArrays(path, result.arrays());
  if (!result.table) {
    throw new TypeError(`${kind} has no rows, so there is no table of it. Save its arrays as .npz, or its figure.`);
  }
  await saveTable(await result.table(), path);
}

const PICTURES = [".png", ".svg", ".pdf", ".html"];

/** A result that can be kept in a file. */
export abstract class Savable extends Shown {
  /**
   * Its numbers and names, as they are written to an `.npz`.
   *
   * @internal
   */
  arrays(): object {
    return this;
  }

  /**
   * Writes the result to a file: as `.npz` all its arrays, lists and numbers by their names, which `np.load(path)` and
   * `loadArray(path, { name })` read; as `.csv` or `.parquet` its table, if it has one; as `.png`, `.svg`, `.pdf` or
   * `.html` its figure, which takes options as `figure.save` does. A file that is there already is replaced whole.
   *
   * @throws {RangeError} if the path ends in none of these
   * @throws {TypeError} if it has no table
   *
   * @example
   * ```ts
   * import { loadArray, loadModel, photo, saliency } from "@convlens/convlens";
   * const result = await saliency(await loadModel("cifar-convnet"), await photo("dog"));
   * const folder = await Deno.makeTempDir();
   * await result.save(`${folder}/dog.npz`);
   * console.log(await loadArray(`${folder}/dog.npz`, { name: "map" }));
   * ```
   */
  save(path: string | URL, options?: Partial<FigureSaveOptions>): Promise<void> {
    return save(this, this.constructor.name, path, options);
  }
}

/** A result that is made of rows. */
export abstract class Result<Row extends object = object> extends Savable {
  /** The result as plain objects. */
  abstract readonly rows: readonly Row[];

  /** The rows as a Polars data frame. */
  table(): Promise<DataFrame> {
    return toDataFrame(this.rows);
  }
}

/** How the results for several images are drawn. */
export class CollectionFigureOptions {
  /**
   * At most this many are drawn: the first ones.
   * @default 48
   */
  @whole(1)
  images = 48;
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

  /**
   * A sheet: one row for each result, under its name; how to read them is said once below, where it is the same for all.
   *
   * @throws {TypeError} if an option is unknown
   * @throws {RangeError} if `images` is not a whole number ≥ 1
   */
  figure(options: Partial<CollectionFigureOptions> = {}): Figure {
    const drawn = this.drawn(options);
    const rows = drawn.map((item) => item.sheetRow());
    const title = `${this.#title} (${this.length})`;
    const note = this.note(drawn.length);
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
      text: [title, ...drawn.map((item) => item.figure().text), ...(note ? [note] : [])].join("\n\n"),
    });
  }

  /** The results that are drawn. */
  protected drawn(options: Partial<CollectionFigureOptions>): Item[] {
    return this.slice(0, readOptions("figure", CollectionFigureOptions, options).images);
  }

  /** What the caption says of those that are not drawn, and of images that could not be read. */
  protected note(drawn: number): string {
    const all = this.length;
    const left = drawn < all ? `The first ${drawn} of ${all} are drawn; figure({ images: ${all} }) draws all.` : "";
    return [left, skippedNote(this.#skipped)].filter(Boolean).join(" ");
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

  /**
   * What an `.npz` of all holds.
   *
   * @internal
   */
  arrays(): object {
    return Object.fromEntries(this.map((item, i) => [i, item instanceof Savable ? item.arrays() : item]));
  }

  /** Writes all to one file, as {@linkcode Savable.save} does one; in an `.npz` each under its place, as `"0/map"`. */
  save(path: string | URL, options?: Partial<FigureSaveOptions>): Promise<void> {
    return save(this, this.#title, path, options);
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
