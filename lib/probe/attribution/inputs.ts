/**
 * What attribution methods start from: images paired with targets, and what each target means for its image.
 *
 * @module
 */

import type { Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import { type NdArrayLike, placeOf } from "../../array.ts";
import { type InputArray, nameOfGiven, toGiven } from "../../data/given.ts";
import type { ImageLike } from "../../data/image.ts";
import type { Model } from "../../model/model.ts";
import type { RunOptions } from "../../options.ts";
import { ensureBackend } from "../../runtime/backend.ts";
import { pack, shapesText } from "../batches.ts";
import { FOLD_FROM } from "../forward.ts";
import { execute } from "../plan.ts";
import {
  askedOf,
  directionTarget,
  flatTerms,
  isOutput,
  isOutputWanted,
  isSumWanted,
  type ResolvedTarget,
  resolveSingle,
  type SingleTarget,
  type SingleWanted,
  sumTarget,
  type Target,
  unitTarget,
} from "../target.ts";
import { fitting } from "../memory.ts";
import { type OutputTarget, placeWeights, resolveOutput } from "../output_target.ts";
import { ScoreFunction } from "./score_function.ts";

/** One image with one target. */
export interface AttributionInput {
  /** The image's name. */
  readonly name: string;
  /** The image as the model saw it, `[h, w, c]`, 0…255. */
  readonly view: InputArray;
  /** What goes into the network, `[h, w, c]`, channels in its own order. */
  readonly input: InputArray;
  readonly target: ResolvedTarget;
  /** What the model gives the class or label, 0…1; absent for other targets. */
  readonly probability?: number;
}

/** One image and what is asked about it. */
export interface Pair extends Pick<AttributionInput, "name" | "view" | "input"> {
  readonly wanted: Target;
}

/** What a target means for an image. */
export type TargetForImage = Pick<AttributionInput, "target" | "probability">;

function preliminarySingle(model: Model, target: SingleWanted, { shape }: NdArrayLike): SingleTarget {
  const { output, wanted } = askedOf(model, target);
  if (!isOutputWanted(wanted)) return resolveSingle(model, target, undefined, shape);
  const asked = typeof wanted === "object"
    ? wanted
    : typeof wanted === "string"
    ? { label: wanted }
    : { index: wanted };
  const isPredicted = asked.index === undefined && (asked.label ?? "predicted") === "predicted";
  const { label: _, ...place } = asked;
  return resolveOutput(model, isPredicted ? { ...place, index: 0 } : asked, { output, inputShape: shape });
}

/** A target before the image was looked at; the first output is there in place of the predicted one. */
export function preliminaryTarget(model: Model, target: Target, input: NdArrayLike): ResolvedTarget {
  const terms = flatTerms(target).map(([weight, term]) => ({ weight, target: preliminarySingle(model, term, input) }));
  return isSumWanted(target) ? sumTarget(terms) : terms[0].target;
}

/** What a class, a label or a number of the output means for one image, given the scores of all. */
function outputForImage(model: Model, scores: Float32Array, asked: SingleWanted, inputShape: readonly number[]) {
  const { output, wanted } = askedOf(model, asked);
  const from = { output, numbers: scores, of: "scores", inputShape } as const;
  const target = resolveOutput(model, wanted as string | number, from);
  const probability = output.valuesOver(scores, placeWeights(target), "scores")[target.index];
  return { target, ...target.kind !== "number" && Number.isFinite(probability) && { probability } };
}

/** As {@linkcode outputForImage}, given the values of its score function's outputs. */
export async function resolveOutputForImage(
  model: Model,
  scoreFunction: ScoreFunction,
  outputs: readonly Tensor[],
  { wanted, input }: Pair,
  preliminary: OutputTarget,
): Promise<TargetForImage> {
  const scores = scoreFunction.tf.tidy(() => scoreFunction.outputScores(outputs, preliminary));
  try {
    return outputForImage(model, await scores.data() as Float32Array, wanted as SingleWanted, input.shape);
  } finally {
    scores.dispose();
  }
}

/** Whether the image has to be looked at: for what is predicted, a probability, the cell of the largest value. */
const dependsOnImage = (model: Model, target: SingleTarget): boolean =>
  isOutput(target) ||
  (target.kind !== "function" && !target.cell && model.layer(target.layer).outputShape.length > 1);

/** A unit or a direction at the cell where its score is largest. */
function atStrongestCell(target: SingleTarget, maps: Float32Array, [, ...shape]: number[]): SingleTarget {
  if (target.kind !== "unit" && target.kind !== "direction") return target;
  const channels = shape.at(-1)!;
  let best = 0;
  let largest = -Infinity;
  for (let cell = 0; cell < maps.length / channels; cell++) {
    let value = 0;
    if (target.kind === "unit") value = maps[cell * channels + target.channel];
    else for (let c = 0; c < channels; c++) value += target.direction[c] * maps[cell * channels + c];
    if (value > largest) [best, largest] = [cell, value];
  }
  const cell = placeOf(best, shape.slice(0, -1));
  return target.kind === "unit"
    ? unitTarget(target.layer, target.channel, cell)
    : directionTarget(target.layer, target.direction, cell);
}

/** One of the targets that a pair asks about. */
interface Term {
  readonly pair: Pair;
  readonly weight: number;
  readonly wanted: SingleWanted;
  target: SingleTarget;
  probability?: number;
}

/**
 * Finds out what each pair's target means for its image. Each image runs once for all its targets that are read at one
 * place of the network.
 */
export async function resolveForImages(
  model: Model,
  pairs: readonly Pair[],
  { batchSize = 8, signal }: Partial<Pick<RunOptions, "batchSize" | "signal">> = {},
): Promise<AttributionInput[]> {
  const byPair = pairs.map((pair) =>
    flatTerms(pair.wanted).map(([weight, wanted]): Term => ({
      pair,
      weight,
      wanted,
      target: preliminarySingle(model, wanted, pair.input),
    }))
  );
  const open = byPair.flat().filter(({ target }) => dependsOnImage(model, target));
  const shared = Map.groupBy(open, ({ target, pair }) => `${ScoreFunction.key(target)} on ${shapesText(pair.input)}`);
  for (const terms of shared.values()) await resolveTerms(model, terms, batchSize, signal);
  return pairs.map(({ wanted, ...image }, i) => {
    const [{ target, probability }] = byPair[i];
    if (isSumWanted(wanted)) return { ...image, target: sumTarget(byPair[i]) };
    return { ...image, target, ...probability !== undefined && { probability } };
  });
}

/** Resolves terms that are read at one place of the network, for inputs of one shape. */
async function resolveTerms(model: Model, terms: readonly Term[], batchSize: number, signal?: AbortSignal) {
  const tf = await ensureBackend();
  const byInput = [...Map.groupBy(terms, ({ pair }) => pair.input)];
  const [{ target }] = terms;
  const scoreFunction = new ScoreFunction(tf, model, target, byInput.length >= FOLD_FROM);
  const size = fitting(tf, scoreFunction.plan, batchSize);
  const batches = function* () {
    for (let start = 0; start < byInput.length; start += size) {
      signal?.throwIfAborted();
      const inputs = byInput.slice(start, start + size).map(([input]) => input);
      yield () => pack(tf, inputs);
    }
  };
  let done = 0;
  await execute(tf, scoreFunction.plan, batches(), async (outputs) => {
    const values = tf.tidy(() => isOutput(target) ? scoreFunction.outputScores(outputs, target) : tf.clone(outputs[0]));
    try {
      const data = await values.data() as Float32Array;
      const each = data.length / values.shape[0];
      for (let k = 0; k < values.shape[0]; k++) {
        const own = data.subarray(k * each, (k + 1) * each);
        for (const term of byInput[done + k][1]) {
          if (isOutput(target)) Object.assign(term, outputForImage(model, own, term.wanted, term.pair.input.shape));
          else term.target = atStrongestCell(term.target, own, values.shape);
        }
      }
      done += values.shape[0];
    } finally {
      values.dispose();
    }
  });
}

/**
 * Checks that so many images go with some targets: one target for all, one for each, or all for the one image.
 *
 * @throws {RangeError} if there is none of either, or their numbers do not go together
 */
export function checkPairing(images: number, targets: Target | readonly Target[]): void {
  const wanted = Array.isArray(targets) ? targets.length : 1;
  if (images === 0 || wanted === 0) {
    throw new RangeError(`There is no ${images === 0 ? "image" : "target"}; wanted at least one.`);
  }
  if (images === wanted || images === 1 || wanted === 1) return;
  throw new RangeError(
    `${images} images and ${wanted} targets cannot be paired; wanted as many targets as images, or one.`,
  );
}

/**
 * Pairs images with targets.
 *
 * @param images one image, or many
 * @param targets one target for all images; or many: one for each image, or all for the one image
 * @returns the pairs; `many` tells whether an array was given
 * @throws {RangeError} if the numbers of images and of targets do not go together
 */
export async function pairsOf(
  model: Model,
  images: ImageLike | readonly ImageLike[],
  targets: Target | readonly Target[] = "predicted",
): Promise<{ pairs: Pair[]; many: boolean }> {
  const many = Array.isArray(images) || Array.isArray(targets);
  const given = (Array.isArray(images) ? images : [images]) as readonly ImageLike[];
  const wanted = (Array.isArray(targets) ? targets : [targets]) as readonly Target[];
  checkPairing(given.length, targets);
  const sources = await Promise.all(given.map(toGiven));
  const views = await Promise.all(sources.map((source) => model.view(source)));
  const inputs = views.map((view) => model.input(view));
  const pairs = Array.from({ length: Math.max(given.length, wanted.length) }, (_, i) => {
    const image = given.length === 1 ? 0 : i;
    return {
      name: nameOfGiven(sources[image]),
      view: views[image],
      input: inputs[image],
      wanted: wanted[wanted.length === 1 ? 0 : i],
    };
  });
  return { pairs, many };
}

/**
 * Pairs images with targets as {@linkcode pairsOf}, and finds out what each target means for its image.
 *
 * @throws {RangeError} if the numbers of images and of targets do not go together, or a target does not exist
 */
export async function attributionInputs(
  model: Model,
  images: ImageLike | readonly ImageLike[],
  targets: Target | readonly Target[] = "predicted",
  run: Partial<Pick<RunOptions, "batchSize" | "signal">> = {},
): Promise<AttributionInput[]> {
  const { pairs } = await pairsOf(model, images, targets);
  run.signal?.throwIfAborted();
  return await resolveForImages(model, pairs, run);
}
