import type { layers as tfLayers, LayersModel, SymbolicTensor, Tensor } from "@tensorflow/tfjs";
import fc from "fast-check";
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { ndarray, type NdArrayLike, sizeOf } from "../../lib/array.ts";
import type { CodeCell } from "../../lib/tools/notebook.ts";
import { runNotebook } from "../../lib/tools/kernel.ts";
import { loadModel } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import { forward, type LayerWanted } from "../../lib/probe/forward.ts";
import { ensureBackend, useBackend } from "../../lib/runtime/backend.ts";
import { forwardAll, forwardEach } from "../../lib/scan/forward_all.ts";
import { workersFor } from "../../lib/scan/network_pool.ts";
import { WorkerError } from "../../lib/workers/pool.ts";
import { uniforms } from "../nets.ts";
import { DISPLAY, notebookOf } from "../notebook/samples.ts";
import { long, longTest } from "../long.ts";

await useBackend("wasm");
const tf = await ensureBackend();

/** The Workers that a test started, those of them that were ended, and how many batches all were given. */
let started: Worker[];
let ended: Set<Worker>;
let given: number;
/** Settles when a Worker has built the network. */
let ready: PromiseWithResolvers<void>;
/** What a batch becomes on its way to a Worker. */
let tamper: (data: Float32Array) => void;
const NativeWorker = globalThis.Worker;
beforeEach(() => {
  started = [];
  ended = new Set();
  given = 0;
  ready = Promise.withResolvers();
  tamper = () => {};
  globalThis.Worker = class extends NativeWorker {
    constructor(...args: ConstructorParameters<typeof Worker>) {
      super(...args);
      started.push(this);
      this.addEventListener("message", () => ready.resolve());
    }
    override postMessage(message: { argument: { batch?: { data: Float32Array } } }, transfer: unknown) {
      if (message.argument.batch) {
        given++;
        tamper(message.argument.batch.data);
      }
      super.postMessage(message, transfer as Transferable[]);
    }
    override terminate() {
      ended.add(this);
      super.terminate();
    }
  };
});
afterEach(() => {
  globalThis.Worker = NativeWorker;
  expect(started.filter((worker) => !ended.has(worker))).toEqual([]);
});

/** Fills all weights with numbers that batch normalisation can live with. */
function shuffle(network: LayersModel, seed: number): void {
  const next = uniforms(seed);
  for (const weight of network.weights) {
    const shape = weight.shape as number[];
    const positive = /variance|gamma/.test(weight.originalName) ? 1 : 0;
    const value = tf.tensor(Array.from({ length: sizeOf(shape) }, () => next() - 0.5 + positive), shape);
    weight.write(value);
    value.dispose();
  }
}

/** A residual net with a batch normalisation to fold, a nested net that is used twice, and a tap of each. */
async function residual(): Promise<Model> {
  const input = tf.input({ shape: [6, 6, 3] });
  const stem = tf.layers.conv2d({ name: "stem", filters: 4, kernelSize: 3, padding: "same" }).apply(input);
  const normed = tf.layers.batchNormalization({ name: "norm" }).apply(stem);
  const rectified = tf.layers.reLU({ name: "relu" }).apply(normed) as SymbolicTensor;
  const block = tf.sequential({
    name: "block",
    layers: [
      tf.layers.depthwiseConv2d({ name: "deep", inputShape: [6, 6, 4], kernelSize: 3, padding: "same" }),
      tf.layers.activation({ name: "bend", activation: "tanh" }),
    ],
  });
  const sum = tf.layers.add({ name: "sum" }).apply([rectified, block.apply(block.apply(rectified)) as SymbolicTensor]);
  const flat = tf.layers.flatten({ name: "flat" }).apply(sum);
  const output = tf.layers.dense({ name: "out", units: 5, activation: "softmax" }).apply(flat) as SymbolicTensor;
  const network = tf.model({ inputs: input, outputs: output });
  shuffle(network, 1);
  return await loadModel(network, { preprocess: "none", name: "residual" });
}

/** A net that throws on some inputs only: those that hold a number from 10 on. */
async function picky(): Promise<Model> {
  const network = tf.sequential({
    layers: [
      tf.layers.embedding({ name: "codes", inputDim: 10, outputDim: 3, inputLength: 4 }),
      tf.layers.flatten({ name: "flat" }),
    ],
  });
  return await loadModel(network, { preprocess: "none", name: "picky" });
}

