/**
 * Bytes to pixels and back. This is the only file that knows sharp.
 *
 * @module
 */

import { promisify } from "node:util";
import { crc32, deflate } from "node:zlib";
import { flawOf, type ImageHeader, isAnimatedPng, isRead, jpegHeader, kindOfFile } from "./image_file.ts";

/** The most pixels that {@linkcode decodeBytes} takes on: 100 megapixels, which are 1.2 GB as floats. */
export const MAX_PIXELS = 100_000_000;

/** The longest side of a WebP. */
export const LONGEST_WEBP = 16_383;

/** An image that cannot be read, with the reason and the remedy. */
export class ImageError extends Error {
  /** `"ImageError"`. */
  override name = "ImageError";
}

type Sharp = typeof import("npm:sharp@0.35.5").default;

let sharpModule: Promise<Sharp> | undefined;

function loadSharp(): Promise<Sharp> {
  const specifier = "npm:sharp@0.35.5";
  return sharpModule ??= import(specifier).then((module) => module.default as Sharp);
}

/**
 * Decodes a JPEG, PNG or WebP image, or a GIF, TIFF or AVIF of one picture.
 *
 * The EXIF orientation is applied, an embedded colour profile is converted to sRGB, grey becomes three equal channels,
 * transparent parts are laid on white, and 16-bit values come down to 8 bits.
 *
 * A damaged file is refused where that can be seen: by the checksums of a PNG, by whatever the decoder warns of in
 * others. JPEG, WebP, GIF, TIFF and AVIF have no checksums: a changed byte may change pixels without a trace.
 *
 * @param bytes the whole file
 * @param options.name how errors call the image: its path or address
 * @returns three bytes a pixel, row by row
 * @throws {ImageError} if the bytes are not such an image, are cut off or damaged, are animated or CMYK, or hold more
 * than {@linkcode MAX_PIXELS} pixels
 */
export async function decodeBytes(
  bytes: Uint8Array,
  { name }: { name: string },
): Promise<{ data: Uint8Array; width: number; height: number }> {
  const quoted = JSON.stringify(name);
  const kind = kindOfFile(bytes);
  if (!isRead(kind)) {
    throw new ImageError(
      `${quoted} is not an image that can be read: found ${kind}; wanted JPEG, PNG or WebP, or a GIF, TIFF or AVIF of ` +
        `one picture.`,
    );
  }
  const a = kind === "AVIF" ? "an" : "a";
  const damaged = (error: unknown) => {
    const reason = (error as Error).message.trim().replace(/\s*\n\s*/g, "; ");
    return new ImageError(
      `${quoted} cannot be decoded: its first bytes are those of ${a} ${kind} image, but the rest is damaged or cut off ` +
        `(${reason}). Fetch or copy the file again.`,
      { cause: error },
    );
  };
  const sharp = await loadSharp();
  // Of a plain JPEG the header is read here: sharp would set up its decoder twice.
  const plain = kind === "JPEG" ? jpegHeader(bytes) : undefined;
  const image = sharp(bytes, { limitInputPixels: plain ? MAX_PIXELS : false, failOn: "warning", sequentialRead: true });
  // Only the header is read here, so the size can be judged before anything is unpacked.
  const meta: ImageHeader = plain ?? await image.metadata().catch((error) => {
    throw damaged(error);
  });
  const { width, height } = meta;
  if (width * height > MAX_PIXELS) {
    throw new ImageError(
      `${quoted} is ${width} × ${height} pixels, ${Math.round(width * height / 1e6)} megapixels: more than the limit ` +
        `of ${MAX_PIXELS / 1e6} megapixels. Make it smaller first.`,
    );
  }
  if ((meta.pages ?? 1) > 1 || (kind === "PNG" && isAnimatedPng(bytes))) {
    const found = kind === "TIFF"
      ? `a TIFF file of ${meta.pages} pictures`
      : `${a === "an" ? "a sequence of" : "an animated"} ${kind} image`;
    throw new ImageError(`${quoted} is ${found}; wanted a still one. Save one frame of it as a file.`);
  }
  if (meta.space === "cmyk") {
    throw new ImageError(
      `${quoted} is in CMYK colours, for print; wanted RGB or grey. Convert it to RGB (sRGB) first.`,
    );
  }
  if (meta.depth !== "uchar" && meta.depth !== "ushort") {
    throw new ImageError(
      `${quoted} holds numbers of the kind ${meta.depth}, of which nothing says how bright they are; wanted 8 or 16 bits ` +
        `a value. Convert it to PNG first.`,
    );
  }
  const flaw = flawOf(kind, bytes);
  if (flaw) throw damaged(new Error(flaw));
  const { data, info } = await image
    .autoOrient()
    .flatten({ background: "white" })
    .toColourspace("srgb")
    .raw({ depth: "uchar" })
    .toBuffer({ resolveWithObject: true })
    .catch((error) => {
      throw damaged(error);
    });
  if (info.channels !== 3) {
    throw new ImageError(`${quoted} was decoded to ${info.channels} channels; wanted 3. Convert it to RGB first.`);
  }
  return { data: new Uint8Array(data.buffer, data.byteOffset, data.length), width: info.width, height: info.height };
}

