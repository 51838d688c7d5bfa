import { expect, test } from "vitest";
import { startStopButton } from "../../lib/notebook/stop_button.ts";

/** One request by hand, so that every header is as wanted; answers its status line. */
async function ask(url: string, headers: Record<string, string>, method = "POST"): Promise<string> {
  const { hostname, port, pathname } = new URL(url);
  const connection = await Deno.connect({ hostname, port: Number(port) });
  const lines = Object.entries({ Host: `${hostname}:${port}`, ...headers }).map(([name, value]) => `${name}: ${value}`);
  const text = `${method} ${pathname} HTTP/1.1\r\n${
    lines.join("\r\n")
  }\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`;
  await connection.write(new TextEncoder().encode(text));
  const answer = await new Response(connection.readable).text();
  return answer.split(" ")[1];
}

const port = (url: string) => new URL(url).port;

test.each([
  ["another site", () => ({ Origin: "https://example.org" })],
  ["a site whose name begins with this machine's", () => ({ Origin: "http://localhost.example.org" })],
  ["a page without an origin of its own", () => ({ Origin: "null" })],
  ["a file's words for an origin", () => ({ Origin: "not an address" })],
  ["a name that points here", (url: string) => ({ Host: `example.org:${port(url)}` })],
  ["this machine by another port", () => ({ Host: "127.0.0.1:1" })],
  ["no host", () => ({ Host: "" })],
])("%s is refused even with the token", async (_, headers) => {
  const button = startStopButton("Stop");
  try {
    expect(["400", "403"]).toContain(await ask(button.url, headers(button.url)));
    expect(button.signal.aborted).toBe(false);
  } finally {
    await button.close();
  }
});

test.each([
  ["a program", () => ({})],
  ["JupyterLab", () => ({ Origin: "http://localhost:8888" })],
  ["JupyterLab by number", () => ({ Origin: "http://127.0.0.1:8888" })],
  ["an editor that shows notebooks", () => ({ Origin: "vscode-webview://0a1b2c" })],
  ["this machine by name", (url: string) => ({ Host: `localhost:${port(url)}` })],
])("%s on this machine stops", async (_, headers) => {
  const button = startStopButton("Stop");
  try {
    expect(await ask(button.url, headers(button.url))).toBe("204");
    expect(button.signal.reason).toMatchObject({ name: "AbortError" });
  } finally {
    await button.close();
  }
});

test("without the token, or by another method, nothing stops", async () => {
  const button = startStopButton("Stop");
  try {
    expect(await ask(new URL("/", button.url).href, {})).toBe("404");
    expect(await ask(button.url, {}, "GET")).toBe("404");
    expect(button.signal.aborted).toBe(false);
  } finally {
    await button.close();
  }
});

test("closing waits for no request that never ends", async () => {
  const button = startStopButton("Stop");
  const { hostname, pathname } = new URL(button.url);
  const connection = await Deno.connect({ hostname, port: Number(port(button.url)) });
  const half = `POST ${pathname} HTTP/1.1\r\nHost: ${hostname}:${port(button.url)}\r\nContent-Length: 1000\r\n\r\nhalf`;
  await connection.write(new TextEncoder().encode(half));
  await connection.read(new Uint8Array(1));
  const silent = await Deno.connect({ hostname, port: Number(port(button.url)) });
  await silent.write(new TextEncoder().encode("POST /"));
  await button.close();
  connection.close();
  silent.close();
});
