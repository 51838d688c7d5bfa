import { describe, expect, test } from "vitest";
import type { NdArrayLike } from "../../lib/array.ts";
import { nearestNeighbors } from "../../lib/embed/neighbors.ts";
import { principalComponents } from "../../lib/embed/pca.ts";
import { continuity, nearestAccuracy, preservation, trustworthiness } from "../../lib/embed/quality.ts";
import { digits, oracle } from "./digits.ts";

const array = (values: number[], columns: number): NdArrayLike => ({
  data: Float32Array.from(values),
  shape: [values.length / columns, columns],
});

describe("the quality of a map", () => {
  test("is what scikit-learn says", async () => {
    const { cases } = await oracle();
    expect(cases.length).toBeGreaterThan(3);
    for (const { points, dimensions, embedding, k, ...wanted } of cases) {
      const [space, map] = [array(points, dimensions), array(embedding, 2)];
      expect(trustworthiness(space, map, { k })).toBeCloseTo(wanted.trustworthiness, 7);
      if (wanted.continuity !== null) expect(continuity(space, map, { k })).toBeCloseTo(wanted.continuity, 7);
    }
  });

  test("has the values of scikit-learn's unit cases", () => {
    const line = array([0, 1, 2, 3, 4], 1);
    expect(trustworthiness(line, array([0, 2, 4, 1, 3], 1), { k: 1 })).toBeCloseTo(0.2, 12);
    expect(trustworthiness(line, array([5, 7, 9, 11, 13], 1), { k: 1 })).toBe(1);
  });

  test("of the digits' first two components is the one that was measured", async () => {
    const { points, labels } = await digits();
    const map = principalComponents(points).points;
    expect(trustworthiness(points, map)).toBeCloseTo(0.83, 2);
    expect(1 - await nearestAccuracy(map, labels)).toBeCloseTo(0.41, 2);
    // A sample comes near the whole.
    expect(Math.abs(trustworthiness(points, map, { sample: 400 }) - trustworthiness(points, map))).toBeLessThan(0.02);
  });

  test("tells for each point which neighbours were kept", async () => {
    const points = array([0, 1, 2, 10, 11, 12], 1);
    const map = array([0, 1, 10, 2, 11, 12], 1);
    const kept = preservation(await nearestNeighbors(points, 2), await nearestNeighbors(map, 2));
    // Point 0's neighbours are 1 and 2, on the map 1 and 3.
    expect([...kept]).toEqual([0.5, 0.5, 0, 0, 0.5, 0.5]);
  });

  test("where all have one label, the nearest has it", async () => {
    expect(await nearestAccuracy(array([0, 1, 2, 10, 11, 12], 1), Array(6).fill("cat"))).toBe(1);
    expect(await nearestAccuracy(array([0, 1, 2, 10, 11, 12], 1), ["a", "b", "a", "b", "a", "b"])).toBe(0);
  });
});
