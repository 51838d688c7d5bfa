/**
 * Trains the scaled networks that the lecture on training compares, and writes each with its log beside this file, its
 * weights as 16-bit floats:
 *
 * ```sh
 * CONVLENS_BACKEND=tensorflow deno run -A data/small-zfnet/train.ts coarse
 * CONVLENS_BACKEND=tensorflow deno run -A data/small-zfnet/train.ts fine
 * CONVLENS_BACKEND=tensorflow deno run -A data/small-zfnet/train.ts unregularised
 * ```
 *
 * `coarse` and `fine` differ in the first layer only. Both are small and briefly trained, on the first 20,000 images:
 * what counts is that they had the same. `unregularised` is the coarse one again, trained long on 300 images without
 * dropout, weight decay and flips, so that it learns them by heart.
 *
 * @module
 */

import type { io } from "npm:@tensorflow/tfjs@4.22.0";
import { cifar10, CIFAR10_CLASSES } from "../../lib/data/cifar10.ts";
import { smallZfnet } from "../../lib/model/architectures/zfnet.ts";
import type { TrainingOptions } from "../../lib/probe/training/options.ts";
import { runTraining } from "../../lib/probe/training/train.ts";
import { ensureBackend, useBackend } from "../../lib/runtime/backend.ts";

const COARSE = { kernelSize: 11, stride: 4 };
const FINE = { kernelSize: 7, stride: 2 };
const WELL: TrainingOptions = {
  schedule: "cosine",
  weightDecay: 1e-3,
  epochs: 6,
  batchSize: 64,
  augment: { flip: true },
};
const RUNS = {
  coarse: { network: COARSE, images: 20_000, training: WELL },
  fine: { network: FINE, images: 20_000, training: WELL },
  unregularised: { network: { ...COARSE, dropout: 0 }, images: 300, training: { epochs: 200, batchSize: 32 } },
};
const SEED = 1;

const which = Deno.args[0] as keyof typeof RUNS;
const run = RUNS[which];
if (!run) {
  console.error(`Usage: deno run -A data/small-zfnet/train.ts ${Object.keys(RUNS).join("|")}`);
  Deno.exit(1);
}
const folder = new URL(`${which}/`, import.meta.url);
await Deno.mkdir(folder, { recursive: true });
const lines: string[] = [];
const say = (line: string) => {
  console.log(line);
  lines.push(line);
};

const { name, version, device } = await useBackend();
say(`${which}: backend ${name} ${version} on ${device}, seed ${SEED}`);
const tf = await ensureBackend();
const model = await smallZfnet({
  ...run.network,
  weights: "he",
  seed: SEED,
  labels: CIFAR10_CLASSES,
  name: `small-zfnet-${which}`,
});
await runTraining(model, await cifar10({ split: "train", limit: run.images }), {
  ...run.training,
  optimizer: { kind: "sgd", momentum: 0.9 },
  learningRate: 0.01,
  validation: 0.1,
  seed: SEED,
  snapshots: [],
}, {
  onEpoch({ rows }) {
    const row = rows.at(-1);
    // Some twenty lines at most.
    if (!row || row.epoch % Math.ceil(run.training.epochs! / 20)) return;
    say(
      `epoch ${row.epoch}  loss ${row.loss.toFixed(4)}  accuracy ${row.accuracy.toFixed(4)}  validation loss ` +
        `${row.validationLoss.toFixed(4)}  accuracy ${row.validationAccuracy.toFixed(4)}  ${row.seconds.toFixed(0)} s`,
    );
  },
});

const { mean, deviation } = model.preprocess;
model.network.setUserDefinedMetadata({ labels: CIFAR10_CLASSES, preprocess: { mean, deviation } });
await model.network.save(tf.io.withSaveHandler(async (artifacts: io.ModelArtifacts) => {
  const { modelTopology, weightSpecs, userDefinedMetadata } = artifacts;
  const weights = weightSpecs!.map((spec) => ({
    ...spec,
    quantization: { dtype: "float16" as const, original_dtype: "float32" },
  }));
  const json = {
    format: "layers-model",
    modelTopology,
    weightsManifest: [{ paths: ["weights.bin"], weights }],
    userDefinedMetadata,
  };
  const values = Float16Array.from(new Float32Array(artifacts.weightData as ArrayBuffer));
  await Deno.writeTextFile(new URL("model.json", folder), `${JSON.stringify(json, null, 2)}\n`);
  await Deno.writeFile(new URL("weights.bin", folder), new Uint8Array(values.buffer));
  say(`Wrote ${(values.byteLength / 1e6).toFixed(2)} MB of weights.`);
  return { modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: "JSON" as const } };
}));
await Deno.writeTextFile(new URL("training.log", folder), `${lines.join("\n")}\n`);
