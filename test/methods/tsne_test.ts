import { describe, expect, test } from "vitest";
import { neighbors } from "../../lib/methods/neighbors.ts";
import { pca } from "../../lib/methods/pca.ts";
import { tsne } from "../../lib/methods/tsne.ts";
import { graphicsDevice } from "../../lib/runtime/webgpu.ts";
import { digits } from "../embed/digits.ts";
import { skipFor } from "../long.ts";

async function some(count: number) {
  const { points, labels } = await digits();
  return {
    data: points.data.slice(0, count * 64),
    shape: [count, 64],
    labels: labels.slice(0, count).map(String),
    ids: labels.slice(0, count).map((_, i) => `digit ${i}`),
    about: "digits",
  };
}

const graphics = await graphicsDevice({ software: true }).catch((error) =>
  skipFor(`tests on a graphics device: ${error.message}`, error)
);
graphics?.device.destroy();

describe("tsne", () => {
  test("carries ids and labels from points over their components to the map, and tells its quality", async () => {
    const points = await some(300);
    const small = pca(points, { components: 20 });
    const told: number[] = [];
    const map = await tsne(small.points, { perplexity: 15, iterations: 400, onProgress: (i) => told.push(i) });
    expect(map.points.shape).toEqual([300, 2]);
    expect(map.points.ids).toBe(points.ids);
    expect(told.at(-1)).toBe(400);
    const { trustworthiness, continuity, accuracy, preservation } = map.quality;
    expect(trustworthiness).toBeGreaterThan(0.97);
    expect(continuity).toBeGreaterThan(0.95);
    expect(accuracy).toBeGreaterThan(0.93);
    expect(preservation).toHaveLength(300);
    expect(preservation.reduce((a, b) => a + b) / 300).toBeGreaterThan(0.4);
    expect(map.engine).toBe("wasm");
    expect(map.engineReason).toBe("Fewer than 10000 points are quick on the processor.");
    const [first] = map.rows;
    expect(first).toEqual({
      id: "digit 0",
      x: map.points.data[0],
      y: map.points.data[1],
      label: points.labels[0],
      preservation: preservation[0],
    });
    expect((await map.table()).shape).toEqual({ height: 300, width: 5 });
    expect(map.figure().text).toContain("KL divergence");
    expect(map.figure().caption).toContain("trustworthiness");
  });

  test("shows a map of the images: colours by prediction and right or wrong, true neighbours, thumbnails", async () => {
    const points = await some(100);
    const predictions = points.labels.map((label, i) => i % 10 ? label : "7");
    const thumbnails = { side: 2, data: new Uint8Array(1200) };
    const map = await tsne({ ...points, predictions, thumbnails }, { perplexity: 5, iterations: 50 });
    const html = await map.figure({ columns: { place: points.labels.map((_, i) => i) } }).html();
    const data = JSON.parse(html.match(/application\/json">([\s\S]*?)<\/script>/)![1]);
    expect(data.columns.map(({ name }: { name: string }) => name)).toEqual([
      "label",
      "prediction",
      "right or wrong",
      "neighbours kept",
      "place",
    ]);
    const wrong = predictions.filter((prediction, i) => prediction !== points.labels[i]).length;
    expect(Uint8Array.fromBase64(data.columns[2].color).reduce((sum, place) => sum + place, 0)).toBe(wrong);
    const near = new Uint16Array(Uint8Array.fromBase64(data.neighbors.indices).buffer);
    const { indices } = await neighbors(points, { k: 10 });
    expect([...near.subarray(0, 3)]).toEqual([...indices.subarray(0, 3)]);
    expect(data.sprites).toMatchObject({ tile: 2, step: 1 });
  });

  test.skipIf(!graphics)("is computed by a graphics device that is asked for", async () => {
    const map = await tsne(await some(60), { perplexity: 5, iterations: 50, engine: "webgpu" });
    expect(map.engine).toBe("webgpu");
    await expect(tsne(await some(60), { perplexity: 5, engine: "webgpu", repulsion: "mesh" })).rejects.toThrow(
      'with engine "webgpu", repulsion must be "exact"',
    );
    await expect(tsne(await some(60), { perplexity: 5, engine: "cuda" as "webgpu" })).rejects.toThrow(
      'engine must be "auto", "wasm" or "webgpu": received "cuda"',
    );
  });

  test("says nothing of labels where one is not known", async () => {
    const points = await some(60);
    const labels = points.labels.map((label, i) => i === 7 ? undefined : label);
    const map = await tsne({ ...points, labels }, { perplexity: 5, iterations: 50 });
    expect("accuracy" in map.quality).toBe(false);
    expect(map.rows[7].label).toBeNull();
    expect((await tsne({ data: points.data, shape: points.shape }, { perplexity: 5, iterations: 10 })).rows[3].id).toBe(
      "3",
    );
  });

  test("takes labels that are numbers for classes, also in a typed array", async () => {
    const points = await some(60);
    const labels = Uint8Array.from(points.labels, Number) as unknown as string[];
    const predictions = points.labels.map((label, i) => i % 6 ? Number(label) : 11) as unknown as string[];
    const map = await tsne({ ...points, labels, predictions }, { perplexity: 5, iterations: 50 });
    expect(map.points.labels).toEqual(points.labels);
    expect(map.quality.accuracy).toBeGreaterThan(0);
    const html = await map.figure().html();
    expect(html).toContain('"names":["0","1","2","3","4","5","6","7","8","9"],"counts"');
    expect(html).toMatch(/"name":"right or wrong",[^{}]*"names":\["right","wrong"\],"counts":\[50,10\]/);
    expect((await map.place({ ...points, labels })).accuracy).toBeGreaterThan(0);
    const near = neighbors({ ...points, labels }, { k: 3 });
    expect((await near).rows[0].label).toBe(points.labels[0]);
  });

  test("takes the fewest points that there may be", async () => {
    const map = await tsne(await some(4), { perplexity: 1.5, iterations: 20 });
    expect(Number.isFinite(map.quality.trustworthiness)).toBe(true);
  });

  test("refuses codes that are none, and ends when it is told to", async () => {
    await expect(tsne({} as never)).rejects.toThrow("received an object.");
    // Before any work.
    const short = { ...await some(60), labels: new Array(59).fill("a") };
    await expect(tsne(short, { perplexity: 5 })).rejects.toThrow("There are 60 points: received 59 labels.");
    await expect(neighbors({ ...short, labels: undefined, ids: ["a"] })).rejects.toThrow("received 1 ids");
    const pictures = { side: 2, data: new Uint8Array(12 * 59) };
    expect(() => pca({ ...short, labels: undefined, thumbnails: pictures }, { components: 2 })).toThrow(
      "received thumbnails of 708 bytes, and not of 12 for each",
    );
    await expect(tsne(await some(3))).rejects.toThrow("at least 4 points");
    await expect(tsne(await some(50), { perplexity: 5, signal: AbortSignal.abort(new Error("enough")) })).rejects
      .toThrow("enough");
  });
});

describe("pca", () => {
  const points2 = Float32Array.of(0, 1, 2, 5, 4, 4);
  test("tells how much its components hold", async () => {
    const found = pca(await some(300), { components: 3 });
    expect(found.points.labels).toHaveLength(300);
    const sum = found.explainedVarianceRatio.reduce((a, b) => a + b);
    expect(found.figure().caption).toContain(`3 components hold ${(100 * sum).toFixed(1)} %`);
    expect(found.figure().blocks.map(({ kind, heading }) => heading ?? kind)).toEqual([
      expect.stringMatching(/^Components 1 to 3 \(/),
      "chart",
    ]);
    expect(found.figure({ dimensions: 2 }).blocks[0].heading).toMatch(
      /^Component 1 \(.* across, component 2 \(.* upwards$/,
    );
    expect(pca(await some(300), { components: 1 }).figure().blocks).toHaveLength(1);
  });

  test("draws its map where the points lie along the first components", async () => {
    const found = pca(await some(60), { components: 4 });
    const html = await found.figure({ columns: { third: Array.from({ length: 60 }, (_, i) => i) } }).html();
    const data = JSON.parse(html.match(/<script type="application\/json">([\s\S]*?)<\/script>/)![1]);
    const floats = (text: string) => [...new Float32Array(Uint8Array.fromBase64(text).buffer)];
    const along = (component: number) => Array.from({ length: 60 }, (_, i) => found.points.data[4 * i + component]);
    expect(floats(data.x)).toEqual(along(0));
    expect(floats(data.y)).toEqual(along(1));
    expect(data.columns.map(({ name }: { name: string }) => name)).toEqual(["label", "third"]);
    expect(() => found.figure({ dimensions: 4 as never })).toThrow("dimensions must be 2 or 3");
    expect(() => pca({ data: points2, shape: [3, 2] }).figure({ dimensions: 3 })).toThrow("here 2: received 3");
  });
});

describe("names that JavaScript has too", () => {
  test.each([
    [["constructor", "__proto__", "toString"], ["constructor", "__proto__", "toString"]],
    [[0, 1, 2], ["0", "1", "2"]],
    [[null, "valueOf", 7], [undefined, "valueOf", "7"]],
  ])("as %j are labels like any other, in the table, the map and its legend", async (given, wanted) => {
    const points = {
      data: Float32Array.from({ length: 60 }, (_, i) => Math.sin(i * i)),
      shape: [30, 2],
      labels: Array.from({ length: 30 }, (_, i) => given[i % 3]) as string[],
      ids: Array.from({ length: 30 }, (_, i) => i === 0 ? "__proto__" : i === 1 ? "constructor" : `${i}`),
    };
    const found = pca(points);
    expect(found.points.labels!.slice(0, 3)).toEqual(wanted);
    const html = await found.figure().html();
    const { columns } = JSON.parse(html.match(/<script type="application\/json">([\s\S]*?)<\/script>/)![1]);
    for (const name of wanted) if (name !== undefined) expect(JSON.stringify(columns)).toContain(JSON.stringify(name));
    const { rows, sameLabel } = await neighbors(points, { k: 1 });
    expect(rows.slice(0, 3).map(({ label }) => label ?? undefined)).toEqual(wanted);
    expect(rows.slice(0, 2).map(({ id }) => id)).toEqual(["__proto__", "constructor"]);
    expect(sameLabel).toBeLessThan(1);
  });
});

describe("neighbors", () => {
  test("of points without pictures are a table", async () => {
    const points = await some(80);
    const near = await neighbors(points, { k: 4 });
    expect(near.figure().blocks[0].kind).toBe("table");
    expect(near.sameLabel).toBeGreaterThan(0.7);
    expect((await neighbors({ data: points.data, shape: points.shape }, { k: 1 })).sameLabel).toBeNaN();
    await expect(neighbors(points, { k: 80 })).rejects.toThrow("1 to 79 neighbours: received k = 80");
    await expect(neighbors({} as never)).rejects.toThrow("received an object.");
    expect(() => near.figure({ of: [] })).toThrow("one at least: received none");
  });
});
