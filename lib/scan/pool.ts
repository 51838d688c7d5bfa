/**
 * Forward passes over many inputs, with all the cores on WASM.
 *
 * TensorFlow.js computes on one thread there. So batches go to several Workers, each with TensorFlow.js, a WASM backend
 * and a copy of the network of its own. The weights are laid once into memory that all Workers share; from there each
 * copies them into the heap of its own WASM module, because WASM reads no other memory. That copy cannot be avoided.
 *
 * Workers live as long as one call. Two of them are ready with the weights of ResNet-50 after half a second. Kept
 * Workers would save that, and cost memory between calls, a process that does not end by itself, and weights that grow
 * stale when the model is trained. So ask for many inputs in one call; {@linkcode forwardEach} makes that possible where
 * inputs and outputs do not fit into memory together.
 *
 * @module
 */

import type { io, LayersModel, Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import { type NdArray, sizeOf } from "../array.ts";
import { type Model, outputOf } from "../model/model.ts";
import { FOLD_FROM, planTo } from "../probe/forward.ts";
import { checkMemory } from "../probe/memory.ts";
import { execute } from "../probe/plan.ts";
import type { ReadingsJob } from "../probe/occlusion/readings.ts";
import { ensureBackend, type TF } from "../runtime/backend.ts";
import { machineMemoryLeft } from "../runtime/memory.ts";

/** Inputs of one shape, as `model.input` returns them: an array, or anything to walk whose number is known before. */
export type Inputs =
  | readonly NdArray[]
  | (AsyncIterable<NdArray> & { readonly size: number })
  | (Iterable<NdArray> & { readonly size: number });

export interface ForwardAllOptions {
  /**
   * How many inputs run at once in each Worker: what bounds memory, together with `workers`.
   * @default 16
   */
  batchSize?: number;
  /**
   * Over how many Workers the batches are spread at most; with 1 they run here. It counts on WASM only: the other
   * backends use the whole processor or a graphics card by themselves, and everything runs here.
   * @default as many as there are cores and memory has room for; 1 where the passes are over before Workers have started
   */
  workers?: number;
  /** Ends the Workers at once; what runs here stops between batches. */
  signal?: AbortSignal;
  /** Called after each batch with the number of inputs done. */
  onProgress?: (done: number, total: number) => void;
}

/** A Worker failed. The other Workers of the call are ended too, and the next call starts new ones. */
export class WorkerError extends Error {
  override name = "WorkerError";
}

/** What a Worker is told first. */
export interface Job {
  /** The network without its weights. */
  topology: object;
  /** The weights, one behind the other in `weights`. */
  specs: io.WeightsManifestEntry[];
  weights: SharedArrayBuffer;
  layers: readonly string[];
  fold: boolean;
  /** What is read off the network instead of batches: see `readings.ts`. */
  readings?: ReadingsJob;
}

/** Some inputs, one behind the other. */
export interface Batch {
  data: Float32Array<ArrayBuffer>;
  /** `[n, …input shape]` */
  shape: number[];
}

/** What a Worker answers: to a job whether it could build the network, to a batch the outputs; or why it failed. */
export type Reply = { built: boolean } | { outputs: NdArray[] } | { failure: string };

interface PlacedBatch extends Batch {
  /** The place of the batch among all batches. */
  index: number;
  /** The place of its first input among all inputs. */
  start: number;
}

type Receive = (outputs: NdArray[], start: number) => void | Promise<void>;

/** From so many multiplications on, Workers pay: about one second of one core. */
const WORTH_WORKERS = 2e10;

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
  const size = sizeOfInputs(inputs);
  const results: NdArray[] = [];
  await forwardEach(model, inputs, layers, (outputs, start) => {
    for (const [i, { data, shape: [count, ...shape] }] of outputs.entries()) {
      const each = data.length / count;
      results[i] ??= { data: new Float32Array(each * size), shape: [size, ...shape] };
      results[i].data.set(data, start * each);
    }
  }, options);
  return results;
}

