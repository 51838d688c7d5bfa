import type { layers as tfLayers, SymbolicTensor, Tensor, Tensor4D } from "@tensorflow/tfjs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Box, reached, reachedCells, seen, seenPixels, type Window } from "../../lib/model/geometry.ts";
import { loadModel } from "../../lib/model/load.ts";
import { inputGradient } from "../../lib/probe/gradient.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { uniforms } from "../nets.ts";

const tf = await ensureBackend();

const windows = fc.record({
  kernel: fc.integer({ min: 1, max: 7 }),
  stride: fc.integer({ min: 1, max: 4 }),
  before: fc.integer({ min: -3, max: 3 }),
});

describe("along one axis", () => {
  test("what is reached is what sees it, cell by cell", () => {
    fc.assert(
      fc.property(
        windows,
        fc.nat(20),
        fc.nat(8),
        fc.integer({ min: 1, max: 12 }),
        (window: Window, start, size, length) => {
          const cells = Array.from({ length }, (_, cell) => cell).filter((cell) => {
            const [first, end] = seen(window, [cell, cell + 1]);
            return size > 0 && first < start + size && end > start;
          });
          const [from, to] = reached(window, [start, start + size], length);
          expect([to - from, cells.length ? from : 0]).toEqual([cells.length, cells[0] ?? 0]);
        },
      ),
      { seed: 1 },
    );
  });

  test("windows side by side see all that lies between", () => {
    fc.assert(
      fc.property(windows, fc.nat(9), fc.integer({ min: 1, max: 9 }), (window: Window, start, size) => {
        const [from, to] = seen(window, [start, start + size]);
        expect(from).toBe(seen(window, [start, start + 1])[0]);
        expect(to).toBe(seen(window, [start + size - 1, start + size])[1]);
      }),
      { seed: 2 },
    );
  });
});

/** The least box around what is not zero, of a map `[1, h, w, c]`. */
async function support(map: Tensor): Promise<Box | null> {
  const sums = tf.tidy(() => tf.sum(tf.abs(map as Tensor4D), [0, 3]));
  const rows = await sums.array() as number[][];
  sums.dispose();
  const filled = rows.flatMap((row, y) => row.flatMap((value, x) => value !== 0 ? [[y, x]] : []));
  if (filled.length === 0) return null;
  const axis = (a: 0 | 1) => {
    const at = filled.map((cell) => cell[a]);
    return [Math.min(...at), Math.max(...at) + 1] as const;
  };
  return [axis(0), axis(1)];
}

const POSITIVE = { kernelInitializer: "ones", useBias: false } as const;

/** A random net whose every weight counts; without holes, no window leaves out a cell between its first and its last. */
function randomNet(next: () => number, holes: boolean) {
  const pick = <T>(...choices: T[]): T => choices[Math.floor(next() * choices.length)];
  const padding = () => pick("same" as const, "valid" as const);
  const apply = (layer: tfLayers.Layer, ...inputs: SymbolicTensor[]) =>
    layer.apply(inputs.length === 1 ? inputs[0] : inputs) as SymbolicTensor;
  const strides = (kernel: number) => holes ? pick(1, 2, 3) : pick(1, Math.min(2, kernel));
  const input = tf.input({ shape: [20 + Math.floor(next() * 8), 20 + Math.floor(next() * 8), 1] });
  const conv = (x: SymbolicTensor) => {
    const kernelSize = pick(1, 2, 3, 5);
    const dilated = holes && next() < 0.3;
    const window = dilated ? { dilationRate: 2 } : { strides: strides(kernelSize) };
    return apply(tf.layers.conv2d({ filters: 1, kernelSize, padding: padding(), ...window, ...POSITIVE }), x);
  };
  const pool = (x: SymbolicTensor) => {
    const poolSize = pick(2, 3);
    return apply(tf.layers.averagePooling2d({ poolSize, strides: strides(poolSize), padding: padding() }), x);
  };
  const pad = (x: SymbolicTensor) => apply(tf.layers.zeroPadding2d({ padding: [[1, 0], [0, 2]] }), x);
  const crop = (x: SymbolicTensor) => apply(tf.layers.cropping2D({ cropping: [[1, 0], [0, 2]] }), x);
  const branch = (x: SymbolicTensor) =>
    apply(
      tf.layers.add(),
      x,
      apply(
        tf.layers.depthwiseConv2d({ kernelSize: 3, padding: "same", depthwiseInitializer: "ones", useBias: false }),
        x,
      ),
    );
  let x: SymbolicTensor = input;
  for (let i = 0; i < 4; i++) {
    x = x.shape[1]! < 7 || x.shape[2]! < 7 ? branch(x) : pick(conv, conv, pool, pad, crop, branch)(x);
  }
  const network = tf.model({ inputs: input, outputs: x });
  return { network, sides: [input.shape[1]!, input.shape[2]!, x.shape[1]!, x.shape[2]!] };
}

