import { describe, expect, test } from "vitest";
import type { NdArray } from "../../lib/array.ts";
import { nearestNeighbors } from "../../lib/embed/neighbors.ts";
import { place } from "../../lib/embed/place.ts";
import { embed } from "../../lib/embed/tsne.ts";
import { digits } from "./digits.ts";

const array = (values: number[], columns: number): NdArray => ({
  data: Float32Array.from(values),
  shape: [values.length / columns, columns],
});

describe("new points on a map", () => {
  test("go where their nearest are, by a hand's calculation", async () => {
    const points = array([0, 1, 2, 100, 101, 102], 1);
    const map = array([5, 50, 6, 60, 7, 70, -5, -50, -6, -60, -7, -70], 2);
    const { data, shape } = await place(points, map, array([1, 101.1], 1), { perplexity: 1.5 });
    expect(shape).toEqual([2, 2]);
    // The nearest alone has more than half of the weight.
    expect([...data]).toEqual([6, 60, -6, -60]);
  });

  test("of digits land among digits of their kind", async () => {
    const { points, labels } = await digits();
    const old = 1400;
    const known = { data: points.data.slice(0, old * 64), shape: [old, 64] };
    const added = { data: points.data.slice(old * 64), shape: [1797 - old, 64] };
    const { points: map } = await embed(known, { iterations: 500 });
    const before = map.data.slice();
    const placed = await place(known, map, added);
    expect(before.every((value, i) => value === map.data[i])).toBe(true);
    const { indices } = await nearestNeighbors(map, 1, { queries: placed });
    const right = indices.filter((index, i) => labels[index] === labels[old + i]).length / indices.length;
    expect(right).toBeGreaterThan(0.93);
  });

  test("are refused where they cannot be placed", async () => {
    const points = array([0, 1, 2, 3], 1);
    await expect(place(points, array([0, 1], 1), points)).rejects.toThrow("4 points: received a map of 2");
    await expect(place(points, points, array([1, 2], 2), { perplexity: 2 })).rejects.toThrow("queries of 2");
    await expect(place(points, points, points, { perplexity: 4 })).rejects.toThrow("received the perplexity 4");
  });
});
