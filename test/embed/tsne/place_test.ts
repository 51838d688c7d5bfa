import { describe, expect, test } from "vitest";
import type { NdArrayLike } from "../../../lib/array.ts";
import { conditionalAffinities } from "../../../lib/embed/tsne/affinities.ts";
import { nearestNeighbors } from "../../../lib/embed/neighbors.ts";
import { place } from "../../../lib/embed/tsne/place.ts";
import { normalStream } from "../../../lib/random.ts";
import { digits, maxDifference } from "../digits.ts";

const array = (values: ArrayLike<number>, columns: number): NdArrayLike => ({
  data: Float32Array.from(values),
  shape: [values.length / columns, columns],
});
const OLD = 1400;
const NEW = 397;

/** The first 1400 digits on the oracle's map, and the rest to place on it. */
async function onOracle() {
  const { points, labels } = await digits();
  const file = new URL("../../oracles/fixtures/place.json", import.meta.url);
  const oracle: Record<"placed" | "settled", { accuracy: number; points: number[] }> & { map: number[] } = JSON.parse(
    await Deno.readTextFile(file),
  );
  const known = array(points.data.subarray(0, OLD * 64), 64);
  const added = array(points.data.subarray(OLD * 64), 64);
  return { known, added, labels, oracle, map: array(oracle.map, 2) };
}

/** The divergence of each new point by its definition, in double precision. */
async function divergences(
  points: NdArrayLike,
  map: NdArrayLike,
  added: NdArrayLike,
  placed: ArrayLike<number>,
  perplexity = 5,
) {
  const [count, components] = map.shape;
  const k = Math.min(points.shape[0], Math.ceil(3 * perplexity) + 1);
  const near = await nearestNeighbors(points, k, { queries: added });
  const affinities = conditionalAffinities(near, perplexity);
  const w = (i: number, j: number) => {
    let square = 0;
    for (let c = 0; c < components; c++) square += (placed[components * i + c] - map.data[components * j + c]) ** 2;
    // Student's distribution of one degree of freedom on a flat map, of two in space.
    return components === 2 ? 1 / (1 + square) : (1 + square / 2) ** -1.5;
  };
  return Array.from({ length: added.shape[0] }, (_, i) => {
    let z = 0;
    for (let j = 0; j < count; j++) z += w(i, j);
    let sum = 0;
    for (let e = i * k; e < (i + 1) * k; e++) {
      if (affinities[e] > 0) sum += affinities[e] * Math.log(affinities[e] * z / w(i, near.indices[e]));
    }
    return sum;
  });
}

const mean = (values: ArrayLike<number>) => Array.from(values).reduce((a, b) => a + b) / values.length;

describe("new points on a map", () => {
  test("rest between their nearest, by a hand's calculation", async () => {
    // With two old points at −a and a on the map, equally near in truth, the middle is a place of rest.
    const { points, neighbors } = await place(array([-1, 1], 1), array([-1, 3, 1, 3], 2), array([0], 1), {
      perplexity: 1.9,
    });
    expect(points.shape).toEqual([1, 2]);
    expect([...neighbors.indices].sort()).toEqual([0, 1]);
    expect(maxDifference(points.data, [0, 3])).toBeLessThan(2e-3);
  });

  test("go where openTSNE's transform takes them in the end, or to where their divergence is less", async () => {
    const { known, added, labels, oracle, map } = await onOracle();
    const before = map.data.slice();
    const { points: { data, shape }, klDivergence } = await place(known, map, added);
    expect(shape).toEqual([NEW, 2]);
    expect(maxDifference(map.data, before)).toBe(0);
    const theirs = oracle.settled.points;
    const near = klDivergence.filter((_, i) =>
      Math.hypot(data[2 * i] - theirs[2 * i], data[2 * i + 1] - theirs[2 * i + 1]) < 0.03
    );
    // The others start from another median, and find another valley.
    expect(near.length / NEW).toBeGreaterThan(0.88);
    const [own, settled, placed] = [
      await divergences(known, map, added, data),
      await divergences(known, map, added, theirs),
      await divergences(known, map, added, oracle.placed.points),
    ];
    expect(maxDifference(own, klDivergence)).toBeLessThan(1e-4);
    expect(mean(own)).toBeLessThan(mean(settled));
    expect(mean(own)).toBeLessThan(mean(placed));
    const { indices } = await nearestNeighbors(map, 1, { queries: { data, shape } });
    const accuracy = mean(indices.map((index, i) => Number(labels[index] === labels[OLD + i])));
    expect(accuracy).toBeGreaterThan(Math.max(oracle.placed.accuracy, oracle.settled.accuracy) - 0.003);
  });

  test.each([2, 3])("rest where the divergence has no slope, in %i dimensions", async (components) => {
    const normal = normalStream(4);
    const some = (count: number, columns: number, scale: number) =>
      array(Float32Array.from({ length: count * columns }, () => scale * normal()), columns);
    const [known, map, added] = [some(301, 6, 1), some(301, components, 8), some(20, 6, 1)];
    const { points: { data }, klDivergence } = await place(known, map, added, { perplexity: 7, threads: 2 });
    const small = 1e-3;
    const at = await divergences(known, map, added, data, 7);
    expect(maxDifference(at, klDivergence)).toBeLessThan(1e-4);
    for (let c = 0; c < components; c++) {
      const moved = (by: number) => Float64Array.from(data, (value, i) => i % components === c ? value + by : value);
      const [up, down] = [
        await divergences(known, map, added, moved(small), 7),
        await divergences(known, map, added, moved(-small), 7),
      ];
      up.forEach((value, i) => {
        expect(Math.abs(value - down[i]) / (2 * small)).toBeLessThan(5e-3);
        // A valley, not a ridge.
        expect(value + down[i] - 2 * at[i]).toBeGreaterThan(-1e-6);
      });
    }
  });

  test("are placed each as if it were alone, whatever the threads", async () => {
    const { known, added, map } = await onOracle();
    const told: number[] = [];
    const all = await place(known, map, added, { threads: 2, onProgress: (done) => told.push(done) });
    const alone = await place(known, map, array(added.data.subarray(64 * 5, 64 * 6), 64), { threads: 1 });
    expect([...alone.points.data]).toEqual([...all.points.data.subarray(10, 12)]);
    expect(told.at(-1)).toBe(NEW);
  });

  test("that are old ones land at their own places", async () => {
    const { known, map } = await onOracle();
    const { points: { data }, neighbors } = await place(known, map, array(known.data.subarray(0, 64 * 50), 64));
    const away = Array.from(
      { length: 50 },
      (_, i) => Math.hypot(data[2 * i] - map.data[2 * i], data[2 * i + 1] - map.data[2 * i + 1]),
    ).sort((a, b) => a - b);
    expect(away[25]).toBeLessThan(1);
    expect(neighbors.distances[0]).toBe(0);
  });

  test("are refused where they cannot be placed, and abandoned when told to", async () => {
    const points = array([0, 1, 2, 3], 1);
    const map = array([0, 0, 1, 1, 2, 2, 3, 3], 2);
    await expect(place(points, map, points, { perplexity: 4 })).rejects.toThrow("received the perplexity 4");
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(place(points, map, points, { perplexity: 2, signal })).rejects.toThrow("enough");
  });
});
