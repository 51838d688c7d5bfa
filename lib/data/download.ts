/**
 * Large files of the web that are known beforehand: fetched once, resumed after a break, checked by their sum, kept.
 *
 * While a file is fetched, what is there of it stands beside its place as `NAME.part`, and `NAME.lock` is locked: it keeps
 * a second process from fetching the same, and holds the server's mark (ETag) of what the part belongs to. The file has
 * its own name only when it is whole and its sum is right.
 *
 * @module
 */

import { statfs } from "node:fs/promises";
import { join } from "node:path";
import { checksumOfFile } from "../checksum.ts";
import { messageOf } from "../errors.ts";
import { startProgress } from "../figure/cell.ts";
import { decoded } from "../files.ts";
import { bytesText } from "../format.ts";
import { Interrupted, interruptible } from "../interrupt.ts";

/** A file of the web, and how it is known to be the right one. */
export interface PublishedFile {
  /** Its address. */
  url: string;
  bytes: number;
  /** The checksum as hexadecimal digits; SHA-256 where that is published. */
  sha256?: string;
  md5?: string;
}

/** A file that could not be fetched: says why, what is kept of it, and what to do. */
export class DownloadError extends Error {
  /** `"DownloadError"` */
  override name = "DownloadError";
}

/** The line to the server was cut, or it is busy: worth another try. */
class Broken extends Error {
  /** How long the server wants to be left alone, in milliseconds. */
  pause = 0;
}

/** How a file is fetched. */
export interface DownloadOptions {
  /** What it is called in the progress bar and in errors, as `alexnet`. */
  title: string;
  /** Where it is kept. @default {@linkcode cacheFolder} */
  folder?: string;
  /** Called with the bytes that are there. @default a progress bar */
  onProgress?: (bytes: number) => void;
  /** The first pause before another try, in milliseconds; each later one is twice as long. */
  pause?: number;
  /** After so many milliseconds without a byte the line counts as cut. */
  timeout?: number;
  /** Free bytes of a folder's disk. */
  free?: (folder: string) => Promise<number>;
}

/** Waits. */
function delay(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop, { once: true });
  });
}

/** So many times in a row the line may break without a single new byte. */
const TRIES = 4;
/** So many redirects are followed. */
const HOPS = 10;

/**
 * The folder of this user for files of the web: that in CONVLENS_CACHE, else `convlens` in the system's folder for caches.
 *
 * @throws {DownloadError} if the user has no home
 */
export function cacheFolder(): string {
  const own = Deno.env.get("CONVLENS_CACHE");
  if (own) return own;
  const { os } = Deno.build;
  const home = Deno.env.get(os === "windows" ? "LOCALAPPDATA" : "HOME");
  const caches = os === "windows"
    ? home
    : os === "darwin"
    ? home && join(home, "Library", "Caches")
    : Deno.env.get("XDG_CACHE_HOME") || (home && join(home, ".cache"));
  if (caches) return join(caches, "convlens");
  throw new DownloadError("There is no folder to keep files in. Set CONVLENS_CACHE to one.");
}

/** Files that were found right in this process. */
const verified = new Set<string>();

const sizeAt = async (path: string) => (await Deno.stat(path).catch(() => null))?.size ?? 0;

/** The fetching of one file. */
class Fetching {
  readonly #signal = interruptible();
  readonly #part: string;
  readonly #kind: "sha256" | "md5";
  readonly #wanted: string;
  /** The server's mark of what the part belongs to. */
  #mark = "";
  /** Whether the part was begun by another answer than the last. */
  #resumed = false;

  constructor(
    readonly file: PublishedFile,
    readonly path: string,
    readonly options: Required<Omit<DownloadOptions, "folder">> & { folder: string },
  ) {
    this.#part = `${path}.part`;
    this.#kind = file.sha256 ? "sha256" : "md5";
    this.#wanted = (file.sha256 ?? file.md5)!;
  }

