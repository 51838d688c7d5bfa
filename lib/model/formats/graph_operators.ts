/**
 * The operators of TensorFlow's graphs, in those of ONNX: what has channels behind is turned for them, which costs no layer.
 *
 * Source: "Raw ops" of TensorFlow, https://www.tensorflow.org/api_docs/python/tf/raw_ops.
 *
 * @module
 */

import { ModelError } from "./format.ts";
import type { TensorFlowNode } from "./graph_node.ts";
import { axisIn } from "./onnx_constants.ts";
import type { Constant, Option } from "./onnx_file.ts";
import { channelsBehind, type Rebuilding, type Value } from "./onnx_graph.ts";
import { run } from "./onnx_layers.ts";

type Part = Value | Constant;
type Options = Record<string, Option>;

/** Operators whose layers have the name of their scope. */
export const MAIN = /^(_Fused|Fused|DepthwiseConv|Conv|MatMul|BatchMatMul|(Max|Avg)Pool)/;

const isValue = (part: Part): part is Value => "layer" in part;
const shapeOf = (part: Part) => isValue(part) ? part.shape : part.dims;

/** A node while it is rebuilt. */
class Call {
  /** @param label the name for its layers */
  constructor(readonly graph: Rebuilding, readonly node: TensorFlowNode, readonly label = node.label) {}

  get count(): number {
    return this.node.inputs.length;
  }
  /** An input. */
  at(place: number): Part {
    const name = this.node.inputs.at(place);
    if (name === undefined || place >= this.count) throw new ModelError(`its input ${place} is missing`);
    return this.graph.find(name)!;
  }
  get all(): Part[] {
    return this.node.inputs.map((_, i) => this.at(i));
  }
  /** An input that has to be known. */
  constant(place: number): Constant {
    const found = this.at(place);
    if (!isValue(found)) return found;
    throw new ModelError(
      `its input ${place}, ${
        JSON.stringify(this.node.inputs.at(place))
      }, is computed from the image; convlens reads it as ` +
        "a constant only",
    );
  }
  numbers = (place: number): number[] => [...this.constant(place).data];

  /** Computes with operators of ONNX, one behind the other. */
  run(op: string, inputs: readonly (Part | undefined)[], options: Options = {}): Part {
    const { graph, node, label } = this;
    return run(graph, { ...node, op: node.op, outputs: node.outputs, label }, op, inputs, options);
  }

  /** With the channels, which are behind, in the second place. */
  first(x: Part): Part {
    const rank = shapeOf(x).length;
    return rank < 3 || this.isFirst
      ? x
      : this.run("Transpose", [x], { perm: [0, rank - 1, ...axes(rank).slice(1, -1)] });
  }
  /** With the channels, which are second, behind. */
  last(x: Part): Part {
    const rank = shapeOf(x).length;
    return rank < 3 || this.isFirst ? x : this.run("Transpose", [x], { perm: channelsBehind(rank) });
  }
  /** Whether the node itself has its channels second. */
  get isFirst(): boolean {
    return this.node.text("data_format").startsWith("NC");
  }
  /** Of one number an axis, those of rows, columns, … */
  sides(numbers: readonly number[]): number[] {
    return this.isFirst ? numbers.slice(2) : numbers.slice(1, -1);
  }
  /** How a window pads, in the words of ONNX. */
  padding(sides = (list: number[]) => list): Options {
    const padding = this.node.text("padding", "VALID");
    if (padding !== "EXPLICIT") return { auto_pad: padding === "SAME" ? "SAME_UPPER" : "VALID" };
    const pads = this.node.ints("explicit_paddings");
    return { pads: [0, 1].flatMap((end) => sides(this.sides(pads.filter((_, i) => i % 2 === end)))) };
  }
  /** The bias that the only reader of the node's output adds. */
  biasBehind(units: number): Constant | undefined {
    const fits = ({ data, dims }: Constant) => data.length === units && (dims.at(-1) === units || this.isFirst);
    let [name] = this.node.outputs;
    for (let next = this.graph.onlyReader(name); next && PASSING.has(next.op); next = this.graph.onlyReader(name)) {
      [name] = next.outputs;
    }
    return this.graph.readBehind(name, ["BiasAdd", "Add", "AddV2"], fits)?.constant;
  }
}

