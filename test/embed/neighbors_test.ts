import { describe, expect, test } from "vitest";
import type { NdArrayLike } from "../../lib/array.ts";
import { nearestNeighbors } from "../../lib/embed/neighbors.ts";
import { neighbors } from "../../lib/methods/neighbors.ts";
import { normalStream, randomStream } from "../../lib/random.ts";
import { longTest } from "../long.ts";
import { digits, maxDifference } from "./digits.ts";

function noise(count: number, dimensions: number, seed = 1): NdArrayLike {
  const normal = normalStream(seed);
  return { data: Float32Array.from({ length: count * dimensions }, normal), shape: [count, dimensions] };
}

/** Sorts all distances of one query. */
function naive(points: NdArrayLike, query: ArrayLike<number>, own: number, k: number) {
  const [count, dimensions] = points.shape;
  const all = Array.from({ length: count }, (_, index) => {
    let square = 0;
    for (let j = 0; j < dimensions; j++) square += (points.data[index * dimensions + j] - query[j]) ** 2;
    return { index, distance: Math.sqrt(square) };
  });
  return all.filter(({ index }) => index !== own).sort((a, b) => a.distance - b.distance || a.index - b.index).slice(
    0,
    k,
  );
}

describe("nearest neighbours", () => {
  test.each([[9, 1, 8], [131, 3, 7], [300, 65, 90], [257, 4096, 4]])(
    "of %i points in %i dimensions are the %i that a sort finds",
    async (count, dimensions, k) => {
      // Seed 4 draws no two neighbours that are as far to single precision.
      const points = noise(count, dimensions, 4);
      const { indices, distances } = await nearestNeighbors(points, k, { threads: 2 });
      for (let i = 0; i < count; i++) {
        const wanted = naive(points, points.data.subarray(i * dimensions, (i + 1) * dimensions), i, k);
        expect([...indices.subarray(i * k, (i + 1) * k)]).toEqual(wanted.map(({ index }) => index));
        expect(maxDifference(distances.subarray(i * k, (i + 1) * k), wanted.map(({ distance }) => distance)))
          .toBeLessThan(1e-4);
      }
    },
  );

  test("of other queries may be the points that they equal", async () => {
    const points = noise(50, 5);
    const queries = { data: points.data.slice(35, 45), shape: [2, 5] };
    const { count, indices, distances } = await nearestNeighbors(points, 50, { queries });
    expect(count).toBe(2);
    expect([indices[0], indices[50]]).toEqual([7, 8]);
    expect([distances[0], distances[50]]).toEqual([0, 0]);
    expect(new Set(indices.subarray(0, 50)).size).toBe(50);
  });

  test("that are equal points are at distance 0, in the order of their places, and nobody is its own", async () => {
    // Far from 0, where a product of lengths would lose everything.
    const points = { data: new Float32Array(12 * 3).fill(1e4), shape: [12, 3] };
    points.data.fill(1.1e4, 33);
    const { indices, distances } = await nearestNeighbors(points, 10);
    expect([...indices.subarray(0, 10)]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(Math.max(...distances.subarray(0, 10))).toBe(0);
    expect(distances[110]).toBeCloseTo(1000 * Math.sqrt(3), 2);
  });

  /** Points that 32 bits of distances by products of lengths cannot tell apart. */
  const hard: [name: string, count: number, dimensions: number, at: (i: number, u: number) => number][] = [
    ["one far out", 300, 16, (i, u) => i === 0 ? 1e6 : u],
    ["some far out in all directions", 300, 16, (i, u) => i % 30 === 0 ? 1e5 * (u - 0.5) : u],
    ["a tight group far out", 300, 8, (i, u) => i % 20 === 0 ? 1e6 + u : u],
    ["one so far out that squares of the others are 0", 100, 4, (i, u) => i === 0 ? 1e36 : u],
    ["two groups far apart, in 1 dimension", 300, 1, (i, u) => (i % 2) * 1000 + u],
    ["two groups far apart", 300, 512, (i, u) => (i % 2) * 1000 + u],
    ["a hundred groups", 1000, 3, (i, u) => (i % 100) ** 2 * 1000 + u],
    ["groups in groups", 600, 2, (i, u) => (i % 5) * 1e6 + (i % 3) * 1e3 + u],
    ["far from 0", 300, 16, (_, u) => 1e6 + 100 * u],
    ["of all sizes, in 1 dimension", 400, 1, (_, u) => 10 ** (12 * u - 6)],
    ["on a grid", 400, 2, (_, u) => Math.floor(15 * u)],
  ];

  test.each(hard)("are those that 64 bits find: points %s", async (_, count, dimensions, at) => {
    const random = randomStream(7);
    const data = Float32Array.from({ length: count * dimensions }, (_, e) => at(Math.floor(e / dimensions), random()));
    const points = { data, shape: [count, dimensions] };
    // The same ones as other queries too, with themselves as the nearest.
    const found = await nearestNeighbors(points, 6);
    const asked = await nearestNeighbors(points, 7, { queries: { data: data.slice(), shape: [count, dimensions] } });
    let right = 0;
    for (let i = 0; i < count; i++) {
      const query = data.subarray(i * dimensions, (i + 1) * dimensions);
      const wanted = naive(points, query, i, 6);
      wanted.forEach(({ distance }, j) => {
        if (found.distances[6 * i + j] === Math.fround(distance)) right++;
        if (asked.distances[7 * i + j + 1] === Math.fround(distance)) right++;
      });
      // The distances are those of the points that are named.
      const other = found.indices[6 * i + 5] * dimensions;
      const square = query.reduce((sum, value, j) => sum + (value - data[other + j]) ** 2, 0);
      expect(found.distances[6 * i + 5]).toBe(Math.fround(Math.sqrt(square)));
    }
    expect(right / (12 * count)).toBeGreaterThanOrEqual(0.9999);
  });

  longTest("in cells are as many right with a point far out as without", async () => {
    const plain = noise(6000, 8);
    const far = { data: plain.data.slice(), shape: plain.shape };
    far.data.fill(1e6, 8 * 17, 8 * 18);
    const share = async (points: NdArrayLike) => {
      const [whole, cells] = [await nearestNeighbors(points, 5), await nearestNeighbors(points, 5, { exact: false })];
      return whole.distances.filter((distance, e) => cells.distances[e] === distance).length / whole.distances.length;
    };
    expect(await share(far)).toBeGreaterThan(await share(plain) - 0.001);
  });

  test("in cells are nearly all of them, the same with every number of threads and each time", async () => {
    const { points } = await digits();
    const whole = await nearestNeighbors(points, 15);
    const once = await nearestNeighbors(points, 15, { exact: false, threads: 1 });
    const again = await nearestNeighbors(points, 15, { exact: false, threads: 3 });
    expect(once.indices.every((index, i) => index === again.indices[i])).toBe(true);
    let found = 0;
    for (let i = 0; i < whole.indices.length; i += 15) {
      const those = new Set(whole.indices.subarray(i, i + 15));
      for (let j = i; j < i + 15; j++) if (those.has(once.indices[j])) found++;
    }
    expect(found / whole.indices.length).toBeGreaterThan(0.998);
    // Neighbours that are found are at the right distance.
    expect(once.distances[0]).toBe(whole.distances[0]);
  });

  test("in cells are found beside heaps of equal points, none of which makes the search long", async () => {
    // Half of 3,000 points lie on one another.
    const points = noise(3000, 6);
    for (let i = 0; i < 3000; i += 2) points.data.fill(0.1, 6 * i, 6 * (i + 1));
    const whole = await nearestNeighbors(points, 12, { exact: true });
    const found = await nearestNeighbors(points, 12, { exact: false });
    // Which of equal points are named does not matter: the distances tell.
    let near = 0;
    whole.distances.forEach((distance, e) => {
      if (found.distances[e] <= distance + 1e-6) near++;
      expect(found.indices[e]).not.toBe(Math.floor(e / 12));
    });
    expect(near / whole.distances.length).toBeGreaterThan(0.995);
    // Nobody is named twice.
    for (let i = 0; i < 3000; i++) expect(new Set(found.indices.subarray(12 * i, 12 * i + 12)).size).toBe(12);
  });

  longTest(
    "of so many points that the cells are put into groups are nearly all of them, with any number of threads",
    async () => {
      // Twenty heaps of points in six directions each, of different density, and a heap of equal ones.
      const [count, dimensions, k] = [80_000, 12, 20];
      const [normal, random] = [normalStream(3), randomStream(4)];
      const axes = Float32Array.from({ length: 20 * 7 * dimensions }, normal);
      const points = { data: new Float32Array(count * dimensions), shape: [count, dimensions] };
      for (let i = 300; i < count; i++) {
        const heap = Math.floor(20 * random() ** 2);
        for (let axis = 0; axis < 7; axis++) {
          const far = axis === 0 ? 5 : normal();
          for (let j = 0; j < dimensions; j++) {
            points.data[i * dimensions + j] += far * axes[(7 * heap + axis) * dimensions + j];
          }
        }
      }
      const found = await nearestNeighbors(points, k, { threads: 2 });
      const again = await nearestNeighbors(points, k, { threads: 1 });
      expect(again.indices).toEqual(found.indices);
      expect(again.distances).toEqual(found.distances);
      const asked = Array.from({ length: 200 }, (_, i) => 300 + i * 398);
      const queries = Float32Array.from(
        asked.flatMap((i) => [...points.data.subarray(i * dimensions, (i + 1) * dimensions)]),
      );
      const all = await nearestNeighbors(points, k + 1, {
        queries: { data: queries, shape: [200, dimensions] },
        exact: true,
      });
      const right = asked.map((i, at) => {
        const farthest = all.distances[at * (k + 1) + k];
        return found.distances.subarray(i * k, (i + 1) * k).filter((distance) => distance <= farthest * (1 + 1e-6))
          .length;
      });
      expect(right.reduce((a, b) => a + b) / 200 / k).toBeGreaterThan(0.99);
    },
  );

  test("in cells are there for points that are all equal", async () => {
    const points = { data: new Float32Array(500 * 3).fill(2), shape: [500, 3] };
    const { indices, distances } = await nearestNeighbors(points, 20, { exact: false });
    expect(Math.max(...distances)).toBe(0);
    for (let i = 0; i < 500; i++) {
      const those = new Set(indices.subarray(20 * i, 20 * i + 20));
      expect(those.size).toBe(20);
      expect(those.has(i)).toBe(false);
    }
  });

  test.each([1e-40, 1e-30, 1e25, 1e36])(
    "are the same in units of %d, whose squares 32 bits cannot hold",
    async (unit) => {
      const points = noise(400, 5);
      const scaled = { data: points.data.map((value) => value * unit), shape: [400, 5] };
      for (const exact of [true, false]) {
        const found = await nearestNeighbors(scaled, 6, { exact });
        const wanted = await nearestNeighbors(points, 6, { exact });
        let same = 0;
        found.indices.forEach((index, e) => {
          if (index === wanted.indices[e]) same++;
          expect(found.distances[e] / unit).toBeCloseTo(wanted.distances[e], 3);
        });
        // Of 1e-40 few digits are left, so that some change places.
        expect(same / found.indices.length).toBeGreaterThan(unit < 1e-38 ? 0.99 : 0.9999);
      }
    },
  );

  test("tell how far they are", async () => {
    const told: number[] = [];
    await nearestNeighbors(noise(1000, 4), 3, { onProgress: (done, total) => told.push(done / total) });
    expect(told.at(-1)).toBe(1);
    expect(told).toEqual(told.toSorted((a, b) => a - b));
  });

  test("end when they are told to", async () => {
    const stop = new AbortController();
    const points = noise(4000, 100);
    const run = nearestNeighbors(points, 50, {
      signal: stop.signal,
      onProgress: () => stop.abort(new Error("enough")),
    });
    await expect(run).rejects.toThrow("enough");
    await expect(nearestNeighbors(points, 50, { signal: stop.signal })).rejects.toThrow("enough");
  });

  test("refuse what is none", async () => {
    const points = noise(10, 3);
    await expect(neighbors(points, { k: 10 })).rejects.toThrow(
      "Of 10 points each has 1 to 9 neighbours: received k = 10",
    );
    await expect(neighbors(points, { k: 1.5 })).rejects.toThrow(RangeError);
    await expect(neighbors(noise(1, 3), { k: 1 })).rejects.toThrow("1 to 0 neighbours");
    await expect(neighbors(points, { k: 2, threads: 0 })).rejects.toThrow("threads must be");
    await expect(neighbors({ data: points.data, shape: [30] }, { k: 2 })).rejects.toThrow("of shape [n, d]");
    const invalid = { data: points.data.slice(), shape: [10, 3] };
    invalid.data[17] = NaN;
    await expect(neighbors(invalid, { k: 2 })).rejects.toThrow("row 5, column 2 holds NaN");
    await expect(neighbors({ data: new Float32Array(0), shape: [0, 256] }, { k: 2 })).rejects.toThrow(
      "at least 1 point",
    );
  });
});
