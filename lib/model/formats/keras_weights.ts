/**
 * Which weight of a network each dataset of an HDF5 file of Keras is.
 *
 * Keras writes weights in two ways. HDF5 files of Keras 1 and 2 (and of Keras 3, whole) name their layers and weights in
 * attributes. Archives of Keras 3 (and of 2.12 on) and its files of weights number them below `layers/NAME/vars`.
 *
 * @module
 */

import type { layers as Layers, LayersModel, Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import { sizeOf } from "../../array.ts";
import type { TF } from "../../runtime/core/types.ts";
import { hadChannelsFirst, legalName, namesOf, type NetworkConfig, quoted, type Variable } from "./build.ts";
import { ModelError } from "./format.ts";
import type { Hdf5Entry, Hdf5File } from "./hdf5.ts";

/** A weight of a network, the dataset that holds it, and how that is turned. */
export interface Assignment {
  variable: Variable;
  path: string;
  turn?: (tf: TF, tensor: Tensor) => Tensor;
}

/** What is known of who wrote a file. */
export interface Writer {
  /** The version of Keras. */
  version: string;
  /** What computed below Keras. */
  backend: string;
}

/** A dataset of the file. */
interface Stored {
  path: string;
  /** As the file calls the weight. */
  name: string;
  shape: number[];
}

type Layer = Layers.Layer;
type Entries = ReadonlyMap<string, Hdf5Entry>;

const innerOf = (layer: Layer | LayersModel) => (layer as unknown as { layers?: Layer[] }).layers;

/** A layer's weights in the order in which Keras writes them: first those that are trained. */
const weightsOf = (layer: Layer): Variable[] => [
  ...new Set([...layer.trainableWeights, ...layer.nonTrainableWeights] as Variable[]),
];

/** The texts in an attribute, which Keras cuts into `name0`, `name1`, … where it is long. */
function textsAt({ attributes }: Hdf5Entry, name: string): string[] | undefined {
  const parts = name in attributes
    ? [attributes[name]]
    : Object.keys(attributes).filter((key) => key.startsWith(name) && /^\d+$/.test(key.slice(name.length)))
      .sort((a, b) => Number(a.slice(name.length)) - Number(b.slice(name.length))).map((key) => attributes[key]);
  if (parts.length === 0) return undefined;
  // An empty list is written as an empty list of numbers.
  const texts = parts.flatMap((part) => Array.isArray(part) ? part : ArrayBuffer.isView(part) ? [] : [part]);
  if (texts.every((text) => typeof text === "string")) return texts;
  throw new ModelError(`its attribute ${name} holds something else than names`);
}

/** The weights of a layer and what the file has of it: by their names where each fits, else in their order. */
function paired(layer: Layer, variables: Variable[], stored: Stored[], writer: Writer): Assignment[] {
  const kernels = new Set(variables.filter(({ originalName }) => /kernel$/.test(originalName)));
  const turned = (variable: Variable, { shape }: Stored) =>
    turnOf(layer, kernels.has(variable), variable, shape, writer);
  const fits = (variable: Variable, one: Stored) => turned(variable, one) !== undefined;
  const assigned = (pairs: [Variable, Stored][]) =>
    pairs.map(([variable, one]) => ({ variable, path: one.path, turn: turned(variable, one)! }));

  const free = new Map(variables.map((variable) => [variable.originalName, variable]));
  const byName = stored.flatMap((one): [Variable, Stored][] => {
    const own = namesOf(one.name).map((name) => free.get(name)).find((found) => found);
    if (!own || !fits(own, one)) return [];
    free.delete(own.originalName);
    return [[own, one]];
  });
  if (free.size === 0 && byName.length === stored.length) return assigned(byName);
  if (variables.length !== stored.length) {
    throw new ModelError(
      `the layer ${JSON.stringify(layer.name)} has ${variables.length} weights (${
        quoted(variables.map(({ originalName }) => originalName))
      }); the file has ${stored.length} of it (${quoted(stored.map(({ name }) => name))})`,
    );
  }
  const wrong = variables.findIndex((variable, i) => !fits(variable, stored[i]));
  if (wrong >= 0) {
    throw new ModelError(
      `the weight ${JSON.stringify(variables[wrong].originalName)} has the shape [${
        stored[wrong].shape
      }] in the file ` +
        `(${JSON.stringify(stored[wrong].name)}); its layer wants [${variables[wrong].shape}]`,
    );
  }
  return assigned(variables.map((variable, i) => [variable, stored[i]]));
}

const CONVOLUTIONS = /^(Conv[123]D|Conv2DTranspose|ConvLSTM2D)$/;

/** How a stored weight becomes the network's; undefined if its shape does not fit. */
function turnOf(
  layer: Layer,
  isKernel: boolean,
  { shape: wanted }: Variable,
  shape: readonly number[],
  { version, backend }: Writer,
): ((tf: TF, tensor: Tensor) => Tensor) | undefined {
  const type = layer.getClassName();
  const isConvolution = isKernel && CONVOLUTIONS.test(type);
  const { dataFormat } = layer as unknown as { dataFormat?: string };
  const isFirst = dataFormat === "channelsFirst" || hadChannelsFirst(layer);
  const orders: number[][] = [];
  if (isConvolution && shape.length === 4) {
    // Keras 1 with the channels first wrote [out, in, rows, columns], and rows of one column of a Conv1D.
    if (/^1\b/.test(version) && isFirst) orders.push([2, 3, 1, 0]);
    else orders.push([0, 1, 2, 3], [2, 3, 1, 0]);
  } else if (isConvolution && shape.length === 5) {
    if (/^1\b/.test(version) && isFirst) orders.push([2, 3, 4, 1, 0]);
    else orders.push([0, 1, 2, 3, 4], [2, 3, 4, 1, 0]);
  } else orders.push(shape.map((_, axis) => axis));
  // Convolutions of Theano turn the kernel over.
  const flip = isConvolution && /^theano$/i.test(backend) ? shape.slice(2).map((_, axis) => axis) : [];
  const size = sizeOf(wanted as number[]);
  for (const order of orders) {
    const turned = order.map((axis) => shape[axis]);
    const same = `${turned}` === `${wanted}` ||
      // A Conv1D of Keras 1 is stored as one of rows and a column.
      type === "Conv1D" && sizeOf(turned) === size && `${turned.filter((length, i) => length > 1 || i > 1)}` ===
          `${wanted.filter((length, i) => length! > 1 || i > 0)}`;
    if (!same) continue;
    const moved = order.some((axis, i) => axis !== i);
    return (tf, tensor) => {
      let turned = moved ? tf.transpose(tensor, order) : tensor;
      if (flip.length) turned = tf.reverse(turned, flip);
      return tf.reshape(turned, wanted as number[]);
    };
  }
}

/** The file's layers and the network's: by name where all fit, else in their order. */
function layersOf<File extends { name: string }>(network: LayersModel, stored: File[]): [Layer, File][] {
  const own = network.layers.filter((layer) => layer.weights.length > 0);
  const byName = new Map(own.map((layer) => [layer.name, layer]));
  if (own.length === stored.length && stored.every(({ name }) => byName.has(name))) {
    return stored.map((one) => [byName.get(one.name)!, one]);
  }
  if (own.length === stored.length) return own.map((layer, i) => [layer, stored[i]]);
  const missing = own.filter(({ name }) => !stored.some((one) => one.name === name)).map(({ name }) => name);
  const leftOver = stored.filter(({ name }) => !byName.has(name)).map(({ name }) => name);
  throw new ModelError(
    `the file has weights of ${stored.length} layers, the network of ${own.length}` +
      (missing.length ? `; the file lacks ${quoted(missing)}` : "") +
      (leftOver.length ? `; the network lacks ${quoted(leftOver)}` : ""),
  );
}

/** Weights that are named in attributes, below `root`. */
function named(entries: Entries, root: string, network: LayersModel, writer: Writer): Assignment[] {
  const below = (path: string) => root ? `${root}/${path}` : path;
  const names = textsAt(entries.get(root)!, "layer_names")!;
  const groups = names.map((name) => {
    const group = entries.get(below(name));
    const weights = group && textsAt(group, "weight_names");
    if (!weights) throw new ModelError(`the file has no weights of its layer ${JSON.stringify(name)}. It is damaged`);
    return {
      name: legalName(name),
      stored: weights.map((weight): Stored => {
        const path = below(`${name}/${weight}`);
        const shape = entries.get(path)?.shape;
        if (!shape) throw new ModelError(`the file has no weight ${JSON.stringify(path)}. It is damaged`);
        return { path, name: weight.replace(/:\d+$/, "").split("/").map(legalName).join("/"), shape };
      }),
    };
  }).filter(({ stored }) => stored.length > 0);
  return layersOf(network, groups).flatMap(([layer, { stored }]) => paired(layer, weightsOf(layer), stored, writer));
}

/** A group of a file, with the names of Windows put right. */
interface Node {
  name?: unknown;
  children: Map<string, Node>;
  stored?: Stored;
}

function treeOf(entries: Entries): Node {
  const root: Node = { children: new Map() };
  for (const [path, { attributes, shape }] of entries) {
    let node = root;
    for (const part of path.split(/[/\\]/).filter(Boolean)) {
      if (!node.children.has(part)) node.children.set(part, { children: new Map() });
      node = node.children.get(part)!;
    }
    node.name = attributes.name;
    if (shape) node.stored = { path, name: path, shape };
  }
  return root;
}

/** The name that Keras makes of a class. */
const snakeCase = (type: string) =>
  type.replace(/\W+/g, "").replace(/(.)([A-Z][a-z]+)/g, "$1_$2").replace(/([a-z])([A-Z])/g, "$1_$2").toLowerCase();

/** Below which names Keras keeps the layers of a model. */
const LAYERS = ["layers", "_layer_checkpoint_dependencies"];

/** Parts of a layer that hold weights of their own: its name in the file, and in TensorFlow.js. */
const PARTS: Record<string, string> = {
  cell: "cell",
  layer: "layer",
  forward_layer: "forwardLayer",
  backward_layer: "backwardLayer",
};

/** The weights of one layer, or of a part of it, in order. */
function numbered(layer: Layer, node: Node, writer: Writer): Assignment[] {
  if (innerOf(layer)) return container(layer as unknown as LayersModel, undefined, node, writer);
  const parts = Object.entries(PARTS).flatMap(([name, own]) => {
    const inner = (layer as unknown as Record<string, Layer | undefined>)[own];
    const at = node.children.get(name);
    return inner && at ? [[inner, at] as const] : [];
  });
  if (parts.length) return parts.flatMap(([inner, at]) => numbered(inner, at, writer));
  const vars = [...node.children.get("vars")?.children ?? []]
    .sort(([a], [b]) => Number(a) - Number(b)).flatMap(([, { stored }]) => stored ?? []);
  return paired(layer, weightsOf(layer), vars, writer);
}

/** The weights of a network, numbered below each of its layers. */
function container(network: LayersModel, config: NetworkConfig | undefined, node: Node, writer: Writer): Assignment[] {
  const groups = LAYERS.flatMap((name) => [...node.children.get(name)?.children ?? []]);
  const holds = ({ children, stored }: Node): boolean => Boolean(stored) || [...children.values()].some(holds);
  // What draws random numbers keeps where it is, which is no weight.
  const full = groups.filter(([, node]) =>
    [...node.children].some(([name, part]) => !/seed_generator|random_generator/.test(name) && holds(part))
  );
  const own = network.layers.filter(({ weights }) => weights.length > 0);
  if (full.length !== own.length) {
    throw new ModelError(
      `the file has weights of ${full.length} layers (${quoted(full.map(([name]) => name))}), the network of ` +
        `${own.length} (${quoted(own.map(({ name }) => name))})`,
    );
  }
  const counts = new Map<string, number>();
  // The order in which Keras counts layers of a class is that of its configuration.
  const described = (config?.config as { layers?: { className: string; config: { name?: string } }[] } | undefined)
    ?.layers;
  const order = described?.map(({ config }) => network.layers.find(({ name }) => name === config.name)).filter((l) =>
    l !== undefined
  );
  const byName = new Map<unknown, Layer>();
  for (const layer of (order ?? network.layers) as Layer[]) {
    const type = snakeCase(layer.getClassName());
    const count = counts.get(type) ?? 0;
    counts.set(type, count + 1);
    byName.set(count ? `${type}_${count}` : type, layer);
  }
  const real = new Map(network.layers.map((layer) => [layer.name, layer]));
  const nameIn = ({ children }: Node) => children.get("vars")?.name;
  const ways: ((group: [string, Node]) => Layer | undefined)[] = [
    ([, node]) => real.get(legalName(String(nameIn(node)))),
    ([name]) => byName.get(name),
    ([name]) => real.get(legalName(name)),
  ];
  for (const way of ways) {
    const found = full.map(way);
    if (found.some((layer) => !layer) || new Set(found).size < found.length) continue;
    return full.flatMap(([, node], i) => numbered(found[i]!, node, writer));
  }
  throw new ModelError(
    `the file's layers ${quoted(full.map(([name]) => name))} are not those of the network, ` +
      quoted(own.map(({ name }) => name)),
  );
}

/**
 * Which weight of a network each dataset of a file is.
 *
 * @throws {ModelError} if one is missing, is left over, or has another shape
 */
export function assignWeights(
  file: Hdf5File,
  network: LayersModel,
  writer: Writer,
  config?: NetworkConfig,
): Assignment[] {
  const { entries } = file;
  for (const root of ["model_weights", ""]) {
    const group = entries.get(root);
    if (group && textsAt(group, "layer_names")) return named(entries, root, network, writer);
  }
  const tree = treeOf(entries);
  if (LAYERS.some((name) => tree.children.has(name))) return container(network, config, tree, writer);
  throw new ModelError("it holds no weights of a Keras model. Save the model or its weights anew in Keras");
}
