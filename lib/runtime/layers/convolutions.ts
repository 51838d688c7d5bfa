/**
 * Convolutions as Keras has them: in groups, causal, with dilations and output paddings, with channels first.
 *
 * @module
 */

import type { Tensor, Tensor3D, Tensor4D, Tensor5D } from "npm:@tensorflow/tfjs@4.22.0";
import type { TF } from "../core/types.ts";
import type { Axis } from "../gradients/axis.ts";
import { convolutionInputGradient } from "../gradients/convolution.ts";
import { type AnyLayer, optionOf, type Replacement, type Shape } from "./replacement.ts";

type Format = Pick<AnyLayer, "dataFormat">;

const first = ({ dataFormat }: Format) => dataFormat === "channelsFirst";

/** Runs a function on maps with channels last, whatever the layer's format is. */
export function channelsLast(tf: TF, format: Format, x: Tensor, run: (x: Tensor) => Tensor): Tensor {
  if (!first(format)) return run(x);
  const spatial = x.shape.slice(2).map((_, i) => i + 2);
  const y = run(tf.transpose(x, [0, ...spatial, 1]));
  return tf.transpose(y, [0, y.rank - 1, ...y.shape.slice(1, -1).map((_, i) => i + 1)]);
}

/** Sides and channels of maps of either format. */
function sidesOf(layer: Format, shape: Shape): { sides: Shape; channels: number | null } {
  return first(layer)
    ? { sides: shape.slice(2), channels: shape[1] }
    : { sides: shape.slice(1, -1), channels: shape.at(-1)! };
}

/** The shape of maps in the layer's format. */
function shapeOf(layer: Format, batch: number | null, sides: Shape, channels: number | null): Shape {
  return first(layer) ? [batch, channels, ...sides] : [batch, ...sides, channels];
}

/** Adds the bias, brings maps into the layer's format, and applies the activation to them. */
function finish(tf: TF, layer: AnyLayer, x: Tensor, run: (x: Tensor) => Tensor): Tensor {
  const y = channelsLast(tf, layer, x, (x) => layer.bias ? tf.add(run(x), layer.bias.read()) : run(x));
  return layer.activation ? layer.activation.apply(y) : y;
}

/** How far a window reaches, its dilation counted in. */
const reach = (taps: number, dilation: number) => (taps - 1) * dilation + 1;

/** The length of a convolution's output. */
function outputLength(length: number | null, reach: number, stride: number, padding: string): number | null {
  if (length === null) return null;
  return padding === "valid" ? Math.max(0, Math.ceil((length - reach + 1) / stride)) : Math.ceil(length / stride);
}

const groupsOf = (layer: AnyLayer) => optionOf<number>(layer, "groups") ?? 1;

/** Zeros around maps with channels last, as TensorFlow pads them. */
function pad(tf: TF, layer: AnyLayer, x: Tensor): Tensor {
  const amounts = layer.kernelSize.map((taps, i): [number, number] => {
    const extent = reach(taps, layer.dilationRate[i]);
    if (layer.padding === "causal") return [extent - 1, 0];
    const length = x.shape[i + 1];
    const total = Math.max(0, (Math.ceil(length / layer.strides[i]) - 1) * layer.strides[i] + extent - length);
    return [Math.floor(total / 2), Math.ceil(total / 2)];
  });
  return amounts.flat().some((amount) => amount > 0) ? tf.pad(x, [[0, 0], ...amounts, [0, 0]]) : x;
}

/** One convolution without padding in one, two or three dimensions. */
function convolveValid(tf: TF, layer: AnyLayer, x: Tensor, kernel: Tensor): Tensor {
  const [strides, dilations] = [layer.strides, layer.dilationRate] as never[];
  if (x.rank === 4) return tf.conv2d(x as Tensor4D, kernel as Tensor4D, strides, "valid", "NHWC", dilations);
  if (x.rank === 5) return tf.conv3d(x as Tensor5D, kernel as Tensor5D, strides, "valid", "NDHWC", dilations);
  const [stride, dilation] = [layer.strides[0], layer.dilationRate[0]];
  return tf.conv1d(x as Tensor3D, kernel as Tensor3D, stride, "valid", "NWC", dilation);
}

/** A convolution, each group of filters on its own channels. */
function convolve(tf: TF, layer: AnyLayer, x: Tensor): Tensor {
  const groups = groupsOf(layer);
  const padded = layer.padding === "valid" ? x : pad(tf, layer, x);
  const kernel = layer.kernel.read();
  if (groups === 1) return convolveValid(tf, layer, padded, kernel);
  const channels = tf.split(padded, groups, -1);
  const filters = tf.split(kernel, groups, -1);
  return tf.concat(channels.map((part, i) => convolveValid(tf, layer, part, filters[i])), -1);
}

/** Conv1D, Conv2D, Conv3D. */
function convolution(when: (layer: AnyLayer) => boolean): Replacement {
  return {
    options: { groups: 1 },
    when: (layer) => groupsOf(layer) > 1 || when(layer),
    call: (tf, layer, x) => finish(tf, layer, x, (x) => convolve(tf, layer, x)),
    build(layer, shape, stock) {
      const groups = groupsOf(layer);
      const { sides, channels } = sidesOf(layer, shape);
      stock(shapeOf(layer, shape[0], sides, channels! / groups));
      const axis = first(layer) ? 1 : shape.length - 1;
      layer.inputSpec = [{ ndim: shape.length, axes: { [axis]: channels } }];
    },
    outputShape(layer, shape) {
      const sides = sidesOf(layer, shape).sides.map((length, i) =>
        outputLength(length, reach(layer.kernelSize[i], layer.dilationRate[i]), layer.strides[i], layer.padding)
      );
      return shapeOf(layer, shape[0], sides, layer.filters);
    },
  };
}

