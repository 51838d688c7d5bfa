/**
 * Data sets: images that are read one after the other, with their labels.
 *
 * @module
 */

import { NdArray } from "../array.ts";
import { kindOf } from "../errors.ts";
import { displaySymbol, type MimeBundle } from "../figure/cell.ts";
import type { Figure } from "../figure/figure.ts";
import { interruptible } from "../interrupt.ts";
import { checkArray, checkWhole, checkWithin, readOptions, rule, text, whole } from "../options.ts";
import { randomStream, shuffled } from "../random.ts";
import { bytesOfGiven, type Given, pictureOf, toGiven } from "./given.ts";
import { filePathOf, type Image, type ImageLike } from "./image.ts";
import type { CachedFile } from "./image_cache.ts";
import { readAhead } from "./read_ahead.ts";
import { type LabelCount, sampleFigure, samplePlaces, sizeText, unlabelledText } from "./sample.ts";

/** What is known of an image before it is read. Other columns may stand beside these. */
export interface DatasetRow {
  /** Unlike that of any other image of the data set, and the same from run to run. */
  readonly id: string;
  /** What the image shows, where that is known. */
  readonly label?: string;
}

/** One image of a {@linkcode Dataset}. */
export interface DatasetItem extends DatasetRow {
  /** The image itself. */
  readonly image: Image;
}

/** Images in a fixed order. It may be walked any number of times; images are read while it is walked. */
export interface Dataset extends AsyncIterable<DatasetItem> {
  /** What captions call it, as `"CIFAR-10 test"`. */
  readonly name: string;
  /** How many images there are. */
  readonly size: number;
  /** The labels that occur, each once, where the data set has labels. */
  readonly labels?: readonly string[];
}

/**
 * @param asker the function that wants a data set, as `"train"`
 * @throws {TypeError} if it is none, or its labels are not strings
 * @throws {RangeError} if its size is not a whole number ≥ 1, or two of its labels are the same
 */
export function checkDataset(asker: string, dataset: unknown): asserts dataset is Dataset {
  const { name, size, labels, [Symbol.asyncIterator]: walk } = (dataset ?? {}) as Partial<Dataset>;
  if (typeof walk !== "function" || typeof size !== "number") {
    throw new TypeError(
      `${asker} wants a data set, as await cifar10() or await imageFolder("photos") gives one, or dataset(items) of ` +
        `images of your own: received ${kindOf(dataset)}.`,
    );
  }
  const named = `The data set ${JSON.stringify(name)}`;
  if (size === 0) throw new RangeError(`${named} holds no image; wanted at least one.`);
  checkWhole(`The size of ${named.replace("The", "the")}, how many images it gives,`, size, 1);
  if (labels !== undefined) checkLabels(`The labels of ${named.replace("The", "the")}`, labels);
}

/** Whether something may be meant as a data set: it can be walked asynchronously. */
export const isDataset = (value: unknown): value is Dataset =>
  typeof (value as Partial<Dataset> | null)?.[Symbol.asyncIterator] === "function";

/**
 * @param name what the labels are, at the start of a sentence
 * @throws {TypeError} if they are no array of strings
 * @throws {RangeError} if two are the same
 */
export function checkLabels(name: string, labels: unknown): void {
  checkArray(name, labels, 'labels, as ["cat", "dog"]');
  const each = labels as readonly unknown[];
  each.forEach((label, i) => {
    if (typeof label !== "string") {
      throw new TypeError(`${name} must be strings: received ${kindOf(label)} at ${i}. Write them as text.`);
    }
    const first = each.indexOf(label);
    if (first < i) throw new RangeError(`${name} must differ: ${JSON.stringify(label)} stands at ${first} and ${i}.`);
  });
}

/** Names in an order that does not depend on the machine's language. */
export const byCodeUnit = (a: string, b: string): number => a < b ? -1 : a > b ? 1 : 0;

class SeedOptions {
  @whole()
  seed = 0;
}

/** A seed by itself or among options, as `7` or `{ seed: 7 }`. */
export type Seed = number | { readonly seed?: number };

const seedOf = (asker: string, seed: Seed): number =>
  readOptions(asker, SeedOptions, typeof seed === "number" ? { seed } : seed).seed;

/** What {@linkcode ImageDataset} is made of. */
export interface DatasetParts {
  /** What captions call it. */
  readonly name: string;
  /** The labels that occur, each once. */
  readonly labels?: readonly string[];
  /** What is known of each image; only how many there are where nothing is known before they are read. */
  readonly rows: readonly DatasetRow[] | number;
  /** Walks the images at these places, in this order. */
  readonly walk: (places: Iterable<number>) => AsyncIterable<UnreadItem>;
}

