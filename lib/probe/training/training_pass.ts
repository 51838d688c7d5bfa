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
import { randomStream } from "../../random.ts";
import type { Dataset } from "../../data/dataset.ts";
import { withoutActivation } from "../../model/ending.ts";
import { graphOf } from "../../model/graph.ts";
import type { Model } from "../../model/model.ts";
import { ModelOutput } from "../../model/output.ts";
import type { Known } from "../truth.ts";
import type { TF } from "../../runtime/backend.ts";
import { weight } from "../plan.ts";
import { normalizeBatch } from "./batch_normalization.ts";
import { innerLayers, partsOf } from "../../model/formats/named_weights.ts";

/** What a batch means to a moving average. */
export interface Moving {
  variable: Variable;
  /** The batch's own mean or variance, which the caller disposes. */
  statistic: Tensor;
  /** The share of the old value in the new one. */
  momentum: number;
}

/** What makes probabilities of logits, over all classes or for each output alone; of numbers the squares of the errors count. */
export type Loss = "softmax" | "sigmoid" | "square";

/** What the loss of an output is made with. */
export const lossKind = ({ each, activation }: ModelOutput): Loss =>
  each === "numbers" ? "square" : each !== "classes" || activation === "sigmoid" ? "sigmoid" : "softmax";

/** A network, ready to be trained. */
export interface TrainingPass {
  loss: Loss;
  /** The weights that the outputs depend on. */
  weights: ReadonlySet<Variable>;
  /**
   * @param given of each of the network's inputs a batch, as `[n, h, w, c]`
   * @param key what the dropout masks are drawn from, as `[seed, step]`
   * @param moving receives what the batch does to the moving averages
   * @returns the values before the last activation, of numbers the outputs, `[n, outputs]`, of maps `[n · places, channels]`
   */
  run(given: readonly Tensor[], key: readonly number[], moving: Moving[]): Tensor2D;
}

type Layer = layers.Layer;
/** A layer or a network as a function of its inputs. */
type Pass = (inputs: readonly Tensor[], key: readonly number[], moving: Moving[]) => Tensor[];

/** A network's output as a function of some of its tensors. */
interface End {
  from: readonly number[];
  pass: Pass;
}

type Visit = (tensor: SymbolicTensor) => void;

const nodeOf = (tensor: SymbolicTensor) => tensor.sourceLayer.inboundNodes[tensor.nodeIndex];
const listed = (result: Tensor | Tensor[]): Tensor[] => Array.isArray(result) ? result : [result];

/** Layers that draw random numbers of their own, which no checkpoint can hold. */
const RANDOM = /^(GaussianNoise|GaussianDropout|AlphaDropout|Random\w+)$/;
/** Layers with an activation at their end. */
const ACTIVATED = /^(Dense|\w*Conv[123]D(Transpose)?)$/;
/** Layers that hand their input's numbers on in another shape. */
const RESHAPES = /^(Reshape|Flatten)$/;
/** The least probability in a loss, as in Keras. */
export const LEAST = 1e-7;

/**
 * Prepares a network for training.
 *
 * @param output as {@linkcode trainedOutput} gives it
 * @throws {TypeError} if a layer cannot be trained so that a run repeats exactly
 */
export function trainingPass(tf: TF, { network, name }: Model, output: ModelOutput): TrainingPass {
  const model = JSON.stringify(name);
  const { count, index, activation } = output;
  const loss = lossKind(output);
  const passes = new Passes(tf, network, model);
  const run = passes.ofNetwork(network, [network.outputs[index]], activation === loss ? loss : undefined);
  return {
    loss,
    weights: passes.weights,
    run: (given, key, moving) => tf.reshape(run(given, key, moving)[0], [-1, count]) as Tensor2D,
  };
}

/**
 * What of a model is trained: its output. Linear numbers are taken for logits if they are as many as the data set's labels.
 *
 * @param known what the data set says of an image; null if `truth` says it
 * @throws {TypeError} if it is a map whose size depends on the image, or the data set has class labels alone for what puts out
 *   none
 */
