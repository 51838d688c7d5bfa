/**
 * Graphs of native TensorFlow's operations, written as it reads them: a `saved_model.pb` with one graph, no variables.
 *
 * Source: `saved_model.proto`, `meta_graph.proto`, `graph.proto`, `node_def.proto`, `attr_value.proto` and `tensor.proto` of
 * TensorFlow 2.21, the fields that are needed. What is written here needs no package that knows protocol buffers.
 *
 * @module
 */

/** A value of an attribute; the word says of which kind. Lists are of one kind. */
export type AttributeValue =
  | { words: string }
  | { int: number }
  | { float: number }
  | { bool: boolean }
  | { type: number }
  | { tensor: Constant }
  | { shape: readonly number[] }
  | { list: readonly Exclude<AttributeValue, { list: unknown } | { tensor: unknown }>[] };

/** Numbers that a graph holds. */
export interface Constant {
  /** TensorFlow's number of the type. */
  type: number;
  shape: readonly number[];
  data: ArrayBufferView;
}

/** An operation of a graph. */
export interface GraphNode {
  name: string;
  operation: string;
  /** `"name"` of another operation for its first output, `"name:1"` for its second. */
  inputs: readonly string[];
  attributes: ReadonlyMap<string, AttributeValue>;
}

/** The tag of the graph in its file. */
export const TAG = "serve";

/** Bytes that are written one after the other. */
class Writer {
  #bytes = new Uint8Array(1024);
  #size = 0;

  #room(count: number): void {
    if (this.#size + count <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(2 * this.#bytes.length, this.#size + count));
    larger.set(this.#bytes.subarray(0, this.#size));
    this.#bytes = larger;
  }

  /** A whole number, in groups of seven bits; one below zero takes all 64. */
  varint(value: number): this {
    this.#room(10);
    let rest = BigInt.asUintN(64, BigInt(value));
    for (; rest > 127n; rest >>= 7n) this.#bytes[this.#size++] = Number(rest & 127n) | 128;
    this.#bytes[this.#size++] = Number(rest);
    return this;
  }

  raw(bytes: Uint8Array): this {
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.#size);
    this.#size += bytes.length;
    return this;
  }

  int(field: number, value: number): this {
    return this.varint(8 * field).varint(value);
  }

  float(field: number, value: number): this {
    return this.varint(8 * field + 5).raw(new Uint8Array(new Float32Array([value]).buffer));
  }

  bytes(field: number, bytes: Uint8Array): this {
    return this.varint(8 * field + 2).varint(bytes.length).raw(bytes);
  }

  text(field: number, text: string): this {
    return this.bytes(field, new TextEncoder().encode(text));
  }

  message(field: number, write: (writer: Writer) => void): this {
    const inner = new Writer();
    write(inner);
    return this.bytes(field, inner.done());
  }

  done(): Uint8Array {
    return this.#bytes.subarray(0, this.#size);
  }
}

function writeShape(writer: Writer, shape: readonly number[]): void {
  for (const side of shape) writer.message(2, (dimension) => dimension.int(1, side));
}

/** Single values and those of a list have the same numbers of fields. */
function writeValue(writer: Writer, value: AttributeValue): void {
  if ("words" in value) writer.text(2, value.words);
  else if ("int" in value) writer.int(3, value.int);
  else if ("float" in value) writer.float(4, value.float);
  else if ("bool" in value) writer.int(5, Number(value.bool));
  else if ("type" in value) writer.int(6, value.type);
  else if ("shape" in value) writer.message(7, (shape) => writeShape(shape, value.shape));
  else if ("list" in value) writer.message(1, (list) => value.list.forEach((one) => writeValue(list, one)));
  else {
    const { type, shape, data } = value.tensor;
    writer.message(8, (tensor) =>
      tensor.int(1, type).message(2, (message) => writeShape(message, shape))
        .bytes(4, new Uint8Array(data.buffer, data.byteOffset, data.byteLength)));
  }
}

/** The bytes of a `saved_model.pb` with these operations. */
export function savedModel(nodes: readonly GraphNode[]): Uint8Array {
  const writer = new Writer();
  writer.int(1, 1).message(2, (meta) => {
    meta.message(1, (info) => info.text(4, TAG));
    meta.message(2, (graph) => {
      for (const { name, operation, inputs, attributes } of nodes) {
        graph.message(1, (node) => {
          node.text(1, name).text(2, operation);
          for (const input of inputs) node.text(3, input);
          for (const [key, value] of attributes) {
            node.message(5, (entry) => entry.text(1, key).message(2, (message) => writeValue(message, value)));
          }
        });
      }
      // The version of graphs in which operations are as they are called today.
      graph.message(4, (versions) => versions.int(1, 1882));
    });
  });
  return writer.done();
}
