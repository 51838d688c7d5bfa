/**
 * Models of TensorFlow.js: a `model.json` with the topology (layers, or a graph of operators), and files of weights beside it.
 *
 * @module
 */

import type { io, LayersModel, Variable } from "npm:@tensorflow/tfjs@4.22.0";
import { sizeOf } from "../../array.ts";
import { Checksum } from "../../checksum.ts";
import { messageOf } from "../../errors.ts";
import {
  bytesAt,
  decoded,
  fileNamedBy,
  piecesOf,
  type Place,
  PlacedFiles,
  placeOf,
  readFile,
  type ReadLimits,
} from "../../files.ts";
import { bytesText } from "../../format.ts";
import { Interrupted, interruptible } from "../../interrupt.ts";
import { MemoryError } from "../../memory.ts";
import type { TF } from "../../runtime/backend.ts";
import { visiting } from "../../runtime/core/engine.ts";
import { memoryLeft } from "../../runtime/core/memory.ts";
import { ZipError } from "../../zip.ts";
import { buildNetwork, disposeNetwork, matchWeights, uploaded, type WeightSpec } from "./build.ts";
import { isObject, type Json, ModelError, type ModelFormat, otherFormat, type ReadModelOptions } from "./format.ts";
import { withChannelsLast } from "./channels_last.ts";
import { networkOfGraphModel } from "./graph_model.ts";
import { networkOf } from "./keras.ts";
import { namedWeights } from "./named_weights.ts";
import { type Constant, readWhenAsked } from "./onnx_file.ts";
import { LARGE } from "./onnx_thin.ts";
import { arrayAt, readTopology, refuse, textAt } from "./topology.ts";

/** More than this is no topology: ResNet-50's has 200 kB. */
const MOST_JSON = 2 ** 28;

/** Bytes of one value, by the types that weights may have and the types that they may be stored as. */
const BYTES: Record<string, number> = { float32: 4, int32: 4, bool: 1 };
const QUANTIZED: Record<string, number> = { float16: 2, uint16: 2, uint8: 1 };

/** A weight in the manifest. */
type Spec = io.WeightsManifestEntry & WeightSpec & {
  /** As stored. */
  bytes: number;
  /** Where it is in the network, with the layers that its layer is inside of: in files that convlens has written. */
  path?: string;
};

/** Some weights, and the files that hold them one behind the other. */
interface Group {
  files: URL[];
  specs: Spec[];
  /** The SHA-256 of the files together: in files that convlens has written. */
  sha256?: string;
}

/** How a model's files are read: from where they are, or from an archive. */
export interface ModelFiles {
  /** Reads a file whole. */
  read(url: URL, limits: ReadLimits): Promise<Uint8Array<ArrayBuffer>>;
  /** Where a file is on disk, or is kept while the model is read. */
  find(url: URL, limits: ReadLimits): Promise<Place>;
}

const oneOf = (types: Record<string, unknown>) => `one of ${Object.keys(types).join(", ")}`;

/** A weight of the manifest, checked. */
function specAt(value: unknown, field: string): Spec {
  if (!isObject(value)) refuse(field, value, "an object that describes a weight");
  const { name, path, shape, dtype, quantization } = value;
  textAt(name, `${field}.name`);
  if (path !== undefined) textAt(path, `${field}.path`);
  if (!Array.isArray(shape) || !shape.every((length) => Number.isSafeInteger(length) && length >= 0)) {
    refuse(`${field}.shape`, shape, "an array of whole numbers");
  }
  if (!Object.hasOwn(BYTES, String(dtype))) refuse(`${field}.dtype`, dtype, oneOf(BYTES));
  if (quantization === undefined) {
    return { ...value, bytes: sizeOf(shape) * BYTES[dtype as string] } as unknown as Spec;
  }
  if (!isObject(quantization)) refuse(`${field}.quantization`, quantization, "an object");
  const { dtype: stored, scale, min } = quantization;
  if (!Object.hasOwn(QUANTIZED, String(stored))) refuse(`${field}.quantization.dtype`, stored, oneOf(QUANTIZED));
  if (stored !== "float16") {
    if (!Number.isFinite(scale)) refuse(`${field}.quantization.scale`, scale, "a number");
    if (!Number.isFinite(min)) refuse(`${field}.quantization.min`, min, "a number");
  } else if (dtype !== "float32") refuse(`${field}.dtype`, dtype, "float32, as it is stored as float16");
  return { ...value, bytes: sizeOf(shape) * QUANTIZED[stored as string] } as unknown as Spec;
}

