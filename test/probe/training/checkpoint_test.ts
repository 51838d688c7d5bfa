/** Checkpoints: the same run takes them up, another is refused with what differs; damaged files are told. */

import type { LayersModel, SymbolicTensor } from "@tensorflow/tfjs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CheckpointError, readCheckpoint, writeCheckpoint } from "../../../lib/probe/training/checkpoint.ts";
import type { Dataset } from "../../../lib/data/dataset.ts";
import { loadModel, type LoadModelOptions } from "../../../lib/model/load.ts";
import type { TrainingOptions } from "../../../lib/probe/training/options.ts";
import { runTraining } from "../../../lib/probe/training/train.ts";
import { ensureBackend, useBackend } from "../../../lib/runtime/backend.ts";
import { mutated } from "../../damage.ts";
import { long } from "../../long.ts";
import { uniforms } from "../../nets.ts";
import { datasetOf, stripes, stripesNet } from "./toys.ts";

const started = await useBackend();
const tf = await ensureBackend();
const L = tf.layers;
let folder: string;
beforeAll(async () => {
  await useBackend("cpu");
  folder = await Deno.makeTempDir();
});
afterAll(async () => {
  await useBackend(started.name);
  await Deno.remove(folder, { recursive: true });
});

interface NetOptions {
  side?: number;
  activation?: "relu" | "tanh";
  dropout?: number;
  frozen?: boolean;
  last?: "softmax" | "sigmoid" | "linear";
  /** Which of two layers of the same shape comes first. */
  swapped?: boolean;
}

function net({ side = 8, activation = "relu", dropout = 0, frozen, last = "softmax", swapped }: NetOptions = {}) {
  const x = tf.input({ shape: [side, side, 3] });
  const conv = L.conv2d({ filters: 3, kernelSize: 3, strides: 2, activation });
  const [a, b] = [1, 2].map((rate) => L.leakyReLU({ alpha: rate / 10 }));
  const all = [conv, ...(swapped ? [b, a] : [a, b]), L.dropout({ rate: dropout }), L.flatten()];
  const y = all.reduce((y, layer) => layer.apply(y) as SymbolicTensor, x);
  if (frozen) conv.trainable = false;
  return tf.model({ inputs: x, outputs: L.dense({ units: 2, activation: last }).apply(y) as SymbolicTensor });
}

const PIXELS = Array.from({ length: 12 }, (_, i) => Float32Array.from({ length: 300 }, (_, j) => (i * j * 7) % 256));
/** Twelve images of 10×10, which models squash or crop. */
function images(
  { labels = ["a", "b"], name = "set", salt = 0, turned = false } = {},
): Dataset {
  const all = PIXELS.map((pixels, i) => ({
    pixels: pixels.map((value, j) => j === 150 ? (value + salt) % 256 : value),
    shape: [10, 10, 3] as [number, number, number],
    label: [...labels].sort()[(i + Number(turned)) % 2],
  }));
  return datasetOf(all, labels, name);
}

interface Run {
  net?: NetOptions;
  load?: Partial<LoadModelOptions>;
  data?: Dataset;
  options?: TrainingOptions;
}

let runs = 0;
const fresh = () => `${folder}/${runs++}`;

async function run(checkpoint: string | undefined, { net: asked, load, data, options }: Run = {}) {
  const network = net(asked);
  const model = await loadModel(network, { preprocess: "unit", output: "classes", ...load });
  try {
    return await runTraining(model, data ?? images(), {
      epochs: 2,
      batchSize: 4,
      validation: 0.25,
      checkpoint,
      ...options,
    });
  } finally {
    model.dispose();
  }
}

const sum = '"sha256 \\w{16}"';

