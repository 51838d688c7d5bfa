/**
 * Whether images reach a network as those that it was trained on did: pixel range, order of colours, mean and scale.
 *
 * A network does not say how its pixels were prepared, and a wrong way passes in silence: it answers, only worse. But a batch
 * normalisation has stored the mean and variance of each channel in training (Ioffe and Szegedy 2015), which other inputs
 * miss; labels tell more, and so do probabilities that no training reaches.
 *
 * @module
 */

import type { NdArrayLike } from "../array.ts";
import { type Dataset, isDataset } from "../data/dataset.ts";
import type { ImageLike } from "../data/image.ts";
import { pixelRemark } from "../data/pixels.ts";
import { kindOf } from "../errors.ts";
import { briefPercent } from "../format.ts";
import { type Candidate, candidatesFor, prepared } from "../model/candidates.ts";
import type { ImageView } from "../model/inputs.ts";
import { checkModel, checkReady, type Model } from "../model/model.ts";
import {
  type Evidence,
  judge,
  momentsToCheck,
  outputsTwice,
  scaledTwice,
  weighMoments,
  written,
} from "../model/preflight.ts";
import { readOptions, rule, WalkOptions, whole } from "../options.ts";
import { item } from "../probe/forward.ts";
import { InputCheck, type InputFinding, type SeenChannels } from "../results/input_check.ts";
import { withProgress } from "../results/progress.ts";
import { forwardAll } from "../scan/forward_all.ts";
import { type ImagesLike, ImagesReader } from "./shared/images.ts";
import { type Known, type TruthOf, TruthReader } from "../probe/truth.ts";
import { limitsOf, watched } from "./shared/limits.ts";

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

/** What a pass of all images says of a preprocessing. */
interface Answers {
  right: boolean[] | null;
  confidence: number;
  gap: number;
}

const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1];
/** The smallest number that is told from 0. */
const LEAST = 1e-45;

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

/** What the model answers to inputs, and whether that is right. */
function answersTo(model: Model, outputs: NdArrayLike, truth: number[][] | null): Answers {
  const { output } = model;
  const right: boolean[] = [];
  const [tops, gaps]: number[][] = [[], []];
  for (let i = 0; i < outputs.shape[0]; i++) {
    const values = output.values(item(outputs, i).data);
    if (truth) right.push(truth[i].includes(output.predicted(values)));
    const [first, second] = Array.from(values).sort((a, b) => b - a);
    tops.push(first);
    gaps.push(Math.log(first) - Math.log(Math.max(second, LEAST)));
  }
  return {
    right: truth && right,
    confidence: tops.reduce((sum, top) => sum + top, 0) / tops.length,
    gap: median(gaps),
  };
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

/** Layers most of whose units are silent, or at an end of their range, whatever the image. */
async function unitFindings(
  model: Model,
  inputs: readonly NdArrayLike[],
  run: { batchSize: number; signal?: AbortSignal },
): Promise<InputFinding[]> {
  if (inputs.length < 4) return [];
  const layers = watched(model);
  if (layers.length === 0) return [];
  const rows = await limitsOf(model, layers, inputs, run);
  const most = (what: "dead" | "full") => rows.filter((row) => row[what] > 0.5).sort((a, b) => b[what] - a[what]);
  const text = (found: typeof rows, what: "dead" | "full", is: string): InputFinding[] =>
    found.length === 0 ? [] : [{
      about: "units",
      sure: false,
      text: `${is} in ${found.length} of ${rows.length} layers: ` +
        found.slice(0, 4).map((row) => `${row.layer} (${briefPercent(row[what])})`).join(", ") +
        `${found.length > 4 ? ", …" : ""}, on all ${inputs.length} images.`,
    }];
  return [
    ...text(most("dead"), "dead", "More than half of the channels put out nothing"),
    ...text(
      most("full"),
      "full",
      "More than half of the numbers are at an end of their range, where nothing can be learned,",
    ),
  ];
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
      const candidates = candidatesFor(model, inputs[0].shape.at(-1)!);
      const truth = truthOf(model, several, views, of);
      const stored = await momentsToCheck(model);
      const weighed: (Awaited<ReturnType<typeof weighMoments>> | null)[] = [];
      for (const candidate of candidates) {
        run.signal?.throwIfAborted();
        weighed.push(stored && await weighMoments(model, stored, inputs, candidate));
      }
      // Where moments tell the scale, only what fits them is asked for its answers.
      const least = Math.min(...weighed.map((one) => one?.misfit ?? Infinity));
      const worth = (i: number) => i === 0 || !stored || weighed[i]!.misfit <= Math.max(0.3, 1.5 * least);
      const asks = ["classes", "binary"].includes(model.output.kind);
      const answers: (Answers | null)[] = [];
      const twice = outputsTwice(model);
      const asked = candidates.filter((_, i) => worth(i)).length + 1;
      for (const [i, { how }] of candidates.entries()) {
        if (!asks || !worth(i)) {
          answers.push(null);
          continue;
        }
        const all = inputs.map((input) => prepared(input, model.preprocess, how));
        const [outputs] = await forwardAll(model, all, [model.output.index], run);
        if (i === 0) twice.look(outputs);
        answers.push(answersTo(model, outputs, truth));
        update(views.length * (0.25 + 0.75 * answers.length / asked));
      }
      const evidence: Evidence[] = candidates.map((candidate, i) => ({
        candidate,
        misfit: weighed[i]?.misfit ?? null,
        misfits: weighed[i]?.misfits ?? [],
        right: answers[i]?.right ?? null,
        gap: answers[i]?.gap ?? null,
      }));
      const { verdict, fits, reason } = judge(evidence, stored?.layer ?? "", tellsOrder(views));
      const wrong = verdict === "wrong";
      const findings: InputFinding[] = [
        ...wrong ? [{ about: "preprocessing" as const, sure: true, text: advice(candidates[0], fits, reason) }] : [],
        ...verdict === "unknown" && reason ? [{ about: "preprocessing" as const, sure: false, text: reason }] : [],
        ...pixelFindings(views),
        ...await scaledTwice(model, verdict === "right"),
        ...twice.findings(),
        ...await unitFindings(model, inputs, run),
      ];
      const channels: SeenChannels[] = !stored
        ? []
        : (wrong ? [candidates[0], fits[0]] : [candidates[0]]).map((candidate) => {
          const { mean, variance } = weighed[candidates.indexOf(candidate)]!.seen;
          const deviations = Array.from(stored.variance, (value) => Math.sqrt(value + stored.epsilon));
          return {
            preprocess: candidate.words,
            mean: deviations.map((deviation, i) => (mean[i] - stored.mean[i]) / deviation),
            deviation: deviations.map((deviation, i) => Math.sqrt(variance[i]) / deviation),
          };
        });
      const share = (right: readonly boolean[] | null) => right && right.filter(Boolean).length / right.length;
      return new InputCheck(
        evidence.map(({ candidate, misfit, right, gap }, i) => ({
          preprocess: candidate.words,
          current: i === 0,
          fits: fits.includes(candidate),
          misfit,
          accuracy: share(right),
          confidence: answers[i]?.confidence ?? null,
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
          channels,
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
