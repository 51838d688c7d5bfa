/**
 * Makes the house ConvNet of the last checkpoint of `train.ts`: folds each batch normalisation into the convolution before it,
 * checks that nothing changed by that, and writes `model.json` and its weights beside this file.
 *
 * ```sh
 * deno run -A data/cifar-convnet/save.ts CHECKPOINT
 * ```
 *
 * @module
 */

import type { io, Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import type { NdArray } from "../../lib/array.ts";
import { CIFAR10_CLASSES } from "../../lib/data/cifar10.ts";
import { readCheckpoint } from "../../lib/probe/training/checkpoint.ts";
import { namedWeights } from "../../lib/model/formats/named_weights.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { EPSILON, foldedNetwork, PREPROCESS, trainingNetwork } from "./network.ts";

const [path] = Deno.args;
const checkpoint = path ? await readCheckpoint(path) : null;
if (!checkpoint) {
  console.error(path ? `There is no checkpoint ${path}.` : "Usage: deno run -A data/cifar-convnet/save.ts CHECKPOINT");
  Deno.exit(1);
}
const tf = await ensureBackend();
const weight = (name: string): NdArray => checkpoint.arrays.get(`weights/${name}`)!;

const trained = trainingNetwork(tf, 0);
const folded = foldedNetwork(tf);
tf.tidy(() => {
  for (const [name, variable] of namedWeights(trained)) variable.assign(tf.tensor(weight(name).data, variable.shape));
  for (const layer of folded.layers.filter(({ weights }) => weights.length > 0)) {
    const kernel = weight(`${layer.name}/kernel`);
    if (layer.getClassName() !== "Conv2D") {
      layer.setWeights([tf.tensor(kernel.data, [...kernel.shape]), tf.tensor1d(weight(`${layer.name}/bias`).data)]);
      continue;
    }
    const norm = layer.name.replace("conv", "norm");
    const [gamma, beta, mean, variance] = ["gamma", "beta", "moving_mean", "moving_variance"]
      .map((name) => weight(`${norm}/${name}`).data);
    const scale = gamma.map((value, i) => value / Math.sqrt(variance[i] + EPSILON));
    const values = kernel.data.map((value, i) => value * scale[i % scale.length]);
    const bias = beta.map((value, i) => value - mean[i] * scale[i]);
    layer.setWeights([tf.tensor(values, [...kernel.shape]), tf.tensor1d(bias)]);
  }
});

const difference = tf.tidy(() => {
  const x = tf.randomNormal([32, 32, 32, 3], 0, 1, "float32", 1);
  return tf.max(tf.abs(tf.sub(trained.predict(x) as Tensor, folded.predict(x) as Tensor)));
});
const most = (await difference.data())[0];
console.log(`Folded: probabilities differ by at most ${most.toExponential(1)}.`);
if (!(most < 1e-4)) throw new Error("The folded network computes something else than the trained one.");

folded.setUserDefinedMetadata({ labels: CIFAR10_CLASSES, preprocess: PREPROCESS });
await folded.save(tf.io.withSaveHandler(async (artifacts: io.ModelArtifacts) => {
  const { modelTopology, weightSpecs, userDefinedMetadata } = artifacts;
  const json = {
    format: "layers-model",
    modelTopology,
    weightsManifest: [{ paths: ["weights.bin"], weights: weightSpecs }],
    userDefinedMetadata,
  };
  const bytes = new Uint8Array(artifacts.weightData as ArrayBuffer);
  await Deno.writeTextFile(new URL("model.json", import.meta.url), `${JSON.stringify(json, null, 2)}\n`);
  await Deno.writeFile(new URL("weights.bin", import.meta.url), bytes);
  console.log(`Wrote model.json and ${(bytes.length / 1e6).toFixed(2)} MB of weights.`);
  return { modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: "JSON" as const } };
}));