/** Operators that leave numbers as they are, between a convolution and its bias. */
const PASSING = new Set(["BatchToSpaceND", "Identity", "Squeeze"]);

const axes = (rank: number) => Array.from({ length: rank }, (_, i) => i);
const listOf = (values: readonly number[]): Constant => ({
  dims: [values.length],
  data: Float64Array.from(values),
  whole: true,
});

type Make = (call: Call) => Part | Part[];

/** The same operator in ONNX, of the same inputs. */
const as = (op: string, options: Options = {}): Make => (call) => call.run(op, call.all, options);
/** An operation on numbers one by one. */
const operation = (name: string): Make => (call) => {
  const x = call.at(0);
  if (!isValue(x)) throw new ModelError("it is of a constant");
  return call.graph.operation(name, [{ input: 0 }], [x], { ...x, positive: false });
};

/** Activations by their names, of which some are options of fused operators. */
const ACTIVATIONS: Record<string, (call: Call, x: Part, slope?: Part) => Part> = {
  Relu: (call, x) => call.run("Relu", [x]),
  Relu6: (call, x) => call.run("Clip", [x, listOf([0]), listOf([6])]),
  LeakyRelu: (call, x) =>
    call.run("LeakyRelu", [x], {
      alpha: call.node.float(call.node.op === "LeakyRelu" ? "alpha" : "leakyrelu_alpha", 0.2),
    }),
  Elu: (call, x) => call.run("Elu", [x]),
  Sigmoid: (call, x) => call.run("Sigmoid", [x]),
  Tanh: (call, x) => call.run("Tanh", [x]),
  Prelu(call, x, slope) {
    if (!slope) throw new ModelError("its slopes are missing");
    const rank = shapeOf(x).length;
    const dims = shapeOf(slope);
    const whole = call.run("Reshape", [slope], { shape: [...Array(rank - dims.length).fill(1), ...dims as number[]] });
    return call.last(call.run("PRelu", [call.first(x), call.first(whole)]));
  },
};

/** What a fused operator does behind its product: a bias, then an activation. */
function fused(call: Call): { bias?: Constant; finish(x: Part): Part } {
  const names = call.node.texts("fused_ops");
  const isBiased = names[0] === "BiasAdd";
  const [activation, ...more] = isBiased ? names.slice(1) : names;
  if (more.length || activation && !Object.hasOwn(ACTIVATIONS, activation)) {
    throw new ModelError(`it is fused with ${names.join(", ")}; convlens reads a bias and an activation`);
  }
  return {
    bias: isBiased ? call.constant(2) : undefined,
    finish(x) {
      if (!activation) return x;
      const next = new Call(call.graph, call.node, `${call.label}.${activation}`);
      return ACTIVATIONS[activation](next, x, activation === "Prelu" ? call.at(isBiased ? 3 : 2) : undefined);
    },
  };
}

/** Convolutions; a depthwise kernel is `[…sides, in, multiplier]`. */
const convolution = (isDepthwise: boolean): Make => (call) => {
  const { node } = call;
  const isFused = node.op.includes("Fused");
  const kernel = call.constant(1);
  const taps = kernel.dims.slice(0, -2);
  const [inputs, units] = kernel.dims.slice(-2);
  const { bias, finish } = isFused
    ? fused(call)
    : { bias: call.biasBehind(isDepthwise ? inputs * units : units), finish: (x: Part) => x };
  const x = call.first(call.at(0));
  const channels = shapeOf(x)[1]!;
  const dilations = call.sides(node.ints("dilations"));
  const spread = isValue(x) && x.spread && spreadFor(x.spread, taps);
  const made = windowed(
    call,
    x,
    taps,
    (
      row,
      sides,
    ) => ["Conv", [row, {
      ...kernel,
      dims: sides([...taps]).concat(isDepthwise ? [1, inputs * units] : [inputs, units]),
    }, bias], {
      kernel_last: 1,
      group: isDepthwise ? inputs : Math.max(1, Math.floor(channels / inputs)),
      strides: sides(call.sides(node.ints("strides"))),
      ...call.padding(sides),
      ...dilations.length ? { dilations: sides(dilations) } : {},
      ...spread && { auto_pad: "NOTSET", dilations: sides(spread.dilations), pads: spread.pads.flatMap(sides) },
    }],
  );
  return finish(call.last(made));
};

