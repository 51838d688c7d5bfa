/** A model that is saved comes back as it was, to the same bits, or what is wrong is said and nothing is changed. */

import type { io, layers, LayersModel, Tensor } from "@tensorflow/tfjs";
import { zipSync } from "fflate";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { catsVsDogsConvnet } from "../../lib/model/architectures/builders.ts";
import { makeLayer } from "../../lib/model/formats/build.ts";
import { loadModel, type LoadModelOptions } from "../../lib/model/load.ts";
import type { Model } from "../../lib/model/model.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { SLOW } from "../backends.ts";
import { longTest } from "../long.ts";
import { tinyNet } from "../nets.ts";

const tf = await ensureBackend();
const L = tf.layers;

let folder: string;
beforeAll(async () => void (folder = await Deno.makeTempDir()));
afterAll(() => Deno.remove(folder, { recursive: true }));

/** What a model makes of noise, as bytes. */
async function bitsOf({ network }: Model): Promise<Uint8Array> {
  const outputs = tf.tidy(() => {
    const sides = network.inputs[0].shape.slice(1).map((side) => side ?? 40);
    const noise = tf.randomUniform([2, ...sides], -1, 1, "float32", 7);
    return tf.concat([network.predict(noise) as Tensor | Tensor[]].flat().map((output) => output.flatten()));
  });
  const { buffer } = (await outputs.data()).slice();
  outputs.dispose();
  return new Uint8Array(buffer);
}

const factsOf = ({ name, labels, preprocess, output, layers, inputShape, training, network }: Model) => ({
  name,
  labels,
  preprocess,
  output: { kind: output.kind, layer: output.layer, index: output.index, activation: output.activation },
  layers,
  inputShape,
  training,
  trainable: network.trainableWeights.map(({ shape }) => shape),
});

/** Saves a model as a folder and as a zip, and reads both back; all three are freed. */
async function comesBack(model: Model, name: string): Promise<void> {
  const bits = await bitsOf(model);
  const facts = factsOf(model);
  const before = tf.memory().numTensors;
  for (const path of [`${folder}/${name}`, `${folder}/${name}.zip`]) {
    await model.save(path);
    const again = await loadModel(path);
    expect(factsOf(again)).toEqual(facts);
    expect(await bitsOf(again)).toEqual(bits);
    again.dispose();
    expect(tf.memory().numTensors).toBe(before);
  }
  model.dispose();
}

const seeded = (seed: number) => ({ kernelInitializer: tf.initializers.glorotUniform({ seed }) });
const conv = (name: string, more: object = {}) =>
  L.conv2d({ name, filters: 4, kernelSize: 3, padding: "same", activation: "relu", ...seeded(1), ...more });

/** Divides by a number that its constructor takes. */
class Divide extends L.Layer {
  static className = "Divide";
  by: number;
  constructor(config: { name?: string; by: number }) {
    super(config);
    this.by = config.by ?? 1;
  }
  override call(inputs: Tensor | Tensor[]) {
    return tf.div([inputs].flat()[0], this.by);
  }
  override getConfig() {
    return { ...super.getConfig(), by: this.by };
  }
}
/** An option in capitals, which TensorFlow.js would write in small letters. */
class Spelt extends Divide {
  static override className = "Spelt";
  mode: string;
  constructor(config: { name?: string; by: number; mode: string }) {
    super(config);
    this.mode = config.mode;
  }
  override getConfig() {
    return { ...super.getConfig(), mode: this.mode };
  }
}
/** The same, but its `getConfig` forgets the number. */
class Forgetful extends Divide {
  static override className = "Forgetful";
  override getConfig() {
    const { by: _, ...rest } = super.getConfig();
    return rest as ReturnType<Divide["getConfig"]>;
  }
}
/** A type that TensorFlow.js is not told of. */
class Unknown extends Divide {
  static override className = "Unknown";
}
tf.serialization.registerClass(Divide as never);
tf.serialization.registerClass(Spelt as never);
tf.serialization.registerClass(Forgetful as never);

const withLayer = (layer: layers.Layer) =>
  tf.sequential({
    layers: [conv("conv", { inputShape: [8, 8, 3] }), layer, L.globalAveragePooling2d({ name: "mean" })],
  });

