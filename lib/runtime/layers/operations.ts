/**
 * Layers for what is written between the layers of a network: arithmetic, and functions of a user's own.
 *
 * @module
 */

import type { layers } from "npm:@tensorflow/tfjs@4.22.0";
import type { Tensor } from "../../array.ts";
import type { TF } from "../core/types.ts";
import type { Config, Shape } from "./replacement.ts";
import { resample, type Resampled } from "./resampling.ts";

/** A function that stands in for a layer: of its input, or of its inputs. */
export type LayerFunction = (input: Tensor & Tensor[]) => Tensor | Tensor[];

/** What an operation is given: tensors and constants by their place, and by their names. */
interface Given {
  /** By place. */
  args: unknown[];
  /** By name. */
  // deno-lint-ignore no-explicit-any
  named: Record<string, any>;
}

type OneTensor = (tf: TF, given: Given) => Tensor;
type Operation = (tf: TF, given: Given) => Tensor | Tensor[];

const asList = <Value>(value: Value | Value[]) => Array.isArray(value) ? value : [value];

/** The value at a place, or under one of some names. */
function at({ args, named }: Given, place: number, ...names: string[]): unknown {
  if (place < args.length) return args[place];
  const name = names.find((name) => named[name] !== undefined && named[name] !== null);
  return name === undefined ? undefined : named[name];
}

/** A tensor, or a constant as one. */
const tensorAt = (tf: TF, given: Given, place: number, ...names: string[]) => {
  const value = at(given, place, ...names);
  return (value instanceof tf.Tensor ? value : tf.tensor(value as number)) as Tensor;
};

const unary = (name: string): OneTensor => (tf, given) => {
  const x = tensorAt(tf, given, 0, "x", "features", "input", "logits", "a");
  return (tf as unknown as Record<string, (x: Tensor) => Tensor>)[name](x);
};

const binary = (name: string): OneTensor => (tf, given) => {
  const [x, y] = [tensorAt(tf, given, 0, "x", "x1", "a", "value"), tensorAt(tf, given, 1, "y", "x2", "b", "bias")];
  return (tf as unknown as Record<string, (x: Tensor, y: Tensor) => Tensor>)[name](x, y);
};

/** 1 where it holds, else 0: it changes in steps, so its gradient is 0. */
const comparison = (name: "equal" | "greater" | "greaterEqual" | "less" | "lessEqual"): Operation => (tf, given) => {
  const compare = tf.customGrad((x, y) => ({
    value: tf.cast(tf[name](x as Tensor, y as Tensor), "float32"),
    gradFunc: () => [tf.zerosLike(x as Tensor), tf.zerosLike(y as Tensor)],
  }));
  return compare(tensorAt(tf, given, 0, "x", "x1"), tensorAt(tf, given, 1, "y", "x2"));
};

const axesOf = (given: Given, place = 1) => at(given, place, "axis", "axes", "reduction_indices") as number | number[];

const numbers = (value: unknown) => asList(value as number | number[]);

const reduction = (name: "mean" | "sum" | "max" | "min" | "prod"): Operation => (tf, given) => {
  const x = tensorAt(tf, given, 0, "input_tensor", "x", "a", "input");
  const axes = axesOf(given);
  const own = axes === undefined ? undefined : numbers(axes).map((axis) => axis < 0 ? axis + x.rank : axis);
  return tf[name](x, own, Boolean(at(given, 2, "keepdims", "keep_dims")));
};

/** One part of a slice along an axis: a number, or a range whose ends may be left out. */
type Part = number | null | { start: number | null; stop: number | null; step: number | null } | "...";

