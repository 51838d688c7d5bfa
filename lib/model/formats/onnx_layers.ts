/**
 * The operators of ONNX as layers.
 *
 * Source: "ONNX Operators", https://onnx.ai/onnx/operators/.
 *
 * @module
 */

import { sizeOf } from "../../array.ts";
import type { Resampled } from "../../runtime/layers/resampling.ts";
import { ModelError } from "./format.ts";
import { axisIn, broadcastShape, FOLDS, listAt, nested, slicesOf, transposed, unsqueezed } from "./onnx_constants.ts";
import { type Constant, type GraphNode, OnnxNode, type Option } from "./onnx_file.ts";
import { channelsBehind, type Lengths, type Rebuilding, type Value } from "./onnx_graph.ts";
import {
  convolution,
  globalPooling,
  padded,
  pooling,
  tensorOf,
  transposedConvolution,
  vectorOf,
} from "./onnx_windows.ts";

/** Makes the layers of a node, and gives what each of its outputs is. */
type Make = (graph: Rebuilding, node: OnnxNode) => Value | Value[];

const isValue = (given: Value | Constant | undefined): given is Value => given !== undefined && "layer" in given;

/** A constant of one number; undefined if it is another one, or none. */
const numberOf = (given: Constant | undefined) => given?.data.length === 1 ? given.data[0] : undefined;

const activation = (name: string, positive = false): Make => (graph) =>
  graph.pointwise("Activation", { activation: name }, graph.value(0), positive);

const operation = (name: string, positive = false): Make => (graph) => {
  const x = graph.value(0);
  return graph.operation(name, [{ input: 0 }], [x], { ...x, positive });
};

const clip: Make = (graph, node) => {
  const x = graph.value(0);
  const low = node.has("min") ? node.float("min", 0) : numberOf(graph.constant(1)) ?? -Infinity;
  const high = node.has("max") ? node.float("max", 0) : numberOf(graph.constant(2)) ?? Infinity;
  const [least, most] = [low, high].map((value) => Math.abs(value) > 3.4e38 ? Math.sign(value) * Infinity : value);
  if (least === 0 && most > 0) {
    return graph.pointwise("ReLU", most === Infinity ? {} : { maxValue: most }, x, true);
  }
  if (least === -Infinity && most === Infinity) return x;
  if (least === -Infinity) return graph.operation("minimum", [{ input: 0 }, most], [x], { ...x, positive: false });
  if (most === Infinity) return graph.operation("maximum", [{ input: 0 }, least], [x], { ...x, positive: least >= 0 });
  return graph.operation("clip", [{ input: 0 }, least, most], [x], { ...x, positive: least >= 0 });
};

const selu: Make = (graph, node) => {
  const [alpha, gamma] = [node.float("alpha", 1.67326), node.float("gamma", 1.0507)];
  if (Math.abs(alpha - 1.67326) < 1e-4 && Math.abs(gamma - 1.0507) < 1e-4) return activation("selu")(graph, node);
  const x = graph.pointwise("ELU", { alpha }, graph.value(0));
  return graph.pointwise("Rescaling", { scale: gamma, offset: 0 }, x);
};

const prelu: Make = (graph) => {
  const [given, slope] = [graph.value(0), graph.needed(1)];
  const number = numberOf(slope);
  if (number !== undefined) return graph.pointwise("LeakyReLU", { alpha: number }, given);
  const x = given.shape.length > 2 ? graph.maps(given) : graph.settled(given);
  const rank = x.shape.length;
  // Before opset 7 one slope a channel was written without the axes behind it.
  const isOld = slope.dims.length === 1 && graph.opset < 7;
  const dims = isOld ? [slope.dims[0], ...Array(rank - 2).fill(1)] : slope.dims;
  const own = [...Array(Math.max(0, rank - dims.length)).fill(1), ...dims];
  const fits = own.every((length, axis) => length === 1 || axis > 0 && length === x.shape[axis]);
  if (own.length !== rank || !fits) throw new ModelError(`its slopes are [${slope.dims}]`);
  const laid = transposed({ ...slope, dims: own }, x.order);
  const layer = graph.pointwise("PReLU", {
    sharedAxes: laid.dims.flatMap((length, i) => i > 0 && length === 1 ? [i] : []),
  }, x);
  graph.weigh(layer, "alpha", slope.data.length, (tf) => tensorOf(tf, { data: laid.data, dims: laid.dims.slice(1) }));
  return layer;
};

const hardSigmoid: Make = (graph, node) => {
  const x = graph.value(0);
  const [alpha, beta] = [node.float("alpha", 0.2), node.float("beta", 0.5)];
  const is = (number: number) => Math.abs(alpha - number) < 1e-6 && beta === 0.5;
  if (is(0.2)) return graph.pointwise("Activation", { activation: "hardSigmoid" }, x, true);
  if (is(1 / 6)) return graph.pointwise("Activation", { activation: "hardSigmoidV3" }, x, true);
  const scaled = graph.emit("Rescaling", { scale: alpha, offset: beta }, [x], { ...x, positive: false }, "_scale");
  return graph.operation("clip", [{ input: 0 }, 0, 1], [scaled], { ...scaled, positive: true });
};

/** Softmax, or its logarithm. Before opset 13 it was over all axes from one on. */
const softmax: Make = (graph, node) => {
  const x = graph.settled(graph.value(0));
  const rank = x.shape.length;
  const first = axisIn(node.int("axis", graph.opset < 13 ? 1 : -1), rank);
  const axes = graph.opset < 13 ? x.shape.map((_, i) => i).slice(first) : [first];
  const places = axes.map((axis) => x.order.indexOf(axis)).filter((place) => place >= 0);
  if (axes.includes(0)) throw new ModelError("it goes over the batch");
  const y = places.length ? x : graph.arranged(x, [...x.order, ...axes]);
  const own = places.length ? places : axes.map((axis) => y.order.indexOf(axis));
  if (node.op === "LogSoftmax") {
    return graph.operation("log_softmax", [{ input: 0 }, own], [y], { ...y, positive: false });
  }
  const axis = own.length > 1 ? own : own[0] === y.order.length - 1 ? -1 : own[0];
  return graph.pointwise("Softmax", { axis }, y, true);
};

/** Of sums with a known number: what the other part is multiplied with, and what is added then. */
function rescaling(op: string, number: number, isFirst: boolean): [scale: number, offset: number] | undefined {
  if (op === "Mul") return [number, 0];
  if (op === "Add" || op === "Sum") return [1, number];
  if (op === "Sub") return isFirst ? [-1, number] : [1, -number];
  return op === "Div" && !isFirst ? [1 / number, 0] : undefined;
}

