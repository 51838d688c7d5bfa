/**
 * A network's graph as it is computed: each use of a layer with what it reads and the shape that it puts out, nested
 * models opened up. All that walks through a network asks here.
 *
 * A layer is named as the network names it; inside a nested model (or a TimeDistributed) with that one's name before it,
 * as `"features/conv1"`, to any depth. A layer that is used several times has as many uses, `"conv:1"`, `"conv:2"`, … in
 * the order in which it was called; `"conv"` alone is the first. A nested model that is used twice has two of each of its
 * layers: `"tower:2/conv"`.
 *
 * @module
 */

import type { layers, LayersModel, SymbolicTensor, Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import { messageOf, unknownName } from "../errors.ts";
import type { TF } from "../runtime/backend.ts";
import { operatorsOf, otherNamesOf } from "./formats/build.ts";

/** The lengths of a tensor's axes, the batch's among them; null where one may have any length. */
export type Shape = readonly (number | null)[];

/** One use of a layer, or an input of the network; of a layer that puts out several tensors, one for each. */
export interface Use {
  /** Its place in the graph, behind all that it reads: the same for images of any size. */
  readonly id: number;
  readonly layer: layers.Layer;
  /** The layer's name, as {@linkcode NetworkGraph.entry} takes it. */
  readonly name: string;
  /** What it reads; nothing where it is the network's input. */
  readonly inputs: readonly Use[];
  /** Which of the tensors that its layer puts out. */
  readonly index: number;
  /** How many axes behind the batch's count steps that the layer is computed for one by one: inside a TimeDistributed. */
  readonly steps: number;
  shape: Shape;
  /** Why it cannot be computed from what it reads; absent where it can. */
  readonly problem?: string;
}

/** A layer of a network at one of its uses, or a nested model. */
export interface Entry {
  readonly name: string;
  readonly layer: layers.Layer;
  /** What it puts out: of several tensors the first. */
  readonly use: Use;
  /** Which of its uses in the model that holds it, counted from 1. */
  readonly nth: number;
  /** How often that model uses it. */
  readonly uses: number;
  /** Whether it is a model in itself, or a TimeDistributed: what it is made of follows it. */
  readonly isModel: boolean;
}

/** A network opened up. */
export interface NetworkGraph {
  readonly inputs: readonly Use[];
  /** As `network.outputs`. */
  readonly outputs: readonly Use[];
  /** All uses, each behind those that it reads. */
  readonly uses: readonly Use[];
  /** All layers in the order in which they run, each use one, nested models before what they are made of. */
  readonly entries: readonly Entry[];
  /** A layer by its name; null if there is none. */
  entry(name: string): Entry | null;
}

/** What of tfjs's containers its types hide. */
interface Node {
  readonly outboundLayer: layers.Layer;
  readonly inputTensors: readonly SymbolicTensor[];
  readonly outputTensors: readonly SymbolicTensor[];
}

/** The functional graph of a nested model, or null for a plain layer. */
export function graphOf(layer: layers.Layer): LayersModel | null {
  const graph = (layer as unknown as { model?: LayersModel }).model ?? layer;
  return "containerNodes" in graph ? graph as LayersModel : null;
}

/** The functional graph of a network; a Sequential makes its own when it is first needed. */
function functional(network: LayersModel): LayersModel {
  if (!network.built) network.build(network.inputs[0].shape);
  return graphOf(network)!;
}

/** The layer that a TimeDistributed computes at each step; null for others. */
export function distributedBy(layer: layers.Layer): layers.Layer | null {
  return layer.getClassName() === "TimeDistributed" ? (layer as unknown as { layer: layers.Layer }).layer : null;
}

/** The places of a layer's uses in this network: a nested model, or one shared with another network, has others too. */
function usesIn(network: LayersModel, layer: layers.Layer): number[] {
  const { containerNodes } = network;
  return layer.inboundNodes.flatMap((_, i) => containerNodes.has(`${layer.name}_ib-${i}`) ? [i] : []);
}

/** The calls of a network's layers, in the order in which they run: that of its layers. */
function nodesOf(network: LayersModel): Node[] {
  const { nodesByDepth } = network as unknown as { nodesByDepth: Record<string, Node[]> };
  const order = new Map(network.layers.map((layer, i) => [layer, i]));
  const deepest = Object.keys(nodesByDepth).map(Number).sort((a, b) => b - a);
  return deepest.flatMap((depth) =>
    nodesByDepth[depth].toSorted((a, b) => order.get(a.outboundLayer)! - order.get(b.outboundLayer)!)
  );
}

/** A use without its shape for an image. */
type Opened = Omit<Use, "shape" | "problem" | "inputs"> & {
  readonly inputs: readonly Opened[];
  /** What tfjs knows of its shape; true of the network's own input. */
  readonly declared: Shape;
  /** Whether that is the shape in this network; of a nested model it is that for its own input. */
  readonly isOwn: boolean;
};

type OpenedEntry = Omit<Entry, "use"> & { use: Opened };

/** Where layers are: in the network itself or in a nested model. */
interface Inside {
  readonly prefix: string;
  readonly isOwn: boolean;
  readonly steps: number;
}

/** The model that is being opened: its graph, the layers that it counts, and what is known of its tensors. */
interface Here {
  readonly network: LayersModel;
  readonly listed: ReadonlySet<layers.Layer>;
  readonly known: ReadonlyMap<number, Opened>;
}

/** Opens a network up. */
class Opening {
  readonly uses: Opened[] = [];
  /** By their names, in the order in which they run. */
  readonly names = new Map<string, OpenedEntry>();
  readonly inputs: readonly Opened[];
  readonly outputs: readonly Opened[];
  /** The names that the network itself gives, which no nested layer takes. */
  readonly #own: ReadonlySet<string>;

  constructor(network: LayersModel) {
    this.#own = new Set(network.layers.map(({ name }) => name));
    ({ inputs: this.inputs, outputs: this.outputs } = this.#open(network, { prefix: "", isOwn: true, steps: 0 }));
  }

  /** @param given what goes into a nested model */
  #open(container: layers.Layer, inside: Inside, given?: readonly Opened[]) {
    const network = functional(container as LayersModel);
    const known = new Map<number, Opened>();
    const note = (tensors: readonly SymbolicTensor[], uses: readonly Opened[]) =>
      tensors.forEach(({ id }, i) => known.set(id, uses[i]));
    if (given) note(network.inputs, given);
    // A Sequential takes over the tensors of a model that is its first layer.
    const [first] = (container as LayersModel).layers;
    const isTaken = container !== network && usesIn(network, first).length === 0 && graphOf(first) !== null;
    const taken = isTaken ? functional(first as LayersModel) : null;
    if (taken) {
      const entry = this.#enter(first, inside, { nth: 1, uses: 1, isModel: true });
      const { inputs, outputs } = this.#open(first, { ...inside, prefix: `${entry.name}/` }, given);
      [entry.use] = outputs;
      note(taken.inputs, inputs);
      note(taken.outputs, outputs);
    }
    const listed = new Set((container as LayersModel).layers);
    const done = new Set(taken && nodesOf(taken));
    for (const node of nodesOf(network)) {
      if (!done.has(node)) note(node.outputTensors, this.#call(node, inside, { network, listed, known }));
    }
    const of = (tensors: readonly SymbolicTensor[]) => tensors.map(({ id }) => known.get(id)!);
    return { inputs: of(network.inputs), outputs: of(network.outputs) };
  }

  /** One call of a layer. */
  #call(node: Node, inside: Inside, here: Here): readonly Opened[] {
    const { outboundLayer: layer, outputTensors } = node;
    const { network, listed, known } = here;
    const calls = usesIn(network, layer);
    const nth = calls.findIndex((i) => layer.inboundNodes[i] as unknown === node) + 1;
    const made = outputTensors[0].id;
    // An input layer names its own output as its input.
    const isInput = node.inputTensors.every(({ id }) => id === made);
    const inputs = node.inputTensors.map(({ id }) => known.get(id)!);
    const part = distributedBy(layer);
    const isModel = graphOf(layer) !== null || part !== null;
    if (isInput) {
      const [use] = known.has(made)
        ? [known.get(made)!]
        : this.#make(layer, inside.prefix + layer.name, [], node, inside);
      // A Sequential does not count the input that it makes for itself among its layers.
      if (listed.has(layer)) this.#enter(layer, inside, { nth, uses: calls.length, isModel }).use = use;
      return [use];
    }
    const operators = operatorsOf(layer);
    if (operators) return operators.map((part, i) => this.#operator(part, inside, inputs, outputTensors[i]));
    const entry = this.#enter(layer, inside, { nth, uses: calls.length, isModel });
    if (isModel) {
      const within = { prefix: `${entry.name}/`, isOwn: false, steps: inside.steps + Number(part !== null) };
      const outputs = part ? this.#distribute(part, within, inputs, node) : this.#open(layer, within, inputs).outputs;
      [entry.use] = outputs;
      return outputs;
    }
    const outputs = this.#make(layer, entry.name, inputs, node, inside);
    [entry.use] = outputs;
    return outputs;
  }

  /** One operator of a layer that is the rest of a graph (`formats/graph_rest.ts`). */
  #operator(part: layers.Layer, inside: Inside, inputs: readonly Opened[], output: SymbolicTensor): Opened {
    const entry = this.#enter(part, inside, { nth: 1, uses: 1, isModel: false });
    [entry.use] = this.#make(part, entry.name, inputs, { outputTensors: [output] }, inside);
    return entry.use;
  }

  /** What a TimeDistributed computes at each step. */
  #distribute(part: layers.Layer, inside: Inside, inputs: readonly Opened[], node: Node): readonly Opened[] {
    const isModel = graphOf(part) !== null;
    const entry = this.#enter(part, inside, { nth: 1, uses: 1, isModel });
    const made = isModel
      ? this.#open(part, { ...inside, prefix: `${entry.name}/` }, inputs).outputs
      : this.#make(part, entry.name, inputs, node, inside);
    [entry.use] = made;
    return made;
  }

  #make(
    layer: layers.Layer,
    name: string,
    inputs: readonly Opened[],
    { outputTensors }: Pick<Node, "outputTensors">,
    { isOwn, steps }: Inside,
  ): Opened[] {
    return outputTensors.map(({ shape: declared }, index) => {
      const use = { id: this.uses.length, layer, name, inputs, index, steps, declared, isOwn };
      this.uses.push(use);
      return use;
    });
  }

  #enter(layer: layers.Layer, { prefix }: Inside, which: Pick<Entry, "nth" | "uses" | "isModel">): OpenedEntry {
    const plain = prefix + layer.name + (which.nth > 1 ? `:${which.nth}` : "");
    const isTaken = (name: string) => this.names.has(name) || (prefix !== "" && this.#own.has(name));
    let name = plain;
    for (let i = 2; isTaken(name); i++) name = `${plain} (${i})`;
    const entry: OpenedEntry = { name, layer, ...which, use: undefined! };
    this.names.set(name, entry);
    return entry;
  }
}

