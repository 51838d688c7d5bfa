/**
 * Inputs that differ from one in a box each, by full passes: for signals and volumes.
 *
 * @module
 */

import type { Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import { type NdArrayLike, sizeOf } from "../../array.ts";
import { inPlaceOf, type InputArray } from "../../data/given.ts";
import type { Interval } from "../../model/geometry.ts";
import type { TF } from "../../runtime/backend.ts";
import { pack } from "../batches.ts";
import { execute, type Plan } from "../plan.ts";
import type { Work } from "./incremental.ts";

/**
 * An input with what fills a box in its place.
 *
 * @param input `[…sides, c]`
 * @param fill of the same shape
 * @param box an interval along each side; it may hang over the edges
 * @returns a copy of the input's numbers
 */
export function withBox(input: NdArrayLike, fill: NdArrayLike, box: readonly Interval[]): Float32Array<ArrayBuffer> {
  const { shape } = input;
  const data = new Float32Array(input.data);
  const put = (axis: number, index: number) => {
    const [start, end] = [Math.max(0, box[axis][0]), Math.min(shape[axis], box[axis][1])];
    if (axis < box.length - 1) { for (let i = start; i < end; i++) put(axis + 1, index * shape[axis] + i); }
    else {
      const each = sizeOf(shape.slice(box.length));
      const [from, to] = [(index * shape[axis] + start) * each, (index * shape[axis] + end) * each];
      data.set(fill.data.subarray(from, to), from);
    }
  };
  put(0, 0);
  return data;
}

/**
 * Runs one input, and copies of it with a box each, along a plan.
 *
 * @param receive as that of `runChanges`
 * @returns the multiply-adds of the convolutions and dense layers
 */
export async function runWhole(
  tf: TF,
  plan: Plan,
  { input, fill, boxes, stages, batchSize, signal }: {
    input: InputArray;
    fill: NdArrayLike;
    boxes: readonly (readonly Interval[])[];
    stages: readonly (readonly number[])[];
    batchSize: number;
    signal?: AbortSignal;
  },
  receive: (outputs: readonly Tensor[], which: readonly number[]) => Promise<void>,
): Promise<Work> {
  const batches = [
    [],
    ...stages.flatMap((stage) =>
      Array.from(
        { length: Math.ceil(stage.length / batchSize) },
        (_, i) => stage.slice(i * batchSize, (i + 1) * batchSize),
      )
    ),
  ];
  let next = 0;
  const tensors = batches.map((which) => () =>
    pack(tf, which.length ? which.map((i) => inPlaceOf(input, withBox(input, fill, boxes[i]))) : [input])
  );
  await execute(tf, plan, tensors, (outputs) => receive(outputs, batches[next++]), signal);
  const each = plan.steps.reduce((sum, { layer, output }) => {
    const kernel = /Conv|Dense/.test(layer.getClassName()) ? layer.weights[0]?.shape as number[] : undefined;
    return sum + (kernel ? sizeOf(kernel.slice(0, -1)) * plan.floats.get(output)! : 0);
  }, 0);
  const full = each * (1 + boxes.length);
  return { full, done: full };
}