/** Every so many-th cell along an axis, from the first on. `stridedSlice` of TensorFlow.js has no gradient. */
function every(tf: TF, x: Tensor, axis: number, stride: number): Tensor {
  if (stride === 1) return x;
  const count = Math.ceil(x.shape[axis] / stride);
  const missing = count * stride - x.shape[axis];
  const padded = missing ? tf.pad(x, x.shape.map((_, i): [number, number] => [0, i === axis ? missing : 0])) : x;
  const size = (lengths: number[]) => lengths.reduce((a, b) => a * b, 1);
  const behind = size(x.shape.slice(axis + 1));
  const rows = tf.reshape(padded, [size(x.shape.slice(0, axis)) * count, stride * behind]);
  const picked = tf.slice(rows, [0, 0], [rows.shape[0], behind]);
  return tf.reshape(picked, x.shape.map((length, i) => i === axis ? count : length));
}

/** What `x[…]` picks. */
function item(tf: TF, x: Tensor, parts: Part[]): Tensor {
  const missing = x.rank - parts.filter((part) => part !== "..." && part !== null).length;
  const whole: Part[] = Array(missing).fill({ start: null, stop: null, step: null });
  const full = parts.includes("...") ? parts.flatMap((part) => part === "..." ? whole : [part]) : [...parts, ...whole];
  const [begin, end, strides, dropped, shape] = [[], [], [], [], []] as number[][];
  let axis = 0;
  const kept: (number | "new")[] = [];
  for (const part of full) {
    if (part === null) {
      kept.push("new");
      continue;
    }
    const length = x.shape[axis];
    if (typeof part === "number") {
      const place = part < 0 ? part + length : part;
      begin.push(place), end.push(place + 1), strides.push(1), dropped.push(axis);
    } else {
      const { start, stop, step } = part as { start: number | null; stop: number | null; step: number | null };
      const stride = step ?? 1;
      const bound = (value: number) =>
        Math.min(Math.max(value < 0 ? value + length : value, stride < 0 ? -1 : 0), length);
      begin.push(start === null ? (stride < 0 ? length - 1 : 0) : bound(start));
      end.push(stop === null ? (stride < 0 ? -1 : length) : bound(stop));
      strides.push(stride);
      kept.push(axis);
    }
    axis++;
  }
  const backward = strides.flatMap((stride, axis) => stride < 0 ? [axis] : []);
  let y = backward.length ? tf.reverse(x, backward) : x;
  const from = begin.map((first, axis) => strides[axis] < 0 ? x.shape[axis] - 1 - first : first);
  const to = end.map((last, axis) => strides[axis] < 0 ? x.shape[axis] - 1 - last : last);
  y = tf.slice(y, from, to.map((last, axis) => Math.max(0, last - from[axis])));
  strides.forEach((stride, axis) => y = every(tf, y, axis, Math.abs(stride)));
  for (const part of kept) shape.push(part === "new" ? 1 : y.shape[part]);
  return dropped.length || kept.includes("new") ? tf.reshape(y, shape) : y;
}

/** A part along an axis. */
const partOf = (tf: TF, x: Tensor, axis: number, from: number, length: number) =>
  tf.slice(x, x.shape.map((_, i) => i === axis ? from : 0), x.shape.map((all, i) => i === axis ? length : all));

/** Where an axis is cut: `keras.ops` names the cells before which, TensorFlow the lengths; both may name a count. */
function cutsOf({ args, named }: Given, length: number): number[] {
  const given = args[1] ?? named.indices_or_sections ?? named.num_or_size_splits;
  if (typeof given === "number") return Array.from({ length: given - 1 }, (_, i) => (i + 1) * length / given);
  const list = given as number[];
  if (named.num_or_size_splits === undefined) return list;
  const known = list.reduce((sum, size) => sum + Math.max(0, size), 0);
  let end = 0;
  return list.slice(0, -1).map((size) => end += size < 0 ? length - known : size);
}

/** The axis that is named, counted from the front. */
const axisOf = (given: Given, place: number, rank: number) => {
  const axis = (axesOf(given, place) as number | undefined) ?? 0;
  return axis < 0 ? axis + rank : axis;
};