/** Networks that were opened up, by their functional graphs: a Sequential that grows has a new one. They hold no tensors. */
const opened = new WeakMap<LayersModel, Opening>();

function openingOf(network: LayersModel): Opening {
  const graph = functional(network);
  const opening = opened.get(graph) ?? new Opening(network);
  opened.set(graph, opening);
  return opening;
}

/** The uses of a network's layers for an image of one size. */
function usesFor(network: LayersModel, inputShape?: Shape): Use[] {
  const uses: Use[] = [];
  for (const { declared, isOwn, ...use } of openingOf(network).uses) {
    const inputs = use.inputs.map(({ id }) => uses[id]);
    uses.push({ ...use, inputs, ...shapeOf({ ...use, inputs, declared, isOwn }, inputShape) });
  }
  return uses;
}

function withNames(network: LayersModel, uses: readonly Use[]): NetworkGraph {
  const { inputs, outputs, names } = openingOf(network);
  const here = ({ id }: Opened) => uses[id];
  const entries = new Map(names.entries().map(([name, entry]) => [name, { ...entry, use: here(entry.use) }]));
  return {
    uses,
    inputs: inputs.map(here),
    outputs: outputs.map(here),
    entries: [...entries.values()],
    entry: (name) => entries.get(name) ?? entries.get(name.replace(/:1(?=\/|$)/g, "")) ?? null,
  };
}

