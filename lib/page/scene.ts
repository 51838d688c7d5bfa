/**
 * Points in space on a square canvas: where each is seen, in which order, and which one is met.
 *
 * @module
 */

import { project, type Projected, type SpacePoints, type View } from "./view.ts";

/** Bins into which points are sorted by depth. */
const BINS = 1024;
/** How near the pointer must come to a point, in pixels of the page. */
const NEAR = 12;

/** A map in space as a canvas shows it. */
export class Scene {
  readonly #points: SpacePoints;
  readonly #seen: Projected;
  readonly #starts = new Uint32Array(BINS + 1);
  /** The points from the farthest to the nearest. */
  readonly order: Uint32Array;
  /** Where each point is seen, in pixels of the canvas. */
  readonly x: Float32Array;
  readonly y: Float32Array;

  constructor(points: SpacePoints) {
    const { count } = points;
    this.#points = points;
    this.#seen = project(points, { azimuth: 0, elevation: 0 });
    this.order = new Uint32Array(count);
    this.x = new Float32Array(count);
    this.y = new Float32Array(count);
  }

  get count(): number {
    return this.#points.count;
  }

  /** How near each point is, from −1 to 1. */
  get depth(): Float32Array {
    return this.#seen.depth;
  }

  /** How much larger than in the middle each point looks. */
  get growth(): Float32Array {
    return this.#seen.growth;
  }

  /**
   * Looks from somewhere.
   *
   * @param view with the middle moved by shares of the canvas, rightwards and downwards
   * @param width of the canvas in pixels
   * @param room the share of the canvas between its middle and the outermost points
   */
  look({ x, y, ...view }: Required<View>, width: number, room: number): void {
    const { u, v, depth } = project(this.#points, { ...view, x: 0, y: 0 }, this.#seen);
    const [middleX, middleY, scale] = [width * (0.5 + x), width * (0.5 + y), width * room];
    const starts = this.#starts.fill(0);
    const bin = (d: number) => Math.min(BINS - 1, Math.max(0, Math.floor((d + 1) / 2 * BINS)));
    for (let i = 0; i < u.length; i++) {
      this.x[i] = middleX + scale * u[i];
      this.y[i] = middleY - scale * v[i];
      starts[bin(depth[i]) + 1]++;
    }
    for (let b = 0; b < BINS; b++) starts[b + 1] += starts[b];
    for (let i = 0; i < u.length; i++) this.order[starts[bin(depth[i])]++] = i;
  }

  /**
   * The point at a place of the canvas: of those whose dots are hit the nearest to the eye, else the one next to it; −1 for
   * none.
   *
   * @param dot the diameter of a dot in pixels of the page
   * @param ratio pixels of the canvas to one of the page
   * @param shown whether a point is seen
   */
  at([x, y]: readonly [number, number], { dot, ratio, shown }: {
    dot: number;
    ratio: number;
    shown: (i: number) => boolean;
  }): number {
    let hit = -1;
    let near = -1;
    let least = (NEAR * ratio) ** 2;
    for (let i = 0; i < this.count; i++) {
      const far = (this.x[i] - x) ** 2 + (this.y[i] - y) ** 2;
      if (far > least && far > (dot * ratio) ** 2) continue;
      if (!shown(i)) continue;
      const radius = dot / 2 * ratio * this.growth[i] + ratio;
      if (far <= radius * radius && (hit < 0 || this.depth[i] > this.depth[hit])) hit = i;
      if (far < least) [least, near] = [far, i];
    }
    return hit >= 0 ? hit : near;
  }

  /** The points within a closed path, in pixels of the page. */
  within(path: readonly (readonly [number, number])[], ratio: number, shown: (i: number) => boolean): number[] {
    const found: number[] = [];
    for (let i = 0; i < this.count; i++) {
      if (!shown(i)) continue;
      const [px, py] = [this.x[i] / ratio, this.y[i] / ratio];
      let inside = false;
      for (let a = 0, b = path.length - 1; a < path.length; b = a++) {
        const [ax, ay] = path[a];
        const [bx, by] = path[b];
        if (ay > py !== by > py && px < (bx - ax) * (py - ay) / (by - ay) + ax) inside = !inside;
      }
      if (inside) found.push(i);
    }
    return found;
  }
}
