/**
 * Layers that forget what they learned.
 *
 * @module
 */

import type { layers, Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import { sizeOf } from "../../array.ts";
import type { TF } from "../../runtime/backend.ts";
import { normalStream } from "../../random.ts";

/** How a weight starts, by the name it was made under: most start at 0. */
const STARTS_AT_ONE = new Set(["gamma", "moving_variance"]);

/** How many numbers each output of a kernel sums up. */
function fanIn(name: string, shape: readonly number[]): number {
  // [h, w, channels, multiplier]: each output sees one channel.
  return sizeOf(name === "depthwise_kernel" ? shape.slice(0, 2) : shape.slice(0, -1));
}

function fresh(tf: TF, name: string, shape: number[], key: number[]): Tensor {
  if (STARTS_AT_ONE.has(name)) return tf.ones(shape);
  if (shape.length < 2) return tf.zeros(shape);
  const deviation = Math.sqrt(2 / fanIn(name, shape));
  const normal = normalStream(...key);
  const values = new Float32Array(sizeOf(shape));
  for (let i = 0; i < values.length; i++) values[i] = deviation * normal();
  return tf.tensor(values, shape);
}

/**
 * Gives all weights of a layer (of a nested model: of its layers) their values before training: kernels are drawn from a
 * normal distribution of mean 0 and variance 2 / fan-in (He et al. 2015), biases, offsets and moving means are 0, scales
 * and moving variances 1.
 *
 * @param key what the draws depend on, as `seed` and the layer's place
 */
export function reinitialize(tf: TF, layer: layers.Layer, ...key: number[]): void {
  tf.tidy(() =>
    layer.weights.forEach((weight, i) => {
      const name = weight.originalName.split("/").at(-1)!;
      weight.write(fresh(tf, name, weight.shape as number[], [...key, i]));
    })
  );
}