/** One convolution as a net, to nest in others. */
const nested = (name: string, layer: string) =>
  tf.sequential({
    name,
    layers: [tf.layers.conv2d({ name: layer, inputShape: [6, 6, 3], filters: 3, kernelSize: 1 })],
  });
/** A net of nets; the types of tfjs want layers. */
const netOf = (...layers: unknown[]) => tf.sequential({ layers: layers as tfLayers.Layer[] });

let model: Model;
beforeAll(async () => {
  model = await residual();
});

const LAYERS: LayerWanted[] = [
  "norm",
  "block",
  "block/deep",
  "block:2/bend",
  "sum",
  { layer: "sum", pool: "mean" },
  { layer: "norm", pool: "max" },
  "out",
];
const input = (seed: number) => {
  const next = uniforms(seed);
  return ndarray(Array.from({ length: 108 }, () => 2 * next() - 1), [6, 6, 3]);
};
const someInputs = (count: number) => Array.from({ length: count }, (_, i) => input(i + 1));
const words = (value: number, count: number) =>
  Array.from({ length: count }, (_, i) => ndarray([0, 1, 2, i === count - 2 ? value : 3], [4]));

/** Inputs that are made while they are walked; `log` sees how far that went, and that the walk was closed. */
function stream(inputs: NdArrayLike[], size: number, log: (event: number | "closed") => void = () => {}) {
  return {
    size,
    async *[Symbol.asyncIterator]() {
      try {
        for (const [i, input] of inputs.entries()) {
          log(i);
          await new Promise((done) => setTimeout(done, 1));
          yield input;
        }
      } finally {
        log("closed");
      }
    },
  };
}

/** Inputs of which all but the first come when a Worker is ready: else this thread has done all by then. */
function patient(inputs: NdArrayLike[]) {
  return {
    size: inputs.length,
    async *[Symbol.asyncIterator]() {
      for (const [i, input] of inputs.entries()) {
        if (i === 1) await ready.promise;
        yield input;
      }
    },
  };
}

/** Compares to the bit: `toEqual` on typed arrays tells 0 from -0. */
function expectSame(found: NdArrayLike[], wanted: NdArrayLike[]): void {
  expect(found.map(({ shape }) => shape)).toEqual(wanted.map(({ shape }) => shape));
  for (const [i, { data }] of found.entries()) expect(data).toEqual(wanted[i].data);
}

