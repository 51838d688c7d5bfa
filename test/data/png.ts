/**
 * Image files made by hand, byte by byte, so that no library vouches for itself.
 *
 * @module
 */

import { deflateSync } from "node:zlib";

function crc32(bytes: Uint8Array): number {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

export function concat(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** A PNG chunk: length, type, data, checksum. */
export function chunk(type: string, data: Uint8Array): Uint8Array<ArrayBuffer> {
  const body = concat(new TextEncoder().encode(type), data);
  const whole = new Uint8Array(data.length + 12);
  const view = new DataView(whole.buffer);
  view.setUint32(0, data.length);
  whole.set(body, 4);
  view.setUint32(data.length + 8, crc32(body));
  return whole;
}

export const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);

/** PNG's numbers for what a pixel is made of. */
export const GREY = 0, RGB = 2, PALETTE = 3, GREY_ALPHA = 4, RGB_ALPHA = 6;

export function header(width: number, height: number, depth: number, color: number): Uint8Array<ArrayBuffer> {
  const data = new Uint8Array(13);
  const view = new DataView(data.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  data[8] = depth;
  data[9] = color;
  return chunk("IHDR", data);
}

/** A PNG of these rows, each the bytes of one line; `extra` chunks stand before the pixels. */
export function png(
  { width, depth = 8, color, rows, extra = [] }: {
    width: number;
    depth?: number;
    color: number;
    rows: number[][];
    extra?: Uint8Array[];
  },
): Uint8Array<ArrayBuffer> {
  const lines = Uint8Array.from(rows.flatMap((row) => [0, ...row]));
  return concat(
    SIGNATURE,
    header(width, rows.length, depth, color),
    ...extra,
    chunk("IDAT", deflateSync(lines)),
    chunk("IEND", new Uint8Array()),
  );
}

/** A JPEG with an EXIF block that holds nothing but an orientation (1 to 8). */
export function withOrientation(jpeg: Uint8Array, orientation: number): Uint8Array<ArrayBuffer> {
  const ascii = (text: string) => new TextEncoder().encode(text);
  const exif = concat(
    ascii("Exif\0\0MM"),
    // Big-endian TIFF: the magic number 42, the directory at 8, one entry: tag 0x112, a short, one of it, the value.
    Uint8Array.of(0, 42, 0, 0, 0, 8, 0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0, 0, 0, 0, 0),
  );
  const length = exif.length + 2;
  return concat(jpeg.subarray(0, 2), Uint8Array.of(0xff, 0xe1, length >> 8, length & 255), exif, jpeg.subarray(2));
}
