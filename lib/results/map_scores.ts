/**
 * How well a model does whose outputs are maps: each place is right or wrong, or has an error.
 *
 * Intersection over union is that of Everingham et al., "The Pascal Visual Object Classes Challenge: A Retrospective" (2015),
 * §4.2: of each class over the places of all images, then the mean over the classes.
 *
 * @module
 */

import { type NdArray, ndarray } from "../array.ts";
import { brief, fixed, percent } from "../format.ts";
import type { ClassScore, Measure, ScoreBlocks } from "./class_scores.ts";

/** What a model says of one image's map of classes or labels. */
export interface MappedImage {
  /** The image's id in the data set. */
  id: string;
  /** How many of its places are known. */
  places: number;
  /** The share of them that is right. */
  accuracy: number;
  /** The mean intersection over union of the classes that the image has or is predicted to have. */
  meanIoU: number;
  /** The mean cross-entropy of the places. */
  loss: number;
}

/** Counts of one class's places. */
interface Counts {
  actual: Float64Array;
  predicted: Float64Array;
  both: Float64Array;
}

const counts = (length: number): Counts => ({
  actual: new Float64Array(length),
  predicted: new Float64Array(length),
  both: new Float64Array(length),
});

/** Intersections over unions; NaN where a class is neither there nor predicted. */
const ious = ({ actual, predicted, both }: Counts) =>
  Array.from(actual, (count, i) => both[i] / (count + predicted[i] - both[i]));

const meanOf = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
const meanKnown = (values: readonly number[]) => meanOf(values.filter((value) => !Number.isNaN(value)));

/** A mean over images with its interval of 95 %, by its standard error. */
function interval(values: readonly number[]): { low: number; high: number } {
  const mean = meanOf(values);
  const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1));
  const half = 1.959964 * deviation / Math.sqrt(values.length);
  return { low: mean - half, high: mean + half };
}

/** Maps of classes, or of independent labels. */
export class MapScores {
  readonly rows: MappedImage[] = [];
  readonly #labels: readonly string[];
  readonly #isLabels: boolean;
  readonly #all: Counts;
  /** Of classes: how often each is taken for each. */
  readonly #confusion: Float64Array;

  /** @param isLabels whether each place has labels that are independent of one another, not one class */
  constructor(labels: readonly string[], isLabels: boolean) {
    this.#labels = labels;
    this.#isLabels = isLabels;
    this.#all = counts(labels.length);
    this.#confusion = new Float64Array(isLabels ? 0 : labels.length ** 2);
  }

