/**
 * Whether a difference may be chance: exact tests of counts, and what becomes of their p values when there are many.
 *
 * @module
 */

/** The logarithms of the factorials from 0 to `most`. */
export function logFactorials(most: number): Float64Array {
  const logs = new Float64Array(most + 1);
  for (let n = 2; n <= most; n++) logs[n] = logs[n - 1] + Math.log(n);
  return logs;
}

/**
 * Fisher's exact test, one-sided: the probability that a sample drawn at random, without putting back, holds so few or fewer
 * of what is counted.
 *
 * @param all how many there are
 * @returns a function of `drawn`, how many the sample holds, `marked`, how many of all are counted, and `found`, how many of
 *   these are in the sample
 */
export function fewerByChance(all: number): (drawn: number, marked: number, found: number) => number {
  const logs = logFactorials(all);
  const choices = (n: number, k: number) => logs[n] - logs[k] - logs[n - k];
  return (drawn, marked, found) => {
    const whole = choices(all, drawn);
    let sum = 0;
    for (let k = Math.max(0, drawn - (all - marked)); k <= found; k++) {
      sum += Math.exp(choices(marked, k) + choices(all - marked, drawn - k) - whole);
    }
    return Math.min(1, sum);
  };
}

/**
 * Holm, "A simple sequentially rejective multiple test procedure" (1979): p values such that, of all that are below a level,
 * not one is wrong with the probability 1 − level, whatever depends on what.
 */
export function holm(values: readonly number[]): number[] {
  const order = values.map((_, i) => i).sort((a, b) => values[a] - values[b]);
  const adjusted = new Array<number>(values.length);
  let least = 0;
  order.forEach((i, rank) => adjusted[i] = least = Math.max(least, Math.min(1, (values.length - rank) * values[i])));
  return adjusted;
}
