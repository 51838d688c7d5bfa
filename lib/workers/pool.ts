/**
 * Workers that call functions for the main thread. Everything that runs beside it goes through here.
 *
 * A pool lives as long as one task. Kept Workers would save their start, and cost memory between tasks and a process that
 * does not end by itself.
 *
 * ```ts
 * // double.ts
 * import { workerFunction } from "./protocol.ts";
 *
 * export const double = (x: number) => 2 * x;
 * export const DOUBLE = workerFunction(import.meta.url, double);
 *
 * // on the main thread
 * import { WorkerPool } from "./pool.ts";
 *
 * const pool = new WorkerPool(4, { remedy: "Try fewer numbers." });
 * try {
 *   const doubles = await Promise.all(pool.workers.map((worker, i) => worker.call(DOUBLE, i)));
 * } finally {
 *   pool.end();
 * }
 * ```
 *
 * @module
 */

import type { Answer, Call, WorkerFunction } from "./protocol.ts";

/** A Worker failed. The other Workers of its task are ended too, and the next task starts new ones. */
export class WorkerError extends Error {
  override name = "WorkerError";
}

/** Details of a call. */
export interface CallOptions<Progress> {
  /** Called with what the function reports before it returns. */
  onProgress?: (progress: Progress) => void;
  /** Buffers of the argument that move to the Worker without a copy. */
  transfer?: Transferable[];
  /** What the call is about, for the error: `"on inputs 3 to 5"`. */
  about?: string;
}

/** A call that is not answered yet. */
interface Pending {
  about: string;
  onProgress: (progress: never) => void;
  answered: PromiseWithResolvers<unknown>;
}

/** One Worker of a pool. It begins its calls in the order in which it is asked. */
export class PoolWorker {
  readonly #worker: Worker;
  readonly #pool: WorkerPool;
  readonly #pending = new Map<number, Pending>();
  #calls = 0;

  constructor(readonly name: string, pool: WorkerPool) {
    this.#pool = pool;
    this.#worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module", name });
    this.#worker.onmessage = ({ data }: MessageEvent<Answer>) => this.#receive(data);
    this.#worker.onmessageerror = () => this.#fail("its answer could not be read");
    this.#worker.onerror = (event) => {
      // Otherwise it would end the main thread too.
      event.preventDefault();
      this.#fail(event.message);
    };
  }

  #receive(answer: Answer): void {
    const call = this.#pending.get(answer.id)!;
    if ("progress" in answer) {
      try {
        call.onProgress(answer.progress as never);
      } catch (error) {
        // It belongs to whoever asked for the progress.
        this.#pool.fail(error);
      }
      return;
    }
    if ("failure" in answer) return this.#fail(answer.failure, call.about);
    this.#pending.delete(answer.id);
    call.answered.resolve(answer.result);
  }

  #fail(failure: string, about = this.#pending.values().next().value?.about ?? ""): void {
    const where = about && ` ${about}`;
    this.#pool.fail(
      new WorkerError(
        `${this.name} failed${where}: ${failure}. All Workers of this call were ended. ${this.#pool.remedy}`,
      ),
    );
  }

  /**
   * Calls a function in the Worker.
   *
   * @returns what it returns. Rejects with what the pool fails with, if it fails before
   */
  call<Argument, Progress, Result>(
    { module, name }: WorkerFunction<Argument, Progress, Result>,
    argument: Argument,
    { onProgress = () => {}, transfer = [], about = "" }: CallOptions<Progress> = {},
  ): Promise<Result> {
    const id = this.#calls++;
    const answered = Promise.withResolvers<unknown>();
    this.#pending.set(id, { about, onProgress, answered });
    const message: Call = { id, module, name, argument };
    this.#worker.postMessage(message, transfer);
    return this.#pool.race(answered.promise as Promise<Result>);
  }

  /** Ends the Worker, whatever it is at. */
  end(): void {
    this.#worker.terminate();
  }
}

/** How a pool starts. */
export interface PoolOptions {
  /** Fails the pool when it is aborted. */
  signal?: AbortSignal;
  /** What helps where a Worker fails, as a sentence. */
  remedy: string;
}

/** Some Workers, which end with {@linkcode WorkerPool.end}. When one fails, all that is waited for fails. */
export class WorkerPool {
  readonly workers: readonly PoolWorker[];
  readonly remedy: string;
  readonly #failed = Promise.withResolvers<never>();
  readonly #signal?: AbortSignal;
  readonly #abort = () => this.fail(this.#signal!.reason);

  constructor(count: number, { signal, remedy }: PoolOptions) {
    signal?.throwIfAborted();
    this.remedy = remedy;
    this.#signal = signal;
    // Whoever waits hears of it.
    this.#failed.promise.catch(() => {});
    signal?.addEventListener("abort", this.#abort, { once: true });
    this.workers = Array.from({ length: count }, (_, i) => new PoolWorker(`Worker ${i + 1} of ${count}`, this));
  }

  /** Fails all that is waited for, now and later. The first error counts. */
  fail(error: unknown): void {
    this.#failed.reject(error);
  }

  /** Waits for a promise, but no longer than the pool works. Nobody need await the result: the pool knows of a failure. */
  race<Value>(promise: Promise<Value>): Promise<Value> {
    const raced = Promise.race([promise, this.#failed.promise]);
    raced.catch(() => {});
    return raced;
  }

  /** Ends the Workers, whatever they are at, and all waiting. */
  end(): void {
    this.#signal?.removeEventListener("abort", this.#abort);
    for (const worker of this.workers) worker.end();
    this.fail(new WorkerError("The Workers were ended."));
  }
}
