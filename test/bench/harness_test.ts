import { afterEach, describe, expect, test, vi } from "vitest";
import { compare, format, head, interleave, quantile, timing } from "./harness.ts";

const sleep = (ms: number) => new Promise((done) => setTimeout(done, ms));

afterEach(() => void vi.useRealTimers());

describe("quantile", () => {
  test("sorts by size and interpolates between the two nearest", () => {
    expect(quantile([10, 9, 100, 2], 0.5)).toBe(9.5);
    expect(quantile([3, 1, 2], 0.95)).toBeCloseTo(2.9, 12);
    expect(quantile([7], 0.95)).toBe(7);
  });

  test("of nothing is an error", () => expect(() => quantile([], 0.5)).toThrow(RangeError));
});

test("tasks take turns, and the warm-up does not count", async () => {
  const order: string[] = [];
  const times = await interleave([() => order.push("a"), () => order.push("b")], { runs: 2, warmUp: 1 });
  expect(order).toEqual(["a", "b", "a", "b", "a", "b"]);
  expect(times.map((each) => each.length)).toEqual([2, 2]);
});

test("a comparison gives the subject's ratio to the baseline, and waits for what is asynchronous", async () => {
  // By a clock of its own: where the machine is busy, a real sleep of 10 ms may take longer than one of 40.
  vi.useFakeTimers();
  const compared = compare(["base", () => sleep(10)], ["subject", () => sleep(40)], { runs: 3, goal: 2 });
  await vi.runAllTimersAsync();
  const [base, subject] = await compared;
  expect([base.median, base.ratio]).toEqual([10, undefined]);
  expect([subject.median, subject.ratio]).toEqual([40, 4]);
  expect(format(subject)).toContain("≤ 2× ✗");
});

test("a goal is reached by the median, or by the ratio where there is one", () => {
  expect(format(timing("t", [1, 2, 90], { goal: 2 }))).toMatch(/2 ms .* ≤ 2 ms ✓$/);
  expect(format(timing("t", [1, 3, 90], { goal: 2 }))).toMatch(/3 ms .* ≤ 2 ms ✗$/);
  expect(format({ ...timing("t", [5]), ratio: 1.1, goal: 1.2 })).toMatch(/1\.10× .*≤ 1\.2× ✓$/);
});

test("a goal of a rate is reached from below", () => {
  expect(format({ name: "r", median: 9, unit: "per second", ratio: 1.1, goal: 1 })).toMatch(/1\.10× .*≥ 1× ✓$/);
  expect(format({ name: "r", median: 9, unit: "per second", goal: 10 })).toMatch(/9 \/s .* ≥ 10 \/s ✗$/);
});

test("columns stand under their titles, and units are named", () => {
  const [titles] = head().split("\n");
  const line = format({ name: "size", median: 1_234_567, unit: "bytes" });
  expect(line.indexOf(" B") + 2).toBe(titles.indexOf("median") + "median".length);
  expect(format({ name: "rate", median: 4.7123, unit: "per second" })).toContain("4.71 /s");
  expect(format({ name: "long", median: 12_345, unit: "ms" })).toContain("12.3 s");
  expect(format({ name: "KL divergence", median: 2.70494, unit: "" })).toContain(" 2.705");
});
