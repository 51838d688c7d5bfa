/**
 * A picture that is repainted in its cell while work goes on, under the progress bar.
 *
 * @module
 */

import { inKernel, type Progress, Throttle } from "../figure/cell.ts";
import type { Figure } from "../figure/figure.ts";

/** A picture of work under way. Outside a cell it does nothing. */
export interface LiveView {
  /** Whether anything is painted: in a cell only. */
  readonly active: boolean;
  /** Offers what there is to be seen, a figure or HTML. It is made and painted only now and then; this does not wait. */
  offer(make: () => Figure | Promise<string>): void;
  /**
   * Waits until what was offered last has been painted. The bar takes it away when the work is done: the result shows
   * itself.
   *
   * @throws what went wrong the first time that a picture could not be painted
   */
  end(): Promise<void>;
}

/** @param show puts HTML under a progress bar */
export function startLiveView(show: Progress["show"]): LiveView {
  const throttle = new Throttle();
  const errors: unknown[] = [];
  let painting: Promise<void> = Promise.resolve();
  return {
    active: inKernel(),
    offer(make) {
      if (!inKernel() || !throttle.due) return;
      painting = throttle.paint(async () => {
        const made = await make();
        await show(typeof made === "string" ? made : await made.html());
      }).catch((error) => void errors.push(error));
    },
    async end() {
      await painting;
      if (errors.length > 0) throw errors[0];
    },
  };
}
