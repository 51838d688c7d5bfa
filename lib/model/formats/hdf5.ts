/**
 * Reading HDF5 files.
 *
 * The library that reads them is C, compiled to WebAssembly. A damaged file can end it, so it runs in a Worker of its own,
 * which ends with the file; and one dataset crosses over at a time, so that memory holds the file and what is made of it.
 *
 * @module
 */

import type { File as Hdf5, Group } from "npm:h5wasm@0.10.3";
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

/** In the Worker: the file that is open. */
let open: Hdf5 | undefined;

/** @internal In the Worker: opens a file and lists what it holds, by path. */
export async function openHdf5(bytes: Uint8Array): Promise<Map<string, Hdf5Entry>> {
  const specifier = "npm:h5wasm@0.10.3";
  const { ready, File: Opened } = await import(specifier) as typeof import("npm:h5wasm@0.10.3");
  const library = await ready;
  library.activate_throwing_error_handler();
  // It reads the bytes where they are.
  (library.FS.writeFile as (path: string, data: Uint8Array, options: object) => void)("/file", bytes, { canOwn: true });
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
  const { value } = open!.get(path) as unknown as { value: unknown };
  const numbers = ArrayBuffer.isView(value) ? value as unknown as ArrayLike<number | bigint> : [value as number];
  const values = numbers instanceof Float32Array
    ? numbers.slice()
    : Float32Array.from(numbers as ArrayLike<number>, Number);
  return new Moved(values, [values.buffer]);
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
   * @param bytes the whole file; it moves to the Worker
   * @throws {ModelError} if it is damaged
   */
  static async open(bytes: Uint8Array<ArrayBuffer>): Promise<Hdf5File> {
    const pool = new WorkerPool(1, { remedy: "" });
    try {
      const entries = await pool.workers[0].call(OPEN, bytes, { transfer: [bytes.buffer] });
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
  async values(path: string): Promise<Float32Array> {
    const { shape } = this.entries.get(path)!;
    try {
      const values = await this.#pool.workers[0].call(VALUES, path);
      if (values.length === sizeOf(shape!)) return values;
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
