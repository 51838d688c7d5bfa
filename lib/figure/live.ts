/**
 * A figure that is repainted in its cell while work goes on, and is gone when the work is done.
 *
 * @module
 */

import type { Figure } from "./figure.ts";
import { display, inKernel } from "./jupyter/display.ts";

/** A figure of work under way. Outside a cell it does nothing. */
export interface Live {
  /** Offers what there is to be seen; it is painted only now and then. */
  offer(make: () => Figure): void;
  /** Takes the figure away, once it has been painted: the result shows itself. */
  end(): Promise<void>;
}

/** The figure is repainted at most so often. */
const EVERY_MS = 1000;

/** Starts a live figure. */
export function startLive(): Live {
  const id = crypto.randomUUID();
  let painted: Promise<void> = Promise.resolve();
  let busy = false;
  let shown = false;
  let next = performance.now() + EVERY_MS;
  const paint = async (figure: Figure) => {
    const update = shown;
    shown = true;
    await display({ "text/html": await figure.html(), "text/plain": figure.text }, { id, update });
    busy = false;
    next = performance.now() + EVERY_MS;
  };
  return {
    offer(make) {
      if (!inKernel() || busy || performance.now() < next) return;
      busy = true;
      painted = paint(make());
      // What goes wrong is told by end, which waits for it.
      painted.catch(() => {});
    },
    async end() {
      await painted;
      if (shown) await display({ "text/html": "", "text/plain": "" }, { id, update: true });
    },
  };
}
