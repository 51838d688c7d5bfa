/**
 * Scores of occluded images with all the cores on WASM: the places of the square are shared out among Workers.
 *
 * @module
 */

import type { LayersModel } from "npm:@tensorflow/tfjs@4.22.0";
import type { Work } from "../probe/occlusion/incremental.ts";
import { type PositionScores, type PositionsJob, type Receive, scorePositions } from "../probe/occlusion/scores.ts";
import type { TF } from "../runtime/backend.ts";
import { BUILD, type NetworkDescription, OCCLUDE } from "./network_job.ts";
import { describe, multiplications, startPool, workersFor } from "./network_pool.ts";

/** Fewer multiplications in full passes are over before Workers have started. */
const WORTH_WORKERS = 2e10;

/**
 * As {@linkcode scorePositions}, on all cores where the backend is WASM and there is enough to do. A network that TensorFlow.js
 * cannot build from its description alone (custom layers) runs here, on one core.
 *
 * @throws {WorkerError} if a Worker fails; all others are ended then
 */
export async function scorePositionsOnAllCores(
  tf: TF,
  network: LayersModel,
  job: PositionsJob,
  receive: Receive,
  signal?: AbortSignal,
): Promise<Work> {
  const count = Math.min(workersFor(network), Math.ceil(job.boxes.length / job.batchSize));
  if (
    tf.getBackend() !== "wasm" || count < 2 ||
    job.boxes.length * multiplications(network, [job.head?.index ?? job.layer]) < WORTH_WORKERS
  ) {
    return await scorePositions(tf, network, job, receive, signal);
  }
  const description = describe(tf, network);
  const work = description && await inWorkers(count, description, job, receive, signal);
  return work ?? await scorePositions(tf, network, job, receive, signal);
}

/** Shares the places out. Returns null, and has received nothing, if a Worker cannot build the network. */
async function inWorkers(
  count: number,
  description: NetworkDescription,
  job: PositionsJob,
  receive: Receive,
  signal?: AbortSignal,
): Promise<Work | null> {
  const pool = startPool(count, signal);
  /** Scores are handed over one by one. */
  let handing: Promise<void> = Promise.resolve();
  const onProgress = (scores: PositionScores) => {
    handing = handing.then(() => receive(scores));
    handing.catch((error) => pool.fail(error));
  };
  try {
    const built = await Promise.all(
      pool.workers.map((worker) => worker.call(BUILD, description, { about: "at its start" })),
    );
    if (built.includes(false)) return null;
    const works = await Promise.all(pool.workers.map((worker, k) => {
      // Neighbours go to different Workers, so that all have about as much to do.
      const stages = job.stages.map((stage) => stage.filter((_, i) => i % count === k));
      return worker.call(OCCLUDE, { ...job, stages }, { onProgress, about: "on its part of the places" });
    }));
    await pool.race(handing);
    // Each counts what full passes over all places would take, whatever its share of them.
    return { full: works.at(-1)!.full, done: works.reduce((sum, { done }) => sum + done, 0) };
  } finally {
    pool.end();
  }
}