/**
 * A network opened up, with the shapes for images of one size.
 *
 * @param inputShape the shape of what goes in, without the batch; @default what the network's inputs say
 */
export function trace(network: LayersModel, inputShape?: Shape): NetworkGraph {
  return withNames(network, usesFor(network, inputShape));
}

/** The place of the input that is a network's image: the first of them, else the first that is no vector. */
export function mainInput({ inputs }: Pick<LayersModel, "inputs">): number {
  const ranks = inputs.map(({ shape }) => shape.length);
  return Math.max(0, ranks.includes(4) ? ranks.indexOf(4) : ranks.findIndex((rank) => rank > 2));
}

function shapeOf(
  { layer, inputs, index, steps, declared, isOwn }: Omit<Opened, "inputs"> & { inputs: readonly Use[] },
  inputShape: Shape | undefined,
): Pick<Use, "shape" | "problem"> {
  if (inputs.length === 0) {
    const fits = inputShape?.length === declared.length - 1 && [null, inputShape.at(-1)].includes(declared.at(-1)!);
    return { shape: fits ? [declared[0], ...inputShape!] : declared };
  }
  if (!inputShape && isOwn) return { shape: declared };
  if (inputs.some(({ problem }) => problem)) return { shape: declared };
  // Inside of a TimeDistributed a layer sees one step.
  const [batch, ...rest] = inputs[0].shape;
  const counts = rest.slice(0, steps);
  const made = shapeFrom(layer, inputs.map(({ shape }) => [batch, ...shape.slice(1 + steps)]), index);
  if (made.problem) return inputShape ? made : { shape: declared };
  return { shape: [made.shape[0], ...counts, ...made.shape.slice(1)] };
}

