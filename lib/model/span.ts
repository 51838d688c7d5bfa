/**
 * What the cells along one axis of a map see along one axis of the image.
 *
 * Behind layers that enlarge maps, cells do not all see alike: behind an up-sampling by 2, two neighbours see the same
 * pixel. But it repeats: so a span says it for some cells, and how far that moves until they come again.
 *
 * @module
 */

import type { Window } from "./geometry.ts";

/** From the first pixel to the last one, that one included. */
export type Range = readonly [first: number, last: number];

/** What cells see: cell `i + m · phases.length` sees the pixels of `phases[i]`, moved by `m · step`. */
export interface Span {
  /** Null where a cell sees nothing of the image. */
  readonly phases: readonly (Range | null)[];
  readonly step: number;
  /** Why it is only a bound; null where it is exact. */
  readonly reason: string | null;
}

/** The pixels of the image itself. */
export const PIXELS: Span = { phases: [[0, 0]], step: 1, reason: null };

/** Cells that all see the same. */
export const constant = (range: Range | null, reason: string | null = null): Span => ({
  phases: [range],
  step: 0,
  reason,
});

/** The most kinds of cells that are told apart. */
const MOST_PHASES = 4096;

const gcd = (a: number, b: number): number => b === 0 ? Math.abs(a) : gcd(b, a % b);

/** The least range that holds some others. */
export function hullOf(ranges: Iterable<Range | null>): Range | null {
  let [first, last] = [Infinity, -Infinity];
  for (const range of ranges) {
    if (!range) continue;
    first = Math.min(first, range[0]);
    last = Math.max(last, range[1]);
  }
  return first <= last ? [first, last] : null;
}

/** What one cell sees; it may reach beyond the image. */
export function rangeAt({ phases, step }: Span, cell: number): Range | null {
  const turn = Math.floor(cell / phases.length);
  const range = phases[cell - turn * phases.length];
  return range && [range[0] + turn * step, range[1] + turn * step];
}

/** The same in the fewest phases. */
function reduced(span: Span): Span {
  const count = span.phases.length;
  for (let few = 1; few < count; few++) {
    if (count % few || (span.step * few) % count) continue;
    const fewer = { ...span, phases: span.phases.slice(0, few), step: span.step * few / count };
    const alike = span.phases.every((range, i) => rangeAt(fewer, i)?.join() === range?.join());
    if (alike) return fewer;
  }
  return span;
}

/** A straight band that holds a span: cell `i` sees at most from `i · slope + low` up to, not with, `i · slope + high`. */
export function bandOf({ phases, step }: Span): { slope: number; low: number; high: number } | null {
  const slope = step / phases.length;
  let [low, high] = [Infinity, -Infinity];
  phases.forEach((range, i) => {
    if (!range) return;
    low = Math.min(low, range[0] - i * slope);
    high = Math.max(high, range[1] + 1 - i * slope);
  });
  return low < high ? { slope, low, high } : null;
}

/** A span of so many phases that holds a band. */
function ofBand(slope: number, low: number, high: number, count: number, reason: string): Span {
  const phases = Array.from({ length: count }, (_, i): Range => [
    Math.floor(i * slope + low),
    Math.ceil(i * slope + high) - 1,
  ]);
  return { phases, step: Math.round(slope * count), reason };
}

/** What the cells of a layer see that reads maps through windows. */
export function through(span: Span, window: Window, reason: string | null): Span {
  const { kernel, stride, before, dilation = 1, up = 1 } = window;
  const count = span.phases.length;
  const common = gcd(stride, up * count);
  const cells = up * count / common;
  const why = span.reason ?? reason;
  if (cells > MOST_PHASES) {
    const { slope, low, high } = bandOf(span) ?? { slope: 0, low: 0, high: 0 };
    const first = slope * (1 - up - before) / up + low;
    const last = slope * (kernel - before + up) / up + high;
    const few = Math.round(MOST_PHASES / 2);
    const whole = Math.ceil(slope * stride / up * few);
    return ofBand(whole / few, first, last + few, few, why ?? "its steps are too uneven to be followed");
  }
  const phases = Array.from({ length: cells }, (_, cell) => {
    const lowest = cell * stride - before;
    const from = Math.ceil(lowest / up);
    const to = Math.floor((lowest + kernel - 1) / up);
    const read = Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => from + i);
    return hullOf(read.filter((i) => (i * up - lowest) % dilation === 0).map((i) => rangeAt(span, i)));
  });
  return reduced({ phases, step: span.step * stride / common, reason: why });
}

/** What all of so many cells see together, within an image of so many pixels; null where a number is not known. */
export function extentOf(span: Span, cells: number | null, pixels: number | null): Range | null {
  const last = pixels === null ? Infinity : pixels - 1;
  const clipped = (range: Range | null): Range | null =>
    range && range[1] >= 0 && range[0] <= last ? [Math.max(0, range[0]), Math.min(last, range[1])] : null;
  if (span.step === 0 && span.phases.length === 1) return clipped(span.phases[0]);
  if (cells === null) return [0, last];
  return hullOf(Array.from({ length: cells }, (_, cell) => clipped(rangeAt(span, cell))));
}

/** What cells see that join those of several branches. @param cells how many there are; null if that is not known */
export function joined(spans: readonly Span[], cells: number | null): Span {
  if (spans.length === 1) return spans[0];
  const slopes = spans.map(({ phases, step }) => step / phases.length);
  const reason = spans.find(({ reason }) => reason)?.reason ?? null;
  const counts = spans.map(({ phases }) => phases.length);
  const count = counts.reduce((all, one) => all * one / gcd(all, one));
  const steps = spans.map(({ step, phases }) => step * (count / phases.length));
  if (count <= MOST_PHASES && steps.every((step) => step === steps[0])) {
    const phases = Array.from({ length: count }, (_, i) => hullOf(spans.map((span) => rangeAt(span, i))));
    return reduced({ phases, step: steps[0], reason });
  }
  const why = reason ?? "branches meet whose cells move by different steps";
  if (cells === null) return constant([0, Infinity], why);
  // What moves more slowly from cell to cell falls behind, up to the last one.
  const fastest = spans[slopes.indexOf(Math.max(...slopes))];
  const slope = fastest.step / fastest.phases.length;
  const bands = spans.map(bandOf).filter((band) => band !== null);
  const low = Math.min(...bands.map((band) => band.low - (slope - band.slope) * (cells - 1)));
  const high = Math.max(...bands.map((band) => band.high));
  return reduced(ofBand(slope, low, high, fastest.phases.length, why));
}
