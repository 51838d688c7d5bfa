/**
 * Which axis of a layer's output goes with which axis of what it reads, and through which windows: of every layer, in
 * any number of dimensions, with channels first or last.
 *
 * @module
 */

import type { layers } from "npm:@tensorflow/tfjs@4.22.0";
import { operationName } from "../runtime/layers/operations.ts";
import {
  CELL,
  type Config,
  constantsOf,
  isChannelsFirst,
  isNumberwise,
  mixedAxes,
  sideWindows,
  type Window,
} from "./geometry.ts";
import type { Shape, Use } from "./graph.ts";

/** An axis of what a layer reads. Absent where each cell of the output reads all along it. */
export interface Link {
  /** The axis of the output, counted from the batch's; null where one cell of it is picked. */
  readonly to: number | null;
  readonly window: Window;
  /** Why the window is only a bound. */
  readonly reason?: string;
}

/** What a layer reads of one of its inputs. */
export interface Links {
  /** By axis, from the one behind the batch's on. */
  readonly axes: readonly (Link | null)[];
  /** Why that is only a bound; absent where the layer really reads all of an axis without a link. */
  readonly reason?: string;
}

const cell = (to: number): Link => ({ to, window: CELL });

/** Axis by axis, moved by so many; all of `mixed` is read. */
const straight = (rank: number, mixed: readonly number[] = [], shift = 0): Links => ({
  axes: Array.from({ length: rank - 1 }, (_, i) => mixed.includes(i + 1) ? null : cell(i + 1 + shift)),
});

/** All of some axes goes into one number. */
function reduction(rank: number, axes: readonly number[], keeps: boolean): Links {
  let to = 0;
  return {
    axes: Array.from({ length: rank - 1 }, (_, i) => {
      const isReduced = axes.includes(i + 1);
      if (!isReduced || keeps) to++;
      return isReduced ? null : cell(to);
    }),
  };
}

/** How many cells lie before an axis, as text, since a length may be unknown. */
function before(shape: Shape, axis: number): string {
  const lengths = shape.slice(1, axis);
  return `${lengths.filter((length) => length === null).length} ${lengths.reduce((n: number, l) => n * (l ?? 1), 1)}`;
}

/** Axes that stay as they are when maps are written in another shape. */
function reshaped(from: Shape, to: Shape): Links {
  const axes = from.slice(1).map((length, i) => {
    const found = to.findIndex((l, axis) => axis > 0 && l === length && before(to, axis) === before(from, i + 1));
    return found > 0 ? cell(found) : null;
  });
  return { axes, reason: "maps are written in another shape" };
}

const from = (axis: number, rank: number) => axis < 0 ? axis + rank : axis;

/** One of several maps that are put side by side. */
function concatenated({ inputs }: Use, which: number, axis: number): Links {
  const { shape } = inputs[which];
  const links = straight(shape.length).axes.slice();
  const ahead = inputs.slice(0, which).map((input) => input.shape[axis]);
  const at = ahead.reduce((sum: number, length) => sum + (length ?? 0), 0);
  const reason = "maps are put side by side";
  links[axis - 1] = ahead.includes(null) ? null : { to: axis, window: { ...CELL, before: at }, reason };
  return { axes: links, reason };
}

/** What `x[…]` picks. */
function picked(parts: readonly unknown[], rank: number): Links {
  const count = parts.filter((part) => part !== null && part !== "...").length;
  const all = Array(rank - count).fill({});
  const full = parts.includes("...") ? parts.flatMap((part) => part === "..." ? all : [part]) : [...parts, ...all];
  let to = 0;
  const axes: (Link | null)[] = [];
  for (const part of full) {
    if (part === null) {
      to++;
      continue;
    }
    if (typeof part === "number") {
      axes.push(part < 0 ? null : { to: null, window: { ...CELL, before: -part } });
      continue;
    }
    const { start, step } = part as { start?: number | null; step?: number | null };
    const straightOn = (start ?? 0) >= 0 && (step ?? 1) > 0;
    axes.push(straightOn ? { to, window: { kernel: 1, stride: step ?? 1, before: -(start ?? 0) } } : null);
    to++;
  }
  return { axes: axes.slice(1), reason: "cells are picked from the end" };
}

