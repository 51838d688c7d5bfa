/**
 * Whether images reach a network as those that it was trained on did: findings, and the evidence for them.
 *
 * @module
 */

import type { SkippedImage } from "../data/dataset.ts";
import type { Block, Table } from "../figure/blocks.ts";
import { Figure } from "../figure/figure.ts";
import { fixed, percent } from "../format.ts";
import { Result } from "./result.ts";
import { skippedNote } from "./skipped.ts";

/** One preprocessing that was tried. */
export interface InputCheckRow {
  /** What it does, in words. */
  preprocess: string;
  /** Whether it is the model's own. */
  current: boolean;
  /** Whether the evidence speaks for it. */
  fits: boolean;
  /**
   * How far what the first batch normalisation reads is from the moments that it has stored, 0 where they are equal: the mean
   * over the channels of log(1 + the Kullback–Leibler divergence). `null` where the network has none.
   */
  misfit: number | null;
  /** The share of the images whose label the model says, 0…1; `null` without labels, or where it was not asked. */
  accuracy: number | null;
  /** The mean probability of the likeliest class, 0…1; `null` where there are no classes, or it was not asked. */
  confidence: number | null;
  /** The median of the natural logarithm of how much likelier the first class is than the second; `null` as above. */
  gap: number | null;
}

/** A preprocessing, as `loadModel` takes it: `value = (pixel − mean) / deviation`, channels in the network's order. */
export interface SuggestedPreprocess {
  /** The name of the mode, or `"custom"`. */
  readonly mode: "caffe" | "tf" | "torch" | "unit" | "none" | "custom";
  /** The order of the colours in the network's input. */
  readonly order: "rgb" | "bgr";
  /** One number a channel, or one for all. */
  readonly mean: readonly number[];
  /** The same, not 0. */
  readonly deviation: readonly number[];
  /** How an image becomes the input's size: the model's own way. */
  readonly fit: "crop" | "squash";
}

/** Something that was found. */
export interface InputFinding {
  /** What it is about. */
  about: "preprocessing" | "pixels" | "scaling" | "softmax" | "units";
  /** Whether it is certain; else it is worth a look. */
  sure: boolean;
  /** What was found, and what to do. */
  text: string;
}

/** What the channels of the first batch normalisation read under a preprocessing, in its own deviations from its own means. */
export interface SeenChannels {
  preprocess: string;
  mean: readonly number[];
  deviation: readonly number[];
}

/** What else a check knows. */
export interface CheckedInputs {
  model: string;
  dataset: string;
  images: number;
  skipped: readonly SkippedImage[];
  /** The first batch normalisation; null where there is none. */
  layer: string | null;
  /** Under the preprocessing in use, and under the suggested one. */
  channels: readonly SeenChannels[];
}

const WORDS = {
  right: "the preprocessing fits",
  wrong: "the preprocessing is wrong",
  unknown: "whether the preprocessing fits is open",
};
/** Channels of a chart run so far up and down, in deviations. */
const REACH = 4;

/** What was found, and each preprocessing that was tried; in a cell, tables and the moments of each channel. */
export class InputCheck extends Result<InputCheckRow> {
  /** One row a preprocessing: the model's own, then the others, the closest first. */
  readonly rows: readonly InputCheckRow[];
  /** What was found, the certain first. */
  readonly findings: readonly InputFinding[];
  /** Whether the model's preprocessing is right, surely wrong, or neither can be said. */
  readonly verdict: "right" | "wrong" | "unknown";
  /** What to load the model with instead, where its own is wrong; else null. */
  readonly suggested: SuggestedPreprocess | null;
  /** How many images were looked at. */
  readonly images: number;
  /** The images that could not be read. */
  readonly skipped: readonly SkippedImage[];
  readonly #about: CheckedInputs;

