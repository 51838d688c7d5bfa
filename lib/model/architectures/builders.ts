/**
 * Well-known ConvNets with fresh weights, ready to be trained.
 *
 * @module
 */

import type { layers } from "npm:@tensorflow/tfjs@4.22.0";
import { belowOne, oneOf, readOptions, whole } from "../../options.ts";
import type { TF } from "../../runtime/backend.ts";
import { makeLayer } from "../formats/build.ts";
import type { Model } from "../model.ts";
import { BuildOptions, type Draw, glorot, normal, outputsOf, stack } from "./stack.ts";

/** The options of builders of classifiers. */
export class ClassifierOptions extends BuildOptions {
  /**
   * How many classes there are, if no `labels` are given.
   * @default 1000
   */
  @whole(2)
  classes = 1000;
}

/** The options of `tinyVgg`. */
export class TinyVggOptions extends ClassifierOptions {
  /**
   * How many classes there are, if no `labels` are given.
   * @default 10
   */
  override classes = 10;
}

/** The options of `catsVsDogsConvnet`. */
export class CatsVsDogsOptions extends BuildOptions {
  /**
   * The side of the images in pixels: 150 as in the book, 32 for CIFAR-10's cats and dogs.
   * @default 32
   */
  @whole(16)
  size = 32;
  /**
   * The share of the last feature maps' values that dropout leaves out while training.
   * @default 0.5
   */
  @belowOne()
  dropout = 0.5;
}

const RELU = "relu" as const;

function pooling(tf: TF, name: string, poolSize: number, strides: number): layers.Layer {
  return tf.layers.maxPooling2d({ name, poolSize, strides });
}

/** A convolution with ReLUs, 3×3 unless `more` says otherwise. */
export function convolution(tf: TF, name: string, filters: number, draw: Draw, more: object = {}): layers.Layer {
  // As a configuration: TensorFlow.js's types know no groups.
  return makeLayer(tf, "Conv2D", {
    name,
    filters,
    kernelSize: 3,
    activation: RELU,
    kernelInitializer: draw(),
    ...more,
  });
}

/**
 * Chollet's small ConvNet for cats and dogs: four convolutions of 3×3, each with a pooling behind it, a dense
 * layer of 512, and one sigmoid unit that says how much of a dog it is ("Deep Learning with Python", first edition,
 * §5.2.3, with the dropout of §5.2.5). Below 100 pixels a side the convolutions are padded, so that all eight layers of
 * feature maps are there at 32×32 too.
 *
 * @returns a model with outputs `[1]`; with size 150 it has the book's 3,453,121 weights
 * @throws {RangeError} if the size is not a whole number ≥ 16, or the dropout no share below 1
 *
 * @example
 * ```ts
 * import { catsVsDogsConvnet, cifar10, train } from "@convlens/convlens";
 *
 * const model = await catsVsDogsConvnet({ seed: 1 });
 * await train(model, await cifar10({ classes: ["cat", "dog"], limit: 1000 }), { optimizer: "adam", epochs: 4 });
 * ```
 */
export async function catsVsDogsConvnet(options: Partial<CatsVsDogsOptions> = {}): Promise<Model> {
  const given = readOptions("catsVsDogsConvnet", CatsVsDogsOptions, options);
  const { size, dropout, labels = ["cat", "dog"], seed, name = "cats-vs-dogs" } = given;
  if (labels.length !== 2) {
    throw new RangeError(`catsVsDogsConvnet has two classes: received ${labels.length} labels.`);
  }
  return await stack({
    name,
    labels,
    seed,
    preprocess: "unit",
    layers: (tf, seed) => {
      const draw = glorot(tf, seed);
      const padding = size < 100 ? "same" : "valid";
      return [
        ...[32, 64, 128, 128].flatMap((filters, i) => [
          convolution(tf, `conv${i + 1}`, filters, draw, { padding, ...(i === 0 && { inputShape: [size, size, 3] }) }),
          pooling(tf, `pool${i + 1}`, 2, 2),
        ]),
        tf.layers.flatten({ name: "flatten" }),
        tf.layers.dropout({ name: "dropout", rate: dropout, seed: 1 }),
        tf.layers.dense({ name: "dense1", units: 512, activation: RELU, kernelInitializer: draw() }),
        tf.layers.dense({ name: "dense2", units: 1, activation: "sigmoid", kernelInitializer: draw() }),
      ];
    },
  });
}

/**
 * The small VGG-like ConvNet of CNN Explainer (Wang et al. 2020): four valid convolutions of ten 3×3 filters, two
 * poolings, one dense layer, on images of 64×64.
 *
 * @returns a model with 19,920 weights for its ten classes
 * @throws {RangeError} if the labels, the number of classes or the seed do not fit
 */
export async function tinyVgg(options: Partial<TinyVggOptions> = {}): Promise<Model> {
  const { labels, classes, seed, name = "tiny-vgg" } = readOptions("tinyVgg", TinyVggOptions, options);
  const units = outputsOf(labels, classes);
  return await stack({
    name,
    labels,
    seed,
    preprocess: "unit",
    layers: (tf, seed) => {
      const draw = glorot(tf, seed);
      return [
        convolution(tf, "conv1_1", 10, draw, { inputShape: [64, 64, 3] }),
        convolution(tf, "conv1_2", 10, draw),
        pooling(tf, "pool1", 2, 2),
        convolution(tf, "conv2_1", 10, draw),
        convolution(tf, "conv2_2", 10, draw),
        pooling(tf, "pool2", 2, 2),
        tf.layers.flatten({ name: "flatten" }),
        tf.layers.dense({ name: "output", units, activation: "softmax", kernelInitializer: draw() }),
      ];
    },
  });
}

