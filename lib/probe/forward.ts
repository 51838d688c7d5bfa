/**
 * Forward to any layers: images in, plain arrays out.
 *
 * @module
 */

import type { LayersModel } from "npm:@tensorflow/tfjs@4.22.0";
import { type NdArrayLike, sizeOf } from "../array.ts";
import type { InputArray } from "../data/given.ts";
import { entryOf, traceAnySize, type Use } from "../model/graph.ts";
import type { Model } from "../model/model.ts";
import { ensureBackend, type TF } from "../runtime/backend.ts";
import { bytesText } from "../format.ts";
import { type Batch, batchesOf, checkInputs, fed, Gathered, reading } from "./batches.ts";
import { checkMemory, explainMemory } from "./memory.ts";
import { execute, makePlan, type Plan, type Pooling } from "./plan.ts";
import { type Candidates, joined, strongestIn, type StrongestWanted } from "./strongest.ts";

/** How a forward pass runs. */
export interface ForwardOptions {
  /**
   * How many inputs run at once: what bounds memory.
   * @default 16
   */
  batchSize?: number;
  /** Stops between batches. */
  signal?: AbortSignal;
  /** Called after each batch with the number of inputs done. */
  onProgress?: (done: number, total: number) => void;
}

/** With this many inputs or more, folding batch normalisations costs less than it saves. */
export const FOLD_FROM = 4;

/** Plans by the layers whose outputs they compute. They hold no tensors. */
const plans = new WeakMap<LayersModel, Map<string, Plan>>();

/** A layer whose feature maps are taken together over all cells; a vector stays as it is. */
export interface PooledLayer {
  readonly layer: string;
  readonly pool: Pooling;
}

/** A layer by its name, or one of the network's outputs by its index. */
export type LayerWanted = string | number | PooledLayer;

/** What a layer puts out, or the network at one of its outputs; of one that is pooled, before that. */
export const useOf = (network: LayersModel, wanted: LayerWanted): Use => {
  if (typeof wanted === "number") return traceAnySize(network).outputs[wanted];
  return entryOf(network, typeof wanted === "string" ? wanted : wanted.layer).use;
};

/** The plan to some layers, made once. @param passing whether outputs are looked at as soon as they are there */
export function planTo(network: LayersModel, layers: readonly LayerWanted[], fold: boolean, passing = false): Plan {
  const known = plans.get(network) ?? new Map<string, Plan>();
  plans.set(network, known);
  const key = JSON.stringify([fold, passing, ...layers]);
  const plan = known.get(key) ??
    makePlan(network, layers.map((layer) => useOf(network, layer)), {
      fold,
      sums: true,
      pools: layers.map((wanted) => typeof wanted === "object" ? wanted.pool : undefined),
      passing,
    });
  known.set(key, plan);
  return plan;
}

/**
 * Runs inputs through a model and returns what the named layers put out, as in inference (dropout off, batch
 * normalisation with its running averages).
 *
 * @param model the model; nothing on it changes
 * @param inputs what `model.input` returned, all of one shape
 * @param layers names of layers, or the index of one of the network's outputs; the output of a layer that is used several
 *   times is that of its first use
 * @returns for each layer one array, `[n, …output shape]`; of one that is pooled `[n, c]`
 * @throws {RangeError} if a layer does not exist, there is no input, or the inputs differ in shape
 * @throws {MemoryError} if a batch, or what is asked for in all, does not fit into memory: says what would
 */
export async function forward(
  model: Model,
  inputs: readonly InputArray[],
  layers: readonly LayerWanted[],
  { batchSize = 16, signal, onProgress }: ForwardOptions = {},
): Promise<NdArrayLike[]> {
  const size = checkInputs(model, inputs, layers, { batchSize });
  const tf = await ensureBackend();
  const pass = { layers, fold: size >= FOLD_FROM };
  checkMemory(tf, { model: model.name, plan: planTo(model.network, layers, pass.fold), count: size, batchSize });
  const gathered = new Gathered(size);
  const batches = batchesOf(inputs, size, () => batchSize);
  await runHere(tf, model, pass, reading(batches, signal), (outputs, { start, shape: [count] }) => {
    gathered.add(outputs as NdArrayLike[], start);
    onProgress?.(start + count, size);
  }, signal);
  return gathered.arrays;
}

