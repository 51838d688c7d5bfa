/**
 * Receptive fields: which pixels of the input one cell of a layer can see.
 *
 * The arithmetic of Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks"
 * (Distill, 2019): through each layer with kernel k, stride s and padding p before, the field grows by
 * (k − 1) input strides, the stride multiplies, and the first pixel moves by p input strides to the left.
 *
 * @module
 */

import type { layers } from "npm:@tensorflow/tfjs@4.22.0";
import { windowsOf } from "./geometry.ts";

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

function through(layer: layers.Layer, inputs: Field[], inputShape: (number | null)[]): Field | null {
  const windows = windowsOf(layer, inputShape);
  return windows && windows.map(({ kernel, stride, before }, axis) => {
    const span = union(inputs.map((field) => field[axis]));
    return {
      start: span.start - before * span.stride,
      size: span.size + (kernel - 1) * span.stride,
      stride: span.stride * stride,
      exact: span.exact,
    };
  }) as Field | null;
}

/** The span that holds those of all branches which meet. */
function union(spans: Span[]): Span {
  const start = Math.min(...spans.map((span) => span.start));
  const end = Math.max(...spans.map((span) => span.start + span.size));
  const stride = Math.max(...spans.map((span) => span.stride));
  return { start, size: end - start, stride, exact: spans.every((span) => span.exact && span.stride === stride) };
}

/** The field of the network's input itself: each cell is a pixel. A Sequential does not list this layer. */
function pixels(layer: layers.Layer): Field | null {
  const pixel: Span = { start: 0, size: 1, stride: 1, exact: true };
  return layer.getClassName() === "InputLayer" && layer.batchInputShape.length === 4 ? [pixel, pixel] : null;
}

/** What follows from the inputs' fields, if all of them are known. */
function joined(inputs: (Field | null)[], next: (inputs: Field[]) => Field | null): Field | null {
  return inputs.every((input) => input !== null) ? next(inputs) : null;
}

/**
 * The receptive field of every layer of a network.
 *
 * @returns by layer name; `null` where cells have no place in the image (dense layers, global pooling), where the
 *   two directions differ, or behind a layer type that is not known
 */
export function receptiveFields(network: { layers: layers.Layer[] }): Map<string, ReceptiveField | null> {
  const fields = new Map<string, Field | null>();
  const result = new Map<string, ReceptiveField | null>();
  for (const layer of network.layers) {
    const node = layer.inboundNodes[0];
    // A layer that is used twice has several fields.
    const field = layer.getClassName() === "InputLayer"
      ? pixels(layer)
      : node && layer.inboundNodes.length === 1
      ? joined(node.inboundLayers.map((below) => fields.get(below.name) ?? pixels(below)), (inputs) =>
        through(layer, inputs, node.inputShapes[0] as (number | null)[]))
      : null;
    fields.set(layer.name, field);
    const [height, width] = field ?? [];
    const alike = height && width && height.size === width.size && height.stride === width.stride &&
      height.start === width.start;
    result.set(
      layer.name,
      alike
        ? { size: height.size, stride: height.stride, offset: height.start, exact: height.exact && width.exact }
        : null,
    );
  }
  return result;
}
