import { afterAll, beforeAll, expect, test } from "vitest";
import type { LayersModel, SymbolicTensor } from "@tensorflow/tfjs";
import { loadModel } from "../../lib/model/load.ts";
import { ensureBackend } from "../../lib/runtime/backend.ts";
import { changeValue } from "../damage.ts";
import { long } from "../long.ts";
import { tinyNet, uniforms } from "../nets.ts";

/** A layers model in files. */
interface Files {
  json: string;
  weights: Uint8Array<ArrayBuffer>;
}

let folder: string;
beforeAll(async () => void (folder = await Deno.makeTempDir()));
afterAll(() => Deno.remove(folder, { recursive: true }));

/** A network with a branch, a nested network and a layer that is used twice. */
async function branched(): Promise<LayersModel> {
  const tf = await ensureBackend();
  const L = tf.layers;
  const inner = tf.sequential({
    name: "inner",
    layers: [L.conv2d({ name: "c", filters: 2, kernelSize: 2, inputShape: [3, 3, 2] }), L.flatten({ name: "f" })],
  });
  const image = tf.input({ shape: [4, 4, 3], name: "image" });
  const first = L.conv2d({ name: "first", filters: 2, kernelSize: 2, activation: "relu" }).apply(image);
  const normed = L.batchNormalization({ name: "bn" }).apply(first);
  const twice = L.add({ name: "add" }).apply([first as SymbolicTensor, normed as SymbolicTensor]);
  const out = L.dense({ name: "out", units: 3, activation: "softmax" }).apply(inner.apply(twice));
  return tf.model({ inputs: image, outputs: out as SymbolicTensor, name: "branched" });
}

async function filesOf(network: LayersModel): Promise<Files> {
  const tf = await ensureBackend();
  let files: Files;
  await network.save(tf.io.withSaveHandler(({ modelTopology, weightSpecs: weights, weightData }) => {
    const json = JSON.stringify({
      format: "layers-model",
      modelTopology,
      weightsManifest: [{ paths: ["weights.bin"], weights }],
      userDefinedMetadata: { labels: ["a", "b", "c"].slice(0, network.outputs[0].shape[1]!), preprocess: "unit" },
    });
    files = { json, weights: new Uint8Array(weightData as ArrayBuffer) };
    return Promise.resolve({ modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: "JSON" } });
  }));
  network.dispose();
  return files!;
}

/** Changes bytes: one bit, one byte, a part taken away, repeated or set to 0, the end cut off, or more at the end. */
function changeBytes(bytes: Uint8Array<ArrayBuffer>, random: () => number): Uint8Array<ArrayBuffer> {
  const at = Math.floor(random() * bytes.length);
  const length = 1 + Math.floor(random() * 16);
  const join = (...parts: Uint8Array[]) => new Uint8Array(parts.flatMap((part) => [...part]));
  switch (Math.floor(random() * 7)) {
    case 0:
      return bytes.with(at, bytes[at] ^ (1 << Math.floor(random() * 8)));
    case 1:
      return bytes.with(at, Math.floor(random() * 256));
    case 2:
      return join(bytes.subarray(0, at), bytes.subarray(at + length));
    case 3:
      return join(bytes.subarray(0, at + length), bytes.subarray(at));
    case 4:
      return bytes.slice().fill(0, at, at + length);
    case 5:
      return bytes.slice(0, at);
    default:
      return join(bytes, bytes.subarray(0, length));
  }
}

/** What a model is: its layers and its weights. */
async function contentOf(network: LayersModel): Promise<string> {
  const values = await Promise.all(
    network.getWeights().map(async (weight) => [...new Uint8Array((await weight.data()).slice().buffer)]),
  );
  return JSON.stringify([network.getConfig(), values, network.getUserDefinedMetadata()]);
}

test("damaged files of models: a named error, or the content that the file has", async () => {
  const tf = await ensureBackend();
  const random = uniforms(20);
  const whole = [await filesOf(await tinyNet()), await filesOf(await branched())];
  const contents: string[] = [];
  for (const [i, { json, weights }] of whole.entries()) {
    await Deno.mkdir(`${folder}/whole${i}`);
    await Deno.writeTextFile(`${folder}/whole${i}/model.json`, json);
    await Deno.writeFile(`${folder}/whole${i}/weights.bin`, weights);
    const model = await loadModel(`${folder}/whole${i}`);
    contents.push(await contentOf(model.network));
    model.dispose();
  }
  const counts: Record<string, number> = {};
  const count = (outcome: string) => counts[outcome] = (counts[outcome] ?? 0) + 1;
  const wrong: string[] = [];
  const before = tf.memory().numTensors;
  const path = `${folder}/damaged`;
  await Deno.mkdir(path);
  for (let n = 0; n < long(2000, 30); n++) {
    const which = n % whole.length;
    const { json, weights } = whole[which];
    const kind = ["value", "text", "weights"][Math.floor(n / 2) % 3];
    const text = kind === "value"
      ? changeValue(json, random)
      : kind === "text"
      ? changeBytes(new TextEncoder().encode(json), random)
      : json;
    await Deno.writeFile(`${path}/model.json`, typeof text === "string" ? new TextEncoder().encode(text) : text);
    await Deno.writeFile(`${path}/weights.bin`, kind === "weights" ? changeBytes(weights, random) : weights);
    const started = performance.now();
    try {
      const model = await loadModel(path);
      const same = await contentOf(model.network) === contents[which];
      // No checksum stands in a model.json of TensorFlow.js: another number, name or option is another model.
      count(`${kind}: ${same ? "equal" : "loads as the file says"}`);
      model.dispose();
    } catch (error) {
      const { name, message } = error as Error;
      count(`${kind}: ${name}`);
      const named = ["ModelError", "MemoryError", "RangeError"].includes(name) && /damaged/.test(message);
      if (!named || /: Cannot (read|create|set)|is not a function|reading '/.test(message)) {
        wrong.push(`${n} ${kind} ${name}: ${message}`);
      }
    }
    if (performance.now() - started > 5000) wrong.push(`${n} ${kind} took ${performance.now() - started} ms`);
    if (tf.memory().numTensors !== before) {
      wrong.push(`${n} ${kind} left tensors: ${text}`);
      break;
    }
  }
  console.log(counts);
  expect(wrong).toEqual([]);
}, 300_000);
