/**
 * Small networks for digits, 28×28 grey pixels, with fresh weights, ready to be trained.
 *
 * @module
 */

import { readOptions } from "../../options.ts";
import type { Model } from "../model.ts";
import { ClassifierOptions, convolution } from "./builders.ts";
import { glorot, outputsOf, stack } from "./stack.ts";

/** The options of `lenet5` and `softmaxRegression`. */
export class DigitsOptions extends ClassifierOptions {
  /**
   * How many classes there are, if no `labels` are given.
   * @default 10
   */
  override classes = 10;
}

/** A digit of MNIST. */
const inputShape = [28, 28, 1];

/**
 * LeNet-5 (LeCun et al. 1998, "Gradient-based learning applied to document recognition") in the form that is usual now:
 * two convolutions 5×5 with ReLU and max-pooling, then 120, 84 and the classes; 61,706 parameters for ten.
 *
 * @returns a model with fresh weights for images of 28×28 grey pixels
 * @throws {RangeError} if an option does not fit
 *
 * @example
 * ```ts
 * import { lenet5, mnist, train } from "@convlens/convlens";
 * const digits = await mnist({ limit: 500 });
 * await train(await lenet5({ labels: digits.labels }), digits, { optimizer: "adam", epochs: 1, live: false });
 * ```
 */
export async function lenet5(options: Partial<DigitsOptions> = {}): Promise<Model> {
  const { labels, classes, seed, name = "lenet-5" } = readOptions("lenet5", DigitsOptions, options);
  const units = outputsOf(labels, classes);
  return await stack({
    name,
    labels,
    seed,
    preprocess: "unit",
    layers: (tf, seed) => {
      const draw = glorot(tf, seed);
      const dense = (name: string, units: number, activation: "relu" | "softmax") =>
        tf.layers.dense({ name, units, activation, kernelInitializer: draw() });
      return [
        convolution(tf, "conv1", 6, draw, { kernelSize: 5, padding: "same", inputShape }),
        tf.layers.maxPooling2d({ name: "pool1", poolSize: 2 }),
        convolution(tf, "conv2", 16, draw, { kernelSize: 5 }),
        tf.layers.maxPooling2d({ name: "pool2", poolSize: 2 }),
        tf.layers.flatten({ name: "flatten" }),
        dense("dense1", 120, "relu"),
        dense("dense2", 84, "relu"),
        dense("output", units, "softmax"),
      ];
    },
  });
}

/**
 * A softmax regression: one linear layer from the pixels to the classes, the shallow softmax of Goodfellow et al. 2014.
 *
 * @returns a model with fresh weights for images of 28×28 grey pixels
 * @throws {RangeError} if an option does not fit
 *
 * @example
 * ```ts
 * import { mnist, softmaxRegression, train } from "@convlens/convlens";
 * const digits = await mnist({ limit: 500 });
 * await train(await softmaxRegression({ labels: digits.labels }), digits, { epochs: 1, live: false });
 * ```
 */
export async function softmaxRegression(options: Partial<DigitsOptions> = {}): Promise<Model> {
  const { labels, classes, seed, name = "softmax regression" } = readOptions(
    "softmaxRegression",
    DigitsOptions,
    options,
  );
  const units = outputsOf(labels, classes);
  return await stack({
    name,
    labels,
    seed,
    preprocess: "unit",
    layers: (tf, seed) => [
      tf.layers.flatten({ name: "flatten", inputShape }),
      tf.layers.dense({ name: "output", units, activation: "softmax", kernelInitializer: glorot(tf, seed)() }),
    ],
  });
}
