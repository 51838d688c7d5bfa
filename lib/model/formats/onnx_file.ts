/**
 * What an ONNX file holds: its graph and its tensors, from its protocol buffers.
 *
 * Source: `onnx.proto` of ONNX 1.23, the fields that are needed.
 *
 * @module
 */

import { sizeOf } from "../../array.ts";
import { messageOf } from "../../errors.ts";
import { bytesAt, fileNamedBy, type Place, type PlacedFiles } from "../../files.ts";
import { ModelError } from "./format.ts";
import { LARGE, thinOnnx } from "./onnx_thin.ts";

const SCHEMA = `
  syntax = "proto2";
  message Entry { optional string key = 1; optional string value = 2; }
  message Tensor {
    repeated int64 dims = 1; optional int32 data_type = 2; repeated float float_data = 4 [packed = true];
    repeated int32 int32_data = 5 [packed = true]; repeated int64 int64_data = 7 [packed = true];
    optional string name = 8; optional bytes raw_data = 9; repeated double double_data = 10 [packed = true];
    repeated uint64 uint64_data = 11 [packed = true]; repeated Entry external_data = 13;
    optional int32 data_location = 14;
  }
  message Attribute {
    optional string name = 1; optional float f = 2; optional int64 i = 3; optional bytes s = 4; optional Tensor t = 5;
    optional Graph g = 6; repeated float floats = 7; repeated int64 ints = 8; repeated bytes strings = 9; optional string ref_attr_name = 21;
  }
  message Node {
    repeated string input = 1; repeated string output = 2; optional string name = 3; optional string op_type = 4;
    repeated Attribute attribute = 5; optional string domain = 7;
  }
  message Dimension { optional int64 dim_value = 1; optional string dim_param = 2; }
  message Shape { repeated Dimension dim = 1; }
  message TensorType { optional int32 elem_type = 1; optional Shape shape = 2; }
  message Type { optional TensorType tensor_type = 1; }
  message Value { optional string name = 1; optional Type type = 2; }
  message Graph {
    repeated Node node = 1; optional string name = 2; repeated Tensor initializer = 5; repeated Value input = 11;
    repeated Value output = 12;
  }
  message OperatorSet { optional string domain = 1; optional int64 version = 2; }
  message Model { optional int64 ir_version = 1; optional Graph graph = 7; repeated OperatorSet opset_import = 8; }
`;

/** Whole numbers of 64 bits, as protobufjs has them. */
type Long = number | { toNumber(): number };
const whole = (value: Long): number => typeof value === "number" ? value : value.toNumber();

/** A tensor as it is written. */
interface TensorMessage {
  dims: Long[];
  dataType: number;
  floatData: number[];
  int32Data: number[];
  int64Data: Long[];
  doubleData: number[];
  uint64Data: Long[];
  name: string;
  rawData: Uint8Array;
  externalData: { key: string; value: string }[];
  dataLocation: number;
}

interface AttributeMessage {
  name: string;
  f: number;
  i: Long;
  s: Uint8Array;
  t: TensorMessage | null;
  g: GraphMessage | null;
  floats: number[];
  ints: Long[];
}

interface NodeMessage {
  input: string[];
  output: string[];
  name: string;
  opType: string;
  attribute: AttributeMessage[];
  domain: string;
}

interface GraphMessage {
  node: NodeMessage[];
  name: string;
  initializer: TensorMessage[];
  input: { name: string; type: { tensorType: { shape: { dim: { dimValue: Long }[] } | null } | null } | null }[];
  output: { name: string }[];
}

interface ModelMessage {
  graph: GraphMessage | null;
  opsetImport: { domain: string; version: Long }[];
}

/** A tensor of known values; whole numbers stand in 64 bits of floating point. */
export interface Constant {
  dims: number[];
  data: Float32Array | Float64Array;
  /** Whether its numbers are whole by their type. */
  whole: boolean;
}

/** One operator of a graph, in any format. */
export interface GraphNode {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly name: string;
  readonly op: string;
  /** Whose operator it is, where it is none of the format itself. */
  readonly domain?: string;
  /** The name for its layer, where the name of the node is none for it. */
  readonly label?: string;
}

