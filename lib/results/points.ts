/**
 * What the results that are made of points share: the options of their figures, and the names of their points.
 *
 * @module
 */

import type { Points } from "../embed/points.ts";
import { kindOf } from "../errors.ts";
import { flag, rule } from "../options.ts";

const columnsRule = rule((name, value) => {
  if (kindOf(value) === "an object") return;
  throw new TypeError(`${name} must be an object, as { size: [3, 1, …] }: received ${kindOf(value)}.`);
});

/** The options of a figure of points. */
export class PointsFigureOptions {
  /** What else the points can be coloured by, a value for each point: strings are classes, numbers a scale. */
  @columnsRule
  columns?: Readonly<Record<string, readonly string[] | ArrayLike<number>>>;
  /**
   * Whether small pictures of the images stand on their points, where they fit; they grow as one zooms in.
   * @default true for up to 300 images
   */
  @flag()
  thumbnails?: boolean;
}

/** The name of each point: its place, where it has no other. */
export function idsOf({ ids, shape: [count] }: Points): readonly string[] {
  return ids ?? Array.from({ length: count }, (_, i) => String(i));
}
