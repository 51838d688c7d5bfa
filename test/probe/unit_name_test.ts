import { describe, expect, test } from "vitest";
import { diagnoseFilter } from "../../lib/probe/filter_diagnostics.ts";
import { commonDirection, filterDirection, hueName, lookOf, type PatchLook, turn } from "../../lib/probe/patch_look.ts";
import { binomialTail, nameUnit, spectrumDistance, THRESHOLDS, type UnitEvidence } from "../../lib/probe/unit_name.ts";
import { randomStream } from "../../lib/random.ts";

type Paint = (y: number, x: number) => number | readonly [number, number, number];

/** A patch `[side, side, 3]` of 0…255. */
function patch(side: number, paint: Paint) {
  const data = Float32Array.from({ length: side * side * 3 }, (_, i) => {
    const at = Math.floor(i / 3);
    const value = paint(Math.floor(at / side), at % side);
    return typeof value === "number" ? value : value[i % 3];
  });
  return { data, shape: [side, side, 3] };
}

/** How far along its gradient a place is whose lines have this angle, from the middle on; y runs downwards. */
const along = (angle: number, y: number, x: number, side: number) => {
  const middle = (side - 1) / 2;
  const line = angle * Math.PI / 180;
  return (x - middle) * Math.sin(line) + (y - middle) * Math.cos(line);
};
const grating = (side: number, angle: number, wave: number, phase = 0) =>
  patch(side, (y, x) => 127.5 + 120 * Math.sin(2 * Math.PI * along(angle, y, x, side) / wave + phase));
const edge = (side: number, angle: number, shift = 0) =>
  patch(side, (y, x) => 127.5 + 127.5 * Math.tanh(along(angle, y, x, side) + shift));

const random = randomStream(16);
const noise = (side: number) => patch(side, () => 255 * random());
/** Dots on a lattice that is shifted and blurred at random. */
const dots = (side: number) => {
  const [dy, dx] = [random() * 4, random() * 4];
  return patch(side, (y, x) => 127 + 60 * (Math.cos((y + dy) * Math.PI / 2) + Math.cos((x + dx) * Math.PI / 2)));
};

const nine = (make: (i: number) => { data: Float32Array; shape: number[] }) =>
  Array.from({ length: 9 }, (_, i) => lookOf(make(i)));
const shares = new Map(Array.from({ length: 10 }, (_, i) => [`class ${i}`, 0.1]));
const name = (looks: readonly PatchLook[], more: Partial<UnitEvidence> = {}, distance = 0.5) =>
  nameUnit({ looks, labels: looks.map((_, i) => `class ${i}`), seen: 0.02, ...more }, { distance, shares });

describe("a patch", () => {
  test.each([-67, -45, -20, 0, 30, 45, 60, 90])("of lines at %d° has that angle, whatever its size", (angle) => {
    for (const side of [3, 5, 11, 24]) {
      const look = lookOf(edge(side, angle));
      expect(turn(look.angle, angle)).toBeLessThan(side < 5 ? 8 : 5);
      expect(look.coherence).toBeGreaterThan(0.9);
    }
  });

  test("lines fall to the right at −45° and rise at +45°", () => {
    const falling = patch(7, (y, x) => y === x ? 255 : 0);
    const rising = patch(7, (y, x) => y === 6 - x ? 255 : 0);
    expect(lookOf(falling).angle).toBeCloseTo(-45);
    expect(lookOf(rising).angle).toBeCloseTo(45);
    expect(lookOf(patch(7, (y) => y === 3 ? 255 : 0)).angle).toBeCloseTo(0);
    expect(lookOf(patch(7, (_, x) => x === 3 ? 255 : 0)).angle).toBeCloseTo(90);
  });

  test("of waves has as many as fit", () => {
    expect(lookOf(grating(32, 20, 8)).cycles).toBeCloseTo(4, 0);
    expect(lookOf(grating(32, 70, 16)).cycles).toBeCloseTo(2, 0);
    expect(lookOf(patch(9, () => 70)).cycles).toBe(0);
  });

  test("has even edges or edges in one quarter, and its mean colour", () => {
    expect(lookOf(noise(24)).evenness).toBeGreaterThan(0.95);
    expect(lookOf(patch(24, (y, x) => y < 8 && x < 8 ? 255 * random() : 0)).evenness).toBeLessThan(0.4);
    expect(lookOf(patch(5, () => [255, 51, 0])).color).toEqual([1, expect.closeTo(0.2), 0]);
  });

  test("of one pixel, of one row and of five bands is measured, too", () => {
    for (const shape of [[1, 1, 3], [1, 6, 3], [6, 1, 1], [4, 4, 5]]) {
      const look = lookOf({ data: new Float32Array(shape[0] * shape[1] * shape[2]).fill(9), shape });
      expect([look.coherence, look.cycles, look.contrast].map((value) => value + 0), String(shape)).toEqual([
        0,
        0,
        expect.closeTo(0),
      ]);
    }
  });
});

