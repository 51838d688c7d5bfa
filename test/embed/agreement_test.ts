import { describe, expect, test } from "vitest";
import { agreementOf, differenceOf } from "../../lib/embed/agreement.ts";
import { long } from "../long.ts";
import { uniforms } from "../nets.ts";

/** How often the members of a set, each a number of a kind, are alike in pairs. */
const alike = (kinds: readonly number[]) => (set: readonly number[]) => {
  let [same, all] = [0, 0];
  for (const a of set) for (const b of set) if (a < b) [same, all] = [same + Number(kinds[a] === kinds[b]), all + 1];
  return same / all;
};
const setsOf = (count: number, size: number) =>
  Array.from({ length: count }, (_, s) => Array.from({ length: size }, (_, i) => s * size + i));

describe("agreementOf", () => {
  test("sets of one kind each agree wholly, and their members dealt anew as chance has it", () => {
    const sets = setsOf(10, 6);
    const kinds = Array.from({ length: 60 }, (_, i) => Math.floor(i / 6));
    const found = agreementOf(sets, { measure: alike(kinds), perfect: 1, groupOf: (i) => i, seed: 1 });
    expect(found.each).toEqual(Array(10).fill(1));
    expect(found.agreement).toEqual({ value: 1, low: 1, high: 1 });
    // Of 59 others 5 are of the same kind.
    expect(found.dealt.value).toBeCloseTo(5 / 59, 2);
    expect(found.dealt.low).toBeLessThan(5 / 59);
    expect(found.dealt.high).toBeGreaterThan(5 / 59);
    expect(agreementOf(sets, { measure: alike(kinds), perfect: 1, groupOf: (i) => i, seed: 1 })).toEqual(found);
  });

  test("of members that are dealt at random the interval holds 0 in about 95 of 100 cases, and a difference likewise", () => {
    const sets = setsOf(30, 5);
    let [held, equal] = [0, 0];
    const cases = long(60, 8);
    for (let seed = 0; seed < cases; seed++) {
      const random = uniforms(seed + 1);
      const of = () => {
        const kinds = Array.from({ length: 150 }, () => Math.floor(4 * random()));
        return agreementOf(sets, { measure: alike(kinds), perfect: 1, groupOf: (i) => i, seed });
      };
      const [a, b] = [of(), of()];
      held += Number(a.agreement.low <= 0 && a.agreement.high >= 0);
      const { low, high } = differenceOf(a, b, 1, seed);
      equal += Number(low <= 0 && high >= 0);
    }
    expect(held).toBeGreaterThanOrEqual(0.75 * cases);
    expect(equal).toBeGreaterThanOrEqual(0.75 * cases);
  });

  test("distances count the other way round, and no dealt set holds a group twice", () => {
    const values = [0, 0.1, 5, 5.1, 9, 9.1];
    const groups = [0, 1, 0, 1, 0, 1];
    const seen: number[][] = [];
    const measure = (set: readonly number[]) => (seen.push([...set]), Math.abs(values[set[0]] - values[set[1]]));
    const found = agreementOf([[0, 1], [2, 3], [4, 5]], { measure, perfect: 0, groupOf: (i) => groups[i], seed: 2 });
    expect(found.found.value).toBeCloseTo(0.1, 12);
    // The first ones are the sets themselves.
    const dealt = seen.slice(3);
    expect(dealt.length).toBe(600);
    const twice = dealt.filter(([a, b]) => groups[a] === groups[b]).length;
    // Only what is left for the last set may be of one group.
    expect(twice).toBeLessThan(200);
    expect(dealt.every((_, i) => i % 3 > 0 || new Set(dealt.slice(i, i + 3).flat()).size === 6)).toBe(true);
    expect(found.agreement.value).toBeCloseTo(1 - 0.1 / found.dealt.value, 12);
    expect(found.agreement.low).toBeLessThanOrEqual(found.agreement.value);
  });

  test("where chance is perfect nothing can be said", () => {
    const found = agreementOf(setsOf(3, 3), { measure: () => 1, perfect: 1, groupOf: (i) => i, seed: 0 });
    expect(found.agreement.value).toBeNaN();
  });
});
