/**
 * The options of `invert`, and what they mean for a layer.
 *
 * @module
 */

import type { ImageLike } from "../../data/image.ts";
import { kindOf } from "../../errors.ts";
import type { Model } from "../../model/model.ts";
import { arrayOf, belowOne, oneOf, positive, rule, RunOptions, text, whole, within } from "../../options.ts";
import type { SubCode } from "../../probe/optimise/inversion.ts";

/** What is asked of an inverted picture besides its code. */
export class InversionPriors {
  /**
   * The power of the norm about the middle grey.
   * @default 6 (Mahendran & Vedaldi 2015, §3.1)
   */
  @within(1)
  alpha = 6;
  /**
   * The power of the total variation.
   * @default 2 (§3.1)
   */
  @within(1)
  beta = 2;
  /**
   * The weight of the norm, beside the normalised error of the code, which weighs 1. It is the mean over all values, in units
   * of photographs' deviation from grey, so that it means the same for an image of any size. 0 leaves it out.
   * @default 0.01
   */
  @within(0)
  norm = 0.01;
  /**
   * The weight of the total variation, likewise in units of photographs' differences between neighbours. More makes calmer
   * pictures, whose code is further off.
   * @default 0.01
   */
  @within(0)
  variation = 0.01;
}

const WHOLE_NUMBERS = rule((name, value) => {
  if (Array.isArray(value) && value.length > 0 && value.every((one) => Number.isInteger(one))) return;
  throw new TypeError(`${name} must be an array of whole numbers: received ${kindOf(value)}.`);
});

/** The options of `invert`. */
export class InvertOptions extends RunOptions {
  /** The layer whose code is inverted; in a nested model as `"features/conv1"`. */
  @text()
  layer?: string;
  /**
   * Several layers, each inverted by itself.
   * @default without `layer`: convolutions and poolings, of many the last of each resolution
   */
  @arrayOf("layers' names")
  layers?: readonly string[];
  /**
   * How many steps.
   * @default 200
   */
  @whole(1)
  steps = 200;
  /**
   * Where the noise that is begun with comes from.
   * @default 0
   */
  @whole()
  seed = 0;
  /**
   * Several beginnings, whose pictures stand beside each other: what differs among them is what the code does not fix.
   * @default [seed]
   */
  @WHOLE_NUMBERS
  seeds?: readonly number[];
  /** What is asked of the picture besides its code. */
  priors: Partial<InversionPriors> = {};
  /**
   * By up to how many pixels the picture is shifted before each step, another way each time; by less towards the end.
   * @default a quarter of the layer's stride, and at most a thirty-second of the image's side
   */
  @whole(0)
  jitter?: number;
  /**
   * Only these channels of the code.
   * @default all
   */
  @WHOLE_NUMBERS
  channels?: readonly number[];
  /**
   * Only these cells of the code: `[y0, x0, y1, x1]` in cells, from the first to before the last.
   * @default all
   */
  @WHOLE_NUMBERS
  region?: readonly number[];
  /**
   * How a gradient becomes a step: by Adam, or by momentum alone as in the paper. Both are annealed to 0.
   * @default "adam"
   */
  @oneOf("adam", "momentum")
  optimizer: "adam" | "momentum" = "adam";
  /**
   * The share of the last step that is added to the next.
   * @default 0.9
   */
  @belowOne()
  momentum = 0.9;
  /**
   * The length of the first steps, in units of a pixel's 0…255; of `"momentum"` what the gradient of a pixel is multiplied
   * with, times the number of values of the image.
   * @default 10; 6 with `"momentum"`
   */
  @positive()
  rate?: number;
  /**
   * An image to begin with, instead of noise.
   * @default noise
   */
  start?: ImageLike;
}

/** @throws {RangeError} if a layer has no such channels or cells */
export function checkPart(layer: string, shape: readonly (number | null)[], { channels, region }: SubCode): void {
  const count = shape.at(-1)!;
  const sides = shape.slice(0, -1);
  const wrong = channels?.find((channel) => channel < 0 || channel >= count);
  const named = `${JSON.stringify(layer)} puts out [${shape.join(", ")}]`;
  if (wrong !== undefined) throw new RangeError(`${named}: received the channel ${wrong}; wanted 0 to ${count - 1}.`);
  if (!region) return;
  const half = sides.length;
  const fits = half > 0 && region.length === 2 * half &&
    sides.every((side, i) => region[i] >= 0 && region[i] < region[i + half] && region[i + half] <= (side ?? Infinity));
  if (fits) return;
  throw new RangeError(
    `${named}: received the region [${region.join(", ")}]; ` +
      (half > 0
        ? `wanted [y0, x0, y1, x1] in its cells, of which there are ${sides.join(" × ")}.`
        : "a vector has no cells. Choose some of its channels."),
  );
}

/** The stride of a layer in pixels; of a vector that of the last maps before it. */
export function strideOf(model: Model, name: string): number {
  const { leaves } = model;
  const place = leaves.findIndex((layer) => layer.name === name);
  const before = leaves.slice(0, place + 1).findLast(({ receptiveField }) => receptiveField);
  return Math.max(1, ...[before?.receptiveField?.stride ?? 1].flat());
}
