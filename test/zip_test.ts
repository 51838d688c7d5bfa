/** Zip archives against those of fflate, and damaged ones. */

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { unzipSync, zipSync } from "fflate";
import { replaceWhole, writeChunks } from "../lib/files.ts";
import { zipEntries, ZipError, zipInMemory, type ZipInput, zipOnDisk, zipped } from "../lib/zip.ts";

const utf8 = (text: string) => new TextEncoder().encode(text);
const TEXT = "a net, ".repeat(200);
const NUMBERS = new Uint8Array(3000).map((_, i) => i * i);

async function* halves(bytes: Uint8Array) {
  yield bytes.subarray(0, 1000);
  yield bytes.subarray(1000);
}

/** An archive in memory. */
async function archive(inputs: readonly ZipInput[]): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await new Blob(await Array.fromAsync(zipped(inputs)) as BlobPart[]).arrayBuffer());
}

/** All files of an archive. */
async function contentOf(bytes: Uint8Array): Promise<Record<string, Uint8Array>> {
  const entries = await zipEntries(zipInMemory(bytes));
  return Object.fromEntries(await Promise.all(entries.map(async ({ name, read }) => [name, await read()])));
}

const INPUTS = [
  { name: "model.json", content: TEXT },
  { name: "parts/größe.bin", content: NUMBERS },
  { name: "none", content: "" },
];
const CONTENT = { "model.json": utf8(TEXT), "parts/größe.bin": NUMBERS, none: new Uint8Array() };

describe("zip archives", () => {
  test("are read by another program, with text compressed and bytes as they are", async () => {
    const bytes = await archive([...INPUTS.slice(0, 1), { ...INPUTS[1], content: halves(NUMBERS) }, INPUTS[2]]);
    expect(unzipSync(bytes)).toEqual(CONTENT);
    expect(bytes.length).toBeLessThan(TEXT.length + NUMBERS.length);
    expect(await contentOf(bytes)).toEqual(CONTENT);
  });

  test("of another program are read, folders left out", async () => {
    const bytes = zipSync({ ...CONTENT, "folder/": new Uint8Array() }, { level: 9, comment: "by another" });
    expect(await contentOf(bytes)).toEqual(CONTENT);
  });

  test("are refused when any byte of their files is damaged", async () => {
    const whole = await archive(INPUTS);
    const failures: unknown[] = [];
    for (let at = 0; at < whole.length; at += 7) {
      const bytes = whole.slice();
      bytes[at] ^= 0x55;
      const content = await contentOf(bytes).catch((error) => failures.push(error));
      // Names, dates and comments have no sum; nor are they what is read.
      if (typeof content === "object") expect(Object.values(content)).toEqual(Object.values(CONTENT));
    }
    expect(failures.length).toBeGreaterThan(400);
    for (const error of failures) expect(error).toBeInstanceOf(ZipError);
  });

  test.each([
    ["cut short", (bytes: Uint8Array) => bytes.subarray(0, -5), /cut short, or no zip archive/],
    ["no archive", () => utf8(TEXT), /no zip archive/],
    ["empty", () => new Uint8Array(), /no zip archive/],
  ])("that are %s are refused", async (_, change, message) => {
    const bytes = change(await archive(INPUTS));
    await expect(zipEntries(zipInMemory(bytes))).rejects.toThrow(message);
  });
});

describe("a file that is replaced", () => {
  let folder: string;
  beforeAll(async () => void (folder = await Deno.makeTempDir()));
  afterAll(() => Deno.remove(folder, { recursive: true }));

  test("is whole or as it was", async () => {
    const path = `${folder}/net.zip`;
    const write = (chunks: Iterable<Uint8Array>) => replaceWhole(path, (partial) => writeChunks(partial, chunks));
    await write([await archive(INPUTS)]);
    const failing = function* () {
      yield NUMBERS;
      throw new Error("the disk is full");
    };
    await expect(write(failing())).rejects.toThrow("the disk is full");
    expect([...Deno.readDirSync(folder)].map(({ name }) => name)).toEqual(["net.zip"]);
    const [first] = await zipEntries(zipOnDisk(path));
    expect(new TextDecoder().decode(await first.read())).toBe(TEXT);
  });
});
