/**
 * Model files as Keras saves them, against what Keras computes of them: `test/oracles/keras_files.py`.
 */

import { join } from "node:path";
import type { Scalar, Tensor } from "@tensorflow/tfjs";
import { afterAll, describe, expect, test } from "vitest";
import { sizeOf } from "../../lib/array.ts";
import { loadModel } from "../../lib/model/load.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { zipEntries, zipInMemory } from "../../lib/zip.ts";
import { long } from "../long.ts";

const tf = await ensureBackend();

/** Shape, largest magnitude and its parts in 16 bits. */
type Packed = [number[], number, string];

interface Case {
  name: string;
  keras: 2 | 3;
  files: string[];
  custom: string[];
  inputs: number[][];
  outputs: Packed[];
  gradients: Packed[];
}

const archive = new URL("../oracles/fixtures/keras_files.zip", import.meta.url);
const entries = new Map(
  (await zipEntries(zipInMemory(Deno.readFileSync(archive)))).map((entry) => [entry.name, entry]),
);
const { cases }: { cases: Case[] } = JSON.parse(new TextDecoder().decode(await entries.get("cases.json")!.read()));

const folder = Deno.makeTempDirSync({ prefix: "convlens-keras-" });
afterAll(() => Deno.remove(folder, { recursive: true }));

/** The values of `wave` in `test/oracles/layers.py`. */
function wave(shape: number[], seed: number): Tensor {
  let state = seed;
  const values = Float32Array.from({ length: sizeOf(shape) }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 16) / 2 ** 15 - 1;
  });
  return tf.tensor(values, shape);
}

/** How far an array is from what Keras has, in parts of the largest value. */
function distance(found: Tensor, [shape, scale, text]: Packed): number {
  expect(found.shape).toEqual(shape);
  const parts = new Int16Array(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
  const values = found.dataSync();
  return parts.reduce((most, part, i) => Math.max(most, Math.abs(part / 32767 * scale - values[i])), 0) /
    Math.max(scale, 0.01);
}

/** Writes a file of a case, and gives its path. */
async function written(c: Case, ending: string): Promise<string> {
  const name = `${c.name}.${c.keras}.${ending}`;
  await Deno.writeFile(join(folder, name), await entries.get(name)!.read());
  return join(folder, name);
}

const custom = { scale: (x: Tensor) => tf.sub(tf.div(x, 2), 1) };

/** Loads a file, and compares what it computes. */
async function compare(c: Case, source: string, weights?: string): Promise<void> {
  const layers = c.custom.length ? custom : undefined;
  const model = await loadModel(source, { ...layers && { layers }, ...weights && { weights } });
  const worst = tf.tidy(() => {
    const inputs = c.inputs.map((shape, i) => wave(shape, 1 + i));
    const run = (x: Tensor[]) => [model.network.apply(x.length > 1 ? x : x[0])].flat() as Tensor[];
    const outputs = run(inputs);
    expect(outputs.length).toBe(c.outputs.length);
    const loss = (...x: Tensor[]) => tf.addN(run(x).map((y, i) => tf.sum(tf.mul(y, wave(y.shape, 51 + i))))) as Scalar;
    const gradients = tf.grads(loss)(inputs);
    return {
      outputs: Math.max(...outputs.map((y, i) => distance(y, c.outputs[i]))),
      gradients: Math.max(...gradients.map((x, i) => distance(x, c.gradients[i]))),
    };
  });
  await model.save(join(folder, "saved.zip"));
  const again = await loadModel(join(folder, "saved.zip"), { ...layers && { layers } });
  const [before, after] = await Promise.all([model, again].map(async ({ network }) => {
    const inputs = c.inputs.map((shape, i) => wave(shape, 1 + i));
    const outputs = [network.apply(inputs.length > 1 ? inputs : inputs[0])].flat() as Tensor[];
    const values = await Promise.all(outputs.map(async (output) => `${await output.data()}`));
    tf.dispose([inputs, outputs]);
    return values;
  }));
  expect.soft(after, `${source}, saved and loaded`).toEqual(before);
  again.dispose();
  model.dispose();
  // Keras computes some layers of `mixed` with halves.
  const tolerance = c.name === "mixed" ? 2e-3 : 1e-4;
  expect.soft(worst.outputs, `outputs of ${source}`).toBeLessThan(tolerance);
  expect.soft(worst.gradients, `gradients of ${source}`).toBeLessThan(tolerance);
}

const shown = long(
  cases,
  cases.filter(({ name }) => ["nested", "residual", "operations_3", "operations_2"].includes(name)),
);

describe("files of Keras", () => {
  test.each(shown.map((c) => [c.name, c.keras, c] as const))("%s, Keras %i", { timeout: 120_000 }, async (_, __, c) => {
    for (const ending of c.files.filter((file) => file === "h5" || file === "keras")) {
      await compare(c, await written(c, ending));
    }
    if (c.files.includes("json")) await compare(c, await written(c, "json"), await written(c, "weights.h5"));
  });
});
