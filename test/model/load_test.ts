import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fileURLToPath } from "node:url";
import * as classics from "../../lib/model/architectures/builders.ts";
import * as branched from "../../lib/model/architectures/branched.ts";
import * as zfnets from "../../lib/model/architectures/zfnet.ts";
import { ModelError } from "../../lib/model/formats/format.ts";
import { loadModel } from "../../lib/model/load.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { sha256Of } from "../../lib/checksum.ts";
import { builtInstead, publishedNetworks } from "../../lib/model/published.ts";
import { tinyNet } from "../nets.ts";
import { entriesOf } from "../packed.ts";

let folder: string;

/** Saves the tiny net as tfjs does: model.json and one file of weights. */
async function save(to: string): Promise<void> {
  const tf = await ensureBackend();
  const net = await tinyNet();
  await Deno.mkdir(to, { recursive: true });
  await net.save(tf.io.withSaveHandler(async (artifacts) => {
    const { modelTopology, weightSpecs, weightData } = artifacts;
    const weights = new Uint8Array(weightData as ArrayBuffer);
    await Deno.writeFile(`${to}/weights.bin`, weights);
    await Deno.writeTextFile(
      `${to}/model.json`,
      JSON.stringify({
        format: "layers-model",
        modelTopology,
        weightsManifest: [{ paths: ["weights.bin"], weights: weightSpecs }],
      }),
    );
    return { modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: "JSON" } };
  }));
  net.dispose();
}

/** Changes the saved model.json. */
async function edit(path: string, change: (json: Record<string, unknown>) => unknown): Promise<void> {
  await Deno.writeTextFile(path, JSON.stringify(change(JSON.parse(await Deno.readTextFile(path)))));
}

beforeAll(async () => {
  folder = await Deno.makeTempDir();
  await save(`${folder}/net`);
});
afterAll(() => Deno.remove(folder, { recursive: true }));

/** Runs the task and says how many tensors it left. */
async function tensorsLeft(task: () => Promise<void>): Promise<number> {
  const tf = await ensureBackend();
  const before = tf.memory().numTensors;
  await task();
  return tf.memory().numTensors - before;
}

describe("what a model may be loaded from", () => {
  const check = async (source: string | URL, name: string) => {
    const left = await tensorsLeft(async () => {
      const model = await loadModel(source);
      expect(model.name).toBe(name);
      expect(model.layers.map(({ name, kind, outputShape, params }) => [name, kind, outputShape.join("×"), params]))
        .toEqual([
          ["conv", "Conv2D", "4×4×2", 26],
          ["pool", "MaxPooling2D", "2×2×2", 0],
          ["flat", "Flatten", "8", 0],
          ["out", "Dense", "2", 18],
        ]);
      expect(model.layer("conv").receptiveField).toEqual({ size: 2, stride: 1, offset: 0, exact: true });
      expect(model.preprocess.mode).toBe("unit");
      model.dispose();
    });
    expect(left).toBe(0);
  };

  test("a path of model.json, and a folder that holds one", async () => {
    await check(`${folder}/net/model.json`, "net");
    await check(`${folder}/net`, "net");
  });

  test("a file: address", () => check(new URL(`file://${folder}/net/model.json`), "net"));

  test("an http: address", async () => {
    const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
      const path = `${folder}${new URL(request.url).pathname}`;
      return await Deno.readFile(path).then((bytes) => new Response(bytes), () => new Response(null, { status: 404 }));
    });
    try {
      const base = `http://127.0.0.1:${server.addr.port}`;
      await check(`${base}/net/model.json`, "net");
      await expect(loadModel(`${base}/none/model.json`)).rejects.toThrow(/topology.*could not be read.*404/);
      await Deno.mkdir(`${folder}/half`, { recursive: true });
      await Deno.copyFile(`${folder}/net/model.json`, `${folder}/half/model.json`);
      await expect(loadModel(`${base}/half/model.json`)).rejects.toThrow(/weights .*weights\.bin: the answer was 404/);
    } finally {
      await server.shutdown();
    }
  });

  test("a tf.LayersModel, which stays as it is", async () => {
    const net = await tinyNet();
    const model = await loadModel(net, { preprocess: "tf", labels: ["a", "b"], name: "mine" });
    expect(model.network).toBe(net);
    expect([model.name, model.labels, model.params]).toEqual(["mine", ["a", "b"], 44]);
    model.dispose();
  });

  test("a name of the catalogue: ResNet-50, with labels and preprocessing", async () => {
    const model = await loadModel("resnet50");
    expect(model.params).toBe(25_636_712);
    expect(model.inputShape).toEqual([224, 224, 3]);
    expect(model.labels![245]).toBe("French bulldog");
    expect(model.preprocess).toMatchObject({ mode: "caffe", order: "bgr" });
    expect(Deno.inspect(model)).toMatch(/^resnet50 · 177 layers, 25,636,712 parameters\n +layer +kind/);
    model.dispose();
  });
});

