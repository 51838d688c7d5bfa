/**
 * Codes of images as a Parquet file, a row an image.
 *
 * Columns: `id`; `label` and `prediction`, null where there is none; `layer`, that put the codes out, and `about`, what
 * they are in a few words, the same in each row; `thumbnail`, the RGB bytes of a small square picture, row by row, if
 * there are pictures; `code`, a list of 32-bit floats. In a file of several layers a column `code_NAME` for each of them
 * stands in the place of `layer` and `code`.
 *
 * @module
 */

import type { NdArrayLike } from "../array.ts";
import type { Points } from "../embed/points.ts";
import { type ParquetColumn, ParquetFile, type ParquetValues, ParquetWriter } from "./parquet.ts";

/** What is known of codes as a whole. */
export interface CodesAbout {
  readonly layer: string;
  readonly about: string;
}

/** What a file holds. */
export interface CodesFileParts {
  /** Several layers, or the one that was asked for by its name alone. */
  readonly layers: readonly string[] | string;
  /** What the codes are in a few words, {@linkcode layersText} among them. */
  readonly about: string;
  /** How many images the data set has. */
  readonly size: number;
  /** Whether the codes come with predictions. */
  readonly predictions: boolean;
  /** Whether the codes come with pictures. */
  readonly pictures: boolean;
}

/** What `about` calls several layers. */
export const layersText = (layers: readonly string[]): string => layers.join(", ");

/** What the column of a layer is called where there are several. */
const PREFIX = "code_";

/** Codes of some images. */
export interface CodesPart {
  readonly ids: readonly string[];
  readonly labels: readonly (string | undefined)[];
  readonly predictions?: readonly string[];
  /** `[n, side, side, 3]` */
  readonly pictures?: Uint8Array;
  /** Of each layer `[n, d]`. */
  readonly codes: readonly NdArrayLike[];
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
  readonly #about: CodesFileParts;
  #parts: CodesPart[] = [];
  #bytes = 0;

  private constructor(file: ParquetWriter, about: CodesFileParts) {
    this.#file = file;
    this.#about = about;
  }

  /**
   * Begins a file.
   *
   * @throws {RangeError} if the folder does not exist
   */
  static async create(path: string, about: CodesFileParts): Promise<CodesWriter> {
    const { layers, size, predictions, pictures } = about;
    const single = typeof layers === "string";
    const text = (name: string): ParquetColumn => ({ name, kind: "text" });
    const columns: ParquetColumn[] = [
      text("id"),
      text("label"),
      ...(predictions ? [text("prediction")] : []),
      ...(single ? [text("layer")] : []),
      text("about"),
      ...(pictures ? [{ name: "thumbnail", kind: "bytes" } as const] : []),
      ...(single ? ["code"] : layers.map((layer) => PREFIX + layer)).map((
        name,
      ) => ({ name, kind: "vectors" } as const)),
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
    this.#bytes += part.codes.reduce((sum, { data }) => sum + data.byteLength, 0) +
      PICTURE_SHARE * (part.pictures?.length ?? 0);
    if (this.#bytes >= GROUP) await this.#write();
  }

  async #write(): Promise<void> {
    const parts = this.#parts;
    this.#parts = [];
    this.#bytes = 0;
    const ids = parts.flatMap((part) => part.ids);
    const [first] = parts;
    const { layers, about } = this.#about;
    const side = first.pictures && first.pictures.length / first.ids.length;
    const pictures = side && new Uint8Array(ids.length * side);
    const codes = first.codes.map(({ shape: [, length] }) => ({ data: new Float32Array(ids.length * length), length }));
    let row = 0;
    for (const part of parts) {
      part.codes.forEach(({ data }, i) => codes[i].data.set(data, row * codes[i].length));
      if (pictures) pictures.set(part.pictures!, row * side);
      row += part.ids.length;
    }
    const same = (value: string) => new Array<string>(ids.length).fill(value);
    const values: ParquetValues[] = [
      ids,
      parts.flatMap((part) => part.labels),
      ...(first.predictions ? [parts.flatMap((part) => part.predictions!)] : []),
      ...(typeof layers === "string" ? [same(layers)] : []),
      same(about),
      ...(pictures ? [{ data: pictures, length: side }] : []),
      ...codes,
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

/** The layers of a file of several; none where it holds one. */
const severalIn = ({ columns }: ParquetFile): string[] =>
  columns.filter((name) => name.startsWith(PREFIX)).map((name) => name.slice(PREFIX.length));

/** Opens a file of codes; null if there is no such file. */
async function open(path: string): Promise<ParquetFile | null> {
  const table = await ParquetFile.open(path);
  const wanted = table && severalIn(table).length > 0 ? ["id", "about"] : ["id", "layer", "about", "code"];
  const missing = table && wanted.filter((column) => !table.columns.includes(column));
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

/** Codes that were read from a file. */
export type ReadCodes = Points & Required<Pick<Points, "ids" | "labels">> & CodesAbout;

/**
 * Reads a file of codes.
 *
 * @param choose picks layers, by their names, from those that the file holds; @default all
 * @throws {RangeError} if there is no such file, it holds no codes, or codes of several lengths, or of several layers in
 *   one column, or it does not say of what layer, of what images they are
 */
export async function readCodes(
  path: string,
  choose: (layers: readonly string[]) => readonly string[] = (layers) => layers,
): Promise<ReadCodes[]> {
  const table = await open(path);
  if (!table) throw new RangeError(`There is no file ${JSON.stringify(path)}.`);
  const { count, columns } = table;
  if (count === 0) throw new RangeError(`${path} holds no row.`);
  const several = severalIn(table);
  const layers = several.length > 0 ? several : await distinct(path, table, "layer");
  if (several.length === 0 && layers.length > 1) {
    throw new RangeError(`${path} holds codes of several layers, which cannot be compared: ${layers.join(", ")}.`);
  }
  const chosen = choose(layers);
  const texts = (column: string) => columns.includes(column) ? table.texts(column) : undefined;
  const predictions = await texts("prediction");
  const pictures = columns.includes("thumbnail") ? await table.bytes("thumbnail") : undefined;
  const side = pictures && Math.sqrt(pictures.length / 3);
  if (side && !Number.isInteger(side)) {
    throw new RangeError(
      `The thumbnails of ${path} should be squares of RGB bytes: they have ${pictures.length} bytes.`,
    );
  }
  const about = (await distinct(path, table, "about")).join(" + ");
  const shared = {
    ids: (await table.texts("id")).map((id, i) => id ?? String(i)),
    labels: await texts("label") ?? new Array(count).fill(undefined),
    ...(predictions?.every((value) => value !== undefined) && { predictions }),
    ...(side && { thumbnails: { data: pictures.data, side } }),
  };
  const found: ReadCodes[] = [];
  for (const layer of chosen) {
    const { data, length } = await table.vectors(several.length > 0 ? PREFIX + layer : "code");
    found.push({
      data,
      shape: [count, length],
      ...shared,
      layer,
      about: about.replace(layersText(layers), () => layer),
    });
  }
  return found;
}
