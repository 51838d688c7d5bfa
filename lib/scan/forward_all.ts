/**
 * Forward passes over many inputs, with all the cores on WASM.
 *
 * TensorFlow.js computes on one thread there. So batches go to this thread and to Workers, each with TensorFlow.js, a
 * WASM backend and a copy of the network of its own. The weights are written once into memory that all Workers share; from
 * there each copies them into the heap of its own WASM module, because WASM reads no other memory. That copy cannot be
 * avoided. This thread begins at once, and has its events handled between the steps of the network.
 *
 * Workers live as long as one call. Kept Workers would save their start, and cost memory between calls, a process that
 * does not end by itself, and weights that grow stale when the model is trained. So ask for many inputs in one call;
 * {@linkcode forwardEach} makes that possible where inputs and outputs do not fit into memory together.
 *
 * @module
 */

import type { LayersModel } from "npm:@tensorflow/tfjs@4.22.0";
import type { NdArrayLike } from "../array.ts";
import type { Model } from "../model/model.ts";
import {
  batchesOf,
  checkInputs,
  Gathered,
  type Inputs,
  missingOf,
  type PlacedBatch,
  reading,
  sizeOfAll,
} from "../probe/batches.ts";
import { FOLD_FROM, type LayerWanted, type Made, type PassOptions, planTo, runHere } from "../probe/forward.ts";
import { checkWhole } from "../options.ts";
import { type Candidates, rowsFor, type StrongestWanted } from "../probe/strongest.ts";
import { checkMemory } from "../probe/memory.ts";
import { ensureBackend, type TF } from "../runtime/backend.ts";
import type { PoolWorker } from "../workers/pool.ts";
import { BUILD, type NetworkDescription, RUN_BATCH } from "./network_job.ts";
import { describe, multiplications, startPool, workersFor } from "./network_pool.ts";

export interface ForwardAllOptions {
  /**
   * How many inputs run at once in each thread at most: what bounds memory, together with `workers`. Over several
   * threads batches are cut smaller, so that all end together; no result depends on that.
   * @default 16
   */
  batchSize?: number;
  /**
   * Over how many threads the batches are spread at most, this one among them; with 1 no Worker is started. It counts on
   * WASM only: the other backends use the whole processor or a graphics card by themselves, and everything runs here.
   * @default as many as there are cores and memory has room for; 1 where the passes are over before Workers have started
   */
  workers?: number;
  /** Ends the Workers at once; what runs here stops after its batch. */
  signal?: AbortSignal;
  /** Called after each batch with the number of inputs done. */
  onProgress?: (done: number, total: number) => void;
}

type Receive<Some> = (made: Some, start: number, count: number) => void | Promise<void>;

/** Fewer multiplications, less than about a second of one core, are over before Workers have started. */
const WORTH_WORKERS = 3e10;

/** Multiplications of a batch that is worth handing over: about half a second. */
const WORTH_BATCH = 1.5e10;

/** Networks that Workers could not build. */
const unbuildable = new WeakSet<LayersModel>();

/**
 * Runs inputs through a model and returns what the named layers put out, as `forward` does and equal to it to the bit,
 * on all cores where the backend is WASM.
 *
 * The Workers get the weights as they are when the call begins. A network that TensorFlow.js cannot build from its
 * description alone (custom layers, two weights of one name) runs here, on one core.
 *
 * @param model the model; nothing on it changes
 * @param inputs all of one shape
 * @param layers names of layers, or the index of one of the network's outputs; the output of a layer that is used several times is that of its first use
 * @returns for each layer one array, `[n, …output shape]`, in the order of the inputs
 * @throws {RangeError} if a layer does not exist, there is no input, the inputs differ in shape or are not as many as
 *   they said
 * @throws {WorkerError} if a Worker fails; all others are ended then
 *
 * @example
 * ```ts
 * import { loadModel, photo } from "@convlens/convlens";
 * import { forwardAll } from "./forward_all.ts";
 *
 * const model = await loadModel("resnet50");
 * const images = await Promise.all([photo("dog"), photo("tabby")]);
 * const inputs = await Promise.all(images.map(async (image) => model.input(await model.view(image))));
 * const [codes] = await forwardAll(model, inputs, ["flatten_1"]);
 * ```
 */
export async function forwardAll(
  model: Model,
  inputs: Inputs,
  layers: readonly LayerWanted[],
  options: ForwardAllOptions = {},
): Promise<NdArrayLike[]> {
  const gathered = new Gathered(sizeOfAll(inputs));
  await forwardEach(model, inputs, layers, (outputs, start) => gathered.add(outputs, start), options);
  return gathered.arrays;
}

/**
 * As {@linkcode forwardAll}, but hands the outputs over batch by batch, so that no more than four batches a thread are in
 * memory.
 *
 * @param receive called with the outputs of each batch, one array a layer, `[n, …output shape]`, and the place of the
 *   batch's first input; batch after batch in the order of the inputs, each when the one before has been received
 */
export async function forwardEach(
  model: Model,
  inputs: Inputs,
  layers: readonly LayerWanted[],
  receive: Receive<NdArrayLike[]>,
  options: ForwardAllOptions = {},
): Promise<void> {
  const size = sizeOfAll(inputs);
  await walk(model, inputs, { layers, fold: size >= FOLD_FROM }, receive as Receive<Made>, options);
}

/**
 * As {@linkcode forwardEach}, but hands over what is found in the outputs: the cells where units are strongest. The outputs
 * are looked at where they are computed, each as soon as it is there. Inputs may differ in shape.
 */
