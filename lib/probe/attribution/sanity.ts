/**
 * Whether a map depends on what the network learned: it is made again and again while the network's layers forget.
 *
 * Adebayo et al., "Sanity Checks for Saliency Maps" (2018), §3 and §4.
 *
 * @module
 */

import type { NdArrayLike } from "../../array.ts";
import type { ImageLike } from "../../data/image.ts";
import type { Likeness } from "../../data/records.ts";
import { type Copy, copyOf } from "../../model/copy.ts";
import { traceAnySize, waysTo } from "../../model/graph.ts";
import type { Model } from "../../model/model.ts";
import { ensureBackend } from "../../runtime/backend.ts";
import { outputFor } from "../output_target.ts";
import { type ResolvedTarget, type Target, termsOf } from "../target.ts";
import { reinitialize } from "./randomize.ts";
import { spearman, ssim } from "./similarity.ts";

/** What a map must have to be compared. */
export interface Comparable {
  /** `[h, w]` */
  readonly map: NdArrayLike;
  /** `[h, w, 3]` or `[h, w]`, with signs where the method has them. */
  readonly values: NdArrayLike;
}

/** A method's map at one stage of the network. */
export interface Stage<A extends Comparable> extends Likeness {
  /** The layer that was randomised last (with `"independent"`: alone). */
  readonly layer: string;
  readonly attribution: A;
}

/** What a method is given while it is checked. */
export interface MethodOptions {
  /** What the trained model's map explains, a class by its index; the same for every map. */
  target: Target;
  /** Of a network of several inputs the one that is asked about. */
  input?: string;
  /** Stops the work. */
  signal?: AbortSignal;
}

/** A method that makes a map, as `saliency`, or a function that calls one with options of its own. */
export type MapMethod<A extends Comparable> = (model: Model, image: ImageLike, options: MethodOptions) => Promise<A>;

export interface SanityOptions {
  mode: "cascading" | "independent";
  /** The layers at which a map is made, from the top down. */
  layers: readonly string[];
  seed: number;
  signal?: AbortSignal;
  onProgress?: (done: number, total: number) => void;
}

/**
 * Names of the layers that have kernels, the last one first; at most `most` of them, evenly spread, both ends in. What is
 * not on the way to the target does not change its maps, so it is left out.
 */
export function stops(model: Model, most: number, target?: ResolvedTarget): string[] {
  const { network, output } = model;
  const { outputs, entries } = traceAnySize(network);
  const read = target ? termsOf(target).map((term) => term.target) : [];
  const ends = read.map((one) => "layer" in one ? model.entry(one.layer).use : outputs[outputFor(model, one).index]);
  const way = waysTo(target ? ends : [outputs[output.index]]);
  const trained = entries
    .filter(({ isModel, use, nth, layer: { weights } }) =>
      !isModel && nth === 1 && way.has(use) && weights.some(({ shape }) => shape.length > 1)
    )
    .map(({ name }) => name)
    .reverse();
  if (trained.length === 0) throw new RangeError(`No layer with weights leads to ${target?.text ?? "the outputs"}.`);
  if (trained.length <= most) return trained;
  return Array.from({ length: most }, (_, i) => trained[Math.round((i * (trained.length - 1)) / (most - 1))]);
}

/**
 * The layers asked for, from the top down.
 *
 * @throws {RangeError} if there is none, or one does not exist or has no weights
 */
export function topDown(model: Model, layers: readonly string[]): string[] {
  if (layers.length === 0) throw new RangeError("There is no layer to randomise; wanted at least one.");
  for (const name of layers) {
    if (model.layer(name).params > 0) continue;
    throw new RangeError(
      `Layer ${JSON.stringify(name)} has no weights that could be randomised; wanted layers with weights, as ` +
        `${stops(model, 3).map((stop) => JSON.stringify(stop)).join(", ")}.`,
    );
  }
  const place = (name: string) => model.layers.indexOf(model.layer(name));
  return [...new Set(layers)].sort((a, b) => place(b) - place(a));
}

/** All layers that hold weights of their own, or none, each once, in the order in which they run. */
const learning = (
  { network }: Model,
) => [...new Set(traceAnySize(network).entries.flatMap(({ layer, isModel }) => isModel ? [] : [layer]))];

/** Magnitudes as 0…1, what is above the 99th percentile clipped. */
function normalized({ data, shape }: NdArrayLike): NdArrayLike {
  const magnitudes = data.map(Math.abs);
  const sorted = magnitudes.filter((value) => value > 0).sort();
  const top = sorted.length ? sorted[Math.ceil(0.99 * sorted.length) - 1] : 1;
  return { data: magnitudes.map((value) => Math.min(1, value / top)), shape };
}

/** How alike two attributions are. A map that is the same everywhere has no order: it correlates with nothing. */
export function likeness(a: Comparable, b: Comparable): Likeness {
  return {
    spearman: spearman(a.map.data.map(Math.abs), b.map.data.map(Math.abs)),
    spearmanSigned: spearman(a.values.data, b.values.data),
    ssim: ssim(normalized(a.map), normalized(b.map), 1),
  };
}

/**
 * Makes maps of a model, then of copies whose layers are randomised.
 *
 * @param makers each makes its map of a model; they are given copies, never the model after it was changed
 * @returns of each maker the model's own map, and the stages
 */
export async function randomizeLayers<A extends Comparable>(
  model: Model,
  makers: readonly ((model: Model) => Promise<A>)[],
  { mode, layers, seed, signal, onProgress }: SanityOptions,
): Promise<{ trained: A; stages: Stage<A>[] }[]> {
  const tf = await ensureBackend();
  const total = makers.length * (layers.length + 1);
  let done = 0;
  const make = async (maker: (model: Model) => Promise<A>, of: Model) => {
    signal?.throwIfAborted();
    const attribution = await maker(of);
    onProgress?.(++done, total);
    return attribution;
  };
  const found: { trained: A; stages: Stage<A>[] }[] = [];
  for (const maker of makers) found.push({ trained: await make(maker, model), stages: [] });
  const copy = await copyOf(model);
  try {
    const below = learning(copy.model).toReversed();
    let forgotten = 0;
    for (const layer of layers) {
      const end = below.indexOf(copy.model.entry(layer).layer) + 1;
      if (mode === "independent") {
        copy.model.network.setWeights(model.network.getWeights());
        forgotten = end - 1;
      }
      for (; forgotten < end; forgotten++) reinitialize(tf, below[forgotten], seed, below.length - forgotten);
      for (const [i, maker] of makers.entries()) {
        const attribution = await make(maker, copy.model);
        found[i].stages.push({ layer, attribution, ...likeness(found[i].trained, attribution) });
      }
    }
    return found;
  } finally {
    copy.dispose();
  }
}

/**
 * A copy of a model that has learned nothing: all of its weights as before training.
 *
 * @returns a model that the caller disposes of
 */
export async function untrained(model: Model, seed: number): Promise<Copy> {
  const tf = await ensureBackend();
  const copy = await copyOf(model);
  learning(copy.model).forEach((layer, i) => reinitialize(tf, layer, seed, i + 1));
  return copy;
}
