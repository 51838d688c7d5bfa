/**
 * The layers that an ONNX graph becomes: channels last, and no axis moved before that is needed.
 *
 * A value keeps the shape that ONNX gives it, and says in which order its axes really lie. A Transpose is then another
 * order and no layer, and so is what puts axes of length 1 in or takes them away.
 *
 * @module
 */

import type { Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import { sizeOf } from "../../array.ts";
import type { TF } from "../../runtime/core/types.ts";
import { legalName, type NetworkConfig } from "./build.ts";
import { ModelError } from "./format.ts";
import { BATCH, broadcastShape } from "./onnx_constants.ts";
import type { Constant, GraphFile, GraphNode } from "./onnx_file.ts";

/** The length of each axis; null where it is free. */
export type Lengths = (number | null)[];

/** What a layer puts out. */
export interface Value {
  layer: string;
  /** With axes in ONNX's order, the batch first. */
  shape: Lengths;
  /** Which of those each axis of the layer's output is; axes of length 1 may be missing. */
  order: number[];
  /** Whether no number of it is below 0. */
  positive?: boolean;
  /** Of `[n, features]`: the sides of the maps that were flattened, and which axis of ONNX's map each was. */
  flat?: { sides: number[]; order: number[] };
  /** Of what is spread over the batch: how the convolution behind is dilated, and pads before and behind. */
  spread?: { dilations: number[]; pads: number[][] };
  /** Of what is repeated along an axis that lay between two: the value before, that axis, and how many times. */
  repeated?: { of: Value; axis: number; times: number };
  /** Of `[rows, features]`: the lengths of the axes that the rows are of, the batch first. */
  rows?: Lengths;
}

/** A weight of a layer, made when it is needed. */
export interface WeightOf {
  layer: string;
  name: string;
  make(tf: TF): Tensor;
}

const equal = (a: readonly unknown[], b: readonly unknown[]) => a.length === b.length && a.every((x, i) => x === b[i]);

/** The order of axes that layers want: channels behind. */
export const channelsBehind = (rank: number): number[] =>
  rank < 3 ? [0, 1].slice(0, rank) : [0, ...Array.from({ length: rank - 2 }, (_, i) => i + 2), 1];

/** Operators that PyTorch's modules become: those are called by the module's name alone. */
const MODULES = new RegExp(
  "^(Conv|ConvTranspose|LRN|LogSoftmax|Relu|LeakyRelu|PRelu|Elu|Selu|Gelu|Clip|Sigmoid|Tanh|HardSwish|HardSigmoid|Softmax|Dropout|" +
    "BatchNormalization|InstanceNormalization|LayerNormalization|(Global)?(Max|Average)Pool|Gemm|MatMul)(_\\d+)?$",
);

/** The name for a node's layer: `layer1.0.conv1` of `/layer1/layer1.0/conv1/Conv`. */
function layerName(node: GraphNode): string {
  if (node.label) return legalName(node.label);
  if (!node.name) return legalName(/^\d*$/.test(node.outputs[0]) ? `${node.op}_${node.outputs[0]}` : node.outputs[0]);
  if (!node.name.startsWith("/")) return legalName(node.name);
  const parts = node.name.slice(1).split("/");
  if (parts.length > 1 && MODULES.test(parts.at(-1)!)) parts.pop();
  const name = parts.filter((part, i) => !parts[i + 1]?.startsWith(`${part}.`)).join(".");
  // A Sequential numbers its modules.
  return legalName(/^\d+$/.test(name) ? `${node.op}_${name}` : name);
}

/** Whether a shape puts all but the last axis into one, with the batch. */
const rowsAsked = (own: Lengths, [rows, features, ...more]: readonly number[]) =>
  own.length > 2 && more.length === 0 && features === own.at(-1) && !(rows >= 0 && rows < Infinity) &&
  own.slice(1, -1).some((length) => length !== 1);

/** A graph while it is rebuilt. */
export class Rebuilding {
  readonly layers: { name: string; className: string; config: object; inboundNodes: [string, ...unknown[]][][] }[] = [];
  readonly weights: WeightOf[] = [];
  /** How many numbers the weights are together. */
  size = 0;
  /** The nodes that are done already, together with others. */
  readonly done = new Set<GraphNode>();
  /** By the names of nodes, the layers that put out what they do. */
  readonly nodes = new Map<string, string>();
  readonly #known = new Map<string, Value | Constant>();
  readonly #names = new Set<string>();
  readonly #readers = new Map<string, GraphNode[]>();
  #node: GraphNode;

  constructor(readonly file: GraphFile, nodes: readonly GraphNode[]) {
    this.#node = nodes[0];
    for (const node of nodes) {
      for (const input of new Set(node.inputs)) this.#readers.set(input, [...this.#readers.get(input) ?? [], node]);
    }
  }

  get opset(): number {
    return this.file.opset;
  }
  /** The length of the batch, where a graph asks for it. */
  get batch(): number {
    return this.file.inputs[0]?.shape?.[0] ?? BATCH;
  }
  /** The node whose layers are made. */
  get node(): GraphNode {
    return this.#node;
  }
  /** From here on layers are those of a node. */
  begin(node: GraphNode): void {
    this.#node = node;
  }
  /** The nodes that read a value. */
  readersOf = (name: string): readonly GraphNode[] => this.#readers.get(name) ?? [];
  /** The only node that reads a value, if there is one. */
  onlyReader(name: string): GraphNode | undefined {
    const readers = this.readersOf(name);
    return readers.length === 1 && !this.file.outputs.includes(name) ? readers[0] : undefined;
  }
  set(name: string, value: Value | Constant): void {
    this.#known.set(name, value);
  }

  /** Notes which layer puts out what a node does, with axes as layers have them. */
  note({ name, outputs: [output] }: GraphNode): void {
    const value = this.#known.get(output);
    if (!name || !value || "data" in value || value.flat || value.rows || value.spread || value.repeated) return;
    if (equal(value.order, this.usual(value.shape.length))) this.nodes.set(name, value.layer);
  }

  /** A value of the graph, or a constant; undefined for an input that is left out. */
  find(name: string | undefined): Value | Constant | undefined {
    if (!name) return undefined;
    const known = this.#known.get(name);
    if (known) return known;
    const stored = this.file.stored.get(name);
    if (!stored) throw new ModelError(`it reads ${JSON.stringify(name)}, which nothing before it makes`);
    return stored();
  }

  /** Whether a name is that of a value, and not of a constant. */
  isValue(name: string): boolean {
    const known = this.#known.get(name);
    return known !== undefined && "layer" in known;
  }

  /** A constant; undefined if a name is that of none. */
  constantNamed(name: string | undefined): Constant | undefined {
    const known = this.#known.get(name ?? "");
    if (known) return "data" in known ? known : undefined;
    return this.file.stored.get(name ?? "")?.();
  }

  /** The constant of the only node that reads a value, if that is of some operators: the node is done with it then. */
  readBehind(
    name: string,
    ops: readonly string[],
    fits: (constant: Constant) => boolean,
  ): { constant: Constant; name: string } | undefined {
    const next = this.onlyReader(name);
    if (!next || !ops.includes(next.op) || next.inputs.length !== 2) return undefined;
    const constant = this.constantNamed(next.inputs.find((input) => input !== name));
    if (!constant || !fits(constant)) return undefined;
    this.done.add(next);
    return { constant, name: next.outputs[0] };
  }

  /** The value at a place of the node's inputs. */
  value(place: number): Value {
    const found = this.find(this.#node.inputs[place]);
    if (!found || "data" in found) throw new ModelError(`its input ${place} is ${found ? "a constant" : "missing"}`);
    return found;
  }

  /** The constant at a place of the node's inputs; undefined if it is left out. */
  constant(place: number): Constant | undefined {
    const found = this.find(this.#node.inputs[place]);
    if (found && !("data" in found)) {
      throw new ModelError(
        `its input ${place}, ${
          JSON.stringify(this.#node.inputs[place])
        }, is computed from the image; convlens reads it ` +
          "as a constant only",
      );
    }
    return found;
  }

  /** A constant that has to be there. */
  needed(place: number): Constant {
    const found = this.constant(place);
    if (!found) throw new ModelError(`its input ${place} is missing`);
    return found;
  }

  #unique(suffix: string): string {
    const base = layerName(this.#node) + suffix;
    let name = base;
    for (let i = 1; this.#names.has(name); i++) name = `${base}_${i}`;
    this.#names.add(name);
    return name;
  }

  /** An input of the network. */
  input(name: string, shape: Lengths, order: number[]): Value {
    const layer = legalName(name);
    if (this.#names.has(layer)) throw new ModelError(`two of its inputs are called ${JSON.stringify(name)}`);
    this.#names.add(layer);
    const batchInputShape = order.map((axis) => axis === 0 ? null : shape[axis]);
    this.layers.push({
      name: layer,
      className: "InputLayer",
      config: { name: layer, batchInputShape, dtype: "float32" },
      inboundNodes: [],
    });
    return { layer, shape: [null, ...shape.slice(1)], order };
  }

  /** Adds a layer that is called after the node. */
  emit(
    className: string,
    config: object,
    inputs: readonly Value[],
    made: Omit<Value, "layer">,
    suffix = "",
  ): Value {
    const name = this.#unique(suffix);
    this.layers.push({
      name,
      className,
      config: { name, ...config },
      inboundNodes: [inputs.map(({ layer }) => [layer, 0, 0, {}])],
    });
    return { ...made, layer: name };
  }

  /** Adds a layer that changes numbers one by one. */
  pointwise(className: string, config: object, x: Value, positive = false): Value {
    return this.emit(className, config, [x], { ...x, positive });
  }

  /** Adds an operation. */
  operation(operation: string, args: unknown[], inputs: Value[], made: Omit<Value, "layer">, suffix = "") {
    const shape = made.order.map((axis) => made.shape[axis]);
    return this.emit("Operation", { operation, args, named: {}, shape }, inputs, made, suffix);
  }

  /** Gives a layer a weight. */
  weigh({ layer }: Value, name: string, size: number, make: (tf: TF) => Tensor): void {
    this.size += size;
    this.weights.push({ layer, name, make });
  }

  /** Lengths of axes that must be known. */
  known(lengths: Lengths, what: string): number[] {
    if (lengths.includes(null)) {
      throw new ModelError(
        `${what} depends on the size of the image, which the file leaves free. Export it with a fixed size (without ` +
          "dynamic_axes but for the batch)",
      );
    }
    return lengths as number[];
  }

  #reshape(x: Value, made: Omit<Value, "layer">, suffix = "_shape"): Value {
    const sides = made.order.slice(1).map((axis) => made.shape[axis]);
    if (sides.length === 1 && x.order.length > 2) return this.emit("Flatten", {}, [x], made, suffix);
    if (sides.filter((side) => side === null).length > 1) this.known(sides, "a shape");
    return this.emit("Reshape", { targetShape: sides.map((side) => side ?? -1) }, [x], made, suffix);
  }

  #permute(x: Value, order: number[]): Value {
    const dims = order.slice(1).map((axis) => x.order.indexOf(axis));
    return this.emit("Permute", { dims }, [x], { ...x, order }, "_order");
  }

  /** What was flattened with channels behind, in ONNX's order. */
  settled(x: Value): Value {
    if (x.rows) throw new ModelError("it moves the axis of the batch");
    if (!x.flat) return x;
    const { sides, order } = x.flat;
    const sorted = order.toSorted((a, b) => a - b);
    const shape = [null, ...sides];
    const axes = shape.map((_, i) => i);
    const maps = this.#reshape(x, { shape, order: axes });
    const turned = this.#permute(maps, [0, ...sorted.map((axis) => order.indexOf(axis) + 1)]);
    return this.#reshape(turned, { shape: x.shape, order: [0, 1], positive: x.positive });
  }

  /** A value with its axes in some order; axes of length 1 may be missing in it. */
  arranged(given: Value, order: number[]): Value {
    let x = this.settled(given);
    if (equal(x.order, order)) return x;
    const long = (axes: number[]) => axes.filter((axis) => axis === 0 || x.shape[axis] !== 1);
    if (!equal(long(x.order), long(order))) {
      if (order[0] !== 0) throw new ModelError("it moves the axis of the batch");
      x = this.#permute(x, [
        ...order.filter((axis) => x.order.includes(axis)),
        ...x.order.filter((axis) => !order.includes(axis)),
      ]);
    }
    return equal(x.order, order) ? x : this.#reshape(x, { shape: x.shape, order, positive: x.positive });
  }

  /** The maps of a value, channels behind. */
  maps = (x: Value): Value => this.arranged(x, channelsBehind(x.shape.length));
  /** A value with its axes as ONNX has them. */
  plain = (x: Value): Value => this.arranged(x, x.shape.map((_, axis) => axis));

  /** The order of axes of maps in the file's own way of seeing: channels behind. */
  usual = (rank: number): number[] =>
    this.file.channelsLast ? Array.from({ length: rank }, (_, axis) => axis) : channelsBehind(rank);

  /** Values that are to be joined cell by cell, in one order of axes, and the shape that they have together. */
  aligned(values: readonly Value[]): { parts: Value[]; made: Omit<Value, "layer"> } {
    const shape = values.map((x) => x.shape).reduce((a, b) => broadcastShape(a, b));
    if (values.some((x) => x.shape.length !== shape.length)) {
      throw new ModelError(`values of ${values.map((x) => x.shape.length).join(" and ")} axes do not go together`);
    }
    const [first] = values;
    const alike = values.every((x) => equal(x.order, first.order) && !x.flat && !first.flat);
    const needs = shape.flatMap((length, axis) => length === 1 ? [] : [axis]);
    const whole = values.find((x) => needs.every((axis) => axis === 0 || x.order.includes(axis)) && !x.flat);
    const order = alike ? first.order : whole?.order ?? this.usual(shape.length);
    return { parts: values.map((x) => this.arranged(x, order)), made: { shape, order } };
  }

  /** What `[rows, features]` was before. */
  unrowed = ({ rows, ...x }: Value): Value => rows ? { ...x, shape: rows } : x;

  /** A value in another shape. */
  reshaped(given: Value, asked: readonly number[], zeros = false): Value {
    const x = this.unrowed(given);
    const own = x.shape;
    if (rowsAsked(own, asked)) return { ...x, shape: [null, asked[1]], rows: own };
    const wanted = asked.map((length, axis) => length === 0 && !zeros ? own[axis] : length);
    const rest = wanted.slice(1);
    if (rest.some(Number.isNaN)) this.known([null], "a shape");
    if (rest.includes(Infinity)) throw new ModelError(`it moves the axis of the batch, to [${asked}]`);
    const free = rest.indexOf(-1);
    // A free length that stays where it is stays free.
    const known = sizeOf(
      this.known(own.slice(1).filter((length) => length !== null || !rest.includes(null)), "a shape"),
    );
    const others = sizeOf(rest.filter((length): length is number => length !== -1 && length !== null));
    if (free >= 0) rest[free] = known / others;
    const sides = [null, ...rest];
    if (sizeOf(rest.map((length) => length ?? 1)) !== known || rest.some((length) => length !== null && length < 0)) {
      throw new ModelError(`a value of the shape [${own.map((n) => n ?? "n")}] cannot be [${asked}]`);
    }
    return this.#regrouped(x.flat && !equal(sides, own) ? this.settled(x) : x, sides);
  }

  /** Axes that lie as the new shape wants them become its axes. */
  #regrouped(x: Value, shape: Lengths): Value {
    if (equal(shape, x.shape)) return x;
    const axesOf = (lengths: Lengths) => lengths.flatMap((length, axis) => axis === 0 || length === 1 ? [] : [axis]);
    const [old, made] = [axesOf(x.shape), axesOf(shape)];
    const groups: { old: number[]; made: number[] }[] = [];
    for (let i = 0, j = 0; i < old.length || j < made.length;) {
      const group = { old: old.slice(i, ++i), made: made.slice(j, ++j) };
      const size = (axes: number[], lengths: Lengths) => sizeOf(axes.map((axis) => lengths[axis] ?? 1));
      for (;;) {
        const [a, b] = [size(group.old, x.shape), size(group.made, shape)];
        if (a === b) break;
        const more = a < b ? old[i++] : made[j++];
        if (more === undefined) throw new ModelError(`a value of the shape [${x.shape}] cannot be [${shape}]`);
        (a < b ? group.old : group.made).push(more);
      }
      groups.push(group);
    }
    const lying = x.order.filter((axis) => old.includes(axis));
    const fits = groups.every(({ old }) => {
      const at = lying.indexOf(old[0]);
      return equal(lying.slice(at, at + old.length), old);
    });
    const groupsInOrder = groups.toSorted((a, b) => lying.indexOf(a.old[0]) - lying.indexOf(b.old[0]));
    if (fits) {
      const order = [0, ...groupsInOrder.flatMap(({ made }) => made)];
      const relabelled = { shape, order, positive: x.positive };
      const same = x.order.length === order.length && groups.every((g) => g.old.length === 1 && g.made.length === 1);
      return same ? { ...relabelled, layer: x.layer } : this.#reshape(x, relabelled, "");
    }
    if (groups.length === 1 && shape.length === 2) {
      const flat = { sides: lying.map((axis) => x.shape[axis]!), order: lying };
      return { ...this.#reshape(x, { shape, order: [0, 1], positive: x.positive }, ""), flat };
    }
    return this.#regrouped(this.arranged(x, [0, ...groupsInOrder.flatMap(({ old }) => old)]), shape);
  }

  /** A value without some axes, which have length 1. */
  without(x: Value, axes: readonly number[]): Value {
    if (axes.some((axis) => axis === 0 || x.shape[axis] !== 1)) {
      throw new ModelError(`it takes away the axes [${axes}]`);
    }
    const y = this.arranged(x, x.order.filter((axis) => !axes.includes(axis)));
    return {
      ...y,
      shape: y.shape.filter((_, axis) => !axes.includes(axis)),
      order: y.order.map((axis) => axis - axes.filter((gone) => gone < axis).length),
    };
  }

  /** A value as one reads it: with its axes as ONNX has them, or its channels behind. */
  #asRead(given: Value): Value {
    const x = this.settled(given);
    const all = x.shape.map((_, axis) => axis);
    if (all.length < 4 && x.order.length < all.length || all.length < 3) return this.plain(x);
    return equal(x.order, all) ? x : this.maps(x);
  }

  /** The layers that some need. */
  #needed(ends: readonly Value[]): object[] {
    const all = new Map(this.layers.map((layer) => [layer.name, layer]));
    const needed = new Set<string>();
    const open = ends.map(({ layer }) => layer);
    for (let name = open.pop(); name !== undefined; name = open.pop()) {
      if (needed.has(name)) continue;
      needed.add(name);
      open.push(...all.get(name)!.inboundNodes.flat().map(([from]) => from));
    }
    return this.layers.filter(({ name }) => needed.has(name));
  }

  /** The network, in the words of TensorFlow.js. */
  network(inputs: readonly Value[], outputs: readonly Value[], flattens: boolean): NetworkConfig {
    const ends = outputs.map((given, i) => {
      const isVector = flattens && given.shape.length > 2 && given.shape.slice(2).every((length) => length === 1);
      const x = isVector ? this.arranged(given, [0, 1]) : flattens ? this.#asRead(given) : this.plain(given);
      const isTaken = inputs.some(({ layer }) => layer === x.layer) ||
        outputs.findIndex((y) => y.layer === x.layer) < i;
      return isTaken ? this.pointwise("Activation", { activation: "linear" }, x) : x;
    });
    return this.described(inputs, ends);
  }

  /** As {@linkcode network}, with what layers put out as it is. */
  described(inputs: readonly Value[], ends: readonly Value[]): NetworkConfig {
    const used = ({ layer }: Value) => [layer, 0, 0];
    const config = {
      name: legalName(this.file.name || "graph"),
      layers: this.#needed([...inputs, ...ends]),
      inputLayers: inputs.map(used),
      outputLayers: ends.map(used),
    };
    return { className: "Functional", config };
  }
}
