/**
 * A data set as a model's inputs: the one place where images of a data set are read for a model.
 *
 * @module
 */

import { basename } from "node:path";
import { pixelRemark } from "../data/pixels.ts";
import { bytesOfGiven, type Given, type InputArray, nameOfGiven } from "../data/given.ts";
import { ImageError } from "../codec.ts";
import {
  checkDataset,
  type Dataset,
  type DatasetRow,
  type SkippedImage,
  type UnreadItem,
  unreadItems,
} from "../data/dataset.ts";
import { madeOf } from "../data/image_cache.ts";
import { readAhead } from "../data/read_ahead.ts";
import { messageOf } from "../errors.ts";
import type { OnBadImage } from "../options.ts";
import type { Model } from "./model.ts";

/** An image of a data set as a model sees it, with what the data set says of it. */
export interface ImageView extends DatasetRow {
  /** Its row in the data set, all columns. */
  readonly known: DatasetRow;
  /** Its place in the data set. */
  readonly index: number;
  /** Its place among those of this walk that could be read. */
  readonly place: number;
  /** What the image itself is called, as `"dog.jpg"`. */
  readonly name: string;
  /** Brought to the model's size, `[h, w, c]`, 0…255 ({@linkcode Model.view}). */
  readonly view: InputArray;
}

/** What of a data set is read, and what it must have. */
export interface ReadOptions {
  /** Only the first images, at most this many. @default all */
  limit?: number;
  /** Passes over the first images without reading them; the last of these has this id. */
  after?: { readonly count: number; readonly id?: string };
  /** Only the images at these places of the data set, in rising order. @default all */
  places?: readonly number[];
  /** Whether each image must have a label. @default false */
  labelled?: boolean;
  /** What is done at an image that cannot be read. @default "skip" */
  onBadImage?: OnBadImage;
  /** Stops between two images. */
  signal?: AbortSignal;
}

/** What is read of an image, and how many bytes it took meanwhile. */
interface ReadImage {
  readonly name: string;
  readonly view: InputArray;
  readonly bytes: number;
}

const NOTHING: ReadImage = { name: "", view: { data: new Float32Array(0), shape: [0, 0, 0] }, bytes: 0 };

/** Who looks at images, and how: a model, or what takes them as they are. */
export interface Viewer {
  /** What {@linkcode view} makes of any image, in words: the same of the same; null where that is not known. */
  readonly viewing: string | null;
  /** An image as it is looked at; `columns` is its row in the data set. */
  view(image: Given, columns: DatasetRow): InputArray | Promise<InputArray>;
}

/**
 * Reads the images of a data set, while it is walked, with their ids and labels. Images that cannot be read are left out and
 * listed, unless a run is to stop at them.
 */
export class ImageReader implements AsyncIterable<ImageView> {
  /** How many images there are, those that cannot be read among them. */
  readonly size: number;
  /** The place among the images at which the walk begins to read. */
  protected readonly first: number;
  readonly #viewer: Viewer;
  readonly #dataset: Dataset;
  readonly #options: ReadOptions;
  #skipped: SkippedImage[] = [];

  /**
   * @param asker the function that takes the data set, as `"codes"`
   * @throws {TypeError} if it is no data set
   * @throws {RangeError} if its size is not a whole number ≥ 1
   */
  constructor(asker: string, viewer: Viewer, dataset: Dataset, options: ReadOptions = {}) {
    checkDataset(asker, dataset);
    this.#viewer = viewer;
    this.first = options.after?.count ?? 0;
    this.#dataset = dataset;
    this.#options = options;
    this.size = Math.min(options.places?.length ?? dataset.size, options.limit ?? Infinity);
  }

  /** The images that the last walk has left out so far. */
  get skipped(): readonly SkippedImage[] {
    return this.#skipped;
  }

