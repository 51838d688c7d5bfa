/**
 * What Keras 2 and 3 write of a network's layers, as TensorFlow.js takes it.
 *
 * @module
 */

import { kindOf, messageOf } from "../../errors.ts";
import type { TF } from "../../runtime/core/types.ts";
import { knownClasses, legalName, makeLayer, type NetworkConfig, stockNames } from "./build.ts";
import { isObject, type Json, ModelError } from "./format.ts";
import { functionOf, isOperation, isUse, operationLayer, type Use } from "./operations.ts";
import { CustomLayers, type LayerReplacements } from "./custom.ts";

/** @throws {ModelError} says which field is not what it should be */
export function refuse(field: string, found: unknown, wanted: string): never {
  const text = JSON.stringify(found) ?? "undefined";
  throw new ModelError(`${field} is ${text.length > 60 ? kindOf(found) : text}; wanted ${wanted}`);
}

export const arrayAt = (value: unknown, field: string): unknown[] =>
  Array.isArray(value) ? value : refuse(field, value, "an array");
export const textAt = (value: unknown, field: string): string =>
  typeof value === "string" && value !== "" ? value : refuse(field, value, "a text");

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

/** The uses in `["a", 0, 0]`, `[["a", 0, 0], …]` or `{ name: ["a", 0, 0] }`. */
function usesIn(value: unknown, field: string): Use[] {
  if (isUse(value)) return [value];
  if (typeof value !== "object" || value === null) refuse(field, value, `the use of a layer, as ["conv", 0, 0]`);
  return Object.entries(value).flatMap(([key, item]) => usesIn(item, `${field}.${key}`));
}

/** The tensors among the arguments of a call in Keras 3. */
function tensorsIn(value: unknown, field: string): Use[] {
  if (Array.isArray(value)) return value.flatMap((item, i) => tensorsIn(item, `${field}[${i}]`));
  const { class_name: name, config } = isObject(value) ? value : {} as Json;
  const use = name === "__keras_tensor__" && isObject(config) ? config.keras_history : undefined;
  return isUse(use)
    ? [use]
    : refuse(field, value, "the output of a layer: TensorFlow.js can call layers with no other");
}

/** A topology with the names of its layers as TensorFlow.js takes them. */
function withLegalNames(value: unknown): unknown {
  if (isUse(value)) return [legalName(value[0]), ...value.slice(1).map(withLegalNames)];
  if (Array.isArray(value)) return value.map(withLegalNames);
  if (!isObject(value)) return value;
  const { class_name: type, config, name } = value;
  const inner = Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withLegalNames(item)]));
  if (type === undefined || !isObject(config)) return inner;
  const own = isObject(inner.config) && typeof config.name === "string" && { name: legalName(config.name) };
  return {
    ...inner,
    ...typeof name === "string" && { name: legalName(name) },
    config: { ...inner.config as Json, ...own },
  };
}

/** One call of a layer: of Keras 2 a list of uses, of Keras 3 an object with the call's arguments. */
function callIn(node: unknown, field: string): Use[] {
  if (!isObject(node)) return usesIn(arrayAt(node, field), field);
  for (const [key, value] of Object.entries(isObject(node.kwargs) ? node.kwargs : {})) {
    if (value !== null && key !== "training") refuse(`${field}.kwargs.${key}`, value, "nothing");
  }
  return tensorsIn(arrayAt(node.args, `${field}.args`), `${field}.args`);
}

/**
 * Refuses calls that no order satisfies; TensorFlow.js would wait for them for ever.
 *
 * @param calls for each layer's name, the uses that each of its calls takes
 * @param there the layers that have an output without a call: inputs, and networks as they were built
 */
