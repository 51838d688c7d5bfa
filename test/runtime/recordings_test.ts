/** Functions that are computed again and again: the same each time, on any backend; on native TensorFlow by a recording. */

import type { Tensor, Tensor4D } from "@tensorflow/tfjs";
import { afterEach, describe, expect, test } from "vitest";
import { inputGradient } from "../../lib/probe/gradient.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { Recordings } from "../../lib/runtime/recordings.ts";
import { uniforms } from "../nets.ts";

const tf = await ensureBackend();
const isNative = tf.getBackend() === "tensorflow" &&
  !(tf.backend() as unknown as { isUsingGpuDevice: boolean }).isUsingGpuDevice;
const random = uniforms(1);
const drawn = (...shape: number[]) =>
  tf.tensor(Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random() - 0.5), shape);

const kept: Tensor[] = [];
const recordings = new Recordings(tf);
const before = tf.memory().numTensors;
afterEach(() => {
  tf.dispose(kept.splice(0));
  recordings.dispose();
  expect(tf.memory().numTensors).toBe(before);
});
const keep = <T extends Tensor>(tensor: T): T => {
  kept.push(tensor);
  return tensor;
};

/** Runs a function five times by the recordings and by itself, on other inputs each time. */
async function compare(key: string, shapes: number[][], compute: (inputs: readonly Tensor[]) => Tensor[]) {
  let calls = 0;
  for (let time = 0; time < 5; time++) {
    const inputs = shapes.map((shape) => keep(drawn(...shape)));
    const found = recordings.run(key, inputs, (inputs) => {
      calls++;
      return compute(inputs);
    });
    const wanted = compute(inputs);
    kept.push(...found, ...wanted);
    expect(found.map(({ shape }) => shape)).toEqual(wanted.map(({ shape }) => shape));
    for (const [i, tensor] of found.entries()) {
      const [a, b] = await Promise.all([tensor.data(), wanted[i].data()]);
      const most = Math.max(1e-3, ...Array.from(b, Math.abs));
      expect(Math.max(...Array.from(a, (value, at) => Math.abs(value - b[at]))) / most).toBeLessThan(1e-5);
    }
  }
  return calls;
}

describe("what is computed again and again is the same each time", () => {
  test("of a convolution, poolings and a softmax, with the gradient", async () => {
    const [filter, bias] = [keep(drawn(3, 3, 2, 16)) as Tensor4D, keep(drawn(16))];
    const dense = keep(drawn(16, 3));
    const compute = ([x, weights]: readonly Tensor[]) => {
      const score = (x: Tensor) => {
        const maps = tf.relu(tf.add(tf.conv2d(tf.div(tf.sub(x, 3), [2, 4]) as Tensor4D, filter, 1, "same"), bias));
        const pooled = tf.avgPool(tf.maxPool(maps as Tensor4D, 2, 2, "valid"), 2, 1, "valid");
        const sums = tf.matMul(tf.reshape(tf.mean(pooled, [1, 2]), [-1, 16]) as never, dense as never);
        return tf.sum(tf.mul(tf.softmax(sums), weights), 1);
      };
      const { value, gradient } = inputGradient(tf, score, x);
      return [value, gradient];
    };
    expect(await compare("net", [[2, 7, 6, 2], [2, 3]], compute)).toBe(isNative ? 2 : 5);
    // Another number of images has a recording of its own.
    expect(await compare("net", [[1, 7, 6, 2], [1, 3]], compute)).toBe(isNative ? 2 : 5);
  });

  test("of tables larger than what a graph holds, and of more than one output of an operation", async () => {
    const table = keep(drawn(60, 70));
    const compute = ([x]: readonly Tensor[]) =>
      tf.tidy(() => {
        const [left, right] = tf.split(tf.mul(x, table), 2, 1);
        return [tf.sub(left, right), tf.transpose(right), tf.where(tf.greater(left, 0), left, tf.mul(right, 2))];
      });
    expect(await compare("table", [[60, 70]], compute)).toBe(isNative ? 2 : 5);
  });

  test("where it reads numbers, gives what it was given, or nothing that depends on it: then it is no recording", async () => {
    const reads = ([x]: readonly Tensor[]) => tf.tidy(() => [tf.mul(x, x.dataSync()[0])]);
    const constant = keep(tf.ones([2]));
    expect(await compare("reads", [[2]], reads)).toBe(5);
    expect(await compare("stays", [[2]], () => [tf.clone(constant)])).toBe(5);
    expect(await compare("hands on", [[2]], ([x]) => [tf.clone(x)])).toBe(isNative ? 2 : 5);
  });

  test("of inputs of which two are the same tensor, once and not again", async () => {
    const add = ([a, b]: readonly Tensor[]) => tf.tidy(() => [tf.sub(a, tf.mul(b, 2))]);
    const [x, y] = [keep(drawn(3)), keep(drawn(3))];
    for (const pair of [[x, x], [x, x], [x, y], [x, x], [y, x], [x, y]]) {
      const [found] = recordings.run("twice", pair, (inputs) => add(inputs));
      const [wanted] = add(pair);
      kept.push(found, wanted);
      expect([...await found.data()]).toEqual([...await wanted.data()].map((value) => expect.closeTo(value, 6)));
    }
  });

  test("an error comes out as it is, at any time, and leaves nothing", () => {
    const fails = ([x]: readonly Tensor[]) =>
      tf.tidy(() => {
        tf.mul(x, 2);
        throw new Error("no way");
      });
    const x = keep(drawn(2));
    for (let time = 0; time < 4; time++) expect(() => recordings.run("fails", [x], fails)).toThrow("no way");
  });
});
