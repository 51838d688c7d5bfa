import fc from "fast-check";
import { describe, expect, test } from "vitest";
import oracle from "../../oracles/fixtures/faithfulness.json" with { type: "json" };
import { ndarray } from "../../../lib/array.ts";
import { spearman, ssim } from "../../../lib/probe/attribution/similarity.ts";

describe.each(oracle.similarities)("maps that are $name", ({ a, b, shape, ...wanted }) => {
  test("have SciPy's rank correlation", () => expect(spearman(a, b)).toBeCloseTo(wanted.spearman, 8));

  test("have scikit-image's structural similarity", () =>
    expect(ssim(ndarray(a, shape), ndarray(b, shape), 1)).toBeCloseTo(wanted.ssim, 6));
});

describe("rank correlation", () => {
  test("by hand: ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4", () =>
    expect(spearman([1, 5, 5, 9], [1, 2, 3, 4])).toBeCloseTo(4.5 / Math.sqrt(4.5 * 5), 12));

  test("stays when values are moved by a growing function, turns round with a falling one", () =>
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -50, max: 50 }), { minLength: 3, maxLength: 40 }), (values) => {
        fc.pre(new Set(values).size > 1);
        expect(spearman(values, values.map((value) => value ** 3 + 2))).toBeCloseTo(1, 10);
        expect(spearman(values, values.map((value) => -value))).toBeCloseTo(-1, 10);
      }),
      { seed: 1 },
    ));

  test("with values that are all equal is 0", () => expect(spearman([3, 3, 3], [1, 2, 3])).toBe(0));

  test("wants as many values on both sides", () => expect(() => spearman([1], [1, 2])).toThrow("received 1 and 2"));
});

describe("structural similarity", () => {
  const map = (of: (i: number) => number, side = 12) =>
    ndarray(Float32Array.from({ length: side * side }, (_, i) => of(i)), [side, side]);

  test("of a map with itself is 1, and the same both ways", () => {
    const [a, b] = [map((i) => (i * 7 % 11) / 11), map((i) => (i * 5 % 13) / 13)];
    expect(ssim(a, a, 1)).toBeCloseTo(1, 12);
    expect(ssim(a, b, 1)).toBeCloseTo(ssim(b, a, 1), 12);
    expect(ssim(a, b, 1)).toBeLessThan(0.5);
  });

  test("of two flat maps by hand: only the means count", () =>
    expect(ssim(map(() => 0.2), map(() => 0.6), 1)).toBeCloseTo((2 * 0.12 + 1e-4) / (0.04 + 0.36 + 1e-4), 6));

  test("of maps smaller than the window", () => {
    const a = map((i) => i / 16, 4);
    expect(ssim(a, a, 1)).toBeCloseTo(1, 12);
    expect(ssim(a, map((i) => 1 - i / 16, 4), 1)).toBeLessThan(0);
  });

  test("wants two maps of one shape", () => expect(() => ssim(map(() => 0), map(() => 0, 4), 1)).toThrow("one shape"));
});
