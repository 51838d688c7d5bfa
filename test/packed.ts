/** Arrays as the oracles write them, and the values that they and the tests make alike: `test/oracles/fixture.py`. */

import type { Tensor } from "@tensorflow/tfjs";
import { expect } from "vitest";
import { sizeOf } from "../lib/array.ts";
import { zipEntries, type ZipEntry, zipInMemory } from "../lib/zip.ts";

/** Shape, largest magnitude and its parts in 16 bits. */
export type Packed = [shape: number[], scale: number, parts: string];

/** The values of a packed array. */
export function unpack([, scale, text]: Packed): Float32Array {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return Float32Array.from(new Int16Array(bytes.buffer), (part) => part / 32767 * scale);
}

/** The values of `wave` in the oracles. */
export function wave(shape: readonly number[], seed: number): Float32Array {
  let state = seed;
  return Float32Array.from({ length: sizeOf(shape) }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 16) / 2 ** 15 - 1;
  });
}

/** How far a tensor is from a packed array, in parts of that one's largest value. */
export function distance(found: Tensor, wanted: Packed): number {
  expect(found.shape).toEqual(wanted[0]);
  const values = found.dataSync();
  return unpack(wanted).reduce((most, value, i) => Math.max(most, Math.abs(value - values[i])), 0) /
    Math.max(wanted[1], 0.01);
}

/** The files of a fixture that is an archive. */
export async function entriesOf(name: string): Promise<Map<string, ZipEntry>> {
  const bytes = await Deno.readFile(new URL(`oracles/fixtures/${name}`, import.meta.url));
  return new Map((await zipEntries(zipInMemory(bytes))).map((entry) => [entry.name, entry]));
}

/** The files of a fixture that is an archive, and the cases that its `cases.json` names. */
export async function readArchive<Case>(name: string): Promise<{ entries: Map<string, ZipEntry>; cases: Case[] }> {
  const entries = await entriesOf(name);
  const { cases } = JSON.parse(new TextDecoder().decode(await entries.get("cases.json")!.read()));
  return { entries, cases };
}