  /** Whether the file is there and right: not if it was damaged on the disk. */
  async isWhole(): Promise<boolean> {
    if (await sizeAt(this.path) !== this.file.bytes) return false;
    if (verified.has(this.path)) return true;
    if ((await checksumOfFile(this.path, this.#kind, this.#signal)).sum !== this.#wanted) return false;
    verified.add(this.path);
    return true;
  }

  /** Fetches it, unless another process does; then waits for that one. */
  async run(): Promise<void> {
    const { folder } = this.options;
    await Deno.mkdir(folder, { recursive: true });
    using lock = await Deno.open(`${this.path}.lock`, { read: true, write: true, create: true });
    while (!await lock.tryLock(true)) {
      this.options.onProgress(await sizeAt(this.#part));
      await delay(Math.min(250, this.options.pause), this.#signal);
    }
    // The other one may have fetched it.
    if (await this.isWhole()) return;
    this.#mark = new TextDecoder().decode(await readAll(lock));
    this.#resumed = await sizeAt(this.#part) > 0;
    await this.#checkRoom();
    const setMark = async (mark: string) => {
      this.#mark = mark;
      await lock.truncate();
      await lock.seek(0, Deno.SeekMode.Start);
      await lock.write(new TextEncoder().encode(mark));
    };
    await this.#fetchAll(setMark);
    let found = (await checksumOfFile(this.#part, this.#kind, this.#signal)).sum;
    if (found !== this.#wanted && this.#resumed) {
      // Parts of two versions, maybe.
      await Deno.remove(this.#part);
      await this.#fetchAll(setMark);
      found = (await checksumOfFile(this.#part, this.#kind, this.#signal)).sum;
    }
    if (found !== this.#wanted) {
      await Deno.remove(this.#part);
      throw new DownloadError(
        `What ${this.file.url} holds is not the file that is wanted: its ${
          this.file.sha256 ? "SHA-256" : "MD5"
        } is ${found}; wanted ` +
          `${this.#wanted}. Nothing of it was kept. It may have been replaced, or a proxy may have answered instead.`,
      );
    }
    await Deno.rename(this.#part, this.path);
    verified.add(this.path);
  }

  /** @throws {DownloadError} if the disk has no room for what is missing */
  async #checkRoom(): Promise<void> {
    const missing = this.file.bytes - await sizeAt(this.#part);
    const free = await this.options.free(this.options.folder).catch(() => Infinity);
    if (free < missing) {
      throw this.#full(`it has ${bytesText(free)} free, and ${bytesText(missing)} are missing`);
    }
  }

  #full(why: string, cause?: unknown): DownloadError {
    return new DownloadError(
      `The disk of ${this.options.folder} is full: ${why}. Make room, or set CONVLENS_CACHE to a folder on another disk.`,
      { cause },
    );
  }

  /** Fetches what is missing of the part, over as many answers as it takes. */
  async #fetchAll(setMark: (mark: string) => Promise<void>): Promise<void> {
    for (let failures = 0;;) {
      const before = await sizeAt(this.#part);
      if (before === this.file.bytes) return;
      try {
        await this.#fetchOnce(before < this.file.bytes ? before : 0, setMark);
      } catch (error) {
        if (error instanceof Interrupted || error instanceof DownloadError) throw error;
        if (!(error instanceof Broken)) throw await this.#cannotWrite(error);
        const now = await sizeAt(this.#part);
        failures = now > before ? 1 : failures + 1;
        // Who was never connected is offline.
        if (failures >= (now === 0 && !error.pause ? 2 : TRIES)) {
          throw new DownloadError(
            `${this.file.url} could not be fetched: ${messageOf(error)}. ` +
              (now > 0
                ? `${bytesText(now)} of ${bytesText(this.file.bytes)} are here: try again, and it goes on from there.`
                : `Connect to the network and try again (behind a proxy, set HTTPS_PROXY); afterwards it works offline.`),
            { cause: error },
          );
        }
        await delay(Math.max(error.pause, this.options.pause * 2 ** (failures - 1)), this.#signal);
      }
    }
  }

  /** What is said when the part cannot be written; nothing of it is left on a full disk. */
  async #cannotWrite(error: unknown): Promise<Error> {
    const { code } = error as { code?: string };
    if (/ENOSPC|EDQUOT|EFBIG/.test(`${code}`) || /no space left|quota|file too large/i.test(messageOf(error))) {
      await Deno.remove(this.#part).catch(() => {});
      return this.#full("nothing of the file was kept", error);
    }
    return new DownloadError(`${this.#part} could not be written: ${messageOf(error)}.`, { cause: error });
  }

  /** One answer of the server, from a byte on. */
  async #fetchOnce(from: number, setMark: (mark: string) => Promise<void>): Promise<void> {
    const { bytes, url } = this.file;
    const silence = new AbortController();
    const { timeout } = this.options;
    const giveUp = () => silence.abort(new Broken(`it sent nothing for ${timeout / 1000} s`));
    let timer = setTimeout(giveUp, timeout);
    const wrong = (what: string) =>
      new DownloadError(`${url} is not the file that is wanted: ${what}; wanted ${bytes} bytes.`);
    try {
      const signal = AbortSignal.any([this.#signal, silence.signal]);
      const response = await this.#ask(from, signal);
      const start = startOf(response, from, bytes);
      if (start === undefined) {
        await response.body?.cancel();
        await Deno.remove(this.#part);
        throw wrong(`the part that was asked for is said to be ${response.headers.get("content-range")}`);
      }
      const length = Number(response.headers.get("content-length") ?? NaN);
      if (start === 0 && Number.isFinite(length) && length !== bytes) {
        await response.body?.cancel();
        throw wrong(`it has ${length} bytes`);
      }
      this.#resumed = start > 0;
      const mark = response.headers.get("etag") ?? "";
      // A weak mark says only that the meaning is the same.
      await setMark(mark.startsWith("W/") ? "" : mark);
      using part = await Deno.open(this.#part, { write: true, create: true });
      await part.truncate(start);
      await part.seek(start, Deno.SeekMode.Start);
      let at = start;
      for await (const chunk of chunksOf(response)) {
        clearTimeout(timer);
        timer = setTimeout(giveUp, timeout);
        if (at + chunk.length > bytes) {
          await Deno.remove(this.#part);
          throw wrong("it holds more");
        }
        for (let done = 0; done < chunk.length;) done += await part.write(chunk.subarray(done));
        at += chunk.length;
        this.options.onProgress(at);
      }
      await part.sync();
      if (at < bytes) throw new Broken("the line was cut");
    } catch (error) {
      throw silence.signal.aborted ? silence.signal.reason : error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** The server's answer, behind all redirects: to other hosts, too, as the sum is known, but never to an open line. */
  async #ask(from: number, signal: AbortSignal): Promise<Response> {
    const headers: Record<string, string> = { "accept-encoding": "identity" };
    if (from > 0) headers["range"] = `bytes=${from}-`;
    if (from > 0 && this.#mark) headers["if-range"] = this.#mark;
    let at = new URL(this.file.url);
    for (let hops = 0; hops <= HOPS; hops++) {
      const response = await fetch(at, { headers, signal, redirect: "manual" }).catch((error) => {
        throw this.#signal.aborted ? this.#signal.reason : new Broken(messageOf(error), { cause: error });
      });
      const { status, statusText } = response;
      const location = response.headers.get("location");
      if (location !== null && status >= 300 && status <= 399) {
        await response.body?.cancel();
        const next = URL.parse(location, at);
        if (!next || next.protocol !== at.protocol && next.protocol !== "https:") {
          throw new DownloadError(`${at.href} redirects to ${location}, which is not followed: wanted https.`);
        }
        at = next;
        continue;
      }
      if (status === 200 || status === 206) return response;
      await response.body?.cancel();
      const answer = `the answer was ${status} ${statusText}`.trimEnd();
      // The part is longer than what the server has: from the beginning.
      if (status === 416) await Deno.remove(this.#part).catch(() => {});
      if (status === 416 || status === 408 || status === 429 || status >= 500) {
        const broken = new Broken(answer);
        broken.pause = Math.min(60, Number(response.headers.get("retry-after")) || 0) * 1000;
        throw broken;
      }
      throw new DownloadError(`${this.file.url} could not be fetched: ${answer}. It may have moved.`);
    }
    throw new DownloadError(`${this.file.url} is redirected more than ${HOPS} times.`);
  }
}

/** Where in the file an answer begins: at 0, or at `from`; undefined if it is about another file. */
function startOf(response: Response, from: number, bytes: number): number | undefined {
  if (response.status === 200) return 0;
  const [, start, , total] = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(response.headers.get("content-range") ?? "") ?? [];
  return Number(start) === from && (total === "*" || Number(total) === bytes) ? from : undefined;
}

/** An answer's bytes; a cut line is a {@linkcode Broken}. */
async function* chunksOf(response: Response): AsyncGenerator<Uint8Array> {
  const reader = response.body!.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((error) => {
        throw error instanceof Interrupted ? error : new Broken(messageOf(error), { cause: error });
      });
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

/** All that stands in an open file. */
async function readAll(file: Deno.FsFile): Promise<Uint8Array> {
  const bytes = new Uint8Array(4096);
  const read = await file.read(bytes);
  return bytes.subarray(0, read ?? 0);
}

/**
 * The path of a file of the web on this machine: it is fetched if it is not here yet.
 *
 * @throws {DownloadError} if it cannot be fetched, is not the right one, or the disk is full
 * @throws {Interrupted} if the notebook's ■ is pressed meanwhile; what is there of it is kept
 */
export async function download(file: PublishedFile, options: DownloadOptions): Promise<string> {
  const { folder = cacheFolder(), title } = options;
  const name = decoded(new URL(file.url).pathname.split("/").at(-1)!).replace(/[^\w.-]/g, "_");
  const path = join(folder, `${(file.sha256 ?? file.md5)!.slice(0, 12)}-${name}`);
  let bar: ReturnType<typeof startProgress> | undefined;
  const fetching = new Fetching(file, path, {
    onProgress: (bytes) => bar?.update(Math.round(bytes / 1e6)),
    pause: 1000,
    timeout: 60_000,
    free: async (folder) => {
      const { bavail, bsize } = await statfs(folder);
      return bavail * bsize;
    },
    ...options,
    folder,
  });
  if (await fetching.isWhole()) return path;
  if (!options.onProgress) bar = startProgress(`Fetching ${title}, in MB, this once`, Math.ceil(file.bytes / 1e6));
  try {
    await fetching.run();
    await bar?.finish();
    return path;
  } catch (error) {
    await bar?.stop(error);
    throw error;
  }
}
