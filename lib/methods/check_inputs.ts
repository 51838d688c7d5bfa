/**
 * Whether images reach a network as those that it was trained on did: pixel range, order of colours, mean and scale.
 *
 * A network does not say how its pixels were prepared, and a wrong way passes in silence: it answers, only worse. But a batch
 * normalisation has stored the mean and variance of each channel in training (Ioffe and Szegedy 2015), which other inputs
 * miss; labels tell more, and so do probabilities that no training reaches.
 *
 * @module
 */

import { type Dataset, isDataset } from "../data/dataset.ts";
import type { ImageLike } from "../data/image.ts";
import { pixelRemark } from "../data/pixels.ts";
import { kindOf } from "../errors.ts";
import type { Candidate } from "../model/candidates.ts";
import type { ImageView } from "../model/inputs.ts";
import { checkModel, checkReady, type Model } from "../model/model.ts";
import { judge, scaledTwice, written } from "../model/preflight.ts";
import { readOptions, rule, WalkOptions, whole } from "../options.ts";
import { type Known, type TruthOf, TruthReader } from "../probe/truth.ts";
import { InputCheck, type InputFinding } from "../results/input_check.ts";
import { withProgress } from "../results/progress.ts";
import { type ImagesLike, ImagesReader } from "./shared/images.ts";
import { unitFindings } from "./shared/limits.ts";
import { tryPreprocessings } from "./shared/preprocessing_trials.ts";

/** The options of `checkInputs`. */
export class CheckInputsOptions extends WalkOptions {
  /**
   * How many images are looked at, at most: the first ones. Labels tell from some twenty on.
   * @default 32
   */
  @whole(1)
  images = 32;
  /**
   * Where it stands what an image shows, as for `evaluate`.
   * @default the column `label`, where all labels are the model's; else none
   */
  @rule((name, value) => {
    if (typeof value === "string" || typeof value === "function") return;
    throw new TypeError(
      `${name} must be a column's name or a function of { id, label, … }: received ${kindOf(value)}.`,
    );
  })
  truth?: TruthOf;
  /**
   * How many images run at once, at most.
   * @default 16
   */
  override batchSize = 16;
}

/** The classes that are right for each image; null where that is not known. */
function truthOf(model: Model, images: ImagesLike, views: readonly ImageView[], of?: TruthOf): number[][] | null {
  const { kind, labels } = model.output;
  if (!isDataset(images) || (kind !== "classes" && kind !== "binary")) return null;
  // A model without labels takes those of the data set, if they are as many.
  const names = !model.labels && images.labels?.length === labels.length ? images.labels : labels;
  if (
    of === undefined &&
    ![...images.labels ?? [], ...views.map(({ label }) => label)].every((label) => names.includes(label!))
  ) return null;
  const reader = new TruthReader(model, images as Dataset, of);
  return views.map(({ known }) => reader.classesOf(known as Known));
}

/** What is unusual about the images themselves. */
function pixelFindings(views: readonly ImageView[]): InputFinding[] {
  const odd = views.flatMap(({ view, id }) => pixelRemark(view) ? [{ id, remark: pixelRemark(view) }] : []);
  if (odd.length === 0) return [];
  const [{ id, remark }] = odd;
  return [{
    about: "pixels",
    sure: true,
    text: `${odd.length} of ${views.length} images, as ${JSON.stringify(id)}: ${remark}`,
  }];
}

/** Whether the images tell the order of colours: those that are bluer than red may be of the sea, or swapped themselves. */
function tellsOrder(views: readonly ImageView[]): boolean {
  const sums = [0, 0, 0];
  for (const { view: { data, shape } } of views) {
    if (shape.at(-1) !== 3) return false;
    for (let i = 0; i < data.length; i += 3) for (let c = 0; c < 3; c++) sums[c] += data[i + c];
  }
  return sums[0] > sums[2];
}

