/**
 * Data sets of the catalogue that have a training and a test split, and classes.
 *
 * @module
 */

import type { NdArrayLike } from "../array.ts";
import { unknownName } from "../errors.ts";
import { arrayOf, whole } from "../options.ts";
import { FetchOptions } from "./catalog.ts";
import { ImageDataset } from "./dataset.ts";
import { Image } from "./image.ts";

/** Which images of a data set with splits and classes are wanted. */
export class SplitOptions<Class extends string = string> extends FetchOptions {
  /** The images to train on, or those to test on. @default "train" */
  split: "train" | "test" = "train";
  /** Only images of these classes. @default all */
  @arrayOf('classes, as ["cat", "dog"]')
  classes?: readonly Class[];
  /** At most this many images, the first ones in the data set's order. @default all */
  @whole(1)
  limit?: number;
}

/** One split of a data set. */
export interface Split<Class extends string> {
  /** The data set's name, as `"CIFAR-10"`. */
  readonly title: string;
  /** The classes in the order of their numbers. */
  readonly names: readonly Class[];
  /** The number of each image's class, in the original order. */
  readonly numbers: ArrayLike<number>;
  /** Reads the pixels of the images at these places of the original order, in the order of `places`. */
  readonly read: (places: readonly number[]) => AsyncIterable<NdArrayLike>;
}

/** @throws {RangeError} if the split or a class is unknown */
export function checkSplit<Class extends string>(
  title: string,
  names: readonly Class[],
  { split, classes }: SplitOptions<Class>,
): void {
  if (split !== "train" && split !== "test") throw unknownName("split", String(split), ["train", "test"], title);
  const wrong = classes?.find((name) => !names.includes(name));
  if (wrong !== undefined) throw unknownName("class", String(wrong), names, title);
}

/**
 * The wanted images of a split. Ids are `"test-00042"`: the split and the number in the original order, whatever the
 * filter.
 */
export function splitDataset<Class extends string>(
  { title, names, numbers, read }: Split<Class>,
  { split, classes, limit }: SplitOptions<Class>,
): ImageDataset {
  const places: number[] = [];
  for (let place = 0; place < numbers.length && places.length < (limit ?? Infinity); place++) {
    if (!classes || classes.includes(names[numbers[place]])) places.push(place);
  }
  const rows = places.map((place) => ({
    id: `${split}-${String(place).padStart(5, "0")}`,
    label: names[numbers[place]],
  }));
  const name = `${title} ${split}`;
  return new ImageDataset({
    name,
    labels: names.filter((label) => !classes || classes.includes(label)),
    rows,
    async *walk(chosen) {
      const wanted = [...chosen];
      let at = 0;
      for await (const pixels of read(wanted.map((index) => places[index]))) {
        const { id, label } = rows[wanted[at++]];
        yield { known: { id, label }, read: () => new Image(pixels, { name: `${label} ${id}`, source: name }) };
      }
    },
  });
}