  /**
   * Counts one image.
   *
   * @param probabilities one for each place and label
   * @param truth of classes one index a place, of labels 1 or 0 for each; NaN where nothing is known
   * @param answers of classes the index that is predicted at each place
   * @returns where it is wrong, one number a place
   */
  add(id: string, probabilities: ArrayLike<number>, truth: Float32Array, answers: Float32Array): Uint8Array {
    const { length } = this.#labels;
    const own = counts(length);
    const cells = probabilities.length / length;
    const wrong = new Uint8Array(cells);
    let [known, right, loss] = [0, 0, 0];
    const note = (label: number, is: boolean, said: boolean) => {
      own.actual[label] += Number(is);
      own.predicted[label] += Number(said);
      own.both[label] += Number(is && said);
    };
    const cost = (probability: number) => -Math.log(Math.max(1e-7, probability));
    for (let cell = 0; cell < cells; cell++) {
      if (!this.#isLabels) {
        const [is, said] = [truth[cell], answers[cell]];
        if (Number.isNaN(is)) continue;
        known++;
        right += Number(is === said);
        wrong[cell] = Number(is !== said);
        loss += cost(probabilities[cell * length + is]);
        note(is, true, said === is);
        if (said !== is) note(said, false, true);
        this.#confusion[is * length + said]++;
        continue;
      }
      for (let label = 0; label < length; label++) {
        const is = truth[cell * length + label];
        if (Number.isNaN(is)) continue;
        const probability = probabilities[cell * length + label];
        known++;
        right += Number((is === 1) === probability >= 0.5);
        wrong[cell] ||= Number((is === 1) !== probability >= 0.5);
        loss += cost(is ? probability : 1 - probability);
        note(label, is === 1, probability >= 0.5);
      }
    }
    for (const name of ["actual", "predicted", "both"] as const) {
      own[name].forEach((count, i) => this.#all[name][i] += count);
    }
    if (known > 0) {
      this.rows.push({ id, places: known, accuracy: right / known, meanIoU: meanKnown(ious(own)), loss: loss / known });
    }
    return wrong;
  }

  /**
   * How many places of each class are taken for each, `[classes, classes]`; of independent labels of each how many without it
   * are predicted without it, with it, with it without it, with it: `[labels, 2, 2]`.
   */
  get confusion(): NdArray {
    const { length } = this.#labels;
    if (!this.#isLabels) return ndarray(Float32Array.from(this.#confusion), [length, length]);
    const { actual, predicted, both } = this.#all;
    const all = this.#known / length;
    return ndarray(
      Float32Array.from({ length: 4 * length }, (_, i) => {
        const label = Math.floor(i / 4);
        const [a, p, b] = [actual[label], predicted[label], both[label]];
        return [all - a - p + b, p - b, a - b, b][i % 4];
      }),
      [length, 2, 2],
    );
  }

  get #known(): number {
    return this.rows.reduce((sum, { places }) => sum + places, 0);
  }

  /** Each class that is there or predicted; counts are of places. */
  get classes(): ClassScore[] {
    const { actual, predicted, both } = this.#all;
    const found = ious(this.#all);
    return this.#labels.flatMap((label, i) => {
      if (Number.isNaN(found[i])) return [];
      const share = (count: number) => count ? both[i] / count : null;
      return [{
        label,
        images: actual[i],
        predicted: predicted[i],
        right: both[i],
        recall: share(actual[i]),
        low: null,
        high: null,
        precision: share(predicted[i]),
        f1: 2 * both[i] / (actual[i] + predicted[i]),
        iou: found[i],
      }];
    });
  }

  /** The mean cross-entropy of all places, in nats. */
  get loss(): number {
    return this.rows.reduce((sum, { loss, places }) => sum + loss * places, 0) / this.#known;
  }

