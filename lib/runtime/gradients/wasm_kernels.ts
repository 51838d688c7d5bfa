/**
 * The kernels that the wasm backend lacks, gets wrong, or has but slowly.
 *
 * @module
 */

import type { KernelConfig, KernelFunc, NamedAttrMap, Tensor, TensorInfo } from "npm:@tensorflow/tfjs@4.22.0";
import { sizeOf } from "../../array.ts";
import type { TF } from "../core/types.ts";
import { convolutionAxes, type PoolingAttributes, poolingAxes, type WindowAttributes } from "./axis.ts";
import { convolutionFilterGradient, convolutionInputGradient } from "./convolution.ts";
import { depthwiseFilterGradient, depthwiseInputGradient } from "./convolution.ts";
import { maxPoolGradient } from "./pooling.ts";

/** The part of tfjs's wasm backend that reaches its memory. */
interface WasmBackend {
  makeOutput(shape: number[], dtype: string): TensorInfo;
  typedArrayFromHeap(tensor: TensorInfo): Float32Array | Int32Array | Uint8Array;
  incRef(id: object): void;
}

type Inputs = Record<string, Tensor>;
type Kernel = (inputs: Inputs, attrs: NamedAttrMap, backend: WasmBackend) => Tensor | TensorInfo;

/** The attributes of the kernels that compute convolutions' gradients. */
interface ConvolutionAttributes extends WindowAttributes {
  inputShape: number[];
  filterShape: number[];
  dataFormat?: string;
}

/** tfjs's own kernels that were replaced, by name, to compare with. */
export const stockKernels: Map<string, KernelConfig> = new Map();

/** Registers the kernels, once the wasm backend is ready. Those of the same name that tfjs has are replaced. */
export function completeWasmKernels(tf: TF): void {
  for (const [kernelName, kernel] of Object.entries(kernels(tf))) {
    const stock = tf.getKernel(kernelName, "wasm");
    if (stock) {
      stockKernels.set(kernelName, stock);
      tf.unregisterKernel(kernelName, "wasm");
    }
    // What a kernel makes on its way is disposed as it returns, and also if it throws.
    const kernelFunc: KernelFunc = ({ inputs, attrs, backend }) =>
      tf.tidy(() => kernel(inputs as Inputs, attrs ?? {}, backend as WasmBackend) as Tensor);
    // Some still end in tfjs's own, which has to be set up for that.
    tf.registerKernel({ kernelName, backendName: "wasm", setupFunc: stock?.setupFunc, kernelFunc });
  }
}

/** The kernels by their names in tfjs. */
function kernels(tf: TF): Record<string, Kernel> {
  return {
    // tfjs's own computes 3 GFLOP/s, a tenth of what its forward convolution does.
    Conv2DBackpropInput: ({ dy, filter }, attrs) => {
      const { dataFormat, inputShape, ...window } = attrs as unknown as ConvolutionAttributes;
      if (dataFormat !== "NCHW") return inputGradient(tf, dy, filter, inputShape, window);
      const last = [0, 2, 3, 1].map((axis) => inputShape[axis]);
      return channelsFirst(tf, inputGradient(tf, channelsLast(tf, dy), filter, last, window));
    },
    Conv2DBackpropFilter: ({ x, dy }, attrs) => {
      const { dataFormat, filterShape, ...window } = attrs as unknown as ConvolutionAttributes;
      if (dataFormat !== "NCHW") return filterGradient(tf, x, dy, filterShape, window);
      return filterGradient(tf, channelsLast(tf, x), channelsLast(tf, dy), filterShape, window);
    },
    // tfjs's own two are wrong: the first always, the second with strides.
    Conv3DBackpropInputV2: ({ dy, filter }, attrs) => {
      const { inputShape, ...window } = attrs as unknown as ConvolutionAttributes;
      return inputGradient(tf, dy, filter, inputShape, window);
    },
    Conv3DBackpropFilterV2: ({ x, dy }, attrs) => {
      const { filterShape, ...window } = attrs as unknown as ConvolutionAttributes;
      return filterGradient(tf, x, dy, filterShape, window);
    },
    DepthwiseConv2dNativeBackpropInput: ({ dy, filter }, attrs) => {
      const { inputShape, ...window } = attrs as unknown as ConvolutionAttributes;
      return depthwiseInputGradient(tf, dy, filter, convolutionAxes(tf, inputShape, filter.shape, window, true));
    },
    DepthwiseConv2dNativeBackpropFilter: ({ x, dy }, attrs) => {
      const { filterShape, ...window } = attrs as unknown as ConvolutionAttributes;
      return depthwiseFilterGradient(tf, x, dy, convolutionAxes(tf, x.shape, filterShape, window, true));
    },
    // tfjs's own give ties to the last of the equal cells, and are wrong where windows reach over the border.
    MaxPoolGrad: (inputs, attrs) => maxPoolGrad(tf, inputs, attrs),
    MaxPool3DGrad: (inputs, attrs) => maxPoolGrad(tf, inputs, attrs),
    UnsortedSegmentSum: (inputs, attrs) => unsortedSegmentSum(tf, inputs, attrs),
    BatchMatMul: (inputs, attrs, backend) => matMul(tf, inputs, attrs, backend),
    Reverse: (inputs, attrs, backend) => reverse(tf, inputs, attrs, backend),
    // tfjs's own copies: every tensor that a gradient needs later was twice in memory.
    Identity: ({ x }, attrs, backend) => {
      if (x.dtype === "string") return stock("Identity", { x }, attrs, backend);
      backend.incRef(x.dataId);
      return { dataId: x.dataId, shape: x.shape, dtype: x.dtype };
    },
  };
}