describe("another run is refused, with what differs and both values:", () => {
  let checkpoint: string;
  beforeAll(async () => {
    checkpoint = fresh();
    await run(checkpoint);
  });

  test.each<[string, Run, RegExp]>([
    ["pixels", { data: images({ salt: 1 }) }, RegExp(`training images, pixels \\(${sum} there, ${sum} here\\)\\. `)],
    ["which image has which label", { data: images({ turned: true }) }, RegExp(`training images, labels \\(${sum} th`)],
    ["ids", { data: images({ name: "other" }) }, RegExp(`training images, ids \\(${sum} there, ${sum} here\\)\\. `)],
    [
      "how many images",
      { data: { ...stripes(8, 10), labels: ["a", "b"] } as Dataset, load: { labels: ["across", "down"] } },
      /labels \(\["a","b"\] there, \["across","down"\] here\); training images, images \(12 there, 8 here\)/,
    ],
    [
      "the order of the labels",
      { data: images({ labels: ["b", "a"] }) },
      /labels \(\["a","b"\] there, \["b","a"\] here\)/,
    ],
    ["other labels", { data: images({ labels: ["x", "y"] }) }, /labels \(\["a","b"\] there, \["x","y"\] here\)/],
    [
      "preprocessing",
      { load: { preprocess: "tf" } },
      /preprocess, mean \(\[0,0,0\] there, \[127.5,127.5,127.5\] here\)/,
    ],
    [
      "the order of colours",
      { load: { preprocess: { mode: "unit", order: "bgr" } } },
      /preprocess, order \("rgb" there/,
    ],
    [
      "how images are fitted",
      { load: { preprocess: { mode: "unit", fit: "squash" } } },
      /fit \("crop" there, "squash" h/,
    ],
    ["the size of images", { net: { side: 6 } }, /input \(\[8,8,3\] there, \[6,6,3\] here\)/],
    ["an activation", { net: { activation: "tanh" } }, /network, layer 0, activation \("relu" there, "tanh" here\)\. /],
    ["a dropout", { net: { dropout: 0.5 } }, /network, layer 3, rate \(0 there, 0.5 here\)\. /],
    [
      "the order of layers",
      { net: { swapped: true } },
      /network, layer 1, alpha \(0\.1 there, 0\.2 here\); network, layer 2/,
    ],
    ["a frozen layer", { net: { frozen: true } }, /network, layer 0, trainable \(true there, false here\)/],
    ["the loss", { net: { last: "sigmoid" } }, /output, activation \("softmax" there, "sigmoid" here\)/],
    [
      "logits",
      { net: { last: "linear" } },
      /layer 5, activation \("softmax" there, "linear" here\); output, activation/,
    ],
    ["smoothing", { options: { labelSmoothing: 0.1 } }, /labelSmoothing \(0 there, 0.1 here\)\. /],
    ["augmentation", { options: { augment: { flip: true } } }, /augment, flip \(false there, true here\)\. /],
    ["the optimizer", { options: { optimizer: "adam" } }, /optimizer, kind \("sgd" there, "adam" here\)/],
    [
      "momentum",
      { options: { optimizer: { kind: "sgd", momentum: 0.5 } } },
      /optimizer, momentum \(0.9 there, 0.5 here\)/,
    ],
    ["the rate", { options: { learningRate: 0.02 } }, /learningRate \(0.01 there, 0.02 here\)\. /],
    ["the schedule", { options: { schedule: "cosine" } }, /schedule, kind \("constant" there, "cosine" here\)/],
    ["weight decay", { options: { weightDecay: 0.1 } }, /weightDecay \(0 there, 0.1 here\)\. /],
    ["the batch", { options: { batchSize: 3 } }, /batchSize \(4 there, 3 here\)\. /],
    ["the seed", { options: { seed: 1 } }, /seed \(0 there, 1 here\)\. /],
    ["early stopping", { options: { earlyStop: 5 } }, /earlyStop \(null there, 5 here\)\. /],
    ["the share of the validation", { options: { validation: 0.5 } }, /validation \(0.25 there, 0.5 here\)\. /],
    [
      "the validation set",
      { options: { validation: images() } },
      /validation \(0.25 there, \{"images":12,"ids":"sha256/,
    ],
    ["snapshots", { options: { snapshots: [0, 2] } }, /snapshots \(\[0,1,2\] there, \[0,2\] here\)\. /],
    [
      "the probe",
      { options: { probe: { data: PIXELS[3], shape: [10, 10, 3] } } },
      /probe \("the first image" there, "sha/,
    ],
  ])("%s", async (_, other, message) => {
    const before = await Deno.readFile(checkpoint);
    const failing = run(checkpoint, other);
    await expect(failing).rejects.toThrow(CheckpointError);
    await expect(failing).rejects.toThrow(message);
    await expect(failing).rejects.toThrow(`The checkpoint ${checkpoint} belongs to another run; it differs in `);
    expect(await Deno.readFile(checkpoint)).toEqual(before);
  });

  test("another validation set of the same size", async () => {
    const checkpoint = fresh();
    await run(checkpoint, { options: { validation: images({ salt: 3 }) } });
    await expect(run(checkpoint, { options: { validation: images({ salt: 4 }) } })).rejects.toThrow(
      RegExp(`differs in validation, pixels \\(${sum} there, ${sum} here\\)\\. `),
    );
  });
});

describe("the same run goes on", () => {
  const epochs = async (other: Run) => {
    const checkpoint = fresh();
    await run(checkpoint);
    return (await run(checkpoint, other)).rows.map(({ epoch }) => epoch);
  };

  test.each<[string, Run]>([
    ["with names that are made automatically", {}],
    ["under another name of the model", { load: { name: "other" } }],
    ["with an option spelt out", {
      options: { schedule: { kind: "constant" }, optimizer: { kind: "sgd", momentum: 0.9 }, learningRate: 0.01 },
    }],
    ["with a preprocessing spelt out", { load: { preprocess: { deviation: [255, 255, 255] } } }],
  ])("%s", async (_, other) => expect(await epochs(other)).toEqual([1, 2]));

  test("to more epochs, and ends as if it had not stopped between", async () => {
    const [checkpoint, whole] = [fresh(), fresh()];
    const weightsOf = async (path: string) => [...(await readCheckpoint(path))!.arrays].map(([, { data }]) => data);
    await run(checkpoint);
    // The same run from the same second epoch on, without another stop.
    await Deno.copyFile(checkpoint, whole);
    const five = { options: { epochs: 5 } };
    await run(checkpoint, { options: { epochs: 3 } });
    const { rows, snapshots } = await run(checkpoint, five);
    expect(rows.map(({ epoch }) => epoch)).toEqual([1, 2, 3, 4, 5]);
    expect(snapshots.map(({ epoch }) => epoch)).toEqual([0, 1, 2, 4, 5]);
    await run(whole, five);
    expect(await weightsOf(checkpoint)).toEqual(await weightsOf(whole));
  });

  test("but not back to fewer epochs than it has", async () => {
    await expect(epochs({ options: { epochs: 1 } })).rejects.toThrow(
      /has 2 epochs behind it: received epochs: 1\. Ask for as many or more/,
    );
  });

  test("and its history names layers as they are called now", async () => {
    const checkpoint = fresh();
    const first = await run(checkpoint);
    const { snapshots, layers } = await run(checkpoint, { options: { epochs: 3 } });
    expect(Object.keys(first.snapshots[0].weights)).not.toEqual(Object.keys(snapshots[0].weights));
    expect(new Set(snapshots.map(({ weights }) => Object.keys(weights).join())).size).toBe(1);
    expect(new Set(snapshots.map(({ activations }) => Object.keys(activations).join())).size).toBe(1);
    const names = layers.map(({ layer }) => layer);
    expect(new Set(names).size).toBe(names.length / 4);
  });
});

describe("a checkpoint that cannot be written is told before an image is read:", () => {
  test.each<[string, (path: string) => Promise<string>, RegExp]>([
    ["its folder is a file", async (path) => {
      await Deno.writeTextFile(path, "");
      return `${path}/run`;
    }, /cannot be written: .+ Name a file in a folder that can be written/],
    ["it is a folder", async (path) => {
      await Deno.mkdir(path);
      return path;
    }, /cannot be written: it is a folder\./],
    [
      "its folder cannot be made",
      () => Promise.resolve("/proc/nowhere/run"),
      /\/proc\/nowhere\/run cannot be written: /,
    ],
    [
      "its folder is there, and nothing is named in it",
      () => Promise.resolve(`${folder}/`),
      /cannot be written: it is a fo/,
    ],
    ["it has no name", () => Promise.resolve(""), /cannot be written: it is a folder/],
    ["its name is too long", (path) => Promise.resolve(path + "x".repeat(300)), /cannot be written: /],
  ])("%s", async (_, make, message) => {
    const checkpoint = await make(fresh());
    let read = 0;
    const data = images();
    const counting = {
      ...data,
      async *[Symbol.asyncIterator]() {
        for await (const item of data) {
          read++;
          yield item;
        }
      },
    };
    const failing = run(checkpoint, { data: counting });
    await expect(failing).rejects.toThrow(CheckpointError);
    await expect(failing).rejects.toThrow(message);
    expect(read).toBe(0);
  });

  test("one that fails later leaves the former one", async () => {
    const path = fresh();
    await run(path);
    const before = await Deno.readFile(path);
    await Deno.mkdir(`${path}.new`);
    const checkpoint = (await readCheckpoint(path))!;
    await expect(writeCheckpoint(path, checkpoint)).rejects.toThrow(`The checkpoint ${path} cannot be written: `);
    expect(await Deno.readFile(path)).toEqual(before);
  });
});

test("a relative path stays where it was when the working directory changes", async () => {
  const before = Deno.cwd();
  const path = fresh();
  await Deno.mkdir(path);
  try {
    Deno.chdir(folder);
    const model = await loadModel(net(), { preprocess: "unit", output: "classes" });
    const options = { epochs: 2, batchSize: 4, checkpoint: `${path.slice(folder.length + 1)}/run` };
    await runTraining(model, images(), options, { onEpoch: () => Deno.chdir(path) });
    expect([...Deno.readDirSync(path)].map(({ name }) => name)).toEqual(["run"]);
    expect((await readCheckpoint(`${path}/run`))!.state).toMatchObject({ epoch: 2 });
  } finally {
    Deno.chdir(before);
  }
});

test("what a killed writer left is cleared away, and trips over nothing", async () => {
  const path = fresh();
  await run(path);
  const whole = await Deno.readFile(path);
  for (const left of [new Uint8Array(0), whole.subarray(0, 1000), whole]) {
    await Deno.writeFile(`${path}.new`, left);
    expect((await run(path)).rows.length).toBe(2);
    await expect(Deno.stat(`${path}.new`)).rejects.toThrow(Deno.errors.NotFound);
    // The same where there is no checkpoint yet.
    const other = fresh();
    await Deno.writeFile(`${other}.new`, left);
    expect((await run(other, { options: { epochs: 1 } })).rows.length).toBe(1);
    await expect(Deno.stat(`${other}.new`)).rejects.toThrow(Deno.errors.NotFound);
  }
});

const MUTATED = long(2000, 60);
test(`${MUTATED} damaged checkpoints: an error that names the file, or the same content`, async () => {
  const path = fresh();
  const network: LayersModel = stripesNet(tf);
  await runTraining(await loadModel(network), stripes(16), { epochs: 1, optimizer: "adam", checkpoint: path });
  const good = await Deno.readFile(path);
  const truth = await readCheckpoint(path);
  const random = uniforms(5);
  const counts = { told: 0, equal: 0 };
  for (let i = 0; i < MUTATED; i++) {
    await Deno.writeFile(path, mutated(good, random));
    try {
      expect(await readCheckpoint(path)).toEqual(truth);
      counts.equal++;
    } catch (error) {
      expect(error).toBeInstanceOf(CheckpointError);
      expect((error as Error).message).toContain(path);
      counts.told++;
    }
  }
  console.log(`${MUTATED} damaged checkpoints: ${counts.told} refused by name, ${counts.equal} equal`);
  expect(counts.told).toBeGreaterThan(MUTATED / 2);
  await Deno.writeFile(path, good);
  const train = async () => runTraining(await loadModel(stripesNet(tf)), stripes(16), { epochs: 1, checkpoint: path });
  await expect(train()).rejects.toThrow(/differs in optimizer, kind/);
  await Deno.writeTextFile(path, new TextDecoder().decode(good.subarray(0, 30)).replace("2\n", "1\n"));
  await expect(train()).rejects.toThrow(
    `${path} is a checkpoint of another version of convlens. Remove it to start anew`,
  );
});
