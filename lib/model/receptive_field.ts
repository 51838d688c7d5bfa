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

/** Layers whose cells see just the cell below them. */
const POINTWISE = new Set([
  "Activation",
  "ActivityRegularization",
  "AlphaDropout",
  "BatchNormalization",
  "Dropout",
  "ELU",
  "GaussianDropout",
  "GaussianNoise",
  "LeakyReLU",
  "LayerNormalization",
  "PReLU",
  "ReLU",
  "Rescaling",
  "Softmax",
  "SpatialDropout2D",
  "ThresholdedReLU",
]);

/** Layers that window over the image: convolutions and poolings. */
const WINDOWED = new Set(["Conv2D", "DepthwiseConv2D", "SeparableConv2D", "MaxPooling2D", "AveragePooling2D"]);

/** Layers that join branches cell by cell. */
const MERGING = new Set(["Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract"]);

const pair = (value: unknown, otherwise: number): [number, number] =>
  Array.isArray(value) ? [value[0], value[1]] : typeof value === "number" ? [value, value] : [otherwise, otherwise];

/** How many cells `padding: "same"` adds before the first (TensorFlow's rule: the odd one goes behind). */
function samePadding(input: number | null, kernel: number, stride: number): number {
  if (input === null) return Math.floor(Math.max(kernel - stride, 0) / 2);
  return Math.floor(Math.max((Math.ceil(input / stride) - 1) * stride + kernel - input, 0) / 2);
}

function through(layer: layers.Layer, inputs: Field[], inputShape: (number | null)[]): Field | null {
  const kind = layer.getClassName();
  const config = layer.getConfig();
  if (config["dataFormat"] === "channelsFirst" || config["data_format"] === "channels_first") return null;
  if (POINTWISE.has(kind)) return inputs[0];
  if (WINDOWED.has(kind)) {
    const pooling = kind.endsWith("Pooling2D");
    const kernels = pair(pooling ? config["poolSize"] : config["kernelSize"], 1);
    const dilations = pooling ? [1, 1] : pair(config["dilationRate"], 1);
    const strides = pair(config["strides"], 1);
    return inputs[0].map((span, axis) => {
      const kernel = (kernels[axis] - 1) * dilations[axis] + 1;
      const before = config["padding"] === "same" ? samePadding(inputShape[1 + axis], kernel, strides[axis]) : 0;
      return {
        start: span.start - before * span.stride,
        size: span.size + (kernel - 1) * span.stride,
        stride: span.stride * strides[axis],
        exact: span.exact,
      };
    }) as Field;
  }
  if (kind === "ZeroPadding2D") {
    const padding = config["padding"] as number | [number, number] | [[number, number], [number, number]];
    const before = pair(Array.isArray(padding) ? padding.map((p) => Array.isArray(p) ? p[0] : p) : padding, 1);
    return inputs[0].map((span, axis) => ({ ...span, start: span.start - before[axis] * span.stride })) as Field;
  }
  if (kind === "Cropping2D") {
    const cropping = config["cropping"] as [[number, number], [number, number]];
    return inputs[0].map((span, axis) => ({ ...span, start: span.start + cropping[axis][0] * span.stride })) as Field;
  }
  if (MERGING.has(kind)) {
    return [0, 1].map((axis) => {
      const spans = inputs.map((field) => field[axis]);
      const start = Math.min(...spans.map((span) => span.start));
      const end = Math.max(...spans.map((span) => span.start + span.size));
      const stride = Math.max(...spans.map((span) => span.stride));
      return { start, size: end - start, stride, exact: spans.every((s) => s.exact && s.stride === stride) };
    }) as Field;
  }
  return null;
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
