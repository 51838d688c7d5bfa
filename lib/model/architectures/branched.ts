/**
 * Well-known ConvNets whose layers branch, with fresh weights: GoogLeNet, SqueezeNet, ResNet-50 and MobileNet V2.
 *
 * @module
 */

import type { layers, SymbolicTensor } from "npm:@tensorflow/tfjs@4.22.0";
import { oneOf, readOptions } from "../../options.ts";
import type { TF } from "../../runtime/backend.ts";
import { makeLayer } from "../formats/build.ts";
import type { Model } from "../model.ts";
import { ClassifierOptions } from "./builders.ts";
import { branched, type Connect, type Draw, glorot, he, outputsOf } from "./stack.ts";

/** What all networks here begin with. */
const INPUT: [number, number, number] = [224, 224, 3];

type Padding = "same" | "valid";

/** Poolings of 3×3 with stride 2. `"same"` on an even side: the last window hangs over the border, as in Caffe. */
const halved = (tf: TF, name: string, padding: Padding): layers.Layer =>
  tf.layers.maxPooling2d({ name, poolSize: 3, strides: 2, padding });

/** Adds convolutions to a network: all with some options, each with its own. */
const convolving =
  (tf: TF, connect: Connect, draw: Draw, all: object) =>
  (x: SymbolicTensor, name: string, filters: number, kernelSize: number, own: object = {}): SymbolicTensor =>
    connect(tf.layers.conv2d({ name, filters, kernelSize, kernelInitializer: draw(), ...all, ...own }), x);

/** How many filters the branches of each of GoogLeNet's modules have (Table 1): 1×1, 3×3 and 5×5 behind theirs, pooling. */
const INCEPTION: Record<string, [number, number, number, number, number, number]> = {
  "3a": [64, 96, 128, 16, 32, 32],
  "3b": [128, 128, 192, 32, 96, 64],
  "4a": [192, 96, 208, 16, 48, 64],
  "4b": [160, 112, 224, 24, 64, 64],
  "4c": [128, 128, 256, 24, 64, 64],
  "4d": [112, 144, 288, 32, 64, 64],
  "4e": [256, 160, 320, 32, 128, 128],
  "5a": [256, 160, 320, 32, 128, 128],
  "5b": [384, 192, 384, 48, 128, 128],
};

/**
 * GoogLeNet (Szegedy et al. 2014, Table 1) as it is used: without the two classifiers at its sides, which only help
 * training. Response normalization has the constants of Caffe's published network. Its layers are called as there, with
 * `_` for `/`.
 *
 * @returns a model with 6,998,552 weights for 1000 classes, on images of 224×224
 * @throws {RangeError} if the labels, the number of classes or the seed do not fit
 *
 * @example
 * ```ts
 * import { googlenet } from "@convlens/convlens";
 *
 * const model = await googlenet({ seed: 1 });
 * console.log(model.layer("inception_4a").outputShape); // [14, 14, 512]
 * ```
 */
