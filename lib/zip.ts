/**
 * Zip archives: written as they come, read entry by entry, each checked against its sum.
 *
 * PKWARE's APPNOTE 6.3.10, without encryption, several disks, and files above 4 GB.
 *
 * @module
 */

import { crc32 } from "node:zlib";

/** An archive that cannot be read; the message is the reason, as the end of a sentence. */
export class ZipError extends Error {
  /** `"ZipError"` */
  override name = "ZipError";
}

/** A file to be put into an archive. */
export interface ZipInput {
  /** Its path in the archive, as `"model.json"`. */
  name: string;
  /** Its content: text (UTF-8) is compressed, bytes are not. */
  content: string | Uint8Array | AsyncIterable<Uint8Array>;
}

/** A file in an archive. */
export interface ZipEntry {
  /** Its path in the archive. */
  readonly name: string;
  /** How many bytes it has. */
  readonly size: number;
  /**
   * Reads it whole.
   *
   * @throws {ZipError} if it is damaged, encrypted, or compressed otherwise than by Deflate
   */
  read(): Promise<Uint8Array<ArrayBuffer>>;
  /**
   * Where its bytes stand in the archive, unless they are compressed. They are checked, and not kept.
   *
   * @throws {ZipError} if it is damaged or encrypted
   */
  place(): Promise<number | undefined>;
}

/** Where the bytes of an archive are. */
export interface ZipSource {
  readonly size: number;
  /** Reads some bytes, all of which are there. */
  read(at: number, length: number): Promise<Uint8Array<ArrayBuffer>>;
}

function fflate(): Promise<typeof import("npm:fflate@0.8.3")> {
  const specifier = "npm:fflate@0.8.3";
  return import(specifier);
}

/** The largest offset in an archive. */
const MOST = 0xffffffff;

/**
 * Makes an archive, chunk by chunk.
 *
 * @param inputs the files, in their order; each is asked for when those before it are written
 * @throws {ZipError} if it becomes larger than 4 GB
 */
export async function* zipped(inputs: Iterable<ZipInput> | AsyncIterable<ZipInput>): AsyncGenerator<Uint8Array> {
  const { Zip, ZipDeflate, ZipPassThrough } = await fflate();
  const chunks: Uint8Array[] = [];
  const zip = new Zip((error, chunk) => {
    if (error) throw error;
    chunks.push(chunk);
  });
  let size = 0;
  function* written() {
    for (const chunk of chunks.splice(0)) {
      size += chunk.length;
      if (size > MOST) throw new ZipError("it would be larger than 4 GB, which a zip archive cannot be");
      yield chunk;
    }
  }
  for await (const { name, content } of inputs) {
    const isText = typeof content === "string";
    const file = isText ? new ZipDeflate(name, { level: 6 }) : new ZipPassThrough(name);
    zip.add(file);
    const parts = isText ? [new TextEncoder().encode(content)] : content instanceof Uint8Array ? [content] : content;
    for await (const part of parts) {
      file.push(part);
      yield* written();
    }
    file.push(new Uint8Array(), true);
    yield* written();
  }
  zip.end();
  yield* written();
}

const END = 0x06054b50;
const DIRECTORY = 0x02014b50;
const LOCAL = 0x04034b50;
/** The longest that a comment behind the directory may be, and what comes before it. */
const TAIL = 22 + 0xffff;

const CUT = "it is cut short, or no zip archive";

const viewOf = ({ buffer, byteOffset, byteLength }: Uint8Array) => new DataView(buffer, byteOffset, byteLength);

/** Reads bytes that the archive says it has. */
async function part(source: ZipSource, at: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
  if (at + length > source.size) throw new ZipError(CUT);
  return await source.read(at, length);
}

/** What the directory says of a file. */
interface Header {
  name: string;
  encrypted: boolean;
  method: number;
  sum: number;
  packed: number;
  size: number;
  at: number;
}