/** By the names of ONNX: an operation, and the layer for two tensors of it. */
const MERGES: Record<string, [operation: string, layer?: string]> = {
  Equal: ["equal"],
  Greater: ["greater"],
  GreaterOrEqual: ["greater_equal"],
  Less: ["less"],
  LessOrEqual: ["less_equal"],
  Add: ["add", "Add"],
  Sum: ["add", "Add"],
  Sub: ["subtract", "Subtract"],
  Mul: ["multiply", "Multiply"],
  Div: ["divide"],
  Pow: ["power"],
  Max: ["maximum", "Maximum"],
  Min: ["minimum", "Minimum"],
  Mean: ["mean", "Average"],
};

/** A value and a constant. */
function withConstant(graph: Rebuilding, op: string, given: Value, constant: Constant, isFirst: boolean): Value {
  const number = numberOf(constant);
  const scaled = number === undefined ? undefined : rescaling(op, number, isFirst);
  const fits = constant.dims.length <= given.shape.length;
  if (scaled && fits) {
    const positive = given.positive && scaled[0] >= 0 && scaled[1] >= 0;
    return graph.pointwise("Rescaling", { scale: scaled[0], offset: scaled[1] }, given, positive);
  }
  const [name] = MERGES[op];
  const placed = (value: unknown) => isFirst ? [value, { input: 0 }] : [{ input: 0 }, value];
  if (number !== undefined && fits) {
    return graph.operation(name, placed(number), [given], { ...given, positive: false });
  }
  const x = graph.settled(given);
  const rank = x.shape.length;
  const shape = broadcastShape<number | null>(x.shape, constant.dims);
  if (shape.length > rank || shape[0] !== null) {
    throw new ModelError(`a constant of [${constant.dims}] changes the batch`);
  }
  const dims = [...Array(rank - constant.dims.length).fill(1), ...constant.dims];
  const order = x.shape.some((length, axis) => length === 1 && dims[axis] !== 1 && !x.order.includes(axis))
    ? graph.usual(rank)
    : x.order;
  const y = graph.arranged(x, order);
  const left = order.filter((axis) => axis !== 0);
  const laid = transposed({ ...constant, dims }, [
    0,
    ...left,
    ...dims.map((_, i) => i).filter((i) => !order.includes(i)),
  ]);
  const values = nested({ ...laid, dims: left.map((axis) => dims[axis]) });
  return graph.operation(name, placed(values), [y], { shape, order });
}

const merge: Make = (graph, node) => {
  const given = node.inputs.map((name) => graph.find(name));
  if (given.length === 1) return graph.value(0);
  const values = given.filter(isValue);
  const [name, layer] = MERGES[node.op];
  if (values.length < given.length) {
    if (given.length !== 2 || !values.length) throw new ModelError("it joins constants with more than one tensor");
    const isFirst = !isValue(given[0]);
    return withConstant(graph, node.op, values[0], given[isFirst ? 0 : 1] as Constant, isFirst);
  }
  const { parts, made } = graph.aligned(values);
  const positive = !["Sub", "Pow"].includes(node.op) && values.every((x) => x.positive);
  // TensorFlow.js frees what a layer reads twice too early.
  const isTwice = new Set(parts.map((x) => x.layer)).size < parts.length;
  if (layer && !isTwice) return graph.emit(layer, {}, parts, { ...made, positive });
  if (parts.length > 2) throw new ModelError("it joins one tensor with itself and others");
  if (node.op === "Mean") return parts[0];
  const args = isTwice ? [{ input: 0 }, { input: 0 }] : [{ input: 0 }, { input: 1 }];
  return graph.operation(name, args, isTwice ? [parts[0]] : parts, { ...made, positive });
};

/** A dense layer; its kernel is `[in, out]`. */
function dense(
  graph: Rebuilding,
  given: Value,
  kernel: Constant,
  isTurned: boolean,
  factor: number,
  bias?: Constant,
): Value {
  const [inputs, units] = isTurned ? kernel.dims.toReversed() : kernel.dims;
  if (given.rows) {
    const made = dense(graph, graph.unrowed(given), kernel, isTurned, factor, bias);
    return { ...made, shape: [null, units], rows: made.shape };
  }
  const x = given.flat ? given : graph.arranged(given, given.shape.map((_, axis) => axis));
  if (kernel.dims.length !== 2 || inputs !== x.shape.at(-1) || x.shape.length < 2) {
    throw new ModelError(`its kernel is [${kernel.dims}], for values of [${x.shape.map((n) => n ?? "n")}]`);
  }
  if (bias && bias.data.length !== units && bias.data.length !== 1) throw new ModelError(`its bias is [${bias.dims}]`);
  const { flat } = x;
  const shape = [...x.shape.slice(0, -1), units];
  const layer = graph.emit("Dense", { units, useBias: Boolean(bias) }, [x], { shape, order: x.order });
  graph.weigh(layer, "kernel", sizeOf(kernel.dims), (tf) => {
    const turned = isTurned ? tf.transpose(tensorOf(tf, kernel)) : tensorOf(tf, kernel);
    const scaled = factor === 1 ? turned : tf.mul(turned, factor);
    if (!flat) return scaled;
    const sorted = flat.order.toSorted((a, b) => a - b);
    const maps = tf.reshape(scaled, [...sorted.map((axis) => flat.sides[flat.order.indexOf(axis)]), units]);
    const laid = tf.transpose(maps, [...flat.order.map((axis) => sorted.indexOf(axis)), sorted.length]);
    return tf.reshape(laid, [inputs, units]);
  });
  if (bias) {
    graph.weigh(layer, "bias", units, (tf) => tf.broadcastTo(vectorOf(tf, bias.data), [units]));
  }
  return layer;
}

const gemm: Make = (graph, node) => {
  const x = graph.value(0);
  if (node.int("transA", 0) !== 0 || x.shape.length !== 2) {
    throw new ModelError("its first input is turned, or no rows");
  }
  const given = graph.constant(2);
  const beta = node.float("beta", 1);
  const bias = given && { ...given, dims: [given.data.length], data: given.data.map((value) => value * beta) };
  return dense(graph, x, graph.needed(1), node.int("transB", 0) === 1, node.float("alpha", 1), bias);
};

const matMul: Make = (graph, node) => {
  const x = graph.value(0);
  const other = graph.find(node.inputs[1]);
  if (other && !isValue(other)) {
    const units = other.dims.at(-1);
    const bias = graph.readBehind(
      node.outputs[0],
      ["Add"],
      ({ dims, data }) => data.length === units && dims.at(-1) === units,
    );
    return dense(graph, x, other, false, 1, bias?.constant);
  }
  const parts = [graph.plain(x), graph.plain(graph.value(1))];
  const [a, b] = parts.map((part) => part.shape);
  if (a.length !== b.length || a.length < 3) throw new ModelError(`it multiplies [${a}] with [${b}]`);
  const shape = [...broadcastShape(a.slice(0, -2), b.slice(0, -2)), a.at(-2)!, b.at(-1)!];
  const isTwice = parts[0].layer === parts[1].layer;
  const args = [{ input: 0 }, { input: isTwice ? 0 : 1 }];
  return graph.operation("matmul", args, isTwice ? [parts[0]] : parts, { shape, order: shape.map((_, i) => i) });
};

