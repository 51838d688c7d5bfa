import { afterEach, beforeEach, expect, test } from "vitest";
import { type PageServer, startPageServer } from "../../lib/notebook/page_server.ts";

let server: PageServer;
const asked: Record<string, unknown>[] = [];

beforeEach(() => {
  asked.length = 0;
  server = startPageServer({
    echo(question) {
      asked.push(question);
      return { status: 200, body: question };
    },
    bytes: () => ({ status: 200, body: Uint8Array.of(1, 2, 3) }),
    fail() {
      throw new Error("The disk is gone.");
    },
  }, ["https://hub.example.org"]);
});
afterEach(() => server.close());

/** One request by hand, so that every header is as wanted; answers its status, headers and body. */
async function ask(path: string, headers: Record<string, string>, { method = "POST", body = "{}" } = {}) {
  const { hostname, port, pathname } = new URL(new URL(server.url).origin + path);
  const connection = await Deno.connect({ hostname, port: Number(port) });
  const all = { Host: `${hostname}:${port}`, ...headers, "Content-Length": String(body.length), Connection: "close" };
  const head = Object.entries(all).map(([name, value]) => `${name}: ${value}`).join("\r\n");
  await connection.write(new TextEncoder().encode(`${method} ${pathname} HTTP/1.1\r\n${head}\r\n\r\n${body}`));
  const answer = await new Response(connection.readable).text();
  const [top, said] = answer.split(/\r\n\r\n(.*)/s);
  return { status: Number(top.split(" ")[1]), head: top.toLowerCase(), said };
}

const echo = () => `${new URL(server.url).pathname}/echo`;
const HERE = { Origin: "http://localhost:8888" };

test.each([
  ["no token", () => "/echo", HERE],
  ["an empty token", () => "//echo", HERE],
  ["another token", () => `/${crypto.randomUUID()}/echo`, HERE],
  ["a token that is longer", () => echo().replace("/echo", "0/echo"), HERE],
  ["another site", echo, { Origin: "https://example.org" }],
  ["a site that begins as this machine", echo, { Origin: "http://localhost.example.org" }],
  ["a site that was not named", echo, { Origin: "http://hub.example.org" }],
  ["a page without an origin of its own, as a file", echo, { Origin: "null" }],
  ["what is no page", echo, {}],
  ["a name that points here", echo, { ...HERE, Host: "example.org:80" }],
])("%s is refused, and nothing is done", async (_, path, headers) => {
  for (const method of ["POST", "GET", "OPTIONS"]) {
    const { status, head, said } = await ask(path(), headers as Record<string, string>, { method });
    expect(status).toBe(403);
    expect(head).not.toContain("access-control");
    expect(said.replace(/^0\s*$/, "")).toBe("");
  }
  expect(asked).toEqual([]);
});

test.each([
  "http://localhost:8888",
  "http://127.0.0.1:1234",
  "https://localhost",
  "vscode-webview://0a1b",
  "https://hub.example.org",
])(
  "a page of %s is answered, and may read it",
  async (Origin) => {
    const { status, head, said } = await ask(echo(), { Origin }, { body: '{"a":1}' });
    expect(status).toBe(200);
    expect(head).toContain(`access-control-allow-origin: ${Origin}`);
    expect(said).toContain('{"a":1}');
    expect((await ask(echo(), { Origin }, { method: "OPTIONS", body: "" })).status).toBe(204);
  },
);

test("what cannot be read, is too long, or fails is said", async () => {
  expect(await ask(echo(), HERE, { body: "{" })).toMatchObject({ status: 400 });
  expect(await ask(echo(), HERE, { body: "null" })).toMatchObject({ status: 400 });
  expect(await ask(echo(), HERE, { body: JSON.stringify("x".repeat(70_000)) })).toMatchObject({ status: 400 });
  expect((await ask(echo().replace("echo", "fail"), HERE)).said).toContain("The disk is gone.");
  expect((await ask(echo().replace("echo", "toString"), HERE)).status).toBe(404);
  expect((await ask(echo(), HERE, { method: "GET", body: "" })).status).toBe(404);
  expect((await ask(echo().replace("echo", "bytes"), HERE)).status).toBe(200);
  expect(asked).toEqual([]);
});
