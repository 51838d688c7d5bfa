/**
 * The options of `featureVisualization`.
 *
 * @module
 */

import { checkDataset, type Dataset } from "../../data/dataset.ts";
import type { ImageLike } from "../../data/image.ts";
import { kindOf } from "../../errors.ts";
import { arrayOf, flag, oneOf, positive, rule, RunOptions, text, whole, within } from "../../options.ts";
import type { PixelRegularizers } from "../../probe/optimise/pixel_regularizers.ts";
import type { Transformations } from "../../probe/optimise/transformations.ts";
import type { Target } from "../../probe/target.ts";
import { TopPatches } from "../../results/top_patches.ts";

/** An object, or one of some names. */
const namedOr = (...names: string[]) =>
  rule((name, value) => {
    if (typeof value === "string" ? names.includes(value) : kindOf(value) === "an object") return;
    throw new RangeError(
      `${name} must be ${names.map((name) => JSON.stringify(name)).join(", ")} or an object of numbers: received ` +
        `${kindOf(value)}.`,
    );
  });

/** The options of `featureVisualization`. */
export class FeatureVisualizationOptions extends RunOptions {
  /**
   * What is to be excited, or several such. Of a class or label the score before the softmax or sigmoid; a unit
   * `{ layer, channel }` without a cell is taken at the cell that `cells` says.
   * @default with `patches` or `layer` the units there; else the first class or number
   */
  @rule(() => {})
  target?: Target | readonly Target[];
  /** Instead of a target: a layer whose units are drawn, beside their patches if these are given. */
  @text()
  layer?: string;
  /**
   * The channels of `layer`.
   * @default the first 24
   */
  @arrayOf("channels")
  channels?: readonly number[];
  /**
   * How many steps of gradient ascent.
   * @default 128
   */
  @whole(1)
  steps = 128;
  /**
   * Of the noise that images begin as, and of the transformations.
   * @default 0
   */
  @whole()
  seed = 0;
  /**
   * How many images of each target, each from noise of its own: how much they differ is the method's spread.
   * @default 1
   */
  @whole(1)
  images = 1;
  /**
   * What is optimised: `"fourier"`, the coefficients of waves, scaled as they are in photos, in colours that are uncorrelated in
   * photos; or `"pixels"`, with `regularizers`.
   * @default "fourier"
   */
  @oneOf("fourier", "pixels")
  parametrization: "fourier" | "pixels" = "fourier";
  /**
   * Of a unit or a direction without a cell: `"centre"`, the cell in the middle of the map, whose activation can be compared
   * with that of a patch (Lucid's `neuron`); or `"all"`, the mean over the map (Lucid's `channel`), which fills the image.
   * @default "centre"
   */
  @oneOf("centre", "all")
  cells: "centre" | "all" = "centre";
  /**
   * What is done to the image before each step, so that it excites the target also when it is moved, scaled or turned:
   * `"none"`, or `{ jitter (pixels), scale (share), rotate (degrees), until }`, each the most that is done. After the share
   * `until` of the steps they fade to nothing, so that the image is sharpened at last; 1 keeps them to the end.
   * @default "standard": a jitter of a 28th of what the target sees, scales of ±5 %, rotations of ±5°, until 0.5
   */
  @namedOr("standard", "none")
  transformations: "standard" | "none" | Partial<Transformations> = "standard";
  /**
   * With `parametrization: "pixels"`: what keeps pixels in bounds: `"none"`, `"simonyan"` (an L2 norm), `"yosinski"` (blur and
   * clipping of small pixels too), or `{ decay, blur, blurEvery, smallNorms, smallContributions }`.
   * @default "yosinski"
   */
  @namedOr("none", "simonyan", "yosinski")
  regularizers: "none" | "simonyan" | "yosinski" | Partial<PixelRegularizers> = "yosinski";
  /**
   * With `"fourier"`: the power of the frequency by which coefficients are divided. 0 is as pixels are, more is smoother.
   * @default 1
   */
  @within(0, 3)
  decay = 1;
  /**
   * With `"fourier"`: whether colours are written as they are uncorrelated in photos; of images of three channels.
   * @default true
   */
  @flag()
  decorrelate = true;
  /**
   * How far a step goes: of Adam for coefficients; for pixels as a share of the distance from grey to white.
   * @default 0.1, of pixels 0.03
   */
  @positive()
  learningRate?: number;
  /**
   * With several `images`: how much they are kept apart, by the likeness of their feature maps' Gram matrices, in shares of the
   * score. Their spread is no error bar then.
   * @default 0
   */
  @within(0)
  diversity = 0;
  /**
   * Whether the image may be transparent where the target does not need it.
   * @default false
   */
  @flag()
  alpha = false;
  /**
   * What the images begin as, instead of noise: a photo, whose own features are exaggerated (DeepDream).
   * @default noise
   */
  @rule(() => {})
  image?: ImageLike;
  /**
   * The side of the image in pixels, for a network that takes any size.
   * @default 128
   */
  @whole(16)
  size?: number;
  /** What `topPatches` returned: drawn beside the images of its units, whose activations are compared with its best. */
  @rule((name, value) => {
    if (value instanceof TopPatches) return;
    throw new TypeError(
      `${name} are what topPatches returned, as await topPatches(model, dataset): received ${kindOf(value)}.`,
    );
  })
  patches?: TopPatches;
  /**
   * Natural images whose best score is compared with; they are walked once.
   * @default those of `patches`, if given
   */
  @rule((name, value, asker) => checkDataset(`${asker}'s ${name}`, value))
  dataset?: Dataset;
}
