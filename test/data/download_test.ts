/** Files of the web that are fetched once: against servers on this machine. */

import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { download, DownloadError, type DownloadOptions, type PublishedFile } from "../../lib/data/download.ts";
import { longTest } from "../long.ts";

const CONTENT = Uint8Array.from({ length: 300_000 }, (_, i) => (i * i + (i >> 8)) & 255);
const sum = (kind: string, bytes: Uint8Array) => createHash(kind).update(bytes).digest("hex");

const root = await Deno.makeTempDir();
afterAll(() => Deno.remove(root, { recursive: true }));

/** What a server was asked for. */
interface Asked {
  path: string;
  range: string | null;
  ifRange: string | null;
}

let folder: string;
let asked: Asked[] = [];
const servers: Deno.HttpServer<Deno.NetAddr>[] = [];

beforeEach(async () => {
  folder = await Deno.makeTempDir({ dir: root });
  asked = [];
});
afterEach(async () => {
  for (const server of servers.splice(0)) await server.shutdown();
});

/** Starts a server. */
function serve(answer: (request: Request, count: number) => Response): string {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
    const { headers } = request;
    asked.push({
      path: new URL(request.url).pathname,
      range: headers.get("range"),
      ifRange: headers.get("if-range"),
    });
    return answer(request, asked.length);
  });
  servers.push(server);
  return `http://127.0.0.1:${server.addr.port}`;
}

/** Sends bytes, and breaks the line before the end; or, with `hangs`, sends no more. */
function broken(bytes: Uint8Array, { hangs = false } = {}): ReadableStream {
  let sent = false;
  return new ReadableStream({
    async pull(controller) {
      if (!sent) {
        sent = true;
        controller.enqueue(bytes.slice());
      } else if (!hangs) {
        // What was sent is to arrive before.
        await new Promise((resolve) => setTimeout(resolve, 20));
        controller.error(new Error("cut"));
      } else await new Promise(() => {});
    },
  });
}

/** Answers as a server does that knows ranges; at most `most` bytes before the line breaks. */
function ranged(request: Request, { content = CONTENT, mark = '"one"', most = Infinity, hangs = false } = {}) {
  const { headers } = request;
  const [, from] = /^bytes=(\d+)-$/.exec(headers.get("range") ?? "") ?? [];
  const start = from && (headers.get("if-range") ?? mark) === mark ? Number(from) : 0;
  const rest = content.subarray(start);
  const body = rest.length > most ? broken(rest.subarray(0, most), { hangs }) : rest.slice();
  return new Response(body, {
    status: start ? 206 : 200,
    headers: {
      etag: mark,
      "content-length": String(rest.length),
      ...start && { "content-range": `bytes ${start}-${content.length - 1}/${content.length}` },
    },
  });
}

const fileAt = (url: string, more: Partial<PublishedFile> = {}): PublishedFile => ({
  url: `${url}/net.onnx`,
  bytes: CONTENT.length,
  sha256: sum("sha256", CONTENT),
  ...more,
});
const fetched = (file: PublishedFile, more: Partial<DownloadOptions> = {}) =>
  download(file, { title: "net", folder, pause: 1, onProgress() {}, ...more });
/** The names that are left in the folder. */
const left = async () =>
  (await Array.fromAsync(Deno.readDir(folder), ({ name }) => name.replace(/^\w{12}-/, ""))).sort();

