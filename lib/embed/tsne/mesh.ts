/**
 * Repulsion between all points by a mesh, in time that grows with the points and not with their square.
 *
 * Each point is a unit charge, spread over the 6×6 nearest nodes of a grid by quintic B-splines. A convolution with the
 * kernel 1/(1 + d²), by Fourier transforms, makes the potential φ; read at the points it gives Z = Σ φ − N, and its
 * slope the repulsion −½ ∇φ / Z. This is particle-mesh Ewald without a near field (Essmann et al. 1995, "A smooth
 * particle mesh Ewald method"; for t-SNE with other kernels Linderman et al. 2019, "Fast interpolation-based t-SNE"):
 * the kernel is so smooth that a grid of a third of a unit resolves it.
 *
 * @module
 */

import type { Address, Layout } from "../../workers/layout.ts";
import type { KernelMember } from "../kernels/kernels.ts";

/**
 * The distance of two nodes in units of the map, at most, as long as the grid need not be coarser. Finished maps of MNIST
 * then have forces off by less than 0.5 %, as the root of the mean square; mostly it is less than half of that, as a grid
 * is made as fine as it has room for. Where points are few they stand far apart, and the nearest weigh most: they need the
 * finest grid.
 */
const spacingFor = (count: number) => count < 5000 ? 0.3 : count < 20_000 ? 0.35 : 0.395;

/** The lengths of the transforms: the map has half of it. */
const LENGTHS = [64, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096];

/** Nodes that the splines need beside the map. */
const MARGIN = 8;

/** The radices of the stages of a transform, in the order of the forward one. */
export function radices(length: number): number[] {
  const stages: number[] = [];
  let rest = length;
  for (; rest > 3 && rest !== 6; rest /= 4) stages.push(4);
  if (rest % 2 === 0) stages.push(2);
  if (rest % 3 === 0) stages.push(3);
  return stages;
}

/** Where the forward transform leaves each frequency. */
export function orderOf(length: number): Int32Array {
  const order = new Int32Array(length);
  for (let place = 0; place < length; place++) {
    let [frequency, weight, size, inside] = [0, 1, length, place];
    for (const radix of radices(length)) {
      size /= radix;
      frequency += weight * Math.floor(inside / size);
      weight *= radix;
      inside %= size;
    }
    order[frequency] = place;
  }
  return order;
}

/** exp(−2πi k / length) for every k, as pairs. */
export function twiddles(length: number): Float32Array {
  return Float32Array.from(
    { length: 2 * length },
    (_, i) => i % 2 ? -Math.sin(Math.PI * (i - 1) / length) : Math.cos(Math.PI * i / length),
  );
}

/**
 * For each frequency of a direction, what undoes the splines of charge and slope (at the nodes a quintic B-spline is
 * 1, 26, 66, 26, 1 of 120, whose transform is (33 + 26 cos k + cos 2k)/60), times the root of the scale of the transforms.
 */
export function corrections(length: number): Float32Array {
  return Float32Array.from(
    { length },
    (_, k) => {
      const angle = 2 * Math.PI * k / length;
      return Math.SQRT1_2 / length * (60 / (33 + 26 * Math.cos(angle) + Math.cos(2 * angle))) ** 2;
    },
  );
}

/** The grid for a map. */
export interface Grid {
  /** Of the transforms; the grid has half as many nodes a side. */
  length: number;
  /** The distance of two nodes. */
  spacing: number;
  /** The map is so small that the kernel is taken as 1/(1 + d²) − 1: else all would be lost in rounding. */
  near: boolean;
  /** Where node (0, 0) lies. */
  left: number;
  top: number;
}

/** Spacings differ by such steps, so that the kernel is not made anew each time. */
const STEP = 1.05;

/**
 * Chooses a grid.
 *
 * @param extent smallest x, smallest y, largest x, largest y
 * @param longest the longest transform that there is memory for
 * @param count how many points there are
 */