describe("what is refused, with no tensor left behind", () => {
  const cases: [name: string, prepare: (path: string) => Promise<unknown>, message: RegExp][] = [
    [
      "weights that are missing",
      (path) => Deno.remove(`${path}/weights.bin`),
      /weights of the model .*model\.json could not be read from .*weights\.bin/,
    ],
    [
      "weights that are cut short",
      (path) => Deno.truncate(`${path}/weights.bin`, 100),
      /not whole: weights\.bin hold 100 bytes; wanted 176/,
    ],
    ["a text file", (path) => Deno.writeTextFile(`${path}/model.json`, "hello"), /model\.json is not JSON/],
    [
      "another JSON",
      (path) => Deno.writeTextFile(`${path}/model.json`, "[1]"),
      /holds no modelTopology and weightsManifest/,
    ],
    [
      "a graph model without a graph",
      (path) => edit(`${path}/model.json`, (j) => ({ ...j, format: "graph-model" })),
      /modelTopology\.node is undefined; wanted an array/,
    ],
    [
      "an unknown layer",
      (path) => edit(`${path}/model.json`, (j) => JSON.parse(JSON.stringify(j).replace('"MaxPooling2D"', '"Wobble"'))),
      /layers that cannot be read: pool \(Wobble\)\. Say what each computes/,
    ],
  ];
  test.each(cases)("%s", async (name, prepare, message) => {
    const path = `${folder}/${name.replaceAll(" ", "-")}`;
    await save(path);
    await prepare(path);
    const left = await tensorsLeft(async () => {
      const error = await loadModel(`${path}/model.json`).catch((error) => error);
      expect(error).toBeInstanceOf(ModelError);
      expect(error.message).toMatch(message);
    });
    expect(left).toBe(0);
  });

  test("names that are neither in the catalogue nor files", async () => {
    await expect(loadModel("resnet5")).rejects.toThrow(
      /There is no model "resnet5": it is not a name of the catalogue \(which has "resnet50", "resnet18", [^)]*\), and there is no file/,
    );
  });

  test("formats that are not read", async () => {
    await expect(loadModel("net.tflite")).rejects.toThrow(/"net\.tflite" is not in a format that convlens reads/);
    await expect(loadModel("ftp://host/model.json")).rejects.toThrow("starts with file:, http: or https:");
    await expect(loadModel(7 as never)).rejects.toThrow("received 7.");
  });

  test("labels and preprocessings that do not fit", async () => {
    const left = await tensorsLeft(async () => {
      await expect(loadModel(`${folder}/net`, { labels: ["one"] })).rejects.toThrow("has 2 outputs: received 1 labels");
    });
    expect(left).toBe(0);
    await expect(loadModel(`${folder}/net`, { preprocess: "imagenet" as never })).rejects.toThrow(
      'no preprocessing "imagenet"; wanted one of caffe, tf, torch, unit, none',
    );
    await expect(loadModel(`${folder}/net`, { preprocess: { deviation: [1, 0, 1] } })).rejects.toThrow(
      "deviation must be a number for each channel, as [r, g, b], or one for all, none of them 0",
    );
  });
});

