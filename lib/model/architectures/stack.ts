/**
 * What the builders of fresh networks share: a stack of layers, seeded weights, the labels.
 *
 * @module
 */

import type { layers } from "npm:@tensorflow/tfjs@4.22.0";
import { kindOf } from "../../errors.ts";
import { ensureBackend, type TF } from "../../runtime/backend.ts";
import { Model } from "../model.ts";
import { preprocessing, type PreprocessMode } from "../preprocess.ts";

/** Options of every builder. */
export interface BuildOptions {
  /**
   * The name of each class: there are as many outputs.
   * @default none
   */
  labels?: readonly string[];
  /**
   * What the fresh weights are drawn from: one seed gives the same weights on every backend.
   * @default 0
   */
  seed?: number;
  /**
   * What figures call the model.
   * @default the builder's name
   */
  name?: string;
}

/** The names of {@linkcode BuildOptions}. */
export const BUILD_OPTIONS = { labels: true, seed: true, name: true } satisfies Record<keyof BuildOptions, true>;

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
const seedOf = (seed: number, layer: number) => 1 + seed * 1000 + layer;

/** How many outputs there are: one a label. */
export function outputsOf(labels: readonly string[] | undefined, classes: number): number {
  if (labels && labels.length < 2) {
    throw new RangeError(`A classifier tells at least two classes apart: received ${labels.length} labels.`);
  }
  if (!Number.isInteger(classes) || classes < 2) {
    throw new RangeError(`A classifier tells at least two classes apart: received classes ${classes}.`);
  }
  return labels?.length ?? classes;
}

/** @throws {RangeError} if a rate of dropout is no share below 1 */
export function checkDropout(rate: number): void {
  if (!(rate >= 0 && rate < 1)) {
    throw new RangeError(`dropout is a share of at least 0 and below 1: received ${kindOf(rate)}.`);
  }
}

/** What a stack is made of. */
export interface StackParts extends BuildOptions {
  name: string;
  preprocess: PreprocessMode | Parameters<typeof preprocessing>[0];
  /** The layers, the first of them with its `inputShape`. */
  layers: (tf: TF, seed: number) => layers.Layer[];
}

/**
 * Builds a network of layers that stand one on the other.
 *
 * @throws {RangeError} if the seed is not a whole number ≥ 0, or an image is too small for the layers
 */
export async function stack({ name, labels, seed = 0, preprocess, layers }: StackParts): Promise<Model> {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new RangeError(`A seed is a whole number ≥ 0: received ${seed}.`);
  }
  const tf = await ensureBackend();
  const network = tf.sequential({ name, layers: layers(tf, seed) });
  return new Model(network, { name, labels: labels ?? null, preprocess: preprocessing(preprocess) });
}
