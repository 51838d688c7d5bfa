/**
 * A convolution with all that may follow it in one step: a bias, another tensor that is added, a ReLU.
 *
 * Where the backend has a kernel for that (native TensorFlow: see `native/kernels.ts`) each saves a walk over the
 * whole output; elsewhere it is put together from tfjs's operations.
 *
 * @module
 */

import type { GradConfig, NamedAttrMap, NamedTensorMap, Tensor, Tensor1D, Tensor4D } from "npm:@tensorflow/tfjs@4.22.0";
import type { TF } from "./types.ts";

/** The name of the kernel that does it all in one step. */
export const CONVOLUTION = "ConvolutionInOneStep";

/** How a convolution walks, with channels last. */
export interface ConvolutionAttributes {
  strides: [number, number];
  pad: "same" | "valid";
  dilations: [number, number];
  /** Whether all that is below zero becomes zero in the end. */
  rectify: boolean;
}

/** What a convolution computes with. */
export interface ConvolutionInputs {
  /** `[n, h, w, cin]` */
  x: Tensor4D;
  /** `[kh, kw, cin, cout]` */
  filter: Tensor4D;
  /** `[cout]` */
  bias: Tensor1D;
  /** What is added before rectifying, of the output's shape. */
  side?: Tensor4D;
}

/** Convolves, adds the bias and what else there is, and rectifies. It can be differentiated, and heeds rules for ReLUs. */
export function convolution(
  tf: TF,
  { side, ...inputs }: ConvolutionInputs,
  attributes: ConvolutionAttributes,
): Tensor4D {
  if (tf.getKernel(CONVOLUTION, tf.getBackend())) {
    const all = { ...inputs, ...side && { side } } as unknown as NamedTensorMap;
    return tf.engine().runKernel(CONVOLUTION, all, attributes as unknown as NamedAttrMap) as Tensor4D;
  }
  const { rectify, ...window } = attributes;
  const activation = rectify && !side ? "relu" : "linear";
  const output = tf.fused.conv2d({ ...inputs, ...window, dataFormat: "NHWC", activation });
  if (!side) return output;
  const sum = tf.add(output, side) as Tensor4D;
  return rectify ? tf.relu(sum) : sum;
}

/** Registers the gradient of the kernel {@linkcode CONVOLUTION}: each part is computed only when it is asked for. */
export function registerConvolutionGradient(tf: TF): void {
  const gradFunc: GradConfig["gradFunc"] = (gradient, saved, attrs) => {
    const [x, filter, output] = saved;
    const { rectify, ...window } = attrs as unknown as ConvolutionAttributes;
    // The output is above zero just where the ReLU's input was.
    const dy = rectify ? tf.getGradient("Relu").gradFunc(gradient, [output], {}).x() as Tensor : gradient as Tensor;
    const parts = tf.getGradient("Conv2D").gradFunc(dy, [x, filter], { ...window, dataFormat: "NHWC" });
    return { x: parts.x, filter: parts.filter, bias: () => tf.sum(dy, [0, 1, 2]), side: () => tf.clone(dy) };
  };
  tf.registerGradient({ kernelName: CONVOLUTION, inputsToSave: ["x", "filter"], outputsToSave: [true], gradFunc });
}
