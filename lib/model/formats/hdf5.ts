/**
 * Reading HDF5 files.
 *
 * The library that reads them is C, compiled to WebAssembly. A damaged file can end it, so it runs in a Worker of its own,
 * which ends with the file; and one dataset crosses over at a time. Of a file on disk no more is in memory than that.
 *
 * @module
 */

import type { Dataset, File as Hdf5, Group } from "npm:h5wasm@0.10.3";
import { sizeOf } from "../../array.ts";
import { WorkerPool } from "../../workers/pool.ts";
import { Moved, workerFunction } from "../../workers/protocol.ts";
import { ModelError } from "./format.ts";

/** What a file holds at one path. */
export interface Hdf5Entry {
  /** Its attributes: texts, numbers, or arrays of these. */
  attributes: Record<string, unknown>;
  /** The shape of a dataset; none of a group. */
  shape?: number[];
  /** The type of a dataset's values as `"<f4"`. */
  dtype?: string;
}

/** A file has no more entries than this, nor deeper ones. */
const MOST_ENTRIES = 200_000;
const DEEPEST = 100;

/** Where an HDF5 file is: the bytes from `at` on of a file on disk, or of what is in memory. */
export interface Hdf5Place {
  within: string | Uint8Array<ArrayBuffer>;
  at: number;
  size: number;
}

/** Datasets are read in parts of about so many bytes. */
const PART = 2 ** 22;

/** In the Worker: the file that is open. */
let open: Hdf5 | undefined;

/** What of the library's file system is used beside its types. */
interface FileSystem {
  writeFile(path: string, data: Uint8Array, options: { canOwn: boolean }): void;
  lookupPath(path: string): { node: { usedBytes: number; stream_ops: object } };
}

/** In the Worker: puts a file where the library finds it. */
function place(fs: FileSystem, { within, at, size }: Hdf5Place): void {
  if (typeof within !== "string") {
    // It reads the bytes where they are.
    return fs.writeFile("/file", within.subarray(at, at + size), { canOwn: true });
  }
  fs.writeFile("/file", new Uint8Array(), { canOwn: true });
  const file = Deno.openSync(within);
  const { node } = fs.lookupPath("/file");
  node.usedBytes = size;
  const read = (_: unknown, { buffer }: Int8Array, offset: number, length: number, position: number) => {
    file.seekSync(at + position, Deno.SeekMode.Start);
    const wanted = Math.max(0, Math.min(length, size - position));
    let done = 0;
    while (done < wanted) {
      const read = file.readSync(new Uint8Array(buffer, offset + done, wanted - done));
      if (read === null) break;
      done += read;
    }
    return done;
  };
  node.stream_ops = { ...node.stream_ops, read };
}

/** @internal In the Worker: opens a file and lists what it holds, by path. */
export async function openHdf5(where: Hdf5Place): Promise<Map<string, Hdf5Entry>> {
  const specifier = "npm:h5wasm@0.10.3";
  const { ready, File: Opened } = await import(specifier) as typeof import("npm:h5wasm@0.10.3");
  const library = await ready;
  library.activate_throwing_error_handler();
  place(library.FS as unknown as FileSystem, where);
  open = new Opened("/file", "r");
  const entries = new Map<string, Hdf5Entry>();
  const visit = (group: Group, path: string, depth: number) => {
    if (depth > DEEPEST || entries.size > MOST_ENTRIES) throw new Error("its groups have no end");
    entries.set(path, { attributes: attributesOf(group) });
    for (const key of group.keys()) {
      const item = group.get(key);
      const at = path ? `${path}/${key}` : key;
      if (item === null || !("attrs" in item)) continue;
      if ("keys" in item) visit(item as Group, at, depth + 1);
      else if ("shape" in item) {
        const { shape, dtype } = item;
        entries.set(at, { attributes: attributesOf(item), shape: shape ?? [], dtype: String(dtype) });
      }
    }
  };
  visit(open as unknown as Group, "", 0);
  return entries;
}

function attributesOf({ attrs }: { attrs: Group["attrs"] }): Record<string, unknown> {
  return Object.fromEntries(Object.entries(attrs).map(([name, { value }]) => [name, value]));
}

/** @internal In the Worker: the values of a dataset. */
export function valuesOfHdf5(path: string): Moved<Float32Array> {
  const dataset = open!.get(path) as Dataset;
  const { shape, metadata } = dataset;
  const rows = shape?.[0] ?? 0;
  const values = rows > 1 && !metadata.chunks && metadata.size * sizeOf(shape!) > PART
    ? valuesByRows(dataset, shape!, Math.ceil(PART * rows / (metadata.size * sizeOf(shape!))))
    : floatsOf(dataset.value);
  return new Moved(values, [values.buffer]);
}

/** What the library has read, as floats that nothing else holds. */
function floatsOf(value: unknown): Float32Array<ArrayBuffer> {
  const numbers = ArrayBuffer.isView(value) ? value as unknown as ArrayLike<number | bigint> : [value as number];
  if (!(numbers instanceof Float32Array)) return Float32Array.from(numbers as ArrayLike<number>, Number);
  return (numbers.byteLength === numbers.buffer.byteLength ? numbers : numbers.slice()) as Float32Array<ArrayBuffer>;
}

/** The values of a dataset that lies in one piece, read by so many rows. */
function valuesByRows(dataset: Dataset, shape: readonly number[], rows: number): Float32Array<ArrayBuffer> {
  const values = new Float32Array(sizeOf(shape));
  const length = sizeOf(shape.slice(1));
  for (let from = 0; from < shape[0]; from += rows) {
    const part = floatsOf(dataset.slice([[from, Math.min(shape[0], from + rows)]]));
    values.set(part, from * length);
    part.buffer.transfer(0);
  }
  return values;
}

const OPEN = workerFunction(import.meta.url, openHdf5);
const VALUES = workerFunction(import.meta.url, valuesOfHdf5);

/** An HDF5 file that is open. */
export class Hdf5File {
  readonly #pool: WorkerPool;
  /** All that it holds, by path without a leading slash; the root is `""`. */
  readonly entries: ReadonlyMap<string, Hdf5Entry>;

  private constructor(pool: WorkerPool, entries: ReadonlyMap<string, Hdf5Entry>) {
    this.#pool = pool;
    this.entries = entries;
  }

  /**
   * Opens a file.
   *
   * @param where its place; what is in memory moves to the Worker
   * @throws {ModelError} if it is damaged
   */
  static async open(where: Hdf5Place): Promise<Hdf5File> {
    const pool = new WorkerPool(1, { remedy: "" });
    try {
      const transfer = typeof where.within === "string" ? [] : [where.within.buffer];
      const entries = await pool.workers[0].call(OPEN, where, { transfer });
      return new Hdf5File(pool, entries);
    } catch (error) {
      pool.end();
      throw new ModelError("it is damaged: the HDF5 library cannot read it. Copy or download it anew", {
        cause: error,
      });
    }
  }

  /**
   * The values of a dataset, in row-major order, as floats of 32 bits.
   *
   * @throws {ModelError} if they cannot be read
   */
  async values(path: string): Promise<Float32Array<ArrayBuffer>> {
    const { shape } = this.entries.get(path)!;
    try {
      const values = await this.#pool.workers[0].call(VALUES, path);
      if (values.length === sizeOf(shape!)) return values as Float32Array<ArrayBuffer>;
    } catch {
      // Said below.
    }
    throw new ModelError(
      `it is damaged: the values of ${JSON.stringify(path)} cannot be read. Copy or download it anew`,
    );
  }

  /** Ends the Worker. */
  close(): void {
    this.#pool.end();
  }
}
