/**
 * From the pixels of an image to the numbers that a network was trained on.
 *
 * @module
 */

import type { layers } from "npm:@tensorflow/tfjs@4.22.0";
import type { NdArrayLike } from "../array.ts";
import { kindOf } from "../errors.ts";
import { oneOf, readOptions, type Rule, rule } from "../options.ts";
import type { LayersModel } from "../runtime/tensorflow_types.ts";
import { traceAnySize, type Use } from "./graph.ts";

/**
 * How a network wants its pixels. The names are those of Keras's `imagenet_utils.preprocess_input`, with two more:
 * - `"caffe"`: BGR, minus the ImageNet means 103.939, 116.779, 123.68;
 * - `"tf"`: RGB from −1 to 1;
 * - `"torch"`: RGB from 0 to 1, minus the means .485 .456 .406, over the deviations .229 .224 .225;
 * - `"unit"`: RGB from 0 to 1;
 * - `"none"`: RGB from 0 to 255, as they are.
 */
export type PreprocessMode = "caffe" | "tf" | "torch" | "unit" | "none";

/** The same, spelt out: `value = (pixel − mean) / deviation`, channel by channel in the network's own order. */
export interface Preprocess {
  /** The name of the mode, or `"custom"`. */
  readonly mode: PreprocessMode | "custom";
  /** The order of the colour channels in the network's input. */
  readonly order: "rgb" | "bgr";
  /** Subtracted from each pixel of 0…255: one number a channel in the network's order, or one for all channels. */
  readonly mean: readonly number[];
  /** Divides each pixel afterwards: one number a channel, or one for all. */
  readonly deviation: readonly number[];
  /**
   * How an image becomes the input's size: `"crop"` scales its short side and cuts the middle out, `"squash"`
   * scales each side on its own.
   */
  readonly fit: "crop" | "squash";
}

const MODES: Record<PreprocessMode, Omit<Preprocess, "mode" | "fit">> = {
  caffe: { order: "bgr", mean: [103.939, 116.779, 123.68], deviation: [1, 1, 1] },
  tf: { order: "rgb", mean: [127.5, 127.5, 127.5], deviation: [127.5, 127.5, 127.5] },
  torch: {
    order: "rgb",
    mean: [0.485 * 255, 0.456 * 255, 0.406 * 255],
    deviation: [0.229 * 255, 0.224 * 255, 0.225 * 255],
  },
  unit: { order: "rgb", mean: [0, 0, 0], deviation: [255, 255, 255] },
  none: { order: "rgb", mean: [0, 0, 0], deviation: [1, 1, 1] },
};

/** A number for each channel, or one for all; `divides` if none of them may be 0. */
const perChannel = ({ divides }: { divides: boolean }): Rule =>
  rule((name, values) => {
    const wanted = (value: unknown) => Number.isFinite(value) && !(divides && value === 0);
    if (wanted(values) || (Array.isArray(values) && values.length > 0 && values.every(wanted))) return;
    throw new RangeError(
      `A preprocessing's ${name} must be a number for each channel, as [r, g, b], or one for all` +
        `${divides ? ", none of them 0" : ""}: received ${
          Array.isArray(values) ? `[${values.join(", ")}]` : kindOf(values)
        }.`,
    );
  });

/** The parts of a preprocessing that differ from those of its mode. */
class PreprocessParts {
  mode: Preprocess["mode"] = "custom";
  @oneOf("rgb", "bgr")
  order?: Preprocess["order"];
  @perChannel({ divides: false })
  mean?: number | Preprocess["mean"];
  @perChannel({ divides: true })
  deviation?: number | Preprocess["deviation"];
  @oneOf("crop", "squash")
  fit?: Preprocess["fit"];
}

/** What of a preprocessing differs from its mode; one number holds for all channels. */
export type PreprocessWanted = Partial<Omit<Preprocess, "mean" | "deviation">> & {
  readonly mean?: number | readonly number[];
  readonly deviation?: number | readonly number[];
};

/** @throws {RangeError} if there is no such mode */
function modeOf(name: PreprocessMode): Omit<Preprocess, "mode" | "fit"> {
  if (Object.hasOwn(MODES, name)) return MODES[name];
  throw new RangeError(
    `There is no preprocessing ${JSON.stringify(name)}; wanted one of ${Object.keys(MODES).join(", ")}, ` +
      `or { order, mean, deviation, fit }.`,
  );
}

/**
 * Fills a preprocessing in: from a mode's name, or from what differs from `"none"` or, with `mode`, from that mode.
 *
 * @throws {RangeError} if the mode, the order or the fit is unknown or a deviation is 0
 * @throws {TypeError} if there is no such part of a preprocessing
 */
export function preprocessing(wanted: PreprocessMode | PreprocessWanted): Preprocess {
  if (typeof wanted === "string") return { mode: wanted, ...modeOf(wanted), fit: "crop" };
  const { mode, order, mean, deviation, fit = "crop" } = readOptions("preprocess", PreprocessParts, wanted);
  const base = modeOf(mode === "custom" ? "none" : mode);
  return {
    mode: "custom",
    order: order ?? base.order,
    mean: [mean ?? base.mean].flat(),
    deviation: [deviation ?? base.deviation].flat(),
    fit,
  };
}

/** Layers behind which pixels are still what they were. */
const KEEPS_PIXELS = new RegExp(
  "^(InputLayer|ZeroPadding2D|Cropping2D|Resizing|CenterCrop|Random\\w+|Rescaling|Normalization|\\w*Dropout|" +
    "GaussianNoise|Reshape)$",
);

/** A layer by which a network scales its pixels itself, and what it wants them to be. */
export interface OwnScaling {
  /** The layer's name; in a nested model with that one's name before it. */
  readonly layer: string;
  readonly wants: "none" | "unit";
}

