/**
 * Arrays in files, as NumPy writes and reads them: one in an `.npy`, several in an `.npz`.
 *
 * @module
 */

import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { isNdArray, NdArray } from "../array.ts";
import { kindOf, messageOf, unknownName } from "../errors.ts";
import { pathOf, readFile, replaceWhole, writeChunks } from "../files.ts";
import { decodeNpy, encodeNpy, type NpyArray } from "../npy.ts";
import { readOptions, text } from "../options.ts";
import { zipEntries, zipInMemory, zipped } from "../zip.ts";

/** The options of `loadArray`. */
export class LoadArrayOptions {
  /**
   * Which array of an `.npz` is read.
   * @default the only one
   */
  @text()
  name?: string;
}

/**
 * Reads an array from a file of NumPy's: from an `.npy`, or one of those in an `.npz`. Doubles are rounded to 32-bit
 * floats; whole numbers, booleans and halves become floats.
 *
 * @param source a path, or a web address, of an `.npy` or `.npz`
 * @throws {RangeError} if there is no such file or array, it is damaged, or it holds anything but real numbers of the
 *   range of 32-bit floats
 *
 * @example
 * ```ts
 * import { loadArray, NdArray } from "@convlens/convlens";
 * const folder = await Deno.makeTempDir();
 * await NdArray.from([[1, 2], [3, 4]]).save(`${folder}/table.npy`);
 * console.log(await loadArray(`${folder}/table.npy`));
 * ```
 */
export async function loadArray(source: string | URL, options: Partial<LoadArrayOptions> = {}): Promise<NdArray> {
  const { name } = readOptions("loadArray", LoadArrayOptions, options);
  if (typeof source !== "string" && !(source instanceof URL)) {
    throw new TypeError(`loadArray takes the path of an .npy or .npz file: received ${kindOf(source)}.`);
  }
  const url = source instanceof URL || /^(https?|file):/.test(source)
    ? new URL(source)
    : pathToFileURL(resolve(source));
  const isMany = /\.npz$/i.test(url.pathname);
  if (!isMany && !/\.npy$/i.test(url.pathname)) {
    throw new RangeError(`loadArray reads .npy and .npz files: received ${JSON.stringify(String(source))}.`);
  }
  const bytes = await readFile(url, { room: { bytes: Infinity } }).catch((error) => {
    throw new RangeError(`The array ${source} cannot be read: ${messageOf(error)}.`, { cause: error });
  });
  const found = isMany ? await entryOf(bytes, String(source), name) : { bytes, name: String(source) };
  const { data, shape } = decodeNpy(found.bytes, found.name);
  return new NdArray(data, shape);
}

/** The bytes of one array of an archive. */
async function entryOf(archive: Uint8Array, source: string, name: string | undefined) {
  const entries = await zipEntries(zipInMemory(archive)).catch((error) => {
    throw new RangeError(`${source} is no .npz file: ${messageOf(error)}. np.savez(path, name=array) writes one.`, {
      cause: error,
    });
  });
  const names = entries.map((entry) => entry.name.replace(/\.npy$/, ""));
  if (name === undefined && names.length !== 1) {
    throw new RangeError(
      `${source} holds ${names.length} arrays: name one by loadArray(path, { name }). They are ${
        names.slice(0, 20).map((one) => JSON.stringify(one)).join(", ")
      }${names.length > 20 ? ", …" : ""}.`,
    );
  }
  const entry = entries[name === undefined ? 0 : names.indexOf(name)];
  if (!entry) throw unknownName("array", name!, names, source);
  const bytes = await entry.read().catch((error) => {
    throw new RangeError(`${source} cannot be read: ${messageOf(error)}.`, { cause: error });
  });
  return { bytes, name: `The array ${JSON.stringify(entry.name)} of ${source}` };
}

/**
 * Writes all that is numbers or texts in an object as an `.npz`, each under its path in the object, as `"points"`,
 * `"layers/conv1/maps"`: arrays as they are; lists as arrays; lists of records a column each; single values as arrays of
 * shape []. What is null or undefined is NaN or "" in lists, and left out elsewhere.
 */