/** The weights that a manifest names, and where they are. */
function groupsOf(manifest: unknown, url: URL): Group[] {
  const names = new Set<string>();
  return arrayAt(manifest, "weightsManifest").map((group, g) => {
    const field = `weightsManifest[${g}]`;
    const { paths, weights, sha256 } = isObject(group)
      ? group
      : refuse(field, group, "an object with paths and weights");
    const specs = arrayAt(weights, `${field}.weights`).map((spec, i) => specAt(spec, `${field}.weights[${i}]`));
    for (const { name } of specs) {
      if (names.has(name)) throw new ModelError(`${field} has two weights named ${JSON.stringify(name)}`);
      names.add(name);
    }
    if (sha256 !== undefined) textAt(sha256, `${field}.sha256`);
    const files = arrayAt(paths, `${field}.paths`).map((path) => fileNamedBy(url, path));
    return { files, specs, sha256: sha256 as string | undefined };
  });
}

/** Reads a file; errors name it, and the `model.json` that it belongs to. */
async function reading<T>(file: URL, what: string, owner: URL, task: () => Promise<T>): Promise<T> {
  try {
    return await task();
  } catch (error) {
    if (error instanceof Interrupted) throw error;
    throw new ModelError(
      `The ${what} of the model ${placeOf(owner)} could not be read from ${placeOf(file)}: ${messageOf(error)}.` +
        (file === owner || error instanceof ZipError
          ? ""
          : " The files of weights belong beside model.json; copy or upload all of them."),
      { cause: error },
    );
  }
}

/** Reads a `model.json` and checks that it is one of a layers model. */
async function readJson(url: URL, files: ModelFiles): Promise<Record<string, unknown>> {
  const where = placeOf(url);
  const bytes = await reading(url, "topology", url, () => files.read(url, { room: { bytes: MOST_JSON } }));
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    const other = bytes.length > 0 && otherFormat(url.pathname, bytes);
    throw new ModelError(
      other
        ? `${where} is ${other}`
        : `${where} is ${bytes.length === 0 ? "empty" : `not JSON (${messageOf(error)})`}; ` +
          `wanted the model.json of a TensorFlow.js model.`,
    );
  }
  if (isObject(json) && json.class_name && json.config) return json;
  if (!isObject(json) || !isObject(json.modelTopology) || json.weightsManifest === undefined) {
    throw new ModelError(
      `${where} holds no modelTopology and weightsManifest; wanted the model.json of a TensorFlow.js model.`,
    );
  }
  return json;
}

/** @throws {MemoryError} if the backend does not have room for the weights */
function checkRoom(tf: TF, specs: readonly Spec[], where: string): void {
  // The tensors, and as much again for what their bytes and copies take.
  const bytes = specs.reduce((sum, spec) => sum + spec.bytes + 4 * sizeOf(spec.shape), 0);
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

const bytesOf = (specs: readonly Spec[]) => specs.reduce((sum, { bytes }) => sum + bytes, 0);

/** What the weights of a group are in, for messages. */
const namesIn = ({ files }: Group) =>
  files.map(({ pathname }) => decoded(pathname.split("/").at(-1)!)).join(", ") || "no files";

/**
 * Where the files of a group are.
 *
 * @throws {ModelError} if they are not as long as the weights
 */
async function placesOf(group: Group, owner: URL, files: ModelFiles): Promise<Place[]> {
  const wanted = bytesOf(group.specs);
  const limits = { room: { bytes: wanted }, owner };
  const places = await Promise.all(
    group.files.map((file) => reading(file, "weights", owner, () => files.find(file, limits))),
  );
  const length = places.reduce((sum, { size }) => sum + size, 0);
  if (length === wanted) return places;
  throw new ModelError(
    `The weights of ${placeOf(owner)} are not whole: ${namesIn(group)} hold ${length} bytes; wanted ${wanted}.`,
  );
}

/** The bytes of a group, piece by piece; that they are the right ones is known behind the last one. */
async function* readGroup(group: Group, places: readonly Place[], owner: URL): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const sum = new Checksum();
  for (const [i, place] of places.entries()) {
    const pieces = piecesOf(place);
    try {
      for (;;) {
        const { value, done } = await reading(group.files[i], "weights", owner, () => pieces.next());
        if (done) break;
        if (group.sha256 !== undefined) sum.add(value);
        yield value;
      }
    } finally {
      await pieces.return(undefined);
    }
  }
  if (group.sha256 === undefined || sum.hex() === group.sha256) return;
  throw new ModelError(
    `The weights of ${placeOf(owner)} are damaged: the checksum of ${namesIn(group)} is not the one that was saved. ` +
      "Copy or download the model again.",
  );
}