/** The channels of a value behind all other axes. */
const channels = (graph: Rebuilding, x: Value) => x.order.at(-1) === 1 && !x.flat ? x : graph.maps(x);

const batchNormalization: Make = (graph, node) => {
  if (node.int("training_mode", 0) !== 0) {
    throw new ModelError("it is exported as in training; call model.eval() before the export");
  }
  if (node.int("spatial", 1) === 0) throw new ModelError("it has spatial = 0: moments for each cell");
  const x = channels(graph, graph.value(0));
  const [gamma, beta, mean, variance] = [1, 2, 3, 4].map((place) => Float32Array.from(graph.needed(place).data));
  // Caffe's Scale layers are part of its normalisation.
  const fits = ({ dims, data }: Constant) =>
    data.length === gamma.length && (dims.at(x.shape.length > 2 ? 1 - x.shape.length : -1) === gamma.length);
  const scale = graph.readBehind(node.outputs[0], ["Mul"], fits);
  const offset = graph.readBehind(scale?.name ?? node.outputs[0], ["Add"], fits);
  const layer = graph.pointwise("BatchNormalization", { axis: -1, epsilon: node.float("epsilon", 1e-5) }, x);
  const scaled = (values: Float32Array) => values.map((value, i) => value * (scale?.constant.data[i] ?? 1));
  const parts = {
    gamma: scaled(gamma),
    beta: scaled(beta).map((value, i) => value + (offset?.constant.data[i] ?? 0)),
    moving_mean: mean,
    moving_variance: variance,
  };
  for (const [name, values] of Object.entries(parts)) {
    graph.weigh(layer, name, values.length, (tf) => vectorOf(tf, values));
  }
  return layer;
};

const groupNormalization: Make = (graph, node) => {
  const x = channels(graph, graph.value(0));
  const count = x.shape[1]!;
  const groups = node.op === "InstanceNormalization" ? count : node.int("num_groups", 1);
  const layer = graph.pointwise("GroupNormalization", { groups, axis: -1, epsilon: node.float("epsilon", 1e-5) }, x);
  ["gamma", "beta"].forEach((name, i) => {
    const { data } = graph.needed(1 + i);
    // Until opset 20 there was one factor a group.
    const all = Float32Array.from({ length: count }, (_, channel) => data[Math.floor(channel * data.length / count)]);
    graph.weigh(layer, name, count, (tf) => tf.tensor1d(all));
  });
  return layer;
};

const layerNormalization: Make = (graph, node) => {
  const x = graph.settled(graph.value(0));
  const rank = x.shape.length;
  if (axisIn(node.int("axis", -1), rank) !== rank - 1) throw new ModelError("it goes over more axes than the last");
  const y = x.order.at(-1) === rank - 1 ? x : graph.plain(x);
  const bias = graph.constant(2);
  const config = { axis: -1, epsilon: node.float("epsilon", 1e-5), center: Boolean(bias) };
  const layer = graph.pointwise("LayerNormalization", config, y);
  for (const [name, given] of [["gamma", graph.needed(1)], ["beta", bias]] as const) {
    if (given) graph.weigh(layer, name, given.data.length, (tf) => vectorOf(tf, given.data));
  }
  return layer;
};

const lrn: Make = (graph, node) => {
  const x = graph.maps(graph.value(0));
  const size = node.int("size", 1);
  if (size % 2 !== 1 || x.shape.length !== 4) throw new ModelError(`its size is ${size}; wanted an odd one, over maps`);
  return graph.pointwise(
    "LocalResponseNormalization",
    {
      depthRadius: (size - 1) / 2,
      bias: node.float("bias", 1),
      alpha: node.float("alpha", 1e-4) / size,
      beta: node.float("beta", 0.75),
    },
    x,
    x.positive,
  );
};

/** A constant as values that every image has: the shape is the constant's, without the batch. */
function spreadOut(graph: Rebuilding, like: Value, constant: Constant, order: number[]): Value {
  const { dims } = constant;
  if (dims[0] !== 1) throw new ModelError(`a constant of [${dims}] is joined along the batch`);
  const laid = transposed(constant, order);
  const shape = [null, ...dims.slice(1)];
  // Nothing of the image is in it but how many there are.
  const none = graph.operation(
    "sum",
    [
      { input: 0 },
      like.order.map((_, i) => i).slice(1),
      true,
    ],
    [like],
    { shape: like.shape.map((_, axis) => axis ? 1 : null), order: like.order },
    "_none",
  );
  const ones = order.map((_, i) => i ? 1 : -1);
  const flat = graph.operation("reshape", [{ input: 0 }, ones], [none], {
    shape: shape.map((_, i) => i ? 1 : null),
    order,
  });
  const zeros = graph.operation("multiply", [{ input: 0 }, 0], [flat], { shape: flat.shape, order });
  return graph.operation("add", [{ input: 0 }, nested(laid)], [zeros], { shape, order }, "_constant");
}

const concat: Make = (graph, node) => {
  const given = node.inputs.map((name) => graph.find(name)!).map((x) => isValue(x) ? graph.settled(x) : x)
    .filter((x) => isValue(x) || x.data.length > 0);
  const values = given.filter(isValue);
  if (given.length === 1) return values[0];
  const shapes = given.map((x) => isValue(x) ? x.shape : [null, ...x.dims.slice(1)]);
  const [shape] = shapes;
  const axis = axisIn(node.int("axis", 1), shape.length);
  if (
    axis === 0 || shapes.some((own) => own.length !== shape.length || own.some((n, i) => i !== axis && n !== shape[i]))
  ) {
    throw new ModelError(
      `it joins [${shapes.map((own) => own.map((n) => n ?? "n")).join("] and [")}] along axis ${axis}`,
    );
  }
  const needs = shape.flatMap((length, i) => i !== axis && length === 1 ? [] : [i]);
  const whole = values.find((x) => needs.every((i) => x.order.includes(i)));
  const order = given.length > values.length
    ? channelsBehind(shape.length)
    : whole?.order ?? channelsBehind(shape.length);
  const parts = given.map((x) => isValue(x) ? graph.arranged(x, order) : spreadOut(graph, values[0], x, order));
  const total = shapes.reduce<number | null>(
    (sum, own) => sum === null || own[axis] === null ? null : sum + own[axis],
    0,
  );
  const positive = given.length === values.length && values.every((x) => x.positive);
  const made = { shape: shape.with(axis, total), order, positive };
  const place = order.indexOf(axis);
  if (new Set(parts.map((x) => x.layer)).size < parts.length) {
    const own = parts.filter((x, i) => parts.findIndex((y) => y.layer === x.layer) === i);
    const args = [parts.map((x) => ({ input: own.findIndex((y) => y.layer === x.layer) })), place];
    return graph.operation("concat", args, own, made);
  }
  return graph.emit("Concatenate", { axis: place === order.length - 1 ? -1 : place }, parts, made);
};

