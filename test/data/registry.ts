/**
 * A package registry on the loopback, with one tiny package, that can fail on demand: so that the catalogue is tested
 * without a network, and against networks that break.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import type { Catalog } from "../../lib/data/catalog.ts";
import { concat, png, RGB } from "./png.ts";

const NAME = "convlens-test-photos";
const VERSION = "1.0.0";

/** A tar archive of these files, as npm packs them. */
function tar(files: Record<string, Uint8Array>): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const [path, data] of Object.entries(files)) {
    const head = new Uint8Array(512);
    const put = (text: string, at: number) => head.set(new TextEncoder().encode(text), at);
    const octal = (value: number, digits: number) => value.toString(8).padStart(digits, "0") + "\0";
    put(`package/${path}`, 0);
    put(octal(0o644, 7), 100);
    put(octal(0, 7), 108);
    put(octal(0, 7), 116);
    put(octal(data.length, 11), 124);
    put(octal(0, 11), 136);
    put("        0", 148);
    put("ustar\x0000", 257);
    put(octal(head.reduce((sum, byte) => sum + byte, 0), 6) + " ", 148);
    parts.push(head, data, new Uint8Array((512 - data.length % 512) % 512));
  }
  return concat(...parts, new Uint8Array(1024));
}

export const photoFile = png({ width: 2, color: RGB, rows: [[1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12]] });
const grain = new Uint8Array(200_000);
crypto.getRandomValues(grain.subarray(0, 65536));
crypto.getRandomValues(grain.subarray(65536, 131072));
crypto.getRandomValues(grain.subarray(131072, 196608));

const archive = gzipSync(tar({
  "package.json": new TextEncoder().encode(
    // The dependency does not exist: whoever resolves it fails.
    JSON.stringify({ name: NAME, version: VERSION, dependencies: { "convlens-test-missing": "1.0.0" } }),
  ),
  "photo.png": photoFile,
  "big.bin": grain,
}));
const integrity = `sha512-${createHash("sha512").update(archive).digest("base64")}`;

/** A catalogue with the photo `"tiny"` and the model `"big"`, both in the registry's package. */
export function testCatalog(): Catalog {
  const entry = (kind: "photo" | "model", file: string, data: Uint8Array) => ({
    kind,
    what: "Four pixels.",
    package: `${NAME}@${VERSION}`,
    licence: "CC0-1.0",
    files: { [file]: { bytes: data.length, sha256: createHash("sha256").update(data).digest("hex") } },
  });
  return {
    packages: { [`${NAME}@${VERSION}`]: { integrity, downloadBytes: archive.length } },
    entries: { tiny: entry("photo", "photo.png", photoFile), big: entry("model", "big.bin", grain) },
  };
}

/** What the registry does when asked for the archive. */
export type Mode = "whole" | "cut off" | "another file" | "error 500";

/** Starts the registry. `archives` counts how often the archive was asked for. */
export function startRegistry() {
  const state = { mode: "whole" as Mode, archives: 0 };
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
    const { origin, pathname } = new URL(request.url);
    if (pathname === `/${NAME}`) {
      const dist = { tarball: `${origin}/${NAME}/-/${NAME}-${VERSION}.tgz`, integrity };
      const version = { name: NAME, version: VERSION, dependencies: { "convlens-test-missing": "1.0.0" }, dist };
      return Response.json({ name: NAME, "dist-tags": { latest: VERSION }, versions: { [VERSION]: version } });
    }
    if (!pathname.endsWith(".tgz")) return new Response("not found", { status: 404 });
    state.archives++;
    if (state.mode === "error 500") return new Response("broken", { status: 500 });
    if (state.mode === "another file") return new Response(gzipSync(tar({ "package.json": new Uint8Array(9) })));
    return new Response(state.mode === "cut off" ? archive.subarray(0, archive.length / 2) : archive);
  });
  return { url: `http://127.0.0.1:${server.addr.port}`, state, stop: () => server.shutdown() };
}
