/**
 * Checkpoints of a training run: one file, written so that a kill at any moment leaves the former one or the new one.
 *
 * @module
 */

import { dirname } from "node:path";
import { type NdArray, sizeOf } from "../../array.ts";

/** A checkpoint that cannot be used, with the reason and the remedy. */
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
  arrays: Record<string, NdArray>;
}

/** The first bytes of each checkpoint. */
const MAGIC = "convlens checkpoint 1\n";

/** Writes a checkpoint in the place of the former one; its folder is made if there is none. */
export async function writeCheckpoint(path: string, { run, state, arrays }: Checkpoint): Promise<void> {
  const index = Object.entries(arrays).map(([name, { shape }]) => ({ name, shape }));
  const head = new TextEncoder().encode(`${MAGIC}${JSON.stringify({ run, state, index })}\n`);
  await Deno.mkdir(dirname(path), { recursive: true });
  const temporary = `${path}.new`;
  const file = await Deno.open(temporary, { write: true, create: true, truncate: true });
  try {
    const writeAll = async (bytes: Uint8Array) => {
      for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
    };
    await writeAll(head);
    for (const { data } of Object.values(arrays)) {
      await writeAll(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    }
    // On the disk before its name is: else a power cut could leave the name without the content.
    await file.sync();
  } finally {
    file.close();
  }
  await Deno.rename(temporary, path);
}

/**
 * Reads a checkpoint; null if there is none.
 *
 * @throws {CheckpointError} if the file is no checkpoint, or is cut short
 */
export async function readCheckpoint(path: string): Promise<Checkpoint | null> {
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = await Deno.readFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
  const magic = new TextEncoder().encode(MAGIC);
  const end = bytes.indexOf(10, magic.length);
  if (end < 0 || !magic.every((byte, i) => bytes[i] === byte)) {
    throw new CheckpointError(
      `${path} is not a checkpoint of a training run. Name another file, or remove this one to start anew.`,
    );
  }
  const { run, state, index } = JSON.parse(new TextDecoder().decode(bytes.subarray(magic.length, end))) as
    & Pick<Checkpoint, "run" | "state">
    & { index: { name: string; shape: number[] }[] };
  const arrays: Record<string, NdArray> = {};
  let at = end + 1;
  for (const { name, shape } of index) {
    const length = 4 * sizeOf(shape);
    // Copied, so that the values stand where 32-bit floats may.
    const part = bytes.slice(at, at + length);
    if (part.length !== length) {
      throw new CheckpointError(`The checkpoint ${path} is cut short. Remove it to start anew.`);
    }
    arrays[name] = { data: new Float32Array(part.buffer), shape };
    at += length;
  }
  return { run, state, arrays };
}

/**
 * Refuses a checkpoint of another run.
 *
 * @throws {CheckpointError} says what differs
 */
export function checkSameRun(path: string, stored: Record<string, unknown>, wanted: Record<string, unknown>): void {
  const text = (value: unknown) => JSON.stringify(value) ?? "nothing";
  const differing = [...new Set([...Object.keys(stored), ...Object.keys(wanted)])]
    .filter((key) => text(stored[key]) !== text(wanted[key]))
    .map((key) => `${key} (${shortened(text(stored[key]))} there, ${shortened(text(wanted[key]))} here)`);
  if (differing.length === 0) return;
  throw new CheckpointError(
    `The checkpoint ${path} belongs to another run; it differs in ${differing.join("; ")}. Train with what it was ` +
      `made with, name another file, or remove this one to start anew.`,
  );
}

function shortened(text: string): string {
  return text.length > 120 ? `${text.slice(0, 117)}…` : text;
}