const flatten: Make = (graph, node) => {
  const x = graph.value(0);
  const axis = node.int("axis", 1);
  if (axis !== 1 && axis !== 1 - x.shape.length) throw new ModelError(`it flattens from axis ${axis} on`);
  return x.shape.length === 2 ? x : graph.reshaped(x, [Infinity, -1]);
};

const reshape: Make = (graph, node) => {
  const shape = listAt(node, "shape", node.inputs[1] ? graph.needed(1) : undefined);
  if (!shape) throw new ModelError("its shape is not known");
  const x = graph.value(0);
  return enlarged(graph, x, shape) ?? graph.reshaped(x, shape, node.int("allowzero", 0) === 1);
};

/** What was repeated and joins the axis before is enlarged maps; undefined if it is none. */
function enlarged(graph: Rebuilding, { repeated, shape: [, ...sides] }: Value, asked: readonly number[]) {
  if (!repeated || repeated.of.shape.length !== 4 || asked.length !== 4) return undefined;
  const { of, axis, times } = repeated;
  const wanted = sides.toSpliced(axis - 2, 2, sides[axis - 2] === null ? null : sides[axis - 2]! * times);
  const fits = wanted.every((length, i) =>
    asked[i + 1] === (length ?? NaN) || Number.isNaN(asked[i + 1]) || asked[i + 1] === -1
  );
  const place = of.order.indexOf(axis - 1);
  if (!fits || of.order.length !== 4 || place < 1 || place > 2) return undefined;
  const size = [1, 1].with(place - 1, times);
  const made = { shape: [null, ...wanted], order: of.order, positive: of.positive };
  return graph.emit("UpSampling2D", { size }, [of], made);
}

const transpose: Make = (graph, node) => {
  const x = graph.settled(graph.value(0));
  const perm = node.ints("perm") ?? x.shape.map((_, i) => x.shape.length - 1 - i);
  if (perm.toSorted((a, b) => a - b).some((axis, i) => axis !== i) || perm.length !== x.shape.length || perm[0] !== 0) {
    throw new ModelError(`it turns ${x.shape.length} axes to [${perm}]; convlens leaves the batch first`);
  }
  const shape = perm.map((axis) => x.shape[axis]);
  return { ...x, shape, order: x.order.map((axis) => perm.indexOf(axis)) };
};

const squeeze: Make = (graph, node) => {
  const x = graph.settled(graph.value(0));
  const given = listAt(node, "axes", node.inputs[1] ? graph.needed(1) : undefined);
  const axes = given?.map((axis) => axisIn(axis, x.shape.length));
  return graph.without(x, axes ?? x.shape.flatMap((length, axis) => length === 1 ? [axis] : []));
};

const unsqueeze: Make = (graph, node) => {
  const x = graph.settled(graph.value(0));
  const axes = listAt(node, "axes", node.inputs[1] ? graph.needed(1) : undefined) ?? [];
  const from = unsqueezed<number | null>(x.shape.map((_, i) => i), axes, null);
  if (from[0] !== 0) throw new ModelError("it puts an axis before the batch");
  const shape = unsqueezed(x.shape, axes, 1);
  return { ...x, shape, order: x.order.map((axis) => from.indexOf(axis)) };
};

/** Cuts out of some axes. */
function cut(graph: Rebuilding, given: Value, slices: ReturnType<typeof slicesOf>, suffix = ""): Value {
  const x = graph.arranged(
    given,
    given.order.length === given.shape.length ? given.order : given.shape.map((_, i) => i),
  );
  const shape = [...x.shape];
  const parts = x.order.map((): unknown => ({ start: null, stop: null, step: null }));
  const spans: { axis: number; before: number; behind: number }[] = [];
  for (const { axis, start, end, step } of slices) {
    const [length] = graph.known([shape[axis]], "what it cuts out");
    if (axis === 0 || !step) throw new ModelError("it cuts the batch");
    const bound = (value: number) => Math.min(Math.max(value < 0 ? value + length : value, step < 0 ? -1 : 0), length);
    const from = Math.min(bound(start), step < 0 ? length - 1 : length);
    const to = bound(end);
    shape[axis] = Math.max(0, Math.ceil((to - from) / step));
    if (shape[axis] === 0) throw new ModelError("it leaves nothing");
    parts[x.order.indexOf(axis)] = { start: from, stop: to < 0 ? null : to, step };
    if (step === 1) spans.push({ axis, before: from, behind: length - to });
  }
  const made = { shape, order: x.order, positive: x.positive };
  // Rows and columns of maps are cropped, and steps of lines.
  const at = spans.map(({ axis }) => x.order.indexOf(axis));
  const rank = x.order.length - 2;
  const isCropped = rank > 0 && rank < 4 && spans.length === slices.length && at.every((place) => place <= rank);
  if (!isCropped) return graph.operation("get_item", [{ input: 0 }, parts], [x], made, suffix);
  const cropping = Array.from({ length: rank }, (_, i) => {
    const span = spans[at.indexOf(i + 1)];
    return [span?.before ?? 0, span?.behind ?? 0];
  });
  return graph.emit(`Cropping${rank}D`, { cropping: rank === 1 ? cropping[0] : cropping }, [x], made, suffix);
}

const slice: Make = (graph, node) => {
  const x = graph.value(0);
  const inputs = node.inputs.map((name, i) => i && name ? graph.needed(i) : undefined);
  return cut(graph, graph.settled(x), slicesOf(node, inputs, x.shape.length));
};

const split: Make = (graph, node) => {
  const x = graph.settled(graph.value(0));
  const axis = axisIn(node.int("axis", 0), x.shape.length);
  const [length] = graph.known([x.shape[axis]], "what it cuts out");
  const count = node.outputs.length;
  const given = listAt(node, "split", node.inputs[1] ? graph.needed(1) : undefined);
  const parts = given ??
    Array.from(
      { length: count },
      (_, i) => Math.min(Math.ceil(length / count), length - i * Math.ceil(length / count)),
    );
  let start = 0;
  return parts.map((part, i) => cut(graph, x, [{ axis, start, end: start += part, step: 1 }], `_${i}`));
};

/** A comparison: 1 where it holds, else 0. */
const comparison = (name: string): Make => (graph, node) => {
  const given = node.inputs.map((_, i) => graph.find(node.inputs[i])!);
  const values = given.filter(isValue);
  if (values.length < given.length) {
    return withConstant(
      graph,
      node.op,
      values[0],
      given.find((x) => !isValue(x)) as Constant,
      !isValue(given[0]),
    );
  }
  const { parts, made } = graph.aligned(values);
  const isTwice = parts.length > 1 && parts[0].layer === parts[1].layer;
  return graph.operation(name, parts.map((_, i) => ({ input: isTwice ? 0 : i })), isTwice ? [parts[0]] : parts, {
    ...made,
    positive: true,
  });
};

