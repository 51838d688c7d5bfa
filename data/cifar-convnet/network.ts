/**
 * The house ConvNet: plain convolutions, ReLUs and max poolings, so that every picture in the lectures can be read.
 *
 * @module
 */

import type { LayersModel } from "npm:@tensorflow/tfjs@4.22.0";
import type { TF } from "../../lib/runtime/backend.ts";

/** The channels of the convolutions of each stage; a pooling ends each. */
const STAGES = [[32], [64, 64], [128, 128], [256]];

/** Mean and standard deviation of CIFAR-10's training images, channel by channel, in pixels of 0…255. */
export const PREPROCESS = {
  mean: [125.3, 123, 113.9] as [number, number, number],
  deviation: [63, 62.1, 66.7] as [number, number, number],
};

/** Of the batch normalisations. */
export const EPSILON = 1e-3;

/** All convolutions, with their names and the size of their kernels; `null` where a pooling stands. */
function convolutions(): ({ name: string; filters: number; kernelSize: number } | null)[] {
  return STAGES.flatMap((widths, stage) => [
    ...widths.map((filters, i) => ({
      name: widths.length > 1 ? `${stage + 1}_${i + 1}` : `${stage + 1}`,
      filters,
      kernelSize: stage === 0 ? 5 : 3,
    })),
    null,
  ]);
}

/**
 * The network as it is trained: each convolution without bias, then batch normalisation and ReLU; dropout before the
 * last layer. The first convolution is 5×5, so that its filters can be looked at; the others are 3×3.
 *
 * @param seed of the initial weights
 */
export function trainingNetwork(tf: TF, seed: number): LayersModel {
  const net = tf.sequential({ name: "cifar-convnet" });
  net.add(tf.layers.inputLayer({ name: "input", inputShape: [32, 32, 3] }));
  let next = seed * 1000;
  let stage = 1;
  for (const convolution of convolutions()) {
    if (!convolution) {
      net.add(tf.layers.maxPooling2d({ name: `pool${stage++}`, poolSize: 2 }));
      continue;
    }
    const { name, filters, kernelSize } = convolution;
    const kernelInitializer = tf.initializers.heNormal({ seed: next++ });
    net.add(
      tf.layers.conv2d({
        name: `conv${name}`,
        filters,
        kernelSize,
        padding: "same",
        useBias: false,
        kernelInitializer,
      }),
    );
    net.add(tf.layers.batchNormalization({ name: `norm${name}`, momentum: 0.9, epsilon: EPSILON }));
    net.add(tf.layers.reLU({ name: `relu${name}` }));
  }
  net.add(tf.layers.flatten({ name: "flatten" }));
  net.add(tf.layers.dropout({ name: "dropout", rate: 0.2 }));
  net.add(tf.layers.dense({
    name: "classes",
    units: 10,
    activation: "softmax",
    kernelInitializer: tf.initializers.glorotUniform({ seed: next++ }),
  }));
  return net;
}

/** The network as it is saved: convolutions with bias and ReLU, poolings, and the classes. */
export function foldedNetwork(tf: TF): LayersModel {
  const net = tf.sequential({ name: "cifar-convnet" });
  net.add(tf.layers.inputLayer({ name: "input", inputShape: [32, 32, 3] }));
  let stage = 1;
  for (const convolution of convolutions()) {
    if (!convolution) {
      net.add(tf.layers.maxPooling2d({ name: `pool${stage++}`, poolSize: 2 }));
      continue;
    }
    const { name, filters, kernelSize } = convolution;
    net.add(tf.layers.conv2d({ name: `conv${name}`, filters, kernelSize, padding: "same", activation: "relu" }));
  }
  net.add(tf.layers.flatten({ name: "flatten" }));
  net.add(tf.layers.dense({ name: "classes", units: 10, activation: "softmax" }));
  return net;
}
