import fc from "fast-check";
import type { layers as tfLayers, LayersModel, SymbolicTensor, Tensor } from "@tensorflow/tfjs";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { ndarray, sizeOf } from "../../../lib/array.ts";
import { loadModel } from "../../../lib/model/load.ts";
import { type Deconvolution, deconvolve } from "../../../lib/probe/attribution/deconvnet.ts";
import { inputGradient } from "../../../lib/probe/gradient.ts";
import { ensureBackend, useBackend } from "../../../lib/runtime/backend.ts";
import { expectClose } from "../../close.ts";
import { redImage, tinyNet, uniforms } from "../../nets.ts";
import { type Maps, naiveDeconvnet, type NaiveLayer } from "./naive_deconvnet.ts";
import { testedBackends } from "../../backends.ts";

Deno.env.delete("CONVLENS_BACKEND");
const backends = await testedBackends();
await useBackend("cpu");
const tf = await ensureBackend();
beforeEach(async () => void await useBackend("cpu"));
afterAll(async () => void await useBackend("cpu"));

const SIDE = 11;
const random = (count: number, seed: number, spread = 1) => {
  const next = uniforms(seed);
  return Float32Array.from({ length: count }, () => spread * (next() - 0.45));
};
const pixels = random(SIDE * SIDE * 3, 3);
const input = ndarray(pixels, [SIDE, SIDE, 3]);

/** The same network twice: for TensorFlow.js, and for the loops. */
function twins(layers: NaiveLayer[], side: number): LayersModel {
  const net = tf.sequential();
  layers.forEach((layer, i) => {
    const inputShape = i === 0 ? [side, side, 3] : undefined;
    if (layer.kind === "relu") net.add(tf.layers.reLU({ inputShape }));
    else if (layer.kind === "dense") {
      net.add(tf.layers.flatten());
      net.add(tf.layers.dense({ units: layer.units }));
    } else if (layer.kind === "conv") {
      const { filters, size: kernelSize, strides, padding, dilation: dilationRate } = layer;
      net.add(tf.layers.conv2d({ inputShape, filters, kernelSize, strides, padding, dilationRate }));
    } else {
      const make = layer.kind === "max" ? tf.layers.maxPooling2d : tf.layers.averagePooling2d;
      net.add(make({ inputShape, poolSize: layer.size, strides: layer.strides, padding: layer.padding }));
    }
  });
  tf.tidy(() => {
    const weights = layers.flatMap((layer) => "kernel" in layer ? [layer.kernel, layer.bias] : []);
    net.setWeights(net.weights.map(({ shape }, i) => tf.tensor(weights[i] as Float32Array, shape as number[])));
  });
  return net;
}

function conv(from: number, filters: number, seed: number, options: Partial<NaiveLayer> = {}): NaiveLayer {
  const size = (options as { size?: number[] }).size ?? [3, 3];
  return {
    kind: "conv",
    kernel: random(size[0] * size[1] * from * filters, seed),
    bias: random(filters, seed + 1, 0.3),
    filters,
    size: [3, 3],
    strides: [1, 1],
    padding: "same",
    dilation: 1,
    ...options,
  } as NaiveLayer;
}

type PoolLayout = { size: [number, number]; strides: [number, number]; padding: "same" | "valid" };
const around = (
  pool: NaiveLayer,
): NaiveLayer[] => [conv(3, 4, 1), { kind: "relu" }, pool, conv(4, 5, 2), { kind: "relu" }];

const POOLINGS: [string, PoolLayout][] = [
  ["2 by 2, apart", { size: [2, 2], strides: [2, 2], padding: "valid" }],
  ["3 by 3, overlapping", { size: [3, 3], strides: [2, 2], padding: "valid" }],
  ["3 by 3, overlapping over the border", { size: [3, 3], strides: [2, 2], padding: "same" }],
  ["3 by 3, at every cell", { size: [3, 3], strides: [1, 1], padding: "same" }],
  ["2 by 2 with gaps", { size: [2, 2], strides: [3, 3], padding: "valid" }],
  ["2 by 3, oblong", { size: [2, 3], strides: [1, 2], padding: "same" }],
];

