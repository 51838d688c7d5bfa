/**
 * Gradients that TensorFlow.js lacks or gets wrong, on every backend.
 *
 * @module
 */

import type { GradConfig, NamedAttrMap, NamedTensorMap, Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import { registerConvolutionGradient } from "../core/convolution.ts";
import { registerNormalizationGradient } from "../core/normalization.ts";
import type { TF } from "../core/types.ts";
import { type Axis, convolutionAxes, type PoolingAttributes, poolingAxes, type WindowAttributes } from "./axis.ts";
import { convolutionFilterGradient, convolutionInputGradient } from "./convolution.ts";
import { depthwiseFilterGradient, depthwiseInputGradient } from "./convolution.ts";
import { makeFusedGradientsLazy } from "./fused.ts";
import { batchNormalizationGradient } from "./normalization.ts";
import { averageCorrection, maximumGradient, maxPoolGradientByTaps } from "./pooling.ts";
import { useNativeReluGradient } from "./relu.ts";

type GradientFunction = GradConfig["gradFunc"];

/** Comparisons, which tfjs cannot pass on its way back: their outputs are steps, so the gradient is zero. */
const STEPS = ["Any", "Equal", "Greater", "Less", "LessEqual", "NotEqual"];

/**
 * Teaches a freshly loaded TensorFlow.js the gradients of
 * - dilated convolutions, in two and three dimensions, plain, depthwise and fused;
 * - transposed convolutions in three dimensions;
 * - max pooling with ties, on WebGPU and, in three dimensions, on cpu (on wasm the kernels are replaced);
 * - maxima over whole axes with ties, as in global max pooling (tfjs: each of the equal cells gets all);
 * - the larger and the smaller of two, of which one is stretched over the other (tfjs: of the wrong shape);
 * - enlarging by whole numbers to the nearest neighbour (tfjs: wrong on the cpu backend);
 * - average pooling whose windows reach over the border (tfjs: too small there, but on native TensorFlow);
 * - comparisons, so that thresholded ReLUs and masks do not stop a gradient;
 *
 * to compute of a fused operation's and of batch normalisation's gradients only those that are asked for, and ReLUs'
 * on native TensorFlow in one step.
 */
export function completeGradients(tf: TF): void {
  replaceDilated(tf, "Conv2D", convolutionInputGradient, convolutionFilterGradient);
  replaceDilated(tf, "Conv3D", convolutionInputGradient, convolutionFilterGradient);
  replaceDilated(tf, "DepthwiseConv2dNative", depthwiseInputGradient, depthwiseFilterGradient);
  for (const kernel of ["AvgPool", "AvgPool3D"]) correctAverage(tf, kernel);
  decideTies(tf, "MaxPool", "webgpu");
  decideTies(tf, "MaxPool3D", "cpu");
  decideTiesOfMaximum(tf);
  for (const kernelName of ["Maximum", "Minimum"]) choosePicked(tf, kernelName);
  replaceEnlarging(tf);
  tf.registerGradient({ ...tf.getGradient("FusedBatchNorm"), gradFunc: batchNormalizationGradient(tf) });
  tf.registerGradient({
    kernelName: "Conv3DBackpropInputV2",
    inputsToSave: ["dy", "filter"],
    gradFunc: transposedConvolutionGradient(tf),
  });
  for (const kernelName of STEPS) {
    // Any has one input, x; the others two, a and b.
    const inputsToSave = kernelName === "Any" ? ["x"] : ["a", "b"];
    const gradFunc: GradientFunction = (_, saved) =>
      Object.fromEntries(inputsToSave.map((name, i) => [name, () => tf.zeros(saved[i].shape)]));
    tf.registerGradient({ kernelName, inputsToSave, gradFunc });
  }
  registerConvolutionGradient(tf);
  registerNormalizationGradient(tf);
  makeFusedGradientsLazy(tf);
  useNativeReluGradient(tf);
}

/** Leaves the gradient of a convolution to tfjs, but for dilated ones. */
function replaceDilated(
  tf: TF,
  kernelName: string,
  toInput: (tf: TF, dy: Tensor, filter: Tensor, axes: Axis[]) => Tensor,
  toFilter: (tf: TF, x: Tensor, dy: Tensor, axes: Axis[]) => Tensor,
): void {
  const stock = tf.getGradient(kernelName);
  const gradFunc: GradientFunction = (dy, saved, attrs) => {
    const window = attrs as unknown as WindowAttributes & { dataFormat?: string };
    const dilated = [window.dilations ?? 1].flat().some((dilation) => dilation !== 1);
    if (!dilated || window.dataFormat === "NCHW") return stock.gradFunc(dy, saved, attrs);
    const [x, filter] = saved;
    const axes = convolutionAxes(tf, x.shape, filter.shape, window, kernelName === "DepthwiseConv2dNative");
    return {
      x: () => toInput(tf, dy as Tensor, filter, axes),
      filter: () => toFilter(tf, x, dy as Tensor, axes),
    };
  };
  tf.registerGradient({ ...stock, gradFunc });
}

/** Keeps to the rule for ties on the one backend where tfjs's kernel gives them to the last cell. */
function decideTies(tf: TF, kernelName: string, backend: string): void {
  const stock = tf.getGradient(kernelName);
  const gradFunc: GradientFunction = (dy, saved, attrs) => {
    if (tf.getBackend() !== backend) return stock.gradFunc(dy, saved, attrs);
    const [x, y] = saved;
    const axes = poolingAxes(tf, x.shape, attrs as unknown as PoolingAttributes);
    return { x: () => maxPoolGradientByTaps(tf, x, y, dy as Tensor, axes) };
  };
  tf.registerGradient({ ...stock, gradFunc });
}

/** Gives ties of a maximum over whole axes to the first cell, as poolings do. */
function decideTiesOfMaximum(tf: TF): void {
  const stock = tf.getGradient("Max");
  const gradFunc: GradientFunction = (dy, saved, attrs) => {
    const [x] = saved;
    const axes = tf.util.parseAxisParam(attrs.reductionIndices as number[], x.shape);
    return { x: () => maximumGradient(tf, x, dy as Tensor, axes) };
  };
  tf.registerGradient({ ...stock, gradFunc });
}

/** Hands a gradient to whichever of two was taken, of equals to the first, and sums it where one was stretched. */
function choosePicked(tf: TF, kernelName: string): void {
  const gradFunc: GradientFunction = (dy, [a, b]) => {
    const first = () => kernelName === "Maximum" ? tf.greaterEqual(a, b) : tf.lessEqual(a, b);
    const to = (input: Tensor, taken: () => Tensor) => () => {
      const part = tf.mul(dy as Tensor, tf.cast(taken(), "float32"));
      return tf.reshape(tf.sum(part, tf.backend_util.getReductionAxes(input.shape, part.shape)), input.shape);
    };
    return { a: to(a, first), b: to(b, () => tf.logicalNot(first())) };
  };
  tf.registerGradient({ kernelName, inputsToSave: ["a", "b"], gradFunc });
}

/** Scales what reaches an average pooling's gradient where its windows reach over the border; native TensorFlow does. */
function correctAverage(tf: TF, kernelName: string): void {
  const stock = tf.getGradient(kernelName);
  const gradFunc: GradientFunction = (dy, saved, attrs) => {
    const axes = poolingAxes(tf, saved[0].shape, attrs as unknown as PoolingAttributes);
    const correction = tf.getBackend() === "tensorflow" ? undefined : averageCorrection(tf, axes);
    return stock.gradFunc(correction ? tf.mul(dy as Tensor, correction) : dy, saved, attrs);
  };
  tf.registerGradient({ ...stock, gradFunc });
}

/** Where each cell became a block of `h` by `w` equal ones, its gradient is the sum over that block. */
function replaceEnlarging(tf: TF): void {
  const stock = tf.getGradient("ResizeNearestNeighbor");
  const gradFunc: GradientFunction = (dy, saved, attrs) => {
    const [batch, height, width, channels] = saved[0].shape;
    const enlarged: number[] = (dy as Tensor).shape;
    const [h, w] = [enlarged[1] / height, enlarged[2] / width];
    if (attrs.alignCorners || !Number.isInteger(h) || !Number.isInteger(w)) return stock.gradFunc(dy, saved, attrs);
    return {
      images: () => {
        const rows = tf.sum(tf.reshape(dy as Tensor, [batch * height, h, width * w * channels]), 1);
        return tf.reshape(tf.sum(tf.reshape(rows, [-1, w, channels]), 1), [batch, height, width, channels]);
      },
    };
  };
  tf.registerGradient({ ...stock, gradFunc });
}

/** A transposed convolution is the gradient of a convolution; the gradient to its input is that convolution again. */
function transposedConvolutionGradient(tf: TF): GradientFunction {
  return (gradient, saved, attrs) => {
    const x = gradient as Tensor;
    const [dy, filter] = saved;
    const { strides, pad } = attrs;
    const run = (kernel: string, inputs: NamedTensorMap, attrs: NamedAttrMap): Tensor =>
      tf.engine().runKernel(kernel, inputs, attrs);
    return {
      dy: () => run("Conv3D", { x, filter }, { strides, pad, dataFormat: "NDHWC", dilations: [1, 1, 1] }),
      filter: () => run("Conv3DBackpropFilterV2", { x, dy }, { strides, pad, filterShape: filter.shape }),
    };
  };
}
