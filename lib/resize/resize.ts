/**
 * Resizing of images, as Pillow does it.
 *
 * @module
 */

import type { NdArrayLike } from "../array.ts";
import { KERNELS } from "./kernels.ts";

/** Pixels to resize: floats, or bytes as they are decoded. */
export interface RawPixels {
  readonly data: Float32Array | Uint8Array;
  readonly shape: readonly number[];
}

/** How an image becomes another size. */
export type Fit = "crop" | "squash";

/** What the kernels export; `kernels.as` says what each does. Numbers are addresses in bytes and counts. */
interface Kernels {
  extentOfBytes(values: number, count: number): number;
  extentOfFloats(values: number, count: number, out: number): void;
  // deno-fmt-ignore
  take(source: number, bytes: boolean, y: number, count: number, width: number, channels: number, columns: number, toWidth: number, lines: number, toHeight: number, scratch: number, sums: number, line: number): void;
  finish(sums: number, height: number, values: number, line: number, least: number, most: number): void;
}

/** Lobes of the Lanczos kernel on each side. */
const LOBES = 3;

function lanczos(x: number): number {
  if (x === 0) return 1;
  if (Math.abs(x) >= LOBES) return 0;
  const angle = Math.PI * x;
  return (LOBES * Math.sin(angle) * Math.sin(angle / LOBES)) / (angle * angle);
}

/** Which source cells the output cells of one axis read. */
interface Axis {
  /** The first cell that each reads, and how many. */
  readonly cells: Int32Array;
  /** The weights of those of the first, then of the second and so on. */
  readonly weights: Float64Array;
}

function axis(from: number, start: number, length: number, to: number): Axis {
  const scale = length / to;
  const stretch = Math.max(1, scale);
  const support = LOBES * stretch;
  const cells = new Int32Array(2 * to);
  const weights = new Float64Array(to * Math.ceil(2 * support + 1));
  let at = 0;
  for (let i = 0; i < to; i++) {
    const centre = start + (i + 0.5) * scale;
    const first = Math.max(0, Math.floor(centre - support + 0.5));
    const end = Math.min(from, Math.floor(centre + support + 0.5));
    let sum = 0;
    for (let x = first; x < end; x++) sum += weights[at + x - first] = lanczos((x + 0.5 - centre) / stretch);
    for (let x = first; x < end; x++) weights[at++] /= sum;
    cells.set([first, end - first], 2 * i);
  }
  return { cells, weights: weights.subarray(0, at) };
}

/** The axes that were asked for last: photos of one camera have one size. */
const axes = new Map<string, Axis>();

function axisOf(...sizes: [from: number, start: number, length: number, to: number]): Axis {
  const key = sizes.join();
  const known = axes.get(key) ?? axis(...sizes);
  if (axes.size > 200) axes.clear();
  axes.set(key, known);
  return known;
}

const PAGE = 65536;
/** About so many bytes of a source are copied at a time, so that one of any size takes little room. */
const BLOCK = 1 << 20;
/** A memory that grew beyond this is not kept. */
const KEPT = 1 << 25;

let module: WebAssembly.Module | undefined;
let kept: { memory: WebAssembly.Memory; kernels: Kernels } | undefined;

/** The kernels, in a memory of at least so many bytes. */
function kernelsIn(bytes: number): { memory: WebAssembly.Memory; kernels: Kernels } {
  if (!kept) {
    // Compiled without waiting, because a figure cannot wait; it takes a millisecond, once.
    module ??= new WebAssembly.Module(Uint8Array.fromBase64(KERNELS));
    const memory = new WebAssembly.Memory({ initial: 1 });
    kept = { memory, kernels: new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as Kernels };
  }
  const taken = kept;
  const more = Math.ceil((bytes - taken.memory.buffer.byteLength) / PAGE);
  if (more > 0) taken.memory.grow(more);
  if (taken.memory.buffer.byteLength > KEPT) kept = undefined;
  return taken;
}

/** Where the parts of a resizing stand in memory. */
function layout(sizes: Record<"columns" | "lines" | "extent" | "scratch" | "sums" | "source", number>) {
  let bytes = 0;
  const at = Object.fromEntries(
    Object.entries(sizes).map(([name, size]) => {
      const place = bytes;
      bytes += Math.ceil(size / 16) * 16;
      return [name, place];
    }),
  ) as typeof sizes;
  return { at, bytes };
}

const tableBytes = ({ cells, weights }: Axis) => 8 * cells.length + 8 * weights.length;

