/**
 * Graph models of TensorFlow.js, as its converter writes them of a SavedModel, a TensorFlow Hub module or a frozen graph:
 * a `model.json` with operators instead of layers, rebuilt as layers.
 *
 * Source: `graph.proto` and `attr_value.proto` of TensorFlow, in the JSON of the converter.
 *
 * @module
 */

import type { LayersModel } from "npm:@tensorflow/tfjs@4.22.0";
import { Interrupted } from "../../interrupt.ts";
import type { TF } from "../../runtime/backend.ts";
import { disposeNetwork } from "./build.ts";
import { isObject, type Json, ModelError } from "./format.ts";
import { computeGraph, isKnownOperator, MAIN } from "./graph_operators.ts";
import { lengthsOf, TensorFlowNode } from "./graph_node.ts";
import { type DataType, nodeNamed, type RawNode, typeNamed, withRest } from "./graph_rest.ts";
import type { Constant, GraphFile } from "./onnx_file.ts";
import type { Rebuilding, Value } from "./onnx_graph.ts";
import { beginningOf, buildRebuilt, type Dialect, networkOfGraph } from "./rebuild.ts";
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

/** The nodes in an order in which each comes behind those that it reads, but for loops of TensorFlow. */
function sorted(nodes: readonly TensorFlowNode[]): TensorFlowNode[] {
  const before = nodes.filter(({ op }) => op !== "NextIteration");
  const makers = new Map(before.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
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

/** How graph models write their operators. */
const DIALECT: Dialect<TensorFlowNode> = {
  version: "a graph model of TensorFlow.js",
  isKnown: ({ op }) => isKnownOperator(op),
  folds: () => true,
  orderOf: (_, __, shape) => shape.map((_, axis) => axis),
  compute: computeGraph,
  flattens: false,
};

/**
 * Builds the network of a graph model: as layers, and from the first operators on that have none with those as
 * TensorFlow.js runs them.
 *
 * @param json the content of its `model.json`
 * @param stored what reads each of its constants
 * @throws {ModelError} if it is damaged, or has operators that TensorFlow.js cannot run either
 */
export async function networkOfGraphModel(
  tf: TF,
  json: Json,
  stored: Map<string, () => Constant>,
): Promise<LayersModel> {
  const file = fileOf(json, stored);
  try {
    return networkOfGraph(tf, file, DIALECT);
  } catch (error) {
    if (!(error instanceof ModelError)) throw error;
    return await partlyRebuilt(tf, json, file).catch((other) => {
      throw other instanceof Interrupted ? other : error;
    });
  }
}

/** The nodes that loops and branches are made of, whose values come and go. */
function passing(nodes: readonly RawNode[]): Set<string> {
  const readers = Map.groupBy(
    nodes.flatMap((node) => node.input.map((from) => ({ node, from: nodeNamed(from) }))),
    ({ from }) => from,
  );
  const found = new Set<string>();
  const follow = (starts: readonly RawNode[], end: string) => {
    const open = [...starts];
    for (let node = open.pop(); node; node = open.pop()) {
      if (found.has(node.name) || node.op === end) continue;
      found.add(node.name);
      open.push(...(readers.get(node.name) ?? []).map(({ node }) => node));
    }
  };
  follow(nodes.filter(({ op }) => op === "Enter"), "Exit");
  follow(nodes.filter(({ op, name }) => op === "Switch" && !found.has(name)), "Merge");
  return found;
}

/** The type of the numbers that a node puts out. */
function typeOf({ op, attr }: RawNode): DataType {
  const at = (name: string) => (attr[name] as Json | undefined)?.type;
  if (/^(Not)?Equal$|^(Less|Greater)(Equal)?$|^Logical|^Is(Nan|Inf|Finite)$/.test(op)) return "bool";
  if (/^Arg(Max|Min)$|^(Shape|Size|Rank)$/.test(op)) return "int32";
  return typeNamed(at("DstT") ?? at("dtype") ?? at("T"));
}

/** What the operators that have no layers read of those that have. */
function boundaryOf(graph: Rebuilding, left: readonly TensorFlowNode[], raw: ReadonlyMap<string, RawNode>) {
  const nodes = new Set<RawNode>();
  const fed = new Set<string>();
  const open = left.map(({ name }) => raw.get(name)!);
  for (let node = open.pop(); node; node = open.pop()) {
    if (nodes.has(node)) continue;
    nodes.add(node);
    for (const input of node.input) {
      const name = input.replace(/:0$/, "");
      if (graph.isValue(name)) fed.add(name);
      // Constants are computed anew.
      else if (!name.startsWith("^") && raw.has(nodeNamed(name))) open.push(raw.get(nodeNamed(name))!);
    }
  }
  return { nodes: [...raw.values()].filter((node) => nodes.has(node)), fed: [...fed] };
}

/** The network of a graph that can be rebuilt in part. */
async function partlyRebuilt(tf: TF, json: Json, file: GraphFile<TensorFlowNode>): Promise<LayersModel> {
  const topology = json.modelTopology as { node: RawNode[]; library?: unknown };
  const raw = new Map(
    topology.node.map((node) => [node.name, { ...node, input: node.input ?? [], attr: node.attr ?? {} }]),
  );
  const nodeOf = new Map(file.nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
  const refused = new Set<TensorFlowNode>();
  for (;;) {
    const { graph, inputs, left } = beginningOf(file, DIALECT, refused);
    const { nodes, fed } = boundaryOf(graph, left, raw);
    const isLeft = new Set(left.map(({ name }) => name));
    const own = file.outputs.filter((name) => !isLeft.has(nodeNamed(name)));
    const before = refused.size;
    const ends = [...fed, ...own].flatMap((name): Value[] => {
      const found = graph.find(name);
      if (!found || !("layer" in found)) throw new ModelError(`its output ${JSON.stringify(name)} is a constant`);
      try {
        // What stands for several nodes is no tensor of the graph.
        if (!found.spread && !found.repeated) return [graph.plain(found)];
      } catch (error) {
        if (!(error instanceof ModelError)) throw error;
      }
      refused.add(nodeOf.get(name)!);
      return [];
    });
    if (refused.size > before) continue;
    // Several tensors may be what one layer puts out.
    const makers = [...new Set(ends.map(({ layer }) => layer))];
    const places = new Map([...fed, ...own].map((name, i) => [name, makers.indexOf(ends[i].layer)]));
    const front = buildRebuilt(
      tf,
      graph,
      graph.described(inputs, makers.map((layer) => ends.find((end) => end.layer === layer)!)),
    );
    try {
      const hidden = passing(nodes);
      const firsts = left.filter((node) =>
        !isKnownOperator(node.op) || node.inputs.every((name) => !isLeft.has(nodeNamed(name)))
      );
      return await withRest(tf, front, {
        nodes,
        fed: fed.map((name) => ({ name, dtype: typeOf(raw.get(nodeNamed(name))!), at: places.get(name)! })),
        taps: nodes.filter(({ name }) => isLeft.has(name) && !hidden.has(name)),
        outputs: file.outputs,
        library: topology.library,
        stored: file.stored,
        unknown: [...new Set(firsts.map(({ op }) => op))].sort(),
        before: front.layers.findLast((layer) => layer.getClassName() !== "InputLayer")?.name,
      }, file.outputs.map((name) => own.includes(name) ? places.get(name)! : name));
    } catch (error) {
      disposeNetwork(front);
      throw error;
    }
  }
}
