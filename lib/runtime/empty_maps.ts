/**
 * Convolutions of maps that are smaller than the window, whose output is empty. TensorFlow's on oneDNN return memory that
 * nobody has written to, in the shape of their input; tfjs's on wasm may write to memory that is not theirs; elsewhere
 * the output's shape has negative sides.
 *
 * @module
 */

import type { KernelFunc, TensorInfo } from "npm:@tensorflow/tfjs@4.22.0";
import { sizeOf } from "../array.ts";
import { CONVOLUTION } from "./core/convolution.ts";
import type { WindowAttributes } from "./gradients/axis.ts";
import type { TF } from "./core/types.ts";

const FORWARD = ["Conv2D", "FusedConv2D", CONVOLUTION, "DepthwiseConv2dNative", "FusedDepthwiseConv2D"];

/** The gradients, and the attribute that holds their shape. */
const GRADIENTS = {
  Conv2DBackpropInput: "inputShape",
  Conv2DBackpropFilter: "filterShape",
  DepthwiseConv2dNativeBackpropInput: "inputShape",
  DepthwiseConv2dNativeBackpropFilter: "filterShape",
};

/** Makes a backend give empty outputs for empty inputs, with gradients of zeros. All of its kernels must be registered. */
export function allowEmptyMaps(tf: TF, backendName: string): void {
  /** @param emptyShape the shape of the answer, if it is known without computing it */
  const replace = (kernelName: string, emptyShape: (call: Parameters<KernelFunc>[0]) => number[] | undefined) => {
    const stock = tf.getKernel(kernelName, backendName);
    if (!stock) return;
    const kernelFunc: KernelFunc = (call) => {
      const shape = emptyShape(call);
      return shape ? tf.zeros(shape) : stock.kernelFunc(call);
    };
    tf.unregisterKernel(kernelName, backendName);
    tf.registerKernel({ ...stock, kernelFunc });
  };
  for (const name of FORWARD) {
    replace(name, ({ inputs, attrs }) => {
      const { x, filter } = inputs as Record<string, TensorInfo>;
      const { dataFormat = "NHWC", pad, strides, dilations, dimRoundingMode } = attrs as unknown as
        & WindowAttributes
        & { dataFormat?: "NHWC" | "NCHW" };
      // With this padding each cell has a window.
      if (pad === "same" && sizeOf(x.shape) > 0) return undefined;
      const { outShape } = tf.backend_util.computeConv2DInfo(
        x.shape as never,
        filter.shape as never,
        strides as never,
        (dilations ?? 1) as never,
        pad,
        dimRoundingMode,
        name.includes("Depthwise"),
        tf.backend_util.convertConv2DDataFormat(dataFormat),
      );
      return outShape.some((side) => side <= 0) ? outShape.map((side) => Math.max(0, side)) : undefined;
    });
  }
  for (const [name, attribute] of Object.entries(GRADIENTS)) {
    replace(name, ({ inputs, attrs }) => {
      const { dy } = inputs as Record<string, TensorInfo>;
      return sizeOf(dy.shape) === 0 ? attrs![attribute] as number[] : undefined;
    });
  }
}