export function trainedOutput(model: Model, dataset: Dataset, known: Known | null = null): ModelOutput {
  const { output, network, name } = model;
  const { kind, activation, count, index, cells } = output;
  if (kind === "numbers" && activation === "linear" && count > 1 && count === dataset.labels?.length) {
    return new ModelOutput(network, name, model.labels, { layer: index, kind: "classes" });
  }
  if (known?.label !== undefined && lacksTruth(output, known)) {
    const column = { numbers: "value", labels: "labels", map: "mask" }[kind as string];
    const remedy = kind === "map"
      ? `Give each image a mask [h, w], or put a pooling and a dense layer with a softmax behind the maps`
      : kind === "labels"
      ? `Give each image its labels; or, if no other is right than the one, load the model with output: "classes"`
      : activation === "linear"
      ? `Give each image its value; or, if they are logits, load the model with output: ${
        JSON.stringify(count > 1 ? "classes" : "binary")
      }`
      : "Give each image its value, or let the network end in a softmax, in a single sigmoid, or in logits";
    throw new TypeError(
      `The model ${JSON.stringify(name)} puts out ${output.text}; the data set ${
        JSON.stringify(dataset.name)
      } names one class ` +
        `an image, and no ${column}. ${remedy}.`,
    );
  }
  if (!cells.includes(null)) return output;
  throw new TypeError(
    `The model ${
      JSON.stringify(name)
    } puts out ${output.text} of a size that depends on the image; train wants images of one ` +
      `size: give its first layer an inputShape.`,
  );
}

/** Whether a data set says nothing of an image that its outputs could be trained towards. */
function lacksTruth({ kind, labels }: ModelOutput, known: Known): boolean {
  if (kind === "classes" || kind === "binary") return false;
  if (kind === "map") return known["mask"] === undefined && known["map"] === undefined;
  if (kind === "labels") return known["labels"] === undefined;
  return known["values"] === undefined && known["value"] === undefined &&
    !labels.every((label) => known[label] !== undefined) &&
    !(known.label?.trim() && Number.isFinite(Number(known.label)));
}

/** Makes functions of the layers of a network. */
class Passes {
  /** The weights of all layers that came up. */
  readonly weights = new Set<Variable>();
  readonly #tf: TF;
  readonly #model: string;
  readonly #trainable: ReadonlySet<Layer>;
  #dropouts = 0;

  constructor(tf: TF, network: LayersModel, model: string) {
    this.#tf = tf;
    this.#model = model;
    const free = [...innerLayers(network)].filter(({ trainable }) => trainable);
    this.#trainable = new Set(free.map(({ layer }) => layer));
  }

