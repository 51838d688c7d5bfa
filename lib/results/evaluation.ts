/**
 * What `evaluate` returns: how well a model does on a data set, with intervals, and its worst errors as pictures.
 *
 * @module
 */

import type { NdArray } from "../array.ts";
import type { SkippedImage } from "../data/dataset.ts";
import { TILE, tileOf } from "../data/sample.ts";
import type { Block, Sheet, Table } from "../figure/blocks.ts";
import { Figure } from "../figure/figure.ts";
import { brief, percent } from "../format.ts";
import { readOptions, whole } from "../options.ts";
import { type ClassedImage, type ClassScore, ClassScores, type Measure, type Mistake } from "./class_scores.ts";
import { MapNumberScores, type MappedImage, type MappedNumber, type MapScores } from "./map_scores.ts";
import { brieflyCertain } from "./predictions.ts";
import { Result } from "./result.ts";
import { skippedNote } from "./skipped.ts";
import {
  type LabelledImage,
  type LabelScores,
  type NumberedImage,
  NumberScores,
  type OutputScore,
} from "./value_scores.ts";

/** A row of an evaluation: of classes, of several labels and of maps one an image, of numbers one an image and output. */
export type EvaluationRow = ClassedImage | LabelledImage | NumberedImage | MappedImage | MappedNumber;

/** What an evaluation counts, by the kind of the outputs. */
export type Scores = ClassScores | LabelScores | NumberScores | MapScores | MapNumberScores;

/** One of the worst errors. */
export interface WorstError {
  /** The image's id in the data set. */
  id: string;
  /**
   * The image as the model saw it, `[h, w, 3]`, RGB, 0…255, made smaller to 104 pixels where it is larger; of maps of classes
   * and labels with the wrong places in orange.
   */
  image: NdArray;
  /** What is true of it, in words. */
  actual: string;
  /** What is predicted, in words; of classes and labels with the probability. */
  predicted: string;
  /** How bad it is: the cross-entropy, or the magnitude of the error of `output`. */
  cost: number;
  /** Of numbers: the output that is wrong. */
  output?: string;
}

/** What an evaluation is of. */
export interface EvaluationNames {
  model: string;
  dataset: string;
  /** What the outputs are: `"classes"`, `"binary"`, `"labels"`, `"numbers"` or `"map"`. */
  kind: string;
  /** What is at each place of a map. @default the same as `kind` */
  each?: string;
  /** Where they come from, as `"softmax"`. */
  activation: string;
  /** What else is to be said. */
  note: string;
}

/** How an evaluation is drawn. */
export class EvaluationFigureOptions {
  /**
   * The confusion matrix shows at most this many classes: of more those that are confused most, the others as one.
   * @default 20
   */
  @whole(2)
  classes = 20;
  /**
   * At most this many of the worst errors are shown as pictures; 0 for none.
   * @default 16
   */
  @whole(0)
  errors = 16;
}

/** How well a model does on a data set; in a cell its figures with intervals, what is taken for what, the worst errors. */
export class Evaluation extends Result<EvaluationRow> {
  /**
   * Of classes one row an image, `{ id, label, prediction, probability, labelProbability, rank, right }`; of independent
   * labels `{ id, labels, predictions, wrong, right }`; of numbers one an image and output, `{ id, output, actual,
   * predicted, error }`; of maps one an image, `{ id, places, accuracy, meanIoU, loss }`, or, of numbers, also an output, `{ id,
   * output, places, meanAbsoluteError, rootMeanSquareError }`.
   */
  readonly rows: readonly EvaluationRow[];
  /** How many images were looked at. */
  readonly images: number;
  /** What the outputs are: `"classes"`, `"binary"`, `"labels"`, `"numbers"` or `"map"`. */
  readonly kind: string;
  /** The figures of the whole, with intervals of 95 %: of shares Wilson's. */
  readonly measures: readonly Measure[];
  /** The worst errors, the worst first. */
  readonly worst: readonly WorstError[];
  /** The images that could not be read. */
  readonly skipped: readonly SkippedImage[];
  readonly #scores: Scores;
  readonly #names: EvaluationNames;

  /** @internal */
  constructor(
    scores: Scores,
    names: EvaluationNames,
    { images, worst, skipped }: { images: number; worst: readonly WorstError[]; skipped: readonly SkippedImage[] },
  ) {
    super();
    this.#scores = scores;
    this.#names = names;
    this.rows = scores.rows;
    this.measures = scores.measures;
    this.images = images;
    this.kind = names.kind;
    this.worst = worst;
    this.skipped = skipped;
  }

  /** @internal What captions of what is made of it call it. */
  get named(): string {
    return `${this.#names.model} · ${this.#names.dataset}`;
  }

  /**
   * The share of the images whose likeliest class is their own: the accuracy.
   *
   * @throws {TypeError} if the model puts out no classes
   */
  get top1(): number {
    return this.#classes("top1").top(1);
  }

  /**
   * The share of the images whose own class is among the five likeliest; 1 where there are no more than five.
   *
   * @throws {TypeError} if the model puts out no classes
   */
  get top5(): number {
    return this.#classes("top5").top(5);
  }

  /**
   * Mean cross-entropy in nats: of classes that of the image's own, of independent labels of all labels.
   *
   * @throws {TypeError} if the model puts out numbers
   */
  get loss(): number {
    return this.#certain("loss").loss;
  }

