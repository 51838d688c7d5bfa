import { describe, expect, test } from "vitest";
import { classify, fitLogistic } from "../../lib/embed/logistic.ts";
import { digits, maxDifference } from "./digits.ts";

const fixture = JSON.parse(
  await Deno.readTextFile(new URL("../oracles/fixtures/logistic.json", import.meta.url)),
);

describe("logistic regression", () => {
  test.each([1, 0.01])("equals scikit-learn's at strength %f", async (strength) => {
    const { points, labels } = await digits();
    const part = (from: number, to: number) => ({
      data: points.data.slice(from * 64, to * 64).map((value) => value / 16),
      shape: [to - from, 64],
    });
    const found = fitLogistic(part(0, 400), labels.slice(0, 400), 10, { strength, steps: 2000 });
    const wanted = fixture[strength === 1 ? "1.0" : "0.01"];
    expect(Math.abs(found.loss / wanted.loss - 1)).toBeLessThan(1e-6);
    expect(maxDifference(classify(found, part(400, 800)), wanted.classes)).toBe(0);
    const few = part(400, 410);
    const probabilities = Array.from({ length: 10 }, (_, i) => {
      const raised = Array.from(found.bias, (bias, k) => {
        let sum = bias;
        for (let j = 0; j < 64; j++) sum += found.weights[k * 64 + j] * few.data[i * 64 + j];
        return Math.exp(sum);
      });
      const total = raised.reduce((a, b) => a + b);
      return raised.map((value) => value / total);
    }).flat();
    expect(maxDifference(probabilities, wanted.probabilities.flat())).toBeLessThan(1e-4);
  });

  test("of two points is the one worked out on paper", () => {
    // By symmetry the weights are ±w, and w = strength · σ(−2wx) · 2x / … : here d loss / d w = 0 is looked up directly.
    const found = fitLogistic({ data: Float32Array.of(-1, 1), shape: [2, 1] }, [0, 1], 2);
    const [a, b] = found.weights;
    expect(a + b).toBeCloseTo(0, 6);
    // Each point pulls at both weights with its error 1 / (1 + e^2b): 2 · error = b.
    expect(2 / (1 + Math.exp(2 * b))).toBeCloseTo(b, 5);
    expect(found.bias[0]).toBeCloseTo(found.bias[1], 6);
  });

  test("of one class, or constant columns, is certain of nothing else", () => {
    const same = { data: new Float32Array(12).fill(2), shape: [4, 3] };
    const found = fitLogistic(same, [0, 0, 0, 1], 2);
    expect([...classify(found, same)]).toEqual([0, 0, 0, 0]);
    expect(Math.exp(found.bias[1] - found.bias[0])).toBeCloseTo(1 / 3, 1);
    expect([...classify(fitLogistic(same, [0, 0, 0, 0], 1), same)]).toEqual([0, 0, 0, 0]);
  });

  test("refuses classes that are none", () => {
    const points = { data: new Float32Array(4), shape: [2, 2] };
    expect(() => fitLogistic(points, [0], 2)).toThrow("There are 2 points: received classes of 1");
    expect(() => fitLogistic(points, [0, 2], 2)).toThrow("from 0 to 1: point 1 has 2");
  });
});
