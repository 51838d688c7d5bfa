/**
 * From where points in space are looked at.
 *
 * @module
 */

import { extent } from "../extent.ts";

/** The middle of all points, the side of the square or cube that holds them, and in space the radius of the ball. */
export interface MapBox {
  x: number;
  y: number;
  z?: number;
  side: number;
  radius?: number;
}

/** Where points lie on a map in space. */
export interface SpacePoints {
  kind: "space";
  count: number;
  x: Float32Array;
  y: Float32Array;
  z: Float32Array;
  /** The middle and the side of the cube that holds all points, and the radius of the ball around the same middle. */
  box: { x: number; y: number; z: number; side: number; radius: number };
}

/** Where the eye is: it looks at the middle of the points, their third axis pointing upwards. */
export interface View {
  /** Around the third axis, in degrees; at 0 the first axis points to the eye and the second one to the right. */
  azimuth: number;
  /** Above the plane of the first two axes, in degrees. */
  elevation: number;
  /** How much larger than whole the ball of all points is drawn. @default 1 */
  zoom?: number;
  /** How far to the right and upwards the middle of the ball is moved, in halves of the picture. @default 0 */
  x?: number;
  y?: number;
}

/** Points as the eye sees them; lengths are in radii of the ball that holds all points. */
export interface Projected {
  /** To the right and upwards, from −1 to 1 across the picture; without zoom all lie in a circle of radius 1. */
  u: Float32Array;
  v: Float32Array;
  /** How near each point is, from −1 to 1. */
  depth: Float32Array;
  /** How much larger than in the middle a point looks. */
  growth: Float32Array;
}

/** Where a map is looked at from while t-SNE still moves its points. */
export const STEADY_VIEW: View = { azimuth: 30, elevation: 20 };

/** How far the eye is from the middle, in radii. Near points look larger, the more the nearer the eye. */
export const EYE = 3.5;
/** What lies at the side of the ball seems to be so far from the middle. */
export const WIDEST = EYE / Math.sqrt(EYE ** 2 - 1);
/** So much of the colour of the farthest points is lost in haze. */
export const HAZE = 0.6;
/** The size of dots on a background, as a multiple of others; they are ringed. */
export const RAISED = 1.5;

/** Points as the eye sees them; `seen` is where they are written to. */
export function project(
  { count, x, y, z, box }: Omit<SpacePoints, "kind">,
  { azimuth, elevation, zoom = 1, x: right = 0, y: up = 0 }: View,
  seen: Projected = {
    u: new Float32Array(count),
    v: new Float32Array(count),
    depth: new Float32Array(count),
    growth: new Float32Array(count),
  },
): Projected {
  const [a, e] = [azimuth * Math.PI / 180, elevation * Math.PI / 180];
  const [ca, sa, ce, se] = [Math.cos(a), Math.sin(a), Math.cos(e), Math.sin(e)];
  for (let i = 0; i < count; i++) {
    const [px, py, pz] = [(x[i] - box.x) / box.radius, (y[i] - box.y) / box.radius, (z[i] - box.z) / box.radius];
    const towards = ca * px + sa * py;
    const depth = ce * towards + se * pz;
    const growth = EYE / (EYE - depth);
    seen.u[i] = right + zoom * (ca * py - sa * px) * growth / WIDEST;
    seen.v[i] = up + zoom * (ce * pz - se * towards) * growth / WIDEST;
    seen.depth[i] = depth;
    seen.growth[i] = growth;
  }
  return seen;
}

/** The views that are tried: all around, a little from above. */
const AZIMUTHS = Array.from({ length: 24 }, (_, i) => 15 * i);
const ELEVATIONS = [12, 24, 36];
/** Points that a view is judged by, and squares across the picture: the more of them hold a point, the better the view. */
const SAMPLE = 2000;
const ACROSS = 28;

/** What is seen of the ball from one side may be enlarged so far, or points would be lost as it turns. */
const CLOSEST = 1.5;

/** The view in which the fewest points hide one another, as near as all of them are in sight. */
export function bestView(points: SpacePoints): View {
  const step = Math.ceil(points.count / SAMPLE);
  const count = Math.ceil(points.count / step);
  const some = (from: Float32Array) => Float32Array.from({ length: count }, (_, i) => from[i * step]);
  const sample = { ...points, count, x: some(points.x), y: some(points.y), z: some(points.z) };
  let best = STEADY_VIEW;
  let most = 0;
  for (const elevation of ELEVATIONS) {
    for (const azimuth of AZIMUTHS) {
      const { u, v } = project(sample, { azimuth, elevation });
      const square = (at: number) => Math.floor((at + 1) / 2 * ACROSS);
      const filled = new Set(u.keys().map((i) => square(v[i]) * ACROSS + square(u[i]))).size;
      if (filled > most) [best, most] = [{ azimuth, elevation }, filled];
    }
  }
  const { u, v } = project(points, best);
  const [[left, right], [bottom, top]] = [extent(u), extent(v)];
  const zoom = Math.min(CLOSEST, 2 / (Math.max(right - left, top - bottom) || 2));
  return { ...best, zoom, x: -zoom * (left + right) / 2, y: -zoom * (bottom + top) / 2 };
}