/** How a convolution is dilated and pads, for windows of these taps. */
function spreadFor({ dilations, pads }: NonNullable<Value["spread"]>, taps: readonly number[]) {
  const missing = taps.length - dilations.length;
  const [before, behind] = pads.map((list) => [...Array<number>(missing).fill(0), ...list]);
  const rates = [...Array<number>(missing).fill(1), ...dilations];
  // Of a free size only the beginning is known: where there is none, there is no end either.
  const ends = behind.map((n, i) => Number.isNaN(n) ? before[i] && (taps[i] - 1) * rates[i] - before[i] : n);
  return { dilations: rates, pads: [before, ends] };
}

/** Runs a window over maps; over a line, which TensorFlow writes as maps of one row or one column, in one dimension. */
function windowed(
  call: Call,
  x: Part,
  taps: readonly number[],
  operator: (
    x: Part,
    sides: (list: number[]) => number[],
  ) => [op: string, inputs: (Part | undefined)[], options: Options],
): Part {
  const missing = isValue(x) && x.shape.length === 4 ? [2, 3].filter((axis) => !x.order.includes(axis)) : [];
  const [axis] = missing.length === 1 && taps[missing[0] - 2] === 1 ? missing : [];
  if (!axis) return call.run(...operator(x, (list) => list));
  const line = call.run("Squeeze", [x], { axes: [axis] });
  return call.run("Unsqueeze", [call.run(...operator(line, (list) => list.toSpliced(axis - 2, 1)))], { axes: [axis] });
}

/** A transposed convolution, as the gradient of one: of the output's shape, the kernel and the input. */
const transposed: Make = (call) => {
  const { node } = call;
  const kernel = call.constant(1);
  const size = call.constant(0).data;
  const wanted = call.sides([...size]);
  const dilations = call.sides(node.ints("dilations"));
  const made = call.run("ConvTranspose", [call.first(call.at(2)), kernel, call.biasBehind(kernel.dims.at(-2)!)], {
    kernel_last: 1,
    strides: call.sides(node.ints("strides")),
    ...call.padding(),
    dilations: dilations.length ? dilations : undefined,
    output_shape: wanted.every(Number.isFinite) ? wanted : undefined,
  });
  return call.last(made);
};

const pooling = (op: string): Make => (call) => {
  const { node } = call;
  const taps = call.sides(node.ints("ksize"));
  const made = windowed(call, call.first(call.at(0)), taps, (x, sides) => [op, [x], {
    kernel_shape: sides(taps),
    strides: sides(call.sides(node.ints("strides"))),
    ...call.padding(sides),
  }]);
  return call.last(made);
};

const matMul: Make = (call) => {
  const { node } = call;
  const isFused = node.op.startsWith("_");
  const kernel = call.at(1);
  if (node.is("transpose_a") || isValue(kernel)) {
    const turned = (part: Part, is: boolean) => is ? call.run("Transpose", [part], { perm: [1, 0] }) : part;
    return call.run("MatMul", [turned(call.at(0), node.is("transpose_a")), turned(kernel, node.is("transpose_b"))]);
  }
  const units = kernel.dims.at(node.is("transpose_b") ? 0 : -1)!;
  const { bias, finish } = isFused ? fused(call) : { bias: call.biasBehind(units), finish: (x: Part) => x };
  return finish(
    call.run("Gemm", [call.at(0), kernel, bias], { transB: Number(node.is("transpose_b")), alpha: 1, beta: 1 }),
  );
};

const batchMatMul: Make = (call) => {
  const { node } = call;
  const parts = [0, 1].map((place) => {
    const x = call.at(place);
    const rank = shapeOf(x).length;
    const perm = [...axes(rank).slice(0, -2), rank - 1, rank - 2];
    return node.is(place ? "adj_y" : "adj_x") ? call.run("Transpose", [x], { perm }) : x;
  });
  return call.run("MatMul", parts);
};

