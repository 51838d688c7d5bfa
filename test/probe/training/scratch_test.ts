/** Runs that begin anew, and what is said of those that go on. */

import type { layers, LayersModel, SymbolicTensor, Tensor } from "@tensorflow/tfjs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startText } from "../../../lib/data/history.ts";
import { catsVsDogsConvnet, tinyVgg } from "../../../lib/model/architectures/builders.ts";
import { namedWeights } from "../../../lib/model/formats/named_weights.ts";
import { loadModel } from "../../../lib/model/load.ts";
import type { Model } from "../../../lib/model/model.ts";
import { train } from "../../../lib/methods/train.ts";
import type { TrainingOptions } from "../../../lib/probe/training/options.ts";
import { beginAnew } from "../../../lib/probe/training/scratch.ts";
import { ensureBackend } from "../../../lib/runtime/backend.ts";
import { stripes, stripesNet } from "./toys.ts";

const tf = await ensureBackend();
const L = tf.layers;
const short: TrainingOptions = { epochs: 1, batchSize: 8, validation: 0.25, seed: 3 };
const quiet = { ...short, live: false };

let folder: string;
beforeAll(async () => void (folder = await Deno.makeTempDir()));
afterAll(() => Deno.remove(folder, { recursive: true }));

async function weightsOf(network: LayersModel): Promise<Record<string, number[]>> {
  const all = await Promise.all([...namedWeights(network)].map(async ([name, variable]) => {
    return [name, [...await variable.data()]] as [string, number[]];
  }));
  return Object.fromEntries(all);
}

/** Gives all weights of a network one value. */
const fill = (network: LayersModel, value: number) =>
  tf.tidy(() => namedWeights(network).forEach((variable) => variable.assign(tf.fill(variable.shape, value))));

