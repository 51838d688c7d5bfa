/**
 * A model described in plain data, and built again from that: a copy, or the network as it was at some epoch of a run.
 *
 * @module
 */

import type { io, layers, LayersModel, Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import type { NdArray } from "../array.ts";
import type { ModelDescription } from "../data/history.ts";
import { ensureBackend } from "../runtime/backend.ts";
import { namedWeights } from "./formats/named_weights.ts";
import { Model, type ModelOptions } from "./model.ts";

/** All layers, those of nested models too. */
function layersOf(network: LayersModel): layers.Layer[] {
  return network.layers.flatMap((layer) => "layers" in layer ? layersOf(layer as LayersModel) : [layer]);
}

/** A copy, and how to be rid of it. */
export interface Copy {
  model: Model;
  dispose(): void;
}

/** What a model is, without its weights: plain data, that stays as it is whatever becomes of the model. */
export function descriptionOf({ network, name, labels, preprocess, wanted }: Model): ModelDescription {
  return {
    name,
    // Through text, so that both share nothing.
    topology: JSON.parse(JSON.stringify(network.toJSON(undefined, false))),
    kinds: layersOf(network).map((layer) => ({ layer: layer.name, kind: layer.getClassName() })),
    options: structuredClone({ labels, preprocess, output: wanted }),
  };
}

/**
 * Builds a model from its description; its weights are those that its layers begin with, and the caller disposes of it.
 *
 * @throws {TypeError} if TensorFlow.js cannot build a layer from its description
 */
export async function modelFrom({ name, topology, kinds, options }: ModelDescription): Promise<Copy> {
  const tf = await ensureBackend();
  // Asked before, because what tfjs has built when it comes to a type that it does not know would stay in memory.
  const { classNameMap } = tf.serialization.SerializationMap.getMap();
  const unknown = kinds.find(({ kind }) => !(kind in classNameMap));
  if (unknown) {
    throw new TypeError(
      `${JSON.stringify(name)} cannot be copied, because TensorFlow.js cannot build its layer ` +
        `${JSON.stringify(unknown.layer)} of type ${unknown.kind}. Register the type with ` +
        `tf.serialization.registerClass.`,
    );
  }
  const modelTopology = structuredClone(topology);
  const network = await tf.loadLayersModel(tf.io.fromMemory({ modelTopology } as io.ModelArtifacts));
  const inside = layersOf(network);
  return {
    model: new Model(network, { name, ...options } as ModelOptions),
    dispose() {
      const weights = inside.flatMap((layer) => layer.weights as unknown as { val: Tensor }[]);
      network.dispose();
      // tfjs leaves those of nested models.
      for (const { val } of weights) if (!val.isDisposed) val.dispose();
    },
  };
}

/**
 * A second model with the same layers, weights, labels and preprocessing, which the caller disposes of.
 *
 * @throws {TypeError} if TensorFlow.js cannot build a layer from its description
 */
export async function copyOf(model: Model): Promise<Copy> {
  const copy = await modelFrom(descriptionOf(model));
  // These are the weights themselves, not copies: they stay.
  copy.model.network.setWeights(model.network.getWeights());
  return copy;
}

/**
 * Gives a model the weights of a snapshot.
 *
 * @param weights every weight, in the order of the network's own
 * @throws {TypeError} if they are not those of the network
 */
export async function writeWeights(
  { network, name }: Model,
  weights: Readonly<Record<string, NdArray>>,
): Promise<void> {
  const tf = await ensureBackend();
  const variables = [...namedWeights(network).values()];
  const given = Object.values(weights);
  const fits = variables.length === given.length &&
    variables.every(({ shape }, i) => `${shape}` === `${given[i].shape}`);
  if (!fits) throw new TypeError(`The weights of the snapshot are not those of ${JSON.stringify(name)}.`);
  tf.tidy(() => variables.forEach((variable, i) => variable.assign(tf.tensor(given[i].data, [...given[i].shape]))));
}
