/**
 * Readings of occlusion with all the cores on WASM: the places of the square are shared out among Workers.
 *
 * @module
 */

import type { LayersModel } from "npm:@tensorflow/tfjs@4.22.0";
import { sizeOf } from "../array.ts";
import type { Work } from "../probe/occlusion/incremental.ts";
import { type Reading, readings, type ReadingsJob, type Receive } from "../probe/occlusion/readings.ts";
import type { TF } from "../runtime/backend.ts";
import { jobOf, WorkerError, workersFor } from "./pool.ts";

/** What a Worker answers to a job with readings. */
export type ReadingsReply = { built: boolean } | { reading: Reading } | { work: Work } | { failure: string };

/** From so many multiplications in full passes on, Workers pay. */
const WORTH_WORKERS = 2e10;

/**
 * As {@linkcode readings}, on all cores where the backend is WASM and there is enough to do. A network that TensorFlow.js
 * cannot build from its description alone (layers of one's own) is read here, on one core.
 *
 * @throws {WorkerError} if a Worker fails; all others are ended then
 */
export async function readingsOnAllCores(
  tf: TF,
  network: LayersModel,
  job: ReadingsJob,
  receive: Receive,
  signal?: AbortSignal,
): Promise<Work> {
  const count = Math.min(workersFor(network), Math.ceil(job.boxes.length / job.batchSize));
  if (tf.getBackend() !== "wasm" || count < 2 || job.boxes.length * roughWork(network) < WORTH_WORKERS) {
    return await readings(tf, network, job, receive, signal);
  }
  const described = jobOf(tf, network, { layers: [], fold: true });
  const work = described && await inWorkers(
    count,
    (k) => {
      // Neighbours go to different Workers, so that all have about as much to do.
      const stages = job.stages.map((stage) => stage.filter((_, i) => i % count === k));
      return { ...described, readings: { ...job, stages } };
    },
    receive,
    signal,
  );
  return work ?? await readings(tf, network, job, receive, signal);
}

/** Multiplications of a full pass, roughly: each weight once a cell of its layer's maps. */
function roughWork(network: LayersModel): number {
  return network.layers.reduce((sum, layer) => {
    const shape = [layer.outputShape].flat(Infinity) as (number | null)[];
    return sum + layer.countParams() * sizeOf(shape.slice(1, -1).map((side) => side ?? 1));
  }, 0);
}

/** Shares the readings out. Returns null, and has received nothing, if a Worker cannot build the network. */
async function inWorkers(
  count: number,
  jobFor: (worker: number) => unknown,
  receive: Receive,
  signal?: AbortSignal,
): Promise<Work | null> {
  signal?.throwIfAborted();
  const over = Promise.withResolvers<Work | null>();
  const abort = () => over.reject(signal!.reason);
  signal?.addEventListener("abort", abort, { once: true });
  const workers: Worker[] = [];
  let built = 0;
  let ready = 0;
  const total = { full: 0, done: 0 };
  const waiting: Reading[] = [];
  /** Readings are handed over one by one, once all Workers have built the network. */
  let handing: Promise<void> = Promise.resolve();
  const hand = (reading: Reading) => {
    handing = handing.then(async () => await receive(reading)).catch(over.reject);
  };
  const answer = (reply: ReadingsReply, name: string) => {
    if ("failure" in reply) {
      over.reject(
        new WorkerError(
          `${name} failed: ${reply.failure}. All Workers of this call were ended. If memory ran out, ask for a smaller ` +
            "batchSize.",
        ),
      );
    } else if ("built" in reply) {
      if (!reply.built) over.resolve(null);
      else if (++built === count) waiting.splice(0).forEach(hand);
    } else if ("reading" in reply) {
      if (built === count) hand(reply.reading);
      else waiting.push(reply.reading);
    } else {
      // Each tells what full passes over all places would take, whatever its share of them.
      total.full = reply.work.full;
      total.done += reply.work.done;
      if (++ready === count) handing.then(() => over.resolve(total));
    }
  };
  try {
    for (let k = 0; k < count; k++) {
      const name = `Worker ${k + 1} of ${count}`;
      const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module", name });
      workers.push(worker);
      worker.onmessage = ({ data }: MessageEvent<ReadingsReply>) => answer(data, name);
      worker.onmessageerror = () => answer({ failure: "its answer could not be read" }, name);
      worker.onerror = (event) => {
        // Otherwise it would end this thread too.
        event.preventDefault();
        answer({ failure: event.message }, name);
      };
      worker.postMessage(jobFor(k));
    }
    return await over.promise;
  } finally {
    signal?.removeEventListener("abort", abort);
    workers.forEach((worker) => worker.terminate());
  }
}