const normalization: Make = (call) =>
  call.last(
    call.run("BatchNormalization", [call.first(call.at(0)), ...[1, 2, 3, 4].map((place) => call.constant(place))], {
      epsilon: call.node.float("epsilon", 1e-4),
    }),
  );

const lrn: Make = (call) => {
  const { node } = call;
  const size = 2 * node.int("depth_radius", 5) + 1;
  return call.last(call.run("LRN", [call.first(call.at(0))], {
    size,
    bias: node.float("bias", 1),
    alpha: node.float("alpha", 1) * size,
    beta: node.float("beta", 0.5),
  }));
};

const reduction = (op: string): Make => (call) => {
  const x = call.at(0);
  const rank = shapeOf(x).length;
  const over = call.numbers(1).map((axis) => axisIn(axis, rank));
  if (over.length === 0) return x;
  const keepdims = Number(call.node.is("keep_dims"));
  const isGlobal = isValue(x) && rank > 2 && over.length === rank - 2 &&
    over.every((axis) => axis > 0 && axis < rank - 1);
  if (!isGlobal) return call.run(op, [x], { axes: over, keepdims });
  const made = call.run(op, [call.first(x)], { axes: axes(rank).slice(2), keepdims });
  return keepdims ? call.last(made) : made;
};

const pad: Make = (call) => {
  const x = call.at(0);
  const pairs = call.numbers(1);
  const isMirror = call.node.op === "MirrorPad";
  const mode = isMirror ? call.node.text("mode", "REFLECT").toLowerCase() : "constant";
  const number = call.node.op === "PadV2" ? call.constant(2) : undefined;
  const rank = shapeOf(x).length;
  const given = [0, 1].map((end) => pairs.filter((_, i) => i % 2 === end));
  const isMaps = isValue(x) && rank > 2 && given.every((list) => list[0] === 0 && list[rank - 1] === 0);
  const order = isMaps ? [0, rank - 1, ...axes(rank).slice(1, -1)] : axes(rank);
  const pads = listOf(given.flatMap((list) => order.map((axis) => list[axis])));
  const made = call.run("Pad", [isMaps ? call.run("Transpose", [x], { perm: order }) : x, pads, number], { mode });
  return isMaps ? call.run("Transpose", [made], { perm: channelsBehind(rank) }) : made;
};

const resize: Make = (call) => {
  const { node } = call;
  const x = call.first(call.at(0));
  const [, channels] = shapeOf(x);
  const isLinear = node.op === "ResizeBilinear";
  const place = node.is("align_corners")
    ? "align_corners"
    : node.is("half_pixel_centers")
    ? "half_pixel"
    : "asymmetric";
  const made = call.run("Resize", [x, undefined, undefined, listOf([1, channels!, ...call.numbers(1)])], {
    mode: isLinear ? "linear" : "nearest",
    coordinate_transformation_mode: place,
    nearest_mode: place === "asymmetric" ? "floor" : "round_prefer_ceil",
  });
  return call.last(made);
};

