import type { Tensor } from "@tensorflow/tfjs";
import { describe, expect, test } from "vitest";
import { doctor, ensureBackend, useBackend } from "../../../lib/runtime/backend.ts";

const available = (await doctor()).rows.filter((row) => row.available).map((row) => row.name);

describe.each(available)("on %s", (backend) => {
  test("a ReLU passes its gradient where its input is above zero, and not at zero", async () => {
    await useBackend(backend);
    const tf = await ensureBackend();
    const gradient = tf.tidy(() => tf.grad((x) => tf.mul(tf.relu(x), [5, 6, 7, 8]))(tf.tensor1d([-1, 0, 1e-30, 2])));
    expect([...await gradient.data()]).toEqual([0, 0, 7, 8]);
    gradient.dispose();
  });

  test("and so does the gradient of that gradient", async () => {
    await useBackend(backend);
    const tf = await ensureBackend();
    // d/dx (relu x)² = 2 relu x, whose gradient is 2 where x > 0.
    const first = tf.grad((x) => tf.square(tf.relu(x)) as Tensor);
    const second = tf.tidy(() => tf.grad((x) => first(x))(tf.tensor1d([-1, 0, 3])));
    expect([...await second.data()]).toEqual([0, 0, 2]);
    second.dispose();
  });
});

test.runIf(available.includes("tensorflow"))("on tensorflow a ReLU's gradient is one operation", async () => {
  await useBackend("tensorflow");
  const tf = await ensureBackend();
  const { kernelNames } = await tf.profile(() => tf.grad((x) => tf.relu(x))(tf.tensor1d([-1, 2])));
  expect(kernelNames).toContain("ReluGrad");
  expect(kernelNames).not.toContain("Step");
});
