/**
 * Forward passes over many inputs, with all the cores on WASM.
 *
 * TensorFlow.js computes on one thread there. So batches go to this thread and to Workers, each with TensorFlow.js, a
 * WASM backend and a copy of the network of its own. The weights are laid once into memory that all Workers share; from
 * there each copies them into the heap of its own WASM module, because WASM reads no other memory. That copy cannot be
 * avoided. This thread begins at once, and has its events handled between the steps of the network.
 *
 * Workers live as long as one call. Kept Workers would save their start, and cost memory between calls, a process that
 * does not end by itself, and weights that grow stale when the model is trained. So ask for many inputs in one call;
 * {@linkcode forwardEach} makes that possible where inputs and outputs do not fit into memory together.
 *
 * @module
 */

import type { LayersModel, Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import { type NdArray, sizeOf } from "../array.ts";
import { type Model, outputOf } from "../model/model.ts";
import { type Batch, batchesOf, checkInputs, Gathered, type Inputs, type PlacedBatch } from "../probe/batches.ts";
import { FOLD_FROM, planTo, runHere, type Way } from "../probe/forward.ts";
import { checkMemory } from "../probe/memory.ts";
import type { ReadingsJob } from "../probe/occlusion/readings.ts";
import { ensureBackend, type TF } from "../runtime/backend.ts";
import { machineMemoryLeft } from "../runtime/core/memory.ts";
import { bytesInWasm } from "../runtime/wasm.ts";

export interface ForwardAllOptions {
  /**
   * How many inputs run at once in each thread at most: what bounds memory, together with `workers`. Over several
   * threads batches are cut smaller, so that all end together; no result hangs on that.
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

/** A Worker failed. The other Workers of the call are ended too, and the next call starts new ones. */
export class WorkerError extends Error {
  override name = "WorkerError";
}

/** What a Worker is told first. */
export interface Job extends Way {
  /** The network without its weights, as `getConfig` tells it. */
  config: object;
  sequential: boolean;
  /** Where each weight stands in `values`. */
  weights: Weight[];
  values: SharedArrayBuffer;
  /** What is read off the network instead of batches: see `readings.ts`. */
  readings?: ReadingsJob;
}

/** A weight in shared memory. */
export interface Weight {
  name: string;
  shape: number[];
  dtype: "float32" | "int32" | "bool";
  /** In bytes; a multiple of 4. */
  at: number;
}

/** What a Worker answers: to a job whether it could build the network, to a batch the outputs; or why it failed. */
export type Reply = { built: boolean } | { outputs: NdArray[] } | { failure: string };

type Receive = (outputs: NdArray[], start: number) => void | Promise<void>;

/** From so many multiplications on, Workers pay: about one second of one core. */
const WORTH_WORKERS = 3e10;

/** So many multiplications, about half a second, are a batch long enough to be worth handing over. */
const WORTH_BATCH = 1.5e10;

/** Networks that Workers could not build. */
const unbuildable = new WeakSet<LayersModel>();

/**
 * Runs inputs through a model and returns what the named layers put out, as `forward` does and equal to it to the bit,
 * on all cores where the backend is WASM.
 *
 * The Workers get the weights as they are when the call begins. A network that TensorFlow.js cannot build from its
 * description alone (layers of one's own, two weights of one name) runs here, on one core.
 *
 * @param model the model; nothing on it changes
 * @param inputs all of one shape
 * @param layers names of layers; the output of a layer that is used several times is that of its first use
 * @returns for each layer one array, `[n, …output shape]`, in the order of the inputs
 * @throws {RangeError} if a layer does not exist, there is no input, the inputs differ in shape or are not as many as
 *   they said
 * @throws {WorkerError} if a Worker fails; all others are ended then
 *
 * @example
 * ```ts
 * const inputs = await Promise.all(images.map(async (image) => model.input(await model.view(image))));
 * const [codes] = await forwardAll(model, inputs, ["flatten_1"]);
 * ```
 */
export async function forwardAll(
  model: Model,
  inputs: Inputs,
  layers: readonly string[],
  options: ForwardAllOptions = {},
): Promise<NdArray[]> {
  const gathered = new Gathered("length" in inputs ? inputs.length : inputs.size);
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
  layers: readonly string[],
  receive: Receive,
  { batchSize = 16, workers, signal, onProgress }: ForwardAllOptions = {},
): Promise<void> {
  const size = checkInputs(model, inputs, layers, { batchSize, workers: workers ?? 1 });
  signal?.throwIfAborted();

  const tf = await ensureBackend();
  const { network } = model;
  const way: Way = { layers, fold: size >= FOLD_FROM };
  // What is handed over batch by batch need not fit together.
  checkMemory(tf, {
    model: model.name,
    plan: planTo(network, layers, way.fold),
    count: Math.min(size, batchSize),
    batchSize,
  });
  const threads = threadsFor(tf, network, layers, size, workers);
  const most = Math.min(batchSize, Math.ceil(WORTH_BATCH / multiplications(network, layers)));
  const cut = (left: number) => threads === 1 ? batchSize : Math.min(most, Math.ceil(left / (1.5 * threads)));
  const batches = batchesOf(inputs, size, cut);
  const hand: Receive = async (outputs, start) => {
    await receive(outputs, start);
    onProgress?.(start + outputs[0].shape[0], size);
  };
  try {
    if (threads > 1) {
      await spread(tf, model, way, batches, { threads, size, most, receive: hand, signal });
    } else {
      const read = async () => {
        signal?.throwIfAborted();
        const { value } = await batches.next();
        return value ?? null;
      };
      await runHere(tf, model, way, read, (outputs, { start }) => hand(outputs, start));
    }
  } finally {
    // Not awaited: whoever gives the inputs may still be busy with the next one.
    batches.return(undefined).catch(() => {});
  }
}

/** Over how many threads inputs are spread, this one among them. */
function threadsFor(tf: TF, network: LayersModel, layers: readonly string[], size: number, wanted?: number): number {
  if (tf.getBackend() !== "wasm" || unbuildable.has(network)) return 1;
  if (wanted) return Math.min(wanted, size);
  if (size * multiplications(network, layers) < WORTH_WORKERS) return 1;
  return Math.min(workersFor(network), size);
}

/** Over how many threads a network is spread: as many as there are cores, and as memory has room for its weights. */
export function workersFor(network: Pick<LayersModel, "countParams">): number {
  // Each holds the weights once as they came, once as tensors, once folded, once packed.
  const room = Math.floor(machineMemoryLeft() / (4 * 4 * network.countParams()));
  return Math.max(1, Math.min(navigator.hardwareConcurrency, room));
}

/**
 * How many multiplications one input takes, roughly: each weight once a cell of its layer's maps. A side that may have
 * any length counts as 100.
 */
function multiplications(network: LayersModel, wanted: readonly string[]): number {
  const last = Math.max(...wanted.map((name) => network.layers.findIndex((layer) => layer.name === name)));
  const all = network.layers.slice(0, last + 1).map((layer) => {
    if ("layers" in layer) {
      const inner = layer as LayersModel;
      return multiplications(inner, [inner.layers.at(-1)!.name]);
    }
    const cells = outputOf(network, layer).shape.slice(1, -1).map((length) => length ?? 100);
    return layer.countParams() * sizeOf(cells);
  });
  return all.reduce((sum, count) => sum + count, 0);
}

/** What Workers must know of a network on WASM; null if it cannot be told. */
export function jobOf(tf: TF, network: LayersModel, way: Way): Job | null {
  let config: object;
  try {
    config = structuredClone(network.getConfig());
  } catch {
    // A layer of one's own that has no configuration, or one that cannot be sent.
    return null;
  }
  const tensors = network.weights.map((weight) => weight.read() as Tensor);
  let bytes = 0;
  const weights = tensors.map(({ shape, dtype, size }, i): Weight => {
    const at = bytes;
    bytes += 4 * Math.ceil(size * tf.util.bytesPerElement(dtype) / 4);
    return { name: network.weights[i].originalName, shape, dtype: dtype as Weight["dtype"], at };
  });
  const values = new SharedArrayBuffer(bytes);
  tensors.forEach((tensor, i) => new Uint8Array(values, weights[i].at).set(bytesInWasm(tf, tensor)));
  return { ...way, config, sequential: network.getClassName() === "Sequential", weights, values };
}

/** One Worker. It answers in the order in which it is asked. */
class Helper {
  readonly #worker: Worker;
  readonly #asked: PromiseWithResolvers<Reply>[] = [];
  #failure: Reply | null = null;

  constructor(readonly name: string) {
    this.#worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module", name });
    this.#worker.onmessage = ({ data }: MessageEvent<Reply>) => {
      if ("failure" in data) this.#fail(data.failure);
      else this.#asked.shift()!.resolve(data);
    };
    this.#worker.onmessageerror = () => this.#fail("its answer could not be read");
    this.#worker.onerror = (event) => {
      // Otherwise it would end this thread too.
      event.preventDefault();
      this.#fail(event.message);
    };
  }

  #fail(failure: string): void {
    this.#failure ??= { failure };
    for (const { resolve } of this.#asked.splice(0)) resolve(this.#failure);
  }

  /**
   * @param about what is asked, for the error: `"failed …"`
   * @throws {WorkerError} if the Worker fails
   */
  async ask<Wanted extends Reply>(message: Job | Batch, about: string, transfer: Transferable[] = []): Promise<Wanted> {
    const asked = Promise.withResolvers<Reply>();
    if (this.#failure) asked.resolve(this.#failure);
    else this.#asked.push(asked);
    this.#worker.postMessage(message, transfer);
    const reply = await asked.promise;
    if ("failure" in reply) {
      throw new WorkerError(
        `${this.name} failed ${about}: ${reply.failure}. All Workers of this call were ended. ` +
          "If memory ran out, ask for a smaller batchSize or fewer workers; with workers: 1 everything runs here.",
      );
    }
    return reply as Wanted;
  }

  end(): void {
    this.#worker.terminate();
  }
}

interface Crew {
  /** How many threads, this one among them. */
  threads: number;
  /** How many inputs there are. */
  size: number;
  /** How many of them are a batch at most. */
  most: number;
  receive: Receive;
  signal?: AbortSignal;
}

/** Spreads batches over this thread and Workers. Where those cannot build the network, this one does it all. */
async function spread(
  tf: TF,
  model: Model,
  way: Way,
  batches: AsyncGenerator<PlacedBatch, undefined>,
  { threads, size, most, receive, signal }: Crew,
): Promise<void> {
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => {});
  const abort = () => failed.reject(signal!.reason);
  signal?.addEventListener("abort", abort, { once: true });
  const helpers = Array.from({ length: threads - 1 }, (_, i) => new Helper(`Worker ${i + 1} of ${threads - 1}`));
  let over = false;
  /** How many inputs no one has taken. */
  let left = size;

  /** Settled in the order of the batches, when their outputs have been received. */
  const received: PromiseWithResolvers<void>[] = [];
  const take = async () => {
    const { value: batch } = await Promise.race([batches.next(), failed.promise]);
    if (!batch || over) return null;
    const { index, shape: [count] } = batch;
    left -= count;
    received[index] = Promise.withResolvers();
    // Outputs wait for those before them, but not without bound.
    await Promise.race([received[index - 2 * threads]?.promise, failed.promise]);
    return batch;
  };
  const hand = async (outputs: NdArray[], { index, start }: PlacedBatch) => {
    await received[index - 1]?.promise;
    if (!over) await receive(outputs, start);
    received[index].resolve();
  };
  const give = (outputs: NdArray[], batch: PlacedBatch) => void hand(outputs, batch).catch(failed.reject);

  /** What the Workers do once they have built the network. */
  const loops: Promise<void>[] = [];
  const loop = async (helper: Helper, last: number) => {
    while (left > last) {
      const batch = await take();
      if (!batch) return;
      const { start, data, shape } = batch;
      const about = `on inputs ${start} to ${start + shape[0] - 1} of ${size}`;
      const { outputs } = await helper.ask<{ outputs: NdArray[] }>({ data, shape }, about, [data.buffer]);
      give(outputs, batch);
    }
  };
  const begin = async (helper: Helper, job: Job) => {
    const { built } = await helper.ask<{ built: boolean }>(job, "at its start");
    // Each has one batch to compute and the next one at hand, except near the end, when all shall end together.
    if (built) loops.push(loop(helper, 0), loop(helper, threads * most));
    else unbuildable.add(model.network);
    await Promise.all(loops);
  };
  let here = Promise.resolve();
  try {
    // The Workers load their code meanwhile.
    const job = jobOf(tf, model.network, way);
    if (job) { for (const helper of helpers) begin(helper, job).catch(failed.reject); }
    else unbuildable.add(model.network);
    here = runHere(tf, model, way, take, give);
    const all = async () => {
      await here;
      await Promise.all(loops);
      await Promise.all(received.map(({ promise }) => promise));
    };
    await Promise.race([failed.promise, all()]);
  } finally {
    over = true;
    signal?.removeEventListener("abort", abort);
    helpers.forEach((helper) => helper.end());
    // What runs here may wait for an input; but its tensors must be gone.
    failed.reject(new Error("over"));
    await here.catch(() => {});
  }
}
