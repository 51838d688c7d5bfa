/**
 * What Workers do with a network: build it on a WASM backend of their own, run batches, score occluded images.
 *
 * @module
 */

import type { LayersModel } from "npm:@tensorflow/tfjs@4.22.0";
import { sizeOf } from "../array.ts";
import { buildNetwork, noteNames } from "../model/formats/build.ts";
import type { Batch } from "../probe/batches.ts";
import { type Made, type PassOptions, runBatches } from "../probe/forward.ts";
import type { Work } from "../probe/occlusion/incremental.ts";
import type { PositionScores, PositionsJob } from "../probe/occlusion/scores.ts";
import type { TF } from "../runtime/core/types.ts";
import { tf as load } from "../runtime/tfjs.ts";
import { startWasm } from "../runtime/wasm.ts";
import { Moved, type Report, workerFunction } from "../workers/protocol.ts";

/** All that Workers must know of a network. */
export interface NetworkDescription {
  /** The network without its weights, as its `getConfig` describes it. */
  config: object;
  sequential: boolean;
  /** Where each weight lies in `values`. */
  weights: Weight[];
  values: SharedArrayBuffer;
  /** Other names of its layers. */
  names: ReadonlyMap<string, string>;
}

/** A weight in shared memory. */
export interface Weight {
  name: string;
  shape: number[];
  dtype: "float32" | "int32" | "bool";
  /** In bytes; a multiple of 4. */
  at: number;
}

/** The network of this Worker. */
let built: { tf: TF; network: LayersModel };

const ARRAYS = { float32: Float32Array, int32: Int32Array, bool: Uint8Array };

/**
 * Builds the network with its weights on WASM.
 *
 * @throws if TensorFlow.js cannot build it from its description, or two of its weights share a name
 */
function rebuild(tf: TF, { config, sequential, weights, values, names }: NetworkDescription): LayersModel {
  const network = buildNetwork(tf, { className: sequential ? "Sequential" : "Model", config });
  tf.setBackend("wasm");
  const places = new Map(weights.map((weight) => [weight.name, weight]));
  if (places.size !== network.weights.length) throw new Error("Two weights have one name.");
  // tfjs takes shared memory as well as any; its types do not know.
  const memory = values as unknown as ArrayBuffer;
  for (const weight of network.weights) {
    const { shape, dtype, at } = places.get(weight.originalName)!;
    const value = tf.tensor(new ARRAYS[dtype](memory, at, sizeOf(shape)), shape, dtype);
    weight.write(value);
    value.dispose();
  }
  noteNames(network, names);
  return network;
}

/**
 * Builds the network of this Worker.
 *
 * @returns whether TensorFlow.js can build it; if not, the main thread has the network and goes on with it
 */
export async function build(description: NetworkDescription): Promise<boolean> {
  const tf = await load();
  await startWasm(tf);
  try {
    built = { tf, network: rebuild(tf, description) };
  } catch {
    return false;
  }
  return true;
}

/** A batch that waits for its turn, and whoever waits for its outputs. */
interface Waiting extends Batch {
  run: PromiseWithResolvers<Made>;
}

/** The batches that are asked for and not begun, and what begins the next one. */
const inbox: Waiting[] = [];
let wake = () => {};
/** The run through all batches; it is over only when one fails. */
let running: Promise<void> | undefined;

async function next(): Promise<Waiting> {
  while (inbox.length === 0) await new Promise<void>((done) => wake = done);
  return inbox.shift()!;
}

/** Runs a batch through the network of this Worker. All batches compute the same pass. */
export async function runBatch({ batch, pass }: { batch: Batch; pass: PassOptions }): Promise<Moved<Made>> {
  const { tf, network } = built;
  const run = Promise.withResolvers<Made>();
  inbox.push({ ...batch, run });
  wake();
  // One run for all of them, so that what is prepared for the first batch serves the others.
  running ??= runBatches(tf, network, pass, next, (made, { run }) => run.resolve(made));
  const made = await Promise.race([run.promise, running.then(() => run.promise)]);
  const arrays = Array.isArray(made) ? made.map(({ data }) => data) : Object.values(made);
  return new Moved(made, arrays.map(({ buffer }) => buffer as ArrayBuffer));
}

/** Scores an occluded image with the network of this Worker. */
export async function occlude(job: PositionsJob, report: Report<PositionScores>): Promise<Work> {
  const { scorePositions } = await import("../probe/occlusion/scores.ts");
  return await scorePositions(built.tf, built.network, job, (scores) => {
    report(scores, [scores.scores.buffer as ArrayBuffer, scores.sums.buffer as ArrayBuffer]);
  });
}

export const BUILD = workerFunction(import.meta.url, build);
export const RUN_BATCH = workerFunction(import.meta.url, runBatch);
export const OCCLUDE = workerFunction(import.meta.url, occlude);
