/**
 * Writing layers models of TensorFlow.js, to a folder or a zip archive: a reader finds the former model or the new one,
 * never half of one. What is written is built again before it takes its place.
 *
 * @module
 */

import type { layers, LayersModel, Tensor, Variable } from "npm:@tensorflow/tfjs@4.22.0";
import { dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { Checksum } from "../../checksum.ts";
import { kindOf, messageOf } from "../../errors.ts";
import { Interrupted, interruptible } from "../../interrupt.ts";
import { partialOf, pathOf, releasePartial, replaceWhole, writeChunks } from "../../files.ts";
import type { TF } from "../../runtime/core/types.ts";
import { zipEntries, type ZipInput, zipOnDisk, zipped } from "../../zip.ts";
import { buildNetwork, disposeNetwork, isStock, operatorsOf, quoted } from "./build.ts";
import type { LayerReplacements } from "./custom.ts";
import { isObject, ModelError } from "./format.ts";
import { innerLayers, namedWeights } from "./named_weights.ts";
import { tfjsFormat } from "./tfjs.ts";
import { readTopology } from "./topology.ts";
import { modelIn, zipFormat } from "./zip.ts";

/** What is saved. */
export interface SavedModel {
  /** The model's name, for messages. */
  name: string;
  network: LayersModel;
  /** What the file says of the model besides; among it `convlens`, by which it is known as one that may be replaced. */
  metadata: { convlens: object };
}

/** A weight, and what the manifest says of it. */
interface Saved {
  variable: Variable;
  spec: { name: string; path: string; shape: number[]; dtype: string };
}

/** The weights in the order of the file. They have the names that TensorFlow.js reads them by, if each has its own. */
function weightsOf(network: LayersModel): Saved[] {
  const names = new Map(network.weights.map((weight) => [weight.read() as Variable, weight.originalName]));
  const unique = new Set(names.values()).size === names.size;
  return [...namedWeights(network)].map(([path, variable]) => {
    const { shape, dtype } = variable;
    return { variable, spec: { name: unique && names.get(variable) || path, path, shape, dtype } };
  });
}

/** The bytes of the weights, one behind the other; `sum` takes all of them. */
async function* bytesOf(weights: readonly Saved[], sum: Checksum): AsyncGenerator<Uint8Array> {
  const signal = interruptible();
  for (const { variable } of weights) {
    signal.throwIfAborted();
    const { buffer, byteOffset, byteLength } = await variable.data();
    const bytes = new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);
    sum.add(bytes);
    yield bytes;
  }
}

/** A layer's options as text, to be compared; what is null or undefined asks for nothing. */
const optionsOf = (layer: layers.Layer) =>
  Object.entries(layer.getConfig()).map(([key, value]) =>
    `${key}: ${JSON.stringify(value, (_, inner) => inner ?? undefined) ?? "nothing"}`
  );

/** A network's description; its layers stand in the order of the network's. */
interface Described {
  config: { layers: (Described & { exact?: boolean })[] };
}

/** Writes the options of layers that are not TensorFlow.js's own as they are: its way loses capitals in texts. */
function keepOptions(tf: TF, network: LayersModel, { config }: Described): void {
  for (const [i, layer] of network.layers.entries()) {
    const described = config.layers[i];
    if ("layers" in layer) keepOptions(tf, layer as LayersModel, described);
    else if (!isStock(tf, layer) && layer.getClassName() !== USER_FUNCTION) {
      Object.assign(described, { config: JSON.parse(JSON.stringify(layer.getConfig())), exact: true });
    }
  }
}

/** A function that a user gave for a layer; `loadModel` is given it again. */
const USER_FUNCTION = "UserFunction";

/** The functions that stand in for layers, by the layers' names. */
const functionsIn = (network: LayersModel): LayerReplacements =>
  Object.fromEntries(
    [...innerLayers(network)].filter(({ layer }) => layer.getClassName() === USER_FUNCTION)
      .map(({ layer }) => [layer.name, (x: Tensor | Tensor[]) => layer.call(x, {}) as Tensor]),
  );

/**
 * What a network is described by, seen to it that the same network is made of it again.
 *
 * @throws {ModelError} if it is not: names the layer
 */
