/**
 * Building a network from the configuration of its layers, and giving it its weights.
 *
 * @module
 */

import type { layers, LayersModel, Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import { sizeOf } from "../../array.ts";
import { visiting } from "../../runtime/core/engine.ts";
import type { TF } from "../../runtime/core/types.ts";
import { isObject, ModelError } from "./format.ts";

/** A network as TensorFlow.js takes it: a class and its configuration, in camel case. */
export interface NetworkConfig {
  className: string;
  config: object;
  /** Whether the file had its channels first; in `config` they are behind. @default false */
  channelsFirst?: boolean;
}

/** What a file says of one weight. */
export interface WeightSpec {
  name: string;
  shape: number[];
  dtype: string;
}

/** A weight of a network. */
export type Variable = LayersModel["weights"][number];
type AddWeight = (this: layers.Layer, name: string, shape: number[], ...rest: unknown[]) => Variable;
/** A class of layers or networks. */
interface LayerClass<T> {
  fromConfig(cls: unknown, config: object, customObjects: object, fastWeightInit: boolean): T;
}

/** The classes that TensorFlow.js has, and how each is made of its configuration. */
export function knownClasses(tf: TF) {
  return tf.serialization.SerializationMap.getMap().classNameMap;
}

/** Whether a layer is one of TensorFlow.js's own, or a network of layers. */
export function isStock(tf: TF, layer: layers.Layer): boolean {
  return "layers" in layer || stockNames(tf).has(layer.getClassName().toLowerCase());
}

/** The types of TensorFlow.js's own layers, in small letters. */
export const stockNames = (tf: TF): Set<string> => new Set(Object.keys(tf.layers).map((name) => name.toLowerCase()));

/** Makes a layer, or a network, of its configuration. It has no weights before it knows its input. */
export function makeLayer<T = layers.Layer>(tf: TF, className: string, config: object): T {
  // What makes it is registered beside its class: layers are made so that they compute what Keras does.
  const [Class, fromConfig] = knownClasses(tf)[className];
  return (fromConfig as unknown as LayerClass<T>["fromConfig"])(Class, config, {}, true);
}

/** Windows, steps and borders that are longer are a mistake of the file; receptive fields are followed through them. */
const LONGEST = 2 ** 16;
const SIDES = ["kernelSize", "poolSize", "strides", "dilationRate", "padding", "outputPadding", "cropping", "size"];

/** @throws {ModelError} if a layer has windows, steps or borders that no map has room for */
function checkSides(config: unknown): void {
  if (Array.isArray(config)) return config.forEach(checkSides);
  if (!isObject(config) || Object.getPrototypeOf(config) !== Object.prototype) return;
  for (const key of SIDES) {
    const longest = Math.max(0, ...[config[key]].flat(2).map(Number).filter(Number.isFinite).map(Math.abs));
    if (longest > LONGEST) {
      throw new ModelError(
        `the ${key} of the layer ${JSON.stringify(config.name ?? "")} is ${longest}; at most ${LONGEST} is read`,
      );
    }
  }
  Object.values(config).forEach(checkSides);
}

/**
 * Builds a network whose weights are all zeros, on the cpu backend, where zeros take no memory until they are read.
 *
 * @param most how many numbers all weights may be together
 * @throws {ModelError} if the layers want more; else what TensorFlow.js throws. No tensor is left then
 */
export function buildNetwork(
  tf: TF,
  { className, config, channelsFirst = false }: NetworkConfig,
  most = Infinity,
): LayersModel {
  checkSides(config);
  const { prototype } = tf.layers.Layer as unknown as { prototype: { addWeight: AddWeight } };
  const { addWeight } = prototype;
  const made: Variable[] = [];
  let left = most;
  prototype.addWeight = function (name, shape, ...rest) {
    left -= sizeOf(shape);
    if (left < 0) {
      throw new ModelError(
        `the layers want more weights than the ${most} numbers that the file has: so from the layer ` +
          `${JSON.stringify(this.name)} on, whose ${name} has the shape [${shape}]`,
      );
    }
    // What it makes on the way is freed also when it fails.
    const weight = tf.tidy(() =>
      addWeight.call(this, name, shape, ...rest) as unknown as Tensor
    ) as unknown as Variable;
    made.push(weight);
    return weight;
  };
  try {
    return visiting(tf, "cpu", () => {
      const network = makeLayer<LayersModel>(tf, className, config);
      if (!network.inputs?.length) {
        throw new ModelError("it does not know the shape of its input. Give its first layer an inputShape");
      }
      // Until it is built, a Sequential does not know which uses of a layer are its own.
      if (!network.built) network.build(network.inputs[0].shape);
      ownNetwork(network);
      if (channelsFirst) [network, ...network.layers].forEach((part) => channelsCameFirst.add(part));
      return network;
    });
  } catch (error) {
    for (const weight of made) weight.dispose();
    if (!(error instanceof TypeError)) throw error;
    // What TensorFlow.js stumbles over says nothing to a reader.
    throw new ModelError(
      "TensorFlow.js cannot connect its layers as they are described. Convert or download the model anew",
      { cause: error },
    );
  } finally {
    prototype.addWeight = addWeight;
  }
}

/** Networks, and their layers, that had their channels first in the file that they were built from. */
const channelsCameFirst = new WeakSet<object>();

/** Whether a network, or a layer, had its channels first in its file. */
export const hadChannelsFirst = (part: object): boolean => channelsCameFirst.has(part);

/** The operators that a layer is made of where it is the rest of a graph (`graph_rest.ts`), one for each output. */
export const operatorsOf = (layer: layers.Layer): readonly layers.Layer[] | undefined =>
  (layer as { operators?: readonly layers.Layer[] }).operators;

/** Other names of layers, as the nodes of a graph have them. */
const otherNames = new WeakMap<LayersModel, ReadonlyMap<string, string>>();

/** Other names of a network's layers; a layer's own name comes first. */
export const otherNamesOf = (network: LayersModel): ReadonlyMap<string, string> => otherNames.get(network) ?? new Map();

/** Says under which other names layers are found. */
export const noteNames = (network: LayersModel, names: ReadonlyMap<string, string>): void =>
  void otherNames.set(network, names);

/** Networks that were built here, and whose weights are no one else's. */
const ours = new WeakSet<LayersModel>();

/** Says that a network's weights are no one else's. */
export function ownNetwork(network: LayersModel): LayersModel {
  ours.add(network);
  return network;
}

/** Frees a network. TensorFlow.js alone would leave the weights of a layer that is used twice. */
export function disposeNetwork(network: LayersModel): void {
  const weights = ours.has(network) ? network.weights.map((weight) => weight.read() as Tensor) : [];
  network.dispose();
  for (const weight of weights) if (!weight.isDisposed) weight.dispose();
}

/** Fewer numbers are left to the garbage collector. */
const MANY = 2 ** 14;

/**
 * A tensor of numbers that no one else holds. Where the backend has a copy of its own, theirs are freed at once; the
 * garbage collector would let several hundred MB gather.
 */
export function uploaded(tf: TF, values: Float32Array<ArrayBuffer>, shape: number[]): Tensor {
  const { isUsingGpuDevice } = tf.backend() as { isUsingGpuDevice?: boolean };
  const isNative = tf.getBackend() === "tensorflow" && !isUsingGpuDevice;
  if (values.length < MANY || !isNative && tf.getBackend() !== "wasm") return tf.tensor(values, shape);
  // Native TensorFlow computes on the numbers themselves where their address suits it; joined parts are its own.
  const tensor = isNative
    ? tf.tidy(() =>
      tf.concat([values.subarray(0, 1), values.subarray(1)].map((part) => tf.tensor1d(part))).reshape(shape)
    )
    : tf.tensor(values, shape);
  values.buffer.transfer(0);
  return tensor;
}

/** A name as TensorFlow.js takes it: Keras allows others, as with spaces, or those that every object of JavaScript has. */
export function legalName(name: string): string {
  const plain = name.replace(/[^-A-Za-z0-9_./]/g, "_").replace(/^(?![A-Za-z0-9])/, "x");
  return plain in {} ? `${plain}_` : plain;
}

/** The names under which programs write a weight: behind those of outer models, with its cell's, or shorter. */
export function* namesOf(written: string): Generator<string> {
  for (let parts = written.split("/"); parts.length > 0; parts = parts.slice(1)) {
    yield parts.join("/");
    yield parts.toSpliced(-2, 1).join("/");
    yield [...parts.slice(0, -1), `depthwise_${parts.at(-1)}`].join("/");
  }
}

export const quoted = (names: readonly string[]) =>
  names.slice(0, 5).map((name) => JSON.stringify(name)).join(", ") + (names.length > 5 ? `, … (${names.length})` : "");

/**
 * Which weight of a network each weight of a file is.
 *
 * @throws {ModelError} if one is missing, is left over, or has another shape or type
 */
export function matchWeights(network: LayersModel, specs: readonly WeightSpec[]): Variable[] {
  const free = new Map(network.weights.map((weight) => [weight.originalName, weight]));
  if (free.size < network.weights.length) throw new ModelError("two of its weights have one name. Rename a layer");
  const leftOver: string[] = [];
  const found = specs.map(({ name, shape, dtype }) => {
    const own = namesOf(name.split("/").map(legalName).join("/")).find((name) => free.has(name));
    const weight = own === undefined ? undefined : free.get(own);
    if (!weight) {
      leftOver.push(name);
      return network.weights[0];
    }
    free.delete(own!);
    if (`${shape}` !== `${weight.shape}` || dtype !== weight.dtype) {
      throw new ModelError(
        `the weight ${JSON.stringify(name)} is ${dtype} of the shape [${shape}] in the file; its layer wants ` +
          `${weight.dtype} of the shape [${weight.shape}]`,
      );
    }
    return weight;
  });
  const missing = [...free.keys()];
  if (missing.length || leftOver.length) {
    throw new ModelError(
      [
        missing.length ? `the file lacks the weights ${quoted(missing)}` : "",
        leftOver.length ? `the file has the weights ${quoted(leftOver)}, which no layer takes` : "",
        leftOver.some((name) => /\/vars\/\d+$/.test(name))
          ? 'they are numbered as in a .keras file, which does not name them. Save the model in Keras as "net.h5", and ' +
            "convert that with --input_format=keras"
          : "",
      ].filter(Boolean).join("; "),
    );
  }
  return found;
}
