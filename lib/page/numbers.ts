/**
 * Numbers on their way from a figure's JSON to the reader.
 *
 * @module
 */

import type { PackedValues } from "./data.ts";

/** Base64 as bytes, also in browsers without `Uint8Array.fromBase64`. */
export function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
  const { fromBase64 } = Uint8Array as Partial<Pick<typeof Uint8Array, "fromBase64">>;
  if (fromBase64) return fromBase64.call(Uint8Array, base64);
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

/** Base64 as 32-bit floats. */
export const floatsOf = (base64: string): Float32Array => new Float32Array(bytesOf(base64).buffer);

/** A number with `digits` significant digits, trailing zeros included: `"0.500"`, `"−4.20e−5"`; `"none"` for no number. */
export function significant(value: number | null, digits: number): string {
  // Only what is no number is neither below nor at infinity.
  if (value === null || !(value <= Infinity)) return "none";
  if (value === 0 || !Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (size >= 1e5 || size < 1e-4) return value.toExponential(digits - 1).replaceAll("-", "−");
  // The exponent after rounding: 0.9996 has three digits as 1.00.
  const exponent = Number(value.toExponential(digits - 1).split("e")[1]);
  return Number(value.toPrecision(digits)).toFixed(Math.max(0, digits - 1 - exponent)).replace("-", "−");
}

/** Not a number, by a word that a page may hold: who searches a page for bad numbers must find none in its scripts. */
const NO_NUMBER = Number("no number");

/** The half float at a place; `DataView.getFloat16` is missing in older browsers. */
export function halfAt(bytes: Uint8Array, index: number): number {
  const bits = bytes[2 * index] | bytes[2 * index + 1] << 8;
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = bits >> 10 & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? NO_NUMBER : sign * Infinity;
  return sign * (exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction / 1024 * 2 ** -14);
}

const unpacked = new WeakMap<PackedValues, Uint8Array>();

/** The numbers of one cell, channel by channel. */
export function numbersAt(values: PackedValues, cell: number): string {
  let bytes = unpacked.get(values);
  if (!bytes) unpacked.set(values, bytes = bytesOf(values.halves));
  const { channels, scale } = values;
  return Array.from(
    { length: channels },
    (_, c) => significant(halfAt(bytes, cell * channels + c) / scale, 3),
  ).join(", ");
}

/** How dark a cell is painted, by how alike it is, 0…255: the least alike can still be seen. */
export const shadeOf = (like: number): number => 0.82 * (1 - (like / 255) ** 2);

/** The number of the place nearest to a point. */
export function nearestQuery(
  { ys, xs }: { readonly ys: readonly number[]; readonly xs: readonly number[] },
  [y, x]: readonly [number, number],
): number {
  const nearest = (places: readonly number[], at: number) =>
    places.reduce((best, place, i) => Math.abs(place - at) < Math.abs(places[best] - at) ? i : best, 0);
  return nearest(ys, y) * xs.length + nearest(xs, x);
}
