/** Small data sets and nets to train in tests. */

import type { LayersModel } from "@tensorflow/tfjs";
import { ndarray } from "../../../lib/array.ts";
import type { Dataset } from "../../../lib/data/dataset.ts";
import { Image } from "../../../lib/data/image.ts";
import type { TF } from "../../../lib/runtime/backend.ts";
import { uniforms } from "../../nets.ts";

/** A data set of images that are there already. */
export function datasetOf(
  images: { pixels: ArrayLike<number>; shape: [number, number, number]; label?: string }[],
  labels: readonly string[],
  name = "toy",
): Dataset {
  return {
    name,
    size: images.length,
    ...(labels.length ? { labels } : {}),
    async *[Symbol.asyncIterator]() {
      for (const [i, { pixels, shape, label }] of images.entries()) {
        const image = new Image(ndarray(pixels, shape), { name: `${i}`, source: name });
        yield { id: `${name}-${i}`, image, ...(label === undefined ? {} : { label }) };
      }
    },
  };
}

/** Noise in which a stripe shows the class: `"across"` or `"down"`. */
export function stripes(count: number, side = 8, seed = 3): Dataset {
  const random = uniforms(seed);
  const images = Array.from({ length: count }, (_, i) => {
    const down = i % 2 === 1;
    const place = Math.floor(random() * side);
    const pixels = Float32Array.from({ length: side * side * 3 }, (_, at) => {
      const cell = Math.floor(at / 3);
      const on = (down ? cell % side : Math.floor(cell / side)) === place;
      return Math.floor(100 * random()) + (on ? 150 : 0);
    });
    return { pixels, shape: [side, side, 3] as [number, number, number], label: down ? "down" : "across" };
  });
  return datasetOf(images, ["across", "down"], "stripes");
}

/** 8×8×3 → convolution → batch normalisation → ReLU → pooling → dropout → two classes; all that training knows. */
export function stripesNet(
  tf: TF,
  { dropout = 0.25, units = 2 }: { dropout?: number; units?: number } = {},
): LayersModel {
  const init = (seed: number) => tf.initializers.heNormal({ seed });
  return tf.sequential({
    name: "stripes-net",
    layers: [
      tf.layers.conv2d({
        name: "conv",
        inputShape: [8, 8, 3],
        filters: 4,
        kernelSize: 3,
        padding: "same",
        useBias: false,
        kernelInitializer: init(1),
      }),
      tf.layers.batchNormalization({ name: "norm", momentum: 0.9 }),
      tf.layers.reLU({ name: "relu" }),
      tf.layers.maxPooling2d({ name: "pool", poolSize: 2 }),
      tf.layers.flatten({ name: "flat" }),
      tf.layers.dropout({ name: "dropout", rate: dropout }),
      tf.layers.dense({
        name: "out",
        units,
        activation: units === 1 ? "sigmoid" : "softmax",
        kernelInitializer: init(2),
      }),
    ],
  });
}

/** The greatest difference between two arrays of the same length. */
export function maxDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Infinity;
  let most = 0;
  for (let i = 0; i < a.length; i++) most = Math.max(most, Math.abs(a[i] - b[i]));
  return most;
}