/** One or the other, cell by cell: `m · a + (1 − m) · b`, or one of them where the mask is known to be all of one kind. */
const where: Make = (graph, node) => {
  const [mask, a, b] = node.inputs.map((name) => graph.find(name)!);
  const call = (op: string, ...inputs: (Value | Constant)[]) => run(graph, node, op, inputs);
  if (!isValue(mask) && new Set(mask.data).size === 1) {
    const chosen = mask.data[0] ? a : b;
    const zeros = call("Mul", mask.data[0] ? b : a, numberConstant(0));
    return (mask.data.length === 1 && isValue(chosen) ? chosen : call("Add", chosen, zeros)) as Value;
  }
  const other = isValue(mask)
    ? call("Sub", numberConstant(1), mask)
    : { ...mask, data: mask.data.map((value) => 1 - value) };
  return call("Add", call("Mul", mask, a), call("Mul", other, b)) as Value;
};

const gather: Make = (graph, node) => {
  const x = graph.settled(graph.value(0));
  const indices = graph.needed(1);
  const axis = axisIn(node.int("axis", 0), x.shape.length);
  const [length] = graph.known([x.shape[axis]], "what it takes");
  const cells = Array.from(indices.data, (cell) => axisIn(cell, length));
  const step = cells.length > 1 ? cells[1] - cells[0] : 1;
  if (axis === 0) throw new ModelError("it takes images of the batch");
  if (indices.dims.length > 1 || !step || cells.some((cell, i) => cell !== cells[0] + i * step)) {
    const y = x.order.includes(axis) ? x : graph.arranged(x, graph.usual(x.shape.length));
    const made = { shape: y.shape.with(axis, cells.length), order: y.order, positive: y.positive };
    const all = graph.operation("gather_cells", [{ input: 0 }, cells, y.order.indexOf(axis)], [y], made);
    const shape = y.shape.toSpliced(axis, 1, ...indices.dims);
    return indices.dims.length === 1 ? all : graph.reshaped(all, shape.map((n, i) => i ? n ?? NaN : Infinity));
  }
  const last = cells.at(-1)! + Math.sign(step);
  const taken = cut(graph, x, [{ axis, start: cells[0], end: last < 0 ? -length - 1 : last, step }]);
  return indices.dims.length ? taken : graph.without(taken, [axis]);
};

const reduce = (name: string): Make => (graph, node) => {
  const given = graph.settled(graph.value(0));
  const rank = given.shape.length;
  const asked = listAt(node, "axes", node.inputs[1] ? graph.needed(1) : undefined);
  if (!asked?.length && node.int("noop_with_empty_axes", 0) === 1) return given;
  const axes = (asked?.length ? asked : given.shape.map((_, i) => i)).map((axis) => axisIn(axis, rank));
  if (axes.includes(0)) throw new ModelError("it goes over the batch");
  const keeps = node.int("keepdims", 1) === 1;
  const shape = given.shape.map((length, axis) => axes.includes(axis) ? 1 : length);
  const isGlobal = rank > 2 && axes.length === rank - 2 && !axes.includes(1) && given.order.at(-1) === 1;
  let y: Value;
  if (isGlobal && (name === "mean" || name === "max")) {
    y = globalPooling(graph, given, name === "mean" ? "Average" : "Max");
  } else {
    const places = axes.map((axis) => given.order.indexOf(axis)).filter((place) => place >= 0);
    const order = given.order.filter((axis) => !axes.includes(axis));
    y = graph.operation(name, [{ input: 0 }, places], [given], { shape, order });
  }
  return keeps ? y : graph.without(y, axes);
};

const pad: Make = (graph, node) => {
  const x = graph.value(0);
  const rank = x.shape.length;
  const pads = node.ints("pads") ?? [...graph.needed(1).data];
  const axes = node.inputs.length > 3 && graph.constant(3)
    ? [...graph.needed(3).data].map((axis) => axisIn(axis, rank))
    : x.shape.map((_, i) => i);
  const mode = node.text("mode", "constant");
  if (!["constant", "reflect", "symmetric", "edge", "wrap"].includes(mode)) {
    throw new ModelError(`its mode is ${JSON.stringify(mode)}`);
  }
  const number = node.has("pads") ? node.float("value", 0) : numberOf(graph.constant(2)) ?? 0;
  const [before, behind] = [Array(rank).fill(0), Array(rank).fill(0)];
  axes.forEach((axis, i) => [before[axis], behind[axis]] = [pads[i], pads[i + axes.length]]);
  if ([...before, ...behind].every((n) => n === 0)) return x;
  if ([...before, ...behind].some((n) => !Number.isInteger(n)) || before[0] || behind[0]) {
    throw new ModelError(`its pads are [${pads}]`);
  }
  if ([...before, ...behind].some((n) => n < 0)) {
    // What is less than nothing is cut away.
    const cuts = x.shape.flatMap((_, axis) =>
      before[axis] < 0 || behind[axis] < 0
        ? [{ axis, start: Math.max(0, -before[axis]), end: behind[axis] < 0 ? behind[axis] : Infinity, step: 1 }]
        : []
    );
    const rest = [...before, ...behind].map((n) => Math.max(0, n));
    graph.set(node.inputs[0], cut(graph, graph.settled(x), cuts, "_cut"));
    const made = pad(graph, OnnxNode.of("Pad", [...node.inputs], node, { pads: rest, mode, value: number }));
    graph.set(node.inputs[0], x);
    return made;
  }
  if (mode === "constant" && rank > 2 && before[1] === 0 && behind[1] === 0) {
    return padded(graph, graph.maps(x), before.slice(2), behind.slice(2), number);
  }
  const y = graph.arranged(x, x.order.length === rank ? x.order : x.shape.map((_, i) => i));
  const shape = y.shape.map((n, i) => n === null ? null : n + before[i] + behind[i]);
  const pairs = y.order.map((axis) => [before[axis], behind[axis]]);
  const most = (axis: number) => Number(x.shape[axis] ?? Infinity) - Number(mode === "reflect");
  if (mode !== "constant") {
    if (mode !== "edge" && pads.some((n, i) => n > most(axes[i % axes.length]))) {
      throw new ModelError(`it reflects more cells than there are: its pads are [${pads}]`);
    }
    const made = { shape, order: y.order, positive: x.positive };
    return graph.operation("own_pad", [{ input: 0 }, pairs, mode], [y], made);
  }
  return graph.operation("pad", [{ input: 0 }, pairs, null, number], [y], { shape, order: y.order });
};

/** Where ONNX's cells are, and which is the nearest, in the words of the layer. */
const PLACES: Record<string, Resampled["coordinates"]> = {
  align_corners: "alignCorners",
  asymmetric: "asymmetric",
  half_pixel: "halfPixel",
  half_pixel_symmetric: "halfPixelSymmetric",
  pytorch_half_pixel: "pytorchHalfPixel",
  tf_crop_and_resize: "region",
};
const ROUNDINGS: Record<string, Resampled["rounding"]> = {
  floor: "floor",
  ceil: "ceil",
  round_prefer_floor: "preferFloor",
  round_prefer_ceil: "preferCeil",
};
const MODES: Record<string, Resampled["interpolation"]> = { nearest: "nearest", linear: "bilinear", cubic: "bicubic" };

