/**
 * The ConvNet of Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks" (2013): full size, scaled
 * to CIFAR-10, and how it was trained.
 *
 * @module
 */

import type { layers } from "npm:@tensorflow/tfjs@4.22.0";
import { belowOne, oneOf, readOptions, whole } from "../../options.ts";
import type { TF } from "../../runtime/backend.ts";
import { ClassifierOptions, convolution } from "./builders.ts";
import type { Model } from "../model.ts";
import { makeLayer } from "../formats/build.ts";
import { type Draw, he, normal, outputsOf, stack } from "./stack.ts";

/** RGB less the means of ImageNet, not divided by anything: weights of scale 1e-2 count on numbers that large. */
const PIXELS = { mean: [123.68, 116.779, 103.939] } as const;

/** Two dense layers of ReLUs with dropout behind each, and the classes. */
function denseLayers(tf: TF, draw: Draw, width: number, units: number, dropout = 0.5): layers.Layer[] {
  return [
    ...[6, 7].flatMap((number) => [
      tf.layers.dense({ name: `fc${number}`, units: width, activation: "relu", kernelInitializer: draw() }),
      tf.layers.dropout({ name: `dropout${number}`, rate: dropout, seed: number }),
    ]),
    tf.layers.dense({ name: "fc8", units, activation: "softmax", kernelInitializer: draw() }),
  ];
}

/**
 * The network of Fig. 3 at full size, on images of 224×224: 96 filters of 7×7 with stride 2 make 110×110, pooling of
 * 3×3 with stride 2 makes 55×55, and so on down to 6·6·256 = 9216.
 *
 * "Contrast normalized across feature maps" is read as the response normalization of Krizhevsky et al. (2012), §3.3,
 * whose network this one was made from. The sizes of the figure come out with one row of zeros around the image and
 * with poolings that may hang over the border at the first two levels. Weights are drawn from N(0, 0.01²); biases are 0.
 *
 * @returns a model with 62,357,608 weights for 1000 classes, a quarter of a gigabyte
 * @throws {RangeError} if the labels or the seed do not fit
 *
 * @example
 * ```ts
 * import { imageFolder, train, zfnet, zfnetRecipe } from "@convlens/convlens";
 *
 * const folder = await imageFolder("photos");
 * const model = await zfnet({ labels: folder.labels });
 * await train(model, folder, { ...zfnetRecipe, epochs: 1 }); // the paper's 70 are the recipe's own
 * ```
 */
export async function zfnet(options: Partial<ClassifierOptions> = {}): Promise<Model> {
  const { labels, classes, seed, name = "zfnet" } = readOptions("zfnet", ClassifierOptions, options);
  const units = outputsOf(labels, classes);
  return await stack({
    name,
    labels,
    seed,
    preprocess: PIXELS,
    layers: (tf, seed) => {
      const draw = normal(tf, seed, 0.01);
      const conv = (number: number, filters: number, kernelSize: number, more: object = {}) =>
        convolution(tf, `conv${number}`, filters, draw, { kernelSize, ...more });
      const pool = (number: number, padding: "same" | "valid") =>
        tf.layers.maxPooling2d({ name: `pool${number}`, poolSize: 3, strides: 2, padding });
      return [
        tf.layers.zeroPadding2d({ name: "pad", padding: 1, inputShape: [224, 224, 3] }),
        conv(1, 96, 7, { strides: 2 }),
        pool(1, "same"),
        makeLayer(tf, "LocalResponseNormalization", { name: "norm1" }),
        conv(2, 256, 5, { strides: 2 }),
        pool(2, "same"),
        makeLayer(tf, "LocalResponseNormalization", { name: "norm2" }),
        conv(3, 384, 3, { padding: "same" }),
        conv(4, 384, 3, { padding: "same" }),
        conv(5, 256, 3, { padding: "same" }),
        pool(5, "valid"),
        tf.layers.flatten({ name: "flatten" }),
        ...denseLayers(tf, draw, 4096, units),
      ];
    },
  });
}

