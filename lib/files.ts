/**
 * Reading files, from disk and from the web: a file that another file names is in that one's folder or below, and no
 * more is read than was promised. Writing them, so that a reader finds a whole file or none.
 *
 * @module
 */

import { basename, dirname, join, normalize, sep } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { kindOf, messageOf } from "./errors.ts";
import { Interrupted, interruptible } from "./interrupt.ts";

/** A file that cannot be read, or that may not be; the message is the reason, as the end of a sentence. */
export class FileError extends Error {
  /** `"FileError"` */
  override name = "FileError";
}

/** The path in a `file:` address; a `%` that encodes nothing stays. */
export function pathOf(url: URL): string {
  try {
    return fileURLToPath(url);
  } catch (error) {
    if (!(error instanceof URIError)) throw error;
    return fileURLToPath(url.href.replaceAll("%", "%25"));
  }
}

/** A path of this machine, or an address, as errors show it: without its query, which may hold a password. */
export const placeOf = (url: URL): string => url.protocol === "file:" ? pathOf(url) : `${url.origin}${url.pathname}`;

/** A part of an address as people read it; a `%` that encodes nothing stays. */
export function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** A name with all that its `%` hide: `%2e%2e%2f` is `../`, and so is `%252e%252e%252f`. */
function uncovered(name: string): string {
  const plain = name.replace(/%([0-7][0-9a-f])/gi, (_, code) => String.fromCharCode(parseInt(code, 16)));
  return plain === name ? name : uncovered(plain);
}

