/**
 * Numbers in figures.
 *
 * @module
 */

/** A number with three significant digits, as `"−0.0123"`; `"–"` where there is none. */
export function brief(value: number | null): string {
  return value === null || Number.isNaN(value) ? "–" : Number(value.toPrecision(3)).toString().replace("-", "−");
}