export async function googlenet(options: Partial<ClassifierOptions> = {}): Promise<Model> {
  const { labels, classes, seed, name = "googlenet" } = readOptions("googlenet", ClassifierOptions, options);
  const units = outputsOf(labels, classes);
  return await branched({
    name,
    labels,
    seed,
    preprocess: "caffe",
    inputShape: INPUT,
    layers(tf, connect, image) {
      const draw = glorot(tf, seed);
      const conv = convolving(tf, connect, draw, { padding: "same", activation: "relu" });
      const normalized = (x: SymbolicTensor, name: string) =>
        connect(makeLayer(tf, "LocalResponseNormalization", { name, bias: 1, alpha: 1e-4 / 5 }), x);
      let x = connect(tf.layers.zeroPadding2d({ name: "pad", padding: 3 }), image);
      x = conv(x, "conv1_7x7_s2", 64, 7, { strides: 2, padding: "valid" });
      x = normalized(connect(halved(tf, "pool1_3x3_s2", "same"), x), "pool1_norm1");
      x = conv(conv(x, "conv2_3x3_reduce", 64, 1), "conv2_3x3", 192, 3);
      x = connect(halved(tf, "pool2_3x3_s2", "same"), normalized(x, "conv2_norm2"));
      for (const [module, [one, reduce3, three, reduce5, five, pooled]] of Object.entries(INCEPTION)) {
        const part = `inception_${module}`;
        const pool = connect(
          tf.layers.maxPooling2d({ name: `${part}_pool`, poolSize: 3, strides: 1, padding: "same" }),
          x,
        );
        x = connect(
          tf.layers.concatenate({ name: part }),
          conv(x, `${part}_1x1`, one, 1),
          conv(conv(x, `${part}_3x3_reduce`, reduce3, 1), `${part}_3x3`, three, 3),
          conv(conv(x, `${part}_5x5_reduce`, reduce5, 1), `${part}_5x5`, five, 5),
          conv(pool, `${part}_pool_proj`, pooled, 1),
        );
        if (module === "3b" || module === "4e") x = connect(halved(tf, `pool${module[0]}_3x3_s2`, "same"), x);
      }
      x = connect(tf.layers.globalAveragePooling2d({ name: "pool5" }), x);
      x = connect(tf.layers.dropout({ name: "dropout", rate: 0.4, seed: 1 }), x);
      return connect(
        tf.layers.dense({ name: "classifier", units, activation: "softmax", kernelInitializer: draw() }),
        x,
      );
    },
  });
}

/** The options of `squeezenet`. */
export class SqueezenetOptions extends ClassifierOptions {
  /**
   * `"1.0"` as in the paper, or `"1.1"`, the authors' later one: as good with 2.4 times less arithmetic, and the one whose
   * weights are mostly published.
   * @default "1.1"
   */
  @oneOf("1.0", "1.1")
  version: "1.0" | "1.1" = "1.1";
}

/**
 * SqueezeNet (Iandola et al. 2016, Table 1): fire modules, each a layer of few 1×1 filters that feeds 1×1 and 3×3 filters
 * side by side.
 *
 * @returns a model with 1,235,496 weights for 1000 classes (version 1.0: 1,248,424), on images of 224×224
 * @throws {RangeError} if the labels, the number of classes, the seed or the version do not fit
 *
 * @example
 * ```ts
 * import { squeezenet } from "@convlens/convlens";
 *
 * const model = await squeezenet({ labels: ["cat", "dog"] });
 * console.log(model.layer("fire9").outputShape); // [13, 13, 512]
 * ```
 */
export async function squeezenet(options: Partial<SqueezenetOptions> = {}): Promise<Model> {
  const given = readOptions("squeezenet", SqueezenetOptions, options);
  const { labels, classes, seed, version, name = "squeezenet" } = given;
  const units = outputsOf(labels, classes);
  const isFirst = version === "1.0";
  return await branched({
    name,
    labels,
    seed,
    preprocess: "torch",
    inputShape: INPUT,
    layers(tf, connect, image) {
      const draw = glorot(tf, seed);
      const conv = convolving(tf, connect, draw, { activation: "relu" });
      let x = conv(image, "conv1", isFirst ? 96 : 64, isFirst ? 7 : 3, { strides: 2 });
      x = connect(halved(tf, "pool1", "valid"), x);
      for (let module = 2; module <= 9; module++) {
        const squeeze = 16 * Math.floor(module / 2);
        x = conv(x, `fire${module}_squeeze1x1`, squeeze, 1);
        x = connect(
          tf.layers.concatenate({ name: `fire${module}` }),
          conv(x, `fire${module}_expand1x1`, 4 * squeeze, 1),
          conv(x, `fire${module}_expand3x3`, 4 * squeeze, 3, { padding: "same" }),
        );
        if (!(isFirst ? [4, 8] : [3, 5]).includes(module)) continue;
        const isEven = x.shape[1]! % 2 === 0;
        x = connect(halved(tf, `pool${module}`, isEven ? "same" : "valid"), x);
      }
      x = connect(tf.layers.dropout({ name: "dropout", rate: 0.5, seed: 1 }), x);
      x = conv(x, "conv10", units, 1);
      x = connect(tf.layers.globalAveragePooling2d({ name: "pool10" }), x);
      return connect(tf.layers.activation({ name: "softmax", activation: "softmax" }), x);
    },
  });
}

