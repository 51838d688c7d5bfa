/**
 * What `fool` returns: an image before and after a small change, and what the model says of both.
 *
 * @module
 */

import { extent, NdArray, type NdArrayLike } from "../array.ts";
import type { Bars, Block, Picture, Table } from "../figure/blocks.ts";
import { Figure, type SheetRow } from "../figure/figure.ts";
import { pixelsOf } from "../figure/mosaic.ts";
import { brief, probabilityText } from "../format.ts";
import { inputBlock } from "./input_block.ts";
import { changed, enlargement, largestOf, painted } from "./panels.ts";
import { Collection, Result } from "./result.ts";

/** What a model says of an image. */
export interface FooledAnswer {
  /** The likeliest class; of labels and numbers the one that was asked about. */
  label: string;
  /** Its probability, 0…1; absent where it is none. */
  probability?: number;
  /** Of numbers, and of other targets, the number itself. */
  value?: number;
}

/** The changed image after it was kept in some way. */
export interface SurvivalRow extends FooledAnswer {
  /** How it was kept: `"8 bits"`, `"PNG"`, `"JPEG 75"`, `"half the size and back"`. */
  as: string;
  /** Whether the model is still fooled; null where that is no yes or no. */
  fooled: boolean | null;
}

/** What is likeliest, before and after. */
export interface Likeliest {
  /** The class or label. */
  label: string;
  /** Its probability before. */
  before: number;
  /** Its probability after. */
  after: number;
}

/** What a fooled image is made of. */
export interface FooledParts {
  readonly names: { model: string; image: string; method: string; goal: string };
  readonly original: NdArrayLike;
  readonly image: NdArrayLike;
  readonly before: FooledAnswer;
  readonly after: FooledAnswer;
  readonly fooled: boolean | null;
  readonly wrong: boolean;
  readonly label?: string;
  readonly rows: readonly SurvivalRow[];
  readonly likeliest: readonly Likeliest[];
  readonly maps?: readonly NdArrayLike[];
}

/** Smaller images are enlarged to about so many pixels. */
const SHOWN = 180;
const BAR = 90;

/** An answer in words. */
export const answerText = ({ label, probability, value }: FooledAnswer): string =>
  `${label} ${probability === undefined ? brief(value, 4) : probabilityText(probability)}`;

/** One image and its fooling change; in a cell, both beside the change, what is likeliest, and what survives saving. */
export class Fooled extends Result<SurvivalRow> {
  /** What the model says of the changed image after it was saved and read again: `{ as, label, probability, fooled }`. */
  readonly rows: readonly SurvivalRow[];
  /** The changed image, `[h, w, c]`, of whole numbers 0…255, as it can be saved. */
  readonly image: NdArray;
  /** The image as the model saw it, rounded to whole numbers. */
  readonly original: NdArray;
  /** What was added: `image` minus `original`. */
  readonly perturbation: NdArray;
  /** What the model said. */
  readonly before: FooledAnswer;
  /** What it says of the changed image. */
  readonly after: FooledAnswer;
  /** Whether the goal is reached, on the image as saved; null of numbers and other scores, which have no border. */
  readonly fooled: boolean | null;
  /** Whether the model was wrong before, by the data set's label: then nothing was changed. */
  readonly wrong: boolean;
  /** The label that the image has in its data set. */
  readonly label?: string;
  /** The five likeliest before and the five likeliest after, with both probabilities. */
  readonly likeliest: readonly Likeliest[];
  /** The gradient of the first answer's score, before and after, `[h, w]`; where `maps` was asked for. */
  readonly maps?: readonly NdArray[];
  readonly #names: FooledParts["names"];

  /** @internal */
  constructor({ names, original, image, maps, label, ...parts }: FooledParts) {
    super();
    this.#names = names;
    this.rows = parts.rows;
    this.original = NdArray.from(original);
    this.image = NdArray.from(image);
    this.perturbation = new NdArray(image.data.map((value, i) => value - original.data[i]), image.shape);
    this.before = parts.before;
    this.after = parts.after;
    this.fooled = parts.fooled;
    this.wrong = parts.wrong;
    if (label !== undefined) this.label = label;
    this.likeliest = parts.likeliest;
    if (maps) this.maps = maps.map(NdArray.from);
  }

  /** The largest change of a value, 0…255. */
  get largest(): number {
    return largestOf(this.perturbation.data);
  }

