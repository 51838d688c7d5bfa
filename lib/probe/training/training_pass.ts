/**
 * The way through a network in training: dropout with masks that can be drawn again, batch normalisation by the batch,
 * and the loss from the values before the last activation.
 *
 * @module
 */

import type {
  layers,
  LayersModel,
  Scalar,
  SymbolicTensor,
  Tensor,
  Tensor2D,
  Variable,
} from "npm:@tensorflow/tfjs@4.22.0";
import { sizeOf } from "../../array.ts";
import type { TF } from "../../runtime/backend.ts";
import { normalizeBatch } from "./batch_normalization.ts";
import { randomStream } from "../../random.ts";

/** What a batch means to a moving average. */
export interface Moving {
  variable: Variable;
  /** The batch's own mean or variance, which the caller disposes. */
  statistic: Tensor;
  /** The share of the old value in the new one. */
  momentum: number;
}

/** How a network's outputs become a loss. */
export interface Head {
  /** `"softmax"`: one output a class; `"sigmoid"`: one output for two classes. */
  kind: "softmax" | "sigmoid";
}

/** A network, ready to be trained. */
export interface TrainingPass {
  head: Head;
  /**
   * @param x `[n, h, w, c]`
   * @param key what the dropout masks are drawn from, as `[seed, step]`
   * @param moving receives what the batch does to the moving averages
   * @returns the values before the last activation, `[n, outputs]`
   */
  run(x: Tensor, key: readonly number[], moving: Moving[]): Tensor2D;
}

/** Layers that draw random numbers of their own, which no checkpoint can hold. */
const RANDOM = new Set(["GaussianNoise", "GaussianDropout", "AlphaDropout"]);

type Step = (values: Map<number, Tensor>, key: readonly number[], moving: Moving[]) => Tensor;

const single = (result: Tensor | Tensor[]) => Array.isArray(result) ? result[0] : result;

/** A layer's weight by the name it was made under, as `"gamma"`; undefined where it has none. */
function weightOf(layer: layers.Layer, name: string): Variable | undefined {
  const found = layer.weights.find(({ originalName }) => originalName.split("/").at(-1) === name);
  return found?.read() as Variable | undefined;
}

/** The name of a layer's activation; `"linear"` where it has none. */
function activationOf(layer: layers.Layer): string {
  if (layer.getClassName() === "Softmax") return "softmax";
  return String(layer.getConfig()["activation"] ?? "linear");
}

/**
 * Prepares a network for training.
 *
 * @param model its name, for errors
 * @throws {TypeError} if a layer cannot be trained so that a run repeats exactly, or the output is no classification
 */
