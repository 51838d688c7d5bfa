/**
 * Layers of Keras that TensorFlow.js has not.
 *
 * Each is a few lines: its options with Keras's defaults, its weights, what it computes. The class around them is the same
 * for all.
 *
 * @module
 */

import type { layers, Tensor, Tensor4D } from "npm:@tensorflow/tfjs@4.22.0";
import type { TF } from "../core/types.ts";
import { channelsLast } from "./convolutions.ts";
import type { Config, Shape } from "./replacement.ts";

/** A layer's options, as they were given. */
// deno-lint-ignore no-explicit-any
type Options = Record<string, any>;

/** A weight that a layer makes: its name, its shape, what it begins with, whether it is trained, and its type. */
type WeightSpec = [
  name: string,
  shape: Shape,
  begins: "zeros" | "ones" | "glorotUniform",
  trained: boolean,
  dtype?: "int32",
];

/** What a layer is. */
interface Added {
  /** Options and their defaults. */
  options?: Options;
  weights?(options: Options, shape: Shape): WeightSpec[];
  call(tf: TF, x: Tensor, options: Options, weights: Record<string, Tensor>, inputs: readonly Tensor[]): Tensor;
  /** @default that of its input */
  outputShape?(options: Options, shape: Shape): Shape;
}

/** A layer that does nothing when a network is asked. */
const IDLE: Added = { call: (tf, x) => tf.clone(x) };

const idle = (...options: string[]): Added => ({
  ...IDLE,
  options: Object.fromEntries(options.map((name) => [name, null])),
});

const isFirst = ({ dataFormat }: Options) => dataFormat === "channelsFirst";

/** The axes of a map's sides. */
const sides = (options: Options, rank: number) =>
  Array.from({ length: rank }, (_, i) => i + (isFirst(options) ? 2 : 1));

/** Pairs, one a side, of what Keras writes as a number, a list of numbers or a list of pairs. */
export function pairs(value: unknown, rank: number): [number, number][] {
  if (typeof value === "number") return Array(rank).fill([value, value]);
  const list = value as (number | [number, number])[];
  // In one dimension a list is the pair.
  if (rank === 1 && list.length === 2 && typeof list[0] === "number") return [list as [number, number]];
  return list.map((item) => typeof item === "number" ? [item, item] : item);
}

const withLength = (shape: Shape, axes: number[], change: (length: number, side: number) => number): Shape =>
  shape.map((length, axis) => {
    const side = axes.indexOf(axis);
    return side < 0 || length === null ? length : change(length, side);
  });

function zeroPadding(rank: number): Added {
  const amounts = ({ padding }: Options) => pairs(padding, rank);
  return {
    options: { padding: 1, dataFormat: "channelsLast" },
    call(tf, x, options) {
      const all: [number, number][] = x.shape.map(() => [0, 0]);
      sides(options, rank).forEach((axis, side) => all[axis] = amounts(options)[side]);
      return tf.pad(x, all);
    },
    outputShape: (options, shape) =>
      withLength(
        shape,
        sides(options, rank),
        (length, side) => length + amounts(options)[side][0] + amounts(options)[side][1],
      ),
  };
}

function cropping(rank: number): Added {
  const amounts = (options: Options) => pairs(options.cropping, rank);
  return {
    options: { cropping: 1, dataFormat: "channelsLast" },
    call(tf, x, options) {
      const [begin, size] = [x.shape.map(() => 0), [...x.shape]];
      sides(options, rank).forEach((axis, side) => {
        const [before, behind] = amounts(options)[side];
        begin[axis] = before;
        size[axis] -= before + behind;
      });
      return tf.slice(x, begin, size);
    },
    outputShape: (options, shape) =>
      withLength(
        shape,
        sides(options, rank),
        (length, side) => length - amounts(options)[side][0] - amounts(options)[side][1],
      ),
  };
}

/** Each cell several times along an axis. */
function repeat(tf: TF, x: Tensor, axis: number, times: number): Tensor {
  const product = (lengths: number[]) => lengths.reduce((a, b) => a * b, 1);
  const [before, behind] = [product(x.shape.slice(0, axis + 1)), product(x.shape.slice(axis + 1))];
  const tall = tf.tile(tf.reshape(x, [before, 1, behind]), [1, times, 1]);
  return tf.reshape(tall, x.shape.map((length, i) => i === axis ? length * times : length));
}

