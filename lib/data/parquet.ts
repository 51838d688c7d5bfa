/**
 * Parquet files, written and read one group of rows after the other, so that they may be larger than memory. This is the
 * only file that knows hyparquet and hyparquet-writer.
 *
 * A file that is written here holds its own SHA-256 behind Parquet's first four bytes, where no reader of Parquet looks,
 * and says so in its metadata; damage of any byte is found when it is opened. Files of other programs have none.
 *
 * @module
 */

import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from "node:zlib";
import { Checksum } from "../checksum.ts";
import { kindOf, messageOf } from "../errors.ts";
import { partialOf, releasePartial } from "../files.ts";

type Writing = typeof import("npm:hyparquet-writer@0.17.0");
type Hyparquet = typeof import("npm:hyparquet@1.31.5");
type Schema = ConstructorParameters<Writing["ParquetWriter"]>[0]["schema"];
type Metadata = Awaited<ReturnType<Hyparquet["parquetMetadataAsync"]>>;

/**
 * A column: strings, some of which may be missing; 64-bit floats; 32-bit whole numbers, or lists of them; byte strings, or
 * vectors of 32-bit floats, all of one length.
 */
export interface ParquetColumn {
  readonly name: string;
  readonly kind: "text" | "number" | "whole" | "wholes" | "bytes" | "vectors";
}

/** Some rows of a column: one value a row; or what each holds one behind the other, `length` numbers a row. */
export type ParquetValues =
  | readonly (string | undefined)[]
  | readonly number[]
  | readonly (readonly number[])[]
  | { readonly data: Uint8Array | Float32Array; readonly length: number };

const listOf = (name: string, type: "FLOAT" | "INT32"): Schema => [
  { name, repetition_type: "REQUIRED", num_children: 1, converted_type: "LIST" },
  { name: "list", repetition_type: "REPEATED", num_children: 1 },
  { name: "element", type, repetition_type: "REQUIRED" },
];

/** What the file says of a column's shape. */
function schemaOf({ name, kind }: ParquetColumn): Schema {
  switch (kind) {
    case "text":
      return [{ name, type: "BYTE_ARRAY", converted_type: "UTF8", repetition_type: "OPTIONAL" }];
    case "bytes":
      return [{ name, type: "BYTE_ARRAY", repetition_type: "REQUIRED" }];
    case "number":
      return [{ name, type: "DOUBLE", repetition_type: "REQUIRED" }];
    case "whole":
      return [{ name, type: "INT32", repetition_type: "REQUIRED" }];
    case "wholes":
      return listOf(name, "INT32");
    case "vectors":
      return listOf(name, "FLOAT");
  }
}

/** The values as hyparquet-writer takes them, one a row. */
function rowsOf(values: ParquetValues): (string | null | number | Uint8Array | readonly number[])[] {
  if (!("data" in values)) return values.map((value) => value ?? null);
  const { data, length } = values;
  return Array.from({ length: data.length / length }, (_, i) => {
    const row = data.subarray(i * length, (i + 1) * length);
    return row instanceof Uint8Array ? row : Array.from(row);
  });
}

const PARQUET = "PAR1";
/** What comes before the checksum, and the placeholder of the checksum while it is computed. */
const SUM_MARK = "\nsha256 of this file with zeros here: ";
const NO_SUM = "0".repeat(64);
const SUM_AT = PARQUET.length + SUM_MARK.length;
const SUM_END = SUM_AT + NO_SUM.length;
/** What the metadata say of a file that has a checksum. */
const SUM_KEY = { key: "convlens.checksum", value: "sha256" };

const utf8 = (text: string) => new TextEncoder().encode(text);

/**
 * A Parquet file that is being written. Until it is finished it has another name, in the same folder, so that a
 * reader finds the whole file or none.
 */