export async function strongestEach(
  model: Model,
  inputs: Inputs,
  layers: readonly string[],
  strongest: StrongestWanted,
  receive: Receive<Candidates>,
  options: ForwardAllOptions = {},
): Promise<void> {
  const { batchSize = 16 } = options;
  checkWhole("batchSize", batchSize, 1);
  const rows = rowsFor(await ensureBackend(), batchSize, model.inputShape.includes(null));
  // Folded whatever the number of inputs: no result depends on how they are cut.
  const pass: PassOptions = { layers, fold: true, strongest: { ...strongest, rows } };
  await walk(model, inputs, pass, receive as Receive<Made>, { ...options, batchSize: rows ?? batchSize });
}

async function walk(
  model: Model,
  inputs: Inputs,
  pass: PassOptions,
  receive: Receive<Made>,
  { batchSize = 16, workers, signal, onProgress }: ForwardAllOptions,
): Promise<void> {
  const { layers, fold, strongest } = pass;
  const size = checkInputs(model, inputs, layers, { batchSize, workers: workers ?? 1 });
  signal?.throwIfAborted();

  const tf = await ensureBackend();
  const { network } = model;
  // What is handed over batch by batch need not fit together.
  checkMemory(tf, {
    model: model.name,
    plan: planTo(network, layers, fold, strongest !== undefined),
    count: Math.min(size, batchSize),
    batchSize,
  });
  const threads = threadsFor(tf, network, layers, size, workers);
  const largest = Math.min(batchSize, Math.ceil(WORTH_BATCH / multiplications(network, layers)));
  const cut = (left: number) => threads === 1 ? batchSize : Math.min(largest, Math.ceil(left / (1.5 * threads)));
  const batches = batchesOf(inputs, size, cut, { anyShape: strongest !== undefined });
  const hand: Receive<Made> = async (made, start, count) => {
    await receive(made, start, count);
    onProgress?.(start + count + missingOf(inputs), size);
  };
  try {
    if (threads > 1) {
      await spread(tf, model, pass, { batches, threads, size, largest, receive: hand, signal });
    } else {
      const receiveHere = (made: Made, { start, shape: [count] }: PlacedBatch) => hand(made, start, count);
      await runHere(tf, model, pass, reading(batches, signal), receiveHere, signal);
    }
  } finally {
    // Not awaited: whoever gives the inputs may still be busy with the next one.
    batches.return(undefined).catch(() => {});
  }
}

/** Over how many threads inputs are spread, this one among them. */
function threadsFor(
  tf: TF,
  network: LayersModel,
  layers: readonly LayerWanted[],
  size: number,
  wanted?: number,
): number {
  if (tf.getBackend() !== "wasm" || unbuildable.has(network)) return 1;
  if (wanted) return Math.min(wanted, size);
  if (size * multiplications(network, layers) < WORTH_WORKERS) return 1;
  return Math.min(workersFor(network), size);
}

/** Batches that go to this thread and to Workers. */
interface Spread {
  batches: AsyncGenerator<PlacedBatch, undefined>;
  /** How many threads, this one among them. */
  threads: number;
  /** How many inputs there are. */
  size: number;
  /** The most inputs in one batch. */
  largest: number;
  receive: Receive<Made>;
  signal?: AbortSignal;
}

/** Spreads batches over this thread and Workers. Where those cannot build the network, this one does it all. */
async function spread(
  tf: TF,
  model: Model,
  pass: PassOptions,
  { batches, threads, size, largest, receive, signal }: Spread,
): Promise<void> {
  const pool = startPool(threads - 1, signal);
  let over = false;
  /** How many inputs no one has taken. */
  let left = size;

  /** Resolved in the order of the batches, when their outputs have been received. */
  const received: PromiseWithResolvers<void>[] = [];
  const take = async () => {
    const { value: batch } = await pool.race(batches.next());
    if (!batch || over) return null;
    const { index, shape: [count] } = batch;
    left -= count;
    received[index] = Promise.withResolvers();
    // Outputs wait for those before them, but not without bound.
    await pool.race(received[index - 2 * threads]?.promise ?? Promise.resolve());
    return batch;
  };
  const hand = async (made: Made, { index, start, shape: [count] }: PlacedBatch) => {
    await received[index - 1]?.promise;
    if (!over) await receive(made, start, count);
    received[index].resolve();
  };
  const give = (made: Made, batch: PlacedBatch) => void hand(made, batch).catch((error) => pool.fail(error));

  /** What the Workers do once they have built the network. */
  const loops: Promise<void>[] = [];
  const loop = async (worker: PoolWorker, last: number) => {
    while (left > last) {
      const batch = await take();
      if (!batch) return;
      const { start, data, shape, others } = batch;
      const about = `on inputs ${start} to ${start + shape[0] - 1} of ${size}`;
      const argument = { batch: { data, shape, others }, pass };
      give(await worker.call(RUN_BATCH, argument, { transfer: [data.buffer], about }), batch);
    }
  };
  const begin = async (worker: PoolWorker, description: NetworkDescription) => {
    // Each has one batch to compute and the next one at hand, except near the end, when all shall end together.
    if (await worker.call(BUILD, description, { about: "at its start" })) {
      loops.push(loop(worker, 0), loop(worker, threads * largest));
    } else unbuildable.add(model.network);
    await Promise.all(loops);
  };
  let here = Promise.resolve();
  try {
    // The Workers load their code meanwhile.
    const description = describe(tf, model.network);
    if (description) {
      for (const worker of pool.workers) begin(worker, description).catch((error) => pool.fail(error));
    } else unbuildable.add(model.network);
    here = runHere(tf, model, pass, take, give);
    const all = async () => {
      await here;
      await Promise.all(loops);
      await Promise.all(received.map(({ promise }) => promise));
    };
    await pool.race(all());
  } finally {
    over = true;
    pool.end();
    // What runs here may wait for an input; but its tensors must be gone.
    await here.catch(() => {});
  }
}