/** Two networks with layers of the same names, one of them frozen, and a layer that is used twice. */
function nestedNet(): LayersModel {
  const part = (name: string, seed: number) =>
    tf.sequential({ name, layers: [conv("conv", { inputShape: [8, 8, 4], ...seeded(seed) })] });
  const input = tf.input({ shape: [8, 8, 3], name: "image" });
  const [first, left, right, shared] = [conv("first"), part("left", 2), part("right", 3), conv("shared")];
  left.trainable = false;
  const x = first.apply(input) as ReturnType<typeof tf.input>;
  const both = [left, right].map((net) => shared.apply(net.apply(x) as typeof x) as typeof x);
  const sum = L.add({ name: "sum" }).apply(both) as typeof x;
  const flat = L.globalAveragePooling2d({ name: "mean" }).apply(sum) as typeof x;
  const classes = L.dense({ name: "classes", units: 3, activation: "softmax", ...seeded(4) }).apply(flat) as typeof x;
  const size = L.dense({ name: "size", units: 2, ...seeded(5) }).apply(flat) as typeof x;
  return tf.model({ name: "nested", inputs: input, outputs: [size, classes] });
}

const CUSTOM: Partial<LoadModelOptions> = {
  preprocess: { order: "bgr", mean: [0.1 + 0.2, 120, 110.5], deviation: [1 / 3, 60, 61], fit: "squash" },
};

describe("a model that is saved and loaded", () => {
  const cases: Record<string, [make: () => LayersModel | Promise<LayersModel>, options?: Partial<LoadModelOptions>]> = {
    "with labels and a mode of preprocessing": [tinyNet, {
      labels: ["ä / b", "<i>"],
      preprocess: "caffe",
      name: "Mine: 1",
    }],
    "with a preprocessing of its own": [tinyNet, CUSTOM],
    "with nested networks of the same names, a shared layer and one output of two": [nestedNet, {
      output: "classes",
      labels: ["a", "b", "c"],
    }],
    "whose linear outputs are said to be logits": [
      () => tf.sequential({ layers: [L.flatten({ inputShape: [2, 2, 3] }), L.dense({ name: "four", units: 4 })] }),
      { output: "classes" },
    ],
    "of any size, with batch normalisation and a constraint": [() => {
      const net = tf.sequential({
        layers: [
          conv("conv", {
            inputShape: [null, null, 3],
            activation: "linear",
            kernelConstraint: tf.constraints.unitNorm({ axis: 0 }),
          }),
          L.batchNormalization({ name: "norm", axis: -1 }),
          L.reLU({ name: "relu", maxValue: 6 }),
          L.globalMaxPooling2d({ name: "max" }),
          L.dense({ name: "yes", units: 1, activation: "sigmoid" }),
        ],
      });
      tf.tidy(() => {
        const values = net.getWeights().map(({ shape }, i) => tf.randomUniform(shape, 0.1, 1, "float32", i + 1));
        for (const [i, weight] of net.weights.entries()) {
          (weight.read() as ReturnType<typeof tf.variable>).assign(values[i]);
        }
      });
      return net;
    }, { labels: ["cat", "dog"] }],
    "with response normalisation and a layer of the user's own": [
      () =>
        withLayer(new Divide({ name: "third", by: 3 })) && tf.sequential({
          layers: [
            conv("conv", { inputShape: [8, 8, 3] }),
            makeLayer(tf, "LocalResponseNormalization", { name: "lrn" }),
            new Divide({ name: "third", by: 3 }),
            L.flatten({ name: "flat" }),
          ],
        }),
    ],
    "that is a map": [() => tf.sequential({ layers: [conv("conv", { inputShape: [8, 8, 1], activation: "tanh" })] })],
  };
  test.each(Object.entries(cases))("%s is the same, to the same bits", async (name, [make, options]) => {
    await comesBack(await loadModel(await make(), options), name.replaceAll(/\W+/g, "-"));
  });

  longTest.each(["cifar-convnet", "resnet50"].slice(0, SLOW ? 1 : 2))("is %s", async (name) => {
    await comesBack(await loadModel(name), name);
  });

  test("can be a packed folder of another program, or a model.json, on disk and on the web", async () => {
    const model = await loadModel(await tinyNet(), { labels: ["a", "b"], name: "tiny" });
    await model.save(`${folder}/mine/net`);
    expect((await loadModel(`${folder}/mine/net/model.json`)).labels).toEqual(["a", "b"]);
    const files = contentOf(`${folder}/mine/net`).map(([name, bytes]) => [`net/${name}`, bytes]);
    const junk = { "__MACOSX/net/._model.json": new Uint8Array(9), ".DS_Store": new Uint8Array(9) };
    await Deno.writeFile(`${folder}/packed.zip`, zipSync({ ...junk, ...Object.fromEntries(files) }));
    expect((await loadModel(`${folder}/packed.zip`)).name).toBe("tiny");
    const server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {} },
      async () => new Response(await Deno.readFile(`${folder}/packed.zip`)),
    );
    expect(await bitsOf(await loadModel(`http://127.0.0.1:${server.addr.port}/packed.zip`))).toEqual(
      await bitsOf(model),
    );
    await server.shutdown();
  });

  test("is a model of TensorFlow.js, too, and keeps what its network says of itself", async () => {
    const net = await tinyNet();
    net.setUserDefinedMetadata({ note: "by hand", labels: "of another kind" });
    const model = await loadModel(net);
    // An empty folder is as good as none.
    await Deno.mkdir(`${folder}/plain`);
    await model.save(`${folder}/plain/`);
    expect((await loadModel(`${folder}/plain`)).network.getUserDefinedMetadata()).toMatchObject({ note: "by hand" });
    const json = JSON.parse(await Deno.readTextFile(`${folder}/plain/model.json`));
    const [{ paths, weights }] = json.weightsManifest;
    const { buffer } = await Deno.readFile(`${folder}/plain/${paths[0]}`);
    const artifacts = { modelTopology: json.modelTopology, weightSpecs: weights, weightData: buffer };
    const plain = await tf.loadLayersModel(tf.io.fromMemory(artifacts as io.ModelArtifacts));
    expect(await bitsOf({ network: plain } as unknown as Model)).toEqual(await bitsOf(model));
  });
});

