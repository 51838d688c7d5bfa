/**
 * A data set made ready for training: every image at the model's size and at hand in any order.
 *
 * @module
 */

import { extent, sizeOf } from "../../array.ts";
import { Checksum } from "../../checksum.ts";
import type { InputArray } from "../../data/given.ts";
import type { Dataset, SkippedImage } from "../../data/dataset.ts";
import { unknownName } from "../../errors.ts";
import { shapeList } from "../../model/graph.ts";
import type { Known, TruthReader } from "../truth.ts";
import { type ImageView, InputReader } from "../../model/inputs.ts";
import type { Model } from "../../model/model.ts";
import type { ModelOutput } from "../../model/output.ts";
import type { OnBadImage } from "../../options.ts";

/** What is true of each image, as the network's output has it; NaN where nothing is known. */
export interface Targets {
  /** Of each image one number for each place and channel; of classes the index. */
  readonly values: readonly Float32Array[];
  /** The cells of a map; of a vector none. */
  readonly grid: readonly number[];
  readonly channels: number;
}

/** Reads what is true of an image: the index of its class, its labels as 1 and 0, its numbers, or its map. */
async function readTarget(model: Model, truth: TruthReader, { known, view }: ImageView): Promise<Float32Array> {
  const { output, preprocess: { fit } } = model;
  const row = known as Known;
  if (output.kind === "map") return await truth.mapOf(row, { grid: output.cells as number[], seen: view.shape, fit });
  return Float32Array.from(truth.valuesOf(row));
}

/** What a network learns from, as bytes, with the number of each one's class. */
export interface Samples {
  readonly count: number;
  /** Of what the input reads that is asked about, as `[height, width, channels]`. */
  readonly shape: readonly number[];
  /**
   * Where the numbers are no bytes of 0…255, but floats: the shapes of what goes to each other input, null at the place
   * of the one that is asked about; empty for a network of one input.
   */
  readonly exact?: readonly (readonly number[] | null)[];
  /** The number of each image's class among the labels, `[count]`; of other outputs empty. */
  readonly classes: Int32Array;
  /** What is true of each image, where that is more than a class. */
  readonly targets?: Targets;
  /** The images that could not be read, and were left out. */
  readonly skipped: readonly SkippedImage[];
  /** Checksums of all that was read, those left out of a part too. */
  readonly data: DataSums;
  /** Copies the bytes of a sample into `into`; {@linkcode sampleAt} says what they mean. */
  read(index: number, into: Uint8Array): void;
  /** Frees what the images stand in. */
  close(): void;
}

/** What distinguishes one data set from another: how many images, and checksums over their ids, labels and pixels. */
export type DataSums = Readonly<Record<"images" | "ids" | "labels" | "pixels", number | string>>;

/** A checksum's first digits, as errors show it. */
export const shortSum = (sum: Checksum): string => `sha256 ${sum.hex().slice(0, 16)}`;

/** How many bytes a sample takes. */
function bytesOfSample({ shape, exact }: Pick<Samples, "shape" | "exact">): number {
  if (!exact) return sizeOf(shape);
  return 4 * exact.reduce((sum, other) => sum + (other ? sizeOf(other) : 0), sizeOf(shape));
}

/** A sample as the model sees it, with what goes to the other inputs. */
export function sampleAt(samples: Samples, index: number): InputArray {
  const { shape, exact } = samples;
  const bytes = new Uint8Array(bytesOfSample(samples));
  samples.read(index, bytes);
  if (!exact) return { data: Float32Array.from(bytes), shape };
  const all = new Float32Array(bytes.buffer);
  let at = sizeOf(shape);
  const others = exact.map((other) => {
    if (!other) return null;
    const data = all.subarray(at, at + sizeOf(other));
    at += data.length;
    return { data, shape: other };
  });
  const data = all.subarray(0, sizeOf(shape));
  return others.length ? { data, shape, others } : { data, shape };
}

/** The numbers of a view and of what goes to the other inputs, as bytes. */
function exactBytes({ data, others = [] }: InputArray): Uint8Array {
  const parts = [data, ...others.flatMap((other) => other ? [other.data] : [])];
  const all = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  parts.reduce((at, part) => (all.set(part, at), at + part.length), 0);
  return new Uint8Array(all.buffer);
}

