/**
 * Where to look at a function on 0…1, and with which weights, to know its integral.
 *
 * @module
 */

/** Gauss and Legendre's rule, or one of Riemann's sums. */
export type Quadrature = "gauss-legendre" | "left" | "right" | "middle" | "trapezoid";

/** The rules by name. */
export const QUADRATURES: readonly Quadrature[] = ["gauss-legendre", "left", "right", "middle", "trapezoid"];

/** Points on 0…1 and their weights, which sum to 1. */
export interface Nodes {
  readonly at: readonly number[];
  readonly weights: readonly number[];
}

/**
 * The points and weights of a rule.
 *
 * @param count how many points
 * @throws {RangeError} if there is no such rule, or a trapezoid has fewer than two points
 */
export function quadrature(rule: Quadrature, count: number): Nodes {
  if (rule === "gauss-legendre") return gaussLegendre(count);
  const even = (first: number) => ({
    at: Array.from({ length: count }, (_, i) => (i + first) / count),
    weights: new Array<number>(count).fill(1 / count),
  });
  if (rule === "left") return even(0);
  if (rule === "right") return even(1);
  if (rule === "middle") return even(0.5);
  if (rule !== "trapezoid") {
    throw new RangeError(`There is no rule ${JSON.stringify(rule)}; wanted one of ${QUADRATURES.join(", ")}.`);
  }
  if (count < 2) throw new RangeError(`The trapezoid rule needs at least 2 steps: received ${count}.`);
  const inner = 1 / (count - 1);
  return {
    at: Array.from({ length: count }, (_, i) => i * inner),
    weights: Array.from({ length: count }, (_, i) => i === 0 || i === count - 1 ? inner / 2 : inner),
  };
}

/** The zeros of the Legendre polynomial by Newton's method, from the usual first guess. */
function gaussLegendre(count: number): Nodes {
  const at: number[] = [];
  const weights: number[] = [];
  for (let i = count - 1; i >= 0; i--) {
    let x = Math.cos((Math.PI * (i + 0.75)) / (count + 0.5));
    let slope = 1;
    for (let step = 0; step < 100; step++) {
      let [before, value] = [1, x];
      for (let n = 2; n <= count; n++) {
        [before, value] = [value, ((2 * n - 1) * x * value - (n - 1) * before) / n];
      }
      slope = (count * (x * value - before)) / (x * x - 1);
      const change = value / slope;
      x -= change;
      if (Math.abs(change) < 1e-15) break;
    }
    at.push((1 + x) / 2);
    weights.push(1 / ((1 - x * x) * slope * slope));
  }
  return { at, weights };
}