describe("weights from scratch", () => {
  test.each([["catsVsDogsConvnet", () => catsVsDogsConvnet({ size: 16, seed: 5 })], [
    "tinyVgg",
    () => tinyVgg({ seed: 5 }),
  ]])(
    "are those that %s draws with the same seed",
    async (_, make) => {
      const wanted = await make();
      const model = await make();
      fill(model.network, 7);
      const before = tf.memory().numTensors;
      beginAnew(tf, model.network, model.name, 5);
      expect(tf.memory().numTensors).toBe(before);
      expect(await weightsOf(model.network)).toEqual(await weightsOf(wanted.network));
      beginAnew(tf, model.network, model.name, 6);
      expect((await weightsOf(model.network))["conv1/kernel"] ?? (await weightsOf(model.network))["conv1_1/kernel"])
        .not.toEqual((await weightsOf(wanted.network))["conv1/kernel"]);
      wanted.dispose();
      model.dispose();
    },
  );

  test("of normalisations, recurrent layers, wrappers and nested networks; of frozen ones not", () => {
    const inner = (name: string) =>
      tf.sequential({
        name,
        layers: [
          L.conv2d({ name: "conv", inputShape: [4, 4, 3], filters: 2, kernelSize: 1, kernelInitializer: "heNormal" }),
          L.batchNormalization({ name: "norm", gammaInitializer: tf.initializers.constant({ value: 3 }) }),
        ],
      });
    const [free, frozen] = [inner("free"), inner("frozen")];
    frozen.trainable = false;
    const input = tf.input({ shape: [4, 4, 3] });
    const sum = L.add().apply([free.apply(input), frozen.apply(input)] as SymbolicTensor[]) as SymbolicTensor;
    const steps = L.reshape({ targetShape: [16, 2] }).apply(sum) as SymbolicTensor;
    const each = L.timeDistributed({ name: "each", layer: L.dense({ name: "d", units: 3 }) as layers.Layer });
    const memory = L.lstm({ name: "memory", units: 2, unitForgetBias: true });
    const outputs = memory.apply(each.apply(steps) as SymbolicTensor) as SymbolicTensor;
    const network = tf.model({ inputs: input, outputs });
    const shapes = [...namedWeights(network).values()].map(({ shape }) => shape);
    fill(network, 9);
    beginAnew(tf, network, "nested", 1);
    const all = Object.fromEntries([...namedWeights(network)].map(([name, value]) => [name, [...value.dataSync()]]));
    expect([...namedWeights(network).values()].map(({ shape }) => shape)).toEqual(shapes);
    expect(all["free/norm/gamma"]).toEqual([3, 3]);
    expect(all["free/norm/beta"]).toEqual([0, 0]);
    expect(all["free/norm/moving_mean"]).toEqual([0, 0]);
    expect(all["free/norm/moving_variance"]).toEqual([1, 1]);
    // The forget gate begins open.
    expect(all["memory/bias"]).toEqual([0, 0, 1, 1, 0, 0, 0, 0]);
    for (const name of ["free/conv/kernel", "each/kernel", "memory/kernel", "memory/recurrent_kernel"]) {
      expect(new Set(all[name]).size, name).toBe(all[name].length);
      expect(Math.max(...all[name].map(Math.abs)), name).toBeLessThan(3);
    }
    for (const [name, values] of Object.entries(all)) {
      if (name.startsWith("frozen/")) expect(new Set(values)).toEqual(new Set([9]));
    }
    network.dispose();
  });

  test("of a layer that cannot be made again are refused, and nothing is changed", async () => {
    class Sized extends L.Layer {
      static className = "Sized";
      #weight?: ReturnType<layers.Layer["addWeight"]>;
      constructor(readonly count: number, config = {}) {
        super(config);
      }
      override build() {
        this.#weight = this.addWeight("scale", [this.count], "float32", tf.initializers.ones());
        super.build([]);
      }
      override call(inputs: Tensor | Tensor[]) {
        return tf.mul([inputs].flat()[0], this.#weight!.read());
      }
    }
    tf.serialization.registerClass(Sized as never);
    const net = tf.sequential({
      layers: [
        L.conv2d({ name: "conv", inputShape: [8, 8, 3], filters: 2, kernelSize: 3 }),
        new Sized(2, { name: "sized" }),
        L.globalAveragePooling2d({}),
        L.activation({ activation: "softmax" }),
      ],
    });
    const model = await loadModel(net, { name: "odd" });
    const before = await weightsOf(net);
    const tensors = tf.memory().numTensors;
    await expect(train(model, stripes(8), { ...quiet, from: "scratch" })).rejects.toThrow(
      /"odd" cannot begin from scratch: its layer "sized" \(Sized\) cannot be made again.*getConfig/,
    );
    expect(tf.memory().numTensors).toBe(tensors);
    expect(await weightsOf(net)).toEqual(before);
  });
});

describe("a model that is trained", () => {
  const make = async () => await loadModel(stripesNet(tf), { name: "net" });
  const losses = (rows: readonly { loss: number; validationLoss: number }[]) =>
    rows.map(({ loss, validationLoss }) => [loss, validationLoss]);

  test("says by which runs, goes on from there, and begins anew if it is told to", async () => {
    const model = await make();
    const first = await train(model, stripes(24), { ...quiet, from: "scratch" });
    expect(first.start).toEqual({ from: "scratch", before: [] });
    expect(model.training).toMatchObject([{
      dataset: "stripes",
      images: 18,
      validationImages: 6,
      epochs: 1,
      ending: "done",
      loss: first.rows[0].loss,
      validationAccuracy: first.rows[0].validationAccuracy,
      optimizer: "sgd",
      learningRate: 0.01,
      batchSize: 8,
      seed: 3,
    }]);
    const after = await weightsOf(model.network);

    const second = await train(model, stripes(24), { ...quiet, epochs: 2, validation: 0 });
    expect(second.start).toEqual({ from: "trained", before: [model.training[0]] });
    expect(model.training.map(({ epochs, validationLoss }) => [epochs, validationLoss])).toEqual([
      [1, first.rows[0].validationLoss],
      [2, null],
    ]);
    expect(second.figure().caption).toMatch(
      /Went on from trained weights: 1 epoch on stripes \(18 images\), validation acc/,
    );
    expect(second.figure().caption).toContain('To begin anew: train(…, { from: "scratch" }).');
    expect(model.figure().caption).toMatch(
      /Trained for 3 epochs in 2 runs, the last on stripes \(24 images\), accuracy/,
    );

    const anew = await train(model, stripes(24), { ...quiet, from: "scratch" });
    expect(losses(anew.rows)).toEqual(losses(first.rows));
    expect(await weightsOf(model.network)).toEqual(after);
    expect(model.training).toHaveLength(1);
    await expect(train(model, stripes(8), { ...quiet, from: "the start" as never })).rejects.toThrow(
      /from must be "current" or "scratch"/,
    );
    model.dispose();
  });

  test("and saved goes on as what it is; one of another program from what was loaded", async () => {
    const model = await make();
    await train(model, stripes(24), quiet);
    await model.save(`${folder}/net`);
    const again = await loadModel(`${folder}/net`);
    expect(again.training).toEqual(model.training);
    expect((await train(again, stripes(24), quiet)).start).toEqual({ from: "trained", before: model.training });
    const json = JSON.parse(await Deno.readTextFile(`${folder}/net/model.json`));
    delete json.userDefinedMetadata;
    await Deno.writeTextFile(`${folder}/net/model.json`, JSON.stringify(json));
    const { start } = await train(await loadModel(`${folder}/net`), stripes(24), quiet);
    expect(startText(start)).toBe(
      'Went on from the weights that were loaded. To begin anew: train(…, { from: "scratch" }).',
    );
  });

  test("and broken or spoilt begins anew", async () => {
    const model = await make();
    await expect(train(model, stripes(24), { ...quiet, learningRate: 1e30, validation: 0 })).rejects.toThrow(
      /from: "scratch"/,
    );
    expect(model.training).toMatchObject([{ ending: "failed" }]);
    await expect(train(model, stripes(24), quiet)).rejects.toThrow(/NaN or infinity.*begin anew.*from: "scratch"/);
    const { rows } = await train(model, stripes(24), { ...quiet, from: "scratch" });
    const fresh = await make();
    expect(losses(rows)).toEqual(losses((await train(fresh, stripes(24), { ...quiet, from: "scratch" })).rows));
    expect(model.training).toHaveLength(1);
  });

  test("with a checkpoint is one run, however often it is taken up", async () => {
    const checkpoint = `${folder}/run`;
    const run = async (model: Model, epochs: number, from: "scratch" | "current" = "scratch") =>
      await train(model, stripes(24), { ...quiet, epochs, checkpoint, from });
    const [whole, broken] = [await make(), await make()];
    await run(broken, 1);
    const taken = await run(await make(), 2);
    expect(taken.start).toEqual({ from: "scratch", before: [] });
    const model = await make();
    await run(model, 2);
    expect(model.training).toMatchObject([{ epochs: 2 }]);
    const all = await train(whole, stripes(24), { ...quiet, epochs: 2, from: "scratch" });
    expect(losses(taken.rows)).toEqual(losses(all.rows));
    await expect(run(model, 3, "current")).rejects.toThrow(
      /belongs to another run; it differs in from \("scratch" there/,
    );
  });
});
