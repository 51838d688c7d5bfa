import type { LayersModel, SymbolicTensor, Tensor } from "@tensorflow/tfjs";
import { beforeAll, describe, expect, test } from "vitest";
import { dataset } from "../../lib/data/dataset.ts";
import { codes } from "../../lib/methods/codes.ts";
import { gradCam } from "../../lib/methods/grad_cam.ts";
import { occlusion } from "../../lib/methods/occlusion.ts";
import { predict } from "../../lib/methods/predict.ts";
import { saliency } from "../../lib/methods/saliency.ts";
import { sanityCheck } from "../../lib/methods/sanity_check.ts";
import { loadModel, type LoadModelOptions } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import type { OutputWanted } from "../../lib/model/output.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";

const tf = await ensureBackend();
const L = tf.layers;

/** A layer whose class tells nothing of what it does, as Keras's Lambda. */
class Opaque extends L.Layer {
  static className = "Opaque";
  override call(x: Tensor | Tensor[]): Tensor {
    return tf.softmax([x].flat()[0]);
  }
  override computeOutputShape(shape: number[]): number[] {
    return shape;
  }
}
tf.serialization.registerClass(Opaque);

const pixels = { data: Float32Array.of(1, 2, 3), shape: [1, 1, 3] };
const flat = () => L.flatten({ inputShape: [1, 1, 3] });
type Activation = "linear" | "softmax" | "sigmoid" | "tanh" | "relu" | "logSoftmax";
/** Puts out the first numbers of `[1, 2, 3]`, and those through the activation. */
const dense = (units: number, activation: Activation = "linear") =>
  L.dense({ units, activation: activation as "linear", useBias: false, kernelInitializer: "ones" });
const net = (...layers: unknown[]): LayersModel => tf.sequential({ layers: [flat(), ...layers] as never });
const load = (network: LayersModel, options: Partial<LoadModelOptions> = {}): Promise<Model> =>
  loadModel(network, { name: "net", preprocess: "none", ...options });

/** A network compiled with a loss. */
function compiled(units: number, loss: unknown): LayersModel {
  const network = net(dense(units));
  network.compile({ optimizer: "sgd", loss: loss as "meanSquaredError" });
  return network;
}

const three = ["a", "b", "c"];

describe("what the outputs are", () => {
  test.each<[string, () => LayersModel, Partial<LoadModelOptions>, string]>([
    ["a softmax", () => net(dense(3, "softmax")), {}, "3 classes (softmax)"],
    ["one sigmoid", () => net(dense(1, "sigmoid")), {}, "two classes by one number (sigmoid)"],
    ["sigmoids", () => net(dense(3, "sigmoid")), {}, "3 independent labels (sigmoid)"],
    ["one linear number", () => net(dense(1)), {}, "1 number (linear), no probability"],
    ["one linear number with a label", () => net(dense(1)), { labels: ["age"] }, "1 number (linear), no probability"],
    [
      "one linear number with two labels",
      () => net(dense(1)),
      { labels: ["no", "yes"] },
      "two classes by one number (logits)",
    ],
    ["linear numbers", () => net(dense(3)), {}, "3 numbers (linear), no probabilities"],
    ["linear numbers with labels", () => net(dense(3)), { labels: three }, "3 classes (logits)"],
    [
      "the same, called numbers",
      () => net(dense(3)),
      { labels: three, output: "numbers" },
      "3 numbers (linear), no probabilities",
    ],
    [
      "rectified numbers with labels",
      () => net(dense(3, "relu")),
      { labels: three },
      "3 numbers (relu), no probabilities",
    ],
    ["a logarithm of a softmax", () => net(dense(3, "logSoftmax")), {}, "3 classes (logSoftmax)"],
    ["normalised logits", () => net(dense(3), L.batchNormalization()), { labels: three }, "3 classes (logits)"],
    [
      "a softmax that is scaled afterwards",
      () => net(dense(3, "softmax"), L.batchNormalization()),
      { labels: three },
      "3 numbers (unknown), no probabilities",
    ],
    [
      "a layer that hides what it does",
      () => net(dense(3), new Opaque({})),
      { labels: three },
      "3 numbers (unknown), no probabilities",
    ],
    [
      "a softmax over each row",
      () => net(dense(6), L.reshape({ targetShape: [2, 3] }), L.softmax({ axis: -1 })),
      {},
      "maps of 3 channels (softmax)",
    ],
    [
      "the same as one vector",
      () => net(dense(6), L.reshape({ targetShape: [2, 3] }), L.softmax({ axis: -1 }), L.flatten()),
      {},
      "6 numbers (softmax), no probabilities",
    ],
    [
      "a model in a Sequential",
      () => tf.sequential({ layers: [net(dense(3, "softmax")) as never] }),
      {},
      "3 classes (softmax)",
    ],
    ["cross-entropy of logits", () => compiled(3, tf.losses.softmaxCrossEntropy), {}, "3 classes (logits)"],
    ["categorical cross-entropy", () => compiled(3, "sparseCategoricalCrossentropy"), {}, "3 classes (logits)"],
    [
      "binary cross-entropy of logits",
      () => compiled(1, tf.losses.sigmoidCrossEntropy),
      {},
      "two classes by one number (logits)",
    ],
    ["binary cross-entropies", () => compiled(3, "binaryCrossentropy"), {}, "3 independent labels (logits)"],
    [
      "squared errors",
      () => compiled(3, "meanSquaredError"),
      { labels: three },
      "3 numbers (linear), no probabilities",
    ],
  ])("%s", async (_, build, options, text) => {
    const model = await load(build(), options);
    expect(model.output.text).toBe(text);
    model.dispose();
  });

  test("a hidden activation can be told", async () => {
    const output = { kind: "classes", activation: "softmax" } as const;
    const model = await load(net(dense(3), new Opaque({})), { output });
    expect(model.output).toMatchObject({ ...output, logits: false });
    const explained = await saliency(model, pixels);
    expect(explained.score).toBeCloseTo(explained.target.probability!, 6);
    expect(explained.figure().caption).toContain("The score is the probability itself: what its layer makes it of");
    model.dispose();
  });
});

