/**
 * What runs in each Worker of a pool: builds the network on a WASM backend of its own, then answers batches with
 * outputs until it is ended from outside.
 *
 * @module
 */

import type { LayersModel, Sequential, serialization } from "npm:@tensorflow/tfjs@4.22.0";
import { sizeOf } from "../array.ts";
import { registerResponseNormalization } from "../model/normalization.ts";
import type { Batch } from "../probe/batches.ts";
import { runBatches } from "../probe/forward.ts";
import { messageOf } from "../runtime/core/message.ts";
import { tf as load } from "../runtime/tfjs.ts";
import type { TF } from "../runtime/core/types.ts";
import { startWasm } from "../runtime/wasm.ts";
import type { Job, Reply } from "./pool.ts";
import type { ReadingsReply } from "./readings.ts";

/** The side of a Worker that TypeScript's types of a main thread do not tell. */
interface Scope {
  onmessage: (event: MessageEvent) => void;
  postMessage(reply: Reply | ReadingsReply, transfer?: Transferable[]): void;
}
const scope = self as unknown as Scope;

/** What has been asked and not begun. */
const inbox: unknown[] = [];
let wake = () => {};
scope.onmessage = ({ data }) => {
  inbox.push(data);
  wake();
};

async function next<Wanted extends Job | Batch>(): Promise<Wanted> {
  while (inbox.length === 0) await new Promise<void>((done) => wake = done);
  return inbox.shift() as Wanted;
}

const ARRAYS = { float32: Float32Array, int32: Int32Array, bool: Uint8Array };

/**
 * Builds the network with its weights on WASM.
 *
 * @throws if TensorFlow.js cannot build it from its description, or its weights cannot be told apart by their names
 */
function build(tf: TF, { config, sequential, weights, values }: Job): LayersModel {
  // On cpu, zeros that no weight has replaced yet cost nothing.
  tf.setBackend("cpu");
  const Network = sequential ? tf.Sequential : tf.LayersModel;
  const network = Network.fromConfig(
    Network as serialization.SerializableConstructor<LayersModel>,
    config as serialization.ConfigDict,
    {},
    true,
  );
  // Until then a Sequential cannot tell its own uses of a layer from others.
  if (!network.built) (network as Sequential).build();
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
  return network;
}

async function work(): Promise<void> {
  const tf = await load();
  await startWasm(tf);
  registerResponseNormalization(tf);
  const job = await next<Job>();
  let network: LayersModel;
  try {
    network = build(tf, job);
  } catch {
    // The caller's own thread has the network and goes on with it.
    scope.postMessage({ built: false });
    return;
  }
  scope.postMessage({ built: true });
  if (job.readings) {
    const { readings } = await import("../probe/occlusion/readings.ts");
    const work = await readings(tf, network, job.readings, (reading) => {
      scope.postMessage({ reading }, [reading.scores.buffer as ArrayBuffer, reading.sums.buffer as ArrayBuffer]);
    });
    scope.postMessage({ work });
    return;
  }
  await runBatches(
    tf,
    network,
    job,
    () => next<Batch>(),
    (outputs) => scope.postMessage({ outputs }, outputs.map(({ data }) => data.buffer as ArrayBuffer)),
  );
}

work().catch((error) => scope.postMessage({ failure: messageOf(error) }));
