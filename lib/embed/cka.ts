/**
 * Linear CKA: how alike what two layers make of the same images is, whatever directions each chose for it.
 *
 * Kornblith, Norouzi, Lee and Hinton 2019, "Similarity of neural network representations revisited", §3. The estimator is that
 * of Nguyen, Raghu and Kornblith 2021, "Do wide and deep networks learn the same things?", eq. 3 and 4: Song et al.'s unbiased
 * HSIC is averaged over minibatches, so that memory does not grow with the images, and few images do not make it larger.
 *
 * @module
 */

import { throwIfInterrupted } from "../interrupt.ts";
import { randomStream } from "../random.ts";
import { DRAWS, middle } from "./agreement.ts";

/** The unbiased HSIC wants at least so many images in a minibatch. */
export const LEAST_IMAGES = 4;
/** Minibatches are summed in at most so many blocks, which the bootstrap draws from. */
const MOST_BLOCKS = 200;
/** With fewer blocks there is no interval. */
const LEAST_BLOCKS = 8;

const ROUNDING = 1e-12;

/**
 * Inner products of all pairs of images, centred so that products of two of them are free of bias (U-centring: Székely and
 * Rizzo 2014). Nothing that is added to all features changes it.
 *
 * @param gram `[n, n]`, symmetric
 * @returns what stands above its diagonal, row by row
 */
export function centred(gram: ArrayLike<number>, n: number): Float64Array {
  const sums = new Float64Array(n);
  let total = 0;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) if (i !== j) sums[i] += gram[i * n + j];
    total += sums[i];
  }
  const made = new Float64Array(n * (n - 1) / 2);
  const whole = total / ((n - 1) * (n - 2));
  let most = 0;
  for (let i = 0, at = 0; i < n; i++) {
    for (let j = i; j < n; j++) {
      most = Math.max(most, Math.abs(gram[i * n + j]));
      if (j > i) made[at++] = gram[i * n + j] - (sums[i] + sums[j]) / (n - 2) + whole;
    }
  }
  // Of equal features only the rounding is left.
  for (let at = 0; at < made.length; at++) if (Math.abs(made[at]) < ROUNDING * most) made[at] = 0;
  return made;
}

/** The unbiased HSIC of two layers, of what {@linkcode centred} made of n images. */
export function hsic(a: Float64Array, b: Float64Array, n: number): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return 2 * sum / (n * (n - 3));
}

/** Similarities of layers by layers. */
export interface Similarities {
  /** `[layers of a, layers of b]`; NaN where a layer makes the same of all images. */
  readonly values: Float64Array;
  /** The ends of their intervals of 95 %; null where there are too few minibatches. */
  readonly low: Float64Array | null;
  readonly high: Float64Array | null;
}

/** Gathers minibatches, and says how alike layers are. */
export class SimilaritySums {
  readonly #blocks: Float64Array[];

  /**
   * @param a how many layers the first network has
   * @param b how many the second has
   * @param minibatches how many there will be
   */
  constructor(readonly a: number, readonly b: number, readonly minibatches: number) {
    const blocks = Math.min(MOST_BLOCKS, minibatches);
    this.#blocks = Array.from({ length: blocks }, () => new Float64Array(a * b + a + b));
  }

  /**
   * @param index of the minibatch
   * @param a what {@linkcode centred} made of each layer of the first network
   * @param b of each layer of the second
   * @param n how many images it holds: also its weight
   */
  add(index: number, a: readonly Float64Array[], b: readonly Float64Array[], n: number): void {
    const block = this.#blocks[Math.floor(index * this.#blocks.length / this.minibatches)];
    let at = 0;
    for (const one of a) {
      for (const other of b) block[at++] += n * hsic(one, other, n);
    }
    for (const one of [...a, ...b]) block[at++] += n * hsic(one, one, n);
  }

  /** The similarities; the intervals are those of the bootstrap over minibatches. */
  finish(...key: number[]): Similarities {
    // Fewer images than were announced may leave the last ones empty.
    const blocks = this.#blocks.filter((block) => block.some((value) => value !== 0));
    const values = this.#similarities(blocks, blocks.map(() => 1));
    if (blocks.length < LEAST_BLOCKS) return { values, low: null, high: null };
    const random = randomStream(...key);
    const draws = Array.from({ length: DRAWS }, () => {
      throwIfInterrupted();
      const times = new Array<number>(blocks.length).fill(0);
      for (let i = 0; i < blocks.length; i++) times[Math.floor(random() * blocks.length)]++;
      return this.#similarities(blocks, times);
    });
    const ends = Array.from(values, (_, i) => middle(Float64Array.from(draws, (draw) => draw[i])));
    return {
      values,
      low: Float64Array.from(ends, ([low]) => low),
      high: Float64Array.from(ends, ([, high]) => high),
    };
  }

  /** Of blocks that count so many times each. */
  #similarities(blocks: readonly Float64Array[], times: readonly number[]): Float64Array {
    const { a, b } = this;
    const sums = new Float64Array(a * b + a + b);
    blocks.forEach((block, i) => {
      if (times[i] > 0) { for (let at = 0; at < sums.length; at++) sums[at] += times[i] * block[at]; }
    });
    return Float64Array.from({ length: a * b }, (_, at) => {
      const size = Math.sqrt(sums[a * b + Math.floor(at / b)] * sums[a * b + a + at % b]);
      return size > 0 ? sums[at] / size : NaN;
    });
  }
}
