/**
 * Runs every probe many times on one backend and prints, as JSON, what memory is taken before, a third and two thirds on
 * the way, and after.
 *
 * A process of its own, because what a process takes tells something only where nothing else runs in it. Arguments: the
 * backend, and how often each probe is called. Wants `--v8-flags=--expose-gc`.
 */

import type { Tensor } from "@tensorflow/tfjs";
import process from "node:process";
import { ndarray } from "../../lib/array.ts";
import { loadModel } from "../../lib/model/load.ts";
import { forward } from "../../lib/probe/forward.ts";
import { inputGradient, type ReluRule } from "../../lib/probe/gradient.ts";
import { type BackendName, ensureBackend, useBackend } from "../../lib/runtime/backend.ts";

/** What is taken at one time; the fields that a backend does not have are left out. */
export interface Taken {
  numTensors: number;
  numDataBuffers: number;
  numBytes: number;
  /** What the wasm backend's memory has grown to. */
  heap?: number;
  /** WebGPU buffers that hold tensors, and the bytes of these and of those kept for later. */
  buffers?: number;
  bufferBytes?: number;
  /** Bytes of JavaScript objects and of the arrays that they hold. */
  javascript: number;
  /** Bytes of the whole process. */
  resident: number;
}

const [backend, calls] = [process.argv[2] as BackendName, Number(process.argv[3])];
await useBackend(backend);
const tf = await ensureBackend();
const network = tf.sequential({
  layers: [
    tf.layers.conv2d({
      name: "conv",
      inputShape: [32, 32, 3],
      filters: 8,
      kernelSize: 3,
      padding: "same",
      useBias: false,
    }),
    tf.layers.batchNormalization({ name: "norm" }),
    tf.layers.reLU({ name: "relu" }),
    tf.layers.maxPooling2d({ name: "pool", poolSize: 2 }),
    tf.layers.depthwiseConv2d({ name: "depthwise", kernelSize: 3 }),
    tf.layers.reLU({ name: "relu6", maxValue: 6 }),
    tf.layers.flatten(),
    tf.layers.dense({ name: "classes", units: 5, activation: "softmax" }),
  ],
});
const model = await loadModel(network, { preprocess: "none", name: "small" });
const inputs = [1, 2, 3, 4, 5].map((i) => ndarray(new Float32Array(32 * 32 * 3).fill(i / 5), [32, 32, 3]));

const stop = () => {
  throw new Error("stop");
};

/** Calls what must fail with the error that was arranged. */
async function failing(run: () => unknown, message: RegExp) {
  try {
    await run();
  } catch (error) {
    if (message.test((error as Error).message)) return;
    throw error;
  }
  throw new Error("Something went well that should have failed.");
}

async function gradient(relu: ReluRule, after: (y: Tensor) => Tensor) {
  const x = tf.tensor(inputs[0].data, [1, 32, 32, 3]);
  try {
    const f = (x: Tensor) => after(tf.sum(tf.square(network.apply(x) as Tensor)));
    const { value, gradient } = inputGradient(tf, f, x, { relu });
    await gradient.data();
    tf.dispose([value, gradient]);
  } finally {
    x.dispose();
  }
}

const probes: (() => Promise<unknown>)[] = [
  () => forward(model, inputs, ["relu", "depthwise", "classes"]),
  () => forward(model, inputs.slice(0, 2), ["conv", "norm", "pool", "classes"]),
  () => gradient("plain", (y) => y),
  () => gradient("deconvnet", (y) => y),
  () => gradient("guided", (y) => y),
  () => failing(() => gradient("guided", stop), /stop/),
  () => failing(() => forward(model, inputs, ["relu", "classes"], { batchSize: 2, onProgress: stop }), /stop/),
  () => {
    const abort = new AbortController();
    const options = { batchSize: 2, signal: abort.signal, onProgress: () => abort.abort() };
    return failing(() => forward(model, inputs, ["relu", "classes"], options), /abort/i);
  },
];

async function run(times: number) {
  for (const probe of probes) {
    for (let i = 0; i < times; i++) await probe();
  }
}

async function taken(): Promise<Taken> {
  const { gc } = globalThis as unknown as { gc: () => void };
  for (let i = 0; i < 3; i++) {
    gc();
    // Arrays are given back a moment later.
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const { numTensors, numDataBuffers, numBytes } = tf.memory();
  const { wasm, bufferManager } = tf.backend() as unknown as {
    wasm?: { HEAPU8: Uint8Array };
    bufferManager?: { numUsedBuffers: number; numBytesAllocated: number };
  };
  const { heapUsed, external, rss } = Deno.memoryUsage();
  return {
    numTensors,
    numDataBuffers,
    numBytes,
    heap: wasm?.HEAPU8.length,
    buffers: bufferManager?.numUsedBuffers,
    bufferBytes: bufferManager?.numBytesAllocated,
    javascript: heapUsed + external,
    resident: rss,
  };
}

// Code is compiled, and pools of buffers fill, in the first calls.
await run(Math.ceil(calls / 10));
const all = [await taken()];
for (let third = 0; third < 3; third++) {
  await run(Math.ceil(calls / 3));
  all.push(await taken());
}
console.log(JSON.stringify(all));
