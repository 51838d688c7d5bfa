/**
 * Jupyter's ■, which sends SIGINT to the kernel: it ends what runs, not the kernel.
 *
 * SIGINT ends a Deno process unless some thread listens. Two do: a Worker counts the presses, also while the thread of
 * the cells computes, and tells that thread. A second press within two seconds on a cell that does not end ends the
 * kernel (`interrupt_worker.ts`), as ■ does without convlens.
 *
 * @module
 */

import { hear, interrupt, presses } from "../interrupt.ts";
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

let listens = false;

/**
 * From now on SIGINT interrupts the work of convlens. Outside the kernel it does nothing: there Ctrl+C ends the program, as
 * ever. To call it again does nothing.
 */
export function listenForInterrupts(): void {
  if (listens || !inKernel() || Deno.build.os === "windows") return;
  listens = true;
  let watched = false;
  // This thread hears of it too: alone until the Worker is there.
  Deno.addSignalListener("SIGINT", () => watched || interrupt());
  const worker = new Worker(new URL("./interrupt_worker.ts", import.meta.url), {
    type: "module",
    name: "convlens-interrupts",
  });
  worker.onmessage = ({ data }: MessageEvent<WatchMessage>) => {
    if (data === "ready") watched = true;
    else if (data === "pressed") hear();
    else console.error(GOES_ON);
  };
  // Without it, ■ still ends work that gives other things their turn.
  worker.onerror = (event) => {
    event.preventDefault();
    watched = false;
  };
  worker.postMessage({ presses } satisfies Watch);
}
