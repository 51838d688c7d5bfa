/**
 * Convolutions and poolings of ONNX as layers: paddings that differ from side to side are layers of their own.
 *
 * @module
 */

import type { Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import { sizeOf } from "../../array.ts";
import type { TF } from "../../runtime/core/types.ts";
import { uploaded } from "./build.ts";
import { ModelError } from "./format.ts";
import { type Constant, type OnnxNode, readAnew } from "./onnx_file.ts";
import { channelsBehind, type Lengths, type Rebuilding, type Value } from "./onnx_graph.ts";

/** The window of a convolution or pooling, one value a side. */
interface Window {
  kernel: number[];
  strides: number[];
  dilations: number[];
  before: number[];
  behind: number[];
  /** The sides of what it puts out. */
  out: Lengths;
  /** Whether TensorFlow's "same" pads just so. */
  same: boolean;
}

/** The least number of single precision: what pads before a maximum is taken. */
const LEAST = -3.4028234663852886e38;

function windowOf(node: OnnxNode, sides: Lengths, kernel: number[]): Window {
  const listed = (name: string, otherwise: number, count = sides.length) => {
    const list = node.ints(name);
    const values = list?.length ? list : Array<number>(count).fill(otherwise);
    const least = name === "pads" ? 0 : 1;
    if (values.length !== count || !values.every((value) => value >= least && value < 2 ** 20)) {
      throw new ModelError(`its ${name} are [${values}]; wanted ${count} numbers from ${least} on`);
    }
    return values;
  };
  const [strides, dilations] = [listed("strides", 1), listed("dilations", 1)];
  const pads = listed("pads", 0, 2 * sides.length);
  const reach = kernel.map((taps, i) => (taps - 1) * dilations[i] + 1);
  const auto = node.text("auto_pad", "NOTSET");
  const needs = (i: number) => {
    const n = sides[i];
    if (n === null) return strides[i] === 1 ? reach[i] - 1 : null;
    return Math.max((Math.ceil(n / strides[i]) - 1) * strides[i] + reach[i] - n, 0);
  };
  let [before, behind] = [pads.slice(0, sides.length), pads.slice(sides.length)];
  if (auto === "VALID") [before, behind] = [before, behind].map((list) => list.map(() => 0));
  if (auto.startsWith("SAME")) {
    const totals = sides.map((_, i) => needs(i));
    const out = sides.map((n, i) => n === null ? null : Math.ceil(n / strides[i]));
    if (auto === "SAME_UPPER" || totals.every((total) => total !== null && total % 2 === 0)) {
      const half = totals.map((total) => Math.floor((total ?? 0) / 2));
      const rest = totals.map((total, i) => (total ?? 0) - half[i]);
      return { kernel, strides, dilations, before: half, behind: rest, out, same: true };
    }
    if (totals.includes(null)) throw new ModelError("SAME_LOWER needs an image of a fixed size");
    [before, behind] = [totals.map((total) => Math.ceil(total! / 2)), totals.map((total) => Math.floor(total! / 2))];
  }
  const ceil = node.int("ceil_mode", 0) === 1;
  const out = sides.map((n, i) => {
    if (n === null) return null;
    const steps = (n + before[i] + behind[i] - reach[i]) / strides[i];
    const count = (ceil ? Math.ceil(steps) : Math.floor(steps)) + 1;
    // No window begins behind the image and its first padding.
    return ceil && (count - 1) * strides[i] >= n + before[i] ? count - 1 : count;
  });
  if (out.some((length) => length !== null && length < 1)) {
    throw new ModelError(`its window of [${reach}] is larger than what it sees, [${sides}]`);
  }
  const short = sides.map((n, i) =>
    n === null ? 0 : Math.max(0, (out[i]! - 1) * strides[i] + reach[i] - n - before[i] - behind[i])
  );
  if (ceil && sides.includes(null)) throw new ModelError("ceil_mode needs an image of a fixed size");
  behind = behind.map((pad, i) => pad + short[i]);
  const same = [...before, ...behind].some((pad) => pad > 0) && sides.every((n, i) => {
    const total = needs(i);
    const half = Math.floor((total ?? 0) / 2);
    return total !== null && before[i] === half && behind[i] === total - half &&
      (n === null || out[i] === Math.ceil(n / strides[i]));
  });
  return { kernel, strides, dilations, before, behind, out, same };
}

const withSides = (x: Value, sides: Lengths, channels = x.shape[1]): Lengths => [null, channels, ...sides];

/** Zeros around maps, or another number. */
export function padded(graph: Rebuilding, x: Value, before: number[], behind: number[], number = 0): Value {
  if ([...before, ...behind].every((pad) => pad === 0)) return x;
  const pairs = before.map((pad, i) => [pad, behind[i]]);
  const shape = withSides(x, x.shape.slice(2).map((n, i) => n === null ? null : n + before[i] + behind[i]));
  const made = { shape, order: x.order, positive: x.positive && number >= 0 };
  if (number !== 0) {
    return graph.operation("pad", [{ input: 0 }, [[0, 0], ...pairs, [0, 0]], null, number], [x], made, "_pad");
  }
  const padding = pairs.length === 1 ? pairs[0] : pairs;
  return graph.emit(`ZeroPadding${pairs.length}D`, { padding }, [x], made, "_pad");
}

/** A constant as a tensor. */
export function tensorOf(tf: TF, constant: Pick<Constant, "data" | "dims">): Tensor {
  const { data, dims } = constant;
  if (data instanceof Float32Array && readAnew.has(constant)) {
    return uploaded(tf, data as Float32Array<ArrayBuffer>, dims);
  }
  return tf.tensor(data instanceof Float32Array ? data : Float32Array.from(data), dims, "float32");
}

/** A list of numbers as a tensor. */
export const vectorOf = (tf: TF, data: Constant["data"]): Tensor => tensorOf(tf, { data, dims: [data.length] });

/** `[out, in, …sides]` as `[…sides, in, out]`. */
const kernelLast = (tf: TF, kernel: Constant) =>
  tf.transpose(tensorOf(tf, kernel), [...kernel.dims.map((_, i) => i).slice(2), 1, 0]);

/** The lengths of `[…sides, in, out]` as `[out, in, …sides]`: kernels of TensorFlow, which nodes say by `kernel_last`. */
const outFirst = (dims: readonly number[]) => [...dims.slice(-2).reverse(), ...dims.slice(0, -2)];

/** The bias of a layer. */
function addBias(graph: Rebuilding, layer: Value, bias: Constant | undefined): void {
  if (bias) graph.weigh(layer, "bias", bias.data.length, (tf) => vectorOf(tf, bias.data));
}

/** What a convolution sees: maps with channels behind, in one to three dimensions. */
function seen(graph: Rebuilding): Value {
  const x = graph.maps(graph.value(0));
  if (x.shape.length < 3 || x.shape.length > 5) {
    throw new ModelError(`it works on ${x.shape.length} axes; wanted 3 to 5`);
  }
  if (x.shape[1] === null) graph.known([null], "the number of channels");
  return x;
}

export function convolution(graph: Rebuilding, node: OnnxNode): Value {
  let x = seen(graph);
  const [kernel, bias] = [graph.needed(1), graph.constant(2)];
  const rank = x.shape.length - 2;
  const groups = node.int("group", 1);
  const isLast = node.int("kernel_last", 0) === 1;
  const [filters, each, ...taps] = isLast ? outFirst(kernel.dims) : kernel.dims;
  if (taps.length !== rank || each * groups !== x.shape[1] || filters % groups || !sizeOf(kernel.dims)) {
    throw new ModelError(`its kernel is [${kernel.dims}] in ${groups} groups, for ${x.shape[1]} channels`);
  }
  const window = windowOf(node, x.shape.slice(2), taps);
  if (!window.same) x = padded(graph, x, window.before, window.behind);
  const { dilations } = window;
  // TensorFlow.js convolves with strides or with dilation; with both, cells are left out behind.
  const isBoth = window.strides.some((n) => n > 1) && dilations.some((n) => n > 1);
  if (isBoth && window.same) x = padded(graph, x, window.before, window.behind);
  const strides = isBoth ? window.strides.map(() => 1) : window.strides;
  const options = {
    kernelSize: taps,
    strides,
    dilationRate: dilations,
    padding: window.same && !isBoth ? "same" : "valid",
    useBias: Boolean(bias),
  };
  const full = x.shape.slice(2).map((n, i) => n === null ? null : n - (taps[i] - 1) * dilations[i]);
  const made = { shape: withSides(x, isBoth ? full : window.out, filters), order: x.order };
  const even = new Set(strides).size === 1 && (strides[0] === 1 || dilations.every((rate) => rate === 1));
  const alone = groups > 1 && each === 1 && rank === 2 && even;
  const layer = alone
    ? graph.emit("DepthwiseConv2D", { ...options, depthMultiplier: filters / groups }, [x], made)
    : graph.emit(`Conv${rank}D`, { ...options, filters, groups }, [x], made);
  graph.weigh(layer, alone ? "depthwise_kernel" : "kernel", sizeOf(kernel.dims), (tf) => {
    const laid = isLast ? tensorOf(tf, kernel) : kernelLast(tf, kernel);
    return alone ? tf.reshape(laid, [...taps, groups, filters / groups]) : laid;
  });
  addBias(graph, layer, bias);
  if (!isBoth) return layer;
  const parts = [1, ...window.strides, 1].map((step) => ({ start: null, stop: null, step }));
  const kept = { shape: withSides(x, window.out, filters), order: x.order };
  return graph.operation("get_item", [{ input: 0 }, parts], [layer], kept, "_stride");
}

export function transposedConvolution(graph: Rebuilding, node: OnnxNode): Value {
  const given = seen(graph);
  const [kernel, bias] = [graph.needed(1), graph.constant(2)];
  const isLast = node.int("kernel_last", 0) === 1;
  // Of TensorFlow's `[…sides, out, in]` likewise.
  const [channels, each, ...taps] = isLast ? outFirst(kernel.dims) : kernel.dims;
  const groups = node.int("group", 1);
  const rank = given.shape.length - 2;
  if (taps.length !== rank || channels !== given.shape[1] || channels % groups) {
    throw new ModelError(`its kernel is [${kernel.dims}] in ${groups} groups, for ${given.shape[1]} channels`);
  }
  const listed = (name: string, otherwise: number, count = rank) => node.ints(name) ?? Array(count).fill(otherwise);
  const [strides, dilations] = [listed("strides", 1), listed("dilations", 1)];
  let added = listed("output_padding", 0);
  let pads = listed("pads", 0, 2 * rank);
  const reach = taps.map((n, i) => (n - 1) * dilations[i] + 1);
  const auto = node.text("auto_pad", "NOTSET");
  const shape = node.ints("output_shape")?.slice(-rank);
  const inner = given.shape.slice(2);
  const isPlain = () =>
    [...added, ...dilations.map((n) => n - 1)].every((n) => n === 0) && reach.every((n, i) => n >= strides[i]);
  // As TensorFlow's own "same", which any size can have.
  const isSame = auto === "SAME_UPPER" && isPlain() &&
    inner.every((n, i) => !shape || n !== null && shape[i] === n * strides[i]);
  if (!isSame && (shape || auto.startsWith("SAME"))) {
    const sides = graph.known(inner, "its padding");
    const wanted = shape ?? sides.map((n, i) => n * strides[i]);
    const total = sides.map((n, i) => (n - 1) * strides[i] + reach[i] + added[i] - wanted[i]);
    added = added.map((n, i) => n + Math.max(0, -total[i]));
    const upper = auto === "SAME_UPPER";
    const before = total.map((n) => upper ? Math.floor(Math.max(0, n) / 2) : Math.ceil(Math.max(0, n) / 2));
    pads = [...before, ...total.map((n, i) => Math.max(0, n) - before[i])];
  }
  const full = inner.map((n, i) =>
    n === null ? null : isSame ? n * strides[i] : (n - 1) * strides[i] + reach[i] + added[i]
  );
  const filters = each * groups;
  // There is no layer in one dimension that does all: it is one of two, of one row.
  const isLine = rank === 1;
  const row = <Item>(list: readonly Item[], one: Item) => isLine ? [one, ...list] : [...list];
  const x = isLine ? oneRow(graph, given) : given;
  const options = {
    filters,
    kernelSize: row(taps, 1),
    strides: row(strides, 1),
    padding: isSame ? "same" : "valid",
    useBias: Boolean(bias),
    ...isPlain() ? {} : { outputPadding: row(added, 0), dilationRate: row(dilations, 1) },
  };
  const made = { shape: withSides(x, row(full, 1), filters), order: x.order };
  const layer = graph.emit(`Conv${Math.max(2, rank)}DTranspose`, options, [x], made);
  graph.weigh(layer, "kernel", sizeOf(taps) * filters * channels, (tf) => {
    if (isLast) return tf.reshape(tensorOf(tf, kernel), [...row(taps, 1), filters, channels]);
    const parts = tf.split(tensorOf(tf, kernel), groups, 0);
    // Each group is a convolution of its own channels: of the others it takes nothing.
    const whole = parts.map((part, i) =>
      tf.pad(part, part.shape.map((_, axis) => axis === 1 ? [i * each, filters - (i + 1) * each] : [0, 0]))
    );
    const turned = tf.transpose(tf.concat(whole, 0), [...taps.map((_, i) => i + 2), 1, 0]);
    return tf.reshape(turned, [...row(taps, 1), filters, channels]);
  });
  addBias(graph, layer, bias);
  const y = isLine ? noRow(graph, layer) : layer;
  if (isSame || pads.every((pad) => pad === 0)) return y;
  const pairs = taps.map((_, i) => [pads[i], pads[i + rank]]);
  const sides = full.map((n, i) => n === null ? null : n - pads[i] - pads[i + rank]);
  if (pads.some((pad) => pad < 0) || sides.some((n) => n !== null && n < 1)) {
    throw new ModelError(`its pads are [${pads}]`);
  }
  const cropping = isLine ? pairs[0] : pairs;
  return graph.emit(`Cropping${rank}D`, { cropping }, [y], { shape: withSides(y, sides), order: y.order }, "_crop");
}

/** `[n, c, length]` as maps of one row. */
const oneRow = (graph: Rebuilding, x: Value): Value =>
  graph.maps({ ...x, shape: x.shape.toSpliced(2, 0, 1), order: x.order.map((axis) => axis > 1 ? axis + 1 : axis) });
/** Maps of one row without it. */
const noRow = (graph: Rebuilding, x: Value): Value => graph.without(x, [2]);

export function pooling(graph: Rebuilding, node: OnnxNode): Value {
  let x = seen(graph);
  const kernel = node.ints("kernel_shape") ?? [];
  const rank = x.shape.length - 2;
  if (kernel.length !== rank || kernel.some((n) => n < 1)) throw new ModelError(`its kernel_shape is [${kernel}]`);
  const window = windowOf(node, x.shape.slice(2), kernel);
  const { before, behind, strides, out } = window;
  const isDilated = window.dilations.some((rate) => rate !== 1);
  const isMax = node.op === "MaxPool";
  const counts = node.int("count_include_pad", 0) === 1;
  const padding = window.same && !isDilated && (isMax || !counts) ? "same" : "valid";
  const positive = x.positive;
  const sides = x.shape.slice(2);
  if (padding === "valid") x = padded(graph, x, before, behind, isMax && !positive ? LEAST : 0);
  const options = { poolSize: kernel, strides, padding };
  const made = { shape: withSides(x, out), order: x.order, positive };
  const layer = isDilated
    ? graph.operation("pool", [{ input: 0 }, isMax ? "maximum" : "mean", kernel, strides, window.dilations], [x], made)
    : graph.emit(`${isMax ? "Max" : "Average"}Pooling${rank}D`, options, [x], made);
  const isPadded = [...before, ...behind].some((pad) => pad > 0);
  if (isMax || padding === "same" || !isPadded) return layer;
  if (counts && node.int("ceil_mode", 0) === 0) return layer;
  // Each window's sum is over the cells that count.
  const lengths = graph.known(sides, "the mean at its border");
  const asked = node.ints("pads") ?? Array(2 * rank).fill(0);
  const shares = lengths.map((n, i) =>
    Array.from({ length: out[i]! }, (_, at) => {
      const [low, high] = counts ? [-before[i], n + asked[rank + i]] : [0, n];
      const taps = Array.from(
        { length: kernel[i] },
        (_, tap) => at * strides[i] - before[i] + tap * window.dilations[i],
      );
      return kernel[i] / Math.max(1, taps.filter((cell) => cell >= low && cell < high).length);
    })
  );
  if (shares.flat().every((share) => share === 1)) return layer;
  const build = (axis: number, factor: number): unknown =>
    axis === rank ? [factor] : shares[axis].map((share) => build(axis + 1, factor * share));
  return graph.operation("multiply", [{ input: 0 }, build(0, 1)], [layer], made, "_border");
}

/** The mean or the largest value of each map. */
export function globalPooling(graph: Rebuilding, given: Value, mode: "Average" | "Max"): Value {
  const rank = given.shape.length;
  const x = graph.arranged(given, channelsBehind(rank));
  if (rank < 3 || rank > 5) throw new ModelError(`it works on ${rank} axes; wanted 3 to 5`);
  const shape = [null, x.shape[1], ...x.shape.slice(2).map(() => 1)];
  return graph.emit(`Global${mode}Pooling${rank - 2}D`, {}, [x], { shape, order: [0, 1], positive: x.positive });
}