describe("forwardAll", () => {
  test("gives what forward gives, to the bit, however many threads there are", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 12 }),
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 1, max: 3 }),
        async (count, batchSize, workers) => {
          const inputs = someInputs(count);
          const before = started.length;
          given = 0;
          ready = Promise.withResolvers();
          const threads = Math.min(workers, count);
          const some = threads > 1 ? patient(inputs) : inputs;
          const found = await forwardAll(model, some, LAYERS, { batchSize, workers });
          // This thread is one of them.
          expect(started.length - before).toBe(threads - 1);
          if (threads > 1 && count > 3) expect(given).toBeGreaterThan(0);
          expectSame(found, await forward(model, inputs, LAYERS, { batchSize }));
        },
      ),
      // Up to three inputs the normalisation is not folded, from four on it is.
      { numRuns: long(16, 5), seed: 3, examples: [[3, 1, 2], [4, 1, 2], [5, 2, 2], [1, 1, 2]] },
    );
  });

  test("gives the same to the bit, however the inputs are cut, through layers of every kind", async () => {
    const on = { inputShape: [7, 7, 3] as [number, number, number] };
    const { layers } = tf;
    const nets: Record<string, tfLayers.Layer[]> = {
      convolutions: [
        layers.conv2d({ ...on, filters: 8, kernelSize: 3, padding: "same", activation: "relu" }),
        layers.conv2d({ filters: 7, kernelSize: 3, activation: "sigmoid" }),
        layers.conv2d({ filters: 16, kernelSize: 2, strides: 2, padding: "same" }),
        layers.conv2d({ filters: 24, kernelSize: 1, activation: "elu" }),
      ],
      dilated: [layers.conv2d({ ...on, filters: 5, kernelSize: 3, dilationRate: 2, activation: "softmax" })],
      depthwise: [
        layers.depthwiseConv2d({ ...on, kernelSize: 3, depthMultiplier: 2, activation: "relu6" }),
        layers.separableConv2d({ filters: 9, kernelSize: 3 }),
      ],
      transposed: [layers.conv2dTranspose({ ...on, filters: 5, kernelSize: 3, strides: 2 })],
      pooled: [
        layers.averagePooling2d({ ...on, poolSize: 3, strides: 2, padding: "same" }),
        layers.upSampling2d({ size: [2, 2] }),
        layers.zeroPadding2d({ padding: 1 }),
        layers.maxPooling2d({ poolSize: 2 }),
        layers.globalAveragePooling2d({}),
      ],
      normalized: [
        layers.batchNormalization(on),
        layers.layerNormalization({}),
        layers.prelu({}),
        layers.leakyReLU({}),
        layers.activation({ activation: "softmax" }),
      ],
      dense: [
        layers.flatten(on),
        layers.dense({ units: 33, activation: "tanh" }),
        layers.dense({ units: 64, activation: "relu" }),
        layers.dense({ units: 5, activation: "softmax" }),
      ],
      recurrent: [
        layers.reshape({ ...on, targetShape: [7, 21] }),
        layers.conv1d({ filters: 6, kernelSize: 3 }),
        layers.lstm({ units: 5, returnSequences: true }),
        layers.gru({ units: 3 }),
      ],
    };
    const next = uniforms(9);
    const inputs = Array.from(
      { length: 9 },
      () => ndarray(Array.from({ length: 147 }, () => 4 * next() - 2), [7, 7, 3]),
    );
    for (const [name, all] of Object.entries(nets)) {
      const network = tf.sequential({ layers: all });
      shuffle(network, 3);
      const net = await loadModel(network, { preprocess: "none" });
      const last = [all.at(-1)!.name];
      const [wanted] = await forward(net, inputs, last, { batchSize: 9 });
      for (const batchSize of [1, 2, 4]) {
        const [found] = await forward(net, inputs, last, { batchSize });
        expect(found.data, `${name}, batches of ${batchSize}`).toEqual(wanted.data);
      }
      net.dispose();
    }
  });

  longTest("gives what forward gives on ResNet-50", async () => {
    const resnet = await loadModel("resnet50");
    const next = uniforms(5);
    const inputs = Array.from(
      { length: 4 },
      () => ndarray(Float32Array.from({ length: 224 * 224 * 3 }, () => 255 * next() - 120), [224, 224, 3]),
    );
    const layers = ["activation_9", resnet.layers.at(-1)!.name];
    const found = await forwardAll(resnet, patient(inputs), layers, { batchSize: 2, workers: 2 });
    expect(started).toHaveLength(1);
    expect(given).toBeGreaterThan(0);
    expectSame(found, await forward(resnet, inputs, layers, { batchSize: 4 }));
    resnet.dispose();
  });

  test("gives what forward gives for nets in a net", async () => {
    const network = netOf(nested("first", "a"), nested("out", "b"));
    network.build();
    const net = await loadModel(network, { preprocess: "none" });
    const found = await forwardAll(net, patient(someInputs(5)), ["first", "out"], { batchSize: 1, workers: 2 });
    expect(given).toBeGreaterThan(0);
    expectSame(found, await forward(net, someInputs(5), ["first", "out"]));
    net.dispose();
  });

  test("takes one of several outputs by its index, nested models among them", async () => {
    const network = netOf(nested("first", "a"), nested("out", "b"));
    network.build();
    const both = tf.model({
      inputs: network.inputs,
      outputs: [network.getLayer("first").getOutputAt(0) as SymbolicTensor, network.outputs[0]],
    });
    const net = await loadModel(both, { preprocess: "none", output: 1 });
    const found = await forwardAll(net, patient(someInputs(5)), [1, 0], { batchSize: 1, workers: 2 });
    expect(given).toBeGreaterThan(0);
    expectSame(found, await forward(net, someInputs(5), [1, 0]));
    const plain = await loadModel(network, { preprocess: "none" });
    expectSame(found, await forward(plain, someInputs(5), ["out", "first"]));
    net.dispose();
  });

  test("starts no Worker for passes that are over sooner, and does where they last", async () => {
    await forwardAll(model, someInputs(40), ["out"], { batchSize: 2 });
    expect(started).toHaveLength(0);
    const heavy = await loadModel(
      netOf(
        tf.layers.conv2d({ name: "a", inputShape: [64, 64, 16], filters: 16, kernelSize: 3, padding: "same" }),
        tf.sequential({
          layers: [tf.layers.conv2d({ inputShape: [64, 64, 16], filters: 256, kernelSize: 9, padding: "same" })],
        }),
        tf.layers.globalAveragePooling2d({ name: "mean" }),
      ),
      { preprocess: "none" },
    );
    const maps = ndarray(new Float32Array(64 * 64 * 16).fill(1), [64, 64, 16]);
    const inputs = new Array(24).fill(maps);
    await forwardAll(heavy, inputs, ["a"], { batchSize: 1 });
    expect(started).toHaveLength(0);
    const stop = new AbortController();
    const run = forwardAll(heavy, inputs, ["mean"], { batchSize: 1, signal: stop.signal });
    await new Promise((done) => setTimeout(done, 10));
    stop.abort();
    await expect(run).rejects.toThrow(/abort/i);
    expect(started).toHaveLength(Math.min(24, navigator.hardwareConcurrency) - 1);
    heavy.dispose();
  });

  test("sees the weights as they are at each call", async () => {
    const net = await residual();
    const inputs = someInputs(8);
    const [before] = await forwardAll(net, patient(inputs), ["out"], { batchSize: 2, workers: 2 });
    shuffle(net.network, 2);
    given = 0;
    ready = Promise.withResolvers();
    const after = await forwardAll(net, patient(inputs), ["out"], { batchSize: 2, workers: 2 });
    expect(given).toBeGreaterThan(0);
    expect(after[0].data).not.toEqual(before.data);
    expectSame(after, await forward(net, inputs, ["out"], { batchSize: 2 }));
    net.dispose();
  });

  test("walks a stream of inputs, counts those done, leaves no tensor and changes no weight", async () => {
    const inputs = someInputs(7);
    const wanted = await forward(model, inputs, ["sum", "sum"], { batchSize: 2 });
    const tensors = tf.memory().numTensors;
    for (const workers of [1, 2]) {
      const seen: [number, number][] = [];
      const onProgress = (...progress: [number, number]) => void seen.push(progress);
      const options = { batchSize: 2, workers, onProgress };
      expectSame(await forwardAll(model, stream(inputs, 7), ["sum", "sum"], options), wanted);
      expectSame(await forwardAll(model, new Set(inputs), ["sum", "sum"], { batchSize: 2, workers }), wanted);
      expect(seen).toEqual(workers === 1 ? [[2, 7], [4, 7], [6, 7], [7, 7]] : [2, 4, 5, 6, 7].map((done) => [done, 7]));
    }
    expect(tf.memory().numTensors).toBe(tensors);
  });

  test("runs here what Workers cannot build", async () => {
    class Twice extends tf.layers.Layer {
      static className = "PoolTestTwice";
      override call(inputs: Tensor | Tensor[]) {
        return tf.mul(Array.isArray(inputs) ? inputs[0] : inputs, 2);
      }
    }
    const own = tf.sequential({ layers: [tf.layers.flatten({ inputShape: [6, 6, 3] }), new Twice({ name: "out" })] });
    const x = tf.input({ shape: [6, 6, 3] });
    const [first, out] = ["first", "out"].map((name) => nested(name, "same"));
    const twin = tf.model({ inputs: x, outputs: out.apply(first.apply(x)) as SymbolicTensor });
    for (const network of [own, twin]) {
      const net = await loadModel(network, { preprocess: "none" });
      const inputs = someInputs(3);
      const wanted = await forward(net, inputs, ["out"], { batchSize: 1 });
      const before = started.length;
      ready = Promise.withResolvers();
      expectSame(await forwardAll(net, patient(inputs), ["out"], { batchSize: 1, workers: 2 }), wanted);
      expect(started.length).toBe(before + 1);
      // The second time it knows.
      expectSame(await forwardAll(net, inputs, ["out"], { batchSize: 1, workers: 2 }), wanted);
      expect(started.length).toBe(before + 1);
      net.dispose();
    }
  });

  test("runs here on the other backends, whatever workers says", async () => {
    const inputs = someInputs(4);
    await useBackend("cpu");
    try {
      const found = await forwardAll(model, stream(inputs, 4), LAYERS, { batchSize: 1, workers: 2 });
      expect(started).toHaveLength(0);
      expectSame(found, await forward(model, inputs, LAYERS, { batchSize: 1 }));
    } finally {
      await useBackend("wasm");
    }
  });

  test.each([1, 2])("refuses what it cannot run, with %i threads", async (workers) => {
    const options = { batchSize: 1, workers };
    const run = (inputs: Parameters<typeof forwardAll>[1], more = {}) =>
      forwardAll(model, inputs, ["out"], { ...options, ...more });
    await expect(run([])).rejects.toThrow("There is no input");
    await expect(forwardAll(model, [input(1)], ["nope"], options)).rejects.toThrow('There is no layer "nope"');
    await expect(run([input(1)], { batchSize: 0 })).rejects.toThrow("batchSize must be a whole number ≥ 1: received 0");
    await expect(run([input(1)], { workers: 1.5 })).rejects.toThrow("workers must be a whole number ≥ 1: received 1.5");
    const odd = [...someInputs(4), ndarray([1, 2, 3], [1, 1, 3])];
    await expect(run(odd)).rejects.toThrow("Inputs must share one shape: received [6,6,3] and [1,1,3].");
    await expect(run(odd, { signal: AbortSignal.abort() })).rejects.toThrow(RangeError);
    expect(started).toHaveLength(0);
    await expect(run(stream(odd, 5))).rejects.toThrow("Inputs must share one shape: received [6,6,3] and [1,1,3].");
    await expect(run(stream(someInputs(3), 4))).rejects.toThrow("said that they are 4: there are only 3");
    await expect(run(stream(someInputs(5), 4))).rejects.toThrow("said that they are 4: there are more");
  });

  test.each([1, 2])("is over at once when it is aborted, with %i threads, and the next call works", async (workers) => {
    const tensors = tf.memory().numTensors;
    const inputs = someInputs(30);
    const stop = new AbortController();
    const events: unknown[] = [];
    const seen: number[] = [];
    const run = forwardAll(model, stream(inputs, 30, (event) => events.push(event)), ["out"], {
      batchSize: 2,
      workers,
      signal: stop.signal,
      onProgress(done) {
        seen.push(done);
        if (done === 6) stop.abort(new Error("enough"));
      },
    });
    await expect(run).rejects.toThrow("enough");
    expect(ended.size).toBe(workers - 1);
    expect(tf.memory().numTensors).toBe(tensors);
    // Inputs that were asked for still come before the end; how long that takes is the machine's affair.
    await vi.waitFor(() => expect(events.at(-1)).toBe("closed"), { timeout: 60_000 });
    await new Promise((done) => setTimeout(done, 100));
    expect(seen).toEqual([2, 4, 6]);
    expect(events.at(-1)).toBe("closed");
    expect(events.length).toBeLessThan(20);
    expect(tf.memory().numTensors).toBe(tensors);
    const [output] = await forwardAll(model, inputs, ["out"], { batchSize: 2, workers });
    expect(output.shape).toEqual([30, 5]);
  });

  test("tells which Worker failed, on what and why, and the next call works", async () => {
    const net = await picky();
    const run = () => {
      ready = Promise.withResolvers();
      return forwardAll(net, patient(words(9, 9)), ["flat"], { batchSize: 2, workers: 2 });
    };
    // The embedding has ten words.
    tamper = (data) => data[0] = 10;
    const error = await run().catch((error) => error);
    expect(error).toBeInstanceOf(WorkerError);
    expect(error.message).toMatch(/^Worker 1 of 1 failed on inputs \d to \d of 9: .*\b10 is not in \[0, 9\]/);
    expect(error.message).toContain("smaller batchSize");
    expect(ended.size).toBe(1);
    tamper = () => {};
    const [codes] = await run();
    expect(codes.shape).toEqual([9, 12]);
    // What fails in this thread is thrown as it is.
    const tensors = tf.memory().numTensors;
    await expect(forwardAll(net, words(10, 2), ["flat"], { batchSize: 2, workers: 2 })).rejects.toThrow("10 is not in");
    expect(ended.size).toBe(3);
    expect(tf.memory().numTensors).toBe(tensors);
    net.dispose();
  });

  test("ends the Workers when the inputs or the progress throw", async () => {
    const broken = {
      size: 6,
      *[Symbol.iterator]() {
        yield* someInputs(3);
        throw new Error("the disk is gone");
      },
    };
    const options = { batchSize: 1, workers: 2 };
    await expect(forwardAll(model, broken, ["out"], options)).rejects.toThrow("the disk is gone");
    const onProgress = () => {
      throw new Error("no screen");
    };
    await expect(forwardAll(model, someInputs(6), ["out"], { ...options, onProgress })).rejects.toThrow("no screen");
    expect(ended.size).toBe(2);
  });
});

