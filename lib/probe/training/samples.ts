/**
 * A data set made ready for training: every image at the model's size and at hand in any order.
 *
 * @module
 */

import { sizeOf } from "../../array.ts";
import { Checksum } from "../../checksum.ts";
import type { Dataset, SkippedImage } from "../../data/dataset.ts";
import { unknownName } from "../../errors.ts";
import { shapeList } from "../../model/graph.ts";
import { InputReader } from "../../model/inputs.ts";
import type { Model } from "../../model/model.ts";
import type { OnBadImage } from "../../options.ts";

/** Images as bytes, signals and volumes as 32-bit floats, with the number of each one's class. */
export interface Samples {
  readonly count: number;
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  /** Of signals `[length, c]` and volumes `[d, h, w, c]` their shape; absent for images. */
  readonly shape?: readonly number[];
  /** The number of each image's class among the labels, `[count]`. */
  readonly classes: Int32Array;
  /** The images that could not be read, and were left out. */
  readonly skipped: readonly SkippedImage[];
  /** Checksums of all that was read, those left out of a part too. */
  readonly data: DataSums;
  /** Copies an image, `[height, width, channels]`, 0…255, into `into`; of a signal or a volume the bytes of its floats. */
  read(index: number, into: Uint8Array): void;
  /** Frees what the images stand in. */
  close(): void;
}

/** What distinguishes one data set from another: how many images, and checksums over their ids, labels and pixels. */
export type DataSums = Readonly<Record<"images" | "ids" | "labels" | "pixels", number | string>>;

/** A checksum's first digits, as errors show it. */
export const shortSum = (sum: Checksum): string => `sha256 ${sum.hex().slice(0, 16)}`;

/** What is read stays in memory up to this many bytes; more goes to a file that is gone when the process is. */
const IN_MEMORY = 1e9;

interface ReadOptions {
  /** What is done at an image that cannot be read. @default "skip" */
  onBadImage?: OnBadImage;
  /** Stops between two images. */
  signal?: AbortSignal;
  /** Called after each image with the number of images read so far and in all. */
  onProgress?: (done: number, total: number) => void;
  /** How many bytes stay in memory. @default 1 GB */
  inMemoryUpTo?: number;
}

/** Bytes of one image after another, in memory or in a file. */
interface Store {
  write(index: number, bytes: Uint8Array): void;
  read(index: number, into: Uint8Array): void;
  close(): void;
}

function inMemory(count: number, each: number): Store {
  const all = new Uint8Array(count * each);
  return {
    write: (index, bytes) => all.set(bytes, index * each),
    read: (index, into) => into.set(all.subarray(index * each, (index + 1) * each)),
    close: () => {},
  };
}

function inFile(each: number): Store {
  const path = Deno.makeTempFileSync({ prefix: "convlens-" });
  const file = Deno.openSync(path, { read: true, write: true });
  // Its name goes at once, its bytes when it is closed, also by a kill. Windows lets go of a name only afterwards.
  const windows = Deno.build.os === "windows";
  if (!windows) Deno.removeSync(path);
  return {
    write(index, bytes) {
      file.seekSync(index * each, Deno.SeekMode.Start);
      for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
    },
    read(index, into) {
      file.seekSync(index * each, Deno.SeekMode.Start);
      for (let at = 0; at < each;) at += file.readSync(into.subarray(at, each)) ?? each;
    },
    close() {
      file.close();
      if (windows) Deno.removeSync(path);
    },
  };
}

/**
 * The labels of a model's outputs for a data set: the model's own, else the data set's in their order.
 *
 * @throws {TypeError} if the data set has no labels
 * @throws {RangeError} if they are not as many as the model's outputs
 */
