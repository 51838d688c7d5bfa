/**
 * Convolutions of the wasm backend, about twice as fast as tfjs's own; normalisations in one step; the maximum of whole
 * maps, and where it is.
 *
 * The kernels (`kernels.as`, compiled by `deno task kernels`) are a WASM module of their own that works on the memory of tfjs's,
 * so nothing is copied. They multiply and add in one instruction (relaxed SIMD), compute 3×3 windows by Winograd's
 * algorithm, and add bias and side input and rectify on the way out. Shapes that do not suit them stay with tfjs's own.
 *
 * @module
 */

import type { backend_util, KernelFunc, NamedAttrMap, Tensor4D, TensorInfo } from "npm:@tensorflow/tfjs@4.22.0";
import { CONVOLUTION, type ConvolutionAttributes, type ConvolutionInputs } from "../core/convolution.ts";
import { MAXIMA } from "../core/maxima.ts";
import { NORMALIZATION } from "../core/normalization.ts";
import { stockKernels } from "../gradients/wasm_kernels.ts";
import { PackedFilters } from "./packed_filters.ts";
import type { TF } from "../core/types.ts";

/** What `kernels.wasm` exports; `kernels.as` says what each does. Numbers are addresses in bytes and counts. */
interface Kernels {
  pack(matrix: number, rows: number, columns: number, panels: number): void;
  // deno-fmt-ignore
  convolve(x: number, batch: number, h: number, w: number, pitch: number, channels: number, kh: number, kw: number, filters: number, strideY: number, strideX: number, dilationY: number, dilationX: number, top: number, left: number, oh: number, ow: number, panels: number, bias: number, side: number, rectify: boolean, zeros: number, table: number, block: number, out: number): void;
  winogradFilters(filter: number, channels: number, filters: number, panels: number): void;
  // deno-fmt-ignore
  winograd(x: number, batch: number, h: number, w: number, channels: number, filters: number, top: number, left: number, oh: number, ow: number, panels: number, bias: number, side: number, rectify: boolean, zeros: number, table: number, tiles: number, inputs: number, products: number, out: number): void;
  largest(x: number, batch: number, cells: number, channels: number, out: number): void;
  maxima(x: number, batch: number, cells: number, channels: number, values: number, places: number): void;
  // deno-fmt-ignore
  normalize(x: number, cells: number, channels: number, scale: number, shift: number, side: number, rectify: boolean, out: number): void;
}

/** The part of tfjs's wasm backend that reaches its memory. */
interface WasmBackend {
  wasm: {
    asm: { memory: WebAssembly.Memory };
    HEAPU8: Uint8Array;
    _malloc(bytes: number): number;
    _free(offset: number): void;
  };
  dataIdMap: { get(id: object): { memoryOffset: number } };
  makeOutput(shape: number[], dtype: string): TensorInfo;
  disposeData(id: object, force?: boolean): boolean;
}

type Geometry = ReturnType<typeof backend_util.computeConv2DInfo>;

/** The inputs of a convolution, as kernels get them. */
type Inputs = Record<"x" | "filter", TensorInfo> & { bias?: TensorInfo; side?: TensorInfo };

/** How many tiles of 2×2 outputs Winograd's algorithm works on at once. */
const TILES = 64;

/**
 * The fewest tiles of an image for which Winograd's algorithm pays. Other images of the batch do not count: no result
 * depends on them.
 */
const ENOUGH_TILES = 4;

/**
 * Replaces the convolutions of the wasm backend, once it is ready.
 *
 * Nothing is replaced where WASM has no relaxed SIMD.
 *
 * @returns to be called when the backend has got another module
 */
