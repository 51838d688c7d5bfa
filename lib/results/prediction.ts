/**
 * What the model says of an image: the likeliest classes as bars beside the photo, or the numbers that it puts out.
 *
 * @module
 */

import { pixelRemark } from "../data/pixels.ts";
import { NdArray } from "../array.ts";
import type { Block } from "../figure/blocks.ts";
import { Figure, type SheetRow } from "../figure/figure.ts";
import { pixelsOf } from "../figure/mosaic.ts";
import { brief, percent } from "../format.ts";
import { enlargement } from "./panels.ts";
import { Result } from "./result.ts";

/** One class, label or number of a {@linkcode Prediction}. */
export interface PredictRow {
  /** Its label; where the model has none `"class 3"`, `"label 3"` or `"output 3"`. */
  label: string;
  /** Its index in the model's output. */
  index: number;
  /** Of a class or a label: from 0 to 1. */
  probability?: number;
  /** Of an output that is no probability: the number itself. */
  value?: number;
}

/** What a prediction's numbers are, as the model's `output` says it. */
interface Predicted {
  kind: string;
  activation: string;
  /** Which of several outputs, in words; empty where there is one. */
  which: string;
}

/** What a prediction is of. */
interface PredictedNames {
  model: string;
  image: string;
  /** The shape of the image as the model saw it. */
  seen: readonly number[];
  id?: string;
  label?: string;
  right?: boolean;
}

/** An image in floats, or, where many are kept, in bytes. */
export interface Kept {
  data: Float32Array | Uint8ClampedArray;
  shape: readonly number[];
}

/** A smaller photo is shown enlarged by a whole factor, up to this size. */
const SHOWN = 224;

const words = ({ probability, value }: PredictRow) => probability === undefined ? brief(value!) : percent(probability);

/** What a model says of one image: in a cell, bars of probabilities, or a table of numbers, beside the photo. */
export class Prediction extends Result<PredictRow> {
  /** The likeliest classes or labels, the likeliest first; numbers in the order of the outputs. */
  readonly rows: readonly PredictRow[];
  /** Of an image of a data set: its id there. */
  readonly id?: string;
  /** Of an image of a data set: the label that it has there. */
  readonly label?: string;
  /** What the numbers are, as `model.output.kind` says it: `"classes"`, `"binary"`, `"labels"` or `"numbers"`. */
  readonly kind: string;
  /**
   * Where the numbers come from: the network's last activation, as `"softmax"`, or what logits went through here, as
   * `"softmax of logits"`.
   */
  readonly activation: string;
  /**
   * Whether the likeliest class is the label that the data set has; absent where the image has none there, where that is
   * none of the model's classes, and where the outputs are no classes.
   */
  readonly right?: boolean;
  readonly #names: PredictedNames;
  /** @internal Which of several outputs, in words; empty where there is one. */
  readonly which: string;
  readonly #kept: Kept;

  /** @internal */
  constructor(
    rows: PredictRow[],
    kept: Kept,
    { kind, activation, which }: Predicted,
    names: PredictedNames,
  ) {
    super();
    this.rows = rows;
    this.#kept = kept;
    if (names.id !== undefined) this.id = names.id;
    if (names.label !== undefined) this.label = names.label;
    if (names.right !== undefined) this.right = names.right;
    this.kind = kind;
    this.activation = activation;
    this.which = which;
    this.#names = names;
  }

  /**
   * The image as the model saw it, `[h, w, 3]`, RGB, 0…255; of a data set made smaller where it is larger, to 104 pixels, or
   * to fewer, down to 32, of thousands of images, and rounded.
   */
  get image(): NdArray {
    const { data, shape } = this.#kept;
    return this.#kept instanceof NdArray ? this.#kept : new NdArray(data, shape);
  }

  /** @internal */
  override arrays(): object {
    return { ...this, image: this.image };
  }

  /** What the image is called: its id in the data set, else its name. */
  get name(): string {
    return this.#names.image;
  }

  /** @internal */
  override sheetRow(): SheetRow {
    const { caption, blocks: [row] } = this.figure();
    return { heading: `${this.#names.image}: ${this.#found}`, caption, blocks: [row] };
  }

  /** What is predicted, in words. */
  get #found(): string {
    const [best] = this.rows;
    const several = this.kind === "numbers" && this.rows.length > 1;
    return several ? `${this.rows.length} numbers` : `${best.label}, ${words(best)}`;
  }

  /** Bars of the probabilities, or a table of the numbers, beside the photo. */
  override figure(): Figure {
    const { model, image, seen: [rows, columns] } = this.#names;
    const [best] = this.rows;
    const count = this.rows.length;
    const [height, width] = this.image.shape;
    const isNumbers = this.kind === "numbers";
    const remark = pixelRemark(this.image);
    const title = `${model} · ${image}: ${this.#found}`;
    const each = this.kind === "labels" ? ", each label for itself" : "";
    const numbers = isNumbers
      ? `Numbers (${this.activation})${this.which}; they are no probabilities. `
      : `Top ${count} probabilities (${this.activation})${this.which}${each}, bars from 0 to 1. `;
    const caption = `${numbers}The photo is what the model saw: ${rows}×${columns} pixels` +
      `${height < rows || width < columns ? `, here ${height}×${width}` : ""}.${remark && ` ${remark}`}`;
    const shown: Block = isNumbers
      ? {
        kind: "table",
        columns: [{ title: "output" }, { title: "value", align: "right" }],
        rows: this.rows.map((row) => [row.label, words(row)]),
      }
      : {
        kind: "bars",
        width: 260,
        rows: this.rows.map((row) => ({ label: row.label, value: row.probability!, text: words(row) })),
      };
    return new Figure({
      title,
      caption,
      blocks: [{
        kind: "row",
        blocks: [
          {
            kind: "picture",
            pixels: pixelsOf(this.image, enlargement(this.image.shape, SHOWN)),
            alt: isNumbers ? `${image}, as ${model} saw it` : `${image}, which ${model} takes for ${best.label}`,
          },
          shown,
        ],
      }],
    });
  }
}
