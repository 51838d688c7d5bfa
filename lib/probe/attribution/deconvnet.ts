/**
 * The deconvolutional network of Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks" (2013), §2.1:
 * from one unit back to the pixels, layer by layer, against the direction of the forward pass.
 *
 * What each layer does to the signal on its way back:
 * - convolutions and dense layers filter it with their weights transposed, whatever the stride, padding or dilation; no
 *   bias is added;
 * - ReLUs rectify it: its positive part passes, whatever went through the ReLU on the way there;
 * - max-poolings unpool it: each value goes to the place of its window's maximum (the "switch"; of equal maxima, the
 *   first in row-major order). Where windows overlap and share a maximum, their values are added, as the transpose of
 *   the pooling does and as Captum does; the paper does not say;
 * - average poolings spread it evenly over each window;
 * - batch normalisations scale it by γ / √(variance + ε), as the linear layers that they are at inference;
 * - sums hand it to all of their branches and concatenations each branch its part; where branches part on the way there,
 *   their signals are added;
 * - local response normalisations pass it on unchanged: the paper does not invert them.
 *
 * The unit starts with 1 and all others with 0. The paper starts with the unit's own activation; as each of the steps
 * above is linear or keeps a positive factor, that is the same picture times the activation. What activation function
 * the unit's own layer ends with plays no part: a class of a softmax layer starts at its logit.
 *
 * @module
 */

