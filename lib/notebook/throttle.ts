/**
 * How often a view of work under way is repainted: the same for progress bars and for live figures.
 *
 * @module
 */

/** Repaints come at least this many milliseconds apart. */
const INTERVAL = 1000;
/** Painting takes at most this share of the time: after a slow repaint the next one comes later. */
const SHARE = 0.03;

/** Says when a view may be repainted: once a second at most, and more rarely where painting is slow. */
export class Throttle {
  #next: number;
  #painted = false;

  /** @param options.now whether the first painting may come at once @default false */
  constructor({ now = false }: { now?: boolean } = {}) {
    this.#next = now ? -Infinity : performance.now() + INTERVAL;
  }

  /** Whether it is time to repaint. */
  get due(): boolean {
    return performance.now() >= this.#next;
  }

  /** Repaints; the time that this takes decides when the next time is. */
  async paint<T>(work: () => Promise<T>): Promise<T> {
    const start = performance.now();
    // Nothing is due meanwhile.
    this.#next = Infinity;
    try {
      return await work();
    } finally {
      const end = performance.now();
      // The first painting loads what the others need, and says nothing about what they take.
      const cost = this.#painted ? end - start : 0;
      this.#painted = true;
      this.#next = end + Math.max(INTERVAL, cost / SHARE);
    }
  }
}
