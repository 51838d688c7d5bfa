/**
 * One Worker's view of the crew: its kernels, its share of the work, and the barrier where all wait for the last.
 *
 * @module
 */

import type { Kernels } from "./kernels.ts";

const ARRIVED = 0;
const GENERATION = 1;
/** So long a Worker looks before it sleeps: some tens of microseconds. */
const LOOKS = 4000;

export class Team {
  readonly #control: Int32Array;

  constructor(
    readonly kernels: Kernels,
    readonly memory: WebAssembly.Memory,
    readonly thread: number,
    readonly threads: number,
  ) {
    this.#control = new Int32Array(memory.buffer, 0, 2);
  }

  /** Waits until all Workers are here. */
  meet(): void {
    const control = this.#control;
    const generation = Atomics.load(control, GENERATION);
    if (Atomics.add(control, ARRIVED, 1) === this.threads - 1) {
      Atomics.store(control, ARRIVED, 0);
      Atomics.add(control, GENERATION, 1);
      Atomics.notify(control, GENERATION);
      return;
    }
    for (let look = 0; look < LOOKS; look++) if (Atomics.load(control, GENERATION) !== generation) return;
    Atomics.wait(control, GENERATION, generation);
  }

  /** This Worker's part of `count` things: from and to, both multiples of `unit` where they do not end. */
  share(count: number, unit = 1): [from: number, to: number] {
    const units = Math.ceil(count / unit);
    const cut = (thread: number) => Math.min(count, Math.floor(units * thread / this.threads) * unit);
    return [cut(this.thread), this.thread === this.threads - 1 ? count : cut(this.thread + 1)];
  }
}
