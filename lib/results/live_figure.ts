/**
 * A figure that is repainted in its cell while work goes on, under the bar that tells how far it is.
 *
 * @module
 */

import type { Figure } from "../figure/figure.ts";
import { inKernel } from "../figure/cell.ts";
import type { Progress } from "../figure/cell.ts";

/** A figure of work under way. Outside a cell it does nothing. */
export interface Live {
  /** Offers what there is to be seen; it is painted only now and then. */
  offer(make: () => Figure): void;
  /** Waits until what was offered last has been painted. The bar takes it away when the work is done: the result shows itself. */
  end(): Promise<void>;
}

/** The figure is repainted at most so often. */
const EVERY_MS = 1000;

/**
 * Starts a live figure.
 *
 * @param show puts it under a bar
 */
export function startLive(show: Progress["show"]): Live {
  let painted: Promise<void> = Promise.resolve();
  let busy = false;
  let next = performance.now() + EVERY_MS;
  const paint = async (figure: Figure) => {
    await show(await figure.html());
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
    end: () => painted,
  };
}
