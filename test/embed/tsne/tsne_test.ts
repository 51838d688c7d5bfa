import { describe, expect, test } from "vitest";
import type { NdArrayLike } from "../../../lib/array.ts";
import { type Affinities, affinitiesOf } from "../../../lib/embed/tsne/affinities.ts";
import { nearestAccuracy, trustworthiness } from "../../../lib/embed/quality.ts";
import { tsne } from "../../../lib/methods/tsne.ts";
import { normalStream } from "../../../lib/random.ts";
import { embed } from "../../../lib/embed/tsne/tsne.ts";
import { longTest } from "../../long.ts";
import { digits, maxDifference, oracle } from "../digits.ts";

async function someDigits(count: number): Promise<NdArrayLike> {
  const { points } = await digits();
  return { data: points.data.slice(0, count * 64), shape: [count, 64] };
}

/** The divergence by its definition, in double precision. */
function divergence({ count, starts, neighbors, values }: Affinities, map: ArrayLike<number>): number {
  const q = (i: number, j: number) => 1 / (1 + (map[2 * i] - map[2 * j]) ** 2 + (map[2 * i + 1] - map[2 * j + 1]) ** 2);
  let z = 0;
  for (let i = 0; i < count; i++) for (let j = 0; j < count; j++) if (i !== j) z += q(i, j);
  let sum = 0;
  for (let i = 0; i < count; i++) {
    for (let e = starts[i]; e < starts[i + 1]; e++) {
      if (values[e] > 0) sum += values[e] * Math.log(values[e] * z / q(i, neighbors[e]));
    }
  }
  return sum;
}

describe("t-SNE of the digits", () => {
  longTest.each<"exact" | "mesh">(["exact", "mesh"])(
    "is as good as openTSNE's, with repulsion %s",
    async (repulsion) => {
      const wanted = (await oracle()).digits;
      const { points, labels } = await digits();
      // The divergence of single maps differs by 2 % from seed to seed.
      const seeds = [0, 1];
      const mean = { klDivergence: 0, trustworthiness: 0, accuracy: 0 };
      for (const seed of seeds) {
        const { points: map, klDivergence, neighbors } = await embed(points, { repulsion, seed });
        expect(map.shape).toEqual([1797, 2]);
        expect(klDivergence).toBeCloseTo(divergence(affinitiesOf(neighbors, 30), map.data), 3);
        mean.klDivergence += klDivergence / seeds.length;
        mean.trustworthiness += trustworthiness(points, map) / seeds.length;
        mean.accuracy += await nearestAccuracy(map, labels) / seeds.length;
      }
      expect(mean.klDivergence).toBeLessThan(1.01 * wanted.klDivergence);
      expect(mean.trustworthiness).toBeGreaterThan(wanted.trustworthiness - 0.002);
      expect(mean.accuracy).toBeGreaterThan(wanted.accuracy - 0.003);
    },
  );

  test("steps along the gradient of the divergence", async () => {
    const points = await someDigits(120);
    const options = { earlyIterations: 0, perplexity: 10 };
    const start = (await embed(points, { ...options, iterations: 0 })).points.data;
    const { points: moved, neighbors } = await embed(points, { ...options, iterations: 1, learningRate: 1e3 });
    const affinities = affinitiesOf(neighbors, options.perplexity);
    // From gains of 1 and no momentum, the first step is −rate · 1.2 · gradient / 4.
    const far = Float64Array.from(start);
    const steps: number[] = [];
    const gradient: number[] = [];
    const small = 1e-5;
    for (let i = 0; i < 40; i++) {
      const value = far[i];
      far[i] = value + small;
      const up = divergence(affinities, far);
      far[i] = value - small;
      const down = divergence(affinities, far);
      far[i] = value;
      gradient.push((up - down) / (2 * small));
      steps.push(moved.data[i] - start[i]);
    }
    // Both maps stand around 0, so that their difference does too.
    const scale = Math.max(...gradient.map(Math.abs));
    gradient.forEach((slope, i) => {
      expect(Math.abs(steps[i] / (1e3 * 1.2) + slope / 4) / (scale / 4)).toBeLessThan(0.01);
    });
  });
});