/** What there may be at most in the palette of a PNG. */
const MOST_COLORS = 256;
/** Pictures of no more colours are no photos: the palette of a map, and those of gutters and outlines. */
const FEW_COLORS = 300;

/** Pixels as places in a list of all their colours; `null` where these are more than {@linkcode FEW_COLORS}. */
function indexed(pixels: ArrayLike<number>, count: number, channels: 3 | 4) {
  // A hash table of colours, with a place for each that is met.
  const slots = 1024;
  const places = new Int16Array(slots).fill(-1);
  const colors: number[] = [];
  const indices = new Uint16Array(count);
  for (let i = 0, at = 0; i < count; i++, at += channels) {
    const alpha = channels === 4 ? pixels[at + 3] : 255;
    const color = (pixels[at] << 24 | pixels[at + 1] << 16 | pixels[at + 2] << 8 | alpha) >>> 0;
    let slot = (Math.imul(color, 0x9e3779b1) >>> 16) % slots;
    while (places[slot] >= 0 && colors[places[slot]] !== color) slot = (slot + 1) % slots;
    if (places[slot] < 0) {
      if (colors.length === FEW_COLORS) return null;
      places[slot] = colors.push(color) - 1;
    }
    indices[i] = places[slot];
  }
  return { indices, colors };
}

/** A PNG with a palette. Sharp's own changes colours a little; here each pixel keeps its own. */
async function indexedPng(
  { indices, colors }: { indices: Uint16Array; colors: number[] },
  width: number,
  height: number,
  level: number,
): Promise<Uint8Array> {
  const chunk = (type: string, data: Uint8Array) => {
    const made = new Uint8Array(data.length + 12);
    made.set(new TextEncoder().encode(type), 4);
    made.set(data, 8);
    const view = new DataView(made.buffer);
    view.setUint32(0, data.length);
    view.setUint32(data.length + 8, crc32(made.subarray(4, data.length + 8)));
    return made;
  };
  const head = new Uint8Array(13);
  const view = new DataView(head.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  head.set([8, 3, 0, 0, 0], 8);
  const lines = new Uint8Array((width + 1) * height);
  for (let y = 0; y < height; y++) lines.set(indices.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  const palette = new Uint8Array(colors.length * 3);
  colors.forEach((color, i) => palette.set([color >>> 24, color >>> 16, color >>> 8], i * 3));
  const alphas = Uint8Array.from(colors);
  const chunks = [
    Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a),
    chunk("IHDR", head),
    chunk("PLTE", palette),
    ...(alphas.some((alpha) => alpha < 255) ? [chunk("tRNS", alphas)] : []),
    chunk("IDAT", await promisify(deflate)(lines, { level })),
    chunk("IEND", new Uint8Array()),
  ];
  const png = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0));
  chunks.reduce((at, bytes) => (png.set(bytes, at), at + bytes.length), 0);
  return png;
}