function checkOrder(
  calls: ReadonlyMap<string, Use[][]>,
  there: ReadonlySet<string>,
  ends: readonly Use[],
  field: string,
): void {
  const done = new Map([...calls.keys()].map((name) => [name, there.has(name) ? 1 : 0]));
  const isThere = ([name, use]: Use) => use < (done.get(name) ?? 0);
  let open = [...calls].flatMap(([name, each]) => each.map((uses) => ({ name, uses })));
  while (open.length > 0) {
    const still = open.filter(({ name, uses }) => {
      const ready = uses.every(isThere);
      if (ready) done.set(name, done.get(name)! + 1);
      return !ready;
    });
    if (still.length === open.length) {
      const [{ name, uses }] = open;
      const [from, use] = uses.find((use) => !isThere(use))!;
      throw new ModelError(
        `${field}: the layer ${JSON.stringify(name)} takes the output of use ${use} of ${JSON.stringify(from)}, ` +
          `which ${calls.has(from) ? "is never made" : "is no layer of the network"}`,
      );
    }
    open = still;
  }
  const gone = ends.find((use) => !isThere(use));
  if (gone) throw new ModelError(`${field}: use ${gone[1]} of the layer ${JSON.stringify(gone[0])} is never made`);
}

/** Names of Keras 3 for what Keras 2, and so TensorFlow.js, call otherwise. */
const RENAMED: Record<string, Record<string, string>> = {
  InputLayer: { batch_shape: "batch_input_shape" },
  LeakyReLU: { negative_slope: "alpha" },
};

/** Layers that are another one with some options. */
const SAME_AS: Record<string, [type: string, options: Json]> = {
  // TensorFlow.js has an initializer of this name.
  Identity: ["Activation", { activation: "linear" }],
};

/** Activations of Keras 3 that are others than those of the same name in Keras 2 and TensorFlow.js. */
const OTHERS: Record<string, string> = { hard_sigmoid: "hardSigmoidV3" };

/** What Keras 3 notes besides. */
const NOTES = ["module", "registered_name", "build_config", "compile_config"];

const camelCase = (text: string) => text.length > 1 ? text.replace(/_+(\w|$)/g, (_, c) => c.toUpperCase()) : text;

const isNetwork = (config: unknown) => Array.isArray(config) || isObject(config) && "layers" in config;

/** Translates one file's topology. */
class Translation {
  /** Layers that TensorFlow.js does not know, with their types. */
  readonly unknown = new Map<string, string>();
  readonly #tf: TF;
  readonly #classes: ReturnType<typeof knownClasses>;
  /** The types of TensorFlow.js's own layers, in small letters. */
  readonly #own: Set<string>;

  readonly #custom: CustomLayers;

  /**
   * @param keras the version of Keras that wrote the file, where it is known
   * @param custom what stands in for layers that cannot be read
   */
  constructor(tf: TF, readonly keras: unknown, custom: CustomLayers) {
    this.#tf = tf;
    this.#custom = custom;
    this.#classes = knownClasses(tf);
    this.#own = stockNames(tf);
  }

  /** Any value, in camel case; names stay as they are. */
  any(value: unknown, key: string, field: string): unknown {
    if (typeof value === "string") {
      if (/activation$/.test(key) && String(this.keras).startsWith("3")) return OTHERS[value] ?? camelCase(value);
      return key === "name" ? value : camelCase(value);
    }
    if (Array.isArray(value)) return value.map((item, i) => this.any(item, "", `${field}[${i}]`));
    if (!isObject(value)) return value;
    const { class_name: type, config } = value;
    if (/DTypePolicy$/.test(String(type)) && isObject(config)) {
      // Weights are floats of 32 bits also where Keras computes with fewer.
      return /^(mixed_)?b?float\d+$/.test(String(config.name)) ? "float32" : config.name;
    }
    if (key === "layer") return this.layer(value, field);
    return this.#fields(value, field);
  }