describe("t-SNE", () => {
  test("gives the same bytes each time, and others for another seed", async () => {
    const points = await someDigits(400);
    for (const repulsion of ["exact", "mesh"] as const) {
      const options = { iterations: 150, repulsion, threads: 2 };
      const [a, b, c] = [
        await embed(points, options),
        await embed(points, options),
        await embed(points, {
          ...options,
          seed: 1,
        }),
      ];
      expect(maxDifference(a.points.data, b.points.data)).toBe(0);
      expect(a.klDivergence).toBe(b.klDivergence);
      expect(maxDifference(a.points.data, c.points.data)).toBeGreaterThan(0);
    }
  });

  test("tells the divergence and the map every 50 iterations and at the end, the same each time", async () => {
    const tell = async () => {
      const told: { iteration: number; kl: number; map: Float32Array }[] = [];
      const { klDivergence, points } = await embed(await someDigits(200), {
        iterations: 120,
        earlyIterations: 50,
        onProgress: (iteration, kl, { data }) => told.push({ iteration, kl, map: data }),
      });
      expect(told.map(({ iteration }) => iteration)).toEqual([50, 100, 120]);
      expect(told[2].kl).toBe(klDivergence);
      expect(maxDifference(told[2].map, points.data)).toBe(0);
      expect(told[2].kl).toBeLessThan(told[0].kl);
      return told;
    };
    const [once, again] = [await tell(), await tell()];
    once.forEach(({ map }, i) => expect(maxDifference(map, again[i].map)).toBe(0));
  });

  test("ends at once when it is told to, before and while it runs", async () => {
    const points = await someDigits(300);
    const stop = new AbortController();
    const told: number[] = [];
    const run = embed(points, {
      iterations: 1e6,
      signal: stop.signal,
      onProgress: (iteration) => {
        told.push(iteration);
        if (iteration === 100) stop.abort(new Error("enough"));
      },
    });
    await expect(run).rejects.toThrow("enough");
    expect(told).toEqual([50, 100]);
    await expect(embed(points, { signal: stop.signal })).rejects.toThrow("enough");
    const broken = () => {
      throw new Error("the listener failed");
    };
    await expect(embed(points, { onProgress: broken })).rejects.toThrow("the listener failed");
    // The next call works.
    expect((await embed(points, { iterations: 1 })).points.shape).toEqual([300, 2]);
  });

  test.each([4, 5, 7, 10, 63, 64, 65])("takes %i points, with every neighbour there is", async (count) => {
    const points = await someDigits(count);
    for (const repulsion of ["exact", "mesh"] as const) {
      const { points: map, klDivergence } = await embed(points, {
        perplexity: 2,
        iterations: 30,
        repulsion,
        threads: 3,
      });
      expect(map.data.every(Number.isFinite)).toBe(true);
      expect(klDivergence).toBeGreaterThan(-1e-3);
    }
  });

  test("takes points on one another, constant columns and one dimension", async () => {
    const normal = normalStream(2);
    const cases: NdArrayLike[] = [
      { data: new Float32Array(100 * 3).fill(4), shape: [100, 3] },
      { data: Float32Array.from({ length: 300 }, (_, i) => i % 3 === 1 ? 7 : normal()), shape: [100, 3] },
      { data: Float32Array.from({ length: 100 }, normal), shape: [100, 1] },
      // Fifty points, each twice.
      { data: Float32Array.from({ length: 200 }, (_, i) => Math.sin((i >> 1 >> 1) * (1 + i % 2))), shape: [100, 2] },
    ];
    for (const points of cases) {
      for (const repulsion of ["exact", "mesh"] as const) {
        const { points: map, klDivergence } = await embed(points, { perplexity: 10, iterations: 300, repulsion });
        expect(map.data.every(Number.isFinite)).toBe(true);
        expect(Number.isFinite(klDivergence)).toBe(true);
      }
    }
    // What is equal stays together.
    const { points: map } = await embed(cases[3], { perplexity: 10, iterations: 300 });
    let apart = 0;
    for (let i = 0; i < 400 / 4; i += 2) apart = Math.max(apart, Math.abs(map.data[2 * i] - map.data[2 * i + 2]));
    const span = Math.max(...map.data) - Math.min(...map.data);
    expect(apart).toBeLessThan(0.2 * span);
  });

  test("takes 4096 dimensions", async () => {
    const normal = normalStream(3);
    const data = Float32Array.from({ length: 60 * 4096 }, (_, i) => normal() + (i < 30 * 4096 ? 3 : 0));
    const { points: map } = await embed({ data, shape: [60, 4096] }, { perplexity: 8 });
    // Two clouds that lie apart.
    expect(await nearestAccuracy(map, Array.from({ length: 60 }, (_, i) => i < 30))).toBe(1);
  });

  test("refuses what it cannot do, and says what would do", async () => {
    const points = await someDigits(50);
    await expect(tsne(await someDigits(1))).rejects.toThrow("at least 4 points");
    await expect(tsne(await someDigits(20))).rejects.toThrow(
      "a perplexity of 1 to less than 19 is possible: received 30. About 6",
    );
    await expect(tsne(points, { perplexity: 0.5 })).rejects.toThrow("received 0.5");
    await expect(tsne(points, { perplexity: NaN })).rejects.toThrow("received NaN");
    await expect(tsne(points, { perplexity: 5, iterations: 1.5 })).rejects.toThrow(
      "iterations must be a whole number",
    );
    await expect(tsne(points, { perplexity: 5, learningRate: 0 })).rejects.toThrow(
      "learningRate must be a number above 0",
    );
    await expect(tsne(points, { perplexity: 5, repulsion: "tree" as "mesh" })).rejects.toThrow('"exact" or "mesh"');
    await expect(tsne(points, { perplexity: 5, seed: 0.5 })).rejects.toThrow("seed must be a whole number");
    await expect(tsne(points, { perplexity: 5, threads: -1 })).rejects.toThrow("threads must be");
    points.data[64 * 3 + 5] = NaN;
    await expect(tsne(points, { perplexity: 5 })).rejects.toThrow("row 3, column 5 holds NaN");
  });

  test("says what does not fit into memory", async () => {
    // 3 million points, of whom only few numbers are looked at before the memory is asked for.
    const vast = { data: new Float32Array(3e6 * 2), shape: [3e6, 2] };
    vast.data.forEach((_, i) => vast.data[i] = i % 1000);
    await expect(embed(vast, { perplexity: 100 })).rejects.toThrow(/GB, and one WebAssembly memory holds 4.29 GB/);
  });
});
