/**
 * What `performanceBy` returns for two models: how often each is right for each value of an attribute, on the same images.
 *
 * @module
 */

import type { Dataset } from "../data/dataset.ts";
import type { Block } from "../figure/blocks.ts";
import { Figure } from "../figure/figure.ts";
import { fixed, percent } from "../format.ts";
import { accuracySeries } from "./accuracy_series.ts";
import { type PerformanceRow, sliceText } from "./performance.ts";
import { Result } from "./result.ts";
import { type AnsweredImage, SlicePictures, type SlicePicturesOptions } from "./slice_pictures.ts";

/** How well two models do on the images with one value of an attribute. */
export interface PerformanceComparisonRow extends Pick<PerformanceRow, "value" | "from" | "to" | "n"> {
  /** The share that the first has right, 0…1, with its interval of 95 % (Wilson). */
  a: number;
  /** The interval's lower end. */
  aLow: number;
  /** Its upper end. */
  aHigh: number;
  /** The share that the second has right, with its interval. */
  b: number;
  /** The interval's lower end. */
  bLow: number;
  /** Its upper end. */
  bHigh: number;
  /** The first's share minus the second's. */
  difference: number;
  /** The lower end of its interval of 95 % (bootstrap over images, of which each counts for both). */
  low: number;
  /** Its upper end. */
  high: number;
  /** How many only the first has right. */
  onlyA: number;
  /** How many only the second has right. */
  onlyB: number;
  /** How likely such a difference is by chance (McNemar's exact test), adjusted by Holm for all values. */
  p: number;
}

/** What both answered for the images of one row. */
export interface AnsweredTwice {
  /** What the first answered. */
  readonly a: readonly AnsweredImage[];
  /** What the second answered, in the same order. */
  readonly b: readonly AnsweredImage[];
}

/** What a comparison is of. */
export interface PerformanceComparisonParts {
  readonly rows: readonly PerformanceComparisonRow[];
  readonly images: readonly AnsweredTwice[];
  readonly attribute: string;
  /** All images together; its `p` is not adjusted. */
  readonly overall: PerformanceComparisonRow;
  /** How many images have no value of the attribute. */
  readonly missing: number;
  /** How many images only one of both was asked about. */
  readonly apart: number;
  /** What captions call the predictions. */
  readonly of: readonly [a: string, b: string];
  readonly pictures?: SlicePictures;
}

/** At most this many values are drawn. */
const MOST = 40;

const pText = (p: number) => p < 0.001 ? "<0.001" : fixed(p);

/** How often two models are right on the same images, by an attribute; in a cell, both side by side. */
export class PerformanceComparison extends Result<PerformanceComparisonRow> {
  /** One row a value: in the order of the numbers, or from where the first does worst against the second. */
  readonly rows: readonly PerformanceComparisonRow[];
  /** The attribute. */
  readonly attribute: string;
  /** The same for all images together; its `p` is not adjusted. */
  readonly overall: PerformanceComparisonRow;
  /** How many images have no value of the attribute, and are left out. */
  readonly missing: number;
  /** What both answered for the images of each row, in the order of `rows`. */
  readonly images: readonly AnsweredTwice[];
  readonly #parts: PerformanceComparisonParts;

  /** @internal */
  constructor(parts: PerformanceComparisonParts) {
    super();
    this.rows = parts.rows;
    this.attribute = parts.attribute;
    this.overall = parts.overall;
    this.missing = parts.missing;
    this.images = parts.images;
    this.#parts = parts;
  }

