/**
 * What a model answered for each image of a data set, and whether that was right: from `predict`, `evaluate`, or a table of
 * answers.
 *
 * @module
 */

import { kindOf } from "../../errors.ts";
import type { ClassedImage } from "../../results/class_scores.ts";
import { Evaluation } from "../../results/evaluation.ts";
import { Predictions } from "../../results/predictions.ts";
import type { AnsweredImage } from "../../results/slice_pictures.ts";
import type { LabelledImage } from "../../results/value_scores.ts";

/**
 * Answers as a table, one row an image, with the columns `label` and `prediction`, perhaps `id`, `right`, `rank` and
 * `probability`, and any others: the `table()` of `evaluate`, joined with what else is known of the images.
 */
export type AnswerTable = readonly object[] | { toRecords(): Record<string, unknown>[] };

/** What a model says of many images. */
export type Answered = Predictions | Evaluation | AnswerTable;

/** The rows of a table of answers, each with the id of its image, or its place where there is none; else undefined. */
export function answerRows(given: Answered): (Record<string, unknown> & { id: string })[] | undefined {
  if (given instanceof Predictions || given instanceof Evaluation) return undefined;
  const rows: unknown = Array.isArray(given) ? given : (given as { toRecords?(): unknown } | undefined)?.toRecords?.();
  // An array of results or of data frames is of several models, and no table.
  const isRow = (row: unknown) =>
    typeof row === "object" && row !== null && !Array.isArray(row) && !(row instanceof Evaluation) &&
    typeof (row as { toRecords?: unknown }).toRecords !== "function";
  if (!Array.isArray(rows) || rows.length === 0 || !rows.every(isRow)) return undefined;
  return rows.map((row, i) => ({ ...row, id: typeof row.id === "string" ? row.id : String(i) }));
}

/** Whose answers they are, for titles. */
export function namedOf(given: Answered): string {
  return given instanceof Predictions || given instanceof Evaluation ? given.named : "a table of answers";
}

/** One image's answer. */
export type Answer = AnsweredImage;

function ofEvaluation(asker: string, { rows, kind }: Evaluation): Answer[] {
  if (kind === "classes" || kind === "binary") {
    return (rows as readonly ClassedImage[]).map(({ id, label, prediction, probability, rank, right }) => ({
      id,
      label,
      prediction,
      right,
      amongFive: rank <= 5,
      confidence: probability,
    }));
  }
  if (kind === "labels") {
    return (rows as readonly LabelledImage[]).map(({ id, labels, predictions, right }) => ({
      id,
      label: labels,
      prediction: predictions,
      right,
    }));
  }
  throw new TypeError(
    `${asker} asks which images are right, and of ${kind === "map" ? "maps" : "numbers"} none is simply right or ` +
      `wrong. Its table() holds the error of each image.`,
  );
}

function ofTable(asker: string, rows: readonly (Record<string, unknown> & { id: string })[]): Answer[] {
  return rows.map(({ id, label, prediction, right, rank, probability, confidence = probability }, i) => {
    if (typeof label !== "string" || typeof prediction !== "string") {
      const [name, value] = typeof label === "string" ? ["prediction", prediction] : ["label", label];
      throw new TypeError(
        `${asker} wants the texts label and prediction in each row of a table of answers: row ${i} has ` +
          `${kindOf(value)} in ${name}. The table() of evaluate has both.`,
      );
    }
    return {
      id,
      label,
      prediction,
      right: typeof right === "boolean" ? right : label === prediction,
      ...typeof rank === "number" && { amongFive: rank <= 5 },
      ...typeof confidence === "number" && { confidence },
    };
  });
}

/**
 * The answers of `predict`, `evaluate` or a table.
 *
 * @param asker the function that asks, as `"performanceBy"`
 * @throws {TypeError} if it is neither, or nothing is right or wrong there
 */
export function answersOf(asker: string, predictions: Answered): Answer[] {
  if (predictions instanceof Evaluation) return ofEvaluation(asker, predictions);
  const rows = answerRows(predictions);
  if (rows) return ofTable(asker, rows);
  if (!(predictions instanceof Predictions)) {
    throw new TypeError(
      `${asker} takes what evaluate(model, dataset) or predict(model, dataset) returned, or a table with the columns ` +
        `label and prediction: received ${kindOf(predictions)}.`,
    );
  }
  const answers = [...predictions].flatMap(({ id, label, right, rows: [best, ...others] }): Answer[] => {
    if (id === undefined || label === undefined || right === undefined) return [];
    const amongFive = right || others.slice(0, 4).some((row) => row.label === label);
    const known = others.length >= 4 || amongFive;
    return [{ id, label, prediction: best.label, right, ...known && { amongFive }, confidence: best.probability }];
  });
  if (answers.length > 0) return answers;
  throw new TypeError(
    `${asker} asks which images are right, and of none of these ${predictions.length} predictions that is known: the ` +
      `images need labels that are classes of the model. Give predict or evaluate a data set with labels.`,
  );
}
