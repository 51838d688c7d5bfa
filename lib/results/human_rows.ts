/**
 * The rows of a comparison of people with a network.
 *
 * @module
 */

import type { NdArrayLike } from "../array.ts";
import type { HumanAnswer } from "../data/answers.ts";
import type { Interval } from "../embed/agreement.ts";
import type { ErrorConsistency } from "../embed/paired.ts";

/** Who is right about an image. */
export type HumanGroup = "both right" | "only human wrong" | "only network wrong" | "both wrong";

/** An image, as the network names it. */
export interface NamedImage {
  /** Its id in the data set. */
  readonly id: string;
  /** Its class; of several that would be right, all. */
  readonly truth: readonly string[];
  /** The network's likeliest classes, five at most. */
  readonly network: readonly string[];
  /** How probable the first of them is. */
  readonly confidence: number;
  /** The image as the network saw it, `[h, w, 3]`, 0…255, at most 104 pixels large. */
  readonly image: NdArrayLike;
}

/** What one person said of an image. */
export interface PersonAnswer extends HumanAnswer {
  /** Whether that is right: by the first label or by any, as the comparison is made. */
  readonly right?: boolean;
}

/** An image that people named. */
export interface ComparedImage extends NamedImage {
  /** What each person said. */
  readonly people: readonly PersonAnswer[];
  /** Whether at least half of these people are right. */
  readonly humanRight: boolean;
  /** Whether the network is right. */
  readonly networkRight: boolean;
  /** Who is right. */
  readonly group: HumanGroup;
  /** The categories that the taxonomy gives it. */
  readonly categories: readonly string[];
}

/** One person beside the network, on the images that this person answered: a row of the table. */
export interface PersonRow {
  /** Who answered. */
  person: string;
  /** How many images of the test. */
  images: number;
  /** Seconds an image, the median. */
  seconds: number;
  /** The share of images whose first label is wrong; beside it its interval of 95 % (Wilson). */
  top1Error: number;
  /** The interval's lower end. */
  top1Low: number;
  /** Its upper end. */
  top1High: number;
  /** The share of images of which no label is right. */
  top5Error: number;
  /** The lower end of its interval. */
  top5Low: number;
  /** Its upper end. */
  top5High: number;
  /** The network's top-1 error on the same images. */
  networkTop1Error: number;
  /** The lower end of its interval. */
  networkTop1Low: number;
  /** Its upper end. */
  networkTop1High: number;
  /** The network's top-5 error on the same images. */
  networkTop5Error: number;
  /** The lower end of its interval. */
  networkTop5Low: number;
  /** Its upper end. */
  networkTop5High: number;
  /** By how much the person errs more than the network, by the errors that are compared (paired bootstrap). */
  difference: number;
  /** The lower end of its interval. */
  differenceLow: number;
  /** Its upper end. */
  differenceHigh: number;
  /** Whether that may be chance: McNemar's exact p value. */
  p: number;
  /** Its mid-p value. */
  midP: number;
  /** The share of images to which both give the same first label. */
  same: number;
  /** Cohen's kappa of the first labels; null where both give all images one label. */
  kappa: number | null;
  /** The lower end of its interval. */
  kappaLow: number | null;
  /** Its upper end. */
  kappaHigh: number | null;
  /** The error consistency: 0 as by chance, 1 the same errors; null where both are right, or both wrong, everywhere. */
  errorConsistency: number | null;
  /** The lower end of its interval (bootstrap). */
  errorConsistencyLow: number | null;
  /** Its upper end. */
  errorConsistencyHigh: number | null;
  /** How many images both have right. */
  bothRight: number;
  /** How many only the person has wrong. */
  onlyHumanWrong: number;
  /** How many only the network has wrong. */
  onlyNetworkWrong: number;
  /** How many both have wrong. */
  bothWrong: number;
}

/** Two people, on the images that both answered. */
export interface PeopleAgreement {
  /** One of them. */
  readonly a: string;
  /** The other. */
  readonly b: string;
  /** How many images both answered. */
  readonly images: number;
  /** The share to which both give the same first label (Wilson). */
  readonly same: Interval;
  /** The same beyond chance. */
  readonly kappa: Interval;
  /** Whether they err on the same images. */
  readonly errorConsistency: ErrorConsistency;
}

/** One kind of images, or of errors. */
export interface CategoryRow {
  /** Its name; `"none"` of images that have no category. */
  category: string;
  /** How many of the images that were answered. */
  images: number;
  /** How many answers of people about them are wrong. */
  humanErrors: number;
  /** Their share of all wrong answers of people, with its interval of 95 % (Wilson); null where nobody errs. */
  humanShare: number | null;
  /** The interval's lower end. */
  humanLow: number | null;
  /** Its upper end. */
  humanHigh: number | null;
  /** How many of them the network has wrong. */
  networkErrors: number;
  /** Their share of all errors of the network; null where it makes none. */
  networkShare: number | null;
  /** The interval's lower end. */
  networkLow: number | null;
  /** Its upper end. */
  networkHigh: number | null;
}

/** An answer, with what would be right. */
export interface JudgedAnswer extends Omit<HumanAnswer, "truth"> {
  readonly right: readonly string[];
}

/** Whether labels are right, by the first or by any of five. */
export const isRight = (labels: readonly string[], truth: readonly string[], by: "top1" | "top5"): boolean =>
  labels.slice(0, by === "top1" ? 1 : 5).some((label) => truth.includes(label));