/** How each axis of a value is resized: how many times, and to what length where that is known. */
function resizedAxes(graph: Rebuilding, node: OnnxNode, shape: Lengths, isOld: boolean) {
  const scales = node.floats("scales") ?? numbersAt(graph, isOld ? 1 : 2);
  const sizes = isOld ? undefined : numbersAt(graph, 3);
  const axes = node.ints("axes")?.map((axis) => axisIn(axis, shape.length)) ?? shape.map((_, axis) => axis);
  const policy = node.text("keep_aspect_ratio_policy", "stretch");
  const ratios = sizes?.map((size, i) => size / (shape[axes[i]] ?? NaN));
  const one = policy === "stretch" || !ratios ? undefined : Math[policy === "not_larger" ? "min" : "max"](...ratios);
  return shape.map((length, axis) => {
    const place = axes.indexOf(axis);
    const scale = axis === 0 || place < 0 ? 1 : one ?? scales?.[place] ?? ratios?.[place] ?? NaN;
    if (!(scale > 0)) throw new ModelError("its scales are not known");
    if (length === null || scale === 1) return { scale, length };
    return { scale, length: sizes ? Math.floor(length * scale + 0.5) : Math.floor(length * scale + 1e-6) };
  });
}

const resize: Make = (graph, node) => {
  const given = graph.settled(graph.value(0));
  const x = given.shape.length > 2 ? graph.maps(given) : graph.plain(given);
  const isOld = node.op === "Upsample" || graph.opset < 11;
  const axes = resizedAxes(graph, node, x.shape, isOld);
  if (axes.every(({ scale }) => scale === 1)) return x;
  const mode = node.text("mode", "nearest");
  const rule = node.text("coordinate_transformation_mode", isOld ? "asymmetric" : "half_pixel");
  const nearest = node.text("nearest_mode", isOld ? "floor" : "round_prefer_floor");
  const [coordinates, rounding, interpolation] = [PLACES[rule], ROUNDINGS[nearest], MODES[mode]];
  if (!coordinates || !rounding || !interpolation) throw new ModelError(`it enlarges by ${mode}, ${rule}, ${nearest}`);
  const made = {
    shape: axes.map(({ length }, axis) => axis ? length : null),
    order: x.order,
    positive: x.positive && mode !== "cubic",
  };
  const isAntialias = node.int("antialias", 0) === 1;
  const isMaps = x.shape.length === 4 && axes[1].scale === 1;
  const factors = axes.slice(2).map(({ scale }) => scale);
  const isHalf = rule === "half_pixel" || rule === "pytorch_half_pixel" && !made.shape.includes(1);
  if (factors.every(Number.isInteger) && axes[1].scale === 1 && x.shape.length > 2) {
    const repeats = mode === "nearest" &&
      (rule === "asymmetric" ? nearest === "floor" : isHalf && nearest.startsWith("round"));
    const size = factors.length === 1 ? factors[0] : factors;
    if (repeats) return graph.emit(`UpSampling${factors.length}D`, { size }, [x], made);
    if (isMaps && mode === "linear" && isHalf) {
      return graph.emit("UpSampling2D", { size, interpolation: "bilinear" }, [x], made);
    }
  }
  graph.known(made.shape.slice(1), "its size");
  const isExact = axes.every(({ scale, length }, i) => i === 0 || Math.abs(length! / x.shape[i]! - scale) < 1e-6);
  const isStock = coordinates !== "region" && (mode === "linear" && !isAntialias ||
    mode === "nearest" && nearest === (rule === "asymmetric" ? "floor" : "round_prefer_ceil"));
  if (isMaps && isExact && isStock) {
    const [height, width] = made.shape.slice(2);
    return graph.emit("Resizing", { height, width, interpolation, coordinates }, [x], made);
  }
  const rank = x.shape.length;
  const region = coordinates === "region" ? [...graph.needed(1).data] : undefined;
  if (node.float("extrapolation_value", 0) !== 0) throw new ModelError("it has a number for what is outside");
  const listed = node.ints("axes")?.map((axis) => axisIn(axis, rank)) ?? axes.map((_, axis) => axis);
  const rules = x.order.map((axis) => {
    const { scale, length } = axes[axis];
    const at = listed.indexOf(axis);
    if (scale === 1 && (!region || at < 0 || axis === 0)) return null;
    return {
      to: length,
      scale,
      interpolation,
      coordinates,
      rounding,
      cubic: node.float("cubic_coeff_a", -0.75),
      excludeOutside: node.int("exclude_outside", 0) === 1,
      antialias: isAntialias,
      region: region && [region[at], region[at + listed.length]],
    };
  });
  return graph.operation("resample", [{ input: 0 }, rules], [x], made);
};

/** The numbers of an input that may be missing or empty. */
function numbersAt(graph: Rebuilding, place: number): number[] | undefined {
  const found = graph.constant(place);
  return found?.data.length ? [...found.data] : undefined;
}

/** Channels into cells, or cells into channels. */
const shuffle: Make = (graph, node) => {
  const x = graph.value(0);
  const block = node.int("blocksize", 1);
  const [c, h, w] = graph.known(x.shape.slice(1), "its shape");
  const turn = (y: Value, perm: number[]) => ({
    ...y,
    shape: perm.map((axis) => y.shape[axis]),
    order: y.order.map((axis) => perm.indexOf(axis)),
  });
  if (node.op === "SpaceToDepth") {
    const parts = graph.reshaped(x, [Infinity, c, h / block, block, w / block, block]);
    const perm = node.text("mode", "DCR") === "DCR" ? [0, 3, 5, 1, 2, 4] : [0, 1, 3, 5, 2, 4];
    return graph.reshaped(turn(parts, perm), [Infinity, c * block ** 2, h / block, w / block]);
  }
  const isFirst = node.text("mode", "DCR") === "DCR";
  const inner = c / block ** 2;
  const parts = graph.reshaped(x, [Infinity, ...isFirst ? [block, block, inner] : [inner, block, block], h, w]);
  const turned = turn(parts, isFirst ? [0, 3, 4, 1, 5, 2] : [0, 1, 4, 2, 5, 3]);
  return graph.reshaped(turned, [Infinity, inner, h * block, w * block]);
};

