/**
 * What the model says of an image: the likeliest classes as bars beside the photo, or the numbers that it puts out.
 *
 * @module
 */

import { bandsNote, pixelRemark } from "../data/pixels.ts";
import { NdArray } from "../array.ts";
import { type DataFrame, toDataFrame } from "../data/table.ts";
import type { Block } from "../figure/blocks.ts";
import { Figure, type SheetRow } from "../figure/figure.ts";
import {
  foundWords,
  outputBlocks,
  outputCaption,
  type OutputPrediction,
  type PredictRow,
  rowWords,
} from "./output_prediction.ts";
import { inputBlock } from "./input_block.ts";
import { Result } from "./result.ts";

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

/** What a model says of one image: in a cell, bars of probabilities, or a table of numbers, beside the photo. */
export class Prediction extends Result<PredictRow> {
  /** The likeliest classes or labels, the likeliest first; numbers in the order of the outputs. */
  readonly rows: readonly PredictRow[];
  /** Of an image of a data set: its id there. */
  readonly id?: string;
  /** Of an image of a data set: the label that it has there. */
  readonly label?: string;
  /** What the numbers are, as `model.output.kind` says it: `"classes"`, `"binary"`, `"labels"`, `"numbers"` or `"map"`. */
  readonly kind: string;
  /** What the model says at each of its outputs, in the network's order; of one output only that. */
  readonly outputs: readonly OutputPrediction[];
  /** Of maps of classes: the index of the class that is predicted at each place, `[h, w]`. */
  readonly map?: NdArray;
  /** Of maps: the probabilities or numbers at each place, `[h, w, c]`; of a data set only of maps without classes. */
  readonly values?: NdArray;
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
  readonly #shown: OutputPrediction;
  readonly #kept: Kept;

  /**
   * @internal
   * @param shown the output that is looked at
   * @param outputs all of them
   */
  constructor(
    shown: OutputPrediction,
    kept: Kept,
    names: PredictedNames,
    outputs: readonly OutputPrediction[] = [shown],
  ) {
    super();
    const { rows, kind, activation, map, values } = shown;
    this.rows = rows;
    this.#shown = shown;
    this.#kept = kept;
    if (names.id !== undefined) this.id = names.id;
    if (names.label !== undefined) this.label = names.label;
    if (names.right !== undefined) this.right = names.right;
    this.kind = kind;
    this.activation = activation;
    this.outputs = outputs;
    if (map) this.map = map;
    if (values) this.values = values;
    this.#names = names;
  }

  /** @internal What is said at the output that is looked at. */
  get shown(): OutputPrediction {
    return this.#shown;
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
    const { caption, blocks } = this.figure();
    const heading = `${this.#names.image}: ${this.#found}`;
    if (blocks.length > 1) return { heading, caption, blocks: [{ kind: "row", columns: 1, blocks: [...blocks] }] };
    return { heading, caption, blocks: [blocks[0]] };
  }

  /** What is predicted, in words. */
  get #found(): string {
    if (this.outputs.length === 1) return foundWords(this.#shown);
    return this.outputs.map((part) => `${part.name}: ${foundWords(part)}`).join("; ");
  }

  /** Bars of the probabilities, a table of the numbers, or the map of answers, beside the photo; a part for each output. */
  override figure(): Figure {
    const { model, image, seen } = this.#names;
    const [rows, columns] = seen;
    const [height, width] = this.image.shape;
    const remark = [pixelRemark(this.image), bandsNote(seen)].filter(Boolean).join(" ");
    const title = `${model} · ${image}: ${this.#found}`;
    const caption = `${this.outputs.map(outputCaption).join(" ")} ` +
      (seen.length === 3
        ? `The photo is what the model saw: ${rows}×${columns} pixels` +
          `${height < rows || width < columns ? `, here ${height}×${width}` : ""}.`
        : `The ${["numbers are", "signal is", "", "volume is"][seen.length - 1]} what the model saw: ${
          seen.join("×")
        } ` +
          "numbers.") +
      (remark && ` ${remark}`);
    const { kind, each, rows: [best] } = this.#shown;
    const alt = kind === "map" || each === "numbers"
      ? `${image}, as ${model} saw it`
      : `${image}, which ${model} takes for ${best.label}`;
    const picture = inputBlock(this.image, { shown: SHOWN, width: 2 * SHOWN, alt });
    const lines = this.outputs.flatMap((part) =>
      part.kind === "map" ? part.rows.map((row) => `${row.label}: ${rowWords(row)}`) : []
    );
    if (this.outputs.length === 1) {
      return new Figure({ title, caption, blocks: outputBlocks(this.#shown, this.image, picture, image), lines });
    }
    // Vectors stand beside the photo, maps below it.
    const [maps, vectors] = [true, false].map((isMap) =>
      this.outputs.filter((part) => (part.kind === "map") === isMap)
    );
    const beside = vectors.map((part): Block => ({
      kind: "row",
      columns: 1,
      heading: part.name,
      blocks: outputBlocks(part, this.image, null, image),
    }));
    const below = maps.flatMap((part, i) => {
      const blocks = outputBlocks(part, this.image, i === 0 && beside.length === 0 ? picture : null, image);
      return [{ ...blocks[0], heading: part.name }, ...blocks.slice(1)];
    });
    return new Figure({
      title,
      caption,
      blocks: [...beside.length ? [{ kind: "row" as const, blocks: [picture, ...beside] }] : [], ...below],
      lines,
    });
  }

  /** The rows as a Polars data frame; of several outputs those of all, with the output's name in a column. */
  override table(): Promise<DataFrame> {
    return toDataFrame(this.outputs.flatMap(({ rows }) => [...rows]));
  }
}
