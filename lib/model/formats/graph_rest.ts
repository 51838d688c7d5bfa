/**
 * The rest of a graph: operators that no layers are read for, which TensorFlow.js runs as they are. Each is one layer that
 * can be asked for what it puts out; their gradients are those that TensorFlow.js has.
 *
 * @module
 */

import type { GraphModel, layers, LayersModel, SymbolicTensor, Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import { sizeOf } from "../../array.ts";
import { messageOf } from "../../errors.ts";
import type { TF } from "../../runtime/core/types.ts";
import { withOwnTape } from "../../runtime/gradients/tape.ts";
import { legalName, noteNames, otherNamesOf, ownNetwork, quoted } from "./build.ts";
import { type Json, ModelError } from "./format.ts";
import type { Constant } from "./onnx_file.ts";

/** A node as the file has it. */
export interface RawNode {
  name: string;
  op: string;
  input: string[];
  attr: Json;
}

/** What of a graph is left, and what it reads. */
export interface Rest {
  /** The nodes, with the constants that they read. */
  nodes: readonly RawNode[];
  /** The nodes that are asked for: not the constants, and not those that loops and branches are made of. */
  taps: readonly RawNode[];
  /** The tensors that come from the layers before: their names, their types, and which output of those layers each is. */
  fed: readonly { name: string; dtype: DataType; at: number }[];
  /** The tensors that are outputs of the network. */
  outputs: readonly string[];
  /** Functions that nodes call. */
  library: unknown;
  stored: ReadonlyMap<string, () => Constant>;
  /** What of the graph has no layers, for errors. */
  unknown: readonly string[];
  /** The name of a layer before the rest, for errors. */
  before?: string;
}

export type DataType = "float32" | "int32" | "bool";
const TYPE_NAMES: Record<DataType, string> = { float32: "DT_FLOAT", int32: "DT_INT32", bool: "DT_BOOL" };

/** Operators that TensorFlow.js waits for: a loop's condition, how many boxes are left. */
const WAITING = new RegExp(
  "^(If|StatelessIf|StatelessWhile|While|LoopCond|Switch|Merge|Enter|Exit|NextIteration|TensorArray.*|TensorList.*|" +
    "EmptyTensorList|NonMaxSuppressionV\\d|Where|ListDiff|HashTable.*|LookupTable.*)$",
);

/** The node that a tensor's name names. */
export const nodeNamed = (tensor: string): string => tensor.replace(/^\^/, "").replace(/:\d+$/, "");

/** The outputs of a node that something reads: the first, and others by their names. */
function tensorsOf({ name }: RawNode, { nodes, outputs }: Rest): string[] {
  const read = [...nodes.flatMap(({ input }) => input), ...outputs];
  return [...new Set([name, ...read.filter((tensor) => tensor.startsWith(`${name}:`) && !tensor.endsWith(":0"))])];
}

/** TensorFlow.js's own model of some nodes. What they read of the layers before is an input of it, `fed_0`, `fed_1`, … */
function graphModelOf(tf: TF, { nodes, fed, library, stored }: Rest): GraphModel {
  const places = new Map(fed.map(({ name }, i) => [name, `fed_${i}`]));
  const own = new Set(nodes.map(({ name }) => name));
  const inputs = fed.map(({ dtype }, i) => ({
    name: `fed_${i}`,
    op: "Placeholder",
    input: [],
    attr: { dtype: { type: TYPE_NAMES[dtype] } },
  }));
  const rest = nodes.map((node) => ({
    ...node,
    input: node.input.map((name) => places.get(name.replace(/:0$/, "")) ?? name)
      .filter((name) => !name.startsWith("^") || own.has(nodeNamed(name))),
  }));
  const functions = JSON.stringify(library ?? "");
  const weights = [...stored].filter(([name]) => own.has(name) || functions.includes(JSON.stringify(name)))
    .map(([name, read]) => ({ name, ...read() }));
  const types = nodes.map(({ name, attr }) => [name, typeNamed((attr.dtype as Json | undefined)?.type)] as const);
  const dtypes = new Map(types);
  const arrays = weights.map(({ name, data, whole }) => {
    const dtype = whole ? dtypes.get(name) === "bool" ? "bool" : "int32" : "float32";
    const Kind = { float32: Float32Array, int32: Int32Array, bool: Uint8Array }[dtype];
    return { dtype, bytes: new Uint8Array(Kind.from(data as Float32Array).buffer as ArrayBuffer) } as const;
  });
  const weightData = new Uint8Array(arrays.reduce((sum, { bytes }) => sum + bytes.length, 0));
  arrays.reduce((at, { bytes }) => (weightData.set(bytes, at), at + bytes.length), 0);
  const model = new tf.GraphModel({
    load: () => ({
      modelTopology: { node: [...inputs, ...rest], library, versions: { producer: 0, minConsumer: 0 } },
      weightSpecs: weights.map(({ name, dims }, i) => ({ name, shape: [...dims], dtype: arrays[i].dtype })),
      weightData: weightData.buffer,
    }),
  } as never);
  // What was made before an error is freed.
  tf.tidy(() => {
    model.load();
    return Object.values(model.weights).flat() as Tensor[];
  });
  return model;
}

/** TensorFlow's types of numbers as TensorFlow.js has them. */
export function typeNamed(type: unknown): DataType {
  const name = typeof type === "number" ? NUMBERED[type] : String(type);
  return name === "DT_BOOL" ? "bool" : /^DT_U?INT/.test(name ?? "") ? "int32" : "float32";
}
const NUMBERED: Record<number, string> = {
  3: "DT_INT32",
  4: "DT_UINT8",
  5: "DT_INT16",
  6: "DT_INT8",
  9: "DT_INT64",
  10: "DT_BOOL",
};

/** A tensor of the rest: what it is made by, and how it goes with a batch. */
interface Tap {
  tensor: string;
  op: string;
  /** The activation that its numbers come from; absent where it is another operator. */
  ending?: string;
  waits: boolean;
  params: number;
  /** What it is for a batch of images: null where that differs between images. */
  shape: (number | null)[];
  /** Whether a batch can be computed at once, as its images are one by one. */
  batched: boolean;
  /** Whether the results of images are joined along their first axis, or along a new one. */
  joined: boolean;
}

/** Runs nodes of the rest. */
class Runner {
  constructor(readonly tf: TF, readonly model: GraphModel, readonly rest: Rest) {}

  #fed(inputs: readonly Tensor[]): Record<string, Tensor> {
    return Object.fromEntries(
      this.rest.fed.map(({ dtype, at }, i) => [`fed_${i}`, this.tf.cast(inputs[at], dtype)]),
    );
  }
  now(inputs: readonly Tensor[], tensors: string[]): Tensor[] {
    return [this.model.execute(this.#fed(inputs), tensors)].flat();
  }
  /** As {@linkcode now}, for operators that are waited for. */
  async later(inputs: readonly Tensor[], tensors: string[]): Promise<Tensor[]> {
    const fed = this.#fed(inputs);
    try {
      return [await this.model.executeAsync(fed, tensors)].flat();
    } finally {
      this.tf.dispose(fed);
    }
  }

  /** Each image's part of a batch. */
  each(inputs: readonly Tensor[]): Tensor[][] {
    const { tf } = this;
    return Array.from(
      { length: inputs[0].shape[0] },
      (_, i) => inputs.map((x) => tf.slice(x, [i, ...x.shape.slice(1).fill(0)], [1, ...x.shape.slice(1)])),
    );
  }

  /** The results of images as one of a batch. */
  join({ tensor, joined }: Tap, results: readonly Tensor[]): Tensor {
    const { tf } = this;
    const [{ shape }] = results;
    const floats = results.map((result) => tf.cast(result, "float32"));
    if (results.some((result) => `${result.shape}` !== `${shape}`)) {
      throw new RangeError(
        `${JSON.stringify(nodeNamed(tensor))} puts out ${results.map(({ shape }) => `[${shape}]`).join(" and ")} for ` +
          `${results.length} images, which are not one array. Ask for one image at a time.`,
      );
    }
    if (joined) return tf.concat(floats);
    return tf.stack(shape.length ? floats : floats.map((result) => tf.reshape(result, [1])));
  }

  /** Why there is no gradient. */
  refusal({ tensor }: Tap, cause?: unknown): ModelError {
    const { unknown, before } = this.rest;
    return new ModelError(
      `There is no gradient to ${JSON.stringify(nodeNamed(tensor))}: on its way are operators that cannot be ` +
        `rebuilt as layers and that TensorFlow.js cannot differentiate, ${quoted(unknown)}. ` +
        (before === undefined ? "" : `Ask for a unit of a layer before them, as ${JSON.stringify(before)}; `) +
        "predict, activations, codes and occlusion work",
      { cause },
    );
  }
}

/** The layer of one operator; it reads what the whole rest reads. */
function makePart(tf: TF, runner: Runner, tap: Tap): layers.Layer {
  /** @returns what it puts out for a batch */
  const compute = (inputs: readonly Tensor[]): Tensor => {
    if (tap.waits) throw runner.refusal(tap);
    const run = (x: readonly Tensor[]) => runner.now(x, [tap.tensor])[0];
    return tap.batched ? tf.cast(run(inputs), "float32") : runner.join(tap, runner.each(inputs).map(run));
  };
  class Operator extends tf.layers.Layer {
    static className = "Operator";
    readonly ending = tap.ending;
    override getClassName(): string {
      return `operator ${tap.op}`;
    }
    override countParams(): number {
      return tap.params;
    }
    override computeOutputShape(given: (number | null)[] | (number | null)[][]): (number | null)[] {
      const shapes = (Array.isArray(given[0]) ? given : [given]) as (number | null)[][];
      const isKnown = !shapes.some((shape) => shape.slice(1).includes(null));
      if (tap.waits || !isKnown || !tap.shape.slice(1).includes(null)) return tap.shape;
      const made = tf.tidy(() => compute(shapes.map((shape) => tf.zeros([1, ...shape.slice(1) as number[]]))));
      made.dispose();
      return [null, ...made.shape.slice(1)];
    }
    override call(given: Tensor | Tensor[]): Tensor {
      const inputs = [given].flat();
      const differentiable = tf.customGrad((...args) => {
        const x = args.slice(0, inputs.length) as Tensor[];
        const value = tf.tidy(() => compute(x));
        (args.at(-1) as unknown as (kept: Tensor[]) => void)(x);
        return {
          value,
          gradFunc: (dy: Tensor, kept: Tensor[]) => {
            try {
              // An input that it does not depend on has the gradient 0.
              const none = (x: Tensor) => tf.mul(0, tf.sum(x));
              return withOwnTape(
                tf,
                () =>
                  tf.grads((...x: Tensor[]) => x.map(none).reduce((sum, zero) => tf.add(sum, zero), compute(x)))(
                    kept,
                    dy,
                  ),
              );
            } catch (error) {
              throw runner.refusal(tap, error);
            }
          },
        };
      });
      return differentiable(...inputs);
    }
    /** As {@linkcode call}, where TensorFlow.js has to be waited for; undefined where it need not. */
    later = tap.waits
      ? async (inputs: readonly Tensor[]): Promise<Tensor> => {
        const results: Tensor[] = [];
        const parts = runner.each(inputs);
        try {
          for (const part of parts) results.push(...await runner.later(part, [tap.tensor]));
          return tf.tidy(() => runner.join(tap, results));
        } finally {
          tf.dispose([parts, results]);
        }
      }
      : undefined;
  }
  const label = tap.tensor.replace(/:(\d+)$/, "_$1");
  return new Operator({ name: legalName(label) });
}

/** What TensorFlow.js itself calls: all outputs of the network that the rest makes. */
function makeWhole(tf: TF, runner: Runner, parts: readonly layers.Layer[], outputs: readonly number[]): layers.Layer {
  class Operators extends tf.layers.Layer {
    static className = "Operators";
    /** What of the graph cannot be rebuilt. */
    readonly unknown = runner.rest.unknown;
    /** The layers that it is made of, one for each of its outputs. */
    readonly operators = parts;
    override countParams(): number {
      return parts.reduce((sum, part) => sum + part.countParams(), 0);
    }
    override computeOutputShape(): (number | null)[][] {
      return parts.map((part) => part.computeOutputShape([null, null]) as (number | null)[]);
    }
    override call(inputs: Tensor | Tensor[]): Tensor[] {
      const made = new Map(outputs.map((i) => [i, parts[i].call(inputs, {}) as Tensor]));
      return parts.map((_, i) => made.get(i) ?? tf.scalar(NaN));
    }
    override getConfig() {
      // A function cannot be sent to Workers: the network stays here.
      return { ...super.getConfig(), run: () => runner } as never;
    }
    override dispose() {
      runner.model.dispose();
      return super.dispose();
    }
  }
  return new Operators({ name: "operators" });
}

/** The sides that inputs are tried with where they may have any length. */
const TRIED = [[64, 96], [224, 256]];

/** What each tensor of the rest is, by running it on noise. */
async function tried(tf: TF, runner: Runner, front: LayersModel, tensors: readonly string[]): Promise<Tap[]> {
  const { rest, model } = runner;
  const nodes = new Map(rest.nodes.map((node) => [node.name, node]));
  const waiting = waits(rest);
  const runAll = (inputs: readonly Tensor[], wanted: readonly string[]) =>
    wanted.some((tensor) => waiting.has(nodeNamed(tensor)))
      ? runner.later(inputs, [...wanted])
      : Promise.resolve(tf.tidy(() => runner.now(inputs, [...wanted])));
  const made: Tensor[] = [];
  /** What some tensors are for inputs; those that a branch did not make, or that are no numbers, are left out. */
  const measure = async (inputs: readonly Tensor[], wanted: readonly string[]) => {
    const results = await runAll(inputs, wanted);
    made.push(...results.filter(Boolean));
    return new Map(wanted.flatMap((tensor, i) => {
      const result = results[i] as Tensor | undefined;
      return result && ["float32", "int32", "bool"].includes(result.dtype) ? [[tensor, result] as const] : [];
    }));
  };
  const fedOf = (side: number) =>
    tf.tidy(() => {
      const x = front.inputs.map(({ shape }, i) =>
        tf.randomUniform([2, ...shape.slice(1).map((length) => length ?? side)], 0, 1, "float32", 1 + i)
      );
      return [front.predict(x.length === 1 ? x[0] : x)].flat();
    });
  const free = front.inputs.some(({ shape }) => shape.slice(1).includes(null));
  let reason: unknown;
  for (const sides of free ? TRIED : [[0]]) {
    try {
      const runs: Map<string, Tensor>[] = [];
      let both: Map<string, Tensor> = new Map();
      let wanted = tensors;
      for (const side of sides) {
        const inputs = fedOf(side);
        const parts = tf.tidy(() => runner.each(inputs)) as Tensor[][];
        made.push(...inputs, ...parts.flat());
        for (const part of parts) {
          const run = await measure(part, wanted);
          wanted = wanted.filter((tensor) => run.has(tensor));
          runs.push(run);
        }
        const plain = wanted.filter((tensor) => !waiting.has(nodeNamed(tensor)));
        if (side === sides[0] && plain.length) both = await measure(inputs, plain).catch(() => new Map());
      }
      const taps: Tap[] = [];
      for (const tensor of wanted) {
        const node = nodes.get(nodeNamed(tensor))!;
        const [a, b] = runs.map((run) => run.get(tensor)!);
        const shapes = runs.map((run) => run.get(tensor)!.shape);
        const joined = shapes.every(([first]) => first === 1);
        const own = joined ? shapes.map((shape) => shape.slice(1)) : shapes.map((shape) => shape.length ? shape : [1]);
        if (own.some(({ length }) => length !== own[0].length)) continue;
        const each = own[0].map((length, axis) => own.every((shape) => shape[axis] === length) ? length : null);
        const pair = both.get(tensor);
        taps.push({
          tensor,
          op: node.op,
          ending: endingOf(nodes, node),
          waits: waiting.has(node.name),
          params: node.input.reduce((sum, name) => sum + sizeOf(weightShape(model, nodeNamed(name)) ?? [0]), 0),
          shape: [null, ...(each.length ? each : [1])],
          joined: joined && each.length > 0,
          batched: joined && each.length > 0 && pair !== undefined && await isBatchOf(tf, pair, [a, b]),
        });
      }
      return taps;
    } catch (error) {
      reason = error;
    } finally {
      tf.dispose(made.splice(0));
    }
  }
  throw new ModelError(`TensorFlow.js cannot run its operators: ${messageOf(reason).split("\n")[0]}`, {
    cause: reason,
  });
}

const weightShape = (model: GraphModel, name: string): number[] | undefined =>
  (model.weights as Record<string, Tensor[] | undefined>)[name]?.[0]?.shape;

const ENDINGS: Record<string, string> = { Softmax: "softmax", LogSoftmax: "logSoftmax", Sigmoid: "sigmoid" };

/** The activation that a node's numbers come from. */
function endingOf(nodes: ReadonlyMap<string, RawNode>, node: RawNode): string | undefined {
  const from = /^(Identity|IdentityN|Reshape|Squeeze|Snapshot)$/.test(node.op)
    ? nodes.get(nodeNamed(node.input[0]))
    : undefined;
  return from ? endingOf(nodes, from) : ENDINGS[node.op];
}

/** Whether what a batch of two gives is what its images give one by one. */
async function isBatchOf(tf: TF, both: Tensor, [a, b]: readonly Tensor[]): Promise<boolean> {
  if (`${both.shape}` !== `${[2, ...a.shape.slice(1)]}` || `${a.shape}` !== `${b.shape}`) return false;
  const parts = tf.tidy(() => {
    const each = tf.concat([tf.cast(a, "float32"), tf.cast(b, "float32")]);
    return tf.stack([tf.max(tf.abs(tf.sub(each, tf.cast(both, "float32")))), tf.max(tf.abs(each))]);
  });
  const [difference, largest] = await parts.data();
  parts.dispose();
  return difference <= 1e-4 * largest;
}

/** The names of the nodes whose way holds an operator that is waited for. */
function waits({ nodes, fed }: Rest): Set<string> {
  const readers = Map.groupBy(
    nodes.flatMap(({ name, input }) => input.map((from) => ({ name, from: nodeNamed(from) }))),
    ({ from }) => from,
  );
  const given = new Set(fed.map(({ name }) => nodeNamed(name)));
  const found = new Set<string>();
  const open = nodes.filter(({ op }) => WAITING.test(op)).map(({ name }) => name);
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    if (found.has(name) || given.has(name)) continue;
    found.add(name);
    open.push(...(readers.get(name) ?? []).map(({ name }) => name));
  }
  return found;
}

/**
 * A network with the rest of its graph behind its layers.
 *
 * @param front the layers before; its outputs are what the rest reads, and those of the network that it makes itself
 * @param outputs the outputs of the network: of the rest by name, of `front` by their place among its outputs
 * @throws {ModelError} if TensorFlow.js cannot run the rest
 */
export async function withRest(
  tf: TF,
  front: LayersModel,
  rest: Rest,
  outputs: readonly (string | number)[],
): Promise<LayersModel> {
  const model = graphModelOf(tf, rest);
  try {
    const runner = new Runner(tf, model, rest);
    const tensors = rest.taps.flatMap((node) => tensorsOf(node, rest));
    const taps = await tried(tf, runner, front, tensors);
    const places = outputs.map((output) =>
      typeof output === "number" ? output : taps.findIndex(({ tensor }) => tensor === output)
    );
    const lost = outputs.find((output, i) => typeof output === "string" && places[i] < 0);
    if (lost !== undefined) throw new ModelError(`its output ${JSON.stringify(lost)} is no tensor of numbers`);
    const parts = taps.map((tap) => makePart(tf, runner, tap));
    const ends = places.filter((_, i) => typeof outputs[i] === "string");
    const made = makeWhole(tf, runner, parts, ends).apply(front.outputs) as
      | SymbolicTensor
      | SymbolicTensor[];
    const network = tf.model({
      name: front.name,
      inputs: front.inputs,
      outputs: outputs.map((output, i) =>
        typeof output === "number" ? front.outputs[output] : [made].flat()[places[i]]
      ),
    });
    noteNames(network, otherNamesOf(front));
    return ownNetwork(network);
  } catch (error) {
    model.dispose();
    throw error;
  }
}
