/**
 * A network's graph as it is computed: each use of a layer with what it reads and the shape that it puts out, nested
 * models opened up.
 *
 * A layer that is used twice has two uses here, and a nested model that is used twice has two of each of its layers.
 *
 * @module
 */

import type { layers, LayersModel, SymbolicTensor } from "npm:@tensorflow/tfjs@4.22.0";
import { messageOf } from "../errors.ts";

/** The lengths of a tensor's axes, the batch's among them; null where one may have any length. */
export type Shape = readonly (number | null)[];

/** One use of a layer, or an input of the network. */
export interface Use {
  readonly layer: layers.Layer;
  /** The layer's name; in a nested model with that one's name before it, as `"features/conv1"`. */
  readonly name: string;
  /** What it reads; nothing where it is the network's input. */
  readonly inputs: readonly Use[];
  readonly shape: Shape;
  /** Why it cannot be computed from what it reads; absent where it can. */
  readonly problem?: string;
}

/** The functional graph of a nested model, or null for a plain layer. */
export function graphOf(layer: layers.Layer): LayersModel | null {
  const graph = (layer as unknown as { model?: LayersModel }).model ?? layer;
  return "containerNodes" in graph ? graph as LayersModel : null;
}

/**
 * The symbolic output of a layer in this network: that of its first use in it. (A nested model, or a layer shared with
 * another network, has uses elsewhere too.)
 */
export function outputOf(network: LayersModel, layer: layers.Layer): SymbolicTensor {
  const graph = graphOf(network)!;
  const use = layer.inboundNodes.findIndex((_, i) => graph.containerNodes.has(`${layer.name}_ib-${i}`));
  const output = layer.getOutputAt(Math.max(0, use));
  return Array.isArray(output) ? output[0] : output;
}

/** A shape in words, as `8×8×3`, without the batch. */
export const shapeText = (shape: Shape): string => shape.map((length) => length ?? "?").join("×");

/** What of tfjs's layers its types hide: it throws if a layer cannot read inputs of these shapes. */
type Checking = layers.Layer & { assertInputCompatibility(inputs: readonly { shape: Shape; rank: number }[]): void };

/** The shape that a layer puts out, or why it cannot put out any. */
function shapeFrom(layer: layers.Layer, inputs: readonly Shape[]): { shape: Shape; problem?: string } {
  const given = inputs as (number | null)[][];
  try {
    (layer as Checking).assertInputCompatibility(inputs.map((shape) => ({ shape, rank: shape.length })));
    const found = layer.computeOutputShape(given.length === 1 ? given[0] : given);
    const shape = (Array.isArray(found[0]) ? found[0] : found) as Shape;
    if (shape.some((length) => length !== null && length <= 0)) {
      return { shape, problem: "that is too small" };
    }
    if (layer.getClassName() !== "Concatenate") return { shape };
    // tfjs looks at the other sides only when it runs.
    const axis = Number(layer.getConfig()["axis"]);
    const others = inputs.map((input) =>
      input.filter((_, i) => i > 0 && i !== (axis + input.length) % input.length).join()
    );
    const alike = new Set(others).size === 1;
    return { shape, ...!alike && { problem: "maps that differ in size cannot be concatenated" } };
  } catch (error) {
    return { shape: [], problem: messageOf(error) };
  }
}

/** Follows a network's graph from its input. */
export class Trace {
  /** All uses that were found, each behind those that it reads. */
  readonly uses: Use[] = [];
  readonly #inputShape?: Shape;
  readonly #known = new Map<number, Use>();

  /** @param inputShape the shape of what goes in, without the batch; @default what the network's inputs say */
  constructor(inputShape?: Shape) {
    this.#inputShape = inputShape;
  }

  /** The use that makes a tensor of the network. */
  to(tensor: SymbolicTensor): Use {
    return this.#visit(tensor, this.#known, "");
  }