function upSampling(rank: number): Added {
  const sizes = ({ size }: Options): number[] => Array.isArray(size) ? size : Array(rank).fill(size);
  return {
    options: { size: 2, dataFormat: "channelsLast" },
    call: (tf, x, options) =>
      sides(options, rank).reduce((y, axis, side) => repeat(tf, y, axis, sizes(options)[side]), x),
    outputShape: (options, shape) =>
      withLength(shape, sides(options, rank), (length, side) => length * sizes(options)[side]),
  };
}

function globalPooling3D(mode: "max" | "mean"): Added {
  return {
    options: { keepdims: false, dataFormat: "channelsLast" },
    call: (tf, x, options) => tf[mode](x, sides(options, 3), options.keepdims),
    outputShape(options, shape) {
      const axes = sides(options, 3);
      if (options.keepdims) return withLength(shape, axes, () => 1);
      return shape.filter((_, axis) => !axes.includes(axis));
    },
  };
}

const axisOf = (axis: number, rank: number) => axis < 0 ? axis + rank : axis;

/** A vector along one axis, to be stretched over the others. */
const along = (tf: TF, vector: Tensor, axis: number, rank: number) =>
  tf.reshape(vector, Array.from({ length: rank }, (_, i) => i === axis ? vector.size : 1));

/** `(x − mean) / √(variance + epsilon)`, the moments over some axes. */
function standardized(tf: TF, x: Tensor, axes: number[], epsilon: number): Tensor {
  const { mean, variance } = tf.moments(x, axes, true);
  return tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, epsilon)));
}

/** Wu & He 2018, "Group Normalization". */
const groupNormalization: Added = {
  options: { groups: 32, axis: -1, epsilon: 1e-3, center: true, scale: true },
  weights({ axis, center, scale }, shape) {
    const channels = shape[axisOf(axis, shape.length)];
    const all: WeightSpec[] = [["gamma", [channels], "ones", true], ["beta", [channels], "zeros", true]];
    return all.filter(([name]) => name === "gamma" ? scale : center);
  },
  call(tf, x, { groups, axis: given, epsilon }, { gamma, beta }) {
    const axis = axisOf(given, x.rank);
    const channels = x.shape[axis];
    const count = groups === -1 ? channels : groups;
    // The groups' axis goes right behind the batch's; all behind it is what is standardised.
    const order = [0, axis, ...x.shape.map((_, i) => i).slice(1).filter((i) => i !== axis)];
    const moved = tf.transpose(x, order);
    const grouped = tf.reshape(moved, [x.shape[0], count, moved.size / x.shape[0] / count]);
    const y = tf.reshape(standardized(tf, grouped, [2], epsilon), moved.shape);
    let back = tf.transpose(y, order.map((_, i) => order.indexOf(i)));
    if (gamma) back = tf.mul(back, along(tf, gamma, axis, x.rank));
    return beta ? tf.add(back, along(tf, beta, axis, x.rank)) : back;
  },
};

const unitNormalization: Added = {
  options: { axis: -1 },
  call(tf, x, { axis }) {
    const axes = [axis].flat().map((axis: number) => axisOf(axis, x.rank));
    return tf.mul(x, tf.rsqrt(tf.maximum(tf.sum(tf.square(x), axes, true), 1e-12)));
  },
};

/** Zhang & Sennrich 2019, "Root Mean Square Layer Normalization". */
const rmsNormalization: Added = {
  options: { axis: -1, epsilon: 1e-6 },
  weights({ axis }, shape) {
    const axes = [axis].flat().map((axis: number) => shape[axisOf(axis, shape.length)]);
    return [["scale", axes, "ones", true]];
  },
  call(tf, x, { axis, epsilon }, { scale }) {
    const axes = [axis].flat().map((axis: number) => axisOf(axis, x.rank));
    const y = tf.mul(x, tf.rsqrt(tf.add(tf.mean(tf.square(x), axes, true), epsilon)));
    return tf.mul(y, tf.reshape(scale, x.shape.map((length, i) => axes.includes(i) ? length : 1)));
  },
};

