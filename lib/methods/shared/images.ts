/**
 * What a method looks at: one image, an array of images, or a data set, which is read while it is walked.
 *
 * @module
 */

import type { NdArrayLike } from "../../array.ts";
import { type Dataset, dataset, isDataset } from "../../data/dataset.ts";
import { nameOfGiven, toGiven } from "../../data/given.ts";
import type { ImageLike } from "../../data/image.ts";
import { type ImageView, InputReader } from "../../model/inputs.ts";
import type { Model } from "../../model/model.ts";
import type { WalkOptions } from "../../options.ts";

/** One image, several, or those of a data set. */
export type ImagesLike = ImageLike | readonly ImageLike[] | Dataset;

/** Reads several images; what it could not read is in its `skipped`. */
export class ImagesReader extends InputReader {
  /** Whether they are those of a data set, so that there may be any number of them. */
  readonly isSet: boolean;
  /** What captions call all of them. */
  readonly name: string;

  /**
   * @param asker the function that looks at them, as `"predict"`
   * @throws {RangeError} if there is none
   */
  constructor(
    asker: string,
    model: Model,
    images: readonly ImageLike[] | Dataset,
    run: Partial<WalkOptions> & { limit?: number },
  ) {
    const isSet = isDataset(images);
    if (!isSet && images.length === 0) {
      throw new RangeError(
        "There is no input to run through the model: the array of images is empty; wanted at least one.",
      );
    }
    const all = isSet ? images : dataset(images.map((image) => ({ image })), { name: "the array" });
    super(asker, model, all, { ...run, onBadImage: run.onBadImage ?? (isSet ? "skip" : "stop") });
    this.isSet = isSet;
    this.name = all.name;
  }

  /** What captions call an image: by its id in a data set, else by its own name. */
  nameOf({ id, name }: ImageView): string {
    return this.isSet ? id : name;
  }

  /** Walks them some at a time. */
  async *chunks(size: number): AsyncGenerator<ImageView[], undefined> {
    let chunk: ImageView[] = [];
    for await (const image of this) {
      chunk.push(image);
      if (chunk.length < size) continue;
      yield chunk;
      chunk = [];
    }
    if (chunk.length > 0) yield chunk;
  }
}

/** An image as a model sees it, under the name that captions give it. */
export interface NamedView {
  readonly name: string;
  readonly view: NdArrayLike;
}

/** Images on their way to a method that takes one after the other. */
export interface Walked {
  readonly size: number;
  /** Those that are known before the walk: all; of a data set the first that can be read. */
  readonly known: readonly NamedView[];
  readonly each: AsyncIterable<NamedView> | readonly NamedView[];
  /** Whether an array or a data set was given. */
  readonly many: boolean;
  /** Of images that are read while they are walked. */
  readonly reader?: ImagesReader;
}

/**
 * Whether images are read while they are walked: those of a data set, and others of which bad ones are to be left out.
 */
export const isWalked = (
  images: ImagesLike,
  { onBadImage }: Partial<WalkOptions>,
): images is readonly ImageLike[] | Dataset => isDataset(images) || (onBadImage === "skip" && Array.isArray(images));

/** Images for a method that takes one after the other. */
export async function walkImages(
  asker: string,
  model: Model,
  images: ImagesLike,
  run: Partial<WalkOptions>,
): Promise<Walked> {
  if (!isWalked(images, run)) {
    const many = Array.isArray(images);
    const sources = await Promise.all((many ? images as readonly ImageLike[] : [images as ImageLike]).map(toGiven));
    const each = await Promise.all(sources.map(async (source) => ({
      name: nameOfGiven(source),
      view: await model.view(source),
    })));
    return { size: each.length, known: each, each, many };
  }
  const reader = new ImagesReader(asker, model, images, run);
  async function* each() {
    for await (const image of reader) yield { name: reader.nameOf(image), view: image.view };
  }
  const known: NamedView[] = [];
  for await (const first of each()) {
    known.push(first);
    break;
  }
  return { size: reader.size, known, each: each(), many: true, reader };
}

/** Reads several images; null for one. */
export function readerOf(
  asker: string,
  model: Model,
  images: ImagesLike,
  run: Partial<WalkOptions>,
): ImagesReader | null {
  if (!isDataset(images) && !Array.isArray(images)) return null;
  return new ImagesReader(asker, model, images as readonly ImageLike[] | Dataset, run);
}
