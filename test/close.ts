/** Comparing numbers in tests. */

import { expect } from "vitest";

/** Of the largest wanted number. */
const TOLERANCE = 1e-4;

/** Expects numbers to be equal to within 1e-4 of the largest wanted one, and not all of those to be 0. */
export function expectClose(found: ArrayLike<number>, wanted: ArrayLike<number>, what: string): void {
  expect(found.length, what).toBe(wanted.length);
  let worst = 0;
  let most = 0;
  for (let i = 0; i < wanted.length; i++) {
    worst = Math.max(worst, Math.abs(found[i] - wanted[i]));
    most = Math.max(most, Math.abs(wanted[i]));
  }
  expect(most, `${what}: a comparison of zeros proves nothing`).toBeGreaterThan(0);
  expect(worst, what).toBeLessThanOrEqual(TOLERANCE * most);
}
