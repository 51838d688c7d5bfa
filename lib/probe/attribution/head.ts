/**
 * The scores of the classes before the last softmax or sigmoid: what attribution methods differentiate.
 *
 * @module
 */

import type { layers, LayersModel, SymbolicTensor, Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import { softmax } from "../../array.ts";
import type { TF } from "../../runtime/backend.ts";
import { makePlan, type Plan, type Step } from "../plan.ts";

/** What turns a network's scores into its outputs. */
export type OutputActivation = "softmax" | "sigmoid" | "none";

/** The end of a network, from the tensor that a plan has to lead to. */
export interface Head {
  /** The tensor of the network that the scores are made of. */
  readonly tap: SymbolicTensor;
  /** Makes the scores, `[n, classes]`, of what the tap holds. */
  readonly scores: (tf: TF, tap: Tensor) => Tensor;
  readonly activation: OutputActivation;
}

/** A model that stands in another one as a layer. */
type Nested = layers.Layer & Partial<Pick<LayersModel, "layers" | "inputs" | "outputs">> & { model?: LayersModel };

/** The layer as the graph of a network, if it is one. (A Sequential keeps its graph in a model of its own.) */
function networkIn(layer: Nested): LayersModel | null {
  const network = layer.model ?? layer;
  return network.layers && network.outputs ? network as unknown as LayersModel : null;
}

const isEnd = (activation: unknown): activation is "softmax" | "sigmoid" =>
  activation === "softmax" || activation === "sigmoid";

/** A layer's call without its activation. The layer itself stays as it is: what is called is a view of it. */
function withoutActivation(tf: TF, layer: layers.Layer, x: Tensor): Tensor {
  const linear = (tf.layers.activation({ activation: "linear" }) as unknown as { activation: unknown }).activation;
  const view: layers.Layer = Object.create(layer, { activation: { value: linear } });
  return view.call(x, { training: false }) as Tensor;
}

/**
 * Finds where the scores of a network are made: what goes into its last softmax or sigmoid, also inside a model that
 * stands last; its outputs, if it ends with neither.
 */
export function headOf(network: LayersModel): Head {
  const output = network.outputs[0];
  const layer = output.sourceLayer;
  const inputs = layer.inboundNodes[output.nodeIndex]?.inputTensors ?? [];
  const kind = layer.getClassName();
  const plain: Head = { tap: output, scores: (_tf, tap) => tap, activation: "none" };
  if (inputs.length !== 1) return plain;

  const nested = networkIn(layer);
  if (nested) {
    const inner = headOf(nested);
    if (inner.activation === "none" || nested.inputs.length !== 1) return plain;
    const plan = makePlan(nested, [inner.tap], { fold: false });
    return {
      tap: inputs[0],
      scores: (tf, x) => inner.scores(tf, along(tf, plan, new Map([[plan.input, x]]))[0]),
      activation: inner.activation,
    };
  }
  if (kind === "Softmax") return { ...plain, tap: inputs[0], activation: "softmax" };
  const activation = layer.getConfig()["activation"];
  if (!isEnd(activation)) return plain;
  if (kind === "Activation") return { ...plain, tap: inputs[0], activation };
  return { tap: inputs[0], scores: (tf, x) => withoutActivation(tf, layer, x), activation };
}

/**
 * Follows a plan from tensors that are known to its taps; what is not needed is not computed.
 *
 * @param given tensors of the plan by their ids; at least what every way to the taps goes through
 * @param folded the weights of folded steps, if the plan has any
 */
export function along(
  tf: TF,
  plan: Plan,
  given: ReadonlyMap<number, Tensor>,
  folded: ReadonlyMap<Step, { kernel: Tensor; bias: Tensor }> = new Map(),
): Tensor[] {
  const needed = new Set(plan.taps);
  const way: Step[] = [];
  for (const step of plan.steps.toReversed()) {
    if (!needed.has(step.output) || given.has(step.output)) continue;
    way.push(step);
    for (const id of step.inputs) needed.add(id);
  }
  const values = new Map(given);
  for (const step of way.toReversed()) {
    values.set(step.output, step.run(tf, step.inputs.map((id) => values.get(id)!), folded as never));
  }
  return plan.taps.map((id) => values.get(id)!);
}

/** The probability of a class, given the scores of all of them. Scores without an activation go through a softmax. */
export function probabilityOf(scores: ArrayLike<number>, index: number, activation: OutputActivation): number {
  if (activation === "sigmoid") {
    // One unit tells two classes apart.
    const score = scores.length === 1 ? (index === 1 ? scores[0] : -scores[0]) : scores[index];
    return 1 / (1 + Math.exp(-score));
  }
  return softmax(scores)[index];
}