export class ParquetWriter {
  readonly #path: string;
  readonly #partial: string;
  readonly #columns: readonly ParquetColumn[];
  readonly #file: Deno.FsFile;
  readonly #bytes: InstanceType<Writing["ByteWriter"]>;
  readonly #writer: InstanceType<Writing["ParquetWriter"]>;
  readonly #sum = new Checksum();
  #open = true;

  private constructor(
    { ParquetWriter: Writer, ByteWriter }: Writing,
    path: string,
    partial: string,
    columns: readonly ParquetColumn[],
    notes: ReadonlyMap<string, string>,
    file: Deno.FsFile,
  ) {
    this.#path = path;
    this.#partial = partial;
    this.#columns = columns;
    this.#file = file;
    this.#bytes = new ByteWriter();
    this.#writer = new Writer({
      writer: this.#bytes,
      schema: [{ name: "schema", num_children: columns.length }, ...columns.flatMap(schemaOf)],
      codec: "UNCOMPRESSED",
      statistics: false,
      createdBy: "convlens",
      kvMetadata: [SUM_KEY, ...notes.entries().map(([key, value]) => ({ key, value }))],
    });
    this.#bytes.appendBytes(utf8(SUM_MARK + NO_SUM));
  }

  /**
   * Begins a file. What writers that were killed have left of it is removed.
   *
   * @param notes what the file says of itself, by name
   * @throws {Deno.errors.NotFound} if its folder does not exist
   */
  static async create(
    path: string,
    columns: readonly ParquetColumn[],
    notes: ReadonlyMap<string, string> = new Map(),
  ): Promise<ParquetWriter> {
    const specifier = "npm:hyparquet-writer@0.17.0";
    const library = await import(specifier) as Writing;
    const partial = await partialOf(path);
    const file = await Deno.open(partial, { write: true, createNew: true });
    return new ParquetWriter(library, path, partial, columns, notes, file);
  }

  /**
   * Writes a group of rows, best a few MB of vectors: for a moment these take many times their memory.
   *
   * @param values of each column, in the order of the columns
   */
  async write(rows: number, values: readonly ParquetValues[]): Promise<void> {
    const columnData = this.#columns.map(({ name, kind }, i) => ({
      name,
      data: rowsOf(values[i]),
      // A look for numbers that occur often would cost more than it saves.
      ...(kind !== "text" && { encoding: "PLAIN" as const }),
    }));
    await this.#writer.write({ columnData, rowGroupSize: rows, pageSize: 0 });
    await this.#flush();
  }

  /**
   * Writes what all readers look for first, and puts the file into its place; what stood there is replaced.
   *
   * @param safe whether to wait until it is on the disk, so that it outlives a power cut
   */
  async finish(safe = true): Promise<void> {
    await this.#writer.finish();
    await this.#flush();
    await this.#file.seek(SUM_AT, Deno.SeekMode.Start);
    await this.#file.write(utf8(this.#sum.hex()));
    if (safe) await this.#file.syncData();
    this.#close();
    await Deno.rename(this.#partial, this.#path);
  }

  /** Gives up: nothing is left, and what stood in the place of the file still does. */
  async abandon(): Promise<void> {
    this.#close();
    await Deno.remove(this.#partial);
  }

  #close(): void {
    if (this.#open) this.#file.close();
    this.#open = false;
    releasePartial(this.#partial);
  }

  /** Writes what has been encoded, and uses its memory anew. */
  async #flush(): Promise<void> {
    let bytes = this.#bytes.getBytes();
    this.#sum.add(bytes);
    while (bytes.length > 0) bytes = bytes.subarray(await this.#file.write(bytes));
    this.#bytes.index = 0;
  }
}

/** A value of a column as it comes out of a file. */
export type Cell = string | number | bigint | boolean | Uint8Array | readonly unknown[] | null | undefined;

/** At most this many bytes of a column are taken out of a file at once, as long as a single row has no more. */
const SLICE = 32e6;

/** What other programs compress with; Snappy is built in. */
const compressors = {
  ZSTD: (bytes: Uint8Array) => zstdDecompressSync(bytes),
  GZIP: (bytes: Uint8Array) => gunzipSync(bytes),
  BROTLI: (bytes: Uint8Array) => brotliDecompressSync(bytes),
};

/** A Parquet file, of which columns are read when they are asked for. */
export class ParquetFile {
  /** The columns' names. */
  readonly columns: readonly string[];
  /** How many rows there are. */
  readonly count: number;
  /** What the file says of itself, by name. */
  readonly notes: ReadonlyMap<string, string>;
  readonly #path: string;
  readonly #library: Hyparquet;
  readonly #metadata: Metadata;

  private constructor(path: string, library: Hyparquet, metadata: Metadata) {
    this.#path = path;
    this.#library = library;
    this.#metadata = metadata;
    this.columns = library.parquetSchema(metadata).children.map(({ element }) => element.name);
    this.count = Number(metadata.num_rows);
    this.notes = new Map(metadata.key_value_metadata?.map(({ key, value = "" }) => [key, value]));
  }

  /**
   * Opens a file.
   *
   * @returns null if there is no such file
   * @throws {RangeError} if it is no Parquet file, or was damaged after it was written here
   */
  static async open(path: string): Promise<ParquetFile | null> {
    const info = await Deno.stat(path).catch((error: Error) => error);
    if (info instanceof Deno.errors.NotFound) return null;
    if (info instanceof Error) throw info;
    // Opening a pipe would wait for its writer.
    if (!info.isFile) {
      throw new RangeError(`${path} is ${info.isDirectory ? "a folder" : "a device or pipe"}; wanted a Parquet file.`);
    }
    const specifier = "npm:hyparquet@1.31.5";
    const library = await import(specifier) as Hyparquet;
    try {
      const isWhole = await verify(path);
      const metadata = await library.parquetMetadataAsync(bufferOf(path, info.size));
      const has = metadata.key_value_metadata?.some(({ key }) => key === SUM_KEY.key);
      if (has && isWhole === undefined) throw new Error("it is damaged: the checksum that it had is not there");
      return new ParquetFile(path, library, metadata);
    } catch (error) {
      throw new RangeError(`${path} cannot be read as a Parquet file: ${messageOf(error)}.`, { cause: error });
    }
  }

  /** A column as strings; undefined where one is missing. */
  async texts(column: string): Promise<(string | undefined)[]> {
    const all: (string | undefined)[] = [];
    for await (const value of this.values(column)) {
      all.push(value === null || value === undefined ? undefined : String(value));
    }
    return all;
  }

  /**
   * A column of byte strings of one length, one behind the other.
   *
   * @throws {RangeError} if they have several lengths, or one is missing
   */
  bytes(column: string): Promise<{ data: Uint8Array<ArrayBuffer>; length: number }> {
    return this.#joined(column, Uint8Array);
  }

  /**
   * A column of vectors of one length, as 32-bit floats one behind the other.
   *
   * @throws {RangeError} if it holds anything else, they have several lengths, or a number is missing
   */
  vectors(column: string): Promise<{ data: Float32Array<ArrayBuffer>; length: number }> {
    return this.#joined(column, Float32Array);
  }

  async #joined<Values extends Uint8Array<ArrayBuffer> | Float32Array<ArrayBuffer>>(
    column: string,
    type: new (length: number) => Values,
  ): Promise<{ data: Values; length: number }> {
    const named = `The column ${JSON.stringify(column)} of ${this.#path}`;
    let data = new type(0);
    let length = 0;
    let row = 0;
    for await (const value of this.values(column, false)) {
      if (value !== null && value !== undefined && !Array.isArray(value) && !ArrayBuffer.isView(value)) {
        throw new RangeError(`${named} should hold lists of numbers: row ${row} holds ${kindOf(value)}.`);
      }
      const list = (value ?? []) as ArrayLike<unknown>;
      if (row === 0) {
        length = list.length;
        data = new type(this.count * length);
      }
      if (list.length !== length || length === 0) {
        throw new RangeError(
          `${named} should hold as many numbers in each row: row 0 holds ${length || "none"}` +
            `${row === 0 ? "" : `, row ${row} ${list.length || "none"}`}.`,
        );
      }
      if (!ArrayBuffer.isView(list)) {
        const numbers = list as readonly unknown[];
        const wrong = numbers.findIndex((number) => typeof number !== "number" && typeof number !== "bigint");
        if (wrong >= 0) {
          throw new RangeError(`${named} should hold numbers only: one of row ${row} is ${kindOf(numbers[wrong])}.`);
        }
      }
      // The type is that of the first number: large whole numbers come as bigint.
      data.set((typeof list[0] === "bigint" ? Array.from(list, Number) : list) as ArrayLike<number>, row * length);
      row++;
    }
    return { data, length };
  }

  /**
   * The values of a column, in the order of the rows; some rows are in memory at a time.
   *
   * @param utf8 whether byte strings of no known kind are text
   */
  async *values(column: string, utf8 = true): AsyncGenerator<Cell> {
    const file = bufferOf(this.#path, (await Deno.stat(this.#path)).size);
    let start = 0;
    for (const { num_rows, columns } of this.#metadata.row_groups) {
      const end = start + Number(num_rows);
      const chunks = columns.filter(({ meta_data }) => meta_data?.path_in_schema[0] === column);
      const bytes = chunks.reduce((sum, { meta_data }) => sum + Number(meta_data!.total_uncompressed_size), 0);
      const rows = Math.max(1, Math.floor(SLICE / (bytes / (end - start) || 1)));
      for (let from = start; from < end; from += rows) {
        const to = Math.min(end, from + rows);
        // A scan keeps what it has read last: so each slice gets its own.
        const scan = await this.#library.parquetScan({
          file,
          metadata: this.#metadata,
          columns: [column],
          compressors,
          utf8,
        });
        yield* await scan.readColumn({ column, rowStart: from, rowEnd: to }) as readonly Cell[];
        // The cell stays alive meanwhile.
        await new Promise((done) => setTimeout(done));
      }
      start = end;
    }
  }
}