/** Repeats each axis so many times. */
function repeated(graph: Rebuilding, given: Value, times: readonly number[]): Value {
  if (times.every((n) => n === 1)) return given;
  if (times[0] !== 1 || times.some((n) => !Number.isInteger(n) || n < 1)) {
    throw new ModelError(`it repeats axes [${times}] times; convlens leaves the batch as it is`);
  }
  const settled = graph.settled(given);
  const isWhole = times.every((n, axis) => n === 1 || settled.order.includes(axis));
  const x = isWhole ? settled : graph.arranged(settled, graph.usual(times.length));
  const shape = x.shape.map((n, axis) => n === null ? null : n * times[axis]);
  const counts = x.order.map((axis) => times[axis]);
  const made = { shape, order: x.order, positive: x.positive };
  const y = graph.operation("tile", [{ input: 0 }, counts], [x], made);
  const [axis, ...more] = times.flatMap((n, i) => n > 1 ? [i] : []);
  const isBetween = more.length === 0 && axis > 1 && settled.shape[axis] === 1;
  return isBetween ? { ...y, repeated: { of: graph.without(settled, [axis]), axis, times: times[axis] } } : y;
}

const expand: Make = (graph) => {
  let x = graph.value(0);
  const asked = [...graph.needed(1).data].map((n) => Number.isFinite(n) ? n : null);
  const shape = broadcastShape<number | null>(x.shape, asked);
  const missing = shape.length - x.shape.length;
  if (missing) {
    if (shape[0] !== 1 && shape[0] !== null) throw new ModelError(`it repeats the batch, to [${shape}]`);
    throw new ModelError(`it makes ${shape.length} axes of ${x.shape.length}; convlens leaves the batch first`);
  }
  x = graph.settled(x);
  return repeated(graph, x, shape.map((n, axis) => axis && n !== null && x.shape[axis] === 1 ? n : 1));
};

const tile: Make = (graph) => repeated(graph, graph.value(0), [...graph.needed(1).data]);

/** Sums of products of two values, or of a value and a constant, by the letters of their axes. */
const einsum: Make = (graph, node) => {
  const [left, out = ""] = node.text("equation", "").replace(/\s/g, "").split("->");
  const letters = left.split(",");
  if (
    letters.length !== 2 || !/^\w+,\w+$/.test(left) || !/^\w+$/.test(out) ||
    [...letters, out].some((word) => new Set(word).size < word.length)
  ) {
    throw new ModelError(`its equation is ${JSON.stringify(node.text("equation", ""))}`);
  }
  const given = [0, 1].map((place) => graph.find(node.inputs[place])!);
  if (given.some((part, i) => (isValue(part) ? part.shape : part.dims).length !== letters[i].length)) {
    throw new ModelError(`its inputs are not [${letters}]`);
  }
  // The batch is in the first.
  const isSwapped = !isValue(given[0]);
  const [a, b] = isSwapped ? [given[1], given[0]] : given;
  const [first, second] = isSwapped ? letters.toReversed() : letters;
  if (!isValue(a)) throw new ModelError("it is of constants");
  const batch = [...first].filter((letter) => second.includes(letter) && out.includes(letter));
  const summed = [...first].filter((letter) => second.includes(letter) && !out.includes(letter));
  const [own, others] = [
    [...first].filter((letter) => !second.includes(letter)),
    [...second].filter((letter) => !first.includes(letter)),
  ];
  const lengths = new Map([...first].map((letter, i) => [letter, a.shape[i]]));
  const shapeB = isValue(b) ? b.shape : b.dims;
  [...second].forEach((letter, i) => lengths.set(letter, lengths.get(letter) ?? shapeB[i]));
  const sizes = (group: readonly string[]) =>
    group.map((letter, i) => i === 0 && letter === first[0] ? Infinity : lengths.get(letter) ?? NaN);
  const one = (group: readonly string[]) => sizeOf(sizes(group));
  const turn = (x: Value | Constant, word: string, order: readonly string[]) =>
    run(graph, node, "Transpose", [x], { perm: order.map((letter) => word.indexOf(letter)) });
  const shaped = (x: Value | Constant, shape: readonly number[]) => run(graph, node, "Reshape", [x], { shape });
  const rows = isValue(b) ? [...sizes(batch), one(own)] : sizes(own);
  const x = shaped(turn(a, first, [...batch, ...own, ...summed]), [...rows, one(summed)]);
  const y = shaped(turn(b, second, [...batch, ...summed, ...others]), [
    ...isValue(b) ? sizes(batch) : [],
    one(summed),
    one(others),
  ]);
  const made = shaped(run(graph, node, "MatMul", [x, y]), [...sizes(batch), ...sizes(own), ...sizes(others)]);
  return turn(made, [...batch, ...own, ...others].join(""), [...out]) as Value;
};

/** Where the largest or the smallest value is. */
const argument = (name: string): Make => (graph, node) => {
  const x = graph.settled(graph.value(0));
  const axis = axisIn(node.int("axis", 0), x.shape.length);
  if (axis === 0) throw new ModelError("it goes over the batch");
  if (node.int("select_last_index", 0)) throw new ModelError("it wants the last of several; convlens takes the first");
  const y = x.order.includes(axis) ? x : graph.plain(x);
  const order = y.order.filter((other) => other !== axis);
  const made = graph.operation(name, [{ input: 0 }, y.order.indexOf(axis)], [y], {
    shape: x.shape.with(axis, 1),
    order,
  });
  return node.int("keepdims", 1) === 1 ? made : graph.without(made, [axis]);
};

/** Sums of powers, and what is made of them. */
const norm = (before: string | undefined, after: string | undefined): Make => (graph, node) => {
  const x = graph.value(0);
  const inner = before ? graph.operation(before, [{ input: 0 }], [x], { ...x, positive: before !== "exp" }) : x;
  graph.set(node.inputs[0], inner);
  const sum = reduce("sum")(graph, node) as Value;
  graph.set(node.inputs[0], x);
  return after ? graph.operation(after, [{ input: 0 }], [sum], { ...sum, positive: false }) : sum;
};

const same: Make = (graph) => graph.value(0);

const numberConstant = (value: number): Constant => ({ dims: [], data: Float32Array.of(value), whole: false });

/** The branch of an `If` whose condition is known. */
const branch: Make = (graph, node) => {
  const condition = graph.constantNamed(node.inputs[0]);
  if (condition?.data.length !== 1) throw new ModelError("its condition is computed from the image");
  const chosen = node.graph(condition.data[0] ? "then_branch" : "else_branch");
  const unknown = chosen.nodes.filter(({ op }) => !Object.hasOwn(LAYERS, op) && !Object.hasOwn(FOLDS, op)).map((
    { op },
  ) => op);
  if (unknown.length) {
    throw new ModelError(`convlens has no layers for the operators ${unknown.join(", ")} in its branch`);
  }
  for (const [name, read] of chosen.stored) graph.set(name, read());
  for (const inner of chosen.nodes) {
    graph.begin(inner);
    computeOnnx(graph, inner).forEach((made, i) => inner.outputs[i] && graph.set(inner.outputs[i], made));
  }
  graph.begin(node);
  return chosen.outputs.map((name) => graph.find(name) as Value);
};

const dropout: Make = (graph, node) => {
  const rate = graph.opset < 12 ? node.float("ratio", 0.5) : numberOf(graph.constant(1)) ?? 0.5;
  const x = graph.value(0);
  return graph.pointwise("Dropout", { rate: Math.min(Math.max(rate, 0), 0.99) }, x, x.positive);
};

