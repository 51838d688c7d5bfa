import { expect, test } from "vitest";
import { brief, probabilityText, significant } from "../lib/format.ts";

test("numbers beside each other keep the zeros that they mean; those too large or small for it are as they are alone", () => {
  expect([3.3, 3.28, 0.0120, -8.9, 100, 0].map((value) => significant(value))).toEqual(
    ["3.30", "3.28", "0.0120", "−8.90", "100", "0"],
  );
  expect([1234, 1e-9, null, NaN, Infinity].map((value) => significant(value))).toEqual(
    [1234, 1e-9, null, NaN, Infinity].map((value) => brief(value)),
  );
  expect(significant(1.4, 2)).toBe("1.4");
});

test("no probability is rounded to certainty", () => {
  expect([0, 0.5, 0.9994, 0.9995, 1, null, NaN].map(probabilityText)).toEqual(
    ["0.0 %", "50.0 %", "99.9 %", "> 99.9 %", "> 99.9 %", "–", "–"],
  );
});
