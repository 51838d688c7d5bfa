/**
 * Cutting answers into slices by an attribute of their images.
 *
 * @module
 */

import { wilson } from "../../embed/logistic.ts";
import { kindOf, unknownName } from "../../errors.ts";
import { ImageAttributes } from "../../results/image_attributes.ts";
import type { PerformanceRow } from "../../results/performance.ts";
import type { Answer } from "./answers.ts";

/** Attributes of images: what `imageAttributes` returned, rows with an `id`, or a data frame with such a column. */
export type AttributesGiven =
  | ImageAttributes
  | readonly { readonly id: string }[]
  | { toRecords(): Record<string, unknown>[] };

/** What is known of images, by their ids. */
export type Attributes = ReadonlyMap<string, Readonly<Record<string, unknown>>>;

/** What is known of answers themselves. */
const OWN = ["label", "prediction", "confidence"] as const;

/** @throws {TypeError} if they are none, or a row has no id */
export function attributesById(asker: string, given: AttributesGiven | undefined): Attributes {
  if (given === undefined) return new Map();
  const rows: unknown = given instanceof ImageAttributes
    ? given.rows
    : Array.isArray(given)
    ? given
    : (given as { toRecords?(): unknown }).toRecords?.();
  if (!Array.isArray(rows)) {
    throw new TypeError(
      `${asker}'s attributes are what imageAttributes(dataset) returned, rows as [{ id: "a.jpg", scale: 0.2 }], or a ` +
        `data frame with a column id: received ${kindOf(given)}.`,
    );
  }
  return new Map(rows.map((row, i) => {
    if (typeof row?.id === "string") return [row.id, row];
    throw new TypeError(
      `${asker}'s attributes need the id of each image, as its data set has it: row ${i} has ${kindOf(row?.id)} in id.`,
    );
  }));
}

/**
 * The value of an attribute for each answer; undefined where it is not known.
 *
 * @throws {RangeError} if no answer has it; names those that there are
 */
export function valuesOf(answers: readonly Answer[], attributes: Attributes, name: string): unknown[] {
  const values = answers.map((answer) =>
    attributes.get(answer.id)?.[name] ?? (OWN.includes(name as never) ? answer[name as keyof Answer] : undefined)
  );
  if (values.some((value) => value !== undefined && value !== null)) return values;
  const first = attributes.values().next().value;
  const known = [...new Set([...Object.keys(first ?? {}), ...OWN])].filter((key) => key !== "id");
  const matching = answers.filter(({ id }) => attributes.has(id)).length;
  if (attributes.size > 0 && matching === 0) {
    throw new RangeError(
      `None of the ${answers.length} images of the predictions is among the ${attributes.size} that attributes are ` +
        `given of: the first ids are ${JSON.stringify(answers[0].id)} and ${JSON.stringify(first!.id)}. Measure the ` +
        `same data set.`,
    );
  }
  const owner = attributes.size ? "attributes and predictions" : "the predictions";
  const { message } = unknownName("attribute", name, known, owner);
  const remedy = " Measured ones come with the option attributes, as await imageAttributes(dataset).";
  throw new RangeError(message + (attributes.size ? "" : remedy));
}

/** A part of the answers that have something in common. */
export interface Slice {
  /** What they have: a value, or the middle of numbers. */
  readonly value: string | number;
  /** Of numbers: the smallest and the largest. */
  readonly range?: readonly [from: number, to: number];
  readonly answers: readonly Answer[];
}

/** The largest number of each of `bins` parts of nearly the same size; equal numbers are never parted. */
function quantiles(sorted: readonly number[], bins: number): number[] {
  const ends = Array.from({ length: bins }, (_, i) => sorted[Math.ceil((i + 1) * sorted.length / bins) - 1]);
  return [...new Set(ends)];
}

/**
 * Cuts answers by the values of an attribute: each text, truth value, or one of a few numbers by itself; many numbers
 * into parts of the same size, or at `edges`.
 */
export function slicesOf(
  answers: readonly Answer[],
  values: readonly unknown[],
  { bins, edges }: { bins: number; edges?: readonly number[] },
): Slice[] {
  const pairs = answers.flatMap((answer, i) =>
    values[i] === undefined || values[i] === null ? [] : [{ answer, value: values[i] }]
  );
  const numbers = pairs.every(({ value }) => typeof value === "number");
  const distinct = new Set(pairs.map(({ value }) => value));
  if (!numbers || (!edges && distinct.size <= bins)) {
    const groups = Map.groupBy(pairs, ({ value }) => numbers ? value as number : String(value));
    const slices = Array.from(groups, ([value, own]) => ({ value, answers: own.map(({ answer }) => answer) }));
    return numbers ? slices.sort((a, b) => Number(a.value) - Number(b.value)) : slices;
  }
  const sorted = pairs.map(({ value }) => value as number).sort((a, b) => a - b);
  const ends = edges ? [...edges.slice(1, -1), Infinity] : quantiles(sorted, bins);
  const partOf = (value: number) =>
    edges && (value < edges[0] || value > edges.at(-1)!)
      ? -1
      // An edge belongs to the part that it begins; the largest of a quantile to the one that it ends.
      : ends.findIndex((end) => edges ? value < end : value <= end);
  const groups = Map.groupBy(pairs, ({ value }) => partOf(value as number));
  return [...groups.keys()].filter((part) => part >= 0).sort((a, b) => a - b).map((part) => {
    const own = groups.get(part)!;
    const inside = own.map(({ value }) => value as number).sort((a, b) => a - b);
    const range = [inside[0], inside.at(-1)!] as const;
    return { value: inside[Math.floor(inside.length / 2)], range, answers: own.map(({ answer }) => answer) };
  });
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

const ERROR_BINS = 15;

/**
 * The expected calibration error: by how much confidence and accuracy differ, in bins of equal width, weighted by their size
 * (Guo et al., "On calibration of modern neural networks", 2017, §2, 15 bins).
 */
export function calibrationError(answers: readonly Answer[]): number | undefined {
  if (answers.some(({ confidence }) => confidence === undefined)) return undefined;
  const groups = Map.groupBy(answers, ({ confidence }) => Math.max(1, Math.ceil(confidence! * ERROR_BINS)));
  return groups.values().reduce((sum, own) =>
    sum + own.length / answers.length *
      Math.abs(mean(own.map(({ right }) => Number(right))) - mean(own.map(({ confidence }) => confidence!))), 0);
}

/** How well the model does on a slice. */
export function performanceOf({ value, range, answers }: Slice): PerformanceRow {
  const right = answers.filter((answer) => answer.right).length;
  const [low, high] = wilson(right, answers.length);
  const top5 = answers.every(({ amongFive }) => amongFive !== undefined)
    ? mean(answers.map(({ amongFive }) => Number(amongFive)))
    : undefined;
  const error = calibrationError(answers);
  return {
    value,
    ...range && { from: range[0], to: range[1] },
    n: answers.length,
    accuracy: right / answers.length,
    low,
    high,
    ...top5 !== undefined && { top5 },
    ...error !== undefined &&
      { confidence: mean(answers.map(({ confidence }) => confidence!)), calibrationError: error },
  };
}
