/**
 * What was read of image files: kept in memory as long as there is room, and on disk where that is asked for, so that an
 * image that is wanted again is not decoded again.
 *
 * @module
 */

import { join } from "node:path";
import { crc32 } from "node:zlib";
import type { NdArrayLike } from "../array.ts";
import { sha256Of } from "../checksum.ts";
import { messageOf } from "../errors.ts";
import { machineMemoryLeft } from "../memory.ts";
import type { RawPixels } from "../resize/resize.ts";

/** A file of an image, and where what is made of it may be kept. */
export interface CachedFile {
  /** The file's absolute path. */
  readonly path: string;
  /** A folder in which images are kept at the sizes that were asked for. */
  readonly folder?: string;
}

/** The state of a file: another file under its name, or the same one written to, has another. */
export const stampOf = ({ size, mtime, ctime, ino }: Deno.FileInfo): string =>
  [size, mtime?.getTime(), ctime?.getTime(), ino].join();

interface Entry<Value> {
  readonly value: Value;
  readonly bytes: number;
  readonly stamp: string;
  used: boolean;
}

/** Values by name in at most so many bytes; a value counts for one state of its file. */
export class Cache<Value extends RawPixels> {
  readonly #entries = new Map<string, Entry<Value>>();
  readonly #mostBytes: (own: number) => number;
  #limit = 0;
  #puts = 0;
  #bytes = 0;

  /** @param mostBytes how many bytes the values may take, of which they have some already; asked now and then */
  constructor(mostBytes: (own: number) => number) {
    this.#mostBytes = mostBytes;
  }

  /** The value of a name, if it is of this state of its file. */
  get(name: string, stamp: string): Value | undefined {
    const entry = this.#entries.get(name);
    if (entry?.stamp !== stamp) return undefined;
    entry.used = true;
    return entry.value;
  }

  /**
   * Keeps a value where there is room. Of a data set that is larger than the room and is walked again and again, as many
   * stay as there is room for: who has been of use since he was last looked at is passed over once, and the new one with him.
   */
  put(name: string, stamp: string, value: Value): void {
    this.#drop(name);
    const bytes = value.data.byteLength;
    // The system takes a tenth of a millisecond to tell what it has left.
    if (this.#puts++ % 50 === 0) this.#limit = this.#mostBytes(this.#bytes);
    const limit = this.#limit;
    if (bytes > limit) return;
    while (this.#bytes + bytes > limit) {
      const [oldest, entry] = this.#entries.entries().next().value!;
      this.#drop(oldest);
      if (!entry.used) continue;
      this.#add(oldest, { ...entry, used: false });
      // More than there is room for, when the machine has less than before.
      if (this.#bytes <= limit) return;
    }
    this.#add(name, { value, bytes, stamp, used: true });
  }

  /** Forgets all. */
  clear(): void {
    this.#entries.clear();
    this.#bytes = 0;
  }

  #add(name: string, entry: Entry<Value>): void {
    this.#entries.set(name, entry);
    this.#bytes += entry.bytes;
  }

  #drop(name: string): void {
    this.#bytes -= this.#entries.get(name)?.bytes ?? 0;
    this.#entries.delete(name);
  }
}

/** Each of the two caches takes at most half a gigabyte, and at most a tenth of what the machine has left for it. */
const room = (own: number) => Math.min(5e8, (machineMemoryLeft() + own) / 10);

/** Images as they were decoded. */
export const decodedImages: Cache<RawPixels> = new Cache(room);
/** Images as models see them. */
export const seenImages: Cache<NdArrayLike> = new Cache(room);

/**
 * What is made of a file: as it was made before, if the file is still the same; else it is made and kept.
 *
 * @param way how it is made, as `"64 × 64, crop"`
 * @param make makes it, and says whether it may be kept
 * @returns an array of the caller's own
 */
export async function madeOf(
  { path, folder }: CachedFile,
  way: string,
  make: () => Promise<{ made: NdArrayLike; keep: boolean }>,
): Promise<NdArrayLike> {
  const info = await Deno.stat(path).catch(() => undefined);
  // Whoever makes it says what is wrong with the file.
  if (!info) return (await make()).made;
  const name = `${path}\n${way}`;
  const stamp = stampOf(info);
  const known = seenImages.get(name, stamp);
  if (known) {
    // It may have been made before there was a folder.
    if (folder !== undefined && !await isThere(fileOf(folder, name))) await toFolder(folder, name, stamp, known);
    return { data: known.data.slice(), shape: known.shape };
  }
  const stored = folder === undefined ? undefined : await fromFolder(folder, name, stamp);
  const { made, keep } = stored ? { made: stored, keep: true } : await make();
  if (keep) {
    seenImages.put(name, stamp, { data: made.data.slice(), shape: made.shape });
    if (!stored && folder !== undefined) await toFolder(folder, name, stamp, made);
  }
  return made;
}

/** What stands in a file of the folder before its numbers. */
interface Head {
  readonly name: string;
  readonly stamp: string;
  readonly shape: readonly number[];
  readonly crc32: number;
}

const fileOf = (folder: string, name: string) => join(folder, `${sha256Of(name).slice(0, 32)}.pixels`);
const isThere = (path: string) => Deno.stat(path).then(() => true, () => false);
const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array) => new Uint8Array(buffer, byteOffset, byteLength);

/** What a folder holds under a name; undefined if there is nothing, or it is of another state, or damaged. */
async function fromFolder(folder: string, name: string, stamp: string): Promise<NdArrayLike | undefined> {
  const bytes = await Deno.readFile(fileOf(folder, name)).catch(() => undefined);
  const end = bytes?.indexOf(10) ?? -1;
  if (!bytes || end < 0) return undefined;
  try {
    const head = JSON.parse(new TextDecoder().decode(bytes.subarray(0, end))) as Head | null;
    const numbers = bytes.slice(end + 1);
    if (head?.name !== name || head.stamp !== stamp || crc32(numbers) !== head.crc32) return undefined;
    return { data: new Float32Array(numbers.buffer), shape: head.shape };
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof RangeError) return undefined;
    throw error;
  }
}

/** The folders that could not be written to, which is said once. */
const unwritten = new Set<string>();

/** Writes a file of the folder, whole or not at all. */
async function toFolder(folder: string, name: string, stamp: string, { data, shape }: NdArrayLike): Promise<void> {
  if (unwritten.has(folder)) return;
  const numbers = bytesOf(data);
  const head: Head = { name, stamp, shape, crc32: crc32(numbers) };
  const path = fileOf(folder, name);
  const part = `${path}.${crypto.randomUUID()}`;
  try {
    await Deno.writeFile(
      part,
      await new Blob([`${JSON.stringify(head)}\n`, numbers as Uint8Array<ArrayBuffer>]).bytes(),
    );
    await Deno.rename(part, path);
  } catch (error) {
    await Deno.remove(part).catch(() => {});
    unwritten.add(folder);
    const reason = messageOf(error);
    console.log(
      `convlens: the folder ${
        JSON.stringify(folder)
      } cannot keep images: ${reason}. The next kernel decodes them anew.`,
    );
  }
}
