/**
 * The weights that training changes, what is added to their loss, and their values as plain arrays.
 *
 * @module
 */

import type { LayersModel, Scalar, Variable } from "npm:@tensorflow/tfjs@4.22.0";
import { type NdArray, ndarray } from "../../array.ts";
import { innerLayers } from "../../model/formats/named_weights.ts";
import type { Trained } from "./optimizer.ts";

/**
 * The weights that training changes: those that may be trained and that the outputs depend on.
 *
 * @param used the weights that the outputs depend on
 */
export function trainedWeights(
  network: LayersModel,
  all: ReadonlyMap<string, Variable>,
  used: ReadonlySet<Variable>,
): Trained[] {
  const trainable = new Map(network.trainableWeights.map((weight) => [weight.read() as Variable, weight]));
  return [...all].flatMap(([name, variable]) => {
    const weight = trainable.get(variable);
    if (!weight || !used.has(variable)) return [];
    const { constraint } = weight as unknown as Pick<Trained, "constraint">;
    return { name, variable, decays: /kernel$/.test(weight.originalName), constraint };
  });
}

/** What the layers' own regularizers add to the loss, each weight's once. */
export function penaltiesOf(network: LayersModel): (() => Scalar)[] {
  const all = [...innerLayers(network)].flatMap(({ layer }) => layer.losses as unknown as (() => Scalar)[]);
  return [...new Set(all)];
}

/** Reads variables back as plain arrays. */
export async function download(variables: ReadonlyMap<string, Variable>): Promise<Record<string, NdArray>> {
  const entries = await Promise.all(
    [...variables].map(async ([name, variable]) => {
      const data = await variable.data() as Float32Array;
      return [name, ndarray(data.slice(), variable.shape)] as const;
    }),
  );
  return Object.fromEntries(entries);
}
