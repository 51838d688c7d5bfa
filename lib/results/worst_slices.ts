/**
 * What `worstSlices` returns: the parts of a data set that were tried, those first on which a model does worse than chance
 * explains.
 *
 * @module
 */

import type { Block } from "../figure/blocks.ts";
import { Figure } from "../figure/figure.ts";
import { brief, fixed, percent } from "../format.ts";
import { type PerformanceRow, sliceText } from "./performance.ts";
import { Result } from "./result.ts";

/** One part of the images. */
export interface SliceRow extends PerformanceRow {
  /** The attribute that makes it. */
  attribute: string;
  /** The share of all other images that is right, 0…1. */
  rest: number;
  /** How likely so few right ones are by chance (Fisher), adjusted by Holm for all parts that were tried. */
  p: number;
  /** Whether that is below the level. */
  worse: boolean;
}

/** What slices are of. */
interface SlicesAbout {
  readonly of: string;
  readonly images: number;
  readonly accuracy: number;
  readonly level: number;
  readonly attributes: readonly string[];
}

/** At most this many are drawn. */
const MOST = 16;

/** The parts on which a model does worse; in a cell, those that chance does not explain. */
export class WorstSlices extends Result<SliceRow> {
  /** One row a part, the least likely by chance first. */
  readonly rows: readonly SliceRow[];
  readonly #about: SlicesAbout;

  /** @internal */
  constructor(rows: readonly SliceRow[], about: SlicesAbout) {
    super();
    this.rows = rows;
    this.#about = about;
  }

  /** Bars of the parts that are worse, with intervals, beside the rest of the images. */
  override figure(): Figure {
    const { of, images, accuracy, level, attributes } = this.#about;
    const worse = this.rows.filter((row) => row.worse);
    const drawn = worse.slice(0, MOST);
    const title = `${of} · ${worse.length} of ${this.rows.length} slices are worse than the rest`;
    const caption = [
      `Of ${images} images ${percent(accuracy)} are right. The slices are made by ${
        attributes.join(", ")
      }. Named are those ` +
      `where Fisher's exact test against all other images, adjusted by Holm for ${this.rows.length} tests, has p below ` +
      `${brief(level)}: with a probability of ${
        percent(1 - level, 0)
      } none of them is there by chance. Intervals of 95 % ` +
      `are Wilson's; those of slices that were searched for are a little too narrow.`,
      worse.length > MOST ? `The ${MOST} with the smallest p are shown.` : "",
    ].filter(Boolean).join(" ");
    if (drawn.length === 0) {
      return new Figure({ title, caption, blocks: [], lines: ["No slice is worse than chance explains."] });
    }
    const names = drawn.map((row) => `${row.attribute} ${sliceText(row)}`);
    const blocks: Block[] = [{
      kind: "chart",
      series: [{
        label: "accuracy of the slice",
        x: drawn.map((_, i) => i),
        y: drawn.map((row) => row.accuracy),
        low: drawn.map(({ low }) => low),
        high: drawn.map(({ high }) => high),
        as: "bars",
      }, { label: "all other images", x: drawn.map((_, i) => i), y: drawn.map(({ rest }) => rest), as: "points" }],
      x: { title: "" },
      y: { title: "accuracy", min: 0, max: 1 },
      names,
      width: Math.min(640, Math.max(300, 60 * drawn.length)),
      alt: `Slices that are worse: ${drawn.map((row, i) => `${names[i]} ${percent(row.accuracy)}`).join(", ")}`,
    }, {
      kind: "table",
      columns: ["slice", "n", "accuracy", "95 %", "others", "p"].map((title, i) => ({
        title,
        align: i ? "right" : "left",
      })),
      rows: drawn.map((row, i) => [
        names[i],
        String(row.n),
        percent(row.accuracy),
        `${fixed(100 * row.low, 1)} to ${percent(row.high)}`,
        percent(row.rest),
        row.p < 0.001 ? "<0.001" : fixed(row.p),
      ]),
    }];
    return new Figure({ title, caption, blocks: [{ kind: "row", blocks }] });
  }
}
