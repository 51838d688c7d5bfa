/** Training against Keras, and what a run keeps: its repeatability, its memory, its end. */

import type { LayersModel } from "@tensorflow/tfjs";
import { afterAll, describe, expect, test } from "vitest";
import { loadModel } from "../../../lib/model/load.ts";
import type { Model } from "../../../lib/model/model.ts";
import type { TrainingOptions } from "../../../lib/probe/training/options.ts";
import { runTraining, TrainingError } from "../../../lib/probe/training/train.ts";
import { namedWeights } from "../../../lib/model/formats/named_weights.ts";
import { ensureBackend, useBackend } from "../../../lib/runtime/backend.ts";
import fixture from "../../oracles/fixtures/training.json" with { type: "json" };
import { datasetOf, maxDifference, stripes, stripesNet } from "./toys.ts";
import { testedBackends } from "../../backends.ts";

const available = await testedBackends();
const started = await useBackend();
const tf = await ensureBackend();
afterAll(() => useBackend(started.name));

async function weightsOf(network: LayersModel): Promise<Record<string, Float32Array>> {
  const all = [...namedWeights(network)].map(async ([name, variable]) => [name, await variable.data()] as const);
  return Object.fromEntries(await Promise.all(all)) as Record<string, Float32Array>;
}

/** The network of the oracle, with its start. */
async function oracleModel(): Promise<Model> {
  const net = tf.sequential({
    name: "oracle",
    layers: [
      tf.layers.conv2d({
        name: "conv",
        inputShape: [8, 8, 3],
        filters: 4,
        kernelSize: 3,
        padding: "same",
        useBias: false,
      }),
      tf.layers.batchNormalization({ name: "norm", momentum: 0.9, epsilon: 1e-3 }),
      tf.layers.reLU({ name: "relu" }),
      tf.layers.maxPooling2d({ name: "pool", poolSize: 2 }),
      tf.layers.flatten({ name: "flat" }),
      tf.layers.dense({ name: "out", units: 3, activation: "softmax" }),
    ],
  });
  const { start } = fixture;
  tf.tidy(() => {
    const named = namedWeights(net);
    for (const [name, { shape, data }] of Object.entries(start)) named.get(name)!.assign(tf.tensor(data, shape));
  });
  return await loadModel(net, { preprocess: "unit" });
}

const labels = ["red", "green", "blue"];
const oracleImages = datasetOf(
  fixture.classes.map((c, i) => ({
    pixels: fixture.pixels.slice(i * 192, (i + 1) * 192),
    shape: [8, 8, 3],
    label: labels[c],
  })),
  labels,
);

/** Twenty steps of all sixteen images, as the oracle made them. */
const twenty: TrainingOptions = { epochs: 20, batchSize: 16, validation: 0, snapshots: [] };
const recipes = {
  sgd: { optimizer: { kind: "sgd", momentum: 0.9 }, learningRate: 0.05 },
  nesterov: {
    optimizer: { kind: "sgd", momentum: 0.9, nesterov: true },
    learningRate: 0.05,
    weightDecay: 0.01,
    labelSmoothing: 0.1,
  },
  adam: { optimizer: "adam", learningRate: 0.01 },
} satisfies Record<string, TrainingOptions>;

