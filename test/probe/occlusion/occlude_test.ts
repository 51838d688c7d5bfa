/** Occlusion where it is large: kept apart from the method's own tests, which run on every backend. */

import type { layers as tfLayers, Tensor } from "@tensorflow/tfjs";
import { describe, expect, test } from "vitest";
import { traceAnySize } from "../../../lib/model/graph.ts";
import { type NdArray, ndarray, sizeOf } from "../../../lib/array.ts";
import { photo } from "../../../lib/data/photo.ts";
import { occlusion } from "../../../lib/methods/occlusion.ts";
import { loadModel } from "../../../lib/model/load.ts";
import type { Box } from "../../../lib/model/geometry.ts";
import { runChanges } from "../../../lib/probe/occlusion/incremental.ts";
import { occlude, positionsAlong } from "../../../lib/probe/occlusion/occlude.ts";
import { makePlan } from "../../../lib/probe/plan.ts";
import { ensureBackend } from "../../../lib/runtime/backend.ts";
import { landscape, uniforms, wavesNet } from "../../nets.ts";
import { longTest } from "../../long.ts";

const tf = await ensureBackend();

test("places stand as Captum's, the last one at the edge or over it", () => {
  expect(positionsAlong(10, 4, 3)).toEqual([[0, 4], [3, 7], [6, 10]]);
  expect(positionsAlong(10, 4, 4)).toEqual([[0, 4], [4, 8], [8, 12]]);
  expect(positionsAlong(10, 10, 1)).toEqual([[0, 10]]);
  expect(positionsAlong(224, 32, 8)).toHaveLength(25);
  // A stride larger than the square: none of the places lies wholly outside.
  expect(positionsAlong(10, 2, 5)).toEqual([[0, 2], [5, 7]]);
  expect(positionsAlong(240, 33, 50)).toHaveLength(5);
});

test("a map that is watched fills from coarse to fine, and becomes the same", async () => {
  const model = await loadModel(await wavesNet(), { name: "waves" });
  const view = ndarray(landscape().data, landscape().shape);
  const options = {
    target: { output: model.output, wanted: 2 },
    size: 8,
    stride: 3,
    baseline: ndarray(new Float32Array(view.data.length).fill(127.5), view.shape),
    layer: "conv2",
    top: 3,
    batchSize: 5,
  } as const;
  const whole = await occlude(model, view, options);
  const known: number[][] = [];
  const { map } = await occlude(model, view, {
    ...options,
    onPart: ({ score: { data } }) => known.push([...data.keys()].filter((place) => !Number.isNaN(data[place]))),
  });
  const { shape: [rows, columns] } = map.score;
  expect([rows, columns]).toEqual([9, 9]);
  const every = (step: number) =>
    [...map.score.data.keys()].filter((i) => Math.floor(i / columns) % step === 0 && (i % columns) % step === 0);
  // 9 places four apart, 25 places two apart, then all 81.
  for (const step of [4, 2, 1]) expect(known).toContainEqual(every(step));
  const off = map.probability!.data.map((value, i) => Math.abs(value - whole.map.probability!.data[i]));
  expect(off.reduce((a, b) => Math.max(a, b))).toBeLessThan(1e-6);
  model.dispose();
});

/** VGG-16's convolutions and poolings with an eighth of its filters, at 224². */
function slimVgg() {
  const conv = (filters: number, first: boolean) =>
    tf.layers.conv2d({
      filters,
      kernelSize: 3,
      padding: "same",
      activation: "relu",
      ...first && { inputShape: [224, 224, 3] },
    });
  const stack: tfLayers.Layer[] = [];
  [[8, 2], [16, 2], [32, 3], [64, 3], [64, 3]].forEach(([filters, count]) => {
    for (let i = 0; i < count; i++) stack.push(conv(filters, stack.length === 0));
    stack.push(tf.layers.maxPooling2d({ poolSize: 2 }));
  });
  return tf.sequential({
    layers: [...stack, tf.layers.flatten(), tf.layers.dense({ units: 10, activation: "softmax" })],
  });
}