/** `x[…]` with masks of bits: which ends are free, and which axes come in or go. */
const stridedSlice: Make = (call) => {
  const { node } = call;
  const x = call.at(0);
  const [begin, end, strides] = [1, 2, 3].map((place) => call.numbers(place));
  const has = (mask: string, i: number) => (node.int(mask) >> i & 1) === 1;
  const parts = begin.map((_, i) => i);
  const isAll = (i: number) => has("ellipsis_mask", i);
  const isNew = (i: number) => !isAll(i) && has("new_axis_mask", i);
  const rank = shapeOf(x).length;
  const hidden = rank - parts.filter((i) => !isAll(i) && !isNew(i)).length;
  const [slices, gone, added]: [[axis: number, from: number, to: number, step: number][], number[], number[]] = [
    [],
    [],
    [],
  ];
  let [axis, out] = [0, 0];
  for (const i of parts) {
    if (isAll(i)) {
      axis += hidden, out += hidden;
    } else if (isNew(i)) added.push(out++);
    else if (has("shrink_axis_mask", i)) {
      slices.push([axis, begin[i], begin[i] === -1 ? 2 ** 31 : begin[i] + 1, 1]);
      gone.push(axis++);
    } else {
      const isBack = strides[i] < 0;
      const from = has("begin_mask", i) ? (isBack ? 2 ** 31 : 0) : begin[i];
      const to = has("end_mask", i) ? (isBack ? -(2 ** 31) : 2 ** 31) : end[i];
      const length = shapeOf(x)[axis];
      const isWhole = from === 0 && strides[i] === 1 && (to >= 2 ** 31 - 1 || to === length);
      if (!isWhole) slices.push([axis, from, to, strides[i]]);
      axis++, out++;
    }
  }
  const column = (place: number) => listOf(slices.map((slice) => slice[place]));
  const cut = slices.length ? call.run("Slice", [x, column(1), column(2), column(0), column(3)]) : x;
  const less = gone.length ? call.run("Squeeze", [cut], { axes: gone }) : cut;
  return added.length ? call.run("Unsqueeze", [less], { axes: added }) : less;
};

const slice: Make = (call) => {
  const x = call.at(0);
  const [begin, size] = [call.numbers(1), call.numbers(2)];
  const slices = axes(begin.length).map((axis) => ({
    axis,
    from: begin[axis],
    to: size[axis] < 0 ? 2 ** 31 : begin[axis] + size[axis],
  }))
    .filter(({ axis, from, to }) => from !== 0 || to < 2 ** 31 && to !== shapeOf(x)[axis] && Number.isFinite(to));
  const column = (name: "axis" | "from" | "to") => listOf(slices.map((slice) => slice[name]));
  return slices.length ? call.run("Slice", [x, column("from"), column("to"), column("axis")]) : x;
};

/** Cuts into parts along an axis. */
function parted(call: Call, x: Part, axis: number, sizes: readonly number[]): Part[] {
  let from = 0;
  return sizes.map((size) => {
    const [a, b] = [from, from += size];
    return call.run("Slice", [x, listOf([a]), listOf([b]), listOf([axis])]);
  });
}

const lengthAt = (x: Part, axis: number): number => {
  const length = shapeOf(x)[axisIn(axis, shapeOf(x).length)];
  if (length === null) throw new ModelError("it cuts an axis whose length is free");
  return length;
};

const split: Make = (call) => {
  const { node } = call;
  const isListed = node.op === "SplitV";
  const x = call.at(isListed ? 0 : 1);
  const [axis] = call.numbers(isListed ? 2 : 0);
  const length = lengthAt(x, axis);
  const count = node.int("num_split", 1);
  const sizes = isListed ? call.numbers(1) : Array<number>(count).fill(length / count);
  const rest = length - sizes.reduce((sum, size) => sum + Math.max(0, size), 0);
  return parted(call, x, axis, sizes.map((size) => size < 0 ? rest : size));
};

const unpack: Make = (call) => {
  const x = call.at(0);
  const axis = axisIn(call.node.int("axis"), shapeOf(x).length);
  const ones = Array<number>(lengthAt(x, axis)).fill(1);
  return parted(call, x, axis, ones).map((part) => call.run("Squeeze", [part], { axes: [axis] }));
};

const pack: Make = (call) => {
  const axis = axisIn(call.node.int("axis"), shapeOf(call.at(0)).length + 1);
  const parts = call.all.map((part) => call.run("Unsqueeze", [part], { axes: [axis] }));
  return parts.length > 1 ? call.run("Concat", parts, { axis }) : parts[0];
};

const concat: Make = (call) => {
  const isOld = call.node.op === "Concat";
  const all = call.all;
  const [axis] = call.numbers(isOld ? 0 : call.count - 1);
  return call.run("Concat", isOld ? all.slice(1) : all.slice(0, -1), {
    axis: axisIn(axis, shapeOf(all[1]).length || 1),
  });
};

const gather: Make = (call) =>
  call.run("Gather", [call.at(0), call.at(1)], { axis: call.count > 2 ? call.numbers(2)[0] : 0 });

