import type { layers as tfLayers, LayersModel, SymbolicTensor, Tensor } from "@tensorflow/tfjs";
import fc from "fast-check";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type NdArray, ndarray, sizeOf } from "../../lib/array.ts";
import type { CodeCell } from "../../lib/figure/jupyter/notebook.ts";
import { runNotebook } from "../../lib/figure/jupyter/kernel.ts";
import { loadModel } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import { forward } from "../../lib/probe/forward.ts";
import { ensureBackend, useBackend } from "../../lib/runtime/backend.ts";
import { forwardAll, forwardEach, WorkerError, workersFor } from "../../lib/scan/pool.ts";
import { uniforms } from "../nets.ts";
import { notebookOf } from "../notebooks/samples.ts";

await useBackend("wasm");
const tf = await ensureBackend();

/** The Workers that a test started, and those of them that were ended. */
let started: Worker[];
let ended: Set<Worker>;
const NativeWorker = globalThis.Worker;
beforeEach(() => {
  started = [];
  ended = new Set();
  globalThis.Worker = class extends NativeWorker {
    constructor(...args: ConstructorParameters<typeof Worker>) {
      super(...args);
      started.push(this);
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

const LAYERS = ["norm", "block", "sum", "out"];
const input = (seed: number) => {
  const next = uniforms(seed);
  return ndarray(Array.from({ length: 108 }, () => 2 * next() - 1), [6, 6, 3]);
};
const someInputs = (count: number) => Array.from({ length: count }, (_, i) => input(i + 1));
const words = (value: number, count: number) =>
  Array.from({ length: count }, (_, i) => ndarray([0, 1, 2, i === count - 2 ? value : 3], [4]));

/** Inputs that are made while they are walked; `log` sees how far that went, and that the walk was closed. */
function stream(inputs: NdArray[], size: number, log: (event: number | "closed") => void = () => {}) {
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

/** Compares to the bit: `toEqual` on typed arrays tells 0 from -0. */
function expectSame(found: NdArray[], wanted: NdArray[]): void {
  expect(found.map(({ shape }) => shape)).toEqual(wanted.map(({ shape }) => shape));
  for (const [i, { data }] of found.entries()) expect(data).toEqual(wanted[i].data);
}

describe("forwardAll", () => {
  test("gives what forward gives, to the bit, however many Workers there are", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 12 }),
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 1, max: 3 }),
        async (count, batchSize, workers) => {
          const inputs = someInputs(count);
          const before = started.length;
          const found = await forwardAll(model, inputs, LAYERS, { batchSize, workers });
          const wanted = Math.min(workers, Math.ceil(count / batchSize));
          expect(started.length - before).toBe(wanted === 1 ? 0 : wanted);
          expectSame(found, await forward(model, inputs, LAYERS, { batchSize }));
        },
      ),
      // Up to three inputs the normalisation is not folded, from four on it is.
      { numRuns: 16, seed: 3, examples: [[3, 1, 2], [4, 1, 2], [5, 2, 2], [1, 1, 2]] },
    );
  });

  test("gives what forward gives on ResNet-50", async () => {
    const resnet = await loadModel("resnet50");
    const next = uniforms(5);
    const inputs = Array.from(
      { length: 4 },
      () => ndarray(Float32Array.from({ length: 224 * 224 * 3 }, () => 255 * next() - 120), [224, 224, 3]),
    );
    const layers = ["activation_9", resnet.layers.at(-1)!.name];
    const found = await forwardAll(resnet, inputs, layers, { batchSize: 2, workers: 2 });
    expect(started).toHaveLength(2);
    expectSame(found, await forward(resnet, inputs, layers, { batchSize: 2 }));
    resnet.dispose();
  });

  test("gives what forward gives for nets in a net", async () => {
    const network = netOf(nested("first", "a"), nested("out", "b"));
    network.build();
    const net = await loadModel(network, { preprocess: "none" });
    const found = await forwardAll(net, someInputs(3), ["first", "out"], { batchSize: 1, workers: 2 });
    expect(started).toHaveLength(2);
    expectSame(found, await forward(net, someInputs(3), ["first", "out"], { batchSize: 1 }));
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
    const inputs = new Array(16).fill(maps);
    await forwardAll(heavy, inputs, ["a"], { batchSize: 1 });
    expect(started).toHaveLength(0);
    const stop = new AbortController();
    const run = forwardAll(heavy, inputs, ["mean"], { batchSize: 1, signal: stop.signal });
    await new Promise((done) => setTimeout(done, 10));
    stop.abort();
    await expect(run).rejects.toThrow(/abort/i);
    expect(started).toHaveLength(Math.min(16, navigator.hardwareConcurrency));
    heavy.dispose();
  });

  test("sees the weights as they are at each call", async () => {
    const net = await residual();
    const inputs = someInputs(4);
    const [before] = await forwardAll(net, inputs, ["out"], { batchSize: 2, workers: 2 });
    shuffle(net.network, 2);
    const after = await forwardAll(net, inputs, ["out"], { batchSize: 2, workers: 2 });
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
      expect(seen).toEqual([[2, 7], [4, 7], [6, 7], [7, 7]]);
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
      expectSame(await forwardAll(net, inputs, ["out"], { batchSize: 1, workers: 2 }), wanted);
      expect(started.length).toBe(before + 2);
      // The second time it knows.
      expectSame(await forwardAll(net, inputs, ["out"], { batchSize: 1, workers: 2 }), wanted);
      expect(started.length).toBe(before + 2);
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

  test.each([1, 2])("refuses what it cannot run, with %i Workers", async (workers) => {
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

  test.each([1, 2])("is over at once when it is aborted, with %i Workers, and the next call works", async (workers) => {
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
    expect(ended.size).toBe(workers === 1 ? 0 : 2);
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
    const run = (value: number, count = 9) =>
      forwardAll(net, words(value, count), ["flat"], { batchSize: 2, workers: 2 });
    const error = await run(10).catch((error) => error);
    expect(error).toBeInstanceOf(WorkerError);
    expect(error.message).toMatch(/^Worker [12] of 2 failed on inputs 6 to 7 of 9: .*\b10 is not in \[0, 9\]/);
    expect(error.message).toContain("smaller batchSize");
    expect(ended.size).toBe(2);
    const [codes] = await run(9);
    expect(codes.shape).toEqual([9, 12]);
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
    expect(ended.size).toBe(4);
  });
});

describe("forwardEach", () => {
  test.each([1, 3])("hands batches over in order, one at a time, with %i Workers", async (workers) => {
    const inputs = someInputs(11);
    const [wanted] = await forward(model, inputs, ["out"], { batchSize: 2 });
    let busy = false;
    let read = 0;
    const starts: number[] = [];
    const log = (event: number | "closed") => event !== "closed" && (read = event + 1);
    await forwardEach(model, stream(inputs, 11, log), ["out"], async ([output], start) => {
      expect(busy).toBe(false);
      busy = true;
      starts.push(start);
      await new Promise((done) => setTimeout(done, 30));
      expect(output.data).toEqual(wanted.data.slice(start * 5, start * 5 + output.data.length));
      // However slow this is, the inputs do not run away: two batches a Worker under way, one taken by each.
      expect(read).toBeLessThanOrEqual(start + 2 * 3 * workers);
      busy = false;
    }, { batchSize: 2, workers });
    expect(starts).toEqual([0, 2, 4, 6, 8, 10]);
  });
});

describe("in a process of its own", () => {
  const POOL = JSON.stringify(new URL("../../lib/scan/pool.ts", import.meta.url).href);
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
    expect(Date.now() - Number(last)).toBeLessThan(5000);
  });

  test("runs in the Jupyter kernel, also after an abort", async () => {
    const abort = `await run(1).then(() => "done", ({ name }) => name)`;
    const { notebook, failures } = await runNotebook(
      notebookOf([SETUP, abort, `${RATIOS}\nratios`]),
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
