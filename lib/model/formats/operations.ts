/**
 * Arithmetic between the layers of a Keras network, as layers: `x * 2 + 1`, `keras.ops.mean(x)`, `tf.concat([a, b])`.
 *
 * Keras 3 writes each operation as a layer of its own; Keras 2 writes a `TFOpLambda` (or a `SlicingOpLambda`) that names a
 * function of TensorFlow.
 *
 * @module
 */

import { operationName } from "../../runtime/layers/operations.ts";
import { isObject, type Json, ModelError } from "./format.ts";

/** One use of one output of a layer. */
export type Use = [layer: string, use: number, output: number, told?: unknown];

const isCount = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;

/** Whether a value is the use of a layer. */
export const isUse = (value: unknown): value is Use =>
  Array.isArray(value) && typeof value[0] === "string" && isCount(value[1]) && isCount(value[2]);

/** The function that an operation's layer calls, as the file names it; of other layers their class. */
export const functionOf = ({ class_name: type, config }: Json): string =>
  /OpLambda$/.test(String(type)) && isObject(config) && typeof config.function === "string"
    ? config.function
    : String(type);

/**
 * Whether a layer is an operation that is known here.
 *
 * @param isLayer whether there is a class of layers of its name
 */
export function isOperation(layer: Json, isLayer: (type: string) => boolean): boolean {
  const { class_name: type, module, config, inbound_nodes: nodes } = layer;
  if (operationName(functionOf(layer)) === undefined) return false;
  if (type === "TFOpLambda" || type === "SlicingOpLambda") return true;
  if (typeof module === "string") return /^keras\.(src\.)?ops(\.|$)/.test(module);
  // In HDF5 files Keras 3 does not say where a class is from; a layer is called with one argument.
  const call = Array.isArray(nodes) && isObject(nodes[0]) ? nodes[0] : {};
  const { args } = call;
  if (!Array.isArray(args)) return false;
  if (!isLayer(String(type))) return true;
  return args.length > 1 || MERGES[String(type).toLowerCase()] !== undefined && !Array.isArray(args[0]) ||
    isObject(config) && "newshape" in config;
}

/** The arguments of a call, with uses of layers among them. */
interface Call {
  args: unknown[];
  named: Json;
}

/** What Keras wraps, unwrapped: tensors as uses, arrays and slices as plain values. */
function unwrapped(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(unwrapped);
  if (!isObject(value)) return value;
  const { class_name: type, config } = value;
  const inner = isObject(config) ? config : {};
  if (type === "__keras_tensor__") return new Tensor(inner.keras_history);
  if (type === "__numpy__" || type === "__tensor__") return inner.value;
  if (type === "__slice__") return inner;
  if (type === "__tuple__") return unwrapped(value.items ?? inner);
  if (type === "__ellipsis__") return "...";
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, unwrapped(item)]));
}

/** A use of a layer among the arguments: a plain list could be a list of numbers. */
class Tensor {
  constructor(readonly use: unknown) {}
}

/** As Keras 3 writes it: arguments by place and by name. */
const callOf3 = ({ args, kwargs }: Json): Call => ({
  args: unwrapped(args ?? []) as unknown[],
  named: unwrapped(kwargs ?? {}) as Json,
});

/** As Keras 2 writes it: the first argument, and the others in an object behind it. */
function callOf2(node: unknown): Call {
  const first = (value: unknown): unknown => {
    if (!Array.isArray(value)) return value;
    if (value[0] === "_CONSTANT_VALUE") return value[2];
    return isUse(value) ? new Tensor(value.slice(0, 3)) : value.map(first);
  };
  // A tensor among the named ones looks like the use that it is.
  const told = (value: unknown): unknown =>
    isUse(value) ? new Tensor(value) : Array.isArray(value) ? value.map(told) : value;
  const head = Array.isArray(node) && typeof node[0] === "string" ? node : (node as unknown[])[0] as unknown[];
  const named = isObject(head?.[3]) ? head[3] : {};
  return {
    args: [first(node)],
    named: Object.fromEntries(Object.entries(named).map(([key, value]) => [key, told(value)])),
  };
}