export function gridFor(extent: ArrayLike<number>, longest: number, count: number): Grid {
  const span = Math.max(extent[2] - extent[0], extent[3] - extent[1]);
  let wide = spacingFor(count);
  while (span / wide + MARGIN > longest / 2) wide *= STEP;
  const length = LENGTHS.find((each) => each / 2 >= span / wide + MARGIN && each <= longest)!;
  // The room that is left makes it finer at no cost. Points that all lie on one another have no span.
  while (span / (wide / STEP) + MARGIN <= length / 2 && wide > 1e-6) wide /= STEP;
  const start = (low: number, high: number) => (low + high) / 2 - wide * (length / 4);
  return {
    length,
    spacing: wide,
    near: span < 1,
    left: start(extent[0], extent[2]),
    top: start(extent[1], extent[3]),
  };
}

/** Where the mesh stands in the shared memory. */
export interface MeshPlaces {
  longest: number;
  grids: Address;
  potential: Address;
  middle: Address;
  kernel: Address;
  scratch: Address;
  twiddles: Address;
  order: Address;
  corrections: Address;
}

/** The longest transform that may be needed: maps grow with the root of their points, by about 0.6 units each. */
export function longestFor(points: number): number {
  return points > 20_000 ? 4096 : 2048;
}

/** Takes the memory for a mesh; what a small map leaves untouched stays without cost. */
export function layMesh(layout: Layout, longest: number, threads: number): MeshPlaces {
  const side = longest / 2;
  const blocks = longest / 32 + 1;
  return {
    longest,
    grids: layout.take(4 * side * side * threads),
    potential: layout.take(4 * side * side),
    middle: layout.take(128 * blocks * side),
    kernel: layout.take(64 * blocks * longest),
    scratch: layout.take(128 * longest * threads),
    twiddles: layout.take(8 * longest),
    order: layout.take(4 * longest),
    corrections: layout.take(4 * longest),
  };
}

/** The mesh in the hands of one Worker. All Workers call the same methods in the same order. */
export class Mesh {
  #length = 0;
  #spacing = 0;
  #near = false;
  readonly #scratch: Address;

  constructor(readonly member: KernelMember, readonly places: MeshPlaces) {
    this.#scratch = places.scratch + 128 * places.longest * member.thread;
  }

  /** Makes the transform of the kernel for a grid, unless it is there already. */
  #prepare({ length, spacing, near }: Grid): void {
    if (length === this.#length && spacing === this.#spacing && near === this.#near) return;
    const { member, places } = this;
    const { kernels, thread, threads, memory: { buffer } } = member;
    if (length !== this.#length && thread === 0) {
      new Float32Array(buffer, places.twiddles, 2 * length).set(twiddles(length));
      new Int32Array(buffer, places.order, length).set(orderOf(length));
      new Float32Array(buffer, places.corrections, length).set(corrections(length));
    }
    member.meet();
    this.#length = length;
    this.#spacing = spacing;
    this.#near = near;
    const { twiddles: w, order, middle } = places;
    for (let x0 = 32 * thread; x0 < length / 2; x0 += 32 * threads) {
      kernels.kernelColumns(x0, length, spacing, near, this.#scratch, w, order, middle);
    }
    member.meet();
    for (let block = thread; block <= length / 32; block += threads) {
      kernels.kernelRows(block, length, middle, places.kernel, this.#scratch, w, order, places.corrections);
    }
    member.meet();
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
    grid: Grid,
    repulsion: Address,
  ): number {
    this.#prepare(grid);
    const { member, places } = this;
    const { kernels, thread, threads } = member;
    const { length, spacing, near, left, top } = grid;
    const side = length / 2;
    const { grids, potential, twiddles: w, order, middle, kernel } = places;
    kernels.spread(points, from, to, grids + 4 * side * side * thread, side, left, top, 1 / spacing);
    member.meet();
    for (let x0 = 32 * thread; x0 < side; x0 += 32 * threads) {
      kernels.columnsForward(x0, length, grids, threads, this.#scratch, w, order, middle);
    }
    member.meet();
    for (let block = thread; block <= length / 32; block += threads) {
      kernels.rows(block, length, middle, kernel, this.#scratch, w);
    }
    member.meet();
    for (let x0 = 32 * thread; x0 < side; x0 += 32 * threads) {
      kernels.columnsInverse(x0, length, potential, this.#scratch, w, order, middle);
    }
    member.meet();
    const sum = kernels.gather(points, from, to, potential, side, left, top, 1 / spacing, repulsion);
    return near ? sum + count * (to - from) : sum;
  }
}
