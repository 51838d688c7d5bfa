/**
 * What `performanceBy` returns: how often a model is right, for each value of an attribute.
 *
 * @module
 */

import type { Dataset } from "../data/dataset.ts";
import type { Chart, Series, Table } from "../figure/blocks.ts";
import { Figure } from "../figure/figure.ts";
import { brief, fixed, percent } from "../format.ts";
import { accuracySeries } from "./accuracy_series.ts";
import { Result } from "./result.ts";
import { type AnsweredImage, SlicePictures, type SlicePicturesOptions } from "./slice_pictures.ts";

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
  /** The images of each row. */
  readonly images: readonly (readonly AnsweredImage[])[];
  readonly attribute: string;
  /** All answers together. */
  readonly overall: PerformanceRow;
  /** How many answers have no value of the attribute. */
  readonly missing: number;
  /** What captions call the predictions. */
  readonly of: string;
  /** Pictures of some of the images. */
  readonly pictures?: SlicePictures;
}

/** More than this are points in their order rather than bars, and the table has the first and the last of them. */
const MOST_BARS = 40;

/** So many names fit under a chart as wide as a page. */
const MOST_NAMED = 66;

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
  /** The images of each row, in the order of `rows`: `{ id, label, prediction, right, confidence }`. */
  readonly images: readonly (readonly AnsweredImage[])[];
  readonly #parts: PerformanceParts;

  /** @internal */
  constructor(parts: PerformanceParts) {
    super();
    this.rows = parts.rows;
    this.attribute = parts.attribute;
    this.overall = parts.overall;
    this.missing = parts.missing;
    this.images = parts.images;
    this.#parts = parts;
  }

  /**
   * The same with pictures of some of the images: a click on a bar or a point shows those of its part, right and wrong ones
   * apart, also in an exported page.
   *
   * @param dataset that which was predicted
   * @throws {RangeError} if none of its images was predicted, the parts are too many for a page, or an option does not fit
   *
   * @example
   * ```ts
   * import { cifar10, evaluate, loadModel, performanceBy } from "@convlens/convlens";
   *
   * const data = await cifar10({ split: "test", limit: 200 });
   * const evaluation = await evaluate(await loadModel("cifar-convnet"), data);
   * await performanceBy(evaluation, "label").withImages(data);
   * ```
   */
  async withImages(dataset: Dataset, options: Partial<SlicePicturesOptions> = {}): Promise<Performance> {
    const groups = this.images.map((own) => [
      { heading: "Wrong", answers: own.filter(({ right }) => !right) },
      { heading: "Right", answers: own.filter(({ right }) => right) },
    ]);
    const pictures = await SlicePictures.read("withImages", groups, dataset, options);
    return new Performance({ ...this.#parts, pictures });
  }

  /** Accuracy with its intervals over the values, and the numbers as a table. */
  override figure(): Figure {
    const { attribute, rows, overall, missing } = this;
    const ordered = [...rows].sort((a, b) => a.accuracy - b.accuracy);
    const [worst, best] = [ordered[0], ordered.at(-1)!];
    const { of, pictures } = this.#parts;
    const title = `${of} · accuracy by ${attribute}`;
    const caption = [
      `Of ${overall.n} images ${percent(overall.accuracy)} are right. Bars of 95 % (Wilson), each for itself.`,
      rows.length > 1
        ? `Worst: ${sliceText(worst)}, ${percent(worst.accuracy)} of ${worst.n}; best: ${sliceText(best)}, ` +
          `${percent(best.accuracy)} of ${best.n}.`
        : "",
      this.#calibration,
      this.#isMany
        ? `The chart has all ${rows.length} from the worst to the best, the table the ${MOST_BARS / 2} at each end.`
        : "",
      pictures ? "A click on the chart shows images of that part, or the slider does." : "",
      missing > 0 ? `${missing} images have no ${attribute}, and are left out.` : "",
    ].filter(Boolean).join(" ");
    return new Figure({
      title,
      caption,
      blocks: [
        { kind: "row", ...this.#isMany && { columns: 1 }, blocks: [this.#chart(), this.#table()] },
        ...pictures ? [pictures.slides(attribute, rows.map(sliceText))] : [],
      ],
    });
  }

  get #numeric(): boolean {
    return this.rows.every(({ value }) => typeof value === "number");
  }

  /** Whether there are too many for bars. */
  get #isMany(): boolean {
    return !this.#numeric && this.rows.length > MOST_BARS;
  }

  get #calibration(): string {
    if (this.attribute !== "confidence" || this.overall.calibrationError === undefined) return "";
    return `On the dashed line confidence is accuracy; the expected calibration error, in 15 bins, is ` +
      `${percent(this.overall.calibrationError)}.`;
  }

  #chart(): Chart {
    const { rows, attribute } = this;
    const numeric = this.#numeric;
    const many = this.#isMany;
    const places = numeric ? rows.map(({ value }) => value as number) : rows.map((_, i) => i);
    const margin = numeric ? 0 : 0.5;
    const across = [places[0] - margin, places.at(-1)! + margin];
    const isConfidence = attribute === "confidence";
    const compared: Series = isConfidence
      ? { label: "calibrated", x: [0, 1], y: [0, 1], dashed: true }
      : { label: "all images", x: across, y: across.map(() => this.overall.accuracy), dashed: true };
    const at = (row: PerformanceRow, i: number) =>
      isConfidence && row.confidence !== undefined ? row.confidence : places[i];
    const step = Math.ceil(rows.length / MOST_NAMED);
    return {
      kind: "chart",
      series: [accuracySeries("accuracy", rows, at, numeric || many ? "points" : "bars"), compared],
      x: { title: many ? `${attribute}, the worst first` : attribute, ...isConfidence && { min: 0, max: 1 } },
      // Points need no zero; what differs between them must be seen.
      y: { title: "accuracy", ...(isConfidence || !numeric) && { min: 0, max: 1 } },
      ...!numeric && { names: rows.map(sliceText) },
      ...this.#parts.pictures && { chooses: attribute },
      width: numeric
        ? 460
        : many
        ? Math.min(930, 13 * Math.ceil(rows.length / step) + 120)
        : Math.min(720, Math.max(360, 40 * rows.length)),
      ...many && { height: 320 },
      alt: `Accuracy by ${attribute}: ${rows.map((row) => `${sliceText(row)} ${percent(row.accuracy)}`).join(", ")}`,
    };
  }

  #table(): Table {
    const half = MOST_BARS / 2;
    const rows = this.#numeric || this.rows.length <= MOST_BARS
      ? this.rows
      : [...this.rows.slice(0, half), ...this.rows.slice(-half)];
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
      rows: rows.map((row) => columns.map(({ of }) => of(row))),
    };
  }
}
