/** Long and short versions of tests, and tests that need what a machine may lack. */

import { describe, test } from "vitest";

/** Whether all tests run at full length, and a test that lacks something fails: so in CI, by CONVLENS_TEST_ALL. */
export const ALL = Boolean(Deno.env.get("CONVLENS_TEST_ALL"));

/** The full number of repetitions in CI, fewer in a plain run. */
export function long<T>(full: T, short: T): T {
  return ALL ? full : short;
}

/** A test that takes many seconds beside shorter ones of the same thing, so that a plain run skips it. */
export const longTest = test.runIf(ALL);

/** The same for a group of tests. */
export const longDescribe = describe.runIf(ALL);

/**
 * Reports what a machine lacks for some tests, which are skipped then.
 *
 * @throws Error if all tests are asked for
 */
export function skipFor(reason: string, cause?: unknown): void {
  if (ALL) throw new Error(reason, { cause });
  console.log(`Skipped: ${reason}`);
}
