import { expect, test } from "vitest";
import { cohenKappa, errorConsistency, mcnemar, pairedDifference } from "../../lib/embed/paired.ts";
import fixture from "../oracles/fixtures/agreement.json" with { type: "json" };
import { long } from "../long.ts";
import { uniforms } from "../nets.ts";

const bools = (list: readonly number[]) => list.map(Boolean);

test("McNemar's test, exact and mid-p, as statsmodels and SciPy have it", () => {
  for (const { onlyA, onlyB, p, midP } of fixture.mcnemar) {
    const found = mcnemar(onlyA, onlyB);
    expect(found.p, `${onlyA} and ${onlyB}`).toBeCloseTo(p, 9);
    expect(found.midP).toBeCloseTo(midP, 9);
    expect(mcnemar(onlyB, onlyA)).toEqual(found);
  }
  // By hand: 1 of 5 or as far the other way, 2 · (1 + 5) / 32; half of the 5 each way for mid-p.
  expect(mcnemar(1, 4)).toEqual({ p: expect.closeTo(0.375, 12), midP: expect.closeTo(7 / 32, 12) });
});

test("McNemar's exact test errs at no more than its level, and mid-p at about it", () => {
  const random = uniforms(5);
  let [exact, mid] = [0, 0];
  for (let round = 0; round < 4000; round++) {
    let onlyA = 0;
    for (let i = 0; i < 40; i++) onlyA += Number(random() < 0.5);
    const { p, midP } = mcnemar(onlyA, 40 - onlyA);
    exact += Number(p <= 0.05);
    mid += Number(midP <= 0.05);
  }
  expect(exact / 4000).toBeLessThan(0.05);
  expect(mid / 4000).toBeLessThan(0.065);
  expect(mid).toBeGreaterThanOrEqual(exact);
});

test("Cohen's kappa, as scikit-learn has it, with statsmodels' interval", () => {
  for (const { a, b, kappa, low, high } of fixture.kappa) {
    const found = cohenKappa(a, b);
    expect(found.value).toBeCloseTo(kappa, 9);
    expect(found.low).toBeCloseTo(low, 6);
    expect(found.high).toBeCloseTo(high, 6);
    expect(cohenKappa(b, a).value).toBeCloseTo(kappa, 9);
  }
  // By hand: 3 of 4 the same, of chance 1/2.
  expect(cohenKappa(["cat", "cat", "dog", "dog"], ["cat", "dog", "dog", "dog"]).value).toBeCloseTo(0.5, 12);
  expect(cohenKappa(["cat", "cat"], ["cat", "cat"]).value).toBeNaN();
});

test("error consistency, as scikit-learn and the paper's equations have it; its interval", () => {
  for (const { a, b, value, observed, expected } of fixture.consistency) {
    const found = errorConsistency(bools(a), bools(b), 1);
    expect(found.value).toBeCloseTo(value, 9);
    expect(found.observed).toBeCloseTo(observed, 9);
    expect(found.expected).toBeCloseTo(expected, 9);
    expect(found.low).toBeLessThan(found.value);
    expect(found.high).toBeGreaterThan(found.value);
    expect(errorConsistency(bools(a), bools(b), 1)).toEqual(found);
    expect(errorConsistency(bools(a), bools(a), 1)).toMatchObject({ value: 1, low: 1, high: 1 });
  }
  expect(errorConsistency([true, true], [true, true], 1)).toMatchObject({ value: NaN, low: NaN, high: NaN });
  expect(errorConsistency([true, false], [false, true], 1).value).toBe(-1);
});

test("the paired bootstrap's interval of a difference holds the truth about as often as it says", () => {
  const random = uniforms(7);
  let held = 0;
  const rounds = long(300, 40);
  for (let round = 0; round < rounds; round++) {
    const [a, b]: boolean[][] = [[], []];
    for (let i = 0; i < 120; i++) {
      const easy = random() < 0.6;
      a.push(easy || random() < 0.5);
      b.push(easy || random() < 0.25);
    }
    const { low, high } = pairedDifference(a, b, round);
    held += Number(low <= 0.1 && 0.1 <= high);
  }
  // 95 %, give or take about three standard errors.
  expect(held / rounds).toBeGreaterThan(long(0.91, 0.84));
  expect(held / rounds).toBeLessThan(long(0.99, 1.01));
  expect(pairedDifference([1, 1, 0, 1], [0, 1, 0, 0], 3).value).toBe(0.5);
});
