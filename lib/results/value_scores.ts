/**
 * How well a model does whose outputs are no classes: independent labels, each right or wrong for itself, and numbers,
 * with the sizes of their errors.
 *
 * @module
 */

import { type NdArray, ndarray } from "../array.ts";
import { wilson } from "../embed/logistic.ts";
import type { Chart } from "../figure/blocks.ts";
import { brief, percent } from "../format.ts";
import { type ClassScore, classTable, type Measure, type ScoreBlocks, scoreOf } from "./class_scores.ts";

/** What a model says of images whose numbers are known. */
export interface KnownValues {
  readonly ids: readonly string[];
  /** The name of each output. */
  readonly labels: readonly string[];
  /** What is true of each image, one number an output, image by image; of independent labels 1 or 0. */
  readonly actual: readonly number[];
  /** What the model puts out, likewise; of independent labels probabilities. */
  readonly predicted: readonly number[];
}

/** The numbers of one output among those of `outputs`. */
const columnOf = (values: readonly number[], output: number, outputs: number): Float64Array =>
  Float64Array.from({ length: values.length / outputs }, (_, image) => values[image * outputs + output]);

const meanOf = (values: ArrayLike<number>) =>
  Array.prototype.reduce.call(values, (sum, value) => sum + value, 0) as number /
  values.length;

/** What a model says of one image with several labels. */
export interface LabelledImage {
  /** The image's id in the data set. */
  id: string;
  /** The labels that it has, separated by commas. */
  labels: string;
  /** The labels that are predicted. */
  predictions: string;
  /** How many of the labels are wrong: missed, or not there. */
  wrong: number;
  /** Whether none is. */
  right: boolean;
}

/**
 * The mean of the precision at each of the things that are to be found, from the most certain on: the area under the
 * steps of precision by recall. Null where there is nothing to find.
 */
export function averagePrecision(certainty: ArrayLike<number>, actual: ArrayLike<number>): number | null {
  const order = Array.from(certainty, (_, i) => i).sort((a, b) => certainty[b] - certainty[a]);
  const all = order.filter((i) => actual[i]).length;
  if (all === 0) return null;
  let [found, sum] = [0, 0];
  for (let at = 0; at < order.length;) {
    // Equal ones are found together.
    let end = at;
    let more = 0;
    while (end < order.length && certainty[order[end]] === certainty[order[at]]) more += actual[order[end++]] ? 1 : 0;
    found += more;
    sum += more * found / end;
    at = end;
  }
  return sum / all;
}

/** Independent labels: each is right or wrong for itself. */
export class LabelScores {
  readonly #known: KnownValues;

  /** @param threshold the probability from which on a label counts as predicted */
  constructor(known: KnownValues, readonly threshold: number) {
    this.#known = known;
  }

  get rows(): LabelledImage[] {
    const { ids, labels, actual, predicted } = this.#known;
    return ids.map((id, image) => {
      const at = image * labels.length;
      const has = labels.filter((_, i) => actual[at + i]);
      const said = labels.filter((_, i) => predicted[at + i] >= this.threshold);
      const wrong = labels.filter((label) => has.includes(label) !== said.includes(label)).length;
      return { id, labels: has.join(", "), predictions: said.join(", "), wrong, right: wrong === 0 };
    });
  }

  /** Of each label how many images without it are predicted without it, with it; with it without it, with it: `[labels, 2, 2]`. */
  get confusion(): NdArray {
    const { labels, actual, predicted } = this.#known;
    const data = new Float32Array(labels.length * 4);
    actual.forEach((has, i) => {
      data[(i % labels.length) * 4 + 2 * (has ? 1 : 0) + (predicted[i] >= this.threshold ? 1 : 0)]++;
    });
    return ndarray(data, [labels.length, 2, 2]);
  }

  get classes(): ClassScore[] {
    const { labels, actual, predicted } = this.#known;
    const { data } = this.confusion;
    return labels.map((label, i) => {
      const [, wrongly, missed, right] = data.subarray(4 * i, 4 * i + 4);
      return {
        ...scoreOf(label, missed + right, wrongly + right, right),
        averagePrecision: averagePrecision(columnOf(predicted, i, labels.length), columnOf(actual, i, labels.length)),
      };
    });
  }

  /** The mean cross-entropy of all labels, in nats. */
  get loss(): number {
    const { actual, predicted } = this.#known;
    return meanOf(predicted.map((p, i) => -Math.log(Math.max(1e-7, actual[i] ? p : 1 - p))));
  }

  get measures(): Measure[] {
    const { rows } = this;
    const whole = rows.filter(({ right }) => right).length;
    const [low, high] = wilson(whole, rows.length);
    const single = rows.length * this.#known.labels.length;
    const wrong = rows.reduce((sum, row) => sum + row.wrong, 0);
    const precisions = this.classes.flatMap(({ averagePrecision }) => averagePrecision ?? []);
    return [
      { measure: "all labels of an image right", value: whole / rows.length, low, high },
      { measure: "single labels right", value: 1 - wrong / single },
      ...precisions.length ? [{ measure: "mean average precision", value: meanOf(precisions) }] : [],
      { measure: "cross-entropy", value: this.loss },
    ];
  }

