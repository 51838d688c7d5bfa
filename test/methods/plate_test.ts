import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { NdArrayLike } from "../../lib/array.ts";
import { dataset } from "../../lib/data/dataset.ts";
import type { PatchRow } from "../../lib/data/records.ts";
import type { Sheet } from "../../lib/figure/blocks.ts";
import { deconvnet } from "../../lib/methods/deconvnet.ts";
import { guidedBackprop } from "../../lib/methods/guided_backprop.ts";
import { plate } from "../../lib/methods/plate.ts";
import { saliency } from "../../lib/methods/saliency.ts";
import { topPatches } from "../../lib/methods/top_patches.ts";
import { loadModel } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import { paintProjection } from "../../lib/results/plate.ts";
import type { TopPatches } from "../../lib/results/top_patches.ts";
import { ensureBackend, useBackend } from "../../lib/runtime/backend.ts";
import { landscape, wavesNet } from "../nets.ts";

await useBackend((Deno.env.get("CONVLENS_BACKEND") ?? "auto") as "auto");

/** The scene, moved and dimmed, so that each image is another. */
const images = Array.from({ length: 5 }, (_, k) => {
  const { data, shape: [height, width] } = landscape();
  const moved = Float32Array.from({ length: data.length }, (_, i) => {
    const [y, x, c] = [Math.floor(i / 3 / width), Math.floor(i / 3) % width, i % 3];
    return data[((y + 3 * k) % height * width + (x + 5 * k) % width) * 3 + c] * (1 - k / 12);
  });
  return { id: `image ${k}`, image: { data: moved, shape: [height, width, 3] }, label: k % 2 ? "odd" : "even" };
});
/** The methods that project a single unit. */
const SINGLE = { deconvnet: deconvnet as unknown as typeof saliency, guidedBackprop, gradient: saliency };

const imageOf = ({ imageId }: PatchRow) => images.find(({ id }) => id === imageId)!.image;

/** What an attribution of the whole image has in a patch's box; outside of it there is nothing. */
function within(
  { data, shape: [height, width, channels] }: NdArrayLike,
  [y0, x0, y1, x1]: readonly number[],
): number[] {
  const inside: number[] = [];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const isIn = y >= y0 && y < y1 && x >= x0 && x < x1;
      for (let c = 0; c < channels; c++) {
        const value = data[(y * width + x) * channels + c];
        if (isIn) inside.push(value);
        else expect(value).toBe(0);
      }
    }
  }
  return inside;
}

function expectClose(found: ArrayLike<number>, wanted: ArrayLike<number>): void {
  expect(found.length).toBe(wanted.length);
  const largest = Math.max(...Array.from(wanted, Math.abs), 1e-6);
  expect(Math.max(...Array.from(found, (value, i) => Math.abs(value - wanted[i])))).toBeLessThan(1e-4 * largest);
}

