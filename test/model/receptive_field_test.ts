import type { layers as tfLayers } from "@tensorflow/tfjs";
import { describe, expect, test } from "vitest";
import * as branched from "../../lib/model/architectures/branched.ts";
import * as builders from "../../lib/model/architectures/builders.ts";
import { smallZfnet, zfnet } from "../../lib/model/architectures/zfnet.ts";
import { loadModel } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import { receptiveFields } from "../../lib/model/receptive_field.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { longDescribe } from "../long.ts";
import { confirm, counting, isWithin } from "./support.ts";

const tf = await ensureBackend();

const conv = (name: string, kernelSize: number, strides: number, padding: "same" | "valid", filters = 1) =>
  tf.layers.conv2d({ name, kernelSize, strides, padding, filters });
const pool = (name: string, poolSize: number, strides: number) => tf.layers.maxPooling2d({ name, poolSize, strides });

function fieldsOf(side: number, stack: tfLayers.Layer[]) {
  const input = tf.input({ shape: [side, side, 3] });
  let output = input;
  for (const layer of stack) output = layer.apply(output) as typeof input;
  const net = tf.model({ inputs: input, outputs: output });
  const fields = receptiveFields(net);
  net.dispose();
  return fields;
}

describe("against the receptive_field tool of Google Research", () => {
  test("AlexNet", () => {
    // Its convolutions 2 to 5 keep their size by explicit padding of (k − 1) / 2.
    const fields = fieldsOf(227, [
      conv("conv1", 11, 4, "valid"),
      pool("pool1", 3, 2),
      conv("conv2", 5, 1, "same"),
      pool("pool2", 3, 2),
      conv("conv3", 3, 1, "same"),
      conv("conv4", 3, 1, "same"),
      conv("conv5", 3, 1, "same"),
      pool("pool5", 3, 2),
    ]);
    const wanted: Record<string, [size: number, stride: number, padding: number]> = {
      conv1: [11, 4, 0],
      pool1: [19, 8, 0],
      conv2: [51, 8, 16],
      conv3: [99, 16, 32],
      conv4: [131, 16, 48],
      conv5: [163, 16, 64],
      pool5: [195, 32, 64],
    };
    for (const [name, [size, stride, padding]] of Object.entries(wanted)) {
      expect(fields.get(name), name).toEqual({ size, stride, offset: 0 - padding, exact: true });
    }
  });

  test("VGG-16", () => {
    const stack: tfLayers.Layer[] = [];
    [2, 2, 3, 3, 3].forEach((convolutions, block) => {
      for (let i = 1; i <= convolutions; i++) stack.push(conv(`conv${block + 1}_${i}`, 3, 1, "same"));
      stack.push(pool(`pool${block + 1}`, 2, 2));
    });
    const fields = fieldsOf(224, stack);
    expect(fields.get("pool5")).toEqual({ size: 212, stride: 32, offset: -90, exact: true });
    expect(["conv5_3", "conv4_3", "conv3_3"].map((name) => fields.get(name)!.size)).toEqual([196, 92, 40]);
  });

  test("ResNet-50", async () => {
    const model = await loadModel("resnet50");
    // The tool's network pads its first pooling behind only (239); this one pads it on both sides, by one cell of 2.
    expect(model.layer("activation_48").receptiveField).toEqual({ size: 483, stride: 32, offset: -241, exact: true });
    expect(model.layer("fc1000").receptiveField).toBeNull();
    model.dispose();
  });
});