describe("a file of the web", () => {
  test("is fetched with progress, once, and found again without the web", async () => {
    const file = fileAt(serve((request) => ranged(request)));
    const seen: number[] = [];
    const path = await fetched(file, { onProgress: (bytes) => seen.push(bytes) });
    expect(await Deno.readFile(path)).toEqual(CONTENT);
    expect(seen.at(-1)).toBe(CONTENT.length);
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
    await servers.pop()!.shutdown();
    expect(await fetched(file)).toBe(path);
    expect(asked).toHaveLength(1);
    expect(await left()).toEqual(["net.onnx", "net.onnx.lock"]);
  });

  test("is known by its MD5, too; one that was damaged on the disk is fetched anew", async () => {
    const url = serve((request) => ranged(request));
    const file = fileAt(url, { sha256: undefined, md5: sum("md5", CONTENT) });
    const path = await fetched(file);
    expect(await Deno.readFile(path)).toEqual(CONTENT);
    // As another process would find it: under a name that this one has not seen.
    const other = await Deno.makeTempDir({ dir: root });
    await Deno.writeFile(path.replace(folder, other), CONTENT.map((byte) => byte ^ 1));
    expect(await Deno.readFile(await fetched(file, { folder: other }))).toEqual(CONTENT);
    expect(asked).toHaveLength(2);
  });

  test("goes on where the line was cut, as often as it takes", async () => {
    const path = await fetched(fileAt(serve((request) => ranged(request, { most: 70_000 }))));
    expect(await Deno.readFile(path)).toEqual(CONTENT);
    expect(asked.length).toBeGreaterThan(3);
    expect(asked[0]).toEqual({ path: "/net.onnx", range: null, ifRange: null });
    for (const { range, ifRange } of asked.slice(1)) {
      expect(range).toMatch(/^bytes=[1-9]\d*-$/);
      expect(ifRange).toBe('"one"');
    }
  });

  test("goes on in a later call, and after silence", async () => {
    const dead = serve((request, count) =>
      count === 1 ? ranged(request, { most: 90_000 }) : new Response(null, { status: 503 })
    );
    await expect(fetched(fileAt(dead))).rejects.toThrow(
      /net\.onnx could not be fetched: the answer was 503.*\. 90.0 kB of 300 kB are here: try again, and it goes on from there\./,
    );
    expect(await left()).toEqual(["net.onnx.lock", "net.onnx.part"]);
    const before = asked.length;
    const slow = serve((request, count) =>
      ranged(request, { most: count === before + 1 ? 50_000 : Infinity, hangs: true })
    );
    const path = await fetched(fileAt(slow), { timeout: 100 });
    expect(await Deno.readFile(path)).toEqual(CONTENT);
    expect(asked.slice(before).map(({ range, ifRange }) => [range, ifRange])).toEqual([
      ["bytes=90000-", '"one"'],
      ["bytes=140000-", '"one"'],
    ]);
  });

  test("begins anew where the server knows no ranges, or has another version", async () => {
    const plain = serve((request, count) =>
      count === 1 ? ranged(request, { most: 9_000 }) : new Response(CONTENT.slice())
    );
    expect(await Deno.readFile(await fetched(fileAt(plain)))).toEqual(CONTENT);
    folder = await Deno.makeTempDir({ dir: root });
    asked = [];
    const old = CONTENT.map((byte) => byte ^ 255);
    const changed = serve((request, count) =>
      count === 1 ? ranged(request, { content: old, mark: '"old"', most: 9_000 }) : ranged(request, { mark: '"new"' })
    );
    expect(await Deno.readFile(await fetched(fileAt(changed)))).toEqual(CONTENT);
    expect(asked.at(-1)!.ifRange).toBe('"old"');
  });

  test("that is made of two versions is noticed and fetched once more", async () => {
    const old = CONTENT.map((byte) => byte ^ 255);
    // A server without marks.
    const url = serve((request, count) => {
      const response = count === 1 ? ranged(request, { content: old, most: 9_000 }) : ranged(request);
      response.headers.delete("etag");
      return response;
    });
    expect(await Deno.readFile(await fetched(fileAt(url)))).toEqual(CONTENT);
    expect(asked.map(({ range }) => range)).toEqual([null, "bytes=9000-", null]);
  });

  test("with a wrong sum or a wrong length is refused, and nothing is kept", async () => {
    const other = serve((request) => ranged(request, { content: CONTENT.map((byte) => byte ^ 1) }));
    await expect(fetched(fileAt(other))).rejects.toThrow(
      /holds is not the file that is wanted: its SHA-256 is \w{64}; wanted \w{64}\. Nothing of it was kept\./,
    );
    const long = serve(() => new Response(broken(new Uint8Array(CONTENT.length + 1))));
    await expect(fetched(fileAt(long))).rejects.toThrow("it holds more; wanted 300000 bytes.");
    const short = serve(() => new Response(new Uint8Array(7)));
    await expect(fetched(fileAt(short))).rejects.toThrow("it has 7 bytes; wanted 300000 bytes.");
    expect(await left()).toEqual(["net.onnx.lock"]);
  });

  test("behind redirects is found, on other hosts, too; what leads off the web is refused", async () => {
    const real = serve((request) => ranged(request));
    const first = serve(() => Response.redirect(`${real}/elsewhere?signed=1`));
    expect(await Deno.readFile(await fetched(fileAt(first)))).toEqual(CONTENT);
    folder = await Deno.makeTempDir({ dir: root });
    const away = (location: string) => serve(() => new Response(null, { status: 302, headers: { location } }));
    await expect(fetched(fileAt(away("file:///etc/passwd")))).rejects.toThrow(
      "redirects to file:///etc/passwd, which is not followed: wanted https.",
    );
    await expect(fetched(fileAt(away("/net.onnx")))).rejects.toThrow("is redirected more than 10 times.");
  });

  test("that is not there says so at once; a busy server is asked again", async () => {
    const gone = serve(() => new Response("no", { status: 404 }));
    await expect(fetched(fileAt(gone))).rejects.toThrow("the answer was 404 Not Found. It may have moved.");
    expect(asked).toHaveLength(1);
    const busy = serve((request, count) =>
      count < 4 ? new Response(null, { status: 503, headers: { "retry-after": "0.01" } }) : ranged(request)
    );
    expect(await Deno.readFile(await fetched(fileAt(busy)))).toEqual(CONTENT);
  });

  test("that cannot be had offline says what to do", async () => {
    const url = serve(() => new Response());
    await servers.pop()!.shutdown();
    const error = await fetched(fileAt(url)).catch((error) => error);
    expect(error).toBeInstanceOf(DownloadError);
    expect(error.message).toMatch(/could not be fetched: .*Connect to the network and try again/);
  });

  test("that does not fit on the disk is not begun", async () => {
    const url = serve((request) => ranged(request));
    await expect(fetched(fileAt(url), { free: () => Promise.resolve(1000) })).rejects.toThrow(
      /The disk of .* is full: it has 1.00 kB free, and 300 kB are missing\. Make room, or set CONVLENS_CACHE/,
    );
    expect(asked).toEqual([]);
    expect(await left()).toEqual(["net.onnx.lock"]);
  });
});

