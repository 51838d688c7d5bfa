/** What a model.json may say, and what it is told when it says it wrongly. */

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { SymbolicTensor, Tensor } from "@tensorflow/tfjs";
import { Image } from "../../lib/data/image.ts";
import { ModelError } from "../../lib/model/formats/format.ts";
import { loadModel } from "../../lib/model/load.ts";
import { activations } from "../../lib/methods/activations.ts";
import { codes } from "../../lib/methods/codes.ts";
import { deadFilters } from "../../lib/methods/dead_filters.ts";
import { deconvnet } from "../../lib/methods/deconvnet.ts";
import { faithfulness } from "../../lib/methods/faithfulness.ts";
import { filters } from "../../lib/methods/filters.ts";
import { gradCam } from "../../lib/methods/grad_cam.ts";
import { guidedBackprop } from "../../lib/methods/guided_backprop.ts";
import { inputXGradient } from "../../lib/methods/input_x_gradient.ts";
import { integratedGradients } from "../../lib/methods/integrated_gradients.ts";
import { linearProbes } from "../../lib/methods/linear_probes.ts";
import { occlusion } from "../../lib/methods/occlusion.ts";
import { predict } from "../../lib/methods/predict.ts";
import { report } from "../../lib/methods/report.ts";
import { saliency } from "../../lib/methods/saliency.ts";
import { sanityCheck } from "../../lib/methods/sanity_check.ts";
import { smoothGrad } from "../../lib/methods/smooth_grad.ts";
import { strideDiagnosis } from "../../lib/methods/stride_diagnosis.ts";
import { train } from "../../lib/methods/train.ts";
import { dataset } from "../../lib/data/dataset.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { tinyNet } from "../nets.ts";
import fixture from "../oracles/fixtures/keras3.json" with { type: "json" };

// deno-lint-ignore no-explicit-any
type Json = any;

let folder: string;
let whole: { json: Json; weights: Uint8Array<ArrayBuffer> };

/** Writes a model's files into a folder of their own. */
async function write(name: string, json: unknown, weights: Uint8Array): Promise<string> {
  const path = `${folder}/${name.replaceAll(/\W+/g, "-")}`;
  await Deno.mkdir(path, { recursive: true });
  await Deno.writeTextFile(`${path}/model.json`, typeof json === "string" ? json : JSON.stringify(json));
  await Deno.writeFile(`${path}/weights.bin`, weights);
  return path;
}

beforeAll(async () => {
  folder = await Deno.makeTempDir();
  const tf = await ensureBackend();
  const net = await tinyNet();
  await net.save(tf.io.withSaveHandler(({ modelTopology, weightSpecs, weightData }) => {
    const json = { modelTopology, weightsManifest: [{ paths: ["weights.bin"], weights: weightSpecs }] };
    whole = { json, weights: new Uint8Array(weightData as ArrayBuffer) };
    return Promise.resolve({ modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: "JSON" } });
  }));
  net.dispose();
});
afterAll(() => Deno.remove(folder, { recursive: true }));

/** Loads the tiny net with changes, which must fail and leave no tensor; the error. */
async function failure(name: string, change: (json: Json) => void, weights = whole.weights): Promise<Error> {
  const tf = await ensureBackend();
  const json = structuredClone(whole.json);
  change(json);
  const path = await write(name, json, weights);
  const before = tf.memory().numTensors;
  const error = await loadModel(path).then(() => expect.unreachable(), (error) => error);
  expect(tf.memory().numTensors).toBe(before);
  expect(error.message).toContain(path);
  return error;
}

