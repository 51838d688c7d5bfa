/**
 * A square slid over an image: what the model says at each position.
 *
 * @module
 */

import { shapeList } from "../../model/graph.ts";
import { type NdArray, ndarray } from "../../array.ts";
import { inPlaceOf, type InputArray } from "../../data/given.ts";
import type { OcclusionMap } from "../../data/records.ts";
import type { Interval } from "../../model/geometry.ts";
import type { LayerInfo, Model } from "../../model/model.ts";
import type { ModelOutput } from "../../model/output.ts";
import { ensureBackend } from "../../runtime/backend.ts";
import { eachScore } from "../attribution/gradients.ts";
import type { Work } from "./incremental.ts";
import { explainMemory } from "../memory.ts";
import { withBox } from "./whole.ts";
import { type PositionScores, scorePositions } from "./scores.ts";
import { type OutputNumber, type OutputTarget, placeWeights, resolveOutput } from "../output_target.ts";
import type { ResolvedTarget } from "../target.ts";

/** A class with its probability. */
type ClassProbability = OcclusionMap["top"][number][number];

/** A map that is being filled; NaN where nothing is known yet. */
type WritableMap = OcclusionMap & { readonly top: ClassProbability[][] };

/** The model's answer to the image without a square. */
interface Unoccluded {
  readonly target: ResolvedTarget & { readonly probability?: number };
  /** The target's score; of a class, before the softmax or sigmoid. */
  readonly score: number;
  /** The sum over the strongest feature map of the layer. */
  readonly activity: number;
  /** The channel of that map. */
  readonly channel: number;
}

/** What a square of one size does to an image. */
export interface Occluded {
  map: OcclusionMap;
  unoccluded: Unoccluded;
  work: Work;
}

/** A class, a label or a number of an output. */
export interface OutputAsked {
  output: ModelOutput;
  wanted: string | number | OutputNumber;
}

export interface OccludeOptions {
  /** One of the outputs, or another target as it was resolved for the image. */
  target: OutputAsked | ResolvedTarget;
  size: number;
  stride: number;
  /** What replaces the pixels in the square, `[h, w, c]`. */
  baseline: NdArray;
  /** The layer whose feature maps are summed. */
  layer: string;
  /** How many of the most probable classes are kept. */
  top: number;
  batchSize: number;
  signal?: AbortSignal;
  /** From coarse to fine, with the map so far after each batch. */
  onPart?: (map: OcclusionMap, unoccluded: Unoccluded) => void;
  onProgress?: (done: number) => void;
  /**
   * Runs the network, here or in Workers.
   * @default in this thread
   */
  score?: typeof scorePositions;
}

/** What slides over a signal, an image, a volume. */
export const WINDOWS = ["window", "square", "cube"];

/**
 * The positions of a square along one side: every `stride` pixels from 0 on, the last so that it reaches the edge or hangs
 * over it, as Captum's `Occlusion` has it. Where the stride is larger than the square, which Captum refuses, pixels
 * between the positions are left out, and no position lies wholly outside.
 *
 * @throws {RangeError} if the square is larger than the side, or the numbers are no whole numbers ≥ 1
 */
export function positionsAlong(side: number, size: number, stride: number, dimensions = 2): Interval[] {
  const cells = dimensions === 2 ? "pixels" : "cells";
  for (const [name, value] of Object.entries({ size, stride })) {
    if (!Number.isInteger(value) || value < 1) {
      throw new RangeError(`${name} must be a whole number of ${cells} ≥ 1: received ${value}.`);
    }
  }
  if (size > side) {
    throw new RangeError(
      `A ${WINDOWS[dimensions - 1]} of ${size} ${cells} is larger than the ${
        ["signal", "image", "volume"][dimensions - 1]
      }` +
        ` as the model sees it, which has a side of ${side}. ` +
        "Use a smaller size.",
    );
  }
  const count = Math.min(Math.ceil((side - size) / stride) + 1, Math.ceil(side / stride));
  return Array.from({ length: count }, (_, i) => [i * stride, i * stride + size]);
}

/** The most probable of some classes, without sorting all of them. */
function mostProbable(values: ArrayLike<number>, top: number): ClassProbability[] {
  const best: ClassProbability[] = [];
  Float64Array.from(values).forEach((probability, index) => {
    if (best.length === top && probability <= best[top - 1].probability) return;
    const at = best.findIndex((entry) => entry.probability < probability);
    best.splice(at < 0 ? best.length : at, 0, { index, probability });
    if (best.length > top) best.pop();
  });
  return best;
}

