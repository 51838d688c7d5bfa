/**
 * Codes of images as a Parquet file, a row an image.
 *
 * Columns: `id`; `label` and `prediction`, null where there is none; `layer`, that put the codes out, and `about`, what
 * they are in a few words, the same in each row; `thumbnail`, the RGB bytes of a small square picture, row by row, if
 * there are pictures; `code`, a list of 32-bit floats.
 *
 * @module
 */

import type { NdArray } from "../array.ts";
import type { Points } from "../embed/points.ts";
import { type ParquetColumn, ParquetFile, type ParquetValues, ParquetWriter } from "./parquet.ts";

/** What is known of codes as a whole. */
export interface CodesAbout {
  readonly layer: string;
  readonly about: string;
}

/** Codes of some images. */
export interface CodesPart {
  readonly ids: readonly string[];
  readonly labels: readonly (string | undefined)[];
  readonly predictions?: readonly string[];
  /** `[n, side, side, 3]` */
  readonly pictures?: Uint8Array;
  /** `[n, d]` */
  readonly codes: NdArray;
}

/** Under this name a file says how many images its data set had: more than there are rows, where some were left out. */
const IMAGES = "convlens.images";

/** This many bytes of codes make a group of rows, which is held in memory, encoded and written together. */
const GROUP = 2e6;
/** Pictures are written as they are; codes are encoded number by number, and take many times their bytes meanwhile. */
const PICTURE_SHARE = 1 / 16;

/** Writes codes to a file, part by part. */
export class CodesWriter {
  readonly #file: ParquetWriter;
  readonly #about: CodesAbout;
  #parts: CodesPart[] = [];
  #bytes = 0;

  private constructor(file: ParquetWriter, about: CodesAbout) {
    this.#file = file;
    this.#about = about;
  }

  /**
   * Begins a file.
   *
   * @param size how many images the data set has
   * @param has whether the codes come with predictions and pictures
   * @throws {RangeError} if the folder does not exist
   */
  static async create(
    path: string,
    about: CodesAbout,
    size: number,
    has: { predictions: boolean; pictures: boolean },
  ): Promise<CodesWriter> {
    const text = (name: string): ParquetColumn => ({ name, kind: "text" });
    const columns: ParquetColumn[] = [
      text("id"),
      text("label"),
      ...(has.predictions ? [text("prediction")] : []),
      text("layer"),
      text("about"),
      ...(has.pictures ? [{ name: "thumbnail", kind: "bytes" } as const] : []),
      { name: "code", kind: "vectors" },
    ];
    try {
      return new CodesWriter(await ParquetWriter.create(path, columns, new Map([[IMAGES, String(size)]])), about);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      throw new RangeError(`The folder of ${JSON.stringify(path)} does not exist. Make it first, or name another.`, {
        cause: error,
      });
    }
  }