test("a field is what a cell answers to, where nothing is padded", async () => {
  const side = 40;
  const input = tf.input({ shape: [side, side, 1] });
  const ones = { kernelInitializer: "ones", useBias: false, padding: "valid" } as const;
  const dilated = tf.layers.conv2d({ filters: 1, kernelSize: 3, dilationRate: 2, ...ones }).apply(input);
  const strided = tf.layers.depthwiseConv2d({ kernelSize: 4, strides: 3, depthwiseInitializer: "ones" }).apply(dilated);
  const output = tf.layers.averagePooling2d({ name: "last", poolSize: 2, strides: 1 }).apply(strided);
  const net = tf.model({ inputs: input, outputs: output as typeof input });
  const { size, stride, offset, exact } = receptiveFields(net).get("last")!;
  expect(exact).toBe(true);
  // One column of pixels at a time: which of them does a cell answer to?
  const answer = tf.tidy(() => {
    const pixels = tf.eye(side).reshape([side, 1, side, 1]).tile([1, side, 1, 1]);
    return net.predict(pixels) as ReturnType<typeof tf.tensor>;
  });
  const answers = await answer.array() as number[][][][];
  answer.dispose();
  for (const cell of [0, 3]) {
    const seen = answers.flatMap((map, column) => map[0][cell][0] !== 0 ? [column] : []);
    const first = offset + cell * stride;
    expect([seen[0], seen.at(-1)! - seen[0] + 1]).toEqual([first, size]);
  }
  net.dispose();
});

test("branches that meet give their union, and a bound where their grids differ", () => {
  const input = tf.input({ shape: [32, 32, 1] });
  const narrow = conv("narrow", 1, 2, "same").apply(input);
  const wide = conv("wide", 5, 2, "same").apply(input);
  const sum = tf.layers.add({ name: "sum" }).apply([narrow, wide] as never);
  const net = tf.model({ inputs: input, outputs: sum as typeof input });
  // "same" with an even side pads one pixel before and two behind.
  expect(receptiveFields(net).get("sum")).toEqual({ size: 5, stride: 2, offset: -1, exact: true });
  net.dispose();
});

test("behind layers that enlarge maps it is a bound, with its reason, until they are as they were", () => {
  const fields = fieldsOf(8, [
    tf.layers.upSampling2d({ name: "up" }),
    conv("after", 3, 1, "same"),
    pool("pool", 2, 2),
    tf.layers.globalAveragePooling2d({ name: "mean" }) as tfLayers.Layer,
  ]);
  const reason = "maps are enlarged on the way: what a cell sees repeats every 2 cells";
  expect(fields.get("up")).toEqual({ size: 2, stride: 0.5, offset: -1, exact: false, reason });
  expect(fields.get("after")).toEqual({ size: 3, stride: 0.5, offset: -1, exact: false, reason });
  expect(fields.get("pool")).toEqual({ size: 3, stride: 1, offset: -1, exact: true });
  // Numbers of no place.
  expect(fields.get("mean")).toBeNull();
});

test("sides that differ are told one by one, within a square that holds both", () => {
  const fields = fieldsOf(20, [
    tf.layers.conv2d({ name: "flat", kernelSize: [1, 7], strides: [1, 2], padding: "same", filters: 1 }),
    tf.layers.permute({ name: "turned", dims: [2, 1, 3] }),
    conv("after", 3, 1, "same"),
  ]);
  const [rows, columns] = [{ size: 1, stride: 1, offset: 0 }, { size: 7, stride: 2, offset: -2 }];
  const axes = [{ ...rows, exact: true }, { ...columns, exact: true }];
  // The square of row 19 has moved by 38 pixels, what the row sees by 19.
  const square = { size: 24, stride: 2, offset: -19, exact: false };
  expect(fields.get("flat")).toEqual({ ...square, reason: "its sides differ: 1 × 7 / 1 × 2", axes });
  // The columns of the image run down the turned maps: the sides are the image's all the same.
  expect(fields.get("turned")!.axes).toEqual(axes);
  expect(fields.get("after")!.axes).toEqual([
    { size: 3, stride: 1, offset: -1, exact: true },
    { size: 11, stride: 2, offset: -4, exact: true },
  ]);
});