/** An image of a data set before it is read. */
export interface UnreadItem {
  /** What is known of it. */
  readonly known: DatasetRow;
  /** Reads it; fails if it is damaged or gone, and the walk can go on all the same. */
  readonly read: () => Given | Promise<Given>;
  /** The file that it is read from, where it is one of a data set that knows all its images: others may be read at once. */
  readonly file?: CachedFile;
}

/** An image that was left out, because it could not be read. */
export interface SkippedImage {
  /** Its id in the data set. */
  readonly id: string;
  /** Why it could not be read. */
  readonly reason: string;
}

/**
 * The images of a data set, each to be read by whoever walks them.
 *
 * @param from the place of the first one
 * @param places of those that are wanted, in rising order; @default all
 * @throws {TypeError} if a data set that is not made by {@linkcode dataset} gives what is no item
 */
export async function* unreadItems(
  dataset: Dataset,
  from = 0,
  places?: readonly number[],
): AsyncGenerator<UnreadItem, undefined> {
  if (dataset instanceof ImageDataset) return yield* dataset.unread(from, places);
  const wanted = places?.values();
  let next = wanted?.next();
  let place = 0;
  for await (const item of dataset) {
    if (next?.done) return;
    if (next ? next.value === place : place >= from) {
      yield unread(item, place);
      next = wanted?.next();
    }
    place++;
  }
}

/** The numbers from 0 on; not as an array, because a data set may say that it is of any size. */
function* everyPlace(count: number, from = 0): Generator<number, undefined> {
  for (let place = from; place < count; place++) yield place;
}

/** At most this many lines are printed of a list. */
const MOST_LINES = 20;

/** A list, cut where it is long; `where` names what holds all of it. */
export const shortened = (lines: readonly string[], where: string): string[] =>
  lines.length <= MOST_LINES
    ? [...lines]
    : [...lines.slice(0, MOST_LINES), `  and ${lines.length - MOST_LINES} more (see ${where})`];

/**
 * A {@linkcode Dataset} that can be cut, filtered and shuffled; none of this reads an image. In a cell it shows how many
 * images each label has, and a sample of them.
 */
export class ImageDataset implements Dataset {
  /** What captions call it, as `"CIFAR-10 test"`. */
  readonly name: string;
  /** How many images there are. */
  readonly size: number;
  /** The labels that occur, each once, where the data set has labels. */
  declare readonly labels?: readonly string[];
  readonly #parts: DatasetParts;
  /** Its images among those of the parts; all where it is undefined. */
  readonly #some: readonly number[] | undefined;

  /** @internal */
  constructor(parts: DatasetParts, places?: readonly number[]) {
    const { name, labels, rows } = parts;
    this.name = name;
    this.#parts = parts;
    this.#some = places;
    this.size = places?.length ?? (typeof rows === "number" ? rows : rows.length);
    if (labels) this.labels = labels;
  }

  /** Walks the images in their order, as `for await` does; ends with an error at one that cannot be read. */
  async *[Symbol.asyncIterator](): AsyncGenerator<DatasetItem, undefined> {
    const signal = interruptible();
    const images = readAhead(this.unread(), {
      read: async ({ read }) => await read(),
      goOn: ({ file }) => file !== undefined,
      bytes: bytesOfGiven,
    });
    for await (const { item: { known }, value } of images) {
      signal.throwIfAborted();
      // What is no picture is handed on as it was given.
      yield { ...known, image: await value() as Image };
    }
  }

  /** @internal Walks the images in their order, from a place on or those at some places, without reading them. */
  async *unread(from = 0, places?: readonly number[]): AsyncGenerator<UnreadItem, undefined> {
    const some = this.#some;
    const chosen = some && places ? places.map((place) => some[place]) : places ?? some?.slice(from);
    yield* this.#parts.walk(chosen ?? everyPlace(this.size, from));
  }

  /** @internal What is known of the images before they are read, in their order; undefined where that is nothing. */
  get known(): readonly DatasetRow[] | undefined {
    const { rows } = this.#parts;
    return typeof rows === "number" ? undefined : this.#places().map((place) => rows[place]);
  }

  /** How many images each label has, in the order of the labels; empty without labels, and where they are not known before. */
  get counts(): readonly LabelCount[] {
    const { rows } = this.#parts;
    if (typeof rows === "number") return [];
    const counts = new Map(this.labels?.map((label) => [label, 0]));
    for (const place of this.#places()) {
      const { label } = rows[place];
      if (label !== undefined) counts.set(label, (counts.get(label) ?? 0) + 1);
    }
    return Array.from(counts, ([label, images]) => ({ label, images }));
  }