/** What a pass through a network computes. */
export interface PassOptions {
  /** The layers whose outputs are wanted. */
  layers: readonly LayerWanted[];
  /** Whether batch normalisations are folded. */
  fold: boolean;
  /** What is looked for in the outputs, instead of taking them whole. */
  strongest?: StrongestWanted;
}

/** What a pass makes of a batch: the outputs, one array a layer, or what it finds in them. */
export type Made = NdArrayLike[] | Candidates;

/**
 * Runs batches one after the other in this thread. Between the steps other work of the thread runs.
 *
 * @param read gives the next batch, null after the last
 * @param receive takes what each batch makes; the next batch is read afterwards
 * @param signal stops between two steps of a batch
 */
export async function runBatches<Some extends Batch>(
  tf: TF,
  network: LayersModel,
  { layers, fold, strongest }: PassOptions,
  read: () => Promise<Some | null>,
  receive: (made: Made, batch: Some) => void | Promise<void>,
  signal?: AbortSignal,
): Promise<void> {
  const plan = planTo(network, layers, fold, strongest !== undefined);
  let batch = await read();
  function* batches() {
    while (batch) {
      const now = batch;
      yield () => fed(tf, now, strongest?.rows);
    }
  }
  let found: Candidates[] = [];
  await execute(
    tf,
    plan,
    batches(),
    async (outputs) => {
      const made = strongest ? joined(found) : await Promise.all(outputs.map(async (output) => {
        const data = await output.data();
        return { data: data instanceof Float32Array ? data : Float32Array.from(data), shape: output.shape };
      }));
      found = [];
      await receive(made, batch!);
      release(batch!, made);
      batch = await read();
    },
    signal,
    strongest && (async (tap, output) => {
      found.push(await strongestIn(tf, output, strongest, tap, batch!.shape[0]));
    }),
  );
}

/** Gives a batch's memory back, unless what was made of it is that. The garbage collector would let hundreds of batches gather. */
function release({ data, others = [] }: Batch, made: Made): void {
  const used = new Set(Array.isArray(made) ? made.map(({ data }) => data.buffer) : []);
  for (const { buffer } of [data, ...others.flatMap((other) => other?.data ?? [])]) {
    if (!used.has(buffer)) buffer.transfer(0);
  }
}

/**
 * As {@linkcode runBatches}, for the user's own model.
 *
 * @throws {MemoryError} if a batch does not fit: says how large it was
 */
export async function runHere<Some extends Batch>(
  tf: TF,
  model: Model,
  pass: PassOptions,
  read: () => Promise<Some | null>,
  receive: (made: Made, batch: Some) => void | Promise<void>,
  signal?: AbortSignal,
): Promise<void> {
  let last: Some | null = null;
  const note = async () => last = await read();
  await runBatches(tf, model.network, pass, note, receive, signal).catch((error) => {
    const { data, shape: [count] } = last ?? { data: new Float32Array(), shape: [0] };
    const batch = `A batch of ${count} inputs of ${JSON.stringify(model.name)}`;
    throw explainMemory(tf, error, `${batch}, ${bytesText(data.byteLength)} of numbers before the first layer,`);
  });
}

/** One input's part of a batch: `array[index]`, without its first axis. It is a copy, unless there is no other input. */
export function item(array: NdArrayLike, index: number): NdArrayLike {
  const shape = array.shape.slice(1);
  const size = sizeOf(shape);
  const data = size === array.data.length ? array.data : array.data.slice(index * size, (index + 1) * size);
  return { data, shape };
}
