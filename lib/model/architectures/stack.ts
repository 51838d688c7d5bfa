/**
 * What the builders of fresh networks share: a stack of layers, seeded weights, the labels.
 *
 * @module
 */

import type { layers, LayersModel, SymbolicTensor, Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import { throwIfInterrupted } from "../../interrupt.ts";
import { arrayOf, text, whole } from "../../options.ts";
import { ensureBackend, type TF } from "../../runtime/backend.ts";
import { Model } from "../model.ts";
import { preprocessing, type PreprocessMode } from "../preprocess.ts";

/** The options of every builder. */
export class BuildOptions {
  /**
   * The name of each class: there are as many outputs.
   * @default none
   */
  @arrayOf("labels")
  labels?: readonly string[];
  /**
   * What the fresh weights are drawn from: one seed gives the same weights on every backend.
   * @default 0
   */
  @whole(0)
  seed = 0;
  /**
   * The model's name in figures.
   * @default the builder's name
   */
  @text()
  name?: string;
}

/** The initializer of a layer's kernel: each call draws anew. */
export type Draw = () => ReturnType<TF["initializers"]["randomNormal"]>;

/** Normally distributed weights of a given standard deviation. */
export function normal(tf: TF, seed: number, stddev: number): Draw {
  let layer = 0;
  return () => tf.initializers.randomNormal({ mean: 0, stddev, seed: seedOf(seed, layer++) });
}

/** The uniform weights of Glorot and Bengio (2010), which Keras draws by default. */
export function glorot(tf: TF, seed: number): Draw {
  let layer = 0;
  return () => tf.initializers.glorotUniform({ seed: seedOf(seed, layer++) });
}

/** Normally distributed weights that keep the size of the activations behind ReLUs (He et al. 2015). */
export function he(tf: TF, seed: number): Draw {
  let layer = 0;
  return () => tf.initializers.heNormal({ seed: seedOf(seed, layer++) });
}

/** Each layer has a seed of its own, or layers of one shape would start alike. tfjs takes a seed of 0 for none. */
export const seedOf = (seed: number, layer: number): number => 1 + seed * 1000 + layer;

/**
 * How many outputs there are: one for each label, or else for each class.
 *
 * @throws {RangeError} if there are fewer than two labels
 */
export function outputsOf(labels: readonly string[] | undefined, classes: number): number {
  if (labels && labels.length < 2) {
    throw new RangeError(`A classifier has at least two classes: received ${labels.length} labels.`);
  }
  return labels?.length ?? classes;
}

/** What a network is made of. */
interface Parts {
  /** The name of each class. */
  labels?: readonly string[];
  /** What the fresh weights are drawn from. */
  seed: number;
  /** The model's name. */
  name: string;
  /** How the network wants its pixels. */
  preprocess: PreprocessMode | Parameters<typeof preprocessing>[0];
}

/** What a stack is made of. */
export interface StackParts extends Parts {
  /** The layers, the first of them with its `inputShape`. */
  layers: (tf: TF, seed: number) => layers.Layer[];
}

/** Connects a layer to what it reads, and returns what it puts out. */
export type Connect = (layer: layers.Layer, ...inputs: SymbolicTensor[]) => SymbolicTensor;

/** What a network that branches is made of. */
export interface BranchedParts extends Parts {
  /** `[height, width, channels]` of its input. */
  inputShape: [number, number, number];
  /** Makes the layers from the input on, and returns the output. */
  layers: (tf: TF, connect: Connect, image: SymbolicTensor) => SymbolicTensor;
}

/**
 * Builds a network whose layers follow one another.
 *
 * @throws {RangeError} if an image is too small for the layers
 */
export async function stack({ layers, ...parts }: StackParts): Promise<Model> {
  return await built(parts, (tf, { name, seed }, keep) => {
    const network = tf.sequential({ name });
    for (const layer of layers(tf, seed)) network.add(keep(layer));
    return network;
  });
}

/** Builds a network whose layers branch. */
export async function branched({ inputShape, layers, ...parts }: BranchedParts): Promise<Model> {
  return await built(parts, (tf, { name }, keep) => {
    const image = tf.input({ shape: inputShape, name: "image" });
    const connect: Connect = (layer, ...inputs) =>
      keep(layer).apply(inputs.length === 1 ? inputs[0] : inputs) as SymbolicTensor;
    return tf.model({ inputs: image, outputs: layers(tf, connect, image), name });
  });
}

/** The model of a network that is made layer by layer; when that fails, nothing is left of it. */
async function built(
  { name, labels, seed, preprocess }: Parts,
  make: (tf: TF, parts: { name: string; seed: number }, keep: (layer: layers.Layer) => layers.Layer) => LayersModel,
): Promise<Model> {
  const tf = await ensureBackend();
  const made: layers.Layer[] = [];
  try {
    const network = make(tf, { name, seed }, (layer) => {
      // To draw the weights of a large one takes seconds.
      throwIfInterrupted();
      made.push(layer);
      return layer;
    });
    return new Model(network, { name, labels: labels ?? null, preprocess: preprocessing(preprocess) });
  } catch (error) {
    for (const weight of made.flatMap((layer) => layer.weights)) (weight.read() as Tensor).dispose();
    throw error;
  }
}