const dilated = ({ dilationRate }: AnyLayer) => dilationRate.some((rate) => rate !== 1);

const depthwise: Replacement = {
  when: dilated,
  call: (tf, layer, x) =>
    finish(tf, layer, x, (x) => {
      const [strides, dilations] = [layer.strides, layer.dilationRate] as never[];
      const kernel = layer.depthwiseKernel.read() as Tensor4D;
      return tf.depthwiseConv2d(x as Tensor4D, kernel, strides, layer.padding as "same", "NHWC", dilations);
    }),
  outputShape(layer, shape) {
    const { sides, channels } = sidesOf(layer, shape);
    const lengths = sides.map((length, i) =>
      outputLength(length, reach(layer.kernelSize[i], layer.dilationRate[i]), layer.strides[i], layer.padding)
    );
    const { depthMultiplier } = layer as unknown as { depthMultiplier: number };
    return shapeOf(layer, shape[0], lengths, channels! * depthMultiplier);
  },
};

/** One value an axis, from a number or a list. */
function perAxis(value: number | number[], rank: number): number[] {
  return Array.isArray(value) ? value : Array(rank).fill(value);
}

/** The axes of the convolution of which a transposed one is the gradient; its input is what that one puts out. */
function transposedAxes(layer: AnyLayer, sides: number[]): Axis[] {
  const dilations = perAxis(optionOf(layer, "dilationRate"), sides.length);
  const padding = optionOf<number | number[] | null>(layer, "outputPadding");
  const added = padding === null ? null : perAxis(padding, sides.length);
  return sides.map((output, i) => {
    const [taps, stride, dilation] = [layer.kernelSize[i], layer.strides[i], dilations[i]];
    const extent = reach(taps, dilation);
    const same = layer.padding === "same";
    // As Keras has it: `deconv_output_length`.
    const input = added === null
      ? output * stride + (same ? 0 : Math.max(extent - stride, 0))
      : (output - 1) * stride + extent - (same ? 2 * Math.floor(extent / 2) : 0) + added[i];
    const before = same ? Math.floor(Math.max(0, (output - 1) * stride + extent - input) / 2) : 0;
    return { input, output, taps, stride, dilation, before };
  });
}

const transposed: Replacement = {
  options: { outputPadding: null, dilationRate: 1 },
  when: (layer) =>
    optionOf(layer, "outputPadding") !== null ||
    perAxis(optionOf(layer, "dilationRate"), layer.rank).some((rate) => rate !== 1) ||
    // TensorFlow.js is wrong in three dimensions, and TensorFlow itself about the gradient to the kernel.
    layer.strides.some((stride, i) => stride > layer.kernelSize[i]),
  call: (tf, layer, x) =>
    finish(
      tf,
      layer,
      x,
      (x) => convolutionInputGradient(tf, x, layer.kernel.read(), transposedAxes(layer, x.shape.slice(1, -1))),
    ),
  outputShape(layer, shape) {
    const { sides } = sidesOf(layer, shape);
    const lengths = sides.map((length, i) =>
      length === null ? null : transposedAxes(layer, sides.map((n) => n ?? 1))[i].input
    );
    return shapeOf(layer, shape[0], lengths, layer.filters);
  },
};

/** Of the configuration that Keras writes, TensorFlow.js refuses what it inherits from Conv2D, and forgets the multiplier; its bias is not for channels first. */
const separable: Replacement = {
  options: { depthMultiplier: 1 },
  prepare(config) {
    for (const key of ["kernelInitializer", "kernelRegularizer", "kernelConstraint"]) delete config[key];
  },
  when: first,
  call: (tf, layer, x) =>
    finish(tf, layer, x, (x) => {
      const [depthwise, pointwise] = [layer.depthwiseKernel, layer.pointwiseKernel].map((weight) => weight.read());
      const [strides, dilations] = [layer.strides, layer.dilationRate] as never[];
      return tf.separableConv2d(
        x as Tensor4D,
        depthwise as Tensor4D,
        pointwise as Tensor4D,
        strides,
        layer.padding as "same",
        dilations,
      );
    }),
};

/** The cell convolves with channels last, which every backend can. */
export function convolveCellsLast(tf: TF, cell: { prototype: Record<string, unknown> }): void {
  type Convolve = (this: AnyLayer, x: Tensor, ...rest: unknown[]) => Tensor;
  for (const name of ["inputConv", "recurrentConv"]) {
    const stock = cell.prototype[name] as Convolve;
    cell.prototype[name] = function (this: AnyLayer, x, ...rest) {
      if (!first(this)) return stock.call(this, x, ...rest);
      const last = Object.create(this, { dataFormat: { value: "channelsLast" } });
      return channelsLast(tf, this, x, (x) => stock.call(last, x, ...rest));
    } as Convolve;
  }
}

/** By the classes' names. */
export const CONVOLUTIONS: Record<string, Replacement> = {
  Conv1D: {
    ...convolution((layer) => first(layer) || layer.padding === "causal"),
    options: { groups: 1, dataFormat: "channelsLast" },
  },
  Conv2D: convolution(() => false),
  // TensorFlow.js pads wrongly where a stride is longer than its window.
  Conv3D: convolution((layer) => layer.padding === "same"),
  DepthwiseConv2D: depthwise,
  SeparableConv2D: separable,
  Conv2DTranspose: transposed,
  Conv3DTranspose: transposed,
};
