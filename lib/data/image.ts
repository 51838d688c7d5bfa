/**
 * Images: loaded from a path, an address or bytes; they hold their pixels and show themselves.
 *
 * @module
 */

import { basename, dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { extent, isNdArray, NdArray, ndarray, type NdArrayLike, sizeOf } from "../array.ts";
import { decodeBytes, ImageError } from "../codec.ts";
import { kindOf, messageOf, nearest } from "../errors.ts";
import { decoded } from "../files.ts";
import { Figure, Shown } from "../figure/figure.ts";
import { drawable, pixelsOf } from "../figure/mosaic.ts";
import { IMAGE_NAME } from "../image_file.ts";
import { Interrupted, interruptible } from "../interrupt.ts";
import { positive, readOptions } from "../options.ts";
import { type RawPixels, resize } from "../resize/resize.ts";
import { catalogEntries } from "./catalog.ts";
import { decodedImages, stampOf } from "./image_cache.ts";

/** What an encoded image can be read from. */
export type ImageSource = string | URL | Uint8Array | ArrayBuffer | Blob;

/** What may stand wherever an image is asked for; for a network that reads vectors their numbers, as a Float32Array. */
export type ImageLike = Image | NdArrayLike | ImageSource | InputRecord | Float32Array;

/**
 * What a network of several inputs is asked about, by the names of its inputs, as `{ image: "road.png", angle: 0.3 }`: images
 * in any form, a number or numbers for an input `[n]`, an array of the input's shape.
 */
export interface InputRecord {
  /** What goes to the input of this name. */
  readonly [input: string]: Image | NdArrayLike | ImageSource | number | readonly number[];
}

/** The most bytes that an encoded image may have: 256 MB. */
const MAX_BYTES = 256_000_000;

/** The largest number that a pixel can be meant to have, that of 16 bits. */
const LARGEST_PIXEL = 65_535;

/** A wider or higher photo is shown smaller than it is, so that notebooks stay small. */
const LARGEST_SHOWN = 640;
/** A smaller image is shown enlarged by a whole factor, up to this size. */
const SMALLEST_SHOWN = 192;

/**
 * An image in colour, in grey, or of any number of bands. Its pixels are an {@linkcode array}, and it shows itself in a
 * Jupyter cell.
 */
export class Image extends Shown implements NdArrayLike {
  /** `[height, width, 3]`, `[height, width, 1]` of a grey image, or `[height, width, bands]`. */
  readonly shape: readonly [height: number, width: number, channels: number];
  /** A short name, as `"dog"` or `"holiday.jpg"`. */
  readonly name: string;
  /** Where it came from: a path, an address, a package. */
  readonly source: string;
  /** What is on it, where that is known. */
  readonly about: string;
  /** Bytes as they were decoded, until somebody asks for numbers. */
  #data: Float32Array | Uint8Array;

  /**
   * Makes an image of pixels.
   *
   * @param pixels `[height, width, 3]`, RGB, or `[height, width, 1]` or `[height, width]`, grey; 0…255, as floats or bytes;
   *   or `[height, width, bands]`
   * @throws {RangeError} if the shape is another one, or a value is not finite or beyond ±65,535
   */
  constructor(pixels: RawPixels, { name, source, about = "" }: { name: string; source: string; about?: string }) {
    super();
    const bytes = pixels.data instanceof Uint8Array && pixels.data.length === sizeOf(pixels.shape);
    const { data, shape } = bytes ? pixels : ndarray(pixels.data, pixels.shape);
    const [height, width, channels = 1] = shape;
    if ((shape.length !== 3 && shape.length !== 2) || data.length === 0) {
      throw new RangeError(
        `An image has the shape [height, width, 3], in grey [height, width] or [height, width, 1], or [height, width, ` +
          `bands]: received an array of shape [${shape.join(", ")}].`,
      );
    }
    const bad = bytes ? -1 : firstBad(data);
    if (bad >= 0) {
      throw new RangeError(
        `The image ${JSON.stringify(name)} holds ${data[bad]} at row ${Math.floor(bad / (channels * width))}, column ` +
          `${Math.floor(bad / channels) % width}, channel ${bad % channels}: wanted finite numbers, 0 to 255.`,
      );
    }
    this.#data = data;
    this.shape = [height, width, channels];
    this.name = name;
    this.source = source;
    this.about = about;
  }

  /** The pixels as an array, to compute with, of the image's {@linkcode shape}. */
  get array(): NdArray {
    return NdArray.from(this);
  }

  /** Values 0…255, row by row: red, green and blue of each pixel, its grey, or its bands. */
  get data(): Float32Array {
    if (this.#data instanceof Uint8Array) this.#data = new Float32Array(this.#data);
    return this.#data;
  }

  /** @internal The pixels as they are at hand, floats or bytes; not to be written to. */
  get pixels(): RawPixels {
    return { data: this.#data, shape: this.shape };
  }

  /**
   * A part of the image.
   *
   * @param box `[y0, x0, y1, x1]` in pixels: from row `y0` and column `x0` up to, but without, row `y1` and column `x1`
   * @throws {TypeError} if the box is no array of four numbers
   * @throws {RangeError} if it is not in the image, or holds no pixel
   *
   * @example
   * ```ts
   * import { photo } from "../../mod.ts";
   * const dog = await photo("dog");
   * console.log(dog.crop([0, 100, 200, 300]).shape);
   * ```
   */
  crop(box: readonly [y0: number, x0: number, y1: number, x1: number]): Image {
    if (!Array.isArray(box) || box.length !== 4) {
      const found = Array.isArray(box) ? `${box.length} numbers` : kindOf(box);
      throw new TypeError(`crop wants a box [y0, x0, y1, x1] in pixels: received ${found}.`);
    }
    const [y0, x0, y1, x1] = box;
    const [height, width, channels] = this.shape;
    const whole = box.every(Number.isInteger);
    if (!whole || y0 < 0 || x0 < 0 || y1 > height || x1 > width || y0 >= y1 || x0 >= x1) {
      const wanted = whole && (y0 >= y1 || x0 >= x1)
        ? "y0 below y1 and x0 below x1"
        : `whole numbers, rows from 0 to ${height} and columns from 0 to ${width}`;
      throw new RangeError(
        `The box [y0, x0, y1, x1] must lie in the image ${JSON.stringify(this.name)} of ${height} rows and ${width} ` +
          `columns: received [${box.join(", ")}]; wanted ${wanted}.`,
      );
    }
    const line = (x1 - x0) * channels;
    const data = new Float32Array((y1 - y0) * line);
    for (let y = y0; y < y1; y++) {
      const start = (y * width + x0) * channels;
      data.set(this.data.subarray(start, start + line), (y - y0) * line);
    }
    const part = `${this.source}, rows ${y0} to ${y1 - 1}, columns ${x0} to ${x1 - 1}`;
    return new Image({ data, shape: [y1 - y0, x1 - x0, channels] }, { name: this.name, source: part });
  }

  /**
   * The pixels in colour, `[height, width, 3]`: of a grey image its values three times, of other bands their mean, from its
   * least (0) to its greatest value (255).
   */
  rgb(): NdArrayLike {
    const [height, width, channels] = this.shape;
    if (channels === 3) return { data: this.data, shape: this.shape };
    const { data: greys } = drawable(this.pixels);
    const data = new Float32Array(3 * greys.length);
    for (let i = 0; i < greys.length; i++) data.fill(greys[i], 3 * i, 3 * i + 3);
    return { data, shape: [height, width, 3] };
  }

  /**
   * One of the image's bands in grey, or three as red, green and blue: each from its least (0) to its greatest value (255).
   *
   * @param chosen the numbers of one band or of three, counted from 0
   * @throws {RangeError} if they are neither one nor three, or there is no such band
   *
   * @example
   * ```ts
   * import { Image } from "@convlens/convlens";
   * const pixels = { data: new Float32Array(4 * 4 * 12).map((_, i) => i), shape: [4, 4, 12] };
   * const field = new Image(pixels, { name: "field", source: "a satellite" });
   * console.log(field.bands(3, 2, 1).shape, field.bands(7).shape);
   * ```
   */
  bands(...chosen: readonly number[]): Image {
    const [height, width, channels] = this.shape;
    const fits = chosen.every((band) => Number.isInteger(band) && band >= 0 && band < channels);
    if (!fits || (chosen.length !== 1 && chosen.length !== 3)) {
      throw new RangeError(
        `bands wants the numbers of one band, or of three for red, green and blue, each 0 to ${
          channels - 1
        }: received ` +
          `[${chosen.join(", ")}].`,
      );
    }
    const { data } = this.pixels;
    const out = new Float32Array(height * width * chosen.length);
    chosen.forEach((band, c) => {
      const plane = Float32Array.from({ length: height * width }, (_, i) => data[i * channels + band]);
      const [low, high] = extent(plane);
      plane.forEach((value, i) => out[i * chosen.length + c] = 255 * (value - low) / (high - low || 1));
    });
    const source = `${this.source}, band${chosen.length > 1 ? "s" : ""} ${chosen.join(", ")}`;
    return new Image({ data: out, shape: [height, width, chosen.length] }, { name: this.name, source });
  }

  /** What a cell shows: the image, small ones enlarged, with its size and where it is from. */
  override figure(): Figure {
    const [height, width, channels] = this.shape;
    const longest = Math.max(height, width);
    const scale = Math.min(1, LARGEST_SHOWN / longest);
    const factor = Math.max(1, Math.floor(SMALLEST_SHOWN / longest));
    const size: [number, number] = [Math.max(1, Math.round(height * scale)), Math.max(1, Math.round(width * scale))];
    const shown = scale < 1 ? resize(channels === 3 ? this.pixels : this.rgb(), size, { fit: "squash" }) : this.rgb();
    const note = scale < 1
      ? `, shown at ${size[1]} × ${size[0]}`
      : factor > 1
      ? `, shown ${factor} times enlarged`
      : "";
    const bands = channels === 1 || channels === 3
      ? ""
      : `Drawn is the mean of its ${channels} bands, from its least (black) to its greatest value (white); image.bands(0) ` +
        `draws one of them${channels > 2 ? ", image.bands(2, 1, 0) three as colours" : ""}.`;
    return new Figure({
      title: `${this.name}: ${width} × ${height} pixels${bands && `, ${channels} bands`}`,
      caption: [this.about, `From ${this.source}${note}.`, bands].filter(Boolean).join(" "),
      blocks: [{ kind: "picture", pixels: pixelsOf(shown, factor), alt: this.about || `The image ${this.name}` }],
      text: `Image ${JSON.stringify(this.name)}, ${width} × ${height} pixels, from ${this.source}`,
    });
  }
}

/** Options of {@linkcode loadImage}. */
export class LoadOptions {
  /** Gives up when an address sends nothing for this many milliseconds. @default 30000 */
  @positive()
  timeout = 30_000;
}

/**
 * Loads a JPEG, PNG or WebP image, or a GIF, TIFF or AVIF of one picture.
 *
 * @param source a path (relative to the working directory: in a notebook, its folder), a `file:`, `http:` or `https:`
 * address, or the encoded bytes. Their orientation is applied, a colour profile converted to sRGB, transparent parts are
 * laid on white. Values of 16 bits come down to 8: numbers of more precision are given to a model as an array `[h, w, c]`.
 * @throws {ImageError} if there is no such file, the address does not answer with an image, or it cannot be decoded
 * @throws {TypeError} if the source is none of these
 */
export async function loadImage(source: ImageSource, options: Partial<LoadOptions> = {}): Promise<Image> {
  const { timeout } = readOptions("loadImage", LoadOptions, options);
  if (typeof source === "string" && !isAddress(source)) return await imageFile(source);
  if (typeof source === "string" || source instanceof URL) {
    const url = URL.parse(String(source));
    if (url?.protocol === "file:") return await imageFile(pathOf(url));
    if (url?.protocol === "http:" || url?.protocol === "https:") return await fromWeb(url, timeout);
    throw new TypeError(
      `An image's address starts with file:, http: or https:: received ${JSON.stringify(String(source))}.`,
    );
  }
  const bytes = source instanceof Blob
    ? new Uint8Array(await source.arrayBuffer())
    : source instanceof ArrayBuffer
    ? new Uint8Array(source)
    : source;
  if (!(bytes instanceof Uint8Array)) {
    throw new TypeError(
      `An image is loaded from a path, a URL, a Uint8Array, an ArrayBuffer or a Blob: received ${kindOf(source)}.`,
    );
  }
  const name = source instanceof File ? source.name : "image";
  return new Image(await decode(bytes, name), { name, source: `${bytes.length} bytes` });
}

/**
 * Takes whatever an image can be given as: an {@linkcode Image} as it is, an array `[height, width, 3]` of RGB or
 * `[height, width, 1]` of grey values 0…255 (values of 0…1 are not recognized: they make an almost black image), or what {@linkcode loadImage} takes.
 *
 * @throws {TypeError} if it is none of these
 * @throws as {@linkcode loadImage} and {@linkcode Image} do
 */
export async function toImage(input: ImageLike): Promise<Image> {
  if (input instanceof Image) return input;
  if (isNdArray(input)) return new Image(input, { name: "array", source: "an array" });
  if (isSource(input)) return await loadImage(input);
  throw new TypeError(
    `An image is what loadImage or photo gives, an array { data: Float32Array, shape: [height, width, 3 or 1] }, a path, an ` +
      `address or the bytes of a file: received ${kindOf(input)}.` +
      (typeof input === "number"
        ? " The numbers that a network reads as one vector are a Float32Array.of(0.5, …)."
        : ""),
  );
}

/** Whether a text is an address, not a path; `C:` is a drive. */
const isAddress = (source: string): boolean => /^[a-z][a-z0-9+.-]+:/i.test(source);

function isSource(value: unknown): value is ImageSource {
  return typeof value === "string" || [URL, Uint8Array, ArrayBuffer, Blob].some((type) => value instanceof type);
}

/** @throws {TypeError} if a `file:` address names no file of this machine, or holds a `%` that encodes nothing */
function pathOf(url: URL): string {
  try {
    return fileURLToPath(url);
  } catch (error) {
    throw new TypeError(
      `The address ${JSON.stringify(url.href)} names no file: ${
        messageOf(error)
      }. Give the path itself; in an address ` +
        `"%" is written "%25".`,
      { cause: error },
    );
  }
}

/**
 * An image of a file.
 *
 * @param path how errors and captions call it
 * @param folder what a relative path is relative to @default the working directory
 * @throws {ImageError} if it is not there, cannot be opened, or is no image
 */
export async function imageFile(path: string, folder = "."): Promise<Image> {
  const absolute = resolve(folder, path);
  const quoted = JSON.stringify(path);
  let info: Deno.FileInfo;
  try {
    info = await Deno.stat(absolute);
  } catch (error) {
    if (!isMissing(error)) throw unopened(quoted, error);
    throw new ImageError(`There is no file ${quoted} (looked for ${absolute}).${await hint(path, absolute)}`);
  }
  if (info.isDirectory) {
    throw new ImageError(`${quoted} is a folder; wanted an image file. imageFolder(${quoted}) reads all images in it.`);
  }
  if (!info.isFile || info.size > MAX_BYTES) {
    throw new ImageError(
      `${quoted} is ${info.isFile ? `${info.size} bytes long` : "not a regular file"}; ` +
        `wanted an image file of at most ${MAX_BYTES} bytes.`,
    );
  }
  const stamp = stampOf(info);
  let pixels = decodedImages.get(absolute, stamp);
  if (!pixels) {
    const bytes = await Deno.readFile(absolute).catch((error) => {
      throw unopened(quoted, error);
    });
    pixels = await decode(bytes, path);
    decodedImages.put(absolute, stamp, pixels);
  }
  return new Image(pixels, { name: basename(absolute), source: path });
}

/** Decodes as {@linkcode decodeBytes} does. */
async function decode(bytes: Uint8Array, name: string): Promise<RawPixels> {
  const { data, width, height } = await decodeBytes(bytes, { name });
  return { data, shape: [height, width, 3] };
}

/**
 * The path that an image is read from; undefined where it is something else than the name of a file.
 *
 * @returns absolute
 */
export function filePathOf(image: ImageLike): string | undefined {
  if (typeof image === "string" && !isAddress(image)) return resolve(image);
  return undefined;
}

/** The place of the first number that no pixel can be; −1 if there is none. */
function firstBad(data: Float32Array | Uint8Array): number {
  for (let i = 0; i < data.length; i++) if (!(Math.abs(data[i]) <= LARGEST_PIXEL)) return i;
  return -1;
}

/** The error for a file that is there and cannot be opened: it may not be read, or is a link to itself. */
export function unopened(quoted: string, error: unknown): ImageError {
  return new ImageError(`${quoted} cannot be opened: ${messageOf(error)}.`, { cause: error });
}

/** Whether a file, or a folder on the way to it, is not there. */
function isMissing(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory;
}

/** What else might have been meant by a path that does not exist. */
async function hint(path: string, absolute: string): Promise<string> {
  if (catalogEntries[path]?.kind === "photo") {
    return ` For the photo of the catalogue, call photo(${JSON.stringify(path)}).`;
  }
  const names: string[] = [];
  try {
    for await (const entry of Deno.readDir(dirname(absolute))) {
      if (IMAGE_NAME.test(entry.name)) names.push(entry.name);
    }
  } catch (error) {
    if (!isMissing(error)) throw error;
    return ` There is no folder ${dirname(absolute)} either.`;
  }
  if (names.length === 0) return " That folder holds no image.";
  const shown = nearest(basename(path), names.sort(), 3).map((name) => JSON.stringify(name));
  return ` The nearest there: ${shown.join(", ")}.`;
}

async function fromWeb(url: URL, timeout: number): Promise<Image> {
  const bytes = await download(url, timeout);
  const name = decoded(url.pathname.split("/").at(-1) ?? "") || url.host;
  return new Image(await decode(bytes, url.href), { name, source: url.href });
}

/** Fetches an address whole, and gives up when it sends nothing for `timeout` milliseconds. */
async function download(url: URL, timeout: number): Promise<Uint8Array> {
  const quoted = JSON.stringify(url.href);
  const silence = new AbortController();
  const giveUp = () => silence.abort();
  let timer = setTimeout(giveUp, timeout);
  try {
    const response = await fetch(url, { signal: interruptible(silence.signal) });
    if (!response.ok || !response.body) {
      await response.body?.cancel();
      throw new ImageError(
        `${quoted} was answered with the status ${response.status} ${response.statusText}; wanted an image. ` +
          `Open the address in a browser to see whether it is right and public.`,
      );
    }
    const chunks: Uint8Array<ArrayBuffer>[] = [];
    let length = 0;
    for await (const chunk of response.body) {
      clearTimeout(timer);
      timer = setTimeout(giveUp, timeout);
      chunks.push(chunk);
      length += chunk.length;
      if (length > MAX_BYTES) {
        throw new ImageError(`${quoted} sends more than ${MAX_BYTES} bytes, the limit for an image.`);
      }
    }
    return await new Blob(chunks).bytes();
  } catch (error) {
    if (error instanceof ImageError || error instanceof Interrupted) throw error;
    const reason = silence.signal.aborted ? `it sent nothing for ${timeout / 1000} s` : (error as Error).message;
    throw new ImageError(
      `${quoted} could not be fetched: ${reason}. Check the network, or download the file and give its path.`,
      { cause: error },
    );
  } finally {
    clearTimeout(timer);
  }
}