/**
 * As {@linkcode forwardAll}, but hands the outputs over batch by batch, so that no more than two batches a Worker are in
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
  layers.forEach((name) => model.layer(name));
  for (const [name, value] of Object.entries({ batchSize, workers: workers ?? 1 })) {
    if (!Number.isInteger(value) || value < 1) {
      throw new RangeError(`${name} must be a whole number ≥ 1: received ${value}.`);
    }
  }
  const size = sizeOfInputs(inputs);
  if (size === 0) throw new RangeError("There is no input to run through the model; wanted at least one.");
  if (Array.isArray(inputs)) inputs.forEach((input) => checkShape(input, inputs[0].shape));
  signal?.throwIfAborted();

  const tf = await ensureBackend();
  const { network } = model;
  const fold = size >= FOLD_FROM;
  // What is handed over batch by batch need not fit together.
  const plan = planTo(network, layers, fold);
  checkMemory(tf, { model: model.name, plan, count: Math.min(size, batchSize), batchSize });
  const batches = batchesOf(inputs, size, batchSize);
  const hand: Receive = async (outputs, start) => {
    await receive(outputs, start);
    onProgress?.(start + outputs[0].shape[0], size);
  };
  try {
    if (tf.getBackend() === "wasm" && !unbuildable.has(network)) {
      const wanted = workers ??
        (size * multiplications(network, layers) < WORTH_WORKERS ? 1 : workersFor(network));
      const count = Math.min(wanted, Math.ceil(size / batchSize));
      if (count > 1) {
        const job = () => jobOf(network, layers, fold);
        if (await runInWorkers(job, batches, { count, size, receive: hand, signal })) return;
        unbuildable.add(network);
      }
    }
    let start = 0;
    const read = async () => {
      signal?.throwIfAborted();
      const { value } = await batches.next();
      start = value?.start ?? size;
      return value ?? null;
    };
    await runBatches(tf, network, { layers, fold }, read, (outputs) => hand(outputs, start));
  } finally {
    // Not awaited: whoever gives the inputs may still be busy with the next one.
    batches.return(undefined).catch(() => {});
  }
}

/**
 * Runs batches one after the other in this thread.
 *
 * @param read gives the next batch, null after the last
 * @param receive takes the outputs of each batch; the next one is read afterwards
 */
export async function runBatches(
  tf: TF,
  network: LayersModel,
  { layers, fold }: { layers: readonly string[]; fold: boolean },
  read: () => Promise<Batch | null>,
  receive: (outputs: NdArray[]) => void | Promise<void>,
): Promise<void> {
  const plan = planTo(network, layers, fold);
  let batch = await read();
  function* batches() {
    while (batch) {
      const { data, shape } = batch;
      yield () => tf.tensor(data, shape);
    }
  }
  await execute(tf, plan, batches(), async (outputs) => {
    await receive(
      await Promise.all(outputs.map(async (output) => {
        const data = await output.data();
        return { data: data instanceof Float32Array ? data : Float32Array.from(data), shape: output.shape };
      })),
    );
    batch = await read();
  });
}

/** Over how many Workers a network is spread: as many as there are cores, and as memory has room for its weights. */
export function workersFor(network: Pick<LayersModel, "countParams">): number {
  // Each holds the weights once as they came, once as tensors, once folded.
  const room = Math.floor(machineMemoryLeft() / (3 * 4 * network.countParams()));
  return Math.max(1, Math.min(navigator.hardwareConcurrency, room));
}

/** How many inputs there are, before they are walked. */
function sizeOfInputs(inputs: Inputs): number {
  return "length" in inputs ? inputs.length : inputs.size;
}

function checkShape({ shape }: NdArray, wanted: readonly number[]): void {
  if (shape.join() !== wanted.join()) {
    throw new RangeError(`Inputs must share one shape: received [${wanted}] and [${shape}].`);
  }
}