/**
 * Computes a use of a layer, as in inference.
 *
 * @param inputs what it reads
 */
export function callUse(tf: TF, { layer, index, steps }: Use, inputs: readonly Tensor[]): Tensor {
  const call = (x: readonly Tensor[]): Tensor => {
    const made = layer.call(x.length === 1 ? x[0] : [...x], { training: false });
    return Array.isArray(made) ? made[index] : made;
  };
  return steps === 0 ? call(inputs) : perStep(tf, steps, call)(inputs);
}

/** A function of batches as one of batches of sequences: all steps at once. */
function perStep(tf: TF, steps: number, run: (inputs: readonly Tensor[]) => Tensor) {
  return (inputs: readonly Tensor[]): Tensor => {
    const counts = inputs[0].shape.slice(0, 1 + steps);
    const made = run(inputs.map((x) => tf.reshape(x, [-1, ...x.shape.slice(1 + steps)])));
    return tf.reshape(made, [...counts, ...made.shape.slice(1)]);
  };
}

/** All uses on the ways to some others, these among them. */
export function waysTo(uses: Iterable<Use>): Set<Use> {
  const found = new Set<Use>();
  const open = [...uses];
  for (let use = open.pop(); use; use = open.pop()) {
    if (!found.has(use)) open.push(...use.inputs);
    found.add(use);
  }
  return found;
}

/** A shape in an error's words, as `8, ?, 3`. */
export const shapeList = (shape: Shape): string => shape.map((length) => length ?? "?").join(", ");