export function trainingPass(tf: TF, network: LayersModel, model: string): TrainingPass {
  const quoted = JSON.stringify(model);
  const input = network.inputs[0];
  const output = network.outputs[0];
  if (network.inputs.length !== 1 || network.outputs.length !== 1) {
    throw new TypeError(
      `The model ${quoted} has ${network.inputs.length} inputs and ${network.outputs.length} outputs; train wants one ` +
        `of each.`,
    );
  }
  const last = output.sourceLayer;
  const activation = activationOf(last);
  const outputs = output.shape.at(-1);
  const fits = activation === "sigmoid" ? outputs === 1 : ["softmax", "linear"].includes(activation) && outputs !== 1;
  if (output.shape.length !== 2 || !fits) {
    throw new TypeError(
      `The model ${quoted} ends in the layer ${JSON.stringify(last.name)}, which puts out [${
        output.shape.slice(1).join(", ")
      }] through ${JSON.stringify(activation)}; train wants a vector of one number a class with the activation ` +
        `softmax (or linear, taken for logits), or a single one with sigmoid.`,
    );
  }

  const inner = network.layers.find((layer) => "layers" in layer);
  if (inner) {
    throw new TypeError(
      `The layer ${JSON.stringify(inner.name)} of ${quoted} is a whole model; train wants its layers to stand in the ` +
        `outer model themselves.`,
    );
  }

  const steps: { output: number; run: Step }[] = [];
  const seen = new Set<number>([input.id]);
  let dropouts = 0;
  const visit = (tensor: SymbolicTensor) => {
    if (seen.has(tensor.id)) return;
    seen.add(tensor.id);
    const from = tensor.sourceLayer.inboundNodes[tensor.nodeIndex].inputTensors;
    from.forEach(visit);
    const ids = from.map(({ id }) => id);
    steps.push({ output: tensor.id, run: stepOf(tensor, ids) });
  };

  function stepOf(tensor: SymbolicTensor, inputs: number[]): Step {
    const layer = tensor.sourceLayer;
    const kind = layer.getClassName();
    if (RANDOM.has(kind)) {
      throw new TypeError(
        `The layer ${JSON.stringify(layer.name)} of ${quoted} is a ${kind}, which draws random numbers that no seed ` +
          `repeats; train knows Dropout and SpatialDropout1D.`,
      );
    }
    if (kind === "Dropout" || kind === "SpatialDropout1D") return dropoutStep(layer, inputs[0], dropouts++);
    // A frozen normalisation goes on with its averages, as in Keras.
    const training = kind !== "BatchNormalization";
    if (!training && layer.trainable) return normalizationStep(layer, inputs[0], tensor);
    if (tensor.id === output.id && activation !== "linear") return logitsStep(layer, inputs[0]);
    return (values) => {
      const all = inputs.map((id) => values.get(id)!);
      return single(layer.call(all.length === 1 ? all[0] : all, { training }));
    };
  }

  /** The last layer without its activation. */
  function logitsStep(layer: layers.Layer, from: number): Step {
    const kind = layer.getClassName();
    if (kind === "Softmax" || kind === "Activation") return (values) => values.get(from)!;
    if (kind !== "Dense") {
      throw new TypeError(
        `The last layer of ${quoted}, ${JSON.stringify(layer.name)}, is a ${kind} with the activation ${activation}; ` +
          `train wants a Dense, an Activation or a Softmax there.`,
      );
    }
    return (values) => {
      const product = tf.matMul(values.get(from) as Tensor2D, weightOf(layer, "kernel") as unknown as Tensor2D);
      const bias = weightOf(layer, "bias");
      return bias ? tf.add(product, bias) : product;
    };
  }

  function dropoutStep(layer: layers.Layer, from: number, index: number): Step {
    const { rate, noiseShape } = layer.getConfig() as { rate: number; noiseShape?: (number | null)[] | null };
    const perChannel = layer.getClassName() === "SpatialDropout1D";
    return (values, key) => {
      const x = values.get(from)!;
      if (rate <= 0) return x;
      const shape = x.shape.map((length, axis) => perChannel && axis === 1 ? 1 : noiseShape?.[axis] ?? length);
      const random = randomStream(...key, index);
      const mask = Float32Array.from({ length: sizeOf(shape) }, () => random() < rate ? 0 : 1 / (1 - rate));
      return tf.mul(x, tf.tensor(mask, shape));
    };
  }

  function normalizationStep(layer: layers.Layer, from: number, tensor: SymbolicTensor): Step {
    const { axis, momentum, epsilon } = layer.getConfig() as { axis: number; momentum: number; epsilon: number };
    const rank = tensor.shape.length;
    if (axis !== -1 && axis !== rank - 1) {
      throw new TypeError(
        `The layer ${JSON.stringify(layer.name)} of ${quoted} normalises axis ${axis}; train knows the last one only.`,
      );
    }
    return (values, _key, moving) => {
      const x = values.get(from)!;
      const channels = x.shape.at(-1)!;
      const gamma = weightOf(layer, "gamma") ?? tf.ones([channels]);
      const beta = weightOf(layer, "beta") ?? tf.zeros([channels]);
      const { output, mean, variance } = normalizeBatch(tf, x, gamma, beta, epsilon);
      for (const [name, statistic] of [["moving_mean", mean], ["moving_variance", variance]] as const) {
        moving.push({ variable: weightOf(layer, name)!, statistic: tf.keep(statistic), momentum });
      }
      return output;
    };
  }

  visit(output);
  return {
    head: { kind: activation === "sigmoid" ? "sigmoid" : "softmax" },
    run(x, key, moving) {
      const values = new Map<number, Tensor>([[input.id, x]]);
      for (const { output, run } of steps) values.set(output, run(values, key, moving));
      return values.get(output.id) as Tensor2D;
    },
  };
}

/**
 * The mean loss of a batch: cross-entropy, computed from the logits so that no probability can round to 0.
 *
 * @param classes the number of each image's class
 * @param smoothing the share of each target that is spread over all classes (Szegedy et al. 2015, §7)
 */
export function crossEntropy(tf: TF, { kind }: Head, logits: Tensor2D, classes: Int32Array, smoothing = 0): Scalar {
  const [images, outputs] = logits.shape;
  const mean = tf.Reduction.MEAN;
  if (kind === "sigmoid") {
    const targets = Float32Array.from(classes, (index) => index * (1 - smoothing) + smoothing / 2);
    return tf.losses.sigmoidCrossEntropy(tf.tensor2d(targets, [images, 1]), logits, undefined, 0, mean);
  }
  const targets = new Float32Array(images * outputs).fill(smoothing / outputs);
  classes.forEach((index, i) => targets[i * outputs + index] += 1 - smoothing);
  return tf.losses.softmaxCrossEntropy(tf.tensor2d(targets, [images, outputs]), logits, undefined, 0, mean);
}

/** How many images of a batch are classified right. */
export function rightOnes(tf: TF, { kind }: Head, logits: Tensor2D, classes: Int32Array): Scalar {
  const found = kind === "sigmoid" ? tf.reshape(tf.greater(logits, 0), [-1]) : tf.argMax(logits, 1);
  return tf.sum(tf.cast(tf.equal(tf.cast(found, "int32"), tf.tensor1d(classes, "int32")), "float32"));
}