/** Packs inputs into batches, cut as `forward` cuts them. Several may ask for the next one at the same time. */
async function* batchesOf(inputs: Inputs, size: number, batchSize: number): AsyncGenerator<PlacedBatch, undefined> {
  let shape: readonly number[] | undefined;
  let data = new Float32Array();
  let found = 0;
  for await (const input of inputs) {
    shape ??= input.shape;
    checkShape(input, shape);
    if (found === size) throw new RangeError(`The inputs said that they are ${size}: there are more.`);
    const each = sizeOf(shape);
    const place = found % batchSize;
    if (place === 0) data = new Float32Array(Math.min(batchSize, size - found) * each);
    data.set(input.data, place * each);
    found++;
    if (found % batchSize === 0 || found === size) {
      yield {
        index: Math.floor((found - 1) / batchSize),
        start: found - place - 1,
        data,
        shape: [place + 1, ...shape],
      };
    }
  }
  if (found < size) throw new RangeError(`The inputs said that they are ${size}: there are only ${found}.`);
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

/** What Workers must know of a network; null if it cannot be told. The weights are read without a pause. */
export function jobOf(network: LayersModel, layers: readonly string[], fold: boolean): Job | null {
  let topology: object;
  try {
    topology = network.toJSON(undefined, false) as object;
  } catch {
    // A layer of one's own that has no configuration.
    return null;
  }
  const weights = network.weights.map((weight) => ({ name: weight.originalName, tensor: weight.read() as Tensor }));
  const values = weights.map(({ tensor }) => tensor.dataSync());
  const shared = new Uint8Array(new SharedArrayBuffer(values.reduce((sum, { byteLength }) => sum + byteLength, 0)));
  let at = 0;
  for (const { buffer, byteOffset, byteLength } of values) {
    shared.set(new Uint8Array(buffer, byteOffset, byteLength), at);
    at += byteLength;
  }
  const specs = weights.map(({ name, tensor: { shape, dtype } }) => ({ name, shape, dtype: dtype as "float32" }));
  return { topology, specs, weights: shared.buffer, layers, fold };
}

/** One Worker, asked one thing at a time. */
class Helper {
  readonly #worker: Worker;
  #reply = Promise.withResolvers<Reply>();

  constructor(readonly name: string) {
    this.#worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module", name });
    this.#worker.onmessage = ({ data }: MessageEvent<Reply>) => this.#reply.resolve(data);
    this.#worker.onmessageerror = () => this.#reply.resolve({ failure: "its answer could not be read" });
    this.#worker.onerror = (event) => {
      // Otherwise it would end this thread too.
      event.preventDefault();
      this.#reply.resolve({ failure: event.message });
    };
  }

  /**
   * @param about what is asked, for the error: `"failed …"`
   * @throws {WorkerError} if the Worker fails
   */
  async ask<Wanted extends Reply>(message: Job | Batch, about: string, transfer: Transferable[] = []): Promise<Wanted> {
    this.#worker.postMessage(message, transfer);
    const reply = await this.#reply.promise;
    this.#reply = Promise.withResolvers();
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
  /** How many Workers. */
  count: number;
  /** How many inputs there are. */
  size: number;
  receive: Receive;
  signal?: AbortSignal;
}

/** Spreads batches over Workers. Returns false, and has read no batch, if they cannot build the network. */
async function runInWorkers(
  makeJob: () => Job | null,
  batches: AsyncGenerator<PlacedBatch, undefined>,
  { count, size, receive, signal }: Crew,
): Promise<boolean> {
  const ended = Promise.withResolvers<never>();
  const abort = () => ended.reject(signal!.reason);
  signal?.addEventListener("abort", abort, { once: true });
  const helpers = Array.from({ length: count }, (_, i) => new Helper(`Worker ${i + 1} of ${count}`));
  let over = false;

  /** Settled in the order of the batches, when their outputs have been received. */
  const received: Promise<void>[] = [];
  const hand = async (before: Promise<void> | undefined, outputs: NdArray[], start: number) => {
    await before;
    if (!over) await receive(outputs, start);
  };
  const serve = async (helper: Helper) => {
    for (;;) {
      const { value: batch } = await batches.next();
      if (!batch || over) return;
      const { index, start, data, shape } = batch;
      const done = Promise.withResolvers<void>();
      received[index] = done.promise;
      // Outputs wait for those before them, but not without bound.
      await received[index - 2 * count];
      const about = `on inputs ${start} to ${start + shape[0] - 1} of ${size}`;
      const { outputs } = await helper.ask<{ outputs: NdArray[] }>({ data, shape }, about, [data.buffer]);
      hand(received[index - 1], outputs, start).then(done.resolve, ended.reject);
    }
  };
  const work = async () => {
    // The Workers load their code meanwhile.
    const job = makeJob();
    if (!job) return false;
    const replies = await Promise.all(
      helpers.map((helper) => helper.ask<{ built: boolean }>(job, "at its start")),
    );
    if (replies.some(({ built }) => !built)) return false;
    await Promise.all(helpers.map(serve));
    await Promise.all(received);
    return true;
  };
  try {
    return await Promise.race([ended.promise, work()]);
  } finally {
    over = true;
    signal?.removeEventListener("abort", abort);
    helpers.forEach((helper) => helper.end());
  }
}
