/**
 * Networks rebuilt as layers from a graph of operators, whatever file format names them.
 *
 * @module
 */

import type { LayersModel } from "npm:@tensorflow/tfjs@4.22.0";
import type { TF } from "../../runtime/backend.ts";
import { buildNetwork, disposeNetwork, type NetworkConfig, noteNames, quoted } from "./build.ts";
import { ModelError } from "./format.ts";
import type { Constant, GraphFile, GraphNode } from "./onnx_file.ts";
import { Rebuilding, type Value, type WeightOf } from "./onnx_graph.ts";

/** How a file format writes its operators. */
export interface Dialect<Node extends GraphNode> {
  /** What errors call the operators: `"opset 17"`. */
  version: string;
  isKnown(node: Node): boolean;
  /** Whether a node makes a constant of constants. */
  folds(node: Node): boolean;
  /** The order in which an input's axes come. */
  orderOf(graph: Rebuilding, name: string, shape: readonly (number | null)[]): number[];
  /** What a node computes: of constants a constant, else what its layers put out. */
  compute(graph: Rebuilding, node: Node): (Value | Constant)[];
  /** Whether outputs without their axes of length 1 are vectors. */
  flattens: boolean;
}

/** Nodes that read no image, and then the others. */
function constantsFirst<Node extends GraphNode>(
  nodes: readonly Node[],
  { stored }: GraphFile,
  { folds }: Dialect<Node>,
): Node[] {
  const fixed = new Set(["", ...stored.keys()]);
  const first = nodes.filter((node) => {
    const isFixed = folds(node) && node.inputs.every((name) => fixed.has(name));
    if (isFixed) { for (const name of node.outputs) fixed.add(name); }
    return isFixed;
  });
  const isFirst = new Set(first);
  return [...first, ...nodes.filter((node) => !isFirst.has(node))];
}

/** The nodes that the outputs need, in the file's order but for those that read no image, which come first. */
function neededNodes<Node extends GraphNode>(file: GraphFile<Node>, dialect: Dialect<Node>): Node[] {
  const { nodes, outputs } = file;
  const makers = new Map(nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
  const needed = new Set<Node>();
  const open = [...outputs];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    const node = makers.get(name);
    if (!node || needed.has(node)) continue;
    needed.add(node);
    open.push(...node.inputs);
  }
  return constantsFirst(nodes.filter((node) => needed.has(node)), file, dialect);
}

/** @throws {ModelError} if there are operators that are not read; lists them all */
function checkOperators<Node extends GraphNode>(nodes: readonly Node[], { isKnown, version }: Dialect<Node>): void {
  const unknown = [
    ...new Set(nodes.filter((node) => !isKnown(node)).map(({ op, domain }) => domain ? `${domain}.${op}` : op)),
  ];
  if (unknown.length === 0) return;
  throw new ModelError(
    `convlens has no layers for the operators ${unknown.sort().map((op) => JSON.stringify(op)).join(", ")} (` +
      `${version}). Export the part of the network that is before them, or write that part with other layers`,
  );
}

/** Makes the inputs that nodes read. */
function inputsOf<Node extends GraphNode>(
  graph: Rebuilding,
  nodes: readonly Node[],
  file: GraphFile<Node>,
  dialect: Dialect<Node>,
): Value[] {
  const read = new Set(nodes.flatMap(({ inputs }) => inputs));
  const inputs = file.inputs.filter(({ name }) => read.has(name)).map(({ name, shape }) => {
    if (!shape || shape.length < 2 || shape.length > 5) {
      throw new ModelError(
        `its input ${JSON.stringify(name)} has ${
          shape ? `the shape [${shape.map((n) => n ?? "n")}]` : "no shape"
        }; wanted ` +
          "one of two to five axes, the batch first",
      );
    }
    const order = dialect.orderOf(graph, name, shape);
    if (shape.length > 2 && shape[order.at(-1)!] === null) {
      throw new ModelError(`its input ${JSON.stringify(name)} leaves the number of channels free. Export it with one`);
    }
    const made = graph.input(name, shape, order);
    graph.set(name, made);
    return made;
  });
  if (inputs.length === 0) throw new ModelError("its outputs depend on no input");
  return inputs;
}

/** How errors call a node. */
const titleOf = ({ name, outputs, op }: GraphNode) => `the node ${JSON.stringify(name || outputs[0] || "")} (${op})`;

/**
 * Rebuilds nodes, one behind the other.
 *
 * @param refuse is given a node that cannot be rebuilt, and why
 */