  /** @internal */
  constructor(
    rows: readonly InputCheckRow[],
    findings: readonly InputFinding[],
    { verdict, suggested }: Pick<InputCheck, "verdict" | "suggested">,
    about: CheckedInputs,
  ) {
    super();
    const [current, ...others] = rows;
    const order = (row: InputCheckRow) => row.misfit ?? (row.accuracy === null ? row.gap ?? Infinity : -row.accuracy);
    this.rows = [current, ...others.sort((a, b) => Number(b.fits) - Number(a.fits) || order(a) - order(b))];
    this.findings = findings.toSorted((a, b) => Number(b.sure) - Number(a.sure));
    this.verdict = verdict;
    this.suggested = suggested;
    this.images = about.images;
    this.skipped = about.skipped;
    this.#about = about;
  }

  /** What was found, the preprocessings that were tried, and the channels of the first batch normalisation. */
  override figure(): Figure {
    const { model, dataset, layer, channels, images } = this.#about;
    const of = `${images} image${images === 1 ? "" : "s"} of ${dataset}`;
    const title = `${model} · inputs · ${WORDS[this.verdict]} · ${of}`;
    const moments = layer === null
      ? ""
      : `Misfit: how far the means and variances that ${layer} reads are from those that it has stored in training (0: equal; ` +
        `0.1: close; 1: another scale). `;
    const asked = this.rows.some(({ gap }) => gap !== null)
      ? "Confidence is the mean probability of the likeliest class; the gap, how much likelier it is than the second, as a " +
        "natural logarithm (median). "
      : "";
    const drawn = channels.length
      ? `Below, each channel of ${layer}: the band is what it has stored, mean ± deviation; a point and its bar are what these ` +
        `images give. `
      : "";
    return new Figure({
      title,
      caption: `${moments}${asked}${drawn}Nothing was changed. ${skippedNote(this.skipped)}`.trimEnd(),
      blocks: [
        ...this.findings.length ? [this.#found()] : [],
        this.#tried(),
        ...channels.length ? [this.#channels()] : [],
      ],
    });
  }

  #found(): Table {
    return {
      kind: "table",
      columns: [{ title: "finding" }, { title: "" }],
      rows: this.findings.map(({ sure, text }) => [text, sure ? "sure" : "worth a look"]),
    };
  }

  #tried(): Table {
    const columns: [title: string, of: (row: InputCheckRow) => string, known: boolean][] = [
      ["preprocessing", (row) => row.preprocess + (row.current ? " (in use)" : ""), true],
      ["misfit", (row) => fixed(row.misfit, 2), this.rows.some(({ misfit }) => misfit !== null)],
      ["right", (row) => percent(row.accuracy), this.rows.some(({ accuracy }) => accuracy !== null)],
      ["confidence", (row) => fixed(row.confidence, 2), this.rows.some(({ confidence }) => confidence !== null)],
      ["gap", (row) => fixed(row.gap, 1), this.rows.some(({ gap }) => gap !== null)],
      ["fits", (row) => row.fits ? "yes" : "", this.rows.some(({ fits }) => fits)],
    ];
    const shown = columns.filter(([, , known]) => known);
    return {
      kind: "table",
      columns: shown.map(([title], i) => ({ title, ...i > 0 && { align: "right" as const } })),
      rows: this.rows.map((row) => shown.map(([, of]) => of(row))),
    };
  }

  #channels(): Block {
    const { channels, model, layer } = this.#about;
    return {
      kind: "row",
      blocks: channels.map(({ preprocess, mean, deviation }): Block => {
        const x = mean.map((_, i) => i);
        const cut = (value: number) => Math.min(REACH, Math.max(-REACH, value));
        return {
          kind: "chart",
          heading: preprocess,
          series: [
            { label: "stored", x, y: x.map(() => 0), low: x.map(() => -1), high: x.map(() => 1) },
            {
              label: "these images",
              as: "points",
              x,
              y: mean.map(cut),
              low: mean.map((value, i) => cut(value - deviation[i])),
              high: mean.map((value, i) => cut(value + deviation[i])),
            },
          ],
          x: { title: "channel", whole: true },
          y: { title: "stored deviations", min: -REACH, max: REACH },
          alt: `What each channel of ${layer} of ${model} reads under ${preprocess}, beside what it has stored`,
        };
      }),
    };
  }
}