/** The positions along a side from which on a map is filled from coarse to fine. */
const FILLS_FROM = 8;

/** The positions along all sides, the last one fastest. */
export function positionsOf(sides: readonly number[], size: number, stride: number): Interval[][] {
  const along = sides.map((side) => positionsAlong(side, size, stride, sides.length));
  return along.reduce<Interval[][]>((all, next) => all.flatMap((before) => next.map((one) => [...before, one])), [[]]);
}

/** The order in which a map is filled: every fourth position of each side, then every second, then the rest. */
function coarseToFine(rows: number, columns: number): number[][] {
  const all = Array.from({ length: rows * columns }, (_, i) => i);
  if (Math.min(rows, columns) < FILLS_FROM) return [all];
  const level = (i: number) => [4, 2, 1].findIndex((s) => Math.floor(i / columns) % s === 0 && (i % columns) % s === 0);
  return [0, 1, 2].map((wanted) => all.filter((i) => level(i) === wanted));
}

/**
 * Slides a square over an image.
 *
 * @param view the image as the model sees it, `[h, w, c]`, 0…255
 */
export async function occlude(
  model: Model,
  view: InputArray,
  { size, stride, baseline, layer, batchSize, signal, score = scorePositions, ...options }: OccludeOptions,
): Promise<Occluded> {
  const sides = view.shape.slice(0, model.dimensions);
  const positions = positionsOf(sides, size, stride);
  const counts = sides.map((side) => positionsAlong(side, size, stride, sides.length).length);
  const grid = () => ndarray(new Float32Array(positions.length).fill(NaN), counts);
  const { target } = options;
  // The score of any other target takes a pass of its own.
  const isOutput = "wanted" in target;
  const output = isOutput ? target.output : model.output;
  const isPredicting = isOutput || output.kind !== "map";
  const map: WritableMap = {
    size,
    stride,
    ...isOutput && output.each !== "numbers" && { probability: grid() },
    score: grid(),
    activity: grid(),
    ...isPredicting && { predicted: grid() },
    top: positions.map((): ClassProbability[] => []),
    boxes: positions.map((box) => [...box.map(([start]) => start), ...box.map(([, end]) => end)]),
    baseline,
  };
  const tf = await ensureBackend();
  const job = {
    input: model.input(view),
    fill: model.input(baseline),
    boxes: positions,
    stages: options.onPart ? coarseToFine(counts[0], counts[1]) : [positions.map((_, i) => i)],
    layer,
    batchSize,
    ...isPredicting && { head: output.head },
  };
  try {
    let ownScore: number | undefined;
    let before = 0;
    if (!isOutput) {
      const scores = await fullScores(model, view, target, {
        ...options,
        baseline,
        boxes: positions,
        batchSize,
        signal,
      });
      ownScore = scores[0];
      map.score.data.set(scores.subarray(1));
      before = positions.length;
    }
    const receiver = receiverOf(model, map, { ...options, output, inputShape: job.input.shape }, ownScore, before);
    const work = await score(tf, model.network, job, receiver.receive, signal);
    const done = isOutput ? work.done : work.done + work.full;
    return { map, unoccluded: receiver.unoccluded(), work: { full: work.full, done } };
  } catch (error) {
    throw explainMemory(tf, error, `A batch of ${batchSize} occluded images of ${JSON.stringify(model.name)}`);
  }
}

/** The score of a target that is none of the outputs, by full passes: for the image, then for each position of the square. */
async function fullScores(
  model: Model,
  view: InputArray,
  target: ResolvedTarget,
  { baseline, boxes, batchSize, signal, onProgress }:
    & Pick<OccludeOptions, "baseline" | "batchSize" | "signal" | "onProgress">
    & { boxes: readonly (readonly Interval[])[] },
): Promise<Float32Array> {
  return await eachScore(
    model,
    target,
    boxes.length + 1,
    (i) => model.input(i === 0 ? view : inPlaceOf(view, withBox(view, baseline, boxes[i - 1]))),
    { batchSize, signal, onProgress: (done) => onProgress?.(Math.min(done, boxes.length)) },
  );
}

