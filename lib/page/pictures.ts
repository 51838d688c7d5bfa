/**
 * Pictures on the points of a map: how large they are, and which of them fit.
 *
 * @module
 */

/** The side of a picture on a map that is not zoomed into, in pixels: so that most of these many fit. */
const LEAST = 16;
const MOST = 44;
/** How wide a map is, and how much of it pictures side by side would cover. */
const MAP = 560;
const COVERED = 0.75;
/** A picture grows with the root of the zoom, up to this side. */
const LARGEST = 96;
/** Pictures may cover so much of each other's side. */
const OVERLAP = 0.3;
/** Of the frame in a point's colour, in pixels. */
export const FRAME = 2;

/** How large pictures are on a map of so many points, in pixels of the page. */
export function pictureSide(count: number, zoom = 1): number {
  const side = Math.min(MOST, Math.max(LEAST, COVERED * MAP / Math.sqrt(count)));
  return Math.min(LARGEST, side * Math.sqrt(Math.max(0.25, zoom)));
}

/** The numbers below `count`, each once and far from the last one. */
export function* mixed(count: number): Generator<number> {
  const gcd = (a: number, b: number): number => b === 0 ? a : gcd(b, a % b);
  let step = Math.max(1, Math.round(count * 0.618));
  while (gcd(step, count) !== 1) step++;
  for (let n = 0, i = 0; n < count; n++, i = (i + step) % count) yield i;
}

/**
 * The points whose pictures fit: one after another in the order given, each unless it would cover too much of one before.
 *
 * @param sideOf the side of a point's picture; 0 for none
 */
export function fitting(
  order: Iterable<number>,
  { x, y }: { x: ArrayLike<number>; y: ArrayLike<number> },
  sideOf: (i: number) => number,
): number[] {
  const all = [...order].filter((i) => sideOf(i) > 0);
  const cell = all.reduce((most, i) => Math.max(most, sideOf(i)), 1);
  const cells = new Map<number, number[]>();
  const keyOf = (column: number, row: number) => column * 2 ** 26 + row;
  return all.filter((i) => {
    const [column, row, side] = [Math.floor(x[i] / cell), Math.floor(y[i] / cell), sideOf(i)];
    for (let c = column - 1; c <= column + 1; c++) {
      for (let r = row - 1; r <= row + 1; r++) {
        for (const j of cells.get(keyOf(c, r)) ?? []) {
          const near = (side + sideOf(j)) / 2 * (1 - OVERLAP);
          if (Math.abs(x[i] - x[j]) < near && Math.abs(y[i] - y[j]) < near) return false;
        }
      }
    }
    const key = keyOf(column, row);
    if (cells.has(key)) cells.get(key)!.push(i);
    else cells.set(key, [i]);
    return true;
  });
}
