/**
 * What occlusion needs of a network at each position of a square: the scores of all classes, and the sums over the
 * feature maps of one layer. It needs nothing but the network, so that Workers can do it.
 *
 * @module
 */

import type { LayersModel, Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import type { NdArrayLike } from "../../array.ts";
import type { InputArray } from "../../data/given.ts";
import type { Box, Interval } from "../../model/geometry.ts";
import { headOf, type HeadOptions } from "../../model/ending.ts";
import { entryOf } from "../../model/graph.ts";
import type { TF } from "../../runtime/backend.ts";
import { runChanges, type Work } from "./incremental.ts";
import { runWhole } from "./whole.ts";
import { fitting } from "../memory.ts";
import { makePlan } from "../plan.ts";

/** What is computed, and at which positions. */
export interface PositionsJob {
  /** What the image is to the network, `[h, w, c]`. */
  input: InputArray;
  /** What replaces the pixels in the squares, `[h, w, c]`. */
  fill: NdArrayLike;
  /** The positions of the square; they may hang over the edges. */
  boxes: readonly (readonly Interval[])[];
  /** The positions to begin with, and so on, by their index in `boxes`. */
  stages: readonly (readonly number[])[];
  /** The layer whose feature maps are summed. */
  layer: string;
  batchSize: number;
  /** Where the scores are made. @default none are */
  head?: HeadOptions;
}

/** What the network gives for some positions of the square; for none, for the image itself. */
export interface PositionScores {
  which: readonly number[];
  /** The scores before the last softmax or sigmoid, one image's behind the other's; none where none are made. */
  scores: Float32Array;
  /** The sum over each map of the layer, one image's behind the other's. */
  sums: Float32Array;
}

/** Takes scores; the first ones are of the image itself. */
export type Receive = (scores: PositionScores) => void | Promise<void>;

/**
 * Scores what the network makes of an image with a square at each position.
 *
 * @returns the multiply-adds that it took
 */
export async function scorePositions(
  tf: TF,
  network: LayersModel,
  { layer, head: wanted, batchSize, ...options }: PositionsJob,
  receive: Receive,
  signal?: AbortSignal,
): Promise<Work> {
  const head = wanted && headOf(network, wanted);
  const plan = makePlan(network, [...head?.taps ?? [], entryOf(network, layer).use], { fold: true });
  const run = { ...options, batchSize: fitting(tf, plan, batchSize), signal };
  const take = async (outputs: readonly Tensor[], which: readonly number[]) => {
    const [taps, maps] = [outputs.slice(0, -1), outputs.at(-1)!];
    const tensors = tf.tidy(() => [
      tf.reshape(tf.sum(maps, maps.shape.slice(1, -1).map((_, axis) => 1 + axis)), [-1]),
      ...head ? [tf.reshape(head.scores(tf, taps), [-1])] : [],
    ]);
    try {
      const [sums, scores = new Float32Array()] = await Promise.all(
        tensors.map((tensor: Tensor) => tensor.data<"float32">()),
      );
      await receive({ which, scores, sums });
    } finally {
      tf.dispose(tensors);
    }
  };
  // Only what a square of an image can reach is computed anew.
  const isImage = run.input.shape.length === 3 && !plan.steps.some(({ later }) => later);
  return await (isImage
    ? runChanges(tf, plan, { ...run, boxes: run.boxes as readonly Box[] }, take)
    : runWhole(tf, plan, run, take));
}
