/**
 * Receptive fields: which pixels of the input one cell of a layer can see.
 *
 * The arithmetic of Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks"
 * (Distill, 2019): through each layer with kernel k, stride s and padding p before, the field grows by
 * (k − 1) input strides, the stride multiplies, and the first pixel moves by p input strides to the left. Here it is
 * followed cell by cell where cells do not see alike (span.ts), along each axis of the input, through layers that enlarge
 * maps, turn axes, or read all of them.
 *
 * @module
 */

import type { LayersModel } from "../runtime/tensorflow_types.ts";
import type { AxisField, ReceptiveField, SeenByCells } from "../data/records.ts";
import { type NetworkGraph, type Shape, trace, traceAnySize, type Use } from "./graph.ts";
import { isSliding, linksOf, sideAxes } from "./links.ts";
import { bandOf, constant, extentOf, joined, PIXELS, rangeAt, type Span, through } from "./span.ts";

/** What a layer's cells see along one axis of the input. */
interface Along {
  /** The axis of the layer's output along which that moves; null where all cells see the same. */
  axis: number | null;
  span: Span;
}

/** By axis of the input, from the one behind the batch's on. */
type Field = readonly Along[];

const union = (fields: readonly Field[], { shape }: Use, pixels: Shape): Field =>
  pixels.map((length, i): Along => {
    const all = fields.map((field) => field[i]);
    const [{ axis }] = all;
    if (all.every((along) => along.axis === axis)) {
      return { axis, span: joined(all.map(({ span }) => span), axis === null ? 1 : shape[axis]) };
    }
    // Some see the same for all cells: a factor for each channel, as attention has it.
    const extents = all.map((along) => extentOf(along.span, along.axis && shape[along.axis], length));
    const whole = all.map((along) => constant(extentOf(along.span, along.axis && shape[along.axis], length)));
    const { phases: [range] } = joined(whole, 1);
    const fixed = all.flatMap(({ axis }, j) => axis === null ? [extents[j]] : []);
    const holds = fixed.some((one) => one && range && one[0] <= range[0] && one[1] >= range[1]);
    const reason = all.find(({ span }) => span.reason)?.span.reason ?? null;
    const moving = new Set(all.map(({ axis }) => axis).filter((axis) => axis !== null));
    const why = moving.size > 1 ? "branches meet whose axes are turned" : "some cells see more than others";
    return { axis: null, span: constant(range, reason ?? (holds && moving.size === 1 ? null : why)) };
  });

/** What a use sees through one of its inputs. */
function seenThrough(use: Use, which: number, field: Field, pixels: Shape): Field {
  const links = linksOf(use, which);
  const { shape } = use.inputs[which];
  const name = JSON.stringify(use.name);
  return field.map(({ axis, span }, i): Along => {
    if (axis === null) return { axis, span };
    const link = links.axes[axis - 1];
    if (!link) {
      const range = extentOf(span, shape[axis], pixels[i]);
      return { axis: null, span: constant(range, span.reason ?? (links.reason ? `${name}: ${links.reason}` : null)) };
    }
    if (link.to === null) return { axis: null, span: constant(rangeAt(span, -link.window.before), span.reason) };
    // A cell that is stretched over several.
    if (shape[axis] === 1 && use.shape[link.to] !== 1 && link.window.kernel === 1) {
      return { axis: null, span: constant(rangeAt(span, 0), span.reason) };
    }
    const reason = link.reason ?? (link.window.bound ? "its padding depends on the size of the image" : null);
    return { axis: link.to, span: through(span, link.window, reason && `${name}: ${reason}`) };
  });
}

/** The axes of an input that are sides of an image: those that the first layer slides over which has windows. */
function sidesOf(input: Use, fields: ReadonlyMap<Use, Field | null>): number[] {
  const behind = input.shape.slice(2).map((_, i) => i);
  for (const [{ layer, inputs, steps }, field] of fields) {
    const read = field && isSliding(layer) ? fields.get(inputs[0]) : null;
    if (!read) continue;
    const slid = sideAxes(layer, inputs[0].shape.length - steps).map((axis) => axis + steps);
    const found = read.flatMap(({ axis }, i) => axis !== null && slid.includes(axis) ? [i] : []);
    if (found.length >= behind.length) return found;
  }
  return behind;
}

/** What the cells of all uses see of one input of the network, and which of its axes are sides of an image. */
function follow(input: Use, uses: readonly Use[]) {
  const pixels = input.shape.slice(1);
  const fields = new Map<Use, Field | null>();
  for (const use of uses) {
    const parts = use.inputs.flatMap((from, which) => {
      const field = fields.get(from);
      return field ? [seenThrough(use, which, field, pixels)] : [];
    });
    const own = use === input ? pixels.map((_, i): Along => ({ axis: i + 1, span: PIXELS })) : null;
    fields.set(use, own ?? (parts.length ? union(parts, use, pixels) : null));
  }
  return { fields, sides: sidesOf(input, fields) };
}

