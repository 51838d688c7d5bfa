/**
 * Checkpoints of a training run: one file with a checksum, written so that a kill at any moment leaves the former one or
 * the new one.
 *
 * @module
 */

import { dirname, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { type NdArray, ndarray, sizeOf } from "../../array.ts";
import { Checksum, sha256Of } from "../../checksum.ts";
import { messageOf } from "../../errors.ts";
import { type FileError, readFile } from "../../files.ts";

/** A checkpoint that cannot be used or written, with the reason and the remedy. */
export class CheckpointError extends Error {
  /** `"CheckpointError"`. */
  override name = "CheckpointError";
}

/** What a checkpoint holds. */
export interface Checkpoint {
  /** What the run was started with; a run that differs in any of it is another run. */
  run: Record<string, unknown>;
  /** Plain state, as the epoch and the schedule's. */
  state: unknown;
  /** The arrays by name. */
  arrays: ReadonlyMap<string, NdArray>;
}

/** The first bytes of each checkpoint, of which the last number is the format's. */
const KIND = "convlens checkpoint ";
const MAGIC = `${KIND}2\n`;
/** The bytes of the checksum of all others, which ends the file. */
const SUM = 32;

const ANEW = "Remove it to start anew, or name another file.";

/** The path of a checkpoint until it is whole. */
const unfinished = (path: string) => `${path}.new`;

/**
 * Makes the folder of a checkpoint, and sees that it can be written. What a killed run left unfinished is removed.
 *
 * @returns its path from the root
 * @throws {CheckpointError} if it cannot
 */
export async function prepareCheckpoint(given: string): Promise<string> {
  const path = resolve(given);
  try {
    const { isDirectory } = await Deno.stat(path).catch(() => ({ isDirectory: false }));
    if (isDirectory) throw new Error("it is a folder");
    await Deno.mkdir(dirname(path), { recursive: true });
    (await Deno.open(unfinished(path), { write: true, create: true })).close();
    await Deno.remove(unfinished(path));
    return path;
  } catch (error) {
    throw unwritable(given, error);
  }
}

function unwritable(path: string, cause: unknown): CheckpointError {
  return new CheckpointError(
    `The checkpoint ${path} cannot be written: ${
      messageOf(cause)
    }. Name a file in a folder that can be written, with ` +
      `enough space.`,
    { cause },
  );
}

/**
 * Writes a checkpoint in the place of the former one.
 *
 * @throws {CheckpointError} if it cannot be written; the former one stays
 */
export async function writeCheckpoint(path: string, { run, state, arrays }: Checkpoint): Promise<void> {
  const index = [...arrays].map(([name, { shape }]) => ({ name, shape }));
  const temporary = unfinished(path);
  try {
    const file = await Deno.open(temporary, { write: true, create: true, truncate: true });
    try {
      const sum = new Checksum();
      const writeAll = async (bytes: Uint8Array) => {
        for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
      };
      const write = async (bytes: Uint8Array) => {
        sum.add(bytes);
        await writeAll(bytes);
      };
      await write(new TextEncoder().encode(`${MAGIC}${JSON.stringify({ run, state, index })}\n`));
      for (const { data } of arrays.values()) {
        await write(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
      }
      await writeAll(sum.bytes());
      // On the disk before its name is: else a power cut could leave the name without the content.
      await file.sync();
    } finally {
      file.close();
    }
    await Deno.rename(temporary, path);
  } catch (error) {
    await Deno.remove(temporary).catch(() => {});
    throw unwritable(path, error);
  }
}

/**
 * Reads a checkpoint; null if there is none.
 *
 * @throws {CheckpointError} if the file is no checkpoint of this format, or not as it was written
 */
export async function readCheckpoint(path: string): Promise<Checkpoint | null> {
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = await readFile(pathToFileURL(resolve(path)), { room: { bytes: Infinity } });
  } catch (error) {
    const cause = error as FileError;
    if (cause.cause instanceof Deno.errors.NotFound) return null;
    throw new CheckpointError(`The checkpoint ${path} cannot be read: ${messageOf(cause)}.`, { cause });
  }
  const text = (from: number, to: number) => new TextDecoder().decode(bytes.subarray(from, to));
  if (text(0, MAGIC.length) !== MAGIC) {
    const former = text(0, KIND.length) === KIND;
    throw new CheckpointError(
      `${path} is ${
        former ? "a checkpoint of another version of convlens" : "not a checkpoint of a training run"
      }. ${ANEW}`,
    );
  }
  const end = Math.max(0, bytes.length - SUM);
  const content = bytes.subarray(0, end);
  if (sha256Of(content) !== bytes.subarray(end).toHex()) {
    throw new CheckpointError(`The checkpoint ${path} is damaged or cut short: its checksum does not fit. ${ANEW}`);
  }
  const start = content.indexOf(10, MAGIC.length) + 1;
  const { run, state, index } = JSON.parse(text(MAGIC.length, start)) as
    & Pick<Checkpoint, "run" | "state">
    & { index: { name: string; shape: number[] }[] };
  const arrays = new Map<string, NdArray>();
  let at = start;
  for (const { name, shape } of index) {
    // Copied, so that the values stand where 32-bit floats may.
    const part = content.slice(at, at += 4 * sizeOf(shape));
    arrays.set(name, ndarray(new Float32Array(part.buffer), shape));
  }
  return { run, state, arrays };
}
