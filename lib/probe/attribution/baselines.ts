/**
 * Images that say nothing: what an image is compared with to tell what its pixels add.
 *
 * @module
 */

import { type NdArray, ndarray } from "../../array.ts";
import { kindOf } from "../../errors.ts";
import { randomStream } from "../../random.ts";

/** Baselines by name. */
export const BASELINES = ["black", "grey", "blurred", "noise"] as const;

/**
 * - `"black"`: all pixels 0;
 * - `"grey"`: all pixels 127.5;
 * - `"blurred"`: the image itself under a Gaussian blur whose standard deviation is 1/22 of its longer side (10 pixels of
 *   224, as in Fong & Vedaldi 2017);
 * - `"noise"`: each value drawn evenly from 0…255.
 */
export type BaselineName = typeof BASELINES[number];

/** @throws {RangeError} if there is no baseline of this name */
export function checkBaseline(name: unknown): void {
  if (BASELINES.some((known) => known === name)) return;
  throw new RangeError(
    `There is no baseline ${kindOf(name)}; wanted one of ${BASELINES.join(", ")}, or an image.`,
  );
}

/** The blur's standard deviation as a share of the longer side. */
const BLUR = 10 / 224;

/**
 * Makes a baseline for an image.
 *
 * @param view `[h, w, 3]`, RGB, 0…255
 * @param seed what noise is drawn from
 * @returns of the same shape
 * @throws {RangeError} if there is no baseline of this name
 */
export function baselineOf(view: NdArray, name: BaselineName, seed = 0): NdArray {
  checkBaseline(name);
  const { data, shape } = view;
  switch (name) {
    case "black":
      return ndarray(new Float32Array(data.length), shape);
    case "grey":
      return ndarray(new Float32Array(data.length).fill(127.5), shape);
    case "blurred":
      return gaussianBlur(view, BLUR * Math.max(shape[0], shape[1]));
    case "noise": {
      const random = randomStream(seed);
      return ndarray(data.map(() => 255 * random()), shape);
    }
  }
}

/**
 * Blurs an image with a Gaussian that is cut off at three standard deviations. Beyond the border its last pixels repeat.
 *
 * @param image `[h, w, c]`
 * @param sigma the standard deviation in pixels
 */
export function gaussianBlur({ data, shape }: NdArray, sigma: number): NdArray {
  const reach = Math.ceil(3 * sigma);
  const weights = Float64Array.from(
    { length: 2 * reach + 1 },
    (_, i) => Math.exp(-((i - reach) ** 2) / (2 * sigma ** 2)),
  );
  const sum = weights.reduce((a, b) => a + b, 0);
  const [height, width, channels] = shape;
  /** One pass along an axis of `length` cells, `step` numbers apart. */
  const pass = (from: Float32Array, length: number, step: number) => {
    const to = new Float32Array(from.length);
    for (let i = 0; i < from.length; i++) {
      const at = Math.floor(i / step) % length;
      let total = 0;
      for (let k = -reach; k <= reach; k++) {
        const other = Math.min(length - 1, Math.max(0, at + k));
        total += weights[k + reach] * from[i + (other - at) * step];
      }
      to[i] = total / sum;
    }
    return to;
  };
  return ndarray(pass(pass(data, width, channels), height, width * channels), shape);
}
