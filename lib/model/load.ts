/**
 * Loading models: from the catalogue, from a file or an address, or one that is already there.
 *
 * @module
 */

import { resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { io, LayersModel } from "npm:@tensorflow/tfjs@4.22.0";
import { sizeOf } from "../array.ts";
import { catalogEntries, fetchEntry } from "../data/catalog.ts";
import { checkOptions, kindOf, nearest } from "../errors.ts";
import { ensureBackend, type TF } from "../runtime/backend.ts";
import { MemoryError } from "../memory.ts";
import { memoryLeft } from "../runtime/core/memory.ts";
import { bytesText } from "../format.ts";
import { Model } from "./model.ts";
import { registerResponseNormalization } from "./normalization.ts";
import { type Preprocess, preprocessing, type PreprocessMode } from "./preprocess.ts";

/** A model that cannot be read, with the reason and the remedy. */
export class ModelError extends Error {
  override name = "ModelError";
}

export interface LoadModelOptions {
  /**
   * How the network wants its pixels: a mode's name, or what differs from pixels of 0…255 as they are (or from `mode`).
   * @default what the catalogue or the file knows; `"unit"` (pixels over 255) for other models
   */
  preprocess?: PreprocessMode | Partial<Preprocess>;
  /**
   * The name of each output class.
   * @default what the catalogue or the file knows; none for other models
   */
  labels?: readonly string[];
  /**
   * What figures call the model.
   * @default the catalogue's name, or the last part of the path, or the network's own name
   */
  name?: string;
}

/** What the catalogue's packages do not tell. */
const CATALOGUE: Record<string, { topology: string; labels: string; preprocess: PreprocessMode }> = {
  resnet50: { topology: "ResNet50/model.json", labels: "assets/labels.json", preprocess: "caffe" },
};

/** Models that come with convlens itself, and know their labels and their preprocessing. */
const HOUSE: Record<string, URL> = {
  "cifar-convnet": new URL("../../data/cifar-convnet/model.json", import.meta.url),
};

/**
 * Loads a model to look into.
 *
 * A `model.json` may hold `labels` and `preprocess` in its `userDefinedMetadata`.
 *
 * @param source a name of the catalogue (`"resnet50"`, `"cifar-convnet"`); a path or address of the `model.json` of a TensorFlow.js layers
 *   model, its weights beside it; or a `tf.LayersModel`
 * @throws {ModelError} if there is no such model, a file is missing or damaged, or the format is another one
 * @throws {MemoryError} if it does not fit into the backend's memory
 * @throws {RangeError} if the labels or the preprocessing do not fit
 * @throws {TypeError} if the source is none of these, or an option is unknown
 *
 * @example
 * ```ts
 * const model = await loadModel("resnet50");
 * const mine = await loadModel("./net/model.json", { preprocess: "tf", labels: ["cat", "dog"] });
 * ```
 */
export async function loadModel(
  source: string | URL | LayersModel,
  options: LoadModelOptions = {},
): Promise<Model> {
  checkOptions("loadModel", options, { preprocess: true, labels: true, name: true });
  const how = preprocessing(options.preprocess ?? "unit");
  if (typeof source !== "string" && !(source instanceof URL)) {
    if (typeof source?.predict !== "function" || !Array.isArray(source.layers)) {
      throw new TypeError(
        `A model is loaded from a name, a path, an address or a tf.LayersModel: received ${kindOf(source)}.`,
      );
    }
    await ensureBackend();
    return new Model(source, { name: options.name ?? source.name, labels: options.labels ?? null, preprocess: how });
  }
  const known = typeof source === "string" ? CATALOGUE[source] : undefined;
  if (known && typeof source === "string") {
    const { paths } = await fetchEntry(source, "model");
    const tf = await ensureBackend();
    const network = await readNetwork(tf, pathToFileURL(paths[known.topology]));
    const labels = JSON.parse(await Deno.readTextFile(paths[known.labels])) as Record<string, string> | string[];
    return make(network, {
      name: options.name ?? source,
      labels: options.labels ?? Object.values(labels).map((label) => label.replaceAll("_", " ")),
      preprocess: options.preprocess === undefined ? preprocessing(known.preprocess) : how,
    });
  }
  const house = HOUSE[String(source)];
  const url = house ?? await locate(source);
  const tf = await ensureBackend();
  const parts = url.pathname.split("/").map(decodeURIComponent);
  const name = options.name ?? (/^model\.json$/.test(parts.at(-1)!) ? parts.at(-2) || "model" : parts.at(-1)!);
  const network = await readNetwork(tf, url);
  const { labels = null, preprocess } = (network.getUserDefinedMetadata() ?? {}) as LoadModelOptions;
  return make(network, {
    name,
    labels: options.labels ?? labels,
    preprocess: options.preprocess === undefined && preprocess !== undefined ? preprocessing(preprocess) : how,
  });
}

/** Makes the model, or frees the network when its labels do not fit. */
function make(
  network: LayersModel,
  options: { name: string; labels: readonly string[] | null; preprocess: Preprocess },
) {
  try {
    return new Model(network, options);
  } catch (error) {
    network.dispose();
    throw error;
  }
}

/** The address of a model's topology, whatever way it was named. */
async function locate(source: string | URL): Promise<URL> {
  const text = String(source);
  const url = /^[a-z][a-z0-9+.-]+:\/\//i.test(text) ? new URL(text) : pathToFileURL(resolve(text));
  if (!["file:", "http:", "https:"].includes(url.protocol)) {
    throw new ModelError(`A model's address starts with file:, http: or https:: received ${JSON.stringify(text)}.`);
  }
  if (/\.(h5|hdf5|keras|pb|onnx|tflite|pt|pth|safetensors)$/i.test(url.pathname)) {
    throw new ModelError(
      `${
        JSON.stringify(text)
      } is not in a format that convlens reads: wanted the model.json of a TensorFlow.js layers ` +
        `model. The converter of TensorFlow.js makes one of a Keras model: ` +
        `tensorflowjs_converter --input_format=keras IN.h5 OUT_FOLDER.`,
    );
  }
  if (url.protocol === "file:") {
    const path = fileURLToPath(url);
    const info = await Deno.stat(path).catch(() => null);
    if (info?.isDirectory) return await locate(pathToFileURL(`${path}/model.json`));
    if (!info) {
      const names = [
        ...Object.keys(HOUSE),
        ...Object.keys(catalogEntries).filter((name) => catalogEntries[name].kind === "model"),
      ];
      const guesses = nearest(text, names).map((name) => JSON.stringify(name)).join(", ");
      throw new ModelError(
        `There is no model ${JSON.stringify(text)}: it is not a name of the catalogue (which has ${guesses}), and ` +
          `there is no file ${path}.`,
      );
    }
  }
  return url;
}

async function read(url: URL, what: string, topology: URL): Promise<Uint8Array<ArrayBuffer>> {
  const where = url.protocol === "file:" ? fileURLToPath(url) : url.href;
  const model = topology.protocol === "file:" ? fileURLToPath(topology) : topology.href;
  let reason: string;
  try {
    if (url.protocol === "file:") return await Deno.readFile(url);
    const response = await fetch(url);
    if (response.ok) return new Uint8Array(await response.arrayBuffer());
    await response.body?.cancel();
    reason = `the answer was ${response.status} ${response.statusText}`;
  } catch (error) {
    reason = (error as Error).message;
  }
  throw new ModelError(
    `The ${what} of the model ${model} could not be read from ${where}: ${reason}.` +
      (url === topology ? "" : " The files of weights belong beside model.json; copy or upload all of them."),
  );
}

/** Bytes of one value as stored. */
const STORED_BYTES: Record<string, number> = {
  float32: 4,
  int32: 4,
  complex64: 8,
  float16: 2,
  uint16: 2,
  uint8: 1,
  bool: 1,
};

/** Reads topology and weights, checks that they belong together, and builds the network. */
async function readNetwork(tf: TF, url: URL): Promise<LayersModel> {
  const where = url.protocol === "file:" ? fileURLToPath(url) : url.href;
  let json: io.ModelJSON;
  try {
    json = JSON.parse(new TextDecoder().decode(await read(url, "topology", url)));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new ModelError(`${where} is not JSON (${error.message}); wanted the model.json of a TensorFlow.js model.`);
  }
  if (typeof json?.modelTopology !== "object" || !Array.isArray(json.weightsManifest)) {
    throw new ModelError(
      `${where} holds no modelTopology and weightsManifest; wanted the model.json of a TensorFlow.js layers model.`,
    );
  }
  if (json.format === "graph-model" || "node" in json.modelTopology) {
    throw new ModelError(
      `${where} is a graph model, whose layers are gone; wanted a layers model. Convert the Keras model anew with ` +
        `tensorflowjs_converter --output_format=tfjs_layers_model.`,
    );
  }
  const weightSpecs = json.weightsManifest.flatMap(({ weights }) => weights);
  const parts: Uint8Array[] = [];
  for (const { paths, weights } of json.weightsManifest) {
    const group = await Promise.all(paths.map((path) => read(new URL(path, url), "weights", url)));
    const found = group.reduce((sum, bytes) => sum + bytes.length, 0);
    const wanted = weights.reduce((sum, spec) => {
      const each = STORED_BYTES[spec.quantization?.dtype ?? spec.dtype];
      return sum + sizeOf(spec.shape) * (each ?? NaN);
    }, 0);
    if (Number.isFinite(wanted) && found !== wanted) {
      throw new ModelError(
        `The weights of ${where} are not whole: ${paths.join(", ")} hold ${found} bytes; wanted ${wanted}.`,
      );
    }
    parts.push(...group);
  }
  const weightData = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    weightData.set(part, at);
    at += part.length;
  }
  registerResponseNormalization(tf);
  const known = tf.serialization.SerializationMap.getMap().classNameMap;
  const unknown = classNames(json.modelTopology).filter((name) => !(name in known));
  if (unknown.length) {
    throw new ModelError(
      `The model ${where} has layers of the type ${unknown.join(", ")}, which TensorFlow.js does not know. Write the ` +
        `class and register it with tf.serialization.registerClass before the model is loaded.`,
    );
  }
  // Layers make weights of their own before those of the file take their place.
  const bytes = 2 * 4 * weightSpecs.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  const left = memoryLeft(tf);
  if (left !== undefined && bytes > left) {
    throw new MemoryError(
      `The model ${where} takes ${bytesText(bytes)} while it loads; the backend ${
        JSON.stringify(tf.getBackend())
      } has ` +
        `${bytesText(left)} left. Dispose of models that you no longer need, or use another backend.`,
    );
  }
  try {
    return await tf.loadLayersModel(
      tf.io.fromMemory({
        modelTopology: json.modelTopology as object,
        weightSpecs,
        weightData: weightData.buffer,
        userDefinedMetadata: json.userDefinedMetadata,
      }),
    );
  } catch (error) {
    if (error instanceof MemoryError) throw error;
    throw new ModelError(`TensorFlow.js could not build the model ${where}: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** The types of all layers of a topology, those of nested models too. */
function classNames(topology: unknown): string[] {
  const names = new Set<string>();
  const visit = (value: unknown) => {
    if (typeof value !== "object" || value === null) return;
    const { layers, config, class_name: name } = value as Record<string, unknown>;
    for (const layer of Array.isArray(layers) ? layers : []) {
      if (typeof layer?.class_name === "string") names.add(layer.class_name);
      visit(layer);
    }
    if (config !== undefined) {
      // An older Sequential has its layers for its configuration.
      visit(Array.isArray(config) && name === "Sequential" ? { layers: config } : config);
    }
  };
  const { model_config: inner } = topology as Record<string, unknown>;
  visit(inner ?? topology);
  // tfjs reads a functional model under either name.
  return [...names].filter((name) => !["Functional", "Model", "Sequential"].includes(name));
}
