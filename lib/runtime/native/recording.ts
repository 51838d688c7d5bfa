/**
 * Functions of tensors whose operations native TensorFlow remembers: what is computed many times over costs one call a time,
 * not one an operation with all that tfjs does around it, and TensorFlow fuses what it can, frees at once what is no longer
 * needed, and computes side by side what does not depend on each other.
 *
 * While the function runs once as usual, the operations that it asks for are written down with their attributes; together
 * they are a graph of TensorFlow's. Numbers that do not come from the inputs are the graph's constants.
 *
 * @module
 */

import type { Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import { join } from "node:path";
import { sizeOf } from "../../array.ts";
import type { Attribute, TF } from "../core/types.ts";
import { type AttributeValue, type GraphNode, savedModel, TAG } from "./graph_file.ts";

/** A tensor as the addon tells of it. */
interface Handle {
  id: number;
  shape: number[];
  dtype: number;
}

/** The functions of the addon that operations go through. */
interface Binding extends Record<string, unknown> {
  executeOp(name: string, attributes: Attribute[], inputs: number[], outputs: number): Handle[];
  tensorDataSync(id: number): ArrayBufferView;
  deleteTensor(id: number): void;
  loadSavedModel(folder: string, tags: string): number;
  deleteSavedModel(model: number): void;
  runSavedModel(model: number, inputs: number[], inputNames: string, outputNames: string): Handle[];
}

/** The parts of tfjs-node's backend that say which handle a tensor has. */
interface Backend {
  binding: Binding;
  getInputTensorIds(tensors: readonly Tensor[]): number[];
  createOutputTensor(handle: Handle): Tensor;
}

/** Constants of up to so many numbers are written into the graph, larger ones are handed over each time: nothing is copied. */
const SMALL = 1024;

/** Operations that do not give the same each time. */
const RANDOM = /^(Random|StatelessRandom|TruncatedNormal|ParameterizedTruncatedNormal|Multinomial)/;

/** A recorded function. It must be disposed of. */
export class Recording {
  readonly #backend: Backend;
  readonly #model: number;
  readonly #constants: readonly number[];
  readonly #inputNames: string;
  readonly #outputNames: string;

  private constructor(
    backend: Backend,
    model: number,
    constants: readonly number[],
    inputNames: readonly string[],
    outputNames: readonly string[],
  ) {
    this.#backend = backend;
    this.#model = model;
    this.#constants = constants;
    this.#inputNames = inputNames.map((name) => `${name}:0`).join();
    this.#outputNames = outputNames.map((name) => `${name}:0`).join();
  }

  /**
   * Runs a function once and records it.
   *
   * @param inputs of single precision, as the outputs
   * @param run computes from `inputs`, and from numbers that stay the same
   * @returns the outputs, and the recording; null where the function cannot be recorded, as one that reads numbers
   */
  static of<T extends readonly Tensor[]>(
    tf: TF,
    inputs: readonly Tensor[],
    run: () => T,
  ): { outputs: T; recording: Recording | null } {
    const backend = tf.backend() as unknown as Backend;
    const stock = backend.binding;
    const tape = new Tape(stock, backend.getInputTensorIds(inputs));
    let outputs: T;
    try {
      backend.binding = tape.listening(stock);
      outputs = run();
    } catch (error) {
      tape.dispose(stock);
      throw error;
    } finally {
      backend.binding = stock;
    }
    try {
      const outputNames = tape.outputs(backend.getInputTensorIds(outputs));
      const model = outputNames && load(stock, tape.nodes);
      if (outputNames && model !== null) {
        const recording = new Recording(backend, model, tape.constants, tape.inputNames, outputNames);
        return { outputs, recording };
      }
    } catch (error) {
      tape.dispose(stock);
      tf.dispose([...outputs]);
      throw error;
    }
    tape.dispose(stock);
    return { outputs, recording: null };
  }

  /** Runs it on other inputs of the same shapes. */
  run(inputs: readonly Tensor[]): Tensor[] {
    const { binding } = this.#backend;
    const ids = [...this.#backend.getInputTensorIds(inputs), ...this.#constants];
    const handles = binding.runSavedModel(this.#model, ids, this.#inputNames, this.#outputNames);
    return handles.map((handle) => this.#backend.createOutputTensor(handle));
  }

  dispose(): void {
    const { binding } = this.#backend;
    for (const id of this.#constants) binding.deleteTensor(id);
    binding.deleteSavedModel(this.#model);
  }
}

/** Loads a graph; null where it cannot be written or TensorFlow does not take it. */
function load(binding: Binding, nodes: readonly GraphNode[]): number | null {
  let folder: string | undefined;
  try {
    folder = Deno.makeTempDirSync({ prefix: "convlens-" });
    Deno.writeFileSync(join(folder, "saved_model.pb"), savedModel(nodes));
    return binding.loadSavedModel(folder, TAG);
  } catch {
    // Where no file can be written, or TensorFlow does not take the graph: operation by operation, as before.
    return null;
  } finally {
    if (folder) Deno.removeSync(folder, { recursive: true });
  }
}

/** What is written down while a function runs. */
class Tape {
  readonly nodes: GraphNode[] = [];
  readonly inputNames: string[] = [];
  /** Own handles of what is handed over each time. */
  readonly constants: number[] = [];
  readonly #names = new Map<number, string>();
  readonly #float: number;
  #broken = false;

  constructor(stock: Binding, inputs: readonly number[]) {
    this.#float = stock.TF_FLOAT as number;
    for (const id of inputs) this.#place(id, this.#float);
  }

  /** The addon with an ear on what is asked of it. */
  listening(stock: Binding): Binding {
    const all = Object.fromEntries(
      Object.getOwnPropertyNames(stock).map((key) => {
        const value = stock[key];
        return [key, typeof value === "function" ? value.bind(stock) : value];
      }),
    );
    return {
      ...all as Binding,
      executeOp: (name, attributes, inputs, count) => {
        const outputs = stock.executeOp(name, attributes, inputs, count);
        if (!this.#broken) this.#write(stock, name, attributes, inputs, outputs);
        return outputs;
      },
      tensorDataSync: (id) => {
        // What follows may depend on the numbers.
        if (this.#names.has(id)) this.#broken = true;
        return stock.tensorDataSync(id);
      },
    };
  }

  /** The names of handles that come out; null where the function cannot be recorded. */
  outputs(ids: readonly number[]): string[] | null {
    if (this.#broken || !ids.every((id) => this.#names.has(id))) return null;
    return ids.map((id) => {
      const name = `out${this.nodes.length}`;
      const attributes = new Map([["T", { type: this.#float }]]);
      this.nodes.push({ name, operation: "Identity", inputs: [this.#names.get(id)!], attributes });
      return name;
    });
  }

  dispose(stock: Binding): void {
    for (const id of this.constants) stock.deleteTensor(id);
  }

  #place(id: number, type: number): string {
    const name = `in${this.inputNames.length}`;
    this.nodes.push({ name, operation: "Placeholder", inputs: [], attributes: new Map([["dtype", { type }]]) });
    this.inputNames.push(name);
    this.#names.set(id, name);
    return name;
  }

  #write(stock: Binding, operation: string, attributes: Attribute[], inputs: number[], outputs: Handle[]): void {
    if (RANDOM.test(operation)) this.#broken = true;
    const name = `n${this.nodes.length}`;
    const values = attributes.map((attribute) => [attribute.name, valueOf(stock, attribute)] as const);
    if (values.some(([, value]) => value === null)) this.#broken = true;
    if (this.#broken) return;
    const names = inputs.map((id) => this.#names.get(id) ?? this.#constant(stock, id));
    this.nodes.push({ name, operation, inputs: names, attributes: new Map(values as [string, AttributeValue][]) });
    outputs.forEach(({ id }, i) => this.#names.set(id, i === 0 ? name : `${name}:${i}`));
  }

  /** Numbers that were there before, or came from JavaScript. */
  #constant(stock: Binding, id: number): string {
    // A handle of its own, which lives as long as the recording and shares the memory; it also says what the other is.
    const [own] = stock.executeOp("Identity", [], [id], 1);
    const { shape, dtype: type } = own;
    if (sizeOf(shape) > SMALL) {
      this.constants.push(own.id);
      return this.#place(id, type);
    }
    const name = `c${this.nodes.length}`;
    const tensor = { type, shape, data: stock.tensorDataSync(own.id) };
    stock.deleteTensor(own.id);
    const attributes = new Map<string, AttributeValue>([["dtype", { type }], ["value", { tensor }]]);
    this.nodes.push({ name, operation: "Const", inputs: [], attributes });
    this.#names.set(id, name);
    return name;
  }
}

/** The attribute that is a list of words, which the addon takes as one word with commas. */
const WORDS = "fused_ops";

function valueOf(stock: Binding, { name, type, value }: Attribute): AttributeValue | null {
  const { TF_ATTR_STRING, TF_ATTR_INT, TF_ATTR_FLOAT, TF_ATTR_BOOL, TF_ATTR_TYPE } = stock as unknown as Record<
    string,
    number
  >;
  // A list of types is given as if it were one of numbers; see `addon/lists.h`.
  const kind = name === "TArgs" ? TF_ATTR_TYPE : type;
  const one = (value: unknown): AttributeValue | null => {
    switch (kind) {
      case TF_ATTR_STRING:
        return { words: String(value) };
      case TF_ATTR_INT:
        return { int: Number(value) };
      case TF_ATTR_FLOAT:
        return { float: Number(value) };
      case TF_ATTR_BOOL:
        return { bool: Boolean(value) };
      case TF_ATTR_TYPE:
        return { type: Number(value) };
    }
    return null;
  };
  const all = name === WORDS ? String(value).split(",").filter(Boolean) : value;
  if (!Array.isArray(all)) return one(all);
  const list = all.map(one);
  return list.includes(null) ? null : { list: list as never };
}
