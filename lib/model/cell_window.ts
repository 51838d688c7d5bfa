/**
 * The part of an image that a cell of a layer can see, cut so that the network computes in it what it computes in the whole
 * image: the cell's value and its gradient are the same.
 *
 * Every layer on the way must work through windows (geometry.ts). Strides and padding look at where a map begins and how long
 * it is; so the part begins, and leaves off, a multiple of all strides away from the image's borders. What the cell reads
 * beyond a border of the image, it reads beyond the same border of the part.
 *
 * @module
 */

import type { layers, LayersModel } from "npm:@tensorflow/tfjs@4.22.0";
import { hull, type Interval, seen, sidesOf, waysThrough, windowsOfUse } from "./geometry.ts";
import type { Shape, Use } from "./graph.ts";

/** A part of an image, for one cell of a layer. */
export interface CellWindow {
  /** The first row and column. */
  readonly origin: readonly [y: number, x: number];
  /** `[h, w, c]` */
  readonly sides: readonly number[];
  /** Where the cell is in the layer's map of the part, `[y, x]`. */
  readonly cell: readonly [y: number, x: number];
}

const gcd = (a: number, b: number): number => b === 0 ? a : gcd(b, a % b);

/** So many pixels, `over` / `under`, lie between two neighbouring cells of a map. */
interface Spacing {
  readonly over: number;
  readonly under: number;
}

/** Whether a layer that works cell by cell does the same to all cells. */
function isAlikeForCells(layer: layers.Layer, rank: number): boolean {
  const kind = layer.getClassName();
  if (kind.includes("Conv")) return true;
  const axis = layer.getConfig()["axis"];
  if (kind === "BatchNormalization" && [axis].flat().some((one) => (Number(one) + rank) % rank !== rank - 1)) {
    return false;
  }
  return layer.weights.every(({ shape }) => shape.slice(0, -1).every((length) => length === 1));
}

/** The spacing of each use's cells along an axis; null where a use has no windows, or its inputs differ. */
function spacingsOf(uses: readonly Use[], axis: 0 | 1): Map<Use, Spacing> | null {
  const spacings = new Map<Use, Spacing>();
  for (const use of uses) {
    if (use.inputs.length === 0) {
      spacings.set(use, { over: 1, under: 1 });
      continue;
    }
    const window = windowsOfUse(use)?.[axis];
    const [first, ...others] = use.inputs.map((input) => spacings.get(input)!);
    if (!window || window.bound || !isAlikeForCells(use.layer, use.shape.length)) return null;
    if (others.some(({ over, under }) => over !== first.over || under !== first.under)) return null;
    const [over, under] = [first.over * window.stride, first.under * (window.up ?? 1)];
    const common = gcd(over, under);
    spacings.set(use, { over: over / common, under: under / common });
  }
  return spacings;
}

/** What of each use's cells is read along an axis, also beyond its borders. */
function readOf(uses: readonly Use[], last: Use, cell: number, axis: 0 | 1): Map<Use, Interval> {
  const read = new Map<Use, Interval>([[last, [cell, cell + 1]]]);
  for (const use of uses.toReversed()) {
    const own = read.get(use);
    const window = own && windowsOfUse(use)?.[axis];
    if (!window) continue;
    const length = (use: Use) => sidesOf(use)![axis];
    // What lies beyond the borders is 0 and reads nothing.
    const inside: Interval = [Math.max(0, own[0]), Math.min(length(use), own[1])];
    if (inside[0] >= inside[1]) continue;
    for (const input of use.inputs) {
      const all = [seen(window, inside), ...read.has(input) ? [read.get(input)!] : []];
      read.set(input, hull(all));
    }
  }
  return read;
}

/** Where the part begins and ends along an axis. */
function spanOf(
  read: ReadonlyMap<Use, Interval>,
  spacings: ReadonlyMap<Use, Spacing>,
  axis: 0 | 1,
  pixels: number,
  { margin, least }: { margin: number; least: number },
): Interval {
  let [from, to] = [pixels, 0];
  for (const [use, [start, end]] of read) {
    const { over, under } = spacings.get(use)!;
    const length = sidesOf(use)![axis];
    from = Math.min(from, start < 0 ? 0 : start * over / under);
    to = Math.max(to, end > length ? pixels : pixels - (length - end) * over / under);
  }
  const wider = Math.max(margin, (least - (to - from)) / 2);
  const period = [...spacings.values()].reduce((all, { over }) => all * over / gcd(all, over), 1);
  const first = Math.floor(Math.max(0, from - wider) / period) * period;
  return [first, pixels - Math.floor(Math.max(0, pixels - to - wider) / period) * period];
}

/**
 * The part of an image that a cell sees.
 *
 * @param layer its name, as `"features/conv1"`
 * @param cell `[y, x]` in its map for the whole image
 * @param shape `[h, w, c]` of the image
 * @param options.margin so many pixels more on each side, as far as the image goes; @default 0
 * @param options.least at least so many rows and columns, as far as the image goes; @default 0
 * @returns null where that is the whole image, and where a layer on the way does not work through windows alike everywhere
 * @throws {RangeError} if there is no such layer, or it puts out no map of a known size
 */
export function cellWindow(
  network: LayersModel,
  layer: string,
  cell: readonly [y: number, x: number],
  shape: Shape,
  { margin = 0, least = 0 }: { margin?: number; least?: number } = {},
): CellWindow | null {
  const { uses, last } = waysThrough(network, layer, shape);
  const [height, width, channels] = shape as number[];
  if (last.shape.length !== 4 || uses.filter(({ inputs }) => inputs.length === 0).length !== 1) return null;
  const spans: Interval[] = [];
  const places: number[] = [];
  for (const axis of [0, 1] as const) {
    const spacings = spacingsOf(uses, axis);
    if (!spacings) return null;
    const span = spanOf(readOf(uses, last, cell[axis], axis), spacings, axis, [height, width][axis], { margin, least });
    const { over, under } = spacings.get(last)!;
    spans.push(span);
    places.push(cell[axis] - span[0] * under / over);
  }
  const [[top, bottom], [left, right]] = spans;
  const sides = [bottom - top, right - left, channels];
  if (sides[0] === height && sides[1] === width) return null;
  const part = waysThrough(network, layer, sides);
  const isSame = uses.every((use, i) => isPartOf(part.uses[i], use, [height - sides[0], width - sides[1]]));
  return isSame ? { origin: [top, left], sides, cell: [places[0], places[1]] } : null;
}

/** Whether a map is shorter by what the image is shorter, and reads through the same windows. */
function isPartOf(part: Use, whole: Use, less: readonly number[]): boolean {
  const [a, b] = [sidesOf(part), sidesOf(whole)];
  if (!a || !b || part.problem) return false;
  if (whole.inputs.length === 0) return true;
  const [own, other] = [windowsOfUse(part), windowsOfUse(whole)];
  const sameWindows = own !== null && other !== null &&
    [0, 1].every((axis) => JSON.stringify(own[axis]) === JSON.stringify(other[axis]));
  // A layer that always makes maps of one size does not grow with the image.
  return sameWindows && [0, 1].every((axis) => less[axis] === 0 ? a[axis] === b[axis] : a[axis] < b[axis]);
}
