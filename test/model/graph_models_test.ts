/**
 * Graph models of TensorFlow.js as its converter writes them, against Keras: `test/oracles/graph_models.py`; and the same
 * graphs as TensorFlow.js itself runs them.
 */

import { join } from "node:path";
import type { Scalar, Tensor } from "@tensorflow/tfjs";
import { afterAll, describe, expect, test } from "vitest";
import { activations } from "../../lib/methods/activations.ts";
import { loadModel } from "../../lib/model/load.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { long, longTest } from "../long.ts";
import { uniforms } from "../nets.ts";
import { distance, type Packed, readArchive, wave } from "../packed.ts";

const tf = await ensureBackend();

interface Case {
  name: string;
  inputs: number[][];
  outputs: Packed[];
  gradients: Packed[];
}

// deno-lint-ignore no-explicit-any
type Json = any;

const { entries, cases } = await readArchive<Case>("graph_models.zip");
const folder = Deno.makeTempDirSync({ prefix: "convlens-graph-" });
afterAll(() => Deno.remove(folder, { recursive: true }));

const contentOf = (name: string) => entries.get(name)!.read();
const jsonOf = async (name: string): Promise<Json> =>
  JSON.parse(new TextDecoder().decode(await contentOf(`${name}/model.json`)));

/** Writes a case's model, changed, and gives its folder. */
async function written(name: string, change: (json: Json) => void = () => {}, as = name): Promise<string> {
  const path = join(folder, as);
  await Deno.mkdir(path, { recursive: true });
  const json = await jsonOf(name);
  change(json);
  await Deno.writeTextFile(join(path, "model.json"), JSON.stringify(json));
  await Deno.writeFile(join(path, "weights.bin"), await contentOf(`${name}/weights.bin`));
  return path;
}

const inputsOf = (c: Case) => c.inputs.map((shape, i) => tf.tensor(wave(shape, 1 + i), shape));

describe("graph models", () => {
  const shown = long(cases, cases.filter(({ name }) => ["plain", "signal"].includes(name)));
  test.each(shown.map((c) => [c.name, c] as const))("%s", { timeout: 60_000 }, async (_, c) => {
    const model = await loadModel(await written(c.name));
    const worst = tf.tidy(() => {
      const inputs = inputsOf(c);
      const run = (x: Tensor[]) => [model.network.apply(x.length > 1 ? x : x[0])].flat() as Tensor[];
      const outputs = run(inputs);
      expect(outputs.length).toBe(c.outputs.length);
      const loss = (...x: Tensor[]) =>
        tf.addN(run(x).map((y, i) => tf.sum(tf.mul(y, tf.tensor(wave(y.shape, 51 + i), y.shape))))) as Scalar;
      return {
        outputs: Math.max(...outputs.map((y, i) => distance(y, c.outputs[i]))),
        gradients: Math.max(...tf.grads(loss)(inputs).map((x, i) => distance(x, c.gradients[i]))),
      };
    });
    model.dispose();
    expect.soft(worst.outputs, "outputs").toBeLessThan(1e-4);
    expect.soft(worst.gradients, "gradients").toBeLessThan(1e-4);
  });

  test("have layers of the names that they had in Keras, which can be looked into", async () => {
    const model = await loadModel(await written("plain"));
    const kinds = new Map(model.layers.map(({ name, kind }) => [name, kind]));
    expect([...kinds.values()]).toEqual(expect.arrayContaining(["Conv2D", "DepthwiseConv2D", "MaxPooling2D", "Dense"]));
    const first = [...kinds].find(([, kind]) => kind === "Conv2D")![0];
    expect(first).toMatch(/^conv2d/);
    expect(model.layers.find(({ name }) => name === first)!.receptiveField).toMatchObject({ stride: 2 });
    const image = { data: wave([17, 16, 3], 9).map((value) => 127 * (value + 1)), shape: [17, 16, 3] };
    const shown = await activations(model, image, { layer: first });
    expect(shown.layers[0].shape).toEqual([9, 8, 6]);
    model.dispose();
  });

  longTest("a line of maps of one row is one-dimensional", async () => {
    const model = await loadModel(await written("signal"));
    expect(model.layers.map(({ kind }) => kind)).toEqual(expect.arrayContaining(["Conv1D", "MaxPooling1D"]));
    model.dispose();
  });
});

describe("graph models that cannot be rebuilt", () => {
  /** The message of what is thrown for a changed model. */
  const refused = async (change: (json: Json) => void) => {
    const before = tf.memory().numTensors;
    const found = await loadModel(await written("plain", change, "changed")).catch((error) => error);
    expect(found).toBeInstanceOf(Error);
    expect(found.name).toBe("ModelError");
    expect(tf.memory().numTensors).toBe(before);
    return found.message as string;
  };
  const nodes = (json: Json): Json[] => json.modelTopology.node;

  test("unknown operators are listed all at once, and loops are said", async () => {
    const named = await refused((json) => {
      nodes(json).find(({ op }) => op === "MaxPool").op = "While";
      nodes(json).find(({ op }) => op === "Softmax").op = "NonMaxSuppressionV3";
    });
    expect(named).toMatch(/no layers for the operators "NonMaxSuppressionV3", "While"/);
    expect(
      await refused((json) => nodes(json).find(({ op }) => op === "MaxPool").input[0] = nodes(json).at(-1).name),
    ).toMatch(/it has a loop/);
  });

  test("missing weights, missing nodes, two nodes of one name, no numbers", async () => {
    expect(await refused((json) => json.weightsManifest[0].weights[0].name = "other")).toMatch(/lacks the weights "/);
    expect(
      await refused((json) => {
        const pool = nodes(json).findIndex(({ op }) => op === "MaxPool");
        nodes(json).splice(pool, 1);
      }),
    ).toMatch(/reads "[^"]+", which no node makes/);
    expect(await refused((json) => nodes(json).push(nodes(json)[0]))).toMatch(/two of its nodes are called/);
    expect(await refused((json) => json.modelTopology.node = "none")).toMatch(/modelTopology\.node is "none"/);
    expect(await refused((json) => nodes(json).find(({ op }) => op === "MaxPool").attr.ksize = { list: { i: ["-1"] } }))
      .toMatch(/MaxPool/);
  });

  test("changed anywhere: a named error, or a network that computes", { timeout: 120_000 }, async () => {
    const random = uniforms(7);
    const before = tf.memory().numTensors;
    const replacements = [null, [], {}, "", -1, 1e9, "99999999999", "X", true];
    for (let i = 0; i < long(60, 4); i++) {
      const change = (json: Json) => {
        // Down to a random place.
        let [at, key]: [Json, string] = [json, "modelTopology"];
        for (;;) {
          const inner = at[key];
          const keys = inner && typeof inner === "object" ? Object.keys(inner) : [];
          if (!keys.length || random() < 0.05) break;
          [at, key] = [inner, keys[Math.floor(random() * keys.length)]];
        }
        at[key] = replacements[Math.floor(random() * replacements.length)];
      };
      try {
        const model = await loadModel(await written("plain", change, "mutated"));
        const shape = model.network.inputs[0].shape.map((length) => length ?? 2);
        tf.tidy(() => void model.network.predict(tf.zeros(shape)));
        model.dispose();
      } catch (error) {
        expect((error as Error).name, (error as Error).stack).toBe("ModelError");
      }
    }
    expect(tf.memory().numTensors).toBe(before);
  });
});
