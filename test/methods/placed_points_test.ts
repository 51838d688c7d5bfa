import { beforeAll, describe, expect, test, vi } from "vitest";
import type { Points } from "../../lib/embed/points.ts";
import { pca } from "../../lib/methods/pca.ts";
import { tsne } from "../../lib/methods/tsne.ts";
import type { Embedding, PlacedPoints } from "../../lib/results/embedding.ts";
import { digits, maxDifference } from "../embed/digits.ts";

/** Some digits, with pictures of another size for the new ones. */
async function some(from: number, to: number, side: number): Promise<Points> {
  const { points, labels } = await digits();
  const pictures = new Uint8Array((to - from) * side * side * 3);
  for (let i = 0; i < to - from; i++) pictures.fill(from + i, i * side * side * 3, (i + 1) * side * side * 3);
  return {
    data: points.data.slice(from * 64, to * 64),
    shape: [to - from, 64],
    labels: labels.slice(from, to).map(String),
    predictions: labels.slice(from, to).map((label, i) => String(i % 10 ? label : 7)),
    ids: labels.slice(from, to).map((_, i) => `digit ${from + i}`),
    thumbnails: { side, data: pictures },
    about: "digits",
  };
}

const dataOf = async (placed: PlacedPoints) =>
  JSON.parse((await placed.figure().html()).match(/application\/json">([\s\S]*?)<\/script>/)![1]);

describe("new points on a t-SNE map", () => {
  let old: Points, added: Points;
  let small: ReturnType<typeof pca>, map: Embedding, placed: PlacedPoints;

  beforeAll(async () => {
    [old, added] = [await some(0, 500, 2), await some(500, 560, 4)];
    small = pca(old, { components: 20 });
    map = await tsne(small.points, { iterations: 500 });
    placed = await map.place(small.project(added));
  });

  test("are projected as the old ones were", () => {
    const again = small.project(old);
    expect(maxDifference(again.data, small.points.data)).toBeLessThan(1e-4);
    expect(again.ids).toBe(old.ids);
    expect(small.project(added).shape).toEqual([60, 20]);
    expect(() => small.project(small.points)).toThrow("those of points of 64 dimensions: received points of 20");
  });

  test("know their nearest old points, and how new they are", async () => {
    expect(placed.points.shape).toEqual([60, 2]);
    expect(placed.points.ids).toBe(added.ids);
    expect(placed.accuracy).toBeGreaterThan(0.85);
    expect(placed.klDivergence).toBeGreaterThan(0);
    const right = placed.rows.filter(({ label, nearestLabel }) => label === nearestLabel).length;
    expect(right / 60).toBeGreaterThan(0.85);
    const [first] = placed.rows;
    const nearest = Number(first.nearest.slice("digit ".length));
    let square = 0;
    const projected = small.project(added).data;
    for (let c = 0; c < 20; c++) square += (projected[c] - small.points.data[20 * nearest + c]) ** 2;
    expect(first).toEqual({
      id: "digit 500",
      x: placed.points.data[0],
      y: placed.points.data[1],
      label: added.labels![0],
      preservation: placed.preservation[0],
      nearest: `digit ${nearest}`,
      nearestLabel: old.labels![nearest],
      distance: expect.closeTo(Math.sqrt(square), 3),
      novelty: expect.any(Number),
    });
    const table = await placed.table();
    expect(table.shape).toEqual({ height: 60, width: 9 });
    expect(placed.preservation.every((share) => share >= 0 && share <= 1)).toBe(true);
  });

  test("that are like none of the old ones are told", async () => {
    const strange: Points = { data: Float32Array.from({ length: 64 }, (_, j) => j % 2 * 16), shape: [1, 64] };
    const alone = await map.place(small.project(strange));
    const usual = placed.rows.map(({ novelty }) => novelty).sort((a, b) => a - b)[30];
    expect(usual).toBeGreaterThan(0.6);
    expect(usual).toBeLessThan(1.6);
    expect(alone.rows[0].novelty).toBeGreaterThan(2);
    expect(alone.rows[0]).toMatchObject({ id: "0", label: null });
    expect(alone.accuracy).toBeUndefined();
    expect(alone.figure().caption).toContain("1 of 1 new points more than 2 times as far from the nearest old one");
  });

  test("are as new as they are far, also where most old points are there twice, or all are equal", async () => {
    const twice = Array.from({ length: 24 }, (_, i) => [10 * Math.floor(i / 2), 0]);
    const once = Array.from({ length: 5 }, (_, i) => [4 * i, 100]);
    const on = (points: number[][]) => ({ data: Float32Array.from(points.flat()), shape: [points.length, 2] });
    const options = { perplexity: 4, iterations: 100 };
    const heaps = await tsne(on([...twice, ...once]), options);
    const found = await heaps.place(on([[20, 0], [0, 106], [0, 112]]), { perplexity: 3 });
    expect(maxDifference(found.rows.map(({ novelty }) => novelty), [0, 1.5, 3])).toBeLessThan(1e-6);
    expect(found.figure().caption).toContain("1 of 3 new points more than 2 times");
    const { columns } = await dataOf(found);
    const { values } = columns.find(({ name }: { name: string }) => name === "novelty");
    const told = new Float32Array(Uint8Array.fromBase64(values).buffer);
    expect([...told.subarray(0, 24)]).toEqual(new Array(24).fill(0));
    expect(maxDifference(told.subarray(24), [1, 1, 1, 1, 1, 0, 1.5, 3])).toBeLessThan(1e-6);

    const equal = await tsne(on(new Array(12).fill([1, 1])), { ...options, perplexity: 3 });
    const beside = await equal.place(on([[1, 1], [1, 2]]), { perplexity: 3 });
    expect(beside.rows.map(({ novelty }) => novelty)).toEqual([0, Infinity]);
  });

  test("stand upon the old map, which has not moved", async () => {
    const before = map.points.data.slice();
    const again = await map.place(small.project(added), { threads: 1 });
    expect(maxDifference(again.points.data, placed.points.data)).toBe(0);
    expect(maxDifference(map.points.data, before)).toBe(0);
    const { x, columns, background, ids, sprites, neighbors } = await dataOf(placed);
    expect(background).toBe(500);
    expect(new Float32Array(Uint8Array.fromBase64(x).buffer).length).toBe(560);
    expect(ids.slice(499, 501)).toEqual(["digit 499", "digit 500"]);
    expect(columns.map(({ name }: { name: string }) => name)).toEqual([
      "label",
      "old or new",
      "prediction",
      "right or wrong",
      "novelty",
      "neighbours kept",
    ]);
    expect(sprites.tile).toBe(2);
    const near = new Uint16Array(Uint8Array.fromBase64(neighbors.indices).buffer);
    expect([...near.subarray(500 * neighbors.k, 500 * neighbors.k + 3)]).toEqual([
      ...placed.neighbors.indices.subarray(0, 3),
    ]);
    expect([...near.subarray(0, 3)]).toEqual([...map.neighbors.indices.subarray(0, 3)]);
  });

  test("find their places on a map in space too", async () => {
    const space = await tsne(small.points, { components: 3, iterations: 300 });
    const { points, rows, accuracy } = await space.place(small.project(added));
    expect(points.shape).toEqual([60, 3]);
    expect(rows[0].z).toBe(points.data[2]);
    expect(accuracy).toBeGreaterThan(0.85);
  });

  test("of an embedding of principal components are projected first, once", async () => {
    const through = await tsne(small, { iterations: 500 });
    expect(maxDifference(through.points.data, map.points.data)).toBe(0);
    const codes = await through.place(added);
    expect(maxDifference(codes.points.data, placed.points.data)).toBe(0);
    expect(maxDifference((await through.place(small.project(added))).points.data, placed.points.data)).toBe(0);
    await expect(through.place({ data: new Float32Array(3), shape: [1, 3] })).rejects.toThrow(
      "wanted points of 20, or of 64",
    );
  });

  test("are looked at for numbers that are not finite once", async () => {
    const isFinite = vi.spyOn(Number, "isFinite");
    try {
      await tsne(old, { iterations: 10, perplexity: 5 });
      expect(isFinite.mock.calls.length).toBeGreaterThanOrEqual(500 * 64);
      expect(isFinite.mock.calls.length).toBeLessThan(500 * 64 + 100);
    } finally {
      isFinite.mockRestore();
    }
  });

  test("are refused if they are of another kind", async () => {
    await expect(map.place(added)).rejects.toThrow("made of points of 20 dimensions: received points of 64");
    await expect(map.place(added)).rejects.toThrow("small.project(newCodes)");
    await expect(map.place({} as never)).rejects.toThrow("received an object");
    await expect(map.place(small.project(added), { perplexty: 3 } as never)).rejects.toThrow('"perplexity"');
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(map.place(small.project(added), { signal })).rejects.toThrow("enough");
  });
});