/** The bytes of each weight of a group, which nothing else holds. */
async function* partsOf(
  { specs: all }: Group,
  pieces: AsyncIterable<Uint8Array>,
): AsyncGenerator<[spec: Spec, bytes: ArrayBuffer]> {
  const specs = all.values();
  let spec = specs.next().value;
  let part = new Uint8Array(spec?.bytes ?? 0);
  let done = 0;
  for await (const piece of pieces) {
    for (let at = 0; spec && at < piece.length;) {
      const some = piece.subarray(at, at + part.length - done);
      part.set(some, done);
      at += some.length;
      done += some.length;
      for (; spec && done === part.length; done = 0) {
        yield [spec, part.buffer];
        spec = specs.next().value;
        part = new Uint8Array(spec?.bytes ?? 0);
      }
    }
  }
  // Weights without numbers may be all that is left.
  for (; spec && part.length === 0; spec = specs.next().value) yield [spec, part.buffer];
}

/** Gives a network the weights that the groups hold. */
async function fill(
  tf: TF,
  variables: ReadonlyMap<Spec, Variable>,
  groups: readonly Group[],
  url: URL,
  files: ModelFiles,
): Promise<void> {
  const signal = interruptible();
  for (const group of groups) {
    const pieces = readGroup(group, await placesOf(group, url, files), url);
    for await (const [spec, part] of partsOf(group, pieces)) {
      signal.throwIfAborted();
      const variable = variables.get(spec);
      if (!variable) continue;
      const tensor = spec.dtype === "float32" && !spec.quantization
        ? uploaded(tf, new Float32Array(part), spec.shape)
        : tf.io.decodeWeights(part, [spec])[spec.name];
      // As they are: a layer's own way would apply its constraint once more.
      variable.assign(tensor);
      tensor.dispose();
    }
  }
}

/** Some bytes of places that follow one another. */
function bytesIn(places: readonly Place[], from: number, length: number): Uint8Array<ArrayBuffer> {
  let bytes: Uint8Array<ArrayBuffer> | undefined;
  let start = 0;
  for (const place of places) {
    const [first, end] = [Math.max(from, start), Math.min(from + length, start + place.size)];
    if (first < end) {
      const part = bytesAt(place, first - start, end - first);
      if (part.length === length) return part;
      bytes ??= new Uint8Array(length);
      bytes.set(part, first - from);
      part.buffer.transfer(0);
    }
    start += place.size;
  }
  return bytes ?? new Uint8Array();
}

/** The values of a weight, of which nothing else holds the bytes. */
function valuesOf(tf: TF, spec: Spec, bytes: Uint8Array<ArrayBuffer>) {
  if (spec.dtype === "float32" && !spec.quantization) return new Float32Array(bytes.buffer);
  return visiting(tf, "cpu", () => {
    const { [spec.name]: tensor } = tf.io.decodeWeights(bytes.buffer, [spec]);
    const data = tensor.dataSync();
    tensor.dispose();
    return data;
  });
}

/** What reads each of the constants that the groups hold. */
async function constantsOf(tf: TF, groups: readonly Group[], url: URL, files: ModelFiles) {
  const signal = interruptible();
  const stored = new Map<string, () => Constant>();
  for (const group of groups) {
    const places = await placesOf(group, url, files);
    if (group.sha256 !== undefined) { for await (const _ of readGroup(group, places, url)) signal.throwIfAborted(); }
    let at = 0;
    for (const spec of group.specs) {
      const from = at;
      at += spec.bytes;
      const read = () => valuesOf(tf, spec, bytesIn(places, from, spec.bytes));
      const { shape: dims, dtype } = spec;
      stored.set(spec.name, () => {
        if (dtype !== "float32") return { dims, data: Float64Array.from(read()), whole: true };
        if (spec.bytes > LARGE) return readWhenAsked(dims, () => read() as Float32Array);
        return { dims, data: read() as Float32Array, whole: false };
      });
    }
  }
  return stored;
}