import type { layers, Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import { type NdArray, ndarray, placeOf } from "../../array.ts";
import type { InputArray } from "../../data/given.ts";
import { IDLE, withoutActivation } from "../../model/ending.ts";
import { callUse, traceAnySize, type Use, waysTo } from "../../model/graph.ts";
import type { Model } from "../../model/model.ts";
import { ensureBackend, type TF } from "../../runtime/backend.ts";
import { asMemoryError, memoryLeft } from "../../runtime/core/memory.ts";
import { pack } from "../batches.ts";
import { inputGradient } from "../gradient.ts";
import type { Cell, DirectionTarget, UnitTarget } from "../target.ts";

/** What happened to the signal in one step of its way back. */
export type DeconvKind = "unpool" | "rectify" | "filter" | "spread" | "scale";

/** One step of the way back. */
export interface DeconvStep {
  /** The layer's name; for a layer inside a nested model `"model/layer"`. */
  readonly layer: string;
  /**
   * What the layer did: `"unpool"` (max-pooling), `"rectify"` (ReLU), `"filter"` (convolution, dense), `"spread"`
   * (average pooling) or `"scale"` (batch normalisation).
   */
  readonly kind: DeconvKind;
  /** The signal afterwards: `[h, w, c]`, or `[n]` between dense layers. */
  readonly values: NdArray;
}

/** What came back to the pixels, and where it started. */
export interface Deconvolution {
  /** The signal at the network's input, `[h, w, c]`, channels in the network's own order. */
  readonly values: NdArray;
  /** The unit's activation on the forward pass. */
  readonly activation: number;
  /** The unit's cell; absent for a layer that puts out a vector. */
  readonly cell?: Cell;
  /** The way back, in its own order; empty unless it was asked for. */
  readonly steps: readonly DeconvStep[];
  /** The local response normalisations that handed the signal on unchanged, in the order of the way back. */
  readonly unchanged: readonly string[];
}

export interface DeconvolveOptions {
  /**
   * Whether to keep the signal after each step.
   * @default false
   */
  path?: boolean;
  /** Stops between layers. */
  signal?: AbortSignal;
  /** Called after each layer of the way back with the number of layers done. */
  onProgress?: (done: number, total: number) => void;
}

/**
 * Where the way back starts: at a channel, or at all channels with the numbers of a direction; at a cell, or without one
 * where the map is strongest.
 */
export type DeconvStart =
  & Pick<UnitTarget, "layer" | "cell">
  & (Pick<UnitTarget, "channel"> | Pick<DirectionTarget, "direction">);

/** What each type of layer does to the signal, its activation function apart. */
const RULES: Readonly<Record<string, DeconvKind | "hand on">> = {
  Conv1D: "filter",
  Conv1DTranspose: "filter",
  Conv2D: "filter",
  Conv2DTranspose: "filter",
  Conv3D: "filter",
  Conv3DTranspose: "filter",
  DepthwiseConv1D: "filter",
  DepthwiseConv2D: "filter",
  SeparableConv1D: "filter",
  SeparableConv2D: "filter",
  Dense: "filter",
  MaxPooling1D: "unpool",
  MaxPooling2D: "unpool",
  MaxPooling3D: "unpool",
  GlobalMaxPooling1D: "unpool",
  GlobalMaxPooling2D: "unpool",
  GlobalMaxPooling3D: "unpool",
  AveragePooling1D: "spread",
  AveragePooling2D: "spread",
  AveragePooling3D: "spread",
  GlobalAveragePooling1D: "spread",
  GlobalAveragePooling2D: "spread",
  GlobalAveragePooling3D: "spread",
  BatchNormalization: "scale",
  LayerScale: "scale",
  Normalization: "scale",
  Rescaling: "scale",
  Activation: "hand on",
  ReLU: "hand on",
  Add: "hand on",
  Average: "hand on",
  CenterCrop: "hand on",
  Concatenate: "hand on",
  Cropping1D: "hand on",
  Cropping2D: "hand on",
  Cropping3D: "hand on",
  Flatten: "hand on",
  Permute: "hand on",
  Reshape: "hand on",
  Resizing: "hand on",
  Subtract: "hand on",
  UpSampling1D: "hand on",
  UpSampling2D: "hand on",
  UpSampling3D: "hand on",
  ZeroPadding1D: "hand on",
  ZeroPadding2D: "hand on",
  ZeroPadding3D: "hand on",
};

/** Local response normalisations, under the names that converted models give them. */
const NORMALIZES_RESPONSE = new Set(["LRN", "LRN2D", "LocalResponseNormalization", "LocalResponseNormalization2D"]);

/** One layer of the way there. */
interface Step {
  /** For errors and the path. */
  name: string;
  layer: layers.Layer;
  use: Use;
  inputs: Value[];
  output: Value;
}

/** A tensor of the way there, and what has come back to it so far. */
interface Value {
  tensor: Tensor;
  signal?: Tensor;
}

/** The name of a layer's activation function, `"linear"` for none; that of a ReLU layer without a slope is `"relu"`. */
function activationOf(layer: layers.Layer): string {
  const { activation, negativeSlope, threshold } = layer.getConfig();
  if (layer.getClassName() === "ReLU") return negativeSlope || threshold ? "ReLU with a slope or threshold" : "relu";
  return String(activation ?? "linear");
}

const RECTIFIES = new Set(["relu", "relu6"]);

/** Layers that are nothing but an activation function. */
const FUNCTIONS = new Set(["Activation", "ReLU", "Softmax", "ELU", "LeakyReLU", "PReLU", "ThresholdedReLU"]);

/** @throws {TypeError} if it is not defined what the layer does to the signal */
function checkRule({ name, layer }: Pick<Step, "name" | "layer">, isStart: boolean): void {
  const kind = layer.getClassName();
  const named = `the layer ${JSON.stringify(name)} of type ${kind}`;
  // Any activation function may stand at the start, where it is passed over.
  if (!(kind in RULES) && !IDLE.test(kind) && !NORMALIZES_RESPONSE.has(kind) && !(isStart && FUNCTIONS.has(kind))) {
    throw new TypeError(
      `DeconvNet has no rule for ${named}. It goes back through convolutions, dense layers, poolings, ReLUs, batch and ` +
        `local response normalisation, sums and concatenations. Name a layer before this one, or use saliency.`,
    );
  }
  const activation = activationOf(layer);
  if (!isStart && activation !== "linear" && !RECTIFIES.has(activation)) {
    throw new TypeError(
      `DeconvNet rectifies where the network does, and ${named} has the activation ${JSON.stringify(activation)}; ` +
        `wanted "relu" or "linear". Name a layer before this one, or use saliency.`,
    );
  }
}

/**
 * Runs a network up to a unit's layer, use by use, and keeps all tensors.
 *
 * @param values what the network's inputs are; all others join them
 * @param keep takes each tensor that is made, as soon as it is
 */
function runThere(
  tf: TF,
  uses: readonly Use[],
  start: Use,
  values: Map<Use, Value>,
  keep: (tensor: Tensor) => void,
): Step[] {
  const steps: Step[] = [];
  for (const use of uses) {
    if (use.inputs.length === 0) continue;
    const { name, layer } = use;
    checkRule(use, use === start);
    const inputs = use.inputs.map((input) => values.get(input)!);
    const output = { tensor: tf.tidy(() => callUse(tf, use, inputs.map(({ tensor }) => tensor))) };
    keep(output.tensor);
    values.set(use, output);
    steps.push({ name, layer, use, inputs, output });
  }
  return steps;
}

/** What a cell of a map has of a channel, or along a direction. */
function valueAt(map: ArrayLike<number>, start: DeconvStart, cell: number, channels: number): number {
  if ("channel" in start) return map[cell * channels + start.channel];
  let value = 0;
  for (let c = 0; c < channels; c++) value += start.direction[c] * map[cell * channels + c];
  return value;
}

/** Where a map is strongest: the first of equal cells, in row-major order. */
function strongestCell(map: ArrayLike<number>, start: DeconvStart, shape: readonly number[]): number[] {
  const channels = shape.at(-1)!;
  let best = 0;
  for (let cell = 1; cell < map.length / channels; cell++) {
    if (valueAt(map, start, cell, channels) > valueAt(map, start, best, channels)) best = cell;
  }
  return placeOf(best, shape.slice(0, -1));
}

/** The signal that an input starts with: 1 at its channel, or its direction, at its cell. */
function startingSignal(map: ArrayLike<number>, start: DeconvStart, shape: readonly number[]) {
  const sides = shape.slice(0, -1);
  const channels = shape.at(-1)!;
  const cell = sides.length > 0 ? start.cell ?? strongestCell(map, start, shape) : undefined;
  const place = (cell ?? []).reduce((at, one, axis) => at * sides[axis] + one, 0);
  const signal = new Float32Array(map.length);
  if ("channel" in start) signal[place * channels + start.channel] = 1;
  else signal.set(start.direction, place * channels);
  return { cell, signal, activation: valueAt(map, start, place, channels) };
}

/** What a layer without its activation function hands back to its inputs. */
function handBack(tf: TF, { layer, use, inputs }: Step, signal: Tensor): Tensor[] {
  const kind = layer.getClassName();
  if (NORMALIZES_RESPONSE.has(kind)) return [tf.clone(signal)];
  // All that is left is linear, given the switches: its transpose is its gradient.
  const bare = withoutActivation(tf, layer);
  const call = (x: Tensor[]) => callUse(tf, { ...use, layer: bare }, x);
  const tensors = inputs.map(({ tensor }) => tensor);
  return tensors.map((tensor, i) => {
    // What comes in twice gets all of it back the first time.
    if (tensors.indexOf(tensor) < i) return tf.zerosLike(tensor);
    const there = (x: Tensor) => tf.sum(tf.mul(call(tensors.map((other) => other === tensor ? x : other)), signal));
    const { value, gradient } = inputGradient(tf, there, tensor);
    value.dispose();
    return gradient;
  });
}

/** The first batch holds one input, which says how many fit into so many bytes and into what memory is left. */
const BYTES = 4;
const ROOM = 600e6;
const SHARE = 0.3;

/**
 * Sends units of one layer of a network back to the pixels through its deconvolutional network, each for an input of its
 * own, several at a time.
 *
 * @param samples inputs of one shape, as `model.input` returned them, each with where to start
 * @param receive takes what came back for each sample, in their order
 * @throws {TypeError} if a layer on the way has no rule; the message names it
 * @throws {MemoryError} if the backend runs out of memory
 */
export async function eachDeconvolution(
  model: Model,
  samples: readonly { readonly input: InputArray; readonly unit: DeconvStart }[],
  receive: (index: number, found: Deconvolution) => void,
  { batchSize = 8, ...options }: DeconvolveOptions & { batchSize?: number } = {},
): Promise<void> {
  const tf = await ensureBackend();
  let size = 1;
  for (let start = 0; start < samples.length;) {
    const { found, bytes } = await deconvolveBatch(model, samples.slice(start, start + size), options);
    found.forEach((one, i) => receive(start + i, one));
    if (start === 0) {
      const room = Math.min(ROOM, SHARE * (memoryLeft(tf) ?? Infinity));
      size = Math.max(1, Math.min(batchSize, Math.floor(room / Math.max(1, bytes))));
    }
    start += found.length;
  }
}

/**
 * Sends one unit of a network back to the pixels, as {@linkcode eachDeconvolution}.
 *
 * @param model the model; nothing on it changes
 * @param input what `model.input` returned, `[h, w, c]`
 */
export async function deconvolve(
  model: Model,
  input: InputArray,
  unit: DeconvStart,
  options: DeconvolveOptions = {},
): Promise<Deconvolution> {
  const { found: [one] } = await deconvolveBatch(model, [{ input, unit }], options);
  return one;
}

/** As {@linkcode eachDeconvolution}, all at once; `bytes` is what the tensors of the way there take. */
async function deconvolveBatch(
  model: Model,
  samples: readonly { readonly input: InputArray; readonly unit: DeconvStart }[],
  { path = false, signal: abort, onProgress }: DeconvolveOptions,
): Promise<{ found: Deconvolution[]; bytes: number }> {
  const tf = await ensureBackend();
  const { network } = model;
  abort?.throwIfAborted();
  const kept = new Set<Tensor>();
  const keep = (tensors: Tensor[]) => tensors.forEach((tensor) => kept.add(tensor));
  const drop = (tensors: Iterable<Tensor | undefined>) => {
    for (const tensor of tensors) if (tensor && kept.delete(tensor)) tensor.dispose();
  };
  const plain = async (tensor: Tensor): Promise<NdArray[]> => {
    const data = await tensor.data() as Float32Array;
    const each = data.length / samples.length;
    return samples.map((_, i) => ndarray(data.slice(i * each, (i + 1) * each), tensor.shape.slice(1)));
  };
  try {
    const { use: start } = model.entry(samples[0].unit.layer);
    const ways = waysTo([start]);
    const graph = traceAnySize(network);
    const uses = graph.uses.filter((use) => ways.has(use));
    const { x, others } = pack(tf, samples.map(({ input }) => input));
    const image: Value = { tensor: x };
    const given = graph.inputs.map((use, i) => [use, others?.[i] ? { tensor: others[i] } : image] as const);
    keep(given.map(([, { tensor }]) => tensor));
    const there = runThere(tf, uses, start, new Map(given), (tensor) => keep([tensor]));
    const bytes = BYTES * kept.values().reduce((sum, { size }) => sum + size, 0);
    const top = there.at(-1)?.output ?? image;

    const maps = await plain(top.tensor);
    const starts = samples.map(({ unit }, i) => startingSignal(maps[i].data, unit, maps[i].shape));
    const first = new Float32Array(top.tensor.size);
    starts.forEach(({ signal }, i) => first.set(signal, i * signal.length));
    top.signal = tf.tensor(first, top.tensor.shape);
    keep([top.signal]);

    const steps = samples.map((): DeconvStep[] => []);
    const remember = async (layer: string, kind: DeconvKind, signal: Tensor) =>
      (await plain(signal)).forEach((values, i) => steps[i].push({ layer, kind, values }));
    const unchanged: string[] = [];
    for (const [i, step] of there.toReversed().entries()) {
      abort?.throwIfAborted();
      const { layer, name, inputs, output } = step;
      if (!output.signal) continue;
      if (NORMALIZES_RESPONSE.has(layer.getClassName())) unchanged.push(name);
      let signal = output.signal;
      if (RECTIFIES.has(activationOf(layer))) {
        signal = tf.relu(signal);
        keep([signal]);
        if (path) await remember(name, "rectify", signal);
      }
      const isFunction = FUNCTIONS.has(layer.getClassName());
      const parts = tf.tidy(() => isFunction ? [tf.clone(signal)] : handBack(tf, step, signal));
      keep(parts);
      const rule = RULES[layer.getClassName()] ?? "hand on";
      if (path && rule !== "hand on") await remember(name, rule, parts[0]);
      inputs.forEach((value, k) => {
        const sofar = value.signal;
        value.signal = sofar ? tf.add(sofar, parts[k]) : parts[k];
        keep([value.signal]);
        if (sofar) drop([sofar, parts[k]]);
      });
      // What is behind a layer is not needed again; some layers give on what they are given.
      drop([signal, output.signal]);
      if (!inputs.some(({ tensor }) => tensor === output.tensor)) drop([output.tensor]);
      onProgress?.(i + 1, there.length);
    }
    const values = image.signal
      ? await plain(image.signal)
      : samples.map(({ input: { data, shape } }) => ndarray(new Float32Array(data.length), shape));
    const found = starts.map(({ activation, cell }, i) => ({
      values: values[i],
      activation,
      ...cell && { cell },
      steps: steps[i],
      unchanged,
    }));
    return { found, bytes };
  } catch (error) {
    throw asMemoryError(tf, error) ?? error;
  } finally {
    tf.dispose([...kept]);
  }
}
