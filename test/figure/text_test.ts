import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { type Typesetter, typesetter } from "../../lib/figure/text.ts";

let type: Typesetter;
beforeAll(async () => {
  type = await typesetter();
});

const words = fc.array(fc.stringMatching(/^[A-Za-z0-9×·–,.]{1,30}$/), { minLength: 1, maxLength: 12 });

describe("measure", () => {
  test("adds the advances of the letters, in proportion to the size, bold wider than regular", () => {
    // DejaVu Sans: 1401 and 569 of 2048 units to the em for "A" and "i".
    expect(type.measure("A", 2048)).toBe(1401);
    expect(type.measure("iA", 2048)).toBe(569 + 1401);
    expect(type.measure("conv1", 24)).toBeCloseTo(2 * type.measure("conv1", 12), 9);
    expect(type.measure("conv1", 12, "bold")).toBeGreaterThan(type.measure("conv1", 12));
    expect(type.measure("", 12)).toBe(0);
  });

  test("counts a letter of two code units once", () => {
    expect(type.measure("𝛼", 12)).toBe(type.measure("𝛼𝛼", 12) / 2);
  });
});

describe("path", () => {
  /** The x of every point of a path. */
  const xs = (path: string) => Array.from(path.matchAll(/-?\d+(?:\.\d+)?/g), ([number]) => Number(number));

  test("draws within the measured width, and moves as it is told", () => {
    const here = type.path("l", 0, 0, 100);
    const there = type.path("l", 500, 0, 100);
    expect(here).toMatch(/^M[\d. LHVQCZ-]+$/);
    expect(Math.min(...xs(here))).toBeGreaterThanOrEqual(-100);
    expect(Math.max(...xs(there))).toBeLessThanOrEqual(500 + type.measure("l", 100));
    expect(Math.max(...xs(there)) - Math.max(...xs(here))).toBeCloseTo(500, 1);
  });

  test("draws nothing for spaces", () => {
    expect(type.path("  ", 0, 0, 12)).toBe("");
  });
});

describe("wrap", () => {
  test("loses no letter, and keeps each line to the width unless a single letter is wider", () => {
    fc.assert(
      fc.property(words, fc.integer({ min: 5, max: 300 }), (parts, width) => {
        const text = parts.join(" ");
        const lines = type.wrap(text, 12, width);
        expect(lines.join("").replaceAll(" ", "")).toBe(text.replaceAll(" ", ""));
        for (const line of lines) {
          if ([...line].length > 1) expect(type.measure(line, 12)).toBeLessThanOrEqual(width);
        }
      }),
      { numRuns: 200, seed: 1 },
    );
  });

  test("breaks at spaces where it can, and at line ends where it must", () => {
    const width = type.measure("two words", 12);
    expect(type.wrap("two words more", 12, width)).toEqual(["two words", "more"]);
    expect(type.wrap("a\nb", 12, 300)).toEqual(["a", "b"]);
    expect(type.wrap("", 12, 300)).toEqual([""]);
  });

  test("goes on with the words after a broken one", () => {
    const width = type.measure("mmmm", 12);
    expect(type.wrap("a mmmmmm b", 12, width)).toEqual(["a", "mmmm", "mm b"]);
  });
});

describe("clip", () => {
  test("leaves what fits, and cuts the rest to the width with an ellipsis", () => {
    fc.assert(
      fc.property(words, fc.integer({ min: 40, max: 300 }), (parts, width) => {
        const text = parts.join(" ");
        const clipped = type.clip(text, 12, width);
        expect(type.measure(clipped, 12)).toBeLessThanOrEqual(width);
        if (type.measure(text, 12) <= width) {
          expect(clipped).toBe(text);
          return;
        }
        expect(clipped.endsWith("…")).toBe(true);
        expect(text.startsWith(clipped.slice(0, -1))).toBe(true);
        // No further letter would have fitted.
        const more = text.slice(0, clipped.length) + "…";
        expect(type.measure(more, 12)).toBeGreaterThan(width);
      }),
      { numRuns: 200, seed: 2 },
    );
  });
});