/** An operation between layers; null if it is not known. */
function ofOperation(use: Use, which: number, config: Config): Links | null {
  const { shape } = use.inputs[which];
  const rank = shape.length;
  const name = operationName(String(config["operation"]));
  const values = constantsOf(config);
  const named = (config["named"] ?? {}) as Record<string, unknown>;
  const second = (...names: string[]) =>
    (config["args"] as unknown[])[1] ?? names.map((name) => named[name]).find((value) => value !== undefined);
  const axes = (otherwise: number[]) => {
    const given = second("axis", "axes", "reductionIndices", "reduction_indices") as number | number[] | undefined;
    return given === undefined || given === null ? otherwise : [given].flat().map((axis) => from(axis, rank));
  };
  if (isNumberwise(config)) return straight(rank, [], use.shape.length - rank);
  switch (name) {
    case "mean":
    case "sum":
    case "max":
    case "min":
    case "prod":
      return reduction(rank, axes(shape.map((_, i) => i)), use.shape.length === rank);
    case "softmax":
    case "log_softmax":
    case "l2_normalize":
      return straight(rank, axes([rank - 1]));
    case "transpose": {
      const order = (second("perm", "axes") as number[] | undefined) ?? shape.map((_, i) => rank - 1 - i);
      return { axes: shape.slice(1).map((_, i) => cell(order.indexOf(i + 1))) };
    }
    case "reshape":
    case "expand_dims":
    case "squeeze":
      return reshaped(shape, use.shape);
    case "concat":
      return concatenated(use, which, axes([rank - 1])[0]);
    case "split":
    case "unstack": {
      const axis = from(Number((config["args"] as unknown[])[2] ?? named["axis"] ?? 0), rank);
      return name === "split" ? straight(rank, [axis]) : reduction(rank, [axis], false);
    }
    case "get_item":
      return picked([second("key", "sliceSpec", "slice_spec")].flat(), rank);
    case "pad": {
      const amounts = second("paddings", "padWidth", "pad_width") as [number, number][];
      return { axes: amounts.slice(1).map(([before], i) => ({ to: i + 1, window: { ...CELL, before } })) };
    }
    case "matmul": {
      const isFirst = JSON.stringify(values[0]) === JSON.stringify({ input: which });
      const turned = Boolean(isFirst ? named["transposeA"] ?? named["transpose_a"] : named["transposeB"]);
      const mixed = isFirst === turned ? rank - 2 : rank - 1;
      const other = isFirst === turned ? rank - 1 : rank - 2;
      const links = straight(rank, [mixed]).axes.slice();
      if (other > 0) links[other - 1] = cell(use.shape.length - (isFirst ? 2 : 1));
      return { axes: links };
    }
    default:
      return null;
  }
}

/** What a layer reads through windows; null if it is of another kind. */
function windowed(kind: string, config: Config, shape: Shape): Links | null {
  const [from, channels] = isChannelsFirst(config) ? [2, 1] : [1, shape.length - 1];
  const lengths = shape.slice(from, from + shape.length - 2);
  const windows = lengths.length ? sideWindows(kind, config, lengths) : null;
  if (!windows) return null;
  const axes: (Link | null)[] = straight(shape.length).axes.slice();
  windows.forEach((window, i) => axes[from + i - 1] = { to: from + i, window });
  if (/Conv/.test(kind)) axes[channels - 1] = null;
  return { axes };
}

/** What a layer inside of a TimeDistributed reads: it sees one step. */
function ofStep(use: Use, which: number): Links | null {
  const step = (use: Use): Use => ({ ...use, shape: [use.shape[0], ...use.shape.slice(2)] });
  const links = ofKind({ ...step(use), inputs: use.inputs.map(step), steps: use.steps - 1 }, which);
  if (!links) return null;
  const moved = links.axes.map((link) => link && { ...link, to: link.to === null ? null : link.to + 1 });
  return { ...links, axes: [cell(1), ...moved] };
}

/** What a layer of one kind reads of an input; null if it is not known. */
function ofKind(use: Use, which: number): Links | null {
  const { layer, inputs, shape: out } = use;
  const { shape } = inputs[which];
  if (use.steps > 0) return ofStep(use, which);
  const [kind, config, rank] = [layer.getClassName(), layer.getConfig() as Config, shape.length];
  if (kind === "Operation") return ofOperation(use, which, config);
  if (kind === "Concatenate") return concatenated(use, which, from(Number(config["axis"] ?? -1), rank));
  const mixed = mixedAxes(kind, config, rank);
  if (mixed) return straight(rank, mixed, out.length - rank);
  if (kind === "GroupNormalization") return straight(rank, shape.map((_, i) => i));
  if (/^Global(Max|Average)Pooling/.test(kind)) {
    return reduction(rank, sideAxes(layer, rank), out.length === rank);
  }
  if (kind === "Permute") {
    const order = config["dims"] as number[];
    return { axes: shape.slice(1).map((_, i) => cell(order.indexOf(i + 1) + 1)) };
  }
  if (kind === "Reshape" || kind === "Flatten") return reshaped(shape, out);
  if (kind === "RepeatVector") return { axes: [cell(2)] };
  return windowed(kind, config, shape);
}

/** Whether a layer's windows slide over the sides of images: what tells sides and channels apart. */
export const isSliding = (layer: layers.Layer): boolean => /Conv|Pooling/.test(layer.getClassName());

/** The axes of maps that are sides: all but the batch's and the channels'. */
export const sideAxes = (layer: layers.Layer, rank: number): number[] =>
  Array.from({ length: rank - 2 }, (_, i) => i + (isChannelsFirst(layer.getConfig()) ? 2 : 1));

/** What a use of a layer reads of one of its inputs. */
export function linksOf(use: Use, which: number): Links {
  const { layer, inputs } = use;
  const known = ofKind(use, which);
  if (known) return known;
  const kind = layer.getClassName();
  const what = kind === "Operation" ? `the operation ${layer.getConfig()["operation"]}` : `a layer ${kind}`;
  return {
    axes: inputs[which].shape.slice(1).map(() => null),
    reason: `what each cell of ${what} reads is not known, so that all is taken`,
  };
}
