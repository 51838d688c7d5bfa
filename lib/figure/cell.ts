/**
 * The one door from figures to the notebook: whatever shows itself in a cell goes through this file, and no other file of
 * `figure/`, `results/` or `data/` imports `notebook/`.
 *
 * @module
 */

export {
  display,
  type DisplayOptions,
  displaySymbol,
  inKernel,
  keepOutputs,
  type MimeBundle,
} from "../notebook/display.ts";
export { listenForInterrupts } from "../notebook/interrupt.ts";
export { type PageReply, type PageServer, startPageServer } from "../notebook/page_server.ts";
export { endedWord, type Progress, progressHtml, startProgress, withProgress } from "../notebook/progress.ts";
export { startStopButton, type StopButton } from "../notebook/stop_button.ts";
export { Throttle } from "../notebook/throttle.ts";
