/**
 * The folder in which a scan keeps what it has found, while it runs and afterwards.
 *
 * - `manifest.json`: what was asked, with checksums of the network, its weights and the images' ids;
 * - `progress-FROM-TO.parquet`: patches that came into the lists while the images from FROM up to TO were looked at, one
 *   file a batch; now and then all of them become one that holds the lists as they are;
 * - `top_patches.parquet`: the lists when all images were looked at; then there is no progress any more;
 * - `lock`: held by the process that writes, by the operating system's means, so that it ends with the process however
 *   that ends.
 *
 * Each file appears when it is whole, and the folder of a scan that is over holds the same bytes however often it was
 * killed and taken up again.
 *
 * @module
 */

import { join } from "node:path";
import type { SkippedImage } from "../data/dataset.ts";
import type { ParquetColumn } from "../data/parquet.ts";
import { readRows, writeRows } from "../data/rows_file.ts";
import { messageOf } from "../errors.ts";
import { replaceWhole, writeChunks } from "../files.ts";
import { differenceText } from "../probe/training/identity.ts";

/** A folder of a scan that cannot be used or written, with the reason and the remedy. */
export class ScanFolderError extends Error {
  /** `"ScanFolderError"` */
  override name = "ScanFolderError";
}

/** A patch that is among a unit's strongest, with its image's place in the data set. */
export interface FoundPatch {
  readonly layer: string;
  readonly unit: number | string;
  readonly rank: number;
  readonly imageId: string;
  readonly label?: string;
  readonly activation: number;
  readonly relevance?: number;
  readonly cell: readonly number[];
  readonly box: readonly number[];
  readonly index: number;
}

/** What of it stands in files: `unit` is text where it is a direction's name. */
const patchColumns = ([row]: readonly FoundPatch[]) =>
  ([
    { name: "layer", kind: "text" },
    { name: "unit", kind: typeof row?.unit === "string" ? "text" : "whole" },
    { name: "rank", kind: "whole" },
    { name: "imageId", kind: "text" },
    { name: "label", kind: "text" },
    { name: "activation", kind: "number" },
    ...(row?.relevance === undefined ? [] : [{ name: "relevance", kind: "number" } as const]),
    { name: "cell", kind: "wholes" },
    { name: "box", kind: "wholes" },
    { name: "index", kind: "whole" },
  ] satisfies ParquetColumn[]) as (ParquetColumn & { name: keyof FoundPatch })[];

/** A cell that came into a list. */
export interface ListedCell {
  readonly list: number;
  readonly value: number;
  readonly activation: number;
  readonly id: string;
  readonly label?: string;
  readonly index: number;
  /** The image's, as the network reads it; numbers with commas. */
  readonly shape: string;
  readonly cell: number;
}

const CELL_COLUMNS = [
  { name: "list", kind: "whole" },
  { name: "value", kind: "number" },
  { name: "activation", kind: "number" },
  { name: "id", kind: "text" },
  { name: "label", kind: "text" },
  { name: "index", kind: "whole" },
  { name: "shape", kind: "text" },
  { name: "cell", kind: "whole" },
] as const;

/** Which images what is kept comes from. */
export interface Walked {
  /** How many images were looked at, those that could not be read among them. */
  readonly images: number;
  /** Those that could not be read. */
  readonly skipped: readonly SkippedImage[];
  /** The id of the last image; none when all were looked at. */
  readonly last?: string;
}

const MANIFEST = "manifest.json";
const RESULT = "top_patches.parquet";
const LOCK = "lock";
const PROGRESS = /^progress-(\d+)-(\d+)\.parquet$/;
/** Numbers of one length, so that names are in their order. */
const progressName = (from: number, to: number) =>
  `progress-${[from, to].map((place) => String(place).padStart(10, "0")).join("-")}.parquet`;

/** So many files of progress become one. */
const MOST_PARTS = 64;

/** A file of progress, and the images that it covers. */
interface Part {
  readonly name: string;
  readonly from: number;
  readonly to: number;
}

/** A folder that this process has for itself, until it is disposed of. */
export class ScanFolder implements Disposable {
  readonly #path: string;
  readonly #lock: Deno.FsFile;
  #parts: Part[];
  #walked: Walked;
  /** What came into the lists before this process began, oldest first; empty at a fresh start. */
  readonly cells: readonly ListedCell[];
  /** The patches, where all images were looked at. */
  readonly patches?: readonly FoundPatch[];
  /** Rows in the files of progress behind the first. */
  #rows = 0;

  private constructor(
    path: string,
    lock: Deno.FsFile,
    { walked, parts = [], cells = [], patches }: {
      walked: Walked;
      parts?: Part[];
      cells?: ListedCell[];
      patches?: FoundPatch[];
    },
  ) {
    this.#path = path;
    this.#lock = lock;
    this.#walked = walked;
    this.#parts = parts;
    this.cells = cells;
    this.patches = patches;
  }

