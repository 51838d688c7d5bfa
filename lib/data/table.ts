/**
 * Rows as a Polars data frame. This is the only file that knows Polars.
 *
 * @module
 */

import { pathOf, replaceWhole } from "../files.ts";

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
