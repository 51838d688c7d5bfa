/**
 * The layers of TensorFlow.js, so that each computes what Keras does or is refused where it is read.
 *
 * TensorFlow.js passes over options that it does not know, and computes some others wrongly. What it does otherwise than
 * Keras is replaced here on its classes (`convolutions.ts` and the files beside it); what is left of a layer's
 * configuration when that layer has taken its own is refused.
 *
 * @module
 */

import type { layers, LayersModel, Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import { messageOf } from "../../errors.ts";
import type { TF } from "../core/types.ts";
import { registerAdded } from "./added.ts";
import { CONVOLUTIONS, convolveCellsLast } from "./convolutions.ts";
import { registerOperations } from "./operations.ts";
import { activations, POINTWISE } from "./pointwise.ts";
import { POOLINGS } from "./pooling.ts";
import { RECURRENT } from "./recurrent.ts";
import { type Config, keepOptions, type LayerClass } from "./replacement.ts";
import { replacementOf, replaceMethods } from "./replacement.ts";
import { RESAMPLINGS } from "./resampling.ts";

export { isReplaced } from "./replacement.ts";

/** A layer that cannot be computed as Keras does. */
export class LayerError extends Error {
  /** `"LayerError"`. */
  override name = "LayerError";
}

const REPLACEMENTS = { ...CONVOLUTIONS, ...POOLINGS, ...POINTWISE, ...RECURRENT, ...RESAMPLINGS };

/** What tfjs's registry keeps of a class: itself, and how one is made from a configuration. */
type Entry = [LayerClass, (cls: LayerClass, config: Config, ...rest: unknown[]) => layers.Layer];

const registry = (tf: TF) =>
  tf.serialization.SerializationMap.getMap().classNameMap as unknown as Record<string, Entry>;

/** Replaces what TensorFlow.js computes otherwise than Keras, once and for all. */
export function completeLayers(tf: TF): void {
  const classes = registry(tf);
  registerActivations(tf, classes);
  registerOperations(tf);
  convolveCellsLast(tf, classes.ConvLSTM2DCell[0] as never);
  // Classes that others have registered are theirs.
  const own = new Set([...Object.keys(tf.layers), ...registerAdded(tf)].map((name) => name.toLowerCase()));
  for (const [name, [layerClass, fromConfig]] of Object.entries(classes)) {
    if (!own.has(name.toLowerCase()) || !(layerClass.prototype as unknown instanceof tf.layers.Layer)) continue;
    replaceMethods(tf, layerClass, REPLACEMENTS[name] ?? {});
    classes[name] = [layerClass, (cls, config, ...rest) => make(cls, fromConfig, config, rest)];
  }
}

/** Makes a layer of its configuration, with the options that TensorFlow.js would pass over. */
function make(cls: LayerClass, fromConfig: Entry[1], config: Config, rest: unknown[]): layers.Layer {
  const { className } = cls;
  const title = `The layer ${JSON.stringify(config.name ?? "")} (${className})`;
  const replacement = replacementOf(className);
  const shown = { ...config };
  replacement?.prepare?.(shown);
  const asked = { ...shown };
  const options: Config = {};
  for (const key of Object.keys(replacement?.options ?? {})) if (shown[key] !== undefined) options[key] = shown[key];
  for (const key of replacement?.hidden ?? []) delete shown[key];
  // The imperative backends always go step by step, and say so each time.
  if (shown.unroll) shown.unroll = false;
  let layer: layers.Layer;
  refuseValues(title, className, shown);
  try {
    layer = fromConfig(cls, shown, ...rest);
  } catch (error) {
    if (error instanceof LayerError) throw error;
    // TensorFlow.js looks into a configuration without a check: what JavaScript says of that helps nobody.
    const why = error instanceof TypeError
      ? "a value of its configuration is of another type than Keras writes"
      : messageOf(error).split(/[.\n]/)[0];
    throw new LayerError(
      `${title} cannot be made: ${why}. ${REMEDY}`,
      { cause: error },
    );
  }
  keepOptions(layer, options);
  const known = layer.getConfig();
  for (const [key, value] of Object.entries(asked)) {
    if (key in known || HARMLESS.test(key) || isNeutral(key, value)) continue;
    throw refusal(title, key, value);
  }
  return layer;
}

const REMEDY = "Change it in Keras, or put layers in its place that do the same, and save the model anew.";

const snake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

function refusal(title: string, key: string, value: unknown): LayerError {
  return new LayerError(
    `${title} has ${snake(key)} = ${
      JSON.stringify(value)
    }, which convlens does not compute: the results would not be ` +
      `those of Keras. ${REMEDY}`,
  );
}

/** What changes nothing that is computed once a network is made without masks, or belongs to Keras's own saving. */
const HARMLESS = new RegExp(
  "(Initializer|Regularizer|Constraint)$|" +
    "^(name|trainable|dtype|seed|batchInputShape|batchShape|inputShape|inputDim|inputLength|inputDtype|sparse|ragged|" +
    "optional|dynamic|autocast|customObjects|module|registeredName|buildConfig|implementation|unroll|momentum|" +
    "noiseShape|rate|stddev|dropout|recurrentDropout|unitForgetBias|renormMomentum|useCudnn|rngType|fillMode|fillValue|" +
    "zeroOutputForMask)$",
);

/** What an option is when it asks for nothing. */
const NEUTRAL: Record<string, readonly unknown[]> = {
  groups: [1],
  dataFormat: ["channelsLast"],
  dilationRate: [1],
  threshold: [0],
  negativeSlope: [0],
};

function isNeutral(key: string, value: unknown): boolean {
  if (value === null || value === undefined || value === false) return true;
  const values = [value].flat(Infinity);
  return values.every((value) => NEUTRAL[key]?.includes(value));
}

/** Values that TensorFlow.js takes and cannot compute. */
function refuseValues(title: string, className: string, config: Config): void {
  if (className === "BatchNormalization" && Array.isArray(config.axis)) throw refusal(title, "axis", config.axis);
  if (config.stateful) throw refusal(title, "stateful", true);
  const { cell } = config as { cell?: { className?: string } };
  if (cell?.className === "StackedRNNCells") throw refusal(title, "cell", "StackedRNNCells");
}

/**
 * Checks what our own passes through a network leave out: masks, and layers that are called as in training.
 *
 * @throws {LayerError} if the network has one
 */
export function checkLayers(network: LayersModel): void {
  for (const layer of network.layers) {
    if ("layers" in layer) checkLayers(layer as unknown as LayersModel);
    const title = `The layer ${JSON.stringify(layer.name)} (${layer.getClassName()})`;
    const masks = layer.getClassName() === "Masking" || (layer as unknown as { maskZero?: boolean }).maskZero;
    if (masks && layer.outboundNodes.length > 0) {
      throw new LayerError(
        `${title} hides steps from the layers behind it, which convlens does not compute. Leave masks out ` +
          "(mask_zero=False), or cut the inputs to one length.",
      );
    }
    if (layer.inboundNodes.some(({ callArgs }) => callArgs?.["training"])) {
      throw new LayerError(
        `${title} is called with training = true, which convlens does not compute: it looks at networks as they ` +
          "predict. Call it without, and save the model anew.",
      );
    }
  }
}

/** Makes activations of Keras known that TensorFlow.js lacks. */
function registerActivations(tf: TF, classes: Record<string, Entry>): void {
  const base = Object.getPrototypeOf(classes.relu[0]) as new () => { getConfig(): Config };
  for (const [className, apply] of Object.entries(activations(tf))) {
    const activation = class extends base {
      static className = className;
      apply(x: Tensor): Tensor {
        return tf.tidy(() => apply(x));
      }
    };
    tf.serialization.registerClass(activation as never);
  }
}
