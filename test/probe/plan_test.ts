import fc from "fast-check";
import type { layers as tfLayers, SymbolicTensor, Tensor } from "@tensorflow/tfjs";
import { describe, expect, test } from "vitest";
import { entryOf, traceAnySize } from "../../lib/model/graph.ts";
import { extent, ndarray, sizeOf } from "../../lib/array.ts";
import { loadModel } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import { forward } from "../../lib/probe/forward.ts";
import { inputGradient } from "../../lib/probe/gradient.ts";
import { makePlan, withPlan } from "../../lib/probe/plan.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { uniforms } from "../nets.ts";

const tf = await ensureBackend();

/** Fills all weights with numbers that batch normalisation can live with. */
function shuffle(model: Model, seed: number): void {
  const next = uniforms(seed);
  for (const layer of model.network.layers) {
    tf.tidy(() =>
      layer.setWeights(layer.weights.map(({ shape, originalName }) => {
        const values = Array.from({ length: sizeOf(shape as number[]) }, () => next() - 0.5);
        const positive = /variance|gamma/.test(originalName);
        return tf.tensor(positive ? values.map((v) => v + 1) : values, shape as number[]);
      }))
    );
  }
}

/** Compares lean passes over five inputs (folded) and over one (not folded) with what the network itself predicts. */
async function check(model: Model, taps: string[], seed: number): Promise<void> {
  shuffle(model, seed);
  const next = uniforms(seed + 1);
  const shape = model.inputShape as number[];
  const inputs = Array.from(
    { length: 5 },
    () => ndarray(Array.from({ length: sizeOf(shape) }, () => 2 * next() - 1), shape),
  );
  for (const [i, tap] of taps.entries()) {
    const output = tf.tidy(() => {
      const net = tf.model({ inputs: model.network.inputs, outputs: model.network.getLayer(tap).output });
      return net.predict(tf.stack(inputs.map(({ data }) => tf.tensor(data, shape)))) as Tensor;
    });
    const wanted = await output.data();
    output.dispose();
    const [low, high] = extent(wanted);
    const max = Math.max(-low, high);
    const [folded, single] = [await forward(model, inputs, taps), await forward(model, inputs.slice(0, 1), taps)];
    expect(folded[i].data.length).toBe(wanted.length);
    for (const found of [folded[i].data, single[i].data]) {
      const worst = found.reduce((most, value, k) => Math.max(most, Math.abs(value - wanted[k])), 0);
      expect(worst, tap).toBeLessThanOrEqual(1e-4 * max);
    }
  }
}

function functional(input: SymbolicTensor, output: unknown): Promise<Model> {
  return loadModel(tf.model({ inputs: input, outputs: output as SymbolicTensor }), { preprocess: "none" });
}

