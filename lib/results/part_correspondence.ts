/**
 * What `partCorrespondence` returns: how alike codes change from image to image when one part is masked.
 *
 * @module
 */

import type { Block, Chart } from "../figure/blocks.ts";
import { Figure } from "../figure/figure.ts";
import { mosaic, type Pixels } from "../figure/mosaic.ts";
import { fixed } from "../format.ts";
import { Result } from "./result.ts";

/** What the squares at random places are called. */
export const RANDOM_PLACES = "random";

/** One part in one layer: a row of the table. */
export interface PartRow {
  /** The layer's name. */
  layer: string;
  /** The part's name, or `"random"`: squares at random places. */
  part: string;
  /**
   * The mean over all pairs of images of the share of the code's numbers whose change has another sign, 0…1: lower is more
   * alike. No change is a sign of its own.
   */
  distance: number;
  /** The lower end of its interval of 95 % (bootstrap over images); null of two images. */
  low: number | null;
  /** The upper end. */
  high: number | null;
  /** The standard deviation over pairs. */
  deviation: number;
  /** How much more it is than for squares at random places in the same images: below 0 the part is known again. */
  difference: number | null;
  /** The lower end of its interval of 95 %. */
  differenceLow: number | null;
  /** The upper end. */
  differenceHigh: number | null;
  /** How many images. */
  images: number;
  /** How many pairs of them. */
  pairs: number;
}

/** A small picture of a masked image. */
export interface MaskedExample {
  readonly image: string;
  readonly part: string;
  readonly pixels: Pixels;
}

/** The paper's Table 1, for five images of dogs' faces and a network trained on ImageNet. */
const PAPER: readonly (readonly [part: string, five: number, seven: number])[] = [
  ["right eye", 0.067, 0.069],
  ["left eye", 0.069, 0.068],
  ["nose", 0.079, 0.069],
  [RANDOM_PLACES, 0.107, 0.073],
];

/** How alike codes change when one part is masked; in a cell, bars, examples, and the numbers beside the paper's. */
export class PartCorrespondence extends Result<PartRow> {
  /** One for each layer and part, and for random places. */
  readonly rows: readonly PartRow[];
  /** The side of the square that was masked, in pixels. */
  readonly size: number;
  readonly #examples: readonly MaskedExample[];
  readonly #random: number;
  readonly #names: { readonly model: string; readonly dataset: string };

  /** @internal */
  constructor(parts: {
    readonly rows: readonly PartRow[];
    readonly examples: readonly MaskedExample[];
    readonly size: number;
    readonly random: number;
    readonly names: { readonly model: string; readonly dataset: string };
  }) {
    super();
    this.rows = parts.rows;
    this.size = parts.size;
    this.#examples = parts.examples;
    this.#random = parts.random;
    this.#names = parts.names;
  }

  /** @internal */
  override arrays(): object {
    return { rows: this.rows, size: this.size };
  }

  /** Examples of masked images, a bar for each part in each layer, and a table beside the paper's. */
  override figure(): Figure {
    const { model, dataset } = this.#names;
    const images = Math.max(...this.rows.map(({ images }) => images));
    const layers = [...new Set(this.rows.map(({ layer }) => layer))];
    const compared = PAPER.some(([part]) => part !== RANDOM_PLACES && this.rows.some((row) => row.part === part));
    return new Figure({
      title: `${model} · correspondence of parts · ${dataset}`,
      caption: [
        `A square of ${this.size} pixels is masked at the same part of ${images} images. Of the change of each layer's code the ` +
        "share of numbers is counted whose sign differs, mean over pairs of images (Zeiler & Fergus 2013, §4.4): lower is more " +
        `alike. "${RANDOM_PLACES}": squares at ${this.#random} random places of each image. Intervals of 95 % (bootstrap over images).`,
        images < 30 ? `${images} images are few: what the intervals do not tell apart is not known.` : "",
        compared
          ? "The paper's numbers are of another network, of five images and of parts of other sizes: only the order within a " +
            "column can be compared."
          : "",
      ].filter(Boolean).join(" "),
      blocks: [
        ...this.#pictures(),
        { kind: "row", blocks: layers.map((layer) => this.#chart(layer)) },
        { kind: "row", blocks: [this.#table(), ...compared ? [PAPER_TABLE] : []] },
      ],
      lines: this.rows.map(({ layer, part, distance, low, high }) =>
        `${layer} · ${part}: ${fixed(distance)}${low === null ? "" : ` (${fixed(low)} to ${fixed(high)})`}`
      ),
    });
  }

  #pictures(): Block[] {
    const parts = [...new Set(this.rows.map(({ part }) => part))];
    const all = this.#examples;
    const rows = [...Map.groupBy(all, ({ image }) => image).values()].filter((own) => own.length === parts.length);
    if (rows.length === 0) return [];
    const shown = rows.flat();
    const [{ pixels: { width, height } }] = shown;
    return [{
      kind: "picture",
      note: `masked: ${parts.join(", ")}`,
      ...mosaic({
        width,
        height,
        count: shown.length,
        columns: parts.length,
        maxWidth: 460,
        paint: (i) => shown[i].pixels.data,
        label: (i) => `${shown[i].image}: ${shown[i].part} masked`,
      }),
      alt: `${rows.length} images with ${parts.join(", ")} masked`,
    }];
  }

  #chart(layer: string): Chart {
    const rows = this.rows.filter((row) => row.layer === layer);
    const place = (row: PartRow) => rows.indexOf(row);
    const bars = (label: string, own: readonly PartRow[]) => ({
      label,
      x: own.map(place),
      y: own.map(({ distance }) => distance),
      low: own.map(({ low }) => low ?? NaN),
      high: own.map(({ high }) => high ?? NaN),
      as: "points" as const,
    });
    return {
      kind: "chart",
      heading: layer,
      series: [bars("distance of signs", rows)],
      x: { title: "" },
      y: { title: "share of signs that differ", min: 0 },
      names: rows.map(({ part }) => part),
      width: 400,
      alt: rows.map(({ part, distance }) => `${part} ${fixed(distance)}`).join(", "),
    };
  }

  #table(): Block {
    return {
      kind: "table",
      columns: [
        { title: "layer" },
        { title: "part" },
        { title: "distance", align: "right" },
        { title: "95 %", align: "right" },
        { title: "± over pairs", align: "right" },
        { title: "less random", align: "right" },
        { title: "95 %", align: "right" },
        { title: "images", align: "right" },
      ],
      rows: this.rows.map((row) => [
        row.layer,
        row.part,
        fixed(row.distance),
        row.low === null ? "–" : `${fixed(row.low)} to ${fixed(row.high)}`,
        fixed(row.deviation),
        fixed(row.difference),
        row.differenceLow === null ? "–" : `${fixed(row.differenceLow)} to ${fixed(row.differenceHigh)}`,
        String(row.images),
      ]),
    };
  }
}

const PAPER_TABLE: Block = {
  kind: "table",
  heading: "Zeiler & Fergus 2013, Table 1",
  columns: [{ title: "part" }, { title: "layer 5", align: "right" }, { title: "layer 7", align: "right" }],
  rows: PAPER.map(([part, five, seven]) => [part, fixed(five), fixed(seven)]),
};