/** A graph, in any format, and its tensors. */
export interface GraphFile<Node extends GraphNode = GraphNode> {
  name: string;
  nodes: Node[];
  /** With the length of each axis, null where it is free; undefined where no shape is written. */
  inputs: { name: string; shape: (number | null)[] | undefined }[];
  outputs: string[];
  /** What each tensor's values are; read anew at each call. */
  stored: Map<string, () => Constant>;
  /** Whether maps have their channels behind. */
  channelsLast: boolean;
  /** The version of ONNX's operators that nodes are of. */
  opset: number;
}

/** What an option of an operator may be. */
export type Option = number | string | readonly number[] | undefined;

/** What a graph in a graph reads of that one. */
function captured({ node, initializer }: GraphMessage): string[] {
  const own = new Set(["", ...initializer.map(({ name }) => name), ...node.flatMap(({ output }) => output)]);
  const read = node.flatMap((
    { input, attribute },
  ) => [...input, ...attribute.flatMap(({ g }) => g ? captured(g) : [])]);
  return [...new Set(read)].filter((name) => !own.has(name));
}

const NO_OPTION = { f: 0, i: 0, s: new Uint8Array(), t: null, g: null, floats: [], ints: [] };

/** One operator of ONNX, with its options. */
export class OnnxNode implements GraphNode {
  readonly inputs: string[];
  readonly outputs: string[];
  readonly name: string;
  readonly op: string;
  readonly domain: string;
  readonly #attributes: Map<string, AttributeMessage>;
  readonly #outside: ReadonlyMap<string, Place>;

  /** @param outside the files that hold tensors */
  constructor(
    { input, output, name, opType, attribute, domain }: NodeMessage,
    outside: ReadonlyMap<string, Place> = new Map(),
    readonly label?: string,
  ) {
    const inner = attribute.flatMap(({ g }) => g ? captured(g) : []);
    [this.inputs, this.outputs, this.name, this.op] = [[...input, ...inner], output, name, opType];
    this.domain = domain === "ai.onnx" ? "" : domain;
    this.#attributes = new Map(attribute.map((item) => [item.name, item]));
    this.#outside = outside;
  }

  /** An operator that stands for a part of another node. */
  static of(opType: string, input: string[], { outputs, name, label }: GraphNode, options: Record<string, Option>) {
    const attribute = Object.entries(options).filter(([, value]) => value !== undefined).map(([name, value]) => {
      const list = typeof value === "object" ? [...value] : [];
      const number = typeof value === "number" ? value : 0;
      const s = new TextEncoder().encode(typeof value === "string" ? value : "");
      return { ...NO_OPTION, name, f: number, i: number, s, ints: list, floats: list };
    });
    return new OnnxNode({ input, output: [...outputs], name, opType, attribute, domain: "" }, undefined, label ?? name);
  }

