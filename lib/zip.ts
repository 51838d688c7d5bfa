/**
 * Zip archives: written as they come, read entry by entry, each checked against its sum.
 *
 * PKWARE's APPNOTE 6.3.10, without encryption, several disks, and files above 4 GB.
 *
 * @module
 */

import { crc32 } from "node:zlib";
import { bytesAt, type Place, type PlacedFiles } from "./files.ts";

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
   * Its content piece by piece; a piece is gone when the next one is asked for. Errors as of reading it whole, which may
   * come behind the last piece.
   */
  pieces(): AsyncGenerator<Uint8Array>;
  /** Where its content is on disk: in the archive, or kept beside it. Errors as of reading it, or of keeping it. */
  place(files: PlacedFiles): Promise<Place>;
}

/** Where the bytes of an archive are. */
export interface ZipSource {
  readonly size: number;
  /** Where it is on disk, if it is. */
  readonly place?: Place;
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

/** Bytes that are read at a time: compressed ones may be a thousand times as many when unpacked. */
const PIECE = 2 ** 20;
const PACKED = 2 ** 16;

/** The content of a file, as it is unpacked. */
async function* unpacked(source: ZipSource, header: Header): AsyncGenerator<Uint8Array> {
  const { method, packed } = header;
  const start = await startOf(source, header);
  if (method === 0) {
    for (let at = 0; at < packed; at += PIECE) {
      const piece = await part(source, start + at, Math.min(PIECE, packed - at));
      yield piece;
      // Else the garbage collector would let many gather.
      piece.buffer.transfer(0);
    }
    return;
  }
  const { Inflate } = await fflate();
  const made: Uint8Array[] = [];
  const inflate = new Inflate((piece) => made.push(piece));
  for (let at = 0; at < packed; at += PACKED) {
    const piece = await part(source, start + at, Math.min(PACKED, packed - at));
    try {
      inflate.push(piece, at + PACKED >= packed);
    } catch {
      throw damagedFile(header);
    }
    yield* made.splice(0);
  }
}

/** The content of a file; behind its last piece it is checked. */
async function* piecesOf(source: ZipSource, header: Header): AsyncGenerator<Uint8Array> {
  const { method, sum, packed, size } = header;
  // Deflate makes no more of a byte: what claims more is damaged, or a trap for memory.
  if (size > (method === 8 ? 1032 * packed + 1024 : packed)) throw damagedFile(header);
  let [length, found] = [0, 0];
  for await (const piece of unpacked(source, header)) {
    length += piece.length;
    // No more is unpacked than the directory promises.
    if (length > size) break;
    found = crc32(piece, found);
    yield piece;
  }
  if (length !== size || found !== sum) throw damagedFile(header);
}

/** Reads one file of an archive. */
async function readEntry(source: ZipSource, header: Header): Promise<Uint8Array<ArrayBuffer>> {
  let bytes: Uint8Array<ArrayBuffer> | undefined;
  let at = 0;
  for await (const piece of piecesOf(source, header)) {
    // Not before its size is known to be possible.
    bytes ??= new Uint8Array(header.size);
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes ?? new Uint8Array();
}

/** Where a file's content is on disk, checked: in the archive, unless that is in memory or the file compressed. */
async function placeOf(source: ZipSource, header: Header, files: PlacedFiles): Promise<Place> {
  const { place } = source;
  if (!place || header.method !== 0) return await files.keep(piecesOf(source, header));
  // deno-lint-ignore no-empty
  for await (const _ of piecesOf(source, header)) {}
  return { ...place, at: place.at + await startOf(source, header), size: header.size };
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
    pieces: () => piecesOf(source, header),
    place: (files) => placeOf(source, header, files),
  }));
}

/** An archive whose bytes are there. */
export const zipInMemory = (bytes: Uint8Array): ZipSource => ({
  size: bytes.length,
  read: (at, length) => Promise.resolve(bytes.slice(at, at + length)),
});

/** An archive at a place on disk, of which no more is read than is asked for. */
export const zipAt = (place: Place): ZipSource => ({
  size: place.size,
  place,
  read: (at, length) => Promise.resolve(bytesAt(place, at, length)),
});

/** An archive on disk, by its path. */
export const zipOnDisk = (path: string): ZipSource => zipAt({ path, at: 0, size: Deno.statSync(path).size });
