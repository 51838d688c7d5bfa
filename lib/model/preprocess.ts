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
  /** Subtracted from each pixel of 0…255, in the network's order. */
  readonly mean: readonly [number, number, number];
  /** Divides each pixel afterwards. */
  readonly deviation: readonly [number, number, number];
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

/** Three numbers; `divides` if none of them may be 0. */
const triple = ({ divides }: { divides: boolean }): Rule =>
  rule((name, values) => {
    const wanted = (value: unknown) => Number.isFinite(value) && !(divides && value === 0);
    if (Array.isArray(values) && values.length === 3 && values.every(wanted)) return;
    throw new RangeError(
      `A preprocessing's ${name} must hold three numbers${divides ? " other than 0" : ""}: ` +
        `received ${Array.isArray(values) ? `[${values.join(", ")}]` : kindOf(values)}.`,
    );
  });

/** The parts of a preprocessing that differ from those of its mode. */
class PreprocessParts {
  mode: Preprocess["mode"] = "custom";
  @oneOf("rgb", "bgr")
  order?: Preprocess["order"];
  @triple({ divides: false })
  mean?: Preprocess["mean"];
  @triple({ divides: true })
  deviation?: Preprocess["deviation"];
  @oneOf("crop", "squash")
  fit?: Preprocess["fit"];
}

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
export function preprocessing(wanted: PreprocessMode | Partial<Preprocess>): Preprocess {
  if (typeof wanted === "string") return { mode: wanted, ...modeOf(wanted), fit: "crop" };
  const { mode, order, mean, deviation, fit = "crop" } = readOptions("preprocess", PreprocessParts, wanted);
  const base = modeOf(mode === "custom" ? "none" : mode);
  return {
    mode: "custom",
    order: order ?? base.order,
    mean: mean ?? base.mean,
    deviation: deviation ?? base.deviation,
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

/** A preprocessing in a few words, for a model's caption. */
export function describePreprocess({ mode, order, mean, deviation, fit }: Preprocess): string {
  const known: Record<string, string> = {
    caffe: "BGR minus the ImageNet means",
    tf: "RGB from −1 to 1",
    torch: "RGB, ImageNet means and deviations",
    unit: "RGB from 0 to 1",
    none: "RGB from 0 to 255",
  };
  const values = known[mode] ??
    `${order.toUpperCase()}, minus [${mean.join(", ")}], over [${deviation.join(", ")}]`;
  return `${values}; images ${fit === "crop" ? "scaled and centre-cropped" : "squashed"} to fit`;
}

/** Weights of red, green and blue in grey (ITU-R BT.601), for networks with one input channel. */
const LUMA = [0.299, 0.587, 0.114];

/**
 * Turns pixels into a network's input, in a plain array.
 *
 * @param image `[h, w, 3]`, RGB, 0…255
 * @param channels how many channels the network reads: 3, or 1 for grey (a weighted sum of the colours)
 * @returns `h · w · channels` values
 */
export function preprocess(image: NdArrayLike, how: Preprocess, channels: 1 | 3): Float32Array {
  const { data } = image;
  const pixels = data.length / 3;
  const out = new Float32Array(pixels * channels);
  for (let i = 0; i < pixels; i++) {
    if (channels === 1) {
      const grey = LUMA[0] * data[i * 3] + LUMA[1] * data[i * 3 + 1] + LUMA[2] * data[i * 3 + 2];
      out[i] = (grey - how.mean[0]) / how.deviation[0];
      continue;
    }
    for (let c = 0; c < 3; c++) {
      const from = how.order === "bgr" ? 2 - c : c;
      out[i * 3 + c] = (data[i * 3 + from] - how.mean[c]) / how.deviation[c];
    }
  }
  return out;
}
