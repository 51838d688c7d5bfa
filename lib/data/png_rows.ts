/**
 * Rows of a PNG, one after the other: of a picture that holds a whole data set no more is in memory than a row.
 *
 * The libraries that decode whole pictures leave their memory to the garbage collector and to `malloc`, which give back
 * some tens of megabytes late or not at all.
 *
 * @module
 */

import { crc32 } from "node:zlib";
import { ImageError } from "../codec.ts";
import { messageOf } from "../errors.ts";
import { asciiAt, kindOfFile } from "../image_file.ts";

/** Of three bytes is a pixel. */
const CHANNELS = 3;

/** Reads so many bytes. */
async function exactly(file: Deno.FsFile, count: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(count);
  for (let at = 0; at < count;) {
    const read = await file.read(bytes.subarray(at));
    if (read === null) throw new Error("it is cut off");
    at += read;
  }
  return bytes;
}

/** The chunks of a PNG up to its end, each checked. */
async function* chunksOf(file: Deno.FsFile): AsyncGenerator<{ type: string; body: Uint8Array<ArrayBuffer> }> {
  const kind = kindOfFile(await exactly(file, 8));
  if (kind !== "PNG") throw new Error(`it is ${kind}; wanted PNG`);
  for (let type = ""; type !== "IEND";) {
    const length = new DataView((await exactly(file, 4)).buffer).getUint32(0);
    const bytes = await exactly(file, 4 + length + 4);
    const body = bytes.subarray(4, 4 + length);
    type = asciiAt(bytes, 0, 4);
    if (crc32(bytes.subarray(0, 4 + length)) !== new DataView(bytes.buffer).getUint32(4 + length)) {
      throw new Error(`the checksum of its chunk ${JSON.stringify(type)} differs`);
    }
    yield { type, body };
  }
}

/** What fills a row's bytes from what stands beside and above them (PNG specification, 3rd edition, §9). */
function unfilter(filter: number, row: Uint8Array, above: Uint8Array): void {
  const { length } = row;
  if (filter === 0) return;
  if (filter === 1) { for (let i = CHANNELS; i < length; i++) row[i] += row[i - CHANNELS]; }
  else if (filter === 2) { for (let i = 0; i < length; i++) row[i] += above[i]; }
  else if (filter === 3) {
    for (let i = 0; i < length; i++) row[i] += ((i < CHANNELS ? 0 : row[i - CHANNELS]) + above[i]) >> 1;
  } else if (filter === 4) {
    for (let i = 0; i < length; i++) row[i] += paeth(row[i - CHANNELS] ?? 0, above[i], above[i - CHANNELS] ?? 0);
  } else throw new Error(`its filter ${filter} does not exist`);
}

/** Of what stands at the left, above, and left above: what is nearest to left + above − left above. */
function paeth(left: number, above: number, corner: number): number {
  const guess = left + above - corner;
  const [a, b, c] = [Math.abs(guess - left), Math.abs(guess - above), Math.abs(guess - corner)];
  return a <= b && a <= c ? left : b <= c ? above : corner;
}

/**
 * Reads a PNG row by row.
 *
 * @returns each row's bytes, three a pixel; they are overwritten when the next one is asked for
 * @throws {ImageError} if it is cut off or damaged, or other than 8 bits of RGB without interlacing
 */
export async function* pngRows(path: string): AsyncGenerator<Uint8Array, undefined> {
  using file = await Deno.open(path);
  try {
    const chunks = chunksOf(file);
    const { body: head } = (await chunks.next()).value!;
    const [width, height] = [0, 4].map((at) => new DataView(head.buffer, head.byteOffset).getUint32(at));
    if (head.slice(8, 13).join() !== "8,2,0,0,0") throw new Error("it is other than 8 bits of RGB, row by row");
    const packed = async function* () {
      for await (const { type, body } of chunks) if (type === "IDAT") yield body;
    };
    const pieces = ReadableStream.from(packed()).pipeThrough(new DecompressionStream("deflate"));
    // The filter's number and the row; and the row before.
    let row = new Uint8Array(1 + width * CHANNELS);
    let above = new Uint8Array(width * CHANNELS);
    let [at, rows] = [0, 0];
    for await (const piece of pieces) {
      for (let from = 0; from < piece.length;) {
        const part = piece.subarray(from, from + row.length - at);
        row.set(part, at);
        from += part.length;
        if ((at += part.length) < row.length) continue;
        if (rows++ === height) throw new Error(`it has more than its ${height} rows`);
        const now = row.subarray(1);
        unfilter(row[0], now, above);
        yield now;
        above = now;
        row = new Uint8Array(row.length);
        at = 0;
      }
    }
    if (rows < height) throw new Error(`it has ${rows} of its ${height} rows`);
  } catch (error) {
    throw new ImageError(`${JSON.stringify(path)} cannot be decoded: ${messageOf(error)}. Fetch the file again.`, {
      cause: error,
    });
  }
}
