import type { LayersModel } from "@tensorflow/tfjs";
import { afterAll, describe, expect, test } from "vitest";
import { type NdArray, ndarray, sizeOf } from "../../lib/array.ts";
import type { Box } from "../../lib/model/geometry.ts";
import { type PositionScores, type PositionsJob, scorePositions } from "../../lib/probe/occlusion/scores.ts";
import { ensureBackend, useBackend } from "../../lib/runtime/backend.ts";
import { scorePositionsOnAllCores } from "../../lib/scan/occlusion.ts";
import { uniforms } from "../nets.ts";

// On other backends everything runs in one thread.
await useBackend("wasm");
const tf = await ensureBackend();

const next = uniforms(3);
const noise = (shape: readonly number[], size: number): NdArray =>
  ndarray(Float32Array.from({ length: sizeOf(shape) }, () => size * (next() - 0.5)), shape);

function makeNet(): LayersModel {
  const network = tf.sequential({
    layers: [
      tf.layers.conv2d({ inputShape: [96, 96, 3], filters: 32, kernelSize: 3, padding: "same", activation: "relu" }),
      tf.layers.conv2d({ name: "maps", filters: 64, kernelSize: 5, padding: "same", activation: "relu" }),
      tf.layers.maxPooling2d({ poolSize: 4 }),
      tf.layers.flatten(),
      tf.layers.dense({ units: 6, activation: "softmax" }),
    ],
  });
  for (const layer of network.layers) {
    tf.tidy(() =>
      layer.setWeights(
        layer.getWeights().map(({ shape }) => {
          const fanIn = sizeOf(shape.slice(0, -1));
          return tf.tensor(noise(shape, shape.length === 1 ? 0.1 : 4 / Math.sqrt(fanIn)).data, shape);
        }),
      )
    );
  }
  return network;
}

const network = makeNet();
afterAll(() => network.dispose());

const places = Array.from({ length: 9 }, (_, i) => [10 * i, 10 * i + 20] as const);
const boxes: Box[] = places.flatMap((rows) => places.map((columns) => [rows, columns] as const));
const job: PositionsJob = {
  input: noise([96, 96, 3], 2),
  fill: noise([96, 96, 3], 2),
  boxes,
  stages: [boxes.map((_, i) => i).filter((i) => i % 3 === 0), boxes.map((_, i) => i).filter((i) => i % 3 !== 0)],
  layer: "maps",
  batchSize: 8,
  head: { index: 0, bare: true },
};

/** All scores, place by place, that of the image itself first. */
async function collect(read: typeof scorePositions): Promise<{ rows: number[][]; full: number; done: number }> {
  const rows: number[][] = [];
  const take = ({ which, scores, sums }: PositionScores) => {
    const count = Math.max(1, which.length);
    const part = (values: Float32Array, i: number) =>
      values.subarray((i * values.length) / count, ((i + 1) * values.length) / count);
    if (rows.length === 0) expect(which).toEqual([]);
    for (let i = 0; i < count; i++) rows[which.length ? which[i] + 1 : 0] = [...part(scores, i), ...part(sums, i)];
  };
  const { full, done } = await read(tf, network, job, take);
  return { rows, full, done };
}

describe("scores on all cores", () => {
  test("equal those of one thread", async () => {
    const before = tf.memory().numTensors;
    const one = await collect(scorePositions);
    const all = await collect(scorePositionsOnAllCores);
    expect(tf.memory().numTensors).toBe(before);
    expect(one.rows).toHaveLength(boxes.length + 1);
    expect(all.rows.map((row) => row.length)).toEqual(one.rows.map((row) => row.length));
    const off = all.rows.flatMap((row, i) =>
      row.map((value, k) => Math.abs(value - one.rows[i][k]) / (1 + Math.abs(one.rows[i][k])))
    );
    expect(off.reduce((a, b) => Math.max(a, b))).toBeLessThan(1e-4);
    expect(all.full).toBe(one.full);
    // The image itself is read by each Worker: it was shared out, or there is one core.
    if (navigator.hardwareConcurrency > 1) expect(all.done).not.toBe(one.done);
  });

  test("end at once when they are aborted", async () => {
    const controller = new AbortController();
    const scoring = scorePositionsOnAllCores(
      tf,
      network,
      job,
      () => controller.abort(new Error("enough")),
      controller.signal,
    );
    await expect(scoring).rejects.toThrow("enough");
    await expect(scorePositionsOnAllCores(tf, network, job, () => {}, AbortSignal.abort(new Error("no")))).rejects
      .toThrow(
        "no",
      );
  });

  test("an error of whoever receives them reaches the caller", async () => {
    const scoring = scorePositionsOnAllCores(tf, network, job, () => {
      throw new Error("not wanted");
    });
    await expect(scoring).rejects.toThrow("not wanted");
  });
});
