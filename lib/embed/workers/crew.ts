/**
 * Workers that compute together in one shared memory, with the kernels of `kernels.wasm`.
 *
 * @module
 */

import type { Layout } from "./layout.ts";
import { endWork } from "./team.ts";
import type { Job, Message } from "./worker.ts";

let compiled: Promise<WebAssembly.Module> | undefined;

/** The kernels, compiled once a process. */
function kernels(): Promise<WebAssembly.Module> {
  compiled ??= (async () => {
    const response = await fetch(new URL("./kernels.wasm", import.meta.url));
    return await WebAssembly.compile(await response.arrayBuffer());
  })();
  return compiled;
}

/** Some Workers that share a memory. They end with {@linkcode end}. */
export class Crew {
  readonly threads: number;
  readonly #workers: Worker[];
  readonly #ended = Promise.withResolvers<never>();
  readonly #signal?: AbortSignal;
  #memory?: SharedArrayBuffer;
  #receive: (message: Message) => void = () => {};

  /**
   * Starts Workers.
   *
   * @param signal ends what runs at once
   */
  constructor(threads: number, signal?: AbortSignal) {
    signal?.throwIfAborted();
    this.threads = threads;
    this.#signal = signal;
    // Whoever waits hears of it.
    this.#ended.promise.catch(() => {});
    signal?.addEventListener("abort", this.#abort, { once: true });
    this.#workers = Array.from({ length: threads }, (_, thread) => {
      const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module", name: `embed ${thread}` });
      worker.onmessage = ({ data }: MessageEvent<Message>) => {
        try {
          this.#receive(data);
        } catch (error) {
          // Of whoever listens to the progress: it belongs to the caller.
          this.#ended.reject(error);
        }
      };
      worker.onerror = (event) => {
        // Otherwise it would end this thread too.
        event.preventDefault();
        this.#ended.reject(new Error(`Worker ${thread + 1} of ${threads} failed: ${event.message}`));
      };
      return worker;
    });
  }

  #abort = () => this.#ended.reject(this.#signal!.reason);

  /**
   * Gives the Workers a new memory in the place of the old one.
   *
   * @param layout what shall stand in it; all is 0 at the start
   * @throws {RangeError} if that is more than a memory can hold
   */
  async memory(layout: Layout): Promise<SharedArrayBuffer> {
    layout.check();
    const pages = Math.ceil(layout.bytes / 65536);
    // Pages that nobody writes to cost nothing.
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    const module = await kernels();
    this.#workers.forEach((worker, thread) => worker.postMessage({ module, memory, thread, threads: this.threads }));
    return this.#memory = memory.buffer as unknown as SharedArrayBuffer;
  }

  /**
   * Gives all Workers one job and waits until all have done it.
   *
   * @param receive called with what they tell on the way
   */
  async run(job: Job, receive: (message: Exclude<Message, { kind: "done" }>) => void = () => {}): Promise<void> {
    const done = Promise.withResolvers<void>();
    let busy = this.threads;
    this.#receive = (message) => {
      if (message.kind !== "done") receive(message);
      else if (--busy === 0) done.resolve();
    };
    for (const worker of this.#workers) worker.postMessage(job);
    await Promise.race([done.promise, this.#ended.promise]);
  }

  /** Ends the Workers, whatever they are at. A memory that was taken stays readable. */
  end(): void {
    this.#signal?.removeEventListener("abort", this.#abort);
    if (this.#memory) endWork(this.#memory);
    for (const worker of this.#workers) worker.terminate();
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
