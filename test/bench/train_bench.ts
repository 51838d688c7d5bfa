/**
 * Training: images per second on each backend that is here, and what the live view costs.
 *
 * @module
 */

import type { Dataset } from "../../lib/data/dataset.ts";
import { cifar10 } from "../../lib/data/cifar10.ts";
import { LiveTraining } from "../../lib/results/live_training.ts";
import { catsVsDogsConvnet } from "../../lib/model/architectures/builders.ts";
import type { TrainingWatcher } from "../../lib/data/history.ts";
import { runTraining } from "../../lib/probe/training/train.ts";
import { type BackendName, doctor, useBackend } from "../../lib/runtime/backend.ts";
import { type Benchmark, compare, type Line, measure } from "./harness.ts";

const pets = (limit: number) => cifar10({ classes: ["cat", "dog"], limit });
const BATCH = 32;

/** One epoch of a fresh network for cats and dogs, without what surrounds it. */
async function epoch(images: Dataset, watcher: TrainingWatcher = {}, epochs = 1): Promise<void> {
  const model = await catsVsDogsConvnet({ seed: 1 });
  try {
    const options = { epochs, batchSize: BATCH, validation: 0, snapshots: [], augment: { flip: true } };
    await runTraining(model, images, options, watcher);
  } finally {
    model.dispose();
  }
}

/** How many images make an epoch that can be measured in a few seconds. */
const IMAGES: Record<BackendName, number> = { tensorflow: 1024, webgpu: 16, wasm: 256, cpu: 4 };

async function rates(): Promise<Line[]> {
  const lines: Line[] = [];
  const { rows } = await doctor();
  try {
    for (const { name } of rows.filter(({ available }) => available)) {
      await useBackend(name);
      const count = IMAGES[name];
      const images = await pets(count);
      const { median } = await measure(
        name,
        () => epoch(images),
        name === "cpu" ? { runs: 1, warmUp: 0 } : { runs: 3, warmUp: 1 },
      );
      lines.push({
        name: `cats against dogs, batch ${Math.min(BATCH, count)}, ${name}`,
        median: 1000 * count / median,
        unit: "per second",
      });
    }
  } finally {
    await useBackend();
  }
  return lines;
}

/** A cell, as far as the live view needs one: it takes what is displayed and throws it away. */
function withCell<T>(work: () => Promise<T>): Promise<T> {
  const real = globalThis.Deno;
  const jupyter = { display: () => Promise.resolve(), broadcast: () => Promise.resolve() };
  Object.defineProperty(globalThis, "Deno", { value: Object.create(real, { jupyter: { value: jupyter } }) });
  return work().finally(() => Object.defineProperty(globalThis, "Deno", { value: real }));
}

/** Some epochs under the live view, painted as in a cell. */
function watched(images: Dataset, epochs: number): Promise<void> {
  return withCell(() => {
    const view = new LiveTraining({ model: "net", dataset: images.name, images: images.size, epochs, order: "rgb" });
    return epoch(
      images,
      { onEpoch: (history) => view.onEpoch(history), onMoment: (moment) => view.onMoment(moment) },
      epochs,
    ).finally(() => view.close());
  });
}

async function overhead(): Promise<Line[]> {
  await useBackend("wasm");
  try {
    const images = await pets(512);
    return await compare(
      ["2 epochs of 512 images on wasm, unseen", () => epoch(images, {}, 2)],
      ["2 epochs of 512 images on wasm, live in a cell", () => watched(images, 2)],
      { goal: 1.05, runs: 3, warmUp: 1 },
    );
  } finally {
    await useBackend();
  }
}

export default [
  { name: "images per second of training", run: rates },
  { name: "the live view of training", run: overhead },
] satisfies Benchmark[];
