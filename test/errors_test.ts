import { describe, expect, test } from "vitest";
import { kindOf, nearest, unknownName } from "../lib/errors.ts";

describe("nearest", () => {
  test("puts names that contain the word first, then the least edits", () => {
    expect(nearest("conv2", ["pool1", "block2_conv2", "conv1", "conv3"], 3)).toEqual([
      "block2_conv2",
      "conv1",
      "conv3",
    ]);
  });
});

describe("unknownName", () => {
  test("names what was asked, where, and what exists", () => {
    const error = unknownName("layer", "convv1", ["conv1", "fc"], 'model "m"');
    expect(error).toBeInstanceOf(RangeError);
    expect(error.message).toBe('There is no layer "convv1" in model "m". The nearest: "conv1", "fc".');
  });
});

describe("kindOf", () => {
  test.each([
    ["dog", '"dog"'],
    ["x".repeat(100), `"${"x".repeat(60)}…"`],
    [7, "7"],
    [null, "null"],
    [undefined, "undefined"],
    [[1], "an array"],
    [{}, "an object"],
    [Object.create(null), "an object"],
    [new Map(), "an object of type Map"],
    [Promise.resolve(), "a promise (did you forget await?)"],
    [Math.max, "the function max"],
  ])("%o", (value, told) => {
    expect(kindOf(value)).toBe(told);
  });
});
