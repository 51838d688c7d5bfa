/**
 * Jupyter's ■, which sends SIGINT to the kernel: it ends what runs, not the kernel.
 *
 * SIGINT ends a Deno process unless some thread listens. Two do: a Worker counts the presses, also while the thread of
 * the cells computes, and tells that thread. A second press within two seconds on a cell that does not end ends the
 * kernel (`interrupt_worker.ts`), as ■ does without convlens.
 *
 * @module
 */

import { cellSignal, OVER, PRESSED, presses } from "../interrupt.ts";
import { inKernel } from "./display.ts";

/** What the Worker that listens needs, and what it tells. */
export interface Watch {
  presses: Int32Array;
}
export type WatchMessage = "ready" | "pressed" | "busy";

/** What is said of a cell that goes on after ■: code of one's own that waits or computes, or that catches the error. */
const GOES_ON =
  "■ was pressed, and this cell goes on. Work of convlens ends with its batch; code of your own does not end " +
  "by itself. Press ■ twice within two seconds to end the kernel, and its variables with it.";

let listening: Promise<void> | undefined;

/**
 * From now on SIGINT interrupts the work of convlens. Outside the kernel it does nothing: there Ctrl+C ends the program, as
 * ever. To call it again does nothing.
 *
 * @returns resolves when a Worker listens, so that work that holds the thread of the cells can be interrupted, too
 */
export function listenForInterrupts(): Promise<void> {
  if (!inKernel() || Deno.build.os === "windows") return Promise.resolve();
  return listening ??= new Promise((ready) => {
    let watched = false;
    // Alone until the Worker is there: then it cannot be known when the cell is over, and only what runs ends.
    const alone = () => {
      Atomics.add(presses, PRESSED, 1);
      cellSignal();
      Atomics.store(presses, OVER, presses[PRESSED]);
    };
    Deno.addSignalListener("SIGINT", () => watched || alone());
    const url = new URL("./interrupt_worker.ts", import.meta.url);
    const worker = new Worker(url, { type: "module", name: "convlens-interrupts" });
    worker.onmessage = ({ data }: MessageEvent<WatchMessage>) => {
      if (data === "ready") {
        watched = true;
        ready();
      } else if (data === "pressed") cellSignal();
      else console.error(GOES_ON);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      watched = false;
      Atomics.store(presses, OVER, presses[PRESSED]);
    };
    worker.postMessage({ presses } satisfies Watch);
  });
}