/** The options of `resnet50` and `mobilenetV2`. */
export class VariantOptions extends ClassifierOptions {
  /**
   * Whose details it has, for the weights that are to go into it: `"keras"`, those of Keras Applications, or
   * `"torchvision"`, those of PyTorch, MXNet and most ONNX files.
   * @default "keras"
   */
  @oneOf("keras", "torchvision")
  variant: "keras" | "torchvision" = "keras";
}

/**
 * ResNet-50 (He et al. 2015, Table 1), its layers called as in Keras Applications. There a stage's stride is in its
 * first 1×1 convolution, as in the paper, and convolutions have biases; in torchvision's variant it is in the 3×3
 * convolution, and they have none.
 *
 * @returns a model with 25,636,712 weights for 1000 classes (torchvision's: 25,610,152), on images of 224×224
 * @throws {RangeError} if the labels, the number of classes, the seed or the variant do not fit
 *
 * @example
 * ```ts
 * import { resnet50 } from "@convlens/convlens";
 *
 * const model = await resnet50({ seed: 1 });
 * console.log(model.layer("conv4_block6_out").outputShape); // [14, 14, 1024]
 * ```
 */
export async function resnet50(options: Partial<VariantOptions> = {}): Promise<Model> {
  const given = readOptions("resnet50", VariantOptions, options);
  const { labels, classes, seed, variant, name = "resnet50" } = given;
  const units = outputsOf(labels, classes);
  const isKeras = variant === "keras";
  return await branched({
    name,
    labels,
    seed,
    preprocess: isKeras ? "caffe" : "torch",
    inputShape: INPUT,
    layers(tf, connect, image) {
      const draw = he(tf, seed);
      const relu = (x: SymbolicTensor, name: string) => connect(tf.layers.activation({ name, activation: "relu" }), x);
      const bare = convolving(tf, connect, draw, { useBias: isKeras });
      const conv = (x: SymbolicTensor, name: string, filters: number, kernelSize: number, own: object = {}) =>
        connect(
          tf.layers.batchNormalization({ name: `${name}_bn`, epsilon: isKeras ? 1.001e-5 : 1e-5 }),
          bare(x, `${name}_conv`, filters, kernelSize, own),
        );
      const padded = (x: SymbolicTensor, name: string, padding: number) =>
        connect(tf.layers.zeroPadding2d({ name, padding }), x);
      let x = relu(conv(padded(image, "conv1_pad", 3), "conv1", 64, 7, { strides: 2 }), "conv1_relu");
      x = connect(halved(tf, "pool1_pool", "valid"), padded(x, "pool1_pad", 1));
      for (const [stage, blocks] of [3, 4, 6, 3].entries()) {
        const filters = 64 * 2 ** stage;
        for (let block = 1; block <= blocks; block++) {
          const part = `conv${stage + 2}_block${block}`;
          const strides = stage > 0 && block === 1 ? 2 : 1;
          const beside = block === 1 ? conv(x, `${part}_0`, 4 * filters, 1, { strides }) : x;
          x = relu(conv(x, `${part}_1`, filters, 1, isKeras ? { strides } : {}), `${part}_1_relu`);
          // Of a stride of 2 torchvision's lattice begins one pixel earlier than that of "same".
          if (!isKeras) x = padded(x, `${part}_2_pad`, 1);
          x = conv(x, `${part}_2`, filters, 3, isKeras ? { padding: "same" } : { strides });
          x = conv(relu(x, `${part}_2_relu`), `${part}_3`, 4 * filters, 1);
          x = relu(connect(tf.layers.add({ name: `${part}_add` }), beside, x), `${part}_out`);
        }
      }
      x = connect(tf.layers.globalAveragePooling2d({ name: "avg_pool" }), x);
      return connect(
        tf.layers.dense({ name: "predictions", units, activation: "softmax", kernelInitializer: draw() }),
        x,
      );
    },
  });
}

