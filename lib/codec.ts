/**
 * Bytes to pixels and back. This is the only file that knows sharp.
 *
 * @module
 */

import { flawOf, isAnimatedPng, isRead, kindOfFile } from "./image_file.ts";

/** The most pixels that {@linkcode decodeBytes} takes on: 100 megapixels, which are 1.2 GB as floats. */
export const MAX_PIXELS = 100_000_000;

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
  // Read from top to bottom, a row is given up when the next has come.
  const image = sharp(bytes, { limitInputPixels: false, failOn: "warning", sequentialRead: true });
  // Only the header is read here, so the size can be judged before anything is unpacked.
  const meta = await image.metadata().catch((error) => {
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

/**
 * Encodes 8-bit pixels as a PNG.
 *
 * @param pixels row by row, channel by channel
 * @param channels 1 for grey, 3 for RGB, 4 for RGB with alpha
 * @param options.level compression from 0 (none) to 9 (slowest) @default 2
 * @throws {RangeError} if the pixels do not fill the size
 */
export async function encodePng(
  pixels: Uint8Array | Uint8ClampedArray,
  width: number,
  height: number,
  channels: 1 | 3 | 4,
  { level = 2 }: { level?: number } = {},
): Promise<Uint8Array> {
  if (!(width >= 1 && height >= 1) || pixels.length !== width * height * channels) {
    throw new RangeError(
      `A PNG of ${width} × ${height} pixels with ${channels} channels takes ${width * height * channels} bytes ` +
        `and at least one pixel: received ${pixels.length}.`,
    );
  }
  const sharp = await loadSharp();
  const png = await sharp(pixels, { raw: { width, height, channels }, limitInputPixels: false })
    .toColourspace(channels === 1 ? "b-w" : "srgb")
    .png({ compressionLevel: level, adaptiveFiltering: false })
    .toBuffer();
  return new Uint8Array(png.buffer, png.byteOffset, png.byteLength);
}

/**
 * Encodes 8-bit RGB pixels as a lossy WebP, for pictures whose size counts.
 *
 * @param options.quality from 1 to 100 @default 75
 * @throws {RangeError} if the pixels do not fill the size, or a side is longer than WebP's 16383
 */
export async function encodeWebp(
  pixels: Uint8Array | Uint8ClampedArray,
  width: number,
  height: number,
  { quality = 75 }: { quality?: number } = {},
): Promise<Uint8Array> {
  if (!(width >= 1 && height >= 1 && width < 16384 && height < 16384) || pixels.length !== width * height * 3) {
    throw new RangeError(
      `A WebP of ${width} × ${height} pixels takes ${width * height * 3} bytes, and sides of 1 to 16383 pixels: ` +
        `received ${pixels.length}.`,
    );
  }
  const sharp = await loadSharp();
  const webp = await sharp(pixels, { raw: { width, height, channels: 3 } }).webp({ quality, effort: 2 }).toBuffer();
  return new Uint8Array(webp.buffer, webp.byteOffset, webp.byteLength);
}

/**
 * Draws an SVG as a PNG. Text is drawn with whatever fonts the machine has: turn it into paths to look the same anywhere.
 *
 * @param options.width the width of the PNG in pixels @default the drawing's own
 * @param options.dpi pixels to an inch, as the PNG says (in its chunk pHYs, pixels to a metre) @default 72
 */
export async function renderSvg(
  svg: string,
  { width, dpi }: { width?: number; dpi?: number } = {},
): Promise<Uint8Array> {
  const sharp = await loadSharp();
  const source = new TextEncoder().encode(svg);
  const own = await sharp(source, { unlimited: true }).metadata();
  // Drawn at the density that gives this width, rather than drawn small and then enlarged.
  const density = width === undefined ? 72 : Math.min(100_000, Math.max(1, 72 * width / own.width));
  const drawn = sharp(source, { density, unlimited: true })
    .resize({ width })
    .png({ compressionLevel: 6, adaptiveFiltering: false });
  const png = await (dpi === undefined ? drawn : drawn.withDensity(dpi)).toBuffer();
  return new Uint8Array(png.buffer, png.byteOffset, png.byteLength);
}