  async add(part: CodesPart): Promise<void> {
    this.#parts.push(part);
    this.#bytes += part.codes.data.byteLength + PICTURE_SHARE * (part.pictures?.length ?? 0);
    if (this.#bytes >= GROUP) await this.#write();
  }

  async #write(): Promise<void> {
    const parts = this.#parts;
    this.#parts = [];
    this.#bytes = 0;
    const ids = parts.flatMap((part) => part.ids);
    const [first] = parts;
    const length = first.codes.shape[1];
    const codes = new Float32Array(ids.length * length);
    const side = first.pictures && first.pictures.length / first.ids.length;
    const pictures = side && new Uint8Array(ids.length * side);
    let row = 0;
    for (const part of parts) {
      codes.set(part.codes.data, row * length);
      if (pictures) pictures.set(part.pictures!, row * side);
      row += part.ids.length;
    }
    const same = (value: string) => new Array<string>(ids.length).fill(value);
    const values: ParquetValues[] = [
      ids,
      parts.flatMap((part) => part.labels),
      ...(first.predictions ? [parts.flatMap((part) => part.predictions!)] : []),
      same(this.#about.layer),
      same(this.#about.about),
      ...(pictures ? [{ data: pictures, length: side }] : []),
      { data: codes, length },
    ];
    await this.#file.write(ids.length, values);
  }

  /** Writes the rest, and puts the file into its place. */
  async finish(): Promise<void> {
    if (this.#parts.length > 0) await this.#write();
    await this.#file.finish();
  }

  /** Gives up: nothing is left. */
  abandon(): Promise<void> {
    return this.#file.abandon();
  }
}

const WANTED = ["id", "layer", "about", "code"];

/** Opens a file of codes; null if there is no such file. */
async function open(path: string): Promise<ParquetFile | null> {
  const table = await ParquetFile.open(path);
  const missing = table && WANTED.filter((column) => !table.columns.includes(column));
  if (missing?.length) {
    throw new RangeError(
      `${path} holds no codes: it has no column ${missing.map((name) => JSON.stringify(name)).join(", ")}. ` +
        "codes(model, dataset, { file }) writes such files.",
    );
  }
  return table;
}

/** The different values of a column, none of which may be missing. */
async function distinct(path: string, table: ParquetFile, column: string): Promise<string[]> {
  return [...new Set(await table.texts(column))].map((value) => {
    if (value === undefined) throw new RangeError(`${path} has gaps in its column ${JSON.stringify(column)}.`);
    return value;
  });
}

/**
 * Checks that a file may be written: there is none, or one of codes of as many images that are about the same, as when a
 * cell is run again.
 *
 * @throws {RangeError} if there is a file with anything else
 */
export async function checkReplaceable(path: string, about: string, size: number): Promise<void> {
  const remedy = "Remove it, or name another file.";
  const table = await open(path).catch((error) => {
    throw new RangeError(`${path} exists already, and is no file of codes. ${remedy}`, { cause: error });
  });
  if (!table) return;
  const found = (await distinct(path, table, "about")).join(" + ");
  const images = Number(table.notes.get(IMAGES) ?? table.count);
  if (found !== about || images !== size) {
    throw new RangeError(
      `${path} exists already, with ${images} codes of ${JSON.stringify(found)}; now it would hold ${size} of ` +
        `${JSON.stringify(about)}. ${remedy}`,
    );
  }
}

/**
 * Reads a file of codes.
 *
 * @throws {RangeError} if there is no such file, it holds no codes, or codes of several lengths or layers, or it does not
 *   say of what layer, of what images they are
 */
export async function readCodes(
  path: string,
): Promise<Points & Required<Pick<Points, "ids" | "labels">> & CodesAbout> {
  const table = await open(path);
  if (!table) throw new RangeError(`There is no file ${JSON.stringify(path)}.`);
  const { count, columns } = table;
  if (count === 0) throw new RangeError(`${path} holds no row.`);
  const layers = await distinct(path, table, "layer");
  if (layers.length > 1) {
    throw new RangeError(`${path} holds codes of several layers, which cannot be compared: ${layers.join(", ")}.`);
  }
  const texts = (column: string) => columns.includes(column) ? table.texts(column) : undefined;
  const predictions = await texts("prediction");
  const { data, length } = await table.vectors("code");
  const pictures = columns.includes("thumbnail") ? await table.bytes("thumbnail") : undefined;
  const side = pictures && Math.sqrt(pictures.length / 3);
  if (side && !Number.isInteger(side)) {
    throw new RangeError(
      `The thumbnails of ${path} should be squares of RGB bytes: they have ${pictures.length} bytes.`,
    );
  }
  return {
    data,
    shape: [count, length],
    ids: (await table.texts("id")).map((id, i) => id ?? String(i)),
    labels: await texts("label") ?? new Array(count).fill(undefined),
    ...(predictions?.every((value) => value !== undefined) && { predictions }),
    ...(side && { thumbnails: { data: pictures.data, side } }),
    layer: layers[0],
    about: (await distinct(path, table, "about")).join(" + "),
  };
}
