/**
 * Faster ways through native TensorFlow, on processors.
 *
 * tfjs-node computes a fused convolution by several operations, each of which walks over the whole output. TensorFlow
 * has one operation for it, on oneDNN, with the same numbers to the bit. Some of its attributes are lists of words and
 * of types, which tfjs-node's addon as published cannot hand over; the one that `build.ts` makes can, and brings
 * operations of our own besides.
 *
 * @module
 */

import type { KernelFunc, Tensor, TensorInfo } from "npm:@tensorflow/tfjs@4.22.0";
import { CONVOLUTION, type ConvolutionAttributes } from "../core/convolution.ts";
import { visiting } from "../core/engine.ts";
import { MAXIMA } from "../core/maxima.ts";
import { NORMALIZATION } from "../core/normalization.ts";
import { convolutionAxes } from "../gradients/axis.ts";
import { convolutionInputGradient } from "../gradients/convolution.ts";
import type { NativeBackend, TF } from "../core/types.ts";
import {
  convolution3x3,
  maximaOfMaps,
  maxPoolGradient,
  normalizationInOneStep,
  suits3x3,
  tryOperations,
  type Window3x3,
} from "./operations.ts";

type Inputs = Record<"x" | "filter" | "bias", TensorInfo> & { side?: TensorInfo };

/** A way to convolve, add and rectify. */
type Convolve = (backend: NativeBackend, inputs: Inputs, attributes: ConvolutionAttributes) => TensorInfo;

/**
 * Replaces kernels of the tensorflow backend by faster ones, once it is ready. With a graphics card all stays as it is.
 *
 * @returns whether the addon has all that they need, as one of today's `build.ts` has
 */
export function useFasterKernels(tf: TF): boolean {
  const backend = tf.findBackend("tensorflow") as unknown as NativeBackend;
  if (backend.isUsingGpuDevice) return true;
  replace(tf, "Conv2DBackpropInput", inputGradientToFewChannels);
  const operations = tryOperations(tf, backend);
  if (operations === "work") registerOwn(tf);
  // Elsewhere than on x86 TensorFlow may come without oneDNN, and no addon helps.
  if (!convolvesInOneStep(tf, backend)) return operations !== "missing";
  const convolve = operations === "work" ? convolveFast : convolveInOneStep;
  tf.registerKernel({
    kernelName: CONVOLUTION,
    backendName: "tensorflow",
    kernelFunc: ({ inputs, attrs, backend }) =>
      convolve(backend as NativeBackend, inputs as unknown as Inputs, attrs as unknown as ConvolutionAttributes),
  });
  replace(tf, "FusedConv2D", (_tf, stock) => fusedConvolution(convolve, stock));
  if (operations === "work") {
    replace(tf, "Conv2D", plainConvolution);
    replace(tf, "Conv2DBackpropInput", inputGradient3x3);
    replace(tf, "MaxPoolGrad", maxPoolGradient);
  }
  return operations !== "missing";
}

/** The kernels that tfjs-node has none of. */
function registerOwn(tf: TF): void {
  tf.registerKernel({
    kernelName: MAXIMA,
    backendName: "tensorflow",
    kernelFunc: ({ inputs, backend }) => maximaOfMaps(backend as NativeBackend, inputs.maps as TensorInfo),
  });
  tf.registerKernel({
    kernelName: NORMALIZATION,
    backendName: "tensorflow",
    kernelFunc: ({ inputs, attrs, backend }) => {
      const { x, scale, shift, side } = inputs as Record<string, TensorInfo>;
      const all = [x, scale, shift, ...side ? [side] : []];
      return normalizationInOneStep(backend as NativeBackend, all, Boolean(attrs!.rectify));
    },
  });
}

/** Puts a kernel in the place of tfjs-node's, which it gets to fall back on. */
function replace(tf: TF, kernelName: string, make: (tf: TF, stock: KernelFunc) => KernelFunc): void {
  const stock = tf.getKernel(kernelName, "tensorflow");
  tf.unregisterKernel(kernelName, "tensorflow");
  tf.registerKernel({ ...stock, kernelFunc: make(tf, stock.kernelFunc) });
}

/** Whether the addon can ask for a convolution in one step: computes one of a single cell. */
function convolvesInOneStep(tf: TF, backend: NativeBackend): boolean {
  const attributes: ConvolutionAttributes = { strides: [1, 1], pad: "valid", dilations: [1, 1], rectify: true };
  return visiting(tf, "tensorflow", () =>
    tf.tidy(() => {
      const two = tf.fill([1, 1, 1, 1], 2);
      try {
        const inputs = { x: two, filter: two, bias: tf.ones([1]), side: two };
        const output = convolveInOneStep(backend, inputs, attributes) as Tensor;
        return output.dataSync()[0] === 7;
      } catch {
        // The addon as published gives a single word where there should be a list, which TensorFlow refuses.
        return false;
      }
    }));
}