describe.each(available)("on %s", (backend) => {
  // The slow ones are asked for one recipe.
  const asked = ["cpu", "webgpu"].includes(backend) ? ["nesterov"] as const : ["sgd", "nesterov", "adam"] as const;
  test.each(asked)("20 steps of %s as in Keras: losses and weights", async (recipe) => {
    await useBackend(backend);
    const model = await oracleModel();
    const { rows } = await runTraining(model, oracleImages, { ...twenty, ...recipes[recipe] });
    const wanted = fixture[recipe];
    expect(maxDifference(rows.map(({ loss }) => loss), wanted.losses)).toBeLessThan(1e-4);
    const weights = await weightsOf(model.network);
    expect(Object.keys(weights).sort()).toEqual(Object.keys(wanted.weights).sort());
    for (const [name, { data }] of Object.entries(wanted.weights)) {
      expect([name, maxDifference(weights[name], data) < 5e-4]).toEqual([name, true]);
    }
    model.dispose();
  });

  test("a net of every kind of layer learns stripes, and no tensor is left behind", async () => {
    await useBackend(backend);
    const model = await loadModel(stripesNet(tf));
    const before = tf.memory().numTensors;
    const { rows, layers, ending } = await runTraining(model, stripes(64), {
      optimizer: "adam",
      learningRate: 0.02,
      epochs: 6,
      batchSize: 16,
      validation: 0.25,
      augment: { flip: true, crop: 1 },
    });
    expect(tf.memory().numTensors).toBe(before);
    expect(rows.map(({ epoch }) => epoch)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(rows.at(-1)!.loss).toBeLessThan(rows[0].loss);
    expect(ending).toBe("done");
    expect([...new Set(layers.map(({ layer }) => layer))]).toEqual(["relu", "pool"]);
    expect(layers.filter(({ layer }) => layer === "relu").map(({ epoch }) => epoch)).toEqual([0, 1, 2, 3, 4, 5, 6]);
    model.dispose();
  });
});

test.runIf(available.includes("tensorflow"))("WASM and native TensorFlow find the same loss curve", async () => {
  const curves: number[][] = [];
  for (const backend of ["wasm", "tensorflow"] as const) {
    await useBackend(backend);
    const model = await loadModel(stripesNet(tf));
    const { rows } = await runTraining(model, stripes(48), {
      learningRate: 0.02,
      epochs: 4,
      batchSize: 8,
      validation: 0.25,
      augment: { flip: true, crop: 1, pad: "reflect" },
    });
    curves.push(rows.flatMap(({ loss, validationLoss }) => [loss, validationLoss]));
    model.dispose();
  }
  expect(maxDifference(curves[0], curves[1])).toBeLessThan(2e-3);
});

describe("a run", () => {
  const options: TrainingOptions = {
    learningRate: 0.02,
    epochs: 4,
    batchSize: 8,
    validation: 0.25,
    augment: { flip: true, crop: 1 },
    schedule: { kind: "plateau", patience: 1, factor: 0.5 },
    seed: 5,
  };
  const run = async (changes: TrainingOptions = {}, net: LayersModel = stripesNet(tf)) => {
    await useBackend("cpu");
    const model = await loadModel(net);
    const history = await runTraining(model, stripes(32), { ...options, ...changes });
    const weights = await weightsOf(model.network);
    model.dispose();
    return { history, weights };
  };

  test("repeats exactly with its seed, and is another with another", async () => {
    const [a, b, c] = [await run(), await run(), await run({ seed: 6 })];
    for (const name of Object.keys(a.weights)) expect(maxDifference(a.weights[name], b.weights[name])).toBe(0);
    expect(maxDifference(a.weights["conv/kernel"], c.weights["conv/kernel"])).toBeGreaterThan(1e-4);
  });

  test("taken up from its checkpoint after each epoch ends at the same weights and the same history", async () => {
    const folder = await Deno.makeTempDir();
    const checkpoint = `${folder}/a folder yet to be made/run.ckpt`;
    const whole = await run();
    let rows = 0;
    for (let stop = 1; stop <= 4; stop++) {
      const controller = new AbortController();
      await useBackend("cpu");
      const model = await loadModel(stripesNet(tf));
      const { history, weights } = await (async () => {
        const history = await runTraining(
          model,
          stripes(32),
          { ...options, checkpoint, signal: controller.signal },
          { onEpoch: ({ rows }) => void (rows.length >= stop && controller.abort()) },
        );
        return { history, weights: await weightsOf(model.network) };
      })();
      rows = history.rows.length;
      expect(rows).toBe(stop);
      if (stop === 4) {
        for (const name of Object.keys(weights)) expect(maxDifference(weights[name], whole.weights[name])).toBe(0);
        const bare = ({ rows }: typeof history) => rows.map((row) => ({ ...row, seconds: 0 }));
        expect(bare(history)).toEqual(bare(whole.history));
        expect(history.layers).toEqual(whole.history.layers);
        expect(history.snapshots.map(({ epoch }) => epoch)).toEqual([0, 1, 2, 4]);
        history.snapshots.forEach((snapshot, i) => {
          const other = whole.history.snapshots[i];
          for (const [name, { data }] of Object.entries(snapshot.weights)) {
            expect(maxDifference(data, other.weights[name].data)).toBe(0);
          }
          for (const [name, { data }] of Object.entries(snapshot.activations)) {
            expect(maxDifference(data, other.activations[name].data)).toBe(0);
          }
        });
      }
      model.dispose();
    }
    await Deno.remove(folder, { recursive: true });
  });

  test("a checkpoint of another run is refused, with what differs", async () => {
    const folder = await Deno.makeTempDir();
    const checkpoint = `${folder}/run.ckpt`;
    await run({ checkpoint, epochs: 1 });
    await expect(run({ checkpoint, epochs: 1, seed: 9, batchSize: 4 })).rejects.toThrow(
      /differs in batchSize \(8 there, 4 here\); seed \(5 there, 9 here\)/,
    );
    await Deno.writeTextFile(checkpoint, "something else");
    await expect(run({ checkpoint, epochs: 1 })).rejects.toThrow(/not a checkpoint/);
    await Deno.remove(folder, { recursive: true });
  });

  test("aborted between two steps keeps what was learned, and only full epochs in its rows", async () => {
    await useBackend("cpu");
    const model = await loadModel(stripesNet(tf));
    const before = tf.memory().numTensors;
    const start = (await weightsOf(model.network))["conv/kernel"].slice();
    const controller = new AbortController();
    const { rows, ending, snapshots } = await runTraining(model, stripes(32), {
      ...options,
      epochs: 100,
      signal: controller.signal,
    }, { onEpoch: ({ rows }) => void (rows.length === 2 && controller.abort()) });
    expect([rows.length, ending, snapshots.at(-1)!.epoch]).toEqual([2, "aborted", 2]);
    expect(maxDifference((await weightsOf(model.network))["conv/kernel"], start)).toBeGreaterThan(1e-4);
    expect(tf.memory().numTensors).toBe(before);
    model.dispose();
  });

  test("aborted in the middle of an epoch drops that epoch from the rows, and keeps its steps", async () => {
    await useBackend("cpu");
    const model = await loadModel(stripesNet(tf));
    const controller = new AbortController();
    const shares: number[] = [];
    const { rows, ending, snapshots } = await runTraining(
      model,
      stripes(2000),
      { ...options, epochs: 1, validation: 0, schedule: "constant", snapshots: [0], signal: controller.signal },
      {
        async onMoment({ share, peek, epoch }) {
          shares.push(share);
          const { weights, activations } = await peek();
          expect([epoch, Object.keys(weights), Object.keys(activations)]).toEqual([
            1,
            ["conv/kernel"],
            ["relu", "pool"],
          ]);
          controller.abort();
        },
      },
    );
    expect(shares.length).toBe(1);
    expect(shares[0]).toBeGreaterThan(0);
    expect(shares[0]).toBeLessThan(1);
    expect([rows.length, ending]).toEqual([0, "aborted"]);
    expect(maxDifference(
      snapshots.at(-1)!.weights["conv/kernel"].data,
      snapshots[0].weights["conv/kernel"].data,
    )).toBeGreaterThan(1e-4);
    model.dispose();
  });

  test("stops early once the validation loss no longer falls", async () => {
    const { history } = await run({ epochs: 60, earlyStop: 2, schedule: "constant", learningRate: 0.2 });
    expect(history.ending).toBe("stopped early");
    const losses = history.rows.map(({ validationLoss }) => validationLoss);
    expect(losses.indexOf(Math.min(...losses))).toBe(losses.length - 3);
  });

  test("a loss that is no number says where, and how to go on; no tensor is left", async () => {
    await useBackend("cpu");
    const model = await loadModel(stripesNet(tf, { dropout: 0 }));
    const before = tf.memory().numTensors;
    const failing = runTraining(model, stripes(32), { ...options, learningRate: 1e38 });
    await expect(failing).rejects.toThrow(TrainingError);
    await expect(failing).rejects.toThrow(/became NaN in epoch 1, step \d+ of 3\. Lower the learningRate/);
    expect(tf.memory().numTensors).toBe(before);
    model.dispose();
  });

  test.each(available.filter((name) => name !== "webgpu"))(
    "weights that are no numbers are told on %s",
    async (name) => {
      await useBackend(name);
      const model = await loadModel(stripesNet(tf));
      // Behind the ReLU of WASM nothing is seen of a NaN.
      tf.tidy(() => namedWeights(model.network).get("conv/kernel")!.assign(tf.fill([3, 3, 3, 4], NaN)));
      const before = tf.memory().numTensors;
      await expect(runTraining(model, stripes(16), { ...options, epochs: 1, augment: {} })).rejects.toThrow(
        /(The weights "conv\/kernel" are no longer numbers after epoch 1|The loss became NaN)/,
      );
      expect(tf.memory().numTensors).toBe(before);
      model.dispose();
    },
  );

  test("frozen layers stay as they are, frozen normalisations use their averages", async () => {
    const net = stripesNet(tf);
    const start = await weightsOf(net);
    const copy = Object.fromEntries(Object.entries(start).map(([name, data]) => [name, data.slice()]));
    net.getLayer("conv").trainable = false;
    net.getLayer("norm").trainable = false;
    const { weights } = await run({ schedule: "constant" }, net);
    for (const name of Object.keys(weights).filter((name) => !name.startsWith("out"))) {
      expect([name, maxDifference(weights[name], copy[name])]).toEqual([name, 0]);
    }
    expect(maxDifference(weights["out/kernel"], copy["out/kernel"])).toBeGreaterThan(1e-4);
  });

  test("penalties of the layers' own regularizers count, and their constraints hold", async () => {
    const net = (penalty: number) =>
      tf.sequential({
        layers: [
          tf.layers.flatten({ inputShape: [8, 8, 3] }),
          tf.layers.dense({
            name: "out",
            units: 2,
            activation: "softmax",
            kernelInitializer: tf.initializers.glorotNormal({ seed: 1 }),
            kernelRegularizer: penalty ? tf.regularizers.l2({ l2: penalty }) : undefined,
            kernelConstraint: penalty ? undefined : tf.constraints.nonNeg(),
          }),
        ],
      });
    const own = await run({ schedule: "constant" }, net(0.05));
    const free = await run({ schedule: "constant", weightDecay: 0.1 }, net(1e-30));
    expect(maxDifference(own.weights["out/kernel"], free.weights["out/kernel"])).toBeLessThan(1e-6);
    const held = await run({ schedule: "constant" }, net(0));
    expect(Math.min(...held.weights["out/kernel"])).toBe(0);
  });
});

describe("what cannot be trained is told", () => {
  const layers =
    () => [tf.layers.flatten({ inputShape: [8, 8, 3] }), tf.layers.dense({ units: 2, activation: "softmax" })];
  const fail = async (net: LayersModel, options: TrainingOptions, message: RegExp, data = stripes(8)) => {
    const model = await loadModel(net);
    const before = tf.memory().numTensors;
    await expect(runTraining(model, data, { epochs: 1, ...options })).rejects.toThrow(message);
    expect(tf.memory().numTensors).toBe(before);
    model.dispose();
  };
  test.each<[string, TrainingOptions, RegExp]>([
    ["epochs", { epochs: 0 }, /epochs must be a whole number ≥ 1: received 0/],
    ["batchSize", { batchSize: 1.5 }, /batchSize must be a whole number ≥ 1: received 1.5/],
    ["learningRate", { learningRate: -1 }, /learningRate must be a number above 0/],
    ["validation", { validation: 1 }, /validation must be a data set, or a share/],
    ["validation that leaves nothing", { validation: 0.95 }, /leaves none of the 8 images/],
    ["earlyStop without validation", { validation: 0, earlyStop: 2 }, /earlyStop looks at validation images/],
    ["plateau without validation", { validation: 0, schedule: "plateau" }, /"plateau" looks at validation images/],
    ["optimizer", { optimizer: "rmsprop" as never }, /no optimizer "rmsprop"/],
    ["momentum", { optimizer: { kind: "sgd", momentum: 1 } }, /momentum must be at least 0 and below 1/],
    ["schedule", { schedule: "linear" as never }, /no schedule "linear"/],
    ["crop", { augment: { crop: 8 } }, /augment.crop must be a whole number of pixels from 0 to 7: received 8/],
    ["snapshots", { snapshots: [-1] }, /snapshots must hold whole numbers/],
    ["snapshots as a number", { snapshots: 3 as never }, /snapshots must be an array of epochs.*: received 3/],
    ["validation as text", { validation: "0.1" as never }, /validation must be a data set or a share: received "0.1"/],
    ["augment as a switch", { augment: true as never }, /augment must be an object.*: received true/],
    ["plateau with a share of none", { validation: 0.05, schedule: "plateau" }, /share of 0.05 of 8 images is none/],
    ["earlyStop with a share of none", { validation: 0.05, earlyStop: 2 }, /earlyStop looks at validation images/],
  ])("%s", (_, options, message) => fail(tf.sequential({ layers: layers() }), options, message));

  test("models", async () => {
    const noise = tf.sequential({ layers: [layers()[0], tf.layers.gaussianNoise({ stddev: 1 }), layers()[1]] });
    await fail(noise, {}, /GaussianNoise, which draws random numbers that no seed repeats/);
    const tanh = tf.sequential({ layers: [layers()[0], tf.layers.dense({ units: 2, activation: "tanh" })] });
    await fail(
      tanh,
      {},
      /puts out 2 numbers \(tanh\), no probabilities; the data set "stripes" names one class an image, and no value\. /,
    );
    const frozen = tf.sequential({ layers: layers() });
    frozen.trainable = false;
    await fail(frozen, {}, /no weights that may be trained/);
  });

  test("data sets", async () => {
    const pixels = new Float32Array(192);
    const image = { pixels, shape: [8, 8, 3] as [number, number, number] };
    const net = () => tf.sequential({ layers: layers() });
    await fail(net(), {}, /has no labels to train on/, datasetOf([image], []));
    await fail(net(), {}, /tells 2 classes apart; the data set "toy" has 3/, datasetOf([image], ["a", "b", "c"]));
    await fail(net(), {}, /There is no class "c"/, datasetOf([{ ...image, label: "c" }], ["a", "b"]));
    await fail(net(), {}, /The image "toy-0" of "toy" has no label/, datasetOf([image], ["a", "b"]));
  });
});

test("one sigmoid unit learns two classes", async () => {
  await useBackend("cpu");
  const model = await loadModel(stripesNet(tf, { units: 1, dropout: 0 }));
  const { rows } = await runTraining(model, stripes(64), {
    optimizer: "adam",
    learningRate: 0.02,
    epochs: 12,
    batchSize: 16,
    validation: stripes(32, 8, 9),
  });
  expect(rows.at(-1)!.validationAccuracy).toBeGreaterThan(0.85);
  expect(rows.at(-1)!.accuracy).toBeGreaterThan(0.85);
  model.dispose();
});