export function labelsFor(model: Model, dataset: Dataset, output = model.output): readonly string[] {
  if (!dataset.labels?.length) {
    throw new TypeError(
      `The data set ${JSON.stringify(dataset.name)} has no labels to train on; wanted a label for each image, as the ` +
        `names of an image folder's sub-folders.`,
    );
  }
  if (model.labels) return output.labels;
  const classes = output.labels.length;
  if (classes !== dataset.labels.length) {
    throw new RangeError(
      `The model ${JSON.stringify(model.name)} tells ${classes} classes apart; the data set ` +
        `${JSON.stringify(dataset.name)} has ${dataset.labels.length}: ${dataset.labels.join(", ")}.`,
    );
  }
  return dataset.labels;
}

/**
 * Reads a whole data set, each image once: resized as the model sees it and rounded to bytes; signals and volumes as they
 * are. Up to 1 GB stays in memory; more goes to a temporary file.
 *
 * @param labels the labels in the order of the model's outputs
 * @throws {TypeError} if an image has no label, or the model's input has no fixed size
 * @throws {RangeError} if a label is not one of the model's, or the data set is empty
 */
export async function readSamples(
  model: Model,
  dataset: Dataset,
  labels: readonly string[],
  { onBadImage, signal, onProgress, inMemoryUpTo = IN_MEMORY }: ReadOptions = {},
): Promise<Samples> {
  const { inputShape } = model;
  if (inputShape.includes(null) || inputShape.length < 2 || inputShape.length > 4) {
    throw new TypeError(
      `The model ${JSON.stringify(model.name)} takes an input of shape [${
        shapeList(inputShape)
      }]; train wants images of ` +
        "one size, [height, width, channels], signals, [length, channels], or volumes, [depth, height, width, channels].",
    );
  }
  const shape = inputShape as readonly number[];
  const isImage = shape.length === 3;
  const [height, width, channels] = shape.slice(-3);
  const reader = new InputReader("train", model, dataset, { labelled: true, onBadImage, signal });
  const each = sizeOf(shape) * (isImage ? 1 : 4);
  const numbers = Map.groupBy(labels.keys(), (i) => labels[i]);
  const classes: number[] = [];
  const store = dataset.size * each <= inMemoryUpTo ? inMemory(dataset.size, each) : inFile(each);
  const bytes = new Uint8ClampedArray(each);
  const sums = { ids: new Checksum(), labels: new Checksum(), pixels: new Checksum() };
  try {
    for await (const { id, label, view, place } of reader) {
      const [number, other] = numbers.get(label!) ?? [];
      if (number === undefined) throw unknownName("class", label!, labels, `the model ${JSON.stringify(model.name)}`);
      if (other !== undefined) {
        throw new RangeError(
          `The label ${JSON.stringify(label)} of the image ${JSON.stringify(id)} names the classes ${number} and ` +
            `${other} of ${JSON.stringify(model.name)}. Give each class a name of its own.`,
        );
      }
      // Rounds to the nearest byte.
      if (isImage) bytes.set(view.data);
      const rounded = isImage ? new Uint8Array(bytes.buffer) : new Uint8Array(Float32Array.from(view.data).buffer);
      store.write(place, rounded);
      sums.ids.add(JSON.stringify(id));
      sums.labels.add(JSON.stringify(label));
      sums.pixels.add(rounded);
      classes[place] = number;
      onProgress?.(place + 1 + reader.skipped.length, dataset.size);
    }
  } catch (error) {
    store.close();
    throw error;
  }
  const data = {
    images: classes.length,
    ids: shortSum(sums.ids),
    labels: shortSum(sums.labels),
    pixels: shortSum(sums.pixels),
  };
  return {
    count: classes.length,
    height,
    width,
    channels,
    ...!isImage && { shape },
    classes: Int32Array.from(classes),
    skipped: reader.skipped,
    data,
    read: store.read,
    close: store.close,
  };
}

/** Some of the samples, in the order of `indexes`. Closing the whole closes them. */
export function part(samples: Samples, indexes: Uint32Array): Samples {
  return {
    ...samples,
    count: indexes.length,
    classes: Int32Array.from(indexes, (index) => samples.classes[index]),
    read: (index, into) => samples.read(indexes[index], into),
    close: () => {},
  };
}