/** Writes what the network gives for each position into a map; first of all for the image without a square. */
function receiverOf(
  model: Model,
  map: WritableMap,
  { target, output, inputShape, top, onPart, onProgress }:
    & Pick<OccludeOptions, "target" | "top" | "onPart" | "onProgress">
    & { output: ModelOutput; inputShape: readonly number[] },
  ownScore: number | undefined,
  before: number,
): { receive: (scores: PositionScores) => void; unoccluded: () => Unoccluded } {
  let unoccluded: Unoccluded | undefined;
  let places: Float32Array | null = null;
  let done = before;
  const watched = (scores: Float32Array) => {
    if (!("wanted" in target)) return { target, score: ownScore! };
    const resolved = resolveOutput(model, target.wanted, { output, numbers: scores, of: "scores", inputShape });
    const { index } = resolved;
    places = placeWeights(resolved);
    return {
      target: {
        ...resolved,
        ...map.probability && { probability: output.valuesOver(scores, places, "scores")[index] },
      },
      score: output.scoresOver(scores, places)[index],
    };
  };
  const receive = ({ which, scores, sums }: PositionScores) => {
    if (which.length === 0) {
      const channel = sums.reduce((best, sum, i) => sum > sums[best] ? i : best, 0);
      unoccluded ??= {
        ...watched(scores),
        activity: sums[channel],
        channel,
      };
      return;
    }
    const { target, channel } = unoccluded!;
    const of = (values: Float32Array, i: number) => {
      const each = values.length / which.length;
      return values.subarray(i * each, (i + 1) * each);
    };
    which.forEach((position, i) => {
      map.activity.data[position] = of(sums, i)[channel];
      if (!map.predicted) return;
      const values = output.valuesOver(of(scores, i), places, "scores");
      // Numbers are no classes: none of them is the most probable.
      if (output.each !== "numbers") map.top[position] = mostProbable(values, top);
      map.predicted.data[position] = output.predicted(values);
      if (ownScore !== undefined) return;
      const { index } = target as OutputTarget;
      map.score.data[position] = output.scoresOver(of(scores, i), places)[index];
      if (map.probability) map.probability.data[position] = values[index];
    });
    done += which.length;
    onProgress?.(done);
    onPart?.(map, unoccluded!);
  };
  return { receive, unoccluded: () => unoccluded! };
}

const CONVOLVES = /^(Depthwise|Separable)?Conv\dD$/;
/** Layers behind a convolution that keep its maps' shape. */
const FOLLOWS = new Set(["BatchNormalization", "Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Add", "Dropout"]);

const isMapOf = (model: Model) => ({ outputShape }: LayerInfo) =>
  model.hasMaps(outputShape) && outputShape.slice(0, -1).some((side) => side !== 1);

/**
 * The last convolution that puts out maps, with what works on its maps as they are.
 *
 * @throws {TypeError} if no layer puts out maps
 */
export function lastMaps(model: Model, output = model.output): string {
  const way = model.wayBefore(output);
  const isMap = isMapOf(model);
  let at = way.findLastIndex((layer) => CONVOLVES.test(layer.kind) && isMap(layer));
  if (at < 0) at = way.findLastIndex(isMap);
  if (model.inputShape.length < 2) {
    throw new TypeError(
      `The model ${JSON.stringify(model.name)} reads vectors of shape [${model.inputShape}], whose numbers have no ` +
        "neighbours that a window could cover. inputXGradient and integratedGradients say what each number counts.",
    );
  }
  if (at < 0) {
    throw new TypeError(
      `The model ${
        JSON.stringify(model.name)
      } has no layer with maps, [h, w, c]; wanted a ConvNet, whose strongest map ` +
        "is shown beside the probability.",
    );
  }
  const { outputShape } = way[at];
  while (FOLLOWS.has(way[at + 1]?.kind) && String(way[at + 1].outputShape) === String(outputShape)) {
    at++;
  }
  return way[at].name;
}

/**
 * The layer asked for.
 *
 * @throws {RangeError} if there is none of this name, or it puts out no maps
 */
export function checkMaps(model: Model, name: string): string {
  const layer = model.layer(name);
  if (isMapOf(model)(layer)) return name;
  throw new RangeError(
    `Layer ${JSON.stringify(name)} puts out [${shapeList(layer.outputShape)}]; ` +
      "wanted a layer with maps, [h, w, c].",
  );
}
