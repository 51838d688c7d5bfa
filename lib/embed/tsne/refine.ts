/**
 * Where each new point comes to rest on a map that does not move, as each Worker of a group finds it for its share.
 *
 * @module
 */

import { type Components, strideOf } from "./descent.ts";
import type { Address } from "../../workers/layout.ts";
import type { Report } from "../../workers/protocol.ts";
import type { KernelFunction, KernelMember } from "../kernels/kernels.ts";

/** Where everything lies in the shared memory. */
export interface RefineJob {
  /** How many points are on the map, and how many are new. */
  count: number;
  added: number;
  components: Components;
  /** Those of the map, then the new ones where they start; {@linkcode strideOf} numbers each. */
  points: Address;
  /** The nearest points on the map of each new one, and its affinities to them, `[added, k]`. */
  k: number;
  neighbors: Address;
  affinities: Address;
  /** For each new point the divergence in the end. */
  divergences: Address;
  /** For each Worker 128 bytes. */
  room: Address;
}

/** The most steps of one point; most rest after a dozen. */
const STEPS = 200;
/** A point rests when its step is shorter, in units of the map. */
const REST = 1e-3;
/** A step must win this share of what the slope promises, or it is halved. */
const ENOUGH = 1e-4;
const HALVINGS = 20;
const REPORT_EVERY = 64;

/**
 * Moves new points downhill on the divergence of each, Σ p ln(p/q) over the points of the map with q = w / Σ w and
 * w = (1 + d²/ν)^(−(ν+1)/2), ν the dimensions of the map less one. A step goes where the attraction alone, taken as
 * springs, would be at rest: the slope over Σ p (ν+1)/ν / (1 + d²/ν). It is halved until the divergence falls enough
 * (Armijo 1966).
 *
 * @param report called with how many more points are placed
 */
export function refine(member: KernelMember, job: RefineJob, report: Report<number>): void {
  const { kernels, thread, memory: { buffer } } = member;
  const { count, added, components, k } = job;
  const stride = strideOf(components);
  const freedom = components - 1;
  const power = (freedom + 1) / 2;
  const perDistance = 2 * power / freedom;
  const repel = components === 2 ? kernels.repelExact : kernels.repelExact3;
  const map = new Float32Array(buffer, job.points, stride * (count + added));
  const neighbors = new Int32Array(buffer, job.neighbors, added * k);
  const affinities = new Float32Array(buffer, job.affinities, added * k);
  const divergences = new Float32Array(buffer, job.divergences, added);
  const room = job.room + 128 * thread;
  const repulsion = new Float32Array(buffer, room, stride);
  const slope = new Float64Array(components);
  const from = new Float64Array(components);
  const step = new Float64Array(components);

  let stiffness = 0;
  /** Reads the slope of a new point's divergence where it stands. Returns the divergence, less its constant part. */
  const look = (i: number): number => {
    const own = stride * (count + i);
    // The kernel writes the force on point n to the n-th place behind the address that it is given.
    const z = repel(job.points, count, count + i, count + i + 1, room - 4 * own);
    for (let c = 0; c < components; c++) slope[c] = -perDistance * repulsion[c] / z;
    stiffness = 0;
    let attracted = 0;
    for (let e = i * k; e < (i + 1) * k; e++) {
      const other = stride * neighbors[e];
      let square = 0;
      for (let c = 0; c < components; c++) square += (map[own + c] - map[other + c]) ** 2;
      const spread = 1 + square / freedom;
      const pull = perDistance * affinities[e] / spread;
      stiffness += pull;
      attracted += power * affinities[e] * Math.log(spread);
      for (let c = 0; c < components; c++) slope[c] += pull * (map[own + c] - map[other + c]);
    }
    return attracted + Math.log(z);
  };

  /** Takes a new point downhill until it rests. Returns its divergence, less its constant part. */
  const refineOne = (i: number): number => {
    const own = stride * (count + i);
    let height = look(i);
    for (let turn = 0; turn < STEPS; turn++) {
      let length = 0;
      let promised = 0;
      for (let c = 0; c < components; c++) {
        from[c] = map[own + c];
        step[c] = slope[c] / stiffness;
        length += step[c] ** 2;
        promised += step[c] * slope[c];
      }
      let part = 1;
      let next = height;
      for (let halving = 0; halving <= HALVINGS; halving++, part /= 2) {
        for (let c = 0; c < components; c++) map[own + c] = from[c] - part * step[c];
        next = look(i);
        if (next <= height - ENOUGH * part * promised) break;
      }
      if (!(next < height)) {
        // What is left to win is less than rounding.
        for (let c = 0; c < components; c++) map[own + c] = from[c];
        break;
      }
      height = next;
      if (part * Math.sqrt(length) < REST) break;
    }
    return height;
  };

  const [first, last] = member.share(added);
  for (let i = first; i < last; i++) {
    member.goOn();
    let constant = 0;
    for (let e = i * k; e < (i + 1) * k; e++) {
      if (affinities[e] > 0) constant += affinities[e] * Math.log(affinities[e]);
    }
    divergences[i] = constant + refineOne(i);
    if ((i - first) % REPORT_EVERY === REPORT_EVERY - 1 || i === last - 1) {
      report((i - first) % REPORT_EVERY + 1);
    }
  }
}

export const REFINE: KernelFunction<RefineJob, number> = { module: import.meta.url, run: refine };
