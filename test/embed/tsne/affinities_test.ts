import { describe, expect, test } from "vitest";
import { type Affinities, affinitiesOf, conditionalAffinities } from "../../../lib/embed/tsne/affinities.ts";
import { nearestNeighbors } from "../../../lib/embed/neighbors.ts";
import { digits, oracle } from "../digits.ts";

/** The affinities that are not 0, by "row column". */
function entries({ count, starts, neighbors, values }: Affinities): Map<string, number> {
  const all = new Map<string, number>();
  for (let i = 0; i < count; i++) {
    for (let e = starts[i]; e < starts[i + 1]; e++) {
      if (values[e] === 0) continue;
      const key = `${i} ${neighbors[e]}`;
      if (all.has(key)) throw new Error(`${key} stands there twice.`);
      all.set(key, values[e]);
    }
  }
  return all;
}

async function firstDigits(count: number, k: number) {
  const { points } = await digits();
  // As in the oracle, so that no distances are equal.
  const data = points.data.slice(0, count * 64).map((value, i) => value * (1 + i % 64 / 128));
  return await nearestNeighbors({ data, shape: [count, 64] }, k);
}

describe("affinities", () => {
  test("are those of scikit-learn", async () => {
    const { affinities: { count, k, perplexity, i, j, p } } = await oracle();
    const all = entries(affinitiesOf(await firstDigits(count, k), perplexity));
    expect(all.size).toBe(2 * p.length);
    let worst = 0;
    p.forEach((value: number, e: number) => {
      worst = Math.max(worst, Math.abs(all.get(`${i[e]} ${j[e]}`)! / value - 1));
    });
    // Of each value, not only of the greatest: scikit-learn itself stops its search at 1e-5 of the entropy.
    expect(worst).toBeLessThan(1e-4);
    expect(Math.max(...p) * worst).toBeLessThan(1e-5);
  });

  test("are symmetric, and 1 in all", async () => {
    const affinities = affinitiesOf(await firstDigits(500, 30), 10);
    const all = entries(affinities);
    let [sum, entropy] = [0, 0];
    for (const [key, value] of all) {
      const [i, j] = key.split(" ");
      expect(all.get(`${j} ${i}`)).toBe(value);
      expect(i).not.toBe(j);
      sum += value;
      entropy += value * Math.log(value);
    }
    expect(sum).toBeCloseTo(1, 6);
    expect(affinities.entropy).toBeCloseTo(entropy, 5);
    expect(affinities.starts.every((start) => start % 4 === 0)).toBe(true);
  });

  test("have the perplexity that was asked for", async () => {
    for (const perplexity of [1.5, 5, 29]) {
      const neighbors = await firstDigits(200, 30);
      const conditional = conditionalAffinities(neighbors, perplexity);
      for (let i = 0; i < 200; i++) {
        const row = conditional.subarray(30 * i, 30 * (i + 1));
        const entropy = row.reduce((sum, p) => p > 0 ? sum - p * Math.log(p) : sum, 0);
        expect(Math.exp(entropy)).toBeCloseTo(perplexity, 5);
        expect(row.reduce((a, b) => a + b)).toBeCloseTo(1, 6);
      }
    }
  });

  test("do not change with the unit of the distances", async () => {
    const neighbors = await firstDigits(100, 20);
    const tiny = { ...neighbors, distances: neighbors.distances.map((distance) => distance * 2 ** -60) };
    const a = conditionalAffinities(neighbors, 7);
    const b = conditionalAffinities(tiny, 7);
    a.forEach((value, i) => expect(b[i]).toBeCloseTo(value, 7));
  });

  test("of points on one another are shared alike", () => {
    const indices = Int32Array.of(1, 2, 3, 0, 2, 3, 0, 1, 3, 0, 1, 2);
    // 0, 1 and 2 are one point, 3 is far away.
    const distances = Float32Array.of(0, 0, 9, 0, 0, 9, 0, 0, 9, 9, 9, 9);
    const conditional = conditionalAffinities({ count: 4, k: 3, indices, distances }, 1.5);
    [0.5, 0.5, 0].forEach((value, j) => expect(conditional[j]).toBeCloseTo(value, 6));
    [1 / 3, 1 / 3, 1 / 3].forEach((value, j) => expect(conditional[9 + j]).toBeCloseTo(value, 6));
  });
});