  /** Bars of the labels' counts, and a sample of the images, which are read for it: the same each time. */
  figure(): Promise<Figure> {
    const { rows } = this.#parts;
    const own = this.#places();
    // Where nothing is known of the images, they come in their order.
    const chosen = typeof rows === "number"
      ? own.slice(0, 16)
      : samplePlaces(own.map((at) => rows[at].label), this.labels).map((i) => own[i]);
    const { name, size, counts } = this;
    return sampleFigure({ name, size, counts, sample: this.#parts.walk(chosen), note: this.note });
  }

  /** What its figure says besides. */
  protected get note(): string {
    return "";
  }

  /** Shows it here and now, also from the middle of a cell; prints text outside Jupyter. */
  async show(): Promise<void> {
    await (await this.figure()).show();
  }

  /** What Jupyter asks the last expression of a cell for. */
  async [displaySymbol](): Promise<MimeBundle> {
    return { ...await (await this.figure()).bundle(), "text/plain": this.text };
  }

  /** What `console.log` prints. */
  [Symbol.for("Deno.customInspect")](): string {
    return this.text;
  }

  /** The data set in words: its name, how many images it has, and how many of each label. */
  protected get text(): string {
    const { counts } = this;
    return [
      `${JSON.stringify(this.name)}: ${sizeText(this.size, counts.length)}`,
      ...shortened(counts.map(({ label, images }) => `  ${JSON.stringify(label)}: ${images}`), ".counts"),
      ...unlabelledText(this.size, counts).map((text) => `  ${text}`),
    ].join("\n");
  }

  #places(): readonly number[] {
    return this.#some ?? [...everyPlace(this.size)];
  }

  /**
   * The first images: all where there are no more.
   *
   * @throws {RangeError} if the count is not a whole number ≥ 1
   */
  take(count: number): ImageDataset {
    checkWhole("take's count", count, 1);
    return this.#with(this.#some?.slice(0, count) ?? [...everyPlace(Math.min(count, this.size))]);
  }

  /**
   * One of several parts of nearly the same size, for as many processes: images that stand one behind the other. The parts
   * together are the whole.
   *
   * @param index which part, from 0
   * @param count how many parts there are
   * @throws {RangeError} if there is no such part, or there are more parts than images
   *
   * @example
   * ```ts
   * import { cifar10 } from "@convlens/convlens";
   * const third = (await cifar10({ split: "test" })).shard(2, 4);
   * console.log(third.size);
   * ```
   */
  shard(index: number, count: number): ImageDataset {
    checkWhole("shard's count", count, 1);
    checkWhole("shard's index", index, 0);
    if (index >= count || count > this.size) {
      throw new RangeError(
        `There is no shard ${index} of ${count} of the ${this.size} images of ${
          JSON.stringify(this.name)
        }: the index ` +
          `is below the count, and the count at most the number of images.`,
      );
    }
    const [from, to] = [index, index + 1].map((i) => Math.floor(i * this.size / count));
    return this.#with(this.#places().slice(from, to));
  }

  /**
   * The images of which a condition holds. Its labels are those that are left.
   *
   * @param condition is asked about what is known of an image (`id`, `label` and further columns), not about its pixels
   * @throws {TypeError} if it is no function, or nothing is known of the images before they are read
   * @throws {RangeError} if it holds of none
   *
   * @example
   * ```ts
   * import { cifar10 } from "../../mod.ts";
   * const pets = (await cifar10()).filter(({ label }) => label === "cat" || label === "dog");
   * console.log(pets.size);
   * ```
   */
  filter(condition: (row: DatasetRow & Readonly<Record<string, unknown>>) => boolean): ImageDataset {
    if (typeof condition !== "function") {
      throw new TypeError(`filter wants a function of { id, label, … }: received ${kindOf(condition)}.`);
    }
    const rows = this.#known("filter");
    const own = this.#places();
    const places = own.filter((place) => condition(rows[place] as DatasetRow & Record<string, unknown>));
    if (places.length === 0) {
      throw new RangeError(
        `filter leaves none of the ${this.size} images of ${JSON.stringify(this.name)}: the first is ` +
          `${JSON.stringify(rows[own[0]])}.`,
      );
    }
    const left = new Set(places.map((place) => rows[place].label));
    return this.#with(places, this.labels?.filter((label) => left.has(label)));
  }

  /**
   * Two data sets: a share of the images, chosen at random, and the others. Both keep the order.
   *
   * @param share of the first, above 0 and below 1
   * @param seed the choice depends on it: a whole number, or `{ seed }` @default 0
   * @throws {RangeError} if one of the two would be empty
   */
  split(share: number, seed: Seed = {}): [ImageDataset, ImageDataset] {
    const given = seedOf("split", seed);
    checkWithin("split's share", share, 0, 1);
    const count = Math.round(share * this.size);
    if (count === 0 || count === this.size) {
      throw new RangeError(
        `A share of ${share} of ${this.size} images is ${
          count === 0 ? "none" : "all"
        } of them: both parts of a split ` +
          `hold at least one image.`,
      );
    }
    const places = this.#places();
    const order = shuffled(this.size, randomStream(given));
    const part = (chosen: Uint32Array) => this.#with(Array.from(chosen.sort(), (index) => places[index]));
    return [part(order.slice(0, count)), part(order.slice(count))];
  }

  /**
   * The same images in a random order.
   *
   * @param seed the order depends on it: a whole number, or `{ seed }` @default 0
   * @throws {TypeError} if the images can only be read in their order
   */
  shuffle(seed: Seed = {}): ImageDataset {
    const order = shuffled(this.size, randomStream(seedOf("shuffle", seed)));
    this.#known("shuffle");
    const places = this.#places();
    return this.#with(Array.from(order, (index) => places[index]));
  }

  #with(places: readonly number[], labels = this.labels): ImageDataset {
    return new ImageDataset({ ...this.#parts, labels }, places);
  }

  #known(asker: string): readonly DatasetRow[] {
    const { rows } = this.#parts;
    if (typeof rows !== "number") return rows;
    throw new TypeError(
      `The images of ${JSON.stringify(this.name)} come one after the other, and nothing is known of them before; ` +
        `${asker} wants an array of them: dataset(await Array.fromAsync(items)).`,
    );
  }
}

/** An image for {@linkcode dataset}; further columns may stand beside these. */
export interface ItemLike {
  /** Unlike that of any other image. @default its place, as `"0"` */
  readonly id?: string;
  /** An image, a path or an address (read when it is its turn), bytes, or pixels `[h, w, 3]` or `[h, w, 1]`, 0…255. */
  readonly image: ImageLike;
  /** What it shows. */
  readonly label?: string;
  /** What is true of it for networks that tell no classes apart: several labels. */
  readonly labels?: unknown;
  /** The number that is true of it. */
  readonly value?: unknown;
  /** The numbers that are true of it, one for each output. */
  readonly values?: unknown;
  /** What is true at each place: of classes their indices, `[h, w]`; of numbers these. */
  readonly mask?: unknown;
  /** As `mask`, for numbers. */
  readonly map?: unknown;
}

/** Options of {@linkcode dataset}. */
export class DatasetOptions {
  /** What captions call the data set. @default that of the items if they have one, else `"images"` */
  @text()
  name?: string;
  /** All labels, in the order of a model's outputs. @default those that occur, in the order of the alphabet */
  @rule(checkLabels)
  labels?: readonly string[];
}

/**
 * A data set of your own.
 *
 * A network of several inputs finds what its other inputs read in columns of their names: of
 * `{ image: "road.png", angle: 0.3 }` its input `"angle"` reads 0.3. Or `image` is a record itself,
 * `{ image: { image: "road.png", angle: 0.3 } }`.
 *
 * @param items `{ image, id?, label?, …columns }`: an array or other iterable, or an asynchronous iterable that knows
 *   its `size` and may be walked more than once, for images that are made while they are read
 * @throws {TypeError} if they are no items, or one has no image
 * @throws {RangeError} if there is none, or two have the same id
 *
 * @example
 * ```ts
 * import { dataset, photo } from "@convlens/convlens";
 * const pets = dataset([
 *   { id: "dog", image: await photo("dog"), label: "dog" },
 *   { id: "cat", image: await photo("cat"), label: "cat" },
 * ], { name: "pets" });
 * console.log(pets.size);
 * ```
 */
export function dataset<Item extends ItemLike>(
  items: Iterable<Item> | (AsyncIterable<Item> & { readonly size: number }),
  options: Partial<DatasetOptions> = {},
): ImageDataset {
  const given = readOptions("dataset", DatasetOptions, options);
  const own = (typeof items === "object" && items !== null ? items : {}) as Partial<Dataset> & Iterable<ItemLike>;
  const name = given.name ?? own.name ?? "images";
  if (typeof items === "string") {
    throw new TypeError(
      `dataset wants items, as [{ image: "dog.jpg", label: "dog" }]: received ${kindOf(items)}. ` +
        `await imageFolder(path) reads the images of a folder, await imageManifest(path) those that a table lists.`,
    );
  }
  if (typeof own[Symbol.iterator] === "function") return fromList([...own], name, given.labels);
  if (typeof own[Symbol.asyncIterator] !== "function") {
    throw new TypeError(
      `dataset wants an array of { image, id, label }, or another iterable of them: received ${kindOf(items)}.`,
    );
  }
  if (!Number.isSafeInteger(own.size) || own.size! < 1) {
    throw new TypeError(
      `An asynchronous iterable of images wants a size, a whole number ≥ 1 of how many there are, as { size: 12, ` +
        `async *[Symbol.asyncIterator]() { … } }: received the size ${kindOf(own.size)}.`,
    );
  }
  return fromStream(items as AsyncIterable<ItemLike>, own.size!, name, given.labels ?? own.labels);
}

/** @throws {TypeError} if it is no item for {@linkcode dataset} */
function checkItem(item: unknown, place: number): asserts item is ItemLike {
  if (typeof item !== "object" || item === null || Array.isArray(item)) {
    throw new TypeError(
      `Item ${place} of a data set must be an object { image, id, label }: received ${kindOf(item)}.`,
    );
  }
  const { image, id, label } = item as Partial<ItemLike>;
  const named = typeof id === "string" ? ` (id ${JSON.stringify(id)})` : "";
  if (image === undefined || image === null) {
    throw new TypeError(
      `Item ${place}${named} of a data set has no image; it has ${
        Object.keys(item).filter((name) => name !== "image").join(", ") || "nothing"
      }.`,
    );
  }
  for (const [name, value] of [["id", id], ["label", label]] as const) {
    if (value === undefined || typeof value === "string") continue;
    throw new TypeError(
      `The ${name} of item ${place}${named} of a data set must be a string: received ${kindOf(value)}. ` +
        (value === null ? "Leave it out where there is none." : "Write it as text, with String(…)."),
    );
  }
}

/** What is given for an image; an array of three axes is one. */
async function readGiven(image: ImageLike): Promise<Given> {
  const given = await toGiven(image);
  return given instanceof NdArray && given.shape.length === 3 ? pictureOf(given) : given;
}

/** A checked item under an id, its image to be read. */
function unread(item: unknown, place: number): UnreadItem {
  checkItem(item, place);
  const { image, ...known } = item;
  return { known: { id: String(place), ...known }, read: () => readGiven(image) };
}

/** The same, with its file where it has one. */
function withFile(item: UnreadItem, { image }: ItemLike): UnreadItem {
  const path = filePathOf(image);
  return path === undefined ? item : { ...item, file: { path } };
}

function fromList(own: readonly ItemLike[], name: string, labels?: readonly string[]): ImageDataset {
  if (own.length === 0) throw new RangeError(`The data set ${JSON.stringify(name)} holds no image.`);
  const each = own.map(unread);
  const rows = each.map(({ known }) => known);
  const seen = new Map<string, number>();
  rows.forEach(({ id }, place) => {
    if (seen.has(id)) {
      throw new RangeError(
        `Items ${seen.get(id)} and ${place} of the data set ${JSON.stringify(name)} have the same id, ` +
          `${JSON.stringify(id)}. Give each its own, or none.`,
      );
    }
    seen.set(id, place);
  });
  const found = [...new Set(rows.flatMap(({ label }) => label ?? []))].sort(byCodeUnit);
  return new ImageDataset({
    name,
    labels: labels ?? (found.length > 0 ? found : undefined),
    rows,
    async *walk(places) {
      for (const place of places) yield withFile(each[place], own[place]);
    },
  });
}

function fromStream(
  items: AsyncIterable<ItemLike>,
  size: number,
  name: string,
  labels?: readonly string[],
): ImageDataset {
  return new ImageDataset({
    name,
    labels,
    rows: size,
    // Places are in their order: what changes it asks for rows.
    async *walk(places) {
      const wanted = places[Symbol.iterator]();
      let next = wanted.next();
      let place = 0;
      for await (const item of items) {
        if (next.done) return;
        if (place === next.value) {
          yield unread(item, place);
          next = wanted.next();
        }
        place++;
      }
      if (next.done) return;
      throw new RangeError(
        `The data set ${JSON.stringify(name)} says that it holds ${size} images, and gave ${place}. An iterable is ` +
          `walked more than once: it must begin anew each time.`,
      );
    },
  });
}
