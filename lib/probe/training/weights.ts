/**
 * The weights of a network that is trained: by name, to plain arrays and back.
 *
 * @module
 */

import type { LayersModel, Variable } from "npm:@tensorflow/tfjs@4.22.0";
import type { NdArray } from "../../array.ts";
import type { Model } from "../../model/model.ts";
import type { TF } from "../../runtime/backend.ts";
import type { Trained } from "./optimizer.ts";

/** The weights of a network by `"layer/weight"`. */
export function namedWeights(network: LayersModel): Map<string, Variable> {
  const named = new Map<string, Variable>();
  for (const layer of network.layers) {
    for (const weight of layer.weights) {
      named.set(`${layer.name}/${weight.originalName.split("/").at(-1)}`, weight.read() as Variable);
    }
  }
  return named;
}

/**
 * The weights that training changes.
 *
 * @throws {TypeError} if there are none
 */
export function trainedWeights(model: Model, all: ReadonlyMap<string, Variable>): Trained[] {
  const trainable = new Map(model.network.trainableWeights.map((weight) => [weight.read() as Variable, weight]));
  const trained = [...all].filter(([, variable]) => trainable.has(variable)).map(([name, variable]) => {
    const { constraint } = trainable.get(variable) as unknown as Pick<Trained, "constraint">;
    return { name, variable, decays: /kernel$/.test(name), constraint };
  });
  if (trained.length === 0) {
    throw new TypeError(`The model ${JSON.stringify(model.name)} has no weights that may be trained.`);
  }
  return trained;
}

/** Reads variables back as plain arrays. */
export async function download(variables: ReadonlyMap<string, Variable>): Promise<Record<string, NdArray>> {
  const entries = await Promise.all(
    [...variables].map(async ([name, variable]) => {
      const data = await variable.data() as Float32Array;
      return [name, { data: data.slice(), shape: [...variable.shape] }] as const;
    }),
  );
  return Object.fromEntries(entries);
}

/** Gives variables the values of the arrays `prefix + name`. */
export function assign(
  tf: TF,
  variables: ReadonlyMap<string, Variable>,
  arrays: Record<string, NdArray>,
  prefix: string,
): void {
  tf.tidy(() => {
    for (const [name, variable] of variables) {
      const { data, shape } = arrays[`${prefix}${name}`];
      variable.assign(tf.tensor(data, [...shape]));
    }
  });
}

/**
 * The name of the first weight that holds a NaN or an infinity. The loss alone does not show it: the ReLU of some
 * backends makes a NaN 0.
 */
export async function firstInvalid(tf: TF, trained: readonly Trained[]): Promise<string | undefined> {
  const sums = tf.tidy(() => tf.stack(trained.map(({ variable }) => tf.sum(variable))));
  const values = await sums.data();
  sums.dispose();
  return trained.find((_, i) => !Number.isFinite(values[i]))?.name;
}