/**
 * Computes a file's checksum anew.
 *
 * @returns true, or undefined if the file has none
 * @throws {Error} if it is another one than the file says
 */
async function verify(path: string): Promise<true | undefined> {
  using file = await Deno.open(path);
  const start = new Uint8Array(SUM_END);
  let found = 0;
  for (let read; found < SUM_END && (read = await file.read(start.subarray(found))) !== null;) found += read;
  const text = new TextDecoder("latin1").decode(start);
  // A mark that is damaged itself is still known by most of its letters.
  const alike = Array.from(PARQUET + SUM_MARK).filter((letter, i) => letter === text[i]).length;
  if (found < SUM_END || alike < SUM_AT / 2) return undefined;
  const sum = new Checksum().add(start.subarray(0, SUM_AT)).add(utf8(NO_SUM));
  const bytes = new Uint8Array(1 << 20);
  for (let read; (read = await file.read(bytes)) !== null;) sum.add(bytes.subarray(0, read));
  if (sum.hex() === text.slice(SUM_AT)) return true;
  throw new Error("it is damaged: its checksum is another one. Copy it again, or write it anew");
}

/** A file as hyparquet reads it: parts of it, when they are wanted. */
function bufferOf(path: string, byteLength: number) {
  return {
    byteLength,
    async slice(start: number, end = byteLength): Promise<ArrayBuffer> {
      using file = await Deno.open(path);
      await file.seek(start, Deno.SeekMode.Start);
      const bytes = new Uint8Array(end - start);
      for (let at = 0; at < bytes.length;) {
        const read = await file.read(bytes.subarray(at));
        if (read === null) throw new RangeError(`${path} ends before byte ${end}: it is cut short`);
        at += read;
      }
      return bytes.buffer;
    },
  };
}
