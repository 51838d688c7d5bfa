/**
 * Gradient descent of t-SNE, as each Worker of a crew runs it on its share of the points.
 *
 * @module
 */

import type { Address, Layout } from "./layout.ts";
import { gridFor, layMesh, longestFor, Mesh, type MeshPlaces } from "./mesh.ts";
import type { Team } from "./team.ts";

/** What the gradient is made of at each moment. */
export interface Schedule {
  iterations: number;
  /** The affinities are multiplied by `exaggeration` for the first so many iterations. */
  early: number;
  exaggeration: number;
  momentum: { early: number; late: number };
  learningRate: { early: number; late: number };
}

/** Where everything stands in the shared memory. */
export interface DescentPlaces {
  count: number;
  points: Address;
  /** The points as they were when the divergence was told last. */
  shown: Address;
  steps: Address;
  gains: Address;
  attraction: Address;
  repulsion: Address;
  starts: Address;
  neighbors: Address;
  affinities: Address;
  /** For each Worker 64 bytes: its part of Z, its part of Σ p ln(1 + d²), and the extent of its points. */
  parts: Address;
  /** Absent where repulsion is computed exactly. */
  mesh?: MeshPlaces;
}

export interface DescentJob {
  kind: "descend";
  places: DescentPlaces;
  schedule: Schedule;
  /** Σ p ln p, the part of the divergence that does not change. */
  entropy: number;
  /** After so many iterations the divergence is told; it always is at the end. */
  tellEvery: number;
}

/** What the first Worker tells on the way. */
export interface DescentNews {
  kind: "iteration";
  iteration: number;
  klDivergence: number;
  /** The map at that moment. */
  points: Float32Array;
}

/** Takes the memory for a descent. */
export function layDescent(
  layout: Layout,
  { count, edges, threads, exact }: { count: number; edges: number; threads: number; exact: boolean },
): DescentPlaces {
  const each = 8 * (count + 1);
  return {
    count,
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
    ...(exact ? {} : { mesh: layMesh(layout, longestFor(count), threads) }),
  };
}

/** Runs the descent; the points move in the shared memory. */
export function descend(
  team: Team,
  { places, schedule, entropy, tellEvery }: DescentJob,
  tell: (n: DescentNews) => void,
) {
  const { kernels, thread, threads, memory: { buffer } } = team;
  const { count, points, steps, gains, attraction, repulsion, starts, neighbors, affinities } = places;
  const [from, to] = team.share(count, 2);
  // The kernel moves two points at once.
  const even = to + to % 2;
  const mesh = places.mesh && new Mesh(team, places.mesh);
  const parts = new Float64Array(buffer, places.parts, 8 * threads);
  const extents = new Float32Array(buffer, places.parts, 16 * threads);
  const sum = (slot: number) => {
    let total = 0;
    for (let t = 0; t < threads; t++) total += parts[8 * t + slot];
    return total;
  };
  const map = new Float32Array(buffer, points, 2 * count);
  const shown = new Float32Array(buffer, places.shown, 2 * count);
  const extent = () => {
    const all = [Infinity, Infinity, -Infinity, -Infinity];
    for (let t = 0; t < threads; t++) {
      for (let i = 0; i < 4; i++) all[i] = (i < 2 ? Math.min : Math.max)(all[i], extents[16 * t + 8 + i]);
    }
    return all;
  };

  for (let iteration = 0; iteration <= schedule.iterations; iteration++) {
    const phase = iteration < schedule.early ? "early" : "late";
    const last = iteration === schedule.iterations;
    const telling = last || (iteration > 0 && iteration % tellEvery === 0);
    if (!last) kernels.attract(points, from, to, starts, neighbors, affinities, attraction);
    if (telling) {
      parts[8 * thread + 1] = kernels.logDistances(points, from, to, starts, neighbors, affinities);
      // While the first Worker tells, the others go on.
      shown.set(map.subarray(2 * from, 2 * to), 2 * from);
    }
    parts[8 * thread] = mesh
      ? mesh.repel(points, count, [from, to], gridFor(extent(), mesh.places.longest, count), repulsion)
      : kernels.repelExact(points, count, from, to, repulsion);
    team.meet();
    const z = sum(0) - count;
    if (telling && thread === 0) {
      tell({ kind: "iteration", iteration, klDivergence: entropy + sum(1) + Math.log(z), points: shown.slice() });
    }
    if (last) return;
    const exaggeration = phase === "early" ? schedule.exaggeration : 1;
    const rate = schedule.learningRate[phase];
    const momentum = schedule.momentum[phase];
    const out = places.parts + 64 * thread + 32;
    kernels.move(points, from, even, attraction, repulsion, steps, gains, exaggeration, 1 / z, rate, momentum, out);
    team.meet();
  }
}
