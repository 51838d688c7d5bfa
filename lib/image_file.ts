/**
 * What a file of an image is by its name and its bytes, and whether they are whole. Nothing is decoded here.
 *
 * @module
 */

import { crc32 } from "node:zlib";

/** The names of files that are taken for images: those that the decoder reads. */
export const IMAGE_NAME = /\.(jpe?g|jpe|jfif|png|webp|gif|tiff?|avif)$/i;

/** Those names in words. */
export const IMAGE_NAMES = ".jpg, .jpeg, .jfif, .png, .webp, .gif, .tif, .tiff or .avif";

/** Names of images that the decoder does not read, and of what they are. */
const OTHER_NAME = /\.(bmp|dib|heic|heif|svg|psd|jp2|jxl|ico|pbm|pgm|ppm|exr|hdr|tga|raw|dng|cr2|nef|pdf|eps)$/i;

/** Why a file is not taken for an image by its name; undefined where it is. */
export function reasonByName(name: string): string | undefined {
  if (IMAGE_NAME.test(name)) return undefined;
  const [, ending] = OTHER_NAME.exec(name) ?? [];
  return ending
    ? `${ending.toUpperCase()} images cannot be read; convert it to PNG or JPEG`
    : `its name does not end in ${IMAGE_NAMES}`;
}

const READ = ["JPEG", "PNG", "WebP", "GIF", "TIFF", "AVIF"];

/** Whether images of a kind, as {@linkcode kindOfFile} names it, can be read. */
export const isRead = (kind: string): boolean => READ.includes(kind);

/** Bytes as the characters that they are in ASCII. */
export function asciiAt(bytes: Uint8Array, start: number, length: number): string {
  return String.fromCharCode(...bytes.subarray(start, start + length));
}

/** What a file is by its first bytes, whatever its name says: `"JPEG"`, `"a PDF document"`. */
export function kindOfFile(bytes: Uint8Array): string {
  if (bytes.length === 0) return "an empty file";
  if (bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff) return "JPEG";
  if (asciiAt(bytes, 0, 8) === "\x89PNG\r\n\x1a\n") return "PNG";
  if (asciiAt(bytes, 0, 4) === "RIFF" && asciiAt(bytes, 8, 4) === "WEBP") return "WebP";
  if (/^GIF8[79]a/.test(asciiAt(bytes, 0, 6))) return "GIF";
  if (/^(II[*+]\0|MM\0[*+])/.test(asciiAt(bytes, 0, 4))) return "TIFF";
  if (asciiAt(bytes, 0, 2) === "BM") return "a BMP image (convert it to PNG)";
  if (asciiAt(bytes, 4, 4) === "ftyp") {
    // The file's brand, its version and the brands that it is compatible with.
    const brands = asciiAt(bytes, 8, Math.min(64, new DataView(bytes.buffer, bytes.byteOffset).getUint32(0)) - 8);
    return /avi[fs]/.test(brands) ? "AVIF" : `an ISO media file (brand ${JSON.stringify(brands.slice(0, 4))})`;
  }
  if (asciiAt(bytes, 0, 4) === "%PDF") return "a PDF document";
  if (asciiAt(bytes, 0, 2) === "PK") return "a zip archive";
  const head = asciiAt(bytes, 0, Math.min(bytes.length, 400));
  if (/<svg[\s>]/i.test(head)) return "an SVG drawing";
  if (/^\s*<(!doctype html|html)/i.test(head)) return "an HTML page";
  const start = new TextDecoder().decode(bytes.subarray(0, 40));
  // deno-lint-ignore no-control-regex
  if (!/[\x00-\x08\x0e-\x1f]/.test(start)) return `text that starts with ${JSON.stringify(start.slice(0, 24))}`;
  const hex = Array.from(bytes.subarray(0, 8), (byte) => byte.toString(16).padStart(2, "0")).join(" ");
  return `a file of unknown kind that starts with the bytes ${hex}`;
}

/** The chunks of a PNG up to where the file ends: a length, a type, the data and a checksum each. */
function* chunksOf(bytes: Uint8Array): Generator<{ type: string; body: Uint8Array; checksum: number | undefined }> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 8; at + 8 <= bytes.length;) {
    const end = at + 8 + view.getUint32(at);
    const checksum = end + 4 <= bytes.length ? view.getUint32(end) : undefined;
    yield { type: asciiAt(bytes, at + 4, 4), body: bytes.subarray(at + 4, end), checksum };
    at = end + 4;
  }
}

/** Whether a PNG is an animated one: libvips would take its first frame without a word. */
export function isAnimatedPng(bytes: Uint8Array): boolean {
  for (const { type } of chunksOf(bytes)) {
    // It must come before the first "IDAT".
    if (type === "acTL") return true;
    if (type === "IDAT") return false;
  }
  return false;
}

/** What the header of an image says. */
export interface ImageHeader {
  readonly width: number;
  readonly height: number;
  /** The colours, as `"srgb"` or `"cmyk"`. */
  readonly space?: string;
  /** The kind of number of a value; `"uchar"` is a byte. */
  readonly depth?: string;
  /** How many pictures there are, where there may be several. */
  readonly pages?: number;
}

/** The header of a JPEG of bytes, up to where its pixels begin; undefined of any that is not plain. */
export function jpegHeader(bytes: Uint8Array): ImageHeader | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 2; at + 10 <= bytes.length && bytes[at] === 0xff;) {
    const marker = bytes[at + 1];
    // Of the frames, SOF0 to SOF15, these three numbers are tables.
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
      const [bits, channels] = [bytes[at + 4], bytes[at + 9]];
      const [height, width] = [view.getUint16(at + 5), view.getUint16(at + 7)];
      if (bits !== 8 || width === 0 || height === 0 || ![1, 3, 4].includes(channels)) return undefined;
      return { width, height, space: channels === 4 ? "cmyk" : channels === 3 ? "srgb" : "b-w", depth: "uchar" };
    }
    // From a segment with a length to the next; the pixels and the end have none.
    if (marker < 0xc0 || (marker >= 0xd0 && marker <= 0xda)) return undefined;
    at += 2 + view.getUint16(at + 2);
  }
  return undefined;
}

/** Chunks of a PNG that say nothing of its pixels. */
const WORDS_ONLY = /^(tEXt|zTXt|iTXt|tIME|pHYs|bKGD|hIST|sPLT)$/;

/**
 * What is wrong with a file as a whole, as far as that can be seen without decoding it.
 *
 * @param kind as {@linkcode kindOfFile} names it
 * @returns undefined where nothing is
 */
export function flawOf(kind: string, bytes: Uint8Array): string | undefined {
  if (kind === "PNG") {
    for (const { type, body, checksum } of chunksOf(bytes)) {
      if (checksum === undefined) return `it ends within its chunk ${JSON.stringify(type)}`;
      if (!WORDS_ONLY.test(type) && crc32(body) !== checksum) {
        return `the checksum of its chunk ${JSON.stringify(type)} differs`;
      }
      if (type === "IEND") return undefined;
    }
    return "its end is missing";
  }
  if (kind === "WebP") {
    const size = 8 + new DataView(bytes.buffer, bytes.byteOffset).getUint32(4, true);
    if (size > bytes.length) return `it says that it has ${size} bytes, and has ${bytes.length}`;
  }
  return undefined;
}
