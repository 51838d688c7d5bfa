import { describe, expect, test } from "vitest";
import type { NdArrayLike } from "../../../lib/array.ts";
import { type Affinities, affinitiesOf } from "../../../lib/embed/tsne/affinities.ts";
import { layDescent } from "../../../lib/embed/tsne/descent.ts";
import { Layout } from "../../../lib/workers/layout.ts";
import { nearestNeighbors } from "../../../lib/embed/neighbors.ts";
import { place } from "../../../lib/embed/tsne/place.ts";
import { continuity, nearestAccuracy, preservation, trustworthiness } from "../../../lib/embed/quality.ts";
import { tsne } from "../../../lib/methods/tsne.ts";
import { normalStream } from "../../../lib/random.ts";
import { embed, type TsneOptions } from "../../../lib/embed/tsne/tsne.ts";
import { digits, maxDifference } from "../digits.ts";
import { alone } from "../kernels/kernels_on_main.ts";
import { longTest } from "../../long.ts";

/** In space, on the processor. */
const space: Partial<TsneOptions> = { components: 3, engine: "wasm" };

async function someDigits(count: number): Promise<NdArrayLike> {
  const { points } = await digits();
  return { data: points.data.slice(0, count * 64), shape: [count, 64] };
}

/** The divergence by its definition, in double precision: Student's t with two degrees of freedom. */
function divergence({ count, starts, neighbors, values }: Affinities, map: ArrayLike<number>): number {
  const kernel = (i: number, j: number) => {
    let square = 0;
    for (let c = 0; c < 3; c++) square += (map[3 * i + c] - map[3 * j + c]) ** 2;
    return (1 + square / 2) ** -1.5;
  };
  let z = 0;
  for (let i = 0; i < count; i++) for (let j = 0; j < i; j++) z += 2 * kernel(i, j);
  let sum = 0;
  for (let i = 0; i < count; i++) {
    for (let e = starts[i]; e < starts[i + 1]; e++) {
      if (values[e] > 0) sum += values[e] * Math.log(values[e] * z / kernel(i, neighbors[e]));
    }
  }
  return sum;
}

/** How far a map reaches in each direction. */
function spans({ data, shape: [, columns] }: NdArrayLike): number[] {
  return Array.from({ length: columns }, (_, c) => {
    const values = data.filter((_, i) => i % columns === c);
    return Math.max(...values) - Math.min(...values);
  });
}

