/**
 * One operator of a graph model of TensorFlow.js.
 *
 * Source: `attr_value.proto` of TensorFlow, in the JSON of the converter.
 *
 * @module
 */

import { isObject, type Json } from "./format.ts";
import type { GraphNode } from "./onnx_file.ts";
import { arrayAt, refuse } from "./topology.ts";

/** The bytes of a text, which the converter writes in base 64, and older ones as a list. */
const textOf = (value: unknown): string =>
  Array.isArray(value) ? String.fromCharCode(...value) : typeof value === "string" ? atob(value) : "";

/** One operator of TensorFlow, with its options. */
export class TensorFlowNode implements GraphNode {
  readonly outputs: string[];
  readonly #options: Json;

  constructor(
    readonly name: string,
    readonly op: string,
    readonly inputs: string[],
    options: Json,
    readonly label: string,
  ) {
    // How many outputs it has depends on its operator; no graph reads more than these.
    const { N, num, num_split: parts } = options as Record<string, { i?: unknown } | undefined>;
    const count = Math.min(1024, Math.max(4, Number((num ?? parts ?? N)?.i ?? 0) || 0));
    this.outputs = Array.from({ length: count }, (_, i) => i ? `${name}:${i}` : name);
    this.#options = options;
  }

  #at(name: string, kind: string): unknown {
    const option = this.#options[name];
    return isObject(option) ? option[kind] : undefined;
  }
  int(name: string, otherwise = 0): number {
    const value = Number(this.#at(name, "i") ?? otherwise);
    return Number.isSafeInteger(value) ? value : refuse(`${this.name}.${name}`, value, "a whole number");
  }
  float(name: string, otherwise = 0): number {
    const value = Number(this.#at(name, "f") ?? otherwise);
    return Number.isFinite(value) ? value : refuse(`${this.name}.${name}`, value, "a number");
  }
  is = (name: string): boolean => this.#at(name, "b") === true;
  text = (name: string, otherwise = ""): string => textOf(this.#at(name, "s")) || otherwise;
  type(name: string): string {
    const value = this.#at(name, "type") ?? 1;
    return typeof value === "number" ? TYPES[value] ?? `type ${value}` : String(value);
  }
  #list(name: string, kind: string): unknown[] {
    const list = this.#at(name, "list");
    const found = isObject(list) ? list[kind] ?? [] : [];
    return arrayAt(found, `${this.name}.${name}.list.${kind}`);
  }
  ints = (name: string): number[] => this.#list(name, "i").map(Number);
  texts = (name: string): string[] => this.#list(name, "s").map(textOf);
  get shape(): (number | null)[] | undefined {
    return lengthsOf(this.#at("shape", "shape"));
  }
}

/** TensorFlow's types of numbers, where they are written as numbers. */
const TYPES: Record<number, string> = {
  1: "DT_FLOAT",
  2: "DT_DOUBLE",
  3: "DT_INT32",
  4: "DT_UINT8",
  5: "DT_INT16",
  6: "DT_INT8",
  7: "DT_STRING",
  9: "DT_INT64",
  10: "DT_BOOL",
  14: "DT_BFLOAT16",
  19: "DT_HALF",
};

/** The lengths of a shape, null where they are free; undefined where their number is, too. */
export function lengthsOf(shape: unknown): (number | null)[] | undefined {
  if (!isObject(shape) || shape.unknownRank === true || !Array.isArray(shape.dim)) return undefined;
  return shape.dim.map((dim) => {
    const size = Number(isObject(dim) ? dim.size ?? NaN : NaN);
    return Number.isSafeInteger(size) && size > 0 ? size : null;
  });
}