/** Writes the table of an axis, `kernels.as` says how. */
function writeTable({ buffer }: WebAssembly.Memory, at: number, { cells, weights }: Axis): void {
  const count = cells.length / 2;
  const table = new Int32Array(buffer, at, 4 * count);
  let place = at + 16 * count;
  new Float64Array(buffer, place, weights.length).set(weights);
  for (let i = 0; i < count; i++) {
    table.set([cells[2 * i], cells[2 * i + 1], place, 0], 4 * i);
    place += 8 * cells[2 * i + 1];
  }
}

/**
 * Resizes an image with the Lanczos kernel of three lobes, widened by the scale when the image shrinks, so that it is
 * antialiased; cut at the image's edge and normalised. This is Pillow's `LANCZOS` in floats. The kernel overshoots at
 * sharp edges: what leaves the range of the image's own values is clipped to it.
 *
 * @param image `[height, width, channels]`, of floats or of bytes
 * @param size the `[height, width]` wanted
 * @param options.fit `"crop"` scales the short side to fit and cuts what the long side has too much, half on each side;
 * `"squash"` takes the whole image and changes its proportions @default "crop"
 * @returns `[size[0], size[1], channels]`, the same range of values
 * @throws {RangeError} if the image has not three axes or is empty, or the size is not two whole numbers ≥ 1
 */
export function resize(
  image: RawPixels,
  size: readonly [height: number, width: number],
  { fit = "crop" }: { fit?: Fit } = {},
): NdArrayLike {
  const { data, shape } = image;
  if (shape.length !== 3 || data.length === 0) {
    throw new RangeError(`resize wants an image [height, width, channels]: received [${shape.join(", ")}].`);
  }
  if (size.length !== 2 || !size.every((length) => Number.isInteger(length) && length >= 1)) {
    throw new RangeError(`resize wants a size [height, width] of whole numbers ≥ 1: received [${size.join(", ")}].`);
  }
  if (fit !== "crop" && fit !== "squash") {
    throw new RangeError(`resize knows the fits "crop" and "squash": received ${JSON.stringify(fit)}.`);
  }
  return resample(image, size, fit);
}

function resample({ data, shape }: RawPixels, [toHeight, toWidth]: readonly [number, number], fit: Fit): NdArrayLike {
  const [height, width, channels] = shape;
  const scale = Math.min(height / toHeight, width / toWidth);
  const usedHeight = fit === "crop" ? toHeight * scale : height;
  const usedWidth = fit === "crop" ? toWidth * scale : width;
  const columns = axisOf(width, (width - usedWidth) / 2, usedWidth, toWidth);
  const lines = axisOf(height, (height - usedHeight) / 2, usedHeight, toHeight);

  const values = width * channels;
  const toValues = toWidth * channels;
  const line = 16 * Math.ceil(toValues / 2);
  const each = data.BYTES_PER_ELEMENT;
  const rows = Math.min(height, 4 * Math.ceil(BLOCK / (4 * values * each)));
  const { at, bytes } = layout({
    columns: tableBytes(columns),
    lines: tableBytes(lines),
    extent: 32,
    scratch: 32 * (values + 8) + 4 * line,
    sums: toHeight * line,
    source: rows * values * each + 8,
  });
  const { memory, kernels } = kernelsIn(bytes);
  const all = new Uint8Array(memory.buffer);
  writeTable(memory, at.columns, columns);
  writeTable(memory, at.lines, lines);
  all.fill(0, at.scratch, at.sums + toHeight * line);
  const extent = new Float32Array(memory.buffer, at.extent, 2);
  extent.set([Infinity, -Infinity]);
  const isBytes = each === 1;
  for (let y = 0; y < height; y += rows) {
    const count = Math.min(rows, height - y);
    const block = data.subarray(y * values, (y + count) * values);
    all.set(new Uint8Array(block.buffer, block.byteOffset, block.byteLength), at.source);
    if (isBytes) {
      const both = kernels.extentOfBytes(at.source, block.length);
      extent.set([Math.min(extent[0], both & 255), Math.max(extent[1], both >> 8)]);
    } else kernels.extentOfFloats(at.source, block.length, at.extent);
    // deno-fmt-ignore
    kernels.take(at.source, isBytes, y, count, width, channels, at.columns, toWidth, at.lines, toHeight, at.scratch, at.sums, line);
  }
  // Where all is NaN there is no range; adding 0 turns −0 into 0.
  const [least, most] = extent[0] > extent[1] ? [0, 0] : [extent[0] + 0, extent[1] + 0];
  kernels.finish(at.sums, toHeight, toValues, line, least, most);
  const resized = new Float32Array(memory.buffer, at.sums, toHeight * toValues).slice();
  return { data: resized, shape: [toHeight, toWidth, channels] };
}
