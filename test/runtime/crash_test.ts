import { expect, test } from "vitest";
import type { Tensor4D } from "@tensorflow/tfjs";
import { loadModel, type Model, predict, saliency, useBackend } from "../../mod.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { CrashGuard } from "../../lib/runtime/crash.ts";
import { landscape } from "../nets.ts";

await useBackend("wasm");
const tf = await ensureBackend();

/** Pools maps that are smaller than the window, without convlens's checks: tfjs goes on to the end of WASM's memory. */
const crash = () => tf.maxPool(tf.zeros([1, 1, 1, 2]) as Tensor4D, 4, 4, "valid");

const answers = async (model: Model) => {
  const { rows } = await predict(model, landscape());
  return [...rows.map(({ probability }) => probability), (await saliency(model, landscape())).score];
};

test("a crashed backend says so, and the next call makes it anew with the models' weights", async () => {
  const model = await loadModel("cifar-convnet");
  const before = await answers(model);
  const mine = tf.tensor1d([1, 2, 3]);
  const tensors = tf.memory().numTensors;
  for (let time = 0; time < 2; time++) {
    expect(() => tf.tidy(crash)).toThrow(
      /"wasm" cannot be used: it crashed as it computed MaxPool \(.+\)\. The next call/,
    );
    expect(() => tf.tidy(() => tf.add(1, 2)), "until then nothing is computed").toThrow(
      "it crashed as it computed MaxPool",
    );
    expect(await answers(model)).toEqual(before);
    expect(tf.memory().numTensors).toBe(tensors);
  }
  expect(() => mine.dataSync(), "a tensor that is no weight").toThrow("this tensor was lost");
  mine.dispose();
  expect(tf.memory().numTensors).toBe(tensors - 1);
  // What others had computed may be damaged: it cannot be read any more, neither before nor after the next call.
  const others = tf.tensor1d([4, 5, 6]);
  expect(() => tf.tidy(crash)).toThrow("crashed");
  await expect(others.data()).rejects.toThrow("it crashed as it computed MaxPool");
  const call = answers(model);
  await expect(others.data()).rejects.toThrow("crashed");
  await call;
  await expect(others.data()).rejects.toThrow("this tensor was lost");
  others.dispose();
  expect(tf.memory().numTensors).toBe(tensors - 1);
  // A model that is loaded afterwards, and calls at the same time.
  expect(() => tf.tidy(crash)).toThrow("crashed");
  const [again, old] = await Promise.all([loadModel("cifar-convnet").then(answers), answers(model)]);
  expect([again, old]).toEqual([before, before]);
  model.dispose();
});

test("weights that are too large to be copied are used again only if the crash left them as they were", async () => {
  const most = CrashGuard.mostCopied;
  CrashGuard.mostCopied = 0;
  try {
    const model = await loadModel("cifar-convnet");
    const before = await answers(model);
    const { wasm, dataIdMap } = tf.findBackend("wasm") as unknown as {
      wasm: { HEAPU8: Uint8Array };
      dataIdMap: { get(id: object): { memoryOffset: number } };
    };
    const { dataId } = model.network.getLayer("conv1").getWeights()[0];
    const { memoryOffset } = dataIdMap.get(dataId);
    const kept = wasm.HEAPU8.slice();
    expect(() => tf.tidy(crash)).toThrow("crashed");
    wasm.HEAPU8.set(kept);
    expect(await answers(model), "nothing was damaged").toEqual(before);

    const place = dataIdMap.get(dataId);
    const now = (tf.findBackend("wasm") as unknown as { wasm: { HEAPU8: Uint8Array } }).wasm;
    const all = now.HEAPU8.slice();
    expect(() => tf.tidy(crash)).toThrow("crashed");
    now.HEAPU8.set(all);
    now.HEAPU8[place.memoryOffset + 1] ^= 1;
    expect(memoryOffset).toBeGreaterThan(0);
    await expect(predict(model, landscape())).rejects.toThrow('damaged the weights "conv1');
    expect(model.network.getLayer("conv1").getWeights()[0].dataSync().every(Number.isNaN)).toBe(true);
    expect(model.network.getLayer("conv1").getWeights()[1].dataSync().every(Number.isFinite)).toBe(true);
    const again = await loadModel("cifar-convnet");
    expect(await answers(again)).toEqual(before);
    model.dispose();
    again.dispose();
  } finally {
    CrashGuard.mostCopied = most;
  }
});