/** The blocks of MobileNet V2 (Table 2): how much wider inside, how many filters, how many blocks, the first one's stride. */
const INVERTED = [
  [1, 16, 1, 1],
  [6, 24, 2, 2],
  [6, 32, 3, 2],
  [6, 64, 4, 2],
  [6, 96, 3, 1],
  [6, 160, 3, 2],
  [6, 320, 1, 1],
];

/**
 * MobileNet V2 (Sandler et al. 2018, Table 2) at full width, its layers called as in Keras Applications. Keras pads what
 * has a stride behind only, torchvision on both sides, and their batch normalizations differ in epsilon.
 *
 * @returns a model with 3,538,984 weights for 1000 classes, on images of 224×224
 * @throws {RangeError} if the labels, the number of classes, the seed or the variant do not fit
 *
 * @example
 * ```ts
 * import { mobilenetV2 } from "@convlens/convlens";
 *
 * const model = await mobilenetV2({ labels: ["cat", "dog"] });
 * console.log(model.layer("out_relu").outputShape); // [7, 7, 1280]
 * ```
 */
export async function mobilenetV2(options: Partial<VariantOptions> = {}): Promise<Model> {
  const given = readOptions("mobilenetV2", VariantOptions, options);
  const { labels, classes, seed, variant, name = "mobilenetV2" } = given;
  const units = outputsOf(labels, classes);
  const isKeras = variant === "keras";
  return await branched({
    name,
    labels,
    seed,
    preprocess: isKeras ? "tf" : "torch",
    inputShape: INPUT,
    layers(tf, connect, image) {
      const draw = glorot(tf, seed);
      const normalized = (x: SymbolicTensor, name: string) =>
        connect(
          tf.layers.batchNormalization({ name, epsilon: isKeras ? 1e-3 : 1e-5, momentum: isKeras ? 0.999 : 0.9 }),
          x,
        );
      const relu = (x: SymbolicTensor, name: string) => connect(tf.layers.reLU({ name, maxValue: 6 }), x);
      const conv = convolving(tf, connect, draw, { useBias: false });
      // Behind a stride of 2, one row and column of zeros: on both sides, or in Keras at the end alone.
      const padded = (x: SymbolicTensor, name: string) =>
        connect(
          tf.layers.zeroPadding2d({ name, padding: isKeras ? [[0, 1], [0, 1]] : 1 }),
          x,
        );
      let x = conv(padded(image, "Conv1_pad"), "Conv1", 32, 3, { strides: 2 });
      x = relu(normalized(x, "bn_Conv1"), "Conv1_relu");
      let number = 0;
      for (const [expansion, filters, count, first] of INVERTED) {
        for (let block = 0; block < count; block++) {
          const part = number === 0 ? "expanded_conv" : `block_${number}`;
          const [before, strides] = [x, block === 0 ? first : 1];
          const channels = x.shape.at(-1)!;
          if (number > 0) {
            x = conv(x, `${part}_expand`, expansion * channels, 1);
            x = relu(normalized(x, `${part}_expand_BN`), `${part}_expand_relu`);
          }
          if (strides === 2) x = padded(x, `${part}_pad`);
          const depthwise = tf.layers.depthwiseConv2d({
            name: `${part}_depthwise`,
            kernelSize: 3,
            strides,
            padding: strides === 2 ? "valid" : "same",
            useBias: false,
            depthwiseInitializer: draw(),
          });
          x = relu(normalized(connect(depthwise, x), `${part}_depthwise_BN`), `${part}_depthwise_relu`);
          x = normalized(conv(x, `${part}_project`, filters, 1), `${part}_project_BN`);
          if (strides === 1 && channels === filters) x = connect(tf.layers.add({ name: `${part}_add` }), before, x);
          number++;
        }
      }
      x = relu(normalized(conv(x, "Conv_1", 1280, 1), "Conv_1_bn"), "out_relu");
      x = connect(tf.layers.globalAveragePooling2d({ name: "global_average_pooling2d" }), x);
      return connect(
        tf.layers.dense({ name: "predictions", units, activation: "softmax", kernelInitializer: draw() }),
        x,
      );
    },
  });
}