/**
 * Checks how images reach a model before anything is read into its answers: pixel range, RGB or BGR, mean and scale, a
 * softmax applied twice, pixels scaled twice, units that are silent or saturated.
 *
 * Some dozen preprocessings are tried on the same pixels: `"caffe"`, `"torch"`, `"tf"`, `"unit"`, `"none"` and more, colours in
 * both orders; of grey pictures also inverted ones. For each, what the first batch normalisation reads is held against the
 * means and variances that it has stored; where there are labels, the answers are counted; where there is neither, only
 * probabilities that no training reaches speak. What cannot be told is left open: the order of the colours often is. It costs
 * about as many passes as there are candidates that fit; without a batch normalisation, a dozen.
 *
 * Nothing is changed: `loadModel(model, { preprocess: check.suggested })` makes a model that reads its pixels otherwise.
 *
 * @param model what to check
 * @param images an image, an array of images, or a data set; some ten of the kind that it was trained on are enough
 * @returns `rows`, one a preprocessing: `{ preprocess, current, fits, misfit, accuracy, confidence, gap }`; `verdict`:
 *   `"right"`, `"wrong"` or `"unknown"`; `suggested`, what to use instead, or null; `findings`: `{ about, sure, text }`
 * @throws {TypeError} if the model does not read images
 * @throws {RangeError} if there is no image, or a label is none of the model's
 *
 * @example
 * ```ts
 * import { checkInputs, loadModel, photo } from "@convlens/convlens";
 *
 * const model = await loadModel("resnet50", { preprocess: "unit" }); // wrong: it was trained on BGR minus the means
 * const check = await checkInputs(model, [await photo("dog"), await photo("tabby")]);
 * console.log(check.verdict, check.findings[0].text);
 * const better = await loadModel(model, { preprocess: check.suggested! });
 * ```
 */
export async function checkInputs(
  model: Model,
  images: ImageLike | readonly ImageLike[] | Dataset,
  options: Partial<CheckInputsOptions> = {},
): Promise<InputCheck> {
  checkModel("checkInputs", model);
  const { images: limit, truth: of, onProgress, ...run } = readOptions("checkInputs", CheckInputsOptions, options);
  await checkReady("checkInputs", model);
  const several = isDataset(images) || Array.isArray(images) ? images : [images as ImageLike];
  const reader = new ImagesReader("checkInputs", model, several, { ...run, limit });
  return await withProgress(
    `Checking the inputs of ${model.name}`,
    reader.size,
    async (update) => {
      const views: ImageView[] = [];
      for await (const view of reader) views.push(view) && update(views.length / 4);
      const inputs = views.map(({ view }) => model.input(view));
      const trials = await tryPreprocessings(model, inputs, truthOf(model, several, views, of), {
        ...run,
        onTried: (share) => update(views.length * (0.25 + 0.75 * share)),
      });
      const { candidates, evidence, stored } = trials;
      const { verdict, fits, reason } = judge(evidence, stored?.layer ?? "", tellsOrder(views));
      const wrong = verdict === "wrong";
      const findings: InputFinding[] = [
        ...wrong ? [{ about: "preprocessing" as const, sure: true, text: advice(candidates[0], fits, reason) }] : [],
        ...verdict === "unknown" && reason ? [{ about: "preprocessing" as const, sure: false, text: reason }] : [],
        ...pixelFindings(views),
        ...await scaledTwice(model, verdict === "right"),
        ...trials.twice.findings(),
        ...await unitFindings(model, inputs, run),
      ];
      const share = (right: readonly boolean[] | null) => right && right.filter(Boolean).length / right.length;
      return new InputCheck(
        evidence.map(({ candidate, misfit, right, gap }, i) => ({
          preprocess: candidate.words,
          current: i === 0,
          fits: fits.includes(candidate),
          misfit,
          accuracy: share(right),
          confidence: trials.confidence[i],
          gap,
        })),
        findings,
        { verdict, suggested: wrong ? fits[0].how : null },
        {
          model: model.name,
          dataset: reader.name,
          images: views.length,
          skipped: reader.skipped,
          layer: stored?.layer ?? null,
          channels: (wrong ? [candidates[0], fits[0]] : [candidates[0]]).flatMap(trials.channelsOf),
        },
      );
    },
    onProgress,
    reader,
  );
}

/** What is wrong with a preprocessing, and what to do. */
function advice(current: Candidate, fits: readonly Candidate[], reason: string): string {
  const others = fits.slice(1).filter(({ how }) => how !== current.how).map(({ words }) => words);
  const alike = others.length ? ` ${others.join("; ")} fit${others.length === 1 ? "s" : ""} about as well.` : "";
  return `The preprocessing in use, ${current.words}, is not what the network was trained with. ${reason}${alike} ` +
    `Load the model with preprocess: ${written(fits[0])}.`;
}
