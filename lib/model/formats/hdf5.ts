/**
 * Reading HDF5 files.
 *
 * The library that reads them is C, compiled to WebAssembly. A damaged file can end it, so it runs in a Worker of its own.
 * Values that lie in one piece as they are, which is how Keras writes them, are read from the file itself: then the
 * Worker, and its 60 MB, has ended. Others cross over, one dataset at a time.
 *
 * @module
 */

import type { Dataset, File as Hdf5, Group } from "npm:h5wasm@0.10.3";
import { sizeOf } from "../../array.ts";
import { bytesAt, type Place } from "../../files.ts";
import { WorkerPool } from "../../workers/pool.ts";
import { Moved, workerFunction } from "../../workers/protocol.ts";
import { ModelError } from "./format.ts";

/** What a file holds at one path. */
export interface Hdf5Entry {
  /** Its attributes: texts, numbers, or arrays of these. */
  attributes: Record<string, unknown>;
  /** The shape of a dataset; none of a group. */
  shape?: number[];
  /** The type of a dataset's values as `"<f"`. */
  dtype?: string;
  /** Where in the file the values of a dataset lie in one piece, as they are in memory. */
  at?: number;
}

/** A file has no more entries than this, nor deeper ones. */
const MOST_ENTRIES = 200_000;
const DEEPEST = 100;

interface NumberArray {
  new (buffer: ArrayBuffer): ArrayLike<number | bigint>;
  readonly BYTES_PER_ELEMENT: number;
}

/** Values that are read from the file itself, by their type. */
const ARRAYS: Record<string, NumberArray> = {
  "<e": Float16Array,
  "<f": Float32Array,
  "<d": Float64Array,
  "<i": Int32Array,
  "<q": BigInt64Array,
};

const isNumeric = (dtype = "") => /^[<>|]?[bhiqefd]$/i.test(dtype);

/** In the Worker: the file that is open. */
let open: Hdf5 | undefined;
/** In the Worker: what the library has read last. */
const latest = { from: NaN, to: NaN };

/** What of the library's file system is used beside its types. */
interface FileSystem {
  writeFile(path: string, data: Uint8Array, options: { canOwn: boolean }): void;
  lookupPath(path: string): { node: { usedBytes: number; stream_ops: object } };
}

/** In the Worker: puts a file where the library finds it. */
function place(fs: FileSystem, { path, at, size }: Place): void {
  fs.writeFile("/file", new Uint8Array(), { canOwn: true });
  const file = Deno.openSync(path);
  const { node } = fs.lookupPath("/file");
  node.usedBytes = size;
  const read = (_: unknown, { buffer }: Int8Array, offset: number, length: number, position: number) => {
    file.seekSync(at + position, Deno.SeekMode.Start);
    const wanted = Math.max(0, Math.min(length, size - position));
    [latest.from, latest.to] = [position, position + wanted];
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

/**
 * In the Worker: where the values of a dataset lie in one piece, as they are in memory. The library does not say it; but
 * where it reads for the first of them and for the last shows it.
 */
function placeOf(dataset: Dataset, dtype: string, shape: readonly number[]): number | undefined {
  const { chunks, size } = dataset.metadata;
  if (chunks || !Object.hasOwn(ARRAYS, dtype) || sizeOf(shape) === 0) return undefined;
  const readFor = (cell: (length: number) => number) => {
    [latest.from, latest.to] = [NaN, NaN];
    dataset.slice(shape.map((length) => [cell(length), cell(length) + 1]));
    return { ...latest };
  };
  try {
    const [first, last] = [readFor(() => 0), readFor((length) => length - 1)];
    return last.to === first.from + size * sizeOf(shape) ? first.from : undefined;
  } catch {
    // Whoever wants the values will hear why.
  }
}

/** @internal In the Worker: opens a file and lists what it holds, by path. */
export async function openHdf5(where: Place): Promise<Map<string, Hdf5Entry>> {
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
        const dataset = item as Dataset;
        const [shape, dtype] = [dataset.shape ?? [], String(dataset.dtype)];
        const place = placeOf(dataset, dtype, shape);
        entries.set(at, { attributes: attributesOf(item), shape, dtype, ...place !== undefined && { at: place } });
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
  const { value } = open!.get(path) as Dataset;
  const values = floatsOf(ArrayBuffer.isView(value) ? value as unknown as ArrayLike<number> : [value as number]);
  return new Moved(values, [values.buffer]);
}

/** Numbers as floats that nothing else holds. */
function floatsOf(numbers: ArrayLike<number | bigint>): Float32Array<ArrayBuffer> {
  if (!(numbers instanceof Float32Array)) return Float32Array.from(numbers as ArrayLike<number>, Number);
  return (numbers.byteLength === numbers.buffer.byteLength ? numbers : numbers.slice()) as Float32Array<ArrayBuffer>;
}

const OPEN = workerFunction(import.meta.url, openHdf5);
const VALUES = workerFunction(import.meta.url, valuesOfHdf5);

/** An HDF5 file that is open. */
export class Hdf5File {
  readonly #place: Place;
  readonly #pool: WorkerPool;
  /** All that it holds, by path without a leading slash; the root is `""`. */
  readonly entries: ReadonlyMap<string, Hdf5Entry>;

  private constructor(place: Place, pool: WorkerPool, entries: ReadonlyMap<string, Hdf5Entry>) {
    this.#place = place;
    this.#pool = pool;
    this.entries = entries;
    const isWanted = ({ at, dtype }: Hdf5Entry) => at === undefined && isNumeric(dtype);
    if (![...entries.values()].some(isWanted)) this.close();
  }

  /**
   * Opens a file.
   *
   * @throws {ModelError} if it is damaged
   */
  static async open(place: Place): Promise<Hdf5File> {
    const pool = new WorkerPool(1, { remedy: "" });
    try {
      return new Hdf5File(place, pool, await pool.workers[0].call(OPEN, place));
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
    const { shape, dtype, at } = this.entries.get(path)!;
    const size = sizeOf(shape!);
    try {
      if (at !== undefined) {
        const Numbers = ARRAYS[dtype!];
        return floatsOf(new Numbers(bytesAt(this.#place, at, Numbers.BYTES_PER_ELEMENT * size).buffer));
      }
      const values = await this.#pool.workers[0].call(VALUES, path);
      if (values.length === size) return values as Float32Array<ArrayBuffer>;
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