  /**
   * Opens a folder, or makes it, and takes it for this process.
   *
   * @param question what is asked, as plain values with names
   * @throws {ScanFolderError} if another process has it, it belongs to another question or to something else, or cannot
   *   be written
   */
  static async open(path: string, question: Record<string, unknown>): Promise<ScanFolder> {
    const lock = await takeLock(path);
    try {
      await checkQuestion(path, question);
      const over = await readResult(path);
      if (!over) return new ScanFolder(path, lock, await readProgress(path));
      await removeParts(path, await partsIn(path));
      return new ScanFolder(path, lock, { patches: over.rows, walked: over.about });
    } catch (error) {
      release(lock);
      throw error;
    }
  }

  /** Which images what is kept comes from. */
  get walked(): Walked {
    return this.#walked;
  }

  /**
   * Keeps what came of a batch.
   *
   * @param walked all images so far
   * @param cells what came into the lists
   * @param lists gives all that stands in the lists now
   * @throws {ScanFolderError} if that cannot be written; what was kept before still is
   */
  async add(walked: Walked, cells: readonly ListedCell[], lists: () => readonly ListedCell[]): Promise<void> {
    const [from, to] = [this.#walked.images, walked.images];
    const name = progressName(from, to);
    // Not waited for until it is on the disk: after a power cut the last batches are computed anew.
    await this.#write(name, CELL_COLUMNS, cells, walked, false);
    this.#walked = walked;
    this.#parts.push({ name, from, to });
    this.#rows += cells.length;
    if (this.#parts.length >= MOST_PARTS) await this.#compact(lists());
  }

  /** Makes one file of all progress. */
  async #compact(cells: readonly ListedCell[]): Promise<void> {
    // Lists that have hardly changed are not written anew each time.
    if (this.#rows < cells.length && this.#parts.length < 8 * MOST_PARTS) return;
    const to = this.#walked.images;
    const whole = { name: progressName(0, to), from: 0, to };
    await this.#write(whole.name, CELL_COLUMNS, cells, this.#walked, true);
    await removeParts(this.#path, this.#parts.filter(({ name }) => name !== whole.name));
    this.#parts = [whole];
    this.#rows = 0;
  }

  /**
   * Keeps the patches when all images were looked at, in the place of the progress.
   *
   * @throws {ScanFolderError} if they cannot be written; the progress stays then
   */
  async finish(patches: readonly FoundPatch[], { images, skipped }: Walked): Promise<void> {
    await this.#write(RESULT, patchColumns(patches), patches, { images, skipped }, true);
    await removeParts(this.#path, await partsIn(this.#path));
  }

  async #write<Row extends object>(
    name: string,
    columns: readonly (ParquetColumn & { readonly name: keyof Row })[],
    rows: readonly Row[],
    about: Walked,
    safe: boolean,
  ): Promise<void> {
    try {
      await writeRows(join(this.#path, name), columns, rows, about, safe);
    } catch (error) {
      throw new ScanFolderError(
        `The folder ${JSON.stringify(this.#path)} cannot be written: ${
          messageOf(error)
        }. What was found in the first ` +
          `${this.#walked.images} images is kept there: make room and call again with this folder, and the scan goes on.`,
        { cause: error },
      );
    }
  }

  /** Leaves the folder to others. */
  [Symbol.dispose](): void {
    release(this.#lock);
  }
}

/** How far a scan is, seen from outside: finished, running, stopped on the way, or not begun. */
export async function stateOf(
  path: string,
): Promise<{ state: "finished" | "running" | "stopped" | "waiting"; images: number }> {
  const names = await Array.fromAsync(Deno.readDir(path), ({ name }) => name).catch(() => [] as string[]);
  if (names.includes(RESULT)) return { state: "finished", images: (await readResult(path))!.about.images };
  const images = Math.max(0, ...names.map((name) => Number(PROGRESS.exec(name)?.[2] ?? 0)));
  if (names.includes(LOCK)) {
    using lock = await Deno.open(join(path, LOCK), { read: true });
    if (!(await lock.tryLock(false))) return { state: "running", images };
  }
  return { state: names.includes(MANIFEST) ? "stopped" : "waiting", images };
}

/** Whether this process gets the lock; a look from outside holds it for a moment. */
async function takes(lock: Deno.FsFile): Promise<boolean> {
  for (let tries = 0; tries < 10; tries++) {
    if (await lock.tryLock(true)) return true;
    await new Promise((done) => setTimeout(done, 20));
  }
  return false;
}

/** Takes a folder for this process; the folder is made if there is none. */
async function takeLock(path: string): Promise<Deno.FsFile> {
  const named = `The folder ${JSON.stringify(path)}`;
  let lock: Deno.FsFile;
  let isOurs: boolean;
  try {
    await Deno.mkdir(path, { recursive: true });
    const names = (await Array.fromAsync(Deno.readDir(path))).map(({ name }) => name);
    if (names.length > 0 && !names.includes(LOCK)) {
      throw new ScanFolderError(
        `${named} holds something else (${JSON.stringify(names.sort()[0])}): name a folder that is new or empty.`,
      );
    }
    lock = await Deno.open(join(path, LOCK), { read: true, write: true, create: true });
    try {
      isOurs = await takes(lock);
    } catch (error) {
      lock.close();
      throw error;
    }
  } catch (error) {
    if (error instanceof ScanFolderError) throw error;
    throw new ScanFolderError(`${named} cannot be written: ${messageOf(error)}. Name another one.`, { cause: error });
  }
  if (isOurs) {
    // Who has it stands in the file for others to read; that it is locked does not depend on it.
    await lock.truncate(0).then(() => lock.write(new TextEncoder().encode(`${Deno.pid} on ${Deno.hostname()}`)))
      .catch(() => {});
    return lock;
  }
  const holder = await Deno.readTextFile(join(path, LOCK)).catch(() => "");
  lock.close();
  throw new ScanFolderError(
    `${named} is being written by another scan${holder && ` (process ${holder})`}: wait until it is over, or name ` +
      `another folder.`,
  );
}

function release(lock: Deno.FsFile): void {
  try {
    lock.truncateSync(0);
  } catch {
    // What it says is of no use any more, and does no harm.
  }
  lock.close();
}

/** @throws {ScanFolderError} if the folder belongs to another question; one that belongs to none gets this one */
async function checkQuestion(path: string, question: Record<string, unknown>): Promise<void> {
  const manifest = join(path, MANIFEST);
  const named = `The folder ${JSON.stringify(path)}`;
  const remedy = "Name another folder, or remove this one to scan anew.";
  const names = (await Array.fromAsync(Deno.readDir(path))).map(({ name }) => name);
  // The folder is this process's own: what is half written is left of one that was killed.
  for (const name of names.filter((name) => name.endsWith(".partial"))) await Deno.remove(join(path, name));
  const lost = names.find((name) => name === RESULT || PROGRESS.test(name));
  if (lost && !names.includes(MANIFEST)) {
    throw new ScanFolderError(`${named} holds ${lost}, and no ${MANIFEST} that says what was asked. ${remedy}`);
  }
  const text = await Deno.readTextFile(manifest).catch((error) => {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw new ScanFolderError(`${named} cannot be read: ${messageOf(error)}. ${remedy}`, { cause: error });
  });
  if (text === undefined) {
    const bytes = new TextEncoder().encode(JSON.stringify(question, null, 2) + "\n");
    await replaceWhole(manifest, (to) => writeChunks(to, [bytes])).catch((error) => {
      throw new ScanFolderError(`${named} cannot be written: ${messageOf(error)}. Make room, or name another one.`, {
        cause: error,
      });
    });
    return;
  }
  let stored: Record<string, unknown>;
  try {
    stored = JSON.parse(text);
  } catch (error) {
    throw new ScanFolderError(`${manifest} is damaged: ${messageOf(error)}. ${remedy}`, { cause: error });
  }
  const differing = differenceText(stored, question);
  if (differing) {
    throw new ScanFolderError(`${named} belongs to another scan; it differs in ${differing}. ${remedy}`);
  }
}

/** The files of progress by their first image, the longest first. */
async function partsIn(path: string): Promise<Part[]> {
  const parts: Part[] = [];
  for await (const { name } of Deno.readDir(path)) {
    const [, from, to] = PROGRESS.exec(name) ?? [];
    if (from !== undefined) parts.push({ name, from: Number(from), to: Number(to) });
  }
  return parts.sort((a, b) => a.from - b.from || b.to - a.to);
}

async function removeParts(path: string, parts: readonly Part[]): Promise<void> {
  for (const { name } of parts) await Deno.remove(join(path, name));
}

/**
 * The patches of a folder whose scan is over; null if it is not.
 *
 * @throws {ScanFolderError} if the file is damaged
 */
export async function readResult(path: string): Promise<{ rows: FoundPatch[]; about: Walked } | null> {
  return await readRows<FoundPatch, Walked>(join(path, RESULT)).catch((error) => {
    throw new ScanFolderError(`${messageOf(error)} Remove the file to scan anew.`, { cause: error });
  });
}

/** Reads the progress. What does not belong to it any more, or was damaged by a power cut, is removed. */
async function readProgress(path: string): Promise<{ cells: ListedCell[]; walked: Walked; parts: Part[] }> {
  const all = await partsIn(path);
  const parts: Part[] = [];
  const cells: ListedCell[] = [];
  let walked: Walked = { images: 0, skipped: [] };
  for (const part of all) {
    if (part.from !== walked.images) continue;
    const read = await readRows<ListedCell, Walked>(join(path, part.name)).catch((error) => {
      if (error instanceof RangeError) return null;
      throw error;
    });
    if (!read) continue;
    parts.push(part);
    for (const cell of read.rows) cells.push(cell);
    walked = read.about;
  }
  await removeParts(path, all.filter((part) => !parts.includes(part)));
  return { cells, walked, parts };
}