  has = (name: string): boolean => this.#attributes.has(name);
  int(name: string, otherwise: number): number {
    const found = this.#attributes.get(name);
    return found ? whole(found.i) : otherwise;
  }
  float = (name: string, otherwise: number): number => this.#attributes.get(name)?.f ?? otherwise;
  text(name: string, otherwise: string): string {
    const found = this.#attributes.get(name);
    return found ? new TextDecoder().decode(found.s) : otherwise;
  }
  ints = (name: string): number[] | undefined => this.#attributes.get(name)?.ints.map(whole);
  floats = (name: string): number[] | undefined => this.#attributes.get(name)?.floats;
  /** A graph among its options. */
  graph(name: string): Pick<GraphFile<OnnxNode>, "nodes" | "stored" | "outputs"> {
    const found = this.#attributes.get(name)?.g;
    if (!found) throw new ModelError(`its ${name} is missing`);
    return partsOf(found, this.#outside);
  }
  /** A tensor among its options. */
  tensor(name: string): Constant | undefined {
    const found = this.#attributes.get(name)?.t;
    return found ? valuesOf(found, this.#outside) : undefined;
  }
}

/** No file is longer. */
const MOST_BYTES = 2 ** 32;

/** Numbers of 16 bits as those of 32: of IEEE 754, or the upper half of them. */
function halves(bits: ArrayLike<number>, brain: boolean): Float32Array {
  const one = new DataView(new ArrayBuffer(4));
  return Float32Array.from({ length: bits.length }, (_, i) => {
    const value = bits[i] & 0xffff;
    if (brain) {
      one.setUint32(0, value << 16);
      return one.getFloat32(0);
    }
    const [sign, exponent, rest] = [value >> 15 ? -1 : 1, (value >> 10) & 31, value & 1023];
    if (exponent === 31) return rest ? NaN : sign * Infinity;
    return sign * (exponent ? 2 ** (exponent - 15) * (1 + rest / 1024) : rest * 2 ** -24);
  });
}

/** A type of numbers: how many bytes one takes, how bytes are read, and which field holds them otherwise. */
interface NumberType {
  bytes: number;
  read(buffer: ArrayBuffer): ArrayLike<number | bigint>;
  field: "floatData" | "int32Data" | "int64Data" | "doubleData" | "uint64Data";
  brain?: boolean;
}

const TYPES: Record<number, NumberType> = {
  1: { bytes: 4, read: (buffer) => new Float32Array(buffer), field: "floatData" },
  2: { bytes: 1, read: (buffer) => new Uint8Array(buffer), field: "int32Data" },
  3: { bytes: 1, read: (buffer) => new Int8Array(buffer), field: "int32Data" },
  4: { bytes: 2, read: (buffer) => new Uint16Array(buffer), field: "int32Data" },
  5: { bytes: 2, read: (buffer) => new Int16Array(buffer), field: "int32Data" },
  6: { bytes: 4, read: (buffer) => new Int32Array(buffer), field: "int32Data" },
  7: { bytes: 8, read: (buffer) => new BigInt64Array(buffer), field: "int64Data" },
  9: { bytes: 1, read: (buffer) => new Uint8Array(buffer), field: "int32Data" },
  10: { bytes: 2, read: (buffer) => new Uint16Array(buffer), field: "int32Data", brain: false },
  11: { bytes: 8, read: (buffer) => new Float64Array(buffer), field: "doubleData" },
  12: { bytes: 4, read: (buffer) => new Uint32Array(buffer), field: "uint64Data" },
  13: { bytes: 8, read: (buffer) => new BigUint64Array(buffer), field: "uint64Data" },
  16: { bytes: 2, read: (buffer) => new Uint16Array(buffer), field: "int32Data", brain: true },
};

/** Constants whose `data` are another copy each time that they are asked for. */
export const readAnew = new WeakSet<object>();

/** A constant that is read when its numbers are asked for, each time anew. */
export function readWhenAsked(dims: number[], read: () => Float32Array): Constant {
  const constant = {
    dims,
    get data() {
      return read();
    },
    whole: false,
  };
  readAnew.add(constant);
  return constant;
}

/** The values of a tensor, of which the bytes may stand in another file. */
function valuesOf(tensor: TensorMessage, outside: ReadonlyMap<string, Place>): Constant {
  const title = `the tensor ${JSON.stringify(tensor.name)}`;
  const dims = tensor.dims.map(whole);
  if (dims.some((length) => !Number.isSafeInteger(length) || length < 0)) {
    throw new ModelError(`${title} has the shape [${dims}]`);
  }
  const type = Object.hasOwn(TYPES, tensor.dataType) ? TYPES[tensor.dataType] : undefined;
  if (!type) {
    throw new ModelError(`${title} has numbers of ONNX's type ${tensor.dataType}, which convlens does not read`);
  }
  let [length, read] = [tensor.rawData.length, () => tensor.rawData.slice()];
  const isOutside = tensor.dataLocation === 1;
  if (isOutside) {
    const entries = Object.fromEntries(tensor.externalData.map(({ key, value }) => [key, value]));
    const file = outside.get(entries.location)!;
    const offset = Number(entries.offset ?? 0);
    length = Number(entries.length ?? file.size - offset);
    if (!(offset >= 0 && length >= 0 && offset + length <= file.size)) {
      throw new ModelError(
        `${title} is to be ${length} bytes from ${offset} on in ${entries.location}, which has ${file.size}`,
      );
    }
    read = () => bytesAt(file, offset, length);
  }
  const size = sizeOf(dims);
  const isRaw = length > 0 || isOutside;
  const written = isRaw ? length / type.bytes : tensor[type.field].length;
  if (written !== size) {
    throw new ModelError(`${title} has the shape [${dims}], ${size} numbers, and the file has ${written} for it`);
  }
  const isWhole = ![1, 10, 11, 16].includes(tensor.dataType);
  if (tensor.dataType === 1 && length > LARGE) {
    return readWhenAsked(dims, () => new Float32Array(read().buffer));
  }
  const numbers = isRaw ? type.read(read().buffer) : tensor[type.field] as number[];
  const data = type.brain !== undefined
    ? halves(numbers as ArrayLike<number>, type.brain)
    : isWhole
    ? Float64Array.from(numbers as ArrayLike<number>, (value) => isRaw ? Number(value) : whole(value as Long))
    : numbers instanceof Float32Array
    ? numbers
    : Float32Array.from(numbers as ArrayLike<number>);
  return { dims, data, whole: isWhole };
}

/** Of the lengths of an input's axes, those that are given. */
const lengthOf = ({ dimValue }: { dimValue: Long }) => {
  const length = whole(dimValue);
  return Number.isSafeInteger(length) && length > 0 ? length : null;
};

/** The nodes and tensors of a graph. */
const partsOf = ({ node, initializer, output }: GraphMessage, outside: ReadonlyMap<string, Place>) => ({
  nodes: node.map((node) => new OnnxNode(node, outside)),
  stored: new Map(initializer.map((tensor) => [tensor.name, () => valuesOf(tensor, outside)])),
  outputs: output.map(({ name }) => name),
});

/** Reads a file; its weights stay where they are until they are asked for. */
export async function readOnnx(url: URL, files: PlacedFiles): Promise<GraphFile<OnnxNode>> {
  const specifier = "npm:protobufjs@8.8.1";
  const { parse } = await import(specifier) as typeof import("npm:protobufjs@8.8.1");
  const place = await files.find(url, { room: { bytes: MOST_BYTES } });
  // No file can call itself so.
  const self = crypto.randomUUID();
  let model: ModelMessage;
  try {
    model = parse(SCHEMA).root.lookupType("Model").decode(thinOnnx(place, self)) as unknown as ModelMessage;
  } catch (error) {
    throw new ModelError(
      `it is no ONNX file, or a damaged one (${messageOf(error).replace(/\.$/, "")})`,
      { cause: error },
    );
  }
  const { graph, opsetImport: sets } = model;
  if (!graph || graph.node.length === 0) {
    throw new ModelError(`it is no ONNX file, or a damaged one: it holds no graph`);
  }
  const held = graph.node.flatMap(({ attribute }) => attribute.flatMap(({ t }) => t ?? []));
  const outside = new Map<string, Place>([[self, place]]);
  const room = { bytes: MOST_BYTES };
  for (const tensor of [...graph.initializer, ...held]) {
    if (tensor.dataLocation !== 1) continue;
    const location = tensor.externalData.find(({ key }) => key === "location")?.value;
    if (outside.has(location!)) continue;
    const file = fileNamedBy(url, location);
    try {
      outside.set(location!, await files.find(file, { room, owner: url }));
    } catch (error) {
      throw new ModelError(`its weights in ${JSON.stringify(location)} cannot be read: ${messageOf(error)}`, {
        cause: error,
      });
    }
  }
  const parts = partsOf(graph, outside);
  return {
    ...parts,
    name: graph.name,
    channelsLast: false,
    inputs: graph.input.filter(({ name }) => !parts.stored.has(name)).map(({ name, type }) => ({
      name,
      shape: type?.tensorType?.shape?.dim.map(lengthOf),
    })),
    opset: whole(sets.find(({ domain }) => domain === "" || domain === "ai.onnx")?.version ?? 0),
  };
}
