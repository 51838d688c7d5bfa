import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { NdArrayLike } from "../../lib/array.ts";
import { randomStream } from "../../lib/random.ts";
import { resize } from "../../lib/resize/resize.ts";
import { plainResize } from "../lanczos.ts";

/** How many values of two arrays differ, NaN from NaN not. */
const differences = (a: NdArrayLike, b: NdArrayLike) =>
  Math.abs(a.data.length - b.data.length) + a.data.filter((value, i) => !Object.is(value, b.data[i])).length;

describe("resize", () => {
  const cases: { from: number[]; to: [number, number]; fit: "crop" | "squash"; image: number[]; expected: number[] }[] =
    JSON.parse(readFileSync(new URL("../data/fixtures/resize.json", import.meta.url), "utf8"));

  it.each(cases)("agrees with Pillow: $from to $to, $fit", ({ from, to, fit, image, expected }) => {
    const { data, shape } = resize({ data: Float32Array.from(image), shape: [...from, 1] }, to, { fit });
    expect(shape).toEqual([...to, 1]);
    expected.forEach((value, i) => expect(Math.abs(data[i] - value)).toBeLessThan(1e-3));
  });

  it("gives the bits of plain loops: any size, channels, floats and bytes", () => {
    const random = randomStream(3);
    const whole = (most: number) => 1 + Math.floor(most * random());
    for (let i = 0; i < 60; i++) {
      const shape = [whole(60), whole(60), [1, 3, 2, 4, 7][i % 5]];
      const to: [number, number] = [whole(70), whole(70)];
      const fit = i % 2 ? "crop" : "squash";
      const bytes = Uint8Array.from({ length: shape[0] * shape[1] * shape[2] }, () => 256 * random());
      const floats = Float32Array.from(bytes, (byte) => i % 3 ? byte : byte / 100 - 1);
      const plain = plainResize({ data: floats, shape }, to, fit);
      const given = { data: floats, shape };
      expect(differences(resize(given, to, { fit }), plain), JSON.stringify({ shape, to, fit })).toBe(0);
      if (i % 3) expect(differences(resize({ data: bytes, shape }, to, { fit }), plain)).toBe(0);
    }
  });

  it("takes a source in blocks where it is large, and passes NaN on", () => {
    const shape = [1300, 301, 3];
    const data = Uint8Array.from({ length: 1300 * 301 * 3 }, (_, i) => (i * 7919) % 251);
    expect(differences(resize({ data, shape }, [9, 5]), plainResize({ data: Float32Array.from(data), shape }, [9, 5])))
      .toBe(0);
    const holed = Float32Array.from({ length: 36 }, (_, i) => i === 17 ? NaN : i - 20);
    const given = { data: holed, shape: [6, 6, 1] };
    expect(differences(resize(given, [4, 3]), plainResize(given, [4, 3]))).toBe(0);
    const nowhere = { data: new Float32Array(9).fill(NaN), shape: [3, 3, 1] };
    expect(resize(nowhere, [2, 2]).data.every(Number.isNaN)).toBe(true);
  });

  it("keeps channels apart and leaves the input as it was", () => {
    const data = Float32Array.of(0, 100, 255, 0, 100, 255, 0, 100, 255, 0, 100, 255);
    const before = Array.from(data);
    const out = resize({ data, shape: [2, 2, 3] }, [3, 5]);
    for (let i = 0; i < 15; i++) {
      [0, 100, 255].forEach((value, c) => expect(out.data[i * 3 + c]).toBeCloseTo(value, 4));
    }
    expect(Array.from(data)).toEqual(before);
  });

  it("returns the same pixels for the same size", () => {
    const data = Float32Array.from({ length: 48 }, (_, i) => i * 5);
    expect(Array.from(resize({ data, shape: [4, 4, 3] }, [4, 4]).data)).toEqual(Array.from(data));
  });

  it("refuses what it cannot resize", () => {
    const image = { data: new Float32Array(12), shape: [2, 2, 3] };
    expect(() => resize(image, [0, 2])).toThrow(/whole numbers ≥ 1: received \[0, 2\]/);
    expect(() => resize({ data: new Float32Array(4), shape: [2, 2] }, [1, 1])).toThrow(/received \[2, 2\]/);
    expect(() => resize(image, [1, 1], { fit: "stretch" as "crop" })).toThrow(/received "stretch"/);
  });
});
