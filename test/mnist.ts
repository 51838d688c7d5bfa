/**
 * MNIST to train on, as points: 60,000 handwritten digits of 28 × 28 grey pixels.
 *
 * @module
 */

import { type NdArray, ndarray } from "../lib/array.ts";
import { fetchEntry } from "../lib/data/catalog.ts";

const PIXELS = 28 * 28;

/** Where the two files are: images behind a head of 16 bytes, labels behind one of 8. */
export async function mnistFiles(): Promise<{ images: string; labels: string }> {
  const { paths } = await fetchEntry("mnist", "dataset");
  return { images: paths["data/train-images-idx3-ubyte"], labels: paths["data/train-labels-idx1-ubyte"] };
}

/** The first `count` images as points `[count, 784]`, values 0 to 255, and what they show. */
export async function mnist(count: number): Promise<{ points: NdArray; labels: number[] }> {
  const { images, labels } = await mnistFiles();
  const pixels = (await Deno.readFile(images)).subarray(16, 16 + PIXELS * count);
  return {
    points: ndarray(Float32Array.from(pixels), [count, PIXELS]),
    labels: [...(await Deno.readFile(labels)).subarray(8, 8 + count)],
  };
}
