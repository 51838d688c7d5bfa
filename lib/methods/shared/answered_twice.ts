/**
 * Two models' answers for the same images, by an attribute.
 *
 * @module
 */

import { mcnemar, pairedDifference } from "../../embed/paired.ts";
import { holm } from "../../embed/significance.ts";
import { PerformanceComparison, type PerformanceComparisonRow } from "../../results/performance_comparison.ts";
import type { Answer } from "./answers.ts";
import { type Attributes, performanceOf, type Slice, slicesOf, valuesOf } from "./slices.ts";

/** What is compared. */
export interface TwoAnswered {
  readonly answers: readonly [a: readonly Answer[], b: readonly Answer[]];
  readonly of: readonly [a: string, b: string];
  readonly attributes: Attributes;
  readonly attribute: string;
  readonly bins: number;
  readonly edges?: readonly number[];
}

/** Of the bootstrap. */
const SEED = 0;

function rowOf({ value, range, answers }: Slice, others: readonly Answer[]): PerformanceComparisonRow {
  const [a, b] = [answers, others].map((own) => performanceOf({ value, range, answers: own }));
  const both = answers.map(({ right }, i) => [right, others[i].right] as const);
  const onlyA = both.filter(([first, second]) => first && !second).length;
  const onlyB = both.filter(([first, second]) => !first && second).length;
  const { value: difference, low, high } = pairedDifference(
    both.map(([first]) => first),
    both.map(([, second]) => second),
    SEED,
  );
  return {
    value,
    ...range && { from: range[0], to: range[1] },
    n: answers.length,
    a: a.accuracy,
    aLow: a.low,
    aHigh: a.high,
    b: b.accuracy,
    bLow: b.low,
    bHigh: b.high,
    difference,
    low,
    high,
    onlyA,
    onlyB,
    p: mcnemar(onlyA, onlyB).p,
  };
}

/**
 * @throws {TypeError} if the attribute is one that each model has its own of
 * @throws {RangeError} if both were asked about different images, or there is no such attribute
 */
export function compareBy(
  { answers: [a, b], of, attributes, attribute, bins, edges }: TwoAnswered,
): PerformanceComparison {
  const known = attributes.values().next().value;
  if ((attribute === "prediction" || attribute === "confidence") && known?.[attribute] === undefined) {
    throw new TypeError(
      `performanceBy compares two models on the same images, and of two each has its own ${attribute}. Ask for an attribute ` +
        `of the images, or for one model at a time.`,
    );
  }
  const second = new Map(b.map((answer) => [answer.id, answer]));
  const shared = a.filter(({ id }) => second.has(id));
  if (shared.length === 0) {
    throw new RangeError(
      `performanceBy compares two models on the same images: of ${a.length} and ${b.length} none has the same id, as ` +
        `${JSON.stringify(a[0].id)} and ${JSON.stringify(b[0].id)}. Predict one data set with both.`,
    );
  }
  const values = valuesOf(shared, attributes, attribute);
  const parts = slicesOf(shared, values, { bins, edges }).map((slice) => {
    const others = slice.answers.map(({ id }) => second.get(id)!);
    return { row: rowOf(slice, others), images: { a: slice.answers, b: others } };
  });
  const adjusted = holm(parts.map(({ row: { p } }) => p));
  parts.forEach(({ row }, i) => row.p = adjusted[i]);
  const numeric = parts.every(({ row: { value } }) => typeof value === "number");
  if (!numeric) parts.sort((one, other) => one.row.difference - other.row.difference);
  const all = parts.flatMap(({ images }) => images.a);
  return new PerformanceComparison({
    attribute,
    rows: parts.map(({ row }) => row),
    images: parts.map(({ images }) => images),
    overall: rowOf({ value: "all", answers: all }, parts.flatMap(({ images }) => images.b)),
    missing: values.filter((value) => value === undefined || value === null).length,
    apart: a.length + b.length - 2 * shared.length,
    of,
  });
}
