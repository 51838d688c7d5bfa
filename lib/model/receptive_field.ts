/**
 * Receptive fields: which pixels of the input one cell of a layer can see.
 *
 * The arithmetic of Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks"
 * (Distill, 2019): through each layer with kernel k, stride s and padding p before, the field grows by
 * (k − 1) input strides, the stride multiplies, and the first pixel moves by p input strides to the left.
 *
 * @module
 */

import type { LayersModel } from "../runtime/tensorflow_types.ts";
import { windowsOfUse } from "./geometry.ts";
import { traceAnySize, type Use } from "./graph.ts";

/** What one cell sees, in pixels of the network's input, alike in both directions. */
export interface ReceptiveField {
  /** Side of the square that a cell sees. It may reach beyond the image. */
  readonly size: number;
  /** How far the square moves from one cell to the next. */
  readonly stride: number;
  /** First pixel of the square of the first cell; negative where padding is seen. */
  readonly offset: number;
  /** False where branches with different grids meet, so that the square is only a bound. */
  readonly exact: boolean;
}

/** A field along one axis: the last pixel is counted in. */
interface Span {
  start: number;
  size: number;
  stride: number;
  exact: boolean;
}

type Field = [height: Span, width: Span];

const PIXEL: Span = { start: 0, size: 1, stride: 1, exact: true };

/** The field of a use, from those of what it reads; null where there is none. */
function fieldOf(use: Use, fields: ReadonlyMap<Use, Field | null>): Field | null {
  if (use.inputs.length === 0) return use.shape.length === 4 ? [PIXEL, PIXEL] : null;
  const windows = windowsOfUse(use);
  const inputs = use.inputs.map((input) => fields.get(input)!).filter((field) => field !== null);
  if (!windows || inputs.length < use.inputs.length) return null;
  const field = windows.map(({ kernel, stride, before, bound }, axis): Span | null => {
    const span = union(inputs.map((field) => field[axis]), use.inputs[0].shape[1 + axis]);
    return span && {
      start: span.start - before * span.stride,
      size: span.size + (kernel - 1) * span.stride,
      stride: span.stride * stride,
      exact: span.exact && !bound,
    };
  });
  return field.includes(null) ? null : field as Field;
}

/** The span that holds those of all branches which meet in a map of so many cells; null if there is none. */
function union(spans: Span[], length: number | null): Span | null {
  const stride = Math.max(...spans.map((span) => span.stride));
  const alike = spans.every((span) => span.stride === stride);
  if (!alike && length === null) return null;
  // What moves more slowly from cell to cell falls behind, up to the last one.
  const start = Math.min(...spans.map((span) => span.start - (alike ? 0 : (stride - span.stride) * (length! - 1))));
  const end = Math.max(...spans.map((span) => span.start + span.size));
  return { start, size: end - start, stride, exact: alike && spans.every(({ exact }) => exact) };
}

/**
 * The receptive field of every layer of a network: of one that is used several times, that of its first use.
 *
 * @returns by layer name; `null` where cells have no place in the image (dense layers, global pooling), where the
 *   two directions differ, or behind a layer type that is not known
 */
export function receptiveFields(
  network: LayersModel,
  { uses, own } = traceAnySize(network),
): Map<string, ReceptiveField | null> {
  const fields = new Map<Use, Field | null>();
  for (const use of uses) fields.set(use, fieldOf(use, fields));
  return new Map(network.layers.map(({ name }, i) => {
    const [height, width] = fields.get(own[i]) ?? [];
    const alike = height && width && height.size === width.size && height.stride === width.stride &&
      height.start === width.start;
    if (!alike) return [name, null];
    return [name, {
      size: height.size,
      stride: height.stride,
      offset: height.start,
      exact: height.exact && width.exact,
    }];
  }));
}
