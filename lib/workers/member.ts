/**
 * One Worker's view of its group: the kernels, its share of the work, and the barrier where all wait for the last.
 *
 * @module
 */

import { type Report, workerFunction } from "./protocol.ts";

/** Where in the control words: who has arrived, how often all have met, and whether the work is to end. */
const ARRIVED = 0;
const GENERATION = 1;
const ENDED = 3;
/** How often a Worker looks before it sleeps: for some tens of microseconds. */
const LOOKS = 4000;

/** What a Worker throws when its work is ended from outside. */
export class Ended extends Error {
  override name = "Ended";
}

/**
 * Asks the Workers that share a memory to end their work. `Worker.terminate` alone is not enough: Deno 2.9 stops no Worker that
 * computes or waits, so that an aborted one would keep a core busy and the process alive.
 */
export function endWork(memory: SharedArrayBuffer): void {
  const control = new Int32Array(memory, 0, 4);
  Atomics.store(control, ENDED, 1);
  // Whoever is about to sleep finds another generation, and does not.
  Atomics.add(control, GENERATION, 1);
  Atomics.notify(control, GENERATION);
}

/** A Worker of a group. */
export class GroupMember<Kernels> {
  readonly #control: Int32Array;

  constructor(
    readonly kernels: Kernels,
    readonly memory: WebAssembly.Memory,
    readonly thread: number,
    readonly threads: number,
  ) {
    this.#control = new Int32Array(memory.buffer, 0, 4);
  }

  /**
   * Looks whether the work goes on. Long work without {@linkcode GroupMember.meet} calls it now and then.
   *
   * @throws {Ended} if not
   */
  goOn(): void {
    if (Atomics.load(this.#control, ENDED)) throw new Ended();
  }

  /**
   * Waits until all Workers are here.
   *
   * @throws {Ended} if the work is ended from outside
   */
  meet(): void {
    const control = this.#control;
    // Read before the look at the end: an end that comes in between changes it, so that nobody sleeps for ever.
    const generation = Atomics.load(control, GENERATION);
    this.goOn();
    if (Atomics.add(control, ARRIVED, 1) === this.threads - 1) {
      Atomics.store(control, ARRIVED, 0);
      Atomics.add(control, GENERATION, 1);
      Atomics.notify(control, GENERATION);
      return;
    }
    for (let look = 0; look < LOOKS; look++) if (Atomics.load(control, GENERATION) !== generation) return this.goOn();
    // Whoever came last to the meeting before may notify only now, and wakes who sleeps here already.
    while (Atomics.load(control, GENERATION) === generation) Atomics.wait(control, GENERATION, generation);
    this.goOn();
  }

  /** This Worker's part of `count` things: from and to, both multiples of `unit` where they do not end. */
  share(count: number, unit = 1): [from: number, to: number] {
    const units = Math.ceil(count / unit);
    const cut = (thread: number) => Math.min(count, Math.floor(units * thread / this.threads) * unit);
    return [cut(this.thread), this.thread === this.threads - 1 ? count : cut(this.thread + 1)];
  }
}

/** What a Worker of a group must know to begin. */
interface Membership {
  module: WebAssembly.Module;
  memory: WebAssembly.Memory;
  thread: number;
  threads: number;
}

/** This Worker's membership; the latest counts. */
let member: Promise<GroupMember<unknown>>;

/** Makes this Worker a member of a group, or gives it the group's new memory. */
export async function join({ module, memory, thread, threads }: Membership): Promise<void> {
  const imports = { env: { memory: memory as unknown as WebAssembly.ImportValue } };
  member = WebAssembly.instantiate(module, imports)
    .then(({ exports }) => new GroupMember<unknown>(exports, memory, thread, threads));
  await member;
}

/** Runs this Worker's share of a job. */
export async function runJob(
  { module, name, job }: { module: string; name: string; job: unknown },
  report: Report<unknown>,
): Promise<void> {
  // Looked up now: an end of the group's work must find the membership of the time when the job was given.
  const joined = member;
  const functions = await import(module);
  try {
    functions[name](await joined, job, report);
  } catch (error) {
    // Nobody waits for it any more.
    if (!(error instanceof Ended)) throw error;
  }
}

export const JOIN = workerFunction(import.meta.url, join);
export const RUN_JOB = workerFunction(import.meta.url, runJob);
