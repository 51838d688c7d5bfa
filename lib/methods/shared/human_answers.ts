/**
 * What people answered, and to which images of a data set: from trials, or from files.
 *
 * @module
 */

import { type HumanAnswer, imageCode, isSameQuestion, readAnswers } from "../../data/answers.ts";
import { checkDataset, type Dataset } from "../../data/dataset.ts";
import { kindOf, nearestOf } from "../../errors.ts";
import { checkModel, type Model } from "../../model/model.ts";
import type { TruthOf } from "../../probe/truth.ts";
import { HumanTrial } from "../../results/human_trial.ts";
import { rowsOf } from "./trial_images.ts";

/** Answers of people: a file that `humanTrial` wrote or its page downloaded, several, or the answers themselves. */
export type AnswersGiven = string | URL | readonly (string | URL)[] | readonly HumanAnswer[];

/** People, and the network that they are compared with. */
export type HumansGiven =
  | HumanTrial<Model>
  | readonly HumanTrial<Model>[]
  | {
    /** The network. */
    readonly model: Model;
    /** Images, among them those that were answered, with their classes. */
    readonly dataset: Dataset;
    /** What people answered. */
    readonly answers: AnswersGiven;
  };

/** Answers with the ids of the data set, and what is known of its images. */
export interface Answered {
  readonly model: Model;
  /** Data sets that hold the images of the test between them. */
  readonly datasets: readonly Dataset[];
  /** In the order in which they were given. */
  readonly answers: readonly HumanAnswer[];
  /** The class of images by their ids, where a trial knows it. */
  readonly truth: ReadonlyMap<string, string>;
  /** How many answers were left out: the second of one person to an image. */
  readonly repeated: number;
}

const WANTED =
  'compareHumans wants what humanTrial returned, several of these, or { model, dataset, answers: "answers.jsonl" }';

/** @throws {TypeError} if it is none of what is wanted */
function trialsOf(given: unknown): readonly HumanTrial<Model>[] | undefined {
  if (given instanceof HumanTrial) return [given as HumanTrial<Model>];
  if (!Array.isArray(given)) {
    if (typeof given === "object" && given !== null && "answers" in given && "model" in given) return undefined;
    throw new TypeError(`${WANTED}: received ${kindOf(given)}.`);
  }
  const wrong = given.find((one) => !(one instanceof HumanTrial));
  if (given.length === 0 || wrong !== undefined) {
    throw new TypeError(
      `${WANTED}: received an array ${given.length === 0 ? "without any" : `with ${kindOf(wrong)}`}.`,
    );
  }
  const [first, ...others] = given as HumanTrial<Model>[];
  const other = others.find(({ model }) => model !== first.model);
  if (other) {
    throw new TypeError(
      `Trials that are compared together have one model: received those of ${JSON.stringify(first.model.name)} and ` +
        `${JSON.stringify(other.model.name)}. Make them with the same loaded model, or compare them one by one.`,
    );
  }
  return given;
}

/** Reads answers. @throws {RangeError} if there is none, or a line is damaged */
async function read(given: AnswersGiven): Promise<HumanAnswer[]> {
  const isPath = (one: unknown): one is string | URL => typeof one === "string" || one instanceof URL;
  const list: readonly unknown[] = isPath(given) ? [given] : Array.isArray(given) ? given : [undefined];
  const found: HumanAnswer[] = [];
  for (const one of list) {
    if (isPath(one)) {
      const own = await readAnswers(one);
      if (own.length === 0) {
        throw new RangeError(
          `There is no answer in ${String(one)}: it is not there, or empty. Name a file that humanTrial wrote.`,
        );
      }
      found.push(...own);
    } else if (
      typeof (one as HumanAnswer | undefined)?.image === "string" && Array.isArray((one as HumanAnswer).labels)
    ) {
      found.push(one as HumanAnswer);
    } else {
      throw new TypeError(
        `answers are a file's path, as "answers.jsonl", several, or rows as humanTrial(…).rows has them: received ${
          kindOf(one)
        }.`,
      );
    }
  }
  return found;
}