/** The directory of an archive, which stands at its end. */
async function directoryOf(source: ZipSource): Promise<Header[]> {
  const tail = await part(source, Math.max(0, source.size - TAIL), Math.min(source.size, TAIL));
  const end = viewOf(tail);
  let at = tail.length - 22;
  while (at >= 0 && end.getUint32(at, true) !== END) at--;
  if (at < 0) throw new ZipError(CUT);
  const [count, length, start] = [
    end.getUint16(at + 10, true),
    end.getUint32(at + 12, true),
    end.getUint32(at + 16, true),
  ];
  if (count === 0xffff || start === MOST) throw new ZipError("it is of the kind for more than 4 GB (zip64)");
  const bytes = await part(source, start, length);
  const view = viewOf(bytes);
  const headers: Header[] = [];
  for (let i = 0, at = 0; i < count; i++) {
    if (at + 46 > length || view.getUint32(at, true) !== DIRECTORY) throw new ZipError("its directory is damaged");
    const [name, extra, comment] = [28, 30, 32].map((field) => view.getUint16(at + field, true));
    headers.push({
      encrypted: (view.getUint16(at + 8, true) & 1) === 1,
      method: view.getUint16(at + 10, true),
      sum: view.getUint32(at + 16, true),
      packed: view.getUint32(at + 20, true),
      size: view.getUint32(at + 24, true),
      at: view.getUint32(at + 42, true),
      name: new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + name)),
    });
    at += 46 + name + extra + comment;
  }
  return headers;
}

/** That a file's content is not what the archive says. */
const damagedFile = ({ name }: Header) =>
  new ZipError(`its file ${JSON.stringify(name)} is damaged: its checksum does not fit. Copy or download it again`);

/** Where a file's content begins in the archive. */
async function startOf(source: ZipSource, { name, encrypted, method, at }: Header): Promise<number> {
  const quoted = JSON.stringify(name);
  if (encrypted) throw new ZipError(`its file ${quoted} is encrypted`);
  if (method !== 0 && method !== 8) {
    throw new ZipError(`its file ${quoted} is compressed by another method than Deflate`);
  }
  const local = viewOf(await part(source, at, 30));
  if (local.getUint32(0, true) !== LOCAL) throw new ZipError("its directory is damaged");
  return at + 30 + local.getUint16(26, true) + local.getUint16(28, true);
}

/** The bytes that are checked at a time. */
const PIECE = 2 ** 20;

/** Where a file's content stands in the archive, checked; none if it is compressed. */
async function placeOf(source: ZipSource, header: Header): Promise<number | undefined> {
  const start = await startOf(source, header);
  const { method, packed, size, sum } = header;
  if (method !== 0) return undefined;
  if (packed !== size) throw damagedFile(header);
  let found = 0;
  for (let at = 0; at < size; at += PIECE) {
    const piece = await part(source, start + at, Math.min(PIECE, size - at));
    found = crc32(piece, found);
    piece.buffer.transfer(0);
  }
  if (found !== sum) throw damagedFile(header);
  return start;
}

/** Reads one file of an archive. */
async function readEntry(source: ZipSource, header: Header): Promise<Uint8Array<ArrayBuffer>> {
  const { method, sum, packed, size } = header;
  let bytes = await part(source, await startOf(source, header), packed);
  const damaged = () => damagedFile(header);
  // Deflate makes no more of a byte: what claims more is damaged, or a trap for memory.
  if (size > (method === 8 ? 1032 * packed + 1024 : packed)) throw damaged();
  if (method === 8) {
    const { inflateSync } = await fflate();
    try {
      // No more is unpacked than the directory promises.
      bytes = inflateSync(bytes, { out: new Uint8Array(size) }) as Uint8Array<ArrayBuffer>;
    } catch {
      throw damaged();
    }
  }
  if (bytes.length !== size || crc32(bytes) !== sum) throw damaged();
  return bytes;
}

/**
 * The files in an archive, folders left out.
 *
 * @throws {ZipError} if it is none, or cut short
 */
export async function zipEntries(source: ZipSource): Promise<ZipEntry[]> {
  const headers = await directoryOf(source);
  return headers.filter(({ name }) => !name.endsWith("/")).map((header) => ({
    name: header.name,
    size: header.size,
    read: () => readEntry(source, header),
    place: () => placeOf(source, header),
  }));
}

/** An archive whose bytes are there. */
export const zipInMemory = (bytes: Uint8Array): ZipSource => ({
  size: bytes.length,
  read: (at, length) => Promise.resolve(bytes.slice(at, at + length)),
});

/** An archive on disk, of which no more is read than is asked for. */
export const zipOnDisk = (path: string): ZipSource => ({
  size: Deno.statSync(path).size,
  async read(at, length) {
    const bytes = new Uint8Array(length);
    using file = await Deno.open(path);
    await file.seek(at, Deno.SeekMode.Start);
    let done = 0;
    for (let read: number | null; done < length && (read = await file.read(bytes.subarray(done))); done += read);
    return bytes.subarray(0, done);
  },
});
