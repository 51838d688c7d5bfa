/**
 * How well layers tell keypoints apart.
 *
 * @module
 */

import { Figure } from "../figure/figure.ts";
import { percent } from "../format.ts";
import { Result } from "./result.ts";

/** One layer, or what it is held against: a row of the table. */
export interface KeypointProbeRow {
  /** A layer's name, `"pixels"`, `"gradients"` or `"position"`. */
  descriptor: string;
  /** The share of an image's keypoints that are told right: the mean over images. Beside it its interval of 95 % (bootstrap). */
  accuracy: number;
  /** The interval's lower end. */
  low: number;
  /** The interval's upper end. */
  high: number;
  /** How many keypoints there were. */
  keypoints: number;
  /** In how many images. */
  images: number;
}

interface KeypointProbesParts {
  rows: readonly KeypointProbeRow[];
  names: readonly string[];
  folds: number;
  chance: number;
  model: string;
  dataset: string;
}

/** How well layers tell keypoints apart; in a cell, bars. */
export class KeypointProbes extends Result<KeypointProbeRow> {
  /** One for each layer, then for what they are held against. */
  readonly rows: readonly KeypointProbeRow[];
  /** The kinds of keypoints. */
  readonly keypoints: readonly string[];
  /** What always naming the most frequent kind would get right. */
  readonly chance: number;
  readonly #parts: KeypointProbesParts;

  /** @internal */
  constructor(parts: KeypointProbesParts) {
    super();
    this.rows = parts.rows;
    this.keypoints = parts.names;
    this.chance = parts.chance;
    this.#parts = parts;
  }

  /** The accuracy of each layer as bars, and that of always naming the most frequent keypoint. */
  override figure(): Figure {
    const { model, dataset, folds, chance, names } = this.#parts;
    const [{ keypoints, images }] = this.rows;
    const places = [-0.5, ...this.rows.keys(), this.rows.length - 0.5];
    return new Figure({
      title: `${model} · which keypoint is it · ${dataset}`,
      caption:
        `A linear classifier on the features at a place tells which of ${names.join(", ")} is there: ${keypoints} ` +
        `places in ${images} images, in ${folds} parts, each told by what was learnt from the other images. Bars of 95 % by ` +
        `the bootstrap over images. pixels and gradients: of the patch around the place; position: where it is in the image, ` +
        `and nothing else. Dashed: always the most frequent, ${percent(chance)}.`,
      blocks: [{
        kind: "chart",
        series: [
          {
            label: "keypoints told right",
            x: this.rows.map((_, i) => i),
            y: this.rows.map(({ accuracy }) => accuracy),
            low: this.rows.map(({ low }) => low),
            high: this.rows.map(({ high }) => high),
            as: "bars",
          },
          { label: "the most frequent", x: places, y: places.map(() => chance), dashed: true },
        ],
        names: this.rows.map(({ descriptor }) => descriptor),
        x: { title: "" },
        y: { title: "share of keypoints", min: 0, max: 1 },
        width: Math.min(920, Math.max(460, 60 * this.rows.length)),
        height: 300,
        alt: this.rows.map(({ descriptor, accuracy }) => `${descriptor} ${percent(accuracy)}`).join(", "),
      }],
      lines: this.rows.map(({ descriptor, accuracy, low, high }) =>
        `${percent(accuracy).padStart(7)}  (${percent(low)} to ${percent(high)})  ${descriptor}`
      ),
    });
  }
}
