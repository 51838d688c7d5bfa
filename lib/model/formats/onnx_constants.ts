/**
 * Arithmetic of an ONNX graph on values that are known before any image is: shapes, indices, weights.
 *
 * @module
 */

import { sizeOf } from "../../array.ts";
import { ModelError } from "./format.ts";
import type { Constant, OnnxNode } from "./onnx_file.ts";

/** The length of the batch, where a graph asks for it. */
export const BATCH = Infinity;

/** No constant that a graph makes has more numbers. */
const MOST_NUMBERS = 2 ** 28;

/** A constant, made by a function of the place in it. */
export function filledBy(dims: readonly number[], isWhole: boolean, value: (at: number) => number): Constant {
  const size = sizeOf(dims);
  if (!dims.every((length) => Number.isSafeInteger(length) && length >= 0) || size > MOST_NUMBERS) {
    throw new ModelError(`a constant of the shape [${dims}] is asked for; the most are ${MOST_NUMBERS} numbers`);
  }
  const data = isWhole ? new Float64Array(size) : new Float32Array(size);
  for (let i = 0; i < size; i++) data[i] = value(i);
  return { dims: [...dims], data, whole: isWhole };
}

/** How far apart the cells of each axis lie. */
const stepsOf = (dims: readonly number[]) => dims.map((_, axis) => sizeOf(dims.slice(axis + 1)));

/** An axis as it is counted from the front. */
export function axisIn(axis: number, rank: number): number {
  const found = axis < 0 ? axis + rank : axis;
  if (!(found >= 0 && found < rank)) throw new ModelError(`there is no axis ${axis} of ${rank}`);
  return found;
}

/** The shape of two arrays that are stretched over each other. */
export function broadcastShape<Length extends number | null>(a: readonly Length[], b: readonly Length[]): Length[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const [x, y] = [a, b].map((dims) => dims[i - rank + dims.length] ?? (i - rank + dims.length < 0 ? 1 : null));
    if (x !== y && x !== 1 && y !== 1 && x !== null && y !== null) {
      throw new ModelError(`shapes [${a}] and [${b}] do not go together`);
    }
    return (x === 1 ? y : y === 1 ? x : x ?? y) as Length;
  });
}

/** An array stretched over a shape. */
export function stretched({ dims, data, whole }: Constant, shape: readonly number[]): Constant {
  const missing = shape.length - dims.length;
  const steps = stepsOf(dims);
  const outer = stepsOf(shape);
  return filledBy(shape, whole, (i) => {
    let from = 0;
    for (let axis = missing; axis < shape.length; axis++) {
      if (dims[axis - missing] !== 1) from += Math.floor(i / outer[axis]) % shape[axis] * steps[axis - missing];
    }
    return data[from];
  });
}

/** An array with its axes in another order. */
export function transposed({ dims, data, whole }: Constant, order: readonly number[]): Constant {
  const steps = stepsOf(dims);
  const shape = order.map((axis) => dims[axis]);
  const outer = stepsOf(shape);
  return filledBy(shape, whole, (i) => {
    let from = 0;
    for (let axis = 0; axis < order.length; axis++) {
      from += Math.floor(i / outer[axis]) % shape[axis] * steps[order[axis]];
    }
    return data[from];
  });
}

/** An array as lists in lists. */
export function nested({ dims, data }: Constant): unknown {
  const build = (axis: number, at: number): unknown =>
    axis === dims.length
      ? data[at]
      : Array.from({ length: dims[axis] }, (_, i) => build(axis + 1, at + i * sizeOf(dims.slice(axis + 1))));
  return build(0, 0);
}

type Fold = (node: OnnxNode, inputs: (Constant | undefined)[]) => Constant;

const listOf = (values: readonly number[], isWhole = true): Constant =>
  filledBy([values.length], isWhole, (i) => values[i]);

/** Arithmetic on the length of the batch is no number. */
const numberIn = (constant: Constant, value: number) => constant.whole && !Number.isFinite(value) ? NaN : value;

function both(run: (a: number, b: number) => number): Fold {
  return (_, [a, b]) => {
    const shape = broadcastShape(a!.dims, b!.dims);
    const [x, y] = [stretched(a!, shape), stretched(b!, shape)];
    return filledBy(shape, a!.whole, (i) => {
      const made = run(numberIn(x, x.data[i]), numberIn(y, y.data[i]));
      return a!.whole ? Math.trunc(made) : made;
    });
  };
}

const each = (run: (x: number) => number): Fold => (_, [x]) => filledBy(x!.dims, x!.whole, (i) => run(x!.data[i]));

/** The option that is an input since some opset. */
export const listAt = (node: OnnxNode, name: string, input: Constant | undefined): number[] | undefined =>
  node.ints(name) ?? (input ? [...input.data] : undefined);

