import type { layers as tfLayers, SymbolicTensor, Tensor } from "@tensorflow/tfjs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { traceAnySize } from "../../../lib/model/graph.ts";
import { type NdArray, ndarray, sizeOf } from "../../../lib/array.ts";
import type { Box } from "../../../lib/model/geometry.ts";
import { loadModel } from "../../../lib/model/load.ts";
import type { Model } from "../../../lib/model/model.ts";
import { classesOf, runChanges } from "../../../lib/probe/occlusion/incremental.ts";
import { makePlan } from "../../../lib/probe/plan.ts";
import { ensureBackend } from "../../../lib/runtime/backend.ts";
import { uniforms } from "../../nets.ts";
import { SLOW } from "../../backends.ts";
import { long } from "../../long.ts";

const tf = await ensureBackend();

const noise = (shape: readonly number[], next: () => number): NdArray =>
  ndarray(Array.from({ length: sizeOf(shape) }, () => 2 * next() - 1), shape);

/** Fills all weights with numbers that keep the outputs apart. */
function shuffle(model: Model, next: () => number): void {
  for (const layer of model.network.layers) {
    tf.tidy(() =>
      layer.setWeights(layer.weights.map(({ shape, originalName }) => {
        const fanIn = sizeOf(shape.slice(0, -1) as number[]) || 1;
        const scale = /kernel/.test(originalName) ? 5 / Math.sqrt(fanIn) : 1;
        const values = Array.from({ length: sizeOf(shape as number[]) }, () => scale * (next() - 0.5));
        const positive = /variance|gamma/.test(originalName);
        return tf.tensor(positive ? values.map((v) => v + 1) : values, shape as number[]);
      }))
    );
  }
}

/** What the network itself puts out for the image with a box filled. */
async function naive(model: Model, input: NdArray, fill: NdArray, boxes: readonly Box[]): Promise<number[][]> {
  const [, width, channels] = input.shape;
  const rows: number[][] = [];
  for (const [[top, bottom], [left, right]] of boxes) {
    const data = input.data.map((value, i) => {
      const [y, x] = [Math.floor(i / (width * channels)), Math.floor(i / channels) % width];
      return y >= top && y < bottom && x >= left && x < right ? fill.data[i] : value;
    });
    const output = tf.tidy(() => model.network.predict(tf.tensor(data, [1, ...input.shape])) as Tensor);
    rows.push([...await output.data()]);
    output.dispose();
  }
  return rows;
}

interface Run {
  model: Model;
  input: NdArray;
  fill: NdArray;
  boxes: Box[];
  fold?: boolean;
  whole?: boolean;
  batchSize?: number;
  costOfMoving?: number;
}

/** The same by what the boxes change. */
async function incremental({ model, fold = true, batchSize = 4, ...options }: Run) {
  const plan = makePlan(model.network, traceAnySize(model.network).outputs, { fold });
  const found: number[][] = [];
  const work = await runChanges(tf, plan, { ...options, batchSize }, async ([output], which) => {
    const rows = await output.array() as number[][];
    which.forEach((place, i) => found[place] = [rows[i]].flat(Infinity as 1) as number[]);
  });
  return { found, work };
}

function worst(found: number[][], wanted: number[][]): number {
  expect(found.map((row) => row.length)).toEqual(wanted.map((row) => row.length));
  return found.reduce(
    (most, row, i) => row.reduce((m, value, k) => Math.max(m, Math.abs(value - wanted[i][k])), most),
    0,
  );
}

/** Boxes of any size, some of which hang over the edges. */
function someBoxes(height: number, width: number, count: number, next: () => number): Box[] {
  return Array.from({ length: count }, () => {
    const axis = (side: number) => {
      const size = 1 + Math.floor(next() * side * 0.6);
      const start = Math.floor(next() * (side + size - 1)) - size + 1;
      return [start, start + size] as const;
    };
    return [axis(height), axis(width)];
  });
}