function topologyOf(tf: TF, network: LayersModel): unknown {
  const rest = network.layers.flatMap((layer) => operatorsOf(layer) ?? []).map((part) => part.getClassName());
  if (rest.length) {
    throw new ModelError(
      `it has operators of a graph that are no layers (${quoted([...new Set(rest)])}). Copy the files that it was ` +
        "loaded from",
    );
  }
  const topology = JSON.parse(JSON.stringify(network.toJSON(undefined, false)));
  keepOptions(tf, network, topology);
  const again = buildNetwork(tf, readTopology(tf, topology, functionsIn(network)));
  try {
    const layers = [...innerLayers(again)];
    for (const [i, { path, layer }] of [...innerLayers(network)].entries()) {
      if ("layers" in layer || layer.getClassName() === USER_FUNCTION) continue;
      const there = new Set(layers[i] ? optionsOf(layers[i].layer) : []);
      const lost = optionsOf(layer).find((option) => !there.has(option));
      if (lost === undefined) continue;
      const key = lost.split(":")[0];
      const found = [...there].find((option) => option.startsWith(`${key}:`)) ?? "nothing";
      throw new ModelError(
        `of its layer ${
          JSON.stringify(path)
        } (${layer.getClassName()}), ${lost} comes back as ${found}. TensorFlow.js ` +
          "keeps numbers, lists and texts in small letters: let getConfig return the option so, under its name",
      );
    }
    const shapes = (network: LayersModel) =>
      [...namedWeights(network)].map(([path, { shape }]) => `${path} [${shape}]`);
    const there = new Set(shapes(again));
    const lost = shapes(network).find((weight) => !there.has(weight));
    if (lost !== undefined || there.size !== namedWeights(network).size) {
      throw new ModelError(`the weight ${lost ?? [...there].at(-1)} is not made again. ${GET_CONFIG}`);
    }
    return topology;
  } finally {
    disposeNetwork(again);
  }
}

const GET_CONFIG = "A layer of your own must return all that its constructor takes from getConfig(), beside " +
  "...super.getConfig()";

/** The largest difference between what two networks make of noise, as a share of the largest number. */
async function differenceOf(tf: TF, a: LayersModel, b: LayersModel): Promise<number> {
  const outputs = tf.tidy(() => {
    const noise = a.inputs.map(({ shape, dtype }, i) => {
      const sides = [1, ...shape.slice(1).map((side) => side ?? 224)];
      return tf.cast(tf.randomUniform(sides, 0, 1, "float32", i + 1), dtype);
    });
    const [x, y] = [a, b].map((network) =>
      tf.concat([network.predict(noise) as Tensor | Tensor[]].flat().map((output) => tf.reshape(output, [-1])))
    );
    return tf.stack([tf.max(tf.abs(tf.sub(x, y))), tf.max(tf.abs(x))]);
  });
  const [difference, most] = await outputs.data();
  outputs.dispose();
  return difference === 0 ? 0 : difference / most;
}

/**
 * Reads a network with layers of the user's own back, and has both look at noise: whether `getConfig` says all of such a
 * layer shows nowhere else.
 *
 * @throws {ModelError} if it computes something else
 */
async function checkComputes(tf: TF, network: LayersModel, where: string, format: typeof tfjsFormat): Promise<void> {
  const own = [...innerLayers(network)].map(({ layer }) => layer).filter((layer) => !isStock(tf, layer));
  if (own.length === 0) return;
  const again = await format.read(tf, pathToFileURL(where), { layers: functionsIn(network) });
  try {
    if (await differenceOf(tf, network, again) < 1e-4) return;
    // One that draws numbers never computes the same twice.
    if (await differenceOf(tf, network, network) > 0) return;
    const names = own.map((layer) => `${JSON.stringify(layer.name)} (${layer.getClassName()})`);
    throw new ModelError(`read back, it computes other numbers. Look at ${names.join(", ")}: ${GET_CONFIG}`);
  } finally {
    disposeNetwork(again);
  }
}

/** The content of a `model.json`, if it was written here. */
function savedJson(text: string): Record<string, unknown> | undefined {
  try {
    const json = JSON.parse(text);
    return isObject(json) && isObject(json.userDefinedMetadata) && isObject(json.userDefinedMetadata.convlens)
      ? json
      : undefined;
  } catch {
    return undefined;
  }
}

/** The files of weights that a `model.json` names, of those that were written here. */
const filesIn = (json: Record<string, unknown>) =>
  JSON.stringify(json.weightsManifest).match(/(?<=")weights-[0-9a-f]{8}\.bin(?=")/g) ?? [];

const ANOTHER = "Name another place, or remove what is there.";

/** Writes the parts of one model. */
class Writer {
  readonly #tf: TF;
  readonly #model: SavedModel;
  readonly #topology: unknown;
  readonly #weights: Saved[];

  constructor(tf: TF, model: SavedModel) {
    this.#tf = tf;
    this.#model = model;
    this.#topology = topologyOf(tf, model.network);
    this.#weights = weightsOf(model.network);
  }

