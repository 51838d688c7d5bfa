import { expect, test } from "vitest";
import { spectrumPicture } from "../../lib/results/stride_diagnosis.ts";

test("a spectrum is drawn with zero frequency in the middle, on three decades, with its border", () => {
  const side = 8;
  const data = new Float32Array(side * side);
  data[0] = 1000;
  data[2] = 1;
  data[side * 3] = 0.5;
  const inside = (fx: number, fy: number) => Math.max(Math.abs(fx), Math.abs(fy)) <= 0.25;
  const { pixels } = spectrumPicture({ data, shape: [side, side] }, inside, "a spectrum");
  expect([pixels.width, pixels.height]).toEqual([24, 24]);
  /** The colour of the middle of a frequency's square. */
  const at = (u: number, v: number) => {
    const from = ((3 * (v + 4) + 1) * 24 + 3 * (u + 4) + 1) * 3;
    return Array.from(pixels.data.slice(from, from + 3));
  };
  expect(at(0, 0)).toEqual([252, 255, 164]);
  // A thousandth is black already, as is what is below it.
  expect(at(2, 0)).toEqual([0, 0, 0]);
  expect(at(0, 3)).toEqual([0, 0, 0]);
  const lines = Array.from({ length: 24 }, (_, x) => pixels.data.slice((12 * 24 + x) * 3).slice(0, 3).join())
    .flatMap((color, x) => color === "120,220,255" ? [x] : []);
  // Two borders on the middle row, four frequencies apart.
  expect(lines).toHaveLength(2);
  expect(lines[1] - lines[0]).toBe(12);
});