/** The names in a folder, and what it weighs. */
const contentOf = (path: string) =>
  [...Deno.readDirSync(path)].map(({ name }) => [name, Deno.readFileSync(`${path}/${name}`)] as const).sort();

describe("a place where something is", () => {
  test.each(["net", "net.zip"])("that is a saved model is replaced: %s", async (name) => {
    const path = `${folder}/again/${name}`;
    const model = await loadModel(await tinyNet());
    await model.save(path);
    if (name === "net") await Deno.writeTextFile(`${path}/notes.txt`, "mine");
    const [kernel] = model.network.weights;
    kernel.write(tf.mul(kernel.read(), 2));
    await model.save(path);
    expect(await bitsOf(await loadModel(path))).toEqual(await bitsOf(model));
    const names = [...Deno.readDirSync(`${folder}/again`)].map(({ name }) => name);
    expect(names.filter((name) => name.startsWith("net.") && name !== "net.zip")).toEqual([]);
    if (name === "net") {
      expect(contentOf(path).map(([name]) => name.replace(/-\w+/, ""))).toEqual([
        "model.json",
        "notes.txt",
        "weights.bin",
      ]);
    }
  });

  test("that a killed writer has left half-written is cleared away", async () => {
    const partial = `${folder}/killed/net.${Deno.hostname().replace(/[^\w-]/g, "_")}.999999999.0a1b2c3d.partial`;
    await Deno.mkdir(partial, { recursive: true });
    await Deno.writeTextFile(`${partial}/weights.bin`, "half");
    await (await loadModel(await tinyNet())).save(`${folder}/killed/net`);
    expect([...Deno.readDirSync(`${folder}/killed`)].map(({ name }) => name)).toEqual(["net"]);
  });

  test.each<[what: string, path: string, prepare: (path: string) => unknown, message: RegExp]>([
    ["a folder with other files", "photos", (path) => {
      Deno.mkdirSync(path);
      Deno.writeTextFileSync(`${path}/dog.jpg`, "");
    }, /cannot be saved as .*photos: the folder holds something else .*\("dog\.jpg"\)\. Name another place/],
    ["a model of another program", "other", (path) => {
      Deno.mkdirSync(path);
      Deno.writeTextFileSync(`${path}/model.json`, `{"modelTopology": {}, "weightsManifest": []}`);
    }, /holds something else than a model that model\.save has written/],
    ["a file", "file", (path) => Deno.writeTextFileSync(path, "mine"), /there is a file of this name/],
    ["another archive", "photos.zip", (path) => Deno.writeTextFileSync(path, "PK"), /something else than a model/],
    ["a folder that is called .zip", "folder.zip", (path) => Deno.mkdirSync(path), /something else than a model/],
  ])("that is %s is left alone", async (_, name, prepare, message) => {
    const path = `${folder}/taken/${name}`;
    Deno.mkdirSync(`${folder}/taken`, { recursive: true });
    await prepare(path);
    const { isFile } = Deno.statSync(path);
    const before = isFile ? Deno.readFileSync(path) : contentOf(path);
    const model = await loadModel(await tinyNet());
    await expect(model.save(path)).rejects.toThrow(message);
    expect(isFile ? Deno.readFileSync(path) : contentOf(path)).toEqual(before);
  });

  test("is a path of this machine, and no file of another format", async () => {
    const model = await loadModel(await tinyNet());
    await expect(model.save(`${folder}/net.h5`)).rejects.toThrow(/not as \.h5: .*wanted ".*\/net" or ".*\/net\.zip"/);
    await expect(model.save("https://host/net")).rejects.toThrow(/of this machine.*received "https:\/\/host\/net"/);
    await expect(model.save("")).rejects.toThrow(TypeError);
    await expect(model.save(5 as never)).rejects.toThrow(/received 5/);
    await model.save(new URL(`file://${folder}/by%20address`));
    expect((await loadModel(`${folder}/by address`)).name).toBe("tiny");
    model.dispose();
    await expect(model.save(`${folder}/gone`)).rejects.toThrow(/model\.save wants .* has been disposed of/);
  });
});

