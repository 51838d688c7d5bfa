/** Accuracies with their intervals, as charts draw them. @module */

import type { Series } from "../figure/blocks.ts";

/** A share with its interval. */
export interface Accuracy {
  readonly accuracy: number;
  readonly low: number;
  readonly high: number;
}

/**
 * A series of a chart: accuracies over some places, with their intervals.
 *
 * @param as how they are drawn @default "line", with a band
 */
export const accuracySeries = <Row extends Accuracy>(
  label: string,
  rows: readonly Row[],
  at: (row: Row, index: number) => number,
  as: Series["as"] = "line",
): Series => ({
  // Labels that are the same up to the first "·" would share a colour.
  label: label.replaceAll("·", "-"),
  x: rows.map(at),
  y: rows.map(({ accuracy }) => accuracy),
  low: rows.map(({ low }) => low),
  high: rows.map(({ high }) => high),
  as,
});
