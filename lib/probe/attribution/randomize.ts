/**
 * A copy of a model, and layers that forget what they learned.
 *
 * @module
 */

import type { io, layers, LayersModel, Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import { sizeOf } from "../../array.ts";
import { Model } from "../../model/model.ts";
import { ensureBackend, type TF } from "../../runtime/backend.ts";
import { normalStream } from "../../random.ts";

/** All layers, those of nested models too. */
function layersOf(network: LayersModel): layers.Layer[] {
  return network.layers.flatMap((layer) => "layers" in layer ? layersOf(layer as LayersModel) : [layer]);
}

/** A copy, and how to be rid of it. */
export interface Copy {
  model: Model;
  dispose(): void;
}

/**
 * A second model with the same layers, weights, labels and preprocessing, which the caller disposes of.
 *
 * @throws {TypeError} if TensorFlow.js cannot build a layer from its description
 */
export async function copyOf(model: Model): Promise<Copy> {
  const tf = await ensureBackend();
  const { network, name, labels, preprocess, wanted } = model;
  // Asked before, because what tfjs has built when it comes to a type that it does not know would stay in memory.
  const { classNameMap } = tf.serialization.SerializationMap.getMap();
  const unknown = layersOf(network).find((layer) => !(layer.getClassName() in classNameMap));
  if (unknown) {
    throw new TypeError(
      `${JSON.stringify(name)} cannot be copied, because TensorFlow.js cannot build its layer ` +
        `${JSON.stringify(unknown.name)} of type ${unknown.getClassName()}. Register the type with ` +
        `tf.serialization.registerClass.`,
    );
  }
  // Through text, so that both share nothing.
  const modelTopology = JSON.parse(JSON.stringify(network.toJSON(undefined, false)));
  const copy = await tf.loadLayersModel(tf.io.fromMemory({ modelTopology } as io.ModelArtifacts));
  // These are the weights themselves, not copies: they stay.
  copy.setWeights(network.getWeights());
  const inside = layersOf(copy);
  return {
    model: new Model(copy, { name, labels, preprocess, output: wanted }),
    dispose() {
      const weights = inside.flatMap((layer) => layer.weights as unknown as { val: Tensor }[]);
      copy.dispose();
      // tfjs leaves those of nested models.
      for (const { val } of weights) if (!val.isDisposed) val.dispose();
    },
  };
}

/** How a weight starts, by the name it was made under: most start at 0. */
const STARTS_AT_ONE = new Set(["gamma", "moving_variance"]);

/** How many numbers each output of a kernel sums up. */
function fanIn(name: string, shape: readonly number[]): number {
  // [h, w, channels, multiplier]: each output sees one channel.
  return sizeOf(name === "depthwise_kernel" ? shape.slice(0, 2) : shape.slice(0, -1));
}

function fresh(tf: TF, name: string, shape: number[], key: number[]): Tensor {
  if (STARTS_AT_ONE.has(name)) return tf.ones(shape);
  if (shape.length < 2) return tf.zeros(shape);
  const deviation = Math.sqrt(2 / fanIn(name, shape));
  const normal = normalStream(...key);
  const values = new Float32Array(sizeOf(shape));
  for (let i = 0; i < values.length; i++) values[i] = deviation * normal();
  return tf.tensor(values, shape);
}

/**
 * Gives all weights of a layer (of a nested model: of its layers) their values before training: kernels are drawn from a
 * normal distribution of mean 0 and variance 2 / fan-in (He et al. 2015), biases, offsets and moving means are 0, scales
 * and moving variances 1.
 *
 * @param key what the draws depend on, as `seed` and the layer's place
 */
export function reinitialize(tf: TF, layer: layers.Layer, ...key: number[]): void {
  tf.tidy(() =>
    layer.weights.forEach((weight, i) => {
      const name = weight.originalName.split("/").at(-1)!;
      weight.write(fresh(tf, name, weight.shape as number[], [...key, i]));
    })
  );
}