  /**
   * Counts of images: of classes `[classes, classes]`, a row the class that they have, a column the one that is predicted,
   * both by their index in the model's outputs; of independent labels `[labels, 2, 2]`, of each label in the first row those
   * without it, in the second those with it, and in the columns those predicted without and with it.
   *
   * @throws {TypeError} if the model puts out numbers
   * @throws {RangeError} if the classes are too many for a matrix
   */
  get confusion(): NdArray {
    return this.#certain("confusion").confusion;
  }

  /**
   * What is taken for what, the most frequent mistake first.
   *
   * @throws {TypeError} if the model puts out no classes
   */
  get mistakes(): readonly Mistake[] {
    return this.#classes("mistakes").mistakes;
  }

  /**
   * Each class that an image has or is taken for, or each of the independent labels: how many images have it, recall with
   * its interval, precision, F1.
   *
   * @throws {TypeError} if the model puts out numbers
   */
  get classes(): readonly ClassScore[] {
    return this.#certain("classes").classes;
  }

  /**
   * Of maps of classes or labels: the mean intersection over union.
   *
   * @throws {TypeError} if the model puts out no such maps
   */
  get meanIoU(): number {
    const found = this.measures.find(({ measure }) => measure === "mean IoU");
    if (found) return found.value;
    throw this.#without("meanIoU", "measures have what there is");
  }

  /**
   * Of numbers: the sizes of the errors of each output.
   *
   * @throws {TypeError} if the model puts out classes or labels
   */
  get outputs(): readonly OutputScore[] {
    if (this.#scores instanceof NumberScores) return this.#scores.outputs;
    throw this.#without("outputs", `${this.#isNumbers ? "" : "classes and "}measures have what there is`);
  }

  #certain(what: string): ClassScores | LabelScores | MapScores {
    if (!(this.#scores instanceof NumberScores) && !(this.#scores instanceof MapNumberScores)) return this.#scores;
    throw this.#without(what, `${this.kind === "map" ? "measures" : "outputs"} has the sizes of the errors`);
  }

  get #isNumbers(): boolean {
    return (this.#names.each ?? this.kind) === "numbers";
  }

  #classes(what: string): ClassScores {
    if (this.#scores instanceof ClassScores) return this.#scores;
    throw this.#without(
      what,
      `${this.kind === "numbers" ? "outputs" : this.#isNumbers ? "rows" : "classes"} and measures have what there is`,
    );
  }

  #without(what: string, remedy: string): TypeError {
    const { model, kind } = this.#names;
    return new TypeError(
      `An evaluation of ${JSON.stringify(model)} has no ${what}: its outputs are ${kind}. Its ${remedy}.`,
    );
  }

  /** A share in per cent, another number as it is. */
  #text(value: number | undefined, measure: string): string {
    if (value === undefined) return "";
    return this.#isNumbers || measure === "cross-entropy" || /average precision/.test(measure)
      ? brief(value)
      : percent(value);
  }

  /**
   * The figures of the whole, the confusion matrix or the errors' sizes, and the worst errors as pictures.
   *
   * @throws {TypeError} if an option is unknown
   * @throws {RangeError} if one does not fit
   */
  override figure(options: Partial<EvaluationFigureOptions> = {}): Figure {
    const { classes, errors } = readOptions("figure", EvaluationFigureOptions, options);
    const { model, dataset, activation, note } = this.#names;
    const [first] = this.measures;
    const { beside, blocks, caption } = this.#scores.blocks(classes);
    const images = `${this.images.toLocaleString("en-US")} image${this.images === 1 ? "" : "s"}`;
    return new Figure({
      title: `${model} · ${first.measure} ${this.#text(first.value, first.measure)} on ${images} of ${dataset}`,
      caption: [
        caption,
        `Intervals of 95 %${
          this.kind === "numbers" || this.kind === "map" ? ", by the standard error" : " (Wilson)"
        }: other images of the same ` +
        `kind would give another number. Outputs: ${activation}.`,
        note,
        skippedNote(this.skipped),
      ].filter(Boolean).join(" "),
      blocks: [
        { kind: "row", blocks: [this.#summary(), ...beside] },
        ...blocks,
        ...errors > 0 ? this.#errors(errors) : [],
      ],
    });
  }

  #summary(): Table {
    return {
      kind: "table",
      columns: [{ title: "measure" }, { title: "value", align: "right" }, { title: "95 %", align: "right" }],
      rows: this.measures.map(({ measure, value, low, high }) => [
        measure,
        this.#text(value, measure),
        low === undefined || Number.isNaN(low) ? "" : `${this.#text(low, measure)} – ${this.#text(high, measure)}`,
      ]),
    };
  }

  #errors(most: number): Block[] {
    if (this.worst.length === 0) return [];
    const sheet: Sheet = {
      kind: "sheet",
      heading: this.#isNumbers ? "The largest errors" : "The worst errors",
      note: this.kind === "map"
        ? this.#isNumbers ? "Below each image the mean error of its places." : "Orange: the places that are wrong."
        : this.kind === "numbers"
        ? "Below each image the number that is predicted, then the true one."
        : this.kind === "labels"
        ? "Below each image what is predicted, then what it has."
        : "Below each image the class that it is taken for with its probability, then its own.",
      side: TILE,
      tiles: this.worst.slice(0, most).map(({ id, image, actual, predicted, output }) => ({
        pixels: tileOf(image),
        lines: [predicted, actual],
        words: [id, ...output === undefined ? [] : [output], `predicted: ${predicted}`, `true: ${actual}`].join("\n"),
        alt: `${id}: predicted ${predicted}, true ${actual}`,
      })),
    };
    return [sheet];
  }
}

/** A class or label with its probability, as the worst errors show it. */
export const certain = (label: string, probability: number): string => `${brieflyCertain(probability)} ${label}`;