/** An operation as a layer. */
export interface OperationLayer {
  className: string;
  config: Json;
  uses: Use[];
}

const ACTIVATIONS: Record<string, string> = {
  elu: "elu",
  exp: "exponential",
  relu: "relu",
  relu6: "relu6",
  selu: "selu",
  sigmoid: "sigmoid",
  silu: "swish",
  softplus: "softplus",
  tanh: "tanh",
};

const MERGES: Record<string, string> = {
  add: "Add",
  subtract: "Subtract",
  multiply: "Multiply",
  maximum: "Maximum",
  minimum: "Minimum",
};

/** Of an operation with a number: what its input is multiplied with, and what is added then. */
function rescaling(
  operation: string,
  constant: number,
  constantFirst: boolean,
): [scale: number, offset: number] | null {
  if (operation === "multiply") return [constant, 0];
  if (operation === "add") return [1, constant];
  if (operation === "subtract") return constantFirst ? [-1, constant] : [1, -constant];
  return operation === "divide" && !constantFirst ? [1 / constant, 0] : null;
}

/**
 * One call of an operation, as the layer of TensorFlow.js that does the same, or as an `Operation`.
 *
 * @param layer as the file describes it
 * @param field where, for errors
 * @throws {ModelError} if the operation is called otherwise than once
 */
export function operationLayer(layer: Json, field: string): OperationLayer {
  const { config, inbound_nodes: nodes } = layer;
  const { name, function: written, trainable: _, dtype: __, ...options } = isObject(config) ? config : {} as Json;
  const operation = operationName(functionOf(layer))!;
  if (!Array.isArray(nodes) || nodes.length !== 1) {
    throw new ModelError(`${field}: the operation ${JSON.stringify(name)} is called more than once, or never`);
  }
  const call = isObject(nodes[0]) ? callOf3(nodes[0]) : callOf2(nodes[0]);
  const named: Json = { ...options, ...call.named };
  if (isObject(config) && written !== undefined) delete named.name;
  delete named.conjugate;
  const uses: Use[] = [];
  const placed = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(placed);
    if (!(value instanceof Tensor)) return value;
    if (!isUse(value.use)) {
      throw new ModelError(`${field}: the operation ${JSON.stringify(name)} reads no layer's output`);
    }
    // Each once: TensorFlow.js frees what a layer reads twice too early.
    const known = uses.findIndex((use) => `${use.slice(0, 3)}` === `${value.use}`);
    return { input: known >= 0 ? known : uses.push(value.use) - 1 };
  };
  const args = call.args.map(placed);
  const rest = Object.fromEntries(Object.entries(named).map(([key, value]) => [key, placed(value)]));
  if (uses.length === 0) {
    throw new ModelError(`${field}: the operation ${JSON.stringify(name)} reads no layer's output`);
  }
  const made = (className: string, config: Json): OperationLayer => ({ className, config: { name, ...config }, uses });

  const both = [args[0], args[1] ?? rest.y ?? rest.x2];
  const constant = both.findIndex((value) => typeof value === "number");
  if (uses.length === 1 && constant >= 0) {
    const scaled = rescaling(operation, both[constant] as number, constant === 0);
    if (scaled) return made("Rescaling", { scale: scaled[0], offset: scaled[1] });
  }
  if (uses.length === 2 && MERGES[operation] && both.every(isObject)) return made(MERGES[operation], {});
  if (operation === "concat" && uses.length > 1) {
    const axis = args[1] ?? rest.axis ?? -1;
    if (typeof axis === "number" && axis !== 0) return made("Concatenate", { axis });
  }
  const plain = Object.values(rest).every((value) => value === null || value === false || value === 0);
  if (ACTIVATIONS[operation] && args.length === 1 && plain) {
    return made("Activation", { activation: ACTIVATIONS[operation] });
  }
  if (operation === "softmax" && args.length === 1) return made("Softmax", { axis: rest.axis ?? -1 });
  const kept = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== null));
  return made("Operation", { operation, args, named: kept });
}