  #json(file: string, sha256: string): string {
    const weights = this.#weights.map(({ spec }) => spec);
    const json = {
      format: "layers-model",
      generatedBy: "convlens",
      convertedBy: null,
      modelTopology: this.#topology,
      weightsManifest: [{ paths: [file], weights, sha256 }],
      userDefinedMetadata: this.#model.metadata,
    };
    return `${JSON.stringify(json, null, 1)}\n`;
  }

  /** Writes the weights, under a name that their checksum gives; the `model.json` that goes with them. */
  async #writeWeights(folder: string): Promise<{ file: string; json: string }> {
    const sum = new Checksum();
    const partial = await partialOf(join(folder, "weights.bin"));
    try {
      await writeChunks(partial, bytesOf(this.#weights, sum));
      const sha256 = sum.hex();
      const file = `weights-${sha256.slice(0, 8)}.bin`;
      await Deno.rename(partial, join(folder, file));
      return { file, json: this.#json(file, sha256) };
    } catch (error) {
      await Deno.remove(partial).catch(() => {});
      throw error;
    } finally {
      releasePartial(partial);
    }
  }

  /** A folder that is not there yet, or is empty. */
  async newFolder(path: string, isEmpty: boolean): Promise<void> {
    await replaceWhole(path, async (partial) => {
      await Deno.mkdir(partial);
      const { json } = await this.#writeWeights(partial);
      await writeChunks(join(partial, "model.json"), [new TextEncoder().encode(json)]);
      await checkComputes(this.#tf, this.#model.network, join(partial, "model.json"), tfjsFormat);
      if (isEmpty) await Deno.remove(path);
    });
  }

  /** A folder with a saved model: the new weights stand beside the former ones until `model.json` names them. */
  async sameFolder(path: string, former: readonly string[]): Promise<void> {
    const { file, json } = await this.#writeWeights(path);
    try {
      await replaceWhole(join(path, "model.json"), async (partial) => {
        await writeChunks(partial, [new TextEncoder().encode(json)]);
        await checkComputes(this.#tf, this.#model.network, partial, tfjsFormat);
      });
    } catch (error) {
      if (!former.includes(file)) await Deno.remove(join(path, file)).catch(() => {});
      throw error;
    }
    for (const name of former) if (name !== file) await Deno.remove(join(path, name)).catch(() => {});
  }

  async archive(path: string): Promise<void> {
    const sum = new Checksum();
    const [weights, toJson] = [this.#weights, (sha256: string) => this.#json("weights.bin", sha256)];
    const files = function* (): Generator<ZipInput> {
      yield { name: "weights.bin", content: bytesOf(weights, sum) };
      yield { name: "model.json", content: toJson(sum.hex()) };
    };
    await replaceWhole(path, async (partial) => {
      await writeChunks(partial, zipped(files()));
      await checkComputes(this.#tf, this.#model.network, partial, zipFormat);
    });
  }
}

/** Whether the file at a path is an archive that was written here. */
async function isSavedArchive(path: string): Promise<boolean> {
  const entries = await zipEntries(zipOnDisk(path)).catch(() => []);
  const bytes = await modelIn(entries)?.read().catch(() => undefined);
  return savedJson(new TextDecoder().decode(bytes)) !== undefined;
}

/**
 * Saves a network with what the file is to say of it.
 *
 * @param where the path or `file:` address of a folder, or of an archive, which ends in `.zip`
 * @throws {TypeError} if it is no path
 * @throws {ModelError} if something else is there, it cannot be written, or TensorFlow.js would not make the same network
 *   of it again
 */
export async function saveNetwork(tf: TF, model: SavedModel, where: string | URL): Promise<void> {
  const path = placeFor(where);
  const explain = (error: unknown) =>
    new ModelError(
      `The model ${JSON.stringify(model.name)} cannot be saved as ${path}: ${messageOf(error)}.`,
      { cause: error },
    );
  try {
    const info = await Deno.stat(path).catch((error) => {
      if (error instanceof Deno.errors.NotFound) return null;
      throw error;
    });
    await Deno.mkdir(dirname(path), { recursive: true });
    const writer = new Writer(tf, model);
    if (/\.zip$/i.test(path)) {
      if (info && !(info.isFile && await isSavedArchive(path))) {
        throw new ModelError(`there is something else than a model that model.save has written. ${ANOTHER}`);
      }
      return await writer.archive(path);
    }
    if (info && !info.isDirectory) throw new ModelError(`there is a file of this name. ${ANOTHER}`);
    const names = info ? await Array.fromAsync(Deno.readDir(path), ({ name }) => name) : [];
    if (names.length === 0) return await writer.newFolder(path, info !== null);
    const former = savedJson(await Deno.readTextFile(join(path, "model.json")).catch(() => ""));
    if (former) return await writer.sameFolder(path, filesIn(former));
    const shown = names.sort().slice(0, 3).map((name) => JSON.stringify(name)).join(", ");
    throw new ModelError(
      `the folder holds something else than a model that model.save has written (${shown}${
        names.length > 3 ? ", …" : ""
      }). ${ANOTHER}`,
    );
  } catch (error) {
    throw error instanceof Interrupted ? error : explain(error);
  }
}

/** The path that a model is to be saved under. */
function placeFor(where: unknown): string {
  if (where instanceof URL && where.protocol === "file:") return resolve(pathOf(where));
  if (typeof where !== "string" || where === "" || /^[a-z][a-z0-9+.-]+:\/\//i.test(where)) {
    throw new TypeError(
      `A model is saved in a folder or a .zip of this machine, as model.save("net"): received ${
        where instanceof URL ? where.href : kindOf(where)
      }.`,
    );
  }
  const other = /\.(json|h5|hdf5|keras|onnx|pb|pt|pth|tflite|bin|npz|gz|tar)$/i.exec(where)?.[0];
  if (other) {
    throw new TypeError(
      `A model is saved in a folder or a .zip, not as ${other}: received ${kindOf(where)}; wanted ` +
        `${JSON.stringify(where.slice(0, -other.length))} or ${
          JSON.stringify(where.slice(0, -other.length) + ".zip")
        }.`,
    );
  }
  return resolve(where);
}
