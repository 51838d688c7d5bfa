/**
 * A button in the cell that reaches the running kernel.
 *
 * Jupyter's own messages do not: the kernel reads none while a cell runs. So a small server listens on this machine
 * only, and the button posts to it; a random token in its address keeps other pages from doing so.
 *
 * @module
 */

import { escapeHtml } from "../format.ts";

/** A running button. */
export interface StopButton {
  /** The button as HTML. */
  readonly html: string;
  /** Aborted when the button is pressed. */
  readonly signal: AbortSignal;
  /** Where the button posts to. */
  readonly url: string;
  close(): Promise<void>;
}

/** Starts to listen for a press of the button. The page must be on the machine of the kernel. */
export function startStopButton(text: string): StopButton {
  const controller = new AbortController();
  const path = `/${crypto.randomUUID()}`;
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
    if (request.method !== "POST" || new URL(request.url).pathname !== path) {
      return new Response(null, { status: 404 });
    }
    controller.abort(new DOMException("The button in the cell was pressed.", "AbortError"));
    // The page stays as it is.
    return new Response(null, { status: 204 });
  });
  // The button alone must not keep a process alive.
  server.unref();
  const url = `http://127.0.0.1:${server.addr.port}${path}`;
  return {
    html: `<form method="post" action="${url}" style="margin:4px 0"><button>${escapeHtml(text)}</button></form>`,
    signal: controller.signal,
    url,
    close: () => server.shutdown(),
  };
}
