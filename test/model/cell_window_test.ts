/** What a cell of a part of an image computes, against the same cell in the whole image: values and gradients. */

import type { layers as tfLayers, SymbolicTensor, Tensor, Tensor4D } from "@tensorflow/tfjs";
import { expect, test } from "vitest";
import { loadModel, type Model } from "../../mod.ts";
import { cellWindow } from "../../lib/model/cell_window.ts";
import { makePlan, withPlan } from "../../lib/probe/plan.ts";
import { inputGradient } from "../../lib/probe/gradient.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { long } from "../long.ts";
import { uniforms } from "../nets.ts";

const tf = await ensureBackend();

/** A network of some layers that work through windows, with branches that meet; its last layer is called "last". */
function drawn(seed: number): { network: ReturnType<typeof tf.model>; size: [number, number] } {
  const random = uniforms(seed);
  const int = (from: number, to: number) => from + Math.floor(random() * (to - from + 1));
  const pick = <T>(values: readonly T[]): T => values[int(0, values.length - 1)];
  const size: [number, number] = [int(30, 50), int(30, 50)];
  const kernelInitializer = () => tf.initializers.glorotUniform({ seed: int(1, 1e6) });
  const conv = (strides: number, padding: "same" | "valid", more: object = {}) =>
    tf.layers.conv2d({
      filters: 3,
      kernelSize: [int(1, 3), int(1, 3)],
      strides,
      padding,
      activation: pick(["relu", "tanh"] as const),
      kernelInitializer: kernelInitializer(),
      biasInitializer: tf.initializers.randomUniform({ minval: -0.2, maxval: 0.2, seed: int(1, 1e6) }),
      ...more,
    });
  const padding = () => pick(["same", "valid"] as const);
  const kinds: (() => tfLayers.Layer)[] = [
    () => conv(int(1, 3), padding()),
    () => conv(1, padding(), { dilationRate: 2 }),
    () => tf.layers.maxPooling2d({ poolSize: int(2, 3), strides: 2, padding: padding() }),
    () => tf.layers.averagePooling2d({ poolSize: int(2, 3), strides: int(1, 2), padding: padding() }),
    () => tf.layers.zeroPadding2d({ padding: [[int(0, 2), 1], [1, int(0, 2)]] }),
    () => tf.layers.cropping2D({ cropping: [[1, int(0, 1)], [int(0, 1), 1]] } as never),
    () => tf.layers.upSampling2d({ size: [2, 2], interpolation: pick(["nearest", "bilinear"] as const) }),
    () => tf.layers.batchNormalization({}),
    () =>
      tf.layers.conv2dTranspose({
        filters: 3,
        kernelSize: int(2, 3),
        strides: 2,
        padding: padding(),
        kernelInitializer: kernelInitializer(),
      }),
  ];
  const input = tf.input({ shape: [...size, 3] });
  let x: SymbolicTensor = input;
  for (let i = 0; i < int(2, 4); i++) {
    const next = pick(kinds)().apply(x) as SymbolicTensor;
    if (next.shape.slice(1, 3).some((side) => side! < 3)) break;
    x = next;
    if (random() < 0.4) {
      const branch = conv(1, "same", { filters: x.shape[3] }).apply(x) as SymbolicTensor;
      x = tf.layers.add({}).apply([x, branch]) as SymbolicTensor;
    }
  }
  return { network: tf.model({ inputs: input, outputs: conv(1, "same", { name: "last" }).apply(x) as never }), size };
}

/** The values of a cell's channels and the gradient of their weighted sum. */
async function ofCell(model: Model, layer: string, [y, x]: readonly number[], image: Tensor) {
  const plan = makePlan(model.network, [model.entry(layer).use], { fold: true, sums: true });
  const values = (maps: Tensor) => tf.reshape(tf.slice(maps as Tensor4D, [0, y, x, 0], [1, 1, 1, -1]), [-1]);
  const [own, gradient] = withPlan(tf, plan, (f) => {
    const { value, gradient } = inputGradient(
      tf,
      (image) => {
        const own = values(f(image)[0]);
        return tf.sum(tf.mul(own, tf.range(1, own.size + 1)));
      },
      image,
    );
    value.dispose();
    return [tf.tidy(() => values(f(image)[0])), gradient];
  });
  const found = { values: await own.data(), gradient: await gradient.data() };
  tf.dispose([own, gradient]);
  return found;
}

const largest = (values: ArrayLike<number>) =>
  Array.from(values).reduce((most, value) => Math.max(most, Math.abs(value)), 0);

