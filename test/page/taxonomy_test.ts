import { expect, test } from "vitest";
import { countsOf, keptOf } from "../../lib/page/taxonomy.ts";

test("kinds are counted, the most frequent first, those without one last", () => {
  const filled = { a: "dark", b: "odd", d: "odd", elsewhere: "dark" };
  expect(countsOf(["a", "b", "c", "d", "e", "f"], filled)).toEqual([
    { kind: "odd", images: 2 },
    { kind: "dark", images: 1 },
    { kind: "", images: 3 },
  ]);
});

test("what the browser has kept counts as far as it is about these images", () => {
  expect(keptOf('{ "a": "dark", "z": "odd", "b": 3 }', ["a", "b"])).toEqual({ a: "dark" });
  expect(keptOf(null, ["a"])).toEqual({});
  expect(keptOf("{", ["a"])).toEqual({});
  expect(keptOf("null", ["a"])).toEqual({});
});
