/**
 * What `performanceBy` returns: how often a model is right, for each value of an attribute.
 *
 * @module
 */

import type { Chart, Series, Table } from "../figure/blocks.ts";
import { Figure } from "../figure/figure.ts";
import { brief, fixed, percent } from "../format.ts";
import { Result } from "./result.ts";

/** How well a model does on the images with one value of an attribute. */
export interface PerformanceRow {
  /** The value; of numbers the median of the part. */
  value: string | number;
  /** Of parts of numbers: the smallest. */
  from?: number;
  /** Of parts of numbers: the largest. */
  to?: number;
  /** How many images. */
  n: number;
  /** The share that is right, 0…1. */
  accuracy: number;
  /** The lower end of its interval of 95 % (Wilson). */
  low: number;
  /** The upper end. */
  high: number;
  /** The share whose class is among the five likeliest; absent where that is not known. */
  top5?: number;
  /** The mean probability of what is predicted; absent where there is none. */
  confidence?: number;
  /** The expected calibration error, 0…1, in 15 bins: large in small slices also of a model that is calibrated. */
  calibrationError?: number;
}

/** What a performance is of. */
export interface PerformanceParts {
  readonly rows: readonly PerformanceRow[];
  readonly attribute: string;
  /** All answers together. */
  readonly overall: PerformanceRow;
  /** How many answers have no value of the attribute. */
  readonly missing: number;
  /** What captions call the predictions. */
  readonly of: string;
}

/** More names than this cannot be read below bars. */
const MOST_BARS = 40;

/** What a part is called: `"12 to 40"`, or its value. */
export const sliceText = ({ value, from, to }: Pick<PerformanceRow, "value" | "from" | "to">): string =>
  from !== undefined && to !== undefined && brief(from) !== brief(to)
    ? `${brief(from)} to ${brief(to)}`
    : typeof value === "number"
    ? brief(value)
    : value;

/** How often a model is right, by an attribute of the images; in a cell, a chart with intervals, and the numbers. */
export class Performance extends Result<PerformanceRow> {
  /** One row a value: in the order of the numbers, or the worst first. */
  readonly rows: readonly PerformanceRow[];
  /** The attribute. */
  readonly attribute: string;
  /** The same for all images together. */
  readonly overall: PerformanceRow;
  /** How many images have no value of the attribute, and are left out. */
  readonly missing: number;
  readonly #of: string;

  /** @internal */
  constructor({ rows, attribute, overall, missing, of }: PerformanceParts) {
    super();
    this.rows = rows;
    this.attribute = attribute;
    this.overall = overall;
    this.missing = missing;
    this.#of = of;
  }

  /** Accuracy with its intervals over the values, and the numbers as a table. */
  override figure(): Figure {
    const { attribute, rows, overall, missing } = this;
    const ordered = [...rows].sort((a, b) => a.accuracy - b.accuracy);
    const [worst, best] = [ordered[0], ordered.at(-1)!];
    const title = `${this.#of} · accuracy by ${attribute}`;
    const left = rows.length - MOST_BARS;
    const caption = [
      `Of ${overall.n} images ${percent(overall.accuracy)} are right. Bars of 95 % (Wilson), each for itself.`,
      rows.length > 1
        ? `Worst: ${sliceText(worst)}, ${percent(worst.accuracy)} of ${worst.n}; best: ${sliceText(best)}, ` +
          `${percent(best.accuracy)} of ${best.n}.`
        : "",
      this.#calibration,
      left > 0 ? `The chart shows the ${MOST_BARS / 2} worst and the ${MOST_BARS / 2} best.` : "",
      missing > 0 ? `${missing} images have no ${attribute}, and are left out.` : "",
    ].filter(Boolean).join(" ");
    return new Figure({ title, caption, blocks: [{ kind: "row", blocks: [this.#chart(), this.#table()] }] });
  }

  get #numeric(): boolean {
    return this.rows.every(({ value }) => typeof value === "number");
  }

  get #calibration(): string {
    if (this.attribute !== "confidence" || this.overall.calibrationError === undefined) return "";
    return `On the dashed line confidence is accuracy; the expected calibration error, in 15 bins, is ` +
      `${percent(this.overall.calibrationError)}.`;
  }

  #chart(): Chart {
    const numeric = this.#numeric;
    const half = MOST_BARS / 2;
    const rows = numeric || this.rows.length <= MOST_BARS
      ? this.rows
      : [...this.rows.slice(0, half), ...this.rows.slice(-half)];
    const places = numeric ? rows.map(({ value }) => value as number) : rows.map((_, i) => i);
    const margin = numeric ? 0 : 0.5;
    const across = [places[0] - margin, places.at(-1)! + margin];
    const isConfidence = this.attribute === "confidence";
    const compared: Series = isConfidence
      ? { label: "calibrated", x: [0, 1], y: [0, 1], dashed: true }
      : { label: "all images", x: across, y: across.map(() => this.overall.accuracy), dashed: true };
    const { confidence } = rows[0];
    return {
      kind: "chart",
      series: [{
        label: "accuracy",
        x: isConfidence && confidence !== undefined ? rows.map((row) => row.confidence!) : places,
        y: rows.map(({ accuracy }) => accuracy),
        low: rows.map(({ low }) => low),
        high: rows.map(({ high }) => high),
        as: numeric ? "points" : "bars",
      }, compared],
      x: { title: this.attribute, ...isConfidence && { min: 0, max: 1 } },
      // Points need no zero; what differs between them must be seen.
      y: { title: "accuracy", ...(isConfidence || !numeric) && { min: 0, max: 1 } },
      ...!numeric && { names: rows.map(sliceText) },
      width: numeric ? 460 : Math.min(720, Math.max(360, 40 * rows.length)),
      alt: `Accuracy by ${this.attribute}: ${
        rows.map((row) => `${sliceText(row)} ${percent(row.accuracy)}`).join(", ")
      }`,
    };
  }

  #table(): Table {
    const { rows } = this;
    const columns = [
      { title: this.attribute, of: sliceText },
      { title: "n", of: ({ n }: PerformanceRow) => String(n) },
      { title: "accuracy", of: ({ accuracy }: PerformanceRow) => percent(accuracy) },
      { title: "95 %", of: ({ low, high }: PerformanceRow) => `${fixed(100 * low, 1)} to ${percent(high)}` },
      ...rows.every(({ top5 }) => top5 !== undefined)
        ? [{ title: "top-5", of: ({ top5 }: PerformanceRow) => percent(top5) }]
        : [],
      ...rows.every(({ confidence }) => confidence !== undefined)
        ? [{ title: "confidence", of: ({ confidence }: PerformanceRow) => percent(confidence) }]
        : [],
    ];
    return {
      kind: "table",
      columns: columns.map(({ title }, i) => ({ title, align: i ? "right" : "left" })),
      rows: rows.slice(0, MOST_BARS).map((row) => columns.map(({ of }) => of(row))),
    };
  }
}
