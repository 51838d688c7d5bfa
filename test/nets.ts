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

/** 1×1×3 → flatten → one sigmoid unit over the sum of the three values. */
export async function sigmoidNet(): Promise<LayersModel> {
  const tf = await ensureBackend();
  return tf.sequential({
    layers: [
      tf.layers.flatten({ inputShape: [1, 1, 3] }),
      tf.layers.dense({ units: 1, activation: "sigmoid", useBias: false, kernelInitializer: "ones" }),
    ],
  });
}

/** An image `[height, width, 3]` whose red channel is given and whose other channels are 0. */
export function redImage(red: number[][]): { data: Float32Array; shape: number[] } {
  const data = new Float32Array(red.length * red[0].length * 3);
  red.flat().forEach((value, i) => data[i * 3] = value);
  return { data, shape: [red.length, red[0].length, 3] };
}

/** Numbers that look random, evenly spread over 0…1 and the same on every machine (mulberry32). */
export function uniforms(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** The weight of filter `index` of {@linkcode wavesNet}'s first layer: eight grey waves, two colours, two of noise. */
function wave(index: number, y: number, x: number, channel: number, random: () => number): number {
  const envelope = Math.exp(-((x - 3) ** 2 + (y - 3) ** 2) / 6);
  if (index < 8) {
    const angle = (index % 4) * Math.PI / 4;
    const phase = index < 4 ? 0 : Math.PI / 2;
    return envelope *
      Math.cos((index < 4 ? 1.6 : 0.9) * ((x - 3) * Math.cos(angle) + (y - 3) * Math.sin(angle)) + phase);
  }
  if (index === 8) return envelope * [1, 0, -1][channel];
  if (index === 9) return envelope * [-0.4, 1, -0.6][channel] * Math.sign(x - 2.5);
  return random() - 0.5;
}

/**
 * 32×32×3 → conv1 7×7, twelve filters, ReLU → pool1 → conv2 3×3, twenty filters, linear → relu2 → pool2 → flatten →
 * classes, five of them, softmax. Filter 11 of conv1 is dead.
 */
export async function wavesNet(): Promise<LayersModel> {
  const tf = await ensureBackend();
  const net = tf.sequential({
    name: "waves",
    layers: [
      tf.layers.conv2d({
        name: "conv1",
        inputShape: [32, 32, 3],
        filters: 12,
        kernelSize: 7,
        padding: "same",
        activation: "relu",
      }),
      tf.layers.maxPooling2d({ name: "pool1", poolSize: 2 }),
      tf.layers.conv2d({ name: "conv2", filters: 20, kernelSize: 3, padding: "same" }),
      tf.layers.reLU({ name: "relu2" }),
      tf.layers.maxPooling2d({ name: "pool2", poolSize: 2 }),
      tf.layers.flatten({ name: "flat" }),
      tf.layers.dense({ name: "classes", units: 5, activation: "softmax" }),
    ],
  });
  const random = uniforms(1);
  tf.tidy(() => {
    const first = tf.buffer([7, 7, 3, 12]);
    for (let y = 0; y < 7; y++) {
      for (let x = 0; x < 7; x++) {
        for (let c = 0; c < 3; c++) {
          for (let index = 0; index < 12; index++) first.set(wave(index, y, x, c, random), y, x, c, index);
        }
      }
    }
    const biases = tf.tensor1d([...new Array(11).fill(0), -1000]);
    net.getLayer("conv1").setWeights([first.toTensor(), biases]);
    const seeded = (shape: number[], size: number) =>
      tf.tensor(Array.from({ length: shape.reduce((a, b) => a * b) }, () => size * (random() - 0.5)), shape);
    net.getLayer("conv2").setWeights([seeded([3, 3, 12, 20], 0.4), tf.zeros([20])]);
    net.getLayer("classes").setWeights([seeded([8 * 8 * 20, 5], 0.05), tf.zeros([5])]);
  });
  return net;
}

/** A small landscape, `[32, 32, 3]`, 0…255: a sun in a sky that pales downwards, over a striped field. */
export function landscape(): { data: Float32Array; shape: number[] } {
  const data = new Float32Array(32 * 32 * 3);
  for (let y = 0; y < 32; y++) {
    for (let x = 0; x < 32; x++) {
      const sun = Math.hypot(x - 22, y - 9) < 6;
      const stripe = (x + y) % 6 < 3;
      const color = sun
        ? [250, 210, 70]
        : y < 20
        ? [60 + 5 * y, 110 + 5 * y, 200 + 2 * y]
        : stripe
        ? [60, 130, 50]
        : [120, 90, 40];
      data.set(color, (y * 32 + x) * 3);
    }
  }
  return { data, shape: [32, 32, 3] };
}