/** Cells and batches exchanged: around a convolution that is dilated so. */
const spread: Make = (call) => {
  const x = call.at(0);
  if (!isValue(x)) throw new ModelError("it is of a constant");
  const [block, pads] = [call.numbers(1), call.numbers(2)];
  const next = (name: string) => call.graph.onlyReader(name);
  let back = next(call.node.outputs[0]);
  while (back?.op === "ExpandDims") back = next(back.outputs[0]);
  const isAround = back !== undefined && /Conv2[dD]/.test(back.op);
  while (back && /Conv2[dD]|BiasAdd|^Add|^Mul$|[Rr]elu|FusedBatchNorm|Identity|Squeeze/.test(back.op)) {
    back = next(back.outputs[0]);
  }
  const crops = back?.op === "BatchToSpaceND" ? call.graph.constantNamed(back.inputs[2]) : undefined;
  if (!isAround || crops?.data.length !== pads.length) {
    throw new ModelError("it is not around one convolution, with BatchToSpaceND behind");
  }
  const rests = pads.map((pad, i) => pad - crops.data[i]);
  return { ...x, spread: { dilations: block, pads: [0, 1].map((end) => rests.filter((_, i) => i % 2 === end)) } };
};

const cast: Make = (call) => {
  const x = call.at(0);
  const { node } = call;
  const isFloat = (type: string) => /FLOAT|DOUBLE|HALF/.test(type);
  const cuts = isFloat(node.type("SrcT")) && !isFloat(node.type("DstT"));
  if (!isValue(x)) return call.run("Cast", [x], { to: isFloat(node.type("DstT")) ? 1 : 7 });
  if (!cuts) return x;
  const magnitude = call.run("Floor", [call.run("Abs", [x])]);
  return call.run("Mul", [call.run("Sign", [x]), magnitude]);
};

const same: Make = (call) => call.at(0);
const unaries = [
  "Abs",
  "Acos",
  "Acosh",
  "Asin",
  "Asinh",
  "Atan",
  "Atanh",
  "Ceil",
  "Cos",
  "Cosh",
  "Erf",
  "Exp",
  "Floor",
  "Log",
  "LogSoftmax",
  "Neg",
  "Reciprocal",
  "Round",
  "Selu",
  "Sign",
  "Sin",
  "Sinh",
  "Softmax",
  "Softplus",
  "Softsign",
  "Sqrt",
  "Tan",
];