  /**
   * Walks the images.
   *
   * @throws {TypeError} if an image has no label and should have one, or what a data set gives is no image at all
   * @throws {RangeError} if there are more or fewer than the data set says
   * @throws {ImageError} if none can be read, or one and the run is to stop at it
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<ImageView, undefined> {
    const { labelled, signal, after, places } = this.#options;
    const named = JSON.stringify(this.#dataset.name);
    const skipped: SkippedImage[] = this.#skipped = [];
    const unusual: { id: string; remark: string }[] = [];
    const { first } = this;
    // The last of those that are passed over shows whether they are the same.
    const from = Math.max(0, first - 1);
    let walked = from;
    const items = readAhead(unreadItems(this.#dataset, from, places), {
      // One beyond the last is asked for, to see whether there are more, and is not read.
      read: async (item, place) =>
        first <= from + place && from + place < this.size && !signal?.aborted ? await this.#read(item) : NOTHING,
      goOn: ({ file }) => file !== undefined,
      bytes: ({ bytes }) => bytes,
    });
    for await (const { item: { known }, value } of items) {
      signal?.throwIfAborted();
      if (walked === this.size) {
        throw new RangeError(`The data set ${named} says that it holds ${this.size} images, and gave more.`);
      }
      if (walked < first) {
        if (after?.id !== undefined && known.id !== after.id) {
          throw new RangeError(
            `Image ${walked} of the data set ${named} is ${JSON.stringify(known.id)}, and was ` +
              `${JSON.stringify(after.id)} before: its images have changed, or their order. Start anew.`,
          );
        }
        walked++;
        continue;
      }
      if (labelled && known.label === undefined) {
        throw new TypeError(
          `The image ${JSON.stringify(known.id)} of ${named} has no label; wanted one for each image.`,
        );
      }
      let image: Pick<ImageView, "name" | "view"> | undefined;
      try {
        const { name, view } = await value();
        image = { name, view };
      } catch (error) {
        skipped.push({ id: known.id, reason: this.#reasonToSkip(known.id, error) });
      }
      const remark = image && pixelRemark(image.view);
      if (remark) unusual.push({ id: known.id, remark });
      if (image) {
        const index = places?.[walked] ?? walked;
        yield { ...known, ...image, known, index, place: walked - first - skipped.length };
      }
      walked++;
      if (walked === this.size && this.size < this.#dataset.size) break;
    }
    if (walked < this.size) {
      throw new RangeError(
        `The data set ${named} says that it holds ${this.#dataset.size} images, and gave ${walked}.`,
      );
    }
    // Of images that are read again it has been said.
    if (unusual.length && !this.#options.places) {
      const [{ id, remark }] = unusual;
      const which = unusual.length === 1 ? "one image" : `${unusual.length} of ${walked} images`;
      console.log(`convlens: ${which} of ${named} may not hold what was meant, as ${JSON.stringify(id)}. ${remark}`);
    }
    if (skipped.length === walked && walked > 0) {
      const [{ id, reason }] = skipped;
      throw new ImageError(
        `None of the ${walked} images of ${named} can be read. The first, ${JSON.stringify(id)}: ${reason}.`,
      );
    }
  }

  /** Reads an image as the model sees it; one of a file that is as it was need not be decoded again. */
  async #read({ known, read, file }: UnreadItem): Promise<ReadImage> {
    let bytes = 0;
    const make = async () => {
      const source = await read();
      bytes = bytesOfGiven(source);
      return { name: nameOfGiven(source), view: await this.#viewer.view(source, known) };
    };
    const { viewing } = this.#viewer;
    if (!file || viewing === null) return { ...await make(), bytes };
    const view = await madeOf(file, viewing, async () => {
      const { view } = await make();
      return { made: view, keep: pixelRemark(view) === "" };
    });
    return { name: basename(file.path), view, bytes };
  }

  /**
   * Why an image cannot be read.
   *
   * @throws {ImageError} if the run is to stop at it
   * @throws {TypeError} if it is no image at all, which is a fault of the data set
   */
  #reasonToSkip(id: string, error: unknown): string {
    this.#options.signal?.throwIfAborted();
    const reason = messageOf(error);
    const message = `The image ${JSON.stringify(id)} of ${
      JSON.stringify(this.#dataset.name)
    } cannot be read: ${reason}.`;
    if (error instanceof TypeError) throw new TypeError(message, { cause: error });
    if (this.#options.onBadImage !== "stop") return reason;
    throw new ImageError(`${message} With onBadImage: "skip" the others are read without it.`, { cause: error });
  }
}

/** Reads the images of a data set for a model, as the model sees them. */
export class InputReader extends ImageReader {
  readonly #model: Model;

  /**
   * @param asker the function that takes the data set, as `"codes"`
   * @throws {TypeError} if it is no data set
   * @throws {RangeError} if its size is not a whole number ≥ 1
   */
  constructor(asker: string, model: Model, dataset: Dataset, options: ReadOptions = {}) {
    super(asker, model, dataset, options);
    this.#model = model;
  }

  /**
   * The same as the numbers that the network reads ({@linkcode Model.input}), for a pass through it.
   *
   * @param onRead is given each image when it is read, in their order
   */
  inputs(onRead?: (image: ImageView) => void): StreamedInputs {
    // deno-lint-ignore no-this-alias
    const images = this;
    return {
      size: this.size - this.first,
      get missing() {
        return images.skipped.length;
      },
      async *[Symbol.asyncIterator]() {
        for await (const image of images) {
          onRead?.(image);
          yield images.#model.input(image.view);
        }
      },
    };
  }
}

/** Inputs that are read one after the other. */
export interface StreamedInputs extends AsyncIterable<InputArray> {
  /** How many there are at most. */
  readonly size: number;
  /** How many of them have been left out so far. @default 0 */
  readonly missing?: number;
}