test("a VGG-16-shaped network takes a fifth of the multiply-adds, and gives the same", async () => {
  const network = slimVgg();
  const next = uniforms(5);
  for (const layer of network.layers) {
    tf.tidy(() =>
      layer.setWeights(
        layer.getWeights().map(({ shape }) => {
          const scale = shape.length === 1 ? 0.1 : 5 / Math.sqrt(sizeOf(shape.slice(0, -1)));
          return tf.tensor(Float32Array.from({ length: sizeOf(shape) }, () => scale * (next() - 0.5)), shape);
        }),
      )
    );
  }
  const shape = [224, 224, 3];
  const noise = (): NdArray => ndarray(Float32Array.from({ length: sizeOf(shape) }, () => 2 * next() - 1), shape);
  const [input, fill] = [noise(), noise()];
  const down = positionsAlong(224, 32, 8);
  const boxes: Box[] = down.flatMap((rows) => down.map((columns) => [rows, columns] as const));
  const plan = makePlan(network, traceAnySize(network).outputs, { fold: true });
  const before = tf.memory().numTensors;
  const found: number[][] = [];
  const collect = (to: number[][]) => async ([output]: readonly Tensor[], which: readonly number[]) => {
    const rows = await output.array() as number[][];
    which.forEach((place, i) => to[place] = rows[i]);
  };
  // With an eighth of the filters, moving a number costs as much as an eighth of the multiply-adds.
  const work = await runChanges(tf, plan, { input, fill, boxes, batchSize: 16, costOfMoving: 60 / 8 }, collect(found));
  expect(work.full / work.done).toBeGreaterThan(5);
  const some = [0, 24, 312, 313, 600, 624];
  const wanted: number[][] = [];
  const whole = await runChanges(tf, plan, {
    input,
    fill,
    boxes: some.map((i) => boxes[i]),
    batchSize: 3,
    whole: true,
  }, collect(wanted));
  expect(whole.done).toBe(whole.full);
  expect(tf.memory().numTensors).toBe(before);
  const off = some.map((place, i) => wanted[i].map((value, k) => Math.abs(found[place][k] - value))).flat();
  expect(Math.max(...off)).toBeLessThan(1e-5);
  // They differ from place to place, so this is no empty comparison.
  expect(Math.max(...wanted[0].map((value, k) => Math.abs(value - wanted[2][k])))).toBeGreaterThan(1e-3);
  network.dispose();
});

describe("ResNet-50 on the dog", () => {
  longTest("the French bulldog hangs on its head, and not on the lawn", async () => {
    const model = await loadModel("resnet50");
    const result = await occlusion(model, await photo("dog"), { target: "French bulldog", size: 32, stride: 24 });
    expect(result.probability.shape).toEqual([9, 9]);
    expect(result.unoccluded).toBeGreaterThan(0.7);
    // Marked by hand on the photo of 224×224 pixels: [y0, x0, y1, x1].
    const [head, lawn] = [[10, 36, 106, 158], [100, 160, 224, 224]];
    const inside = ([y0, x0, y1, x1]: number[]) =>
      result.rows.filter(({ box }) => box[0] >= y0 && box[1] >= x0 && box[2] <= y1 && box[3] <= x1);
    expect(inside(head).length).toBeGreaterThan(5);
    expect(inside(lawn).length).toBeGreaterThan(3);
    expect(Math.min(...inside(head).map(({ probability }) => probability!))).toBeLessThan(result.unoccluded / 2);
    expect(Math.min(...inside(lawn).map(({ probability }) => probability!))).toBeGreaterThan(0.9 * result.unoccluded);
    expect(result.flops.full / result.flops.done).toBeGreaterThan(1.7);
    model.dispose();
  });
});
