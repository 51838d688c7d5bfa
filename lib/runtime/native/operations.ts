/**
 * The operations that `addon/` adds to native TensorFlow, on processors with vectors (AVX2 or AVX-512).
 *
 * @module
 */

import type { KernelFunc, TensorInfo } from "npm:@tensorflow/tfjs@4.22.0";
import { visiting } from "../core/engine.ts";
import { type PoolingAttributes, poolingAxes } from "../gradients/axis.ts";
import { messageOf } from "../../errors.ts";
import type { NativeBackend, TF } from "../core/types.ts";

/** A convolution with a window of 3 × 3 cells and no stride. */
export interface Window3x3 {
  /** Rows and columns of zeros on each side. */
  pad: 0 | 1 | 2;
  /** Whether the filter is turned half round and leads from its outputs to its inputs, as a gradient does. */
  turned: boolean;
  /** Whether all that is below zero becomes zero in the end. */
  rectify: boolean;
}

/** With fewer tiles of 2 × 2 outputs, transforming the filter costs more than it saves. */
const FEWEST_TILES = 64;

/** Whether {@linkcode convolution3x3} takes these shapes, `[n, h, w, c]` and `[kh, kw, cin, cout]`, and is fast. */
export function suits3x3(x: readonly number[], filter: readonly number[], { pad, turned }: Window3x3): boolean {
  const [batch, height, width, channels] = x;
  const [rows, columns, ...sides] = filter;
  const [inputs, outputs] = turned ? sides.toReversed() : sides;
  const tiles = batch * Math.ceil((height + 2 * pad - 2) / 2) * Math.ceil((width + 2 * pad - 2) / 2);
  return rows === 3 && columns === 3 && channels === inputs && inputs > 0 && inputs % 16 === 0 &&
    outputs > 0 && outputs % 32 === 0 && tiles >= FEWEST_TILES;
}

/**
 * Convolves with the algorithm of Winograd, which takes 16 products where the sum over the window takes 36.
 *
 * @param inputs x, filter, and what may be added: a bias `[cout]`, then a tensor of the output's shape
 */
export function convolution3x3(
  backend: NativeBackend,
  inputs: readonly TensorInfo[],
  { pad, turned, rectify }: Window3x3,
): TensorInfo {
  const { TF_ATTR_INT, TF_ATTR_BOOL } = backend.binding;
  return backend.executeSingleOutput("ConvlensConvolution3x3", [
    { name: "num_added", type: TF_ATTR_INT, value: inputs.length - 2 },
    { name: "pad", type: TF_ATTR_INT, value: pad },
    { name: "turned", type: TF_ATTR_BOOL, value: turned },
    { name: "rectify", type: TF_ATTR_BOOL, value: rectify },
  ], [...inputs]);
}

/** What {@linkcode maxima} of `core/maxima.ts` gives. */
export function maximaOfMaps(backend: NativeBackend, maps: TensorInfo): TensorInfo {
  return backend.executeSingleOutput("ConvlensMaxima", [], [maps]);
}

/**
 * `x · scale + shift`, rectified if asked.
 *
 * @param inputs x, scale, shift, and what may be added: a tensor of x's shape
 */
export function normalizationInOneStep(
  backend: NativeBackend,
  inputs: readonly TensorInfo[],
  rectify: boolean,
): TensorInfo {
  const { TF_ATTR_INT, TF_ATTR_BOOL } = backend.binding;
  return backend.executeSingleOutput("ConvlensNormalization", [
    { name: "num_sides", type: TF_ATTR_INT, value: inputs.length - 3 },
    { name: "rectify", type: TF_ATTR_BOOL, value: rectify },
  ], [...inputs]);
}

/** The gradient of max pooling in two dimensions; TensorFlow's takes ten times as long. */
export function maxPoolGradient(tf: TF, stock: KernelFunc): KernelFunc {
  return (call) => {
    const { input, dy } = call.inputs;
    if (input!.dtype !== "float32" || dy!.dtype !== "float32") return stock(call);
    const backend = call.backend as NativeBackend;
    const axes = poolingAxes(tf, input!.shape, call.attrs as unknown as PoolingAttributes);
    const pair = (name: string, field: "taps" | "stride" | "before") => ({
      name,
      type: backend.binding.TF_ATTR_INT,
      value: axes.map((axis) => axis[field]),
    });
    const attributes = [pair("size", "taps"), pair("stride", "stride"), pair("before", "before")];
    return backend.executeSingleOutput("ConvlensMaxPoolGradient", attributes, [input, dy]);
  };
}

/**
 * Tries the operations.
 *
 * @returns `"work"`; `"unfit"` where this processor has no kernel of them; `"missing"` where the addon was made without
 */
export function tryOperations(tf: TF, backend: NativeBackend): "work" | "unfit" | "missing" {
  return visiting(tf, "tensorflow", () =>
    tf.tidy(() => {
      const [x, filter, one] = [tf.ones([1, 1, 1, 16]), tf.ones([3, 3, 16, 32]), tf.ones([16])];
      try {
        convolution3x3(backend, [x, filter], { pad: 1, turned: false, rectify: false });
        // An addon of before may have some of them only.
        maximaOfMaps(backend, x);
        normalizationInOneStep(backend, [x, one, one], false);
        return "work";
      } catch (error) {
        return /neither a type of|type not registered/.test(messageOf(error)) ? "missing" : "unfit";
      }
    }));
}