/** Answers whose images are named by ids: a page without a kernel names them by codes. */
async function withIds(answers: readonly HumanAnswer[], dataset: Dataset): Promise<HumanAnswer[]> {
  const ids = (await rowsOf(dataset)).map(({ id }) => id);
  const known = new Set(ids);
  const codes = new Map<string, ReadonlyMap<string, string>>();
  const idOf = ({ trial, image }: HumanAnswer) => {
    if (known.has(image)) return image;
    if (!codes.has(trial)) codes.set(trial, new Map(ids.map((id) => [imageCode(trial, id), id])));
    return codes.get(trial)!.get(image);
  };
  const found = answers.map((answer) => ({ ...answer, image: idOf(answer) ?? answer.image }));
  const lost = found.filter(({ image, phase }) => phase === "test" && !known.has(image));
  if (lost.length > 0) {
    throw new RangeError(
      `${lost.length} of ${answers.length} answers are of images that the data set ${
        JSON.stringify(dataset.name)
      } does not ` +
        `hold, as ${JSON.stringify(lost[0].image)}. ${
          nearestOf(lost[0].image, ids)
        } Give the data set that the trial was made with.`,
    );
  }
  return found;
}

/**
 * Finds what people answered.
 *
 * @throws {TypeError} if neither trials nor answers are given, or trials have several models
 * @throws {RangeError} if there is no answer, a file is damaged, or answers are of other images
 */
export async function answersGiven(given: HumansGiven): Promise<Answered> {
  const trials = trialsOf(given);
  if (trials) {
    const truth = new Map(trials.flatMap((trial) => [...trial.truth]));
    const answers = trials.flatMap(({ rows }) => rows);
    if (!answers.some(({ phase }) => phase === "test")) {
      throw new RangeError(
        `There is no answer of the test yet in ${[...new Set(trials.map(({ path }) => path))].join(", ")}` +
          `${
            answers.length ? `, only ${answers.length} for training` : ""
          }: label images in the trial's cell first, or take in ` +
          "what its page downloaded, await trial.add(path).",
      );
    }
    return { model: trials[0].model, datasets: trials.map(({ images }) => images), truth, ...once(answers) };
  }
  const { model, dataset, answers } = given as Exclude<HumansGiven, HumanTrial<Model> | readonly HumanTrial<Model>[]>;
  checkModel("compareHumans", model);
  checkDataset("compareHumans", dataset);
  const found = await withIds(await read(answers), dataset);
  if (!found.some(({ phase }) => phase === "test")) {
    throw new RangeError(`There is no answer of the test among the ${found.length}: those for training do not count.`);
  }
  return { model, datasets: [dataset], truth: new Map(), ...once(found) };
}

/** The first answer of each person to each image. */
function once(answers: readonly HumanAnswer[]) {
  const kept: HumanAnswer[] = [];
  const asked = new Map<string, HumanAnswer[]>();
  for (const answer of answers) {
    const own = asked.get(answer.image) ?? [];
    if (own.some((other) => isSameQuestion(other, answer))) continue;
    asked.set(answer.image, [...own, answer]);
    kept.push(answer);
  }
  return { answers: kept, repeated: answers.length - kept.length };
}

/** @throws {RangeError} if an answer names what is no class of the model */
export function checkNamed(answers: readonly HumanAnswer[], classes: readonly string[], model: string): void {
  const known = new Set(classes);
  for (const { labels, person, image } of answers) {
    const wrong = labels.find((label) => !known.has(label));
    if (wrong === undefined) continue;
    throw new RangeError(
      `The answer of ${JSON.stringify(person)} to the image ${JSON.stringify(image)} names ${
        JSON.stringify(wrong)
      }, which is ` +
        `none of the ${classes.length} classes of ${JSON.stringify(model)}. ${
          nearestOf(wrong, classes)
        } Compare with the model ` +
        "that the trial was made with.",
    );
  }
}

/** Where the true class stands: a trial has put it into the label. */
export const truthFor = (given: HumansGiven, truth: TruthOf | undefined): TruthOf | undefined =>
  given instanceof HumanTrial || Array.isArray(given) ? undefined : truth;
