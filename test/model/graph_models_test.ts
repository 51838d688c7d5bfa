/**
 * Graph models of TensorFlow.js as its converter writes them, against Keras: `test/oracles/graph_models.py`; and the same
 * graphs as TensorFlow.js itself runs them.
 */

import { join } from "node:path";
import type { Scalar, Tensor } from "@tensorflow/tfjs";
import { afterAll, describe, expect, test } from "vitest";
import { activations } from "../../lib/methods/activations.ts";
import { occlusion } from "../../lib/methods/occlusion.ts";
import { saliency } from "../../lib/methods/saliency.ts";
import { loadModel } from "../../lib/model/load.ts";
import { forward } from "../../lib/probe/forward.ts";
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
const rest = await readArchive<Omit<Case, "gradients"> & { gradients: Packed[] | null }>("graph_rest.zip");
const folder = Deno.makeTempDirSync({ prefix: "convlens-graph-" });
afterAll(() => Deno.remove(folder, { recursive: true }));

const contentOf = (name: string) => (entries.get(name) ?? rest.entries.get(name))!.read();
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

describe("graph models with operators that no layers are read for", () => {
  const load = async (name: string) => await loadModel(await written(name), { preprocess: "none" });
  const imagesOf = ({ inputs: [[count, ...shape]] }: (typeof rest.cases)[number]) => {
    const all = wave([count, ...shape], 1);
    const size = all.length / count;
    return Array.from({ length: count }, (_, i) => ({ data: all.slice(i * size, (i + 1) * size), shape }));
  };

  test.each(rest.cases.map((c) => [c.name, c] as const))("%s: outputs as TensorFlow's", async (_, c) => {
    const before = tf.memory().numTensors;
    const model = await load(c.name);
    for (const [i, wanted] of c.outputs.entries()) {
      // The boxes that are left are the first image's.
      const inputs = imagesOf(c).slice(0, c.name === "boxes" && i === 0 ? 1 : 2).map((image) => model.input(image));
      const [{ data, shape }] = await forward(model, inputs, [i]);
      const y = tf.tensor(data, shape.slice(Number(shape[0] === 1)));
      expect.soft(distance(y, wanted), `output ${i}`).toBeLessThan(1e-4);
      y.dispose();
    }
    const [image] = imagesOf(c);
    await (c.gradients ? saliency(model, image) : expect(saliency(model, image)).rejects.toThrow(
      /no gradient to "Identity".*that TensorFlow.js cannot differentiate, "(TopKV2|NonMaxSuppressionV3|Enter)".*as "/,
    ));
    const occluded = await occlusion(model, image, { size: 5, stride: 5, baseline: "zero" });
    expect(new Set(occluded.rows.map(({ score }) => score)).size).toBeGreaterThan(1);
    model.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });

  test("gradients go through operators that TensorFlow.js differentiates, as in TensorFlow", async () => {
    const c = rest.cases.find(({ gradients }) => gradients)!;
    const model = await load(c.name);
    const slope = tf.tidy(() => {
      const [x] = c.inputs.map((shape) => tf.tensor(wave(shape, 1), shape));
      const score = (x: Tensor) => {
        const y = model.network.apply(x) as Tensor;
        return tf.sum(tf.mul(y, tf.tensor(wave([1, ...y.shape.slice(1)], 51), [1, ...y.shape.slice(1)]))) as Scalar;
      };
      return tf.grad(score)(x);
    });
    expect(distance(slope, c.gradients![0])).toBeLessThan(1e-4);
    slope.dispose();
    model.dispose();
  });

  test("nodes have their own names, those that are layers too", async () => {
    const c = rest.cases.find(({ name }) => name === "ranked")!;
    const model = await load(c.name);
    const [image] = imagesOf(c);
    const kinds = new Map(model.layers.map(({ name, kind }) => [name, kind]));
    expect(kinds.get("functional_1/best_1/TopKV2")).toBe("operator TopKV2");
    expect(kinds.get("second_1")).toBe("Conv2D");
    expect(model.layer("functional_1/second_1/Relu").name).toBe("second_1.Relu");
    const [byNode, byName] = await Promise.all(
      ["functional_1/second_1/Relu", "second_1.Relu"].map((layer) => activations(model, image, { layer })),
    );
    expect(byNode.layers[0].maps.data).toEqual(byName.layers[0].maps.data);
    // Which classes are best, and how probable they are.
    const layers = ["functional_1/best_1/TopKV2", "functional_1/best_1/TopKV2_1", "classes_1.Softmax"];
    const [best, which, all] = await forward(model, [model.input(image)], layers);
    expect([...best.data]).toEqual([...which.data].map((index) => all.data[index]));
    expect([...best.data]).toEqual([...all.data].sort((a, b) => b - a).slice(0, 3));
    // Before them everything works.
    const unit = await saliency(model, image, { target: { layer: "functional_1/second_1/Relu", channel: 1 } });
    expect(unit.values.data.some((value) => value !== 0)).toBe(true);
    await expect(model.save(join(folder, "saved"))).rejects.toThrow(/no layers \("operator TopKV2".*Copy the files/);
    model.dispose();
  });

  test("what a loop ends in is known: classes are classes", async () => {
    const model = await load("loop");
    expect(model.output).toMatchObject({ kind: "classes", activation: "softmax", name: "Identity" });
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
