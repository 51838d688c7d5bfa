/**
 * Graph models of TensorFlow.js, as its converter writes them of a SavedModel, a TensorFlow Hub module or a frozen graph:
 * a `model.json` with operators instead of layers, rebuilt as layers.
 *
 * Source: `graph.proto` and `attr_value.proto` of TensorFlow, in the JSON of the converter.
 *
 * @module
 */

import type { LayersModel } from "npm:@tensorflow/tfjs@4.22.0";
import type { TF } from "../../runtime/backend.ts";
import { isObject, type Json, ModelError } from "./format.ts";
import { computeGraph, isKnownOperator, MAIN } from "./graph_operators.ts";
import { lengthsOf, TensorFlowNode } from "./graph_node.ts";
import type { Constant, GraphFile } from "./onnx_file.ts";
import { networkOfGraph } from "./rebuild.ts";
import { arrayAt, refuse, textAt } from "./topology.ts";

/** The tensor that an input names: without the number of a first output; undefined for what only has to happen before. */
function tensorNamed(input: unknown, field: string): string | undefined {
  const name = textAt(input, field);
  return name.startsWith("^") ? undefined : name.replace(/:0$/, "");
}

/** Names for layers: without the scopes that all nodes are in, and without the operator where a scope holds one layer. */
function labelsOf(nodes: readonly { name: string; op: string }[]): (name: string) => string {
  const named = nodes.filter(({ op }) => !/^(Placeholder.*|Identity|NoOp|Const|Pack|Shape|StridedSlice)$/.test(op))
    .map(({ name, op }) => ({ parts: name.split("/"), op }))
    .filter(({ parts }) => parts.length > 1);
  let shared = 0;
  const [first] = named;
  while (
    first && first.parts.length > shared + 2 && named.every(({ parts }) => parts[shared] === first.parts[shared])
  ) {
    shared++;
  }
  // A network of one block keeps the block's name.
  const scopes = Map.groupBy(named, ({ parts }) => parts.slice(0, -1).join("/"));
  return (name) => {
    const parts = name.split("/");
    const own = scopes.get(parts.slice(0, -1).join("/"));
    const kept = first && parts.slice(0, shared).every((part, i) => part === first.parts[i])
      ? parts.slice(shared)
      : parts;
    if (!own) return kept.join(".");
    const main = own.filter(({ op }) => MAIN.test(op));
    const isMain = own.length === 1 || main.length === 1 && main[0].parts.at(-1) === parts.at(-1);
    return (isMain ? kept.slice(0, -1) : kept).join(".");
  };
}

