import { expect, test } from "vitest";
import { randomStream, shuffled } from "../../../lib/random.ts";

const draw = (count: number, ...key: number[]) => {
  const random = randomStream(...key);
  return Array.from({ length: count }, random);
};

test("a stream depends on its key alone", () => {
  expect(draw(5, 1, 2, 3)).toEqual(draw(5, 1, 2, 3));
  const firsts = [[0], [1], [0, 0], [0, 1], [1, 0], [2 ** 32], [-1], [0, 0, 0]].map((key) => draw(1, ...key)[0]);
  expect(new Set(firsts).size).toBe(firsts.length);
});

test("the numbers are even over [0, 1), within a stream and over neighbouring keys", () => {
  for (const values of [draw(20_000, 7), Array.from({ length: 20_000 }, (_, i) => draw(1, 7, i)[0])]) {
    expect(Math.min(...values)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...values)).toBeLessThan(1);
    const bins = new Array(20).fill(0);
    values.forEach((value) => bins[Math.floor(20 * value)]++);
    // χ² of 19 degrees of freedom: above 45 once in a thousand times; the keys are fixed, so it never flickers.
    expect(bins.reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0)).toBeLessThan(45);
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    const next = values.slice(1).reduce((sum, value, i) => sum + (value - mean) * (values[i] - mean), 0);
    const square = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
    expect(Math.abs(next / square)).toBeLessThan(0.02);
  }
});

test("a shuffle holds each number once, each place as often", () => {
  const sums = new Array(6).fill(0);
  for (let seed = 0; seed < 3000; seed++) {
    const order = shuffled(6, randomStream(seed));
    expect([...order].sort()).toEqual([0, 1, 2, 3, 4, 5]);
    order.forEach((value, place) => sums[place] += value);
  }
  for (const sum of sums) expect(Math.abs(sum / 3000 - 2.5)).toBeLessThan(0.12);
});
