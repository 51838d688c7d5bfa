/**
 * Workers that get a copy of a network.
 *
 * @module
 */

import type { LayersModel, Tensor } from "npm:@tensorflow/tfjs@4.22.0";
import { sizeOf } from "../array.ts";
import { otherNamesOf } from "../model/formats/build.ts";
import { waysTo } from "../model/graph.ts";
import { type LayerWanted, useOf } from "../probe/forward.ts";
import type { TF } from "../runtime/backend.ts";
import { machineMemoryLeft } from "../memory.ts";
import { bytesInWasm } from "../runtime/wasm.ts";
import { WorkerPool } from "../workers/pool.ts";
import type { NetworkDescription, Weight } from "./network_job.ts";

/** Starts Workers for a network. */
export function startPool(count: number, signal?: AbortSignal): WorkerPool {
  const remedy =
    "If memory ran out, ask for a smaller batchSize or fewer workers; with workers: 1 everything runs here.";
  return new WorkerPool(count, { signal, remedy });
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
 *
 * @param wanted the layers that the pass leads to
 */
export function multiplications(network: LayersModel, wanted: readonly LayerWanted[]): number {
  const way = waysTo(wanted.map((name) => useOf(network, name)));
  return [...way].reduce((sum, { layer, shape }) => {
    const cells = shape.slice(1, -1).map((length) => length ?? 100);
    return sum + layer.countParams() * sizeOf(cells);
  }, 0);
}

/** What Workers must know of a network on WASM; null if it cannot be described. */
export function describe(tf: TF, network: LayersModel): NetworkDescription | null {
  let config: object;
  try {
    config = structuredClone(network.getConfig());
  } catch {
    // A custom layer that has no configuration, or one that cannot be sent.
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
  return { config, sequential: network.getClassName() === "Sequential", weights, values, names: otherNamesOf(network) };
}