/** The shape that a Reshape asks for, of known numbers. */
export function reshapedTo(asked: readonly number[], dims: readonly number[], zeros: boolean): number[] {
  const shape = asked.map((length, axis) => length === 0 && !zeros ? dims[axis] : length);
  const rest = sizeOf(shape.filter((length) => length !== -1));
  return shape.map((length) => length === -1 ? sizeOf(dims) / rest : length);
}

/** What a Slice cuts out: for each axis where it begins, where it ends, and its steps. */
export function slicesOf(node: OnnxNode, inputs: readonly (Constant | undefined)[], rank: number) {
  const [starts, ends] = [listAt(node, "starts", inputs[1]), listAt(node, "ends", inputs[2])];
  if (!starts || !ends) throw new ModelError("where it cuts is not known");
  const axes = (listAt(node, "axes", inputs[3]) ?? starts.map((_, i) => i)).map((axis) => axisIn(axis, rank));
  const steps = inputs[4] ? [...inputs[4].data] : starts.map(() => 1);
  return axes.map((axis, i) => ({ axis, start: starts[i], end: ends[i], step: steps[i] }));
}

/** The cells that a slice takes of an axis. */
function cellsOf(length: number, { start, end, step }: { start: number; end: number; step: number }): number[] {
  const bound = (value: number) => Math.min(Math.max(value < 0 ? value + length : value, step < 0 ? -1 : 0), length);
  const [from, to] = [Math.min(bound(start), step < 0 ? length - 1 : length), bound(end)];
  const cells = [];
  if (step) { for (let i = from; step > 0 ? i < to : i > to; i += step) cells.push(i); }
  return cells;
}

/** Some cells of an axis. */
function taken(x: Constant, axis: number, cells: readonly number[]): Constant {
  const behind = sizeOf(x.dims.slice(axis + 1));
  const dims = x.dims.with(axis, cells.length);
  const block = cells.length * behind;
  return filledBy(dims, x.whole, (i) => {
    const [outer, cell, inner] = [Math.floor(i / block), Math.floor(i / behind) % cells.length, i % behind];
    return x.data[(outer * x.dims[axis] + cells[cell]) * behind + inner];
  });
}

function joined(parts: readonly Constant[], axis: number): Constant {
  const behind = sizeOf(parts[0].dims.slice(axis + 1));
  const dims = parts[0].dims.with(axis, parts.reduce((sum, part) => sum + part.dims[axis], 0));
  const out = filledBy(dims, parts[0].whole, () => 0);
  const rows = sizeOf(dims.slice(0, axis));
  for (let row = 0, at = 0; row < rows; row++) {
    for (const part of parts) {
      const length = part.dims[axis] * behind;
      out.data.set(part.data.subarray(row * length, (row + 1) * length), at);
      at += length;
    }
  }
  return out;
}

const withShape = (x: Constant, dims: number[]): Constant => {
  if (sizeOf(dims) !== x.data.length) throw new ModelError(`a constant of the shape [${x.dims}] cannot be [${dims}]`);
  return { ...x, dims };
};

/** The shape with axes of length 1 put in. */
export function unsqueezed<Length>(dims: readonly Length[], axes: readonly number[], one: Length): Length[] {
  const rank = dims.length + axes.length;
  const added = axes.map((axis) => axisIn(axis, rank));
  let at = 0;
  return Array.from({ length: rank }, (_, i) => added.includes(i) ? one : dims[at++]);
}

/** What one of some axes has together. */
const reduced = (run: (values: number[]) => number): Fold => (node, [x, given]) => {
  const { dims, whole } = x!;
  const asked = listAt(node, "axes", given) ?? [];
  if (!asked.length && node.int("noop_with_empty_axes", 0) === 1) return x!;
  const axes = (asked.length ? asked : dims.map((_, axis) => axis)).map((axis) => axisIn(axis, dims.length));
  const rest = dims.map((_, axis) => axis).filter((axis) => !axes.includes(axis));
  const { data } = transposed(x!, [...rest, ...axes]);
  const count = sizeOf(axes.map((axis) => dims[axis]));
  const keeps = node.int("keepdims", 1) === 1;
  const shape = keeps ? dims.map((length, axis) => axes.includes(axis) ? 1 : length) : rest.map((axis) => dims[axis]);
  return filledBy(shape, whole, (i) => run([...data.subarray(i * count, (i + 1) * count)]));
};

const sumOf = (values: number[]) => values.reduce((sum, value) => sum + value, 0);