/** The nodes in an order in which each comes behind those that it reads. */
function sorted(nodes: readonly TensorFlowNode[]): TensorFlowNode[] {
  const makers = new Map(nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
  const left = new Map<TensorFlowNode, number>();
  const readers = new Map<TensorFlowNode, TensorFlowNode[]>();
  for (const node of nodes) {
    const sources = new Set(node.inputs.flatMap((name) => makers.get(name) ?? []));
    left.set(node, sources.size);
    for (const source of sources) readers.set(source, [...readers.get(source) ?? [], node]);
  }
  const done = nodes.filter((node) => left.get(node) === 0);
  for (let i = 0; i < done.length; i++) {
    for (const reader of readers.get(done[i]) ?? []) {
      const count = left.get(reader)! - 1;
      left.set(reader, count);
      if (count === 0) done.push(reader);
    }
  }
  if (done.length < nodes.length) {
    const { name } = nodes.find((node) => left.get(node)! > 0)!;
    throw new ModelError(`its node ${JSON.stringify(name)} reads what it makes: it has a loop, which no layers have`);
  }
  return done;
}

/** What a signature calls the inputs or the outputs, in its order, each with its tensor and its shape. */
function signed(signature: unknown, part: "inputs" | "outputs") {
  const found = isObject(signature) && isObject(signature[part]) ? signature[part] : {};
  return Object.entries(found).filter(([, value]) => isObject(value) && typeof value.name === "string").map((
    [, value],
  ) => ({
    name: String((value as Json).name).replace(/:0$/, ""),
    shape: lengthsOf((value as Json).tensorShape),
  }));
}

/** The nodes of a topology, but for constants. */
function nodesOf(topology: Json): { nodes: TensorFlowNode[]; constants: string[] } {
  const field = "modelTopology.node";
  const written = arrayAt(topology.node, field).map((node, i) => {
    if (!isObject(node)) refuse(`${field}[${i}]`, node, "an object that describes an operator");
    const { name, op, input = [], attr = {} } = node;
    const inputs = arrayAt(input, `${field}[${i}].input`)
      .flatMap((item, n) => tensorNamed(item, `${field}[${i}].input[${n}]`) ?? []);
    if (!isObject(attr)) refuse(`${field}[${i}].attr`, attr, "an object");
    return { name: textAt(name, `${field}[${i}].name`), op: textAt(op, `${field}[${i}].op`), inputs, attr };
  });
  const twice = written.find(({ name }, i) => written.findIndex((node) => node.name === name) !== i);
  if (twice) throw new ModelError(`two of its nodes are called ${JSON.stringify(twice.name)}`);
  const label = labelsOf(written);
  const rest = written.filter(({ op }) => op !== "Const" && op !== "NoOp");
  return {
    nodes: rest.map(({ name, op, inputs, attr }) => new TensorFlowNode(name, op, inputs, attr, label(name))),
    constants: written.filter(({ op }) => op === "Const").map(({ name }) => name),
  };
}

/** What the file says of its graph. */
function fileOf(json: Json, stored: GraphFile["stored"]): GraphFile<TensorFlowNode> {
  const { nodes, constants } = nodesOf(json.modelTopology as Json);
  const { userDefinedMetadata: metadata } = json;
  const signature = json.signature ?? (isObject(metadata) ? metadata.signature : undefined);
  const read = new Set(nodes.flatMap(({ inputs }) => inputs));
  const lacking = constants.filter((name) => read.has(name) && !stored.has(name));
  if (lacking.length) {
    throw new ModelError(`the file lacks the weights ${lacking.slice(0, 5).map((name) => JSON.stringify(name))}`);
  }
  const made = new Set(nodes.flatMap(({ outputs }) => outputs));
  const unmade = [...read].find((name) => !made.has(name) && !stored.has(name));
  if (unmade !== undefined) throw new ModelError(`it reads ${JSON.stringify(unmade)}, which no node makes`);
  const inputs = signed(signature, "inputs");
  const shapes = new Map(inputs.map(({ name, shape }) => [name, shape]));
  const order = inputs.map(({ name }) => name);
  const place = (name: string) => order.includes(name) ? order.indexOf(name) : order.length;
  const holders = nodes.filter(({ op }) => op === "Placeholder").toSorted((a, b) => place(a.name) - place(b.name));
  const outputs = signed(signature, "outputs").map(({ name }) => name);
  const ends = nodes.filter((node) => !node.outputs.some((name) => read.has(name))).map(({ name }) => name);
  return {
    name: "graph",
    nodes: sorted(nodes.filter(({ op }) => op !== "Placeholder")),
    inputs: holders.map((node) => ({ name: node.name, shape: node.shape ?? shapes.get(node.name) })),
    outputs: outputs.length ? outputs : ends,
    stored,
    channelsLast: true,
    // What the operators are rebuilt with.
    opset: 18,
  };
}

/**
 * Rebuilds a graph model as layers.
 *
 * @param json the content of its `model.json`
 * @param stored what reads each of its constants
 * @throws {ModelError} if it is damaged, or operators cannot be rebuilt
 */
export const networkOfGraphModel = (tf: TF, json: Json, stored: Map<string, () => Constant>): LayersModel =>
  networkOfGraph(tf, fileOf(json, stored), {
    version: "a graph model of TensorFlow.js",
    isKnown: ({ op }) => isKnownOperator(op),
    folds: () => true,
    orderOf: (_, __, shape) => shape.map((_, axis) => axis),
    compute: computeGraph,
    flattens: false,
  });
