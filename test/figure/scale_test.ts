import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { scaleOf } from "../../lib/figure/scale.ts";

const AXIS = { title: "loss" };
const ROUND = { ticks: 5, round: true };
const TIGHT = { ticks: 5, round: false };

const finite = fc.double({ min: -1e12, max: 1e12, noNaN: true });
const positive = fc.double({ min: 1e-9, max: 1e9, noNaN: true });
const count = fc.double({ min: 1, max: 12, noNaN: true });
const ordered = (a: number, b: number): [number, number] => [Math.min(a, b), Math.max(a, b)];

describe("an axis", () => {
  const axes = fc.oneof(
    fc.record({
      data: fc.tuple(finite, finite),
      whole: fc.boolean(),
      log: fc.constant(false),
      ticks: count,
      round: fc.boolean(),
    }),
    fc.record({
      data: fc.tuple(positive, positive),
      whole: fc.constant(false),
      log: fc.constant(true),
      ticks: count,
      round: fc.boolean(),
    }),
  );

  test("holds all its data, and ticks that rise within it, none of which read the same", () => {
    fc.assert(
      fc.property(axes, ({ data, whole, log, ticks, round }) => {
        const [low, high] = ordered(...data);
        const scale = scaleOf({ title: "x", whole, scale: log ? "log" : "linear" }, [low, high], { ticks, round });
        const [min, max] = scale.domain;
        expect(max).toBeGreaterThan(min);
        const slack = 1e-8 * Math.max(Math.abs(low), Math.abs(high), 1e-280);
        expect(min).toBeLessThanOrEqual(low + slack);
        expect(max).toBeGreaterThanOrEqual(high - slack);
        for (const value of [low, high, ...scale.ticks]) {
          expect(scale.at(value)).toBeGreaterThanOrEqual(-1e-7);
          expect(scale.at(value)).toBeLessThanOrEqual(1 + 1e-7);
        }
        for (let i = 1; i < scale.ticks.length; i++) expect(scale.ticks[i]).toBeGreaterThan(scale.ticks[i - 1]);
        const words = scale.ticks.map(scale.format);
        expect(new Set(words).size, words.join(" ")).toBe(words.length);
        expect(scale.ticks.length).toBeLessThanOrEqual(3 * ticks + 6);
        if (round && !whole) expect(scale.ticks.length).toBeGreaterThanOrEqual(2);
        if (whole) { for (const tick of scale.ticks) expect(Number.isInteger(tick)).toBe(true); }
      }),
      { numRuns: 500, seed: 1 },
    );
  });

  test("rises with its numbers", () => {
    fc.assert(
      fc.property(positive, positive, positive, positive, fc.boolean(), (a, b, u, v, log) => {
        const scale = scaleOf({ title: "x", scale: log ? "log" : "linear" }, ordered(a, b), ROUND);
        const [low, high] = ordered(u, v);
        expect(scale.at(high)).toBeGreaterThanOrEqual(scale.at(low));
      }),
      { seed: 2 },
    );
  });

  test.each([
    [[0.03, 0.97], ROUND, [0, 1], ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]],
    [[-3, 12], ROUND, [-4, 12], ["−4", "−2", "0", "2", "4", "6", "8", "10", "12"]],
    [[0, 42_000], ROUND, [0, 50_000], ["0", "10,000", "20,000", "30,000", "40,000", "50,000"]],
    [[0, 4.2e6], ROUND, [0, 5e6], ["0", "10⁶", "2·10⁶", "3·10⁶", "4·10⁶", "5·10⁶"]],
    [[1e-7, 5e-7], ROUND, [1e-7, 5e-7], ["10⁻⁷", "2·10⁻⁷", "3·10⁻⁷", "4·10⁻⁷", "5·10⁻⁷"]],
    [[0.013, 0.018], TIGHT, [0.013, 0.018], ["0.013", "0.014", "0.015", "0.016", "0.017", "0.018"]],
    [[7, 7], ROUND, [6.2, 7.8], undefined],
    [[0, 0], ROUND, [0, 1], undefined],
  ])("from %j has round ends and round ticks", (data, options, domain, ticks) => {
    const scale = scaleOf(AXIS, data as [number, number], options);
    if (ticks) expect(scale.ticks.map(scale.format)).toEqual(ticks);
    if (ticks) expect(scale.domain).toEqual(domain);
    else expect(scale.at(data[0])).toBeGreaterThanOrEqual(0);
  });

  test.each([
    [[1, 4], ["1", "2", "3", "4"]],
    [[1, 2], ["1", "2"]],
    [[1, 1], ["1"]],
    [[1, 30], ["5", "10", "15", "20", "25", "30"]],
  ])("of epochs %j ticks at whole numbers", (data, ticks) => {
    const scale = scaleOf({ title: "epoch", whole: true }, data as [number, number], TIGHT);
    expect(scale.ticks.map(scale.format)).toEqual(ticks);
  });

  test.each([
    [[0.001, 10], ["0.001", "0.01", "0.1", "1", "10"]],
    [[0.001, 1000], ["0.001", "0.1", "10", "1000"]],
    [[1e-6, 1], ["10⁻⁶", "10⁻⁴", "10⁻²", "10⁰"]],
    [[0.3, 4], ["0.2", "0.5", "1", "2", "5"]],
    [[1e-7, 2e-6], ["10⁻⁷", "2·10⁻⁷", "5·10⁻⁷", "10⁻⁶", "2·10⁻⁶"]],
  ])("on a log scale of %j ticks at powers of ten, or at 1, 2, 5", (data, ticks) => {
    const scale = scaleOf({ title: "rate", scale: "log" }, data as [number, number], ROUND);
    expect(scale.ticks.map(scale.format)).toEqual(ticks);
    expect(scale.at(Math.sqrt(scale.domain[0] * scale.domain[1]))).toBeCloseTo(0.5);
    expect(scale.at(0)).toBeNaN();
  });

  test("keeps the ends that were given", () => {
    expect(scaleOf({ title: "p", min: 0, max: 1 }, [0.2, 7], ROUND).domain).toEqual([0, 1]);
    expect(scaleOf({ title: "p", min: 0 }, [0.2, 7.3], ROUND).domain).toEqual([0, 8]);
    expect(scaleOf({ title: "p", max: 1 }, [3, 7], ROUND).domain[1]).toBeGreaterThanOrEqual(1);
    expect(scaleOf({ title: "p", min: 2, max: 3, scale: "log" }, [1, 9], ROUND).domain).toEqual([2, 3]);
  });

  test("refuses ends that no axis has", () => {
    expect(() => scaleOf({ title: "rate", min: 0, scale: "log" }, [1, 2], ROUND)).toThrow(
      'A log axis ends at numbers above 0: received 0 for "rate".',
    );
    expect(() => scaleOf({ title: "p", min: 2, max: 1 }, [1, 2], ROUND)).toThrow("received 2 to 1");
    expect(() => scaleOf({ title: "p", max: NaN }, [1, 2], ROUND)).toThrow("received NaN");
  });
});
