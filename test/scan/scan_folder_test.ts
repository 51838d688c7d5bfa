import { afterAll, describe, expect, test, vi } from "vitest";
import { byCodeUnit } from "../../lib/data/dataset.ts";
import { readRows, writeRows } from "../../lib/data/rows_file.ts";
import {
  type FoundPatch,
  type ListedCell,
  readResult,
  ScanFolder,
  ScanFolderError,
  type Walked,
} from "../../lib/scan/scan_folder.ts";
import { long } from "../long.ts";
import { uniforms } from "../nets.ts";

const folder = await Deno.makeTempDir();
afterAll(() => Deno.remove(folder, { recursive: true }));
let folders = 0;
const fresh = () => `${folder}/${folders++}`;

const QUESTION = { layers: ["a", "b"], top: 2, model: { weights: "1234" }, backend: "cpu" };
const IMAGES = 90;
const idOf = (place: number) => `${place % 7}/bïld 🐕 ${place}`;
/** Images that cannot be read; the last among them. */
const BAD = new Set([0, 31, 32, IMAGES - 1]);

/** An image's cell in each of four lists. */
const cellsOf = (place: number): ListedCell[] =>
  [0, 1, 2, 3].map((list) => ({
    list,
    value: Math.fround(Math.sin(place * (1 + list >> 1) + list)),
    activation: place / 3,
    id: idOf(place),
    ...(place % 3 > 0 && { label: `class ${place % 3}` }),
    index: place,
    shape: "8,8,3",
    cell: place % 5,
  }));

/** The best two of each list. */
function best(cells: readonly ListedCell[]): ListedCell[] {
  const lists = Map.groupBy(cells, ({ list }) => list);
  return [...lists.keys()].sort().flatMap((list) =>
    lists.get(list)!.sort((a, b) => b.value - a.value || byCodeUnit(a.id, b.id)).slice(0, 2)
  );
}

const patchesOf = (cells: readonly ListedCell[]): FoundPatch[] =>
  cells.map(({ list, value, id, label, index, cell }, i) => ({
    layer: "ab"[list >> 1],
    unit: list % 2,
    rank: 1 + i % 2,
    imageId: id,
    ...(label !== undefined && { label }),
    activation: value,
    cell: cell === 0 ? [] : [cell, 7],
    box: [0, 1, 2, cell],
    index,
  }));

/** What a scan of the images does with a folder; it is cut off after so many batches. */
async function scan(path: string, { batch = 4, stopAfter = Infinity, each = () => {} } = {}): Promise<void> {
  using kept = await ScanFolder.open(path, QUESTION);
  if (kept.patches) return;
  let lists = best(kept.cells);
  const skipped = [...kept.walked.skipped];
  let waiting: number[] = [];
  let batches = 0;
  for (let place = kept.walked.images; place < IMAGES; place++) {
    if (BAD.has(place)) skipped.push({ id: idOf(place), reason: "it is torn" });
    else waiting.push(place);
    if (waiting.length < batch) continue;
    if (batches++ === stopAfter) return;
    each();
    const found = waiting.flatMap(cellsOf);
    lists = best([...lists, ...found]);
    const entered = found.filter((cell) => lists.includes(cell));
    await kept.add({ images: place + 1, last: idOf(place), skipped: [...skipped] }, entered, () => lists);
    waiting = [];
  }
  await kept.finish(patchesOf(best([...lists, ...waiting.flatMap(cellsOf)])), { images: IMAGES, skipped });
}

/** How far a folder is, and what is in it. */
async function lookInto(path: string): Promise<Walked & { cells: readonly ListedCell[] }> {
  using kept = await ScanFolder.open(path, QUESTION);
  return { ...kept.walked, cells: kept.cells };
}

/** All files of a folder with their bytes. */
async function bytesIn(path: string): Promise<Record<string, string>> {
  const entries = (await Array.fromAsync(Deno.readDir(path))).sort((a, b) => byCodeUnit(a.name, b.name));
  const files = entries.map(async ({ name }) => [name, (await Deno.readFile(`${path}/${name}`)).toBase64()] as const);
  return Object.fromEntries(await Promise.all(files));
}

const whole = fresh();
const upTo = (count: number) => Array.from({ length: count }, (_, i) => i).filter((i) => !BAD.has(i)).flatMap(cellsOf);
const wanted = patchesOf(best(upTo(IMAGES)));
await scan(whole);

