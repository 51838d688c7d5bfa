/** Points that are hard to map: right, or refused with the reason. */

import { describe, expect, test } from "vitest";
import { ndarray, type NdArrayLike } from "../../../lib/array.ts";
import { principalComponents } from "../../../lib/embed/pca.ts";
import { nearestAccuracy } from "../../../lib/embed/quality.ts";
import { tsne } from "../../../lib/methods/tsne.ts";
import { normalStream } from "../../../lib/random.ts";
import { affinitiesOf } from "../../../lib/embed/tsne/affinities.ts";
import { embed } from "../../../lib/embed/tsne/tsne.ts";
import { digits, maxDifference } from "../digits.ts";
import { longTest } from "../../long.ts";

function noise(count: number, dimensions: number, seed = 5): NdArrayLike {
  const normal = normalStream(seed);
  return ndarray(Float32Array.from({ length: count * dimensions }, normal), [count, dimensions]);
}

/** How far apart the points of a map are at most, of those that are chosen. */
function spanOf({ data, shape: [count] }: NdArrayLike, chosen: (i: number) => boolean = () => true): number {
  const extent = [Infinity, Infinity, -Infinity, -Infinity];
  for (let i = 0; i < count; i++) {
    if (!chosen(i)) continue;
    for (let c = 0; c < 2; c++) {
      extent[c] = Math.min(extent[c], data[2 * i + c]);
      extent[2 + c] = Math.max(extent[2 + c], data[2 * i + c]);
    }
  }
  return Math.max(extent[2] - extent[0], extent[3] - extent[1]);
}

describe("t-SNE", () => {
  test.each([2 ** 90, 2 ** -90])("does not depend on the unit of the points: %d", async (unit) => {
    const { points } = await digits();
    const some = ndarray(points.data.slice(0, 300 * 64), [300, 64]);
    const options = { iterations: 120, earlyIterations: 60 };
    const wanted = await embed(some, options);
    const found = await embed(ndarray(some.data.map((value) => value * unit), [300, 64]), options);
    expect(maxDifference(found.points.data, wanted.points.data)).toBe(0);
    expect(found.klDivergence).toBe(wanted.klDivergence);
  });

  longTest("puts a heap of equal points among many others in one place", async () => {
    // Enough points for cells and the mesh; every third lies on one spot.
    const points = noise(21_000, 6);
    for (let i = 0; i < 21_000; i += 3) points.data.fill(4, 6 * i, 6 * (i + 1));
    const { points: map, klDivergence, neighbors } = await embed(points, {
      perplexity: 10,
      iterations: 200,
      earlyIterations: 100,
    });
    expect(map.data.every(Number.isFinite)).toBe(true);
    expect(Number.isFinite(klDivergence)).toBe(true);
    expect(affinitiesOf(neighbors, 10).values.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 3);
    expect(await nearestAccuracy(map, Array.from({ length: 21_000 }, (_, i) => i % 3 === 0))).toBeGreaterThan(0.99);
    expect(spanOf(map, (i) => i % 3 === 0)).toBeLessThan(0.7 * spanOf(map));
  });

  test("is the same with constant columns and without", async () => {
    const few = noise(200, 3);
    const data = new Float32Array(200 * 5).fill(1e6);
    for (let i = 0; i < 200; i++) data.set(few.data.subarray(3 * i, 3 * i + 3), 5 * i);
    const options = { perplexity: 12, iterations: 100, earlyIterations: 50 };
    const { klDivergence, neighbors } = await embed(ndarray(data, [200, 5]), options);
    const wanted = await embed(few, options);
    expect(klDivergence).toBeCloseTo(wanted.klDivergence, 3);
    expect(neighbors.indices.every((index, e) => index === wanted.neighbors.indices[e])).toBe(true);
  });

  test("of fewer than 3 · perplexity points takes all of them for neighbours", async () => {
    const start = await embed(noise(40, 4), { perplexity: 30, iterations: 0 });
    const { neighbors, klDivergence } = await embed(noise(40, 4), { perplexity: 30 });
    expect(neighbors.k).toBe(39);
    expect(klDivergence).toBeGreaterThan(0);
    expect(klDivergence).toBeLessThan(0.9 * start.klDivergence);
  });

  test("finds clusters in 4096 dimensions, at once and after PCA", async () => {
    const points = noise(240, 4096);
    const labels = Array.from({ length: 240 }, (_, i) => i % 4);
    // Three quarters are shifted, each in a direction of its own.
    labels.forEach((label, i) => {
      for (let j = 0; j < 4096; j++) if (label > 0 && j % 3 === label - 1) points.data[4096 * i + j] += 0.5;
    });
    const reduced = principalComponents(points, { components: 50 }).points;
    for (const from of [points, reduced]) {
      const { points: map } = await embed(from, { perplexity: 15 });
      expect(await nearestAccuracy(map, labels)).toBeGreaterThan(0.98);
    }
  });

  test.each([1, 2, 3])("of %i points is refused", async (count) => {
    await expect(embed(noise(count, 5), { perplexity: 1 })).rejects.toThrow(
      `at least 4 points, so that there are neighbours to tell apart: received ${count}.`,
    );
  });

  test("names the number that is none", async () => {
    for (const invalid of [NaN, Infinity, -Infinity]) {
      const points = noise(50, 7);
      points.data[7 * 31 + 4] = invalid;
      await expect(tsne(points, { perplexity: 5 })).rejects.toThrow(`row 31, column 4 holds ${invalid}.`);
    }
  });
});
