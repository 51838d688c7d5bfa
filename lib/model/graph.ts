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
  shape: Shape;
  /** Why it cannot be computed from what it reads; absent where it can. */
  readonly problem?: string;
}

/** The functional graph of a nested model, or null for a plain layer. */
export function graphOf(layer: layers.Layer): LayersModel | null {
  const graph = (layer as unknown as { model?: LayersModel }).model ?? layer;
  return "containerNodes" in graph ? graph as LayersModel : null;
}

/** The places of a layer's uses in this network: a nested model, or one shared with another network, has others too. */
export function usesIn(network: LayersModel, layer: layers.Layer): number[] {
  const { containerNodes } = graphOf(network)!;
  return layer.inboundNodes.flatMap((_, i) => containerNodes.has(`${layer.name}_ib-${i}`) ? [i] : []);
}

/** The symbolic output of a layer in this network: that of its first use in it. */
export function outputOf(network: LayersModel, layer: layers.Layer): SymbolicTensor {
  const output = layer.getOutputAt(usesIn(network, layer)[0] ?? 0);
  return Array.isArray(output) ? output[0] : output;
}

/** The network's own layers on the ways to some tensors, in its order. */
export function layersTo(network: LayersModel, tensors: readonly SymbolicTensor[]): layers.Layer[] {
  const seen = new Map<number, layers.Layer>();
  const visit = ({ id, sourceLayer, nodeIndex }: SymbolicTensor) => {
    if (seen.has(id)) return;
    seen.set(id, sourceLayer);
    sourceLayer.inboundNodes[nodeIndex].inputTensors.forEach(visit);
  };
  tensors.forEach(visit);
  const found = new Set(seen.values());
  // A Sequential takes over the tensors of a model that is its first layer.
  return network.layers.filter((layer) => found.has(layer) || graphOf(layer)?.outputs.some(({ id }) => seen.has(id)));
}

/** A shape in an error's words, as `8, ?, 3`. */
export const shapeList = (shape: Shape): string => shape.map((length) => length ?? "?").join(", ");

/** A shape in words, as `8×8×3`, without the batch. */
export const shapeText = (shape: Shape): string => shape.map((length) => length ?? "?").join("×");

/** What of tfjs's layers its types hide: it throws if a layer cannot read inputs of these shapes. */
type Checking = layers.Layer & { assertInputCompatibility(inputs: readonly { shape: Shape; rank: number }[]): void };

/** The shape that a layer puts out, or why it cannot put out any. */
function shapeFrom(layer: layers.Layer, inputs: readonly Shape[]): { shape: Shape; problem?: string } {
  // Some layers write into the shape that they are given.
  const given = inputs.map((shape) => [...shape]);
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
      const fits = this.#inputShape?.length === tensor.shape.length - 1;
      return { shape: fits ? [tensor.shape[0], ...this.#inputShape!] : tensor.shape };
    }
    // tfjs knows the shapes of the network's own tensors; those of a nested model are for its own input.
    if (!this.#inputShape && !nested) return { shape: tensor.shape };
    if (inputs.some(({ problem }) => problem)) return { shape: tensor.shape };
    const made = shapeFrom(layer, inputs.map(({ shape }) => shape));
    return made.problem && !this.#inputShape ? { shape: tensor.shape } : made;
  }
}

/** What each of a network's own layers puts out, at its first use, and the uses of all layers. */
export interface TracedLayers {
  uses: readonly Use[];
  /** In the order of `network.layers`. */
  own: readonly Use[];
}

function traceLayers(network: LayersModel, inputShape?: Shape): TracedLayers {
  const trace = new Trace(inputShape);
  return { own: network.layers.map((layer) => trace.to(outputOf(network, layer))), uses: trace.uses };
}

/**
 * The layers of a network, whatever the size of its image: null for a side that depends on it.
 *
 * tfjs computes with unknown sides as if they were 0 (of cropping, it makes −2), so they are found by two sizes.
 */
export function traceAnySize(network: LayersModel): TracedLayers {
  const [height, width, ...channels] = network.inputs[0].shape.slice(1);
  const least = leastSize(network, [1, 1, ...channels as number[]]);
  if ((height !== null && width !== null) || channels.includes(null) || !least) return traceLayers(network);
  const traced = traceLayers(network, [...least, ...channels]);
  const larger = [height ?? MUCH_LARGER * least[0], width ?? MUCH_LARGER * least[1], ...channels];
  const { uses } = traceLayers(network, larger);
  uses.forEach(({ shape }, i) => {
    const use = traced.uses[i];
    use.shape = use.shape.map((length, axis) => length === shape[axis] ? length : null);
  });
  return traced;
}

/** So much larger is another size that no stride makes the two alike. */
const MUCH_LARGER = 1024;

/**
 * The shape of what each layer puts out for an image of one size.
 *
 * @param name the network's name, for the error
 * @param inputShape `[h, w, c]` of the image
 * @returns by layer name, without the batch; of a layer that is used several times, for its first use
 * @throws {RangeError} if a layer cannot work on what reaches it: names the layer, the size found and the least that
 *   works
 */
export function checkShapes(network: LayersModel, name: string, inputShape: readonly number[]): Map<string, number[]> {
  const { uses, own } = traceLayers(network, inputShape);
  const wrong = uses.find(({ problem }) => problem);
  if (!wrong) return new Map(network.layers.map((layer, i) => [layer.name, own[i].shape.slice(1) as number[]]));
  const found = wrong.inputs.map(({ shape }) => shapeText(shape.slice(1))).join(" and ");
  const least = leastSize(network, inputShape);
  throw new RangeError(
    `The model ${JSON.stringify(name)} cannot take an image of ${shapeText(inputShape.slice(0, 2))}: its layer ` +
      `${JSON.stringify(wrong.name)} (${wrong.layer.getClassName()}${windowText(wrong.layer)}) is given ${found}: ` +
      `${wrong.problem}. ` +
      (least
        ? `The least size that works, from this one on, is ${shapeText(least)}.`
        : "No size works: the layers do not fit."),
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

/** How far a size that works is looked for. */
const LARGEST_SIDE = 4096;

/** The least height and width from those of an image on that a network can take; null if there is none. */
function leastSize(network: LayersModel, [fromHeight, fromWidth, ...channels]: readonly number[]) {
  const [ownHeight, ownWidth] = network.inputs[0].shape.slice(1);
  const works = (height: number, width: number) =>
    !traceLayers(network, [ownHeight ?? height, ownWidth ?? width, ...channels]).uses.some(({ problem }) => problem);
  const from = (start: number, fits: (side: number) => boolean) => {
    for (let side = start; side <= LARGEST_SIDE; side++) if (fits(side)) return side;
    return null;
  };
  // The axes do not touch each other: a side that works with one height works with all that do.
  const square = ownHeight !== null && ownWidth !== null ? null : from(1, (side) => works(side, side));
  const height = square && from(ownHeight ?? fromHeight, (side) => works(side, square));
  const width = square && from(ownWidth ?? fromWidth, (side) => works(square, side));
  return height && width ? [height, width] as const : null;
}
