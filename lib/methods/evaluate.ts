/**
 * How well a model does on images of which it is known what they show.
 *
 * The intervals of shares are Wilson's (1927, "Probable inference, the law of succession, and statistical inference"), as
 * Brown, Cai and DasGupta (2001) recommend them: they hold their 95 % also of few images and near 0 and 1.
 *
 * @module
 */

import type { Dataset } from "../data/dataset.ts";
import { brief } from "../format.ts";
import { type ImageView, InputReader } from "../model/inputs.ts";
import { checkModel, checkReady, type Model } from "../model/model.ts";
import { readOptions, WalkOptions, whole, within } from "../options.ts";
import { item } from "../probe/forward.ts";
import { type ClassedImage, ClassScores } from "../results/class_scores.ts";
import { certain, Evaluation } from "../results/evaluation.ts";
import { withProgress } from "../results/progress.ts";
import { LabelScores, NumberScores } from "../results/value_scores.ts";
import { forwardEach } from "../scan/forward_all.ts";
import { type Known, type TruthOf, truthOf, TruthReader } from "../probe/truth.ts";
import { mapJudge } from "./shared/map_judge.ts";
import { type Judge, Worst } from "./shared/judge.ts";

/** The options of `evaluate`. */
export class EvaluateOptions extends WalkOptions {
  /**
   * Where it stands what an image shows: the name of a column, or a function of the row `{ id, label, …columns }`. Of classes
   * it is a label of the model or its index, or an array of several of which each would be right (the likeliest of them counts
   * as the image's own); of independent labels an array of these, or of as many booleans as there are
   * labels; of numbers the number, or an array of one for each output; of maps a map
   * `{ data, shape: [h, w] }` of classes' indices, `[h, w, c]` of numbers or of labels' 1 and 0, or a grey picture of indices, or
   * its path. A mask of another size is taken at the middles of the map's cells; NaN, and 255 of bytes, is not known.
   * @default of classes the column `label`; of independent labels `labels`, else `label`; of numbers `values`, else `value`,
   *   else the columns named as the outputs, else `label` as a number; of maps `mask`, else `map`
   */
  @truthOf
  truth?: TruthOf;
  /**
   * Of independent labels: the probability from which on a label counts as predicted.
   * @default 0.5
   */
  @within(0, 1)
  threshold = 0.5;
  /**
   * How many of the worst errors are kept with their pictures.
   * @default 24
   */
  @whole(0)
  worst = 24;
  /**
   * How many images run at once, at most.
   * @default 16
   */
  override batchSize = 16;
}

const costOf = (probability: number) => -Math.log(Math.max(1e-7, probability));

function classJudge(truth: TruthReader, most: number): Judge<number[]> {
  const rows: ClassedImage[] = [];
  const indices: [number, number][] = [];
  const { labels } = truth;
  const worst = new Worst(most);
  return {
    worst: [worst],
    read: (row) => truth.classesOf(row),
    judge(values, right, image) {
      const own = right.reduce((best, index) => values[index] > values[best] ? index : best);
      let [best, rank] = [0, 1];
      values.forEach((value, i) => {
        if (value > values[best]) best = i;
        if (value > values[own] || (value === values[own] && i < own)) rank++;
      });
      const [probability, labelProbability] = [values[best], values[own]];
      const [label, prediction] = [labels[own], labels[best]];
      rows.push({ id: image.id, label, prediction, probability, labelProbability, rank, right: rank === 1 });
      indices.push([own, best]);
      if (rank === 1) return;
      worst.add({ actual: label, predicted: certain(prediction, probability), cost: costOf(labelProbability) }, image);
    },
    scores: () => new ClassScores(rows, indices, labels),
  };
}

