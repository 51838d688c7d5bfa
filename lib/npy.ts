/**
 * NumPy's `.npy` format: one array, as `np.save` writes it and `np.load` reads it. Those of 64-bit floats, of whole
 * numbers, booleans and halves are read as 32-bit floats.
 *
 * https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
 *
 * @module
 */

import { kindOf } from "./errors.ts";

/** What can be written: numbers of the usual kinds, or texts. */
export interface NpyArray {
  /** The values, in row-major order. */
  readonly data: Float32Array | Float64Array | Int32Array | Uint8Array | readonly string[];
  /** The length of each axis, outermost first; `[]` for a single value. */
  readonly shape: readonly number[];
}

const MAGIC = "\x93NUMPY";
/** Data begin at a multiple of so many bytes. */
const ALIGNED = 64;

/** The array as the bytes of an `.npy` file, of the kind of its numbers. */
export function encodeNpy({ data, shape }: NpyArray): Uint8Array<ArrayBuffer> {
  const texts = ArrayBuffer.isView(data) ? undefined : data.map((text) => [...text]);
  const longest = texts?.reduce((most, { length }) => Math.max(most, length), 1) ?? 0;
  const descr = texts
    ? `<U${longest}`
    : data instanceof Float64Array
    ? "<f8"
    : data instanceof Int32Array
    ? "<i4"
    : data instanceof Uint8Array
    ? "|u1"
    : "<f4";
  const tuple = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(", ")})`;
  const header = `{'descr': '${descr}', 'fortran_order': False, 'shape': ${tuple}, }`;
  const start = Math.ceil((MAGIC.length + 4 + header.length + 1) / ALIGNED) * ALIGNED;
  const values = texts ? utf32(texts, longest) : data as Exclude<NpyArray["data"], readonly string[]>;
  const bytes = new Uint8Array(start + values.byteLength);
  const view = new DataView(bytes.buffer);
  const text = `${MAGIC}\x01\x00\x00\x00${header}`.padEnd(start - 1) + "\n";
  for (let i = 0; i < start; i++) bytes[i] = text.charCodeAt(i);
  view.setUint16(MAGIC.length + 2, start - MAGIC.length - 4, true);
  bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), start);
  return bytes;
}

/** Texts as NumPy keeps them: four bytes a character, all as long as the longest. */
function utf32(texts: readonly (readonly string[])[], longest: number): Uint32Array {
  const codes = new Uint32Array(texts.length * longest);
  texts.forEach((text, i) => text.forEach((one, j) => codes[i * longest + j] = one.codePointAt(0)!));
  return codes;
}

type Get = (view: DataView, at: number, little: boolean) => number | bigint;

/** How the numbers of each kind are read, and how many bytes each has. */
const KINDS: Record<string, [bytes: number, get: Get]> = {
  f2: [2, (view, at, little) => view.getFloat16(at, little)],
  f4: [4, (view, at, little) => view.getFloat32(at, little)],
  f8: [8, (view, at, little) => view.getFloat64(at, little)],
  i1: [1, (view, at) => view.getInt8(at)],
  i2: [2, (view, at, little) => view.getInt16(at, little)],
  i4: [4, (view, at, little) => view.getInt32(at, little)],
  i8: [8, (view, at, little) => view.getBigInt64(at, little)],
  u1: [1, (view, at) => view.getUint8(at)],
  u2: [2, (view, at, little) => view.getUint16(at, little)],
  u4: [4, (view, at, little) => view.getUint32(at, little)],
  u8: [8, (view, at, little) => view.getBigUint64(at, little)],
  b1: [1, (view, at) => view.getUint8(at)],
};

/**
 * The array in the bytes of an `.npy` file, as 32-bit floats; other floats are rounded to them.
 *
 * @param name of the file, for messages
 * @throws {RangeError} if it is no such file, is cut short, holds anything but real numbers, or a number beyond 32-bit
 *   floats: a whole number that they cannot tell from its neighbour, or one that would become infinite
 */
export function decodeNpy(bytes: Uint8Array, name: string): { data: Float32Array<ArrayBuffer>; shape: number[] } {
  const { kind, little, fortran, shape, start } = headerOf(bytes, name);
  const [size, get] = KINDS[kind];
  const count = shape.reduce((product, length) => product * length, 1);
  if (bytes.length - start !== count * size) {
    throw new RangeError(
      `${name} is damaged or cut short: an array of shape [${shape.join(", ")}] of ${size} bytes each takes ` +
        `${count * size} bytes, there are ${bytes.length - start}. Save it anew.`,
    );
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset + start);
  const data = new Float32Array(count);
  const exact = /[iu]/.test(kind);
  // Of an array in Fortran's order the first axis runs fastest: the place in the file of each value, in our order.
  const strides = shape.map((_, axis) => shape.slice(0, axis).reduce((product, length) => product * length, 1));
  const places = shape.map(() => 0);
  let place = 0;
  for (let i = 0; i < count; i++) {
    const found = get(view, (fortran ? place : i) * size, little);
    data[i] = Number(found);
    if (exact ? BigInt(data[i]) !== BigInt(found) : !Number.isFinite(data[i]) && Number.isFinite(found)) {
      throw new RangeError(
        `${name} holds ${found}, which is beyond 32-bit floats` +
          `${
            exact ? " (they hold whole numbers up to 16,777,216, and some beyond)" : ""
          }. Scale it down before it is saved.`,
      );
    }
    for (let axis = shape.length - 1; fortran && axis >= 0; axis--) {
      place += strides[axis];
      if (++places[axis] < shape[axis]) break;
      place -= strides[axis] * shape[axis];
      places[axis] = 0;
    }
  }
  return { data, shape };
}

/** What an `.npy` file says of its array. */
function headerOf(bytes: Uint8Array, name: string) {
  const latin = new TextDecoder("latin1");
  if (latin.decode(bytes.subarray(0, MAGIC.length)) !== latin.decode(Uint8Array.from(MAGIC, (c) => c.charCodeAt(0)))) {
    throw new RangeError(
      `${name} is no .npy file: it does not begin as one. np.save(${JSON.stringify(name)}, array) writes one.`,
    );
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const long = bytes[MAGIC.length] > 1;
  const from = MAGIC.length + 2 + (long ? 4 : 2);
  const start = bytes.length < from ? Infinity : from + (long ? view.getUint32(8, true) : view.getUint16(8, true));
  const header = latin.decode(bytes.subarray(from, start));
  const descr = header.match(/'descr':\s*('[^']*'|\[)/)?.[1].replaceAll("'", "");
  const shape = header.match(/'shape':\s*\(([\d,\s]*)\)/)?.[1];
  const order = header.match(/'fortran_order':\s*(True|False)/)?.[1];
  if (start > bytes.length || !descr || shape === undefined || !order) {
    throw new RangeError(`${name} is damaged: its header cannot be read. Save it anew.`);
  }
  const kind = descr.replace(/^[<>|=]/, "");
  if (!Object.hasOwn(KINDS, kind)) {
    const what = descr === "["
      ? "records"
      : { U: "texts", S: "bytes", O: "Python objects", c: "complex numbers" }[kind[0]];
    throw new RangeError(
      `${name} holds ${
        what ?? `values of the kind ${kindOf(descr)}`
      }; wanted real numbers. Convert them in NumPy, as ` +
        "np.save(path, array.astype('float32')).",
    );
  }
  return {
    kind,
    little: descr[0] !== ">",
    fortran: order === "True",
    shape: shape.split(",").filter((length) => length.trim()).map(Number),
    start,
  };
}
