/**
 * Who may ask a server that this kernel runs for the page of its own notebook: it listens on this machine only, and a
 * page of another machine, or one that reached this one by another name, is refused.
 *
 * @module
 */

/** What this machine is called by itself. */
const HERE = ["127.0.0.1", "localhost", "[::1]"];

/** Whether a request was sent to this machine by a name of its own, and not by one that was made to point here. */
export function isToHere(request: Request, port: number): boolean {
  const host = request.headers.get("host");
  return HERE.some((name) => host === `${name}:${port}`);
}

/** Whether a page is of this machine: one of Jupyter's, or of an editor that shows notebooks. */
export function isOfHere(origin: string): boolean {
  if (!URL.canParse(origin)) return false;
  const { protocol, hostname } = new URL(origin);
  return protocol === "vscode-webview:" || (/^https?:$/.test(protocol) && HERE.includes(hostname));
}