/**
 * The layer by which a network scales its pixels itself, as Keras's Rescaling and Normalization do; null if it has none
 * before the layers that it has learned.
 */
export async function ownScaling(network: LayersModel): Promise<OwnScaling | null> {
  if (!network.inputs?.length) return null;
  if (!network.built) network.build(network.inputs[0].shape);
  const untouched = new Set<Use>();
  for (const use of traceAnySize(network).uses) {
    const { layer, name, inputs } = use;
    if (!inputs.every((input) => untouched.has(input))) continue;
    const wants = await wantedBy(layer);
    if (wants) return { layer: name, wants };
    if (KEEPS_PIXELS.test(layer.getClassName())) untouched.add(use);
  }
  return null;
}

const largest = (values: unknown): number => Math.max(...[values].flat(9).map((value) => Math.abs(Number(value))));

/** Which pixels a layer was made to scale: those of 0…255, or of 0…1; null where it scales none. */
async function wantedBy(layer: layers.Layer): Promise<OwnScaling["wants"] | null> {
  const config = layer.getConfig();
  if (layer.getClassName() === "Rescaling") {
    const [scale, offset] = [largest(config["scale"] ?? 1), largest(config["offset"] ?? 0)];
    if (scale === 1 && offset === 0) return null;
    // Networks are trained on small numbers: where a white pixel of 255 would become a large one, it was to be 1.
    return scale * 255 > 16 && offset < 16 ? "unit" : "none";
  }
  if (layer.getClassName() !== "Normalization") return null;
  const [mean, variance] = await Promise.all(["mean", "variance"].map(async (part) => {
    const weight = layer.weights.find(({ originalName }) => originalName.split("/").at(-1) === part);
    return largest(weight ? [...await weight.read().data()] : config[part]);
  }));
  if (mean === 0 && variance === 1) return null;
  return mean <= 1 && variance <= 1 ? "unit" : "none";
}

/** One number, or one a channel. */
const numbers = (values: readonly number[]): string =>
  values.length === 1 ? String(values[0]) : `[${values.join(", ")}]`;

/** A preprocessing in a few words, for a model's caption. */
export function describePreprocess(
  { mode, order, mean, deviation, fit }: Preprocess,
  inputShape: readonly (number | null)[],
): string {
  if (inputShape.length === 1) {
    return mode === "none"
      ? `${inputShape[0]} numbers as they are`
      : `minus ${numbers(mean)}, over ${numbers(deviation)}`;
  }
  const channels = inputShape.at(-1);
  const colours = channels === 3 ? order.toUpperCase() : channels === 1 ? "grey" : `${channels ?? "all"} channels`;
  const known: Record<string, string> = {
    caffe: "minus the ImageNet means",
    tf: "from −1 to 1",
    torch: "ImageNet means and deviations",
    unit: channels === 3 || channels === 1 ? "from 0 to 1" : "over 255",
    none: channels === 3 || channels === 1 ? "from 0 to 255" : "as they are",
  };
  const how = known[mode] ?? `minus ${numbers(mean)}, over ${numbers(deviation)}`;
  const joint = mode === "torch" || !known[mode] ? ", " : " ";
  return `${colours}${joint}${how}; images ${fit === "crop" ? "scaled and centre-cropped" : "squashed"} to fit`;
}

/** The number of each channel among some: one of them holds for all where they are not as many. */
const ofChannel = (values: readonly number[], channel: number, channels: number): number =>
  values[values.length === channels ? channel : 0];

/**
 * Turns pixels into a network's input, in a plain array.
 *
 * @param image `[…, c]` with as many channels as the network reads; 3 of them are RGB; 0…255
 * @returns as many values; channels in the network's order
 */
export function preprocess({ data, shape }: NdArrayLike, { order, mean, deviation }: Preprocess): Float32Array {
  const channels = shape[shape.length - 1];
  const swapped = channels === 3 && order === "bgr";
  const out = new Float32Array(data.length);
  for (let c = 0; c < channels; c++) {
    const [less, over] = [ofChannel(mean, c, channels), ofChannel(deviation, c, channels)];
    const from = swapped ? 2 - c : c;
    for (let i = 0; i < data.length; i += channels) out[i + c] = (data[i + from] - less) / over;
  }
  return out;
}

/**
 * The pixels that a network reads as zeros, one value a channel of the image.
 *
 * @param channels how many the image has
 */
export function zeroPixel({ order, mean }: Preprocess, channels: number): number[] {
  const means = Array.from({ length: channels }, (_, c) => ofChannel(mean, c, channels));
  return channels === 3 && order === "bgr" ? means.reverse() : means;
}

/** How pixels are read as they are. */
export const asTheyAre = ({ fit }: Pick<Preprocess, "fit">): Preprocess => ({ mode: "none", ...MODES.none, fit });

/**
 * @param inputs how many channels the network reads
 * @throws {RangeError} if a preprocessing has other numbers for the channels than the network has
 */
export function checkPreprocess(model: string, { mode, mean, deviation }: Preprocess, channels: number | null): void {
  if (channels === null || channels === 1) return;
  for (const [name, values] of Object.entries({ mean, deviation })) {
    if (values.length === 1 || values.length === channels || values.every((value) => value === values[0])) continue;
    throw new RangeError(
      `The preprocessing ${
        mode === "custom" ? "" : `"${mode}" `
      }has ${values.length} numbers for ${name}: the network ` +
        `${
          JSON.stringify(model)
        } reads ${channels} channels. Give { ${name}: [${channels} numbers] }, or one number for ` +
        `all channels; "none" takes the values as they are.`,
    );
  }
}