/**
 * Encodes 8-bit pixels as a PNG, none of which is changed.
 *
 * @param pixels row by row, channel by channel
 * @param channels 1 for grey, 3 for RGB, 4 for RGB with alpha
 * @param options.level compression from 0 (none) to 9 (slowest) @default 2
 * @param options.palette whether the file has a palette, where the colours are at most 256 @default false
 * @throws {RangeError} if the pixels do not fill the size
 */
export async function encodePng(
  pixels: Uint8Array | Uint8ClampedArray,
  width: number,
  height: number,
  channels: 1 | 3 | 4,
  { level = 2, palette = false }: { level?: number; palette?: boolean } = {},
): Promise<Uint8Array> {
  if (!(width >= 1 && height >= 1) || pixels.length !== width * height * channels) {
    throw new RangeError(
      `A PNG of ${width} × ${height} pixels with ${channels} channels takes ${width * height * channels} bytes ` +
        `and at least one pixel: received ${pixels.length}.`,
    );
  }
  const few = !palette || channels === 1 ? null : indexed(pixels, width * height, channels);
  if (few && few.colors.length <= MOST_COLORS) return await indexedPng(few, width, height, level);
  const sharp = await loadSharp();
  const png = await sharp(pixels, { raw: { width, height, channels }, limitInputPixels: false })
    .toColourspace(channels === 1 ? "b-w" : "srgb")
    .png({ compressionLevel: level, adaptiveFiltering: false })
    .toBuffer();
  return new Uint8Array(png.buffer, png.byteOffset, png.byteLength);
}

/**
 * Encodes 8-bit pixels as a JPEG, with the colours at half the resolution as cameras do.
 *
 * @param quality from 1 to 100
 */
export async function encodeJpeg(
  pixels: Uint8Array,
  width: number,
  height: number,
  channels: 1 | 3,
  quality: number,
): Promise<Uint8Array> {
  const sharp = await loadSharp();
  const jpeg = await sharp(pixels, { raw: { width, height, channels }, limitInputPixels: false })
    .toColourspace(channels === 1 ? "b-w" : "srgb").jpeg({ quality }).toBuffer();
  return new Uint8Array(jpeg.buffer, jpeg.byteOffset, jpeg.byteLength);
}

/**
 * Encodes 8-bit pixels as a lossy WebP, for photos.
 *
 * @param channels 3 for RGB, 4 for RGB with alpha @default 3
 * @param options.quality from 1 to 100 @default 75
 * @throws {RangeError} if the pixels do not fill the size, or a side is longer than WebP's {@linkcode LONGEST_WEBP}
 */
export async function encodeWebp(
  pixels: Uint8Array | Uint8ClampedArray,
  width: number,
  height: number,
  { quality = 75, channels = 3 }: { quality?: number; channels?: 3 | 4 } = {},
): Promise<Uint8Array> {
  const fits = Math.min(width, height) >= 1 && Math.max(width, height) <= LONGEST_WEBP;
  if (!fits || pixels.length !== width * height * channels) {
    throw new RangeError(
      `A WebP of ${width} × ${height} pixels takes ${width * height * channels} bytes, and sides of 1 to ` +
        `${LONGEST_WEBP} pixels: received ${pixels.length}.`,
    );
  }
  const sharp = await loadSharp();
  const webp = await sharp(pixels, { raw: { width, height, channels } })
    .webp({ quality, effort: 2 })
    .toBuffer();
  return new Uint8Array(webp.buffer, webp.byteOffset, webp.byteLength);
}

/** So few pixels are small in any way. */
const FEW_PIXELS = 1000;
/** What a picture of few colours may take before it gets fewer of them. */
const EXACT = 100_000;
/** A photo is no WebP that takes more than this share of its PNG. */
const WORTH = 0.7;

