/**
 * An ONNX file without its long lists of numbers: these stay on disk, and their tensors say where, as tensors do whose
 * numbers are in another file.
 *
 * @module
 */

import { bytesAt, type Place } from "../../files.ts";

/** Numbers of more bytes stay on disk until a layer takes them. */
export const LARGE = 2 ** 16;

/** Which fields of a message hold messages, by their numbers in `onnx.proto`. */
const INSIDE: Record<string, Record<number, string>> = {
  Model: { 7: "Graph" },
  Graph: { 1: "Node", 5: "Tensor" },
  Node: { 5: "Attribute" },
  Attribute: { 5: "Tensor", 6: "Graph" },
  Tensor: {},
};
/** The fields of a tensor that hold its numbers as they are in memory: `float_data` and `raw_data`. */
const NUMBERS = [4, 9];

/** Bytes of a file that are in memory at a time. */
const WINDOW = 2 ** 16;

/** Reads a file from field to field. */
class Cursor {
  at = 0;
  #window = new Uint8Array();
  #from = 0;

  constructor(readonly place: Place) {}

  #byte(): number {
    const { place, at } = this;
    if (!(at >= this.#from && at < this.#from + this.#window.length)) {
      if (at >= place.size) throw new RangeError(`it ends at byte ${place.size}, inside a field`);
      this.#from = at;
      this.#window = bytesAt(place, at, Math.min(WINDOW, place.size - at));
    }
    return this.#window[this.at++ - this.#from];
  }

  /** A number of one to ten bytes, seven bits each. */
  number(): number {
    let value = 0;
    for (let i = 0; i < 10; i++) {
      const byte = this.#byte();
      value += (byte & 127) * 2 ** (7 * i);
      if (byte < 128) return value;
    }
    throw new RangeError(`the number at byte ${this.at} has no end`);
  }
}

/** A number as it is written. */
function numberBytes(value: number): number[] {
  const bytes = [];
  for (; value > 127; value = Math.floor(value / 128)) bytes.push(value % 128 + 128);
  return [...bytes, value];
}

/** A field that holds bytes, before these. */
const header = (field: number, length: number) =>
  Uint8Array.from([...numberBytes(8 * field + 2), ...numberBytes(length)]);

/** A field that holds bytes. */
const held = (field: number, bytes: Uint8Array) => [...header(field, bytes.length), ...bytes];

/** The fields by which a tensor says where its numbers are. */
function placeFields(location: string, offset: number, length: number): Uint8Array {
  const utf8 = (text: string) => new TextEncoder().encode(text);
  const entries = Object.entries({ location, offset, length }).flatMap(([key, value]) =>
    held(13, Uint8Array.from([...held(1, utf8(key)), ...held(2, utf8(`${value}`))]))
  );
  // data_location: EXTERNAL.
  return Uint8Array.from([...entries, 8 * 14, 1]);
}

/** A message without its long numbers, as parts that follow one another. */
function thinMessage(cursor: Cursor, kind: string, to: number, self: string): Uint8Array[] {
  const parts: Uint8Array[] = [];
  const places: Uint8Array[] = [];
  let kept = cursor.at;
  const keepUntil = (end: number) => parts.push(bytesAt(cursor.place, kept, end - kept));
  while (cursor.at < to) {
    const start = cursor.at;
    const key = cursor.number();
    const [field, wire] = [Math.floor(key / 8), key % 8];
    if (wire === 0) cursor.number();
    const length = wire === 2 ? cursor.number() : wire === 1 ? 8 : wire === 5 ? 4 : 0;
    if (![0, 1, 2, 5].includes(wire)) throw new RangeError(`the field at byte ${start} is of no type that ONNX has`);
    const end = cursor.at + length;
    if (end > to) throw new RangeError(`the field at byte ${start} is longer than what holds it`);
    if (wire === 2 && length > LARGE) {
      const inner = INSIDE[kind][field];
      if (inner) {
        keepUntil(start);
        const thin = thinMessage(cursor, inner, end, self);
        parts.push(header(field, thin.reduce((sum, { length }) => sum + length, 0)), ...thin);
        kept = end;
      } else if (kind === "Tensor" && NUMBERS.includes(field)) {
        keepUntil(start);
        places.push(placeFields(self, cursor.at, length));
        kept = end;
      }
    }
    cursor.at = end;
  }
  keepUntil(to);
  // Behind all others, so that they count.
  return [...parts, ...places];
}

/**
 * An ONNX file without its long numbers.
 *
 * @param self the name by which its tensors then call the file itself
 * @throws {RangeError} if it is damaged
 */
export function thinOnnx(place: Place, self: string): Uint8Array {
  const parts = thinMessage(new Cursor(place), "Model", place.size, self);
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