describe("a lean pass equals the network's own", () => {
  test("for convolutions of every kind in front of a batch normalisation", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          depthwise: fc.boolean(),
          useBias: fc.boolean(),
          center: fc.boolean(),
          scale: fc.boolean(),
          padding: fc.constantFrom("same" as const, "valid" as const),
          strides: fc.integer({ min: 1, max: 2 }),
          dilationRate: fc.integer({ min: 1, max: 2 }),
          activation: fc.constantFrom("relu", "relu6", "elu", "sigmoid", "tanh", "softmax", null),
          tapNorm: fc.boolean(),
          seed: fc.nat(1000),
        }).filter(({ strides, dilationRate }) => strides === 1 || dilationRate === 1),
        async ({ depthwise, center, scale, activation, tapNorm, seed, ...window }) => {
          const input = tf.input({ shape: [8, 8, 3] });
          const convolution = depthwise
            ? tf.layers.depthwiseConv2d({ kernelSize: 3, depthMultiplier: 2, ...window })
            : tf.layers.conv2d({ filters: 4, kernelSize: 3, ...window });
          let output = convolution.apply(input);
          output = tf.layers.batchNormalization({ name: "norm", center, scale }).apply(output);
          if (activation === "relu6") output = tf.layers.reLU({ name: "last", maxValue: 6 }).apply(output);
          else if (activation) {
            output = tf.layers.activation({ name: "last", activation: activation as "relu" }).apply(output);
          }
          const model = await functional(input, output);
          const before = tf.memory().numTensors;
          await check(model, [...(tapNorm || !activation ? ["norm"] : []), ...(activation ? ["last"] : [])], seed);
          expect(tf.memory().numTensors).toBe(before);
          model.dispose();
        },
      ),
      { numRuns: 60, seed: 11 },
    );
  });

  test("for residual nets, whatever is tapped", async () => {
    const input = tf.input({ shape: [8, 8, 4] });
    const block = (name: string, x: unknown) => {
      let y = tf.layers.conv2d({ name: `${name}_conv`, filters: 4, kernelSize: 3, padding: "same" }).apply(
        x as SymbolicTensor,
      );
      y = tf.layers.batchNormalization({ name: `${name}_norm` }).apply(y);
      y = tf.layers.activation({ name: `${name}_relu`, activation: "relu" }).apply(y);
      return tf.layers.add({ name: `${name}_add` }).apply([x, y] as SymbolicTensor[]);
    };
    const model = await functional(input, block("b", block("a", input)));
    const taps = model.layers.slice(1).map(({ name }) => name);
    await check(model, taps, 1);
    for (const tap of taps) await check(model, [tap], 2);
    model.dispose();
  });

  test("for additions that a convolution takes over, and for those that it cannot", async () => {
    const input = tf.input({ shape: [6, 6, 3] });
    const convolution = (name: string, x: unknown) =>
      tf.layers.conv2d({ name, filters: 4, kernelSize: 3, padding: "same" }).apply(x as SymbolicTensor);
    const add = (name: string, ...terms: unknown[]) => tf.layers.add({ name }).apply(terms as SymbolicTensor[]);
    const rectify = (name: string, activation: "relu" | "sigmoid", x: unknown) =>
      tf.layers.activation({ name, activation }).apply(x as SymbolicTensor);
    const [a, b] = [convolution("a", input), convolution("b", input)];
    // Both of its terms are convolutions: the later one takes it.
    const both = rectify("both_relu", "relu", add("both", a, b));
    // Of a depthwise convolution, with an activation that is not a ReLU.
    const depthwise = tf.layers.depthwiseConv2d({ name: "deep", kernelSize: 3, padding: "same" }).apply(
      both as SymbolicTensor,
    );
    const bent = rectify("bent", "sigmoid", add("deep_sum", depthwise, both));
    // A single number a channel is spread over the map.
    const flat = tf.layers.reshape({ name: "flat", targetShape: [1, 1, 4] }).apply(
      tf.layers.globalAveragePooling2d({}).apply(bent as SymbolicTensor) as SymbolicTensor,
    );
    const spread = add("spread", convolution("c", bent), flat);
    const three = rectify("three_relu", "relu", add("three", convolution("d", spread), spread, bent));
    const twice = convolution("e", three);
    const model = await functional(input, add("twice", twice, twice));
    const before = tf.memory().numTensors;
    const taps = model.layers.slice(1).map(({ name }) => name);
    await check(model, ["twice"], 8);
    for (const tap of taps) await check(model, [tap], 9);
    expect(tf.memory().numTensors).toBe(before);
    model.dispose();
  });

  test("for a normalisation that two layers read, and a shared convolution", async () => {
    const input = tf.input({ shape: [8, 8, 3] });
    const shared = tf.layers.conv2d({ name: "shared", filters: 3, kernelSize: 3, padding: "same" });
    const once = tf.layers.batchNormalization({ name: "norm" }).apply(shared.apply(input));
    const relu = tf.layers.activation({ name: "relu", activation: "relu" }).apply(once);
    const twice = shared.apply(relu as SymbolicTensor);
    const model = await functional(input, tf.layers.add({ name: "sum" }).apply([once, twice] as SymbolicTensor[]));
    await check(model, ["sum"], 3);
    await check(model, ["relu", "sum"], 4);
    model.dispose();
  });

  test.each([4, 5])("for normalisations that stand alone, of %i channels, with what follows them", async (filters) => {
    const input = tf.input({ shape: [6, 7, filters] });
    const conv = (name: string, x: unknown) =>
      tf.layers.conv2d({ name, filters, kernelSize: 3, padding: "same" }).apply(x as SymbolicTensor);
    const norm = (name: string, x: unknown, options = {}) =>
      tf.layers.batchNormalization({ name, ...options }).apply(x as SymbolicTensor);
    const act = (name: string, activation: "relu" | "elu", x: unknown) =>
      tf.layers.activation({ name, activation }).apply(x as SymbolicTensor);
    const first = act("relu", "relu", norm("norm1", conv("conv1", norm("norm0", input)), { scale: false }));
    const second = norm("norm2", conv("conv2", first), { center: false });
    const sum = act("relu2", "relu", tf.layers.add({ name: "sum" }).apply([second, first] as SymbolicTensor[]));
    const model = await functional(input, act("elu", "elu", norm("norm3", conv("conv3", sum))));
    const before = tf.memory().numTensors;
    await check(model, ["conv1", "conv2", "conv3", "elu"], 8);
    await check(model, ["norm0", "norm2", "conv3", "norm3", "elu"], 9);
    expect(tf.memory().numTensors).toBe(before);
    model.dispose();
  });

  test("for a dropout, which hands its input on", async () => {
    const input = tf.input({ shape: [4, 4, 3] });
    const dropped = tf.layers.dropout({ name: "dropout", rate: 0.5 }).apply(
      tf.layers.conv2d({ name: "conv", filters: 2, kernelSize: 1 }).apply(input),
    );
    const model = await functional(input, tf.layers.activation({ name: "relu", activation: "relu" }).apply(dropped));
    const before = tf.memory().numTensors;
    await check(model, ["conv", "dropout", "relu"], 5);
    expect(tf.memory().numTensors).toBe(before);
    model.dispose();
  });
});

