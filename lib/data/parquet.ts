/**
 * Parquet files, written one group of rows after the other, so that they may be larger than memory.
 *
 * The format is that of apache/parquet-format 2.x: pages of version 1, plain values without compression, a footer in
 * Thrift's compact protocol. pandas, pyarrow, Polars and DuckDB read it. (`table.ts` reads Parquet through Polars, whose
 * JavaScript writes a frame only as a whole, and no bytes.)
 *
 * @module
 */

/** A column: strings, some of which may be missing; byte strings, or vectors of 32-bit floats, all of one length. */
export interface ParquetColumn {
  readonly name: string;
  readonly kind: "text" | "bytes" | "vectors";
}

/** Some rows of a column: strings; or what each holds one behind the other, `length` numbers a row. */
export type ParquetValues =
  | readonly (string | undefined)[]
  | { readonly data: Uint8Array | Float32Array; readonly length: number };

// Numbers of the format's enumerations.
const BYTE_ARRAY = 6;
const FLOAT = 4;
const REQUIRED = 0;
const OPTIONAL = 1;
const REPEATED = 2;
const PLAIN = 0;
const RLE = 3;
const UTF8 = 0;
const LIST = 3;
const UNCOMPRESSED = 0;
const DATA_PAGE = 0;

/** A value in Thrift's compact protocol: a number says how wide it is, an object is a struct by the ids of its fields. */
type Thrift = { readonly i32: number } | { readonly i64: number } | string | readonly Thrift[] | Struct;
interface Struct {
  readonly [id: number]: Thrift | undefined;
}

const i32 = (value: number): Thrift => ({ i32: value });
const i64 = (value: number): Thrift => ({ i64: value });

/** 7 bits a byte, the lowest first. */
function varint(value: number, out: number[]): void {
  for (; value >= 128; value = Math.floor(value / 128)) out.push(value % 128 + 128);
  out.push(value);
}

function thriftType(value: Thrift): number {
  if (typeof value === "string") return 8;
  if (Array.isArray(value)) return 9;
  return "i32" in value ? 5 : "i64" in value ? 6 : 12;
}

function thrift(value: Thrift, out: number[]): void {
  if (typeof value === "string") {
    const bytes = new TextEncoder().encode(value);
    varint(bytes.length, out);
    for (const byte of bytes) out.push(byte);
  } else if (Array.isArray(value)) {
    const type = thriftType(value[0]);
    if (value.length < 15) out.push(value.length << 4 | type);
    else {
      out.push(0xf0 | type);
      varint(value.length, out);
    }
    for (const each of value) thrift(each, out);
  } else if ("i32" in value || "i64" in value) {
    // Zigzag: none of these numbers is negative.
    varint(2 * ("i32" in value ? value.i32 : value.i64) as number, out);
  } else {
    let last = 0;
    for (const [key, field] of Object.entries(value as Struct)) {
      if (field === undefined) continue;
      out.push((Number(key) - last) << 4 | thriftType(field));
      last = Number(key);
      thrift(field, out);
    }
    out.push(0);
  }
}

const encode = (value: Struct): Uint8Array => {
  const out: number[] = [];
  thrift(value, out);
  return Uint8Array.from(out);
};

/** Levels of 0 and 1 as runs, behind their length in bytes. */
function levels(runs: Iterable<readonly [level: number, count: number]>): Uint8Array {
  const out: number[] = [];
  for (const [level, count] of runs) {
    if (count === 0) continue;
    varint(2 * count, out);
    out.push(level);
  }
  const bytes = new Uint8Array(4 + out.length);
  new DataView(bytes.buffer).setUint32(0, out.length, true);
  bytes.set(out, 4);
  return bytes;
}

