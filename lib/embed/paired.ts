/**
 * Two judges of the same things, as two networks or a network and a human: whether one is better, and how far they agree.
 *
 * @module
 */

import { randomStream } from "../random.ts";
import { DRAWS, type Interval, meanInterval, middle } from "./agreement.ts";
import { logFactorials } from "./significance.ts";

/** McNemar's test of two shares of the same things. */
export interface McNemar {
  /** The exact p value, two-sided. */
  readonly p: number;
  /** The mid-p value: of what is as likely as what was found only half is counted, so that it is less cautious. */
  readonly midP: number;
}

/**
 * McNemar's exact test: of the things that one of two judges has right and the other wrong, each is as often the one, if both
 * are equally good.
 *
 * McNemar 1947; the mid-p value as in Fagerland, Lydersen and Laake 2013, "The McNemar test for binary matched-pairs data",
 * twice the one-sided one.
 *
 * @param onlyA how many only the first has right
 * @param onlyB how many only the second has right
 */
export function mcnemar(onlyA: number, onlyB: number): McNemar {
  const count = onlyA + onlyB;
  const fewer = Math.min(onlyA, onlyB);
  const logs = logFactorials(count);
  const chance = (k: number) => Math.exp(logs[count] - logs[k] - logs[count - k] - count * Math.LN2);
  let below = 0;
  for (let k = 0; k < fewer; k++) below += chance(k);
  const here = chance(fewer);
  return { p: Math.min(1, 2 * (below + here)), midP: Math.min(1, 2 * below + here) };
}

/** The half width of a normal interval of 95 %, in standard errors. */
const Z = 1.959964;

/**
 * Cohen's kappa: how far the answers of two judges agree beyond chance. 1 where all are the same, 0 as by chance; NaN where
 * both give all things one answer, so that chance agrees, too.
 *
 * Cohen 1960; the interval by the standard error of Fleiss, Cohen and Everitt 1969, "Large sample standard errors of kappa and
 * weighted kappa", cut off at −1 and 1.
 *
 * @param a the first judge's answers
 * @param b the second's, to the same things
 */
export function cohenKappa(a: readonly unknown[], b: readonly unknown[]): Interval {
  const count = a.length;
  const shares = (answers: readonly unknown[]) => {
    const found = new Map<unknown, number>();
    for (const answer of answers) found.set(answer, (found.get(answer) ?? 0) + 1 / count);
    return found;
  };
  const [rows, columns] = [shares(a), shares(b)];
  const pairs = new Map<unknown, Map<unknown, number>>();
  a.forEach((answer, i) => {
    const row = pairs.get(answer) ?? new Map<unknown, number>();
    pairs.set(answer, row.set(b[i], (row.get(b[i]) ?? 0) + 1 / count));
  });
  let [observed, chance] = [0, 0];
  for (const [answer, share] of rows) {
    observed += pairs.get(answer)?.get(answer) ?? 0;
    chance += share * (columns.get(answer) ?? 0);
  }
  const left = 1 - chance;
  if (left < 1e-12) return { value: NaN, low: NaN, high: NaN };
  const value = (observed - chance) / left;
  let sum = -((value - chance * (1 - value)) ** 2);
  for (const [one, row] of pairs) {
    for (const [other, share] of row) {
      sum += share *
        (one === other
          ? (1 - (rows.get(one)! + columns.get(one)!) * (1 - value)) ** 2
          : (1 - value) ** 2 * ((columns.get(one) ?? 0) + (rows.get(other) ?? 0)) ** 2);
    }
  }
  const half = Z * Math.sqrt(Math.max(0, sum) / count) / left;
  return { value, low: Math.max(-1, value - half), high: Math.min(1, value + half) };
}

/** How far the errors of two judges fall on the same things. */
export interface ErrorConsistency extends Interval {
  /** The share of things that both have right or both wrong. */
  readonly observed: number;
  /** What that share would be if their errors had nothing to do with each other. */
  readonly expected: number;
}

/** Shares of things that both have right or wrong, by how many both, only the first, only the second and none has right. */
function consistency(both: number, onlyA: number, onlyB: number, none: number) {
  const count = both + onlyA + onlyB + none;
  const [a, b] = [(both + onlyA) / count, (both + onlyB) / count];
  const observed = (both + none) / count;
  const expected = a * b + (1 - a) * (1 - b);
  return { observed, expected, value: 1 - expected < 1e-12 ? NaN : (observed - expected) / (1 - expected) };
}

/**
 * Error consistency: whether two judges err on the same things more than their accuracies alone would make them. 1 where they
 * err on the same things, 0 as by chance, below where one is right just where the other errs; NaN where both are right, or
 * both wrong, everywhere.
 *
 * Geirhos, Meding and Wichmann 2020, "Beyond accuracy: quantifying trial-by-trial behaviour of CNNs and humans by measuring
 * error consistency", eq. 1 to 3. The interval is that of the bootstrap over things.
 *
 * @param a whether the first judge is right, of each thing
 * @param b whether the second is
 */
export function errorConsistency(a: readonly boolean[], b: readonly boolean[], ...key: number[]): ErrorConsistency {
  const cells = Uint8Array.from(a, (right, i) => (right ? 0 : 2) + (b[i] ? 0 : 1));
  const counted = (cellAt: (i: number) => number) => {
    const counts = [0, 0, 0, 0];
    for (let i = 0; i < cells.length; i++) counts[cells[cellAt(i)]]++;
    return consistency(counts[0], counts[1], counts[2], counts[3]);
  };
  const found = counted((i) => i);
  if (Number.isNaN(found.value)) return { ...found, low: NaN, high: NaN };
  const random = randomStream(...key);
  const drawn = Float64Array.from({ length: DRAWS }, () => counted(() => Math.floor(random() * cells.length)).value);
  const [low, high] = middle(drawn.filter(Number.isFinite));
  return { ...found, low, high };
}

/**
 * How much more the first judge gets of the same things than the second; the interval is that of the bootstrap over things,
 * which keeps both answers to a thing together.
 */
export const pairedDifference = (
  a: ArrayLike<number | boolean>,
  b: ArrayLike<number | boolean>,
  ...key: number[]
): Interval => meanInterval(Array.from(a, (value, i) => Number(value) - Number(b[i])), ...key);