/** A random net: convolutions, poolings, padding, branches that meet again, and a head. */
function randomNet(next: () => number): { input: SymbolicTensor; output: SymbolicTensor } {
  const pick = <T>(...choices: T[]): T => choices[Math.floor(next() * choices.length)];
  const apply = (layer: tfLayers.Layer, ...inputs: SymbolicTensor[]) =>
    layer.apply(inputs.length === 1 ? inputs[0] : inputs) as SymbolicTensor;
  const padding = () => pick("same" as const, "valid" as const);
  const input = tf.input({ shape: [16 + Math.floor(next() * 12), 16 + Math.floor(next() * 12), 3] });

  function convolution(x: SymbolicTensor, same = false): SymbolicTensor {
    const dilated = next() < 0.25;
    const pad = same ? "same" : padding();
    let y = apply(
      tf.layers.conv2d({
        filters: same ? x.shape[3]! : pick(2, 4, 5),
        kernelSize: pick<number | [number, number]>(1, 2, 3, [3, 1], 5),
        strides: dilated || same ? 1 : pick<number | [number, number]>(1, 1, 2, [2, 1], 3),
        dilationRate: dilated ? 2 : 1,
        padding: pad,
        activation: pick("linear", "relu", "tanh"),
      }),
      x,
    );
    if (next() < 0.4) y = apply(tf.layers.batchNormalization(), y);
    if (next() < 0.5) {
      y = apply(
        pick<() => tfLayers.Layer>(
          () => tf.layers.reLU(),
          () => tf.layers.prelu({ sharedAxes: [1, 2] }),
          () => tf.layers.prelu(),
        )(),
        y,
      );
    }
    return y;
  }
  const kinds: Record<string, (x: SymbolicTensor) => SymbolicTensor> = {
    convolution: (x) => convolution(x),
    depthwise: (x) =>
      apply(
        tf.layers.depthwiseConv2d({ kernelSize: 3, strides: pick(1, 2), padding: padding(), depthMultiplier: 2 }),
        x,
      ),
    separable: (x) => apply(tf.layers.separableConv2d({ filters: 3, kernelSize: 3, padding: padding() }), x),
    maxPool: (x) => apply(tf.layers.maxPooling2d({ poolSize: pick(2, 3), strides: pick(1, 2), padding: padding() }), x),
    averagePool: (x) =>
      apply(tf.layers.averagePooling2d({ poolSize: pick(2, 3), strides: pick(1, 2), padding: padding() }), x),
    zeroPadding: (x) => apply(tf.layers.zeroPadding2d({ padding: pick([[2, 0], [1, 3]], [[0, 1], [0, 1]]) }), x),
    cropping: (x) => apply(tf.layers.cropping2D({ cropping: pick([[1, 0], [0, 2]], [[0, 1], [0, 2]]) }), x),
    nested: (x) => {
      const inside = tf.input({ shape: x.shape.slice(1) });
      const model = tf.model({ inputs: inside, outputs: convolution(convolution(inside, true), true) });
      return apply(model, apply(model, x));
    },
    residual: (x) =>
      apply(pick<tfLayers.Layer>(tf.layers.add(), tf.layers.maximum()), x, convolution(convolution(x, true), true)),
    concatenate: (x) => apply(tf.layers.concatenate(), convolution(x, true), x),
    dropout: (x) => apply(tf.layers.dropout({ rate: 0.5 }), x),
    squeeze: (x) => {
      const mean = apply(tf.layers.globalAveragePooling2d({}), x);
      const gate = apply(tf.layers.dense({ units: x.shape[3]!, activation: "sigmoid" }), mean);
      return apply(tf.layers.multiply(), x, apply(tf.layers.reshape({ targetShape: [1, 1, x.shape[3]!] }), gate));
    },
  };
  let x: SymbolicTensor = input;
  const depth = 3 + Math.floor(next() * 5);
  for (let i = 0; i < depth; i++) {
    const small = Math.min(x.shape[1]!, x.shape[2]!) < 6;
    const kind = small
      ? pick("residual", "concatenate", "zeroPadding")
      : pick(...Object.keys(kinds), "convolution", "residual");
    x = kinds[kind](x);
  }
  x = apply(next() < 0.4 ? tf.layers.globalAveragePooling2d({}) as tfLayers.Layer : tf.layers.flatten(), x);
  return { input, output: apply(tf.layers.dense({ units: 5, activation: "softmax" }), x) };
}

