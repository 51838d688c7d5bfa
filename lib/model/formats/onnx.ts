/**
 * Networks as ONNX files (`.onnx`), which PyTorch, MXNet, Caffe and others export, rebuilt as layers.
 *
 * @module
 */

import type { LayersModel } from "npm:@tensorflow/tfjs@4.22.0";
import { messageOf } from "../../errors.ts";
import { placeOf } from "../../files.ts";
import type { TF } from "../../runtime/backend.ts";
import { buildNetwork, disposeNetwork, quoted } from "./build.ts";
import { ModelError, type ModelFormat } from "./format.ts";
import { BATCH, FOLDS } from "./onnx_constants.ts";
import { type Constant, type OnnxFile, type OnnxNode, readOnnx } from "./onnx_file.ts";
import { channelsBehind, Rebuilding, type Value, type WeightOf } from "./onnx_graph.ts";
import { LAYERS, shapeAsked } from "./onnx_layers.ts";

/** Nodes that read no image, and then the others. */
function constantsFirst(nodes: readonly OnnxNode[], stored: ReadonlyMap<string, unknown>): OnnxNode[] {
  const fixed = new Set(["", ...stored.keys()]);
  const first = nodes.filter(({ op, inputs, outputs }) => {
    const isFixed = Object.hasOwn(FOLDS, op) && inputs.every((name) => fixed.has(name));
    if (isFixed) { for (const name of outputs) fixed.add(name); }
    return isFixed;
  });
  const isFirst = new Set(first);
  return [...first, ...nodes.filter((node) => !isFirst.has(node))];
}

/** The nodes that the outputs need, in the file's order but for those that read no image, which come first. */
function neededNodes({ nodes, outputs, stored }: OnnxFile): OnnxNode[] {
  const makers = new Map(nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
  const needed = new Set<OnnxNode>();
  const open = [...outputs];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    const node = makers.get(name);
    if (!node || needed.has(node)) continue;
    needed.add(node);
    open.push(...node.inputs);
  }
  return constantsFirst(nodes.filter((node) => needed.has(node)), stored);
}

const isKnown = ({ op, domain }: OnnxNode) => domain === "" && (Object.hasOwn(LAYERS, op) || Object.hasOwn(FOLDS, op));

/** @throws {ModelError} if there are operators that are not read; lists them all */
function checkOperators(nodes: readonly OnnxNode[], opset: number): void {
  const unknown = [
    ...new Set(nodes.filter((node) => !isKnown(node)).map(({ op, domain }) => domain ? `${domain}.${op}` : op)),
  ];
  if (unknown.length === 0) return;
  throw new ModelError(
    `convlens has no layers for the operators ${unknown.sort().map((op) => JSON.stringify(op)).join(", ")} (opset ` +
      `${opset}). Export the part of the network that is before them, or write that part with other layers`,
  );
}

/** The order in which an input's axes come: maps with channels behind, and what the graph itself turns as it is. */
function orderOf(graph: Rebuilding, name: string, shape: readonly (number | null)[]): number[] {
  const plain = shape.map((_, axis) => axis);
  const readers = graph.readersOf(name);
  const [, channels, , last] = shape;
  if (shape.length === 4) {
    const turned = readers.length > 0 && readers.every(({ op }) => op === "Transpose");
    const isBehind = (last === 1 || last === 3) && channels !== null && channels > 4;
    return turned && readers.every((node) => node.ints("perm")?.join() === "0,3,1,2") || isBehind
      ? plain
      : channelsBehind(4);
  }
  const windows = /^(Conv|ConvTranspose|MaxPool|AveragePool|BatchNormalization|Global\w+Pool|InstanceNormalization)$/;
  return shape.length > 4 || shape.length === 3 && readers.some(({ op }) => windows.test(op))
    ? channelsBehind(shape.length)
    : plain;
}

/** Makes the inputs that nodes read. */
function inputsOf(graph: Rebuilding, nodes: readonly OnnxNode[], file: OnnxFile): Value[] {
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
    const order = orderOf(graph, name, shape);
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

/** What a node computes: of constants a constant, else what its layers put out. */
function compute(graph: Rebuilding, node: OnnxNode, batch: number): (Value | Constant)[] {
  const given = node.inputs.map((name) => graph.find(name));
  const value = given.find((input): input is Value => input !== undefined && "layer" in input);
  if (node.op === "Shape" && value) return [shapeAsked(node, value.shape, batch)];
  const fold = Object.hasOwn(FOLDS, node.op) ? FOLDS[node.op] : undefined;
  if (!value && fold) return [fold(node, given as (Constant | undefined)[], graph.file)];
  if (!Object.hasOwn(LAYERS, node.op)) {
    throw new ModelError("it is computed from the image; convlens reads it of constants");
  }
  return [LAYERS[node.op](graph, node)].flat();
}

/** Describes the network that a graph is, layer by layer. */
function rebuilt(file: OnnxFile) {
  const nodes = neededNodes(file);
  checkOperators(nodes, file.opset);
  if (nodes.length === 0) throw new ModelError("none of its nodes makes an output");
  const graph = new Rebuilding(file, nodes);
  const inputs = inputsOf(graph, nodes, file);
  const batch = file.inputs[0]?.shape?.[0] ?? BATCH;
  for (const node of nodes) {
    graph.begin(node);
    try {
      const made = graph.done.has(node)
        ? [graph.find(node.inputs.find((name) => graph.isValue(name)))!]
        : compute(graph, node, batch);
      node.outputs.forEach((name, i) => made[i] && name && graph.set(name, made[i]));
    } catch (error) {
      if (!(error instanceof ModelError || error instanceof TypeError || error instanceof RangeError)) throw error;
      const reason = error instanceof ModelError
        ? error.message
        : "its inputs or options are not what ONNX says of them";
      throw new ModelError(`${node.title}: ${reason} (opset ${file.opset})`, { cause: error });
    }
  }
  const outputs = file.outputs.map((name) => {
    const found = graph.find(name);
    if (!found || !("layer" in found)) throw new ModelError(`its output ${JSON.stringify(name)} is a constant`);
    return found;
  });
  return { config: graph.network(inputs, outputs), weights: graph.weights, size: graph.size };
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

async function read(tf: TF, url: URL): Promise<LayersModel> {
  try {
    const { config, weights, size } = rebuilt(await readOnnx(url));
    const network = buildNetwork(tf, config, size);
    try {
      fill(tf, network, weights);
      return network;
    } catch (error) {
      disposeNetwork(network);
      throw error;
    }
  } catch (error) {
    throw new ModelError(`The model ${placeOf(url)} could not be loaded: ${messageOf(error)}.`, { cause: error });
  }
}

/** Reads what other programs export as ONNX. */
export const onnxFormat: ModelFormat = { fits: (path) => /\.onnx$/i.test(path), read };
