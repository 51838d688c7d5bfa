/**
 * Whether a network's only bends are ReLUs: what the rule of guided backpropagation is defined for.
 *
 * @module
 */

import type { layers, LayersModel, SymbolicTensor } from "npm:@tensorflow/tfjs@4.22.0";
import { type Model, outputOf } from "../../model/model.ts";
import { makePlan } from "../plan.ts";
import { type ResolvedTarget, termsOf } from "../target.ts";

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
 * The layer that bends otherwise, here or in a model that it holds.
 *
 * @param isEnd whether the score is read here: what bends the score itself plays no part
 */
function bending(layer: layers.Layer, isEnd: boolean): { name: string; bend: string } | null {
  const { layers: inside, outputs } = layer as unknown as Partial<LayersModel>;
  if (!inside) {
    const bend = isEnd ? null : bendOf(layer);
    return bend ? { name: layer.name, bend } : null;
  }
  for (const inner of inside) {
    const found = bending(inner, isEnd && inner === outputs?.[0].sourceLayer);
    if (found) return { ...found, name: `${layer.name}/${found.name}` };
  }
  return null;
}

/**
 * Refuses a target behind activations other than ReLUs, for which the rule says nothing.
 *
 * @throws {TypeError} names the layer
 */
export function requireRelus(model: Model, target: ResolvedTarget, method: string): void {
  const { network } = model;
  for (const { target: single } of termsOf(target)) {
    const layer = "layer" in single ? single.layer : undefined;
    requireRelusTo(
      model,
      layer === undefined ? network.outputs[0] : outputOf(network, network.getLayer(layer)),
      method,
    );
  }
}

function requireRelusTo(model: Model, output: SymbolicTensor, method: string): void {
  const { network } = model;
  const { steps } = makePlan(network, [output], { fold: false });
  const outputs = new Set(steps.map(({ output }) => output));
  // Of a convolution with an activation fused to it, the step's layer is the one and the output the other's.
  const onTheWay = network.layers.filter((layer) =>
    steps.some((step) => step.layer === layer) ||
    layer.inboundNodes.some(({ outputTensors }) => outputTensors.some(({ id }) => outputs.has(id)))
  );
  for (const layer of onTheWay) {
    const found = bending(layer, layer === output.sourceLayer);
    if (!found) continue;
    throw new TypeError(
      `${method} is defined for ReLUs alone: the layer ${JSON.stringify(found.name)} of ${
        JSON.stringify(model.name)
      } ` +
        `has the activation ${found.bend}. Use saliency or integratedGradients, or a target before that layer.`,
    );
  }
}