/** Pads an axis with cells of its own. TensorFlow.js has a mirrorPad, whose gradient leaves the mirrored cells out. */
function ownPad(tf: TF, x: Tensor, axis: number, [before, behind]: [number, number], mode: string): Tensor {
  const length = x.shape[axis];
  const edge = (at: number, times: number) =>
    tf.tile(partOf(tf, x, axis, at, 1), x.shape.map((_, i) => i === axis ? times : 1));
  const skip = Number(mode === "reflect");
  const made = (from: number, count: number, at: number) =>
    mode === "edge"
      ? edge(at, count)
      : mode === "wrap"
      ? partOf(tf, x, axis, (from + length) % length, count)
      : tf.reverse(partOf(tf, x, axis, at ? length - count - skip : skip, count), axis);
  const parts = [x];
  if (before) parts.unshift(made(-before, before, 0));
  if (behind) parts.push(made(0, behind, length - 1));
  return parts.length > 1 ? tf.concat(parts, axis) : x;
}

/** The largest or mean value of dilated windows along one axis after the other. */
function poolWindows(tf: TF, x: Tensor, mode: string, lists: readonly number[][]): Tensor {
  const [taps, strides, dilations] = lists;
  return taps.reduce((y, count, i) => {
    const axis = i + 1;
    const out = Math.floor((y.shape[axis] - (count - 1) * dilations[i] - 1) / strides[i]) + 1;
    const parts = Array.from(
      { length: count },
      (_, tap) => every(tf, partOf(tf, y, axis, tap * dilations[i], (out - 1) * strides[i] + 1), axis, strides[i]),
    );
    return mode === "mean" ? tf.div(tf.addN(parts), count) : parts.reduce((a, b) => tf.maximum(a, b));
  }, x);
}

