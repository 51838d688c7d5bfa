/**
 * Repulsion between all points of a map of three dimensions.
 *
 * Such maps are wide and mostly empty: one of 10,000 points spans 150 units, and a mesh as fine as the plane's would have
 * tens of millions of nodes. So the kernel is cut into a smooth part, which a coarse mesh resolves, and a rest that ends at
 * a reach of some nodes, which is summed over the pairs that are so near (particle-particle particle-mesh: Hockney and
 * Eastwood 1988, "Computer simulation using particles", ch. 8; a smooth part from the kernel's series as in multilevel
 * summation: Skeel, Tezcan and Hardy 2002, "Multiple grid methods for classical molecular dynamics"). `kernels/mesh_3d.as`
 * has the formula. Charges are spread by cubic B-splines. Maps of MNIST had forces off by less than 0.1 % in the early
 * iterations, 0.4 % where they unfold, and 0.2 % at the end, as the root of the mean square.
 *
 * @module
 */

import type { Address, Layout } from "../../workers/layout.ts";
import { orderOf, twiddles } from "./mesh.ts";
import type { KernelMember } from "../kernels/kernels.ts";

/** The largest distance of two nodes, in units of the map, that resolves the whole kernel. */
const FINE = 0.25;

/** How far pairs are summed one by one, so that a mesh of this spacing resolves the rest. */
const reachFor = (spacing: number) => spacing > FINE ? Math.min(4 * spacing, 2 * spacing + 1.4) : 0;

/** Nodes beside the map: the splines need 4, and in 4 more the kernel levels off where it repeats itself. */
const MARGIN = 8;

/** Spacings differ by such steps, so that the kernel is not made anew each time. */
const STEP = 1.05;

/**
 * The length of the transforms, of which the map has half. More nodes cost more, but leave fewer pairs to sum: so many that
 * for the largest number of points of each length both take about the same time.
 */
export function lengthFor(points: number): number {
  return LENGTHS.find(({ most }) => points <= most)!.length;
}

const LENGTHS = [
  { length: 64, most: 10_000 },
  { length: 128, most: 80_000 },
  { length: 192, most: 250_000 },
  { length: 256, most: 600_000 },
  { length: 384, most: Infinity },
];

/** The grid for a map. */
export interface Grid3 {
  /** The distance of two nodes. */
  spacing: number;
  /** How far pairs are summed one by one; 0 where the mesh has all. */
  reach: number;
  /** The map is so small that the kernel is taken less 1: else all would be lost in rounding. */
  near: boolean;
  /** Where the first node lies. */
  origin: readonly number[];
  /** The least x, y and z of the points. */
  low: readonly number[];
  /** How many cells a side pairs are looked up in. */
  cells: number;
}

/**
 * Chooses a grid.
 *
 * @param extent the smallest x, y and z, a 0, the largest x, y and z, a 0
 * @param length of the transforms
 */
export function gridFor3(extent: ArrayLike<number>, length: number): Grid3 {
  const side = length / 2;
  const low = [extent[0], extent[1], extent[2]];
  const high = [extent[4], extent[5], extent[6]];
  const span = Math.max(...high.map((value, c) => value - low[c]));
  // The finest for which there is room. Points that all lie on one another have no span.
  let spacing = FINE;
  while (span / spacing + MARGIN > side) spacing *= STEP;
  while (span / (spacing / STEP) + MARGIN <= side && spacing > 1e-6) spacing /= STEP;
  const reach = reachFor(spacing);
  return {
    spacing,
    reach,
    near: span < 1,
    origin: low.map((value, c) => (value + high[c]) / 2 - spacing * side / 2),
    low,
    cells: reach > 0 ? Math.floor(2 * span / reach) + 1 : 0,
  };
}

/**
 * For each frequency of a direction, what undoes the splines of charge and slope with the least mean error (Hockney and
 * Eastwood 1988, §8-3-3), times the cubic root of the scale of the transforms. A cubic spline's transform is sinc⁴; the sum
 * of its square over all frequencies that look the same at the nodes is that of a spline of degree 7, which is 2416, 1191,
 * 120, 1 of 5040 there.
 */
function corrections(length: number): Float32Array {
  return Float32Array.from({ length }, (_, k) => {
    const angle = 2 * Math.PI * Math.min(k, length - k) / length;
    const square = angle > 0 ? (Math.sin(angle / 2) / (angle / 2)) ** 8 : 1;
    const all = (2416 + 2382 * Math.cos(angle) + 240 * Math.cos(2 * angle) + 2 * Math.cos(3 * angle)) / 5040;
    return Math.cbrt(0.5) / length * square / all ** 2;
  });
}

/** Where the mesh stands in the shared memory. */
export interface MeshPlaces3 {
  length: number;
  grids: Address;
  potential: Address;
  middle: Address;
  kernel: Address;
  scratch: Address;
  twiddles: Address;
  order: Address;
  corrections: Address;
  starts: Address;
  sorted: Address;
  room: Address;
  /** The bytes of one list of points. */
  list: number;
}

