/**
 * What `kernels.wasm` exports, and the Workers that compute with it; the `.as` files say what each kernel does. Numbers
 * are addresses in bytes, counts and indices, unless their name says otherwise.
 *
 * @module
 */

import { type GroupFunction, threadsFor, WorkerGroup } from "../../workers/group.ts";
import type { GroupMember } from "../../workers/member.ts";

export interface Kernels {
  forward(x: number, length: number, w: number, width: number, half: boolean): void;
  inverse(x: number, length: number, w: number, width: number, half: boolean): void;
  // deno-fmt-ignore
  spread(points: number, from: number, to: number, grid: number, side: number, left: number, top: number, perUnit: number): void;
  // deno-fmt-ignore
  gather(points: number, from: number, to: number, potential: number, side: number, left: number, top: number, perUnit: number, repulsion: number): number;
  // deno-fmt-ignore
  columnsForward(x0: number, length: number, grids: number, threads: number, scratch: number, w: number, order: number, middle: number): void;
  rows(block: number, length: number, middle: number, kernel: number, scratch: number, w: number): void;
  // deno-fmt-ignore
  columnsInverse(x0: number, length: number, potential: number, scratch: number, w: number, order: number, middle: number): void;
  // deno-fmt-ignore
  kernelColumns(x0: number, length: number, spacing: number, near: boolean, scratch: number, w: number, order: number, middle: number): void;
  // deno-fmt-ignore
  kernelRows(block: number, length: number, middle: number, kernel: number, scratch: number, w: number, order: number, correction: number): void;
  // deno-fmt-ignore
  spread3(points: number, from: number, to: number, grid: number, side: number, left: number, top: number, front: number, perUnit: number): void;
  // deno-fmt-ignore
  gather3(points: number, from: number, to: number, potential: number, side: number, left: number, top: number, front: number, perUnit: number, near: boolean, repulsion: number): number;
  // deno-fmt-ignore
  forwardZ(first: number, length: number, grids: number, threads: number, scratch: number, w: number, order: number, middle: number): void;
  // deno-fmt-ignore
  inverseZ(first: number, length: number, potential: number, scratch: number, w: number, order: number, middle: number): void;
  forwardX(row: number, length: number, middle: number, w: number): void;
  inverseX(row: number, length: number, middle: number, w: number): void;
  // deno-fmt-ignore
  convolveY(block: number, k: number, length: number, middle: number, kernel: number, scratch: number, w: number, order: number): void;
  // deno-fmt-ignore
  kernelZ(first: number, length: number, spacing: number, reach: number, near: boolean, scratch: number, w: number, order: number, middle: number): void;
  kernelX(row: number, length: number, middle: number, scratch: number, w: number, order: number): void;
  // deno-fmt-ignore
  kernelY(block: number, k: number, length: number, middle: number, kernel: number, scratch: number, w: number, order: number, correction: number): void;
  // deno-fmt-ignore
  sortIntoCells(points: number, count: number, left: number, top: number, front: number, perUnit: number, cells: number, starts: number, sorted: number, list: number): void;
  // deno-fmt-ignore
  repelNear(row: number, cells: number, reach: number, starts: number, sorted: number, list: number, room: number, repulsion: number): void;
  // deno-fmt-ignore
  attract(points: number, from: number, to: number, starts: number, neighbors: number, affinities: number, out: number): void;
  repelExact(points: number, count: number, from: number, to: number, out: number): number;
  // deno-fmt-ignore
  move(points: number, from: number, to: number, attraction: number, repulsion: number, steps: number, gains: number, exaggeration: number, perZ: number, rate: number, momentum: number, extent: number): void;
  // deno-fmt-ignore
  logDistances(points: number, from: number, to: number, starts: number, neighbors: number, affinities: number): number;
  // deno-fmt-ignore
  attract3(points: number, from: number, to: number, starts: number, neighbors: number, affinities: number, out: number): void;
  repelExact3(points: number, count: number, from: number, to: number, out: number): number;
  // deno-fmt-ignore
  move3(points: number, from: number, to: number, attraction: number, repulsion: number, steps: number, gains: number, exaggeration: number, perZ: number, rate: number, momentum: number, extent: number): void;
  // deno-fmt-ignore
  logDistances3(points: number, from: number, to: number, starts: number, neighbors: number, affinities: number): number;
  // deno-fmt-ignore
  frame(queries: number, dimensions: number, list: number, listed: number, centre: number, scale: number, rows: number, halves: number): void;
  // deno-fmt-ignore
  nearest(rows: number, squares: number, dimensions: number, list: number, listed: number, own: number, panels: number, halves: number, ids: number, first: number, last: number, k: number, scores: number, indices: number, room: number): void;
  sort(scores: number, indices: number, k: number): void;
  squares(query: number, candidates: number, dimensions: number, list: number, listed: number, out: number): void;
}

/** The compiled kernels. */
export const BINARY = new URL("./kernels.wasm", import.meta.url);

/** Workers that compute with the kernels. */
export type KernelGroup = WorkerGroup<Kernels>;

/** One of these Workers. */
export type KernelMember = GroupMember<Kernels>;

/** A function that all of them run. */
export type KernelFunction<Job, Progress> = GroupFunction<Kernels, Job, Progress>;

/**
 * Starts Workers that compute with the kernels.
 *
 * @param threads how many; one a core, up to 16, where it is left out
 * @param signal ends what runs at once
 */
export function startGroup(threads?: number, signal?: AbortSignal): KernelGroup {
  return new WorkerGroup({ binary: BINARY, threads: threadsFor(threads), signal });
}