/** By the operators' names. */
export const LAYERS: Record<string, Make> = {
  Abs: operation("abs", true),
  Acos: operation("acos"),
  Acosh: operation("acosh"),
  Add: merge,
  ArgMax: argument("arg_max"),
  ArgMin: argument("arg_min"),
  Asin: operation("asin"),
  Asinh: operation("asinh"),
  Atan: operation("atan"),
  Atanh: operation("atanh"),
  AveragePool: pooling,
  BatchNormalization: batchNormalization,
  Cast: same,
  CastLike: same,
  Celu: (graph, node) => {
    const alpha = node.float("alpha", 1);
    const inner = run(graph, node, "Elu", [run(graph, node, "Div", [graph.value(0), numberConstant(alpha)])]);
    return run(graph, node, "Mul", [inner, numberConstant(alpha)]) as Value;
  },
  Ceil: operation("ceil"),
  Clip: clip,
  Concat: concat,
  Conv: convolution,
  ConvTranspose: transposedConvolution,
  Cos: operation("cos"),
  Cosh: operation("cosh"),
  DepthToSpace: shuffle,
  Div: merge,
  Dropout: dropout,
  Einsum: einsum,
  Elu: (graph, node) => graph.pointwise("ELU", { alpha: node.float("alpha", 1) }, graph.value(0)),
  Equal: comparison("equal"),
  Erf: operation("erf"),
  Exp: operation("exp", true),
  Expand: expand,
  Flatten: flatten,
  Floor: operation("floor"),
  Gather: gather,
  Gelu: (graph, node) => activation(node.text("approximate", "none") === "tanh" ? "gelu_new" : "gelu")(graph, node),
  Gemm: gemm,
  GlobalAveragePool: (graph) => globalPooling(graph, graph.value(0), "Average"),
  GlobalMaxPool: (graph) => globalPooling(graph, graph.value(0), "Max"),
  Greater: comparison("greater"),
  GreaterOrEqual: comparison("greater_equal"),
  GroupNormalization: groupNormalization,
  HardSigmoid: hardSigmoid,
  HardSwish: activation("hardSwish"),
  Identity: same,
  If: branch,
  InstanceNormalization: groupNormalization,
  LRN: lrn,
  LayerNormalization: layerNormalization,
  LeakyRelu: (graph, node) => graph.pointwise("LeakyReLU", { alpha: node.float("alpha", 0.01) }, graph.value(0)),
  Less: comparison("less"),
  LessOrEqual: comparison("less_equal"),
  Log: operation("log"),
  LogSoftmax: softmax,
  MatMul: matMul,
  Max: merge,
  MaxPool: pooling,
  Mean: merge,
  Min: merge,
  Mish: activation("mish"),
  Mul: merge,
  Neg: operation("neg"),
  Not: (graph, node) => run(graph, node, "Sub", [numberConstant(1), graph.value(0)]) as Value,
  PRelu: prelu,
  Pad: pad,
  Pow: merge,
  Reciprocal: operation("reciprocal"),
  ReduceL1: norm("abs", undefined),
  ReduceL2: norm("square", "sqrt"),
  ReduceLogSum: norm(undefined, "log"),
  ReduceLogSumExp: norm("exp", "log"),
  ReduceMax: reduce("max"),
  ReduceMean: reduce("mean"),
  ReduceMin: reduce("min"),
  ReduceProd: reduce("prod"),
  ReduceSum: reduce("sum"),
  ReduceSumSquare: norm("square", undefined),
  Relu: (graph) => graph.pointwise("ReLU", {}, graph.value(0), true),
  Reshape: reshape,
  Resize: resize,
  Round: operation("round"),
  Selu: selu,
  Sigmoid: activation("sigmoid", true),
  Sign: operation("sign"),
  Sin: operation("sin"),
  Sinh: operation("sinh"),
  Slice: slice,
  Softmax: softmax,
  Softplus: activation("softplus", true),
  Softsign: activation("softsign"),
  SpaceToDepth: shuffle,
  Split: split,
  Sqrt: operation("sqrt", true),
  Squeeze: squeeze,
  Sub: merge,
  Sum: merge,
  Swish: (graph, node) => {
    const x = graph.value(0);
    const gate = run(graph, node, "Sigmoid", [run(graph, node, "Mul", [x, numberConstant(node.float("alpha", 1))])]);
    return run(graph, node, "Mul", [x, gate]) as Value;
  },
  Tan: operation("tan"),
  Tanh: activation("tanh"),
  ThresholdedRelu: (graph, node) => {
    const x = graph.value(0);
    return run(graph, node, "Mul", [
      x,
      run(graph, node, "Greater", [x, numberConstant(node.float("alpha", 1))]),
    ]) as Value;
  },
  Tile: tile,
  Transpose: transpose,
  Unsqueeze: unsqueeze,
  Upsample: resize,
  Where: where,
};

/** Computes what another operator does, as a part of a node. */
export function run(
  graph: Rebuilding,
  node: GraphNode,
  op: string,
  inputs: readonly (Value | Constant | undefined)[],
  options: Record<string, Option> = {},
): Value | Constant {
  const names = inputs.map((input, i) => {
    if (input) graph.set(`:${i}`, input);
    return input ? `:${i}` : "";
  });
  const { outputs: [output], name, label } = node;
  const part = OnnxNode.of(op, names, { op, name, label, inputs: names, outputs: [output] }, options);
  graph.begin(part);
  const [made] = computeOnnx(graph, part);
  graph.begin(node);
  return made;
}

/** A shape that a graph asks a value for, as a constant; the batch's length stands as `BATCH`. */
function shapeAsked(node: OnnxNode, shape: Lengths, batch: number): Constant {
  const all = shape.map((length, axis) => axis === 0 ? batch : length ?? NaN);
  const cut = all.slice(node.int("start", 0), node.has("end") ? node.int("end", all.length) : undefined);
  return { dims: [cut.length], data: Float64Array.from(cut), whole: true };
}

/** What a node of ONNX computes: of constants a constant, else what its layers put out. */
export function computeOnnx(graph: Rebuilding, node: OnnxNode): (Value | Constant)[] {
  const given = node.inputs.map((name) => graph.find(name));
  const value = given.find(isValue);
  if (node.op === "Shape" && value) return [shapeAsked(node, value.shape, graph.batch)];
  const fold = Object.hasOwn(FOLDS, node.op) ? FOLDS[node.op] : undefined;
  if (!value && fold) {
    // What is read anew for each of its numbers would take hours; what is handed on need not be read.
    const known = given as (Constant | undefined)[];
    return [fold(node, node.op === "Identity" ? known : known.map((constant) => constant && { ...constant }))];
  }
  if (!Object.hasOwn(LAYERS, node.op)) {
    throw new ModelError("it is computed from the image; convlens reads it of constants");
  }
  return [LAYERS[node.op](graph, node)].flat();
}
