/**
 * What `universalPerturbation` returns: the change, and how many images it fools.
 *
 * @module
 */

import { NdArray, type NdArrayLike } from "../array.ts";
import type { SkippedImage } from "../data/dataset.ts";
import type { Block } from "../figure/blocks.ts";
import { Figure } from "../figure/figure.ts";
import { brief, percent } from "../format.ts";
import { inputBlock } from "./input_block.ts";
import { changed, largestOf } from "./panels.ts";
import { Result } from "./result.ts";
import { skippedNote } from "./skipped.ts";

/** A held-out image, without and with the change. */
export interface UniversalRow {
  /** The image's id. */
  id: string;
  /** What the model answers without the change. */
  before: string;
  /** What it answers with the change. */
  after: string;
  /** Whether the two differ. */
  fooled: boolean;
}

/** A share with its interval of 95 % (Wilson). */
export interface FoolingRate {
  /** The share of the images that are fooled. */
  rate: number;
  /** The interval's lower end. */
  low: number;
  /** The interval's upper end. */
  high: number;
}

interface UniversalParts extends FoolingRate {
  rows: readonly UniversalRow[];
  perturbation: NdArrayLike;
  random: FoolingRate;
  history: readonly number[];
  made: number;
  shown: readonly { id: string; before: string; after: string; image: NdArrayLike }[];
  size: { norm: string; epsilon: number };
  names: { model: string; dataset: string };
  skipped: readonly SkippedImage[];
}

/** How large a picture is shown. */
const SHOWN = 128;

/** A change that fools a model on most images. */
export class UniversalPerturbation extends Result<UniversalRow> implements FoolingRate {
  /** One for each held-out image. */
  readonly rows: readonly UniversalRow[];
  /** What is added to each image, `[h, w, c]`, in values of 255. */
  readonly perturbation: NdArray;
  /** The share of the held-out images that are fooled. */
  readonly rate: number;
  /** The lower end of its interval of 95 % (Wilson). */
  readonly low: number;
  /** The upper end of its interval. */
  readonly high: number;
  /** The same of a random change of the same size. */
  readonly random: FoolingRate;
  /** The share of its own images that it fools, after each pass. */
  readonly history: readonly number[];
  /** The images that could not be read. */
  readonly skipped: readonly SkippedImage[];
  readonly #parts: UniversalParts;

  /** @internal */
  constructor(parts: UniversalParts) {
    super();
    this.rows = parts.rows;
    this.perturbation = NdArray.from(parts.perturbation);
    this.rate = parts.rate;
    this.low = parts.low;
    this.high = parts.high;
    this.random = parts.random;
    this.history = parts.history;
    this.skipped = parts.skipped;
    this.#parts = parts;
  }

  /** The change, amplified, and some images with it, under what the model makes of them. */
  override figure(): Figure {
    const { names: { model, dataset }, size: { norm, epsilon }, made, shown } = this.#parts;
    const words = ({ rate, low, high }: FoolingRate) => `${percent(rate)} (${percent(low)} to ${percent(high)})`;
    const largest = largestOf(this.perturbation.data);
    const factor = largest ? 127.5 / largest : 1;
    const answers = [...Map.groupBy(this.rows.filter(({ fooled }) => fooled), ({ after }) => after)]
      .map(([label, rows]) => ({ label, count: rows.length })).sort((a, b) => b.count - a.count);
    const most = answers[0]
      ? ` Most of those that are fooled become ${answers[0].label} (${answers[0].count} of ${
        answers.reduce((sum, { count }) => sum + count, 0)
      }).`
      : "";
    return new Figure({
      title: `Universal perturbation · ${model} · ${dataset} · fools ${percent(this.rate)}`,
      caption: [
        `One change, the same for all images, of ${
          norm === "linf" ? `at most ±${brief(epsilon)} of 255 a value` : `a length of at most ${brief(epsilon)}`
        }, made from ${made} images in ${this.history.length} pass${this.history.length > 1 ? "es" : ""}. Of ` +
        `${this.rows.length} others it changes the answer for ${words(this)}, a random change of the same size for ` +
        `${words(this.random)}; intervals of 95 % (Wilson).${most} First the change, ${
          brief(factor)
        } times as strong ` +
        `about mid-grey.`,
        skippedNote(this.skipped),
      ].filter(Boolean).join(" "),
      blocks: [{
        kind: "row",
        blocks: [
          inputBlock(changed(this.perturbation, factor), {
            shown: SHOWN,
            heading: "the change",
            alt: `the change, ${brief(factor)} times as strong`,
          }),
          ...shown.map(({ id, before, after, image }): Block =>
            inputBlock(image, {
              shown: SHOWN,
              heading: before === after ? `still ${before}` : `${before} → ${after}`,
              alt: `${id} with the change: ${before} before, ${after} after`,
            })
          ),
        ],
      }],
      lines: [`changes ${words(this)} of the answers; at random ${words(this.random)}`],
    });
  }
}
