/**
 * One change that fools a model on most images.
 *
 * Moosavi-Dezfooli, Fawzi, Fawzi and Frossard 2017, "Universal adversarial perturbations", algorithm 1.
 *
 * @module
 */

import type { Norm } from "./attack.ts";

/** How the change is looked for. */
export interface UniversalOptions {
  norm: Norm;
  /** The largest size of the change, of values of 255. */
  epsilon: number;
  /** How often all images are walked at most. */
  passes: number;
  /** The share of the images to be fooled. */
  enough: number;
  signal?: AbortSignal;
  onProgress?: (done: number) => void;
}

/** The nearest change within a size. */
export function projected(change: Float32Array, norm: Norm, epsilon: number): Float32Array {
  if (norm === "linf") return change.map((value) => Math.max(-epsilon, Math.min(epsilon, value)));
  const size = Math.sqrt(change.reduce((sum, value) => sum + value * value, 0));
  return size <= epsilon ? change : change.map((value) => value * epsilon / size);
}

/** An image with a change, within 0…255. */
export const added = (image: Float32Array, change: Float32Array): Float32Array =>
  image.map((value, i) => Math.max(Math.min(0, value), Math.min(Math.max(255, value), value + change[i])));

/**
 * Looks for the change.
 *
 * @param images the values of each image
 * @param look says whether each of some images is answered otherwise with a change than without
 * @param stillSame whether an image with other values is answered as it was at first
 * @param smallest gives the smallest change of some values that changes the answer; null where it finds none
 * @returns the change, and the share that is fooled after each pass
 */
export async function findUniversal(
  images: readonly Float32Array[],
  look: (change: Float32Array) => Promise<readonly boolean[]>,
  stillSame: (image: number, values: Float32Array) => Promise<boolean>,
  smallest: (image: number, values: Float32Array) => Promise<Float32Array | null>,
  { norm, epsilon, passes, enough, signal, onProgress }: UniversalOptions,
): Promise<{ change: Float32Array; history: number[] }> {
  let change = new Float32Array(images[0].length);
  const history: number[] = [];
  for (let pass = 0; pass < passes; pass++) {
    for (const [i, image] of images.entries()) {
      signal?.throwIfAborted();
      const moved = added(image, change);
      if (await stillSame(i, moved)) {
        const more = await smallest(i, moved);
        if (more) change = projected(change.map((value, at) => value + more[at]), norm, epsilon) as typeof change;
      }
      onProgress?.(pass * images.length + i + 1);
    }
    const fooled = await look(change);
    history.push(fooled.filter(Boolean).length / fooled.length);
    if (history[pass] >= enough) break;
  }
  return { change, history };
}