test("a path is taken as it is, spaces, signs and all", async () => {
  const path = `${folder}/a b#c%20d`;
  await save(path);
  const model = await loadModel(path);
  expect(model.name).toBe("a b#c%20d");
  model.dispose();
  expect(fileURLToPath(new URL(`file://${folder}`))).toBe(folder);
});

describe("a network whose weights are published", () => {
  /** A published file as small as its graph: `test/oracles/light_classics.py`. */
  async function light() {
    const bytes = await (await entriesOf("light_classics.zip")).get("squeezenet.onnx")!.read();
    return { bytes, what: "", licence: "", preprocess: "caffe" as const, sha256: sha256Of(bytes) };
  }

  test("is fetched, and knows its classes and its preprocessing", async () => {
    const { bytes, ...file } = await light();
    const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, () => new Response(bytes));
    publishedNetworks.light = { ...file, bytes: bytes.length, url: `http://127.0.0.1:${server.addr.port}/light.onnx` };
    Deno.env.set("CONVLENS_CACHE", `${folder}/cache`);
    try {
      const model = await loadModel("light");
      expect([model.name, model.preprocess.mode, model.output.kind]).toEqual(["light", "caffe", "classes"]);
      expect(model.labels).toHaveLength(1000);
      expect([0, 2, 281, 999].map((place) => model.labels![place])).toEqual(
        ["tench", "great white shark", "tabby", "toilet tissue"],
      );
      model.dispose();
      await server.shutdown();
      const again = await loadModel("light", { name: "mine", preprocess: "torch" });
      expect([again.name, again.preprocess.mode]).toEqual(["mine", "torch"]);
      again.dispose();
    } finally {
      delete publishedNetworks.light;
      Deno.env.delete("CONVLENS_CACHE");
      await server.shutdown();
    }
  });

  test("that cannot be fetched names its builder; a folder of its name comes first", async () => {
    const { bytes: _, ...file } = await light();
    const { alexnet } = publishedNetworks;
    publishedNetworks.alexnet = { ...file, bytes: 1, url: "http://127.0.0.1:1/alexnet.onnx" };
    Deno.env.set("CONVLENS_CACHE", `${folder}/none`);
    const before = Deno.cwd();
    try {
      await expect(loadModel("alexnet")).rejects.toThrow(
        /^The model "alexnet" was not loaded\. http:.* could not be fetched: .*Connect to the network.*await alexnet\(\)/,
      );
      await save(`${folder}/alexnet`);
      Deno.chdir(folder);
      (await loadModel("alexnet")).dispose();
    } finally {
      Deno.chdir(before);
      publishedNetworks.alexnet = alexnet;
      Deno.env.delete("CONVLENS_CACHE");
    }
  });
});

describe("a name of a network that is built, not loaded", () => {
  test.each([
    ["VGG-16", /"VGG-16" in the catalogue.*await vgg16\(\) builds.*fresh weights.*loadModel\("vgg16"\) fetches/],
    ["vgg19", /await vgg19\(\).*loadModel\("vgg19-keras"\) fetches/],
    ["AlexNet", /await alexnet\(\).*loadModel\("alexnet"\) fetches those of Caffe/],
    ["ZFNet", /await zfnet\(\).*zfnet512/],
    ["small-zfnet", /await smallZfnet\(\).*train it/],
    ["tiny_vgg", /await tinyVgg\(\).*CNN Explainer: await loadModel\("https:\/\/.*model\.json"\)/],
    ["cats-vs-dogs", /await catsVsDogsConvnet\(\).*train it, and keep it with model\.save\(folder\)/],
  ])("%s names its builder, and where weights are", async (name, message) => {
    await expect(loadModel(name)).rejects.toThrow(message);
  });

  test("are all of them named; a folder of such a name is loaded", async () => {
    const builders = [classics, branched, zfnets].flatMap(Object.entries)
      .filter(([name, make]) => typeof make === "function" && !/^[A-Z]/.test(name) && name !== "convolution");
    expect(builders.length).toBeGreaterThan(6);
    for (const [name] of builders) expect(builtInstead(name)).toContain(`await ${name}() builds this network`);
    await save(`${folder}/vgg16`);
    (await loadModel(`${folder}/vgg16`)).dispose();
  });
});