test.each([true, false])("a plan's gradient is the network's own (folded: %s), and no tensor stays", async (fold) => {
  const input = tf.input({ shape: [9, 9, 3] });
  const convolution = (strides: number, x: unknown) =>
    tf.layers.conv2d({ filters: 4, kernelSize: 3, strides, padding: "same" }).apply(x as SymbolicTensor);
  const unit = (strides: number, x: unknown) =>
    tf.layers.activation({ activation: "elu" }).apply(
      tf.layers.batchNormalization().apply(convolution(strides, x)) as SymbolicTensor,
    );
  const first = unit(2, input);
  const sum = tf.layers.add().apply([first, unit(1, first)] as SymbolicTensor[]);
  const pooled = tf.layers.globalAveragePooling2d({}).apply(tf.layers.depthwiseConv2d({ kernelSize: 2 }).apply(sum));
  const model = await functional(input, tf.layers.dense({ units: 3, activation: "softmax" }).apply(pooled));
  shuffle(model, 6);
  const { network } = model;
  const plan = makePlan(network, traceAnySize(network).outputs, { fold, sums: true });
  expect(plan.steps.some((step) => step.fold)).toBe(fold);
  const x = tf.randomUniform([2, 9, 9, 3], -1, 1, "float32", 7);
  const score = (y: Tensor) => tf.sum(tf.slice(y, [0, 1], [2, 1]));
  const before = tf.memory().numTensors;
  const own = inputGradient(tf, (x) => score(network.apply(x) as Tensor), x);
  const lean = withPlan(tf, plan, (f) => inputGradient(tf, (x) => score(f(x)[0]), x));
  const [wanted, found] = [await own.gradient.data<"float32">(), await lean.gradient.data<"float32">()];
  expect((await lean.value.data())[0]).toBeCloseTo((await own.value.data())[0], 5);
  const [low, high] = extent(wanted);
  const worst = found.reduce((most, value, i) => Math.max(most, Math.abs(value - wanted[i])), 0);
  expect(worst).toBeLessThanOrEqual(1e-4 * Math.max(-low, high));
  tf.dispose([own.value, own.gradient, lean.value, lean.gradient]);
  expect(tf.memory().numTensors).toBe(before);
  expect(() =>
    withPlan(tf, plan, () => {
      throw new Error("stop");
    })
  ).toThrow("stop");
  expect(tf.memory().numTensors).toBe(before);
  x.dispose();
  model.dispose();
});

test("a plan folds what it may, and leaves the network as it was", async () => {
  const model = await loadModel("resnet50");
  const { network } = model;
  const uses = () =>
    network.layers.map((layer: tfLayers.Layer) => layer.inboundNodes.length + layer.outboundNodes.length);
  const before = uses();
  const plan = makePlan(network, traceAnySize(network).outputs, { fold: true });
  // 53 convolutions each take a normalisation in; 33 of them a ReLU too, 16 ReLUs stand behind additions.
  expect(plan.steps.filter(({ fold }) => fold)).toHaveLength(53);
  expect(plan.steps).toHaveLength(177 - 1 - 53 - 33);
  // With sums, each addition and the ReLU behind it go into a convolution.
  const sums = makePlan(network, traceAnySize(network).outputs, { fold: true, sums: true }).steps;
  expect(sums).toHaveLength(plan.steps.length - 2 * 16);
  expect(sums.filter(({ inputs }) => inputs.length === 2)).toHaveLength(16);
  // Where the convolutions themselves are wanted, each normalisation takes in what follows it.
  const convolutions = model.leaves.filter(({ kind }) => kind === "Conv2D").map(({ name }) =>
    entryOf(network, name).use
  );
  const alone = makePlan(network, convolutions, { fold: true, sums: true, passing: true }).steps;
  const kinds = alone.map(({ layer }) => layer.getClassName());
  expect(kinds.filter((kind) => kind === "BatchNormalization")).toHaveLength(52);
  expect(kinds.filter((kind) => kind === "Activation" || kind === "Add")).toEqual([]);
  expect(uses()).toEqual(before);
  model.dispose();
});

test("weights that change are seen by the next pass", async () => {
  const input = tf.input({ shape: [4, 4, 3] });
  const norm = tf.layers.batchNormalization({ name: "norm" }).apply(
    tf.layers.conv2d({ name: "conv", filters: 2, kernelSize: 1, kernelInitializer: "ones" }).apply(input),
  );
  const model = await functional(input, norm);
  const ones = Array.from({ length: 4 }, () => ndarray(new Float32Array(48).fill(1), [4, 4, 3]));
  const [first] = await forward(model, ones, ["norm"]);
  tf.tidy(() => model.network.getLayer("conv").setWeights([tf.fill([1, 1, 3, 2], 2), tf.zeros([2])]));
  const [second] = await forward(model, ones, ["norm"]);
  expect(second.data[0]).toBeCloseTo(2 * first.data[0], 6);
  model.dispose();
});
