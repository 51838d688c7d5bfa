import { describe, expect, test } from "vitest";
import { nearest, unknownName } from "../lib/errors.ts";

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