/** By the operators' names. */
const OPERATORS: Record<string, Make> = {
  ...Object.fromEntries(unaries.map((name) => [name, as(name)])),
  ...Object.fromEntries(
    Object.entries(ACTIVATIONS).map(([name, make]) => [name, (call: Call) => make(call, call.at(0), call.all[1])]),
  ),
  Add: as("Add"),
  AddN: as("Sum"),
  AddV2: as("Add"),
  ArgMax: (call) => call.run("ArgMax", [call.at(0)], { axis: call.numbers(1)[0], keepdims: 0 }),
  ArgMin: (call) => call.run("ArgMin", [call.at(0)], { axis: call.numbers(1)[0], keepdims: 0 }),
  AvgPool: pooling("AveragePool"),
  AvgPool3D: pooling("AveragePool"),
  BatchMatMul: batchMatMul,
  BatchMatMulV2: batchMatMul,
  BatchToSpaceND: same,
  BiasAdd(call) {
    const bias = call.constant(1);
    const rank = shapeOf(call.at(0)).length;
    return call.run("Add", [
      call.at(0),
      call.isFirst ? { ...bias, dims: [bias.data.length, ...Array(rank - 2).fill(1)] } : bias,
    ]);
  },
  BroadcastTo: as("Expand"),
  Cast: cast,
  CheckNumerics: same,
  ClipByValue: as("Clip"),
  Concat: concat,
  ConcatV2: concat,
  Conv2D: convolution(false),
  Conv2DBackpropInput: transposed,
  Conv3D: convolution(false),
  Conv3DBackpropInputV2: transposed,
  DepthToSpace: (call) =>
    call.last(call.run("DepthToSpace", [call.first(call.at(0))], { blocksize: call.node.int("block_size", 2) })),
  DepthwiseConv2dNative: convolution(true),
  Div: as("Div"),
  Einsum: (call) => call.run("Einsum", call.all, { equation: call.node.text("equation") }),
  EnsureShape: same,
  Erfc: (call) => call.run("Sub", [listOf([1]), call.run("Erf", [call.at(0)])]),
  ExpandDims: (call) => call.run("Unsqueeze", [call.at(0)], { axes: call.numbers(1) }),
  Expm1: operation("expm1"),
  Fill: (call) => call.run("Expand", [call.at(1), call.at(0)]),
  FloorDiv: (call) => call.run("Floor", [call.run("Div", call.all)]),
  FloorMod: as("Mod"),
  FusedBatchNorm: normalization,
  FusedBatchNormV2: normalization,
  FusedBatchNormV3: normalization,
  FusedDepthwiseConv2dNative: convolution(true),
  Gather: gather,
  GatherV2: gather,
  Identity: same,
  IdentityN: (call) => call.all,
  Inv: as("Reciprocal"),
  LRN: lrn,
  Log1p: operation("log1p"),
  MatMul: matMul,
  Max: reduction("ReduceMax"),
  MaxPool: pooling("MaxPool"),
  MaxPool3D: pooling("MaxPool"),
  MaxPoolWithArgmax: pooling("MaxPool"),
  Maximum: as("Max"),
  Mean: reduction("ReduceMean"),
  Min: reduction("ReduceMin"),
  Minimum: as("Min"),
  MirrorPad: pad,
  Mul: as("Mul"),
  OnesLike: (call) => call.run("Add", [call.run("Mul", [call.at(0), listOf([0])]), listOf([1])]),
  Pack: pack,
  Pad: pad,
  PadV2: pad,
  PlaceholderWithDefault: same,
  Pow: as("Pow"),
  PreventGradient: same,
  Prod: reduction("ReduceProd"),
  Range: as("Range"),
  Rank: (call) => ({ ...listOf([shapeOf(call.at(0)).length]), dims: [] }),
  RealDiv: as("Div"),
  Reshape: as("Reshape"),
  ResizeBilinear: resize,
  ResizeNearestNeighbor: resize,
  ReverseV2(call) {
    const over = call.numbers(1);
    const each = (number: number) => listOf(over.map(() => number));
    return call.run("Slice", [call.at(0), each(-1), each(-(2 ** 31)), listOf(over), each(-1)]);
  },
  Rsqrt: (call) =>
    isValue(call.at(0)) ? operation("rsqrt")(call) : call.run("Reciprocal", [call.run("Sqrt", [call.at(0)])]),
  Shape: as("Shape"),
  Size: as("Size"),
  Slice: slice,
  Snapshot: same,
  SpaceToBatchND: spread,
  SpaceToDepth: (call) =>
    call.last(call.run("SpaceToDepth", [call.first(call.at(0))], { blocksize: call.node.int("block_size", 2) })),
  Split: split,
  SplitV: split,
  Square: (call) => call.run("Mul", [call.at(0), call.at(0)]),
  SquaredDifference(call) {
    const difference = call.run("Sub", call.all);
    return call.run("Mul", [difference, difference]);
  },
  Squeeze(call) {
    const over = call.node.ints("squeeze_dims");
    return call.run("Squeeze", [call.at(0)], { axes: over.length ? over : undefined });
  },
  StopGradient: same,
  StridedSlice: stridedSlice,
  Sub: as("Sub"),
  Sum: reduction("ReduceSum"),
  Tile: as("Tile"),
  Transpose: (call) => call.run("Transpose", [call.at(0)], { perm: call.numbers(1) }),
  Unpack: unpack,
  ZerosLike: (call) => call.run("Mul", [call.at(0), listOf([0])]),
  _FusedConv2D: convolution(false),
  _FusedMatMul: matMul,
};

export const isKnownOperator = (op: string): boolean => Object.hasOwn(OPERATORS, op);

/** What a node of a graph computes. */
export const computeGraph = (graph: Rebuilding, node: TensorFlowNode): Part[] =>
  [OPERATORS[node.op](new Call(graph, node))].flat();