function inputGradient(tf: TF, dy: Tensor, filter: Tensor, inputShape: number[], window: WindowAttributes): Tensor {
  return convolutionInputGradient(tf, dy, filter, convolutionAxes(tf, inputShape, filter.shape, window));
}

function filterGradient(tf: TF, x: Tensor, dy: Tensor, filterShape: number[], window: WindowAttributes): Tensor {
  return convolutionFilterGradient(tf, x, dy, convolutionAxes(tf, x.shape, filterShape, window));
}

function channelsLast(tf: TF, x: Tensor): Tensor {
  return tf.transpose(x, [0, 2, 3, 1]);
}

function channelsFirst(tf: TF, x: Tensor): Tensor {
  return tf.transpose(x, [0, 3, 1, 2]);
}

function stock(name: string, inputs: Inputs, attrs: NamedAttrMap, backend: WasmBackend): TensorInfo {
  return stockKernels.get(name)!.kernelFunc({ inputs, attrs, backend }) as TensorInfo;
}

function maxPoolGrad(tf: TF, { dy, input }: Inputs, attrs: NamedAttrMap): Tensor {
  const axes = poolingAxes(tf, input.shape, attrs as unknown as PoolingAttributes);
  const dx = maxPoolGradient(input.dataSync<"float32">(), dy.dataSync<"float32">(), input.shape.at(-1)!, axes);
  return tf.tensor(dx, input.shape);
}

/** Sums of the slices `x[i]` with the same `segmentIds[i]`; ids below zero or past the last segment are left out. */
function unsortedSegmentSum(tf: TF, { x, segmentIds }: Inputs, attrs: NamedAttrMap): Tensor {
  const segments = attrs.numSegments as number;
  const slice = x.shape.slice(segmentIds.rank);
  const ids = tf.reshape(segmentIds, [-1]);
  const outside = tf.logicalOr(tf.less(ids, 0), tf.greaterEqual(ids, segments));
  // Scattering past the end would write into foreign memory: what is outside goes to one more segment.
  const safe = tf.where(outside, tf.fill(ids.shape, segments, "int32"), ids);
  const indices = tf.reshape(safe, [-1, 1]);
  const sums = tf.scatterND(indices, tf.reshape(x, [ids.size, ...slice]), [segments + 1, ...slice]);
  return tf.slice(sums, 0, segments);
}

/**
 * Products of single matrices, transposed ones, too: tfjs's own has a fast path for those that are not, and is up to
 * fifty times slower for all others.
 */
function matMul(tf: TF, { a, b }: Inputs, attrs: NamedAttrMap, backend: WasmBackend): Tensor | TensorInfo {
  const { transposeA, transposeB } = attrs as { transposeA: boolean; transposeB: boolean };
  const batches = sizeOf(a.shape.slice(0, -2)) * sizeOf(b.shape.slice(0, -2));
  if (batches !== 1 || (!transposeA && !transposeB)) return stock("BatchMatMul", { a, b }, attrs, backend);
  const left = tf.reshape(a, a.shape.slice(-2) as [number, number]);
  const right = tf.reshape(b, b.shape.slice(-2) as [number, number]);
  const rows: number = left.shape[transposeA ? 1 : 0]!;
  const columns: number = right.shape[transposeB ? 0 : 1]!;
  const aside = rows * columns + (transposeA ? 0 : left.size);
  const upright = right.size + (transposeA ? left.size : 0);
  const product = transposeB && aside < upright
    // (B Aᵀ)ᵀ spares the turning of a large B.
    ? tf.transpose(tf.matMul(right, transposeA ? left : tf.transpose(left)))
    : tf.matMul(transposeA ? tf.transpose(left) : left, transposeB ? tf.transpose(right) : right);
  const outer = Math.max(a.rank, b.rank) - 2;
  return tf.reshape(product, [...Array(outer).fill(1), rows, columns]);
}

/** Copies run by run what stays in order; tfjs's own goes cell by cell, and costs more than the convolution after it. */
function reverse(tf: TF, { x }: Inputs, attrs: NamedAttrMap, backend: WasmBackend): TensorInfo {
  const axes = tf.util.parseAxisParam(attrs.dims as number[], x.shape);
  const run = sizeOf(x.shape.slice(Math.max(-1, ...axes) + 1));
  const outer = x.shape.slice(0, Math.max(-1, ...axes) + 1);
  const output = backend.makeOutput(x.shape, x.dtype);
  const from = backend.typedArrayFromHeap(x);
  const to = backend.typedArrayFromHeap(output);
  const strides = tf.util.computeStrides([...outer, 1]);
  for (let i = 0; i < sizeOf(outer); i++) {
    let source = 0;
    for (let axis = 0, rest = i; axis < outer.length; axis++) {
      const at = Math.floor(rest / strides[axis]);
      rest -= at * strides[axis];
      source += (axes.includes(axis) ? outer[axis] - 1 - at : at) * strides[axis];
    }
    if (run < 16) { for (let j = 0; j < run; j++) to[i * run + j] = from[source * run + j]; }
    else to.set(from.subarray(source * run, (source + 1) * run), i * run);
  }
  return output;
}
