/**
 * What a model answered for each image of a data set, and whether that was right: from `predict` or `evaluate`.
 *
 * @module
 */

import { kindOf } from "../../errors.ts";
import type { ClassedImage } from "../../results/class_scores.ts";
import { Evaluation } from "../../results/evaluation.ts";
import { Predictions } from "../../results/predictions.ts";
import type { AnsweredImage } from "../../results/slice_pictures.ts";
import type { LabelledImage } from "../../results/value_scores.ts";

/** What a model says of many images. */
export type Answered = Predictions | Evaluation;

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

/**
 * The answers of `predict` or `evaluate`.
 *
 * @param asker the function that asks, as `"performanceBy"`
 * @throws {TypeError} if it is neither, or nothing is right or wrong there
 */
export function answersOf(asker: string, predictions: Answered): Answer[] {
  if (predictions instanceof Evaluation) return ofEvaluation(asker, predictions);
  if (!(predictions instanceof Predictions)) {
    throw new TypeError(
      `${asker} takes what evaluate(model, dataset) or predict(model, dataset) returned: received ` +
        `${kindOf(predictions)}.`,
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
