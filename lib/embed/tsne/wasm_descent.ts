/**
 * Gradient descent of t-SNE on the processor, by a crew of Workers: their shared memory, and what they are told.
 *
 * @module
 */

import type { Affinities } from "./affinities.ts";
import type { Crew } from "../workers/crew.ts";
import { type Components, type DescentNews, type DescentPlaces, layDescent, strideOf, type Way } from "./descent.ts";
import { Layout } from "../workers/layout.ts";

/** The descent of one problem by a crew, which stays the caller's. */
export class WasmDescent {
  readonly #crew: Crew;
  readonly #places: DescentPlaces;
  readonly #buffer: SharedArrayBuffer;
  readonly #entropy: number;

  private constructor(crew: Crew, places: DescentPlaces, buffer: SharedArrayBuffer, entropy: number) {
    this.#crew = crew;
    this.#places = places;
    this.#buffer = buffer;
    this.#entropy = entropy;
  }

  /**
   * Gives the crew a memory with the affinities.
   *
   * @param problem.exact whether repulsion is computed over all pairs
   * @throws {RangeError} if that is more than a memory can hold
   */
  static async create(
    crew: Crew,
    { components, affinities, exact }: { components: Components; affinities: Affinities; exact: boolean },
  ): Promise<WasmDescent> {
    const { count, starts, neighbors, values, entropy } = affinities;
    const layout = new Layout();
    const places = layDescent(layout, { count, components, edges: values.length, threads: crew.threads, exact });
    const buffer = await crew.memory(layout);
    new Uint32Array(buffer, places.starts, count + 1).set(starts);
    new Uint32Array(buffer, places.neighbors, values.length).set(neighbors);
    new Float32Array(buffer, places.affinities, values.length).set(values);
    return new WasmDescent(crew, places, buffer, entropy);
  }

  /** Goes down from a start; the same start and number of threads give the same map to the last bit. */
  async run({ start, schedule, tellEvery }: Way, tell: (news: DescentNews) => void): Promise<void> {
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
    for (let t = 0; t < this.#crew.threads; t++) {
      new Float32Array(this.#buffer, parts + 64 * t + 32, 2 * stride).set(extent);
    }
    const job = { kind: "descend", places: this.#places, entropy: this.#entropy, schedule, tellEvery } as const;
    await this.#crew.run(job, (news) => news.kind === "iteration" && tell(news));
  }
}