/** By their names in TensorFlow and in `keras.ops`, in small letters with underscores. */
const OPERATIONS: Record<string, Operation> = {
  ...Object.fromEntries(
    [
      "abs",
      "acos",
      "acosh",
      "asin",
      "asinh",
      "atan",
      "atanh",
      "ceil",
      "cos",
      "cosh",
      "elu",
      "erf",
      "exp",
      "floor",
      "log",
      "neg",
      "reciprocal",
      "relu",
      "relu6",
      "round",
      "rsqrt",
      "selu",
      "sigmoid",
      "sign",
      "sin",
      "sinh",
      "softplus",
      "sqrt",
      "square",
      "tan",
      "tanh",
      "log1p",
      "expm1",
    ].map((name) => [name, unary(name)]),
  ),
  negative: unary("neg"),
  add: binary("add"),
  bias_add: binary("add"),
  subtract: binary("sub"),
  multiply: binary("mul"),
  divide: binary("div"),
  // It changes in steps, so its gradient is 0.
  floor_divide: (tf, given) => tf.floor(binary("div")(tf, given)),
  mod: binary("mod"),
  power: binary("pow"),
  equal: comparison("equal"),
  greater: comparison("greater"),
  greater_equal: comparison("greaterEqual"),
  less: comparison("less"),
  less_equal: comparison("lessEqual"),
  maximum: binary("maximum"),
  minimum: binary("minimum"),
  squared_difference: binary("squaredDifference"),
  matmul: (tf, given) => {
    const [x, y] = [tensorAt(tf, given, 0, "a", "x1", "x"), tensorAt(tf, given, 1, "b", "x2", "y")];
    return tf.matMul(x, y, Boolean(given.named.transpose_a), Boolean(given.named.transpose_b));
  },
  mean: reduction("mean"),
  sum: reduction("sum"),
  max: reduction("max"),
  min: reduction("min"),
  prod: reduction("prod"),
  clip: (tf, given) => {
    const low = tensorAt(tf, given, 1, "clip_value_min", "x_min", "min_value");
    const high = tensorAt(tf, given, 2, "clip_value_max", "x_max", "max_value");
    return tf.minimum(tf.maximum(tensorAt(tf, given, 0, "t", "x"), low), high);
  },
  silu: (tf, given) => {
    const x = tensorAt(tf, given, 0, "features", "x");
    return tf.mul(x, tf.sigmoid(x));
  },
  softmax: (tf, given) => {
    const x = tensorAt(tf, given, 0, "logits", "x");
    const axis = (axesOf(given) as number | undefined) ?? -1;
    const powers = tf.exp(tf.sub(x, tf.max(x, axis, true)));
    return tf.div(powers, tf.sum(powers, axis, true));
  },
  log_softmax: (tf, given) => {
    const x = tensorAt(tf, given, 0, "logits", "x");
    const axis = (axesOf(given) as number | undefined) ?? -1;
    const shifted = tf.sub(x, tf.max(x, axis, true));
    return tf.sub(shifted, tf.log(tf.sum(tf.exp(shifted), axis, true)));
  },
  l2_normalize: (tf, given) => {
    const x = tensorAt(tf, given, 0, "x");
    const least = (at(given, 2, "epsilon") as number | undefined) ?? 1e-12;
    return tf.mul(x, tf.rsqrt(tf.maximum(tf.sum(tf.square(x), axesOf(given), true), least)));
  },
  cast: (tf, given) => tf.cast(tensorAt(tf, given, 0, "x"), "float32"),
  identity: (tf, given) => tf.clone(tensorAt(tf, given, 0, "input", "x", "value", "tensor")),
  reshape: (tf, given) => tf.reshape(tensorAt(tf, given, 0, "tensor", "x"), numbers(at(given, 1, "shape", "newshape"))),
  transpose: (tf, given) =>
    tf.transpose(tensorAt(tf, given, 0, "a", "x"), at(given, 1, "perm", "axes") as number[] | undefined),
  expand_dims: (tf, given) =>
    numbers(axesOf(given)).reduce((y, axis) => tf.expandDims(y, axis), tensorAt(tf, given, 0, "input", "x")),
  squeeze: (tf, given) => {
    const x = tensorAt(tf, given, 0, "input", "x");
    const axes = axesOf(given);
    return tf.squeeze(x, axes === undefined ? undefined : numbers(axes).map((axis) => axis < 0 ? axis + x.rank : axis));
  },
  concat: (tf, given) => {
    const parts = asList(at(given, 0, "values", "xs", "arrays") as Tensor | Tensor[]);
    const axis = (axesOf(given) as number | undefined) ?? -1;
    return tf.concat(parts, axis < 0 ? axis + parts[0].rank : axis);
  },
  stack: (tf, given) => {
    const parts = asList(at(given, 0, "values", "x") as Tensor | Tensor[]);
    const axis = (axesOf(given) as number | undefined) ?? 0;
    return tf.stack(parts, axis < 0 ? axis + parts[0].rank + 1 : axis);
  },
  split: (tf, given) => {
    const x = tensorAt(tf, given, 0, "value", "x");
    const axis = axisOf(given, 2, x.rank);
    const cuts = cutsOf(given, x.shape[axis]);
    return [...cuts, x.shape[axis]].map((end, i) => {
      const from = cuts[i - 1] ?? 0;
      return partOf(tf, x, axis, from, end - from);
    });
  },
  unstack: (tf, given) => {
    const x = tensorAt(tf, given, 0, "value", "x");
    const axis = axisOf(given, 2, x.rank);
    return Array.from({ length: x.shape[axis] }, (_, i) => tf.squeeze(partOf(tf, x, axis, i, 1), [axis]));
  },
  // By joining: tf.tile has no gradient in five dimensions.
  tile: (tf, given) =>
    numbers(at(given, 1, "multiples", "repeats")).reduce(
      (y, count, axis) => count === 1 ? y : tf.concat(Array<Tensor>(count).fill(y), axis),
      tensorAt(tf, given, 0, "input", "x"),
    ),
  flip: (tf, given) => tf.reverse(tensorAt(tf, given, 0, "tensor", "x"), axesOf(given)),
  pad: (tf, given) => {
    const value = at(given, 3, "constant_values");
    return tf.pad(
      tensorAt(tf, given, 0, "tensor", "x"),
      at(given, 1, "paddings", "pad_width") as [number, number][],
      Number(value ?? 0),
    );
  },
  arg_max: (tf, given) => tf.cast(tf.argMax(tensorAt(tf, given, 0, "input", "x"), axesOf(given) as number), "float32"),
  arg_min: (tf, given) => tf.cast(tf.argMin(tensorAt(tf, given, 0, "input", "x"), axesOf(given) as number), "float32"),
  /** Of other programs: pads with the array's own cells, each axis by a pair. */
  own_pad: (tf, given) =>
    (at(given, 1) as [number, number][]).reduce(
      (y, pair, axis) => ownPad(tf, y, axis, pair, String(at(given, 2))),
      tensorAt(tf, given, 0),
    ),
  /** Of other programs: some cells of an axis, by a product, whose gradient every backend has. */
  gather_cells: (tf, { args: [given, cells, axis] }) => {
    const [x, picked, at] = [given as Tensor, cells as number[], axis as number];
    const axes = x.shape.map((_, i) => i);
    const order = [...axes.filter((i) => i !== at), at];
    const rows = tf.reshape(tf.transpose(x, order), [-1, x.shape[at]]);
    const chosen = tf.matMul(
      rows,
      tf.cast(tf.oneHot(tf.tensor1d(picked, "int32"), x.shape[at]), "float32"),
      false,
      true,
    );
    const shape = [...order.slice(0, -1).map((i) => x.shape[i]), picked.length];
    return tf.transpose(tf.reshape(chosen, shape), axes.map((i) => order.indexOf(i)));
  },
  /** Of other programs: resizes axes, each by its own rule or null. */
  resample: (tf, { args: [x, axes] }) => resample(tf, x as Tensor, axes as (Resampled | null)[]),
  /** Of other programs: pools with dilated windows. */
  pool: (tf, { args: [x, mode, ...lists] }) => poolWindows(tf, x as Tensor, String(mode), lists as number[][]),
  get_item: (tf, given) =>
    item(tf, tensorAt(tf, given, 0, "x", "tensor"), asList(at(given, 1, "key", "slice_spec") as Part | Part[])),
};

