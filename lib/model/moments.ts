/**
 * What a network knows of the inputs that it was trained on: the moments that its first batch normalisation has stored,
 * beside those that other inputs give there.
 *
 * A batch normalisation keeps the mean and the variance of each channel that it has seen in training. Inputs that are scaled
 * otherwise, or whose channels stand in another order, give other ones.
 *
 * @module
 */

import type { LayersModel, Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import type { NdArrayLike } from "../array.ts";
import type { TF } from "../runtime/backend.ts";
import { callUse, traceAnySize, type Use, waysTo } from "./graph.ts";

/** The mean and the variance of each channel. */
export interface Moments {
  readonly mean: ArrayLike<number>;
  readonly variance: ArrayLike<number>;
}

/** What the first batch normalisation of a network has stored. */
export interface StoredMoments extends Moments {
  /** The layer's name; in a nested model with that one's name before it. */
  readonly layer: string;
  /** Added to each variance. */
  readonly epsilon: number;
  /** What it reads. */
  readonly reads: Use;
  /** The axis of the channels, the batch's counted in. */
  readonly axis: number;
}

/** The share of the normalisation's channels that may hold nothing but what they began with, mean 0 and variance 1. */
const UNTRAINED = 0.5;

/** What the first batch normalisation has stored; null where there is none, or it was never trained. */
export async function storedMoments(network: LayersModel): Promise<StoredMoments | null> {
  const first = traceAnySize(network).uses.find(({ layer }) => layer.getClassName() === "BatchNormalization");
  if (!first) return null;
  const { layer, name, inputs: [reads] } = first;
  const stored = (part: string) => layer.weights.find(({ originalName }) => originalName.split("/").at(-1) === part);
  const parts = [stored("moving_mean"), stored("moving_variance")];
  if (!parts[0] || !parts[1]) return null;
  const [mean, variance] = await Promise.all(parts.map((part) => part!.read().data()));
  const fresh = Array.from(mean).filter((value, i) => value === 0 && variance[i] === 1);
  if (fresh.length > UNTRAINED * mean.length) return null;
  const { axis, epsilon } = layer.getConfig() as { axis: number; epsilon: number };
  const channels = axis < 0 ? axis + reads.shape.length : axis;
  return { layer: name, mean, variance, epsilon, reads, axis: channels };
}

/** What a use of a layer puts out, computed from the network's inputs. */
function compute(tf: TF, use: Use, known: Map<Use, Tensor>): Tensor {
  const found = known.get(use);
  if (found) return found;
  const made = callUse(tf, use, use.inputs.map((input) => compute(tf, input, known)));
  known.set(use, made);
  return made;
}

/** The network's inputs on the way to a use. */
const inputsOf = (use: Use) => [...waysTo([use])].filter(({ inputs }) => inputs.length === 0);

/** Whether what a normalisation reads is made of one input alone, of this shape. */
export function readsInput({ reads }: StoredMoments, shape: readonly (number | null)[]): boolean {
  const inputs = inputsOf(reads);
  return inputs.length === 1 && inputs[0].layer.batchInputShape?.slice(1).join() === shape.join();
}

/** The mean and the variance of each channel that one input gives where a normalisation reads. */
export async function momentsOf(tf: TF, { reads, axis }: StoredMoments, input: NdArrayLike): Promise<Moments> {
  const [start] = inputsOf(reads);
  const found = tf.tidy(() => {
    const x = tf.tensor(input.data as Float32Array, [1, ...input.shape]);
    const maps = compute(tf, reads, new Map([[start, x]]));
    const { mean, variance } = tf.moments(maps, maps.shape.flatMap((_, i) => i === axis ? [] : [i]));
    return tf.stack([mean, variance]);
  });
  const values = await found.data() as Float32Array;
  found.dispose();
  const channels = values.length / 2;
  return { mean: values.subarray(0, channels), variance: values.subarray(channels) };
}

/** The moments of several inputs together, each counted alike. */
export function pooled(all: readonly Moments[]): Moments {
  const channels = Array.from(all[0].mean, (_, i) => i);
  const mean = channels.map((i) => all.reduce((sum, { mean }) => sum + mean[i], 0) / all.length);
  const variance = channels.map((i) =>
    all.reduce((sum, moments) => sum + moments.variance[i] + (moments.mean[i] - mean[i]) ** 2, 0) / all.length
  );
  return { mean, variance };
}

/**
 * How far moments are from the stored ones: of each channel the Kullback–Leibler divergence of the two normal distributions,
 * `log(1 + divergence)` averaged over the channels, so that a few that are dead or odd do not count for all. 0 where they are
 * equal; 0.1 is close, 1 is another scale.
 */
export function misfit(seen: Moments, stored: StoredMoments): number {
  const { mean, variance, epsilon } = stored;
  let sum = 0;
  for (let i = 0; i < mean.length; i++) {
    const [own, other] = [variance[i] + epsilon, seen.variance[i] + epsilon];
    const ratio = other / own;
    const divergence = ((seen.mean[i] - mean[i]) ** 2 / own + ratio - 1 - Math.log(ratio)) / 2;
    sum += Math.log1p(Math.max(0, divergence));
  }
  return sum / mean.length;
}