/** What is wrong with the name of a file that another file gives, if anything is. */
function faultOf(name: unknown): string | undefined {
  if (typeof name !== "string") return `it is ${kindOf(name)}`;
  const plain = uncovered(name);
  if (/^\s*$/.test(plain)) return "it is empty";
  // deno-lint-ignore no-control-regex
  if (/[\0-\x1f\x7f]/.test(plain)) return "it holds control characters";
  if (/^\s*[a-z][a-z0-9+.-]*:/i.test(plain)) return "it is an address of its own, or names a drive";
  if (plain.includes("\\")) return "it holds a backslash";
  if (/^\s*\//.test(plain)) return "it begins at the root";
  if (normalize(plain).split(sep)[0] === "..") return "it leads to a folder above";
}

/**
 * The address of a file that another file names, as a manifest its weights. It is in the same folder or below: of
 * the web, on the same host, asked with the same query (a token) besides its own; on disk, under just this name.
 *
 * @param owner the file that names it
 * @param name the name as the other file gives it
 * @throws {FileError} if the name is none, or leads anywhere else
 */
export function fileNamedBy(owner: URL, name: unknown): URL {
  const fault = faultOf(name);
  if (fault) {
    throw new FileError(
      `${JSON.stringify(name)} is no name of a file beside ${placeOf(owner)}: ${fault}; ` +
        `wanted a path inside its folder, as "shard1.bin"`,
    );
  }
  if (owner.protocol === "file:") return pathToFileURL(`${dirname(pathOf(owner))}/${name}`);
  const [path, query] = (name as string).split(/\?(.*)/s);
  // A valid %20 stays one, as in TensorFlow.js; a stray % and a # belong to the name.
  const file = new URL(new URL(".", owner).href + path.replace(/%(?![0-9a-f]{2})/gi, "%25").replaceAll("#", "%23"));
  file.search = [query, owner.search.slice(1)].filter(Boolean).join("&");
  return file;
}

/** What reading is held to. */
export interface ReadLimits {
  /** How many bytes may still be read; less afterwards. Files that share one share it. A longer file is an error. */
  room: { bytes: number };
  /** The file that named this one: symbolic links may not lead out of its folder, nor redirects off its host. */
  owner?: URL;
  /** Gives up when the web sends nothing for so many milliseconds; 60,000 if not given. */
  timeout?: number;
}

/** Bytes on disk: those of a file from `at` on. */
export interface Place {
  path: string;
  at: number;
  size: number;
}

/**
 * Reads a whole file from disk or from the web.
 *
 * @throws {FileError} says why it cannot be read: it is missing, no regular file, longer than allowed, not where it
 *   should be, or the web does not answer
 * @throws {Interrupted} if the notebook's ■ is pressed meanwhile
 */
export async function readFile(url: URL, limits: ReadLimits): Promise<Uint8Array<ArrayBuffer>> {
  return await reading(async () => {
    if (url.protocol !== "file:") return await new Response(ReadableStream.from(fromWeb(url, limits))).bytes();
    const place = await foundOnDisk(pathOf(url), limits);
    return bytesAt(place, 0, place.size);
  });
}

/** Files that are read in parts, where they lie on disk. What does not is kept in a folder as long as this is. */
export class PlacedFiles implements AsyncDisposable {
  #folder?: Promise<string>;
  readonly #kept: Promise<Place>[] = [];
  readonly #end = new AbortController();

  /**
   * Where a file is that is read in parts. One of the web is fetched first.
   *
   * @throws {FileError} as {@linkcode readFile} does, or if there is no room for it
   */
  async find(url: URL, limits: ReadLimits): Promise<Place> {
    if (url.protocol !== "file:") return await reading(() => this.keep(fromWeb(url, limits, this.#end.signal)));
    return await reading(() => foundOnDisk(pathOf(url), limits));
  }

  /**
   * Keeps bytes on disk.
   *
   * @throws {FileError} if there is no room for them
   */
  keep(chunks: AsyncIterable<Uint8Array>): Promise<Place> {
    const place = this.#keep(chunks, this.#kept.length);
    this.#kept.push(place);
    return place;
  }

  async #keep(chunks: AsyncIterable<Uint8Array>, name: number): Promise<Place> {
    const full = (error: unknown) =>
      new FileError(
        `it could not be kept in the folder for temporary files: ${messageOf(error)}; free some space there, or name ` +
          "another folder in the environment variable TMPDIR",
        { cause: error },
      );
    this.#folder ??= Deno.makeTempDir({ prefix: "convlens-" });
    const path = `${await this.#folder.catch((error) => Promise.reject(full(error)))}/${name}`;
    let size = 0;
    using file = await Deno.open(path, { write: true, createNew: true }).catch((error) => Promise.reject(full(error)));
    for await (const chunk of chunks) {
      try {
        for (let at = 0; at < chunk.length;) at += await file.write(chunk.subarray(at));
      } catch (error) {
        throw full(error);
      }
      size += chunk.length;
    }
    return { path, at: 0, size };
  }

  /** Removes what was kept. */
  async [Symbol.asyncDispose](): Promise<void> {
    // Where one file fails, the others are still being fetched.
    this.#end.abort();
    await Promise.allSettled(this.#kept);
    const folder = await this.#folder?.catch(() => undefined);
    // Windows keeps what a Worker that is just ending has open.
    if (folder !== undefined) await Deno.remove(folder, { recursive: true }).catch(() => {});
  }
}

/**
 * Some bytes of a place, counted from its beginning.
 *
 * @throws {FileError} if they are not there any more
 */
export function bytesAt({ path, at }: Place, from: number, length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  using file = Deno.openSync(path);
  file.seekSync(at + from, Deno.SeekMode.Start);
  for (let done = 0; done < length;) {
    const read = file.readSync(bytes.subarray(done));
    if (read === null) throw new FileError("it has become shorter while it was read");
    done += read;
  }
  return bytes;
}

/** The bytes of a place piece by piece; a piece is gone when the next one is asked for. */
export async function* piecesOf({ path, at, size }: Place): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(Math.min(size, 2 ** 20));
  using file = await Deno.open(path);
  await file.seek(at, Deno.SeekMode.Start);
  for (let left = size; left > 0;) {
    const read = await file.read(bytes.subarray(0, Math.min(left, bytes.length)));
    if (read === null) throw new FileError("it has become shorter while it was read");
    yield bytes.subarray(0, read);
    left -= read;
  }
}

/** Reads; what is thrown says why in a {@linkcode FileError}. */
async function reading<T>(task: () => Promise<T>): Promise<T> {
  try {
    return await task();
  } catch (error) {
    if (error instanceof FileError || error instanceof Interrupted) throw error;
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      throw new FileError("there is no such file", { cause: error });
    }
    throw new FileError(messageOf(error), { cause: error });
  }
}

/** @throws {FileError} if there is no room for so many bytes more */
function take(room: { bytes: number }, bytes: number): void {
  if (bytes > room.bytes) {
    throw new FileError(`it holds ${bytes} bytes and more where at most ${room.bytes} are wanted`);
  }
  room.bytes -= bytes;
}

/** The folders in which a file's own files may be: its own, and that of its target if it is a symbolic link. */
const foldersOf = async (path: string) => [await Deno.realPath(dirname(path)), dirname(await Deno.realPath(path))];

/** Where a file on disk is, if it may be read. */
async function foundOnDisk(path: string, { room, owner }: ReadLimits): Promise<Place> {
  const real = await Deno.realPath(path);
  if (owner && !(await foldersOf(pathOf(owner))).some((folder) => real.startsWith(folder + sep))) {
    throw new FileError(`it is a symbolic link that leads out of the folder, to ${real}; copy the file itself there`);
  }
  // Asked before it is opened: opening a pipe waits for its writer, and a device never ends.
  const info = await Deno.stat(real);
  if (!info.isFile) throw new FileError(`it is ${info.isDirectory ? "a folder" : "a device or pipe"}; wanted a file`);
  take(room, info.size);
  return { path: real, at: 0, size: info.size };
}

/** Follows redirects: of a file that another one named, on the same host only. */
async function answer(url: URL, owner: URL | undefined, signal: AbortSignal): Promise<Response> {
  let at = url;
  for (let hops = 0; hops <= 20; hops++) {
    const response = await fetch(at, { signal, redirect: owner ? "manual" : "follow" });
    const to = response.headers.get("location");
    if (!owner || to === null || response.status < 300 || response.status > 399) return response;
    await response.body?.cancel();
    at = new URL(to, at);
    if (at.origin !== owner.origin) throw new FileError(`it is redirected to another host, ${at.origin}`);
  }
  throw new FileError("it is redirected in a circle");
}

/** A file of the web, as it comes. */
async function* fromWeb(
  url: URL,
  { room, owner, timeout = 60_000 }: ReadLimits,
  end?: AbortSignal,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const silence = new AbortController();
  const giveUp = () => silence.abort(new FileError(`it sent nothing for ${timeout / 1000} s`));
  let timer = setTimeout(giveUp, timeout);
  try {
    const response = await answer(url, owner, interruptible(AbortSignal.any([silence.signal, ...end ? [end] : []])));
    if (!response.ok || !response.body) {
      await response.body?.cancel();
      throw new FileError(`the answer was ${response.status} ${response.statusText}`.trimEnd());
    }
    for await (const chunk of response.body) {
      clearTimeout(timer);
      take(room, chunk.length);
      yield chunk;
      timer = setTimeout(giveUp, timeout);
    }
  } finally {
    clearTimeout(timer);
    silence.abort();
  }
}

/** The parts that this process is writing. */
const writing = new Set<string>();

/** The name of a part that is being written: it says which process writes it. */
function partialName(path: string): string {
  const host = Deno.hostname().replace(/[^\w-]/g, "_");
  return `${path}.${host}.${Deno.pid}.${crypto.randomUUID().slice(0, 8)}.partial`;
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    // The process of another user is alive too.
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** Removes what killed writers on this machine have left of a file or folder. */
async function removeAbandoned(path: string): Promise<void> {
  const [folder, name] = [dirname(path), basename(path)];
  const [, host] = partialName("").split(".");
  for await (const { name: found } of Deno.readDir(folder)) {
    if (!found.startsWith(`${name}.${host}.`) || !found.endsWith(".partial")) continue;
    const pid = Number(found.slice(name.length + host.length + 2).split(".")[0]);
    const partial = join(folder, found);
    if (!Number.isInteger(pid) || (pid === Deno.pid ? writing.has(partial) : isAlive(pid))) continue;
    await Deno.remove(partial, { recursive: true }).catch(() => {}); // Another new writer was faster.
  }
}

/**
 * The name that a file or folder has until it is whole: in the same folder as its own. What writers that were killed have
 * left of it is removed.
 *
 * @throws {Deno.errors.NotFound} if its folder does not exist
 */
export async function partialOf(path: string): Promise<string> {
  await removeAbandoned(path);
  const partial = partialName(path);
  writing.add(join(partial));
  return partial;
}

/** Says that nothing is written under this name any more. */
export function releasePartial(partial: string): void {
  writing.delete(join(partial));
}

/** Writes a file and waits until it is on the disk. */
export async function writeChunks(
  path: string,
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<void> {
  using file = await Deno.open(path, { write: true, createNew: true });
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length;) at += await file.write(chunk.subarray(at));
  }
  // On the disk before its name is: else a power cut could leave the name without the content.
  await file.sync();
}

/**
 * Makes a file or folder under another name, and puts it into its place when it is whole. If that fails, nothing is left
 * of it, and what stood there still does.
 *
 * @param make writes what is to stand at `path` to the name that it is given
 */
export async function replaceWhole(path: string, make: (partial: string) => Promise<void>): Promise<void> {
  const partial = await partialOf(path);
  try {
    await make(partial);
    await Deno.rename(partial, path);
  } catch (error) {
    await Deno.remove(partial, { recursive: true }).catch(() => {});
    throw error;
  } finally {
    releasePartial(partial);
  }
}
