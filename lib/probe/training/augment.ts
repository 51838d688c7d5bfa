/**
 * Augmentation: each epoch sees each image a little changed.
 *
 * @module
 */

import { sizeOf } from "../../array.ts";
import type { InputArray } from "../../data/given.ts";
import { mirrored } from "../../data/warp.ts";
import { flag, oneOf, readOptions, whole } from "../../options.ts";
import { randomStream } from "../../random.ts";
import { othersOf } from "../batches.ts";
import { sampleAt, type Samples } from "./samples.ts";

/** How training images are changed, each time that they are seen. */
export class Augment {
  /** Mirrors every second image, left to right. @default false */
  @flag()
  flip = false;
  /**
   * Shifts each image by up to this many pixels in each direction: it is padded on all sides and cut back to its size at
   * a random place (Krizhevsky 2009; He et al. 2015, §4.2).
   * @default 0
   */
  @whole(0)
  crop = 0;
  /** What is padded with: black, or the image mirrored at its border. @default "black" */
  @oneOf("black", "reflect")
  pad: "black" | "reflect" = "black";
}

/**
 * Fills in what is not asked for.
 *
 * @throws {RangeError} if the crop does not fit into the images
 * @throws {TypeError} if signals, volumes or vectors are to be changed
 */
export function augmentation(options: Partial<Augment>, { shape }: Pick<Samples, "shape">): Augment {
  const augment = readOptions("augment", Augment, options);
  const [height, width] = shape;
  if (shape.length !== 3 && (augment.flip || augment.crop)) {
    throw new TypeError(
      `augment mirrors and shifts images, [height, width, channels]: the model takes an input of shape [${
        shape.join(", ")
      }]. Leave augment out.`,
    );
  }
  if (shape.length !== 3) return augment;
  const most = Math.min(height, width) - 1;
  if (augment.crop <= most) return augment;
  throw new RangeError(
    `augment.crop must be a whole number of pixels from 0 to ${most}: received ${augment.crop}.`,
  );
}

/** What happens to one image. */
export interface Change {
  mirror: boolean;
  /** By how many pixels it is shifted. */
  down: number;
  right: number;
}

/** What happens to an image: it depends on the key and its index only. */
export function changeOf(
  { flip, crop }: Pick<Augment, "flip" | "crop">,
  key: readonly number[],
  index: number,
): Change {
  const random = randomStream(...key, index);
  const shift = () => crop && Math.floor(random() * (2 * crop + 1)) - crop;
  return { mirror: flip && random() < 0.5, down: shift(), right: shift() };
}

/**
 * A batch of images, changed at random. What happens to an image depends on the key and its index only.
 *
 * @param indexes which images
 * @param key as `[seed, epoch]`
 * @returns `[n, h, w, c]`, 0…255, with as many of what goes to the other inputs
 */
export function batchOf(
  samples: Samples,
  indexes: ArrayLike<number>,
  { flip, crop, pad }: Augment,
  key: readonly number[],
): InputArray {
  const { shape } = samples;
  const [height, width, channels] = shape;
  const each = sizeOf(shape);
  const data = new Float32Array(indexes.length * each);
  const seen: InputArray[] = [];
  const columns = new Int32Array(width);
  for (let i = 0; i < indexes.length; i++) {
    const sample = sampleAt(samples, indexes[i]);
    const image = sample.data;
    seen.push(sample);
    const start = i * each;
    if (!flip && crop === 0) {
      data.set(image, start);
      continue;
    }
    const { mirror, down, right } = changeOf({ flip, crop }, key, indexes[i]);
    for (let x = 0; x < width; x++) {
      const from = right + (mirror ? width - 1 - x : x);
      columns[x] = pad === "reflect" ? mirrored(from, width) : from >= 0 && from < width ? from : -1;
    }
    for (let y = 0; y < height; y++) {
      const row = pad === "reflect" ? mirrored(y + down, height) : y + down;
      // What is left out is black already.
      if (row < 0 || row >= height) continue;
      for (let x = 0; x < width; x++) {
        if (columns[x] < 0) continue;
        const to = start + (y * width + x) * channels;
        const from = (row * width + columns[x]) * channels;
        for (let c = 0; c < channels; c++) data[to + c] = image[from + c];
      }
    }
  }
  return { data, shape: [indexes.length, ...shape], others: othersOf(seen) };
}