const within = (inner: Box | null, outer: Box | null) =>
  inner === null || (outer !== null && inner.every(([start, end], i) => start >= outer[i][0] && end <= outer[i][1]));

/** A box with at least one cell in a map. */
function someBox(height: number, width: number, next: () => number): Box {
  const axis = (side: number) => {
    const start = Math.floor(next() * side);
    return [start, start + 1 + Math.floor(next() * (side - start))] as const;
  };
  return [axis(height), axis(width)];
}

const mask = (height: number, width: number, [[top, bottom], [left, right]]: Box) =>
  tf.tensor4d(
    Array.from({ length: height * width }, (_, i) => {
      const [y, x] = [Math.floor(i / width), i % width];
      return Number(y >= top && y < bottom && x >= left && x < right);
    }),
    [1, height, width, 1],
  );

test.each([true, false])("the boxes are the support of outputs and gradients (holes: %s)", async (holes) => {
  await fc.assert(
    fc.asyncProperty(fc.nat(1e6), async (seed) => {
      const next = uniforms(seed);
      const { network, sides: [height, width, rows, columns] } = randomNet(next, holes);
      const model = await loadModel(network, { preprocess: "none" });
      const last = model.layers.at(-1)!.name;

      const box = someBox(height, width, next);
      const pixels = mask(height, width, box);
      const changed = tf.tidy(() => network.predict(pixels) as Tensor);
      const cells = reachedCells(network, last, box);
      const found = await support(changed);

      const asked = someBox(rows, columns, next);
      const chosen = mask(rows, columns, asked);
      const { value, gradient } = inputGradient(
        tf,
        (x) => tf.sum(tf.mul(network.apply(x) as Tensor, chosen)),
        tf.zerosLike(pixels),
      );
      const sees = seenPixels(network, last, asked);
      const supported = await support(gradient);

      if (holes) expect([within(found, cells), within(supported, sees)]).toEqual([true, true]);
      else expect([found, supported]).toEqual([cells, sees]);
      tf.dispose([pixels, changed, chosen, value, gradient]);
      model.dispose();
    }),
    { numRuns: 40, seed: 3 },
  );
});

describe("ResNet-50", () => {
  test("a square of 32 pixels, and what a cell of the last maps sees", async () => {
    const model = await loadModel("resnet50");
    const { network } = model;
    const box: Box = [[96, 128], [0, 32]];
    // 7×7 windows, 2 pixels apart, 3 pixels of padding; then 3×3, 2 apart.
    expect(reachedCells(network, "conv1", box)).toEqual([[47, 66], [0, 18]]);
    expect(reachedCells(network, "activation_48", box)).toEqual([[0, 7], [0, 7]]);
    expect(seenPixels(network, "conv1", [[10, 12], [0, 1]])).toEqual([[17, 26], [0, 4]]);
    expect(seenPixels(network, "activation_48", [[3, 4], [3, 4]])).toEqual([[0, 224], [0, 224]]);
    expect(() => reachedCells(network, "fc1000", box)).toThrow('Layer "fc1000" puts out [1000]; wanted maps');
    model.dispose();
  });
});

test("where places mean nothing, everything is reached and seen", () => {
  const input = tf.input({ shape: [8, 8, 2] });
  const gate = tf.layers.reshape({ targetShape: [1, 1, 2] }).apply(
    tf.layers.dense({ units: 2 }).apply(
      tf.layers.globalAveragePooling2d({}).apply(input) as SymbolicTensor,
    ) as SymbolicTensor,
  );
  const gated = tf.layers.multiply().apply([input, gate] as SymbolicTensor[]);
  const network = tf.model({ inputs: input, outputs: gated as SymbolicTensor });
  const [first, last] = [network.layers[0].name, network.layers.at(-1)!.name];
  expect(reachedCells(network, last, [[0, 1], [0, 1]])).toEqual([[0, 8], [0, 8]]);
  expect(seenPixels(network, last, [[0, 1], [0, 1]])).toEqual([[0, 8], [0, 8]]);
  expect(reachedCells(network, first, [[-3, 2], [7, 12]])).toEqual([[0, 2], [7, 8]]);
  expect(reachedCells(network, first, [[-3, 0], [7, 12]])).toBeNull();
  network.dispose();
});
