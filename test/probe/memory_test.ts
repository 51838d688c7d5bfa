/** No probe leaves memory taken, and what does not fit is refused by a named error, after which all goes on. */

import type { LayersModel, Tensor } from "@tensorflow/tfjs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ndarray } from "../../lib/array.ts";
import { loadModel } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import { forward } from "../../lib/probe/forward.ts";
import { inputGradient } from "../../lib/probe/gradient.ts";
import { type BackendName, doctor, ensureBackend, type TF, useBackend } from "../../lib/runtime/backend.ts";
import { MemoryError } from "../../lib/memory.ts";
import type { Taken } from "./memory_process.ts";
import { ALL, long } from "../long.ts";
import { testedBackends } from "../backends.ts";

// This suite goes through the backends itself.
Deno.env.delete("CONVLENS_BACKEND");
const { rows } = await doctor();
const backends = await testedBackends();
for (const { name, available, reason } of rows) {
  if (!available) console.log(`Memory is not tested on ${name} (${reason}).`);
}
await useBackend("cpu");
const tf = await ensureBackend();
afterAll(() => useBackend("cpu"));

async function measure(backend: BackendName, calls: number): Promise<Taken[]> {
  const script = fileURLToPath(new URL("memory_process.ts", import.meta.url));
  const { stdout, stderr, success } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--v8-flags=--expose-gc", script, backend, String(calls)],
    env: { CONVLENS_BACKEND: "", NO_COLOR: "1" },
  }).output();
  const text = new TextDecoder();
  expect(success, text.decode(stderr)).toBe(true);
  return JSON.parse(text.decode(stdout).trim().split("\n").at(-1)!);
}

/** How often each probe is called: less often where a call takes long. */
const CALLS: Partial<Record<BackendName, number>> = { cpu: 300, webgpu: 50 };
test.each(backends.map((backend) => [backend, long(CALLS[backend] ?? 600, backend === "cpu" ? 6 : 30)] as const))(
  "on %s, %i calls of each probe, failed and aborted ones too, leave memory where it was",
  async (backend, calls) => {
    const all = await measure(backend, calls);
    const [first, last] = [all[0], all.at(-1)!];
    for (const key of ["numTensors", "numDataBuffers", "numBytes", "heap", "buffers"] as const) {
      expect(last[key], key).toBe(first[key]);
    }
    expect(first.numTensors).toBeGreaterThan(0);
    // What is not counted shows only after many calls.
    if (!ALL) return;
    /** What leaks grows in each third of the calls; what grows once was only not collected yet. */
    const growth = (of: (taken: Taken) => number) =>
      Math.min(...all.slice(1).map((taken, i) => of(taken) - of(all[i])));
    expect(growth(({ bufferBytes }) => bufferBytes ?? 0)).toBeLessThan(1e4);
    expect(growth(({ javascript }) => javascript)).toBeLessThan(2e6);
    // The maps of one call take 160 kB, those of a third of all calls 32 MB, and 16 MB of arrays on cpu.
    expect(growth(({ resident }) => resident)).toBeLessThan(25e6);
  },
  // Half a minute on an idle machine, and this is for leaks, not for speed.
  600_000,
);

/** 256×256×3 → a 1×1 convolution, 128 filters, 34 MB an input with the input itself → averages. */
function wideNet(tf: TF): LayersModel {
  return tf.sequential({
    layers: [
      tf.layers.conv2d({
        name: "conv",
        inputShape: [256, 256, 3],
        filters: 128,
        kernelSize: 1,
        kernelInitializer: "ones",
      }),
      tf.layers.globalAveragePooling2d({ name: "average" }),
    ],
  });
}

const image = ndarray(new Float32Array(256 * 256 * 3).fill(2), [256, 256, 3]);
const images = (count: number) => new Array<typeof image>(count).fill(image);

/** That a model computes what it should: each average is three times the image's grey. */
async function expectWorking(model: Model) {
  const [{ data }] = await forward(model, images(1), ["average"]);
  expect(new Set(data)).toEqual(new Set([6]));
}

async function memoryErrorOf(run: Promise<unknown>): Promise<string> {
  const error = await run.then(() => null, (error) => error);
  expect(error).toBeInstanceOf(MemoryError);
  expect(error.name).toBe("MemoryError");
  return error.message;
}