  get measures(): Measure[] {
    const right = this.rows.reduce((sum, { accuracy, places }) => sum + accuracy * places, 0);
    const recalls = this.classes.flatMap(({ recall }) => recall ?? []);
    return [
      {
        measure: this.#isLabels ? "single labels right" : "places right",
        value: right / this.#known,
        ...interval(this.rows.map(({ accuracy }) => accuracy)),
      },
      { measure: "mean IoU", value: meanKnown(ious(this.#all)) },
      { measure: `mean recall of the ${this.#isLabels ? "labels" : "classes"}`, value: meanOf(recalls) },
      { measure: "cross-entropy", value: this.loss },
    ];
  }

  blocks(): ScoreBlocks {
    const most = Math.max(...this.#all.actual) / this.#known;
    return {
      beside: [],
      blocks: [{
        kind: "table",
        heading: this.#isLabels ? "Each label" : "Each class",
        columns: [
          { title: this.#isLabels ? "label" : "class" },
          ...["places", "IoU", "recall", "precision", "F1"].map((title) => ({ title, align: "right" as const })),
        ],
        rows: this.classes.map(({ label, images, iou, recall, precision, f1 }) => [
          label,
          images.toLocaleString("en-US"),
          percent(iou),
          percent(recall),
          percent(precision),
          fixed(f1, 2),
        ]),
      }],
      caption:
        `Counted are the places of the maps of which it is known what they show. IoU, intersection over union: of the ` +
        `places that have a class or are predicted to, the share that is both (Everingham et al. 2015).` +
        (this.#isLabels ? "" : ` Always the most frequent class would get ${percent(most)} of the places right.`),
    };
  }
}

/** What a model says of one channel of one image's map of numbers. */
export interface MappedNumber {
  /** The image's id in the data set. */
  id: string;
  /** The channel's name. */
  output: string;
  /** How many places are known. */
  places: number;
  /** The mean of the errors' magnitudes. */
  meanAbsoluteError: number;
  /** The root of the mean of the squared errors. */
  rootMeanSquareError: number;
}

/** Maps of numbers, as of depths. */
export class MapNumberScores {
  readonly rows: MappedNumber[] = [];
  readonly #labels: readonly string[];
  readonly #units: readonly string[];
  readonly #sums: { count: number; error: number; true: number; square: number }[];

  constructor(labels: readonly string[], units: readonly string[]) {
    this.#labels = labels;
    this.#units = units;
    this.#sums = labels.map(() => ({ count: 0, error: 0, true: 0, square: 0 }));
  }

  /**
   * Counts one image.
   *
   * @param values and `truth`: one number for each place and channel; the truth is NaN where nothing is known
   * @returns the mean of the magnitudes of all errors
   */
  add(id: string, values: ArrayLike<number>, truth: Float32Array): number {
    const { length } = this.#labels;
    const own = this.#labels.map((output, channel): MappedNumber => {
      let [places, magnitudes, squares] = [0, 0, 0];
      const sums = this.#sums[channel];
      for (let i = channel; i < truth.length; i += length) {
        if (Number.isNaN(truth[i])) continue;
        const error = values[i] - truth[i];
        places++;
        magnitudes += Math.abs(error);
        squares += error ** 2;
        sums.error += error;
        sums.true += truth[i];
        sums.square += truth[i] ** 2;
      }
      sums.count += places;
      return {
        id,
        output,
        places,
        meanAbsoluteError: magnitudes / places,
        rootMeanSquareError: Math.sqrt(squares / places),
      };
    }).filter(({ places }) => places > 0);
    this.rows.push(...own);
    return meanOf(own.map(({ meanAbsoluteError }) => meanAbsoluteError));
  }

  get measures(): Measure[] {
    return this.#labels.flatMap((label, channel) => {
      const rows = this.rows.filter(({ output }) => output === label);
      const { count, error, true: sum, square } = this.#sums[channel];
      const over = (of: (row: MappedNumber) => number) =>
        rows.reduce((all, row) => all + of(row) * row.places, 0) / count;
      const squares = over(({ rootMeanSquareError }) => rootMeanSquareError ** 2);
      const variance = square / count - (sum / count) ** 2;
      const own = this.#labels.length > 1 ? ` of ${label}` : "";
      const unit = this.#units[channel] ?? "";
      return [
        {
          measure: `mean absolute error${own}${unit && `,${unit}`}`,
          value: over(({ meanAbsoluteError }) => meanAbsoluteError),
          ...interval(rows.map(({ meanAbsoluteError }) => meanAbsoluteError)),
        },
        { measure: `root mean square error${own}${unit && `,${unit}`}`, value: Math.sqrt(squares) },
        { measure: `mean error${own} (bias)${unit && `,${unit}`}`, value: error / count },
        ...variance > 0 ? [{ measure: `variance explained${own} (R²)`, value: 1 - squares / variance }] : [],
      ];
    });
  }

  blocks(): ScoreBlocks {
    const worst = [...this.rows].sort((a, b) => b.meanAbsoluteError - a.meanAbsoluteError).slice(0, 8);
    return {
      beside: [],
      blocks: worst.length < 2 ? [] : [{
        kind: "table",
        heading: "The images with the largest errors",
        columns: [
          { title: "image" },
          ...this.#labels.length > 1 ? [{ title: "output" }] : [],
          ...["mean absolute error", "root mean square error"].map((title) => ({ title, align: "right" as const })),
        ],
        rows: worst.map(({ id, output, meanAbsoluteError, rootMeanSquareError }) => [
          id,
          ...this.#labels.length > 1 ? [output] : [],
          brief(meanAbsoluteError),
          brief(rootMeanSquareError),
        ]),
      }],
      caption:
        `The outputs are numbers at each place, no probabilities: what counts is how large the errors are over all ` +
        `places of which the number is known.`,
    };
  }
}
