/** What training does to a network, read off committed runs: see `fixtures/training.ts`. */

import { beforeAll, describe, expect, test } from "vitest";
import { cifar10 } from "../../lib/data/cifar10.ts";
import type { Dataset } from "../../lib/data/dataset.ts";
import { activations } from "../../lib/methods/activations.ts";
import { deadFilters } from "../../lib/methods/dead_filters.ts";
import type { DeadFilters } from "../../lib/results/dead_filters.ts";
import { filters } from "../../lib/methods/filters.ts";
import { predict } from "../../lib/methods/predict.ts";
import { strideDiagnosis } from "../../lib/methods/stride_diagnosis.ts";
import { loadModel } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import { smallZfnet } from "../../lib/model/architectures/zfnet.ts";
import { runTraining } from "../../lib/probe/training/train.ts";
import runs from "./fixtures/training.json" with { type: "json" };
import { type Frozen, thaw } from "./fixtures/training.ts";
import { longTest } from "../long.ts";

let images: Dataset;
beforeAll(async () => {
  images = await cifar10({ split: "test", limit: 300 });
});

/** Runs something on the network of one moment, and frees it. */
async function at<T>(frozen: Frozen, use: (model: Awaited<ReturnType<typeof thaw>>) => Promise<T>): Promise<T> {
  const model = await thaw(frozen);
  try {
    return await use(model);
  } finally {
    model.dispose();
  }
}

const share = ({ layers }: DeadFilters, name: string) => {
  const { dead, channels } = layers.find(({ layer }) => layer === name)!;
  return dead / channels;
};

describe("a learning rate that was too high", () => {
  test("left most filters dead, and deadFilters finds them; a healthy one left none", async () => {
    const healthy = await at(runs.healthy, (model) => deadFilters(model, images));
    const burnt = await at(runs.tooHigh, (model) => deadFilters(model, images));
    expect(healthy.rows.filter(({ dead }) => dead)).toEqual([]);
    expect(share(burnt, "conv2")).toBeGreaterThan(0.5);
    expect(share(burnt, "conv3")).toBeGreaterThan(0.7);
    expect(runs.accuracy.healthy).toBeGreaterThan(0.4);
    expect(runs.accuracy.tooHigh).toBeLessThan(0.2);
  });

  test("is not seen on a single image: many filters of a healthy network are silent there", async () => {
    const few: Dataset = await cifar10({ split: "test", limit: 1 });
    const one = await at(runs.healthy, (model) => deadFilters(model, few));
    expect(one.rows.filter(({ dead }) => dead).length).toBeGreaterThan(0);
  });
});

describe("a healthy run", () => {
  test("makes the deeper maps sparser", async () => {
    const sparsity = (frozen: Frozen) =>
      at(frozen, async (model) => {
        const sums = { conv2: 0, conv3: 0 };
        for await (const { image } of await cifar10({ split: "test", limit: 50 })) {
          const { layers } = await activations(model, image, { layers: ["conv2", "conv3"] });
          for (const { name, sparsity } of layers) sums[name as keyof typeof sums] += sparsity / 50;
        }
        return sums;
      });
    const [before, after] = [await sparsity(runs.before), await sparsity(runs.healthy)];
    expect(after.conv2).toBeGreaterThan(before.conv2 + 0.02);
    expect(after.conv3).toBeGreaterThan(before.conv3 + 0.05);
  });

  test("learned something: the committed weights are right far more often than by chance", async () => {
    const right = (frozen: Frozen) =>
      at(frozen, async (model) => {
        const labelled = await Array.fromAsync(await cifar10({ split: "test", limit: 200 }));
        const found = await predict(model, labelled.map(({ image }) => image), { top: 1 });
        return found.filter(({ rows: [{ label }] }, i) => label === labelled[i].label).length / labelled.length;
      });
    expect(await right(runs.healthy)).toBeGreaterThan(0.35);
    expect(await right(runs.before)).toBeLessThan(0.2);
  });
});

/** A network of `data/small-zfnet`. */
const trained = (name: string) => loadModel(new URL(`../../data/small-zfnet/${name}/model.json`, import.meta.url));

describe("noise in the first filters", () => {
  test("tells an under-trained, an unregularised and a well-trained network apart", async () => {
    const under = await smallZfnet({ kernelSize: 11, stride: 4, weights: "he", seed: 1, labels: images.labels });
    await runTraining(under, await cifar10({ limit: 300 }), { epochs: 1, batchSize: 64, validation: 0, snapshots: [] });
    const models = [under, await trained("unregularised"), await trained("coarse")];
    const found = await Promise.all(models.map(async (model) => {
      const { rows } = await filters(model, { layer: "conv1" });
      const mean = (value: (row: typeof rows[number]) => number) =>
        rows.reduce((sum, row) => sum + value(row), 0) / rows.length;
      model.dispose();
      return {
        noise: mean((row) => row.noise),
        high: mean((row) => row.highFrequency),
        noisy: mean((row) => Number(row.noisy)),
      };
    }));
    const [first, second, third] = found;
    expect(first.noise).toBeGreaterThan(0.96);
    expect(first.noisy).toBeGreaterThan(0.9);
    expect(second.noise).toBeLessThan(first.noise - 0.05);
    expect(third.noise).toBeLessThan(second.noise - 0.01);
    expect(second.high).toBeLessThan(first.high - 0.2);
    expect(third.high).toBeLessThan(second.high - 0.02);
    expect(third.noisy).toBe(0);
  });
});

describe("a first layer of 7×7 and stride 2 instead of 11×11 and stride 4", () => {
  const models: Model[] = [];
  beforeAll(async () => {
    models.push(await trained("coarse"), await trained("fine"));
  });

  longTest("covers more of the middle frequencies, and its second layer aliases less", async () => {
    const { rows: [coarse, fine] } = await strideDiagnosis(models, await cifar10({ split: "test", limit: 20 }), {
      images: 2,
    });
    models.forEach((model) => model.dispose());
    expect([coarse.stride2, fine.stride2]).toEqual([8, 4]);
    expect(fine.mid).toBeGreaterThan(coarse.mid + 0.1);
    expect(fine.aliasing1).toBeLessThan(coarse.aliasing1 / 1.5);
    expect(fine.aliasing2).toBeLessThan(coarse.aliasing2 / 1.5);
  });
});
