/**
 * How people change from answer to answer: their errors and their time.
 *
 * @module
 */

import type { Chart, Row, Series } from "../figure/blocks.ts";
import { fixed, percent } from "../format.ts";
import { isRight, type JudgedAnswer, type PersonRow } from "./human_rows.ts";
import { shareOf } from "./pair_accuracy.ts";

/** One answer of a curve. */
export interface LearningPoint {
  /** Its number among the person's answers, from 1. */
  readonly answer: number;
  /** Whether it was for training. */
  readonly training: boolean;
  /** Whether it is right. */
  readonly right: boolean;
  /** How long it took. */
  readonly seconds: number;
  /** The share of the last answers that is wrong; NaN before there are as many. */
  readonly error: number;
  /** The lower end of its interval of 95 % (Wilson). */
  readonly low: number;
  /** Its upper end. */
  readonly high: number;
  /** The median time of the last answers. */
  readonly median: number;
}

/** What a person's answers were like, one after the other, in the order in which the images were shown. */
export interface LearningCurve {
  /** Who answered. */
  readonly person: string;
  /** Over how many answers errors and times are taken. */
  readonly window: number;
  /** One an answer, those for training among them. */
  readonly points: readonly LearningPoint[];
}

/** The number in the middle; of an even count the mean of both. */
export function medianOf(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
}

/** A person's answers as a curve. */
export function curveOf(
  person: string,
  answers: readonly JudgedAnswer[],
  { by, window }: { by: "top1" | "top5"; window: number },
): LearningCurve {
  const ordered = [...answers].sort((a, b) => Date.parse(a.shown) - Date.parse(b.shown));
  const wide = Math.min(window, Math.max(2, Math.floor(ordered.length / 2)));
  const judged = ordered.map((answer) => ({ ...answer, isRight: isRight(answer.labels, answer.right, by) }));
  const points = judged.map(({ isRight: right, seconds, phase }, i): LearningPoint => {
    const last = judged.slice(Math.max(0, i + 1 - wide), i + 1);
    const error = last.length === wide
      ? shareOf(last.filter((one) => !one.isRight).length, wide)
      : { value: NaN, low: NaN, high: NaN };
    return {
      answer: i + 1,
      training: phase === "training",
      right,
      seconds,
      error: error.value,
      low: error.low,
      high: error.high,
      median: last.length === wide ? medianOf(last.map(({ seconds }) => seconds)) : NaN,
    };
  });
  return { person, window: wide, points };
}

/** Names are cut at a "·", behind which charts have one colour. */
const labelOf = (name: string) => name.replaceAll("·", "-");
/** So many people have curves of their own. */
const MOST = 6;
/** Of one person each answer's time is a point. */
const WIDTH = 450;

/** The errors and the times of people, side by side. */
export function curvesBlock(
  curves: readonly LearningCurve[],
  rows: readonly PersonRow[],
  { model, by }: { model: string; by: "top1" | "top5" },
): Row {
  const drawn = curves.slice(0, MOST);
  const last = Math.max(...drawn.map(({ points }) => points.length));
  const networks = rows.map((row) => by === "top1" ? row.networkTop1Error : row.networkTop5Error);
  const network = networks.reduce((sum, error, i) => sum + error * rows[i].images, 0) /
    rows.reduce((sum, { images }) => sum + images, 0);
  const at = (points: readonly LearningPoint[]) => points.map(({ answer }) => answer);
  const errors: Chart = {
    kind: "chart",
    heading: "Learning curve",
    note: trainingNote(drawn),
    series: [
      ...drawn.map(({ person, points }): Series => ({
        label: labelOf(person),
        x: at(points),
        y: points.map(({ error }) => error),
        low: points.map(({ low }) => low),
        high: points.map(({ high }) => high),
      })),
      { label: `${labelOf(model)} in the test`, x: [1, last], y: [network, network], dashed: true },
    ],
    x: { title: "answer", min: 1, max: Math.max(2, last), whole: true },
    y: { title: by === "top1" ? "top-1 error" : "top-5 error", min: 0, max: 1 },
    width: WIDTH,
    alt: `Error over the last answers: ${
      drawn.map(({ person, points }) => `${person} ${percent(points.at(-1)?.error)} at the end`).join(", ")
    }; ${model} ${percent(network)}`,
  };
  const alone = drawn.length === 1;
  const times: Chart = {
    kind: "chart",
    heading: "Time an image",
    note: alone ? "Points: each answer; the line: the median of the last." : "The median of the last answers.",
    series: [
      ...alone
        ? [{
          label: `${labelOf(drawn[0].person)} · each`,
          x: at(drawn[0].points),
          y: drawn[0].points.map(({ seconds }) => seconds),
          as: "points" as const,
        }]
        : [],
      ...drawn.map(({ person, points }): Series => ({
        label: alone ? `${labelOf(person)} · median` : labelOf(person),
        x: at(points),
        y: points.map(({ median }) => median),
        ink: alone,
      })),
    ],
    x: { title: "answer", min: 1, max: Math.max(2, last), whole: true },
    y: { title: "seconds", min: 0 },
    width: WIDTH,
    alt: `Seconds an image, the median: ${
      drawn.map(({ person, points }) => `${person} ${fixed(medianOf(points.map(({ seconds }) => seconds)), 1)}`).join(
        ", ",
      )
    }`,
  };
  const timed = drawn.some(({ points }) => points.some(({ seconds }) => seconds > 0));
  return { kind: "row", blocks: timed ? [errors, times] : [errors] };
}

function trainingNote(curves: readonly LearningCurve[]): string {
  const counts = new Set(curves.map(({ points }) => points.filter(({ training }) => training).length));
  const most = Math.max(...counts);
  if (most === 0) return "The band: 95 % (Wilson).";
  return `The band: 95 % (Wilson). ${
    counts.size === 1 ? `The first ${most}` : `Up to ${most}`
  } answers were for training.`;
}