describe.each(long(backends, backends.filter((backend) => backend === "wasm")))("on %s", (backend) => {
  let model: Model;
  beforeAll(async () => {
    await useBackend(backend);
    model = await loadModel(wideNet(tf), { preprocess: "none", name: "wide" });
  });
  afterAll(() => model.dispose());

  test("a batch that does not fit is refused, told by its size, and the next call works", async () => {
    // An input and its maps take 34 MB: so many are more than any of these machines has.
    const count = Math.ceil(2 * process.availableMemory() / 34e6);
    const before = tf.memory().numTensors;
    const message = await memoryErrorOf(forward(model, images(count), ["average"], { batchSize: count }));
    expect(message).toContain(`A batch of ${count} inputs of "wide"`);
    expect(message).toMatch(/Use a smaller batchSize/);
    expect(message).toMatch(/\d GB/);
    expect(tf.memory().numTensors).toBe(before);
    await expectWorking(model);
  });

  test("more results than memory are refused before anything is computed", async () => {
    const count = Math.ceil(2 * process.availableMemory() / (256 * 256 * 128 * 4));
    const message = await memoryErrorOf(forward(model, images(count), ["conv"], { batchSize: 1 }));
    expect(message).toMatch(/takes .* GB; this machine has .* GB free\. Ask for fewer inputs at a time/);
    await expectWorking(model);
  });

  test("a tensor beyond all memory is a MemoryError of the gradient, too, and the next call works", async () => {
    const x = tf.tensor2d([1, 2], [1, 2]);
    const before = tf.memory().numTensors;
    const enormous = (x: Tensor) => tf.sum(tf.tile(tf.square(x), [1e6, 1e9]));
    expect(() => inputGradient(tf, enormous, x)).toThrow(MemoryError);
    expect(tf.memory().numTensors).toBe(before);
    const { value, gradient } = inputGradient(tf, (x) => tf.square(x), x);
    expect([...await gradient.data()]).toEqual([2, 4]);
    tf.dispose([x, value, gradient]);
  });
});

test("the batchSize that an error names does fit", async () => {
  await useBackend("wasm");
  const model = await loadModel(wideNet(tf), { preprocess: "none", name: "wide" });
  const ballast = ballastOf(9e8);
  const message = await memoryErrorOf(forward(model, images(20), ["average"], { batchSize: 20 }));
  const fitting = Number(message.match(/such as (\d+)\./)?.[1]);
  // Half of 4.29 GB, less 3.6 GB and what is left to tables and gaps, at 34.3 MB an input.
  expect(fitting).toBe(6);
  const [{ data }] = await forward(model, images(fitting), ["average"], { batchSize: fitting });
  expect(data.length).toBe(fitting * 128);
  expect(new Set(data)).toEqual(new Set([6]));
  ballast.dispose();
  model.dispose();
});

/** A tensor of so many numbers on WASM. Nobody writes to it, so that it costs the machine nothing. */
function ballastOf(floats: number): Tensor {
  const { makeOutput } = tf.backend() as unknown as { makeOutput(shape: number[], dtype: string): Tensor };
  return tf.engine().makeTensorFromTensorInfo(makeOutput.call(tf.backend(), [floats], "float32"));
}

test("a model that does not fit is refused before anything of it is made, and loads once there is room", async () => {
  await useBackend("wasm");
  const folder = await Deno.makeTempDir();
  try {
    const net = tf.sequential({ layers: [tf.layers.dense({ inputShape: [4000], units: 4000, useBias: false })] });
    const weights = [{ name: net.weights[0].name, shape: [4000, 4000], dtype: "float32" }];
    await Deno.writeTextFile(
      `${folder}/model.json`,
      JSON.stringify({
        modelTopology: JSON.parse(String(net.toJSON())),
        weightsManifest: [{ paths: ["w.bin"], weights }],
      }),
    );
    await Deno.writeFile(`${folder}/w.bin`, new Uint8Array(4 * 4000 * 4000));
    net.dispose();
    const ballast = ballastOf(1e9);
    const before = tf.memory().numTensors;
    const message = await memoryErrorOf(loadModel(folder));
    expect(message).toMatch(
      /model\.json takes 128 MB while it loads; the backend "wasm" has .* left\. Dispose of models/,
    );
    expect(tf.memory().numTensors).toBe(before);
    ballast.dispose();
    (await loadModel(folder)).dispose();
    expect(tf.memory().numTensors).toBe(before - 1);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

describe("when wasm's memory fills up in the middle of a pass", () => {
  /** The part of the backend that allocates. Memory that is never written to costs the machine nothing. */
  const heap = () =>
    (tf.backend() as unknown as { wasm: { _malloc(bytes: number): number; _free(at: number): void } }).wasm;

  test("each call fails by name, none writes elsewhere, and afterwards all is right", async () => {
    await useBackend("wasm");
    const model = await loadModel(wideNet(tf), { preprocess: "none", name: "wide" });
    await expectWorking(model);
    const canary = tf.fill([1024], 7);
    const before = tf.memory();
    const ballast = heap()._malloc(3.9e9);
    for (let i = 0; i < 20; i++) {
      const message = await memoryErrorOf(forward(model, images(8), ["average"]));
      expect(message).toContain(
        'A batch of 8 inputs of "wide", 6.29 MB of numbers before the first layer, did not fit',
      );
      expect(message).toMatch(/no room for another 268 MB.*Use a smaller batchSize/);
    }
    // Of one input the maps fit.
    await expectWorking(model);
    heap()._free(ballast);
    expect(tf.memory()).toEqual(before);
    expect(new Set(await canary.data())).toEqual(new Set([7]));
    await expectWorking(model);
    tf.dispose(canary);
    model.dispose();
  });

  test("a tensor of 4 GB and a little is not given the little", async () => {
    await useBackend("wasm");
    const before = tf.memory().numTensors;
    expect(() => tf.tidy(() => tf.tile(tf.ones([1024, 1]), [1, 2 ** 20 + 1]))).toThrow(MemoryError);
    expect(tf.memory().numTensors).toBe(before);
  });
});
