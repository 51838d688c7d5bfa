/**
 * A data set as a model's inputs: the one place where images of a data set are read for a model.
 *
 * @module
 */

import type { NdArray } from "../array.ts";
import { checkDataset, type Dataset, type DatasetItem } from "../data/dataset.ts";
import type { Model } from "./model.ts";

/** An image of a data set as a model sees it, with what the data set says of it. */
export interface ImageView extends Omit<DatasetItem, "image"> {
  /** Its place in the data set. */
  readonly place: number;
  /** Brought to the model's size, `[h, w, 3]`, RGB, 0…255 ({@linkcode Model.view}). */
  readonly view: NdArray;
}

/** What of a data set is read, and what it must have. */
export interface ReadOptions {
  /** Only the first images, at most this many. @default all */
  limit?: number;
  /** Whether each image must have a label. @default false */
  labelled?: boolean;
  /** Stops between two images. */
  signal?: AbortSignal;
}

/** Reads the images of a data set for a model, while it is walked: as the model sees them, with their ids and labels. */
export class InputReader implements AsyncIterable<ImageView> {
  /** How many images there are. */
  readonly size: number;
  readonly #model: Model;
  readonly #dataset: Dataset;
  readonly #options: ReadOptions;

  /**
   * @param asker the function that takes the data set, as `"codes"`
   * @throws {TypeError} if it is no data set
   * @throws {RangeError} if it holds no image
   */
  constructor(asker: string, model: Model, dataset: Dataset, options: ReadOptions = {}) {
    checkDataset(asker, dataset);
    if (dataset.size < 1) {
      throw new RangeError(`The data set ${JSON.stringify(dataset.name)} holds no image; wanted at least one.`);
    }
    this.#model = model;
    this.#dataset = dataset;
    this.#options = options;
    this.size = Math.min(dataset.size, options.limit ?? Infinity);
  }

  /**
   * Walks the images.
   *
   * @throws {TypeError} if an image has no label and should have one
   * @throws {RangeError} if there are more or fewer than the data set says
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<ImageView, undefined> {
    const { labelled, signal } = this.#options;
    const named = JSON.stringify(this.#dataset.name);
    let place = 0;
    for await (const { image, ...known } of this.#dataset) {
      signal?.throwIfAborted();
      if (place === this.size) {
        throw new RangeError(`The data set ${named} says that it holds ${this.size} images, and gave more.`);
      }
      if (labelled && known.label === undefined) {
        throw new TypeError(
          `The image ${JSON.stringify(known.id)} of ${named} has no label; wanted one for each image.`,
        );
      }
      yield { ...known, place, view: await this.#model.view(image) };
      place++;
      if (place === this.size && this.size < this.#dataset.size) return;
    }
    if (place < this.size) {
      throw new RangeError(`The data set ${named} says that it holds ${this.#dataset.size} images, and gave ${place}.`);
    }
  }

  /**
   * The same as the numbers that the network reads ({@linkcode Model.input}), for a pass through it.
   *
   * @param onRead is given each image when it is read, in their order
   */
  inputs(onRead?: (image: ImageView) => void): AsyncIterable<NdArray> & { readonly size: number } {
    // deno-lint-ignore no-this-alias
    const images = this;
    return {
      size: this.size,
      async *[Symbol.asyncIterator]() {
        for await (const image of images) {
          onRead?.(image);
          yield images.#model.input(image.view);
        }
      },
    };
  }
}