const NETS = long(SLOW ? 20 : 60, 15);

describe("what boxes change equals what the network itself puts out", () => {
  test(`on ${NETS} random nets, in fewer multiply-adds`, async () => {
    let saved = 0;
    let moved = 0;
    await fc.assert(
      fc.asyncProperty(fc.nat(1e6), fc.boolean(), async (seed, fold) => {
        const next = uniforms(seed);
        const net = randomNet(next);
        const model = await loadModel(tf.model({ inputs: net.input, outputs: net.output }), { preprocess: "none" });
        shuffle(model, next);
        const shape = model.inputShape as number[];
        const [input, fill] = [noise(shape, next), noise(shape, next)];
        const boxes = someBoxes(shape[0], shape[1], 7, next);
        const before = tf.memory().numTensors;
        const wanted = await naive(model, input, fill, boxes);
        // Once by its own choice, once with patches wherever they save anything.
        for (const costOfMoving of [undefined, 0]) {
          const { found, work } = await incremental({ model, input, fill, boxes, fold, costOfMoving });
          expect(tf.memory().numTensors).toBe(before);
          expect(worst(found, wanted)).toBeLessThan(1e-5);
          expect(work.done).toBeLessThanOrEqual(work.full);
          if (work.done < 0.6 * work.full) saved++;
        }
        if (worst(wanted, wanted.map(() => wanted[0])) > 1e-3) moved++;
        model.dispose();
      }),
      { numRuns: NETS, seed: 6 },
    );
    expect(saved).toBeGreaterThan(NETS / 2);
    expect(moved).toBeGreaterThan(NETS * 2 / 3);
  });
});

test("the layers of a model that stands in another one are computed on patches, too", async () => {
  const inner = tf.sequential({
    layers: [
      tf.layers.conv2d({ inputShape: [6, 6, 2], filters: 4, kernelSize: 3 }),
      tf.layers.globalAveragePooling2d({}) as tfLayers.Layer,
    ],
  });
  const net = tf.sequential({
    layers: [
      tf.layers.conv2d({ inputShape: [8, 8, 3], filters: 2, kernelSize: 3 }),
      inner,
      tf.layers.dense({ units: 5, activation: "softmax" }),
    ],
  });
  const next = uniforms(9);
  const model = await loadModel(net, { preprocess: "none" });
  for (const layer of [...net.layers, ...inner.layers]) {
    tf.tidy(() => layer.setWeights(layer.getWeights().map(({ shape }) => tf.tensor(noise(shape, next).data, shape))));
  }
  const [input, fill] = [noise([8, 8, 3], next), noise([8, 8, 3], next)];
  const boxes: Box[] = [[[0, 2], [0, 2]], [[3, 6], [5, 9]]];
  const { found, work } = await incremental({ model, input, fill, boxes, costOfMoving: 0 });
  expect(worst(found, await naive(model, input, fill, boxes))).toBeLessThan(1e-5);
  // 36 cells of 3·3·3·2, 16 cells of 3·3·2·4, then 4·5; the boxes reach at most 5×3 cells of the first, 4×3 of the second.
  expect(work.full).toBe(3 * (36 * 54 + 16 * 72 + 20));
  expect(work.done).toBe(work.full / 3 + 2 * (15 * 54 + 12 * 72 + 20));
  model.dispose();
});

test("classes keep like with like", () => {
  expect(classesOf([1, 9, 2, 8, 1, 9], 2)).toEqual([0, 1, 0, 1, 0, 1]);
  expect(classesOf([5, 5, 5], 3)).toEqual([0, 0, 0]);
  expect(new Set(classesOf([1, 2, 3, 4], 4)).size).toBe(4);
  expect(classesOf([7], 3)).toEqual([0]);
});