/** Mean and variance come with the configuration, or as weights of a layer that was adapted. */
const normalization: Added = {
  options: { axis: -1, mean: null, variance: null, invert: false },
  weights({ axis, mean }, shape) {
    if (mean !== null) return [];
    const axes = axis === null ? [] : [axis].flat().map((axis: number) => shape[axisOf(axis, shape.length)]);
    // How many examples it was adapted to is kept with them.
    const count: WeightSpec = ["count", [], "zeros", false, "int32"];
    return [["mean", axes, "zeros", false], ["variance", axes, "ones", false], count];
  },
  call(tf, x, { axis, mean, variance, invert }, weights) {
    const axes = axis === null ? [] : [axis].flat().map((axis: number) => axisOf(axis, x.rank));
    const [m, v] = [weights.mean ?? tf.tensor(mean), weights.variance ?? tf.tensor(variance)].map((values) => {
      const lengths = x.shape.map((length, i) => axes.includes(i) ? length : 1);
      return values.size === 1 ? tf.reshape(values, []) : tf.reshape(values, lengths);
    });
    const deviation = tf.maximum(tf.sqrt(v), 1e-7);
    return invert ? tf.add(m, tf.mul(x, deviation)) : tf.div(tf.sub(x, m), deviation);
  },
};

const one = (value: unknown): number => Array.isArray(value) ? value[0] : value as number;

/** The length that a window over one side leaves. */
function windowed(length: number, { kernelSize, strides, dilationRate, padding }: Options): number {
  const reach = (one(kernelSize) - 1) * one(dilationRate) + 1;
  return padding === "valid" ? Math.floor((length - reach) / one(strides)) + 1 : Math.ceil(length / one(strides));
}

const oneSide = (options: Options, shape: Shape, channels: number, length: (length: number) => number): Shape => {
  const [batch, ...rest] = shape;
  const side = isFirst(options) ? rest[1] : rest[0];
  const made = side === null ? null : length(side);
  return isFirst(options) ? [batch, channels, made] : [batch, made, channels];
};

const channelsIn = (options: Options, shape: Shape) => shape[isFirst(options) ? 1 : 2]!;

/** Runs a convolution in two dimensions over maps of one. */
function inOne(tf: TF, options: Options, x: Tensor, run: (x: Tensor4D) => Tensor): Tensor {
  return channelsLast(tf, options as { dataFormat: "channelsLast" }, x, (x) => {
    const before = options.padding === "causal" ? (one(options.kernelSize) - 1) * one(options.dilationRate) : 0;
    const padded = before ? tf.pad(x, [[0, 0], [before, 0], [0, 0]]) : x;
    return tf.squeeze(run(tf.expandDims(padded, 1) as Tensor4D), [1]);
  });
}

const CONVOLUTION_1D: Options = {
  kernelSize: 1,
  strides: 1,
  padding: "valid",
  dataFormat: "channelsLast",
  dilationRate: 1,
  depthMultiplier: 1,
  activation: "linear",
  useBias: true,
};

function depthwise1D(tf: TF, x: Tensor4D, kernel: Tensor, { strides, padding, dilationRate }: Options): Tensor {
  const [stride, dilation] = [one(strides), one(dilationRate)];
  // TensorFlow has depthwise convolutions with equal strides only; of one row a stride leaves that row.
  const filters = tf.expandDims(kernel, 0) as Tensor4D;
  const padded = padding === "same" ? "same" : "valid";
  return tf.depthwiseConv2d(x, filters, [stride, stride], padded, "NHWC", [dilation, dilation]);
}

const biased = (tf: TF, x: Tensor, bias?: Tensor) => bias ? tf.add(x, bias) : x;

const depthwiseConv1D: Added = {
  options: CONVOLUTION_1D,
  weights(options, shape) {
    const channels = channelsIn(options, shape);
    const { depthMultiplier, useBias, kernelSize } = options;
    const kernel: WeightSpec = [
      "depthwise_kernel",
      [one(kernelSize), channels, depthMultiplier],
      "glorotUniform",
      true,
    ];
    return useBias ? [kernel, ["bias", [channels * depthMultiplier], "zeros", true]] : [kernel];
  },
  call: (tf, x, options, { depthwise_kernel: kernel, bias }) =>
    inOne(tf, options, x, (x) => biased(tf, depthwise1D(tf, x, kernel, options), bias)),
  outputShape: (options, shape) =>
    oneSide(
      options,
      shape,
      channelsIn(options, shape) * options.depthMultiplier,
      (length) => windowed(length, options),
    ),
};

