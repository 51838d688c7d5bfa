/**
 * The range of some numbers, for every room and for the page, which can load nothing of the kernel's.
 *
 * @module
 */

/** The smallest and the largest value; `[0, 0]` for an empty array. NaN is ignored. */
export function extent(values: ArrayLike<number>): [min: number, max: number] {
  let min = Infinity;
  let max = -Infinity;
  for (let i = 0; i < values.length; i++) {
    if (values[i] < min) min = values[i];
    if (values[i] > max) max = values[i];
  }
  // Adding 0 turns −0, which a rectifier may put out, into 0.
  return min > max ? [0, 0] : [min + 0, max + 0];
}
