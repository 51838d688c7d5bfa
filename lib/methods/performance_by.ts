/**
 * How often a model is right, by an attribute of the images: a measured one, one of the user's, or its own confidence.
 *
 * Russakovsky et al., "ImageNet Large Scale Visual Recognition Challenge" (2015), §6.2 and §6.3.
 * Calibration: Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks" (2017), §2.
 *
 * @module
 */

import { arrayOf, readOptions, rule, whole } from "../options.ts";
import { Performance } from "../results/performance.ts";
import type { PerformanceComparison } from "../results/performance_comparison.ts";
import { Predictions } from "../results/predictions.ts";
import { compareBy } from "./shared/answered_twice.ts";
import { type Answered, answerRows, answersOf, namedOf } from "./shared/answers.ts";
import { attributesById, type AttributesGiven, performanceOf, slicesOf, valuesOf } from "./shared/slices.ts";

/** Options of {@linkcode performanceBy}. */
export class PerformanceByOptions {
  /**
   * The attributes of the images, found by their ids: what `imageAttributes` returned, rows as `[{ id: "a.jpg", scale: 0.2 }]`,
   * or a Polars data frame with a column `id`.
   * @default what the predictions hold: `label`, `prediction` and `confidence`
   */
  @rule(() => {})
  attributes?: AttributesGiven;
  /**
   * Into how many parts numbers are cut, each with nearly as many images; fewer where many are equal.
   * @default 5
   */
  @whole(2)
  bins?: number;
  /**
   * Where numbers are cut instead, rising: `[0, 0.1, 1]` makes two parts, and leaves out what lies beyond.
   * @default by `bins`; of confidence ten parts from 0 to 1
   */
  @arrayOf("numbers that rise")
  edges?: readonly number[];
}

/** @throws {RangeError} if they are not two */
function isPair(
  predictions: Answered | readonly [a: Answered, b: Answered],
): predictions is readonly [a: Answered, b: Answered] {
  if (!Array.isArray(predictions) || predictions instanceof Predictions) return false;
  if (answerRows(predictions as Answered)) return false;
  const { length } = predictions as readonly unknown[];
  if (length === 2) return true;
  throw new RangeError(`performanceBy compares two models, [a, b]: received an array of ${length}.`);
}

const TENTHS = Array.from({ length: 11 }, (_, i) => i / 10);

/** @throws {RangeError} if they do not rise, or make no part */
function checkEdges(edges: readonly number[] | undefined): void {
  if (!edges || (edges.length > 1 && edges.every((edge, i) => Number.isFinite(edge) && !(edge <= edges[i - 1])))) {
    return;
  }
  throw new RangeError(
    `edges must be at least two finite numbers that rise, as [0, 0.5, 1]: received [${edges.join(", ")}].`,
  );
}

/** Compares two models on the same images. */
export function performanceBy(
  predictions: readonly [a: Answered, b: Answered],
  attribute: string,
  options?: Partial<PerformanceByOptions>,
): PerformanceComparison;
/**
 * Cuts a data set's images by an attribute, and says of each part how often the model is right, with an interval; of two
 * models on the same images, both side by side, and whether they differ.
 *
 * Each text or truth value of the attribute is a part by itself; numbers are cut into parts of nearly the same size.
 * `"label"` gives the classes, the worst first; `"confidence"` the reliability diagram, and the expected calibration error.
 * `await result.withImages(dataset)` makes the bars ones to click at: each shows its images, right and wrong apart.
 *
 * @param predictions what `evaluate(model, dataset)` or `predict(model, dataset)` returned; or a table of answers, as
 *   `evaluation.table()` joined in Polars with what else is known of the images: a data frame, or rows `{ label, prediction,
 *   … }`; or `[a, b]`, of two models
 * @param attribute the attribute's name: a column of `attributes` (of the table, where it is one), or `"label"`,
 *   `"prediction"`, `"confidence"`
 * @returns `rows`, one a value: `{ value, from, to, n, accuracy, low, high, top5, confidence, calibrationError }`; `overall`,
 *   the same of all images; in a cell, a chart with intervals of 95 % (Wilson). Of two models `{ value, from, to, n, a, b,
 *   difference, low, high, onlyA, onlyB, p }`: the paired difference with its interval (bootstrap), and McNemar's test
 * @throws {TypeError} if the predictions are none, or nothing is right or wrong there
 * @throws {RangeError} if there is no such attribute (the nearest is named), none of the images has attributes, `edges` do
 *   not rise, or two models were asked about different images
 *
 * @example
 * ```ts
 * import { cifar10, evaluate, imageAttributes, loadModel, performanceBy } from "@convlens/convlens";
 *
 * const data = await cifar10({ split: "test", limit: 500 });
 * const evaluation = await evaluate(await loadModel("cifar-convnet"), data);
 * const attributes = await imageAttributes(data);
 * const byContrast = performanceBy(evaluation, "contrast", { attributes });
 * console.log(byContrast.rows);
 * ```
 */
export function performanceBy(
  predictions: Answered,
  attribute: string,
  options?: Partial<PerformanceByOptions>,
): Performance;
export function performanceBy(
  predictions: Answered | readonly [a: Answered, b: Answered],
  attribute: string,
  options: Partial<PerformanceByOptions> = {},
): Performance | PerformanceComparison {
  const { attributes, bins, edges } = readOptions("performanceBy", PerformanceByOptions, options);
  checkEdges(edges);
  if (isPair(predictions)) {
    const [a, b] = predictions.map((one) => answersOf("performanceBy", one));
    const of = [namedOf(predictions[0]), namedOf(predictions[1])] as const;
    const known = attributesById("performanceBy", attributes ?? answerRows(predictions[0]));
    return compareBy({ answers: [a, b], of, attributes: known, attribute, bins: bins ?? 5, edges });
  }
  const answers = answersOf("performanceBy", predictions);
  const known = attributes ?? answerRows(predictions);
  const values = valuesOf(answers, attributesById("performanceBy", known), attribute);
  const tenths = attribute === "confidence" && bins === undefined ? TENTHS : undefined;
  const slices = slicesOf(answers, values, { bins: bins ?? 5, edges: edges ?? tenths });
  const parts = slices.map((slice) => ({ row: performanceOf(slice), images: slice.answers }));
  const numeric = parts.every(({ row: { value } }) => typeof value === "number");
  if (!numeric) parts.sort((a, b) => a.row.accuracy - b.row.accuracy);
  return new Performance({
    attribute,
    rows: parts.map(({ row }) => row),
    images: parts.map(({ images }) => images),
    overall: performanceOf({ value: "all", answers: slices.flatMap((slice) => slice.answers) }),
    missing: values.filter((value) => value === undefined || value === null).length,
    of: namedOf(predictions),
  });
}