const separableConv1D: Added = {
  options: { ...CONVOLUTION_1D, filters: 1 },
  weights(options, shape) {
    const channels = channelsIn(options, shape);
    const { depthMultiplier, filters, useBias, kernelSize } = options;
    const kernels: WeightSpec[] = [
      ["depthwise_kernel", [one(kernelSize), channels, depthMultiplier], "glorotUniform", true],
      ["pointwise_kernel", [1, channels * depthMultiplier, filters], "glorotUniform", true],
    ];
    return useBias ? [...kernels, ["bias", [filters], "zeros", true]] : kernels;
  },
  call: (tf, x, options, { depthwise_kernel: depthwise, pointwise_kernel: pointwise, bias }) =>
    inOne(tf, options, x, (x) => {
      const each = depthwise1D(tf, x, depthwise, options) as Tensor4D;
      return biased(tf, tf.conv2d(each, tf.expandDims(pointwise, 0) as Tensor4D, 1, "valid"), bias);
    }),
  outputShape: (options, shape) => oneSide(options, shape, options.filters, (length) => windowed(length, options)),
};

const conv1DTranspose: Added = {
  options: { ...CONVOLUTION_1D, filters: 1, outputPadding: null },
  weights(options, shape) {
    const kernel: WeightSpec = [
      "kernel",
      [one(options.kernelSize), options.filters, channelsIn(options, shape)],
      "glorotUniform",
      true,
    ];
    return options.useBias ? [kernel, ["bias", [options.filters], "zeros", true]] : [kernel];
  },
  call: (tf, x, options, { kernel, bias }) =>
    inOne(tf, options, x, (x) => {
      const { strides, padding, filters, kernelSize } = options;
      const length = padding === "same"
        ? x.shape[2] * one(strides)
        : (x.shape[2] - 1) * one(strides) + Math.max(one(kernelSize), one(strides));
      const shape: [number, number, number, number] = [x.shape[0], 1, length, filters];
      const filter = tf.expandDims(kernel, 0) as Tensor4D;
      return biased(tf, tf.conv2dTranspose(x, filter, shape, [1, one(strides)], padding), bias);
    }),
  outputShape: (options, shape) =>
    oneSide(
      options,
      shape,
      options.filters,
      (length) =>
        options.padding === "same"
          ? length * one(options.strides)
          : (length - 1) * one(options.strides) + Math.max(one(options.kernelSize), one(options.strides)),
    ),
};

/** Krizhevsky et al. 2012, §3.3: each value over a power of the sum of squares of its neighbouring maps. */
const localResponseNormalization: Added = {
  options: { depthRadius: 2, bias: 2, alpha: 1e-4, beta: 0.75 },
  call: (tf, x, { depthRadius, bias, alpha, beta }) =>
    tf.localResponseNormalization(x as Tensor4D, depthRadius, bias, alpha, beta),
};

/** Of ConvNeXt in Keras Applications: a factor for each channel. */
const layerScale: Added = {
  options: { initValues: 1e-6, projectionDim: null },
  weights: ({ projectionDim }, shape) => [["gamma", [projectionDim ?? shape.at(-1)], "ones", true]],
  call: (tf, x, _, { gamma }) => tf.mul(x, gamma),
};

/** Of Inception-ResNet in Keras Applications: what is carried on, plus a share of the branch. */
const customScaleLayer: Added = {
  options: { scale: 1 },
  call: (tf, _, { scale }, __, [x, branch]) => tf.add(x, tf.mul(branch, scale)),
};

