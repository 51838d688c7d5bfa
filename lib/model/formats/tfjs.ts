/**
 * Layers models of TensorFlow.js: a `model.json` with the topology, and files of weights beside it.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import type { io, LayersModel } from "npm:@tensorflow/tfjs@4.22.0";
import { sizeOf } from "../../array.ts";
import { bytesText } from "../../format.ts";
import { MemoryError } from "../../memory.ts";
import type { TF } from "../../runtime/backend.ts";
import { memoryLeft } from "../../runtime/core/memory.ts";
import { ModelError, type ModelFormat } from "./format.ts";

/** A path of this machine, or an address. */
const placeOf = (url: URL) => url.protocol === "file:" ? fileURLToPath(url) : url.href;

/** Reads one file; `what` says in errors what it holds. */
async function readFile(url: URL, what: string, topology: URL): Promise<Uint8Array<ArrayBuffer>> {
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
    `The ${what} of the model ${placeOf(topology)} could not be read from ${placeOf(url)}: ${reason}.` +
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

/** Reads a `model.json` and checks that it is one of a layers model. */
async function readTopology(url: URL): Promise<io.ModelJSON> {
  const where = placeOf(url);
  let json: io.ModelJSON;
  try {
    json = JSON.parse(new TextDecoder().decode(await readFile(url, "topology", url)));
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
  return json;
}

/** Reads all files of weights, one behind the other, and checks that they are whole. */
async function readWeights(manifest: io.WeightsManifestConfig, url: URL): Promise<ArrayBuffer> {
  const parts: Uint8Array[] = [];
  for (const { paths, weights } of manifest) {
    const group = await Promise.all(paths.map((path) => readFile(new URL(path, url), "weights", url)));
    const found = group.reduce((sum, bytes) => sum + bytes.length, 0);
    const wanted = weights.reduce((sum, spec) => {
      const each = STORED_BYTES[spec.quantization?.dtype ?? spec.dtype];
      return sum + sizeOf(spec.shape) * (each ?? NaN);
    }, 0);
    if (Number.isFinite(wanted) && found !== wanted) {
      throw new ModelError(
        `The weights of ${placeOf(url)} are not whole: ${paths.join(", ")} hold ${found} bytes; wanted ${wanted}.`,
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
  return weightData.buffer;
}

/** @throws {ModelError} if TensorFlow.js does not know the type of a layer */
function checkLayerTypes(tf: TF, topology: unknown, where: string): void {
  const known = tf.serialization.SerializationMap.getMap().classNameMap;
  const unknown = classNames(topology).filter((name) => !Object.hasOwn(known, name));
  if (unknown.length) {
    throw new ModelError(
      `The model ${where} has layers of the type ${unknown.join(", ")}, which TensorFlow.js does not know. Write the ` +
        `class and register it with tf.serialization.registerClass before the model is loaded.`,
    );
  }
}

/** @throws {MemoryError} if the backend does not have room for the weights */
function checkRoom(tf: TF, weights: readonly { shape: number[] }[], where: string): void {
  // Layers make weights of their own before those of the file take their place.
  const bytes = 2 * 4 * weights.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  const left = memoryLeft(tf);
  if (left !== undefined && bytes > left) {
    throw new MemoryError(
      `The model ${where} takes ${bytesText(bytes)} while it loads; the backend ${
        JSON.stringify(tf.getBackend())
      } has ` +
        `${bytesText(left)} left. Dispose of models that you no longer need, or use another backend.`,
    );
  }
}

/** Reads topology and weights, checks that they belong together, and builds the network. */
async function readNetwork(tf: TF, url: URL): Promise<LayersModel> {
  const where = placeOf(url);
  const json = await readTopology(url);
  const weightData = await readWeights(json.weightsManifest, url);
  const weightSpecs = json.weightsManifest.flatMap(({ weights }) => weights);
  checkLayerTypes(tf, json.modelTopology, where);
  checkRoom(tf, weightSpecs, where);
  try {
    return await tf.loadLayersModel(
      tf.io.fromMemory({
        modelTopology: json.modelTopology as object,
        weightSpecs,
        weightData,
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

/** Reads layers models of TensorFlow.js. Layers of other types must have been registered before. */
export const tfjsFormat: ModelFormat = {
  fits: (path) => !/\.(h5|hdf5|keras|pb|onnx|tflite|pt|pth|safetensors)$/i.test(path),
  read: readNetwork,
};
