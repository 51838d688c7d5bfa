/**
 * Damaged and hostile files of models, in every format that is read: a named error or a whole model, soon, and nothing is
 * left behind. CONVLENS_MUTATIONS says how many, and what they are drawn from.
 */

import { join } from "node:path";
import type { LayersModel, Tensor } from "@tensorflow/tfjs";
import { afterAll, expect, test } from "vitest";
import { loadModel } from "../../lib/model/load.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { zipEntries, zipInMemory, type ZipInput, zipped } from "../../lib/zip.ts";
import { changeFields, changeValue, mutated } from "../damage.ts";
import { longTest } from "../long.ts";
import { uniforms } from "../nets.ts";
import { entriesOf } from "../packed.ts";

const COUNT = Number(Deno.env.get("CONVLENS_MUTATIONS")) || 300;
/** No file takes longer, in milliseconds. */
const SOON = 10_000;

const tf = await ensureBackend();
const folder = await Deno.makeTempDir({ prefix: "convlens-mutated-" });
afterAll(() => Deno.remove(folder, { recursive: true }));

type Bytes = Uint8Array<ArrayBuffer>;
type Random = () => number;

const keras = await entriesOf("keras_files.zip");
const onnx = await entriesOf("onnx_files.zip");
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

async function archive(inputs: Iterable<ZipInput>): Promise<Bytes> {
  const parts = await Array.fromAsync(zipped(inputs));
  return new Uint8Array(await new Blob(parts as Bytes[]).arrayBuffer());
}

/** The files of an archive. */
async function unpacked(bytes: Bytes): Promise<ZipInput[]> {
  const entries = await zipEntries(zipInMemory(bytes));
  return await Promise.all(entries.map(async (entry) => ({ name: entry.name, content: await entry.read() })));
}

/** Changes one file of an archive and packs it again: what a checksum of the archive does not notice. */
async function inside(bytes: Bytes, random: Random): Promise<Bytes> {
  const inputs = await unpacked(bytes);
  const at = Math.floor(random() * inputs.length);
  const { name, content } = inputs[at];
  const damaged = name.endsWith(".json") && random() < 0.8
    ? changeValue(text(content as Bytes), random)
    : mutated(content as Bytes, random);
  inputs[at] = { name: random() < 0.1 ? `../${name}` : name, content: damaged };
  return archive(inputs);
}

/** A file to damage, and how. */
interface Kind {
  name: string;
  good: Bytes;
  damage(good: Bytes, random: Random): Bytes | Promise<Bytes>;
  /** What `loadModel` is given besides, or in its place. */
  load?: (path: string) => ReturnType<typeof loadModel>;
}

const place = (name: string) => join(folder, name);
const changedJson = (bytes: Bytes, random: Random) =>
  random() < 0.3 ? mutated(bytes, random) : new TextEncoder().encode(changeValue(text(bytes), random));
const sometimes = (other: Kind["damage"]): Kind["damage"] => (bytes, random) =>
  random() < 0.3 ? mutated(bytes, random) : other(bytes, random);

/** A small graph model as TensorFlow.js's converter writes it: convolution, ReLU, mean, dense layer, softmax. */
function graphModel(): Record<"model.json" | "weights.bin", Bytes> {
  const weights = [["kernel", [3, 3, 3, 4]], ["bias", [4]], ["dense", [4, 2]]] as [string, number[]][];
  const sizes = (shape: number[]) => ({ dim: shape.map((size) => ({ size: String(size) })) });
  const node = (name: string, op: string, input: string[] = [], attr: object = {}) => ({
    name,
    op,
    input,
    attr: { T: { type: "DT_FLOAT" }, ...attr },
  });
  const constant = (name: string, shape: number[], dtype = "DT_FLOAT") =>
    node(name, "Const", [], { dtype: { type: dtype }, value: { tensor: { dtype, tensorShape: sizes(shape) } } });
  const nodes = [
    node("x", "Placeholder", [], { dtype: { type: "DT_FLOAT" }, shape: { shape: sizes([-1, 8, 8, 3]) } }),
    ...weights.map(([name, shape]) => constant(name, shape)),
    constant("axes", [2], "DT_INT32"),
    node("conv", "Conv2D", ["x", "kernel"], {
      strides: { list: { i: ["1", "1", "1", "1"] } },
      padding: { s: btoa("SAME") },
      dataFormat: { s: btoa("NHWC") },
    }),
    node("add", "BiasAdd", ["conv", "bias"]),
    node("relu", "Relu", ["add"]),
    node("mean", "Mean", ["relu", "axes"], { Tidx: { type: "DT_INT32" }, keep_dims: { b: false } }),
    node("matmul", "MatMul", ["mean", "dense"]),
    node("softmax", "Softmax", ["matmul"]),
  ];
  const json = {
    format: "graph-model",
    modelTopology: { node: nodes, versions: {} },
    weightsManifest: [{
      paths: ["weights.bin"],
      weights: [...weights, ["axes", [2]] as const].map(([name, shape]) => ({
        name,
        shape,
        dtype: name === "axes" ? "int32" : "float32",
      })),
    }],
  };
  const count = 108 + 4 + 8;
  const bytes = new Uint8Array(4 * (count + 2));
  new Float32Array(bytes.buffer, 0, count).forEach((_, i, all) => all[i] = Math.sin(i));
  new Int32Array(bytes.buffer, 4 * count).set([1, 2]);
  return { "model.json": new TextEncoder().encode(JSON.stringify(json)), "weights.bin": bytes };
}