async function check(layers: NaiveLayer[], { side = SIDE, channel = 2 } = {}): Promise<void> {
  const net = twins(layers, side);
  const model = await loadModel(net, { preprocess: "none" });
  const size = side * side * 3;
  const data = side === SIDE ? pixels : random(size, side);
  const maps: Maps = { data: Float64Array.from(data), height: side, width: side, channels: 3 };
  const wanted = naiveDeconvnet(layers, maps, channel);
  const last = model.layers.at(-1)!;
  const found = await deconvolve(model, ndarray(data, [side, side, 3]), { layer: last.name, channel });
  if (last.outputShape.length === 3) expect(found.cell).toEqual(wanted.cell);
  expect(found.activation).toBeCloseTo(wanted.activation, 4);
  const { data: naive } = wanted.signals.at(-1)!;
  if (naive.some((value) => value !== 0)) expectClose(found.values.data, naive, "pixels");
  else expect(found.values.data.every((value) => value === 0)).toBe(true);
  net.dispose();
}

describe.each(backends)("as the loops do, on %s", (backend) => {
  beforeEach(async () => void await useBackend(backend));

  test.each(POOLINGS)("max-pooling of %s", (_, layout) => check(around({ kind: "max", ...layout })));

  test.each(POOLINGS)("average pooling of %s", (_, layout) => check(around({ kind: "average", ...layout })));

  test("strides, dilation, oblong kernels and a dense layer", () =>
    check([
      conv(3, 4, 5, { strides: [2, 1], padding: "valid" }),
      { kind: "relu" },
      conv(4, 4, 6, { dilation: 2 }),
      { kind: "relu" },
      { kind: "max", size: [2, 2], strides: [2, 2], padding: "same" },
      conv(4, 3, 7, { size: [2, 3] }),
      { kind: "relu" },
      { kind: "dense", kernel: random(3 * 5 * 3 * 5, 8), bias: random(5, 9), units: 5 },
    ]));

  test("windows of equal cells: the first is the switch", () =>
    // The ReLU lets almost nothing through, so that most windows hold zeros alone.
    check([
      conv(3, 3, 10, { bias: new Float32Array(3).fill(-0.6) }),
      { kind: "relu" },
      { kind: "max", size: [3, 3], strides: [2, 2], padding: "same" },
      conv(3, 4, 11),
    ]));
});

test("whatever the pooling, as the loops do", async () => {
  const axis = fc.integer({ min: 1, max: 4 });
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        kind: fc.constantFrom("max" as const, "average" as const),
        size: fc.tuple(axis, axis),
        strides: fc.tuple(axis, axis),
        padding: fc.constantFrom("same" as const, "valid" as const),
      }),
      fc.integer({ min: 4, max: 9 }),
      fc.integer({ min: 0, max: 4 }),
      (pool, side, channel) => check(around(pool), { side, channel }),
    ),
    { numRuns: 60, seed: 1 },
  );
});

test("the path shows unpool, rectify and filter as the loops do, in this order", async () => {
  const layers = around({ kind: "max", size: [3, 3], strides: [2, 2], padding: "valid" });
  const net = twins(layers, SIDE);
  const model = await loadModel(net, { preprocess: "none" });
  const wanted = naiveDeconvnet(layers, { data: Float64Array.from(pixels), height: SIDE, width: SIDE, channels: 3 }, 2);
  const last = model.layers.at(-1)!.name;
  const found = await deconvolve(model, input, { layer: last, channel: 2 }, { path: true });
  expect(found.steps.map(({ kind }) => kind)).toEqual(["rectify", "filter", "unpool", "rectify", "filter"]);
  expect(found.steps.map(({ layer }) => layer)).toEqual(model.layers.map(({ name }) => name).reverse());
  found.steps.forEach(({ values, layer }, i) => {
    const { data, height, width, channels } = wanted.signals[i];
    expect(values.shape).toEqual([height, width, channels]);
    expectClose(values.data, data, layer);
  });
  expect(found.steps.at(-1)!.values.data).toEqual(found.values.data);
  net.dispose();
});

/** Fills all weights with numbers that batch normalisation can live with. */
function fill(net: LayersModel, seed: number): LayersModel {
  const next = uniforms(seed);
  tf.tidy(() =>
    net.setWeights(net.weights.map(({ shape, originalName }) => {
      const norm = /variance|gamma/.test(originalName) ? 1 : 0;
      return tf.tensor(
        Array.from({ length: sizeOf(shape as number[]) }, () => norm + next() - 0.45),
        shape as number[],
      );
    }))
  );
  return net;
}

const apply = (layer: tfLayers.Layer, x: SymbolicTensor | SymbolicTensor[]) => layer.apply(x) as SymbolicTensor;
const relu = (x: SymbolicTensor) => apply(tf.layers.activation({ activation: "relu" }), x);
const conv2d = (filters: number, options = {}) =>
  tf.layers.conv2d({ filters, kernelSize: 3, padding: "same", ...options });

