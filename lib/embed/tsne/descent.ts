/**
 * Gradient descent of t-SNE, as each Worker of a group runs it on its share of the points.
 *
 * @module
 */

import type { Address, Layout } from "../../workers/layout.ts";
import type { Report } from "../../workers/protocol.ts";
import type { KernelFunction, KernelMember, Kernels } from "../kernels/kernels.ts";
import { gridFor, layMesh, longestFor, Mesh, type MeshPlaces } from "./mesh.ts";
import { gridFor3, layMesh3, lengthFor, Mesh3, type MeshPlaces3 } from "./mesh_3d.ts";

/** How many dimensions a map may have. */
export type Components = 2 | 3;

/** How many numbers a point of the map takes: in three dimensions a fourth, always 0, so that one load brings it. */
export function strideOf(components: Components): 2 | 4 {
  return components === 2 ? 2 : 4;
}

/** What the gradient is made of at each moment. */
export interface Schedule {
  iterations: number;
  /** The affinities are multiplied by `exaggeration` for this many iterations at the start. */
  early: number;
  exaggeration: number;
  momentum: { early: number; late: number };
  learningRate: { early: number; late: number };
}

/** One run of the descent, on whatever engine. */
export interface DescentRun {
  /** The map at the start, {@linkcode strideOf} numbers a point. */
  readonly start: Float32Array;
  readonly schedule: Schedule;
  /** Every how many iterations the divergence is reported; it always is at the end. */
  readonly reportEvery: number;
}

/** Where everything lies in the shared memory. */
export interface DescentPlaces {
  count: number;
  /** Of the map. */
  components: Components;
  /** {@linkcode strideOf} numbers a point; so are steps, gains and forces. */
  points: Address;
  /** The points as they were when the divergence was reported last. */
  shown: Address;
  steps: Address;
  gains: Address;
  attraction: Address;
  repulsion: Address;
  starts: Address;
  neighbors: Address;
  affinities: Address;
  /**
   * For each Worker 64 bytes: its part of Z, its part of Σ p ln(1 + d²), 16 unused bytes, and the extent of its
   * points, the smallest of each coordinate before the largest.
   */
  parts: Address;
  /** Absent where repulsion is computed exactly, or the map has three dimensions. */
  mesh?: MeshPlaces;
  /** Of a map of three dimensions. */
  mesh3?: MeshPlaces3;
}

export interface DescentJob {
  places: DescentPlaces;
  schedule: Schedule;
  /** Σ p ln p, the part of the divergence that does not change. */
  entropy: number;
  /** Every how many iterations the divergence is reported; it always is at the end. */
  reportEvery: number;
}

/** What the first Worker reports on the way. */
export interface DescentProgress {
  iteration: number;
  klDivergence: number;
  /** The map at that moment, {@linkcode strideOf} numbers a point. */
  points: Float32Array;
}

/** Takes the memory for a descent. */
export function layDescent(
  layout: Layout,
  { count, components = 2, edges, threads, exact }: {
    count: number;
    components?: Components;
    edges: number;
    threads: number;
    exact: boolean;
  },
): DescentPlaces {
  const each = 4 * strideOf(components) * (count + 1);
  return {
    count,
    components,
    points: layout.take(each),
    shown: layout.take(each),
    steps: layout.take(each),
    gains: layout.take(each),
    attraction: layout.take(each),
    repulsion: layout.take(each),
    starts: layout.take(4 * (count + 1)),
    neighbors: layout.take(4 * edges),
    affinities: layout.take(4 * edges),
    parts: layout.take(64 * threads),
    ...(exact
      ? {}
      : components === 2
      ? { mesh: layMesh(layout, longestFor(count), threads) }
      : { mesh3: layMesh3(layout, count, lengthFor(count), threads) }),
  };
}

/** The kernels for 2 or 3 dimensions. */
function kernelsFor(kernels: Kernels, components: Components) {
  const { attract, repelExact, move, logDistances, attract3, repelExact3, move3, logDistances3 } = kernels;
  return components === 2
    ? { attract, repelExact, move, logDistances }
    : { attract: attract3, repelExact: repelExact3, move: move3, logDistances: logDistances3 };
}

/**
 * How repulsion is computed: from the extent of the map, the repulsion of the points `from` to `to`, and their part of Z.
 */
function repelling(
  member: KernelMember,
  { count, components, points, repulsion, mesh, mesh3 }: DescentPlaces,
  share: readonly [from: number, to: number],
): (extent: ArrayLike<number>) => number {
  if (mesh) {
    const plane = new Mesh(member, mesh);
    return (extent) => plane.repel(points, count, share, gridFor(extent, mesh.longest, count), repulsion);
  }
  if (mesh3) {
    const space = new Mesh3(member, mesh3);
    return (extent) => space.repel(points, count, share, gridFor3(extent, mesh3.length), repulsion);
  }
  const { repelExact } = kernelsFor(member.kernels, components);
  return () => repelExact(points, count, ...share, repulsion);
}

/** Runs the descent; the points move in the shared memory. */
export function descend(
  member: KernelMember,
  { places, schedule, entropy, reportEvery }: DescentJob,
  report: Report<DescentProgress>,
): void {
  const { kernels, thread, threads, memory: { buffer } } = member;
  const { count, components, points, steps, gains, attraction, repulsion, starts, neighbors, affinities } = places;
  const { attract, move, logDistances } = kernelsFor(kernels, components);
  const stride = strideOf(components);
  const [from, to] = member.share(count, 2);
  // The kernel moves two points at once.
  const even = to + to % 2;
  const repel = repelling(member, places, [from, to]);
  const parts = new Float64Array(buffer, places.parts, 8 * threads);
  const extents = new Float32Array(buffer, places.parts, 16 * threads);
  const sum = (slot: number) => {
    let total = 0;
    for (let t = 0; t < threads; t++) total += parts[8 * t + slot];
    return total;
  };
  const map = new Float32Array(buffer, points, stride * count);
  const shown = new Float32Array(buffer, places.shown, stride * count);
  const extent = () => {
    const all = extents.slice(8, 8 + 2 * stride);
    for (let t = 1; t < threads; t++) {
      for (let i = 0; i < all.length; i++) {
        all[i] = (i < stride ? Math.min : Math.max)(all[i], extents[16 * t + 8 + i]);
      }
    }
    return all;
  };

  for (let iteration = 0; iteration <= schedule.iterations; iteration++) {
    const phase = iteration < schedule.early ? "early" : "late";
    const last = iteration === schedule.iterations;
    const reporting = last || (iteration > 0 && iteration % reportEvery === 0);
    if (!last) attract(points, from, to, starts, neighbors, affinities, attraction);
    if (reporting) {
      parts[8 * thread + 1] = logDistances(points, from, to, starts, neighbors, affinities);
      // While the first Worker reports, the others go on.
      shown.set(map.subarray(stride * from, stride * to), stride * from);
    }
    parts[8 * thread] = repel(extent());
    member.meet();
    const z = sum(0) - count;
    if (reporting && thread === 0) {
      report({ iteration, klDivergence: entropy + sum(1) + Math.log(z), points: shown.slice() });
    }
    if (last) return;
    const exaggeration = phase === "early" ? schedule.exaggeration : 1;
    const rate = schedule.learningRate[phase];
    const momentum = schedule.momentum[phase];
    const out = places.parts + 64 * thread + 32;
    move(points, from, even, attraction, repulsion, steps, gains, exaggeration, 1 / z, rate, momentum, out);
    member.meet();
  }
}

export const DESCEND: KernelFunction<DescentJob, DescentProgress> = { module: import.meta.url, run: descend };