/** A file of every format, and what stands beside it. */
async function kinds(): Promise<Kind[]> {
  for (const name of ["nested.3.weights.h5", "residual.3.keras"]) {
    await Deno.writeFile(place(name), await keras.get(name)!.read());
  }
  await Deno.writeFile(place("weights.bin"), await onnx.get("weights.bin")!.read());
  const model = await loadModel(place("residual.3.keras"));
  await model.save(place("saved"));
  await model.save(place("saved.zip"));
  model.dispose();
  const graph = graphModel();
  await Deno.mkdir(place("graph"));
  for (const [name, bytes] of Object.entries(graph)) await Deno.writeFile(place(`graph/${name}`), bytes);
  const ofGraph = (name: keyof typeof graph, damage: Kind["damage"]): Kind => ({
    name: `graph/${name}`,
    good: graph[name],
    damage,
    load: () => loadModel(place("graph")),
  });
  const shard = (await Array.fromAsync(Deno.readDir(place("saved")), ({ name }) => name)).find((name) =>
    name !== "model.json"
  )!;
  const inFolder = (name: string, damage: Kind["damage"]): Promise<Kind> =>
    Deno.readFile(place(`saved/${name}`)).then((good) => ({
      name: `saved/${name}`,
      good,
      damage,
      load: () => loadModel(place("saved")),
    }));
  const from = async (entries: typeof keras, name: string, damage: Kind["damage"], load?: Kind["load"]) => ({
    name,
    good: await entries.get(name)!.read(),
    damage,
    load,
  });
  return await Promise.all([
    from(keras, "sequential.2.h5", mutated),
    from(keras, "nested.2.h5", mutated),
    from(keras, "residual.3.h5", mutated),
    from(keras, "sequential.3.keras", sometimes(inside)),
    from(keras, "shared.2.keras", sometimes(inside)),
    from(keras, "merges.3.keras", sometimes(inside)),
    from(onnx, "residual.onnx", sometimes(changeFields)),
    from(onnx, "shuffled.onnx", sometimes(changeFields)),
    from(onnx, "sequential.fields.onnx", sometimes(changeFields)),
    from(onnx, "sequential.outside.onnx", sometimes(changeFields)),
    from(onnx, "dynamo.onnx", sometimes(changeFields)),
    from(keras, "nested.3.json", changedJson, (path) => loadModel(path, { weights: place("nested.3.weights.h5") })),
    inFolder("model.json", changedJson),
    inFolder(shard, mutated),
    ofGraph("model.json", changedJson),
    ofGraph("weights.bin", mutated),
    Deno.readFile(place("saved.zip")).then((good) => ({ name: "saved.zip", good, damage: sometimes(inside) })),
  ]);
}

/** What is said when JavaScript or a library stumbles, rather than a reader that looked. */
const STUMBLES =
  /Cannot (read|create|set|convert)|is not a function|is not iterable|is not defined|reading '|undefined is not|of undefined/;

/** Whether a network computes; one that is too large for a test is not tried. */
function computes(network: LayersModel): boolean {
  const count = (shape: readonly (number | null)[]) =>
    shape.reduce<number>((product, side) => product * (side ?? 1), 1);
  const made = network.layers.flatMap((layer) => layer.inboundNodes.flatMap((node) => node.outputShapes as number[][]));
  if (made.flat().length && Math.max(...made.map((shape) => count([shape].flat(2)))) > 1e6) return true;
  const inputs = network.inputs.map(({ shape }) => shape.map((side) => side ?? 1));
  try {
    tf.tidy(() => void network.predict(inputs.map((shape) => tf.zeros(shape)) as Tensor[]));
    return true;
  } catch {
    return false;
  }
}

