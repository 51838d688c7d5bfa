/**
 * Whether a network's only bends are ReLUs: what the rule of guided backpropagation is defined for.
 *
 * @module
 */

import type { layers, SymbolicTensor } from "npm:@tensorflow/tfjs@4.22.0";
import { headOf, makerOf } from "../../model/ending.ts";
import { graphOf, outputOf } from "../../model/graph.ts";
import type { Model } from "../../model/model.ts";
import { makePlan } from "../plan.ts";
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
 * The layer that bends otherwise, here or in a model that it holds.
 *
 * @param ends where the score is read: what bends the score itself plays no part
 */
function bending(layer: layers.Layer, ends: readonly layers.Layer[]): { name: string; bend: string } | null {
  const inner = graphOf(layer);
  if (!inner) {
    const bend = ends.includes(layer) ? null : bendOf(layer);
    return bend ? { name: layer.name, bend } : null;
  }
  for (const each of inner.layers) {
    const found = bending(each, ends);
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
    const isUnit = "layer" in single;
    const read = isUnit
      ? outputOf(network, network.getLayer(single.layer))
      : network.outputs[outputFor(model, single).index];
    const ends = isUnit || !isOutput(single) ? [makerOf(read)] : headOf(network, outputFor(model, single).head).ends;
    requireRelusTo(model, read, ends, method);
  }
}

function requireRelusTo(model: Model, output: SymbolicTensor, ends: readonly layers.Layer[], method: string): void {
  const { network } = model;
  const { steps } = makePlan(network, [output], { fold: false });
  const outputs = new Set(steps.map(({ output }) => output));
  // Of a convolution with an activation fused to it, the step's layer is the one and the output the other's.
  const onTheWay = network.layers.filter((layer) =>
    steps.some((step) => step.layer === layer) ||
    layer.inboundNodes.some(({ outputTensors }) => outputTensors.some(({ id }) => outputs.has(id)))
  );
  for (const layer of onTheWay) {
    const found = bending(layer, ends);
    if (!found) continue;
    throw new TypeError(
      `${method} is defined for ReLUs alone: the layer ${JSON.stringify(found.name)} of ${
        JSON.stringify(model.name)
      } ` +
        `has the activation ${found.bend}. Use saliency or integratedGradients, or a target before that layer.`,
    );
  }
}
