/**
 * How well a model tells classes apart: shares with their intervals, each class by itself, and which are taken for which.
 *
 * @module
 */

import { type NdArray, ndarray } from "../array.ts";
import { leafOrder } from "../embed/leaf_order.ts";
import { wilson } from "../embed/logistic.ts";
import type { Block, Matrix, MatrixCell, Table } from "../figure/blocks.ts";
import { fixed, percent } from "../format.ts";

/** What a model says of one image whose class is known: a row of an evaluation. */
export interface ClassedImage {
  /** The image's id in the data set. */
  id: string;
  /** The class that it has. */
  label: string;
  /** The class that is predicted: the likeliest. */
  prediction: string;
  /** The probability of the class that is predicted. */
  probability: number;
  /** The probability of the class that it has. */
  labelProbability: number;
  /** The place of the class that it has among all, by probability: 1 where it is the likeliest. */
  rank: number;
  /** Whether it is the likeliest. */
  right: boolean;
}

/** One class of an evaluation. */
export interface ClassScore {
  /** The class, or of independent labels the label. */
  label: string;
  /** How many images have it; of maps, as the next two, how many places of all images. */
  images: number;
  /** How many images are predicted to have it. */
  predicted: number;
  /** How many of them have it. */
  right: number;
  /** The share of the images with it that are predicted to have it; null where no image has it. */
  recall: number | null;
  /** The lower end of the recall's interval of 95 % (Wilson); null of maps, whose places are not independent. */
  low: number | null;
  /** Its upper end. */
  high: number | null;
  /** The share of the images predicted to have it that have it; null where none is. */
  precision: number | null;
  /** The harmonic mean of precision and recall. */
  f1: number | null;
  /** Of classes: which one its images are most often taken for, where it is another one. */
  takenFor?: string;
  /** Of independent labels: the average precision, the mean of the precision over the images that have it, by probability. */
  averagePrecision?: number | null;
  /** Of maps: intersection over union. */
  iou?: number;
}

/** A mistake that is made again and again. */
export interface Mistake {
  /** The class that the images have. */
  label: string;
  /** The class that they are taken for. */
  prediction: string;
  /** How many they are. */
  images: number;
  /** Which share of the class's images. */
  share: number;
}

/** One figure of an evaluation, with its interval of 95 %. */
export interface Measure {
  /** What is measured, as `"top-1"`. */
  measure: string;
  /** The number. */
  value: number;
  /** The interval's lower end; absent where there is no interval. */
  low?: number;
  /** Its upper end. */
  high?: number;
}

/** What a figure shows of scores. */
export interface ScoreBlocks {
  /** Beside the figures of the whole. */
  beside: Block[];
  /** Below them. */
  blocks: Block[];
  caption: string;
}

/** So many classes stand in the matrix in their own order. */
const FEW = 20;

/** A confusion matrix of more numbers than this is refused. */
const MOST_NUMBERS = 40_000_000;

/** Recall, precision and F1, with the interval of the recall. */
export function scoreOf(label: string, images: number, predicted: number, right: number): ClassScore {
  const recall = images ? right / images : null;
  const precision = predicted ? right / predicted : null;
  const [low, high] = images ? wilson(right, images) : [null, null];
  // The harmonic mean of both, also where one of them is undefined.
  const f1 = images + predicted ? 2 * right / (images + predicted) : null;
  return { label, images, predicted, right, recall, low, high, precision, f1 };
}

/** Images whose class is known, as indices of the model's classes, with what it says of them. */
export class ClassScores {
  readonly #labels: readonly string[];
  readonly #pairs = new Map<number, Map<number, number>>();

  constructor(
    readonly rows: readonly ClassedImage[],
    readonly indices: readonly (readonly [label: number, prediction: number])[],
    labels: readonly string[],
  ) {
    this.#labels = labels;
    for (const [label, prediction] of indices) {
      const own = this.#pairs.get(label) ?? new Map<number, number>();
      this.#pairs.set(label, own.set(prediction, (own.get(prediction) ?? 0) + 1));
    }
  }

  /** The share of the images whose class is among the `k` likeliest. */
  top(k: number): number {
    return this.#within(k) / this.rows.length;
  }