/** The field along one side, in the numbers of the table; null if nothing is seen. */
function axisField({ axis, span }: Along): AxisField | null {
  if (axis === null) {
    const [range] = span.phases;
    if (!range) return null;
    const free = range[1] === Infinity ? "each cell sees the whole image, which may have any size" : null;
    const reason = span.reason ?? free;
    const size = range[1] - range[0] + 1;
    return { size, stride: 0, offset: range[0], exact: reason === null, ...reason !== null && { reason } };
  }
  const band = bandOf(span);
  if (!band) return null;
  const { slope, low, high } = band;
  const count = span.phases.length;
  const offset = Math.floor(low);
  const reason = span.reason ??
    (count > 1 ? `maps are enlarged on the way: what a cell sees repeats every ${count} cells` : null);
  const size = Math.ceil(high - offset);
  return { size, stride: slope, offset, exact: reason === null, ...reason !== null && { reason } };
}

/** The field of all sides in one; null if nothing is seen. */
function fieldOf(along: readonly Along[], shape: Shape): ReceptiveField | null {
  const axes = along.map(axisField).filter((field) => field !== null);
  if (axes.length < along.length || axes.length === 0) return null;
  const [first] = axes;
  const alike = axes.every(({ size, stride, offset }) =>
    size === first.size && stride === first.stride && offset === first.offset
  );
  const inexact = axes.find(({ exact }) => !exact);
  if (alike) return inexact ?? first;
  const stride = Math.max(...axes.map((field) => field.stride));
  const lengths = along.map(({ axis }) => axis === null ? null : shape[axis]);
  // What moves more slowly from cell to cell falls behind, up to the last one.
  const starts = axes.map((field, i) =>
    field.stride === stride ? field.offset : lengths[i] === null ? -Infinity : field.offset -
      Math.ceil((stride - field.stride) * (lengths[i] - 1))
  );
  const offset = Math.min(...starts);
  const size = Math.max(...axes.map((field) => field.offset + field.size)) - offset;
  const bounded = Number.isFinite(offset) ? { size, stride, offset } : { size: Infinity, stride: 0, offset: 0 };
  const reason = inexact?.reason ?? `its sides differ: ${receptiveFieldText({ ...first, axes })}`;
  return { ...bounded, exact: false, reason, axes };
}

/** A field in a few characters: its size and its stride, as `"≤ 9 / 2"` or `"1 × 7 / 1"`. */
export function receptiveFieldText({ axes, ...field }: ReceptiveField): string {
  const each = axes ?? [field];
  const text = (values: number[]) =>
    (new Set(values).size === 1 ? values.slice(0, 1) : values).map((value) =>
      value === Infinity ? "all" : String(Number(value.toFixed(2)))
    ).join(" × ");
  const bound = each.every(({ exact }) => exact) || each.every(({ size }) => size === Infinity) ? "" : "≤ ";
  const strides = each.map(({ stride }) => stride);
  const moves = strides.some((stride) => stride !== 0);
  return bound + text(each.map(({ size }) => size)) + (moves ? ` / ${text(strides)}` : "");
}

/** The inputs of a network of which cells can see a part: images first. */
const imagesOf = (uses: readonly Use[]): Use[] =>
  uses.filter(({ inputs, shape }) => inputs.length === 0 && shape.length > 2)
    .toSorted((a, b) => b.shape.length - a.shape.length);

/** What the cells of uses see along the sides of the first image that they see any of; null where they have no place. */
function placesIn({ uses }: NetworkGraph) {
  const followed = imagesOf(uses).map((input) => ({ input, ...follow(input, uses) }));
  return (use: Use) => {
    const found = use.shape.length > 2 ? followed.find(({ fields }) => fields.get(use)) : undefined;
    if (!found) return null;
    const { input, fields, sides } = found;
    return { input, sides, along: sides.map((side) => fields.get(use)![side]) };
  };
}

/**
 * The receptive field of every layer of a network, at each of its uses. Of several inputs it is that in the first image
 * that a layer sees.
 *
 * @returns by layer name; `null` where cells have no place in the image (dense layers, global pooling), or see nothing of
 *   it
 */
export function receptiveFields(
  network: LayersModel,
  graph: NetworkGraph = traceAnySize(network),
): Map<string, ReceptiveField | null> {
  const placeOf = placesIn(graph);
  return new Map(graph.entries.map(({ name, use }) => {
    const place = placeOf(use);
    return [name, place && fieldOf(place.along, use.shape)];
  }));
}

/**
 * What the cells of a layer see of an image of a size, cell by cell: also where the table of layers has one bound for all.
 *
 * @param layer its name
 * @param shape the image's, as the network's input has it, without the batch
 * @returns null where the layer's cells have no place in the image
 */
export function seenByCells(network: LayersModel, layer: string, shape: Shape): SeenByCells | null {
  const graph = trace(network, shape);
  const use = graph.entry(layer)?.use;
  const place = use ? placesIn(graph)(use) : null;
  if (!use || !place) return null;
  const { input, along, sides } = place;
  const reason = along.map(({ span }) => span.reason).find((reason) => reason !== null) ?? null;
  const at = (cell: readonly number[]) => {
    const ranges = along.map(({ axis, span }, i) => axis === null ? span.phases[0] : rangeAt(span, cell[i]));
    return ranges.every((range) => range !== null) ? ranges.map(([first, last]) => [first, last + 1] as const) : null;
  };
  // Where all cells see the same they are counted along the sides of their own maps.
  const rank = input.shape.length;
  const from = sides.at(-1) === rank - 2 && use.shape.length === rank ? 2 : 1;
  const cells = along.map(({ axis }, i) => use.shape[axis ?? from + i] ?? 1);
  // Without the batch, as `sides` are counted.
  const axes = along.map(({ axis }) => axis === null ? null : axis - 1);
  return { cells, at, reason, sides, axes };
}