describe("what cannot be saved", () => {
  const failure = async (net: LayersModel, path = `${folder}/refused`) => {
    const model = await loadModel(net, { name: "odd" });
    const before = tf.memory().numTensors;
    const error = await model.save(path).then(() => expect.unreachable(), (error) => error);
    expect(tf.memory().numTensors).toBe(before);
    expect(() => Deno.statSync(path)).toThrow();
    expect([...Deno.readDirSync(folder)].filter(({ name }) => name.endsWith(".partial"))).toEqual([]);
    return error.message;
  };

  test.each(["refused", "refused.zip"])("names the layer, and leaves no file: %s", async (name) => {
    expect(await failure(withLayer(new Unknown({ name: "x", by: 2 })), `${folder}/${name}`))
      .toMatch(/"odd" cannot be saved as .*refused.*layers that cannot be read: x \(Unknown\)/);
    expect(await failure(withLayer(new Forgetful({ name: "half", by: 2 })), `${folder}/${name}`))
      .toMatch(/it computes other numbers\. Look at "half" \(Forgetful\): .*getConfig/);
  });

  test("is a network whose weights are no numbers", async () => {
    const net = await tinyNet();
    const model = await loadModel(net);
    net.weights[0].write(tf.fill(net.weights[0].shape as number[], NaN));
    await expect(model.save(`${folder}/nan`)).rejects.toThrow(/"conv\/kernel" .*holds NaN/);
  });

  test("is a network in a place that is no folder", async () => {
    const model = await loadModel(await tinyNet());
    await Deno.writeTextFile(`${folder}/plain.txt`, "");
    await expect(model.save(`${folder}/plain.txt/net`)).rejects.toThrow(
      /"tiny" cannot be saved as .*plain\.txt\/net: /,
    );
  });
});

describe("a saved model that is damaged", () => {
  test.each(["damaged", "damaged.zip"])("is refused by name: %s", async (name) => {
    const path = `${folder}/${name}`;
    await (await catsVsDogsConvnet({ size: 16 })).save(path);
    const file = name.endsWith("zip")
      ? path
      : `${path}/${[...Deno.readDirSync(path)].find(({ name }) => name.startsWith("weights"))!.name}`;
    const bytes = await Deno.readFile(file);
    bytes[Math.floor(bytes.length / 2)] ^= 1;
    await Deno.writeFile(file, bytes);
    await expect(loadModel(path)).rejects.toThrow(
      /(weights\.bin" is damaged: its checksum does not fit|damaged: the checksum of weights-\w+\.bin is not .*)\. Copy or download (it|the model) again\.$/,
    );
    await Deno.writeFile(file, bytes.subarray(0, -100));
    await expect(loadModel(path)).rejects.toThrow(/are not whole|cut short/);
  });

  test("an archive without a model says what it holds", async () => {
    await Deno.writeFile(`${folder}/photos2.zip`, zipSync({ "dog.jpg": new Uint8Array(9) }));
    await expect(loadModel(`${folder}/photos2.zip`)).rejects.toThrow(
      /photos2\.zip holds "dog\.jpg"; wanted one model\.json/,
    );
  });
});