/** Which weight of the network each of the file is: by its path where the file gives one, else by its name. */
function variablesOf(network: LayersModel, specs: readonly Spec[]): Variable[] {
  if (!specs.length || specs.some(({ path }) => path === undefined)) {
    return matchWeights(network, specs).map((weight) => weight.read() as Variable);
  }
  const named = namedWeights(network);
  const found = specs.map(({ path, shape, dtype }) => {
    const variable = named.get(path!);
    if (variable && `${variable.shape}` === `${shape}` && variable.dtype === dtype) return variable;
    const wanted = variable ? `which is ${variable.dtype} of the shape [${variable.shape}]` : "which no layer has";
    throw new ModelError(
      `the file has the weight ${JSON.stringify(path)}, ${dtype} of the shape [${shape}], ${wanted}`,
    );
  });
  if (new Set(found).size === named.size) return found;
  const lacking = [...named].filter(([, variable]) => !found.includes(variable)).map(([name]) => JSON.stringify(name));
  throw new ModelError(
    `the file lacks the weights ${lacking.slice(0, 5).join(", ")}${lacking.length > 5 ? ", …" : ""}`,
  );
}

/** Runs a task; what it throws names the model. */
function explained<T>(url: URL, task: () => T): T {
  try {
    return task();
  } catch (error) {
    throw new ModelError(`The model ${placeOf(url)} could not be loaded: ${messageOf(error)}.`, { cause: error });
  }
}

/**
 * Reads topology and weights, checks that they belong together, and builds the network.
 *
 * @param url the `model.json`; of one in an archive, the archive's address with the path in it behind
 * @param files how its files are read
 */
export async function readLayersModel(
  tf: TF,
  url: URL,
  files: ModelFiles,
  { layers, weights }: ReadModelOptions = {},
): Promise<LayersModel> {
  const json = await readJson(url, files);
  if (json.class_name) {
    // The weights follow.
    if (weights) return explained(url, () => networkOf(tf, json, layers));
    throw new ModelError(
      `${placeOf(url)} describes the layers of a Keras network, without weights. Name the file that holds them, too: ` +
        'loadModel(…, { weights: "FILE.h5" }).',
    );
  }
  const groups = explained(url, () => groupsOf(json.weightsManifest, url));
  const specs = groups.flatMap(({ specs }) => specs);
  checkRoom(tf, specs, placeOf(url));
  const { userDefinedMetadata: metadata = {} } = json;
  if (!isObject(metadata)) explained(url, () => refuse("userDefinedMetadata", metadata, "an object"));
  if (json.format === "graph-model" || "node" in (json.modelTopology as Json)) {
    const stored = await constantsOf(tf, groups, url, files);
    const network = await networkOfGraphModel(tf, json, stored).catch((error) =>
      explained(url, () => {
        throw error;
      })
    );
    network.setUserDefinedMetadata(metadata as object);
    return network;
  }
  const network = explained(url, () => {
    const most = specs.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
    return buildNetwork(tf, withChannelsLast(readTopology(tf, json.modelTopology, layers)), most);
  });
  try {
    network.setUserDefinedMetadata(metadata as object);
    // What an optimizer remembers is not the network's.
    const own = specs.filter(({ group }) => group !== "optimizer");
    const variables = explained(url, () => variablesOf(network, own));
    await fill(tf, new Map(own.map((spec, i) => [spec, variables[i]])), groups, url, files);
    return network;
  } catch (error) {
    disposeNetwork(network);
    throw error;
  }
}

/** Reads models of TensorFlow.js. Layers of other types must have been registered before. */
export const tfjsFormat: ModelFormat = {
  fits: (path) => otherFormat(path) === undefined,
  async read(tf, url, options) {
    await using kept = new PlacedFiles();
    const files = { read: readFile, find: (url: URL, limits: ReadLimits) => kept.find(url, limits) };
    return await readLayersModel(tf, url, files, options);
  },
};