/**
 * Encodes 8-bit pixels for a page, where size counts. A photo becomes a WebP. A map, or another picture of few colours,
 * becomes a PNG, and of those that would take more than 100 kB one of fewer shades: a lossy WebP would mix neighbouring
 * colours, and with them the signs of a map.
 *
 * @param channels 3 for RGB, 4 for RGB with alpha
 */
export async function encodeForPage(
  pixels: Uint8Array,
  width: number,
  height: number,
  channels: 3 | 4,
): Promise<Uint8Array> {
  if (width * height <= FEW_PIXELS) return await encodePng(pixels, width, height, channels);
  const few = indexed(pixels, width * height, channels);
  const exact = await encodePng(pixels, width, height, channels, { level: 6, palette: true });
  if (!few && Math.max(width, height) <= LONGEST_WEBP) {
    const webp = await encodeWebp(pixels, width, height, { quality: 85, channels });
    return webp.length < WORTH * exact.length ? webp : exact;
  }
  if (exact.length <= EXACT) return exact;
  const sharp = await loadSharp();
  const png = await sharp(pixels, { raw: { width, height, channels }, limitInputPixels: false })
    .png({ palette: true, quality: 80, dither: 0, compressionLevel: 9, effort: 1 })
    .toBuffer();
  return png.length < exact.length ? new Uint8Array(png.buffer, png.byteOffset, png.byteLength) : exact;
}

/**
 * Draws an SVG that holds photos as a WebP, which is a fifth of a PNG of them.
 *
 * @param options.width the width of the WebP in pixels
 */
export async function renderSvgAsWebp(svg: string, { width }: { width: number }): Promise<Uint8Array> {
  const sharp = await loadSharp();
  const source = new TextEncoder().encode(svg);
  const own = await sharp(source, { unlimited: true }).metadata();
  const webp = await sharp(source, { density: Math.max(1, 72 * width / own.width), unlimited: true })
    .resize({ width })
    .webp({ quality: 82, effort: 2 })
    .toBuffer();
  return new Uint8Array(webp.buffer, webp.byteOffset, webp.byteLength);
}

/**
 * Draws an SVG as a PNG. Text is drawn with whatever fonts the machine has: turn it into paths to look the same anywhere.
 *
 * @param options.width the width of the PNG in pixels @default the drawing's own
 * @param options.dpi pixels to an inch, as the PNG says (in its chunk pHYs, pixels to a metre) @default 72
 * @param options.small the PNG may have 256 colours of those that it needs, dithered, where that makes it smaller: for
 * photos, which take a third then @default false
 * @param options.most a small PNG of more bytes is shrunk to 0.7 of its width @default any size will do
 */
export async function renderSvg(
  svg: string,
  { width, dpi, small = false, most = Infinity }: { width?: number; dpi?: number; small?: boolean; most?: number } = {},
): Promise<Uint8Array> {
  const sharp = await loadSharp();
  const source = new TextEncoder().encode(svg);
  const own = await sharp(source, { unlimited: true }).metadata();
  // Drawn at the density that gives this width, rather than drawn small and then enlarged.
  const density = width === undefined ? 72 : Math.min(100_000, Math.max(1, 72 * width / own.width));
  const drawn = sharp(source, { density, unlimited: true })
    .resize({ width })
    .png({ compressionLevel: small ? 1 : 6, adaptiveFiltering: false });
  if (dpi !== undefined) drawn.withDensity(dpi);
  let png = await drawn.toBuffer();
  if (small) {
    const full = png;
    const smallOf = async (width?: number) => {
      const image = sharp(full, { limitInputPixels: false }).resize({ width });
      const [exact, few] = await Promise.all([
        image.clone().png({ compressionLevel: 9, adaptiveFiltering: false }).toBuffer(),
        image.clone().png({ compressionLevel: 9, palette: true, quality: 90, effort: 1 }).toBuffer(),
      ]);
      return few.length < exact.length ? few : exact;
    };
    png = await smallOf();
    if (png.length > most) png = await smallOf(Math.round(0.7 * (await sharp(full).metadata()).width));
  }
  return new Uint8Array(png.buffer, png.byteOffset, png.byteLength);
}