describe("forwardEach", () => {
  test.each([1, 3])("hands batches over in order, one at a time, with %i threads", async (workers) => {
    const inputs = someInputs(24);
    const [wanted] = await forward(model, inputs, ["out"], { batchSize: 2 });
    let busy = false;
    let read = 0;
    let next = 0;
    const log = (event: number | "closed") => event !== "closed" && (read = event + 1);
    await forwardEach(model, stream(inputs, 24, log), ["out"], async ([output], start) => {
      expect(busy).toBe(false);
      busy = true;
      expect(start).toBe(next);
      next += output.shape[0];
      await new Promise((done) => setTimeout(done, 30));
      expect(output.data).toEqual(wanted.data.slice(start * 5, start * 5 + output.data.length));
      // However slow this is, the inputs do not run away: four batches a thread, of two inputs.
      expect(read).toBeLessThanOrEqual(start + 2 * 4 * workers);
      busy = false;
    }, { batchSize: 2, workers });
    expect(next).toBe(24);
  });
});

describe("in a process of its own", () => {
  const POOL = JSON.stringify(new URL("../../lib/scan/forward_all.ts", import.meta.url).href);
  const LOAD = JSON.stringify(new URL("../../lib/model/load.ts", import.meta.url).href);
  const BACKEND = JSON.stringify(new URL("../../lib/runtime/backend.ts", import.meta.url).href);
  const SETUP = `
    import { forwardAll } from ${POOL};
    import { loadModel } from ${LOAD};
    import { ensureBackend, useBackend } from ${BACKEND};
    await useBackend("wasm");
    const tf = await ensureBackend();
    const conv = tf.layers.conv2d({
      name: "conv", inputShape: [64, 64, 16], filters: 256, kernelSize: 9, padding: "same", kernelInitializer: "ones",
    });
    const layers = [conv, tf.layers.globalAveragePooling2d({ name: "mean" })];
    const model = await loadModel(tf.sequential({ layers }), { preprocess: "none" });
    const inputs = Array.from({ length: 4 }, (_, i) => ({ data: new Float32Array(65536).fill(i), shape: [64, 64, 16] }));
    const run = (last = Infinity) => {
      const stop = new AbortController();
      const onProgress = (done) => done === last && stop.abort();
      return forwardAll(model, inputs, ["mean"], { batchSize: 1, workers: 2, signal: stop.signal, onProgress });
    };
  `;
  /** Each value of the mean over that of the second input; the first is of zeros. */
  const RATIOS = `const [{ data }] = await run();
    const ratios = [0, 1, 2, 3].map((i) => Math.round(1000 * data[256 * i] / data[256]) / 1000).join();`;
  let folder: string;
  beforeEach(async () => {
    folder = await Deno.makeTempDir();
  });
  afterEach(() => Deno.remove(folder, { recursive: true }));

  test("runs in a folder without deno.json, and the process ends by itself, also after an abort", async () => {
    await Deno.writeTextFile(
      `${folder}/own.ts`,
      `${SETUP}
      ${RATIOS}
      console.log(ratios);
      await run(1).catch(({ name }) => console.log(name));
      console.log(Date.now());`,
    );
    const { stdout, stderr, success } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", "own.ts"],
      cwd: folder,
      env: { NO_COLOR: "1" },
      signal: AbortSignal.timeout(60_000),
    }).output();
    const [ratios, error, last] = new TextDecoder().decode(stdout).trim().split("\n");
    expect(success, new TextDecoder().decode(stderr)).toBe(true);
    expect([ratios, error]).toEqual(["0,1,2,3", "AbortError"]);
    // Workers that were ended finish the batch that they are at; the limit above is for those that never end.
    expect(Date.now() - Number(last)).toBeLessThan(30_000);
  });

  test("runs in the Jupyter kernel, also after an abort", async () => {
    const abort = `await run(1).then(() => "done", ({ name }) => name)`;
    // As the whole library does: else the kernel may publish the value of a cell when it has called the cell done.
    const keep = `const { keepOutputs } = await import(${JSON.stringify(DISPLAY)}); keepOutputs();`;
    const { notebook, failures } = await runNotebook(
      notebookOf([`${SETUP}\n${keep}`, abort, `${RATIOS}\nratios`]),
      { folder, timeout: 60_000 },
    );
    expect(failures).toEqual([]);
    const [, aborted, ratios] = (notebook.cells as CodeCell[]).map(({ outputs }) => JSON.stringify(outputs));
    expect(aborted).toContain("AbortError");
    expect(ratios).toContain("0,1,2,3");
  });
});

test("a network gets as many Workers as there are cores, but no more than memory holds its weights", () => {
  const of = (params: number) => workersFor({ countParams: () => params });
  expect(of(1000)).toBe(navigator.hardwareConcurrency);
  expect(of(0)).toBe(navigator.hardwareConcurrency);
  expect(of(1e12)).toBe(1);
});