describe("directions", () => {
  test("of patches that run across each other cancel out", () => {
    const looks = [{ coherence: 1, angle: 45 }, { coherence: 1, angle: -45 }];
    expect(commonDirection(looks).coherence).toBeCloseTo(0);
    expect(commonDirection([{ coherence: 1, angle: 89 }, { coherence: 1, angle: -89 }])).toEqual({
      coherence: expect.closeTo(1, 2),
      angle: expect.closeTo(90),
    });
  });

  test("of hand-set filters are those of the diagnostics: a wave of 135° makes lines of −45°", () => {
    for (const angle of [-45, 0, 45, 90]) {
      const { data, shape } = grating(7, angle, 7);
      const filter = { data: data.map((value) => value - 127.5), shape };
      const found = filterDirection(filter);
      expect(turn(found.angle, angle)).toBeLessThan(3);
      expect(turn(90 - diagnoseFilter(filter).orientation!, angle)).toBeLessThan(8);
    }
  });

  test("hues have their names", () => {
    const hue = (red: number, green: number, blue: number) =>
      hueName([red - (green + blue) / 2, Math.sqrt(3) / 2 * (green - blue)]);
    expect([hue(1, 0, 0), hue(1, 0.5, 0), hue(1, 1, 0), hue(0, 1, 0), hue(0, 1, 1), hue(0, 0, 1), hue(1, 0, 1)])
      .toEqual(["red", "orange", "yellow", "green", "cyan", "blue", "magenta"]);
  });
});

describe("a unit is named", () => {
  const falling = nine((i) => edge(5, -45 + (i - 4) * 2, (i - 4) / 4));

  test("an edge, if its patches run one way and its filter, too", () => {
    expect(name(falling)).toMatchObject({ kind: "edge", name: "edge −45°" });
    expect(name(nine((i) => edge(5, 40, (i - 4) / 4))).name).toBe("edge +45°");
    expect(name(nine(() => edge(5, 5))).name).toBe("edge horizontal");
    expect(name(nine(() => edge(5, -85))).name).toBe("edge vertical");
    expect(name(falling, { filter: { coherence: 0.8, angle: -50 } }).kind).toBe("edge");
  });

  test("nothing, if filter and patches run apart, or the filter runs no way", () => {
    expect(name(falling, { filter: { coherence: 0.8, angle: 10 } }).kind).toBe("unnamed");
    expect(name(falling, { filter: { coherence: 0.1, angle: -45 } }).kind).toBe("unnamed");
  });

  test("nothing, if patches run in all directions, or are few", () => {
    expect(name(nine((i) => edge(5, i * 20))).kind).toBe("unnamed");
    expect(name(falling.slice(0, 3)).kind).toBe("unnamed");
  });

  test("a colour, if its patches have one hue", () => {
    expect(name(nine((i) => patch(5, () => [40 + i, 180 - 3 * i, 60])))).toMatchObject({
      kind: "colour",
      name: "colour green",
    });
    expect(name(nine((i) => patch(5, () => i % 2 ? [200, 30, 30] : [30, 30, 200]))).kind).toBe("unnamed");
    expect(name(nine((i) => patch(5, () => 20 * i))).kind).toBe("unnamed");
  });

  test("a texture, if its patches have as many waves everywhere, and like those of no other unit", () => {
    const looks = nine(() => dots(24));
    const others = [...nine(() => noise(24)), ...nine((i) => edge(24, i * 20)), ...looks];
    const distance = spectrumDistance(others);
    expect(name(looks, { seen: 0.1 }, distance)).toMatchObject({ kind: "texture", name: "texture" });
    const mixed = [dots(24), noise(24), edge(24, 10), edge(24, 100), noise(24), edge(24, 50)].map(lookOf);
    expect(name(mixed, { seen: 0.1 }, distance).kind).toBe("unnamed");
  });

  test("stripes, if its lines repeat: the same lines in a small patch are an edge", () => {
    expect(name(nine((i) => grating(24, 45, 6, i)))).toMatchObject({ kind: "texture", name: "stripes +45°" });
    expect(name(nine((i) => grating(5, 45, 6, i / 9))).kind).toBe("edge");
  });

  test("a part or an object of a class, by how much of the image it sees; more than chance would give", () => {
    const looks = nine((i) => edge(16, i * 20));
    const labels = [...Array(7).fill("class 3"), "class 1", undefined];
    expect(name(looks, { labels, seen: 0.2 })).toMatchObject({ kind: "part", name: "part of class 3", purity: 7 / 9 });
    expect(name(looks, { labels, seen: 0.8 }).name).toBe("object of class 3");
    expect(name(looks, { labels, seen: 0.01 }).kind).toBe("unnamed");
    const two = new Map([["class 3", 0.7], ["class 1", 0.3]]);
    const common = nameUnit({ looks, labels, seen: 0.8 }, { distance: 1, shares: two });
    expect(common.kind).toBe("unnamed");
    expect(common.chance).toBeGreaterThan(THRESHOLDS.chance);
    const none = nameUnit({ looks, labels: looks.map(() => undefined), seen: 0.8 }, { distance: 1, shares: new Map() });
    expect([none.kind, none.purity]).toEqual(["unnamed", null]);
  });

  test("by its highest step, and the others are told", () => {
    const looks = nine((i) => patch(16, () => [40 + i, 180, 60]));
    expect(name(looks, { labels: looks.map(() => "class 6"), seen: 0.3 })).toMatchObject({
      name: "part of class 6",
      also: "colour green",
    });
  });
});

test("the tail of a binomial distribution", () => {
  expect(binomialTail(0, 9, 0.1)).toBe(1);
  expect(binomialTail(9, 9, 0.5)).toBeCloseTo(1 / 512);
  expect(binomialTail(2, 3, 0.5)).toBeCloseTo(0.5);
});