/** Other names of the same. */
const ALIASES: Record<string, string> = {
  absolute: "abs",
  argmax: "arg_max",
  argmin: "arg_min",
  clip_by_value: "clip",
  concatenate: "concat",
  convert_to_tensor: "identity",
  div: "divide",
  floordiv: "floor_divide",
  getitem: "get_item",
  mul: "multiply",
  multiply_no_nan: "multiply",
  pow: "power",
  realdiv: "divide",
  reduce_max: "max",
  reduce_mean: "mean",
  reduce_min: "min",
  reduce_prod: "prod",
  reduce_sum: "sum",
  reverse: "flip",
  stop_gradient: "identity",
  strided_slice: "get_item",
  sub: "subtract",
  swish: "silu",
  true_divide: "divide",
  truediv: "divide",
  add_v2: "add",
  normalize: "l2_normalize",
};

/** The name by which an operation is known here: of `"math.truediv"`, `"TrueDivide"`, … ; undefined if it is not. */
export function operationName(given: string): string | undefined {
  const last = given.split(".").at(-1)!;
  const name = last.replace(/(.)([A-Z][a-z]+)/g, "$1_$2").replace(/([a-z\d])([A-Z])/g, "$1_$2").toLowerCase();
  const own = ALIASES[name] ?? name;
  return Object.hasOwn(OPERATIONS, own) ? own : undefined;
}

/** What stands where a tensor is among an operation's arguments: which of the layer's inputs it is. */
const isInput = (value: unknown): value is { input: number } =>
  typeof value === "object" && value !== null && "input" in value && typeof value.input === "number";

function filled(value: unknown, inputs: readonly Tensor[]): unknown {
  if (isInput(value)) return inputs[value.input];
  return Array.isArray(value) ? value.map((item) => filled(item, inputs)) : value;
}

