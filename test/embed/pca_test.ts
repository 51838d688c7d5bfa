import { describe, expect, test } from "vitest";
import type { NdArrayLike } from "../../lib/array.ts";
import { eigenSymmetric } from "../../lib/embed/eigen.ts";
import { principalComponents, projectOn } from "../../lib/embed/pca.ts";
import { pca } from "../../lib/methods/pca.ts";
import { normalStream } from "../../lib/random.ts";
import { digits, maxDifference, oracle } from "./digits.ts";

/** Points with a variance of 1/2ʲ along the axes, turned by nothing. */
function cigar(count: number, dimensions: number): NdArrayLike {
  const normal = normalStream(4);
  const data = Float32Array.from({ length: count * dimensions }, (_, i) => normal() * 2 ** (-(i % dimensions) / 2));
  return { data, shape: [count, dimensions] };
}

describe("far from 0", () => {
  test.each([[1e6, 300, 5], [1e7, 40, 100], [-3e6, 700, 600]])(
    "at %d, components are those of the same points around 0, and projecting gives the points again",
    (offset, count, dimensions) => {
      // Whole numbers, which 32 bits hold exactly at these offsets.
      const near = cigar(count, dimensions);
      near.data.forEach((value, i) => near.data[i] = Math.round(64 * value));
      const far = { data: near.data.map((value) => value + offset), shape: near.shape };
      const [wanted, found] = [principalComponents(near), principalComponents(far)];
      expect(maxDifference(found.points.data, wanted.points.data)).toBeLessThan(1e-3);
      expect(maxDifference(projectOn(found, far).data, found.points.data)).toBeLessThan(1e-4);
    },
  );
});

describe("eigenvectors", () => {
  test("of a matrix by hand", () => {
    const { values, vectors } = eigenSymmetric(Float64Array.of(2, 1, 1, 2), 2);
    expect([...values].map((value) => Math.round(value * 1e12) / 1e12)).toEqual([3, 1]);
    expect(Math.abs(vectors[0])).toBeCloseTo(Math.SQRT1_2, 12);
    expect(vectors[0]).toBeCloseTo(vectors[1], 12);
  });

  test.each([1, 2, 3, 10, 57])("of noise, of side %i, solve A v = λ v and are orthogonal", (n) => {
    const normal = normalStream(n);
    const matrix = new Float64Array(n * n);
    for (let i = 0; i < n; i++) for (let j = 0; j <= i; j++) matrix[i * n + j] = matrix[j * n + i] = normal();
    const { values, vectors } = eigenSymmetric(matrix, n);
    for (let a = 0; a < n; a++) {
      const v = vectors.subarray(a * n, (a + 1) * n);
      for (let i = 0; i < n; i++) {
        let product = 0;
        for (let j = 0; j < n; j++) product += matrix[i * n + j] * v[j];
        expect(product).toBeCloseTo(values[a] * v[i], 10);
      }
      for (let b = 0; b <= a; b++) {
        let dot = 0;
        for (let j = 0; j < n; j++) dot += v[j] * vectors[b * n + j];
        expect(dot).toBeCloseTo(a === b ? 1 : 0, 10);
      }
      if (a > 0) expect(values[a]).toBeLessThanOrEqual(values[a - 1]);
    }
  });

  test("of matrices with equal values and without any", () => {
    expect([...eigenSymmetric(Float64Array.of(0, 0, 0, 0), 2).values]).toEqual([0, 0]);
    expect([...eigenSymmetric(Float64Array.of(3, 0, 0, 0, 3, 0, 0, 0, 3), 3).values]).toEqual([3, 3, 3]);
  });
});

describe("principal components", () => {
  test("of the digits are those of scikit-learn", async () => {
    const { pca } = await oracle();
    const { points } = await digits();
    const found = principalComponents(points, { components: 10 });
    expect(found.points.shape).toEqual([1797, 10]);
    expect(found.components.shape).toEqual([10, 64]);
    expect(maxDifference(found.explainedVariance, pca.explainedVariance)).toBeLessThan(1e-4);
    expect(maxDifference(found.explainedVarianceRatio, pca.explainedVarianceRatio)).toBeLessThan(1e-7);
    expect(maxDifference(found.components.data, pca.components)).toBeLessThan(1e-6);
    expect(maxDifference(found.points.data.slice(0, 200), pca.points)).toBeLessThan(1e-4);
    expect(found.explainedVarianceRatio[0]).toBeCloseTo(0.1489, 4);
    expect(found.explainedVarianceRatio[1]).toBeCloseTo(0.1362, 4);
  });

  test("are the same from rows, from columns and by the randomised method", () => {
    const wide = cigar(600, 513);
    const randomised = principalComponents(wide, { components: 4, seed: 3 });
    const narrow = { data: new Float32Array(600 * 60), shape: [600, 60] };
    for (let i = 0; i < 600; i++) narrow.data.set(wide.data.subarray(i * 513, i * 513 + 60), i * 60);
    const exact = principalComponents(narrow, { components: 4 });
    // Beyond 60 columns there is next to nothing.
    expect(maxDifference(randomised.explainedVariance, exact.explainedVariance)).toBeLessThan(1e-4);
    expect(maxDifference(randomised.points.data, exact.points.data)).toBeLessThan(1e-3);
    const few = { data: wide.data.slice(0, 40 * 513), shape: [40, 513] };
    const byRows = principalComponents(few, { components: 40 });
    expect(byRows.explainedVarianceRatio.reduce((a, b) => a + b)).toBeCloseTo(1, 6);
    const back = byRows.components.data.subarray(0, 513);
    expect(Math.hypot(...back)).toBeCloseTo(1, 5);
  });

  test("repeat with their seed", () => {
    const points = cigar(520, 520);
    const first = principalComponents(points, { seed: 5 });
    const second = principalComponents(points, { seed: 5 });
    expect(maxDifference(first.points.data, second.points.data)).toBe(0);
  });

  test("of points without variance, or with constant columns, are nothing rather than NaN", () => {
    const flat = principalComponents({ data: new Float32Array(20).fill(7), shape: [5, 4] });
    expect(flat.explainedVarianceRatio).toEqual([0, 0]);
    expect(maxDifference(flat.points.data, new Float32Array(10))).toBe(0);
    const line = principalComponents({ data: Float32Array.of(0, 5, 1, 5, 2, 5), shape: [3, 2] });
    expect(line.explainedVarianceRatio[0]).toBeCloseTo(1, 6);
    expect([...line.points.data].filter((_, i) => i % 2 === 0)).toEqual([-1, 0, 1]);
    const few = principalComponents({ data: new Float32Array(3 * 600).fill(1), shape: [3, 600] }, { components: 3 });
    expect(few.components.data.every(Number.isFinite)).toBe(true);
  });

  test("refuse what they cannot do", () => {
    expect(() => pca({ data: new Float32Array(8), shape: [4, 2] }, { components: 3 })).toThrow(
      "have 1 to 2 components: received 3",
    );
    expect(() => pca({ data: new Float32Array(2), shape: [1, 2] })).toThrow("at least 2 points");
    expect(() => pca({ data: Float32Array.of(1, 2, Infinity, 4), shape: [2, 2] })).toThrow(
      "row 1, column 0 holds Infinity",
    );
  });
});
