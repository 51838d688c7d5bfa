/**
 * Layers that work value by value, normalise or join, as Keras has them.
 *
 * @module
 */

import type { Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import type { TF } from "../core/types.ts";
import { optionOf, type Replacement, type Weight } from "./replacement.ts";

/** 1 where the values are at least `threshold`, else 0. */
const atLeast = (tf: TF, x: Tensor, threshold: number) => tf.cast(tf.greaterEqual(x, threshold), "float32");

const relu: Replacement = {
  options: { negativeSlope: 0, threshold: 0 },
  prepare(config) {
    config.negativeSlope ??= 0;
    config.threshold ??= 0;
  },
  when: (layer) => optionOf<number>(layer, "negativeSlope") !== 0 || optionOf<number>(layer, "threshold") !== 0,
  call(tf, layer, x) {
    const threshold = optionOf<number>(layer, "threshold");
    const slope = optionOf<number>(layer, "negativeSlope");
    const above = atLeast(tf, x, threshold);
    const below = tf.mul(tf.mul(tf.sub(x, threshold), tf.sub(1, above)), slope);
    const y = tf.add(tf.mul(x, above), below);
    return layer.maxValue === undefined || layer.maxValue === null ? y : tf.minimum(y, layer.maxValue);
  },
};

const elu: Replacement = {
  options: { alpha: 1 },
  hidden: ["alpha"],
  when: (layer) => optionOf<number>(layer, "alpha") !== 1,
  call(tf, layer, x) {
    const positive = tf.maximum(x, 0);
    return tf.add(positive, tf.mul(tf.sub(tf.elu(x), positive), optionOf<number>(layer, "alpha")));
  },
};

/** tfjs's own on wasm takes the slopes for those of the last axis. */
const prelu: Replacement = {
  when: ({ sharedAxes }) => Boolean(sharedAxes?.length),
  call: (tf, layer, x) => tf.prelu(x, tf.broadcastTo(layer.alpha.read(), [1, ...x.shape.slice(1)])),
};

/** tfjs has it along the last axis only. */
const softmax: Replacement = {
  call(tf, layer, x, { mask }) {
    const hidden = Array.isArray(mask) ? mask[0] : mask;
    const logits = hidden ? tf.add(x, tf.mul(tf.sub(1, tf.cast(hidden, "float32")), -1e9)) : x;
    const axes = [layer.axis].flat().map((axis) => (axis + x.rank) % x.rank);
    const shifted = tf.sub(logits, tf.max(logits, axes, true));
    const powers = tf.exp(shifted);
    return tf.div(powers, tf.sum(powers, axes, true));
  },
  when: ({ axis }) => [axis].flat().join() !== "-1",
};

/** A vector of one number a cell of some axes, stretched over the others. */
function along(tf: TF, x: Tensor, axes: readonly number[], weight: Weight | null): Tensor | null {
  return weight && tf.reshape(weight.read(), x.shape.map((length, axis) => axes.includes(axis) ? length : 1));
}

/** `(x − mean) / √(variance + epsilon) · scale + offset`, of which the last two may be missing. */
function normalize(
  tf: TF,
  x: Tensor,
  [mean, variance, scale, offset]: (Tensor | null)[],
  epsilon: number,
): Tensor {
  const factor = tf.rsqrt(tf.add(variance!, epsilon));
  const y = tf.mul(tf.sub(x, mean!), scale ? tf.mul(factor, scale) : factor);
  return offset ? tf.add(y, offset) : y;
}

/** tfjs's own is wrong along other axes than the last on most backends, and has no gradient without scale or offset. */
const batchNormalization: Replacement = {
  prepare(config) {
    // Keras writes a list of one.
    if (Array.isArray(config.axis) && config.axis.length === 1) config.axis = config.axis[0];
  },
  when(layer) {
    const { ndim: rank } = layer.inputSpec[0] as { ndim: number };
    return !layer.scale || !layer.center || rank > 4 || ((layer.axis as number) + rank) % rank !== rank - 1;
  },
  call(tf, layer, x, { training, stock }) {
    if (training) return stock();
    const axis = ((layer.axis as number) + x.rank) % x.rank;
    const weights = [layer.movingMean, layer.movingVariance, layer.gamma, layer.beta];
    return normalize(tf, x, weights.map((weight) => along(tf, x, [axis], weight ?? null)), layer.epsilon);
  },
};

/** tfjs's own has no gradient without scale or offset. */
const layerNormalization: Replacement = {
  when: (layer) => !layer.scale || !layer.center,
  call(tf, layer, x) {
    const axes = (layer.axis as number[]).map((axis) => (axis + x.rank) % x.rank);
    const { mean, variance } = tf.moments(x, axes, true);
    const [scale, offset] = [layer.gamma, layer.beta].map((weight) => along(tf, x, axes, weight ?? null));
    return normalize(tf, x, [mean, variance, scale, offset], layer.epsilon);
  },
};

/** tfjs joins at the last axis whatever negative axis is asked for. */
const concatenate: Replacement = {
  when: ({ axis }) => (axis as number) < -1,
  call: (tf, layer, x, { inputs }) => tf.concat([...inputs], x.rank + (layer.axis as number)),
};

/**
 * tfjs's own has no kernel on native TensorFlow, reads back in the middle, which WebGPU cannot, and writes the shape that
 * it puts out into that of the layer before.
 */
const categoryEncoding: Replacement = {
  outputShape({ numTokens, outputMode }, shape) {
    const adds = outputMode === "oneHot" && shape.at(-1) !== 1;
    return [...(adds ? shape : shape.slice(0, -1)), numTokens];
  },
  call(tf, { numTokens, outputMode }, x) {
    const tokens = tf.floor(tf.expandDims(tf.cast(x, "float32"), -1));
    const each = tf.cast(tf.equal(tokens, tf.range(0, numTokens)), "float32");
    if (outputMode === "oneHot") return x.shape.at(-1) === 1 ? tf.squeeze(each, [x.rank - 1]) : each;
    return outputMode === "count" ? tf.sum(each, x.rank - 1) : tf.max(each, x.rank - 1);
  },
};

/** By the classes' names. */
export const POINTWISE: Record<string, Replacement> = {
  ReLU: relu,
  ELU: elu,
  PReLU: prelu,
  Softmax: softmax,
  BatchNormalization: batchNormalization,
  LayerNormalization: layerNormalization,
  Concatenate: concatenate,
  CategoryEncoding: categoryEncoding,
};

/** Keras's activations that TensorFlow.js does not know, by the names that it makes of theirs. */
export function activations(tf: TF): Record<string, (x: Tensor) => Tensor> {
  const clip = (x: Tensor, low: number, high: number) => tf.minimum(tf.maximum(x, low), high);
  const hardSigmoid = (x: Tensor) => tf.div(clip(tf.add(x, 3), 0, 6), 6);
  const shrunk = (x: Tensor) => tf.cast(tf.greater(tf.abs(x), 0.5), "float32");
  return {
    celu: (x) => tf.elu(x),
    exponential: (x) => tf.exp(x),
    hardShrink: (x) => tf.mul(x, shrunk(x)),
    // Keras 3's own: that of Keras 2, which TensorFlow.js has, is steeper.
    hardSigmoidV3: hardSigmoid,
    hardSilu: (x) => tf.mul(x, hardSigmoid(x)),
    hardSwish: (x) => tf.mul(x, hardSigmoid(x)),
    hardTanh: (x) => clip(x, -1, 1),
    leakyRelu: (x) => tf.leakyRelu(x, 0.2),
    logSigmoid: (x) => tf.logSigmoid(x),
    silu: (x) => tf.mul(x, tf.sigmoid(x)),
    softShrink: (x) => tf.mul(tf.sub(x, tf.mul(tf.sign(x), 0.5)), shrunk(x)),
    squareplus: (x) => tf.div(tf.add(x, tf.sqrt(tf.add(tf.square(x), 4))), 2),
    tanhShrink: (x) => tf.sub(x, tf.tanh(x)),
  };
}
