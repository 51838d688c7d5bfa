/** Small nets with hand-set weights, whose outputs can be worked out on paper. */

import type { LayersModel } from "@tensorflow/tfjs";
import { ensureBackend } from "../lib/runtime/backend.ts";

/**
 * 4×4×3 → convolution 2×2, two filters, ReLU → max-pooling 2×2 → flatten → dense, two classes, softmax.
 *
 * Filter 0 sums the red of its four pixels; filter 1 is minus that, so that it is dead on any image.
 */
export async function tinyNet(): Promise<LayersModel> {
  const tf = await ensureBackend();
  const net = tf.sequential({ name: "tiny" });
  net.add(
    tf.layers.conv2d({
      name: "conv",
      inputShape: [4, 4, 3],
      filters: 2,
      kernelSize: 2,
      padding: "same",
      activation: "relu",
    }),
  );
  net.add(tf.layers.maxPooling2d({ name: "pool", poolSize: 2 }));
  net.add(tf.layers.flatten({ name: "flat" }));
  net.add(tf.layers.dense({ name: "out", units: 2, activation: "softmax" }));
  tf.tidy(() => {
    const kernel = tf.buffer([2, 2, 3, 2]);
    for (const [y, x] of [[0, 0], [0, 1], [1, 0], [1, 1]]) {
      kernel.set(1, y, x, 0, 0);
      kernel.set(-1, y, x, 0, 1);
    }
    net.getLayer("conv").setWeights([kernel.toTensor(), tf.zeros([2])]);
    const dense = tf.buffer([8, 2]);
    for (let i = 0; i < 8; i += 2) dense.set(0.001, i, 0);
    net.getLayer("out").setWeights([dense.toTensor(), tf.tensor1d([0, 1])]);
  });
  return net;
}

/** An image `[height, width, 3]` whose red channel is given and whose other channels are 0. */
export function redImage(red: number[][]): { data: Float32Array; shape: number[] } {
  const data = new Float32Array(red.length * red[0].length * 3);
  red.flat().forEach((value, i) => data[i * 3] = value);
  return { data, shape: [red.length, red[0].length, 3] };
}