export async function useFastConvolutions(tf: TF): Promise<() => Promise<void>> {
  const code = await (await fetch(new URL("./kernels.wasm", import.meta.url))).arrayBuffer();
  if (!WebAssembly.validate(code)) return () => Promise.resolve();
  const backend = tf.findBackend("wasm") as unknown as WasmBackend;
  const instantiate = async () => {
    const { memory } = backend.wasm.asm;
    const { instance } = await WebAssembly.instantiate(code, { env: { memory } });
    return instance.exports as unknown as Kernels;
  };
  let kernels = await instantiate();
  const packed = new PackedFilters(backend);

  const replace = (kernelName: string, make: (stock: KernelFunc) => KernelFunc) => {
    const stock = tf.getKernel(kernelName, "wasm");
    stockKernels.set(kernelName, stock);
    tf.unregisterKernel(kernelName, "wasm");
    tf.registerKernel({ ...stock, kernelFunc: make(stock.kernelFunc) });
  };
  const geometry = ({ x, filter }: Inputs, attributes: unknown) => {
    const { strides, pad, dilations, dimRoundingMode } = attributes as Record<string, never>;
    return tf.backend_util.computeConv2DInfo(
      x.shape as never,
      filter.shape as never,
      strides,
      dilations,
      pad,
      dimRoundingMode,
    );
  };
  replace("Conv2D", (stock) => (call) => {
    const inputs = call.inputs as unknown as Inputs;
    if (call.attrs!.dataFormat !== "NHWC") return stock(call);
    const info = geometry(inputs, call.attrs);
    if (suits(inputs, info)) return compute(kernels, backend, packed, inputs, info, false);
    return isWrong(info) && info.outChannels % 8 !== 0 ? widened(tf, inputs, call.attrs!) : stock(call);
  });
  replace("FusedConv2D", (stock) => (call) => {
    const { x, filter, bias, preluActivationWeights } = call.inputs as unknown as Record<string, TensorInfo>;
    const { dataFormat, activation } = call.attrs as Record<string, unknown>;
    if (dataFormat !== "NHWC") return stock(call);
    const inputs = { x, filter, ...bias && { bias } };
    const info = geometry(inputs, call.attrs);
    const plain = !preluActivationWeights && (activation === "linear" || activation === "relu");
    if (plain && suits(inputs, info)) return compute(kernels, backend, packed, inputs, info, activation === "relu");
    return isWrong(info) ? apart(tf, call) : stock(call);
  });
  replace("MaxPool", (stock) => (call) => {
    const x = call.inputs.x as TensorInfo;
    return isWhole(x, call.attrs!) ? largest(kernels, backend, x) : stock(call);
  });
  tf.registerKernel({
    kernelName: CONVOLUTION,
    backendName: "wasm",
    kernelFunc: ({ inputs, attrs }) => {
      const { rectify, ...window } = attrs as unknown as ConvolutionAttributes;
      const info = geometry(inputs as unknown as Inputs, window);
      if (suits(inputs as unknown as Inputs, info)) {
        return compute(kernels, backend, packed, inputs as unknown as Inputs, info, rectify);
      }
      const { side, ...rest } = inputs as unknown as ConvolutionInputs;
      const fused = { ...rest, ...window, dataFormat: "NHWC" as const };
      if (!side) return tf.fused.conv2d({ ...fused, activation: rectify ? "relu" : "linear" });
      return tf.tidy(() => {
        const sum = tf.add(tf.fused.conv2d({ ...fused, activation: "linear" }), side) as Tensor4D;
        return rectify ? tf.relu(sum) : sum;
      });
    },
  });
  tf.registerKernel({
    kernelName: MAXIMA,
    backendName: "wasm",
    kernelFunc: ({ inputs }) => maxima(kernels, backend, inputs.maps as TensorInfo),
  });
  tf.registerKernel({
    kernelName: NORMALIZATION,
    backendName: "wasm",
    kernelFunc: ({ inputs, attrs }) =>
      normalize(kernels, backend, inputs as Record<string, TensorInfo>, Boolean(attrs!.rectify)),
  });
  return async () => {
    kernels = await instantiate();
    packed.connect();
  };
}

/** Whether a pooling takes each map as a whole. */
function isWhole(
  { shape: [, height, width, channels], dtype }: TensorInfo,
  { filterSize, pad }: NamedAttrMap,
): boolean {
  const [rows, columns] = [filterSize].flat(1) as number[];
  return pad === "valid" && rows === height && (columns ?? rows) === width && height * width > 0 &&
    channels % 4 === 0 && dtype === "float32";
}