/** Networks that the loops do not know; here the gradient with the rule for ReLUs exchanged is the reference. */
const GRAPHS: Record<string, (x: SymbolicTensor) => SymbolicTensor> = {
  residual(x) {
    x = relu(apply(tf.layers.batchNormalization(), apply(conv2d(4), x)));
    const branch = apply(tf.layers.batchNormalization(), apply(conv2d(4), relu(apply(conv2d(4), x))));
    return relu(apply(tf.layers.add(), [x, branch]));
  },
  concatenated(x) {
    const a = apply(conv2d(3, { activation: "relu" }), x);
    const b = apply(conv2d(2, { kernelSize: 1, activation: "relu" }), x);
    return apply(conv2d(4, { activation: "relu" }), apply(tf.layers.concatenate(), [a, b, a]));
  },
  depthwise(x) {
    x = relu(apply(tf.layers.depthwiseConv2d({ kernelSize: 3, depthMultiplier: 2, padding: "same" }), x));
    x = apply(tf.layers.separableConv2d({ filters: 4, kernelSize: 3, activation: "relu" }), x);
    return apply(tf.layers.reLU({ maxValue: 6 }), apply(conv2d(4), x));
  },
  nested(x) {
    const inside = tf.input({ shape: [SIDE, SIDE, 3] });
    const left = apply(conv2d(3, { activation: "relu" }), inside);
    const inner = tf.model({ inputs: inside, outputs: apply(tf.layers.add(), [left, relu(apply(conv2d(3), left))]) });
    const sequence = tf.sequential({
      layers: [conv2d(3, { inputShape: [SIDE, SIDE, 3], activation: "relu" }), tf.layers.maxPooling2d({ poolSize: 2 })],
    });
    return apply(conv2d(4), apply(sequence, apply(inner, apply(inner, x))));
  },
  shared(x) {
    const layer = conv2d(3, { activation: "relu" });
    return apply(conv2d(4), apply(layer, apply(layer, x)));
  },
  "padded, cropped and enlarged"(x) {
    x = apply(tf.layers.zeroPadding2d({ padding: [[1, 2], [0, 3]] }), x);
    x = apply(conv2d(4, { activation: "relu", padding: "valid" }), x);
    x = apply(tf.layers.cropping2D({ cropping: [[1, 0], [0, 2]] }), x);
    return apply(conv2d(4, { activation: "relu" }), apply(tf.layers.upSampling2d({ size: [2, 2] }), x));
  },
  "globally averaged, dropped out, dense"(x) {
    x = apply(tf.layers.dropout({ rate: 0.5 }), apply(conv2d(5, { activation: "relu" }), x));
    x = apply(tf.layers.dense({ units: 6, activation: "relu" }), apply(tf.layers.globalAveragePooling2d({}), x));
    return apply(tf.layers.dense({ units: 4 }), x);
  },
};

/** The gradient of one unit of the output, ReLUs passing back what is positive. */
async function byGradient(net: LayersModel, { cell }: Deconvolution, channel: number): Promise<Float32Array> {
  const shape = net.outputs[0].shape.slice(1) as number[];
  const one = new Float32Array(sizeOf(shape));
  one[cell ? (cell[0] * shape[1] + cell[1]) * shape[2] + channel : channel] = 1;
  const x = tf.tensor(pixels, [1, SIDE, SIDE, 3]);
  const unit = tf.tensor(one, [1, ...shape]);
  const f = (x: Tensor) => tf.sum(tf.mul(net.apply(x) as Tensor, unit));
  const { value, gradient } = inputGradient(tf, f, x, { relu: "deconvnet" });
  const data = await gradient.data() as Float32Array;
  tf.dispose([x, unit, value, gradient]);
  return data;
}

describe.each(Object.keys(GRAPHS))("%s", (name) => {
  test(`goes back as the gradient does, on ${backends.join(", ")}`, async () => {
    const x = tf.input({ shape: [SIDE, SIDE, 3] });
    const net = fill(tf.model({ inputs: x, outputs: GRAPHS[name](x) }), name.length);
    const model = await loadModel(net, { preprocess: "none" });
    for (const backend of backends) {
      await useBackend(backend);
      const before = tf.memory().numTensors;
      const found = await deconvolve(model, input, { layer: net.layers.at(-1)!.name, channel: 1 }, { path: true });
      expect(tf.memory().numTensors).toBe(before);
      expectClose(found.values.data, await byGradient(net, found, 1), backend);
    }
    await useBackend("cpu");
    net.dispose();
  });
});

