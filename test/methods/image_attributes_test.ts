import { describe, expect, test } from "vitest";
import { ndarray } from "../../lib/array.ts";
import { measureAttributes } from "../../lib/data/attributes.ts";
import { cifar10 } from "../../lib/data/cifar10.ts";
import { dataset } from "../../lib/data/dataset.ts";
import { Image } from "../../lib/data/image.ts";
import { imageAttributes } from "../../lib/methods/image_attributes.ts";
import { loadModel } from "../../lib/model/load.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
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

describe("the size of an object by a model's map", () => {
  /** Tells red squares by their red above their blue, place by place: its map is the square itself. */
  async function redNet() {
    const tf = await ensureBackend();
    const net = tf.sequential({
      layers: [
        tf.layers.conv2d({ inputShape: [16, 16, 3], filters: 2, kernelSize: 1, activation: "relu", useBias: false }),
        tf.layers.globalAveragePooling2d({} as never),
        tf.layers.dense({ units: 2, activation: "softmax", useBias: false }),
      ],
    });
    tf.tidy(() => {
      net.layers[0].setWeights([tf.tensor4d([1, -1, 0, 0, -1, 1], [1, 1, 3, 2])]);
      net.layers[2].setWeights([tf.eye(2)]);
    });
    return await loadModel(net, { labels: ["red", "blue"], preprocess: "unit" });
  }

  /** A square of a colour on grey. */
  function square(side: number, [top, left]: [number, number], color: number[]): Image {
    const data = new Float32Array(16 * 16 * 3).fill(90);
    for (let y = top; y < top + side; y++) {
      for (let x = left; x < left + side; x++) data.set(color, (y * 16 + x) * 3);
    }
    return new Image(ndarray(data, [16, 16, 3]), { name: "a square", source: "a test" });
  }

  test("is that of what was drawn, of the image's own class or of the one that is predicted", async () => {
    const model = await redNet();
    const red = [220, 40, 30];
    const items = [
      { id: "4", label: "red", image: square(4, [2, 3], red) },
      { id: "8", label: "red", image: square(8, [8, 0], red) },
      { id: "unlabelled", image: square(12, [1, 2], [20, 40, 250]) },
      { id: "nothing", label: "red", image: flat(90, "grey", [16, 16]) },
    ];
    const tensors = (await ensureBackend()).memory().numTensors;
    const found = await imageAttributes(dataset(items), { model });
    expect((await ensureBackend()).memory().numTensors).toBe(tensors);
    expect(found.rows.map(({ objectSize }) => objectSize)).toEqual([16 / 256, 64 / 256, 144 / 256, null]);
    expect(found.figure().caption).toContain("objectSize estimates the object");
    expect((await found.table()).columns).toContain("objectSize");
    expect((await imageAttributes(dataset(items))).rows[0]).not.toHaveProperty("objectSize");
  });

  test("a thing that is no model is refused", async () => {
    const run = imageAttributes(dataset([{ image: flat(1, "a") }]), { model: 3 as never });
    await expect(run).rejects.toThrow(/imageAttributes.*model/);
  });
});
