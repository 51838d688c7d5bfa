/** The self-check must find a backend that computes wrong, and leave nothing behind. */

import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { ensureBackend, type TF, useBackend } from "../../lib/runtime/backend.ts";
import { BackendError } from "../../lib/runtime/candidate.ts";
import { selfCheck, TOLERANCE } from "../../lib/runtime/self_check.ts";

let tf: TF;

type KernelName = Parameters<TF["getKernel"]>[0];
type KernelFunc = NonNullable<ReturnType<TF["getKernel"]>>["kernelFunc"];

/** Registers a copy of the cpu backend in which one kernel is replaced, or missing. */
function brokenBackend(kernelName: KernelName, broken?: (right: KernelFunc) => KernelFunc) {
  const cpu = tf.findBackend("cpu");
  tf.registerBackend("broken", () => Object.assign(Object.create(cpu), { dispose() {} }));
  tf.copyRegisteredKernels("cpu", "broken");
  tf.findBackend("broken");
  const right = tf.getKernel(kernelName, "broken")!.kernelFunc;
  tf.unregisterKernel(kernelName, "broken");
  if (broken) tf.registerKernel({ kernelName, backendName: "broken", kernelFunc: broken(right) });
}

/** Scales the first value of what a kernel gives. */
const scaled = (factor: number) => (right: KernelFunc): KernelFunc => (parameters) => {
  const output = right(parameters);
  const { dataId } = Array.isArray(output) ? output[0] : output;
  const values = parameters.backend as { readSync(id: object): Float32Array };
  const data = values.readSync(dataId);
  data[0] = data[0] * factor + (factor - 1);
  return output;
};

beforeAll(async () => {
  await useBackend("wasm");
  tf = await ensureBackend();
});

afterEach(() => {
  if (!tf.engine().backendNames().includes("broken")) return;
  for (const { kernelName } of tf.getKernelsForBackend("broken")) tf.unregisterKernel(kernelName, "broken");
  tf.removeBackend("broken");
});

describe("selfCheck", () => {
  test("wasm and a faithful copy of cpu pass", async () => {
    const before = tf.memory().numTensors;
    expect(await selfCheck(tf, "wasm")).toBeLessThan(TOLERANCE / 10);
    brokenBackend("Conv2D", (right) => right);
    expect(await selfCheck(tf, "broken")).toBe(0);
    expect(tf.memory().numTensors).toBe(before);
    expect(tf.getBackend()).toBe("wasm");
  });

  test.each([
    ...["Conv2D", "MaxPool", "AvgPool", "BatchMatMul", "Relu", "Softmax"],
    ...["Conv2DBackpropInput", "Conv2DBackpropFilter", "MaxPoolGrad", "AvgPoolGrad"],
  ] as KernelName[])(
    "finds a %s of which one value is wrong, and zeros, and NaN",
    async (kernelName) => {
      for (const factor of [1.1, 0, NaN]) {
        brokenBackend(kernelName, scaled(factor));
        const error = await selfCheck(tf, "broken").catch((error) => error);
        expect(error, `${kernelName} × ${factor}`).toBeInstanceOf(BackendError);
        expect(error.reason).toMatch(/^its self-check failed: .* are off by .* \(at most 0.001 is allowed\)$/);
        for (const { kernelName } of tf.getKernelsForBackend("broken")) tf.unregisterKernel(kernelName, "broken");
        tf.removeBackend("broken");
      }
      expect(tf.getBackend()).toBe("wasm");
    },
  );

  test("a kernel that throws leaves no tensor and the active backend as it was", async () => {
    const before = tf.memory().numTensors;
    brokenBackend("MaxPool", () => () => {
      throw new Error("out of\n  shared memory.");
    });
    await expect(selfCheck(tf, "broken")).rejects.toThrow("its self-check failed: out of shared memory. Its results");
    expect(tf.memory().numTensors).toBe(before);
    expect(tf.getBackend()).toBe("wasm");
  });

  test("a kernel that is missing is named", async () => {
    brokenBackend("AvgPool");
    await expect(selfCheck(tf, "broken")).rejects.toThrow("Kernel 'AvgPool' not registered");
  });
});