/** By the classes' names. */
const ADDED: Record<string, Added> = {
  ActivityRegularization: idle("l1", "l2"),
  Conv1DTranspose: conv1DTranspose,
  Cropping1D: cropping(1),
  Cropping3D: cropping(3),
  CustomScaleLayer: customScaleLayer,
  DepthwiseConv1D: depthwiseConv1D,
  GlobalAveragePooling3D: globalPooling3D("mean"),
  GlobalMaxPooling3D: globalPooling3D("max"),
  GroupNormalization: groupNormalization,
  LayerScale: layerScale,
  LocalResponseNormalization: localResponseNormalization,
  Normalization: normalization,
  RMSNormalization: rmsNormalization,
  RandomBrightness: idle("factor", "valueRange"),
  RandomContrast: idle("factor", "valueRange"),
  RandomFlip: idle("mode", "dataFormat"),
  RandomHeight: idle("factor", "interpolation"),
  RandomRotation: idle("factor", "fillMode", "fillValue", "interpolation", "valueRange", "dataFormat"),
  RandomTranslation: idle("heightFactor", "widthFactor", "fillMode", "fillValue", "interpolation", "dataFormat"),
  RandomZoom: idle("heightFactor", "widthFactor", "fillMode", "fillValue", "interpolation", "dataFormat"),
  RandomWidth: idle("factor", "interpolation"),
  SeparableConv1D: separableConv1D,
  SpatialDropout2D: idle("rate", "noiseShape", "dataFormat"),
  SpatialDropout3D: idle("rate", "noiseShape", "dataFormat"),
  StochasticDepth: idle("dropPathRate"),
  UnitNormalization: unitNormalization,
  UpSampling1D: upSampling(1),
  UpSampling3D: upSampling(3),
  ZeroPadding1D: zeroPadding(1),
  ZeroPadding3D: zeroPadding(3),
};

const asList = <Value>(value: Value | Value[]) => Array.isArray(value) ? value : [value];
const firstShape = (shape: Shape | Shape[]): Shape => Array.isArray(shape[0]) ? shape[0] : shape as Shape;

/** What TensorFlow.js's layers do that their types hide. */
interface LayerInside {
  addWeight(
    name: string,
    shape: Shape,
    dtype: "float32" | "int32",
    initializer: unknown,
    regularizer: null,
    trained: boolean,
  ): {
    read(): Tensor;
  };
  name: string;
}

/** The class of a layer. */
function classOf(tf: TF, className: string, added: Added) {
  const defaults = added.options ?? {};
  return class extends tf.layers.Layer {
    static className = className;
    readonly options: Options;
    readonly parts: Record<string, { read(): Tensor }> = {};
    readonly activate?: layers.Layer;

    constructor(config: Config) {
      super(config as never);
      const given = Object.keys(defaults).filter((key) => config[key] !== undefined);
      this.options = { ...defaults, ...Object.fromEntries(given.map((key) => [key, config[key]])) };
      const { activation } = this.options;
      if (activation && activation !== "linear") this.activate = tf.layers.activation({ activation });
    }

    override build(shape: Shape | Shape[]): void {
      const self = this as unknown as LayerInside;
      for (
        const [name, sides, begins, trained, dtype = "float32"] of added.weights?.(this.options, firstShape(shape)) ??
          []
      ) {
        this.parts[name] = self.addWeight(name, sides, dtype, tf.initializers[begins]({}), null, trained);
      }
      super.build(shape as never);
      this.built = true;
    }

    override call(inputs: Tensor | Tensor[]): Tensor {
      return tf.tidy(() => {
        const all = asList(inputs);
        const weights = Object.fromEntries(Object.entries(this.parts).map(([name, part]) => [name, part.read()]));
        const y = added.call(tf, all[0], this.options, weights, all);
        return this.activate ? this.activate.call(y, {}) as Tensor : y;
      });
    }

    override computeOutputShape(shape: Shape | Shape[]): Shape {
      const one = firstShape(shape);
      return added.outputShape?.(this.options, one) ?? one;
    }

    override getConfig() {
      return { ...super.getConfig(), ...this.options };
    }
  };
}

/** Keras's difference of two inputs, stretched over each other as in its other merging layers. */
function subtractClass(tf: TF) {
  const merge = Object.getPrototypeOf(tf.serialization.SerializationMap.getMap().classNameMap.Add[0]);
  return class extends (merge as new (config: object) => layers.Layer) {
    static className = "Subtract";
    mergeFunction([a, b]: Tensor[]): Tensor {
      return tf.sub(a, b);
    }
  };
}

/**
 * Makes the layers known to TensorFlow.js.
 *
 * @returns the names of their classes
 */
export function registerAdded(tf: TF): string[] {
  const names = [...Object.keys(ADDED), "Subtract"];
  for (const name of names) {
    const made = name === "Subtract" ? subtractClass(tf) : classOf(tf, name, ADDED[name]);
    tf.serialization.registerClass(made as never);
  }
  return names;
}