describe("a plate", () => {
  let model: Model;
  let patches: TopPatches;
  beforeAll(async () => {
    model = await loadModel(await wavesNet(), { name: "waves", labels: ["a", "b", "c", "d", "e"] });
    patches = await topPatches(model, dataset(images), { layers: ["pool1", "classes"], channels: [1, 3], top: 3 });
  });
  afterAll(() => model.dispose());

  test.each(["deconvnet", "guidedBackprop", "gradient"] as const)(
    "has of each patch what %s gives at its cell, cut to its box; no tensor is left",
    async (method) => {
      const tf = await ensureBackend();
      const before = tf.memory().numTensors;
      const made = await plate(model, patches, { layer: "pool1", method });
      expect(tf.memory().numTensors).toBe(before);
      expect(made.rows).toEqual(patches.of({ layer: "pool1" }));
      for (const row of made.rows) {
        const projection = made.projection(row)!;
        const [y0, x0, y1, x1] = row.box;
        expect(projection.shape).toEqual([y1 - y0, x1 - x0, 3]);
        const target = { layer: row.layer, channel: row.unit as number, cell: [...row.cell] as [number, number] };
        const { values } = await SINGLE[method](model, imageOf(row), { target });
        expectClose(projection.data, within(values, row.box));
      }
    },
  );

  test("of a vector's number shows the whole image", async () => {
    const made = await plate(model, patches, { layer: "classes", channels: [3] });
    expect(made.rows.map(({ box, cell }) => [box, cell])).toEqual(made.rows.map(() => [[0, 0, 32, 32], []]));
    const [row] = made.rows;
    const { values } = await deconvnet(model, imageOf(row), { target: { layer: "classes", channel: 3 } });
    expectClose(made.projection(row)!.data, values.data);
  });

  test("of a direction starts with its numbers", async () => {
    const vector = Float32Array.from({ length: model.layer("pool1").outputShape[2]! }, (_, i) => Math.sin(i + 1));
    const found = await topPatches(model, dataset(images), { layer: "pool1", directions: { mine: vector }, top: 2 });
    for (const method of ["gradient", "deconvnet"] as const) {
      const made = await plate(model, found, { channels: ["mine"], method });
      const [row] = made.rows;
      const parts = await Promise.all(Array.from(vector, async (share, channel) => {
        const target = { layer: "pool1", channel, cell: [...row.cell] as [number, number] };
        const { values } = await SINGLE[method](model, imageOf(row), { target });
        // A deconvolutional network rectifies the signal of each channel first.
        return values.data.map((value) => (method === "gradient" ? share : Math.max(0, share)) * value);
      }));
      const sum = parts[0].map((_, i) => parts.reduce((sum, part) => sum + part[i], 0));
      expectClose(made.projection(row)!.data, within({ data: sum, shape: [32, 32, 3] }, row.box));
    }
  });

  test("draws projections left of their patches, in colour or in grey, and says how they were made", async () => {
    const made = await plate(model, patches, { method: "guidedBackprop", layout: "grey" });
    const { blocks, title, caption } = made.figure();
    expect(title).toContain("waves · pool1, classes · top 3 patches of 5 images");
    expect(caption).toContain(
      "by guided backpropagation (Springenberg et al. 2014), in grey. Each projection has a contrast",
    );
    expect(blocks.map(({ heading }) => heading)).toEqual(["pool1", "classes"]);
    const { tiles, filter } = blocks[0] as Sheet;
    expect(filter).toBe("channel");
    expect(tiles[0].spots).toHaveLength(3);
    for (const { box, pair } of tiles[0].spots!) expect(pair![0]).toBeLessThan(box[0]);
    const only = made.figure({ layer: "pool1", units: [3], layout: "colors" });
    expect((only.blocks[0] as Sheet).tiles).toHaveLength(1);
    expect(only.caption).toContain("in colour");
    expect(only.text).toMatch(/channel 3 {2}[\d.]+ … [\d.]+/);
    expect(() => made.figure({ units: [2] })).toThrow(/no unit "2"/);
  });

  test("refuses what are no patches, units without any, and patches of other weights; ends at once when aborted", async () => {
    const tf = await ensureBackend();
    const before = tf.memory().numTensors;
    await expect(plate(model, patches.rows as never)).rejects.toThrow("plate takes what topPatches returned");
    await expect(plate(model, patches, { layer: "conv9" })).rejects.toThrow(/no layer "conv9"/);
    await expect(plate(model, patches, { channels: [2] })).rejects.toThrow(/no unit "2"/);
    await expect(plate(model, patches, { signal: AbortSignal.abort() })).rejects.toThrow(/abort/i);
    const other = await loadModel(await wavesNet(), { name: "other" });
    const layer = other.network.getLayer("conv1");
    tf.tidy(() => layer.setWeights(layer.getWeights().map((weight) => weight.mul(1.5))));
    await expect(plate(other, patches, { layer: "pool1" })).rejects.toThrow(
      /not those of "other" as it is now: channel 1 of "pool1" had the activation .*topPatches\(model, dataset/s,
    );
    other.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });
});

describe("a projection", () => {
  const values = { data: Float32Array.of(2, -1, 0, -4, 1, 3), shape: [1, 2, 3] };

  test("is painted with a contrast of its own, grey for 0, also in grey", () => {
    const at = (value: number) => Math.round(127.5 + 127.5 * value);
    expect([...paintProjection(values, "colors").data]).toEqual([0.5, -0.25, 0, -1, 0.25, 0.75].map(at));
    expect([...paintProjection(values, "grey").data]).toEqual([1, 1, 1, 0, 0, 0].map(at));
  });

  test("that is drawn smaller has its contrast set afterwards", () => {
    const half = paintProjection(values, "colors", 0.5);
    expect([half.width, half.height]).toEqual([1, 1]);
    // The means are −1, 0 and 1.5, from mid-grey (127.5) to the last shade; halves are rounded to the even byte.
    expect([...half.data]).toEqual([42, 128, 255]);
  });

  test("of nothing is grey", () => {
    expect(new Set(paintProjection({ data: new Float32Array(12), shape: [2, 2, 3] }, "colors").data)).toEqual(
      new Set([128]),
    );
  });
});