longTest("mutated files of every format: a named error soon, or a whole model", async () => {
  const random = uniforms(COUNT);
  const all = await kinds();
  const counts: Record<string, number> = {};
  const wrong: string[] = [];
  const before = tf.memory().numTensors;
  let slowest = 0;
  for (let n = 0; n < COUNT && wrong.length < 20; n++) {
    const { name, good, damage, load = loadModel } = all[n % all.length];
    const bytes = await damage(good, random);
    await Deno.writeFile(place(name), bytes);
    const started = performance.now();
    let outcome = "whole";
    try {
      const model = await load(place(name));
      outcome = computes(model.network) ? "whole" : "whole, of layers that do not fit";
      model.dispose();
    } catch (error) {
      const { name: kind, message } = error as Error;
      outcome = kind;
      const isNamed = ["ModelError", "MemoryError", "RangeError"].includes(kind);
      if (!isNamed || !message.includes(folder) && kind === "ModelError" || STUMBLES.test(message)) {
        wrong.push(`${n} ${name} ${kind}: ${message}`);
      }
    }
    const took = performance.now() - started;
    slowest = Math.max(slowest, took);
    if (took > SOON) wrong.push(`${n} ${name} took ${took} ms`);
    const left = tf.memory().numTensors - before;
    if (left !== 0) {
      wrong.push(`${n} ${name} left ${left} tensors (${outcome})`);
      break;
    }
    const keep = Deno.env.get("CONVLENS_KEEP");
    if (keep) await Deno.writeTextFile(join(keep, "log"), `${n} ${name} ${outcome} ${took | 0}\n`, { append: true });
    if (keep && wrong.at(-1)?.startsWith(`${n} `)) {
      await Deno.writeFile(join(keep, `${n}-${name.replace("/", "-")}`), bytes);
    }
    const key = `${name.split(".").at(-1)}: ${outcome}`;
    counts[key] = (counts[key] ?? 0) + 1;
    await Deno.writeFile(place(name), good);
  }
  console.log(counts, `the slowest took ${Math.round(slowest)} ms`);
  expect(wrong).toEqual([]);
}, 3_600_000);

type Layers = { config: Record<string, unknown>; inbound_nodes: { args: unknown }[] }[];

/** An archive of Keras with another description of its layers. */
async function described(name: string, change: (layers: Layers) => void): Promise<Bytes> {
  const inputs = await unpacked(await keras.get(name)!.read());
  const config = inputs.find(({ name }) => name === "config.json")!;
  const json = JSON.parse(text(config.content as Bytes));
  change(json.config.layers);
  config.content = JSON.stringify(json);
  return await archive(inputs);
}

/** An archive whose directory says that its description unpacks to four gigabytes. */
async function bomb(): Promise<Bytes> {
  const bytes = await described("sequential.3.keras", () => {});
  const view = new DataView(bytes.buffer);
  for (let at = 0; at + 46 < bytes.length; at++) {
    const isEntry = view.getUint32(at, true) === 0x02014b50;
    if (isEntry && text(bytes.subarray(at + 46, at + 46 + view.getUint16(at + 28, true))) === "config.json") {
      view.setUint32(at + 24, 0xfffffff0 - 1e6, true);
    }
  }
  return bytes;
}

/** What the layer of one place reads becomes what that of another puts out. */
const reads = (layers: Layers, at: number, from: number) =>
  JSON.parse(
    JSON.stringify(layers[at].inbound_nodes).replace(
      /"keras_history":\["[^"]+"/,
      `"keras_history":[${JSON.stringify(layers[from].config.name)}`,
    ),
  );

const page = () => new TextEncoder().encode("<html>404</html>");
const HOSTILE: [title: string, file: string, bytes: () => Bytes | Promise<Bytes>, error: RegExp][] = [
  ["a zip bomb", "bomb.keras", bomb, /archive unpacks to 4\.\d+ GB|takes 4\.\d+ GB|config\.json" is damaged/],
  [
    "layers that read each other",
    "cycle.keras",
    () => described("residual.3.keras", (layers) => layers[1].inbound_nodes = reads(layers, 1, 3)),
    /no order|circle|never|before/,
  ],
  [
    "a layer of absurd size",
    "absurd.keras",
    () => described("sequential.3.keras", (layers) => layers.at(-1)!.config.units = 1e15),
    /want more weights than the \d+ numbers that the file has/,
  ],
  [
    "a layer without its weights",
    "missing.keras",
    () =>
      described("sequential.3.keras", (layers) => {
        layers.push(structuredClone(layers.at(-1)!));
        layers.at(-1)!.config.name = "extra";
      }),
    /want more weights than the \d+ numbers that the file has/,
  ],
  ["a web page for HDF5", "page.h5", page, /a web page, not the file itself/],
  ["a web page for ONNX", "page.onnx", page, /no ONNX file/],
  ["nothing for an archive", "empty.keras", () => new Uint8Array(), /neither an HDF5 file nor an archive/],
  ["nothing for ONNX", "empty.onnx", () => new Uint8Array(), /holds no graph/],
];

test.each(HOSTILE)("%s is an error that says so, and leaves nothing", async (_, file, bytes, error) => {
  const before = tf.memory().numTensors;
  await Deno.writeFile(place(file), await bytes());
  const thrown = await loadModel(place(file)).catch((error) => error);
  expect(thrown.name).toBe("ModelError");
  expect(thrown.message).toContain(place(file));
  expect(thrown.message).toMatch(error);
  expect(tf.memory().numTensors).toBe(before);
});