  /** A network, or a model inside of one. With a loss its outputs are those before the last activation. */
  ofNetwork(network: LayersModel, outputs: readonly SymbolicTensor[], loss?: Loss): Pass {
    const steps: { inputs: number[]; outputs: number[]; pass: Pass }[] = [];
    const seen = new Set(network.inputs.map(({ id }) => id));
    const visit: Visit = (tensor) => {
      if (seen.has(tensor.id)) return;
      const { inputTensors, outputTensors } = nodeOf(tensor);
      outputTensors.forEach(({ id }) => seen.add(id));
      inputTensors.forEach(visit);
      const [inputs, ids] = [inputTensors, outputTensors].map((tensors) => tensors.map(({ id }) => id));
      steps.push({ inputs, outputs: ids, pass: this.#ofLayer(tensor.sourceLayer) });
    };
    const ends = outputs.map((tensor) => loss ? this.#ofLogits(tensor, loss, visit) : this.#ofTensor(tensor, visit));
    return (given, key, moving) => {
      const values = new Map(network.inputs.map(({ id }, i) => [id, given[i]]));
      for (const { inputs, outputs, pass } of steps) {
        const made = pass(inputs.map((id) => values.get(id)!), key, moving);
        outputs.forEach((id, i) => values.set(id, made[i]));
      }
      return ends.map(({ from, pass }) => pass(from.map((id) => values.get(id)!), key, moving)[0]);
    };
  }

  #ofTensor(tensor: SymbolicTensor, visit: Visit): End {
    visit(tensor);
    return { from: [tensor.id], pass: (inputs) => [...inputs] };
  }

  /** What comes before the last activation. */
  #ofLogits(tensor: SymbolicTensor, loss: Loss, visit: Visit): End {
    const layer = tensor.sourceLayer;
    const kind = layer.getClassName();
    const { inputTensors: before, outputTensors } = nodeOf(tensor);
    const after = (pass: Pass): End => {
      before.forEach(visit);
      return { from: before.map(({ id }) => id), pass };
    };
    if (kind === "Activation" && layer.getConfig()["activation"] === "linear") {
      return this.#ofLogits(before[0], loss, visit);
    }
    if (kind === "Softmax" || kind === "Activation") return this.#ofTensor(before[0], visit);
    const inner = graphOf(layer);
    if (inner) {
      const index = outputTensors.findIndex(({ id }) => id === tensor.id);
      return after(this.ofNetwork(inner, [inner.outputs[index]], loss));
    }
    if (RESHAPES.test(kind)) {
      const { from, pass } = this.#ofLogits(before[0], loss, visit);
      const reshape = this.#ofLayer(layer);
      return { from, pass: (inputs, key, moving) => reshape(pass(inputs, key, moving), key, moving) };
    }
    if (ACTIVATED.test(kind)) {
      this.#ofLayer(layer);
      const linear = withoutActivation(this.#tf, layer);
      return after((inputs) => listed(linear.call([...inputs], { training: true })));
    }
    return this.#ofProbabilities(tensor, loss, visit);
  }

  /** Probabilities that no activation makes, as the average of several: their logarithms do for logits. */
  #ofProbabilities(tensor: SymbolicTensor, loss: Loss, visit: Visit): End {
    const tf = this.#tf;
    const log = (p: Tensor) => tf.log(tf.clipByValue(p, LEAST, 1));
    const { from } = this.#ofTensor(tensor, visit);
    return { from, pass: ([p]) => [loss === "sigmoid" ? tf.sub(log(p), log(tf.sub(1, p))) : log(p)] };
  }

  #ofLayer(layer: Layer): Pass {
    const kind = layer.getClassName();
    const inner = graphOf(layer);
    if (inner) return this.ofNetwork(inner, inner.outputs);
    if (kind === "TimeDistributed") return this.#timeDistributed(this.#ofLayer(partsOf(layer)[0]));
    this.#refuse(layer);
    for (const weight of layer.weights) this.weights.add(weight.read() as Variable);
    if (kind === "Dropout" || kind === "SpatialDropout1D") return this.#dropout(layer);
    // A frozen normalisation goes on with its averages, as in Keras.
    const normalizes = kind === "BatchNormalization";
    if (normalizes && this.#trainable.has(layer)) return this.#normalization(layer);
    const options = { training: !normalizes };
    // A recurrent layer may be given its first state beside its input.
    if (partsOf(layer).length > 0) return (inputs) => listed(layer.apply([...inputs], options) as Tensor | Tensor[]);
    return (inputs) => listed(layer.call(inputs.length === 1 ? inputs[0] : [...inputs], options));
  }

  /** @throws {TypeError} if training the layer would not repeat exactly, or depend on what was trained before */
  #refuse(layer: Layer): void {
    const kind = layer.getClassName();
    const { dropout, recurrentDropout } = layer.getConfig();
    const why = RANDOM.test(kind) || dropout || recurrentDropout
      ? `is a ${kind}${
        dropout || recurrentDropout ? " with dropout of its own" : ""
      }, which draws random numbers that ` +
        `no seed repeats; train knows Dropout and SpatialDropout1D`
      : layer.stateful
      ? `keeps its state from batch to batch, which no checkpoint holds; train wants it with stateful: false`
      : undefined;
    if (why) throw new TypeError(`The layer ${JSON.stringify(layer.name)} of ${this.#model} ${why}.`);
    partsOf(layer).forEach((part) => this.#refuse(part));
  }

  /** The same for each step of a sequence, all steps at once. */
  #timeDistributed(pass: Pass): Pass {
    return ([x], key, moving) => {
      const [images, steps, ...rest] = x.shape;
      const [y] = pass([this.#tf.reshape(x, [images * steps, ...rest])], key, moving);
      return [this.#tf.reshape(y, [images, steps, ...y.shape.slice(1)])];
    };
  }

  #dropout(layer: Layer): Pass {
    const tf = this.#tf;
    const index = this.#dropouts++;
    const { rate, noiseShape } = layer.getConfig() as { rate: number; noiseShape?: (number | null)[] | null };
    const perChannel = layer.getClassName() === "SpatialDropout1D";
    return ([x], key) => {
      if (rate <= 0) return [x];
      const shape = x.shape.map((length, axis) => perChannel && axis === 1 ? 1 : noiseShape?.[axis] ?? length);
      const random = randomStream(...key, index);
      const mask = Float32Array.from({ length: sizeOf(shape) }, () => random() < rate ? 0 : 1 / (1 - rate));
      return [tf.mul(x, tf.tensor(mask, shape))];
    };
  }

  #normalization(layer: Layer): Pass {
    const tf = this.#tf;
    const { axis, momentum, epsilon } = layer.getConfig() as { axis: number; momentum: number; epsilon: number };
    const rank = layer.inputSpec[0].ndim!;
    if (axis !== -1 && axis !== rank - 1) {
      throw new TypeError(
        `The layer ${JSON.stringify(layer.name)} of ${this.#model} normalises axis ${axis}; train knows the last one ` +
          `only.`,
      );
    }
    return ([x], _key, moving) => {
      const channels = x.shape.at(-1)!;
      const gamma = weight(layer, "gamma") ?? tf.ones([channels]);
      const beta = weight(layer, "beta") ?? tf.zeros([channels]);
      const { output, mean, variance } = normalizeBatch(tf, x, gamma, beta, epsilon);
      for (const [name, statistic] of [["moving_mean", mean], ["moving_variance", variance]] as const) {
        moving.push({ variable: weight(layer, name) as Variable, statistic: tf.keep(statistic), momentum });
      }
      return [output];
    };
  }
}

/**
 * The mean loss of a batch: cross-entropy, computed from the logits so that no probability can round to 0.
 *
 * @param classes the number of each image's class
 * @param smoothing the share of each target that is spread over all classes (Szegedy et al. 2015, §7)
 */
export function crossEntropy(tf: TF, loss: Loss, logits: Tensor2D, classes: Int32Array, smoothing = 0): Scalar {
  const [images, outputs] = logits.shape;
  // A single output is the probability of the second of two classes.
  const values = new Float32Array(images * outputs).fill(smoothing / Math.max(2, outputs));
  classes.forEach((index, i) => {
    if (outputs > 1) values[i * outputs + index] += 1 - smoothing;
    else values[i] += index * (1 - smoothing);
  });
  const targets = tf.tensor2d(values, [images, outputs]);
  const { softmaxCrossEntropy, sigmoidCrossEntropy } = tf.losses;
  const mean = tf.Reduction.MEAN;
  return (loss === "softmax" ? softmaxCrossEntropy : sigmoidCrossEntropy)(targets, logits, undefined, 0, mean);
}

/** How many images of a batch are classified right. */
export function rightOnes(tf: TF, logits: Tensor2D, classes: Int32Array): Scalar {
  const found = logits.shape[1] === 1 ? tf.reshape(tf.greater(logits, 0), [-1]) : tf.argMax(logits, 1);
  return tf.sum(tf.cast(tf.equal(tf.cast(found, "int32"), tf.tensor1d(classes, "int32")), "float32"));
}