test("where each cell sees everything, that is the image; what is not known is said", () => {
  const input = tf.input({ shape: [16, 12, 2] });
  const apply = (layer: tfLayers.Layer, ...from: unknown[]) =>
    layer.apply((from.length > 1 ? from : from[0]) as typeof input) as typeof input;
  const mean = apply(tf.layers.reshape({ targetShape: [1, 1, 2] }), apply(tf.layers.globalAveragePooling2d({}), input));
  const gated = apply(tf.layers.multiply({ name: "gated" }), input, mean);
  const rows = apply(tf.layers.reshape({ name: "tokens", targetShape: [192, 2] }), gated);
  const net = tf.model({ inputs: input, outputs: [gated, rows] });
  const fields = receptiveFields(net);
  const [down, across] = [16, 12].map((size) => ({ size, stride: 0, offset: 0, exact: true }));
  expect(fields.get("gated")!.axes).toEqual([down, across]);
  expect(fields.get("tokens")!.axes).toEqual([down, across]);
  const free = tf.input({ shape: [null, null, 2] });
  const normalized = tf.layers.softmax({ name: "over", axis: 1 }).apply(free) as typeof input;
  const over = receptiveFields(tf.model({ inputs: free, outputs: normalized })).get("over")!;
  expect(over).toMatchObject({ size: Infinity, stride: 0, exact: false });
  expect(over.axes![1]).toEqual({ size: 1, stride: 1, offset: 0, exact: true });
  expect(over.reason).toBe("each cell sees the whole image, which may have any size");
  net.dispose();
});

test("along a line, causal and dilated, and in a volume", () => {
  const line = tf.sequential({
    layers: [
      tf.layers.conv1d({ name: "a", inputShape: [50, 2], kernelSize: 3, strides: 2, padding: "same", filters: 1 }),
      tf.layers.conv1d({ name: "b", kernelSize: 4, dilationRate: 3, padding: "causal", filters: 1 }),
    ],
  });
  expect(receptiveFields(line).get("b")).toEqual({ size: 21, stride: 2, offset: -18, exact: true });
  const volume = tf.sequential({
    layers: [
      tf.layers.conv3d({ name: "a", inputShape: [9, 9, 9, 1], kernelSize: 3, padding: "same", filters: 1 }),
      tf.layers.maxPooling3d({ name: "b", poolSize: 2, strides: 2 }),
    ],
  });
  expect(receptiveFields(volume).get("b")).toEqual({ size: 4, stride: 2, offset: -1, exact: true });
  tf.dispose([...line.weights, ...volume.weights].map((weight) => weight.read()));
});

longDescribe("confirmed by the support of the gradient", () => {
  const all = { ...builders, ...branched, smallZfnet, zfnet } as unknown as Record<string, () => Promise<Model>>;
  // Those that are quick to make; the others have the same kinds of layers.
  const names = ["tinyVgg", "catsVsDogsConvnet", "smallZfnet", "squeezenet", "googlenet"];
  test.each(names)("at layers of %s", async (name) => {
    const model = await all[name]();
    const maps = model.layers.filter(({ outputShape }) => outputShape.length === 3);
    const ends = maps.map(({ name }) => model.network.getLayer(name).getOutputAt(0) as ReturnType<typeof tf.input>);
    const copy = await counting(model.network, ends, 2);
    let exact = 0;
    for await (
      const found of confirm(copy, model.inputShape as number[], (layer) => model.layer(layer).receptiveField, 5)
    ) {
      const { layer, cell, field, square, support } = found;
      const what = `${name}, ${layer}, cell ${cell}: the table tells ${square}, the gradient ${support}`;
      // A cell of the padding alone.
      if (!support) continue;
      expect(isWithin(support, square), what).toBe(true);
      const inside = square.every(([start, end], i) => start >= 0 && end <= model.inputShape[i]!);
      if (!field.exact || !inside) continue;
      expect(square, what).toEqual(support);
      exact++;
    }
    expect(exact).toBeGreaterThan(1);
    copy.dispose();
    model.dispose();
  }, 120_000);
});