/** A program that fetches the file, in a process of its own. */
const program = (file: PublishedFile) =>
  `import { download } from ${JSON.stringify(new URL("../../lib/data/download.ts", import.meta.url).href)};
   await download(${JSON.stringify(file)}, { title: "net", folder: ${
    JSON.stringify(folder)
  }, pause: 20, onProgress() {} })
     .then(() => console.log("whole"), (error) => console.log(error.name, error.message));`;
const config = fileURLToPath(new URL("../../deno.json", import.meta.url));

/** What such a process says. */
async function said(file: PublishedFile, before = ""): Promise<string> {
  const script = `${folder}.${crypto.randomUUID()}.ts`;
  await Deno.writeTextFile(script, program(file));
  const { stdout, stderr } = await new Deno.Command("sh", {
    args: ["-c", `${before} exec "$0" run -A --no-check --config "$1" "$2"`, Deno.execPath(), config, script],
    stdout: "piped",
    stderr: "piped",
  }).output();
  const text = new TextDecoder();
  return text.decode(stdout).trim() || text.decode(stderr);
}

longTest("two processes at once fetch one file once", async () => {
  const file = fileAt(serve((request) => ranged(request)));
  expect(await Promise.all([said(file), said(file), said(file)])).toEqual(["whole", "whole", "whole"]);
  expect(asked).toHaveLength(1);
  expect(await left()).toEqual(["net.onnx", "net.onnx.lock"]);
});

longTest("a disk that becomes full is an error that leaves nothing half written", async () => {
  const file = fileAt(serve((request) => ranged(request)));
  // No file of more than 100 blocks of 512 bytes can be written.
  const message = await said(file, "trap '' XFSZ; ulimit -f 100;");
  expect(message).toMatch(/^DownloadError The disk of .* is full: nothing of the file was kept\. Make room/);
  expect(await left()).toEqual(["net.onnx.lock"]);
});