  blocks(): ScoreBlocks {
    return {
      beside: [],
      blocks: [classTable(this.classes)],
      caption:
        `Labels are independent: one counts as predicted from a probability of ${percent(this.threshold, 0)} on. ` +
        `Never predicting any would get ${percent(1 - meanOf(this.#known.actual))} of the single labels right.`,
    };
  }
}

/** What a model says of one number of an image. */
export interface NumberedImage {
  /** The image's id in the data set. */
  id: string;
  /** The output's name. */
  output: string;
  /** The number that is true. */
  actual: number;
  /** The number that is predicted. */
  predicted: number;
  /** The predicted number less the true one. */
  error: number;
}

/** The sizes of the errors of one output. */
export interface OutputScore {
  /** The output's name. */
  output: string;
  /** How many images its number is known of. */
  images: number;
  /** Mean of the errors' magnitudes, in the output's own unit. */
  meanAbsoluteError: number;
  /** The lower end of its interval of 95 %, by its standard error; NaN of a single image. */
  low: number;
  /** Its upper end. */
  high: number;
  /** The root of the mean of the squared errors. */
  rootMeanSquareError: number;
  /** The mean error: above 0 where too much is predicted. */
  bias: number;
  /** R², the share of the variance that is explained: 1 without errors, 0 for always naming the mean; NaN where all numbers are alike. */
  explained: number;
  /** The mean of the errors' magnitudes of always naming the median. */
  meanAbsoluteErrorOfMedian: number;
}

/** At most so many points of a chart. */
const MOST_POINTS = 2000;

/** Numbers, as of a regression. */
export class NumberScores {
  readonly #known: KnownValues;

  constructor(known: KnownValues) {
    this.#known = known;
  }

  get rows(): NumberedImage[] {
    const { ids, labels, actual, predicted } = this.#known;
    return Array.from(actual, (value, i) => ({
      id: ids[Math.floor(i / labels.length)],
      output: labels[i % labels.length],
      actual: value,
      predicted: predicted[i],
      error: predicted[i] - value,
    }));
  }

  get outputs(): OutputScore[] {
    const { labels, actual, predicted } = this.#known;
    return labels.map((output, i) => {
      const own = columnOf(actual, i, labels.length);
      const errors = columnOf(predicted, i, labels.length).map((value, at) => value - own[at]);
      const sizes = errors.map(Math.abs);
      const meanAbsoluteError = meanOf(sizes);
      const deviation = Math.sqrt(
        sizes.reduce((sum, size) => sum + (size - meanAbsoluteError) ** 2, 0) / (sizes.length - 1),
      );
      const half = 1.959964 * deviation / Math.sqrt(sizes.length);
      const middle = own.toSorted()[Math.floor(own.length / 2)];
      const mean = meanOf(own);
      const squares = meanOf(errors.map((error) => error ** 2));
      const variance = meanOf(own.map((value) => (value - mean) ** 2));
      return {
        output,
        images: own.length,
        meanAbsoluteError,
        low: Math.max(0, meanAbsoluteError - half),
        high: meanAbsoluteError + half,
        rootMeanSquareError: Math.sqrt(squares),
        bias: meanOf(errors),
        explained: variance > 0 ? 1 - squares / variance : NaN,
        meanAbsoluteErrorOfMedian: meanOf(own.map((value) => Math.abs(value - middle))),
      };
    });
  }

  get measures(): Measure[] {
    const { outputs } = this;
    const of = (output: string) => outputs.length > 1 ? ` of ${output}` : "";
    return outputs.flatMap(({ output, meanAbsoluteError: value, low, high, rootMeanSquareError, bias, explained }) => [
      { measure: `mean absolute error${of(output)}`, value, low, high },
      { measure: `root mean square error${of(output)}`, value: rootMeanSquareError },
      { measure: `mean error${of(output)} (bias)`, value: bias },
      { measure: `variance explained${of(output)} (R²)`, value: explained },
    ]);
  }

  blocks(): ScoreBlocks {
    const { outputs } = this;
    const same = outputs.map(({ output, meanAbsoluteErrorOfMedian: error }) =>
      `${outputs.length > 1 ? `${output} ` : ""}${brief(error)}`
    );
    return {
      beside: [],
      blocks: [{ kind: "row", blocks: outputs.slice(0, 6).map((_, i) => this.#chart(i)) }],
      caption:
        `The outputs are numbers, no probabilities: what counts is how large the errors are, in the outputs' own units. ` +
        `Always naming the median would err by ${same.join(", ")} on average.`,
    };
  }

  #chart(output: number): Chart {
    const { labels, actual, predicted } = this.#known;
    const [own, found] = [columnOf(actual, output, labels.length), columnOf(predicted, output, labels.length)];
    const step = Math.ceil(own.length / MOST_POINTS);
    const every = (values: Float64Array) => [...values].filter((_, i) => i % step === 0);
    const [low, high] = [...own, ...found].reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [
      Infinity,
      -Infinity,
    ]);
    return {
      kind: "chart",
      heading: labels.length > 1 ? labels[output] : undefined,
      note: step > 1 ? `Every ${step}th of the ${own.length} images.` : undefined,
      series: [
        { label: "images", x: every(own), y: every(found), as: "points" },
        { label: "no error", x: [low, high], y: [low, high], dashed: true },
      ],
      x: { title: "true" },
      y: { title: "predicted" },
      alt: `What is predicted against what is true, of ${own.length} images`,
    };
  }
}