function valueJudge(truth: TruthReader, kind: string, { worst: most, threshold }: EvaluateOptions): Judge<number[]> {
  const ids: string[] = [];
  const [actual, predicted]: number[][] = [[], []];
  const { labels } = truth;
  const isNumbers = kind === "numbers";
  // The errors of several numbers cannot be compared: each output has its own.
  const worst = Array.from(
    { length: isNumbers ? labels.length : 1 },
    (_, i, all = isNumbers ? labels.length : 1) => new Worst(Math.floor(most / all) + (i < most % all ? 1 : 0)),
  );
  return {
    worst,
    read: (row) => truth.valuesOf(row),
    judge(values, own, image) {
      ids.push(image.id);
      actual.push(...own);
      predicted.push(...values);
      if (isNumbers) {
        own.forEach((value, i) => {
          const about = labels.length > 1 ? { output: labels[i] } : {};
          const words = (number: number) => `${labels.length > 1 ? `${labels[i]} ` : ""}${brief(number, 4)}`;
          const cost = Math.abs(values[i] - value);
          if (cost > 0) worst[i].add({ actual: words(value), predicted: words(values[i]), cost, ...about }, image);
        });
        return;
      }
      const said = labels.flatMap((label, i) => values[i] >= threshold ? [certain(label, values[i])] : []);
      if (own.every((has, i) => Boolean(has) === values[i] >= threshold)) return;
      const cost = own.reduce((sum, has, i) => sum + costOf(has ? values[i] : 1 - values[i]), 0) / own.length;
      const has = labels.filter((_, i) => own[i]);
      worst[0].add({ actual: has.join(", ") || "none", predicted: said.join(", ") || "none", cost }, image);
    },
    scores() {
      const known = { ids, labels, actual, predicted };
      return isNumbers ? new NumberScores(known) : new LabelScores(known, threshold);
    },
  };
}

/**
 * Runs a data set through a model and says how well it does: top-1 and top-5 with intervals of 95 %, the confusion matrix,
 * recall and precision of each class, and the worst errors as pictures. Of independent labels it counts each label by
 * itself; of a regression it gives the sizes of the errors; of maps the share of the places that is right and the mean
 * intersection over union, or the errors of the places.
 *
 * Use images that the model was not trained on: of those that it was, it may know the answers by heart.
 *
 * @param model the model; nothing on it changes
 * @param dataset images of which it is known what they show; they are read one batch at a time
 * @returns `{ top1, top5, loss, confusion, classes, mistakes, measures, worst, rows }`; of numbers `outputs` instead, of maps `meanIoU`
 * @throws {TypeError} if nothing is known of an image
 * @throws {RangeError} if a label is none of the model's, a number does not fit its outputs, or an option does not fit
 *
 * @example
 * ```ts
 * import { cifar10, dataset, evaluate, loadModel, photo } from "@convlens/convlens";
 *
 * const model = await loadModel("cifar-convnet");
 * const result = await evaluate(model, await cifar10({ split: "test", limit: 500 }));
 * console.log(result.top1, result.top5, result.mistakes[0]);
 *
 * // A model that knows the breeds, and photos that are labelled as cats and dogs.
 * const breeds: Record<string, string[]> = { cat: ["tabby", "tiger cat"], dog: ["pug", "French bulldog"] };
 * const pets = dataset([{ image: await photo("tabby"), label: "cat" }, { image: await photo("dog"), label: "dog" }]);
 * await evaluate(await loadModel("resnet50"), pets, { truth: ({ label }) => breeds[label!] });
 * ```
 */
export async function evaluate(
  model: Model,
  dataset: Dataset,
  options: Partial<EvaluateOptions> = {},
): Promise<Evaluation> {
  checkModel("evaluate", model);
  const given = readOptions("evaluate", EvaluateOptions, options);
  const { batchSize, signal, onProgress, onBadImage } = given;
  const reader = new InputReader("evaluate", model, dataset, { onBadImage, signal });
  await checkReady("evaluate", model);
  const { output } = model;
  const truth = new TruthReader(model, dataset, given.truth);
  const isClasses = output.kind === "classes" || output.kind === "binary";
  const judge: Judge = output.kind === "map"
    ? mapJudge(model, truth, given.worst)
    : isClasses
    ? classJudge(truth, given.worst)
    : valueJudge(truth, output.kind, given);
  const waiting: { image: ImageView; own: unknown }[] = [];
  const read = (image: ImageView) => {
    const own = judge.read(image.known as Known, image);
    // It is waited for with the image's batch.
    if (own instanceof Promise) own.catch(() => {});
    waiting.push({ image, own });
  };
  await withProgress(
    `Evaluating ${model.name}`,
    reader.size,
    (update) =>
      forwardEach(model, reader.inputs(read), [output.index], async ([outputs]) => {
        for (const [i, { image, own }] of waiting.splice(0, outputs.shape[0]).entries()) {
          judge.judge(output.finiteValues(item(outputs, i).data, image.id), await own, image);
        }
      }, { batchSize, signal, onProgress: update }),
    onProgress,
    reader,
  );
  const names = {
    model: model.name,
    dataset: dataset.name,
    kind: output.kind,
    each: output.each,
    activation: output.reading + output.which,
  };
  return new Evaluation(judge.scores(), { ...names, note: truth.note }, {
    images: reader.size - reader.skipped.length,
    worst: judge.worst.flatMap(({ kept }) => kept),
    skipped: reader.skipped,
  });
}