describe("A scan's folder", () => {
  test("holds the patches at the end, as Parquet, and the images that could not be read", async () => {
    const { rows, about } = (await readResult(whole))!;
    expect(rows).toEqual(wanted);
    expect(about.images).toBe(IMAGES);
    expect(about.skipped.map(({ id }) => id)).toEqual([...BAD].map(idOf));
    expect(Object.keys(await bytesIn(whole))).toEqual(["lock", "manifest.json", "top_patches.parquet"]);
    await scan(whole, { each: () => expect.unreachable() });
    using kept = await ScanFolder.open(whole, QUESTION);
    expect(kept.patches).toEqual(wanted);
  });

  test("is taken up where it was left, with batches of any size, and ends with the same bytes", async () => {
    const random = uniforms(7);
    const bytes = await bytesIn(whole);
    for (let repeat = 0; repeat < long(5, 1); repeat++) {
      const path = fresh();
      for (let last = 0; !(await readResult(path));) {
        const { images } = await lookInto(path);
        expect(images).toBeGreaterThanOrEqual(last);
        last = images;
        await scan(path, { batch: 3 + Math.floor(7 * random()), stopAfter: Math.floor(20 * random()) });
      }
      expect(await bytesIn(path)).toEqual(bytes);
    }
  });

  test("keeps few files of progress, and what they hold is what was found", async () => {
    const path = fresh();
    await scan(path, { batch: 1, stopAfter: 80 });
    const names = Object.keys(await bytesIn(path)).filter((name) => name.startsWith("progress"));
    expect(names.length).toBeLessThan(64);
    const { images, last, skipped, cells } = await lookInto(path);
    expect({ images, last, skipped: skipped.length }).toEqual({ images: 83, last: idOf(82), skipped: 3 });
    expect(best(cells)).toEqual(best(upTo(83)));
  });

  test("of which files were torn by a power cut is taken up before these", async () => {
    const path = fresh();
    await scan(path, { stopAfter: 9 });
    const names = Object.keys(await bytesIn(path)).filter((name) => name.startsWith("progress"));
    const torn = await Deno.readFile(`${path}/${names[5]}`);
    await Deno.writeFile(`${path}/${names[5]}`, torn.subarray(0, torn.length - 9));
    await Deno.writeTextFile(`${path}/${names[6]}.other.1.partial`, "half");
    expect((await lookInto(path)).images).toBe(21);
    await scan(path);
    expect(await bytesIn(path)).toEqual(await bytesIn(whole));
  });

  test("refuses a second scan, in this process and in another, until the first is over", async () => {
    const path = fresh();
    const kept = await ScanFolder.open(path, QUESTION);
    await expect(ScanFolder.open(path, QUESTION)).rejects.toThrow(
      /is being written by another scan \(process \d+ on .+\): wait until it is over/,
    );
    kept[Symbol.dispose]();
    (await ScanFolder.open(path, QUESTION))[Symbol.dispose]();
  });

  test("refuses another question by the name of what differs", async () => {
    for (
      const [other, differs] of [
        [{ ...QUESTION, top: 9 }, "it differs in top (2 there, 9 here)"],
        [{ ...QUESTION, model: { weights: "5" } }, 'it differs in model, weights ("1234" there, "5" here)'],
      ] as const
    ) await expect(ScanFolder.open(whole, other)).rejects.toThrow(differs);
  });

  test("is not made of a folder that holds something else, nor of a file, nor without its manifest", async () => {
    const path = fresh();
    await Deno.mkdir(path);
    await Deno.writeTextFile(`${path}/thesis.txt`, "years of work");
    await expect(ScanFolder.open(path, QUESTION)).rejects.toThrow(
      /holds something else \("thesis.txt"\): name a folder/,
    );
    expect(Object.keys(await bytesIn(path))).toEqual(["thesis.txt"]);
    await expect(ScanFolder.open(`${path}/thesis.txt`, QUESTION)).rejects.toThrow(ScanFolderError);
    const lost = fresh();
    await scan(lost, { stopAfter: 2 });
    await Deno.remove(`${lost}/manifest.json`);
    await expect(ScanFolder.open(lost, QUESTION)).rejects.toThrow(/holds progress-.*, and no manifest.json/);
  });

  test("on a full disk keeps what was there, says so, and goes on when there is room", async () => {
    const path = fresh();
    const { write } = Deno.FsFile.prototype;
    let room = 0;
    const full = vi.spyOn(Deno.FsFile.prototype, "write").mockImplementation(function (this: Deno.FsFile, bytes) {
      room -= bytes.length;
      if (room < 0) throw new Error("No space left on device (os error 28)");
      return write.call(this, bytes);
    });
    try {
      const reached: number[] = [];
      for (room = 900; reached.at(-1) !== IMAGES; room = 15_000) {
        const error = await scan(path, { batch: 3 }).then(() => undefined, (error) => error);
        if (error) {
          expect(error).toBeInstanceOf(ScanFolderError);
          expect(error.message).toMatch(/cannot be written: No space left on device/);
        }
        room = Infinity;
        const { images } = await lookInto(path);
        if (error && reached.length > 0) expect(error.message).toContain(`in the first ${images} images is kept`);
        reached.push(images);
      }
      expect(reached.length).toBeGreaterThan(2);
      expect(reached).toEqual([...new Set(reached)].sort((a, b) => a - b));
    } finally {
      full.mockRestore();
    }
    expect(await bytesIn(path)).toEqual(await bytesIn(whole));
  });
});

describe("A file of rows", () => {
  test("may be empty; there may be none; another file is refused", async () => {
    const path = fresh();
    expect(await readRows(path)).toBeNull();
    await writeRows(path, [{ name: "layer", kind: "text" }], [] as FoundPatch[], { images: 0 });
    expect(await readRows(path)).toEqual({ rows: [], about: { images: 0 } });
    await Deno.writeTextFile(path, "no Parquet");
    await expect(readRows(path)).rejects.toThrow(/cannot be read as a Parquet file/);
  });
});