/** Compares a cell in the part that it sees with itself in the whole image; how many pixels the part has, if it is one. */
async function compare(model: Model, layer: string, cell: [number, number], shape: number[], what: string, margin = 0) {
  const window = cellWindow(model.network, layer, cell, shape, { margin });
  if (!window) return null;
  const random = uniforms(7);
  const data = Float32Array.from({ length: shape[0] * shape[1] * 3 }, () => 2 * random() - 1);
  const image = tf.tensor(data, [1, ...shape]);
  const part = tf.slice(image as Tensor4D, [0, ...window.origin, 0], [1, ...window.sides as [number, number, number]]);
  const [whole, own] = [await ofCell(model, layer, cell, image), await ofCell(model, layer, window.cell, part)];
  tf.dispose([image, part]);
  const scale = largest(whole.values) + 1e-6;
  whole.values.forEach((value, i) => expect(Math.abs(value - own.values[i]) / scale, what).toBeLessThan(1e-4));
  // The gradient is the part's there, and 0 elsewhere.
  const [, width] = shape;
  const [top, left] = window.origin;
  const [rows, columns] = window.sides;
  const most = largest(whole.gradient) + 1e-6;
  whole.gradient.forEach((value, i) => {
    const [y, x] = [Math.floor(i / 3 / width) - top, Math.floor(i / 3) % width - left];
    const inside = y >= 0 && y < rows && x >= 0 && x < columns;
    const other = inside ? own.gradient[(y * columns + x) * 3 + i % 3] : 0;
    if (Math.abs(value - other) / most > 1e-4) throw new Error(`${what}: gradient ${value} at ${[y, x]}, not ${other}`);
  });
  return rows * columns;
}

test("networks drawn at random: any cell has its value and its gradient in the part that it sees", async () => {
  let parts = 0;
  for (let seed = 1; seed <= long(60, 10); seed++) {
    const { network, size } = drawn(seed);
    const model = await loadModel(network, { preprocess: "none", output: "map" });
    const random = uniforms(seed + 1000);
    const maps = model.shapeOf("last") as number[];
    const middle = [0, 1].map((axis) => Math.floor(maps[axis] / 2)) as [number, number];
    const any = [0, 1].map((axis) => Math.floor(random() * maps[axis])) as [number, number];
    for (const cell of [middle, any]) {
      const found = await compare(model, "last", cell, [...size, 3], `seed ${seed}, cell ${cell}`, seed % 3);
      if (found !== null) parts++;
    }
    network.dispose();
  }
  // Most see a part only: the test must not be about nothing.
  expect(parts).toBeGreaterThan(long(60, 10));
});

test("cifar-convnet: units of early layers see a few of its 1024 pixels, and no more than the table of layers says", async () => {
  const model = await loadModel("cifar-convnet");
  const sees = async (layer: string, cell: [number, number]) => await compare(model, layer, cell, [32, 32, 3], layer);
  expect(await sees("conv1", [16, 16])).toBe(25);
  expect(await sees("conv2_1", [8, 8])).toBe(100);
  expect(await sees("conv2_2", [0, 15])).toBe(64);
  expect(await sees("conv4", [2, 2])).toBeNull();
  expect(cellWindow(model.network, "conv1", [16, 16], [32, 32, 3], { least: 16 })?.sides).toEqual([17, 17, 3]);
});

test("what is not read through windows alike everywhere has no part", () => {
  const through = (...stack: tfLayers.Layer[]) => {
    const network = tf.sequential({ layers: [tf.layers.inputLayer({ inputShape: [32, 32, 3] }), ...stack] });
    const { name } = network.layers.at(-1)!;
    const [, height, width] = network.outputs[0].shape as number[];
    return cellWindow(network, name, [Math.floor(height / 2), Math.floor(width / 2)], [32, 32, 3]);
  };
  const conv = () => tf.layers.conv2d({ filters: 2, kernelSize: 3, kernelInitializer: "ones" });
  expect(through(conv())).not.toBeNull();
  expect(through(tf.layers.prelu({}), conv())).toBeNull();
  expect(through(tf.layers.batchNormalization({ axis: 1 }), conv())).toBeNull();
  expect(through(tf.layers.layerNormalization({ axis: [1, 2, 3] }), conv())).toBeNull();
  expect(through(tf.layers.resizing({ height: 20, width: 20 }), conv())).toBeNull();
  expect(through(tf.layers.permute({ dims: [2, 1, 3] }), conv())).toBeNull();
});