describe("several outputs", () => {
  let network: LayersModel;
  beforeAll(() => {
    const input = tf.input({ shape: [1, 1, 3] });
    const x = L.flatten().apply(input) as SymbolicTensor;
    const named = (units: number, name: string) =>
      L.dense({ units, name, kernelInitializer: "ones" }).apply(x) as SymbolicTensor;
    network = tf.model({ inputs: input, outputs: [named(3, "A"), named(1, "age"), named(2, "labels")] });
  });

  test.each<[OutputWanted | undefined, object]>([
    [undefined, { layer: "A", index: 0, count: 3, kind: "numbers" }],
    ["age", { layer: "age", index: 1, count: 1, kind: "numbers" }],
    [1, { layer: "age", index: 1 }],
    ["classes", { layer: "A", kind: "classes" }],
    ["labels", { layer: "labels", index: 2, kind: "numbers" }],
    [{ layer: "labels", kind: "labels" }, { layer: "labels", kind: "labels" }],
    [{ layer: 1, kind: "binary" }, { layer: "age", kind: "binary" }],
  ])("%j", async (output, wanted) => {
    const model = await load(network, { output });
    expect(model.output).toMatchObject(wanted);
    const { caption } = (await predict(model, pixels)).figure();
    expect(caption).toContain(`of the output "${model.output.layer}"`);
    expect((await saliency(model, pixels)).target.text).toContain(`of the output "${model.output.layer}"`);
  });

  test("of which some are computed from others: the end is looked at, wherever it stands", async () => {
    const input = tf.input({ shape: [4, 4, 3] });
    const maps = L.conv2d({ name: "maps", filters: 2, kernelSize: 3 }).apply(input) as SymbolicTensor;
    const flat = L.flatten({ name: "flat" }).apply(maps) as SymbolicTensor;
    const end = L.dense({ name: "end", units: 3, activation: "softmax" }).apply(flat) as SymbolicTensor;
    for (const outputs of [[maps, flat, end], [end, maps], [maps, end, flat]]) {
      const model = await load(tf.model({ inputs: input, outputs }));
      expect(model.output).toMatchObject({ layer: "end", index: outputs.indexOf(end), kind: "classes" });
      expect((await gradCam(model, { data: new Float32Array(48).fill(9), shape: [4, 4, 3] })).layer).toBe("maps");
    }
  });
});

test.each<[Partial<LoadModelOptions>, string]>([
  [{ output: 5 }, 'The model "net" has 1 output, counted from 0: received the output 5.'],
  [{ output: "clases" }, 'There is no output or kind of output "clases" in model "net". The nearest: "classes"'],
  [{ output: null as never }, "output takes its options as one object"],
  [{ output: { kind: "x" as never } }, 'kind must be "classes", "binary", "labels", "numbers" or "map": received "x".'],
  [{ output: { knid: "map" } as never }, 'output has no option "knid". The nearest: "kind"'],
  [{ output: { layer: 0.5 } }, "layer must be a layer's name or the index of an output: received 0.5."],
  [{ output: "binary" }, 'puts out [3] (linear): received the kind "binary"; binary is one number for two classes'],
  [{ output: "map" }, "that is one vector, which is no map"],
  [{ output: { activation: "softmax" } }, 'puts out [3] (linear): received the activation "softmax".'],
  [{ labels: ["a", "b"] }, 'The model "net" has 3 outputs: received 2 labels.'],
  [
    { labels: ["a", null as never, "c"] },
    'The labels of the model "net" are strings: received null as the label of index 1.',
  ],
  [{ labels: "abc" as never }, "labels must be an array"],
])("%j is refused", async (options, message) => {
  await expect(load(net(dense(3)), options)).rejects.toThrow(message);
});