/** Takes the memory for a mesh. */
export function layMesh3(layout: Layout, count: number, length: number, threads: number): MeshPlaces3 {
  const side = length / 2;
  const blocks = Math.floor(length / 32) + 1;
  // Half of a reach is wider than the distance of two nodes.
  const cells = side;
  const list = 4 * count + 64;
  return {
    length,
    grids: layout.take(4 * side ** 3 * threads),
    potential: layout.take(4 * side ** 3),
    middle: layout.take(128 * blocks * side * (length + 1)),
    kernel: layout.take(64 * blocks * (side + 1) * length),
    scratch: layout.take(128 * length * threads),
    twiddles: layout.take(8 * length),
    order: layout.take(4 * length),
    corrections: layout.take(4 * length),
    starts: layout.take(4 * (cells ** 3 + 2)),
    sorted: layout.take(4 * list),
    room: layout.take(3 * list * threads),
    list,
  };
}

/** The mesh in the hands of one Worker. All Workers call the same methods in the same order. */
export class Mesh3 {
  #spacing = 0;
  #near = false;
  readonly #scratch: Address;

  constructor(readonly member: KernelMember, readonly places: MeshPlaces3) {
    const { length } = places;
    this.#scratch = places.scratch + 128 * length * member.thread;
    if (member.thread > 0) return;
    const { buffer } = member.memory;
    new Float32Array(buffer, places.twiddles, 2 * length).set(twiddles(length));
    new Int32Array(buffer, places.order, length).set(orderOf(length));
    new Float32Array(buffer, places.corrections, length).set(corrections(length));
  }

  /** Calls with each of this Worker's part of `count` things, which are taken in turns. */
  #turns(count: number, work: (i: number) => void): void {
    const { thread, threads } = this.member;
    for (let i = thread; i < count; i += threads) work(i);
  }

  /** Makes the transform of the kernel for a grid, unless it is there already. */
  #prepare({ spacing, reach, near }: Grid3): void {
    if (spacing === this.#spacing && near === this.#near) return;
    this.#spacing = spacing;
    this.#near = near;
    const { member: { kernels }, places: { length, middle, kernel, twiddles: w, order, corrections } } = this;
    const scratch = this.#scratch;
    const side = length / 2;
    const blocks = Math.floor(length / 32) + 1;
    this.member.meet();
    this.#turns(
      side * side / 32,
      (i) => kernels.kernelZ(32 * i, length, spacing, reach, near, scratch, w, order, middle),
    );
    this.member.meet();
    this.#turns(blocks * side, (row) => kernels.kernelX(row, length, middle, scratch, w, order));
    this.member.meet();
    this.#turns(blocks * (side + 1), (i) => {
      const block = Math.floor(i / (side + 1));
      const k = i % (side + 1);
      kernels.kernelY(block, k, length, middle, kernel, scratch, w, order, corrections);
    });
    this.member.meet();
  }

  /**
   * Writes the repulsion of the points `from` to `to`, before the division by Z, while the other Workers do it for
   * theirs.
   *
   * @param count how many points there are in all
   * @returns this Worker's part of Z, each point's 1 with itself included
   */
  repel(
    points: Address,
    count: number,
    [from, to]: readonly [number, number],
    grid: Grid3,
    repulsion: Address,
  ): number {
    this.#prepare(grid);
    const { member, places } = this;
    const { kernels, thread, threads } = member;
    const { spacing, reach, near, origin: [left, top, front], low, cells } = grid;
    const { length, grids, potential, twiddles: w, order, middle, kernel, starts, sorted, list } = places;
    const scratch = this.#scratch;
    const side = length / 2;
    const blocks = Math.floor(length / 32) + 1;
    if (reach > 0 && thread === threads - 1) {
      kernels.sortIntoCells(points, count, low[0], low[1], low[2], 2 / reach, cells, starts, sorted, list);
    }
    kernels.spread3(points, from, to, grids + 4 * side ** 3 * thread, side, left, top, front, 1 / spacing);
    member.meet();
    const room = places.room + 3 * list * thread;
    this.#turns(cells * cells, (row) => kernels.repelNear(row, cells, reach, starts, sorted, list, room, repulsion));
    this.#turns(
      side * side / 32,
      (i) => kernels.forwardZ(32 * i, length, grids, threads, scratch, w, order, middle),
    );
    member.meet();
    this.#turns(blocks * side, (row) => kernels.forwardX(row, length, middle, w));
    member.meet();
    this.#turns(blocks * length, (i) => {
      const block = Math.floor(i / length);
      kernels.convolveY(block, i % length, length, middle, kernel, scratch, w, order);
    });
    member.meet();
    this.#turns(blocks * side, (row) => kernels.inverseX(row, length, middle, w));
    member.meet();
    this.#turns(side * side / 32, (i) => kernels.inverseZ(32 * i, length, potential, scratch, w, order, middle));
    member.meet();
    const sum = kernels.gather3(
      points,
      from,
      to,
      potential,
      side,
      left,
      top,
      front,
      1 / spacing,
      reach > 0,
      repulsion,
    );
    return near ? sum + count * (to - from) : sum;
  }
}
