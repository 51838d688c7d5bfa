/** The gradient of batch normalisation. @module */

import type { GradConfig, Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import type { TF } from "../core/types.ts";

/**
 * The gradients of `(x - mean) / √(variance + ε) · scale + offset`, each computed only when it is asked for, and
 * broadcast rather than tiled.
 */
export function batchNormalizationGradient(tf: TF): GradConfig["gradFunc"] {
  return (gradient, saved, attrs) => {
    const dy = gradient as Tensor;
    const [x, mean, variance, scale] = saved as [Tensor, Tensor, Tensor, Tensor | undefined];
    const axes = tf.backend_util.getReductionAxes(mean.shape, x.shape);
    const summed = (values: Tensor) => tf.reshape(tf.sum(values, axes), mean.shape);
    const perDeviation = () => tf.rsqrt(tf.add(variance, attrs.varianceEpsilon as number));
    const slope = () => scale ? tf.mul(scale, perDeviation()) : perDeviation();
    const centred = () => summed(tf.mul(dy, tf.sub(x, mean)));
    return {
      x: () => tf.mul(dy, slope()),
      mean: () => tf.neg(tf.mul(summed(dy), slope())),
      variance: () => tf.mul(tf.mul(centred(), slope()), tf.mul(tf.square(perDeviation()), -0.5)),
      scale: () => tf.mul(centred(), perDeviation()),
      offset: () => summed(dy),
    };
  };
}