describe("Keras 3", () => {
  const models = Object.entries(fixture.models as Record<string, Json>);

  test.each(models)("%s computes what Keras does", async (name, { topology, weights, input, output }) => {
    const tf = await ensureBackend();
    const manifest = weights.map(({ name, shape }: Json) => ({ name, shape, dtype: "float32" }));
    const values = new Float32Array(weights.flatMap(({ values }: Json) => values));
    const json = { modelTopology: topology, weightsManifest: [{ paths: ["weights.bin"], weights: manifest }] };
    const model = await loadModel(await write(name, json, new Uint8Array(values.buffer)));
    const shape = [1, ...model.inputShape] as number[];
    const found = tf.tidy(() => (model.network.predict(tf.tensor(input, shape)) as Tensor).dataSync());
    output.forEach((value: number, i: number) => expect(found[i]).toBeCloseTo(value, 5));
    model.dispose();
  });

  test("what TensorFlow.js computes otherwise is refused with the field", async () => {
    const { topology } = (fixture.models as Record<string, Json>).branched;
    const edited = async (name: string, change: (layers: Json[]) => void) => {
      const json = { modelTopology: structuredClone(topology), weightsManifest: [] };
      change(json.modelTopology.model_config.config.layers);
      return (await loadModel(await write(name, json, new Uint8Array())).catch((error) => error)).message;
    };
    const layer = (layers: Json[], name: string) => layers.find((layer) => layer.name === name);
    expect(await edited("op", (layers) => layer(layers, "merge").inbound_nodes[0].args[0][1] = 2)).toMatch(
      /inbound_nodes\[0\]\.args\[0\]\[1\] is 2; wanted the output of a layer/,
    );
    expect(await edited("custom", (layers) => layer(layers, "stem").module = "mine")).toMatch(
      /layers\[1\]\.module is "mine"; wanted "keras\.layers"/,
    );
  });

  test("weights numbered as in a .keras file name the remedy", async () => {
    const error = await failure("numbered", (json) => {
      json.weightsManifest[0].weights[0].name = "layers/conv2d/vars/0";
    });
    expect(error.message).toMatch(/lacks the weights "conv\/kernel"; .*"layers\/conv2d\/vars\/0".*"net\.h5"/);
  });
});