/** On oneDNN. */
function convolveInOneStep(
  backend: NativeBackend,
  { x, filter, bias, side }: Inputs,
  { strides, pad, dilations, rectify }: ConvolutionAttributes,
): TensorInfo {
  const { TF_ATTR_INT, TF_ATTR_STRING, TF_ATTR_TYPE, TF_FLOAT } = backend.binding;
  const added = side ? [bias, side] : [bias];
  const fused = ["BiasAdd", ...side ? ["Add"] : [], ...rectify ? ["Relu"] : []];
  const attributes = [
    { name: "T", type: TF_ATTR_TYPE, value: TF_FLOAT },
    { name: "TArgs", type: TF_ATTR_INT, value: added.map(() => TF_FLOAT) },
    { name: "num_args", type: TF_ATTR_INT, value: added.length },
    { name: "strides", type: TF_ATTR_INT, value: [1, ...strides, 1] },
    { name: "dilations", type: TF_ATTR_INT, value: [1, ...dilations, 1] },
    { name: "padding", type: TF_ATTR_STRING, value: pad.toUpperCase() },
    { name: "data_format", type: TF_ATTR_STRING, value: "NHWC" },
    { name: "fused_ops", type: TF_ATTR_STRING, value: fused.join() },
    // The label of the kernels that keep TensorFlow's own layout of memory.
    { name: "_kernel", type: TF_ATTR_STRING, value: "MklNameChangeOp" },
  ];
  return backend.executeSingleOutput("_MklNativeFusedConv2D", attributes, [x, filter, ...added]);
}

/** By an operation of our own where that is faster, else on oneDNN. */
const convolveFast: Convolve = (backend, inputs, attributes) => {
  const { x, filter, bias, side } = inputs;
  const window = window3x3(x, filter, attributes, { turned: false, rectify: attributes.rectify });
  return window
    ? convolution3x3(backend, [x, filter, bias, ...side ? [side] : []], window)
    : convolveInOneStep(backend, inputs, attributes);
};

/** How a convolution walks, as tfjs's kernels have it. */
type WindowAttributes = Partial<Record<"strides" | "pad" | "dilations" | "dataFormat", unknown>>;

/** The window of a convolution, or of its gradient to the input, that an operation of our own is faster for. */
function window3x3(
  image: TensorInfo,
  filter: TensorInfo,
  { strides, pad, dilations, dataFormat }: WindowAttributes,
  how: Pick<Window3x3, "turned" | "rectify">,
): Window3x3 | undefined {
  const plain = [strides, dilations ?? 1].flat().every((step) => step === 1) && (pad === "same" || pad === "valid") &&
    dataFormat !== "NCHW" && image.dtype === "float32" && filter.dtype === "float32";
  const window: Window3x3 = { ...how, pad: pad === "same" ? 1 : how.turned ? 2 : 0 };
  return plain && suits3x3(image.shape, filter.shape, window) ? window : undefined;
}

/** tfjs's convolution. */
function plainConvolution(_tf: TF, stock: KernelFunc): KernelFunc {
  return (call) => {
    const { x, filter } = call.inputs as Record<string, TensorInfo>;
    const window = window3x3(x, filter, call.attrs as WindowAttributes, { turned: false, rectify: false });
    return window ? convolution3x3(call.backend as NativeBackend, [x, filter], window) : stock(call);
  };
}

/** The gradient to the input of a convolution, which is a convolution again. */
function inputGradient3x3(_tf: TF, stock: KernelFunc): KernelFunc {
  return (call) => {
    const { dy, filter } = call.inputs as Record<string, TensorInfo>;
    const window = window3x3(dy, filter, call.attrs as WindowAttributes, { turned: true, rectify: false });
    return window ? convolution3x3(call.backend as NativeBackend, [dy, filter], window) : stock(call);
  };
}

/** tfjs's own fused convolution, in one step where it is one that `convolve` can do. */
function fusedConvolution(convolve: Convolve, stock: KernelFunc): KernelFunc {
  const pair = (value: unknown) => (Array.isArray(value) ? value : [value, value]) as [number, number];
  return (call) => {
    const inputs = call.inputs as unknown as Inputs;
    const { strides, pad, dilations, dataFormat, activation } = call.attrs as Record<string, unknown>;
    const plain = [inputs.x, inputs.filter, inputs.bias].every((tensor) => tensor?.dtype === "float32") &&
      inputs.bias.shape.join() === String(inputs.filter.shape[3]) && dataFormat === "NHWC" &&
      (pad === "same" || pad === "valid") && ["linear", "relu", undefined, null].includes(activation as string);
    if (!plain) return stock(call);
    const window = { strides: pair(strides), pad: pad as "same" | "valid", dilations: pair(dilations) };
    return convolve(call.backend as NativeBackend, inputs, { ...window, rectify: activation === "relu" });
  };
}

/**
 * The gradient to an input of few channels (an image) behind a stride: oneDNN computes channels in groups of 16 and
 * leaves most of them empty. With the phases of the stride as channels, as on the other backends, it is 2 to 4 times as
 * fast.
 */
function inputGradientToFewChannels(tf: TF, stock: KernelFunc): KernelFunc {
  return (call) => {
    const { dy, filter } = call.inputs as Record<string, Tensor>;
    const { strides, pad, dataFormat, inputShape, dimRoundingMode } = call.attrs as Record<string, never>;
    const [height, width, channels] = filter.shape;
    const strided = [strides].flat().every((stride) => stride > 1);
    if (dataFormat === "NCHW" || channels > 4 || height * width === 1 || !strided) return stock(call);
    return tf.tidy(() => {
      const axes = convolutionAxes(tf, inputShape, filter.shape, { strides, pad, dimRoundingMode });
      return convolutionInputGradient(tf, dy, filter, axes);
    });
  };
}
