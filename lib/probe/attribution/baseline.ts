/**
 * What replaces pixels: images that say nothing, against which the true pixels count.
 *
 * @module
 */

import { isNdArray, NdArray, ndarray, type NdArrayLike } from "../../array.ts";
import { blurred } from "../../data/corrupt.ts";
import { Image } from "../../data/image.ts";
import { channelMeans } from "../../data/warp.ts";
import { kindOf } from "../../errors.ts";
import type { Model } from "../../model/model.ts";
import { zeroPixel } from "../../model/preprocess.ts";
import { inChannels } from "../../model/view.ts";
import { randomStream } from "../../random.ts";

const NAMES = ["grey", "zero", "mean", "blurred", "noise"];

/**
 * What replaces pixels:
 * - `"grey"`: 127.5; of other numbers than grey or RGB images the middle between the least and the greatest value of each band;
 * - `"zero"`: what the network reads as zeros, the mean that its preprocessing subtracts (Captum's default);
 * - `"mean"`: the image's mean colour, of a signal or a volume each channel's mean;
 * - `"blurred"`: the image itself under a Gaussian blur whose standard deviation is 1/22 of its longer side (10 pixels of
 *   224, as in Fong & Vedaldi 2017);
 * - `"noise"`: each value drawn evenly from 0…255; of other numbers from the least to the greatest value of each band;
 * - a grey of 0…255 (0 is black), or a colour `[r, g, b]` of these; of other bands one number for all, or one a band;
 * - an image, resized as the model resizes its input.
 */
export type Baseline = "grey" | "zero" | "mean" | "blurred" | "noise" | number | readonly number[] | NdArrayLike;

/** A baseline that was made for one image. */
export interface MadeBaseline {
  /** For captions and tables; `"custom"` for an image. */
  readonly name: string;
  /** Pixels of the image's shape, 0…255. */
  readonly image: NdArray;
}

/** The blur's standard deviation as a share of the longer side. */
const BLUR = 10 / 224;

const isColor = (value: unknown): value is readonly number[] =>
  Array.isArray(value) && value.length > 0 && value.every((part) => typeof part === "number");

/** Whether arrays of a shape are images in grey or RGB, of 0…255. */
const isColorful = (shape: readonly (number | null)[]): boolean =>
  shape.length === 3 && (shape[2] === 1 || shape[2] === 3);

/** @throws {RangeError} if it is neither a name nor a grey, a colour of the model's channels or an image */
export function checkBaseline(baseline: unknown, { inputShape }: Model): asserts baseline is Baseline {
  if (NAMES.some((name) => name === baseline) || isNdArray(baseline)) return;
  if (typeof baseline === "number" || isColor(baseline)) {
    const color = [baseline].flat();
    const channels = inputShape.at(-1) ?? 3;
    const colorful = isColorful(inputShape);
    const counts = colorful ? [1, 3] : [1, channels];
    const fits = (value: number) => colorful ? value >= 0 && value <= 255 : Number.isFinite(value);
    if (counts.includes(color.length) && color.every(fits)) return;
    const wanted = colorful
      ? "A baseline colour is [r, g, b] or one number for a grey, each 0 to 255"
      : `A baseline for ${channels} channels is one number for all of them or ${channels} numbers`;
    throw new RangeError(`${wanted}: received [${color.join(", ")}].`);
  }
  throw new RangeError(
    `There is no baseline ${kindOf(baseline)}; wanted one of ${NAMES.map((name) => `"${name}"`).join(", ")}, ` +
      "a number for a grey, a colour [r, g, b], or an image.",
  );
}

/**
 * One baseline or several, as an array. Numbers in an array are one colour.
 *
 * @throws {RangeError} if there is none, a name is unknown, or a colour is none
 */
export function baselinesOf(wanted: Baseline | readonly Baseline[], model: Model): readonly Baseline[] {
  const baselines = (Array.isArray(wanted) && !isColor(wanted) ? wanted : [wanted]) as readonly Baseline[];
  if (baselines.length === 0) throw new RangeError("baseline is empty; wanted at least one.");
  baselines.forEach((baseline) => checkBaseline(baseline, model));
  return baselines;
}

function nameOf(baseline: Baseline): string {
  if (typeof baseline === "string") return baseline;
  if (isNdArray(baseline)) return "custom";
  const color = [baseline].flat();
  if (color.every((value) => value === color[0])) {
    return { 0: "black", 127.5: "grey", 255: "white" }[color[0]] ?? `grey ${color[0]}`;
  }
  return `colour ${color.join(", ")}`;
}

/**
 * Makes a baseline for an image.
 *
 * @param view the image as the model sees it, `[h, w, c]`, 0…255
 * @param seed what noise is drawn from
 */
export async function makeBaseline(
  model: Model,
  view: NdArrayLike,
  baseline: Baseline,
  seed: number,
): Promise<MadeBaseline> {
  // What is taken over the places of an image is taken over the numbers of a vector.
  const isOver = view.shape.length === 1 && ["grey", "mean", "blurred", "noise"].includes(baseline as string);
  const shown = isOver ? { data: view.data, shape: [...view.shape, 1] } : model.shown(view);
  const { data } = await imageOf(model, shown, baseline, seed);
  return { name: nameOf(baseline), image: ndarray(data, view.shape) };
}

async function imageOf(model: Model, view: NdArrayLike, baseline: Baseline, seed: number): Promise<NdArray> {
  const { data, shape } = view;
  const channels = shape.at(-1)!;
  const flat = (color: readonly number[]) => ndarray(data.map((_, i) => color[i % channels % color.length]), shape);
  if (typeof baseline === "object" && "data" in baseline) {
    const given = baseline instanceof Image ? baseline : ndarray(baseline.data, baseline.shape);
    const image = model.shown(await model.viewAlone(given));
    if (image.shape.join() === shape.join()) return NdArray.from(image);
    throw new RangeError(
      `A baseline has the shape of the image as the model sees it, [${shape}]: received [${image.shape}].`,
    );
  }
  if (typeof baseline !== "string") {
    const color = [baseline].flat() as number[];
    return flat(
      isColorful(shape) && channels === 1 ? [...inChannels(ndarray(color, [1, 1, color.length]), 1).data] : color,
    );
  }
  const [low, high] = isColorful(shape) ? [[0], [255]] : rangesOf(view);
  switch (baseline) {
    case "grey":
      return flat(low.map((least, c) => (least + high[c]) / 2));
    case "zero": {
      return flat(zeroPixel(model.preprocess, channels));
    }
    case "mean": {
      return flat(channelMeans(view));
    }
    case "blurred":
      return blurred(view, BLUR * Math.max(...shape.slice(0, -1)));
    case "noise": {
      const random = randomStream(seed);
      return ndarray(data.map((_, i) => mix(low[i % low.length], high[i % high.length], random())), shape);
    }
  }
}

const mix = (low: number, high: number, share: number): number => low + (high - low) * share;

/** The least and the greatest value of each channel. */
function rangesOf({ data, shape }: NdArrayLike): [low: number[], high: number[]] {
  const channels = shape.at(-1)!;
  const low = new Array<number>(channels).fill(Infinity);
  const high = new Array<number>(channels).fill(-Infinity);
  data.forEach((value, i) => {
    const c = i % channels;
    low[c] = Math.min(low[c], value);
    high[c] = Math.max(high[c], value);
  });
  return [low, high];
}
