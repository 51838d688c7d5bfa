/**
 * Batch normalisation in training: by the mean and the variance of the batch itself (Ioffe and Szegedy 2015, algorithm
 * 1), with its gradient in closed form.
 *
 * @module
 */

import type { NamedAttrMap, Tensor, Tensor1D, Tensor4D } from "npm:@tensorflow/tfjs@4.22.0";
import type { TF } from "../../runtime/backend.ts";

/** What comes out: the normalised values, and what they were normalised by. */
export interface Normalized {
  output: Tensor;
  /** `[c]` */
  mean: Tensor;
  /** `[c]`, the mean squared deviation (divided by the number of values, as Keras 3 does). */
  variance: Tensor;
}

/** The part of tfjs's engine that runs code with a gradient of its own. */
interface Engine {
  runKernelFunc(call: {
    forwardFunc: (backend: unknown, save: (tensors: Tensor[]) => void) => Tensor[];
    backwardsFunc: (gradients: Tensor[], saved: Tensor[]) => Record<string, () => Tensor>;
    inputs: Record<string, Tensor>;
    attrs: NamedAttrMap;
  }): Tensor[];
}

/** The part of tfjs-node's backend that runs an operation of TensorFlow's by its name. */
interface NativeBackend {
  binding: Record<"TF_ATTR_TYPE" | "TF_FLOAT" | "TF_ATTR_FLOAT" | "TF_ATTR_STRING" | "TF_ATTR_BOOL", number>;
  executeMultipleOutputs(
    name: string,
    attributes: { name: string; type: number; value: unknown }[],
    inputs: Tensor[],
    outputs: number,
  ): Tensor[];
}

/**
 * Normalises each channel of a batch to mean 0 and variance 1, then scales by `gamma` and shifts by `beta`.
 *
 * @param x `[n, …, c]`
 * @param gamma `[c]`
 * @param beta `[c]`
 */
export function normalizeBatch(tf: TF, x: Tensor, gamma: Tensor, beta: Tensor, epsilon: number): Normalized {
  const channels = x.shape.at(-1)!;
  const maps = tf.reshape(x, [-1, 1, 1, channels]) as Tensor4D;
  const native = tf.getBackend() === "tensorflow";
  const engine = tf.engine() as unknown as Engine;
  const [output, mean, variance] = engine.runKernelFunc({
    inputs: { maps, gamma, beta },
    attrs: {},
    forwardFunc: (backend, save) => {
      const outputs = native
        ? forwardNative(tf, backend as NativeBackend, maps, gamma, beta, epsilon)
        : forward(tf, maps, gamma, beta, epsilon);
      save([maps, gamma, ...outputs.slice(1)]);
      return outputs;
    },
    backwardsFunc: ([gradient], [maps, gamma, mean, variance]) => {
      const [toMaps, toGamma, toBeta] = native
        ? backwardNative(tf, gradient, maps, gamma, mean, variance, epsilon)
        : backward(tf, gradient, maps, gamma, mean, variance, epsilon);
      return { maps: () => toMaps, gamma: () => toGamma, beta: () => toBeta };
    },
  });
  return { output: tf.reshape(output, x.shape), mean, variance };
}

function forward(tf: TF, x: Tensor4D, gamma: Tensor, beta: Tensor, epsilon: number): Tensor[] {
  const { mean, variance } = tf.moments(x, [0, 1, 2]);
  return [
    tf.batchNorm(x, mean as Tensor1D, variance as Tensor1D, beta as Tensor1D, gamma as Tensor1D, epsilon),
    mean,
    variance,
  ];
}

function backward(
  tf: TF,
  gradient: Tensor,
  x: Tensor,
  gamma: Tensor,
  mean: Tensor,
  variance: Tensor,
  epsilon: number,
): Tensor[] {
  const count = x.size / x.shape.at(-1)!;
  const inverse = tf.rsqrt(tf.add(variance, epsilon));
  const normalized = tf.mul(tf.sub(x, mean), inverse);
  const toBeta = tf.sum(gradient, [0, 1, 2]);
  const toGamma = tf.sum(tf.mul(gradient, normalized), [0, 1, 2]);
  const common = tf.add(tf.div(toBeta, count), tf.mul(normalized, tf.div(toGamma, count)));
  return [tf.mul(tf.sub(gradient, common), tf.mul(gamma, inverse)), toGamma, toBeta];
}

function attributes({ binding }: NativeBackend, epsilon: number) {
  return [
    { name: "T", type: binding.TF_ATTR_TYPE, value: binding.TF_FLOAT },
    { name: "U", type: binding.TF_ATTR_TYPE, value: binding.TF_FLOAT },
    { name: "epsilon", type: binding.TF_ATTR_FLOAT, value: epsilon },
    { name: "data_format", type: binding.TF_ATTR_STRING, value: "NHWC" },
    { name: "is_training", type: binding.TF_ATTR_BOOL, value: true },
  ];
}

function run(backend: NativeBackend, name: string, epsilon: number, inputs: Tensor[], outputs: number) {
  return backend.executeMultipleOutputs(name, attributes(backend, epsilon), inputs, outputs);
}

function forwardNative(
  tf: TF,
  backend: NativeBackend,
  x: Tensor,
  gamma: Tensor,
  beta: Tensor,
  epsilon: number,
): Tensor[] {
  const none = tf.tensor1d([]);
  const [output, mean, unbiased] = run(backend, "FusedBatchNormV3", epsilon, [x, gamma, beta, none, none], 6);
  const count = x.size / x.shape.at(-1)!;
  return [output, mean, count > 1 ? tf.mul(unbiased, (count - 1) / count) : unbiased];
}

function backwardNative(
  tf: TF,
  gradient: Tensor,
  x: Tensor,
  gamma: Tensor,
  mean: Tensor,
  variance: Tensor,
  epsilon: number,
): Tensor[] {
  const backend = tf.backend() as unknown as NativeBackend & { isUsingGpuDevice: boolean };
  // On CUDA the last reserved value is cuDNN's own, which was not kept: there the closed form serves.
  if (backend.isUsingGpuDevice) return backward(tf, gradient, x, gamma, mean, variance, epsilon);
  const none = tf.tensor1d([]);
  return run(backend, "FusedBatchNormGradV3", epsilon, [gradient, x, gamma, mean, variance, none], 5).slice(0, 3);
}
