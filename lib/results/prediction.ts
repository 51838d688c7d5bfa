/**
 * What the model says an image is: the likeliest classes as bars beside the photo.
 *
 * @module
 */

import type { NdArray } from "../array.ts";
import { Figure, type SheetRow } from "../figure/figure.ts";
import { pixelsOf } from "../figure/mosaic.ts";
import { percent } from "../format.ts";
import { enlargement } from "./panels.ts";
import { Result } from "./result.ts";

/** One class of a {@linkcode Prediction}. */
export interface PredictRow {
  /** The class's label, or `"class N"` where the model has no labels. */
  label: string;
  /** The class's index in the model's output. */
  index: number;
  /** From 0 to 1. */
  probability: number;
}

/** A smaller photo is shown enlarged by a whole factor, up to this size. */
const SHOWN = 224;

/** The likeliest classes of one image; in a cell, bars beside the photo. */
export class Prediction extends Result<PredictRow> {
  /** The likeliest classes, the likeliest first. */
  readonly rows: readonly PredictRow[];
  /** The image as the model saw it, `[h, w, 3]`, RGB, 0…255. */
  readonly image: NdArray;
  /** How the model's output became probabilities: it was one already, or went through a softmax here. */
  readonly activation: "softmax" | "sigmoid" | "softmax of logits";
  readonly #names: { model: string; image: string };

  /** @internal */
  constructor(
    rows: PredictRow[],
    image: NdArray,
    activation: Prediction["activation"],
    names: { model: string; image: string },
  ) {
    super();
    this.rows = rows;
    this.image = image;
    this.activation = activation;
    this.#names = names;
  }

  /** @internal */
  override sheetRow(): SheetRow {
    const { caption, blocks: [row] } = this.figure();
    const [{ label, probability }] = this.rows;
    return { heading: `${this.#names.image}: ${label}, ${percent(probability)}`, caption, blocks: [row] };
  }

  /** Bars of the probabilities beside the photo. */
  override figure(): Figure {
    const { model, image } = this.#names;
    const best = this.rows[0];
    const [height, width] = this.image.shape;
    const title = `${model} · ${image}: ${best.label}, ${percent(best.probability)}`;
    const caption = `Top ${this.rows.length} probabilities (${this.activation}), bars from 0 to 1. ` +
      `The photo is what the model saw: ${height}×${width} pixels.`;
    return new Figure({
      title,
      caption,
      blocks: [{
        kind: "row",
        blocks: [
          {
            kind: "picture",
            pixels: pixelsOf(this.image, enlargement(this.image.shape, SHOWN)),
            alt: `${image}, which ${model} takes for ${best.label}`,
          },
          {
            kind: "bars",
            width: 260,
            rows: this.rows.map(({ label, probability }) => ({
              label,
              value: probability,
              text: percent(probability),
            })),
          },
        ],
      }],
    });
  }
}