export async function saveArrays(path: string | URL, object: object): Promise<void> {
  const arrays = new Map<string, NpyArray>();
  collect(arrays, "", object);
  const inputs = arrays.entries().map(([name, array]) => ({ name: `${name}.npy`, content: encodeNpy(array) }));
  const place = path instanceof URL ? pathOf(path) : path;
  await replaceWhole(place, (partial) => writeChunks(partial, zipped(inputs)));
}

type Numbers = Exclude<NpyArray["data"], readonly string[]>;

const isNumbers = (value: unknown): value is Numbers =>
  [Float32Array, Float64Array, Int32Array, Uint8Array].some((type) => value instanceof type);

/** Whether there are arrays in a value, so that it is no mere record. */
const hasArrays = (value: unknown): boolean =>
  typeof value === "object" && value !== null &&
  (isNumbers(value) || Object.values(value).some(hasArrays));

/** Adds what is in a value. */
function collect(arrays: Map<string, NpyArray>, name: string, value: unknown): void {
  const inside = (key: string | number) => name ? `${name}/${key}` : String(key);
  if (isNumbers(value)) return void arrays.set(name, { data: value, shape: [value.length] });
  if (Array.isArray(value)) {
    if (!value.some(hasArrays)) return columns(arrays, name, value);
    const names = value.map((item) => item?.name);
    const named = names.every((one) => typeof one === "string") && new Set(names).size === names.length;
    return value.forEach((item, i) => collect(arrays, inside(named ? names[i] : i), item));
  }
  if (typeof value !== "object" || value === null) {
    if (["number", "string", "boolean"].includes(typeof value)) columns(arrays, name, [value], []);
    return;
  }
  const { data, shape, side, k, ...others } = value as Record<string, unknown>;
  if (isNdArray(value)) arrays.set(name || "data", { data: value.data, shape: value.shape });
  // Small pictures, and neighbours.
  else if (data instanceof Uint8Array && typeof side === "number") {
    arrays.set(name, { data, shape: [data.length / (3 * side * side), side, side, 3] });
  } else for (const [key, one] of Object.entries({ data, shape, side, k })) collect(arrays, inside(key), one);
  for (const [key, one] of Object.entries(others)) {
    if (typeof k === "number" && isNumbers(one)) arrays.set(inside(key), { data: one, shape: [one.length / k, k] });
    else collect(arrays, inside(key), one);
  }
}

/** Adds a list: of numbers, texts or lists of numbers as an array, of records a column each. */
function columns(
  arrays: Map<string, NpyArray>,
  name: string,
  values: readonly unknown[],
  shape = [values.length],
): void {
  const known = values.filter((value) => value !== null && value !== undefined);
  if (known.length === 0) return;
  const all = (check: (value: unknown) => boolean) => known.every(check);
  const isNumber = (value: unknown) => typeof value === "number" || typeof value === "boolean";
  if (all(isNumber)) {
    const data = Float64Array.from(values, (value) => value === null || value === undefined ? NaN : Number(value));
    const whole = data.every((value) => value === (value | 0));
    arrays.set(name, { data: whole ? Int32Array.from(data) : data, shape });
  } else if (
    all((value) => Array.isArray(value) && value.length === (known[0] as []).length && value.every(isNumber))
  ) {
    const width = (known[0] as []).length;
    const lists = values.map((value) => value as number[] ?? new Array(width).fill(NaN));
    arrays.set(name, { data: Float64Array.from(lists.flat()), shape: [...shape, width] });
  } else if (all((value) => typeof value === "object" && !Array.isArray(value) && !(value instanceof Error))) {
    const keys = new Set(known.flatMap((record) => Object.keys(record as object)));
    for (const key of keys) {
      columns(arrays, `${name}/${key}`, values.map((record) => (record as Record<string, unknown> | undefined)?.[key]));
    }
  } else {
    const words = (value: unknown) => value instanceof Error ? value.message : JSON.stringify(value);
    const data = values.map((value) =>
      typeof value === "string" ? value : value === undefined ? "" : words(value) ?? ""
    );
    arrays.set(name, { data, shape });
  }
}
