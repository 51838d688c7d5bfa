/**
 * Which numbers the y axis of a curve shows.
 *
 * @module
 */

import { extent } from "../array.ts";
import { kindOf } from "../errors.ts";
import type { Axis } from "../figure/blocks.ts";
import { rule } from "../options.ts";

/**
 * What the y axis of a curve shows: `"fit"` what the curves need, out to the next tick; `"full"` all that is possible
 * (of shares and probabilities 0…1, of a loss from 0 on); or from one number to another.
 */
export type YRange = "fit" | "full" | readonly [low: number, high: number];

/** Whether it is `[low, high]`. */
export const isPair = (value: unknown): value is readonly [low: number, high: number] =>
  Array.isArray(value) && value.length === 2 && value.every(Number.isFinite) && value[0] < value[1];

/**
 * A {@linkcode YRange}; with `charts` also one for each of some charts, as `{ loss: [0, 3] }`.
 *
 * @throws {RangeError} if it is none
 */
export const yRange = (...charts: readonly string[]) =>
  rule((name, value) => {
    const one = (value: unknown) => value === "fit" || value === "full" || isPair(value);
    const each = typeof value === "object" && value !== null && !Array.isArray(value) ? Object.entries(value) : [];
    if (one(value) || (each.length && each.every(([chart, range]) => charts.includes(chart) && one(range)))) return;
    const objects = charts.length ? `, or an object as { ${charts.map((chart) => `${chart}: …`).join(", ")} }` : "";
    const shown = each.length ? JSON.stringify(value) : kindOf(value);
    throw new RangeError(
      `${name} must be "fit", "full" or [low, high] with low below high${objects}: received ${shown}.`,
    );
  });

/**
 * The ends of an axis.
 *
 * @param values the curves' numbers; NaN is passed over
 * @param full where the axis begins and ends at its fullest; it never goes beyond
 */
export function yEnds(
  range: YRange,
  values: readonly number[],
  full: Pick<Axis, "min" | "max">,
): Pick<Axis, "min" | "max"> {
  if (range === "full") return full;
  if (range !== "fit") return { min: range[0], max: range[1] };
  const [low, high] = extent(values.filter(Number.isFinite));
  // Numbers that differ get their ends from the ticks; around a number alone there is some room.
  if (high - low > 1e-6 * Math.abs(high)) return {};
  const room = (full.max === undefined ? 0.1 * Math.abs(high) : 0.05 * (full.max - (full.min ?? 0))) || 1;
  return { min: Math.max(full.min ?? -Infinity, low - room), max: Math.min(full.max ?? Infinity, high + room) };
}
