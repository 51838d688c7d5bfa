/**
 * The images that a table lists: a CSV or Parquet file of paths, labels and what else is known of each image.
 *
 * @module
 */

import { basename, dirname, resolve } from "node:path";
import { ImageError } from "../codec.ts";
import { kindOf, messageOf, nearestOf, unknownName } from "../errors.ts";
import { interruptible } from "../interrupt.ts";
import { arrayOf, readOptions, rule, text } from "../options.ts";
import { byCodeUnit, checkLabels, type DatasetRow } from "./dataset.ts";
import { unopened } from "./image.ts";
import {
  checkCache,
  chosenPlaces,
  ImageFilesOptions,
  ImageFolder,
  type PassedOver,
  passedOverNote,
} from "./image_folder.ts";
import { type Cell, ParquetFile } from "./parquet.ts";
import { readCsv, TABLE_NAME } from "./table.ts";

/** Which columns of a table say what of an image, and which images are wanted. */
export class ImageManifestOptions extends ImageFilesOptions {
  /**
   * The column of the images' paths. An address, `https://…`, is fetched when the image is read.
   * @default the one that is called `path`, `file`, `file_name`, `filename`, `filepath`, `image_path` or `image`
   */
  @text()
  image?: string;
  /**
   * The column of the labels. They are text: 7 is the label `"7"`.
   * @default the one that is called `label` or `class`, if there is one
   */
  @text()
  label?: string;
  /**
   * The column of the ids, no two of which are the same.
   * @default the one that is called `id`, if there is one, else the paths
   */
  @text()
  id?: string;
  /**
   * All labels, in the order of a model's outputs. A column of labels that holds whole numbers then holds places in it.
   * @default those that occur, in the order of the alphabet
   */
  @rule(checkLabels)
  labels?: readonly string[];
  /**
   * Only the images of these labels.
   * @default all
   */
  @arrayOf('labels, as ["cat", "dog"]')
  classes?: readonly string[];
  /**
   * The folder that relative paths are meant from.
   * @default the one that the table is in
   */
  @text()
  folder?: string;
}

/** What columns are called, where an option does not say it. */
const NAMES = {
  image: ["path", "file", "file_name", "filename", "filepath", "image_path", "image"],
  label: ["label", "class"],
  id: ["id"],
} as const;

/** The columns of a table, each as values of its rows; those of a CSV file are text. */
type Columns = ReadonlyMap<string, readonly Cell[]>;

const ADDRESS = /^(https?|file):\/\//i;

/** Numbers as programs write them; `007` is a name. */
const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?(e[+-]?\d+)?$/i;

/** A column of text as what it holds: numbers, true and false, or text. Other columns stay as they are. */
function typed(values: readonly Cell[]): readonly Cell[] {
  const all = (kind: RegExp) =>
    values.every((value) => value === null || (typeof value === "string" && kind.test(value)));
  if (all(NUMBER)) return values.map((value) => value === null ? null : Number(value));
  if (all(/^(true|false)$/i)) return values.map((value) => value === null ? null : /^true$/i.test(String(value)));
  return values;
}

/** A value as results and their tables hold it. */
function plain(value: Cell | Date): unknown {
  if (typeof value === "bigint") return Number(value);
  if (value instanceof Date) return value.toISOString();
  return Array.isArray(value) ? value.map(plain) : value ?? null;
}

async function columnsOf(path: string): Promise<Columns> {
  if (!/\.parquet$/i.test(path)) return await readCsv(path);
  const file = (await ParquetFile.open(path))!;
  const columns = new Map<string, readonly Cell[]>();
  for (const name of file.columns) columns.set(name, await Array.fromAsync(file.values(name)));
  return columns;
}

/** The column that an option names, or that is called as such columns are; undefined where there is none. */
function columnFor(
  kind: keyof typeof NAMES,
  wanted: string | undefined,
  columns: Columns,
  quoted: string,
): string | undefined {
  const names = [...columns.keys()];
  if (wanted !== undefined) {
    if (columns.has(wanted)) return wanted;
    throw new RangeError(
      `There is no column ${JSON.stringify(wanted)} in ${quoted}, as ${kind} names it. ${nearestOf(wanted, names)}`,
    );
  }
  const found = NAMES[kind].filter((name) => columns.has(name));
  if (found.length > 1) {
    throw new RangeError(
      `${quoted} has the columns ${
        found.map((name) => JSON.stringify(name)).join(" and ")
      }: say which one is meant, as ` +
        `{ ${kind}: ${JSON.stringify(found[0])} }.`,
    );
  }
  return found[0];
}

