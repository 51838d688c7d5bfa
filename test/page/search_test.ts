import { describe, expect, test } from "vitest";
import type { SpotData } from "../../lib/page/data.ts";
import { fitted, isMeant, spotAt } from "../../lib/page/spots.ts";

describe("the search of a contact sheet", () => {
  const meant = (search: string) => [0, 3, 7, 8, 12, 38].filter((n) => isMeant(`channel ${n}`, search));

  test("takes numbers, ranges, and lists of both", () => {
    expect(meant("")).toEqual([0, 3, 7, 8, 12, 38]);
    expect(meant("3")).toEqual([3]);
    expect(meant("3, 8-12")).toEqual([3, 8, 12]);
    expect(meant("3 38")).toEqual([3, 38]);
    expect(meant("8-")).toEqual([8, 12, 38]);
    expect(meant("99")).toEqual([]);
  });

  test("takes parts of names, in capitals or not", () => {
    const names = ["Principal 1", "random 1", "cat − dog"];
    expect(names.filter((name) => isMeant(name, "RANDOM"))).toEqual(["random 1"]);
    expect(names.filter((name) => isMeant(name, "dog"))).toEqual(["cat − dog"]);
    expect(names.filter((name) => isMeant(name, "1"))).toEqual(["Principal 1", "random 1"]);
  });
});

describe("what the pointer meets in a tile", () => {
  const spots: SpotData[] = [
    { box: [20, 0, 10, 10], pair: [0, 0, 10, 10], words: "first" },
    { box: [30, 0, 10, 10], words: "second" },
  ];

  test("is the part under it, or what belongs to it", () => {
    expect(spotAt(spots, [25, 5])?.words).toBe("first");
    expect(spotAt(spots, [5, 5])?.words).toBe("first");
    expect(spotAt(spots, [30, 9])?.words).toBe("second");
    expect(spotAt(spots, [15, 5])).toBeUndefined();
  });

  test("is enlarged by a whole factor, or made smaller", () => {
    expect(fitted(55, 55, 150)).toEqual([110, 110]);
    expect(fitted(300, 200, 150)).toEqual([150, 100]);
  });
});
