/**
 * Whether a network's weights are numbers.
 *
 * @module
 */

import type { LayersModel, Tensor, Variable } from "npm:@tensorflow/tfjs@4.22.0";
import type { TF } from "../runtime/core/types.ts";
import { ModelError } from "./formats/format.ts";

/**
 * The name of the first weight that holds a NaN or an infinity. The outputs alone do not show it: the ReLU of some
 * backends makes a NaN 0.
 */
export async function firstInvalid(
  tf: TF,
  weights: readonly { name: string; value: Tensor }[],
): Promise<string | undefined> {
  const floats = weights.filter(({ value }) => value.dtype === "float32" && value.size > 0);
  if (floats.length === 0) return undefined;
  const sums = tf.tidy(() => tf.stack(floats.map(({ value }) => tf.sum(value))));
  const values = await sums.data();
  sums.dispose();
  for (const [i, { name, value }] of floats.entries()) {
    // A sum of huge numbers is infinite, too.
    if (!Number.isFinite(values[i]) && !(await value.data()).every(Number.isFinite)) return name;
  }
}

/** Changes a network's weights; if that fails, it keeps those that it had. */
export async function allOrNothing<T>(network: LayersModel, change: () => Promise<T>): Promise<T> {
  // A clone shares the numbers, which are not written over.
  const before = network.weights.map((weight) => (weight.read() as Tensor).clone());
  try {
    return await change();
  } catch (error) {
    network.weights.forEach((weight, i) => (weight.read() as Variable).assign(before[i]));
    throw error;
  } finally {
    for (const tensor of before) tensor.dispose();
  }
}

/** What the weights hold that were found to be numbers; training, and setting weights, puts new data there. */
const sound = new WeakSet<object>();

/**
 * Refuses a network that computes no numbers.
 *
 * @throws {ModelError} if a weight holds a NaN or an infinity
 */
export async function checkWeights(tf: TF, network: LayersModel, name: string): Promise<void> {
  const unseen = network.weights.map((weight) => ({ name: weight.originalName, value: weight.read() as Tensor }))
    .filter(({ value }) => !sound.has(value.dataId));
  const held = unseen.map(({ value }) => value.dataId);
  const invalid = await firstInvalid(tf, unseen);
  if (invalid !== undefined) {
    throw new ModelError(
      `The weight ${JSON.stringify(invalid)} of the model ${
        JSON.stringify(name)
      } holds NaN or infinity, so that what ` +
        `it computes is no number. Load weights that are whole; after a training that diverged, begin anew with a lower ` +
        `learningRate: train(model, dataset, { from: "scratch", learningRate: … }).`,
    );
  }
  for (const id of held) sound.add(id);
}
