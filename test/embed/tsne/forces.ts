import { normalStream } from "../../../lib/random.ts";

/** The root of the mean square of what two fields differ by, as a share of the second. */
export function error(found: Float32Array, wanted: Float64Array): number {
  let [differences, squares] = [0, 0];
  wanted.forEach((value, i) => {
    differences += (found[i] - value) ** 2;
    squares += value ** 2;
  });
  return Math.sqrt(differences / squares);
}

/** Points in ten clusters, of a size: `components` numbers each. */
export function clusters(count: number, size: number, components: number): Float32Array {
  const normal = normalStream(1);
  const centres = Array.from({ length: 10 * components }, () => normal());
  return Float32Array.from({ length: components * count }, (_, i) => {
    const c = i % components;
    return size * (centres[(i - c) / components % 10 * components + c] + 0.3 * normal());
  });
}
