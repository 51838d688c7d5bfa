/**
 * What the weights look like: the first layer as little colour pictures, deeper ones as rows of kernels.
 *
 * The second picture of cs231n's "Visualizing what ConvNets learn"; the split into grey, fast filters and coloured,
 * slow ones is that of Krizhevsky, Sutskever and Hinton (2012), Fig. 3.
 *
 * @module
 */

import { type NdArrayLike, sizeOf } from "../array.ts";
import { labelsOfUnits } from "./shared/layers.ts";
import type { Entry } from "../model/graph.ts";
import { checkModel, checkReady, type LayerInfo, type Model } from "../model/model.ts";
import { arrayOf, readOptions, text } from "../options.ts";
import { diagnoseFilter, noiseThreshold } from "../probe/filter_diagnostics.ts";
import { type FilterRow, Filters } from "../results/filters.ts";
import { filterOf } from "../results/panels.ts";
import { ensureBackend } from "../runtime/backend.ts";

/** What `filters` can be asked for. */
export class FiltersOptions {
  /**
   * A convolution or a dense layer.
   * @default the first convolution
   */
  @text()
  layer?: string;
  /**
   * Which filters to keep, by their output channel.
   * @default all
   */
  @arrayOf("channels")
  channels?: readonly number[];
}

/** The map that a dense layer reads: the input of the flattening before it, or its own input as 1×1. */
function readMap({ layer, use: { inputs } }: Entry): number[] {
  let [below] = inputs;
  const through = new Set([
    "Flatten",
    "Dropout",
    "Activation",
    "ReLU",
    "AlphaDropout",
    "GaussianDropout",
    "GaussianNoise",
  ]);
  while (below.shape.length === 2 && below.inputs.length && through.has(below.layer.getClassName())) {
    [below] = below.inputs;
  }
  const shape = below.shape.slice(1);
  const length = layer.getWeights()[0].shape[0];
  if (shape.length < 2 || sizeOf(shape as number[]) !== length) return [1, 1, length];
  // An input of two sides is a grey picture; what a layer puts out on two sides are channels along a line.
  const isPicture = shape.length === 2 && below.inputs.length === 0;
  return isPicture ? [...shape as number[], 1] : shape as number[];
}

/** Layers with filters: convolutions, and dense ones. */
const CONVOLUTION = /^(Separable|Depthwise)?Conv[123]D(Transpose)?$/;
const hasFilters = ({ kind }: LayerInfo) => CONVOLUTION.test(kind) || kind === "Dense";

/** Some layers' names, for messages. */
const namesOf = (layers: readonly LayerInfo[]) => layers.slice(0, 5).map(({ name }) => JSON.stringify(name)).join(", ");

/**
 * The first convolution of a model.
 *
 * @throws {TypeError} if it has none: says which layer may be named
 */
function firstConvolution(model: Model): LayerInfo {
  const found = model.wayTo().find(({ kind }) => CONVOLUTION.test(kind));
  if (found) return found;
  const name = JSON.stringify(model.name);
  const others = model.leaves.filter(hasFilters);
  throw new TypeError(
    `${name} has no convolution` +
      (others.length
        ? `; wanted the name of a dense layer as { layer }, as ${namesOf(others)}.`
        : ", nor a dense layer."),
  );
}

/** The weights of a layer as `[…sides, cin, cout]`. */
async function weightsOf(model: Model, info: LayerInfo): Promise<NdArrayLike> {
  await ensureBackend();
  const { kind } = info;
  if (!hasFilters(info)) {
    const others = model.leaves.filter(hasFilters);
    throw new TypeError(
      `Layer ${JSON.stringify(info.name)} is a ${kind} and has no filters; wanted a convolution or a dense layer` +
        (others.length ? `, as ${namesOf(others)}.` : "."),
    );
  }
  const entry = model.entry(info.name);
  const kernel = entry.layer.getWeights()[0];
  const data = new Float32Array(await kernel.data());
  if (kind === "Dense") return { data, shape: [...readMap(entry), kernel.shape.at(-1)!] };
  const sides = kernel.shape.slice(0, -2);
  const [from, to] = kernel.shape.slice(-2);
  // Of each input channel some filters: each output reads one input only.
  if (/^(Depthwise|Separable)/.test(kind)) return { data, shape: [...sides, 1, from * to] };
  if (!kind.endsWith("Transpose")) return { data, shape: kernel.shape };
  const turned = data.map((_, i) => {
    const [o, c] = [i % from, Math.floor(i / from) % to];
    return data[(i - i % (from * to)) + o * to + c];
  });
  return { data: turned, shape: [...sides, to, from] };
}

/**
 * The filters of a layer, with their diagnostics.
 *
 * A dense layer's weights are laid out on the feature map that it reads, so that each unit is a stack of pictures.
 * Of a separable convolution the depthwise part is shown.
 *
 * @param model the model; nothing on it changes
 * @returns `weights` `[kh, kw, cin, cout]`, of a 1-D convolution `[k, cin, cout]`, of a 3-D one `[kd, kh, kw, cin, cout]`;
 *   and `rows`, one for each filter
 * @throws {RangeError} if the layer or a channel does not exist
 * @throws {TypeError} if the layer has no filters, or the model no convolution and `layer` is not given
 *
 * @example
 * ```ts
 * import { filters, loadModel } from "@convlens/convlens";
 *
 * const model = await loadModel("resnet50");
 * const first = await filters(model);
 * await first.figure({ sort: "colorfulness" }).show();
 * await filters(model, { layer: "res2a_branch2b" });
 * ```
 */
export async function filters(
  model: Model,
  options: Partial<FiltersOptions> = {},
): Promise<Filters> {
  checkModel("filters", model);
  const { layer: asked, channels } = readOptions("filters", FiltersOptions, options);
  await checkReady("filters", model);
  const info = asked === undefined ? firstConvolution(model) : model.layer(asked);
  const layer = info.name;
  const all = await weightsOf(model, info);
  const total = all.shape.at(-1)!;
  const unknown = channels?.find((channel) => !Number.isInteger(channel) || channel < 0 || channel >= total);
  if (unknown !== undefined) {
    throw new RangeError(`Layer ${JSON.stringify(layer)} has filters 0 to ${total - 1}: received ${unknown}.`);
  }
  if (channels?.length === 0) throw new RangeError("channels is empty; wanted at least one channel.");
  const kept = channels ?? Array.from({ length: total }, (_, i) => i);
  const kernels = kept.map((channel) => filterOf(all, channel));
  const data = new Float32Array(all.data.length / total * kept.length);
  kernels.forEach((kernel, k) => kernel.data.forEach((value, i) => data[i * kept.length + k] = value));
  const labels = labelsOfUnits(model, layer, total);
  const threshold = all.shape.length === 4 ? noiseThreshold(all.shape) : null;
  const rows = kernels.map((kernel, k): FilterRow => {
    const diagnosis = diagnoseFilter(kernel);
    return {
      channel: kept[k],
      label: labels?.[kept[k]] ?? null,
      norm: Math.hypot(...kernel.data),
      noisy: threshold !== null && diagnosis.noise > threshold,
      ...diagnosis,
    };
  });
  const weights = channels ? { data, shape: [...all.shape.slice(0, -1), kept.length] } : all;
  return new Filters(layer, weights, rows, { name: model.name, order: model.preprocess.order, total, threshold });
}
