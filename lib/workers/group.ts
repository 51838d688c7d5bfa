/**
 * Workers that compute together in one shared memory, with the kernels of one WebAssembly module.
 *
 * @module
 */

import type { Layout } from "./layout.ts";
import { endWork, type GroupMember, JOIN, RUN_JOB } from "./member.ts";
import { WorkerPool } from "./pool.ts";
import type { Report } from "./protocol.ts";

/** A function that all Workers of a group run, each its share: the module that exports it, and its name there. */
export interface GroupFunction<Kernels, Job, Progress> {
  readonly module: string;
  readonly run: (member: GroupMember<Kernels>, job: Job, report: Report<Progress>) => void;
}

/** Each WebAssembly module, compiled once a process. */
const compiled = new Map<string, Promise<WebAssembly.Module>>();

function compile(binary: URL): Promise<WebAssembly.Module> {
  const known = compiled.get(binary.href);
  if (known) return known;
  const module = (async () => {
    const response = await fetch(binary);
    if (!response.ok) throw new Error(`${binary.href} could not be loaded: status ${response.status}.`);
    return await WebAssembly.compile(await response.arrayBuffer());
  })();
  compiled.set(binary.href, module);
  // The next group tries again.
  module.catch(() => compiled.delete(binary.href));
  return module;
}

/** What a group is made of. */
export interface GroupOptions {
  /** The WebAssembly module with the kernels. */
  binary: URL;
  /** How many Workers. */
  threads: number;
  /** Ends what runs at once. */
  signal?: AbortSignal;
}

/** Some Workers that share a memory. They end with {@linkcode WorkerGroup.end}. */
export class WorkerGroup<Kernels> {
  readonly threads: number;
  readonly #binary: URL;
  readonly #pool: WorkerPool;
  #memory?: SharedArrayBuffer;

  /** Starts the Workers. */
  constructor({ binary, threads, signal }: GroupOptions) {
    this.threads = threads;
    this.#binary = binary;
    this.#pool = new WorkerPool(threads, { signal, remedy: "If memory ran out, take fewer points." });
  }

  /**
   * Gives the Workers a new memory in the place of the old one.
   *
   * @param layout what it is to hold; all is 0 at the start
   * @throws {MemoryError} if that is more than a memory can hold
   */
  async memory(layout: Layout): Promise<SharedArrayBuffer> {
    layout.check();
    const pages = Math.ceil(layout.bytes / 65536);
    // Pages that nobody writes to cost nothing.
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    const module = await compile(this.#binary);
    this.#pool.workers.forEach((worker, thread) =>
      worker.call(JOIN, { module, memory, thread, threads: this.threads }, { about: "at its start" })
    );
    return this.#memory = memory.buffer as unknown as SharedArrayBuffer;
  }

  /**
   * Gives all Workers one job and waits until all have done it.
   *
   * @param onProgress called with what they report on the way
   */
  async run<Job, Progress>(
    { module, run: { name } }: GroupFunction<Kernels, Job, Progress>,
    job: Job,
    onProgress: (progress: Progress) => void = () => {},
  ): Promise<void> {
    const call = { module, name, job };
    await Promise.all(
      this.#pool.workers.map((worker) =>
        worker.call(RUN_JOB, call, { onProgress: onProgress as (progress: unknown) => void })
      ),
    );
  }

  /** Ends the Workers, whatever they are at. A memory that was taken stays readable. */
  end(): void {
    if (this.#memory) endWork(this.#memory);
    this.#pool.end();
  }
}

/**
 * How many Workers to take.
 *
 * @param threads what was asked for @default one a core, up to 16
 */
export function threadsFor(threads = Math.min(16, navigator.hardwareConcurrency)): number {
  if (!Number.isInteger(threads) || threads < 1) {
    throw new RangeError(`threads must be a whole number ≥ 1: received ${threads}.`);
  }
  return threads;
}