describe("t-SNE in three dimensions", () => {
  longTest.each<"exact" | "mesh">(["exact", "mesh"])(
    "of the digits is as good as openTSNE's and scikit-learn's, with repulsion %s",
    async (repulsion) => {
      const url = new URL("../../oracles/fixtures/tsne_space.json", import.meta.url);
      const { openTSNE: { mean: wanted }, sklearn } = JSON.parse(await Deno.readTextFile(url));
      const { points, labels } = await digits();
      const seeds = [0, 1];
      const mean = { klDivergence: 0, trustworthiness: 0, accuracy: 0 };
      for (const seed of seeds) {
        const { points: map, klDivergence, neighbors } = await embed(points, { ...space, repulsion, seed });
        expect(map.shape).toEqual([1797, 3]);
        if (seed === 0) expect(klDivergence).toBeCloseTo(divergence(affinitiesOf(neighbors, 30), map.data), 3);
        mean.klDivergence += klDivergence / seeds.length;
        mean.trustworthiness += trustworthiness(points, map) / seeds.length;
        mean.accuracy += await nearestAccuracy(map, labels) / seeds.length;
      }
      expect(mean.klDivergence).toBeLessThan(1.01 * wanted.klDivergence);
      expect(mean.klDivergence).toBeLessThan(1.01 * Math.min(...Object.values<number>(sklearn)));
      expect(mean.trustworthiness).toBeGreaterThan(wanted.trustworthiness - 0.002);
      expect(mean.accuracy).toBeGreaterThan(wanted.accuracy - 0.003);
    },
  );

  test("has the gradient of the divergence, on a map that has spread", async () => {
    const count = 120;
    const affinities = affinitiesOf(await nearestNeighbors(await someDigits(count), 30), 10);
    const normal = normalStream(4);
    const map = Float64Array.from({ length: 3 * count }, () => Math.fround(2 * normal()));
    const layout = new Layout();
    const edges = affinities.values.length;
    const places = layDescent(layout, { count, components: 3, edges, threads: 1, exact: true });
    const { kernels, buffer } = await alone(layout);
    const { points, starts, neighbors, affinities: values, attraction, repulsion } = places;
    map.forEach((value, i) => new Float32Array(buffer, points)[Math.floor(i / 3) * 4 + i % 3] = value);
    new Uint32Array(buffer, starts, count + 1).set(affinities.starts);
    new Uint32Array(buffer, neighbors, edges).set(affinities.neighbors);
    new Float32Array(buffer, values, edges).set(affinities.values);
    kernels.attract3(points, 0, count, starts, neighbors, values, attraction);
    const z = kernels.repelExact3(points, count, 0, count, repulsion) - count;
    const [pull, push] = [attraction, repulsion].map((at) => new Float32Array(buffer, at, 4 * count));
    const small = 1e-5;
    const slopes = map.map((value, i) => {
      map[i] = value + small;
      const up = divergence(affinities, map);
      map[i] = value - small;
      const down = divergence(affinities, map);
      map[i] = value;
      return (up - down) / (2 * small);
    });
    const found = slopes.map((_, i) => {
      const at = Math.floor(i / 3) * 4 + i % 3;
      return 3 * (pull[at] - push[at] / z);
    });
    expect(maxDifference(found, slopes)).toBeLessThan(1e-4 * Math.max(...slopes.map(Math.abs)));
    const spread = affinities.entropy + kernels.logDistances3(points, 0, count, starts, neighbors, values) +
      Math.log(z);
    expect(spread).toBeCloseTo(divergence(affinities, map), 5);
  });

  longTest("gives the same bytes each time, and others for another seed", async () => {
    const points = await someDigits(400);
    for (const repulsion of ["exact", "mesh"] as const) {
      const options = { ...space, iterations: 320, repulsion, threads: 2 };
      const [a, b, c] = [
        await embed(points, options),
        await embed(points, options),
        await embed(points, { ...options, seed: 1 }),
      ];
      expect(maxDifference(a.points.data, b.points.data)).toBe(0);
      expect(a.klDivergence).toBe(b.klDivergence);
      expect(maxDifference(a.points.data, c.points.data)).toBeGreaterThan(0);
    }
  });

  test("tells the map on the way, around 0", async () => {
    const told: [number, NdArrayLike][] = [];
    const { points } = await embed(await someDigits(200), {
      ...space,
      iterations: 320,
      threads: 3,
      onProgress: (iteration, _, map) => told.push([iteration, map]),
    });
    expect(told.map(([iteration]) => iteration)).toEqual([50, 100, 150, 200, 250, 300, 320]);
    expect(maxDifference(told.at(-1)![1].data, points.data)).toBe(0);
    for (const [, map] of told) {
      expect(map.shape).toEqual([200, 3]);
      for (let c = 0; c < 3; c++) {
        let mean = 0;
        for (let i = c; i < 600; i += 3) mean += map.data[i] / 200;
        expect(Math.abs(mean)).toBeLessThan(1e-4 * spans(map)[c]);
      }
    }
    // It uses all its room.
    const [x, y, z] = spans(points);
    expect(Math.min(x, y, z)).toBeGreaterThan(0.3 * Math.max(x, y, z));
  });

  test.each([4, 5, 7, 10, 63, 65])("takes %i points, with every neighbour there is", async (count) => {
    const points = await someDigits(count);
    for (const repulsion of ["exact", "mesh"] as const) {
      const { points: map, klDivergence } = await embed(points, {
        ...space,
        perplexity: 2,
        iterations: 30,
        repulsion,
        threads: 3,
      });
      expect(map.data.every(Number.isFinite)).toBe(true);
      expect(klDivergence).toBeGreaterThan(-1e-3);
    }
  });

  longTest("takes points on one another, constant columns and fewer dimensions than three", async () => {
    const normal = normalStream(2);
    const cases: NdArrayLike[] = [
      { data: new Float32Array(100 * 3).fill(4), shape: [100, 3] },
      { data: Float32Array.from({ length: 300 }, (_, i) => i % 3 === 1 ? 7 : normal()), shape: [100, 3] },
      { data: Float32Array.from({ length: 100 }, normal), shape: [100, 1] },
      { data: Float32Array.from({ length: 200 }, normal), shape: [100, 2] },
    ];
    for (const points of cases) {
      for (const repulsion of ["exact", "mesh"] as const) {
        const run = { ...space, perplexity: 10, iterations: 300, repulsion };
        const { points: map, klDivergence } = await embed(points, run);
        expect(map.shape).toEqual([100, 3]);
        expect(map.data.every(Number.isFinite)).toBe(true);
        expect(Number.isFinite(klDivergence)).toBe(true);
      }
    }
  });

  longTest("can be measured, and takes new points", async () => {
    const { points, labels } = await digits();
    const old = 1400;
    const known = { data: points.data.slice(0, old * 64), shape: [old, 64] };
    const added = { data: points.data.slice(old * 64), shape: [1797 - old, 64] };
    const { points: map, neighbors } = await embed(known, { ...space, repulsion: "mesh" });
    expect(trustworthiness(known, map)).toBeGreaterThan(0.99);
    expect(continuity(known, map)).toBeGreaterThan(0.97);
    const kept = preservation(neighbors, await nearestNeighbors(map, 10));
    expect(kept.reduce((a, b) => a + b, 0) / old).toBeGreaterThan(0.4);
    const { points: placed } = await place(known, map, added);
    expect(placed.shape).toEqual([1797 - old, 3]);
    const { indices } = await nearestNeighbors(map, 1, { queries: placed });
    const right = indices.filter((index, i) => labels[index] === labels[old + i]).length / indices.length;
    expect(right).toBeGreaterThan(0.93);
  });

  test("is refused in other numbers of dimensions", async () => {
    const points = await someDigits(50);
    for (const components of [0, 1, 4, 2.5, NaN]) {
      await expect(tsne(points, { perplexity: 5, components: components as 2 })).rejects.toThrow(
        "components must be 2 or 3: received",
      );
    }
  });
});
