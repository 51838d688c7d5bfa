/**
 * Forward to any layers: images in, plain arrays out.
 *
 * @module
 */

import type { LayersModel } from "npm:@tensorflow/tfjs@4.22.0";
import { type NdArray, sizeOf } from "../array.ts";
import { type Model, outputOf } from "../model/model.ts";
import { ensureBackend } from "../runtime/backend.ts";
import { asMemoryError, bytesText, MemoryError } from "../runtime/memory.ts";
import { checkMemory } from "./memory.ts";
import { execute, makePlan, type Plan } from "./plan.ts";

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

/** From so many inputs on, folding batch normalisations costs less than it saves. */
export const FOLD_FROM = 4;

/** Plans by the layers that they lead to. They hold no tensors. */
const plans = new WeakMap<LayersModel, Map<string, Plan>>();

/** The plan to some layers, made once. */
export function planTo(network: LayersModel, layers: readonly string[], fold: boolean): Plan {
  const known = plans.get(network) ?? new Map<string, Plan>();
  plans.set(network, known);
  const key = JSON.stringify([fold, ...layers]);
  const plan = known.get(key) ??
    makePlan(network, layers.map((name) => outputOf(network, network.getLayer(name))), { fold, sums: true });
  known.set(key, plan);
  return plan;
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
 * @throws {MemoryError} if a batch, or what is asked for in all, does not fit into memory: says what would
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
  const each = sizeOf(shape);
  const results: { data: Float32Array; shape: number[] }[] = [];
  let done = 0;
  function* batches() {
    for (let start = 0; start < inputs.length; start += batchSize) {
      signal?.throwIfAborted();
      const batch = inputs.slice(start, start + batchSize);
      const packed = new Float32Array(batch.length * each);
      batch.forEach((input, i) => packed.set(input.data, i * each));
      yield () => tf.tensor(packed, [batch.length, ...shape]);
    }
  }
  const plan = planTo(model.network, layers, inputs.length >= FOLD_FROM);
  checkMemory(tf, { model: model.name, plan, count: inputs.length, batchSize });
  const run = execute(tf, plan, batches(), async (outputs) => {
    const count = outputs[0].shape[0];
    for (const [i, output] of outputs.entries()) {
      const data = await output.data();
      const size = data.length / count;
      results[i] ??= { data: new Float32Array(size * inputs.length), shape: [inputs.length, ...output.shape.slice(1)] };
      results[i].data.set(data, done * size);
    }
    done += count;
    onProgress?.(done, inputs.length);
  });
  await run.catch((error) => {
    const { message } = asMemoryError(tf, error) ?? {};
    if (!message) throw error;
    const batch = Math.min(batchSize, inputs.length);
    throw new MemoryError(
      `A batch of ${batch} inputs of ${JSON.stringify(model.name)}, ${bytesText(4 * each * batch)} of numbers before ` +
        `the first layer, did not fit. ${message}`,
      { cause: error },
    );
  });
  return results;
}

/** One input's part of a batch: `array[index]`, without its first axis. It is a copy, unless there is no other input. */
export function item(array: NdArray, index: number): NdArray {
  const shape = array.shape.slice(1);
  const size = sizeOf(shape);
  const data = size === array.data.length ? array.data : array.data.slice(index * size, (index + 1) * size);
  return { data, shape };
}
