/** Looking whether tensors are left behind. */

import { expect } from "vitest";
import { ensureBackend } from "../lib/runtime/backend.ts";

/** Runs something, also what throws, and expects that no tensor is left. */
export async function tidily<T>(run: () => Promise<T>): Promise<T> {
  const tf = await ensureBackend();
  const before = tf.memory().numTensors;
  try {
    return await run();
  } finally {
    expect(tf.memory().numTensors).toBe(before);
  }
}
