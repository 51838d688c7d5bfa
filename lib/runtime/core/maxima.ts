/**
 * Where maps are largest, found where they lie.
 *
 * Native TensorFlow on processors and WASM have a kernel of ours for that (`native/operations.ts`,
 * `wasm_convolution/kernels.ts`): it reads each number once.
 *
 * @module
 */

import type { Tensor, Tensor3D } from "npm:@tensorflow/tfjs@4.22.0";
import type { TF } from "./types.ts";

/** The name of the kernel. */
export const MAXIMA = "MaximaOfMaps";

/** A float holds the place of each of so many cells. */
const MOST_CELLS = 2 ** 24;

/**
 * The largest number of each channel of each image, and the place of the first cell that has it. What is no number counts
 * only where there is nothing else.
 *
 * @param maps `[n, …cells, c]`
 * @returns `[2, n, c]`: the numbers and the places, counted row by row; null where the backend has no kernel for these maps
 */
export function maxima(tf: TF, maps: Tensor): Tensor3D | null {
  const backend = tf.getBackend();
  const [count] = maps.shape;
  const channels = maps.shape.at(-1)!;
  const cells = maps.size / count / channels;
  const fits = maps.rank > 1 && maps.dtype === "float32" && cells >= 1 && cells <= MOST_CELLS &&
    (backend !== "wasm" || channels % 4 === 0);
  if (!fits || !tf.getKernel(MAXIMA, backend)) return null;
  return tf.engine().runKernel(MAXIMA, { maps }) as Tensor3D;
}
