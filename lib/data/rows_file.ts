/**
 * Rows as a Parquet file: plain objects whose keys are the columns.
 *
 * @module
 */

import { type ParquetColumn, ParquetFile, type ParquetValues, ParquetWriter } from "./parquet.ts";

/** So many rows are encoded at once, at most. */
const GROUP = 100_000;

/** Under this name a file says what its rows are about. */
const ABOUT = "convlens.about";

/**
 * Writes rows; the file appears when it is whole.
 *
 * @param columns which keys of the rows, and what they hold; a text may be missing
 * @param about what the file says of its rows, as plain values
 * @param safe whether to wait until it is on the disk, so that it outlives a power cut
 * @throws as the operating system does, as where the disk is full; what stood at the path still does
 */
export async function writeRows<Row extends object>(
  path: string,
  columns: readonly (ParquetColumn & { readonly name: keyof Row })[],
  rows: readonly Row[],
  about: object,
  safe = true,
): Promise<void> {
  const writer = await ParquetWriter.create(path, columns, new Map([[ABOUT, JSON.stringify(about)]]));
  try {
    for (let from = 0; from < rows.length; from += GROUP) {
      const some = rows.slice(from, from + GROUP);
      await writer.write(some.length, columns.map(({ name }) => some.map((row) => row[name]) as ParquetValues));
    }
    await writer.finish(safe);
  } catch (error) {
    await writer.abandon().catch(() => {}); // What went wrong first counts.
    throw error;
  }
}

/**
 * Reads rows that {@linkcode writeRows} wrote.
 *
 * @returns null if there is no such file
 * @throws {RangeError} if it is another file, or is damaged
 */
export async function readRows<Row extends object, About>(path: string): Promise<{ rows: Row[]; about: About } | null> {
  const file = await ParquetFile.open(path);
  if (!file) return null;
  const about = file.notes.get(ABOUT);
  if (about === undefined) throw new RangeError(`${path} was not written by a scan.`);
  const rows = Array.from({ length: file.count }, () => ({}) as Record<string, unknown>);
  for (const column of file.columns) {
    let row = 0;
    for await (const value of file.values(column)) {
      if (value !== null && value !== undefined) rows[row][column] = value;
      row++;
    }
  }
  return { rows: rows as Row[], about: JSON.parse(about) };
}