function rebuildNodes<Node extends GraphNode>(
  graph: Rebuilding,
  nodes: readonly Node[],
  dialect: Dialect<Node>,
  refuse: (node: Node, error: ModelError) => void,
): void {
  for (const node of nodes) {
    graph.begin(node);
    try {
      const made = graph.done.has(node)
        ? [graph.find(node.inputs.find((name) => graph.isValue(name)))!]
        : dialect.compute(graph, node);
      node.outputs.forEach((name, i) => made[i] && name && graph.set(name, made[i]));
      graph.note(node);
    } catch (error) {
      if (!(error instanceof ModelError || error instanceof TypeError || error instanceof RangeError)) throw error;
      const reason = error instanceof ModelError
        ? error.message
        : "its inputs or options are not what the operator wants";
      refuse(node, new ModelError(`${titleOf(node)}: ${reason} (${dialect.version})`, { cause: error }));
    }
  }
}

/** Describes the network that a graph is, layer by layer. */
function rebuilt<Node extends GraphNode>(file: GraphFile<Node>, dialect: Dialect<Node>) {
  const nodes = neededNodes(file, dialect);
  checkOperators(nodes, dialect);
  if (nodes.length === 0) throw new ModelError("none of its nodes makes an output");
  const graph = new Rebuilding(file, nodes);
  const inputs = inputsOf(graph, nodes, file, dialect);
  rebuildNodes(graph, nodes, dialect, (_, error) => {
    throw error;
  });
  const outputs = file.outputs.map((name) => {
    const found = graph.find(name);
    if (!found || !("layer" in found)) throw new ModelError(`its output ${JSON.stringify(name)} is a constant`);
    return found;
  });
  return { config: graph.network(inputs, outputs, dialect.flattens), graph };
}

/** What of a graph can be rebuilt: up to nodes that cannot, and what is behind those. */
export interface Beginning<Node extends GraphNode> {
  graph: Rebuilding;
  inputs: Value[];
  /** The nodes that are left, in the file's order. */
  left: Node[];
}

/**
 * Rebuilds a graph up to what cannot be rebuilt.
 *
 * @param refused nodes that are not to be rebuilt either
 */
export function beginningOf<Node extends GraphNode>(
  file: GraphFile<Node>,
  dialect: Dialect<Node>,
  refused: ReadonlySet<Node>,
): Beginning<Node> {
  const nodes = neededNodes(file, dialect);
  const graph = new Rebuilding(file, nodes);
  const inputs = inputsOf(graph, nodes, file, dialect);
  const left: Node[] = [];
  const unmade = new Set<string>();
  const leave = (node: Node) => {
    left.push(node);
    for (const name of node.outputs) unmade.add(name);
  };
  for (const node of nodes) {
    const isLeft = refused.has(node) || !dialect.isKnown(node) || node.inputs.some((name) => unmade.has(name));
    if (isLeft) leave(node);
    else rebuildNodes(graph, [node], dialect, leave);
  }
  return { graph, inputs, left };
}

/** Builds the network that some layers are, with its weights. */
export function buildRebuilt(tf: TF, graph: Rebuilding, config: NetworkConfig): LayersModel {
  const network = buildNetwork(tf, config, graph.size);
  try {
    fill(tf, network, graph.weights);
    noteNames(network, graph.nodes);
    return network;
  } catch (error) {
    disposeNetwork(network);
    throw error;
  }
}

/** Gives the layers their weights. */
function fill(tf: TF, network: LayersModel, weights: readonly WeightOf[]): void {
  const own = new Map(network.weights.map((weight) => [weight.originalName, weight]));
  for (const { layer, name, make } of weights) {
    const variable = own.get(`${layer}/${name}`);
    if (!variable) throw new ModelError(`the layer ${JSON.stringify(layer)} has no ${name}`);
    own.delete(`${layer}/${name}`);
    tf.tidy(() => {
      const values = make(tf);
      if (`${values.shape}` !== `${variable.shape}`) {
        throw new ModelError(
          `the ${name} of ${
            JSON.stringify(layer)
          } has the shape [${values.shape}]; its layer wants [${variable.shape}]`,
        );
      }
      variable.write(values);
    });
  }
  if (own.size > 0) throw new ModelError(`the file lacks the weights ${quoted([...own.keys()])}`);
}

/** Builds the network that a file's graph is. */
export function networkOfGraph<Node extends GraphNode>(
  tf: TF,
  file: GraphFile<Node>,
  dialect: Dialect<Node>,
): LayersModel {
  const { config, graph } = rebuilt(file, dialect);
  return buildRebuilt(tf, graph, config);
}
