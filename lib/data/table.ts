/**
 * Rows as a Polars data frame, and Parquet files read through it. This is the only file that knows Polars.
 *
 * @module
 */

type Polars = typeof import("npm:nodejs-polars@0.25.2").default;

/** A Polars data frame. */
export type DataFrame = import("npm:nodejs-polars@0.25.2").DataFrame;

/**
 * Makes a Polars data frame of rows: plain objects that hold numbers, strings, booleans, null, or lists of these.
 *
 * A column stands for each key that occurs in any row, in the order of first occurrence; a row without it gets null.
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
  return (await loadPolars()).DataFrame(Object.fromEntries(columns));
}

async function loadPolars(): Promise<Polars> {
  const specifier = "npm:nodejs-polars@0.25.2";
  const { default: pl } = await import(specifier) as { default: Polars };
  return pl;
}

/** A Parquet file, of which rows are read when they are asked for: `count` of them from place `from` on. */
export interface ParquetTable {
  readonly columns: readonly string[];
  readonly count: number;
  /** A column of strings; undefined where one is missing. */
  texts(column: string, from: number, count: number): (string | undefined)[];
  /**
   * A column of byte strings of one length, one behind the other.
   *
   * @throws {RangeError} if they have several lengths, or one is missing
   */
  bytes(column: string, from: number, count: number): { data: Uint8Array; length: number };
  /**
   * A column of vectors of one length, as 32-bit floats one behind the other.
   *
   * @throws {RangeError} if it holds anything else, they have several lengths, or a number is missing
   */
  vectors(column: string, from: number, count: number): { data: Float32Array; length: number };
}

/**
 * Opens a Parquet file.
 *
 * @returns null if there is no such file
 * @throws {RangeError} if it is none that Polars reads
 */
export async function openParquet(path: string): Promise<ParquetTable | null> {
  const info = await Deno.stat(path).catch((error: Error) => error);
  if (info instanceof Deno.errors.NotFound) return null;
  if (info instanceof Error) throw info;
  const pl = await loadPolars();
  const read = (column: string, from: number, count: number) =>
    pl.scanParquet(path).select(column).slice(from, count).collectSync().getColumn(column);
  const lists = (column: string, from: number, count: number, kind: "UInt8" | "Float32") => {
    const found = read(column, from, count);
    // Of bytes this Polars cannot tell the type; a single number it would take for a vector.
    if (kind === "Float32" && !/list|array/i.test(String(found.dtype))) {
      throw new RangeError(
        `The column ${JSON.stringify(column)} of ${path} should hold lists of numbers: it is of type ${found.dtype}.`,
      );
    }
    const series = found.cast(pl.List(pl[kind]));
    const table = pl.DataFrame({ lists: series }).select(pl.col("lists").lst.lengths());
    const [length, ...rest]: (number | null)[] = table.getColumn("lists").toArray();
    const odd = rest.findIndex((other) => other !== length);
    if (!length || odd >= 0) {
      throw new RangeError(
        `The column ${JSON.stringify(column)} of ${path} should hold as many numbers in each row: row ${from} holds ` +
          `${length ?? "none"}${odd < 0 ? "" : `, row ${from + odd + 1} ${rest[odd] ?? "none"}`}.`,
      );
    }
    const numbers = series.explode();
    if (numbers.nullCount() > 0) {
      throw new RangeError(
        `The column ${JSON.stringify(column)} of ${path} should hold numbers only: some are missing.`,
      );
    }
    return { data: numbers.toTypedArray(), length };
  };
  try {
    return {
      columns: pl.scanParquet(path).columns,
      count: pl.scanParquet(path).select(pl.len()).collectSync().toRecords()[0].len as number,
      texts: (column, from, count) =>
        read(column, from, count).cast(pl.Utf8).toArray().map((value: string | null) => value ?? undefined),
      bytes: (column, from, count) => lists(column, from, count, "UInt8"),
      vectors: (column, from, count) => lists(column, from, count, "Float32"),
    };
  } catch (error) {
    throw new RangeError(`${path} cannot be read as a Parquet file: ${(error as Error).message.split("\n")[0]}.`, {
      cause: error,
    });
  }
}
