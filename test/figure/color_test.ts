import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { colorize, type Palette, paletteTable } from "../../lib/figure/color.ts";

type Triple = [number, number, number];

const PALETTES: Palette[] = ["grey", "inferno", "diverging"];

/** The palette's colour `step` of 0 … 255. */
function colorAt(palette: Palette, step: number): Triple {
  const table = paletteTable(palette);
  return [table[step * 3], table[step * 3 + 1], table[step * 3 + 2]];
}

/** sRGB bytes as linear light, 0…1. */
const linear = (rgb: Triple) =>
  rgb.map((byte) => byte <= 10 ? byte / 255 / 12.92 : ((byte / 255 + 0.055) / 1.055) ** 2.4) as Triple;

/**
 * What the eye without one kind of cone sees, on linear light: Machado, Oliveira and Fernandes (2009), "A
 * physiologically-based model for simulation of color vision deficiency", the tables for severity 1.
 */
const EYES: Record<string, number[][]> = {
  "the usual eye": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
  protanopia: [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
  ],
  deuteranopia: [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.01182, 0.04294, 0.968881],
  ],
  tritanopia: [
    [1.255528, -0.076749, -0.178779],
    [-0.078411, 0.930809, 0.147602],
    [0.004733, 0.691367, 0.3039],
  ],
};

/** CIE L*a*b* (white D65) of a colour, as an eye sees it. */
function lab(rgb: Triple, eye: string): Triple {
  const light = linear(rgb);
  const seen = EYES[eye].map((row) =>
    Math.min(1, Math.max(0, row.reduce((sum, weight, c) => sum + weight * light[c], 0)))
  );
  const [x, y, z] = [
    [0.4124564 / 0.95047, 0.3575761 / 0.95047, 0.1804375 / 0.95047],
    [0.2126729, 0.7151522, 0.072175],
    [0.0193339 / 1.08883, 0.119192 / 1.08883, 0.9503041 / 1.08883],
  ].map((row) => {
    const t = row.reduce((sum, weight, c) => sum + weight * seen[c], 0);
    return t > (6 / 29) ** 3 ? Math.cbrt(t) : t / (3 * (6 / 29) ** 2) + 4 / 29;
  });
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}

const lightness = (palette: Palette, step: number, eye: string) => lab(colorAt(palette, step), eye)[0];

describe("the measure of lightness itself", () => {
  test("knows black, white, a grey and a red", () => {
    expect(lab([0, 0, 0], "the usual eye")[0]).toBeCloseTo(0, 6);
    expect(lab([255, 255, 255], "the usual eye")[0]).toBeCloseTo(100, 3);
    expect(lab([119, 119, 119], "the usual eye")[0]).toBeCloseTo(50.03, 1);
    const [L, a, b] = lab([255, 0, 0], "the usual eye");
    expect([L, a, b].map((v) => Math.round(v))).toEqual([53, 80, 67]);
  });

  test("makes a red and a green alike for deuteranopia, which the usual eye tells apart", () => {
    const far = (eye: string) => {
      const [red, green] = [lab([200, 80, 40], eye), lab([110, 125, 40], eye)];
      return Math.hypot(red[1] - green[1], red[2] - green[2]);
    };
    expect(far("the usual eye")).toBeGreaterThan(50);
    expect(far("deuteranopia")).toBeLessThan(20);
  });
});

describe.each(Object.keys(EYES))("palettes as seen with %s", (eye) => {
  test.each(["grey", "inferno"] as const)("%s grows steadily in lightness, from black to almost white", (palette) => {
    for (let step = 0; step + 8 < 256; step++) {
      expect(lightness(palette, step + 8, eye), `step ${step}`).toBeGreaterThan(lightness(palette, step, eye) + 0.8);
    }
    expect(lightness(palette, 0, eye)).toBe(0);
    expect(lightness(palette, 255, eye)).toBeGreaterThan(90);
  });

  test("diverging grows in lightness away from the black of zero, evenly on both sides", () => {
    for (let distance = 0; distance + 8 <= 127; distance++) {
      for (const side of [-1, 1]) {
        const [near, far] = [distance, distance + 8].map((d) => side < 0 ? 127 - d : 128 + d);
        expect(lightness("diverging", far, eye), `step ${near}`).toBeGreaterThan(
          lightness("diverging", near, eye) + 1,
        );
      }
      expect(Math.abs(lightness("diverging", 127 - distance, eye) - lightness("diverging", 128 + distance, eye)))
        .toBeLessThan(20);
    }
  });

  test("diverging's two sides differ in colour, not only in lightness", () => {
    for (let distance = 24; distance <= 120; distance++) {
      const [, a1, b1] = lab(colorAt("diverging", 127 - distance), eye);
      const [, a2, b2] = lab(colorAt("diverging", 128 + distance), eye);
      expect(Math.hypot(a1 - a2, b1 - b2), `distance ${distance}`).toBeGreaterThan(20);
    }
  });
});

describe("palettes", () => {
  test("paint zero black", () => {
    expect(colorAt("grey", 0)).toEqual([0, 0, 0]);
    expect(colorAt("inferno", 0)).toEqual([0, 0, 0]);
    expect(Array.from(colorize([0], -3, 3, "diverging")).every((byte) => byte <= 2)).toBe(true);
  });

  test("are named in the error for an unknown one", () => {
    expect(() => paletteTable("rainbow" as Palette)).toThrow(
      'There is no palette "rainbow"; wanted one of grey,inferno,diverging.',
    );
  });
});

describe("colorize", () => {
  /** One value at a time, by the definition. */
  function naive(value: number, low: number, high: number, palette: Palette): number[] {
    if (Number.isNaN(value)) return [255, 0, 255];
    if (high <= low) return colorAt(palette, palette === "diverging" ? 128 : 0);
    const clipped = Math.min(high, Math.max(low, value));
    return colorAt(palette, Math.round(255 * ((clipped - low) / (high - low))));
  }

  test("agrees with the definition, value by value", () => {
    const value = fc.oneof(
      fc.double({ min: -10, max: 10, noNaN: true }),
      fc.constantFrom(NaN, Infinity, -Infinity, 0, -0),
    );
    fc.assert(
      fc.property(
        fc.array(value, { maxLength: 40 }),
        fc.integer({ min: -8, max: 0 }),
        fc.integer({ min: 0, max: 8 }),
        fc.constantFrom(...PALETTES),
        (values, low, high, palette) => {
          const found = colorize(values, low, high, palette);
          values.forEach((one, i) => {
            const wanted = naive(one, low, high, palette);
            // Half way between two steps, the last digit decides: a neighbour is as good.
            const near = [-1e-9, 0, 1e-9].map((shift) => naive(one + shift, low, high, palette));
            const got = Array.from(found.subarray(i * 3, i * 3 + 3));
            expect(high <= low ? [wanted] : near).toContainEqual(got);
          });
        },
      ),
      { numRuns: 300, seed: 1 },
    );
  });

  test("clips, paints NaN magenta, and takes one colour where there is no range", () => {
    expect(Array.from(colorize([-1, 0, 5, 10, 11, NaN], 0, 10, "grey"))).toEqual(
      [[0, 0, 0], [0, 0, 0], [128, 128, 128], [255, 255, 255], [255, 255, 255], [255, 0, 255]].flat(),
    );
    expect(Array.from(colorize([0, 0], 0, 0, "grey"))).toEqual([0, 0, 0, 0, 0, 0]);
  });
});