/** The largest value of each map, `[n, 1, 1, c]`. */
function largest(kernels: Kernels, backend: WasmBackend, x: TensorInfo): TensorInfo {
  const [batch, height, width, channels] = x.shape;
  const out = backend.makeOutput([batch, 1, 1, channels], "float32");
  const at = ({ dataId }: TensorInfo) => backend.dataIdMap.get(dataId).memoryOffset;
  // A tensor may move into this memory only now, as its address is asked for.
  const [from, to] = [at(x), at(out)];
  kernels.largest(from, batch, height * width, channels, to);
  return out;
}

/** The largest value of each map and its place, `[2, n, c]`. */
function maxima(kernels: Kernels, backend: WasmBackend, maps: TensorInfo): TensorInfo {
  const [batch] = maps.shape;
  const channels = maps.shape.at(-1)!;
  const cells = maps.shape.slice(1, -1).reduce((product, side) => product * side, 1);
  const out = backend.makeOutput([2, batch, channels], "float32");
  const at = ({ dataId }: TensorInfo) => backend.dataIdMap.get(dataId).memoryOffset;
  const [from, to] = [at(maps), at(out)];
  kernels.maxima(from, batch, cells, channels, to, to + 4 * batch * channels);
  return out;
}

function normalize(
  kernels: Kernels,
  backend: WasmBackend,
  { x, scale, shift, side }: Record<string, TensorInfo>,
  rectify: boolean,
): TensorInfo {
  const channels = x.shape.at(-1)!;
  const cells = x.shape.slice(0, -1).reduce((product, side) => product * side, 1);
  const out = backend.makeOutput(x.shape, "float32");
  const at = ({ dataId }: TensorInfo) => backend.dataIdMap.get(dataId).memoryOffset;
  const [from, factors, added, to] = [x, scale, shift, out].map(at);
  kernels.normalize(from, cells, channels, factors, added, side ? at(side) : 0, rectify, to);
  return out;
}

/** How many taps a row of the window has, and how many floats each of them reads. */
function tapsOfRow({ inWidth, outWidth, inChannels, filterWidth, strideWidth, dilationWidth, padInfo }: Geometry) {
  // Where no window hangs over the left or right border, the taps of a row are one: what they read lies in a row, too.
  const inside = padInfo.left === 0 && (outWidth - 1) * strideWidth + filterWidth <= inWidth;
  return inside && dilationWidth === 1 ? [1, filterWidth * inChannels] : [filterWidth, inChannels];
}

/** Whether tfjs's own would be wrong: with some paddings given in numbers, and with strides longer than the window. */
function isWrong({ padInfo, strideHeight, strideWidth, filterHeight, filterWidth }: Geometry): boolean {
  return !["SAME", "VALID"].includes(padInfo.type) || strideHeight > filterHeight || strideWidth > filterWidth;
}

/** Convolves with as many filters as the kernels take, and drops those that were added. */
function widened(tf: TF, { x, filter }: Inputs, attributes: NamedAttrMap): TensorInfo {
  const { strides, pad, dilations, dimRoundingMode } = attributes as Record<string, never>;
  const [image, own] = [x, filter] as Tensor4D[];
  return tf.tidy(() => {
    const count = own.shape[3];
    const wide = tf.pad(own, [[0, 0], [0, 0], [0, 0], [0, 8 - count % 8]]);
    const all = tf.conv2d(image, wide, strides, pad, "NHWC", dilations, dimRoundingMode);
    return tf.slice(all, [0, 0, 0, 0], [-1, -1, -1, count]);
  });
}

/** A fused convolution as single operations, in tfjs's order. */
function apart(tf: TF, { inputs, attrs }: Parameters<KernelFunc>[0]): TensorInfo {
  const { x, filter, bias, preluActivationWeights } = inputs as Record<string, Tensor4D | undefined>;
  const { strides, pad, dilations, dimRoundingMode, activation, leakyreluAlpha } = attrs as Record<string, never>;
  return tf.tidy(() => {
    const y = tf.conv2d(x!, filter!, strides, pad, "NHWC", dilations, dimRoundingMode);
    const sum = bias ? tf.add(y, bias) : y;
    if (preluActivationWeights) return tf.prelu(sum, preluActivationWeights);
    if (activation === "leakyrelu") return tf.leakyRelu(sum, leakyreluAlpha);
    return activation === "linear" ? sum : tf[activation as "relu" | "relu6" | "elu" | "sigmoid"](sum);
  });
}

