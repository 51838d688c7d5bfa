/**
 * Parquet files, written one group of rows after the other, so that they may be larger than memory. This is the only file
 * that knows hyparquet-writer. (`table.ts` reads Parquet through Polars, whose JavaScript writes a frame only as a whole,
 * and no bytes.)
 *
 * @module
 */

type Hyparquet = typeof import("npm:hyparquet-writer@0.17.0");
type Schema = ConstructorParameters<Hyparquet["ParquetWriter"]>[0]["schema"];

/** A column: strings, some of which may be missing; byte strings, or vectors of 32-bit floats, all of one length. */
export interface ParquetColumn {
  readonly name: string;
  readonly kind: "text" | "bytes" | "vectors";
}

/** Some rows of a column: strings; or what each holds one behind the other, `length` numbers a row. */
export type ParquetValues =
  | readonly (string | undefined)[]
  | { readonly data: Uint8Array | Float32Array; readonly length: number };

/** What the file says of a column's shape. */
function schemaOf({ name, kind }: ParquetColumn): Schema {
  switch (kind) {
    case "text":
      return [{ name, type: "BYTE_ARRAY", converted_type: "UTF8", repetition_type: "OPTIONAL" }];
    case "bytes":
      return [{ name, type: "BYTE_ARRAY", repetition_type: "REQUIRED" }];
    case "vectors":
      return [
        { name, repetition_type: "REQUIRED", num_children: 1, converted_type: "LIST" },
        { name: "list", repetition_type: "REPEATED", num_children: 1 },
        { name: "element", type: "FLOAT", repetition_type: "REQUIRED" },
      ];
  }
}

/** The values as hyparquet-writer takes them, one a row. */
function rowsOf(values: ParquetValues): (string | null | Uint8Array | number[])[] {
  if (!("data" in values)) return values.map((value) => value ?? null);
  const { data, length } = values;
  return Array.from({ length: data.length / length }, (_, i) => {
    const row = data.subarray(i * length, (i + 1) * length);
    return row instanceof Uint8Array ? row : Array.from(row);
  });
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
  readonly #bytes: InstanceType<Hyparquet["ByteWriter"]>;
  readonly #writer: InstanceType<Hyparquet["ParquetWriter"]>;
  #open = true;

  private constructor(
    { ParquetWriter: Writer, ByteWriter }: Hyparquet,
    path: string,
    partial: string,
    columns: readonly ParquetColumn[],
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
    });
  }

  /**
   * Begins a file.
   *
   * @throws {Deno.errors.NotFound} if its folder does not exist
   */
  static async create(path: string, columns: readonly ParquetColumn[]): Promise<ParquetWriter> {
    const specifier = "npm:hyparquet-writer@0.17.0";
    const library = await import(specifier) as Hyparquet;
    const partial = `${path}.${crypto.randomUUID().slice(0, 8)}.partial`;
    const file = await Deno.open(partial, { write: true, createNew: true });
    return new ParquetWriter(library, path, partial, columns, file);
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

  /** Writes what all readers look for first, and puts the file into its place; what stood there is replaced. */
  async finish(): Promise<void> {
    await this.#writer.finish();
    await this.#flush();
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

  /** Writes what has been encoded, and uses its memory anew. */
  async #flush(): Promise<void> {
    for (let bytes = this.#bytes.getBytes(); bytes.length > 0;) bytes = bytes.subarray(await this.#file.write(bytes));
    this.#bytes.index = 0;
  }
}
