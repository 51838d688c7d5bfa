/** How a window walks along one spatial axis, of a convolution or of a pooling. @module */

import type { TF } from "../core/types.ts";

/** One spatial axis: which input cells each output cell sees. */
export interface Axis {
  /** Cells in the input. */
  input: number;
  /** Cells in the output. */
  output: number;
  /** Cells of the window. */
  taps: number;
  /** Input cells from one output cell's window to the next. */
  stride: number;
  /** Input cells from one tap to the next: 1 for a window without holes. */
  dilation: number;
  /** Padding cells before the input. */
  before: number;
}

/** The attributes of tfjs's convolution and pooling kernels that say where the windows lie. */
export interface WindowAttributes {
  strides: number | number[];
  pad: "same" | "valid" | number | [[number, number], [number, number], [number, number], [number, number]];
  dilations?: number | number[] | null;
  dimRoundingMode?: "floor" | "round" | "ceil";
}

/** The attributes of tfjs's pooling kernels. */
export interface PoolingAttributes extends WindowAttributes {
  filterSize: number | number[];
}

/** The fields that tfjs's four geometry functions share; those of depth exist in three dimensions only. */
interface Geometry {
  inDepth: number;
  inHeight: number;
  inWidth: number;
  outDepth: number;
  outHeight: number;
  outWidth: number;
  filterDepth: number;
  filterHeight: number;
  filterWidth: number;
  strideDepth: number;
  strideHeight: number;
  strideWidth: number;
  dilationDepth: number;
  dilationHeight: number;
  dilationWidth: number;
  padInfo: { front: number; top: number; left: number };
}

/**
 * The spatial axes of a convolution with channels last.
 *
 * @param input shape `[n, h, w, c]` or `[n, d, h, w, c]`
 * @param filter shape `[kh, kw, cin, cout]` or `[kd, kh, kw, cin, cout]`; of a depthwise one `[kh, kw, c, multiplier]`
 */
export function convolutionAxes(
  tf: TF,
  input: readonly number[],
  filter: readonly number[],
  { strides, dilations, pad, dimRoundingMode }: WindowAttributes,
  depthwise = false,
): Axis[] {
  const { computeConv2DInfo, computeConv3DInfo } = tf.backend_util;
  const spaced = dilations ?? 1;
  const geometry = input.length === 4
    ? computeConv2DInfo(
      input as never,
      filter as never,
      strides as never,
      spaced as never,
      pad,
      dimRoundingMode,
      depthwise,
    )
    : computeConv3DInfo(input as never, filter as never, strides as never, spaced as never, pad as "same");
  return axesOf(geometry as unknown as Geometry, input.length === 5);
}

/** The spatial axes of a pooling with channels last. */
export function poolingAxes(
  tf: TF,
  input: readonly number[],
  { filterSize, strides, pad, dimRoundingMode }: PoolingAttributes,
): Axis[] {
  const { computePool2DInfo, computePool3DInfo } = tf.backend_util;
  const geometry = input.length === 4
    ? computePool2DInfo(input as never, filterSize as never, strides as never, 1, pad, dimRoundingMode)
    : computePool3DInfo(input as never, filterSize as never, strides as never, 1, pad as "same", dimRoundingMode);
  return axesOf(geometry as unknown as Geometry, input.length === 5);
}

function axesOf(g: Geometry, deep: boolean): Axis[] {
  const axis = (input: number, output: number, taps: number, stride: number, dilation: number, before: number) => ({
    input,
    output,
    taps,
    stride,
    dilation,
    before,
  });
  return [
    ...(deep ? [axis(g.inDepth, g.outDepth, g.filterDepth, g.strideDepth, g.dilationDepth, g.padInfo.front)] : []),
    axis(g.inHeight, g.outHeight, g.filterHeight, g.strideHeight, g.dilationHeight, g.padInfo.top),
    axis(g.inWidth, g.outWidth, g.filterWidth, g.strideWidth, g.dilationWidth, g.padInfo.left),
  ];
}
