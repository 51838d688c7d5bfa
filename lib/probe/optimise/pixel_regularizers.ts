/**
 * What keeps the pixels of an optimised image in bounds, from the years before Fourier coefficients: for lectures.
 *
 * @module
 */

import { blurred } from "../../data/corrupt.ts";

/** What is done to the pixels after each step: they are numbers around 0, which is grey. */
export interface PixelRegularizers {
  /** The share by which all pixels go towards grey: the gradient of an L2 norm (Simonyan et al. 2013, §2). */
  readonly decay: number;
  /** The standard deviation of a Gaussian blur, in pixels (Yosinski et al. 2015, §3). */
  readonly blur: number;
  /** After how many steps each they are blurred. */
  readonly blurEvery: number;
  /** The percentage of the pixels that are made grey, those of the smallest norm. */
  readonly smallNorms: number;
  /** The percentage of the pixels that are made grey, those that contribute least: the least pixel times gradient. */
  readonly smallContributions: number;
}

/** The regularisers of two papers, and none. */
export const REGULARIZERS = {
  none: { decay: 0, blur: 0, blurEvery: 4, smallNorms: 0, smallContributions: 0 },
  /** An L2 norm alone. */
  simonyan: { decay: 0.02, blur: 0, blurEvery: 4, smallNorms: 0, smallContributions: 0 },
  /** The first row of the paper's table, with some of the others' decay. */
  yosinski: { decay: 0.0001, blur: 0.5, blurEvery: 4, smallNorms: 30, smallContributions: 0 },
} as const satisfies Record<string, PixelRegularizers>;

/** The value below which a percentage of some lie. */
function percentile(values: Float32Array, percent: number): number {
  return values.toSorted()[Math.min(values.length - 1, Math.floor(values.length * percent / 100))];
}

/**
 * Regularises images in place after a step, then brings them back to the range of pixels, −1 to 1.
 *
 * @param numbers of some images, one behind the other
 * @param gradient of the score to them
 * @param step counted from 0
 * @param shape of one image, `[h, w, c]`
 */
export function regularize(
  numbers: Float32Array,
  gradient: Float32Array,
  step: number,
  shape: readonly number[],
  { decay, blur, blurEvery, smallNorms, smallContributions }: PixelRegularizers,
): void {
  const channels = shape[2];
  const each = shape[0] * shape[1] * channels;
  for (let start = 0; start < numbers.length; start += each) {
    const image = numbers.subarray(start, start + each);
    if (decay > 0) { for (let i = 0; i < each; i++) image[i] *= 1 - decay; }
    if (blur > 0 && (step + 1) % blurEvery === 0) image.set(blurred({ data: image, shape }, blur).data);
    // Both look at the image as it was before either.
    const norms = smallNorms > 0 ? overPixels(channels, each, (i) => image[i] ** 2) : null;
    const gains = smallContributions > 0
      ? overPixels(channels, each, (i) => Math.abs(image[i] * gradient[start + i]))
      : null;
    for (const [values, percent] of [[norms, smallNorms], [gains, smallContributions]] as const) {
      if (!values) continue;
      const least = percentile(values, percent);
      values.forEach((value, pixel) => value < least && image.fill(0, pixel * channels, (pixel + 1) * channels));
    }
    for (let i = 0; i < each; i++) image[i] = Math.min(1, Math.max(-1, image[i]));
  }
}

/** Of each pixel the sum of a value over its channels. */
function overPixels(channels: number, each: number, value: (index: number) => number): Float32Array {
  return Float32Array.from({ length: each / channels }, (_, pixel) => {
    let sum = 0;
    for (let c = 0; c < channels; c++) sum += value(pixel * channels + c);
    return sum;
  });
}
