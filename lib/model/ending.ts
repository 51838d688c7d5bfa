/**
 * How the output of a network ends, found from the graph that leads to it: the last activation, and what goes into it.
 * Nested models are walked into; layers that only change the shape, and averages, are walked through.
 *
 * @module
 */

import type { layers, LayersModel, Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import { sizeOf } from "../array.ts";
import type { TF } from "../runtime/backend.ts";
import { callUse, traceAnySize, type Use } from "./graph.ts";

/** A layer as it would be without its activation. The layer itself stays as it is: this is a view of it. */
export function withoutActivation(tf: TF, layer: layers.Layer): layers.Layer {
  const linear = (tf.layers.activation({ activation: "linear" }) as unknown as { activation: unknown }).activation;
  return "activation" in layer ? Object.create(layer, { activation: { value: linear } }) : layer;
}

/** What a use of a layer puts out, from those that are known. */
type Read = (use: Use) => Tensor;

/** How a tensor ends. */
export interface Ending {
  /** The activation that its numbers come from, through whatever changes nothing about that. */
  readonly activation: string;
  /** The axis along which a softmax adds up to 1; absent where it is none any more. */
  readonly axis?: number;
  /** Whether the activation of `scores` is the tensor itself; else the scores are the tensor. */
  readonly exact: boolean;
  /** What the scores are made of. */
  readonly taps: readonly Use[];
  /** The uses whose activations are left out. */
  readonly ends: readonly Use[];
  /** The tensor as it would be without its activation. */
  readonly scores: (tf: TF, read: Read) => Tensor;
}

/** Layers that do nothing when a network is asked. */
export const IDLE =
  /^(Dropout|SpatialDropout\dD|GaussianNoise|GaussianDropout|AlphaDropout|ActivityRegularization|Identity|Random\w+)$/;
/** Layers that only change the shape. */
const SHAPES = /^(Flatten|Reshape|Permute)$/;
/** Layers that pick numbers: they give the same before and after a function that grows with each number. */
const PICKS = /^(Concatenate|Maximum|Minimum|RepeatVector|(Global)?MaxPooling\dD)$/;
/** Layers that take the numbers of whole places from maps, or means of them. */
const PLACES = /^(Cropping\dD|UpSampling\dD|Resizing)$/;
const AVERAGES = /^(Average|(Global)?AveragePooling\dD)$/;
/** Layers that are linear in what they read. */
const LINEAR = /^(Add|Subtract|BatchNormalization|Rescaling|Normalization|ZeroPadding\dD|Masking)$/;
/** Activations that make one distribution along an axis. */
export const SOFT = /^(log)?softmax$/i;
/** Layers whose activation is the last thing that they do. */
const ACTIVATED = /^(Dense|Activation|Conv\dD|Conv\dDTranspose|SeparableConv\dD|DepthwiseConv2D)$/;
const FUNCTIONS: Record<string, string> = {
  ReLU: "relu",
  ELU: "elu",
  LeakyReLU: "leakyRelu",
  PReLU: "prelu",
  ThresholdedReLU: "thresholdedRelu",
};

/** Where the axis of a softmax is after a change of shape; undefined where it is several distributions in one. */
function axisAfter(kind: string, layer: layers.Layer, from: Use, to: Use, axis?: number) {
  if (axis === undefined) return undefined;
  if (kind === "Permute") return (layer.getConfig()["dims"] as number[]).indexOf(axis) + 1;
  const { shape } = from;
  const [length, last] = [shape[axis], to.shape.length - 1];
  if (length !== null && sizeOf(shape.slice(1) as number[]) === length) {
    const at = to.shape.indexOf(length, 1);
    return at > 0 && sizeOf(to.shape.slice(1) as number[]) === length ? at : undefined;
  }
  return axis === shape.length - 1 && to.shape[last] === length ? last : undefined;
}

/** How what a use of a layer puts out ends. */
export function endingOf(use: Use): Ending {
  const { layer, inputs, shape, steps } = use;
  const kind = layer.getClassName();
  const plain = (activation: string, axis?: number): Ending => ({
    activation,
    ...axis !== undefined && { axis },
    exact: false,
    ends: [use],
    taps: [use],
    scores: (_tf, read) => read(use),
  });
  if (inputs.length === 0) return plain("unknown");
  const { ending } = layer as { ending?: string };
  if (ending) return plain(ending, SOFT.test(ending) ? shape.length - 1 : undefined);
  if (ACTIVATED.test(kind) || kind === "Softmax") {
    const activation = String(kind === "Softmax" ? "softmax" : layer.getConfig()["activation"] ?? "linear");
    if (kind === "Activation" && activation === "linear") return endingOf(inputs[0]);
    const own = Number(kind === "Softmax" ? layer.getConfig()["axis"] ?? -1 : -1);
    const axis = SOFT.test(activation) ? (own < 0 ? own + shape.length : own + steps) : undefined;
    if (axis === undefined && activation !== "sigmoid") return plain(activation);
    return {
      ...plain(activation, axis),
      exact: true,
      taps: [inputs[0]],
      scores: (tf, read) => {
        const x = read(inputs[0]);
        return kind === "Softmax" ? x : callUse(tf, { ...use, layer: withoutActivation(tf, layer) }, [x]);
      },
    };
  }
  if (FUNCTIONS[kind]) return plain(FUNCTIONS[kind]);
  if (IDLE.test(kind)) return endingOf(inputs[0]);
  if (SHAPES.test(kind) && steps > 0) return plain("unknown");
  if (![SHAPES, PICKS, PLACES, AVERAGES, LINEAR].some((kinds) => kinds.test(kind))) return plain("unknown");

  const parts = inputs.map(endingOf);
  const [{ activation }] = parts;
  if (parts.some((part) => part.activation !== activation)) return plain("unknown");
  const through = (axis?: number): Ending => ({
    ...plain(activation, axis),
    exact: parts.every(({ exact }) => exact),
    ends: parts.flatMap(({ ends }) => ends),
    taps: parts.flatMap(({ taps }) => taps),
    scores: (tf, read) => callUse(tf, use, parts.map(({ scores }) => scores(tf, read))),
  });
  if (LINEAR.test(kind)) return plain(activation === "linear" ? "linear" : "unknown");
  const axes = new Set(parts.map(({ axis }) => axis));
  const axis = axes.size === 1 ? parts[0].axis : undefined;
  if (SHAPES.test(kind)) {
    const whole = through(axisAfter(kind, layer, inputs[0], use, axis));
    return whole.exact ? whole : plain(activation, whole.axis);
  }
  if (PLACES.test(kind)) {
    const own = axis === inputs[0].shape.length - 1 ? axis : undefined;
    // What is taken as it is can be taken from the scores. A mean of probabilities has none.
    const isTaken = /^Crop/.test(kind) || (layer.getConfig()["interpolation"] ?? "nearest") === "nearest";
    return isTaken && (own !== undefined || activation === "sigmoid") ? through(own) : plain(activation, own);
  }
  if (AVERAGES.test(kind)) {
    if (kind === "Average") return plain(activation, axis);
    // Pooled over places: what each place's distribution is of stays, if it is along the channels.
    const own = axis === inputs[0].shape.length - 1 ? shape.length - 1 : undefined;
    return plain(activation, own);
  }
  // The scores of a softmax are not picked from.
  return activation === "sigmoid" && parts.every(({ exact }) => exact) ? through() : plain(activation);
}

/** Which scores of a network are wanted: sent to a Worker. */
export interface HeadOptions {
  /** The index of the output. */
  readonly index: number;
  /** Whether the scores are what the last softmax or sigmoid reads, where that can be found. */
  readonly bare: boolean;
}

/** The scores of a network's output: what is explained. */
export interface Head {
  /** What the scores are made of, each once. */
  readonly taps: readonly Use[];
  /** Makes the scores, `[n, count]`, of what the taps hold. */
  readonly scores: (tf: TF, taps: readonly Tensor[]) => Tensor;
  /** The uses whose activations are left out; else the one whose numbers the scores are. */
  readonly ends: readonly Use[];
}

/** Finds where the scores of an output are made, through nested models and whatever follows the activation. */
export function headOf(network: LayersModel, { index, bare }: HeadOptions): Head {
  const output = traceAnySize(network).outputs[index];
  const ending = bare ? endingOf(output) : null;
  if (!ending?.exact) {
    const scores: Head["scores"] = (tf, [output]) => tf.reshape(output, [output.shape[0], -1]);
    return { taps: [output], ends: [output], scores };
  }
  const taps = [...new Set(ending.taps)];
  return {
    taps,
    ends: ending.ends,
    scores: (tf, values) => {
      const scores = ending.scores(tf, (use) => values[taps.indexOf(use)]);
      return tf.reshape(scores, [scores.shape[0], -1]);
    },
  };
}
