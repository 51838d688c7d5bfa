/**
 * Whether the members of sets are more alike than chance: against sets of the same sizes to which the same members were
 * dealt at random, with intervals.
 *
 * @module
 */

import { throwIfInterrupted } from "../interrupt.ts";
import { randomStream, shuffled } from "../random.ts";

/** A number with an interval of 95 %. */
export interface Interval {
  /** The number. */
  readonly value: number;
  /** The interval's lower end. */
  readonly low: number;
  /** Its upper end. */
  readonly high: number;
}

/** How alike the members of sets are. */
export interface Agreement {
  /** The measure of each set. */
  readonly each: readonly number[];
  /** Its mean over the sets; the interval is that of the bootstrap over sets. */
  readonly found: Interval;
  /** The mean over sets that were dealt at random, and between what 95 % of such means lie. */
  readonly dealt: Interval;
  /** How far it is from chance to perfect: 0 as dealt at random, 1 all alike; NaN where chance is perfect, too. */
  readonly agreement: Interval;
}

/** How often sets are drawn anew, and how often members are dealt anew. */
export const DRAWS = 1000;
const DEALS = 200;

const meanOf = (values: ArrayLike<number>): number => {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i];
  return sum / values.length;
};

/** Between what 95 % of some numbers lie. */
export function middle(values: Float64Array): [low: number, high: number] {
  const sorted = values.toSorted();
  const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))];
  return [at(0.025), at(0.975)];
}

/** Means of so many numbers drawn from some, with replacement. */
function drawnMeans(values: readonly number[], random: () => number): Float64Array {
  return new Float64Array(DRAWS).map(() => {
    let sum = 0;
    for (let i = 0; i < values.length; i++) sum += values[Math.floor(random() * values.length)];
    return sum / values.length;
  });
}

/** The mean of some numbers; the interval is that of the bootstrap, and without width where there is one number only. */
export function meanInterval(values: readonly number[], ...key: number[]): Interval {
  const [low, high] = middle(drawnMeans(values, randomStream(...key)));
  return { value: meanOf(values), low, high };
}

/**
 * Deals the members of all sets anew, to sets of the same sizes. No set gets two members of one group, as far as that can
 * be had by exchanging with those that are still to be dealt.
 */
function deal(sets: readonly (readonly number[])[], groupOf: (member: number) => unknown, random: () => number) {
  const all = sets.flat();
  const order = Array.from(shuffled(all.length, random), (i) => all[i]);
  let at = 0;
  return sets.map(({ length }) => {
    const groups = new Set<unknown>();
    for (const end = at + length; at < end; at++) {
      let other = at;
      while (other < order.length && groups.has(groupOf(order[other]))) other++;
      if (other < order.length) [order[at], order[other]] = [order[other], order[at]];
      groups.add(groupOf(order[at]));
    }
    return order.slice(at - length, at);
  });
}

/**
 * Measures sets, and the same members dealt to sets at random.
 *
 * @param sets of members, one set at least
 * @param options.measure of a set: how alike its members are, or how far apart
 * @param options.perfect the measure of a set of equal members
 * @param options.groupOf what no two members of a set share, as the image that patches come from
 */
export function agreementOf(
  sets: readonly (readonly number[])[],
  { measure, perfect, groupOf, seed }: {
    measure: (set: readonly number[]) => number;
    perfect: number;
    groupOf: (member: number) => unknown;
    seed: number;
  },
): Agreement {
  const each = sets.map(measure);
  const value = meanOf(each);
  const [low, high] = middle(drawnMeans(each, randomStream(seed, 0)));
  const deals = new Float64Array(DEALS).map((_, round) => {
    throwIfInterrupted();
    return meanOf(deal(sets, groupOf, randomStream(seed, 1, round)).map(measure));
  });
  const chance = meanOf(deals);
  const [chanceLow, chanceHigh] = middle(deals);
  const share = (number: number) => Math.abs(perfect - chance) < 1e-12 ? NaN : (number - chance) / (perfect - chance);
  const [a, b] = [share(low), share(high)];
  return {
    each,
    found: { value, low, high },
    dealt: { value: chance, low: chanceLow, high: chanceHigh },
    agreement: { value: share(value), low: Math.min(a, b), high: Math.max(a, b) },
  };
}

/** How much more one group of sets agrees than another; the interval is that of the bootstrap over the sets of both. */
export function differenceOf(a: Agreement, b: Agreement, perfect: number, seed: number): Interval {
  const means = [a, b].map(({ each }, i) => drawnMeans(each, randomStream(seed, 2, i)));
  const share = ({ dealt }: Agreement, mean: number) => (mean - dealt.value) / (perfect - dealt.value);
  const [low, high] = middle(means[0].map((mean, i) => share(a, mean) - share(b, means[1][i])));
  return { value: a.agreement.value - b.agreement.value, low, high };
}
