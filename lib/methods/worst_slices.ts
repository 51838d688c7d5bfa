/**
 * The parts of a data set on which a model does worse than on the rest, found by themselves.
 *
 * Each part is tested by Fisher's exact test against all other images; the p values are Holm's (1979), for as many parts as
 * were tried. So all parts that are named are real with a probability of 95 %.
 *
 * @module
 */

import { fewerByChance, holm } from "../embed/significance.ts";
import { arrayOf, belowOne, readOptions, whole } from "../options.ts";
import { type SliceRow, WorstSlices } from "../results/worst_slices.ts";
import { type Answered, answersOf, namedOf } from "./shared/answers.ts";
import { attributesById, type AttributesGiven, performanceOf, slicesOf, valuesOf } from "./shared/slices.ts";

/** Options of {@linkcode worstSlices}. */
export class WorstSlicesOptions {
  /**
   * The attributes by which parts are made.
   * @default all that are texts, truth values or numbers, but `id`, `prediction` and `confidence`
   */
  @arrayOf("names of attributes")
  by?: readonly string[];
  /**
   * Into how many parts numbers are cut.
   * @default 5
   */
  @whole(2)
  bins = 5;
  /**
   * Parts of fewer images are not tried.
   * @default 10
   */
  @whole(1)
  least = 10;
  /**
   * The probability that any part is named by chance.
   * @default 0.05
   */
  @belowOne()
  level = 0.05;
}

/** A text that is nearly another for each image, as a path, makes no parts. */
const MOST_VALUES = 200;

/**
 * Looks through all parts that attributes make of the images, and through those of each class, for the ones on which a model
 * is wrong more often than on the rest, more than chance explains.
 *
 * @param predictions what `evaluate(model, dataset)` or `predict(model, dataset)` returned
 * @param attributes of the images, found by their ids: what `imageAttributes` returned, rows with an `id`, or a data frame
 * @returns `rows`, one a part, the least likely by chance first: `{ attribute, value, from, to, n, accuracy, low, high, rest,
 *   p, worse }`; `p` is adjusted, `worse` says whether it is below `level`
 * @throws {TypeError} if the predictions or the attributes are none
 * @throws {RangeError} if there is no such attribute, or an option does not fit
 *
 * @example
 * ```ts
 * import { cifar10, evaluate, imageAttributes, loadModel, worstSlices } from "@convlens/convlens";
 *
 * const data = await cifar10({ split: "test", limit: 500 });
 * const evaluation = await evaluate(await loadModel("cifar-convnet"), data);
 * const slices = worstSlices(evaluation, await imageAttributes(data));
 * console.log(slices.rows.filter(({ worse }) => worse));
 * ```
 */
export function worstSlices(
  predictions: Answered,
  attributes: AttributesGiven,
  options: Partial<WorstSlicesOptions> = {},
): WorstSlices {
  const { by, bins, least, level } = readOptions("worstSlices", WorstSlicesOptions, options);
  const answers = answersOf("worstSlices", predictions);
  const known = attributesById("worstSlices", attributes);
  const columns = new Set(known.values().flatMap((row) => Object.keys(row)));
  const names = by ?? [...new Set(["label", ...columns])].filter((name) => name !== "id");
  const right = answers.filter((answer) => answer.right).length;
  const chance = fewerByChance(answers.length);
  const tried = names.flatMap((attribute) => {
    const values = valuesOf(answers, known, attribute);
    const slices = slicesOf(answers, values, { bins });
    if (!by && slices.length > MOST_VALUES) return [];
    return slices.filter(({ answers: own }) => own.length >= least && own.length < answers.length)
      .map((slice): SliceRow => {
        const row = performanceOf(slice);
        const found = Math.round(row.accuracy * row.n);
        const rest = (right - found) / (answers.length - row.n);
        return { attribute, ...row, rest, p: chance(row.n, right, found), worse: false };
      });
  });
  const adjusted = holm(tried.map(({ p }) => p));
  const rows = tried.map((row, i) => ({ ...row, p: adjusted[i], worse: adjusted[i] < level }));
  rows.sort((a, b) => a.p - b.p || a.accuracy - b.accuracy);
  return new WorstSlices(rows, {
    of: namedOf(predictions),
    images: answers.length,
    accuracy: right / answers.length,
    level,
    attributes: names,
  });
}