describe("a model.json that says it wrongly", () => {
  const spec = (json: Json) => json.weightsManifest[0].weights[0];
  const layers = (json: Json) => json.modelTopology.config.layers;
  const cases: [name: string, change: (json: Json) => void, message: RegExp][] = [
    ["manifest", (json) => json.weightsManifest = 5, /weightsManifest is 5; wanted an array/],
    [
      "no paths",
      (json) => delete json.weightsManifest[0].paths,
      /weightsManifest\[0\]\.paths is undefined; wanted an arr/,
    ],
    [
      "no weights",
      (json) => json.weightsManifest[0].weights = null,
      /weightsManifest\[0\]\.weights is null; wanted an arr/,
    ],
    ["a group", (json) => json.weightsManifest = [null], /weightsManifest\[0\] is null; wanted an object with paths/],
    [
      "no shape",
      (json) => delete spec(json).shape,
      /weights\[0\]\.shape is undefined; wanted an array of whole numbers/,
    ],
    [
      "a shape",
      (json) => spec(json).shape = [2, -2, 3, 2],
      /weights\[0\]\.shape is \[2,-2,3,2\]; wanted an array of whole/,
    ],
    ["no name", (json) => spec(json).name = 7, /weights\[0\]\.name is 7; wanted a text/],
    [
      "a type",
      (json) => spec(json).dtype = "constructor",
      /dtype is "constructor"; wanted one of float32, int32, bool/,
    ],
    [
      "a quantization",
      (json) => spec(json).quantization = { dtype: "uint8", min: 0 },
      /quantization\.scale is undefined/,
    ],
    ["one name twice", (json) => spec(json).name = "conv/bias", /two weights named "conv\/bias"/],
    [
      "a weight more",
      (json) => json.weightsManifest.push({ paths: [], weights: [{ name: "x", shape: [0], dtype: "float32" }] }),
      /has the weights "x", which no layer takes/,
    ],
    ["a weight less", (json) => json.weightsManifest[0].weights.pop(), /layers want more weights than the 42 numbers/],
    [
      "another shape",
      (json) => spec(json).shape = [2, 2, 2, 3],
      /"conv\/kernel" is float32 of the shape \[2,2,2,3\] in the file; its layer wants float32 of the shape \[2,2,3,2\]/,
    ],
    ["an integer", (json) => spec(json).dtype = "int32", /"conv\/kernel" is int32 of .*wants float32/],
    ["huge weights", (json) => spec(json).shape = [1e6, 1e6, 1, 1], /takes .* while it loads/],
    [
      "a huge layer",
      (json) => layers(json).at(-1).config.units = 1e9,
      /from the layer "out" on, whose kernel has the shape \[8,1000000000\]/,
    ],
    ["a layer", (json) => layers(json)[1] = null, /modelTopology\.config\.layers\[1\] is null; wanted an object that/],
    ["a class", (json) => layers(json)[1].class_name = 1, /layers\[1\]\.class_name is 1; wanted a text/],
    [
      "a class of JavaScript",
      (json) => layers(json)[1].class_name = "toString",
      /layers that cannot be read: pool \(toString\)/,
    ],
    [
      "no layer",
      (json) => layers(json)[1].class_name = "Zeros",
      /makes no Zeros of modelTopology\.config\.layers\[1\]\.config \(it is no layer\)/,
    ],
    ["no config", (json) => delete layers(json)[1].config, /layers\[1\]\.config is undefined; wanted an object/],
    [
      "strides",
      (json) => layers(json)[0].config.strides = [null, 1],
      /makes no Conv2D of modelTopology\.config\.layers\[0\]\.config, where strides is \[null,1\]/,
    ],
    [
      "an activation",
      (json) => layers(json)[0].config.activation = "wobble",
      /where activation is "wobble" \(.*Unknown activation/,
    ],
    [
      "an input shape",
      (json) => layers(json)[0].config.batch_input_shape = [null, "a"],
      /batch_input_shape is \[null,"a"\]; wanted whole numbers/,
    ],
    [
      "no input shape",
      (json) => delete layers(json)[0].config.batch_input_shape,
      /The first layer in a Sequential model must get an `inputShape`/,
    ],
    ["metadata", (json) => json.userDefinedMetadata = 3, /userDefinedMetadata is 3; wanted an object/],
    ["labels", (json) => json.userDefinedMetadata = { labels: 3 }, /userDefinedMetadata: .*labels.* received 3/],
    ["preprocess", (json) => json.userDefinedMetadata = { preprocess: "wobble" }, /no preprocessing "wobble"/],
  ];
  test.each(cases)("%s", async (name, change, message) => {
    const error = await failure(name, change);
    expect(["ModelError", "MemoryError"]).toContain(error.name);
    expect(error.message).toMatch(message);
  });

  test("a graph that has no order is refused, and not waited for", async () => {
    const layer = (name: string, ...from: string[]) => ({
      class_name: "ReLU",
      name,
      config: { name },
      inbound_nodes: [from.map((name) => [name, 0, 0, {}])],
    });
    const image = {
      class_name: "InputLayer",
      name: "i",
      config: { name: "i", batch_input_shape: [null, 2] },
      inbound_nodes: [],
    };
    const load = async (name: string, layers: unknown[], out = "a", inputs: unknown = [["i", 0, 0]]) => {
      const config = { name: "m", layers: [image, ...layers], input_layers: inputs, output_layers: [[out, 0, 0]] };
      const json = { modelTopology: { class_name: "Functional", config }, weightsManifest: [] };
      return await loadModel(await write(name, json, new Uint8Array())).then(
        ({ name }) => name,
        ({ message }) => message,
      );
    };
    expect(await load("order", [layer("a", "b"), layer("b", "i")])).toBe("order");
    expect(await load("circle", [layer("a", "b"), layer("b", "a")])).toMatch(
      /"a" takes the output of use 0 of "b", which is never made/,
    );
    expect(await load("gone", [layer("a", "nowhere")])).toMatch(/of "nowhere", which is no layer of the network/);
    expect(await load("no-call", [layer("a"), layer("b", "a")], "b")).toMatch(/of "a", which is never made/);
    expect(await load("no-end", [layer("a", "i")], "z")).toMatch(/use 0 of the layer "z" is never made/);
    expect(await load("twice", [layer("a", "i"), layer("a", "i")])).toMatch(/name is "a"; wanted a name of its own/);
    expect(await load("js", [layer("constructor", "i")], "constructor")).toBe("js");
    expect(await load("input", [layer("a", "i")], "a", 7)).toMatch(/input_layers is 7; wanted the use of a layer/);
  });

  test("files that are longer than the manifest says are not read", async () => {
    const error = await failure("longer", () => {}, new Uint8Array(1000));
    expect(error.message).toMatch(/weights\.bin: it holds 1000 bytes and more where at most 176 are wanted/);
  });

  test("a layer that is used twice leaves nothing behind", async () => {
    const tf = await ensureBackend();
    const before = tf.memory().numTensors;
    const node = (...from: string[]) => from.map((name) => [[name, 0, 0, {}]]);
    const layers = [
      { class_name: "InputLayer", name: "i", config: { name: "i", batch_input_shape: [null, 2] }, inbound_nodes: [] },
      { class_name: "Dense", name: "d", config: { name: "d", units: 2 }, inbound_nodes: node("i", "d") },
    ];
    const config = { name: "m", layers, input_layers: [["i", 0, 0]], output_layers: [["d", 1, 0]] };
    const weights = [{ name: "d/kernel", shape: [2, 2], dtype: "float32" }, {
      name: "d/bias",
      shape: [2],
      dtype: "float32",
    }];
    const json = {
      modelTopology: { class_name: "Functional", config },
      weightsManifest: [{ paths: ["weights.bin"], weights }],
    };
    const model = await loadModel(await write("shared", json, new Uint8Array(24)));
    model.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });
});

describe("what is no model.json", () => {
  test.each([
    ["net.pt", /it is a file of PyTorch.*torch\.onnx\.export\(model\.eval\(\).*load net\.onnx/],
    ["net.pth", /it is a file of PyTorch.*torch\.onnx\.export/],
    ["net.ckpt", /it is a file of PyTorch.*torch\.onnx\.export/],
    ["net.safetensors", /of weights alone.*model\.load_state_dict.*torch\.onnx\.export/],
    ["saved_model.pb", /it is a TensorFlow graph, whose layers are gone.*model\.save\("net\.keras"\)/],
    ["net.tflite", /TensorFlow Lite graph, whose layers are gone/],
    ["https://host/weights.bin?token=1", /a file of weights alone.*Name the model\.json beside it/],
  ])("%s names a remedy of its own", async (source, message) => {
    const error = await loadModel(source).catch((error) => error);
    expect(error).toBeInstanceOf(ModelError);
    expect(error.message).toMatch(message);
    if (/\.pt|ckpt|safetensors|bin/.test(source)) expect(error.message).not.toContain("tensorflowjs_converter");
  });

  test.each([
    ["an empty file", "", /model\.json is empty; wanted the model\.json/],
    ["a page", "<!doctype html><title>Sign in</title>", /is a web page, not the file itself.*may want a login/],
    ["half a file", '{"modelTopology": {', /is not JSON/],
    ["HDF5 under another name", "\x89HDF\r\n\x1a\n", /not JSON|HDF5/],
    ["another JSON", '{"a": 1}', /holds no modelTopology and weightsManifest/],
  ])("%s", async (name, text, message) => {
    await expect(loadModel(await write(name, text, new Uint8Array()))).rejects.toThrow(message);
  });

  test("folders say what they hold", async () => {
    for (const [name, file] of [["none", ""], ["hdf", "net.h5"], ["saved", "saved_model.pb"], ["other", "net.json"]]) {
      await Deno.mkdir(`${folder}/${name}`);
      if (file) await Deno.writeTextFile(`${folder}/${name}/${file}`, "{}");
    }
    await expect(loadModel(`${folder}/none`)).rejects.toThrow(/holds no model\.json.*; it is empty/);
    await expect(loadModel(`${folder}/hdf`)).rejects.toThrow(/it holds "net\.h5"\. Name the file itself/);
    await expect(loadModel(`${folder}/saved`)).rejects.toThrow(/"saved_model\.pb" is a TensorFlow graph/);
    await expect(loadModel(`${folder}/other`)).rejects.toThrow(/it holds "net\.json"\. Name the file itself/);
  });

  test("addresses: a query goes to the weights too, a stray % is part of the name, a page is told", async () => {
    const asked: string[] = [];
    const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, ({ url }) => {
      const { pathname, search } = new URL(url);
      asked.push(pathname + search);
      if (search !== "?token=a%2Fb&x") return new Response("<html>Sign in</html>");
      return pathname.endsWith(".json") ? Response.json(whole.json) : new Response(whole.weights);
    });
    try {
      const base = `http://127.0.0.1:${server.addr.port}`;
      const model = await loadModel(`${base}/50%_off/model.json?token=a%2Fb&x`);
      expect(model.name).toBe("50%_off");
      expect(asked).toEqual(["/50%_off/model.json?token=a%2Fb&x", "/50%_off/weights.bin?token=a%2Fb&x"]);
      model.dispose();
      const error = await loadModel(`${base}/m/model.json?token=secret`).catch((error) => error);
      expect(error.message).toMatch(/is a web page/);
      expect(error.message).not.toContain("secret");
    } finally {
      await server.shutdown();
    }
    const path = `${folder}/100%`;
    await Deno.rename(await write("percent", whole.json, whole.weights), path);
    for (const source of [path, `file://${path}/model.json`, new URL(`file://${path}/model.json?x`)]) {
      const model = await loadModel(source);
      expect(model.name).toBe("100%");
      model.dispose();
    }
    await expect(loadModel("file://host/model.json")).rejects.toThrow(/is no path of this machine/);
  });
});

const image = () => new Image({ data: new Float32Array(48).fill(90), shape: [4, 4, 3] }, { name: "x", source: "x" });
const images = () => dataset(["a", "b"].map((label) => ({ image: image(), label })), { name: "two" } as never);

/** Each method that takes a model. */
const METHODS: Record<string, (model: Json) => Promise<unknown>> = {
  activations: (model) => activations(model, image()),
  codes: (model) => codes(model, images(), { layer: "flat" }),
  deadFilters: (model) => deadFilters(model, images()),
  deconvnet: (model) => deconvnet(model, image(), { target: { layer: "conv", channel: 0 } }),
  faithfulness: (model) => faithfulness(model, image(), [] as never),
  filters: (model) => filters(model, { layer: "conv" }),
  gradCam: (model) => gradCam(model, image()),
  guidedBackprop: (model) => guidedBackprop(model, image()),
  inputXGradient: (model) => inputXGradient(model, image()),
  integratedGradients: (model) => integratedGradients(model, image()),
  linearProbes: (model) => linearProbes(model, images()),
  occlusion: (model) => occlusion(model, image()),
  predict: (model) => predict(model, image()),
  report: (model) => report(model, image(), { saliency }),
  saliency: (model) => saliency(model, image()),
  sanityCheck: (model) => sanityCheck(model, image(), saliency),
  smoothGrad: (model) => smoothGrad(model, image()),
  strideDiagnosis: (model) => strideDiagnosis([model], images()),
  train: (model) => train(model, images(), { live: false }),
};

describe("a model that cannot be asked", () => {
  /** What each method says. */
  const said = async (model: unknown) =>
    Object.fromEntries(
      await Promise.all(
        Object.entries(METHODS).map(async ([name, ask]) => [
          name,
          await ask(model).then(() => "nothing", (error) => `${error.name}: ${error.message}`),
        ]),
      ),
    );

  test("one that is gone, here or by its maker", async () => {
    const model = await loadModel(await tinyNet());
    model.dispose();
    expect(model.disposed).toBe(true);
    model.dispose();
    const mine = await tinyNet();
    const taken = await loadModel(mine, { name: "tiny" });
    mine.dispose();
    for (const each of [model, taken]) {
      for (const [name, message] of Object.entries(await said(each))) {
        expect(message).toBe(
          `TypeError: ${name} wants a model that is there: "tiny" has been disposed of. Load it again.`,
        );
      }
    }
    await expect(loadModel(mine)).rejects.toThrow('The network "tiny" has been disposed of. Load it again.');
  });

  test("one that takes two inputs shows its table, and wants both", async () => {
    const tf = await ensureBackend();
    const [a, b] = [tf.input({ shape: [4, 4, 3], name: "photo" }), tf.input({ shape: [4], name: "facts" })];
    const flat = tf.layers.flatten({ name: "flat" }).apply(a) as SymbolicTensor;
    const both = tf.layers.concatenate().apply([flat, b]) as SymbolicTensor;
    const net = tf.model({ inputs: [a, b], outputs: tf.layers.dense({ units: 2 }).apply(both) as SymbolicTensor });
    const model = await loadModel(net, { name: "two" });
    expect(model.layers.map(({ name }) => name)).toContain("facts");
    expect(Deno.inspect(model)).toContain('It is given "facts" (4) besides.');
    const wanting = Object.entries(await said(model)).filter(([, message]) =>
      String(message).includes(
        'The model "two" takes 2 inputs, "photo" (4×4×3) and "facts" (4): received one thing only. Give each by its name, ' +
          "as { photo: image, facts: [0.5, …] }; items of a data set may have them as columns.",
      )
    ).map(([name]) => name);
    // The others miss a layer, or images, before.
    expect(wanting).toEqual(
      "codes deconvnet gradCam guidedBackprop inputXGradient integratedGradients occlusion predict report saliency sanityCheck smoothGrad train"
        .split(" "),
    );
    model.dispose();
  });

  test.each([NaN, Infinity, -Infinity])("one with a weight of %d: not loaded, and not asked", async (value) => {
    const weights = whole.weights.slice();
    new DataView(weights.buffer).setFloat32(4 * 25, value, true);
    const error = await loadModel(await write("invalid", whole.json, weights)).catch((error) => error);
    expect(error).toBeInstanceOf(ModelError);
    expect(error.message).toMatch(/The weight "conv\/bias" of the model "invalid" holds NaN or infinity/);

    const tf = await ensureBackend();
    const net = await tinyNet();
    const model = await loadModel(net, { name: "tiny" });
    await predict(model, image());
    const spoilt = tf.tensor1d([0, value]);
    net.getLayer("out").setWeights([net.getLayer("out").getWeights()[0], spoilt]);
    spoilt.dispose();
    for (const message of Object.values(await said(model))) {
      expect(message).toMatch(/ModelError: The weight "out\/bias" of the model "tiny" holds NaN or infinity/);
    }
    await expect(loadModel(net)).rejects.toThrow(ModelError);
    model.dispose();
  });

  test("huge weights are numbers", async () => {
    const tf = await ensureBackend();
    const net = await tinyNet();
    const huge = tf.fill([2], 3e38);
    net.getLayer("conv").setWeights([net.getLayer("conv").getWeights()[0], huge]);
    huge.dispose();
    (await loadModel(net)).dispose();
  });

  test("one whose training diverged", async () => {
    const model = await loadModel(await tinyNet(), { labels: ["a", "b"], name: "tiny" });
    await expect(train(model, images(), { live: false, epochs: 3, learningRate: 1e38 })).rejects.toThrow();
    await expect(saliency(model, image())).rejects.toThrow(/of the model "tiny" holds NaN or infinity.*learningRate/);
    model.dispose();
  });
});
