/**
 * Whether a network's only bends are ReLUs: what the rule of guided backpropagation is defined for.
 *
 * @module
 */

import type { layers } from "npm:@tensorflow/tfjs@4.22.0";
import { headOf } from "../../model/ending.ts";
import { traceAnySize, waysTo } from "../../model/graph.ts";
import type { Model } from "../../model/model.ts";
import { outputFor } from "../output_target.ts";
import { isOutput, type ResolvedTarget, termsOf } from "../target.ts";

/** Activations that are ReLUs or nothing. */
const PASSED = new Set(["linear", "relu", "relu6"]);

/** Types of layers that bend otherwise, whatever their settings. */
const BENDS = new Set(["ELU", "LeakyReLU", "PReLU", "ThresholdedReLU", "Softmax"]);

/** What a layer bends with, if it is not a ReLU. */
function bendOf(layer: layers.Layer): string | null {
  const kind = layer.getClassName();
  if (BENDS.has(kind)) return kind;
  const { activation, recurrentActivation } = layer.getConfig();
  return [activation, recurrentActivation]
    .map((name) => name === undefined || name === null ? "linear" : String(name))
    .find((name) => !PASSED.has(name)) ?? null;
}

/**
 * Refuses a target behind activations other than ReLUs, for which the rule says nothing.
 *
 * @throws {TypeError} names the layer
 */
export function requireRelus(model: Model, target: ResolvedTarget, method: string): void {
  const { network } = model;
  for (const { target: single } of termsOf(target)) {
    const isUnit = "layer" in single;
    const read = isUnit ? model.entry(single.layer).use : traceAnySize(network).outputs[outputFor(model, single).index];
    // What bends the score itself plays no part.
    const ends = isUnit || !isOutput(single) ? [read] : headOf(network, outputFor(model, single).head).ends;
    for (const use of waysTo([read])) {
      const { name, layer } = use;
      const bend = ends.includes(use) ? null : bendOf(layer);
      if (!bend) continue;
      throw new TypeError(
        `${method} is defined for ReLUs alone: the layer ${JSON.stringify(name)} of ${JSON.stringify(model.name)} ` +
          `has the activation ${bend}. Use saliency or integratedGradients, or a target before that layer.`,
      );
    }
  }
}