  /**
   * The same with pictures of images on which they differ: a click on a bar shows those of its part that only the first, and only
   * the second has right; below each what the one says that is wrong.
   *
   * @param dataset that which was predicted
   * @throws {RangeError} if none of its images was predicted, the parts are too many for a page, or an option does not fit
   */
  async withImages(dataset: Dataset, options: Partial<SlicePicturesOptions> = {}): Promise<PerformanceComparison> {
    const [a, b] = this.#names;
    const groups = this.images.map((own) => [
      { heading: `Only ${a} is right`, answers: own.b.filter(({ right }, i) => !right && own.a[i].right) },
      { heading: `Only ${b} is right`, answers: own.a.filter(({ right }, i) => !right && own.b[i].right) },
    ]);
    const pictures = await SlicePictures.read("withImages", groups, dataset, options);
    return new PerformanceComparison({ ...this.#parts, pictures });
  }

  /** What both are called; of one data set without its name. */
  get #names(): readonly [string, string] {
    const [a, b] = this.#parts.of.map((name) => name.split(" · "));
    const same = a.slice(1).join() === b.slice(1).join();
    const names = same ? [a[0], b[0]] : this.#parts.of;
    return names[0] === names[1] ? [`${names[0]} (1)`, `${names[1]} (2)`] : [names[0], names[1]];
  }

  /** Both accuracies with their intervals side by side, and the differences as a table. */
  override figure(): Figure {
    const { attribute, overall, missing } = this;
    const { apart, pictures } = this.#parts;
    const [a, b] = this.#names;
    const drawn = this.#drawn;
    const names = drawn.map(sliceText);
    const difference = (row: PerformanceComparisonRow) => `${fixed(100 * row.difference, 1)}`;
    const range = (row: PerformanceComparisonRow) => `${fixed(100 * row.low, 1)} to ${fixed(100 * row.high, 1)}`;
    const side = (label: string, of: "a" | "b") =>
      accuracySeries(
        label,
        drawn.map((row) => ({ accuracy: row[of], low: row[`${of}Low`], high: row[`${of}High`] })),
        (_, i) => i,
        "bars",
      );
    const blocks: Block[] = [{
      kind: "chart",
      series: [side(a, "a"), side(b, "b")],
      x: { title: attribute },
      y: { title: "accuracy", min: 0, max: 1 },
      names,
      ...pictures && { chooses: attribute },
      width: Math.min(720, Math.max(400, 50 * drawn.length)),
      alt: `Accuracy by ${attribute} of ${a} and ${b}: ${
        drawn.map((row, i) => `${names[i]} ${percent(row.a)} and ${percent(row.b)}`).join(", ")
      }`,
    }, {
      kind: "table",
      columns: [attribute, "n", a, b, "difference", "95 %", "p"].map((title, i) => ({
        title,
        align: i ? "right" : "left",
      })),
      rows: [...drawn, overall].map((row, i) => [
        names[i] ?? "all",
        String(row.n),
        percent(row.a),
        percent(row.b),
        difference(row),
        range(row),
        pText(row.p),
      ]),
    }];
    return new Figure({
      title: `${a} and ${b} · accuracy by ${attribute}`,
      caption: [
        `Of the same ${overall.n} images ${percent(overall.a)} and ${
          percent(overall.b)
        } are right, ${overall.onlyA} by ${a} ` +
        `alone, ${overall.onlyB} by ${b} alone. Bars of 95 % (Wilson) are each for itself; the difference, in points, has an ` +
        `interval by the bootstrap over images, each of which counts for both. p: McNemar's exact test, adjusted by Holm for ` +
        `the ${this.rows.length} rows; that of all images is not adjusted.`,
        this.rows.length > MOST ? `${MOST / 2} at each end of ${this.rows.length} are drawn.` : "",
        pictures ? "A click on the chart shows images of that part on which they differ, or the slider does." : "",
        missing > 0 ? `${missing} images have no ${attribute}, and are left out.` : "",
        apart > 0 ? `${apart} images were given to one of both only, and are left out.` : "",
      ].filter(Boolean).join(" "),
      blocks: [
        { kind: "row", blocks },
        ...pictures ? [pictures.slides(attribute, this.rows.map(sliceText))] : [],
      ],
    });
  }

  /** Those that are drawn; with pictures all. */
  get #drawn(): readonly PerformanceComparisonRow[] {
    return this.rows.length <= MOST || this.#parts.pictures
      ? this.rows
      : [...this.rows.slice(0, MOST / 2), ...this.rows.slice(-MOST / 2)];
  }
}
