import { describe, expect, test } from "vitest";
import { ndarray } from "../../lib/array.ts";
import { measureAttributes } from "../../lib/data/attributes.ts";
import { cifar10 } from "../../lib/data/cifar10.ts";
import { dataset } from "../../lib/data/dataset.ts";
import { Image } from "../../lib/data/image.ts";
import { imageAttributes } from "../../lib/methods/image_attributes.ts";
import fixture from "../oracles/fixtures/attributes.json" with { type: "json" };

const flat = (value: number, name: string, [height, width] = [4, 6]) =>
  new Image(ndarray(new Float32Array(height * width * 3).fill(value), [height, width, 3]), { name, source: "a test" });

describe("attributes equal OpenCV's and scikit-image's", () => {
  test.each(fixture)("$name", ({ shape, pixels, attributes }) => {
    const made = measureAttributes(ndarray(pixels, shape));
    for (const [name, value] of Object.entries(attributes)) {
      const own = made[name as keyof typeof made];
      expect(Math.abs(own - value), `${name}: ${own}, wanted ${value}`).toBeLessThan(
        1e-4 * Math.max(1, Math.abs(value)),
      );
    }
  });
});

test("bytes and floats of one picture give the same", () => {
  const [{ shape, pixels }] = fixture;
  expect(measureAttributes({ data: Uint8Array.from(pixels), shape })).toEqual(
    measureAttributes(ndarray(pixels, shape)),
  );
});

test("rows keep the data set's own columns, in its order", async () => {
  const items = [
    { id: "dark", label: "cat", scale: 0.5, tags: ["a"], image: flat(10, "dark") },
    { id: "bright", label: "dog", scale: 2, tags: [], image: flat(200, "bright", [8, 4]) },
  ];
  const progress: number[][] = [];
  const attributes = await imageAttributes(dataset(items), { onProgress: (...made) => progress.push(made) });
  expect(
    attributes.rows.map((
      { id, label, brightness, contrast, width, height, aspect },
    ) => [id, label, Math.round(brightness), contrast, width, height, aspect]),
  ).toEqual([["dark", "cat", 10, 0, 6, 4, 1.5], ["bright", "dog", 200, 0, 4, 8, 0.5]]);
  expect(attributes.rows[1]).toMatchObject({ scale: 2 });
  expect(attributes.rows[1]).not.toHaveProperty("tags");
  expect((await attributes.table()).columns.slice(0, 3)).toEqual(["id", "label", "scale"]);
  expect(progress.at(-1)).toEqual([2, 2]);
});

test("an image that cannot be read is left out and listed", async () => {
  const items = [{ id: "a", image: flat(10, "a") }, { id: "gone", image: "no/such/file.png" }];
  const attributes = await imageAttributes(dataset(items));
  expect(attributes.rows.map(({ id }) => id)).toEqual(["a"]);
  expect(attributes.skipped).toMatchObject([{ id: "gone" }]);
  expect(attributes.figure().caption).toContain('"gone"');
  await expect(imageAttributes(dataset(items), { onBadImage: "stop" })).rejects.toThrow(/"gone"/);
});

test("a signal ends the walk", async () => {
  const stop = new AbortController();
  const items = Array.from({ length: 50 }, (_, i) => ({ id: `${i}`, image: flat(i, `${i}`) }));
  const run = imageAttributes(dataset(items), {
    signal: stop.signal,
    onProgress: (done) => done === 3 && stop.abort(),
  });
  await expect(run).rejects.toThrow(/abort/i);
});

test("of CIFAR-10's images ships are brighter than frogs", async () => {
  const { rows } = await imageAttributes(await cifar10({ split: "test", limit: 300 }));
  expect(rows).toHaveLength(300);
  const mean = (label: string) => {
    const own = rows.filter((row) => row.label === label);
    return own.reduce((sum, { brightness }) => sum + brightness, 0) / own.length;
  };
  expect(mean("ship")).toBeGreaterThan(mean("frog"));
});
