/**
 * How a layer of TensorFlow.js is made to compute what Keras does: its methods are replaced on its class, so that it
 * does not matter who made the layer, and options that TensorFlow.js does not know are kept beside it.
 *
 * @module
 */

import type { layers, serialization, Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import type { TF } from "../core/types.ts";

/** The shape of a layer's input or output, with the batch's axis. */
export type Shape = (number | null)[];

/** What a layer is called with. */
export type Arguments = { training?: boolean; mask?: Tensor | Tensor[] };

/** A layer's configuration, its keys in camel case, as TensorFlow.js has it once it has read a file. */
export type Config = Record<string, unknown>;

/** The fields of tfjs's layers that replacements read. Each kind has some of them. */
export interface AnyLayer extends Omit<layers.Layer, "call" | "build" | "computeOutputShape" | "inputSpec"> {
  kernelSize: number[];
  poolSize: number[];
  strides: number[];
  dilationRate: number[];
  padding: "same" | "valid" | "causal";
  dataFormat: "channelsFirst" | "channelsLast";
  filters: number;
  rank: number;
  axis: number | number[];
  size: [number, number];
  interpolation: "nearest" | "bilinear";
  height: number;
  width: number;
  cropToAspectRatio: boolean;
  epsilon: number;
  units: number;
  numTokens: number;
  outputMode: string;
  maxValue?: number | null;
  sharedAxes: number[] | null;
  scale: boolean;
  center: boolean;
  useBias: boolean;
  dropout: number;
  recurrentDropout: number;
  activation: { apply(x: Tensor): Tensor } | null;
  recurrentActivation: { apply(x: Tensor): Tensor };
  alpha: Weight;
  kernel: Weight;
  recurrentKernel: Weight;
  depthwiseKernel: Weight;
  pointwiseKernel: Weight;
  bias: Weight | null;
  gamma: Weight | null;
  beta: Weight | null;
  movingMean: Weight;
  movingVariance: Weight;
  cell?: AnyLayer;
  inputSpec: unknown[];
  call(inputs: Tensor | Tensor[], kwargs: Arguments): Tensor | Tensor[];
  build(shape: Shape): void;
  computeOutputShape(shape: Shape): Shape;
}

/** A layer's weight. */
export interface Weight {
  read(): Tensor;
}

/** What else a call brings. */
export interface Call extends Arguments {
  /** All inputs; the first is handed over by itself, too. */
  inputs: readonly Tensor[];
  /** Computes it as TensorFlow.js does. */
  stock(): Tensor | Tensor[];
}

/** What a kind of layer does otherwise than in TensorFlow.js. */
export interface Replacement {
  /** The options that TensorFlow.js passes over or refuses, and what they are where a configuration lacks them. */
  options?: Config;
  /** Options that are no longer shown to TensorFlow.js, which would refuse them. */
  hidden?: readonly string[];
  /** Puts a configuration right before the layer is made of it. */
  prepare?(config: Config): void;
  /** Whether a layer needs the methods below; without it, each does. */
  when?(layer: AnyLayer): boolean;
  call?(tf: TF, layer: AnyLayer, x: Tensor, call: Call): Tensor | Tensor[];
  outputShape?(layer: AnyLayer, inputShape: Shape): Shape;
  /** @param stock builds it as TensorFlow.js does */
  build?(layer: AnyLayer, inputShape: Shape, stock: (shape: Shape) => void): void;
}

/** The options that TensorFlow.js does not keep, by layer. */
const kept = new WeakMap<object, Config>();

/** The replacement of each class, by its name. */
const replacements = new Map<string, Replacement>();

/** An option of a layer that TensorFlow.js does not keep. */
export function optionOf<T>(layer: AnyLayer | layers.Layer, name: string): T {
  return (kept.get(layer)?.[name] ?? replacements.get(layer.getClassName())?.options?.[name]) as T;
}

/** Keeps options beside a layer. */
export function keepOptions(layer: AnyLayer | layers.Layer, options: Config): void {
  kept.set(layer, { ...kept.get(layer), ...options });
}

/** Whether a layer is computed otherwise than TensorFlow.js would. */
export function isReplaced(layer: layers.Layer): boolean {
  const { cell } = layer as unknown as AnyLayer;
  const inner = (layer as unknown as { layer?: layers.Layer }).layer ?? cell as layers.Layer | undefined;
  const replacement = replacements.get(layer.getClassName());
  const own = replacement !== undefined && Boolean(replacement.call) &&
    (replacement.when?.(layer as unknown as AnyLayer) ?? true);
  return own || (inner !== undefined && isReplaced(inner));
}

/** A class of layers, as its prototype shows it. */
export type LayerClass = serialization.SerializableConstructor<serialization.Serializable> & { prototype: AnyLayer };

/** Replaces the methods of a class of layers. */
export function replaceMethods(tf: TF, layerClass: LayerClass, replacement: Replacement): void {
  const { prototype } = layerClass;
  const { call, build, computeOutputShape, getConfig } = prototype;
  replacements.set(layerClass.className, replacement);
  // Of classes that come one from the other each has a replacement of its own.
  const needed = (layer: AnyLayer) =>
    layer.getClassName() === layerClass.className && (replacement.when?.(layer) ?? true);

  if (replacement.call) {
    prototype.call = function (this: AnyLayer, inputs, kwargs) {
      if (!needed(this)) return call.call(this, inputs, kwargs);
      const all = Array.isArray(inputs) ? inputs : [inputs];
      const stock = () => call.call(this, inputs, kwargs);
      return tf.tidy(() => replacement.call!(tf, this, all[0], { ...kwargs, inputs: all, stock }) as Tensor);
    };
  }
  if (replacement.outputShape) {
    prototype.computeOutputShape = function (this: AnyLayer, shape) {
      if (!needed(this)) return computeOutputShape.call(this, shape);
      // One input's shape may come as a list of one.
      return replacement.outputShape!(this, Array.isArray(shape[0]) ? shape[0] as unknown as Shape : shape);
    };
  }
  if (replacement.build) {
    prototype.build = function (this: AnyLayer, shape) {
      if (!needed(this)) return build.call(this, shape);
      const one = Array.isArray(shape[0]) ? shape[0] as unknown as Shape : shape;
      replacement.build!(this, one, (shape) => build.call(this, shape));
    };
  }
  prototype.getConfig = function (this: AnyLayer) {
    const config = { ...getConfig.call(this), ...kept.get(this) };
    const { activation } = this as { activation: unknown };
    // A layer for an activation; TensorFlow.js writes its class without its options.
    if (activation instanceof tf.layers.Layer) {
      config.activation = { className: activation.getClassName(), config: activation.getConfig() };
    }
    return config as ReturnType<typeof getConfig>;
  };
}

/** The options of a class that TensorFlow.js does not keep; none for most. */
export function replacementOf(className: string): Replacement | undefined {
  return replacements.get(className);
}
