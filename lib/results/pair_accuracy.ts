/**
 * How often two judges are right on the same things, and whether one is better.
 *
 * @module
 */

import type { Interval } from "../embed/agreement.ts";
import { wilson } from "../embed/logistic.ts";
import { type ErrorConsistency, errorConsistency, type McNemar, mcnemar, pairedDifference } from "../embed/paired.ts";
import { fixed } from "../format.ts";

/** How often each is right, on the same images. */
export interface PairAccuracy {
  /** How many images have a label that both can give. */
  readonly images: number;
  /** The share that the first has right (Wilson). */
  readonly a: Interval;
  /** The share that the second has right. */
  readonly b: Interval;
  /** How much more the first has right (paired bootstrap). */
  readonly difference: Interval;
  /** How many both have right. */
  readonly both: number;
  /** How many only the first has right. */
  readonly onlyA: number;
  /** How many only the second has right. */
  readonly onlyB: number;
  /** How many none has right. */
  readonly neither: number;
  /** Whether the difference may be chance. */
  readonly mcnemar: McNemar;
  /** Whether they err on the same images. */
  readonly errorConsistency: ErrorConsistency;
}

/** A share with Wilson's interval. */
export function shareOf(some: number, all: number): Interval {
  const [low, high] = wilson(some, all);
  return { value: some / all, low, high };
}

/** Compares what two judges have right of the same things. */
export function pairAccuracy(a: readonly boolean[], b: readonly boolean[], seed: number): PairAccuracy {
  const count = (first: boolean, second: boolean) => a.filter((right, i) => right === first && b[i] === second).length;
  const [both, onlyA, onlyB, neither] = [
    count(true, true),
    count(true, false),
    count(false, true),
    count(false, false),
  ];
  return {
    images: a.length,
    a: shareOf(both + onlyA, a.length),
    b: shareOf(both + onlyB, a.length),
    difference: pairedDifference(a, b, seed, 2),
    both,
    onlyA,
    onlyB,
    neither,
    mcnemar: mcnemar(onlyA, onlyB),
    errorConsistency: errorConsistency(a, b, seed, 3),
  };
}

/** An interval in words. */
export const intervalText = ({ low, high }: Pick<Interval, "low" | "high">, text: (value: number) => string) =>
  Number.isFinite(low) ? `${text(low)} to ${text(high)}` : "–";
/** A p value, no more exact than it means anything. */
export const chanceText = (p: number): string => p < 0.001 ? "below 0.001" : fixed(p);
