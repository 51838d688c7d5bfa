/**
 * The operations that `addon/` adds to native TensorFlow, on processors with vectors (AVX2 or AVX-512).
 *
 * @module
 */

import type { KernelFunc, TensorInfo } from "npm:@tensorflow/tfjs@4.22.0";
import { visiting } from "../engine.ts";
import { type PoolingAttributes, poolingAxes } from "../gradients/axis.ts";
import { messageOf } from "../message.ts";
import type { TF } from "../types.ts";

/** An attribute of an operation, as the addon takes it. */
export interface Attribute {
  name: string;
  type: number;
  value: unknown;
}

/** The part of tfjs-node's backend that runs an operation of TensorFlow's by its name. */
export interface NativeBackend {
  binding: Record<"TF_ATTR_TYPE" | "TF_ATTR_INT" | "TF_ATTR_BOOL" | "TF_ATTR_STRING" | "TF_FLOAT", number>;
  isUsingGpuDevice: boolean;
  executeSingleOutput(name: string, attributes: Attribute[], inputs: unknown[]): TensorInfo;
}

/** A convolution that the addon computes: with a window of 3 × 3 cells and no stride, or of a single cell. */
export interface Window {
  /** Rows and columns of the window. */
  taps: 1 | 3;
  /** Of a window of 3 × 3 cells it is 1. */
  stride: number;
  /** Rows and columns of zeros on each side; for a single cell none. */
  pad: 0 | 1 | 2;
  /** Whether the filter is turned half round and leads from its outputs to its inputs, as a gradient does. */
  turned: boolean;
  /** Whether all that is below zero becomes zero in the end. */
  rectify: boolean;
}

/** From so many tiles of 2 × 2 outputs, or so many outputs of a single cell, on it costs less than it saves. */
const LEAST_TILES = 64;

/**
 * Whether {@linkcode ownConvolution} takes a convolution, and is faster than oneDNN.
 *
 * @param x shape `[n, h, w, c]`
 * @param filter shape `[taps, taps, cin, cout]`
 */
export function suits(x: readonly number[], filter: readonly number[], { taps, stride, pad, turned }: Window): boolean {
  const [batch, height, width, channels] = x;
  const [rows, columns, ...sides] = filter;
  const [inputs, outputs] = turned ? sides.toReversed() : sides;
  const tile = taps === 3 ? 2 : 1;
  const tilesAlong = (side: number) => Math.ceil((Math.floor((side + 2 * pad - taps) / stride) + 1) / tile);
  return rows === taps && columns === taps && channels === inputs && inputs % 16 === 0 && outputs % 32 === 0 &&
    batch * tilesAlong(height) * tilesAlong(width) >= LEAST_TILES;
}

/**
 * Convolves: 3 × 3 cells by the algorithm of Winograd, with 16 products where the sum over the window takes 36.
 *
 * @param inputs x, filter, and what may be added: a bias `[cout]`, then a tensor of the output's shape
 */
export function ownConvolution(
  backend: NativeBackend,
  inputs: readonly TensorInfo[],
  { taps, stride, pad, turned, rectify }: Window,
): TensorInfo {
  const { TF_ATTR_INT, TF_ATTR_BOOL } = backend.binding;
  return backend.executeSingleOutput("ConvlensConvolution", [
    { name: "num_added", type: TF_ATTR_INT, value: inputs.length - 2 },
    { name: "taps", type: TF_ATTR_INT, value: taps },
    { name: "stride", type: TF_ATTR_INT, value: stride },
    { name: "pad", type: TF_ATTR_INT, value: pad },
    { name: "turned", type: TF_ATTR_BOOL, value: turned },
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
      const inputs = [tf.ones([1, 1, 1, 16]), tf.ones([1, 1, 16, 32])];
      try {
        ownConvolution(backend, inputs, { taps: 1, stride: 1, pad: 0, turned: false, rectify: false });
        return "work";
      } catch (error) {
        return /neither a type of|type not registered/.test(messageOf(error)) ? "missing" : "unfit";
      }
    }));
}