describe("labels", () => {
  const softmax = (labels: readonly unknown[]) =>
    load(net(dense(labels.length, "softmax")), { labels: labels as string[] });

  test("that are names in JavaScript are labels like any other", async () => {
    const labels = ["constructor", "__proto__", "toString"];
    const model = await softmax(labels);
    for (const [index, target] of labels.entries()) {
      expect((await saliency(model, pixels, { target })).target).toMatchObject({ index, label: target });
    }
    await expect(saliency(model, pixels, { target: "valueOf" })).rejects.toThrow('There is no label "valueOf"');
    expect((await predict(model, pixels)).rows.map(({ label }) => label).sort()).toEqual([...labels].sort());
  });

  test("that are numbers are taken as they are written", async () => {
    const model = await softmax([3, 7, 0.5]);
    expect(model.labels).toEqual(["3", "7", "0.5"]);
    expect((await saliency(model, pixels, { target: "7" })).target.index).toBe(1);
    await expect(saliency(model, pixels, { target: 7 })).rejects.toThrow("has classes 0 to 2: received the target 7");
  });

  test("that several classes have are told apart by the index", async () => {
    const model = await softmax(["a", "b", "a"]);
    await expect(saliency(model, pixels, { target: "a" })).rejects.toThrow('"a" names the classes 0 and 2');
    expect((await saliency(model, pixels, { target: 2 })).target).toMatchObject({ index: 2, label: "a" });
    expect((await predict(model, pixels)).rows.filter(({ label }) => label === "a").map(({ index }) => index)).toEqual([
      0,
      2,
    ]);
  });

  test("of a single sigmoid are two, or one for what it finds", async () => {
    const dog = await load(net(dense(1, "sigmoid")), { labels: ["dog"] });
    expect(dog.output.labels).toEqual(["not dog", "dog"]);
    expect((await predict(dog, pixels)).rows[0]).toMatchObject({ label: "dog", index: 1 });
    expect((await saliency(dog, pixels, { target: "not dog" })).score).toBeCloseTo(-6, 5);
    await expect(load(net(dense(1, "sigmoid")), { labels: three })).rejects.toThrow(
      "has one output for two classes: received 3 labels; wanted 2, or 1 for what it finds.",
    );
  });
});

test("a network that puts out what is no number says so", async () => {
  const network = net(dense(2));
  network.layers[1].setWeights([tf.fill([3, 2], 3e38)]);
  const model = await load(network, { labels: ["a", "b"] });
  await expect(predict(model, pixels)).rejects.toThrow('The model "net" puts out Infinity for "array"');
});

test("of two branches, methods look at the layers on the way to the output that is chosen", async () => {
  const input = tf.input({ shape: [8, 8, 3] });
  const branch = (name: string, units: number) => {
    const maps = L.conv2d({ filters: 2, kernelSize: 3, activation: "relu", name: `${name}_conv` }).apply(input);
    const means = L.globalAveragePooling2d({ name: `${name}_means` } as never).apply(maps);
    return L.dense({ units, name }).apply(means) as SymbolicTensor;
  };
  const network = tf.model({ inputs: input, outputs: [branch("left", 3), branch("right", 2)] });
  const image = { data: Float32Array.from({ length: 192 }, (_, i) => (i * 37) % 256), shape: [8, 8, 3] };
  for (const side of ["left", "right"]) {
    const model = await load(network, { output: side, preprocess: "unit" });
    expect((await gradCam(model, image)).figure().caption).toContain(`${side}_conv`);
    expect((await occlusion(model, image, { size: 4, stride: 4 })).layer.name).toBe(`${side}_conv`);
    const checked = await sanityCheck(model, image, saliency);
    expect(checked.rows.map(({ layer }) => layer)).toEqual([side, `${side}_conv`]);
    const { layer } = await codes(model, dataset([{ image }, { image }], { name: "two" }));
    expect(layer).toBe(`${side}_means`);
  }
});