  /** The Euclidean length of the change. */
  get distance(): number {
    return Math.sqrt(this.perturbation.data.reduce((sum, value) => sum + value * value, 0));
  }

  /** @internal */
  override sheetRow(): SheetRow {
    const { title, caption, blocks } = this.figure();
    return { heading: title, caption, blocks: blocks.slice(0, 1) };
  }

  /** Before, after, the change amplified and to scale; what is likeliest; what survives saving. */
  override figure(): Figure {
    const { model, image, method, goal } = this.#names;
    const factor = this.largest ? Math.max(1, Math.floor(127 / this.largest)) : 1;
    const title = `${model} · ${image}: ${answerText(this.before)} → ${answerText(this.after)}`;
    const survivors = this.rows.filter(({ fooled }) => fooled).map(({ as }) => as);
    // A picture of nothing was made from another one: between these a change says little.
    const isSmall = this.largest <= 127;
    const caption = this.wrong ? `The model is wrong about this image (${this.label}), so nothing was changed.` : [
      `${method}, ${goal}.`,
      isSmall
        ? `Each value of the image changes by at most ${brief(this.largest)} of 255, ` +
          `${brief(Math.sqrt(this.distance ** 2 / this.perturbation.data.length))} on average (root mean square); ` +
          `grey is no change.`
        : "",
      "What the model says is of the image in whole numbers, as it can be saved.",
      this.fooled === null
        ? ""
        : this.fooled
        ? `Still fooled: ${survivors.join(", ") || "none of the saved ones"}.`
        : "The model is not fooled.",
    ].filter(Boolean).join(" ");
    const pictures: Block[] = [
      inputBlock(this.original, { shown: SHOWN, heading: "before", alt: `${image}, before` }),
      inputBlock(this.image, { shown: SHOWN, heading: "after", alt: `${image}, after` }),
      ...this.wrong || !isSmall ? [] : [this.#change(factor), ...factor > 1 ? [this.#change(1)] : []],
      ...(this.maps ?? []).map((map, i): Picture => ({
        kind: "picture",
        heading: `gradient ${["before", "after"][i]}`,
        pixels: painted(map, {
          low: 0,
          high: extent(map.data)[1] || 1,
          palette: "inferno",
          factor: enlargement(map.shape, SHOWN),
        }),
        alt: `The gradient of ${this.before.label} to the image ${["before", "after"][i]}`,
      })),
    ];
    const below = [
      ...this.likeliest.length ? [this.#bars("before"), this.#bars("after")] : [],
      ...this.rows.length ? [this.#survival()] : [],
    ];
    const lines = this.rows.map((row) => `${row.as.padEnd(24)} ${answerText(row)}${row.fooled ? "  fooled" : ""}`);
    return new Figure({
      title,
      caption,
      blocks: [{ kind: "row", blocks: pictures }, ...below.length ? [{ kind: "row" as const, blocks: below }] : []],
      lines,
    });
  }

  #change(factor: number): Picture {
    return {
      kind: "picture",
      heading: factor === 1 ? "change, to scale" : `change × ${factor}`,
      pixels: pixelsOf(changed(this.perturbation, factor), enlargement(this.perturbation.shape, SHOWN)),
      alt: `What was added, ${factor === 1 ? "to scale" : `${factor} times as strong`}`,
    };
  }

  #bars(when: "before" | "after"): Bars {
    const rows = [...this.likeliest].sort((a, b) => b[when] - a[when]).slice(0, 5).map((row) => ({
      label: row.label,
      value: row[when],
      text: probabilityText(row[when]),
    }));
    return { kind: "bars", heading: when, rows, width: BAR };
  }

  #survival(): Table {
    return {
      kind: "table",
      heading: "after saving",
      columns: [{ title: "as" }, { title: "the model says" }, { title: "fooled" }],
      rows: this.rows.map((row) => [row.as, answerText(row), row.fooled === null ? "" : row.fooled ? "yes" : "no"]),
    };
  }
}

/** Several fooled images: an array of them that shows itself as one sheet. */
export class FooledImages extends Collection<Fooled> {
  /** How many the model had right, or had no label to be wrong about: those that were attacked. */
  get attacked(): number {
    return this.filter(({ wrong }) => !wrong).length;
  }

  /** How many of these are fooled, as saved. */
  get fooled(): number {
    return this.filter(({ fooled }) => fooled).length;
  }

  /** How many the model was wrong about before; they are not counted. */
  get wrong(): number {
    return this.length - this.attacked;
  }
}
