/**
 * Rows as a Polars data frame. This is the only file that knows Polars.
 *
 * @module
 */

type Polars = typeof import("npm:nodejs-polars@0.25.2").default;

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
  const specifier = "npm:nodejs-polars@0.25.2";
  const { default: pl } = await import(specifier) as { default: Polars };
  return pl.DataFrame(Object.fromEntries(columns));
}
