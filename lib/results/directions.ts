/**
 * What `directions` returns: named vectors in the space of a layer's channels.
 *
 * @module
 */

import { NdArray } from "../array.ts";
import type { SkippedImage } from "../data/dataset.ts";
import { Figure } from "../figure/figure.ts";
import { brief, percent } from "../format.ts";
import { mapsPicture } from "./panels.ts";
import { Result } from "./result.ts";
import { skippedNote } from "./skipped.ts";

/** Where a direction comes from. */
export type DirectionKind = "units" | "random" | "principal" | "classes" | "own";

/** One direction: a row of the table. */
export interface DirectionRow {
  /** What it is called: `"unit 12"`, `"random 3"`, `"component 1"`, `"cat"`, `"cat − dog"`. */
  name: string;
  /** Where it comes from. */
  kind: DirectionKind;
  /** The channel that has most weight in it, by size. */
  channel: number;
  /** That weight; the squares of all weights add up to 1. */
  weight: number;
  /** Over how many channels it is spread, from 1 to all: 1 / Σ weight⁴, the participation ratio. */
  spread: number;
  /** Of a principal component its share of the variance, 0…1. */
  share: number | null;
  /** Of a class how many of its images the mean is taken over. */
  images: number | null;
}

/** How the kinds are made, for captions. */
export const KINDS: Readonly<Record<DirectionKind, string>> = {
  units: "single channels",
  random: "random vectors, each number drawn from a normal distribution, brought to length 1",
  principal: "the directions of most variance of what the channels put out at single cells",
  classes: "the mean of a class's images less the mean of the others, brought to length 1",
  own: "your own",
};

/** Named directions in a layer; in a cell each as a strip of its weights. */
export class Directions extends Result<DirectionRow> {
  /** One for each direction. */
  readonly rows: readonly DirectionRow[];
  /** The layer whose channels they weigh. */
  readonly layer: string;
  /** How they were made. */
  readonly kind: DirectionKind;
  /** Each by its name, of length 1: one number a channel, as `topPatches` and a target `{ layer, direction }` take it. */
  readonly vectors: Readonly<Record<string, Float32Array>>;
  /** The images that could not be read. */
  readonly skipped: readonly SkippedImage[];
  readonly #names: { model: string; dataset?: string };

  /** @internal */
  constructor(
    { layer, kind, vectors, rows }: Pick<Directions, "layer" | "kind" | "vectors" | "rows">,
    skipped: readonly SkippedImage[],
    names: { model: string; dataset?: string },
  ) {
    super();
    this.rows = rows;
    this.layer = layer;
    this.kind = kind;
    this.vectors = vectors;
    this.skipped = skipped;
    this.#names = names;
  }

  /** All of them, `[n, c]`. */
  get array(): NdArray {
    const all = Object.values(this.vectors);
    const [{ length }] = all;
    const data = new Float32Array(all.length * length);
    all.forEach((vector, i) => data.set(vector, i * length));
    return NdArray.from({ data, shape: [all.length, length] });
  }

  /** @internal */
  override arrays(): object {
    const { layer, kind, array, rows } = this;
    return { layer, kind, directions: array, names: rows.map(({ name }) => name), rows };
  }

  /** Each direction as a strip, a stripe for each channel. */
  override figure(): Figure {
    const { rows, layer, kind } = this;
    const { model, dataset } = this.#names;
    const channels = Object.values(this.vectors)[0].length;
    const title = [`${rows.length} directions in ${layer}`, model, dataset].filter(Boolean).join(" · ");
    const words = ({ name, channel, weight, spread, share, images }: DirectionRow) =>
      [
        name,
        `most weight: channel ${channel} (${brief(weight)})`,
        `spread over ${brief(spread)} of ${channels} channels`,
        share === null ? "" : `${percent(share)} of the variance`,
        images === null ? "" : `the mean of ${images} images`,
      ].filter(Boolean);
    return new Figure({
      title,
      caption: [
        `One strip a direction, in the order of the table, one stripe a channel, ${channels} in all: orange weighs for, blue against, black not at ` +
        `all; each strip up to its own largest weight. They are ${KINDS[kind]}.`,
        skippedNote(this.skipped),
      ].filter(Boolean).join(" "),
      blocks: [
        mapsPicture([channels], {
          count: rows.length,
          values: (i) => this.vectors[rows[i].name],
          palette: "diverging",
          label: (i) => words(rows[i]).join("\n"),
          alt: `${rows.length} directions in the ${channels} channels of ${layer} as strips: ` +
            rows.slice(0, 8).map(({ name }) => name).join(", "),
        }),
        {
          kind: "table",
          columns: [
            { title: "direction" },
            { title: "channel of most weight", align: "right" },
            { title: "weight", align: "right" },
            { title: "channels it is spread over", align: "right" },
            ...kind === "principal" ? [{ title: "share of the variance", align: "right" as const }] : [],
            ...kind === "classes" ? [{ title: "images", align: "right" as const }] : [],
          ],
          rows: rows.slice(0, LISTED).map(({ name, channel, weight, spread, share, images }) => [
            name,
            String(channel),
            weight.toFixed(2),
            spread.toFixed(1),
            ...kind === "principal" ? [percent(share!)] : [],
            ...kind === "classes" ? [String(images)] : [],
          ]),
          ...rows.length > LISTED && { note: `the first ${LISTED} of ${rows.length}; the others are in rows` },
        },
      ],
      lines: rows.map((row) => words(row).join(" · ")),
    });
  }
}

/** How many directions the table in the figure lists. */
const LISTED = 16;