/** A path of an image as the table gives it. */
function checkPath(value: Cell, column: string, row: number, quoted: string): string | undefined {
  if (value === null || value === undefined) return undefined;
  if (typeof value === "string") return value;
  throw new TypeError(
    `The column ${JSON.stringify(column)} of ${quoted} should hold paths of images: row ${row} holds ` +
      `${typeof value === "object" ? "an image itself, or another record" : kindOf(value)}. ` +
      `Name the column of the paths by { image: … }, or write the images to files.`,
  );
}

/** The label of a row; undefined where it has none. */
function labelFor(value: Cell, labels: readonly string[] | undefined, row: number, quoted: string): string | undefined {
  if (value === null || value === undefined || value === "") return undefined;
  const label = String(value);
  if (!labels || labels.includes(label)) return label;
  const named = /^\d+$/.test(label) ? labels[Number(label)] : undefined;
  if (named !== undefined) return named;
  throw new RangeError(
    `The label of row ${row} of ${quoted} is ${JSON.stringify(label)}, which is none of the ${labels.length} labels ` +
      `that are given, nor a place among them. ${nearestOf(label, labels)}`,
  );
}

/** A row of a table whose image is to be read. */
interface Listed {
  readonly path: string;
  readonly known: DatasetRow;
}

/** The rows of a table as images; those without a path are passed over. */
function rowsOf(
  columns: Columns,
  names: { image: string; label?: string; id?: string },
  { labels, text, quoted }: { labels?: readonly string[]; text: boolean; quoted: string },
): { listed: Listed[]; passedOver: PassedOver[] } {
  const listed: Listed[] = [];
  const passedOver: PassedOver[] = [];
  const [label, id] = [names.label, names.id].map((name) => name === undefined ? undefined : columns.get(name));
  const others = [...columns].filter(([name]) => ![names.label, names.id, "id", "label", "image"].includes(name))
    .map(([name, values]) => [name, text ? typed(values) : values] as const);
  const seen = new Map<string, number>();
  columns.get(names.image)!.forEach((value, at) => {
    // As people count: the first row after the names is 1.
    const row = at + 1;
    const path = checkPath(value, names.image, row, quoted);
    if (path === undefined) return void passedOver.push({ path: `row ${row}`, reason: "it has no path" });
    const own = String(id?.[at] ?? path);
    if (seen.has(own)) {
      throw new RangeError(
        `Rows ${seen.get(own)} and ${row} of ${quoted} have the same id, ${JSON.stringify(own)}. ` +
          `Name a column whose values differ by { id: … }, or list each image once.`,
      );
    }
    seen.set(own, row);
    const of = labelFor(label?.[at], labels, row, quoted);
    listed.push({
      path,
      known: {
        id: own,
        ...(of !== undefined && { label: of }),
        ...Object.fromEntries(others.map(([name, values]) => [name, plain(values[at])])),
      },
    });
  });
  return { listed, passedOver };
}

/** How many files are looked for at the same time. */
const LOOKED_FOR = 64;

/** Leaves out rows whose files are not there. */
async function present(listed: readonly Listed[], from: string, passedOver: PassedOver[]): Promise<Listed[]> {
  const signal = interruptible();
  const found: Listed[] = [];
  for (let start = 0; start < listed.length; start += LOOKED_FOR) {
    signal.throwIfAborted();
    const part = listed.slice(start, start + LOOKED_FOR);
    const reasons = await Promise.all(part.map(async ({ path }) => {
      if (ADDRESS.test(path)) return undefined;
      const info = await Deno.stat(resolve(from, path)).catch((error: Error) => error);
      if (info instanceof Deno.errors.NotFound) return "there is no such file";
      if (info instanceof Error) return `cannot be opened: ${messageOf(info)}`;
      return info.isDirectory ? "a folder; wanted an image file" : undefined;
    }));
    part.forEach((row, i) => {
      if (reasons[i] === undefined) found.push(row);
      else passedOver.push({ path: row.path, reason: reasons[i] });
    });
  }
  return found;
}