/** AlexNet's dense layers, and VGG's after it: two of 4096 ReLUs with dropout behind each, and the classes. */
function denseLayers(tf: TF, draw: Draw, units: number, biasInitializer: "zeros" | "ones"): layers.Layer[] {
  const dense = (name: string) =>
    tf.layers.dense({ name, units: 4096, activation: RELU, kernelInitializer: draw(), biasInitializer });
  return [
    tf.layers.flatten({ name: "flatten" }),
    dense("fc6"),
    tf.layers.dropout({ name: "dropout6", rate: 0.5, seed: 1 }),
    dense("fc7"),
    tf.layers.dropout({ name: "dropout7", rate: 0.5, seed: 2 }),
    tf.layers.dense({ name: "fc8", units, activation: "softmax", kernelInitializer: draw() }),
  ];
}

/** How many convolutions come before each of a VGG's five poolings, and how many filters each has. */
const VGG_FILTERS = [64, 128, 256, 512, 512];

async function vgg(
  { convolutions, labels, classes, seed, name }: ClassifierOptions & { convolutions: number[]; name: string },
): Promise<Model> {
  const units = outputsOf(labels, classes);
  return await stack({
    name,
    labels,
    seed,
    preprocess: "caffe",
    layers: (tf, seed) => {
      const draw = glorot(tf, seed);
      return [
        ...VGG_FILTERS.flatMap((filters, block) => [
          ...Array.from(
            { length: convolutions[block] },
            (_, i) =>
              convolution(tf, `conv${block + 1}_${i + 1}`, filters, draw, {
                padding: "same",
                ...(block === 0 && i === 0 && { inputShape: [224, 224, 3] }),
              }),
          ),
          pooling(tf, `pool${block + 1}`, 2, 2),
        ]),
        ...denseLayers(tf, draw, units, "zeros"),
      ];
    },
  });
}

/**
 * VGG-16, configuration D of Simonyan and Zisserman (2014), Table 1. Its weights take half a gigabyte.
 *
 * @returns a model with 138,357,544 weights for 1000 classes
 * @throws {RangeError} if the labels, the number of classes or the seed do not fit
 */
export async function vgg16(options: Partial<ClassifierOptions> = {}): Promise<Model> {
  const { name = "vgg16", ...rest } = readOptions("vgg16", ClassifierOptions, options);
  return await vgg({ name, ...rest, convolutions: [2, 2, 3, 3, 3] });
}

/**
 * VGG-19, configuration E of Simonyan and Zisserman (2014), Table 1. Its weights take more than half a gigabyte.
 *
 * @returns a model with 143,667,240 weights for 1000 classes
 * @throws {RangeError} if the labels, the number of classes or the seed do not fit
 */
export async function vgg19(options: Partial<ClassifierOptions> = {}): Promise<Model> {
  const { name = "vgg19", ...rest } = readOptions("vgg19", ClassifierOptions, options);
  return await vgg({ name, ...rest, convolutions: [2, 2, 4, 4, 4] });
}

/** The options of `alexnet`. */
export class AlexnetOptions extends ClassifierOptions {
  /**
   * 2: as in the paper, whose two cards each had half of the filters: the second, fourth and fifth convolution are in two
   * groups, and response normalization follows the first two. 1: on one card, without both.
   * @default 1
   */
  @oneOf(1, 2)
  groups: 1 | 2 = 1;
}

/**
 * AlexNet (Krizhevsky, Sutskever and Hinton 2012, §3.5), on one card or, with `groups: 2`, on the paper's two. Weights start
 * as in its §5: N(0, 0.01²), and biases of 1 in the second, fourth and fifth convolution and in the hidden dense layers.
 * Published weights, those of Caffe, are of the network in two groups and want BGR.
 *
 * @returns a model with 62,378,344 weights for 1000 classes (60,965,224 in two groups), on images of 227×227
 * @throws {RangeError} if the labels, the number of classes, the seed or the groups do not fit
 *
 * @example
 * ```ts
 * import { alexnet } from "@convlens/convlens";
 *
 * const model = await alexnet({ groups: 2, labels: ["cat", "dog"] });
 * console.log(model.layer("conv2").receptiveField); // { size: 51, stride: 8, offset: -16, exact: true }
 * ```
 */
export async function alexnet(options: Partial<AlexnetOptions> = {}): Promise<Model> {
  const { labels, classes, seed, groups, name = "alexnet" } = readOptions("alexnet", AlexnetOptions, options);
  const units = outputsOf(labels, classes);
  return await stack({
    name,
    labels,
    seed,
    preprocess: groups === 2 ? "caffe" : { mean: [123.68, 116.779, 103.939] },
    layers: (tf, seed) => {
      const draw = normal(tf, seed, 0.01);
      const conv = (name: string, filters: number, kernelSize: number, bias: 0 | 1, more: object) =>
        convolution(tf, name, filters, draw, { kernelSize, biasInitializer: bias ? "ones" : "zeros", ...more });
      const parted = (name: string, filters: number, kernelSize: number) =>
        conv(name, filters, kernelSize, 1, { padding: "same", groups });
      const normalized = (name: string) => groups === 2 ? [makeLayer(tf, "LocalResponseNormalization", { name })] : [];
      return [
        conv("conv1", 96, 11, 0, { strides: 4, inputShape: [227, 227, 3] }),
        ...normalized("norm1"),
        pooling(tf, "pool1", 3, 2),
        parted("conv2", 256, 5),
        ...normalized("norm2"),
        pooling(tf, "pool2", 3, 2),
        conv("conv3", 384, 3, 0, { padding: "same" }),
        parted("conv4", 384, 3),
        parted("conv5", 256, 3),
        pooling(tf, "pool5", 3, 2),
        ...denseLayers(tf, draw, units, "ones"),
      ];
    },
  });
}