/** Whether the pixels of an image are bytes but for their rounding, as far as it shows. */
function areBytes({ data, shape, others }: InputArray): boolean {
  if (others || shape.length !== 3 || ![1, 3].includes(shape[2])) return false;
  const [low, high] = extent(data);
  return low >= 0 && high <= 255 && (high > 1 || low === high);
}

/** What is read stays in memory up to this many bytes; more goes to a file that is gone when the process is. */
const IN_MEMORY = 1e9;

interface ReadOptions {
  /** Reads what is true of each image, where that is more than a class. @default the class of its label */
  truth?: TruthReader;
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
  { truth, onBadImage, signal, onProgress, inMemoryUpTo = IN_MEMORY }: ReadOptions = {},
): Promise<Samples> {
  const open = model.inputs.find(({ shape }) => shape.includes(null));
  if (open) {
    throw new TypeError(
      `The model ${JSON.stringify(model.name)} takes an input of shape [${
        shapeList(open.shape)
      }]; train wants images ` +
        `of one size, [height, width, channels], as signals and volumes. Build the same network for one, as [32, 32, 3], and give it the weights.`,
    );
  }
  const shape = model.inputShape as readonly number[];
  const reader = new InputReader("train", model, dataset, { labelled: !truth, onBadImage, signal });
  const numbers = Map.groupBy(labels.keys(), (i) => labels[i]);
  const classes: number[] = [];
  let store: Store | undefined;
  let exact: Samples["exact"];
  const targets: Float32Array[] = [];
  let count = 0;
  const sums = { ids: new Checksum(), labels: new Checksum(), pixels: new Checksum() };
  try {
    for await (const image of reader) {
      const { id, label, view, place } = image;
      const [number, other] = numbers.get(label!) ?? [];
      if (truth) targets[place] = await readTarget(model, truth, image);
      else if (number === undefined) {
        throw unknownName("class", label!, labels, `the model ${JSON.stringify(model.name)}`);
      }
      if (!truth && other !== undefined) {
        throw new RangeError(
          `The label ${JSON.stringify(label)} of the image ${JSON.stringify(id)} names the classes ${number} and ` +
            `${other} of ${JSON.stringify(model.name)}. Give each class a name of its own.`,
        );
      }
      if (!store) {
        // The first one tells what the numbers are.
        if (!areBytes(view)) exact = view.others?.map((other) => other && other.shape) ?? [];
        const each = bytesOfSample({ shape, exact });
        store = dataset.size * each <= inMemoryUpTo ? inMemory(dataset.size, each) : inFile(each);
      }
      // Rounds to the nearest byte.
      const bytes = exact ? exactBytes(view) : new Uint8Array(Uint8ClampedArray.from(view.data).buffer);
      store.write(place, bytes);
      sums.ids.add(JSON.stringify(id));
      sums.labels.add(truth ? new Uint8Array(targets[place].buffer) : JSON.stringify(label));
      sums.pixels.add(bytes);
      if (!truth) classes[place] = number;
      count++;
      onProgress?.(place + 1 + reader.skipped.length, dataset.size);
    }
  } catch (error) {
    store?.close();
    throw error;
  }
  const data = {
    images: count,
    ids: shortSum(sums.ids),
    labels: shortSum(sums.labels),
    pixels: shortSum(sums.pixels),
  };
  return {
    count,
    shape,
    ...exact && { exact },
    classes: Int32Array.from(classes),
    ...truth && { targets: { values: targets, ...shapeOfTargets(model.output) } },
    skipped: reader.skipped,
    data,
    read: store!.read,
    close: store!.close,
  };
}

/** The grid and the channels of what is true of an image. */
function shapeOfTargets({ cells, each, labels }: ModelOutput): Pick<Targets, "grid" | "channels"> {
  return { grid: cells as number[], channels: each === "classes" || each === "binary" ? 1 : labels.length };
}

/** Some of the samples, in the order of `indexes`. Closing the whole closes them. */
export function part(samples: Samples, indexes: Uint32Array): Samples {
  return {
    ...samples,
    count: indexes.length,
    classes: Int32Array.from(samples.targets ? [] : indexes, (index) => samples.classes[index]),
    ...samples.targets && {
      targets: { ...samples.targets, values: Array.from(indexes, (index) => samples.targets!.values[index]) },
    },
    read: (index, into) => samples.read(indexes[index], into),
    close: () => {},
  };
}
