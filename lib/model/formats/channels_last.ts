/**
 * Networks whose maps are `[channels, height, width]`, as Theano had them, with `[height, width, channels]` instead: so they
 * show, and are shown, what all others are. Each number that they compute stays what it is.
 *
 * @module
 */

import type { NetworkConfig } from "./build.ts";
import { isObject, type Json } from "./format.ts";

/** Layers that work number by number, whatever the order of the axes. */
const POINTWISE =
  /^(InputLayer|Activation|ReLU|LeakyReLU|ELU|ThresholdedReLU|\w*Dropout\w*|GaussianNoise|Rescaling|Add|Subtract|Multiply|Maximum|Minimum|Average)$/;
/** Layers with an option that says which axis the channels are. */
const BY_AXIS = /^(Concatenate|Softmax|\w*Normalization)$/;
/** Layers with an option that says where the channels are. */
const BY_FORMAT =
  /^((Depthwise|Separable)?Conv[123]D(Transpose)?|(Global)?(Max|Average)Pooling[123]D|UpSampling[123]D|ZeroPadding[123]D|Cropping[123]D|Spatial\w+)$/;

interface LayerConfig {
  className: string;
  name?: string;
  config: Json;
  inboundNodes?: [from: string, use: number, output: number, told: Json][][];
}

/** Thrown where a network has to stay as it is. */
class Stays extends Error {}

/** An axis of `[n, c, …]` as that of `[n, …, c]`. */
function axisOf(axis: unknown, rank: number): unknown {
  if (Array.isArray(axis)) return axis.map((one) => axisOf(one, rank));
  if (typeof axis !== "number") throw new Stays();
  const place = axis < 0 ? axis + rank : axis;
  return place === 0 ? 0 : place === 1 ? rank - 1 : place - 1;
}

/** `[n, c, …]` as `[n, …, c]`. */
const lastly = <T>([batch, channels, ...sides]: readonly T[]): T[] => [batch, ...sides, channels];

/** A layer that reads maps of so many axes, with the channels behind, and the axes of what it puts out. */
function turnLayer({ className: type, config, ...rest }: LayerConfig, rank: number): [LayerConfig, number] {
  const made = { ...config };
  const shape = config.batchInputShape;
  if (Array.isArray(shape) && shape.length > 2) made.batchInputShape = lastly(shape);
  const softmax = /softmax/i.test(JSON.stringify(config.activation ?? ""));
  if (rank > 2 && softmax) throw new Stays();
  if (rank <= 2) {
    // What makes maps of a vector has them in an order of its own.
    if (!/^(Dense|Flatten)$/.test(type) && !POINTWISE.test(type) && !BY_AXIS.test(type)) throw new Stays();
  } else if (BY_AXIS.test(type)) made.axis = axisOf(config.axis ?? -1, rank);
  else if (BY_FORMAT.test(type)) {
    // Layers that only drop maps have no option in some versions.
    if (config.dataFormat !== "channelsFirst" && !(config.dataFormat === undefined && type.startsWith("Spatial"))) {
      throw new Stays();
    }
    if (config.dataFormat) made.dataFormat = "channelsLast";
  } else if (type !== "Flatten" && !POINTWISE.test(type)) throw new Stays();
  const gathers = type === "Flatten" || type.startsWith("Global") && config.keepdims !== true;
  return [{ className: type, ...rest, config: made }, rank > 2 && gathers ? 2 : rank];
}

/** The layer that brings channels to the front again, where a `Flatten` takes them in that order. */
const permuteFor = (name: string, rank: number): LayerConfig => ({
  className: "Permute",
  name: `${name}_channels_first`,
  config: {
    name: `${name}_channels_first`,
    trainable: true,
    dtype: "float32",
    dims: [rank - 1, ...Array.from({ length: rank - 2 }, (_, i) => i + 1)],
  },
});

/** A network as it is built: with its channels behind where that can be. */
export function withChannelsLast(network: NetworkConfig): NetworkConfig {
  const config = channelsLast(network.config);
  return config ? { ...network, config, channelsFirst: true } : network;
}

/**
 * The same layers with their channels behind; undefined if it has none in front, or a layer (as a Reshape of maps) for which
 * nothing says how.
 *
 * @param config of a Sequential, or of a model with nodes, in the words of TensorFlow.js
 */
function channelsLast(config: object): object | undefined {
  const layers = (Array.isArray(config) ? config : (config as Json).layers) as LayerConfig[] | undefined;
  if (
    !Array.isArray(layers) || !layers.some(({ config }) => isObject(config) && config.dataFormat === "channelsFirst")
  ) {
    return undefined;
  }
  const ranks = new Map<string, number>();
  const made: LayerConfig[] = [];
  const isSequential = layers.every(({ inboundNodes }) => inboundNodes === undefined);
  try {
    for (const [i, layer] of layers.entries()) {
      const { className: type, config } = layer;
      if (Array.isArray(config) || "layers" in config) throw new Stays();
      const name = String(layer.name ?? config.name);
      const calls = isSequential
        ? i ? [[[String(layers[i - 1].name ?? layers[i - 1].config.name)]]] : []
        : layer.inboundNodes!;
      const read = new Set(calls.flat().map(([from]) => ranks.get(from as string)));
      if (read.size === 0) read.add(Array.isArray(config.batchInputShape) ? config.batchInputShape.length : undefined);
      const [rank] = read;
      if (read.size > 1 || rank === undefined) throw new Stays();
      const [turned, after] = turnLayer(layer, rank);
      ranks.set(name, after);
      if (type === "Flatten" && rank > 2) {
        if (config.dataFormat === "channelsFirst") turned.config.dataFormat = "channelsLast";
        else {
          if (calls.length > 1) throw new Stays();
          const permute = permuteFor(name, rank);
          if (!isSequential) {
            permute.inboundNodes = layer.inboundNodes;
            turned.inboundNodes = [[[permute.name!, 0, 0, {}]]];
          }
          made.push(permute);
        }
      }
      made.push(turned);
    }
  } catch (error) {
    if (error instanceof Stays) return undefined;
    throw error;
  }
  return Array.isArray(config) ? made : { ...config, layers: made };
}
