/**
 * What `imageAttributes` returns: the attributes of each image of a data set, as rows, a table and histograms.
 *
 * @module
 */

import { extent } from "../array.ts";
import { MEASURED, type MeasuredAttributes } from "../data/attributes.ts";
import type { DatasetRow, SkippedImage } from "../data/dataset.ts";
import type { Block, Chart } from "../figure/blocks.ts";
import { Figure } from "../figure/figure.ts";
import { brief } from "../format.ts";
import { Result } from "./result.ts";
import { skippedNote } from "./skipped.ts";

/** One image: what its data set says of it, and what was measured. */
export interface ImageAttributeRow extends DatasetRow, MeasuredAttributes {
  /** The width in pixels, as the image is before a model resizes it. */
  width: number;
  /** The height in pixels. */
  height: number;
  /** Width over height: above 1 where it is wider than high. */
  aspect: number;
  /** With a model: the share of the image where its Grad-CAM map is above half of its largest value; null where that is 0. */
  objectSize?: number | null;
}

/** What each attribute is, for the axis of its histogram. */
const UNITS: Record<string, string> = {
  brightness: "mean luminance, 0 to 255",
  contrast: "deviation of the luminance, 0 to 127.5",
  colorfulness: "Hasler and Süsstrunk's M³, 0 is grey",
  sharpness: "variance of the Laplacian",
  edgeDensity: "share of pixels on an edge",
  entropy: "bits of the luminance",
  width: "pixels",
  height: "pixels",
  aspect: "width over height",
  objectSize: "share of the image, by Grad-CAM",
};

const BINS = 24;

/** How many numbers lie in each of some bins of equal width, or of equal ratio. */
function histogram(values: readonly number[], ratios: boolean): { middles: number[]; counts: number[]; log: boolean } {
  const [least, most] = extent(values);
  const log = ratios && least > 0;
  const to = log ? Math.log10 : (value: number) => value;
  const [from, span] = [to(least), to(most) - to(least) || 1];
  const counts = new Array<number>(BINS).fill(0);
  for (const value of values) counts[Math.min(BINS - 1, Math.floor((to(value) - from) / span * BINS))]++;
  const middles = counts.map((_, i) => {
    const middle = from + (i + 0.5) / BINS * span;
    return log ? 10 ** middle : middle;
  });
  return { middles, counts, log };
}

/** The attributes of the images of a data set; in a cell, their histograms. */
export class ImageAttributes extends Result<ImageAttributeRow> {
  /** One row an image: `{ id, label, …columns, brightness, contrast, colorfulness, sharpness, edgeDensity, entropy, width, height, aspect }`. */
  readonly rows: readonly ImageAttributeRow[];
  /** The name of the data set. */
  readonly dataset: string;
  /** The images that could not be read. */
  readonly skipped: readonly SkippedImage[];

  /** @internal */
  constructor(rows: readonly ImageAttributeRow[], dataset: string, skipped: readonly SkippedImage[]) {
    super();
    this.rows = rows;
    this.dataset = dataset;
    this.skipped = skipped;
  }

  /** A histogram for each attribute that differs from image to image. */
  override figure(): Figure {
    const sized = this.rows.some(({ objectSize }) => typeof objectSize === "number");
    const names = [...MEASURED, "width", "height", "aspect", ...sized ? ["objectSize" as const] : []] as const;
    const differing = names.filter((name) => this.rows.some((row) => row[name] !== this.rows[0][name]));
    const same = names.filter((name) => !differing.includes(name));
    const title = `Attributes of ${this.dataset} · ${this.rows.length} images`;
    const caption = [
      "How many images have each value. Luminance is .299 red + .587 green + .114 blue.",
      ...same.length
        ? [`The same for all: ${same.map((name) => `${name} ${brief(this.rows[0][name])}`).join(", ")}.`]
        : [],
      sized
        ? "objectSize estimates the object: where a model's Grad-CAM map is above half of its largest value, which is coarse, and " +
          "shows what the model leans on."
        : "",
      skippedNote(this.skipped),
    ].filter(Boolean).join(" ");
    const blocks: Block[] = differing.length
      ? [{ kind: "row", columns: 3, blocks: differing.map((name) => this.#chart(name)) }]
      : [];
    const lines = differing.map((name) => {
      const sorted = this.rows.flatMap((row) => row[name] ?? []).sort((a, b) => a - b);
      const at = (share: number) => brief(sorted[Math.round(share * (sorted.length - 1))]);
      return `${name.padEnd(12)} least ${at(0)}, median ${at(0.5)}, most ${at(1)}`;
    });
    return new Figure({ title, caption, blocks, lines });
  }

  #chart(name: keyof ImageAttributeRow & string): Chart {
    const { middles, counts, log } = histogram(
      this.rows.flatMap((row) => row[name] as number | null ?? []),
      name === "sharpness",
    );
    return {
      kind: "chart",
      heading: name,
      series: [{ label: "images", x: middles, y: counts, as: log ? "line" : "bars" }],
      x: { title: UNITS[name], ...log && { scale: "log" } },
      y: { title: "images", min: 0 },
      width: 300,
      height: 200,
      alt: `Histogram of ${name}, from ${brief(middles[0])} to ${brief(middles.at(-1))}`,
    };
  }
}