test(`a global max-pooling has one switch, as one window has, on ${backends.join(", ")}`, async () => {
  const build = (pool: tfLayers.Layer[]) => {
    const first = conv2d(4, { inputShape: [SIDE, SIDE, 3], activation: "relu" });
    const net = fill(tf.sequential({ layers: [first, ...pool, tf.layers.dense({ units: 3 })] }), 8);
    // The ReLU lets nothing of channel 1 through, so that all of its cells are equal.
    tf.tidy(() => first.setWeights([first.getWeights()[0], tf.tensor1d([0, -99, 0, 0])]));
    return loadModel(net, { preprocess: "none" });
  };
  const global = await build([tf.layers.globalMaxPooling2d({})]);
  const window = await build([tf.layers.maxPooling2d({ poolSize: SIDE, strides: 1 }), tf.layers.flatten()]);
  for (const backend of backends) {
    await useBackend(backend);
    const unit = (model: { layers: readonly { name: string }[] }) => ({ layer: model.layers.at(-1)!.name, channel: 1 });
    const [found, wanted] = [
      await deconvolve(global, input, unit(global)),
      await deconvolve(window, input, unit(window)),
    ];
    expectClose(found.values.data, wanted.values.data, backend);
    // One cell of each channel sends one 3 by 3 kernel back.
    expect(found.values.data.filter((value) => value !== 0).length).toBeLessThanOrEqual(4 * 27);
  }
  await useBackend("cpu");
  global.dispose();
  window.dispose();
});

