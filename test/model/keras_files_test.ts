/**
 * Model files as Keras saves them, against what Keras computes of them: `test/oracles/keras_files.py`.
 */

import { join } from "node:path";
import type { Scalar, Tensor } from "@tensorflow/tfjs";
import { afterAll, describe, expect, test } from "vitest";
import { networkOf } from "../../lib/model/formats/keras.ts";
import { loadModel } from "../../lib/model/load.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { long, longTest } from "../long.ts";
import { distance, type Packed, readArchive, wave } from "../packed.ts";

const tf = await ensureBackend();

interface Case {
  name: string;
  keras: 2 | 3;
  files: string[];
  custom: string[];
  inputs: number[][];
  outputs: Packed[];
  gradients: Packed[];
}

const { entries, cases } = await readArchive<Case>("keras_files.zip");

const folder = Deno.makeTempDirSync({ prefix: "convlens-keras-" });
afterAll(() => Deno.remove(folder, { recursive: true }));

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
    const inputs = c.inputs.map((shape, i) => tf.tensor(wave(shape, 1 + i), shape));
    const run = (x: Tensor[]) => [model.network.apply(x.length > 1 ? x : x[0])].flat() as Tensor[];
    const outputs = run(inputs);
    expect(outputs.length).toBe(c.outputs.length);
    const loss = (...x: Tensor[]) =>
      tf.addN(run(x).map((y, i) => tf.sum(tf.mul(y, tf.tensor(wave(y.shape, 51 + i), y.shape))))) as Scalar;
    const gradients = tf.grads(loss)(inputs);
    return {
      outputs: Math.max(...outputs.map((y, i) => distance(y, c.outputs[i]))),
      gradients: Math.max(...gradients.map((x, i) => distance(x, c.gradients[i]))),
    };
  });
  await model.save(join(folder, "saved.zip"));
  const again = await loadModel(join(folder, "saved.zip"), { ...layers && { layers } });
  const [before, after] = await Promise.all([model, again].map(async ({ network }) => {
    const inputs = c.inputs.map((shape, i) => tf.tensor(wave(shape, 1 + i), shape));
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
  cases.filter(({ name }) => ["nested", "operations_3"].includes(name)),
);

describe("files of Keras", () => {
  test.each(shown.map((c) => [c.name, c.keras, c] as const))("%s, Keras %i", { timeout: 120_000 }, async (_, __, c) => {
    for (const ending of c.files.filter((file) => file === "h5" || file === "keras")) {
      await compare(c, await written(c, ending));
    }
    if (c.files.includes("json")) await compare(c, await written(c, "json"), await written(c, "weights.h5"));
  });
});

describe("weights alone, and layers of others", () => {
  const one = (name: string, keras: number) => cases.find((c) => c.name === name && c.keras === keras)!;

  test("weights go into a network that is there; what does not fit is said, and changes nothing", async () => {
    const c = one("sequential", 3);
    const weights = await written(c, "weights.h5");
    const source = await loadModel(await written(c, "json"), { weights });
    const modelTopology = source.network.toJSON(null, false) as object;
    const fresh = await loadModel(await tf.loadLayersModel(tf.io.fromMemory({ modelTopology })));
    const filled = await loadModel(fresh, { weights });
    expect(filled.network).toBe(fresh.network);
    const values = ({ network }: typeof source) => network.getWeights().map((weight) => [...weight.dataSync()]);
    expect(values(filled)).toEqual(values(source));
    tf.tidy(() => fresh.network.setWeights(fresh.network.getWeights().map((weight) => tf.add(weight, 1))));
    const before = values(fresh);
    await expect(loadModel(fresh, { weights: await written(one("nested", 3), "weights.h5") })).rejects.toThrow(
      /the file has weights of 3 layers.*the network of 4/,
    );
    expect(values(fresh)).toEqual(before);
    // The last weight is NaN in the file: found when the others have been read.
    const bytes = await Deno.readFile(weights);
    const last = new Uint8Array(source.network.getWeights().at(-1)!.dataSync().slice().buffer);
    const at = bytes.findIndex((_, i) => last.every((byte, j) => bytes[i + j] === byte));
    await Deno.writeFile(join(folder, "nan.weights.h5"), bytes.fill(255, at, at + 4));
    await expect(loadModel(fresh, { weights: join(folder, "nan.weights.h5") })).rejects.toThrow(
      "holds NaN or infinity",
    );
    expect(values(fresh)).toEqual(before);
    [source, filled].forEach((model) => model.dispose());
  });

  test("a file of weights alone, and a description alone, say what is missing", async () => {
    const c = one("sequential", 2);
    await expect(loadModel(await written(c, "weights.h5"))).rejects.toThrow(
      /holds weights alone.*\{ weights: "FILE\.h5" \}/,
    );
    await expect(loadModel(await written(c, "json"))).rejects.toThrow(/describes the layers .*without weights/);
  });

  test("a Lambda is named, and never run; a replacement for no layer is an error", async () => {
    const before = tf.memory().numTensors;
    const path = await written(one("lambdas", 3), "keras");
    await expect(loadModel(path)).rejects.toThrow(
      /cannot be read: scale \(Lambda\)\. What a Lambda does is Python.*layers: \{ "scale"/,
    );
    const layers = { ...custom, sclae: custom.scale };
    await expect(loadModel(path, { layers })).rejects.toThrow(
      /layers has "sclae", and the model has no layer.*"scale"/,
    );
    await expect(loadModel(path, { layers: { scale: 2 as never } })).rejects.toThrow(
      /layers\.scale must be a function/,
    );
    expect(tf.memory().numTensors).toBe(before);
  });

  longTest("files that are cut or changed are refused by name", { timeout: 120_000 }, async () => {
    const c = one("nested", 3);
    const damaged = join(folder, "damaged.keras");
    for (const ending of ["keras", "h5"]) {
      const bytes = await entries.get(`${c.name}.3.${ending}`)!.read();
      for (let i = 1; i <= long(40, 4); i++) {
        const changed = i % 2 ? bytes.slice(0, Math.floor(bytes.length * i / 41)) : bytes.slice();
        if (i % 2 === 0) { for (let k = 0; k < 12; k++) changed[(i * 7919 + k * 104729) % changed.length] ^= 0xff; }
        await Deno.writeFile(damaged, changed);
        const error = await loadModel(damaged).then((model) => model.dispose(), (error) => error);
        // A change of a weight's own bytes no one can see in HDF5.
        if (error || ending === "keras" || i % 2) expect(error?.name, `${ending} ${i}: ${error}`).toBe("ModelError");
      }
    }
  });
});

describe("operations of several outputs", () => {
  const input = {
    class_name: "InputLayer",
    name: "x",
    config: { name: "x", batch_input_shape: [null, 3, 3, 6] },
    inbound_nodes: [],
  };
  const tensor = (layer: string, output: number) => ({
    class_name: "__keras_tensor__",
    config: { keras_history: [layer, 0, output] },
  });
  const model = (version: string, layers: object[]) => ({
    class_name: "Functional",
    keras_version: version,
    config: { name: "net", layers: [input, ...layers], input_layers: [["x", 0, 0]], output_layers: [["out", 0, 0]] },
  });
  /** The first output minus the last, by Keras 3 and by Keras 2. */
  const by3 = (class_name: string, config: object, last: number) =>
    model("3.5.0", [
      {
        module: "keras.src.ops.numpy",
        class_name,
        name: "cut",
        config: { name: "cut", ...config },
        inbound_nodes: [{ args: [tensor("x", 0)], kwargs: {} }],
      },
      {
        module: "keras.layers",
        class_name: "Subtract",
        name: "out",
        config: { name: "out" },
        inbound_nodes: [{ args: [[tensor("cut", 0), tensor("cut", last)]], kwargs: {} }],
      },
    ]);
  const by2 = (written: string, named: object, last: number) =>
    model("2.15.0", [
      {
        class_name: "TFOpLambda",
        name: "cut",
        config: { name: "cut", function: written },
        inbound_nodes: [["x", 0, 0, named]],
      },
      {
        class_name: "Subtract",
        name: "out",
        config: { name: "out" },
        inbound_nodes: [[["cut", 0, 0, {}], ["cut", 0, last, {}]]],
      },
    ]);

  /** Of channels, or of rows; which of them each output begins with, and how many it has. */
  test.each([
    ["a count", by3("Split", { indices_or_sections: 3, axis: -1 }, 2), 4, 2],
    ["places", by3("Split", { indices_or_sections: [1, 5], axis: 3 }, 2), 5, 1],
    ["sizes", by2("split", { num_or_size_splits: [2, -1, 2], axis: -1 }, 2), 4, 2],
    ["rows", by3("Unstack", { axis: 1 }, 2), null, 6],
  ])("by %s", (_, topology, from, count) => {
    const network = networkOf(tf, topology);
    const values = wave([1, 3, 3, 6], 1);
    const given = tf.tensor(values, [1, 3, 3, 6]);
    const out = network.predict(given) as Tensor;
    // Along rows the last one begins after two of 3 × 6 numbers.
    const last = (i: number) => from === null ? i + 36 : Math.floor(i / count) * 6 + from + i % count;
    const first = (i: number) => from === null ? i : Math.floor(i / count) * 6 + i % count;
    const expected = Array.from({ length: out.size }, (_, i) => values[first(i)] - values[last(i)]);
    expect(out.shape).toEqual(from === null ? [1, 3, 6] : [1, 3, 3, count]);
    expect([...out.dataSync()]).toEqual([...Float32Array.from(expected)]);
    const gradient = tf.grad((x: Tensor) => tf.sum(network.apply(x) as Tensor))(given).dataSync();
    const counts = new Float32Array(values.length);
    expected.forEach((_, i) => (counts[first(i)]++, counts[last(i)]--));
    expect(gradient).toEqual(counts);
    network.dispose();
  });
});