  #visit(tensor: SymbolicTensor, known: Map<number, Use>, prefix: string): Use {
    const found = known.get(tensor.id);
    if (found) return found;
    const layer = tensor.sourceLayer;
    const node = layer.inboundNodes[tensor.nodeIndex];
    const name = prefix + layer.name;
    // An input layer names its own output as its input.
    const inputs = node.inputTensors.filter(({ id }) => id !== tensor.id).map((input) =>
      this.#visit(input, known, prefix)
    );
    const inner = inputs.length > 0 ? graphOf(layer) : null;
    if (inner) {
      const scope = new Map(inner.inputs.map(({ id }, i) => [id, inputs[i]]));
      inner.outputs.forEach((output, i) => known.set(node.outputTensors[i].id, this.#visit(output, scope, `${name}/`)));
      return known.get(tensor.id)!;
    }
    const use = { layer, name, inputs, ...this.#shapeOf(tensor, layer, inputs, prefix !== "") };
    known.set(tensor.id, use);
    this.uses.push(use);
    return use;
  }

  #shapeOf(tensor: SymbolicTensor, layer: layers.Layer, inputs: readonly Use[], nested: boolean) {
    if (inputs.length === 0) {
      return { shape: this.#inputShape ? [tensor.shape[0], ...this.#inputShape] : tensor.shape };
    }
    // tfjs knows the shapes of the network's own tensors; those of a nested model are for its own input.
    if (!this.#inputShape && !nested) return { shape: tensor.shape };
    if (inputs.some(({ problem }) => problem)) return { shape: tensor.shape };
    const made = shapeFrom(layer, inputs.map(({ shape }) => shape));
    return made.problem && !this.#inputShape ? { shape: tensor.shape } : made;
  }
}

/** How far a size that works is looked for. */
const LARGEST_SIDE = 4096;

/**
 * The shape of what each layer puts out for an image of one size.
 *
 * @param name the network's name, for the error
 * @param inputShape `[h, w, c]` of the image
 * @returns by layer name, without the batch; of a layer that is used several times, for its first use
 * @throws {RangeError} if a layer cannot work on what reaches it: names the layer, the size found and the least that works
 */
export function checkShapes(network: LayersModel, name: string, inputShape: readonly number[]): Map<string, number[]> {
  const trace = new Trace(inputShape);
  const uses = network.layers.map((layer) => trace.to(outputOf(network, layer)));
  const wrong = trace.uses.find(({ problem }) => problem);
  if (!wrong) return new Map(network.layers.map((layer, i) => [layer.name, uses[i].shape.slice(1) as number[]]));
  const found = wrong.inputs.map(({ shape }) => shapeText(shape.slice(1))).join(" and ");
  const windows = windowText(wrong.layer);
  throw new RangeError(
    `The model ${JSON.stringify(name)} cannot take an image of ${shapeText(inputShape.slice(0, 2))}: its layer ` +
      `${JSON.stringify(wrong.name)} (${wrong.layer.getClassName()}${windows}) is given ${found}: ` +
      `${wrong.problem}. ${leastText(network, inputShape)}`,
  );
}

/** The windows of a layer that has some. */
function windowText(layer: layers.Layer): string {
  const { kernelSize, poolSize, dilationRate = 1 } = layer.getConfig() as Record<string, number | number[] | undefined>;
  const sides = kernelSize ?? poolSize;
  if (sides === undefined) return "";
  const dilated = [dilationRate].flat().some((rate) => rate !== 1)
    ? `, dilated by ${[dilationRate].flat().join("×")}`
    : "";
  return ` with windows of ${[sides].flat().join("×")}${dilated}`;
}

/** The least size from a given one on that a network can take, in words. */
function leastText(network: LayersModel, inputShape: readonly number[]): string {
  const known = network.inputs[0].shape.slice(1);
  const works = (height: number, width: number) => {
    const trace = new Trace([known[0] ?? height, known[1] ?? width, ...inputShape.slice(2)]);
    network.outputs.forEach((output) => trace.to(output));
    return !trace.uses.some(({ problem }) => problem);
  };
  const from = (start: number, fits: (side: number) => boolean) => {
    for (let side = start; side <= LARGEST_SIDE; side++) if (fits(side)) return side;
    return null;
  };
  // The axes do not touch each other: a side that works with one height works with all that do.
  const square = known.slice(0, 2).includes(null) ? from(1, (side) => works(side, side)) : null;
  const height = square && from(known[0] ?? inputShape[0], (side) => works(side, square));
  const width = square && from(known[1] ?? inputShape[1], (side) => works(square, side));
  return height && width
    ? `The least size that works, from this one on, is ${height}×${width}.`
    : "No size works: the layers do not fit.";
}