/** Functions of users, by the keys in their layers' configurations. */
const functions = new Map<string, LayerFunction>();

/** Keeps a user's function, and gives the key for a layer's configuration. */
export function keepFunction(name: string, run: LayerFunction): string {
  const key = `${name} ${functions.size}`;
  functions.set(key, run);
  return key;
}

/**
 * The shape that a function puts out, by trying it on zeros: a side that may have any length is tried with two lengths.
 *
 * @throws what the function throws, and a TypeError if it puts out no tensor
 */
function triedShape(tf: TF, shapes: Shape[], run: (inputs: Tensor[]) => Tensor | Tensor[]): Shape | Shape[] {
  const tried = (length: number) =>
    tf.tidy(() => {
      const inputs = shapes.map(([, ...sides]) => tf.zeros([2, ...sides.map((side) => side ?? length)]));
      return asList(run(inputs)).map((output) => {
        if (!(output instanceof tf.Tensor)) throw new TypeError("it returned no tensor");
        return output.shape;
      });
    });
  const first = tried(32);
  const free = shapes.some(([, ...sides]) => sides.includes(null));
  const second = free ? tried(33) : first;
  const made = first.map((shape, i) =>
    shape.map((length, axis) => axis === 0 || length !== second[i][axis] ? null : length)
  );
  return made.length === 1 ? made[0] : made;
}

const shapesIn = (shape: Shape | Shape[]): Shape[] => Array.isArray(shape[0]) ? shape as Shape[] : [shape as Shape];

/** Makes the layers known to TensorFlow.js. */
export function registerOperations(tf: TF): void {
  abstract class Computed extends tf.layers.Layer {
    constructor(readonly given: Config) {
      super(given as never);
    }
    abstract run(inputs: Tensor[]): Tensor | Tensor[];
    override call(inputs: Tensor | Tensor[]): Tensor | Tensor[] {
      return tf.tidy(() => this.run(asList(inputs)));
    }
    override computeOutputShape(shape: Shape | Shape[]): Shape | Shape[] {
      return triedShape(tf, shapesIn(shape), (inputs) => this.run(inputs));
    }
    override getConfig() {
      const { inputShape: _, batchInputShape: __, customObjects: ___, ...own } = this.given;
      return { ...super.getConfig(), ...own } as ReturnType<layers.Layer["getConfig"]>;
    }
  }
  /** `operation` of `args` and `named`, in which `{ input: i }` stands for an input; `shape` is what it puts out. */
  class Operation extends Computed {
    static className = "Operation";
    constructor(given: Config) {
      // As TensorFlow.js keeps texts: `get_item` would come back as `getItem`.
      const operation = String(given.operation).replace(/_(\w)/g, (_, letter) => letter.toUpperCase());
      super({ ...given, operation });
    }
    override computeOutputShape(shape: Shape | Shape[]): Shape | Shape[] {
      return this.given.shape as Shape | undefined ?? super.computeOutputShape(shape);
    }
    override run(inputs: Tensor[]): Tensor | Tensor[] {
      const { operation, args, named } = this.given as { operation: string; args: unknown[]; named: Config };
      return OPERATIONS[operationName(operation)!](tf, {
        args: args.map((value) => filled(value, inputs)),
        named: Object.fromEntries(Object.entries(named).map(([name, value]) => [name, filled(value, inputs)])),
      });
    }
  }
  /** A user's function in the place of a layer. */
  class UserFunction extends Computed {
    static className = "UserFunction";
    override run(inputs: Tensor[]): Tensor | Tensor[] {
      const run = functions.get(String(this.given.key));
      if (!run) throw new Error(`The function of the layer ${JSON.stringify(this.name)} is not here.`);
      return run((inputs.length === 1 ? inputs[0] : inputs) as Tensor & Tensor[]);
    }
  }
  for (const made of [Operation, UserFunction]) tf.serialization.registerClass(made as never);
}