  #within(k: number): number {
    return this.rows.filter(({ rank }) => rank <= k).length;
  }

  /** Mean cross-entropy in nats. */
  get loss(): number {
    const costs = this.rows.map(({ labelProbability }) => -Math.log(Math.max(1e-7, labelProbability)));
    return costs.reduce((sum, cost) => sum + cost, 0) / costs.length;
  }

  /**
   * How many images of each class are taken for each, `[classes, classes]`.
   *
   * @throws {RangeError} if the model tells so many classes apart that it would be huge
   */
  get confusion(): NdArray {
    const count = this.#labels.length;
    if (count ** 2 > MOST_NUMBERS) {
      throw new RangeError(
        `A confusion matrix of ${count} × ${count} classes would hold ${count ** 2} numbers. ` +
          `The evaluation's mistakes lists what is confused with what.`,
      );
    }
    const data = new Float32Array(count ** 2);
    for (const [label, prediction] of this.indices) data[label * count + prediction]++;
    return ndarray(data, [count, count]);
  }

  #count(label: number, prediction: number): number {
    return this.#pairs.get(label)?.get(prediction) ?? 0;
  }

  /** One for each class that an image has or is taken for, in the order of the model's classes. */
  get classes(): ClassScore[] {
    const predicted = new Map<number, number>();
    for (const [, prediction] of this.indices) predicted.set(prediction, (predicted.get(prediction) ?? 0) + 1);
    return this.#found.map((index) => {
      const own = this.#pairs.get(index) ?? new Map<number, number>();
      const images = [...own.values()].reduce((sum, count) => sum + count, 0);
      const [other] = [...own].filter(([prediction]) => prediction !== index).sort((a, b) => b[1] - a[1]);
      return {
        ...scoreOf(this.#labels[index], images, predicted.get(index) ?? 0, this.#count(index, index)),
        ...(other && { takenFor: this.#labels[other[0]] }),
      };
    });
  }

  /** The classes that an image has or is taken for. */
  get #found(): number[] {
    return [...new Set(this.indices.flat())].sort((a, b) => a - b);
  }

  /** What is confused with what, the most frequent first. */
  get mistakes(): Mistake[] {
    const found = [...this.#pairs].flatMap(([label, own]) => {
      const all = [...own.values()].reduce((sum, count) => sum + count, 0);
      return [...own].filter(([prediction]) => prediction !== label).map(([prediction, images]) => ({
        label: this.#labels[label],
        prediction: this.#labels[prediction],
        images,
        share: images / all,
      }));
    });
    return found.sort((a, b) => b.images - a.images || b.share - a.share);
  }

  /** The figures of the whole. */
  get measures(): Measure[] {
    const count = this.rows.length;
    const share = (k: number) => {
      const [low, high] = wilson(this.#within(k), count);
      return { measure: `top-${k}`, value: this.top(k), low, high };
    };
    const present = this.classes.flatMap(({ recall }) => recall ?? []);
    return [
      share(1),
      ...this.#labels.length > 5 ? [share(5)] : [],
      { measure: "mean recall of the classes", value: present.reduce((a, b) => a + b, 0) / present.length },
      { measure: "cross-entropy", value: this.loss },
    ];
  }

  /** The share that always naming the most frequent class would get. */
  get chance(): number {
    return Math.max(...this.classes.map(({ images }) => images)) / this.rows.length;
  }

  /** The matrix, the classes and the most frequent mistakes, with what is to be said of them. */
  blocks(most: number): ScoreBlocks {
    const { matrix, note } = this.#matrix(most);
    return {
      beside: mistakesTable(this.mistakes.slice(0, 8)),
      blocks: [matrix, classTable(this.classes)],
      caption:
        `In the matrix a row is a label, a column what its images are taken for; cells are shaded by their share of ` +
        `the row, blue where both agree.${note} Always the most frequent class would get ${percent(this.chance)}.`,
    };
  }

  /** The confusion matrix to look at: of many classes those that are confused most, the others as one. */
  #matrix(most: number): { matrix: Matrix; note: string } {
    const found = this.#found;
    const labelled = found.filter((index) => this.#pairs.has(index));
    const isAll = labelled.length <= most;
    const all = found.length <= most ? found : labelled;
    // Few are found as they stand; many are looked through.
    const shown = !isAll ? this.#confused(most - 1) : all.length > FEW ? this.#ordered(all) : all;
    const names = new Set(shown);
    const left = found.filter((index) => !names.has(index));
    const groups = [
      ...shown.map((index) => ({ name: this.#labels[index], of: [index] })),
      ...left.length ? [{ name: left.length === 1 ? this.#labels[left[0]] : `${left.length} others`, of: left }] : [],
    ];
    const rows = groups.filter(({ of }) => of.some((index) => this.#pairs.has(index)));
    const counts = rows.map((row) =>
      groups.map((column) =>
        row.of.reduce((sum, from) => sum + column.of.reduce((sum, to) => sum + this.#count(from, to), 0), 0)
      )
    );
    const totals = counts.map((row) => row.reduce((sum, count) => sum + count, 0));
    const cells = counts.map((row, y) =>
      row.map((count, x): MatrixCell => ({
        count,
        share: count / totals[y],
        right: rows[y] === groups[x],
        words: `${rows[y].name}, taken for ${groups[x].name}: ${count} of ${totals[y]} (${percent(count / totals[y])})`,
      }))
    );
    const right = rows.map(({ of }) => of.reduce((sum, index) => sum + this.#count(index, index), 0));
    return {
      matrix: {
        kind: "matrix",
        heading: "What is taken for what",
        rows: rows.map(({ name }) => name),
        columns: groups.map(({ name }) => name),
        cells,
        corner: "label ↓  prediction →",
        sides: [
          { title: "images", texts: totals.map((total) => total.toLocaleString("en-US")) },
          { title: "recall", texts: rows.map((_, y) => percent(right[y] / totals[y])) },
        ],
      },
      note: left.length === 0
        ? found.length > FEW ? " Classes that are confused stand side by side (average linkage)." : ""
        : isAll
        ? ` ${left.length} classes that are only predicted stand together.`
        : ` Of ${found.length} classes it shows the ${shown.length} with the most mistakes, those that are confused side by ` +
          `side; the others stand together; figure({ classes: ${found.length} }) shows all.`,
    };
  }

  /** The classes with the most mistakes, those beside each other that are confused. */
  #confused(most: number): number[] {
    const sums = new Map<number, number>();
    for (const [label, prediction] of this.indices) {
      if (label === prediction) continue;
      for (const index of [label, prediction]) sums.set(index, (sums.get(index) ?? 0) + 1);
    }
    return this.#ordered(this.#found.sort((a, b) => (sums.get(b) ?? 0) - (sums.get(a) ?? 0)).slice(0, most));
  }

  /** Classes in the order of the leaves of a tree, of clusters by the share of their images that is confused. */
  #ordered(classes: readonly number[]): number[] {
    const totals = classes.map((index) => (this.#pairs.get(index)?.values() ?? [].values()).reduce((a, b) => a + b, 0));
    const between = (a: number, b: number) =>
      (this.#count(classes[a], classes[b]) + this.#count(classes[b], classes[a])) / Math.max(1, totals[a] + totals[b]);
    return leafOrder(classes.length, between).map((place) => classes[place]);
  }
}

/** Each class in a line; of many the weakest first. */
export function classTable(classes: readonly ClassScore[]): Table {
  const labelled = classes.filter(({ images }) => images > 0);
  const ranked = labelled.some(({ averagePrecision }) => averagePrecision !== undefined);
  const many = labelled.length > 20;
  const rows = many ? [...labelled].sort((a, b) => a.recall! - b.recall!) : labelled;
  return {
    kind: "table",
    heading: many ? "Each class, the weakest first" : ranked ? "Each label" : "Each class",
    columns: [
      { title: ranked ? "label" : "class" },
      ...["images", "recall", "95 %", "precision", "F1"].map((title) => ({ title, align: "right" as const })),
      ranked ? { title: "average precision", align: "right" } : { title: "mostly taken for" },
    ],
    rows: rows.map(({ label, images, recall, low, high, precision, f1, takenFor, averagePrecision }) => [
      label,
      images.toLocaleString("en-US"),
      percent(recall),
      `${percent(low)} – ${percent(high)}`,
      percent(precision),
      fixed(f1, 2),
      ranked ? fixed(averagePrecision, 3) : takenFor ?? "",
    ]),
  };
}

function mistakesTable(mistakes: readonly Mistake[]): Table[] {
  if (mistakes.length < 2) return [];
  return [{
    kind: "table",
    heading: "The most frequent mistakes",
    columns: [{ title: "label" }, { title: "taken for" }, { title: "images", align: "right" }, {
      title: "of the class",
      align: "right",
    }],
    rows: mistakes.map(({ label, prediction, images, share }) => [label, prediction, String(images), percent(share)]),
  }];
}