describe("by hand", () => {
  test("one pixel of the strongest window takes all that a unit behind a pooling sends back", async () => {
    const net = await tinyNet();
    const model = await loadModel(net, { preprocess: "none" });
    // Filter 0 sums the red of its four pixels: the window at row 1, column 2 holds 1 + 2 + 3 + 4.
    const image = redImage([[0, 0, 0, 0], [0, 0, 1, 2], [0, 0, 3, 4], [0, 0, 0, 0]]);
    const found = await deconvolve(model, ndarray(image.data, image.shape), { layer: "pool", channel: 0 });
    expect(found.activation).toBe(10);
    expect(found.cell).toEqual([0, 1]);
    expect(Array.from(found.values.data)).toEqual(
      Array.from(redImage([[0, 0, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0]]).data),
    );
    // The class behind it starts at its logit, which adds a thousandth of each of the four windows' maxima.
    const out = await deconvolve(model, ndarray(image.data, image.shape), { layer: "out", channel: 0 });
    expect(out.cell).toBeUndefined();
    const times = redImage([[0, 0, 0, 0], [0, 1, 2, 1], [0, 2, 4, 2], [0, 1, 2, 1]]).data;
    expectClose(out.values.data, times.map((count) => count / 1000), "the logit");
    net.dispose();
  });

  test("a cell that was asked for is the one that starts", async () => {
    const net = await tinyNet();
    const model = await loadModel(net, { preprocess: "none" });
    const { data, shape } = redImage([[0, 0, 0, 0], [0, 5, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]);
    const found = await deconvolve(model, ndarray(data, shape), { layer: "conv", channel: 0, cell: [2, 2] });
    expect(found.activation).toBe(0);
    expect(Array.from(found.values.data)).toEqual(
      Array.from(redImage([[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]).data),
    );
    net.dispose();
  });
});

describe("refused and cleaned up", () => {
  const sequence = async (...layers: tfLayers.Layer[]) => {
    const net = tf.sequential({ layers });
    return await loadModel(net, { preprocess: "none", name: "refused" });
  };
  const first = () => tf.layers.conv2d({ inputShape: [SIDE, SIDE, 3], filters: 2, kernelSize: 3 });

  test.each([
    ["a type of layer", () => tf.layers.prelu({ name: "odd" }), '"odd" of type PReLU'],
    [
      "an activation",
      () => conv2d(2, { activation: "elu", name: "odd" }),
      '"odd" of type Conv2D has the activation "elu"',
    ],
    [
      "an activation layer",
      () => tf.layers.activation({ activation: "tanh", name: "odd" }),
      '"odd" of type Activation',
    ],
  ])("%s without a rule is named, and nothing is left", async (_, odd, message) => {
    const model = await sequence(first(), odd(), conv2d(2, { name: "last" }));
    const before = tf.memory().numTensors;
    await expect(deconvolve(model, input, { layer: "last", channel: 0 })).rejects.toThrow(TypeError);
    await expect(deconvolve(model, input, { layer: "last", channel: 0 })).rejects.toThrow(message);
    expect(tf.memory().numTensors).toBe(before);
    // A unit of the layer itself does not pass its activation.
    expect((await deconvolve(model, input, { layer: "odd", channel: 0 })).values.shape).toEqual([SIDE, SIDE, 3]);
    model.dispose();
  });

  test("an abort leaves nothing, and the next call is right", async () => {
    const net = await tinyNet();
    const model = await loadModel(net, { preprocess: "none" });
    const image = ndarray(random(48, 4, 10), [4, 4, 3]);
    const wanted = await deconvolve(model, image, { layer: "out", channel: 0 });
    const before = tf.memory().numTensors;
    const abort = new AbortController();
    const stopped = deconvolve(model, image, { layer: "out", channel: 0 }, {
      signal: abort.signal,
      onProgress: (done) => done === 2 && abort.abort(new Error("enough")),
    });
    await expect(stopped).rejects.toThrow("enough");
    expect(tf.memory().numTensors).toBe(before);
    const again = await deconvolve(model, image, { layer: "out", channel: 0 });
    expect(Array.from(again.values.data)).toEqual(Array.from(wanted.values.data));
    net.dispose();
  });
});

/** Hands its input on, and fails when it is called the second time: on the way back. */
class FailsLater extends tf.layers.Layer {
  static className = "Dropout";
  calls = 0;
  override call(x: Tensor | Tensor[]): Tensor {
    if (++this.calls === 2) throw new Error("no room");
    return tf.mul(Array.isArray(x) ? x[0] : x, 1);
  }
  override getClassName(): string {
    return "Dropout";
  }
}

test.each(backends)(
  "a failure on the way back leaves nothing, and the next plain gradient is right, on %s",
  async (backend) => {
    await useBackend(backend);
    const failing = new FailsLater({});
    const layers = [
      conv2d(3, { inputShape: [SIDE, SIDE, 3], activation: "relu" }),
      failing as tfLayers.Layer,
      conv2d(2),
    ];
    const net = fill(tf.sequential({ layers }), 6);
    const model = await loadModel(net, { preprocess: "none" });
    const gradient = async () => {
      failing.calls = 2;
      const x = tf.tensor(pixels, [1, SIDE, SIDE, 3]);
      const { value, gradient } = inputGradient(tf, (x) => tf.sum(net.apply(x) as Tensor), x);
      const data = await gradient.data();
      tf.dispose([x, value, gradient]);
      return Array.from(data);
    };
    const wanted = await gradient();
    const before = tf.memory().numTensors;
    failing.calls = 0;
    await expect(deconvolve(model, input, { layer: model.layers.at(-1)!.name, channel: 0 })).rejects.toThrow("no room");
    expect(failing.calls).toBe(2);
    expect(tf.memory().numTensors).toBe(before);
    expect(await gradient()).toEqual(wanted);
    await useBackend("cpu");
    net.dispose();
  },
);

/** As AlexNet's, without weights. */
class LRN extends tf.layers.Layer {
  static className = "LRN";
  override call(x: Tensor | Tensor[]): Tensor {
    return tf.localResponseNormalization((Array.isArray(x) ? x[0] : x) as never, 2);
  }
  override getClassName(): string {
    return "LRN";
  }
}

test("a local response normalisation hands the signal on unchanged", async () => {
  const build = (normalized: boolean) => {
    const layers = [
      conv2d(3, { inputShape: [SIDE, SIDE, 3], activation: "relu" }),
      ...normalized ? [new LRN({}) as tfLayers.Layer] : [],
      conv2d(2),
    ];
    return fill(tf.sequential({ layers }), 6);
  };
  const results = await Promise.all([true, false].map(async (normalized) => {
    const model = await loadModel(build(normalized), { preprocess: "none" });
    const found = await deconvolve(model, input, { layer: model.layers.at(-1)!.name, channel: 0, cell: [4, 5] });
    model.dispose();
    return found;
  }));
  expect(results[0].activation).not.toBeCloseTo(results[1].activation, 3);
  expectClose(results[0].values.data, results[1].values.data, "pixels");
  expect(results.map(({ unchanged }) => unchanged.length)).toEqual([1, 0]);
});
