/**
 * What runs in each Worker of a pool: builds the network on a WASM backend of its own, then answers batches with
 * outputs until it is ended from outside.
 *
 * @module
 */

import type { LayersModel, Sequential } from "npm:@tensorflow/tfjs@4.22.0";
import { registerResponseNormalization } from "../model/normalization.ts";
import { ensureBackend, useBackend } from "../runtime/backend.ts";
import { messageOf } from "../runtime/message.ts";
import { readings } from "../probe/occlusion/readings.ts";
import { type Batch, type Job, type Reply, runBatches } from "./pool.ts";
import type { ReadingsReply } from "./readings.ts";

/** The side of a Worker that TypeScript's types of a main thread do not tell. */
interface Scope {
  onmessage: (event: MessageEvent) => void;
  postMessage(reply: Reply | ReadingsReply, transfer?: Transferable[]): void;
}
const scope = self as unknown as Scope;

/** The message that comes next. The pool sends one, then waits for the answer. */
let message = Promise.withResolvers<unknown>();
scope.onmessage = ({ data }) => message.resolve(data);

async function next<Wanted extends Job | Batch>(): Promise<Wanted> {
  const received = await message.promise;
  message = Promise.withResolvers();
  return received as Wanted;
}

async function work(): Promise<void> {
  // Built on cpu, the network costs half the time and memory: zeros that no weight has replaced yet cost nothing there,
  // and a weight moves to WASM when it is first used.
  await useBackend("cpu");
  const tf = await ensureBackend();
  registerResponseNormalization(tf);
  const { topology, specs, weights, layers, fold, readings: asked } = await next<Job>();
  let network: LayersModel;
  try {
    // tfjs takes shared memory for weights as well as any; its types do not know.
    const weightData = weights as unknown as ArrayBuffer;
    network = await tf.loadLayersModel(tf.io.fromMemory({ modelTopology: topology, weightSpecs: specs, weightData }));
    // Until then a Sequential cannot tell its own uses of a layer from others.
    if (!network.built) (network as Sequential).build();
  } catch {
    // The caller's own thread has the network and goes on with it.
    scope.postMessage({ built: false });
    return;
  }
  await useBackend("wasm");
  scope.postMessage({ built: true });
  if (asked) {
    const work = await readings(tf, network, asked, (reading) => {
      scope.postMessage({ reading }, [reading.scores.buffer as ArrayBuffer, reading.sums.buffer as ArrayBuffer]);
    });
    scope.postMessage({ work });
    return;
  }
  await runBatches(
    tf,
    network,
    { layers, fold },
    () => next<Batch>(),
    (outputs) => scope.postMessage({ outputs }, outputs.map(({ data }) => data.buffer as ArrayBuffer)),
  );
}

work().catch((error) => scope.postMessage({ failure: messageOf(error) }));
