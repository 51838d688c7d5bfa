import type { layers as tfLayers } from "@tensorflow/tfjs";
import { describe, expect, test } from "vitest";
import { loadModel } from "../../lib/model/load.ts";
import { receptiveFields } from "../../lib/model/receptive_field.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";

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
