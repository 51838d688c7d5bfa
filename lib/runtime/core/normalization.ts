/**
 * A batch normalisation with all that may follow it in one step: another tensor that is added, a ReLU.
 *
 * Where the backend has a kernel for that (native TensorFlow on processors, WASM) each saves a walk over the whole map;
 * elsewhere it is put together from tfjs's operations.
 *
 * @module
 */

import type { GradConfig, NamedAttrMap, NamedTensorMap, Tensor, Tensor1D, Tensor4D } from "npm:@tensorflow/tfjs@4.22.0";
import type { TF } from "./types.ts";

/** The name of the kernel that does it all in one step. */
export const NORMALIZATION = "NormalizationInOneStep";

/** What a normalisation computes with. */
export interface NormalizationInputs {
  /** `[n, h, w, c]` */
  x: Tensor4D;
  /** `[c]`: what each channel is multiplied with. */
  scale: Tensor1D;
  /** `[c]`: what is added then. */
  shift: Tensor1D;
  /** What is added before rectifying, of the shape of `x`. */
  side?: Tensor4D;
}

/** `x · scale + shift`, and what else there is, rectified if asked. It can be differentiated, and heeds rules for ReLUs. */
export function normalization(
  tf: TF,
  { x, scale, shift, side }: NormalizationInputs,
  rectify: boolean,
): Tensor4D {
  const backend = tf.getBackend();
  if (tf.getKernel(NORMALIZATION, backend) && (backend !== "wasm" || scale.size % 4 === 0)) {
    const inputs = { x, scale, shift, ...side && { side } } as unknown as NamedTensorMap;
    return tf.engine().runKernel(NORMALIZATION, inputs, { rectify } as NamedAttrMap) as Tensor4D;
  }
  return tf.tidy(() => {
    // Of a mean of 0 and a variance of 1, half of it as what keeps it from 0: graphics cards want that above 0.
    const [mean, half] = [tf.zerosLike(scale), tf.fill([scale.size], 0.5) as Tensor1D];
    const scaled = tf.batchNorm4d(x, mean, half, shift, scale, 0.5);
    const sum = side ? tf.add(scaled, side) as Tensor4D : scaled;
    return rectify ? tf.relu(sum) : sum;
  });
}

/** Registers the gradient of the kernel {@linkcode NORMALIZATION}: each part is computed only when it is asked for. */
export function registerNormalizationGradient(tf: TF): void {
  const gradFunc: GradConfig["gradFunc"] = (gradient, saved, attrs) => {
    const [x, scale, output] = saved as [Tensor, Tensor, Tensor];
    // The output is above zero just where the ReLU's input was.
    const dy = attrs.rectify
      ? tf.getGradient("Relu").gradFunc(gradient, [output], {}).x() as Tensor
      : gradient as Tensor;
    const cells = dy.shape.slice(0, -1).map((_, axis) => axis);
    return {
      x: () => tf.mul(dy, scale),
      scale: () => tf.sum(tf.mul(dy, x), cells),
      shift: () => tf.sum(dy, cells),
      side: () => tf.clone(dy),
    };
  };
  tf.registerGradient({ kernelName: NORMALIZATION, inputsToSave: ["x", "scale"], outputsToSave: [true], gradFunc });
}