/** A shape in words, as `8×8×3`, without the batch. */
export const shapeText = (shape: Shape): string => shape.map((length) => length ?? "?").join("×");

/** What of tfjs's layers its types hide: it throws if a layer cannot read inputs of these shapes. */
type Checking = layers.Layer & { assertInputCompatibility(inputs: readonly { shape: Shape; rank: number }[]): void };

/** The shape that a layer puts out, or why it cannot put out any. */
function shapeFrom(layer: layers.Layer, inputs: readonly Shape[], index: number): { shape: Shape; problem?: string } {
  // Some layers write into the shape that they are given.
  const given = inputs.map((shape) => [...shape]);
  try {
    (layer as Checking).assertInputCompatibility(inputs.map((shape) => ({ shape, rank: shape.length })));
    const found = layer.computeOutputShape(given.length === 1 ? given[0] : given);
    const shape = (Array.isArray(found[0]) ? found[index] : found) as Shape;
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

/** Graphs for images of any size, by their functional graphs. */
const ofAnySize = new WeakMap<LayersModel, NetworkGraph>();

/**
 * A network opened up, whatever the size of its image: null for a side that depends on it.
 *
 * tfjs computes with unknown sides as if they were 0 (of cropping, it makes −2), so they are found by two sizes.
 */
export function traceAnySize(network: LayersModel): NetworkGraph {
  const key = functional(network);
  const graph = ofAnySize.get(key) ?? withNames(network, usesForAnySize(network));
  ofAnySize.set(key, graph);
  return graph;
}

/**
 * A layer of a network by its name.
 *
 * @param owner what the network is called in the error
 * @throws {RangeError} if there is none; the message names the nearest
 */
export function entryOf(network: LayersModel, name: string, owner = "the network"): Entry {
  const { entries, entry } = traceAnySize(network);
  const found = entry(name) ?? entry(otherNamesOf(network).get(name) ?? name);
  if (found) return found;
  const names = entries.map((entry) => entry.name);
  // Inside of a nested model the same name is nearest.
  const inner = names.filter((other) => other.endsWith(`/${name}`));
  throw unknownName("layer", name, inner.length ? inner : names, owner);
}

function usesForAnySize(network: LayersModel): Use[] {
  const [height, width, ...channels] = network.inputs[mainInput(network)].shape.slice(1);
  const least = leastSize(network, [1, 1, ...channels as number[]]);
  if ((height !== null && width !== null) || channels.includes(null) || !least) return usesFor(network);
  const larger = [height ?? MUCH_LARGER * least[0], width ?? MUCH_LARGER * least[1], ...channels];
  const others = usesFor(network, larger);
  const uses = usesFor(network, [...least, ...channels]);
  for (const use of uses) {
    use.shape = use.shape.map((length, axis) => length === others[use.id].shape[axis] ? length : null);
  }
  return uses;
}

/** So much larger is another size that no stride makes the two alike. */
const MUCH_LARGER = 1024;

/**
 * The shape of what each layer puts out for an image of one size.
 *
 * @param name the network's name, for the error
 * @param inputShape `[h, w, c]` of the image
 * @returns by the name of each layer's use, without the batch
 * @throws {RangeError} if a layer cannot work on what reaches it: names the layer, the size found and the least that
 *   works
 */
export function checkShapes(network: LayersModel, name: string, inputShape: readonly number[]): Map<string, number[]> {
  const { uses, entries } = trace(network, inputShape);
  const wrong = uses.find(({ problem }) => problem);
  if (!wrong) return new Map(entries.map(({ name, use }) => [name, use.shape.slice(1) as number[]]));
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
  const [ownHeight, ownWidth] = network.inputs[mainInput(network)].shape.slice(1);
  const works = (height: number, width: number) =>
    !usesFor(network, [ownHeight ?? height, ownWidth ?? width, ...channels]).some(({ problem }) => problem);
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
