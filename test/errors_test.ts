import { describe, expect, test } from "vitest";
import { checkOptions, kindOf, nearest, unknownName } from "../lib/errors.ts";

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

describe("checkOptions", () => {
  interface Options {
    size?: number;
    seed?: number;
  }
  const check = (options: unknown) => checkOptions("blur", options as Options, { size: true, seed: true });

  test("gives options back as they are", () => {
    const options = { size: 3, seed: undefined };
    expect(check(options)).toBe(options);
    expect(check({})).toEqual({});
  });

  test("an unknown one is told with the nearest", () => {
    expect(() => check({ sise: 3 })).toThrow(TypeError);
    expect(() => check({ sise: 3 })).toThrow('blur has no option "sise". The nearest: "size", "seed".');
    expect(() => check({ sise: undefined })).toThrow('blur has no option "sise".');
    // What every object has by inheritance is no option.
    expect(() => check({ toString: 3 })).toThrow('blur has no option "toString".');
  });

  test("what is no plain object is told", () => {
    for (const wrong of [null, "size", 3, [3], new Map(), Promise.resolve({}), () => ({})]) {
      expect(() => check(wrong)).toThrow(TypeError);
      expect(() => check(wrong)).toThrow("blur takes its options as one object, as { size: … }: received ");
    }
  });

  test("what means the same everywhere is checked by kind", () => {
    const names = { batchSize: true, top: true, steps: true, seed: true, signal: true, onProgress: true, layers: true };
    const common = (options: object) => () => checkOptions("blur", options, names as never);
    expect(common({ batchSize: 0 })).toThrow("batchSize must be a whole number ≥ 1: received 0.");
    expect(common({ top: 2.5 })).toThrow("top must be a whole number ≥ 1: received 2.5.");
    expect(common({ steps: "5" })).toThrow('steps must be a whole number ≥ 1: received "5".');
    expect(common({ seed: "5" })).toThrow('seed must be a whole number: received "5".');
    expect(common({ seed: NaN })).toThrow(RangeError);
    expect(common({ signal: new AbortController() })).toThrow(
      "signal must be an AbortSignal, as new AbortController().signal: received an object of type AbortController.",
    );
    expect(common({ onProgress: 3 })).toThrow("onProgress must be a function: received 3.");
    expect(common({ layers: "conv1" })).toThrow('layers must be an array of layers\' names: received "conv1".');
    expect(common({ layers: undefined, signal: AbortSignal.abort(), seed: -1, steps: 1 })).not.toThrow();
  });

  test("of many options only the nearest are told", () => {
    const names = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`option${i}`, true as const]));
    expect(() => checkOptions("blur", { option21: 1 }, names as never)).toThrow(/"option1".* \(20 in all\)\.$/);
  });

  test("names are compared with the interface by the type checker", () => {
    const options: Options = {};
    // @ts-expect-error seed is missing
    checkOptions("blur", options, { size: true });
    // @ts-expect-error sead is none
    checkOptions("blur", options, { size: true, seed: true, sead: true });
  });
});
