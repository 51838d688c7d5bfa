import { describe, expect, test } from "vitest";
import type { Dataset, DatasetItem } from "../../lib/data/dataset.ts";
import { Image } from "../../lib/data/image.ts";
import { linearProbes } from "../../lib/methods/linear_probes.ts";
import { loadModel } from "../../lib/model/load.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { landscape, uniforms, wavesNet } from "../nets.ts";

/** Landscapes in any light, either noisy; `label` tells the label by the light and by chance. */
function lights(count: number, label: (red: number, chance: number) => string | undefined): Dataset {
  const random = uniforms(4);
  const { data, shape } = landscape();
  const items = Array.from({ length: count }, (_, i): DatasetItem => {
    const red = 0.4 + random();
    const pixels = { data: data.map((value, j) => Math.min(255, value * (j % 3 ? 0.8 : red))), shape };
    return {
      id: `light ${i}`,
      image: new Image(pixels, { name: `${i}`, source: "a formula" }),
      label: label(red, random()),
    };
  });
  return {
    name: "lights",
    size: count,
    async *[Symbol.asyncIterator]() {
      yield* items;
    },
  };
}
const byLight = (red: number) => red > 0.9 ? "evening" : "noon";

describe("linearProbes", () => {
  test("find what a layer holds, and nothing where labels are drawn by lot", async () => {
    const model = await loadModel(await wavesNet(), { name: "waves" });
    const told: number[] = [];
    const found = await linearProbes(model, lights(80, byLight), {
      layers: ["pool2", "conv1"],
      embedding: "pca",
      onProgress: (done) => told.push(done),
    });
    expect(found.rows.map(({ layer }) => layer)).toEqual(["pixels", "conv1", "pool2"]);
    expect(told.slice(-3)).toEqual([1, 2, 3]);
    expect([found.trained, found.tested]).toEqual([60, 20]);
    for (const { accuracy, low, high, trained } of found.rows) {
      expect(accuracy).toBeGreaterThanOrEqual(0.9);
      expect(trained).toBeGreaterThanOrEqual(0.9);
      expect(low).toBeLessThan(accuracy);
      expect(high).toBeGreaterThanOrEqual(accuracy);
      expect(accuracy * 20).toBeCloseTo(Math.round(accuracy * 20), 9);
    }
    expect(found.embeddings.map(({ shape }) => shape)).toEqual([[80, 2], [80, 2], [80, 2]]);
    expect((await found.table()).shape).toEqual({ height: 3, width: 6 });
    expect(found.figure().text).toContain("pixels");
    const chance = await linearProbes(model, lights(80, (_, chance) => chance > 0.5 ? "a" : "b"), {
      layers: ["conv1"],
      embedding: "pca",
    });
    for (const { accuracy } of chance.rows) expect(accuracy).toBeLessThan(0.85);
    model.dispose();
  });

  test("read maps as means of patches, and repeat exactly", async () => {
    const model = await loadModel(await wavesNet(), { name: "waves" });
    const options = { layers: ["conv1"], seed: 3 };
    const [a, b] = [
      await linearProbes(model, lights(30, byLight), options),
      await linearProbes(model, lights(30, byLight), options),
    ];
    const [height, width, channels] = model.layer("conv1").outputShape as number[];
    expect(a.rows[0].dimensions).toBe(3072);
    expect(a.rows[1].dimensions).toBeLessThanOrEqual(4096);
    expect(a.rows[1].dimensions % channels).toBe(0);
    expect(height * width * channels).toBeGreaterThan(4096);
    expect(a.rows).toEqual(b.rows);
    expect([...a.embeddings[1].data]).toEqual([...b.embeddings[1].data]);
    model.dispose();
  });

  test("refuse what cannot be learned, and leave no tensor behind", async () => {
    const model = await loadModel(await wavesNet(), { name: "waves" });
    const tf = await ensureBackend();
    const before = tf.memory().numTensors;
    await expect(linearProbes(model, lights(10, byLight))).rejects.toThrow("at least 20 images");
    await expect(linearProbes(model, lights(30, () => "same"))).rejects.toThrow("must be 2: lights holds 1");
    await expect(linearProbes(model, lights(30, () => undefined))).rejects.toThrow(
      '"light 0" of "lights" has no label',
    );
    await expect(linearProbes(model, lights(30, byLight), { layers: ["conv9"] })).rejects.toThrow('"conv1"');
    await expect(linearProbes(model, lights(30, byLight), { embedding: "umap" as never })).rejects.toThrow('"tsne"');
    await expect(linearProbes(model, lights(30, byLight), { layers: [] })).rejects.toThrow("at least: received none");
    await expect(linearProbes(model, lights(30, byLight), { signal: AbortSignal.abort(new Error("enough")) })).rejects
      .toThrow("enough");
    expect(tf.memory().numTensors).toBe(before);
    model.dispose();
  });
});
