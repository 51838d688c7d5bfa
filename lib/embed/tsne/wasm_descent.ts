/**
 * Gradient descent of t-SNE on the processor, by a group of Workers: their shared memory, and their job.
 *
 * @module
 */

import type { Affinities } from "./affinities.ts";
import {
  type Components,
  DESCEND,
  type DescentPlaces,
  type DescentProgress,
  type DescentRun,
  layDescent,
  strideOf,
} from "./descent.ts";
import { Layout } from "../../workers/layout.ts";
import type { KernelGroup } from "../kernels/kernels.ts";

/** The descent of one problem by a group of Workers, which stays the caller's. */
export class WasmDescent {
  readonly #group: KernelGroup;
  readonly #places: DescentPlaces;
  readonly #buffer: SharedArrayBuffer;
  readonly #entropy: number;

  private constructor(group: KernelGroup, places: DescentPlaces, buffer: SharedArrayBuffer, entropy: number) {
    this.#group = group;
    this.#places = places;
    this.#buffer = buffer;
    this.#entropy = entropy;
  }

  /**
   * Gives the group a memory with the affinities.
   *
   * @param problem.exact whether repulsion is computed over all pairs
   * @throws {MemoryError} if that is more than a memory can hold
   */
  static async create(
    group: KernelGroup,
    { components, affinities, exact }: { components: Components; affinities: Affinities; exact: boolean },
  ): Promise<WasmDescent> {
    const { count, starts, neighbors, values, entropy } = affinities;
    const layout = new Layout();
    const places = layDescent(layout, { count, components, edges: values.length, threads: group.threads, exact });
    const buffer = await group.memory(layout);
    new Uint32Array(buffer, places.starts, count + 1).set(starts);
    new Uint32Array(buffer, places.neighbors, values.length).set(neighbors);
    new Float32Array(buffer, places.affinities, values.length).set(values);
    return new WasmDescent(group, places, buffer, entropy);
  }

  /** Goes down from a start; the same start and number of threads give the same map to the last bit. */
  async run(
    { start, schedule, reportEvery }: DescentRun,
    onProgress: (progress: DescentProgress) => void,
  ): Promise<void> {
    const { count, components, points, steps, gains, parts } = this.#places;
    const stride = strideOf(components);
    const numbers = (at: number) => new Float32Array(this.#buffer, at, stride * count);
    numbers(points).set(start);
    numbers(steps).fill(0);
    numbers(gains).fill(1);
    const extent = Float32Array.from({ length: 2 * stride }, (_, i) => i < stride ? Infinity : -Infinity);
    start.forEach((value, i) => {
      const column = i % stride;
      extent[column] = Math.min(extent[column], value);
      extent[stride + column] = Math.max(extent[stride + column], value);
    });
    for (let t = 0; t < this.#group.threads; t++) {
      new Float32Array(this.#buffer, parts + 64 * t + 32, 2 * stride).set(extent);
    }
    await this.#group.run(DESCEND, { places: this.#places, entropy: this.#entropy, schedule, reportEvery }, onProgress);
  }
}
