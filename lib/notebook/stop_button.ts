/**
 * A button in the cell that reaches the running kernel.
 *
 * Jupyter's own messages do not: the kernel reads none while a cell runs. So a small server listens on this machine
 * only, and the button posts to it. A random token in its address keeps other pages from doing so; a page of another
 * machine, or one that reached this one by another name, is refused even with the token.
 *
 * @module
 */

import { isOfHere, isToHere } from "./loopback.ts";

/** A running button. */
export interface StopButton {
  /** What it says. */
  readonly text: string;
  /** Aborted when the button is pressed. */
  readonly signal: AbortSignal;
  /** Where the button posts to. */
  readonly url: string;
  close(): Promise<void>;
}

/** Whether a page of this machine asks; what is no page names no origin. */
function isFromHere(request: Request, port: number): boolean {
  const origin = request.headers.get("origin");
  return isToHere(request, port) && (origin === null || isOfHere(origin));
}

/** Starts to listen for a press of the button. The page must be on the machine of the kernel. */
export function startStopButton(text: string): StopButton {
  const controller = new AbortController();
  const path = `/${crypto.randomUUID()}`;
  const closing = new AbortController();
  const options = { hostname: "127.0.0.1", port: 0, signal: closing.signal, onListen: () => {} };
  const server = Deno.serve(options, (request) => {
    if (request.method !== "POST" || new URL(request.url).pathname !== path) {
      return new Response(null, { status: 404 });
    }
    if (!isFromHere(request, server.addr.port)) return new Response(null, { status: 403 });
    controller.abort(new DOMException("The button in the cell was pressed.", "AbortError"));
    const origin = request.headers.get("origin");
    // The page may read that it was heard.
    return new Response(null, { status: 204, headers: origin ? { "access-control-allow-origin": origin } : {} });
  });
  // The button alone must not keep a process alive.
  server.unref();
  const url = `http://127.0.0.1:${server.addr.port}${path}`;
  return {
    text,
    signal: controller.signal,
    url,
    // Requests that never end are dropped.
    async close() {
      closing.abort();
      await server.finished;
    },
  };
}