/** Byte arrays one behind the other, each behind its length. */
function plain(values: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(values.reduce((sum, { length }) => sum + 4 + length, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const value of values) {
    view.setUint32(at, value.length, true);
    bytes.set(value, at + 4);
    at += 4 + value.length;
  }
  return bytes;
}

/** The parts of a page, and how many values it holds, missing ones among them. */
function page(values: ParquetValues): { count: number; parts: Uint8Array[] } {
  if ("data" in values) {
    const { data, length } = values;
    const rows = data.length / length;
    if (data instanceof Uint8Array) {
      return {
        count: rows,
        parts: [plain(Array.from({ length: rows }, (_, i) => data.subarray(i * length, (i + 1) * length)))],
      };
    }
    const runs = Array.from({ length: rows }, () => [[0, 1], [1, length - 1]] as const);
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    return { count: data.length, parts: [levels(runs.flat()), levels([[1, data.length]]), bytes] };
  }
  const runs: [number, number][] = [];
  for (const value of values) {
    const level = value === undefined ? 0 : 1;
    if (runs.at(-1)?.[0] === level) runs.at(-1)![1]++;
    else runs.push([level, 1]);
  }
  const encoder = new TextEncoder();
  const present = values.filter((value) => value !== undefined).map((value) => encoder.encode(value));
  return { count: values.length, parts: [levels(runs), plain(present)] };
}

/** What the footer says of a column's shape. */
function schemaOf({ name, kind }: ParquetColumn): Struct[] {
  if (kind === "text") {
    return [{ 1: i32(BYTE_ARRAY), 3: i32(OPTIONAL), 4: name, 6: i32(UTF8), 10: { 1: {} } }];
  }
  if (kind === "bytes") return [{ 1: i32(BYTE_ARRAY), 3: i32(REQUIRED), 4: name }];
  return [
    { 3: i32(REQUIRED), 4: name, 5: i32(1), 6: i32(LIST), 10: { 3: {} } },
    { 3: i32(REPEATED), 4: "list", 5: i32(1) },
    { 1: i32(FLOAT), 3: i32(REQUIRED), 4: "element" },
  ];
}

/**
 * A Parquet file that is being written. Until it is finished it stands beside its place under another name, so that a
 * reader finds the whole file or none.
 */
export class ParquetWriter {
  readonly #path: string;
  readonly #partial: string;
  readonly #columns: readonly ParquetColumn[];
  readonly #file: Deno.FsFile;
  readonly #groups: Struct[] = [];
  #open = true;
  #rows = 0;
  #at = 0;

  private constructor(path: string, partial: string, columns: readonly ParquetColumn[], file: Deno.FsFile) {
    this.#path = path;
    this.#partial = partial;
    this.#columns = columns;
    this.#file = file;
  }

  /**
   * Begins a file.
   *
   * @throws {Deno.errors.NotFound} if its folder does not exist
   */
  static async create(path: string, columns: readonly ParquetColumn[]): Promise<ParquetWriter> {
    const partial = `${path}.${crypto.randomUUID().slice(0, 8)}.partial`;
    const writer = new ParquetWriter(
      path,
      partial,
      columns,
      await Deno.open(partial, { write: true, createNew: true }),
    );
    await writer.#put(new TextEncoder().encode("PAR1"));
    return writer;
  }

  /**
   * Writes a group of rows.
   *
   * @param values of each column, in the order of the columns
   */
  async write(rows: number, values: readonly ParquetValues[]): Promise<void> {
    const chunks: Struct[] = [];
    const before = this.#at;
    for (const [i, { name, kind }] of this.#columns.entries()) {
      const start = this.#at;
      const { count, parts } = page(values[i]);
      const size = i32(parts.reduce((sum, { length }) => sum + length, 0));
      const encodings = { 1: i32(count), 2: i32(PLAIN), 3: i32(RLE), 4: i32(RLE) };
      await this.#put(encode({ 1: i32(DATA_PAGE), 2: size, 3: size, 5: encodings }));
      for (const part of parts) await this.#put(part);
      const taken = i64(this.#at - start);
      const meta = {
        1: i32(kind === "vectors" ? FLOAT : BYTE_ARRAY),
        2: [i32(PLAIN), i32(RLE)],
        3: kind === "vectors" ? [name, "list", "element"] : [name],
        4: i32(UNCOMPRESSED),
        5: i64(count),
        6: taken,
        7: taken,
        9: i64(start),
      };
      chunks.push({ 2: i64(start), 3: meta });
    }
    this.#groups.push({ 1: chunks, 2: i64(this.#at - before), 3: i64(rows) });
    this.#rows += rows;
  }

  /** Writes what all readers look for first, and puts the file into its place; what stood there is replaced. */
  async finish(): Promise<void> {
    const root = { 4: "schema", 5: i32(this.#columns.length) };
    const footer = encode({
      1: i32(1),
      2: [root, ...this.#columns.flatMap(schemaOf)],
      3: i64(this.#rows),
      4: this.#groups,
      6: "convlens",
    });
    await this.#put(footer);
    const end = new Uint8Array(8);
    new DataView(end.buffer).setUint32(0, footer.length, true);
    end.set(new TextEncoder().encode("PAR1"), 4);
    await this.#put(end);
    await this.#file.syncData();
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
  }

  async #put(bytes: Uint8Array): Promise<void> {
    this.#at += bytes.length;
    while (bytes.length > 0) bytes = bytes.subarray(await this.#file.write(bytes));
  }
}
