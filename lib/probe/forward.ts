/**
 * Forward to any layers: images in, plain arrays out.
 *
 * @module
 */

import type { LayersModel, SymbolicTensor, Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import { type NdArray, sizeOf } from "../array.ts";
import { type Model, outputOf } from "../model/model.ts";
import { ensureBackend } from "../runtime/backend.ts";

export interface ForwardOptions {
  /**
   * How many inputs run at once: what bounds memory.
   * @default 16
   */
  batchSize?: number;
  /** Stops between batches. */
  signal?: AbortSignal;
  /** Called after each batch with the number of inputs done. */
  onProgress?: (done: number, total: number) => void;
}

/** Sub-networks by the layers that they end in. They share the model's layers and weights and own nothing. */
const cache = new WeakMap<LayersModel, Map<string, LayersModel>>();

function ending(tf: { model: (args: object) => LayersModel }, network: LayersModel, layers: readonly string[]) {
  const known = cache.get(network) ?? new Map<string, LayersModel>();
  cache.set(network, known);
  const key = JSON.stringify(layers);
  const found = known.get(key);
  if (found) return found;
  const outputs = layers.map((name) => outputOf(network, network.getLayer(name)));
  const made = tf.model({ inputs: network.inputs as SymbolicTensor[], outputs });
  known.set(key, made);
  return made;
}

/**
 * Runs inputs through a model and returns what the named layers put out, as in inference (dropout off, batch
 * normalisation with its running averages).
 *
 * @param model the model; nothing on it changes
 * @param inputs what `model.input` returned, all of one shape
 * @param layers names of layers; the output of a layer that is used several times is that of its first use
 * @returns for each layer one array, `[n, …output shape]`
 * @throws {RangeError} if a layer does not exist, there is no input, or the inputs differ in shape
 */
export async function forward(
  model: Model,
  inputs: readonly NdArray[],
  layers: readonly string[],
  { batchSize = 16, signal, onProgress }: ForwardOptions = {},
): Promise<NdArray[]> {
  layers.forEach((name) => model.layer(name));
  if (!Number.isInteger(batchSize) || batchSize < 1) {
    throw new RangeError(`batchSize must be a whole number ≥ 1: received ${batchSize}.`);
  }
  if (inputs.length === 0) throw new RangeError("There is no input to run through the model; wanted at least one.");
  const shape = inputs[0].shape;
  const odd = inputs.find((input) => input.shape.join() !== shape.join());
  if (odd) throw new RangeError(`Inputs must share one shape: received [${shape}] and [${odd.shape}].`);

  const tf = await ensureBackend();
  const network = ending(tf as never, model.network, layers);
  const each = sizeOf(shape);
  const results: { data: Float32Array; shape: number[] }[] = [];
  for (let start = 0; start < inputs.length; start += batchSize) {
    signal?.throwIfAborted();
    const batch = inputs.slice(start, start + batchSize);
    const packed = new Float32Array(batch.length * each);
    batch.forEach((input, i) => packed.set(input.data, i * each));
    const outputs: Tensor[] = tf.tidy(() => {
      const predicted = network.predictOnBatch(tf.tensor(packed, [batch.length, ...shape]));
      return (Array.isArray(predicted) ? predicted : [predicted]);
    });
    try {
      for (const [i, output] of outputs.entries()) {
        const data = await output.data();
        results[i] ??= {
          data: new Float32Array(data.length / batch.length * inputs.length),
          shape: [inputs.length, ...output.shape.slice(1)],
        };
        results[i].data.set(data, start * (data.length / batch.length));
      }
    } finally {
      tf.dispose(outputs);
    }
    onProgress?.(Math.min(inputs.length, start + batchSize), inputs.length);
  }
  return results;
}

/** One input's part of a batch: `array[index]`, without its first axis. */
export function item(array: NdArray, index: number): NdArray {
  const shape = array.shape.slice(1);
  const size = sizeOf(shape);
  return { data: array.data.slice(index * size, (index + 1) * size), shape };
}
