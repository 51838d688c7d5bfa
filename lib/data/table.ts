/**
 * Rows as a Polars data frame, and CSV files. This is the only file that knows Polars.
 *
 * @module
 */

import { messageOf } from "../errors.ts";
import { pathOf, replaceWhole } from "../files.ts";
import { byCodeUnit } from "./dataset.ts";

/** The names of files that lists of images are read from. */
export const TABLE_NAME = /\.(csv|tsv|parquet)$/i;

type Polars = typeof import("npm:nodejs-polars@0.25.2").default;

async function polars(): Promise<Polars> {
  const specifier = "npm:nodejs-polars@0.25.2";
  return (await import(specifier) as { default: Polars }).default;
}

/** A Polars data frame. */
export type DataFrame = ReturnType<(typeof import("npm:nodejs-polars@0.25.2"))["default"]["DataFrame"]>;

/**
 * Makes a Polars data frame of rows: plain objects that hold numbers, strings, booleans, null, or lists of these.
 *
 * There is a column for each key that occurs in any row, in the order of first occurrence; a row without it gets null.
 *
 * @throws {TypeError} if a column mixes kinds of values, as numbers and strings
 */
export async function toDataFrame(rows: readonly object[]): Promise<DataFrame> {
  const columns = new Map<string, unknown[]>();
  rows.forEach((row, index) => {
    for (const [key, value] of Object.entries(row)) {
      if (!columns.has(key)) columns.set(key, new Array(rows.length).fill(null));
      columns.get(key)![index] = value ?? null;
    }
  });
  for (const [key, values] of columns) {
    const kinds = new Set(values.filter((value) => value !== null).map((v) => Array.isArray(v) ? "list" : typeof v));
    if (kinds.size > 1) {
      throw new TypeError(
        `A table's column holds values of one kind: column ${JSON.stringify(key)} holds ${[...kinds].join(" and ")}.`,
      );
    }
  }
  const pl = await polars();
  return pl.DataFrame(Object.fromEntries(columns));
}

/**
 * Writes a data frame to a file: `.parquet`, or `.csv`, where lists are written as JSON, and whole numbers without ".0".
 *
 * @param path ends in one of these
 */
export async function saveTable(frame: DataFrame, path: string | URL): Promise<void> {
  const place = path instanceof URL ? pathOf(path) : path;
  if (/\.parquet$/i.test(place)) return await replaceWhole(place, async (to) => void await frame.writeParquet(to));
  const rows = frame.toRecords().map((row) =>
    Object.fromEntries(
      Object.entries(row).map(([key, value]) => [key, Array.isArray(value) ? JSON.stringify(value) : value]),
    )
  );
  const whole = frame.columns.filter((name) => rows.every((row) => row[name] === null || Number.isInteger(row[name])));
  const pl = await polars();
  const flat = (rows.length > 0 ? await toDataFrame(rows) : frame)
    .withColumns(...whole.map((name) => pl.col(name).cast(pl.Int64)));
  await replaceWhole(place, async (to) => void await flat.writeCSV(to));
}

/** Values of a column of a CSV file: null where one is missing. */
export type TextColumn = readonly (string | null)[];

/**
 * Reads a CSV file whose first line names the columns. The separator is the one that this line holds most of: a comma, a
 * semicolon or a tab. Lines that hold nothing are left out.
 *
 * @throws {RangeError} if it cannot be read as one
 */
export async function readCsv(path: string): Promise<ReadonlyMap<string, TextColumn>> {
  const [head] = (await firstText(path)).split(/\r?\n/, 1);
  const [sep] = [",", ";", "\t"].toSorted((a, b) => head.split(b).length - head.split(a).length);
  try {
    const pl = await polars();
    // Kinds of values that are guessed of the first lines fail at later ones: so all are read as text.
    const frame = pl.readCSV(path, { sep, inferSchemaLength: 0 });
    const columns = frame.columns.map((name) => [name, frame.getColumn(name).toArray() as (string | null)[]] as const);
    const kept = Array.from({ length: frame.height }, (_, row) => row)
      .filter((row) => columns.some(([, values]) => values[row] !== null));
    return new Map(columns.map(([name, values]) => [name, kept.map((row) => values[row])]));
  } catch (error) {
    throw new RangeError(
      `${path} cannot be read as a CSV file: ${messageOf(error)}. Its first line names the columns; its text is UTF-8.`,
      { cause: error },
    );
  }
}

/** What a file begins with. */
async function firstText(path: string): Promise<string> {
  using file = await Deno.open(path);
  const bytes = new Uint8Array(1 << 16);
  return new TextDecoder().decode(bytes.subarray(0, await file.read(bytes) ?? 0));
}

/** A Parquet file of ranked rows: `layer`, `unit`, `rank`, `imageId`, `cell`, `index`, and the number that they are ranked by. */
export interface RankedFile {
  readonly path: string;
  /** What is added to its column `index`. */
  readonly offset: number;
}

/**
 * Merges lists: of the rows of all files the first of each list, ranked anew. Larger numbers stand first, equal ones by the
 * image's id, code unit by code unit, then by the cell's place.
 *
 * @param list the number of the list that a row belongs to; lists come in the order of their numbers
 * @param by the column that rows are ranked by
 * @param top how many rows a list has at most
 */
export async function mergeRanked(
  files: readonly RankedFile[],
  { list, by, top }: { list: (layer: string, unit: string | number) => number; by: string; top: number },
): Promise<Record<string, unknown>[]> {
  const pl = await polars();
  let merged: DataFrame | undefined;
  // One by one, so that no more than two are in memory.
  for (const { path, offset } of files) {
    const next = pl.readParquet(path).withColumns(pl.col("index").add(offset).cast(pl.Int32).alias("index"));
    const all: DataFrame = merged ? pl.concat([merged, next]) : next;
    const [layers, units, ids] = ["layer", "unit", "imageId"].map((name) => all.getColumn(name).toArray() as string[]);
    // Polars compares text by its bytes, which is another order than that of code units.
    const places = new Map([...new Set(ids)].sort(byCodeUnit).map((id, place) => [id, place]));
    merged = all
      .withColumns(
        pl.Series("list", layers.map((layer, i) => list(layer, units[i])), pl.Int32),
        pl.Series("image", ids.map((id) => places.get(id)!), pl.Int32),
        // −0 and 0 are equal.
        pl.col(by).add(0).alias("value"),
        ...[0, 1, 2].map((axis) => pl.col("cell").lst.get(axis).alias(`axis ${axis}`)),
      )
      .sort({
        by: ["list", "value", "image", "axis 0", "axis 1", "axis 2"],
        descending: [false, true, false, false, false, false],
      })
      .withColumns(pl.intRange(1, all.height + 1).alias("row"))
      .withColumns(pl.col("row").sub(pl.col("row").min().over("list")).add(1).cast(pl.Int32).alias("rank"))
      .filter(pl.col("rank").ltEq(top))
      .select(...all.columns);
  }
  return merged!.toRecords().map((row) =>
    Object.fromEntries(Object.entries(row).filter(([, value]) => value !== null))
  );
}