/** Whether the kernels can compute this and should: taps that read little leave them idle. */
function suits(inputs: Inputs, geometry: Geometry): boolean {
  const { bias, side } = inputs;
  const { outChannels, outShape } = geometry;
  return Object.values(inputs).every(({ dtype }) => dtype === "float32") &&
    (isWrong(geometry) || tapsOfRow(geometry)[1] >= 8) && outChannels % 8 === 0 && outChannels > 0 &&
    outShape.every((side) => side > 0) &&
    (!bias || bias.shape.join() === String(outChannels)) && (!side || side.shape.join() === outShape.join());
}

function compute(
  kernels: Kernels,
  backend: WasmBackend,
  packed: PackedFilters,
  { x, filter, bias, side }: Inputs,
  g: Geometry,
  rectify: boolean,
): TensorInfo {
  const { wasm } = backend;
  const at = (tensor: TensorInfo | undefined) => tensor ? backend.dataIdMap.get(tensor.dataId).memoryOffset : 0;
  const { batchSize: batch, inHeight, inWidth, inChannels: channels, filterHeight, filterWidth, outChannels } = g;
  const { outHeight, outWidth, strideHeight, strideWidth, dilationHeight, dilationWidth, padInfo: { top, left } } = g;
  const [width, read] = tapsOfRow(g);
  const taps = filterHeight * width;
  const simple = [filterHeight, filterWidth].every((side) => side === 3) && channels % 4 === 0 &&
    [strideHeight, strideWidth, dilationHeight, dilationWidth].every((step) => step === 1) && top <= 1 && left <= 1;
  const byWinograd = simple && Math.ceil(outHeight / 2) * Math.ceil(outWidth / 2) >= ENOUGH_TILES;
  // About 256 kB of input at once, but not too many addresses for one tap each.
  const block = byWinograd ? TILES : 4 * Math.max(1, Math.min(48, Math.floor(16384 / read), Math.floor(65536 / taps)));

  let output: TensorInfo | undefined;
  const taken: number[] = [];
  const floats = (count: number) => {
    taken.push(wasm._malloc(4 * count));
    return taken.at(-1)!;
  };
  try {
    const zeros = floats(byWinograd ? 4 * channels : read);
    const table = floats(block * (byWinograd ? 1 : taps));
    const rooms = byWinograd ? [floats(16 * TILES * channels), floats(16 * TILES * outChannels)] : [];
    output = backend.makeOutput(g.outShape, "float32");
    // A tensor may move into this memory only now, as its address is asked for.
    const [image, weights, offsets, added, out] = [x, filter, bias, side, output].map(at);
    wasm.HEAPU8.fill(0, zeros, zeros + 4 * (byWinograd ? 4 * channels : read));
    // Last of all: where room is short, packed filters make way.
    const count = (byWinograd ? 16 * channels : taps * read) * outChannels;
    const { panels, kept } = packed.get(filter.dataId, byWinograd ? -outChannels : outChannels, count, (to) => {
      if (byWinograd) kernels.winogradFilters(weights, channels, outChannels, to);
      else kernels.pack(weights, taps * read, outChannels, to);
    });
    if (!kept) taken.push(panels);
    const window = [top, left, outHeight, outWidth, panels, offsets, added, rectify, zeros, table, block] as const;
    if (byWinograd) {
      const [inputs, products] = rooms;
      kernels.winograd(image, batch, inHeight, inWidth, channels, outChannels, ...window, inputs, products, out);
    } else {
      const shape = [batch, inHeight, inWidth, channels, read, filterHeight, width, outChannels] as const;
      const steps = [strideHeight, strideWidth, dilationHeight, dilationWidth] as const;
      kernels.convolve(image, ...shape, ...steps, ...window, out);
    }
    return output;
  } catch (error) {
    if (output) backend.disposeData(output.dataId);
    throw error;
  } finally {
    taken.forEach((offset) => wasm._free(offset));
  }
}