/** The options of `smallZfnet`. */
export class SmallZfnetOptions extends ClassifierOptions {
  /**
   * How many classes there are, if no `labels` are given.
   * @default 10
   */
  override classes = 10;
  /**
   * The side of the first layer's filters in pixels, at most 32.
   * @default 7
   */
  @whole(1)
  kernelSize = 7;
  /**
   * The stride of the first layer in pixels, at most 8.
   * @default 2
   */
  @whole(1)
  stride = 2;
  /**
   * How the weights are drawn: `"paper"` is N(0, 0.01²) in all layers; `"he"` in the first one only, so that its filters
   * soon show what was learned, and in the others keeps the size of the activations from layer to layer (He et al. 2015).
   * @default "paper"
   */
  @oneOf("paper", "he")
  weights: "paper" | "he" = "paper";
  /**
   * The share of the values behind each hidden dense layer that dropout leaves out while training.
   * @default 0.5
   */
  @belowOne()
  dropout = 0.5;
}

/**
 * The same network scaled to images of 32×32, as CIFAR-10 has: five convolutions, response normalization behind the
 * first two, two dense layers with dropout. After the last convolution the mean of each feature map is taken instead of a
 * pooling, so that the first layer's kernel and stride may change and nothing else does.
 *
 * With the paper's weights of scale 0.01 a signal loses two thirds of its size from layer to layer here, since so few
 * feature maps are summed: eight epochs of 20,000 images at the paper's rate left the network at chance.
 * `weights: "he"` avoids that.
 *
 * @throws {RangeError} if the labels, the seed, the kernel, the stride or the dropout do not fit
 *
 * @example
 * ```ts
 * import { smallZfnet } from "@convlens/convlens";
 *
 * const coarse = await smallZfnet({ kernelSize: 11, stride: 4, seed: 1 });
 * const fine = await smallZfnet({ kernelSize: 7, stride: 2, seed: 1 });
 * console.log(coarse.params - fine.params);
 * ```
 */
export async function smallZfnet(options: Partial<SmallZfnetOptions> = {}): Promise<Model> {
  const given = readOptions("smallZfnet", SmallZfnetOptions, options);
  const { labels, classes, kernelSize, stride, weights, dropout, seed, name = "small-zfnet" } = given;
  const units = outputsOf(labels, classes);
  for (const [what, value, most] of [["kernelSize", kernelSize, 32], ["stride", stride, 8]] as const) {
    if (value > most) throw new RangeError(`${what} must be a whole number from 1 to ${most}: received ${value}.`);
  }
  return await stack({
    name,
    labels,
    seed,
    preprocess: weights === "paper" ? PIXELS : { ...PIXELS, deviation: [64, 64, 64] },
    layers: (tf, seed) => {
      const drawFirst = normal(tf, seed, 0.01);
      const draw = weights === "paper" ? drawFirst : he(tf, seed + 1);
      const conv = (number: number, filters: number, size: number, more: object = {}) =>
        convolution(tf, `conv${number}`, filters, draw, { kernelSize: size, padding: "same", ...more });
      const pool = (number: number) =>
        tf.layers.maxPooling2d({ name: `pool${number}`, poolSize: 3, strides: 2, padding: "same" });
      return [
        conv(1, 32, kernelSize, { strides: stride, inputShape: [32, 32, 3], kernelInitializer: drawFirst() }),
        pool(1),
        makeLayer(tf, "LocalResponseNormalization", { name: "norm1" }),
        conv(2, 64, 5),
        pool(2),
        makeLayer(tf, "LocalResponseNormalization", { name: "norm2" }),
        conv(3, 96, 3),
        conv(4, 96, 3),
        conv(5, 64, 3),
        tf.layers.globalAveragePooling2d({ name: "average" }),
        ...denseLayers(tf, draw, 128, units, dropout),
      ];
    },
  });
}

/**
 * How Zeiler and Fergus trained it (§3), as options of `train`: stochastic gradient descent with mini-batches of 128,
 * a rate of 1e-2 and momentum 0.9, the rate divided by ten when the validation error stops falling, 70 epochs. Dropout
 * of 0.5 is in the network's dense layers.
 *
 * The paper says that "all weights are initialized to 1e-2 and biases are set to 0". It is read as a standard deviation:
 * if all the weights of a layer were the same number, its units would compute the same, get the same gradient and stay
 * the same for ever.
 */
export const zfnetRecipe = {
  optimizer: { kind: "sgd", momentum: 0.9 },
  learningRate: 1e-2,
  batchSize: 128,
  epochs: 70,
  schedule: { kind: "plateau", factor: 0.1, patience: 3 },
} as const;
