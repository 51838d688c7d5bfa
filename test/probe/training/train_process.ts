/**
 * A training run in a process of its own, to be killed: prints a line an epoch, and at the end a hash of all weights.
 *
 * Usage: train_process.ts CHECKPOINT
 */

import { loadModel } from "../../../lib/model/load.ts";
import { runTraining } from "../../../lib/probe/training/train.ts";
import { namedWeights } from "../../../lib/model/formats/named_weights.ts";
import { ensureBackend, useBackend } from "../../../lib/runtime/backend.ts";
import { stripes, stripesNet } from "./toys.ts";

await useBackend("cpu");
const model = await loadModel(stripesNet(await ensureBackend()));
await runTraining(model, stripes(32), {
  optimizer: "adam",
  epochs: 24,
  batchSize: 8,
  validation: 0.25,
  augment: { flip: true, crop: 1 },
  schedule: { kind: "plateau", patience: 3, factor: 0.5 },
  checkpoint: Deno.args[0],
}, { onEpoch: ({ rows }) => console.log(`epoch ${rows.length}`) });
const all = await Promise.all([...namedWeights(model.network).values()].map((weight) => weight.data()));
const bytes = new Blob(all.map((values) => values as Float32Array<ArrayBuffer>));
const digest = await crypto.subtle.digest("SHA-256", await bytes.arrayBuffer());
console.log(`weights ${[...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`);
