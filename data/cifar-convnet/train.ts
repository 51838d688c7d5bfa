/**
 * Trains the house ConvNet on CIFAR-10 and writes checkpoints, from the last of which `save.ts` makes the model:
 *
 * ```sh
 * deno run -A data/cifar-convnet/train.ts FOLDER | tee data/cifar-convnet/training.log
 * ```
 *
 * 45,000 images are trained on, 5,000 only looked at; the test images are not touched. The learning rate falls along two
 * cosines, the second from half the height (Loshchilov and Hutter 2016, "SGDR"). A run that was stopped goes on from its
 * checkpoints.
 *
 * @module
 */

import { cifar10 } from "../../lib/data/cifar10.ts";
import { loadModel } from "../../lib/model/load.ts";
import type { HistoryData } from "../../lib/data/history.ts";
import type { TrainingOptions } from "../../lib/probe/training/options.ts";
import { runTraining } from "../../lib/probe/training/train.ts";
import { ensureBackend, useBackend } from "../../lib/runtime/backend.ts";
import { PREPROCESS, trainingNetwork } from "./network.ts";

const SEED = 1;

const common: TrainingOptions = {
  optimizer: { kind: "sgd", momentum: 0.9, nesterov: true },
  weightDecay: 5e-4,
  batchSize: 128,
  augment: { flip: true, crop: 4, pad: "reflect" },
  validation: 0.1,
  // The same in both cycles, so that the same images are held out.
  seed: SEED,
  snapshots: [],
};

const cycles: TrainingOptions[] = [
  { epochs: 16, learningRate: 0.1, schedule: { kind: "cosine", warmUp: 2 } },
  { epochs: 10, learningRate: 0.05, schedule: { kind: "cosine", warmUp: 0.5 } },
];

function print({ rows }: HistoryData): void {
  const row = rows.at(-1);
  if (!row) return;
  console.log(
    `epoch ${String(row.epoch).padStart(2)}  loss ${row.loss.toFixed(4)}  accuracy ${row.accuracy.toFixed(4)}  ` +
      `validation loss ${row.validationLoss.toFixed(4)}  accuracy ${row.validationAccuracy.toFixed(4)}  ` +
      `rate ${row.learningRate.toExponential(2)}  ${row.seconds.toFixed(0)} s`,
  );
}

const [folder] = Deno.args;
if (!folder) {
  console.error("Usage: deno run -A data/cifar-convnet/train.ts FOLDER");
  Deno.exit(1);
}
const { name, version, device } = await useBackend();
console.log(`backend ${name} ${version} on ${device}, seed ${SEED}`);
const model = await loadModel(trainingNetwork(await ensureBackend(), SEED), { preprocess: PREPROCESS });
const images = await cifar10({ split: "train" });

for (const [i, cycle] of cycles.entries()) {
  console.log(`cycle ${i + 1} of ${cycles.length}`);
  const checkpoint = `${folder}/cycle-${i + 1}.ckpt`;
  await runTraining(model, images, { ...common, ...cycle, checkpoint }, { onEpoch: print });
}
