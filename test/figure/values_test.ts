import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ndarray } from "../../lib/array.ts";
import { packValues } from "../../lib/figure/values.ts";

/** The numbers as the page reads them. */
function unpack({ halves, scale }: ReturnType<typeof packValues>): number[] {
  const view = new DataView(Uint8Array.fromBase64(halves).buffer);
  return Array.from({ length: view.byteLength / 2 }, (_, i) => view.getFloat16(2 * i, true) / scale);
}

describe("the numbers behind a picture", () => {
  test("keep three significant digits, however large or small they are together", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: -30, max: 30 }),
        fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: 6, maxLength: 6 }),
        (power, shares) => {
          const values = ndarray(shares.map((share) => share * 10 ** power), [2, 3]);
          const most = Math.max(...values.data.map(Math.abs));
          unpack(packValues(values)).forEach((found, i) => {
            const wanted = values.data[i];
            // Below some billionths of the largest, digits go.
            expect(Math.abs(found - wanted)).toBeLessThanOrEqual(Math.max(6e-4 * Math.abs(wanted), 2e-12 * most));
          });
        },
      ),
      { seed: 1 },
    );
  });

  test("keep what is no finite number", () => {
    const values = ndarray([1, NaN, Infinity, -Infinity, 0, -2], [3, 2]);
    expect(unpack(packValues(values))).toEqual([1, NaN, Infinity, -Infinity, 0, -2]);
  });

  test("take two bytes each, and say their axes", () => {
    const { halves, ...rest } = packValues(ndarray(new Float32Array(4 * 5 * 3).fill(0.5), [4, 5, 3]));
    expect(rest).toMatchObject({ rows: 4, columns: 5, channels: 3 });
    expect(halves).toHaveLength(160);
    expect(packValues(ndarray([0, 0], [1, 2]))).toMatchObject({ channels: 1, scale: 1 });
  });

  test("are refused where they are no picture", () => {
    expect(() => packValues(ndarray([1, 2], [2]))).toThrow(
      "[height, width] or [height, width, channels]: received [2]",
    );
    expect(() => packValues(ndarray([], [0, 2]))).toThrow(RangeError);
  });
});