/** Operators on constants, by their names. */
export const FOLDS: Record<string, Fold> = {
  Constant(node) {
    const tensor = node.tensor("value");
    if (tensor) return tensor;
    const ints = node.ints("value_ints");
    if (node.has("value_int")) return { ...listOf([node.int("value_int", 0)]), dims: [] };
    if (node.has("value_float")) return { ...listOf([node.float("value_float", 0)], false), dims: [] };
    if (ints?.length) return listOf(ints);
    const floats = node.floats("value_floats");
    if (floats?.length) return listOf(floats, false);
    throw new ModelError("its value is none that convlens reads");
  },
  ConstantOfShape(node, [shape]) {
    const value = node.tensor("value") ?? listOf([0], false);
    return filledBy([...shape!.data], value.whole, () => value.data[0]);
  },
  Shape: (node, [x]) =>
    listOf(x!.dims.slice(node.int("start", 0), node.has("end") ? node.int("end", x!.dims.length) : undefined)),
  Size: (_, [x]) => ({ ...listOf([x!.data.length]), dims: [] }),
  Gather(node, [x, indices]) {
    const axis = axisIn(node.int("axis", 0), x!.dims.length);
    const cells = Array.from(indices!.data, (cell) => axisIn(cell, x!.dims[axis]));
    return { ...taken(x!, axis, cells), dims: x!.dims.toSpliced(axis, 1, ...indices!.dims) };
  },
  Slice(node, inputs) {
    const [x] = inputs;
    return slicesOf(node, inputs, x!.dims.length).reduce(
      (y, slice) => taken(y, slice.axis, cellsOf(y.dims[slice.axis], slice)),
      x!,
    );
  },
  Cast(node, [x]) {
    const isWhole = ![1, 10, 11, 16].includes(node.int("to", 1));
    return filledBy(
      x!.dims,
      isWhole,
      (i) => isWhole && Number.isFinite(x!.data[i]) ? Math.trunc(x!.data[i]) : x!.data[i],
    );
  },
  Concat: (node, inputs) => joined(inputs as Constant[], axisIn(node.int("axis", 0), inputs[0]!.dims.length)),
  Unsqueeze: (node, [x, axes]) => withShape(x!, unsqueezed(x!.dims, listAt(node, "axes", axes) ?? [], 1)),
  Squeeze(node, [x, given]) {
    const axes = listAt(node, "axes", given)?.map((axis) => axisIn(axis, x!.dims.length));
    return withShape(x!, x!.dims.filter((length, axis) => axes ? !axes.includes(axis) : length !== 1));
  },
  Reshape: (node, [x, shape]) =>
    withShape(x!, reshapedTo(listAt(node, "shape", shape) ?? [], x!.dims, node.int("allowzero", 0) === 1)),
  Transpose: (node, [x]) => transposed(x!, node.ints("perm") ?? x!.dims.map((_, i) => x!.dims.length - 1 - i)),
  Expand: (_, [x, shape]) => stretched(x!, broadcastShape(x!.dims, [...shape!.data])),
  Range(_, [start, limit, delta]) {
    const [from, to, step] = [start, limit, delta].map((x) => x!.data[0]);
    return filledBy([Math.max(0, Math.ceil((to - from) / step))], start!.whole, (i) => from + i * step);
  },
  Tile: (_, [x, repeats]) =>
    [...repeats!.data].reduce((y, count, axis) => joined(Array<Constant>(count).fill(y), axis), x!),
  Where(_, [condition, a, b]) {
    const shape = broadcastShape(condition!.dims, broadcastShape(a!.dims, b!.dims));
    const [c, x, y] = [condition!, a!, b!].map((part) => stretched(part, shape));
    return filledBy(shape, a!.whole, (i) => c.data[i] ? x.data[i] : y.data[i]);
  },
  Add: both((a, b) => a + b),
  Sub: both((a, b) => a - b),
  Mul: both((a, b) => a * b),
  Div: both((a, b) => a / b),
  Pow: both((a, b) => a ** b),
  Mod: both((a, b) => ((a % b) + b) % b),
  Equal: both((a, b) => Number(a === b)),
  Greater: both((a, b) => Number(a > b)),
  GreaterOrEqual: both((a, b) => Number(a >= b)),
  Less: both((a, b) => Number(a < b)),
  LessOrEqual: both((a, b) => Number(a <= b)),
  And: both((a, b) => Number(a && b)),
  Or: both((a, b) => Number(a || b)),
  Not: each((x) => Number(!x)),
  Min: both(Math.min),
  Max: both(Math.max),
  ReduceMax: reduced((values) => Math.max(...values)),
  ReduceMean: reduced((values) => sumOf(values) / values.length),
  ReduceMin: reduced((values) => Math.min(...values)),
  ReduceProd: reduced((values) => values.reduce((a, b) => a * b, 1)),
  ReduceSum: reduced(sumOf),
  Neg: each((x) => -x),
  Abs: each(Math.abs),
  Sign: each(Math.sign),
  Sqrt: each(Math.sqrt),
  Exp: each(Math.exp),
  Log: each(Math.log),
  Reciprocal: each((x) => 1 / x),
  Floor: each(Math.floor),
  Ceil: each(Math.ceil),
  CastLike: (_, [x, like]) => ({ ...x!, whole: like!.whole }),
  Identity: (_, [x]) => x!,
};