/** @throws {ImageError} if there is no such table, or {RangeError} if it is none by its name */
async function checkTable(path: unknown): Promise<void> {
  if (typeof path !== "string") throw new TypeError(`imageManifest wants a path: received ${kindOf(path)}.`);
  const quoted = JSON.stringify(path);
  const info = await Deno.stat(path).catch((error: Error) => error);
  if (info instanceof Deno.errors.NotFound) throw new ImageError(`There is no file ${quoted}.`);
  if (info instanceof Error) throw unopened(quoted, info);
  if (info.isDirectory) {
    throw new ImageError(`${quoted} is a folder; wanted a table of images. imageFolder(${quoted}) reads its images.`);
  }
  if (!TABLE_NAME.test(path)) {
    throw new RangeError(`A table of images is a file that ends in .csv, .tsv or .parquet: received ${quoted}.`);
  }
}

/**
 * The images that a table lists, a CSV, TSV or Parquet file: a row an image, with a column of paths and, if there is one,
 * of labels. All other columns come through as columns of the data set's items, for `filter` and for your own questions;
 * those of a CSV file as numbers, as true and false or as text, whichever all their values are. (A column called `id`,
 * `label` or `image` that is not taken for these is left out.) The first line of a CSV
 * file names the columns; it is separated by commas, semicolons or tabs.
 *
 * Relative paths are meant from the folder that the table is in. Files that are not there are left out and listed in
 * `summary.passedOver`; those that turn out to be damaged are left out of results, which list them (`skipped`).
 *
 * In a cell it shows how many images each label has, and a sample of them.
 *
 * @param path the table: it ends in `.csv`, `.tsv` or `.parquet`
 * @throws {ImageError} if there is no such file, or none of the images is there
 * @throws {RangeError} if it cannot be read as a table, a column that is asked for is not in it, there is no column of
 * paths or more than one, two rows have the same id, or a label is none of those that are given
 * @throws {TypeError} if a column of paths holds anything else
 *
 * @example
 * ```ts
 * import { imageManifest } from "@convlens/convlens";
 * const photos = await imageManifest("photos.csv"); // its columns: path, label, age
 * const old = photos.filter(({ age }) => Number(age) > 10);
 * console.log(photos.summary.passedOver, old.counts);
 * ```
 */
export async function imageManifest(path: string, options: Partial<ImageManifestOptions> = {}): Promise<ImageFolder> {
  const given = readOptions("imageManifest", ImageManifestOptions, options);
  await checkTable(path);
  const quoted = JSON.stringify(path);
  const columns = await columnsOf(path);
  const [image, label, id] = (["image", "label", "id"] as const)
    .map((kind) => columnFor(kind, given[kind], columns, quoted));
  if (image === undefined) {
    throw new RangeError(
      `${quoted} has no column of images: wanted one that is called ${NAMES.image.join(", ")}, or another one that ` +
        `{ image: "…" } names. Its columns are ${[...columns.keys()].map((name) => JSON.stringify(name)).join(", ")}.`,
    );
  }
  const { limit, seed, cache, labels, classes } = given;
  const from = resolve(given.folder ?? dirname(path));
  const text = !/\.parquet$/i.test(path);
  const { listed, passedOver } = rowsOf(columns, { image, label, id }, { labels, text, quoted });
  const found = [...new Set(listed.flatMap(({ known }) => known.label ?? []))].sort(byCodeUnit);
  const all = labels ?? found;
  const unknown = classes?.find((name) => !all.includes(name));
  if (unknown !== undefined) throw unknownName("label", String(unknown), all, quoted);
  const there = await present(
    listed.filter(({ known }) => !classes || classes.includes(known.label!)),
    from,
    passedOver,
  );
  if (there.length === 0) {
    throw new ImageError(
      `None of the images that ${quoted} lists is there. Relative paths are meant from ${from}; another folder is ` +
        `given by { folder: "…" }.${passedOverNote(passedOver)}`,
    );
  }
  if (cache !== undefined) await checkCache(cache);
  const rows = chosenPlaces(there.length, limit, seed).map((place) => there[place]);
  const left = classes ? all.filter((name) => classes.includes(name)) : all;
  return new ImageFolder({
    name: basename(path),
    from,
    ...(left.length > 0 && { labels: left }),
    rows: rows.map(({ known }) => known),
    pathOf: (place) => ADDRESS.test(rows[place].path) ? new URL(rows[place].path) : rows[place].path,
    passedOver,
    ...(cache !== undefined && { cache: resolve(cache) }),
  });
}