  #fields(value: Json, field: string): Json {
    const entries = Object.entries(value).filter(([key]) => !NOTES.includes(key));
    return Object.fromEntries(
      entries.map(([key, item]) => [camelCase(key), this.any(item, key, `${field}.${key}`)]),
    );
  }

  #isOperation(layer: Json): boolean {
    return isOperation(layer, (type) => Object.hasOwn(this.#classes, type) || type in SAME_AS);
  }

  /** A layer, or a network. */
  layer(value: unknown, field: string): NetworkConfig & Json {
    if (!isObject(value)) refuse(field, value, "an object that describes a layer");
    const { inbound_nodes: _, ...rest } = value;
    const replaced = this.#custom.of(value);
    if (replaced) return { ...this.#fields(rest, field), ...replaced };
    if (this.#isOperation(value)) {
      const { className, config } = operationLayer(value, field);
      return { ...this.#fields(rest, field), className, config };
    }
    const named = textAt(value.class_name, `${field}.class_name`);
    const [type, more] = Object.hasOwn(SAME_AS, named) ? SAME_AS[named] : [named, {}];
    const config = isObject(value.config) ? { ...value.config, ...more } : value.config;
    // A function does not come with the file that names it.
    const known = Object.hasOwn(this.#classes, type) && type !== "UserFunction";
    if (!known) {
      this.unknown.set(String(isObject(config) && config.name || type), functionOf({ class_name: type, config }));
    }
    const at = `${field}.config`;
    // Of a layer that TensorFlow.js does not have, model.save writes the options as they are.
    const inner = value.exact === true && isObject(config)
      ? config
      : type === "Sequential" && Array.isArray(config)
      ? this.#layers(config, at)
      : !isObject(config)
      ? refuse(at, config, "an object")
      : "layers" in config
      ? this.#network(config, at)
      : this.#fields(this.#options(type, value, config, at), at);
    if (!known) return { ...this.#fields(rest, field), className: type, config: {} };
    const isModel = this.#classes[type][0].prototype instanceof this.#tf.LayersModel || type === "Model";
    if (isNetwork(config) !== isModel) refuse(`${field}.class_name`, type, `what ${at} describes`);
    if (!isModel) this.#checkMakes(type, inner as Json, at);
    return { ...this.#fields(rest, field), className: type, config: inner };
  }

  /** Refuses options of which TensorFlow.js makes no layer, and says which. */
  #checkMakes(type: string, options: Json, field: string): void {
    const failure = (options: Json) => {
      try {
        // What is made may change its options.
        const made = makeLayer(this.#tf, type, structuredClone(options));
        return made instanceof this.#tf.layers.Layer ? undefined : " (it is no layer)";
      } catch (error) {
        // What TensorFlow.js stumbles over says nothing to a reader.
        return error instanceof TypeError ? "" : ` (${messageOf(error)})`;
      }
    };
    const reason = failure(options);
    if (reason === undefined) return;
    const key = Object.keys(options).find((key) => failure({ ...options, [key]: undefined }) === undefined);
    throw new ModelError(
      `TensorFlow.js makes no ${type} of ${field}` +
        (key ? `, where ${key} is ${JSON.stringify(options[key])}` : "") + reason,
    );
  }

  /** The options of a layer, as TensorFlow.js calls them. */
  #options(type: string, { module }: Json, config: Json, field: string): Json {
    const own = this.#own.has(type.toLowerCase());
    const foreign = typeof module === "string" && !/^(tf_)?keras(\.|$)/.test(module);
    if (own && foreign) refuse(`${field.slice(0, -7)}.module`, module, `"keras.layers", where ${type} is what it says`);
    const options = Object.entries(config).map(([key, item]) => [RENAMED[type]?.[key] ?? key, item]);
    if (config.name !== undefined) textAt(config.name, `${field}.name`);
    for (const [key, item] of own ? options as [string, unknown][] : []) {
      const shape = key === "batch_input_shape" && item !== null;
      if (shape && arrayAt(item, `${field}.${key}`).some((length) => length !== null && !isCount(length))) {
        refuse(`${field}.${key}`, item, "whole numbers and nulls");
      }
    }
    return Object.fromEntries(options);
  }

  #layers(layers: unknown[], field: string): unknown[] {
    return layers.map((layer, i) => this.layer(layer, `${field}[${i}]`));
  }

  #network(config: Json, field: string): Json {
    const { layers, input_layers: inputs, output_layers: outputs, ...rest } = config;
    const given = arrayAt(layers, `${field}.layers`);
    const translated = this.#layers(given, `${field}.layers`) as Json[];
    if (inputs === undefined && outputs === undefined) return { ...this.#fields(rest, field), layers: translated };
    const names = translated.map(({ name }, i) => textAt(name, `${field}.layers[${i}].name`));
    const networks = new Set(names.filter((_, i) => isNetwork(translated[i].config)));
    const nodes = given.map((layer, i) =>
      arrayAt((layer as Json).inbound_nodes, `${field}.layers[${i}].inbound_nodes`)
    );
    // Keras 2 and TensorFlow.js count the network itself as its first use, Keras 3 does not.
    const shift = nodes.flat().some(isObject) ? 1 : 0;
    const counted = (uses: Use[]) =>
      uses.map(([from, use, ...rest]): Use => [from, networks.has(from) ? use + shift : use, ...rest]);
    const calls = new Map<string, Use[][]>();
    for (const [i, name] of names.entries()) {
      const at = `${field}.layers[${i}]`;
      if (calls.has(name) || name in {}) refuse(`${at}.name`, name, "a name of its own");
      const layer = given[i] as Json;
      const read = this.#isOperation(layer) && !this.#custom.of(layer)
        ? [operationLayer(layer, at).uses]
        : nodes[i].map((node, n) => callIn(node, `${at}.inbound_nodes[${n}]`));
      const uses = read.map(counted);
      translated[i].inboundNodes = uses.map((call) =>
        call.map(([from, use, output, told]) => [from, use, output, this.any(told ?? {}, "", at)])
      );
      calls.set(name, uses.filter((call) => call.length > 0));
    }
    const there = new Set(names.filter((name, i) => translated[i].className === "InputLayer" || networks.has(name)));
    const inputLayers = counted(usesIn(inputs, `${field}.input_layers`));
    const outputLayers = counted(usesIn(outputs, `${field}.output_layers`));
    checkOrder(calls, there, [...inputLayers, ...outputLayers], field);
    return { ...this.#fields(rest, field), layers: translated, inputLayers, outputLayers };
  }
}

/**
 * A network's topology, as the `modelTopology` of a `model.json` has it, checked and in the words of TensorFlow.js.
 *
 * @throws {ModelError} if it is not one, or TensorFlow.js does not know a layer or computes it otherwise
 * @throws {RangeError} if a replacement is for no layer
 */
export function readTopology(tf: TF, topology: unknown, layers: LayerReplacements = {}): NetworkConfig {
  const field = "modelTopology";
  const inner = isObject(topology) && topology.model_config;
  const custom = new CustomLayers(tf, layers);
  const translation = new Translation(tf, isObject(topology) ? topology.keras_version : undefined, custom);
  const network = inner
    ? translation.layer(withLegalNames(inner), `${field}.model_config`)
    : translation.layer(withLegalNames(topology), field);
  if (translation.unknown.size) {
    const unknown = [...translation.unknown].map(([name, type]) => name === type ? type : `${name} (${type})`);
    const [[first, type]] = translation.unknown;
    throw new ModelError(
      `it has layers that cannot be read: ${unknown.join(", ")}. ` +
        (type === "Lambda" ? "What a Lambda does is Python, which is not run here. " : "") +
        `Say what each computes: loadModel(…, { layers: { ${JSON.stringify(first)}: (x) => x.div(255) } }), by the ` +
        `name of the layer or of its class, a function of its input or a class of tf.layers.Layer`,
    );
  }
  custom.checkUsed();
  const { className, config } = network;
  if (!isNetwork(config)) refuse(field, className, "a network, which has layers");
  return { className, config };
}
